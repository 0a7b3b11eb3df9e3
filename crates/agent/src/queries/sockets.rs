//! Sockets with the processes that hold them, in every network namespace that a process is in.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::net::IpAddr;

use guardian_inventory::sockets;
use rusqlite::types::Value;

use super::processes::{inode, wanted};
use super::{Answered, Asked, Table, all, big, int, read, row, text};

/// Network namespaces that are looked into.
const NAMESPACES_MAX: usize = 512;
/// Links of one process that are looked at.
const LINKS_MAX: usize = 65_536;
/// Files of `/proc/PID/net` with the family and the protocol of their sockets (socket(2), IANA).
const TABLES: [(&str, i32, i32); 8] = [
    ("tcp", 2, 6),
    ("tcp6", 10, 6),
    ("udp", 2, 17),
    ("udp6", 10, 17),
    ("udplite", 2, 136),
    ("udplite6", 10, 136),
    ("raw", 2, 255),
    ("raw6", 10, 255),
];
const TCP: i32 = 6;

/// `process_open_sockets`.
pub(super) const PROCESS_OPEN_SOCKETS: Table = Table {
    name: "process_open_sockets",
    about: "Sockets, with the processes that hold them",
    needs: false,
    columns: &[
        int("pid", "Process; -1 where none holds it").given(),
        big("fd", "Number of the descriptor; -1 where no process holds it"),
        big("socket", "Inode"),
        int("family", "Address family: 1 Unix, 2 IPv4, 10 IPv6"),
        int("protocol", "Protocol: 6 TCP, 17 UDP, 0 for Unix"),
        text("local_address", "Address of this side"),
        text("remote_address", "Address of the other side"),
        int("local_port", "Port of this side"),
        int("remote_port", "Port of the other side; 0 where there is none"),
        text("path", "Path of a Unix socket"),
        text("state", "State of a TCP socket"),
        text("net_namespace", "Network namespace"),
    ],
    rows: open_sockets,
};

/// `listening_ports`.
pub(super) const LISTENING_PORTS: Table = Table {
    name: "listening_ports",
    about: "Ports and Unix sockets without another side, with the processes that hold them",
    needs: false,
    columns: &[
        int("pid", "Process; -1 where none holds it").given(),
        int("port", "Port; 0 of a Unix socket"),
        int("protocol", "Protocol: 6 TCP, 17 UDP, 0 for Unix"),
        int("family", "Address family: 1 Unix, 2 IPv4, 10 IPv6"),
        text("address", "Address"),
        big("fd", "Number of the descriptor; -1 where no process holds it"),
        big("socket", "Inode; 0 of a Unix socket"),
        text("path", "Path of a Unix socket"),
        text("net_namespace", "Network namespace"),
    ],
    rows: listening,
};

struct Socket {
    pid: i64,
    fd: i64,
    inode: u64,
    family: i32,
    protocol: i32,
    /// Both sides; none of a Unix socket.
    sides: Option<[(IpAddr, u16); 2]>,
    path: String,
    state: String,
    namespace: String,
}

/// Which processes hold sockets, and by which descriptors; and one process of each network namespace.
fn holders(asked: &Asked<'_>) -> (HashMap<u64, Vec<(u32, u64)>>, BTreeMap<String, u32>) {
    let (mut held, mut namespaces): (HashMap<u64, Vec<_>>, BTreeMap<_, _>) = (HashMap::new(), BTreeMap::new());
    for pid in wanted(asked) {
        if let Some(namespace) = inode(pid, "net")
            && namespaces.len() < NAMESPACES_MAX
        {
            namespaces.entry(namespace).or_insert(pid);
        }
        for link in fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten().take(LINKS_MAX) {
            let number = link.file_name().to_str().and_then(|name| name.parse::<u64>().ok());
            let socket = sockets::inode(&read::link(link.path()));
            if let (Some(number), Some(socket)) = (number, socket) {
                held.entry(socket).or_default().push((pid, number));
            }
        }
    }
    (held, namespaces)
}

fn found(asked: &Asked<'_>) -> Vec<Socket> {
    let (held, namespaces) = holders(asked);
    // Where one process is asked for, sockets of others are of no interest.
    let others = asked.number("pid").is_none_or(|pid| pid == -1);
    let mut all = Vec::new();
    let mut add = |inode: u64, make: &dyn Fn(i64, i64) -> Socket| match held.get(&inode) {
        Some(holders) => all.extend(holders.iter().map(|(pid, fd)| make(i64::from(*pid), fd.cast_signed()))),
        None if others => all.push(make(-1, -1)),
        None => {}
    };
    for (namespace, pid) in namespaces {
        for (table, family, protocol) in TABLES {
            for socket in sockets::parse(&read::bytes(format!("/proc/{pid}/net/{table}")).unwrap_or_default()).entries {
                add(socket.inode, &|pid, fd| Socket {
                    pid,
                    fd,
                    inode: socket.inode,
                    family,
                    protocol,
                    sides: Some([(socket.local, socket.local_port), (socket.remote, socket.remote_port)]),
                    path: String::new(),
                    state: if protocol == TCP { socket.state.to_uppercase() } else { String::new() },
                    namespace: namespace.clone(),
                });
            }
        }
        for socket in sockets::parse_unix(&read::bytes(format!("/proc/{pid}/net/unix")).unwrap_or_default()).entries {
            add(socket.inode, &|pid, fd| Socket {
                pid,
                fd,
                inode: socket.inode,
                family: 1,
                protocol: 0,
                sides: None,
                path: socket.path.clone(),
                state: String::new(),
                namespace: namespace.clone(),
            });
        }
    }
    all
}

fn open_sockets(asked: &Asked<'_>) -> Answered {
    let row = |socket: Socket| -> Vec<Value> {
        let [local, remote] = socket.sides.map_or([None, None], |[local, remote]| [Some(local), Some(remote)]);
        let address = |side: Option<(IpAddr, u16)>| side.map(|(address, _)| address.to_string()).unwrap_or_default();
        let port = |side: Option<(IpAddr, u16)>| side.map_or(0, |(_, port)| port);
        row![
            socket.pid,
            socket.fd,
            socket.inode,
            socket.family,
            socket.protocol,
            address(local),
            address(remote),
            port(local),
            port(remote),
            socket.path,
            socket.state,
            socket.namespace,
        ]
    };
    all(found(asked).into_iter().map(row).collect())
}

fn listening(asked: &Asked<'_>) -> Answered {
    let listens = |socket: &Socket| match socket.sides {
        Some([_, (_, port)]) => port == 0,
        None => !socket.path.is_empty(),
    };
    let row = |socket: Socket| -> Vec<Value> {
        let (address, port) =
            socket.sides.map_or((String::new(), 0), |[(address, port), _]| (address.to_string(), port));
        let inode = if socket.sides.is_some() { socket.inode } else { 0 };
        row![socket.pid, port, socket.protocol, socket.family, address, socket.fd, inode, socket.path, socket.namespace,]
    };
    all(found(asked).into_iter().filter(listens).map(row).collect())
}
