//! Metering the packets of an interface.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use crate::app::{App, guardian, text};

#[test]
fn packets_of_an_interface_become_flows() {
    if !nix::unistd::geteuid().is_root() {
        let dir = tempfile::tempdir().unwrap();
        let refused = guardian(dir.path()).args(["serve", "--capture", "lo"]).output().unwrap();
        assert!(text(&refused.stderr).contains("CAP_NET_RAW"), "{}", text(&refused.stderr));
        return;
    }
    let app = App::start_with(&["--capture", "lo"]);
    // An address of its own, so that the connections of other tests are told apart.
    let server = TcpListener::bind("127.99.7.1:0").unwrap();
    let to = server.local_addr().unwrap();
    for _ in 0..5 {
        let client = TcpStream::connect(to).unwrap();
        drop((server.accept().unwrap(), client));
    }
    let sql = "SELECT count(*) FROM flows WHERE dst_ip = '127.99.7.1'";
    app.wait("the metered connections", |app| (app.number(sql) >= 5).then_some(()));
    // A port scan of this machine is found without any router.
    for port in 1..300 {
        TcpStream::connect_timeout(&SocketAddr::from(([127, 99, 7, 1], port)), Duration::from_millis(200)).ok();
    }
    app.wait("the scan", |app| {
        app.alerts().into_iter().find(|a| a["title"].as_str().unwrap().to_lowercase().contains("scan"))
    });
}

#[test]
fn an_interface_that_is_not_there_is_answered_with_those_that_are() {
    let dir = tempfile::tempdir().unwrap();
    let refused = guardian(dir.path())
        .args(["--set", "server.address=127.0.0.1:0", "--set", "collect.listeners=[]"])
        .args(["serve", "--capture", "no-such-if"])
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let said = text(&refused.stderr);
    assert!(said.contains("no-such-if"), "{said}");
    assert!(said.contains("lo") || said.contains("CAP_NET_RAW"), "{said}");
}
