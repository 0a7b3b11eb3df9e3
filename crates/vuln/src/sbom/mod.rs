//! Bills of materials: CycloneDX 1.4 to 1.6 in JSON and XML, SPDX 2.3 in JSON and as tags with values. What is read is
//! judged as what a scan finds; what a scan finds is written in any of the four, and reads back as the same.

mod cyclonedx;
mod spdx;

use guardian_inventory::xml;
use serde_json::Value;

pub(crate) use cyclonedx::document as cyclonedx_document;

use crate::ecosystem::Ecosystem;
use crate::limits::COMPONENTS_MAX;
use crate::purl::{self, Purl};
use crate::report::About;
use crate::scan::{Os, Placed, Scanned};
use crate::vex;

/// A form in which a bill of materials is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// CycloneDX 1.6 in JSON.
    CycloneDxJson,
    /// CycloneDX 1.6 in XML.
    CycloneDxXml,
    /// SPDX 2.3 in JSON.
    SpdxJson,
    /// SPDX 2.3 as tags with values.
    SpdxTagValue,
}

impl Form {
    /// Every form, with its name on the command line.
    pub const ALL: [(&'static str, Self); 4] = [
        ("cyclonedx-json", Self::CycloneDxJson),
        ("cyclonedx-xml", Self::CycloneDxXml),
        ("spdx-json", Self::SpdxJson),
        ("spdx-tag-value", Self::SpdxTagValue),
    ];
}

impl std::str::FromStr for Form {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.iter().find(|(name, _)| *name == text);
        known.map(|(_, form)| *form).ok_or_else(|| Self::ALL.map(|(name, _)| name).join(", "))
    }
}

/// The packages of a bill of materials, if the document is one. `place` is how the document is called.
pub fn read(place: &str, bytes: &[u8]) -> Option<Result<Scanned, String>> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match bytes.iter().find(|byte| !byte.is_ascii_whitespace())? {
        b'{' => {
            let value: Value = serde_json::from_slice(bytes).ok()?;
            if vex::text(&value, "bomFormat") == "CycloneDX" {
                Some(cyclonedx::read(place, &value))
            } else {
                value.get("spdxVersion").is_some().then(|| spdx::read(place, &value))
            }
        }
        b'<' => {
            let head = &bytes[..bytes.len().min(4_096)];
            let is = head.windows(16).any(|window| window == b"cyclonedx.org/sc");
            is.then(|| cyclonedx::read_xml(place, &xml::parse(bytes).map_err(|error| error.to_string())?))
        }
        _ => {
            let head = &bytes[..bytes.len().min(4_096)];
            let is = head.windows(12).any(|window| window == b"SPDXVersion:");
            is.then(|| spdx::read_tags(place, &String::from_utf8_lossy(bytes)))
        }
    }
}

/// Writes what was found.
pub fn write(form: Form, scanned: &Scanned, about: &About<'_>) -> String {
    let pretty = |value: &Value| serde_json::to_string_pretty(value).unwrap_or_default();
    match form {
        Form::CycloneDxJson => pretty(&cyclonedx::document(scanned, about)),
        Form::CycloneDxXml => cyclonedx::write_xml(&cyclonedx::document(scanned, about)),
        Form::SpdxJson => pretty(&spdx::document(scanned, about)),
        Form::SpdxTagValue => spdx::write_tags(&spdx::document(scanned, about)),
    }
}

/// One component of a bill, whatever its form.
#[derive(Debug, Default)]
struct Part<'a> {
    purl: &'a str,
    name: &'a str,
    licences: Vec<String>,
    /// The file that says that it is there, where the bill says that.
    place: &'a str,
    /// The source package and its version, where they stand beside the package URL.
    source: &'a str,
    source_version: &'a str,
    layer: Option<u32>,
    /// The distribution's package that it belongs to, where the bill says that.
    owner: &'a str,
}

/// Takes the components of a bill.
struct Taking<'a> {
    scanned: Scanned,
    os: Option<Ecosystem>,
    document: &'a str,
    left: usize,
}

impl<'a> Taking<'a> {
    fn new(document: &'a str, subject: &str, os: Option<Os>) -> Self {
        let scanned = Scanned { subject: crate::advisory::clip(subject), os, ..Scanned::default() };
        let os = scanned.os.as_ref().and_then(Os::ecosystem);
        Self { scanned, os, document, left: COMPONENTS_MAX }
    }

    fn take(&mut self, part: Part<'_>) {
        if self.left == 0 {
            return;
        }
        self.left -= 1;
        // A component without a package URL is one of which nothing can be said; so is one of another kind.
        let component = Purl::new(part.purl).and_then(|purl| {
            let arch = purl.qualifier("arch").unwrap_or_default().to_owned();
            Some((purl.component(self.os.as_ref())?, arch))
        });
        let Some((mut component, arch)) = component.filter(|(component, _)| !component.version.is_empty()) else {
            if !part.name.is_empty() || !part.purl.is_empty() {
                self.scanned.unknown += 1;
            }
            return;
        };
        if component.ecosystem.is_distribution() && component.source.is_empty() {
            part.source.clone_into(&mut component.source);
            part.source_version.clone_into(&mut component.source_version);
        }
        let place = if part.place.is_empty() { self.document } else { part.place };
        let place = crate::advisory::clip(place);
        let owner = Some(part.owner.to_owned()).filter(|owner| !owner.is_empty());
        let (licences, layer) = (part.licences, part.layer);
        self.scanned.packages.push(Placed { component, place, owner, arch, licences, layer });
    }

    fn done(mut self) -> Scanned {
        if self.left == 0 {
            self.scanned.issue("there are too many components: the rest was left out".to_owned());
        }
        self.scanned.sorted()
    }
}

/// The package URL of a package that was found.
fn purl_of(placed: &Placed) -> String {
    purl::of(&placed.component, &placed.arch)
}
