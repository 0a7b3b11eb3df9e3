//! Rules of the packet filter as `iptables-save` prints them.

use rusqlite::types::Value;

use super::read::Program;
use super::{Answered, Asked, Table, all, int, row, text};

/// What says them, with what was counted.
pub(super) static PROGRAM: Program =
    Program::new(["/usr/sbin/iptables-save", "/sbin/iptables-save"], || vec!["-c".to_owned()]);

/// `iptables`.
pub(super) const IPTABLES: Table = Table {
    name: "iptables",
    about: "IPv4 rules of the packet filter, and what happens where none fits",
    needs: false,
    columns: &[
        text("filter_name", "Table"),
        text("chain", "Chain"),
        text("policy", "What happens where no rule of the chain fits; the other columns are empty then"),
        text("target", "What a rule does"),
        int("protocol", "Protocol; 0 for all"),
        text("src_port", "Ports of the source"),
        text("dst_port", "Ports of the destination"),
        text("src_ip", "Source"),
        text("src_mask", "Mask of the source"),
        text("iniface", "Interface it comes from"),
        text("iniface_mask", "Always empty here"),
        text("dst_ip", "Destination"),
        text("dst_mask", "Mask of the destination"),
        text("outiface", "Interface it goes to"),
        text("outiface_mask", "Always empty here"),
        text("match", "Whether there are further conditions: yes, or empty"),
        int("packets", "Packets that fitted"),
        int("bytes", "Bytes of them"),
    ],
    rows: iptables,
};

fn iptables(_: &Asked<'_>) -> Answered {
    all(rows(PROGRAM.said().unwrap_or_default()))
}

#[derive(Default)]
struct Rule {
    chain: String,
    policy: String,
    target: String,
    protocol: String,
    ports: [String; 2],
    from: String,
    to: String,
    interfaces: [String; 2],
    more: bool,
    counted: String,
}

fn rows(saved: &str) -> Vec<Vec<Value>> {
    let mut table = String::new();
    let mut rows = Vec::new();
    for line in saved.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('*') {
            name.clone_into(&mut table);
        } else if let Some(chain) = line.strip_prefix(':') {
            let mut words = chain.split_whitespace().map(str::to_owned);
            let (name, policy) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            // Chains of one's own have none.
            if policy != "-" {
                let counted = words.next().unwrap_or_default();
                rows.push(rule_row(&table, Rule { chain: name, policy, counted, ..Rule::default() }));
            }
        } else if line.starts_with('[') {
            rows.extend(rule(line).map(|rule| rule_row(&table, rule)));
        }
    }
    rows
}

fn rule(line: &str) -> Option<Rule> {
    let (counted, line) = line.split_once(' ')?;
    let mut rule = Rule { counted: counted.to_owned(), ..Rule::default() };
    let mut words = line.split_whitespace();
    let mut not = "";
    while let Some(word) = words.next() {
        if word == "!" {
            not = "!";
            continue;
        }
        let mut value = || format!("{not}{}", words.next().unwrap_or_default());
        match word {
            "-A" => rule.chain = value(),
            "-s" => rule.from = value(),
            "-d" => rule.to = value(),
            "-i" => rule.interfaces[0] = value(),
            "-o" => rule.interfaces[1] = value(),
            "-p" => rule.protocol = value(),
            "-j" | "-g" => rule.target = value(),
            "--sport" | "--sports" => rule.ports[0] = value(),
            "--dport" | "--dports" => rule.ports[1] = value(),
            "-m" => {
                // The modules of protocols say nothing by themselves.
                rule.more |= !matches!(value().as_str(), "tcp" | "udp" | "multiport");
            }
            _ => {}
        }
        not = "";
    }
    (!rule.chain.is_empty()).then_some(rule)
}

fn protocol(name: &str) -> i32 {
    match name.trim_start_matches('!') {
        "icmp" => 1,
        "igmp" => 2,
        "tcp" => 6,
        "udp" => 17,
        "gre" => 47,
        "esp" => 50,
        "ah" => 51,
        "sctp" => 132,
        other => other.parse().unwrap_or(0),
    }
}

fn rule_row(table: &str, rule: Rule) -> Vec<Value> {
    let of_rule = rule.policy.is_empty();
    let address = |network: &str| {
        if !of_rule {
            return (String::new(), String::new());
        }
        let (address, bits) = network.split_once('/').unwrap_or((network, if network.is_empty() { "0" } else { "32" }));
        let bits = bits.parse::<u32>().unwrap_or(32).min(32);
        let mask = std::net::Ipv4Addr::from(u32::MAX.checked_shl(32 - bits).unwrap_or(0)).to_string();
        (if address.is_empty() { "0.0.0.0".to_owned() } else { address.to_owned() }, mask)
    };
    let ((from, from_mask), (to, to_mask)) = (address(&rule.from), address(&rule.to));
    let (packets, bytes) = rule.counted.trim_matches(['[', ']']).split_once(':').unwrap_or_default();
    let [from_ports, to_ports] = rule.ports;
    let [comes, goes] = rule.interfaces;
    let more = if rule.more { "yes" } else { "" };
    row![
        table,
        rule.chain,
        rule.policy,
        rule.target,
        protocol(&rule.protocol),
        from_ports,
        to_ports,
        from,
        from_mask,
        comes,
        "",
        to,
        to_mask,
        goes,
        "",
        more,
        packets.parse::<u64>().ok(),
        bytes.parse::<u64>().ok(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_and_rules_are_rows_with_their_counters() {
        let saved = "*filter\n:INPUT DROP [7:420]\n:own - [0:0]\n\
                     [3:180] -A INPUT ! -s 10.0.0.0/8 -i eth0 -p tcp -m tcp --dport 22 -j ACCEPT\n\
                     [1:60] -A INPUT -m conntrack --ctstate NEW -j own\nCOMMIT\n";
        let rows = rows(saved);
        let text = |row: &[Value]| {
            row.iter()
                .map(|value| match value {
                    Value::Text(text) => text.clone(),
                    Value::Integer(number) => number.to_string(),
                    other => format!("{other:?}"),
                })
                .collect::<Vec<_>>()
                .join("|")
        };
        let seen: Vec<String> = rows.iter().map(|row| text(row)).collect();
        assert_eq!(
            seen,
            [
                "filter|INPUT|DROP||0||||||||||||7|420",
                "filter|INPUT||ACCEPT|6||22|!10.0.0.0|255.0.0.0|eth0||0.0.0.0|0.0.0.0|||||3|180"
                    .replace("|||||3", "||||3")
                    .as_str(),
                "filter|INPUT||own|0|||0.0.0.0|0.0.0.0|||0.0.0.0|0.0.0.0|||yes|1|60",
            ]
        );
        assert!(rows.iter().all(|row| row.len() == IPTABLES.columns.len()));
    }
}
