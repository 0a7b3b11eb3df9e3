//! Nix' versions (`builtins.compareVersions`, Nix manual): components of digits or of letters; `pre` sorts before the end,
//! numbers behind it, other words before numbers.

use std::cmp::Ordering;

use super::parts;

pub(super) fn compare(a: &[u8], b: &[u8]) -> Ordering {
    let (mut a, mut b) = (a, b);
    while !a.is_empty() || !b.is_empty() {
        let (x, y) = (component(&mut a), component(&mut b));
        let (class_x, class_y) = (class(x), class(y));
        let components = class_x.cmp(&class_y).then_with(|| match class_x {
            NUMBER => parts::numbers(x, y),
            _ => x.cmp(y),
        });
        if components.is_ne() {
            return components;
        }
    }
    Ordering::Equal
}

const PRE: u8 = 0;
const END: u8 = 1;
const WORD: u8 = 2;
const NUMBER: u8 = 3;

/// Kinds of component, in their order. The end and a word are one kind to Nix, compared by letter, and the end has none.
fn class(component: &[u8]) -> u8 {
    match component {
        b"pre" => PRE,
        [] => END,
        _ if parts::is_number(component) => NUMBER,
        _ => WORD,
    }
}

/// Takes the next run of digits, or of what is neither digit nor separator.
fn component<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    parts::take(rest, |b| matches!(b, b'.' | b'-'));
    match rest.first() {
        Some(first) if first.is_ascii_digit() => parts::digits(rest),
        _ => parts::take(rest, |b| !b.is_ascii_digit() && !matches!(b, b'.' | b'-')),
    }
}
