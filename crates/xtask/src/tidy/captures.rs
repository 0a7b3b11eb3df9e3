//! The recorded traffic, the script that records it and the table that explains it tell of the same captures.

use std::collections::BTreeSet;

use anyhow::Result;

use super::{Report, Tree};

/// What each scenario leaves behind.
const FORMATS: &[&str] = &["pcap", "netflow5.pcap", "netflow9.pcap", "ipfix.pcap", "sflow.pcap"];
/// All captures together, in bytes: a clone stays quick.
const BYTES_MAX: u64 = 15_000_000;

/// Compares the script's list, the files and the README's table.
pub(super) fn check(tree: &Tree, report: &mut Report) -> Result<()> {
    let script = tree.sources.iter().find(|source| source.name() == "captures/record");
    let readme = tree.sources.iter().find(|source| source.name() == "captures/README.md");
    let (Some(script), Some(readme)) = (script, readme) else {
        report.error("captures/record and captures/README.md belong together; one is missing".to_owned());
        return Ok(());
    };
    let scenarios: BTreeSet<&str> = script
        .text
        .lines()
        .find_map(|line| line.strip_prefix("scenarios=(")?.strip_suffix(')'))
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let mut bytes = 0;
    let mut recorded = BTreeSet::new();
    for path in
        tree.paths.iter().filter(|path| path.starts_with("captures") && path.extension().is_some_and(|e| e == "pcap"))
    {
        bytes += std::fs::metadata(tree.root.join(path))?.len();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        recorded.insert(name.split('.').next().unwrap_or_default().to_owned());
    }
    for scenario in &scenarios {
        for format in FORMATS {
            if !tree.paths.iter().any(|path| path.to_string_lossy() == format!("captures/{scenario}.{format}")) {
                report.error(format!(
                    "captures/{scenario}.{format} is missing; record it with `captures/record {scenario}`"
                ));
            }
        }
        if !readme.text.contains(&format!("| `{scenario}` |")) {
            report.error(format!("captures/README.md: no row for `{scenario}`"));
        }
    }
    for name in recorded.iter().filter(|name| !scenarios.contains(name.as_str())) {
        report.error(format!("captures/{name}.pcap: the script has no scenario of that name"));
    }
    if bytes > BYTES_MAX {
        report.error(format!("captures: {bytes} bytes together; shorten them (limit {BYTES_MAX})"));
    }
    Ok(())
}
