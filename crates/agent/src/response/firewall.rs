//! The agent's own tables of nftables as text for `nft -f`: one for isolation, one for blocks. Each is replaced as a whole in
//! one transaction, so that there is no instant without it. Pure: addresses and times are passed in.
//!
//! A verdict to drop is final whatever other tables say, and one to accept is not; so these tables take away and never give.
//! Sets with time-outs end by themselves: the kernel keeps the promise though the agent may be gone.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use guardian_protocol::action::prefix;

/// The table of isolation.
pub(crate) const ISOLATION: &str = "guardian_isolation";
/// The table of blocks.
pub(crate) const BLOCKS: &str = "guardian_blocks";

/// What an isolation leaves open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Open {
    /// The server, or the proxy on the way to it.
    pub(crate) channel: Vec<(IpAddr, u16)>,
    /// Addresses and networks.
    pub(crate) keep: Vec<String>,
    /// Name servers.
    pub(crate) dns: Vec<IpAddr>,
    /// The user that speaks with the server.
    pub(crate) uid: u32,
    /// How long it holds; none for no end.
    pub(crate) left: Option<Duration>,
}

/// Takes a table away, whether it is there or not.
pub(crate) fn without(table: &str) -> String {
    format!("table inet {table}\ndelete table inet {table}\n")
}

/// A time as nft reads it. Zero would be no end.
fn timeout(left: Option<Duration>) -> String {
    left.map_or_else(String::new, |left| match left.as_millis().max(1) {
        seconds if seconds.is_multiple_of(1_000) => format!(" timeout {}s", seconds / 1_000),
        millis => format!(" timeout {}s{}ms", millis / 1_000, millis % 1_000),
    })
}

fn set(name: &str, kind: &str, flags: &str, elements: &[String]) -> String {
    let mut text = format!("\tset {name} {{\n\t\ttype {kind}\n");
    if !flags.is_empty() {
        // Writing to a text cannot fail.
        writeln!(text, "\t\tflags {flags}").ok();
    }
    if flags.contains("interval") && !flags.contains("timeout") {
        text.push_str("\t\tauto-merge\n");
    }
    if !elements.is_empty() {
        writeln!(text, "\t\telements = {{ {} }}", elements.join(", ")).ok();
    }
    text.push_str("\t}\n");
    text
}

/// Addresses of one family as elements.
fn of_family<'a, T: 'a>(
    all: impl IntoIterator<Item = &'a T>,
    four: bool,
    address: impl Fn(&T) -> Option<IpAddr>,
    text: impl Fn(&T) -> String,
) -> Vec<String> {
    let fits = |one: &&T| address(one).is_some_and(|address| address.is_ipv4() == four);
    all.into_iter().filter(fits).map(text).collect::<BTreeSet<_>>().into_iter().collect()
}

/// The table of an isolation.
pub(crate) fn isolation(open: &Open) -> String {
    let mut text = without(ISOLATION);
    writeln!(text, "table inet {ISOLATION} {{").ok();
    let until = timeout(open.left);
    text.push_str(&set("active", "nf_proto", "timeout", &[format!("ipv4{until}"), format!("ipv6{until}")]));
    for (four, digit, kind) in [(true, "4", "ipv4_addr"), (false, "6", "ipv6_addr")] {
        let channel = of_family(
            &open.channel,
            four,
            |(address, _)| Some(*address),
            |(address, port)| format!("{address} . {port}"),
        );
        text.push_str(&set(&format!("channel{digit}"), &format!("{kind} . inet_service"), "", &channel));
        let keep = of_family(&open.keep, four, |keep| prefix(keep).map(|(address, _)| address), Clone::clone);
        text.push_str(&set(&format!("keep{digit}"), kind, "interval", &keep));
        let dns = of_family(&open.dns, four, |address| Some(*address), ToString::to_string);
        text.push_str(&set(&format!("dns{digit}"), kind, "", &dns));
    }
    let uid = open.uid;
    write!(
        text,
        "\tchain input {{
\t\ttype filter hook input priority -10; policy accept;
\t\tiifname \"lo\" accept
\t\tmeta nfproto != @active accept
\t\tip saddr . tcp sport @channel4 tcp flags & (syn | ack) != syn accept
\t\tip6 saddr . tcp sport @channel6 tcp flags & (syn | ack) != syn accept
\t\tip saddr @keep4 accept
\t\tip6 saddr @keep6 accept
\t\tip saddr @dns4 meta l4proto {{ tcp, udp }} th sport 53 accept
\t\tip6 saddr @dns6 meta l4proto {{ tcp, udp }} th sport 53 accept
\t\tudp sport 67 udp dport 68 accept
\t\tudp sport 547 udp dport 546 accept
\t\ticmp type {{ destination-unreachable, time-exceeded }} accept
\t\ticmpv6 type {{ destination-unreachable, packet-too-big, time-exceeded, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert }} accept
\t\tdrop
\t}}
\tchain output {{
\t\ttype filter hook output priority -10; policy accept;
\t\toifname \"lo\" accept
\t\tmeta nfproto != @active accept
\t\tmeta skuid {uid} ip daddr . tcp dport @channel4 accept
\t\tmeta skuid {uid} ip6 daddr . tcp dport @channel6 accept
\t\tip daddr @keep4 accept
\t\tip6 daddr @keep6 accept
\t\tip daddr @dns4 meta l4proto {{ tcp, udp }} th dport 53 accept
\t\tip6 daddr @dns6 meta l4proto {{ tcp, udp }} th dport 53 accept
\t\tudp sport 68 udp dport 67 accept
\t\tudp sport 546 udp dport 547 accept
\t\ticmpv6 type {{ nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert }} accept
\t\tmeta l4proto tcp reject with tcp reset
\t\tmeta l4proto udp reject with icmpx type admin-prohibited
\t\tdrop
\t}}
\tchain forward {{
\t\ttype filter hook forward priority -10; policy accept;
\t\tmeta nfproto != @active accept
\t\tdrop
\t}}
}}
"
    )
    .ok();
    text
}

/// Whether one network lies within another.
fn within(inner: (IpAddr, u8), outer: (IpAddr, u8)) -> bool {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()) << 96,
        IpAddr::V6(v6) => v6.to_bits(),
    };
    let same = bits(inner.0) ^ bits(outer.0);
    inner.0.is_ipv4() == outer.0.is_ipv4()
        && inner.1 >= outer.1
        && (outer.1 == 0 || same.leading_zeros() >= u32::from(outer.1))
}

/// Whether an address lies within a network, given as text.
pub(crate) fn covers(network: &str, address: IpAddr) -> bool {
    let longest = if address.is_ipv4() { 32 } else { 128 };
    prefix(network).is_some_and(|network| within((address, longest), network))
}

/// The table of blocks: networks with how long they are blocked still. A set takes no network within another, so that those
/// stand in sets of their own by how deep they lie.
pub(crate) fn blocks(blocks: &[(String, Option<Duration>)]) -> String {
    let mut text = without(BLOCKS);
    let networks: Vec<_> = blocks.iter().filter_map(|(text, left)| Some((prefix(text)?, text, *left))).collect();
    let mut levels: Vec<Vec<String>> = vec![Vec::new(); 2];
    for (network, name, left) in &networks {
        let depth = networks.iter().filter(|(other, ..)| other != network && within(*network, *other)).count();
        let place = 2 * depth + usize::from(network.0.is_ipv6());
        levels.resize((place | 1).max(levels.len() - 1) + 1, Vec::new());
        levels[place].push(format!("{name}{}", timeout(*left)));
    }
    writeln!(text, "table inet {BLOCKS} {{").ok();
    let (mut sources, mut targets) = (String::new(), String::new());
    for (place, elements) in levels.iter().enumerate() {
        let (kind, family) = if place % 2 == 0 { ("ipv4_addr", "ip") } else { ("ipv6_addr", "ip6") };
        let name = format!("blocked{place}");
        text.push_str(&set(&name, kind, "interval, timeout", elements));
        writeln!(sources, "\t\t{family} saddr @{name} drop").ok();
        writeln!(targets, "\t\t{family} daddr @{name} meta l4proto tcp reject with tcp reset").ok();
        writeln!(targets, "\t\t{family} daddr @{name} drop").ok();
    }
    let forward = format!("{sources}{}", targets.replace("meta l4proto tcp reject with tcp reset", "drop"));
    // The refusals of the chain `output` come back to the programs by the loopback interface, from who is blocked.
    let sources = format!("\t\tiifname \"lo\" accept\n{sources}");
    for (hook, rules) in [("input", &sources), ("output", &targets), ("forward", &forward)] {
        write!(text, "\tchain {hook} {{\n\t\ttype filter hook {hook} priority -10; policy accept;\n{rules}\t}}\n").ok();
    }
    text.push_str("}\n");
    text
}

/// Addresses of the name servers in a `resolv.conf`.
pub(crate) fn name_servers(file: &str) -> Vec<IpAddr> {
    let servers = file.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    // An address of one link carries the link behind a percent sign.
    servers.filter_map(|rest| rest.trim().split('%').next()?.parse().ok()).take(8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_within_others_stand_in_other_sets() {
        let block = |text: &str, left: u64| (text.to_owned(), Some(Duration::from_secs(left)));
        let text = blocks(&[
            block("10.0.0.0/8", 60),
            block("10.1.0.0/16", 600),
            block("10.1.2.3", 0),
            ("192.0.2.1".to_owned(), None),
            block("2001:db8::/32", 5),
        ]);
        assert!(text.contains("elements = { 10.0.0.0/8 timeout 60s, 192.0.2.1 }"), "{text}");
        assert!(text.contains("elements = { 10.1.0.0/16 timeout 600s }"), "{text}");
        assert!(text.contains("elements = { 10.1.2.3 timeout 0s1ms }"), "{text}");
        assert!(text.contains("elements = { 2001:db8::/32 timeout 5s }"), "{text}");
        assert_eq!(text.matches("saddr @blocked4 drop").count(), 2, "in and through");
    }

    #[test]
    fn covering_is_by_bits() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(covers("10.0.0.0/8", address("10.255.0.1")));
        assert!(!covers("10.0.0.0/8", address("11.0.0.0")));
        assert!(covers("192.0.2.1", address("192.0.2.1")));
        assert!(!covers("::/1", address("10.0.0.1")));
        assert!(covers("0.0.0.0/0", address("10.0.0.1")));
        assert!(covers("2001:db8::/33", address("2001:db8:7fff::1")));
        assert!(!covers("2001:db8::/33", address("2001:db8:8000::1")));
    }

    #[test]
    fn name_servers_are_read() {
        let file = "# x\nnameserver 192.0.2.53\n nameserver\tfe80::1%eth0\noptions edns0\nnameserver nonsense\n";
        let expected: Vec<IpAddr> = vec!["192.0.2.53".parse().unwrap(), "fe80::1".parse().unwrap()];
        assert_eq!(name_servers(file), expected);
    }
}
