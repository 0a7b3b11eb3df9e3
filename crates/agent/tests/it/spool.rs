//! The spool over restarts, torn tails and full disks.

use guardian_agent::spool::{Cursor, Drop, Mark, Spool};
use guardian_protocol::message::Batch;
use guardian_protocol::{Cell, Coding, Rows, seal};
use proptest::prelude::*;

const MIB: u64 = 1 << 20;

fn batch(rows: u32, width: usize) -> Batch {
    let mut made = Rows::new("health", &[(4, Coding::Time), (17, Coding::Text)]);
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for row in 0..rows {
        // Something that does not compress.
        let mut letter = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            char::from(b'!' + (state % 90) as u8)
        };
        let text: String = (0..width).map(|_| letter()).collect();
        made.push(&[Cell::Time(i64::from(row)), Cell::Text(&text)]);
    }
    seal(&[made.finish()]).unwrap()
}

fn open(dir: &std::path::Path, bytes_max: u64, drop: Drop) -> Spool {
    Spool::open(dir, 0xabc, bytes_max, drop).unwrap()
}

fn sequences(spool: &mut Spool, after: u64) -> Vec<u64> {
    let mut cursor = Cursor::after(after);
    std::iter::from_fn(|| spool.next(&mut cursor).unwrap().map(|w| w.sequence)).collect()
}

#[test]
fn what_waits_survives_and_numbers_never_return() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = open(dir.path(), 64 * MIB, Drop::Oldest);
    for _ in 0..5 {
        spool.append(batch(3, 10), 3).unwrap();
    }
    spool.close().unwrap();
    drop(spool);
    let mut spool = Spool::open(dir.path(), 0xdef, 64 * MIB, Drop::Oldest).unwrap();
    assert_eq!(spool.epoch(), 0xabc, "the number is made once");
    assert_eq!(sequences(&mut spool, 0), [1, 2, 3, 4, 5]);
    assert_eq!(sequences(&mut spool, 3), [4, 5]);
    assert_eq!(spool.append(batch(3, 10), 3).unwrap(), 6, "after an orderly end they go on");
    spool.sync().unwrap();
    // As after a power failure: the last record never reached the disk, though it may have been sent.
    drop(spool);
    let newest = std::fs::read_dir(dir.path().join("0")).unwrap().map(|e| e.unwrap().path());
    let newest = newest.filter(|p| p.extension().is_some_and(|e| e == "seg")).max().unwrap();
    std::fs::File::options().write(true).open(&newest).unwrap().set_len(11).unwrap();
    let mut spool = open(dir.path(), 64 * MIB, Drop::Oldest);
    assert_eq!(sequences(&mut spool, 0), [1, 2, 3, 4, 5]);
    let next = spool.append(batch(1, 1), 1).unwrap();
    assert!(next > 6, "{next} was given out before");
    assert_eq!(sequences(&mut spool, 5), [next]);
    spool.acknowledge(next);
    assert_eq!(spool.lane().first(), next + 1);
}

#[test]
fn a_full_spool_drops_by_its_policy_and_counts() {
    for (policy, kept_first) in [(Drop::Oldest, false), (Drop::Newest, true)] {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = open(dir.path(), 10 * MIB, policy);
        for _ in 0..40 {
            spool.append(batch(600, 1_000), 600).unwrap();
        }
        let kept = sequences(&mut spool, 0);
        assert!(spool.lane().bytes() <= 10 * MIB && !kept.is_empty());
        assert_eq!(kept[0] == 1, kept_first);
        let lost: u64 = spool.lost().iter().filter(|l| l.class == "health" && l.place == "spool").map(|l| l.rows).sum();
        assert_eq!(lost, 600 * (40 - kept.len() as u64), "{policy:?}");
        if policy == Drop::Oldest {
            // Whoever follows hears of all of it.
            let told: u64 = told(&mut spool);
            let last = spool.append(batch(1, 1), 1).unwrap();
            assert!(told <= lost && last > 40);
        }
    }
}

fn told(spool: &mut Spool) -> u64 {
    let mut cursor = Cursor::default();
    let mut told = 0;
    while let Some(waiting) = spool.next(&mut cursor).unwrap() {
        let mut frames = guardian_protocol::Frames::new(guardian_protocol::limits::FRAME_BYTES_MAX);
        frames.push(&waiting.frame);
        if let Some(guardian_protocol::FromAgent::Batch(batch)) = frames.next().unwrap().unwrap().from_agent().unwrap()
        {
            told += batch.lost.iter().map(|l| l.rows).sum::<u64>();
        }
    }
    told
}

fn mark(place: u32) -> Option<Mark> {
    Some(Mark { source: "logs".to_owned(), place: place.to_le_bytes().to_vec() })
}

fn place(spool: &Spool) -> Option<u32> {
    spool.mark("logs").map(|bytes| u32::from_le_bytes(bytes.try_into().unwrap()))
}

#[test]
fn a_mark_is_as_old_as_the_rows_that_are_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = open(dir.path(), 64 * MIB, Drop::Oldest);
    assert_eq!(place(&spool), None);
    spool.keep_mark(mark(1).unwrap()).unwrap();
    drop(spool);
    let mut spool = open(dir.path(), 64 * MIB, Drop::Oldest);
    assert_eq!(place(&spool), Some(1), "also without rows");
    let mut ends = Vec::new();
    for number in 2..=6 {
        let sequence = spool.append_marked(batch(3, 10), 3, mark(number)).unwrap();
        ends.push((sequence, spool.lane().bytes()));
    }
    // Another source has rows without one.
    spool.append(batch(3, 10), 3).unwrap();
    let path = dir.path().join("0").join(format!("{:020}.seg", ends[0].0));
    drop(spool);
    let whole = std::fs::read(&path).unwrap();
    for cut in 0..whole.len() {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let copy = tempfile::tempdir().unwrap();
        std::fs::create_dir(copy.path().join("0")).unwrap();
        for name in ["epoch", "0/marks", "0/reserved"] {
            std::fs::copy(dir.path().join(name), copy.path().join(name)).unwrap();
        }
        std::fs::copy(&path, copy.path().join("0").join(path.file_name().unwrap())).unwrap();
        let mut spool = open(copy.path(), 64 * MIB, Drop::Oldest);
        let there = ends.iter().filter(|(_, end)| *end <= cut as u64).count() as u32;
        assert_eq!(place(&spool), Some(1 + there), "cut at {cut}");
        assert_eq!(sequences(&mut spool, 0).len() as u32, there);
    }
}

#[test]
fn marks_outlive_the_segments_that_they_came_with() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = open(dir.path(), 64 * MIB, Drop::Oldest);
    for number in 1..=30 {
        let last = spool.append_marked(batch(600, 1_000), 600, mark(number)).unwrap();
        spool.acknowledge(last);
    }
    assert!(spool.lane().bytes() < 4 * MIB, "what is safe is gone");
    drop(spool);
    assert_eq!(place(&open(dir.path(), 64 * MIB, Drop::Oldest)), Some(30));
    // Rubbish in its place is none.
    std::fs::write(dir.path().join("0/marks"), [0xff; 40]).unwrap();
    drop(open(dir.path(), 64 * MIB, Drop::Oldest));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever is cut off or changed in the files, what is read is a sound part of what was written, in order.
    #[test]
    fn damage_never_makes_records(cut in 0_usize..4_000, flip in 0_usize..4_000) {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = open(dir.path(), 64 * MIB, Drop::Oldest);
        for _ in 0..6 {
            spool.append(batch(5, 100), 5).unwrap();
        }
        drop(spool);
        let path = dir.path().join("0").join(format!("{:020}.seg", 1));
        let mut bytes = std::fs::read(&path).unwrap();
        let at = flip % bytes.len();
        bytes[at] ^= 1;
        bytes.truncate(bytes.len().saturating_sub(cut).max(1));
        std::fs::write(&path, &bytes).unwrap();
        let mut spool = open(dir.path(), 64 * MIB, Drop::Oldest);
        let found = sequences(&mut spool, 0);
        let expected: Vec<u64> = (1..=found.len() as u64).collect();
        prop_assert_eq!(found, expected);
    }
}
