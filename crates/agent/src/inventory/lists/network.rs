//! Interfaces with their addresses, routes, and how names are resolved and the network is left: resolvers, hosts, proxies.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use guardian_protocol::lists::List;
use serde_json::json;

use super::{entry, line, text};
use crate::files::Root;

/// What moves when somebody changes where names lead.
pub(super) const WATCHED: &[&str] = &[
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/systemd/resolved.conf",
    "/etc/environment",
    "/etc/apt/apt.conf.d",
    "/etc/profile.d",
];
/// Routes that are listed; a router of the whole internet has a million.
const ROUTES_MAX: usize = 2_000;
/// Flags of a route: up, gateway (`include/uapi/linux/route.h`), and of a local IPv6 one (`ipv6_route.h`).
const UP: u32 = 1;
const GATEWAY: u32 = 2;
const LOCAL: u32 = 0x8000_0000;

pub(super) fn interfaces(root: &mut Root, list: &mut List) {
    let mut addresses: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for found in nix::ifaddrs::getifaddrs().into_iter().flatten() {
        let Some(storage) = found.address else { continue };
        let address = match (storage.as_sockaddr_in(), storage.as_sockaddr_in6()) {
            (Some(v4), _) => IpAddr::V4(v4.ip()),
            (_, Some(v6)) => IpAddr::V6(v6.ip()),
            _ => continue,
        };
        let bits = found.netmask.and_then(|mask| match (mask.as_sockaddr_in(), mask.as_sockaddr_in6()) {
            (Some(v4), _) => Some(u32::from(v4.ip()).count_ones()),
            (_, Some(v6)) => Some(u128::from(v6.ip()).count_ones()),
            _ => None,
        });
        let shown = bits.map_or_else(|| address.to_string(), |bits| format!("{address}/{bits}"));
        addresses.entry(found.interface_name).or_default().push(shown);
    }
    // Both ends of containers' wires come and go with them.
    for name in root.names("/sys/class/net").into_iter().filter(|name| !name.starts_with("veth")) {
        let at = format!("/sys/class/net/{name}");
        let promiscuous = u32::from_str_radix(line(root, &format!("{at}/flags")).trim_start_matches("0x"), 16)
            .is_ok_and(|flags| flags & 0x100 != 0);
        let mut own = addresses.remove(&name).unwrap_or_default();
        own.sort();
        let kind = text(root, &format!("{at}/uevent"));
        let kind = kind.lines().find_map(|l| l.strip_prefix("DEVTYPE=")).unwrap_or_default().to_owned();
        let master = root.outside(format!("{at}/master").as_ref());
        let master = std::fs::read_link(master).ok().and_then(|to| Some(to.file_name()?.to_str()?.to_owned()));
        let value = json!({
            "kind": if kind.is_empty() { "interface".to_owned() } else { kind },
            "name": name,
            "mac": line(root, &format!("{at}/address")),
            "mtu": line(root, &format!("{at}/mtu")).parse::<u32>().ok(),
            "state": line(root, &format!("{at}/operstate")),
            "addresses": own,
            "part_of": master,
            "promiscuous": promiscuous.then_some(true),
        });
        list.put(&name, &entry(value));
    }
}

pub(super) fn routes(root: &mut Root, list: &mut List) {
    for row in text(root, "/proc/net/route").lines().skip(1).take(ROUTES_MAX) {
        let words: Vec<&str> = row.split_whitespace().collect();
        let [interface, to, gateway, flags, _, _, metric, mask, ..] = words.as_slice() else { continue };
        let number = |hex: &str| u32::from_str_radix(hex, 16).unwrap_or(0);
        let address = |hex: &str| Ipv4Addr::from(number(hex).to_ne_bytes());
        if number(flags) & UP == 0 {
            continue;
        }
        let to = format!("{}/{}", address(to), number(mask).count_ones());
        let via = (number(flags) & GATEWAY != 0).then(|| address(gateway).to_string());
        put_route(list, &to, via, interface, metric.parse().ok());
    }
    for row in text(root, "/proc/net/ipv6_route").lines().take(ROUTES_MAX) {
        let words: Vec<&str> = row.split_whitespace().collect();
        let [to, length, _, _, next, metric, _, _, flags, interface] = words.as_slice() else { continue };
        let number = |hex: &str| u32::from_str_radix(hex, 16).unwrap_or(0);
        let address = |hex: &str| u128::from_str_radix(hex, 16).map(Ipv6Addr::from).unwrap_or(Ipv6Addr::UNSPECIFIED);
        // The kernel's own for each address and for groups.
        if number(flags) & UP == 0 || number(flags) & LOCAL != 0 || address(to).is_multicast() || *interface == "lo" {
            continue;
        }
        let to = format!("{}/{}", address(to), number(length));
        let via = Some(address(next)).filter(|next| !next.is_unspecified()).map(|next| next.to_string());
        put_route(list, &to, via, interface, Some(number(metric)));
    }
}

fn put_route(list: &mut List, to: &str, via: Option<String>, interface: &str, metric: Option<u32>) {
    let all = matches!(to, "0.0.0.0/0" | "::/0");
    let key = format!("{to}/{}/{interface}/{}", via.as_deref().unwrap_or_default(), metric.unwrap_or(0));
    let kind = if all { "default" } else { "route" };
    let value = json!({ "kind": kind, "name": to, "gateway": via, "interface": interface, "metric": metric });
    list.put(&key, &entry(value));
}

pub(super) fn resolvers(root: &mut Root, list: &mut List) {
    let mut put = |kind: &str, name: &str, value: &str, path: &str| {
        let value = json!({ "kind": kind, "name": name, "value": value, "path": path });
        list.put(&format!("{kind}/{path}/{name}"), &entry(value));
    };
    let path = "/etc/resolv.conf";
    for row in text(root, path).lines() {
        let mut words = row.split_whitespace();
        match words.next() {
            Some(kind @ ("nameserver" | "search" | "domain" | "options")) => {
                for word in words.filter(|word| !word.starts_with(['#', ';'])) {
                    put(kind, word, "", path);
                }
            }
            _ => {}
        }
    }
    let path = "/etc/hosts";
    for row in text(root, path).lines() {
        let row = row.split('#').next().unwrap_or_default();
        let mut words = row.split_whitespace();
        let Some(address) = words.next() else { continue };
        words.for_each(|name| put("host", name, address, path));
    }
    let path = "/etc/nsswitch.conf";
    if let Some(order) = text(root, path).lines().find_map(|row| row.trim().strip_prefix("hosts:").map(str::to_owned)) {
        put("order", "hosts", order.trim(), path);
    }
    let mut files = vec!["/etc/environment".to_owned(), "/etc/yum.conf".to_owned(), "/etc/dnf/dnf.conf".to_owned()];
    for folder in ["/etc/apt/apt.conf.d", "/etc/profile.d"] {
        files.extend(root.names(folder).into_iter().map(|name| format!("{folder}/{name}")));
    }
    for path in files {
        for row in text(root, &path).lines() {
            if let Some((name, value)) = proxy(row) {
                put("proxy", &name, &value, &path);
            }
        }
    }
}

/// A setting of a proxy: `http_proxy=…`, `proxy=…`, `Acquire::http::Proxy "…";`. Names and passwords in it are left out.
fn proxy(row: &str) -> Option<(String, String)> {
    let row = row.trim().trim_start_matches("export ").trim_end_matches(';');
    if row.starts_with(['#', '/']) {
        return None;
    }
    let (name, value) = row.split_once(['=', ' '])?;
    let name = name.trim();
    let lower = name.to_lowercase();
    let fits = lower.ends_with("_proxy") || lower == "proxy" || lower.ends_with("::proxy");
    let value = value.trim().trim_matches(['"', '\'']);
    if !fits || value.is_empty() {
        return None;
    }
    let value = match (value.split_once("://"), value.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://***@{host}"),
        (None, Some((_, host))) => format!("***@{host}"),
        _ => value.to_owned(),
    };
    Some((name.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use super::proxy;

    #[test]
    fn proxies_are_shown_without_their_secrets() {
        for (row, expected) in [
            ("http_proxy=http://ann:secret@proxy:3128/", Some(("http_proxy", "http://***@proxy:3128/"))),
            ("export HTTPS_PROXY=\"http://proxy:3128\"", Some(("HTTPS_PROXY", "http://proxy:3128"))),
            ("Acquire::http::Proxy \"http://cache:9999\";", Some(("Acquire::http::Proxy", "http://cache:9999"))),
            ("proxy=ann:secret@proxy:1", Some(("proxy", "***@proxy:1"))),
            ("# http_proxy=x", None),
            ("PATH=/bin", None),
        ] {
            let found = proxy(row);
            assert_eq!(found.as_ref().map(|(a, b)| (a.as_str(), b.as_str())), expected, "{row}");
        }
    }
}
