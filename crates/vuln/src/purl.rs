//! Package URLs (purl specification): `pkg:type/namespace/name@version?qualifiers#subpath`.

use guardian_inventory::version::Scheme;

use crate::ecosystem::Ecosystem;
use crate::matching::Component;

/// A package URL in its parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Purl {
    /// Type of package, such as `deb`.
    pub kind: String,
    /// What is in front of the name, such as `debian` or `@scope`.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// The version; empty where none is named.
    pub version: String,
    qualifiers: Vec<(String, String)>,
}

impl Purl {
    /// Of its text; none where it is no package URL.
    pub fn new(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("pkg:")?.trim_start_matches('/');
        let rest = rest.split('#').next()?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        // A version may have an at sign of a scope in front of it, but none behind.
        let (path, version) = match path.rsplit_once('@') {
            Some((path, version)) if !path.is_empty() && !path.ends_with('/') => (path, version),
            _ => (path, ""),
        };
        let (kind, path) = path.split_once('/')?;
        let (namespace, name) = path.trim_matches('/').rsplit_once('/').unwrap_or(("", path.trim_matches('/')));
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let qualifiers = pairs.map(|(key, value)| (key.to_ascii_lowercase(), decode(value))).collect();
        let purl = Self {
            kind: kind.to_ascii_lowercase(),
            namespace: decode(namespace),
            name: decode(name),
            version: decode(version),
            qualifiers,
        };
        (!purl.name.is_empty()).then_some(purl)
    }

    /// The value of a qualifier.
    pub fn qualifier(&self, key: &str) -> Option<&str> {
        self.qualifiers.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    /// The package that it names, whose distribution is `os` where it does not say one itself.
    pub fn component(&self, os: Option<&Ecosystem>) -> Option<Component> {
        let distribution = matches!(self.kind.as_str(), "deb" | "rpm" | "apk" | "alpm" | "ebuild" | "nix");
        let ecosystem = match self.qualifier("distro") {
            None if distribution => os.filter(|os| kind(os) == self.kind).cloned().or_else(|| self.ecosystem())?,
            _ => self.ecosystem()?,
        };
        // Some write the epoch beside the version.
        let version = match self.qualifier("epoch") {
            Some(epoch) if epoch != "0" && !self.version.contains(':') => format!("{epoch}:{}", self.version),
            _ => self.version.clone(),
        };
        let mut component = Component::new(ecosystem, &self.full_name(), &version);
        if distribution {
            (component.source, component.source_version) = source(self.qualifier("upstream").unwrap_or_default());
            // NAME:STREAM:VERSION:CONTEXT
            let module: Vec<&str> = self.qualifier("rpmmod").unwrap_or_default().split(':').take(2).collect();
            component.module = module.join(":");
        }
        Some(component)
    }

    /// The name as its registry writes it.
    pub fn full_name(&self) -> String {
        match (self.kind.as_str(), self.namespace.as_str()) {
            (_, "") | ("deb" | "rpm" | "apk" | "alpm" | "nix", _) => self.name.clone(),
            ("maven", group) => format!("{group}:{}", self.name),
            (_, namespace) => format!("{namespace}/{}", self.name),
        }
    }

    /// Whose package it is.
    pub fn ecosystem(&self) -> Option<Ecosystem> {
        let distribution = self.qualifier("distro").unwrap_or_default();
        match self.kind.as_str() {
            "deb" | "rpm" | "apk" | "alpm" => {
                let release = distribution.rsplit(['/', '-']).next().unwrap_or_default();
                let paid = distribution.contains("esm") || distribution.contains("fips");
                let ecosystem = Ecosystem::of_os_release(&self.namespace, "", code_name(release))?;
                Some(if paid { ecosystem.paid() } else { ecosystem })
            }
            "ebuild" => Ecosystem::new("gentoo", ""),
            "nix" => Ecosystem::new("nix", ""),
            kind => Ecosystem::of_purl_type(kind),
        }
    }
}

/// Name and version of the source package that a package was built from.
fn source(upstream: &str) -> (String, String) {
    let (name, version) = match upstream.strip_suffix(".src.rpm") {
        // NAME-VERSION-RELEASE.src.rpm
        Some(rpm) => {
            let at = rpm.rmatch_indices('-').nth(1).map_or(rpm.len(), |(at, _)| at);
            (&rpm[..at], rpm[at..].trim_start_matches('-'))
        }
        None => upstream.split_once('@').unwrap_or((upstream, "")),
    };
    (name.to_owned(), version.to_owned())
}

/// The type of an ecosystem's package URLs.
fn kind(ecosystem: &Ecosystem) -> &str {
    match ecosystem.scheme() {
        _ if ecosystem.family() == "go" => "golang",
        _ if ecosystem.family() == "github-actions" => "githubactions",
        _ if !ecosystem.is_distribution() => ecosystem.family(),
        Scheme::Dpkg => "deb",
        Scheme::Rpm => "rpm",
        Scheme::Apk => "apk",
        Scheme::Pacman => "alpm",
        Scheme::Portage => "ebuild",
        _ => "nix",
    }
}

/// The package URL of a package; `arch` is empty where it has none of its own.
pub fn of(component: &Component, arch: &str) -> String {
    let (ecosystem, kind) = (&component.ecosystem, kind(&component.ecosystem));
    let distribution = ecosystem.is_distribution();
    let (namespace, name) = match kind {
        "deb" | "rpm" | "apk" | "alpm" => (ecosystem.family(), component.name.as_str()),
        "maven" => component.name.split_once(':').unwrap_or(("", &component.name)),
        _ => component.name.rsplit_once('/').unwrap_or(("", &component.name)),
    };
    let mut purl = format!("pkg:{kind}/");
    for part in namespace.split('/').filter(|part| !part.is_empty()) {
        encode(part, &mut purl);
        purl.push('/');
    }
    encode(name, &mut purl);
    if !component.version.is_empty() {
        purl.push('@');
        encode(&component.version, &mut purl);
    }
    let upstream = match component.source_version.as_str() {
        "" => component.source.clone(),
        version if component.source.is_empty() => format!("{}@{version}", component.name),
        version => format!("{}@{version}", component.source),
    };
    let release = ecosystem.as_str().split(':').take(2).collect::<Vec<_>>().join("-");
    let qualifiers = [
        ("arch", if distribution { arch } else { "" }),
        ("distro", if distribution && release.contains('-') { &release } else { "" }),
        ("rpmmod", component.module.as_str()),
        ("upstream", if distribution { &upstream } else { "" }),
    ];
    let mut before = '?';
    for (key, value) in qualifiers.into_iter().filter(|(_, value)| !value.is_empty()) {
        purl.push(before);
        purl.push_str(key);
        purl.push('=');
        encode(value, &mut purl);
        before = '&';
    }
    purl
}

/// With percent signs in front of whatever has a meaning of its own.
fn encode(text: &str, into: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' => into.push(byte as char),
            _ => into.push_str(&format!("%{byte:02X}")),
        }
    }
}

/// Releases by the names that Ubuntu and Debian give them.
const CODE_NAMES: &[(&str, &str)] = &[
    ("trusty", "14.04"),
    ("xenial", "16.04"),
    ("bionic", "18.04"),
    ("focal", "20.04"),
    ("jammy", "22.04"),
    ("noble", "24.04"),
    ("oracular", "24.10"),
    ("plucky", "25.04"),
    ("questing", "25.10"),
    ("resolute", "26.04"),
    ("buster", "10"),
    ("bullseye", "11"),
    ("bookworm", "12"),
    ("trixie", "13"),
];

fn code_name(release: &str) -> &str {
    CODE_NAMES.iter().find(|(name, _)| *name == release).map_or(release, |(_, number)| number)
}

/// Without percent signs.
pub(crate) fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = |byte: Option<&u8>| byte.and_then(|b| (*b as char).to_digit(16));
        match (first, hex(after.first()), hex(after.get(1))) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
