//! Python distributions: `METADATA` of a `.dist-info` folder, `PKG-INFO` of an `.egg-info` (PyPA "Core metadata
//! specifications").

use crate::text::{clip, list, stanzas};
use crate::{Malformed, Manager, Package};

/// The distribution of one metadata file.
pub fn parse(metadata: &[u8]) -> Result<Package, Malformed> {
    let malformed = |what| Malformed { format: "the metadata of a Python distribution", what };
    // What follows the first blank line is the long description.
    let head = stanzas(metadata).next().ok_or(malformed("it is empty"))?;
    let (name, version) = (head.get("Name"), head.get("Version"));
    if name.is_empty() || version.is_empty() {
        return Err(malformed("it has no name or no version"));
    }
    let mut package = Package::new(Manager::Python, name, version);
    // An expression (PEP 639) says most, then what the classifiers say, then whatever was written.
    let expression = head.get("License-Expression");
    let classifiers = head.all("Classifier").filter_map(|c| c.strip_prefix("License :: "));
    let classifiers = list(classifiers.map(|c| c.rsplit(" :: ").next().unwrap_or(c)));
    package.licences = if !expression.is_empty() {
        list([expression])
    } else if classifiers.iter().any(|c| c != "OSI Approved") {
        classifiers
    } else {
        // Some put the whole text of the licence there: its first line names it.
        list(head.get("License").lines().next().filter(|l| !matches!(*l, "UNKNOWN" | "None")))
    };
    let first =
        |names: &[&str]| names.iter().map(|n| head.get(n)).find(|v| !v.is_empty()).unwrap_or_default().to_owned();
    package.vendor = clip(&first(&["Maintainer", "Author", "Maintainer-email", "Author-email"]));
    package.url = clip(&first(&["Home-page"]));
    Ok(package)
}

/// What a metadata file says about its distribution in a line.
pub fn summary(metadata: &[u8]) -> String {
    stanzas(metadata).next().map(|head| clip(head.get("Summary"))).unwrap_or_default()
}

/// The form under which a distribution's name is compared (PEP 503).
pub fn normalise(name: &str) -> String {
    let mut normal = String::with_capacity(name.len());
    for c in name.chars() {
        let hyphen = matches!(c, '-' | '_' | '.');
        if !(hyphen && normal.ends_with('-')) {
            normal.push(if hyphen { '-' } else { c.to_ascii_lowercase() });
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_are_compared_in_one_form() {
        assert_eq!(super::normalise("Zope._-Interface"), "zope-interface");
    }
}
