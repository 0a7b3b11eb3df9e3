//! Packet filters, as their own programs write them.

use guardian_inventory::firewall::{parse_firewalld, parse_iptables, parse_nft};

const NFT: &[u8] = br#"{"nftables": [
 {"metainfo": {"version": "1.0.6"}},
 {"table": {"family": "inet", "name": "filter", "handle": 1}},
 {"chain": {"family": "inet", "table": "filter", "name": "input", "handle": 1, "type": "filter", "hook": "input", "prio": 0, "policy": "drop"}},
 {"chain": {"family": "inet", "table": "filter", "name": "forward", "handle": 2, "type": "filter", "hook": "forward", "prio": 0, "policy": "accept"}},
 {"rule": {"family": "inet", "table": "filter", "chain": "input", "handle": 3, "expr": [
   {"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": ["established", "related"]}}, {"accept": null}]}},
 {"rule": {"family": "inet", "table": "filter", "chain": "input", "handle": 4, "expr": [
   {"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "lo"}}, {"accept": null}]}},
 {"rule": {"family": "inet", "table": "filter", "chain": "input", "handle": 5, "expr": [
   {"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": {"set": [22, {"range": [6000, 6500]}]}}},
   {"counter": {"packets": 5, "bytes": 300}}, {"accept": null}]}},
 {"rule": {"family": "inet", "table": "filter", "chain": "input", "handle": 6, "comment": "ours", "expr": [
   {"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": {"prefix": {"addr": "10.0.0.0", "len": 8}}}},
   {"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 3306}}, {"accept": null}]}}
]}"#;

#[test]
fn rules_of_nft_are_read_and_weighed() {
    let rules = parse_nft(NFT).unwrap();
    assert_eq!((rules.chains.len(), rules.rules.len(), rules.state()), (2, 4, "closed"));
    let texts: Vec<_> = rules.rules.iter().map(|r| r.text.as_str()).collect();
    assert_eq!(
        texts,
        [
            "ct state { established, related } accept",
            "meta iifname lo accept",
            "tcp dport { 22, 6000-6500 } accept",
            "ip saddr 10.0.0.0/8 tcp dport 3306 accept # ours"
        ]
    );
    let risks: Vec<_> = rules.rules.iter().map(|r| rules.risk_of(r)).collect();
    assert_eq!(risks, ["", "", "lets anybody reach Redis (6379)", ""]);
    assert_eq!(rules.hook_of(&rules.rules[2]), "input");
    assert_eq!(rules.risk(false), "");
    assert!(rules.risk(true).contains("nothing filters them"));
    let none = parse_nft(br#"{"nftables": []}"#).unwrap();
    assert_eq!(none.state(), "none");
    assert!(none.risk(false).contains("every port"));
    assert!(parse_nft(b"{}").is_err() && parse_nft(b"x").is_err());
}

#[test]
fn rules_of_iptables_are_read_and_weighed() {
    let saved = b"# Generated\n*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n:mine - [0:0]\n\
        -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n\
        -A INPUT -p tcp -m multiport --dports 80,443,5900:5910 -m comment --comment \"web and more\" -j ACCEPT\n\
        -A INPUT -s 192.0.2.0/24 -i eth0 -j mine\n-A mine -j ACCEPT\n-A INPUT ! -s 10.0.0.0/8 -p tcp --dport 23 -j ACCEPT\nCOMMIT\n";
    let open = parse_iptables(saved, "ip");
    assert_eq!((open.chains.len(), open.rules.len(), open.state()), (3, 5, "open"));
    assert_eq!(open.rules[1].ports, ["80", "443", "5900-5910"]);
    assert_eq!(open.risk_of(&open.rules[1]), "lets anybody reach VNC (5900)");
    assert_eq!((open.rules[2].action.as_str(), open.rules[2].interface.as_str()), ("jump mine", "eth0"));
    assert_eq!(open.risk_of(&open.rules[3]), "lets everything in from anybody");
    assert!(open.rules[4].more && open.rules[4].from.is_empty());
    let closed = [saved.as_slice(), b"*filter\n-A INPUT -j DROP\n"].concat();
    assert_eq!(parse_iptables(&closed, "ip").state(), "closed");
}

#[test]
fn zones_of_firewalld_are_read() {
    let zone = parse_firewalld(
        br#"<?xml version="1.0"?><zone target="DROP"><interface name="eth0"/><service name="ssh"/>
        <port port="8080-8090" protocol="tcp"/><source address="10.0.0.0/8"/><masquerade/>
        <rule family="ipv4"><source address="192.0.2.1"/><port port="1" protocol="tcp"/><accept/></rule></zone>"#,
    );
    assert_eq!((zone.target.as_str(), zone.masquerade), ("DROP", true));
    assert_eq!(
        (zone.services, zone.ports, zone.interfaces, zone.sources),
        (
            vec!["ssh".to_owned()],
            vec!["8080-8090/tcp".to_owned()],
            vec!["eth0".to_owned()],
            vec!["10.0.0.0/8".to_owned()]
        )
    );
}

/// What the real program says of rules that it took, in a network namespace of their own where that is permitted.
#[test]
fn the_real_nft_is_understood() {
    let script = "nft add table inet t && nft 'add chain inet t in { type filter hook input priority 0; policy drop; }' \
        && nft add rule inet t in tcp dport '{ 22, 2375 }' accept && nft add rule inet t in iifname lo accept \
        && nft -j list ruleset";
    let Ok(output) = std::process::Command::new("unshare").args(["-rn", "sh", "-c", script]).output() else { return };
    if !output.status.success() {
        return eprintln!("skipped: {}", String::from_utf8_lossy(&output.stderr));
    }
    let rules = parse_nft(&output.stdout).unwrap();
    assert_eq!((rules.state(), rules.rules.len()), ("closed", 2));
    assert_eq!(rules.rules[0].text, "tcp dport { 22, 2375 } accept");
    assert!(rules.risk_of(&rules.rules[0]).contains("which is root"));
}
