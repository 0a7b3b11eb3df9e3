//! Every reader on what nobody wrote: noise, and every fixture damaged at any place. Nothing panics, and nothing grows
//! beyond its limits.

use guardian_inventory::{nix, rpm};
use proptest::prelude::*;

use crate::every_reader::all;
use crate::fixture;

fn damaged(name: &str, at: prop::sample::Index, to: u8, cut: prop::sample::Index) {
    let mut bytes = fixture(name);
    let at = at.index(bytes.len());
    bytes[at] = to;
    all(&bytes);
    bytes.truncate(cut.index(bytes.len() + 1));
    all(&bytes);
}

const SMALL: &[&str] = &[
    "firewalld-zone.xml",
    "netlink-tunnels",
    "nft-ruleset.json",
    "openvpn-status",
    "ssh-config",
    "ufw-rules",
    "wireguard-answer",
    "aide-database",
    "aide-report",
    "apk-installed-files",
    "pacman-mtree",
    "tripwire-database",
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
    "Gemfile.lock",
    "Package.resolved",
    "composer.lock",
    "go.mod",
    "go.sum",
    "gradle.lockfile",
    "build.sbt.lock",
    "bun.lock",
    "Directory.Packages.props",
    "mix.lock",
    "npm-lock-1.json",
    "npm-lock.json",
    "pnpm-lock-5.yaml",
    "pnpm-lock-9.yaml",
    "poetry.lock",
    "pom.xml",
    "pubspec.lock",
    "requirements.txt",
    "uv.lock",
    "yarn-1.lock",
    "yarn-berry.lock",
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
