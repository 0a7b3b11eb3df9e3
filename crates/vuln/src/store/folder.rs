//! A folder of stores, one a build, by the time at which it was built: the newest one is in force, and an older one says
//! what was known then.

use std::path::{Path, PathBuf};

use super::{Builder, Built, Error, Store};

const FRONT: &str = "advisories-";
const END: &str = ".gvdb";

/// The stores of the folder with the times they were built at, the oldest first.
pub fn list(folder: &Path) -> Result<Vec<(i64, PathBuf)>, Error> {
    let wrong = |e| Error::File(folder.to_path_buf(), e);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(wrong)? {
        let path = entry.map_err(wrong)?.path();
        let time = path.file_name().and_then(|name| name.to_str()).and_then(time_of);
        found.extend(time.map(|time| (time, path)));
    }
    found.sort();
    Ok(found)
}

/// The seconds in `advisories-0001764000000.gvdb`.
fn time_of(name: &str) -> Option<i64> {
    name.strip_prefix(FRONT)?.strip_suffix(END)?.parse().ok()
}

/// Opens the newest store that was built at or before the time; the newest of all where none is named.
pub fn open(folder: &Path, at_s: Option<i64>) -> Result<Store, Error> {
    let mut all = list(folder)?;
    all.retain(|(time, _)| at_s.is_none_or(|at| *time <= at));
    let none = || Error::Malformed(folder.to_path_buf(), "there is no advisory store yet: build one");
    let (_, path) = all.pop().ok_or_else(none)?;
    Store::open(&path)
}

/// Writes a store into the folder, which is made where it is not there, and removes the oldest so that `keep` stay.
pub fn publish(folder: &Path, builder: Builder, now_s: i64, keep: usize) -> Result<Built, Error> {
    let wrong = |e| Error::File(folder.to_path_buf(), e);
    std::fs::create_dir_all(folder).map_err(wrong)?;
    let built = builder.write(&folder.join(format!("{FRONT}{now_s:013}{END}")), now_s)?;
    let all = list(folder)?;
    for (_, path) in &all[..all.len().saturating_sub(keep.max(1))] {
        std::fs::remove_file(path).map_err(|e| Error::File(path.clone(), e))?;
    }
    Ok(built)
}
