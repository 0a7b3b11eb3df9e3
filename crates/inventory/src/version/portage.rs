//! Gentoo's versions (Package Manager Specification, section 3.3, "Version comparison").

use std::cmp::Ordering;

use super::parts;

pub(super) fn compare(a: &[u8], b: &[u8]) -> Ordering {
    let (mut a, mut b) = (a, b);
    let first = parts::numbers(parts::digits(&mut a), parts::digits(&mut b));
    if first.is_ne() {
        return first;
    }
    loop {
        let numbers = match (component(&mut a), component(&mut b)) {
            (None, None) => break,
            // One number more is newer, even a zero, and even than a letter.
            (x, y) if x.is_none() || y.is_none() => x.is_some().cmp(&y.is_some()),
            (Some(x), Some(y)) if x[0] == b'0' || y[0] == b'0' => fraction(x).cmp(fraction(y)),
            (x, y) => parts::numbers(x.unwrap_or_default(), y.unwrap_or_default()),
        };
        if numbers.is_ne() {
            return numbers;
        }
    }
    let letters = letter(&mut a).cmp(&letter(&mut b));
    if letters.is_ne() {
        return letters;
    }
    loop {
        let (x, y) = (suffix(&mut a), suffix(&mut b));
        if x.is_none() && y.is_none() {
            break;
        }
        // No suffix is like `_p` with a number below zero.
        let ((kind_x, number_x), (kind_y, number_y)) = (x.unwrap_or((PATCH, None)), y.unwrap_or((PATCH, None)));
        let suffixes = kind_x.cmp(&kind_y).then_with(|| match (number_x, number_y) {
            (Some(x), Some(y)) => parts::numbers(x, y),
            (x, y) => x.is_some().cmp(&y.is_some()),
        });
        if suffixes.is_ne() {
            return suffixes;
        }
    }
    let revisions = parts::numbers(revision(&mut a), revision(&mut b));
    // What is left is no version; it sorts behind the same without it.
    revisions.then_with(|| a.cmp(b))
}

/// The next number behind a dot.
fn component<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let mut after = rest.strip_prefix(b".")?;
    let digits = parts::digits(&mut after);
    if digits.is_empty() {
        return None;
    }
    *rest = after;
    Some(digits)
}

/// A number with a zero in front is a fraction: the zeros at its end say nothing.
fn fraction(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().rev().take_while(|b| **b == b'0').count();
    &digits[..digits.len() - zeros]
}

fn letter(rest: &mut &[u8]) -> Option<u8> {
    let (first, after) = rest.split_first().filter(|(first, _)| first.is_ascii_lowercase())?;
    *rest = after;
    Some(*first)
}

const SUFFIXES: [&[u8]; 5] = [b"alpha", b"beta", b"pre", b"rc", b"p"];
const PATCH: usize = 4;

/// The next suffix: its place in their order and its number.
fn suffix<'a>(rest: &mut &'a [u8]) -> Option<(usize, Option<&'a [u8]>)> {
    let mut after = rest.strip_prefix(b"_")?;
    let word = parts::take(&mut after, |b| b.is_ascii_lowercase());
    let kind = SUFFIXES.iter().position(|s| *s == word)?;
    let number = parts::digits(&mut after);
    *rest = after;
    Some((kind, Some(number)))
}

fn revision<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    match rest.strip_prefix(b"-r") {
        Some(mut after) => {
            let digits = parts::digits(&mut after);
            *rest = after;
            digits
        }
        None => &[],
    }
}
