//! Processes with their memory maps, open files and sockets, from `/proc`.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use guardian_evidence::Origin;
use guardian_inventory::process::{container, parse_cmdline, parse_stat, parse_status};
use guardian_inventory::sockets;
use serde::Serialize;
use serde_json::json;

use super::super::doing::Stop;
use super::super::processes::all;
use super::{Gather, List};

/// Bytes of one file of `/proc`.
const FILE_BYTES_MAX: u64 = 8 << 20;
/// Bytes of a program that is nowhere else any more.
const PROGRAM_BYTES_MAX: u64 = 64 << 20;
/// Such programs.
const PROGRAMS_MAX: usize = 64;
/// Open files of one process that are listed.
const OPEN_MAX: usize = 65_536;
/// Variables that make other code run.
const TELLING: [&str; 8] =
    ["LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "PYTHONPATH", "PERL5OPT", "BASH_ENV", "SSH_CONNECTION", "HISTFILE"];

#[derive(Serialize)]
struct Process {
    pid: u32,
    parent: u32,
    session: u32,
    start_ticks: u64,
    state: char,
    name: String,
    program: Option<PathBuf>,
    command: Vec<String>,
    folder: Option<PathBuf>,
    root: Option<PathBuf>,
    uid: [u32; 4],
    gid: [u32; 4],
    capabilities: u64,
    tracer: u32,
    seccomp: u8,
    threads: u32,
    resident_pages: u64,
    container: Option<String>,
    cgroup: String,
    /// Names of all variables, and the values of those that make other code run: the rest holds secrets.
    environment: Vec<String>,
    namespaces: Vec<PathBuf>,
}

fn read(path: impl AsRef<Path>) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What ends meanwhile leaves what was read so far.
    File::open(path).and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)).ok();
    bytes
}

fn environment(bytes: &[u8]) -> Vec<String> {
    let variables = bytes.split(|b| *b == 0).filter(|v| !v.is_empty()).take(4_096);
    let shown = variables.map(|variable| {
        let text = String::from_utf8_lossy(variable);
        let name = text.split('=').next().unwrap_or_default();
        if TELLING.contains(&name) { text.clone().into_owned() } else { name.to_owned() }
    });
    shown.collect()
}

fn of(pid: u32) -> Option<Process> {
    let folder = PathBuf::from(format!("/proc/{pid}"));
    let stat = parse_stat(&read(folder.join("stat"))).ok()?;
    let status = parse_status(&read(folder.join("status")));
    let cgroup = read(folder.join("cgroup"));
    let link = |name: &str| fs::read_link(folder.join(name)).ok();
    let names = ["mnt", "net", "pid", "user"];
    Some(Process {
        pid,
        parent: stat.parent,
        session: stat.session,
        start_ticks: stat.start_ticks,
        state: stat.state,
        name: stat.name,
        program: link("exe"),
        command: parse_cmdline(&read(folder.join("cmdline"))),
        folder: link("cwd"),
        root: link("root"),
        uid: status.uid,
        gid: status.gid,
        capabilities: status.capabilities,
        tracer: status.tracer,
        seccomp: status.seccomp,
        threads: stat.threads,
        resident_pages: stat.resident_pages,
        container: container(&cgroup),
        cgroup: String::from_utf8_lossy(&cgroup).trim().chars().take(4_096).collect(),
        environment: environment(&read(folder.join("environ"))),
        namespaces: names.iter().filter_map(|name| link(&format!("ns/{name}"))).collect(),
    })
}

/// The list of processes, and the programs among them that are on no disk any more.
pub(super) fn processes(gather: &mut Gather<'_, '_>) -> Result<u64, Stop> {
    let (mut list, mut programs) = (List::new("processes"), 0);
    for pid in all()? {
        gather.doing.go_on()?;
        let Some(process) = of(pid) else { continue };
        list.push(gather, &process)?;
        let program = process.program.map(|path| path.to_string_lossy().into_owned()).unwrap_or_default();
        let nowhere = program.ends_with(" (deleted)") || program.starts_with("/memfd:");
        if nowhere && programs < PROGRAMS_MAX {
            programs += 1;
            keep_program(gather, pid, &program)?;
        }
    }
    list.finish(gather)
}

fn keep_program(gather: &mut Gather<'_, '_>, pid: u32, program: &str) -> Result<(), Stop> {
    let name = format!("programs/{pid}");
    let opened = File::open(format!("/proc/{pid}/exe")).and_then(|file| file.metadata().map(|meta| (file, meta)));
    let Ok((mut file, meta)) = opened else { return Ok(()) };
    if meta.len() > PROGRAM_BYTES_MAX {
        gather.left_out(&name, "it is too large");
        return Ok(());
    }
    let note = "the program of a process, which is on no disk any more".to_owned();
    let origin = Origin { note, path: program.to_owned(), ..super::files::origin(Path::new(""), &meta) };
    gather.add(&name, origin, meta.len(), &mut file).map(drop)
}

/// The memory maps of each process, as the kernel writes them.
pub(super) fn maps(gather: &mut Gather<'_, '_>) -> Result<u64, Stop> {
    let mut count = 0;
    for pid in all()? {
        let maps = read(format!("/proc/{pid}/maps"));
        if !maps.is_empty() {
            gather.text(&format!("maps/{pid}"), &maps)?;
            count += 1;
        }
    }
    Ok(count)
}

/// What each process has open.
pub(super) fn open_files(gather: &mut Gather<'_, '_>) -> Result<u64, Stop> {
    let mut list = List::new("open-files");
    for pid in all()? {
        gather.doing.go_on()?;
        let entries = fs::read_dir(format!("/proc/{pid}/fd"));
        for entry in entries.into_iter().flatten().flatten().take(OPEN_MAX) {
            let Ok(target) = fs::read_link(entry.path()) else { continue };
            list.push(gather, &json!({ "pid": pid, "fd": entry.file_name().to_string_lossy(), "target": target }))?;
        }
    }
    list.finish(gather)
}

/// Processes by the numbers of the sockets that they have.
fn owners() -> Result<HashMap<u64, Vec<u32>>, Stop> {
    let mut owners: HashMap<u64, Vec<u32>> = HashMap::new();
    for pid in all()? {
        for entry in fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten().take(OPEN_MAX) {
            let inode = fs::read_link(entry.path()).ok().and_then(|target| sockets::inode(target.to_str()?));
            if let Some(inode) = inode {
                owners.entry(inode).or_default().push(pid);
            }
        }
    }
    Ok(owners)
}

/// Sockets with the processes that have them, and the kernel's own tables as they are.
pub(super) fn sockets(gather: &mut Gather<'_, '_>) -> Result<u64, Stop> {
    let owners = owners()?;
    let mut list = List::new("sockets");
    let of = |inode: u64| owners.get(&inode).cloned().unwrap_or_default();
    for protocol in ["tcp", "tcp6", "udp", "udp6"] {
        for socket in sockets::parse(&read(format!("/proc/net/{protocol}"))).entries {
            list.push(gather, &json!({ "protocol": protocol, "socket": socket, "pids": of(socket.inode) }))?;
        }
    }
    for socket in sockets::parse_unix(&read("/proc/net/unix")).entries {
        let pids = of(socket.inode);
        list.push(gather, &json!({ "protocol": "unix", "socket": socket, "pids": pids }))?;
    }
    let tables = ["tcp", "tcp6", "udp", "udp6", "raw", "raw6", "packet", "unix", "arp", "route", "ipv6_route", "dev"];
    for table in tables {
        let text = read(format!("/proc/net/{table}"));
        if !text.is_empty() {
            gather.text(&format!("net/{table}"), &text)?;
        }
    }
    list.finish(gather)
}
