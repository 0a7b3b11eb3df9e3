//! What an incident is about, and what is to be done: entities and tasks.

use axum::extract::State;
use axum::http::StatusCode;
use guardian_catalog::{
    EntityPatch, IncidentEntity, IncidentTask, NewObservable, NewTask, ObservableKind, TaskPatch, TaskStatus,
};
use guardian_identity::Permission;
use guardian_respond::templates;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::alerts::{parse_time, user_id};
use super::incident_view::{Lookup, PersonRef, locate, nullable};
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::{Json, Path};
use crate::state::ApiState;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(entities, add_entity))
        .routes(routes!(update_entity, delete_entity))
        .routes(routes!(tasks, add_tasks))
        .routes(routes!(update_task, delete_task))
}

/// A thing that an incident is about.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct EntityView {
    /// Identity within the incident.
    pub(crate) id: String,
    /// Grows with each edit.
    pub(crate) version: i32,
    /// Site; empty is the main one.
    pub(crate) site: String,
    /// ip, host, user, domain, hash, url, email, file or other.
    pub(crate) kind: String,
    /// Its value.
    pub(crate) value: String,
    /// What part it plays: subject, source, target, or what people say.
    pub(crate) role: String,
    /// What people know of it.
    pub(crate) note: String,
    /// Whether meeting it elsewhere means harm.
    pub(crate) indicator: bool,
    /// Whether it came with an alert.
    pub(crate) automatic: bool,
    /// Alerts of the incident that are about it.
    pub(crate) alerts: u32,
    /// First event of those alerts, RFC 3339.
    pub(crate) first_seen: Option<String>,
    /// Last event of those alerts, RFC 3339.
    pub(crate) last_seen: Option<String>,
}

impl From<IncidentEntity> for EntityView {
    fn from(e: IncidentEntity) -> Self {
        Self {
            id: e.id.to_string(),
            version: e.version,
            site: e.site,
            kind: e.kind.to_string(),
            value: e.value,
            role: e.role,
            note: e.note,
            indicator: e.indicator,
            automatic: e.automatic,
            alerts: e.alerts,
            first_seen: e.first_seen.map(|t| t.to_string()),
            last_seen: e.last_seen.map(|t| t.to_string()),
        }
    }
}

/// What an incident is about.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EntityList {
    /// What most alerts name first.
    pub(crate) items: Vec<EntityView>,
}

/// List what an incident is about
#[utoipa::path(get, path = "/incidents/{id}/entities", tag = "incidents", extensions(("x-permission" = json!("incidents:read"))),
    params(("id" = String, Path, description = "Incident id or number")),
    responses((status = 200, body = EntityList), (status = 404, body = Problem)))]
async fn entities(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<EntityList>> {
    let place = locate(&state, &caller, Permission::IncidentsRead, &id).await?;
    let found = state.catalog.scoped(&place.scope).incident_entities(place.id()).await?;
    Ok(Json(EntityList { items: found.into_iter().map(EntityView::from).collect() }))
}

/// A thing to add.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddEntity {
    /// ip, host, user, domain, hash, url, email, file or other.
    pub(crate) kind: String,
    /// Its value.
    pub(crate) value: String,
    /// Site; empty is the main one.
    #[serde(default)]
    pub(crate) site: String,
    /// What part it plays.
    #[serde(default)]
    pub(crate) role: String,
    /// What is known of it.
    #[serde(default)]
    pub(crate) note: String,
    /// Whether meeting it elsewhere means harm.
    #[serde(default)]
    pub(crate) indicator: bool,
}

/// Add an entity or indicator to an incident
#[utoipa::path(post, path = "/incidents/{id}/entities", tag = "incidents", extensions(("x-permission" = json!("incidents:write"))), request_body = AddEntity,
    params(("id" = String, Path, description = "Incident id or number")),
    responses((status = 201, body = EntityView), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn add_entity(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<AddEntity>,
) -> ApiResult<(StatusCode, Json<EntityView>)> {
    let place = locate(&state, &caller, Permission::IncidentsWrite, &id).await?;
    let new = NewObservable {
        site: body.site,
        kind: body.kind.parse::<ObservableKind>().map_err(ApiError::invalid)?,
        value: body.value,
        role: body.role,
        note: body.note,
        indicator: body.indicator,
    };
    let mut tx = place.begin(&state, &caller).await?;
    let made = tx.add_entity(place.id(), &new).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(made.into())))
}

/// What to change of an entity; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateEntity {
    /// The version that the caller saw.
    pub(crate) version: i32,
    /// What part it plays.
    #[serde(default)]
    pub(crate) role: Option<String>,
    /// What is known of it.
    #[serde(default)]
    pub(crate) note: Option<String>,
    /// Whether meeting it elsewhere means harm.
    #[serde(default)]
    pub(crate) indicator: Option<bool>,
}

fn part_id(text: &str, what: &'static str) -> ApiResult<Uuid> {
    text.parse().map_err(|_| ApiError::not_found(what))
}

/// Change what is known of an entity
#[utoipa::path(patch, path = "/incidents/{id}/entities/{entity}", tag = "incidents", extensions(("x-permission" = json!("incidents:write"))), request_body = UpdateEntity,
    params(("id" = String, Path, description = "Incident id or number"), ("entity" = String, Path, description = "Entity id")),
    responses((status = 200, body = EntityView), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn update_entity(
    State(state): State<ApiState>,
    caller: Caller,
    Path((id, entity)): Path<(String, String)>,
    Json(body): Json<UpdateEntity>,
) -> ApiResult<Json<EntityView>> {
    let place = locate(&state, &caller, Permission::IncidentsWrite, &id).await?;
    let entity = part_id(&entity, "entity")?;
    let patch = EntityPatch { role: body.role, note: body.note, indicator: body.indicator };
    let mut tx = place.begin(&state, &caller).await?;
    match tx.update_entity(place.id(), entity, body.version, &patch).await {
        Ok(changed) => {
            tx.commit().await?;
            Ok(Json(changed.into()))
        }
        Err(error) => {
            drop(tx);
            let all = state.catalog.scoped(&place.scope).incident_entities(place.id()).await?;
            let current = all.into_iter().find(|e| e.id == entity).map(EntityView::from);
            Err(ApiError::from(error).with_current(&current))
        }
    }
}

/// Remove an entity that somebody added
#[utoipa::path(delete, path = "/incidents/{id}/entities/{entity}", tag = "incidents", extensions(("x-permission" = json!("incidents:write"))),
    params(("id" = String, Path, description = "Incident id or number"), ("entity" = String, Path, description = "Entity id")),
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn delete_entity(
    State(state): State<ApiState>,
    caller: Caller,
    Path((id, entity)): Path<(String, String)>,
) -> ApiResult<StatusCode> {
    let place = locate(&state, &caller, Permission::IncidentsWrite, &id).await?;
    let mut tx = place.begin(&state, &caller).await?;
    tx.delete_entity(place.id(), part_id(&entity, "entity")?).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Something to do.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct TaskView {
    /// Identity.
    pub(crate) id: String,
    /// Grows with each edit.
    pub(crate) version: i32,
    /// Place in the list, from 0.
    pub(crate) position: i32,
    /// Part of the work that it belongs to.
    pub(crate) phase: String,
    /// What to do.
    pub(crate) title: String,
    /// How, in Markdown.
    pub(crate) description: String,
    /// open, in_progress, done or skipped.
    pub(crate) status: String,
    /// Who does it.
    pub(crate) assignee: Option<PersonRef>,
    /// Until when, RFC 3339.
    pub(crate) due: Option<String>,
    /// When it was done or found needless, RFC 3339.
    pub(crate) completed: Option<String>,
    /// Who did it.
    pub(crate) completed_by: Option<String>,
}

impl TaskView {
    pub(crate) fn new(task: IncidentTask, lookup: &Lookup) -> Self {
        Self {
            id: task.id.to_string(),
            version: task.version,
            position: task.position,
            phase: task.phase,
            title: task.title,
            description: task.description,
            status: task.status.to_string(),
            assignee: task.assignee.map(|user| lookup.person(user)),
            due: task.due.map(|t| t.to_string()),
            completed: task.completed.map(|t| t.to_string()),
            completed_by: task.completed_by,
        }
    }
}

/// What is to be done.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TaskList {
    /// In their order.
    pub(crate) items: Vec<TaskView>,
}

/// List the tasks of an incident
#[utoipa::path(get, path = "/incidents/{id}/tasks", tag = "incidents", extensions(("x-permission" = json!("incidents:read"))),
    params(("id" = String, Path, description = "Incident id or number")),
    responses((status = 200, body = TaskList), (status = 404, body = Problem)))]
async fn tasks(State(state): State<ApiState>, caller: Caller, Path(id): Path<String>) -> ApiResult<Json<TaskList>> {
    let place = locate(&state, &caller, Permission::IncidentsRead, &id).await?;
    let found = state.catalog.scoped(&place.scope).incident_tasks(place.id()).await?;
    let lookup = place.lookup(&state).await?;
    Ok(Json(TaskList { items: found.into_iter().map(|t| TaskView::new(t, &lookup)).collect() }))
}

/// A task to add, or a template whose tasks to add.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddTasks {
    /// What to do; needed without a template.
    #[serde(default)]
    pub(crate) title: String,
    /// How, in Markdown.
    #[serde(default)]
    pub(crate) description: String,
    /// Part of the work that it belongs to.
    #[serde(default)]
    pub(crate) phase: String,
    /// User id of whoever does it, or `me`.
    #[serde(default)]
    pub(crate) assignee: Option<String>,
    /// Until when, RFC 3339.
    #[serde(default)]
    pub(crate) due: Option<String>,
    /// Template whose tasks to add instead.
    #[serde(default)]
    pub(crate) template: Option<Uuid>,
}

/// Add a task, or those of a template
#[utoipa::path(post, path = "/incidents/{id}/tasks", tag = "incidents", extensions(("x-permission" = json!("incidents:write"))), request_body = AddTasks,
    params(("id" = String, Path, description = "Incident id or number")),
    responses((status = 201, body = TaskList), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn add_tasks(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<AddTasks>,
) -> ApiResult<(StatusCode, Json<TaskList>)> {
    let place = locate(&state, &caller, Permission::IncidentsWrite, &id).await?;
    let new = match body.template {
        Some(template) => {
            let template = super::incident_templates::find(&state, place.tenant(), template).await?;
            templates::tasks(&template, state.clock.now())
        }
        None => vec![NewTask {
            phase: body.phase,
            title: body.title,
            description: body.description,
            assignee: body.assignee.as_deref().map(|text| user_id(&caller, text)).transpose()?,
            due: body.due.as_deref().map(|t| parse_time("due", t)).transpose()?,
        }],
    };
    let lookup = place.lookup(&state).await?;
    let mut tx = place.begin(&state, &caller).await?;
    let made = tx.add_tasks(place.id(), &new).await?;
    tx.commit().await?;
    let items = made.into_iter().map(|t| TaskView::new(t, &lookup)).collect();
    Ok((StatusCode::CREATED, Json(TaskList { items })))
}

/// What to change of a task; what is left out stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct UpdateTask {
    /// The version that the caller saw.
    pub(crate) version: i32,
    /// What to do.
    pub(crate) title: Option<String>,
    /// How, in Markdown.
    pub(crate) description: Option<String>,
    /// open, in_progress, done or skipped.
    pub(crate) status: Option<String>,
    /// User id of whoever does it, `me`, or null for nobody.
    #[serde(deserialize_with = "nullable")]
    #[schema(value_type = Option<String>)]
    pub(crate) assignee: Option<Option<String>>,
    /// Until when, RFC 3339, or null.
    #[serde(deserialize_with = "nullable")]
    #[schema(value_type = Option<String>)]
    pub(crate) due: Option<Option<String>>,
    /// Place in the list, from 0.
    pub(crate) position: Option<i32>,
}

/// Change a task
#[utoipa::path(patch, path = "/incidents/{id}/tasks/{task}", tag = "incidents", extensions(("x-permission" = json!("incidents:write"))), request_body = UpdateTask,
    params(("id" = String, Path, description = "Incident id or number"), ("task" = String, Path, description = "Task id")),
    responses((status = 200, body = TaskView), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn update_task(
    State(state): State<ApiState>,
    caller: Caller,
    Path((id, task)): Path<(String, String)>,
    Json(body): Json<UpdateTask>,
) -> ApiResult<Json<TaskView>> {
    let place = locate(&state, &caller, Permission::IncidentsWrite, &id).await?;
    let task = part_id(&task, "task")?;
    let assignee = match body.assignee {
        Some(Some(text)) => Some(Some(user_id(&caller, &text)?)),
        Some(None) => Some(None),
        None => None,
    };
    let due = match body.due {
        Some(Some(text)) => Some(Some(parse_time("due", &text)?)),
        Some(None) => Some(None),
        None => None,
    };
    let patch = TaskPatch {
        title: body.title,
        description: body.description,
        status: body.status.as_deref().map(str::parse::<TaskStatus>).transpose().map_err(ApiError::invalid)?,
        assignee,
        due,
        position: body.position,
    };
    let lookup = place.lookup(&state).await?;
    let mut tx = place.begin(&state, &caller).await?;
    match tx.update_task(place.id(), task, body.version, &patch).await {
        Ok(changed) => {
            tx.commit().await?;
            Ok(Json(TaskView::new(changed, &lookup)))
        }
        Err(error) => {
            drop(tx);
            let all = state.catalog.scoped(&place.scope).incident_tasks(place.id()).await?;
            let current = all.into_iter().find(|t| t.id == task).map(|t| TaskView::new(t, &lookup));
            Err(ApiError::from(error).with_current(&current))
        }
    }
}

/// Remove a task
#[utoipa::path(delete, path = "/incidents/{id}/tasks/{task}", tag = "incidents", extensions(("x-permission" = json!("incidents:write"))),
    params(("id" = String, Path, description = "Incident id or number"), ("task" = String, Path, description = "Task id")),
    responses((status = 204), (status = 404, body = Problem)))]
async fn delete_task(
    State(state): State<ApiState>,
    caller: Caller,
    Path((id, task)): Path<(String, String)>,
) -> ApiResult<StatusCode> {
    let place = locate(&state, &caller, Permission::IncidentsWrite, &id).await?;
    let mut tx = place.begin(&state, &caller).await?;
    tx.delete_task(place.id(), part_id(&task, "task")?).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
