//! `Podfile.lock` of CocoaPods, and the copy of it that `pod install` leaves in `Pods`: YAML of a fixed form (CocoaPods,
//! "Pod::Lockfile").
//!
//! A part of a pod (`Firebase/Core`) is the pod. One that comes from a folder is nobody's; one from a repository is the
//! package of Swift that lies there, where a tag says its version.

use std::collections::{BTreeMap, BTreeSet};

use super::swift;
use crate::text::lines;
use crate::{Found, Malformed, Manager, Package};

/// The pods of the lock file.
pub(super) fn parse(podfile_lock: &[u8]) -> Result<Found<Package>, Malformed> {
    let mut found = Found::default();
    let mut pods = BTreeMap::new();
    let mut elsewhere = BTreeSet::new();
    let mut checkouts: BTreeMap<String, [String; 2]> = BTreeMap::new();
    let (mut section, mut pod, mut known) = (String::new(), String::new(), false);
    for (number, line) in lines(podfile_lock) {
        let field = line.trim_start();
        match (line.len() - field.len(), section.as_str()) {
            (0, _) if !field.is_empty() => {
                field.trim_end().clone_into(&mut section);
                known |= section == "PODS:";
            }
            (2, "PODS:") => match field.strip_prefix("- ").and_then(named) {
                Some((name, version)) => {
                    pods.insert(name.to_owned(), version.to_owned());
                }
                None => found.issue(number, "it is not a pod with its version"),
            },
            (2, "EXTERNAL SOURCES:" | "CHECKOUT OPTIONS:") => {
                let name = plain(field.trim_end().trim_end_matches(':'));
                name.split('/').next().unwrap_or(name).clone_into(&mut pod);
                elsewhere.insert(pod.clone());
            }
            (4, "CHECKOUT OPTIONS:") => {
                let checkout = checkouts.entry(pod.clone()).or_default();
                if let Some(place) = field.strip_prefix(":git:") {
                    plain(place.trim()).clone_into(&mut checkout[0]);
                } else if let Some(tag) = field.strip_prefix(":tag:") {
                    plain(tag.trim()).trim_start_matches('v').clone_into(&mut checkout[1]);
                }
            }
            _ => {}
        }
    }
    if !known {
        return Err(Malformed { format: "a lock file of CocoaPods", what: "it has no pods" });
    }
    for (name, version) in pods.iter().filter(|(name, _)| !elsewhere.contains(*name)) {
        found.push(Package::new(Manager::CocoaPods, name, version));
    }
    for [place, tag] in checkouts.values() {
        if !place.is_empty() && tag.starts_with(|c: char| c.is_ascii_digit()) {
            found.push(Package::new(Manager::Swift, swift::name(place), tag));
        }
    }
    Ok(found)
}

/// `Firebase` and `6.1.0` of `Firebase/Core (6.1.0):`, which is quoted where it has a sign that YAML uses.
fn named(entry: &str) -> Option<(&str, &str)> {
    let (name, version) = plain(entry.trim_end().trim_end_matches(':')).split_once(" (")?;
    let name = name.split('/').next().unwrap_or(name);
    let version = version.strip_suffix(')')?;
    // Some write what a version was taken from behind it.
    let version = version.split(',').next().unwrap_or(version);
    (!name.is_empty() && version.starts_with(|c: char| c.is_ascii_digit())).then_some((name, version))
}

fn plain(text: &str) -> &str {
    text.trim_matches(['"', '\''])
}
