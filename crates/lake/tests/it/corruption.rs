//! Damage on disk costs what was damaged, is counted, and everything else works.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use guardian_kit::metrics::Metrics;
use guardian_lake::{Lake, LakeKeys};
use guardian_model::Scope;

use crate::data::{clock, config, count, eventually, files_below, flows, lines, numbers, open, tenant};

fn flip(path: &Path, at: u64) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x40], at).unwrap();
}

fn filled(dir: &Path, batches: u32) {
    let lake = open(dir);
    for i in 0..batches {
        lake.append(&flows(tenant(1), i * 100, 100), None).unwrap().durable.wait().unwrap();
    }
    lake.shutdown().unwrap();
}

#[test]
fn a_cut_off_log_ends_at_the_last_good_record() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 10);
    let segment = files_below(&dir.path().join("wal"), "wal").remove(0);
    // Cut into the last record: the preallocated rest goes first.
    let lake = open(dir.path());
    drop(lake);
    let length = fs::metadata(&segment).unwrap().len();
    File::options().write(true).open(&segment).unwrap().set_len(length - 50).unwrap();
    let metrics = Metrics::new();
    let lake = Lake::open(config(dir.path()), &LakeKeys::none(), clock(), &metrics).unwrap();
    let scope = Scope::of(tenant(1));
    assert_eq!(numbers(&lake, &scope), (0..900).collect::<Vec<_>>());
    assert!(metrics.render().contains("guardian_lake_wal_torn_tails_total 1"), "{}", metrics.render());
    lake.append(&flows(tenant(1), 5_000, 100), None).unwrap().durable.wait().unwrap();
    drop(lake);
    assert_eq!(count(&open(dir.path()), &scope), 1_000);
}

#[test]
fn a_damaged_record_in_the_middle_is_skipped() {
    for (name, offset) in [("header", 30), ("magic", 1), ("body", 500)] {
        let dir = tempfile::tempdir().unwrap();
        filled(dir.path(), 10);
        drop(open(dir.path()));
        let segment = files_below(&dir.path().join("wal"), "wal").remove(0);
        let record = (fs::metadata(&segment).unwrap().len() - 16) / 10;
        flip(&segment, 16 + 4 * record + offset);
        let lake = open(dir.path());
        let left = numbers(&lake, &Scope::of(tenant(1)));
        assert_eq!(left.len(), 900, "{name}");
        assert!(!left.contains(&450), "{name}");
        assert_eq!(lake.stats().wal_damage, 1, "{name}");
    }
}

#[test]
fn a_damaged_parquet_file_is_set_aside() {
    type Damage = fn(&Path);
    let cases: [(&str, Damage); 4] = [
        ("truncated", |p| File::options().write(true).open(p).unwrap().set_len(200).unwrap()),
        ("footer", |p| flip(p, fs::metadata(p).unwrap().len() - 20)),
        ("pages", |p| (100..fs::metadata(p).unwrap().len() / 2).step_by(97).for_each(|at| flip(p, at))),
        ("empty", |p| File::options().write(true).open(p).unwrap().set_len(0).unwrap()),
    ];
    for (name, damage) in cases {
        let dir = tempfile::tempdir().unwrap();
        let lake = open(dir.path());
        for i in 0..3 {
            lake.append(&flows(tenant(1), i * 1_000, 1_000), None).unwrap();
            lake.flush().unwrap();
        }
        drop(lake);
        let file = files_below(&dir.path().join("tables"), "parquet").remove(1);
        damage(&file);
        let lake = open(dir.path());
        let scope = Scope::of(tenant(1));
        // What no query comes upon, the files' background check does.
        eventually("the file is found", || lake.stats().quarantined_files == 1);
        let sum = lines(&lake, &scope, "SELECT count(*), min(src_as), max(src_as) FROM flows");
        assert_eq!(sum, ["2000 0 2999"], "{name}");
        assert_eq!(files_below(&dir.path().join("quarantine"), "parquet").len(), 1, "{name}");
        drop(lake);
        assert_eq!(count(&open(dir.path()), &scope), 2_000, "{name}");
    }
}

/// A query that comes upon damage sets the file aside and answers from the rest.
#[test]
fn a_query_survives_damage_that_happens_while_the_lake_is_open() {
    let dir = tempfile::tempdir().unwrap();
    let lake = open(dir.path());
    for i in 0..3 {
        lake.append(&flows(tenant(1), i * 1_000, 1_000), None).unwrap();
        lake.flush().unwrap();
    }
    let file = files_below(&dir.path().join("tables"), "parquet").remove(1);
    let length = fs::metadata(&file).unwrap().len();
    (4..length * 2 / 3).step_by(3).for_each(|at| flip(&file, at));
    let sum = lines(&lake, &Scope::of(tenant(1)), "SELECT count(src_as), min(src_as), max(src_as) FROM flows");
    assert_eq!(sum, ["2000 0 2999"]);
    assert_eq!(lake.stats().quarantined_files, 1);
}

#[test]
fn a_damaged_manifest_is_rebuilt_from_the_files() {
    type Damage = fn(&Path);
    let cases: [(&str, Damage); 4] = [
        ("missing", |p| fs::remove_file(p).unwrap()),
        ("empty", |p| fs::write(p, b"").unwrap()),
        ("bits", |p| flip(p, 40)),
        ("garbage", |p| fs::write(p, b"garbage\nmore garbage\n").unwrap()),
    ];
    for (name, damage) in cases {
        let dir = tempfile::tempdir().unwrap();
        let lake = open(dir.path());
        for i in 0..3 {
            lake.append(&flows(tenant(1), i * 1_000, 1_000), None).unwrap();
            lake.flush().unwrap();
        }
        lake.append(&flows(tenant(1), 3_000, 500), None).unwrap();
        drop(lake);
        damage(&dir.path().join("manifest"));
        let lake = open(dir.path());
        assert_eq!(numbers(&lake, &Scope::of(tenant(1))), (0..3_500).collect::<Vec<_>>(), "{name}");
        assert!(lake.append(&flows(tenant(1), 3_500, 1), None).unwrap().id > 4, "{name}");
    }
}

#[test]
fn a_cut_off_change_of_the_manifest_did_not_happen() {
    let dir = tempfile::tempdir().unwrap();
    let lake = open(dir.path());
    lake.append(&flows(tenant(1), 0, 1_000), None).unwrap();
    lake.flush().unwrap();
    lake.append(&flows(tenant(1), 1_000, 1_000), None).unwrap();
    lake.flush().unwrap();
    drop(lake);
    let manifest = dir.path().join("manifest");
    let length = fs::metadata(&manifest).unwrap().len();
    File::options().write(true).open(&manifest).unwrap().set_len(length - 5).unwrap();
    // The second file is an orphan now, and its rows come from the log.
    let lake = open(dir.path());
    assert_eq!(numbers(&lake, &Scope::of(tenant(1))), (0..2_000).collect::<Vec<_>>());
    assert_eq!(lake.stats().files, 1);
    assert_eq!(files_below(&dir.path().join("tables"), "parquet").len(), 1);
}

#[test]
fn garbage_in_the_directory_is_no_obstacle() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 2);
    fs::write(dir.path().join("wal/00000000000000000000.wal"), vec![0xa5; 10_000]).unwrap();
    fs::write(dir.path().join("wal/00000000000000900000.wal"), b"").unwrap();
    fs::create_dir_all(dir.path().join("tables/x")).unwrap();
    fs::write(dir.path().join("tables/x/half.tmp"), b"half").unwrap();
    let lake = open(dir.path());
    assert_eq!(count(&lake, &Scope::of(tenant(1))), 200);
    assert!(!dir.path().join("tables/x/half.tmp").exists());
}
