//! A full disk: nothing accepted is lost, more is refused and counted, queries go on, and it ends by itself.

use std::process::Command;

use guardian_kit::config::{ByteSize, Duration};
use guardian_kit::metrics::Metrics;
use guardian_lake::{Lake, LakeConfig, LakeError, LakeKeys};
use guardian_model::Scope;

use crate::data::{clock, config, count, eventually, flows, tenant};

const DIR: &str = "GUARDIAN_LAKE_FULL_DIR";

/// Mounts a small file system in a mount namespace of its own and runs [`inside`] there.
#[test]
fn a_full_disk_makes_the_lake_read_only_until_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let can = Command::new("unshare").args(["-m", "true"]).status().is_ok_and(|s| s.success());
    if !can {
        eprintln!("skipped: making a mount namespace needs root");
        return;
    }
    let script = format!(
        "mount -t tmpfs -o size=24m none {dir} && exec {exe} disk_full::inside --exact --nocapture",
        dir = dir.path().display(),
        exe = std::env::current_exe().unwrap().display()
    );
    let output = Command::new("unshare").args(["-m", "sh", "-c", &script]).env(DIR, dir.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// Does nothing unless run by the test above.
#[test]
fn inside() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let dir = std::path::PathBuf::from(dir);
    let ballast = dir.join("ballast");
    let config = LakeConfig {
        wal_segment: ByteSize::mib(1),
        flush_rows: 1_000_000,
        hot_max: ByteSize::gib(1),
        max_disk_percent: 100,
        min_free: ByteSize(0),
        flush_after: Duration::secs(3_600),
        ..config(&dir.join("lake"))
    };
    let scope = Scope::of(tenant(1));
    let lake = Lake::open(config.clone(), &LakeKeys::none(), clock(), &Metrics::new()).unwrap();
    std::fs::write(&ballast, vec![7; 14 << 20]).unwrap();
    let (mut accepted, mut pending, mut refused) = (0_i64, Vec::new(), 0);
    for i in 0..2_000 {
        match lake.append(&flows(tenant(1), i * 1_000, 1_000), None) {
            Ok(appended) => {
                accepted += 1_000;
                pending.push(appended.durable);
            }
            Err(LakeError::ReadOnly(why)) => {
                assert!(why.contains("disk full"), "{why}");
                refused += 1;
                if refused == 3 {
                    break;
                }
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(refused, 3, "the disk never got full");
    assert!(lake.stats().refused_rows >= 3_000);
    assert_eq!(count(&lake, &scope), accepted, "queries go on");
    std::fs::remove_file(&ballast).unwrap();
    eventually("the lake accepts again", || lake.append(&flows(tenant(1), 3_000_000, 1), None).is_ok());
    for durable in pending {
        durable.wait().unwrap();
    }
    assert!(lake.stats().read_only.is_none());
    lake.shutdown().unwrap();
    drop(lake);
    let lake = Lake::open(config, &LakeKeys::none(), clock(), &Metrics::new()).unwrap();
    assert_eq!(count(&lake, &scope), accepted + 1, "everything accepted is there");
}
