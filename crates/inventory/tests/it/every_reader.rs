//! Every reader of the crate on one input, for the tests beside it and for `fuzz/fuzz_targets/inventory.rs`, which takes
//! this file by its path.

use guardian_inventory::{
    accounts, aide, apk, cargo, certificate, cron, dpkg, firewall, flatpak, gem, go, jar, keys, language, limits, link,
    netlink, nix, npm, openvpn, pacman, portage, process, python, rpm, snap, sockets, sqlite, ssh, sudoers,
    transaction, tripwire, unit, wireguard, xfrm, xml,
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
    filters(input);
    tunnels(input);
    assert!(ssh::forwards(&process::parse_cmdline(input)).len() <= limits::LIST_MAX);
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
    integrity(input);
    languages(input);
    if let Ok(header) = rpm::Header::parse(input) {
        let files = header.files().entries;
        assert!(files.len() <= limits::ENTRIES_MAX);
        files.iter().for_each(|file| drop(file.owned()));
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

/// Those of packet filters.
fn filters(input: &[u8]) {
    let zone = firewall::parse_firewalld(input);
    assert!(zone.ports.len() <= limits::LIST_MAX && zone.rich.len() <= limits::LIST_MAX);
    assert!(firewall::parse_service(input).ports.len() <= limits::LIST_MAX);
    firewall::default_zone(input);
    firewall::parse_ufw_defaults(input).risk(true);
    for rules in [
        firewall::parse_nft(input).unwrap_or_default(),
        firewall::parse_iptables(input, "ip"),
        firewall::parse_ufw(input, "ip6"),
        zone.rules("public", |service| vec![format!("{service}/tcp")]),
    ] {
        rules.rules.iter().for_each(|rule| drop(rules.risk_of(rule)));
        drop(rules.risk(true, true));
    }
}

/// Those of tunnels.
fn tunnels(input: &[u8]) {
    let mut device = wireguard::parse_answer(input);
    wireguard::add(&mut device, input);
    netlink::parts(input, |part| {
        if let netlink::Part::Message(kind, body) = part {
            wireguard::add(&mut device, body);
            wireguard::family(kind, body);
            drop((xfrm::state(kind, body), xfrm::policy(kind, body), link::tunnel(kind, body)));
        }
    });
    assert!(device.peers.iter().all(|peer| peer.networks.len() <= limits::LIST_MAX));
    assert!(openvpn::parse_config(input).remotes.len() <= limits::LIST_MAX);
    assert!(openvpn::parse_arguments(&process::parse_cmdline(input)).remotes.len() <= limits::LIST_MAX);
    assert!(openvpn::parse_status(input).peers.iter().all(|peer| peer.networks.len() <= limits::LIST_MAX));
    assert!(ssh::configured(input).len() <= limits::LIST_MAX);
}

/// What is written of an AIDE database is read back the same.
fn aide_comes_back(entries: Vec<aide::Entry>) {
    let mut written = Vec::new();
    aide::write(&mut written, aide::Columns::ALL, &mut entries.iter().cloned()).unwrap();
    let again = aide::database(&written).unwrap();
    assert!(again.issues.is_empty(), "{:?}", again.issues);
    let paths = |entries: &[aide::Entry]| entries.iter().map(|entry| entry.path.clone()).collect::<Vec<_>>();
    assert_eq!(paths(&entries), paths(&again.entries));
}

/// Those of what is said of files, and of what was done to them.
fn integrity(input: &[u8]) {
    let entries = [
        dpkg::md5sums(input).entries.len(),
        dpkg::list(input).entries.len(),
        dpkg::diversions(input).entries.len(),
        dpkg::overrides(input).entries.len(),
        dpkg::conffiles(input).entries.len(),
        apk::files(input).entries.len(),
        pacman::mtree(input).map_or(0, |f| f.entries.len()),
        pacman::backup(input).entries.len(),
        portage::contents(input).entries.len(),
        transaction::dpkg_log(input).entries.len(),
        transaction::apt_history(input).entries.len(),
        transaction::pacman_log(input).entries.len(),
        transaction::apk_log(input).entries.len(),
        transaction::dnf_history(input, Some(input)).map_or(0, |f| f.entries.len()),
        aide::report(input).map_or(0, |r| r.listed.entries.len()),
        tripwire::database(input).map_or(0, |d| d.objects.entries.len()),
    ];
    assert!(entries.iter().all(|count| *count <= limits::ENTRIES_MAX));
    if let Ok(found) = aide::database(input) {
        assert!(found.entries.len() <= limits::ENTRIES_MAX);
        aide_comes_back(found.entries);
    }
}

/// Those of what package managers of languages leave behind.
fn languages(input: &[u8]) {
    for kind in language::ALL {
        let found = (kind.read)("a-1.jar", input).unwrap_or_default();
        assert!(found.entries.len() <= limits::ENTRIES_MAX, "{}", kind.name);
    }
    language::of_program(input);
    language::go_mod_is_whole(input);
    drop(xml::parse(input));
}
