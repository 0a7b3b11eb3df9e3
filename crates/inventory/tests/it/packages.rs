//! The package managers of distributions.

use guardian_inventory::rpm::Header;
use guardian_inventory::sqlite::{Database, Value};
use guardian_inventory::{Manager, Package, apk, dpkg, flatpak, nix, pacman, portage, rpm, snap};

use crate::{fixture, text};

#[test]
fn dpkg_says_the_same() {
    let found = dpkg::parse(&fixture("dpkg-status.zst"));
    assert!(found.issues.is_empty(), "{:?}", found.issues);
    let line = |p: &Package| {
        // dpkg-query fills in the source where it is the package itself.
        let source = if p.source.is_empty() { &p.name } else { &p.source };
        let source_version = if p.source_version.is_empty() { &p.version } else { &p.source_version };
        let kib = p.size_bytes.map(|b| (b / 1024).to_string()).unwrap_or_default();
        [&p.name, &p.version, &p.arch, &p.vendor, source, source_version, &kib, &p.url].map(String::as_str).join("|")
    };
    let mut ours: Vec<String> = found.entries.iter().map(line).collect();
    let said = text("dpkg.txt.zst");
    let mut theirs: Vec<&str> = said.lines().collect();
    ours.sort_unstable();
    theirs.sort_unstable();
    assert!(theirs.len() > 100);
    assert_eq!(ours, theirs);
}

#[test]
fn dpkg_leaves_out_what_is_not_installed() {
    let status = b"Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\nPackage: half\nStatus: install ok half-configured\nVersion: 1\n\nPackage: waits\nStatus: install ok triggers-pending\nVersion: 2\n\nPackage: image\nVersion: 3\n\nVersion: 4\n";
    let found = dpkg::parse(status);
    assert_eq!(found.entries.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["waits", "image"]);
    assert_eq!(found.issues.len(), 1);
    assert_eq!(found.issues[0].at, 16);
    assert_eq!(dpkg::licences(&fixture("dpkg-copyright")), ["BSD-3-clause or GPL-2", "zlib", "Expat"]);
    assert!(dpkg::licences(b"It is free.\n").is_empty());
}

/// What `rpm -qa` says of packages and files, in the formats of `record.sh`.
fn rpm_lines(file: &[u8]) -> Vec<String> {
    let found = rpm::parse(file, None).unwrap();
    assert!(found.issues.is_empty(), "{:?}", found.issues);
    let mut lines: Vec<String> = found
        .entries
        .iter()
        .map(|p| {
            assert_eq!((p.source.as_str(), p.source_version.as_str()), ("acme-tool", "1.4.2-3.el9"));
            let (installed, size) = (p.installed_s.unwrap(), p.size_bytes.unwrap());
            let (name, version, arch, vendor, url) = (&p.name, &p.version, &p.arch, &p.vendor, &p.url);
            let (licence, source) = (&p.licences[0], "acme-tool-1.4.2-3.el9.src.rpm");
            format!("{name}|{version}|{arch}|{licence}|{vendor}|{installed}|{size}|{source}|{url}")
        })
        .collect();
    rpm::headers(file, None, |_, blob| {
        let files = Header::parse(blob).unwrap().files();
        assert!(files.issues.is_empty());
        lines.extend(files.entries.iter().map(|f| {
            assert_eq!(f.algorithm, 8);
            format!("{}|{}|{}|{}|{}|{}|{}", f.path, f.mode, f.size_bytes, f.digest, f.link, f.user, f.group)
        }));
        true
    })
    .unwrap();
    lines.sort_unstable();
    lines
}

#[test]
fn rpm_says_the_same_in_each_of_its_forms() {
    for form in ["sqlite", "ndb", "bdb"] {
        let said = text(&format!("rpm-{form}.txt"));
        let mut theirs: Vec<&str> = said.lines().collect();
        theirs.sort_unstable();
        assert!(theirs.len() > 60);
        assert_eq!(rpm_lines(&fixture(&format!("rpm-{form}.zst"))), theirs, "{form}");
    }
}

#[test]
fn sqlite_reads_what_the_log_has_committed() {
    let (file, wal) = (fixture("wal.sqlite.zst"), fixture("wal.sqlite-wal.zst"));
    let rows = |wal| {
        let mut rows = Vec::new();
        Database::open(&file, wal)
            .unwrap()
            .rows("t", |id, values| {
                let [_, name, n, blob] = values else { panic!("four columns") };
                let n = match n {
                    Value::Null => "null".into(),
                    Value::Integer(n) => n.to_string(),
                    Value::Real(n) => format!("{n:?}"),
                    other => panic!("{other:?}"),
                };
                let name = String::from_utf8(name.bytes().unwrap().to_vec()).unwrap();
                rows.push(format!("{id}|{name}|{n}|{}", blob.bytes().unwrap().len()));
                true
            })
            .unwrap();
        rows
    };
    assert_eq!(rows(Some(wal.as_slice())), text("wal.txt").lines().collect::<Vec<_>>());
    // Without the log the file is as it was at the checkpoint.
    let before = rows(None);
    assert_eq!(before.len(), 300);
    assert!(before.contains(&"5|name-4|4000012|52".to_owned()));
    // A log that is torn in its last transaction is read up to the one before; one with a damaged head is not read.
    // Here that is after the row was deleted and before the other one came.
    assert_eq!(rows(Some(&wal[..wal.len() / 2])).len(), 299);
    let mut damaged = wal.clone();
    damaged[10] ^= 1;
    assert_eq!(rows(Some(&damaged)), before);
}

#[test]
fn pacman_says_the_same() {
    let package = pacman::parse(&fixture("pacman-desc")).unwrap();
    let said = text("pacman.txt");
    let field = |name: &str| {
        let line = said.lines().find(|line| line.split(':').next().is_some_and(|key| key.trim() == name)).unwrap();
        line.split_once(": ").unwrap().1.trim().to_owned()
    };
    assert_eq!(package.name, field("Name"));
    assert_eq!(package.version, field("Version"));
    assert_eq!(package.arch, field("Architecture"));
    assert_eq!(package.licences.join("  "), field("Licenses"));
    assert_eq!(package.vendor, field("Packager"));
    assert_eq!(package.url, field("URL"));
    assert_eq!((package.source.as_str(), package.size_bytes), ("acme", Some(3)));
    assert_eq!(pacman::files(&fixture("pacman-files")).entries, ["usr/", "usr/bin/", "usr/bin/acme"]);
}

#[test]
fn apk_as_documented() {
    let found = apk::parse(&fixture("apk-installed"));
    assert_eq!(found.entries.len(), 2);
    let first = &found.entries[0];
    assert_eq!((first.name.as_str(), first.version.as_str()), ("alpine-baselayout", "3.6.5-r0"));
    assert_eq!((first.arch.as_str(), first.size_bytes), ("x86_64", Some(315_392)));
    assert_eq!(found.entries[1].licences, ["MIT", "BSD-2-Clause"]);
    assert_eq!(
        found.issues.iter().map(|i| i.at).collect::<Vec<_>>(),
        [29, 28],
        "the line, and the package it leaves without a version"
    );
}

#[test]
fn nix_paths_have_names_and_versions() {
    let found = nix::parse(&fixture("nix-db.zst"), None).unwrap();
    let mut names: Vec<_> = found.entries.iter().map(|p| (p.name.as_str(), p.version.as_str())).collect();
    names.sort_unstable();
    assert_eq!(names, [("acme", "1.0"), ("hello", "2.12.1")]);
    assert!(found.entries.iter().all(|p| p.manager == Manager::Nix && p.size_bytes > Some(100)));
    let hash = "0123456789abcdfghijklmnpqrsvwxyz";
    let path = format!("/nix/store/{hash}-gcc-wrapper-13.2.0");
    assert_eq!(nix::name(&path), Some(("gcc-wrapper", "13.2.0")));
    assert_eq!(nix::name(&format!("/nix/store/{hash}-source")), None);
}

#[test]
fn portage_as_documented() {
    let entry = portage::Entry {
        category: "net-misc",
        folder: "curl-8.7.1-r2",
        licence: b"BSD curl ISC test? ( BSD-4 ) || ( MIT Apache-2.0 )\n",
        chost: b"x86_64-pc-linux-gnu\n",
        repository: b"gentoo\n",
        size: b"3145728\n",
        build_time: b"1767225600\n",
        homepage: b"https://curl.se/ https://example.net/\n",
    };
    let package = portage::parse(&entry).unwrap();
    assert_eq!((package.name.as_str(), package.version.as_str()), ("net-misc/curl", "8.7.1-r2"));
    assert_eq!(package.licences, ["BSD", "curl", "ISC", "BSD-4", "MIT", "Apache-2.0"]);
    assert_eq!((package.arch.as_str(), package.installed_s), ("x86_64", Some(1_767_225_600)));
    assert!(portage::parse(&portage::Entry::default()).is_err());
}

#[test]
fn snap_and_flatpak() {
    let package = snap::parse(&fixture("snap.yaml")).unwrap();
    assert_eq!((package.name.as_str(), package.version.as_str()), ("acme-tool", "1.4.2+git3"));
    assert_eq!((package.arch.as_str(), &package.licences[0][..]), ("amd64,arm64", "GPL-3.0"));
    let flow = snap::parse(b"name: a\nversion: 1\narchitectures: [amd64, 'i386']\n").unwrap();
    assert_eq!(flow.arch, "amd64,i386");

    let (metadata, metainfo) = (fixture("flatpak-metadata"), fixture("flatpak-metainfo.xml"));
    let deployment = flatpak::Deployment { metadata: &metadata, metainfo: &metainfo, arch: "x86_64", branch: "stable" };
    let package = flatpak::parse(&deployment).unwrap();
    assert_eq!((package.name.as_str(), package.version.as_str()), ("net.example.Acme", "1.4.2"));
    assert_eq!((package.licences[0].as_str(), package.vendor.as_str()), ("GPL-3.0-or-later", "Acme Ltd"));
    let package = flatpak::parse(&flatpak::Deployment { metainfo: b"", ..deployment }).unwrap();
    assert_eq!(package.version, "stable");
}
