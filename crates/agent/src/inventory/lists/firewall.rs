//! Packet filters as they are in force, rule by rule, with what is risky about them; and which front end keeps them.

use guardian_inventory::firewall::{self, Chain, Rule, Ruleset, Set};
use guardian_protocol::lists::List;
use serde_json::json;

use super::{entry, line, text};
use crate::files::{Root, Tool};

/// What moves when somebody changes how filters begin.
pub(super) const WATCHED: &[&str] = &[
    "/etc/nftables.conf",
    "/etc/iptables",
    "/etc/ufw",
    "/etc/ufw/user.rules",
    "/etc/ufw/user6.rules",
    "/etc/default/ufw",
    "/etc/firewalld",
    "/etc/firewalld/firewalld.conf",
    "/etc/firewalld/services",
    "/etc/firewalld/zones",
];
/// Services in services of firewalld.
const DEPTH_MAX: usize = 4;
/// Ports of a service with those in it.
const PORTS_MAX: usize = 256;

pub(super) fn firewall(root: &mut Root, list: &mut List) {
    let nft = root.output(Tool::Nft).map(|out| firewall::parse_nft(&out));
    let mut rules = nft.and_then(Result::ok).unwrap_or_default();
    let kept = root.names("/proc/net");
    // Tables of the old kind stand beside those of nft, and are not in its list.
    for (family, tool) in [("ip", Tool::Iptables), ("ip6", Tool::Ip6tables)] {
        if family == "ip" || kept.contains(&format!("{family}_tables_names")) {
            let saved = root.output(tool).unwrap_or_default();
            rules.add(firewall::parse_iptables(&saved, family));
        }
    }
    let forwards = line(root, "/proc/sys/net/ipv4/ip_forward") == "1";
    let ipv6 = is_reached_by_ipv6(&text(root, "/proc/net/if_inet6"));
    ufw(root, list, ipv6);
    firewalld(root, list);
    put(list, &rules, forwards, ipv6);
}

/// Whether there is an address of IPv6 that more than the next cable leads to: of the whole world, or of a site.
fn is_reached_by_ipv6(addresses: &str) -> bool {
    addresses.lines().any(|row| matches!(row.split_whitespace().nth(3), Some("00" | "40")))
}

fn put(list: &mut List, rules: &Ruleset, forwards: bool, ipv6: bool) {
    let state = rules.state();
    let risk = rules.risk(forwards, ipv6);
    let value = json!({ "kind": "state", "name": "filter", "value": state, "risk": risk });
    list.put("state", &entry(value));
    for chain in &rules.chains {
        let Chain { family, table, name, hook, policy } = chain;
        let value = json!({
            "kind": "chain", "name": name, "table": table, "family": family, "hook": hook, "policy": policy,
        });
        list.put(&format!("chain/{family}/{table}/{name}"), &entry(value));
    }
    for set in &rules.sets {
        let Set { family, table, name, kind, moves, elements } = set;
        let value = json!({
            "kind": "set",
            "name": name,
            "table": table,
            "family": family,
            "value": kind,
            "moves": moves.then_some(true),
            "elements": elements,
        });
        list.put(&format!("set/{family}/{table}/{name}"), &entry(value));
    }
    let mut place = std::collections::HashMap::new();
    for rule in &rules.rules {
        let Rule { family, table, chain, .. } = rule;
        let key = format!("rule/{family}/{table}/{chain}/{}", rule.text);
        // The same rule twice in a chain says nothing more.
        let number = place.entry(key.clone()).or_insert(0_u32);
        *number += 1;
        let key = if *number > 1 { format!("{key}/{number}") } else { key };
        let value = json!({
            "kind": "rule",
            "name": rule.text,
            "table": table,
            "chain": chain,
            "family": family,
            "hook": rules.hook_of(rule),
            "protocol": rule.protocol,
            "from": rule.from,
            "to": rule.to,
            "ports": rule.ports,
            "interface": rule.interface,
            "states": rule.states,
            "more": rule.more,
            "action": rule.action,
            "risk": rules.risk_of(rule),
        });
        list.put(&key, &entry(value));
    }
}

/// A rule of a program that keeps them, as it was asked for.
fn put_asked(list: &mut List, kind: &str, rules: &Ruleset, rule: &Rule, (path, in_force): (&str, bool)) {
    let value = json!({
        "kind": kind,
        "name": rule.text,
        "chain": rule.chain,
        "family": rule.family,
        "protocol": rule.protocol,
        "from": rule.from,
        "to": rule.to,
        "ports": rule.ports,
        "interface": rule.interface,
        "more": rule.more,
        "action": rule.action,
        "risk": if in_force { rules.risk_of(rule) } else { String::new() },
        "path": path,
    });
    let of = format!("{}/{}/{}", rule.protocol, rule.ports.join(","), rule.text);
    list.put(&format!("{kind}/{}/{}/{of}", rule.family, rule.chain), &entry(value));
}

fn ufw(root: &mut Root, list: &mut List, ipv6: bool) {
    let config = text(root, "/etc/ufw/ufw.conf");
    if config.is_empty() {
        return;
    }
    let enabled = config.lines().any(|row| row.trim().eq_ignore_ascii_case("ENABLED=yes"));
    let defaults = firewall::parse_ufw_defaults(&root.read("/etc/default/ufw").unwrap_or_default());
    let risk = if enabled { defaults.risk(ipv6) } else { String::new() };
    let value = json!({
        "kind": "front_end",
        "name": "ufw",
        "enabled": enabled,
        "input": defaults.input,
        "output": defaults.output,
        "forward": defaults.forward,
        "ipv6": defaults.ipv6,
        "risk": risk,
        "path": "/etc/ufw/ufw.conf",
    });
    list.put("front_end/ufw", &entry(value));
    for (path, family) in [("/etc/ufw/user.rules", "ip"), ("/etc/ufw/user6.rules", "ip6")] {
        let rules = firewall::parse_ufw(&root.read(path).unwrap_or_default(), family);
        for rule in &rules.rules {
            put_asked(list, "ufw_rule", &rules, rule, (path, enabled));
        }
    }
}

fn firewalld(root: &mut Root, list: &mut List) {
    let Some(config) = root.read("/etc/firewalld/firewalld.conf") else { return };
    let default = firewall::default_zone(&config);
    let wanted = "/etc/systemd/system/multi-user.target.wants";
    let enabled = root.names(wanted).iter().any(|name| name == "firewalld.service");
    let value = json!({
        "kind": "front_end",
        "name": "firewalld",
        "enabled": enabled,
        "value": default,
        "path": "/etc/firewalld/firewalld.conf",
    });
    list.put("front_end/firewalld", &entry(value));
    let is_file = |name: &String| name.ends_with(".xml");
    let own: Vec<String> = root.names("/etc/firewalld/zones").into_iter().filter(is_file).collect();
    let mut zones: Vec<String> = own.iter().map(|name| format!("/etc/firewalld/zones/{name}")).collect();
    // Those that come with it do nothing until something is put into them; but what is in no other is in the default one.
    if !own.contains(&format!("{default}.xml")) {
        zones.push(format!("/usr/lib/firewalld/zones/{default}.xml"));
    }
    for path in zones {
        let name = path.rsplit('/').next().unwrap_or_default().trim_end_matches(".xml").to_owned();
        zone(root, list, &path, &name, name == default && enabled);
    }
}

fn zone(root: &mut Root, list: &mut List, path: &str, name: &str, is_default: bool) {
    let found = firewall::parse_firewalld(&root.read(path).unwrap_or_default());
    let in_force = is_default || !found.interfaces.is_empty() || !found.sources.is_empty();
    let rich: Vec<&str> = found.rich.iter().map(|rich| rich.text.as_str()).collect();
    let value = json!({
        "kind": "firewalld_zone",
        "name": name,
        "default": is_default.then_some(true),
        "target": found.target,
        "services": found.services,
        "ports": found.ports,
        "source_ports": found.source_ports,
        "protocols": found.protocols,
        "interfaces": found.interfaces,
        "sources": found.sources,
        "forward_ports": found.forward_ports,
        "icmp_blocks": found.icmp_blocks,
        "masquerade": found.masquerade,
        "forward": found.forward,
        "rules": rich,
        "path": path,
    });
    list.put(&format!("firewalld/{name}"), &entry(value));
    let rules = found.rules(name, |service| service_ports(root, service, DEPTH_MAX));
    for rule in &rules.rules {
        put_asked(list, "firewalld_rule", &rules, rule, (path, in_force));
    }
}

/// The ports of a service and of those in it: of the administrator's file, else of the one that came with firewalld.
fn service_ports(root: &mut Root, name: &str, depth: usize) -> Vec<String> {
    if depth == 0 || name.contains('/') {
        return Vec::new();
    }
    let places = ["/etc/firewalld/services", "/usr/lib/firewalld/services"];
    let file = places.iter().find_map(|folder| root.read(&format!("{folder}/{name}.xml")));
    let service = firewall::parse_service(&file.unwrap_or_default());
    let mut ports = service.ports;
    for inner in service.includes {
        ports.extend(service_ports(root, &inner, depth - 1));
        ports.truncate(PORTS_MAX);
    }
    ports
}

#[cfg(test)]
mod tests {
    use super::is_reached_by_ipv6;

    #[test]
    fn only_addresses_beyond_the_cable_count() {
        assert!(!is_reached_by_ipv6(
            "00000000000000000000000000000001 01 80 10 80 lo\nfe800000000000000000000000000001 02 40 20 80 eth0\n"
        ));
        assert!(is_reached_by_ipv6("20010db8000000000000000000000001 02 40 00 80 eth0\n"));
    }
}
