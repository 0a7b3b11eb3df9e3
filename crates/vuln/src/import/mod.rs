//! What other scanners found, taken into the same findings: Nessus, OpenVAS, Nuclei, Trivy, Grype and Nmap. Whose word it is
//! is kept; what several found is one finding with all their names.
//!
//! One file a scanner, behind one function, in the order of [`ALL`].

mod grype;
mod nessus;
mod nmap;
mod nuclei;
mod openvas;
mod trivy;

use serde::Serialize;

use crate::cvss::Rating;
use crate::limits::{COMPONENTS_MAX, LIST_MAX};

/// What a scanner found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Imported {
    /// The scanner.
    pub scanner: String,
    /// The machine, by address or name; empty for what has none, such as a project.
    pub host: String,
    /// Port and protocol, such as `443/tcp`; empty where it is none.
    pub port: String,
    /// Names of the vulnerability: CVE names first, else the scanner's own for what it tried.
    pub names: Vec<String>,
    /// The package, where it is of one: its package URL, or empty.
    pub purl: String,
    /// Its name, or what answers at the port.
    pub package: String,
    /// Its version.
    pub version: String,
    /// The file that says that it is there.
    pub place: String,
    /// One line.
    pub summary: String,
    /// How bad, in the scanner's words.
    pub rating: Rating,
    /// The vector, where it gives one.
    pub vector: String,
    /// Versions with the fix, or what is to be done.
    pub fixes: Vec<String>,
    /// The scanner only concludes it from a version.
    pub by_version: bool,
}

/// A service that a scanner found.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Service {
    /// The machine.
    pub host: String,
    /// Port and protocol.
    pub port: String,
    /// What it is called.
    pub name: String,
    /// Product and version, where the scanner knows them.
    pub product: String,
}

/// What a report of a scanner holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// What was found.
    pub found: Vec<Imported>,
    /// Services that were found.
    pub services: Vec<Service>,
    /// Records that could not be read, or for which there was no room.
    pub malformed: usize,
}

impl Report {
    fn push(&mut self, mut imported: Imported) {
        imported.names.retain(|name| !name.is_empty());
        imported.names.truncate(LIST_MAX);
        if imported.names.is_empty() || self.found.len() >= COMPONENTS_MAX {
            self.malformed += 1;
        } else {
            self.found.push(imported);
        }
    }
}

/// A scanner: whether a report is its own, and what is in it.
struct Scanner {
    is: fn(head: &str) -> bool,
    read: fn(bytes: &[u8]) -> Result<Report, String>,
}

/// Every scanner.
const ALL: &[Scanner] = &[
    Scanner { is: |head| head.contains("<NessusClientData_v2"), read: nessus::read },
    Scanner { is: |head| head.contains("<nmaprun"), read: nmap::read },
    Scanner { is: |head| head.contains("<report") || head.contains("<get_reports_response"), read: openvas::read },
    Scanner { is: |head| head.contains("\"template-id\"") || head.contains("\"templateID\""), read: nuclei::read },
    Scanner { is: |head| head.contains("\"SchemaVersion\""), read: trivy::read },
    Scanner { is: |head| head.contains("\"matches\""), read: grype::read },
];

/// Reads a report of any of them.
pub fn read(bytes: &[u8]) -> Result<Report, String> {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(16 << 10)]);
    let scanner = ALL.iter().find(|scanner| (scanner.is)(&head));
    scanner.map_or_else(|| Err("it is of no scanner that is known".to_owned()), |scanner| (scanner.read)(bytes))
}

/// CVE names in a text, each once.
pub(crate) fn cves(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let upper = text.to_ascii_uppercase();
    for (at, _) in upper.match_indices("CVE-") {
        let rest = &upper[at..];
        let end = rest[4..].find(|c: char| !c.is_ascii_digit() && c != '-').map_or(rest.len(), |end| end + 4);
        let name = rest[..end].trim_end_matches('-');
        let whole = name.len() >= 13 && name.as_bytes().get(8) == Some(&b'-');
        if whole && name.len() <= 20 && !found.iter().any(|known| known == name) && found.len() < LIST_MAX {
            found.push(name.to_owned());
        }
    }
    found
}

/// A rating by its word, whoever writes it.
fn rating(word: &str) -> Rating {
    match word.to_ascii_lowercase().as_str() {
        "critical" => Rating::Critical,
        "high" => Rating::High,
        "medium" | "moderate" => Rating::Medium,
        "low" => Rating::Low,
        "none" | "info" | "log" | "negligible" => Rating::None,
        _ => Rating::Unknown,
    }
}
