//! Whose packages: a family with its release, such as `debian:12` or `npm`, in one spelling whoever names it.

use std::borrow::Cow;
use std::fmt;

use guardian_inventory::version::Scheme;

/// A family of packages that has one keeper, and the release of it that is meant.
///
/// Written `family` or `family:release`. The release has the form in which the machine itself names it (`os-release`'s
/// `VERSION_ID`, without what its keeper's support does not tell apart).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ecosystem(Cow<'static, str>);

impl fmt::Display for Ecosystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A family: its name, how OSV names it, its order of versions, and how many parts of a release count.
struct Family {
    name: &'static str,
    osv: &'static str,
    scheme: Scheme,
    release_parts: usize,
    /// A distribution, whose keeper's word decides.
    distribution: bool,
}

const fn language(name: &'static str, osv: &'static str, scheme: Scheme) -> Family {
    Family { name, osv, scheme, release_parts: 0, distribution: false }
}

const fn distribution(name: &'static str, osv: &'static str, scheme: Scheme, release_parts: usize) -> Family {
    Family { name, osv, scheme, release_parts, distribution: true }
}

const FAMILIES: &[Family] = &[
    distribution("debian", "Debian", Scheme::Dpkg, 1),
    distribution("ubuntu", "Ubuntu", Scheme::Dpkg, 2),
    distribution("alpine", "Alpine", Scheme::Apk, 2),
    distribution("wolfi", "Wolfi", Scheme::Apk, 0),
    distribution("chainguard", "Chainguard", Scheme::Apk, 0),
    distribution("minimos", "MinimOS", Scheme::Apk, 0),
    distribution("alpaquita", "Alpaquita", Scheme::Apk, 1),
    distribution("redhat", "Red Hat", Scheme::Rpm, 1),
    distribution("almalinux", "AlmaLinux", Scheme::Rpm, 1),
    distribution("rocky", "Rocky Linux", Scheme::Rpm, 1),
    distribution("oracle", "Oracle", Scheme::Rpm, 1),
    distribution("amazon", "Amazon", Scheme::Rpm, 1),
    distribution("fedora", "Fedora", Scheme::Rpm, 1),
    distribution("suse", "SUSE", Scheme::Rpm, 2),
    distribution("opensuse", "openSUSE", Scheme::Rpm, 2),
    distribution("openeuler", "openEuler", Scheme::Rpm, 2),
    distribution("mageia", "Mageia", Scheme::Rpm, 1),
    distribution("azurelinux", "Azure Linux", Scheme::Rpm, 1),
    distribution("photon", "Photon OS", Scheme::Rpm, 1),
    distribution("arch", "Arch", Scheme::Pacman, 0),
    distribution("gentoo", "Gentoo", Scheme::Portage, 0),
    distribution("nix", "Nixpkgs", Scheme::Nix, 0),
    language("npm", "npm", Scheme::Npm),
    language("pypi", "PyPI", Scheme::Pep440),
    language("cargo", "crates.io", Scheme::Semver),
    language("go", "Go", Scheme::Go),
    language("maven", "Maven", Scheme::Maven),
    language("gem", "RubyGems", Scheme::RubyGems),
    language("nuget", "NuGet", Scheme::NuGet),
    language("composer", "Packagist", Scheme::Composer),
    language("hex", "Hex", Scheme::Semver),
    language("pub", "Pub", Scheme::Pub),
    language("swift", "SwiftURL", Scheme::Semver),
    language("cran", "CRAN", Scheme::Cran),
    // Nobody speaks of what conda builds; it is listed, and said to be unknown.
    language("conda", "conda", Scheme::Generic),
    language("hackage", "Hackage", Scheme::Cran),
    language("julia", "Julia", Scheme::Semver),
    language("conan", "ConanCenter", Scheme::Semver),
    // Nobody publishes advisories of pods by their names in a form of OSV; one's own may.
    language("cocoapods", "CocoaPods", Scheme::RubyGems),
    language("github-actions", "GitHub Actions", Scheme::Semver),
    language("bitnami", "Bitnami", Scheme::Semver),
];

impl Ecosystem {
    /// By the name of its family and, for a distribution with releases, the release. None where nobody knows the family.
    pub fn new(family: &str, release: &str) -> Option<Self> {
        let known = FAMILIES.iter().find(|known| known.name == family)?;
        Some(Self::of(known, release))
    }

    fn of(family: &'static Family, release: &str) -> Self {
        let release = release.trim();
        if family.release_parts == 0 || release.is_empty() {
            return Self(Cow::Borrowed(family.name));
        }
        // A point release of Debian or Red Hat has the same packages; one of Ubuntu, Alpine or SUSE does not.
        let parts: Vec<&str> = release.split('.').take(family.release_parts).collect();
        Self(Cow::Owned(format!("{}:{}", family.name, parts.join(".").to_ascii_lowercase())))
    }

    /// By OSV's name, such as `Ubuntu:22.04:LTS` or `crates.io` (OSV schema, "affected[].package field").
    pub fn of_osv(name: &str) -> Option<Self> {
        let mut parts = name.split(':');
        let family = parts.next()?;
        let known = FAMILIES.iter().find(|known| known.osv == family)?;
        let mut rest: Vec<&str> = parts.filter(|part| *part != "LTS").collect();
        // Support that is paid for has packages of its own.
        let paid = rest.iter().position(|part| *part == "Pro").map(|at| rest.remove(at)).is_some();
        let release = match known.name {
            "alpine" => rest.first().map(|release| release.trim_start_matches('v')),
            "suse" => rest.iter().rev().find_map(|part| suse_release(part)),
            "redhat" => return redhat_release(&rest),
            _ => rest.first().copied(),
        };
        let ecosystem = Self::of(known, release.unwrap_or_default());
        Some(if paid || rest.contains(&"FIPS") { ecosystem.paid() } else { ecosystem })
    }

    /// The same release with support that is paid for.
    pub fn paid(&self) -> Self {
        Self(Cow::Owned(format!("{}:pro", self.0)))
    }

    /// By what a machine says it is (`os-release(5)`: `ID`, `ID_LIKE` and `VERSION_ID`).
    pub fn of_os_release(id: &str, like: &str, version: &str) -> Option<Self> {
        let family = |id: &str| match id {
            "rhel" | "centos" => Some("redhat"),
            "ol" => Some("oracle"),
            "amzn" => Some("amazon"),
            "sles" | "sled" | "sle-micro" | "suse" => Some("suse"),
            "opensuse-leap" | "opensuse-tumbleweed" | "opensuse" => Some("opensuse"),
            "mariner" => Some("azurelinux"),
            "nixos" => Some("nix"),
            "archarm" => Some("arch"),
            _ => FAMILIES.iter().find(|known| known.distribution && known.name == id).map(|known| known.name),
        };
        // What is only like another numbers its releases itself; CentOS is what Red Hat says it is.
        match family(id) {
            Some(family) => Self::new(family, version),
            None => like.split_whitespace().find_map(family).filter(|f| *f == "arch").and_then(|f| Self::new(f, "")),
        }
    }

    /// By the type of a package URL, for what a language's registry keeps.
    pub fn of_purl_type(kind: &str) -> Option<Self> {
        let name = match kind {
            "golang" => "go",
            "githubactions" => "github-actions",
            other => other,
        };
        FAMILIES.iter().find(|known| !known.distribution && known.name == name).map(|known| Self::of(known, ""))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of its family.
    pub fn family(&self) -> &str {
        self.0.split(':').next().unwrap_or_default()
    }

    fn known(&self) -> Option<&'static Family> {
        let family = self.family();
        FAMILIES.iter().find(|known| known.name == family)
    }

    /// How its versions are ordered.
    pub fn scheme(&self) -> Scheme {
        self.known().map_or(Scheme::Generic, |known| known.scheme)
    }

    /// Whether it is a distribution.
    pub fn is_distribution(&self) -> bool {
        self.known().is_some_and(|known| known.distribution)
    }

    /// The name of a package as the ecosystem compares names.
    pub fn name_of(&self, package: &str) -> String {
        let package = crate::advisory::clip(package.trim());
        match self.family() {
            // PEP 503: runs of hyphens, underscores and dots are one hyphen, and case says nothing.
            "pypi" => {
                let mut name = String::with_capacity(package.len());
                for c in package.chars() {
                    match c {
                        '-' | '_' | '.' if name.ends_with('-') => {}
                        '-' | '_' | '.' => name.push('-'),
                        c => name.push(c.to_ascii_lowercase()),
                    }
                }
                name
            }
            // Named by where it lies, which has several spellings.
            "swift" => {
                let place = package.split_once("://").map_or(package.as_str(), |(_, rest)| rest);
                place.strip_suffix(".git").unwrap_or(place).to_lowercase()
            }
            "nuget" | "composer" | "github-actions" | "pub" => package.to_lowercase(),
            "cargo" => package.replace('_', "-"),
            _ => package,
        }
    }
}

/// The release in the name of a product: `SUSE Linux Enterprise Server 15 SP4` is 15.4.
pub(crate) fn suse_release(product: &str) -> Option<&str> {
    let at = product.find(|c: char| c.is_ascii_digit())?;
    Some(&product[at..])
}

/// The release in the rest of OSV's name for Red Hat, which is that of a CPE: `enterprise_linux:9::baseos`.
fn redhat_release(rest: &[&str]) -> Option<Ecosystem> {
    of_redhat_cpe_parts(rest.first()?, rest.get(1).copied().unwrap_or_default())
}

/// The release that a product of Red Hat stands for, by its name and version in a CPE. Other products have packages of
/// their own and no release of the distribution.
pub(crate) fn of_redhat_cpe_parts(product: &str, version: &str) -> Option<Ecosystem> {
    let major = version.split('.').next().unwrap_or_default();
    let plain = Ecosystem::new("redhat", major)?;
    match product {
        "enterprise_linux" => Some(plain),
        // Support of one minor release beyond its time has packages of its own.
        "rhel_eus" | "rhel_aus" | "rhel_tus" | "rhel_e4s" | "rhel_els" | "rhel_eus_long_life" => {
            let support = product.trim_start_matches("rhel_");
            let minor = version.split('.').nth(1).unwrap_or("0");
            Some(Ecosystem(Cow::Owned(format!("{plain}.{minor}:{support}"))))
        }
        _ => None,
    }
}
