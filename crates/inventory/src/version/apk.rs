//! Alpine's versions: `digit{.digit}...{letter}{_suffix{#}}...{~hash}{-r#}` (apk-package(5)), compared token by token
//! as apk-tools 3 does. To it two versions that stop being valid at the same place are the same, which would make
//! `6.6.2p1-r0` and `6.6.2p1-r1` one; here what is left decides between them.

use std::cmp::Ordering;

use super::parts;

/// What a token is; what is later in this list ends a version earlier when the other goes on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    First,
    Number,
    Letter,
    Suffix,
    SuffixNumber,
    Hash,
    Revision,
    End,
    Invalid,
}

/// Suffixes in their order. Those before [`RELEASE`] announce a release.
const SUFFIXES: [&[u8]; 10] = [b"alpha", b"beta", b"pre", b"rc", b"", b"cvs", b"svn", b"git", b"hg", b"p"];
const RELEASE: usize = 4;

/// The tokens of a version, one at a time.
struct Tokens<'a> {
    rest: &'a [u8],
    kind: Kind,
    value: &'a [u8],
    suffix: usize,
}

impl<'a> Tokens<'a> {
    #[inline]
    fn new(version: &'a [u8]) -> Self {
        let mut tokens = Self { rest: version, kind: Kind::First, value: &[], suffix: RELEASE };
        tokens.number(Kind::First);
        tokens
    }

    #[inline]
    fn number(&mut self, kind: Kind) {
        self.value = parts::digits(&mut self.rest);
        self.kind = if self.value.is_empty() { Kind::Invalid } else { kind };
    }

    #[inline]
    fn next(&mut self) {
        let Some((&first, after)) = self.rest.split_first() else {
            self.kind = Kind::End;
            return;
        };
        let before = self.kind;
        self.kind = Kind::Invalid;
        match first {
            b'a'..=b'z' if before <= Kind::Number => {
                (self.value, self.rest) = (&self.rest[..1], after);
                self.kind = Kind::Letter;
            }
            b'.' if before <= Kind::Number => {
                self.rest = after;
                self.number(Kind::Number);
            }
            b'0'..=b'9' if before <= Kind::Number => self.number(Kind::Number),
            b'0'..=b'9' if before == Kind::Suffix => self.number(Kind::SuffixNumber),
            b'_' if before <= Kind::SuffixNumber => {
                self.rest = after;
                self.value = parts::take(&mut self.rest, |b| b.is_ascii_lowercase());
                if let Some(suffix) = SUFFIXES.iter().position(|s| *s == self.value).filter(|s| *s != RELEASE) {
                    self.suffix = suffix;
                    self.kind = Kind::Suffix;
                }
            }
            b'~' if before < Kind::Hash => {
                self.rest = after;
                self.value = parts::take(&mut self.rest, |b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
                if !self.value.is_empty() {
                    self.kind = Kind::Hash;
                }
            }
            b'-' if before < Kind::Revision && after.first() == Some(&b'r') => {
                let mut digits = &after[1..];
                self.value = parts::digits(&mut digits);
                // A revision without a number is the first one.
                if !self.value.is_empty() || matches!(digits.first(), None | Some(b'-')) {
                    self.rest = digits;
                    self.kind = Kind::Revision;
                }
            }
            _ => {}
        }
    }

    #[inline]
    fn announces(&self) -> bool {
        self.kind == Kind::Suffix && self.suffix < RELEASE
    }
}

pub(super) fn compare(a: &[u8], b: &[u8]) -> Ordering {
    let (mut a, mut b) = (Tokens::new(a), Tokens::new(b));
    while a.kind == b.kind && a.kind < Kind::End {
        let tokens = match a.kind {
            // A number with a zero in front, other than the first, is read like a fraction.
            Kind::Number if a.value[0] == b'0' || b.value[0] == b'0' => a.value.cmp(b.value),
            Kind::First | Kind::Number | Kind::SuffixNumber | Kind::Revision => parts::numbers(a.value, b.value),
            Kind::Suffix => a.suffix.cmp(&b.suffix),
            _ => a.value.cmp(b.value),
        };
        if tokens.is_ne() {
            return tokens;
        }
        a.next();
        b.next();
    }
    match (a.announces(), b.announces()) {
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
        _ if a.kind == Kind::Invalid && b.kind == Kind::Invalid => left(a.rest).cmp(left(b.rest)),
        _ => b.kind.cmp(&a.kind),
    }
}

/// What is left of a version that is not valid, unless it would be a revision.
fn left(rest: &[u8]) -> &[u8] {
    if rest.first() == Some(&b'-') { &[] } else { rest }
}
