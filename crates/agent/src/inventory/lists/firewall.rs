//! Packet filters as they are in force, rule by rule, with what is risky about them; and which front end keeps them.

use guardian_inventory::firewall::{self, Chain, Rule, Ruleset};
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
    "/etc/firewalld",
    "/etc/firewalld/zones",
];
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
    front_ends(root, list);
    put(list, &rules, forwards);
}

fn put(list: &mut List, rules: &Ruleset, forwards: bool) {
    let state = rules.state();
    let risk = rules.risk(forwards);
    let value = json!({ "kind": "state", "name": "filter", "value": state, "risk": risk });
    list.put("state", &entry(value));
    for chain in &rules.chains {
        let Chain { family, table, name, hook, policy } = chain;
        let value = json!({
            "kind": "chain", "name": name, "table": table, "family": family, "hook": hook, "policy": policy,
        });
        list.put(&format!("chain/{family}/{table}/{name}"), &entry(value));
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

/// Programs that keep the rules, by what they have written down.
fn front_ends(root: &mut Root, list: &mut List) {
    let ufw = text(root, "/etc/ufw/ufw.conf");
    if !ufw.is_empty() {
        let enabled = ufw.lines().any(|row| row.trim().eq_ignore_ascii_case("ENABLED=yes"));
        let value = json!({ "kind": "front_end", "name": "ufw", "enabled": enabled, "path": "/etc/ufw/ufw.conf" });
        list.put("front_end/ufw", &value);
        for row in text(root, "/etc/ufw/user.rules").lines() {
            if let Some(rule) = row.strip_prefix("### tuple ### ") {
                let value = json!({ "kind": "ufw_rule", "name": rule.trim(), "path": "/etc/ufw/user.rules" });
                list.put(&format!("ufw/{}", rule.trim()), &value);
            }
        }
    }
    let folder = "/etc/firewalld/zones";
    for zone in root.names(folder).into_iter().filter(|name| name.ends_with(".xml")) {
        let path = format!("{folder}/{zone}");
        let found = firewall::parse_firewalld(&root.read(&path).unwrap_or_default());
        let value = json!({
            "kind": "firewalld_zone",
            "name": zone.trim_end_matches(".xml"),
            "target": found.target,
            "services": found.services,
            "ports": found.ports,
            "interfaces": found.interfaces,
            "sources": found.sources,
            "masquerade": found.masquerade,
            "path": path,
        });
        list.put(&format!("firewalld/{zone}"), &entry(value));
    }
}
