//! Files of the machine as entries: opened without following links or touching their times.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use guardian_evidence::Origin;
use guardian_sys::inspect;

use super::super::Options;
use super::super::doing::Stop;
use super::Gather;

/// Files that one pattern fits.
const FITS_MAX: usize = 10_000;

const fn micros(seconds: i64, nanoseconds: i64) -> i64 {
    seconds.saturating_mul(1_000_000).saturating_add(nanoseconds / 1_000)
}

/// When the content changed last, anything did, and it was read last, in UTC microseconds.
pub(super) fn times(meta: &Metadata) -> [i64; 3] {
    [
        micros(meta.mtime(), meta.mtime_nsec()),
        micros(meta.ctime(), meta.ctime_nsec()),
        micros(meta.atime(), meta.atime_nsec()),
    ]
}

pub(super) fn origin(path: &Path, meta: &Metadata) -> Origin {
    let [modified, changed, accessed] = times(meta);
    Origin {
        path: path.to_string_lossy().into_owned(),
        mode: meta.mode(),
        uid: meta.uid(),
        gid: meta.gid(),
        modified,
        changed,
        accessed,
        note: String::new(),
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(std::io::ErrorKind::InvalidInput.into());
    };
    inspect::open_file(inspect::open_path(parent)?, name)
}

/// Adds one file under a folder of the pack, if it is there. Of what is no file it is noted what it is.
pub(super) fn add(gather: &mut Gather<'_, '_>, under: &str, path: &Path, bytes_max: u64) -> Result<bool, Stop> {
    let name = format!("{under}{}", path.to_string_lossy());
    let meta = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => {
            gather.left_out(&name, &error.to_string());
            return Ok(false);
        }
        Ok(meta) => meta,
    };
    let mut origin = origin(path, &meta);
    if meta.is_symlink() {
        let target = fs::read_link(path).unwrap_or_default();
        origin.note = format!("a link to {}", target.display());
        return gather.add(&name, origin, 0, &mut std::io::empty());
    }
    if !meta.is_file() {
        gather.left_out(&name, "it is no regular file");
        return Ok(false);
    }
    // What is there now may be another than a moment ago: what was opened counts.
    let opened = open(path).and_then(|file| file.metadata().map(|meta| (file, meta)));
    let (mut file, meta) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            gather.left_out(&name, &error.to_string());
            return Ok(false);
        }
    };
    if !meta.is_file() || meta.len() > bytes_max {
        gather.left_out(&name, if meta.is_file() { "it is too large" } else { "it is no regular file" });
        return Ok(false);
    }
    gather.add(&name, origin, meta.len(), &mut file)
}

/// Adds the files that a pattern fits; of a folder, what is in it, but not what is in folders of it.
pub(super) fn chosen(gather: &mut Gather<'_, '_>, options: &Options, pattern: &str) -> Result<u64, Stop> {
    let mut count = 0;
    for path in expand(Path::new(pattern)) {
        // Keys of the agent are nobody's evidence.
        if path.starts_with(&options.home) {
            gather.left_out(&path.to_string_lossy(), "it belongs to the agent");
            continue;
        }
        let paths = if path.is_dir() { inside(&path) } else { vec![path] };
        for path in paths {
            let room = gather.room();
            count += u64::from(add(gather, "files", &path, room)?);
        }
    }
    Ok(count)
}

/// What is in a folder, in order.
pub(super) fn inside(folder: &Path) -> Vec<PathBuf> {
    let mut all: Vec<_> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()).take(FITS_MAX).collect();
    all.sort_unstable();
    all
}

/// The paths that a pattern fits. What has no `*` or `?` need not be there.
fn expand(pattern: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from("/")];
    for part in pattern.components() {
        let Component::Normal(part) = part else { continue };
        if !part.as_bytes().iter().any(|b| matches!(b, b'*' | b'?')) {
            found.iter_mut().for_each(|path| path.push(part));
            continue;
        }
        let fits = |path: &PathBuf| path.file_name().is_some_and(|name| name_fits(part, name));
        found = found.iter().flat_map(|folder| inside(folder)).filter(fits).take(FITS_MAX).collect();
    }
    found
}

/// `*` is any number of bytes, `?` is one.
fn name_fits(pattern: &OsStr, name: &OsStr) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut p, mut n, mut back) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                back = Some((p, n));
                p += 1;
            }
            Some(byte) if *byte == b'?' || *byte == name[n] => (p, n) = (p + 1, n + 1),
            _ => match back {
                Some((star, from)) => (p, n, back) = (star + 1, from + 1, Some((star, from + 1))),
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|b| *b == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_within_one_name() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a/x1.log", "a/x22.log", "b/x3.log", "b/y.log", "b/deep/x4.log"] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let fits = |pattern: &str| {
            let all = expand(&folder.path().join(pattern));
            let names = all.iter().map(|p| p.strip_prefix(folder.path()).unwrap().to_string_lossy().into_owned());
            names.collect::<Vec<_>>()
        };
        assert_eq!(fits("*/x?.log"), ["a/x1.log", "b/x3.log"]);
        assert_eq!(fits("?/x*.log"), ["a/x1.log", "a/x22.log", "b/x3.log"]);
        assert_eq!(fits("b/*"), ["b/deep", "b/x3.log", "b/y.log"]);
        assert_eq!(fits("c/x"), ["c/x"]);
        assert_eq!(fits("c/*"), Vec::<String>::new());
    }
}
