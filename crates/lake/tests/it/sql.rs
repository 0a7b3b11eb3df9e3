//! What analysts type, what they get, and what they are told.

use std::sync::Arc;

use guardian_lake::{Lake, LakeError, QueryLimits};
use guardian_model::{Micros, Pseudonyms, Scope};

use crate::data::{START, ask, flows, flows_at, lines, open, table, tenant};

/// Half in files, half in memory; tenants 1 and 2.
fn filled(dir: &std::path::Path) -> Lake {
    let lake = open(dir);
    for i in 0..10 {
        lake.append(&flows(tenant(1), i * 100, 100), None).unwrap();
        if i == 4 {
            lake.append(&flows(tenant(2), 9_000, 10), None).unwrap();
            lake.flush().unwrap();
        }
    }
    lake.append(&flows(tenant(2), 9_010, 10), None).unwrap();
    lake
}

#[test]
fn questions_have_answers() {
    let dir = tempfile::tempdir().unwrap();
    let lake = filled(dir.path());
    let scope = Scope::of(tenant(1));
    let cases: &[(&str, &[&str])] = &[
        ("SELECT count(*) FROM flows", &["1000"]),
        ("SELECT src_ip, bytes FROM flows WHERE src_ip = '10.0.0.7'", &["10.0.0.7 107"]),
        ("SELECT src_as FROM flows WHERE '10.0.2.1' = src_ip", &["513"]),
        ("SELECT count(*) FROM flows WHERE src_ip IN ('10.0.0.1', '10.0.3.1', '1.1.1.1')", &["2"]),
        ("SELECT count(*) FROM flows WHERE src_ip = '10.0.1.0/24'", &["256"]),
        ("SELECT count(*) FROM flows WHERE src_ip IN ('10.0.1.0/24', '10.0.0.9')", &["257"]),
        ("SELECT count(*) FROM flows WHERE src_ip NOT IN ('10.0.1.0/24', '10.0.0.9')", &["743"]),
        ("SELECT count(*) FROM flows WHERE NOT in_cidr(src_ip, '10.0.0.0/23')", &["488"]),
        ("SELECT in_cidr(src_ip, '10.0.0.0/30'), count(*) FROM flows GROUP BY 1 ORDER BY 1", &["false 996", "true 4"]),
        ("SELECT count(*) FROM flows WHERE src_ip BETWEEN '10.0.0.0' AND '10.0.0.9'", &["10"]),
        ("SELECT count(*) FROM flows f WHERE f.dst_ip = '2001:db8::7'", &["143"]),
        ("SELECT count(*) FROM flows WHERE dst_ip = ip('2001:DB8:0::7')", &["143"]),
        ("SELECT count(*) FROM flows WHERE ip_text(src_ip) LIKE '10.0.0.1%'", &["111"]),
        ("SELECT count(*) FROM flows WHERE src_ip = '10.0.0.1' OR dst_ip = '203.0.113.3'", &["44"]),
        (
            "SELECT direction, count(*) FROM flows GROUP BY direction ORDER BY 2, 1",
            &[" 200", "inbound 400", "outbound 400"],
        ),
        ("SELECT protocol, sum(packets) FROM flows WHERE dst_port = 53 GROUP BY protocol", &["17 1250"]),
        ("SELECT sum(rev_bytes), count(rev_bytes) FROM flows", &["249500 500"]),
        ("SELECT batch - (SELECT min(batch) FROM flows) AS b, row FROM flows WHERE src_as = 950", &["10 50"]),
        ("SELECT DISTINCT tenant FROM flows", &["00000000-0000-0000-0000-000000000001"]),
        ("SELECT count(*) FROM findings", &["0"]),
        (
            "WITH a AS (SELECT src_as FROM flows WHERE src_as < 10) SELECT count(*) FROM a JOIN flows USING (src_as)",
            &["10"],
        ),
        ("SELECT src_as FROM flows ORDER BY src_as DESC LIMIT 2", &["999", "998"]),
        ("SELECT count(*) FROM flows WHERE replay = 'demo'", &["0"]),
        ("SELECT count(DISTINCT src_ip) FROM flows", &["1000"]),
        ("SELECT max(src_ip) FROM flows WHERE src_as < 300", &["10.0.1.43"]),
    ];
    for (sql, expected) in cases {
        assert_eq!(lines(&lake, &scope, sql), *expected, "{sql}");
    }
}

#[test]
fn a_scope_sees_its_tenants_only() {
    let dir = tempfile::tempdir().unwrap();
    let lake = filled(dir.path());
    let sql = "SELECT count(*), min(src_as) FROM flows";
    assert_eq!(lines(&lake, &Scope::of(tenant(2)), sql), ["20 9000"]);
    assert_eq!(lines(&lake, &Scope::of(tenant(3)), sql), ["0 "]);
    assert_eq!(lines(&lake, &Scope::of_all([tenant(1), tenant(2)]), sql), ["1020 0"]);
    let sql = "SELECT count(*) FROM flows WHERE tenant = '00000000-0000-0000-0000-000000000001'";
    assert_eq!(lines(&lake, &Scope::of(tenant(2)), sql), ["0"]);
    let (_, _, stats) = lake
        .query_blocking(
            &Scope::of_all([tenant(1), tenant(2)]),
            &format!("{sql} AND src_as > 3"),
            QueryLimits::default(),
        )
        .unwrap();
    assert_eq!((stats.files, stats.files_pruned), (1, 1), "files of other tenants are not read");
}

#[test]
fn time_ranges_leave_files_out() {
    let dir = tempfile::tempdir().unwrap();
    let lake = open(dir.path());
    for day in 0..5 {
        lake.append(&flows_at(tenant(1), day * 100, 100, START + i64::from(day) * Micros::DAY, None), None).unwrap();
        lake.flush().unwrap();
    }
    lake.append(&flows_at(tenant(1), 900, 100, START + 9 * Micros::DAY, None), None).unwrap();
    let scope = Scope::of(tenant(1));
    let at = |day: i64| Micros(START + day * Micros::DAY + Micros::HOUR).to_string();
    let cases = [
        (format!("received >= '{}'", at(2)), 2, 300),
        (format!("received BETWEEN '{}' AND '{}'", at(0), at(1)), 1, 100),
        (format!("start > TIMESTAMP '{}' AND \"end\" < '{}'", at(2), at(3)), 1, 100),
        (format!("received < '{}'", at(-2)), 0, 0),
        ("received > now() + INTERVAL '3000 days'".to_owned(), 0, 0),
    ];
    for (filter, files, rows) in cases {
        let sql = format!("SELECT src_as FROM flows WHERE {filter}");
        let (_, batches, stats) = lake.query_blocking(&scope, &sql, QueryLimits::default()).unwrap();
        assert_eq!((table(&batches).len(), stats.files, stats.files_pruned), (rows, files, 5 - files), "{sql}");
    }
}

#[test]
fn what_is_not_a_query_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let lake = filled(dir.path());
    let scope = Scope::of(tenant(1));
    let cases = [
        ("DROP TABLE flows", "DROP is not allowed: only one SELECT"),
        ("DELETE FROM flows", "DELETE is not allowed"),
        ("INSERT INTO flows SELECT * FROM flows", "INSERT is not allowed"),
        ("COPY flows TO '/tmp/x.parquet'", "COPY is not allowed"),
        ("SET datafusion.execution.batch_size = 1", "SET is not allowed"),
        ("CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '/etc/passwd'", "CREATE is not allowed"),
        ("CREATE TABLE x AS SELECT 1", "CREATE is not allowed"),
        ("SELECT 1; SELECT 2", "2 statements were given"),
        ("", "the query is empty"),
        ("SELECT * FROM '/etc/passwd'", "there is no table `/etc/passwd`"),
        ("SELECT * FROM \"/etc/passwd\"", "there is no table `/etc/passwd`"),
        ("SELECT * FROM generate_series(1, 1000000000)", "there is no table"),
        ("SELECT * INTO x FROM flows", "only one SELECT"),
        ("EXPLAIN DELETE FROM flows", "DELETE is not allowed"),
        ("SELECT * FROM flow", "there is no table `flow`; did you mean `flows`?"),
        ("SELECT src_prot FROM flows", "there is no column `src_prot` here; did you mean `src_port`?"),
        ("SELECT DestinationPort FROM flows", "did you mean `dst_port`?"),
        ("SELECT byte FROM flows", "did you mean `bytes`?"),
        ("SELECT * FROM flows WHERE src_ip = '10.0.0.300'", "`10.0.0.300` is not an IP address or network"),
        ("SELECT * FROM flows WHERE src_ip IN ('x')", "`x` is not an IP address"),
        ("SELECT * FROM flows WHERE src_mac = 'x'", "`x` is not a MAC address"),
        ("SELECT * FROM flows WHERE src_ip LIKE '10.%'", "use in_cidr"),
        ("SELEC 1", "syntax"),
        ("SELECT read_file('/etc/passwd')", "read_file"),
    ];
    for (sql, expected) in cases {
        match ask(&lake, &scope, sql) {
            Ok(batches) => panic!("{sql} was run: {:?}", table(&batches)),
            Err(error) => assert!(error.to_string().contains(expected), "{sql}: {error}"),
        }
    }
}

#[test]
fn schemas_can_be_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let lake = filled(dir.path());
    let scope = Scope::of(tenant(1));
    let columns = lines(&lake, &scope, "SELECT column_name FROM information_schema.columns WHERE table_name = 'flows'");
    assert!(columns.contains(&"src_ip".to_owned()) && columns.contains(&"tenant".to_owned()));
    assert!(lines(&lake, &scope, "SHOW TABLES").iter().any(|l| l.contains("flows")));
    assert!(lines(&lake, &scope, "DESCRIBE flows").iter().any(|l| l.contains("dst_port")));
    assert!(
        lines(&lake, &scope, "EXPLAIN SELECT * FROM flows WHERE src_ip = '10.0.0.1'").join("\n").contains("src_ip")
    );
    assert_eq!(guardian_lake::describe()[0].columns.last().unwrap().name, "tenant");
}

#[test]
fn limits_hold() {
    let dir = tempfile::tempdir().unwrap();
    let lake = filled(dir.path());
    let scope = Scope::of(tenant(1));
    let rows = QueryLimits { rows: Some(10), ..QueryLimits::default() };
    let (_, batches, stats) = lake.query_blocking(&scope, "SELECT * FROM flows", rows).unwrap();
    assert_eq!((table(&batches).len(), stats.rows, stats.truncated), (10, 10, true));
    let time = QueryLimits { time: Some(std::time::Duration::from_millis(200)), ..QueryLimits::default() };
    let heavy =
        "SELECT count(*) FROM flows a, flows b, flows c, flows d WHERE a.bytes + b.bytes + c.bytes + d.bytes = 7";
    match lake.query_blocking(&scope, heavy, time) {
        Err(LakeError::Limit(why)) => assert!(why.contains("took longer"), "{why}"),
        other => panic!("{other:?}"),
    }
    let memory = QueryLimits { memory: Some(1_000), ..QueryLimits::default() };
    match lake.query_blocking(&scope, "SELECT src_ip, dst_ip, count(*) FROM flows GROUP BY 1, 2 ORDER BY 3", memory) {
        Err(LakeError::Limit(why)) => assert!(why.contains("more memory"), "{why}"),
        other => panic!("{other:?}"),
    }
}

/// Conditions on when rows came are met by whole files and batches, by parts of them, or not at all: it makes no
/// difference.
#[test]
fn time_divides_files_and_batches() {
    let dir = tempfile::tempdir().unwrap();
    let lake = filled(dir.path());
    let scope = Scope::of(tenant(1));
    let number = |sql: String| lines(&lake, &scope, &sql)[0].parse::<i64>().unwrap();
    // Flow n of 1,000 came n milliseconds after the start.
    for low in [-1, 0, 1, 99, 100, 450, 499, 500, 550, 999, 1_000] {
        for high in [0, 1, 100, 130, 500, 501, 900, 999, 1_000, 2_000] {
            let time = |n: i64| Micros(START + n * 1_000);
            let condition = format!("received >= TIMESTAMP '{}' AND received < TIMESTAMP '{}'", time(low), time(high));
            let within = (high.min(1_000) - low.max(0)).max(0);
            let count = |condition: &str| number(format!("SELECT count(*) FROM flows WHERE {condition}"));
            assert_eq!(count(&condition), within, "{condition}");
            assert_eq!(number(format!("SELECT count(src_as) FROM flows WHERE {condition}")), within, "{condition}");
            assert_eq!(count(&format!("NOT ({condition})")), 1_000 - within, "{condition}");
            let last = i64::from(high < 1_000);
            let either = format!("({condition}) OR received = TIMESTAMP '{}'", time(high));
            assert_eq!(count(&either), within + last, "{condition}");
            let parts = [0, 1].map(|odd| count(&format!("{condition} AND bytes % 2 = {odd} AND batch >= 0")));
            assert_eq!(parts.iter().sum::<i64>(), within, "{condition}");
        }
    }
}

/// A predicate on a masked column sees the masked value: searching by a whole address finds nothing it should not.
#[test]
fn masks_cannot_be_seen_through() {
    let dir = tempfile::tempdir().unwrap();
    let lake = filled(dir.path());
    let masks = Arc::new(Pseudonyms::new([7; 32]));
    let scope = Scope::of(tenant(1)).masked(Arc::clone(&masks));
    let ask = |sql: &str| table(&lake.query_blocking(&scope, sql, QueryLimits::default()).unwrap().1);
    let of = |text: &str| masks.name(text).into_owned();
    assert_eq!(ask("SELECT count(*) FROM flows WHERE src_ip = '10.0.0.7'"), ["0"]);
    assert_eq!(ask("SELECT count(*) FROM flows WHERE src_ip >= '10.0.0.7' AND src_ip <= '10.0.0.9'"), ["0"]);
    assert_eq!(ask("SELECT count(*) FROM flows WHERE in_cidr(src_ip, '10.0.0.0/8')"), ["0"]);
    assert_eq!(ask("SELECT DISTINCT src_ip FROM flows WHERE src_as = 7"), [of("10.0.0.7")]);
    // Who is known by a pseudonym can be followed by it.
    let seen = of("10.0.0.7");
    assert_eq!(ask(&format!("SELECT DISTINCT src_as FROM flows WHERE src_ip = '{seen}'")), ["7"]);
    let (other, peer) = (of("10.0.2.200"), of("203.0.113.3"));
    let both = format!("SELECT src_as FROM flows WHERE src_ip IN ('{seen}', '{other}', '10.0.0.9') ORDER BY 1");
    assert_eq!(ask(&both), ["7", "712"]);
    let either = format!("SELECT count(*) FROM flows WHERE src_ip = '{seen}' OR '{peer}' = dst_ip");
    let open = "SELECT count(*) FROM flows WHERE src_ip = '10.0.0.7' OR dst_ip = '203.0.113.3'";
    assert_eq!(ask(&either), lines(&lake, &Scope::of(tenant(1)), open));
    let none = format!("SELECT count(*) FROM flows WHERE src_ip = '{seen}' AND src_ip <> '{seen}'");
    assert_eq!(ask(&none), ["0"]);
    let (many, named) = ("SELECT count(DISTINCT src_ip) FROM flows", "SELECT count(DISTINCT src_as) FROM flows");
    assert_eq!(ask(many), ask(named), "everybody has one");
    assert_eq!(ask("SELECT count(*) FROM flows WHERE ip_text(src_ip) LIKE '10.%'"), ["0"]);
    assert_eq!(ask("SELECT exporter FROM flows WHERE src_as = 7"), ["192.0.2.1"], "not personal");
    assert_eq!(ask("SELECT count(*) FROM (SELECT src_ip s FROM flows) WHERE s = '10.0.0.7' OR s = '10.0.0.8'"), ["0"]);
}
