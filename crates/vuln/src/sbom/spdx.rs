//! SPDX 2.3 (ISO/IEC 5962), as JSON and as tags with values. SPDX 2.2 reads the same.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::cyclonedx::seconds;
use super::{Part, Taking, purl_of};
use crate::report::About;
use crate::scan::{Os, Scanned};
use crate::vex::{list, text};

/// The packages of a document in JSON.
pub(super) fn read(place: &str, document: &Value) -> Result<Scanned, String> {
    let version = text(document, "spdxVersion");
    if !version.starts_with("SPDX-2.") {
        return Err(format!("it is of {}, not of SPDX 2", crate::advisory::clip(version)));
    }
    let is_os = |package: &&Value| text(package, "primaryPackagePurpose") == "OPERATING-SYSTEM";
    let os = list(document, "packages")
        .find(is_os)
        .map(|package| os_of(text(package, "name"), text(package, "versionInfo")));
    let mut taking = Taking::new(place, text(document, "name"), os);
    for package in list(document, "packages").filter(|package| !is_os(package)) {
        let references = list(package, "externalRefs");
        let purl = references
            .filter(|reference| text(reference, "referenceType") == "purl")
            .map(|r| text(r, "referenceLocator"));
        let declared = [text(package, "licenseDeclared")].into_iter().filter(|licence| said(licence));
        taking.take(Part {
            purl: purl.into_iter().next().unwrap_or_default(),
            name: text(package, "name"),
            licences: declared.map(crate::advisory::clip).collect(),
            place: text(package, "sourceInfo").strip_prefix(FOUND_IN).unwrap_or_default(),
            ..Part::default()
        });
    }
    let mut scanned = taking.done();
    scanned.image.made_s = seconds(text(&document["creationInfo"], "created"));
    Ok(scanned)
}

/// In front of the place in a package's free words.
const FOUND_IN: &str = "found in ";

fn said(licence: &str) -> bool {
    !matches!(licence, "" | "NOASSERTION" | "NONE")
}

fn os_of(name: &str, version: &str) -> Os {
    Os { id: name.to_owned(), version: version.to_owned(), name: format!("{name} {version}"), ..Os::default() }
}

/// The packages of a document of tags with values: a package begins with its name.
pub(super) fn read_tags(place: &str, text: &str) -> Result<Scanned, String> {
    #[derive(Default)]
    struct Open<'a> {
        name: &'a str,
        version: &'a str,
        purl: &'a str,
        licence: &'a str,
        place: &'a str,
        is_os: bool,
    }
    let (mut packages, mut subject, mut inside_text): (Vec<Open<'_>>, &str, bool) = (Vec::new(), "", false);
    for line in text.lines() {
        // A text may have many lines, of which none is a tag.
        let ends = line.contains("</text>");
        if inside_text {
            inside_text = !ends;
            continue;
        }
        inside_text = line.contains("<text>") && !ends;
        let Some((tag, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        let room = packages.len() < crate::limits::COMPONENTS_MAX;
        match (tag, packages.last_mut()) {
            ("SPDXVersion", _) if !value.starts_with("SPDX-2.") => return Err("it is not of SPDX 2".to_owned()),
            ("DocumentName", _) => subject = value,
            ("PackageName", _) if room => {
                packages.push(Open { name: value, ..Open::default() });
            }
            ("PackageVersion", Some(open)) => open.version = value,
            ("PrimaryPackagePurpose", Some(open)) => open.is_os = value == "OPERATING-SYSTEM",
            ("PackageLicenseDeclared", Some(open)) => open.licence = value,
            ("PackageSourceInfo", Some(open)) => {
                let plain = value.trim_start_matches("<text>").trim_end_matches("</text>");
                open.place = plain.strip_prefix(FOUND_IN).unwrap_or_default();
            }
            ("ExternalRef", Some(open)) => {
                let mut words = value.split_whitespace().skip(1);
                if let (Some("purl"), Some(purl)) = (words.next(), words.next()) {
                    open.purl = purl;
                }
            }
            _ => {}
        }
    }
    let os = packages.iter().find(|open| open.is_os).map(|open| os_of(open.name, open.version));
    let mut taking = Taking::new(place, subject, os);
    for open in packages.iter().filter(|open| !open.is_os) {
        let licences = [open.licence].into_iter().filter(|licence| said(licence)).map(crate::advisory::clip).collect();
        let (purl, name, place) = (open.purl, open.name, open.place);
        taking.take(Part { purl, name, licences, place, ..Part::default() });
    }
    Ok(taking.done())
}

/// What was found as a document in JSON.
pub(super) fn document(scanned: &Scanned, about: &About<'_>) -> Value {
    let mut packages = Vec::new();
    let mut relationships = Vec::new();
    let mut add = |mut package: Value| {
        let id = format!("SPDXRef-Package-{}", packages.len() + 1);
        package["SPDXID"] = json!(id);
        relationships.push(json!({
            "spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": id,
        }));
        packages.push(package);
    };
    let package = |name: &str, version: &str| {
        json!({
            "SPDXID": "", "name": name, "versionInfo": version, "downloadLocation": "NOASSERTION",
            "filesAnalyzed": false, "licenseConcluded": "NOASSERTION", "licenseDeclared": "NOASSERTION",
            "copyrightText": "NOASSERTION",
        })
    };
    if let Some(os) = &scanned.os {
        let mut os_package = package(&os.id, &os.version);
        os_package["primaryPackagePurpose"] = json!("OPERATING-SYSTEM");
        add(os_package);
    }
    let mut known = BTreeSet::new();
    for placed in &scanned.packages {
        let purl = purl_of(placed);
        if !known.insert(purl.clone()) {
            continue;
        }
        let mut library = package(&placed.component.name, &placed.component.version);
        library["sourceInfo"] = json!(format!("{FOUND_IN}{}", placed.place));
        // The words of a package are seldom an expression of SPDX, so that they are only quoted.
        if !placed.licences.is_empty() {
            library["licenseComments"] = json!(format!("The package says: {}", placed.licences.join(", ")));
        }
        library["externalRefs"] = json!([{
            "referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl,
        }]);
        add(library);
    }
    json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": scanned.subject,
        "documentNamespace": format!("https://spdx.org/spdxdocs/{}", about.uuid(&scanned.subject)),
        "creationInfo": { "created": about.time(), "creators": [format!("Tool: guardian-{}", about.version)] },
        "packages": packages,
        "relationships": relationships,
    })
}

/// A document as tags with values.
pub(super) fn write_tags(document: &Value) -> String {
    let mut out = String::new();
    // A value is one line; one of several stands between marks.
    let mut tag = |name: &str, value: &str| {
        if !value.is_empty() {
            out.push_str(&format!("{name}: {}\n", value.replace(['\n', '\r'], " ")));
        }
    };
    tag("SPDXVersion", text(document, "spdxVersion"));
    tag("DataLicense", text(document, "dataLicense"));
    tag("SPDXID", text(document, "SPDXID"));
    tag("DocumentName", text(document, "name"));
    tag("DocumentNamespace", text(document, "documentNamespace"));
    let creation = &document["creationInfo"];
    list(creation, "creators").filter_map(Value::as_str).for_each(|creator| tag("Creator", creator));
    tag("Created", text(creation, "created"));
    for package in list(document, "packages") {
        for (name, key) in [
            ("PackageName", "name"),
            ("SPDXID", "SPDXID"),
            ("PackageVersion", "versionInfo"),
            ("PackageDownloadLocation", "downloadLocation"),
            ("PrimaryPackagePurpose", "primaryPackagePurpose"),
        ] {
            tag(name, text(package, key));
        }
        tag("FilesAnalyzed", "false");
        for (name, key) in [
            ("PackageSourceInfo", "sourceInfo"),
            ("PackageLicenseConcluded", "licenseConcluded"),
            ("PackageLicenseDeclared", "licenseDeclared"),
            ("PackageLicenseComments", "licenseComments"),
            ("PackageCopyrightText", "copyrightText"),
        ] {
            tag(name, text(package, key));
        }
        for reference in list(package, "externalRefs") {
            let keys = ["referenceCategory", "referenceType", "referenceLocator"];
            tag("ExternalRef", &keys.map(|key| text(reference, key)).join(" "));
        }
    }
    for relation in list(document, "relationships") {
        let keys = ["spdxElementId", "relationshipType", "relatedSpdxElement"];
        tag("Relationship", &keys.map(|key| text(relation, key)).join(" "));
    }
    out
}
