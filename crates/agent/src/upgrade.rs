//! Another version of this program: fetched over the standing connection, checked against a key that is pinned on the
//! machine, started beside the one that runs, and kept only where it reaches the server by itself. The program before never
//! goes away while the new one is on trial, and nothing points to the new one before it has proved itself: whatever happens
//! in between, a reboot too, starts the old one.
//!
//! Who is on trial runs as a child of its [`guard`], which is the old program. What both know of each other stands in files.

mod books;
mod guard;
mod note;
mod place;
mod sign;
mod work;

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

pub use books::{Books, Kept, Program, State, Trial, Untold};
pub use guard::guard;
pub use note::{version, version_in};
pub use place::{Place, digest};
pub use sign::sign_release;
pub(crate) use work::Upgrader;

/// Set for a program that is on trial.
pub(crate) const TRIAL: &str = "GUARDIAN_AGENT_TRIAL";

fn arguments() -> impl Iterator<Item = OsString> {
    std::env::args_os().skip(1)
}

/// The path of the program that runs.
fn own_path() -> io::Result<std::path::PathBuf> {
    std::env::current_exe()?.canonicalize()
}

/// Goes on as the version that was kept last, where that is newer than this program: whoever starts agents by hand need not
/// know where it is. Returns where there is none.
pub fn go_on_as_kept(home: &Path) -> io::Result<()> {
    if std::env::var_os(TRIAL).is_some() {
        return Ok(());
    }
    let Some(kept) = Books::of(home).read()?.kept else { return Ok(()) };
    let path = kept.program.path;
    let newer = guardian_protocol::release::Version::parse(&kept.program.version)
        > guardian_protocol::release::Version::parse(version());
    if !newer || path == own_path()? || digest(&path).ok() != Some(kept.program.sha256) {
        return Ok(());
    }
    Err(Command::new(&path).args(arguments()).exec())
}

/// Becomes the guard of the version that is to be tried; returns only where that is impossible.
pub fn become_guard(home: &Path) -> io::Error {
    if std::env::var_os(TRIAL).is_some() {
        return io::Error::other("a program on trial tries no other");
    }
    // By the descriptor of the running program: what is at its path now may be another.
    let mut command = Command::new("/proc/self/exe");
    command.arg("--dir").arg(home).arg("upgrade-guard").arg("--").args(arguments()).env_remove(TRIAL).exec()
}
