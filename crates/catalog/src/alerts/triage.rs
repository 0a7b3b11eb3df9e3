//! What people decide about alerts, one at a time or by filter, each decision audited.

use guardian_model::{AlertId, Micros, UserId};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QuerySelect};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::query::condition;
use super::undo::Before;
use super::{Alert, AlertFilter, AlertStatus, Verdict};
use crate::entity::{alert, membership};
use crate::text::clean;
use crate::tx::{Audit, CHUNK, Change};
use crate::{Action, Assigned, CatalogError, Subject, Tx};

/// Most alerts changed by one bulk operation; call again while it returns this many.
pub const BULK_MAX: u64 = 5_000;

/// Longest note or reason, in characters.
const NOTE_MAX: usize = 4_000;

/// One decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertChange {
    /// Somebody is on it: the actor, if it is a person.
    Acknowledge,
    /// It is settled. A closed alert may be closed again with another verdict.
    Close {
        /// What it turned out to be.
        verdict: Verdict,
        /// Why; not empty.
        reason: String,
    },
    /// It is not settled after all.
    Reopen,
    /// Somebody else is to look after it, or nobody.
    Assign(Option<UserId>),
    /// Replaces the note; empty removes it.
    Note(String),
    /// Nobody wants to see it until then; nothing wakes it at once.
    Snooze(Option<Micros>),
}

/// What a bulk change did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkDone {
    /// Alerts changed.
    pub changed: u64,
    /// Whether there may be more than [`BULK_MAX`]: call again.
    pub more: bool,
    /// Takes it back; none when nothing changed.
    pub undo: Option<uuid::Uuid>,
}

impl AlertChange {
    fn audit_action(&self) -> &'static str {
        match self {
            Self::Acknowledge => "alert.acknowledge",
            Self::Close { .. } => "alert.close",
            Self::Reopen => "alert.reopen",
            Self::Assign(_) => "alert.assign",
            Self::Note(_) => "alert.note",
            Self::Snooze(Some(_)) => "alert.snooze",
            Self::Snooze(None) => "alert.wake",
        }
    }
}

impl Tx {
    /// Applies one decision to one alert. A decision that changes nothing succeeds and records nothing.
    pub async fn change_alert(&mut self, id: AlertId, change: &AlertChange) -> Result<Alert, CatalogError> {
        self.check(change).await?;
        let row = alert::Entity::find_by_id(id.0)
            .filter(alert::Column::TenantId.eq(self.tenant().0))
            .one(self.look())
            .await?
            .ok_or(CatalogError::NotFound("alert"))?;
        let after = self.decide(&row, change)?;
        let given = gives(&row, change);
        let alert = self.store_decision(row, after, change.audit_action()).await?;
        if given {
            self.hand_over(&alert, 1);
        }
        Ok(alert)
    }

    /// Applies one decision to every alert that matches `filter` and has not changed since the change-log entry
    /// numbered `as_of`, which is what the person saw. Alerts for which the decision makes no sense are left alone.
    /// At most [`BULK_MAX`] are changed, and can be taken back with [`Tx::undo_alerts`].
    pub async fn change_alerts(
        &mut self,
        filter: &AlertFilter,
        as_of: i64,
        change: &AlertChange,
    ) -> Result<BulkDone, CatalogError> {
        self.check(change).await?;
        let rows = alert::Entity::find()
            .filter(alert::Column::TenantId.eq(self.tenant().0))
            .filter(condition(filter))
            .filter(alert::Column::Seq.lte(as_of))
            .limit(BULK_MAX)
            .all(self.look())
            .await?;
        let more = rows.len() as u64 == BULK_MAX;
        let mut undo = Vec::new();
        let mut given = None;
        for row in rows {
            let Ok(after) = self.decide(&row, change) else { continue };
            if after != row {
                let mut before = Before::of(&row);
                let gives = gives(&row, change);
                let alert = self.store_decision(row, after, change.audit_action()).await?;
                before.seq = alert.seq;
                undo.push(before);
                if gives {
                    given.get_or_insert((alert, 0)).1 += 1;
                }
            }
        }
        if let Some((first, count)) = given {
            self.hand_over(&first, count);
        }
        let changed = undo.len() as u64;
        Ok(BulkDone { changed, more, undo: self.remember(undo).await? })
    }

    /// Removes what replays left: all of them, or the one of this name. Returns how many alerts are gone.
    pub async fn clear_replay(&mut self, name: Option<&str>) -> Result<u64, CatalogError> {
        use alert::Column as C;
        self.clear_replayed_incidents(name).await?;
        let of_replay = || {
            let query = alert::Entity::find().filter(C::TenantId.eq(self.tenant().0)).filter(C::Replay.is_not_null());
            if let Some(name) = name { query.filter(C::Replay.eq(clean(name, NOTE_MAX))) } else { query }
        };
        let ids: Vec<uuid::Uuid> = of_replay().select_only().column(C::Id).into_tuple().all(self.look()).await?;
        for id in &ids {
            self.record(Change {
                subject: Subject::Alert,
                id: id.to_string(),
                action: Action::Deleted,
                payload: Value::Null,
                // One entry tells of the whole replay.
                audit: Audit::NotNeeded,
            });
        }
        let detail = json!({ "alerts": ids.len() });
        let conn = self.record_quietly("replay.clear", Subject::Replay, clean(name.unwrap_or("*"), 200), detail);
        for chunk in ids.chunks(CHUNK) {
            alert::Entity::delete_many().filter(C::Id.is_in(chunk.iter().copied())).exec(conn).await?;
        }
        Ok(ids.len() as u64)
    }

    /// Refuses decisions that make no sense for any alert.
    async fn check(&self, change: &AlertChange) -> Result<(), CatalogError> {
        match change {
            AlertChange::Close { reason, .. } if reason.trim().is_empty() => {
                Err(CatalogError::Invalid("closing an alert needs a reason".into()))
            }
            AlertChange::Snooze(Some(until)) if *until <= self.now() => {
                Err(CatalogError::Invalid("snooze until a time in the future".into()))
            }
            AlertChange::Assign(Some(user)) => {
                let member = membership::Entity::find_by_id((user.0, self.tenant().0)).one(self.look()).await?;
                member.map(drop).ok_or(CatalogError::NotFound("user"))
            }
            _ => Ok(()),
        }
    }

    /// The row as the decision leaves it.
    fn decide(&self, row: &alert::Model, change: &AlertChange) -> Result<alert::Model, CatalogError> {
        let mut after = row.clone();
        match change {
            AlertChange::Acknowledge => {
                if row.status == AlertStatus::Closed.as_str() {
                    return Err(CatalogError::Conflict("the alert is closed; reopen it first".into()));
                }
                AlertStatus::Acknowledged.as_str().clone_into(&mut after.status);
                if row.assignee.is_none() && self.actor().kind == crate::ActorKind::User {
                    after.assignee = self.actor().id.as_deref().and_then(|id| id.parse().ok());
                }
            }
            AlertChange::Close { verdict, reason } => {
                AlertStatus::Closed.as_str().clone_into(&mut after.status);
                after.verdict = Some(verdict.as_str().to_owned());
                after.snoozed_until = None;
                after.reason = Some(clean(reason.trim(), NOTE_MAX));
            }
            AlertChange::Reopen => {
                if row.status == AlertStatus::Closed.as_str() {
                    AlertStatus::Acknowledged.as_str().clone_into(&mut after.status);
                    after.verdict = None;
                    after.reason = None;
                }
            }
            AlertChange::Assign(user) => after.assignee = user.map(|u| u.0),
            AlertChange::Snooze(Some(_)) if row.status == AlertStatus::Closed.as_str() => {
                return Err(CatalogError::Conflict("the alert is closed; there is nothing to snooze".into()));
            }
            AlertChange::Snooze(until) => after.snoozed_until = until.map(|t| t.0),
            AlertChange::Note(note) => after.note = Some(clean(note.trim(), NOTE_MAX)).filter(|n| !n.is_empty()),
        }
        Ok(after)
    }

    /// Tells whoever is to look after an alert from now on.
    fn hand_over(&mut self, alert: &Alert, count: u64) {
        let Some(to) = alert.assignee else { return };
        let what = Assigned {
            user: to,
            what: "alert".into(),
            id: alert.id.0,
            incident: None,
            title: alert.rule.title.clone(),
            count,
            replay: alert.replay.clone(),
            by: String::new(),
        };
        self.assigned(to.0, what);
    }

    pub(super) async fn store_decision(
        &mut self,
        before: alert::Model,
        mut after: alert::Model,
        action: &'static str,
    ) -> Result<Alert, CatalogError> {
        if after == before {
            return Alert::try_from(after);
        }
        after.updated = self.now().0;
        after.seq = self.seq() + 1;
        let alert = Alert::try_from(after.clone())?;
        let audit = Audit::Entry { action, before: decision(&before), after: decision(&after) };
        let (conn, seq) = self.record(Change {
            subject: Subject::Alert,
            id: after.id.to_string(),
            action: Action::Updated,
            payload: json!(alert),
            audit,
        });
        let row = alert::ActiveModel {
            status: Set(after.status),
            verdict: Set(after.verdict),
            reason: Set(after.reason),
            assignee: Set(after.assignee),
            note: Set(after.note),
            snoozed_until: Set(after.snoozed_until),
            suppressed_by: Set(after.suppressed_by),
            decided: Set(Some(seq)),
            updated: Set(after.updated),
            seq: Set(seq),
            ..Default::default()
        };
        alert::Entity::update_many().set(row).filter(alert::Column::Id.eq(after.id)).exec(conn).await?;
        Ok(alert)
    }
}

/// Whether a decision gives an alert to somebody who did not have it.
fn gives(row: &alert::Model, change: &AlertChange) -> bool {
    matches!(change, AlertChange::Assign(Some(user)) if row.assignee != Some(user.0))
}

/// What the audit trail shows of an alert: what people decide, not what detection measured.
fn decision(row: &alert::Model) -> Value {
    json!({
        "status": row.status, "verdict": row.verdict, "reason": row.reason, "assignee": row.assignee, "note": row.note,
        "snoozed_until": row.snoozed_until.map(Micros).map(|t| t.to_string()),
    })
}
