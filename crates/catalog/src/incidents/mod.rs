//! Incidents: alerts that tell one story, and what people do about it. What an incident is ([`query`]), how it is made
//! and changed ([`change`]), its alerts ([`members`]) and what they are about ([`entities`]), its timeline
//! ([`entries`]), tasks ([`tasks`]), evidence ([`evidence`]) and merging ([`merge`]).
//!
//! What decides (correlation, deadlines, templates, reports) is the business of `respond`; this module keeps what was
//! decided, and holds the rules that must hold whoever decides: the workflow, one incident an alert, and that nothing
//! is lost.

mod change;
mod entities;
mod entries;
mod evidence;
mod members;
mod merge;
mod query;
mod row;
mod tasks;
mod templates;

use guardian_model::{IncidentId, Micros, Severity, TenantId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::entity::incident;
use crate::{CatalogError, text_enum};

pub use change::{IncidentChange, IncidentPatch, NewIncident, SlaDue, SlaMark};
pub use entities::{EntityPatch, IncidentEntity, NewObservable, ObservableKind, alert_entities};
pub use entries::{EntryKind, EntryPatch, EntryWhat, IncidentEntry, NewEntry};
pub use evidence::{Custody, CustodyAction, Evidence, EvidenceDetail, NewEvidence};
pub use members::{IncidentAlert, Joining, Why};
pub use merge::{IncidentMerge, Moved};
pub use query::{
    INCIDENT_PAGE_MAX, IncidentCursor, IncidentFacets, IncidentFilter, IncidentOrder, IncidentPage, IncidentSort,
    SlaFilter,
};
pub use tasks::{IncidentTask, NewTask, TaskPatch, TaskStatus};
pub use templates::{IncidentTemplate, TemplateDraft, TemplateTask};

/// Alerts of one incident.
pub const INCIDENT_ALERTS_MAX: u64 = 2_000;
/// Entities of one incident.
pub const INCIDENT_ENTITIES_MAX: u64 = 1_000;
/// Tasks of one incident.
pub const INCIDENT_TASKS_MAX: u64 = 500;
/// Files of one incident.
pub const INCIDENT_EVIDENCE_MAX: u64 = 500;
/// People who watch one incident.
pub const WATCHERS_MAX: usize = 100;
/// Tags of one incident.
pub const TAGS_MAX: usize = 50;
/// Longest Markdown text, in characters.
pub const MARKDOWN_MAX: usize = 50_000;
/// Longest title, in characters.
pub(crate) const TITLE_MAX: usize = 300;
/// The deadline of an incident that has none.
pub(crate) const NO_DEADLINE: i64 = i64::MAX;

text_enum! {
    /// Where an incident stands.
    IncidentStatus {
        /// Nobody has looked yet.
        New = "new",
        /// Somebody knows what it is about.
        Triaged = "triaged",
        /// It does no more harm.
        Contained = "contained",
        /// Its cause is removed.
        Resolved = "resolved",
        /// Everything is written down.
        Closed = "closed",
        /// It was not over after all.
        Reopened = "reopened",
    }
}

impl IncidentStatus {
    /// Whether work is to be done.
    pub const fn is_open(self) -> bool {
        !matches!(self, Self::Resolved | Self::Closed)
    }

    /// The states that may follow.
    pub const fn next(self) -> &'static [Self] {
        use IncidentStatus::{Closed, Contained, Reopened, Resolved, Triaged};
        match self {
            Self::New | Self::Reopened => &[Triaged, Contained, Resolved, Closed],
            Self::Triaged => &[Contained, Resolved, Closed],
            Self::Contained => &[Triaged, Resolved, Closed],
            Self::Resolved => &[Closed, Reopened],
            Self::Closed => &[Reopened],
        }
    }

    /// Those in which work is to be done.
    pub fn open() -> Vec<Self> {
        Self::ALL.iter().copied().filter(|s| s.is_open()).collect()
    }
}

text_enum! {
    /// What sort of incident it is; templates go by it.
    IncidentKind {
        /// Anything else.
        General = "general",
        /// Somebody explores the network.
        Reconnaissance = "reconnaissance",
        /// Somebody guesses passwords.
        BruteForce = "brute_force",
        /// Hostile software runs here.
        Malware = "malware",
        /// A machine takes orders from outside.
        CommandAndControl = "command_and_control",
        /// Data leaves.
        Exfiltration = "exfiltration",
        /// A service is flooded.
        DenialOfService = "denial_of_service",
        /// A rule of the house was broken.
        Policy = "policy",
    }
}

text_enum! {
    /// Where an incident comes from.
    IncidentOrigin {
        /// Somebody made it.
        Manual = "manual",
        /// Somebody made it of alerts.
        Alerts = "alerts",
        /// Correlation found alerts that belong together.
        Correlation = "correlation",
    }
}

text_enum! {
    /// What is measured against a deadline.
    SlaClock {
        /// Until somebody looks.
        Acknowledge = "acknowledge",
        /// Until it does no more harm.
        Contain = "contain",
        /// Until its cause is removed.
        Resolve = "resolve",
    }
}

impl SlaClock {
    /// Its bit in the marks of an incident.
    pub(crate) const fn bit(self) -> i32 {
        1 << self as i32
    }
}

/// How many things an incident has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentCounts {
    /// Alerts.
    pub alerts: u32,
    /// Entities.
    pub entities: u32,
    /// Tasks, done or not.
    pub tasks: u32,
    /// Tasks that are done or not needed.
    pub tasks_done: u32,
    /// Comments.
    pub comments: u32,
    /// Files that are still there.
    pub evidence: u32,
}

/// An incident as it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// Identity for the API.
    pub id: IncidentId,
    /// Whose.
    pub tenant: TenantId,
    /// Its number within the tenant, for people.
    pub number: i64,
    /// Grows with each edit of what people edit.
    pub version: i32,
    /// What it is called.
    pub title: String,
    /// What is known, in Markdown.
    pub summary: String,
    /// What sort of incident.
    pub kind: IncidentKind,
    /// How bad.
    pub severity: Severity,
    /// Where it stands.
    pub status: IncidentStatus,
    /// Who leads the work.
    pub owner: Option<UserId>,
    /// Who wants to hear of it.
    pub watchers: Vec<UserId>,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// Where it comes from.
    pub origin: IncidentOrigin,
    /// The replay whose alerts it holds; such incidents never trigger anything.
    pub replay: Option<String>,
    /// What it turned out to be.
    pub verdict: Option<crate::Verdict>,
    /// How it ended, in Markdown.
    pub resolution: Option<String>,
    /// ATT&CK techniques and tactics of its alerts.
    pub attack: Vec<String>,
    /// First event.
    pub first_seen: Micros,
    /// Last event.
    pub last_seen: Micros,
    /// Since when it is an incident.
    pub created: Micros,
    /// Who made it.
    pub created_by: String,
    /// When anything of it last changed.
    pub updated: Micros,
    /// When somebody first looked.
    pub triaged_at: Option<Micros>,
    /// When it did no more harm.
    pub contained_at: Option<Micros>,
    /// When its cause was removed.
    pub resolved_at: Option<Micros>,
    /// When it was closed.
    pub closed_at: Option<Micros>,
    /// The incident that it became part of.
    pub merged_into: Option<IncidentId>,
    /// Its deadlines.
    pub due: SlaDue,
    /// Deadlines of which a warning was given.
    pub warned: Vec<SlaClock>,
    /// Deadlines that passed.
    pub breached: Vec<SlaClock>,
    /// How many things it has.
    pub counts: IncidentCounts,
    /// Number of its last change in the change log.
    pub seq: i64,
}

impl Incident {
    /// When the work that a clock measures was done.
    pub fn done_at(&self, clock: SlaClock) -> Option<Micros> {
        let end = self.resolved_at.or(self.closed_at);
        match clock {
            SlaClock::Acknowledge => self.triaged_at.or(self.contained_at).or(end),
            SlaClock::Contain => self.contained_at.or(end),
            SlaClock::Resolve => end,
        }
    }

    /// The nearest deadline that is not met yet.
    pub fn next_due(&self) -> Option<Micros> {
        let open = SlaClock::ALL.iter().filter(|clock| self.done_at(**clock).is_none());
        open.filter_map(|clock| self.due.of(*clock)).min()
    }
}

/// A list kept as JSON text.
pub(crate) fn list<T: serde::de::DeserializeOwned>(text: &str, what: &str) -> Result<Vec<T>, CatalogError> {
    serde_json::from_str(text).map_err(CatalogError::json(what))
}

/// Tags are kept between commas, so that a whole tag can be searched for.
pub(crate) fn tags_text(tags: &[String]) -> String {
    if tags.is_empty() { String::new() } else { format!(",{},", tags.join(",")) }
}

fn marks(bits: i32) -> Vec<SlaClock> {
    SlaClock::ALL.iter().copied().filter(|clock| bits & clock.bit() != 0).collect()
}

pub(crate) fn severity(number: i32) -> Result<Severity, CatalogError> {
    let severity = u8::try_from(number).ok().and_then(Severity::from_id);
    severity.ok_or_else(|| CatalogError::Corrupt("severity".into()))
}

impl TryFrom<incident::Model> for Incident {
    type Error = CatalogError;

    fn try_from(row: incident::Model) -> Result<Self, CatalogError> {
        let corrupt = CatalogError::Corrupt;
        let words = |text: &str| text.split(',').filter(|w| !w.is_empty()).map(str::to_owned).collect();
        let count = |n: i32| u32::try_from(n).unwrap_or_default();
        Ok(Self {
            id: IncidentId(row.id),
            tenant: TenantId(row.tenant_id),
            number: row.number,
            version: row.version,
            title: row.title,
            summary: row.summary,
            kind: row.kind.parse().map_err(corrupt)?,
            severity: severity(row.severity)?,
            status: row.status.parse().map_err(corrupt)?,
            owner: row.owner.map(UserId),
            watchers: list(&row.watchers, "incidents.watchers")?,
            tags: words(&row.tags),
            origin: row.origin.parse().map_err(corrupt)?,
            replay: row.replay,
            verdict: row.verdict.map(|v| v.parse()).transpose().map_err(corrupt)?,
            resolution: row.resolution,
            attack: words(&row.attack),
            first_seen: Micros(row.first_seen),
            last_seen: Micros(row.last_seen),
            created: Micros(row.created),
            created_by: row.created_by,
            updated: Micros(row.updated),
            triaged_at: row.triaged_at.map(Micros),
            contained_at: row.contained_at.map(Micros),
            resolved_at: row.resolved_at.map(Micros),
            closed_at: row.closed_at.map(Micros),
            merged_into: row.merged_into.map(IncidentId),
            due: SlaDue {
                acknowledge: row.acknowledge_due.map(Micros),
                contain: row.contain_due.map(Micros),
                resolve: row.resolve_due.map(Micros),
            },
            warned: marks(row.sla_warned),
            breached: marks(row.sla_breached),
            counts: IncidentCounts {
                alerts: count(row.alerts),
                entities: count(row.entities),
                tasks: count(row.tasks),
                tasks_done: count(row.tasks_done),
                comments: count(row.comments),
                evidence: count(row.evidence),
            },
            seq: row.seq,
        })
    }
}

/// What followers are told about a part of an incident.
pub(crate) fn part(incident: uuid::Uuid, item: &str, data: &Value) -> Value {
    serde_json::json!({ "incident": incident, "item": item, "data": data })
}

#[cfg(test)]
mod tests {
    use super::IncidentStatus;

    #[test]
    fn the_workflow_has_no_dead_end() {
        for from in IncidentStatus::ALL {
            assert!(!from.next().is_empty(), "{from} leads nowhere");
            assert!(!from.next().contains(from), "{from} leads to itself");
            assert_eq!(from.next().contains(&IncidentStatus::Reopened), !from.is_open(), "{from}");
        }
    }
}
