//! The databases of each package manager, as they lie in a root.

use std::collections::{HashMap, HashSet};

use guardian_inventory::owned::{Algorithm, Digest, Owned};
use guardian_inventory::{Package, apk, dpkg, pacman, portage, rpm};

use super::{Installed, Lines, Root};

const MD5_BYTES: usize = 16;
/// Longest path (linux/limits.h).
const PATH_BYTES_MAX: usize = 4_096;

type Each<'a> = dyn FnMut(&mut Root, &Installed, Option<Owned>) + 'a;
type Source = fn(&mut Root, &mut Each<'_>);

/// Every one, in the order in which they are read. A root has those of its distribution, and of what came beside it.
pub(super) const ALL: &[Source] = &[of_dpkg, of_rpm, of_apk, of_pacman, of_portage];

fn installed(package: &Package) -> Installed {
    Installed {
        manager: package.manager,
        name: package.name.clone(),
        arch: package.arch.clone(),
        version: package.version.clone(),
    }
}

/// Digests of one package's files, by part of the hash of their paths: one package may have a hundred thousand, and the paths
/// stand in its list already.
#[derive(Default)]
struct Sums(HashMap<u64, [u8; MD5_BYTES]>);

impl Sums {
    fn read(mut lines: Lines) -> Self {
        let mut sums = HashMap::new();
        while let Some(line) = lines.next() {
            if let Some((path, digest)) = dpkg::md5sum(line)
                && let Ok(bytes) = digest.bytes.try_into()
            {
                sums.insert(hash(path), bytes);
            }
        }
        Self(sums)
    }

    /// The digest of a path with a slash in front. Each is given once.
    fn take(&mut self, path: &[u8]) -> Option<Digest> {
        let bytes = self.0.remove(&hash(path.strip_prefix(b"/").unwrap_or(path)))?;
        Some(Digest { algorithm: Algorithm::Md5, bytes: bytes.to_vec() })
    }
}

fn hash(path: &[u8]) -> u64 {
    let hash = blake3::hash(path);
    u64::from_le_bytes(std::array::from_fn(|i| hash.as_bytes()[i]))
}

fn of_dpkg(root: &mut Root, each: &mut Each<'_>) {
    let Some(status) = root.read("/var/lib/dpkg/status") else { return };
    let packages = dpkg::parse(&status).entries;
    let mut config: HashMap<(String, String), Vec<dpkg::Conffile>> = HashMap::new();
    for file in dpkg::conffiles(&status).entries {
        config.entry((file.package.clone(), file.arch.clone())).or_default().push(file);
    }
    drop(status);
    let diversions = root.read("/var/lib/dpkg/diversions").unwrap_or_default();
    let diversions: HashMap<Vec<u8>, dpkg::Diversion> =
        dpkg::diversions(&diversions).entries.into_iter().map(|d| (d.from.clone(), d)).collect();
    let overrides = root.read("/var/lib/dpkg/statoverride").unwrap_or_default();
    let overrides: HashMap<Vec<u8>, dpkg::Override> =
        dpkg::overrides(&overrides).entries.into_iter().map(|o| (o.path.clone(), o)).collect();
    for package in &packages {
        let one = installed(package);
        let lines = |root: &mut Root, end: &str| {
            let (name, arch) = (&package.name, &package.arch);
            let plain = root.lines(&format!("/var/lib/dpkg/info/{name}.{end}"));
            plain.or_else(|| root.lines(&format!("/var/lib/dpkg/info/{name}:{arch}.{end}")))
        };
        let mut sums = lines(root, "md5sums").map(Sums::read).unwrap_or_default();
        let mut list = lines(root, "list");
        let mut listed = false;
        let mut config: HashMap<Vec<u8>, dpkg::Conffile> = config
            .remove(&(package.name.clone(), package.arch.clone()))
            .unwrap_or_default()
            .into_iter()
            .map(|file| (file.path.clone(), file))
            .collect();
        while let Some(line) = list.as_mut().and_then(Lines::next) {
            let Some(path) = dpkg::listed(line) else { continue };
            listed = true;
            let path = path[..path.len().min(PATH_BYTES_MAX)].to_vec();
            let mut owned = Owned { digest: sums.take(&path), ..Owned::default() };
            if let Some(file) = config.remove(&path) {
                // An obsolete one is nobody's any more: it stays for the administrator to look at.
                if file.obsolete {
                    continue;
                }
                (owned.config, owned.digest) = (true, file.digest);
            }
            if let Some(wanted) = overrides.get(&path) {
                (owned.user, owned.group) = (Some(wanted.user.clone()), Some(wanted.group.clone()));
                owned.mode = Some(wanted.mode);
            }
            let diverted =
                diversions.get(&path).filter(|d| d.package.as_deref() != Some(package.name.as_str())).map(|d| &d.to);
            owned.path = diverted.cloned().unwrap_or(path);
            each(root, &one, Some(owned));
        }
        if !listed {
            each(root, &one, None);
        }
    }
}

/// Where distributions keep rpm's database.
const RPM_FOLDERS: &[&str] = &["/usr/lib/sysimage/rpm", "/var/lib/rpm"];

fn of_rpm(root: &mut Root, each: &mut Each<'_>) {
    let mut seen = HashSet::new();
    for folder in RPM_FOLDERS {
        let file = ["rpmdb.sqlite", "Packages.db", "Packages"].iter().find_map(|name| {
            let path = root.resolve(format!("{folder}/{name}").as_ref());
            // One of the two is a link to the other in most places.
            if !seen.insert(path) {
                return None;
            }
            Some((root.read(&format!("{folder}/{name}"))?, root.read(&format!("{folder}/{name}-wal"))))
        });
        let Some((file, wal)) = file else { continue };
        let read = rpm::headers(&file, wal.as_deref(), |_, blob| {
            let Ok(header) = rpm::Header::parse(blob) else { return true };
            let Ok(package) = header.package() else { return true };
            let (one, files) = (installed(&package), header.files().entries);
            if files.is_empty() {
                each(root, &one, None);
            }
            // What another package has replaced, or what was never put there, is not this one's.
            for file in files.into_iter().filter(|file| file.state == 0) {
                each(root, &one, Some(file.owned()));
            }
            true
        });
        if let Err(malformed) = read {
            root.issue(format!("{folder}: {malformed}"));
        }
    }
}

fn of_apk(root: &mut Root, each: &mut Each<'_>) {
    let file = ["/lib/apk/db/installed", "/usr/lib/apk/db/installed"].iter().find_map(|path| root.read(path));
    let Some(file) = file else { return };
    let packages: Vec<Installed> = apk::parse(&file).entries.iter().map(installed).collect();
    for one in &packages {
        each(root, one, None);
    }
    for (number, owned) in apk::files(&file).entries {
        if let Some(one) = packages.get(number) {
            each(root, one, Some(owned));
        }
    }
}

fn of_pacman(root: &mut Root, each: &mut Each<'_>) {
    let folder = "/var/lib/pacman/local";
    for name in root.names(folder) {
        let Some(desc) = root.read(&format!("{folder}/{name}/desc")) else { continue };
        let Ok(package) = pacman::parse(&desc) else {
            root.issue(format!("{folder}/{name}: not a package"));
            continue;
        };
        let one = installed(&package);
        let files = root.read(&format!("{folder}/{name}/files")).unwrap_or_default();
        let config: HashMap<_, _> = pacman::backup(&files).entries.into_iter().collect();
        let mut listed: HashSet<Vec<u8>> = pacman::files(&files)
            .entries
            .into_iter()
            .map(|path| format!("/{}", path.trim_end_matches('/')).into_bytes())
            .collect();
        each(root, &one, None);
        let mtree = root.read(&format!("{folder}/{name}/mtree")).unwrap_or_default();
        match pacman::mtree(&mtree) {
            Ok(found) => {
                for mut owned in found.entries {
                    listed.remove(&owned.path);
                    owned.config = config.contains_key(&owned.path);
                    each(root, &one, Some(owned));
                }
            }
            Err(malformed) => root.issue(format!("{folder}/{name}: {malformed}")),
        }
        // What is not described there is known by its name alone.
        for path in listed {
            let digest = config.get(&path).cloned();
            each(root, &one, Some(Owned { config: digest.is_some(), digest, path, ..Owned::default() }));
        }
    }
}

fn of_portage(root: &mut Root, each: &mut Each<'_>) {
    let folder = "/var/db/pkg";
    for category in root.names(folder) {
        for name in root.names(&format!("{folder}/{category}")) {
            let at = format!("{folder}/{category}/{name}");
            let chost = root.read(&format!("{at}/CHOST")).unwrap_or_default();
            let entry =
                portage::Entry { category: &category, folder: &name, chost: &chost, ..portage::Entry::default() };
            // Beside packages there are folders of those that are being put there, and what else lies around.
            let Ok(package) = portage::parse(&entry) else { continue };
            let one = installed(&package);
            each(root, &one, None);
            let contents = root.read(&format!("{at}/CONTENTS")).unwrap_or_default();
            for owned in portage::contents(&contents).entries {
                each(root, &one, Some(owned));
            }
        }
    }
}
