//! Isolation and blocks with the kernel's own packet filter, between two network namespaces that are joined by a cable of
//! their own. Without root, or without nftables, the tests say that they were skipped.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::process::Command as Program;
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use guardian_agent::response::Response;
use guardian_protocol::action::{Block, Unblock};
use guardian_protocol::message::{Action, Denied, Isolate, Undo};

use crate::response::{Place, command, done, is_root, options, place, refused};

fn run(program: &str, words: &str) -> bool {
    let status = Program::new(program).args(words.split(' ')).status();
    status.is_ok_and(|status| status.success())
}

/// What waits for connections on the other side, and says back what it hears.
const LISTENERS: [&str; 5] = ["10.77.0.2:8443", "10.77.0.2:80", "10.77.0.3:8443", "10.77.0.4:22", "[fd77::3]:8443"];

/// The other machine: it lives until the sender is dropped.
struct Other {
    _stop: Sender<()>,
    _thread: JoinHandle<()>,
}

fn echo(listener: TcpListener) {
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut byte = [0];
                while let Ok(1) = stream.read(&mut byte) {
                    if stream.write_all(&byte).is_err() {
                        break;
                    }
                }
            });
        }
    });
}

/// Brings this thread into a network of its own, with a cable to another; none where that is not permitted.
fn network() -> Option<Other> {
    if !is_root() {
        return None;
    }
    if nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).is_err() || !run("nft", "list ruleset") {
        eprintln!("skipped: no network of its own, or no nftables, is permitted here");
        return None;
    }
    let (ready, is_ready) = mpsc::channel();
    let (cabled, is_cabled) = mpsc::channel();
    let (stop, stopped) = mpsc::channel::<()>();
    let thread = thread::spawn(move || {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
        ready.send(nix::unistd::gettid()).unwrap();
        is_cabled.recv().unwrap();
        for words in [
            "addr add 10.77.0.2/24 dev cable1",
            "addr add 10.77.0.3/24 dev cable1",
            "addr add 10.77.0.4/24 dev cable1",
            "addr add fd77::3/64 dev cable1 nodad",
            "link set cable1 up",
            "link set lo up",
        ] {
            assert!(run("ip", words), "ip {words}");
        }
        LISTENERS.iter().for_each(|address| echo(TcpListener::bind(address).unwrap()));
        ready.send(nix::unistd::gettid()).unwrap();
        // A machine that was asked to connect back does so from here.
        stopped.recv().ok();
    });
    let tid = is_ready.recv().unwrap();
    let words = format!("link add cable0 type veth peer name cable1 netns {tid}");
    assert!(run("ip", &words), "ip {words}");
    for words in [
        "addr add 10.77.0.1/24 dev cable0",
        "addr add fd77::1/64 dev cable0 nodad",
        "link set cable0 up",
        "link set lo up",
    ] {
        assert!(run("ip", words), "ip {words}");
    }
    cabled.send(()).unwrap();
    is_ready.recv().unwrap();
    Some(Other { _stop: stop, _thread: thread })
}

fn connect(address: &str) -> Option<TcpStream> {
    let address: SocketAddr = address.parse().unwrap();
    let stream = TcpStream::connect_timeout(&address, Duration::from_millis(1_500)).ok()?;
    stream.set_read_timeout(Some(Duration::from_millis(1_500))).unwrap();
    Some(stream)
}

fn speaks(stream: &mut TcpStream) -> bool {
    let mut byte = [0];
    stream.write_all(b"x").is_ok() && stream.read_exact(&mut byte).is_ok()
}

/// Which of the listeners are reached.
fn reached() -> Vec<&'static str> {
    LISTENERS.into_iter().filter(|address| connect(address).is_some_and(|mut stream| speaks(&mut stream))).collect()
}

fn table(name: &str) -> Option<String> {
    let output = Program::new("nft").args(["list", "table", "inet", name]).output().unwrap();
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

fn isolate(seconds: u64, keep: &[&str]) -> Action {
    Action::Isolate(Isolate { seconds, keep: keep.iter().map(|k| (*k).to_owned()).collect(), no_dns: false })
}

const CHANNEL: &str = "10.77.0.2:8443";

#[test]
fn an_isolated_machine_reaches_its_server_and_nothing_else() {
    let Some(_other) = network() else { return };
    let place = place();
    assert_eq!(reached(), LISTENERS);
    let (mut channel, mut standing) = (connect(CHANNEL).unwrap(), connect("10.77.0.3:8443").unwrap());
    assert!(speaks(&mut channel) && speaks(&mut standing));
    let own = TcpListener::bind("127.0.0.1:0").unwrap();
    let own_address = own.local_addr().unwrap().to_string();
    echo(own);

    let told = place.rehearse(isolate(0, &["10.77.0.4"]));
    done(&told);
    assert!(told.steps.iter().any(|step| step.verb == "keep" && step.target.starts_with("10.77.0.2 port 8443")));
    assert!(table("guardian_isolation").is_none() && place.response.standing().unwrap().isolation.is_none());
    assert_eq!(reached(), LISTENERS);

    let order = command(isolate(0, &["10.77.0.4"]));
    done(&place.tell(&order));
    assert_eq!(reached(), [CHANNEL, "10.77.0.4:22"]);
    assert!(speaks(&mut channel), "the way to the server stays");
    assert!(!speaks(&mut standing), "a connection that stood is cut");
    assert!(connect(&own_address).is_some_and(|mut stream| speaks(&mut stream)), "the machine itself is reached");
    // Only the agent's own user gets to the server.
    let mut other_user = Program::new("python3");
    other_user.args(["-c", "import socket; socket.create_connection(('10.77.0.2', 8443), 1)"]).uid(65_534);
    assert!(!other_user.stderr(std::process::Stdio::null()).status().unwrap().success());

    // As after a reboot: the tables are gone, and an agent starts.
    assert!(run("nft", "flush ruleset"));
    assert_eq!(reached(), LISTENERS);
    let again = Response::open(options(place.home.path())).unwrap();
    assert_eq!(again.reapply(), Vec::<String>::new());
    assert_eq!(reached(), [CHANNEL, "10.77.0.4:22"]);

    // Somebody takes the table away, or a rule of it, while the agent runs.
    assert!(run("nft", "delete table inet guardian_isolation"));
    assert_eq!(again.tick().len(), 1);
    assert!(run("nft", "insert rule inet guardian_isolation output accept"));
    assert_eq!(again.tick().len(), 1);
    assert_eq!(again.tick(), Vec::<String>::new());
    assert_eq!(reached(), [CHANNEL, "10.77.0.4:22"]);

    done(&place.act(Action::Undo(Undo { command: order.id })));
    assert!(table("guardian_isolation").is_none() && place.response.standing().unwrap().isolation.is_none());
    assert_eq!(again.tick(), Vec::<String>::new());
    assert_eq!(reached(), LISTENERS);
}

#[test]
fn an_isolation_ends_by_itself_though_the_agent_is_gone() {
    let Some(_other) = network() else { return };
    let place = place();
    done(&place.act(isolate(3, &[])));
    assert_eq!(place.response.tick(), Vec::<String>::new());
    assert!(connect("10.77.0.3:8443").is_none());
    assert!(connect(CHANNEL).is_some());
    thread::sleep(Duration::from_millis(3_500));
    // Nobody of the agent did anything: the kernel let go.
    assert_eq!(reached(), LISTENERS);
    assert!(table("guardian_isolation").is_some());
    let again = Response::open(options(place.home.path())).unwrap();
    assert_eq!(again.reapply(), Vec::<String>::new());
    assert!(table("guardian_isolation").is_none() && again.standing().unwrap().isolation.is_none());
}

#[test]
fn a_machine_that_cannot_find_its_server_is_not_isolated() {
    let Some(_other) = network() else { return };
    let place = place();
    let mut options = options(place.home.path());
    options.server = "https://guardian.invalid:8443".into();
    let response = Response::open(options).unwrap();
    let mut last = None;
    response.execute(&command(isolate(60, &[])), 0, &mut |outcome| last = Some(outcome));
    assert!(last.unwrap().text.contains("has no address"));
    assert_eq!(reached(), LISTENERS);
}

#[test]
fn what_is_blocked_is_not_reached_until_the_block_ends() {
    let Some(_other) = network() else { return };
    let place = place();
    let block = |address: &str, seconds| Action::Block(Block { address: address.into(), seconds });
    refused(&place.act(block("10.77.0.0/24", 60)), Denied::Protected);
    refused(&place.act(block("10.77.0.2", 60)), Denied::Protected);
    refused(&place.act(block("127.0.0.0/8", 60)), Denied::Protected);
    done(&place.rehearse(block("10.77.0.3", 60)));
    assert!(table("guardian_blocks").is_none());
    let order = command(block("10.77.0.3", 0));
    done(&place.tell(&order));
    done(&place.act(block("fd77::/64", 8)));
    let begun = std::time::Instant::now();
    assert_eq!(reached(), ["10.77.0.2:8443", "10.77.0.2:80", "10.77.0.4:22"]);
    assert_eq!(place.response.tick(), Vec::<String>::new());
    // A network within another that is blocked.
    done(&place.act(block("10.77.0.4", 600)));
    done(&place.act(block("10.77.0.4/31", 60)));
    assert_eq!(reached(), ["10.77.0.2:8443", "10.77.0.2:80"]);
    thread::sleep(Duration::from_millis(8_500).saturating_sub(begun.elapsed()));
    assert_eq!(reached(), ["10.77.0.2:8443", "10.77.0.2:80", "[fd77::3]:8443"], "the kernel let one go");
    assert_eq!(place.response.tick(), Vec::<String>::new());
    assert_eq!(place.response.standing().unwrap().blocks.len(), 3);
    // As after a reboot.
    assert!(run("nft", "flush ruleset"));
    let again = Response::open(options(place.home.path())).unwrap();
    assert_eq!(again.reapply(), Vec::<String>::new());
    assert_eq!(reached(), ["10.77.0.2:8443", "10.77.0.2:80", "[fd77::3]:8443"]);
    done(&place.act(Action::Undo(Undo { command: order.id })));
    assert_eq!(reached(), ["10.77.0.2:8443", "10.77.0.2:80", "10.77.0.3:8443", "[fd77::3]:8443"]);
    done(&place.act(Action::Unblock(Unblock { address: "10.77.0.4/31".into() })));
    assert!(!reached().contains(&"10.77.0.4:22"), "the address alone is blocked still");
    done(&place.act(Action::Unblock(Unblock { address: "10.77.0.4".into() })));
    assert_eq!(reached(), LISTENERS);
    assert!(table("guardian_blocks").is_none());
    refused(&place.act(Action::Unblock(Unblock { address: "10.77.0.4/31".into() })), Denied::NotFound);
}

/// The real program, after a reboot: a network without any table, and an agent that starts and does not reach its server.
#[test]
fn the_agent_isolates_again_when_it_starts() {
    let Some(_other) = network() else { return };
    let Place { home, response } = place();
    drop(response);
    let identity = r#"{"server":"https://10.77.0.2:8443","proxy":null,"host":"host-1","authority":"","certificate":"","key":"","not_after":""}"#;
    std::fs::write(home.path().join("identity.json"), identity).unwrap();
    let agent = || {
        let mut program = Program::new(env!("CARGO_BIN_EXE_guardian-agent"));
        program.arg("--dir").arg(home.path());
        program
    };
    let mut respond = agent();
    let told = respond.args(["respond", r#"{"kind":"isolate","seconds":600}"#]).output().unwrap();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stdout));
    assert!(connect("10.77.0.3:8443").is_none());
    assert!(run("nft", "flush ruleset"));
    let mut running = agent().args(["run", "--no-files"]).stderr(std::process::Stdio::null()).spawn().unwrap();
    let again = (0..100).any(|_| {
        thread::sleep(Duration::from_millis(100));
        table("guardian_isolation").is_some()
    });
    assert!(again && connect("10.77.0.3:8443").is_none() && connect(CHANNEL).is_some());
    // Root ends it beside the running agent, which does not bring it back.
    assert!(agent().args(["respond", r#"{"kind":"release"}"#]).output().unwrap().status.success());
    thread::sleep(Duration::from_secs(6));
    assert_eq!(reached(), LISTENERS);
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(running.id() as i32), nix::sys::signal::Signal::SIGTERM).unwrap();
    assert!(running.wait().unwrap().success());
}
