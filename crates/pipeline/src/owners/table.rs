//! The connections of one site's hosts, by their ends. Pure; bounded.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use guardian_model::{Ip, Micros};
use hashbrown::{HashMap, HashSet};

/// Connections of one site that are remembered.
const CONNECTIONS_MAX: usize = 262_144;
/// Ports that are listened on.
const LISTENERS_MAX: usize = 65_536;
/// Uses of the same two ends that are told apart.
const USES_MAX: usize = 4;
/// How long a connection that ended is remembered: the active timeout of exporters is half an hour at most in practice.
const KEEP: i64 = 40 * 60 * Micros::SECOND;
/// Clocks of hosts and exporters differ, and a connection is seen only when its host looks at its sockets.
const SLACK: i64 = 30 * Micros::SECOND;
/// How often what has ended is looked for.
const SWEEP: i64 = 60 * Micros::SECOND;

/// Who holds a socket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Process {
    /// Name of the host.
    pub(super) host: String,
    /// Id of the host.
    pub(super) host_id: String,
    /// The boot and the start within it: the same number of another process is another process.
    pub(super) boot: String,
    pub(super) start_ticks: Option<u64>,
    pub(super) pid: Option<u32>,
    /// Path of the program, or what the process calls itself.
    pub(super) program: Option<String>,
    pub(super) user: Option<String>,
}

/// An address and a port.
pub(super) type End = (Ip, u16);

/// The two ends of a connection, seen from the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ends {
    pub(super) protocol: u8,
    pub(super) local: End,
    pub(super) remote: End,
}

impl Hash for Ends {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Five words instead of thirty-seven bytes one by one.
        let half = |ip: &Ip, at: usize| u64::from_le_bytes(std::array::from_fn(|i| ip.0[at + i]));
        for word in [half(&self.local.0, 0), half(&self.local.0, 8), half(&self.remote.0, 0), half(&self.remote.0, 8)] {
            state.write_u64(word);
        }
        let ports = u64::from(self.local.1) << 24 | u64::from(self.remote.1) << 8 | u64::from(self.protocol);
        state.write_u64(ports);
    }
}

/// When a host saw something, and who held it.
#[derive(Clone, Debug)]
pub(super) struct Use {
    pub(super) start: i64,
    /// The largest number while it stands.
    pub(super) end: i64,
    pub(super) by: Arc<Process>,
}

/// What somebody says of a socket.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) protocol: u8,
    pub(super) local: End,
    /// None of a port that is listened on.
    pub(super) remote: Option<End>,
    pub(super) start: i64,
    pub(super) end: Option<i64>,
    pub(super) by: Process,
    pub(super) received: i64,
}

#[derive(Debug)]
struct Uses {
    last: Use,
    before: Vec<Use>,
    /// When it was last told of.
    heard: i64,
}

/// Whose address it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    Host(u32),
    /// Several hosts have it.
    Several,
}

/// Connections, listening ports and addresses of the hosts of one site.
#[derive(Debug, Default)]
pub(super) struct Table {
    connections: HashMap<Ends, Uses>,
    /// By host, protocol, address (unspecified for all of the host's) and port.
    listeners: HashMap<(u32, u8, Ip, u16), Uses>,
    addresses: HashMap<Ip, Whose>,
    hosts: HashMap<String, u32>,
    processes: HashSet<Arc<Process>>,
    swept: i64,
}

fn is_own(ip: Ip) -> bool {
    // Addresses that mean another host on each host.
    let std = ip.to_std();
    std.is_loopback() || std.is_unspecified()
}

impl Table {
    pub(super) fn is_empty(&self) -> bool {
        self.addresses.is_empty()
    }

    /// Takes what a host says of a socket.
    pub(super) fn tell(&mut self, told: Told) {
        self.sweep(told.received);
        let host = self.host(&told.by.host_id);
        let by = self.process(told.by);
        let of = Use { start: told.start, end: told.end.unwrap_or(i64::MAX), by };
        let local = told.local;
        match told.remote {
            Some(remote) if !is_own(local.0) && !is_own(remote.0) => {
                self.claim(local.0, host);
                let ends = Ends { protocol: told.protocol, local, remote };
                put(&mut self.connections, ends, of, told.received);
            }
            Some(_) => {}
            None if local.0.to_std().is_loopback() => {}
            None => {
                if !is_own(local.0) {
                    self.claim(local.0, host);
                }
                put(&mut self.listeners, (host, told.protocol, any_of(local.0), local.1), of, told.received);
            }
        }
        forget_oldest(&mut self.connections, CONNECTIONS_MAX);
        forget_oldest(&mut self.listeners, LISTENERS_MAX);
    }

    fn host(&mut self, id: &str) -> u32 {
        let next = self.hosts.len() as u32;
        match self.hosts.get(id) {
            Some(host) => *host,
            None => *self.hosts.entry(id.to_owned()).or_insert(next),
        }
    }

    fn process(&mut self, process: Process) -> Arc<Process> {
        self.processes.get_or_insert(Arc::new(process)).clone()
    }

    fn claim(&mut self, ip: Ip, host: u32) {
        let whose = self.addresses.entry(ip).or_insert(Whose::Host(host));
        if *whose != Whose::Host(host) {
            *whose = Whose::Several;
        }
    }

    /// Drops what ended long ago, and what was only known for it.
    fn sweep(&mut self, now: i64) {
        if now.saturating_sub(self.swept) < SWEEP {
            return;
        }
        self.swept = now;
        self.connections.retain(|_, uses| uses.ended_after(now - KEEP));
        self.listeners.retain(|_, uses| uses.ended_after(now - KEEP));
        self.processes.retain(|process| Arc::strong_count(process) > 1);
        let mut held = std::mem::take(&mut self.addresses);
        held.clear();
        self.addresses = held;
        let ids: Vec<(Ip, Arc<Process>)> =
            self.connections.iter().map(|(ends, uses)| (ends.local.0, Arc::clone(&uses.last.by))).collect();
        for (ip, by) in ids {
            let host = self.host(&by.host_id);
            self.claim(ip, host);
        }
        let listened: Vec<_> = self.listeners.keys().map(|(host, _, ip, _)| (*ip, *host)).collect();
        for (ip, host) in listened {
            if !is_own(ip) {
                self.claim(ip, host);
            }
        }
    }

    /// Whether a host with an agent has this address.
    pub(super) fn knows(&self, ip: Ip) -> bool {
        self.addresses.contains_key(&ip)
    }

    /// Who held the local end during a flow from `start` to `end`; none where nobody is known or two fit alike.
    pub(super) fn holder(&self, ends: &Ends, start: i64, end: i64) -> Option<&Arc<Process>> {
        let found = match self.connections.get(ends) {
            Some(uses) => match uses.nearest(start, end) {
                Nearest::Tie => return None,
                Nearest::One(by) => Some(by),
                Nearest::None => None,
            },
            None => None,
        };
        match found {
            Some(by) if by.pid.is_some() => Some(by),
            // Too short for its host to have seen whose it was: whoever listens there took it.
            _ => self.listener(ends, start, end).or(found),
        }
    }

    fn listener(&self, ends: &Ends, start: i64, end: i64) -> Option<&Arc<Process>> {
        let Some(Whose::Host(host)) = self.addresses.get(&ends.local.0) else { return None };
        let at = |ip: Ip| self.listeners.get(&(*host, ends.protocol, ip, ends.local.1));
        let uses = at(ends.local.0).or_else(|| at(Ip::default()))?;
        match uses.nearest(start, end) {
            Nearest::One(by) => Some(by),
            Nearest::Tie | Nearest::None => None,
        }
    }
}

/// IPv4 and IPv6 ports of all addresses are the same to who listens.
fn any_of(ip: Ip) -> Ip {
    if ip.to_std().is_unspecified() { Ip::default() } else { ip }
}

enum Nearest<'a> {
    None,
    One(&'a Arc<Process>),
    Tie,
}

impl Uses {
    fn all(&self) -> impl Iterator<Item = &Use> {
        self.before.iter().chain([&self.last])
    }

    fn ended_after(&self, time: i64) -> bool {
        self.last.end >= time || self.before.iter().any(|of| of.end >= time)
    }

    fn nearest(&self, start: i64, end: i64) -> Nearest<'_> {
        let mut best: Option<(i64, &Use)> = None;
        let mut tie = false;
        for of in self.all() {
            let gap = (of.start.saturating_sub(end)).max(start.saturating_sub(of.end));
            if gap > SLACK {
                continue;
            }
            let away = of.start.saturating_sub(start).max(start.saturating_sub(of.end)).max(0);
            match best {
                Some((nearest, other)) if away == nearest => tie |= other.by != of.by,
                Some((nearest, _)) if away > nearest => {}
                _ => (best, tie) = (Some((away, of)), false),
            }
        }
        match best {
            None => Nearest::None,
            Some(_) if tie => Nearest::Tie,
            Some((_, of)) => Nearest::One(&of.by),
        }
    }

    /// The same use is told of at its beginning and at its end.
    fn take(&mut self, of: Use) {
        let same = |known: &&mut Use| known.start == of.start && known.by.host_id == of.by.host_id;
        if let Some(known) = self.before.iter_mut().chain([&mut self.last]).find(same) {
            known.end = known.end.min(of.end);
            if of.by.pid.is_some() || known.by.pid.is_none() {
                known.by = of.by;
            }
            return;
        }
        // Two hosts may claim the same ends at once; on one host a later use ends the earlier.
        for known in self.before.iter_mut().chain([&mut self.last]) {
            if known.by.host_id == of.by.host_id && known.start < of.start {
                known.end = known.end.min(of.start);
            }
        }
        self.before.push(std::mem::replace(&mut self.last, of));
        if self.before.len() >= USES_MAX {
            self.before.remove(0);
        }
    }
}

fn put<K: Eq + Hash>(map: &mut HashMap<K, Uses>, key: K, of: Use, heard: i64) {
    match map.entry(key) {
        hashbrown::hash_map::Entry::Occupied(mut known) => {
            known.get_mut().heard = heard;
            known.get_mut().take(of);
        }
        hashbrown::hash_map::Entry::Vacant(free) => {
            free.insert(Uses { last: of, before: Vec::new(), heard });
        }
    }
}

/// Makes room by an eighth, so that it is seldom done: what ended before what stands, and what was told of long ago first.
fn forget_oldest<K: Eq + Hash>(map: &mut HashMap<K, Uses>, max: usize) {
    if map.len() <= max {
        return;
    }
    let age = |uses: &Uses| (uses.last.end == i64::MAX, uses.heard);
    let mut ages: Vec<(bool, i64)> = map.values().map(age).collect();
    let (_, limit, _) = ages.select_nth_unstable(max / 8);
    let limit = *limit;
    map.retain(|_, uses| age(uses) > limit);
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = Micros::SECOND;

    fn ip(text: &str) -> Ip {
        text.parse().unwrap()
    }

    fn told(host: &str, pid: u32, remote: Option<(&str, u16)>, start: i64, end: Option<i64>) -> Told {
        let by = Process {
            host: host.into(),
            host_id: host.into(),
            pid: (pid > 0).then_some(pid),
            program: Some(format!("/bin/p{pid}")),
            ..Process::default()
        };
        let local = (ip("10.0.0.5"), if remote.is_some() { 40_000 } else { 22 });
        Told {
            protocol: 6,
            local,
            remote: remote.map(|(addr, port)| (ip(addr), port)),
            start: start * S,
            end: end.map(|e| e * S),
            by,
            received: start * S,
        }
    }

    fn holder(table: &Table, start: i64, end: i64) -> Option<u32> {
        let ends = Ends { protocol: 6, local: (ip("10.0.0.5"), 40_000), remote: (ip("203.0.113.9"), 443) };
        table.holder(&ends, start * S, end * S).and_then(|p| p.pid)
    }

    const WEB: Option<(&str, u16)> = Some(("203.0.113.9", 443));

    #[test]
    fn the_nearest_use_of_the_same_ends_wins() {
        let mut table = Table::default();
        assert!(table.is_empty() && holder(&table, 0, 1).is_none());
        table.tell(told("a", 1, WEB, 100, None));
        assert!(table.knows(ip("10.0.0.5")) && !table.knows(ip("203.0.113.9")));
        assert_eq!(holder(&table, 95, 96), Some(1), "it was seen a little late");
        assert_eq!(holder(&table, 20, 30), None, "long before");
        assert_eq!(holder(&table, 20, 150), Some(1), "a long flow");
        table.tell(told("a", 1, WEB, 100, Some(200)));
        table.tell(told("a", 2, WEB, 220, None));
        assert_eq!(
            [holder(&table, 150, 160), holder(&table, 205, 206), holder(&table, 225, 300)],
            [Some(1), Some(1), Some(2)]
        );
        assert_eq!(holder(&table, 215, 216), Some(2), "five seconds before is nearer than fifteen after");
        // Told again, in the wrong order: nothing changes.
        table.tell(told("a", 1, WEB, 100, None));
        assert_eq!(holder(&table, 225, 300), Some(2));
        assert_eq!(holder(&table, 150, 160), Some(1));
    }

    #[test]
    fn what_two_hosts_claim_is_nobodys() {
        let mut table = Table::default();
        table.tell(told("a", 1, WEB, 100, None));
        table.tell(told("b", 2, WEB, 90, None));
        assert_eq!(holder(&table, 150, 160), None);
        table.tell(told("a", 1, WEB, 100, Some(110)));
        assert_eq!(holder(&table, 105, 160), None, "both stood when it began");
        assert_eq!(holder(&table, 120, 130), Some(2), "one had ended");
    }

    #[test]
    fn whoever_listens_took_what_was_too_short_to_see() {
        let mut table = Table::default();
        table.tell(Told { local: (Ip::default(), 22), ..told("a", 9, None, 50, None) });
        let short = |remote| Ends { protocol: 6, local: (ip("10.0.0.5"), 22), remote: (ip(remote), 5_555) };
        let asked = |table: &Table, ends: &Ends| table.holder(ends, 100 * S, 101 * S).map(|p| (p.host.clone(), p.pid));
        assert_eq!(asked(&table, &short("192.0.2.1")), None, "whose address it is is not known");
        let mut seen = told("a", 0, Some(("192.0.2.1", 5_555)), 100, Some(100));
        seen.local.1 = 22;
        table.tell(seen);
        assert_eq!(asked(&table, &short("192.0.2.1")), Some(("a".into(), Some(9))));
        assert_eq!(asked(&table, &short("192.0.2.7")), Some(("a".into(), Some(9))), "the host itself never saw it");
        let udp = Ends { protocol: 17, ..short("192.0.2.1") };
        assert_eq!(asked(&table, &udp), None);
    }

    #[test]
    fn what_ended_is_forgotten_and_tables_are_bounded() {
        let mut table = Table::default();
        table.tell(told("a", 1, WEB, 100, Some(101)));
        let mut later = told("a", 3, Some(("203.0.113.10", 443)), 100 + 41 * 60, None);
        later.local.0 = ip("10.0.0.6");
        table.tell(later);
        assert!(!table.knows(ip("10.0.0.5")) && table.knows(ip("10.0.0.6")));
        assert_eq!((table.connections.len(), table.processes.len()), (1, 1));
        for n in 0..CONNECTIONS_MAX as u32 + 10 {
            let mut one = told("a", 5, WEB, i64::from(n / 1_000) + 3_000, None);
            one.remote = Some((Ip::v4(n.to_be_bytes()), 443));
            table.tell(one);
        }
        let held = table.connections.len();
        assert!(held <= CONNECTIONS_MAX && held > CONNECTIONS_MAX / 2, "{held}");
    }
}
