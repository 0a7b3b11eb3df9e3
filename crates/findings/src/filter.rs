//! What a packet filter lets in, as far as an agent puts it into words. Rules come without their order: one that lets in
//! counts wherever it stands, and what refuses counts only where nothing else is said.

use std::collections::BTreeSet;
use std::net::IpAddr;

use guardian_vuln::risk::Exposure;
use serde_json::Value;

use crate::address::is_public;
use crate::exposure::reach;

/// Rules of one host that are looked at.
const RULES_MAX: usize = 50_000;

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Family {
    pub(crate) const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// Whether what is said of a family in the filter's words is said of this one.
    fn is(self, word: &str) -> bool {
        match word {
            "ip" => self == Self::V4,
            "ip6" => self == Self::V6,
            "inet" => true,
            _ => false,
        }
    }
}

/// A rule that lets in.
struct Entrance {
    family: String,
    protocol: String,
    ports: Vec<String>,
    from: Vec<String>,
}

/// The packet filter of a host.
#[derive(Default)]
pub(crate) struct Filter {
    /// Families whose chains refuse what no rule names.
    closed: Vec<String>,
    entrances: Vec<Entrance>,
}

fn text<'a>(entry: &'a Value, name: &str) -> &'a str {
    entry.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn texts(entry: &Value, name: &str) -> Vec<String> {
    let all = entry.get(name).and_then(Value::as_array).into_iter().flatten();
    all.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn is_entrance(entry: &Value) -> bool {
    // Addresses that are translated lead past what filters for the host itself: containers are reached so.
    let action = text(entry, "action");
    if action.starts_with("dnat") || action.starts_with("redirect") {
        return true;
    }
    let states = texts(entry, "states");
    let answers = !states.is_empty() && !states.iter().any(|state| state.eq_ignore_ascii_case("new"));
    action == "accept" && matches!(text(entry, "hook"), "input" | "") && text(entry, "table") != "nat" && !answers
}

/// Whether a rule refuses everything that comes to it.
fn refuses_all(entry: &Value) -> bool {
    let nothing = |name: &str| text(entry, name).is_empty() && texts(entry, name).is_empty();
    matches!(text(entry, "action"), "drop" | "reject")
        && text(entry, "hook") == "input"
        && text(entry, "table") != "nat"
        && entry.get("more").and_then(Value::as_bool) == Some(false)
        && ["protocol", "from", "to", "ports", "interface", "states"].into_iter().all(nothing)
}

impl Filter {
    /// Of the entries of the list `firewall`.
    pub(crate) fn read(entries: impl Iterator<Item = Value>) -> Self {
        let mut filter = Self::default();
        for entry in entries.take(RULES_MAX) {
            let family = text(&entry, "family").to_owned();
            match text(&entry, "kind") {
                "chain" if text(&entry, "hook") == "input" && text(&entry, "table") != "nat" => {
                    if text(&entry, "policy") == "drop" {
                        filter.closed.push(family);
                    }
                }
                "rule" if refuses_all(&entry) => filter.closed.push(family),
                "rule" if is_entrance(&entry) && text(&entry, "interface") != "lo" => {
                    filter.entrances.push(Entrance {
                        family,
                        protocol: text(&entry, "protocol").to_lowercase(),
                        ports: texts(&entry, "ports"),
                        from: texts(&entry, "from"),
                    });
                }
                _ => {}
            }
        }
        filter
    }

    /// Whether what no rule names is refused.
    pub(crate) fn is_closed(&self, family: Family) -> bool {
        self.closed.iter().any(|word| family.is(word))
    }

    /// Whom it lets reach a port, where it refuses the rest; the networks that it names are added.
    pub(crate) fn lets_in(
        &self,
        family: Family,
        protocol: &str,
        port: u16,
        networks: &mut BTreeSet<String>,
    ) -> Exposure {
        let mut most = Exposure::Local;
        let fits = |entrance: &&Entrance| {
            family.is(&entrance.family)
                && (entrance.protocol.is_empty() || entrance.protocol == protocol)
                && (entrance.ports.is_empty() || entrance.ports.iter().any(|ports| has(ports, port)))
        };
        for entrance in self.entrances.iter().filter(fits) {
            let exposure = from(&entrance.from);
            if exposure == Exposure::Network {
                networks.extend(entrance.from.iter().cloned());
            }
            if reach(exposure) > reach(most) {
                most = exposure;
            }
        }
        most
    }
}

/// From where these sources come. What is no address is a set whose content nobody knows.
fn from(sources: &[String]) -> Exposure {
    let is_inner = |source: &String| {
        let (address, bits) = source.split_once('/').unwrap_or((source, "128"));
        // A range is as its first address; so short a prefix has public ones in it.
        let address = address.split('-').next().unwrap_or_default();
        let bits: u8 = bits.parse().unwrap_or_default();
        address.parse::<IpAddr>().is_ok_and(|address| bits >= 7 && !is_public(address) && !address.is_unspecified())
    };
    let anybody = sources.is_empty() || !sources.iter().all(is_inner);
    if anybody { Exposure::Internet } else { Exposure::Network }
}

/// Whether a port, or a range such as `8000-9000`, has this one in it; a name that is no number may be any.
fn has(ports: &str, wanted: u16) -> bool {
    let (first, last) = ports.split_once(['-', ':']).unwrap_or((ports, ports));
    match (first.trim().parse::<u16>(), last.trim().parse::<u16>()) {
        (Ok(first), Ok(last)) => (first..=last).contains(&wanted),
        _ => true,
    }
}
