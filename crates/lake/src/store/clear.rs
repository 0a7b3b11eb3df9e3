//! Deleting replayed rows: from memory, from Parquet files, and from what a recovery or a replay of the log would
//! bring back.

use std::sync::Arc;

use arrow::compute::filter_record_batch;
use guardian_model::{ALL_CLASSES, Scope, TenantId};
use serde::Serialize;

use super::flush::MANY_REPLAYS;
use super::manifest::Change;
use super::state::{LiveFile, keep_mask};
use super::{Store, Tombstone, Writing};
use crate::LakeError;
use crate::wal::{HEADER_BYTES, Header, RecordKind, class_of};

/// What a deletion of replayed rows removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cleared {
    /// Rows of flows and other telemetry.
    pub rows: u64,
    /// Rows of findings.
    pub findings: u64,
}

impl Store {
    /// Deletes the rows of one replay, or of all (`None`), of every tenant in the scope.
    pub(crate) fn clear_replay(&self, scope: &Scope, name: Option<&str>) -> Result<Cleared, LakeError> {
        let writing = self.writing()?;
        if name.is_some_and(|n| n.is_empty() || n.len() > 1024) {
            return Err(LakeError::Data("the name of a replay has 1 to 1024 bytes".to_owned()));
        }
        // No flush and no merge may carry rows past this.
        let _files = writing.files.lock();
        let mut cleared = Cleared::default();
        for &tenant in scope.tenants() {
            self.clear_memory(writing, tenant, name, &mut cleared)?;
            self.clear_files(writing, tenant, name, &mut cleared)?;
        }
        self.counters.cleared_rows.inc(cleared.rows + cleared.findings);
        Ok(cleared)
    }

    fn clear_memory(
        &self,
        writing: &Writing,
        tenant: TenantId,
        name: Option<&str>,
        cleared: &mut Cleared,
    ) -> Result<(), LakeError> {
        let mut record = vec![0; HEADER_BYTES];
        record.extend_from_slice(name.unwrap_or_default().as_bytes());
        let header = Header {
            kind: RecordKind::ClearReplay,
            sealed: false,
            origin: false,
            id: 0,
            tenant,
            class_uid: 0,
            received: self.clock.now(),
            mark: None,
            rows: 0,
            body_len: 0,
            body_crc: 0,
        };
        let accepted = writing.wal.append(header, record)?;
        let id = accepted.id;
        self.tombstones.write().push(Tombstone { id, tenant, name: name.map(str::to_owned) });
        let mut state = self.state.write();
        for class in ALL_CLASSES {
            let mut removed = 0;
            state.rewrite_hot((tenant, class.uid), |batch| {
                let (kept, count) = batch.without_replay(name)?;
                removed += count;
                Some(kept)
            });
            cleared.count(class.uid, removed as u64);
        }
        self.publish_hot(&state);
        drop(state);
        drop(accepted);
        writing.wal.commit().wait(id)
    }

    fn clear_files(
        &self,
        writing: &Writing,
        tenant: TenantId,
        name: Option<&str>,
        cleared: &mut Cleared,
    ) -> Result<(), LakeError> {
        let affected = |f: &&Arc<LiveFile>| {
            let names = &f.meta.replays;
            f.meta.tenant == tenant
                && !names.is_empty()
                && name.is_none_or(|n| names.iter().any(|have| have == n || have == MANY_REPLAYS))
        };
        let files: Vec<_> = self.state.read().all_files().filter(affected).cloned().collect();
        for file in files {
            let Some(class) = class_of(file.meta.class_uid) else { continue };
            let rewritten = self.rewrite(std::slice::from_ref(&file), |_, rows| {
                Ok(match keep_mask(class, &rows, name) {
                    None => Some(rows),
                    Some(keep) => Some(filter_record_batch(&rows, &keep).map_err(LakeError::data)?),
                })
            });
            let new = match rewritten {
                Ok(new) => new,
                Err(LakeError::Data(why)) if self.quarantine_damaged(std::slice::from_ref(&file), true)? > 0 => {
                    tracing::warn!(why, "a damaged file was set aside instead of being cleared");
                    continue;
                }
                Err(error) => return Err(error),
            };
            let remaining = new.as_ref().map_or(0, |m| m.rows);
            writing.manifest.lock().commit(Change {
                add: new.iter().cloned().collect(),
                remove: vec![file.meta.path.clone()],
                ..Change::default()
            })?;
            let new = new.into_iter().map(|meta| LiveFile::new(meta, &self.dir)).collect();
            self.state.write().replaced(file.key(), std::slice::from_ref(&file), new);
            cleared.count(file.meta.class_uid, file.meta.rows - remaining);
        }
        Ok(())
    }
}

impl Cleared {
    fn count(&mut self, class_uid: u32, rows: u64) {
        if class_uid == guardian_model::FINDING.uid {
            self.findings += rows;
        } else {
            self.rows += rows;
        }
    }
}
