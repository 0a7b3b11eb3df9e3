//! An installed Flatpak: `metadata` in its deployment (flatpak-metadata(5), a key file), and the version that its AppStream
//! description names, because Flatpak itself knows only branches and commits.

use crate::text::{clip, lines, list};
use crate::{Malformed, Manager, Package};

/// What is known of one deployment, `app/ID/ARCH/BRANCH/COMMIT`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Deployment<'a> {
    /// The `metadata` file.
    pub metadata: &'a [u8],
    /// `files/share/metainfo/ID.metainfo.xml` or `.appdata.xml`; empty where there is none.
    pub metainfo: &'a [u8],
    /// From the path.
    pub arch: &'a str,
    /// From the path; the version where the description names none.
    pub branch: &'a str,
}

/// The package of one deployment.
pub fn parse(deployment: &Deployment<'_>) -> Result<Package, Malformed> {
    let (mut name, mut runtime, mut group) = (String::new(), String::new(), String::new());
    for (_, line) in lines(deployment.metadata) {
        if let Some(inside) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            group = clip(inside);
        } else if let (Some((key, value)), "Application" | "Runtime" | "ExtensionOf") = (line.split_once('='), &*group)
        {
            match key.trim() {
                "name" => name = clip(value.trim()),
                "runtime" => runtime = clip(value.trim()),
                _ => {}
            }
        }
    }
    if name.is_empty() {
        return Err(Malformed { format: "the metadata of a Flatpak", what: "it has no name" });
    }
    let metainfo = String::from_utf8_lossy(deployment.metainfo);
    // The newest release stands first (AppStream specification, "releases").
    let release = metainfo.split_once("<release ").map_or("", |(_, rest)| rest.split('>').next().unwrap_or_default());
    let version = attribute(release, "version").unwrap_or(deployment.branch);
    let mut package = Package::new(Manager::Flatpak, &name, version);
    package.arch = clip(deployment.arch);
    package.source = runtime;
    package.licences = list(element(&metainfo, "project_license"));
    package.vendor = element(&metainfo, "developer_name").map(clip).unwrap_or_default();
    Ok(package)
}

fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = tag.split_once(&format!("{name}="))?;
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    rest[1..].split_once(quote).map(|(value, _)| value)
}

fn element<'a>(document: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = document.split_once(&format!("<{name}>"))?;
    rest.split_once("</").map(|(value, _)| value.trim())
}
