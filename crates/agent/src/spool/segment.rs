//! One file of the spool: records of (length, CRC-32, sequence, rows, frame), one behind the other.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use guardian_protocol::limits::FRAME_BYTES_MAX;

/// Bytes before the frame.
pub(super) const HEAD_BYTES: usize = 20;
/// Bytes before the body of a frame, and the frame's largest body.
const BODY_BYTES_MAX: usize = FRAME_BYTES_MAX + 64;

/// A segment as it stands on the disk.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) path: PathBuf,
    /// Sequence of its first record, which is its name.
    pub(super) first: u64,
    /// Sequence of its last record; below `first` while it has none.
    pub(super) last: u64,
    pub(super) records: u64,
    pub(super) bytes: u64,
}

/// A record of a segment.
pub(super) struct Record {
    pub(super) sequence: u64,
    pub(super) rows: u32,
    pub(super) frame: Vec<u8>,
    /// Where the next begins.
    pub(super) end: u64,
}

impl Segment {
    pub(super) fn path_of(dir: &Path, first: u64) -> PathBuf {
        dir.join(format!("{first:020}.seg"))
    }

    /// Reads a segment through, and cuts off what is torn.
    pub(super) fn open(path: PathBuf, first: u64) -> io::Result<Self> {
        let file = File::options().read(true).write(true).open(&path)?;
        let mut segment = Self { path, first, last: first.saturating_sub(1), records: 0, bytes: 0 };
        while let Some(record) = read(&file, segment.bytes)? {
            if record.sequence <= segment.last && segment.records > 0 || record.sequence < first {
                break;
            }
            (segment.last, segment.bytes) = (record.sequence, record.end);
            segment.records += 1;
        }
        if file.metadata()?.len() > segment.bytes {
            file.set_len(segment.bytes)?;
            file.sync_all()?;
        }
        Ok(segment)
    }

    /// The segments of a folder, oldest first.
    pub(super) fn list(dir: &Path) -> io::Result<Vec<Self>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|n| n.to_str()).and_then(|n| n.strip_suffix(".seg"));
            if let Some(first) = name.and_then(|n| n.parse().ok()) {
                found.push((first, path));
            }
        }
        found.sort();
        found.into_iter().map(|(first, path)| Self::open(path, first)).collect()
    }
}

/// The bytes of a record.
pub(super) fn record(sequence: u64, rows: u32, frame: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEAD_BYTES + frame.len());
    out.extend_from_slice(&(frame.len() as u32).to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&sequence.to_le_bytes());
    out.extend_from_slice(&rows.to_le_bytes());
    out.extend_from_slice(frame);
    let crc = crc32fast::hash(&out[8..]);
    out[4..8].copy_from_slice(&crc.to_le_bytes());
    out
}

/// The record at `at`; none where no whole and sound one stands.
pub(super) fn read(file: &File, at: u64) -> io::Result<Option<Record>> {
    let mut head = [0; HEAD_BYTES];
    if !fill(file, &mut head, at)? {
        return Ok(None);
    }
    let number = |from: usize| u32::from_le_bytes([head[from], head[from + 1], head[from + 2], head[from + 3]]);
    let (length, crc, rows) = (number(0) as usize, number(4), number(16));
    if length > BODY_BYTES_MAX {
        return Ok(None);
    }
    let mut frame = vec![0; length];
    if !fill(file, &mut frame, at + HEAD_BYTES as u64)? {
        return Ok(None);
    }
    let mut hash = crc32fast::Hasher::new();
    hash.update(&head[8..]);
    hash.update(&frame);
    if hash.finalize() != crc {
        return Ok(None);
    }
    let sequence = u64::from(number(8)) | u64::from(number(12)) << 32;
    Ok(Some(Record { sequence, rows, frame, end: at + (HEAD_BYTES + length) as u64 }))
}

fn fill(file: &File, bytes: &mut [u8], at: u64) -> io::Result<bool> {
    match file.read_exact_at(bytes, at) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// A small text file; none where it is not.
pub(super) fn text(path: &Path) -> io::Result<Option<String>> {
    let mut text = String::new();
    match File::open(path) {
        Ok(file) => file.take(64).read_to_string(&mut text).map(|_| Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
