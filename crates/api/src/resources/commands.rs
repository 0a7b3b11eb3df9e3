//! Commands: what somebody has hosts do, and how far each host has come with it.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use guardian_catalog::{COMMAND_HOSTS_MAX, COMMAND_PAGE_MAX, Command, CommandFilter, CommandRun, NewCommand, RunState};
use guardian_fleet::action::Action;
use guardian_identity::Permission;
use guardian_model::{Micros, Scope, TenantId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::host_bulk::HostSelectionBody;
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::{Json, Path, Query, within};
use crate::state::ApiState;

/// How long a command waits for its hosts if nobody says.
const WAIT_S: u32 = 3_600;
/// How long it may wait.
const WAIT_S_MAX: u32 = 30 * 86_400;
/// How long it may take on a host.
const TIMEOUT_S_MAX: u32 = 86_400;
/// Hosts of a tenant that may be busy with commands at once.
const OPEN_MAX: u64 = 100_000;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(detail))
        .routes(routes!(cancel))
        .routes(routes!(runs))
        .routes(routes!(run))
}

/// Something that hosts are to do.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CommandView {
    /// Id.
    pub(crate) id: String,
    /// Name of the action.
    pub(crate) kind: String,
    /// The action with its arguments.
    #[schema(value_type = Object)]
    pub(crate) action: Value,
    /// Whether hosts say what they would do, and do nothing.
    pub(crate) dry_run: bool,
    /// Why.
    pub(crate) reason: String,
    /// Who decided.
    pub(crate) author: String,
    /// When, RFC 3339.
    pub(crate) created: String,
    /// Not begun later than this, RFC 3339.
    pub(crate) expires: String,
    /// How long it may take on a host, in seconds.
    pub(crate) timeout_s: u32,
    /// When it was called off, RFC 3339.
    pub(crate) cancelled: Option<String>,
    /// How many hosts it is for.
    pub(crate) hosts: u32,
    /// How many of them are queued, sent, running, done, failed, refused, expired or cancelled; those that are none are
    /// left out.
    pub(crate) states: BTreeMap<String, u64>,
    /// Whether no host has anything more to say.
    pub(crate) ended: bool,
}

impl From<Command> for CommandView {
    fn from(command: Command) -> Self {
        Self {
            ended: !command.states.keys().any(|state| state.is_open()),
            id: command.id.to_string(),
            kind: command.kind,
            action: command.action,
            dry_run: command.dry_run,
            reason: command.reason,
            author: command.author,
            created: command.created.to_string(),
            expires: command.expires.to_string(),
            timeout_s: command.timeout_ms.div_ceil(1_000),
            cancelled: command.cancelled.map(|t| t.to_string()),
            hosts: command.hosts,
            states: command.states.into_iter().map(|(state, hosts)| (state.to_string(), hosts)).collect(),
        }
    }
}

/// How far a host has come with a command.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CommandRunView {
    /// Id of the host.
    pub(crate) host: String,
    /// Its name at that time.
    pub(crate) host_name: String,
    /// The command.
    pub(crate) command: String,
    /// By what the host remembers it; what undoes it names this.
    pub(crate) id: String,
    /// queued, sent, running, done, failed, refused, expired or cancelled.
    pub(crate) state: String,
    /// When the host was told, RFC 3339.
    pub(crate) sent: Option<String>,
    /// When it said that it had begun, RFC 3339.
    pub(crate) begun: Option<String>,
    /// When it ended, RFC 3339.
    pub(crate) ended: Option<String>,
    /// What it says, for people.
    pub(crate) text: String,
    /// What it printed; in lists the first 2,000 characters.
    pub(crate) output: String,
    /// What it did in steps, why it refused, what undoes it, and so on, as the agent says it at the end.
    #[schema(value_type = Option<Object>)]
    pub(crate) outcome: Option<Value>,
}

impl From<CommandRun> for CommandRunView {
    fn from(run: CommandRun) -> Self {
        Self {
            host: run.host.to_string(),
            host_name: run.host_name,
            command: run.command.to_string(),
            id: run.id.to_string(),
            state: run.state.to_string(),
            sent: run.sent.map(|t| t.to_string()),
            begun: run.begun.map(|t| t.to_string()),
            ended: run.ended.map(|t| t.to_string()),
            text: run.text,
            output: run.output,
            outcome: run.outcome,
        }
    }
}

/// Which commands.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CommandQuery {
    /// Those for this host.
    pub(crate) host: Option<String>,
    /// Those with this action.
    pub(crate) kind: Option<String>,
    /// Most commands to answer with, at most 500.
    pub(crate) limit: Option<u64>,
    /// Where the last page ended: its `next_cursor`. The filter comes from the cursor.
    pub(crate) cursor: Option<String>,
}

/// One page of commands.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CommandList {
    /// Newest first.
    pub(crate) items: Vec<CommandView>,
    /// Where the next page begins; null on the last one.
    pub(crate) next_cursor: Option<String>,
}

/// List the commands that hosts were given
#[utoipa::path(get, path = "/commands", tag = "commands", params(CommandQuery),
    extensions(("x-permission" = json!("hosts:read"))),
    responses((status = 200, body = CommandList), (status = 403, body = Problem), (status = 422, body = Problem)))]
async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<CommandQuery>,
) -> ApiResult<Json<CommandList>> {
    let tenant = caller.tenant(Permission::HostsRead).await?;
    let mut filter: CommandFilter = match &query.cursor {
        Some(cursor) => state.cursors.open(cursor)?,
        None => {
            let host = query.host.as_deref().map(|id| id.parse().map_err(|_| ApiError::not_found("host")));
            CommandFilter { host: host.transpose()?, kind: query.kind, before: None }
        }
    };
    let limit = query.limit.unwrap_or(50).clamp(1, COMMAND_PAGE_MAX);
    let commands = state.catalog.scoped(&Scope::of(tenant)).commands(&filter, limit).await?;
    filter.before = commands.last().map(|command| command.id);
    let more = commands.len() as u64 == limit;
    let next_cursor = if more { Some(state.cursors.seal(&filter)?) } else { None };
    Ok(Json(CommandList { items: commands.into_iter().map(CommandView::from).collect(), next_cursor }))
}

/// What hosts are to do.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewCommandBody {
    /// The action: `{"kind": "recheck"}`. Kinds are isolate, release, block, unblock, kill, suspend, resume, quarantine,
    /// restore, disable_user, enable_user, script, collect, scan, undo, recheck, approve and report.
    #[schema(value_type = Object)]
    pub(crate) action: Value,
    /// Which hosts.
    pub(crate) hosts: HostSelectionBody,
    /// Say what would be done, and do nothing.
    #[serde(default)]
    pub(crate) dry_run: bool,
    /// Why, for the audit trail.
    #[serde(default)]
    pub(crate) reason: String,
    /// How long it waits for hosts that are not there, in seconds; an hour if nothing is said, 30 days at most.
    #[serde(default)]
    pub(crate) wait_s: Option<u32>,
    /// How long it may take on a host, in seconds; by the action if nothing is said.
    #[serde(default)]
    pub(crate) timeout_s: Option<u32>,
}

fn read_action(value: &Value) -> ApiResult<Action> {
    let action: Action =
        serde_json::from_value(value.clone()).map_err(|error| ApiError::invalid(format!("`action`: {error}")))?;
    action.check().map_err(|invalid| ApiError::invalid(format!("`action`: {invalid}")))?;
    Ok(action)
}

/// Have hosts do something
///
/// Sensitive, except for what agents do by themselves all the time (`recheck`, `report`): a session must have proved itself
/// lately. A host that is not there hears of it when it is back, if that is in time. What comes of it is in the live stream
/// as changes of the subjects `command` and `command_run`.
#[utoipa::path(post, path = "/commands", tag = "commands", request_body = NewCommandBody,
    extensions(("x-permission" = json!("hosts:command"))),
    responses((status = 201, body = CommandView), (status = 403, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn create(
    State(state): State<ApiState>,
    caller: Caller,
    Json(body): Json<NewCommandBody>,
) -> ApiResult<(StatusCode, Json<CommandView>)> {
    let tenant = caller.tenant(Permission::HostsCommand).await?;
    let action = read_action(&body.action)?;
    if !action.is_routine() {
        caller.sensitive(Permission::HostsCommand).await?;
    }
    let wait_s = within(body.wait_s, WAIT_S, WAIT_S_MAX, "wait_s")?;
    let timeout_s = within(body.timeout_s, action.usual_timeout_ms() / 1_000, TIMEOUT_S_MAX, "timeout_s")?;
    let hosts = body.hosts.hosts(&state, &caller, tenant, COMMAND_HOSTS_MAX).await?;
    if hosts.is_empty() {
        return Err(ApiError::invalid("no host fits"));
    }
    let new = NewCommand {
        kind: action.name().to_owned(),
        action: serde_json::to_value(&action).map_err(ApiError::internal)?,
        dry_run: body.dry_run,
        reason: body.reason,
        expires: Micros(state.clock.now().0 + i64::from(wait_s) * Micros::SECOND),
        timeout_ms: timeout_s * 1_000,
    };
    let mut tx = state.catalog.scoped(&Scope::of(tenant)).begin(tenant, caller.actor()).await?;
    if tx.open_runs().await? + hosts.len() as u64 > OPEN_MAX {
        let text = format!("more than {OPEN_MAX} hosts would be busy at once: wait, or call something off");
        return Err(ApiError::new(StatusCode::CONFLICT, "too-many-commands", text));
    }
    let command = tx.create_command(&new, &hosts).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(command.into())))
}

async fn find(state: &ApiState, tenant: TenantId, id: &str) -> ApiResult<Command> {
    let id: Uuid = id.parse().map_err(|_| ApiError::not_found("command"))?;
    Ok(state.catalog.scoped(&Scope::of(tenant)).command(id).await?)
}

/// Show a command
#[utoipa::path(get, path = "/commands/{id}", tag = "commands", extensions(("x-permission" = json!("hosts:read"))),
    params(("id" = String, Path, description = "Command id")),
    responses((status = 200, body = CommandView), (status = 403, body = Problem), (status = 404, body = Problem)))]
async fn detail(State(state): State<ApiState>, caller: Caller, Path(id): Path<String>) -> ApiResult<Json<CommandView>> {
    let tenant = caller.tenant(Permission::HostsRead).await?;
    Ok(Json(find(&state, tenant, &id).await?.into()))
}

/// Call a command off
///
/// Hosts that have not heard of it never will; those that are at it stop where they can, and say how far they came.
#[utoipa::path(post, path = "/commands/{id}/cancel", tag = "commands",
    extensions(("x-permission" = json!("hosts:command"))), params(("id" = String, Path, description = "Command id")),
    responses((status = 200, body = CommandView), (status = 403, body = Problem), (status = 404, body = Problem)))]
async fn cancel(State(state): State<ApiState>, caller: Caller, Path(id): Path<String>) -> ApiResult<Json<CommandView>> {
    let tenant = caller.tenant(Permission::HostsCommand).await?;
    let before = find(&state, tenant, &id).await?;
    let mut tx = state.catalog.scoped(&Scope::of(tenant)).begin(tenant, caller.actor()).await?;
    tx.cancel_command(before.id).await?;
    tx.commit().await?;
    Ok(Json(find(&state, tenant, &id).await?.into()))
}

/// Which hosts of a command.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CommandRunQuery {
    /// Those in this state.
    pub(crate) state: Option<String>,
    /// Most hosts to answer with, at most 500.
    pub(crate) limit: Option<u64>,
    /// Where the last page ended: its `next_cursor`. The state comes from the cursor.
    pub(crate) cursor: Option<String>,
}

/// What a cursor carries.
#[derive(Serialize, Deserialize)]
struct RunCursor {
    state: Option<RunState>,
    after: Option<Uuid>,
}

/// One page of the hosts of a command.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CommandRunList {
    /// The hosts.
    pub(crate) items: Vec<CommandRunView>,
    /// Where the next page begins; null on the last one.
    pub(crate) next_cursor: Option<String>,
}

/// List how far hosts have come with a command
#[utoipa::path(get, path = "/commands/{id}/hosts", tag = "commands", params(CommandRunQuery,
    ("id" = String, Path, description = "Command id")), extensions(("x-permission" = json!("hosts:read"))),
    responses((status = 200, body = CommandRunList), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem)))]
async fn runs(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<CommandRunQuery>,
) -> ApiResult<Json<CommandRunList>> {
    let tenant = caller.tenant(Permission::HostsRead).await?;
    let command = find(&state, tenant, &id).await?;
    let mut place: RunCursor = match &query.cursor {
        Some(cursor) => state.cursors.open(cursor)?,
        None => {
            let wanted = query.state.as_deref().map(str::parse::<RunState>).transpose();
            RunCursor { state: wanted.map_err(ApiError::invalid)?, after: None }
        }
    };
    let limit = query.limit.unwrap_or(100).clamp(1, COMMAND_PAGE_MAX);
    let scope = Scope::of(tenant);
    let found = state.catalog.scoped(&scope).command_runs(command.id, place.state, place.after, limit).await?;
    place.after = found.last().map(|run| run.id);
    let next_cursor = if found.len() as u64 == limit { Some(state.cursors.seal(&place)?) } else { None };
    let short = |run: CommandRun| {
        let output = run.output.chars().take(2_000).collect();
        CommandRunView::from(CommandRun { output, ..run })
    };
    Ok(Json(CommandRunList { items: found.into_iter().map(short).collect(), next_cursor }))
}

/// Show how far one host has come with a command
#[utoipa::path(get, path = "/commands/{id}/hosts/{host}", tag = "commands",
    extensions(("x-permission" = json!("hosts:read"))),
    params(("id" = String, Path, description = "Command id"), ("host" = String, Path, description = "Host id")),
    responses((status = 200, body = CommandRunView), (status = 403, body = Problem), (status = 404, body = Problem)))]
async fn run(
    State(state): State<ApiState>,
    caller: Caller,
    Path((id, host)): Path<(String, String)>,
) -> ApiResult<Json<CommandRunView>> {
    let tenant = caller.tenant(Permission::HostsRead).await?;
    let command = find(&state, tenant, &id).await?;
    let host: Uuid = host.parse().map_err(|_| ApiError::not_found("host"))?;
    Ok(Json(state.catalog.scoped(&Scope::of(tenant)).command_run(command.id, host).await?.into()))
}
