//! A child that was taken over: whatever it says, it gets files of its task and nothing else, and the side that has all
//! rights does not fall over.
#![no_main]

use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::path::PathBuf;
use std::sync::LazyLock;

use guardian_agent::apart::{handed_over, is_order};
use libfuzzer_sys::fuzz_target;

const TASKS: &[&str] = &[
    "owned",
    "transactions",
    "packages",
    "libraries",
    "certificates",
    "firewall",
    "containers",
    "services",
    "cron",
    "users",
    "groups",
    "keys",
    "tunnels",
];
/// Files of no task but one, each with the task.
const SECRETS: &[(&str, &str)] = &[
    ("etc/shadow", "users"),
    ("etc/ssl/private/web.key", ""),
    ("etc/ssh/ssh_host_rsa_key", ""),
    ("home/ann/.ssh/id_rsa", ""),
    ("etc/wireguard/wg0.conf", "tunnels"),
    ("srv/secret.txt", ""),
];
const OTHERS: &[&str] = &[
    "etc/passwd",
    "etc/group",
    "etc/crontab",
    "var/lib/dpkg/status",
    "var/log/dpkg.log",
    "home/ann/.ssh/authorized_keys",
    "home/ann/node_modules/a/package.json",
    "etc/systemd/system/a.service",
    "etc/ssl/a.pem",
];

static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
    let root = std::env::temp_dir().join(format!("guardian-fuzz-apart-{}", std::process::id()));
    for place in SECRETS.iter().map(|(place, _)| place).chain(OTHERS) {
        fs::create_dir_all(root.join(place).parent().expect("it is in a folder")).expect("folders are made");
        fs::write(root.join(place), "content").expect("a file is written");
    }
    // A user's own, with a link that leads where it should not.
    chown(root.join("home/ann/.ssh/authorized_keys"), Some(1_000), Some(1_000)).ok();
    symlink("/etc/shadow", root.join("home/ann/node_modules/package.json")).ok();
    symlink("/etc/shadow", root.join("home/ann/.ssh/authorized_keys2")).ok();
    root
});

/// Asks for a file that a user wrote: from then on the word of a child counts no more.
fn sways() -> Vec<u8> {
    let path = b"/home/ann/.ssh/authorized_keys";
    [&[1, path.len() as u8], &path[..]].concat()
}

fuzz_target!(|input: &[u8]| {
    is_order(input);
    let Some((first, mut rest)) = input.split_first() else { return };
    let task = TASKS[usize::from(*first) % TASKS.len()];
    let first = sways();
    let mut said: Vec<&[u8]> = vec![&first];
    // Messages come one after the other, each behind its length.
    while let Some((length, behind)) = rest.split_first() {
        let (one, more) = behind.split_at(usize::from(*length).min(behind.len()));
        said.push(one);
        rest = more;
    }
    for path in handed_over(task, &ROOT, &said) {
        let Ok(place) = path.strip_prefix(&*ROOT) else { panic!("{task}: {} is outside", path.display()) };
        let secret = SECRETS.iter().find(|(secret, _)| place.as_os_str() == *secret);
        assert!(secret.is_none_or(|(_, of)| *of == task), "{task} is handed {}", place.display());
    }
});
