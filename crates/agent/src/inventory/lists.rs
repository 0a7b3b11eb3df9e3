//! The lists of the inventory: what each is read from, how often, and at which changes at once. Adding one is a function in
//! a file below and a line here, and a line in the `sorts` of the protocol that says how lists of two hosts are compared.
//!
//! An entry names nothing that moves by itself (times of access, counters, numbers of processes): a list is another one
//! only when something happened. Members that may be about a person are called `user` or `command_line`, as the columns
//! of events are, so that they are masked for those who may not see them.

mod accounts;
pub(crate) mod certificates;
mod containers;
mod disks;
mod firewall;
pub(crate) mod kernel;
pub(crate) mod libraries;
pub(crate) mod live_tunnels;
mod network;
mod packages;
mod ports;
mod schedules;
mod services;
mod system;
mod tunnels;

use std::time::Duration;

use guardian_protocol::lists::List;
use serde_json::{Map, Value};

use crate::files::Root;

/// A list.
pub struct Source {
    /// Its name.
    pub name: &'static str,
    /// How often it is read at least.
    pub every: Duration,
    /// Files and folders at whose change it is read at once.
    pub watched: &'static [&'static str],
    /// Reads it.
    pub read: fn(&mut Root, &mut List),
}

/// Keys of others are looked at when it is time.
const ROOTS_KEYS: &[&str] = &[concat!("/root", "/.ssh"), concat!("/root", "/.ssh/authorized_keys"), "/etc/ssh"];
const MINUTE: u64 = 60;
const HOUR: u64 = 3_600;

const fn source(
    name: &'static str,
    seconds: u64,
    watched: &'static [&'static str],
    read: fn(&mut Root, &mut List),
) -> Source {
    Source { name, every: Duration::from_secs(seconds), watched, read }
}

/// Every list, in the order in which they are read first.
pub const ALL: &[Source] = &[
    source("system", HOUR, &["/etc/os-release", "/etc/hostname", "/etc/machine-id"], system::system),
    source("packages", 6 * HOUR, packages::WATCHED, packages::packages),
    source("users", HOUR, &["/etc/passwd", "/etc/shadow"], accounts::users),
    source("groups", HOUR, &["/etc/group"], accounts::groups),
    source("keys", 10 * MINUTE, ROOTS_KEYS, accounts::keys),
    source("sudoers", HOUR, &["/etc/sudoers", "/etc/sudoers.d"], accounts::sudoers),
    source("cron", 10 * MINUTE, schedules::WATCHED, schedules::cron),
    source("services", 30 * MINUTE, services::WATCHED, services::services),
    source("ports", MINUTE, &[], ports::ports),
    source("interfaces", MINUTE, &[], network::interfaces),
    source("routes", MINUTE, &[], network::routes),
    source("resolvers", HOUR, network::WATCHED, network::resolvers),
    source("tunnels", 2 * MINUTE, tunnels::WATCHED, tunnels::tunnels),
    source("firewall", 2 * MINUTE, firewall::WATCHED, firewall::firewall),
    source("disks", 10 * MINUTE, &["/etc/fstab"], disks::disks),
    source("modules", 5 * MINUTE, &[], system::modules),
    source("containers", MINUTE, containers::WATCHED, containers::containers),
    source("certificates", 12 * HOUR, certificates::WATCHED, certificates::certificates),
    source("libraries", 24 * HOUR, &[], libraries::libraries),
];

/// The list with this name.
pub fn find(name: &str) -> Option<&'static Source> {
    ALL.iter().find(|source| source.name == name)
}

/// An entry without members that say nothing.
fn entry(value: Value) -> Value {
    let Value::Object(members) = value else { return value };
    let says = |value: &Value| match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(all) => !all.is_empty(),
        _ => true,
    };
    Value::Object(members.into_iter().filter(|(_, value)| says(value)).collect::<Map<_, _>>())
}

/// The first line of a small file, trimmed.
fn line(root: &mut Root, path: &str) -> String {
    text(root, path).lines().next().unwrap_or_default().trim().to_owned()
}

/// A small file as text.
fn text(root: &mut Root, path: &str) -> String {
    String::from_utf8_lossy(&root.read(path).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use guardian_protocol::lists::SORTS;

    use super::*;

    #[test]
    fn every_list_says_how_it_is_compared() {
        for source in ALL {
            assert!(SORTS.iter().any(|sort| sort.name == source.name), "{} is not among the sorts", source.name);
        }
    }
}
