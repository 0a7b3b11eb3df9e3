//! The mark of a lane: the sequence up to which everything is applied. It is what makes a resent batch harmless, and
//! what makes a loss visible.

/// The last sequence of a lane that was applied; 0 before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark(pub u64);

/// What to do with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// Apply it, and store the new mark with it. `missed` batches before it never came and never will.
    Apply {
        /// The mark to store with it.
        mark: Mark,
        /// Batches between the old mark and this one.
        missed: u64,
    },
    /// It was applied before: acknowledge the mark again.
    Known,
    /// No agent of ours sends it: sequences start at 1.
    Refuse,
}

impl Mark {
    /// Looks at the sequence of a batch that arrived.
    pub const fn offer(self, sequence: u64) -> Offer {
        if sequence == 0 {
            Offer::Refuse
        } else if sequence <= self.0 {
            Offer::Known
        } else {
            Offer::Apply { mark: Self(sequence), missed: sequence - self.0 - 1 }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_in_order_and_jumps_are_counted() {
        let mark = Mark(5);
        assert_eq!(mark.offer(6), Offer::Apply { mark: Mark(6), missed: 0 });
        assert_eq!(mark.offer(9), Offer::Apply { mark: Mark(9), missed: 3 });
        assert_eq!(mark.offer(5), Offer::Known);
        assert_eq!(mark.offer(1), Offer::Known);
        assert_eq!(mark.offer(0), Offer::Refuse);
        assert_eq!(Mark(u64::MAX).offer(u64::MAX), Offer::Known);
        assert_eq!(Mark(0).offer(u64::MAX), Offer::Apply { mark: Mark(u64::MAX), missed: u64::MAX - 1 });
    }
}
