//! Filters as people write them.
#![expect(clippy::unwrap_used, clippy::format_collect, clippy::format_push_string, reason = "tests")]

use std::sync::Arc;

use arrow::array::{
    ArrayRef, DictionaryArray, FixedSizeBinaryArray, TimestampMicrosecondArray, UInt8Array, UInt16Array, UInt64Array,
    new_null_array,
};
use arrow::datatypes::Int32Type;
use arrow::record_batch::RecordBatch;
use guardian_expr::{Expr, ExprError, Typed};
use guardian_model::{FLOW, FlowField, Ip, Micros};
use proptest::prelude::*;

const NOW: Micros = Micros(1_767_225_600_000_000);

struct Row {
    src: &'static str,
    dst: &'static str,
    port: u16,
    protocol: u8,
    flags: u16,
    bytes: u64,
    rev: Option<u64>,
    country: Option<&'static str>,
    mac: Option<[u8; 6]>,
    start: i64,
}

fn rows() -> Vec<Row> {
    let row = Row {
        src: "10.0.0.1",
        dst: "192.0.2.1",
        port: 443,
        protocol: 6,
        flags: 0x12,
        bytes: 1000,
        rev: None,
        country: None,
        mac: None,
        start: NOW.0,
    };
    vec![
        Row { port: 22, ..row },
        Row { src: "10.9.0.1", port: 3389, bytes: 20_000_000, country: Some("NZ"), ..row },
        Row { src: "2001:db8::7", protocol: 17, flags: 0, rev: Some(10), country: Some("nl"), ..row },
        Row { dst: "10.0.0.1", flags: 0x02, mac: Some([0, 1, 2, 3, 4, 5]), start: NOW.0 - 3_600_000_001, ..row },
        Row {
            src: "172.16.0.1",
            protocol: 1,
            rev: Some(2000),
            country: Some("50%"),
            start: NOW.0 - 86_400_000_000,
            ..row
        },
    ]
}

fn batch() -> RecordBatch {
    let rows = rows();
    let ips = |f: fn(&Row) -> &'static str| -> ArrayRef {
        let ips: Vec<_> = rows.iter().map(|r| f(r).parse::<Ip>().unwrap().0).collect();
        Arc::new(FixedSizeBinaryArray::try_from_iter(ips.iter()).unwrap())
    };
    let columns = FlowField::ALL.iter().map(|field| -> ArrayRef {
        match field {
            FlowField::SrcIp | FlowField::Exporter => ips(|r| r.src),
            FlowField::DstIp => ips(|r| r.dst),
            FlowField::DstPort => Arc::new(UInt16Array::from_iter_values(rows.iter().map(|r| r.port))),
            FlowField::Protocol => Arc::new(UInt8Array::from_iter_values(rows.iter().map(|r| r.protocol))),
            FlowField::TcpFlags => Arc::new(UInt16Array::from_iter_values(rows.iter().map(|r| r.flags))),
            FlowField::Bytes => Arc::new(UInt64Array::from_iter_values(rows.iter().map(|r| r.bytes))),
            FlowField::RevBytes => Arc::new(rows.iter().map(|r| r.rev).collect::<UInt64Array>()),
            FlowField::DstCountry => Arc::new(rows.iter().map(|r| r.country).collect::<DictionaryArray<Int32Type>>()),
            FlowField::Start => Arc::new(
                TimestampMicrosecondArray::from_iter_values(rows.iter().map(|r| r.start)).with_timezone("+00:00"),
            ),
            FlowField::SrcMac => {
                let macs = rows.iter().map(|r| r.mac);
                Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(macs, 6).unwrap())
            }
            other => {
                let declared = &FLOW.fields[other.index()];
                new_null_array(&declared.kind.data_type(), rows.len())
            }
        }
    });
    // Columns that the tests leave out are null here, whatever the class says.
    let fields: Vec<_> = FLOW.schema().fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect();
    RecordBatch::try_new(Arc::new(arrow::datatypes::Schema::new(fields)), columns.collect()).unwrap()
}

fn check(text: &str) -> Result<Typed, ExprError> {
    Expr::parse(text)?.check(&FLOW, NOW)
}

#[test]
fn filters_keep_what_they_say() {
    let cases: &[(&str, &[usize])] = &[
        ("", &[0, 1, 2, 3, 4]),
        ("src_ip = 10.0.0.1", &[0, 3]),
        ("src_ip in 10.0.0.0/8", &[0, 1, 3]),
        ("src_ip in (10.0.0.0/16, 2001:db8::/32)", &[0, 2, 3]),
        ("src_ip not in 10.0.0.0/8", &[2, 4]),
        ("ip = 10.0.0.1", &[0, 3]),
        ("dst_port in (22, 3389) and not dst_country = \"NZ\"", &[0]),
        ("dst_port in (1..1023)", &[0, 2, 3, 4]),
        ("dst_port != 443", &[0, 1]),
        ("bytes > 10MB", &[1]),
        ("bytes>=1 kb and bytes<2kB", &[0, 2, 3, 4]),
        ("protocol = tcp", &[0, 1, 3]),
        ("protocol in (udp, icmp)", &[2, 4]),
        ("tcp_flags has SYN", &[0, 1, 3, 4]),
        ("tcp_flags has (SYN, ACK)", &[0, 1, 4]),
        ("tcp_flags = SYN", &[3]),
        ("rev_bytes is null", &[0, 1, 3]),
        ("rev_bytes is not null and rev_bytes > 10", &[4]),
        ("dst_country = nz", &[1]),
        ("dst_country like n*", &[1, 2]),
        ("dst_country ~ '?z'", &[1]),
        ("dst_country !~ n*", &[0, 3, 4]),
        ("dst_country in (NZ, NL)", &[1, 2]),
        ("src_mac = 00:01:02:03:04:05", &[3]),
        ("src_mac = 00:01:02", &[3]),
        ("start > now-1h", &[0, 1, 2]),
        ("start > now - 61m", &[0, 1, 2, 3]),
        ("start = 2025-12-31", &[3, 4]),
        ("start < 2026-01-01T00:00:00Z", &[3, 4]),
        ("DestinationPort = 22 || (port = 3389 && !(country = nl))", &[0, 1]),
        ("not not dst_port = 22", &[0]),
    ];
    let batch = batch();
    for (text, kept) in cases {
        let typed = check(text).unwrap_or_else(|e| panic!("{text}\n{}", e.render(text)));
        let bits = typed.evaluate(&batch);
        assert_eq!(bits.set_indices().collect::<Vec<_>>(), *kept, "{text}");
        // A slice of a batch has the same rows at other places of its buffers.
        assert_eq!(typed.evaluate(&batch.slice(1, 3)), bits.slice(1, 3), "{text}");
    }
}

#[test]
fn mistakes_are_shown_in_place() {
    let texts = [
        "scr_ip = 10.0.0.1",
        "src_ip = 10.0.0.1/8",
        "src_ip = 10.0.0.256",
        "src_ip > 10.0.0.1",
        "src_ip like '10.*'",
        "dst_port = ssh",
        "dst_port = 65536",
        "dst_port in (22, 23",
        "dst_port in (1023..1)",
        "dst_port 22",
        "dst_port lik 22",
        "dst_port =",
        "dst_port = 22 dst_port = 23",
        "(dst_port = 22",
        "dst_port = 22)",
        "and",
        "bytes > 10XB",
        "protocol = tpc",
        "tcp_flags has SNY",
        "dst_country > NZ",
        "dst_country = \"NZ",
        "start > yesterday",
        "extra = x",
        "bytes is nul",
        "bytes & 3",
        "bytes < 0",
    ];
    let told: String = texts.iter().map(|t| format!("{}\n\n", check(t).unwrap_err().render(t))).collect();
    insta::assert_snapshot!(told);
}

#[test]
fn sql_for_the_lake() {
    let texts = [
        "",
        "src_ip in 10.0.0.0/8 and dst_port in (22, 3389) and not dst_country = \"NZ\"",
        "ip = 2001:db8::1 or src_ip not in (10.0.0.0/8, 192.168.1.1)",
        "bytes > 10MB and bytes <= 1GB and packets in (1..5)",
        "start > now-1h and end <= 2026-01-31",
        "dst_as_org like \"*o'brien_100%\\*\"",
        "dst_as_org = \"o'; drop table flows; --\"",
        "tcp_flags has (SYN, ACK) and rev_tcp_flags is null",
        "src_mac = 00:01:02:03:04:05 or dst_mac in (00:01:02)",
    ];
    let told: String = texts.iter().map(|t| format!("{t}\n  {}\n", check(t).unwrap().to_sql())).collect();
    insta::assert_snapshot!(told);
}

#[test]
fn hostile_filters_are_refused() {
    for text in [
        "(".repeat(10_000),
        "not ".repeat(4000),
        format!("dst_port in ({})", vec!["1"; 5000].join(",")),
        "x".repeat(20_000),
    ] {
        assert!(Expr::parse(&text).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics(text in "[a-z0-9_ .:/=<>!~()\"',&|*%é-]{0,80}", cursor in 0..100_usize) {
        guardian_expr::complete(&FLOW, &text, cursor);
        match check(&text) {
            Ok(typed) => {
                typed.evaluate(&batch());
                typed.to_sql();
            }
            Err(error) => prop_assert!(!error.render(&text).is_empty()),
        }
    }

    /// Connectives over rows agree with connectives over truth values.
    #[test]
    fn connectives(pattern in prop::collection::vec((0..5_usize, any::<bool>(), any::<bool>()), 1..6)) {
        let tests = ["dst_port = 22", "protocol = tcp", "dst_country = nz", "rev_bytes > 10", "src_ip in 10.0.0.0/8"];
        let batch = batch();
        let columns = tests.map(|t| check(t).unwrap().evaluate(&batch));
        let mut text = String::new();
        for (i, (test, negated, or)) in pattern.iter().enumerate() {
            let join = if i == 0 { "" } else if *or { " or " } else { " and " };
            text.push_str(&format!("{join}{}({})", if *negated { "not " } else { "" }, tests[*test]));
        }
        let kept = check(&text).unwrap().evaluate(&batch);
        for row in 0..batch.num_rows() {
            // `and` binds stronger: an `or` starts a new conjunction.
            let (mut any, mut all) = (false, true);
            for (i, (test, negated, or)) in pattern.iter().enumerate() {
                if i > 0 && *or {
                    any |= all;
                    all = true;
                }
                all &= columns[*test].value(row) != *negated;
            }
            prop_assert_eq!(kept.value(row), any | all, "{} row {}", text, row);
        }
    }
}
