//! Disks and what is mounted where. How full they are is health, not inventory.

use guardian_protocol::lists::List;
use serde_json::json;

use super::{entry, line, text};
use crate::files::Root;

/// Bytes of a sector, as the kernel counts.
const SECTOR: u64 = 512;
/// Filesystems that hold no files of anybody.
const NOT: [&str; 17] = [
    "proc",
    "sysfs",
    "devtmpfs",
    "devpts",
    "cgroup",
    "cgroup2",
    "securityfs",
    "pstore",
    "bpf",
    "debugfs",
    "tracefs",
    "configfs",
    "mqueue",
    "hugetlbfs",
    "autofs",
    "fusectl",
    "nsfs",
];

pub(super) fn disks(root: &mut Root, list: &mut List) {
    for name in root.names("/sys/block").into_iter().filter(|n| !n.starts_with("loop") && !n.starts_with("ram")) {
        let at = format!("/sys/block/{name}");
        let sectors = line(root, &format!("{at}/size")).parse::<u64>().unwrap_or(0);
        if sectors == 0 {
            continue;
        }
        let value = json!({
            "kind": "disk",
            "name": name,
            "size_bytes": sectors * SECTOR,
            "vendor": line(root, &format!("{at}/device/vendor")),
            "model": line(root, &format!("{at}/device/model")),
            "serial": line(root, &format!("{at}/device/serial")),
            "rotating": line(root, &format!("{at}/queue/rotational")) == "1",
            "removable": line(root, &format!("{at}/removable")) == "1",
            "mapped": line(root, &format!("{at}/dm/name")),
            "encryption": line(root, &format!("{at}/dm/uuid")).starts_with("CRYPT-").then_some("dm-crypt"),
        });
        list.put(&format!("disk/{name}"), &entry(value));
    }
    for mount in text(root, "/proc/self/mounts").lines() {
        let words: Vec<&str> = mount.split(' ').collect();
        let [device, point, kind, options, ..] = words.as_slice() else { continue };
        // Mounts of containers come and go with them.
        let passing = ["/var/lib/docker/", "/run/user/", "/run/netns/", "/var/lib/containers/"];
        if NOT.contains(kind) || passing.iter().any(|start| point.starts_with(start)) {
            continue;
        }
        let point = point.replace("\\040", " ");
        let value = json!({
            "kind": "mount",
            "name": point,
            "path": point,
            "device": device,
            "filesystem": kind,
            "options": options.split(',').collect::<Vec<_>>(),
        });
        list.put(&format!("mount/{point}"), &entry(value));
    }
}
