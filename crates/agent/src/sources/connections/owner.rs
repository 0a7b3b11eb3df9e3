//! Which process holds a socket: the links in `/proc/PID/fd`, looked at only when there is a socket whose owner is unknown.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::sync::Arc;

use guardian_inventory::sockets;

use crate::sources::processes::{Known, look};

/// Links of one process that are looked at.
const LINKS_MAX: usize = 65_536;

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
