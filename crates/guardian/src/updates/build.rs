//! A store of what lies in a folder, unless it is the same as when the newest store was built.

use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::{Context as _, Result, bail};
use guardian_vuln::limits::{DEPTH_MAX, DOCUMENTS_MAX};
use guardian_vuln::load::Loader;
use guardian_vuln::store::folder;
use serde::{Deserialize, Serialize};

use super::place;
use crate::output;

/// What the newest store was built of; hidden, so that no build reads it.
const BUILT: &str = ".built.json";

/// Which stores stay.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Keep {
    /// So many.
    Count(usize),
    /// The last one of each of so many days.
    Days(u32),
}

/// What became of a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Built {
    /// There is a new store.
    Anew,
    /// The newest store was built of the same files.
    Same,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Of {
    /// Digest of names, lengths and times of all files, and of the program that read them.
    files: String,
    /// The store.
    built_s: i64,
}

/// Builds a store of what lies in the folder of downloads.
pub(crate) fn build(downloads: &Path, stores: &Path, keep: Keep, now_s: i64) -> Result<Built> {
    let files = fingerprint(downloads).with_context(|| format!("cannot read {}", downloads.display()))?;
    let newest = folder::list(stores).unwrap_or_default().pop().map_or(0, |(built_s, _)| built_s);
    let state = downloads.join(BUILT);
    let known: Option<Of> = place::read_json(&state, 4 << 10);
    // A store of a form that is no longer read is built anew, whatever it was built of.
    if known.is_some_and(|known| known == Of { files: files.clone(), built_s: newest })
        && folder::open(stores, None).is_ok()
    {
        return Ok(Built::Same);
    }
    load(&[downloads.to_path_buf()], stores, keep, now_s)?;
    place::write_json(&state, &Of { files, built_s: now_s })
        .with_context(|| format!("cannot write {}", state.display()))?;
    Ok(Built::Anew)
}

/// Builds a store of what is named, and says what could not be read.
pub(crate) fn load(paths: &[PathBuf], stores: &Path, keep: Keep, now_s: i64) -> Result<()> {
    let mut loader = Loader::default();
    for path in paths {
        loader.path(path).with_context(|| format!("cannot read {}", path.display()))?;
    }
    for issue in &loader.issues {
        let record = if issue.record.is_empty() { String::new() } else { format!(" {}", issue.record) };
        output::note(&format!("{}{record}: {}", issue.document, issue.what));
    }
    if loader.issues_more > 0 {
        output::note(&format!("and {} complaints more", loader.issues_more));
    }
    if loader.unknown > 0 {
        output::note(&format!("{} documents are of no source that is known", loader.unknown));
    }
    // A store of nothing would say that nothing is vulnerable.
    if loader.documents == 0 {
        bail!("there is no advisory in what was named");
    }
    match keep {
        Keep::Count(count) => {
            folder::publish(stores, loader.finish(), now_s, count)?;
        }
        Keep::Days(days) => {
            folder::publish(stores, loader.finish(), now_s, usize::MAX)?;
            folder::thin(stores, now_s, days)?;
        }
    }
    Ok(())
}

/// A digest of what lies in the folder, without reading it: a file that is fetched anew has another time.
fn fingerprint(root: &Path) -> io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(env!("CARGO_PKG_VERSION").as_bytes());
    let mut folders = vec![(root.to_path_buf(), 0)];
    let mut files = Vec::new();
    while let Some((folder, depth)) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            let metadata = entry.metadata()?;
            if metadata.is_dir() && depth < DEPTH_MAX {
                folders.push((entry.path(), depth + 1));
            } else if metadata.is_file() && files.len() < DOCUMENTS_MAX {
                let since = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
                files.push((entry.path(), metadata.len(), since.as_nanos()));
            }
        }
    }
    files.sort();
    for (path, length, time) in files {
        hasher.update(path.strip_prefix(root).unwrap_or(&path).to_string_lossy().as_bytes());
        hasher.update(&[0]).update(&length.to_le_bytes()).update(&time.to_le_bytes());
    }
    Ok(hasher.finalize().to_hex().to_string())
}
