//! What changed in a root since it was last looked at, and which of it package managers did: `explain ROOT PLACE init`
//! writes a baseline and a ledger into PLACE, `explain ROOT PLACE` compares with them.
#![expect(clippy::print_stdout, reason = "an example's output")]

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::{self, File};
use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

use guardian_agent::files::{
    Baseline, Comparison, Family, Ledger, Options, Policy, Root, Rule, Verdict, Writer, explain, scan,
};
use guardian_inventory::transaction;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, place, rest @ ..] = &arguments[..] else { return Err("explain ROOT PLACE [init]".into()) };
    let (path, place) = (Path::new(path), Path::new(place));
    let family = Family::of_os_release(&fs::read(path.join("etc/os-release")).unwrap_or_default());
    let mut policy = Policy::of_family(family);
    let inside = |of: &str| path.join(of.trim_start_matches('/'));
    policy.roots = policy.roots.iter().map(|root| path.join(root.strip_prefix("/").unwrap_or(root))).collect();
    policy.rules = policy
        .rules
        .into_iter()
        .map(|rule| Rule { path: inside(&rule.path).to_string_lossy().into_owned(), ..rule })
        .collect();
    let mut root = Root::new(path);
    let begun = Instant::now();
    let ledger = Ledger::read(&mut root);
    println!("{family:?}: {} packages in {:.1} s", ledger.len(), begun.elapsed().as_secs_f64());
    if !rest.is_empty() {
        let writer = Mutex::new(Writer::new(File::create(place.join("baseline"))?)?);
        let summary = scan(&policy, Options::default(), &|folder| {
            if let Ok(mut writer) = writer.lock() {
                writer.add(&folder).unwrap_or_else(|e| println!("{e}"));
            }
        });
        writer.into_inner()?.finish()?;
        let bytes = ledger.to_bytes();
        println!("{summary:?}, ledger {} KiB", bytes.len() / 1_024);
        return Ok(fs::write(place.join("ledger"), bytes)?);
    }
    let before = Ledger::from_bytes(&fs::read(place.join("ledger"))?).ok_or("a damaged ledger")?;
    let baseline = Baseline::open(&place.join("baseline"))?;
    let comparison = Mutex::new((Comparison::new(&baseline, &policy), Vec::new()));
    scan(&policy, Options::default(), &|folder| {
        if let Ok(mut both) = comparison.lock() {
            let found = both.0.folder(&folder).unwrap_or_default();
            both.1.extend(found);
        }
    });
    let (comparison, mut changes) = comparison.into_inner().map_err(|_| "a scan was given up")?;
    changes.extend(comparison.finish()?);
    let log = transaction::dpkg_log(&fs::read(inside("var/log/dpkg.log")).unwrap_or_default()).entries;
    let begun = Instant::now();
    let verdicts = explain(&mut root, &before, &ledger, &log, &changes);
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (change, verdict) in changes.iter().zip(&verdicts) {
        let (word, by) = match verdict {
            Verdict::Explained(_) => ("explained", None),
            Verdict::Partly(by, left) => ("partly", Some((by, format!("{left:?}")))),
            Verdict::Restored(by) => ("restored", Some((by, String::new()))),
            Verdict::Contradicted(by, differs) => ("contradicted", Some((by, format!("{differs:?}")))),
            Verdict::Deviates(by, differs) => ("deviates", Some((by, format!("{differs:?}")))),
            Verdict::Rewritten(by) => ("rewritten", Some((by, String::new()))),
            Verdict::Moved => ("moved", None),
            Verdict::LeadsTo(by) => ("leads to", Some((by, String::new()))),
            Verdict::Unowned => ("unowned", None),
        };
        *counts.entry(word).or_default() += 1;
        if !verdict.explained() {
            let by = by
                .map(|(by, what)| format!("{what} by {} {:?}->{:?}", by.package.name, by.package.old, by.package.new));
            println!("{word} {} {}", change.path.display(), by.unwrap_or_default());
        }
    }
    println!("{} changes, {counts:?}, judged in {:.1} s", changes.len(), begun.elapsed().as_secs_f64());
    Ok(())
}
