//! From memory to files: flushing, merging, retention, and one writer at a time.

use guardian_kit::config::{ByteSize, Duration};
use guardian_kit::metrics::Metrics;
use guardian_lake::{Lake, LakeConfig, LakeError, LakeKeys};
use guardian_model::{Micros, Scope};

use crate::data::{
    START, assert_same_rows, clock, config, count, eventually, files_below, flows, flows_at, lines, numbers, open,
    open_with, tenant,
};

#[test]
fn rows_are_visible_at_once_and_survive() {
    let dir = tempfile::tempdir().unwrap();
    let scope = Scope::of(tenant(1));
    let lake = open(dir.path());
    let first = lake.append(&flows(tenant(1), 0, 500), Some(7)).unwrap();
    assert_eq!(count(&lake, &scope), 500);
    first.durable.wait().unwrap();
    let second = lake.append(&flows(tenant(1), 500, 500), None).unwrap();
    assert_eq!(second.id, first.id + 1);
    lake.shutdown().unwrap();
    assert!(matches!(lake.append(&flows(tenant(1), 0, 1), None), Err(LakeError::Closed)));
    drop(lake);
    let lake = open(dir.path());
    assert_eq!(numbers(&lake, &scope), (0..1_000).collect::<Vec<_>>());
    assert_eq!(lake.last_mark(&guardian_model::FLOW), Some(7));
    assert!(lake.append(&flows(tenant(1), 0, 1), None).unwrap().id > second.id);
}

/// The same question has the same answer from memory, from the log and from files.
#[test]
fn memory_log_and_files_agree() {
    let dir = tempfile::tempdir().unwrap();
    let scope = Scope::of(tenant(1));
    let sql = "SELECT * FROM flows ORDER BY batch, row";
    let lake = open(dir.path());
    for i in 0..4 {
        lake.append(&flows(tenant(1), i * 250, 250), None).unwrap();
    }
    let memory = lines(&lake, &scope, sql);
    assert_eq!(memory.len(), 1_000);
    drop(lake);
    let lake = open(dir.path());
    assert_eq!(lines(&lake, &scope, sql), memory);
    lake.flush().unwrap();
    assert_eq!((lake.stats().hot_rows, lake.stats().files), (0, 1));
    assert_eq!(lines(&lake, &scope, sql), memory);
    drop(lake);
    let lake = open(dir.path());
    assert_eq!(lines(&lake, &scope, sql), memory);
    let path = files_below(&dir.path().join("tables"), "parquet").remove(0);
    let text = path.display().to_string();
    assert!(text.contains(&format!("tenant={}/class=flows/day={}", tenant(1), Micros(START).day())), "{text}");
}

#[test]
fn batches_come_back_as_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let lake = open(dir.path());
    let sent = [flows(tenant(1), 0, 300), flows_at(tenant(2), 300, 1, START, Some("demo")), flows(tenant(1), 301, 77)];
    let ids: Vec<u64> = sent.iter().map(|b| lake.append(b, None).unwrap().id).collect();
    lake.hold_wal_from(ids[0]);
    lake.flush().unwrap();
    let back: Vec<_> = lake.replay_from(ids[1]).unwrap().map(Result::unwrap).collect();
    assert_eq!(back.iter().map(|(id, _)| *id).collect::<Vec<_>>(), ids[1..]);
    for ((_, got), want) in back.iter().zip(&sent[1..]) {
        assert_eq!((got.tenant, got.received), (want.tenant, want.received));
        assert_same_rows(&got.rows, &want.rows);
    }
}

#[test]
fn the_log_is_kept_as_long_as_it_is_held() {
    let dir = tempfile::tempdir().unwrap();
    let small = LakeConfig { wal_segment: ByteSize::kib(64), flush_rows: 1_000, ..config(dir.path()) };
    let lake = open_with(small.clone());
    lake.hold_wal_from(0);
    let mut last = 0;
    for i in 0..60 {
        last = lake.append(&flows(tenant(1), i * 1_000, 1_000), None).unwrap().id;
    }
    lake.flush().unwrap();
    let segments = || files_below(&dir.path().join("wal"), "wal").len();
    assert!(segments() > 10);
    assert_eq!(lake.replay_from(0).unwrap().count(), 60);
    lake.hold_wal_from(last);
    eventually("the log is trimmed", || segments() <= 3);
    assert!(lake.replay_from(last).unwrap().count() == 1);
    drop(lake);
    let lake = open_with(small);
    assert_eq!(count(&lake, &Scope::of(tenant(1))), 60_000);
    assert!(lake.replay_from(last).unwrap().count() == 1, "the hold is kept over a restart");
}

#[test]
fn small_files_are_merged() {
    let dir = tempfile::tempdir().unwrap();
    let lake =
        open_with(LakeConfig { compact_rows: 2_000_000, compact_rows_per_second: 100_000_000, ..config(dir.path()) });
    let scope = Scope::of(tenant(1));
    for i in 0..20 {
        lake.append(&flows(tenant(1), i * 100, 100), None).unwrap();
        lake.flush().unwrap();
    }
    eventually("files are merged", || lake.stats().files <= 6);
    assert_eq!(numbers(&lake, &scope), (0..2_000).collect::<Vec<_>>());
    let identities = lines(&lake, &scope, "SELECT count(DISTINCT batch), max(row) FROM flows");
    assert_eq!(identities, ["20 99"]);
    eventually("merged files are removed", || files_below(&dir.path().join("tables"), "parquet").len() <= 6);
    drop(lake);
    assert_eq!(count(&open(dir.path()), &scope), 2_000);
}

#[test]
fn what_is_too_old_or_too_much_goes() {
    let dir = tempfile::tempdir().unwrap();
    let now = clock().now().0;
    let day = Micros::DAY;
    let lake = open(dir.path());
    for (i, age) in [100, 50, 3, 2, 1].into_iter().enumerate() {
        lake.append(&flows_at(tenant(1), i as u32 * 3_000, 3_000, now - age * day, None), None).unwrap();
        lake.flush().unwrap();
    }
    let bytes = lake.stats().file_bytes;
    drop(lake);
    let scope = Scope::of(tenant(1));
    let metrics = Metrics::new();
    let aged = LakeConfig { keep: Duration::days(90), ..config(dir.path()) };
    let lake = Lake::open(aged, &LakeKeys::none(), clock(), &metrics).unwrap();
    eventually("the oldest day expires", || count(&lake, &scope) == 12_000);
    assert_eq!(lake.stats().expired_files, 1);
    drop(lake);
    let wal = 256 * 1024;
    let small = LakeConfig { max_size: ByteSize(bytes / 2 + wal), ..config(dir.path()) };
    let lake = Lake::open(small, &LakeKeys::none(), clock(), &Metrics::new()).unwrap();
    eventually("the oldest files go", || lake.stats().evicted_files >= 1);
    let left = numbers(&lake, &scope);
    assert!(left.contains(&14_999) && !left.contains(&3_000), "the newest stay: {}", left.len());
}

#[test]
fn one_writer_and_many_readers() {
    let dir = tempfile::tempdir().unwrap();
    let lake = open(dir.path());
    lake.append(&flows(tenant(1), 0, 100), None).unwrap();
    lake.flush().unwrap();
    lake.append(&flows(tenant(1), 100, 100), None).unwrap().durable.wait().unwrap();
    assert!(matches!(
        Lake::open(config(dir.path()), &LakeKeys::none(), clock(), &Metrics::new()),
        Err(LakeError::Locked(_))
    ));
    let reader = Lake::open_read_only(config(dir.path()), &LakeKeys::none(), clock(), &Metrics::new()).unwrap();
    assert_eq!(count(&reader, &Scope::of(tenant(1))), 200);
    assert!(matches!(reader.append(&flows(tenant(1), 0, 1), None), Err(LakeError::OpenedReadOnly)));
    drop(lake);
    assert!(Lake::open(config(dir.path()), &LakeKeys::none(), clock(), &Metrics::new()).is_ok());
}

/// Queries that run while rows move from memory to files and files are merged see each row once.
#[test]
fn a_snapshot_is_consistent_while_files_change() {
    let dir = tempfile::tempdir().unwrap();
    let lake = open_with(LakeConfig {
        flush_rows: 2_000,
        compact_rows: 50_000,
        compact_rows_per_second: 100_000_000,
        ..config(dir.path())
    });
    let scope = Scope::of(tenant(1));
    let appending = {
        let lake = lake.clone();
        std::thread::spawn(move || {
            (0..150).for_each(|i| drop(lake.append(&flows(tenant(1), i * 500, 500), None).unwrap()));
        })
    };
    let mut last = 0;
    while !appending.is_finished() {
        let rows = lines(&lake, &scope, "SELECT count(*), count(DISTINCT src_as), max(src_as) + 1 FROM flows");
        let cells: Vec<i64> = rows[0].split(' ').map(|c| c.parse().unwrap_or(0)).collect();
        assert!(cells[0] == cells[1] && cells[0] == cells[2] && cells[0] >= last, "{rows:?} after {last}");
        last = cells[0];
    }
    appending.join().unwrap();
    assert_eq!(count(&lake, &scope), 75_000);
}
