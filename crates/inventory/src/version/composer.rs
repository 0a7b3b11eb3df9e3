//! Composer's versions, which PHP's `version_compare` orders: runs of digits and of letters, where some words announce a
//! release, `pl` follows it, and other words come first of all.

use std::cmp::Ordering;

use super::parts;

pub(super) fn compare(a: &[u8], b: &[u8]) -> Ordering {
    let bare = |version: &'_ [u8]| usize::from(matches!(version.first(), Some(b'v' | b'V')));
    let (mut a, mut b) = (&a[bare(a)..], &b[bare(b)..]);
    loop {
        let one = match (segment(&mut a), segment(&mut b)) {
            (None, None) => return Ordering::Equal,
            (Some(x), Some(y)) if parts::is_number(x) && parts::is_number(y) => parts::numbers(x, y),
            // A number more is newer; a word more has to be compared with a release.
            (Some(x), None) if parts::is_number(x) => Ordering::Greater,
            (None, Some(y)) if parts::is_number(y) => Ordering::Less,
            (x, y) => place(x).cmp(&place(y)),
        };
        if one.is_ne() {
            return one;
        }
    }
}

const RELEASE: u8 = 5;

/// Where a word stands; a number and the end stand for the release.
fn place(segment: Option<&[u8]>) -> u8 {
    let Some(segment) = segment else { return RELEASE };
    match segment {
        _ if parts::is_number(segment) => RELEASE,
        [b'd', b'e', b'v', ..] => 1,
        [b'a', ..] => 2,
        [b'b', ..] => 3,
        [b'R', b'C', ..] | [b'r', b'c', ..] => 4,
        [b'#', ..] => RELEASE,
        [b'p', ..] => 6,
        _ => 0,
    }
}

/// Takes the next run of digits, or of what is neither digit nor separator.
fn segment<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let separator = |b: u8| matches!(b, b'.' | b'-' | b'_' | b'+');
    parts::take(rest, separator);
    Some(match rest.first()? {
        first if first.is_ascii_digit() => parts::digits(rest),
        _ => parts::take(rest, |b| !b.is_ascii_digit() && !separator(b)),
    })
}
