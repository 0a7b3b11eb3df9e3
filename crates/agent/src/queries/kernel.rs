//! The kernel: how it was started, its modules, its settings.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::types::Value;

use super::{Answered, Asked, Table, all, big, read, row, text};

/// Settings that are read, and how deep their folders lie.
const SETTINGS_MAX: usize = 20_000;
const DEPTH_MAX: usize = 12;
const PLACE: &str = "/proc/sys";

/// `kernel_info`.
pub(super) const KERNEL_INFO: Table = Table {
    name: "kernel_info",
    about: "The kernel that runs",
    needs: false,
    columns: &[
        text("version", "Release"),
        text("arguments", "What it was started with"),
        text("path", "Its file, as the boot loader names it"),
        text("device", "The device of the root"),
    ],
    rows: kernel_info,
};

/// `kernel_modules`.
pub(super) const KERNEL_MODULES: Table = Table {
    name: "kernel_modules",
    about: "Modules that the kernel has loaded",
    needs: false,
    columns: &[
        text("name", "Name"),
        big("size", "Memory in bytes"),
        text("used_by", "Modules that use it; - for none"),
        text("status", "Live, Loading or Unloading"),
        text("address", "Where it is in memory"),
    ],
    rows: kernel_modules,
};

/// `system_controls`.
pub(super) const SYSTEM_CONTROLS: Table = Table {
    name: "system_controls",
    about: "Settings of the kernel, and what configuration wants them to be",
    needs: false,
    columns: &[
        text("name", "Name, with dots").given(),
        text("oid", "Always empty here"),
        text("subsystem", "The first part of the name").given(),
        text("current_value", "What it is"),
        text("config_value", "What the files of sysctl say"),
        text("type", "Always string here"),
    ],
    rows: system_controls,
};

fn kernel_info(_: &Asked<'_>) -> Answered {
    let started = read::line("/proc/cmdline");
    let of = |name: &str| started.split_whitespace().find_map(|word| word.strip_prefix(name)).unwrap_or_default();
    let (path, device) = (of("BOOT_IMAGE="), of("root="));
    let rest = started.split_whitespace().filter(|word| !word.starts_with("BOOT_IMAGE=") && !word.starts_with("root="));
    all(vec![row![read::line("/proc/sys/kernel/osrelease"), rest.collect::<Vec<_>>().join(" "), path, device]])
}

fn kernel_modules(_: &Asked<'_>) -> Answered {
    all(read::text("/proc/modules").lines().filter_map(module_row).collect())
}

fn module_row(line: &str) -> Option<Vec<Value>> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [name, size, _, used_by, status, address, ..] = words.as_slice() else { return None };
    Some(row![*name, size.parse::<u64>().ok(), used_by.trim_end_matches(','), *status, *address])
}

/// What configuration says of settings; a later file wins (sysctl.d(5)).
fn configured() -> HashMap<String, String> {
    let folders = ["/usr/lib/sysctl.d", "/usr/local/lib/sysctl.d", "/run/sysctl.d", "/etc/sysctl.d"];
    let files = folders
        .into_iter()
        .flat_map(|folder| read::names(folder).into_iter().map(move |name| format!("{folder}/{name}")));
    let files = files.filter(|path| path.ends_with(".conf")).chain(["/etc/sysctl.conf".to_owned()]);
    let lines = files.flat_map(|path| read::text(path).lines().map(str::to_owned).collect::<Vec<_>>());
    let pair = |line: String| {
        let line = line.trim();
        let (name, value) = line.trim_start_matches('-').split_once('=')?;
        (!line.starts_with(['#', ';'])).then(|| (name.trim().replace('/', "."), value.trim().to_owned()))
    };
    lines.filter_map(pair).collect()
}

fn system_controls(asked: &Asked<'_>) -> Answered {
    let mut names = Vec::new();
    let safe = |part: &str| !part.is_empty() && !part.contains('/') && part != ".." && part != ".";
    match (asked.text("name"), asked.text("subsystem")) {
        (Some(name), _) if name.split('.').all(safe) => names.push(name.to_owned()),
        (None, Some(subsystem)) if safe(subsystem) => walk(subsystem, 0, &mut names),
        (None, None) => read::names(PLACE).iter().for_each(|name| walk(name, 0, &mut names)),
        _ => {}
    }
    let wanted = configured();
    let row = move |name: String| {
        let place = Path::new(PLACE).join(name.replace('.', "/"));
        let value = place.is_file().then(|| read::bytes(&place)).flatten()?;
        let subsystem = name.split('.').next().unwrap_or_default().to_owned();
        let value = String::from_utf8_lossy(&value).trim().to_owned();
        Some(row![name.as_str(), "", subsystem, value, wanted.get(&name).cloned().unwrap_or_default(), "string"])
    };
    Ok(Box::new(names.into_iter().filter_map(row)))
}

fn walk(name: &str, depth: usize, names: &mut Vec<String>) {
    let place = Path::new(PLACE).join(name.replace('.', "/"));
    if depth > DEPTH_MAX || names.len() >= SETTINGS_MAX {
        return;
    }
    // A name with a dot of its own could not be found again by its path.
    if place.is_dir() {
        let inside = read::names(&place).into_iter().filter(|part| !part.contains('.'));
        inside.for_each(|part| walk(&format!("{name}.{part}"), depth + 1, names));
    } else if place.is_file() {
        names.push(name.to_owned());
    }
}
