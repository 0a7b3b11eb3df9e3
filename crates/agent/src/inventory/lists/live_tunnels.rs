//! Tunnels as they are: what the kernel says of its interfaces, of WireGuard's peers and of IPsec, and what OpenVPN says of who is
//! connected. Octets and times of handshakes move by themselves and are left out; live queries have them.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use guardian_inventory::wireguard::{self, Device, Peer};
use guardian_inventory::{link, openvpn, process, xfrm};
use guardian_protocol::lists::List;
use guardian_sys::netlink::Family;
use serde_json::json;

use super::entry;
use super::kernel::Kernel;
use crate::files::Root;

/// Each namespace has these, down, as soon as the module is there.
pub(super) const BASE: &[&str] =
    &["gre0", "gretap0", "erspan0", "tunl0", "sit0", "ip6tnl0", "ip6gre0", "ip_vti0", "ip6_vti0"];
/// Where programs that do WireGuard's work listen.
const PROGRAMS: &str = "/run/wireguard";
const PROGRAMS_MAX: usize = 256;
/// Bytes of what such a program says.
const ANSWER_BYTES_MAX: u64 = 16 << 20;
const PATIENCE: Duration = Duration::from_secs(1);
/// States and policies that are listed.
const IPSEC_MAX: usize = 10_000;
/// Programs of OpenVPN that are looked at.
const OPENVPN_MAX: usize = 256;

/// Tunnels of the kernel; their names, or none where it does not say.
pub(super) fn links(list: &mut List) -> Option<HashSet<String>> {
    let mut found = Vec::new();
    Kernel::open(Family::Route)?.ask(&link::request(), false, |kind, body| found.extend(link::tunnel(kind, body)))?;
    found.retain(|tunnel| tunnel.up || !BASE.contains(&tunnel.name.as_str()));
    for tunnel in &found {
        let value = json!({
            "kind": tunnel.kind,
            "name": tunnel.name,
            "state": if tunnel.up { "up" } else { "down" },
            "local": tunnel.local,
            "remote": tunnel.remote,
            "id": tunnel.id,
            "uid": tunnel.uid,
        });
        list.put(&format!("interface/{}", tunnel.name), &entry(value));
    }
    Some(found.into_iter().map(|tunnel| tunnel.name).collect())
}

/// WireGuard's interfaces with their peers, of the kernel and of programs.
pub(crate) fn wireguards() -> Vec<Device> {
    let mut devices = of_kernel().unwrap_or_default();
    for file in fs::read_dir(PROGRAMS).into_iter().flatten().flatten().take(PROGRAMS_MAX) {
        let path = file.path();
        if path.extension().is_some_and(|end| end == "sock")
            && let Some(name) = path.file_stem().and_then(|stem| stem.to_str())
            && let Some(device) = of_program(&path)
        {
            devices.push(Device { name: name.to_owned(), ..device });
        }
    }
    devices
}

fn of_kernel() -> Option<Vec<Device>> {
    let mut names = Vec::new();
    let of_links = |kind, body: &[u8]| names.extend(link::tunnel(kind, body).filter(|t| t.kind == "wireguard"));
    Kernel::open(Family::Route)?.ask(&link::request(), false, of_links)?;
    if names.is_empty() {
        return None;
    }
    let mut kernel = Kernel::open(Family::Generic)?;
    let mut family = None;
    let found = |kind, body: &[u8]| family = family.or(wireguard::family(kind, body));
    kernel.ask(&wireguard::family_request(), true, found)?;
    let family = family?;
    let mut devices = Vec::new();
    for tunnel in names {
        let mut device = Device::default();
        let add = |kind, body: &[u8]| {
            if kind == family {
                wireguard::add(&mut device, body);
            }
        };
        if kernel.ask(&wireguard::device_request(family, &tunnel.name), false, add).is_some() {
            devices.push(Device { name: tunnel.name, ..device });
        }
    }
    Some(devices)
}

fn of_program(path: &std::path::Path) -> Option<Device> {
    let mut stream = UnixStream::connect(path).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(b"get=1\n\n").ok()?;
    let (mut answer, mut some) = (Vec::new(), [0; 4_096]);
    // It ends with an empty line, and goes on to listen.
    while !answer.ends_with(b"\n\n") && (answer.len() as u64) < ANSWER_BYTES_MAX {
        match stream.read(&mut some).ok()? {
            0 => break,
            read => answer.extend_from_slice(&some[..read]),
        }
    }
    let device = wireguard::parse_answer(&answer);
    zeroize::Zeroize::zeroize(&mut answer);
    zeroize::Zeroize::zeroize(&mut some[..]);
    Some(device)
}

pub(super) fn wireguard(list: &mut List) {
    let now = u64::try_from(crate::now() / 1_000_000).unwrap_or(0);
    for device in wireguards() {
        let Device { name, key, port, peers } = device;
        let value = json!({ "kind": "wireguard_interface", "name": name, "key": key, "port": port });
        list.put(&format!("wireguard/{name}"), &entry(value));
        for peer in &peers {
            let Peer { key, endpoint, networks, keepalive, .. } = peer;
            let value = json!({
                "kind": "wireguard_live_peer",
                "name": name,
                "key": key,
                "state": peer.state(now),
                // The port behind a translation of addresses is another each time.
                "remote": endpoint.map(|endpoint| endpoint.ip()),
                "networks": networks.join(", "),
                "keepalive": Some(keepalive).filter(|seconds| **seconds != 0),
            });
            list.put(&format!("wireguard/{name}/{key}"), &entry(value));
        }
    }
}

/// States and policies of the kernel. States come and go with their keys each hour: what stays is between whom they are, and how.
pub(super) fn ipsec(list: &mut List) {
    let Some(mut kernel) = Kernel::open(Family::Xfrm) else { return };
    let mut states = BTreeMap::new();
    let put = |kind, body: &[u8]| {
        if let Some(state) = xfrm::state(kind, body).filter(|_| states.len() < IPSEC_MAX) {
            let key = format!("ipsec_state/{}/{}/{}/{}", state.from, state.to, state.protocol, state.request);
            states.insert(key, state);
        }
    };
    kernel.ask(&xfrm::states_request(), false, put);
    for (key, state) in states {
        let value = json!({
            "kind": "ipsec_state",
            "name": format!("{} {} {}", state.protocol, state.from, state.to),
            "local": state.from,
            "remote": state.to,
            "protocol": state.protocol,
            "mode": state.mode,
            "cipher": state.algorithms.join(", "),
            "over_udp": state.over_udp.then_some(true),
            "id": state.request,
        });
        list.put(&key, &entry(value));
    }
    let mut policies = Vec::new();
    let put = |kind, body: &[u8]| {
        policies.extend(xfrm::policy(kind, body).filter(|_| policies.len() < IPSEC_MAX));
    };
    kernel.ask(&xfrm::policies_request(), false, put);
    for policy in policies {
        let xfrm::Policy { direction, from, to, action, by } = policy;
        let name = format!("{direction} {from} {to}");
        let value = json!({
            "kind": "ipsec_policy",
            "name": name,
            "direction": direction,
            "networks": format!("{from} {to}"),
            "action": action,
            "value": by.join(", "),
        });
        list.put(&format!("ipsec_policy/{name}"), &entry(value));
    }
}

/// OpenVPN as it runs, and who is connected to it; `status` are files that configurations name.
pub(super) fn openvpn(root: &mut Root, list: &mut List, mut status: Vec<String>) {
    for arguments in running("openvpn").into_iter().take(OPENVPN_MAX) {
        let given = openvpn::parse_arguments(&arguments);
        let file = Some(given.config.as_str()).filter(|path| path.starts_with('/'));
        let config = file.and_then(|path| root.read(path)).map(|file| openvpn::parse_config(&file)).unwrap_or_default();
        let pick = |own: &str, other: &str| if own.is_empty() { other.to_owned() } else { own.to_owned() };
        let remotes = if given.remotes.is_empty() { config.remotes } else { given.remotes };
        status.push(pick(&given.status, &config.status));
        let name = if given.config.is_empty() { arguments.join(" ") } else { given.config.clone() };
        let value = json!({
            "kind": "openvpn_running",
            "name": name,
            "device": pick(&given.device, &config.device),
            "remotes": remotes,
            "management": pick(&given.management, &config.management),
            "path": given.config,
            "command_line": arguments.join(" "),
        });
        list.put(&format!("openvpn_running/{name}"), &entry(value));
    }
    status.sort();
    status.dedup();
    for path in status.into_iter().filter(|path| path.starts_with('/')) {
        for peer in openvpn::parse_status(&root.read(&path).unwrap_or_default()).peers {
            let value = json!({
                "kind": "openvpn_peer",
                "name": path,
                "user": peer.name,
                "remote": peer.remote,
                "networks": peer.networks.join(", "),
            });
            list.put(&format!("openvpn_peer/{path}/{}/{}", peer.name, peer.remote), &entry(value));
        }
    }
}

/// The arguments of processes that run a program.
pub(super) fn running(program: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for folder in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let is_process = folder.file_name().to_str().is_some_and(|name| name.bytes().all(|b| b.is_ascii_digit()));
        if !is_process || fs::read_to_string(folder.path().join("comm")).is_ok_and(|comm| comm.trim() != program) {
            continue;
        }
        let Ok(file) = fs::read(folder.path().join("cmdline")) else { continue };
        let arguments = process::parse_cmdline(&file);
        if arguments.first().is_some_and(|first| first.rsplit('/').next() == Some(program)) {
            found.push(arguments);
        }
    }
    found
}
