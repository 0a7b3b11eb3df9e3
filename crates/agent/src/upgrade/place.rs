//! Where programs are: `versions/VERSION-HASH/guardian-agent` below one folder, and `current`, a link to the one that is
//! started. Where the agent was installed that folder is the one it was installed to; where somebody just runs it, it is
//! within the agent's own, and no link is made.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use sha2::Digest as _;

use super::books::Program;

/// Name of the program in its folder.
pub(crate) const NAME: &str = "guardian-agent";

/// SHA-256 of a file, in hexadecimal digits.
pub fn digest(path: &Path) -> io::Result<String> {
    let (mut file, mut hash, mut buffer) = (File::open(path)?, sha2::Sha256::new(), vec![0; 64 << 10]);
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(HEXLOWER.encode(&hash.finalize()));
        }
        hash.update(&buffer[..read]);
    }
}

/// Where programs are kept beside each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    root: PathBuf,
    installed: bool,
}

impl Place {
    /// The folder that an agent is installed to.
    pub fn installed(root: &Path) -> Self {
        Self { root: root.to_owned(), installed: true }
    }

    /// The place of the program at `own`, which runs with the folder `home`.
    pub fn of(own: &Path, home: &Path) -> Self {
        let versions = own.parent().and_then(Path::parent).filter(|folder| folder.ends_with("versions"));
        match versions.and_then(Path::parent) {
            Some(root) if root.join("current").is_symlink() => Self::installed(root),
            _ => Self { root: home.join("program"), installed: false },
        }
    }

    fn folder(&self, version: &str, sha256: &str) -> PathBuf {
        let short = sha256.get(..12).unwrap_or(sha256);
        self.root.join("versions").join(format!("{version}-{short}"))
    }

    /// Makes the folder in which versions are.
    pub fn make(&self) -> io::Result<()> {
        let mode = if self.installed { 0o755 } else { 0o700 };
        fs::DirBuilder::new().recursive(true).mode(mode).create(self.root.join("versions"))
    }

    /// Where the program with this hash is put together.
    pub(crate) fn part(&self, sha256: &str) -> PathBuf {
        self.root.join("versions").join(format!(".part-{}", sha256.get(..32).unwrap_or(sha256)))
    }

    /// Where a version is, or would be.
    pub fn path(&self, version: &str, sha256: &str) -> PathBuf {
        self.folder(version, sha256).join(NAME)
    }

    /// Puts a whole program in its place, by moving it.
    pub fn put(&self, part: &Path, version: &str, sha256: &str) -> io::Result<Program> {
        let folder = self.folder(version, sha256);
        fs::DirBuilder::new().recursive(true).mode(0o755).create(&folder)?;
        let path = folder.join(NAME);
        fs::set_permissions(part, fs::Permissions::from_mode(0o755))?;
        File::open(part)?.sync_all()?;
        fs::rename(part, &path)?;
        File::open(&folder)?.sync_all()?;
        Ok(Program { version: version.to_owned(), path, sha256: sha256.to_owned() })
    }

    /// Has the link point to a program from now on; without an installation there is none.
    pub fn switch(&self, to: &Path) -> io::Result<()> {
        if !self.installed {
            return Ok(());
        }
        let outside = || io::Error::other(format!("{} is not among the versions", to.display()));
        let folder = to.parent().and_then(|folder| folder.strip_prefix(&self.root).ok()).ok_or_else(outside)?;
        let fresh = self.root.join(".current.new");
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        symlink(folder, &fresh)?;
        fs::rename(&fresh, self.root.join("current"))?;
        File::open(&self.root)?.sync_all()
    }

    /// Takes away versions that are none of these, and what was not put together.
    pub(crate) fn prune(&self, keep: &[&Path]) -> io::Result<()> {
        for entry in fs::read_dir(self.root.join("versions"))? {
            let path = entry?.path();
            if keep.iter().any(|kept| kept.starts_with(&path)) {
                continue;
            }
            if path.is_dir() { fs::remove_dir_all(&path)? } else { fs::remove_file(&path)? }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_lie_beside_each_other_and_the_link_says_which_is_started() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::installed(folder.path());
        place.make().unwrap();
        let put = |version: &str| {
            let part = place.part(version);
            fs::write(&part, version).unwrap();
            place.put(&part, version, &digest(&part).unwrap()).unwrap()
        };
        let (one, two) = (put("1.0.0"), put("1.1.0"));
        assert_eq!(place.path(&one.version, &one.sha256), one.path);
        assert_eq!(fs::metadata(&one.path).unwrap().permissions().mode() & 0o777, 0o755);
        let current = || fs::read_to_string(folder.path().join("current").join(NAME)).unwrap();
        for program in [&one, &two, &one] {
            place.switch(&program.path).unwrap();
            assert_eq!(current(), program.version);
        }
        assert!(place.switch(Path::new("/bin/true")).is_err());
        assert_eq!(Place::of(&one.path, Path::new("/h")), place, "it knows where it is");
        let loose = Place::of(Path::new("/opt/guardian-agent"), Path::new("/h"));
        assert_eq!(loose.part("ab"), Path::new("/h/program/versions/.part-ab"));
        loose.switch(Path::new("/anywhere")).unwrap();
        fs::write(place.part("zz"), "left").unwrap();
        place.prune(&[&one.path]).unwrap();
        assert!(one.path.exists() && !two.path.exists() && !place.part("zz").exists());
    }
}
