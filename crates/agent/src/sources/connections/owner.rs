//! Which process holds a socket: the links in `/proc/PID/fd`, looked at only when there is a socket whose owner is unknown; and
//! who a process is that the kernel named.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::sync::Arc;

use guardian_inventory::sockets;

use super::probe::By;
use crate::sources::processes::{Known, Recent, look};

/// Links of one process that are looked at.
const LINKS_MAX: usize = 65_536;

/// Processes that the kernel named and that are remembered.
const NAMED_MAX: usize = 4_096;

/// A process that holds a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its number.
    pub pid: u32,
    /// What is known of it.
    pub known: Known,
}

/// Finds owners.
#[derive(Debug, Default)]
pub struct Owners {
    /// Processes that held new sockets the last time: likely the next one too.
    recent: Vec<u32>,
    /// Processes that the kernel named, by number, start and name.
    named: HashMap<(u32, u64, String), Arc<Owner>>,
    /// What the source of processes knows.
    programs: Arc<Recent>,
}

impl Owners {
    /// The owners of these sockets, by inode. Of several processes that hold one, the first is named.
    pub fn of(&mut self, inodes: &HashSet<u64>) -> HashMap<u64, Arc<Owner>> {
        let mut wanted: HashSet<u64> = inodes.iter().copied().filter(|i| *i != 0).collect();
        let mut found = HashMap::new();
        let recent = std::mem::take(&mut self.recent);
        let rest = || {
            let folders = fs::read_dir("/proc").into_iter().flatten().flatten();
            let mut pids: Vec<u32> = folders.filter_map(|f| f.file_name().to_str()?.parse().ok()).collect();
            pids.sort_unstable();
            pids
        };
        for pids in [recent, if wanted.is_empty() { Vec::new() } else { rest() }] {
            for pid in pids {
                if wanted.is_empty() {
                    return found;
                }
                self.links(pid, &mut wanted, &mut found);
            }
        }
        found
    }

    /// Has it look where the source of processes tells what runs.
    pub fn share(&mut self, programs: Arc<Recent>) {
        self.programs = programs;
    }

    /// Who a process is that the kernel named: what `/proc` says of it if it is still the same, else what is known of its program,
    /// else what the kernel said.
    pub fn named(&mut self, by: &By) -> Arc<Owner> {
        let key = (by.pid, by.start_ns, by.name.clone());
        if let Some(owner) = self.named.get(&key) {
            return Arc::clone(owner);
        }
        let noted = Known::of_connecting(by);
        // Whoever is on the way out has numbers still, and neither program nor arguments.
        let same = |known: &Known| {
            known.start_ticks == noted.start_ticks
                && known.name == by.name
                && (known.image.is_some() || known.command.is_some())
        };
        let known = look(by.pid).filter(same).unwrap_or_else(|| match self.programs.get(by.pid, &by.name) {
            Some(program) => Known {
                start_ticks: noted.start_ticks,
                command: noted.command.or_else(|| program.command.clone()),
                uid: noted.uid,
                login_uid: noted.login_uid,
                ..(*program).clone()
            },
            None => noted,
        });
        let owner = Arc::new(Owner { pid: by.pid, known });
        if self.named.len() >= NAMED_MAX {
            self.named.clear();
        }
        self.named.insert(key, Arc::clone(&owner));
        owner
    }

    fn links(&mut self, pid: u32, wanted: &mut HashSet<u64>, found: &mut HashMap<u64, Arc<Owner>>) {
        let Ok(links) = fs::read_dir(format!("/proc/{pid}/fd")) else { return };
        let mut owner = None;
        for link in links.flatten().take(LINKS_MAX) {
            let Ok(target) = fs::read_link(link.path()) else { continue };
            let Some(inode) = target.to_str().and_then(sockets::inode).filter(|i| wanted.contains(i)) else { continue };
            let owner = owner.get_or_insert_with(|| Arc::new(Owner { pid, known: look(pid).unwrap_or_default() }));
            wanted.remove(&inode);
            found.insert(inode, Arc::clone(owner));
        }
        if owner.is_some() && !self.recent.contains(&pid) {
            self.recent.push(pid);
        }
    }
}
