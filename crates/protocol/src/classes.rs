//! The event classes as agents send them: for each column its id in the server's field table and how it is coded. The
//! table itself, with names for SQL and Sigma, is the server's; a test holds both together.
//!
//! What says whose events these are (tenant, site, host, agent) is not here: the server takes it from the certificate.

use crate::rows::{Cell, Coding, Rows};

/// One class.
#[derive(Debug)]
pub struct EventClass {
    /// Its name.
    pub name: &'static str,
    /// Its stable number, as the lake has it.
    pub uid: u32,
    /// Its columns, ids rising.
    pub columns: &'static [(u16, Coding)],
}

impl EventClass {
    /// No rows of this class.
    pub fn rows(&self) -> Rows {
        Rows::new(self.name, self.columns)
    }

    /// Whether a cell may stand in the column at this position.
    pub fn takes(&self, position: usize, cell: &Cell<'_>) -> bool {
        let Some((_, coding)) = self.columns.get(position) else { return false };
        match (coding, cell) {
            (_, Cell::Null)
            | (Bool, Cell::Bool(_))
            | (Number, Cell::Number(_))
            | (Time, Cell::Time(_))
            | (Text | Label, Cell::Text(_))
            | (Bytes, Cell::Bytes(_)) => true,
            (Fixed(width), Cell::Bytes(bytes)) => bytes.len() == *width,
            _ => false,
        }
    }
}

/// Every class. Adding one is a table below and a line here.
pub const ALL: &[&EventClass] = &[&PROCESSES, &FILES, &CONNECTIONS, &LOGINS, &LOGS, &HEALTH];

/// The class with this name.
pub fn find(name: &str) -> Option<&'static EventClass> {
    ALL.iter().copied().find(|class| class.name == name)
}

macro_rules! event_class {
    ($(#[$doc:meta])* $table:ident $name:literal $uid:literal, $(#[$enum_doc:meta])* $enum:ident;
     $($variant:ident = $id:literal $coding:expr),* $(,)?) => {
        $(#[$doc])*
        pub static $table: EventClass = EventClass { name: $name, uid: $uid, columns: &[$(($id, $coding)),*] };

        $(#[$enum_doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        #[expect(missing_docs, reason = "the server's field table has a sentence for each")]
        pub enum $enum { $($variant),* }

        impl $enum {
            /// Number of columns.
            pub const COUNT: usize = [$(stringify!($variant)),*].len();
        }
    };
}

use Coding::{Bool, Bytes, Fixed, Label, Number, Text, Time};

event_class! {
    /// Processes as their host saw them start, end, change their user or trace each other.
    PROCESSES "processes" 1_007,
    /// Columns of [`PROCESSES`], as positions.
    ProcessColumn;
    Time = 4 Time,
    Boot = 9 Label,
    Activity = 10 Label,
    Pid = 11 Number,
    StartTicks = 12 Number,
    ParentPid = 13 Number,
    Name = 14 Label,
    Image = 15 Label,
    CommandLine = 16 Text,
    Cwd = 17 Text,
    ParentImage = 18 Label,
    ParentCommandLine = 19 Text,
    Ancestors = 20 Text,
    Uid = 21 Number,
    User = 22 Text,
    Euid = 23 Number,
    LoginUid = 24 Number,
    LoginUser = 25 Text,
    Session = 26 Number,
    Terminal = 27 Label,
    Cgroup = 28 Label,
    Unit = 29 Label,
    Container = 30 Label,
    Sha256 = 31 Label,
    Elevated = 32 Bool,
    Stdin = 33 Label,
    Stdout = 34 Label,
    Preload = 35 Text,
    ExitCode = 36 Number,
    Signal = 37 Number,
    TargetPid = 38 Number,
    TargetImage = 39 Label,
    Complete = 40 Bool,
    Source = 41 Label,
    Capabilities = 42 Number,
}

event_class! {
    /// Changes of watched files, with the process that made them where it is known.
    FILES "files" 1_001,
    /// Columns of [`FILES`], as positions.
    FileColumn;
    Time = 4 Time,
    Boot = 9 Label,
    Activity = 10 Label,
    Path = 11 Text,
    Type = 12 Label,
    Changed = 13 Label,
    Size = 14 Number,
    OldSize = 15 Number,
    Mode = 16 Number,
    OldMode = 17 Number,
    Setid = 18 Bool,
    Uid = 19 Number,
    Owner = 20 Text,
    Gid = 21 Number,
    OldUid = 22 Number,
    OldGid = 23 Number,
    Sha256 = 24 Text,
    OldSha256 = 25 Text,
    Blake3 = 26 Text,
    Modified = 27 Time,
    Inode = 28 Number,
    Target = 29 Text,
    OldPath = 30 Text,
    Pid = 31 Number,
    StartTicks = 32 Number,
    Image = 33 Label,
    CommandLine = 34 Text,
    User = 35 Text,
    UserId = 36 Number,
    LoginUid = 37 Number,
    Container = 38 Label,
    Package = 39 Label,
    Expected = 40 Bool,
    Diff = 41 Text,
    Policy = 42 Label,
    Source = 43 Label,
    ParentPid = 44 Number,
    ParentImage = 45 Label,
    OldTarget = 46 Text,
    Attributes = 47 Text,
    OldAttributes = 48 Text,
    Capabilities = 49 Text,
    OldCapabilities = 50 Text,
    Verdict = 51 Label,
    PackageVersion = 52 Label,
    OldPackageVersion = 53 Label,
}

event_class! {
    /// Connections and listening ports as their host saw them, with their process.
    CONNECTIONS "connections" 64_001,
    /// Columns of [`CONNECTIONS`], as positions.
    ConnectionColumn;
    Time = 4 Time,
    Boot = 9 Label,
    Activity = 10 Label,
    Protocol = 11 Number,
    SrcIp = 12 Fixed(16),
    SrcPort = 13 Number,
    DstIp = 14 Fixed(16),
    DstPort = 15 Number,
    Initiated = 16 Bool,
    Start = 17 Time,
    End = 18 Time,
    State = 19 Label,
    BytesSent = 20 Number,
    BytesReceived = 21 Number,
    Interface = 22 Label,
    Pid = 23 Number,
    StartTicks = 24 Number,
    Name = 25 Label,
    Image = 26 Label,
    CommandLine = 27 Text,
    Uid = 28 Number,
    User = 29 Text,
    LoginUid = 30 Number,
    Unit = 31 Label,
    Container = 32 Label,
    Inode = 33 Number,
    Cookie = 34 Number,
    Source = 35 Label,
}

event_class! {
    /// Who signed in on a host or became another user, or failed to.
    LOGINS "logins" 3_002,
    /// Columns of [`LOGINS`], as positions.
    LoginColumn;
    Time = 4 Time,
    Activity = 10 Label,
    Success = 11 Bool,
    Service = 12 Label,
    User = 13 Text,
    Uid = 14 Number,
    TargetUser = 15 Text,
    SrcIp = 16 Fixed(16),
    SrcPort = 17 Number,
    SrcHost = 18 Text,
    Method = 19 Label,
    Reason = 20 Label,
    Terminal = 21 Label,
    Command = 22 Text,
    Key = 23 Text,
    UnknownUser = 24 Bool,
    Count = 25 Number,
    Pid = 26 Number,
    Session = 27 Text,
    Message = 28 Text,
    Source = 29 Label,
}

event_class! {
    /// Messages of the journal, of log files and of the audit log of hosts.
    LOGS "logs" 60_001,
    /// Columns of [`LOGS`], as positions.
    LogColumn;
    Time = 4 Time,
    Boot = 9 Label,
    Source = 10 Label,
    Program = 11 Label,
    Pid = 12 Number,
    Uid = 13 Number,
    Unit = 14 Label,
    Severity = 15 Number,
    Facility = 16 Number,
    Message = 17 Text,
    Path = 18 Label,
    Type = 19 Label,
    Serial = 20 Number,
    Syscall = 21 Label,
    Image = 22 Label,
    Comm = 23 Label,
    Key = 24 Label,
    A0 = 25 Text,
    A1 = 26 Text,
    A2 = 27 Text,
    A3 = 28 Text,
    Object = 29 Text,
    LoginUid = 30 Number,
    Success = 31 Bool,
    Fields = 32 Text,
}

event_class! {
    /// How hosts and their agents are: processor, memory, disks, network, one row a value.
    HEALTH "health" 60_002,
    /// Columns of [`HEALTH`], as positions.
    HealthColumn;
    Time = 4 Time,
    Metric = 10 Label,
    Object = 11 Label,
    Value = 12 Number,
    Unit = 13 Label,
}
