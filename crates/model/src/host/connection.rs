//! Connections and listening ports as their host saw them, with the process behind them. Flows are what the network saw.

use crate::class::class;

class! {
    /// Connections seen from the host (OCSF 1.8 Network Activity).
    CONNECTION,
    /// Columns of [`CONNECTION`].
    ConnectionField,
    name "connections", ocsf 4001, uid 64_001, "Connections and listening ports as their host saw them, with their process.";

    Batch = 1 "batch" U64 [""] "metadata.log_name" []: "Number of the batch the row was stored with; with row it identifies the event.";
    Row = 2 "row" U32 [""] "metadata.sequence" []: "Row within its batch.";
    Received = 3 "received" Time ["us"] "metadata.logged_time" []: "When Guardian received it; partitions and retention follow it.";
    Time = 4 "time" Time ["us"] "time" ["timestamp"]: "When it happened, by the clock of the host.";
    Site = 5 "site" Label ? null [""] "metadata.labels" []: "Site of the host; null is the main site.";
    Host = 6 "host" Label [""] "device.hostname" ["Computer", "ComputerName", "host.name"]: "Name of the host, as the fleet knows it.";
    HostId = 7 "host_id" Label ? null [""] "device.uid" []: "Id of the host in the fleet.";
    Replay = 8 "replay" Label ? null [""] "metadata.tags" []: "Name of the replay this row came from; null for live events.";
    Boot = 9 "boot" Label ? null [""] "device.boot_uid" []: "Id of the boot; with pid and start_ticks it names a process for good.";
    Activity = 10 "activity" Label [""] "activity_name" []: "What happened: open, close, listen or unlisten.";
    Protocol = 11 "protocol" U8 [""] "connection_info.protocol_num" ["Protocol", "proto", "network.iana_number"]: "IANA protocol number.";
    SrcIp = 12 "src_ip" Ip ? null [""] "src_endpoint.ip" ["SourceIp", "source.ip"] personal: "Address of the side that opened it; null for a listening port.";
    SrcPort = 13 "src_port" U16 ? null [""] "src_endpoint.port" ["SourcePort", "source.port"]: "Port of the side that opened it.";
    DstIp = 14 "dst_ip" Ip ? null [""] "dst_endpoint.ip" ["DestinationIp", "destination.ip"] personal: "Address of the other side, or the one that is listened on.";
    DstPort = 15 "dst_port" U16 ? null [""] "dst_endpoint.port" ["DestinationPort", "destination.port"]: "Port of the other side, or the one that is listened on.";
    Initiated = 16 "initiated" Bool ? null [""] "" ["Initiated"]: "Whether this host opened it.";
    Start = 17 "start" Time ? null ["us"] "start_time" []: "When it was first seen.";
    End = 18 "end" Time ? null ["us"] "end_time" []: "When it ended.";
    State = 19 "state" Label ? null [""] "" []: "State of the socket, as the kernel names it.";
    BytesSent = 20 "bytes_sent" U64 ? null ["bytes"] "traffic.bytes_out" []: "Octets that the other side acknowledged, at the end.";
    BytesReceived = 21 "bytes_received" U64 ? null ["bytes"] "traffic.bytes_in" []: "Octets that came, at the end.";
    Interface = 22 "interface" Label ? null [""] "src_endpoint.interface_name" []: "Interface that the socket is bound to.";
    Pid = 23 "pid" U32 ? null [""] "actor.process.pid" ["ProcessId", "process.pid"]: "Number of the process that holds it; the first of several.";
    StartTicks = 24 "start_ticks" U64 ? null [""] "" []: "When that process began, in clock ticks since boot.";
    Name = 25 "name" Label ? null [""] "actor.process.name" ["comm", "process.name"]: "Name of that process for itself.";
    Image = 26 "image" Label ? null [""] "actor.process.file.path" ["Image", "exe", "process.executable"]: "Program of that process.";
    CommandLine = 27 "command_line" Text ? null [""] "actor.process.cmd_line" ["CommandLine", "process.command_line"] personal: "Arguments of that process.";
    Uid = 28 "uid" U32 ? null [""] "actor.user.uid" ["user.id"]: "Owner of the socket, as a number.";
    User = 29 "user" Text ? null [""] "actor.user.name" ["User", "user.name"] personal: "Owner of the socket.";
    LoginUid = 30 "login_uid" U32 ? null [""] "actor.process.auid" ["auid"]: "Who signed in at the beginning, as a number; null for services.";
    Unit = 31 "unit" Label ? null [""] "" []: "The systemd unit of that process.";
    Container = 32 "container" Label ? null [""] "container.uid" ["container.id"]: "Container of that process.";
    Inode = 33 "inode" U64 ? null [""] "" []: "Number of the socket.";
    Cookie = 34 "cookie" U64 ? null [""] "" []: "The kernel's name of the socket, never used twice in one boot.";
    Source = 35 "source" Label ? null [""] "metadata.product.feature.name" []: "How it was seen: dump or destroy.";
}
