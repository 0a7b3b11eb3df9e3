//! What one was told, and how one wants to be told: the bell of the console, and the preferences behind it.

use std::collections::BTreeMap;

use axum::extract::State;
use guardian_catalog::{CatalogError, Language, Notification, NotifyEvent};
use guardian_model::{Scope, Severity, TenantId, UserId};
use guardian_notify::{Digest, Every, MailWish, Preferences, Quiet, Wish};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::{Json, Query};
use crate::state::ApiState;

/// Ids of one request.
const IDS_MAX: usize = 1_000;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(unread))
        .routes(routes!(read))
        .routes(routes!(preferences, put_preferences))
}

/// Something that one was told.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct NotificationView {
    /// Identity.
    pub(crate) id: String,
    /// mention, assignment, watching, sla_warning, sla_breach, alert, incident, exporter_silent, health or test.
    pub(crate) event: &'static str,
    /// When it happened, RFC 3339.
    pub(crate) time: String,
    /// In a line, in one's own language.
    pub(crate) title: String,
    /// In a few more words; possibly empty.
    pub(crate) text: String,
    /// Path in the console.
    pub(crate) link: String,
    /// incident, alert, exporter, health or channel.
    pub(crate) subject: String,
    /// Which one.
    pub(crate) subject_id: String,
    /// Who made it happen.
    pub(crate) by: Option<String>,
    /// Whether it only tries whether messages arrive.
    pub(crate) test: bool,
    /// When one read it, RFC 3339.
    pub(crate) read: Option<String>,
}

impl From<Notification> for NotificationView {
    fn from(n: Notification) -> Self {
        Self {
            id: n.id.to_string(),
            event: n.event.as_str(),
            time: n.time.to_string(),
            title: n.title,
            text: n.text,
            link: n.link,
            subject: n.subject,
            subject_id: n.subject_id,
            by: n.by,
            test: n.test,
            read: n.read.map(|t| t.to_string()),
        }
    }
}

/// The account and tenant of somebody who has notifications: a person.
fn person(caller: &Caller) -> ApiResult<(UserId, TenantId)> {
    let tenant = caller.current_tenant();
    if caller.principal().permissions(tenant).is_empty() {
        return Err(ApiError::not_found("tenant"));
    }
    let user = caller.principal().user;
    let user = user.ok_or_else(|| ApiError::forbidden("notifications belong to people: sign in with an account"))?;
    Ok((user, tenant))
}

/// Which notifications.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ListQuery {
    /// Unread ones only.
    pub(crate) unread: bool,
    /// Of one event only.
    pub(crate) event: Option<String>,
    /// The `next_cursor` of the page before.
    pub(crate) cursor: Option<String>,
    /// How many, 50 by default and at most 200.
    pub(crate) limit: Option<u64>,
}

/// What one was told.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NotificationList {
    /// Newest first.
    pub(crate) items: Vec<NotificationView>,
    /// Where the next page begins.
    pub(crate) next_cursor: Option<String>,
    /// How many one has not read.
    pub(crate) unread: u64,
}

/// What one was told in this tenant
#[utoipa::path(get, path = "/notifications", tag = "notifications", params(ListQuery),
    extensions(("x-permission" = json!("session"))),
    responses((status = 200, body = NotificationList), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem)))]
async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> ApiResult<Json<NotificationList>> {
    let (user, tenant) = person(&caller)?;
    let event = query.event.as_deref().map(str::parse::<NotifyEvent>).transpose().map_err(ApiError::invalid)?;
    let after = query.cursor.as_deref().map(|cursor| state.cursors.open::<Uuid>(cursor)).transpose()?;
    let scope = Scope::of(tenant);
    let scoped = state.catalog.scoped(&scope);
    let limit = query.limit.unwrap_or(50);
    let (found, more) = scoped.notifications(user, query.unread, event, after, limit).await?;
    let next_cursor = found.last().filter(|_| more).map(|last| state.cursors.seal(&last.id)).transpose()?;
    let unread = scoped.unread_notifications(user).await?;
    Ok(Json(NotificationList { items: found.into_iter().map(NotificationView::from).collect(), next_cursor, unread }))
}

/// How many one has not read.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Unread {
    /// Of this tenant.
    pub(crate) unread: u64,
}

/// How many notifications one has not read
#[utoipa::path(get, path = "/notifications/unread", tag = "notifications",
    extensions(("x-permission" = json!("session"))),
    responses((status = 200, body = Unread), (status = 403, body = Problem), (status = 404, body = Problem)))]
async fn unread(State(state): State<ApiState>, caller: Caller) -> ApiResult<Json<Unread>> {
    let (user, tenant) = person(&caller)?;
    let unread = state.catalog.scoped(&Scope::of(tenant)).unread_notifications(user).await?;
    Ok(Json(Unread { unread }))
}

/// What one has read: these, or all.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadBody {
    /// Ids, at most 1,000.
    #[serde(default)]
    pub(crate) ids: Vec<String>,
    /// Everything.
    #[serde(default)]
    pub(crate) all: bool,
}

/// Mark notifications as read
#[utoipa::path(post, path = "/notifications/read", tag = "notifications", request_body = ReadBody,
    extensions(("x-permission" = json!("session"))),
    responses((status = 200, body = Unread), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem)))]
async fn read(State(state): State<ApiState>, caller: Caller, Json(body): Json<ReadBody>) -> ApiResult<Json<Unread>> {
    let (user, tenant) = person(&caller)?;
    if body.ids.len() > IDS_MAX {
        return Err(ApiError::invalid(format!("`ids`: at most {IDS_MAX} at once, or `all`")));
    }
    let ids: Vec<Uuid> = body.ids.iter().filter_map(|id| id.parse().ok()).collect();
    let scope = Scope::of(tenant);
    let scoped = state.catalog.scoped(&scope);
    let mut tx = scoped.begin(tenant, caller.actor()).await?;
    tx.read_notifications(user, (!body.all).then_some(ids.as_slice())).await?;
    tx.commit().await?;
    Ok(Json(Unread { unread: scoped.unread_notifications(user).await? }))
}

/// How one event is told.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WishView {
    /// In the console.
    pub(crate) app: bool,
    /// By mail: none, immediate or digest.
    pub(crate) mail: String,
}

/// When digests leave.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DigestView {
    /// hour or day.
    pub(crate) every: String,
    /// Time of the day of daily digests, `HH:MM`.
    pub(crate) at: String,
}

/// When mail waits.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct QuietView {
    /// From this time of the day, `HH:MM`.
    pub(crate) from: String,
    /// To this one, possibly of the next day.
    pub(crate) to: String,
    /// Whether what is critical comes all the same, and passed deadlines.
    pub(crate) except_critical: bool,
}

/// What one wants to hear, and how.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NotifyPreferencesView {
    /// Grows with every change; 0 while nothing was ever set.
    pub(crate) version: i32,
    /// en or de.
    pub(crate) language: String,
    /// Time zone, as IANA names it.
    pub(crate) zone: String,
    /// Where mail goes: the address of the account.
    pub(crate) mail_to: Option<String>,
    /// Whether mail can be sent: the server has a mail server and the account an address.
    pub(crate) mail_ready: bool,
    /// How each event is told.
    pub(crate) events: BTreeMap<String, WishView>,
    /// From which severity on alerts count: informational, low, medium, high or critical.
    pub(crate) alert_severity_min: String,
    /// When digests leave.
    pub(crate) digest: DigestView,
    /// When mail waits; null for never.
    pub(crate) quiet: Option<QuietView>,
}

/// What one wants to hear, and how; what is absent is as usual.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NotifyPreferencesBody {
    /// The version that was seen; 0 while nothing was ever set.
    pub(crate) version: i32,
    /// en or de.
    #[serde(default)]
    pub(crate) language: Option<String>,
    /// Time zone, as IANA names it.
    #[serde(default)]
    pub(crate) zone: Option<String>,
    /// How each event is told.
    #[serde(default)]
    pub(crate) events: BTreeMap<String, WishView>,
    /// From which severity on alerts count.
    #[serde(default)]
    pub(crate) alert_severity_min: Option<String>,
    /// When digests leave.
    #[serde(default)]
    pub(crate) digest: Option<DigestView>,
    /// When mail waits.
    #[serde(default)]
    pub(crate) quiet: Option<QuietView>,
}

fn mail_word(wish: MailWish) -> &'static str {
    match wish {
        MailWish::None => "none",
        MailWish::Immediate => "immediate",
        MailWish::Digest => "digest",
    }
}

impl NotifyPreferencesBody {
    fn read(self) -> ApiResult<Preferences> {
        let usual = Preferences::default();
        let mut events = BTreeMap::new();
        for (name, wish) in self.events {
            let event: NotifyEvent = name.parse().map_err(ApiError::invalid)?;
            let mail = match wish.mail.as_str() {
                "none" => MailWish::None,
                "immediate" => MailWish::Immediate,
                "digest" => MailWish::Digest,
                other => {
                    let detail = format!("`events.{name}.mail`: `{other}` is not none, immediate or digest");
                    return Err(ApiError::invalid(detail));
                }
            };
            events.insert(event, Wish { app: wish.app, mail });
        }
        let digest = match self.digest {
            None => usual.digest,
            Some(digest) => {
                let every = match digest.every.as_str() {
                    "hour" => Every::Hour,
                    "day" => Every::Day,
                    other => {
                        return Err(ApiError::invalid(format!("`digest.every`: `{other}` is not hour or day")));
                    }
                };
                Digest { every, at: digest.at }
            }
        };
        let language = self.language.as_deref().map(str::parse::<Language>).transpose().map_err(ApiError::invalid)?;
        let severity =
            self.alert_severity_min.as_deref().map(str::parse::<Severity>).transpose().map_err(ApiError::invalid)?;
        let quiet = self.quiet.map(|q| Quiet { from: q.from, to: q.to, except_critical: q.except_critical });
        let preferences = Preferences {
            language: language.unwrap_or(usual.language),
            zone: self.zone.unwrap_or(usual.zone),
            events,
            alert_severity_min: severity.unwrap_or(usual.alert_severity_min),
            digest,
            quiet,
        };
        match preferences.problem() {
            Some(problem) => Err(ApiError::invalid(problem)),
            None => Ok(preferences),
        }
    }
}

async fn view(state: &ApiState, caller: &Caller, user: UserId) -> ApiResult<NotifyPreferencesView> {
    let (version, value) = state.catalog.system().notify_preferences(user).await?;
    let wants = Preferences::read(value);
    let mail_to = state.identity.profile(caller.principal()).await?.email;
    let events = wants
        .wishes()
        .into_iter()
        .map(|(event, wish)| (event.to_string(), WishView { app: wish.app, mail: mail_word(wish.mail).to_owned() }));
    Ok(NotifyPreferencesView {
        version,
        language: wants.language.to_string(),
        mail_ready: state.notifier.mail_ready() && mail_to.is_some(),
        mail_to,
        events: events.collect(),
        alert_severity_min: wants.alert_severity_min.to_string(),
        digest: DigestView {
            every: if wants.digest.every == Every::Hour { "hour" } else { "day" }.to_owned(),
            at: wants.digest.at,
        },
        quiet: wants.quiet.map(|q| QuietView { from: q.from, to: q.to, except_critical: q.except_critical }),
        zone: wants.zone,
    })
}

/// How one wants to be told
#[utoipa::path(get, path = "/notifications/preferences", tag = "notifications",
    extensions(("x-permission" = json!("session"))),
    responses((status = 200, body = NotifyPreferencesView), (status = 403, body = Problem),
        (status = 404, body = Problem)))]
async fn preferences(State(state): State<ApiState>, caller: Caller) -> ApiResult<Json<NotifyPreferencesView>> {
    let (user, _) = person(&caller)?;
    Ok(Json(view(&state, &caller, user).await?))
}

/// Say how one wants to be told
#[utoipa::path(put, path = "/notifications/preferences", tag = "notifications", request_body = NotifyPreferencesBody,
    extensions(("x-permission" = json!("session"))),
    responses((status = 200, body = NotifyPreferencesView), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn put_preferences(
    State(state): State<ApiState>,
    caller: Caller,
    Json(body): Json<NotifyPreferencesBody>,
) -> ApiResult<Json<NotifyPreferencesView>> {
    let (user, _) = person(&caller)?;
    let version = body.version;
    let wants = serde_json::to_value(body.read()?).map_err(ApiError::internal)?;
    let home = caller.principal().home;
    let mut tx = state.catalog.scoped(&Scope::of(home)).begin(home, caller.actor()).await?;
    match tx.put_notify_preferences(user, version, &wants).await {
        Ok(_) => {
            tx.commit().await?;
            Ok(Json(view(&state, &caller, user).await?))
        }
        Err(CatalogError::VersionConflict { .. }) => {
            drop(tx);
            Err(ApiError::version_conflict(&view(&state, &caller, user).await?))
        }
        Err(error) => Err(error.into()),
    }
}
