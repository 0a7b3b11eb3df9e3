//! A package, whatever manages it.

use serde::{Deserialize, Serialize};

/// What manages a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Manager {
    /// Debian and its family.
    Dpkg,
    /// Red Hat, SUSE and their families.
    Rpm,
    /// Alpine.
    Apk,
    /// Arch.
    Pacman,
    /// Gentoo.
    Portage,
    /// Nix.
    Nix,
    /// Snap.
    Snap,
    /// Flatpak.
    Flatpak,
    /// Python distributions.
    Python,
    /// npm packages.
    Npm,
    /// Ruby gems.
    Gem,
    /// Rust crates.
    Cargo,
    /// Go modules.
    Go,
    /// Java archives.
    Java,
    /// conda packages.
    Conda,
    /// PHP packages.
    Composer,
    /// .NET packages.
    #[serde(rename = "nuget")]
    NuGet,
    /// Erlang's and Elixir's packages.
    Hex,
    /// Dart packages.
    Pub,
    /// Swift packages.
    Swift,
    /// R packages.
    Cran,
    /// Pods of CocoaPods.
    #[serde(rename = "cocoapods")]
    CocoaPods,
    /// Packages of Conan, for C and C++.
    Conan,
}

impl Manager {
    /// The type of its package URLs (purl specification).
    pub const fn purl_type(self) -> &'static str {
        match self {
            Self::Dpkg => "deb",
            Self::Rpm => "rpm",
            Self::Apk => "apk",
            Self::Pacman => "alpm",
            Self::Portage => "ebuild",
            Self::Nix => "nix",
            Self::Snap => "snap",
            Self::Flatpak => "flatpak",
            Self::Python => "pypi",
            Self::Npm => "npm",
            Self::Gem => "gem",
            Self::Cargo => "cargo",
            Self::Go => "golang",
            Self::Java => "maven",
            Self::Conda => "conda",
            Self::Composer => "composer",
            Self::NuGet => "nuget",
            Self::Hex => "hex",
            Self::Pub => "pub",
            Self::Swift => "swift",
            Self::Cran => "cran",
            Self::CocoaPods => "cocoapods",
            Self::Conan => "conan",
        }
    }
}

/// One installed package. Texts that its source lacks are empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// What manages it.
    pub manager: Manager,
    /// Its name, in the manager's own form (`group:artifact` for Java, `category/name` for Portage).
    pub name: String,
    /// Its whole version, in the manager's own form (`epoch:version-release` where there are such parts).
    pub version: String,
    /// Its architecture, in the manager's own form.
    pub arch: String,
    /// Its licences, as the package says.
    pub licences: Vec<String>,
    /// Who maintains, packaged or sells it.
    pub vendor: String,
    /// Name of the source package it was built from, where it says so.
    pub source: String,
    /// Version of that source package, where it differs.
    pub source_version: String,
    /// When it was installed, in seconds since the epoch.
    pub installed_s: Option<i64>,
    /// What it takes on the disk, in bytes.
    pub size_bytes: Option<u64>,
    /// Its home on the web.
    pub url: String,
}

impl Package {
    pub(crate) fn new(manager: Manager, name: &str, version: &str) -> Self {
        Self {
            manager,
            name: crate::text::clip(name),
            version: crate::text::clip(version),
            arch: String::new(),
            licences: Vec::new(),
            vendor: String::new(),
            source: String::new(),
            source_version: String::new(),
            installed_s: None,
            size_bytes: None,
            url: String::new(),
        }
    }
}
