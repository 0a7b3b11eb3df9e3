//! `guardian images`: images of containers on the server, which judges them with the fleet.

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use guardian_vuln::risk::{Criticality, Exposure};
use guardian_vuln::sbom::{self, Form};
use guardian_vuln::scan::Scanned;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Global;
use super::scan::{Target, about};
use crate::output::{self, Format, Table};
use crate::remote::{Remote, block_on};

/// Rows asked for at once.
const PAGE: usize = 1_000;
/// Largest bill of materials that the server takes.
const BILL_BYTES_MAX: usize = 32 << 20;

const EXAMPLES: &str = "\
  guardian images send registry.example/team/app:1.2     look into an image of a registry and send what is in it
  guardian images send image.tar --name registry.example/team/app:1.2
  guardian images send app.cdx.json --exposure internet --criticality high
  guardian images list --exploited                       images with anything that is known to be exploited
  guardian images show registry.example/team/app:1.2     what is wrong with it, and which layer brought it
  guardian images show registry.example/team/app:1.2 --own --fixable
  guardian images export registry.example/team/app:1.2 --format sarif > app.sarif
  guardian images export registry.example/team/app:1.2 --format pdf --language de > app.pdf

What is sent again under the same name replaces what was in it: findings that are gone are fixed, those that come back \
are reopened. The server judges images anew whenever its advisories change. Only the bill of materials is sent, never \
the image.";

/// Keep images of containers on the server: send, list, show, export and delete them.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Images {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Send what is in an image, so that the server judges it from now on
    Send {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        as_what: AsWhat,
        /// From where it is reached: internet, network, local or unknown
        #[arg(long, value_name = "EXPOSURE", default_value = "unknown")]
        exposure: Exposure,
        /// What it is worth: low, medium or high
        #[arg(long, value_name = "CRITICALITY", default_value = "medium")]
        criticality: Criticality,
    },
    /// List images, the one with the most risk first
    List {
        /// Whose name or digest contains this text
        #[arg(long)]
        search: Option<String>,
        /// Whose packages it has, such as debian:12
        #[arg(long)]
        distribution: Option<String>,
        /// With anything open that is rated critical, high, medium or low
        #[arg(long)]
        rating: Option<String>,
        /// With anything open that is known to be exploited
        #[arg(long)]
        exploited: bool,
        /// With anything open that has a fix
        #[arg(long)]
        fixable: bool,
        /// Running on any host
        #[arg(long)]
        running: bool,
        /// Order: risk, open, name, sent, hosts
        #[arg(long)]
        sort: Option<String>,
        /// Most rows to list
        #[arg(short = 'n', long, default_value_t = 100)]
        limit: usize,
    },
    /// Show what is wrong with an image: which layer brought it, and what fixes it
    Show {
        /// Its name or id
        image: String,
        /// Only what its own layers brought
        #[arg(long, conflicts_with = "base")]
        own: bool,
        /// Only what the layers brought that it was built upon
        #[arg(long)]
        base: bool,
        /// open (default), excepted, fixed, withdrawn; several with commas between them
        #[arg(long)]
        state: Option<String>,
        /// critical, high, medium, low, none, unknown; several with commas between them
        #[arg(long)]
        rating: Option<String>,
        /// Known to be exploited
        #[arg(long)]
        exploited: bool,
        /// With a version that has the fix
        #[arg(long)]
        fixable: bool,
        /// Show its layers instead
        #[arg(long, conflicts_with_all = ["history", "fixes"])]
        layers: bool,
        /// Show the digests that it had instead
        #[arg(long, conflicts_with = "fixes")]
        history: bool,
        /// Show what to fix first instead
        #[arg(long)]
        fixes: bool,
        /// Most rows to list
        #[arg(short = 'n', long, default_value_t = 200)]
        limit: usize,
    },
    /// Write what is wrong with an image: CSV, JSON, SARIF, CycloneDX, or a report as PDF
    Export {
        /// Its name or id
        image: String,
        /// Form: csv, json, sarif, cyclonedx or pdf
        #[arg(long, default_value = "csv")]
        format: String,
        /// For csv and json: open (default), excepted, fixed, withdrawn; several with commas between them
        #[arg(long)]
        state: Option<String>,
        /// Language of the PDF: en or de
        #[arg(long, default_value = "en")]
        language: String,
    },
    /// Forget an image, and what is wrong with it
    Delete {
        /// Its name or id
        image: String,
    },
}

/// As what an image is sent.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct AsWhat {
    /// Name under which it is sent, such as registry.example/team/app:1.2 [default: what it is called itself]
    #[arg(long, value_name = "NAME")]
    pub(super) name: Option<String>,
    /// Digest of its manifest under which it is sent [default: what it says itself]
    #[arg(long, value_name = "DIGEST")]
    pub(super) digest: Option<String>,
}

impl Images {
    pub(crate) fn run(self, global: &Global) -> Result<ExitCode> {
        match self.action {
            Action::Send { target, as_what, exposure, criticality } => {
                let remote = Remote::require(global)?;
                let scanned = target.scan()?;
                if scanned.layers.is_empty() && target.path().is_dir() {
                    bail!(
                        "{} is no image and no bill of materials: name an image of a registry, an archive, a layout of OCI or \
                         a bill",
                        target.path().display()
                    );
                }
                scanned.issues.iter().for_each(|issue| output::note(issue));
                let sent = send(&remote, &scanned, &as_what, (exposure, criticality))?;
                let columns = ["id", "name", "digest", "distribution", "architecture", "layers", "packages", "unknown"];
                print(&[sent], &columns, global)?;
                Ok(ExitCode::SUCCESS)
            }
            action => action.ask(&Remote::require(global)?, global),
        }
    }
}

const fn exposure_word(exposure: Exposure) -> &'static str {
    match exposure {
        Exposure::Internet => "internet",
        Exposure::Network => "network",
        Exposure::Local => "local",
        Exposure::Unknown => "unknown",
    }
}

const fn criticality_word(criticality: Criticality) -> &'static str {
    match criticality {
        Criticality::High => "high",
        Criticality::Medium => "medium",
        Criticality::Low => "low",
    }
}

/// Sends what is in an image.
pub(super) fn send(
    remote: &Remote,
    scanned: &Scanned,
    as_what: &AsWhat,
    asset: (Exposure, Criticality),
) -> Result<Value> {
    let bill = sbom::write(Form::CycloneDxJson, scanned, &about());
    if bill.len() > BILL_BYTES_MAX {
        bail!(
            "what is in it makes a bill of materials of {} MiB: the server takes at most {} MiB",
            bill.len() >> 20,
            BILL_BYTES_MAX >> 20
        );
    }
    let mut query =
        vec![("exposure", exposure_word(asset.0).to_owned()), ("criticality", criticality_word(asset.1).to_owned())];
    query.extend(as_what.name.clone().map(|name| ("name", name)));
    query.extend(as_what.digest.clone().map(|digest| ("digest", digest)));
    let request = remote.request(Method::POST, "/images").query(&query).header("content-type", "application/json");
    let sent = block_on(remote.json(request.body(bill)))?;
    output::note(&format!(
        "sent to {} as {}: it is judged within seconds; `guardian images show {}` says what is wrong with it",
        remote.url(),
        sent["name"].as_str().unwrap_or_default(),
        sent["name"].as_str().unwrap_or_default()
    ));
    Ok(sent)
}

fn get(remote: &Remote, path: &str, query: &[(&str, String)]) -> Result<Value> {
    block_on(remote.json(remote.request(Method::GET, path).query(query)))
}

/// All pages, up to so many rows.
fn pages(remote: &Remote, path: &str, mut query: Vec<(&str, String)>, limit: usize) -> Result<(Vec<Value>, Value)> {
    let mut all: Vec<Value> = Vec::new();
    loop {
        query.push(("limit", PAGE.min(limit - all.len()).max(1).to_string()));
        let answer = get(remote, path, &query)?;
        all.extend(answer["items"].as_array().cloned().unwrap_or_default());
        match answer["next_cursor"].as_str() {
            Some(cursor) if all.len() < limit => query = vec![("cursor", cursor.to_owned())],
            _ => return Ok((all, answer)),
        }
    }
}

/// The id of an image that is named so.
fn id_of(remote: &Remote, image: &str) -> Result<Uuid> {
    if let Ok(id) = image.parse() {
        return Ok(id);
    }
    let (all, _) = pages(remote, "/images", vec![("search", image.to_owned())], 10 * PAGE)?;
    if let Some(found) = all.iter().find(|found| found["name"] == image) {
        return found["id"].as_str().and_then(|id| id.parse().ok()).context("the server names an image without an id");
    }
    let names: Vec<&str> = all.iter().filter_map(|found| found["name"].as_str()).take(5).collect();
    if names.is_empty() {
        bail!(
            "the server has no image `{image}`: `guardian images list` shows what it has, `guardian images send` sends one"
        );
    }
    bail!("the server has no image `{image}`; near it are {}", names.join(", "))
}

/// A cell: of the row itself, or of what the advisories say.
fn cell(row: &Value, column: &str, format: Format) -> Value {
    let value = if row[column].is_null() { &row["detail"][column] } else { &row[column] };
    let texts =
        |all: &[Value], text: &dyn Fn(&Value) -> String| json!(all.iter().map(text).collect::<Vec<_>>().join(", "));
    let member = |of: &Value, name: &str| of[name].as_str().unwrap_or_default().to_owned();
    match (column, value) {
        ("installed", Value::Array(all)) if format != Format::Json => {
            texts(all, &|package| format!("{} {}", member(package, "name"), member(package, "version")))
        }
        ("hosts", Value::Array(all)) if format != Format::Json => texts(all, &|host| member(host, "name")),
        (_, Value::Array(all)) if format != Format::Json => {
            texts(all, &|one| one.as_str().unwrap_or_default().to_owned())
        }
        ("risk" | "share", Value::Number(number)) if format == Format::Table => {
            json!(format!("{:.2}", number.as_f64().unwrap_or_default()))
        }
        ("exploited" | "base", Value::Bool(set)) if format == Format::Table => json!(set.then_some("yes")),
        _ => value.clone(),
    }
}

fn print(rows: &[Value], columns: &[&str], global: &Global) -> Result<()> {
    if global.output == Format::Json {
        // Every member, not only those that fit on a screen.
        return Ok(output::line(&serde_json::to_string_pretty(&rows)?)?);
    }
    let mut table = Table::new(columns.iter().copied());
    for row in rows {
        table.push(columns.iter().map(|column| cell(row, column, global.output)).collect());
    }
    Ok(output::print(&table, global.output)?)
}

fn flags(flags: &[(&'static str, bool)]) -> Vec<(&'static str, String)> {
    flags.iter().filter(|(_, set)| *set).map(|(name, _)| (*name, "true".to_owned())).collect()
}

impl Action {
    fn ask(self, remote: &Remote, global: &Global) -> Result<ExitCode> {
        match self {
            Self::Send { .. } => {}
            Self::List { search, distribution, rating, exploited, fixable, running, sort, limit } => {
                let mut query = flags(&[("exploited", exploited), ("fixable", fixable), ("running", running)]);
                let texts = [("search", search), ("distribution", distribution), ("rating", rating), ("sort", sort)];
                query.extend(texts.into_iter().filter_map(|(name, value)| Some((name, value?))));
                let (rows, last) = pages(remote, "/images", query, limit)?;
                let columns =
                    ["name", "distribution", "risk", "critical", "high", "medium", "low", "exploited", "sent", "hosts"];
                print(&rows, &columns, global)?;
                if global.output == Format::Table {
                    remark(&rows, &last);
                }
            }
            Self::Show { image, own, base, state, rating, exploited, fixable, layers, history, fixes, limit } => {
                let id = id_of(remote, &image)?;
                if layers || history || fixes {
                    return part(remote, id, (layers, history), global);
                }
                let mut query = flags(&[("exploited", exploited), ("fixable", fixable), ("base", base)]);
                query.extend(own.then(|| ("base", "false".to_owned())));
                let texts = [("state", state), ("rating", rating)];
                query.extend(texts.into_iter().filter_map(|(name, value)| Some((name, value?))));
                findings(remote, id, query, limit, global)?;
            }
            Self::Export { image, format, state, language } => {
                let id = id_of(remote, &image)?;
                if format == "pdf" {
                    if state.is_some() {
                        bail!("--state is for csv and json: a report tells what is open, and what is put up with");
                    }
                    let request = remote.request(Method::GET, &format!("/reports/images/{id}"));
                    output::bytes(&block_on(remote.bytes(request.query(&[("language", language)])))?)?;
                    return Ok(ExitCode::SUCCESS);
                }
                let mut query = vec![("format", format)];
                query.extend(state.map(|state| ("state", state)));
                let request = remote.request(Method::GET, &format!("/images/{id}/vulnerabilities/export"));
                output::bytes(&block_on(remote.bytes(request.query(&query)))?)?;
            }
            Self::Delete { image } => {
                let id = id_of(remote, &image)?;
                block_on(remote.json(remote.request(Method::DELETE, &format!("/images/{id}"))))?;
                output::note(&format!("{image} is forgotten"));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What a list does not say by itself.
fn remark(rows: &[Value], last: &Value) {
    match last["advisories"].as_str() {
        None => output::note("there are no advisories yet: `guardian vulndb build` makes a store of them"),
        Some(built) => output::note(&format!("{} of {}, by advisories of {built}", rows.len(), last["total"])),
    }
}

fn findings(remote: &Remote, id: Uuid, query: Vec<(&str, String)>, limit: usize, global: &Global) -> Result<()> {
    let (rows, last) = pages(remote, &format!("/images/{id}/vulnerabilities"), query, limit)?;
    let columns = [
        "vulnerability",
        "risk",
        "rating",
        "exploited",
        "installed",
        "fixed_in",
        "state",
        "layer",
        "base",
        "made_by",
        "first_seen",
    ];
    print(&rows, &columns, global)?;
    if global.output != Format::Table {
        return Ok(());
    }
    remark(&rows, &last);
    let known = get(remote, &format!("/images/{id}"), &[])?;
    let of = |name: &str| known["image"][name].as_str().unwrap_or_default().to_owned();
    output::note(&format!("{} {} of {}, looked at {}", of("name"), of("digest"), of("distribution"), of("scanned")));
    if known["image"]["judged"].is_null() && last["advisories"].is_string() {
        output::note("it is not judged yet: ask again in some seconds");
    }
    if let Some(layers) = known["base"]["layers"].as_u64() {
        let upon = known["base"]["name"].as_str().unwrap_or("another image, by what its history says");
        output::note(&format!(
            "its lowest {layers} layers are of {upon}: {} findings there, {} in its own",
            known["base_open"], known["own_open"]
        ));
    }
    Ok(())
}

/// Something else of an image than its findings: its layers, its digests, or what to fix first.
fn part(remote: &Remote, id: Uuid, (layers, history): (bool, bool), global: &Global) -> Result<ExitCode> {
    let known = get(remote, &format!("/images/{id}"), &[])?;
    let (name, columns): (&str, &[&str]) = match (layers, history) {
        (true, _) => ("layers", &["digest", "base", "packages", "open", "made_by"]),
        (_, true) => ("history", &["digest", "first", "last", "sender", "packages"]),
        _ => (
            "fixes",
            &["package", "ecosystem", "version", "vulnerabilities", "exploited", "overdue", "worst", "risk", "share"],
        ),
    };
    print(known[name].as_array().map(Vec::as_slice).unwrap_or_default(), columns, global)?;
    Ok(ExitCode::SUCCESS)
}
