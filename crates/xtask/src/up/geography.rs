//! The country database: CC0, from npm, fetched while cargo builds. Its absence costs the country columns and nothing
//! else, so every failure here is a hint.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::{cargo, install, say};

/// Public domain (CC0 1.0): countries by the registries' own allocations.
const PACKAGE: &str = "@ip-location-db/geo-whois-asn-country-mmdb";
/// The file inside it that covers IPv4 and IPv6.
const FILE: &str = "geo-whois-asn-country.mmdb";

/// A download in the background.
pub(crate) struct Download {
    child: Option<Child>,
    folder: PathBuf,
}

impl Download {
    /// Starts npm unless an earlier run fetched the file.
    pub(crate) fn begin() -> Self {
        let folder = cargo::target_dir().join("country-database");
        let mut download = Self { child: None, folder };
        if download.file().exists() {
            return download;
        }
        if !install::has("npm") {
            say::hint("npm is not installed: flows will have no country (set enrich.geo to MMDB files)");
            return download;
        }
        if std::fs::create_dir_all(&download.folder).is_err() {
            return download;
        }
        say::note(&format!("fetching the country database (CC0) from npm meanwhile: {PACKAGE}"));
        download.child = Command::new("npm")
            .args([
                "install",
                "--no-save",
                "--ignore-scripts",
                "--no-audit",
                "--no-fund",
                "--loglevel=error",
                "--prefix",
            ])
            .arg(&download.folder)
            .arg(PACKAGE)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok();
        download
    }

    /// Where npm puts it.
    fn file(&self) -> PathBuf {
        self.folder.join("node_modules").join(PACKAGE).join(FILE)
    }

    /// Waits for npm and copies the file into the data directory.
    pub(crate) fn finish(mut self, data: &Path) -> Option<PathBuf> {
        if let Some(child) = &mut self.child
            && !child.wait().is_ok_and(|status| status.success())
        {
            say::hint("npm could not fetch the country database: flows will have no country this time");
        }
        let wanted = data.join(FILE);
        if !wanted.exists() && self.file().exists() && std::fs::copy(self.file(), &wanted).is_err() {
            return None;
        }
        wanted.exists().then_some(wanted)
    }
}
