//! Which of two versions is newer, by the rules of whoever numbers them.
//!
//! One file a scheme, each with one function `compare`. None allocates, none fails: text that its scheme does not
//! allow has a place in the order too, because databases and advisories are full of it. Numbers have any length.
//! Nothing here may know an advisory or a package.

mod apk;
mod composer;
mod cran;
mod dpkg;
mod generic;
mod go;
mod maven;
mod nix;
pub mod npm;
mod nuget;
mod pacman;
mod parts;
mod pep440;
mod portage;
mod r#pub;
mod rpm;
mod rubygems;
mod semver;

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

/// Whose rules number a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Scheme {
    /// Debian's: `epoch:upstream-revision` (deb-version(7)).
    Dpkg,
    /// rpm's: `epoch:version-release` (rpm-version(7)).
    Rpm,
    /// Alpine's and Wolfi's (apk-package(5)).
    Apk,
    /// Gentoo's (Package Manager Specification, section 3.3).
    Portage,
    /// Arch's: `epoch:pkgver-pkgrel` (vercmp(8)).
    Pacman,
    /// Semantic versioning 2.0.0: Cargo, Hex, Swift and whatever says that it follows it.
    Semver,
    /// npm's, which is semantic versioning read loosely; its ranges are in [`npm`].
    Npm,
    /// Python's (PEP 440), with what was there before it.
    Pep440,
    /// Maven's (`ComparableVersion`).
    Maven,
    /// RubyGems' (`Gem::Version`).
    RubyGems,
    /// NuGet's: semantic versioning with a fourth number, without case.
    NuGet,
    /// Composer's and PHP's (`version_compare`).
    Composer,
    /// Go's modules and the toolchain itself.
    Go,
    /// Nix' (`builtins.compareVersions`).
    Nix,
    /// Dart's: semantic versioning where the build counts too.
    Pub,
    /// CRAN's (`package_version`) and Hackage's: numbers, and more of them is newer.
    Cran,
    /// Nobody's: numbers by value, words by letter, what announces a release before it.
    Generic,
}

impl Scheme {
    /// Every scheme.
    pub const ALL: &[Self] = &[
        Self::Dpkg,
        Self::Rpm,
        Self::Apk,
        Self::Portage,
        Self::Pacman,
        Self::Semver,
        Self::Npm,
        Self::Pep440,
        Self::Maven,
        Self::RubyGems,
        Self::NuGet,
        Self::Composer,
        Self::Go,
        Self::Nix,
        Self::Pub,
        Self::Cran,
        Self::Generic,
    ];

    /// Its name, as in the documentation.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dpkg => "dpkg",
            Self::Rpm => "rpm",
            Self::Apk => "apk",
            Self::Portage => "portage",
            Self::Pacman => "pacman",
            Self::Semver => "semver",
            Self::Npm => "npm",
            Self::Pep440 => "pep440",
            Self::Maven => "maven",
            Self::RubyGems => "rubygems",
            Self::NuGet => "nuget",
            Self::Composer => "composer",
            Self::Go => "go",
            Self::Nix => "nix",
            Self::Pub => "pub",
            Self::Cran => "cran",
            Self::Generic => "generic",
        }
    }

    /// Whether `a` is older than, the same as, or newer than `b`.
    ///
    /// Equal says that the scheme sees no difference, not that the texts are the same (`1.0` and `1.00` to dpkg). Where
    /// the tools themselves leave transitivity (Maven with unknown qualifiers between numbers, pacman where only one
    /// side has a release), so does this: it says what they say.
    pub fn compare(self, a: &str, b: &str) -> Ordering {
        let (a, b) = (a.as_bytes(), b.as_bytes());
        if a == b {
            return Ordering::Equal;
        }
        match self {
            Self::Dpkg => dpkg::compare(a, b),
            Self::Rpm => rpm::compare(a, b),
            Self::Apk => apk::compare(a, b),
            Self::Portage => portage::compare(a, b),
            Self::Pacman => pacman::compare(a, b),
            Self::Semver | Self::Npm => semver::compare(a, b),
            Self::Pep440 => pep440::compare(a, b),
            Self::Maven => maven::compare(a, b),
            Self::RubyGems => rubygems::compare(a, b),
            Self::NuGet => nuget::compare(a, b),
            Self::Composer => composer::compare(a, b),
            Self::Go => go::compare(a, b),
            Self::Nix => nix::compare(a, b),
            Self::Pub => r#pub::compare(a, b),
            Self::Cran => cran::compare(a, b),
            Self::Generic => generic::compare(a, b),
        }
    }
}

impl crate::Manager {
    /// Whose rules its versions follow.
    pub const fn scheme(self) -> Scheme {
        match self {
            Self::Dpkg => Scheme::Dpkg,
            Self::Rpm => Scheme::Rpm,
            Self::Apk => Scheme::Apk,
            Self::Pacman => Scheme::Pacman,
            Self::Portage => Scheme::Portage,
            Self::Nix => Scheme::Nix,
            Self::Snap | Self::Flatpak | Self::Conda => Scheme::Generic,
            Self::Python => Scheme::Pep440,
            Self::Npm => Scheme::Npm,
            Self::Gem | Self::CocoaPods => Scheme::RubyGems,
            Self::Cargo => Scheme::Semver,
            Self::Go => Scheme::Go,
            Self::Java => Scheme::Maven,
            Self::Composer => Scheme::Composer,
            Self::NuGet => Scheme::NuGet,
            Self::Hex | Self::Swift | Self::Conan => Scheme::Semver,
            Self::Pub => Scheme::Pub,
            Self::Cran => Scheme::Cran,
        }
    }
}
