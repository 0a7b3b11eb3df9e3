//! Actions on real processes, files and accounts. Without root most of them are not permitted, and the tests say so.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command as Program, Stdio};
use std::time::{Duration, Instant};

use guardian_agent::response::{Options, Response};
use guardian_protocol::message::{
    Action, Command, Denied, Kill, Outcome, Progress, Quarantine, Release, Restore, Resume, Suspend, Undo,
};
use guardian_protocol::{Blob, action};

/// An agent's folder with what responses need.
pub(crate) struct Place {
    pub(crate) home: tempfile::TempDir,
    pub(crate) response: Response,
}

pub(crate) fn options(home: &Path) -> Options {
    Options { home: home.to_owned(), host: "host-1".into(), server: "https://10.77.0.2:8443".into(), proxy: None }
}

pub(crate) fn place() -> Place {
    let home = tempfile::tempdir().unwrap();
    let response = Response::open(options(home.path())).unwrap();
    Place { home, response }
}

pub(crate) fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("skipped: only root may do this");
    }
    root
}

pub(crate) fn command(action: Action) -> Command {
    Command { id: rand::random(), by: "ann".into(), action: Some(action), ..Command::default() }
}

impl Place {
    pub(crate) fn tell(&self, command: &Command) -> Outcome {
        let mut last = None;
        self.response.execute(command, 0, &mut |outcome| last = Some(outcome));
        last.unwrap()
    }

    pub(crate) fn act(&self, action: Action) -> Outcome {
        self.tell(&command(action))
    }

    pub(crate) fn rehearse(&self, action: Action) -> Outcome {
        let outcome = self.tell(&Command { dry_run: true, ..command(action) });
        assert!(outcome.dry_run && outcome.undo.is_none());
        outcome
    }
}

#[track_caller]
pub(crate) fn done(outcome: &Outcome) {
    assert_eq!(outcome.progress, Progress::Done, "{outcome:?}");
}

#[track_caller]
pub(crate) fn refused(outcome: &Outcome, why: Denied) {
    assert_eq!((outcome.progress, outcome.denied), (Progress::Refused, why), "{outcome:?}");
}

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let group = nix::unistd::Pid::from_raw(self.0.id() as i32);
        nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL).ok();
        self.0.wait().ok();
    }
}

fn shell(script: &str) -> Running {
    let mut shell = Program::new("/bin/sh");
    Running(shell.args(["-c", script]).stdout(Stdio::null()).process_group(0).spawn().unwrap())
}

fn stat(pid: u32) -> Option<(String, u64)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    Some((fields[0].to_owned(), fields[19].parse().ok()?))
}

/// Processes with this among their arguments, which have not ended.
fn with_argument(argument: &str) -> Vec<u32> {
    let pids = fs::read_dir("/proc").unwrap().flatten().filter_map(|e| e.file_name().to_str()?.parse().ok());
    let fits = |pid: &u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|b| *b == 0).any(|word| word == argument.as_bytes())
    };
    pids.filter(fits).collect()
}

fn until(what: impl Fn() -> bool) -> bool {
    let begun = Instant::now();
    while !what() {
        if begun.elapsed() > Duration::from_secs(10) {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    true
}

fn kill_of(pid: u32, tree: bool) -> Kill {
    Kill { pid, start_ticks: stat(pid).unwrap().1, tree, ..Kill::default() }
}

#[test]
fn a_tree_that_keeps_growing_is_killed_whole() {
    let place = place();
    // Two levels that start new processes all the time, and others that shall live.
    let bystander = shell("exec sleep 7001.3");
    let tree = shell(
        "(while :; do sleep 7001.1 & sleep 0.01; done) & (sleep 7001.1 & wait) & while :; do sleep 7001.1 & sleep 0.02; done",
    );
    assert!(until(|| with_argument("7001.1").len() > 20));
    let kill = kill_of(tree.0.id(), true);

    let told = place.rehearse(Action::Kill(kill.clone()));
    done(&told);
    assert!(told.steps.len() > 20 && told.steps.iter().all(|step| step.verb == "kill"));
    assert!(stat(tree.0.id()).is_some_and(|(state, _)| state != "T"), "a rehearsal stops nothing");

    let wrong = Kill { start_ticks: kill.start_ticks + 1, ..kill.clone() };
    refused(&place.act(Action::Kill(wrong)), Denied::NotFound);
    let before = Kill { boot: "5f0c6a35-8f8e-4b1a-9a3e-3a1f7c2d9b10".into(), ..kill.clone() };
    refused(&place.act(Action::Kill(before)), Denied::NotFound);

    let killed = place.act(Action::Kill(kill.clone()));
    done(&killed);
    assert!(killed.steps.len() >= 20);
    assert_eq!(with_argument("7001.1"), Vec::<u32>::new());
    assert!(stat(bystander.0.id()).is_some_and(|(state, _)| state != "Z"));
    drop(tree);
    refused(&place.act(Action::Kill(kill)), Denied::NotFound);
}

#[test]
fn those_that_heed_are_asked_and_the_others_killed() {
    let place = place();
    let heeds = shell("trap 'exit 0' TERM; while :; do sleep 0.05; done");
    std::thread::sleep(Duration::from_millis(100));
    let outcome = place.act(Action::Kill(Kill { gently: true, ..kill_of(heeds.0.id(), true) }));
    done(&outcome);
    assert!(outcome.text.contains("ended as asked"), "{}", outcome.text);
    let deaf = shell("trap '' TERM; while :; do sleep 0.05; done");
    std::thread::sleep(Duration::from_millis(100));
    let outcome = place.act(Action::Kill(Kill { gently: true, ..kill_of(deaf.0.id(), true) }));
    done(&outcome);
    assert!(outcome.text.contains("killed"), "{}", outcome.text);
    assert!(until(|| stat(deaf.0.id()).is_none_or(|(state, _)| state == "Z")));
}

#[test]
fn the_agent_and_what_it_came_from_are_never_hit() {
    let place = place();
    for pid in [std::process::id(), std::os::unix::process::parent_id()] {
        // The test may be the first process of its namespace's tree.
        if pid > 1 {
            refused(&place.act(Action::Kill(kill_of(pid, true))), Denied::Protected);
        }
    }
    let first = Kill { pid: 1, start_ticks: 1, ..Kill::default() };
    refused(&place.act(Action::Kill(first)), Denied::Malformed);
    if let Some((_, start_ticks)) = stat(2) {
        refused(&place.act(Action::Kill(Kill { pid: 2, start_ticks, ..Kill::default() })), Denied::Protected);
    }
}

#[test]
fn what_is_stopped_goes_on_when_it_is_undone() {
    let place = place();
    let tree = shell("sleep 7002.1 & wait");
    assert!(until(|| with_argument("7002.1").len() == 1));
    let (pid, child) = (tree.0.id(), with_argument("7002.1")[0]);
    let suspend = Suspend { pid, start_ticks: stat(pid).unwrap().1, tree: true, ..Suspend::default() };
    let order = command(Action::Suspend(suspend));
    let outcome = place.tell(&order);
    done(&outcome);
    let is = |pid, state: &str| until(|| stat(pid).unwrap().0 == state);
    assert!(is(pid, "T") && is(child, "T"));
    assert!(matches!(&outcome.undo, Some(Action::Resume(Resume { tree: true, .. }))));
    done(&place.act(Action::Undo(Undo { command: order.id })));
    assert!(is(pid, "S") && is(child, "S"));
    // Told again, it is not done again.
    assert_eq!(place.tell(&order), outcome);
    assert!(is(pid, "S"));
}

fn taking(path: &Path) -> Quarantine {
    Quarantine { path: path.to_str().unwrap().into(), ..Quarantine::default() }
}

fn program(name: &str, arguments: &[&str], path: &Path) -> bool {
    Program::new(name).args(arguments).arg(path).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

#[test]
fn a_file_comes_back_as_it_was() {
    if !is_root() {
        return;
    }
    let place = place();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().canonicalize().unwrap().join("näme with space");
    let content: Vec<u8> = (0..300_001u32).map(|i| (i * 7 % 251) as u8).collect();
    fs::write(&path, &content).unwrap();
    std::os::unix::fs::chown(&path, Some(1_234), Some(5_678)).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o6751)).unwrap();
    let named = program("setfattr", &["-n", "user.note", "-v", "abc"], &path)
        || program("python3", &["-c", "import os,sys; os.setxattr(sys.argv[1], 'user.note', b'abc')"], &path);
    let capable = program("setcap", &["cap_net_raw+ep"], &path);
    assert!(program("touch", &["-d", "2001-02-03T04:05:06.123456789Z"], &path));
    let guarded = program("chattr", &["+i"], &path);
    println!("attributes {named}, capabilities {capable}, immutable {guarded}");
    let shape = || {
        let meta = fs::metadata(&path).unwrap();
        let times = (meta.mtime(), meta.mtime_nsec(), meta.atime(), meta.atime_nsec());
        let file = guardian_sys::inspect::open_file(
            fs::File::open(path.parent().unwrap()).unwrap(),
            path.file_name().unwrap(),
        );
        let file = file.unwrap();
        let attributes = guardian_sys::inspect::attributes(&file).unwrap();
        let flags = guardian_sys::restore::flags(&file).unwrap();
        (meta.mode(), meta.uid(), meta.gid(), meta.len(), times, attributes, flags)
    };
    let before = shape();
    assert!(!named || before.5.iter().any(|(name, value)| name == b"user.note" && value == b"abc"));

    let told = place.rehearse(Action::Quarantine(taking(&path)));
    done(&told);
    assert_eq!((shape(), told.steps.len()), (before.clone(), 3));
    let other = Quarantine { hash: Blob(vec![7; 32]), ..taking(&path) };
    refused(&place.act(Action::Quarantine(other)), Denied::Changed);
    assert_eq!(shape(), before);

    let hash = Blob(blake3::hash(&content).as_bytes().to_vec());
    let order = command(Action::Quarantine(Quarantine { hash, ..taking(&path) }));
    let taken = place.tell(&order);
    done(&taken);
    assert!(!path.exists());
    let kept = fs::read_dir(place.home.path().join("response/quarantine")).unwrap();
    for file in kept.flatten() {
        let bytes = fs::read(file.path()).unwrap();
        assert!(!bytes.windows(64).any(|part| part == &content[..64]), "the content does not lie open");
        assert_eq!(file.metadata().unwrap().mode() & 0o077, 0);
    }
    // Somebody put something else there meanwhile.
    fs::write(&path, "other").unwrap();
    let undo = taken.undo.clone().unwrap();
    refused(&place.act(undo.clone()), Denied::Changed);
    assert_eq!(fs::read(&path).unwrap(), b"other");
    let Action::Restore(restore) = undo else { panic!("{undo:?}") };
    done(&place.rehearse(Action::Restore(Restore { force: true, ..restore.clone() })));
    assert_eq!(fs::read(&path).unwrap(), b"other");
    done(&place.act(Action::Restore(Restore { force: true, ..restore.clone() })));
    assert_eq!(shape(), before);
    assert!(fs::read(&path).unwrap() == content);
    refused(&place.act(Action::Restore(restore)), Denied::NotFound);
    program("chattr", &["-i"], &path);
}

#[test]
fn what_must_not_be_taken_stays() {
    if !is_root() {
        return;
    }
    let place = place();
    let folder = tempfile::tempdir().unwrap();
    let real = folder.path().canonicalize().unwrap();
    fs::create_dir(real.join("inner")).unwrap();
    fs::write(real.join("inner/file"), "x").unwrap();
    symlink("inner", real.join("way")).unwrap();
    symlink("inner/file", real.join("link")).unwrap();
    nix::unistd::mkfifo(&real.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let take = |path: &Path| place.act(Action::Quarantine(taking(path)));
    refused(&take(&real.join("link")), Denied::Changed);
    refused(&take(&real.join("way/file")), Denied::Changed);
    refused(&take(&real.join("pipe")), Denied::Changed);
    refused(&take(&real.join("inner")), Denied::Changed);
    refused(&take(&real.join("none")), Denied::NotFound);
    refused(&take(Path::new("/proc/1/status")), Denied::Protected);
    refused(&take(&std::env::current_exe().unwrap()), Denied::Protected);
    let own = place.home.path().canonicalize().unwrap().join("identity.json");
    fs::write(&own, "{}").unwrap();
    let forced = Quarantine { force: true, ..taking(&own) };
    refused(&place.act(Action::Quarantine(forced)), Denied::Protected);
    for path in ["/etc/passwd", "/etc/shadow", "/usr/bin/bash", "/etc/pam.d/login"] {
        if Path::new(path).exists() {
            let outcome = place.rehearse(Action::Quarantine(taking(Path::new(path))));
            refused(&outcome, Denied::Protected);
            assert!(outcome.text.contains("force"), "{}", outcome.text);
        }
    }
    assert!(real.join("inner/file").exists() && own.exists());
}

#[test]
fn a_taking_that_was_interrupted_is_finished_at_the_next_start() {
    if !is_root() {
        return;
    }
    let place = place();
    let folder = tempfile::tempdir().unwrap();
    let real = folder.path().canonicalize().unwrap();
    let (path, other) = (real.join("a"), real.join("b"));
    fs::write(&path, "x").unwrap();
    fs::hard_link(&path, &other).unwrap();
    let order = command(Action::Quarantine(taking(&path)));
    let taken = place.tell(&order);
    done(&taken);
    assert!(taken.steps.iter().any(|step| step.note.contains("1 more names")));
    // As it stood between the copy and the removal.
    fs::hard_link(&other, &path).unwrap();
    let notes = fs::read_dir(place.home.path().join("response/quarantine")).unwrap().flatten().map(|e| e.path());
    let notes = notes.into_iter().find(|path| path.extension().is_some_and(|e| e == "json")).unwrap();
    let text = fs::read_to_string(&notes).unwrap().replace("\"gone\": true", "\"gone\": false");
    fs::write(&notes, text).unwrap();
    let again = Response::open(options(place.home.path())).unwrap();
    assert_eq!(again.reapply(), Vec::<String>::new());
    assert!(!path.exists() && other.exists());
    done(&place.act(taken.undo.unwrap()));
    assert_eq!(fs::read(&path).unwrap(), b"x");
}

#[test]
fn commands_that_come_late_or_are_not_known_are_refused() {
    let place = place();
    let release = || Action::Release(Release::default());
    let late = Command { expires: guardian_agent::now() - 1_000_000, ..command(release()) };
    refused(&place.tell(&late), Denied::Expired);
    let unknown = Command { action: None, ..command(release()) };
    refused(&place.tell(&unknown), Denied::Unknown);
    refused(&place.act(Action::Undo(Undo { command: [9; 16] })), Denied::NotFound);
    refused(&place.act(Action::Block(action::Block { address: "x".into(), seconds: 1 })), Denied::Malformed);
    fs::write(place.home.path().join("pins.json"), r#"{"off":["kill","script"]}"#).unwrap();
    let kill = Kill { pid: 7, start_ticks: 1, ..Kill::default() };
    refused(&place.act(Action::Kill(kill)), Denied::SwitchedOff);
    assert!(!place.response.abilities().contains(&"response.kill".to_owned()));
    // What is laid down and cannot be understood lets nothing through.
    fs::write(place.home.path().join("pins.json"), r#"{"of":["kill"]}"#).unwrap();
    assert_eq!(place.act(release()).progress, Progress::Failed);
}
