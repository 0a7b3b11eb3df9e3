//! What a node's logger brings twice. osquery keeps its lines until a request was answered: when the answer gets lost, the
//! next request begins with the same lines, and may have more behind them. So the lines of the last request of each node are
//! remembered, as numbers, and those that come again are left out.
//!
//! Nothing of it is kept over a restart: a request whose answer got lost with the server doubles its lines.

use std::hash::BuildHasher as _;

use guardian_model::Micros;
use guardian_osquery::Line;
use hashbrown::{DefaultHashBuilder, HashMap, HashSet};
use parking_lot::Mutex;
use uuid::Uuid;

/// Lines that are remembered of all nodes together, some ten bytes each.
const LINES_MAX: usize = 1 << 20;
/// Nodes of one lane bring their lines one after the other: what comes again while it is still being stored has to wait.
const LANES: usize = 64;
/// When the room is used up, nodes are forgotten that brought nothing for so long.
const SILENT: i64 = Micros::SECOND * 600;

/// The last request of a node, of one sort.
struct Last {
    lines: HashSet<u64>,
    at: Micros,
}

#[derive(Default)]
struct Kept {
    last: HashMap<(Uuid, bool), Last>,
    lines: usize,
}

/// The last requests of all nodes.
#[derive(Default)]
pub(super) struct Brought {
    /// Its key is a new random one at each start, so that nobody can make lines that look alike.
    hasher: DefaultHashBuilder,
    kept: Mutex<Kept>,
    lanes: Lanes,
}

struct Lanes(Vec<tokio::sync::Mutex<()>>);

impl Default for Lanes {
    fn default() -> Self {
        Self((0..LANES).map(|_| tokio::sync::Mutex::default()).collect())
    }
}

impl Brought {
    /// Waits until nothing of this node is being stored.
    pub(super) async fn lane(&self, node: Uuid) -> tokio::sync::MutexGuard<'_, ()> {
        self.lanes.0[(node.as_u128() % LANES as u128) as usize].lock().await
    }

    fn number(&self, line: &Line) -> u64 {
        self.hasher.hash_one(line)
    }

    /// Leaves out what came with the request before. It came again where the first line did: osquery begins with the oldest.
    /// A line that says no time may rightly be said twice. Answers how many were left out.
    pub(super) fn leave_out(&self, node: Uuid, status: bool, lines: &mut Vec<Line>) -> u64 {
        let kept = self.kept.lock();
        let Some(last) = kept.last.get(&(node, status)) else { return 0 };
        let again = |line: &Line| line.time_s().is_some() && last.lines.contains(&self.number(line));
        if !lines.first().is_some_and(&again) {
            return 0;
        }
        let before = lines.len();
        lines.retain(|line| !again(line));
        (before - lines.len()) as u64
    }

    /// Remembers what a request brought, all of it: also what was left out because it came again. It is stored by now.
    pub(super) fn remember(&self, node: Uuid, status: bool, lines: &[u64], now: Micros) {
        let mut kept = self.kept.lock();
        let kept = &mut *kept;
        if let Some(before) = kept.last.remove(&(node, status)) {
            kept.lines -= before.lines.len();
        }
        let lines: HashSet<u64> = lines.iter().copied().collect();
        if kept.lines + lines.len() > LINES_MAX {
            kept.last.retain(|_, last| now.0 - last.at.0 < SILENT);
            kept.lines = kept.last.values().map(|last| last.lines.len()).sum();
        }
        if kept.lines + lines.len() <= LINES_MAX {
            kept.lines += lines.len();
            kept.last.insert((node, status), Last { lines, at: now });
        }
    }

    /// The numbers of lines, for [`Self::remember`].
    pub(super) fn numbers(&self, lines: &[Line]) -> Vec<u64> {
        lines.iter().map(|line| self.number(line)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, time_s: Option<i64>) -> Line {
        Line::Row { query: "users".into(), action: "added", time_s, row: name.into() }
    }

    struct Node(Brought, Uuid);

    impl Node {
        /// Brings lines; what is kept of them.
        fn bring(&self, names: &[&str]) -> Vec<String> {
            self.bring_at(&names.iter().map(|name| (*name, Some(7))).collect::<Vec<_>>())
        }

        fn bring_at(&self, all: &[(&str, Option<i64>)]) -> Vec<String> {
            let mut lines: Vec<Line> = all.iter().map(|(name, time)| line(name, *time)).collect();
            let numbers = self.0.numbers(&lines);
            self.0.leave_out(self.1, false, &mut lines);
            self.0.remember(self.1, false, &numbers, Micros(0));
            let row = |line| match line {
                Line::Row { row, .. } => row,
                Line::Status { message, .. } => message,
            };
            lines.into_iter().map(row).collect()
        }
    }

    #[test]
    fn what_comes_again_is_left_out_and_what_is_new_behind_it_is_not() {
        let node = Node(Brought::default(), Uuid::from_u128(1));
        assert_eq!(node.bring(&["a", "b", "b"]), ["a", "b", "b"]);
        assert_eq!(node.bring(&["a", "b", "b"]), [""; 0]);
        assert_eq!(node.bring(&["a", "b", "b", "c"]), ["c"], "again, and more by now");
        assert_eq!(node.bring(&["b", "b", "c", "d"]), ["d"], "the oldest was given up");
        assert_eq!(node.bring(&["e", "d"]), ["e", "d"], "it begins with something else");
        let other = Node(node.0, Uuid::from_u128(2));
        assert_eq!(other.bring(&["e", "d"]), ["e", "d"], "of somebody else");
    }

    #[test]
    fn a_line_without_a_time_may_be_said_twice() {
        let node = Node(Brought::default(), Uuid::from_u128(1));
        for _ in 0..2 {
            assert_eq!(node.bring_at(&[("a", None), ("b", None)]), ["a", "b"]);
        }
    }

    #[test]
    fn what_is_remembered_has_an_end() {
        let brought = Brought::default();
        let many: Vec<u64> = (0..LINES_MAX as u64).collect();
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        brought.remember(one, false, &many, Micros(0));
        brought.remember(other, false, &[1, 2], Micros(1));
        assert!(!brought.kept.lock().last.contains_key(&(other, false)), "there is no room");
        brought.remember(other, false, &[1, 2], Micros(SILENT));
        let kept = brought.kept.lock();
        assert_eq!((kept.last.len(), kept.lines), (1, 2), "who said nothing for long made room");
    }
}
