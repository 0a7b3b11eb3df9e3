//! Reading a log file as it grows, through rotation: by renaming (the old file is read to its end first), by copying and
//! truncating, and while nobody was reading (what was renamed meanwhile is found by its inode).

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Bytes of a line; the rest of a longer one is left out.
const LINE_BYTES_MAX: usize = 16 << 10;
/// Bytes that are read in one go.
const READ_BYTES: usize = 64 << 10;
/// Entries of the folder in which a renamed file is looked for.
const SIBLINGS_MAX: usize = 4_096;

/// Where reading stands: it is kept over restarts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Device of the file.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
    /// Bytes that were read and handed on, up to the end of a line.
    pub offset: u64,
}

/// A file that is followed.
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    file: Option<File>,
    position: Position,
    /// A line that has no end yet.
    rest: Vec<u8>,
    /// Bytes that were read of it, also those that did not fit.
    rest_bytes: u64,
    /// Lines that were cut.
    pub cut: u64,
}

impl Tail {
    /// Follows a file from where reading stood, else from its end.
    pub fn new(path: &Path, position: Option<Position>) -> Self {
        let mut tail = Self {
            path: path.to_owned(),
            file: None,
            position: Position::default(),
            rest: Vec::new(),
            rest_bytes: 0,
            cut: 0,
        };
        match position {
            Some(position) => tail.resume(position),
            None => {
                if let Ok((file, at)) = open(path) {
                    tail.position = Position { offset: file.metadata().map_or(0, |m| m.len()), ..at };
                    tail.file = Some(file);
                }
            }
        }
        tail
    }

    fn resume(&mut self, position: Position) {
        let same = |at: &Position| (at.device, at.inode) == (position.device, position.inode);
        let here = open(&self.path).ok();
        let length = |file: &File| file.metadata().map_or(0, |m| m.len());
        let renamed = || {
            let folder = fs::read_dir(self.path.parent()?).ok()?;
            let name = self.path.file_name()?.as_encoded_bytes();
            let alike =
                folder.flatten().take(SIBLINGS_MAX).filter(|e| e.file_name().as_encoded_bytes().starts_with(name));
            alike.filter_map(|e| open(&e.path()).ok()).find(|(_, at)| same(at))
        };
        let found = match here {
            Some((file, at)) if same(&at) => Some(file),
            _ => renamed().map(|(file, _)| file),
        };
        // Of a file that was truncated, or is gone, everything that is there now is new.
        if let Some(file) = found {
            let offset = if length(&file) >= position.offset { position.offset } else { 0 };
            self.position = Position { offset, ..position };
            self.file = Some(file);
        }
    }

    /// Where reading stands.
    pub const fn position(&self) -> &Position {
        &self.position
    }

    /// Hands on the lines that are there, at most about so many bytes, and for as long as `line` takes more; whether there may be
    /// more.
    pub fn read(&mut self, bytes_max: usize, mut line: impl FnMut(&str) -> bool) -> io::Result<bool> {
        let mut left = bytes_max;
        loop {
            if self.file.is_none() {
                match open(&self.path) {
                    Ok((file, at)) => (self.file, self.position) = (Some(file), at),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                    Err(error) => return Err(error),
                }
            }
            if left == 0 {
                return Ok(true);
            }
            let (read, enough) = self.some(left.min(READ_BYTES), &mut line)?;
            if enough {
                return Ok(true);
            }
            left = left.saturating_sub(read);
            if read == 0 && !self.rotated()? {
                return Ok(false);
            }
        }
    }

    /// How many bytes were read, and whether no more lines are taken: then those behind are read again.
    fn some(&mut self, bytes_max: usize, line: &mut impl FnMut(&str) -> bool) -> io::Result<(usize, bool)> {
        let Some(file) = &mut self.file else { return Ok((0, false)) };
        let start = self.position.offset + self.rest_bytes;
        if file.metadata()?.len() < start {
            // It was truncated after it was copied.
            (self.position.offset, self.rest_bytes) = (0, 0);
            self.rest.clear();
        }
        file.seek(SeekFrom::Start(self.position.offset + self.rest_bytes))?;
        let mut buffer = vec![0; bytes_max];
        let read = file.read(&mut buffer)?;
        for part in buffer[..read].split_inclusive(|b| *b == b'\n') {
            let room = LINE_BYTES_MAX.saturating_sub(self.rest.len());
            let text = part.strip_suffix(b"\n").unwrap_or(part);
            self.rest.extend_from_slice(&text[..text.len().min(room)]);
            self.cut += u64::from(text.len() > room && self.rest_bytes < LINE_BYTES_MAX as u64 + READ_BYTES as u64);
            self.rest_bytes += part.len() as u64;
            if part.ends_with(b"\n") {
                let more = line(String::from_utf8_lossy(&self.rest).trim_end_matches('\r'));
                self.position.offset += self.rest_bytes;
                self.rest.clear();
                self.rest_bytes = 0;
                if !more {
                    return Ok((read, true));
                }
            }
        }
        Ok((read, false))
    }

    /// Whether another file has the name now; then that one is next.
    fn rotated(&mut self) -> io::Result<bool> {
        match fs::metadata(&self.path) {
            Ok(m) if (m.dev(), m.ino()) == (self.position.device, self.position.inode) => Ok(false),
            Ok(_) => {
                self.file = None;
                self.rest.clear();
                self.rest_bytes = 0;
                Ok(true)
            }
            // Between renaming and making the new one.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn open(path: &Path) -> io::Result<(File, Position)> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    Ok((file, Position { device: metadata.dev(), inode: metadata.ino(), offset: 0 }))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn append(path: &Path, text: &str) {
        File::options().create(true).append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    fn lines(tail: &mut Tail) -> Vec<String> {
        let mut lines = Vec::new();
        let mut take = |line: &str| {
            lines.push(line.to_owned());
            true
        };
        while tail.read(1 << 20, &mut take).unwrap() {}
        lines
    }

    #[test]
    fn who_has_enough_reads_on_where_it_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        append(&path, "");
        let mut tail = Tail::new(&path, None);
        append(&path, "one\ntwo\nthree\nfo");
        let mut read = Vec::new();
        for offset in [4, 8, 14] {
            assert!(
                tail.read(1 << 20, |line| {
                    read.push(line.to_owned());
                    false
                })
                .unwrap()
            );
            assert_eq!(tail.position().offset, offset);
        }
        append(&path, "ur\n");
        assert_eq!((read.join(" ").as_str(), lines(&mut tail)), ("one two three", vec!["four".to_owned()]));
    }

    #[test]
    fn growth_rotation_truncation_and_restart() {
        let folder = tempfile::tempdir().unwrap();
        let (path, old) = (folder.path().join("log"), folder.path().join("log.1"));
        append(&path, "before\n");
        let mut tail = Tail::new(&path, None);
        assert!(lines(&mut tail).is_empty(), "what was there before is not read");
        append(&path, "one\ntw");
        assert_eq!(lines(&mut tail), ["one"]);
        append(&path, "o\nthree\n");
        assert_eq!(lines(&mut tail), ["two", "three"]);
        // Renamed; the old one still gets a line before the new one is made.
        fs::rename(&path, &old).unwrap();
        append(&old, "last\n");
        assert_eq!(lines(&mut tail), ["last"]);
        append(&path, "first\n");
        assert_eq!(lines(&mut tail), ["first"]);
        // Renamed while nobody reads.
        append(&path, "unread\n");
        let position = tail.position().clone();
        drop(tail);
        append(&path, "unread too\n");
        fs::rename(&path, &old).unwrap();
        append(&path, "new\n");
        let mut tail = Tail::new(&path, Some(position));
        assert_eq!(lines(&mut tail), ["unread", "unread too", "new"]);
        // Copied and truncated.
        File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
        append(&path, "x\n");
        assert_eq!(lines(&mut tail), ["x"]);
    }

    #[test]
    fn long_lines_are_cut_and_bytes_kept_in_step() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        append(&path, "");
        let mut tail = Tail::new(&path, None);
        append(&path, &format!("{}\nshort\n", "a".repeat(200_000)));
        let read = lines(&mut tail);
        assert_eq!((read[0].len(), read[1].as_str()), (LINE_BYTES_MAX, "short"));
        assert_eq!(tail.position().offset, fs::metadata(&path).unwrap().len());
        assert!(tail.cut > 0);
    }
}
