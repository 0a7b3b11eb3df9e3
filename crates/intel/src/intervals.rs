//! Turns networks, which may lie inside each other, into disjoint intervals, so that one binary search finds the best
//! of all networks around an address.

/// The value of an interval that no network covers.
pub(crate) const NONE: u16 = u16::MAX;

/// A network to put in: first and last address, and its rank. Lower ranks win.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span<K> {
    pub(crate) first: K,
    pub(crate) last: K,
    pub(crate) rank: u16,
}

/// Interval `i` begins at `starts[i]`, ends before the next one and has the value `ranks[i]`.
#[derive(Clone, Debug)]
pub(crate) struct Intervals<K> {
    pub(crate) starts: Vec<K>,
    pub(crate) ranks: Vec<u16>,
}

/// An unsigned address.
pub(crate) trait Key: Copy + Ord {
    /// The address after this one, if there is one.
    fn next(self) -> Option<Self>;
}

impl Key for u32 {
    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
}

impl Key for u128 {
    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
}

impl<K: Key> Intervals<K> {
    /// Builds from networks, each of which lies inside, outside or around every other (as prefixes do).
    pub(crate) fn build(mut spans: Vec<Span<K>>) -> Self {
        // Outer networks come before the inner ones that begin at the same address.
        spans.sort_unstable_by(|a, b| (a.first, b.last, a.rank).cmp(&(b.first, a.last, b.rank)));
        spans.dedup_by(|later, earlier| later.first == earlier.first && later.last == earlier.last);
        let mut out = Self { starts: Vec::with_capacity(spans.len()), ranks: Vec::with_capacity(spans.len()) };
        let mut open: Vec<(K, u16)> = Vec::new();
        for span in spans {
            out.close(&mut open, Some(span.first));
            let around = open.last().map_or(NONE, |(_, rank)| *rank);
            let rank = span.rank.min(around);
            out.push(span.first, rank);
            open.push((span.last, rank));
        }
        out.close(&mut open, None);
        out.starts.shrink_to_fit();
        out.ranks.shrink_to_fit();
        out
    }

    /// Ends the networks that lie wholly before `until`.
    fn close(&mut self, open: &mut Vec<(K, u16)>, until: Option<K>) {
        while let Some((last, _)) = open.last().copied().filter(|(last, _)| until.is_none_or(|until| *last < until)) {
            open.pop();
            if let Some(after) = last.next() {
                self.push(after, open.last().map_or(NONE, |(_, rank)| *rank));
            }
        }
    }

    fn push(&mut self, start: K, rank: u16) {
        if self.starts.last() == Some(&start) {
            self.starts.pop();
            self.ranks.pop();
        }
        if self.ranks.last().copied().unwrap_or(NONE) != rank {
            self.starts.push(start);
            self.ranks.push(rank);
        }
    }

    /// The value at an address, looking only at the intervals `from..to`; all intervals before `from` must begin at or
    /// before the address.
    pub(crate) fn find_within(&self, key: K, from: usize, to: usize) -> u16 {
        let at = from + self.starts[from..to].partition_point(|start| *start <= key);
        if at == 0 { NONE } else { self.ranks[at - 1] }
    }

    pub(crate) fn find(&self, key: K) -> u16 {
        self.find_within(key, 0, self.starts.len())
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.starts.capacity() * size_of::<K>() + self.ranks.capacity() * 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_and_touching_networks() {
        let span = |first: u32, last, rank| Span { first, last, rank };
        let table = Intervals::build(vec![
            span(16, 31, 5),
            span(20, 23, 3),
            span(21, 21, 9),
            span(24, 24, 7),
            span(32, 47, 5),
            span(u32::MAX, u32::MAX, 1),
            span(20, 23, 4),
            span(0, 0, 2),
        ]);
        for (key, rank) in [
            (0, 2),
            (1, NONE),
            (15, NONE),
            (16, 5),
            (19, 5),
            (20, 3),
            (21, 3),
            (23, 3),
            (24, 5),
            (31, 5),
            (47, 5),
            (48, NONE),
            (u32::MAX - 1, NONE),
            (u32::MAX, 1),
        ] {
            assert_eq!(table.find(key), rank, "{key}");
        }
        assert_eq!(Intervals::<u128>::build(Vec::new()).find(7), NONE);
    }
}
