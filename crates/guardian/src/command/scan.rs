//! `guardian scan`: what is installed here, and which of it has known vulnerabilities. Needs no server.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use guardian_vuln::matching::{self, Finding, Reason, Verdict};
use guardian_vuln::report::{self, Entry, FailOn, Report};
use guardian_vuln::scan;
use guardian_vuln::store::{Store, folder};
use serde_json::{Value, json};

use super::{Global, vulndb};
use crate::output::{self, Format, Table};

/// Exit code of a scan that found what `--fail-on` names: checked and found wanting.
const FOUND: u8 = 3;

const EXAMPLES: &str = "\
The advisories come from `guardian vulndb build`. Only files are read: nothing is run, nothing is sent.

  guardian scan                                      this machine
  guardian scan --root /mnt/disk                     another one's disk
  guardian scan . --fail-on high --sarif             a project, for a pipeline
  guardian scan explain CVE-2024-3094 liblzma5       why a package has it, or has not";

/// Find known vulnerabilities in what is installed; needs no server.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(crate) struct Scan {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    what: What,
    /// Fail (exit code 3) where this is found: any, low, medium, high, critical, fixable or exploited
    #[arg(long, value_name = "WHAT")]
    fail_on: Option<FailOn>,
    /// Only what has a fix
    #[arg(long)]
    fixable: bool,
    /// Print the report as SARIF 2.1.0
    #[arg(long)]
    sarif: bool,
    /// Print the whole report as one JSON object, with the reasons of every finding
    #[arg(long, conflicts_with = "sarif")]
    report: bool,
}

/// What is scanned, and with which advisories.
#[derive(Args, Debug)]
struct What {
    /// Folder to scan: a project, or the root of a machine [default: /]
    path: Option<PathBuf>,
    /// The same, said as an option
    #[arg(long, value_name = "DIR", conflicts_with = "path")]
    root: Option<PathBuf>,
    /// Folder of the advisory store [default: advisories in the data directory]
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
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

impl What {
    fn path(&self) -> &Path {
        self.path.as_deref().or(self.root.as_deref()).unwrap_or(Path::new("/"))
    }

    fn open(&self, global: &Global) -> Result<Store> {
        let folder = vulndb::folder_of(global, self.store.as_deref())?;
        folder::open(&folder, None).context("`guardian vulndb build` makes one")
    }

    fn scan(&self) -> Result<scan::Scanned> {
        scan::folder(self.path()).with_context(|| format!("cannot scan {}", self.path().display()))
    }
}

impl Scan {
    pub(crate) fn run(self, global: &Global) -> Result<ExitCode> {
        if let Some(Action::Explain { vulnerability, package, what }) = &self.action {
            return explain(global, vulnerability, package, what);
        }
        let store = self.what.open(global)?;
        let mut report = report::of(&store, self.what.scan()?, &report::Words::default());
        if self.fixable {
            report.findings.retain(|entry| FailOn::Fixable.is(entry));
        }
        if self.sarif {
            let sarif = report::sarif(&report, env!("CARGO_PKG_VERSION"));
            output::line(&serde_json::to_string_pretty(&sarif)?)?;
        } else if self.report {
            output::line(&serde_json::to_string_pretty(&report)?)?;
        } else {
            output::print(&table(&report, global.output), global.output)?;
            remarks(&report);
        }
        let found = self.fail_on.is_some_and(|fail_on| report.findings.iter().any(|entry| fail_on.is(entry)));
        Ok(if found { ExitCode::from(FOUND) } else { ExitCode::SUCCESS })
    }
}

fn table(report: &Report, format: Format) -> Table {
    let mut table =
        Table::new(["vulnerability", "rating", "score", "epss", "exploited", "package", "installed", "fix", "where"]);
    for entry in &report.findings {
        let finding = &entry.finding;
        let places = match (format, entry.places.as_slice()) {
            (Format::Table, [first, .., _]) => json!(format!("{first} and {} more", entry.places.len() - 1)),
            (Format::Table, _) => json!(entry.places.first()),
            _ => json!(entry.places.join(" ")),
        };
        table.push(vec![
            json!(finding.vulnerability),
            json!(finding.rating.name()),
            finding.score.map_or(Value::Null, |score| json!(format!("{score:.1}"))),
            finding.epss.map_or(Value::Null, |(probability, _)| json!(format!("{probability:.3}"))),
            if finding.known_exploited_day.is_some() { json!("yes") } else { Value::Null },
            json!(format!("{}/{}", entry.ecosystem, entry.package)),
            json!(entry.installed),
            json!(entry.remedy()),
            places,
        ]);
    }
    table
}

/// What the findings do not say: how much was looked at, and of what nothing can be said.
fn remarks(report: &Report) {
    let fixable = report.findings.iter().filter(|entry| FailOn::Fixable.is(entry)).count();
    let vulnerable: std::collections::BTreeSet<_> = report.findings.iter().map(package).collect();
    output::note(&format!(
        "{} findings ({fixable} with a fix) in {} of {} packages; {} more belong to packages of the distribution and are \
         judged as those",
        report.findings.len(),
        vulnerable.len(),
        report.packages,
        report.owned
    ));
    for (ecosystem, packages) in &report.without_advisories {
        output::note(&format!("no advisory speaks of {ecosystem}: nothing is known of its {packages} packages"));
    }
    if report.unknown > 0 {
        output::note(&format!("{} packages are of a distribution that is not known", report.unknown));
    }
    report.issues.iter().for_each(|issue| output::note(issue));
}

fn package(entry: &Entry) -> (&str, &str, &str) {
    (&entry.ecosystem, &entry.package, &entry.installed)
}

fn explain(global: &Global, vulnerability: &str, package: &str, what: &What) -> Result<ExitCode> {
    let store = what.open(global)?;
    let scanned = what.scan()?;
    let mut table =
        Table::new(["package", "version", "owner", "advisory", "source", "says", "of", "verdict", "in its words"]);
    let mut named = false;
    for placed in scanned.packages.iter().filter(|placed| placed.component.name == package) {
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
        output::note(&format!("no package {package} was found in {}", what.path().display()));
    } else if table.rows.is_empty() {
        output::note(&format!("no advisory speaks of {vulnerability} in {package}"));
    }
    output::print(&table, global.output)?;
    Ok(ExitCode::SUCCESS)
}

fn is(finding: &Finding, name: &str) -> bool {
    finding.vulnerability == name || finding.aliases.iter().any(|alias| alias == name)
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
