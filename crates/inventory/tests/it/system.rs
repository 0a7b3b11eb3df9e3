//! Accounts, permissions, keys, schedules, units, certificates.

use guardian_inventory::accounts::{PasswordState, parse_group, parse_passwd, parse_shadow};
use guardian_inventory::sudoers::Entry;
use guardian_inventory::{certificate, cron, keys, link, netlink, process, sockets, sudoers, unit, xfrm};

use crate::{fixture, text};

#[test]
fn accounts_as_the_system_says() {
    let users = parse_passwd(&fixture("passwd"));
    assert!(users.issues.is_empty());
    let jane = users.entries.iter().find(|u| u.name == "jane").unwrap();
    assert_eq!((jane.comment.as_str(), jane.home.as_str(), jane.no_password), ("Jane Doe,,,", "/home/jane", false));
    let groups = parse_group(&fixture("group"));
    let with_jane = groups.entries.iter().filter(|g| g.members.contains(&"jane".to_owned()));
    assert_eq!(with_jane.map(|g| g.name.as_str()).collect::<Vec<_>>(), ["adm", "audio"]);

    let passwords = parse_shadow(&fixture("shadow"));
    assert!(passwords.issues.is_empty());
    for line in text("shadow.txt").lines() {
        let (name, said) = line.split_once(' ').unwrap();
        let password = passwords.entries.iter().find(|p| p.name == name).unwrap();
        // passwd(1) calls both kinds of locked `L`.
        let ours = match password.state {
            PasswordState::Set => "P",
            PasswordState::Empty => "NP",
            PasswordState::Locked | PasswordState::Never => "L",
        };
        assert_eq!(ours, said, "{name}");
    }
    let state = |name: &str| passwords.entries.iter().find(|p| p.name == name).unwrap().clone();
    assert_eq!(
        (state("jane").method, state("jane").expires_day, state("jane").valid_days),
        ("yescrypt", Some(21_915), Some(90))
    );
    assert_eq!((state("locked").state, state("svc").state), (PasswordState::Locked, PasswordState::Never));
    let written = serde_json::to_string(&passwords).unwrap();
    assert!(!written.contains("$y$"), "hashes are never kept");
    assert_eq!(parse_passwd(b"a:b:c\n+nis::::::\nroot::0:0::/:/bin/sh\n").issues.len(), 1);
}

#[test]
fn sudo_says_the_same() {
    let found = sudoers::parse(&fixture("sudoers"));
    assert!(found.issues.is_empty(), "{:?}", found.issues);
    let json: serde_json::Value = serde_json::from_slice(&fixture("sudoers.json")).unwrap();
    let words = |list: &serde_json::Value, form: &dyn Fn(&str, &serde_json::Value) -> String| -> Vec<String> {
        let entries = list.as_array().into_iter().flatten();
        entries.flat_map(|entry| entry.as_object().unwrap()).map(|(kind, value)| form(kind, value)).collect()
    };
    let user = |kind: &str, value: &serde_json::Value| match kind {
        "usergroup" => format!("%{}", value.as_str().unwrap()),
        "userid" => format!("#{value}"),
        _ => value.as_str().unwrap().to_owned(),
    };
    let mut theirs = Vec::new();
    for spec in json["User_Specs"].as_array().unwrap() {
        for command in spec["Cmnd_Specs"].as_array().unwrap() {
            let mut run_as = words(&command["runasusers"], &user);
            if run_as.is_empty() {
                run_as.push("root".into());
            }
            let no_password = command["Options"].to_string().contains("\"authenticate\":false");
            let hosts = words(&spec["Host_List"], &user);
            theirs.push((
                words(&spec["User_List"], &user),
                hosts,
                run_as,
                no_password,
                words(&command["Commands"], &user),
            ));
        }
    }
    let ours: Vec<_> = found
        .entries
        .iter()
        .filter_map(|entry| match entry {
            Entry::Permission(p) => {
                Some((p.who.clone(), p.hosts.clone(), p.run_as.clone(), p.no_password, p.commands.clone()))
            }
            _ => None,
        })
        .collect();
    assert_eq!(ours, theirs);
    assert!(found.entries.contains(&Entry::Include("/etc/sudoers.d".into())));
    assert!(found.entries.contains(&Entry::Defaults("env_reset".into())));
}

#[test]
fn ssh_keygen_says_the_same() {
    let found = keys::parse(&fixture("authorized_keys"));
    assert!(found.issues.is_empty());
    let said = text("authorized_keys.txt");
    for (ours, theirs) in found.entries.iter().zip(said.lines()) {
        let words: Vec<&str> = theirs.split(' ').collect();
        assert_eq!((ours.fingerprint.as_str(), ours.comment.as_str()), (words[1], words[2]));
        assert!(ours.bits.is_none_or(|bits| bits.to_string() == words[0]));
    }
    assert_eq!(found.entries.len(), 3);
    assert_eq!(found.entries[2].bits, Some(3_072));
    let expected = ["restrict", r#"command="echo \"a, b\"""#, r#"from="192.0.2.0/24,198.51.100.1""#];
    assert_eq!(found.entries[1].options, expected);
    assert_eq!(keys::parse(b"ssh-rsa AAAA\nnothing\n# x\n").issues.len(), 2);
}

#[test]
fn certificates_as_openssl_says() {
    let found = certificate::parse(&fixture("certificates.pem"));
    assert!(found.issues.is_empty());
    let mut said = Vec::new();
    for c in &found.entries {
        let pairs: Vec<String> =
            c.sha256.as_bytes().chunks(2).map(|p| String::from_utf8_lossy(p).to_uppercase()).collect();
        said.push(format!("serial={}", c.serial.to_uppercase()));
        said.push(format!("sha256 Fingerprint={}", pairs.join(":")));
    }
    let theirs = text("certificates.txt");
    let without_dates: Vec<&str> = theirs.lines().filter(|line| !line.starts_with("not")).collect();
    assert_eq!(said, without_dates);
    let [leaf, root] = &found.entries[..] else { panic!("two certificates") };
    assert_eq!((leaf.key.as_str(), leaf.key_bits, leaf.authority), ("ec", Some(256), false));
    assert_eq!((root.key.as_str(), root.key_bits, root.authority), ("rsa", Some(2_048), true));
    assert_eq!(leaf.names, ["web.example.net", "*.example.net", "192.0.2.1", "2001:db8::1"]);
    assert_eq!(root.subject, "C=DE, O=Acme Ltd, CN=Acme Root");
    assert_eq!((leaf.until_s - leaf.from_s, root.until_s - root.from_s), (86_400, 3_650 * 86_400));
    assert!(leaf.ends_within(leaf.from_s, 86_401) && !leaf.ends_within(leaf.from_s, 86_400));
    assert_eq!(certificate::parse(&fixture("certificate.der")).entries, std::slice::from_ref(root));
    assert_eq!(certificate::parse(b"-----BEGIN CERTIFICATE-----\nMIIB\n").issues.len(), 1);
}

#[test]
fn cron_jobs() {
    let found = cron::parse(&fixture("cron-system"), true);
    let all: Vec<_> =
        found.entries.iter().map(|j| (j.line, j.when.as_str(), j.user.as_str(), j.command.as_str())).collect();
    let expected = [
        (4, "17 * * * *", "root", "cd / && run-parts --report /etc/cron.hourly"),
        (5, "*/5 8-18 * jan,feb mon-fri", "www-data", "test -x /usr/bin/x && FOO=bar /usr/bin/x"),
        (6, "@reboot", "deploy", "/opt/app/start --now"),
    ];
    assert_eq!(all, expected);
    assert_eq!(found.issues.iter().map(|i| i.at).collect::<Vec<_>>(), [7, 8]);
    let own = cron::parse(b"MAILTO=\"\"\n0 4 * * 0 backup --all\n", false);
    assert_eq!((own.entries[0].user.as_str(), own.entries[0].command.as_str()), ("", "backup --all"));
}

#[test]
fn units() {
    let of = |name: &str| unit::unit(&unit::parse(&fixture(name)).entries);
    let service = of("unit-service");
    assert_eq!((service.user.as_str(), &service.commands[..]), ("root", &["/sbin/e2scrub_all -A -r".to_owned()][..]));
    assert_eq!(service.wanted_by, ["multi-user.target"]);
    assert_eq!(of("unit-timer").when, ["OnCalendar=*-*-* 6,18:00"]);
    assert_eq!(of("unit-socket").listens, ["ListenStream=/run/dbus/system_bus_socket"]);
    let drop_in =
        b"[Service]\nExecStart=/bin/a\n; c\nExecStart=\nExecStart=/bin/b \\\n  --long \\\n# between\n  end\nnonsense\n";
    let found = unit::parse(drop_in);
    assert_eq!(found.issues.len(), 1);
    assert_eq!(unit::unit(&found.entries).commands, ["/bin/b --long end"]);
}

#[test]
fn processes_with_strange_names() {
    let mut stat = b"42 (a) R (b\n) S 1 42 42 0 -1 4194560 1 0 0 0 7 8 0 0 20 0 3 0 12345 4096 17 ".to_vec();
    stat.extend_from_slice(b"18446744073709551615 0");
    let read = process::parse_stat(&stat).unwrap();
    assert_eq!((read.pid, read.name.as_str(), read.state, read.parent), (42, "a) R (b\n", 'S', 1));
    assert_eq!((read.user_ticks, read.system_ticks, read.threads, read.start_ticks), (7, 8, 3, 12_345));
    assert_eq!((read.virtual_bytes, read.resident_pages), (4_096, 17));
    assert!(process::parse_stat(b"1 ) (").is_err());
    assert_eq!(process::parse_cmdline(b"sh\0-c\0\0"), ["sh", "-c", ""]);
    let id = "a".repeat(64);
    for cgroup in [format!("0::/system.slice/docker-{id}.scope\n"), format!("5:cpu:/docker/{id}\n")] {
        assert_eq!(process::container(cgroup.as_bytes()), Some(id.clone()));
    }
    assert_eq!(process::container(b"0::/user.slice\n"), None);
}

#[test]
fn sockets_of_both_families() {
    let table = b"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   0: 0100007F:0CEA 00000000:0000 0A 00000000:00000000 00:00000000 00000000   101        0 20017 1\n   1: 00000000000000000000000001000000:1F90 0000000000000000FFFF00000102000A:C000 01 00000000:00000000 00:00000000 00000000     0        0 9 1\nx\n";
    let found = sockets::parse(table);
    assert_eq!((found.entries.len(), found.issues.len()), (2, 1));
    let first = &found.entries[0];
    assert_eq!((first.local.to_string(), first.local_port, first.state), ("127.0.0.1".into(), 3_306, "listen"));
    assert_eq!((first.uid, first.inode), (101, 20_017));
    let second = &found.entries[1];
    assert_eq!((second.local.to_string(), second.remote.to_string()), ("::1".into(), "10.0.2.1".into()));
}

/// What Linux 6.1 said of tunnels that `ip` made: of its interfaces, then of its policies and states of IPsec.
#[test]
fn tunnels_of_a_real_kernel_are_read_without_their_keys() {
    let (mut links, mut policies, mut states) = (Vec::new(), Vec::new(), Vec::new());
    netlink::parts(&fixture("netlink-tunnels"), |part| {
        if let netlink::Part::Message(kind, body) = part {
            // Messages of the two parts of the kernel have the same numbers.
            if let Some(tunnel) = link::tunnel(kind, body) {
                links.push(tunnel);
            } else {
                states.extend(xfrm::state(kind, body));
            }
            policies.extend(xfrm::policy(kind, body));
        }
    });
    let of = |name: &str| {
        let tunnel = links.iter().find(|t| t.name == name).unwrap_or_else(|| panic!("{name}: {links:#?}"));
        let ip = |ip: Option<std::net::IpAddr>| ip.map(|ip| ip.to_string()).unwrap_or_default();
        (tunnel.kind.clone(), ip(tunnel.local), ip(tunnel.remote), tunnel.id)
    };
    let four = |kind: &str, id| (kind.to_owned(), "127.0.0.1".to_owned(), "127.0.0.2".to_owned(), id);
    assert_eq!((of("g"), of("e"), of("v")), (four("gretap", Some(7)), four("erspan", Some(8)), four("vxlan", Some(7))));
    assert_eq!(of("s"), ("sit".into(), "127.0.0.1".into(), "127.0.0.3".into(), None));
    assert_eq!(of("i6"), ("ip6gre".into(), "::1".into(), "fd00::2".into(), None));
    let policy = &policies[0];
    assert_eq!((policy.direction, &*policy.from, &*policy.to), ("out", "10.1.0.0/16", "10.2.0.0/16"));
    assert_eq!(policy.by, ["esp tunnel 192.0.2.1 203.0.113.9"]);
    let state = states.iter().find(|s| s.protocol == "esp").unwrap();
    assert_eq!((state.mode, state.spi, state.request), ("tunnel", 0x1234, 7));
    assert_eq!(state.algorithms, ["ecb(cipher_null)", "hmac(sha256)"]);
}
