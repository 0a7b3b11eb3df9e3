//! `pom.xml` of Maven (POM Reference): the libraries that it names with a version. What it takes over from a parent that
//! lies elsewhere is not known; how many those are is said.

use std::collections::BTreeMap;

use crate::xml::{self, Element};
use crate::{Found, Malformed, Manager, Package};

/// How deep values name values.
const VALUES_DEPTH_MAX: usize = 8;
/// Bytes of one value.
const VALUE_BYTES_MAX: usize = 1 << 10;

/// The libraries of the file, without those for its tests.
pub(super) fn parse(pom: &[u8]) -> Result<Found<Package>, Malformed> {
    let project = xml::parse(pom)?;
    if project.name != "project" {
        return Err(Malformed { format: "a POM of Maven", what: "its element is not a project" });
    }
    let values = values(&project);
    let managed: BTreeMap<String, String> = dependencies(project.at(&["dependencyManagement", "dependencies"]))
        .filter_map(|dependency| Some((coordinates(dependency, &values)?, dependency)))
        .map(|(name, dependency)| (name, resolve(dependency.text_at(&["version"]), &values)))
        .collect();
    let mut found = Found::default();
    let mut open = 0;
    for dependency in dependencies(project.child("dependencies")) {
        let Some(name) = coordinates(dependency, &values) else { continue };
        if dependency.text_at(&["scope"]) == "test" {
            continue;
        }
        let own = resolve(dependency.text_at(&["version"]), &values);
        let version = if own.is_empty() { managed.get(&name).cloned().unwrap_or_default() } else { own };
        // A range names no version, and neither does a value that is nowhere.
        if version.is_empty() || version.contains("${") || version.starts_with(['[', '(']) {
            open += 1;
        } else {
            found.push(Package::new(Manager::Java, &name, &version));
        }
    }
    if open > 0 {
        found.issue(0, format!("{open} libraries name no single version: nothing can be said of them"));
    }
    Ok(found)
}

fn dependencies(list: Option<&Element>) -> impl Iterator<Item = &Element> {
    list.into_iter().flat_map(|list| list.all("dependency"))
}

fn coordinates(dependency: &Element, values: &BTreeMap<String, String>) -> Option<String> {
    let text = |name: &str| resolve(dependency.text_at(&[name]), values);
    let (group, artifact) = (text("groupId"), text("artifactId"));
    (!group.is_empty() && !artifact.is_empty()).then(|| format!("{group}:{artifact}"))
}

fn values(project: &Element) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    for name in ["groupId", "artifactId", "version"] {
        let own = project.text_at(&[name]);
        let parent = project.text_at(&["parent", name]);
        let value = if own.is_empty() { parent } else { own };
        values.insert(format!("project.{name}"), value.to_owned());
        values.insert(format!("project.parent.{name}"), parent.to_owned());
    }
    for property in project.child("properties").into_iter().flat_map(|list| &list.children) {
        values.insert(property.name.clone(), property.text.trim().to_owned());
    }
    values
}

/// The text with the values that it names, `${like.this}`.
fn resolve(text: &str, values: &BTreeMap<String, String>) -> String {
    let mut text = text.to_owned();
    for _ in 0..VALUES_DEPTH_MAX {
        let Some((before, rest)) = text.split_once("${") else { break };
        let Some((name, after)) = rest.split_once('}') else { break };
        let Some(value) = values.get(name) else { break };
        let next = format!("{before}{value}{after}");
        if next.len() > VALUE_BYTES_MAX {
            break;
        }
        text = next;
    }
    text
}
