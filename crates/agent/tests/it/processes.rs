//! Processes as they start and end here, for real. Without root, or in a namespace of its own, the kernel tells nothing
//! and the tests say so.

use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use guardian_agent::outbox::{Inbox, Outbox};
use guardian_agent::sources::processes::{Options, Processes};
use guardian_protocol::classes::ProcessColumn as C;

use crate::rows::{Row, take, until};

fn start(options: Options) -> Option<(Processes, Inbox)> {
    let (outbox, inbox) = Outbox::new();
    match Processes::start(outbox, options) {
        Ok(processes) => Some((processes, inbox)),
        Err(error) => {
            eprintln!("skipped: the process connector is not permitted: {error}");
            None
        }
    }
}

fn of(rows: &[Row], activity: &str, words: &str) -> Option<Row> {
    let fits = |r: &&Row| r.get(C::Activity as usize) == activity && r.get(C::CommandLine as usize).contains(words);
    rows.iter().find(fits).cloned()
}

#[test]
fn what_a_process_is_stands_in_its_row() {
    let Some((mut processes, inbox)) = start(Options { forks: true, ..Options::default() }) else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let socket = || Stdio::from(OwnedFd::from(client.try_clone().unwrap()));
    // A shell whose input and output are a socket, which runs a command with a library loaded first.
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "LD_PRELOAD=/tmp/none.so sleep 0.41; exit 3"]).stdin(socket()).stdout(socket());
    let mut shell = shell.stderr(Stdio::null()).spawn().unwrap();
    let pid = shell.id().to_string();
    let done =
        |rows: &[Row]| rows.iter().any(|r| r.get(C::Activity as usize) == "exit" && r.get(C::Pid as usize) == pid);
    let step = || processes.step(Duration::from_millis(20)).unwrap();
    let rows = until(&inbox, 10, step, done);
    shell.wait().unwrap();
    let sh = of(&rows, "exec", "LD_PRELOAD=/tmp/none.so sleep").unwrap();
    assert_eq!((sh.get(C::Pid as usize), sh.get(C::ParentPid as usize)), (&*pid, &*std::process::id().to_string()));
    assert_eq!((sh.get(C::Stdin as usize), sh.get(C::Stdout as usize)), ("socket", "socket"));
    assert!(sh.get(C::ParentImage as usize).contains("/it-") && sh.get(C::Complete as usize) == "true");
    assert_eq!((sh.get(C::User as usize), sh.get(C::Sha256 as usize).len()), ("root", 64));
    assert_eq!(sh.get(C::Boot as usize).len(), 36);
    let sleep = of(&rows, "exec", "sleep 0.41").filter(|r| r.get(C::Preload as usize) == "/tmp/none.so");
    let sleep = sleep.or_else(|| rows.iter().find(|r| r.get(C::Preload as usize) == "/tmp/none.so").cloned()).unwrap();
    assert_eq!(sleep.get(C::ParentPid as usize), pid);
    assert!(sleep.get(C::Ancestors as usize).starts_with(sleep.get(C::ParentImage as usize)));
    let fork = rows.iter().find(|r| r.get(C::Activity as usize) == "fork" && r.get(C::Pid as usize) == pid);
    assert!(fork.is_some());
    let exit = rows.iter().find(|r| r.get(C::Activity as usize) == "exit" && r.get(C::Pid as usize) == pid).unwrap();
    assert_eq!((exit.get(C::ExitCode as usize), exit.get(C::Signal as usize)), ("3", "0"));
    assert_eq!(exit.get(C::StartTicks as usize), sh.get(C::StartTicks as usize));
}

#[test]
fn users_that_change_and_programs_without_a_name() {
    let Some((mut processes, inbox)) = start(Options::default()) else { return };
    let program = "import os,sys\n\
        fd = os.memfd_create('hidden')\n\
        os.write(fd, open('/bin/sleep', 'rb').read())\n\
        os.setuid(65534)\n\
        os.execve(f'/proc/self/fd/{fd}', ['kworker', '0.3'], {})\n";
    let mut child = Command::new("python3").args(["-c", program]).spawn().unwrap();
    let pid = child.id().to_string();
    let done =
        |rows: &[Row]| rows.iter().any(|r| r.get(C::Activity as usize) == "exit" && r.get(C::Pid as usize) == pid);
    let rows = until(&inbox, 20, || processes.step(Duration::from_millis(20)).unwrap(), done);
    child.wait().unwrap();
    let own: Vec<_> = rows.iter().filter(|r| r.get(C::Pid as usize) == pid).collect();
    let user = own.iter().find(|r| r.get(C::Activity as usize) == "set_user").unwrap();
    assert_eq!((user.get(C::Uid as usize), user.get(C::User as usize)), ("65534", "nobody"));
    let hidden = own.iter().find(|r| r.get(C::Image as usize).starts_with("/memfd:hidden")).unwrap();
    assert_eq!(hidden.get(C::CommandLine as usize), "kworker 0.3");
    assert_eq!(hidden.get(C::Sha256 as usize).len(), 64, "a program without a name has a hash");
}

/// As many short commands as this machine can start: each is a row, or counted as lost.
#[test]
fn short_commands_are_seen_or_counted() {
    const COMMANDS: usize = 4_000;
    let Some((mut processes, inbox)) = start(Options { exits: false, ..Options::default() }) else { return };
    let begun = Instant::now();
    // The commands begin before this thread hurries, or they would hurry too.
    let script = format!("i=0; while [ $i -lt {} ]; do /bin/true guardian-storm; i=$((i+1)); done", COMMANDS / 2);
    let mut shells: Vec<_> = (0..2).map(|_| Command::new("/bin/sh").args(["-c", &script]).spawn().unwrap()).collect();
    Processes::hurry();
    let parents: Vec<_> = shells.iter().map(|s| s.id().to_string()).collect();
    let (mut seen, mut whole, mut took) = (0, 0, None);
    let counters = processes.counters();
    let mut quiet = Instant::now();
    while quiet.elapsed() < Duration::from_secs(1) {
        processes.step(Duration::from_millis(50)).unwrap();
        for row in take(&inbox) {
            let child = parents.iter().any(|p| p == row.get(C::ParentPid as usize));
            if row.get(C::Activity as usize) == "exec" && child {
                seen += 1;
                whole += usize::from(row.get(C::CommandLine as usize) == "/bin/true guardian-storm");
                quiet = Instant::now();
            }
        }
        if took.is_none() && shells.iter_mut().all(|s| s.try_wait().unwrap().is_some()) {
            took = Some(begun.elapsed());
        }
        if took.is_none() {
            quiet = Instant::now();
        }
    }
    let lost = counters.lost.load(Ordering::Relaxed);
    let rate = COMMANDS as f64 / took.unwrap().as_secs_f64();
    println!("{COMMANDS} commands at {rate:.0}/s: {seen} rows, {whole} with their command line, {lost} messages lost");
    if processes.is_probing() {
        assert_eq!(whole, seen, "the kernel noted the arguments of each, however short it lived");
    } else {
        eprintln!("without a probe in the kernel: arguments of the shortest may be missing");
    }
    assert!(seen as u64 + lost >= COMMANDS as u64, "{seen} rows and {lost} lost of {COMMANDS}");
    assert!(lost > 0 || seen == COMMANDS, "{seen}");
}

/// The kernel notes long arguments while nobody takes them: what does not fit is counted and told, and its rows are there.
#[test]
fn arguments_without_room_are_counted() {
    const COMMANDS: usize = 400;
    let Some((mut processes, inbox)) = start(Options { exits: false, ..Options::default() }) else { return };
    if !processes.is_probing() {
        return eprintln!("skipped: no program of ours may run in this kernel");
    }
    let word = "x".repeat(4_000);
    let script = format!("i=0; while [ $i -lt {COMMANDS} ]; do /bin/true {word}; i=$((i+1)); done");
    let mut shell = Command::new("/bin/sh").args(["-c", &script]).spawn().unwrap();
    let parent = shell.id().to_string();
    assert!(shell.wait().unwrap().success());
    let (mut seen, mut whole) = (0, 0);
    let mut quiet = Instant::now();
    while quiet.elapsed() < Duration::from_secs(1) {
        processes.step(Duration::from_millis(50)).unwrap();
        for row in take(&inbox).iter().filter(|r| r.get(C::ParentPid as usize) == parent) {
            if row.get(C::Activity as usize) == "exec" {
                seen += 1;
                whole += usize::from(row.get(C::CommandLine as usize).contains("xxxx"));
                quiet = Instant::now();
            }
        }
    }
    let counters = processes.counters();
    let (messages, ring) = (counters.lost.load(Ordering::Relaxed), counters.ring_lost.load(Ordering::Relaxed));
    println!("{seen} of {COMMANDS} rows, {whole} with arguments, {ring} not in the ring, {messages} messages lost");
    let lost = inbox.take_lost();
    assert_eq!(lost.get(&("processes".to_owned(), "ring")).copied(), Some(ring), "{lost:?}");
    assert!(seen as u64 + messages >= COMMANDS as u64, "a row needs no arguments");
    let missing = (seen - whole) as u64;
    // Other processes of this machine have their part in what was lost.
    assert!(missing > 0 && missing <= ring, "{missing} without arguments, {ring} counted");
    assert!(counters.noted.load(Ordering::Relaxed) + ring >= seen as u64);
}
