//! Where one downloaded file lies: the file itself, and hidden beside it what its publisher said of it and what came so far
//! of the next one. Builds and web servers pass over what is hidden.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use guardian_vuln::limits::FILE_HEAD_BYTES;
use reqwest::header::{ETAG, HeaderMap, LAST_MODIFIED};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Bytes of what is kept of a file.
const MARK_BYTES_MAX: u64 = 64 << 10;

/// What a publisher said of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// Where it came from.
    pub(super) url: String,
    /// Its version.
    pub(super) etag: Option<String>,
    /// When it changed.
    pub(super) modified: Option<String>,
    /// When it came, in seconds since the epoch.
    pub(super) fetched_s: i64,
    /// Its length; of one that is not whole, 0.
    pub(super) bytes: u64,
}

impl Mark {
    /// What the answer says.
    pub(super) fn of(url: &str, headers: &HeaderMap) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Self { url: url.to_owned(), etag: text(ETAG), modified: text(LAST_MODIFIED), ..Self::default() }
    }

    /// By what a publisher knows whether the rest still belongs to what is there (RFC 9110, section 13.1.5): a weak version
    /// does not say that every byte is the same.
    pub(super) fn validator(&self) -> Option<&str> {
        self.etag.as_deref().filter(|etag| etag.starts_with('"')).or(self.modified.as_deref())
    }
}

/// The place of a file.
pub(super) struct Place {
    folder: PathBuf,
    name: String,
}

impl Place {
    pub(super) fn new(folder: &Path, source: &str, name: &str) -> Self {
        Self { folder: folder.join(source), name: name.to_owned() }
    }

    /// Makes the folder.
    pub(super) fn prepare(&self) -> io::Result<()> {
        std::fs::create_dir_all(&self.folder)
    }

    pub(super) fn file(&self) -> PathBuf {
        self.folder.join(&self.name)
    }

    fn hidden(&self, end: &str) -> PathBuf {
        self.folder.join(format!(".{}.{end}", self.name))
    }

    pub(super) fn part(&self) -> PathBuf {
        self.hidden("part")
    }

    /// What is known of the file that is there, if it came from the address and is as it came.
    pub(super) fn mark(&self, url: &str) -> Option<Mark> {
        let mark: Mark = read_json(&self.hidden("mark"), MARK_BYTES_MAX)?;
        let bytes = std::fs::metadata(self.file()).ok()?.len();
        (mark.url == url && mark.bytes == bytes).then_some(mark)
    }

    /// When the file that is there came; 0 where there is none.
    pub(super) fn kept_s(&self) -> i64 {
        let there = self.file().is_file();
        let mark: Option<Mark> = read_json(&self.hidden("mark"), MARK_BYTES_MAX).filter(|_| there);
        mark.map_or(i64::from(there), |mark| mark.fetched_s)
    }

    /// How much of the next file is there already, with what its publisher said; only what can go on.
    pub(super) fn begun(&self, url: &str) -> Option<(u64, Mark)> {
        let mark: Mark = read_json(&self.hidden("next"), MARK_BYTES_MAX)?;
        let bytes = std::fs::metadata(self.part()).ok()?.len();
        (mark.url == url && bytes > 0 && mark.validator().is_some()).then_some((bytes, mark))
    }

    /// Begins the next file.
    pub(super) fn begin(&self, mark: &Mark) -> io::Result<File> {
        self.forget();
        let file = File::create(self.part())?;
        write_json(&self.hidden("next"), mark)?;
        Ok(file)
    }

    /// Goes on with what is there.
    pub(super) fn go_on(&self) -> io::Result<File> {
        File::options().append(true).open(self.part())
    }

    /// Forgets what came so far.
    pub(super) fn forget(&self) {
        // What is not there needs no forgetting; what cannot be removed is overwritten.
        std::fs::remove_file(self.part()).ok();
        std::fs::remove_file(self.hidden("next")).ok();
    }

    /// The beginning of what came.
    pub(super) fn head(&self) -> io::Result<Vec<u8>> {
        let mut head = Vec::new();
        File::open(self.part())?.take(FILE_HEAD_BYTES as u64).read_to_end(&mut head)?;
        Ok(head)
    }

    /// Puts what came in the place of the file. Whoever reads the old one keeps it.
    pub(super) fn finish(&self, mark: &Mark) -> io::Result<()> {
        File::open(self.part())?.sync_all()?;
        // Without its mark a file is fetched again; with the mark of another it would be kept wrongly.
        std::fs::remove_file(self.hidden("mark")).or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        })?;
        std::fs::rename(self.part(), self.file())?;
        std::fs::remove_file(self.hidden("next")).ok();
        write_json(&self.hidden("mark"), mark)
    }

    /// Removes the file with all that is known of it.
    pub(super) fn remove(&self) -> io::Result<()> {
        std::fs::remove_file(self.hidden("mark")).ok();
        std::fs::remove_file(self.file())
    }
}

/// Reads a file of ours; none where it is not there or not as we write it.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path, bytes_max: u64) -> Option<T> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(bytes_max).read_to_end(&mut bytes).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// Writes a file of ours, at once.
pub(super) fn write_json<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    let fresh = path.with_extension("new");
    std::fs::write(&fresh, serde_json::to_vec(value)?)?;
    std::fs::rename(&fresh, path)
}
