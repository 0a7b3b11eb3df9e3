//! Signed checkpoints of the audit trail.

use std::os::unix::fs::PermissionsExt as _;

use guardian_catalog::{Actor, Checkpoint, Verification};
use guardian_identity::Role;
use guardian_model::{Micros, Scope};

use crate::{HOME, House};

fn broken(verdict: &Verification) -> Option<(i64, &str)> {
    match verdict {
        Verification::Broken { seq, problem } => Some((*seq, problem)),
        Verification::Intact { .. } => None,
    }
}

#[tokio::test]
async fn checkpoints_are_signed_and_kept_elsewhere_they_tell() {
    let house = House::new().await;
    let identity = &house.identity;
    let actor = || Actor::local_operator("root");
    assert!(identity.checkpoint(HOME, actor()).await.unwrap().is_none(), "there is nothing to sign");
    house.add("ann", Role::Viewer).await;
    let first = identity.checkpoint(HOME, actor()).await.unwrap().unwrap();
    let mode = std::fs::metadata(house.path("audit/signing.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(house.restart().audit_key().unwrap().id, first.key_id, "the key is kept");
    house.add("bob", Role::Viewer).await;
    let second = identity.checkpoint(HOME, actor()).await.unwrap().unwrap();
    assert!(second.seq > first.seq);
    let intact = identity.verify_audit(HOME, &[first.clone(), second.clone()]).await.unwrap();
    assert!(matches!(intact, Verification::Intact { checkpoints: 4, .. }), "{intact:?}");
    for (what, forged) in [
        ("another hash", Checkpoint { hash: "00".repeat(32), ..first.clone() }),
        ("another number", Checkpoint { seq: first.seq + 1, ..first.clone() }),
        ("another time", Checkpoint { time: first.time + 1, ..first.clone() }),
        ("no signature", Checkpoint { signature: String::new(), ..first.clone() }),
        ("another key", Checkpoint { key_id: "0".repeat(16), ..first.clone() }),
    ] {
        let verdict = identity.verify_audit(HOME, std::slice::from_ref(&forged)).await.unwrap();
        assert_eq!(broken(&verdict).map(|(seq, _)| seq), Some(forged.seq), "{what}: {verdict:?}");
    }
    // A new key signs on; what the old one signed stays good as long as its public half is there.
    std::fs::remove_file(house.path("audit/signing.key")).unwrap();
    house.add("cid", Role::Viewer).await;
    let third = identity.checkpoint(HOME, actor()).await.unwrap().unwrap();
    assert_ne!(third.key_id, second.key_id);
    assert_eq!(broken(&identity.verify_audit(HOME, &[]).await.unwrap()), None);
    std::fs::remove_file(house.path(&format!("audit/{}.pub", second.key_id))).unwrap();
    let verdict = identity.verify_audit(HOME, &[]).await.unwrap();
    assert_eq!(broken(&verdict).map(|(seq, _)| seq), Some(first.seq), "{verdict:?}");
}

#[tokio::test]
async fn checkpoints_come_by_themselves() {
    let house = House::new().await;
    let made = || async { house.identity.checkpoint_due().await.unwrap() };
    assert_eq!(made().await, 0, "the trail is empty");
    house.add("ann", Role::Viewer).await;
    assert_eq!(made().await, 1);
    assert_eq!(made().await, 0, "the entry about it is no reason for another");
    house.add("bob", Role::Viewer).await;
    assert_eq!(made().await, 0, "not within the hour");
    house.secs(Micros::HOUR / Micros::SECOND);
    assert_eq!(made().await, 1);
    let scope = Scope::of(HOME);
    assert_eq!(house.identity.catalog().scoped(&scope).checkpoints(HOME, 9).await.unwrap().len(), 2);
}
