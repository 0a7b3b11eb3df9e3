//! apk-tools' `/lib/apk/db/installed` (apk-tools v2, "Installed Database V2"): lines of one letter, a colon and a value;
//! a blank line ends a package.

use crate::text::{clip, lines, list};
use crate::{Found, Manager, Package};

/// The installed packages.
pub fn parse(installed: &[u8]) -> Found<Package> {
    let mut found = Found::default();
    let mut open = Package::new(Manager::Apk, "", "");
    let mut begun = 0;
    for (number, line) in lines(installed) {
        if line.is_empty() {
            close(&mut found, &mut open, &mut begun);
            continue;
        }
        let Some((letter, value)) = line.split_once(':') else {
            found.issue(number, "a line without a colon");
            continue;
        };
        if begun == 0 {
            begun = number;
        }
        match letter {
            "P" => open.name = clip(value),
            "V" => open.version = clip(value),
            "A" => open.arch = clip(value),
            "L" => open.licences = list(value.split(" AND ").flat_map(|part| part.split_whitespace())),
            "m" => open.vendor = clip(value),
            "o" => open.source = clip(value),
            "U" => open.url = clip(value),
            "I" => open.size_bytes = value.parse().ok(),
            _ => {}
        }
    }
    close(&mut found, &mut open, &mut begun);
    found
}

fn close(found: &mut Found<Package>, open: &mut Package, begun: &mut usize) {
    let package = std::mem::replace(open, Package::new(Manager::Apk, "", ""));
    let line = std::mem::take(begun);
    if line == 0 {
        return;
    }
    if package.name.is_empty() || package.version.is_empty() {
        found.issue(line, "a package without name or version");
    } else {
        found.push(package);
    }
}
