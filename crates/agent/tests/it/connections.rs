//! Connections that are made here, for real, in a network namespace of their own where that is permitted.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::Duration;

use guardian_agent::outbox::Outbox;
use guardian_agent::sources::connections::Connections;
use guardian_protocol::classes::ConnectionColumn as C;

use crate::rows::{Row, take, until};

fn find<'a>(rows: &'a [Row], activity: &str, port: u16, from: Option<u16>) -> Option<&'a Row> {
    let from = from.map_or_else(String::new, |port| port.to_string());
    rows.iter().find(|r| {
        r.get(C::Activity as usize) == activity
            && r.get(C::DstPort as usize) == port.to_string()
            && (from.is_empty() || r.get(C::SrcPort as usize) == from)
    })
}

#[test]
fn connections_have_sides_owners_and_ends() {
    let (outbox, inbox) = Outbox::new();
    let mut source = match Connections::start(outbox, Duration::from_millis(200)) {
        Ok(source) => source,
        Err(error) => return eprintln!("skipped: sock_diag is not permitted: {error}"),
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let udp = UdpSocket::bind("[::1]:1900").or_else(|_| UdpSocket::bind("[::1]:1901")).unwrap();
    let mut step = || source.step(Duration::from_millis(20)).unwrap();
    let rows = until(&inbox, 10, &mut step, |rows| find(rows, "listen", port, None).is_some());
    let listening = find(&rows, "listen", port, None).unwrap();
    assert_eq!(listening.get(C::Pid as usize), std::process::id().to_string());
    assert_eq!((listening.get(C::DstIp as usize), listening.get(C::State as usize)), ("127.0.0.1", "listen"));
    assert!(listening.get(C::Image as usize).contains("/it-") && listening.get(C::StartTicks as usize) != "");
    let datagrams = find(&rows, "listen", udp.local_addr().unwrap().port(), None).unwrap();
    assert_eq!((datagrams.get(C::Protocol as usize), datagrams.get(C::DstIp as usize)), ("17", "::1"));

    let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let own = client.local_addr().unwrap().port();
    let (mut server, _) = listener.accept().unwrap();
    client.write_all(b"hello").unwrap();
    let mut five = [0; 5];
    server.read_exact(&mut five).unwrap();
    let both = |rows: &[Row]| {
        rows.iter()
            .filter(|r| r.get(C::Activity as usize) == "open" && r.get(C::SrcPort as usize) == own.to_string())
            .count()
            == 2
    };
    let rows = until(&inbox, 10, &mut step, both);
    let sides: Vec<_> = rows.iter().filter(|r| r.get(C::SrcPort as usize) == own.to_string()).collect();
    // Both ends are here, so that one of them opened it and the other did not; source and destination are the same.
    let mut initiated: Vec<_> = sides.iter().map(|r| r.get(C::Initiated as usize)).collect();
    initiated.sort_unstable();
    assert_eq!(initiated, ["false", "true"]);
    assert!(
        sides.iter().all(|r| r.get(C::DstPort as usize) == port.to_string()
            && r.get(C::Pid as usize) == std::process::id().to_string())
    );
    drop(client);
    drop(server);
    let rows = until(&inbox, 10, &mut step, |rows| find(rows, "close", port, Some(own)).is_some());
    let closed = find(&rows, "close", port, Some(own)).unwrap();
    assert!(closed.get(C::End as usize) > closed.get(C::Start as usize));
    drop(listener);
    until(&inbox, 10, &mut step, |rows| find(rows, "unlisten", port, None).is_some());
}

#[test]
fn a_connection_between_two_lists_is_seen() {
    let (outbox, inbox) = Outbox::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let Ok(mut source) = Connections::start(outbox, Duration::from_secs(3_600)) else { return };
    let mut step = || source.step(Duration::from_millis(20)).unwrap();
    until(&inbox, 10, &mut step, |rows| find(rows, "listen", port, None).is_some());
    const SHORT: usize = 50;
    for _ in 0..SHORT {
        let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (server, _) = listener.accept().unwrap();
        drop(server);
        drop(client);
    }
    let of_ours = |r: &&Row| r.get(C::Activity as usize) == "close" && r.get(C::DstPort as usize) == port.to_string();
    let rows = until(&inbox, 20, &mut step, |rows| rows.iter().filter(of_ours).count() >= SHORT);
    let opened =
        rows.iter().filter(|r| r.get(C::Activity as usize) == "open" && r.get(C::DstPort as usize) == port.to_string());
    assert!(opened.count() >= SHORT);
}

/// Does its work in a network namespace of its own, where nobody else connects; none where that is not permitted.
fn alone<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let inside = move || {
        if let Err(error) = nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET) {
            eprintln!("skipped: no namespace: {error}");
            return None;
        }
        assert!(Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap().success());
        Some(work())
    };
    std::thread::spawn(inside).join().unwrap()
}

/// Two hundred connections in each family, each of a shell of its own that is gone at once.
fn short_ones_of(host: &'static str, client: &'static str) {
    const SHORT: usize = 200;
    let (outbox, inbox) = Outbox::new();
    // Lists alone would see next to none of them.
    let Ok(mut source) = Connections::start(outbox, Duration::from_secs(3_600)) else { return };
    if let Some(why) = source.unprobed() {
        return eprintln!("skipped: the kernel takes no program: {why}");
    }
    let listener = TcpListener::bind((host, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let accepting = std::thread::spawn(move || {
        (0..SHORT).for_each(|_| drop(listener.accept().unwrap().0.write_all(b"hello")));
    });
    let script = format!(
        "for i in $(seq {SHORT}); do (echo $BASHPID; exec 3<>/dev/tcp/{client}/{port}; read -r -N 5 <&3 word); done"
    );
    let mut shell = Command::new("bash").args(["-c", &script]).stdout(Stdio::piped()).spawn().unwrap();
    let mut step = || source.step(Duration::from_millis(20)).unwrap();
    let ours = |r: &&Row, activity: &str| {
        r.get(C::Activity as usize) == activity && r.get(C::DstPort as usize) == port.to_string()
    };
    let ended = |rows: &[Row]| rows.iter().filter(|r| ours(r, "close")).count() >= 2 * SHORT;
    let rows = until(&inbox, 60, &mut step, ended);
    accepting.join().unwrap();
    let mut pids = String::new();
    shell.stdout.take().unwrap().read_to_string(&mut pids).unwrap();
    assert!(shell.wait().unwrap().success());
    for activity in ["open", "close"] {
        let mut out: Vec<_> =
            rows.iter().filter(|r| ours(r, activity) && r.get(C::Initiated as usize) == "true").collect();
        let mut shells: Vec<_> = pids.lines().collect();
        out.sort_by_key(|r| r.get(C::Pid as usize).to_owned());
        shells.sort_unstable();
        assert_eq!(out.iter().map(|r| r.get(C::Pid as usize)).collect::<Vec<_>>(), shells, "{activity}");
        // Arguments whose page is not in memory just then cannot be read by the kernel, and a moment later nobody is there.
        let told = out.iter().filter(|row| row.get(C::CommandLine as usize).contains("/dev/tcp")).count();
        assert!(told > SHORT / 2, "{told} of {SHORT} with their command line");
        for row in out {
            assert_eq!((row.get(C::Name as usize), row.get(C::SrcIp as usize)), ("bash", client));
            assert_ne!(row.get(C::StartTicks as usize), "");
            assert_eq!((row.get(C::Uid as usize), row.get(C::Source as usize)), ("0", "bpf"));
        }
        let inside: Vec<_> =
            rows.iter().filter(|r| ours(r, activity) && r.get(C::Initiated as usize) == "false").collect();
        assert_eq!(inside.len(), SHORT, "{activity}");
        assert!(inside.iter().all(|r| r.get(C::Pid as usize) == std::process::id().to_string()));
    }
    assert_eq!(source.counters().lost.load(Ordering::Relaxed), 0);
}

#[test]
fn connections_of_a_few_milliseconds_have_their_process() {
    alone(|| short_ones_of("127.0.0.1", "127.0.0.1"));
}

#[test]
fn connections_of_a_few_milliseconds_have_their_process_over_ipv6() {
    alone(|| short_ones_of("::1", "::1"));
}

#[test]
fn what_is_refused_and_who_listens_for_a_moment_is_told_once() {
    alone(|| {
        let (outbox, inbox) = Outbox::new();
        let Ok(mut source) = Connections::start(outbox, Duration::from_millis(200)) else { return };
        if source.unprobed().is_some() {
            return;
        }
        let mut step = || source.step(Duration::from_millis(20)).unwrap();
        step();
        // Over an IPv6 socket, as many programs do, to an IPv4 address.
        let listener = TcpListener::bind("[::]:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(TcpStream::connect(("127.0.0.1", port)).unwrap());
        drop(listener.accept().unwrap());
        drop(listener);
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
        let rows = until(&inbox, 10, &mut step, |rows| find(rows, "unlisten", port, None).is_some());
        let mut rows = rows;
        // Long enough for a second word of anything.
        let begun = std::time::Instant::now();
        while begun.elapsed() < Duration::from_secs(1) {
            step();
            rows.extend(take(&inbox));
        }
        let words: Vec<_> = rows
            .iter()
            .filter(|r| r.get(C::DstPort as usize) == port.to_string())
            .map(|r| {
                format!("{} {} {}", r.get(C::Activity as usize), r.get(C::State as usize), r.get(C::DstIp as usize))
            })
            .collect();
        let count = |word: &str| words.iter().filter(|w| w.starts_with(word)).count();
        assert_eq!(
            (count("listen"), count("unlisten"), count("open established"), count("open syn_sent")),
            (1, 1, 2, 1)
        );
        assert_eq!((count("open"), count("close")), (3, 3), "{words:#?}");
        assert!(rows.iter().all(|r| r.get(C::Pid as usize) == std::process::id().to_string()), "{rows:#?}");
    });
}
