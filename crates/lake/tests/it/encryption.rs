//! Encrypted files: nothing can be read without the key, nothing can be changed unnoticed, and everything else is as it
//! is without.

use std::fs;
use std::path::{Path, PathBuf};

use guardian_kit::config::ByteSize;
use guardian_kit::metrics::Metrics;
use guardian_lake::{Lake, LakeConfig, LakeError, LakeKeys, snapshot};
use guardian_model::Scope;

use crate::data::{ask, clock, config, count, eventually, files_below, flows, keys, lines, numbers, open_with, tenant};

/// Bytes of the head of an encrypted segment, and of a record's header.
const HEAD: usize = 256;
const HEADER: usize = 72;

fn sealed(dir: &Path) -> LakeConfig {
    LakeConfig { encryption: true, ..config(dir) }
}

fn with_keys(config: LakeConfig, keys: &LakeKeys) -> Result<Lake, LakeError> {
    Lake::open(config, keys, clock(), &Metrics::new())
}

fn one() -> Scope {
    Scope::of(tenant(1))
}

fn all_files(dir: &Path) -> Vec<PathBuf> {
    ["parquet", "wal", "tmp"].iter().flat_map(|ending| files_below(dir, ending)).chain([dir.join("manifest")]).collect()
}

fn holds(path: &Path, text: &[u8]) -> bool {
    fs::read(path).unwrap().windows(text.len()).any(|window| window == text)
}

fn filled(config: LakeConfig, batches: u32) {
    let lake = open_with(config);
    for i in 0..batches {
        lake.append(&flows(tenant(1), i * 100, 100), None).unwrap().durable.wait().unwrap();
    }
    lake.shutdown().unwrap();
}

#[test]
fn what_is_on_disk_tells_nothing_and_answers_are_the_same() {
    let questions = [
        "SELECT count(*), sum(bytes), min(src_as), max(src_as) FROM flows",
        "SELECT src_as, bytes FROM flows WHERE src_ip = '10.0.3.77' ORDER BY 1",
        "SELECT src_as FROM flows WHERE received >= '2026-09-21T14:13:23Z' AND dst_port = 53 ORDER BY 1",
        "SELECT protocol, count(*), sum(rev_bytes) FROM flows GROUP BY 1 ORDER BY 1",
        "SELECT date_trunc('minute', received) m, sum(bytes), count(*) FROM flows GROUP BY m ORDER BY m",
    ];
    let mut answers = Vec::new();
    for encrypted in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let config = LakeConfig { encryption: encrypted, ..config(dir.path()) };
        let lake = open_with(config.clone());
        for i in 0..4 {
            lake.append(&flows(tenant(1), i * 10_000, 10_000), None).unwrap();
            lake.flush().unwrap();
        }
        lake.append(&flows(tenant(1), 40_000, 1_000), None).unwrap();
        drop(lake);
        let lake = open_with(config);
        let answer = || questions.map(|sql| lines(&lake, &one(), sql));
        answers.push(answer());
        assert_eq!(answer(), answers[answers.len() - 1], "again, with footers that were kept");
        // A label, and the names of columns.
        for marker in ["netflow9", "src_ip"] {
            let found: Vec<_> = all_files(dir.path()).into_iter().filter(|p| holds(p, marker.as_bytes())).collect();
            assert_eq!(found.is_empty(), encrypted, "{marker}: {found:?}");
        }
    }
    assert_eq!(answers[0], answers[1]);
}

#[test]
fn plain_and_encrypted_files_are_read_together_and_merged_to_encrypted_ones() {
    let dir = tempfile::tempdir().unwrap();
    let is_sealed = |p: &PathBuf| fs::read(p).unwrap().starts_with(b"PARE");
    for round in 0..4 {
        // Off, on, off, on; some rows stay in the log each time.
        let lake = open_with(LakeConfig { encryption: round % 2 == 1, ..config(dir.path()) });
        assert_eq!(numbers(&lake, &one()), (0..round * 1_500).collect::<Vec<_>>());
        lake.append(&flows(tenant(1), round * 1_500, 1_000), None).unwrap();
        lake.flush().unwrap();
        lake.append(&flows(tenant(1), round * 1_500 + 1_000, 500), None).unwrap();
        lake.shutdown().unwrap();
    }
    let files = files_below(&dir.path().join("tables"), "parquet");
    assert_eq!((files.len(), files.iter().filter(|p| is_sealed(p)).count()), (4, 2));
    let lake = open_with(LakeConfig { compact_rows: 1_000_000, ..sealed(dir.path()) });
    eventually("the files are merged", || lake.stats().files == 1);
    assert_eq!(numbers(&lake, &one()), (0..6_000).collect::<Vec<_>>());
    let replayed: usize = lake.replay_from(0).unwrap().map(|r| r.unwrap().1.rows.num_rows()).sum();
    assert!(replayed >= 500, "{replayed}");
    eventually("the old files go", || files_below(dir.path(), "parquet").len() == 2);
    assert!(files_below(dir.path(), "parquet").iter().all(is_sealed), "the roll-up too");
}

#[test]
fn a_torn_tail_ends_at_the_last_whole_record() {
    let dir = tempfile::tempdir().unwrap();
    filled(sealed(dir.path()), 10);
    let segment = files_below(&dir.path().join("wal"), "wal").remove(0);
    drop(open_with(sealed(dir.path())));
    let length = fs::metadata(&segment).unwrap().len();
    fs::File::options().write(true).open(&segment).unwrap().set_len(length - 50).unwrap();
    let metrics = Metrics::new();
    let lake = Lake::open(sealed(dir.path()), &keys(&[("first", 1)]), clock(), &metrics).unwrap();
    assert_eq!(numbers(&lake, &one()), (0..900).collect::<Vec<_>>());
    assert!(metrics.render().contains("guardian_lake_wal_torn_tails_total 1"), "{}", metrics.render());
    lake.append(&flows(tenant(1), 5_000, 100), None).unwrap().durable.wait().unwrap();
    drop(lake);
    assert_eq!(count(&open_with(sealed(dir.path())), &one()), 1_000);
}

/// Makes the checksums of the record at `at` fit what it is now.
fn fit(bytes: &mut [u8], at: usize) {
    let length = u32::from_le_bytes(bytes[at + 16..at + 20].try_into().unwrap()) as usize;
    let body = crc32fast::hash(&bytes[at + HEADER..at + HEADER + length]);
    bytes[at + 20..at + 24].copy_from_slice(&body.to_le_bytes());
    let header = crc32fast::hash(&bytes[at + 8..at + HEADER]);
    bytes[at + 4..at + 8].copy_from_slice(&header.to_le_bytes());
}

/// Where the records of a segment begin, and where the last one ends.
fn records(bytes: &[u8]) -> Vec<usize> {
    let mut at = HEAD;
    let mut found = vec![at];
    while bytes.len() > at + HEADER && bytes[at..at + 4] == *b"GWR1" {
        let length = u32::from_le_bytes(bytes[at + 16..at + 20].try_into().unwrap()) as usize;
        at += (HEADER + length).next_multiple_of(8);
        found.push(at);
    }
    found
}

#[test]
fn records_that_were_changed_moved_or_taken_out_are_noticed() {
    type Change = fn(&mut Vec<u8>, &[usize]);
    let cases: [(&str, Change); 5] = [
        ("changed, with checksums that fit", |bytes, at| {
            bytes[at[4] + HEADER + 9] ^= 1;
            fit(bytes, at[4]);
        }),
        ("another tenant's", |bytes, at| {
            bytes[at[4] + 47] ^= 3;
            fit(bytes, at[4]);
        }),
        ("swapped", |bytes, at| {
            let one = bytes[at[4]..at[5]].to_vec();
            let two = bytes[at[5]..at[6]].to_vec();
            bytes.splice(at[4]..at[6], two.into_iter().chain(one));
        }),
        ("taken out", |bytes, at| drop(bytes.drain(at[4]..at[5]))),
        ("wiped", |bytes, at| bytes[at[4]..at[5]].fill(0)),
    ];
    for (name, change) in cases {
        let dir = tempfile::tempdir().unwrap();
        filled(sealed(dir.path()), 10);
        drop(open_with(sealed(dir.path())));
        let segment = files_below(&dir.path().join("wal"), "wal").remove(0);
        let mut bytes = fs::read(&segment).unwrap();
        let at = records(&bytes);
        assert_eq!(at.len(), 11);
        change(&mut bytes, &at);
        fs::write(&segment, &bytes).unwrap();
        let lake = open_with(sealed(dir.path()));
        assert!(lake.stats().wal_damage >= 1, "{name}");
        let left = numbers(&lake, &Scope::of_all([tenant(1), tenant(2)]));
        assert!(left.len() < 1_000 && left.iter().all(|n| *n < 1_000), "{name}: {} rows", left.len());
        assert!(!left.contains(&450), "{name}");
    }
}

#[test]
fn an_end_that_was_cut_off_and_a_segment_that_was_taken_out_are_noticed() {
    for (name, whole) in [("the end of the first", false), ("the second", true)] {
        let dir = tempfile::tempdir().unwrap();
        let small = || LakeConfig { wal_segment: ByteSize::kib(64), ..sealed(dir.path()) };
        filled(small(), 200);
        drop(open_with(small()));
        let segments = files_below(&dir.path().join("wal"), "wal");
        assert!(segments.len() > 4, "{}", segments.len());
        assert_eq!(open_with(small()).stats().wal_damage, 0, "as long as nobody touches them");
        if whole {
            fs::remove_file(&segments[1]).unwrap();
        } else {
            // A cut between two records leaves no trace in the segment itself.
            let bytes = fs::read(&segments[0]).unwrap();
            let at = records(&bytes);
            fs::write(&segments[0], &bytes[..at[at.len() - 2]]).unwrap();
        }
        let lake = open_with(small());
        assert_eq!(lake.stats().wal_damage, 1, "{name}");
        assert!(count(&lake, &one()) < 20_000, "{name}");
    }
}

/// Writes the true checksums of all files into the manifest, as somebody who changed them would.
fn fit_manifest(dir: &Path) {
    let manifest = dir.join("manifest");
    let mut fitted = String::new();
    for line in fs::read_to_string(&manifest).unwrap().lines() {
        let mut change: serde_json::Value = serde_json::from_str(&line[9..]).unwrap();
        for file in change.get_mut("add").and_then(|add| add.as_array_mut()).into_iter().flatten() {
            let bytes = fs::read(dir.join(file["path"].as_str().unwrap())).unwrap();
            file["bytes"] = bytes.len().into();
            file["crc"] = crc32fast::hash(&bytes).into();
        }
        let json = serde_json::to_string(&change).unwrap();
        fitted += &format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes()));
    }
    fs::write(manifest, fitted).unwrap();
}

#[test]
fn files_that_were_changed_or_swapped_are_set_aside() {
    for (name, swap) in [("changed", false), ("swapped", true)] {
        let dir = tempfile::tempdir().unwrap();
        let lake = open_with(sealed(dir.path()));
        for i in 0..3 {
            lake.append(&flows(tenant(1), i * 1_000, 1_000), None).unwrap();
            lake.flush().unwrap();
        }
        drop(lake);
        let files = files_below(&dir.path().join("tables"), "parquet");
        if swap {
            fs::copy(&files[0], &files[1]).unwrap();
        } else {
            let mut bytes = fs::read(&files[1]).unwrap();
            (100..bytes.len() / 2).step_by(7).for_each(|at| bytes[at] ^= 1);
            fs::write(&files[1], bytes).unwrap();
        }
        fit_manifest(dir.path());
        let lake = open_with(sealed(dir.path()));
        let sum = lines(&lake, &one(), "SELECT count(src_as), min(src_as), max(src_as) FROM flows");
        assert_eq!(sum, ["2000 0 2999"], "{name}");
        assert_eq!(lake.stats().quarantined_files, 1, "{name}");
    }
}

#[test]
fn a_missing_key_closes_its_files_alone() {
    let dir = tempfile::tempdir().unwrap();
    let lake = with_keys(sealed(dir.path()), &keys(&[("first", 1)])).unwrap();
    lake.append(&flows(tenant(1), 0, 1_000), None).unwrap();
    lake.shutdown().unwrap();
    drop(lake);

    // Rows that are in the log alone: without them nothing starts, and nothing is lost.
    let refused = with_keys(sealed(dir.path()), &keys(&[("second", 2)])).map(drop).unwrap_err();
    assert!(matches!(&refused, LakeError::Key { key, .. } if key == "first"), "{refused}");
    assert!(refused.to_string().contains("wal/0000") && refused.to_string().contains("guardian keys"), "{refused}");

    let rotated = keys(&[("second", 2), ("first", 1)]);
    let lake = with_keys(sealed(dir.path()), &rotated).unwrap();
    lake.flush().unwrap();
    lake.append(&flows(tenant(2), 0, 1_000), None).unwrap();
    lake.flush().unwrap();
    eventually("the old log goes", || files_below(&dir.path().join("wal"), "wal").len() == 1);
    drop(lake);
    let manifest = fs::read_to_string(dir.path().join("manifest")).unwrap();
    assert_eq!(["first", "second"].map(|key| manifest.matches(&format!("\"key\":\"{key}\"")).count()), [0, 4]);
    // One file of the old key, and one of the new.
    let lake = with_keys(sealed(dir.path()), &keys(&[("third", 3), ("second", 2)])).unwrap();
    lake.append(&flows(tenant(1), 1_000, 1_000), None).unwrap();
    lake.flush().unwrap();
    eventually("the old log goes", || files_below(&dir.path().join("wal"), "wal").len() == 1);
    drop(lake);

    for (held, why) in [(keys(&[("third", 3)]), "not among"), (keys(&[("third", 3), ("second", 9)]), "does not open")] {
        let merging = LakeConfig { compact_rows: 1_000_000, encryption: false, ..config(dir.path()) };
        let lake = with_keys(merging, &held).unwrap();
        let newer = "SELECT count(*), min(src_as) FROM flows WHERE received >= '2026-09-21T14:13:21Z'";
        assert_eq!(lines(&lake, &one(), newer), ["1000 1000"], "files whose keys are there answer");
        for scope in [one(), Scope::of(tenant(2))] {
            let error = ask(&lake, &scope, "SELECT sum(src_as) FROM flows").unwrap_err().to_string();
            assert!(error.contains("second") && error.contains(why) && error.contains("tables/tenant="), "{error}");
        }
        // Merging goes round them, and nothing is thrown away.
        for i in 0..8 {
            lake.append(&flows(tenant(3), i * 100, 100), None).unwrap();
            lake.flush().unwrap();
        }
        eventually("others are merged", || lake.stats().compactions > 0);
        assert_eq!(lake.stats().quarantined_files, 0);
        assert_eq!(lake.clear_replay(&Scope::of(tenant(3)), None).unwrap().rows, 0);
        lake.shutdown().unwrap();
    }
    let everything = keys(&[("third", 3), ("second", 2)]);
    let lake = with_keys(sealed(dir.path()), &everything).unwrap();
    assert_eq!(numbers(&lake, &one()), (0..2_000).collect::<Vec<_>>());
    assert_eq!(count(&lake, &Scope::of(tenant(2))), 1_000);
}

#[test]
fn a_running_lake_takes_a_new_key() {
    let dir = tempfile::tempdir().unwrap();
    let shared = keys(&[("first", 1)]);
    let lake = with_keys(sealed(dir.path()), &shared).unwrap();
    lake.append(&flows(tenant(1), 0, 1_000), None).unwrap();
    lake.flush().unwrap();
    shared.replace(&[("second".to_owned(), [2; 32].into()), ("first".to_owned(), [1; 32].into())]).unwrap();
    lake.append(&flows(tenant(1), 1_000, 1_000), None).unwrap();
    lake.flush().unwrap();
    assert_eq!(numbers(&lake, &one()), (0..2_000).collect::<Vec<_>>());
    drop(lake);
    let manifest = fs::read_to_string(dir.path().join("manifest")).unwrap();
    // Rows and roll-up each.
    assert_eq!(["first", "second"].map(|key| manifest.matches(&format!("\"key\":\"{key}\"")).count()), [2, 2]);
    assert_eq!(count(&with_keys(sealed(dir.path()), &shared).unwrap(), &one()), 2_000);
    let none = with_keys(sealed(dir.path()), &LakeKeys::none()).map(drop).unwrap_err().to_string();
    assert!(none.contains("no key to encrypt with"), "{none}");
}

#[test]
fn a_lost_manifest_is_rebuilt_with_the_key_alone() {
    let dir = tempfile::tempdir().unwrap();
    let lake = open_with(sealed(dir.path()));
    for i in 0..3 {
        lake.append(&flows(tenant(1), i * 1_000, 1_000), None).unwrap();
        lake.flush().unwrap();
    }
    eventually("the log is old", || lake.stats().hot_rows == 0);
    drop(lake);
    fs::remove_file(dir.path().join("manifest")).unwrap();
    let files = files_below(&dir.path().join("tables"), "parquet");
    let refused = with_keys(sealed(dir.path()), &keys(&[("second", 2)])).map(drop).unwrap_err();
    assert!(matches!(refused, LakeError::Key { .. }), "{refused}");
    assert_eq!(files_below(&dir.path().join("tables"), "parquet"), files, "nothing is thrown away");
    let lake = open_with(sealed(dir.path()));
    assert_eq!(numbers(&lake, &one()), (0..3_000).collect::<Vec<_>>());
}

#[test]
fn a_copy_is_as_encrypted_and_opens_with_the_same_key() {
    let dir = tempfile::tempdir().unwrap();
    let lake = open_with(sealed(dir.path()));
    lake.append(&flows(tenant(1), 0, 1_000), None).unwrap();
    lake.flush().unwrap();
    lake.append(&flows(tenant(1), 1_000, 500), None).unwrap().durable.wait().unwrap();
    let copy = tempfile::tempdir_in(dir.path()).unwrap();
    snapshot(dir.path(), copy.path()).unwrap();
    assert!(all_files(copy.path()).iter().all(|p| !holds(p, b"src_ip") && !holds(p, b"netflow9")));
    let restored = open_with(sealed(copy.path()));
    assert_eq!(numbers(&restored, &one()), (0..1_500).collect::<Vec<_>>());
    drop(restored);
    assert!(with_keys(sealed(copy.path()), &keys(&[("second", 2)])).is_err());
}
