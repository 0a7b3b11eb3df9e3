//! Versions that nobody gave rules: numbers by value, words by letter and without case. Words that announce a release, and
//! whatever follows a tilde, sort before the end; other words behind it and before numbers. The end is a zero.

use std::cmp::Ordering;

use super::parts;

pub(super) fn compare(a: &[u8], b: &[u8]) -> Ordering {
    let ((epoch_a, a), (epoch_b, b)) = (parts::epoch(parts::without_v(a)), parts::epoch(parts::without_v(b)));
    let epochs = parts::numbers(epoch_a, epoch_b);
    if epochs.is_ne() {
        return epochs;
    }
    let (mut a, mut b) = (a, b);
    loop {
        let (x, y) = (segment(&mut a), segment(&mut b));
        if x.is_none() && y.is_none() {
            return Ordering::Equal;
        }
        // What is missing is zero.
        let (x, y) = (x.unwrap_or(b"0"), y.unwrap_or(b"0"));
        let class_x = class(x);
        let one = class_x.cmp(&class(y)).then_with(|| match class_x {
            NUMBER => parts::numbers(x, y),
            ZERO => Ordering::Equal,
            _ => parts::ignoring_case(x, y),
        });
        if one.is_ne() {
            return one;
        }
    }
}

const ANNOUNCES: [&[u8]; 8] = [b"alpha", b"beta", b"dev", b"milestone", b"pre", b"preview", b"rc", b"snapshot"];
const TILDE: u8 = 0;
const EARLY: u8 = 1;
const ZERO: u8 = 2;
const WORD: u8 = ZERO + 1;
const NUMBER: u8 = 4;

fn class(segment: &[u8]) -> u8 {
    match segment {
        b"~" => TILDE,
        _ if segment[0].is_ascii_digit() => {
            if parts::without_zeros(segment).is_empty() {
                ZERO
            } else {
                NUMBER
            }
        }
        _ if ANNOUNCES.iter().any(|known| known.eq_ignore_ascii_case(segment)) => EARLY,
        _ => WORD,
    }
}

fn segment<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    parts::take(rest, |b| !b.is_ascii_alphanumeric() && b != b'~');
    Some(match rest.first()? {
        b'~' => {
            let (tilde, after) = rest.split_at(1);
            *rest = after;
            tilde
        }
        first if first.is_ascii_digit() => parts::digits(rest),
        _ => parts::letters(rest),
    })
}
