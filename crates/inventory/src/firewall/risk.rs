//! What is risky about a packet filter, in words.

use super::{Chain, Rule, Ruleset};

/// Services that are not for everybody, by their port.
const NOT_FOR_ALL: [(u16, &str); 33] = [
    (23, "Telnet, which sends passwords in the clear"),
    (69, "TFTP, which asks for no password"),
    (111, "the portmapper"),
    (135, "Windows RPC"),
    (139, "Windows file sharing"),
    (161, "SNMP"),
    (445, "Windows file sharing"),
    (512, "rexec"),
    (513, "rlogin"),
    (514, "rsh"),
    (623, "IPMI, which rules the hardware"),
    (873, "rsync"),
    (1433, "SQL Server"),
    (1521, "Oracle"),
    (2049, "NFS"),
    (2375, "Docker without a password, which is root"),
    (2379, "etcd"),
    (3306, "MySQL"),
    (3389, "Remote Desktop"),
    (5432, "PostgreSQL"),
    (5900, "VNC"),
    (5984, "CouchDB"),
    (5985, "Windows remote management"),
    (5986, "Windows remote management"),
    (6379, "Redis"),
    (8086, "InfluxDB"),
    (8500, "Consul"),
    (9200, "Elasticsearch"),
    (10000, "Webmin"),
    (10250, "the kubelet"),
    (11211, "memcached"),
    (15672, "RabbitMQ's management"),
    (27017, "MongoDB"),
];

fn refuses(rule: &Rule) -> bool {
    matches!(rule.action.as_str(), "drop" | "reject")
}

/// Whether it is about every packet.
fn is_for_all(rule: &Rule) -> bool {
    rule.protocol.is_empty()
        && rule.from.is_empty()
        && rule.to.is_empty()
        && rule.ports.is_empty()
        && rule.interface.is_empty()
        && rule.states.is_empty()
        && !rule.more
}

fn is_anybody(networks: &[String]) -> bool {
    networks.is_empty() || networks.iter().any(|n| matches!(n.as_str(), "0.0.0.0/0" | "::/0"))
}

/// Whether a port, or a range such as `8000-9000`, has this one in it.
fn has(ports: &str, wanted: u16) -> bool {
    let (from, to) = ports.split_once(['-', ':']).unwrap_or((ports, ports));
    match (from.trim().parse::<u16>(), to.trim().parse::<u16>()) {
        (Ok(from), Ok(to)) => (from..=to).contains(&wanted),
        _ => false,
    }
}

impl Ruleset {
    fn hooked<'a>(&'a self, hook: &'a str) -> impl Iterator<Item = &'a Chain> {
        // Tables of addresses' translation accept what they do not translate.
        self.chains.iter().filter(move |c| c.hook == hook && c.table != "nat" && c.family != "bridge")
    }

    /// Whether what comes to this chain and is not let in is refused.
    fn refuses_the_rest(&self, chain: &Chain) -> bool {
        let own = |r: &&Rule| (&r.family, &r.table, &r.chain) == (&chain.family, &chain.table, &chain.name);
        chain.policy == "drop" || self.rules.iter().filter(own).any(|r| refuses(r) && is_for_all(r))
    }

    /// none: nothing filters what comes in; open: what no rule names is let in; closed: it is refused.
    pub fn state(&self) -> &'static str {
        if self.hooked("input").next().is_none() {
            "none"
        } else if self.hooked("input").any(|chain| self.refuses_the_rest(chain)) {
            "closed"
        } else {
            "open"
        }
    }

    /// Whether what comes in by a family and is not let in is refused.
    fn is_closed_to(&self, family: &str) -> bool {
        let of = |chain: &&Chain| chain.family == family || chain.family == "inet";
        self.hooked("input").filter(of).any(|chain| self.refuses_the_rest(chain))
    }

    /// What is risky about the whole; empty if nothing is known to be. `forwards`: packets are passed on between networks;
    /// `ipv6`: others reach this machine by IPv6.
    pub fn risk(&self, forwards: bool, ipv6: bool) -> String {
        let mut risks = Vec::new();
        match self.state() {
            "none" => risks.push("nothing filters what comes in: every port that is listened on can be reached"),
            "open" => risks.push("what no rule names is let in: a new service can be reached as soon as it listens"),
            _ if !self.is_closed_to("ip") => risks.push("what comes in by IPv4 is not filtered"),
            _ if ipv6 && !self.is_closed_to("ip6") => {
                risks.push("what comes in by IPv6 is not filtered, and this machine can be reached by it");
            }
            _ => {}
        }
        if forwards && !self.hooked("forward").any(|chain| self.refuses_the_rest(chain)) {
            risks.push("packets are passed on between networks, and nothing filters them");
        }
        risks.join("; ")
    }

    /// What is risky about a rule; empty if nothing is known to be.
    pub fn risk_of(&self, rule: &Rule) -> String {
        if rule.action == "masquerade" && rule.from.is_empty() && rule.interface.is_empty() && !rule.more {
            return "whoever can send packets through this machine goes out with its address, by every way".to_owned();
        }
        let entrance = matches!(self.hook_of(rule), "input" | "forward" | "") && rule.table != "nat";
        if rule.action != "accept" || !entrance || !is_anybody(&rule.from) || rule.interface == "lo" {
            return String::new();
        }
        // Answers to what was begun from here are let in everywhere.
        if !rule.states.is_empty() && !rule.states.iter().any(|s| s == "new") {
            return String::new();
        }
        if rule.ports.is_empty() && matches!(rule.protocol.as_str(), "" | "tcp" | "udp") && !rule.more {
            let what = if rule.protocol.is_empty() { "everything" } else { rule.protocol.as_str() };
            return match (rule.interface.as_str(), rule.to.is_empty()) {
                ("", true) => format!("lets {what} in from anybody"),
                ("", false) => String::new(),
                (interface, _) => format!("lets {what} in from anybody who reaches {interface}"),
            };
        }
        let named = NOT_FOR_ALL.iter().filter(|(port, _)| rule.ports.iter().any(|ports| has(ports, *port)));
        let named: Vec<String> = named.map(|(port, what)| format!("{what} ({port})")).collect();
        if named.is_empty() { String::new() } else { format!("lets anybody reach {}", named.join(", ")) }
    }
}
