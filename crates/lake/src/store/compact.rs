//! Merging small files. Files of one tenant, class and day are merged with their neighbours of the same size or
//! smaller, eight at a time, so that a row is rewritten only a few times before it is in a file of full size.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::flush::Output;
use super::manifest::Change;
use super::parquet_file::{Shape, verify};
use super::reader::{FileRows, proves_itself};
use super::state::LiveFile;
use super::{Store, Writing};
use crate::LakeError;
use crate::wal::class_of;

/// Files of a tier that are merged at once.
const FAN_IN: usize = 8;
/// Files below this many rows are all in the lowest tier.
const TIER_ROWS: u64 = 4_096;

/// Which neighbours to merge. `rows` are the row counts of one day's files in the order of their ids; `closed` says
/// that the day is over, when any two that fit together are merged.
pub(super) fn pick(rows: &[u64], target: u64, closed: bool) -> Option<Range<usize>> {
    let highest = tier(target);
    for limit in 0..=highest {
        let small = |r: u64| tier(r) <= limit && r < target / 2;
        for run in runs(rows, small) {
            let fitting = run.start..run.start + fit(&rows[run.clone()], target);
            // Enough of this very tier, so that each row is rewritten once a tier; smaller ones between come along.
            if rows[fitting.clone()].iter().filter(|r| tier(**r) == limit).count() >= FAN_IN {
                return Some(fitting);
            }
        }
    }
    if !closed {
        return None;
    }
    let small = |r: u64| r < target / 2;
    let run = runs(rows, small).find(|run| fit(&rows[run.clone()], target) >= 2)?;
    Some(run.start..run.start + fit(&rows[run.clone()], target))
}

fn tier(rows: u64) -> u32 {
    (rows / TIER_ROWS).checked_ilog(FAN_IN as u64).map_or(0, |t| t + 1)
}

/// How many files from the front fit into one of the target size.
fn fit(rows: &[u64], target: u64) -> usize {
    let mut sum = 0;
    rows.iter()
        .take_while(|r| {
            sum += **r;
            sum <= target
        })
        .count()
}

fn runs(rows: &[u64], small: impl Fn(u64) -> bool) -> impl Iterator<Item = Range<usize>> {
    let mut found = Vec::new();
    let mut start = None;
    for (i, r) in rows.iter().enumerate() {
        match (small(*r), start) {
            (true, None) => start = Some(i),
            (false, Some(s)) => {
                found.push(s..i);
                start = None;
            }
            _ => {}
        }
    }
    found.extend(start.map(|s| s..rows.len()));
    found.into_iter()
}

impl Store {
    /// Merges one group of files, if there is one and the pace allows.
    pub(super) fn compact_step(&self, writing: &Writing) -> Result<(), LakeError> {
        let mut pace = writing.files.lock();
        let now = self.clock.monotonic();
        if now < pace.compact_after || writing.wal.failing().is_some() {
            return Ok(());
        }
        let Some(group) = self.next_group() else {
            pace.compact_after = now + Duration::from_secs(1);
            return Ok(());
        };
        let rows: u64 = group.iter().map(|f| f.meta.rows).sum();
        match self.merge(writing, &group) {
            Ok(()) => {}
            Err(error @ LakeError::Data(_)) => {
                tracing::warn!(%error, "merging failed: looking for the damaged file");
                pace.compact_after = now + Duration::from_secs(5);
                return self.quarantine_damaged(&group, true).map(|_| ());
            }
            Err(error) => {
                pace.compact_after = now + Duration::from_secs(5);
                if matches!(error, LakeError::Key { .. }) {
                    self.lock_unreadable(&group);
                }
                return Err(error);
            }
        }
        let seconds = rows as f64 / self.config.compact_rows_per_second.max(1) as f64;
        pace.compact_after = now + Duration::from_secs_f64(seconds.min(3600.0));
        Ok(())
    }

    fn next_group(&self) -> Option<Vec<Arc<LiveFile>>> {
        let today = self.clock.now().day();
        let state = self.state.read();
        for files in state.files.values() {
            let mut files = files.clone();
            files.sort_by(|a, b| (&a.meta.day, a.meta.ids).cmp(&(&b.meta.day, b.meta.ids)));
            for day in files.chunk_by(|a, b| a.meta.day == b.meta.day) {
                // What cannot be read stays as it is, as a full file would.
                let rows = day.iter().map(|f| if f.is_readable(&self.keys) { f.meta.rows } else { u64::MAX });
                let rows: Vec<u64> = rows.collect();
                let closed = day[0].meta.day < today;
                if let Some(range) = pick(&rows, self.config.compact_rows as u64, closed) {
                    return Some(day[range].to_vec());
                }
            }
        }
        None
    }

    fn merge(&self, writing: &Writing, group: &[Arc<LiveFile>]) -> Result<(), LakeError> {
        let merged = self.rewrite(group, |_, rows| Ok(Some(rows)))?;
        let remove = group.iter().map(|f| f.meta.path.clone()).collect();
        let rows: u64 = group.iter().map(|f| f.meta.rows).sum();
        writing.manifest.lock().commit(Change {
            add: merged.iter().cloned().collect(),
            remove,
            ..Change::default()
        })?;
        let new = merged.into_iter().map(|meta| LiveFile::new(meta, &self.dir)).collect();
        self.state.write().replaced(group[0].key(), group, new);
        self.counters.compactions.inc(1);
        self.counters.compacted_files.inc(group.len() as u64);
        self.counters.compacted_rows.inc(rows);
        Ok(())
    }

    /// Writes the rows of neighbouring files, as `change` leaves them, to one new file; `None` when none are left.
    pub(super) fn rewrite(
        &self,
        group: &[Arc<LiveFile>],
        change: impl Fn(
            &LiveFile,
            arrow::record_batch::RecordBatch,
        ) -> Result<Option<arrow::record_batch::RecordBatch>, LakeError>,
    ) -> Result<Option<super::manifest::FileMeta>, LakeError> {
        let (Some(first), Some(class)) = (group.first(), group.first().and_then(|f| class_of(f.meta.class_uid))) else {
            return Ok(None);
        };
        let mut shape = Shape::new(class);
        let mut before = 0;
        for file in group {
            let (_, schema) = FileRows::open(file, class, &self.keys)?;
            shape.add_file(&schema, before);
            before += file.meta.rows as usize;
        }
        let ids = group.iter().fold(first.meta.ids, |(low, high), f| (low.min(f.meta.ids.0), high.max(f.meta.ids.1)));
        let mut output = Output::new(self.place(), class, first.meta.tenant, &first.meta.day, ids, shape)?;
        for file in group {
            let (rows, _) = FileRows::open(file, class, &self.keys)?;
            for batch in rows {
                if let Some(batch) = change(file, batch?)? {
                    output.write(&batch)?;
                }
            }
        }
        if output.rows() == 0 {
            return Ok(None);
        }
        let mut replaces: Vec<String> = group.iter().map(|f| f.meta.path.clone()).collect();
        replaces.sort_unstable();
        output.finish(replaces).map(Some)
    }

    /// Leaves out of merging what its key does not open.
    fn lock_unreadable(&self, group: &[Arc<LiveFile>]) {
        for file in group {
            let opened = class_of(file.meta.class_uid).map(|class| FileRows::open(file, class, &self.keys));
            if let Some(Err(LakeError::Key { .. })) = opened {
                file.lock();
            }
        }
    }

    /// Checks files against their checksums and sets the damaged ones aside; returns how many those were. With `seals`
    /// encrypted files are read through, too: whoever changes one can write a checksum that fits, but no seal.
    pub(crate) fn quarantine_damaged(&self, files: &[Arc<LiveFile>], seals: bool) -> Result<usize, LakeError> {
        let mut count = 0;
        for file in files {
            let mut checked = verify(&file.path(), file.meta.bytes, file.meta.crc);
            if let (Ok(()), Some(rollup), Some(path)) = (&checked, &file.meta.rollup, file.rollup_path()) {
                checked = verify(&path, rollup.bytes, rollup.crc).map_err(|why| format!("roll-up: {why}"));
            }
            if seals && checked.is_ok() {
                checked = self.check_seals(file);
            }
            if let Err(why) = checked {
                self.quarantine(file, &why)?;
                count += 1;
            }
        }
        Ok(count)
    }
}

impl Store {
    fn check_seals(&self, file: &LiveFile) -> Result<(), String> {
        let rollup = file.meta.rollup.as_ref().filter(|r| r.key.is_some()).map(|r| &r.path);
        for path in file.meta.key.as_ref().map(|_| &file.meta.path).into_iter().chain(rollup) {
            // Without its key nothing is known of a file, and nothing is wrong with it.
            if matches!(proves_itself(file, path, &self.keys), Ok(false)) {
                return Err(format!("{path} was changed: its seal does not hold"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::pick;

    #[test]
    fn neighbours_of_a_size_are_merged() {
        let cases: &[(&[u64], bool, Option<std::ops::Range<usize>>)] = &[
            (&[10; 7], false, None),
            (&[10; 8], false, Some(0..8)),
            (&[10; 2], true, Some(0..2)),
            (&[9_000, 10, 10, 10, 10, 10, 10, 10], false, None),
            (&[2_000_000, 10, 10, 2_000_000], true, Some(1..3)),
            (&[2_000_000; 9], false, None),
            (&[1_200_000, 1_200_000], true, None),
            (&[50_000, 10, 10, 10, 10, 10, 10, 10, 10, 50_000], false, Some(1..9)),
            (&[900_000, 900_000, 900_000], true, Some(0..2)),
            (&[], true, None),
        ];
        for (rows, closed, expected) in cases {
            assert_eq!(&pick(rows, 2_000_000, *closed), expected, "{rows:?}");
        }
    }

    /// A row is rewritten only a few times on its way from many small files to a full one.
    #[test]
    fn rows_are_rewritten_a_few_times() {
        for size in [1_000, 6_000, 60_000, 300_000] {
            let (mut files, mut written, mut total) = (Vec::new(), 0, 0);
            for _ in 0..4_000_000 / size {
                files.push(size);
                total += size;
                while let Some(range) = pick(&files, 2_000_000, false) {
                    let sum = files[range.clone()].iter().sum();
                    written += sum;
                    files.splice(range, [sum]);
                }
            }
            while let Some(range) = pick(&files, 2_000_000, true) {
                let sum = files[range.clone()].iter().sum();
                written += sum;
                files.splice(range, [sum]);
            }
            assert!(written <= 6 * total, "{size}: {written} of {total}");
            assert!(files.len() <= 5, "{size}: {files:?}");
        }
    }
}
