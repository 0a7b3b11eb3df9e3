//! What of a host's inventory counts: its packages as the advisories name them, and from where it can be reached.
//!
//! Libraries below `/usr`, but not below `/usr/local`, are the distribution's by the Filesystem Hierarchy Standard, and
//! judged as its packages: the registry's advisories do not know what it has fixed in them.

use guardian_catalog::FindingsOf;
use guardian_inventory::{Manager, Package};
use guardian_protocol::lists::List;
use guardian_vuln::ecosystem::Ecosystem;
use guardian_vuln::matching::Component;
use guardian_vuln::risk::Exposure;
use guardian_vuln::scan::{self, Os};
use serde_json::Value;

use crate::exposure::{self, Reason};
use crate::kernel;

/// The lists of the inventory that are read.
pub const LISTS: [&str; 6] = ["system", "packages", "libraries", "ports", "interfaces", "firewall"];

/// Components of one host that are looked at.
pub(crate) const COMPONENTS_MAX: usize = 50_000;

/// What is known of a host, or of an image.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// What it is.
    pub of: FindingsOf,
    /// Whose packages it has; none where nobody knows its distribution.
    pub ecosystem: Option<Ecosystem>,
    /// What it has, each once.
    pub components: Vec<Component>,
    /// From where it can be reached.
    pub exposure: Exposure,
    /// Why one thinks so.
    pub reasons: Vec<Reason>,
    /// The kernel that runs: its release, and its version after a space where it says so; empty where nobody knows.
    pub kernel: String,
    /// What it is worth, where that was said of it alone; empty for what follows from tags and groups.
    pub criticality: String,
}

impl Facts {
    /// Of its lists; one that has not come yet says nothing.
    pub fn read(list: impl Fn(&str) -> Option<List>) -> Self {
        let system = list("system");
        let ecosystem = system.as_ref().and_then(os).as_ref().and_then(Os::ecosystem);
        let mut components: Vec<Component> = Vec::new();
        for (name, ours) in [("packages", true), ("libraries", false)] {
            let Some(list) = list(name) else { continue };
            let entries = list.iter().filter_map(|(_, entry)| serde_json::from_str::<Value>(entry).ok());
            let fits = entries.filter(|entry| ours || ecosystem.is_none() || !is_distributions(entry));
            components.extend(fits.filter_map(|entry| component(&entry, ecosystem.as_ref())).take(COMPONENTS_MAX));
        }
        let (release, said) = system.as_ref().map(running).unwrap_or_default();
        let kernel = kernel::running(&mut components, &release, &said);
        components.sort();
        components.dedup();
        let [ports, interfaces, firewall] = ["ports", "interfaces", "firewall"].map(list);
        let (exposure, reasons) = exposure::of_lists(ports.as_ref(), interfaces.as_ref(), firewall.as_ref());
        Self { ecosystem, components, exposure, reasons, kernel, ..Self::default() }
    }
}

fn text<'a>(entry: &'a Value, name: &str) -> &'a str {
    entry.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// What the host says it is.
fn os(system: &List) -> Option<Os> {
    let (_, entry) = system.iter().find(|(key, _)| *key == "os")?;
    let entry: Value = serde_json::from_str(entry).ok()?;
    let version = match (text(&entry, "version"), text(&entry, "codename")) {
        // Debian's next release has a code name and no number yet.
        ("", "sid") => "sid",
        (version, _) => version,
    };
    Some(Os {
        id: text(&entry, "name").to_owned(),
        like: text(&entry, "like").to_owned(),
        version: version.to_owned(),
        name: text(&entry, "description").to_owned(),
    })
}

/// The kernel that runs: how it names itself, and what it says of how it was built.
fn running(system: &List) -> (String, String) {
    let entry = system.iter().find(|(key, _)| *key == "kernel");
    let entry: Value = entry.and_then(|(_, entry)| serde_json::from_str(entry).ok()).unwrap_or_default();
    (text(&entry, "version").to_owned(), text(&entry, "description").to_owned())
}

/// Whether a library lies where a distribution's packages put theirs.
fn is_distributions(entry: &Value) -> bool {
    let path = text(entry, "path");
    path.starts_with("/usr/") && !path.starts_with("/usr/local/")
}

/// The manager behind the word that an agent has for it.
fn manager(kind: &str) -> Option<Manager> {
    use Manager::{
        Apk, Cargo, Composer, Conda, Cran, Dpkg, Gem, Go, Hex, Java, Nix, Npm, NuGet, Pacman, Portage, Pub, Python,
        Rpm, Swift,
    };
    let known = [
        ("dpkg", Dpkg),
        ("rpm", Rpm),
        ("apk", Apk),
        ("pacman", Pacman),
        ("portage", Portage),
        ("nix", Nix),
        ("python", Python),
        ("npm", Npm),
        ("gem", Gem),
        ("cargo", Cargo),
        ("go", Go),
        ("java", Java),
    ];
    let other = [Conda, Composer, NuGet, Hex, Pub, Swift, Cran];
    let word = known.iter().find(|(word, _)| *word == kind).map(|(_, manager)| *manager);
    word.or_else(|| other.into_iter().find(|manager| manager.purl_type() == kind))
}

fn component(entry: &Value, os: Option<&Ecosystem>) -> Option<Component> {
    let (name, version) = (text(entry, "name"), text(entry, "version"));
    // What was built in somebody's folder has no version that an advisory could speak of.
    if name.is_empty() || matches!(version, "" | "(devel)") || name.len() > 300 || version.len() > 200 {
        return None;
    }
    let package = Package {
        manager: manager(text(entry, "kind"))?,
        name: name.to_owned(),
        version: version.to_owned(),
        arch: String::new(),
        licences: Vec::new(),
        vendor: String::new(),
        source: text(entry, "source").chars().take(300).collect(),
        source_version: text(entry, "source_version").chars().take(200).collect(),
        installed_s: None,
        size_bytes: None,
        url: String::new(),
    };
    scan::component(&package, os)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn list(entries: &[(&str, Value)]) -> List {
        let mut list = List::default();
        entries.iter().for_each(|(key, entry)| assert!(list.put(key, entry)));
        list
    }

    fn facts() -> Facts {
        let lists = [
            ("system", list(&[("os", json!({"name": "debian", "version": "12"}))])),
            (
                "packages",
                list(&[
                    ("a", json!({"kind": "dpkg", "name": "libssl3", "version": "3.0.9-1", "source": "openssl"})),
                    ("b", json!({"kind": "rpm", "name": "strange", "version": "1"})),
                    ("c", json!({"kind": "snap", "name": "core", "version": "1"})),
                ]),
            ),
            (
                "libraries",
                list(&[
                    (
                        "d",
                        json!({"kind": "python", "name": "requests", "version": "2.28.1", "path": "/usr/lib/python3/dist-packages/requests"}),
                    ),
                    (
                        "e",
                        json!({"kind": "python", "name": "Flask", "version": "1.0", "path": "/usr/local/lib/python3/x"}),
                    ),
                    ("f", json!({"kind": "go", "name": "example.com/x", "version": "(devel)", "path": "/opt/x"})),
                ]),
            ),
        ];
        Facts::read(|name| lists.iter().find(|(known, _)| *known == name).map(|(_, list)| list.clone()))
    }

    #[test]
    fn packages_are_whose_they_are() {
        let facts = facts();
        let shown: Vec<String> =
            facts.components.iter().map(|c| format!("{} {} {}", c.ecosystem, c.name, c.source)).collect();
        assert_eq!(
            shown,
            ["debian:12 libssl3 openssl", "pypi flask "],
            "the distribution's own library is not Python's"
        );
    }

    #[test]
    fn nothing_is_known_of_a_host_that_said_nothing() {
        let facts = Facts::read(|_| None);
        assert_eq!((facts.components.len(), facts.exposure, facts.kernel.as_str()), (0, Exposure::Unknown, ""));
    }
}
