//! Secrets in files: readable by their owner only, from the first byte on.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use zeroize::Zeroizing;

use crate::IdentityError;

/// Longest secret file, in bytes.
const SECRET_BYTES_MAX: u64 = 1_024;

fn failed(path: &Path) -> impl FnOnce(io::Error) -> IdentityError + '_ {
    move |source| IdentityError::File { path: path.display().to_string(), source }
}

/// Writes `text` to `path` with mode 0600 by way of a new file, so that no older mode or reader is inherited. A missing
/// directory is made with mode 0700.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<(), IdentityError> {
    let write = || -> io::Result<()> {
        if let Some(directory) = path.parent().filter(|d| !d.as_os_str().is_empty()) {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        }
        let mut name = path.as_os_str().to_owned();
        name.push(".new");
        match fs::remove_file(&name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&name)?;
        file.write_all(text.as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&name, path)
    };
    write().map_err(failed(path))
}

/// Reads what [`write_private`] wrote.
pub(crate) fn read_private(path: &Path) -> Result<Zeroizing<String>, IdentityError> {
    let read = || -> io::Result<Zeroizing<String>> {
        let mut text = Zeroizing::new(String::new());
        fs::File::open(path)?.take(SECRET_BYTES_MAX).read_to_string(&mut text)?;
        Ok(Zeroizing::new(text.trim().to_owned()))
    };
    read().map_err(failed(path))
}

/// Removes a secret's file, if it is there.
pub(crate) fn remove(path: &Path) -> Result<(), IdentityError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(path)(error)),
        _ => Ok(()),
    }
}
