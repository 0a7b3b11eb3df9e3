//! Java archives: what Maven writes into them (`META-INF/maven/…/pom.properties`), else the manifest (JAR specification),
//! else the name of the file; and the archives inside archives that application servers and fat programs carry.

use std::io::{Cursor, Read, Seek};

use zip::ZipArchive;

use crate::limits::{
    ARCHIVE_DEPTH_MAX, ARCHIVE_ENTRIES_MAX, ARCHIVE_NESTED_BYTES_MAX, ARCHIVE_NESTED_TOTAL_BYTES_MAX,
    ARCHIVE_TEXT_BYTES_MAX,
};
use crate::text::{clip, lines, list, stanzas};
use crate::{Found, Malformed, Manager, Package};

/// The libraries in an archive whose file name is `name` (without the folder). A library that Maven built into another has
/// its own properties and is found by them.
pub fn parse(name: &str, archive: &[u8]) -> Result<Found<Package>, Malformed> {
    parse_file(name, Cursor::new(archive))
}

/// The same of an archive that is not in memory: only its list of entries is read, and those that say something.
pub fn parse_file(name: &str, archive: impl Read + Seek) -> Result<Found<Package>, Malformed> {
    let mut found = Found::default();
    let mut left = ARCHIVE_NESTED_TOTAL_BYTES_MAX;
    read(name, archive, ARCHIVE_DEPTH_MAX, &mut left, &mut found)?;
    Ok(found)
}

fn read(
    name: &str,
    archive: impl Read + Seek,
    depth: usize,
    left: &mut u64,
    found: &mut Found<Package>,
) -> Result<(), Malformed> {
    let malformed = Malformed { format: "a Java archive", what: "it is not a readable zip file" };
    let mut zip = ZipArchive::new(archive).map_err(|_| malformed)?;
    let before = found.entries.len();
    let mut manifest = Vec::new();
    for i in 0..zip.len().min(ARCHIVE_ENTRIES_MAX) {
        let path = match zip.name_for_index(i) {
            Some(Ok(path)) if says_something(&path) => path.into_owned(),
            Some(Ok(_)) => continue,
            _ => {
                found.issue(i + 1, format!("{name}: an entry whose name cannot be read"));
                continue;
            }
        };
        let Ok(mut file) = zip.by_index(i) else {
            found.issue(i + 1, format!("{name}: an entry that cannot be read"));
            continue;
        };
        if path == "META-INF/MANIFEST.MF" {
            manifest = unfold(capped(&mut file, ARCHIVE_TEXT_BYTES_MAX).unwrap_or_default());
        } else if is_properties(&path) {
            if let Some(package) = capped(&mut file, ARCHIVE_TEXT_BYTES_MAX).and_then(|text| maven(&text)) {
                found.push(package);
            }
        } else if depth > 1 {
            let limit = ARCHIVE_NESTED_BYTES_MAX.min(*left);
            let Some(bytes) = capped(&mut file, limit) else {
                found.issue(i + 1, format!("{}: too large, or not readable", clip(&path)));
                continue;
            };
            *left = left.saturating_sub(bytes.len() as u64);
            let base = path.rsplit('/').next().unwrap_or_default();
            if let Err(malformed) = read(base, Cursor::new(bytes), depth - 1, left, found) {
                found.issue(i + 1, format!("{}: {malformed}", clip(&path)));
            }
        }
    }
    let by_maven = found.entries[before..].iter().any(|p| file_name_fits(name, p));
    if !by_maven && let Some(package) = by_manifest(name, &manifest) {
        found.push(package);
    }
    if !manifest.is_empty() {
        licences(&manifest, name, &mut found.entries[before..]);
    }
    Ok(())
}

fn is_properties(path: &str) -> bool {
    path.starts_with("META-INF/maven/") && path.ends_with("/pom.properties")
}

/// Whether an entry is one that is read; most are classes, and are not.
fn says_something(path: &str) -> bool {
    let archive = [".jar", ".war", ".ear"].iter().any(|end| path.ends_with(end));
    archive || path == "META-INF/MANIFEST.MF" || is_properties(path)
}

fn capped(file: &mut impl Read, limit: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= limit).then_some(bytes)
}

/// A manifest breaks lines after 72 bytes, anywhere, and begins the next one with a space.
fn unfold(manifest: Vec<u8>) -> Vec<u8> {
    let mut whole = Vec::with_capacity(manifest.len());
    let mut rest = manifest.as_slice();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = match (byte, tail) {
            (b'\r', [b'\n', b' ', tail @ ..]) | (b'\r' | b'\n', [b' ', tail @ ..]) => tail,
            _ => {
                whole.push(byte);
                tail
            }
        };
    }
    whole
}

fn maven(properties: &[u8]) -> Option<Package> {
    let (mut group, mut artifact, mut version) = (String::new(), String::new(), String::new());
    for (_, line) in lines(properties) {
        match line.split_once('=') {
            Some(("groupId", value)) => group = clip(value.trim()),
            Some(("artifactId", value)) => artifact = clip(value.trim()),
            Some(("version", value)) => version = clip(value.trim()),
            _ => {}
        }
    }
    (!artifact.is_empty() && !version.is_empty())
        .then(|| Package::new(Manager::Java, &format!("{group}:{artifact}"), &version))
}

fn file_name_fits(name: &str, package: &Package) -> bool {
    let artifact = package.name.rsplit(':').next().unwrap_or_default();
    !artifact.is_empty() && name.starts_with(artifact)
}

/// `NAME-VERSION.jar`.
fn by_name(name: &str) -> (&str, &str) {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let at = stem
        .match_indices('-')
        .map(|(at, _)| at)
        .find(|at| stem.as_bytes().get(at + 1).is_some_and(u8::is_ascii_digit));
    at.map_or((stem, ""), |at| (&stem[..at], &stem[at + 1..]))
}

fn by_manifest(name: &str, manifest: &[u8]) -> Option<Package> {
    let (stem, version) = by_name(name);
    let head = stanzas(manifest).next();
    let first = |names: &[&str]| {
        let head = head.as_ref()?;
        names.iter().map(|n| head.get(n)).find(|v| !v.is_empty()).map(clip)
    };
    let title = first(&["Bundle-SymbolicName", "Automatic-Module-Name", "Implementation-Title"]);
    let symbolic = title.as_deref().and_then(|t| t.split(';').next()).map(str::trim);
    let said = first(&["Bundle-Version", "Implementation-Version", "Specification-Version"]);
    let version = if version.is_empty() { said.as_deref().unwrap_or_default() } else { version };
    if version.is_empty() {
        return None;
    }
    let mut package = Package::new(Manager::Java, stem, version);
    package.source = symbolic.map(clip).unwrap_or_default();
    package.vendor = first(&["Implementation-Vendor", "Bundle-Vendor"]).unwrap_or_default();
    Some(package)
}

/// The licence of the manifest goes to the library that the archive is named after.
fn licences(manifest: &[u8], name: &str, packages: &mut [Package]) {
    let Some(head) = stanzas(manifest).next() else { return };
    let named = list(head.get("Bundle-License").split(',').map(|part| part.split(';').next().unwrap_or(part)));
    if let Some(package) = packages.iter_mut().find(|p| p.licences.is_empty() && file_name_fits(name, p)) {
        package.licences = named;
    }
}
