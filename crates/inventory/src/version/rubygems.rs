//! RubyGems' versions (`Gem::Version`): runs of digits and of letters, where letters announce a release. Zeros in front of
//! letters and at the end say nothing.

use std::cmp::Ordering;

use super::parts;

pub(super) fn compare(a: &[u8], b: &[u8]) -> Ordering {
    let (mut a, mut b) = (Segments::new(a), Segments::new(b));
    loop {
        let (x, y) = (a.next(), b.next());
        if x.is_none() && y.is_none() {
            return Ordering::Equal;
        }
        // What is missing is zero.
        let (x, y) = (x.unwrap_or(b"0"), y.unwrap_or(b"0"));
        let one = match (x[0].is_ascii_digit(), y[0].is_ascii_digit()) {
            (true, true) => parts::numbers(x, y),
            (false, false) => x.cmp(y),
            // Letters are older than a number.
            (x, y) => x.cmp(&y),
        };
        if one.is_ne() {
            return one;
        }
    }
}

/// The segments that say something.
#[derive(Clone, Copy)]
struct Segments<'a> {
    rest: &'a [u8],
    /// Whether there were only numbers so far.
    head: bool,
    /// Zeros that come next and are known to stand before another number.
    zeros: usize,
}

impl<'a> Segments<'a> {
    fn new(version: &'a [u8]) -> Self {
        Self { rest: version.trim_ascii(), head: true, zeros: 0 }
    }

    /// The next segment, zeros included.
    fn raw(&mut self) -> Option<&'a [u8]> {
        let between = parts::take(&mut self.rest, |b| !b.is_ascii_alphanumeric());
        // A hyphen stands for `pre`.
        if between.contains(&b'-') && !self.rest.is_empty() {
            return Some(b"pre");
        }
        match self.rest.first()? {
            first if first.is_ascii_digit() => Some(parts::digits(&mut self.rest)),
            _ => Some(parts::letters(&mut self.rest)),
        }
    }

    fn next(&mut self) -> Option<&'a [u8]> {
        let segment = self.raw()?;
        if !segment[0].is_ascii_digit() {
            self.head = false;
            return Some(segment);
        }
        if !self.head || !parts::without_zeros(segment).is_empty() {
            return Some(segment);
        }
        if self.zeros > 0 {
            self.zeros -= 1;
            return Some(segment);
        }
        // Look whether letters or the end come next, behind nothing but zeros.
        let mut ahead = *self;
        let mut zeros = 0;
        loop {
            let before = ahead;
            let next = ahead.raw()?;
            if !next[0].is_ascii_digit() {
                *self = before;
                return self.next();
            }
            if !parts::without_zeros(next).is_empty() {
                self.zeros = zeros;
                return Some(segment);
            }
            zeros += 1;
        }
    }
}
