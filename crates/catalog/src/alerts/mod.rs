//! Alerts: what the detector said ([`upsert`]), what people look at ([`query`], [`facets`]) and what they decide
//! ([`triage`], [`suppress`], [`split`]), which a bulk change can take back ([`undo`]).

mod facets;
mod query;
mod split;
mod suppress;
mod triage;
mod undo;
mod upsert;

use guardian_model::{
    AlertId, AlertKey, Entity, EntityKind, EventRef, IncidentId, Micros, RuleRef, Severity, TenantId, UserId,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::entity::alert;
use crate::{CatalogError, text_enum};

pub use facets::{
    AlertBucket, AlertFacets, AlertGroup, AlertGrouping, BUCKETS_MAX, FACET_VALUES_MAX, FacetValue, GROUPS_MAX,
};
pub use query::{
    ALERT_PAGE_MAX, AlertCounts, AlertCursor, AlertFilter, AlertOrder, AlertPage, AlertSort, Presence, ReplayFilter,
};
pub use split::SplitAlerts;
pub use suppress::{SUPPRESSIONS_MAX, Suppression, SuppressionDraft};
pub use triage::{AlertChange, BULK_MAX, BulkDone};
pub use undo::{UNDO_FOR, Undone};
pub use upsert::{EVIDENCE_MAX, UpsertOutcome, Upserted};

text_enum! {
    /// Where an alert stands with the people who look after it.
    AlertStatus {
        /// Nobody has looked yet.
        New = "new",
        /// Somebody is on it.
        Acknowledged = "acknowledged",
        /// It is settled.
        Closed = "closed",
    }
}

text_enum! {
    /// What a closed alert turned out to be.
    Verdict {
        /// It was an attack or a breach of policy.
        TruePositive = "true_positive",
        /// The rule was wrong.
        FalsePositive = "false_positive",
        /// The rule was right and what it saw was allowed.
        Benign = "benign",
        /// Another alert tells the same story.
        Duplicate = "duplicate",
    }
}

/// An alert as it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Identity for people and the API.
    pub id: AlertId,
    /// Whose.
    pub tenant: TenantId,
    /// Identity for detection; hexadecimal in JSON.
    #[serde(with = "key_hex")]
    pub key: AlertKey,
    /// Which rule decided.
    pub rule: RuleRef,
    /// What it is about.
    pub entity: Entity,
    /// `name=value` pairs of the group.
    pub group_key: String,
    /// Event time that opened the window.
    pub window_start: Micros,
    /// First event.
    pub first_seen: Micros,
    /// Last event.
    pub last_seen: Micros,
    /// Times the condition held.
    pub count: u64,
    /// What happened, in one sentence.
    pub summary: String,
    /// Why we think so: measured values, in the order to show them.
    pub measures: Vec<(String, Value)>,
    /// Name of the replay whose events led here.
    pub replay: Option<String>,
    /// Whether it was found by looking back.
    pub retro: bool,
    /// Where it stands.
    pub status: AlertStatus,
    /// What it turned out to be, once closed.
    pub verdict: Option<Verdict>,
    /// Why it was closed.
    pub reason: Option<String>,
    /// Who is on it.
    pub assignee: Option<UserId>,
    /// What people wrote about it.
    pub note: Option<String>,
    /// Until when nobody wants to see it.
    #[serde(default)]
    pub snoozed_until: Option<Micros>,
    /// The suppression that closed it when it came.
    #[serde(default)]
    pub suppressed_by: Option<Uuid>,
    /// The incident it belongs to.
    #[serde(default)]
    pub incident: Option<IncidentId>,
    /// The alert that it was taken out of.
    #[serde(default)]
    pub split_from: Option<AlertId>,
    /// When it first came to the catalog.
    pub created: Micros,
    /// When anything of it last changed.
    pub updated: Micros,
    /// Number of its last change in the change log.
    pub seq: i64,
}

/// An alert with the events behind it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlertDetail {
    /// The alert.
    #[serde(flatten)]
    pub alert: Alert,
    /// The events, at most [`EVIDENCE_MAX`], as JSON objects by column name.
    pub evidence: Vec<(EventRef, Value)>,
}

mod key_hex {
    use guardian_model::AlertKey;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(key: &AlertKey, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(key)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<AlertKey, D::Error> {
        let text = String::deserialize(d)?;
        AlertKey::from_hex(&text).ok_or_else(|| D::Error::custom("an alert key is 32 hexadecimal digits"))
    }
}

pub(crate) fn entity_kind(text: &str) -> EntityKind {
    use EntityKind::{Domain, Host, Ip, Other, User};
    [Ip, Host, User, Domain].into_iter().find(|kind| kind.as_str() == text).unwrap_or(Other)
}

impl TryFrom<alert::Model> for Alert {
    type Error = CatalogError;

    fn try_from(row: alert::Model) -> Result<Self, CatalogError> {
        let corrupt = CatalogError::Corrupt;
        let key = row.key.as_slice().try_into().map_err(|_| corrupt("alerts.key".into()))?;
        let severity = u8::try_from(row.severity).ok().and_then(Severity::from_id);
        Ok(Self {
            id: AlertId(row.id),
            tenant: TenantId(row.tenant_id),
            key: AlertKey(key),
            rule: RuleRef {
                id: row.rule_id,
                hash: row.rule_hash,
                title: row.rule_title,
                attack: row.attack.split(',').filter(|a| !a.is_empty()).map(str::to_owned).collect(),
                severity: severity.ok_or_else(|| corrupt("alerts.severity".into()))?,
                next_steps: serde_json::from_str(&row.next_steps).map_err(CatalogError::json("alerts.next_steps"))?,
            },
            entity: Entity { site: row.site, kind: entity_kind(&row.entity_kind), value: row.entity },
            group_key: row.group_key,
            window_start: Micros(row.window_start),
            first_seen: Micros(row.first_seen),
            last_seen: Micros(row.last_seen),
            count: row.count.max(0) as u64,
            summary: row.summary,
            measures: serde_json::from_str(&row.measures).map_err(CatalogError::json("alerts.measures"))?,
            replay: row.replay,
            retro: row.retro,
            status: row.status.parse().map_err(corrupt)?,
            verdict: row.verdict.map(|v| v.parse()).transpose().map_err(corrupt)?,
            reason: row.reason,
            assignee: row.assignee.map(UserId),
            note: row.note,
            snoozed_until: row.snoozed_until.map(Micros),
            suppressed_by: row.suppressed_by,
            incident: row.incident_id.map(IncidentId),
            split_from: row.split_from.map(AlertId),
            created: Micros(row.created),
            updated: Micros(row.updated),
            seq: row.seq,
        })
    }
}
