//! Semantic versioning 2.0.0, section 11, read as loosely as registries do: a `v` in front, fewer or more than three
//! numbers, a pre-release without its hyphen.

use std::cmp::Ordering;

use super::parts;

/// A version in its parts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Version<'a> {
    /// Its numbers with the dots between them.
    pub(super) numbers: &'a [u8],
    /// What announces it, without the hyphen.
    pub(super) pre: &'a [u8],
    /// Its build, without the plus sign.
    pub(super) build: &'a [u8],
}

impl<'a> Version<'a> {
    pub(super) fn new(version: &'a [u8]) -> Self {
        let version = parts::without_v(version);
        let end = version.iter().position(|b| !(b.is_ascii_digit() || *b == b'.')).unwrap_or(version.len());
        let (numbers, rest) = version.split_at(end);
        let plus = rest.iter().position(|b| *b == b'+').unwrap_or(rest.len());
        let (pre, build) = rest.split_at(plus);
        Self {
            numbers: numbers.strip_suffix(b".").unwrap_or(numbers),
            pre: pre.strip_prefix(b"-").unwrap_or(pre),
            build: build.get(1..).unwrap_or_default(),
        }
    }
}

pub(super) fn compare(a: &[u8], b: &[u8]) -> Ordering {
    let (a, b) = (Version::new(a), Version::new(b));
    numbers(a.numbers, b.numbers).then_with(|| pre(a.pre, b.pre, Ord::cmp))
}

/// Compares number by number; one that is missing is zero.
pub(super) fn numbers(a: &[u8], b: &[u8]) -> Ordering {
    let (mut a, mut b) = (Some(a), Some(b));
    while a.is_some() || b.is_some() {
        let one = parts::numbers(identifier(&mut a).unwrap_or_default(), identifier(&mut b).unwrap_or_default());
        if one.is_ne() {
            return one;
        }
    }
    Ordering::Equal
}

/// Compares what announces a release: nothing is the release itself, newer than all of it.
pub(super) fn pre(a: &[u8], b: &[u8], words: fn(&[u8], &[u8]) -> Ordering) -> Ordering {
    match (a.is_empty(), b.is_empty()) {
        (false, false) => identifiers(a, b, words),
        (a, b) => a.cmp(&b),
    }
}

/// Compares identifier by identifier: numbers by value and below words, fewer below more.
pub(super) fn identifiers(a: &[u8], b: &[u8], words: fn(&[u8], &[u8]) -> Ordering) -> Ordering {
    let (mut a, mut b) = (Some(a), Some(b));
    loop {
        let one = match (identifier(&mut a), identifier(&mut b)) {
            (None, None) => return Ordering::Equal,
            (Some(x), Some(y)) => match (parts::is_number(x), parts::is_number(y)) {
                (true, true) => parts::numbers(x, y),
                (false, false) => words(x, y),
                (x, y) => y.cmp(&x),
            },
            (x, y) => x.is_some().cmp(&y.is_some()),
        };
        if one.is_ne() {
            return one;
        }
    }
}

/// Takes what is in front of the next dot.
fn identifier<'a>(rest: &mut Option<&'a [u8]>) -> Option<&'a [u8]> {
    let bytes = (*rest)?;
    let dot = bytes.iter().position(|b| *b == b'.');
    *rest = dot.map(|dot| &bytes[dot + 1..]);
    Some(&bytes[..dot.unwrap_or(bytes.len())])
}
