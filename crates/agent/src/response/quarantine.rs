//! Files in quarantine: taken away by the folder they lie in, so that no link leads elsewhere, and kept sealed, so that nobody
//! runs them by accident. Owner, permissions, extended attributes, flags and times are kept beside, and given back.

use std::ffi::OsStr;
use std::fs::{self, File, FileTimes};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use data_encoding::HEXLOWER;
use guardian_evidence::{KEY_BYTES, Lock, Opener, Sealer, Unlock};
use guardian_protocol::message::{Action, Denied, Quarantine, Restore};
use guardian_sys::{disk, inspect, restore as give};
use ring::digest::{self, SHA256};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::books::Books;
use super::doing::{Doing, Done, Stop, denied, failed};
use super::{Options, write_whole};

/// Bytes that stay free on the disk whatever is taken.
const FREE_BYTES_MIN: u64 = 256 << 20;
/// The error numbers of links that are not followed (errno(3)).
const ELOOP: i32 = nix::errno::Errno::ELOOP as i32;
const ENOTDIR: i32 = nix::errno::Errno::ENOTDIR as i32;
/// What is never taken: it is no file, or the kernel's.
const NEVER: &[&str] = &["/proc", "/sys", "/dev", "/run/systemd", "/run/udev"];
/// What a machine may not start without, or nobody could sign in to. With force it is taken all the same.
const CRITICAL: &[&str] = &[
    "/boot",
    "/efi",
    "/etc/passwd",
    "/etc/shadow",
    "/etc/group",
    "/etc/gshadow",
    "/etc/fstab",
    "/etc/nsswitch.conf",
    "/etc/pam.d",
    "/etc/ssh",
    "/etc/sudoers",
    "/etc/systemd/system.conf",
    "/usr/lib/systemd",
    "/lib/systemd",
    "/usr/lib/modules",
    "/usr/**/ld-linux*",
    "/usr/**/ld-musl*",
    "/usr/**/libc.so*",
    "/usr/**/libc-*.so",
    "/usr/**/security/pam_*.so",
    "/lib/**/ld-*",
    "/lib64/ld-*",
    "/lib/**/libc.so*",
    "/usr/bin/*sh",
    "/usr/bin/busybox",
    "/bin/*sh",
    "/bin/busybox",
    "/bin/bb",
    "/usr/bin/env",
    "/usr/bin/login",
    "/usr/bin/su",
    "/usr/bin/sudo",
    "/usr/bin/mount",
    "/usr/bin/systemctl",
    "/usr/bin/journalctl",
    "/usr/sbin/init",
    "/sbin/init",
    "/usr/sbin/sshd",
    "/usr/sbin/nft",
];

/// What is known of a file that was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Taken {
    /// Where it was.
    path: PathBuf,
    /// When it was taken, in UTC microseconds.
    time: i64,
    /// Who decided it.
    by: String,
    bytes: u64,
    blake3: String,
    sha256: String,
    mode: u32,
    uid: u32,
    gid: u32,
    /// Seconds and nanoseconds.
    accessed: (i64, u32),
    modified: (i64, u32),
    attributes: Vec<(Vec<u8>, Vec<u8>)>,
    /// Flags of chattr(1).
    flags: Option<u32>,
    /// Its place on the disk, by which an interrupted taking is finished.
    device: u64,
    inode: u64,
    /// What the copy is sealed with. It keeps the copy from being run, not from root.
    key: [u8; KEY_BYTES],
    /// Whether it is gone from where it was.
    gone: bool,
}

fn sealed_path(books: &Books, id: &[u8; 16]) -> PathBuf {
    books.quarantine().join(format!("{}.sealed", HEXLOWER.encode(id)))
}

fn notes_path(books: &Books, id: &[u8; 16]) -> PathBuf {
    books.quarantine().join(format!("{}.json", HEXLOWER.encode(id)))
}

/// The folder of a path and the name in it. What the folder really is must be what the path says.
fn folder_of(path: &Path) -> Result<(OwnedFd, &OsStr), Stop> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return denied(Denied::Malformed, "it has no folder");
    };
    let folder = match inspect::open_path(parent) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return denied(Denied::NotFound, "it is not there"),
        // What a link in the place of the folder gives.
        Err(error) if matches!(error.raw_os_error(), Some(ELOOP | ENOTDIR)) => {
            return denied(Denied::Changed, format!("{} is a link, or no folder", parent.display()));
        }
        folder => folder.map_err(failed(parent.display()))?,
    };
    let real = fs::read_link(format!("/proc/self/fd/{}", folder.as_raw_fd()))?;
    if real != parent {
        let text = format!("links lead elsewhere: its folder is {}", real.display());
        return denied(Denied::Changed, text);
    }
    Ok((folder, name))
}

/// Why a file must not be taken; with force only what is worse than a machine that does not start.
fn why_not(options: &Options, path: &Path, file: &File, force: bool) -> Option<String> {
    if NEVER.iter().any(|never| path.starts_with(never)) {
        return Some("it belongs to the kernel or the running system".to_owned());
    }
    let home = fs::canonicalize(&options.home).unwrap_or_else(|_| options.home.clone());
    if path.starts_with(&home) || path.starts_with(&options.home) {
        return Some("it belongs to the agent".to_owned());
    }
    let same = |other: &Path| {
        let (Ok(one), Ok(other)) = (file.metadata(), fs::metadata(other)) else { return false };
        (one.dev(), one.ino()) == (other.dev(), other.ino())
    };
    if same(Path::new("/proc/self/exe")) {
        return Some("it is the agent".to_owned());
    }
    if force {
        return None;
    }
    if same(Path::new("/proc/1/exe")) {
        return Some("it is the system's first process; force takes it all the same".to_owned());
    }
    let path = path.as_os_str().as_encoded_bytes();
    let critical = CRITICAL.iter().any(|pattern| crate::files::fits(pattern.as_bytes(), path));
    critical.then(|| "the system may not work without it; force takes it all the same".to_owned())
}

struct Copied {
    bytes: u64,
    blake3: blake3::Hash,
    sha256: String,
}

/// Copies a file from its beginning to its end, and hashes it on the way.
fn copy(file: &mut File, to: &mut dyn io::Write, doing: &Doing<'_>) -> Result<Copied, Stop> {
    file.seek(SeekFrom::Start(0))?;
    let (mut blake3, mut sha256, mut bytes) = (blake3::Hasher::new(), digest::Context::new(&SHA256), 0);
    let mut buffer = vec![0; 256 << 10];
    loop {
        doing.go_on()?;
        let count = file.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        blake3.update(&buffer[..count]);
        sha256.update(&buffer[..count]);
        to.write_all(&buffer[..count])?;
        bytes += count as u64;
    }
    Ok(Copied { bytes, blake3: blake3.finalize(), sha256: HEXLOWER.encode(sha256.finish().as_ref()) })
}

fn shape(file: &File) -> io::Result<(u64, i64, i64, i64, i64)> {
    let meta = file.metadata()?;
    Ok((meta.len(), meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()))
}

/// Why a file with another hash stays.
const ANOTHER: &str = "its content is not what it was to be";

/// Refuses what is no file, what must stay, and what there is no room for.
fn may_be_taken(
    options: &Options,
    books: &Books,
    (path, file, meta): (&Path, &File, &fs::Metadata),
    force: bool,
) -> Result<(), Stop> {
    if !meta.is_file() {
        return denied(Denied::Changed, "it is no regular file");
    }
    if let Some(why) = why_not(options, path, file, force) {
        return denied(Denied::Protected, why);
    }
    let free = disk::space(&books.quarantine())?.available_bytes;
    if meta.len().saturating_add(FREE_BYTES_MIN) > free {
        return Err(Stop::Failed(format!("{} bytes do not fit on the disk: {free} are free", meta.len())));
    }
    Ok(())
}

/// What is kept of a file that is to be taken away.
fn as_it_is(path: &Path, file: &File, meta: &fs::Metadata, doing: &Doing<'_>) -> io::Result<Taken> {
    Ok(Taken {
        path: path.to_owned(),
        time: crate::now(),
        by: doing.by.to_owned(),
        mode: meta.mode() & 0o7777,
        uid: meta.uid(),
        gid: meta.gid(),
        accessed: (meta.atime(), meta.atime_nsec() as u32),
        modified: (meta.mtime(), meta.mtime_nsec() as u32),
        attributes: inspect::attributes(file)?,
        flags: give::flags(file)?,
        device: meta.dev(),
        inode: meta.ino(),
        key: rand::random(),
        ..Taken::default()
    })
}

/// Takes a file away.
pub(crate) fn take(options: &Options, books: &Books, wanted: &Quarantine, doing: &mut Doing<'_>) -> Result<Done, Stop> {
    let path = Path::new(&wanted.path);
    let (folder, name) = folder_of(path)?;
    let mut file = match inspect::open_file(&folder, name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return denied(Denied::NotFound, "it is not there"),
        // What a link at the end gives.
        Err(error) if error.raw_os_error() == Some(ELOOP) => return denied(Denied::Changed, "it is a link"),
        file => file.map_err(failed(path.display()))?,
    };
    let meta = file.metadata()?;
    may_be_taken(options, books, (path, &file, &meta), wanted.force)?;
    let mut taken = as_it_is(path, &file, &meta, doing)?;
    let fits = |copied: &Copied| {
        let hash = HEXLOWER.encode(&wanted.hash.0);
        hash.is_empty() || hash == copied.blake3.to_hex().as_str() || hash == copied.sha256
    };
    let names = |more: u64| format!("it has {more} more names, which stay");
    let note = meta.nlink().checked_sub(1).filter(|more| *more > 0).map(names).unwrap_or_default();
    if doing.dry {
        let copied = copy(&mut file, &mut io::sink(), doing)?;
        if !fits(&copied) {
            return denied(Denied::Changed, ANOTHER);
        }
        doing.step("hash", copied.blake3.to_hex().as_str(), format!("BLAKE3 of {} bytes", copied.bytes));
        let kept = "into the agent's keeping, with owner, permissions, attributes and times";
        doing.step("seal", HEXLOWER.encode(&doing.id), kept);
        doing.step("remove", &wanted.path, note);
        return Ok(Done::new(format!("{} would be taken away", wanted.path)));
    }
    let sealed = sealed_path(books, &doing.id);
    let before = shape(&file)?;
    let copied = seal(&mut file, &sealed, &taken.key, doing).inspect_err(|_| drop(fs::remove_file(&sealed)))?;
    let unchanged = shape(&file)? == before;
    if !unchanged || !fits(&copied) {
        fs::remove_file(&sealed)?;
        return denied(Denied::Changed, if unchanged { ANOTHER } else { "it changed while it was read" });
    }
    (taken.bytes, taken.sha256) = (copied.bytes, copied.sha256);
    taken.blake3 = copied.blake3.to_hex().to_string();
    // From here on the copy counts: what is interrupted now is finished at the next start.
    let notes = notes_path(books, &doing.id);
    write_whole(&notes, &serde_json::to_vec_pretty(&taken).map_err(io::Error::from)?)?;
    doing.step("hash", &taken.blake3, format!("BLAKE3 of {} bytes", taken.bytes));
    doing.step("hash", &taken.sha256, "SHA-256");
    doing.step("seal", HEXLOWER.encode(&doing.id), "into the agent's keeping");
    if let Err(stop) = remove(&taken, &folder, name, &file) {
        fs::remove_file(&notes)?;
        fs::remove_file(&sealed)?;
        return Err(stop);
    }
    taken.gone = true;
    write_whole(&notes, &serde_json::to_vec_pretty(&taken).map_err(io::Error::from)?)?;
    doing.step("remove", &wanted.path, note);
    let undo = Restore { command: doing.id, ..Restore::default() };
    Ok(Done::new(format!("{} was taken away", wanted.path)).undone_by(Action::Restore(undo)))
}

fn seal(file: &mut File, to: &Path, key: &[u8; KEY_BYTES], doing: &Doing<'_>) -> Result<Copied, Stop> {
    let out = File::options().write(true).create(true).truncate(true).mode(0o600).open(to)?;
    let lock = Lock::Shared { secret: Zeroizing::new(*key), salt: rand::random() };
    let broken = |error: guardian_evidence::EvidenceError| Stop::Failed(error.to_string());
    let mut sealer = Sealer::new(out, &lock).map_err(broken)?;
    let copied = copy(file, &mut sealer, doing)?;
    sealer.finish()?.sync_all()?;
    Ok(copied)
}

/// Removes the name, if it is still that of the file that was read.
fn remove(taken: &Taken, folder: &OwnedFd, name: &OsStr, file: &File) -> Result<(), Stop> {
    let now = inspect::open_file(folder, name).and_then(|now| now.metadata());
    if !now.is_ok_and(|now| (now.dev(), now.ino()) == (taken.device, taken.inode)) {
        return denied(Denied::Changed, "another file has its name by now");
    }
    let guarded = taken.flags.unwrap_or(0) & (give::IMMUTABLE | give::APPEND_ONLY);
    if guarded != 0 {
        give::set_flags(file, taken.flags.unwrap_or(0) & !guarded).map_err(failed("its flags cannot be taken off"))?;
    }
    give::remove_in(folder.as_fd(), name).map_err(failed("it cannot be removed"))?;
    Ok(File::from(folder.try_clone()?).sync_all()?)
}

/// Finishes takings that were interrupted between the copy and the removal.
pub(crate) fn finish_interrupted(books: &Books) -> io::Result<Vec<String>> {
    let mut complaints = Vec::new();
    for entry in fs::read_dir(books.quarantine())?.flatten() {
        let notes = entry.path();
        if notes.extension() != Some(OsStr::new("json")) {
            continue;
        }
        let Ok(mut taken) = serde_json::from_slice::<Taken>(&fs::read(&notes)?) else {
            complaints.push(format!("response: {} cannot be read", notes.display()));
            continue;
        };
        if taken.gone {
            continue;
        }
        let path = taken.path.clone();
        let finished = folder_of(&path).and_then(|(folder, name)| {
            let file = inspect::open_file(&folder, name)?;
            remove(&taken, &folder, name, &file)
        });
        // Whatever has the name now, it is not what was taken.
        if let Err(stop) = finished {
            complaints.push(format!("response: the taking of {} was interrupted: {stop}", path.display()));
        }
        taken.gone = true;
        write_whole(&notes, &serde_json::to_vec_pretty(&taken)?)?;
    }
    Ok(complaints)
}

fn time((seconds, nanoseconds): (i64, u32)) -> Option<SystemTime> {
    let since = Duration::new(seconds.unsigned_abs(), 0);
    let whole = if seconds < 0 { UNIX_EPOCH.checked_sub(since) } else { UNIX_EPOCH.checked_add(since) };
    whole?.checked_add(Duration::from_nanos(u64::from(nanoseconds)))
}

/// Puts a file back.
pub(crate) fn restore(books: &Books, wanted: &Restore, doing: &mut Doing<'_>) -> Result<Done, Stop> {
    let notes = notes_path(books, &wanted.command);
    let taken: Taken = match fs::read(&notes) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return denied(Denied::NotFound, "that command took no file, or it was put back already");
        }
        bytes => serde_json::from_slice(&bytes?).map_err(io::Error::from)?,
    };
    let path = if wanted.path.is_empty() { taken.path.clone() } else { PathBuf::from(&wanted.path) };
    let (folder, name) = folder_of(&path)?;
    let there = inspect::open_file(&folder, name);
    let there = !matches!(&there, Err(error) if error.kind() == io::ErrorKind::NotFound);
    if there && !wanted.force {
        return denied(Denied::Changed, format!("{} is there already; force replaces it", path.display()));
    }
    let shown = path.display().to_string();
    doing.step("open", HEXLOWER.encode(&wanted.command), format!("{} bytes, BLAKE3 {}", taken.bytes, taken.blake3));
    doing.step(if there { "replace" } else { "write" }, &shown, "with owner, permissions, attributes and times");
    if doing.dry {
        return Ok(Done::new(format!("{shown} would be put back")));
    }
    let fresh = format!(".guardian-{}", HEXLOWER.encode(&doing.id));
    let file = give::create_in(folder.as_fd(), OsStr::new(&fresh)).map_err(failed(&shown))?;
    let written = fill(&sealed_path(books, &wanted.command), &taken, file, doing)
        .and_then(|file| Ok((give::rename_in(folder.as_fd(), OsStr::new(&fresh), name, wanted.force)?, file)));
    let file = match written {
        Ok(((), file)) => file,
        Err(stop) => {
            give::remove_in(folder.as_fd(), OsStr::new(&fresh)).ok();
            return Err(stop);
        }
    };
    if let Some(flags) = taken.flags.filter(|flags| flags & (give::IMMUTABLE | give::APPEND_ONLY) != 0) {
        give::set_flags(&file, flags).map_err(failed("its flags cannot be set"))?;
    }
    File::from(folder.try_clone()?).sync_all()?;
    fs::remove_file(&notes)?;
    fs::remove_file(sealed_path(books, &wanted.command))?;
    Ok(Done::new(format!("{shown} was put back")))
}

/// Writes the content and gives the file all that it had. Only what is whole is put in place.
fn fill(sealed: &Path, taken: &Taken, mut file: File, doing: &Doing<'_>) -> Result<File, Stop> {
    let unlock = Unlock::Shared(Zeroizing::new(taken.key));
    let broken = |error: guardian_evidence::EvidenceError| Stop::Failed(error.to_string());
    let mut opener = Opener::new(File::open(sealed)?, &unlock).map_err(broken)?;
    let (mut hash, mut buffer) = (blake3::Hasher::new(), vec![0; 64 << 10]);
    loop {
        doing.go_on()?;
        let count = opener.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        hash.update(&buffer[..count]);
        file.write_all(&buffer[..count])?;
    }
    if hash.finalize().to_hex().as_str() != taken.blake3 {
        return Err(Stop::Failed("what was kept is not what was taken".to_owned()));
    }
    // The owner first: changing it takes capabilities and set-user bits away.
    fchown(&file, Some(taken.uid), Some(taken.gid)).map_err(failed("its owner cannot be set"))?;
    file.set_permissions(fs::Permissions::from_mode(taken.mode))?;
    for (name, value) in &taken.attributes {
        let shown = String::from_utf8_lossy(name).into_owned();
        give::set_attribute(&file, name, value).map_err(failed(format!("`{shown}` cannot be set")))?;
    }
    if let (Some(accessed), Some(modified)) = (time(taken.accessed), time(taken.modified)) {
        file.set_times(FileTimes::new().set_accessed(accessed).set_modified(modified))?;
    }
    file.sync_all()?;
    Ok(file)
}
