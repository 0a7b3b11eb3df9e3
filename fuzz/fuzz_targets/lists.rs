//! Configuration that lists of the inventory are made of, each in its place of a root: nothing panics, what is read is a list,
//! and no secret is in it.
#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use guardian_agent::inventory::{lists, read};
use guardian_protocol::lists::List;
use libfuzzer_sys::fuzz_target;

/// A secret that no list tells.
const SECRET: &str = "hunter2S3CRET";
/// Lists, a place of what each is read from, and a line by which a secret stands there.
const PLACES: &[(&str, &str, &str)] = &[
    ("users", "etc/passwd", ""),
    ("users", "etc/shadow", "eve:$6$x$hunter2S3CRET:1:0:9:7:::"),
    ("groups", "etc/group", ""),
    ("keys", "home/ann/.ssh/authorized_keys", ""),
    ("keys", "etc/ssh/sshd_config", ""),
    ("sudoers", "etc/sudoers", ""),
    ("cron", "etc/crontab", ""),
    ("services", "etc/systemd/system/a.service", ""),
    ("tunnels", "etc/wireguard/wg0.conf", "PrivateKey = hunter2S3CRET"),
    ("tunnels", "etc/openvpn/a.conf", "askpass hunter2S3CRET"),
    ("tunnels", "etc/ipsec.conf", ""),
    ("tunnels", "etc/swanctl/swanctl.conf", "secret = hunter2S3CRET"),
    ("containers", "var/lib/docker/containers/a/config.v2.json", ""),
    ("containers", "var/lib/docker/containers/a/hostconfig.json", ""),
    ("containers", "var/lib/containers/storage/overlay-containers/containers.json", ""),
    ("certificates", "etc/ssl/a.pem", ""),
];

static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
    let root = std::env::temp_dir().join(format!("guardian-fuzz-lists-{}", std::process::id()));
    for (_, place, _) in PLACES {
        fs::create_dir_all(root.join(place).parent().expect("it is in a folder")).expect("folders are made");
    }
    root
});
const USERS: &str = "ann:x:1000:1000:Ann:/home/ann:/bin/sh\n";

fuzz_target!(|input: &[u8]| {
    let Some((first, text)) = input.split_first() else { return };
    let (name, place, secret) = PLACES[usize::from(*first) % PLACES.len()];
    // What stands there already may be told.
    let had = String::from_utf8_lossy(text).contains(SECRET);
    let mut content = text.to_vec();
    content.extend_from_slice(format!("\n{secret}\n").as_bytes());
    fs::write(ROOT.join("etc/passwd"), USERS).expect("a file is written");
    fs::write(ROOT.join(place), if secret.is_empty() { text } else { &content }).expect("a file is written");
    let found = read(&ROOT, lists::find(name).expect("it is a list"));
    fs::remove_file(ROOT.join(place)).expect("a file is removed");
    let mut again = List::default();
    again.take(&found.lines()).expect("lines of our own");
    assert_eq!(again.hash(), found.hash());
    assert!(had || found.iter().all(|(key, entry)| !key.contains(SECRET) && !entry.contains(SECRET)));
});
