//! A file that a package owns, as the package's database says: what [`crate::dpkg`], [`crate::rpm`], [`crate::apk`],
//! [`crate::pacman`] and [`crate::portage`] have in common, to compare with what is on the disk.

use serde::{Deserialize, Serialize};

/// How a digest was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// MD5 (RFC 1321). It says that nobody made a mistake, not that nobody made it on purpose.
    Md5,
    /// SHA-1 (FIPS 180-4).
    Sha1,
    /// SHA-256 (FIPS 180-4).
    Sha256,
    /// SHA-384 (FIPS 180-4).
    Sha384,
    /// SHA-512 (FIPS 180-4).
    Sha512,
}

impl Algorithm {
    /// Length of its digests in bytes.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// By its number in OpenPGP (RFC 9580 section 9.5), as rpm names it.
    pub const fn of_openpgp(number: u32) -> Option<Self> {
        Some(match number {
            1 => Self::Md5,
            2 => Self::Sha1,
            8 => Self::Sha256,
            9 => Self::Sha384,
            10 => Self::Sha512,
            _ => return None,
        })
    }
}

/// A digest of a file's content.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Digest {
    /// How it was made.
    pub algorithm: Algorithm,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl Digest {
    /// From hex digits, as many as the algorithm makes.
    pub fn of_hex(algorithm: Algorithm, hex: &[u8]) -> Option<Self> {
        if hex.len() != 2 * algorithm.bytes() {
            return None;
        }
        Some(Self { algorithm, bytes: unhex(hex)? })
    }
}

/// Bytes from pairs of hex digits.
pub(crate) fn unhex(hex: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| (byte as char).to_digit(16).map(|digit| digit as u8);
    hex.chunks(2).map(|two| Some(digit(two[0])? << 4 | digit(*two.get(1)?)?)).collect()
}

/// An owner or group, as the database says.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Account {
    /// By its name, which the machine's own accounts resolve.
    Name(String),
    /// By its number.
    Number(u32),
}

/// A file that a package owns. What its database does not say is none, and is not compared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owned {
    /// Path from the root, with a slash in front. Bytes: it need not be UTF-8.
    pub path: Vec<u8>,
    /// Type bits of the mode (`S_IFMT`).
    pub kind: Option<u32>,
    /// Permissions, with the bits for set-user-id, set-group-id and sticky.
    pub mode: Option<u32>,
    /// Owner.
    pub user: Option<Account>,
    /// Group.
    pub group: Option<Account>,
    /// Length in bytes.
    pub size: Option<u64>,
    /// Last change of the content, in seconds since the epoch.
    pub modified_s: Option<i64>,
    /// Target of a symbolic link.
    pub target: Option<Vec<u8>>,
    /// Digest of the content.
    pub digest: Option<Digest>,
    /// Capabilities, in the text form (`cap_from_text(3)`); empty where it has none.
    pub capabilities: Option<String>,
    /// Number of the device.
    pub device: Option<u64>,
    /// Whether it is configuration, that its owner may change.
    pub config: bool,
    /// Whether it is not part of the package but made later ("ghost"), so that only its place is known.
    pub ghost: bool,
    /// Whether it may be missing.
    pub may_miss: bool,
}

/// The type bits of a mode.
pub const KIND_MASK: u32 = 0o170_000;
/// A regular file.
pub const REGULAR: u32 = 0o100_000;
/// A folder.
pub const FOLDER: u32 = 0o040_000;
/// A symbolic link.
pub const LINK: u32 = 0o120_000;
