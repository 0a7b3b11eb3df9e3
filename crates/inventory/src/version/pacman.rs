//! Arch's versions: `epoch:pkgver-pkgrel` (vercmp(8)). The release counts only where both have one, as in pacman, and
//! more separators are newer than fewer.

use std::cmp::Ordering;

use super::parts;

pub(super) fn compare(a: &[u8], b: &[u8]) -> Ordering {
    let ((epoch_a, a), (epoch_b, b)) = (parts::epoch(a), parts::epoch(b));
    let ((version_a, release_a), (version_b, release_b)) = (super::rpm::split(a), super::rpm::split(b));
    parts::numbers(epoch_a, epoch_b).then_with(|| segments(version_a, version_b)).then_with(|| {
        match (release_a, release_b) {
            (Some(a), Some(b)) => segments(a, b),
            _ => Ordering::Equal,
        }
    })
}

fn segments(mut a: &[u8], mut b: &[u8]) -> Ordering {
    while !a.is_empty() && !b.is_empty() {
        let (between_a, between_b) = (separators(&mut a), separators(&mut b));
        if a.is_empty() || b.is_empty() {
            break;
        }
        if between_a != between_b {
            return between_a.cmp(&between_b);
        }
        let segments = parts::segments(&mut a, &mut b);
        if segments.is_ne() {
            return segments;
        }
    }
    match (a.first(), b.first()) {
        (None, None) => Ordering::Equal,
        // Letters that are left announce a release (`1.0rc1` before `1.0`); all else follows it.
        (None, Some(y)) if !y.is_ascii_alphabetic() => Ordering::Less,
        (Some(x), _) if x.is_ascii_alphabetic() => Ordering::Less,
        _ => Ordering::Greater,
    }
}

/// Passes over what is between two segments and says how much it was.
fn separators(rest: &mut &[u8]) -> usize {
    parts::take(rest, |b| !b.is_ascii_alphanumeric()).len()
}
