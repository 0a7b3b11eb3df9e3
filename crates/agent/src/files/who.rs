//! Who did it: a process, as much as is still known of it when the kernel tells of what it did.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use guardian_inventory::process;

/// A process that changed a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Who {
    /// Its number.
    pub pid: u32,
    /// When it started, in clock ticks since boot; none where it was gone already. With the boot it names the process.
    pub start_ticks: Option<u64>,
    /// Its name for itself.
    pub name: String,
    /// Its program.
    pub program: Option<PathBuf>,
    /// Its arguments.
    pub command: Vec<String>,
    /// Number of its parent.
    pub parent: u32,
    /// Its parent's program.
    pub parent_program: Option<PathBuf>,
    /// Its user.
    pub uid: Option<u32>,
    /// Who signed in at the beginning, whatever user it has become since; none for services.
    pub login_uid: Option<u32>,
    /// Its container.
    pub container: Option<String>,
}

/// Bytes of a file of `/proc/PID` that are read.
const BYTES_MAX: u64 = 8 << 10;
/// What stands for nobody.
const UNSET: u32 = u32::MAX;

fn read(folder: &Path, name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let file = fs::File::open(folder.join(name));
    // A process that ends meanwhile leaves what was read so far.
    file.and_then(|file| file.take(BYTES_MAX).read_to_end(&mut bytes)).map_or_else(|_| Vec::new(), |_| bytes)
}

impl Who {
    /// What `/proc` says of a process now.
    pub fn of(pid: u32) -> Self {
        let folder = PathBuf::from(format!("/proc/{pid}"));
        let mut who = Self { pid, ..Self::default() };
        let Ok(stat) = process::parse_stat(&read(&folder, "stat")) else { return who };
        who.start_ticks = Some(stat.start_ticks);
        who.name = stat.name;
        who.parent = stat.parent;
        who.program = fs::read_link(folder.join("exe")).ok();
        who.parent_program = fs::read_link(format!("/proc/{}/exe", who.parent)).ok();
        who.command = process::parse_cmdline(&read(&folder, "cmdline"));
        who.uid = Some(process::parse_status(&read(&folder, "status")).uid[1]);
        let login = read(&folder, "loginuid");
        who.login_uid =
            str::from_utf8(&login).ok().and_then(|text| text.trim().parse().ok()).filter(|uid| *uid != UNSET);
        who.container = process::container(&read(&folder, "cgroup"));
        who
    }
}
