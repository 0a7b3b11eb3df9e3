//! A folder of stores, one a build, by the time at which it was built: the newest one is in force, and an older one says
//! what was known then.

use std::path::{Path, PathBuf};

use super::{Builder, Built, Error, Store};

const FRONT: &str = "advisories-";
const END: &str = ".gvdb";

/// The stores of the folder with the times they were built at, the oldest first; none where there is no such folder.
pub fn list(folder: &Path) -> Result<Vec<(i64, PathBuf)>, Error> {
    let wrong = |e| Error::File(folder.to_path_buf(), e);
    let mut found = Vec::new();
    let entries = match std::fs::read_dir(folder) {
        // Where nothing was ever built there is no folder.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(found),
        entries => entries.map_err(wrong)?,
    };
    for entry in entries {
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
    let none = || Error::Malformed(folder.to_path_buf(), "there is no advisory store yet");
    let (_, path) = all.pop().ok_or_else(none)?;
    Store::open(&path)
}

/// Writes a store into the folder, which is made where it is not there, and removes the oldest so that `keep` stay.
pub fn publish(folder: &Path, builder: Builder, now_s: i64, keep: usize) -> Result<Built, Error> {
    let wrong = |e| Error::File(folder.to_path_buf(), e);
    std::fs::create_dir_all(folder).map_err(wrong)?;
    let built = builder.write(&path_of(folder, now_s), now_s)?;
    forget(folder, keep)?;
    Ok(built)
}

fn path_of(folder: &Path, built_s: i64) -> PathBuf {
    folder.join(format!("{FRONT}{built_s:013}{END}"))
}

/// Removes what nobody asks for any more: of every day the last store stays, for as many days before today; older ones go.
/// The newest of all stays in any case.
pub fn thin(folder: &Path, now_s: i64, days: u32) -> Result<(), Error> {
    const DAY_S: i64 = 86_400;
    let all = list(folder)?;
    let first_day = now_s.div_euclid(DAY_S) - i64::from(days);
    for pair in all.windows(2) {
        let [(built, path), (next, _)] = pair else { continue };
        let (day, next_day) = (built.div_euclid(DAY_S), next.div_euclid(DAY_S));
        if day < first_day || day == next_day {
            std::fs::remove_file(path).map_err(|e| Error::File(path.clone(), e))?;
        }
    }
    Ok(())
}

/// Removes the oldest so that `keep` stay.
fn forget(folder: &Path, keep: usize) -> Result<(), Error> {
    let all = list(folder)?;
    for (_, path) in &all[..all.len().saturating_sub(keep.max(1))] {
        std::fs::remove_file(path).map_err(|e| Error::File(path.clone(), e))?;
    }
    Ok(())
}

/// Writes the newest store of the folder to a file that is carried elsewhere; gives its length.
pub fn export(folder: &Path, file: &Path) -> Result<u64, Error> {
    let mut all = list(folder)?;
    let none = || Error::Malformed(folder.to_path_buf(), "there is no advisory store yet");
    let (_, newest) = all.pop().ok_or_else(none)?;
    let into = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    copy(&newest, into, file)
}

/// Takes a store that was carried here, under the time at which it was built. One that is not whole is refused.
pub fn import(folder: &Path, file: &Path, keep: usize) -> Result<Store, Error> {
    std::fs::create_dir_all(folder).map_err(|e| Error::File(folder.to_path_buf(), e))?;
    let store = Store::open(file)?;
    let path = path_of(folder, store.built_s());
    drop(store);
    copy(file, folder, &path)?;
    forget(folder, keep)?;
    Store::open(&path)
}

/// Copies a store by way of another file of the folder, so that whoever opens it finds all of it. What was copied is what is
/// checked: the file itself may lie on a medium that answers differently the second time.
fn copy(from: &Path, folder: &Path, to: &Path) -> Result<u64, Error> {
    let wrong = |e| Error::File(to.to_path_buf(), e);
    let mut reader = std::fs::File::open(from).map_err(|e| Error::File(from.to_path_buf(), e))?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(wrong)?;
    let bytes = std::io::copy(&mut reader, file.as_file_mut()).map_err(wrong)?;
    file.as_file().sync_all().map_err(wrong)?;
    if !Store::open(file.path())?.is_whole() {
        return Err(Error::Malformed(from.to_path_buf(), "the store is damaged"));
    }
    file.persist(to).map_err(|e| Error::File(to.to_path_buf(), e.error))?;
    Ok(bytes)
}
