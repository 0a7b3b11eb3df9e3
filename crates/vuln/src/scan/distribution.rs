//! The packages of a distribution, from its manager's database below a root.

use guardian_inventory::{Package, apk, dpkg, nix, pacman, portage, rpm};

use super::{Files, Owners, Placed, Scanned, component};

/// A manager's database: reads it, where there is one.
type Database = fn(&dyn Files, &mut Taken<'_>);

/// Every one, in the order in which they are read.
const ALL: &[Database] = &[of_dpkg, of_rpm, of_apk, of_pacman, of_portage, of_nix];

/// Takes packages and the files that belong to them.
struct Taken<'a> {
    scanned: &'a mut Scanned,
    owners: Owners,
}

impl Taken<'_> {
    /// Takes a package; gives the number under which it owns files.
    fn package(&mut self, place: &str, package: &Package, module: &str) -> u32 {
        let os = self.scanned.os.as_ref().and_then(super::Os::ecosystem);
        match component(package, os.as_ref()) {
            Some(mut component) => {
                if !module.is_empty() {
                    module.clone_into(&mut component.module);
                }
                self.scanned.packages.push(Placed::new(package, component, place));
            }
            None => self.scanned.unknown += 1,
        }
        self.owners.package(&package.name)
    }
}

/// Reads every database; gives whose files are whose.
pub(super) fn read(root: &dyn Files, scanned: &mut Scanned) -> Owners {
    let mut taken = Taken { scanned, owners: Owners::default() };
    for database in ALL {
        database(root, &mut taken);
    }
    taken.owners
}

fn of_dpkg(root: &dyn Files, taken: &mut Taken<'_>) {
    let mut files = vec!["/var/lib/dpkg/status".to_owned()];
    // Images without dpkg keep one file a package.
    let single = root.names("/var/lib/dpkg/status.d");
    files.extend(
        single.iter().filter(|name| !name.ends_with(".md5sums")).map(|n| format!("/var/lib/dpkg/status.d/{n}")),
    );
    for file in files {
        let Some(status) = root.read(&file) else { continue };
        let found = dpkg::parse(&status);
        found.issues.iter().for_each(|issue| taken.scanned.issue(format!("{file}: {issue}")));
        for package in &found.entries {
            let number = taken.package(&file, package, "");
            let list = |end: &str| root.read(&format!("/var/lib/dpkg/info/{}{end}.list", package.name));
            let list = list("").or_else(|| list(&format!(":{}", package.arch))).unwrap_or_default();
            for path in list.split(|byte| *byte == b'\n').filter(|path| !path.is_empty()) {
                taken.owners.add(number, path);
            }
        }
    }
}

fn of_rpm(root: &dyn Files, taken: &mut Taken<'_>) {
    for folder in ["/usr/lib/sysimage/rpm", "/var/lib/rpm"] {
        for name in ["rpmdb.sqlite", "Packages.db", "Packages"] {
            let place = format!("{folder}/{name}");
            let Some(file) = root.read(&place) else { continue };
            let wal = root.read(&format!("{place}-wal"));
            let read = rpm::headers(&file, wal.as_deref(), |number, blob| {
                match rpm::Header::parse(blob).and_then(|header| Ok((header.package()?, header))) {
                    // Keys are no packages.
                    Ok((package, _)) if package.name == "gpg-pubkey" => {}
                    Ok((package, header)) => {
                        let owner = taken.package(&place, &package, &header.module());
                        for file in header.files().entries {
                            taken.owners.add(owner, file.path.as_bytes());
                        }
                    }
                    Err(error) => taken.scanned.issue(format!("{place}: {number}: {error}")),
                }
                true
            });
            if let Err(error) = read {
                taken.scanned.issue(format!("{place}: {error}"));
            }
            // Of several forms only one is in use.
            return;
        }
    }
}

fn of_apk(root: &dyn Files, taken: &mut Taken<'_>) {
    for place in ["/usr/lib/apk/db/installed", "/lib/apk/db/installed"] {
        let Some(installed) = root.read(place) else { continue };
        let numbers: Vec<u32> =
            apk::parse(&installed).entries.iter().map(|package| taken.package(place, package, "")).collect();
        for (package, file) in apk::files(&installed).entries {
            if let Some(number) = numbers.get(package) {
                taken.owners.add(*number, &file.path);
            }
        }
        return;
    }
}

fn of_pacman(root: &dyn Files, taken: &mut Taken<'_>) {
    const FOLDER: &str = "/var/lib/pacman/local";
    for name in root.names(FOLDER) {
        let place = format!("{FOLDER}/{name}/desc");
        let Some(desc) = root.read(&place) else { continue };
        match pacman::parse(&desc) {
            Ok(package) => {
                let number = taken.package(&place, &package, "");
                let files = root.read(&format!("{FOLDER}/{name}/files")).unwrap_or_default();
                for path in pacman::files(&files).entries {
                    taken.owners.add(number, format!("/{path}").as_bytes());
                }
            }
            Err(error) => taken.scanned.issue(format!("{place}: {error}")),
        }
    }
}

fn of_portage(root: &dyn Files, taken: &mut Taken<'_>) {
    const FOLDER: &str = "/var/db/pkg";
    for category in root.names(FOLDER) {
        for folder in root.names(&format!("{FOLDER}/{category}")) {
            let place = format!("{FOLDER}/{category}/{folder}");
            let entry = portage::Entry { category: &category, folder: &folder, ..portage::Entry::default() };
            match portage::parse(&entry) {
                Ok(package) => {
                    let number = taken.package(&place, &package, "");
                    let contents = root.read(&format!("{place}/CONTENTS")).unwrap_or_default();
                    // `obj /path md5 time`
                    for line in contents.split(|byte| *byte == b'\n') {
                        if let Some(path) = line.strip_prefix(b"obj ") {
                            let words: Vec<&[u8]> = path.rsplitn(3, |byte| *byte == b' ').collect();
                            words.get(2).iter().for_each(|path| taken.owners.add(number, path));
                        }
                    }
                }
                Err(error) => taken.scanned.issue(format!("{place}: {error}")),
            }
        }
    }
}

fn of_nix(root: &dyn Files, taken: &mut Taken<'_>) {
    const PLACE: &str = "/nix/var/nix/db/db.sqlite";
    let Some(file) = root.read(PLACE) else { return };
    match nix::parse(&file, root.read(&format!("{PLACE}-wal")).as_deref()) {
        Ok(found) => found.entries.iter().for_each(|package| {
            taken.package(PLACE, package, "");
        }),
        Err(error) => taken.scanned.issue(format!("{PLACE}: {error}")),
    }
}
