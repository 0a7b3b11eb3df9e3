//! What package managers have installed, as they say it themselves and as the agent reads it: roots that the real ones made,
//! and such in the forms that they document where there is none on this machine.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use guardian_agent::apart::Apart;
use guardian_agent::files::{Root, verify};
use guardian_agent::inventory::{lists, read};
use serde_json::Value;

use crate::inventory::write;

/// What a program says; what it complains of where it fails.
fn said(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output =
        Command::new(program).args(arguments).env("LC_ALL", "C").output().map_err(|e| format!("{program}: {e}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// Whether a program is here; without one there is nothing to compare with.
fn has(program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok();
    if !there {
        eprintln!("skipped: no {program}, which `cargo xtask test` installs");
    }
    there
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The packages of one kind in a root, in the form of a line; by this process and by one that can do nothing else.
fn packages(root: &Path, kind: &str) -> BTreeSet<String> {
    let apart = Apart::new(env!("CARGO_BIN_EXE_guardian-agent").into());
    let theirs = apart.list(root, "packages").unwrap();
    let ours = read(root, lists::find("packages").unwrap());
    assert_eq!(ours.hash(), theirs.hash());
    assert_eq!(apart.counts().refused, 0);
    let line = |entry: &str| {
        let entry: Value = serde_json::from_str(entry).unwrap();
        let of = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
        (of("kind") == kind).then(|| format!("{} {} {}", of("name"), of("version"), of("architecture")))
    };
    ours.iter().filter_map(|(_, entry)| line(entry)).collect()
}

fn lines(said: &str) -> BTreeSet<String> {
    said.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
}

/// What deviates in a root: paths with what, by letters.
fn deviations(root: &Path) -> Vec<String> {
    let (mut found, mut opened) = (Vec::new(), Root::new(root));
    verify(&mut opened, &mut |deviation| found.push(deviation.to_string()));
    assert_eq!(opened.issues, Vec::<String>::new());
    found.sort_unstable();
    found
}

fn debian(place: &Path) -> Option<PathBuf> {
    if !nix::unistd::geteuid().is_root() || !has("debugfs") {
        return None;
    }
    let image =
        Path::new(env!("CARGO_BIN_EXE_guardian-agent")).ancestors().nth(2).unwrap().join("test-machine/root.ext4");
    assert!(image.exists(), "`cargo xtask test` makes the machine of this test; it is not there");
    let root = place.join("debian");
    fs::create_dir(&root).unwrap();
    for folder in ["/etc", "/usr", "/var", "/bin", "/sbin", "/lib", "/lib64"] {
        said("debugfs", &["-R", &format!("rdump {folder} {}", text(&root)), text(&image)]).unwrap();
    }
    // A link at the top is not taken along.
    for folder in ["bin", "sbin", "lib", "lib64"] {
        if !root.join(folder).exists() {
            std::os::unix::fs::symlink(format!("usr/{folder}"), root.join(folder)).unwrap();
        }
    }
    Some(root)
}

#[test]
fn a_debian_that_debootstrap_made() {
    let place = tempfile::tempdir().unwrap();
    let Some(root) = debian(place.path()) else { return };
    let admin = format!("--admindir={}/var/lib/dpkg", text(&root));
    let form = "--showformat=${Package} ${Version} ${Architecture}\n";
    let theirs = lines(&said("dpkg-query", &[&admin, form, "--show"]).unwrap());
    assert!(theirs.len() > 80, "{}", theirs.len());
    assert_eq!(packages(&root, "dpkg"), theirs);
    // Of a root that nobody touched nothing deviates in its content; then both find the same.
    let at = format!("--root={}", text(&root));
    let altered = |said: &str| -> BTreeSet<String> {
        let of = |line: &str| {
            line.split_at_checked(9)
                .filter(|(marks, _)| marks.as_bytes().get(2) == Some(&b'5'))?
                .1
                .split_once('/')
                .map(|(_, path)| path.to_owned())
        };
        said.lines().filter_map(of).collect()
    };
    let verified = || {
        // It ends with an error where something deviates.
        let output = Command::new("dpkg").args([&at, "--verify"]).env("LC_ALL", "C").output().unwrap();
        altered(&String::from_utf8_lossy(&output.stdout))
    };
    let before = verified();
    assert_eq!(altered(&deviations(&root).join("\n")), before);
    for path in ["usr/bin/env", "usr/share/doc/bash/copyright"] {
        let content = fs::read(root.join(path)).unwrap();
        fs::write(root.join(path), [&content[..], b"x"].concat()).unwrap();
    }
    let after = verified();
    assert_eq!(after.len(), before.len() + 2, "{after:?}");
    assert_eq!(altered(&deviations(&root).join("\n")), after);
}

fn rpm_package(place: &Path, name: &str, version: &str, more: &str) -> PathBuf {
    let spec = place.join(format!("{name}.spec"));
    let body = format!(
        "Name: {name}\nVersion: {version}\nRelease: 3\nSummary: t\nLicense: MIT\n{more}%description\nx\n%install\n\
         mkdir -p %{{buildroot}}/usr/share/{name}\necho {name} > %{{buildroot}}/usr/share/{name}/file\n%files\n/usr/share/{name}\n"
    );
    fs::write(&spec, body).unwrap();
    let top = format!("_topdir {}", text(place));
    said("rpmbuild", &["--define", &top, "--define", "debug_package %{nil}", "-bb", text(&spec)]).unwrap();
    let found = said("find", &[text(&place.join("RPMS")), "-name", &format!("{name}-{version}-3.*.rpm")]).unwrap();
    PathBuf::from(found.trim())
}

#[test]
fn a_root_of_rpm() {
    if !has("rpmbuild") {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("root");
    fs::create_dir(&root).unwrap();
    let rpm = |arguments: &[&str]| {
        said("rpm", &[&["--root", text(&root), "--define", "_dbpath /var/lib/rpm"], arguments].concat())
    };
    let all = [
        rpm_package(place.path(), "plain", "1.0", ""),
        rpm_package(place.path(), "noarch", "2.0~rc1", "BuildArch: noarch\n"),
        rpm_package(place.path(), "epoch", "3.0^git1", "Epoch: 7\nBuildArch: noarch\n"),
    ];
    let same = |count: usize| {
        let form = "%{NAME} %|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE} %{ARCH}\n";
        let theirs = lines(&rpm(&["-qa", "--qf", form]).unwrap());
        assert_eq!(theirs.len(), count, "{theirs:?}");
        assert_eq!(packages(&root, "rpm"), theirs);
    };
    for file in &all {
        rpm(&["-i", text(file)]).unwrap();
    }
    same(3);
    rpm(&["-e", "noarch"]).unwrap();
    let newer = rpm_package(place.path(), "plain", "1.1", "");
    rpm(&["-U", text(&newer)]).unwrap();
    same(2);
    assert_eq!(deviations(&root), Vec::<String>::new());
}

#[test]
fn a_root_of_pacman() {
    if !has("pacman") || !has("bsdtar") {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let (root, conf) = (place.path().join("root"), place.path().join("conf"));
    let database = root.join("var/lib/pacman");
    fs::create_dir_all(&database).unwrap();
    fs::write(&conf, "[options]\nArchitecture = x86_64\nSigLevel = Never\n").unwrap();
    let log = place.path().join("log");
    let fixed = ["--config", text(&conf), "--root", text(&root), "--dbpath", text(&database), "--logfile", text(&log)];
    let pacman = |arguments: &[&str]| said("pacman", &[&fixed[..], &["--noconfirm"], arguments].concat());
    let package = |name: &str, version: &str| {
        let tree = place.path().join(format!("{name}-{version}"));
        write(&tree, &format!("/usr/share/{name}/file"), name);
        let info = format!(
            "pkgname = {name}\npkgbase = {name}\npkgver = {version}\npkgdesc = t\nbuilddate = 1\npackager = J\nsize = 3\narch = x86_64\n"
        );
        write(&tree, "/.PKGINFO", &info);
        let file = place.path().join(format!("{name}-{version}.pkg.tar"));
        let ids = ["-C", text(&tree), "--uid", "0", "--gid", "0"];
        said("bsdtar", &[&ids[..], &["-cf", text(&file), ".PKGINFO", "usr"]].concat()).unwrap();
        file
    };
    for (name, version) in [("plain", "1.0-1"), ("epoch", "2:1.0.r5.gabc-3"), ("lib32-thing+", "20260101-1.1")] {
        pacman(&["-U", text(&package(name, version))]).unwrap();
    }
    let same = |count: usize| {
        let said = lines(&pacman(&["-Q"]).unwrap());
        let theirs: BTreeSet<String> = said.iter().map(|line| format!("{line} x86_64")).collect();
        assert_eq!(theirs.len(), count, "{theirs:?}");
        assert_eq!(packages(&root, "pacman"), theirs);
    };
    same(3);
    pacman(&["-R", "epoch"]).unwrap();
    pacman(&["-U", text(&package("plain", "1.1-1"))]).unwrap();
    same(2);
}

#[test]
fn a_store_of_nix() {
    if !has("nix-store") {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("root");
    let at = ["--store", text(&root)];
    said("nix-store", &[&at[..], &["--init"]].concat()).unwrap();
    for name in ["acme-1.2.3", "python3.11-requests-2.31.0", "openssl-3.0.13-bin", "builder.sh", "patch-2.7.tar.gz"] {
        write(place.path(), &format!("/{name}"), name);
        said("nix-store", &[&at[..], &["--add", text(&place.path().join(name))]].concat()).unwrap();
    }
    let names = ["--extra-experimental-features", "nix-command", "path-info", "--all"];
    let all = said("nix", &[&names[..], &at].concat()).unwrap();
    assert_eq!(all.lines().count(), 5, "{all}");
    // Nix itself says where the name ends.
    let names = "map (p: let d = builtins.parseDrvName p; in d.name + \" \" + d.version)";
    let paths: Vec<String> =
        all.lines().map(|path| format!("\"{}\"", &path.trim()["/nix/store/".len() + 33..])).collect();
    let asked = format!("builtins.concatStringsSep \"\\n\" ({names} [ {} ])", paths.join(" "));
    let split = said("nix-instantiate", &["--eval", "--store", text(&root), "--expr", &asked]).unwrap();
    let theirs: BTreeSet<String> = split
        .trim()
        .trim_matches('"')
        .split("\\n")
        .map(|line| format!("{} ", line.trim()))
        .filter(|line| !line.contains(".sh") && !line.contains(".tar"))
        .collect();
    assert_eq!(theirs.len(), 3, "{split}");
    assert_eq!(packages(&root, "nix"), theirs);
}

/// As Portage and apk document what they keep: neither is on this machine.
#[test]
fn roots_of_portage_and_of_apk() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path();
    write(root, "/usr/bin/acme", "abc");
    std::os::unix::fs::symlink("acme", root.join("usr/bin/acme-link")).unwrap();
    write(root, "/etc/acme.conf", "abc");
    let at = "/var/db/pkg/app-misc/acme-1.2_p3-r4";
    write(root, &format!("{at}/CHOST"), "x86_64-pc-linux-gnu\n");
    write(root, &format!("{at}/LICENSE"), "|| ( MIT GPL-2 )\n");
    let md5 = "900150983cd24fb0d6963f7d28e17f72";
    let modified = |path: &str| std::os::unix::fs::MetadataExt::mtime(&root.join(path).metadata().unwrap());
    let contents = format!(
        "dir /usr\ndir /usr/bin\nobj /usr/bin/acme {md5} {}\nsym /usr/bin/acme-link -> acme 7\nobj /etc/acme.conf {md5} {}\n",
        modified("usr/bin/acme"),
        modified("etc/acme.conf")
    );
    write(root, &format!("{at}/CONTENTS"), &contents);
    // What is being put there has no name of its own yet.
    fs::create_dir_all(root.join("var/db/pkg/app-misc/-MERGING-acme-1.3")).unwrap();
    assert_eq!(packages(root, "portage"), BTreeSet::from(["app-misc/acme 1.2_p3-r4 x86_64".to_owned()]));
    assert_eq!(deviations(root), Vec::<String>::new());
    write(root, "/usr/bin/acme", "abcd");
    write(root, "/etc/acme.conf", "mine");
    fs::remove_file(root.join("usr/bin/acme-link")).unwrap();
    std::os::unix::fs::symlink("/tmp/evil", root.join("usr/bin/acme-link")).unwrap();
    let found: Vec<String> =
        deviations(root).iter().map(|line| line.split_whitespace().last().unwrap().to_owned()).collect();
    assert_eq!(
        found.iter().map(String::as_str).collect::<BTreeSet<_>>(),
        BTreeSet::from(["/usr/bin/acme", "/usr/bin/acme-link", "/etc/acme.conf"])
    );

    let other = tempfile::tempdir().unwrap();
    write(other.path(), "/usr/bin/tool", "abc");
    fs::set_permissions(other.path().join("usr/bin/tool"), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    // «Q1» stands before the SHA-1 of the content.
    let installed = "C:Q1aaaaaaaaaaaaaaaaaaaaaaaaaaa=\nP:tool\nV:1.0-r2\nA:x86_64\nS:1\nI:3\nT:t\nU:https://example.net\nL:MIT\no:tool\n\
                     F:usr\nF:usr/bin\nR:tool\na:0:0:755\nZ:Q1qZk+NkcGgWq6PiVxeFDCbJzQ2J0=\n\n";
    write(other.path(), "/lib/apk/db/installed", installed);
    assert_eq!(packages(other.path(), "apk"), BTreeSet::from(["tool 1.0-r2 x86_64".to_owned()]));
    let is_root = nix::unistd::geteuid().is_root();
    assert!(!is_root || deviations(other.path()).is_empty(), "{:?}", deviations(other.path()));
    write(other.path(), "/usr/bin/tool", "abd");
    assert!(deviations(other.path()).iter().any(|line| line.ends_with("/usr/bin/tool")));
}
