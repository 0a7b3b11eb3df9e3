//! Packet filters: what `nft -j list ruleset` (libnftables-json(5)), `iptables-save`, ufw and firewalld say, brought to one form,
//! and what is risky about it.

mod firewalld;
mod iptables;
mod nft;
mod risk;
mod ufw;

use serde::Serialize;

pub use firewalld::{Rich, Service, Zone, default_zone, parse as parse_firewalld, parse_service};
pub use iptables::parse as parse_iptables;
pub use nft::parse as parse_nft;
pub use ufw::{Defaults, parse as parse_ufw, parse_defaults as parse_ufw_defaults};

/// Rules and chains of one ruleset that are kept.
const RULES_MAX: usize = 50_000;

/// A chain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Chain {
    /// ip, ip6, inet, bridge, arp or netdev.
    pub family: String,
    /// Its table.
    pub table: String,
    /// Its name.
    pub name: String,
    /// Where packets come to it by themselves: prerouting, input, forward, output, postrouting; empty for one that others
    /// jump to.
    pub hook: String,
    /// What becomes of what no rule decides about: accept or drop; empty where it is not asked.
    pub policy: String,
}

/// A rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// As of its chain.
    pub family: String,
    /// Its table.
    pub table: String,
    /// Its chain.
    pub chain: String,
    /// tcp, udp, icmp and so on; empty for any.
    pub protocol: String,
    /// Sources; empty for any.
    pub from: Vec<String>,
    /// Destinations; empty for any.
    pub to: Vec<String>,
    /// Ports at the destination, or ranges of them; empty for any.
    pub ports: Vec<String>,
    /// The interface by which packets come; empty for any.
    pub interface: String,
    /// States of the connection; empty for any.
    pub states: Vec<String>,
    /// accept, drop, reject, masquerade, dnat and so on, or `jump CHAIN`; empty where it only counts.
    pub action: String,
    /// Whether there are conditions that are not in the members above.
    pub more: bool,
    /// The rule for people.
    pub text: String,
}

/// A set with a name: addresses, ports and the like that rules ask for together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Set {
    /// As of its table.
    pub family: String,
    /// Its table.
    pub table: String,
    /// Its name.
    pub name: String,
    /// What is in it: ipv4_addr, inet_service and so on.
    pub kind: String,
    /// Whether packets put things into it, or they leave it by themselves. What is in it then is not told.
    pub moves: bool,
    /// What is in it.
    pub elements: Vec<String>,
}

/// All chains and rules.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ruleset {
    /// The chains.
    pub chains: Vec<Chain>,
    /// The sets that have names.
    pub sets: Vec<Set>,
    /// The rules, in order.
    pub rules: Vec<Rule>,
    /// Rules for which there was no room.
    pub more: u64,
}

impl Ruleset {
    /// Adds another ruleset.
    pub fn add(&mut self, other: Self) {
        self.chains.extend(other.chains);
        self.sets.extend(other.sets);
        other.rules.into_iter().for_each(|rule| self.push(rule));
        self.more += other.more;
    }

    fn push(&mut self, rule: Rule) {
        if self.rules.len() < RULES_MAX {
            self.rules.push(rule);
        } else {
            self.more += 1;
        }
    }

    fn chain_of(&self, rule: &Rule) -> Option<&Chain> {
        let same = |c: &&Chain| (&c.family, &c.table, &c.name) == (&rule.family, &rule.table, &rule.chain);
        self.chains.iter().find(same)
    }

    /// Where packets come to the chain of a rule by themselves; empty where they do not.
    pub fn hook_of(&self, rule: &Rule) -> &str {
        self.chain_of(rule).map_or("", |chain| chain.hook.as_str())
    }
}
