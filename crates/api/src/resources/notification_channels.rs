//! Channels: where a tenant wants to be told, of what.

use axum::extract::State;
use axum::http::StatusCode;
use guardian_catalog::{Channel, ChannelDraft, ChannelFilter, ChannelKind, Language, NotifyEvent, Recent};
use guardian_identity::Permission;
use guardian_model::{Micros, Scope, Severity, TenantId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::deliveries::DeliveryView;
use super::incident_view::Lookup;
use super::suppressions::yes;
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::{Json, Path};
use crate::state::ApiState;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, update, delete))
        .routes(routes!(new_secret))
        .routes(routes!(test))
}

/// Which alerts and incidents a channel takes; empty members do not restrict.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct FilterView {
    /// At least this bad: informational, low, medium, high or critical.
    pub(crate) severity_min: Option<String>,
    /// Alerts of these rules.
    pub(crate) rules: Vec<String>,
    /// Alerts whose entity contains this text.
    pub(crate) entity: Option<String>,
    /// Alerts with this technique or tactic, such as `t1046`.
    pub(crate) attack: Option<String>,
}

/// How well a channel works.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChannelHealth {
    /// When a message was last delivered, RFC 3339.
    pub(crate) last_delivered: Option<String>,
    /// When one was last given up, RFC 3339.
    pub(crate) last_failed: Option<String>,
    /// What the receiver last said.
    pub(crate) last_answer: Option<String>,
    /// Messages that wait.
    pub(crate) waiting: u64,
    /// Messages that were given up within the last day.
    pub(crate) failed_24h: u64,
}

/// A channel.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChannelView {
    /// Identity.
    pub(crate) id: String,
    /// Grows with each change.
    pub(crate) version: i32,
    /// Name for people.
    pub(crate) name: String,
    /// mail or webhook.
    pub(crate) kind: String,
    /// Whether it is used.
    pub(crate) enabled: bool,
    /// Addresses, of mail.
    pub(crate) to: Vec<String>,
    /// Receiver, of webhooks.
    pub(crate) url: Option<String>,
    /// The language of its messages: en or de.
    pub(crate) language: String,
    /// What it takes: sla_warning, sla_breach, alert, incident, exporter_silent, health.
    pub(crate) events: Vec<String>,
    /// Which alerts and incidents it takes.
    pub(crate) filter: FilterView,
    /// Whether its messages show personal data; otherwise pseudonyms stand in its place.
    pub(crate) personal: bool,
    /// How well it works.
    pub(crate) health: ChannelHealth,
    /// Who made it.
    pub(crate) author: String,
    /// When, RFC 3339.
    pub(crate) created: String,
    /// When it last changed, RFC 3339.
    pub(crate) updated: String,
}

impl ChannelView {
    fn new(channel: Channel, recent: Recent) -> Self {
        let draft = channel.draft;
        Self {
            id: channel.id.to_string(),
            version: channel.version,
            name: draft.name,
            kind: draft.kind.to_string(),
            enabled: draft.enabled,
            to: draft.to,
            url: draft.url,
            language: draft.language.to_string(),
            events: draft.events.iter().map(ToString::to_string).collect(),
            filter: FilterView {
                severity_min: draft.filter.severity_min.map(|s| s.to_string()),
                rules: draft.filter.rules,
                entity: draft.filter.entity,
                attack: draft.filter.attack,
            },
            personal: draft.personal,
            health: ChannelHealth {
                last_delivered: recent.delivered.map(|t| t.to_string()),
                last_failed: recent.failed.map(|t| t.to_string()),
                last_answer: recent.answer,
                waiting: recent.waiting,
                failed_24h: recent.failures,
            },
            author: channel.author,
            created: channel.created.to_string(),
            updated: channel.updated.to_string(),
        }
    }
}

/// Where to tell, and what.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChannelBody {
    /// The version that the caller saw; only for changes.
    #[serde(default)]
    pub(crate) version: Option<i32>,
    /// Name for people.
    pub(crate) name: String,
    /// mail or webhook; it stays.
    pub(crate) kind: String,
    /// Whether it is used; true by default.
    #[serde(default = "yes")]
    pub(crate) enabled: bool,
    /// Addresses, of mail; at most 50.
    #[serde(default)]
    pub(crate) to: Vec<String>,
    /// Receiver, of webhooks.
    #[serde(default)]
    pub(crate) url: Option<String>,
    /// The language of its messages: en (the default) or de.
    #[serde(default)]
    pub(crate) language: Option<String>,
    /// What it takes: sla_warning, sla_breach, alert, incident, exporter_silent, health.
    pub(crate) events: Vec<String>,
    /// Which alerts and incidents it takes.
    #[serde(default)]
    pub(crate) filter: FilterView,
    /// Whether its messages show personal data; otherwise pseudonyms stand in its place, as at first. Left out, it stays.
    #[serde(default)]
    pub(crate) personal: Option<bool>,
}

impl ChannelBody {
    /// What is said of a channel, which was `old` before.
    fn draft(self, state: &ApiState, old: Option<&ChannelDraft>) -> ApiResult<ChannelDraft> {
        let kind: ChannelKind = self.kind.parse().map_err(ApiError::invalid)?;
        if let Some(problem) = state.notifier.problem(kind, &self.to) {
            return Err(ApiError::invalid(problem));
        }
        let events = self.events.iter().map(|event| event.parse::<NotifyEvent>()).collect::<Result<_, _>>();
        let language = self.language.as_deref().map(str::parse::<Language>).transpose().map_err(ApiError::invalid)?;
        let severity = self.filter.severity_min.as_deref().map(str::parse::<Severity>).transpose();
        Ok(ChannelDraft {
            name: self.name,
            kind,
            enabled: self.enabled,
            to: self.to,
            url: self.url,
            language: language.unwrap_or(Language::En),
            events: events.map_err(ApiError::invalid)?,
            filter: ChannelFilter {
                severity_min: severity.map_err(ApiError::invalid)?,
                rules: self.filter.rules,
                entity: self.filter.entity,
                attack: self.filter.attack,
            },
            personal: self.personal.unwrap_or_else(|| old.is_some_and(|old| old.personal)),
        })
    }
}

/// The channels of the tenant.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChannelList {
    /// Oldest first.
    pub(crate) items: Vec<ChannelView>,
    /// Whether this installation has a mail server.
    pub(crate) mail_ready: bool,
}

/// A channel that was made.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MadeChannel {
    /// It.
    pub(crate) channel: ChannelView,
    /// The secret that its webhooks are signed with, shown this once; null for mail.
    pub(crate) secret: Option<String>,
}

/// The new secret of a webhook.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NewSecret {
    /// Shown this once.
    pub(crate) secret: String,
}

/// Refuses what would tell personal data to somebody who may not see it: a channel of their making that shows it, or one
/// that picks alerts by whom they are about.
async fn guard(caller: &Caller, drafts: &[&ChannelDraft]) -> ApiResult<()> {
    if drafts.iter().any(|draft| draft.personal || draft.filter.entity.is_some()) {
        caller.tenant(Permission::PersonalRead).await?;
    }
    Ok(())
}

fn parse_id(text: &str) -> ApiResult<Uuid> {
    text.parse().map_err(|_| ApiError::not_found("channel"))
}

async fn view(state: &ApiState, channel: Channel) -> ApiResult<ChannelView> {
    let scope = Scope::of(channel.tenant);
    let since = state.clock.now() - Micros::DAY;
    let recent = state.catalog.scoped(&scope).recent_deliveries(channel.id, since).await?;
    Ok(ChannelView::new(channel, recent))
}

async fn find(state: &ApiState, tenant: TenantId, id: &str) -> ApiResult<Channel> {
    Ok(state.catalog.scoped(&Scope::of(tenant)).channel(parse_id(id)?).await?)
}

/// List the channels and how well they work
#[utoipa::path(get, path = "/notifications/channels", tag = "notifications",
    extensions(("x-permission" = json!("notifications:manage"))),
    responses((status = 200, body = ChannelList), (status = 403, body = Problem)))]
async fn list(State(state): State<ApiState>, caller: Caller) -> ApiResult<Json<ChannelList>> {
    let tenant = caller.tenant(Permission::NotificationsManage).await?;
    let mut items = Vec::new();
    for channel in state.catalog.scoped(&Scope::of(tenant)).channels().await? {
        items.push(view(&state, channel).await?);
    }
    Ok(Json(ChannelList { items, mail_ready: state.notifier.mail_ready() }))
}

/// Show one channel
#[utoipa::path(get, path = "/notifications/channels/{id}", tag = "notifications",
    extensions(("x-permission" = json!("notifications:manage"))),
    params(("id" = String, Path, description = "Channel id")),
    responses((status = 200, body = ChannelView), (status = 404, body = Problem)))]
async fn get(State(state): State<ApiState>, caller: Caller, Path(id): Path<String>) -> ApiResult<Json<ChannelView>> {
    let tenant = caller.tenant(Permission::NotificationsManage).await?;
    let channel = find(&state, tenant, &id).await?;
    Ok(Json(view(&state, channel).await?))
}

/// Make a channel
///
/// Webhooks are signed as the Standard Webhooks specification says, with the secret of the answer. A channel with
/// `personal`, or with an entity in its filter, needs the permission `personal:read` as well.
#[utoipa::path(post, path = "/notifications/channels", tag = "notifications", request_body = ChannelBody,
    extensions(("x-permission" = json!("notifications:manage"))),
    responses((status = 201, body = MadeChannel), (status = 403, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn create(
    State(state): State<ApiState>,
    caller: Caller,
    Json(body): Json<ChannelBody>,
) -> ApiResult<(StatusCode, Json<MadeChannel>)> {
    let tenant = caller.tenant(Permission::NotificationsManage).await?;
    let draft = body.draft(&state, None)?;
    guard(&caller, &[&draft]).await?;
    let mut tx = state.catalog.scoped(&Scope::of(tenant)).begin(tenant, caller.actor()).await?;
    let id = tx.channel_id();
    let (secret, sealed) = match draft.kind {
        ChannelKind::Webhook => {
            let (shown, sealed) = state.notifier.new_secret(id).await?;
            (Some(shown), Some(sealed))
        }
        ChannelKind::Mail => (None, None),
    };
    let made = tx.create_channel(id, &draft, sealed).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(MadeChannel { channel: view(&state, made).await?, secret })))
}

/// Change a channel
///
/// One that has `personal` or an entity in its filter, before or after, needs the permission `personal:read` as well.
#[utoipa::path(patch, path = "/notifications/channels/{id}", tag = "notifications", request_body = ChannelBody,
    extensions(("x-permission" = json!("notifications:manage"))),
    params(("id" = String, Path, description = "Channel id")),
    responses((status = 200, body = ChannelView), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn update(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<ChannelBody>,
) -> ApiResult<Json<ChannelView>> {
    let tenant = caller.tenant(Permission::NotificationsManage).await?;
    let id = parse_id(&id)?;
    let version = body.version.ok_or_else(|| ApiError::invalid("`version`: give the version that you saw"))?;
    let scope = Scope::of(tenant);
    let scoped = state.catalog.scoped(&scope);
    let old = scoped.channel(id).await?.draft;
    let draft = body.draft(&state, Some(&old))?;
    guard(&caller, &[&old, &draft]).await?;
    let mut tx = scoped.begin(tenant, caller.actor()).await?;
    match tx.update_channel(id, version, &draft).await {
        Ok(changed) => {
            tx.commit().await?;
            Ok(Json(view(&state, changed).await?))
        }
        Err(error) => {
            drop(tx);
            let current = view(&state, scoped.channel(id).await?).await?;
            Err(ApiError::from(error).with_current(&current))
        }
    }
}

/// Remove a channel; what waits for it is given up
#[utoipa::path(delete, path = "/notifications/channels/{id}", tag = "notifications",
    extensions(("x-permission" = json!("notifications:manage"))),
    params(("id" = String, Path, description = "Channel id")),
    responses((status = 204), (status = 404, body = Problem)))]
async fn delete(State(state): State<ApiState>, caller: Caller, Path(id): Path<String>) -> ApiResult<StatusCode> {
    let tenant = caller.tenant(Permission::NotificationsManage).await?;
    let mut tx = state.catalog.scoped(&Scope::of(tenant)).begin(tenant, caller.actor()).await?;
    tx.delete_channel(parse_id(&id)?).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Give a webhook a new secret; the old one ends at once
#[utoipa::path(post, path = "/notifications/channels/{id}/secret", tag = "notifications",
    extensions(("x-permission" = json!("notifications:manage"))),
    params(("id" = String, Path, description = "Channel id")),
    responses((status = 200, body = NewSecret), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn new_secret(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<NewSecret>> {
    let tenant = caller.tenant(Permission::NotificationsManage).await?;
    let channel = find(&state, tenant, &id).await?;
    let (secret, sealed) = state.notifier.new_secret(channel.id).await?;
    let mut tx = state.catalog.scoped(&Scope::of(tenant)).begin(tenant, caller.actor()).await?;
    tx.put_channel_secret(channel.id, sealed).await?;
    tx.commit().await?;
    Ok(Json(NewSecret { secret }))
}

/// Try a channel
///
/// Sends a labelled test message at once and waits up to ten seconds for what the receiver says.
#[utoipa::path(post, path = "/notifications/channels/{id}/test", tag = "notifications",
    extensions(("x-permission" = json!("notifications:manage"))),
    params(("id" = String, Path, description = "Channel id")),
    responses((status = 200, body = DeliveryView), (status = 404, body = Problem)))]
async fn test(State(state): State<ApiState>, caller: Caller, Path(id): Path<String>) -> ApiResult<Json<DeliveryView>> {
    let tenant = caller.tenant(Permission::NotificationsManage).await?;
    let channel = find(&state, tenant, &id).await?;
    let scope = Scope::of(tenant);
    let name = state.catalog.system().tenants().await?.into_iter().find(|t| t.id == tenant).map(|t| t.name);
    let message = state.notifier.test_message(&channel, &caller.principal().name, &name.unwrap_or_default());
    let tx = state.catalog.scoped(&scope).begin(tenant, caller.actor()).await?;
    let sent = state.notifier.send_now(tx, &message).await?;
    let lookup = Lookup::load(&state, &scope, tenant).await?;
    Ok(Json(DeliveryView::new(sent, &lookup)))
}
