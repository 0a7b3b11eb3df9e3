//! systemd's units: systemd.syntax(7), and of services, timers, sockets and paths what says when which program runs as whom.

use serde::Serialize;

use crate::Found;
use crate::limits::{LIST_MAX, TEXT_BYTES_MAX};
use crate::text::{clip, lines, list};

/// One assignment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// The section it stands in.
    pub section: String,
    /// Its key.
    pub key: String,
    /// Its value, continued lines joined.
    pub value: String,
}

/// What is asked of a unit, its drop-ins included.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Unit {
    /// For people.
    pub description: String,
    /// Programs that run, in order: `ExecStartPre`, `ExecStart`, `ExecStartPost`, `ExecReload`, `ExecStop`, `ExecStopPost`.
    pub commands: Vec<String>,
    /// As whom; empty for root, or for the user whose unit it is.
    pub user: String,
    /// When, of a timer: `OnCalendar=…`, `OnBootSec=…` and so on.
    pub when: Vec<String>,
    /// Where it listens, of a socket: `ListenStream=…` and so on.
    pub listens: Vec<String>,
    /// What it watches, of a path: `PathExists=…` and so on.
    pub watches: Vec<String>,
    /// Units that want it when it is enabled.
    pub wanted_by: Vec<String>,
    /// What a timer, socket or path starts, where it is not the unit of the same name.
    pub starts: String,
}

/// The assignments of one file.
pub fn parse(file: &[u8]) -> Found<Setting> {
    let mut found = Found::default();
    let (mut section, mut open) = (String::new(), String::new());
    for (number, line) in lines(file) {
        let trimmed = line.trim();
        if trimmed.starts_with(['#', ';']) || (trimmed.is_empty() && open.is_empty()) {
            continue;
        }
        if let Some(part) = trimmed.strip_suffix('\\') {
            if open.len() < TEXT_BYTES_MAX {
                open.push_str(part.trim_end());
                open.push(' ');
            }
            continue;
        }
        let whole = std::mem::take(&mut open) + trimmed;
        if let Some(inside) = whole.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            section = clip(inside);
        } else if let Some((key, value)) = whole.split_once('=') {
            found.push(Setting { section: section.clone(), key: clip(key.trim()), value: clip(value.trim()) });
        } else if !whole.trim().is_empty() {
            found.issue(number, "a line that is neither a section nor an assignment");
        }
    }
    found
}

/// What the assignments of a unit and then of its drop-ins, in order, come to. An empty value takes back what a list had.
pub fn unit(settings: &[Setting]) -> Unit {
    let mut unit = Unit::default();
    for Setting { section, key, value } in settings {
        let named = || format!("{key}={value}");
        match (section.as_str(), key.as_str()) {
            ("Unit", "Description") => unit.description.clone_from(value),
            ("Service", "User") => unit.user.clone_from(value),
            ("Service", key) if key.starts_with("Exec") && !key.starts_with("ExecCondition") => {
                add(&mut unit.commands, value, || value.clone());
            }
            ("Timer" | "Socket" | "Path", "Unit" | "Service") => unit.starts.clone_from(value),
            ("Timer", key) if key.starts_with("On") => add(&mut unit.when, value, named),
            ("Socket", key) if key.starts_with("Listen") => add(&mut unit.listens, value, named),
            ("Path", key) if key.starts_with("Path") || key == "DirectoryNotEmpty" => {
                add(&mut unit.watches, value, named);
            }
            ("Install", "WantedBy" | "RequiredBy") => unit.wanted_by.extend(list(value.split_whitespace())),
            _ => {}
        }
    }
    unit.wanted_by.truncate(LIST_MAX);
    unit
}

fn add(place: &mut Vec<String>, value: &str, text: impl FnOnce() -> String) {
    if value.is_empty() {
        place.clear();
    } else if place.len() < LIST_MAX {
        place.push(text());
    }
}
