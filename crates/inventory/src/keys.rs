//! Keys that open an account: `authorized_keys` (sshd(8)). The fingerprint is what `ssh-keygen -l` shows.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::Found;
use crate::text::{clip, lines, list};

/// A key that opens an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuthorizedKey {
    /// Its line in the file.
    pub line: u64,
    /// Its type, such as `ssh-ed25519`.
    pub kind: String,
    /// Length in bits, for RSA.
    pub bits: Option<u32>,
    /// SHA-256 of the key, as OpenSSH writes it.
    pub fingerprint: String,
    /// What the comment says.
    pub comment: String,
    /// Restrictions and commands before the key.
    pub options: Vec<String>,
}

/// The keys of one file.
pub fn parse(file: &[u8]) -> Found<AuthorizedKey> {
    let mut found = Found::default();
    for (number, line) in lines(file) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match key(number, line) {
            Some(key) => found.push(key),
            None => found.issue(number, "a line without a key"),
        }
    }
    found
}

fn key(number: usize, line: &str) -> Option<AuthorizedKey> {
    let (options, rest) = if is_kind(line.split_whitespace().next()?) { ("", line) } else { options(line)? };
    let mut words = rest.split_whitespace();
    let kind = words.next().filter(|kind| is_kind(kind))?;
    let blob = STANDARD.decode(words.next()?).ok()?;
    let comment = words.collect::<Vec<_>>().join(" ");
    let mut inside = blob.as_slice();
    // The blob names its type too (RFC 4253 section 6.6).
    if take(&mut inside)? != kind.as_bytes() {
        return None;
    }
    let bits = (kind == "ssh-rsa").then(|| {
        take(&mut inside)?;
        let modulus = take(&mut inside)?;
        let modulus = &modulus[modulus.iter().take_while(|b| **b == 0).count()..];
        Some(modulus.len() as u32 * 8 - modulus.first()?.leading_zeros())
    });
    Some(AuthorizedKey {
        line: number as u64,
        kind: clip(kind),
        bits: bits.flatten(),
        fingerprint: format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(&blob))),
        comment: clip(&comment),
        options: list(split_options(options)),
    })
}

fn is_kind(word: &str) -> bool {
    ["ssh-", "ecdsa-", "sk-ssh-", "sk-ecdsa-"].iter().any(|start| word.starts_with(start))
}

/// The options and the rest: they end at the first space outside quotes.
fn options(line: &str) -> Option<(&str, &str)> {
    let at = outside_quotes(line, |b| b == b' ' || b == b'\t').next()?;
    Some((&line[..at], &line[at..]))
}

fn split_options(options: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    for at in outside_quotes(options, |b| b == b',') {
        parts.push(&options[start..at]);
        start = at + 1;
    }
    parts.push(&options[start..]);
    parts
}

fn outside_quotes(text: &str, wanted: impl Fn(u8) -> bool) -> impl Iterator<Item = usize> {
    let (mut inside, mut before) = (false, 0u8);
    text.bytes().enumerate().filter_map(move |(at, b)| {
        if b == b'"' && before != b'\\' {
            inside = !inside;
        }
        before = b;
        (!inside && wanted(b)).then_some(at)
    })
}

fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_first_chunk::<4>()?;
    let (value, tail) = tail.split_at_checked(u32::from_be_bytes(*head) as usize)?;
    *rest = tail;
    Some(value)
}
