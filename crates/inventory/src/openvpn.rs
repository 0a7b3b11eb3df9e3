//! OpenVPN (openvpn(8)): what of its configuration says where it leads, and who is connected by its status file, in all three
//! forms. Keys and passwords that stand in a configuration are passed over.

use std::net::IpAddr;

use crate::limits::LIST_MAX;
use crate::text::{clip, lines};

/// Peers of one server that are kept.
const PEERS_MAX: usize = 10_000;

/// What a configuration, or the arguments of a program, say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// tun or tap, with or without a number.
    pub device: String,
    /// Where it connects to.
    pub remotes: Vec<String>,
    /// The cipher.
    pub cipher: String,
    /// The networks that it serves.
    pub networks: Vec<String>,
    /// Where it writes who is connected.
    pub status: String,
    /// Where it takes orders: address and port, or a socket.
    pub management: String,
    /// The file with more of it, where arguments name one.
    pub config: String,
}

impl Config {
    fn set(&mut self, name: &str, value: &str) {
        let value = value.trim();
        let first = value.split_whitespace().next().unwrap_or_default();
        match name {
            "dev" if self.device.is_empty() => self.device = clip(first),
            "remote" if self.remotes.len() < LIST_MAX => self.remotes.push(clip(value)),
            "cipher" => self.cipher = clip(first),
            "server" | "server-ipv6" | "server-bridge" if self.networks.len() < LIST_MAX => {
                self.networks.push(clip(value))
            }
            "status" => self.status = clip(first.trim_matches('"')),
            "management" => {
                // A third word is the file with the password.
                let words: Vec<&str> = value.split_whitespace().take(2).collect();
                self.management = clip(&words.join(" "));
            }
            "config" => self.config = clip(first),
            _ => {}
        }
    }
}

/// The configuration of one file.
pub fn parse_config(file: &[u8]) -> Config {
    let mut config = Config::default();
    let mut inline = String::new();
    for (_, line) in lines(file) {
        let line = line.trim();
        // What stands between tags is a file: keys, most often.
        if !inline.is_empty() {
            if line == format!("</{inline}>") {
                inline.clear();
            }
            continue;
        }
        if let Some(tag) = line.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')) {
            if tag != "connection" && !tag.starts_with('/') {
                tag.clone_into(&mut inline);
            }
            continue;
        }
        if line.starts_with(['#', ';']) {
            continue;
        }
        let (name, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        config.set(name, value);
    }
    config
}

/// The configuration in the arguments of a program.
pub fn parse_arguments(arguments: &[String]) -> Config {
    let mut config = Config::default();
    let mut rest = arguments.iter().skip(1).peekable();
    // A single word is the configuration.
    if arguments.len() == 2 && !arguments[1].starts_with('-') {
        config.config = clip(&arguments[1]);
    }
    while let Some(word) = rest.next() {
        let Some(name) = word.strip_prefix("--") else { continue };
        let mut values = Vec::new();
        while let Some(value) = rest.next_if(|word| !word.starts_with("--")) {
            values.push(value.as_str());
        }
        config.set(name, &values.join(" "));
    }
    config
}

/// Somebody who is connected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// The name in the certificate.
    pub name: String,
    /// Where it comes from, without the port, which is another each time.
    pub remote: String,
    /// Its addresses within, and networks behind it.
    pub networks: Vec<String>,
    /// Octets that came.
    pub received: u64,
    /// Octets that were sent.
    pub sent: u64,
}

/// What stands in a status file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Who is connected; none of a client.
    pub peers: Vec<Peer>,
    /// Octets that came and went, of a client.
    pub bytes: Option<(u64, u64)>,
}

/// Reads a status file.
pub fn parse_status(file: &[u8]) -> Status {
    let mut status = Status::default();
    let (mut part, mut received) = (String::new(), 0);
    for (_, line) in lines(file) {
        let separator = if line.contains('\t') { '\t' } else { ',' };
        let words: Vec<&str> = line.trim().split(separator).collect();
        match words.as_slice() {
            ["CLIENT_LIST", name, remote, inside, inside6, came, went, ..] => {
                let networks = [inside, inside6].into_iter().filter(|ip| !ip.is_empty());
                let peer = peer(name, remote, came, went);
                push(&mut status, Peer { networks: networks.map(|ip| clip(ip)).collect(), ..peer });
            }
            ["ROUTING_TABLE", network, name, remote, ..] => route(&mut status, network, name, remote),
            ["ROUTING TABLE" | "GLOBAL STATS" | "OpenVPN CLIENT LIST" | "OpenVPN STATISTICS"] => {
                words[0].clone_into(&mut part);
            }
            ["Common Name" | "Virtual Address", ..] => {}
            [name, remote, came, went, _] if part == "OpenVPN CLIENT LIST" => {
                push(&mut status, peer(name, remote, came, went));
            }
            [network, name, remote, _] if part == "ROUTING TABLE" => route(&mut status, network, name, remote),
            ["TCP/UDP read bytes", bytes] => received = bytes.parse().unwrap_or(0),
            ["TCP/UDP write bytes", bytes] => status.bytes = Some((received, bytes.parse().unwrap_or(0))),
            _ => {}
        }
    }
    status
}

fn push(status: &mut Status, peer: Peer) {
    if status.peers.len() < PEERS_MAX && peer.name != "UNDEF" {
        status.peers.push(peer);
    }
}

fn peer(name: &str, remote: &str, came: &str, went: &str) -> Peer {
    Peer {
        name: clip(name),
        remote: host(remote),
        networks: Vec::new(),
        received: came.parse().unwrap_or(0),
        sent: went.parse().unwrap_or(0),
    }
}

fn route(status: &mut Status, network: &str, name: &str, remote: &str) {
    let remote = host(remote);
    // What was learned of a whole Ethernet is told with a letter behind it.
    let network = clip(network.trim_end_matches('C'));
    let same = |peer: &&mut Peer| peer.name == name && peer.remote == remote;
    if let Some(peer) = status.peers.iter_mut().find(same)
        && peer.networks.len() < LIST_MAX
        && !peer.networks.contains(&network)
    {
        peer.networks.push(network);
    }
}

/// `203.0.113.9:1194`, `udp6:fd00::1:1194`, `tcp4-server:…` without what is not the address.
fn host(remote: &str) -> String {
    let rest = remote.split_once(':').filter(|(kind, _)| kind.starts_with(['u', 't'])).map_or(remote, |(_, rest)| rest);
    let rest = rest.trim_start_matches('[').replace(']', "");
    if rest.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv4()) {
        return rest;
    }
    match rest.rsplit_once(':').filter(|(host, _)| host.parse::<IpAddr>().is_ok()) {
        Some((host, _)) => host.to_owned(),
        None => clip(&rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations_are_read_without_their_keys() {
        let config = parse_config(
            b"# a server\ndev tun0\nserver 10.8.0.0 255.255.255.0\n<key>\nstatus /wrong\n</key>\nstatus /run/s.log 10\n\
              management 127.0.0.1 7505 /etc/password\nremote a.example 1194\n<connection>\nremote b.example\n</connection>\n",
        );
        assert_eq!((&*config.device, &*config.status, &*config.management), ("tun0", "/run/s.log", "127.0.0.1 7505"));
        assert_eq!((config.remotes.len(), &*config.networks[0]), (2, "10.8.0.0 255.255.255.0"));
        let words: Vec<String> =
            "openvpn --daemon x --config /a.conf --status /s 5 --dev tap1".split(' ').map(str::to_owned).collect();
        let config = parse_arguments(&words);
        assert_eq!((&*config.config, &*config.status, &*config.device), ("/a.conf", "/s", "tap1"));
        assert_eq!(parse_arguments(&["openvpn".into(), "a.ovpn".into()]).config, "a.ovpn");
    }

    #[test]
    fn who_is_connected_is_read_in_all_forms() {
        let first = b"OpenVPN CLIENT LIST\nUpdated,2026-01-02 03:04:05\nCommon Name,Real Address,Bytes Received,Bytes Sent,\
            Connected Since\nann,203.0.113.9:40000,55,66,2026-01-02 03:00:00\nROUTING TABLE\nVirtual Address,Common Name,\
            Real Address,Last Ref\n10.8.0.2,ann,203.0.113.9:40000,2026-01-02 03:04:00\nGLOBAL STATS\nMax,0\nEND\n";
        let second = b"TITLE,OpenVPN\nHEADER,CLIENT_LIST,Common Name\nCLIENT_LIST,ann,203.0.113.9:40000,10.8.0.2,,55,66,x,1,\
            UNDEF,0,0\nCLIENT_LIST,UNDEF,203.0.113.8:1,,,1,1,x,1,UNDEF,0,0\nROUTING_TABLE,10.8.0.2,ann,203.0.113.9:40000,x,1\nEND\n";
        let third: Vec<u8> = second.iter().map(|b| if *b == b',' { b'\t' } else { *b }).collect();
        for form in [&first[..], second, &third] {
            let status = parse_status(form);
            let ann = Peer {
                name: "ann".into(),
                remote: "203.0.113.9".into(),
                networks: vec!["10.8.0.2".into()],
                received: 55,
                sent: 66,
            };
            assert_eq!(status.peers, [ann], "{}", String::from_utf8_lossy(form));
        }
        let client = parse_status(b"OpenVPN STATISTICS\nUpdated,x\nTCP/UDP read bytes,7\nTCP/UDP write bytes,8\nEND\n");
        assert_eq!((client.peers.len(), client.bytes), (0, Some((7, 8))));
        assert_eq!([host("udp6:fd00::1:1194"), host("[fd00::1]:9"), host("x")], ["fd00::1", "fd00::1", "x"]);
    }
}
