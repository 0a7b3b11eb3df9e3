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

fn tell(mut judged: Vec<Judged>) {
    let all = judged.len();
    let later = judged.iter().filter(|(.., later)| *later).count();
    println!("{all} vulnerabilities, {later} of them entered later");
    let line = |name: &str, chosen: &[Judged]| {
        let right = chosen.iter().filter(|(.., later)| *later).count();
        println!(
            "{name}: effort {:.1} %, coverage {:.1} % ({right}), efficiency {:.3} %",
            100.0 * chosen.len() as f64 / all as f64,
            100.0 * right as f64 / later.max(1) as f64,
            100.0 * right as f64 / chosen.len().max(1) as f64
        );
    };
    let severe: Vec<Judged> = judged.iter().filter(|(_, score, _)| *score >= 7.0).copied().collect();
    line("CVSS of 7 and more", &severe);
    for (name, by_risk) in [("risk", true), ("CVSS", false)] {
        judged.sort_by(|a, b| if by_risk { b.0.total_cmp(&a.0) } else { b.1.total_cmp(&a.1) });
        line(&format!("{name}, as many"), &judged[..severe.len()]);
        for percent in [1, 5, 10, 20, 50] {
            line(&format!("{name}, first {percent} %"), &judged[..all * percent / 100]);
        }
    }
}
