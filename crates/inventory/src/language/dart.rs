//! `pubspec.lock` of Dart and Flutter: YAML of a fixed form.

use crate::text::lines;
use crate::{Found, Manager, Package};

/// The packages of the lock file that a registry keeps.
pub(super) fn parse(pubspec_lock: &[u8]) -> Found<Package> {
    let mut found = Found::default();
    let (mut inside, mut name, mut hosted) = (false, String::new(), false);
    for (_, line) in lines(pubspec_lock) {
        let field = line.trim_start();
        match line.len() - field.len() {
            0 if !field.is_empty() => inside = field.trim_end() == "packages:",
            2 => {
                field.trim_end().trim_end_matches(':').trim_matches('"').clone_into(&mut name);
                hosted = false;
            }
            4 if inside => match field.split_once(':').map(|(key, value)| (key, value.trim().trim_matches('"'))) {
                Some(("source", source)) => hosted = source == "hosted",
                Some(("version", version)) if hosted => found.push(Package::new(Manager::Pub, &name, version)),
                _ => {}
            },
            _ => {}
        }
    }
    found
}
