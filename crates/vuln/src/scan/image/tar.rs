//! Reading an archive of tar as it comes: POSIX ustar and pax, GNU's long names. Our own, because what an image holds is
//! written by strangers: no header makes it hold more than its limits, and nothing is read twice.

use std::io::{self, BufRead, Read};

/// Bytes of a header, and of what everything is a multiple of.
const BLOCK_BYTES: usize = 512;
/// Bytes of a name or of extended attributes that are read; what is longer has no name.
const NAME_BYTES_MAX: u64 = 1 << 20;

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// Another name of a file that stood before.
    Link(String),
    /// A symbolic link.
    Symbolic(String),
    /// A device, or anything else that has no content.
    Other,
}

/// An entry. What it holds is read next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its path: without a slash in front, without `.`; empty where it leads out of the archive.
    pub(super) path: String,
    /// What it is.
    pub(super) kind: Kind,
    /// Permissions.
    pub(super) mode: u32,
    /// Bytes that it holds.
    pub(super) bytes: u64,
}

/// An archive that is being read.
pub(super) struct Archive<R> {
    reader: R,
    /// Bytes of the entry that were not read yet, and of the padding behind it.
    left: u64,
    padding: u64,
}

fn malformed(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

impl<R: BufRead> Archive<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, left: 0, padding: 0 }
    }

    /// The next entry; none at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Entry>> {
        let (mut long_name, mut long_link, mut long_bytes) = (None, None, None);
        loop {
            self.pass()?;
            let mut header = [0; BLOCK_BYTES];
            if !self.header(&mut header)? {
                return Ok(None);
            }
            let bytes = number(&header[124..136]).ok_or(malformed("a header of tar without a length"))?;
            self.holds(bytes);
            match header[156] {
                b'L' => long_name = Some(self.name()?),
                b'K' => long_link = Some(self.name()?),
                b'x' => {
                    for (key, value) in pax(&self.small()?) {
                        match key.as_str() {
                            "path" => long_name = Some(value),
                            "linkpath" => long_link = Some(value),
                            "size" => long_bytes = value.parse().ok(),
                            _ => {}
                        }
                    }
                }
                // What holds for all entries is of no interest here.
                b'g' => {}
                kind => {
                    if let Some(bytes) = long_bytes {
                        self.holds(bytes);
                    }
                    let name = long_name.unwrap_or_else(|| short_name(&header));
                    let link = long_link.unwrap_or_else(|| text(&header[157..257]));
                    return Ok(Some(self.entry(kind, &name, &link, number(&header[100..108]).unwrap_or(0))));
                }
            }
        }
    }

    fn entry(&mut self, kind: u8, name: &str, link: &str, mode: u64) -> Entry {
        let kind = match kind {
            b'0' | 0 | b'7' if name.ends_with('/') => Kind::Folder,
            b'0' | 0 | b'7' => Kind::File,
            b'1' => Kind::Link(clean(link)),
            b'2' => Kind::Symbolic(link.to_owned()),
            b'5' => Kind::Folder,
            _ => Kind::Other,
        };
        // Some write the length of what a link points to.
        if !matches!(kind, Kind::File | Kind::Other) {
            self.holds(0);
        }
        Entry { path: clean(name), kind, mode: mode as u32, bytes: self.left }
    }

    fn holds(&mut self, bytes: u64) {
        self.left = bytes;
        self.padding = bytes.next_multiple_of(BLOCK_BYTES as u64) - bytes;
    }

    /// Reads a header; false at the end, which is a block of zeros, or where there is no more.
    fn header(&mut self, header: &mut [u8; BLOCK_BYTES]) -> io::Result<bool> {
        let mut read = 0;
        while read < BLOCK_BYTES {
            match self.reader.read(&mut header[read..])? {
                0 if read == 0 => return Ok(false),
                0 => return Err(malformed("an archive of tar that is cut off")),
                more => read += more,
            }
        }
        if header.iter().all(|byte| *byte == 0) {
            return Ok(false);
        }
        // The sum of all bytes, with that of the sum itself as spaces.
        let sum: u64 =
            header.iter().enumerate().map(|(at, b)| u64::from(if (148..156).contains(&at) { b' ' } else { *b })).sum();
        match number(&header[148..156]) == Some(sum) {
            true => Ok(true),
            false => Err(malformed("a header of tar whose sum is wrong")),
        }
    }

    /// Passes over what is left of the entry.
    fn pass(&mut self) -> io::Result<()> {
        let mut left = self.left.saturating_add(self.padding);
        (self.left, self.padding) = (0, 0);
        // Nothing is copied: what is passed over is most of an image.
        while left > 0 {
            let here = match self.reader.fill_buf() {
                Ok(bytes) => bytes.len(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if here == 0 {
                return Err(malformed("an archive of tar that is cut off"));
            }
            let passed = usize::try_from(left).unwrap_or(usize::MAX).min(here);
            self.reader.consume(passed);
            left -= passed as u64;
        }
        Ok(())
    }

    fn small(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        if self.left <= NAME_BYTES_MAX {
            self.read_to_end(&mut bytes)?;
        }
        Ok(bytes)
    }

    fn name(&mut self) -> io::Result<String> {
        Ok(text(&self.small()?))
    }
}

impl<R: BufRead> Read for Archive<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let room = into.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = self.reader.read(&mut into[..room])?;
        self.left -= read as u64;
        if read == 0 && room > 0 { Err(malformed("an archive of tar that is cut off")) } else { Ok(read) }
    }
}

/// Up to the first zero.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
}

/// Name and the folder in front of it, which ustar keeps apart.
fn short_name(header: &[u8; BLOCK_BYTES]) -> String {
    let name = text(&header[..100]);
    let prefix = text(&header[345..500]);
    let ustar = &header[257..263] == b"ustar\0" && !prefix.is_empty();
    if ustar { format!("{prefix}/{name}") } else { name }
}

/// Octal digits, or bytes where the first has its highest bit set.
fn number(field: &[u8]) -> Option<u64> {
    if field[0] & 0x80 != 0 {
        let value = field[1..].iter().try_fold(u64::from(field[0] & 0x7f), |value, byte| {
            value.checked_mul(256).map(|value| value | u64::from(*byte))
        })?;
        return (value < 1 << 60).then_some(value);
    }
    let digits = text(field);
    let digits = digits.trim();
    if digits.is_empty() { Some(0) } else { u64::from_str_radix(digits, 8).ok() }
}

/// `LENGTH KEY=VALUE\n`, where the length counts all of it.
fn pax(mut records: &[u8]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    while let Some(space) = records.iter().position(|byte| *byte == b' ') {
        let length = std::str::from_utf8(&records[..space]).ok().and_then(|digits| digits.parse::<usize>().ok());
        let Some(record) = length.and_then(|length| records.get(space + 1..length)) else { break };
        let record = String::from_utf8_lossy(record.strip_suffix(b"\n").unwrap_or(record)).into_owned();
        if let Some((key, value)) = record.split_once('=') {
            found.push((key.to_owned(), value.to_owned()));
        }
        records = &records[length.unwrap_or(records.len())..];
    }
    found
}

/// A path in one form; empty where it leads out of the archive.
pub(super) fn clean(path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                if parts.pop().is_none() {
                    return String::new();
                }
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}
