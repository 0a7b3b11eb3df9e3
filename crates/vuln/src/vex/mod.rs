//! What somebody says of a vulnerability in a product (VEX), in three forms: OpenVEX, CSAF and CycloneDX. It is taken on its
//! word for the scan it is named for: what it says is not there is left out of the findings and shown with the reason.
//!
//! Distributions' own statements of this kind are advisories and belong into the store; see [`crate::sources`].

mod csaf;
pub(crate) mod cyclonedx;
mod openvex;
mod write;

use serde::Serialize;
use serde_json::Value;

pub use write::openvex;

use crate::matching::Component;
use crate::purl::Purl;

/// What is said of a vulnerability in a product.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The product does not have it.
    NotAffected,
    /// The product has it.
    Affected,
    /// The product had it, and has the fix.
    Fixed,
    /// Nobody knows yet.
    #[default]
    UnderInvestigation,
}

impl State {
    /// As OpenVEX names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotAffected => "not_affected",
            Self::Affected => "affected",
            Self::Fixed => "fixed",
            Self::UnderInvestigation => "under_investigation",
        }
    }
}

/// A statement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Names of the vulnerability.
    pub vulnerability: Vec<String>,
    /// The packages that it is about, as package URLs; with none it is about the whole subject of the scan.
    pub packages: Vec<Purl>,
    /// What is said.
    pub state: State,
    /// Why, as one of the form's words, such as `vulnerable_code_not_present`.
    pub justification: String,
    /// Why, in free words.
    pub words: String,
    /// Who says so: the document's author and name.
    pub by: String,
}

impl Said {
    /// Whether it is about this vulnerability in this package.
    pub fn is_of(&self, names: &[&str], component: &Component) -> bool {
        let named = self.vulnerability.iter().any(|name| names.contains(&name.as_str()));
        named && (self.packages.is_empty() || self.packages.iter().any(|purl| is(purl, component)))
    }

    /// Why, in one line.
    pub fn reason(&self) -> String {
        let parts = [self.justification.replace('_', " "), self.words.clone()];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ")
    }
}

/// Whether a package URL means the package: its name, and its version where it names one.
fn is(purl: &Purl, component: &Component) -> bool {
    let Some(meant) = purl.component(Some(&component.ecosystem)) else { return false };
    let ecosystem = meant.ecosystem.family() == component.ecosystem.family();
    let name = meant.name == component.name || !component.source.is_empty() && meant.name == component.source;
    let version = &component.version;
    let same = meant.version.is_empty()
        || meant.version == *version
        || component.ecosystem.scheme().compare(&meant.version, version).is_eq()
        || !component.source_version.is_empty() && meant.version == component.source_version;
    ecosystem && name && same
}

/// Reads a document in any of the three forms.
pub fn read(bytes: &[u8]) -> Result<Vec<Said>, String> {
    let start = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    if start == Some(&b'<') {
        return cyclonedx::read_xml(bytes);
    }
    let value: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if value.get("bomFormat").is_some() {
        Ok(cyclonedx::read(&value))
    } else if value.get("statements").is_some() {
        openvex::read(&value)
    } else if value.pointer("/document/csaf_version").is_some() {
        csaf::read(&value)
    } else {
        Err("it is neither OpenVEX nor CSAF nor CycloneDX".to_owned())
    }
}

/// A text of a value; empty where it has none.
pub(crate) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The entries of a list; none where it is none.
pub(crate) fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value.get(key).and_then(Value::as_array).into_iter().flatten().take(crate::limits::COMPONENTS_MAX)
}
