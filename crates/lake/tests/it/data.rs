//! Flows and findings for the tests, and short ways to ask.

use std::path::Path;
use std::sync::Arc;

use arrow::array::DictionaryArray;
use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeBinaryArray, TimestampMicrosecondArray, UInt8Array, UInt16Array, UInt32Array,
    UInt64Array, new_null_array,
};
use arrow::datatypes::{Int32Type, Int64Type};
use arrow::record_batch::RecordBatch;
use guardian_kit::clock::{Clock, SystemClock};
use guardian_kit::config::{ByteSize, Duration};
use guardian_kit::metrics::Metrics;
use guardian_lake::{Lake, LakeConfig, LakeError, LakeKeys, QueryLimits};
use guardian_model::{Batch, FLOW, FlowField, Ip, Micros, Scope, TenantId, cell_text};

pub(crate) const START: i64 = 1_790_000_000_000_000;

pub(crate) fn tenant(n: u128) -> TenantId {
    TenantId(uuid::Uuid::from_u128(n))
}

pub(crate) fn config(dir: &Path) -> LakeConfig {
    LakeConfig {
        dir: dir.to_owned(),
        wal_segment: ByteSize::kib(256),
        commit_interval: Duration::millis(2),
        min_free: ByteSize::mib(1),
        keep: Duration::days(36_500),
        query_threads: 2,
        // The days of the test data are over: without this, files would be merged under the tests' feet.
        compact_rows: 1,
        ..LakeConfig::default()
    }
}

pub(crate) fn open(dir: &Path) -> Lake {
    open_with(config(dir))
}

pub(crate) fn open_with(config: LakeConfig) -> Lake {
    // A query's threads may let go of a lake a moment after its answer, and after whoever asked.
    for _ in 0..100 {
        match Lake::open(config.clone(), &keys(&[("first", 1)]), clock(), &Metrics::new()) {
            Err(LakeError::Locked(_)) => std::thread::sleep(std::time::Duration::from_millis(50)),
            lake => return lake.unwrap(),
        }
    }
    panic!("the lake is still open elsewhere")
}

/// Lake keys by id, of one byte each.
pub(crate) fn keys(list: &[(&str, u8)]) -> LakeKeys {
    let keys: Vec<_> = list.iter().map(|(id, byte)| ((*id).to_owned(), [*byte; 32].into())).collect();
    LakeKeys::new(&keys).unwrap()
}

pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock::new())
}

/// Flows `first..first + count`; everything in a row follows from its number, which is in `src_as`.
pub(crate) fn flows(tenant: TenantId, first: u32, count: u32) -> Batch {
    flows_at(tenant, first, count, START, None)
}

pub(crate) fn flows_at(tenant: TenantId, first: u32, count: u32, base: i64, replay: Option<&str>) -> Batch {
    let numbers: Vec<u32> = (first..first + count).collect();
    let rows = numbers.len();
    let time = |offset: i64| -> ArrayRef {
        let values = numbers.iter().map(|n| base + i64::from(*n) * 1_000 + offset);
        Arc::new(TimestampMicrosecondArray::from_iter_values(values).with_timezone("+00:00"))
    };
    let ip = |f: fn(u32) -> Ip| -> ArrayRef {
        Arc::new(FixedSizeBinaryArray::try_from_iter(numbers.iter().map(|n| f(*n).0)).unwrap())
    };
    let label = |f: &dyn Fn(u32) -> Option<String>| -> ArrayRef {
        let values: Vec<Option<String>> = numbers.iter().map(|n| f(*n)).collect();
        Arc::new(values.iter().map(Option::as_deref).collect::<DictionaryArray<Int32Type>>())
    };
    let columns: Vec<ArrayRef> =
        FlowField::ALL
            .iter()
            .map(|field| -> ArrayRef {
                match field {
                    FlowField::Batch => Arc::new(UInt64Array::from_value(0, rows)),
                    FlowField::Row => Arc::new(UInt32Array::from_value(0, rows)),
                    FlowField::Received => time(0),
                    FlowField::Start => time(-2_000_000),
                    FlowField::End => time(-1_000_000),
                    FlowField::Source => label(&|_| Some("netflow9".into())),
                    FlowField::Exporter => ip(|n| Ip::v4([192, 0, 2, (n % 3) as u8])),
                    FlowField::SrcIp => ip(|n| Ip::v4([10, 0, (n >> 8) as u8, n as u8])),
                    FlowField::DstIp => ip(|n| {
                        if n % 7 == 0 { "2001:db8::7".parse().unwrap() } else { Ip::v4([203, 0, 113, (n % 20) as u8]) }
                    }),
                    FlowField::SrcPort => {
                        Arc::new(UInt16Array::from_iter_values(numbers.iter().map(|n| 1024 + (n % 60_000) as u16)))
                    }
                    FlowField::DstPort => Arc::new(UInt16Array::from_iter_values(
                        numbers.iter().map(|n| [443, 53, 22, 80][(n % 4) as usize]),
                    )),
                    FlowField::Protocol => {
                        Arc::new(UInt8Array::from_iter_values(numbers.iter().map(|n| if n % 4 == 1 { 17 } else { 6 })))
                    }
                    FlowField::TcpFlags => Arc::new(UInt16Array::from_value(27, rows)),
                    FlowField::Bytes | FlowField::RawBytes => {
                        Arc::new(UInt64Array::from_iter_values(numbers.iter().map(|n| 100 + u64::from(*n))))
                    }
                    FlowField::Packets | FlowField::RawPackets => {
                        Arc::new(UInt64Array::from_iter_values(numbers.iter().map(|n| 1 + u64::from(n % 9))))
                    }
                    FlowField::RevBytes => {
                        Arc::new(numbers.iter().map(|n| (n % 2 == 0).then_some(u64::from(*n))).collect::<UInt64Array>())
                    }
                    FlowField::Domain | FlowField::SamplingRate => Arc::new(UInt32Array::from_value(1, rows)),
                    FlowField::SrcAs => Arc::new(UInt32Array::from(numbers.clone())),
                    FlowField::Direction => {
                        label(&|n| (n % 5 != 0).then(|| ["inbound", "outbound"][(n % 2) as usize].into()))
                    }
                    FlowField::Replay => label(&|_| replay.map(str::to_owned)),
                    other => new_null_array(FLOW.schema().field(other.index()).data_type(), rows),
                }
            })
            .collect();
    let received = Micros(base + i64::from(first + count) * 1_000);
    Batch { tenant, class: &FLOW, received, rows: RecordBatch::try_new(FLOW.schema(), columns).unwrap() }
}

pub(crate) fn ask(lake: &Lake, scope: &Scope, sql: &str) -> Result<Vec<RecordBatch>, LakeError> {
    lake.query_blocking(scope, sql, QueryLimits::default()).map(|(_, batches, _)| batches)
}

/// The result as lines of cells separated by blanks.
pub(crate) fn table(batches: &[RecordBatch]) -> Vec<String> {
    let row =
        |b: &RecordBatch, i: usize| b.columns().iter().map(|c| cell_text(c.as_ref(), i)).collect::<Vec<_>>().join(" ");
    batches.iter().flat_map(|b| (0..b.num_rows()).map(move |i| row(b, i))).collect()
}

pub(crate) fn lines(lake: &Lake, scope: &Scope, sql: &str) -> Vec<String> {
    match ask(lake, scope, sql) {
        Ok(batches) => table(&batches),
        Err(error) => panic!("{sql}: {error}"),
    }
}

pub(crate) fn count(lake: &Lake, scope: &Scope) -> i64 {
    let batches = ask(lake, scope, "SELECT count(*) FROM flows").unwrap();
    batches[0].column(0).as_primitive::<Int64Type>().value(0)
}

/// The numbers of all rows, sorted.
pub(crate) fn numbers(lake: &Lake, scope: &Scope) -> Vec<u32> {
    let batches = ask(lake, scope, "SELECT src_as FROM flows").unwrap();
    let mut numbers: Vec<u32> = batches
        .iter()
        .flat_map(|b| b.column(0).as_primitive::<arrow::datatypes::UInt32Type>().values().to_vec())
        .collect();
    numbers.sort_unstable();
    numbers
}

/// Waits until a condition holds; panics with `what` after ten seconds.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..500 {
        if condition() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    panic!("{what} did not happen");
}

pub(crate) fn files_below(dir: &Path, extension: &str) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|e| e == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

pub(crate) fn assert_same_rows(a: &RecordBatch, b: &RecordBatch) {
    for (field, (x, y)) in a.schema().fields().iter().zip(a.columns().iter().zip(b.columns())) {
        if ["batch", "row"].contains(&field.name().as_str()) {
            continue;
        }
        assert_eq!(x.len(), y.len());
        for i in 0..x.len() {
            assert_eq!(cell_text(x.as_ref(), i), cell_text(y.as_ref(), i), "{} of row {i}", field.name());
        }
    }
}
