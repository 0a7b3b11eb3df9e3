//! What is to be scanned, whatever it is: a folder, an image, a bill of materials, or one file that a package manager keeps.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use guardian_inventory::language;

use super::languages::{self, Named};
use super::{FILE_BYTES_MAX, Owners, Scanned, folder, image, read};
use crate::packed::Form;
use crate::sbom;

/// Looks for packages in whatever lies at the path. Of an image for several architectures that one is taken which is asked
/// for, in Go's spelling (`amd64`).
pub fn target(path: &Path, architecture: &str) -> io::Result<Scanned> {
    let metadata = path.metadata()?;
    let name = path.display().to_string();
    let mut scanned = if metadata.is_dir() {
        if !image::is_layout(path) {
            return folder(path);
        }
        image::layout(path, architecture)?
    } else {
        file(path, architecture)?
    };
    if scanned.subject.is_empty() {
        scanned.subject = name;
    }
    Ok(scanned)
}

fn file(path: &Path, architecture: &str) -> io::Result<Scanned> {
    let mut file = File::open(path)?;
    let mut head = Vec::new();
    file.by_ref().take(512).read_to_end(&mut head)?;
    if Form::of(&head).is_some() || head.get(257..262) == Some(b"ustar") {
        return image::archive(io::Cursor::new(head).chain(file), architecture);
    }
    drop(file);
    let malformed = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    let bytes = read(path).ok_or_else(|| malformed(format!("it is no file, or larger than {FILE_BYTES_MAX} bytes")))?;
    let place = path.display().to_string();
    if let Some(bill) = sbom::read(&place, &bytes) {
        return bill.map_err(malformed);
    }
    let mut scanned = Scanned { files: 1, ..Scanned::default() };
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let folder = path.parent().map(|folder| format!("/{}", folder.display())).unwrap_or_default();
    let named = match language::of(&folder, &name) {
        Some(kind) => Named::of(kind, &place, &bytes, &mut |what| scanned.issue(what)),
        None => Named::of_program(&place, &bytes),
    };
    match named {
        Some(named) => languages::take(vec![named], &Owners::default(), &mut scanned, |_| None),
        // What was named itself and cannot be read is no empty report.
        None => {
            let what = scanned.issues.into_iter().next();
            let nothing = || "it is no image, no bill of materials and nothing that a package manager keeps".to_owned();
            return Err(malformed(what.unwrap_or_else(nothing)));
        }
    }
    Ok(scanned.sorted())
}
