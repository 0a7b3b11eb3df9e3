//! Changes of files that the file integrity policies watch, with who made them where the kernel said so.

use crate::class::class;

class! {
    /// Changes of files (OCSF 1.8 File System Activity).
    FILE,
    /// Columns of [`FILE`].
    FileField,
    name "files", ocsf 1001, "Changes of watched files, with the process that made them where it is known.";

    Batch = 1 "batch" U64 [""] "metadata.log_name" []: "Number of the batch the row was stored with; with row it identifies the event.";
    Row = 2 "row" U32 [""] "metadata.sequence" []: "Row within its batch.";
    Received = 3 "received" Time ["us"] "metadata.logged_time" []: "When Guardian received it; partitions and retention follow it.";
    Time = 4 "time" Time ["us"] "time" ["timestamp"]: "When it happened, by the clock of the host.";
    Site = 5 "site" Label ? null [""] "metadata.labels" []: "Site of the host; null is the main site.";
    Host = 6 "host" Label [""] "device.hostname" ["Computer", "ComputerName", "host.name"]: "Name of the host, as the fleet knows it.";
    HostId = 7 "host_id" Label ? null [""] "device.uid" []: "Id of the host in the fleet.";
    Replay = 8 "replay" Label ? null [""] "metadata.tags" []: "Name of the replay this row came from; null for live events.";
    Boot = 9 "boot" Label ? null [""] "device.boot_uid" []: "Id of the boot; with pid and start_ticks it names a process for good.";
    Activity = 10 "activity" Label [""] "activity_name" []: "What happened: create, modify, delete or rename.";
    Path = 11 "path" Text [""] "file.path" ["TargetFilename", "file.path"]: "The file.";
    Type = 12 "type" Label ? null [""] "file.type" ["file.type"]: "What it is: regular, folder, link, fifo, socket, block or character.";
    Changed = 13 "changed" Label ? null [""] "" []: "Which properties differ, with commas between them: content, mode, owner and so on.";
    Size = 14 "size" U64 ? null ["bytes"] "file.size" ["file.size"]: "Its size.";
    OldSize = 15 "old_size" U64 ? null ["bytes"] "" []: "Its size before.";
    Mode = 16 "mode" U32 ? null [""] "" ["file.mode"]: "Its permission bits.";
    OldMode = 17 "old_mode" U32 ? null [""] "" []: "Its permission bits before.";
    Setid = 18 "setid" Bool ? null [""] "" []: "Whether it now runs with the rights of its owner or group and did not before.";
    Uid = 19 "uid" U32 ? null [""] "file.owner.uid" ["file.uid"]: "Its owner, as a number.";
    Owner = 20 "owner" Text ? null [""] "file.owner.name" ["file.owner"] personal: "Its owner.";
    Gid = 21 "gid" U32 ? null [""] "" ["file.gid"]: "Its group, as a number.";
    OldUid = 22 "old_uid" U32 ? null [""] "" []: "Its owner before, as a number.";
    OldGid = 23 "old_gid" U32 ? null [""] "" []: "Its group before, as a number.";
    Sha256 = 24 "sha256" Text ? null [""] "file.hashes.value" ["file.hash.sha256"]: "SHA-256 of its content, in hexadecimal.";
    OldSha256 = 25 "old_sha256" Text ? null [""] "" []: "SHA-256 of its content before, in hexadecimal.";
    Blake3 = 26 "blake3" Text ? null [""] "" []: "BLAKE3 of its content, in hexadecimal.";
    Modified = 27 "modified" Time ? null ["us"] "file.modified_time" ["file.mtime"]: "When its content was last changed, by its own word.";
    Inode = 28 "inode" U64 ? null [""] "" ["file.inode"]: "Its number in the file system.";
    Target = 29 "target" Text ? null [""] "" ["file.target_path"]: "Where a link points to.";
    OldPath = 30 "old_path" Text ? null [""] "" ["SourceFilename"]: "Its path before it was renamed.";
    Pid = 31 "pid" U32 ? null [""] "actor.process.pid" ["ProcessId", "process.pid"]: "Number of the process that did it.";
    StartTicks = 32 "start_ticks" U64 ? null [""] "" []: "When that process began, in clock ticks since boot.";
    Image = 33 "image" Label ? null [""] "actor.process.file.path" ["Image", "exe", "process.executable"]: "Program of that process.";
    CommandLine = 34 "command_line" Text ? null [""] "actor.process.cmd_line" ["CommandLine", "process.command_line"] personal: "Arguments of that process.";
    User = 35 "user" Text ? null [""] "actor.user.name" ["User", "user.name"] personal: "User of that process.";
    UserId = 36 "user_id" U32 ? null [""] "actor.user.uid" ["user.id"]: "User of that process, as a number.";
    LoginUid = 37 "login_uid" U32 ? null [""] "actor.process.auid" ["auid"]: "Who signed in at the beginning, as a number; null for services.";
    Container = 38 "container" Label ? null [""] "container.uid" ["container.id"]: "Container of that process.";
    Package = 39 "package" Label ? null [""] "" []: "Package that the file belongs to.";
    Expected = 40 "expected" Bool ? null [""] "" []: "Whether a transaction of the package manager or a maintenance window explains it.";
    Diff = 41 "diff" Text ? null [""] "file_diff" [] personal: "What changed in a text, line by line, with secrets masked.";
    Policy = 42 "policy" Label ? null [""] "" []: "The set of paths by which it is watched.";
    Source = 43 "source" Label ? null [""] "metadata.product.feature.name" []: "How it was seen: fanotify, inotify or scan; server where it stands in a baseline that the host replaced.";
    ParentPid = 44 "parent_pid" U32 ? null [""] "actor.process.parent_process.pid" ["ParentProcessId", "process.parent.pid"]: "Number of the parent of that process.";
    ParentImage = 45 "parent_image" Label ? null [""] "actor.process.parent_process.file.path" ["ParentImage", "process.parent.executable"]: "Program of that parent.";
    OldTarget = 46 "old_target" Text ? null [""] "" []: "Where a link pointed to before.";
    Attributes = 47 "attributes" Text ? null [""] "file.xattributes" []: "Extended attributes and access lists: those that differ, or all of a new file. One on a line: name=value.";
    OldAttributes = 48 "old_attributes" Text ? null [""] "" []: "Those that differ, as they were before.";
    Capabilities = 49 "capabilities" Text ? null [""] "" []: "Capabilities that a program gets when it is started, as getcap prints them.";
    OldCapabilities = 50 "old_capabilities" Text ? null [""] "" []: "The same before, where they differ.";
    Verdict = 51 "verdict" Label ? null [""] "" []: "What packages have to do with it: explained, partly, restored, contradicted, deviates, rewritten, linked, moved, unowned, found (it was not as its package brought it before the first baseline), replaced (the host's baseline does not follow the one that the server has), or concealed (it differs in that one).";
    PackageVersion = 52 "package_version" Label ? null [""] "" []: "Version of that package now.";
    OldPackageVersion = 53 "old_package_version" Label ? null [""] "" []: "Version of that package before, where it is another or was put there again.";
}
