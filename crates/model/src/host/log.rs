//! Log messages of hosts: the journal, text files, the audit log. What is understood of them is in other classes too.

use crate::class::class;

class! {
    /// Log messages of hosts (OCSF 1.8 Base Event).
    LOG,
    /// Columns of [`LOG`].
    LogField,
    name "logs", ocsf 0, uid 60_001, "Messages of the journal, of log files and of the audit log of hosts.";

    Batch = 1 "batch" U64 [""] "metadata.log_name" []: "Number of the batch the row was stored with; with row it identifies the event.";
    Row = 2 "row" U32 [""] "metadata.sequence" []: "Row within its batch.";
    Received = 3 "received" Time ["us"] "metadata.logged_time" []: "When Guardian received it; partitions and retention follow it.";
    Time = 4 "time" Time ["us"] "time" ["timestamp"]: "When it happened, by the clock of the host.";
    Site = 5 "site" Label ? null [""] "metadata.labels" []: "Site of the host; null is the main site.";
    Host = 6 "host" Label [""] "device.hostname" ["Computer", "ComputerName", "host.name"]: "Name of the host, as the fleet knows it.";
    HostId = 7 "host_id" Label ? null [""] "device.uid" []: "Id of the host in the fleet.";
    Replay = 8 "replay" Label ? null [""] "metadata.tags" []: "Name of the replay this row came from; null for live events.";
    Boot = 9 "boot" Label ? null [""] "device.boot_uid" []: "Id of the boot; with pid and start_ticks it names a process for good.";
    Source = 10 "source" Label [""] "metadata.log_provider" []: "Where it was read: journal, file, audit or query.";
    Program = 11 "program" Label ? null [""] "" ["SyslogIdentifier", "process.name", "log.syslog.appname"]: "The program that wrote it.";
    Pid = 12 "pid" U32 ? null [""] "" ["ProcessId", "process.pid"]: "Number of the process that wrote it.";
    Uid = 13 "uid" U32 ? null [""] "" ["user.id"]: "User of that process, as a number.";
    Unit = 14 "unit" Label ? null [""] "" []: "The systemd unit of that process.";
    Severity = 15 "severity" U8 ? null [""] "" ["log.syslog.severity.code"]: "Syslog severity, 0 emergency to 7 debugging.";
    Facility = 16 "facility" U8 ? null [""] "" ["log.syslog.facility.code"]: "Syslog facility.";
    Message = 17 "message" Text [""] "message" ["Message"] personal: "The message.";
    Path = 18 "path" Label ? null [""] "" ["log.file.path"]: "The file it was read from.";
    Type = 19 "type" Label ? null [""] "" []: "Type of an audit record: SYSCALL, EXECVE, USER_AUTH and so on; of a scheduled query: added, removed, snapshot or error.";
    Serial = 20 "serial" U64 ? null [""] "" []: "Number that the records of one audit event share.";
    Syscall = 21 "syscall" Label ? null [""] "" ["SYSCALL"]: "System call of an audit record, by name where the log is enriched.";
    Image = 22 "image" Label ? null [""] "" ["exe", "Image"]: "Program of an audit record.";
    Comm = 23 "comm" Label ? null [""] "" []: "Name of the process of an audit record for itself.";
    Key = 24 "key" Label ? null [""] "" []: "Key of the audit rule that wrote it, or name of the scheduled query.";
    A0 = 25 "a0" Text ? null [""] "" [] personal: "First argument of an audit record.";
    A1 = 26 "a1" Text ? null [""] "" [] personal: "Second argument of an audit record.";
    A2 = 27 "a2" Text ? null [""] "" [] personal: "Third argument of an audit record.";
    A3 = 28 "a3" Text ? null [""] "" [] personal: "Fourth argument of an audit record.";
    Object = 29 "object" Text ? null [""] "" ["name", "acct"] personal: "What an audit record is about: a path, an account.";
    LoginUid = 30 "login_uid" U32 ? null [""] "" ["auid"]: "Who signed in at the beginning, as a number.";
    Success = 31 "success" Bool ? null [""] "status_id" []: "Whether what an audit record tells of worked.";
    Fields = 32 "fields" Text ? null [""] "unmapped" [] personal: "Fields without a column, as a JSON object.";
}
