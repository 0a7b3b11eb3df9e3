//! Findings: what a rule or detector concluded. They are appended to the lake; alerts in the catalog group them.

use std::fmt;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, StringArray, TimestampMicrosecondArray, UInt8Array, UInt32Array, UInt64Array,
};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use serde::{Deserialize, Serialize};

use crate::class::class;
use crate::{Entity, EventRef, Micros, Severity, TenantId};

class! {
    /// Findings (OCSF 1.8 Detection Finding).
    FINDING,
    /// Columns of [`FINDING`].
    FindingField,
    name "findings", ocsf 2004, "Conclusions of rules and detectors, one row each time something was worth telling.";

    Batch = 1 "batch" U64 [""] "metadata.log_name" []: "Number of the batch the row was stored with; with row it identifies the event.";
    Row = 2 "row" U32 [""] "metadata.sequence" []: "Row within its batch.";
    Received = 3 "received" Time ["us"] "metadata.logged_time" []: "When the batch that completed the condition was received.";
    Time = 4 "time" Time ["us"] "time" ["timestamp"]: "Event time at which the condition was complete.";
    AlertKey = 5 "alert_key" Text [""] "finding_info.uid" []: "Key of the alert that groups this finding.";
    RuleId = 6 "rule_id" Text [""] "finding_info.analytic.uid" []: "Id of the rule or detector.";
    RuleHash = 7 "rule_hash" Text [""] "finding_info.analytic.version" []: "Content hash of the rule that decided.";
    Title = 8 "title" Text [""] "finding_info.title" []: "Title of the rule.";
    Severity = 9 "severity" U8 [""] "severity_id" []: "OCSF severity id, 1 informational to 5 critical.";
    Attack = 10 "attack" Text [""] "finding_info.attacks" []: "ATT&CK techniques and tactics, separated by commas.";
    Site = 11 "site" Text ? null [""] "metadata.labels" []: "Site of the entity.";
    EntityKind = 12 "entity_kind" Text [""] "resources.type" []: "What the entity is: ip, host, user, domain or other.";
    Entity = 13 "entity" Text [""] "resources.name" [] personal: "The entity that the finding is about.";
    Group = 14 "group_key" Text [""] "" [] personal: "Values of the grouping fields, as name=value pairs.";
    FirstSeen = 15 "first_seen" Time ["us"] "finding_info.first_seen_time" []: "First event of the open window.";
    LastSeen = 16 "last_seen" Time ["us"] "finding_info.last_seen_time" []: "Last event of the open window.";
    Count = 17 "count" U64 [""] "count" []: "Times the condition held in the open window, so far.";
    Summary = 18 "summary" Text [""] "message" [] personal: "What happened, in one sentence.";
    Measures = 19 "measures" Text [""] "evidences.data" [] personal: "Why we think so: the measured values, as a JSON object.";
    EvidenceBatch = 20 "evidence_batch" U64 ? null [""] "" []: "Batch of the event that completed the condition.";
    EvidenceRow = 21 "evidence_row" U32 ? null [""] "" []: "Row of the event that completed the condition.";
    Retro = 22 "retro" Bool [""] "" []: "Whether it was found by looking back rather than live.";
    Replay = 23 "replay" Text ? null [""] "metadata.tags" []: "Name of the replay whose events led here; null for live traffic.";
}

/// Which rule decided, and exactly which content of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleRef {
    /// Sigma `id`, or the detector's fixed id.
    pub id: String,
    /// Hex of the BLAKE3 hash of the rule's content.
    pub hash: String,
    /// Title for people.
    pub title: String,
    /// ATT&CK techniques and tactics, as Sigma tags without the `attack.` prefix: `t1046`, `discovery`.
    pub attack: Vec<String>,
    /// How bad it is when the rule fires.
    pub severity: Severity,
    /// What to do next, one step a line, from the rule.
    pub next_steps: Vec<String>,
}

/// Key of an alert: a BLAKE3 hash of (tenant, rule id, rule content hash, group key, window start), so that replays
/// and retries never make a second alert.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AlertKey(pub [u8; 16]);

impl AlertKey {
    /// Computes the key. `group_key` is the canonical `name=value` text of the group, `window_start` the event time
    /// that opened the alert's window.
    pub fn new(tenant: TenantId, rule_id: &str, rule_hash: &str, group_key: &str, window_start: Micros) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("guardian alert key v1");
        hasher.update(tenant.0.as_bytes());
        for part in [rule_id, rule_hash, group_key] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        hasher.update(&window_start.0.to_le_bytes());
        let mut key = [0; 16];
        key.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Self(key)
    }

    /// Reads the hexadecimal form back.
    pub fn from_hex(text: &str) -> Option<Self> {
        if text.len() != 32 || !text.is_ascii() {
            return None;
        }
        let mut key = [0; 16];
        for (byte, pair) in key.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(key))
    }
}

impl fmt::Display for AlertKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for AlertKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The state of one alert's open window, absolute: storing it twice changes nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlertState {
    /// Identity of the alert.
    pub key: AlertKey,
    /// Whose it is.
    pub tenant: TenantId,
    /// Which rule decided.
    pub rule: Arc<RuleRef>,
    /// What it is about.
    pub entity: Entity,
    /// Canonical `name=value` pairs of the group, separated by `, `.
    pub group_key: String,
    /// Event time that opened the window.
    pub window_start: Micros,
    /// First event of the window.
    pub first_seen: Micros,
    /// Last event of the window.
    pub last_seen: Micros,
    /// Times the condition held in the window.
    pub count: u64,
    /// What happened, in one sentence.
    pub summary: String,
    /// Why we think so: measured values, in the order they should be shown.
    pub measures: Vec<(String, serde_json::Value)>,
    /// The events behind it, at most 100, copied because retention deletes the originals.
    pub evidence: Vec<(EventRef, serde_json::Value)>,
    /// Name of the replay whose events led here.
    pub replay: Option<String>,
    /// Whether it was found by looking back.
    pub retro: bool,
}

/// One conclusion, told because the alert is new or its count reached the next step of a logarithmic scale.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The alert as it stood when the condition was complete.
    pub alert: AlertState,
    /// Event time at which the condition was complete.
    pub time: Micros,
    /// When the batch that completed it was received.
    pub received: Micros,
    /// The event that completed it.
    pub trigger: Option<EventRef>,
}

/// Lays findings of one tenant out as a batch of [`FINDING`]; `batch` and `row` are left 0 for the lake to fill.
pub fn finding_batch(findings: &[Finding]) -> Result<RecordBatch, ArrowError> {
    let text =
        |f: fn(&Finding) -> String| -> ArrayRef { Arc::new(StringArray::from_iter_values(findings.iter().map(f))) };
    let time = |f: fn(&Finding) -> Micros| -> ArrayRef {
        Arc::new(TimestampMicrosecondArray::from_iter_values(findings.iter().map(|x| f(x).0)).with_timezone("+00:00"))
    };
    let columns: Vec<ArrayRef> = FindingField::ALL
        .iter()
        .map(|field| -> ArrayRef {
            match field {
                FindingField::Batch => Arc::new(UInt64Array::from(vec![0; findings.len()])),
                FindingField::Row => Arc::new(UInt32Array::from(vec![0; findings.len()])),
                FindingField::Received => time(|f| f.received),
                FindingField::Time => time(|f| f.time),
                FindingField::AlertKey => text(|f| f.alert.key.to_string()),
                FindingField::RuleId => text(|f| f.alert.rule.id.clone()),
                FindingField::RuleHash => text(|f| f.alert.rule.hash.clone()),
                FindingField::Title => text(|f| f.alert.rule.title.clone()),
                FindingField::Severity => {
                    Arc::new(UInt8Array::from_iter_values(findings.iter().map(|f| f.alert.rule.severity.id())))
                }
                FindingField::Attack => text(|f| f.alert.rule.attack.join(",")),
                FindingField::Site => Arc::new(StringArray::from_iter(
                    findings.iter().map(|f| Some(f.alert.entity.site.as_str()).filter(|s| !s.is_empty())),
                )),
                FindingField::EntityKind => text(|f| f.alert.entity.kind.as_str().to_owned()),
                FindingField::Entity => text(|f| f.alert.entity.value.clone()),
                FindingField::Group => text(|f| f.alert.group_key.clone()),
                FindingField::FirstSeen => time(|f| f.alert.first_seen),
                FindingField::LastSeen => time(|f| f.alert.last_seen),
                FindingField::Count => Arc::new(UInt64Array::from_iter_values(findings.iter().map(|f| f.alert.count))),
                FindingField::Summary => text(|f| f.alert.summary.clone()),
                FindingField::Measures => {
                    text(|f| serde_json::Value::Object(f.alert.measures.iter().cloned().collect()).to_string())
                }
                FindingField::EvidenceBatch => {
                    Arc::new(UInt64Array::from_iter(findings.iter().map(|f| f.trigger.map(|t| t.batch))))
                }
                FindingField::EvidenceRow => {
                    Arc::new(UInt32Array::from_iter(findings.iter().map(|f| f.trigger.map(|t| t.row))))
                }
                FindingField::Retro => Arc::new(findings.iter().map(|f| Some(f.alert.retro)).collect::<BooleanArray>()),
                FindingField::Replay => {
                    Arc::new(StringArray::from_iter(findings.iter().map(|f| f.alert.replay.as_deref())))
                }
            }
        })
        .collect();
    RecordBatch::try_new(FINDING.schema(), columns)
}
