//! The processes that are there, so that one that is gone before it can be looked at still has a parent, a user and a
//! session. Bounded: beyond the bound, new processes are not remembered.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::audit::Executed;
use super::look::{Known, look};
use super::probe::Noted;

/// Processes that are remembered; Linux has at most four million numbers, and a machine with this many has other worries.
const PROCESSES_MAX: usize = 65_536;
/// Parents that are named in a row.
const ANCESTORS_MAX: usize = 8;

/// One process.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    /// Its parent.
    pub parent: u32,
    /// What is known of it, or was of its parent when it began.
    pub known: Arc<Known>,
    /// When it began, where it was looked at itself.
    pub start_ticks: Option<u64>,
    /// Whether it executed something while we listened.
    pub executed: bool,
}

impl Entry {
    /// A process of which the parent alone is known.
    pub(crate) fn of(parent: u32) -> Self {
        Self { parent, executed: true, ..Self::default() }
    }
}

/// The processes.
#[derive(Debug, Default)]
pub struct Table {
    entries: HashMap<u32, Entry>,
}

impl Table {
    /// Looks at every process there is.
    pub fn scan(&mut self) {
        let Ok(folders) = fs::read_dir("/proc") else { return };
        let pids = folders.flatten().filter_map(|f| f.file_name().to_str()?.parse::<u32>().ok());
        for pid in pids.take(PROCESSES_MAX) {
            if let Some(known) = look(pid) {
                self.put(pid, known, false);
            }
        }
    }

    /// Number of processes.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// A process.
    pub fn get(&self, pid: u32) -> Option<&Entry> {
        self.entries.get(&pid)
    }

    fn put(&mut self, pid: u32, known: Known, executed: bool) {
        if self.entries.len() < PROCESSES_MAX || self.entries.contains_key(&pid) {
            let (parent, start_ticks) = (known.parent, known.start_ticks);
            self.entries.insert(pid, Entry { parent, known: Arc::new(known), start_ticks, executed });
        }
    }

    /// A process began as a copy of another.
    pub fn fork(&mut self, parent: u32, pid: u32) {
        if self.entries.len() >= PROCESSES_MAX {
            return;
        }
        let known = match self.entries.get(&parent) {
            Some(entry) => Arc::clone(&entry.known),
            None => look(parent).map(Arc::new).unwrap_or_default(),
        };
        self.entries.insert(pid, Entry { parent, known, start_ticks: None, executed: false });
    }

    /// A process became another program; `seen` is what a look at it gave, `noted` what the kernel noted in that moment.
    pub fn exec(&mut self, pid: u32, seen: Option<Known>, noted: Option<&Noted>, sha256: Option<String>) {
        if let Some(known) = seen {
            let parent = match known.parent {
                0 => self.get(pid).map_or(0, |before| before.parent),
                parent => parent,
            };
            // A process may write another text over its arguments; the kernel noted those that it was given.
            let command = noted.and_then(Known::command_of).or(known.command);
            return self.put(pid, Known { sha256, parent, command, ..known }, true);
        }
        // What a program has from before it is executed stays what it was.
        let before = self.entries.get(&pid).map(|e| (e.parent, Arc::clone(&e.known)));
        let (parent, before) = before.unwrap_or_default();
        let known = Known {
            start_ticks: None,
            parent,
            uid: before.uid,
            login_uid: before.login_uid,
            session: before.session,
            terminal: before.terminal.clone(),
            cgroup: before.cgroup.clone(),
            container: before.container.clone(),
            ..Known::default()
        };
        let known = match noted {
            Some(noted) => known.with(noted),
            None => known,
        };
        self.put(pid, known, true);
    }

    /// Adds what audit says of a process that became another program.
    pub fn told(&mut self, record: &Executed) {
        if let Some(entry) = self.entries.get_mut(&record.pid) {
            let known = Arc::make_mut(&mut entry.known);
            *known = std::mem::take(known).told(record);
        }
    }

    /// As [`Self::told`], where a look at the process came too late and its arguments are not known so far.
    pub fn told_late(&mut self, record: &Executed) {
        if self.get(record.pid).is_some_and(|e| e.executed && e.known.command.is_none()) {
            self.told(record);
        }
    }

    /// Takes a process in that nothing was known of, and its parent, where nobody tells of forks.
    pub fn meet(&mut self, pid: u32, parent: u32) {
        if self.get(parent).is_none()
            && let Some(known) = look(parent)
        {
            self.put(parent, known, false);
        }
        if self.get(pid).is_none_or(|entry| entry.parent != parent) {
            self.fork(parent, pid);
        }
    }

    /// Lets go of processes that are gone, where nobody tells of ends.
    pub fn sweep(&mut self) {
        self.entries.retain(|pid, _| Path::new(&format!("/proc/{pid}")).exists());
    }

    /// A process became another user; whether that is news.
    pub fn user(&mut self, pid: u32, real: u32, effective: u32) -> bool {
        let Some(entry) = self.entries.get_mut(&pid) else { return false };
        if (entry.known.uid, entry.known.euid) == (Some(real), Some(effective)) {
            return false;
        }
        let known = Arc::make_mut(&mut entry.known);
        (known.uid, known.euid) = (Some(real), Some(effective));
        true
    }

    /// A process ended.
    pub fn exit(&mut self, pid: u32) {
        self.entries.remove(&pid);
    }

    /// Programs of the parents from the nearest on.
    pub fn ancestors(&self, pid: u32) -> String {
        let mut text = String::new();
        let mut at = self.get(pid).map_or(0, |e| e.parent);
        for _ in 0..ANCESTORS_MAX {
            let Some(entry) = self.get(at) else { break };
            if !text.is_empty() {
                text.push_str(" < ");
            }
            text.push_str(entry.known.image.as_deref().unwrap_or(&entry.known.name));
            if entry.parent == at {
                break;
            }
            at = entry.parent;
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_gone_has_what_its_parent_had() {
        let mut table = Table::default();
        let shell =
            Known { name: "sh".into(), image: Some("/bin/sh".into()), uid: Some(33), parent: 1, ..Known::default() };
        table.exec(10, Some(shell), None, None);
        table.fork(10, 11);
        table.exec(11, None, None, None);
        let entry = table.get(11).unwrap();
        assert_eq!((entry.parent, entry.known.uid, entry.known.image.as_deref()), (10, Some(33), None));
        assert_eq!(table.ancestors(11), "/bin/sh");
        assert!(table.user(11, 0, 0) && !table.user(11, 0, 0));
        assert_eq!(table.get(10).unwrap().known.uid, Some(33), "the parent is who it was");
        table.exit(11);
        assert!(table.get(11).is_none());
    }

    #[test]
    fn where_nobody_tells_of_forks_and_ends_it_is_looked_up() {
        let mut table = Table::default();
        let own = std::process::id();
        table.meet(u32::MAX - 1, own);
        assert_eq!(table.get(u32::MAX - 1).unwrap().known.image, table.get(own).unwrap().known.image);
        let record = Executed {
            pid: u32::MAX - 1,
            parent: own,
            arguments: b"id\0-u\0".to_vec(),
            image: Some("/usr/bin/id".into()),
            login_uid: Some(1_000),
            ..Executed::default()
        };
        table.exec(u32::MAX - 1, None, None, None);
        table.told_late(&record);
        let known = Arc::clone(&table.get(u32::MAX - 1).unwrap().known);
        assert_eq!((known.command.as_deref(), known.login_uid), (Some("id -u"), Some(1_000)));
        table.told_late(&Executed { arguments: b"other\0".to_vec(), ..record });
        assert_eq!(table.get(u32::MAX - 1).unwrap().known, known, "that is known already");
        table.sweep();
        assert!(table.get(u32::MAX - 1).is_none() && table.get(own).is_some());
    }

    #[test]
    fn what_the_kernel_noted_fills_the_gap_and_wins_over_what_a_process_says_of_itself() {
        let noted = Noted {
            pid: 20,
            parent: 10,
            uid: 33,
            login_uid: 1_000,
            session: u32::MAX,
            image: "/usr/bin/id".into(),
            arguments: b"id\0-u n\0".to_vec(),
            ..Noted::default()
        };
        let mut table = Table::default();
        table.exec(20, None, Some(&noted), None);
        let known = &table.get(20).unwrap().known;
        assert_eq!((known.image.as_deref(), known.command.as_deref()), (Some("/usr/bin/id"), Some("id '-u n'")));
        assert_eq!((known.uid, known.login_uid, known.session, known.parent), (Some(33), Some(1_000), None, 10));
        let seen = Known { command: Some("[kworker/0:1]".into()), image: Some("/tmp/x".into()), ..Known::default() };
        table.exec(20, Some(seen), Some(&noted), None);
        let known = &table.get(20).unwrap().known;
        assert_eq!((known.image.as_deref(), known.command.as_deref()), (Some("/tmp/x"), Some("id '-u n'")));
    }
}
