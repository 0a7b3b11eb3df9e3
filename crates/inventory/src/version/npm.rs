//! npm's ranges (node-semver, "Range Grammar"): `^1.2`, `~1`, `1.x || >=2.5.0 <3`, `1.2 - 2`. Versions themselves are
//! compared as [`super::semver`] does.
//!
//! A pre-release is in a range only where the range names a pre-release of the same three numbers.

use std::cmp::Ordering;

use super::parts;
use super::semver::{self, Version};

/// Whether the version is in the range; none where either is not in the grammar.
pub fn satisfies(version: &str, range: &str) -> Option<bool> {
    let version = Exact::new(version.as_bytes())?;
    let mut any = false;
    for set in Sets(Some(range.as_bytes())) {
        // All are read, so that what is malformed is found wherever it stands.
        any |= in_set(&version, set)?;
    }
    Some(any)
}

/// What is between the `||`.
struct Sets<'a>(Option<&'a [u8]>);

impl<'a> Iterator for Sets<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.0?;
        let at = rest.windows(2).position(|two| two == b"||");
        self.0 = at.map(|at| &rest[at + 2..]);
        Some(rest[..at.unwrap_or(rest.len())].trim_ascii())
    }
}

/// A version with all three numbers.
#[derive(Clone, Copy, Debug)]
struct Exact<'a> {
    numbers: [u64; 3],
    pre: &'a [u8],
}

impl<'a> Exact<'a> {
    fn new(version: &'a [u8]) -> Option<Self> {
        match Partial::new(version)? {
            Partial { numbers: [Some(x), Some(y), Some(z)], pre } => Some(Self { numbers: [x, y, z], pre }),
            _ => None,
        }
    }

    fn cmp(&self, other: &Self) -> Ordering {
        self.numbers.cmp(&other.numbers).then_with(|| semver::pre(self.pre, other.pre, Ord::cmp))
    }
}

/// A version of which numbers at the end may be missing or any.
#[derive(Clone, Copy, Debug)]
struct Partial<'a> {
    numbers: [Option<u64>; 3],
    pre: &'a [u8],
}

impl<'a> Partial<'a> {
    fn new(text: &'a [u8]) -> Option<Self> {
        let text = parts::without_v(text);
        let mut partial = Self { numbers: [None; 3], pre: b"" };
        let (mut rest, mut given) = (text, 0);
        for (i, number) in partial.numbers.iter_mut().enumerate() {
            let end = rest.iter().position(|b| !(b.is_ascii_digit() || matches!(b, b'x' | b'X' | b'*')));
            let (part, after) = rest.split_at(end.unwrap_or(rest.len()));
            given = i + 1;
            let any = matches!(part, b"x" | b"X" | b"*") || text.is_empty();
            if !any {
                if !parts::is_number(part) {
                    return None;
                }
                *number = Some(std::str::from_utf8(part).ok()?.parse().ok().filter(|n| *n < 1 << 53)?);
            }
            rest = match after {
                [b'.', after @ ..] if i < 2 => after,
                _ => {
                    rest = after;
                    break;
                }
            };
        }
        // A number behind one that is any says nothing.
        if partial.numbers[0].is_none() {
            partial.numbers = [None; 3];
        } else if partial.numbers[1].is_none() {
            partial.numbers[2] = None;
        }
        // Only behind a third number there may be more.
        if given < 3 && !rest.is_empty() {
            return None;
        }
        let tail = Version::new(rest);
        let allowed = |bytes: &[u8]| bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'));
        if !tail.numbers.is_empty() || !allowed(tail.pre) || !allowed(tail.build) {
            return None;
        }
        if partial.numbers[2].is_some() {
            partial.pre = tail.pre;
        }
        Some(partial)
    }

    /// With zeros for what is missing.
    fn floor(&self) -> Exact<'a> {
        Exact { numbers: self.numbers.map(Option::unwrap_or_default), pre: self.pre }
    }

    /// What is just above everything that begins with the first `kept` numbers: not even a pre-release is in it.
    fn above(&self, kept: usize) -> Exact<'static> {
        let mut numbers = [0; 3];
        for (number, own) in numbers.iter_mut().zip(self.numbers).take(kept) {
            *number = own.unwrap_or_default();
        }
        if let Some(last) = kept.checked_sub(1) {
            numbers[last] += 1;
        }
        Exact { numbers, pre: b"0" }
    }

    /// How many numbers it has.
    fn given(&self) -> usize {
        self.numbers.iter().take_while(|n| n.is_some()).count()
    }
}

/// One bound, and whether the version may be it.
#[derive(Clone, Copy, Debug)]
struct Bound<'a> {
    at: Exact<'a>,
    inclusive: bool,
}

/// What a comparator allows.
#[derive(Clone, Copy, Debug, Default)]
struct Interval<'a> {
    low: Option<Bound<'a>>,
    high: Option<Bound<'a>>,
    /// Nothing is in it.
    empty: bool,
}

impl<'a> Interval<'a> {
    fn from(at: Exact<'a>) -> Self {
        Self { low: Some(Bound { at, inclusive: true }), ..Self::default() }
    }

    fn below(mut self, at: Exact<'a>) -> Self {
        self.high = Some(Bound { at, inclusive: false });
        self
    }

    fn has(&self, version: &Exact<'_>) -> bool {
        let low = self.low.is_none_or(|low| match version.cmp(&low.at) {
            Ordering::Greater => true,
            Ordering::Equal => low.inclusive,
            Ordering::Less => false,
        });
        let high = self.high.is_none_or(|high| match version.cmp(&high.at) {
            Ordering::Less => true,
            Ordering::Equal => high.inclusive,
            Ordering::Greater => false,
        });
        low && high && !self.empty
    }

    /// Whether it names a pre-release of these numbers.
    fn names(&self, version: &Exact<'_>) -> bool {
        let named = |bound: &Bound<'_>| !bound.at.pre.is_empty() && bound.at.numbers == version.numbers;
        self.low.as_ref().is_some_and(named) || self.high.as_ref().is_some_and(named)
    }
}

fn in_set(version: &Exact<'_>, set: &[u8]) -> Option<bool> {
    let mut named = version.pre.is_empty();
    let mut inside = true;
    let mut each = |interval: Interval<'_>| {
        inside &= interval.has(version);
        named |= interval.names(version);
    };
    if let Some(at) = set.windows(3).position(|three| three[1] == b'-' && three[0] == b' ' && three[2] == b' ') {
        each(hyphen(Partial::new(&set[..at])?, Partial::new(&set[at + 3..])?));
        return Some(inside && named);
    }
    let mut rest = set;
    while !rest.is_empty() {
        let operator = parts::take(&mut rest, |b| matches!(b, b'<' | b'>' | b'=' | b'~' | b'^'));
        rest = rest.trim_ascii_start();
        let partial = parts::take(&mut rest, |b| !b.is_ascii_whitespace() && b != b',');
        parts::take(&mut rest, |b| b.is_ascii_whitespace() || b == b',');
        each(comparator(operator, Partial::new(partial)?)?);
    }
    Some(inside && named)
}

fn hyphen<'a>(from: Partial<'a>, to: Partial<'a>) -> Interval<'a> {
    let mut interval = match from.given() {
        0 => Interval::default(),
        _ => Interval::from(from.floor()),
    };
    match to.given() {
        0 => {}
        3 => interval.high = Some(Bound { at: to.floor(), inclusive: true }),
        given => interval = interval.below(to.above(given)),
    }
    interval
}

fn comparator<'a>(operator: &[u8], partial: Partial<'a>) -> Option<Interval<'a>> {
    let (floor, given) = (partial.floor(), partial.given());
    let bound = |inclusive| Some(Bound { at: floor, inclusive });
    Some(match (operator, given) {
        (b"" | b"=" | b"==" | b"^" | b"~" | b"~>" | b">=" | b"<=" | b"=>" | b"=<", 0) => Interval::default(),
        (b"<" | b">", 0) => Interval { empty: true, ..Interval::default() },
        (b"" | b"=" | b"==", 3) => Interval { low: bound(true), high: bound(true), empty: false },
        (b"" | b"=" | b"==", _) => Interval::from(floor).below(partial.above(given)),
        (b">=" | b"=>", _) => Interval::from(floor),
        (b">", 3) => Interval { low: bound(false), ..Interval::default() },
        (b">", _) => Interval::from(Exact { pre: b"", ..partial.above(given) }),
        (b"<=" | b"=<", 3) => Interval { high: bound(true), ..Interval::default() },
        (b"<=" | b"=<", _) => Interval::default().below(partial.above(given)),
        (b"<", 3) => Interval { high: bound(false), ..Interval::default() },
        (b"<", _) => Interval::default().below(Exact { pre: b"0", ..floor }),
        (b"~" | b"~>" | b"~=", _) => Interval::from(floor).below(partial.above(given.min(2))),
        (b"^", _) => {
            // Up to the first number that is not zero, or the last that is given.
            let first = partial.numbers.iter().position(|n| n.is_none_or(|n| n > 0)).map_or(3, |at| at + 1);
            Interval::from(floor).below(partial.above(first.min(given)))
        }
        _ => return None,
    })
}
