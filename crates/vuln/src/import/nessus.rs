//! Nessus' reports (`.nessus`, "Nessus v2 File Format").

use guardian_inventory::xml::{self, Element};

use super::{Imported, Report, rating};
use crate::advisory::{clip, line};

/// What is in a report. Plugins that name no vulnerability and are rated as information are left out.
pub(super) fn read(bytes: &[u8]) -> Result<Report, String> {
    let error = |error: guardian_inventory::Malformed| error.to_string();
    let mut document = xml::Document::new(bytes).map_err(error)?;
    let mut report = Report::default();
    let mut host = String::new();
    while let Some(element) = document.next_open().map_err(error)? {
        match element.name.as_str() {
            "ReportHost" => host = clip(element.attribute("name")),
            "tag" if element.attribute("name") == "host-ip" => {
                let address = document.fill(element).map_err(error)?;
                if host.is_empty() {
                    host = clip(address.text.trim());
                }
            }
            "ReportItem" => {
                let item = document.fill(element).map_err(error)?;
                let informs = item.attribute("severity") == "0" && item.child("cve").is_none();
                if !informs {
                    report.push(imported(&item, &host));
                }
            }
            _ => {}
        }
    }
    Ok(report)
}

fn imported(item: &Element, host: &str) -> Imported {
    let mut names: Vec<String> = item.all("cve").map(|cve| clip(cve.text.trim())).collect();
    if names.is_empty() {
        names.push(format!("NESSUS-{}", clip(item.attribute("pluginID"))));
    }
    let port = item.attribute("port");
    let vectors = ["cvss4_vector", "cvss3_vector", "cvss_vector"].map(|name| item.text_at(&[name]));
    let vector = vectors.into_iter().find(|vector| !vector.is_empty()).unwrap_or_default();
    let word = match item.text_at(&["risk_factor"]) {
        "" => ["none", "low", "medium", "high", "critical"]
            .get(item.attribute("severity").parse::<usize>().unwrap_or(9))
            .copied()
            .unwrap_or_default(),
        word => word,
    };
    Imported {
        scanner: "nessus".to_owned(),
        host: host.to_owned(),
        port: if matches!(port, "" | "0") {
            String::new()
        } else {
            clip(&format!("{port}/{}", item.attribute("protocol")))
        },
        names,
        package: clip(item.attribute("svc_name")),
        summary: line(item.attribute("pluginName")),
        rating: rating(word),
        // Version 2 stands behind a mark.
        vector: clip(vector.trim_start_matches("CVSS2#")),
        fixes: Some(line(item.text_at(&["solution"])))
            .filter(|fix| !fix.is_empty() && fix != "n/a")
            .into_iter()
            .collect(),
        ..Imported::default()
    }
}
