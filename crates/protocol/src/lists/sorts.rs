//! What each list of the inventory is about, as far as lists of different hosts are put beside each other: by which members
//! an entry is the same thing on another host, and which members are a host's own and say nothing about a difference.
//!
//! A list that is not named here is compared by its own keys, and by every member. What the server knows of hosts besides
//! (facts, policy, findings) is compared as if it were a list.

/// A list that can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sort {
    /// Its name.
    pub name: &'static str,
    /// Members that make an entry the same thing on another host. Several entries of a host may have the same, as versions of
    /// a kernel do: they are compared all together. None for the key that the host gave.
    pub key: &'static [&'static str],
    /// Members that are shown, but make no difference.
    pub own: &'static [&'static str],
    /// Kinds of entries that are never the same on two hosts and are left out.
    pub not: &'static [&'static str],
}

const fn of(
    name: &'static str,
    key: &'static [&'static str],
    own: &'static [&'static str],
    not: &'static [&'static str],
) -> Sort {
    Sort { name, key, own, not }
}

/// Every list, in the order in which people want to see them.
pub const SORTS: &[Sort] = &[
    of("facts", &["name"], &[], &[]),
    of("policy", &["name"], &[], &[]),
    of("findings", &["vulnerability", "ecosystem", "package"], &["first_seen", "risk", "due"], &[]),
    of("system", &[], &["serial"], &["machine"]),
    of("packages", &["kind", "name", "architecture"], &["installed_s"], &[]),
    of("libraries", &["kind", "name"], &["installed_s", "path"], &[]),
    of("services", &["kind", "name"], &[], &[]),
    of("ports", &["protocol", "address", "port"], &[], &[]),
    of("users", &["user"], &["changed_day"], &[]),
    of("groups", &["name"], &[], &[]),
    of("keys", &["user", "fingerprint"], &[], &[]),
    of("sudoers", &["kind", "user", "command_line", "value", "path"], &[], &[]),
    of("cron", &["kind", "user", "command_line", "path"], &[], &[]),
    of("firewall", &["kind", "family", "table", "chain", "name", "protocol"], &[], &[]),
    of("interfaces", &["name"], &["mac", "addresses"], &[]),
    of("routes", &["kind", "name", "interface"], &[], &[]),
    of("resolvers", &["kind", "path", "name"], &[], &[]),
    of("tunnels", &["kind", "name", "key", "path", "user", "value"], &["state"], &[]),
    of("disks", &["kind", "name"], &["serial"], &[]),
    of("modules", &["name"], &["size_bytes"], &[]),
    of("containers", &["kind", "name"], &["id", "created"], &[]),
    of("certificates", &["path", "subject"], &[], &[]),
];

/// How a list is compared.
pub fn sort(name: &str) -> Sort {
    let known = SORTS.iter().find(|sort| sort.name == name);
    known.copied().unwrap_or(of("", &[], &[], &[]))
}
