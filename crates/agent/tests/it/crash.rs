//! The agent's program, ended by force at any moment: what it read is told, and told once. And alone, without a server: it says
//! so.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use guardian_agent::home::{Home, Identity};
use guardian_agent::spool::{Cursor, Drop, Spool};
use guardian_agent::status::Status;
use guardian_protocol::classes::LogColumn as L;
use guardian_protocol::{Frames, FromAgent, limits, open};

use crate::rows::of;

/// What stands in each line of this test, and in no other log of the machine.
const WORD: &str = "guardian-crash-test-line";

fn home(folder: &Path, log: &Path) -> Home {
    let home = Home::open(folder).unwrap();
    let text = |text: &str| text.to_owned();
    // Nobody is there to be spoken to: what is told waits in the spool.
    let identity = Identity {
        server: text("https://127.0.0.1:9"),
        proxy: None,
        host: text("00000000-0000-7000-8000-000000000001"),
        authority: String::new(),
        certificate: String::new(),
        key: String::new(),
        not_after: String::new(),
    };
    home.keep(&identity).unwrap();
    let off = ["health", "processes", "connections", "files", "inventory"].map(|name| (name, false));
    let document = serde_json::json!({
        "sources": off.into_iter().collect::<std::collections::BTreeMap<_, _>>(),
        "logs": {"follow": {"test": {"path": log}}},
    });
    let kept = serde_json::json!({"version": 1, "document": document.to_string()});
    fs::write(home.policy(), kept.to_string()).unwrap();
    home
}

fn agent(home: &Home) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_guardian-agent"));
    command.arg("--dir").arg(home.path()).arg("run").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

/// The numbers of the lines that wait for the server.
fn told(home: &Home) -> Vec<u64> {
    let mut spool = Spool::open(&home.spool(), 1, 64 << 20, Drop::Oldest).unwrap();
    let (mut cursor, mut numbers) = (Cursor::default(), Vec::new());
    while let Some(waiting) = spool.next(&mut cursor).unwrap() {
        let mut frames = Frames::new(limits::FRAME_BYTES_MAX);
        frames.push(&waiting.frame);
        let Some(FromAgent::Batch(batch)) = frames.next().unwrap().unwrap().from_agent().unwrap() else { continue };
        for events in open(&batch).unwrap().iter().filter(|events| events.class == "logs") {
            let messages = of(events).into_iter().map(|row| row.get(L::Message as usize).to_owned());
            numbers.extend(messages.filter_map(|text| text.strip_prefix(WORD)?.trim().parse::<u64>().ok()));
        }
    }
    numbers
}

#[test]
fn a_line_is_told_once_however_often_the_agent_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("followed.log");
    let mut file = File::options().create(true).append(true).open(&log).unwrap();
    let home = home(&folder.path().join("home"), &log);
    let (mut child, begun) = (agent(&home), Instant::now());
    while !home.spool().join("0/marks").exists() {
        assert!(begun.elapsed() < Duration::from_secs(60), "the agent does not say where it begins to read");
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut lines = 0_u64;
    for round in 0..8_u64 {
        // Longer and shorter than rows wait for others, and than the spool is synced.
        let (begun, length) = (Instant::now(), Duration::from_millis(250 + round * 387 % 1_500));
        while begun.elapsed() < length {
            for _ in 0..=(lines % 7) {
                writeln!(file, "2026-11-22T23:00:00Z vm test[1]: {WORD} {lines}").unwrap();
                lines += 1;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        child = agent(&home);
    }
    std::thread::sleep(Duration::from_secs(3));
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id() as i32), nix::sys::signal::Signal::SIGTERM).unwrap();
    assert!(child.wait().unwrap().success());
    let mut numbers = told(&home);
    println!("{lines} lines, {} told", numbers.len());
    numbers.sort_unstable();
    let missing: Vec<u64> = (0..lines).filter(|number| numbers.binary_search(number).is_err()).collect();
    let twice: Vec<u64> = numbers.windows(2).filter(|two| two[0] == two[1]).map(|two| two[0]).collect();
    assert_eq!((missing, twice), (Vec::new(), Vec::new()));
}

fn status(home: &Home, fits: impl Fn(&Status) -> bool) -> Status {
    let begun = Instant::now();
    loop {
        let told = fs::read(home.status()).ok().and_then(|bytes| serde_json::from_slice::<Status>(&bytes).ok());
        if let Some(status) = told.clone().filter(&fits) {
            return status;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{told:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn without_a_server_the_status_is_true_and_fresh() {
    let folder = tempfile::tempdir().unwrap();
    let home = home(&folder.path().join("home"), &folder.path().join("log"));
    // What an agent before this one said.
    let stale = Status { pid: 1, state: "connected".to_owned(), updated: 5, ..Status::default() };
    fs::write(home.status(), serde_json::to_vec(&stale).unwrap()).unwrap();
    let mut child = agent(&home);
    let waiting = status(&home, |status| status.pid == child.id() && status.error.is_some());
    assert_eq!(waiting.state, "waiting");
    // Pauses between attempts get longer than what is told may be old.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(20) {
        let later = status(&home, |_| true);
        assert_eq!((later.state.as_str(), later.error.is_some()), ("waiting", true));
        let age = Duration::from_micros((guardian_agent::now() - later.updated).max(0) as u64);
        assert!(age < Duration::from_secs(10), "it is {age:?} old");
        std::thread::sleep(Duration::from_millis(100));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}
