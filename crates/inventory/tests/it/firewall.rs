//! Packet filters, as their own programs write them.

use std::path::Path;
use std::process::Command;

use guardian_inventory::firewall::{
    default_zone, parse_firewalld, parse_iptables, parse_nft, parse_service, parse_ufw, parse_ufw_defaults,
};

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
    assert_eq!(rules.risk(false, true), "");
    assert!(rules.risk(true, true).contains("nothing filters them"));
    let none = parse_nft(br#"{"nftables": []}"#).unwrap();
    assert_eq!(none.state(), "none");
    assert!(none.risk(false, false).contains("every port"));
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
    let closed = parse_iptables(&closed, "ip");
    assert_eq!((closed.state(), closed.risk(false, false)), ("closed", String::new()));
    assert!(closed.risk(false, true).contains("IPv6 is not filtered"));
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
        zone.rich[0].text,
        "rule family=\"ipv4\" source address=\"192.0.2.1\" port port=\"1\" protocol=\"tcp\" accept"
    );
    assert_eq!((&*zone.rich[0].source, &*zone.rich[0].port, &*zone.rich[0].action), ("192.0.2.1", "1/tcp", "accept"));
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
    let Ok(output) = Command::new("unshare").args(["-rn", "sh", "-c", script]).output() else { return };
    if !output.status.success() {
        return eprintln!("skipped: {}", String::from_utf8_lossy(&output.stderr));
    }
    let rules = parse_nft(&output.stdout).unwrap();
    assert_eq!((rules.state(), rules.rules.len()), ("closed", 2));
    assert_eq!(rules.rules[0].text, "tcp dport { 22, 2375 } accept");
    assert!(rules.risk_of(&rules.rules[0]).contains("which is root"));
}

fn said(program: &str, words: &[&str]) -> Option<Vec<u8>> {
    let output = Command::new(program).args(words).output().ok()?;
    if !output.status.success() {
        eprintln!("skipped: {program}: {}", String::from_utf8_lossy(&output.stderr));
        return None;
    }
    Some(output.stdout)
}

#[test]
fn sets_and_maps_of_the_real_nft_are_resolved() {
    let script = r#"nft -f - <<'END'
table inet f {
  set admins { type ipv4_addr; flags interval; elements = { 192.0.2.0/24, 198.51.100.7 } }
  set nobody { type ipv4_addr; }
  set guests { type ipv4_addr; flags dynamic, timeout; timeout 1h; elements = { 192.0.2.9 } }
  set open { type inet_service; elements = { 22, 6379 } }
  map verdicts { type inet_service : verdict; elements = { 443 : accept, 23 : drop, 5900 : accept } }
  chain in {
    type filter hook input priority 0; policy drop;
    ip saddr @admins tcp dport 3306 accept
    ip saddr @nobody accept
    ip saddr @guests accept
    tcp dport @open accept
    tcp dport vmap @verdicts
    iifname "eth0" tcp dport vmap { 80 : accept, 2375 : jump other }
  }
  chain other { accept; }
}
table ip n {
  chain post {
    type nat hook postrouting priority 100;
    masquerade
    oifname "eth0" ip saddr 10.0.0.0/8 masquerade
  }
}
END
nft -j list ruleset"#;
    let Some(json) = said("unshare", &["-rn", "sh", "-c", script]) else { return };
    let rules = parse_nft(&json).unwrap();
    let told: Vec<_> = rules.rules.iter().map(|r| (r.text.as_str(), rules.risk_of(r))).collect();
    let told: Vec<_> = told.iter().map(|(text, risk)| (*text, risk.as_str())).collect();
    let expected = [
        ("ip saddr @admins tcp dport 3306 accept", ""),
        ("ip saddr @nobody accept", ""),
        ("ip saddr @guests accept", ""),
        ("tcp dport @open accept", "lets anybody reach Redis (6379)"),
        ("tcp dport 23 drop", ""),
        ("tcp dport 443 accept", ""),
        ("tcp dport 5900 accept", "lets anybody reach VNC (5900)"),
        ("meta iifname eth0 tcp dport 80 accept", ""),
        ("meta iifname eth0 tcp dport 2375 jump other", ""),
        ("accept", "lets everything in from anybody"),
        ("masquerade", "whoever can send packets through this machine goes out with its address, by every way"),
        ("meta oifname eth0 ip saddr 10.0.0.0/8 masquerade", ""),
    ];
    assert_eq!(told, expected);
    assert_eq!(
        (&*rules.rules[0].from, &*rules.rules[3].ports),
        (&["192.0.2.0/24".to_owned(), "198.51.100.7".into()][..], &["22".to_owned(), "6379".into()][..])
    );
    let sets: Vec<_> =
        rules.sets.iter().map(|s| (s.name.as_str(), s.kind.as_str(), s.moves, s.elements.len())).collect();
    let expected = [
        ("admins", "ipv4_addr", false, 2),
        ("nobody", "ipv4_addr", false, 0),
        ("guests", "ipv4_addr", true, 0),
        ("open", "inet_service", false, 2),
    ];
    assert_eq!(sets, expected);
}

/// Copies of what ufw keeps, changed by ufw itself, in namespaces of their own: this machine's stay as they are.
#[test]
fn the_real_ufw_is_understood() {
    let dir = folder("ufw");
    let script = format!(
        "cp -a /etc/ufw {0}/ufw && cp /etc/default/ufw {0}/default && mount --bind {0}/ufw /etc/ufw && \
         mount --bind {0}/default /etc/default/ufw && for rule in 'allow 22/tcp' \
         'limit in on eth0 to any port 2222 proto tcp comment ours' 'allow from 10.0.0.0/8 to any port 3306 proto tcp' \
         'allow 6379' 'deny out 25/tcp' 'allow from fd00::/8 to any port 5432 proto tcp' 'allow 6000:6007/tcp' \
         'route allow in on eth0 out on eth1 from 10.0.0.0/8' 'default allow routed'; do ufw $rule >/dev/null || exit 1; done",
        dir.display()
    );
    if said("unshare", &["-mn", "sh", "-c", &script]).is_some() {
        let read = |name: &str| std::fs::read(dir.join(name)).unwrap();
        let rules = parse_ufw(&read("ufw/user.rules"), "ip");
        let told: Vec<_> =
            rules.rules.iter().map(|r| (r.chain.as_str(), r.ports.join(","), rules.risk_of(r))).collect();
        let told: Vec<_> = told.iter().map(|(chain, ports, risk)| (*chain, ports.as_str(), risk.as_str())).collect();
        let expected = [
            ("input", "22", ""),
            ("input", "2222", ""),
            ("input", "3306", ""),
            ("input", "6379", "lets anybody reach Redis (6379)"),
            ("output", "25", ""),
            ("input", "6000-6007", ""),
            ("forward", "", ""),
        ];
        assert_eq!(told, expected);
        let limited = &rules.rules[1];
        assert_eq!((&*limited.interface, &*limited.action, limited.text.ends_with("# ours")), ("eth0", "accept", true));
        let six = parse_ufw(&read("ufw/user6.rules"), "ip6");
        assert!(six.rules.iter().any(|r| r.from == ["fd00::/8"] && r.family == "ip6" && r.ports == ["5432"]));
        let defaults = parse_ufw_defaults(&read("default"));
        assert_eq!((&*defaults.input, &*defaults.forward, defaults.ipv6), ("drop", "accept", true));
        assert!(defaults.risk(true).contains("passed on") && !defaults.risk(true).contains("IPv6"));
    }
    std::fs::remove_dir_all(dir).unwrap();
}

/// A folder of our own, which the test takes away.
fn folder(name: &str) -> std::path::PathBuf {
    let dir = std::env::temp_dir().join(format!("guardian-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

#[test]
fn the_real_firewalld_is_understood() {
    let dir = folder("firewalld");
    let run = |words: &[&str]| {
        let config = format!("--system-config={}", dir.display());
        said("firewall-offline-cmd", &[&[config.as_str()], words].concat()).is_some()
    };
    let rich = "rule family=\"ipv4\" port port=\"6379\" protocol=\"tcp\" accept";
    let reject =
        "rule family=\"ipv6\" source address=\"fd00::/8\" invert=\"True\" port port=\"5432\" protocol=\"tcp\" reject";
    let own: Vec<String> = ["--zone=public", "--zone=trusted"].map(str::to_owned).into();
    let done = std::fs::create_dir_all(dir.join("zones")).is_ok()
        && [
            vec![&*own[0], "--add-service=samba"],
            vec![&*own[0], "--add-port=8080-8090/tcp"],
            vec![&*own[0], "--add-masquerade"],
            vec![&*own[0], "--add-forward-port=port=443:proto=tcp:toport=8443:toaddr=10.0.0.9"],
            vec![&*own[0], "--add-rich-rule", rich],
            vec![&*own[0], "--add-rich-rule", reject],
            vec![&*own[1], "--add-interface=eth1"],
        ]
        .iter()
        .all(|words| run(words));
    if done {
        let zone = |name: &str| parse_firewalld(&std::fs::read(dir.join(format!("zones/{name}.xml"))).unwrap());
        let services = |name: &str| {
            let file = std::fs::read(Path::new("/usr/lib/firewalld/services").join(format!("{name}.xml"))).unwrap();
            parse_service(&file).ports
        };
        let public = zone("public");
        assert_eq!(
            (public.masquerade, public.forward, &*public.forward_ports),
            (true, true, &["443/tcp to 10.0.0.9:8443".to_owned()][..])
        );
        assert_eq!(
            (public.rich[1].source.as_str(), public.rich[1].more, public.rich[1].action.as_str()),
            ("fd00::/8", true, "reject")
        );
        let rules = public.rules("public", services);
        let of = |words: &str| {
            rules.rules.iter().filter(|r| r.text.starts_with(words)).map(|r| rules.risk_of(r)).collect::<Vec<_>>()
        };
        assert_eq!(of("service ssh"), [""]);
        assert_eq!(of("service samba"), ["lets anybody reach Windows file sharing (139), Windows file sharing (445)"]);
        assert_eq!(of("rule family=\"ipv4\""), ["lets anybody reach Redis (6379)"]);
        let trusted = zone("trusted").rules("trusted", services);
        assert_eq!(trusted.risk_of(&trusted.rules[0]), "lets everything in from anybody who reaches eth1");
        assert_eq!(
            parse_service(b"<service><include service=\"a\"/><port port=\"1\" protocol=\"udp\"/></service>").includes,
            ["a"]
        );
    }
    assert_eq!((default_zone(b"# x\nDefaultZone=work\n"), default_zone(b"")), ("work".to_owned(), "public".to_owned()));
    std::fs::remove_dir_all(dir).unwrap();
}
