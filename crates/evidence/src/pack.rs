//! The archive within: entries, then a manifest with the hashes of all of them.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use crate::key::{Lock, Unlock};
use crate::{EvidenceError, Opener, Sealer};

/// The last entry.
pub const MANIFEST_NAME: &str = "manifest.json";
/// Entries of one pack.
pub const ENTRIES_MAX: usize = 200_000;
/// Bytes of the name of an entry.
pub const NAME_BYTES_MAX: usize = 8_192;
/// Bytes of a manifest that is read.
const MANIFEST_BYTES_MAX: u64 = 256 << 20;
/// Strength of compression: the machine has other things to do.
const LEVEL: i32 = 3;

/// Where an entry came from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Origin {
    /// Its path on the machine; empty for what was put together by the agent.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// Permissions and kind, as `stat` has them.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// When the content changed last, in UTC microseconds.
    pub modified: i64,
    /// When anything about it changed last, in UTC microseconds.
    pub changed: i64,
    /// When it was read last, in UTC microseconds.
    pub accessed: i64,
    /// What else is to be known.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// One entry, as the manifest has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name in the archive.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// BLAKE3, in hexadecimal digits.
    pub blake3: String,
    /// SHA-256, in hexadecimal digits.
    pub sha256: String,
    /// Where it came from.
    #[serde(flatten)]
    pub origin: Origin,
}

/// Something that was asked for and is not there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// What.
    pub what: String,
    /// Why.
    pub why: String,
}

/// What is in a pack.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Manifest {
    /// The machine, by its id on the server.
    pub host: String,
    /// The command that asked for it.
    pub command: String,
    /// Who decided it.
    pub by: String,
    /// When it was begun, in UTC microseconds by the machine's clock.
    pub begun: i64,
    /// When it was done.
    pub ended: i64,
    /// The entries, in their order.
    pub entries: Vec<Entry>,
    /// What is not there.
    pub left_out: Vec<LeftOut>,
}

/// A pack that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// Length of the file.
    pub bytes: u64,
    /// BLAKE3 of the file.
    pub blake3: [u8; 32],
    /// Length of the entries before compression.
    pub raw_bytes: u64,
    /// BLAKE3 of the manifest.
    pub manifest: [u8; 32],
}

/// Two hashes at once.
struct Hashes {
    blake3: blake3::Hasher,
    sha256: ring::digest::Context,
    bytes: u64,
}

impl Hashes {
    fn new() -> Self {
        Self { blake3: blake3::Hasher::new(), sha256: ring::digest::Context::new(&ring::digest::SHA256), bytes: 0 }
    }

    fn update(&mut self, bytes: &[u8]) {
        self.blake3.update(bytes);
        self.sha256.update(bytes);
        self.bytes += bytes.len() as u64;
    }

    fn finish(self) -> (u64, String, String) {
        let sha256 = self.sha256.finish();
        (self.bytes, self.blake3.finalize().to_hex().to_string(), HEXLOWER.encode(sha256.as_ref()))
    }
}

/// Counts and hashes what passes.
struct Meter<W> {
    out: W,
    bytes: u64,
    blake3: blake3::Hasher,
}

impl<W: Write> Write for Meter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.blake3.update(&bytes[..count]);
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Takes exactly `left` bytes from a source that may have become shorter: what is missing is zeros.
struct Exactly<'a, R: ?Sized> {
    source: &'a mut R,
    left: u64,
    missing: u64,
    hashes: Hashes,
}

impl<R: Read + ?Sized> Read for Exactly<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let room = usize::try_from(self.left).unwrap_or(usize::MAX).min(out.len());
        if room == 0 {
            return Ok(0);
        }
        let out = &mut out[..room];
        let mut count = if self.missing > 0 { 0 } else { self.source.read(out)? };
        if count == 0 {
            out.fill(0);
            count = room;
            self.missing += room as u64;
        }
        self.hashes.update(&out[..count]);
        self.left -= count as u64;
        Ok(count)
    }
}

type Inner<W> = zstd::stream::write::Encoder<'static, Sealer<Meter<W>>>;

/// Makes a pack.
pub struct PackWriter<W: Write> {
    tar: tar::Builder<Inner<W>>,
    manifest: Manifest,
    raw_bytes: u64,
    raw_bytes_max: u64,
}

impl<W: Write> PackWriter<W> {
    /// Begins one with at most so many bytes before compression.
    pub fn new(out: W, lock: &Lock, manifest: Manifest, raw_bytes_max: u64) -> Result<Self, EvidenceError> {
        let meter = Meter { out, bytes: 0, blake3: blake3::Hasher::new() };
        let encoder = zstd::stream::write::Encoder::new(Sealer::new(meter, lock)?, LEVEL)?;
        Ok(Self { tar: tar::Builder::new(encoder), manifest, raw_bytes: 0, raw_bytes_max })
    }

    /// Bytes that may still be added.
    pub fn room(&self) -> u64 {
        self.raw_bytes_max.saturating_sub(self.raw_bytes)
    }

    /// What is in it so far.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Notes that something is not there.
    pub fn left_out(&mut self, what: &str, why: &str) {
        if self.manifest.left_out.len() < ENTRIES_MAX {
            self.manifest.left_out.push(LeftOut { what: what.to_owned(), why: why.to_owned() });
        }
    }

    /// Adds `bytes` bytes from a source. One that ends before is filled up with zeros, which the manifest says. Whether
    /// there was room for it.
    pub fn add<R: Read + ?Sized>(
        &mut self,
        name: &str,
        origin: Origin,
        bytes: u64,
        source: &mut R,
    ) -> Result<bool, EvidenceError> {
        let fits = bytes <= self.room() && self.manifest.entries.len() < ENTRIES_MAX;
        if !fits || !name_is_plain(name) || name == MANIFEST_NAME {
            self.left_out(name, if fits { "its name cannot be used" } else { "there was no room for it" });
            return Ok(false);
        }
        let mut reader = Exactly { source, left: bytes, missing: 0, hashes: Hashes::new() };
        append(&mut self.tar, name, bytes, origin.modified, &mut reader)?;
        let (missing, (bytes, blake3, sha256)) = (reader.missing, reader.hashes.finish());
        let mut origin = origin;
        if missing > 0 {
            origin.note = format!("{missing} bytes at its end are zeros: it became shorter while it was read");
        }
        self.raw_bytes += bytes;
        self.manifest.entries.push(Entry { name: name.to_owned(), bytes, blake3, sha256, origin });
        Ok(true)
    }

    /// Writes the manifest and the end.
    pub fn finish(mut self, ended: i64) -> Result<(Made, Manifest, W), EvidenceError> {
        self.manifest.ended = ended;
        let manifest = serde_json::to_vec(&self.manifest).map_err(io::Error::from)?;
        append(&mut self.tar, MANIFEST_NAME, manifest.len() as u64, ended, &mut manifest.as_slice())?;
        let meter = self.tar.into_inner()?.finish()?.finish()?;
        let made = Made {
            bytes: meter.bytes,
            blake3: *meter.blake3.finalize().as_bytes(),
            raw_bytes: self.raw_bytes,
            manifest: *blake3::hash(&manifest).as_bytes(),
        };
        Ok((made, self.manifest, meter.out))
    }
}

fn append<W: Write>(
    tar: &mut tar::Builder<W>,
    name: &str,
    bytes: u64,
    modified: i64,
    source: &mut impl Read,
) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes);
    // Whoever unpacks it elsewhere shall not get programs that run, nor files of other users.
    header.set_mode(0o600);
    header.set_mtime(u64::try_from(modified / 1_000_000).unwrap_or(0));
    tar.append_data(&mut header, name, source)
}

/// Whether a name stays within the folder that it is unpacked into.
fn name_is_plain(name: &str) -> bool {
    let parts = || name.split('/');
    (1..=NAME_BYTES_MAX).contains(&name.len())
        && !name.contains('\0')
        && !parts().any(|part| matches!(part, "" | "." | ".."))
}

/// A pack that was read to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// What it says is in it.
    pub manifest: Manifest,
    /// Where what is in it differs from what it says; none for a sound pack.
    pub problems: Vec<String>,
    /// BLAKE3 of the manifest.
    pub digest: [u8; 32],
}

/// Reads a pack of at most `bytes_max` bytes before compression, gives every entry to `each`, which may read it or not, and
/// compares all with the manifest. Whoever made it may be an enemy: names that leave the folder are refused.
pub fn open<R: Read>(
    input: R,
    unlock: &Unlock,
    bytes_max: u64,
    mut each: impl FnMut(&str, &mut dyn Read) -> io::Result<()>,
) -> Result<Opened, EvidenceError> {
    let limited = zstd::stream::read::Decoder::new(Opener::new(input, unlock)?)?.take(bytes_max.saturating_add(1));
    let mut archive = tar::Archive::new(limited);
    let (mut found, mut manifest, mut problems) = (BTreeMap::new(), None, Vec::new());
    for entry in archive.entries()? {
        let entry = entry?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if !name_is_plain(&name) || !entry.header().entry_type().is_file() {
            return Err(EvidenceError::Limit("what an entry may be"));
        }
        if manifest.is_some() {
            problems.push(format!("`{name}` stands behind the manifest"));
        }
        if found.len() > ENTRIES_MAX {
            return Err(EvidenceError::Limit("the number of entries"));
        }
        if name == MANIFEST_NAME {
            let mut bytes = Vec::new();
            entry.take(MANIFEST_BYTES_MAX).read_to_end(&mut bytes)?;
            let read: Manifest = serde_json::from_slice(&bytes).map_err(|_| EvidenceError::NoManifest)?;
            manifest = Some((read, *blake3::hash(&bytes).as_bytes()));
            continue;
        }
        let mut hashed = Hashed { entry, hashes: Hashes::new() };
        each(&name, &mut hashed)?;
        // What was not read is hashed all the same.
        io::copy(&mut hashed, &mut io::sink())?;
        if found.insert(name.clone(), hashed.hashes.finish()).is_some() {
            problems.push(format!("`{name}` is there twice"));
        }
    }
    let over = archive.into_inner().limit() == 0;
    if over {
        return Err(EvidenceError::Limit("the length of a pack"));
    }
    let (manifest, digest) = manifest.ok_or(EvidenceError::NoManifest)?;
    for entry in &manifest.entries {
        match found.remove(&entry.name) {
            None => problems.push(format!("`{}` is missing", entry.name)),
            Some((bytes, blake3, sha256)) => {
                if (bytes, &blake3, &sha256) != (entry.bytes, &entry.blake3, &entry.sha256) {
                    problems.push(format!("`{}` is not what the manifest says", entry.name));
                }
            }
        }
    }
    problems.extend(found.into_keys().map(|name| format!("`{name}` is not in the manifest")));
    Ok(Opened { manifest, problems, digest })
}

struct Hashed<R> {
    entry: R,
    hashes: Hashes,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.entry.read(out)?;
        self.hashes.update(&out[..count]);
        Ok(count)
    }
}

#[cfg(test)]
#[path = "pack_tests.rs"]
mod tests;
