//! Confined processes, each a child of its own: what is forbidden fails, and what is allowed works. It has no harness,
//! because a process with several threads cannot be confined.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use guardian_sys::confine::{Calls, Capability, Held, Paths, Room, confine};
use guardian_sys::netlink::{Family, Netlink};

/// A number that belongs to nobody.
const USER: u32 = 1_900_000_099;
/// Signals that end a process: a forbidden call, too much processor time, and memory that is not to be had.
const SIGSYS: i32 = 31;
const SIGKILL: i32 = 9;
const SIGABRT: i32 = 6;

/// How a child is to end.
enum Ends {
    /// By itself, after all it looked at was as it should be.
    Well,
    /// By a signal.
    By(i32),
}

type Case = fn(&Path);

/// Each with what it proves.
const ALL: &[(&str, Ends, Case)] = &[
    ("parse_reads_what_it_was_given", Ends::Well, parse_reads_what_it_was_given),
    ("parse_opens_nothing", Ends::Well, parse_opens_nothing),
    ("parse_runs_no_new_code", Ends::Well, parse_runs_no_new_code),
    ("parse_starts_no_thread", Ends::Well, parse_starts_no_thread),
    ("parse_runs_no_program", Ends::By(SIGSYS), parse_runs_no_program),
    ("parse_reaches_no_network", Ends::By(SIGSYS), parse_reaches_no_network),
    ("parse_may_panic", Ends::Well, parse_may_panic),
    ("parse_may_abort", Ends::By(SIGABRT), parse_may_abort),
    ("read_opens_what_it_may", Ends::Well, read_opens_what_it_may),
    ("read_opens_nothing_else", Ends::Well, read_opens_nothing_else),
    ("read_changes_nothing", Ends::Well, read_changes_nothing),
    ("read_has_threads", Ends::Well, read_has_threads),
    ("read_runs_no_program", Ends::By(SIGSYS), read_runs_no_program),
    ("read_reaches_no_network", Ends::By(SIGSYS), read_reaches_no_network),
    ("look_reads_every_file", Ends::Well, look_reads_every_file),
    ("look_sees_processes_unless_closed_in", Ends::Well, look_sees_processes_unless_closed_in),
    ("look_changes_nothing", Ends::Well, look_changes_nothing),
    ("look_asks_the_kernel_alone", Ends::Well, look_asks_the_kernel_alone),
    ("look_runs_no_program", Ends::By(SIGSYS), look_runs_no_program),
    ("look_connects_to_nothing", Ends::By(SIGSYS), look_connects_to_nothing),
    ("memory_ends", Ends::By(SIGABRT), memory_ends),
    ("time_ends", Ends::By(SIGKILL), time_ends),
    ("root_is_gone", Ends::Well, root_is_gone),
    ("threads_are_refused", Ends::Well, threads_are_refused),
];

fn room(calls: Calls) -> Room {
    Room {
        user: Some(USER),
        keeps: &[],
        closed: true,
        readable: Vec::new(),
        writable: Vec::new(),
        calls,
        memory_bytes: 1 << 30,
        cpu_s: 20,
        files: 64,
        file_bytes: 0,
        ends_with_parent: true,
    }
}

fn enter(room: &Room) -> Held {
    let held = confine(room).expect("it can be confined");
    assert!(held.calls, "this kernel filters system calls");
    assert!(held.powerless, "no capability is left");
    held
}

/// Whether the kernel that the tests run on has landlock; what it lacks cannot be proved on it.
fn has_landlock(held: &Held) -> bool {
    held.paths != Paths::Open
}

fn refused(result: std::io::Result<impl Sized>) -> i32 {
    result.map(drop).expect_err("that is forbidden").raw_os_error().expect("the kernel says why")
}

const EPERM: i32 = 1;
const EACCES: i32 = 13;

fn parse_reads_what_it_was_given(place: &Path) {
    let mut given = File::open(place.join("secret")).expect("it is there");
    let held = enter(&room(Calls::Parse));
    let mut text = String::new();
    given.read_to_string(&mut text).expect("it was open before");
    assert_eq!(text, "secret");
    // Memory, time and hashing with a random key work.
    let numbers: std::collections::HashMap<u64, Vec<u8>> = (0..2_000).map(|n| (n, vec![1; 1_000])).collect();
    assert_eq!(numbers.len(), 2_000);
    assert!(Instant::now().elapsed() < Duration::from_secs(1));
    std::thread::sleep(Duration::from_millis(1));
    assert!(held.missing().len() <= 2, "{:?}", held.missing());
}

fn parse_opens_nothing(place: &Path) {
    enter(&room(Calls::Parse));
    for path in [place.join("secret"), PathBuf::from("/etc/passwd"), PathBuf::from("/proc/self/mem")] {
        assert_eq!(refused(File::open(path)), EPERM);
    }
    assert_eq!(refused(fs::read_dir(place)), EPERM);
    assert_eq!(refused(File::create(place.join("new"))), EPERM);
    assert!(fs::metadata(place).is_err() && fs::remove_file(place.join("secret")).is_err());
}

#[expect(unsafe_code, reason = "there is no safe way to ask for memory that can be run")]
fn parse_runs_no_new_code(_: &Path) {
    enter(&room(Calls::Parse));
    let map = |protection| {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: it asks for new memory at no given place.
        unsafe { libc::mmap(std::ptr::null_mut(), 4_096, protection, flags, -1, 0) }
    };
    let plain = map(libc::PROT_READ | libc::PROT_WRITE);
    assert_ne!(plain, libc::MAP_FAILED);
    assert_eq!(map(libc::PROT_READ | libc::PROT_EXEC), libc::MAP_FAILED);
    // SAFETY: the page was mapped above, and nothing else is in it.
    assert_eq!(unsafe { libc::mprotect(plain, 4_096, libc::PROT_READ | libc::PROT_EXEC) }, -1);
}

fn parse_starts_no_thread(_: &Path) {
    enter(&room(Calls::Parse));
    assert_eq!(refused(std::thread::Builder::new().spawn(|| {})), EPERM);
}

fn parse_runs_no_program(_: &Path) {
    enter(&room(Calls::Parse));
    let _error = Command::new("/bin/true").exec();
}

fn parse_reaches_no_network(_: &Path) {
    enter(&room(Calls::Parse));
    TcpStream::connect("127.0.0.1:9").ok();
}

fn parse_may_panic(_: &Path) {
    enter(&room(Calls::Parse));
    let caught = std::panic::catch_unwind(|| assert_eq!(Vec::<u8>::new().first(), Some(&1)));
    assert!(caught.is_err());
}

fn parse_may_abort(_: &Path) {
    enter(&room(Calls::Parse));
    std::process::abort();
}

fn reading(place: &Path) -> Held {
    enter(&Room { readable: vec![place.join("open")], ..room(Calls::Read) })
}

fn read_opens_what_it_may(place: &Path) {
    reading(place);
    assert_eq!(fs::read_to_string(place.join("open/file")).expect("it may"), "open");
    assert_eq!(fs::read_dir(place.join("open")).expect("it may").count(), 1);
}

fn read_opens_nothing_else(place: &Path) {
    // Everybody may read it by its permissions.
    let held = reading(place);
    if has_landlock(&held) {
        assert_eq!(refused(File::open(place.join("secret"))), EACCES);
        assert_eq!(refused(File::open(place.join("open/../secret"))), EACCES);
        assert_eq!(refused(File::open("/etc/passwd")), EACCES);
        assert_eq!(refused(fs::read_dir("/")), EACCES);
    }
}

fn read_changes_nothing(place: &Path) {
    reading(place);
    assert_eq!(refused(File::create(place.join("open/new"))), EPERM);
    assert_eq!(refused(File::options().write(true).open(place.join("open/file"))), EPERM);
    assert_eq!(refused(File::options().append(true).open(place.join("open/file"))), EPERM);
    assert_eq!(refused(fs::remove_file(place.join("open/file"))), EPERM);
    assert_eq!(refused(fs::rename(place.join("open/file"), place.join("open/other"))), EPERM);
}

fn read_has_threads(place: &Path) {
    let held = reading(place);
    let secret = place.join("secret");
    let thread = std::thread::Builder::new().name("look".into()).spawn(move || File::open(secret).is_err());
    let kept_out = thread.expect("threads may be started").join().expect("it ends");
    assert!(kept_out || !has_landlock(&held), "a thread is confined as well");
}

fn read_runs_no_program(place: &Path) {
    reading(place);
    let _error = Command::new("/bin/true").exec();
}

fn read_reaches_no_network(place: &Path) {
    reading(place);
    TcpStream::connect("127.0.0.1:9").ok();
}

fn looking(closed: bool) -> Held {
    let keeps = &[Capability::ReadFiles, Capability::LookIntoProcesses];
    let held = enter(&Room { keeps, closed, readable: vec!["/".into()], ..room(Calls::Look) });
    assert!(closed || held.paths == Paths::Unasked);
    held
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|of| std::os::unix::fs::MetadataExt::uid(&of) == 0)
}

fn look_reads_every_file(place: &Path) {
    let was_root = is_root();
    let held = looking(true);
    assert!(File::open(place.join("secret")).is_ok() && fs::read_dir("/").is_ok());
    if was_root {
        assert_eq!(held.user, Some(USER));
        assert!(File::open(place.join("private")).is_ok(), "it kept the right to read");
    }
    let status = fs::read_to_string("/proc/self/status").expect("it may look at itself");
    let effective = if was_root { "CapEff:\t0000000000080004" } else { "CapEff:\t0000000000000000" };
    assert!(status.contains(effective), "{status}");
}

fn look_sees_processes_unless_closed_in(_: &Path) {
    let was_root = is_root();
    let parent = std::os::unix::process::parent_id();
    looking(false);
    assert_eq!(fs::read_link(format!("/proc/{parent}/exe")).is_ok(), was_root);
    assert_eq!(fs::read(format!("/proc/{parent}/environ")).is_ok(), was_root);
    assert_eq!(refused(File::options().write(true).open(format!("/proc/{parent}/mem"))), EPERM);
}

fn look_changes_nothing(place: &Path) {
    for closed in [false, true] {
        // The second time it is locked up within what it was locked up in, which may fail, and never opens.
        if closed {
            confine(&Room { closed, readable: vec!["/".into()], ..room(Calls::Look) }).ok();
        } else {
            looking(closed);
        }
        let file = place.join("open/file");
        assert_eq!(refused(File::create(place.join("open/new"))), EPERM);
        assert_eq!(refused(File::options().write(true).open(&file)), EPERM);
        assert_eq!(refused(File::options().read(true).append(true).open(&file)), EPERM);
        assert_eq!(refused(fs::remove_file(&file)), EPERM);
        assert_eq!(refused(fs::rename(&file, place.join("open/other"))), EPERM);
        assert_eq!(refused(fs::create_dir(place.join("open/folder"))), EPERM);
        assert_eq!(refused(fs::hard_link(&file, place.join("open/other"))), EPERM);
        assert_eq!(refused(std::os::unix::fs::symlink(&file, place.join("open/other"))), EPERM);
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        assert_eq!(refused(fs::set_permissions(&file, mode)), EPERM);
    }
}

fn look_asks_the_kernel_alone(_: &Path) {
    looking(true);
    let socket = Netlink::open(Family::SockDiag, 0).expect("netlink is asked");
    assert!(socket.send(&[0; 16]).is_ok());
    assert_eq!(refused(TcpListener::bind("127.0.0.1:0")), EPERM);
    assert_eq!(refused(UdpSocket::bind("127.0.0.1:0")), EPERM);
    assert_eq!(refused(TcpStream::connect("127.0.0.1:9")), EPERM);
    assert_eq!(refused(UnixStream::connect("/run/nothing")), EPERM);
}

fn look_runs_no_program(_: &Path) {
    looking(false);
    let _error = Command::new("/bin/true").exec();
}

#[expect(unsafe_code, reason = "a socket of netlink is connected in no safe way")]
fn look_connects_to_nothing(_: &Path) {
    looking(false);
    // SAFETY: the call is ended before it looks at the address, which is none.
    unsafe { libc::connect(0, std::ptr::null(), 0) };
}

fn memory_ends(_: &Path) {
    enter(&Room { memory_bytes: 256 << 20, ..room(Calls::Parse) });
    let mut all = Vec::new();
    for _ in 0..64 {
        all.push(std::hint::black_box(vec![1_u8; 8 << 20]));
    }
}

fn time_ends(_: &Path) {
    enter(&Room { cpu_s: 1, ..room(Calls::Parse) });
    let begun = Instant::now();
    let mut number = 1_u64;
    while begun.elapsed() < Duration::from_secs(60) {
        number = std::hint::black_box(number.wrapping_mul(3));
    }
}

fn root_is_gone(place: &Path) {
    let was_root = fs::metadata("/proc/self").is_ok_and(|of| std::os::unix::fs::MetadataExt::uid(&of) == 0);
    let private = place.join("private");
    let held = enter(&Room { readable: vec![place.to_owned()], ..room(Calls::Read) });
    if was_root {
        assert_eq!(held.user, Some(USER));
        assert_eq!(refused(File::open(private)), EACCES, "what only root may read is not for this user");
    }
}

fn threads_are_refused(_: &Path) {
    let (send, receive) = std::sync::mpsc::sync_channel::<()>(0);
    let thread = std::thread::spawn(move || receive.recv().ok());
    assert!(confine(&room(Calls::Parse)).is_err());
    drop(send);
    thread.join().expect("it ends");
}

fn place() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt as _;
    let place = tempfile::tempdir().expect("a folder");
    fs::create_dir(place.path().join("open")).expect("a folder");
    for (name, text, mode) in [("open/file", "open", 0o644), ("secret", "secret", 0o644), ("private", "root", 0o600)] {
        fs::write(place.path().join(name), text).expect("a file");
        fs::set_permissions(place.path().join(name), fs::Permissions::from_mode(mode)).expect("a mode");
    }
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).expect("a mode");
    place
}

fn is_as_expected(ends: &Ends, status: ExitStatus) -> bool {
    match ends {
        Ends::Well => status.success(),
        Ends::By(signal) => status.signal() == Some(*signal),
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [child, name, place] = arguments.as_slice()
        && child == "--child"
    {
        let (_, _, case) = ALL.iter().find(|(of, ..)| of == name).expect("it is one of them");
        case(Path::new(place));
        return ExitCode::SUCCESS;
    }
    let wanted = |name: &str| {
        let filters: Vec<&String> = arguments.iter().filter(|a| !a.starts_with('-')).collect();
        filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()))
    };
    let own = std::env::current_exe().expect("this program");
    let mut failed = 0;
    for (name, ends, _) in ALL.iter().filter(|(name, ..)| wanted(name)) {
        let place = place();
        let mut child = Command::new(&own);
        child.arg("--child").arg(name).arg(place.path()).stdin(Stdio::null());
        let output = child.output().expect("a child");
        let good = is_as_expected(ends, output.status);
        println!("test {name} ... {}", if good { "ok" } else { "FAILED" });
        if !good {
            failed += 1;
            println!("{}", output.status);
            std::io::stdout().write_all(&output.stderr).ok();
        }
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
