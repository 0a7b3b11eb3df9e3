//! Processes as their host saw them: one row for each time one started, ended, or became something else.

use crate::class::class;

class! {
    /// Processes (OCSF 1.8 Process Activity).
    PROCESS,
    /// Columns of [`PROCESS`].
    ProcessField,
    name "processes", ocsf 1007, "Processes as their host saw them start, end, change their user or trace each other.";

    Batch = 1 "batch" U64 [""] "metadata.log_name" []: "Number of the batch the row was stored with; with row it identifies the event.";
    Row = 2 "row" U32 [""] "metadata.sequence" []: "Row within its batch.";
    Received = 3 "received" Time ["us"] "metadata.logged_time" []: "When Guardian received it; partitions and retention follow it.";
    Time = 4 "time" Time ["us"] "time" ["timestamp"]: "When it happened, by the clock of the host.";
    Site = 5 "site" Label ? null [""] "metadata.labels" []: "Site of the host; null is the main site.";
    Host = 6 "host" Label [""] "device.hostname" ["Computer", "ComputerName", "host.name"]: "Name of the host, as the fleet knows it.";
    HostId = 7 "host_id" Label ? null [""] "device.uid" []: "Id of the host in the fleet.";
    Replay = 8 "replay" Label ? null [""] "metadata.tags" []: "Name of the replay this row came from; null for live events.";
    Boot = 9 "boot" Label ? null [""] "device.boot_uid" []: "Id of the boot; with pid and start_ticks it names a process for good.";
    Activity = 10 "activity" Label [""] "activity_name" []: "What happened: exec, fork, exit, set_user, set_group, trace or core.";
    Pid = 11 "pid" U32 [""] "process.pid" ["ProcessId", "process.pid"]: "Number of the process.";
    StartTicks = 12 "start_ticks" U64 ? null [""] "" []: "When it began, in clock ticks since boot; null where it was gone before that could be read.";
    ParentPid = 13 "parent_pid" U32 ? null [""] "process.parent_process.pid" ["ParentProcessId", "process.parent.pid"]: "Number of its parent.";
    Name = 14 "name" Label ? null [""] "process.name" ["comm", "process.name"]: "Its name for itself, at most 15 bytes.";
    Image = 15 "image" Label ? null [""] "process.file.path" ["Image", "exe", "process.executable"]: "Path of its program.";
    CommandLine = 16 "command_line" Text ? null [""] "process.cmd_line" ["CommandLine", "process.command_line", "cmdline"] personal: "Its arguments, separated by blanks.";
    Cwd = 17 "cwd" Text ? null [""] "process.working_directory" ["CurrentDirectory", "process.working_directory"] personal: "Its working directory.";
    ParentImage = 18 "parent_image" Label ? null [""] "process.parent_process.file.path" ["ParentImage", "process.parent.executable"]: "Path of the program of its parent.";
    ParentCommandLine = 19 "parent_command_line" Text ? null [""] "process.parent_process.cmd_line" ["ParentCommandLine", "process.parent.command_line"] personal: "Arguments of its parent.";
    Ancestors = 20 "ancestors" Text ? null [""] "process.lineage" []: "Programs of its parents from the nearest on, with ` < ` between them.";
    Uid = 21 "uid" U32 ? null [""] "process.user.uid" ["UserId", "user.id"]: "Its real user, as a number.";
    User = 22 "user" Text ? null [""] "process.user.name" ["User", "user.name"] personal: "Its real user.";
    Euid = 23 "euid" U32 ? null [""] "process.euid" []: "The user whose rights it has, as a number.";
    LoginUid = 24 "login_uid" U32 ? null [""] "process.auid" ["auid"]: "Who signed in at the beginning, as a number; null for services.";
    LoginUser = 25 "login_user" Text ? null [""] "" [] personal: "Who signed in at the beginning, whatever user it has become since.";
    Session = 26 "session" U32 ? null [""] "process.session.uid" ["LogonId", "ses"]: "Number of the login session in the audit system.";
    Terminal = 27 "terminal" Label ? null [""] "process.session.terminal" ["tty"]: "Its controlling terminal.";
    Cgroup = 28 "cgroup" Label ? null [""] "" []: "Its control group.";
    Unit = 29 "unit" Label ? null [""] "" []: "The systemd unit it belongs to.";
    Container = 30 "container" Label ? null [""] "process.container.uid" ["container.id"]: "Id of its container.";
    Sha256 = 31 "sha256" Label ? null [""] "process.file.hashes.value" ["process.hash.sha256"]: "SHA-256 of its program, in hexadecimal.";
    Elevated = 32 "elevated" Bool ? null [""] "" []: "Whether it has rights of another user than its parent: set-user-id, file capabilities, sudo.";
    Stdin = 33 "stdin" Label ? null [""] "" []: "What its standard input is: terminal, file, pipe, socket, null or closed.";
    Stdout = 34 "stdout" Label ? null [""] "" []: "What its standard output is: terminal, file, pipe, socket, null or closed.";
    Preload = 35 "preload" Text ? null [""] "" ["LD_PRELOAD"]: "Libraries that its environment has the loader put before all others.";
    ExitCode = 36 "exit_code" U32 ? null [""] "exit_code" ["ExitStatus"]: "What it ended with.";
    Signal = 37 "signal" U8 ? null [""] "" []: "The signal that ended it; 0 for none.";
    TargetPid = 38 "target_pid" U32 ? null [""] "" ["TargetProcessId"]: "Number of the process that it traces.";
    TargetImage = 39 "target_image" Label ? null [""] "" ["TargetImage"]: "Path of the program that it traces.";
    Complete = 40 "complete" Bool ? null [""] "" []: "Whether it still lived when it was looked at; otherwise only what the kernel said is known.";
    Source = 41 "source" Label ? null [""] "metadata.product.feature.name" []: "How it was seen: connector, audit, bpf or scan.";
    Capabilities = 42 "capabilities" U64 ? null [""] "" []: "Its effective capabilities, one bit each.";
}
