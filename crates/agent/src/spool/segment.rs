//! One file of the spool: records of (length, CRC-32, sequence, rows, frame), one behind the other. Where the highest bit of the
//! length is set, a mark follows the frame: a length, the name of its source with the length of that before it, and the place.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use guardian_protocol::limits::FRAME_BYTES_MAX;

use super::Mark;

/// Bytes before the frame.
pub(super) const HEAD_BYTES: usize = 20;
/// Bytes of a mark.
pub(super) const MARK_BYTES_MAX: usize = 64 << 10;
/// Says that a mark follows the frame.
const MARKED: u32 = 1 << 31;
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
    /// The marks in it, with the sequences of their records; of each source the last.
    pub(super) marks: Vec<(u64, Mark)>,
}

/// A record of a segment.
pub(super) struct Record {
    pub(super) sequence: u64,
    pub(super) rows: u32,
    pub(super) frame: Vec<u8>,
    pub(super) mark: Option<Mark>,
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
        let mut segment = Self { path, first, last: first.saturating_sub(1), records: 0, bytes: 0, marks: Vec::new() };
        while let Some(record) = read(&file, segment.bytes)? {
            if record.sequence <= segment.last && segment.records > 0 || record.sequence < first {
                break;
            }
            (segment.last, segment.bytes) = (record.sequence, record.end);
            segment.records += 1;
            if let Some(mark) = record.mark {
                segment.marks.retain(|(_, known)| known.source != mark.source);
                segment.marks.push((record.sequence, mark));
            }
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
pub(super) fn record(sequence: u64, rows: u32, frame: &[u8], mark: Option<&Mark>) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEAD_BYTES + frame.len());
    let marked = if mark.is_some() { MARKED } else { 0 };
    out.extend_from_slice(&(frame.len() as u32 | marked).to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&sequence.to_le_bytes());
    out.extend_from_slice(&rows.to_le_bytes());
    out.extend_from_slice(frame);
    if let Some(mark) = mark {
        let (source, place) = (mark.source.as_bytes(), mark.place.as_slice());
        out.extend_from_slice(&((4 + source.len() + place.len()) as u32).to_le_bytes());
        out.extend_from_slice(&(source.len() as u32).to_le_bytes());
        out.extend_from_slice(source);
        out.extend_from_slice(place);
    }
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
    let (length, crc, rows) = ((number(0) & !MARKED) as usize, number(4), number(16));
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
    let mut end = at + (HEAD_BYTES + length) as u64;
    let mut marked = Vec::new();
    if number(0) & MARKED != 0 {
        let mut bytes = [0; 4];
        if !fill(file, &mut bytes, end)? {
            return Ok(None);
        }
        let length = u32::from_le_bytes(bytes) as usize;
        if length > MARK_BYTES_MAX {
            return Ok(None);
        }
        marked.resize(length, 0);
        if !fill(file, &mut marked, end + 4)? {
            return Ok(None);
        }
        hash.update(&bytes);
        hash.update(&marked);
        end += 4 + length as u64;
    }
    if hash.finalize() != crc {
        return Ok(None);
    }
    let sequence = u64::from(number(8)) | u64::from(number(12)) << 32;
    Ok(Some(Record { sequence, rows, frame, mark: mark_of(&marked), end }))
}

/// A mark from its bytes; none where they are none.
fn mark_of(bytes: &[u8]) -> Option<Mark> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (source, place) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    Some(Mark { source: str::from_utf8(source).ok()?.to_owned(), place: place.to_vec() })
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
