//! From where a host can be reached, with every reason: what it listens on, the addresses that it has, what its packet filter
//! lets in, and who came. All of it is worked out once a host, never once a finding.
//!
//! What is not understood counts as letting in: a condition of a filter that an agent does not put into words narrows nothing.

use std::collections::BTreeSet;
use std::net::IpAddr;

use guardian_protocol::lists::List;
use guardian_vuln::risk::Exposure;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::address::is_public;
use crate::filter::{Family, Filter};

/// Ports that a reason names; the others are counted.
const PORTS_MAX: usize = 64;
/// How long it is remembered that somebody came, in seconds.
pub(crate) const SEEN_S: i64 = 7 * 86_400;

/// What a reason is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasonKind {
    /// It has not said what it listens on.
    Untold,
    /// It listens on nothing that others reach.
    ListensNowhere,
    /// It listens.
    Listens,
    /// It has an address of the internet.
    PublicAddress,
    /// Its packet filter lets in what no rule names, or there is none.
    FilterOpen,
    /// Its packet filter lets nobody reach these ports.
    FilterShut,
    /// Its packet filter lets some networks reach these ports.
    FilterNetworks,
    /// Its packet filter lets anybody reach these ports.
    FilterAnybody,
    /// Somebody from the internet came to these ports.
    CameFromInternet,
    /// Somebody from a network came to these ports.
    CameFromNetwork,
    /// Nobody came, although one would have seen it.
    NobodyCame,
    /// Somebody says so, by a tag or group.
    Label,
}

impl ReasonKind {
    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Untold => "untold",
            Self::ListensNowhere => "listens_nowhere",
            Self::Listens => "listens",
            Self::PublicAddress => "public_address",
            Self::FilterOpen => "filter_open",
            Self::FilterShut => "filter_shut",
            Self::FilterNetworks => "filter_networks",
            Self::FilterAnybody => "filter_anybody",
            Self::CameFromInternet => "came_from_internet",
            Self::CameFromNetwork => "came_from_network",
            Self::NobodyCame => "nobody_came",
            Self::Label => "label",
        }
    }

    /// Where it comes from: ports, addresses, filter, flows or settings.
    pub const fn source(self) -> &'static str {
        match self {
            Self::Untold | Self::ListensNowhere | Self::Listens => "ports",
            Self::PublicAddress => "addresses",
            Self::FilterOpen | Self::FilterShut | Self::FilterNetworks | Self::FilterAnybody => "filter",
            Self::CameFromInternet | Self::CameFromNetwork | Self::NobodyCame => "flows",
            Self::Label => "settings",
        }
    }

    /// What it alone would say.
    pub const fn exposure(self) -> Exposure {
        match self {
            Self::Untold => Exposure::Unknown,
            Self::ListensNowhere | Self::FilterShut | Self::NobodyCame => Exposure::Local,
            Self::Listens | Self::FilterOpen | Self::FilterNetworks | Self::CameFromNetwork => Exposure::Network,
            Self::PublicAddress | Self::FilterAnybody | Self::CameFromInternet | Self::Label => Exposure::Internet,
        }
    }
}

/// One reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// What it is.
    pub kind: ReasonKind,
    /// The ports that it is about, such as `tcp/22`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<String>,
    /// How many ports there are beside.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: usize,
    /// An address, or networks; empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// When it was last so, in seconds since the epoch; none for now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_s: Option<i64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
const fn is_zero(n: &usize) -> bool {
    *n == 0
}

impl Reason {
    pub(crate) fn new(kind: ReasonKind) -> Self {
        Self { kind, ports: Vec::new(), more: 0, detail: String::new(), last_s: None }
    }

    fn of_ports(kind: ReasonKind, ports: &BTreeSet<(String, u16)>) -> Self {
        let named = ports.iter().take(PORTS_MAX).map(|(protocol, port)| format!("{protocol}/{port}"));
        Self { ports: named.collect(), more: ports.len().saturating_sub(PORTS_MAX), ..Self::new(kind) }
    }
}

/// How far an exposure reaches; what nobody knows reaches nowhere.
pub(crate) const fn reach(exposure: Exposure) -> u8 {
    match exposure {
        Exposure::Unknown | Exposure::Local => 0,
        Exposure::Network => 1,
        Exposure::Internet => 2,
    }
}

/// A port that is listened on.
struct Socket {
    protocol: String,
    port: u16,
    address: IpAddr,
}

impl Socket {
    fn read(entry: &Value) -> Option<Self> {
        let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default();
        let address: IpAddr = text("address").parse().ok()?;
        let (protocol, port) = text("name").split_once('/')?;
        Some(Self { protocol: protocol.to_owned(), port: port.parse().ok()?, address })
    }

    /// The families in which packets come to it.
    fn families(&self) -> &'static [Family] {
        match self.address {
            IpAddr::V4(_) => &[Family::V4],
            IpAddr::V6(v6) if v6.is_unspecified() => &[Family::V4, Family::V6],
            IpAddr::V6(_) => &[Family::V6],
        }
    }
}

/// The entries of a list that can be read.
pub(crate) fn entries(list: Option<&List>) -> impl Iterator<Item = Value> {
    list.into_iter().flat_map(List::iter).filter_map(|(_, entry)| serde_json::from_str(entry).ok())
}

/// The addresses of a host.
fn addresses(interfaces: Option<&List>) -> Vec<IpAddr> {
    let of = |entry: Value| {
        let all = entry.get("addresses").and_then(Value::as_array).cloned().unwrap_or_default();
        let read = |text: Value| text.as_str()?.split('/').next()?.parse::<IpAddr>().ok();
        all.into_iter().filter_map(read).collect::<Vec<_>>()
    };
    entries(interfaces).flat_map(of).collect()
}

/// From where a host can be reached as far as it sees itself: by its ports, its addresses, and its packet filter.
pub(crate) fn of_lists(
    ports: Option<&List>,
    interfaces: Option<&List>,
    filter: Option<&List>,
) -> (Exposure, Vec<Reason>) {
    if ports.is_none() {
        return (Exposure::Unknown, vec![Reason::new(ReasonKind::Untold)]);
    }
    let sockets: Vec<Socket> = entries(ports).filter_map(|entry| Socket::read(&entry)).collect();
    let sockets: Vec<Socket> = sockets.into_iter().filter(|socket| !socket.address.is_loopback()).collect();
    if sockets.is_empty() {
        return (Exposure::Local, vec![Reason::new(ReasonKind::ListensNowhere)]);
    }
    let own = addresses(interfaces);
    let public = |family: Family| own.iter().find(|own| Family::of(**own) == family && is_public(**own)).copied();
    let filter = filter.map(|list| Filter::read(entries(Some(list))));
    let mut all = BTreeSet::new();
    let mut by_kind: [(ReasonKind, BTreeSet<(String, u16)>); 3] =
        [ReasonKind::FilterShut, ReasonKind::FilterNetworks, ReasonKind::FilterAnybody]
            .map(|kind| (kind, BTreeSet::new()));
    let (mut exposure, mut address, mut networks, mut open) = (Exposure::Local, None, BTreeSet::new(), false);
    for socket in &sockets {
        all.insert((socket.protocol.clone(), socket.port));
        let mut let_in = Exposure::Local;
        for family in socket.families() {
            let reached = match socket.address {
                any if any.is_unspecified() => public(*family),
                own => is_public(own).then_some(own),
            };
            address = address.or(reached);
            let base = if reached.is_some() { Exposure::Internet } else { Exposure::Network };
            let passed = match &filter {
                Some(filter) if filter.is_closed(*family) => {
                    filter.lets_in(*family, &socket.protocol, socket.port, &mut networks)
                }
                Some(_) | None => {
                    open = true;
                    Exposure::Internet
                }
            };
            let_in = further(let_in, passed);
            exposure = further(exposure, if reach(passed) < reach(base) { passed } else { base });
        }
        if let Some((_, ports)) = by_kind.iter_mut().find(|(kind, _)| reach(kind.exposure()) == reach(let_in)) {
            ports.insert((socket.protocol.clone(), socket.port));
        }
    }
    let mut reasons = vec![Reason::of_ports(ReasonKind::Listens, &all)];
    reasons.extend(address.map(|own| Reason { detail: own.to_string(), ..Reason::new(ReasonKind::PublicAddress) }));
    match filter {
        None => {}
        // A filter in one family alone is no filter.
        Some(_) if open => reasons.push(Reason::new(ReasonKind::FilterOpen)),
        Some(_) => {
            let named: Vec<String> = networks.into_iter().take(8).collect();
            for (kind, ports) in by_kind.iter().filter(|(_, ports)| !ports.is_empty()) {
                let detail = if *kind == ReasonKind::FilterNetworks { named.join(", ") } else { String::new() };
                reasons.push(Reason { detail, ..Reason::of_ports(*kind, ports) });
            }
        }
    }
    (exposure, reasons)
}

fn further(one: Exposure, other: Exposure) -> Exposure {
    if reach(other) > reach(one) { other } else { one }
}

/// Who came to a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Visits {
    /// From the internet: the ports, and when last.
    pub internet: Option<Visit>,
    /// From networks.
    pub network: Option<Visit>,
    /// When anything was last seen of the host's connections at all, in seconds since the epoch; 0 for never.
    pub watched_s: i64,
}

/// To which ports somebody came, and when last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Visit {
    /// The ports, each with when somebody came to it last, in seconds since the epoch.
    pub ports: std::collections::BTreeMap<(String, u16), i64>,
}

impl Visit {
    pub(crate) fn add(&mut self, protocol: &str, port: u16, last_s: i64) {
        let key = (protocol.to_owned(), port);
        if self.ports.len() < PORTS_MAX || self.ports.contains_key(&key) {
            let known = self.ports.entry(key).or_insert(last_s);
            *known = (*known).max(last_s);
        }
    }
}

/// What visits say of a host that has these reasons of its own. Who came to a port that nobody listens on any more says
/// nothing of what can be reached now.
pub(crate) fn of_visits(own: &[Reason], visits: &Visits, now_s: i64) -> Vec<Reason> {
    let listens = own.iter().find(|reason| reason.kind == ReasonKind::Listens);
    let untold = own.iter().any(|reason| reason.kind == ReasonKind::Untold);
    let counts = |protocol: &str, port: u16| {
        untold || listens.is_some_and(|all| all.more > 0 || all.ports.contains(&format!("{protocol}/{port}")))
    };
    let reason = |kind, visit: &Option<Visit>| {
        let visit = visit.as_ref()?;
        let fresh =
            |((protocol, port), last_s): &(&(String, u16), &i64)| now_s - **last_s < SEEN_S && counts(protocol, *port);
        let seen: Vec<_> = visit.ports.iter().filter(fresh).collect();
        let last_s = seen.iter().map(|(_, last)| **last).max()?;
        let ports = seen.into_iter().map(|(port, _)| port.clone()).collect();
        Some(Reason { last_s: Some(last_s), ..Reason::of_ports(kind, &ports) })
    };
    let mut all: Vec<Reason> = Vec::new();
    all.extend(reason(ReasonKind::CameFromInternet, &visits.internet));
    all.extend(reason(ReasonKind::CameFromNetwork, &visits.network));
    if all.is_empty() && visits.watched_s > 0 && now_s - visits.watched_s < SEEN_S {
        all.push(Reason { last_s: Some(visits.watched_s), ..Reason::new(ReasonKind::NobodyCame) });
    }
    all
}

/// The exposure with what visits say: who came could come, whatever else one thinks.
pub(crate) fn with_visits(own: Exposure, visits: &[Reason]) -> Exposure {
    let came = visits.iter().filter(|reason| reason.kind != ReasonKind::NobodyCame);
    came.fold(own, |exposure, reason| further(exposure, reason.kind.exposure()))
}

/// The reasons in a sentence, for those who read no members.
pub(crate) fn sentence(reasons: &[Reason]) -> String {
    let words = |reason: &Reason| {
        let mut words = reason.kind.as_str().replace('_', " ");
        let named: Vec<&str> = reason.ports.iter().take(3).map(String::as_str).collect();
        let rest = reason.ports.len() - named.len() + reason.more;
        for part in [named.join(", "), reason.detail.clone()] {
            if !part.is_empty() {
                words = format!("{words} {part}");
            }
        }
        if rest > 0 { format!("{words} and {rest} more") } else { words }
    };
    reasons.iter().map(words).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn list(entries: &[Value]) -> List {
        let mut list = List::default();
        entries.iter().enumerate().for_each(|(at, entry)| assert!(list.put(&at.to_string(), entry)));
        list
    }

    fn ports(all: &[(&str, &str)]) -> List {
        list(&all.iter().map(|(name, address)| json!({"name": name, "address": address})).collect::<Vec<_>>())
    }

    fn addresses(all: &[&str]) -> List {
        list(&[json!({"addresses": all})])
    }

    fn shown(ports: &List, interfaces: &List, filter: Option<&List>) -> (Exposure, Vec<String>) {
        let (exposure, reasons) = of_lists(Some(ports), Some(interfaces), filter);
        let line = |r: &Reason| format!("{} {} {}", r.kind.as_str(), r.ports.join(","), r.detail);
        (exposure, reasons.iter().map(|reason| line(reason).trim_end().to_owned()).collect())
    }

    fn chain(family: &str, policy: &str) -> Value {
        json!({"kind": "chain", "family": family, "table": "filter", "name": "input", "hook": "input", "policy": policy})
    }

    fn rule(more: Value) -> Value {
        let mut rule = json!({"kind": "rule", "family": "inet", "table": "filter", "chain": "input", "hook": "input",
            "action": "accept", "more": false});
        rule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        rule
    }

    #[test]
    fn a_host_is_as_exposed_as_it_listens() {
        for (ports_at, own, expected) in [
            (&["127.0.0.1", "::1"][..], &["93.184.216.34/24"][..], Exposure::Local),
            (&["0.0.0.0"], &["10.0.0.5/24", "127.0.0.1/8", "fe80::1/64", "100.64.1.1/10"], Exposure::Network),
            (&["0.0.0.0"], &["93.184.216.34/24"], Exposure::Internet),
            (&["10.0.0.5"], &["93.184.216.34/24", "10.0.0.5/24"], Exposure::Network),
            (&["::"], &["2606:2800:220:1::1/64"], Exposure::Internet),
            (&["::"], &["fd00::1/64", "2001:db8::1/64"], Exposure::Network),
        ] {
            let all: Vec<(&str, &str)> = ports_at.iter().map(|at| ("tcp/22", *at)).collect();
            let (exposure, reasons) = shown(&ports(&all), &addresses(own), None);
            assert_eq!(exposure, expected, "{ports_at:?} {own:?}: {reasons:?}");
        }
        let (exposure, reasons) = of_lists(None, None, None);
        assert_eq!((exposure, reasons[0].kind), (Exposure::Unknown, ReasonKind::Untold));
    }

    #[test]
    fn a_packet_filter_narrows_what_it_is_understood_to_narrow() {
        let listens = ports(&[("tcp/22", "0.0.0.0"), ("tcp/443", "0.0.0.0"), ("tcp/5432", "0.0.0.0")]);
        let own = addresses(&["93.184.216.34/24"]);
        let ssh = rule(json!({"protocol": "tcp", "ports": ["22"], "from": ["10.0.0.0/8"]}));
        let answers = rule(json!({"states": ["established", "related"]}));
        let web = rule(json!({"protocol": "tcp", "ports": ["80", "443"]}));
        let closed = chain("inet", "drop");
        let by = |filter: &[Value]| shown(&listens, &own, Some(&list(filter)));
        let (exposure, reasons) = by(&[closed.clone(), ssh.clone(), answers.clone(), web]);
        assert_eq!(exposure, Exposure::Internet);
        assert_eq!(
            reasons,
            [
                "listens tcp/22,tcp/443,tcp/5432",
                "public_address  93.184.216.34",
                "filter_shut tcp/5432",
                "filter_networks tcp/22 10.0.0.0/8",
                "filter_anybody tcp/443"
            ]
        );
        assert_eq!(by(&[closed.clone(), ssh.clone(), answers.clone()]).0, Exposure::Network);
        assert_eq!(by(&[closed.clone(), answers.clone()]).0, Exposure::Local);
        assert_eq!(by(&[chain("inet", "accept"), ssh.clone()]).1[2], "filter_open");
        assert_eq!(by(&[chain("ip6", "drop")]).0, Exposure::Internet, "the other family is open");
        // What is not understood narrows nothing.
        for odd in [
            rule(json!({"more": true})),
            rule(json!({"more": null})),
            rule(json!({"from": ["@friends"]})),
            rule(json!({"hook": "prerouting", "table": "nat", "action": "dnat to 172.17.0.2:443", "ports": ["443"]})),
        ] {
            assert_eq!(by(&[closed.clone(), ssh.clone(), odd.clone()]).0, Exposure::Internet, "{odd}");
        }
        let lo = rule(json!({"interface": "lo"}));
        assert_eq!(by(&[closed, lo, answers]).0, Exposure::Local, "its own do not count");
    }

    #[test]
    fn who_came_could_come() {
        let (own, reasons) = of_lists(Some(&ports(&[("tcp/22", "0.0.0.0")])), None, None);
        assert_eq!(own, Exposure::Network);
        let mut visits = Visits { watched_s: 1_000_000, ..Visits::default() };
        let kinds = |visits: &Visits, now_s| {
            let all = of_visits(&reasons, visits, now_s);
            (with_visits(own, &all), all.iter().map(|reason| reason.kind).collect::<Vec<_>>())
        };
        assert_eq!(kinds(&visits, 1_000_100), (Exposure::Network, vec![ReasonKind::NobodyCame]));
        visits.internet.get_or_insert_default().add("tcp", 8080, 1_000_000);
        assert_eq!(kinds(&visits, 1_000_100).1, [ReasonKind::NobodyCame], "nothing listens there");
        visits.internet.get_or_insert_default().add("tcp", 22, 1_000_050);
        visits.network.get_or_insert_default().add("tcp", 22, 1_000_000);
        let both = vec![ReasonKind::CameFromInternet, ReasonKind::CameFromNetwork];
        assert_eq!(kinds(&visits, 1_000_100), (Exposure::Internet, both));
        assert_eq!(kinds(&visits, 1_000_060 + SEEN_S), (Exposure::Network, vec![]), "it is long ago");
        let (unknown, untold) = of_lists(None, None, None);
        assert_eq!(with_visits(unknown, &of_visits(&untold, &visits, 1_000_100)), Exposure::Internet);
    }
}
