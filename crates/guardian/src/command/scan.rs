//! `guardian scan`: what is installed here, and which of it has known vulnerabilities. Needs no server.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use guardian_kit::clock::{Clock as _, SystemClock};
use guardian_vuln::matching::{self, Finding, Reason, Verdict};
use guardian_vuln::report::{self, About, Entry, FailOn, Ignored, Report, Words};
use guardian_vuln::risk::{Asset, Criticality, Exposure};
use guardian_vuln::store::Store;
use guardian_vuln::{import, scan, vex};
use serde_json::{Value, json};

use super::images::{self, AsWhat};
use super::registry::{self, RegistryOptions};
use super::{Global, vulndb};
use crate::output::{self, Format, Table};
use crate::remote::Remote;

/// Exit code of a scan that found what `--fail-on` names: checked and found wanting.
const FOUND: u8 = 3;
/// Services of other scanners' reports that are told below the table.
const SERVICES_MAX: usize = 50;
/// What is put off, where nothing else is named.
const IGNORE_FILE: &str = ".guardian-ignore.yaml";

const EXAMPLES: &str = "\
The advisories come from `guardian vulndb build`. Only files are read: nothing is run, and nothing is sent without \
--send; an image of a registry is fetched from there.

  guardian scan                                      this machine
  guardian scan --root /mnt/disk                     another one's disk
  guardian scan image.tar                            an image, as docker save or an OCI layout
  guardian scan registry.example/app:1.2             an image of a registry, read as it comes
  guardian scan registry.example/app:1.2 --send      and have the server keep it and judge it from now on
  guardian scan app.cdx.json --vex app.vex.json      a bill of materials, and what its maker says of it
  guardian scan . --fail-on high --format sarif      a project, for a pipeline
  guardian scan explain CVE-2024-3094 liblzma5       why a package has it, or has not";

/// Find known vulnerabilities in what is installed, in images and bills of materials; needs no server.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(crate) struct Scan {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    what: What,
    /// Fail (exit code 3) where this is found: any, low, medium, high, critical, fixable, kev or risk:NUMBER; several with commas between
    /// them, or repeated
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    fail_on: Vec<FailOn>,
    /// Only what has a fix
    #[arg(long)]
    fixable: bool,
    /// What the maker says of it: OpenVEX, CSAF or CycloneDX; may be repeated
    #[arg(long, value_name = "FILE")]
    vex: Vec<PathBuf>,
    /// What another scanner found: Nessus, OpenVAS, Nuclei, Trivy, Grype or Nmap; may be repeated
    #[arg(long, value_name = "FILE")]
    import: Vec<PathBuf>,
    /// What is put off, with reasons and ends [default: .guardian-ignore.yaml in the scanned or the current folder]
    #[arg(long, value_name = "FILE")]
    ignore: Option<PathBuf>,
    /// From where it is reached: internet, network, local or unknown
    #[arg(long, value_name = "EXPOSURE", default_value = "unknown")]
    exposure: Exposure,
    /// What it is worth: low, medium or high
    #[arg(long, value_name = "CRITICALITY", default_value = "medium")]
    criticality: Criticality,
    /// Send what is in the image to the server, which judges it from now on (see `guardian images`)
    #[arg(long)]
    send: bool,
    #[command(flatten)]
    as_what: AsWhat,
    /// Form of the report, in place of the table
    #[arg(long, value_enum, value_name = "FORM")]
    format: Option<Form>,
    /// The same as `--format sarif`
    #[arg(long, conflicts_with = "format")]
    sarif: bool,
    /// The same as `--format report`
    #[arg(long, conflicts_with_all = ["sarif", "format"])]
    report: bool,
}

/// A form of the report that others read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// The table for people
    Table,
    /// The table as JSON
    Json,
    /// The table as comma-separated values
    Csv,
    /// The whole report as one JSON object, with the reasons of every finding
    Report,
    /// SARIF 2.1.0
    Sarif,
    /// JUnit's XML
    Junit,
    /// The lines by which a job at GitHub marks files
    Github,
    /// GitLab's report of dependency or container scanning
    Gitlab,
    /// A CycloneDX bill of materials with vulnerabilities
    Cyclonedx,
    /// An OpenVEX document
    Openvex,
}

/// What is scanned, and with which advisories.
#[derive(Args, Debug)]
struct What {
    #[command(flatten)]
    target: Target,
    /// Folder of the advisory store [default: advisories in the data directory]
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// Judge by what was known at the end of that day (UTC), or at that time; of the stores that are kept
    #[arg(long, value_name = "DATE", value_parser = vulndb::as_of)]
    as_of: Option<i64>,
}

/// What is scanned.
#[derive(Args, Debug)]
pub(super) struct Target {
    /// Folder of a project or the root of a machine, image (also `registry.example/name:tag`), bill of materials, or lock
    /// file [default: /]
    path: Option<PathBuf>,
    /// The same, said as an option
    #[arg(long, value_name = "DIR", conflicts_with = "path")]
    root: Option<PathBuf>,
    /// Of an image for several architectures, which one
    #[arg(long, value_name = "ARCHITECTURE", default_value = architecture())]
    architecture: String,
    #[command(flatten)]
    registry: RegistryOptions,
}

/// This machine's architecture in the spelling of images.
const fn architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Say why a package has a vulnerability, or has not
    Explain {
        /// CVE name, or that of an advisory
        vulnerability: String,
        /// Name of the package, as it is installed
        package: String,
        #[command(flatten)]
        what: What,
    },
}

impl Target {
    pub(super) fn path(&self) -> &Path {
        self.path.as_deref().or(self.root.as_deref()).unwrap_or(Path::new("/"))
    }

    pub(super) fn scan(&self) -> Result<scan::Scanned> {
        if let Some(reference) = self.path().to_str().filter(|_| !self.path().exists()).and_then(registry::named) {
            return registry::scan(&reference, &self.architecture, &self.registry)
                .with_context(|| format!("cannot scan {reference}"));
        }
        scan::target(self.path(), &self.architecture).with_context(|| format!("cannot scan {}", self.path().display()))
    }
}

impl What {
    fn open(&self, global: &Global) -> Result<Store> {
        let folder = vulndb::folder_of(global, self.store.as_deref())?;
        vulndb::open(&folder, self.as_of).context("`guardian vulndb update` or `build` makes one")
    }
}

/// What a document of ours says of itself.
pub(super) fn about() -> About<'static> {
    About { version: env!("CARGO_PKG_VERSION"), author: "guardian", time_s: SystemClock::new().now().0 / 1_000_000 }
}

impl Scan {
    pub(crate) fn run(self, global: &Global) -> Result<ExitCode> {
        if let Some(Action::Explain { vulnerability, package, what }) = &self.action {
            return explain(global, vulnerability, package, what);
        }
        if !self.send && (self.as_what.name.is_some() || self.as_what.digest.is_some()) {
            bail!("--name and --digest say as what the image is sent: add --send");
        }
        let store = self.what.open(global)?;
        let words = self.words()?;
        let scanned = self.what.target.scan()?;
        let is_image = !scanned.layers.is_empty();
        if self.send {
            if !is_image && self.what.target.path().is_dir() {
                bail!("--send is for images and bills of materials: hosts are told of by their agents");
            }
            images::send(&Remote::require(global)?, &scanned, &self.as_what, (self.exposure, self.criticality))?;
        }
        // Only a bill of materials needs the components again.
        let kept = (self.form() == Some(Form::Cyclonedx)).then(|| scanned.clone());
        let mut report = report::of(&store, scanned, &words);
        if self.fixable {
            report.findings.retain(|entry| FailOn::Fixable.is(entry));
        }
        let found = self.fail_on.iter().any(|fail_on| report.findings.iter().any(|entry| fail_on.is(entry)));
        self.print(global, &report, kept.as_ref(), is_image)?;
        Ok(if found { ExitCode::from(FOUND) } else { ExitCode::SUCCESS })
    }

    fn form(&self) -> Option<Form> {
        match (self.sarif, self.report) {
            (true, _) => Some(Form::Sarif),
            (_, true) => Some(Form::Report),
            _ => self.format,
        }
    }

    fn words(&self) -> Result<Words> {
        let mut words = Words { day: (about().time_s / 86_400) as i32, ..Words::default() };
        words.asset = Asset { exposure: self.exposure, criticality: self.criticality, ..Asset::default() };
        for path in &self.vex {
            let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            match vex::read(&bytes) {
                Ok(said) => words.said.extend(said),
                Err(error) => bail!("{}: {error}", path.display()),
            }
        }
        for path in &self.import {
            let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            match import::read(&bytes) {
                Ok(report) => {
                    if report.malformed > 0 {
                        output::note(&format!("{}: {} records could not be read", path.display(), report.malformed));
                    }
                    words.imported.extend(report.found);
                    words.services.extend(report.services);
                }
                Err(error) => bail!("{}: {error}", path.display()),
            }
        }
        let found =
            [self.what.target.path().join(IGNORE_FILE), PathBuf::from(IGNORE_FILE)].into_iter().find(|p| p.is_file());
        if let Some(path) = self.ignore.clone().or(found) {
            let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            words.ignored = Ignored::read(&text).map_err(|e| anyhow::anyhow!("{}: {e}", path.display()))?;
        }
        Ok(words)
    }

    fn print(&self, global: &Global, report: &Report, kept: Option<&scan::Scanned>, is_image: bool) -> Result<()> {
        let version = env!("CARGO_PKG_VERSION");
        let json = |value: &Value| Ok(output::line(&serde_json::to_string_pretty(value)?)?);
        match self.form() {
            Some(Form::Sarif) => json(&report::sarif(report, version)),
            Some(Form::Report) => json(&serde_json::to_value(report)?),
            Some(Form::Junit) => Ok(output::line(&report::junit(report))?),
            Some(Form::Github) => Ok(output::bytes(report::github(report).as_bytes())?),
            Some(Form::Gitlab) => json(&report::gitlab(report, &about(), is_image)),
            Some(Form::Openvex) => json(&vex::openvex(report, &about())),
            Some(Form::Cyclonedx) => match kept {
                Some(scanned) => json(&report::cyclonedx(scanned, report, &about())),
                None => Ok(()),
            },
            table => {
                let format = match table {
                    Some(Form::Json) => Format::Json,
                    Some(Form::Csv) => Format::Csv,
                    Some(Form::Table) => Format::Table,
                    _ => global.output,
                };
                output::print(&self::table(report, format), format)?;
                remarks(report);
                Ok(())
            }
        }
    }
}

fn table(report: &Report, format: Format) -> Table {
    let mut table = Table::new([
        "vulnerability",
        "risk",
        "decision",
        "rating",
        "score",
        "epss",
        "exploited",
        "package",
        "installed",
        "fix",
        "where",
    ]);
    for entry in &report.findings {
        let finding = &entry.finding;
        let places = match (format, entry.places.as_slice()) {
            (Format::Table, [first, .., _]) => json!(format!("{first} and {} more", entry.places.len() - 1)),
            (Format::Table, _) => json!(entry.places.first()),
            _ => json!(entry.places.join(" ")),
        };
        table.push(vec![
            json!(finding.vulnerability),
            number(format, entry.risk.score, 1),
            json!(entry.risk.decision.name()),
            json!(finding.rating.name()),
            finding.score.map_or(Value::Null, |score| number(format, score, 1)),
            finding.epss.map_or(Value::Null, |(probability, _)| number(format, f64::from(probability), 3)),
            match (format, finding.known_exploited_day.is_some()) {
                (Format::Table, exploited) => json!(exploited.then_some("yes")),
                (_, exploited) => json!(exploited),
            },
            json!(match entry.ecosystem.as_str() {
                "" => entry.package.clone(),
                ecosystem => format!("{ecosystem}/{}", entry.package),
            }),
            json!(entry.installed),
            json!(entry.remedy()),
            places,
        ]);
    }
    table
}

/// A number with so many places behind the point: under each other for people, as a number for programs.
fn number(format: Format, number: f64, places: usize) -> Value {
    let text = format!("{number:.places$}");
    match format {
        Format::Table => json!(text),
        _ => text.parse::<f64>().map_or(Value::Null, |number| json!(number)),
    }
}

/// What the findings do not say: how much was looked at, and of what nothing can be said.
fn remarks(report: &Report) {
    let fixable = report.findings.iter().filter(|entry| FailOn::Fixable.is(entry)).count();
    let vulnerable: std::collections::BTreeSet<_> = report.findings.iter().map(package).collect();
    let owned = match report.owned {
        0 => String::new(),
        owned => format!("; {owned} more belong to packages of the distribution and are judged as those"),
    };
    output::note(&format!(
        "{} findings ({fixable} with a fix) in {} of {} packages{owned}",
        report.findings.len(),
        vulnerable.len(),
        report.packages,
    ));
    if report.packages + report.owned == 0 && report.findings.is_empty() {
        output::note("no packages were found: there was nothing to judge");
    }
    for suppressed in &report.suppressed {
        let entry = &suppressed.entry;
        let by = if suppressed.by.is_empty() { String::new() } else { format!(" ({})", suppressed.by) };
        let until =
            if suppressed.expires.is_empty() { String::new() } else { format!(" until {}", suppressed.expires) };
        let what = suppressed.state.map_or("put off", |state| state.name()).replace('_', " ");
        output::note(&format!(
            "left out: {} in {} {}: {what}{until}: {}{by}",
            entry.finding.vulnerability, entry.package, entry.installed, suppressed.reason
        ));
    }
    for entry in report.findings.iter().filter(|entry| !entry.remark.is_empty()) {
        output::note(&format!("{} in {}: {}", entry.finding.vulnerability, entry.package, entry.remark));
    }
    services(report);
    for (ecosystem, packages) in &report.without_advisories {
        output::note(&format!("no advisory speaks of {ecosystem}: nothing is known of its {packages} packages"));
    }
    if report.unknown > 0 {
        output::note(&format!("{} packages are of a distribution or registry that is not known", report.unknown));
    }
    report.issues.iter().for_each(|issue| output::note(issue));
}

/// What answers on the machines that another scanner looked at.
fn services(report: &Report) {
    for service in report.services.iter().take(SERVICES_MAX) {
        let name = if service.name.is_empty() { "something" } else { &service.name };
        let product = if service.product.is_empty() { String::new() } else { format!(" ({})", service.product) };
        output::note(&format!("{} {}: {name}{product} answers", service.host, service.port));
    }
    let more = report.services.len().saturating_sub(SERVICES_MAX);
    if more > 0 {
        output::note(&format!("{more} services more: `--report` has them all"));
    }
}

fn package(entry: &Entry) -> (&str, &str, &str) {
    (&entry.ecosystem, &entry.package, &entry.installed)
}

fn explain(global: &Global, vulnerability: &str, package: &str, what: &What) -> Result<ExitCode> {
    let store = what.open(global)?;
    let scanned = what.target.scan()?;
    let mut table =
        Table::new(["package", "version", "owner", "advisory", "source", "says", "of", "verdict", "in its words"]);
    let mut named = false;
    let is_named = |placed: &&scan::Placed| {
        let component = &placed.component;
        component.name == component.ecosystem.name_of(package) || component.source == package
    };
    for placed in scanned.packages.iter().filter(is_named) {
        named = true;
        let component = &placed.component;
        for finding in matching::weigh(&store, component).iter().filter(|finding| is(finding, vulnerability)) {
            for reason in &finding.reasons {
                table.push(vec![
                    json!(format!("{}/{}", component.ecosystem, component.name)),
                    json!(component.version),
                    json!(placed.owner),
                    json!(reason.advisory),
                    json!(reason.source),
                    json!(reason.status.name()),
                    json!(format!("{} {}", reason.package, if reason.of_source { "(source)" } else { "" }).trim_end()),
                    json!(verdict(reason)),
                    json!(reason.words),
                ]);
            }
            let answer = if finding.affected { "has it" } else { "does not have it" };
            output::note(&format!(
                "{} {} {answer}: {}",
                component.name,
                component.version,
                serde_json::to_value(finding.rule)?.as_str().unwrap_or_default().replace('_', " ")
            ));
        }
    }
    if !named {
        output::note(&format!("no package {package} was found in {}", what.target.path().display()));
    } else if table.rows.is_empty() {
        output::note(&format!("no advisory speaks of {vulnerability} in {package}"));
    }
    if !(table.rows.is_empty() && global.output == Format::Table) {
        output::print(&table, global.output)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn is(finding: &Finding, name: &str) -> bool {
    let names = std::iter::once(&finding.vulnerability).chain(&finding.aliases);
    names.into_iter().any(|known| known.eq_ignore_ascii_case(name))
}

fn verdict(reason: &Reason) -> String {
    match &reason.verdict {
        Verdict::Affected { range, .. } => format!("{} is in the range: {range}", reason.version),
        Verdict::Fixed { fixed_in } => format!("{} has the fix of {fixed_in}", reason.version),
        Verdict::Outside => format!("{} is in no range", reason.version),
        Verdict::NotAffected => "the package does not have it".to_owned(),
        Verdict::OtherModule => "it is said of another module".to_owned(),
    }
}
