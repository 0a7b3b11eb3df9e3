//! rpm's versions: runs of digits and of letters, with what is between them passed over; a tilde sorts before the end, a
//! caret right after it (rpm-version(7)).
//!
//! A version without a release is older than the same with any: rpm itself then compares no release at all, which would
//! be no order.

use std::cmp::Ordering;

use super::parts;

pub(super) fn compare(a: &[u8], b: &[u8]) -> Ordering {
    let ((epoch_a, a), (epoch_b, b)) = (parts::epoch(a), parts::epoch(b));
    let epochs = parts::epochs(epoch_a, epoch_b);
    if epochs.is_ne() {
        return epochs;
    }
    let ((version_a, release_a), (version_b, release_b)) = (split(a), split(b));
    segments(version_a, version_b).then_with(|| match (release_a, release_b) {
        (Some(a), Some(b)) => segments(a, b),
        (a, b) => a.is_some().cmp(&b.is_some()),
    })
}

/// Version and release, which is what follows the last hyphen.
#[inline]
pub(super) fn split(version: &[u8]) -> (&[u8], Option<&[u8]>) {
    match version.iter().rposition(|b| *b == b'-') {
        Some(at) => (&version[..at], Some(&version[at + 1..])),
        None => (version, None),
    }
}

/// `rpmvercmp`.
pub(super) fn segments(mut a: &[u8], mut b: &[u8]) -> Ordering {
    while !a.is_empty() || !b.is_empty() {
        a = skip(a);
        b = skip(b);
        match (a.first() == Some(&b'~'), b.first() == Some(&b'~')) {
            (true, true) => {
                (a, b) = (&a[1..], &b[1..]);
                continue;
            }
            (true, false) => return Ordering::Less,
            (false, true) => return Ordering::Greater,
            (false, false) => {}
        }
        match (a.first() == Some(&b'^'), b.first() == Some(&b'^')) {
            (true, true) => {
                (a, b) = (&a[1..], &b[1..]);
                continue;
            }
            (true, false) => return if b.is_empty() { Ordering::Greater } else { Ordering::Less },
            (false, true) => return if a.is_empty() { Ordering::Less } else { Ordering::Greater },
            (false, false) => {}
        }
        if a.is_empty() || b.is_empty() {
            break;
        }
        let segments = parts::segments(&mut a, &mut b);
        if segments.is_ne() {
            return segments;
        }
    }
    // Whoever has something left is newer.
    (!a.is_empty()).cmp(&!b.is_empty())
}

#[inline]
fn skip(bytes: &[u8]) -> &[u8] {
    let passed = bytes.iter().take_while(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'~' | b'^'))).count();
    &bytes[passed..]
}
