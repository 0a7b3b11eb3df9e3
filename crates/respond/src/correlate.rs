//! Correlation: which alerts tell one story. Pure: an alert, what is open and what is free go in; a decision with its
//! reasons comes out.
//!
//! Alerts belong together when they are about the same thing, near in time, and (better still) when the later one is a
//! later stage of an attack. Every part gives points, is written down in a sentence, and can be looked at beside the
//! alert. Nothing joins without a shared entity.

use std::collections::BTreeSet;

use guardian_catalog::{
    Alert, AlertStatus, Incident, IncidentEntity, IncidentKind, Joining, ObservableKind, Why, alert_entities,
};
use guardian_model::{IncidentId, Micros, Severity};
use serde::{Deserialize, Serialize};

use crate::attack::{TACTICS, stages};

/// Points for an entity in common, by the part it plays in the alert and in the other.
const SUBJECT: i32 = 40;
/// What was attacked before attacks now, or the other way round: the attack moved on.
const TURNED: i32 = 45;
/// The same target of different sources: on a public service, that alone is noise.
const TARGET: i32 = 8;
/// Any other part in common.
const OTHER: i32 = 25;
/// Further entities in common, together.
const MORE_MAX: i32 = 20;
/// Points for being at the same time; less the farther apart.
const TIME: i32 = 25;
/// Points for a later stage of an attack, the same stage, an earlier one.
const STAGE: [i32; 3] = [20, 10, 5];
/// Points for the same rule.
const RULE: i32 = 5;
/// Longest title made here, in characters.
const TITLE_MAX: usize = 200;
/// Alerts that a new incident begins with.
const BEGIN_MAX: usize = 200;

/// Which alerts belong together, as a tenant sets it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CorrelationPolicy {
    /// Whether alerts join and make incidents by themselves.
    pub enabled: bool,
    /// Longest time between an alert and what it joins, in minutes.
    pub window_minutes: u32,
    /// An alert at least this bad makes an incident alone; others need company of another stage.
    pub create_severity: Severity,
    /// Points that an alert needs to join.
    pub join_score: i32,
    /// Whether alerts of replays are grouped too, among themselves.
    pub include_replays: bool,
}

impl Default for CorrelationPolicy {
    fn default() -> Self {
        Self {
            enabled: true,
            window_minutes: 240,
            create_severity: Severity::High,
            join_score: 50,
            include_replays: true,
        }
    }
}

impl CorrelationPolicy {
    /// The window in microseconds.
    pub fn window(&self) -> i64 {
        i64::from(self.window_minutes) * Micros::MINUTE
    }

    /// What is wrong with it, if anything.
    pub fn problem(&self) -> Option<String> {
        if !(1..=7 * 24 * 60).contains(&self.window_minutes) {
            return Some("`window_minutes` is 1 to 10080, a week".into());
        }
        if !(1..=150).contains(&self.join_score) {
            return Some("`join_score` is 1 to 150".into());
        }
        None
    }
}

/// An open incident as correlation sees it.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The incident.
    pub incident: Incident,
    /// What it is about.
    pub entities: Vec<IncidentEntity>,
    /// The rules of its alerts.
    pub rules: BTreeSet<String>,
}

/// What becomes of an alert.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// It stays alone.
    Nothing,
    /// It belongs to an incident.
    Join {
        /// Which.
        incident: IncidentId,
        /// Why.
        joining: Joining,
    },
    /// It and others make an incident.
    Create {
        /// What to call it.
        title: String,
        /// What sort it is.
        kind: IncidentKind,
        /// How bad it is.
        severity: Severity,
        /// The alerts, each with its reasons.
        alerts: Vec<Joining>,
    },
}

/// One side of a comparison.
struct Side<'a> {
    entities: Vec<(ObservableKind, &'a str, &'a str)>,
    site: &'a str,
    first: Micros,
    last: Micros,
    stages: Vec<usize>,
    rules: Vec<&'a str>,
}

/// Decides about one alert, given the open incidents that share an entity with it and the free alerts that do.
pub fn decide(alert: &Alert, open: &[Candidate], free: &[Alert], policy: &CorrelationPolicy) -> Decision {
    if !policy.enabled || !eligible(alert, policy) {
        return Decision::Nothing;
    }
    let own = alert_entities(alert);
    let this = side(alert, &own);
    let best = open
        .iter()
        .filter(|c| c.incident.replay == alert.replay)
        .filter_map(|c| {
            let why = compare(&this, &incident_side(c, this.site), policy)?;
            Some((total(&why), c.incident.last_seen, c.incident.id, why))
        })
        .filter(|(score, ..)| *score >= policy.join_score)
        .max_by_key(|(score, last, id, _)| (*score, *last, *id));
    if let Some((_, _, incident, why)) = best {
        return Decision::Join { incident, joining: Joining { alert: alert.id, why } };
    }
    create(alert, &this, free, policy)
}

fn create(alert: &Alert, this: &Side<'_>, free: &[Alert], policy: &CorrelationPolicy) -> Decision {
    let mut company: Vec<(&Alert, Vec<Why>)> = Vec::new();
    for other in free {
        if other.id == alert.id || other.replay != alert.replay || !eligible(other, policy) {
            continue;
        }
        let theirs = alert_entities(other);
        if let Some(why) = compare(this, &side(other, &theirs), policy)
            && total(&why) >= policy.join_score
        {
            company.push((other, why));
        }
    }
    company.sort_by_key(|(other, why)| (std::cmp::Reverse(total(why)), other.id));
    company.truncate(BEGIN_MAX - 1);
    let all = || std::iter::once(alert).chain(company.iter().map(|(other, _)| *other));
    let grave = all().any(|a| a.rule.severity >= policy.create_severity);
    let rules: BTreeSet<&str> = all().map(|a| a.rule.id.as_str()).collect();
    let mut reached: Vec<usize> = all().flat_map(|a| stages(&a.rule.attack)).collect();
    reached.sort_unstable();
    reached.dedup();
    if !grave && (rules.len() < 2 || reached.len() < 2) {
        return Decision::Nothing;
    }
    // The first of equals is the alert that made the incident.
    let worst = all().min_by_key(|a| std::cmp::Reverse((a.rule.severity, a.count))).unwrap_or(alert);
    let because = if alert.rule.severity >= policy.create_severity {
        format!("severity {} makes an incident by itself", alert.rule.severity)
    } else {
        format!("{} alerts about the same thing, {} stages of an attack", company.len() + 1, reached.len())
    };
    let first = Joining { alert: alert.id, why: vec![Why { factor: "start".into(), text: because, score: 0 }] };
    let others = company.iter().map(|(other, why)| Joining { alert: other.id, why: why.clone() });
    Decision::Create {
        title: title(worst, &reached),
        kind: kind(worst, &reached),
        severity: worst.rule.severity,
        alerts: std::iter::once(first).chain(others).collect(),
    }
}

/// Whether an alert is to be grouped at all.
fn eligible(alert: &Alert, policy: &CorrelationPolicy) -> bool {
    alert.incident.is_none()
        && alert.status != AlertStatus::Closed
        && (alert.replay.is_none() || policy.include_replays)
}

fn side<'a>(alert: &'a Alert, entities: &'a [(ObservableKind, String, &'static str)]) -> Side<'a> {
    Side {
        entities: entities.iter().map(|(kind, value, role)| (*kind, value.as_str(), *role)).collect(),
        site: &alert.entity.site,
        first: alert.first_seen,
        last: alert.last_seen,
        stages: stages(&alert.rule.attack),
        rules: vec![&alert.rule.id],
    }
}

fn incident_side<'a>(candidate: &'a Candidate, site: &'a str) -> Side<'a> {
    let here = candidate.entities.iter().filter(|e| e.site == site);
    Side {
        entities: here.map(|e| (e.kind, e.value.as_str(), e.role.as_str())).collect(),
        site,
        first: candidate.incident.first_seen,
        last: candidate.incident.last_seen,
        stages: stages(&candidate.incident.attack),
        rules: candidate.rules.iter().map(String::as_str).collect(),
    }
}

fn total(why: &[Why]) -> i32 {
    why.iter().map(|w| w.score).sum()
}

/// Why an alert belongs to the other side; none if they have nothing in common or are too far apart.
fn compare(this: &Side<'_>, other: &Side<'_>, policy: &CorrelationPolicy) -> Option<Vec<Why>> {
    if this.site != other.site {
        return None;
    }
    let gap = (this.first - other.last).max(other.first - this.last).max(0);
    let window = policy.window();
    if gap > window {
        return None;
    }
    let mut why = shared(this, other);
    if why.is_empty() {
        return None;
    }
    let near = i64::from(TIME) * (window - gap) / window.max(1);
    let text = if gap == 0 { "at the same time".to_owned() } else { format!("{} apart", span(gap)) };
    why.push(Why { factor: "time".into(), text, score: near as i32 });
    why.extend(progress(&this.stages, &other.stages));
    if this.rules.iter().any(|rule| other.rules.contains(rule)) {
        why.push(Why { factor: "rule".into(), text: "raised by the same rule".into(), score: RULE });
    }
    Some(why)
}

/// Reasons of entities in common: the strongest in full, the others together.
fn shared(this: &Side<'_>, other: &Side<'_>) -> Vec<Why> {
    let attacks = |role: &str| matches!(role, "subject" | "source");
    let mut found: Vec<Why> = Vec::new();
    for (kind, value, role) in &this.entities {
        for (_, _, theirs) in other.entities.iter().filter(|(k, v, _)| k == kind && v == value) {
            let (score, text) = match (attacks(role), attacks(theirs), *role == "target", *theirs == "target") {
                (true, true, ..) => (SUBJECT, format!("the same {kind} {value}")),
                (true, _, _, true) => (TURNED, format!("{kind} {value}, a target before, is active now")),
                (_, true, true, _) => (TURNED, format!("{kind} {value}, active in the other, is a target here")),
                (_, _, true, true) => (TARGET, format!("the same target {value}")),
                _ => (OTHER, format!("the same {kind} {value}")),
            };
            found.push(Why { factor: "entity".into(), text, score });
        }
    }
    found.sort_by_key(|why| std::cmp::Reverse(why.score));
    found.dedup_by(|a, b| a.text == b.text);
    let mut left = MORE_MAX;
    for why in found.iter_mut().skip(1) {
        why.score = (why.score / 2).min(left);
        left -= why.score;
    }
    found.retain(|why| why.score > 0);
    found
}

/// A reason of stages: an attack that goes on tells one story.
fn progress(this: &[usize], other: &[usize]) -> Option<Why> {
    let (mine, theirs) = (this.last()?, other.last()?);
    let name = |stage: &usize| TACTICS.get(*stage).map_or("", |t| t.name);
    let (score, text) = match mine.cmp(theirs) {
        std::cmp::Ordering::Greater => (STAGE[0], format!("a later stage: {} after {}", name(mine), name(theirs))),
        std::cmp::Ordering::Equal => (STAGE[1], format!("the same stage: {}", name(mine))),
        std::cmp::Ordering::Less => (STAGE[2], format!("an earlier stage: {} before {}", name(mine), name(theirs))),
    };
    Some(Why { factor: "stage".into(), text, score })
}

/// A length of time as people say it.
fn span(micros: i64) -> String {
    match micros / Micros::SECOND {
        s if s < 120 => format!("{s} s"),
        s if s < 7_200 => format!("{} min", s / 60),
        s => format!("{} h", s / 3_600),
    }
}

fn title(worst: &Alert, reached: &[usize]) -> String {
    let name = |stage: Option<&usize>| stage.and_then(|s| TACTICS.get(*s)).map_or("", |t| t.name);
    let text = if reached.len() > 1 {
        format!("{} to {}: {}", name(reached.first()), name(reached.last()), worst.entity)
    } else {
        format!("{}: {}", worst.rule.title, worst.entity)
    };
    text.chars().take(TITLE_MAX).collect()
}

/// What sort of incident it is: what its worst alert says, else the last stage.
fn kind(worst: &Alert, reached: &[usize]) -> IncidentKind {
    let technique = |wanted: &str| worst.rule.attack.iter().any(|tag| tag.to_lowercase().starts_with(wanted));
    if technique("t1110") {
        return IncidentKind::BruteForce;
    }
    if technique("t1498") || technique("t1499") {
        return IncidentKind::DenialOfService;
    }
    match reached.last().and_then(|s| TACTICS.get(*s)).map(|t| t.id) {
        Some("reconnaissance" | "discovery") => IncidentKind::Reconnaissance,
        Some("credential_access") => IncidentKind::BruteForce,
        Some("execution" | "persistence" | "defense_evasion" | "privilege_escalation") => IncidentKind::Malware,
        Some("command_and_control") => IncidentKind::CommandAndControl,
        Some("exfiltration" | "collection") => IncidentKind::Exfiltration,
        _ => IncidentKind::General,
    }
}

#[cfg(test)]
pub(crate) mod tests;
