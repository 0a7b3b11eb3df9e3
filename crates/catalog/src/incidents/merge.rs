//! Merging incidents. What belongs to the one moves to the other, and what moved is written down, so that it can be
//! undone: then everything that is still where the merge put it goes back. Nothing is removed by either.

use guardian_model::{AlertId, IncidentId, Micros, TenantId, UserId};
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::entries::{EntryKind, EntryWhat};
use super::{INCIDENT_ALERTS_MAX, Incident, IncidentStatus, list, tags_text};
use crate::entity::{
    incident, incident_alert, incident_entity, incident_entry, incident_evidence, incident_merge, incident_task,
};
use crate::tx::CHUNK;
use crate::{Action, CatalogError, Scoped, Tx, Verdict};

/// What a merge moved.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// Alerts.
    pub alerts: Vec<Uuid>,
    /// Entries of the timeline.
    pub entries: Vec<Uuid>,
    /// Tasks.
    pub tasks: Vec<Uuid>,
    /// Files.
    pub evidence: Vec<Uuid>,
    /// Entities that people added or wrote about.
    pub entities: Vec<Uuid>,
    /// How the source stood.
    source: Stood,
    /// How the target stood, and how it stood afterwards.
    target: (Shared, Shared),
}

/// How an incident stood before it was merged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Stood {
    status: String,
    verdict: Option<String>,
    resolution: Option<String>,
    triaged_at: Option<i64>,
    resolved_at: Option<i64>,
    closed_at: Option<i64>,
}

/// What the target takes over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Shared {
    severity: i32,
    tags: String,
    watchers: String,
}

impl Shared {
    fn of(row: &incident::Model) -> Self {
        Self { severity: row.severity, tags: row.tags.clone(), watchers: row.watchers.clone() }
    }
}

/// That an incident was merged into another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentMerge {
    /// Its id.
    pub id: Uuid,
    /// Whose.
    pub tenant: TenantId,
    /// The incident that grew.
    pub target: IncidentId,
    /// The incident that became part of it.
    pub source: IncidentId,
    /// When.
    pub time: Micros,
    /// Who did it.
    pub actor: String,
    /// What moved.
    pub moved: Moved,
    /// When it was undone.
    pub undone: Option<Micros>,
    /// Who undid it.
    pub undone_by: Option<String>,
}

impl TryFrom<incident_merge::Model> for IncidentMerge {
    type Error = CatalogError;

    fn try_from(row: incident_merge::Model) -> Result<Self, CatalogError> {
        Ok(Self {
            id: row.id,
            tenant: TenantId(row.tenant_id),
            target: IncidentId(row.target_id),
            source: IncidentId(row.source_id),
            time: Micros(row.time),
            actor: row.actor,
            moved: serde_json::from_str(&row.moved).map_err(CatalogError::json("incident_merges.moved"))?,
            undone: row.undone.map(Micros),
            undone_by: row.undone_by,
        })
    }
}

impl Scoped<'_> {
    /// What was merged into an incident, newest first, undone merges included.
    pub async fn incident_merges(&self, id: IncidentId) -> Result<Vec<IncidentMerge>, CatalogError> {
        let rows = self
            .select::<incident_merge::Entity>()
            .filter(incident_merge::Column::TargetId.eq(id.0))
            .order_by_desc(incident_merge::Column::Id)
            .all(self.conn())
            .await?;
        rows.into_iter().map(IncidentMerge::try_from).collect()
    }
}

impl Tx {
    /// Merges `sources` into an incident that is still at `version`.
    pub async fn merge_incidents(
        &mut self,
        target: IncidentId,
        version: i32,
        sources: &[IncidentId],
    ) -> Result<Incident, CatalogError> {
        let row = self.live_incident(target).await?;
        CatalogError::unless_at("incident", row.version, version)?;
        let mut known = Vec::new();
        for source in sources {
            if *source == target {
                return Err(CatalogError::Invalid("an incident cannot be merged into itself".into()));
            }
            if !known.contains(source) {
                known.push(*source);
                self.merge_one(target, *source).await?;
            }
        }
        let after = self.incident_row(target).await?;
        let row = incident::Model { version: row.version + 1, ..after };
        self.refresh_with(row, "incident.merge").await
    }

    async fn merge_one(&mut self, target: IncidentId, source: IncidentId) -> Result<(), CatalogError> {
        let from = self.live_incident(source).await?;
        let into = self.live_incident(target).await?;
        if i64::from(from.alerts) + i64::from(into.alerts) > INCIDENT_ALERTS_MAX as i64 {
            return Err(CatalogError::Conflict(format!("an incident has at most {INCIDENT_ALERTS_MAX} alerts")));
        }
        let mut moved = self.movable(source, target).await?;
        moved.source = Stood {
            status: from.status.clone(),
            verdict: from.verdict.clone(),
            resolution: from.resolution.clone(),
            triaged_at: from.triaged_at,
            resolved_at: from.resolved_at,
            closed_at: from.closed_at,
        };
        self.relocate(&moved, target).await?;
        let grown = taken_over(&into, &from)?;
        moved.target = (Shared::of(&into), Shared::of(&grown));
        let what = EntryWhat::Merged;
        let data = json!({ "what": what, "incident": from.id, "number": from.number, "title": from.title });
        self.tell(target.0, EntryKind::Merge, &format!("merged: incident {}", from.number), data).await?;
        let what = EntryWhat::MergedInto;
        let data = json!({ "what": what, "incident": into.id, "number": into.number, "title": into.title });
        self.tell(source.0, EntryKind::Merge, &format!("merged into incident {}", into.number), data).await?;
        self.store_incident(Some(into.clone()), grown, "incident.merge").await?;
        let now = Some(self.now().0);
        let ended = incident::Model {
            status: IncidentStatus::Closed.as_str().to_owned(),
            verdict: Some(Verdict::Duplicate.as_str().to_owned()),
            resolution: Some(format!("part of incident {}", into.number)),
            triaged_at: from.triaged_at.or(now),
            resolved_at: from.resolved_at.or(now),
            closed_at: now,
            merged_into: Some(target.0),
            version: from.version + 1,
            ..from.clone()
        };
        self.refresh_with(ended, "incident.merge").await?;
        let row = incident_merge::Model {
            id: self.new_id(),
            tenant_id: self.tenant().0,
            target_id: target.0,
            source_id: source.0,
            time: self.now().0,
            actor: self.actor().name.clone(),
            moved: serde_json::to_string(&moved).map_err(CatalogError::json("incident_merges.moved"))?,
            undone: None,
            undone_by: None,
        };
        incident_merge::Entity::insert(row.into_active_model()).exec_without_returning(self.look()).await?;
        Ok(())
    }

    /// Undoes a merge: what it moved and is still there goes back, and the source stands as it did.
    pub async fn undo_merge(&mut self, target: IncidentId, id: Uuid) -> Result<Incident, CatalogError> {
        let row = incident_merge::Entity::find_by_id(id)
            .filter(incident_merge::Column::TenantId.eq(self.tenant().0))
            .filter(incident_merge::Column::TargetId.eq(target.0))
            .one(self.look())
            .await?
            .ok_or(CatalogError::NotFound("merge"))?;
        let merge = IncidentMerge::try_from(row.clone())?;
        if merge.undone.is_some() {
            return Err(CatalogError::Conflict("the merge is undone already".into()));
        }
        let into = self.live_incident(target).await?;
        let from = self.incident_row(merge.source).await?;
        let back = self.still_in(&merge.moved, target).await?;
        self.relocate(&back, merge.source).await?;
        let stood = &merge.moved.source;
        let source = incident::Model {
            status: stood.status.clone(),
            verdict: stood.verdict.clone(),
            resolution: stood.resolution.clone(),
            triaged_at: stood.triaged_at,
            resolved_at: stood.resolved_at,
            closed_at: stood.closed_at,
            merged_into: None,
            version: from.version + 1,
            ..from.clone()
        };
        let data = json!({ "what": EntryWhat::MergeUndone, "incident": from.id, "number": from.number });
        self.tell(target.0, EntryKind::Merge, &format!("merge undone: incident {}", from.number), data).await?;
        let data = json!({ "what": EntryWhat::Separated, "incident": into.id, "number": into.number });
        self.tell(from.id, EntryKind::Merge, "merge undone", data).await?;
        self.refresh_with(source, "incident.unmerge").await?;
        let (before, after) = &merge.moved.target;
        let mut target_row = incident::Model { version: into.version + 1, ..into };
        // What somebody changed since is theirs.
        if Shared::of(&target_row) == *after {
            target_row.severity = before.severity;
            target_row.tags.clone_from(&before.tags);
            target_row.watchers.clone_from(&before.watchers);
        }
        let done =
            incident_merge::Model { undone: Some(self.now().0), undone_by: Some(self.actor().name.clone()), ..row };
        let all = done.into_active_model().reset_all();
        let query = incident_merge::Entity::update_many().set(all).filter(incident_merge::Column::Id.eq(id));
        query.exec(self.look()).await?;
        self.refresh_with(target_row, "incident.unmerge").await
    }

    /// Writes a row and lets what follows from its alerts follow.
    async fn refresh_with(&mut self, row: incident::Model, action: &'static str) -> Result<Incident, CatalogError> {
        let before = self.incident_row(IncidentId(row.id)).await?;
        self.store_incident(Some(before), row.clone(), action).await?;
        let stored = self.incident_row(IncidentId(row.id)).await?;
        self.refresh(stored, action).await
    }

    /// What of `source` can move to `target`.
    async fn movable(&self, source: IncidentId, target: IncidentId) -> Result<Moved, CatalogError> {
        let there = self.entities_of(target.0).await?;
        let twin = |e: &incident_entity::Model| {
            there.iter().any(|t| t.site == e.site && t.kind == e.kind && t.value == e.value)
        };
        let own = self.entities_of(source.0).await?.into_iter();
        let entities = own.filter(|e| (!e.automatic || !e.note.is_empty() || e.indicator) && !twin(e)).map(|e| e.id);
        Ok(Moved {
            alerts: self.ids_of::<incident_alert::Entity>(source, incident_alert::Column::AlertId).await?,
            entries: self.ids_of::<incident_entry::Entity>(source, incident_entry::Column::Id).await?,
            tasks: self.ids_of::<incident_task::Entity>(source, incident_task::Column::Id).await?,
            evidence: self.ids_of::<incident_evidence::Entity>(source, incident_evidence::Column::Id).await?,
            entities: entities.collect(),
            ..Moved::default()
        })
    }

    /// Those of what moved that are still where the merge put them.
    async fn still_in(&self, moved: &Moved, target: IncidentId) -> Result<Moved, CatalogError> {
        let kept = |ids: &[Uuid], there: Vec<Uuid>| ids.iter().copied().filter(|id| there.contains(id)).collect();
        let entities: Vec<Uuid> = self.entities_of(target.0).await?.into_iter().map(|e| e.id).collect();
        let alerts = self.ids_of::<incident_alert::Entity>(target, incident_alert::Column::AlertId).await?;
        let entries = self.ids_of::<incident_entry::Entity>(target, incident_entry::Column::Id).await?;
        let tasks = self.ids_of::<incident_task::Entity>(target, incident_task::Column::Id).await?;
        let evidence = self.ids_of::<incident_evidence::Entity>(target, incident_evidence::Column::Id).await?;
        Ok(Moved {
            alerts: kept(&moved.alerts, alerts),
            entries: kept(&moved.entries, entries),
            tasks: kept(&moved.tasks, tasks),
            evidence: kept(&moved.evidence, evidence),
            entities: kept(&moved.entities, entities),
            ..Moved::default()
        })
    }

    async fn ids_of<E: Part>(&self, incident: IncidentId, id: E::Column) -> Result<Vec<Uuid>, CatalogError> {
        let query = E::find().filter(E::incident_column().eq(incident.0)).order_by_asc(id);
        Ok(query.select_only().column(id).into_tuple().all(self.look()).await?)
    }

    /// Writes into each part which incident it belongs to now.
    async fn relocate(&mut self, parts: &Moved, to: IncidentId) -> Result<(), CatalogError> {
        for alert in self.alert_rows(&parts.alerts).await? {
            let id = AlertId(alert.id);
            self.belong(alert, Some(to)).await?;
            self.tell_part(Action::Updated, to.0, "alert", id.0, json!({ "alert": id }));
        }
        self.move_rows::<incident_alert::Entity>(&parts.alerts, incident_alert::Column::AlertId, to).await?;
        self.move_rows::<incident_entry::Entity>(&parts.entries, incident_entry::Column::Id, to).await?;
        self.move_rows::<incident_task::Entity>(&parts.tasks, incident_task::Column::Id, to).await?;
        self.move_rows::<incident_evidence::Entity>(&parts.evidence, incident_evidence::Column::Id, to).await?;
        self.move_rows::<incident_entity::Entity>(&parts.entities, incident_entity::Column::Id, to).await
    }

    async fn move_rows<E: Part>(&self, ids: &[Uuid], id: E::Column, to: IncidentId) -> Result<(), CatalogError> {
        for chunk in ids.chunks(CHUNK) {
            E::update_many()
                .col_expr(E::incident_column(), Expr::val(to.0))
                .filter(id.is_in(chunk.iter().copied()))
                .exec(self.look())
                .await?;
        }
        Ok(())
    }
}

/// A table whose rows are parts of an incident.
trait Part: EntityTrait {
    fn incident_column() -> Self::Column;
}

macro_rules! parts {
    ($($table:ident),*) => {$(
        impl Part for $table::Entity {
            fn incident_column() -> Self::Column {
                $table::Column::IncidentId
            }
        }
    )*};
}

parts!(incident_alert, incident_entry, incident_task, incident_evidence, incident_entity);

/// The target with what it takes over: the worse severity, all tags and all watchers.
fn taken_over(into: &incident::Model, from: &incident::Model) -> Result<incident::Model, CatalogError> {
    let mut row = into.clone();
    row.severity = row.severity.max(from.severity);
    let mut tags: Vec<String> = Vec::new();
    for tag in into.tags.split(',').chain(from.tags.split(',')).filter(|t| !t.is_empty()) {
        if !tags.iter().any(|known| known == tag) {
            tags.push(tag.to_owned());
        }
    }
    row.tags = tags_text(&tags);
    let mut watchers: Vec<UserId> = list(&into.watchers, "incidents.watchers")?;
    let theirs: Vec<UserId> = list(&from.watchers, "incidents.watchers")?;
    for user in theirs.into_iter().chain(from.owner.map(UserId)) {
        if !watchers.contains(&user) {
            watchers.push(user);
        }
    }
    watchers.truncate(super::WATCHERS_MAX);
    row.watchers = json!(watchers).to_string();
    Ok(row)
}
