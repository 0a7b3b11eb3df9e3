//! What the schemes have in common: numbers of any length, and runs of one kind of byte.

use std::cmp::Ordering;

/// Compares two runs of digits by value.
#[inline]
pub(super) fn numbers(a: &[u8], b: &[u8]) -> Ordering {
    let (a, b) = (without_zeros(a), without_zeros(b));
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

/// The digits without zeros in front; nothing is zero.
#[inline]
pub(super) fn without_zeros(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().take_while(|b| **b == b'0').count();
    &digits[zeros..]
}

/// Takes the bytes at the front for which `is` holds.
#[inline]
pub(super) fn take<'a>(rest: &mut &'a [u8], is: impl Fn(u8) -> bool) -> &'a [u8] {
    let end = rest.iter().position(|b| !is(*b)).unwrap_or(rest.len());
    let (taken, left) = rest.split_at(end);
    *rest = left;
    taken
}

/// Takes the digits at the front.
#[inline]
pub(super) fn digits<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    take(rest, |b| b.is_ascii_digit())
}

/// Takes the letters at the front.
#[inline]
pub(super) fn letters<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    take(rest, |b| b.is_ascii_alphabetic())
}

/// Takes and compares the segments at the front, of digits where the first begins with one, else of letters. A number is
/// newer than letters.
#[inline]
pub(super) fn segments(a: &mut &[u8], b: &mut &[u8]) -> Ordering {
    if a.first().is_some_and(u8::is_ascii_digit) {
        let (x, y) = (digits(a), digits(b));
        if y.is_empty() { Ordering::Greater } else { numbers(x, y) }
    } else {
        let (x, y) = (letters(a), letters(b));
        if y.is_empty() { Ordering::Less } else { x.cmp(y) }
    }
}

/// Compares two epochs; most versions have none.
#[inline]
pub(super) fn epochs(a: &[u8], b: &[u8]) -> Ordering {
    if a.is_empty() && b.is_empty() { Ordering::Equal } else { numbers(a, b) }
}

/// Whether there are digits and nothing else.
#[inline]
pub(super) fn is_number(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(u8::is_ascii_digit)
}

/// The version without spaces around it and without the `v` in front of it.
#[inline]
pub(super) fn without_v(version: &[u8]) -> &[u8] {
    let version = version.trim_ascii();
    match version {
        [b'v' | b'V' | b'=', rest @ ..] => rest.trim_ascii_start(),
        _ => version,
    }
}

/// Compares without the case of ASCII letters.
pub(super) fn ignoring_case(a: &[u8], b: &[u8]) -> Ordering {
    a.iter().map(u8::to_ascii_lowercase).cmp(b.iter().map(u8::to_ascii_lowercase))
}

/// The epoch in front of a colon, where it is a number; else none, and the colon belongs to the version.
#[inline]
pub(super) fn epoch(version: &[u8]) -> (&[u8], &[u8]) {
    let digits = version.iter().take_while(|b| b.is_ascii_digit()).count();
    if version.get(digits) == Some(&b':') { (&version[..digits], &version[digits + 1..]) } else { (&[], version) }
}
