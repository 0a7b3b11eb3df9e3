//! The texts of watched files as they were told last, with their secrets masked, so that a change can be shown line by line. A
//! file for each, named by a keyed hash of its path: the folder says neither what is watched nor any secret of it.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use guardian_sys::inspect::{open_file, open_path};

use super::{Baseline, Difference, Kept, Kind, Mask, difference, keep};

/// Bytes of a file that are read: what is longer is shown as far as it is kept.
const READ_BYTES_MAX: u64 = 512 << 10;
/// Texts that are kept; more are not shown.
const TEXTS_MAX: usize = 20_000;
/// Bytes of a kept text, uncompressed.
const KEPT_BYTES_MAX: usize = 4 << 20;
const LEVEL: i32 = 3;
const KEY: &str = "key";
/// End of the name of a text that is being written.
const UNFINISHED: &str = ".new";

/// The texts that are kept.
#[derive(Clone)]
pub struct Texts {
    folder: PathBuf,
    key: [u8; 32],
}

impl std::fmt::Debug for Texts {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.debug_struct("Texts").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Texts {
    /// Opens the folder, and makes it with a key of its own where it is not there. A folder whose key is damaged begins anew.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let path = folder.join(KEY);
        if let Ok(key) = fs::read(&path)
            && let Ok(key) = <[u8; 32]>::try_from(key)
        {
            return Ok(Self { folder: folder.to_owned(), key });
        }
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        let mut builder = fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder)?;
        let key: [u8; 32] = rand::random();
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(&key)?;
        file.sync_all()?;
        Ok(Self { folder: folder.to_owned(), key })
    }

    fn name(&self, path: &Path) -> String {
        use std::os::unix::ffi::OsStrExt as _;
        let hash = blake3::keyed_hash(&self.key, path.as_os_str().as_bytes()).to_hex();
        hash.as_str()[..32].to_owned()
    }

    fn load(&self, name: &str) -> Option<Kept> {
        let bytes = fs::read(self.folder.join(name)).ok()?;
        let plain = zstd::bulk::decompress(&bytes, KEPT_BYTES_MAX).ok()?;
        postcard::from_bytes(&plain).ok()
    }

    fn store(&self, name: &str, text: &Kept) -> io::Result<()> {
        let plain = postcard::to_stdvec(text).map_err(io::Error::other)?;
        if plain.len() > KEPT_BYTES_MAX {
            return Ok(());
        }
        let bytes = zstd::bulk::compress(&plain, LEVEL)?;
        // Under another name first: a text that is cut off would be a change.
        let fresh = self.folder.join(format!("{name}{UNFINISHED}"));
        fs::write(&fresh, bytes)?;
        fs::rename(fresh, self.folder.join(name))
    }

    /// What is in a file now; none where it is no text, or not there.
    fn now(&self, path: &Path) -> Option<Kept> {
        let (parent, name) = (path.parent()?, path.file_name()?);
        let file = open_file(open_path(parent).ok()?, name).ok()?;
        if !file.metadata().is_ok_and(|about| about.is_file()) {
            return None;
        }
        let bytes = read(file).ok()?;
        keep(&bytes, &Mask::new(path, &self.key))
    }

    /// How the text of a file differs from what is kept, which it then is; none where there is nothing to show. What was not
    /// kept before is shown as new only where `new` says that the file is.
    pub fn change(&self, path: &Path, new: bool) -> io::Result<Option<Difference>> {
        let name = self.name(path);
        let (before, after) = (self.load(&name), self.now(path));
        match &after {
            Some(text) => self.store(&name, text)?,
            None if before.is_some() => fs::remove_file(self.folder.join(&name))?,
            None => {}
        }
        let told = match (before, after) {
            (None, None) => return Ok(None),
            (None, Some(_)) if !new => return Ok(None),
            (before, after) => difference(&before.unwrap_or_default(), &after.unwrap_or_default()),
        };
        Ok(Some(told).filter(|told| told.added + told.removed > 0))
    }

    /// Keeps the texts of a baseline that are not kept yet, and forgets those of files that are not in it.
    pub fn fill(&self, baseline: &Baseline, shows: impl Fn(&Path) -> bool, stop: &AtomicBool) -> io::Result<()> {
        let mut wanted = HashSet::new();
        for folder in baseline.folders() {
            if stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            let folder = folder.map_err(io::Error::other)?;
            for record in &folder.entries {
                let path = folder.path_of(record);
                if record.kind != Kind::Regular || !shows(&path) || wanted.len() >= TEXTS_MAX {
                    continue;
                }
                let name = self.name(&path);
                if !self.folder.join(&name).exists()
                    && let Some(text) = self.now(&path)
                {
                    self.store(&name, &text)?;
                }
                wanted.insert(name);
            }
        }
        for entry in fs::read_dir(&self.folder)?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name != KEY && !name.ends_with(UNFINISHED) && !wanted.contains(&name) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

fn read(file: File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(READ_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_line_by_line_once_and_without_its_secret() {
        let folder = tempfile::tempdir().unwrap();
        let texts = Texts::open(&folder.path().join("texts")).unwrap();
        let path = folder.path().join("app.conf");
        fs::write(&path, "port = 80\npassword = hunter2\n").unwrap();
        assert_eq!(texts.change(&path, false).unwrap(), None, "what it was before is not known");
        fs::write(&path, "port = 443\npassword = hunter3\n").unwrap();
        // Another process opens the same folder: the key is the same.
        let texts = Texts::open(&folder.path().join("texts")).unwrap();
        let told = texts.change(&path, false).unwrap().unwrap();
        assert!(told.unified.contains("-port = 80") && told.unified.contains("+port = 443"), "{}", told.unified);
        assert!(!told.unified.contains("hunter") && (told.added, told.removed) == (2, 2), "{}", told.unified);
        assert_eq!(texts.change(&path, false).unwrap(), None, "it was told");
        fs::remove_file(&path).unwrap();
        assert_eq!(texts.change(&path, false).unwrap().unwrap().removed, 2);
        assert_eq!(texts.change(&path, false).unwrap(), None);
    }

    #[test]
    fn new_texts_are_shown_and_nothing_else_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let texts = Texts::open(&folder.path().join("texts")).unwrap();
        let (path, link) = (folder.path().join("job"), folder.path().join("link"));
        fs::write(&path, "* * * * * root id\n").unwrap();
        assert_eq!(texts.change(&path, true).unwrap().unwrap().added, 1);
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(texts.change(&link, true).unwrap(), None, "links are not followed");
        fs::write(&path, [0, 1, 2, 3]).unwrap();
        assert_eq!(texts.change(&path, false).unwrap().unwrap().removed, 1, "it is no text any more");
        assert_eq!(texts.change(folder.path(), true).unwrap(), None);
    }

    #[test]
    fn a_damaged_key_begins_anew_and_a_damaged_text_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("texts");
        let texts = Texts::open(&place).unwrap();
        let path = folder.path().join("a.conf");
        fs::write(&path, "a\n").unwrap();
        texts.change(&path, false).unwrap();
        fs::write(place.join(texts.name(&path)), b"rubbish").unwrap();
        fs::write(&path, "b\n").unwrap();
        assert_eq!(texts.change(&path, false).unwrap(), None);
        fs::write(place.join(KEY), b"short").unwrap();
        let fresh = Texts::open(&place).unwrap();
        assert!(fresh.key != texts.key && fs::read_dir(&place).unwrap().count() == 1);
    }
}
