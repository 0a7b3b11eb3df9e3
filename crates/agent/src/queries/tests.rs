use std::collections::HashSet;
use std::time::{Duration, Instant};

use guardian_protocol::answer;
use guardian_protocol::message::{Answer, Query};
use serde_json::Value;

use super::*;

/// Where the server reads which tables agents have.
const DESCRIBED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../fleet/src/live_tables.json");

fn parts(query: &Query) -> Vec<Answer> {
    let mut parts = Vec::new();
    engine::run(query, &mut |part| {
        parts.push(part);
        Ok(())
    })
    .unwrap();
    parts
}

fn query(sql: &str) -> Query {
    Query { id: [7; 16], sql: sql.into(), timeout_ms: 30_000, rows_max: 100_000, bytes_max: 0 }
}

fn rows_of(parts: &[Answer]) -> Vec<Vec<Value>> {
    let width = parts[0].columns.len();
    parts.iter().flat_map(|part| answer::check(part, width).unwrap()).collect()
}

fn ask(sql: &str) -> Result<Vec<Vec<Value>>, String> {
    let parts = parts(&query(sql));
    match parts.last().unwrap().error.clone() {
        Some(error) => Err(error),
        None => Ok(rows_of(&parts)),
    }
}

#[test]
fn tables_are_in_order_and_none_is_there_twice() {
    let names: Vec<&str> = ALL.iter().map(|table| table.name).collect();
    let mut sorted = names.clone();
    // As in a dictionary of words, where `process_envs` stands before `processes`.
    sorted.sort_by_key(|name| name.replace('_', " "));
    sorted.dedup();
    assert_eq!(names, sorted);
    assert!(ALL.len() >= 50, "{}", ALL.len());
    for table in ALL {
        let mut seen = HashSet::new();
        assert!(table.columns.iter().all(|column| seen.insert(column.name)), "{}", table.name);
        assert!(!table.needs || table.columns.iter().any(|column| column.helps != Helps::Nothing), "{}", table.name);
        let said = table.columns.iter().all(|column| !column.about.is_empty()) && !table.about.is_empty();
        assert!(said, "{} is not described", table.name);
    }
}

#[test]
fn every_table_answers_with_a_value_for_each_column() {
    for table in ALL.iter().filter(|table| !table.needs) {
        let rows = (table.rows)(&Asked { table, given: &[], used: u64::MAX }).unwrap();
        for row in rows.take(2_000) {
            assert_eq!(row.len(), table.columns.len(), "{}", table.name);
        }
        let counted = ask(&format!("SELECT count(*) FROM {}", table.name)).unwrap();
        assert!(counted[0][0].is_u64(), "{}", table.name);
    }
}

#[test]
fn the_server_knows_the_tables_as_they_are() {
    let now = serde_json::to_string_pretty(&described()).unwrap() + "\n";
    if std::env::var_os("GUARDIAN_WRITE_TABLES").is_some() {
        std::fs::write(DESCRIBED, &now).unwrap();
    }
    let kept = std::fs::read_to_string(DESCRIBED).unwrap_or_default();
    assert!(kept == now, "the tables are others: run this test with GUARDIAN_WRITE_TABLES=1");
}

#[test]
fn this_process_is_found_with_what_it_has() {
    let pid = std::process::id();
    let row = &ask(&format!("SELECT name, path, parent, uid, threads FROM processes WHERE pid = {pid}")).unwrap()[0];
    assert_eq!(row[1], Value::from(std::env::current_exe().unwrap().to_str().unwrap()));
    assert_eq!(row[2], Value::from(nix::unistd::getppid().as_raw()));
    assert_eq!(row[3], Value::from(nix::unistd::getuid().as_raw()));
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let open = format!(
        "SELECT f.fd, p.name FROM process_open_files f JOIN processes p USING (pid) WHERE pid = {pid} AND f.path = '{path}'"
    );
    assert_eq!(ask(&open).unwrap().len(), 1);
    let libraries = format!("SELECT count(*) FROM process_memory_map WHERE pid = {pid} AND permissions LIKE '%x%'");
    assert!(ask(&libraries).unwrap()[0][0].as_u64().unwrap() >= 1);
    assert_eq!(ask("SELECT pid FROM processes WHERE pid = -1").unwrap().len(), 0);
}

#[test]
fn a_port_that_is_listened_on_is_found_with_its_process() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let sql = format!(
        "SELECT l.pid, l.address, l.protocol, l.family, p.pid FROM listening_ports l JOIN processes p ON p.pid = l.pid \
         WHERE l.port = {port} AND l.protocol = 6"
    );
    let pid = std::process::id();
    let mine = |row: &Vec<Value>| row[0] == pid && row[4] == pid;
    let rows = ask(&sql).unwrap();
    let row = rows.iter().find(|row| mine(row)).unwrap();
    assert_eq!(row[1..4], [Value::from("127.0.0.1"), Value::from(6), Value::from(2)]);
}

#[test]
fn files_are_read_where_they_are_named_and_nowhere_else() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().canonicalize().unwrap();
    std::fs::write(place.join("abc"), "abc").unwrap();
    std::os::unix::fs::symlink(place.join("abc"), place.join("link")).unwrap();
    let place = place.to_str().unwrap();
    let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let hashed = ask(&format!("SELECT md5, sha256 FROM hash WHERE path = '{place}/abc'")).unwrap();
    assert_eq!(hashed, [[Value::from("900150983cd24fb0d6963f7d28e17f72"), Value::from(sha256)]]);
    let joined = format!(
        "SELECT f.filename, f.size, f.symlink, h.sha256 FROM file f JOIN hash h ON h.path = f.path \
         WHERE f.directory = '{place}' ORDER BY f.filename"
    );
    let row = |name: &str, link: i64| [Value::from(name), 3.into(), link.into(), sha256.into()];
    assert_eq!(ask(&joined).unwrap(), [row("abc", 0), row("link", 1)]);
    let pattern = format!("SELECT filename FROM file WHERE path LIKE '{place}/a%'");
    assert_eq!(ask(&pattern).unwrap(), [[Value::from("abc")]]);
    let two = format!("SELECT path FROM hash WHERE path IN ('{place}/abc', '{place}/none') OR path = '{place}/link'");
    assert_eq!(ask(&two).unwrap().len(), 2);
    let error = ask("SELECT * FROM hash").unwrap_err();
    assert!(error.contains("wants a condition on `path` or `directory`"), "{error}");
}

#[test]
fn a_statement_can_only_read_the_tables() {
    for (sql, expected) in [
        ("ATTACH '/etc/passwd' AS x", "not authorized"),
        ("PRAGMA hard_heap_limit = 0", "not authorized"),
        ("SELECT * FROM pragma_function_list", "not authorized"),
        ("CREATE TABLE t(a)", "not authorized"),
        ("CREATE TEMP TABLE t(a)", "not authorized"),
        ("CREATE VIRTUAL TABLE t USING processes", "not authorized"),
        ("DELETE FROM users", "may not be modified"),
        ("INSERT INTO users(uid) VALUES (0)", "not authorized"),
        ("DROP TABLE users", "not authorized"),
        ("BEGIN", "not authorized"),
        ("VACUUM INTO '/tmp/x'", "only SELECT"),
        ("SELECT load_extension('x')", "not authorized"),
        ("SELECT 1; SELECT 2", "one statement at a time"),
        ("SELECT 1; DROP TABLE users", "one statement at a time"),
        ("EXPLAIN", "incomplete input"),
        ("", "there is no statement"),
        ("-- nothing", "there is no statement"),
        ("SELECT missing FROM users", "no such column: missing (at character 8)"),
        ("SELECT * FROM missing", "no such table: missing"),
        ("SELECT ?", "variable"),
    ] {
        let error = ask(sql).unwrap_err();
        assert!(error.contains(expected), "{sql}: {error}");
    }
    let deep = format!("SELECT {}1", "1+".repeat(500));
    assert!(ask(&deep).unwrap_err().contains("Expression tree is too large"));
}

#[test]
fn time_memory_rows_and_bytes_are_bounded() {
    let endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT";
    let begun = Instant::now();
    let slow = Query { timeout_ms: 200, ..query(&format!("{endless} max(x) FROM n")) };
    assert_eq!(parts(&slow).last().unwrap().error.as_deref(), Some("stopped: its time was over"));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());

    let hungry = ask(&format!("{endless} randomblob(200000) AS b FROM n ORDER BY b")).unwrap_err();
    assert_eq!(hungry, "stopped: it wanted too much memory");

    let many = Query { rows_max: 10, ..query(&format!("{endless} x FROM n")) };
    let parts_of_many = parts(&many);
    assert_eq!(rows_of(&parts_of_many).len(), 10);
    let last = parts_of_many.last().unwrap();
    assert!(last.more && last.last && last.error.is_none());

    let long = Query { bytes_max: 100_000, ..query(&format!("{endless} printf('%.1000c', 'x') FROM n")) };
    let parts_of_long = parts(&long);
    let bytes: u32 = parts_of_long.iter().map(|part| part.raw_bytes).sum();
    assert!(bytes <= 100_000 && bytes > 90_000 && parts_of_long.last().unwrap().more);
    assert!(ask("SELECT printf('%.300000c', 'x')").unwrap_err().contains("a row is longer"));
}

#[test]
fn values_keep_their_kinds_and_parts_come_in_order() {
    let rows = ask("SELECT 1, -1.5, 'ü', NULL, x'00ff'").unwrap();
    assert_eq!(rows, [[Value::from(1), Value::from(-1.5), Value::from("ü"), Value::Null, Value::from("00ff")]]);
    let many = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 50000) SELECT x, 'a text' FROM n";
    let parts = parts(&query(many));
    assert!(parts.len() > 3, "{}", parts.len());
    assert!(parts.iter().enumerate().all(|(at, part)| part.part == at as u32 && part.last == (at + 1 == parts.len())));
    assert_eq!(parts[0].columns, ["x", "'a text'"]);
    assert!(parts[1].columns.is_empty());
    let numbers: Vec<u64> = rows_of(&parts).iter().map(|row| row[0].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=50_000).collect::<Vec<_>>());
}
