//! Units of systemd, with their drop-ins and whether they begin with the system, and the scripts of older systems.

use std::collections::{BTreeMap, HashSet};

use guardian_inventory::unit;
use guardian_protocol::lists::List;
use serde_json::json;

use super::entry;
use crate::files::Root;

/// What moves when somebody changes a unit.
pub(super) const WATCHED: &[&str] = &[
    "/etc/systemd/system",
    "/etc/systemd/system/multi-user.target.wants",
    "/etc/systemd/system/timers.target.wants",
    "/etc/systemd/system/sockets.target.wants",
    "/etc/systemd/system/sysinit.target.wants",
    "/etc/systemd/user",
    "/run/systemd/system",
    "/usr/lib/systemd/system",
    "/usr/local/lib/systemd/system",
    "/lib/systemd/system",
    "/etc/init.d",
];
/// Folders of units, those first that win.
const FOLDERS: [&str; 6] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
    "/etc/systemd/user",
];
const KINDS: [&str; 5] = [".service", ".timer", ".socket", ".path", ".mount"];

pub(super) fn services(root: &mut Root, list: &mut List) {
    let enabled = enabled(root);
    let mut units: BTreeMap<String, String> = BTreeMap::new();
    for folder in FOLDERS {
        for name in root.names(folder).into_iter().filter(|name| KINDS.iter().any(|kind| name.ends_with(kind))) {
            units.entry(name).or_insert_with(|| folder.to_owned());
        }
    }
    for (name, folder) in units {
        let path = format!("{folder}/{name}");
        let masked = root.resolve(path.as_ref()).as_os_str() == "/dev/null";
        let mut settings = root.read(&path).map(|file| unit::parse(&file).entries).unwrap_or_default();
        let mut drop_ins = Vec::new();
        for folder in FOLDERS.iter().rev() {
            for part in root.names(&format!("{folder}/{name}.d")).into_iter().filter(|n| n.ends_with(".conf")) {
                let path = format!("{folder}/{name}.d/{part}");
                settings.extend(root.read(&path).map(|file| unit::parse(&file).entries).unwrap_or_default());
                drop_ins.push(path);
            }
        }
        let unit = unit::unit(&settings);
        let (_, kind) = name.rsplit_once('.').unwrap_or_default();
        let value = json!({
            "kind": kind,
            "name": name,
            "description": unit.description,
            "enabled": enabled.contains(&name),
            "masked": masked.then_some(true),
            "command_line": unit.commands.join("; "),
            "user": unit.user,
            "when": unit.when.join(" "),
            "listens": unit.listens,
            "watches": unit.watches,
            "starts": unit.starts,
            "path": path,
            "drop_ins": drop_ins,
        });
        list.put(&name, &entry(value));
    }
    for name in root.names("/etc/init.d").into_iter().filter(|name| name != "README") {
        let path = format!("/etc/init.d/{name}");
        let starts = (2..=5).any(|level| {
            root.names(&format!("/etc/rc{level}.d")).iter().any(|link| link.starts_with('S') && link.ends_with(&name))
        });
        let value = json!({ "kind": "init", "name": name, "enabled": starts, "path": path });
        list.put(&format!("init.d/{name}"), &value);
    }
}

/// Units that a target wants by a link.
fn enabled(root: &mut Root) -> HashSet<String> {
    let mut enabled = HashSet::new();
    for folder in ["/etc/systemd/system", "/run/systemd/system"] {
        let wants = root.names(folder).into_iter().filter(|n| n.ends_with(".wants") || n.ends_with(".requires"));
        for wanted in wants {
            enabled.extend(root.names(&format!("{folder}/{wanted}")));
        }
    }
    enabled
}
