//! Every reader on what nobody wrote: noise, and every fixture damaged at any place. Nothing panics, and nothing grows
//! beyond its limits.

use guardian_inventory::{
    accounts, apk, cargo, certificate, cron, dpkg, flatpak, gem, go, jar, keys, limits, nix, npm, pacman, portage,
    process, python, rpm, snap, sockets, sqlite, sudoers, unit,
};
use proptest::prelude::*;

use crate::fixture;

/// Every reader on the same bytes; the same list as the fuzz target's.
pub(crate) fn all(input: &[u8]) {
    let entries = [
        dpkg::parse(input).entries.len(),
        apk::parse(input).entries.len(),
        pacman::files(input).entries.len(),
        cargo::parse_lock(input).entries.len(),
        accounts::parse_passwd(input).entries.len(),
        accounts::parse_group(input).entries.len(),
        accounts::parse_shadow(input).entries.len(),
        sudoers::parse(input).entries.len(),
        keys::parse(input).entries.len(),
        cron::parse(input, true).entries.len(),
        cron::parse(input, false).entries.len(),
        sockets::parse(input).entries.len(),
        sockets::parse_unix(input).entries.len(),
        certificate::parse(input).entries.len(),
        rpm::parse(input, None).map_or(0, |f| f.entries.len()),
        nix::parse(input, Some(input)).map_or(0, |f| f.entries.len()),
        npm::parse_lock(input).map_or(0, |f| f.entries.len()),
        cargo::parse_installed(input).map_or(0, |f| f.entries.len()),
        go::parse(input).map_or(0, |f| f.entries.len()),
        jar::parse("a-1.jar", input).map_or(0, |f| f.entries.len()),
    ];
    assert!(entries.iter().all(|count| *count <= limits::ENTRIES_MAX));
    let settings = unit::parse(input);
    assert!(unit::unit(&settings.entries).commands.len() <= limits::LIST_MAX);
    assert!(dpkg::licences(input).len() <= limits::LIST_MAX);
    let deployment = flatpak::Deployment { metadata: input, metainfo: input, arch: "x", branch: "y" };
    let folder = String::from_utf8_lossy(input);
    let entry = portage::Entry { category: "c", folder: &folder, licence: input, ..portage::Entry::default() };
    for package in [
        pacman::parse(input).ok(),
        snap::parse(input).ok(),
        flatpak::parse(&deployment).ok(),
        portage::parse(&entry).ok(),
        python::parse(input).ok(),
        npm::parse(input).ok(),
        gem::parse(input).ok(),
    ]
    .into_iter()
    .flatten()
    {
        assert!(package.licences.len() <= limits::LIST_MAX);
    }
    if let Ok(header) = rpm::Header::parse(input) {
        assert!(header.files().entries.len() <= limits::ENTRIES_MAX);
        drop(header.package());
    }
    if let Ok(database) = sqlite::Database::open(input, Some(input)) {
        drop(database.rows("Packages", |_, _| true));
    }
    drop(process::parse_stat(input));
    process::parse_status(input);
    process::parse_cmdline(input);
    process::container(input);
}

fn damaged(name: &str, at: prop::sample::Index, to: u8, cut: prop::sample::Index) {
    let mut bytes = fixture(name);
    let at = at.index(bytes.len());
    bytes[at] = to;
    all(&bytes);
    bytes.truncate(cut.index(bytes.len() + 1));
    all(&bytes);
}

const SMALL: &[&str] = &[
    "apk-installed",
    "authorized_keys",
    "certificate.der",
    "certificates.pem",
    "cron-system",
    "dpkg-copyright",
    "flatpak-metadata",
    "gem-specification",
    "go-program",
    "java-app.war",
    "npm-lock.json",
    "pacman-desc",
    "passwd",
    "python-pip",
    "shadow",
    "small.sqlite",
    "snap.yaml",
    "sudoers",
    "unit-service",
];

proptest! {
    #[test]
    fn noise(input in prop::collection::vec(any::<u8>(), 0..2_000)) {
        all(&input);
    }

    #[test]
    fn small_files(name in prop::sample::select(SMALL), at: prop::sample::Index, to: u8, cut: prop::sample::Index) {
        damaged(name, at, to, cut);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn databases(
        name in prop::sample::select(&["rpm-sqlite.zst", "rpm-ndb.zst", "rpm-bdb.zst", "nix-db.zst"][..]),
        at: prop::sample::Index,
        to: u8,
        cut: prop::sample::Index,
    ) {
        // Only the readers of databases: the others have nothing to find in them.
        let mut bytes = fixture(name);
        let at = at.index(bytes.len());
        bytes[at] = to;
        drop(rpm::parse(&bytes, None));
        drop(nix::parse(&bytes, None));
        bytes.truncate(cut.index(bytes.len() + 1));
        drop(rpm::parse(&bytes, None));
        drop(nix::parse(&bytes, None));
    }
}

#[test]
fn circles_end() {
    // An interior page of an SQLite table whose every child is itself.
    let mut file = fixture("small.sqlite");
    let page = 512;
    for number in 2..file.len() / page {
        let at = number * page;
        file[at] = 0x05;
        file[at + 3..at + 5].copy_from_slice(&200u16.to_be_bytes());
        file[at + 8..at + 12].copy_from_slice(&(number as u32 + 1).to_be_bytes());
    }
    drop(rpm::parse(&file, None));
    // A chain of overflow pages in Berkeley DB that leads to itself.
    let mut file = fixture("rpm-bdb.zst");
    for at in (0..file.len()).step_by(4_096) {
        if file[at + 25] == 7 {
            let number = (at / 4_096) as u32;
            file[at + 16..at + 20].copy_from_slice(&number.to_le_bytes());
        }
    }
    drop(rpm::parse(&file, None));
}
