//! Processes and what each of them has: environment, memory, open files, namespaces. From `/proc` (proc(5)).

use std::fs;
use std::path::PathBuf;

use guardian_inventory::process;
use guardian_sys::process::page_bytes;
use rusqlite::types::Value;

use super::{Answered, Asked, Table, big, int, read, row, text};

/// `processes`.
pub(super) const PROCESSES: Table = Table {
    name: "processes",
    about: "Processes that run",
    needs: false,
    columns: &[
        big("pid", "Number").given(),
        text("name", "Name, as the process gave it to itself"),
        text("path", "Program"),
        text("cmdline", "Arguments"),
        text("state", "State, as the kernel has it"),
        text("cwd", "Working directory"),
        text("root", "Root directory"),
        big("uid", "Real user"),
        big("gid", "Real group"),
        big("euid", "Effective user"),
        big("egid", "Effective group"),
        big("suid", "Saved user"),
        big("sgid", "Saved group"),
        int("on_disk", "Whether the program is on the disk: 1 yes, 0 no, -1 unknown"),
        big("wired_size", "Memory that cannot be paged out; always 0 here"),
        big("resident_size", "Resident memory in bytes"),
        big("total_size", "Virtual memory in bytes"),
        big("user_time", "Time in its own code, in milliseconds"),
        big("system_time", "Time in the kernel, in milliseconds"),
        big("disk_bytes_read", "Bytes read from disks"),
        big("disk_bytes_written", "Bytes written to disks"),
        big("start_time", "When it started, in seconds since the epoch"),
        big("parent", "Number of the parent"),
        big("pgroup", "Process group"),
        int("threads", "Threads"),
        int("nice", "Nice value"),
        text("cgroup_path", "Control group"),
    ],
    rows: processes,
};

/// `process_envs`.
pub(super) const PROCESS_ENVS: Table = Table {
    name: "process_envs",
    about: "Variables of the environments that processes were started with",
    needs: false,
    columns: &[int("pid", "Process").given(), text("key", "Name"), text("value", "Value")],
    rows: environments,
};

/// `process_memory_map`.
pub(super) const PROCESS_MEMORY_MAP: Table = Table {
    name: "process_memory_map",
    about: "What is mapped into the memory of processes",
    needs: false,
    columns: &[
        int("pid", "Process").given(),
        text("start", "First address, hexadecimal"),
        text("end", "Address behind the last, hexadecimal"),
        text("permissions", "r, w, x, and p (private) or s (shared)"),
        big("offset", "Where in the file it begins"),
        text("device", "Device of the file: major:minor"),
        int("inode", "Inode of the file"),
        text("path", "File, or name of a special area"),
        int("pseudo", "Whether the path is no file"),
    ],
    rows: memory,
};

/// `process_open_files`.
pub(super) const PROCESS_OPEN_FILES: Table = Table {
    name: "process_open_files",
    about: "Files that processes have open",
    needs: false,
    columns: &[big("pid", "Process").given(), big("fd", "Number of the descriptor"), text("path", "File")],
    rows: open_files,
};

/// `process_namespaces`.
pub(super) const PROCESS_NAMESPACES: Table = Table {
    name: "process_namespaces",
    about: "Namespaces that processes are in, by inode",
    needs: false,
    columns: &[
        int("pid", "Process").given(),
        text("cgroup_namespace", "Control groups"),
        text("ipc_namespace", "Interprocess communication"),
        text("mnt_namespace", "Mounts"),
        text("net_namespace", "Network"),
        text("pid_namespace", "Processes"),
        text("user_namespace", "Users"),
        text("uts_namespace", "Host names"),
    ],
    rows: namespaces,
};

/// The processes that are asked for.
pub(super) fn wanted(asked: &Asked<'_>) -> Vec<u32> {
    if let Some(pid) = asked.number("pid") {
        let there = |pid: &u32| PathBuf::from(format!("/proc/{pid}")).is_dir();
        return u32::try_from(pid).ok().filter(there).into_iter().collect();
    }
    let mut pids: Vec<u32> = read::names("/proc").iter().filter_map(|name| name.parse().ok()).collect();
    pids.sort_unstable();
    pids
}

fn processes(asked: &Asked<'_>) -> Answered {
    let boot = read::text("/proc/stat");
    let boot = boot.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse::<u64>().ok()).unwrap_or(0);
    let ticks = guardian_sys::netlink::ticks_per_second().max(1);
    Ok(Box::new(wanted(asked).into_iter().filter_map(move |pid| process_row(pid, boot, ticks))))
}

fn process_row(pid: u32, boot: u64, ticks: u64) -> Option<Vec<Value>> {
    let at = format!("/proc/{pid}");
    let stat = read::bytes(format!("{at}/stat"))?;
    let nice = nice(&stat);
    let stat = process::parse_stat(&stat).ok()?;
    let status = process::parse_status(&read::bytes(format!("{at}/status")).unwrap_or_default());
    let path = read::link(format!("{at}/exe"));
    let deleted = path.strip_suffix(" (deleted)");
    let on_disk = match (&deleted, path.is_empty()) {
        (_, true) => -1,
        (Some(_), _) => 0,
        // As the process sees it: it may have a root of its own.
        (None, _) => i32::from(PathBuf::from(format!("{at}/root{path}")).exists()),
    };
    let io = read::text(format!("{at}/io"));
    let counted = |name: &str| io.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
    let cgroup = read::text(format!("{at}/cgroup"));
    let cgroup = cgroup.lines().find_map(|line| line.strip_prefix("0::")).or_else(|| cgroup.lines().next());
    let millis = |amount: u64| amount.saturating_mul(1_000) / ticks;
    Some(row![
        pid,
        stat.name,
        deleted.unwrap_or(&path),
        process::parse_cmdline(&read::bytes(format!("{at}/cmdline")).unwrap_or_default()).join(" "),
        stat.state.to_string(),
        read::link(format!("{at}/cwd")),
        read::link(format!("{at}/root")),
        status.uid[0],
        status.gid[0],
        status.uid[1],
        status.gid[1],
        status.uid[2],
        status.gid[2],
        on_disk,
        0,
        stat.resident_pages.saturating_mul(page_bytes()),
        stat.virtual_bytes,
        millis(stat.user_ticks),
        millis(stat.system_ticks),
        counted("read_bytes:"),
        counted("write_bytes:"),
        boot + stat.start_ticks / ticks,
        stat.parent,
        stat.group,
        stat.threads,
        nice,
        cgroup.unwrap_or_default(),
    ])
}

/// The nice value, the seventeenth field behind the name.
fn nice(stat: &[u8]) -> Option<i32> {
    let stat = String::from_utf8_lossy(stat);
    stat.rsplit_once(')')?.1.split_whitespace().nth(16)?.parse().ok()
}

fn environments(asked: &Asked<'_>) -> Answered {
    let rows = wanted(asked).into_iter().flat_map(|pid| {
        let environment = read::bytes(format!("/proc/{pid}/environ")).unwrap_or_default();
        let one = move |variable: &[u8]| {
            let variable = String::from_utf8_lossy(variable).into_owned();
            let (key, value) = variable.split_once('=')?;
            Some(row![pid, key, value])
        };
        environment.split(|byte| *byte == 0).filter_map(one).collect::<Vec<_>>()
    });
    Ok(Box::new(rows))
}

fn memory(asked: &Asked<'_>) -> Answered {
    let rows = wanted(asked).into_iter().flat_map(|pid| {
        let maps = read::text(format!("/proc/{pid}/maps"));
        maps.lines().filter_map(|line| map_row(pid, line)).collect::<Vec<_>>()
    });
    Ok(Box::new(rows))
}

fn map_row(pid: u32, line: &str) -> Option<Vec<Value>> {
    let mut words = line.splitn(6, ' ');
    let (start, end) = words.next()?.split_once('-')?;
    let (permissions, offset, device, inode) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let path = words.next().unwrap_or_default().trim();
    Some(row![
        pid,
        format!("0x{start}"),
        format!("0x{end}"),
        permissions,
        u64::from_str_radix(offset, 16).ok(),
        device,
        inode.parse::<u64>().ok(),
        path,
        path.starts_with('['),
    ])
}

fn open_files(asked: &Asked<'_>) -> Answered {
    let rows = wanted(asked).into_iter().flat_map(|pid| {
        let folder = format!("/proc/{pid}/fd");
        let links = fs::read_dir(&folder).into_iter().flatten().flatten();
        let one = |link: fs::DirEntry| {
            let path = read::link(link.path());
            let number: u64 = link.file_name().to_str()?.parse().ok()?;
            // Sockets, pipes and the like have no path.
            path.starts_with('/').then(|| row![pid, number, path])
        };
        links.filter_map(one).collect::<Vec<_>>()
    });
    Ok(Box::new(rows))
}

fn namespaces(asked: &Asked<'_>) -> Answered {
    let rows = wanted(asked).into_iter().map(|pid| {
        let mut row = row![pid];
        row.extend(
            ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"].map(|kind| super::Cell::cell(inode(pid, kind))),
        );
        row
    });
    Ok(Box::new(rows))
}

/// The inode of a namespace of a process; none where it may not be seen.
pub(super) fn inode(pid: u32, kind: &str) -> Option<String> {
    let link = read::link(format!("/proc/{pid}/ns/{kind}"));
    Some(link.split_once('[')?.1.trim_end_matches(']').to_owned())
}
