//! AIDE and Tripwire, where they are installed: what they wrote is read, and AIDE reads what we wrote.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

use guardian_agent::files::{
    Baseline, Differs, Options, Policy, Property, Root, What, Writer, capabilities_text, compare_foreign, export_aide,
    look, of_aide, of_tripwire, scan, since,
};
use guardian_inventory::aide::{self, Columns};
use guardian_inventory::{accounts, tripwire};

/// Status and output of a program; none where it is not installed.
fn run(program: &str, arguments: &[&str]) -> Option<(i32, String)> {
    let mut command = Command::new(program);
    let out = command.args(arguments).env("LC_ALL", "C").stdin(std::process::Stdio::null()).output().ok()?;
    Some((out.status.code()?, String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned()))
}

fn tree(root: &Path) {
    fs::create_dir_all(root.join("folder/inner")).unwrap();
    fs::write(root.join("file"), "content\n").unwrap();
    fs::write(root.join("sp ace %41é"), "x").unwrap();
    fs::write(root.join("folder/empty"), "").unwrap();
    fs::write(root.join("0zero"), "0").unwrap();
    symlink("file", root.join("link")).unwrap();
    run("mkfifo", &[root.join("pipe").to_str().unwrap()]);
    fs::set_permissions(root.join("0zero"), fs::Permissions::from_mode(0o4711)).unwrap();
    for (program, arguments, path) in [
        ("setfacl", &["-m", "u:daemon:r,g:adm:rwx"][..], "file"),
        ("setfacl", &["-d", "-m", "u:daemon:rx"], "folder"),
        ("setfattr", &["-n", "user.note", "-v", "a value"], "file"),
        ("setcap", &["cap_net_raw,cap_net_admin=ep"], "folder/empty"),
    ] {
        run(program, &[arguments, &[root.join(path).to_str().unwrap()]].concat());
    }
}

fn baseline(root: &Path, file: &Path) -> Policy {
    let policy = Policy { roots: vec![root.to_owned()], ..Policy::default() };
    let writer = Mutex::new(Writer::new(fs::File::create(file).unwrap()).unwrap());
    scan(&policy, Options::default(), &|folder| writer.lock().unwrap().add(&folder).unwrap());
    writer.into_inner().unwrap().finish().unwrap();
    policy
}

#[test]
fn aide_checks_against_our_export_and_we_against_its_database() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("tree");
    tree(&root);
    let conf = place.path().join("conf");
    let (ours, theirs) = (place.path().join("ours"), place.path().join("theirs"));
    let settings = format!(
        "database_in=file:{}\ndatabase_out=file:{}\ngzip_dbout=yes\nA=p+u+g+s+m+c+i+n+ftype+l+acl+xattrs+caps+sha256\n{}/.* A\n",
        ours.display(),
        theirs.display(),
        root.display()
    );
    fs::write(&conf, settings).unwrap();
    let conf = conf.to_str().unwrap();
    let policy = baseline(&root, &place.path().join("baseline"));
    let sound = Baseline::open(&place.path().join("baseline")).unwrap();
    let (users, groups) = (fs::read("/etc/passwd").unwrap(), fs::read("/etc/group").unwrap());
    let (users, groups) = (accounts::parse_passwd(&users).entries, accounts::parse_group(&groups).entries);
    let name = |is_group: bool, id: u32| match is_group {
        true => groups.iter().find(|group| group.gid == id).map(|group| group.name.clone()),
        false => users.iter().find(|user| user.uid == id).map(|user| user.name.clone()),
    };
    let mut file = fs::File::create(&ours).unwrap();
    assert_eq!(export_aide(&sound, Columns::ALL, &name, &mut file).unwrap(), 8);
    let Some((status, said)) = run("aide", &["-c", conf, "--check"]) else { return };
    assert_eq!(status, 0, "{said}");
    assert!(said.contains("found NO differences"), "{said}");

    // AIDE's own, read: the same as ours; then both see what is done.
    let (status, said) = run("aide", &["-c", conf, "--init"]).unwrap();
    assert_eq!(status, 0, "{said}");
    let read = aide::database(&fs::read(&theirs).unwrap()).unwrap();
    assert_eq!((read.issues.len(), read.entries.len()), (0, 8));
    let files = || read.entries.iter().map(of_aide);
    let inside = Root::new(Path::new("/"));
    assert_eq!(compare_foreign(&inside, files()), []);
    let compared = |expected: i32| agent(place.path(), &["compare", theirs.to_str().unwrap()], expected);
    assert_eq!(compared(0), "");

    fs::write(root.join("file"), "CONTENT\n").unwrap();
    fs::remove_file(root.join("0zero")).unwrap();
    fs::set_permissions(root.join("folder/inner"), fs::Permissions::from_mode(0o777)).unwrap();
    fs::write(root.join("new"), "").unwrap();
    let (status, said) = run("aide", &["-c", conf, "--check"]).unwrap();
    assert_eq!(status & 7, 7, "added, removed and changed: {said}");
    let report = aide::report(said.as_bytes()).unwrap();
    let listed = |what: &str| -> Vec<String> {
        let of = report.listed.entries.iter().filter(|one| one.what == what);
        of.map(|one| one.path.rsplit('/').next().unwrap().to_owned()).collect()
    };
    assert_eq!((listed("added"), listed("removed")), (vec!["new".to_owned()], vec!["0zero".to_owned()]));
    assert!(listed("changed").contains(&"file".to_owned()) && listed("changed").contains(&"inner".to_owned()));
    let found = compare_foreign(&inside, files());
    let of = |name: &str| found.iter().find(|(path, _)| path.ends_with(name)).map(|(_, differs)| differs.clone());
    assert!(of("file").unwrap().contains(&Differs::Digest));
    assert_eq!(of("0zero"), Some(vec![Differs::Missing]));
    assert!(of("inner").unwrap().contains(&Differs::Mode));
    assert_eq!(compared(3).lines().count(), found.len());
    let lines = place.path().join("report");
    fs::write(&lines, said).unwrap();
    let listed = agent(place.path(), &["aide-report", lines.to_str().unwrap()], 3);
    assert!(listed.lines().any(|line| line.starts_with("added\t") && line.ends_with("/new")), "{listed}");
    taken_over(place.path(), &root, &policy, &theirs, conf, &ours);
}

/// The agent's own command: what it prints.
fn agent(place: &Path, words: &[&str], expected: i32) -> String {
    let home = place.join("home");
    let mut command = Command::new(env!("CARGO_BIN_EXE_guardian-agent"));
    let out = command.arg("--dir").arg(home).arg("baseline").args(words).output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(expected), "{words:?}: {said}");
    if words[0] == "import-tripwire" {
        assert!(said.contains("NOT verified"), "{said}");
    }
    String::from_utf8(out.stdout).unwrap()
}

/// AIDE's database as the agent's baseline: what changed since AIDE made it is what the agent would tell, and AIDE agrees.
fn taken_over(place: &Path, root: &Path, policy: &Policy, theirs: &Path, conf: &str, ours: &Path) {
    let files = root.to_str().unwrap();
    let said = agent(place, &["import-aide", theirs.to_str().unwrap(), "--files", files], 0);
    assert!(said.starts_with("8 files of the database, "), "{said}");
    let imported = Baseline::open(&place.join("home/files/baseline")).unwrap();
    let changed = |name: &str| {
        let path = root.join(name);
        let change = since(&imported, policy, &path, look(policy, &path).unwrap().as_ref()).unwrap();
        change.map(|change| change.what)
    };
    let Some(What::Changed { properties, .. }) = changed("file") else { panic!("changed") };
    assert_eq!(properties, [Property::Content]);
    let Some(What::Changed { properties, before, .. }) = changed("folder/inner") else { panic!("changed") };
    assert_eq!((properties.as_slice(), before.mode), (&[Property::Mode][..], 0o755));
    let Some(What::Removed(was)) = changed("0zero") else { panic!("removed") };
    assert_eq!((was.mode, was.size), (0o4711, 1));
    assert!(matches!(changed("new"), Some(What::Added(_))));
    assert_eq!(changed("link"), None);
    // Written for AIDE again, it says the same.
    fs::remove_file(ours).unwrap();
    agent(place, &["export-aide", ours.to_str().unwrap()], 0);
    let (status, said) = run("aide", &["-c", conf, "--check"]).unwrap();
    assert_eq!(status & 7, 7, "{said}");
    let report = aide::report(said.as_bytes()).unwrap();
    let of = |what: &str| report.listed.entries.iter().filter(|one| one.what == what).count();
    assert_eq!((of("added"), of("removed")), (1, 1), "{said}");
}

#[test]
fn tripwire_database_is_compared() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("tree");
    tree(&root);
    let at = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    let settings = format!(
        "ROOT=/usr/sbin\nPOLFILE={}\nDBFILE={}\nREPORTFILE={}\nSITEKEYFILE={}\nLOCALKEYFILE={}\nEDITOR=/bin/vi\n",
        at("pol"),
        at("db"),
        at("report"),
        at("site"),
        at("local")
    );
    fs::write(at("cfg.txt"), settings).unwrap();
    fs::write(at("pol.txt"), format!("{} -> +pinugtsdmcCMSH ;\n", root.display())).unwrap();
    for arguments in [
        &["-m", "G", "-S", &at("site"), "-Q", "site word"][..],
        &["-m", "G", "-L", &at("local"), "-P", "local word"],
        &["-m", "F", "-c", &at("cfg"), "-S", &at("site"), "-Q", "site word", &at("cfg.txt")],
        &["-m", "P", "-c", &at("cfg"), "-p", &at("pol"), "-S", &at("site"), "-Q", "site word", &at("pol.txt")],
    ] {
        let Some((0, _)) = run("twadmin", arguments) else { return };
    }
    let Some((0, _)) = run("tripwire", &["-m", "i", "-c", &at("cfg"), "-P", "local word"]) else { return };
    let (_, printed) = run("twprint", &["-m", "d", "-c", &at("cfg"), "-d", &at("db")]).unwrap();
    let database = tripwire::database(printed.as_bytes()).unwrap();
    assert_eq!(database.objects.issues, []);
    assert_eq!(database.objects.entries.len(), 9);
    let inside = Root::new(Path::new("/"));
    let compare = || compare_foreign(&inside, database.objects.entries.iter().map(of_tripwire));
    assert_eq!(compare(), []);
    fs::write(root.join("file"), "CONTENT\n").unwrap();
    fs::remove_file(root.join("link")).unwrap();
    let found = compare();
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[0].1, [Differs::Digest]);
    assert_eq!(found[1].1, [Differs::Missing]);
    // As the agent's baseline.
    let printed_at = at("printed");
    fs::write(&printed_at, printed).unwrap();
    assert_eq!(agent(place.path(), &["compare", &printed_at], 3).lines().count(), 2);
    agent(place.path(), &["import-tripwire", &printed_at, "--files", root.to_str().unwrap()], 0);
    let imported = Baseline::open(&place.path().join("home/files/baseline")).unwrap();
    let policy = Policy { roots: vec![root.clone()], ..Policy::default() };
    let change = |name: &str| {
        let path = root.join(name);
        since(&imported, &policy, &path, look(&policy, &path).unwrap().as_ref()).unwrap()
    };
    assert!(matches!(change("file").unwrap().what, What::Changed { .. }));
    assert!(matches!(change("link").unwrap().what, What::Removed(_)));
    assert_eq!(change("folder/empty"), None);
}

#[test]
fn capabilities_and_access_lists_read_as_the_tools_print_them() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("file");
    fs::write(&file, "x").unwrap();
    let path = file.to_str().unwrap();
    let policy = Policy { roots: vec![place.path().to_owned()], ..Policy::default() };
    for text in [
        "cap_net_raw=ep",
        "cap_net_raw,cap_sys_admin=eip",
        "cap_chown=p cap_kill=i",
        "cap_bpf,cap_perfmon=p",
        "=ep",
        "=ep cap_kill-ep",
        "=",
    ] {
        if !run("setcap", &[text, path]).is_some_and(|(status, _)| status == 0) {
            break;
        }
        let record = look(&policy, &file).unwrap().unwrap();
        let said = run("getcap", &[path]).unwrap().1;
        let ours = capabilities_text(record.capabilities().unwrap()).unwrap();
        assert_eq!(ours, said.trim_end().strip_prefix(path).unwrap().trim_start());
    }
    if run("setfacl", &["-m", "u:1:r,u:65000:rw,g:4:x,m:rwx", path]).is_some_and(|(status, _)| status == 0) {
        let record = look(&policy, &file).unwrap().unwrap();
        let ours = record.attributes_text().into_iter().find(|(name, _)| name == "system.posix_acl_access").unwrap().1;
        let said = run("getfacl", &["-nEpc", path]).unwrap().1;
        assert_eq!(ours.trim(), said.trim());
    }
}
