//! NuGet: `packages.lock.json` of a project, `NAME.deps.json` beside a built program, and the older `packages.config`
//! (Microsoft, "NuGet documentation", ".NET runtime configuration files").

use serde_json::Value;

use crate::{Found, Malformed, Manager, Package, xml};

fn object(json: &[u8]) -> Result<Value, Malformed> {
    // Windows' programs begin a file with a mark for its coding.
    let json = json.strip_prefix(b"\xef\xbb\xbf").unwrap_or(json);
    serde_json::from_slice(json).map_err(|_| malformed("it is not JSON"))
}

const fn malformed(what: &'static str) -> Malformed {
    Malformed { format: "a list of NuGet packages", what }
}

/// The packages of a lock file, each once for every framework that it is locked for.
pub(super) fn parse_lock(json: &[u8]) -> Result<Found<Package>, Malformed> {
    let value = object(json)?;
    let frameworks = value.get("dependencies").and_then(Value::as_object).ok_or(malformed("it has no dependencies"))?;
    let mut found = Found::default();
    for (name, entry) in frameworks.values().filter_map(Value::as_object).flatten() {
        let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default();
        if text("type") == "Project" {
            continue;
        }
        match text("resolved") {
            "" => found.issue(0, format!("{}: it has no version", crate::text::clip(name))),
            version => found.push(Package::new(Manager::NuGet, name, version)),
        }
    }
    Ok(found)
}

/// The packages that a program brings with it.
pub(super) fn parse_deps(json: &[u8]) -> Result<Found<Package>, Malformed> {
    let value = object(json)?;
    let libraries = value.get("libraries").and_then(Value::as_object).ok_or(malformed("it has no libraries"))?;
    let mut found = Found::default();
    for (key, entry) in libraries {
        if entry.get("type").and_then(Value::as_str) == Some("package")
            && let Some((name, version)) = key.rsplit_once('/')
        {
            found.push(Package::new(Manager::NuGet, name, version));
        }
    }
    Ok(found)
}

/// The packages of a `packages.config`.
pub(super) fn parse_config(bytes: &[u8]) -> Result<Found<Package>, Malformed> {
    let root = xml::parse(bytes)?;
    let mut found = Found::default();
    for package in root.all("package") {
        let (id, version) = (package.attribute("id"), package.attribute("version"));
        if !id.is_empty() && !version.is_empty() {
            found.push(Package::new(Manager::NuGet, id, version));
        }
    }
    Ok(found)
}

/// The versions that a `Directory.Packages.props` sets for all projects below it (NuGet documentation, "Central Package
/// Management"); one that is a range or a variable names none.
pub(super) fn parse_central(bytes: &[u8]) -> Result<Found<Package>, Malformed> {
    let root = xml::parse(bytes)?;
    let mut found = Found::default();
    let groups = root.all("ItemGroup");
    for package in groups.flat_map(|group| group.all("PackageVersion").chain(group.all("GlobalPackageReference"))) {
        let (name, version) = (package.attribute("Include"), package.attribute("Version"));
        let version = version.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(version);
        let plain = version.starts_with(|c: char| c.is_ascii_digit()) && !version.contains([',', '*', '$']);
        match (name.is_empty(), plain) {
            (false, true) => found.push(Package::new(Manager::NuGet, name, version)),
            (false, false) => found.issue(0, format!("{}: it names no version", crate::text::clip(name))),
            (true, _) => {}
        }
    }
    Ok(found)
}
