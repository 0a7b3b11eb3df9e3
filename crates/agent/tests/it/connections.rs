//! Connections that are made here, for real, in a network namespace of their own where that is permitted.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use guardian_agent::outbox::Outbox;
use guardian_agent::sources::connections::Connections;
use guardian_protocol::classes::ConnectionColumn as C;

use crate::rows::{Row, until};

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
