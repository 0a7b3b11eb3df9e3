//! Judges the order of risk: `risk RECORDS.tar KEV.json DAY`, with CISA's vulnrichment as of the day (`git archive HEAD`) and
//! the catalogue of a later one. What was in the catalogue by the day is left out; of the rest it is counted how much of what
//! was entered later stands first, beside CVSS of 7 and more. For measuring by hand; the data are other people's.
#![expect(clippy::print_stdout, reason = "it is a program for the terminal")]

use std::collections::HashMap;
use std::io::Read as _;

use guardian_vuln::ecosystem::Ecosystem;
use guardian_vuln::load::Loader;
use guardian_vuln::matching::{Component, findings};
use guardian_vuln::risk::{self, Asset};
use guardian_vuln::sources::Document;
use guardian_vuln::store::folder;
use serde_json::{Value, json};

/// A vulnerability: its risk, its score, and whether it was entered later.
type Judged = (f64, f64, bool);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, records, kev, day] = arguments.as_slice() else { return Err("name records, catalogue and day".into()) };
    let catalogue: Value = serde_json::from_slice(&std::fs::read(kev)?)?;
    let list = catalogue["vulnerabilities"].as_array().ok_or("no catalogue")?;
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let entered: HashMap<String, String> =
        list.iter().map(|one| (text(one, "cveID"), text(one, "dateAdded"))).collect();
    let mut loader = Loader::default();
    let mut names = Vec::new();
    let mut archive = tar::Archive::new(std::fs::File::open(records)?);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.display().to_string();
        let Some(name) = path.rsplit('/').next().and_then(|name| name.strip_suffix(".json")) else { continue };
        let name = name.to_owned();
        if !name.starts_with("CVE-") || entered.get(&name).is_some_and(|added| added <= day) {
            continue;
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        loader.document(&Document { name: &path, bytes: &bytes });
        // An advisory of a package that has just this one, so that it is judged as a finding is.
        let advisory = json!({ "schema_version": "1", "id": name, "modified": "2024-01-01T00:00:00Z",
            "affected": [{ "package": { "ecosystem": "npm", "name": name }, "ranges": [{ "type": "SEMVER",
            "events": [{ "introduced": "0" }] }] }] });
        loader.document(&Document { name: "osv.json", bytes: advisory.to_string().as_bytes() });
        names.push(name);
    }
    let home = tempfile::tempdir()?;
    folder::publish(home.path(), loader.finish(), 0, 1)?;
    let store = folder::open(home.path(), None)?;
    let ecosystem = Ecosystem::new("npm", "").ok_or("npm is not known")?;
    let mut judged: Vec<Judged> = Vec::new();
    for name in &names {
        let finding = findings(&store, &Component::new(ecosystem.clone(), name, "1.0.0"));
        let Some(finding) = finding.first() else { continue };
        let later = entered.contains_key(name);
        judged.push((risk::of(finding, &Asset::default()).score, finding.score.unwrap_or_default(), later));
    }
    tell(judged);
    Ok(())
}

/// How many of the first `count` were entered later. Where the last of them have the same figure as some that are left out,
/// it is what one would expect of taking any of these: in which order a file names them says nothing.
fn right(ordered: &[Judged], figure: impl Fn(&Judged) -> f64, count: usize) -> f64 {
    let Some(last) = count.checked_sub(1).and_then(|at| ordered.get(at)).map(&figure) else { return 0.0 };
    let later = |judged: &[Judged]| judged.iter().filter(|(.., later)| *later).count() as f64;
    let before = ordered.partition_point(|one| figure(one) > last);
    let same = &ordered[before..ordered.partition_point(|one| figure(one) >= last)];
    later(&ordered[..before]) + later(same) * (count - before) as f64 / same.len() as f64
}

fn tell(mut judged: Vec<Judged>) {
    let all = judged.len();
    let later = judged.iter().filter(|(.., later)| *later).count();
    println!("{all} vulnerabilities, {later} of them entered later");
    let severe = judged.iter().filter(|(_, score, _)| *score >= 7.0).count();
    type Figure = fn(&Judged) -> f64;
    let ways: [(&str, Figure); 2] = [("CVSS", |one| one.1), ("risk", |one| one.0)];
    for (name, figure) in ways {
        judged.sort_by(|a, b| figure(b).total_cmp(&figure(a)));
        let line = |what: &str, count: usize| {
            let right = right(&judged, figure, count);
            println!(
                "{name}, {what}: effort {:.1} %, coverage {:.1} % ({right:.1}), efficiency {:.3} %",
                100.0 * count as f64 / all as f64,
                100.0 * right / later.max(1) as f64,
                100.0 * right / count.max(1) as f64
            );
        };
        line("as many as have CVSS of 7 and more", severe);
        for percent in [1, 5, 10, 20, 50] {
            line(&format!("first {percent} %"), all * percent / 100);
        }
        // The effort for as much as CVSS of 7 and more covers.
        let wanted = judged.iter().filter(|(_, score, later)| *later && *score >= 7.0).count() as f64;
        let enough = (1..=all).find(|count| right(&judged, figure, *count) >= wanted - 1e-9);
        line("as much as CVSS of 7 and more covers", enough.unwrap_or(all));
    }
}
