//! Authentication on hosts: who got in or did not, who became whom, read from what sshd, sudo, su and login write.

use crate::class::class;

class! {
    /// Logins and becoming another user (OCSF 1.8 Authentication).
    LOGIN,
    /// Columns of [`LOGIN`].
    LoginField,
    name "logins", ocsf 3002, "Who signed in on a host or became another user, or failed to.";

    Batch = 1 "batch" U64 [""] "metadata.log_name" []: "Number of the batch the row was stored with; with row it identifies the event.";
    Row = 2 "row" U32 [""] "metadata.sequence" []: "Row within its batch.";
    Received = 3 "received" Time ["us"] "metadata.logged_time" []: "When Guardian received it; partitions and retention follow it.";
    Time = 4 "time" Time ["us"] "time" ["timestamp"]: "When it happened, by the clock of the host.";
    Site = 5 "site" Label ? null [""] "metadata.labels" []: "Site of the host; null is the main site.";
    Host = 6 "host" Label [""] "device.hostname" ["Computer", "ComputerName", "host.name"]: "Name of the host, as the fleet knows it.";
    HostId = 7 "host_id" Label ? null [""] "device.uid" []: "Id of the host in the fleet.";
    Replay = 8 "replay" Label ? null [""] "metadata.tags" []: "Name of the replay this row came from; null for live events.";
    Activity = 10 "activity" Label [""] "activity_name" []: "What happened: login, logout or elevate.";
    Success = 11 "success" Bool ? null [""] "status_id" ["Success"]: "Whether it worked.";
    Service = 12 "service" Label ? null [""] "service.name" ["service.name"]: "The program that asked: sshd, sudo, su, login and so on.";
    User = 13 "user" Text ? null [""] "user.name" ["User", "user.name"] personal: "Who wanted it.";
    Uid = 14 "uid" U32 ? null [""] "user.uid" ["user.id"]: "Who wanted it, as a number.";
    TargetUser = 15 "target_user" Text ? null [""] "" ["TargetUserName", "user.target.name"] personal: "Who they wanted to become.";
    SrcIp = 16 "src_ip" Ip ? null [""] "src_endpoint.ip" ["SourceIp", "source.ip", "IpAddress"] personal: "Address they came from.";
    SrcPort = 17 "src_port" U16 ? null [""] "src_endpoint.port" ["SourcePort", "source.port"]: "Port they came from.";
    SrcHost = 18 "src_host" Text ? null [""] "src_endpoint.hostname" [] personal: "Name of the host they came from, where only that is said.";
    Method = 19 "method" Label ? null [""] "auth_protocol" ["AuthenticationMethod"]: "How they proved it: password, publickey and so on.";
    Reason = 20 "reason" Label ? null [""] "status_detail" ["FailureReason"]: "Why it failed.";
    Terminal = 21 "terminal" Label ? null [""] "" ["tty"]: "Terminal they were at.";
    Command = 22 "command" Text ? null [""] "" ["CommandLine"] personal: "What was to be run.";
    Key = 23 "key" Text ? null [""] "" []: "Fingerprint of the key or certificate.";
    UnknownUser = 24 "unknown_user" Bool ? null [""] "" []: "Whether there is no such user.";
    Count = 25 "count" U32 [""] "count" []: "How often it happened; more than 1 where the log says that a message was repeated.";
    Pid = 26 "pid" U32 ? null [""] "" ["ProcessId", "process.pid"]: "Number of the process that wrote it.";
    Session = 27 "session" Text ? null [""] "session.uid" ["LogonId"]: "Id of the session.";
    Message = 28 "message" Text ? null [""] "message" ["Message"] personal: "The message as it was written.";
    Source = 29 "source" Label ? null [""] "metadata.product.feature.name" []: "Where it was read: journal, file or audit.";
}
