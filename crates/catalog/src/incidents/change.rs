//! Making and changing incidents. Every change of what people edit goes by the version that they saw.

use guardian_model::{AlertId, IncidentId, Micros, Severity, UserId};
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::entries::EntryKind;
use super::query::condition;
use super::row::{Before, advance, blank, decided, difference, set_due, tidy_tags};
use super::{
    Incident, IncidentFilter, IncidentKind, IncidentOrigin, IncidentStatus, Joining, MARKDOWN_MAX, NO_DEADLINE,
    SlaClock, TITLE_MAX, WATCHERS_MAX, list, tags_text,
};
use crate::entity::{incident, membership};
use crate::text::clean;
use crate::tx::{Audit, Change};
use crate::{Action, BULK_MAX, BulkDone, CatalogError, Subject, Tx, Undone, Verdict};

/// When what has to be done; none means never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlaDue {
    /// Until when somebody has to look.
    pub acknowledge: Option<Micros>,
    /// Until when it has to be contained.
    pub contain: Option<Micros>,
    /// Until when it has to be resolved.
    pub resolve: Option<Micros>,
}

impl SlaDue {
    /// The deadline of one clock.
    pub const fn of(&self, clock: SlaClock) -> Option<Micros> {
        match clock {
            SlaClock::Acknowledge => self.acknowledge,
            SlaClock::Contain => self.contain,
            SlaClock::Resolve => self.resolve,
        }
    }
}

/// What a clock came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlaMark {
    /// The deadline is near.
    Warned,
    /// The deadline has passed.
    Breached,
}

/// An incident to make.
#[derive(Clone, Debug, PartialEq)]
pub struct NewIncident {
    /// What it is called.
    pub title: String,
    /// What is known, in Markdown.
    pub summary: String,
    /// What sort of incident.
    pub kind: IncidentKind,
    /// How bad.
    pub severity: Severity,
    /// Who leads the work.
    pub owner: Option<UserId>,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// Where it comes from.
    pub origin: IncidentOrigin,
    /// Its deadlines.
    pub due: SlaDue,
    /// The alerts that it begins with.
    pub alerts: Vec<Joining>,
}

/// What to change of an incident; none leaves as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IncidentPatch {
    /// What it is called.
    pub title: Option<String>,
    /// What is known, in Markdown.
    pub summary: Option<String>,
    /// What sort of incident.
    pub kind: Option<IncidentKind>,
    /// How bad.
    pub severity: Option<Severity>,
    /// Who leads the work, or nobody.
    pub owner: Option<Option<UserId>>,
    /// Words to find it by.
    pub tags: Option<Vec<String>>,
    /// Where it stands.
    pub status: Option<IncidentStatus>,
    /// What it turned out to be.
    pub verdict: Option<Verdict>,
    /// How it ended.
    pub resolution: Option<String>,
    /// New deadlines, as the change of severity or a reopening asks for.
    pub due: Option<SlaDue>,
}

/// One change of many incidents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IncidentChange {
    /// The same edit of each.
    Patch(IncidentPatch),
    /// Tags to add and to remove.
    Tag {
        /// To add.
        add: Vec<String>,
        /// To remove.
        remove: Vec<String>,
    },
}

impl Tx {
    /// Makes an incident, with its alerts.
    pub async fn create_incident(&mut self, new: &NewIncident) -> Result<Incident, CatalogError> {
        let title = clean(new.title.trim(), TITLE_MAX);
        if title.is_empty() {
            return Err(CatalogError::Invalid("an incident needs a title".into()));
        }
        if let Some(owner) = new.owner {
            self.check_member(owner).await?;
        }
        let last = incident::Entity::find()
            .filter(incident::Column::TenantId.eq(self.tenant().0))
            .order_by_desc(incident::Column::Number)
            .one(self.look())
            .await?;
        let now = self.now().0;
        let row = incident::Model {
            number: last.map_or(1, |row| row.number + 1),
            title,
            summary: clean(&new.summary, MARKDOWN_MAX),
            kind: new.kind.as_str().to_owned(),
            severity: i32::from(new.severity.id()),
            owner: new.owner.map(|u| u.0),
            tags: tags_text(&tidy_tags(&new.tags)?),
            origin: new.origin.as_str().to_owned(),
            created_by: self.actor().name.clone(),
            acknowledge_due: new.due.acknowledge.map(|t| t.0),
            contain_due: new.due.contain.map(|t| t.0),
            resolve_due: new.due.resolve.map(|t| t.0),
            ..blank(self.new_id(), self.tenant().0, now)
        };
        let id = row.id;
        let made = self.store_incident(None, row, "incident.create").await?;
        let opened = json!({ "origin": new.origin, "severity": new.severity });
        self.tell(id, EntryKind::Status, "opened", opened).await?;
        if !new.alerts.is_empty() {
            return self.join_alerts(IncidentId(id), &new.alerts).await;
        }
        Ok(made)
    }

    /// Changes an incident that is still at `version`.
    pub async fn update_incident(
        &mut self,
        id: IncidentId,
        version: i32,
        patch: &IncidentPatch,
    ) -> Result<Incident, CatalogError> {
        let row = self.incident_row(id).await?;
        CatalogError::unless_at("incident", row.version, version)?;
        if let Some(Some(owner)) = patch.owner {
            self.check_member(owner).await?;
        }
        let after = self.patched(&row, patch)?;
        self.store_edit(row, after).await
    }

    /// Changes every incident that matches `filter` and has not changed since `as_of`; those for which the change
    /// makes no sense are left alone. It can be taken back with [`Tx::undo_incidents`].
    pub async fn change_incidents(
        &mut self,
        filter: &IncidentFilter,
        as_of: i64,
        change: &IncidentChange,
    ) -> Result<BulkDone, CatalogError> {
        if let IncidentChange::Patch(IncidentPatch { owner: Some(Some(owner)), .. }) = change {
            self.check_member(*owner).await?;
        }
        let rows = incident::Entity::find()
            .filter(incident::Column::TenantId.eq(self.tenant().0))
            .filter(condition(filter))
            .filter(incident::Column::Seq.lte(as_of))
            .limit(BULK_MAX)
            .all(self.look())
            .await?;
        let more = rows.len() as u64 == BULK_MAX;
        let mut undo = Vec::new();
        for row in rows {
            let patch = match change {
                IncidentChange::Patch(patch) => patch.clone(),
                IncidentChange::Tag { add, remove } => {
                    let mut tags = Incident::try_from(row.clone())?.tags;
                    tags.retain(|tag| !remove.contains(tag));
                    tags.extend(add.iter().filter(|tag| !tags.contains(tag)).cloned().collect::<Vec<_>>());
                    IncidentPatch { tags: Some(tags), ..IncidentPatch::default() }
                }
            };
            let Ok(after) = self.patched(&row, &patch) else { continue };
            if after != row {
                let before = row.clone();
                let done = self.store_edit(row, after).await?;
                undo.push(Before::of(&before, done.version));
            }
        }
        let changed = undo.len() as u64;
        let text = serde_json::to_string(&undo).map_err(CatalogError::json("undo_log.rows"))?;
        let undo = if changed == 0 { None } else { Some(self.keep_undo(Subject::Incident, text).await?) };
        Ok(BulkDone { changed, more, undo })
    }

    /// Takes a bulk change of incidents back, apart from those that somebody edited since.
    pub async fn undo_incidents(&mut self, undo: Uuid) -> Result<Undone, CatalogError> {
        let text = self.take_undo(Subject::Incident, undo).await?;
        let before: Vec<Before> = list(&text, "undo_log.rows")?;
        let all = before.len() as u64;
        let mut changed = 0;
        for one in before {
            let Ok(row) = self.incident_row(IncidentId(one.id)).await else { continue };
            if row.version == one.version {
                let after = one.restore(&row);
                self.store_edit(row, after).await?;
                changed += 1;
            }
        }
        Ok(Undone { changed, kept: all - changed })
    }

    /// Lets somebody watch an incident, or not.
    pub async fn watch_incident(
        &mut self,
        id: IncidentId,
        user: UserId,
        watching: bool,
    ) -> Result<Incident, CatalogError> {
        if watching {
            self.check_member(user).await?;
        }
        let row = self.incident_row(id).await?;
        let mut watchers: Vec<UserId> = list(&row.watchers, "incidents.watchers")?;
        let known = watchers.contains(&user);
        if known == watching {
            return Incident::try_from(row);
        }
        watchers.retain(|w| *w != user);
        if watching {
            if watchers.len() >= WATCHERS_MAX {
                return Err(CatalogError::Conflict(format!("an incident has at most {WATCHERS_MAX} watchers")));
            }
            watchers.push(user);
        }
        let after = incident::Model { watchers: json!(watchers).to_string(), ..row.clone() };
        let action = if watching { "incident.watch" } else { "incident.unwatch" };
        self.store_incident(Some(row), after, action).await
    }

    /// Keeps what a clock came to, and says so on the timeline. Answers none if it was known.
    pub async fn mark_sla(
        &mut self,
        id: IncidentId,
        clock: SlaClock,
        mark: SlaMark,
    ) -> Result<Option<Incident>, CatalogError> {
        let row = self.incident_row(id).await?;
        let bits = match mark {
            SlaMark::Warned => row.sla_warned,
            SlaMark::Breached => row.sla_breached,
        };
        if bits & clock.bit() != 0 {
            return Ok(None);
        }
        let mut after = row.clone();
        match mark {
            SlaMark::Warned => after.sla_warned |= clock.bit(),
            SlaMark::Breached => after.sla_breached |= clock.bit(),
        }
        let text = match mark {
            SlaMark::Warned => format!("the time to {clock} is running out"),
            SlaMark::Breached => format!("the time to {clock} has run out"),
        };
        self.tell(row.id, EntryKind::Sla, &text, json!({ "clock": clock, "mark": mark })).await?;
        self.store_incident(Some(row), after, "incident.sla").await.map(Some)
    }

    /// Refuses somebody who has no role in this tenant.
    pub(crate) async fn check_member(&self, user: UserId) -> Result<(), CatalogError> {
        let member = membership::Entity::find_by_id((user.0, self.tenant().0)).one(self.look()).await?;
        member.map(drop).ok_or(CatalogError::NotFound("user"))
    }

    pub(crate) async fn incident_row(&self, id: IncidentId) -> Result<incident::Model, CatalogError> {
        let query = incident::Entity::find_by_id(id.0).filter(incident::Column::TenantId.eq(self.tenant().0));
        query.one(self.look()).await?.ok_or(CatalogError::NotFound("incident"))
    }

    /// An incident that may still be worked on.
    pub(crate) async fn live_incident(&self, id: IncidentId) -> Result<incident::Model, CatalogError> {
        let row = self.incident_row(id).await?;
        if row.merged_into.is_some() {
            return Err(CatalogError::Conflict("the incident is part of another; work on that one".into()));
        }
        Ok(row)
    }

    /// The row as the edit leaves it.
    fn patched(&self, row: &incident::Model, patch: &IncidentPatch) -> Result<incident::Model, CatalogError> {
        if row.merged_into.is_some() {
            return Err(CatalogError::Conflict("the incident is part of another; work on that one".into()));
        }
        let mut after = row.clone();
        if let Some(title) = &patch.title {
            after.title = clean(title.trim(), TITLE_MAX);
            if after.title.is_empty() {
                return Err(CatalogError::Invalid("an incident needs a title".into()));
            }
        }
        if let Some(summary) = &patch.summary {
            after.summary = clean(summary, MARKDOWN_MAX);
        }
        if let Some(kind) = patch.kind {
            kind.as_str().clone_into(&mut after.kind);
        }
        if let Some(severity) = patch.severity {
            after.severity = i32::from(severity.id());
        }
        if let Some(owner) = patch.owner {
            after.owner = owner.map(|u| u.0);
        }
        if let Some(tags) = &patch.tags {
            after.tags = tags_text(&tidy_tags(tags)?);
        }
        if let Some(verdict) = patch.verdict {
            after.verdict = Some(verdict.as_str().to_owned());
        }
        if let Some(resolution) = &patch.resolution {
            after.resolution = Some(clean(resolution.trim(), MARKDOWN_MAX)).filter(|text| !text.is_empty());
        }
        if let Some(due) = patch.due {
            set_due(&mut after, due);
        }
        if let Some(status) = patch.status {
            advance(&mut after, status, self.now())?;
        }
        Ok(after)
    }

    /// Records an edit, what it did on the timeline, and the next version.
    async fn store_edit(
        &mut self,
        before: incident::Model,
        mut after: incident::Model,
    ) -> Result<Incident, CatalogError> {
        if after == before {
            return Incident::try_from(after);
        }
        after.version += 1;
        if after.status != before.status {
            let data = json!({ "from": before.status, "to": after.status, "verdict": after.verdict });
            let text = format!("{} \u{2192} {}", before.status, after.status);
            self.tell(after.id, EntryKind::Status, &text, data).await?;
        }
        let edited = difference(&before, &after);
        if !edited.is_empty() {
            let names: Vec<&str> = edited.iter().map(|(name, ..)| *name).collect();
            let data: serde_json::Map<String, Value> =
                edited.iter().map(|(name, from, to)| ((*name).to_owned(), json!({ "from": from, "to": to }))).collect();
            self.tell(after.id, EntryKind::Edit, &names.join(", "), Value::Object(data)).await?;
        }
        self.store_incident(Some(before), after, "incident.update").await
    }

    /// Writes an incident with its records. The caller has decided what changes; this adds the times and the counts.
    pub(crate) async fn store_incident(
        &mut self,
        before: Option<incident::Model>,
        mut row: incident::Model,
        action: &'static str,
    ) -> Result<Incident, CatalogError> {
        let old = before.map(Incident::try_from).transpose()?;
        self.recount(&mut row).await?;
        row.updated = self.now().0;
        row.seq = self.seq() + 1;
        let now = Incident::try_from(row.clone())?;
        row.next_due = now.next_due().map_or(NO_DEADLINE, |t| t.0);
        let (conn, _) = self.record(Change {
            subject: Subject::Incident,
            id: row.id.to_string(),
            action: if old.is_some() { Action::Updated } else { Action::Created },
            payload: json!(now),
            audit: Audit::Entry { action, before: json!(old.as_ref().map(decided)), after: decided(&now) },
        });
        if old.is_none() {
            incident::Entity::insert(row.into_active_model()).exec_without_returning(conn).await?;
        } else {
            let id = row.id;
            let all = row.into_active_model().reset_all();
            incident::Entity::update_many().set(all).filter(incident::Column::Id.eq(id)).exec(conn).await?;
        }
        Ok(now)
    }

    /// Tells of a part that changed: the incident's counts and times follow. The part's own record is the caller's.
    pub(crate) async fn touch_incident(
        &mut self,
        id: IncidentId,
        action: &'static str,
    ) -> Result<Incident, CatalogError> {
        let row = self.incident_row(id).await?;
        self.store_incident(Some(row.clone()), row, action).await
    }

    /// Removes the incidents of replays: all, or those of this name. Their alerts go with the replay.
    pub(crate) async fn clear_replayed_incidents(&mut self, name: Option<&str>) -> Result<u64, CatalogError> {
        use incident::Column as C;
        let mut query =
            incident::Entity::find().filter(C::TenantId.eq(self.tenant().0)).filter(C::Replay.is_not_null());
        if let Some(name) = name {
            query = query.filter(C::Replay.eq(name));
        }
        let ids: Vec<Uuid> = query.select_only().column(C::Id).into_tuple().all(self.look()).await?;
        for id in &ids {
            let (conn, _) = self.record(Change {
                subject: Subject::Incident,
                id: id.to_string(),
                action: Action::Deleted,
                payload: Value::Null,
                // One entry tells of the whole replay.
                audit: Audit::NotNeeded,
            });
            incident::Entity::delete_by_id(*id).exec(conn).await?;
        }
        Ok(ids.len() as u64)
    }

    /// Ids of alerts that may be named twice, once each.
    pub(crate) fn distinct(ids: impl IntoIterator<Item = AlertId>) -> Vec<Uuid> {
        let mut ids: Vec<Uuid> = ids.into_iter().map(|id| id.0).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }
}
