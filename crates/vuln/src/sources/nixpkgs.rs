//! NixOS: the list of packages that every channel publishes (`packages.json`), in which a package that its keepers know to
//! be insecure says why (`meta.knownVulnerabilities`, Nixpkgs manual, "Installing insecure packages").
//!
//! Only the version that the channel has is spoken of: of another one nothing is said.

use std::collections::BTreeMap;

use guardian_inventory::nix;
use serde::Deserialize;

use super::download::Download;
use super::{Document, Sink, Source};
use crate::advisory::{Advisory, Of, Statement, Status, line};
use crate::ecosystem::Ecosystem;
use crate::import::cves;
use crate::limits::LIST_MAX;

#[derive(Debug, Deserialize)]
struct Channel {
    packages: BTreeMap<String, Package>,
}

#[derive(Debug, Deserialize)]
struct Package {
    #[serde(default)]
    name: String,
    #[serde(default)]
    meta: Meta,
}

#[derive(Debug, Default, Deserialize)]
struct Meta {
    #[serde(default, rename = "knownVulnerabilities")]
    known: Vec<String>,
}

/// The list of each channel.
macro_rules! channels {
    ($($how:ident $channel:literal,)*) => {
        [$(Download::$how(
            concat!("nixos-", $channel, ".json.br"),
            concat!("https://channels.nixos.org/nixos-", $channel, "/packages.json.br"),
        )),*]
    };
}

/// Where it is given: the channel that goes on, the stable ones, and those that will follow.
const DOWNLOADS: &[Download] = &channels! {
    at "unstable",
    perhaps "25.05", perhaps "25.11", perhaps "26.05", perhaps "26.11", perhaps "27.05", perhaps "27.11",
};

/// The source.
pub(super) struct Nixpkgs;

impl Source for Nixpkgs {
    fn name(&self) -> &'static str {
        "nixpkgs"
    }

    fn downloads(&self) -> &'static [Download] {
        DOWNLOADS
    }

    fn recognises(&self, document: &Document<'_>) -> bool {
        document.is_json() && document.has("\"packages\"") && document.has("\"pname\"") && document.has("\"meta\"")
    }

    fn read(&self, document: &Document<'_>, sink: &mut dyn Sink) -> Result<(), String> {
        let channel: Channel = serde_json::from_slice(document.bytes).map_err(|e| e.to_string())?;
        for (attribute, package) in channel.packages {
            if !package.meta.known.is_empty() {
                read_package(&attribute, &package, sink);
            }
        }
        Ok(())
    }
}

/// One advisory a vulnerability; a reason that names none, such as that nobody looks after it any more, is one of its own.
fn read_package(attribute: &str, package: &Package, sink: &mut dyn Sink) {
    // As a path in the store is named, of which the hash is of no interest.
    let path = format!("{:032}-{}", 0, package.name);
    let (Some(ecosystem), Some((name, version))) = (Ecosystem::new("nix", ""), nix::name(&path)) else {
        return sink.malformed(attribute, "a package without a version");
    };
    for reason in package.meta.known.iter().take(LIST_MAX) {
        let mut names = cves(reason);
        if names.is_empty() {
            names.push(format!("NIXPKGS-{name}-{version}"));
        }
        for vulnerability in names {
            let mut statement = Statement::new(ecosystem.clone(), name, Of::Binary, Status::Affected);
            statement.versions = vec![version.to_owned()];
            statement.reason = line(reason);
            let mut advisory = Advisory::new(&vulnerability);
            advisory.summary = line(reason);
            advisory.statements.push(statement);
            sink.advisory(advisory);
        }
    }
}
