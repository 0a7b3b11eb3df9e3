//! CVE records (CVE JSON 5.x) as MITRE and CISA's vulnrichment keep them: vectors, CISA's decision (SSVC), and whether it
//! is in the catalogue of those that are used. What they say of products is not guessed at.

use serde::Deserialize;
use serde_json::Value;

use super::{Document, Sink, Source, day};
use crate::advisory::{Exploitation, Signal};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    cve_metadata: Metadata,
    containers: Containers,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    cve_id: String,
    #[serde(default)]
    state: String,
}

#[derive(Debug, Deserialize)]
struct Containers {
    cna: Container,
    #[serde(default)]
    adp: Vec<Container>,
}

#[derive(Debug, Deserialize)]
struct Container {
    #[serde(default)]
    metrics: Vec<Value>,
}

/// The source.
pub(super) struct Cve;

impl Source for Cve {
    fn name(&self) -> &'static str {
        "cve"
    }

    fn recognises(&self, document: &Document<'_>) -> bool {
        document.is_json() && (document.has("\"CVE_RECORD\"") || document.has("\"cveMetadata\""))
    }

    fn read(&self, document: &Document<'_>, sink: &mut dyn Sink) -> Result<(), String> {
        let record: Record = serde_json::from_slice(document.bytes).map_err(|e| e.to_string())?;
        let cve = &record.cve_metadata.cve_id;
        if record.cve_metadata.state == "REJECTED" {
            sink.empty();
            return Ok(());
        }
        let metrics = record.containers.adp.iter().chain([&record.containers.cna]).flat_map(|c| &c.metrics);
        for metric in metrics {
            let vectors = metric.as_object().into_iter().flatten().filter(|(name, _)| name.starts_with("cvss"));
            for vector in vectors.filter_map(|(_, value)| value.get("vectorString")?.as_str()) {
                sink.signal(cve, Signal::Vector(vector.to_owned()));
            }
            let Some(content) = metric.pointer("/other/content") else { continue };
            match metric.pointer("/other/type").and_then(Value::as_str) {
                Some("ssvc") => sink.signal(cve, decision(content)),
                Some("kev") => {
                    let added = content.get("dateAdded").and_then(Value::as_str).unwrap_or_default();
                    sink.signal(cve, Signal::Known { added_day: day(added), due_day: 0, ransomware: false });
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn decision(content: &Value) -> Signal {
    let options = content.get("options").and_then(Value::as_array);
    let option = |name: &str| options?.iter().find_map(|option| option.get(name)?.as_str());
    Signal::Decision {
        // Some write the words large.
        exploitation: match option("Exploitation").map(str::to_ascii_lowercase).as_deref() {
            Some("active") => Exploitation::Active,
            Some("poc") => Exploitation::Poc,
            Some("none") => Exploitation::None,
            _ => Exploitation::Unknown,
        },
        automatable: option("Automatable").map(|word| word.eq_ignore_ascii_case("yes")),
        total_impact: option("Technical Impact").map(|word| word.eq_ignore_ascii_case("total")),
    }
}
