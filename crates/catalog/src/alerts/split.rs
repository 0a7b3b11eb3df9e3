//! Splitting a grouped alert: events that tell another story are taken out into an alert of their own. Detection goes on
//! telling absolute states of the group; what was taken out is remembered with the alert and subtracted each time.

use std::collections::BTreeSet;

use guardian_model::{AlertId, EventRef};
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter};
use serde_json::{Value, json};

use super::{Alert, AlertStatus, EVIDENCE_MAX};
use crate::entity::{alert, alert_evidence};
use crate::text::clean;
use crate::tx::{Audit, Change};
use crate::{Action, CatalogError, Subject, Tx};

/// Events that may be taken out of one alert, over all splits: no more are kept as evidence at a time, but new ones come.
const TAKEN_MAX: usize = 1_000;

/// An alert and the one that was taken out of it.
#[derive(Clone, Debug, PartialEq)]
pub struct SplitAlerts {
    /// The alert without the events.
    pub left: Alert,
    /// The alert of the events.
    pub taken: Alert,
}

type Rows = Vec<(EventRef, Value)>;

/// The events that were taken out of an alert.
pub(super) fn taken(row: &alert::Model) -> Result<Vec<EventRef>, CatalogError> {
    let Some(text) = &row.taken else { return Ok(Vec::new()) };
    serde_json::from_str(text).map_err(CatalogError::json("alerts.taken"))
}

fn put_taken(row: &mut alert::Model, events: &[EventRef]) -> Result<(), CatalogError> {
    let text = serde_json::to_string(events).map_err(CatalogError::json("alerts.taken"))?;
    row.taken = (!events.is_empty()).then_some(text);
    Ok(())
}

/// First and last event time of some rows, as far as they say.
fn span(rows: &[(EventRef, Value)]) -> Option<(i64, i64)> {
    let time = |row: &Value| {
        let text = ["end", "time", "received"].iter().find_map(|name| row.get(*name)).and_then(Value::as_str)?;
        guardian_model::Micros::parse(text).map(|t| t.0)
    };
    let times: Vec<i64> = rows.iter().filter_map(|(_, row)| time(row)).collect();
    Some((*times.iter().min()?, *times.iter().max()?))
}

impl Tx {
    /// Takes events out of an alert into one of their own, with the same rule and entity. They must be among its
    /// evidence, and something must be left.
    pub async fn split_alert(
        &mut self,
        id: AlertId,
        events: &[EventRef],
        note: &str,
    ) -> Result<SplitAlerts, CatalogError> {
        let before = self.alert_row(id).await?;
        let wanted: BTreeSet<EventRef> = events.iter().copied().collect();
        let (out, left): (Rows, Rows) =
            self.evidence_of(id).await?.into_iter().partition(|(event, _)| wanted.contains(event));
        if wanted.is_empty() || out.len() < wanted.len() {
            return Err(CatalogError::Invalid("name events that are among the alert's evidence".into()));
        }
        if left.is_empty() {
            return Err(CatalogError::Conflict("nothing would be left of the alert".into()));
        }
        let mut all = taken(&before)?;
        all.extend(out.iter().map(|(event, _)| *event));
        if all.len() > TAKEN_MAX {
            return Err(CatalogError::Conflict(format!("at most {TAKEN_MAX} events are taken out of one alert")));
        }
        let mut rest = before.clone();
        // Rows that led to the first firing of a correlation are evidence and were not counted.
        rest.count = (rest.count - out.len() as i64).max(1);
        put_taken(&mut rest, &all)?;
        let new = self.new_id();
        let mut hasher = blake3::Hasher::new_derive_key("guardian alert split v1");
        hasher.update(&before.key);
        hasher.update(new.as_bytes());
        let (first, last) = span(&out).unwrap_or((before.first_seen, before.last_seen));
        let split = alert::Model {
            id: new,
            key: hasher.finalize().as_bytes()[..16].to_vec(),
            first_seen: first,
            last_seen: last,
            window_start: first,
            count: out.len() as i64,
            status: AlertStatus::New.as_str().to_owned(),
            verdict: None,
            reason: None,
            note: Some(clean(note.trim(), 4_000)).filter(|n| !n.is_empty()),
            snoozed_until: None,
            suppressed_by: None,
            incident_id: None,
            decided: None,
            created: self.now().0,
            taken: None,
            split_from: Some(before.id),
            ..before.clone()
        };
        let detail = json!({ "into": split.id, "events": out.len() });
        let left_view = self.write_split(Some(&before), rest, &left, "alert.split", detail.clone()).await?;
        let taken_view = self.write_split(None, split, &out, "alert.split", detail).await?;
        Ok(SplitAlerts { left: left_view, taken: taken_view })
    }

    /// Puts the events of a split alert back where they came from; the split alert is gone then.
    pub async fn join_back(&mut self, id: AlertId) -> Result<Alert, CatalogError> {
        let split = self.alert_row(id).await?;
        let Some(origin) = split.split_from else {
            return Err(CatalogError::Conflict("the alert was not taken out of another one".into()));
        };
        if split.incident_id.is_some() {
            return Err(CatalogError::Conflict("the alert belongs to an incident; take it out of that first".into()));
        }
        if split.taken.is_some() {
            return Err(CatalogError::Conflict("alerts were taken out of this one; put those back first".into()));
        }
        let before = self.alert_row(AlertId(origin)).await?;
        let back = self.evidence_of(id).await?;
        let mut rows = self.evidence_of(AlertId(origin)).await?;
        let mut out = taken(&before)?;
        out.retain(|event| !back.iter().any(|(e, _)| e == event));
        rows.extend(back);
        rows.sort_by_key(|(event, _)| *event);
        rows.truncate(EVIDENCE_MAX);
        let mut after = before.clone();
        after.count += split.count;
        put_taken(&mut after, &out)?;
        let (conn, _) = self.record(Change {
            subject: Subject::Alert,
            id: split.id.to_string(),
            action: Action::Deleted,
            payload: Value::Null,
            // The entry of the alert that it goes back into tells of it.
            audit: Audit::NotNeeded,
        });
        alert::Entity::delete_by_id(split.id).exec(conn).await?;
        self.write_split(Some(&before), after, &rows, "alert.join_back", json!({ "from": split.id })).await
    }

    async fn alert_row(&self, id: AlertId) -> Result<alert::Model, CatalogError> {
        let query = alert::Entity::find_by_id(id.0).filter(alert::Column::TenantId.eq(self.tenant().0));
        query.one(self.look()).await?.ok_or(CatalogError::NotFound("alert"))
    }

    async fn evidence_of(&self, id: AlertId) -> Result<Rows, CatalogError> {
        let row = alert_evidence::Entity::find_by_id(id.0).one(self.look()).await?;
        row.map_or(Ok(Vec::new()), |row| {
            serde_json::from_str(&row.rows).map_err(CatalogError::json("alert_evidence.rows"))
        })
    }

    /// Writes an alert and its evidence, with an audit entry.
    async fn write_split(
        &mut self,
        before: Option<&alert::Model>,
        mut row: alert::Model,
        evidence: &[(EventRef, Value)],
        action: &'static str,
        detail: Value,
    ) -> Result<Alert, CatalogError> {
        let text = serde_json::to_string(evidence).map_err(CatalogError::json("evidence"))?;
        row.evidence_hash = blake3::hash(text.as_bytes()).as_bytes()[..16].to_vec();
        row.updated = self.now().0;
        row.seq = self.seq() + 1;
        let alert = Alert::try_from(row.clone())?;
        let count = before.map(|b| json!({ "count": b.count }));
        let (conn, _) = self.record(Change {
            subject: Subject::Alert,
            id: row.id.to_string(),
            action: if before.is_some() { Action::Updated } else { Action::Created },
            payload: json!(alert),
            audit: Audit::Entry {
                action,
                before: json!(count),
                after: json!({ "count": row.count, "split_from": row.split_from, "detail": detail }),
            },
        });
        let id = row.id;
        if before.is_some() {
            let all = row.into_active_model().reset_all();
            alert::Entity::update_many().set(all).filter(alert::Column::Id.eq(id)).exec(conn).await?;
            alert_evidence::Entity::delete_by_id(id).exec(conn).await?;
        } else {
            alert::Entity::insert(row.into_active_model()).exec_without_returning(conn).await?;
        }
        let rows = alert_evidence::Model { alert_id: id, rows: text };
        alert_evidence::Entity::insert(rows.into_active_model()).exec_without_returning(conn).await?;
        Ok(alert)
    }
}
