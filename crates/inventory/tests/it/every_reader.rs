//! Every reader of the crate on one input, for the tests beside it and for `fuzz/fuzz_targets/inventory.rs`, which takes
//! this file by its path.

use guardian_inventory::{
    accounts, apk, cargo, certificate, cron, dpkg, flatpak, gem, go, jar, keys, limits, nix, npm, pacman, portage,
    process, python, rpm, snap, sockets, sqlite, sudoers, unit,
};

/// Every reader on the same bytes.
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
