//! What a sender sends again is stored once, over crashes and after the log is gone.

use guardian_kit::config::{ByteSize, Duration as Span};
use guardian_lake::{Lake, LakeConfig, Once};
use guardian_model::{Origin, Scope};

use crate::data::{config, count, eventually, flows, open_with, tenant};

fn at(lane: u32, sequence: u64) -> Origin {
    Origin { sender: [5; 16], epoch: 77, lane, sequence }
}

/// Whether it was new.
fn send(lake: &Lake, origin: &Origin, first: u32) -> bool {
    match lake.append_once(&flows(tenant(1), first, 10), origin).unwrap() {
        Once::Stored(appended) => {
            appended.durable.wait().unwrap();
            true
        }
        Once::Known(durable) => {
            durable.wait().unwrap();
            false
        }
    }
}

#[test]
fn what_is_sent_again_has_no_effect_after_a_restart() {
    for encryption in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let config = LakeConfig { encryption, ..config(dir.path()) };
        let scope = Scope::of(tenant(1));
        let lake = open_with(config.clone());
        assert!(send(&lake, &at(0, 1), 0) && send(&lake, &at(0, 2), 10) && send(&lake, &at(1, 1), 20));
        assert!(!send(&lake, &at(0, 2), 10));
        // Rows stay in the log.
        lake.shutdown().unwrap();
        drop(lake);
        let lake = open_with(config);
        assert!(!send(&lake, &at(0, 1), 0) && !send(&lake, &at(0, 2), 10) && !send(&lake, &at(1, 1), 20));
        assert!(send(&lake, &at(0, 3), 30));
        assert_eq!(lake.origin_marks(&[5; 16], 77).unwrap().0, [(0, 3), (1, 1)]);
        assert_eq!(lake.origin_marks(&[5; 16], 78).unwrap().0, []);
        assert_eq!(count(&lake, &scope), 40);
    }
}

#[test]
fn marks_outlive_the_log_that_they_came_with() {
    let dir = tempfile::tempdir().unwrap();
    let config = LakeConfig {
        wal_segment: ByteSize::kib(64),
        flush_rows: 50,
        flush_after: Span::millis(10),
        ..config(dir.path())
    };
    let scope = Scope::of(tenant(1));
    let lake = open_with(config.clone());
    assert!(send(&lake, &at(0, 1), 0));
    let mut sequence = 0;
    eventually("the first segment of the log goes", || {
        for _ in 0..20 {
            sequence += 1;
            send(&lake, &at(3, sequence), 1_000 + sequence as u32 * 10);
        }
        lake.flush().unwrap();
        dir.path().join("origins").exists()
    });
    lake.shutdown().unwrap();
    drop(lake);
    let lake = open_with(config);
    let before = count(&lake, &scope);
    assert_eq!(before as u64, (sequence + 1) * 10);
    assert!(!send(&lake, &at(0, 1), 0) && !send(&lake, &at(3, sequence), 0));
    assert_eq!(count(&lake, &scope), before);
    lake.forget_origin(&[5; 16]);
    assert!(send(&lake, &at(0, 1), 0), "a sender that was forgotten begins anew");
}
