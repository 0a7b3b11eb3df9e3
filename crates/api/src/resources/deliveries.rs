//! The delivery log: what was sent to whom, and what came of it; and the test alert that goes through everything.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use guardian_catalog::{
    Alert, AlertFilter, AlertSort, Delivery, DeliveryFilter, DeliveryState, NotifyEvent, ReplayFilter, Scoped, Subject,
};
use guardian_identity::Permission;
use guardian_model::{Micros, Scope, UserId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::alerts::words;
use super::incident_view::{Lookup, PersonRef};
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::{Json, Path, Query};
use crate::state::ApiState;

/// How long a test alert may take to come through, and how often it is looked for.
const TEST_PATIENCE: Duration = Duration::from_secs(20);
const TEST_LOOK: Duration = Duration::from_millis(100);

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get)).routes(routes!(retry)).routes(routes!(test_alert))
}

/// A message, waiting or sent.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeliveryView {
    /// Identity, the same in every attempt; the `webhook-id` of webhooks.
    pub(crate) id: String,
    /// What happened.
    pub(crate) event: String,
    /// In a line.
    pub(crate) title: String,
    /// incident, alert, exporter, health or channel.
    pub(crate) subject: String,
    /// Which one.
    pub(crate) subject_id: String,
    /// The channel that it goes to.
    pub(crate) channel: Option<String>,
    /// Or the person.
    pub(crate) user: Option<PersonRef>,
    /// mail or webhook.
    pub(crate) kind: String,
    /// Addresses or URL.
    pub(crate) target: String,
    /// waiting, delivered or failed.
    pub(crate) state: String,
    /// How often it was tried.
    pub(crate) attempts: u32,
    /// When it was planned, RFC 3339.
    pub(crate) created: String,
    /// When it is tried next, RFC 3339; null when it is over.
    pub(crate) next_attempt: Option<String>,
    /// When it was delivered or given up, RFC 3339.
    pub(crate) finished: Option<String>,
    /// What the receiver last said.
    pub(crate) answer: Option<String>,
    /// Whether it is a test.
    pub(crate) test: bool,
}

impl DeliveryView {
    pub(crate) fn new(delivery: Delivery, lookup: &Lookup) -> Self {
        let waiting = delivery.state == DeliveryState::Waiting;
        let what = delivery.what;
        Self {
            id: delivery.id.to_string(),
            event: what.event.to_string(),
            title: what.title,
            subject: what.subject,
            subject_id: what.subject_id,
            channel: what.channel.map(|id| id.to_string()),
            user: what.user.map(|user| lookup.person(user)),
            kind: what.kind.to_string(),
            target: what.target,
            state: delivery.state.to_string(),
            attempts: delivery.attempts,
            created: delivery.created.to_string(),
            next_attempt: waiting.then(|| delivery.next_attempt.to_string()),
            finished: delivery.finished.map(|t| t.to_string()),
            answer: delivery.answer,
            test: what.test,
        }
    }
}

/// Which messages.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ListQuery {
    /// Of this channel.
    pub(crate) channel: Option<String>,
    /// To this person.
    pub(crate) user: Option<String>,
    /// Comma-separated: waiting, delivered, failed.
    pub(crate) state: Option<String>,
    /// Of this event.
    pub(crate) event: Option<String>,
    /// About the thing with this id.
    pub(crate) about: Option<String>,
    /// The `next_cursor` of the page before.
    pub(crate) cursor: Option<String>,
    /// How many, 50 by default and at most 500.
    pub(crate) limit: Option<u64>,
}

impl ListQuery {
    fn filter(&self) -> ApiResult<DeliveryFilter> {
        let id = |name: &str, text: &Option<String>| {
            let bad = || ApiError::invalid(format!("`{name}` is no id"));
            text.as_deref().map(|t| t.parse::<Uuid>().map_err(|_| bad())).transpose()
        };
        let state: Vec<DeliveryState> = words(self.state.as_deref())?;
        Ok(DeliveryFilter {
            channel: id("channel", &self.channel)?,
            user: id("user", &self.user)?.map(UserId),
            state,
            event: self.event.as_deref().map(str::parse::<NotifyEvent>).transpose().map_err(ApiError::invalid)?,
            about: self.about.clone(),
        })
    }
}

/// The delivery log.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeliveryList {
    /// Newest first.
    pub(crate) items: Vec<DeliveryView>,
    /// Where the next page begins.
    pub(crate) next_cursor: Option<String>,
}

fn parse_id(text: &str) -> ApiResult<Uuid> {
    text.parse().map_err(|_| ApiError::not_found("delivery"))
}

/// List what was sent and what waits
#[utoipa::path(get, path = "/notifications/deliveries", tag = "notifications", params(ListQuery),
    extensions(("x-permission" = json!("notifications:manage"))),
    responses((status = 200, body = DeliveryList), (status = 403, body = Problem), (status = 422, body = Problem)))]
async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> ApiResult<Json<DeliveryList>> {
    let tenant = caller.tenant(Permission::NotificationsManage).await?;
    let filter = query.filter()?;
    let after = query.cursor.as_deref().map(|cursor| state.cursors.open::<Uuid>(cursor)).transpose()?;
    let scope = Scope::of(tenant);
    let limit = query.limit.unwrap_or(50);
    let (found, more) = state.catalog.scoped(&scope).deliveries(&filter, after, limit).await?;
    let next_cursor = found.last().filter(|_| more).map(|last| state.cursors.seal(&last.id)).transpose()?;
    let lookup = Lookup::load(&state, &scope, tenant).await?;
    let items = found.into_iter().map(|delivery| DeliveryView::new(delivery, &lookup)).collect();
    Ok(Json(DeliveryList { items, next_cursor }))
}

/// Show one message and what came of it
#[utoipa::path(get, path = "/notifications/deliveries/{id}", tag = "notifications",
    extensions(("x-permission" = json!("notifications:manage"))),
    params(("id" = String, Path, description = "Delivery id")),
    responses((status = 200, body = DeliveryView), (status = 404, body = Problem)))]
async fn get(State(state): State<ApiState>, caller: Caller, Path(id): Path<String>) -> ApiResult<Json<DeliveryView>> {
    let tenant = caller.tenant(Permission::NotificationsManage).await?;
    let scope = Scope::of(tenant);
    let found = state.catalog.scoped(&scope).delivery(parse_id(&id)?).await?;
    let lookup = Lookup::load(&state, &scope, tenant).await?;
    Ok(Json(DeliveryView::new(found, &lookup)))
}

/// Send a message that failed, or that waits, at once
#[utoipa::path(post, path = "/notifications/deliveries/{id}/retry", tag = "notifications",
    extensions(("x-permission" = json!("notifications:manage"))),
    params(("id" = String, Path, description = "Delivery id")),
    responses((status = 200, body = DeliveryView), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn retry(State(state): State<ApiState>, caller: Caller, Path(id): Path<String>) -> ApiResult<Json<DeliveryView>> {
    let tenant = caller.tenant(Permission::NotificationsManage).await?;
    let (scope, id) = (Scope::of(tenant), parse_id(&id)?);
    let before = state.catalog.scoped(&scope).delivery(id).await?.attempts;
    let mut tx = state.catalog.scoped(&scope).begin(tenant, caller.actor()).await?;
    tx.retry_delivery(id).await?;
    tx.commit().await?;
    let tried = state.notifier.wait_for(tenant, id, before).await?;
    let lookup = Lookup::load(&state, &scope, tenant).await?;
    Ok(Json(DeliveryView::new(tried, &lookup)))
}

/// A step on the way of a test alert.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TestAlertStep {
    /// sent, detected, alert or notified.
    pub(crate) step: &'static str,
    /// When it was reached, RFC 3339; null if it was not.
    pub(crate) at: Option<String>,
}

/// How far a test alert came.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TestAlert {
    /// Name of the replay that it belongs to; `DELETE /replays?name=` removes what it left.
    pub(crate) name: String,
    /// The alert.
    pub(crate) alert: Option<String>,
    /// The steps, in order.
    pub(crate) steps: Vec<TestAlertStep>,
    /// Messages that it made; look at `/notifications/deliveries?about=` with the alert's id.
    pub(crate) deliveries: usize,
}

/// Send a harmless, labelled test alert through everything
///
/// A made-up flow between documentation addresses goes through storage, detection and grouping, becomes an alert, and is
/// told to the caller and to every enabled channel that takes alerts.
#[utoipa::path(post, path = "/notifications/test-alert", tag = "notifications",
    extensions(("x-permission" = json!("notifications:manage"))),
    responses((status = 202, body = TestAlert), (status = 403, body = Problem), (status = 409, body = Problem)))]
async fn test_alert(State(state): State<ApiState>, caller: Caller) -> ApiResult<(StatusCode, Json<TestAlert>)> {
    let tenant = caller.tenant(Permission::NotificationsManage).await?;
    let user = caller.principal().user;
    // The random part of the id tells tests apart.
    let name = guardian_notify::test_replay(user, Uuid::now_v7().as_u128() as u32);
    let scope = Scope::of(tenant);
    let scoped = state.catalog.scoped(&scope);
    let mut tx = scoped.begin(tenant, caller.actor()).await?;
    tx.note("notification.test_alert", Subject::Replay, &name, json!({}));
    tx.commit().await?;
    let sent = state.clock.now();
    state
        .replays
        .test_alert(tenant, &name)
        .await
        .map_err(|reason| ApiError::new(StatusCode::CONFLICT, "conflict", reason))?;
    let detected = state.clock.now();
    let begun = state.clock.monotonic();
    let patient = || state.clock.monotonic().saturating_sub(begun) < TEST_PATIENCE;
    let mut found = None;
    while found.is_none() && patient() {
        found = alert_of(&scoped, &name).await?;
        if found.is_none() {
            tokio::time::sleep(TEST_LOOK).await;
        }
    }
    let channels = scoped.channels().await?;
    let expected =
        user.is_some() || channels.iter().any(|c| c.draft.enabled && c.draft.events.contains(&NotifyEvent::Alert));
    let (mut notified, mut deliveries) = (None, 0);
    if let Some(alert) = found.as_ref().filter(|_| expected) {
        while notified.is_none() && patient() {
            (notified, deliveries) = told_of(&scoped, alert, user).await?;
            if notified.is_none() {
                tokio::time::sleep(TEST_LOOK).await;
            }
        }
    }
    let step = |step, at: Option<Micros>| TestAlertStep { step, at: at.map(|t| t.to_string()) };
    let steps = vec![
        step("sent", Some(sent)),
        step("detected", found.as_ref().map(|_| detected)),
        step("alert", found.as_ref().map(|alert| alert.created)),
        step("notified", notified),
    ];
    let alert = found.map(|alert| alert.id.to_string());
    Ok((StatusCode::ACCEPTED, Json(TestAlert { name, alert, steps, deliveries })))
}

async fn alert_of(scoped: &Scoped<'_>, replay: &str) -> ApiResult<Option<Alert>> {
    let filter = AlertFilter { replay: ReplayFilter::Named(replay.to_owned()), ..AlertFilter::default() };
    Ok(scoped.alerts(&filter, AlertSort::Newest, None, 1).await?.items.into_iter().next())
}

/// When an alert was told, and in how many messages.
async fn told_of(scoped: &Scoped<'_>, alert: &Alert, user: Option<UserId>) -> ApiResult<(Option<Micros>, usize)> {
    let id = alert.id.to_string();
    let filter = DeliveryFilter { about: Some(id.clone()), ..DeliveryFilter::default() };
    let (sent, _) = scoped.deliveries(&filter, None, 500).await?;
    let mut told = sent.iter().map(|delivery| delivery.created).min();
    if let Some(user) = user {
        let (mine, _) = scoped.notifications(user, false, Some(NotifyEvent::Alert), None, 50).await?;
        told = told.or(mine.into_iter().find(|n| n.subject_id == id).map(|n| n.time));
    }
    Ok((told, sent.len()))
}
