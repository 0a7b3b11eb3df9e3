//! Alpine's security database, and those of Wolfi, Chainguard and others in its form: source packages, each with the
//! versions that fixed something. YAML or JSON.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::download::Download;
use super::{Document, Sink, Source};
use crate::advisory::{Advisory, Of, Statement, Status, clip};
use crate::ecosystem::Ecosystem;
use crate::limits::LIST_MAX;

#[derive(Debug, Deserialize)]
struct Database {
    #[serde(default)]
    distroversion: String,
    #[serde(default)]
    urlprefix: String,
    #[serde(default)]
    packages: Option<Vec<serde_json::Value>>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    pkg: Package,
}

#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    #[serde(default)]
    secfixes: Option<BTreeMap<String, Option<Vec<String>>>>,
}

/// Bytes of one database; Wolfi's has a few MB.
const BYTES_MAX: u64 = 256 << 20;

/// Two repositories of each release of Alpine, behind the letter that stands in front of the release in an address.
macro_rules! alpine {
    ($($letter:literal: $($how:ident $release:literal),*;)* and $($other:expr,)*) => {
        [$($(
            alpine!(@ $how, $letter, $release, "main"),
            alpine!(@ $how, $letter, $release, "community"),
        )*)* $($other,)*]
    };
    (@ $how:ident, $letter:literal, $release:literal, $repository:literal) => {
        Download::$how(
            concat!("alpine-", $release, "-", $repository, ".json"),
            concat!("https://secdb.alpinelinux.org/", $letter, $release, "/", $repository, ".json"),
        )
        .at_most(BYTES_MAX)
    };
}

/// Where its publishers give it: the releases of Alpine that are kept, and those that will follow.
const DOWNLOADS: &[Download] = &alpine! {
    "v": perhaps "3.15", perhaps "3.16", perhaps "3.17", at "3.18", at "3.19", at "3.20", at "3.21", at "3.22",
        perhaps "3.23", perhaps "3.24", perhaps "3.25", perhaps "3.26";
    "": at "edge";
    and
    Download::at("wolfi.json", "https://packages.wolfi.dev/os/security.json").at_most(BYTES_MAX),
    Download::at("chainguard.json", "https://packages.cgr.dev/chainguard/security.json").at_most(BYTES_MAX),
};

/// The source.
pub(super) struct SecDb;

impl Source for SecDb {
    fn name(&self) -> &'static str {
        "secdb"
    }

    fn downloads(&self) -> &'static [Download] {
        DOWNLOADS
    }

    fn recognises(&self, document: &Document<'_>) -> bool {
        document.has("secfixes") && (document.has("apkurl") || document.has("distroversion"))
    }

    fn read(&self, document: &Document<'_>, sink: &mut dyn Sink) -> Result<(), String> {
        let database: Database = if document.is_json() {
            serde_json::from_slice(document.bytes).map_err(|e| e.to_string())?
        } else {
            let text = std::str::from_utf8(document.bytes).map_err(|e| e.to_string())?;
            serde_saphyr::from_str(text).map_err(|e| e.to_string())?
        };
        let ecosystem = ecosystem(&database, document.name).ok_or("it does not say whose it is")?;
        for entry in database.packages.unwrap_or_default() {
            match Entry::deserialize(entry) {
                Ok(entry) => read_package(entry.pkg, &ecosystem, sink),
                Err(error) => sink.malformed("a package", &error.to_string()),
            }
        }
        Ok(())
    }
}

fn ecosystem(database: &Database, name: &str) -> Option<Ecosystem> {
    let family = ["wolfi", "chainguard", "minimos", "alpaquita", "alpine"]
        .into_iter()
        .find(|family| database.urlprefix.contains(family) || name.contains(family));
    match (family?, database.distroversion.trim_start_matches('v')) {
        (family @ ("wolfi" | "chainguard" | "minimos"), _) => Ecosystem::new(family, ""),
        (_, "") => None,
        (family, version) => Ecosystem::new(family, version),
    }
}

fn read_package(package: Package, ecosystem: &Ecosystem, sink: &mut dyn Sink) {
    for (version, names) in package.secfixes.unwrap_or_default() {
        for names in names.unwrap_or_default() {
            // The same vulnerability under several names is written in one line.
            let mut names = names.split_whitespace().map(clip);
            let Some(first) = names.next() else { continue };
            let mut advisory = Advisory::new(&first);
            advisory.aliases = names.filter(|name| name.contains('-')).take(LIST_MAX).collect();
            let statement = Statement::new(ecosystem.clone(), &package.name, Of::Source, Status::Affected);
            advisory.statements.push(if version == "0" {
                // Fixed in nothing: Alpine's build never had it.
                Statement { status: Status::NotAffected, ..statement }
            } else {
                statement.fixed_in(&version)
            });
            sink.advisory(advisory);
        }
    }
}
