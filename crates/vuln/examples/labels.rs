//! Judges labelled matches: `labels STORE FOLDER`, where the folder has the files of anchore/vulnerability-match-labels'
//! `labels`. Of each label that the store's advisories can judge (a package of AlmaLinux in an image of it, else one of a
//! language, with a vulnerability that they name) the label is compared with what matching says, and every difference is
//! shown with its ground. For measuring by hand.
#![expect(clippy::print_stdout, reason = "it is a program for the terminal")]

use std::collections::BTreeMap;
use std::path::Path;

use guardian_vuln::ecosystem::Ecosystem;
use guardian_vuln::matching::{Component, Verdict, weigh};
use guardian_vuln::store::{Store, folder};
use serde_json::Value;

const REGISTRIES: &[&str] = &["pypi", "go", "npm", "cargo", "gem", "maven", "nuget", "composer"];

/// Differences in words, with how often each was seen.
type Differences = BTreeMap<String, usize>;

/// How often a label and matching were right or wrong of each other.
#[derive(Debug, Default)]
struct Count {
    labels: usize,
    judged: usize,
    both: usize,
    neither: usize,
    only_label: usize,
    only_ours: usize,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, store, labels] = arguments.as_slice() else { return Err("name the store and the folder of labels".into()) };
    let store = folder::open(Path::new(store), None)?;
    let mut count = Count::default();
    let mut differences = Differences::new();
    let mut open = vec![Path::new(labels).to_path_buf()];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(std::fs::read_dir(&path)?.flatten().map(|entry| entry.path()));
        } else if let Ok(label) = serde_json::from_slice::<Value>(&std::fs::read(&path)?) {
            judge(&store, &label, &mut count, &mut differences);
        }
    }
    println!("{count:?}");
    let mut differences: Vec<_> = differences.into_iter().collect();
    differences.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    differences.iter().for_each(|(what, count)| println!("  {count:4} {what}"));
    Ok(())
}

/// Whose the package may be: a label does not say. An image of a distribution has its packages by their versions' ends.
fn ecosystems(image: &str, version: &str) -> Vec<Ecosystem> {
    let release = version.split_once(".el").and_then(|(_, rest)| rest.split(|c: char| !c.is_ascii_digit()).next());
    match release {
        Some(release) if image.contains("almalinux") => Ecosystem::new("almalinux", release).into_iter().collect(),
        Some(_) => Vec::new(),
        None => REGISTRIES.iter().filter_map(|family| Ecosystem::new(family, "")).collect(),
    }
}

fn judge(store: &Store, label: &Value, count: &mut Count, differences: &mut Differences) {
    let text = |pointer: &str| label.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (name, version) = (text("/package/name"), text("/package/version"));
    let real = match text("/label") {
        "TP" => true,
        "FP" => false,
        _ => return,
    };
    count.labels += 1;
    let names = [text("/vulnerability_id"), text("/effective_cve")];
    let found = ecosystems(text("/image/exact"), version).into_iter().find_map(|ecosystem| {
        let component = Component::new(ecosystem, name, version);
        let mut findings = weigh(store, &component).into_iter();
        findings.find(|finding| {
            names.iter().any(|name| {
                !name.is_empty()
                    && (finding.vulnerability == *name || finding.aliases.iter().any(|alias| alias == name))
            })
        })
    });
    let Some(found) = found else { return };
    count.judged += 1;
    match (real, found.affected) {
        (true, true) => count.both += 1,
        (false, false) => count.neither += 1,
        (true, false) => count.only_label += 1,
        (false, true) => count.only_ours += 1,
    }
    if real != found.affected {
        let kind = if real { "missed" } else { "too much" };
        let ground: Vec<String> = found
            .reasons
            .iter()
            .map(|reason| match &reason.verdict {
                Verdict::Affected { range, .. } => format!("{}: {range}", reason.advisory),
                other => format!("{}: {other:?}", reason.advisory),
            })
            .collect();
        let (vulnerability, note) = (&found.vulnerability, text("/note"));
        let what = format!("{kind}: {name} {version} {vulnerability} [{}] {note}", ground.join("; "));
        *differences.entry(what).or_default() += 1;
    }
}
