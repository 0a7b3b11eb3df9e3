//! Changes that file integrity has found, as rows of their class.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use data_encoding::HEXLOWER;
use guardian_protocol::Cell;
use guardian_protocol::classes::{FILES, FileColumn as C};

use crate::files::{Change, Kind, Property, Record, What, Who};
use crate::outbox::Outbox;
use crate::sources::batcher::{Batcher, number, some_text, text, truth};
use crate::sources::names::Names;
use crate::sources::processes::boot_id;

/// Set-user-id and set-group-id.
const SETID: u32 = 0o6000;
/// The attribute that holds capabilities, which have columns of their own.
const CAPABILITY: &str = "security.capability";
/// Bytes of the attributes of a file that are told.
const ATTRIBUTES_BYTES_MAX: usize = 4_096;
/// The bit with which set-group-id makes a program run with its group's rights.
const GROUP_RUNS: u32 = 0o010;

/// What is known of a change beside the file itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Around<'a> {
    /// Who made it.
    pub who: Option<&'a Who>,
    /// The package that the file belongs to.
    pub package: Option<&'a str>,
    /// The version of that package now, and the one before where it is another.
    pub package_version: Option<&'a str>,
    /// See there.
    pub old_package_version: Option<&'a str>,
    /// What packages have to do with it, in a word; empty for not known.
    pub verdict: &'a str,
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
        let hex = |hash: Option<[u8; 32]>| hash.map(|h| HEXLOWER.encode(&h));
        let (sha256, blake3) = (hex(now.sha256), hex(now.blake3));
        let old_sha256 = old.and_then(|r| hex(r.sha256)).filter(|h| Some(h) != sha256.as_ref());
        let target = String::from_utf8_lossy(&now.target).into_owned();
        let owner = self.names.user(now.uid).map(str::to_owned);
        let setid = after.map(|r| runs_as_owner(r) && !before.is_some_and(runs_as_owner));
        let attributes = Attributes::of(before, after);
        let was_target =
            old.filter(|r| r.target != now.target).map(|r| String::from_utf8_lossy(&r.target).into_owned());
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
        set(C::OldTarget, some_text(was_target.as_deref()));
        set(C::Attributes, text(&attributes.now));
        set(C::OldAttributes, text(&attributes.before));
        set(C::Capabilities, some_text(attributes.capabilities.as_deref()));
        set(C::OldCapabilities, some_text(attributes.old_capabilities.as_deref()));
        let actor = Actor::of(around.who, &mut self.names);
        actor.set(around.who, &mut cells);
        around.set(&mut cells);
        self.batcher.push(&cells);
    }
}

impl<'a> Around<'a> {
    fn set(&self, cells: &mut [Cell<'a>; C::COUNT]) {
        let mut set = |column: C, cell| cells[column as usize] = cell;
        set(C::Package, some_text(self.package));
        set(C::PackageVersion, some_text(self.package_version));
        set(C::OldPackageVersion, some_text(self.old_package_version));
        set(C::Verdict, text(self.verdict));
        set(C::Expected, truth(self.expected));
        set(C::Diff, some_text(self.diff));
        set(C::Policy, text(self.policy));
        set(C::Source, text(self.source));
    }
}

/// What is to be told of who made a change, as text.
#[derive(Debug, Default)]
struct Actor {
    user: Option<String>,
    command: String,
    image: Option<String>,
    parent_image: Option<String>,
}

impl Actor {
    fn of(who: Option<&Who>, names: &mut Names) -> Self {
        let Some(who) = who else { return Self::default() };
        Self {
            user: who.uid.and_then(|uid| names.user(uid)).map(str::to_owned),
            command: who.command.join(" "),
            image: who.program.as_deref().map(path_text),
            parent_image: who.parent_program.as_deref().map(path_text),
        }
    }

    fn set<'a>(&'a self, who: Option<&'a Who>, cells: &mut [Cell<'a>; C::COUNT]) {
        let Some(who) = who else { return };
        let mut set = |column: C, cell| cells[column as usize] = cell;
        set(C::Pid, number(Some(who.pid)));
        set(C::StartTicks, number(who.start_ticks));
        set(C::Image, some_text(self.image.as_deref()));
        set(C::CommandLine, text(&self.command));
        set(C::User, some_text(self.user.as_deref()));
        set(C::UserId, number(who.uid));
        set(C::LoginUid, number(who.login_uid));
        set(C::Container, some_text(who.container.as_deref()));
        set(C::ParentPid, number(Some(who.parent).filter(|parent| *parent != 0)));
        set(C::ParentImage, some_text(self.parent_image.as_deref()));
    }
}

/// Extended attributes of a file as people read them: those that it has where it is new, else those that differ. One on a
/// line; the lines of an access list have commas between them.
#[derive(Debug, Default)]
struct Attributes {
    now: String,
    before: String,
    capabilities: Option<String>,
    old_capabilities: Option<String>,
}

impl Attributes {
    fn of(before: Option<&Record>, after: Option<&Record>) -> Self {
        let pairs = |record: Option<&Record>| record.map(Record::attributes_text).unwrap_or_default();
        let (was, is) = (pairs(before), pairs(after));
        let shown = |of: &[(String, String)], other: &[(String, String)]| {
            let differ = of.iter().filter(|pair| !other.contains(pair) && pair.0 != CAPABILITY);
            let lines = differ.map(|(name, value)| format!("{name}={}", value.trim_end().replace('\n', ",")));
            let mut lines = lines.collect::<Vec<_>>().join("\n");
            let mut end = lines.len().min(ATTRIBUTES_BYTES_MAX);
            while !lines.is_char_boundary(end) {
                end -= 1;
            }
            lines.truncate(end);
            lines
        };
        let capability =
            |of: &[(String, String)]| of.iter().find(|(name, _)| name == CAPABILITY).map(|(_, v)| v.clone());
        let (old_capabilities, capabilities) = (capability(&was), capability(&is));
        let old_capabilities = old_capabilities.filter(|old| Some(old) != capabilities.as_ref());
        Self { now: shown(&is, &was), before: shown(&was, &is), capabilities, old_capabilities }
    }
}

fn path_text(path: &Path) -> String {
    String::from_utf8_lossy(path.as_os_str().as_bytes()).into_owned()
}
