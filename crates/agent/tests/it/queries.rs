//! Live queries by the agent's own program: what it prints, and that its worker ends when it has to.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use guardian_agent::queries::{ALL, engine};
use guardian_protocol::message::Query;
use guardian_protocol::{Frames, FromAgent, FromServer, limits};
use serde_json::Value;

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
    // What SQLite may have is counted for the whole process: this is no test for one that others share.
    let endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n)";
    let hungry = ask(&[&format!("{endless} SELECT randomblob(200000) AS b FROM n ORDER BY b")]);
    assert!(text(&hungry.stderr).contains("too much memory"), "{}", text(&hungry.stderr));
    assert!(!output.status.success() && text(&output.stderr).contains("its time was over"), "{}", text(&output.stderr));
    assert!(took < Duration::from_secs(10), "{took:?}");
}

/// Columns of a table in which there is anything, and whether it has rows.
fn shape(columns: &[String], rows: &[Vec<Value>]) -> Vec<String> {
    let says = |value: &Value| !matches!(value, Value::Null) && value.as_str() != Some("");
    let is_there = |at: &usize| rows.iter().any(|row| says(&row[*at]));
    (0..columns.len()).filter(is_there).map(|at| columns[at].clone()).collect()
}

/// The rows of a statement that this process runs itself.
fn here(sql: &str) -> (Vec<String>, Vec<Vec<Value>>) {
    let query = Query { id: [1; 16], sql: sql.into(), timeout_ms: 60_000, rows_max: 100_000, bytes_max: 0 };
    let (mut columns, mut rows) = (Vec::new(), Vec::new());
    engine::run(&query, &mut |part| {
        if part.part == 0 {
            columns.clone_from(&part.columns);
        }
        assert_eq!(part.error, None, "{sql}");
        rows.extend(guardian_protocol::answer::check(&part, columns.len()).unwrap());
        Ok(())
    })
    .unwrap();
    (columns, rows)
}

/// How many rows this process finds, where the worker finds such too, and not far fewer.
fn same_from_within(table: &str, sql: &str) -> Option<usize> {
    let (columns, rows) = here(sql);
    let output = ask(&["--json", "--timeout", "60", sql]);
    assert!(output.status.success(), "{table}: {}", text(&output.stderr));
    let answered = text(&output.stdout);
    let objects = answered.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let theirs: Vec<Vec<Value>> =
        objects.map(|object| columns.iter().map(|name| object[name].clone()).collect()).collect();
    assert_eq!(shape(&columns, &theirs), shape(&columns, &rows), "{table}");
    (theirs.len() * 2 + 50 > rows.len()).then_some(rows.len())
}

#[test]
fn every_table_shows_the_same_from_within_the_worker() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let private = dir.path().join("private");
    std::fs::write(&private, "content").unwrap();
    std::fs::set_permissions(&private, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let _listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut filled = 0;
    for table in ALL {
        let condition = if table.needs { format!(" WHERE path = '{}'", private.display()) } else { String::new() };
        let sql = format!("SELECT * FROM {}{condition}", table.name);
        // Processes come and go by the dozen while they are looked at, other things do not: who finds few looks again.
        let rows = (0..10).find_map(|_| same_from_within(table.name, &sql));
        let rows = rows.unwrap_or_else(|| panic!("{}: the worker finds less than half of what is there", table.name));
        filled += usize::from(rows > 0);
    }
    assert!(filled > 30, "{filled} tables have rows here");
}

#[test]
fn the_worker_is_locked_up() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n";
    let query = Query { id: [3; 16], sql: endless.into(), timeout_ms: 60_000, rows_max: 5, bytes_max: 0 };
    let mut frame = Vec::new();
    FromServer::Query(query).put(&mut frame).unwrap();
    let mut worker = Command::new(env!("CARGO_BIN_EXE_guardian-agent"));
    worker.arg("query-worker").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = worker.spawn().unwrap();
    child.stdin.take().unwrap().write_all(&frame).unwrap();
    let begun = Instant::now();
    let status = loop {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        if status.contains("Seccomp:\t2") || begun.elapsed() > Duration::from_secs(20) {
            break status;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    child.kill().unwrap();
    child.wait().unwrap();
    let of = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim();
    assert_eq!((of("Seccomp:"), of("NoNewPrivs:"), of("Groups:")), ("2", "1", ""));
    // To read every file, and to look into processes.
    assert_eq!(
        (of("CapEff:"), of("CapPrm:"), of("CapBnd:")),
        ("0000000000080004", "0000000000080004", "0000000000000000")
    );
    assert!(of("Uid:").split_whitespace().all(|uid| uid != "0"), "{status}");
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
