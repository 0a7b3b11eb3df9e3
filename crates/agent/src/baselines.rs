//! Other file integrity checkers: their databases in, and the agent's baseline out.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use guardian_agent::files::{Differs, Root, compare_foreign, export_aide, of_aide, of_tripwire};
use guardian_agent::home::Home;
use guardian_agent::imported;
use guardian_agent::policy::Local;
use guardian_agent::run::say;
use guardian_inventory::aide::{self, Columns};
use guardian_inventory::owned::Owned;
use guardian_inventory::{accounts, tripwire};
use guardian_protocol::policy::{Document, PathSet, SYSTEM_SET};

use crate::print;

/// Bytes of a database or report that are read.
const FILE_BYTES_MAX: u64 = 1 << 30;
/// What there are differences is told by.
const DIFFERENT: u8 = 3;
/// What Tripwire's signature is worth here.
const NOT_VERIFIED: &str =
    "the signature of this database was NOT verified: only Tripwire can do that, on the machine it is from";

#[derive(Args, Debug)]
pub(crate) struct Baselines {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Begin with a database of AIDE's
    ///
    /// The agent must not run meanwhile. What is on the disk now becomes the baseline, with each file of the database as the
    /// database says it was: when the agent starts next, it tells what changed since AIDE made it, and what packages explain of
    /// that. Files in folders that the database does not know are taken as they are.
    #[command(
        after_help = "Example:\n  systemctl stop guardian-agent\n  guardian-agent baseline import-aide /var/lib/aide/aide.db\n  systemctl start guardian-agent"
    )]
    ImportAide(Import),
    /// Begin with a database of Tripwire's, whose signature is NOT verified
    ///
    /// As import-aide, from what `twprint` prints. Tripwire signs its database with a key that only Tripwire can open: what is
    /// printed has no signature, and nobody here says that it is the database that was signed.
    #[command(
        after_help = "Example:\n  twprint -m d -d /var/lib/tripwire/HOST.twd > tripwire.txt\n  guardian-agent baseline import-tripwire tripwire.txt"
    )]
    ImportTripwire(Import),
    /// Compare a database of AIDE's or Tripwire's with what is on the disk now
    ///
    /// Prints a line for each file that is not as the database says, with what differs. Exit code 3 if there is one. Nothing is
    /// kept; the agent may run meanwhile. New files are not looked for.
    Compare(Compared),
    /// List what a report of AIDE's says
    ///
    /// From the output of `aide --check` (report_format=plain), one file a line: what happened, AIDE's letters, the path.
    AideReport(Report),
    /// Write the agent's baseline as a database that AIDE reads
    ///
    /// So that `aide --check` on this machine compares with what the agent saw last.
    #[command(after_help = "Example:\n  guardian-agent baseline export-aide /var/lib/aide/aide.db\n  aide --check")]
    ExportAide(Export),
}

#[derive(Args, Debug)]
struct Import {
    /// The database; AIDE's may be packed by gzip
    file: PathBuf,
    /// The agent is started with this `--files` too; may be given several times
    #[arg(long, value_name = "FOLDER")]
    files: Vec<String>,
}

#[derive(Args, Debug)]
struct Compared {
    /// The database: AIDE's, or what `twprint -m d` printed
    file: PathBuf,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct Report {
    /// The report
    file: PathBuf,
    /// Print one JSON object a line, with what differs before and after
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct Export {
    /// Where to write it; it must not be there yet
    file: PathBuf,
    /// Leave access lists, extended attributes and capabilities out: for an AIDE that was built without them
    #[arg(long)]
    plain: bool,
}

/// Does what is asked for.
pub(crate) fn work(dir: &Path, wanted: &Baselines) -> Result<ExitCode> {
    match &wanted.what {
        What::ImportAide(import) => take(dir, import, of_aide_database(&content(&import.file)?)?),
        What::ImportTripwire(import) => {
            say(NOT_VERIFIED);
            take(dir, import, of_tripwire_database(&content(&import.file)?)?)
        }
        What::Compare(compared) => compare(compared),
        What::AideReport(wanted) => report(wanted),
        What::ExportAide(wanted) => export(dir, wanted),
    }
}

fn content(file: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let opened = File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
    opened.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn complain(issues: &[guardian_inventory::Issue]) {
    for issue in issues.iter().take(10) {
        say(&format!("line {}: {}", issue.at, issue.what));
    }
    if issues.len() > 10 {
        say(&format!("and {} more lines that cannot be read", issues.len() - 10));
    }
}

fn of_aide_database(bytes: &[u8]) -> Result<Vec<Owned>> {
    let found = aide::database(bytes).context("this is no database of AIDE's")?;
    complain(&found.issues);
    Ok(found.entries.iter().map(of_aide).collect())
}

fn of_tripwire_database(bytes: &[u8]) -> Result<Vec<Owned>> {
    let found = tripwire::database(bytes).context("this is not what `twprint -m d` prints")?;
    complain(&found.objects.issues);
    Ok(found.objects.entries.iter().map(of_tripwire).collect())
}

fn take(dir: &Path, wanted: &Import, files: Vec<Owned>) -> Result<ExitCode> {
    let home = Home::open(dir).with_context(|| format!("cannot use {}", dir.display()))?;
    let mut document = Document::default();
    if !wanted.files.is_empty() {
        let system = PathSet { roots: wanted.files.clone(), texts: Some(true), ..PathSet::default() };
        document.files.sets.insert(SYSTEM_SET.to_owned(), system);
    }
    let Some(policy) = imported::watched(&home, &Local { document, ..Local::default() })? else {
        bail!("the policy of this machine watches no files");
    };
    let done =
        imported::import(&home, &policy, files).context("the baseline was not taken over; does the agent run?")?;
    print(&format!(
        "{} files of the database, {} of them are another now or gone; the baseline has {} folders",
        done.files, done.others, done.folders
    ));
    Ok(ExitCode::SUCCESS)
}

fn compare(wanted: &Compared) -> Result<ExitCode> {
    let bytes = content(&wanted.file)?;
    let files = match of_aide_database(&bytes) {
        Ok(files) => files,
        Err(_) => {
            let files = of_tripwire_database(&bytes).context("neither a database of AIDE's nor one of Tripwire's")?;
            say(NOT_VERIFIED);
            files
        }
    };
    let count = files.len();
    let found = compare_foreign(&Root::new(Path::new("/")), files);
    for (path, differs) in &found {
        let differs: Vec<String> = differs.iter().map(|one| word(*one)).collect();
        let path = path.to_string_lossy();
        print(&if wanted.json {
            serde_json::json!({"path": path, "differs": differs}).to_string()
        } else {
            format!("{}\t{path}", differs.join(","))
        });
    }
    say(&format!("{} of {count} files are not as the database says", found.len()));
    Ok(if found.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(DIFFERENT) })
}

fn word(differs: Differs) -> String {
    format!("{differs:?}").to_lowercase()
}

fn report(wanted: &Report) -> Result<ExitCode> {
    let report = aide::report(&content(&wanted.file)?).context("this is no report of AIDE's")?;
    complain(&report.listed.issues);
    for one in &report.listed.entries {
        print(&if wanted.json {
            let detail = |(name, before, after): &(String, String, String)| serde_json::json!({"what": name, "before": before, "after": after});
            let details: Vec<_> = one.details.iter().map(detail).collect();
            serde_json::json!({"path": one.path, "what": one.what, "letters": one.letters, "details": details})
                .to_string()
        } else {
            format!("{}\t{}\t{}", one.what, one.letters.trim_end(), one.path)
        });
    }
    let of = |what: &str| report.listed.entries.iter().filter(|one| one.what == what).count();
    let counts = (of("added"), of("removed"), of("changed"));
    say(&format!(
        "AIDE {}, {}: {} added, {} removed, {} changed",
        report.version, report.started, counts.0, counts.1, counts.2
    ));
    Ok(if report.listed.entries.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(DIFFERENT) })
}

fn export(dir: &Path, wanted: &Export) -> Result<ExitCode> {
    let home = Home::open(dir).with_context(|| format!("cannot use {}", dir.display()))?;
    let baseline = match imported::baseline(&home) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => bail!("there is no baseline yet: the agent makes it"),
        other => other.context("the baseline cannot be read")?,
    };
    let users = accounts::parse_passwd(&fs::read("/etc/passwd").unwrap_or_default()).entries;
    let groups = accounts::parse_group(&fs::read("/etc/group").unwrap_or_default()).entries;
    let name = |is_group: bool, id: u32| match is_group {
        true => groups.iter().find(|group| group.gid == id).map(|group| group.name.clone()),
        false => users.iter().find(|user| user.uid == id).map(|user| user.name.clone()),
    };
    let file = File::options().write(true).create_new(true).open(&wanted.file);
    let mut out = BufWriter::new(file.with_context(|| format!("cannot write {}", wanted.file.display()))?);
    let columns = match wanted.plain {
        true => Columns { acl: false, attributes: false, capabilities: false },
        false => Columns::ALL,
    };
    let count = export_aide(&baseline, columns, &name, &mut out)?;
    out.flush()?;
    print(&format!("{count} files"));
    Ok(ExitCode::SUCCESS)
}
