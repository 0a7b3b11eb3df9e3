//! `mix.lock` of Elixir and Erlang: a map of Elixir with one entry a line, `"name": {:hex, :name, "version", …}`.

use crate::text::{lines, quoted};
use crate::{Found, Manager, Package};

/// The packages of the lock file that Hex keeps.
pub(super) fn parse(mix_lock: &[u8]) -> Found<Package> {
    let mut found = Found::default();
    for (number, line) in lines(mix_lock) {
        let Some((_, entry)) = line.split_once("{:hex,") else { continue };
        let name = entry.trim_start().trim_start_matches(':').split(',').next().unwrap_or_default();
        match quoted(entry.split_once(',').map_or("", |(_, rest)| rest)).first() {
            Some(version) => found.push(Package::new(Manager::Hex, name.trim().trim_matches('"'), version)),
            None => found.issue(number, "a package without a version"),
        }
    }
    found
}
