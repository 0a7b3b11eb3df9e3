//! What is to be done about an incident.

use guardian_model::{IncidentId, Micros, TenantId, UserId};
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::entries::EntryKind;
use super::{INCIDENT_TASKS_MAX, TITLE_MAX};
use crate::entity::incident_task;
use crate::text::clean;
use crate::{Action, Assigned, CatalogError, Scoped, Subject, Tx, text_enum};

const DESCRIPTION_MAX: usize = 10_000;

text_enum! {
    /// Where a task stands.
    TaskStatus {
        /// Nobody has begun.
        Open = "open",
        /// Somebody is on it.
        InProgress = "in_progress",
        /// It is done.
        Done = "done",
        /// It is not needed.
        Skipped = "skipped",
    }
}

impl TaskStatus {
    const fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Skipped)
    }
}

/// A task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentTask {
    /// Its id.
    pub id: Uuid,
    /// Whose.
    pub tenant: TenantId,
    /// Of which incident.
    pub incident: IncidentId,
    /// Grows with each edit.
    pub version: i32,
    /// Its place in the list, from 0.
    pub position: i32,
    /// The part of the work it belongs to, such as `contain`.
    pub phase: String,
    /// What to do.
    pub title: String,
    /// How, in Markdown.
    pub description: String,
    /// Where it stands.
    pub status: TaskStatus,
    /// Who does it.
    pub assignee: Option<UserId>,
    /// Until when.
    pub due: Option<Micros>,
    /// Since when it is known.
    pub created: Micros,
    /// When it was done or found needless.
    pub completed: Option<Micros>,
    /// Who did it.
    pub completed_by: Option<String>,
}

/// A task to add.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewTask {
    /// The part of the work it belongs to.
    pub phase: String,
    /// What to do.
    pub title: String,
    /// How, in Markdown.
    pub description: String,
    /// Who does it.
    pub assignee: Option<UserId>,
    /// Until when.
    pub due: Option<Micros>,
}

/// What to change of a task; none leaves as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskPatch {
    /// What to do.
    pub title: Option<String>,
    /// How, in Markdown.
    pub description: Option<String>,
    /// Where it stands.
    pub status: Option<TaskStatus>,
    /// Who does it, or nobody.
    pub assignee: Option<Option<UserId>>,
    /// Until when, or without an end.
    pub due: Option<Option<Micros>>,
    /// Its place in the list.
    pub position: Option<i32>,
}

impl TryFrom<incident_task::Model> for IncidentTask {
    type Error = CatalogError;

    fn try_from(row: incident_task::Model) -> Result<Self, CatalogError> {
        Ok(Self {
            id: row.id,
            tenant: TenantId(row.tenant_id),
            incident: IncidentId(row.incident_id),
            version: row.version,
            position: row.position,
            phase: row.phase,
            title: row.title,
            description: row.description,
            status: row.status.parse().map_err(CatalogError::Corrupt)?,
            assignee: row.assignee.map(UserId),
            due: row.due.map(Micros),
            created: Micros(row.created),
            completed: row.completed.map(Micros),
            completed_by: row.completed_by,
        })
    }
}

impl Scoped<'_> {
    /// The tasks of an incident, in their order.
    pub async fn incident_tasks(&self, id: IncidentId) -> Result<Vec<IncidentTask>, CatalogError> {
        let rows = self
            .select::<incident_task::Entity>()
            .filter(incident_task::Column::IncidentId.eq(id.0))
            .order_by_asc(incident_task::Column::Position)
            .order_by_asc(incident_task::Column::Id)
            .all(self.conn())
            .await?;
        rows.into_iter().map(IncidentTask::try_from).collect()
    }
}

impl Tx {
    /// Adds tasks at the end of the list.
    pub async fn add_tasks(&mut self, id: IncidentId, new: &[NewTask]) -> Result<Vec<IncidentTask>, CatalogError> {
        self.live_incident(id).await?;
        let known = self.task_rows(id.0).await?;
        if (known.len() + new.len()) as u64 > INCIDENT_TASKS_MAX {
            return Err(CatalogError::Conflict(format!("an incident has at most {INCIDENT_TASKS_MAX} tasks")));
        }
        let mut position = known.iter().map(|t| t.position + 1).max().unwrap_or_default();
        let mut made = Vec::with_capacity(new.len());
        for task in new {
            let title = clean(task.title.trim(), TITLE_MAX);
            if title.is_empty() {
                return Err(CatalogError::Invalid("a task needs a title".into()));
            }
            if let Some(user) = task.assignee {
                self.check_member(user).await?;
            }
            let row = incident_task::Model {
                id: self.new_id(),
                tenant_id: self.tenant().0,
                incident_id: id.0,
                version: 1,
                position,
                phase: clean(task.phase.trim(), 60),
                title,
                description: clean(&task.description, DESCRIPTION_MAX),
                status: TaskStatus::Open.as_str().to_owned(),
                assignee: task.assignee.map(|u| u.0),
                due: task.due.map(|t| t.0),
                created: self.now().0,
                completed: None,
                completed_by: None,
            };
            position += 1;
            made.push(self.write_task(row, true).await?);
        }
        if !made.is_empty() {
            let titles: Vec<&str> = made.iter().map(|t| t.title.as_str()).collect();
            self.note("incident.task.add", Subject::Incident, &id.to_string(), json!({ "tasks": titles }));
            self.touch_incident(id, "incident.touch").await?;
            for task in &made {
                self.hand_over_task(task);
            }
        }
        Ok(made)
    }

    /// Changes a task that is still at `version`.
    pub async fn update_task(
        &mut self,
        incident: IncidentId,
        id: Uuid,
        version: i32,
        patch: &TaskPatch,
    ) -> Result<IncidentTask, CatalogError> {
        self.live_incident(incident).await?;
        let before = self.task_row(incident, id).await?;
        CatalogError::unless_at("task", before.version, version)?;
        let mut row = before.clone();
        if let Some(title) = &patch.title {
            row.title = clean(title.trim(), TITLE_MAX);
            if row.title.is_empty() {
                return Err(CatalogError::Invalid("a task needs a title".into()));
            }
        }
        if let Some(text) = &patch.description {
            row.description = clean(text, DESCRIPTION_MAX);
        }
        if let Some(user) = patch.assignee {
            if let Some(user) = user {
                self.check_member(user).await?;
            }
            row.assignee = user.map(|u| u.0);
        }
        if let Some(due) = patch.due {
            row.due = due.map(|t| t.0);
        }
        if let Some(position) = patch.position {
            row.position = position.clamp(0, INCIDENT_TASKS_MAX as i32);
        }
        if let Some(status) = patch.status {
            self.finish(&mut row, status).await?;
        }
        row.version += 1;
        let detail = json!({ "task": id, "title": row.title, "from": before.status, "to": row.status,
            "assignee": row.assignee });
        self.note("incident.task.update", Subject::Incident, &incident.to_string(), detail);
        let task = self.write_task(row, false).await?;
        self.touch_incident(incident, "incident.touch").await?;
        if task.assignee.map(|u| u.0) != before.assignee {
            self.hand_over_task(&task);
        }
        Ok(task)
    }

    /// Tells whoever is to do a task from now on.
    fn hand_over_task(&mut self, task: &IncidentTask) {
        let Some(to) = task.assignee else { return };
        let what = Assigned {
            user: to,
            what: "task".into(),
            id: task.id,
            incident: Some(task.incident.0),
            title: task.title.clone(),
            count: 1,
            replay: None,
            by: String::new(),
        };
        self.assigned(to.0, what);
    }

    /// A task that is over belongs on the timeline.
    async fn finish(&mut self, row: &mut incident_task::Model, status: TaskStatus) -> Result<(), CatalogError> {
        let from: TaskStatus = row.status.parse().map_err(CatalogError::Corrupt)?;
        status.as_str().clone_into(&mut row.status);
        if status.is_over() == from.is_over() && status == from {
            return Ok(());
        }
        if status.is_over() {
            row.completed = Some(self.now().0);
            row.completed_by = Some(self.actor().name.clone());
            let text = format!("task {status}: {}", row.title);
            let data = json!({ "task": row.id, "title": row.title, "status": status });
            self.tell(row.incident_id, EntryKind::Task, &text, data).await?;
        } else {
            row.completed = None;
            row.completed_by = None;
        }
        Ok(())
    }

    /// Removes a task.
    pub async fn delete_task(&mut self, incident: IncidentId, id: Uuid) -> Result<(), CatalogError> {
        self.live_incident(incident).await?;
        let row = self.task_row(incident, id).await?;
        let detail = json!({ "task": id, "title": row.title, "status": row.status });
        self.note("incident.task.remove", Subject::Incident, &incident.to_string(), detail);
        incident_task::Entity::delete_by_id(id).exec(self.look()).await?;
        self.tell_part(Action::Deleted, incident.0, "task", id, Value::Null);
        self.touch_incident(incident, "incident.touch").await?;
        Ok(())
    }

    pub(super) async fn write_task(
        &mut self,
        row: incident_task::Model,
        new: bool,
    ) -> Result<IncidentTask, CatalogError> {
        let task = IncidentTask::try_from(row.clone())?;
        let action = if new { Action::Created } else { Action::Updated };
        self.tell_part(action, row.incident_id, "task", row.id, json!(task));
        if new {
            incident_task::Entity::insert(row.into_active_model()).exec_without_returning(self.look()).await?;
        } else {
            let id = row.id;
            let all = row.into_active_model().reset_all();
            let query = incident_task::Entity::update_many().set(all).filter(incident_task::Column::Id.eq(id));
            query.exec(self.look()).await?;
        }
        Ok(task)
    }

    async fn task_rows(&self, incident: Uuid) -> Result<Vec<incident_task::Model>, CatalogError> {
        let query = incident_task::Entity::find()
            .filter(incident_task::Column::TenantId.eq(self.tenant().0))
            .filter(incident_task::Column::IncidentId.eq(incident));
        Ok(query.all(self.look()).await?)
    }

    async fn task_row(&self, incident: IncidentId, id: Uuid) -> Result<incident_task::Model, CatalogError> {
        let found = self.task_rows(incident.0).await?.into_iter().find(|task| task.id == id);
        found.ok_or(CatalogError::NotFound("task"))
    }
}
