//! From lists of sockets, word of those that came and of those that went, to events. Pure; bounded.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::diag::{CLOSE, LISTEN, Socket, TCP, UDP};
use super::owner::Owner;
use super::probe::Became;

/// Sockets that are remembered.
const SOCKETS_MAX: usize = 200_000;
/// Lists without a socket that the kernel said is there, until it is gone: word of its end may be on the way.
const LISTS_WITHOUT: u8 = 3;

/// What happened to a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// A connection is there.
    Open,
    /// It is gone.
    Close,
    /// A port is listened on.
    Listen,
    /// It is not any more.
    Unlisten,
}

impl Activity {
    /// Its name in events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Close => "close",
            Self::Listen => "listen",
            Self::Unlisten => "unlisten",
        }
    }
}

/// One event.
#[derive(Clone, Debug)]
pub struct Event {
    /// What happened.
    pub activity: Activity,
    /// When, in microseconds since 1970.
    pub at: i64,
    /// When the socket was first seen.
    pub since: i64,
    /// Whether this ends it.
    pub ended: bool,
    /// The socket.
    pub socket: Socket,
    /// Whether this side opened the connection.
    pub initiated: Option<bool>,
    /// Who holds it.
    pub owner: Option<Arc<Owner>>,
    /// How it was seen.
    pub seen: Seen,
}

/// How a socket was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It was in a list.
    Listed,
    /// The kernel noted it as it came to be.
    Noted,
    /// Only its end was heard of, so that its user is not known.
    Ended,
}

impl Seen {
    /// Its name in events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Listed => "dump",
            Self::Noted => "bpf",
            Self::Ended => "destroy",
        }
    }
}

/// A change of a socket that the kernel noted.
#[derive(Clone, Debug)]
pub struct Noted {
    /// What became of it.
    pub became: Became,
    /// Its ends.
    pub socket: Socket,
    /// Who did it, where it was done by a process of this machine.
    pub owner: Option<Arc<Owner>>,
    /// When it began, in microseconds since 1970.
    pub since: i64,
    /// When this happened.
    pub at: i64,
}

/// What was noted of a socket that was in no list yet.
#[derive(Clone, Debug)]
struct Told {
    tracked: Tracked,
    /// Its end was told too.
    ended: bool,
    /// Lists without it since.
    without: u8,
}

/// Protocol and both ends.
type Ends = (u8, IpAddr, u16, IpAddr, u16);

fn ends(socket: &Socket) -> Ends {
    (socket.protocol, socket.local, socket.local_port, socket.remote, socket.remote_port)
}

#[derive(Clone, Debug)]
struct Tracked {
    socket: Socket,
    since: i64,
    owner: Option<Arc<Owner>>,
    initiated: Option<bool>,
    round: u64,
    seen: Seen,
}

/// The sockets that are there.
#[derive(Debug)]
pub struct Tracker {
    sockets: HashMap<(u8, u64), Tracked>,
    /// What was noted and was in no list yet.
    told: HashMap<Ends, Told>,
    listening: HashMap<(u8, u16), Option<Arc<Owner>>>,
    ephemeral_port_min: u16,
    round: u64,
    /// When the last list was asked for.
    listed: i64,
    /// Sockets for which there was no room.
    pub untracked: u64,
}

fn key(socket: &Socket) -> (u8, u64) {
    (socket.protocol, socket.cookie)
}

fn is_nobody(ip: IpAddr) -> bool {
    ip.is_unspecified()
}

impl Tracker {
    /// Nothing is there yet; ports from `ephemeral_port_min` on are given to clients.
    pub fn new(ephemeral_port_min: u16) -> Self {
        Self {
            sockets: HashMap::new(),
            told: HashMap::new(),
            listening: HashMap::new(),
            ephemeral_port_min,
            round: 0,
            listed: i64::MIN,
            untracked: 0,
        }
    }

    /// Inodes of sockets that were not there before.
    pub fn unknown(&self, sockets: &[Socket]) -> HashSet<u64> {
        let new = |s: &&Socket| self.counts(s) && self.sockets.get(&key(s)).is_none_or(|t| t.owner.is_none());
        sockets.iter().filter(new).map(|s| s.inode).filter(|i| *i != 0).collect()
    }

    fn listens(&self, socket: &Socket) -> bool {
        match socket.protocol {
            TCP => socket.state == LISTEN,
            // A socket without a peer waits for anybody; with a port that was given to it, only for answers.
            UDP => is_nobody(socket.remote) && socket.local_port < self.ephemeral_port_min && socket.local_port != 0,
            _ => false,
        }
    }

    fn counts(&self, socket: &Socket) -> bool {
        self.listens(socket)
            || (!is_nobody(socket.remote)
                && socket.remote_port != 0
                && (socket.protocol == UDP || socket.state != CLOSE))
    }

    /// Takes a whole list; what is not in it any more is gone.
    pub fn dumped(&mut self, sockets: Vec<Socket>, owners: &HashMap<u64, Arc<Owner>>, now: i64) -> Vec<Event> {
        self.round += 1;
        self.listed = now;
        self.listens_on(&sockets, owners);
        let mut events = Vec::new();
        for socket in sockets {
            if !self.counts(&socket) {
                continue;
            }
            let owner = owners.get(&socket.inode).cloned();
            if let Some(tracked) = self.sockets.get_mut(&key(&socket)) {
                tracked.round = self.round;
                // A socket that its process let go of is nobody's, and was somebody's.
                let inode = if socket.inode == 0 { tracked.socket.inode } else { socket.inode };
                let uid = if socket.inode == 0 { tracked.socket.uid } else { socket.uid };
                tracked.socket = Socket { inode, uid, ..socket };
                tracked.owner = tracked.owner.take().or(owner);
            } else if let Some(told) = self.told.remove(&ends(&socket)).filter(|told| !told.ended) {
                // Whoever accepted it holds it, which need not be who listens.
                let owner = owner.or(told.tracked.owner);
                self.track(Tracked { socket, owner, round: self.round, ..told.tracked });
            } else {
                let event = self.begin(socket, owner, now, Seen::Listed);
                self.track(Tracked {
                    socket: event.socket.clone(),
                    since: now,
                    owner: event.owner.clone(),
                    initiated: event.initiated,
                    round: self.round,
                    seen: Seen::Listed,
                });
                events.push(event);
            }
        }
        self.gone(now, &mut events);
        events
    }

    /// Notes who listens where.
    fn listens_on(&mut self, sockets: &[Socket], owners: &HashMap<u64, Arc<Owner>>) {
        let mut listening = HashMap::new();
        for socket in sockets.iter().filter(|socket| self.listens(socket)) {
            let known = || self.sockets.get(&key(socket)).and_then(|tracked| tracked.owner.clone());
            let owner = owners.get(&socket.inode).cloned().or_else(known);
            let entry = listening.entry((socket.protocol, socket.local_port)).or_insert(None);
            *entry = entry.take().or(owner);
        }
        for told in self.told.values().filter(|told| told.tracked.socket.state == LISTEN && !told.ended) {
            let Tracked { socket, owner, .. } = &told.tracked;
            listening.entry((socket.protocol, socket.local_port)).or_insert_with(|| owner.clone());
        }
        self.listening = listening;
    }

    fn track(&mut self, tracked: Tracked) {
        if self.sockets.len() >= SOCKETS_MAX {
            self.untracked += 1;
        } else {
            self.sockets.insert(key(&tracked.socket), tracked);
        }
    }

    /// Ends what was not in the list any more.
    fn gone(&mut self, now: i64, events: &mut Vec<Event>) {
        let round = self.round;
        let gone: Vec<_> = self.sockets.iter().filter(|(_, t)| t.round != round).map(|(k, _)| *k).collect();
        for key in gone {
            if let Some(tracked) = self.sockets.remove(&key) {
                events.push(self.end(tracked, now));
            }
        }
        self.told.values_mut().for_each(|told| told.without += 1);
        let gone: Vec<Told> =
            self.told.extract_if(|_, told| told.without >= LISTS_WITHOUT).map(|(_, told)| told).collect();
        events.extend(gone.into_iter().filter(|told| !told.ended).map(|told| self.end(told.tracked, now)));
    }

    /// Takes what the kernel noted of a socket as it happened.
    pub fn noted(&mut self, noted: Noted) -> Vec<Event> {
        let Noted { became, socket, owner, since, at } = noted;
        if socket.local_port == 0 {
            return Vec::new();
        }
        let at_end = ends(&socket);
        // What was connecting for long was in a list meanwhile.
        if since <= self.listed
            && let Some(tracked) = self.sockets.values_mut().find(|tracked| ends(&tracked.socket) == at_end)
        {
            tracked.owner = tracked.owner.take().or(owner);
            return Vec::new();
        }
        let port = (socket.protocol, socket.local_port);
        let owner = match became {
            Became::Connected { initiated: false } => self.listening.get(&port).cloned().flatten(),
            _ => owner,
        };
        if became == Became::Listening {
            self.listening.entry(port).or_insert_with(|| owner.clone());
        }
        let initiated = match became {
            Became::Listening => None,
            Became::Connected { initiated } => Some(initiated),
            Became::Connecting | Became::Refused => Some(true),
        };
        let open = Event { since, at, initiated, ..self.begin(socket, owner, at, Seen::Noted) };
        let tracked = Tracked {
            socket: open.socket.clone(),
            since,
            owner: open.owner.clone(),
            initiated,
            round: 0,
            seen: Seen::Noted,
        };
        let ended = became == Became::Refused;
        let close = ended.then(|| self.end(tracked.clone(), at));
        if self.told.len() < SOCKETS_MAX {
            self.told.insert(at_end, Told { tracked, ended, without: 0 });
        } else {
            self.untracked += 1;
        }
        std::iter::once(open).chain(close).collect()
    }

    /// Takes word of a socket that goes.
    pub fn destroyed(&mut self, socket: &Socket, now: i64) -> Vec<Event> {
        let tracked = self.sockets.remove(&key(socket)).map(|tracked| (tracked, false));
        let told = || self.told.remove(&ends(socket)).map(|told| (told.tracked, told.ended));
        match tracked.or_else(told) {
            Some((_, true)) => return Vec::new(),
            Some((mut tracked, false)) => {
                tracked.socket.cookie = socket.cookie;
                tracked.socket.bytes = socket.bytes.or(tracked.socket.bytes);
                return vec![self.end(tracked, now)];
            }
            None => {}
        }
        if is_nobody(socket.remote) || socket.remote_port == 0 || socket.local_port == 0 {
            return Vec::new();
        }
        let open = self.begin(socket.clone(), None, now, Seen::Ended);
        let close = Event { activity: Activity::Close, ended: true, ..open.clone() };
        vec![open, close]
    }

    fn begin(&self, socket: Socket, owner: Option<Arc<Owner>>, now: i64, seen: Seen) -> Event {
        let listens = self.listens(&socket);
        let initiated = !self.listening.contains_key(&(socket.protocol, socket.local_port));
        Event {
            activity: if listens { Activity::Listen } else { Activity::Open },
            at: now,
            since: now,
            ended: false,
            initiated: (!listens).then_some(initiated),
            socket,
            owner,
            seen,
        }
    }

    fn end(&self, tracked: Tracked, now: i64) -> Event {
        let listens = self.listens(&tracked.socket);
        Event {
            activity: if listens { Activity::Unlisten } else { Activity::Close },
            at: now,
            since: tracked.since,
            ended: true,
            initiated: tracked.initiated,
            socket: tracked.socket,
            owner: tracked.owner,
            seen: tracked.seen,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(cookie: u64, state: u8, local_port: u16, remote: &str, remote_port: u16) -> Socket {
        Socket {
            protocol: TCP,
            state,
            local: "10.0.0.5".parse().unwrap(),
            local_port,
            remote: remote.parse().unwrap(),
            remote_port,
            interface: 0,
            cookie,
            uid: 0,
            inode: cookie + 100,
            bytes: None,
        }
    }

    fn words(events: &[Event]) -> Vec<String> {
        let side = |e: &Event| e.initiated.map_or("", |i| if i { " out" } else { " in" });
        let mut words: Vec<_> =
            events.iter().map(|e| format!("{} {}{}", e.activity.as_str(), e.socket.cookie, side(e))).collect();
        words.sort();
        words
    }

    #[test]
    fn lists_and_word_of_ends_become_events() {
        let mut tracker = Tracker::new(32_768);
        let none = HashMap::new();
        let listener = socket(1, LISTEN, 22, "0.0.0.0", 0);
        let (inside, outside) = (socket(2, 1, 22, "203.0.113.9", 40_000), socket(3, 1, 50_000, "203.0.113.9", 443));
        let all = vec![listener.clone(), inside, outside.clone(), socket(4, CLOSE, 0, "0.0.0.0", 0)];
        assert_eq!(tracker.unknown(&all).len(), 3);
        assert_eq!(words(&tracker.dumped(all, &none, 10)), ["listen 1", "open 2 in", "open 3 out"]);
        assert!(
            tracker
                .dumped(vec![listener.clone(), socket(2, 1, 22, "203.0.113.9", 40_000), outside.clone()], &none, 20)
                .is_empty()
        );
        let end = tracker.destroyed(&Socket { bytes: Some((5, 6)), inode: 0, ..outside }, 25);
        assert_eq!(
            (words(&end), end[0].since, end[0].socket.bytes, end[0].socket.inode),
            (vec!["close 3 out".into()], 10, Some((5, 6)), 103)
        );
        assert_eq!(words(&tracker.dumped(vec![listener], &none, 30)), ["close 2 in"]);
        // Came and went between two lists.
        let short = tracker.destroyed(&socket(9, CLOSE, 22, "203.0.113.9", 40_001), 31);
        assert_eq!(words(&short), ["close 9 in", "open 9 in"]);
        assert!(short.iter().all(|e| e.seen == Seen::Ended));
        assert_eq!(words(&tracker.dumped(Vec::new(), &none, 40)), ["unlisten 1"]);
    }

    fn noted(became: Became, socket: Socket, at: i64) -> Noted {
        Noted { became, socket: Socket { cookie: 0, inode: 0, ..socket }, owner: None, since: at, at }
    }

    fn by(pid: u32) -> Option<Arc<Owner>> {
        Some(Arc::new(Owner { pid, known: crate::sources::processes::Known::default() }))
    }

    #[test]
    fn what_was_noted_is_told_once_whatever_else_is_heard_of_it() {
        let mut tracker = Tracker::new(32_768);
        let none = HashMap::new();
        let (short, long) = (socket(3, 1, 50_000, "203.0.113.9", 443), socket(4, 1, 50_001, "203.0.113.9", 443));
        let out = Became::Connected { initiated: true };
        let open = tracker.noted(Noted { owner: by(7), ..noted(out, short.clone(), 10) });
        assert_eq!((words(&open), open[0].seen, open[0].since), (vec!["open 0 out".into()], Seen::Noted, 10));
        let end = tracker.destroyed(&Socket { bytes: Some((5, 6)), inode: 0, ..short }, 11);
        assert_eq!(words(&end), ["close 3 out"]);
        assert_eq!(
            (end[0].since, end[0].owner.as_ref().map(|o| o.pid), end[0].socket.bytes),
            (10, Some(7), Some((5, 6)))
        );
        // In a list before it ends.
        tracker.noted(Noted { owner: by(8), ..noted(out, long.clone(), 20) });
        assert!(tracker.dumped(vec![long.clone()], &none, 30).is_empty());
        let end = tracker.destroyed(&long, 40);
        assert_eq!(
            (words(&end), end[0].since, end[0].owner.as_ref().map(|o| o.pid)),
            (vec!["close 4 out".into()], 20, Some(8))
        );
        // In a list before it is connected.
        let slow = socket(5, 2, 50_002, "203.0.113.9", 443);
        assert_eq!(words(&tracker.dumped(vec![slow.clone()], &none, 50)), ["open 5 out"]);
        assert!(tracker.noted(Noted { since: 45, owner: by(9), ..noted(out, slow.clone(), 60) }).is_empty());
        assert_eq!(tracker.destroyed(&slow, 70)[0].owner.as_ref().map(|o| o.pid), Some(9));
        assert!(tracker.sockets.is_empty() && tracker.told.is_empty());
    }

    #[test]
    fn what_was_noted_ends_also_without_word_of_it_and_refused_ones_at_once() {
        let mut tracker = Tracker::new(32_768);
        let none = HashMap::new();
        tracker.noted(noted(Became::Connected { initiated: true }, socket(3, 1, 50_000, "203.0.113.9", 443), 10));
        let refused = socket(4, 2, 50_001, "203.0.113.9", 81);
        assert_eq!(words(&tracker.noted(noted(Became::Refused, refused.clone(), 11))), ["close 0 out", "open 0 out"]);
        assert!(tracker.destroyed(&refused, 12).is_empty(), "its end was told");
        for now in [20, 30] {
            assert!(tracker.dumped(Vec::new(), &none, now).is_empty());
        }
        assert_eq!(words(&tracker.dumped(Vec::new(), &none, 40)), ["close 0 out"]);
        assert!(tracker.told.is_empty());
    }

    #[test]
    fn who_accepts_is_who_listens() {
        let mut tracker = Tracker::new(32_768);
        let listener = Socket { inode: 501, ..socket(1, LISTEN, 22, "0.0.0.0", 0) };
        let owners = HashMap::from([(501, by(70).unwrap())]);
        tracker.dumped(vec![listener.clone()], &owners, 10);
        // The owner is in the first list alone.
        tracker.dumped(vec![listener], &HashMap::new(), 20);
        let accepted =
            |port, at| noted(Became::Connected { initiated: false }, socket(2, 1, port, "203.0.113.9", 40_000), at);
        let open = tracker.noted(accepted(22, 30));
        assert_eq!((words(&open), open[0].owner.as_ref().map(|o| o.pid)), (vec!["open 0 in".into()], Some(70)));
        // A port that is listened on for less time than between two lists.
        let here = socket(5, LISTEN, 4_444, "0.0.0.0", 0);
        let listen = tracker.noted(Noted { owner: by(80), ..noted(Became::Listening, here.clone(), 31) });
        assert_eq!(words(&listen), ["listen 0"]);
        assert_eq!(tracker.noted(accepted(4_444, 32))[0].owner.as_ref().map(|o| o.pid), Some(80));
        assert_eq!(words(&tracker.destroyed(&Socket { state: CLOSE, ..here }, 33)), ["unlisten 5"]);
    }

    #[test]
    fn ports_given_to_clients_are_not_listened_on() {
        let mut tracker = Tracker::new(32_768);
        let udp = |cookie, port| Socket { protocol: UDP, ..socket(cookie, CLOSE, port, "0.0.0.0", 0) };
        assert_eq!(words(&tracker.dumped(vec![udp(1, 53), udp(2, 41_000)], &HashMap::new(), 1)), ["listen 1"]);
    }
}
