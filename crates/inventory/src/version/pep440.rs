//! Python's versions (PEP 440), and the older ones that do not follow it, which come before all that do and are ordered as
//! setuptools did.

use std::cmp::Ordering;

use super::parts;

pub(super) fn compare(a: &[u8], b: &[u8]) -> Ordering {
    match (Version::new(a), Version::new(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        (None, None) => legacy::compare(a, b),
        (a, b) => a.is_some().cmp(&b.is_some()),
    }
}

/// A version in its parts. A number that is only implied is zero.
#[derive(Clone, Copy, Debug, Default)]
struct Version<'a> {
    epoch: &'a [u8],
    release: &'a [u8],
    pre: Option<(u8, &'a [u8])>,
    post: Option<&'a [u8]>,
    dev: Option<&'a [u8]>,
    local: Option<&'a [u8]>,
}

const SPACE: [u8; 6] = [b' ', b'\t', b'\n', b'\r', 0x0b, 0x0c];

impl<'a> Version<'a> {
    /// Reads the grammar of PEP 440, appendix B.
    fn new(version: &'a [u8]) -> Option<Self> {
        let mut rest = version;
        parts::take(&mut rest, |b| SPACE.contains(&b));
        if let [b'v' | b'V', after @ ..] = rest {
            rest = after;
        }
        let mut parsed = Self::default();
        let first = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        if first > 0 && rest.get(first) == Some(&b'!') {
            parsed.epoch = &rest[..first];
            rest = &rest[first + 1..];
        }
        parsed.release = release(&mut rest)?;
        parsed.pre = labelled(&mut rest, PRE).map(|(kind, number)| (PRE[kind].1, number));
        parsed.post = match rest {
            [b'-', digit, ..] if digit.is_ascii_digit() => {
                rest = &rest[1..];
                Some(parts::digits(&mut rest))
            }
            _ => labelled(&mut rest, POST).map(|(_, number)| number),
        };
        parsed.dev = labelled(&mut rest, DEV).map(|(_, number)| number);
        if let [b'+', after @ ..] = rest {
            rest = after;
            parsed.local = Some(local(&mut rest)?);
        }
        parts::take(&mut rest, |b| SPACE.contains(&b));
        rest.is_empty().then_some(parsed)
    }

    /// Where the pre-release stands: development releases of the release itself come before all, the release after all.
    fn phase(&self) -> (u8, &'a [u8]) {
        match self.pre {
            Some((kind, number)) => (kind, number),
            None if self.post.is_none() && self.dev.is_some() => (0, b""),
            None => (u8::MAX, b""),
        }
    }

    fn cmp(&self, other: &Self) -> Ordering {
        let number = |a: (u8, &[u8]), b: (u8, &[u8])| a.0.cmp(&b.0).then_with(|| parts::numbers(a.1, b.1));
        let post = |version: &Self| version.post.map_or((0, &b""[..]), |number| (1, number));
        let dev = |version: &Self| version.dev.map_or((1, &b""[..]), |number| (0, number));
        parts::numbers(self.epoch, other.epoch)
            .then_with(|| super::semver::numbers(self.release, other.release))
            .then_with(|| number(self.phase(), other.phase()))
            .then_with(|| number(post(self), post(other)))
            .then_with(|| number(dev(self), dev(other)))
            .then_with(|| match (self.local, other.local) {
                (Some(a), Some(b)) => locals(a, b),
                (a, b) => a.is_some().cmp(&b.is_some()),
            })
    }
}

/// Labels with their place; of two that begin alike the longer one is first.
type Labels = &'static [(&'static [u8], u8)];

const PRE: Labels =
    &[(b"alpha", 1), (b"a", 1), (b"beta", 2), (b"b", 2), (b"preview", 3), (b"pre", 3), (b"rc", 3), (b"c", 3)];
const POST: Labels = &[(b"post", 0), (b"rev", 0), (b"r", 0)];
const DEV: Labels = &[(b"dev", 0)];

const fn separator(byte: u8) -> bool {
    matches!(byte, b'-' | b'_' | b'.')
}

fn release<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let whole = *rest;
    let mut end = 0;
    loop {
        let digits = whole[end..].iter().take_while(|b| b.is_ascii_digit()).count();
        if digits == 0 {
            // The dot belongs to what follows.
            end = end.checked_sub(1)?;
            break;
        }
        end += digits;
        if whole.get(end) != Some(&b'.') {
            break;
        }
        end += 1;
    }
    *rest = &whole[end..];
    (end > 0).then_some(&whole[..end])
}

/// Takes a label with its number, each with at most one separator in front.
fn labelled<'a>(rest: &mut &'a [u8], labels: Labels) -> Option<(usize, &'a [u8])> {
    let skip = |bytes: &mut &'a [u8]| {
        if bytes.first().is_some_and(|b| separator(*b)) {
            *bytes = &bytes[1..];
        }
    };
    let mut after = *rest;
    skip(&mut after);
    let kind = labels
        .iter()
        .position(|(label, _)| after.get(..label.len()).is_some_and(|front| front.eq_ignore_ascii_case(label)))?;
    after = &after[labels[kind].0.len()..];
    let mut number = after;
    skip(&mut number);
    let digits = parts::digits(&mut number);
    // A separator is taken with no number behind it too: what may follow needs none.
    *rest = number;
    Some((kind, digits))
}

fn local<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let local = parts::take(rest, |b| b.is_ascii_alphanumeric() || separator(b));
    let whole = local.split(|b| separator(*b)).all(|segment| !segment.is_empty());
    (whole && !local.is_empty()).then_some(local)
}

/// Compares local versions: numbers above words, more segments above fewer.
fn locals(a: &[u8], b: &[u8]) -> Ordering {
    let (mut a, mut b) = (a.split(|b| separator(*b)), b.split(|b| separator(*b)));
    loop {
        let one = match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (Some(x), Some(y)) => match (parts::is_number(x), parts::is_number(y)) {
                (true, true) => parts::numbers(x, y),
                (false, false) => parts::ignoring_case(x, y),
                (x, y) => x.cmp(&y),
            },
            (x, y) => x.is_some().cmp(&y.is_some()),
        };
        if one.is_ne() {
            return one;
        }
    }
}

/// What was there before PEP 440 (setuptools documentation, "Specifying your project's version").
mod legacy {
    use std::cmp::Ordering;

    use super::super::parts;

    /// Parts of one version; what is behind them does not count.
    const PARTS_MAX: usize = 32;

    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Part<'a> {
        /// A number, which is padded to eight digits.
        Number(&'a [u8]),
        /// A word, with a star in front.
        Word(&'a [u8]),
        /// The end.
        Final,
        /// A hyphen.
        FinalDash,
    }

    impl<'a> Part<'a> {
        fn bytes(self) -> impl Iterator<Item = u8> + use<'a> {
            let (front, zeros, text): (&[u8], usize, &'a [u8]) = match self {
                Self::Number(digits) => (b"", 8_usize.saturating_sub(digits.len()), digits),
                Self::Word(word) => match word {
                    _ if [&b"pre"[..], b"preview", b"rc"].iter().any(|known| word.eq_ignore_ascii_case(known)) => {
                        (b"*", 0, b"c")
                    }
                    _ if word.eq_ignore_ascii_case(b"dev") => (b"*", 0, b"@"),
                    _ => (b"*", 0, word),
                },
                Self::Final => (b"*", 0, b"final"),
                Self::FinalDash => (b"*", 0, b"final-"),
            };
            let padding = std::iter::repeat_n(b'0', zeros);
            front.iter().copied().chain(padding).chain(text.iter().map(u8::to_ascii_lowercase))
        }

        fn zero(self) -> bool {
            matches!(self, Self::Number(digits) if digits.len() <= 8 && parts::without_zeros(digits).is_empty())
        }
    }

    struct Parts<'a> {
        parts: [Part<'a>; PARTS_MAX],
        len: usize,
    }

    impl<'a> Parts<'a> {
        fn new(version: &'a [u8]) -> Self {
            let mut parts = Self { parts: [Part::Final; PARTS_MAX], len: 0 };
            let mut rest = version;
            while let Some(first) = rest.first() {
                match first {
                    b'0'..=b'9' => parts.push(Part::Number(parts::digits(&mut rest))),
                    b'a'..=b'z' | b'A'..=b'Z' => {
                        parts.push(Part::Word(parts::letters(&mut rest)));
                    }
                    _ => {
                        if *first == b'-' {
                            parts.push(Part::FinalDash);
                        }
                        rest = &rest[1..];
                    }
                }
            }
            parts.push(Part::Final);
            parts
        }

        fn push(&mut self, part: Part<'a>) {
            if !matches!(part, Part::Number(_)) {
                if part.bytes().lt(Part::Final.bytes()) {
                    self.pop(|last| last == Part::FinalDash);
                }
                self.pop(Part::zero);
            }
            if self.len < PARTS_MAX {
                self.parts[self.len] = part;
                self.len += 1;
            }
        }

        fn pop(&mut self, is: impl Fn(Part<'a>) -> bool) {
            while self.len > 0 && is(self.parts[self.len - 1]) {
                self.len -= 1;
            }
        }

        fn bytes(&self) -> impl Iterator<Item = u8> + '_ {
            self.parts[..self.len].iter().flat_map(|part| part.bytes())
        }
    }

    pub(super) fn compare(a: &[u8], b: &[u8]) -> Ordering {
        Parts::new(a).bytes().cmp(Parts::new(b).bytes())
    }
}
