//! How an incident is found and shown: what the resources about incidents share.

use std::collections::BTreeMap;

use guardian_catalog::{Incident, SlaClock, Tx};
use guardian_identity::Permission;
use guardian_model::{IncidentId, Micros, Scope, TenantId, UserId};
use guardian_respond::sla::{self, SlaPolicy};
use guardian_respond::{IncidentSettings, attack};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::auth::Caller;
use crate::error::{ApiError, ApiResult};
use crate::state::ApiState;

/// A person by name.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct PersonRef {
    /// User id.
    pub(crate) id: String,
    /// Name for people; the id of an account that is gone.
    pub(crate) name: String,
}

/// What views of incidents are made with: names of accounts, and the deadlines that hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lookup {
    names: BTreeMap<UserId, String>,
    /// Sign-in names, for mentions.
    sign_in: BTreeMap<String, UserId>,
    pub(crate) policy: SlaPolicy,
}

impl Lookup {
    /// For the tenants of `scope`; the deadlines are those of `tenant`.
    pub(crate) async fn load(state: &ApiState, scope: &Scope, tenant: TenantId) -> ApiResult<Self> {
        let scoped = state.catalog.scoped(scope);
        let mut lookup = Self::default();
        for (user, _) in scoped.users().await? {
            lookup.sign_in.insert(user.name, user.id);
            lookup.names.insert(user.id, user.display_name);
        }
        lookup.policy = IncidentSettings::load(&scoped, tenant).await?.0.sla;
        Ok(lookup)
    }

    pub(crate) fn person(&self, user: UserId) -> PersonRef {
        let id = user.to_string();
        PersonRef { name: self.names.get(&user).cloned().unwrap_or_else(|| id.clone()), id }
    }

    /// Names of all accounts.
    pub(crate) fn names(&self) -> &BTreeMap<UserId, String> {
        &self.names
    }

    /// Whom a text mentions.
    pub(crate) fn mentioned(&self, text: &str) -> Vec<UserId> {
        guardian_respond::mentions::names(text).iter().filter_map(|name| self.sign_in.get(name).copied()).collect()
    }
}

/// A clock of an incident.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ClockView {
    /// Deadline, RFC 3339; null when there is none.
    pub(crate) due: Option<String>,
    /// When the work was done, RFC 3339.
    pub(crate) done_at: Option<String>,
    /// none, running, warning, breached, met or missed.
    pub(crate) state: &'static str,
}

/// The clocks of an incident.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct SlaView {
    /// Until somebody looks.
    pub(crate) acknowledge: ClockView,
    /// Until it does no more harm.
    pub(crate) contain: ClockView,
    /// Until its cause is removed.
    pub(crate) resolve: ClockView,
}

/// How many things an incident has.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct CountsView {
    /// Alerts.
    pub(crate) alerts: u32,
    /// Entities.
    pub(crate) entities: u32,
    /// Tasks.
    pub(crate) tasks: u32,
    /// Tasks that are done or not needed.
    pub(crate) tasks_done: u32,
    /// Comments.
    pub(crate) comments: u32,
    /// Files.
    pub(crate) evidence: u32,
}

/// An incident.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct IncidentView {
    /// Identity.
    pub(crate) id: String,
    /// Tenant.
    pub(crate) tenant: String,
    /// Number within the tenant, for people.
    pub(crate) number: i64,
    /// Grows with each edit of what people edit.
    pub(crate) version: i32,
    /// What it is called.
    pub(crate) title: String,
    /// What is known, in Markdown.
    pub(crate) summary: String,
    /// general, reconnaissance, brute_force, malware, command_and_control, exfiltration, denial_of_service or policy.
    pub(crate) kind: String,
    /// informational, low, medium, high or critical.
    pub(crate) severity: String,
    /// new, triaged, contained, resolved, closed or reopened.
    pub(crate) status: String,
    /// The states that may follow.
    pub(crate) next_status: Vec<String>,
    /// Who leads the work.
    pub(crate) owner: Option<PersonRef>,
    /// Who wants to hear of it.
    pub(crate) watchers: Vec<PersonRef>,
    /// Words to find it by.
    pub(crate) tags: Vec<String>,
    /// manual, alerts or correlation.
    pub(crate) origin: String,
    /// The replay whose alerts it holds.
    pub(crate) replay: Option<String>,
    /// What it turned out to be.
    pub(crate) verdict: Option<String>,
    /// How it ended, in Markdown.
    pub(crate) resolution: Option<String>,
    /// First event, RFC 3339.
    pub(crate) first_seen: String,
    /// Last event, RFC 3339.
    pub(crate) last_seen: String,
    /// Since when it is an incident, RFC 3339.
    pub(crate) created: String,
    /// Who made it.
    pub(crate) created_by: String,
    /// When anything of it last changed, RFC 3339.
    pub(crate) updated: String,
    /// When somebody first looked, RFC 3339.
    pub(crate) triaged_at: Option<String>,
    /// When it did no more harm, RFC 3339.
    pub(crate) contained_at: Option<String>,
    /// When its cause was removed, RFC 3339.
    pub(crate) resolved_at: Option<String>,
    /// When it was closed, RFC 3339.
    pub(crate) closed_at: Option<String>,
    /// The incident that it became part of.
    pub(crate) merged_into: Option<String>,
    /// ATT&CK techniques and tactics of its alerts.
    pub(crate) attack: Vec<String>,
    /// Tactics, in the order of an attack.
    pub(crate) stages: Vec<String>,
    /// Deadlines.
    pub(crate) sla: SlaView,
    /// How many things it has.
    pub(crate) counts: CountsView,
    /// Number of its last change in the tenant's change log.
    pub(crate) seq: i64,
}

impl IncidentView {
    pub(crate) fn new(incident: Incident, lookup: &Lookup, now: Micros) -> Self {
        let clock = |clock: SlaClock| ClockView {
            due: incident.due.of(clock).map(|t| t.to_string()),
            done_at: incident.done_at(clock).map(|t| t.to_string()),
            state: sla::state(&incident, clock, &lookup.policy, now).as_str(),
        };
        let time = |t: Option<Micros>| t.map(|t| t.to_string());
        let counts = incident.counts;
        Self {
            sla: SlaView {
                acknowledge: clock(SlaClock::Acknowledge),
                contain: clock(SlaClock::Contain),
                resolve: clock(SlaClock::Resolve),
            },
            id: incident.id.to_string(),
            tenant: incident.tenant.to_string(),
            number: incident.number,
            version: incident.version,
            kind: incident.kind.to_string(),
            severity: incident.severity.to_string(),
            status: incident.status.to_string(),
            next_status: incident.status.next().iter().map(ToString::to_string).collect(),
            owner: incident.owner.map(|user| lookup.person(user)),
            watchers: incident.watchers.iter().map(|user| lookup.person(*user)).collect(),
            origin: incident.origin.to_string(),
            verdict: incident.verdict.map(|v| v.to_string()),
            first_seen: incident.first_seen.to_string(),
            last_seen: incident.last_seen.to_string(),
            created: incident.created.to_string(),
            updated: incident.updated.to_string(),
            triaged_at: time(incident.triaged_at),
            contained_at: time(incident.contained_at),
            resolved_at: time(incident.resolved_at),
            closed_at: time(incident.closed_at),
            merged_into: incident.merged_into.map(|id| id.to_string()),
            stages: attack::stage_ids(&attack::stages(&incident.attack)).into_iter().map(str::to_owned).collect(),
            counts: CountsView {
                alerts: counts.alerts,
                entities: counts.entities,
                tasks: counts.tasks,
                tasks_done: counts.tasks_done,
                comments: counts.comments,
                evidence: counts.evidence,
            },
            title: incident.title,
            summary: incident.summary,
            tags: incident.tags,
            replay: incident.replay,
            resolution: incident.resolution,
            created_by: incident.created_by,
            attack: incident.attack,
            seq: incident.seq,
        }
    }
}

/// An incident of a request, and where it is.
pub(crate) struct Place {
    pub(crate) scope: Scope,
    pub(crate) incident: Incident,
}

/// Finds the incident that a path names, by id or by number, where the caller holds `permission`.
pub(crate) async fn locate(state: &ApiState, caller: &Caller, permission: Permission, text: &str) -> ApiResult<Place> {
    let scope = caller.scope(permission).await?;
    let scoped = state.catalog.scoped(&scope);
    let incident = match (text.parse::<IncidentId>(), text.parse::<i64>()) {
        (Ok(id), _) => scoped.incident(id).await?,
        (_, Ok(number)) => scoped.incident_by_number(caller.current_tenant(), number).await?,
        _ => return Err(ApiError::not_found("incident")),
    };
    Ok(Place { scope: Scope::of(incident.tenant), incident })
}

impl Place {
    pub(crate) fn id(&self) -> IncidentId {
        self.incident.id
    }

    pub(crate) fn tenant(&self) -> TenantId {
        self.incident.tenant
    }

    pub(crate) async fn lookup(&self, state: &ApiState) -> ApiResult<Lookup> {
        Lookup::load(state, &self.scope, self.tenant()).await
    }

    pub(crate) async fn begin(&self, state: &ApiState, caller: &Caller) -> ApiResult<Tx> {
        Ok(state.catalog.scoped(&self.scope).begin(self.tenant(), caller.actor()).await?)
    }

    /// The incident as it is now.
    pub(crate) async fn view(&self, state: &ApiState) -> ApiResult<IncidentView> {
        let incident = state.catalog.scoped(&self.scope).incident(self.id()).await?;
        Ok(IncidentView::new(incident, &self.lookup(state).await?, state.clock.now()))
    }
}

/// A field that may be left out, set, or set to null.
pub(crate) fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de>>(d: D) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(d).map(Some)
}
