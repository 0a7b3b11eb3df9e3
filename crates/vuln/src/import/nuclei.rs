//! Nuclei's findings, one JSON object a line (or a list of them).

use serde_json::Value;

use super::{Imported, Report, rating};
use crate::advisory::{clip, line};
use crate::vex::{list, text};

/// What is in a report. A template that only informs is left out.
pub(super) fn read(bytes: &[u8]) -> Result<Report, String> {
    let mut report = Report::default();
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
        let all: Vec<Value> = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        all.iter().for_each(|value| take(value, &mut report));
        return Ok(report);
    }
    for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
        match serde_json::from_slice::<Value>(line) {
            Ok(value) => take(&value, &mut report),
            Err(_) => report.malformed += 1,
        }
    }
    Ok(report)
}

fn take(value: &Value, report: &mut Report) {
    let (Some(info), template) = (value.get("info"), text(value, "template-id")) else {
        report.malformed += 1;
        return;
    };
    let class = info.get("classification").unwrap_or(&Value::Null);
    let mut names: Vec<String> =
        list(class, "cve-id").filter_map(Value::as_str).map(|name| clip(&name.to_ascii_uppercase())).collect();
    if names.is_empty() {
        if text(info, "severity") == "info" {
            return;
        }
        names.push(format!("NUCLEI-{}", clip(template)));
    }
    let ip = text(value, "ip");
    let port = value.get("port").map(|port| port.as_str().map_or_else(|| port.to_string(), ToOwned::to_owned));
    report.push(Imported {
        scanner: "nuclei".to_owned(),
        host: clip(if ip.is_empty() { text(value, "host") } else { ip }),
        port: port.map(|port| format!("{port}/tcp")).unwrap_or_default(),
        names,
        place: clip(text(value, "matched-at")),
        summary: line(text(info, "name")),
        rating: rating(text(info, "severity")),
        vector: clip(text(class, "cvss-metrics")),
        fixes: Some(line(text(info, "remediation"))).filter(|fix| !fix.is_empty()).into_iter().collect(),
        ..Imported::default()
    });
}
