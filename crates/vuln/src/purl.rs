//! Package URLs (purl specification): `pkg:type/namespace/name@version?qualifiers#subpath`.

use crate::ecosystem::Ecosystem;

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

    /// The name as its registry writes it.
    pub fn full_name(&self) -> String {
        match (self.kind.as_str(), self.namespace.as_str()) {
            (_, "") | ("deb" | "rpm" | "apk" | "alpm", _) => self.name.clone(),
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
            kind => Ecosystem::of_purl_type(kind),
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
fn decode(text: &str) -> String {
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
