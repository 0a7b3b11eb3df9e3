//! Ports that are listened on, with the program behind them.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;

use guardian_inventory::sockets;
use guardian_protocol::lists::List;
use serde_json::json;

use super::entry;
use crate::files::Root;
use crate::sources::connections::Owners;
use crate::sources::names::Names;

const TABLES: [(&str, &str); 4] = [("tcp", "tcp"), ("tcp6", "tcp"), ("udp", "udp"), ("udp6", "udp")];

pub(super) fn ports(root: &mut Root, list: &mut List) {
    let mut found: BTreeMap<(&str, IpAddr, u16), sockets::Socket> = BTreeMap::new();
    let first = ephemeral(root);
    for (table, protocol) in TABLES {
        let file = root.read(&format!("/proc/net/{table}")).unwrap_or_default();
        for socket in sockets::parse(&file).entries {
            let listens = match protocol {
                "tcp" => socket.state == "listen",
                // A port that was given to whoever asked for any is nobody's service.
                _ => socket.remote.is_unspecified() && (1..first).contains(&socket.local_port),
            };
            if listens {
                found.insert((protocol, socket.local, socket.local_port), socket);
            }
        }
    }
    let inodes: HashSet<u64> = found.values().map(|socket| socket.inode).collect();
    let owners = Owners::default().of(&inodes);
    let mut names = Names::default();
    for ((protocol, address, port), socket) in found {
        let owner = owners.get(&socket.inode);
        let value = json!({
            "kind": protocol,
            "name": format!("{protocol}/{port}"),
            "protocol": protocol,
            "address": address.to_string(),
            "port": port,
            "process": owner.map(|o| o.known.name.clone()),
            "path": owner.and_then(|o| o.known.image.clone()),
            "unit": owner.and_then(|o| o.known.unit().map(str::to_owned)),
            "user": names.user(socket.uid).map_or_else(|| socket.uid.to_string(), str::to_owned),
            "everywhere": address.is_unspecified(),
        });
        list.put(&format!("{protocol}/{address}/{port}"), &entry(value));
    }
}

/// The lowest port that the system gives to clients.
fn ephemeral(root: &mut Root) -> u16 {
    let range = super::line(root, "/proc/sys/net/ipv4/ip_local_port_range");
    range.split_whitespace().next().and_then(|port| port.parse().ok()).unwrap_or(32_768)
}
