//! Ways out of the network that are not seen from outside: interfaces of tunnels, what VPNs are told to do, and forwarding by
//! ssh.

use std::collections::HashSet;

use guardian_inventory::{accounts, openvpn as ovpn, ssh};
use guardian_protocol::lists::List;
use serde_json::json;

use super::{entry, line, live_tunnels as live, text};
use crate::files::Root;

/// Hardware types of tunnels (`include/uapi/linux/if_arp.h`).
const TYPES: [(&str, &str); 7] = [
    ("768", "ipip"),
    ("769", "ip6tnl"),
    ("776", "sit"),
    ("778", "gre"),
    ("823", "ip6gre"),
    ("65534", "tunnel"),
    ("512", "ppp"),
];
/// Accounts whose configuration is read.
const ACCOUNTS_MAX: usize = 2_000;
/// Flags of `tun_flags`: a tap is a whole Ethernet.
const TAP: u32 = 2;

/// What moves when somebody changes them.
pub(super) const WATCHED: &[&str] = &[
    "/etc/wireguard",
    "/etc/openvpn",
    "/etc/ipsec.conf",
    "/etc/swanctl",
    "/etc/ssh",
    "/etc/ssh/ssh_config",
    "/etc/ssh/ssh_config.d",
];

pub(super) fn tunnels(root: &mut Root, list: &mut List) {
    let known = live::links(list).unwrap_or_default();
    interfaces(root, list, &known);
    wireguard(root, list);
    live::wireguard(list);
    let status = openvpn(root, list);
    live::openvpn(root, list, status);
    ipsec(root, list);
    live::ipsec(list);
    by_ssh(list);
    ssh_configs(root, list);
}

/// Interfaces by the files of the kernel, where it did not say which are tunnels.
fn interfaces(root: &mut Root, list: &mut List, known: &HashSet<String>) {
    for name in root.names("/sys/class/net").into_iter().filter(|name| !known.contains(name)) {
        let at = format!("/sys/class/net/{name}");
        let about = text(root, &format!("{at}/uevent"));
        let device = about.lines().find_map(|l| l.strip_prefix("DEVTYPE=")).unwrap_or_default();
        let kind = line(root, &format!("{at}/type"));
        let tun = line(root, &format!("{at}/tun_flags"));
        let tun = u32::from_str_radix(tun.trim_start_matches("0x"), 16).ok();
        let known = TYPES.iter().find(|(number, _)| *number == kind).map(|(_, word)| *word);
        let kind = match (device, tun) {
            ("wireguard" | "vxlan" | "geneve" | "ppp", _) => device,
            (_, Some(flags)) if flags & TAP != 0 => "tap",
            (_, Some(_)) => "tun",
            _ => match known {
                Some(_) if live::BASE.contains(&name.as_str()) => continue,
                Some(word) => word,
                None => continue,
            },
        };
        let owner = line(root, &format!("{at}/owner"));
        let state = line(root, &format!("{at}/operstate"));
        let value = json!({
            "kind": kind,
            "name": name,
            "state": state,
            "uid": owner.parse::<u32>().ok(),
        });
        list.put(&format!("interface/{name}"), &entry(value));
    }
}

fn wireguard(root: &mut Root, list: &mut List) {
    for name in root.names("/etc/wireguard").into_iter().filter(|name| name.ends_with(".conf")) {
        let path = format!("/etc/wireguard/{name}");
        let (mut peers, mut address, mut port) = (Vec::new(), String::new(), String::new());
        let (mut key, mut endpoint, mut allowed) = (String::new(), String::new(), String::new());
        let mut peer = |key: &mut String, endpoint: &mut String, allowed: &mut String| {
            if !key.is_empty() {
                peers.push((std::mem::take(key), std::mem::take(endpoint), std::mem::take(allowed)));
            }
        };
        for row in text(root, &path).lines() {
            if row.trim().starts_with('[') {
                peer(&mut key, &mut endpoint, &mut allowed);
            }
            let Some((what, value)) = row.split_once('=') else { continue };
            let value = value.trim().to_owned();
            // What is private stays so.
            match what.trim().to_lowercase().as_str() {
                "publickey" => key = value,
                "endpoint" => endpoint = value,
                "allowedips" => allowed = value,
                "address" => address = value,
                "listenport" => port = value,
                _ => {}
            }
        }
        peer(&mut key, &mut endpoint, &mut allowed);
        let interface = name.trim_end_matches(".conf");
        let value =
            json!({ "kind": "wireguard_config", "name": interface, "address": address, "port": port, "path": path });
        list.put(&path, &entry(value));
        for (key, endpoint, allowed) in peers {
            let value = json!({
                "kind": "wireguard_peer",
                "name": interface,
                "key": key,
                "remote": endpoint,
                "networks": allowed,
                "path": path,
            });
            list.put(&format!("{path}/{key}"), &entry(value));
        }
    }
}

/// Configurations; the files into which they have it written who is connected.
fn openvpn(root: &mut Root, list: &mut List) -> Vec<String> {
    let mut status = Vec::new();
    for folder in ["/etc/openvpn", "/etc/openvpn/client", "/etc/openvpn/server"] {
        let names = root.names(folder).into_iter();
        for name in names.filter(|name| name.ends_with(".conf") || name.ends_with(".ovpn")) {
            let path = format!("{folder}/{name}");
            let config = ovpn::parse_config(&root.read(&path).unwrap_or_default());
            let value = json!({
                "kind": "openvpn",
                "name": name.rsplit_once('.').map_or(name.as_str(), |(name, _)| name),
                "device": config.device,
                "remotes": config.remotes,
                "cipher": config.cipher,
                "networks": config.networks.join(", "),
                "management": config.management,
                "path": path,
            });
            list.put(&path, &entry(value));
            status.push(config.status);
        }
    }
    status
}

fn ipsec(root: &mut Root, list: &mut List) {
    let mut files = vec!["/etc/ipsec.conf".to_owned(), "/etc/swanctl/swanctl.conf".to_owned()];
    for folder in ["/etc/ipsec.d", "/etc/swanctl/conf.d"] {
        let names = root.names(folder).into_iter().filter(|name| name.ends_with(".conf"));
        files.extend(names.map(|name| format!("{folder}/{name}")));
    }
    for path in files {
        let (mut name, mut remote) = (String::new(), String::new());
        let mut put = |name: &mut String, remote: &mut String| {
            if !name.is_empty() {
                let value = json!({ "kind": "ipsec", "name": name, "remote": remote, "path": path });
                list.put(&format!("{path}/{name}"), &entry(value));
            }
            name.clear();
            remote.clear();
        };
        for row in text(root, &path).lines() {
            let row = row.trim();
            if let Some(begun) = row.strip_prefix("conn ") {
                put(&mut name, &mut remote);
                begun.trim().clone_into(&mut name);
            } else if let Some((what, value)) = row.split_once('=')
                && matches!(what.trim(), "right" | "remote_addrs")
            {
                value.trim().clone_into(&mut remote);
                if name.is_empty() {
                    name.clone_from(&remote);
                }
            }
        }
        put(&mut name, &mut remote);
    }
}

/// Forwarding by ssh that runs now.
fn by_ssh(list: &mut List) {
    for arguments in live::running("ssh") {
        for (kind, what) in ssh::forwards(&arguments) {
            let value = json!({ "kind": kind, "name": what, "value": what, "command_line": arguments.join(" ") });
            list.put(&format!("{kind}/{what}"), &entry(value));
        }
    }
}

/// Forwarding that clients of ssh are configured for: of the machine, and of each account.
fn ssh_configs(root: &mut Root, list: &mut List) {
    let mut files = vec![(String::new(), "/etc/ssh/ssh_config".to_owned())];
    let more = root.names("/etc/ssh/ssh_config.d").into_iter().filter(|name| name.ends_with(".conf"));
    files.extend(more.map(|name| (String::new(), format!("/etc/ssh/ssh_config.d/{name}"))));
    let accounts = accounts::parse_passwd(&root.read("/etc/passwd").unwrap_or_default()).entries;
    for account in accounts.into_iter().take(ACCOUNTS_MAX).filter(|account| account.home.starts_with('/')) {
        files.push((account.name, format!("{}/.ssh/config", account.home.trim_end_matches('/'))));
    }
    // Several accounts may share a home.
    files.dedup_by(|a, b| a.1 == b.1);
    for (user, path) in files {
        for found in ssh::configured(&root.read(&path).unwrap_or_default()) {
            let ssh::Configured { kind, what, hosts } = found;
            let value = json!({
                "kind": format!("{kind}_config"),
                "name": hosts,
                "value": what,
                "user": user,
                "path": path,
            });
            list.put(&format!("{kind}_config/{path}/{hosts}/{what}"), &entry(value));
        }
    }
}
