//! What strangers wrote, read by a child that can do nothing else: the same as by this process, and nothing lost but one
//! answer when the child is not what it should be.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use guardian_agent::apart::{Apart, Failure};
use guardian_agent::files::{Ledger, Root};
use guardian_agent::inventory::{lists, read};

use crate::inventory::{machine, write};

fn apart() -> Apart {
    Apart::new(env!("CARGO_BIN_EXE_guardian-agent").into())
}

/// A program in the place of the child, as hostile as a shell can be. Its standard input is the channel.
fn impostor(folder: &Path, script: &str) -> PathBuf {
    let path = folder.join("impostor");
    guardian_testkit::program::write(&path, format!("#!/bin/sh\n{script}\n"));
    path
}

#[test]
fn lists_are_the_same_apart() {
    let dir = tempfile::tempdir().unwrap();
    machine(dir.path());
    let apart = apart();
    let mut entries = 0;
    for source in lists::ALL.iter().filter(|source| Apart::reads(source.name)) {
        // What is in force in this machine's packet filter may change between.
        let here = read(dir.path(), source);
        let there = apart.list(dir.path(), source.name).unwrap();
        assert_eq!(there.iter().collect::<Vec<_>>(), here.iter().collect::<Vec<_>>(), "{}", source.name);
        entries += here.len();
    }
    assert!(entries > 8, "{entries} entries are compared");
    let counts = apart.counts();
    // One for what holds no secrets, and one for each of users, keys and sudo rules.
    assert_eq!((counts.started, counts.failed), (4, 0), "one child after the other is the same");
    assert_eq!(apart.children().len(), 1, "whoever was handed secrets is gone");
    assert_eq!(counts.refused, 0, "what readers ask for is what their tasks allow");
}

#[test]
fn this_machine_is_the_same_apart() {
    let apart = std::sync::Arc::new(apart());
    let root = Path::new("/");
    for name in ["packages", "certificates", "services", "cron", "users", "groups", "keys", "sudoers"] {
        let here = read(root, lists::find(name).unwrap());
        assert_eq!(apart.list(root, name).unwrap().hash(), here.hash(), "{name}");
    }
    let here = Ledger::read(&mut Root::new(root));
    let mut asked = Root::new(root).read_by(&apart);
    assert_eq!(Ledger::read(&mut asked), here);
    assert!(!asked.incomplete, "{:?}", asked.issues);
}

#[test]
fn the_child_is_locked_up() {
    let dir = tempfile::tempdir().unwrap();
    machine(dir.path());
    let apart = apart();
    apart.list(dir.path(), "packages").unwrap();
    let children = apart.children();
    let [(pid, memory)] = children[..] else { panic!("one child waits: {children:?}") };
    assert!(memory > 0);
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let of = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().skip(1).collect::<Vec<_>>()
    };
    assert_eq!((of("CapEff:"), of("CapPrm:")), (vec!["0000000000000000"], vec!["0000000000000000"]));
    assert_eq!((of("NoNewPrivs:"), of("Seccomp:")), (vec!["1"], vec!["2"]));
    if nix::unistd::geteuid().is_root() {
        assert!(of("Uid:").iter().all(|uid| *uid != "0"), "{status}");
        assert!(of("Groups:").is_empty(), "{status}");
    }
    apart.end();
    assert!(apart.children().is_empty() && !Path::new(&format!("/proc/{pid}")).exists());
    apart.list(dir.path(), "packages").unwrap();
    assert_eq!(apart.counts().started, 2);
}

#[test]
fn links_of_strangers_lead_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let person = r#"{"name": "SECRET", "version": "1.0.0"}"#;
    write(root, "/etc/person.json", person);
    fs::create_dir_all(root.join("home/ann/node_modules/x")).unwrap();
    std::os::unix::fs::symlink("/etc/person.json", root.join("home/ann/node_modules/x/package.json")).unwrap();
    write(root, "/home/ann/node_modules/y/package.json", r#"{"name": "y", "version": "2.0.0"}"#);
    let found = apart().list(root, "libraries").unwrap();
    let names: Vec<&str> = found.iter().map(|(_, entry)| entry).collect();
    assert_eq!(names.len(), 1, "{names:?}");
    assert!(names[0].contains("\"y\""), "{names:?}");
}

#[test]
fn what_root_names_is_read_and_what_users_name_is_not() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    write(root, "/etc/passwd", "ann:x:1000:1000::/home/ann:/bin/sh\nbob:x:1001:1001::/home/bob:/bin/sh\n");
    write(root, "/etc/ssh/sshd_config", "AuthorizedKeysFile .ssh/authorized_keys /srv/keys/%u\n");
    let key = |comment: &str| {
        format!("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f {comment}\n")
    };
    for (user, number) in [("ann", 1_000), ("bob", 1_001)] {
        for place in [format!("/home/{user}/.ssh/authorized_keys"), format!("/srv/keys/{user}")] {
            write(root, &place, &key(&format!("{place} of {user}")));
            std::os::unix::fs::chown(root.join(&place[1..]), Some(number), Some(number)).unwrap();
        }
    }
    let source = lists::find("keys").unwrap();
    let apart = apart();
    let found = apart.list(root, "keys").unwrap();
    assert_eq!(found.len(), 4, "{:?}", found.iter().collect::<Vec<_>>());
    assert_eq!(found.hash(), read(root, source).hash());
    // A user's own link does not choose.
    fs::remove_file(root.join("srv/keys/bob")).unwrap();
    write(root, "/etc/other", &key("another"));
    std::os::unix::fs::symlink("/etc/other", root.join("srv/keys/bob")).unwrap();
    assert_eq!(apart.list(root, "keys").unwrap().len(), 3);
    // Rules lie where root says.
    write(root, "/etc/sudoers", "@include /opt/rules\n@includedir /opt/more\nroot ALL=(ALL) ALL\n");
    write(root, "/opt/rules", "ann ALL=(root) NOPASSWD: /usr/bin/id\n");
    write(root, "/opt/more/web", "bob ALL=(root) /usr/bin/id\n");
    let rules = apart.list(root, "sudoers").unwrap();
    assert_eq!(rules.len(), 3, "{:?}", rules.iter().collect::<Vec<_>>());
    assert_eq!(apart.counts().refused, 0);
    // What somebody else wrote names nothing more.
    fs::set_permissions(root.join("etc/sudoers"), fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!(apart.list(root, "sudoers").unwrap().len(), 1);
    assert!(apart.counts().refused > 0);
}

#[test]
fn whoever_crashes_costs_one_answer() {
    let dir = tempfile::tempdir().unwrap();
    let root = tempfile::tempdir().unwrap();
    machine(root.path());
    for (script, expected) in [
        ("kill -SEGV $$", "ended early"),
        ("exit 3", "ended early"),
        ("printf junk >&0; sleep 60", "cannot be read"),
        ("exec sleep 60", "too long"),
    ] {
        let apart = Apart::new(impostor(dir.path(), script)).patient(Duration::from_secs(1));
        let begun = Instant::now();
        let failure = apart.list(root.path(), "packages").unwrap_err();
        assert!(failure.to_string().contains(expected), "{script}: {failure}");
        assert!(begun.elapsed() < Duration::from_secs(20), "{script}");
        assert_eq!(apart.counts().failed, 1);
        assert!(apart.complaint().unwrap().contains(expected));
        assert!(apart.children().is_empty(), "{script}: it is gone");
    }
    let failure = Apart::new("/nothing/here".into()).list(root.path(), "packages").unwrap_err();
    assert!(matches!(failure, Failure::NotStarted(_)), "{failure}");
}

#[test]
fn a_child_that_is_killed_is_started_anew() {
    let root = tempfile::tempdir().unwrap();
    machine(root.path());
    let apart = apart();
    apart.list(root.path(), "packages").unwrap();
    let (pid, _) = apart.children()[0];
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid as i32), nix::sys::signal::Signal::SIGKILL).unwrap();
    let begun = Instant::now();
    while fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z ")) {
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
    assert!(!apart.list(root.path(), "packages").unwrap().is_empty());
    assert_eq!((apart.counts().started, apart.counts().failed), (2, 0), "it had nothing to do when it died");
}

#[test]
fn a_database_that_takes_all_memory_costs_itself() {
    let root = tempfile::tempdir().unwrap();
    machine(root.path());
    let status = root.path().join("var/lib/dpkg/status");
    let good = fs::read(&status).unwrap();
    // Longer than what a child may have as memory, and no blocks on the disk.
    fs::File::options().write(true).open(&status).unwrap().set_len(3 << 30).unwrap();
    let apart = apart();
    // Whether it ends or goes on without the file, this process is as it was.
    if let Ok(list) = apart.list(root.path(), "packages") {
        assert!(list.iter().all(|(key, _)| !key.starts_with("dpkg/")));
    }
    fs::write(&status, good).unwrap();
    assert!(apart.list(root.path(), "packages").unwrap().iter().any(|(key, _)| key.starts_with("dpkg/")));
    assert!(guardian_sys::process::peak_resident_bytes().unwrap() < 1 << 30);
}

#[test]
fn the_watchdog_ends_a_child_that_is_too_large() {
    let dir = tempfile::tempdir().unwrap();
    let root = tempfile::tempdir().unwrap();
    machine(root.path());
    // It says that it is ready, and then nothing.
    let apart = Apart::new(impostor(dir.path(), r"printf '\000\000' >&0; exec sleep 60"));
    let failure = std::thread::scope(|scope| {
        let reading = scope.spawn(|| apart.list(root.path(), "packages").unwrap_err());
        let until = Instant::now() + Duration::from_secs(20);
        while !reading.is_finished() {
            assert!(Instant::now() < until);
            apart.children().iter().for_each(|(pid, _)| apart.end_oversized(*pid));
        }
        reading.join().unwrap()
    });
    assert!(matches!(failure, Failure::Oversized), "{failure}");
}
