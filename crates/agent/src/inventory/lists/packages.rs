//! What package managers have installed, all of those that a machine has.

use std::collections::HashMap;

use guardian_inventory::{Manager, Package, apk, dpkg, flatpak, nix, pacman, portage, rpm, snap};
use guardian_protocol::lists::List;
use serde_json::json;

use super::entry;
use crate::files::Root;

/// What moves when a package manager has done something.
pub(super) const WATCHED: &[&str] = &[
    "/var/lib/dpkg/status",
    "/var/lib/dpkg/status.d",
    "/var/lib/rpm/rpmdb.sqlite",
    "/var/lib/rpm/rpmdb.sqlite-wal",
    "/var/lib/rpm/Packages",
    "/var/lib/rpm/Packages.db",
    "/usr/lib/sysimage/rpm/rpmdb.sqlite",
    "/usr/lib/sysimage/rpm/rpmdb.sqlite-wal",
    "/usr/lib/sysimage/rpm/Packages.db",
    "/lib/apk/db/installed",
    "/usr/lib/apk/db/installed",
    "/var/lib/pacman/local",
    "/var/db/pkg",
    "/nix/var/nix/db/db.sqlite",
    "/nix/var/nix/db/db.sqlite-wal",
    "/snap",
    "/var/lib/snapd/snap",
    "/var/lib/flatpak/app",
];

/// Folders of rpm's database, and its names in them.
const RPM: [(&str, &str); 5] = [
    ("/usr/lib/sysimage/rpm", "rpmdb.sqlite"),
    ("/usr/lib/sysimage/rpm", "Packages.db"),
    ("/var/lib/rpm", "rpmdb.sqlite"),
    ("/var/lib/rpm", "Packages.db"),
    ("/var/lib/rpm", "Packages"),
];

pub(super) fn packages(root: &mut Root, list: &mut List) {
    let mut all = Vec::new();
    for read in [of_dpkg, of_rpm, of_apk, of_pacman, of_portage, of_nix, of_snap, of_flatpak] {
        read(root, &mut all);
    }
    put(list, all, None);
}

/// Puts packages into a list: one key for all versions over time, unless several are installed at once.
pub(super) fn put(list: &mut List, packages: Vec<Package>, path: Option<&str>) {
    let key = |p: &Package| format!("{}/{}/{}", word(p.manager), p.name, p.arch);
    let mut times: HashMap<String, usize> = HashMap::new();
    packages.iter().for_each(|p| *times.entry(key(p)).or_default() += 1);
    for package in packages {
        let mut key = key(&package);
        if times.get(&key).is_some_and(|times| *times > 1) {
            key = format!("{key}/{}", package.version);
        }
        if let Some(path) = path {
            key = format!("{path}:{key}");
        }
        let value = json!({
            "kind": word(package.manager),
            "name": package.name,
            "version": package.version,
            "architecture": package.arch,
            "licences": package.licences,
            "vendor": package.vendor,
            "source": package.source,
            "source_version": package.source_version,
            "installed_s": package.installed_s,
            "size_bytes": package.size_bytes,
            "url": package.url,
            "path": path,
        });
        list.put(&key, &entry(value));
    }
}

fn word(manager: Manager) -> &'static str {
    match manager {
        Manager::Dpkg => "dpkg",
        Manager::Rpm => "rpm",
        Manager::Apk => "apk",
        Manager::Pacman => "pacman",
        Manager::Portage => "portage",
        Manager::Nix => "nix",
        Manager::Snap => "snap",
        Manager::Flatpak => "flatpak",
        Manager::Python => "python",
        Manager::Npm => "npm",
        Manager::Gem => "gem",
        Manager::Cargo => "cargo",
        Manager::Go => "go",
        Manager::Java => "java",
        // Found in projects, which are nothing that is installed.
        other => other.purl_type(),
    }
}

fn of_dpkg(root: &mut Root, all: &mut Vec<Package>) {
    let mut found = root.read("/var/lib/dpkg/status").map(|s| dpkg::parse(&s).entries).unwrap_or_default();
    // Images without a shell keep one file a package.
    for name in root.names("/var/lib/dpkg/status.d").into_iter().filter(|name| !name.contains(".md5sums")) {
        let status = root.read(&format!("/var/lib/dpkg/status.d/{name}")).unwrap_or_default();
        found.extend(dpkg::parse(&status).entries);
    }
    for package in &mut found {
        if let Some(copyright) = root.read(&format!("/usr/share/doc/{}/copyright", package.name)) {
            package.licences = dpkg::licences(&copyright);
        }
    }
    all.extend(found);
}

fn of_rpm(root: &mut Root, all: &mut Vec<Package>) {
    let mut seen = Vec::new();
    for (folder, name) in RPM {
        let path = format!("{folder}/{name}");
        let place = root.resolve(path.as_ref());
        // One of the two folders is a link to the other in most places.
        if seen.contains(&place) {
            continue;
        }
        seen.push(place);
        let Some(file) = root.read(&path) else { continue };
        let wal = root.read(&format!("{path}-wal"));
        if let Ok(found) = rpm::parse(&file, wal.as_deref()) {
            all.extend(found.entries);
            return;
        }
    }
}

fn of_apk(root: &mut Root, all: &mut Vec<Package>) {
    let file = ["/lib/apk/db/installed", "/usr/lib/apk/db/installed"].iter().find_map(|path| root.read(path));
    all.extend(file.map(|file| apk::parse(&file).entries).unwrap_or_default());
}

fn of_pacman(root: &mut Root, all: &mut Vec<Package>) {
    let folder = "/var/lib/pacman/local";
    for name in root.names(folder) {
        let desc = root.read(&format!("{folder}/{name}/desc"));
        all.extend(desc.and_then(|desc| pacman::parse(&desc).ok()));
    }
}

fn of_portage(root: &mut Root, all: &mut Vec<Package>) {
    let folder = "/var/db/pkg";
    for category in root.names(folder) {
        for name in root.names(&format!("{folder}/{category}")) {
            let mut read = |file: &str| root.read(&format!("{folder}/{category}/{name}/{file}")).unwrap_or_default();
            let [licence, chost, repository, size, build_time, homepage] =
                ["LICENSE", "CHOST", "repository", "SIZE", "BUILD_TIME", "HOMEPAGE"].map(&mut read);
            let one = portage::Entry {
                category: &category,
                folder: &name,
                licence: &licence,
                chost: &chost,
                repository: &repository,
                size: &size,
                build_time: &build_time,
                homepage: &homepage,
            };
            all.extend(portage::parse(&one));
        }
    }
}

fn of_nix(root: &mut Root, all: &mut Vec<Package>) {
    let Some(file) = root.read("/nix/var/nix/db/db.sqlite") else { return };
    let wal = root.read("/nix/var/nix/db/db.sqlite-wal");
    if let Ok(found) = nix::parse(&file, wal.as_deref()) {
        all.extend(found.entries);
    }
}

fn of_snap(root: &mut Root, all: &mut Vec<Package>) {
    for folder in ["/snap", "/var/lib/snapd/snap"] {
        for name in root.names(folder) {
            let yaml = root.read(&format!("{folder}/{name}/current/meta/snap.yaml"));
            all.extend(yaml.and_then(|yaml| snap::parse(&yaml).ok()));
        }
    }
}

fn of_flatpak(root: &mut Root, all: &mut Vec<Package>) {
    for kind in ["app", "runtime"] {
        let folder = format!("/var/lib/flatpak/{kind}");
        for id in root.names(&folder) {
            for arch in root.names(&format!("{folder}/{id}")).into_iter().filter(|name| name != "current") {
                for branch in root.names(&format!("{folder}/{id}/{arch}")) {
                    let at = format!("{folder}/{id}/{arch}/{branch}/active");
                    let Some(metadata) = root.read(&format!("{at}/metadata")) else { continue };
                    let info = format!("{at}/files/share/metainfo/{id}");
                    let metainfo = root.read(&format!("{info}.metainfo.xml"));
                    let metainfo = metainfo.or_else(|| root.read(&format!("{info}.appdata.xml"))).unwrap_or_default();
                    let deployment =
                        flatpak::Deployment { metadata: &metadata, metainfo: &metainfo, arch: &arch, branch: &branch };
                    all.extend(flatpak::parse(&deployment));
                }
            }
        }
    }
}
