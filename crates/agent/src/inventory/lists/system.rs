//! The system: release, kernel, processor, memory, firmware; and the modules that the kernel has loaded.

use guardian_protocol::lists::List;
use serde_json::json;

use super::{entry, line, text};
use crate::files::Root;

pub(super) fn system(root: &mut Root, list: &mut List) {
    let release = [text(root, "/etc/os-release"), text(root, "/usr/lib/os-release")];
    let release = release.iter().find(|text| !text.is_empty()).cloned().unwrap_or_default();
    let of = |key: &str| {
        let line = release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.unwrap_or_default().trim().trim_matches(['"', '\'']).to_owned()
    };
    let os = json!({
        "kind": "os",
        "name": of("ID"),
        "version": of("VERSION_ID"),
        "description": of("PRETTY_NAME"),
        "codename": of("VERSION_CODENAME"),
        "like": of("ID_LIKE"),
    });
    list.put("os", &entry(os));
    let kernel = json!({
        "kind": "kernel",
        "name": line(root, "/proc/sys/kernel/ostype"),
        "version": line(root, "/proc/sys/kernel/osrelease"),
        "description": line(root, "/proc/sys/kernel/version"),
        "architecture": std::env::consts::ARCH,
        "value": line(root, "/proc/cmdline"),
        "lockdown": line(root, "/sys/kernel/security/lockdown"),
        "tainted": line(root, "/proc/sys/kernel/tainted"),
        "security_modules": line(root, "/sys/kernel/security/lsm"),
    });
    list.put("kernel", &entry(kernel));
    let hostname = line(root, "/proc/sys/kernel/hostname");
    let machine = line(root, "/etc/machine-id");
    list.put("machine", &entry(json!({ "kind": "machine", "name": hostname, "value": machine })));
    processor(root, list);
    let meminfo = text(root, "/proc/meminfo");
    let amount = |name: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib << 10)
    };
    let memory = json!({ "kind": "memory", "size_bytes": amount("MemTotal"), "swap_bytes": amount("SwapTotal") });
    list.put("memory", &entry(memory));
    let mut dmi = |name: &str| line(root, &format!("/sys/class/dmi/id/{name}"));
    let board = json!({
        "kind": "hardware",
        "vendor": dmi("sys_vendor"),
        "name": dmi("product_name"),
        "version": dmi("product_version"),
        "serial": dmi("product_serial"),
        "board": dmi("board_name"),
    });
    list.put("hardware", &entry(board));
    let bios = json!({
        "kind": "firmware",
        "vendor": dmi("bios_vendor"),
        "version": dmi("bios_version"),
        "date": dmi("bios_date"),
        "efi": root.outside("/sys/firmware/efi".as_ref()).exists(),
    });
    list.put("firmware", &entry(bios));
}

fn processor(root: &mut Root, list: &mut List) {
    let info = text(root, "/proc/cpuinfo");
    let of = |name: &str| {
        let value = info.lines().find_map(|line| line.split_once(':').filter(|(key, _)| key.trim() == name));
        value.map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    };
    let threads = info.lines().filter(|line| line.starts_with("processor")).count();
    let flags = of("flags");
    let virtualised = flags.split_whitespace().any(|flag| flag == "hypervisor");
    let value = json!({
        "kind": "processor",
        "name": of("model name"),
        "vendor": of("vendor_id"),
        "version": of("microcode"),
        "threads": threads,
        "virtualised": virtualised,
    });
    list.put("processor", &entry(value));
    let folder = "/sys/devices/system/cpu/vulnerabilities";
    for name in root.names(folder) {
        let value =
            json!({ "kind": "processor_weakness", "name": name, "value": line(root, &format!("{folder}/{name}")) });
        list.put(&format!("weakness/{name}"), &entry(value));
    }
}

pub(super) fn modules(root: &mut Root, list: &mut List) {
    // Number of users and state move; name, size and taint do not.
    for line in text(root, "/proc/modules").lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (Some(name), Some(size)) = (words.first(), words.get(1)) else { continue };
        let taint = words.get(6).map(|taint| taint.trim_matches(['(', ')']));
        let value = json!({
            "kind": "module",
            "name": name,
            "size_bytes": size.parse::<u64>().ok(),
            "taint": taint,
        });
        list.put(name, &entry(value));
    }
}
