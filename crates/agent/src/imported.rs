//! Beginning with another checker's database: what the agent finds when it starts next is compared with that, not with today.
//!
//! It must never run beside the agent: both would write the same baseline.

use std::fs::{self, File};
use std::io;
use std::sync::Mutex;
use std::sync::PoisonError;

use guardian_inventory::owned::Owned;

use crate::files::{Baseline, Foreign, Options, Policy, Root, Writer, scan};
use crate::home::Home;
use crate::integrity::{BASELINE, JUDGED, LEDGER, LOGGED, OPEN};
use crate::policy::{Kept, Local, read};

/// What an import came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Files that the database has.
    pub files: u64,
    /// Those of them that are another now, or gone.
    pub others: u64,
    /// Folders of the new baseline.
    pub folders: u64,
}

/// Which files the agent of this folder watches, with what its command line decides; none where it watches none.
pub fn watched(home: &Home, local: &Local) -> io::Result<Option<Policy>> {
    let kept = Kept::load(home)?;
    let document = kept.map(|kept| read(kept.document.as_bytes()).0).unwrap_or_default();
    Ok(local.settings(&document).files.map(|watched| watched.policy))
}

/// Makes a baseline of what is on the disk now with the files of a database as it says they were. What the databases of packages
/// said then is not known, so that every package counts as one that changed since.
pub fn import(home: &Home, policy: &Policy, files: impl IntoIterator<Item = Owned>) -> io::Result<Imported> {
    let _lock = home.lock()?;
    let folder = home.files();
    fs::create_dir_all(&folder)?;
    let foreign = Foreign::compare(&Root::new("/".as_ref()), files);
    let mut imported = Imported { files: foreign.files, others: foreign.others, folders: 0 };
    let fresh = folder.join("baseline.new-import");
    let sink = Mutex::new((foreign, Writer::new(File::create(&fresh)?)?, Ok(())));
    scan(policy, Options { fill_cache: false, ..Options::default() }, &|folder| {
        let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
        let (foreign, writer, failed) = &mut *sink;
        let folder = foreign.put_back(folder);
        if let Err(error) = writer.add(&folder) {
            *failed = Err(error);
        }
    });
    let (foreign, mut writer, failed) = sink.into_inner().unwrap_or_else(PoisonError::into_inner);
    failed?;
    for folder in foreign.gone(policy) {
        writer.add(&folder)?;
    }
    writer.finish()?;
    imported.folders = Baseline::open(&fresh).map_err(io::Error::other)?.len() as u64;
    for stale in [LEDGER, LOGGED, OPEN] {
        match fs::remove_file(folder.join(stale)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    fs::write(folder.join(JUDGED), serde_json::to_vec(policy)?)?;
    fs::rename(&fresh, folder.join(BASELINE))?;
    Ok(imported)
}

/// The baseline that the agent of this folder has.
pub fn baseline(home: &Home) -> io::Result<Baseline> {
    Baseline::open(&home.files().join(BASELINE)).map_err(|error| match error {
        crate::files::BaselineError::Io(error) => error,
        other => io::Error::other(other),
    })
}
