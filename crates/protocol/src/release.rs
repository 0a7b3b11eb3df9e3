//! Releases of the agent's program: what is signed about one with a key that no server has, and which version may take the
//! place of which. The signature is over the text as it stands, so that an older agent can check what a newer one will say.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::action::{Invalid, ensure};
use crate::limits::{MANIFEST_BYTES_MAX, PROGRAM_BYTES_MAX, VERSION_BYTES_MAX};
use crate::wire::{Blob, message};

/// What is signed begins with it, so that a signature is never worth anything elsewhere.
const CONTEXT: &[u8] = b"guardian agent release v1\0";
/// Bytes of what is said for people.
const NOTES_BYTES_MAX: usize = 4_000;

message! {
    /// What was signed about a release, and by which key.
    #[derive(Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    SignedManifest {
        /// The [`Manifest`] as JSON: this text is what the signature is over.
        1 manifest: String,
        /// The Ed25519 key that signed (RFC 8032).
        #[serde(with = "crate::json::base64_blob")]
        2 key: Blob,
        /// The signature over [`SignedManifest::statement`].
        #[serde(with = "crate::json::base64_blob")]
        3 signature: Blob,
    }
}

/// What is said about a release.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Its version.
    pub version: String,
    /// Operating system that it is for: `linux`.
    pub platform: String,
    /// Processor architecture that it is for, such as `x86_64`.
    pub architecture: String,
    /// Bytes of the program.
    pub size: u64,
    /// SHA-256 of the program, in hexadecimal digits.
    pub sha256: String,
    /// Version of the messages that a server must speak at least.
    #[serde(default)]
    pub protocol_min: u32,
    /// When it was signed, UTC microseconds.
    #[serde(default)]
    pub created: i64,
    /// It may take the place of this version too and of all before it, though they are newer; empty where it replaces only
    /// older ones.
    #[serde(default)]
    pub replaces_up_to: String,
    /// What is new, for people.
    #[serde(default)]
    pub notes: String,
}

impl SignedManifest {
    /// What the key signs.
    pub fn statement(&self) -> Vec<u8> {
        [CONTEXT, self.manifest.as_bytes()].concat()
    }

    /// What was signed, if it is within bounds. Whether the signature is good is for who has the key to say.
    pub fn read(&self) -> Result<Manifest, Invalid> {
        ensure(self.key.0.len() == 32, "key", "an Ed25519 key has 32 bytes")?;
        ensure(self.signature.0.len() == 64, "signature", "an Ed25519 signature has 64 bytes")?;
        ensure(self.manifest.len() <= MANIFEST_BYTES_MAX, "manifest", "it is too long")?;
        let manifest: Manifest = serde_json::from_str(&self.manifest)
            .map_err(|_| Invalid { field: "manifest", why: "it does not say what a release is" })?;
        manifest.check()?;
        Ok(manifest)
    }
}

impl Manifest {
    /// Whether everything in it is within bounds.
    pub fn check(&self) -> Result<(), Invalid> {
        ensure(Version::parse(&self.version).is_some(), "version", "a version looks like 1.2.3 or 1.2.3-rc.1")?;
        let word = |text: &str| {
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            (1..=20).contains(&text.len()) && text.chars().all(plain)
        };
        ensure(word(&self.platform), "platform", "a word such as linux is expected")?;
        ensure(word(&self.architecture), "architecture", "a word such as x86_64 is expected")?;
        ensure((1..=PROGRAM_BYTES_MAX).contains(&self.size), "size", "a program has 1 byte to 128 MiB")?;
        let digit = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        let hash = self.sha256.len() == 64 && self.sha256.chars().all(digit);
        ensure(hash, "sha256", "64 hexadecimal digits in small letters are expected")?;
        let older = self.replaces_up_to.is_empty() || Version::parse(&self.replaces_up_to).is_some();
        ensure(older, "replaces_up_to", "a version looks like 1.2.3 or 1.2.3-rc.1")?;
        ensure(self.notes.len() <= NOTES_BYTES_MAX, "notes", "they are too long")
    }

    /// Whether it may take the place of a version: of an older one always, of others where it was signed so.
    pub fn may_replace(&self, version: &str) -> bool {
        let (Some(new), Some(old)) = (Version::parse(&self.version), Version::parse(version)) else { return false };
        let up_to = Version::parse(&self.replaces_up_to);
        new > old || (new != old && up_to.is_some_and(|up_to| old <= up_to))
    }
}

/// A version, ordered as Semantic Versioning 2.0.0 orders (section 11).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    numbers: [u64; 3],
    /// What stands behind a hyphen: such a version comes before the one without.
    before: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Number(u64),
    Word(String),
}

impl Version {
    /// Reads `1.2.3` or `1.2.3-rc.1`.
    pub fn parse(text: &str) -> Option<Self> {
        if text.is_empty() || text.len() > VERSION_BYTES_MAX {
            return None;
        }
        let number = |text: &str| {
            let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
            if plain { text.parse::<u64>().ok() } else { None }
        };
        let (core, before) = match text.split_once('-') {
            Some((core, before)) => (core, Some(before)),
            None => (text, None),
        };
        let mut words = core.split('.');
        let mut next = || number(words.next()?);
        let numbers = [next()?, next()?, next()?];
        if words.next().is_some() {
            return None;
        }
        let part = |word: &str| {
            let plain = !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric());
            let digits = word.bytes().all(|b| b.is_ascii_digit());
            match (plain, digits) {
                (false, _) => None,
                (true, true) => number(word).map(Part::Number),
                (true, false) => Some(Part::Word(word.to_owned())),
            }
        };
        let before = before.map_or(Some(Vec::new()), |before| before.split('.').map(part).collect())?;
        Some(Self { numbers, before })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.numbers;
        write!(f, "{major}.{minor}.{patch}")?;
        for (at, part) in self.before.iter().enumerate() {
            f.write_str(if at == 0 { "-" } else { "." })?;
            match part {
                Part::Number(number) => write!(f, "{number}")?,
                Part::Word(word) => f.write_str(word)?,
            }
        }
        Ok(())
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let released = |version: &Self| version.before.is_empty();
        let numbers = self.numbers.cmp(&other.numbers);
        numbers.then(released(self).cmp(&released(other))).then_with(|| self.before.cmp(&other.before))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_semantic_versioning_orders() {
        let ordered = [
            "0.1.0",
            "0.9.9",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "1.0.10",
            "1.2.0",
            "10.0.0",
        ];
        for (at, text) in ordered.iter().enumerate() {
            let version = Version::parse(text).unwrap();
            assert_eq!(version.to_string(), *text);
            for (other_at, other) in ordered.iter().enumerate() {
                assert_eq!(version.cmp(&Version::parse(other).unwrap()), at.cmp(&other_at), "{text} {other}");
            }
        }
        let long = "1".repeat(60);
        for wrong in
            ["", "1", "1.2", "1.2.3.4", "01.2.3", "1.2.3-", "1.2.3-a..b", "1.2.x", "../1.2.3", "1.2.3-a/b", &long]
        {
            assert_eq!(Version::parse(wrong), None, "{wrong}");
        }
    }

    fn manifest() -> Manifest {
        Manifest {
            version: "1.2.0".into(),
            platform: "linux".into(),
            architecture: "x86_64".into(),
            size: 12,
            sha256: "ab".repeat(32),
            ..Manifest::default()
        }
    }

    #[test]
    fn older_versions_are_replaced_and_newer_ones_where_it_was_signed() {
        let plain = manifest();
        assert!(plain.may_replace("1.1.9") && !plain.may_replace("1.2.0") && !plain.may_replace("1.2.1"));
        assert!(!plain.may_replace("what"));
        let back = Manifest { replaces_up_to: "1.3.0".into(), ..manifest() };
        assert!(back.may_replace("1.3.0") && back.may_replace("1.2.1"));
        assert!(!back.may_replace("1.2.0") && !back.may_replace("1.3.1"), "the signature says how far back");
    }

    #[test]
    fn what_is_out_of_bounds_is_refused_and_what_a_newer_one_says_is_passed_over() {
        let sound = manifest();
        let signed =
            |text: String| SignedManifest { manifest: text, key: Blob(vec![1; 32]), signature: Blob(vec![2; 64]) };
        let text = serde_json::to_string(&sound).unwrap();
        assert_eq!(signed(text.clone()).read(), Ok(sound.clone()));
        let newer = text.replacen('{', r#"{"later": [1], "#, 1);
        assert_eq!(signed(newer).read(), Ok(sound.clone()));
        let change = |edit: fn(&mut Manifest)| {
            let mut manifest = manifest();
            edit(&mut manifest);
            signed(serde_json::to_string(&manifest).unwrap()).read().unwrap_err().field
        };
        assert_eq!(change(|m| m.version = "../../x".into()), "version");
        assert_eq!(change(|m| m.architecture = "a/b".into()), "architecture");
        assert_eq!(change(|m| m.size = 1 << 40), "size");
        assert_eq!(change(|m| m.sha256 = "AB".repeat(32)), "sha256");
        assert_eq!(change(|m| m.replaces_up_to = "all".into()), "replaces_up_to");
        assert_eq!(signed("{".into()).read().unwrap_err().field, "manifest");
        assert_eq!(SignedManifest { key: Blob(vec![1]), ..signed(text) }.read().unwrap_err().field, "key");
    }
}
