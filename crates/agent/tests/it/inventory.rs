//! What a machine has: a root made by hand, and this very machine against what its own programs say.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use guardian_agent::inventory::{lists, read, read_all};
use guardian_protocol::lists::List;
use serde_json::Value;

pub(crate) fn write(root: &Path, path: &str, text: &str) {
    let place = root.join(path.trim_start_matches('/'));
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::write(place, text).unwrap();
}

fn entries(list: &List) -> HashMap<String, Value> {
    list.iter().map(|(key, entry)| (key.to_owned(), serde_json::from_str(entry).unwrap())).collect()
}

fn of(root: &Path, name: &str) -> Vec<Value> {
    let list = read(root, lists::find(name).unwrap());
    list.iter().map(|(_, entry)| serde_json::from_str(entry).unwrap()).collect()
}

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB4Bs0QMaqPWGXYwDYvzMZKuiS/5Lnbq2jWnM6zJrEDx ann@desk";

pub(crate) fn machine(root: &Path) {
    write(root, "/etc/passwd", "root:x:0:0:root:/root:/bin/bash\nann:x:1000:1000:Ann:/home/ann:/bin/sh\n");
    write(root, "/etc/shadow", "root:$y$j9T$x$y:19700:0:99999:7:::\nann:!:19700:0:99999:7:::\n");
    write(root, "/etc/group", "root:x:0:\nsudo:x:27:ann,bob\n");
    write(root, "/home/ann/.ssh/authorized_keys", &format!("from=\"10.0.0.0/8\" {KEY}\n"));
    write(root, "/etc/sudoers", "Defaults env_reset\nroot ALL=(ALL:ALL) ALL\n@includedir /etc/sudoers.d\n");
    write(root, "/etc/sudoers.d/ann", "ann ALL=(root) NOPASSWD: /usr/bin/systemctl\n");
    write(root, "/etc/sudoers.d/ann.bak", "ann ALL=(ALL) ALL\n");
    write(root, "/etc/crontab", "SHELL=/bin/sh\n17 * * * * root run-parts /etc/cron.hourly\n");
    write(root, "/var/spool/cron/crontabs/ann", "@reboot /home/ann/.x\n");
    write(root, "/etc/cron.daily/rotate", "#!/bin/sh\n");
    let unit = "[Unit]\nDescription=Web\n[Service]\nExecStart=/usr/sbin/web\n[Install]\nWantedBy=multi-user.target\n";
    write(root, "/usr/lib/systemd/system/web.service", unit);
    write(root, "/etc/systemd/system/web.service.d/evil.conf", "[Service]\nExecStartPost=/tmp/x\nUser=www\n");
    fs::create_dir_all(root.join("etc/systemd/system/multi-user.target.wants")).unwrap();
    let link = root.join("etc/systemd/system/multi-user.target.wants/web.service");
    std::os::unix::fs::symlink("/usr/lib/systemd/system/web.service", link).unwrap();
    std::os::unix::fs::symlink("/dev/null", root.join("etc/systemd/system/old.service")).unwrap();
    let status = "Package: bash\nStatus: install ok installed\nVersion: 5.2-1\nArchitecture: amd64\n\n\
                  Package: gone\nStatus: deinstall ok config-files\nVersion: 1\nArchitecture: amd64\n";
    write(root, "/var/lib/dpkg/status", status);
    write(
        root,
        "/etc/wireguard/wg0.conf",
        "[Interface]\nPrivateKey = c2VjcmV0\nAddress = 10.9.0.1/24\n[Peer]\n\
        PublicKey = cGVlcg==\nPresharedKey = c2VjcmV0\nEndpoint = 203.0.113.7:51820\nAllowedIPs = 0.0.0.0/0\n",
    );
    write(
        root,
        "/home/ann/.ssh/config",
        "Host db\n  LocalForward 5432 127.0.0.1:5432\nHost *\n  DynamicForward 1080\n",
    );
    write(root, "/etc/ssh/ssh_config", "Host vpn.example\n  Tunnel yes\n  TunnelDevice 0:1\n");
    write(root, "/etc/resolv.conf", "nameserver 192.0.2.53\nsearch example.com\n");
    write(root, "/etc/environment", "https_proxy=http://ann:c2VjcmV0@proxy:3128\n");
    let config = r#"{"Name":"/db","Config":{"Image":"postgres:17"},"Image":"sha256:1","State":{"Running":true},
        "MountPoints":{"/host":{"Source":"/"}}}"#;
    write(root, "/var/lib/docker/containers/abc/config.v2.json", config);
    write(root, "/var/lib/docker/containers/abc/hostconfig.json", r#"{"Privileged":true,"NetworkMode":"host"}"#);
    write(
        root,
        "/usr/lib/node_modules/left-pad/package.json",
        r#"{"name":"left-pad","version":"1.3.0","license":"WTFPL"}"#,
    );
    let metadata = "Metadata-Version: 2.1\nName: requests\nVersion: 2.31.0\nLicense: Apache-2.0\n";
    write(root, "/usr/local/lib/python3.12/site-packages/requests-2.31.0.dist-info/METADATA", metadata);
}

#[test]
fn forwards_that_clients_of_ssh_are_configured_for_are_told() {
    let dir = tempfile::tempdir().unwrap();
    machine(dir.path());
    let tunnels = of(dir.path(), "tunnels");
    let told = |kind: &str| {
        let of = tunnels.iter().filter(|t| t["kind"] == kind);
        of.map(|t| format!("{} {} {}", t["user"], t["name"], t["value"])).collect::<Vec<_>>()
    };
    assert_eq!(told("ssh_from_here_config"), [r#""ann" "db" "5432 127.0.0.1:5432""#]);
    assert_eq!(told("ssh_proxy_config"), [r#""ann" "*" "1080""#]);
    assert_eq!(told("ssh_network_config"), [r#"null "vpn.example" "0:1""#]);
}

#[test]
fn filters_are_told_as_their_front_ends_were_asked() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    write(root, "/etc/ufw/ufw.conf", "ENABLED=yes\n");
    write(root, "/etc/default/ufw", "IPV6=no\nDEFAULT_INPUT_POLICY=\"DROP\"\nDEFAULT_FORWARD_POLICY=\"DROP\"\n");
    write(root, "/proc/net/if_inet6", "20010db8000000000000000000000001 02 40 00 80 eth0\n");
    let tuple = "### tuple ### allow any 6379 0.0.0.0/0 any 0.0.0.0/0 in\n### tuple ### allow tcp 22 0.0.0.0/0 any 10.0.0.0/8 in\n";
    write(root, "/etc/ufw/user.rules", tuple);
    write(root, "/etc/ufw/user6.rules", "### tuple ### allow tcp 23 ::/0 any ::/0 in\n");
    write(root, "/etc/firewalld/firewalld.conf", "DefaultZone=public\n");
    write(root, "/etc/systemd/system/multi-user.target.wants/firewalld.service", "");
    let zone = "<zone><service name=\"files\"/><rule><source address=\"10.0.0.0/8\"/><port port=\"6379\" protocol=\"tcp\"/><accept/></rule></zone>";
    write(root, "/usr/lib/firewalld/zones/public.xml", zone);
    write(root, "/etc/firewalld/zones/unused.xml", "<zone><port port=\"6379\" protocol=\"tcp\"/></zone>");
    let service = "<service><include service=\"files\"/><include service=\"inner\"/></service>";
    write(root, "/usr/lib/firewalld/services/files.xml", service);
    write(root, "/etc/firewalld/services/inner.xml", "<service><port port=\"445\" protocol=\"tcp\"/></service>");
    let filters = of(root, "firewall");
    let one = |kind: &str, word: &str| {
        let is = |f: &&Value| f["kind"] == kind && f.to_string().contains(word);
        filters.iter().find(is).unwrap_or_else(|| panic!("{kind} {word}: {filters:#?}")).clone()
    };
    assert!(one("front_end", "ufw")["risk"].as_str().unwrap().contains("IPv6 is not filtered"));
    assert_eq!(one("ufw_rule", "6379")["risk"], "lets anybody reach Redis (6379)");
    assert_eq!(
        (&one("ufw_rule", "10.0.0.0/8")["from"][0], one("ufw_rule", "10.0.0.0/8").get("risk")),
        (&"10.0.0.0/8".into(), None)
    );
    assert!(one("ufw_rule", "\"23\"")["risk"].as_str().unwrap().contains("Telnet"));
    assert_eq!(one("firewalld_zone", "public")["default"], true);
    assert_eq!(one("firewalld_rule", "service files")["risk"], "lets anybody reach Windows file sharing (445)");
    assert_eq!(one("firewalld_rule", "rule source").get("risk"), None);
    assert_eq!(one("firewalld_rule", "\"unused\"").get("risk"), None, "nothing comes to that zone");
}

#[test]
fn a_machine_is_read_as_it_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    machine(root);
    let users = of(root, "users");
    assert_eq!((&users[0]["user"], &users[0]["password"]), (&"ann".into(), &"never".into()));
    assert_eq!((&users[1]["password"], &users[1]["method"]), (&"set".into(), &"yescrypt".into()));
    assert_eq!(of(root, "groups")[1]["user"], "ann bob");
    let keys = of(root, "keys");
    assert_eq!(
        (&keys[0]["user"], &keys[0]["kind"], &keys[0]["comment"]),
        (&"ann".into(), &"ssh-ed25519".into(), &"ann@desk".into())
    );
    let sudoers = of(root, "sudoers");
    assert_eq!(sudoers.len(), 3, "{sudoers:?}");
    let ann = sudoers.iter().find(|s| s["user"] == "ann").unwrap();
    assert_eq!((&ann["no_password"], &ann["command_line"]), (&true.into(), &"/usr/bin/systemctl".into()));
    let cron = of(root, "cron");
    assert_eq!(cron.len(), 3);
    assert!(cron.iter().any(|c| c["user"] == "ann" && c["when"] == "@reboot" && c["command_line"] == "/home/ann/.x"));
    let services = of(root, "services");
    let web = services.iter().find(|s| s["name"] == "web.service").unwrap();
    assert_eq!((&web["enabled"], &web["user"]), (&true.into(), &"www".into()));
    assert_eq!((&web["command_line"], web["drop_ins"].as_array().unwrap().len()), (&"/usr/sbin/web; /tmp/x".into(), 1));
    assert_eq!(services.iter().find(|s| s["name"] == "old.service").unwrap()["masked"], true);
    let packages = of(root, "packages");
    assert_eq!((packages.len(), &packages[0]["name"], &packages[0]["version"]), (1, &"bash".into(), &"5.2-1".into()));
    let containers = of(root, "containers");
    let shown = ["name", "image", "state", "network"].map(|m| containers[0][m].as_str().unwrap());
    assert_eq!(shown, ["db", "postgres:17", "running", "host"]);
    assert_eq!((&containers[0]["privileged"], &containers[0]["mounts"][0]), (&true.into(), &"/:/host".into()));
    let libraries = of(root, "libraries");
    let mut found: Vec<_> =
        libraries.iter().map(|l| (l["kind"].as_str().unwrap(), l["name"].as_str().unwrap())).collect();
    found.sort_unstable();
    assert_eq!(found, [("npm", "left-pad"), ("python", "requests")]);
    assert!(libraries.iter().all(|l| l["path"].is_string() && !l["licences"].is_null()));
    let peer = of(root, "tunnels").into_iter().find(|t| t["kind"] == "wireguard_peer").unwrap();
    assert_eq!((&peer["remote"], &peer["networks"]), (&"203.0.113.7:51820".into(), &"0.0.0.0/0".into()));
    let resolvers = of(root, "resolvers");
    assert!(resolvers.iter().any(|r| r["kind"] == "proxy" && r["value"] == "http://***@proxy:3128"), "{resolvers:?}");
    // Nothing secret is in any of them.
    for (name, list) in read_all(root) {
        let text = String::from_utf8(list.lines()).unwrap();
        assert!(!text.contains("c2VjcmV0") && !text.contains("$y$"), "{name} has a secret in it");
    }
}

#[test]
fn this_machine_is_as_its_own_programs_say() {
    // What lies about on the disk takes its time, and has its own test.
    let some = lists::ALL.iter().filter(|source| source.name != "libraries");
    let all: HashMap<&str, List> = some.map(|source| (source.name, read(Path::new("/"), source))).collect();
    let count = |list: &str| all[list].len();
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    assert_eq!(
        count("users"),
        passwd.lines().filter(|l| !l.trim().is_empty() && !l.starts_with(['#', '+', '-'])).count()
    );
    if let Ok(output) = Command::new("dpkg-query").args(["-f", "${db:Status-Status}\n", "-W"]).output() {
        let installed = String::from_utf8_lossy(&output.stdout).lines().filter(|l| *l == "installed").count();
        let ours = entries(&all["packages"]).values().filter(|p| p["kind"] == "dpkg").count();
        assert_eq!(ours, installed);
    }
    let system = entries(&all["system"]);
    assert_eq!(system["kernel"]["version"], fs::read_to_string("/proc/sys/kernel/osrelease").unwrap().trim());
    assert!(system["memory"]["size_bytes"].as_u64().unwrap() > 1 << 20);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let ports = entries(&read(Path::new("/"), lists::find("ports").unwrap()));
    assert!(ports[&format!("tcp/127.0.0.1/{port}")]["path"].as_str().unwrap().contains("/it-"), "we listen there");
    assert!(entries(&all["interfaces"]).contains_key("lo"));
    let state = &entries(&all["firewall"])["state"];
    assert!(["none", "open", "closed"].contains(&state["value"].as_str().unwrap()));
    // What nobody touched is the same as before.
    for name in ["system", "packages", "users", "groups", "keys", "sudoers", "cron", "services", "certificates"] {
        assert_eq!(read(Path::new("/"), lists::find(name).unwrap()).hash(), all[name].hash(), "{name}");
    }
}

#[test]
fn every_list_has_a_name_that_may_be_sent() {
    let mut names: Vec<_> = lists::ALL.iter().map(|source| source.name).collect();
    assert!(names.iter().all(|name| guardian_protocol::lists::is_list_name(name)));
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), lists::ALL.len());
}
