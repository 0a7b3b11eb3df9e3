//! NIST's database (API 2.0): pages of CVE records, of which the vectors are taken. Its CPE names say nothing of packages
//! and are not guessed at.

use serde::Deserialize;

use super::download::{Download, Origin};
use super::{Document, Sink, Source};
use crate::advisory::Signal;

#[derive(Debug, Deserialize)]
struct Page {
    vulnerabilities: Vec<serde_json::Value>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    cve: Record,
}

#[derive(Debug, Deserialize)]
struct Record {
    id: String,
    #[serde(default, rename = "vulnStatus")]
    status: String,
    #[serde(default)]
    metrics: serde_json::Map<String, serde_json::Value>,
}

/// Where its publishers give it.
const DOWNLOADS: &[Download] =
    &[Download::of("page", Origin::Pages("https://services.nvd.nist.gov/rest/json/cves/2.0"))];

/// The source.
pub(super) struct Nvd;

impl Source for Nvd {
    fn name(&self) -> &'static str {
        "nvd"
    }

    fn downloads(&self) -> &'static [Download] {
        DOWNLOADS
    }

    fn recognises(&self, document: &Document<'_>) -> bool {
        document.is_json()
            && (document.has("\"NVD_CVE\"") || document.has("\"vulnStatus\"") && document.has("\"sourceIdentifier\""))
    }

    fn read(&self, document: &Document<'_>, sink: &mut dyn Sink) -> Result<(), String> {
        let value: serde_json::Value = serde_json::from_slice(document.bytes).map_err(|e| e.to_string())?;
        let entries = match value.get("cve") {
            Some(_) => vec![value],
            None => Page::deserialize(value).map_err(|e| e.to_string())?.vulnerabilities,
        };
        for entry in entries {
            match Entry::deserialize(entry) {
                Ok(entry) if entry.cve.status == "Rejected" => sink.empty(),
                Ok(entry) => {
                    let vectors = entry.cve.metrics.iter().filter(|(name, _)| name.starts_with("cvssMetric"));
                    for metric in vectors.filter_map(|(_, metrics)| metrics.as_array()).flatten() {
                        if let Some(vector) = metric.pointer("/cvssData/vectorString").and_then(|v| v.as_str()) {
                            sink.signal(&entry.cve.id, Signal::Vector(vector.to_owned()));
                        }
                    }
                }
                Err(error) => sink.malformed("a record", &error.to_string()),
            }
        }
        Ok(())
    }
}
