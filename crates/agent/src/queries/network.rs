//! Interfaces, routes and neighbours.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rusqlite::types::Value;

use super::{Answered, Asked, Table, all, big, int, read, row, text};

/// Routes that are listed; a router of the whole internet has a million.
const ROUTES_MAX: usize = 100_000;
/// Flags of a route (`include/uapi/linux/route.h`, `ipv6_route.h`).
const UP: u32 = 1;
const LOCAL: u32 = 0x8000_0000;
/// A neighbour that somebody wrote down (`include/uapi/linux/if_arp.h`).
const PERMANENT: u32 = 4;

/// `interface_addresses`.
pub(super) const INTERFACE_ADDRESSES: Table = Table {
    name: "interface_addresses",
    about: "Addresses of the interfaces",
    needs: false,
    columns: &[
        text("interface", "Interface"),
        text("address", "Address"),
        text("mask", "Mask of its network"),
        text("broadcast", "Address for all of its network"),
        text("point_to_point", "The address at the other end"),
        text("type", "How it came: always unknown here"),
    ],
    rows: addresses,
};

/// `interface_details`.
pub(super) const INTERFACE_DETAILS: Table = Table {
    name: "interface_details",
    about: "Interfaces with their counters",
    needs: false,
    columns: &[
        text("interface", "Interface"),
        text("mac", "Hardware address"),
        int("type", "Kind of hardware, as ARP counts them"),
        int("mtu", "Longest packet"),
        int("metric", "Always 0 here"),
        int("flags", "Flags, as the kernel has them"),
        big("ipackets", "Packets that came"),
        big("opackets", "Packets that went"),
        big("ibytes", "Bytes that came"),
        big("obytes", "Bytes that went"),
        big("ierrors", "Packets that came damaged"),
        big("oerrors", "Packets that could not be sent"),
        big("idrops", "Packets that came and were dropped"),
        big("odrops", "Packets that were dropped before they went"),
        big("collisions", "Collisions"),
        big("last_change", "Always -1 here"),
        big("link_speed", "Mbit/s; -1 where nobody knows"),
        text("pci_slot", "Place on the bus"),
    ],
    rows: details,
};

/// `routes`.
pub(super) const ROUTES: Table = Table {
    name: "routes",
    about: "Routes of the main tables",
    needs: false,
    columns: &[
        text("destination", "Network"),
        int("netmask", "Bits of the network"),
        text("gateway", "Over which router; empty for none"),
        text("source", "Address that is preferred; not known here"),
        int("flags", "Flags, as the kernel has them"),
        text("interface", "Interface"),
        int("mtu", "Longest packet; 0 where the route does not say"),
        int("metric", "The lower wins"),
        text("type", "gateway, local or other"),
        int("hopcount", "Always 0 here"),
    ],
    rows: routes,
};

/// `arp_cache`.
pub(super) const ARP_CACHE: Table = Table {
    name: "arp_cache",
    about: "Hardware addresses of IPv4 neighbours",
    needs: false,
    columns: &[
        text("address", "IPv4 address"),
        text("mac", "Hardware address"),
        text("interface", "Interface"),
        text("permanent", "1 where somebody wrote it down"),
    ],
    rows: neighbours,
};

fn addresses(_: &Asked<'_>) -> Answered {
    let found = nix::ifaddrs::getifaddrs().map_err(|error| format!("the interfaces cannot be listed: {error}"))?;
    let ip = |storage: &nix::sys::socket::SockaddrStorage| match (storage.as_sockaddr_in(), storage.as_sockaddr_in6()) {
        (Some(v4), _) => Some(IpAddr::V4(v4.ip())),
        (_, Some(v6)) => Some(IpAddr::V6(v6.ip())),
        _ => None,
    };
    let text = |storage: Option<nix::sys::socket::SockaddrStorage>| {
        storage.as_ref().and_then(ip).map(|address| address.to_string()).unwrap_or_default()
    };
    let row = |one: nix::ifaddrs::InterfaceAddress| {
        let address = one.address.as_ref().and_then(ip)?.to_string();
        let broadcast = text(one.broadcast);
        Some(row![one.interface_name, address, text(one.netmask), broadcast, text(one.destination), "unknown"])
    };
    all(found.filter_map(row).collect())
}

fn details(_: &Asked<'_>) -> Answered {
    all(read::names("/sys/class/net").into_iter().filter_map(|name| detail_row(&name)).collect())
}

fn detail_row(name: &str) -> Option<Vec<Value>> {
    let at = format!("/sys/class/net/{name}");
    // What has no kind is none: bonding keeps a file of its own there.
    let kind = read::line(format!("{at}/type")).parse::<u32>().ok()?;
    let number = |file: &str| read::line(format!("{at}/{file}")).parse::<i64>().ok();
    let flags = u32::from_str_radix(read::line(format!("{at}/flags")).trim_start_matches("0x"), 16).ok();
    let counted = |name: &str| number(&format!("statistics/{name}"));
    let device = read::text(format!("{at}/device/uevent"));
    let slot = device.lines().find_map(|line| line.strip_prefix("PCI_SLOT_NAME=")).unwrap_or_default();
    Some(row![
        name,
        read::line(format!("{at}/address")),
        kind,
        number("mtu"),
        0,
        flags,
        counted("rx_packets"),
        counted("tx_packets"),
        counted("rx_bytes"),
        counted("tx_bytes"),
        counted("rx_errors"),
        counted("tx_errors"),
        counted("rx_dropped"),
        counted("tx_dropped"),
        counted("collisions"),
        -1,
        number("speed").unwrap_or(-1),
        slot,
    ])
}

fn routes(_: &Asked<'_>) -> Answered {
    let four = read::text("/proc/net/route");
    let mut rows: Vec<Vec<Value>> = four.lines().skip(1).take(ROUTES_MAX).filter_map(route4).collect();
    rows.extend(read::text("/proc/net/ipv6_route").lines().take(ROUTES_MAX).filter_map(route6));
    all(rows)
}

fn hex(word: &str) -> u32 {
    u32::from_str_radix(word, 16).unwrap_or(0)
}

fn route4(line: &str) -> Option<Vec<Value>> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [interface, to, gateway, flags, _, _, metric, mask, mtu, ..] = words.as_slice() else { return None };
    let address = |word: &str| Ipv4Addr::from(hex(word).to_ne_bytes());
    let gateway = Some(address(gateway)).filter(|next| !next.is_unspecified()).map(|next| next.to_string());
    (hex(flags) & UP != 0).then(|| {
        row![
            address(to).to_string(),
            hex(mask).count_ones(),
            gateway.unwrap_or_default(),
            "",
            hex(flags),
            *interface,
            mtu.parse::<u32>().unwrap_or(0),
            metric.parse::<u32>().unwrap_or(0),
            "gateway",
            0,
        ]
    })
}

fn route6(line: &str) -> Option<Vec<Value>> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [to, length, _, _, next, metric, _, _, flags, interface] = words.as_slice() else { return None };
    let address = |word: &str| u128::from_str_radix(word, 16).map_or(Ipv6Addr::UNSPECIFIED, Ipv6Addr::from);
    let gateway = Some(address(next)).filter(|next| !next.is_unspecified()).map(|next| next.to_string());
    let kind = match hex(flags) {
        flags if flags & LOCAL != 0 => "local",
        _ if address(to).is_multicast() => "other",
        _ => "gateway",
    };
    (hex(flags) & UP != 0).then(|| {
        row![
            address(to).to_string(),
            hex(length),
            gateway.unwrap_or_default(),
            "",
            hex(flags),
            *interface,
            0,
            hex(metric),
            kind,
            0,
        ]
    })
}

fn neighbours(_: &Asked<'_>) -> Answered {
    let row = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [address, _, flags, mac, _, interface] = words.as_slice() else { return None };
        let permanent = hex(flags.trim_start_matches("0x")) & PERMANENT != 0;
        Some(row![*address, *mac, *interface, if permanent { "1" } else { "0" }])
    };
    all(read::text("/proc/net/arp").lines().skip(1).filter_map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_read_from_both_tables() {
        let text = |text: &str| Value::Text(text.into());
        let row = route4("eth0\t00000000\t010011AC\t0003\t0\t0\t100\t00000000\t0\t0\t0").unwrap();
        assert_eq!((row.len(), &row[0], &row[2]), (ROUTES.columns.len(), &text("0.0.0.0"), &text("172.17.0.1")));
        assert_eq!((&row[1], &row[5], &row[7]), (&Value::Integer(0), &text("eth0"), &Value::Integer(100)));
        assert!(route4("eth0 0 0 0000 0 0 0 0 0").is_none(), "one that is down");
        let six = "20010db8000000000000000000000000 20 00000000000000000000000000000000 00 \
                   fe800000000000000000000000000001 00000400 00000001 00000000 00000003 eth0";
        let row = route6(six).unwrap();
        assert_eq!((row.len(), &row[0], &row[1]), (ROUTES.columns.len(), &text("2001:db8::"), &Value::Integer(32)));
        assert_eq!((&row[2], &row[8]), (&text("fe80::1"), &text("gateway")));
    }
}
