//! OpenVEX (OpenVEX specification 0.2), as Canonical and others publish it: statements that a product has a vulnerability,
//! has it fixed, or never had it. Products are package URLs.

use serde::Deserialize;

use super::download::Download;
use super::{Document, Sink, Source, seconds};
use crate::advisory::{Advisory, Of, Statement, Status, clip, line};
use crate::ecosystem::Ecosystem;
use crate::limits::{AFFECTED_MAX, LIST_MAX};
use crate::purl::Purl;

#[derive(Debug, Deserialize)]
struct File {
    #[serde(default, rename = "@id")]
    id: String,
    #[serde(default)]
    timestamp: String,
    statements: Vec<serde_json::Value>,
}

#[derive(Debug, Deserialize)]
struct Said {
    vulnerability: Named,
    #[serde(default)]
    products: Vec<Product>,
    status: String,
    #[serde(default)]
    justification: String,
    #[serde(default)]
    status_notes: String,
    #[serde(default)]
    action_statement: String,
}

/// A name, or, since 0.2, an object with one.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Named {
    Name(String),
    Object {
        name: String,
        #[serde(default)]
        aliases: Vec<String>,
    },
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Product {
    Name(String),
    Object {
        #[serde(default, rename = "@id")]
        id: String,
        #[serde(default)]
        identifiers: Identifiers,
    },
}

#[derive(Debug, Default, Deserialize)]
struct Identifiers {
    #[serde(default)]
    purl: String,
}

/// Where its publishers give it.
const DOWNLOADS: &[Download] =
    &[Download::at("ubuntu.tar.xz", "https://security-metadata.canonical.com/vex/vex-all.tar.xz")];

/// The source.
pub(super) struct OpenVex;

impl Source for OpenVex {
    fn name(&self) -> &'static str {
        "openvex"
    }

    fn downloads(&self) -> &'static [Download] {
        DOWNLOADS
    }

    fn recognises(&self, document: &Document<'_>) -> bool {
        document.is_json() && document.has("openvex.dev/ns")
    }

    fn read(&self, document: &Document<'_>, sink: &mut dyn Sink) -> Result<(), String> {
        let file: File = serde_json::from_slice(document.bytes).map_err(|e| e.to_string())?;
        for statement in file.statements {
            match Said::deserialize(statement) {
                Ok(said) => {
                    let mut advisory = advisory(&said);
                    advisory.modified_s = seconds(&file.timestamp);
                    if file.id.starts_with("http") {
                        advisory.references.push(clip(&file.id));
                    }
                    if advisory.statements.is_empty() { sink.empty() } else { sink.advisory(advisory) }
                }
                Err(error) => sink.malformed(&file.id, &error.to_string()),
            }
        }
        Ok(())
    }
}

fn advisory(said: &Said) -> Advisory {
    let (name, aliases) = match &said.vulnerability {
        Named::Name(name) => (name, &[][..]),
        Named::Object { name, aliases } => (name, aliases.as_slice()),
    };
    let mut advisory = Advisory::new(name);
    // Canonical names pages there, which are no names.
    let aliases = aliases.iter().filter(|alias| !alias.contains("://") && *alias != name);
    advisory.aliases = aliases.take(LIST_MAX).map(|alias| clip(alias)).collect();
    let mut seen = std::collections::BTreeSet::new();
    for product in said.products.iter().take(AFFECTED_MAX) {
        let names = match product {
            Product::Name(id) => [id.as_str(), ""],
            Product::Object { id, identifiers } => [id.as_str(), identifiers.purl.as_str()],
        };
        let Some(purl) = names.into_iter().find_map(Purl::new) else { continue };
        let source = purl.qualifier("arch") == Some("source");
        let Some(ecosystem) = purl.ecosystem() else { continue };
        // What holds for the source holds for all that is built from it.
        if ecosystem.family() == "ubuntu" && !source {
            continue;
        }
        if let Some(statement) = statement(said, &purl, ecosystem, source)
            && seen.insert((statement.ecosystem.to_string(), statement.package.clone()))
        {
            advisory.statements.push(statement);
        }
    }
    advisory
}

fn statement(said: &Said, purl: &Purl, ecosystem: Ecosystem, source: bool) -> Option<Statement> {
    let of = if source { Of::Source } else { Of::Binary };
    let status = match said.status.as_str() {
        "not_affected" => Status::NotAffected,
        "under_investigation" => Status::UnderInvestigation,
        "affected" | "fixed" => Status::Affected,
        _ => return None,
    };
    let mut statement = Statement::new(ecosystem, &purl.full_name(), of, status);
    let reason = [&said.justification, &said.status_notes, &said.action_statement].into_iter().find(|r| !r.is_empty());
    statement.reason = line(reason.map_or("", String::as_str));
    Some(match (said.status.as_str(), purl.version.as_str()) {
        ("fixed", "") | ("not_affected", _) => statement,
        ("fixed", version) => statement.fixed_in(version),
        // Whoever names a version of a distribution means the package as it is today.
        _ => statement.all(),
    })
}
