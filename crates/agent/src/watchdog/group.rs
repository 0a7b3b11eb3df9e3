//! The agent's control group, of the second version: its unit's where a service manager made one, else one of its own. It
//! holds all that the agent starts, but for scripts, which have groups of their own.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::response::control_group_root;

/// Name of a group that the agent makes.
const NAME: &str = "guardian-agent";
/// Name of the group of its unit.
const UNIT: &str = "guardian-agent.service";
/// Time in which the share of a processor is counted, in microseconds.
const PERIOD_US: u64 = 100_000;
/// Share of the processor and the disk beside others; the usual one is 100.
const WEIGHT: u32 = 20;
/// The kernel ends what is still there with this many times the memory: a last resort where the watchdog itself cannot act.
const LAST_RESORT: u64 = 2;

/// What the agent may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Hundredths of one processor.
    pub cpu_percent: u32,
    /// Bytes a second read from each disk, and written to it; 0 for no limit.
    pub io_bytes_per_s: u64,
}

impl Bounds {
    /// Memory at which the kernel says no.
    pub(super) fn last_resort_bytes(&self) -> u64 {
        self.memory_bytes.saturating_mul(LAST_RESORT)
    }
}

/// Where limits of all of the agent are written to; none where the machine has no such thing.
#[derive(Debug)]
pub(super) struct Group(Option<PathBuf>);

/// The path of the own group, as `/proc/self/cgroup` says; none where the machine has the first version alone.
fn own_path(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.strip_prefix("0::"))
}

impl Group {
    /// Enters a group that is the agent's alone.
    pub(super) fn enter() -> Self {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let group = control_group_root().zip(own_path(&own)).and_then(|(root, own)| Self::below(&root, own));
        Self(group)
    }

    fn below(root: &Path, own: &str) -> Option<PathBuf> {
        let name = own.rsplit('/').next().unwrap_or_default();
        if name == UNIT || name == NAME {
            return Some(root.join(own.trim_start_matches('/')));
        }
        for controller in ["+cpu", "+memory", "+io", "+pids"] {
            // One that is not there, or belongs to the first version, cannot be handed down.
            fs::write(root.join("cgroup.subtree_control"), controller).ok();
        }
        let path = root.join(NAME);
        match fs::create_dir(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return None,
            _ => {}
        }
        set(&path, "cgroup.procs", "0").then_some(path)
    }

    /// Sets limits; answers which of them the machine does not hold.
    pub(super) fn bound(&self, bounds: Bounds) -> Vec<String> {
        let Some(path) = &self.0 else {
            return vec![
                "this machine has no control groups: the agent's share of the processor and of disks is not limited"
                    .to_owned(),
            ];
        };
        let quota = u64::from(bounds.cpu_percent) * PERIOD_US / 100;
        set(path, "cpu.weight", &WEIGHT.to_string());
        set(path, "io.weight", &format!("default {WEIGHT}"));
        let mut unheld = Vec::new();
        if !set(path, "cpu.max", &format!("{quota} {PERIOD_US}")) {
            unheld
                .push("the control groups of this machine do not limit the agent's share of the processor".to_owned());
        }
        // Without them the watchdog alone holds it.
        set(path, "memory.high", &bounds.memory_bytes.to_string());
        set(path, "memory.max", &bounds.last_resort_bytes().to_string());
        if !set_io(path, bounds.io_bytes_per_s) {
            unheld.push("the control groups of this machine do not limit the agent's share of disks".to_owned());
        }
        unheld
    }
}

/// Writes a value; whether the kernel took it. A file that is not there is not made: it would be another's.
fn set(group: &Path, name: &str, value: &str) -> bool {
    File::options().write(true).open(group.join(name)).and_then(|mut file| file.write_all(value.as_bytes())).is_ok()
}

/// Limits every disk; whether all of them are.
fn set_io(group: &Path, bytes_per_s: u64) -> bool {
    let was_set = fs::read_to_string(group.join("io.max")).is_ok_and(|text| !text.trim().is_empty());
    if bytes_per_s == 0 && !was_set {
        return true;
    }
    let limit = if bytes_per_s == 0 { "max".to_owned() } else { bytes_per_s.to_string() };
    let disks = fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let numbers = disks.filter_map(|disk| fs::read_to_string(disk.path().join("dev")).ok());
    // A disk that lies in memory has no limits, and is none.
    let numbers = numbers.filter(|number| !number.starts_with("7:") && !number.starts_with("1:"));
    numbers.map(|number| set(group, "io.max", &format!("{} rbps={limit} wbps={limit}", number.trim()))).all(|done| done)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { memory_bytes: 512 << 20, cpu_percent: 50, io_bytes_per_s: 0 };

    #[test]
    fn the_own_group_is_found() {
        assert_eq!(own_path("0::/system.slice/guardian-agent.service\n"), Some("/system.slice/guardian-agent.service"));
        assert_eq!(own_path("9:name=systemd:/\n1:cpu:/\n0::/\n"), Some("/"));
        assert_eq!(own_path("1:cpu:/\n"), None);
    }

    #[test]
    fn a_unit_keeps_its_group_and_others_get_one() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let unit = Group::below(root, "/system.slice/guardian-agent.service");
        assert_eq!(unit, Some(root.join("system.slice/guardian-agent.service")));
        // A folder that is no control group has no entrance.
        assert_eq!(Group::below(root, "/user.slice"), None);
        fs::write(root.join("guardian-agent/cgroup.procs"), "").unwrap();
        assert_eq!(Group::below(root, "/user.slice"), Some(root.join("guardian-agent")));
        assert_eq!(fs::read_to_string(root.join("guardian-agent/cgroup.procs")).unwrap(), "0");
    }

    #[test]
    fn limits_are_written_and_what_is_not_held_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let group = Group(Some(dir.path().to_owned()));
        assert_eq!(group.bound(BOUNDS).len(), 1, "the processor is not limited");
        for name in ["cpu.max", "memory.high", "memory.max", "cpu.weight"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        assert_eq!(group.bound(BOUNDS), Vec::<String>::new());
        let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!(read("cpu.max"), "50000 100000");
        assert_eq!((read("memory.high"), read("memory.max")), ((512_u64 << 20).to_string(), (1_u64 << 30).to_string()));
        assert_eq!(Group(None).bound(BOUNDS).len(), 1);
    }
}
