//! Tunnels that are made here, for real, in network namespaces of their own where that is permitted. What this kernel does not have
//! is left out, and said so.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use guardian_agent::inventory::{lists, read};
use serde_json::Value;

fn run(words: &str) -> bool {
    let mut words = words.split(' ');
    let mut command = Command::new(words.next().unwrap());
    command.args(words).stderr(Stdio::null()).stdout(Stdio::null()).status().is_ok_and(|status| status.success())
}

fn said(words: &str, input: &str) -> String {
    let script = format!("printf '%s' '{input}' | {words}");
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn tunnels() -> Vec<Value> {
    let list = read(Path::new("/"), lists::find("tunnels").unwrap());
    list.iter().map(|(_, entry)| serde_json::from_str(entry).unwrap()).collect()
}

/// Does its work in a network namespace of its own.
fn alone(work: impl FnOnce() + Send + 'static) {
    let inside = move || match nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET) {
        Ok(()) => {
            assert!(run("ip link set lo up"));
            work();
        }
        Err(error) => eprintln!("skipped: no namespace: {error}"),
    };
    std::thread::spawn(inside).join().unwrap();
}

/// A program that is ended when the test is.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let ended = self.0.kill().and_then(|()| self.0.wait());
        drop(ended);
    }
}

fn start(words: &str, variables: &[(&str, &str)]) -> Option<Running> {
    let mut words = words.split(' ');
    let mut command = Command::new(words.next().unwrap());
    command.args(words).envs(variables.iter().copied()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().ok().map(Running)
}

#[test]
fn interfaces_of_tunnels_have_kinds_and_ends() {
    alone(|| {
        let four = "local 127.0.0.1 remote 127.0.0.2";
        let six = "local ::1 remote fd00::2";
        let wanted = [
            ("gre", four, "key 7"),
            ("gretap", four, "key 7"),
            ("erspan", four, "seq key 7 erspan_ver 1"),
            ("ip6gre", six, "key 7"),
            ("ip6gretap", six, "key 7"),
            ("sit", four, ""),
            ("ipip", four, ""),
            ("vxlan", four, "id 7 dstport 4789"),
            ("geneve", "remote 127.0.0.2", "id 7"),
        ];
        let made: Vec<_> = wanted
            .iter()
            .filter(|(kind, ends, more)| {
                let words = match *kind {
                    "vxlan" | "geneve" => format!("ip link add t{kind} type {kind} {more} {ends}"),
                    _ => format!("ip link add t{kind} type {kind} {ends} {more}"),
                };
                let made = run(words.trim());
                if !made {
                    eprintln!("skipped: this kernel makes no {kind}");
                }
                made
            })
            .collect();
        assert!(run("ip tuntap add dev ttap mode tap user 1000") || !Path::new("/dev/net/tun").exists());
        let found = tunnels();
        for (kind, ends, more) in made {
            let one =
                found.iter().find(|t| t["name"] == format!("t{kind}")).unwrap_or_else(|| panic!("{kind}: {found:#?}"));
            assert_eq!(one["kind"], *kind);
            assert_eq!(one["remote"], ends.rsplit(' ').next().unwrap());
            assert_eq!(one.get("local").is_some(), ends.contains("local"));
            assert_eq!(one.get("id") == Some(&Value::from(7)), more.contains('7'), "{one}");
        }
        if Path::new("/dev/net/tun").exists() {
            let tap = found.iter().find(|t| t["name"] == "ttap").unwrap();
            assert_eq!((&tap["kind"], &tap["uid"]), (&"tap".into(), &1_000.into()));
        }
        assert!(found.iter().all(|t| t["name"] != "gre0" && t["name"] != "lo"));
    });
}

#[test]
fn states_and_policies_of_ipsec_are_told_without_their_keys() {
    alone(|| {
        let key = "0x000102030405060708090a0b0c0d0e0f";
        let state = format!(
            "ip xfrm state add src 192.0.2.1 dst 203.0.113.9 proto esp spi 0x1234 reqid 7 mode tunnel \
             auth-trunc hmac(sha256) {key}{} 128 enc cbc(aes) {key}",
            &key[2..]
        );
        let policy = "ip xfrm policy add src 10.1.0.0/16 dst 10.2.0.0/16 dir out tmpl src 192.0.2.1 dst 203.0.113.9 \
                      proto esp reqid 7 mode tunnel";
        let six = "ip xfrm policy add src fd01::/64 dst fd02::/64 dir in action block";
        if !run(policy) || !run(six) {
            return eprintln!("skipped: this kernel has no IPsec");
        }
        let has_state = run(&state);
        let found = tunnels();
        let of = |kind: &str| found.iter().filter(|t| t["kind"] == kind).cloned().collect::<Vec<_>>();
        let policies = of("ipsec_policy");
        let names: Vec<_> = policies.iter().map(|p| p["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["in fd01::/64 fd02::/64", "out 10.1.0.0/16 10.2.0.0/16"]);
        assert_eq!(
            (&policies[0]["action"], &policies[1]["value"]),
            (&"block".into(), &"esp tunnel 192.0.2.1 203.0.113.9".into())
        );
        if has_state {
            let states = of("ipsec_state");
            assert_eq!((&states[0]["remote"], &states[0]["mode"]), (&"203.0.113.9".into(), &"tunnel".into()));
            assert_eq!(states[0]["cipher"], "cbc(aes), hmac(sha256)");
        } else {
            eprintln!("skipped: this kernel has no ESP");
        }
        assert!(!format!("{found:?}").contains("0405060708"));
    });
}

/// Two ends of WireGuard that agree upon keys: one here, the other in a namespace of its own. By the kernel where it can, else by
/// programs.
#[test]
fn peers_of_wireguard_are_told_as_they_are() {
    alone(|| {
        let Some(other) = start("unshare -n sleep 60", &[]) else { return };
        let kernel = run("ip link add gwg0 type wireguard") && run("ip link add gwg1 type wireguard");
        let programs: Vec<_> = if kernel {
            Vec::new()
        } else {
            let foreground = [("WG_PROCESS_FOREGROUND", "1")];
            ["gwg0", "gwg1"].iter().filter_map(|name| start(&format!("wireguard-go {name}"), &foreground)).collect()
        };
        let begun = Instant::now();
        while !run("wg show gwg1") || !run("wg show gwg0") {
            if begun.elapsed() > Duration::from_secs(10) {
                return eprintln!("skipped: neither the kernel nor wireguard-go does WireGuard here");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let keys = [said("wg genkey", ""), said("wg genkey", "")];
        let public = [said("wg pubkey", &keys[0]), said("wg pubkey", &keys[1])];
        for (own, peer) in [(0, 1), (1, 0)] {
            let script = format!(
                "key=$(mktemp); printf %s '{}' > $key; wg set gwg{own} private-key $key listen-port 5182{own} peer '{}' \
                 allowed-ips 10.9.{peer}.0/24,fd0{peer}::/64 endpoint 127.0.0.1:5182{peer} persistent-keepalive 1; rm $key",
                keys[own], public[peer]
            );
            assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
        }
        assert!(run("ip link set gwg0 up"));
        if kernel {
            let pid = other.0.id();
            assert!(
                run(&format!("ip link set gwg1 netns {pid}"))
                    && run(&format!("nsenter -t {pid} -n ip link set gwg1 up"))
            );
        } else {
            assert!(run("ip link set gwg1 up"));
        }
        let live = |found: &[Value]| {
            found.iter().any(|t| t["kind"] == "wireguard_live_peer" && t["name"] == "gwg0" && t["state"] == "live")
        };
        let mut found = tunnels();
        while !live(&found) {
            assert!(begun.elapsed() < Duration::from_secs(30), "no handshake: {found:#?}");
            std::thread::sleep(Duration::from_millis(200));
            found = tunnels();
        }
        let peer = found.iter().find(|t| t["kind"] == "wireguard_live_peer" && t["name"] == "gwg0").unwrap();
        assert_eq!((&peer["key"], &peer["remote"]), (&public[1].clone().into(), &"127.0.0.1".into()));
        assert_eq!((&peer["networks"], &peer["keepalive"]), (&"10.9.1.0/24, fd01::/64".into(), &1.into()));
        let interface = found.iter().find(|t| t["kind"] == "wireguard_interface" && t["name"] == "gwg0").unwrap();
        assert_eq!(interface["port"], 51_820);
        if kernel {
            assert_eq!(interface["key"], public[0]);
        }
        assert!(
            keys.iter().all(|key| !format!("{found:?}").contains(key.as_str())),
            "a private key is nobody's business"
        );
        println!("by {}: {peer}", if kernel { "the kernel" } else { "wireguard-go" });
        drop(programs);
    });
}

/// A server of OpenVPN and somebody who is connected to it.
#[test]
fn who_is_connected_to_openvpn_is_told() {
    alone(|| {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().display().to_string();
        let script = format!(
            "cd {at} && for who in server ann; do openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
             -keyout $who.key -out $who.crt -days 2 -subj /CN=$who 2>/dev/null || exit 1; done; \
             print() {{ openssl x509 -in $1.crt -noout -fingerprint -sha256 | cut -d= -f2; }}; \
             printf 'dev tun\\nport 11940\\nserver 10.99.0.0 255.255.255.0\\ntopology subnet\\ndh none\\ncert server.crt\\n\
             key server.key\\nstatus {at}/status 1\\nkeepalive 1 10\\npeer-fingerprint %s\\n' $(print ann) > server.conf; \
             printf 'dev tun\\nclient\\nnobind\\nremote 127.0.0.1 11940\\ncert ann.crt\\nkey ann.key\\nifconfig-noexec\\n\
             route-noexec\\npeer-fingerprint %s\\n' $(print server) > ann.conf"
        );
        if !run("openvpn --version") && !Path::new("/usr/sbin/openvpn").exists() || !Path::new("/dev/net/tun").exists()
        {
            return eprintln!("skipped: no OpenVPN here");
        }
        assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
        let program = |name: &str| start(&format!("openvpn --cd {at} --config {at}/{name}.conf"), &[]);
        let (_server, _client) = (program("server"), program("ann"));
        let begun = Instant::now();
        let mut found = tunnels();
        while !found.iter().any(|t| t["kind"] == "openvpn_peer") {
            assert!(begun.elapsed() < Duration::from_secs(40), "nobody is connected: {found:#?}");
            std::thread::sleep(Duration::from_millis(300));
            found = tunnels();
        }
        let peer = found.iter().find(|t| t["kind"] == "openvpn_peer").unwrap();
        assert_eq!(
            (&peer["user"], &peer["remote"], &peer["networks"]),
            (&"ann".into(), &"127.0.0.1".into(), &"10.99.0.2".into())
        );
        let running = found
            .iter()
            .filter(|t| t["kind"] == "openvpn_running" && t["path"].as_str().is_some_and(|p| p.starts_with(&at)));
        assert_eq!(running.count(), 2);
        assert!(found.iter().any(|t| t["kind"] == "tun"), "its interface is there too");
    });
}
