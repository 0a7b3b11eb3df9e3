//! Peers of WireGuard, with what moves by itself: octets and the time of the last handshake.

use super::{Answered, Asked, Table, all, big, int, row, text};
use crate::inventory::lists::live_tunnels::wireguards;

/// `wireguard_peers`.
pub(super) const WIREGUARD_PEERS: Table = Table {
    name: "wireguard_peers",
    about: "Peers of WireGuard, of the kernel and of programs; never a private key",
    needs: false,
    columns: &[
        text("interface", "Interface"),
        text("public_key", "Public key of the peer"),
        text("endpoint", "Address and port where it was last; empty for none"),
        text("allowed_ips", "Networks behind it, with commas between them"),
        big("latest_handshake", "When keys were agreed upon last, in seconds since 1970; 0 for never"),
        big("transfer_rx", "Bytes that came"),
        big("transfer_tx", "Bytes that went"),
        int("persistent_keepalive", "Seconds after which it is greeted; 0 for never"),
    ],
    rows: peers,
};

fn peers(_: &Asked<'_>) -> Answered {
    let mut rows = Vec::new();
    for device in wireguards() {
        for peer in device.peers {
            let endpoint = peer.endpoint.map(|endpoint| endpoint.to_string()).unwrap_or_default();
            let numbers = [peer.handshake, peer.received, peer.sent].map(|n| i64::try_from(n).unwrap_or(i64::MAX));
            let [handshake, received, sent] = numbers;
            let keepalive = i64::from(peer.keepalive);
            let networks = peer.networks.join(",");
            rows.push(row![device.name.clone(), peer.key, endpoint, networks, handshake, received, sent, keepalive]);
        }
    }
    all(rows)
}
