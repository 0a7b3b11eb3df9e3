//! Live queries by the agent's own program: what it prints, and that its worker ends when it has to.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use guardian_protocol::message::Query;
use guardian_protocol::{Frames, FromAgent, FromServer, limits};

fn ask(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_guardian-agent")).arg("query").args(words).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn root_asks_the_machine_and_sees_a_table_or_json() {
    let listed = text(&ask(&[]).stdout);
    assert!(listed.lines().count() >= 50 && listed.contains("processes(pid, name, path, cmdline"), "{listed}");
    let output = ask(&["--json", "SELECT username, uid FROM users WHERE uid = 0"]);
    if !nix::unistd::geteuid().is_root() {
        assert!(text(&output.stderr).contains("only root may ask"));
        return;
    }
    assert_eq!(text(&output.stdout), "{\"username\":\"root\",\"uid\":0}\n", "{}", text(&output.stderr));
    let shown = text(&ask(&["SELECT username, uid FROM users WHERE uid = 0"]).stdout);
    assert_eq!(shown, "username  uid\nroot      0\n");
    let cut = ask(&["--rows", "1", "--json", "SELECT 1 AS a UNION ALL SELECT 2"]);
    assert_eq!(text(&cut.stdout), "{\"a\":1}\n");
    assert!(text(&cut.stderr).contains("more rows"));
    let refused = ask(&["ATTACH '/etc/shadow' AS x"]);
    assert!(!refused.status.success() && text(&refused.stderr).contains("not authorized"), "{}", text(&refused.stderr));
}

#[test]
fn a_query_that_takes_too_long_is_killed_with_its_process() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    // A table that works for long within one row is stopped from outside.
    let begun = Instant::now();
    let output = ask(&["--timeout", "1", "SELECT count(sha256) FROM hash WHERE path LIKE '/%%'"]);
    let took = begun.elapsed();
    assert!(!output.status.success() && text(&output.stderr).contains("its time was over"), "{}", text(&output.stderr));
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn the_worker_answers_one_question_in_frames_and_ends() {
    let query = Query { id: [3; 16], sql: "SELECT 42 AS n".into(), timeout_ms: 5_000, rows_max: 5, bytes_max: 0 };
    let mut frame = Vec::new();
    FromServer::Query(query).put(&mut frame).unwrap();
    let run = |input: &[u8]| {
        let mut worker = Command::new(env!("CARGO_BIN_EXE_guardian-agent"));
        worker.arg("query-worker").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = worker.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        child.wait_with_output().unwrap()
    };
    let output = run(&frame);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let mut frames = Frames::new(limits::FRAME_BYTES_MAX);
    frames.push(&output.stdout);
    let Some(FromAgent::Answer(answer)) = frames.next().unwrap().unwrap().from_agent().unwrap() else { panic!() };
    assert_eq!((answer.query, answer.part, answer.count, answer.last), ([3; 16], 0, 1, true));
    assert_eq!(answer.columns, ["n"]);
    let rows = guardian_protocol::answer::check(&answer, 1).unwrap();
    assert_eq!(rows, [[serde_json::json!(42)]]);
    assert!(frames.next().unwrap().is_none());
    for junk in [&b""[..], &b"junk"[..], &frame[..frame.len() - 1]] {
        assert!(!run(junk).status.success());
    }
}
