//! File integrity: scans, baselines, and what changed between.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use guardian_agent::files::{
    Baseline, Change, Comparison, Folder, Kind, Live, Options, Policy, Property, Record, Rule, Summary, Watch, What,
    Who, Writer, between, look, scan, since,
};
use guardian_agent::outbox::Outbox;
use guardian_agent::sources::files::{Around, Files};
use guardian_protocol::classes::FileColumn as C;
use proptest::prelude::*;

use crate::rows::take;

fn policy(root: &Path) -> Policy {
    Policy { roots: vec![root.to_owned()], ..Policy::default() }
}

fn collect(policy: &Policy, options: Options) -> (Vec<Folder>, Summary) {
    let folders = Mutex::new(Vec::new());
    let summary = scan(policy, options, &|folder| folders.lock().unwrap().push(folder));
    let mut folders = folders.into_inner().unwrap();
    folders.sort_by(|a: &Folder, b| a.path.cmp(&b.path));
    (folders, summary)
}

fn baseline(policy: &Policy, file: &Path) -> [u8; 32] {
    let mut writer = Writer::new(fs::File::create(file).unwrap()).unwrap();
    for folder in collect(policy, Options::default()).0 {
        writer.add(&folder).unwrap();
    }
    writer.finish().unwrap()
}

fn compare(policy: &Policy, file: &Path) -> Vec<Change> {
    let before = Baseline::open(file).unwrap();
    let mut comparison = Comparison::new(&before, policy);
    let mut changes = Vec::new();
    for folder in collect(policy, Options::default()).0 {
        changes.extend(comparison.folder(&folder).unwrap());
    }
    changes.extend(comparison.finish().unwrap());
    changes.sort_by(|a, b| a.path.cmp(&b.path));
    changes
}

/// Paths relative to the root, and in a word what happened.
fn told(root: &Path, changes: &[Change]) -> Vec<String> {
    let line = |change: &Change| {
        let path = change.path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
        match &change.what {
            What::Added(_) => format!("+ {path}"),
            What::Removed(_) => format!("- {path}"),
            What::Changed { properties, .. } => format!("{path} {properties:?}"),
        }
    };
    changes.iter().map(line).collect()
}

fn find<'a>(folders: &'a [Folder], path: &Path) -> &'a Record {
    let folder = folders.iter().find(|f| f.path == path.parent().unwrap()).unwrap();
    folder.entries.iter().find(|r| r.name == path.file_name().unwrap().as_bytes()).unwrap()
}

#[test]
fn every_kind_of_file_is_described() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path();
    fs::write(root.join("program"), vec![7; 300_000]).unwrap();
    fs::set_permissions(root.join("program"), fs::Permissions::from_mode(0o4755)).unwrap();
    fs::write(root.join("empty"), b"").unwrap();
    fs::write(root.join(OsStr::from_bytes(b"odd \xff\nname")), b"x").unwrap();
    symlink("/no/where", root.join("link")).unwrap();
    fs::create_dir_all(root.join("a/b")).unwrap();
    let _socket = UnixListener::bind(root.join("socket")).unwrap();
    assert!(Command::new("mkfifo").arg(root.join("pipe")).status().unwrap().success());
    fs::hard_link(root.join("program"), root.join("a/b/same")).unwrap();

    let (folders, summary) = collect(&policy(root), Options::default());
    let paths: Vec<_> = folders.iter().map(|f| f.path.clone()).collect();
    assert_eq!(paths, [root.to_owned(), root.join("a"), root.join("a/b")]);
    assert_eq!((summary.folders, summary.entries, summary.hashed, summary.errors), (3, 9, 3, 0));
    assert_eq!(summary.hashed_bytes, 300_001, "a file with two names is read once");

    let program = find(&folders, &root.join("program"));
    assert_eq!((program.kind, program.mode, program.size, program.links), (Kind::Regular, 0o4755, 300_000, 2));
    assert_eq!(program.blake3, Some(*blake3::hash(&[7; 300_000]).as_bytes()));
    let said = Command::new("sha256sum").arg(root.join("program")).output().unwrap();
    let hex: String = program.sha256.unwrap().iter().map(|b| format!("{b:02x}")).collect();
    assert!(said.stdout.starts_with(hex.as_bytes()));
    let same = find(&folders, &root.join("a/b/same"));
    assert_eq!((same.inode, same.blake3, same.sha256), (program.inode, program.blake3, program.sha256));
    assert_eq!(find(&folders, &root.join("link")).target, b"/no/where");
    assert_eq!(find(&folders, &root.join("socket")).kind, Kind::Socket);
    let pipe = find(&folders, &root.join("pipe"));
    assert_eq!((pipe.kind, pipe.blake3), (Kind::Pipe, None));
    assert_eq!(find(&folders, &root.join(OsStr::from_bytes(b"odd \xff\nname"))).size, 1);
}

#[test]
fn what_changed_is_told_and_nothing_else() {
    let place = tempfile::tempdir().unwrap();
    let (root, file) = (place.path().join("root"), place.path().join("baseline"));
    for folder in ["etc/ssh", "bin", "gone/deep", "log"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    for name in
        ["etc/passwd", "etc/ssh/sshd_config", "bin/login", "bin/su", "gone/deep/x", "gone/y", "log/syslog", "kind"]
    {
        fs::write(root.join(name), format!("content of {name}\n")).unwrap();
    }
    symlink("login", root.join("bin/link")).unwrap();
    let policy = policy(&root);
    let first = baseline(&policy, &file);
    assert_eq!(compare(&policy, &file), []);
    assert_eq!(baseline(&policy, &file), first, "the same files come to the same root");

    // The same length and the same times: only the content tells.
    let times = fs::metadata(root.join("bin/login")).unwrap().modified().unwrap();
    fs::write(root.join("bin/login"), "CONTENT of bin/login\n").unwrap();
    fs::File::options().write(true).open(root.join("bin/login")).unwrap().set_modified(times).unwrap();
    fs::set_permissions(root.join("bin/su"), fs::Permissions::from_mode(0o4755)).unwrap();
    fs::remove_file(root.join("bin/link")).unwrap();
    symlink("su", root.join("bin/link")).unwrap();
    fs::remove_dir_all(root.join("gone")).unwrap();
    fs::create_dir_all(root.join("etc/cron.d")).unwrap();
    fs::write(root.join("etc/cron.d/job"), "* * * * * root /tmp/x\n").unwrap();
    fs::remove_file(root.join("kind")).unwrap();
    fs::create_dir(root.join("kind")).unwrap();
    // Touching a file is no change that counts.
    fs::File::options()
        .write(true)
        .open(root.join("etc/passwd"))
        .unwrap()
        .set_modified(times + Duration::from_secs(9))
        .unwrap();

    let changes = compare(&policy, &file);
    let mut expected = vec![
        "bin/link [Target]".to_owned(),
        "bin/login [Content]".into(),
        "bin/su [Mode]".into(),
        "+ etc/cron.d".into(),
        "+ etc/cron.d/job".into(),
        "- gone".into(),
        "- gone/deep".into(),
        "- gone/deep/x".into(),
        "- gone/y".into(),
    ];
    let kind = told(&root, &changes).pop().unwrap();
    assert!(kind.starts_with("kind [Kind"), "{kind}");
    expected.push(kind);
    assert_eq!(told(&root, &changes), expected);
    assert_ne!(baseline(&policy, &file), first);
    assert_eq!(compare(&policy, &file), []);
}

#[test]
fn the_policy_says_what_counts() {
    let place = tempfile::tempdir().unwrap();
    let (root, file) = (place.path().join("root"), place.path().join("baseline"));
    fs::create_dir_all(root.join("log")).unwrap();
    fs::create_dir_all(root.join("cache/deep")).unwrap();
    for name in ["log/a", "log/b", "cache/deep/x", "strict"] {
        fs::write(root.join(name), "some lines\n").unwrap();
    }
    let rule = |path: &str, watch| Rule { path: root.join(path).to_str().unwrap().to_owned(), watch };
    let mut policy = policy(&root);
    policy.rules = vec![
        rule("log", Watch::Properties(vec![Property::Mode, Property::Growing])),
        rule("**/deep", Watch::Nothing),
        rule("strict", Watch::Properties(vec![Property::Inode, Property::Modified])),
    ];
    let (folders, summary) = collect(&policy, Options::default());
    assert_eq!(summary.hashed, 0, "nothing is read whose content does not count");
    assert!(folders.iter().all(|f| !f.path.ends_with("deep")));
    baseline(&policy, &file);
    fs::write(root.join("log/a"), "some lines\nand one more\n").unwrap();
    fs::write(root.join("log/b"), "").unwrap();
    fs::write(root.join("cache/deep/x"), "other").unwrap();
    // Replaced by a copy: the same content, another file.
    fs::copy(root.join("strict"), root.join("copy")).unwrap();
    fs::rename(root.join("copy"), root.join("strict")).unwrap();
    let expected = ["log/b [Growing]", "strict [Inode, Modified]"];
    assert_eq!(told(&root, &compare(&policy, &file)), expected);
}

#[test]
fn attributes_count() {
    let place = tempfile::tempdir().unwrap();
    let (root, file) = (place.path().join("root"), place.path().join("baseline"));
    fs::create_dir(&root).unwrap();
    fs::write(root.join("ping"), "x").unwrap();
    baseline(&policy(&root), &file);
    let setcap = Command::new("setcap").arg("cap_net_raw+ep").arg(root.join("ping")).status();
    if !setcap.is_ok_and(|status| status.success()) {
        // Not permitted or not installed here.
        return;
    }
    let changes = compare(&policy(&root), &file);
    assert_eq!(told(&root, &changes), ["ping [Attributes]"]);
    let What::Changed { before, after, .. } = &changes[0].what else { panic!("a change") };
    assert!(before.capabilities().is_none() && after.capabilities().is_some());
}

#[test]
fn a_folder_with_very_many_files_and_a_deep_tree() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path();
    for i in 0..3_000 {
        fs::write(root.join(format!("{i:05}")), i.to_string()).unwrap();
    }
    let mut deep = root.to_owned();
    for _ in 0..100 {
        deep.push("d");
        fs::create_dir(&deep).unwrap();
    }
    fs::write(deep.join("bottom"), "x").unwrap();
    for threads in [1, 2, 16] {
        let (folders, summary) = collect(&policy(root), Options { threads, ..Options::default() });
        assert_eq!((summary.folders, summary.hashed, summary.errors), (101, 3_001, 0));
        let top = folders.iter().find(|f| f.path == root).unwrap();
        assert!(top.entries.windows(2).all(|two| two[0].name < two[1].name));
        assert_eq!(top.entries.len(), 3_001);
        assert_eq!(find(&folders, &deep.join("bottom")).size, 1);
    }
}

#[test]
fn the_budget_is_kept() {
    let place = tempfile::tempdir().unwrap();
    for i in 0..4 {
        fs::write(place.path().join(i.to_string()), vec![0; 500_000]).unwrap();
    }
    let begun = Instant::now();
    let options = Options { bytes_per_second: 2_000_000, ..Options::default() };
    let (_, summary) = collect(&policy(place.path()), options);
    assert_eq!(summary.hashed_bytes, 2_000_000);
    assert!(begun.elapsed() > Duration::from_millis(800), "{:?}", begun.elapsed());
}

#[test]
fn what_cannot_be_read_is_unknown_and_not_gone() {
    let place = tempfile::tempdir().unwrap();
    let (root, file) = (place.path().join("root"), place.path().join("baseline"));
    fs::create_dir_all(root.join("secret/inner")).unwrap();
    fs::write(root.join("secret/inner/x"), "x").unwrap();
    let policy = policy(&root);
    baseline(&policy, &file);
    let before = Baseline::open(&file).unwrap();
    let mut comparison = Comparison::new(&before, &policy);
    for mut folder in collect(&policy, Options::default()).0 {
        if folder.path.ends_with("secret") {
            (folder.entries, folder.error) = (Vec::new(), Some("Permission denied".into()));
        }
        if !folder.path.ends_with("inner") {
            assert_eq!(comparison.folder(&folder).unwrap(), []);
        }
    }
    assert_eq!(comparison.finish().unwrap(), []);
    assert!(
        collect(&Policy { roots: vec![PathBuf::from("/no/where")], ..Policy::default() }, Options::default())
            .0
            .is_empty()
    );
}

#[test]
fn a_baseline_that_was_changed_is_found_out() {
    let place = tempfile::tempdir().unwrap();
    let (root, file) = (place.path().join("root"), place.path().join("baseline"));
    fs::create_dir_all(root.join("a")).unwrap();
    fs::write(root.join("a/x"), "x").unwrap();
    let said = baseline(&policy(&root), &file);
    let good = fs::read(&file).unwrap();
    let sound = Baseline::open(&file).unwrap();
    assert_eq!(sound.root(), &said);
    let folders: Vec<Folder> = sound.folders().map(Result::unwrap).collect();
    assert_eq!(folders, collect(&policy(&root), Options::default()).0);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(200));
    runner
        .run(&(any::<prop::sample::Index>(), 1u8..), |(at, flip)| {
            let mut bytes = good.clone();
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            fs::write(&file, &bytes).unwrap();
            // Other bytes may decompress to the same; what is read must not differ.
            if let Ok(read) = Baseline::open(&file) {
                let read: Result<Vec<Folder>, _> = read.folders().collect();
                prop_assert!(read.is_err() || read.unwrap() == folders, "byte {at}");
            }
            fs::write(&file, &bytes[..at]).unwrap();
            prop_assert!(Baseline::open(&file).is_err());
            Ok(())
        })
        .unwrap();
}

#[test]
fn folders_are_found_in_a_baseline_of_many_parts() {
    let place = tempfile::tempdir().unwrap();
    let (root, file) = (place.path().join("root"), place.path().join("baseline"));
    let name = |number: usize| root.join(format!("{}/{number}", number % 7));
    for number in 0..300 {
        fs::create_dir_all(name(number)).unwrap();
        fs::write(name(number).join("file"), number.to_string()).unwrap();
    }
    let said = baseline(&policy(&root), &file);
    let read = Baseline::open(&file).unwrap();
    assert_eq!((read.root(), read.len()), (&said, 1 + 7 + 300));
    for number in 0..300 {
        let folder = read.folder(&name(number)).unwrap().unwrap();
        assert_eq!((&folder.path, folder.entries[0].size), (&name(number), number.to_string().len() as u64));
    }
    for none in ["", "/", "0", "3/", "3/x", "zzz"] {
        let path = PathBuf::from(format!("{}{none}x", root.display()));
        assert_eq!(read.folder(&path).unwrap(), None);
    }
    let paths: Vec<PathBuf> = read.folders().map(|folder| folder.unwrap().path).collect();
    assert!(paths.len() == 308 && paths.is_sorted_by_key(|path| path.as_os_str().to_owned()));
}

/// Does things in a watched folder; returns the changes that were told, and who was named for each.
fn watched(inotify: bool) -> Option<Vec<(String, Option<(String, u32)>)>> {
    let place = tempfile::tempdir().unwrap();
    let (root, file) = (place.path().canonicalize().unwrap().join("root"), place.path().join("baseline"));
    fs::create_dir_all(root.join("etc")).unwrap();
    fs::create_dir_all(root.join("cache")).unwrap();
    fs::write(root.join("etc/passwd"), "root\n").unwrap();
    fs::write(root.join("etc/shadow"), "x\n").unwrap();
    let mut policy = policy(&root);
    policy.rules = vec![Rule { path: root.join("cache").to_str().unwrap().to_owned(), watch: Watch::Nothing }];
    baseline(&policy, &file);
    let before = Baseline::open(&file).unwrap();
    let mut live = if inotify { Live::by_inotify(&policy, None) } else { Live::new(&policy) }.unwrap();
    if live.fallback.is_some() {
        // Not permitted here; the fallback has its own test.
        return None;
    }
    let script = "echo evil >> etc/passwd; rm etc/shadow; mkdir etc/cron.d; echo job > etc/cron.d/x; echo y > cache/y; touch end";
    let mut shell = Command::new("sh").arg("-c").arg(format!("{script}; sleep 1")).current_dir(&root).spawn().unwrap();
    let mut changes = Vec::new();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(20) && !changes.iter().any(|(told, _): &(String, _)| told == "+ end") {
        let told = live.next(Duration::from_millis(200)).unwrap();
        assert!(!told.lost);
        for touched in told.touched {
            let now = look(&policy, &touched.path).unwrap();
            let change = since(&before, &policy, &touched.path, now.as_ref()).unwrap();
            let who = touched.who.map(|who| (who.name.clone(), who.pid));
            changes.extend(change.map(|change| (told_one(&root, &change), who)));
        }
    }
    let pid = shell.id();
    shell.wait().unwrap();
    assert!(changes.iter().flat_map(|(_, who)| who).filter(|(name, _)| name == "sh").all(|(_, by)| *by == pid));
    Some(changes)
}

fn told_one(root: &Path, change: &Change) -> String {
    told(root, std::slice::from_ref(change)).remove(0)
}

const EXPECTED: [&str; 5] = ["etc/passwd [Content]", "- etc/shadow", "+ etc/cron.d", "+ etc/cron.d/x", "+ end"];

#[test]
fn changes_are_told_as_they_happen_and_who_made_them() {
    let Some(changes) = watched(false) else { return };
    for expected in EXPECTED {
        assert!(changes.iter().any(|(told, _)| told == expected), "{expected}: {changes:?}");
    }
    assert!(changes.iter().all(|(told, _)| !told.contains("cache")));
    // The shell itself wrote these; `rm`, `mkdir` and `touch` may be gone before they are asked for.
    let by = |expected: &str| changes.iter().find(|(told, _)| told == expected).unwrap().1.clone();
    assert_eq!(by("etc/passwd [Content]").unwrap().0, "sh");
    assert!(by("- etc/shadow").is_some_and(|(_, pid)| pid != 0));
}

#[test]
fn the_fallback_tells_the_same_without_who() {
    let changes = watched(true).unwrap();
    for expected in EXPECTED {
        assert!(changes.iter().any(|(told, _)| told == expected), "{expected}: {changes:?}");
    }
    assert!(changes.iter().all(|(told, who)| !told.contains("cache") && who.is_none()));
}

#[test]
fn links_attributes_capabilities_and_who_are_told_before_and_after() {
    let place = tempfile::tempdir().unwrap();
    let (root, policy) = (place.path(), policy(place.path()));
    let (file, link) = (root.join("tool"), root.join("link"));
    fs::write(&file, "x").unwrap();
    symlink("first", &link).unwrap();
    let now = |path: &Path| look(&policy, path).unwrap();
    let before = (now(&file), now(&link));
    fs::remove_file(&link).unwrap();
    symlink("second", &link).unwrap();
    let run = |program: &str, arguments: &[&str]| {
        Command::new(program).args(arguments).arg(&file).status().is_ok_and(|status| status.success())
    };
    let acl = run("setfacl", &["-m", "u:1:r"]);
    let capable = run("setcap", &["cap_setuid=ep"]);
    let (outbox, inbox) = Outbox::new();
    let mut files = Files::new(outbox);
    let who = Who::of(std::process::id());
    assert_eq!(who.parent, std::os::unix::process::parent_id());
    let around = Around { who: Some(&who), verdict: "unowned", package_version: Some("2"), ..Around::default() };
    let mut tell = |path: &Path, was: Option<Record>| {
        if let Some(change) = between(&policy, path, was, now(path).as_ref()) {
            files.tell(&change, 5, around);
        }
        files.flush();
        take(&inbox).pop()
    };
    let row = tell(&link, before.1).unwrap();
    assert_eq!((row.get(C::Target as usize), row.get(C::OldTarget as usize)), ("second", "first"));
    assert_eq!((row.get(C::Verdict as usize), row.get(C::PackageVersion as usize)), ("unowned", "2"));
    assert_eq!(row.get(C::ParentPid as usize), who.parent.to_string());
    assert!(!row.get(C::ParentImage as usize).is_empty());
    let row = tell(&file, before.0);
    if capable {
        let row = row.as_ref().unwrap();
        assert_eq!((row.get(C::Capabilities as usize), row.get(C::OldCapabilities as usize)), ("cap_setuid=ep", ""));
        let was = now(&file);
        assert!(run("setcap", &["-r"]));
        let row = tell(&file, was).unwrap();
        assert_eq!((row.get(C::Capabilities as usize), row.get(C::OldCapabilities as usize)), ("", "cap_setuid=ep"));
    }
    if acl {
        let told = row.unwrap().get(C::Attributes as usize).to_owned();
        assert!(told.contains("system.posix_acl_access=user::rw-,user:1:r--,"), "{told}");
    }
}
