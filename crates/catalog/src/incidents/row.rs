//! How the row of an incident changes: its way through the states, its deadlines and tags, what an edit changed and what
//! a bulk change replaced. Pure: nothing here asks or writes the database.

use guardian_model::{Micros, Severity};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::change::SlaDue;
use super::{Incident, IncidentKind, IncidentOrigin, IncidentStatus, NO_DEADLINE, SlaClock, TAGS_MAX};
use crate::CatalogError;
use crate::entity::incident;
use crate::text::clean;

/// What a bulk change replaced.
#[derive(Serialize, Deserialize)]
pub(super) struct Before {
    pub(super) id: Uuid,
    pub(super) version: i32,
    kind: String,
    severity: i32,
    status: String,
    owner: Option<Uuid>,
    tags: String,
    verdict: Option<String>,
    resolution: Option<String>,
    times: [Option<i64>; 4],
    due: [Option<i64>; 3],
}

impl Before {
    pub(super) fn of(row: &incident::Model, version: i32) -> Self {
        Self {
            id: row.id,
            version,
            kind: row.kind.clone(),
            severity: row.severity,
            status: row.status.clone(),
            owner: row.owner,
            tags: row.tags.clone(),
            verdict: row.verdict.clone(),
            resolution: row.resolution.clone(),
            times: [row.triaged_at, row.contained_at, row.resolved_at, row.closed_at],
            due: [row.acknowledge_due, row.contain_due, row.resolve_due],
        }
    }

    pub(super) fn restore(self, row: &incident::Model) -> incident::Model {
        let [triaged_at, contained_at, resolved_at, closed_at] = self.times;
        let [acknowledge_due, contain_due, resolve_due] = self.due;
        incident::Model {
            kind: self.kind,
            severity: self.severity,
            status: self.status,
            owner: self.owner,
            tags: self.tags,
            verdict: self.verdict,
            resolution: self.resolution,
            triaged_at,
            contained_at,
            resolved_at,
            closed_at,
            acknowledge_due,
            contain_due,
            resolve_due,
            ..row.clone()
        }
    }
}

/// An incident of which nothing is known yet.
pub(super) fn blank(id: Uuid, tenant: Uuid, now: i64) -> incident::Model {
    incident::Model {
        id,
        tenant_id: tenant,
        number: 0,
        version: 1,
        title: String::new(),
        summary: String::new(),
        kind: IncidentKind::General.as_str().to_owned(),
        severity: i32::from(Severity::Medium.id()),
        status: IncidentStatus::New.as_str().to_owned(),
        owner: None,
        watchers: "[]".into(),
        tags: String::new(),
        origin: IncidentOrigin::Manual.as_str().to_owned(),
        replay: None,
        verdict: None,
        resolution: None,
        attack: String::new(),
        first_seen: now,
        last_seen: now,
        created: now,
        created_by: String::new(),
        updated: now,
        triaged_at: None,
        contained_at: None,
        resolved_at: None,
        closed_at: None,
        merged_into: None,
        acknowledge_due: None,
        contain_due: None,
        resolve_due: None,
        next_due: NO_DEADLINE,
        sla_warned: 0,
        sla_breached: 0,
        alerts: 0,
        entities: 0,
        tasks: 0,
        tasks_done: 0,
        comments: 0,
        evidence: 0,
        seq: 0,
    }
}

/// Moves an incident on. What was reached before stays reached; a reopening takes the end back.
pub(super) fn advance(row: &mut incident::Model, to: IncidentStatus, now: Micros) -> Result<(), CatalogError> {
    let from: IncidentStatus = row.status.parse().map_err(CatalogError::Corrupt)?;
    if from == to {
        return Ok(());
    }
    if !from.next().contains(&to) {
        let next: Vec<_> = from.next().iter().map(|s| s.as_str()).collect();
        return Err(CatalogError::Conflict(format!("after {from} comes {}, not {to}", next.join(", "))));
    }
    if !to.is_open() && (row.verdict.is_none() || row.resolution.is_none()) {
        return Err(CatalogError::Invalid(format!("an incident that is {to} needs a verdict and a resolution")));
    }
    to.as_str().clone_into(&mut row.status);
    let now = Some(now.0);
    if to != IncidentStatus::Reopened {
        row.triaged_at = row.triaged_at.or(now);
    }
    match to {
        IncidentStatus::Contained => row.contained_at = row.contained_at.or(now),
        IncidentStatus::Resolved => row.resolved_at = row.resolved_at.or(now),
        IncidentStatus::Closed => {
            row.resolved_at = row.resolved_at.or(now);
            row.closed_at = now;
        }
        IncidentStatus::Reopened => {
            row.resolved_at = None;
            row.closed_at = None;
            row.verdict = None;
            row.resolution = None;
        }
        // Back from contained: it does harm again.
        IncidentStatus::Triaged => row.contained_at = None,
        IncidentStatus::New => {}
    }
    Ok(())
}

/// New deadlines begin without marks, unless they are the old ones.
pub(super) fn set_due(row: &mut incident::Model, due: SlaDue) {
    let places = [
        (SlaClock::Acknowledge, &mut row.acknowledge_due),
        (SlaClock::Contain, &mut row.contain_due),
        (SlaClock::Resolve, &mut row.resolve_due),
    ];
    for (clock, place) in places {
        let new = due.of(clock).map(|t| t.0);
        if *place != new {
            *place = new;
            row.sla_warned &= !clock.bit();
            row.sla_breached &= !clock.bit();
        }
    }
}

/// Trimmed, lower-case, without commas and repeats.
pub(super) fn tidy_tags(tags: &[String]) -> Result<Vec<String>, CatalogError> {
    let mut tidy: Vec<String> = Vec::new();
    for tag in tags {
        let tag = clean(tag.trim(), 60).to_lowercase().replace(',', " ");
        if !tag.is_empty() && !tidy.contains(&tag) {
            tidy.push(tag);
        }
    }
    if tidy.len() > TAGS_MAX {
        return Err(CatalogError::Invalid(format!("an incident has at most {TAGS_MAX} tags")));
    }
    Ok(tidy)
}

/// What an edit changed, but for the status, which has an entry of its own.
pub(super) fn difference(before: &incident::Model, after: &incident::Model) -> Vec<(&'static str, Value, Value)> {
    let pairs = [
        ("title", json!(before.title), json!(after.title)),
        ("summary", json!(before.summary), json!(after.summary)),
        ("kind", json!(before.kind), json!(after.kind)),
        ("severity", json!(before.severity), json!(after.severity)),
        ("owner", json!(before.owner), json!(after.owner)),
        ("tags", json!(before.tags.trim_matches(',')), json!(after.tags.trim_matches(','))),
        ("resolution", json!(before.resolution), json!(after.resolution)),
    ];
    pairs.into_iter().filter(|(_, from, to)| from != to).collect()
}

/// What the audit trail shows of an incident: what people decide.
pub(super) fn decided(incident: &Incident) -> Value {
    json!({
        "number": incident.number, "title": incident.title, "kind": incident.kind, "severity": incident.severity,
        "status": incident.status, "owner": incident.owner, "watchers": incident.watchers, "tags": incident.tags,
        "verdict": incident.verdict, "resolution": incident.resolution, "merged_into": incident.merged_into,
        "counts": incident.counts, "warned": incident.warned, "breached": incident.breached,
    })
}
