//! Minute roll-ups answer what they can, exactly as the rows would.

use guardian_lake::{Lake, QueryLimits};
use guardian_model::{Micros, Scope};

use crate::data::{START, flows_at, open, table, tenant};

/// An hour of flows: most in files, the last in memory, of two tenants.
fn filled(dir: &std::path::Path) -> Lake {
    let lake = open(dir);
    for i in 0..12_u32 {
        let base = START + i64::from(i) * 5 * Micros::MINUTE;
        lake.append(&flows_at(tenant(1 + u128::from(i % 2)), i * 1_000, 1_000, base, None), None).unwrap();
        if i % 3 == 1 {
            lake.flush().unwrap();
        }
    }
    lake
}

/// The same question asked so that the roll-ups cannot answer it: a condition on a column they lack, always true.
fn from_rows(sql: &str) -> String {
    if sql.contains("WHERE ") {
        sql.replace("WHERE ", "WHERE src_port >= 0 AND ")
    } else {
        sql.replace("FROM flows", "FROM flows WHERE src_port >= 0")
    }
}

#[test]
fn roll_ups_answer_as_the_rows_do() {
    let dir = tempfile::tempdir().unwrap();
    let lake = filled(dir.path());
    let whole = Micros(START + 20 * Micros::MINUTE).floor(Micros::MINUTE);
    let cases = [
        "SELECT date_trunc('minute', received) AS m, sum(bytes), sum(packets), count(*) FROM flows GROUP BY m ORDER BY m".to_owned(),
        "SELECT date_bin(INTERVAL '5 minutes', received) AS m, sum(bytes) FROM flows GROUP BY m ORDER BY m".to_owned(),
        format!("SELECT protocol, count(*), sum(rev_bytes) FROM flows WHERE received >= '{whole}' GROUP BY protocol ORDER BY protocol"),
        format!("SELECT count(*), sum(bytes) FROM flows WHERE received < TIMESTAMP '{whole}' AND direction = 'inbound'"),
        "SELECT exporter, direction, count(*) FROM flows GROUP BY 1, 2 ORDER BY 1, 2".to_owned(),
        "SELECT f.protocol, sum(f.bytes) AS b FROM flows f WHERE f.exporter IN ('192.0.2.1', '192.0.2.2') GROUP BY 1 ORDER BY b".to_owned(),
        "SELECT source, sum(rev_packets) FROM flows WHERE protocol = 250 GROUP BY source".to_owned(),
        "SELECT sum(bytes), count(*) FROM flows WHERE protocol = 250".to_owned(),
        "SELECT tenant, count(1) AS n FROM flows GROUP BY tenant HAVING count(1) > 10 ORDER BY tenant".to_owned(),
        "SELECT protocol, count(DISTINCT exporter) FROM flows GROUP BY protocol ORDER BY protocol".to_owned(),
        "SELECT max(n) FROM (SELECT date_trunc('hour', received) h, count(*) n FROM flows GROUP BY h)".to_owned(),
    ];
    for scope in [Scope::of(tenant(1)), Scope::of_all([tenant(1), tenant(2)])] {
        for sql in &cases {
            let (schema, rolled, stats) = lake.query_blocking(&scope, sql, QueryLimits::default()).unwrap();
            assert!(stats.rollup, "not from roll-ups: {sql}");
            let (same, rows, stats) = lake.query_blocking(&scope, &from_rows(sql), QueryLimits::default()).unwrap();
            assert!(!stats.rollup, "from roll-ups: {sql}");
            assert_eq!(table(&rolled), table(&rows), "{sql}");
            let shape = |s: &arrow::datatypes::Schema| {
                s.fields().iter().map(|f| (f.name().clone(), f.data_type().clone())).collect::<Vec<_>>()
            };
            assert_eq!(shape(&schema), shape(&same), "{sql}");
        }
    }
}

#[test]
fn what_roll_ups_cannot_answer_comes_from_the_rows() {
    let dir = tempfile::tempdir().unwrap();
    let lake = filled(dir.path());
    let half = Micros(START + 20 * Micros::MINUTE).floor(Micros::MINUTE) + 30_000_000;
    let cases = [
        "SELECT date_trunc('second', received) AS m, sum(bytes) FROM flows GROUP BY m".to_owned(),
        "SELECT date_bin(INTERVAL '90 seconds', received) AS m, sum(bytes) FROM flows GROUP BY m".to_owned(),
        format!("SELECT protocol, count(*) FROM flows WHERE received >= '{half}' GROUP BY protocol"),
        "SELECT dst_port, count(*) FROM flows GROUP BY dst_port".to_owned(),
        "SELECT protocol, max(bytes) FROM flows GROUP BY protocol".to_owned(),
        "SELECT protocol, sum(bytes) FILTER (WHERE dst_port = 53) FROM flows GROUP BY protocol".to_owned(),
        "SELECT protocol, count(rev_bytes) FROM flows GROUP BY protocol".to_owned(),
    ];
    for sql in cases {
        let (_, _, stats) = lake.query_blocking(&Scope::of(tenant(1)), &sql, QueryLimits::default()).unwrap();
        assert!(!stats.rollup, "{sql}");
    }
}
