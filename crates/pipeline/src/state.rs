//! Small state files that survive restarts: written beside, synced, renamed; a torn or foreign file is ignored.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"GDNSTAT1";
/// A state file larger than this is not ours.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// A directory of state files.
#[derive(Clone, Debug)]
pub struct StateDir {
    dir: PathBuf,
}

impl StateDir {
    /// Opens the directory, making it if need be.
    pub fn open(dir: impl Into<PathBuf>) -> io::Result<Self> {
        let dir = dir.into();
        fs::create_dir_all(&dir)?;
        Ok(Self { dir })
    }

    /// Path of a file in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Replaces the file with these bytes and the number they belong to, atomically and durably.
    pub fn save_numbered(&self, name: &str, number: u64, bytes: &[u8]) -> io::Result<()> {
        let path = self.path(name);
        let beside = path.with_extension("new");
        let mut file = File::create(&beside)?;
        file.write_all(MAGIC)?;
        file.write_all(&number.to_le_bytes())?;
        file.write_all(blake(number, bytes).as_bytes())?;
        file.write_all(bytes)?;
        file.sync_all()?;
        drop(file);
        fs::rename(&beside, &path)?;
        File::open(&self.dir)?.sync_all()
    }

    /// Reads the file back; `None` when there is none, or it is torn or foreign (which is logged).
    pub fn load_numbered(&self, name: &str) -> Option<(u64, Vec<u8>)> {
        let path = self.path(name);
        let content = read_bounded(&path)?;
        let parsed = split(&content);
        if parsed.is_none() {
            tracing::warn!(path = %path.display(), "ignoring a state file that is torn or not ours");
        }
        parsed.map(|(number, bytes)| (number, bytes.to_vec()))
    }
}

fn read_bounded(path: &Path) -> Option<Vec<u8>> {
    match fs::metadata(path) {
        Ok(meta) if meta.len() <= FILE_BYTES_MAX => fs::read(path).ok(),
        Ok(meta) => {
            tracing::warn!(path = %path.display(), bytes = meta.len(), "ignoring an oversized state file");
            None
        }
        Err(_) => None,
    }
}

fn split(content: &[u8]) -> Option<(u64, &[u8])> {
    let (magic, rest) = content.split_at_checked(8)?;
    let (number, rest) = rest.split_at_checked(8)?;
    let (hash, bytes) = rest.split_at_checked(32)?;
    let number = u64::from_le_bytes(number.try_into().ok()?);
    (magic == MAGIC && hash == blake(number, bytes).as_bytes()).then_some((number, bytes))
}

fn blake(number: u64, bytes: &[u8]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&number.to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::StateDir;

    #[test]
    fn a_torn_file_is_no_state() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(dir.path()).unwrap();
        assert_eq!(state.load_numbered("x"), None);
        state.save_numbered("x", 7, b"hello").unwrap();
        assert_eq!(state.load_numbered("x"), Some((7, b"hello".to_vec())));
        let whole = std::fs::read(state.path("x")).unwrap();
        for cut in 0..whole.len() {
            std::fs::write(state.path("x"), &whole[..cut]).unwrap();
            assert_eq!(state.load_numbered("x"), None, "cut at {cut}");
        }
        let mut flipped = whole.clone();
        flipped[9] ^= 1;
        std::fs::write(state.path("x"), &flipped).unwrap();
        assert_eq!(state.load_numbered("x"), None);
    }
}
