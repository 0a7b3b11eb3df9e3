//! The live stream and those who follow it.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use crate::app::{App, capture, guardian};
use crate::http::{Live, block_on};

#[test]
fn a_stream_that_broke_goes_on_without_gap_or_repeat() {
    let app = App::start();
    block_on(async {
        let mut whole = Live::open(&app, "alerts,incidents,changes", None).await;
        let hello = whole.next().await;
        assert_eq!(hello["type"], "hello");
        let begin = hello["seq"].as_i64().unwrap();
        let mut broken = Live::open(&app, "alerts,incidents,changes", Some(begin)).await;
        broken.next().await;

        app.json(&["replay", &capture("scan-vertical.pcap"), "--speed", "max"]);
        let first = broken.next().await;
        let at = first["seq"].as_i64().unwrap();
        assert_eq!(at, begin + 1);
        drop(broken);
        app.json(&["replay", &capture("ssh-brute-force.pcap"), "--speed", "max"]);
        app.wait("both alerts", |app| (app.alerts().len() >= 2).then_some(()));

        // Nobody listened on the second connection meanwhile; it takes up where it was.
        let mut resumed = Live::open(&app, "alerts,incidents,changes", Some(at)).await;
        assert_eq!(resumed.next().await["seq"], at);
        assert_eq!(whole.next().await, first);
        let mut titles = std::collections::BTreeSet::new();
        let mut expected = at;
        while titles.len() < 2 {
            expected += 1;
            let (there, here) = (whole.next().await, resumed.next().await);
            assert_eq!(there["seq"], expected, "no number is left out: {there}");
            assert_eq!((&there["seq"], &there["type"]), (&here["seq"], &here["type"]));
            for message in [&there, &first].into_iter().filter(|m| m["type"] == "alert") {
                titles.insert(message["alert"]["title"].as_str().unwrap().to_owned());
            }
        }
        // A number that never was means another database: the client is told to load afresh.
        let mut lost = Live::open(&app, "alerts", Some(1 << 40)).await;
        lost.next().await;
        assert_eq!(lost.next().await["type"], "resync");
    });
}

#[test]
fn followers_are_told_what_happened_why_and_what_to_do() {
    let app = App::start();
    let mut follower =
        guardian(&app.data).args(["alerts", "--follow"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Its note that it follows comes before it connects; the alert may therefore be older than the connection. A
    // second replay under another name makes sure of one that is not.
    let mut notes = BufReader::new(follower.stderr.take().unwrap()).lines();
    assert!(notes.next().unwrap().unwrap().contains("following"));
    let (told, heard) = std::sync::mpsc::sync_channel(10_000);
    let output = follower.stdout.take().unwrap();
    std::thread::spawn(move || BufReader::new(output).lines().map_while(Result::ok).try_for_each(|l| told.send(l)));
    let mut story = Vec::new();
    let wanted = ["what ", "why ", "next ", "ATT&CK"];
    for round in 0..20 {
        let name = format!("round-{round}");
        app.json(&["replay", &capture("scan-vertical.pcap"), "--speed", "max", "--name", &name]);
        while let Ok(line) = heard.recv_timeout(std::time::Duration::from_secs(3)) {
            story.push(line);
        }
        if wanted.iter().all(|w| story.iter().any(|line| line.contains(w))) {
            break;
        }
    }
    follower.kill().unwrap();
    follower.wait().unwrap();
    for part in wanted {
        assert!(story.iter().any(|line| line.contains(part)), "{part} is missing in {story:#?}");
    }
}

#[test]
fn the_audit_trail_is_heard_by_those_who_may_read_it() {
    let app = App::start();
    block_on(async {
        let mut live = Live::open(&app, "audit", None).await;
        let hello = live.next().await;
        let begin = hello["audit_seq"].as_i64().unwrap();
        app.json(&["audit", "checkpoint"]);
        let first = live.next().await;
        assert_eq!(first["type"], "audit", "{first}");
        assert_eq!(first["entry"]["seq"], begin + 1);
        assert_eq!(first["entry"]["action"], "audit.checkpoint");
        drop(live);
        app.json(&["audit", "checkpoint"]);
        // Whoever comes back hears what they missed, and nothing twice.
        let again = format!("audit&audit_since={}", begin + 1);
        let mut live = Live::open(&app, &again, None).await;
        live.next().await;
        assert_eq!(live.next().await["entry"]["seq"], begin + 2);

        // Without being asked for it stays silent.
        let mut alerts = Live::open(&app, "alerts", None).await;
        assert_eq!(alerts.next().await.get("audit_seq"), None);
    });
    let verdict = app.json(&["audit", "verify"]);
    assert_eq!(verdict["last_checkpoint"]["signature"].as_str().map(str::len), Some(128), "{verdict}");
}
