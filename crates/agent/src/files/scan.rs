//! A scan: folders are walked and files hashed by several threads from one list of tasks. A folder is a task, and so is
//! every handful of its files, so that a folder with half the disk in it keeps all threads busy. Everything is opened
//! relative to the folder it was found in: a link that somebody puts on the way leads nowhere.

use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{DirEntryExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

use guardian_inventory::owned::Algorithm;
use guardian_sys::inspect;
use sha2::{Digest as _, Sha256};

use super::linked::{self, Linked, Made};
use super::verify::Hash;
use super::{Budget, Digests, Folder, Kind, Policy, Property, Record};
use guardian_baseline::join;

/// Files of one task.
const FILES_PER_TASK: usize = 32;
/// Entries of one folder that are looked at; more are told in its error.
const ENTRIES_PER_FOLDER_MAX: usize = 1_000_000;
/// What is read at once. BLAKE3 works on many parts of it side by side.
const READ_BYTES: usize = 128 << 10;
/// How often a file that changes while it is read is read again.
const ATTEMPTS_MAX: usize = 2;

/// How a scan is run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Threads. More than there are cores: most of them wait for the disk.
    pub threads: usize,
    /// Bytes that are read in a second; 0 for no limit.
    pub bytes_per_second: u64,
    /// Whether what the scan has brought into the page cache stays there. What was there before always does.
    pub fill_cache: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { threads: 16, bytes_per_second: 0, fill_cache: false }
    }
}

/// What a scan has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Folders that were read.
    pub folders: u64,
    /// Entries in them that were looked at.
    pub entries: u64,
    /// Files that were hashed; one with several names once.
    pub hashed: u64,
    /// Bytes that were hashed.
    pub hashed_bytes: u64,
    /// Folders and files that could not be read.
    pub errors: u64,
}

#[derive(Default)]
struct Counters {
    folders: AtomicU64,
    entries: AtomicU64,
    hashed: AtomicU64,
    hashed_bytes: AtomicU64,
    errors: AtomicU64,
}

/// A folder that is open.
struct Open {
    fd: OwnedFd,
    path: PathBuf,
    device: u64,
}

impl Open {
    /// A path to an entry by way of the open folder.
    fn by_way(&self, name: &std::ffi::OsStr) -> PathBuf {
        Path::new(&format!("/proc/self/fd/{}", self.fd.as_raw_fd())).join(name)
    }
}

/// A folder whose entries are being looked at.
struct Pending {
    open: Arc<Open>,
    entries: Mutex<Vec<Record>>,
    /// Tasks that are not done.
    left: AtomicUsize,
    error: Option<String>,
}

/// What a folder says of an entry.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Sort {
    Folder,
    Regular,
    Other,
}

impl Sort {
    fn of(entry: &fs::DirEntry) -> Self {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => Self::Folder,
            Ok(kind) if kind.is_file() => Self::Regular,
            _ => Self::Other,
        }
    }
}

enum Task {
    Root(PathBuf),
    Folder(Arc<Open>, OsString),
    /// Names, and whether the folder says that it is a file with content.
    Files(Arc<Pending>, Vec<(OsString, bool)>),
}

#[derive(Default)]
struct Queue {
    /// The newest first: the walk goes down before it goes on, and few folders are open at a time.
    tasks: Vec<Task>,
    running: usize,
}

struct Scan<'a> {
    policy: &'a Policy,
    options: Options,
    queue: Mutex<Queue>,
    ready: Condvar,
    budget: Mutex<Budget>,
    begun: Instant,
    counters: Counters,
    /// Set where it is to end early.
    stop: &'a AtomicBool,
    /// What packages say of contents, and the files whose content is another.
    digests: Option<&'a Digests>,
    others: Mutex<Vec<PathBuf>>,
    linked: Linked,
    sink: &'a (dyn Fn(Folder) + Sync),
}

/// Looks at everything below the policy's roots and hands each folder to `sink`, from several threads and in no order. A
/// root that is not there is left out; other file systems below a root are named in their folder and not entered.
pub fn scan(policy: &Policy, options: Options, sink: &(dyn Fn(Folder) + Sync)) -> Summary {
    scan_beside(&AtomicBool::new(false), policy, options, None, sink).0
}

/// As [`scan`], but it ends early when `stop` is set; what it has seen by then is not all. What is read is compared with
/// `digests` on the way; answers too which files have a content that none of theirs fits.
pub fn scan_beside(
    stop: &AtomicBool,
    policy: &Policy,
    options: Options,
    digests: Option<&Digests>,
    sink: &(dyn Fn(Folder) + Sync),
) -> (Summary, Vec<PathBuf>) {
    let begun = Instant::now();
    // A root inside another one would be read twice.
    let roots = policy.roots.iter().filter(|root| {
        !policy.roots.iter().any(|other| other != *root && root.starts_with(other)) && policy.properties(root).is_some()
    });
    let tasks = roots.map(|root| Task::Root(root.clone())).collect();
    let scan = Scan {
        policy,
        options,
        queue: Mutex::new(Queue { tasks, running: 0 }),
        ready: Condvar::new(),
        budget: Mutex::new(Budget::new(options.bytes_per_second, begun.elapsed())),
        begun,
        counters: Counters::default(),
        stop,
        digests,
        others: Mutex::default(),
        linked: Linked::default(),
        sink,
    };
    std::thread::scope(|scope| {
        for _ in 0..options.threads.max(1) {
            scope.spawn(|| scan.work());
        }
    });
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let summary = Summary {
        folders: read(&scan.counters.folders),
        entries: read(&scan.counters.entries),
        hashed: read(&scan.counters.hashed),
        hashed_bytes: read(&scan.counters.hashed_bytes),
        errors: read(&scan.counters.errors),
    };
    (summary, scan.others.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Looks at one path, as a scan would; none where nothing is there or it is not looked at.
pub fn look(policy: &Policy, path: &Path) -> io::Result<Option<Record>> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(None) };
    if policy.properties(path).is_none() {
        return Ok(None);
    }
    let gone = |e: &io::Error| matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
    let fd = match inspect::open_path(parent) {
        Ok(fd) => fd,
        Err(e) if gone(&e) => return Ok(None),
        Err(e) => return Err(e),
    };
    let begun = Instant::now();
    let scan = Scan {
        policy,
        options: Options::default(),
        queue: Mutex::default(),
        ready: Condvar::new(),
        budget: Mutex::new(Budget::new(0, begun.elapsed())),
        begun,
        counters: Counters::default(),
        stop: &AtomicBool::new(false),
        digests: None,
        others: Mutex::default(),
        linked: Linked::default(),
        sink: &|_| {},
    };
    let open = Open { fd, path: parent.to_owned(), device: 0 };
    match scan.look(&open, &name.to_owned(), false, &mut vec![0; READ_BYTES]) {
        Ok(record) => Ok(Some(record)),
        Err(e) if gone(&e) => Ok(None),
        Err(e) => Err(e),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn count(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}

impl Scan<'_> {
    fn work(&self) {
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let mut queue = lock(&self.queue);
            let task = loop {
                if self.stop.load(Ordering::Relaxed) {
                    queue.tasks.clear();
                }
                if let Some(task) = queue.tasks.pop() {
                    queue.running += 1;
                    break task;
                }
                if queue.running == 0 {
                    // The others may still wait for tasks that were dropped.
                    self.ready.notify_all();
                    return;
                }
                queue = self.ready.wait(queue).unwrap_or_else(PoisonError::into_inner);
            };
            drop(queue);
            let more = match task {
                Task::Root(path) => self.root(&path),
                Task::Folder(parent, name) => self.folder(&parent, &name),
                Task::Files(pending, names) => self.files(&pending, &names, &mut buffer),
            };
            let mut queue = lock(&self.queue);
            queue.running -= 1;
            let wake = more.len() > 1 || (queue.running == 0 && more.is_empty() && queue.tasks.is_empty());
            queue.tasks.extend(more);
            drop(queue);
            if wake {
                self.ready.notify_all();
            }
        }
    }

    fn root(&self, path: &Path) -> Vec<Task> {
        match inspect::open_path(path) {
            Ok(fd) => self.list(fd, path.to_owned(), None),
            // A link is named in its folder, which is not ours here: `/bin` is `/usr/bin` on most systems.
            Err(e) if e.kind() == io::ErrorKind::NotFound || is_link(path) => Vec::new(),
            Err(e) => self.unreadable(path.to_owned(), &e),
        }
    }

    fn folder(&self, parent: &Open, name: &OsString) -> Vec<Task> {
        let path = parent.path.join(name);
        match inspect::open_folder(&parent.fd, name) {
            Ok(fd) => self.list(fd, path, Some(parent.device)),
            // It went away since it was listed.
            Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(e) => self.unreadable(path, &e),
        }
    }

    fn unreadable(&self, path: PathBuf, error: &io::Error) -> Vec<Task> {
        count(&self.counters.errors, 1);
        (self.sink)(Folder { path, entries: Vec::new(), error: Some(error.to_string()) });
        Vec::new()
    }

    /// Reads a folder and cuts it into tasks.
    fn list(&self, fd: OwnedFd, path: PathBuf, device_above: Option<u64>) -> Vec<Task> {
        let by_way = format!("/proc/self/fd/{}", fd.as_raw_fd());
        let device = match fs::metadata(&by_way) {
            Ok(metadata) => metadata.dev(),
            Err(e) => return self.unreadable(path, &e),
        };
        if device_above.is_some_and(|above| above != device) {
            return Vec::new();
        }
        let mut error = None;
        let mut entries: Vec<(u64, OsString, Sort)> = Vec::new();
        match fs::read_dir(&by_way) {
            Err(e) => return self.unreadable(path, &e),
            Ok(listed) => {
                for entry in listed.take(ENTRIES_PER_FOLDER_MAX + 1) {
                    match entry {
                        _ if entries.len() == ENTRIES_PER_FOLDER_MAX => error = Some("too many entries".to_owned()),
                        Ok(entry) => {
                            let name = entry.file_name();
                            if self.policy.properties(&join(&path, name.as_bytes())).is_some() {
                                entries.push((entry.ino(), name, Sort::of(&entry)));
                            }
                        }
                        Err(e) => error = Some(e.to_string()),
                    }
                }
            }
        }
        // In the order of their numbers they are about in the order in which they are on the disk.
        entries.sort_unstable();
        count(&self.counters.folders, 1);
        count(&self.counters.entries, entries.len() as u64);
        count(&self.counters.errors, u64::from(error.is_some()));
        let open = Arc::new(Open { fd, path, device });
        let mut tasks: Vec<Task> = entries
            .iter()
            .rev()
            .filter(|(_, _, sort)| *sort == Sort::Folder)
            .map(|(_, name, _)| Task::Folder(Arc::clone(&open), name.clone()))
            .collect();
        let named = |(_, name, sort): &(u64, OsString, Sort)| (name.clone(), *sort == Sort::Regular);
        let parts: Vec<Vec<(OsString, bool)>> =
            entries.chunks(FILES_PER_TASK).map(|part| part.iter().map(named).collect()).collect();
        let pending = Pending {
            open,
            entries: Mutex::new(Vec::with_capacity(entries.len())),
            left: AtomicUsize::new(parts.len()),
            error,
        };
        if parts.is_empty() {
            self.done(&pending);
            return tasks;
        }
        let pending = Arc::new(pending);
        tasks.extend(parts.into_iter().rev().map(|names| Task::Files(Arc::clone(&pending), names)));
        tasks
    }

    fn files(&self, pending: &Arc<Pending>, names: &[(OsString, bool)], buffer: &mut [u8]) -> Vec<Task> {
        let mut records = Vec::with_capacity(names.len());
        for (name, is_regular) in names {
            match self.look(&pending.open, name, *is_regular, buffer) {
                Ok(record) => records.push(record),
                // It went away since it was listed.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => {
                    count(&self.counters.errors, 1);
                    let mut record = Record::new(name.clone().into_vec(), Kind::Regular);
                    record.error = Some(e.to_string());
                    records.push(record);
                }
            }
        }
        lock(&pending.entries).append(&mut records);
        if pending.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.done(pending);
        }
        Vec::new()
    }

    fn done(&self, pending: &Pending) {
        let mut entries = std::mem::take(&mut *lock(&pending.entries));
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        (self.sink)(Folder { path: pending.open.path.clone(), entries, error: pending.error.clone() });
    }

    /// Looks at one entry. Where it is likely a file with content it is opened at once.
    fn look(&self, open: &Open, name: &OsString, is_regular: bool, buffer: &mut [u8]) -> io::Result<Record> {
        if is_regular
            && let Ok(file) = inspect::open_file(&open.fd, name)
            && let Ok(metadata) = file.metadata()
            && metadata.is_file()
        {
            let mut record = Record::new(name.clone().into_vec(), Kind::Regular);
            self.content(open, name, &file, metadata, &mut record, buffer)?;
            return Ok(record);
        }
        let by_way = open.by_way(name);
        let metadata = fs::symlink_metadata(&by_way)?;
        let Some(kind) = Kind::of_mode(metadata.mode()) else { return Err(io::ErrorKind::Unsupported.into()) };
        let mut record = Record::new(name.clone().into_vec(), kind);
        fill(&mut record, &metadata);
        match kind {
            Kind::Regular => match inspect::open_file(&open.fd, name) {
                Ok(file) => {
                    let metadata = file.metadata()?;
                    if !metadata.is_file() {
                        // Something else has taken its place: the next scan sees it.
                        return Err(io::ErrorKind::NotFound.into());
                    }
                    self.content(open, name, &file, metadata, &mut record, buffer)?;
                }
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(e),
                Err(e) => {
                    count(&self.counters.errors, 1);
                    record.error = Some(e.to_string());
                }
            },
            Kind::Folder => match inspect::open_folder(&open.fd, name).and_then(inspect::attributes) {
                Ok(attributes) => record.attributes = attributes,
                Err(e) => record.error = Some(e.to_string()),
            },
            Kind::Link => record.target = fs::read_link(&by_way)?.into_os_string().into_vec(),
            _ => {}
        }
        Ok(record)
    }

    /// Looks at a file that is open.
    fn content(
        &self,
        open: &Open,
        name: &OsString,
        file: &File,
        mut metadata: Metadata,
        record: &mut Record,
        buffer: &mut [u8],
    ) -> io::Result<()> {
        fill(record, &metadata);
        record.attributes = inspect::attributes(file)?;
        let path = join(&open.path, name.as_bytes());
        let wanted = self.policy.properties(&path);
        let limit = self.policy.hash_bytes_max;
        let hashes = wanted.is_some_and(|p| p.contains(&Property::Content)) && (limit == 0 || metadata.len() <= limit);
        if !hashes {
            return Ok(());
        }
        let said = self.digests.map(|digests| digests.of(&path)).unwrap_or_default();
        let slot = self.linked.of(&metadata);
        let mut slot = slot.as_deref().map(lock);
        let known = slot.as_deref().and_then(|slot| linked::known(slot.as_ref(), &metadata, &said)).cloned();
        let made = match known {
            Some(made) => Ok(made),
            None => self.read(file, &mut metadata, record, buffer, &said),
        };
        match made {
            Ok(made) => {
                (record.blake3, record.sha256) = (Some(made.blake3), Some(made.sha256));
                if record.error.is_none() {
                    if !made.fits(&said) {
                        lock(&self.others).push(path);
                    }
                    if let Some(slot) = &mut slot {
                        **slot = Some((metadata, made));
                    }
                }
            }
            Err(e) => record.error = Some(e.to_string()),
        }
        count(&self.counters.errors, u64::from(record.error.is_some()));
        Ok(())
    }

    /// Hashes a file, again if it changes meanwhile; what it is then is in `metadata` and `record`.
    fn read(
        &self,
        file: &File,
        metadata: &mut Metadata,
        record: &mut Record,
        buffer: &mut [u8],
        said: &[(Algorithm, &[u8])],
    ) -> io::Result<Made> {
        let drops = !self.options.fill_cache && !inspect::is_cached(file);
        if metadata.len() > READ_BYTES as u64 {
            inspect::will_read_once(file);
        }
        let mut made = self.hash(file, buffer, said);
        for attempt in 1.. {
            let after = file.metadata()?;
            if made.is_err() || linked::unchanged(metadata, &after) {
                break;
            }
            if attempt == ATTEMPTS_MAX {
                // What was read is told all the same: it is not what it was.
                record.error = Some("it changed while it was read".to_owned());
                break;
            }
            *metadata = after;
            fill(record, metadata);
            made = self.hash(file, buffer, said);
        }
        if drops {
            inspect::drop_cached(file);
        }
        made
    }

    /// The digests of a file: BLAKE3, SHA-256, and what packages say of it.
    fn hash(&self, file: &File, buffer: &mut [u8], said: &[(Algorithm, &[u8])]) -> io::Result<Made> {
        let (mut blake3, mut sha256) = (blake3::Hasher::new(), Sha256::new());
        // SHA-256 is made anyway.
        let mut algorithms: Vec<Algorithm> =
            said.iter().map(|(of, _)| *of).filter(|of| *of != Algorithm::Sha256).collect();
        algorithms.sort_unstable();
        algorithms.dedup();
        let mut others: Vec<(Algorithm, Hash)> = algorithms.into_iter().map(|of| (of, Hash::new(of))).collect();
        let mut file = file;
        io::Seek::seek(&mut file, io::SeekFrom::Start(0))?;
        count(&self.counters.hashed, 1);
        loop {
            let length = match file.read(buffer) {
                Ok(0) => break,
                Ok(length) => length,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            self.pay(length as u64);
            blake3.update(&buffer[..length]);
            sha256.update(&buffer[..length]);
            others.iter_mut().for_each(|(_, hash)| hash.update(&buffer[..length]));
            count(&self.counters.hashed_bytes, length as u64);
        }
        Ok(Made {
            blake3: *blake3.finalize().as_bytes(),
            sha256: sha256.finalize().into(),
            others: others.into_iter().map(|(of, hash)| (of, hash.finish())).collect(),
        })
    }

    /// Waits as long as the budget says.
    fn pay(&self, bytes: u64) {
        if self.options.bytes_per_second > 0 {
            let wait = lock(&self.budget).take(bytes, self.begun.elapsed());
            std::thread::sleep(wait);
        }
    }
}

fn is_link(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|metadata| metadata.file_type().is_symlink())
}

fn fill(record: &mut Record, metadata: &Metadata) {
    let nanoseconds = |s: i64, ns: i64| s.saturating_mul(1_000_000_000).saturating_add(ns);
    record.mode = metadata.mode() & 0o7777;
    record.uid = metadata.uid();
    record.gid = metadata.gid();
    record.size = metadata.len();
    record.inode = metadata.ino();
    record.links = metadata.nlink();
    record.modified_ns = nanoseconds(metadata.mtime(), metadata.mtime_nsec());
    record.changed_ns = nanoseconds(metadata.ctime(), metadata.ctime_nsec());
    if matches!(record.kind, Kind::Block | Kind::Character) {
        record.device = metadata.rdev();
    }
}
