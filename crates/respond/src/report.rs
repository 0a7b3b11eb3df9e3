//! The post-incident report: everything about an incident in one document, as JSON or as Markdown. Pure: what is known
//! goes in, a document comes out.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use guardian_catalog::{
    EntryKind, Evidence, Incident, IncidentAlert, IncidentEntity, IncidentEntry, IncidentTask, SlaClock,
};
use guardian_model::{Micros, UserId};
use serde::Serialize;

use crate::attack::{stage_ids, stages};
use crate::sla::{self, SlaPolicy};

/// What a report is made of.
pub struct Sources<'a> {
    /// The incident.
    pub incident: &'a Incident,
    /// Its alerts.
    pub alerts: &'a [IncidentAlert],
    /// Its timeline, oldest first.
    pub timeline: &'a [IncidentEntry],
    /// What it is about.
    pub entities: &'a [IncidentEntity],
    /// What was to be done.
    pub tasks: &'a [IncidentTask],
    /// Its files.
    pub evidence: &'a [Evidence],
    /// Names of accounts.
    pub names: &'a BTreeMap<UserId, String>,
    /// The deadlines that hold.
    pub policy: &'a SlaPolicy,
    /// When the report is made.
    pub now: Micros,
    /// Who makes it.
    pub author: &'a str,
}

/// A post-incident report.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Number of the incident.
    pub number: i64,
    /// What it is called.
    pub title: String,
    /// When the report was made, RFC 3339.
    pub made: String,
    /// By whom.
    pub author: String,
    /// Names and values of the overview, in the order to show them.
    pub overview: Vec<(String, String)>,
    /// What is known, in Markdown.
    pub summary: String,
    /// How it ended, in Markdown.
    pub resolution: String,
    /// Deadlines: clock, due, done, how it came out.
    pub deadlines: Vec<[String; 4]>,
    /// Tactics in the order of an attack.
    pub tactics: Vec<String>,
    /// Techniques.
    pub techniques: Vec<String>,
    /// What happened: time, kind, author, text.
    pub timeline: Vec<[String; 4]>,
    /// The alerts: first seen, severity, title, entity, why it belongs here.
    pub alerts: Vec<[String; 5]>,
    /// What it was about: kind, value, part, note.
    pub entities: Vec<[String; 4]>,
    /// What was done: phase, task, status, who.
    pub tasks: Vec<[String; 4]>,
    /// The files: name, size, SHA-256, brought by.
    pub evidence: Vec<[String; 4]>,
}

/// Puts a report together.
pub fn report(from: &Sources<'_>) -> Report {
    let incident = from.incident;
    let time = |t: Option<Micros>| t.map(|t| t.to_string()).unwrap_or_default();
    let deadlines = SlaClock::ALL.iter().map(|clock| {
        let state = sla::state(incident, *clock, from.policy, from.now);
        [clock.to_string(), time(incident.due.of(*clock)), time(incident.done_at(*clock)), state.as_str().to_owned()]
    });
    // Comments are talk; what they led to is on the timeline as what it is.
    let told = from.timeline.iter().filter(|e| e.kind != EntryKind::Comment);
    let because = |a: &IncidentAlert| a.why.iter().map(|w| w.text.as_str()).collect::<Vec<_>>().join("; ");
    Report {
        number: incident.number,
        title: incident.title.clone(),
        made: from.now.to_string(),
        author: from.author.to_owned(),
        overview: overview(from),
        summary: incident.summary.clone(),
        resolution: incident.resolution.clone().unwrap_or_default(),
        deadlines: deadlines.filter(|d| !d[1].is_empty()).collect(),
        tactics: stage_ids(&stages(&incident.attack)).into_iter().map(str::to_owned).collect(),
        techniques: incident
            .attack
            .iter()
            .filter(|t| crate::attack::is_technique(t))
            .map(|t| t.to_uppercase())
            .collect(),
        timeline: told
            .map(|e| [e.event_time.to_string(), e.kind.to_string(), e.author.clone(), e.text.clone()])
            .collect(),
        alerts: from
            .alerts
            .iter()
            .map(|a| {
                let rule = &a.alert.rule;
                [
                    a.alert.first_seen.to_string(),
                    rule.severity.to_string(),
                    rule.title.clone(),
                    a.alert.entity.to_string(),
                    because(a),
                ]
            })
            .collect(),
        entities: from
            .entities
            .iter()
            .map(|e| {
                let note = if e.indicator { format!("indicator. {}", e.note) } else { e.note.clone() };
                [e.kind.to_string(), e.value.clone(), e.role.clone(), note]
            })
            .collect(),
        tasks: from
            .tasks
            .iter()
            .map(|t| {
                let who = t.completed_by.clone().or_else(|| t.assignee.map(|user| name(from, user)));
                [t.phase.clone(), t.title.clone(), t.status.to_string(), who.unwrap_or_default()]
            })
            .collect(),
        evidence: from
            .evidence
            .iter()
            .map(|e| [e.name.clone(), e.size.to_string(), e.sha256.clone(), e.added_by.clone()])
            .collect(),
    }
}

fn name(from: &Sources<'_>, user: UserId) -> String {
    from.names.get(&user).cloned().unwrap_or_else(|| user.to_string())
}

fn overview(from: &Sources<'_>) -> Vec<(String, String)> {
    let i = from.incident;
    let minutes = |t: Option<Micros>| match t {
        Some(t) => format!("{} min", (t - i.created).max(0) / Micros::MINUTE),
        None => "not yet".to_owned(),
    };
    let owner = i.owner.map_or_else(|| "nobody".to_owned(), |user| name(from, user));
    let rows = [
        ("severity", i.severity.to_string()),
        ("kind", i.kind.to_string()),
        ("status", i.status.to_string()),
        ("verdict", i.verdict.map(|v| v.to_string()).unwrap_or_default()),
        ("owner", owner),
        ("tags", i.tags.join(", ")),
        ("first event", i.first_seen.to_string()),
        ("last event", i.last_seen.to_string()),
        ("made", format!("{} by {}", i.created, i.created_by)),
        ("time to acknowledge", minutes(i.done_at(SlaClock::Acknowledge))),
        ("time to contain", minutes(i.done_at(SlaClock::Contain))),
        ("time to resolve", minutes(i.done_at(SlaClock::Resolve))),
        ("replay", i.replay.clone().unwrap_or_default()),
    ];
    rows.into_iter().filter(|(_, v)| !v.is_empty()).map(|(k, v)| (k.to_owned(), v)).collect()
}

impl Report {
    /// The report as Markdown. What came from outside stands in tables as plain text.
    pub fn markdown(&self) -> String {
        let mut out = format!("# Incident {}: {}\n\n", self.number, cell(&self.title));
        // Writing to a string cannot fail.
        writeln!(out, "Report of {} by {}\n", self.made, cell(&self.author)).ok();
        let overview: Vec<[String; 2]> = self.overview.iter().map(|(k, v)| [k.clone(), v.clone()]).collect();
        table(&mut out, "Overview", ["", ""], &overview);
        section(&mut out, "What happened", &self.summary);
        section(&mut out, "How it ended", &self.resolution);
        table(&mut out, "Deadlines", ["clock", "due", "done", "outcome"], &self.deadlines);
        if !self.tactics.is_empty() || !self.techniques.is_empty() {
            let text = format!("{} ({})", self.tactics.join(" \u{2192} "), self.techniques.join(", "));
            section(&mut out, "ATT&CK", &text);
        }
        table(&mut out, "Timeline", ["time", "kind", "who", "what"], &self.timeline);
        table(&mut out, "Alerts", ["first seen", "severity", "rule", "entity", "why it belongs here"], &self.alerts);
        table(&mut out, "Entities", ["kind", "value", "part", "note"], &self.entities);
        table(&mut out, "Tasks", ["phase", "task", "status", "who"], &self.tasks);
        table(&mut out, "Evidence", ["name", "bytes", "SHA-256", "brought by"], &self.evidence);
        out
    }
}

fn section(out: &mut String, title: &str, text: &str) {
    if !text.trim().is_empty() {
        writeln!(out, "## {title}\n\n{}\n", text.trim()).ok();
    }
}

fn table<const N: usize>(out: &mut String, title: &str, head: [&str; N], rows: &[[String; N]]) {
    if rows.is_empty() {
        return;
    }
    writeln!(out, "## {title}\n").ok();
    writeln!(out, "| {} |", head.join(" | ")).ok();
    writeln!(out, "|{}", "---|".repeat(N)).ok();
    for row in rows {
        let cells: Vec<String> = row.iter().map(|text| cell(text)).collect();
        writeln!(out, "| {} |", cells.join(" | ")).ok();
    }
    out.push('\n');
}

/// Text that can break neither a table nor the document.
fn cell(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.trim().chars() {
        match c {
            '\n' | '\r' => safe.push(' '),
            '|' | '\\' | '`' | '<' | '>' | '[' | ']' | '*' | '_' | '#' => {
                safe.push('\\');
                safe.push(c);
            }
            c if c.is_control() => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use guardian_model::{Micros, Severity};

    use super::{Sources, cell, report};
    use crate::correlate::tests::incident;
    use crate::sla::SlaPolicy;

    #[test]
    fn a_report_reads_as_a_document() {
        let start = Micros::from_secs(1_767_225_600);
        let mut one = incident(7, start);
        one.title = "Scan | of everything".into();
        one.severity = Severity::High;
        one.attack = vec!["t1046".into(), "discovery".into()];
        one.triaged_at = Some(start + 9 * Micros::MINUTE);
        one.due = SlaPolicy::default().due(Severity::High, start);
        one.summary = "Somebody looked **everywhere**.".into();
        let names = BTreeMap::new();
        let sources = Sources {
            incident: &one,
            alerts: &[],
            timeline: &[],
            entities: &[],
            tasks: &[],
            evidence: &[],
            names: &names,
            policy: &SlaPolicy::default(),
            now: start + Micros::HOUR,
            author: "ann",
        };
        let text = report(&sources).markdown();
        assert!(text.starts_with("# Incident 7: Scan \\| of everything\n"), "{text}");
        assert!(text.contains("| time to acknowledge | 9 min |"), "{text}");
        assert!(text.contains("| acknowledge | 2026-01-01T01:00:00Z | 2026-01-01T00:09:00Z | met |"), "{text}");
        assert!(text.contains("Somebody looked **everywhere**."), "{text}");
        assert!(text.contains("discovery (T1046)"), "{text}");
        assert!(!text.contains("## Tasks"), "empty parts are left out");
    }

    #[test]
    fn cells_cannot_break_out() {
        assert_eq!(cell("a|b\n# c <script>"), "a\\|b \\# c \\<script\\>");
    }
}
