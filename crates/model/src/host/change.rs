//! Changes of what hosts have: packages, services, accounts, settings. The server makes them when a host's inventory is
//! another than the one before.

use crate::class::class;

class! {
    /// Changes of the inventory of hosts (OCSF 1.8 Entity Management).
    CHANGE,
    /// Columns of [`CHANGE`].
    ChangeField,
    name "changes", ocsf 3004, "What appeared, went or changed in the inventory of hosts, with what was before.";

    Batch = 1 "batch" U64 [""] "metadata.log_name" []: "Number of the batch the row was stored with; with row it identifies the event.";
    Row = 2 "row" U32 [""] "metadata.sequence" []: "Row within its batch.";
    Received = 3 "received" Time ["us"] "metadata.logged_time" []: "When Guardian received it; partitions and retention follow it.";
    Time = 4 "time" Time ["us"] "time" ["timestamp"]: "When the host was read and the change was there, by the clock of the host.";
    Site = 5 "site" Label ? null [""] "metadata.labels" []: "Site of the host; null is the main site.";
    Host = 6 "host" Label [""] "device.hostname" ["Computer", "ComputerName", "host.name"]: "Name of the host, as the fleet knows it.";
    HostId = 7 "host_id" Label ? null [""] "device.uid" []: "Id of the host in the fleet.";
    Replay = 8 "replay" Label ? null [""] "metadata.tags" []: "Name of the replay this row came from; null for live events.";
    Activity = 10 "activity" Label [""] "activity_name" []: "What happened: added, removed or changed.";
    List = 11 "list" Label [""] "entity.type" []: "The list of the inventory: packages, services, users, groups, keys, sudoers, cron and so on.";
    Kind = 12 "kind" Label ? null [""] "" []: "What it is within the list, such as the manager of a package.";
    Name = 13 "name" Text ? null [""] "entity.name" ["package.name"]: "What it is called.";
    Version = 14 "version" Text ? null [""] "entity_result.version" ["package.version"]: "Its version now.";
    OldVersion = 15 "old_version" Text ? null [""] "entity.version" []: "Its version before.";
    User = 16 "user" Text ? null [""] "user.name" ["User", "user.name"] personal: "The account that it is or that it is about.";
    Path = 17 "path" Text ? null [""] "" ["file.path"]: "The file that it stands in.";
    Changed = 18 "changed" Label ? null [""] "" []: "What changed of it, names separated by commas.";
    Entry = 19 "entry" Text ? null [""] "entity_result.data" [] personal: "All of it now, as JSON.";
    OldEntry = 20 "old_entry" Text ? null [""] "entity.data" [] personal: "All of it before, as JSON.";
}
