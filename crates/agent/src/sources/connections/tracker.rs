//! From lists of sockets, and word of those that went, to events. Pure; bounded.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::diag::{CLOSE, LISTEN, Socket, TCP, UDP};
use super::owner::Owner;

/// Sockets that are remembered.
const SOCKETS_MAX: usize = 200_000;

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
    /// Whether it was in a list, so that its user is known.
    pub listed: bool,
}

#[derive(Clone, Debug)]
struct Tracked {
    socket: Socket,
    since: i64,
    owner: Option<Arc<Owner>>,
    initiated: Option<bool>,
    round: u64,
}

/// The sockets that are there.
#[derive(Debug)]
pub struct Tracker {
    sockets: HashMap<(u8, u64), Tracked>,
    listening: HashSet<(u8, u16)>,
    ephemeral_port_min: u16,
    round: u64,
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
        Self { sockets: HashMap::new(), listening: HashSet::new(), ephemeral_port_min, round: 0, untracked: 0 }
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
        let listening = sockets.iter().filter(|s| self.listens(s)).map(|s| (s.protocol, s.local_port));
        self.listening = listening.collect();
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
                continue;
            }
            let event = self.begin(socket, owner, now, true);
            if self.sockets.len() >= SOCKETS_MAX {
                self.untracked += 1;
            } else {
                let tracked = Tracked {
                    socket: event.socket.clone(),
                    since: now,
                    owner: event.owner.clone(),
                    initiated: event.initiated,
                    round: self.round,
                };
                self.sockets.insert(key(&event.socket), tracked);
            }
            events.push(event);
        }
        let round = self.round;
        let gone: Vec<_> = self.sockets.iter().filter(|(_, t)| t.round != round).map(|(k, _)| *k).collect();
        for key in gone {
            if let Some(tracked) = self.sockets.remove(&key) {
                events.push(self.end(tracked, now));
            }
        }
        events
    }

    /// Takes word of a socket that goes.
    pub fn destroyed(&mut self, socket: &Socket, now: i64) -> Vec<Event> {
        if let Some(mut tracked) = self.sockets.remove(&key(socket)) {
            tracked.socket.bytes = socket.bytes.or(tracked.socket.bytes);
            return vec![self.end(tracked, now)];
        }
        if is_nobody(socket.remote) || socket.remote_port == 0 || socket.local_port == 0 {
            return Vec::new();
        }
        let open = self.begin(socket.clone(), None, now, false);
        let close = Event { activity: Activity::Close, ended: true, ..open.clone() };
        vec![open, close]
    }

    fn begin(&self, socket: Socket, owner: Option<Arc<Owner>>, now: i64, listed: bool) -> Event {
        let listens = self.listens(&socket);
        let initiated = !self.listening.contains(&(socket.protocol, socket.local_port));
        Event {
            activity: if listens { Activity::Listen } else { Activity::Open },
            at: now,
            since: now,
            ended: false,
            initiated: (!listens).then_some(initiated),
            socket,
            owner,
            listed,
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
            listed: true,
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
        assert!(short.iter().all(|e| !e.listed));
        assert_eq!(words(&tracker.dumped(Vec::new(), &none, 40)), ["unlisten 1"]);
    }

    #[test]
    fn ports_given_to_clients_are_not_listened_on() {
        let mut tracker = Tracker::new(32_768);
        let udp = |cookie, port| Socket { protocol: UDP, ..socket(cookie, CLOSE, port, "0.0.0.0", 0) };
        assert_eq!(words(&tracker.dumped(vec![udp(1, 53), udp(2, 41_000)], &HashMap::new(), 1)), ["listen 1"]);
    }
}
