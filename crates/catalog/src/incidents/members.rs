//! The alerts of an incident: joining with a reason, leaving, and becoming an incident of their own. An alert belongs
//! to one incident at most.

use std::collections::BTreeSet;

use guardian_model::{AlertId, IncidentId, Micros};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::entries::EntryKind;
use super::{INCIDENT_ALERTS_MAX, Incident, IncidentOrigin, NewIncident, SlaDue, list, part};
use crate::entity::{
    alert, incident, incident_alert, incident_entity, incident_entry, incident_evidence, incident_task,
};
use crate::text::clean;
use crate::tx::{Audit, CHUNK, Change};
use crate::{Action, Alert, CatalogError, Scoped, Subject, Tx};

/// One reason why an alert belongs to an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Why {
    /// What sort of reason: `entity`, `time`, `stage`, `rule` or `person`.
    pub factor: String,
    /// The reason in a sentence.
    pub text: String,
    /// How much it counts, in points.
    pub score: i32,
}

/// An alert that is to join an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joining {
    /// Which alert.
    pub alert: AlertId,
    /// Why.
    pub why: Vec<Why>,
}

impl Joining {
    /// Somebody decided it.
    pub fn by_person(alert: AlertId, reason: &str) -> Self {
        let text = if reason.trim().is_empty() { "added by hand" } else { reason.trim() };
        Self { alert, why: vec![Why { factor: "person".into(), text: text.into(), score: 0 }] }
    }
}

/// An alert of an incident, and why it is there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IncidentAlert {
    /// The alert.
    pub alert: Alert,
    /// Since when.
    pub joined: Micros,
    /// Who added it.
    pub joined_by: String,
    /// Points of the reasons together.
    pub score: i32,
    /// The reasons.
    pub why: Vec<Why>,
}

impl Scoped<'_> {
    /// The alerts of an incident, earliest event first.
    pub async fn incident_alerts(&self, id: IncidentId) -> Result<Vec<IncidentAlert>, CatalogError> {
        let links = self
            .select::<incident_alert::Entity>()
            .filter(incident_alert::Column::IncidentId.eq(id.0))
            .all(self.conn())
            .await?;
        let alerts = self
            .select::<alert::Entity>()
            .filter(alert::Column::IncidentId.eq(id.0))
            .order_by_asc(alert::Column::FirstSeen)
            .order_by_asc(alert::Column::Id)
            .limit(INCIDENT_ALERTS_MAX)
            .all(self.conn())
            .await?;
        let mut links: std::collections::HashMap<Uuid, incident_alert::Model> =
            links.into_iter().map(|link| (link.alert_id, link)).collect();
        let mut found = Vec::with_capacity(alerts.len());
        for row in alerts {
            let Some(link) = links.remove(&row.id) else { continue };
            found.push(IncidentAlert {
                joined: Micros(link.joined),
                joined_by: link.joined_by,
                score: link.score,
                why: list(&link.why, "incident_alerts.why")?,
                alert: Alert::try_from(row)?,
            });
        }
        Ok(found)
    }
}

impl Tx {
    /// Adds alerts to an incident. Those that are there already stay as they are; one of another incident is a
    /// conflict.
    pub async fn join_alerts(&mut self, id: IncidentId, joining: &[Joining]) -> Result<Incident, CatalogError> {
        let row = self.live_incident(id).await?;
        let ids = Self::distinct(joining.iter().map(|j| j.alert));
        let alerts = self.alert_rows(&ids).await?;
        if alerts.len() != ids.len() {
            return Err(CatalogError::NotFound("alert"));
        }
        if let Some(taken) = alerts.iter().find(|a| a.incident_id.is_some_and(|other| other != id.0)) {
            return Err(CatalogError::Conflict(format!(
                "the alert {} belongs to another incident; merge them, or take it out there first",
                taken.id
            )));
        }
        let fresh: Vec<alert::Model> = alerts.into_iter().filter(|a| a.incident_id.is_none()).collect();
        let here = incident_alert::Entity::find().filter(incident_alert::Column::IncidentId.eq(id.0));
        if here.count(self.look()).await? + fresh.len() as u64 > INCIDENT_ALERTS_MAX {
            return Err(CatalogError::Conflict(format!("an incident has at most {INCIDENT_ALERTS_MAX} alerts")));
        }
        for alert in fresh {
            let why = joining.iter().find(|j| j.alert.0 == alert.id).map(|j| j.why.clone()).unwrap_or_default();
            self.join_one(id, alert, &why).await?;
        }
        self.refresh(row, "incident.join").await
    }

    async fn join_one(&mut self, id: IncidentId, alert: alert::Model, why: &[Why]) -> Result<(), CatalogError> {
        let text = serde_json::to_string(why).map_err(CatalogError::json("incident_alerts.why"))?;
        let link = incident_alert::ActiveModel {
            alert_id: Set(alert.id),
            tenant_id: Set(self.tenant().0),
            incident_id: Set(id.0),
            joined: Set(self.now().0),
            joined_by: Set(self.actor().name.clone()),
            score: Set(why.iter().map(|w| w.score).sum()),
            why: Set(text),
        };
        let data = json!({
            "alert": alert.id, "title": alert.rule_title, "severity": alert.severity, "entity": alert.entity,
            "entity_kind": alert.entity_kind, "why": why,
        });
        let (summary, seen) = (alert.summary.clone(), Micros(alert.first_seen));
        let alert_id = alert.id;
        self.belong(alert, Some(id)).await?;
        incident_alert::Entity::insert(link).exec_without_returning(self.look()).await?;
        let entry = self.automatic(id.0, EntryKind::Alert, &summary, data);
        self.insert_entry(incident_entry::Model { event_time: seen.0, ..entry }).await?;
        self.tell_part(Action::Created, id.0, "alert", alert_id, json!({ "alert": alert_id }));
        Ok(())
    }

    /// Takes an alert out of its incident: it is free again.
    pub async fn leave_incident(&mut self, id: IncidentId, alert: AlertId) -> Result<Incident, CatalogError> {
        let row = self.live_incident(id).await?;
        let found = self.alert_rows(&[alert.0]).await?.pop().filter(|a| a.incident_id == Some(id.0));
        let found = found.ok_or(CatalogError::NotFound("alert of this incident"))?;
        let data = json!({ "alert": found.id, "title": found.rule_title });
        self.tell(id.0, EntryKind::Edit, &format!("alert taken out: {}", found.rule_title), data).await?;
        self.detach(id, found).await?;
        self.refresh(row, "incident.leave").await
    }

    /// Makes some alerts of an incident an incident of their own.
    pub async fn split_incident(
        &mut self,
        id: IncidentId,
        alerts: &[AlertId],
        title: &str,
        due: SlaDue,
    ) -> Result<Incident, CatalogError> {
        let row = self.live_incident(id).await?;
        let source = Incident::try_from(row.clone())?;
        let rows = self.alert_rows(&Self::distinct(alerts.iter().copied())).await?;
        if rows.is_empty() || rows.iter().any(|a| a.incident_id != Some(id.0)) {
            return Err(CatalogError::NotFound("alert of this incident"));
        }
        if rows.len() as u32 >= source.counts.alerts {
            return Err(CatalogError::Conflict("at least one alert stays in the incident".into()));
        }
        let worst = rows.iter().map(|a| a.severity).max().unwrap_or(row.severity);
        let moved: Vec<AlertId> = rows.iter().map(|a| AlertId(a.id)).collect();
        for alert in rows {
            self.detach(id, alert).await?;
        }
        let reason = format!("split from incident {}", source.number);
        let made = self
            .create_incident(&NewIncident {
                title: title.to_owned(),
                summary: String::new(),
                kind: source.kind,
                severity: super::severity(worst)?,
                owner: source.owner,
                tags: source.tags,
                origin: IncidentOrigin::Alerts,
                due,
                alerts: moved.iter().map(|alert| Joining::by_person(*alert, &reason)).collect(),
            })
            .await?;
        let data = json!({ "incident": made.id, "number": made.number, "alerts": moved });
        self.tell(id.0, EntryKind::Merge, &format!("split: incident {}", made.number), data).await?;
        let row = self.incident_row(id).await?;
        self.refresh(row, "incident.split").await?;
        Ok(made)
    }

    pub(super) async fn alert_rows(&self, ids: &[Uuid]) -> Result<Vec<alert::Model>, CatalogError> {
        let mut rows = Vec::with_capacity(ids.len());
        for chunk in ids.chunks(CHUNK) {
            let query = alert::Entity::find()
                .filter(alert::Column::TenantId.eq(self.tenant().0))
                .filter(alert::Column::Id.is_in(chunk.iter().copied()));
            rows.extend(query.all(self.look()).await?);
        }
        Ok(rows)
    }

    async fn detach(&mut self, id: IncidentId, alert: alert::Model) -> Result<(), CatalogError> {
        let alert_id = alert.id;
        incident_alert::Entity::delete_by_id(alert_id).exec(self.look()).await?;
        self.belong(alert, None).await?;
        self.tell_part(Action::Deleted, id.0, "alert", alert_id, Value::Null);
        Ok(())
    }

    /// Writes into an alert which incident it belongs to.
    pub(super) async fn belong(
        &mut self,
        mut alert: alert::Model,
        incident: Option<IncidentId>,
    ) -> Result<(), CatalogError> {
        alert.incident_id = incident.map(|id| id.0);
        alert.updated = self.now().0;
        alert.seq = self.seq() + 1;
        let id = alert.id;
        let change = alert::ActiveModel {
            incident_id: Set(alert.incident_id),
            updated: Set(alert.updated),
            seq: Set(alert.seq),
            ..Default::default()
        };
        let (conn, _) = self.record(Change {
            subject: Subject::Alert,
            id: id.to_string(),
            action: Action::Updated,
            payload: json!(Alert::try_from(alert)?),
            // The incident's own entry tells of it.
            audit: Audit::NotNeeded,
        });
        alert::Entity::update_many().set(change).filter(alert::Column::Id.eq(id)).exec(conn).await?;
        Ok(())
    }

    /// Tells followers of a part of an incident; the audit entry is the incident's.
    pub(crate) fn tell_part(&mut self, action: Action, incident: Uuid, item: &str, id: Uuid, data: Value) {
        self.record(Change {
            subject: Subject::IncidentItem,
            id: id.to_string(),
            action,
            payload: part(incident, item, &data),
            audit: Audit::NotNeeded,
        });
    }

    /// What follows from the alerts: times, techniques, the replay, and what the incident is about.
    pub(super) async fn refresh(
        &mut self,
        before: incident::Model,
        action: &'static str,
    ) -> Result<Incident, CatalogError> {
        let alerts = alert::Entity::find()
            .filter(alert::Column::IncidentId.eq(before.id))
            .filter(alert::Column::TenantId.eq(self.tenant().0))
            .all(self.look())
            .await?;
        let mut row = self.incident_row(IncidentId(before.id)).await?;
        let attack: BTreeSet<&str> =
            alerts.iter().flat_map(|a| a.attack.split(',')).filter(|tag| !tag.is_empty()).collect();
        row.attack = clean(&attack.into_iter().collect::<Vec<_>>().join(","), 4_000);
        if let (Some(first), Some(last)) =
            (alerts.iter().map(|a| a.first_seen).min(), alerts.iter().map(|a| a.last_seen).max())
        {
            row.first_seen = first;
            row.last_seen = last;
        }
        let all_replayed = !alerts.is_empty() && alerts.iter().all(|a| a.replay.is_some());
        row.replay = alerts.first().and_then(|a| a.replay.clone()).filter(|_| all_replayed);
        let alerts = alerts.into_iter().map(Alert::try_from).collect::<Result<Vec<_>, _>>()?;
        self.sync_entities(before.id, &alerts).await?;
        self.store_incident(Some(before), row, action).await
    }

    /// Counts what the incident has.
    pub(crate) async fn recount(&self, row: &mut incident::Model) -> Result<(), CatalogError> {
        let conn = self.look();
        let number = |n: u64| i32::try_from(n).unwrap_or(i32::MAX);
        let alerts = incident_alert::Entity::find().filter(incident_alert::Column::IncidentId.eq(row.id));
        row.alerts = number(alerts.count(conn).await?);
        let entities = incident_entity::Entity::find().filter(incident_entity::Column::IncidentId.eq(row.id));
        row.entities = number(entities.count(conn).await?);
        let tasks = incident_task::Entity::find().filter(incident_task::Column::IncidentId.eq(row.id));
        row.tasks = number(tasks.clone().count(conn).await?);
        let done = tasks.filter(incident_task::Column::Status.is_in(["done", "skipped"]));
        row.tasks_done = number(done.count(conn).await?);
        let comments = incident_entry::Entity::find()
            .filter(incident_entry::Column::IncidentId.eq(row.id))
            .filter(incident_entry::Column::Kind.eq(EntryKind::Comment.as_str()));
        row.comments = number(comments.count(conn).await?);
        let evidence = incident_evidence::Entity::find()
            .filter(incident_evidence::Column::IncidentId.eq(row.id))
            .filter(incident_evidence::Column::Removed.is_null());
        row.evidence = number(evidence.count(conn).await?);
        Ok(())
    }
}
