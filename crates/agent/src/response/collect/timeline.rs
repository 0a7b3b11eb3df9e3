//! What changed lately, by the times that the file systems keep. Names and times, no contents.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::Serialize;

use super::super::Options;
use super::super::doing::Stop;
use super::files::times;
use super::{Gather, List};

/// Where it is looked unless somebody says otherwise.
const USUAL: &[&str] = &[
    "/etc", "/root", "/home", "/tmp", "/var/tmp", "/dev/shm", "/usr", "/opt", "/srv", "/var", "/boot", "/bin", "/sbin",
];
/// What is no disk.
const NEVER: &[&str] = &["/proc", "/sys", "/run", "/dev/pts", "/dev/mqueue", "/dev/hugepages"];
const USUAL_DAYS: u32 = 7;
/// Entries that are listed.
const ENTRIES_MAX: u64 = 1_000_000;
/// Folders that wait to be looked into.
const FOLDERS_MAX: usize = 1_000_000;

#[derive(Serialize)]
struct Change<'a> {
    path: &'a Path,
    mode: u32,
    uid: u32,
    gid: u32,
    bytes: u64,
    inode: u64,
    /// In UTC microseconds, as all times here.
    modified: i64,
    changed: i64,
    accessed: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    born: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<PathBuf>,
}

/// Lists what was born or changed within some days.
pub(super) fn timeline(
    gather: &mut Gather<'_, '_>,
    options: &Options,
    folders: &[String],
    days: u32,
) -> Result<u64, Stop> {
    let days = if days == 0 { USUAL_DAYS } else { days };
    let since = crate::now() - i64::from(days) * 86_400_000_000;
    let mut list = List::new("timeline");
    let usual = || USUAL.iter().map(PathBuf::from).collect();
    let mut waiting: Vec<PathBuf> =
        if folders.is_empty() { usual() } else { folders.iter().map(PathBuf::from).collect() };
    // One that is a link to another, as `/bin` often is, would be listed twice.
    waiting.retain(|folder| !fs::symlink_metadata(folder).is_ok_and(|meta| meta.is_symlink()));
    waiting.reverse();
    while let Some(folder) = waiting.pop() {
        gather.doing.go_on()?;
        if NEVER.iter().any(|never| folder.starts_with(never)) || folder.starts_with(&options.home) {
            continue;
        }
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            // Links are not followed.
            let Ok(meta) = entry.metadata() else { continue };
            let path = entry.path();
            let [modified, changed, accessed] = times(&meta);
            let born = meta.created().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            let born = born.and_then(|since| i64::try_from(since.as_micros()).ok());
            if modified.max(changed).max(born.unwrap_or(0)) >= since {
                let target = if meta.is_symlink() { fs::read_link(&path).ok() } else { None };
                let change = Change {
                    path: &path,
                    mode: meta.mode(),
                    uid: meta.uid(),
                    gid: meta.gid(),
                    bytes: meta.len(),
                    inode: meta.ino(),
                    modified,
                    changed,
                    accessed,
                    born,
                    target,
                };
                list.push(gather, &change)?;
            }
            if meta.is_dir() && waiting.len() < FOLDERS_MAX {
                waiting.push(path);
            }
        }
        if list.count >= ENTRIES_MAX {
            gather.left_out("timeline", "there are too many entries: name folders or fewer days");
            break;
        }
    }
    list.finish(gather)
}
