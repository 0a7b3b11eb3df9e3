//! CRAN's versions (`package_version` in R): numbers between dots and hyphens. Of two that begin alike the longer one is
//! newer, even by a zero. Hackage orders the same way (Haskell, `Data.Version`).

use std::cmp::Ordering;

use super::parts;

pub(super) fn compare(a: &[u8], b: &[u8]) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        let (x, y) = (number(&mut a), number(&mut b));
        let one = match (x, y) {
            (Some(x), Some(y)) => parts::numbers(x, y),
            // What is left of both is no number.
            (None, None) => return a.cmp(b),
            (x, y) => x.is_some().cmp(&y.is_some()),
        };
        if one.is_ne() {
            return one;
        }
    }
}

fn number<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let mut after = match rest {
        [b'.' | b'-', after @ ..] => after,
        _ => rest,
    };
    let digits = parts::digits(&mut after);
    if digits.is_empty() {
        return None;
    }
    *rest = after;
    Some(digits)
}
