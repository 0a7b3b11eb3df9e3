//! The live stream: changes of the tenant, resumable without gap or repeat, and the figures of each second.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use guardian_catalog::{
    Action, Alert, AuditEntry, ChangeEntry, Changes, Evidence, Incident, IncidentEntity, IncidentEntry, IncidentTask,
    Notification, Subject,
};
use guardian_identity::{Permission, PermissionSet};
use guardian_model::{Pseudonyms, Scope, TenantId, UserId};
use hashbrown::HashMap;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::alerts::AlertView;
use super::audit::AuditView;
use super::incident_evidence::EvidenceFileView;
use super::incident_parts::{EntityView, TaskView};
use super::incident_timeline::EntryView;
use super::incident_view::{IncidentView, Lookup};
use super::notifications::NotificationView;
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::Query;
use crate::state::ApiState;

/// Alerts whose last told count is remembered for one connection.
const TOLD_MAX: usize = 20_000;
/// A client that takes longer than this for one message is let go; it resumes where it was.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// How often an idle connection is pinged.
const PING: Duration = Duration::from_secs(20);
/// Largest message that a client may send; it has nothing to say but pongs.
const INCOMING_BYTES_MAX: usize = 4_096;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(stream))
}

/// What to hear.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct StreamQuery {
    /// Number of the last change that the client has; without it, the stream begins now.
    pub(crate) since: Option<i64>,
    /// Number of the last entry of the audit trail that the client has; without it, that topic begins now.
    pub(crate) audit_since: Option<i64>,
    /// Comma-separated: `alerts`, `incidents`, `changes` (everything else that changes), `kpis`, `notifications` (what one is
    /// told oneself), and `audit`, which needs `audit:read`; all but `audit` by default.
    pub(crate) topics: Option<String>,
    /// Tenant to hear of, instead of the one of the tenant header.
    pub(crate) tenant: Option<String>,
}

#[derive(Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each topic is heard or not")]
struct Topics {
    alerts: bool,
    incidents: bool,
    changes: bool,
    kpis: bool,
    notifications: bool,
    audit: bool,
}

impl Topics {
    const ALL: Self =
        Self { alerts: true, incidents: true, changes: true, kpis: true, notifications: true, audit: false };
    const NONE: Self =
        Self { alerts: false, incidents: false, changes: false, kpis: false, notifications: false, audit: false };

    fn parse(text: Option<&str>) -> ApiResult<Self> {
        let Some(text) = text else { return Ok(Self::ALL) };
        let mut topics = Self::NONE;
        for topic in text.split(',').map(str::trim) {
            match topic {
                "alerts" => topics.alerts = true,
                "incidents" => topics.incidents = true,
                "changes" => topics.changes = true,
                "kpis" => topics.kpis = true,
                "notifications" => topics.notifications = true,
                "audit" => topics.audit = true,
                other => {
                    let detail =
                        format!("`topics`: `{other}` is not alerts, incidents, changes, kpis, notifications or audit");
                    return Err(ApiError::invalid(detail));
                }
            }
        }
        Ok(topics)
    }

    /// What somebody must be allowed for as long as they listen.
    fn permissions(self, personal: bool) -> PermissionSet {
        let needed = [
            (true, Permission::AlertsRead),
            (personal, Permission::PersonalRead),
            (self.incidents, Permission::IncidentsRead),
            (self.audit, Permission::AuditRead),
        ];
        needed.into_iter().filter(|(wanted, _)| *wanted).map(|(_, permission)| permission).collect()
    }
}

/// Live stream of alerts, changes and figures (WebSocket)
///
/// Each message is a JSON object with a `type`: `hello` (with the `seq` to resume from), `alert` (with `seq`, `alert` and
/// `news`: whether it is new or its count reached another power of ten), `incident` (with `id`, `action` and the
/// `incident`, null when it is gone), `incident_item` (with `incident`, the `item`: alert, entry, task, entity or
/// evidence, its `id`, `action` and `data`, null when it is gone), `notification` (what one is told oneself, and how many
/// are `unread`), `notifications_read`, `change` (of a `command_run` with its `command`, `host` and `state`, of a
/// `live_query_host` with its `query`, `host`, `state` and `rows`, of a `rollout_host` with its `rollout`, `host`, `state`
/// and `fetched`), `kpis`, `audit` (with the `entry`), `resync` (the asked position is too old: load lists afresh and
/// continue from its `seq`). Keep the highest `seq` and pass it as `since` when connecting
/// again: nothing is missed or told twice. The audit trail has numbers of its own: `hello` says `audit_seq`, each entry
/// its `seq`; pass the highest as `audit_since`.
#[utoipa::path(get, path = "/stream", tag = "live", extensions(("x-permission" = json!("alerts:read"))), params(StreamQuery),
    responses((status = 101, description = "WebSocket"), (status = 401, body = Problem), (status = 422, body = Problem),
        (status = 426, body = Problem)))]
async fn stream(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<StreamQuery>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> ApiResult<Response> {
    let upgrade = upgrade?;
    let caller = match query.tenant.as_deref() {
        Some(text) => caller.about(text.parse().map_err(|_| ApiError::not_found("tenant"))?).await?,
        None => caller,
    };
    let mut topics = Topics::parse(query.topics.as_deref())?;
    let scope = caller.scope(Permission::AlertsRead).await?;
    let tenant = caller.tenant(Permission::AlertsRead).await?;
    if topics.audit {
        caller.within(tenant, Permission::AuditRead).await?;
    }
    let scoped = state.catalog.scoped(&scope);
    let since = match query.since {
        Some(since) => since,
        None => scoped.latest_seq(tenant).await?,
    };
    // Whoever may not see incidents hears nothing of them.
    topics.incidents &= caller.principal().permissions(tenant).contains(Permission::IncidentsRead);
    let audit_since = match (topics.audit, query.audit_since) {
        (true, Some(since)) => since,
        (true, None) => scoped.audit_head(tenant).await?.0,
        (false, _) => 0,
    };
    let follower = scoped.follow(tenant, since)?;
    let trail = scoped.follow_audit(tenant, audit_since)?;
    let kpis = state.kpis.clone();
    let lookup = Lookup::load(&state, &Scope::of(tenant), tenant).await?;
    let masks = caller.masks().cloned();
    let user = caller.principal().user;
    Ok(upgrade.max_message_size(INCOMING_BYTES_MAX).on_upgrade(move |socket| async move {
        let session = Session { socket, topics, told: HashMap::new(), state, tenant, lookup, masks, user };
        session.run(Sources { follower, trail, kpis }, caller, since).await;
    }))
}

/// What a connection hears.
struct Sources {
    follower: guardian_catalog::Follower,
    trail: guardian_catalog::AuditFollower,
    kpis: tokio::sync::watch::Receiver<crate::state::Kpis>,
}

struct Session {
    socket: WebSocket,
    topics: Topics,
    told: HashMap<String, u32>,
    state: ApiState,
    tenant: TenantId,
    lookup: Lookup,
    /// What stands in the place of personal data, if the caller may not see it.
    masks: Option<Arc<Pseudonyms>>,
    user: Option<UserId>,
}

impl Session {
    async fn run(mut self, sources: Sources, caller: Caller, since: i64) {
        let Sources { mut follower, mut trail, mut kpis } = sources;
        let mut hello = json!({"type": "hello", "seq": since});
        if self.topics.audit {
            hello["audit_seq"] = json!(trail.position());
        }
        if !self.send(hello).await {
            return;
        }
        let needed = self.topics.permissions(self.masks.is_none());
        let mut ping = tokio::time::interval(PING);
        loop {
            let going = tokio::select! {
                changes = follower.next() => match changes {
                    Ok(changes) => self.changes(changes).await,
                    Err(error) => {
                        tracing::warn!(%error, "a live stream ended");
                        false
                    }
                },
                changed = kpis.changed(), if self.topics.kpis => {
                    let figures = kpis.borrow_and_update().clone();
                    changed.is_ok() && self.send(json!({"type": "kpis", "kpis": figures})).await
                }
                entries = trail.next(), if self.topics.audit => match entries {
                    Ok(entries) => self.entries(entries).await,
                    Err(error) => {
                        tracing::warn!(%error, "a live stream ended");
                        false
                    }
                },
                incoming = self.socket.recv() => matches!(incoming, Some(Ok(message)) if !matches!(message, Message::Close(_))),
                _ = ping.tick() => {
                    caller.still_may(needed).await && self.push(Message::Ping(Vec::new().into())).await
                }
            };
            if !going {
                break;
            }
        }
        // The connection is over either way.
        self.push(Message::Close(None)).await;
    }

    async fn changes(&mut self, changes: Changes) -> bool {
        match changes {
            Changes::Entries { entries, .. } => {
                // Names and deadlines that changed show from here on.
                let renamed = |s: Subject| matches!(s, Subject::User | Subject::Membership | Subject::Setting);
                if entries.iter().any(|entry| renamed(entry.subject))
                    && let Ok(lookup) = Lookup::load(&self.state, &Scope::of(self.tenant), self.tenant).await
                {
                    self.lookup = lookup;
                }
                for entry in entries {
                    if entry.subject == Subject::Notification {
                        if !self.notification(entry).await {
                            return false;
                        }
                        continue;
                    }
                    if let Some(message) = self.message(entry)
                        && !self.send(message).await
                    {
                        return false;
                    }
                }
                true
            }
            Changes::ResyncNeeded { latest, .. } => self.send(json!({"type": "resync", "seq": latest})).await,
        }
    }

    async fn entries(&mut self, entries: Vec<AuditEntry>) -> bool {
        for entry in entries {
            if !self.send(json!({"type": "audit", "entry": AuditView::from(entry)})).await {
                return false;
            }
        }
        true
    }

    /// What the caller was told or has read; what others are told is theirs.
    async fn notification(&mut self, entry: ChangeEntry) -> bool {
        let Some(user) = self.user.filter(|user| self.topics.notifications && user.to_string() == entry.id) else {
            return true;
        };
        let scope = Scope::of(self.tenant);
        let unread = self.state.catalog.scoped(&scope).unread_notifications(user).await.unwrap_or_default();
        let told = serde_json::from_value::<Option<Notification>>(entry.payload).ok().flatten();
        let message = match told.map(NotificationView::from) {
            Some(view) => json!({"type": "notification", "seq": entry.seq, "notification": view, "unread": unread}),
            None => json!({"type": "notifications_read", "seq": entry.seq, "unread": unread}),
        };
        self.send(message).await
    }

    fn message(&mut self, entry: ChangeEntry) -> Option<Value> {
        let deleted = entry.action == Action::Deleted;
        if entry.subject == Subject::Alert && !deleted {
            if !self.topics.alerts {
                return None;
            }
            let alert: Alert = serde_json::from_value(entry.payload).ok()?;
            let news = self.is_news(&entry.id, entry.action == Action::Created, alert.count);
            return Some(json!({"type": "alert", "seq": entry.seq, "news": news, "alert": AlertView::from(alert)}));
        }
        if matches!(entry.subject, Subject::Incident | Subject::IncidentItem) {
            return if self.topics.incidents { self.incident(entry) } else { None };
        }
        self.topics.changes.then(|| {
            let mut change = json!({
                "type": "change", "seq": entry.seq, "subject": entry.subject, "id": entry.id, "action": entry.action,
            });
            if entry.subject == Subject::CommandRun {
                // Whoever shows progress need not ask for each host.
                for name in ["command", "host", "state"] {
                    change[name] = entry.payload[name].clone();
                }
            }
            if entry.subject == Subject::LiveQueryHost {
                for name in ["query", "host", "state", "rows"] {
                    change[name] = entry.payload[name].clone();
                }
            }
            if entry.subject == Subject::RolloutHost {
                for name in ["rollout", "host", "state", "fetched"] {
                    change[name] = entry.payload[name].clone();
                }
            }
            change
        })
    }

    /// What followers hear of an incident or a part of one, in the forms of the API.
    fn incident(&self, entry: ChangeEntry) -> Option<Value> {
        if entry.subject == Subject::Incident {
            let incident = serde_json::from_value::<Option<Incident>>(entry.payload).ok()?;
            let view = incident.map(|i| IncidentView::new(i, &self.lookup, self.state.clock.now()));
            return Some(json!({
                "type": "incident", "seq": entry.seq, "action": entry.action, "id": entry.id, "incident": view,
            }));
        }
        let item = entry.payload.get("item")?.as_str()?.to_owned();
        let incident = entry.payload.get("incident")?.clone();
        let data = entry.payload.get("data").cloned().unwrap_or_default();
        let data = if data.is_null() { data } else { self.part(&item, data)? };
        Some(json!({
            "type": "incident_item", "seq": entry.seq, "action": entry.action, "incident": incident, "item": item,
            "id": entry.id, "data": data,
        }))
    }

    fn part(&self, item: &str, data: Value) -> Option<Value> {
        match item {
            "entry" => {
                let entry: IncidentEntry = serde_json::from_value(data).ok()?;
                Some(json!(EntryView::new(entry, &self.lookup)))
            }
            "task" => {
                let task: IncidentTask = serde_json::from_value(data).ok()?;
                Some(json!(TaskView::new(task, &self.lookup)))
            }
            "entity" => Some(json!(EntityView::from(serde_json::from_value::<IncidentEntity>(data).ok()?))),
            "evidence" => Some(json!(EvidenceFileView::from(serde_json::from_value::<Evidence>(data).ok()?))),
            _ => Some(data),
        }
    }

    /// A new alert is news, and so is one whose count reached another power of ten.
    fn is_news(&mut self, id: &str, created: bool, count: u64) -> bool {
        let decade = count.max(1).ilog10();
        if self.told.len() >= TOLD_MAX {
            self.told.clear();
        }
        let before = self.told.insert(id.to_owned(), decade);
        created || before.is_some_and(|before| decade > before)
    }

    async fn send(&mut self, mut value: Value) -> bool {
        if let Some(masks) = &self.masks {
            masks.value(&mut value);
        }
        self.push(Message::Text(value.to_string().into())).await
    }

    async fn push(&mut self, message: Message) -> bool {
        matches!(tokio::time::timeout(SEND_TIMEOUT, self.socket.send(message)).await, Ok(Ok(())))
    }
}
