//! `guardian incidents`: what belongs together, who works on it, and how it ends.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use guardian_model::Severity;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::Global;
use crate::output::{self, Format, Table, visible};
use crate::remote::{Remote, block_on};

const EXAMPLES: &str = "\
  guardian incidents                                     what is open, newest first
  guardian incidents show 7                              everything about number 7
  guardian incidents create --title 'Phishing wave' --alert 0192f0c1-… --owner me
  guardian incidents set 7 --status contained
  guardian incidents set 7 --status closed --verdict true_positive --resolution 'rebuilt the machine'
  guardian incidents comment 7 '@bob please look at the proxy'
  guardian incidents merge 7 8 9
  guardian incidents report 7 > report.md
  guardian incidents report 7 --format pdf --language de > report.pdf";

/// List incidents and work on them.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Incidents {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List incidents
    List(List),
    /// Show one incident: where it stands, why its alerts belong together, what is to be done, what happened
    Show {
        /// Number or id
        incident: String,
    },
    /// Make an incident
    Create(Create),
    /// Change an incident
    Set(Set),
    /// Comment on an incident
    Comment {
        /// Number or id
        incident: String,
        /// Markdown; `@name` mentions somebody
        text: String,
    },
    /// Add alerts to an incident
    Add {
        /// Number or id
        incident: String,
        /// Ids of alerts
        #[arg(required = true)]
        alerts: Vec<String>,
    },
    /// Add a file as evidence
    Attach {
        /// Number or id
        incident: String,
        /// The file
        file: PathBuf,
        /// What it is
        #[arg(long, default_value = "")]
        description: String,
    },
    /// Merge other incidents into one; nothing is lost, and it can be undone
    Merge {
        /// Number or id of the one that stays
        incident: String,
        /// Numbers or ids of those that become part of it
        #[arg(required = true)]
        from: Vec<String>,
    },
    /// Write the post-incident report: Markdown, JSON (also with `--output json`) or PDF
    Report {
        /// Number or id
        incident: String,
        /// markdown, json or pdf; a PDF goes to a file or a pipe
        #[arg(long, value_name = "FORMAT")]
        format: Option<String>,
        /// Language of a PDF: en or de
        #[arg(long, value_name = "LANGUAGE")]
        language: Option<String>,
    },
    /// Tell each change of an incident as it comes
    Follow,
}

#[derive(Args, Debug, Default)]
struct List {
    /// Closed and resolved ones, too
    #[arg(long)]
    all: bool,
    /// Only incidents at least this bad: informational, low, medium, high, critical
    #[arg(long, value_name = "LEVEL")]
    severity: Option<Severity>,
    /// Only those of this owner: a user id or `none`
    #[arg(long)]
    owner: Option<String>,
    /// Only those about an entity that contains this text
    #[arg(long)]
    entity: Option<String>,
    /// Only those whose title, summary or resolution contains this text
    #[arg(long)]
    search: Option<String>,
    /// Most incidents to list
    #[arg(long, short = 'n', default_value_t = 50)]
    limit: u32,
}

#[derive(Args, Debug)]
struct Create {
    /// What to call it [default: the worst alert's title]
    #[arg(long, default_value = "")]
    title: String,
    /// How bad [default: as the worst alert, or medium]
    #[arg(long, value_name = "LEVEL")]
    severity: Option<Severity>,
    /// An alert that it begins with; may be repeated
    #[arg(long = "alert", value_name = "ID")]
    alerts: Vec<String>,
    /// Who leads the work: a user id
    #[arg(long)]
    owner: Option<String>,
    /// A word to find it by; may be repeated
    #[arg(long = "tag")]
    tags: Vec<String>,
    /// Template whose tasks it begins with
    #[arg(long, value_name = "ID")]
    template: Option<String>,
}

#[derive(Args, Debug)]
struct Set {
    /// Number or id
    incident: String,
    /// Where it stands: triaged, contained, resolved, closed or reopened
    #[arg(long)]
    status: Option<String>,
    /// What it turned out to be; needed to resolve or close it
    #[arg(long, value_parser = ["true_positive", "false_positive", "benign", "duplicate"])]
    verdict: Option<String>,
    /// How it ended; needed to resolve or close it
    #[arg(long)]
    resolution: Option<String>,
    /// What to call it
    #[arg(long)]
    title: Option<String>,
    /// How bad
    #[arg(long, value_name = "LEVEL")]
    severity: Option<Severity>,
    /// Who leads the work: a user id, or `none`
    #[arg(long)]
    owner: Option<String>,
}

impl Incidents {
    pub(crate) fn run(self, global: &Global) -> Result<ExitCode> {
        let remote = Remote::require(global)?;
        let format = global.output;
        block_on(async {
            match self.action.unwrap_or_else(|| Action::List(List { limit: 50, ..List::default() })) {
                Action::List(which) => list(&remote, format, &which).await,
                Action::Show { incident } => show(&remote, format, &incident).await,
                Action::Create(new) => {
                    let body = json!({
                        "title": new.title, "severity": new.severity.map(|s| s.to_string()), "alerts": new.alerts,
                        "owner": new.owner, "tags": new.tags, "template": new.template,
                    });
                    tell(&remote.json(remote.request(Method::POST, "/incidents").json(&body)).await?, format)
                }
                Action::Set(change) => set(&remote, format, &change).await,
                Action::Comment { incident, text } => {
                    let path = format!("/incidents/{incident}/comments");
                    remote.json(remote.request(Method::POST, &path).json(&json!({"text": text}))).await?;
                    show(&remote, format, &incident).await
                }
                Action::Add { incident, alerts } => {
                    let path = format!("/incidents/{incident}/alerts");
                    let body = json!({"alerts": alerts});
                    tell(&remote.json(remote.request(Method::POST, &path).json(&body)).await?, format)
                }
                Action::Attach { incident, file, description } => {
                    attach(&remote, format, &incident, &file, &description).await
                }
                Action::Merge { incident, from } => merge(&remote, format, &incident, &from).await,
                Action::Report { incident, format: Some(kind), language } if kind == "pdf" => {
                    paper(&remote, &incident, language.as_deref().unwrap_or("en")).await
                }
                Action::Report { incident, format: kind, .. } => {
                    let kind = kind.unwrap_or_else(|| if format == Format::Table { "markdown" } else { "json" }.into());
                    report(&remote, &kind, &incident).await
                }
                Action::Follow => follow(&remote, format).await,
            }
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

fn field<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn items(answer: &Value) -> &[Value] {
    answer.get("items").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

async fn list(remote: &Remote, format: Format, which: &List) -> Result<()> {
    let mut query = vec![("limit", which.limit.to_string())];
    query.extend((!which.all).then(|| ("status", "open".to_owned())));
    query.extend(which.severity.map(|s| ("severity_min", s.to_string())));
    query.extend(which.owner.clone().map(|o| ("owner", o)));
    query.extend(which.entity.clone().map(|e| ("entity", e)));
    query.extend(which.search.clone().map(|s| ("search", s)));
    let answer = remote.json(remote.request(Method::GET, "/incidents").query(&query)).await?;
    let mut table =
        Table::new(["number", "severity", "status", "title", "owner", "alerts", "deadline", "last_seen", "id"]);
    for one in items(&answer) {
        let get = |pointer: &str| one.pointer(pointer).cloned().unwrap_or(Value::Null);
        table.push(vec![
            get("/number"),
            get("/severity"),
            get("/status"),
            get("/title"),
            get("/owner/name"),
            get("/counts/alerts"),
            json!(deadline(one)),
            get("/last_seen"),
            get("/id"),
        ]);
    }
    output::print(&table, format)?;
    if format == Format::Table && table.rows.is_empty() {
        output::note("no incidents; `guardian alerts` shows what was found");
    }
    Ok(())
}

/// The worst of an incident's clocks, in a word or two.
fn deadline(incident: &Value) -> String {
    let clock = |name: &str| incident.pointer(&format!("/sla/{name}/state")).and_then(Value::as_str);
    for wanted in ["breached", "warning"] {
        for name in ["acknowledge", "contain", "resolve"] {
            if clock(name) == Some(wanted) {
                return format!("{name} {wanted}");
            }
        }
    }
    String::new()
}

fn tell(incident: &Value, format: Format) -> Result<()> {
    if format != Format::Table {
        return Ok(output::line(&serde_json::to_string_pretty(incident)?)?);
    }
    Ok(output::line(&headline(incident))?)
}

/// One incident in a line or two.
fn headline(incident: &Value) -> String {
    let number = incident.get("number").and_then(Value::as_i64).unwrap_or_default();
    let count = |name: &str| incident.pointer(&format!("/counts/{name}")).and_then(Value::as_u64).unwrap_or_default();
    let owner = incident.pointer("/owner/name").and_then(Value::as_str).unwrap_or("nobody");
    format!(
        "#{number} {}  {}  {}\n   {} alerts · {} of {} tasks · owner {} · id {}",
        field(incident, "severity").to_uppercase(),
        field(incident, "status"),
        visible(field(incident, "title")),
        count("alerts"),
        count("tasks_done"),
        count("tasks"),
        visible(owner),
        field(incident, "id"),
    )
}

async fn show(remote: &Remote, format: Format, id: &str) -> Result<()> {
    let get = |path: &str| remote.json(remote.request(Method::GET, &format!("/incidents/{id}{path}")));
    let mut incident = get("").await?;
    let parts = [("alerts", "/alerts"), ("tasks", "/tasks"), ("entities", "/entities"), ("timeline", "/timeline")];
    let mut found = Map::new();
    for (name, path) in parts {
        let answer = get(path).await?;
        found.insert(name.to_owned(), answer.get("items").cloned().unwrap_or_default());
    }
    if format != Format::Table {
        if let Some(object) = incident.as_object_mut() {
            object.extend(found);
        }
        return Ok(output::line(&serde_json::to_string_pretty(&incident)?)?);
    }
    output::line(&headline(&incident))?;
    let rows = |name: &str| found.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    section("\nWhy these alerts belong together", &["severity", "title", "entity", "why"], &rows("alerts"), |a| {
        let why = a.get("why").and_then(Value::as_array).cloned().unwrap_or_default();
        let why: Vec<&str> = why.iter().map(|w| field(w, "text")).collect();
        let get = |key: &str| a.pointer(&format!("/alert/{key}")).cloned().unwrap_or_default();
        vec![get("severity"), get("title"), get("entity"), json!(why.join("; "))]
    })?;
    let plain = |keys: &'static [&'static str]| {
        move |row: &Value| keys.iter().map(|k| row.get(*k).cloned().unwrap_or_default()).collect::<Vec<_>>()
    };
    const TASK: &[&str] = &["status", "phase", "title", "due"];
    const ENTITY: &[&str] = &["kind", "value", "role", "alerts"];
    const ENTRY: &[&str] = &["event_time", "kind", "author", "text"];
    section("\nTasks", TASK, &rows("tasks"), plain(TASK))?;
    section("\nEntities", ENTITY, &rows("entities"), plain(ENTITY))?;
    section("\nTimeline", ENTRY, &rows("timeline"), plain(ENTRY))
}

fn section(title: &str, columns: &[&str], rows: &[Value], cells: impl Fn(&Value) -> Vec<Value>) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    output::line(title)?;
    let mut table = Table::new(columns.iter().copied());
    rows.iter().for_each(|row| table.push(cells(row)));
    Ok(output::print(&table, Format::Table)?)
}

async fn set(remote: &Remote, format: Format, change: &Set) -> Result<()> {
    let path = format!("/incidents/{}", change.incident);
    let now = remote.json(remote.request(Method::GET, &path)).await?;
    let mut body = Map::new();
    body.insert("version".into(), now.get("version").cloned().unwrap_or_default());
    let texts = [
        ("status", change.status.clone()),
        ("verdict", change.verdict.clone()),
        ("resolution", change.resolution.clone()),
        ("title", change.title.clone()),
        ("severity", change.severity.map(|s| s.to_string())),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            body.insert(name.into(), text.into());
        }
    }
    if let Some(owner) = &change.owner {
        body.insert("owner".into(), if owner == "none" { Value::Null } else { json!(owner) });
    }
    tell(&remote.json(remote.request(Method::PATCH, &path).json(&body)).await?, format)
}

async fn attach(remote: &Remote, format: Format, id: &str, file: &std::path::Path, description: &str) -> Result<()> {
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let name = file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let request = remote
        .request(Method::POST, &format!("/incidents/{id}/evidence"))
        .query(&[("name", name.as_str()), ("description", description)])
        .header("content-type", "application/octet-stream")
        .body(bytes);
    let stored = remote.json(request).await?;
    if format != Format::Table {
        return Ok(output::line(&serde_json::to_string_pretty(&stored)?)?);
    }
    Ok(output::line(&format!("{}  SHA-256 {}", visible(&name), field(&stored, "sha256")))?)
}

async fn merge(remote: &Remote, format: Format, id: &str, from: &[String]) -> Result<()> {
    let get = |id: &str| remote.json(remote.request(Method::GET, &format!("/incidents/{id}")));
    let target = get(id).await?;
    let mut sources = Vec::new();
    for one in from {
        sources.push(field(&get(one).await?, "id").to_owned());
    }
    let body = json!({"version": target.get("version"), "from": sources});
    let request = remote.request(Method::POST, &format!("/incidents/{id}/merge")).json(&body);
    tell(&remote.json(request).await?, format)
}

async fn report(remote: &Remote, kind: &str, id: &str) -> Result<()> {
    let path = format!("/incidents/{id}/report");
    let request = remote.request(Method::GET, &path).query(&[("format", kind)]);
    if kind == "json" {
        let report = remote.json(request).await?;
        return Ok(output::line(&serde_json::to_string_pretty(&report)?)?);
    }
    Ok(output::line(remote.text(request).await?.trim_end())?)
}

/// Writes the report as PDF to a file or a pipe.
async fn paper(remote: &Remote, id: &str, language: &str) -> Result<()> {
    if std::io::stdout().is_terminal() {
        bail!("a PDF is nothing for a terminal: send it to a file, such as `> report.pdf`");
    }
    let request = remote.request(Method::GET, &format!("/incidents/{id}/report"));
    let bytes = remote.bytes(request.query(&[("format", "pdf"), ("language", language)])).await?;
    Ok(output::bytes(&bytes)?)
}

async fn follow(remote: &Remote, format: Format) -> Result<()> {
    output::note("following incidents; Ctrl-C ends");
    remote
        .stream("/stream?topics=incidents", |message| {
            match message.get("incident").filter(|i| i.is_object()) {
                Some(incident) if format == Format::Table => output::line(&headline(incident))?,
                Some(_) => output::line(&message.to_string())?,
                None => {}
            }
            Ok(true)
        })
        .await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{deadline, headline};

    #[test]
    fn an_incident_reads_in_two_lines() {
        let incident = json!({
            "number": 7, "severity": "high", "status": "new", "title": "Scan\u{1b}[2J", "id": "0192",
            "owner": {"name": "Ann"}, "counts": {"alerts": 3, "tasks": 4, "tasks_done": 1},
            "sla": {"acknowledge": {"state": "met"}, "contain": {"state": "warning"}, "resolve": {"state": "running"}},
        });
        assert_eq!(
            headline(&incident),
            "#7 HIGH  new  Scan\u{fffd}[2J\n   3 alerts · 1 of 4 tasks · owner Ann · id 0192"
        );
        assert_eq!(deadline(&incident), "contain warning");
    }
}
