//! `guardian vulnerabilities`: what is wrong with the hosts of the fleet, what to fix first, and what is put up with.

mod settings;

use std::process::ExitCode;

use anyhow::{Result, anyhow, bail};
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::Global;
use crate::output::{self, Format, Table};
use crate::remote::{Remote, block_on};

/// Rows asked for at once.
const PAGE: usize = 1_000;

const EXAMPLES: &str = "\
  guardian vulnerabilities list --exploited           known to be exploited, on any host
  guardian vulnerabilities list --host ID             what is wrong with a host
  guardian vulnerabilities show CVE-2024-3094         what it is, and which hosts have it
  guardian vulnerabilities exposure ID                from where a host is reached, and why
  guardian vulnerabilities settings set --critical-days 7
  guardian vulnerabilities fix-first                  the updates that take the most risk away
  guardian vulnerabilities export --host ID --format sarif > host.sarif";

/// Show what is wrong with hosts, what to fix first, and what is put up with.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Vulnerabilities {
    #[command(subcommand)]
    action: Action,
}

/// Which vulnerabilities.
#[derive(Args, Clone, Debug, Default)]
struct Which {
    /// Of this host, by its id: each vulnerability once, with what is installed
    #[arg(long, value_name = "ID")]
    host: Option<String>,
    /// Of the hosts of this group
    #[arg(long)]
    group: Option<String>,
    /// Of the hosts with this tag
    #[arg(long)]
    tag: Option<String>,
    /// In this package
    #[arg(long)]
    package: Option<String>,
    /// critical, high, medium, low, none, unknown; several with commas between them
    #[arg(long)]
    rating: Option<String>,
    /// open (default), not_running, excepted, fixed, withdrawn; several with commas between them
    #[arg(long)]
    state: Option<String>,
    /// Known to be exploited
    #[arg(long)]
    exploited: bool,
    /// With a version that has the fix
    #[arg(long)]
    fixable: bool,
    /// Beyond the deadline
    #[arg(long)]
    overdue: bool,
    /// Taken away by a restart: a kernel without it is installed
    #[arg(long)]
    restart: bool,
}

impl Which {
    fn query(&self) -> Vec<(&'static str, String)> {
        let texts = [
            ("host", &self.host),
            ("group", &self.group),
            ("tag", &self.tag),
            ("package", &self.package),
            ("rating", &self.rating),
            ("state", &self.state),
        ];
        let flags = [
            ("exploited", self.exploited),
            ("fixable", self.fixable),
            ("overdue", self.overdue),
            ("restart", self.restart),
        ];
        let texts = texts.into_iter().filter_map(|(name, value)| Some((name, value.clone()?)));
        texts.chain(flags.into_iter().filter(|(_, set)| *set).map(|(name, _)| (name, "true".to_owned()))).collect()
    }
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List vulnerabilities, the most pressing first
    List {
        #[command(flatten)]
        which: Which,
        /// Whose name, package or summary contains this text
        #[arg(long)]
        search: Option<String>,
        /// Order: risk, hosts, rating, epss, first_seen, oldest
        #[arg(long)]
        sort: Option<String>,
        /// Most rows to list
        #[arg(short = 'n', long, default_value_t = 100)]
        limit: usize,
    },
    /// Show what is known of a vulnerability, and which hosts have it
    Show {
        /// Its name, such as a CVE name
        name: String,
    },
    /// Show how much there is, and how long it takes to fix
    Summary {
        #[command(flatten)]
        of: Of,
    },
    /// Show what to fix first: the updates that take the most risk away
    FixFirst {
        #[command(flatten)]
        of: Of,
        /// Most rows to list
        #[arg(short = 'n', long, default_value_t = 20)]
        limit: usize,
    },
    /// Show from where a host can be reached, why, and which kernel it runs
    Exposure {
        /// Id of the host
        host: String,
    },
    /// Show and set deadlines, what hosts are worth, and who may approve
    Settings {
        #[command(subcommand)]
        action: Option<settings::Setting>,
    },
    /// Compare groups, or hosts
    Compare {
        /// group or host
        #[arg(long, default_value = "group")]
        by: String,
    },
    /// List, ask for and decide about exceptions
    Exceptions {
        #[command(subcommand)]
        action: Option<Exception>,
    },
    /// Export findings
    Export {
        #[command(flatten)]
        which: Which,
        /// csv, json; pdf, a report of a host, a group, a tag or all hosts; of one host also sarif and cyclonedx
        #[arg(long, default_value = "csv")]
        format: String,
        /// Language of the PDF: en or de
        #[arg(long, default_value = "en")]
        language: String,
    },
}

/// What figures are of.
#[derive(Args, Clone, Debug, Default)]
struct Of {
    /// Of this host, by its id
    #[arg(long, value_name = "ID")]
    host: Option<String>,
    /// Of the hosts of this group
    #[arg(long)]
    group: Option<String>,
    /// Of the hosts with this tag
    #[arg(long)]
    tag: Option<String>,
}

impl Of {
    fn query(&self) -> Vec<(&'static str, String)> {
        let texts = [("host", &self.host), ("group", &self.group), ("tag", &self.tag)];
        texts.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))).collect()
    }
}

#[derive(Debug, Subcommand)]
enum Exception {
    /// Ask for an exception; it holds when somebody has approved it
    Request {
        /// Name of the vulnerability
        vulnerability: String,
        /// Why
        #[arg(long)]
        reason: String,
        /// The last day on which it holds, such as 2030-06-30
        #[arg(long, value_name = "DAY")]
        until: jiff::civil::Date,
        /// Only in this package
        #[arg(long, default_value = "")]
        package: String,
        /// Only on this host, by its id
        #[arg(long, value_name = "ID", conflicts_with_all = ["group", "tag"])]
        host: Option<String>,
        /// Only on the hosts of this group
        #[arg(long, conflicts_with = "tag")]
        group: Option<String>,
        /// Only on the hosts with this tag
        #[arg(long)]
        tag: Option<String>,
        /// Only in this image, by its name
        #[arg(long, value_name = "NAME", conflicts_with_all = ["host", "group", "tag"])]
        image: Option<String>,
    },
    /// Approve an exception that somebody else asked for
    Approve {
        /// Its id
        id: String,
    },
    /// Refuse an exception
    Refuse {
        /// Its id
        id: String,
    },
    /// End an exception before its time
    End {
        /// Its id
        id: String,
    },
}

impl Vulnerabilities {
    pub(crate) fn run(self, global: &Global) -> Result<ExitCode> {
        let remote = Remote::require(global)?;
        match self.action {
            Action::List { which, search, sort, limit } => list(&remote, &which, search, sort, limit, global)?,
            Action::Show { name } => show(&remote, &name, global)?,
            Action::Summary { of } => summary(&remote, &of, global)?,
            Action::FixFirst { of, limit } => fix_first(&remote, &of, limit, global)?,
            Action::Compare { by } => {
                let answer = get(&remote, "/vulnerabilities/compare", &[("by", by)])?;
                let columns = ["name", "hosts", "open", "critical", "exploited", "overdue", "risk"];
                print(&items(&answer), &columns, global)?;
            }
            Action::Exposure { host } => exposure(&remote, &host, global)?,
            Action::Settings { action } => settings::run(&remote, action, global)?,
            Action::Exceptions { action } => exceptions(&remote, action, global)?,
            Action::Export { which, format, language } => export(&remote, &which, &format, &language)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn get(remote: &Remote, path: &str, query: &[(&str, String)]) -> Result<Value> {
    block_on(remote.json(remote.request(Method::GET, path).query(query)))
}

fn items(answer: &Value) -> Vec<Value> {
    answer["items"].as_array().cloned().unwrap_or_default()
}

/// All pages, up to so many rows.
fn pages(
    remote: &Remote,
    path: &str,
    mut query: Vec<(&'static str, String)>,
    limit: usize,
) -> Result<(Vec<Value>, Value)> {
    let mut all: Vec<Value> = Vec::new();
    loop {
        query.push(("limit", PAGE.min(limit - all.len()).max(1).to_string()));
        let answer = get(remote, path, &query)?;
        all.extend(items(&answer));
        match answer["next_cursor"].as_str() {
            Some(cursor) if all.len() < limit => query = vec![("cursor", cursor.to_owned())],
            _ => return Ok((all, answer)),
        }
    }
}

/// A cell: of the row itself, or of what the advisories say.
fn cell(row: &Value, column: &str, format: Format) -> Value {
    let value = if row[column].is_null() { &row["detail"][column] } else { &row[column] };
    match (column, value) {
        ("installed", Value::Array(all)) if format != Format::Json => {
            let shown =
                |p: &Value| format!("{} {}", p["name"].as_str().unwrap_or(""), p["version"].as_str().unwrap_or(""));
            json!(all.iter().map(shown).collect::<Vec<_>>().join(", "))
        }
        (_, Value::Array(all)) if format != Format::Json => {
            json!(all.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "))
        }
        ("risk" | "share", Value::Number(number)) if format == Format::Table => {
            json!(format!("{:.2}", number.as_f64().unwrap_or_default()))
        }
        ("exploited" | "restart", Value::Bool(exploited)) if format == Format::Table => {
            json!(exploited.then_some("yes"))
        }
        _ => value.clone(),
    }
}

fn print(rows: &[Value], columns: &[&str], global: &Global) -> Result<()> {
    let mut table = Table::new(columns.iter().copied());
    for row in rows {
        table.push(columns.iter().map(|column| cell(row, column, global.output)).collect());
    }
    Ok(output::print(&table, global.output)?)
}

fn list(
    remote: &Remote,
    which: &Which,
    search: Option<String>,
    sort: Option<String>,
    limit: usize,
    global: &Global,
) -> Result<()> {
    let mut query = which.query();
    query.extend(search.map(|text| ("search", text)));
    query.extend(sort.map(|order| ("sort", order)));
    let (path, columns) = match which.host {
        Some(_) => (
            "/vulnerabilities/hosts",
            &[
                "vulnerability",
                "risk",
                "rating",
                "exploited",
                "package",
                "installed",
                "fixed_in",
                "state",
                "restart",
                "first_seen",
                "due",
            ][..],
        ),
        None => (
            "/vulnerabilities",
            &[
                "vulnerability",
                "risk",
                "rating",
                "exploited",
                "ecosystem",
                "package",
                "fixed_in",
                "hosts",
                "overdue",
                "first_seen",
            ][..],
        ),
    };
    let (rows, last) = pages(remote, path, query, limit)?;
    if global.output == Format::Json {
        // Every member, not only those that fit on a screen.
        output::line(&serde_json::to_string_pretty(&rows)?)?;
        return Ok(());
    }
    print(&rows, columns, global)?;
    if global.output == Format::Table {
        match last["advisories"].as_str() {
            None => output::note("there are no advisories yet: `guardian vulndb build` makes a store of them"),
            Some(built) => {
                output::note(&format!("{} of {}, by advisories of {built}", rows.len(), last["total"]));
            }
        }
    }
    Ok(())
}

fn show(remote: &Remote, name: &str, global: &Global) -> Result<()> {
    if name.contains(['/', '?', '#']) {
        bail!("`{name}` is no name of a vulnerability");
    }
    let known = get(remote, &format!("/vulnerabilities/advisories/{name}"), &[])?;
    let query = vec![("vulnerability", name.to_owned()), ("state", "open,not_running,excepted".to_owned())];
    let (hosts, _) = pages(remote, "/vulnerabilities/hosts", query, 10 * PAGE)?;
    if global.output == Format::Json {
        let mut all = known;
        all["hosts"] = json!(hosts);
        output::line(&serde_json::to_string_pretty(&all)?)?;
        return Ok(());
    }
    for advisory in known["advisories"].as_array().into_iter().flatten() {
        let text = |name: &str| advisory[name].as_str().unwrap_or_default().to_owned();
        output::note(&format!("{} ({}, {}): {}", text("id"), text("source"), text("rating"), text("summary")));
    }
    if let Some(since) = known["exploited_since"].as_str() {
        output::note(&format!("known to be exploited since {since}"));
    }
    let images: Vec<&str> =
        known["images"].as_array().into_iter().flatten().filter_map(|i| i["name"].as_str()).collect();
    if !images.is_empty() {
        output::note(&format!("images that have it: {}", images.join(", ")));
    }
    print(
        &hosts,
        &["host", "risk", "exposure", "package", "installed", "fixed_in", "state", "restart", "first_seen", "due"],
        global,
    )
}

fn summary(remote: &Remote, of: &Of, global: &Global) -> Result<()> {
    let answer = get(remote, "/vulnerabilities/summary", &of.query())?;
    if global.output == Format::Json {
        output::line(&serde_json::to_string_pretty(&answer)?)?;
        return Ok(());
    }
    let rows = answer["ratings"].as_array().cloned().unwrap_or_default();
    print(&rows, &["rating", "open", "distinct", "overdue", "fixed", "mean_seconds_to_fix"], global)?;
    output::note(&format!(
        "{} of {} hosts have anything open: {} findings, {} exploited, {} with a fix, {} beyond the deadline, {} that a \
         restart takes away; {} in kernels that do not run, {} put up with",
        answer["vulnerable_hosts"],
        answer["hosts"],
        answer["open"],
        answer["exploited"],
        answer["fixable"],
        answer["overdue"],
        answer["restart"],
        answer["not_running"],
        answer["excepted"]
    ));
    Ok(())
}

fn exposure(remote: &Remote, host: &str, global: &Global) -> Result<()> {
    let host: uuid::Uuid = host.parse().map_err(|_| anyhow!("`{host}` is no id of a host"))?;
    let answer = get(remote, &format!("/hosts/{host}/exposure"), &[])?;
    if global.output == Format::Json {
        output::line(&serde_json::to_string_pretty(&answer)?)?;
        return Ok(());
    }
    let rows = answer["reasons"].as_array().cloned().unwrap_or_default();
    print(&rows, &["source", "kind", "exposure", "ports", "more", "detail", "last"], global)?;
    let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
    output::note(&format!("reached from: {}; worth: {}", text("exposure"), text("criticality")));
    if !text("kernel").is_empty() {
        output::note(&format!("kernel that runs: {}", text("kernel")));
    }
    Ok(())
}

fn fix_first(remote: &Remote, of: &Of, limit: usize, global: &Global) -> Result<()> {
    let mut query = of.query();
    query.push(("limit", limit.to_string()));
    let answer = get(remote, "/vulnerabilities/fixes", &query)?;
    let columns = [
        "package",
        "ecosystem",
        "version",
        "hosts",
        "vulnerabilities",
        "exploited",
        "overdue",
        "restart",
        "worst",
        "risk",
        "share",
    ];
    print(&items(&answer), &columns, global)
}

fn exceptions(remote: &Remote, action: Option<Exception>, global: &Global) -> Result<()> {
    let columns = [
        "id",
        "vulnerability",
        "package",
        "reach",
        "reach_name",
        "state",
        "holds",
        "expires",
        "author",
        "decided_by",
        "reason",
    ];
    let post = |path: &str, body: Value| block_on(remote.json(remote.request(Method::POST, path).json(&body)));
    let decide = |id: &str, what: &str| post(&format!("/vulnerability-exceptions/{id}/{what}"), json!({}));
    let one = match action {
        None => {
            let all = items(&get(remote, "/vulnerability-exceptions", &[])?);
            return print(&all, &columns, global);
        }
        Some(Exception::Approve { id }) => decide(&id, "approve")?,
        Some(Exception::Refuse { id }) => decide(&id, "refuse")?,
        Some(Exception::End { id }) => decide(&id, "end")?,
        Some(Exception::Request { vulnerability, reason, until, package, host, group, tag, image }) => {
            let reaches = [("host", host), ("group", group), ("tag", tag), ("image", image)];
            let (reach, name) = reaches
                .into_iter()
                .find_map(|(reach, name)| Some((reach, name?)))
                .unwrap_or_else(|| ("all", String::new()));
            let body = json!({
                "vulnerability": vulnerability,
                "package": package,
                "reach": reach,
                "reach_name": name,
                "reason": reason,
                "expires": format!("{until}T23:59:59Z"),
            });
            post("/vulnerability-exceptions", body)?
        }
    };
    print(&[one], &columns, global)
}

fn export(remote: &Remote, which: &Which, format: &str, language: &str) -> Result<()> {
    let (path, query) = match (format, &which.host) {
        ("pdf", _) => {
            let of = Of { host: which.host.clone(), group: which.group.clone(), tag: which.tag.clone() };
            if which.query().len() > of.query().len() {
                bail!("--format pdf is of a host, a group, a tag or all hosts");
            }
            let request = remote.request(Method::GET, "/reports/vulnerabilities").query(&of.query());
            return Ok(output::bytes(&block_on(remote.bytes(request.query(&[("language", language)])))?)?);
        }
        ("csv" | "json", _) => ("/vulnerabilities/export".to_owned(), which.query()),
        ("sarif" | "cyclonedx", Some(host)) => (format!("/hosts/{host}/vulnerabilities/export"), Vec::new()),
        ("sarif" | "cyclonedx", None) => bail!("--format {format} is of one host: name it by --host"),
        _ => bail!("--format is csv, json, pdf, sarif or cyclonedx"),
    };
    let request = remote.request(Method::GET, &path).query(&query).query(&[("format", format)]);
    Ok(output::bytes(&block_on(remote.bytes(request))?)?)
}
