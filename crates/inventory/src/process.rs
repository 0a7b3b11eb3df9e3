//! A process as `/proc/PID` shows it: `stat`, `status`, `cmdline`, `cgroup` (proc(5)).

use serde::Serialize;

use crate::Malformed;
use crate::limits::LIST_MAX;
use crate::text::{clip, lines, lossy};

/// What `stat` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stat {
    /// Number.
    pub pid: u32,
    /// Name, as the process gave it to itself: up to 15 bytes.
    pub name: String,
    /// State: `R`, `S`, `D`, `Z`, `T` and so on.
    pub state: char,
    /// Number of the parent.
    pub parent: u32,
    /// Number of the process group.
    pub group: u32,
    /// Number of the session.
    pub session: u32,
    /// Number of the terminal; 0 for none.
    pub terminal: i32,
    /// Time in its own code, in clock ticks.
    pub user_ticks: u64,
    /// Time in the kernel, in clock ticks.
    pub system_ticks: u64,
    /// Threads.
    pub threads: u32,
    /// When it started, in clock ticks since boot. With the boot it names the process for good.
    pub start_ticks: u64,
    /// Virtual memory.
    pub virtual_bytes: u64,
    /// Resident memory, in pages.
    pub resident_pages: u64,
}

/// What `status` says, as far as it is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Real, effective, saved and file-system user.
    pub uid: [u32; 4],
    /// Real, effective, saved and file-system group.
    pub gid: [u32; 4],
    /// Who traces it; 0 for nobody.
    pub tracer: u32,
    /// Effective capabilities.
    pub capabilities: u64,
    /// Whether it can never gain privileges.
    pub no_new_privileges: bool,
    /// 0 none, 1 strict, 2 filter.
    pub seccomp: u8,
    /// Its numbers from the outermost namespace to its own; more than one in a container.
    pub pids: Vec<u32>,
}

const fn malformed(what: &'static str) -> Malformed {
    Malformed { format: "a file of /proc/PID", what }
}

/// `/proc/PID/stat`. The name may hold anything, brackets and line breaks included: it ends at the last bracket.
pub fn parse_stat(stat: &[u8]) -> Result<Stat, Malformed> {
    let open = stat.iter().position(|b| *b == b'(').ok_or(malformed("it has no name"))?;
    let close = stat.iter().rposition(|b| *b == b')').filter(|c| *c > open).ok_or(malformed("it has no name"))?;
    let text = |bytes| str::from_utf8(bytes).map_err(|_| malformed("it is not text"));
    let pid = text(&stat[..open])?.trim().parse().map_err(|_| malformed("it has no number"))?;
    let fields: Vec<&str> = text(&stat[close + 1..])?.split_whitespace().collect();
    // Fields are counted from 1 in proc(5); the state is the third.
    let field = |number: usize| fields.get(number - 3).copied().ok_or(malformed("it has too few fields"));
    let number = |n: usize| field(n)?.parse::<u64>().map_err(|_| malformed("a field is not a number"));
    let small = |n: usize| field(n)?.parse::<i32>().map_err(|_| malformed("a field is not a number"));
    Ok(Stat {
        pid,
        name: lossy(&stat[open + 1..close]),
        state: field(3)?.chars().next().unwrap_or('?'),
        parent: small(4)?.cast_unsigned(),
        group: small(5)?.cast_unsigned(),
        session: small(6)?.cast_unsigned(),
        terminal: small(7)?,
        user_ticks: number(14)?,
        system_ticks: number(15)?,
        threads: small(20)?.cast_unsigned(),
        start_ticks: number(22)?,
        virtual_bytes: number(23)?,
        resident_pages: number(24)?,
    })
}

/// `/proc/PID/status`.
pub fn parse_status(status: &[u8]) -> Status {
    let mut read = Status::default();
    let numbers = |value: &str| {
        let mut four = [0; 4];
        for (place, word) in four.iter_mut().zip(value.split_whitespace()) {
            *place = word.parse().unwrap_or(u32::MAX);
        }
        four
    };
    for (_, line) in lines(status) {
        let Some((key, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        match key {
            "Uid" => read.uid = numbers(value),
            "Gid" => read.gid = numbers(value),
            "TracerPid" => read.tracer = value.parse().unwrap_or(0),
            "CapEff" => read.capabilities = u64::from_str_radix(value, 16).unwrap_or(0),
            "NoNewPrivs" => read.no_new_privileges = value == "1",
            "Seccomp" => read.seccomp = value.parse().unwrap_or(0),
            "NSpid" => read.pids = value.split_whitespace().take(LIST_MAX).flat_map(str::parse).collect(),
            _ => {}
        }
    }
    read
}

/// `/proc/PID/cmdline`: the arguments. A process may have written over them with a text of its own, which then is one.
pub fn parse_cmdline(cmdline: &[u8]) -> Vec<String> {
    let whole = cmdline.strip_suffix(b"\0").unwrap_or(cmdline);
    if whole.is_empty() {
        return Vec::new();
    }
    whole.split(|b| *b == 0).take(4 * LIST_MAX).map(lossy).collect()
}

/// The container of a process, from `/proc/PID/cgroup`: the 64 hexadecimal digits that Docker, containerd, CRI-O and Podman
/// put into the path; none outside.
pub fn container(cgroup: &[u8]) -> Option<String> {
    const DIGITS: usize = 64;
    lines(cgroup).find_map(|(_, line)| {
        let path = line.splitn(3, ':').nth(2)?.to_owned();
        let parts = path.split(['/', '-', '.', ':']);
        parts.rev().find(|p| p.len() == DIGITS && p.bytes().all(|b| b.is_ascii_hexdigit())).map(clip)
    })
}
