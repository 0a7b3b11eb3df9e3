//! Retention: the disk never fills because of the lake. Days that are too old go; when the space allowed is used up,
//! the oldest files of the tenant that uses most go first.

use std::sync::Arc;
use std::time::Duration;

use guardian_model::{Micros, TenantId};
use hashbrown::HashMap;

use super::state::LiveFile;
use super::{Store, Writing};
use crate::LakeError;

/// How often retention looks.
const EVERY: Duration = Duration::from_secs(1);
/// Data received within this time is never removed because something else fills the disk.
const RECENT: i64 = Micros::HOUR;

/// Space of a file system, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Space {
    pub(crate) total: u64,
    pub(crate) free: u64,
}

pub(crate) fn space_of(dir: &std::path::Path) -> Result<Space, LakeError> {
    let stat = nix::sys::statvfs::statvfs(dir)
        .map_err(|e| LakeError::io(format!("asking for the free space of {}", dir.display()))(e.into()))?;
    let unit = stat.fragment_size();
    Ok(Space { total: stat.blocks() * unit, free: stat.blocks_available() * unit })
}

/// Which file goes first: the oldest of the tenant that uses most.
fn first_to_go(files: &[Arc<LiveFile>]) -> Option<usize> {
    let mut used: HashMap<TenantId, u64> = HashMap::new();
    for file in files {
        *used.entry(file.meta.tenant).or_default() += file.meta.disk_bytes();
    }
    let greedy = used.into_iter().max_by_key(|&(tenant, bytes)| (bytes, tenant))?.0;
    let of_greedy = files.iter().enumerate().filter(|(_, f)| f.meta.tenant == greedy);
    of_greedy.min_by_key(|(_, f)| (received(f), f.meta.ids)).map(|(i, _)| i)
}

fn received(file: &LiveFile) -> i64 {
    file.meta.time("received").map_or(i64::MIN, |(_, last)| last)
}

impl Store {
    /// Removes what is too old or too much, and stops accepting before the disk is full.
    pub(super) fn retain(&self, writing: &Writing) -> Result<(), LakeError> {
        let monotonic = self.clock.monotonic();
        let mut pace = writing.files.lock();
        let starved = writing.wal.failing().is_some();
        if monotonic < pace.retain_after && !starved {
            return Ok(());
        }
        pace.retain_after = monotonic + EVERY;
        let now = self.clock.now();
        let mut files: Vec<Arc<LiveFile>> = self.state.read().all_files().cloned().collect();

        let limit = now - self.config.keep.as_micros();
        let (expired, kept): (Vec<_>, Vec<_>) = files.into_iter().partition(|f| received(f) < limit.0);
        files = kept;
        if !expired.is_empty() {
            self.remove_files(writing, &expired)?;
            self.counters.expired_files.inc(expired.len() as u64);
        }

        let space = space_of(&self.dir)?;
        let percent = u64::from(self.config.max_disk_percent.min(100));
        let allowed = self.config.max_size.get().min(space.total / 100 * percent);
        let wal: u64 = writing.wal.segments().iter().map(|s| s.bytes).sum();
        let mut used = wal + files.iter().map(|f| f.meta.disk_bytes()).sum::<u64>();
        while used > allowed && !files.is_empty() {
            used -= self.evict(writing, &mut files, i64::MAX)?;
        }

        let wanted = self.min_free(space);
        let mut free = space.free;
        while free < wanted || starved && free < wanted + self.config.wal_segment.get() {
            let freed = self.evict(writing, &mut files, (now - RECENT).0)?;
            if freed == 0 {
                break;
            }
            free = space_of(&self.dir)?.free.max(free + freed);
        }
        let nearly_full = free < wanted / 4;
        if nearly_full && writing.wal.failing().is_none() {
            self.counters.disk_full.inc(1);
            tracing::error!(free, "the disk is nearly full and nothing old is left to remove: the lake is read-only");
        }
        writing.wal.refuse(nearly_full.then(|| format!("disk full ({} MiB are free)", free >> 20)));
        self.counters.gauges.read_only.set(i64::from(writing.wal.failing().is_some()));
        self.counters.gauges.files.set(files.len() as i64);
        self.counters.gauges.file_bytes.set(files.iter().map(|f| f.meta.disk_bytes()).sum::<u64>() as i64);
        Ok(())
    }

    fn min_free(&self, space: Space) -> u64 {
        self.config.min_free.get().min(space.total / 20)
    }

    /// Removes one file received before `before`; returns the bytes freed, 0 when there is none.
    fn evict(&self, writing: &Writing, files: &mut Vec<Arc<LiveFile>>, before: i64) -> Result<u64, LakeError> {
        let Some(at) = first_to_go(files).filter(|&at| received(&files[at]) < before) else { return Ok(0) };
        let file = files.swap_remove(at);
        self.remove_files(writing, std::slice::from_ref(&file))?;
        self.counters.evicted_files.inc(1);
        self.counters.evicted_rows.inc(file.meta.rows);
        tracing::warn!(path = %file.meta.path, rows = file.meta.rows, "removed early to stay within the space allowed");
        Ok(file.meta.disk_bytes().max(1))
    }
}
