//! Replayed rows can be removed again, from wherever they are by then.

use guardian_model::Scope;

use crate::data::{START, count, flows, flows_at, lines, open, tenant};

#[test]
fn a_replay_is_cleared_for_good() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (Scope::of(tenant(1)), Scope::of(tenant(2)));
    let lake = open(dir.path());
    lake.hold_wal_from(0);
    lake.append(&flows(tenant(1), 0, 100), None).unwrap();
    lake.append(&flows_at(tenant(1), 100, 50, START, Some("demo")), None).unwrap();
    lake.append(&flows_at(tenant(2), 100, 50, START, Some("demo")), None).unwrap();
    lake.flush().unwrap();
    lake.append(&flows_at(tenant(1), 150, 50, START, Some("demo")), None).unwrap();
    lake.append(&flows_at(tenant(1), 200, 50, START, Some("other")), None).unwrap();
    lake.append(&flows(tenant(1), 250, 50), None).unwrap();
    let before = lines(&lake, &one, "SELECT batch, row, src_as FROM flows WHERE replay IS NULL ORDER BY 1, 2");

    let cleared = lake.clear_replay(&one, Some("demo")).unwrap();
    assert_eq!((cleared.rows, cleared.findings), (100, 0));
    assert_eq!(count(&lake, &one), 200);
    assert_eq!(count(&lake, &two), 50, "other tenants keep theirs");
    let replayed: usize = lake.replay_from(0).unwrap().map(|r| r.unwrap().1.rows.num_rows()).sum();
    assert_eq!(replayed, 250);
    drop(lake);

    let lake = open(dir.path());
    assert_eq!(count(&lake, &one), 200, "a restart brings nothing back");
    assert_eq!(lines(&lake, &one, "SELECT batch, row, src_as FROM flows WHERE replay IS NULL ORDER BY 1, 2"), before);
    lake.flush().unwrap();
    assert_eq!(lake.clear_replay(&one, None).unwrap().rows, 50);
    assert_eq!(lake.clear_replay(&one, None).unwrap().rows, 0);
    assert_eq!(lines(&lake, &one, "SELECT batch, row, src_as FROM flows ORDER BY 1, 2"), before);
}
