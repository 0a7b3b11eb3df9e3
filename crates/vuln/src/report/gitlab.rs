//! GitLab's reports of dependency and container scanning (its "security-report-schemas", 15.0).

use serde_json::{Value, json};

use super::{About, Entry, Report};
use crate::cvss::Rating;

/// The report for GitLab: of an image as container scanning, of anything else as dependency scanning.
pub fn gitlab(report: &Report, about: &About<'_>, is_image: bool) -> Value {
    let time = about.time();
    let time = time.trim_end_matches('Z').split('.').next().unwrap_or_default();
    let tool =
        json!({ "id": "guardian", "name": "Guardian", "version": about.version, "vendor": { "name": "Guardian" } });
    let kind = if is_image { "container_scanning" } else { "dependency_scanning" };
    json!({
        "version": "15.0.7",
        "scan": {
            "analyzer": tool, "scanner": tool, "type": kind, "status": "success", "start_time": time, "end_time": time,
        },
        "vulnerabilities": report.findings.iter().map(|entry| vulnerability(report, entry, about, is_image)).collect::<Vec<_>>(),
    })
}

fn vulnerability(report: &Report, entry: &Entry, about: &About<'_>, is_image: bool) -> Value {
    let finding = &entry.finding;
    let severity = match finding.rating {
        Rating::Critical => "Critical",
        Rating::High => "High",
        Rating::Medium => "Medium",
        Rating::Low => "Low",
        Rating::None => "Info",
        Rating::Unknown => "Unknown",
    };
    let dependency = json!({ "package": { "name": entry.package }, "version": entry.installed });
    let location = if is_image {
        let system = report.os.as_ref().map_or(entry.ecosystem.as_str(), |os| os.name.as_str());
        json!({ "dependency": dependency, "image": report.subject, "operating_system": system })
    } else {
        let file = entry.places.first().map_or("", |place| place.trim_start_matches('/'));
        json!({ "dependency": dependency, "file": file })
    };
    let names = std::iter::once(&finding.vulnerability).chain(&finding.aliases);
    let identifiers: Vec<Value> = names
        .map(|name| {
            let kind = name.split('-').next().unwrap_or_default().to_ascii_lowercase();
            json!({ "type": kind, "name": name, "value": name })
        })
        .collect();
    let solution = match finding.fixed_in.as_slice() {
        [] => String::new(),
        versions => format!("Update {} to {}.", entry.package, versions.join(" or ")),
    };
    let links = finding.references.iter().filter(|url| url.starts_with("http")).take(20);
    json!({
        "id": about.uuid(&format!("{} {} {}", finding.vulnerability, entry.purl, entry.places.join(" "))),
        "name": finding.vulnerability,
        "description": finding.summary,
        "severity": severity,
        "solution": solution,
        "identifiers": identifiers,
        "links": links.map(|url| json!({ "url": url })).collect::<Vec<_>>(),
        "location": location,
    })
}
