//! CISA's catalogue of known exploited vulnerabilities, as JSON.

use serde::Deserialize;

use super::download::Download;
use super::{Document, Sink, Source, day};
use crate::advisory::Signal;

#[derive(Debug, Deserialize)]
struct Catalogue {
    vulnerabilities: Vec<serde_json::Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    #[serde(rename = "cveID")]
    cve: String,
    date_added: String,
    #[serde(default)]
    due_date: String,
    #[serde(default)]
    known_ransomware_campaign_use: String,
}

/// Where its publishers give it.
const DOWNLOADS: &[Download] =
    &[Download::at("kev.json", "https://www.cisa.gov/sites/default/files/feeds/known_exploited_vulnerabilities.json")
        .at_most(256 << 20)];

/// The source.
pub(super) struct Kev;

impl Source for Kev {
    fn name(&self) -> &'static str {
        "kev"
    }

    fn downloads(&self) -> &'static [Download] {
        DOWNLOADS
    }

    fn recognises(&self, document: &Document<'_>) -> bool {
        document.is_json() && document.has("\"catalogVersion\"") && document.has("\"vulnerabilities\"")
    }

    fn read(&self, document: &Document<'_>, sink: &mut dyn Sink) -> Result<(), String> {
        let catalogue: Catalogue = serde_json::from_slice(document.bytes).map_err(|e| e.to_string())?;
        for entry in catalogue.vulnerabilities {
            match Entry::deserialize(entry) {
                Ok(entry) => sink.signal(
                    &entry.cve,
                    Signal::Known {
                        added_day: day(&entry.date_added),
                        due_day: day(&entry.due_date),
                        ransomware: entry.known_ransomware_campaign_use == "Known",
                    },
                ),
                Err(error) => sink.malformed("an entry", &error.to_string()),
            }
        }
        Ok(())
    }
}
