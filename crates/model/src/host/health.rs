//! How hosts and their agents are: measured values over time, one row a value.

use crate::class::class;

class! {
    /// Measured values of hosts and agents (OCSF 1.8 Base Event).
    HEALTH,
    /// Columns of [`HEALTH`].
    HealthField,
    name "health", ocsf 0, uid 60_002, "How hosts and their agents are: processor, memory, disks, network, one row a value.";

    Batch = 1 "batch" U64 [""] "metadata.log_name" []: "Number of the batch the row was stored with; with row it identifies the event.";
    Row = 2 "row" U32 [""] "metadata.sequence" []: "Row within its batch.";
    Received = 3 "received" Time ["us"] "metadata.logged_time" []: "When Guardian received it; partitions and retention follow it.";
    Time = 4 "time" Time ["us"] "time" ["timestamp"]: "When it happened, by the clock of the host.";
    Site = 5 "site" Label ? null [""] "metadata.labels" []: "Site of the host; null is the main site.";
    Host = 6 "host" Label [""] "device.hostname" ["Computer", "ComputerName", "host.name"]: "Name of the host, as the fleet knows it.";
    HostId = 7 "host_id" Label ? null [""] "device.uid" []: "Id of the host in the fleet.";
    Replay = 8 "replay" Label ? null [""] "metadata.tags" []: "Name of the replay this row came from; null for live events.";
    Metric = 10 "metric" Label [""] "" []: "What is measured: cpu_busy, memory_available, disk_read and so on.";
    Object = 11 "object" Label ? null [""] "" []: "Which one of several: a file system, disk or interface.";
    Value = 12 "value" U64 [""] "" []: "The value.";
    Unit = 13 "unit" Label ? null [""] "" []: "Its unit: bytes, percent, bytes/s and so on.";
}
