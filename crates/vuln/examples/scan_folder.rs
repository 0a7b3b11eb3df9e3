//! Scans a folder with the store of another and says how long each step took: `scan_folder STORE FOLDER [COUNT]`, with the
//! first findings, or so many. For measuring by hand; `guardian scan` is for use.
#![expect(clippy::print_stdout, reason = "it is a program for the terminal")]

use std::path::Path;
use std::time::Instant;

use guardian_vuln::{report, scan, store::folder};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let (store, root, count) = match arguments.as_slice() {
        [_, store, root] => (store, root, 15),
        [_, store, root, count] => (store, root, count.parse()?),
        _ => return Err("name the folder of the store and what to scan".into()),
    };
    let start = Instant::now();
    let store = folder::open(Path::new(store), None)?;
    println!("opened after {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
    let scanned = scan::folder(Path::new(root))?;
    println!(
        "{} packages in {} files after {:.1} ms: {:?}",
        scanned.packages.len(),
        scanned.files,
        start.elapsed().as_secs_f64() * 1e3,
        scanned.os
    );
    let report = report::of(&store, scanned, &report::Words::default());
    println!("{} findings after {:.1} ms", report.findings.len(), start.elapsed().as_secs_f64() * 1e3);
    println!(
        "{} judged, {} owned, {} unknown, without advisories: {:?}",
        report.packages, report.owned, report.unknown, report.without_advisories
    );
    for entry in report.findings.iter().take(count) {
        println!(
            "  {} {} {} {} {} -> {}",
            entry.finding.vulnerability,
            entry.finding.rating.name(),
            entry.ecosystem,
            entry.package,
            entry.installed,
            entry.remedy()
        );
    }
    report.issues.iter().take(10).for_each(|issue| println!("  {issue}"));
    Ok(())
}
