//! Which changes a package manager made. The database decides: a change is explained where the package that owns the file
//! changed too, and the file is now what the new package says. What a process is called, and what a log says, are hints.
//!
//! dpkg says nothing of permissions, owners and link targets. What it does not say is not explained, but for what a
//! package brings as a rule: new files of root without special bits, and links to files of packages that changed as well.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use guardian_inventory::Manager;
use guardian_inventory::owned::{Algorithm, Owned};
use guardian_inventory::transaction::{Action, Transaction};
use serde::{Deserialize, Serialize};

use super::packages::{Installed, Root};
use super::verify::{Differs, check, hash_file};
use super::{Change, Kind, Property, Record, What, Who};

/// Which packages there were, and which owned what: kept with a baseline, and compared with what there is now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// The packages, each with a hash over what its database says of its files; sorted.
    packages: Vec<(Installed, [u8; 32])>,
    /// Part of the hash of each owned path, and the place of its package; sorted.
    files: Vec<(u64, u32)>,
}

/// A package that is not what it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageChange {
    /// What manages it.
    pub manager: Manager,
    /// Its name.
    pub name: String,
    /// Its architecture.
    pub arch: String,
    /// Version before; none where it is new.
    pub old: Option<String>,
    /// Version now; none where it is gone.
    pub new: Option<String>,
}

/// What explains a change, or fails to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct By {
    /// The package, with its versions.
    pub package: PackageChange,
    /// What the package manager's log says of it, where it says something.
    pub logged: Option<Transaction>,
}

/// Whether packages explain a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The package changed, and the file is what the new one says.
    Explained(By),
    /// As far as that goes; these properties the package says nothing of.
    Partly(By, Vec<Property>),
    /// The package did not change, and the file is now what it says: it was not before.
    Restored(By),
    /// The package changed, but the file is not what it brought.
    Contradicted(By, Vec<Differs>),
    /// The package did not change, and the file is no longer what it says.
    Deviates(By, Vec<Differs>),
    /// What the database says of the package's files changed without a new version: what it says now proves nothing.
    Rewritten(By),
    /// The file has changed again since it was looked at.
    Moved,
    /// No package owns it, but it is a link to a file of a package that changed, as those that enable a service are: made
    /// by the package's scripts, or by somebody at that time.
    LeadsTo(By),
    /// No package owns it.
    Unowned,
}

impl Verdict {
    /// Whether nobody needs to look at the change.
    pub const fn explained(&self) -> bool {
        matches!(self, Self::Explained(_))
    }
}

/// Part of the hash of a path.
pub(crate) fn path_hash(path: &[u8]) -> u64 {
    let hash = blake3::hash(path);
    u64::from_le_bytes(std::array::from_fn(|i| hash.as_bytes()[i]))
}

impl Ledger {
    /// What the databases of a root say now. Keep it with a baseline that is made at the same time.
    pub fn read(root: &mut Root) -> Self {
        Self::read_with(root, &mut |_| {})
    }

    /// As [`Ledger::read`], and hands over each file on the way.
    pub fn read_with(root: &mut Root, each: &mut dyn FnMut(&Owned)) -> Self {
        let mut packages: BTreeMap<Installed, (blake3::Hasher, u64, u32)> = BTreeMap::new();
        let mut files: Vec<(u64, u32)> = Vec::new();
        let (mut last, mut count): (Option<(Installed, u32)>, u32) = (None, 0);
        let mut sums: Vec<(Installed, [u8; 32])> = Vec::new();
        root.owned(&mut |installed, owned| {
            let number = match &last {
                Some((of, number)) if of == installed => *number,
                _ => {
                    packages
                        .entry(installed.clone())
                        .or_insert_with(|| {
                            count += 1;
                            (blake3::Hasher::new(), 0, count - 1)
                        })
                        .2
                }
            };
            if last.as_ref().is_none_or(|(of, _)| of != installed) {
                last = Some((installed.clone(), number));
            }
            let Some(owned) = owned else { return };
            each(&owned);
            files.push((path_hash(&owned.path), number));
            if let (Some((hash, entries, _)), Ok(bytes)) = (packages.get_mut(installed), postcard::to_allocvec(&owned))
            {
                hash.update(&bytes);
                *entries += 1;
            }
        });
        let mut places: HashMap<u32, u32> = HashMap::new();
        for (installed, (hash, _, number)) in packages {
            places.insert(number, sums.len() as u32);
            sums.push((installed, *hash.finalize().as_bytes()));
        }
        for (_, number) in &mut files {
            *number = places.get(number).copied().unwrap_or(u32::MAX);
        }
        files.sort_unstable();
        files.dedup();
        Self { packages: sums, files }
    }

    /// For keeping; as long as it is read back by the same version or a later one.
    pub fn to_bytes(&self) -> Vec<u8> {
        postcard::to_allocvec(self).unwrap_or_default()
    }

    /// From what was kept; none where it is damaged.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        postcard::from_bytes(bytes).ok()
    }

    /// How many packages there are.
    pub fn len(&self) -> usize {
        self.packages.len()
    }

    /// Whether there is no package.
    pub fn is_empty(&self) -> bool {
        self.packages.is_empty()
    }

    fn owners<'a>(&'a self, path: &Path) -> impl Iterator<Item = &'a Installed> + use<'a> {
        let hash = path_hash(path.as_os_str().as_bytes());
        let from = self.files.partition_point(|(of, _)| *of < hash);
        let of = self.files[from..].iter().take_while(move |(of, _)| *of == hash);
        of.filter_map(|(_, place)| self.packages.get(*place as usize)).map(|(installed, _)| installed)
    }

    fn by_name(&self) -> HashMap<Key<'_>, Vec<(&str, &[u8; 32])>> {
        let mut all: HashMap<Key<'_>, Vec<(&str, &[u8; 32])>> = HashMap::new();
        for (installed, hash) in &self.packages {
            all.entry(key(installed)).or_default().push((&installed.version, hash));
        }
        all
    }

    /// Packages that are not what they were. Of one that is there in several versions (a kernel of rpm's) each version
    /// comes and goes by itself.
    pub fn changes(&self, after: &Self) -> Vec<PackageChange> {
        let (before, after) = (self.by_name(), after.by_name());
        let mut names: Vec<&Key<'_>> = before.keys().chain(after.keys()).collect();
        names.sort_unstable();
        names.dedup();
        let mut changes = Vec::new();
        for name in names {
            let versions = |of: &HashMap<Key<'_>, Vec<(&str, &[u8; 32])>>| -> Vec<String> {
                of.get(name).into_iter().flatten().map(|(version, _)| (*version).to_owned()).collect()
            };
            let (old, new) = (versions(&before), versions(&after));
            let mut gone = old.iter().filter(|version| !new.contains(version));
            let mut came = new.iter().filter(|version| !old.contains(version));
            loop {
                let (old, new) = (gone.next().cloned(), came.next().cloned());
                if old.is_none() && new.is_none() {
                    break;
                }
                let (manager, name, arch) = (name.0, name.1.to_owned(), name.2.to_owned());
                changes.push(PackageChange { manager, name, arch, old, new });
            }
        }
        changes
    }

    /// Packages of the same version of whose files the database says something else.
    fn rewritten<'a>(&self, after: &'a Self) -> HashSet<&'a Installed> {
        let before: HashMap<&Installed, &[u8; 32]> = self.packages.iter().map(|(of, hash)| (of, hash)).collect();
        let differs = |(of, hash): &&(Installed, [u8; 32])| before.get(of).is_some_and(|before| *before != hash);
        after.packages.iter().filter(differs).map(|(of, _)| of).collect()
    }
}

type Key<'a> = (Manager, &'a str, &'a str);

fn key(installed: &Installed) -> Key<'_> {
    (installed.manager, &installed.name, &installed.arch)
}

/// What the databases say now, with what they said when the baseline was made.
struct Explainer<'a> {
    root: &'a Root,
    before: &'a Ledger,
    after: &'a Ledger,
    log: &'a [Transaction],
    changes: Vec<PackageChange>,
    rewritten: HashSet<&'a Installed>,
    owners: HashMap<PathBuf, Vec<(Installed, Owned)>>,
}

/// Judges changes, each in its place: `before` was read when the baseline was made, `after` now; `log` is what the package
/// managers' logs say since ([`guardian_inventory::transaction`]). Changed files are read once more.
pub fn explain(
    root: &mut Root,
    before: &Ledger,
    after: &Ledger,
    log: &[Transaction],
    changes: &[Change],
) -> Vec<Verdict> {
    let mut asked: HashSet<PathBuf> = changes.iter().filter_map(|change| root.inside(&change.path)).collect();
    // Where links lead counts too.
    let links: Vec<PathBuf> = changes.iter().filter_map(|change| link_target(root, change)).collect();
    asked.extend(links);
    let mut owners: HashMap<PathBuf, Vec<(Installed, Owned)>> = HashMap::new();
    root.owned(&mut |installed, owned| {
        let Some(owned) = owned else { return };
        let path = Path::new(std::ffi::OsStr::from_bytes(&owned.path));
        if asked.contains(path) {
            owners.entry(path.to_owned()).or_default().push((installed.clone(), owned));
        }
    });
    let explainer = Explainer {
        root,
        before,
        after,
        log,
        changes: before.changes(after),
        rewritten: before.rewritten(after),
        owners,
    };
    changes.iter().map(|change| explainer.judge(change)).collect()
}

fn link_target(root: &Root, change: &Change) -> Option<PathBuf> {
    let (What::Added(after) | What::Changed { after, .. } | What::Removed(after)) = &change.what;
    if after.kind != Kind::Link {
        return None;
    }
    let target = Path::new(std::ffi::OsStr::from_bytes(&after.target));
    let path = root.inside(&change.path)?;
    Some(root.resolve(&path.parent()?.join(target)))
}

impl Explainer<'_> {
    fn judge(&self, change: &Change) -> Verdict {
        let Some(path) = self.root.inside(&change.path) else { return Verdict::Unowned };
        let owners = self.owners.get(&path).map_or(&[][..], Vec::as_slice);
        let after = match &change.what {
            What::Removed(_) => return self.removed(change, &path, owners),
            What::Added(after) | What::Changed { after, .. } => after,
        };
        // Of several owners (folders, and files that are the same in both) the one that explains it is the one.
        let mut verdicts: Vec<Verdict> =
            owners.iter().map(|(installed, owned)| self.owned(change, after, installed, owned)).collect();
        verdicts.sort_by_key(|verdict| match verdict {
            Verdict::Explained(_) => 0,
            Verdict::Partly(..) => 1,
            Verdict::Restored(_) => 2,
            Verdict::Contradicted(..) => 3,
            _ => 4,
        });
        verdicts.into_iter().next().unwrap_or_else(|| self.leads_to(change))
    }

    /// Of what no package owns.
    fn leads_to(&self, change: &Change) -> Verdict {
        let Some(target) = link_target(self.root, change) else { return Verdict::Unowned };
        let owners = self.before.owners(&target).chain(self.after.owners(&target));
        let changed = owners
            .map(|installed| self.by(installed))
            .find(|(by, changed)| *changed && by.package.old != by.package.new);
        changed.map_or(Verdict::Unowned, |(by, _)| Verdict::LeadsTo(by))
    }

    fn by(&self, installed: &Installed) -> (By, bool) {
        let same = |p: &&PackageChange| (p.manager, &p.name[..], &p.arch[..]) == key(installed);
        let change = self.changes.iter().filter(same).find(|p| {
            p.new.as_deref() == Some(&installed.version)
                || (p.new.is_none() && p.old.as_deref() == Some(&installed.version))
        });
        let package = change.cloned().unwrap_or_else(|| PackageChange {
            manager: installed.manager,
            name: installed.name.clone(),
            arch: installed.arch.clone(),
            old: Some(installed.version.clone()),
            new: Some(installed.version.clone()),
        });
        let fits = |one: &&Transaction| {
            one.manager == installed.manager
                && one.name == installed.name
                && (one.arch.is_empty() || one.arch == installed.arch || installed.arch.is_empty())
                && one.new == package.new.as_deref().unwrap_or_default()
        };
        let logged = self.log.iter().rev().find(fits).cloned();
        let again = logged.as_ref().is_some_and(|one| one.action == Action::Reinstall);
        (By { package, logged }, change.is_some() || again)
    }

    fn removed(&self, change: &Change, path: &Path, owners: &[(Installed, Owned)]) -> Verdict {
        if let Some((installed, _)) = owners.iter().find(|(_, owned)| !owned.may_miss) {
            let (by, changed) = self.by(installed);
            let missing = vec![Differs::Missing];
            return if changed { Verdict::Contradicted(by, missing) } else { Verdict::Deviates(by, missing) };
        }
        // Nobody wants it any more: somebody did.
        for installed in self.before.owners(path) {
            let same = |p: &&PackageChange| {
                (p.manager, &p.name[..], &p.arch[..]) == key(installed) && p.old.as_deref() == Some(&installed.version)
            };
            if let Some(change) = self.changes.iter().find(same) {
                let logged = self.log.iter().rev().find(|one| {
                    (one.manager, &one.name) == (change.manager, &change.name)
                        && one.new == change.new.as_deref().unwrap_or_default()
                });
                return Verdict::Explained(By { package: change.clone(), logged: logged.cloned() });
            }
            return Verdict::Rewritten(self.by(installed).0);
        }
        self.leads_to(change)
    }

    fn owned(&self, change: &Change, after: &Record, installed: &Installed, owned: &Owned) -> Verdict {
        let (by, changed) = self.by(installed);
        if self.rewritten.contains(installed) && !changed {
            return Verdict::Rewritten(by);
        }
        let differs = check(self.root, owned);
        if !differs.is_empty() {
            return if changed { Verdict::Contradicted(by, differs) } else { Verdict::Deviates(by, differs) };
        }
        // What was compared must be what was seen.
        if let (Some(seen), Kind::Regular) = (after.blake3, after.kind) {
            match hash_file(&change.path, &[] as &[Algorithm]) {
                Ok((_, now)) if now == seen => {}
                _ => return Verdict::Moved,
            }
        }
        let left = self.left(change, after, owned);
        match (changed, left.is_empty()) {
            (true, true) => Verdict::Explained(by),
            (true, false) => Verdict::Partly(by, left),
            (false, true) => Verdict::Restored(by),
            (false, false) => Verdict::Deviates(by, Vec::new()),
        }
    }

    /// Properties of the change of which the package says nothing, and which are not as a package brings them as a rule.
    fn left(&self, change: &Change, after: &Record, owned: &Owned) -> Vec<Property> {
        let special = after.mode & 0o6000 != 0 || (after.mode & 0o002 != 0 && after.mode & 0o1000 == 0);
        let special = special && after.kind != Kind::Link;
        let said = |property: &Property| match property {
            Property::Content => owned.digest.is_some() || after.kind != Kind::Regular || owned.ghost,
            Property::Mode => owned.mode.is_some() || after.kind == Kind::Link,
            Property::Owner => owned.user.is_some() && owned.group.is_some(),
            Property::Target => after.kind != Kind::Link || owned.target.is_some() || self.leads_to_packages(change),
            Property::Attributes => owned.capabilities.is_some() || after.capabilities().is_none(),
            Property::Kind => owned.kind.is_some() || owned.digest.is_some() || after.kind == Kind::Link,
            // A replaced file is another, at another time, and a device is none that a package brings unsaid.
            Property::Inode | Property::Links | Property::Modified | Property::Growing => true,
            Property::Device => owned.device.is_some() || !matches!(after.kind, Kind::Block | Kind::Character),
        };
        match &change.what {
            What::Changed { properties, .. } => properties.iter().filter(|p| !said(p)).copied().collect(),
            _ => {
                let new = [Property::Content, Property::Target, Property::Attributes, Property::Device];
                let mut left: Vec<Property> = new.into_iter().filter(|p| !said(p)).collect();
                if special && !said(&Property::Mode) {
                    left.push(Property::Mode);
                }
                if (after.uid, after.gid) != (0, 0) && !said(&Property::Owner) {
                    left.push(Property::Owner);
                }
                left
            }
        }
    }

    /// Whether a link leads to a file of a package that changed as well, or of the package of the link itself.
    fn leads_to_packages(&self, change: &Change) -> bool {
        let (Some(path), Some(target)) = (self.root.inside(&change.path), link_target(self.root, change)) else {
            return false;
        };
        let own = self.owners.get(&path).map_or(&[][..], Vec::as_slice);
        self.owners.get(&target).into_iter().flatten().any(|(installed, _)| {
            own.iter().any(|(of, _)| key(of) == key(installed))
                || self.changes.iter().any(|p| (p.manager, &p.name[..], &p.arch[..]) == key(installed))
        }) && self.after.owners(&target).next().is_some()
    }
}

/// Programs of package managers, as their processes are called.
const MANAGERS: &[(&str, Manager)] = &[
    ("dpkg", Manager::Dpkg),
    ("apt", Manager::Dpkg),
    ("apt-get", Manager::Dpkg),
    ("aptitude", Manager::Dpkg),
    ("unattended-upgr", Manager::Dpkg),
    ("rpm", Manager::Rpm),
    ("dnf", Manager::Rpm),
    ("dnf5", Manager::Rpm),
    ("yum", Manager::Rpm),
    ("zypper", Manager::Rpm),
    ("packagekitd", Manager::Rpm),
    ("apk", Manager::Apk),
    ("pacman", Manager::Pacman),
    ("emerge", Manager::Portage),
];
/// Parents that are asked.
const PARENTS_MAX: usize = 32;

/// Whether a process, or one of those above it, is called like a package manager. Anybody can be: it is a hint to show,
/// never a reason to be silent.
pub fn package_manager_hint(who: &Who) -> Option<Manager> {
    let mut who = who.clone();
    for _ in 0..PARENTS_MAX {
        let named = |name: &str| MANAGERS.iter().find(|(of, _)| *of == name).map(|(_, manager)| *manager);
        let program = who.program.as_deref().and_then(Path::file_name).and_then(|name| name.to_str());
        if let Some(manager) = named(&who.name).or_else(|| program.and_then(named)) {
            return Some(manager);
        }
        if who.parent <= 1 {
            return None;
        }
        who = Who::of(who.parent);
    }
    None
}
