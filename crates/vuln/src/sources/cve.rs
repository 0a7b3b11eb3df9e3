//! CVE records (CVE JSON 5.x) as MITRE and CISA's vulnrichment keep them: vectors, CISA's decision (SSVC), whether it is in
//! the catalogue of those that are used, and whether an exploit lies where anybody finds it. What they say of products is
//! not guessed at.

use serde::Deserialize;
use serde_json::Value;

use super::download::Download;
use super::{Document, Sink, Source, day};
use crate::advisory::{Exploitation, Signal, clip};

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
    #[serde(default)]
    references: Vec<Reference>,
}

#[derive(Debug, Deserialize)]
struct Reference {
    #[serde(default)]
    url: String,
}

/// Where its publishers give it.
const DOWNLOADS: &[Download] = &[
    Download::at("cvelist.tar.gz", "https://github.com/CVEProject/cvelistV5/archive/refs/heads/main.tar.gz"),
    Download::at("vulnrichment.tar.gz", "https://github.com/cisagov/vulnrichment/archive/refs/heads/develop.tar.gz"),
];

/// The source.
pub(super) struct Cve;

impl Source for Cve {
    fn name(&self) -> &'static str {
        "cve"
    }

    fn downloads(&self) -> &'static [Download] {
        DOWNLOADS
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
        let references = record.containers.adp.iter().chain([&record.containers.cna]).flat_map(|c| &c.references);
        for reference in references.filter(|reference| is_exploit(&reference.url)) {
            sink.signal(cve, Signal::Exploit(clip(&reference.url)));
            // What somebody has published is public, whenever the coordinator looked.
            let (exploitation, automatable, total_impact) = (Exploitation::Poc, None, None);
            sink.signal(cve, Signal::Decision { exploitation, automatable, total_impact });
        }
        Ok(())
    }
}

/// Whether the address is that of an exploit in ExploitDB, or of a module of Metasploit that exploits something. What is only
/// tagged as an exploit may be a description.
fn is_exploit(url: &str) -> bool {
    let address = url.split_once("://").map_or(url, |(_, rest)| rest).trim_start_matches("www.");
    let lists = [
        "exploit-db.com/exploits/",
        "rapid7.com/db/modules/exploit/",
        "github.com/rapid7/metasploit-framework/blob/master/modules/exploits/",
    ];
    lists.iter().any(|list| address.strip_prefix(list).is_some_and(|rest| !rest.is_empty()))
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
