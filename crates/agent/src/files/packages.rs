//! The package databases of a root: which packages there are, and which files they own. Files are handed over one by one,
//! so that nothing holds the hundred thousands of them.
//!
//! It reads only; a root that is not `/` is read as from inside, so that links in it lead nowhere else.

mod logs;
mod reach;
mod sources;

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufRead as _, BufReader, ErrorKind, Read as _, Take};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use guardian_inventory::owned::{Account, Owned};
use guardian_inventory::transaction::Transaction;
use guardian_inventory::{Manager, accounts};
use guardian_sys::inspect;
use serde::{Deserialize, Serialize};

pub(crate) use self::logs::is_log;
pub(crate) use self::reach::{OUTPUT_BYTES_MAX, Reach, Sort, Tool};
use crate::apart::Apart;

/// Bytes of one file of a database that are read.
const FILE_BYTES_MAX: u64 = 1 << 30;
/// Links that are followed on the way to one file; the kernel's own limit.
const LINKS_MAX: usize = 40;
/// Complaints that are kept.
const ISSUES_MAX: usize = 100;

/// An installed package.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Installed {
    /// What manages it.
    pub manager: Manager,
    /// Its name.
    pub name: String,
    /// Its architecture.
    pub arch: String,
    /// Its version.
    pub version: String,
}

/// A root and what its databases are read with.
#[derive(Debug)]
pub struct Root {
    path: PathBuf,
    users: HashMap<String, u32>,
    groups: HashMap<String, u32>,
    /// Where folders really are, as far as they were asked for.
    folders: HashMap<PathBuf, PathBuf>,
    /// Who opens files, where this process may not.
    reach: Option<Mutex<Box<dyn Reach>>>,
    /// Who reads what strangers wrote, where this process should not.
    apart: Option<Arc<Apart>>,
    /// What could not be read.
    pub issues: Vec<String>,
    /// What was handed over by [`Root::owned`] is not all that the databases say.
    pub incomplete: bool,
}

impl Root {
    /// A root; `/` for this machine.
    pub fn new(path: &Path) -> Self {
        let mut root = Self::bare(path);
        let users = accounts::parse_passwd(&root.read("/etc/passwd").unwrap_or_default()).entries;
        // The first of a name counts, as in the C library.
        for user in users.into_iter().rev() {
            root.users.insert(user.name, user.uid);
        }
        for group in accounts::parse_group(&root.read("/etc/group").unwrap_or_default()).entries.into_iter().rev() {
            root.groups.insert(group.name, group.gid);
        }
        root
    }

    /// A root without its accounts.
    pub(crate) fn bare(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            users: HashMap::new(),
            groups: HashMap::new(),
            folders: HashMap::new(),
            reach: None,
            apart: None,
            issues: Vec::new(),
            incomplete: false,
        }
    }

    /// A root whose files somebody else opens.
    pub(crate) fn through(reach: Box<dyn Reach>) -> Self {
        Self { reach: Some(Mutex::new(reach)), ..Self::bare(Path::new("/")) }
    }

    /// Has the databases read by a process that can do nothing else.
    #[must_use]
    pub fn read_by(mut self, apart: &Arc<Apart>) -> Self {
        self.apart = Some(Arc::clone(apart));
        self
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path as it is outside of the root.
    pub fn outside(&self, inside: &Path) -> PathBuf {
        self.path.join(inside.strip_prefix("/").unwrap_or(inside))
    }

    /// The path as it is inside of the root; none where it is not.
    pub fn inside(&self, outside: &Path) -> Option<PathBuf> {
        outside.strip_prefix(&self.path).ok().map(|rest| Path::new("/").join(rest))
    }

    fn reach(&self) -> Option<MutexGuard<'_, Box<dyn Reach>>> {
        self.reach.as_ref().map(|reach| reach.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn issue(&mut self, what: String) {
        if self.issues.len() < ISSUES_MAX {
            self.issues.push(what);
        }
    }

    /// Opens a file inside of the root, and says how long it is.
    pub(crate) fn open(&self, path: &str) -> io::Result<(fs::File, u64)> {
        if let Some(mut reach) = self.reach() {
            return reach.open(path);
        }
        self.open_place(&self.resolve(Path::new(path)))
    }

    /// Opens a file where it really is: whoever puts a link on the way by now gets nothing opened.
    pub(crate) fn open_place(&self, place: &Path) -> io::Result<(fs::File, u64)> {
        let place = self.outside(place);
        // Without waiting for whoever may be at the other end of a pipe, and without leaving a trace.
        let file = if self.path == Path::new("/") {
            inspect::open_without_links(&place)?
        } else {
            inspect::open_file(nix::fcntl::AT_FDCWD, place.as_os_str())?
        };
        let about = file.metadata()?;
        if about.is_file() {
            Ok((file, about.len()))
        } else {
            Err(io::Error::new(ErrorKind::InvalidInput, "not a file"))
        }
    }

    /// As [`Root::open`], with what keeps it from being read told; none where there is no such file.
    fn opened(&mut self, path: &str) -> Option<fs::File> {
        match self.open(path) {
            Ok((file, _)) => Some(file),
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => None,
            Err(e) => {
                self.issue(format!("{path}: {e}"));
                None
            }
        }
    }

    /// The bytes of a file inside of the root; none where there is none.
    pub(crate) fn read(&mut self, path: &str) -> Option<Vec<u8>> {
        let file = self.opened(path)?;
        let mut bytes = Vec::new();
        match file.take(FILE_BYTES_MAX).read_to_end(&mut bytes) {
            Ok(_) => Some(bytes),
            Err(e) => {
                self.issue(format!("{path}: {e}"));
                None
            }
        }
    }

    /// The lines of a file inside of the root, one after the other, so that a long one takes no memory; none where there is
    /// no such file.
    pub(crate) fn lines(&mut self, path: &str) -> Option<Lines> {
        let file = self.opened(path)?;
        Some(Lines { reader: BufReader::new(file.take(FILE_BYTES_MAX)), line: Vec::new() })
    }

    /// What is in a folder inside of the root; names that are no text are left out.
    pub(crate) fn entries(&self, path: &str) -> Vec<(String, Sort)> {
        if let Some(mut reach) = self.reach() {
            return reach.entries(path);
        }
        let listed = fs::read_dir(self.outside(&self.resolve(Path::new(path)))).into_iter().flatten().flatten();
        let sorted =
            |entry: fs::DirEntry| Some((entry.file_name().into_string().ok()?, Sort::of(entry.file_type().ok()?)));
        listed.filter_map(sorted).collect()
    }

    /// The names in a folder inside of the root, sorted.
    pub(crate) fn names(&self, path: &str) -> Vec<String> {
        let mut names: Vec<String> = self.entries(path).into_iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        names
    }

    /// What a program of this machine says.
    pub(crate) fn output(&self, tool: Tool) -> Option<Vec<u8>> {
        self.reach().map_or_else(|| tool.output(), |mut reach| reach.output(tool))
    }

    /// The number of an owner; none where the root knows no such name.
    pub(crate) fn user(&self, account: &Account) -> Option<u32> {
        number(account, &self.users)
    }

    /// The number of a group.
    pub(crate) fn group(&self, account: &Account) -> Option<u32> {
        number(account, &self.groups)
    }

    /// Follows every link in a path, all inside of the root.
    pub fn resolve(&self, path: &Path) -> PathBuf {
        if let Some(mut reach) = self.reach() {
            return reach.resolve(path);
        }
        let mut at = PathBuf::from("/");
        let mut left: Vec<std::ffi::OsString> = components(path);
        left.reverse();
        let mut links = 0;
        while let Some(name) = left.pop() {
            if name == ".." {
                at.pop();
                continue;
            }
            let next = at.join(&name);
            match fs::read_link(self.outside(&next)) {
                Ok(target) if links < LINKS_MAX => {
                    links += 1;
                    if target.is_absolute() {
                        at = PathBuf::from("/");
                    }
                    left.extend(components(&target).into_iter().rev());
                }
                _ => at = next,
            }
        }
        at
    }

    /// Where a package's file really is: links on the way are followed (`/bin` is `/usr/bin`), one at the end is the file
    /// itself.
    pub(crate) fn place(&mut self, path: &[u8]) -> PathBuf {
        let path = Path::new(OsStr::from_bytes(path));
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return path.to_owned() };
        if let Some(folder) = self.folders.get(parent) {
            return folder.join(name);
        }
        let folder = self.resolve(parent);
        let place = folder.join(name);
        self.folders.insert(parent.to_owned(), folder);
        place
    }

    /// Calls `each` with every file of every package, in the order of the packages; the path of each is where it really
    /// is. A package with no file is handed over once, without.
    pub fn owned(&mut self, each: &mut dyn FnMut(&Installed, Option<Owned>)) {
        let Some(apart) = self.apart.clone() else {
            for source in sources::ALL {
                source(self, &mut |root, installed, owned| each(installed, root.placed(owned)));
            }
            return;
        };
        let path = self.path.clone();
        match apart.owned(&path, &mut |installed, owned| each(installed, self.placed(owned))) {
            Ok(issues) => issues.into_iter().for_each(|issue| self.issue(issue)),
            Err(error) => {
                self.incomplete = true;
                self.issue(format!("the databases of packages were not read to their end: {error}"));
            }
        }
    }

    /// What the package managers wrote down of what they did; nothing where it cannot be read.
    pub fn transactions(&mut self) -> Vec<Transaction> {
        let Some(apart) = self.apart.clone() else { return logs::read(self) };
        match apart.transactions(&self.path) {
            Ok((found, issues)) => {
                issues.into_iter().for_each(|issue| self.issue(issue));
                found
            }
            Err(error) => {
                self.issue(format!("the logs of package managers were not read: {error}"));
                Vec::new()
            }
        }
    }

    fn placed(&mut self, owned: Option<Owned>) -> Option<Owned> {
        owned.map(|mut owned| {
            owned.path = self.place(&owned.path).into_os_string().into_vec();
            owned
        })
    }

    /// As [`Root::owned`], with paths as the databases say them.
    pub(crate) fn owned_as_said(&mut self, each: &mut dyn FnMut(&Installed, Option<Owned>)) {
        for source in sources::ALL {
            source(self, &mut |_, installed, owned| each(installed, owned));
        }
    }
}

/// The lines of a file.
pub(crate) struct Lines {
    reader: BufReader<Take<fs::File>>,
    line: Vec<u8>,
}

impl Lines {
    /// The next line without its end; none at the end of the file, and where it cannot be read any further.
    pub(crate) fn next(&mut self) -> Option<&[u8]> {
        self.line.clear();
        match self.reader.read_until(b'\n', &mut self.line) {
            Ok(1..) => {}
            Ok(0) | Err(_) => return None,
        }
        let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }
}

fn number(account: &Account, names: &HashMap<String, u32>) -> Option<u32> {
    match account {
        Account::Number(number) => Some(*number),
        Account::Name(name) if name == "root" => Some(0),
        Account::Name(name) => names.get(name).copied(),
    }
}

fn components(path: &Path) -> Vec<std::ffi::OsString> {
    let part = |component: Component<'_>| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    };
    path.components().filter_map(part).collect()
}
