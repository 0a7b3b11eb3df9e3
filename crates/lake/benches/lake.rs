//! What storing costs and how long answers take: flows like those of a small office's router, a batch at a time, and
//! what encryption adds to both.
//!
//! `cargo bench --profile dev -p guardian-lake` prints one JSON object a line, in the form of `cargo xtask bench`.
#![expect(clippy::unwrap_used, reason = "a benchmark may end with a panic")]
#![expect(clippy::print_stdout, reason = "the result is what a benchmark prints")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{
    ArrayRef, DictionaryArray, FixedSizeBinaryArray, TimestampMicrosecondArray, UInt8Array, UInt16Array, UInt32Array,
    UInt64Array, new_null_array,
};
use arrow::datatypes::Int32Type;
use arrow::record_batch::RecordBatch;
use guardian_kit::clock::{Clock, SystemClock};
use guardian_kit::metrics::Metrics;
use guardian_lake::{Lake, LakeConfig, LakeKeys, QueryLimits};
use guardian_model::{Batch, FLOW, FlowField, Ip, Micros, Scope, TenantId};
use serde_json::json;

/// Flows in all.
const FLOWS: usize = 2_000_000;
/// Flows in a batch.
const BATCH: usize = 8_192;

/// Rounds of each, of which the better figures count: other programs disturb both alike.
const ROUNDS: usize = 2;

fn main() {
    let now = SystemClock::new().now();
    let batches: Vec<Batch> = (0..FLOWS / BATCH).map(|i| flows(i, now)).collect();
    let (mut plain, mut encrypted) = (Figures::default(), Figures::default());
    for _ in 0..ROUNDS {
        run(&batches, false, &mut plain);
        run(&batches, true, &mut encrypted);
    }
    for (name, (value, unit)) in &plain.0 {
        println!("{}", json!({"bench": format!("lake/{name}"), "value": rounded(*value, 10.0), "unit": unit}));
    }
    for (name, (value, unit)) in &encrypted.0 {
        let (peer, _) = plain.0[name];
        println!(
            "{}",
            json!({
                "bench": format!("lake/encrypted/{name}"), "value": rounded(*value, 10.0), "unit": unit,
                "peer": format!("lake/{name}"), "peer_value": rounded(peer, 10.0),
                "ratio": rounded(value / peer, 1_000.0),
            })
        );
    }
}

/// What was measured, by name.
#[derive(Default)]
struct Figures(BTreeMap<String, (f64, &'static str)>);

impl Figures {
    fn note(&mut self, name: &str, value: f64, unit: &'static str) {
        let best = &mut self.0.entry(name.to_owned()).or_insert((value, unit)).0;
        *best = if unit == "flows/s" { best.max(value) } else { best.min(value) };
    }
}

fn run(batches: &[Batch], encryption: bool, figures: &mut Figures) {
    let dir = tempfile::tempdir().unwrap();
    let rows = batches.iter().map(|b| b.rows.num_rows()).sum::<usize>();
    let config = LakeConfig { dir: dir.path().to_owned(), encryption, flush_rows: usize::MAX, ..LakeConfig::default() };
    let lake = open(&config);

    let (cpu, started) = (cpu_time(), Instant::now());
    let mut last = None;
    for batch in batches {
        last = Some(lake.append(batch, None).unwrap().durable);
    }
    last.unwrap().wait().unwrap();
    let stats = lake.stats();
    figures.note("append_cpu", nanos(cpu_time().saturating_sub(cpu), rows), "ns/flow");
    figures.note("append", rows as f64 / started.elapsed().as_secs_f64(), "flows/s");
    figures.note("wal_bytes", stats.wal_bytes as f64 / rows as f64, "bytes/flow");
    figures.note("hot_bytes", stats.hot_bytes as f64 / rows as f64, "bytes/flow");
    queries(&lake, "hot", figures);
    drop(lake);

    let started = Instant::now();
    let lake = open(&config);
    figures.note("recovery", rows as f64 / started.elapsed().as_secs_f64(), "flows/s");

    let (cpu, started) = (cpu_time(), Instant::now());
    lake.flush().unwrap();
    figures.note("flush_cpu", nanos(cpu_time().saturating_sub(cpu), rows), "ns/flow");
    figures.note("flush", rows as f64 / started.elapsed().as_secs_f64(), "flows/s");
    figures.note("file_bytes", lake.stats().file_bytes as f64 / rows as f64, "bytes/flow");
    queries(&lake, "cold", figures);
}

fn open(config: &LakeConfig) -> Lake {
    let keys = LakeKeys::new(&[("bench".to_owned(), [7; 32].into())]).unwrap();
    Lake::open(config.clone(), &keys, Arc::new(SystemClock::new()), &Metrics::new()).unwrap()
}

fn queries(lake: &Lake, name: &str, figures: &mut Figures) {
    let scope = Scope::of(TenantId::DEFAULT);
    let cases = [
        ("count", "SELECT count(*) FROM flows"),
        ("one_source", "SELECT * FROM flows WHERE src_ip = '10.0.77.77'"),
        ("either_end", "SELECT * FROM flows WHERE src_ip = '10.0.77.77' OR dst_ip = '10.0.77.77'"),
        (
            "one_host",
            "SELECT dst_ip, dst_port, protocol, sum(bytes), sum(packets), count(*) FROM flows WHERE src_ip = '10.0.3.7' \
             GROUP BY GROUPING SETS ((dst_ip), (dst_port, protocol))",
        ),
        ("top_talkers", "SELECT src_ip, sum(bytes) b FROM flows GROUP BY src_ip ORDER BY b DESC LIMIT 10"),
        (
            "bytes_a_minute",
            "SELECT date_trunc('minute', received) m, sum(bytes), count(*) FROM flows GROUP BY m ORDER BY m",
        ),
        (
            "ports",
            "SELECT dst_port, count(*) c FROM flows WHERE protocol = 6 GROUP BY dst_port ORDER BY c DESC LIMIT 10",
        ),
    ];
    for (case, sql) in cases {
        let mut best = Duration::MAX;
        for _ in 0..3 {
            let started = Instant::now();
            lake.query_blocking(&scope, sql, QueryLimits::default()).unwrap();
            best = best.min(started.elapsed());
        }
        figures.note(&format!("query_{name}/{case}"), best.as_secs_f64() * 1e3, "ms");
    }
}

fn rounded(value: f64, parts: f64) -> f64 {
    (value * parts).round() / parts
}

fn nanos(time: Duration, rows: usize) -> f64 {
    time.as_nanos() as f64 / rows as f64
}

/// Processor time of this process, all threads, in steps of 10 ms (proc(5): fields 14 and 15, a hundred a second).
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<u64> = stat.rsplit(')').next().unwrap().split(' ').map(|f| f.parse().unwrap_or(0)).collect();
    Duration::from_millis((fields[12] + fields[13]) * 10)
}

/// A fixed sequence of well-mixed numbers (splitmix64).
fn mix(n: u64) -> u64 {
    let mut x = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Thirty flows to a datagram of one exporter; 4,000 hosts inside of which some talk a lot; popular servers outside;
/// sizes over six orders of magnitude.
fn flows(batch: usize, now: Micros) -> Batch {
    let ids: Vec<u64> = (0..BATCH as u64).map(|i| batch as u64 * BATCH as u64 + i).collect();
    // Thirty minutes in all.
    let received = |n: u64| now.0 - (FLOWS as u64 - n / 30 * 30) as i64 * 900;
    let numbers =
        |f: &dyn Fn(u64) -> u64| -> ArrayRef { Arc::new(UInt64Array::from_iter_values(ids.iter().map(|n| f(*n)))) };
    let time = |f: &dyn Fn(u64) -> i64| -> ArrayRef {
        let values = ids.iter().map(|n| f(*n));
        Arc::new(TimestampMicrosecondArray::from_iter_values(values).with_timezone("+00:00"))
    };
    let ip = |f: &dyn Fn(u64) -> [u8; 4]| -> ArrayRef {
        Arc::new(FixedSizeBinaryArray::try_from_iter(ids.iter().map(|n| Ip::v4(f(*n)).0)).unwrap())
    };
    let label = |f: &dyn Fn(u64) -> &'static str| -> ArrayRef {
        Arc::new(ids.iter().map(|n| f(*n)).collect::<DictionaryArray<Int32Type>>())
    };
    let skewed = |n: u64, range: u64| {
        let unit = (mix(n) >> 11) as f64 / (1_u64 << 53) as f64;
        ((unit * unit * unit) * range as f64) as u64
    };
    let duration = |n: u64| (mix(n ^ 5) % 60_000_000) as i64;
    let packets = |n: u64| 1 + skewed(n ^ 7, 2_000);
    let bytes = |n: u64| packets(n) * (60 + mix(n ^ 9) % 1_400);
    let inside = |n: u64| [10, 0, (skewed(n ^ 1, 4_000) >> 8) as u8, skewed(n ^ 1, 4_000) as u8];
    let outside =
        |n: u64| (0x0808_0000_u32.wrapping_add((mix(skewed(n ^ 3, 50_000)) & 0xff_ffff) as u32)).to_be_bytes();
    let rows = ids.len();
    let columns = FlowField::ALL.iter().map(|field| -> ArrayRef {
        match field {
            FlowField::Batch => Arc::new(UInt64Array::from_value(0, rows)),
            FlowField::Row | FlowField::Domain => Arc::new(UInt32Array::from_value(0, rows)),
            FlowField::Received => time(&received),
            FlowField::Start => time(&|n| (received(n) - 1_000_000 - duration(n)) / 1_000 * 1_000),
            FlowField::End => time(&|n| (received(n) - 1_000_000) / 1_000 * 1_000),
            FlowField::Source => label(&|_| "netflow9"),
            FlowField::Exporter => ip(&|n| [192, 0, 2, (n / 30 % 4) as u8]),
            FlowField::SrcIp => ip(&inside),
            FlowField::DstIp => ip(&outside),
            FlowField::SrcPort => {
                Arc::new(UInt16Array::from_iter_values(ids.iter().map(|n| 32_768 + (mix(n ^ 0x0b) % 28_000) as u16)))
            }
            FlowField::DstPort => Arc::new(UInt16Array::from_iter_values(ids.iter().map(|n| {
                [443, 443, 443, 80, 53, 53, 22, 123, 8_080, (mix(*n) >> 40) as u16][(mix(n ^ 0x0d) % 10) as usize]
            }))),
            FlowField::Protocol => Arc::new(UInt8Array::from_iter_values(
                ids.iter().map(|n| if mix(n ^ 0x0f).is_multiple_of(4) { 17 } else { 6 }),
            )),
            FlowField::TcpFlags => Arc::new(UInt16Array::from_iter_values(
                ids.iter().map(|n| [2, 18, 27, 27, 27][(mix(n ^ 0x11) % 5) as usize]),
            )),
            FlowField::Bytes | FlowField::RawBytes => numbers(&bytes),
            FlowField::Packets | FlowField::RawPackets => numbers(&packets),
            FlowField::SamplingRate => Arc::new(UInt32Array::from_value(1, rows)),
            FlowField::Tos => Arc::new(UInt8Array::from_value(0, rows)),
            FlowField::InputIf => Arc::new(UInt32Array::from_iter_values(ids.iter().map(|n| 1 + (n % 4) as u32))),
            FlowField::OutputIf => Arc::new(UInt32Array::from_iter_values(ids.iter().map(|n| 5 + (n % 2) as u32))),
            FlowField::SrcCountry => label(&|_| "NZ"),
            FlowField::DstCountry => label(&|n| ["US", "US", "DE", "NL", "IE", "SG"][(mix(n ^ 0x13) % 6) as usize]),
            FlowField::Direction => label(&|n| if n.is_multiple_of(3) { "inbound" } else { "outbound" }),
            other => new_null_array(FLOW.schema().field(other.index()).data_type(), rows),
        }
    });
    let rows = RecordBatch::try_new(FLOW.schema(), columns.collect()).unwrap();
    Batch { tenant: TenantId::DEFAULT, class: &FLOW, received: Micros(received(ids[ids.len() - 1])), rows }
}
