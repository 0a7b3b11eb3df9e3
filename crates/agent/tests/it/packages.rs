//! Files and packages: what deviates, and which changes a package manager made, against the real package managers where
//! they are installed. Every one of them works in a root of its own.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use guardian_agent::files::{
    Baseline, Change, Comparison, Differs, Digests, Ledger, Options, Policy, Root, Verdict, Writer, explain, found,
    scan, scan_beside, verify,
};
use guardian_inventory::transaction;

/// Runs a program; none where it is not installed, fails, or may not do that here.
fn run(program: &str, arguments: &[&str]) -> Option<String> {
    let out = Command::new(program).args(arguments).env("LC_ALL", "C").env("TZ", "UTC").output().ok()?;
    if !out.status.success() {
        eprintln!("{program} {arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
        return None;
    }
    Some(String::from_utf8_lossy(&out.stdout).into_owned())
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn put(path: &Path, content: &str, mode: u32) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn append(path: &Path, more: &str) {
    let content = fs::read_to_string(path).unwrap();
    fs::write(path, content + more).unwrap();
}

fn deviations(root: &Path) -> Vec<String> {
    let mut told = Vec::new();
    let mut root = Root::new(root);
    verify(&mut root, &mut |deviation| told.push(deviation.to_string()));
    assert_eq!(root.issues, Vec::<String>::new());
    told.sort_unstable();
    told
}

/// The state of a root, and what happened to it since.
struct Watched {
    root: PathBuf,
    policy: Policy,
    baseline: PathBuf,
    ledger: Ledger,
}

impl Watched {
    fn new(root: &Path, place: &Path) -> Self {
        let policy = Policy { roots: vec![root.join("usr"), root.join("etc")], ..Policy::default() };
        let mut watched =
            Self { root: root.to_owned(), policy, baseline: place.join("baseline"), ledger: Ledger::default() };
        watched.again();
        watched
    }

    fn again(&mut self) {
        let writer = Mutex::new(Writer::new(fs::File::create(&self.baseline).unwrap()).unwrap());
        scan(&self.policy, Options::default(), &|folder| writer.lock().unwrap().add(&folder).unwrap());
        writer.into_inner().unwrap().finish().unwrap();
        let ledger = Ledger::read(&mut Root::new(&self.root));
        self.ledger = Ledger::from_bytes(&ledger.to_bytes()).unwrap();
        assert_eq!(self.ledger, ledger);
    }

    fn changes(&self) -> Vec<Change> {
        let baseline = Baseline::open(&self.baseline).unwrap();
        let comparison = Mutex::new(Comparison::new(&baseline, &self.policy));
        let changes = Mutex::new(Vec::new());
        scan(&self.policy, Options::default(), &|folder| {
            let found = comparison.lock().unwrap().folder(&folder).unwrap();
            changes.lock().unwrap().extend(found);
        });
        let mut changes = changes.into_inner().unwrap();
        changes.extend(comparison.into_inner().unwrap().finish().unwrap());
        changes.sort_by(|a, b| a.path.cmp(&b.path));
        changes
    }

    /// Each change with its verdict in a word, and the versions.
    fn judged(&self, log: &[transaction::Transaction]) -> Vec<String> {
        let changes = self.changes();
        let mut root = Root::new(&self.root);
        let after = Ledger::read(&mut root);
        let verdicts = explain(&mut root, &self.ledger, &after, log, &changes);
        let line = |(change, verdict): (&Change, Verdict)| {
            let path = change.path.strip_prefix(&self.root).unwrap().display().to_string();
            let by = |word: &str, by: &guardian_agent::files::By| {
                let (old, new) = (by.package.old.as_deref(), by.package.new.as_deref());
                let logged = if by.logged.is_some() { " logged" } else { "" };
                format!("{path}: {word} {} {}->{}{logged}", by.package.name, old.unwrap_or("-"), new.unwrap_or("-"))
            };
            match &verdict {
                Verdict::Explained(b) => by("explained", b),
                Verdict::Partly(b, left) => by(&format!("partly {left:?}"), b),
                Verdict::Restored(b) => by("restored", b),
                Verdict::Contradicted(b, differs) => by(&format!("contradicted {differs:?}"), b),
                Verdict::Deviates(b, differs) => by(&format!("deviates {differs:?}"), b),
                Verdict::Rewritten(b) => by("rewritten", b),
                Verdict::Moved => format!("{path}: moved"),
                Verdict::LeadsTo(b) => by("leads to", b),
                Verdict::Unowned => format!("{path}: unowned"),
            }
        };
        changes.iter().zip(verdicts).map(line).collect()
    }
}

/// A Debian package with a program, a link, a library and configuration.
fn deb(place: &Path, version: &str) -> PathBuf {
    let tree = place.join(format!("deb-{version}"));
    put(&tree.join("usr/bin/acme"), &format!("program {version}\n"), 0o755);
    put(&tree.join(format!("usr/lib/libacme.so.{version}")), &format!("library {version}\n"), 0o644);
    symlink(format!("libacme.so.{version}"), tree.join("usr/lib/libacme.so")).unwrap();
    put(&tree.join("etc/acme.conf"), &format!("version = {version}\n"), 0o644);
    put(&tree.join("usr/share/doc/acme/read me"), "the same\n", 0o644);
    let control = format!(
        "Package: acme\nVersion: {version}\nArchitecture: all\nMaintainer: J <j@example.net>\nDescription: tool\n"
    );
    put(&tree.join("DEBIAN/control"), &control, 0o644);
    put(&tree.join("DEBIAN/conffiles"), "/etc/acme.conf\n", 0o644);
    let sums = "find usr etc -type f -print0 | xargs -0 md5sum > DEBIAN/md5sums";
    assert!(Command::new("sh").args(["-c", sums]).current_dir(&tree).status().unwrap().success());
    let file = place.join(format!("acme_{version}.deb"));
    assert!(run("dpkg-deb", &["--build", "--root-owner-group", text(&tree), text(&file)]).is_some());
    file
}

fn dpkg_root(place: &Path) -> PathBuf {
    let root = place.join("root");
    for folder in ["var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers", "var/log", "usr/bin", "etc"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    for file in ["status", "available", "diversions", "statoverride"] {
        fs::write(root.join("var/lib/dpkg").join(file), "").unwrap();
    }
    put(&root.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\n", 0o644);
    put(&root.join("etc/group"), "root:x:0:\nadm:x:4:\n", 0o644);
    root
}

fn dpkg(root: &Path, arguments: &[&str]) -> Option<String> {
    let (at, log) = (format!("--root={}", text(root)), format!("--log={}/var/log/dpkg.log", text(root)));
    let all = [&[at.as_str(), &log, "--force-not-root,confnew,bad-path,script-chrootless"], arguments].concat();
    run("dpkg", &all)
}

#[test]
fn dpkg_root_verified_and_explained() {
    let place = tempfile::tempdir().unwrap();
    let root = dpkg_root(place.path());
    if run("dpkg-deb", &["--version"]).is_none() {
        return;
    }
    let [first, second] = ["1.0", "2.0"].map(|version| deb(place.path(), version));
    if dpkg(&root, &["-i", text(&first)]).is_none() {
        return;
    }
    assert_eq!(deviations(&root), Vec::<String>::new());
    let mut watched = Watched::new(&root, place.path());

    // What is not an upgrade: the package did not change.
    append(&root.join("usr/bin/acme"), "evil\n");
    append(&root.join("etc/acme.conf"), "mine = 1\n");
    assert_eq!(
        watched.judged(&[]),
        ["etc/acme.conf: deviates [Digest] acme 1.0->1.0", "usr/bin/acme: deviates [Digest] acme 1.0->1.0",]
    );
    let ours: Vec<String> = deviations(&root).iter().map(|line| format!("??5??????{}", &line[9..])).collect();
    let said = dpkg(&root, &["--verify"]).unwrap_or_default();
    let mut theirs: Vec<String> = said.lines().map(|line| line.replace("??????   /", "??????    /")).collect();
    theirs.sort_unstable();
    let squeeze = |lines: &[String]| -> Vec<String> {
        lines.iter().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    };
    let mut ours = squeeze(&ours);
    ours.sort_unstable();
    assert_eq!(ours, squeeze(&theirs));

    // An upgrade puts both right, and is told with its versions.
    assert!(dpkg(&root, &["-i", text(&second)]).is_some());
    let log = fs::read(root.join("var/log/dpkg.log")).unwrap();
    let log = transaction::dpkg_log(&log).entries;
    let explained = [
        "etc/acme.conf: explained acme 1.0->2.0 logged",
        // What the administrator had written is kept beside it: that is nobody's file.
        "etc/acme.conf.dpkg-old: unowned",
        "usr/bin/acme: explained acme 1.0->2.0 logged",
        "usr/lib/libacme.so: explained acme 1.0->2.0 logged",
        "usr/lib/libacme.so.1.0: explained acme 1.0->2.0 logged",
        "usr/lib/libacme.so.2.0: explained acme 1.0->2.0 logged",
    ];
    assert_eq!(watched.judged(&log), explained);

    tampered_upgrade(&root, &watched, &log);
    rewritten_database(&root, &second, &mut watched);
    again_and_gone(&root, &second, &mut watched, place.path());
}

/// The same upgrade with somebody's hand in it: what the package did not bring is not explained.
fn tampered_upgrade(root: &Path, watched: &Watched, log: &[transaction::Transaction]) {
    append(&root.join("usr/bin/acme"), "evil\n");
    fs::set_permissions(root.join("usr/lib/libacme.so.2.0"), fs::Permissions::from_mode(0o4755)).unwrap();
    fs::remove_file(root.join("usr/lib/libacme.so")).unwrap();
    symlink("/tmp/evil.so", root.join("usr/lib/libacme.so")).unwrap();
    put(&root.join("usr/bin/acme-helper"), "evil\n", 0o755);
    // As services are enabled.
    symlink("/usr/bin/acme", root.join("etc/acme.service")).unwrap();
    let told = watched.judged(log);
    for expected in [
        "usr/bin/acme: contradicted [Digest] acme 1.0->2.0 logged",
        "usr/bin/acme-helper: unowned",
        "etc/acme.service: leads to acme 1.0->2.0 logged",
        "usr/lib/libacme.so: partly [Target] acme 1.0->2.0 logged",
        "usr/lib/libacme.so.2.0: partly [Mode] acme 1.0->2.0 logged",
        "etc/acme.conf: explained acme 1.0->2.0 logged",
    ] {
        assert!(told.iter().any(|line| line == expected), "{expected}: {told:#?}");
    }
}

/// Who also changes the database without a new version is found out.
fn rewritten_database(root: &Path, second: &Path, watched: &mut Watched) {
    assert!(dpkg(root, &["-i", text(second)]).is_some());
    fs::remove_file(root.join("usr/bin/acme-helper")).unwrap();
    watched.again();
    append(&root.join("usr/bin/acme"), "evil\n");
    let sum = run("md5sum", &[text(&root.join("usr/bin/acme"))]).unwrap();
    let sums = root.join("var/lib/dpkg/info/acme.md5sums");
    let lines: Vec<String> = fs::read_to_string(&sums)
        .unwrap()
        .lines()
        .map(|line| if line.ends_with("bin/acme") { format!("{}  usr/bin/acme", &sum[..32]) } else { line.to_owned() })
        .collect();
    fs::write(&sums, lines.join("\n") + "\n").unwrap();
    assert_eq!(deviations(root), Vec::<String>::new(), "which the database alone does not tell");
    assert_eq!(watched.judged(&[]), ["usr/bin/acme: rewritten acme 2.0->2.0"]);
}

/// Put there again, and removed.
fn again_and_gone(root: &Path, second: &Path, watched: &mut Watched, place: &Path) {
    assert!(dpkg(root, &["-i", text(second)]).is_some());
    watched.again();
    append(&root.join("usr/bin/acme"), "evil\n");
    let tampered = {
        let mut tampered = Watched::new(root, place);
        tampered.ledger.clone_from(&watched.ledger);
        tampered
    };
    assert!(dpkg(root, &["-i", text(second)]).is_some());
    assert_eq!(tampered.judged(&[]), ["usr/bin/acme: restored acme 2.0->2.0"]);
    let log = transaction::dpkg_log(&fs::read(root.join("var/log/dpkg.log")).unwrap()).entries;
    assert_eq!(tampered.judged(&log), ["usr/bin/acme: explained acme 2.0->2.0 logged"]);
    watched.again();
    assert!(dpkg(root, &["--purge", "acme"]).is_some());
    let told = watched.judged(&log);
    assert!(told.contains(&"usr/bin/acme: explained acme 2.0->-".to_owned()), "{told:#?}");
    let explained = |line: &String| line.contains(": explained") || line.starts_with("etc/acme.conf.dpkg-old");
    assert!(told.iter().all(explained), "{told:#?}");
}

#[test]
fn what_deviated_before_the_baseline_is_found_while_a_scan_reads() {
    let place = tempfile::tempdir().unwrap();
    let root = dpkg_root(place.path());
    if run("dpkg-deb", &["--version"]).is_none() {
        return;
    }
    if dpkg(&root, &["-i", text(&deb(place.path(), "1.0"))]).is_none() {
        return;
    }
    let policy = Policy { roots: vec![root.join("usr"), root.join("etc")], ..Policy::default() };
    let look = || {
        let mut databases = Root::new(&root);
        let mut digests = Digests::new(&root);
        Ledger::read_with(&mut databases, &mut |owned| digests.add(owned));
        digests.seal();
        let stop = std::sync::atomic::AtomicBool::new(false);
        let (_, suspects) = scan_beside(&stop, &policy, Options::default(), Some(&digests), &|_| {});
        let suspects: std::collections::HashSet<PathBuf> = suspects.into_iter().collect();
        // An hour later: nothing of it is half of an installation.
        let (found, more) = found(&mut databases, &policy, &suspects, i64::MAX - 1);
        assert_eq!((more, databases.issues.len()), (0, 0));
        found
    };
    assert_eq!(look(), []);
    append(&root.join("usr/bin/acme"), "evil\n");
    append(&root.join("etc/acme.conf"), "mine = 1\n");
    fs::remove_file(root.join("usr/lib/libacme.so.1.0")).unwrap();
    fs::remove_file(root.join("usr/share/doc/acme/read me")).unwrap();
    let found = look();
    let told: Vec<_> =
        found.iter().map(|one| (text(&one.path), one.differs.as_slice(), &*one.package.version)).collect();
    let (program, library) = (root.join("usr/bin/acme"), root.join("usr/lib/libacme.so.1.0"));
    let expected = [(text(&program), &[Differs::Digest][..], "1.0"), (text(&library), &[Differs::Missing][..], "1.0")];
    assert_eq!(told, expected, "configuration may be changed, and documents left out");
    assert_eq!(look()[0].key(), found[0].key());
    // The log says what was installed.
    let log = Root::new(&root).transactions();
    assert_eq!((log.len(), &*log[0].name, &*log[0].new), (1, "acme", "1.0"));
}

#[test]
fn diversions_and_overrides_are_followed() {
    let place = tempfile::tempdir().unwrap();
    let root = dpkg_root(place.path());
    let at = format!("--root={}", text(&root));
    if run("dpkg-deb", &["--version"]).is_none() {
        return;
    }
    let file = deb(place.path(), "1.0");
    let diverted =
        run("dpkg-divert", &[&at, "--no-rename", "--divert", "/usr/bin/acme.real", "--add", "/usr/bin/acme"]);
    let owned = run("dpkg-statoverride", &[&at, "--add", "root", "adm", "2750", "/usr/lib/libacme.so.1.0"]);
    if diverted.is_none() || owned.is_none() || dpkg(&root, &["-i", text(&file)]).is_none() {
        return;
    }
    assert!(root.join("usr/bin/acme.real").exists() && !root.join("usr/bin/acme").exists());
    assert_eq!(deviations(&root), Vec::<String>::new());
    append(&root.join("usr/bin/acme.real"), "evil");
    fs::set_permissions(root.join("usr/lib/libacme.so.1.0"), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(deviations(&root), ["..5......    /usr/bin/acme.real", ".M.......    /usr/lib/libacme.so.1.0"]);
}

fn rpm_package(place: &Path, version: &str) -> Option<PathBuf> {
    let spec = place.join(format!("acme-{version}.spec"));
    let body = format!(
        "Name: acme\nVersion: {version}\nRelease: 1\nSummary: t\nLicense: MIT\nBuildArch: noarch\n%description\nx\n%install\n\
         mkdir -p %{{buildroot}}/usr/bin %{{buildroot}}/etc %{{buildroot}}/var/lib/acme\n\
         echo program {version} > %{{buildroot}}/usr/bin/acme\n\
         echo helper > %{{buildroot}}/usr/bin/acme-su\n\
         ln -s acme %{{buildroot}}/usr/bin/acme-link\n\
         echo version {version} > %{{buildroot}}/etc/acme.conf\n\
         touch %{{buildroot}}/var/lib/acme/state\n%files\n%attr(755,root,root) /usr/bin/acme\n/usr/bin/acme-link\n\
         %attr(4750,root,adm) %caps(cap_net_raw=ep) /usr/bin/acme-su\n%config /etc/acme.conf\n\
         %dir /var/lib/acme\n%ghost /var/lib/acme/state\n"
    );
    fs::write(&spec, body).unwrap();
    let top = format!("_topdir {}", text(place));
    run("rpmbuild", &["--define", &top, "--define", "debug_package %{nil}", "-bb", text(&spec)])?;
    Some(place.join(format!("RPMS/noarch/acme-{version}-1.noarch.rpm")))
}

#[test]
fn rpm_root_verified_and_explained() {
    let place = tempfile::tempdir().unwrap();
    let root = dpkg_root(place.path());
    let (Some(first), Some(second)) = (rpm_package(place.path(), "1.0"), rpm_package(place.path(), "2.0")) else {
        return;
    };
    let rpm = |arguments: &[&str]| {
        let fixed = ["--root", text(&root), "--define", "_dbpath /var/lib/rpm", "--nodeps", "--noscripts"];
        let out = Command::new("rpm").args(fixed).args(arguments).env("LC_ALL", "C").output().ok()?;
        // Verifying fails where something deviates.
        (out.status.success() || arguments == ["-Va"]).then(|| String::from_utf8_lossy(&out.stdout).into_owned())
    };
    if rpm(&["-i", text(&first)]).is_none() {
        return;
    }
    let same = || {
        let said = rpm(&["-Va"]).unwrap();
        let mut theirs: Vec<String> = said.lines().map(str::to_owned).collect();
        theirs.sort_unstable();
        assert_eq!(deviations(&root), theirs);
        theirs.len()
    };
    assert_eq!(same(), 0);
    let watched = Watched::new(&root, place.path());
    append(&root.join("usr/bin/acme"), "evil\n");
    append(&root.join("etc/acme.conf"), "mine\n");
    fs::set_permissions(root.join("usr/bin/acme-su"), fs::Permissions::from_mode(0o4755)).unwrap();
    fs::remove_file(root.join("usr/bin/acme-link")).unwrap();
    symlink("/bin/sh", root.join("usr/bin/acme-link")).unwrap();
    assert_eq!(same(), 4);
    assert!(watched.judged(&[]).iter().all(|line| line.contains(": deviates")));
    if run("setcap", &["cap_net_raw,cap_sys_admin=ep", text(&root.join("usr/bin/acme-su"))]).is_some() {
        assert_eq!(same(), 4);
    }
    assert!(rpm(&["-U", "--force", text(&second)]).is_some());
    let told = watched.judged(&[]);
    for expected in ["etc/acme.conf: explained acme 1.0-1->2.0-1", "usr/bin/acme: explained acme 1.0-1->2.0-1"] {
        assert!(told.iter().any(|line| line == expected), "{expected}: {told:#?}");
    }
    assert!(
        told.iter().filter(|line| line.contains("usr/bin/acme")).all(|line| line.contains(": explained")),
        "{told:#?}"
    );
    append(&root.join("usr/bin/acme"), "evil\n");
    let told = watched.judged(&[]);
    let expected = "usr/bin/acme: contradicted [Size, Digest, Modified] acme 1.0-1->2.0-1";
    assert!(told.iter().any(|line| line.starts_with(&expected[..26])), "{told:#?}");
    same();
}

#[test]
fn pacman_root_verified_and_explained() {
    let place = tempfile::tempdir().unwrap();
    let root = dpkg_root(place.path());
    fs::create_dir_all(root.join("var/lib/pacman")).unwrap();
    let conf = place.path().join("conf");
    fs::write(&conf, "[options]\nArchitecture = x86_64\nSigLevel = Never\n").unwrap();
    let package = |version: &str| {
        let tree = place.path().join(format!("pac-{version}"));
        put(&tree.join("usr/bin/acme"), &format!("program {version}\n"), 0o4755);
        put(&tree.join("usr/lib/sp ace"), "same\n", 0o644);
        symlink("acme", tree.join("usr/bin/acme-link")).unwrap();
        put(&tree.join("etc/acme.conf"), &format!("version {version}\n"), 0o644);
        let info = format!(
            "pkgname = acme\npkgbase = acme\npkgver = {version}-1\npkgdesc = t\nurl = https://example.net\nbuilddate = 1\n\
             packager = J\nsize = 3\narch = x86_64\nbackup = etc/acme.conf\n"
        );
        put(&tree.join(".PKGINFO"), &info, 0o644);
        let file = place.path().join(format!("acme-{version}.pkg.tar"));
        let options = "--options=!all,use-set,type,uid,gid,mode,time,size,md5,sha256,link";
        let tree = text(&tree);
        let tar = |rest: &[&str]| run("bsdtar", &[&["-C", tree, "--uid", "0", "--gid", "0"], rest].concat());
        let mtree = format!("{tree}/.MTREE");
        tar(&["-czf", &mtree, "--format=mtree", options, ".PKGINFO", "usr", "etc"])?;
        tar(&["-cf", text(&file), ".MTREE", ".PKGINFO", "usr", "etc"])?;
        Some(file)
    };
    let log = root.join("var/log/pacman.log");
    let pacman = |arguments: &[&str]| {
        let database = root.join("var/lib/pacman");
        let fixed =
            ["--config", text(&conf), "--root", text(&root), "--dbpath", text(&database), "--logfile", text(&log)];
        let out = Command::new("pacman").args(fixed).arg("--noconfirm").args(arguments).env("LC_ALL", "C").output();
        out.ok().map(|out| String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned())
    };
    let (Some(first), Some(second)) = (package("1.0"), package("2.0")) else { return };
    if pacman(&["-U", text(&first)]).is_none() || !root.join("usr/bin/acme").exists() {
        return;
    }
    assert_eq!(deviations(&root), Vec::<String>::new());
    let watched = Watched::new(&root, place.path());
    append(&root.join("usr/bin/acme"), "evil\n");
    fs::set_permissions(root.join("usr/lib/sp ace"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::remove_file(root.join("usr/bin/acme-link")).unwrap();
    symlink("/bin/sh", root.join("usr/bin/acme-link")).unwrap();
    let told = deviations(&root);
    let paths: Vec<&str> = told.iter().map(|line| &line[13..]).collect();
    let said = pacman(&["-Qkk"]).unwrap();
    for path in ["/usr/bin/acme", "/usr/bin/acme-link", "/usr/lib/sp ace"] {
        assert!(paths.contains(&path), "{told:?}");
        assert!(said.contains(&format!("{}{path} (", text(&root))), "{said}");
    }
    assert!(said.contains(&format!(" {} altered files", told.len())), "{said}: {told:?}");
    pacman(&["-U", text(&second)]).unwrap();
    let log = transaction::pacman_log(&fs::read(&log).unwrap()).entries;
    let told = watched.judged(&log);
    assert!(told.contains(&"usr/bin/acme: explained acme 1.0-1->2.0-1 logged".to_owned()), "{told:#?}");
    assert!(told.contains(&"etc/acme.conf: explained acme 1.0-1->2.0-1 logged".to_owned()), "{told:#?}");
}
