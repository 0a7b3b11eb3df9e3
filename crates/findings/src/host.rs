//! What of a host's inventory counts: its packages as the advisories name them, and from where it can be reached.
//!
//! Libraries below `/usr`, but not below `/usr/local`, are the distribution's by the Filesystem Hierarchy Standard, and
//! judged as its packages: the registry's advisories do not know what it has fixed in them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use guardian_inventory::{Manager, Package};
use guardian_protocol::lists::List;
use guardian_vuln::ecosystem::Ecosystem;
use guardian_vuln::matching::Component;
use guardian_vuln::risk::Exposure;
use guardian_vuln::scan::{self, Os};
use serde_json::Value;

/// The lists of the inventory that are read.
pub const LISTS: [&str; 5] = ["system", "packages", "libraries", "ports", "interfaces"];

/// Components of one host that are looked at.
const COMPONENTS_MAX: usize = 50_000;

/// What is known of a host.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// Whose packages it has; none where nobody knows its distribution.
    pub ecosystem: Option<Ecosystem>,
    /// What it has, each once.
    pub components: Vec<Component>,
    /// From where it can be reached.
    pub exposure: Exposure,
    /// Why one thinks so.
    pub ground: String,
}

impl Facts {
    /// Of its lists; one that has not come yet says nothing.
    pub fn read(list: impl Fn(&str) -> Option<List>) -> Self {
        let ecosystem = list("system").as_ref().and_then(os).as_ref().and_then(Os::ecosystem);
        let mut components: Vec<Component> = Vec::new();
        for (name, ours) in [("packages", true), ("libraries", false)] {
            let Some(list) = list(name) else { continue };
            let entries = list.iter().filter_map(|(_, entry)| serde_json::from_str::<Value>(entry).ok());
            let fits = entries.filter(|entry| ours || ecosystem.is_none() || !is_distributions(entry));
            components.extend(fits.filter_map(|entry| component(&entry, ecosystem.as_ref())).take(COMPONENTS_MAX));
        }
        components.sort();
        components.dedup();
        let (exposure, ground) = exposure(list("ports").as_ref(), list("interfaces").as_ref());
        Self { ecosystem, components, exposure, ground }
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

/// From where a host can be reached: by the ports that it listens on, and the addresses that it has.
fn exposure(ports: Option<&List>, interfaces: Option<&List>) -> (Exposure, String) {
    let Some(ports) = ports else { return (Exposure::Unknown, "it has not said what it listens on".to_owned()) };
    let mut open: Vec<String> = Vec::new();
    for entry in ports.iter().filter_map(|(_, entry)| serde_json::from_str::<Value>(entry).ok()) {
        let address: Option<IpAddr> = text(&entry, "address").parse().ok();
        if address.is_some_and(|address| !address.is_loopback()) {
            open.push(text(&entry, "name").to_owned());
        }
    }
    open.sort();
    open.dedup();
    if open.is_empty() {
        return (Exposure::Local, "it listens on no port that others reach".to_owned());
    }
    let shown =
        if open.len() > 3 { format!("{} and {} more", open[..3].join(", "), open.len() - 3) } else { open.join(", ") };
    let own = interfaces.into_iter().flat_map(List::iter);
    let own = own.filter_map(|(_, entry)| serde_json::from_str::<Value>(entry).ok()).flat_map(|entry| {
        let all = entry.get("addresses").and_then(Value::as_array).cloned().unwrap_or_default();
        all.into_iter().filter_map(|address| address.as_str()?.split('/').next()?.parse::<IpAddr>().ok())
    });
    let mut own = own;
    match own.find(|address| is_public(*address)) {
        Some(address) => (Exposure::Internet, format!("it listens on {shown} and has the public address {address}")),
        None => (Exposure::Network, format!("it listens on {shown}")),
    }
}

/// Whether an address is one of the internet (IANA's registries of special addresses).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || address.is_multicast()
        || a == 0
        || a >= 240
        // Carriers' own (RFC 6598), protocols' (RFC 6890), benchmarks' (RFC 2544).
        || (a == 100 && (64..128).contains(&b))
        || (a, b, c) == (192, 0, 0)
        || (a == 198 && (b == 18 || b == 19));
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    // Global unicast is 2000::/3; 2001:db8::/32 is for books.
    first >> 13 == 1 && (first, second) != (0x2001, 0xdb8)
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

    fn facts(ports: &[&str], addresses: &[&str]) -> Facts {
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
            ("ports", list(&ports.iter().map(|a| (*a, json!({"name": "tcp/22", "address": a}))).collect::<Vec<_>>())),
            ("interfaces", list(&[("eth0", json!({"addresses": addresses}))])),
        ];
        Facts::read(|name| lists.iter().find(|(known, _)| *known == name).map(|(_, list)| list.clone()))
    }

    #[test]
    fn packages_are_whose_they_are() {
        let facts = facts(&[], &[]);
        let shown: Vec<String> =
            facts.components.iter().map(|c| format!("{} {} {}", c.ecosystem, c.name, c.source)).collect();
        assert_eq!(
            shown,
            ["debian:12 libssl3 openssl", "pypi flask "],
            "the distribution's own library is not Python's"
        );
    }

    #[test]
    fn a_host_is_as_exposed_as_it_listens() {
        for (ports, addresses, expected) in [
            (&["127.0.0.1", "::1"][..], &["93.184.216.34/24"][..], Exposure::Local),
            (&["0.0.0.0"], &["10.0.0.5/24", "127.0.0.1/8", "fe80::1/64", "100.64.1.1/10"], Exposure::Network),
            (&["0.0.0.0"], &["93.184.216.34/24"], Exposure::Internet),
            (&["::"], &["2606:2800:220:1::1/64"], Exposure::Internet),
            (&["::"], &["fd00::1/64", "2001:db8::1/64"], Exposure::Network),
        ] {
            let facts = facts(ports, addresses);
            assert_eq!(facts.exposure, expected, "{ports:?} {addresses:?}: {}", facts.ground);
        }
        assert_eq!(
            Facts::read(|_| None),
            Facts { ground: "it has not said what it listens on".to_owned(), ..Facts::default() }
        );
    }
}
