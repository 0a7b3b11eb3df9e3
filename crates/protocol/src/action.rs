//! What the server may have an agent do: every action with its arguments, what came of it, and why it was refused. The same
//! types travel in frames and stand in the API's JSON, where an action is `{"kind": "kill", "pid": 4711, …}`.
//!
//! [`Action::check`] says whether arguments are within bounds, on both sides: whoever asks learns it before anything is
//! sent, and the agent believes nobody. What a machine is really like is no business of this module.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::limits::{
    ARGUMENT_BYTES_MAX, KEEP_MAX, PACK_BYTES_MAX, PATH_BYTES_MAX, PATTERNS_MAX, RULES_BYTES_MAX, SCANNED_BYTES_MAX,
    SCRIPT_BYTES_MAX, SCRIPT_LIST_MAX, STANDING_SECONDS_MAX,
};
use crate::wire::{Blob, Budget, Value as _, WireError, choice, code, message};

/// What [`Collect::parts`] may name.
pub const PARTS: &[&str] = &["processes", "maps", "files", "sockets", "persistence", "timeline"];
/// What is signed begins with it, so that a signature is never worth anything elsewhere.
const SCRIPT_CONTEXT: &[u8] = b"guardian script v1\0";
/// Bytes of the name of a user (useradd(8)).
const USER_BYTES_MAX: usize = 32;
/// Bytes of a reason or a name for people.
const WORDS_BYTES_MAX: usize = 1_000;

code! {
    /// Why a command was refused.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    Denied {
        /// It was not, or for a reason that this version does not know.
        Other,
        /// An action that this version does not know.
        1 Unknown,
        /// An argument is out of bounds.
        2 Malformed,
        /// It came too late.
        3 Expired,
        /// It runs code, and no key is pinned on this machine.
        4 NoKey,
        /// It runs code, and its signature is missing or wrong.
        5 Signature,
        /// It was signed for other machines.
        6 OtherHost,
        /// It was signed to run once, and it did.
        7 Repeated,
        /// It would hit what must not be hit: the agent, the system's first process, the way to the server.
        8 Protected,
        /// What it is about is not there, or is another by now.
        9 NotFound,
        /// What it is about changed, or there is something in its place.
        10 Changed,
        /// The machine lacks what it takes: a program, a right, a feature of the kernel.
        11 Unsupported,
        /// Too much is being done already, or too much stands.
        12 Busy,
        /// The machine's owner has switched it off there.
        13 SwitchedOff,
    }
}

message! {
    /// Talk to the server only. Set again it replaces the one before.
    #[derive(Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    Isolate {
        /// Ends by itself after this long; 0 for never.
        1 seconds: u64,
        /// Addresses and networks that stay reachable.
        2 keep: Vec<String>,
        /// Close the way to name servers as well: the server is found at the addresses that it has now.
        3 no_dns: bool,
    }
    /// End the isolation.
    #[derive(Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    Release {
        /// Why, for the host's own log.
        1 reason: String,
    }
    /// Block an address or network, in all directions.
    #[derive(Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    Block {
        /// Address or prefix.
        1 address: String,
        /// Ends by itself after this long; 0 for never.
        2 seconds: u64,
    }
    /// End a block.
    #[derive(Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    Unblock {
        /// The address or prefix that was blocked.
        1 address: String,
    }
    /// Kill a process.
    #[derive(Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    Kill {
        /// Its number.
        1 pid: u32,
        /// When it started, in clock ticks since boot: another process with the same number is not killed.
        2 start_ticks: u64,
        /// Its children too.
        3 tree: bool,
        /// Ask first (SIGTERM), and kill what is left after some seconds.
        4 gently: bool,
        /// Identifier of that boot, as `/proc/sys/kernel/random/boot_id` has it; empty for not known.
        5 boot: String,
    }
    /// Stop a process where it stands (SIGSTOP).
    #[derive(Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    Suspend {
        /// Its number.
        1 pid: u32,
        /// When it started, in clock ticks since boot.
        2 start_ticks: u64,
        /// Its children too.
        3 tree: bool,
        /// Identifier of that boot; empty for not known.
        4 boot: String,
    }
    /// Let a stopped process go on.
    #[derive(Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    Resume {
        /// Its number.
        1 pid: u32,
        /// When it started, in clock ticks since boot.
        2 start_ticks: u64,
        /// Its children too.
        3 tree: bool,
        /// Identifier of that boot; empty for not known.
        4 boot: String,
    }
    /// Take a file away into the agent's keeping.
    #[derive(Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    Quarantine {
        /// Its path, with no link in it.
        1 path: String,
        /// BLAKE3 or SHA-256 that it must have; empty for any.
        #[serde(with = "crate::json::hex_blob")]
        2 hash: Blob,
        /// Though the system may need it.
        3 force: bool,
    }
    /// Put a file back.
    #[derive(Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    Restore {
        /// The command that took it.
        #[serde(with = "crate::json::hex_id")]
        1 command: [u8; 16],
        /// Where to; empty for where it was.
        2 path: String,
        /// Replace what is there now.
        3 force: bool,
    }
    /// Lock an account: no password, no key and no other way lets it in.
    #[derive(Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    DisableUser {
        /// Its name.
        1 name: String,
        /// End its processes.
        2 sessions: bool,
    }
    /// Unlock an account that was locked.
    #[derive(Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    EnableUser {
        /// Its name.
        1 name: String,
    }
    /// Run a script that was signed with the offline key. [`Script::statement`] is what is signed.
    #[derive(Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    Script {
        /// Program that reads it, such as `/bin/sh`.
        1 interpreter: String,
        /// The script.
        2 text: String,
        /// Ed25519 over the statement.
        #[serde(with = "crate::json::base64_blob")]
        3 signature: Blob,
        /// Its arguments.
        4 arguments: Vec<String>,
        /// Ids of the hosts that it is for; none for any.
        5 hosts: Vec<String>,
        /// Not begun later than this, by the machine's clock, in UTC microseconds.
        6 expires: i64,
        /// What it is for, in words.
        7 purpose: String,
        /// Runs once on each machine, whoever sends it again.
        8 once: bool,
    }
    /// Collect evidence into a pack that only the holder of a key can open.
    #[derive(Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    Collect {
        /// What, by the names of [`PARTS`]; none for all of them.
        1 parts: Vec<String>,
        /// Files, by path; `*` and `?` stand for what is within one name.
        2 files: Vec<String>,
        /// Not more than this, before compression; 0 for the agent's usual limit.
        3 bytes_max: u64,
        /// The X25519 key of who may open it (RFC 7748), unless one is pinned on the machine.
        #[serde(with = "crate::json::hex_key")]
        4 recipient: [u8; 32],
        /// Folders of the timeline; none for the usual ones.
        5 folders: Vec<String>,
        /// How far back the timeline goes, in days; 0 for a week.
        6 days: u32,
    }
    /// Let ClamAV look through files, where it is installed.
    #[derive(Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    Scan {
        /// Files and folders.
        1 paths: Vec<String>,
    }
    /// Let rules of YARA-X look through files, where its scanner lies beside the agent.
    #[derive(Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    Yara {
        /// The rules, in their own language.
        1 rules: String,
        /// Files and folders, with all that is below.
        2 paths: Vec<String>,
        /// Larger files are left out; 0 for 64 MiB.
        3 bytes_max: u64,
    }
    /// Read all watched files now, and compare them.
    #[derive(Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    Recheck {
        /// Why, for the host's own log.
        1 reason: String,
    }
    /// Approve changes of watched files: from then on they are how the files should be.
    #[derive(Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    Approve {
        /// Only what is at this path or below; empty for all of them.
        1 path: String,
        /// Only what was told until then, by the server's clock in UTC microseconds; 0 for when the command was given.
        2 until: i64,
        /// Why.
        3 reason: String,
    }
    /// Say how the agent and its machine are.
    #[derive(Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    Report {
        /// And send the whole inventory again.
        1 inventory: bool,
    }
    /// Undo what an earlier command did, by what the agent noted about it.
    #[derive(Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    Undo {
        /// The command.
        #[serde(with = "crate::json::hex_id")]
        1 command: [u8; 16],
    }

    /// One thing that was done, or would be.
    #[derive(Serialize, Deserialize)]
    #[serde(default)]
    Step {
        /// What, by a name that stays the same: `kill`, `stop`, `move`, `block` and so on.
        1 verb: String,
        /// To what.
        2 target: String,
        /// What else is to be known of it, for people.
        3 note: String,
    }
    /// Evidence that was collected and waits on the machine.
    #[derive(Serialize, Deserialize)]
    #[serde(default)]
    Pack {
        /// Length of the file.
        1 bytes: u64,
        /// BLAKE3 of the file.
        #[serde(with = "crate::json::hex_blob")]
        2 hash: Blob,
        /// What is in it.
        3 entries: u32,
        /// Its length before compression.
        4 raw_bytes: u64,
        /// What was left out for the limit, or could not be read.
        5 left_out: u32,
    }
}

choice! {
    /// What a command does.
    #[derive(Serialize, Deserialize)]
    #[serde(tag = "kind", rename_all = "snake_case")]
    Action {
        /// See [`Isolate`].
        1 Isolate(Isolate),
        /// See [`Release`].
        2 Release(Release),
        /// See [`Block`].
        3 Block(Block),
        /// See [`Kill`].
        4 Kill(Kill),
        /// See [`Quarantine`].
        5 Quarantine(Quarantine),
        /// See [`DisableUser`].
        6 DisableUser(DisableUser),
        /// See [`Script`].
        7 Script(Script),
        /// See [`Collect`].
        8 Collect(Collect),
        /// See [`Undo`].
        9 Undo(Undo),
        /// See [`Unblock`].
        10 Unblock(Unblock),
        /// See [`Suspend`].
        11 Suspend(Suspend),
        /// See [`Resume`].
        12 Resume(Resume),
        /// See [`Restore`].
        13 Restore(Restore),
        /// See [`EnableUser`].
        14 EnableUser(EnableUser),
        /// See [`Scan`].
        15 Scan(Scan),
        /// See [`Recheck`].
        16 Recheck(Recheck),
        /// See [`Report`].
        17 Report(Report),
        /// See [`Yara`].
        18 Yara(Yara),
        /// See [`Approve`].
        19 Approve(Approve),
    }
}

/// An argument that is out of bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{field}`: {why}")]
pub struct Invalid {
    /// Which.
    pub field: &'static str,
    /// What would be within.
    pub why: &'static str,
}

pub(crate) fn ensure(holds: bool, field: &'static str, why: &'static str) -> Result<(), Invalid> {
    if holds { Ok(()) } else { Err(Invalid { field, why }) }
}

/// An address, or a network as the first address and a length in bits; bits behind the length are refused, because
/// whoever wrote them meant something else.
pub fn prefix(text: &str) -> Option<(IpAddr, u8)> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) if bits.len() <= 3 && bits.bytes().all(|b| b.is_ascii_digit()) => (address, Some(bits)),
        Some(_) => return None,
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.map_or(Some(longest), |bits| bits.parse().ok()).filter(|bits| *bits <= longest)?;
    let behind = match address {
        IpAddr::V4(v4) => v4.to_bits().checked_shl(u32::from(bits)).unwrap_or(0) != 0,
        IpAddr::V6(v6) => v6.to_bits().checked_shl(u32::from(bits)).unwrap_or(0) != 0,
    };
    (!behind).then_some((address, bits))
}

fn path(path: &str, field: &'static str) -> Result<(), Invalid> {
    let parts = || path.split('/').skip(1);
    let plain = path.len() <= PATH_BYTES_MAX && path.starts_with('/') && !path.contains('\0');
    let plain = plain && !parts().any(|part| matches!(part, "" | "." | ".."));
    ensure(plain, field, "an absolute path without `.`, `..`, empty parts and a slash at its end is expected")
}

fn paths(list: &[String], field: &'static str) -> Result<(), Invalid> {
    ensure(list.len() <= PATTERNS_MAX, field, "at most 256 are allowed")?;
    list.iter().try_for_each(|one| path(one, field))
}

fn process(pid: u32, start_ticks: u64, boot: &str) -> Result<(), Invalid> {
    ensure(
        pid > 1 && pid <= i32::MAX.cast_unsigned(),
        "pid",
        "the number of a process, but not the first, is expected",
    )?;
    ensure(start_ticks > 0, "start_ticks", "when the process started is needed, so that no other is hit")?;
    ensure(boot.is_empty() || boot.len() == 36, "boot", "the identifier of a boot is a UUID")
}

fn user(name: &str) -> Result<(), Invalid> {
    // The name is an argument of programs: it must not look like an option, nor like something in `/etc/passwd`.
    let odd = |c: char| c.is_control() || c.is_whitespace() || matches!(c, ':' | ',' | '/' | '\\' | '"' | '\'');
    let plain = (1..=USER_BYTES_MAX).contains(&name.len()) && !name.starts_with(['-', '+', '~']) && !name.contains(odd);
    ensure(plain, "name", "the name of a user is expected")
}

fn standing(seconds: u64) -> Result<(), Invalid> {
    ensure(seconds <= STANDING_SECONDS_MAX, "seconds", "at most a year; 0 for no end")
}

fn id(id: &[u8; 16]) -> Result<(), Invalid> {
    ensure(*id != [0; 16], "command", "the id of the command is needed")
}

fn hash(hash: &Blob) -> Result<(), Invalid> {
    ensure(hash.0.is_empty() || hash.0.len() == 32, "hash", "BLAKE3 and SHA-256 have 64 hexadecimal digits")
}

impl Action {
    /// Every name, as in the field `kind` of the JSON, in the order of the numbers on the wire.
    pub const NAMES: &'static [&'static str] = &[
        "isolate",
        "release",
        "block",
        "kill",
        "quarantine",
        "disable_user",
        "script",
        "collect",
        "undo",
        "unblock",
        "suspend",
        "resume",
        "restore",
        "enable_user",
        "scan",
        "recheck",
        "report",
        "yara",
        "approve",
    ];

    /// Its name, as in the field `kind` of the JSON.
    pub fn name(&self) -> &'static str {
        Self::NAMES[usize::from(self.kind()) - 1]
    }

    /// Whether it runs code that came with it, and needs the signature of the offline key.
    pub const fn runs_code(&self) -> bool {
        matches!(self, Self::Script(_))
    }

    /// Whether it only looks: nothing on the machine is changed but what the agent keeps for itself.
    pub const fn only_looks(&self) -> bool {
        matches!(self, Self::Collect(_) | Self::Scan(_) | Self::Yara(_) | Self::Recheck(_) | Self::Report(_))
    }

    /// Whether it is what the agent does by itself all the time, only now: it needs nobody to prove who they are again.
    pub const fn is_routine(&self) -> bool {
        matches!(self, Self::Recheck(_) | Self::Report(_))
    }

    /// Whether its outcome can say what undoes it.
    pub const fn can_be_undone(&self) -> bool {
        matches!(
            self,
            Self::Isolate(_) | Self::Block(_) | Self::Suspend(_) | Self::Quarantine(_) | Self::DisableUser(_)
        )
    }

    /// How long it may take where nobody says otherwise, in milliseconds.
    pub const fn usual_timeout_ms(&self) -> u32 {
        match self {
            Self::Collect(_) | Self::Scan(_) | Self::Yara(_) => 1_800_000,
            Self::Script(_) | Self::Quarantine(_) | Self::Restore(_) => 300_000,
            _ => 60_000,
        }
    }

    /// Whether the arguments are within bounds.
    pub fn check(&self) -> Result<(), Invalid> {
        let address = |text: &str, field| ensure(prefix(text).is_some(), field, "an address or a network is expected");
        match self {
            Self::Isolate(wanted) => {
                standing(wanted.seconds)?;
                ensure(wanted.keep.len() <= KEEP_MAX, "keep", "at most 64 are allowed")?;
                wanted.keep.iter().try_for_each(|keep| address(keep, "keep"))
            }
            Self::Release(wanted) => ensure(wanted.reason.len() <= WORDS_BYTES_MAX, "reason", "it is too long"),
            Self::Block(wanted) => {
                standing(wanted.seconds)?;
                address(&wanted.address, "address")?;
                let all = prefix(&wanted.address).is_some_and(|(_, bits)| bits == 0);
                ensure(!all, "address", "everything is not a network: isolate the host instead")
            }
            Self::Unblock(wanted) => address(&wanted.address, "address"),
            Self::Kill(wanted) => process(wanted.pid, wanted.start_ticks, &wanted.boot),
            Self::Suspend(wanted) => process(wanted.pid, wanted.start_ticks, &wanted.boot),
            Self::Resume(wanted) => process(wanted.pid, wanted.start_ticks, &wanted.boot),
            Self::Quarantine(wanted) => path(&wanted.path, "path").and_then(|()| hash(&wanted.hash)),
            Self::Restore(wanted) => {
                id(&wanted.command)?;
                if wanted.path.is_empty() { Ok(()) } else { path(&wanted.path, "path") }
            }
            Self::DisableUser(wanted) => user(&wanted.name),
            Self::EnableUser(wanted) => user(&wanted.name),
            Self::Script(wanted) => wanted.check(),
            Self::Collect(wanted) => wanted.check(),
            Self::Scan(wanted) => {
                ensure(!wanted.paths.is_empty(), "paths", "at least one is needed")?;
                paths(&wanted.paths, "paths")
            }
            Self::Yara(wanted) => {
                let fits = !wanted.rules.trim().is_empty() && wanted.rules.len() <= RULES_BYTES_MAX;
                ensure(fits, "rules", "1 byte to 256 KiB are expected")?;
                ensure(!wanted.paths.is_empty(), "paths", "at least one is needed")?;
                ensure(wanted.bytes_max <= SCANNED_BYTES_MAX, "bytes_max", "at most 512 MiB")?;
                paths(&wanted.paths, "paths")
            }
            Self::Undo(wanted) => id(&wanted.command),
            Self::Recheck(wanted) => ensure(wanted.reason.len() <= WORDS_BYTES_MAX, "reason", "it is too long"),
            Self::Report(_) => Ok(()),
            Self::Approve(wanted) => {
                ensure(wanted.until >= 0, "until", "a time is expected, or 0")?;
                ensure(wanted.reason.len() <= WORDS_BYTES_MAX, "reason", "it is too long")?;
                if wanted.path.is_empty() { Ok(()) } else { path(&wanted.path, "path") }
            }
        }
    }

    /// The action as bytes, as in a frame.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.put(&mut bytes);
        bytes
    }

    /// The action out of bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, WireError> {
        Self::take(bytes, &mut Budget::new())
    }
}

impl Script {
    /// What the offline key signs: all that is said but the signature, in the coding of the wire, behind a text that is in no
    /// other statement.
    pub fn statement(&self) -> Vec<u8> {
        let mut bytes = SCRIPT_CONTEXT.to_vec();
        Self { signature: Blob::default(), ..self.clone() }.put(&mut bytes);
        bytes
    }

    fn check(&self) -> Result<(), Invalid> {
        path(&self.interpreter, "interpreter")?;
        ensure(!self.text.is_empty() && self.text.len() <= SCRIPT_BYTES_MAX, "text", "it is empty or too long")?;
        ensure(self.arguments.len() <= SCRIPT_LIST_MAX, "arguments", "at most 1,000 are allowed")?;
        let plain = |text: &String| text.len() <= ARGUMENT_BYTES_MAX && !text.contains('\0');
        ensure(self.arguments.iter().all(plain), "arguments", "one is too long or has a zero byte")?;
        ensure(self.hosts.len() <= SCRIPT_LIST_MAX, "hosts", "at most 1,000 are allowed")?;
        let named = |host: &String| (1..=64).contains(&host.len());
        ensure(self.hosts.iter().all(named), "hosts", "ids of hosts are expected")?;
        ensure(self.expires > 0, "expires", "a script must expire")?;
        ensure(self.purpose.len() <= WORDS_BYTES_MAX, "purpose", "it is too long")?;
        ensure(self.signature.0.len() == 64, "signature", "an Ed25519 signature has 64 bytes")
    }
}

impl Collect {
    fn check(&self) -> Result<(), Invalid> {
        let known = self.parts.iter().all(|part| PARTS.contains(&part.as_str()));
        ensure(known && self.parts.len() <= PARTS.len(), "parts", "a part is not known, or named twice")?;
        paths(&self.files, "files")?;
        paths(&self.folders, "folders")?;
        ensure(self.bytes_max <= PACK_BYTES_MAX, "bytes_max", "at most 4 GiB")?;
        ensure(self.days <= 3_660, "days", "at most ten years")
    }
}

#[cfg(test)]
#[path = "action_tests.rs"]
mod tests;
