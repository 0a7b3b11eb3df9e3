//! Reports of OpenVAS (Greenbone Management Protocol, "get_reports").

use guardian_inventory::xml::{self, Element};

use super::{Imported, Report, cves, rating};
use crate::advisory::{clip, line};

/// What is in a report. Results that only log are left out.
pub(super) fn read(bytes: &[u8]) -> Result<Report, String> {
    let error = |error: guardian_inventory::Malformed| error.to_string();
    let mut document = xml::Document::new(bytes).map_err(error)?;
    let mut report = Report::default();
    while let Some(element) = document.next_open().map_err(error)? {
        if element.name != "result" {
            continue;
        }
        let result = document.fill(element).map_err(error)?;
        let Some(nvt) = result.child("nvt") else { continue };
        if matches!(result.text_at(&["threat"]), "Log" | "Debug" | "False Positive") {
            continue;
        }
        report.push(imported(&result, nvt));
    }
    Ok(report)
}

fn imported(result: &Element, nvt: &Element) -> Imported {
    let references = nvt.child("refs").into_iter().flat_map(|list| list.all("ref"));
    let named =
        references.filter(|reference| reference.attribute("type") == "cve").map(|one| clip(one.attribute("id")));
    let mut names: Vec<String> = named.chain(cves(nvt.text_at(&["cve"]))).collect();
    names.dedup();
    if names.is_empty() {
        names.push(format!("OPENVAS-{}", clip(nvt.attribute("oid"))));
    }
    let port = result.text_at(&["port"]);
    // The newer form has a list of severities with their vectors.
    let vector = nvt.at(&["severities", "severity"]).map_or("", |severity| severity.text_at(&["value"]));
    let solution = line(nvt.text_at(&["solution"]));
    Imported {
        scanner: "openvas".to_owned(),
        host: clip(result.child("host").map_or("", |host| host.text.trim())),
        port: if port.starts_with("general/") { String::new() } else { clip(port) },
        names,
        summary: line(result.text_at(&["name"])),
        rating: rating(result.text_at(&["threat"])),
        vector: clip(vector),
        fixes: Some(solution).filter(|solution| !solution.is_empty()).into_iter().collect(),
        ..Imported::default()
    }
}
