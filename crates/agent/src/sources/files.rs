//! Changes that file integrity has found, as rows of their class.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use guardian_protocol::Cell;
use guardian_protocol::classes::{FILES, FileColumn as C};

use crate::files::{Change, Kind, Property, Record, What, Who};
use crate::outbox::Outbox;
use crate::sources::batcher::{Batcher, number, some_text, text, truth};
use crate::sources::names::Names;
use crate::sources::processes::boot_id;

/// Set-user-id and set-group-id.
const SETID: u32 = 0o6000;
/// The bit with which set-group-id makes a program run with its group's rights.
const GROUP_RUNS: u32 = 0o010;

/// What is known of a change beside the file itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Around<'a> {
    /// Who made it.
    pub who: Option<&'a Who>,
    /// The package that the file belongs to.
    pub package: Option<&'a str>,
    /// Whether a transaction of the package manager or a maintenance window explains it; none where that is not known.
    pub expected: Option<bool>,
    /// What changed in a text, with secrets masked.
    pub diff: Option<&'a str>,
    /// The set of paths by which it is watched.
    pub policy: &'a str,
    /// `fanotify`, `inotify` or `scan`.
    pub source: &'a str,
}

/// Tells of changes.
#[derive(Debug)]
pub struct Files {
    batcher: Batcher,
    names: Names,
    boot: String,
}

const fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Regular => "regular",
        Kind::Folder => "folder",
        Kind::Link => "link",
        Kind::Pipe => "fifo",
        Kind::Socket => "socket",
        Kind::Block => "block",
        Kind::Character => "character",
    }
}

const fn property_name(property: Property) -> &'static str {
    match property {
        Property::Kind => "kind",
        Property::Content => "content",
        Property::Mode => "mode",
        Property::Owner => "owner",
        Property::Target => "target",
        Property::Attributes => "attributes",
        Property::Inode => "inode",
        Property::Links => "links",
        Property::Modified => "modified",
        Property::Growing => "growing",
        Property::Device => "device",
    }
}

/// Whether a program runs with the rights of its owner or group.
const fn runs_as_owner(record: &Record) -> bool {
    let (user, group) = (record.mode & 0o4000 != 0, record.mode & 0o2000 != 0 && record.mode & GROUP_RUNS != 0);
    matches!(record.kind, Kind::Regular) && record.mode & SETID != 0 && (user || group)
}

impl Files {
    /// Tells of changes by this outbox.
    pub fn new(outbox: Outbox) -> Self {
        Self { batcher: Batcher::new(outbox, &FILES), names: Names::default(), boot: boot_id() }
    }

    /// Hands over what has waited long enough.
    pub fn tick(&mut self) {
        self.batcher.tick();
    }

    /// Hands over what is there.
    pub fn flush(&mut self) {
        self.batcher.flush();
    }

    /// Adds a change that happened, or was found, at this time (microseconds since 1970).
    pub fn tell(&mut self, change: &Change, at: i64, around: Around<'_>) {
        let (activity, before, after) = match &change.what {
            What::Added(record) => ("create", None, Some(&**record)),
            What::Removed(record) => ("delete", Some(&**record), None),
            What::Changed { before, after, .. } => ("modify", Some(&**before), Some(&**after)),
        };
        let properties = match &change.what {
            What::Changed { properties, .. } => {
                properties.iter().map(|p| property_name(*p)).collect::<Vec<_>>().join(",")
            }
            _ => String::new(),
        };
        let Some(now) = after.or(before) else { return };
        let old = after.and(before);
        let differs = |value: fn(&Record) -> u64| old.map(value).filter(|v| *v != value(now));
        let path = path_text(&change.path);
        let hex = |hash: Option<[u8; 32]>| hash.map(|h| crate::sources::processes::hex(&h));
        let (sha256, blake3) = (hex(now.sha256), hex(now.blake3));
        let old_sha256 = old.and_then(|r| hex(r.sha256)).filter(|h| Some(h) != sha256.as_ref());
        let target = String::from_utf8_lossy(&now.target).into_owned();
        let owner = self.names.user(now.uid).map(str::to_owned);
        let who = around.who;
        let user = who.and_then(|w| w.uid).and_then(|uid| self.names.user(uid)).map(str::to_owned);
        let command = who.map(|w| w.command.join(" ")).unwrap_or_default();
        let image = who.and_then(|w| w.program.as_deref()).map(path_text);
        let setid = after.map(|r| runs_as_owner(r) && !before.is_some_and(runs_as_owner));
        let mut cells = [Cell::Null; C::COUNT];
        let mut set = |column: C, cell| cells[column as usize] = cell;
        set(C::Time, Cell::Time(at));
        set(C::Boot, text(&self.boot));
        set(C::Activity, Cell::Text(activity));
        set(C::Path, Cell::Text(&path));
        set(C::Type, Cell::Text(kind_name(now.kind)));
        set(C::Changed, text(&properties));
        set(C::Size, Cell::Number(now.size));
        set(C::OldSize, number(differs(|r| r.size)));
        set(C::Mode, Cell::Number(now.mode.into()));
        set(C::OldMode, number(differs(|r| r.mode.into())));
        set(C::Setid, truth(setid));
        set(C::Uid, Cell::Number(now.uid.into()));
        set(C::Owner, some_text(owner.as_deref()));
        set(C::Gid, Cell::Number(now.gid.into()));
        set(C::OldUid, number(differs(|r| r.uid.into())));
        set(C::OldGid, number(differs(|r| r.gid.into())));
        set(C::Sha256, some_text(sha256.as_deref()));
        set(C::OldSha256, some_text(old_sha256.as_deref()));
        set(C::Blake3, some_text(blake3.as_deref()));
        set(C::Modified, Cell::Time(now.modified_ns / 1_000));
        set(C::Inode, Cell::Number(now.inode));
        set(C::Target, text(&target));
        set(C::Pid, number(who.map(|w| w.pid)));
        set(C::StartTicks, number(who.and_then(|w| w.start_ticks)));
        set(C::Image, some_text(image.as_deref()));
        set(C::CommandLine, text(&command));
        set(C::User, some_text(user.as_deref()));
        set(C::UserId, number(who.and_then(|w| w.uid)));
        set(C::LoginUid, number(who.and_then(|w| w.login_uid)));
        set(C::Container, some_text(who.and_then(|w| w.container.as_deref())));
        set(C::Package, some_text(around.package));
        set(C::Expected, truth(around.expected));
        set(C::Diff, some_text(around.diff));
        set(C::Policy, text(around.policy));
        set(C::Source, text(around.source));
        self.batcher.push(&cells);
    }
}

fn path_text(path: &Path) -> String {
    String::from_utf8_lossy(path.as_os_str().as_bytes()).into_owned()
}
