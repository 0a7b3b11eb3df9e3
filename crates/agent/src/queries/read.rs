//! How tables read files of the machine: bounded, and without complaint where there is nothing.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use guardian_inventory::accounts::{self, User};

/// Bytes of a small file that are read.
const TEXT_BYTES_MAX: u64 = 8 << 20;
/// Bytes of a database that are read.
const DATABASE_BYTES_MAX: u64 = 256 << 20;

fn bounded(path: impl AsRef<Path>, most: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes)).ok()?;
    Some(bytes)
}

/// The bytes of a small file; none where it cannot be read.
pub(super) fn bytes(path: impl AsRef<Path>) -> Option<Vec<u8>> {
    bounded(path, TEXT_BYTES_MAX)
}

/// The bytes of a database.
pub(super) fn database(path: impl AsRef<Path>) -> Option<Vec<u8>> {
    bounded(path, DATABASE_BYTES_MAX)
}

/// A small file as text; empty where it cannot be read.
pub(super) fn text(path: impl AsRef<Path>) -> String {
    String::from_utf8_lossy(&bytes(path).unwrap_or_default()).into_owned()
}

/// The first line of a small file, trimmed.
pub(super) fn line(path: impl AsRef<Path>) -> String {
    text(path).lines().next().unwrap_or_default().trim().to_owned()
}

/// The names in a folder, sorted.
pub(super) fn names(path: impl AsRef<Path>) -> Vec<String> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort_unstable();
    names
}

/// Where a link leads, as text; empty where there is none.
pub(super) fn link(path: impl AsRef<Path>) -> String {
    fs::read_link(path).map(|to| to.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The users of the machine.
pub(super) fn users() -> Vec<User> {
    accounts::parse_passwd(&bytes("/etc/passwd").unwrap_or_default()).entries
}

/// The users of the machine, or the one with this number.
pub(super) fn users_of(uid: Option<i64>) -> Vec<User> {
    let mut users = users();
    users.retain(|user| uid.is_none_or(|uid| i64::from(user.uid) == uid));
    users
}

/// The lines of a configuration file without comments and blank ones; each with what its comment says.
pub(super) fn configured(path: impl AsRef<Path>) -> Vec<(String, String)> {
    let split = |line: &str| {
        let (said, comment) = line.split_once('#').unwrap_or((line, ""));
        (said.trim().to_owned(), comment.trim().to_owned())
    };
    text(path).lines().map(split).filter(|(said, _)| !said.is_empty()).collect()
}

/// A program of the system whose words a table shows.
pub(super) struct Program {
    /// Where it may be.
    paths: [&'static str; 2],
    arguments: fn() -> Vec<String>,
    /// What it said, once it was asked.
    said: OnceLock<Option<String>>,
}

impl Program {
    /// A program.
    pub(super) const fn new(paths: [&'static str; 2], arguments: fn() -> Vec<String>) -> Self {
        Self { paths, arguments, said: OnceLock::new() }
    }

    /// What it says, asked once in the life of a process; none where there is none, somebody else than root could have written
    /// it, or it fails.
    pub(super) fn said(&self) -> Option<&str> {
        self.said.get_or_init(|| self.ask()).as_deref()
    }

    fn ask(&self) -> Option<String> {
        let theirs = |path: &&&str| fs::metadata(path).is_ok_and(|m| m.uid() == 0 && m.mode() & 0o022 == 0);
        let program = self.paths.iter().find(theirs)?;
        let mut child = Command::new(program)
            .args((self.arguments)())
            .env_clear()
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut said = Vec::new();
        let read = child.stdout.take()?.take(TEXT_BYTES_MAX).read_to_end(&mut said);
        // Who says more than is read must not be waited for.
        if said.len() as u64 >= TEXT_BYTES_MAX {
            child.kill().ok();
        }
        let status = child.wait().ok()?;
        (read.is_ok() && status.success()).then(|| String::from_utf8_lossy(&said).into_owned())
    }
}
