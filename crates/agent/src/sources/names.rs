//! Names of users by their numbers, from `/etc/passwd`, read again when it changes.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use guardian_inventory::accounts;

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The users of the machine.
#[derive(Debug)]
pub struct Names {
    path: PathBuf,
    users: HashMap<u32, String>,
    modified: Option<SystemTime>,
    looked: Option<Instant>,
}

impl Default for Names {
    fn default() -> Self {
        Self::of("/etc/passwd".into())
    }
}

impl Names {
    /// The users of a file in the form of passwd(5).
    pub fn of(path: PathBuf) -> Self {
        Self { path, users: HashMap::new(), modified: None, looked: None }
    }

    /// The name of a user; none where the file has none.
    pub fn user(&mut self, uid: u32) -> Option<&str> {
        if self.looked.is_none_or(|at| at.elapsed() >= LOOK_EVERY) {
            self.looked = Some(Instant::now());
            let modified = fs::metadata(&self.path).and_then(|m| m.modified()).ok();
            if modified != self.modified || self.users.is_empty() {
                self.modified = modified;
                let users = accounts::parse_passwd(&fs::read(&self.path).unwrap_or_default());
                // Of several names for a number the first is the one that the system shows.
                self.users.clear();
                for user in users.entries {
                    self.users.entry(user.uid).or_insert(user.name);
                }
            }
        }
        self.users.get(&uid).map(String::as_str)
    }
}
