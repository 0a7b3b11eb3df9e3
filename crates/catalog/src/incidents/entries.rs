//! The timeline of an incident: what happened, when it happened (which people may correct), and who says so. Comments
//! are entries too.

use guardian_model::{IncidentId, Micros, TenantId, UserId};
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Incident, MARKDOWN_MAX, list};
use crate::entity::incident_entry;
use crate::page::{self, Cut, PageKey};
use crate::text::clean;
use crate::{Action, CatalogError, Scoped, Subject, Tx, text_enum};

/// Entries of one incident that people write.
const WRITTEN_MAX: u64 = 20_000;
/// Entries on a page.
const PAGE_MAX: u64 = 500;

text_enum! {
    /// What an entry tells of.
    EntryKind {
        /// An alert joined.
        Alert = "alert",
        /// Something that somebody noticed.
        Note = "note",
        /// Something that somebody did about it.
        Action = "action",
        /// What people say to each other.
        Comment = "comment",
        /// The incident moved on.
        Status = "status",
        /// Somebody changed what is known.
        Edit = "edit",
        /// A file came or went.
        Evidence = "evidence",
        /// A task was done.
        Task = "task",
        /// Something was recognised as part of it.
        Entity = "entity",
        /// It was merged or split.
        Merge = "merge",
        /// A deadline came near or passed.
        Sla = "sla",
    }
}

text_enum! {
    /// Which sentence an automatic entry says; what it names is in the entry's data.
    EntryWhat {
        /// The incident was made: `origin`, `severity`.
        Opened = "opened",
        /// It moved on: `from`, `to`, `verdict`.
        StatusChanged = "status_changed",
        /// What is known changed: a member for each field, with `from` and `to`.
        Edited = "edited",
        /// An alert joined: `alert`, `title`, `severity`, `entity`, `entity_kind`, `why`.
        AlertJoined = "alert_joined",
        /// An alert was taken out: `alert`, `title`.
        AlertRemoved = "alert_removed",
        /// A file came: `name`, `size`, `sha256`.
        EvidenceAdded = "evidence_added",
        /// A file went: `name`, `reason`.
        EvidenceRemoved = "evidence_removed",
        /// A task is over: `title`, `status`.
        TaskOver = "task_over",
        /// Something was recognised as part of it: `kind`, `value`.
        EntityAdded = "entity_added",
        /// Another incident became part of it: `incident`, `number`, `title`.
        Merged = "merged",
        /// It became part of another: `incident`, `number`, `title`.
        MergedInto = "merged_into",
        /// The other is an incident of its own again: `incident`, `number`.
        MergeUndone = "merge_undone",
        /// It is an incident of its own again: `incident`, `number` of the other.
        Separated = "separated",
        /// Alerts of it became another incident: `incident`, `number`, `alerts`.
        Split = "split",
        /// A deadline is near: `clock`.
        DeadlineNear = "deadline_near",
        /// A deadline has passed: `clock`.
        DeadlinePassed = "deadline_passed",
    }
}

impl EntryWhat {
    /// Of an automatic entry; none where older versions did not write down enough.
    fn of(kind: EntryKind, data: &Value) -> Option<Self> {
        let has = |key: &str| data.get(key).is_some();
        let word = |key: &str| data.get(key).and_then(Value::as_str);
        Some(match kind {
            EntryKind::Status if has("from") => Self::StatusChanged,
            EntryKind::Status => Self::Opened,
            EntryKind::Edit if has("alert") => Self::AlertRemoved,
            EntryKind::Edit => Self::Edited,
            EntryKind::Alert => Self::AlertJoined,
            EntryKind::Evidence if has("sha256") => Self::EvidenceAdded,
            EntryKind::Evidence => Self::EvidenceRemoved,
            EntryKind::Task => Self::TaskOver,
            EntryKind::Entity => Self::EntityAdded,
            EntryKind::Merge if has("alerts") => Self::Split,
            EntryKind::Merge => word("what")?.parse().ok()?,
            EntryKind::Sla if word("mark")? == "breached" => Self::DeadlinePassed,
            EntryKind::Sla => Self::DeadlineNear,
            EntryKind::Note | EntryKind::Action | EntryKind::Comment => return None,
        })
    }
}

/// One entry of a timeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IncidentEntry {
    /// Its id.
    pub id: Uuid,
    /// Whose.
    pub tenant: TenantId,
    /// Of which incident.
    pub incident: IncidentId,
    /// Grows with each edit.
    pub version: i32,
    /// What it tells of.
    pub kind: EntryKind,
    /// When it happened.
    pub event_time: Micros,
    /// When it was written.
    pub created: Micros,
    /// Who wrote it.
    pub author: String,
    /// The author's account or key.
    pub author_id: Option<String>,
    /// What happened, in Markdown where people wrote it.
    pub text: String,
    /// Whom it mentions.
    pub mentions: Vec<UserId>,
    /// Details, by kind.
    pub data: Value,
    /// When it was last edited.
    pub edited: Option<Micros>,
    /// Whether Guardian wrote it.
    pub automatic: bool,
}

/// An entry that somebody writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEntry {
    /// A note, an action or a comment.
    pub kind: EntryKind,
    /// Markdown.
    pub text: String,
    /// When it happened; now without it.
    pub event_time: Option<Micros>,
    /// Whom it mentions; who has no role here is left out.
    pub mentions: Vec<UserId>,
}

/// What to change of an entry; none leaves as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryPatch {
    /// The text; of written entries only.
    pub text: Option<String>,
    /// When it happened.
    pub event_time: Option<Micros>,
    /// Whom the text mentions now.
    pub mentions: Vec<UserId>,
}

impl TryFrom<incident_entry::Model> for IncidentEntry {
    type Error = CatalogError;

    fn try_from(row: incident_entry::Model) -> Result<Self, CatalogError> {
        Ok(Self {
            id: row.id,
            tenant: TenantId(row.tenant_id),
            incident: IncidentId(row.incident_id),
            version: row.version,
            kind: row.kind.parse().map_err(CatalogError::Corrupt)?,
            event_time: Micros(row.event_time),
            created: Micros(row.created),
            author: row.author,
            author_id: row.author_id,
            text: row.text,
            mentions: list(&row.mentions, "incident_entries.mentions")?,
            data: serde_json::from_str(&row.data).map_err(CatalogError::json("incident_entries.data"))?,
            edited: row.edited.map(Micros),
            automatic: row.automatic,
        })
    }
}

impl Scoped<'_> {
    /// A page of an incident's timeline by event time, newest first or oldest first, of these kinds (all if none is
    /// named), and the place where the next page begins.
    pub async fn incident_entries(
        &self,
        id: IncidentId,
        kinds: &[EntryKind],
        ascending: bool,
        place: Option<&(PageKey, Uuid)>,
        limit: u64,
    ) -> Result<(Vec<IncidentEntry>, Option<(PageKey, Uuid)>), CatalogError> {
        use incident_entry::Column as C;
        let mut query = self.select::<incident_entry::Entity>().filter(C::IncidentId.eq(id.0));
        if !kinds.is_empty() {
            query = query.filter(C::Kind.is_in(kinds.iter().map(|k| k.as_str())));
        }
        let cut = Cut {
            by: Expr::col((incident_entry::Entity, C::EventTime)),
            ascending,
            after: place.map(|(key, id)| (key, *id)),
            limit: limit.clamp(1, PAGE_MAX),
        };
        let end = |row: &incident_entry::Model| (PageKey::Number(row.event_time), row.id);
        let (rows, next) = page::fetch(query, C::Id, cut, self.conn(), end).await?;
        let items = rows.into_iter().map(IncidentEntry::try_from).collect::<Result<Vec<_>, _>>()?;
        Ok((items, next))
    }

    /// One entry.
    pub async fn incident_entry(&self, incident: IncidentId, id: Uuid) -> Result<IncidentEntry, CatalogError> {
        let row = self
            .select::<incident_entry::Entity>()
            .filter(incident_entry::Column::IncidentId.eq(incident.0))
            .filter(incident_entry::Column::Id.eq(id))
            .one(self.conn())
            .await?;
        row.ok_or(CatalogError::NotFound("entry")).and_then(IncidentEntry::try_from)
    }
}

impl Tx {
    /// Writes a note, an action or a comment. Who is mentioned watches the incident from then on.
    pub async fn add_entry(&mut self, id: IncidentId, new: &NewEntry) -> Result<IncidentEntry, CatalogError> {
        let incident = self.live_incident(id).await?;
        if !matches!(new.kind, EntryKind::Note | EntryKind::Action | EntryKind::Comment) {
            return Err(CatalogError::Invalid(format!("people write notes, actions and comments, not {}", new.kind)));
        }
        if new.text.trim().is_empty() {
            return Err(CatalogError::Invalid("the text is empty".into()));
        }
        let written = incident_entry::Entity::find()
            .filter(incident_entry::Column::IncidentId.eq(id.0))
            .filter(incident_entry::Column::Automatic.eq(false));
        if written.count(self.look()).await? >= WRITTEN_MAX {
            return Err(CatalogError::Conflict(format!("an incident has at most {WRITTEN_MAX} written entries")));
        }
        let mentions = self.members_of(&new.mentions).await?;
        let row = incident_entry::Model {
            automatic: false,
            event_time: new.event_time.unwrap_or(self.now()).0,
            mentions: json!(mentions).to_string(),
            ..self.automatic(id.0, new.kind, new.text.trim(), Value::Null)
        };
        let entry = self.insert_entry(row).await?;
        for user in mentions {
            self.watch_incident(IncidentId(incident.id), user, true).await?;
        }
        self.note(
            "incident.write",
            Subject::Incident,
            &id.to_string(),
            json!({ "entry": entry.id, "kind": entry.kind }),
        );
        self.touch_incident(id, "incident.touch").await?;
        Ok(entry)
    }

    /// Corrects an entry that is still at `version`. Only its author may change a text, and what Guardian wrote can be
    /// moved in time only; `anybodys` lifts the first of these.
    pub async fn update_entry(
        &mut self,
        incident: IncidentId,
        id: Uuid,
        version: i32,
        patch: &EntryPatch,
        anybodys: bool,
    ) -> Result<IncidentEntry, CatalogError> {
        self.live_incident(incident).await?;
        let mut row = self.entry_row(incident, id).await?;
        CatalogError::unless_at("entry", row.version, version)?;
        let before = row.text.clone();
        if let Some(text) = &patch.text {
            if row.automatic {
                return Err(CatalogError::Conflict("Guardian wrote this entry; only its time can be corrected".into()));
            }
            self.check_author(&row, anybodys)?;
            if text.trim().is_empty() {
                return Err(CatalogError::Invalid("the text is empty".into()));
            }
            row.text = clean(text.trim(), MARKDOWN_MAX);
            row.mentions = json!(self.members_of(&patch.mentions).await?).to_string();
        }
        if let Some(time) = patch.event_time {
            row.event_time = time.0;
        }
        row.version += 1;
        row.edited = Some(self.now().0);
        let entry = IncidentEntry::try_from(row.clone())?;
        let all = row.into_active_model().reset_all();
        incident_entry::Entity::update_many()
            .set(all)
            .filter(incident_entry::Column::Id.eq(id))
            .exec(self.look())
            .await?;
        self.tell_part(Action::Updated, incident.0, "entry", id, json!(entry));
        let detail = json!({ "entry": id, "kind": entry.kind, "before": before, "after": entry.text,
            "event_time": entry.event_time.to_string() });
        self.note("incident.rewrite", Subject::Incident, &incident.to_string(), detail);
        self.touch_incident(incident, "incident.touch").await?;
        Ok(entry)
    }

    /// Removes a written entry; the audit trail keeps its text.
    pub async fn delete_entry(&mut self, incident: IncidentId, id: Uuid, anybodys: bool) -> Result<(), CatalogError> {
        self.live_incident(incident).await?;
        let row = self.entry_row(incident, id).await?;
        if row.automatic {
            return Err(CatalogError::Conflict("Guardian wrote this entry; it stays".into()));
        }
        self.check_author(&row, anybodys)?;
        let detail = json!({ "entry": id, "kind": row.kind, "text": row.text, "author": row.author });
        self.note("incident.unwrite", Subject::Incident, &incident.to_string(), detail);
        incident_entry::Entity::delete_by_id(id).exec(self.look()).await?;
        self.tell_part(Action::Deleted, incident.0, "entry", id, Value::Null);
        self.touch_incident(incident, "incident.touch").await?;
        Ok(())
    }

    /// Adds an entry that Guardian writes.
    pub(crate) async fn tell(
        &mut self,
        incident: Uuid,
        kind: EntryKind,
        text: &str,
        data: Value,
    ) -> Result<IncidentEntry, CatalogError> {
        let row = self.automatic(incident, kind, text, data);
        self.insert_entry(row).await
    }

    pub(crate) fn automatic(&self, incident: Uuid, kind: EntryKind, text: &str, data: Value) -> incident_entry::Model {
        incident_entry::Model {
            id: self.new_id(),
            tenant_id: self.tenant().0,
            incident_id: incident,
            version: 1,
            kind: kind.as_str().to_owned(),
            event_time: self.now().0,
            created: self.now().0,
            author: self.actor().name.clone(),
            author_id: self.actor().id.clone(),
            text: clean(text, MARKDOWN_MAX),
            mentions: "[]".into(),
            data: data.to_string(),
            edited: None,
            automatic: true,
        }
    }

    pub(crate) async fn insert_entry(&mut self, row: incident_entry::Model) -> Result<IncidentEntry, CatalogError> {
        let entry = IncidentEntry::try_from(row.clone())?;
        self.tell_part(Action::Created, row.incident_id, "entry", row.id, json!(entry));
        incident_entry::Entity::insert(row.into_active_model()).exec_without_returning(self.look()).await?;
        Ok(entry)
    }

    fn check_author(&self, row: &incident_entry::Model, anybodys: bool) -> Result<(), CatalogError> {
        let own = row.author_id.is_some() && row.author_id == self.actor().id
            || row.author_id.is_none() && self.actor().id.is_none() && row.author == self.actor().name;
        if own || anybodys {
            return Ok(());
        }
        Err(CatalogError::Conflict(format!("only {} may change what {} wrote", row.author, row.author)))
    }

    async fn entry_row(&self, incident: IncidentId, id: Uuid) -> Result<incident_entry::Model, CatalogError> {
        let query = incident_entry::Entity::find_by_id(id)
            .filter(incident_entry::Column::TenantId.eq(self.tenant().0))
            .filter(incident_entry::Column::IncidentId.eq(incident.0));
        query.one(self.look()).await?.ok_or(CatalogError::NotFound("entry"))
    }

    /// Those of some accounts that have a role here.
    async fn members_of(&self, users: &[UserId]) -> Result<Vec<UserId>, CatalogError> {
        let mut members = Vec::new();
        for user in users.iter().take(super::WATCHERS_MAX) {
            if !members.contains(user) && self.check_member(*user).await.is_ok() {
                members.push(*user);
            }
        }
        Ok(members)
    }
}

impl IncidentEntry {
    /// Whether it came of what people did, not of the incident itself.
    pub fn is_written(&self) -> bool {
        !self.automatic
    }

    /// Which sentence it says, so that it can be said in another language; none of what people wrote.
    pub fn what(&self) -> Option<EntryWhat> {
        EntryWhat::of(self.kind, &self.data).filter(|_| self.automatic)
    }
}

impl Incident {
    /// The accounts that are to hear of it: whoever owns or watches it.
    pub fn audience(&self) -> Vec<UserId> {
        let mut audience: Vec<UserId> = self.owner.into_iter().chain(self.watchers.iter().copied()).collect();
        audience.sort_unstable();
        audience.dedup();
        audience
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_known_of_old_entries_too() {
        use EntryKind::{Alert, Comment, Edit, Entity, Evidence, Merge, Sla, Status, Task};
        let id = "0192f0c1-1c1a-7aaa-8bbb-0123456789ab";
        for (kind, data, what) in [
            (Status, json!({"origin": "manual", "severity": "high"}), Some("opened")),
            (Status, json!({"from": "new", "to": "closed", "verdict": "benign"}), Some("status_changed")),
            (Edit, json!({"title": {"from": "a", "to": "b"}}), Some("edited")),
            (Edit, json!({"alert": id, "title": "Scan"}), Some("alert_removed")),
            (Alert, json!({"alert": id, "title": "Scan", "why": []}), Some("alert_joined")),
            (Evidence, json!({"name": "a.pcap", "sha256": "00", "size": 1}), Some("evidence_added")),
            (Evidence, json!({"name": "a.pcap", "reason": "twice"}), Some("evidence_removed")),
            (Task, json!({"task": id, "status": "done"}), Some("task_over")),
            (Entity, json!({"kind": "domain", "value": "example.org"}), Some("entity_added")),
            (Merge, json!({"incident": id, "number": 2, "alerts": [id]}), Some("split")),
            (Merge, json!({"what": "merged_into", "incident": id, "number": 2}), Some("merged_into")),
            (Merge, json!({"incident": id, "number": 2}), None),
            (Sla, json!({"clock": "resolve", "mark": "warned"}), Some("deadline_near")),
            (Sla, json!({"clock": "resolve", "mark": "breached"}), Some("deadline_passed")),
            (Comment, Value::Null, None),
        ] {
            assert_eq!(EntryWhat::of(kind, &data).map(EntryWhat::as_str), what, "{kind} {data}");
        }
    }
}
