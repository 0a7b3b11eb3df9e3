//! Lists on the disk: as they are, and as the server has them.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

use guardian_protocol::lists::{List, pack};

/// Bytes of a file of ours; a longer one is not.
const FILE_BYTES_MAX: u64 = 128 << 20;
const HASH_BYTES: usize = 32;

/// The folder of lists. A file is the hash of a list and then the list, packed; it is replaced at once and whole.
#[derive(Clone, Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// Opens the folder, making it if need be, for its owner alone.
    pub(crate) fn open(path: PathBuf) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    fn path(&self, name: &str, state: &str) -> PathBuf {
        self.0.join(format!("{name}.{state}"))
    }

    /// Keeps a list as it is now.
    pub(crate) fn write(&self, name: &str, list: &List, hash: [u8; 32]) -> io::Result<()> {
        let packed = pack(&list.lines()).map_err(io::Error::other)?;
        self.replace(name, "now", hash, &packed)
    }

    /// Keeps what the server said that it has.
    pub(crate) fn keep(&self, name: &str, hash: [u8; 32], packed: &[u8]) -> io::Result<()> {
        self.replace(name, "kept", hash, packed)
    }

    fn replace(&self, name: &str, state: &str, hash: [u8; 32], packed: &[u8]) -> io::Result<()> {
        let (path, fresh) = (self.path(name, state), self.path(name, "new"));
        let mut file = fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        file.write_all(&hash)?;
        file.write_all(packed)?;
        drop(file);
        fs::rename(&fresh, &path)
    }

    fn load(&self, name: &str, state: &str) -> Option<([u8; 32], Vec<u8>)> {
        let path = self.path(name, state);
        if fs::metadata(&path).ok()?.len() > FILE_BYTES_MAX {
            return None;
        }
        let mut bytes = fs::read(&path).ok()?;
        let hash = *bytes.first_chunk::<HASH_BYTES>()?;
        bytes.drain(..HASH_BYTES);
        Some((hash, bytes))
    }

    /// The hash of a list as it was last read.
    pub(crate) fn hash(&self, name: &str) -> Option<[u8; 32]> {
        let mut hash = [0; HASH_BYTES];
        let mut file = fs::File::open(self.path(name, "now")).ok()?;
        io::Read::read_exact(&mut file, &mut hash).ok()?;
        Some(hash)
    }

    /// The hash of what the server has.
    pub(crate) fn kept_hash(&self, name: &str) -> Option<[u8; 32]> {
        let mut hash = [0; HASH_BYTES];
        let mut file = fs::File::open(self.path(name, "kept")).ok()?;
        io::Read::read_exact(&mut file, &mut hash).ok()?;
        Some(hash)
    }

    /// A list as it was last read, packed; a torn file is none.
    pub(crate) fn now(&self, name: &str) -> Option<([u8; 32], Vec<u8>)> {
        self.load(name, "now")
    }

    /// What the server has.
    pub(crate) fn kept(&self, name: &str) -> Option<([u8; 32], List)> {
        let (hash, packed) = self.load(name, "kept")?;
        let list = List::open(&packed).ok()?;
        (list.hash() == hash).then_some((hash, list))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_are_kept_and_torn_ones_are_none() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path().join("lists")).unwrap();
        assert_eq!((folder.hash("users"), folder.kept("users")), (None, None));
        let mut list = List::default();
        list.put("root", &json!({ "user": "root" }));
        folder.write("users", &list, list.hash()).unwrap();
        assert_eq!(folder.hash("users"), Some(list.hash()));
        let (hash, packed) = folder.now("users").unwrap();
        folder.keep("users", hash, &packed).unwrap();
        assert_eq!(folder.kept("users"), Some((hash, list)));
        let path = dir.path().join("lists/users.kept");
        let whole = fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            assert_eq!(folder.kept("users"), None, "cut at {cut}");
        }
    }
}
