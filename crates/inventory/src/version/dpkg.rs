//! Debian's versions: epoch, upstream version, revision, and the tilde that sorts before everything, even the end
//! (deb-version(7), "Sorting algorithm").

use std::cmp::Ordering;

use super::parts;

pub(super) fn compare(a: &[u8], b: &[u8]) -> Ordering {
    let ((epoch_a, a), (epoch_b, b)) = (parts::epoch(a), parts::epoch(b));
    let epochs = parts::epochs(epoch_a, epoch_b);
    if epochs.is_ne() {
        return epochs;
    }
    let ((a, revision_a), (b, revision_b)) = (split(a), split(b));
    part(a, b).then_with(|| part(revision_a, revision_b))
}

/// Upstream version and revision, which is what follows the last hyphen.
#[inline]
fn split(version: &[u8]) -> (&[u8], &[u8]) {
    match version.iter().rposition(|b| *b == b'-') {
        Some(at) => (&version[..at], &version[at + 1..]),
        None => (version, &[]),
    }
}

/// The place of a byte outside numbers: tilde, end or digit, letters, all else.
#[inline]
const fn place(byte: u8) -> i32 {
    match byte {
        b'~' => -1,
        b'0'..=b'9' => 0,
        b'a'..=b'z' | b'A'..=b'Z' => byte as i32,
        _ => byte as i32 + 256,
    }
}

/// Compares by turns what is not a number, byte by byte, and what is, by value.
fn part(a: &[u8], b: &[u8]) -> Ordering {
    let (mut i, mut j) = (0, 0);
    while i < a.len() || j < b.len() {
        loop {
            let (x, y) = (a.get(i).copied(), b.get(j).copied());
            let (letter_x, letter_y) = (x.is_some_and(|b| !b.is_ascii_digit()), y.is_some_and(|b| !b.is_ascii_digit()));
            if !letter_x && !letter_y {
                break;
            }
            let places = x.map_or(0, place).cmp(&y.map_or(0, place));
            if places.is_ne() {
                return places;
            }
            // Two that have the same place are the same byte.
            i += 1;
            j += 1;
        }
        while a.get(i) == Some(&b'0') {
            i += 1;
        }
        while b.get(j) == Some(&b'0') {
            j += 1;
        }
        let mut first = Ordering::Equal;
        loop {
            let digit_a = a.get(i).filter(|b| b.is_ascii_digit());
            let digit_b = b.get(j).filter(|b| b.is_ascii_digit());
            match (digit_a, digit_b) {
                (Some(x), Some(y)) => first = first.then(x.cmp(y)),
                (Some(_), None) => return Ordering::Greater,
                (None, Some(_)) => return Ordering::Less,
                (None, None) => break,
            }
            i += 1;
            j += 1;
        }
        if first.is_ne() {
            return first;
        }
    }
    Ordering::Equal
}
