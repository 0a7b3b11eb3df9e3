//! A room in which a process locks itself up before it looks at what strangers wrote: no privileges, no way to new ones, no
//! files but those below given paths, no system calls but those that its work needs, and bounds of memory and time.
//!
//! It works on the process as a whole and cannot be undone. What a kernel does not have is said, not guessed: callers tell
//! whoever looks after the machine. It must never be called by a process that goes on to do anything else.
#![expect(unsafe_code, reason = "capabilities have no safe form in the standard library or in nix")]

mod calls;

use std::fs;
use std::io;
use std::path::PathBuf;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetStatus, Scope, path_beneath_rules,
};
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};

pub use calls::{Calls, no_more_code};

/// The newest form of landlock whose rights are asked for; an older kernel gives fewer.
const LANDLOCK: ABI = ABI::V6;
/// No kernel has more capabilities.
const CAPABILITIES_MAX: libc::c_ulong = 63;

/// An argument of `prctl` that is not used.
const NONE: libc::c_ulong = 0;

/// What is left to a process. What is not named is gone.
#[derive(Clone, Debug)]
pub struct Room {
    /// Number of the user and group to become, where the process is root.
    pub user: Option<u32>,
    /// What it may beyond other users; as far as it may now.
    pub keeps: &'static [Capability],
    /// Whether the file system is closed but for what follows. Whoever is closed in cannot look into other processes,
    /// whatever it may otherwise: where their files and descriptors are wanted, its system calls alone bind it.
    pub closed: bool,
    /// Files and folders that may be read, with all that is below.
    pub readable: Vec<PathBuf>,
    /// Folders in which files may be made, changed and removed.
    pub writable: Vec<PathBuf>,
    /// Which system calls are left.
    pub calls: Calls,
    /// Bytes of address space; 0 for no bound.
    pub memory_bytes: u64,
    /// Seconds of processor time, after which the kernel kills it; 0 for no bound.
    pub cpu_s: u64,
    /// Open files.
    pub files: u64,
    /// Bytes of a file that is written.
    pub file_bytes: u64,
    /// The kernel kills it when the thread that started it ends.
    pub ends_with_parent: bool,
}

/// A right that a process keeps (capabilities(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// To read every file and to look into every folder.
    ReadFiles = 2,
    /// To look into other processes.
    LookIntoProcesses = 19,
}

/// How far landlock goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paths {
    /// It was not asked for.
    Unasked,
    /// All that was asked for.
    Closed,
    /// The kernel knows some of it.
    Partly,
    /// The kernel has no landlock.
    Open,
}

/// What holds from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// It is another user than it was.
    pub user: Option<u32>,
    /// It has no capability but those that it keeps.
    pub powerless: bool,
    /// What of the file system is closed to it.
    pub paths: Paths,
    /// System calls are filtered.
    pub calls: bool,
}

impl Held {
    /// What a process is confined by less than was asked for, in words; none where nothing is missing.
    pub fn missing(&self) -> Vec<&'static str> {
        let missing = [
            (self.user.is_none(), "it has no user of its own"),
            (!self.powerless, "it keeps capabilities"),
            (self.paths == Paths::Partly, "landlock of this kernel knows only part of what is asked of it"),
            (self.paths == Paths::Open, "this kernel has no landlock"),
            (!self.calls, "this kernel does not filter system calls"),
        ];
        missing.into_iter().filter(|(is, _)| *is).map(|(_, text)| text).collect()
    }
}

/// Locks this process up. It must have one thread: the kernel would leave others as they are.
pub fn confine(room: &Room) -> io::Result<Held> {
    if fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::other("a process with several threads cannot be confined"));
    }
    prctl::set_no_new_privs()?;
    for (resource, value) in [(Resource::RLIMIT_AS, room.memory_bytes), (Resource::RLIMIT_CPU, room.cpu_s)] {
        if value > 0 {
            setrlimit(resource, value, value)?;
        }
    }
    setrlimit(Resource::RLIMIT_NOFILE, room.files, room.files)?;
    setrlimit(Resource::RLIMIT_FSIZE, room.file_bytes, room.file_bytes)?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    // The rules hold folders that perhaps only root can open.
    let paths = if room.closed { landlock(room)? } else { Paths::Unasked };
    // Of what it does not have now, nothing can stay.
    let keeps = capabilities() & room.keeps.iter().fold(0, |bits, one| bits | 1 << *one as u32);
    if keeps != 0 {
        prctl::set_keepcaps(true)?;
    }
    let user = become_user(room.user);
    let powerless = keep_capabilities(keeps);
    // A change of user forgets both.
    prctl::set_dumpable(false)?;
    if room.ends_with_parent {
        prctl::set_pdeathsig(Signal::SIGKILL)?;
    }
    let calls = calls::filter(room.calls)?;
    Ok(Held { user, powerless, paths, calls })
}

fn landlock(room: &Room) -> io::Result<Paths> {
    let reading = AccessFs::ReadFile | AccessFs::ReadDir;
    // Programs are no files to write, and devices, sockets and pipes are none either.
    let writing = reading
        | AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeReg
        | AccessFs::MakeDir
        | AccessFs::RemoveFile
        | AccessFs::RemoveDir
        | AccessFs::Refer;
    let closed = || {
        let rules = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(LANDLOCK))?
            .handle_access(AccessNet::from_all(LANDLOCK))?
            .scope(Scope::from_all(LANDLOCK))?;
        rules
            .create()?
            .add_rules(path_beneath_rules(&room.readable, reading))?
            .add_rules(path_beneath_rules(&room.writable, writing))?
            .restrict_self()
    };
    let status = closed().map_err(io::Error::other)?;
    Ok(match status.ruleset {
        RulesetStatus::FullyEnforced => Paths::Closed,
        RulesetStatus::PartiallyEnforced => Paths::Partly,
        RulesetStatus::NotEnforced => Paths::Open,
    })
}

/// Becomes the user, without any group beside its own; none where that is not permitted, or the number does not exist here.
fn become_user(wanted: Option<u32>) -> Option<u32> {
    let number = wanted?;
    // Capabilities beyond ours cannot come back by way of a program either; without the right to drop them there is none.
    for capability in 0..=CAPABILITIES_MAX {
        // SAFETY: the call takes numbers alone.
        unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, NONE, NONE, NONE) };
    }
    let (user, group) = (Uid::from_raw(number), Gid::from_raw(number));
    let changed =
        setgroups(&[]).and_then(|()| setresgid(group, group, group)).and_then(|()| setresuid(user, user, user));
    changed.ok().map(|()| number)
}

#[repr(C)]
struct CapabilityHeader {
    version: u32,
    pid: libc::c_int,
}

#[repr(C)]
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct CapabilitySet {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Version 3 of the calls, with 64 bits in two halves (linux/capability.h).
const CAPABILITY_VERSION: u32 = 0x2008_0522;

const fn header() -> CapabilityHeader {
    CapabilityHeader { version: CAPABILITY_VERSION, pid: 0 }
}

/// The capabilities that are permitted now, as bits.
fn capabilities() -> u64 {
    let (mut header, mut sets) = (header(), [CapabilitySet::default(); 2]);
    // SAFETY: both are of the form that the version says, live through the call, and only the kernel writes to them.
    let asked = unsafe { libc::syscall(libc::SYS_capget, &raw mut header, sets.as_mut_ptr()) };
    if asked == 0 { u64::from(sets[1].permitted) << 32 | u64::from(sets[0].permitted) } else { 0 }
}

/// Gives up every capability but these; whether none else is left.
fn keep_capabilities(bits: u64) -> bool {
    let set = |bits: u32| CapabilitySet { effective: bits, permitted: bits, inheritable: 0 };
    let wanted = [set(bits as u32), set((bits >> 32) as u32)];
    let (mut header, mut sets) = (header(), [CapabilitySet { effective: 1, permitted: 1, inheritable: 1 }; 2]);
    // SAFETY: both are of the form that the version says, live through the calls, and only `capget` writes to them.
    let asked = unsafe {
        libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as libc::c_ulong, NONE, NONE, NONE);
        libc::syscall(libc::SYS_capset, &raw mut header, wanted.as_ptr());
        libc::syscall(libc::SYS_capget, &raw mut header, sets.as_mut_ptr())
    };
    asked == 0 && sets == wanted
}
