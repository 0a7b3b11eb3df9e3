//! Taking a bulk change back. What it replaced is kept for a while; an alert that somebody changed since stays as it is,
//! because a later decision is the better one.

use std::collections::HashMap;

use guardian_model::Micros;
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::entity::{alert, undo};
use crate::tx::CHUNK;
use crate::{CatalogError, Subject, Tx};

/// How long a bulk change can be taken back, in microseconds.
pub const UNDO_FOR: i64 = Micros::HOUR;

/// What taking back did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undone {
    /// Back as before.
    pub changed: u64,
    /// Changed by somebody since, and left alone.
    pub kept: u64,
}

/// What people had decided about an alert before a bulk change.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Before {
    id: Uuid,
    /// Number of the bulk change's own entry: a later decision has another one.
    pub(super) seq: i64,
    status: String,
    verdict: Option<String>,
    reason: Option<String>,
    assignee: Option<Uuid>,
    note: Option<String>,
    snoozed_until: Option<i64>,
    suppressed_by: Option<Uuid>,
}

impl Before {
    pub(super) fn of(row: &alert::Model) -> Self {
        Self {
            id: row.id,
            seq: row.seq,
            status: row.status.clone(),
            verdict: row.verdict.clone(),
            reason: row.reason.clone(),
            assignee: row.assignee,
            note: row.note.clone(),
            snoozed_until: row.snoozed_until,
            suppressed_by: row.suppressed_by,
        }
    }

    fn restore(self, row: &alert::Model) -> alert::Model {
        alert::Model {
            status: self.status,
            verdict: self.verdict,
            reason: self.reason,
            assignee: self.assignee,
            note: self.note,
            snoozed_until: self.snoozed_until,
            suppressed_by: self.suppressed_by,
            ..row.clone()
        }
    }
}

impl Tx {
    /// Keeps what a bulk change replaced, and forgets what is too old to be taken back.
    pub(super) async fn remember(&mut self, rows: Vec<Before>) -> Result<Option<Uuid>, CatalogError> {
        if rows.is_empty() {
            return Ok(None);
        }
        let text = serde_json::to_string(&rows).map_err(CatalogError::json("undo_log.rows"))?;
        let id = self.keep_undo(Subject::Alert, text).await?;
        Ok(Some(id))
    }

    /// Stores what can be taken back for [`UNDO_FOR`]. The changes themselves are recorded by whoever made them.
    pub(crate) async fn keep_undo(&mut self, subject: Subject, rows: String) -> Result<Uuid, CatalogError> {
        let (id, now, tenant) = (self.new_id(), self.now(), self.tenant().0);
        undo::Entity::delete_many()
            .filter(undo::Column::TenantId.eq(tenant))
            .filter(undo::Column::Expires.lt(now.0))
            .exec(self.look())
            .await?;
        let row = undo::ActiveModel {
            id: Set(id),
            tenant_id: Set(tenant),
            subject: Set(subject.as_str().to_owned()),
            actor: Set(self.actor().name.clone()),
            created: Set(now.0),
            expires: Set((now + UNDO_FOR).0),
            rows: Set(rows),
        };
        undo::Entity::insert(row).exec_without_returning(self.look()).await?;
        Ok(id)
    }

    /// Takes what was kept for taking back, once.
    pub(crate) async fn take_undo(&mut self, subject: Subject, id: Uuid) -> Result<String, CatalogError> {
        let row = undo::Entity::find_by_id(id)
            .filter(undo::Column::TenantId.eq(self.tenant().0))
            .filter(undo::Column::Subject.eq(subject.as_str()))
            .filter(undo::Column::Expires.gte(self.now().0))
            .one(self.look())
            .await?
            .ok_or(CatalogError::NotFound("change to take back; it is kept for an hour and works once"))?;
        undo::Entity::delete_by_id(id).exec(self.look()).await?;
        Ok(row.rows)
    }

    /// Takes a bulk change of alerts back.
    pub async fn undo_alerts(&mut self, id: Uuid) -> Result<Undone, CatalogError> {
        let text = self.take_undo(Subject::Alert, id).await?;
        let before: Vec<Before> = serde_json::from_str(&text).map_err(CatalogError::json("undo_log.rows"))?;
        let all = before.len() as u64;
        let mut rows = HashMap::new();
        let ids: Vec<Uuid> = before.iter().map(|b| b.id).collect();
        for chunk in ids.chunks(CHUNK) {
            let found = alert::Entity::find()
                .filter(alert::Column::TenantId.eq(self.tenant().0))
                .filter(alert::Column::Id.is_in(chunk.iter().copied()))
                .all(self.look())
                .await?;
            rows.extend(found.into_iter().map(|row| (row.id, row)));
        }
        let mut changed = 0;
        for one in before {
            // What detection added since, such as a higher count, is no decision and stays.
            let Some(row) = rows.remove(&one.id).filter(|row| row.decided == Some(one.seq)) else { continue };
            let after = one.restore(&row);
            self.store_decision(row, after, "alert.undo").await?;
            changed += 1;
        }
        Ok(Undone { changed, kept: all - changed })
    }
}
