//! A control group for one script, so that nothing it starts outlives it and all of it together keeps to limits. Where the
//! system has no second version of control groups there is none, and the limits of single processes hold alone.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Memory of all processes of a script together.
const MEMORY_BYTES_MAX: u64 = 1 << 30;
/// Processes of a script.
const PROCESSES_MAX: u32 = 512;

/// A control group that is removed with all that is in it.
pub(crate) struct ControlGroup {
    path: PathBuf,
    /// What it limits.
    pub(crate) limits: Vec<&'static str>,
}

/// Where control groups of the second version are.
pub(crate) fn root() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let mut words = mounts.lines().map(|line| line.split(' '));
    words.find_map(|mut words| {
        let path = words.nth(1)?;
        (words.next() == Some("cgroup2")).then(|| PathBuf::from(path))
    })
}

impl ControlGroup {
    /// Makes one; none where the system does not have them or does not let us.
    pub(crate) fn new(name: &str) -> Option<Self> {
        let root = root()?;
        // Controllers that are not there, or belong to the first version, cannot be handed down.
        for controller in ["+memory", "+pids", "+cpu"] {
            fs::write(root.join("cgroup.subtree_control"), controller).ok();
        }
        let path = root.join(format!("guardian-script-{name}"));
        fs::create_dir(&path).ok()?;
        let mut group = Self { path, limits: Vec::new() };
        let wanted = [
            ("memory.max", MEMORY_BYTES_MAX.to_string()),
            ("memory.swap.max", "0".to_owned()),
            ("pids.max", PROCESSES_MAX.to_string()),
            ("cpu.weight", "20".to_owned()),
        ];
        for (name, value) in wanted {
            // Opened without creating it: a file that is not there would be another's.
            let set = File::options().write(true).open(group.path.join(name));
            if set.and_then(|mut file| io::Write::write_all(&mut file, value.as_bytes())).is_ok() {
                group.limits.push(name);
            }
        }
        Some(group)
    }

    /// What a child writes to, to enter it.
    pub(crate) fn entrance(&self) -> io::Result<File> {
        File::options().write(true).open(self.path.join("cgroup.procs"))
    }

    fn is_empty(&self) -> bool {
        fs::read_to_string(self.path.join("cgroup.procs")).is_ok_and(|text| text.trim().is_empty())
    }

    /// Kills all that is in it. Whether it is empty now.
    pub(crate) fn kill(&self) -> bool {
        for _ in 0..50 {
            if self.is_empty() {
                return true;
            }
            let all_at_once = File::options().write(true).open(self.path.join("cgroup.kill"));
            if all_at_once.and_then(|mut file| io::Write::write_all(&mut file, b"1")).is_err() {
                self.kill_each();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.is_empty()
    }

    /// Before Linux 5.14 there is no way to kill all at once.
    fn kill_each(&self) {
        let text = fs::read_to_string(self.path.join("cgroup.procs")).unwrap_or_default();
        for pid in text.lines().filter_map(|line| line.parse().ok()) {
            if let Ok(process) = guardian_sys::pidfd::Process::open(pid) {
                // One that ended meanwhile is what was wanted.
                process.signal(guardian_sys::pidfd::Signal::Kill).ok();
            }
        }
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        self.kill();
        fs::remove_dir(&self.path).ok();
    }
}
