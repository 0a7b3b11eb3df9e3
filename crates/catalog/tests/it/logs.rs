//! The change log and the audit trail.

use std::time::Duration;

use guardian_catalog::{Action, Actor, AuditFilter, CatalogError, Changes, Checkpoint, Subject, Verification};
use guardian_model::{Micros, Scope, TenantId};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::support::{Db, HOME, ann, home, state};

async fn seqs(db: &Db, tenant: TenantId) -> Vec<i64> {
    let scoped = db.catalog.scoped(&Scope::of(tenant));
    let mut seqs = Vec::new();
    loop {
        let after = seqs.last().copied().unwrap_or(0);
        match scoped.changes_since(tenant, after, 7).await.unwrap() {
            Changes::Entries { entries, .. } if entries.is_empty() => return seqs,
            Changes::Entries { entries, .. } => seqs.extend(entries.iter().map(|e| e.seq)),
            Changes::ResyncNeeded { .. } => panic!("nothing was pruned"),
        }
    }
}

pub(crate) async fn numbers_have_no_gaps_under_concurrent_writers(db: &Db) {
    let other = db.tenant("other").await.id;
    let other_process = db.reopen(|_| {}).await;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..6_i32 {
        let catalog = if writer % 2 == 0 { db.catalog.clone() } else { other_process.clone() };
        writers.spawn(async move {
            for n in 0..10 {
                let tenant = if n % 2 == 0 { HOME } else { other };
                let scope = Scope::of(tenant);
                let mut tx = catalog.scoped(&scope).begin(tenant, ann()).await.unwrap();
                tx.put_setting(&format!("key.{writer}"), &json!(n), None).await.unwrap();
                tx.put_setting("key.shared", &json!([writer, n]), None).await.unwrap();
                if n % 3 == 2 {
                    drop(tx); // given up: its numbers are used again
                } else {
                    tx.commit().await.unwrap();
                }
            }
        });
    }
    let scoped = db.catalog.scoped(&home());
    let mut follower = scoped.follow(HOME, 0).unwrap();
    let mut followed: Vec<i64> = Vec::new();
    while !writers.is_empty() || (followed.last().copied().unwrap_or(0) < scoped.latest_seq(HOME).await.unwrap()) {
        tokio::select! {
            Some(done) = writers.join_next() => done.unwrap(),
            changes = follower.next() => match changes.unwrap() {
                Changes::Entries { entries, .. } => followed.extend(entries.iter().map(|e| e.seq)),
                Changes::ResyncNeeded { .. } => panic!("nothing was pruned"),
            },
        }
    }
    for (tenant, rounds) in [(HOME, 6 * (5 - 2)), (other, 6 * (5 - 1))] {
        let seqs = seqs(db, tenant).await;
        // Making the other tenant was the first change of the home tenant.
        let first = usize::from(tenant == HOME);
        assert_eq!(seqs.len(), first + rounds * 2);
        assert_eq!(seqs, (1..=seqs.len() as i64).collect::<Vec<_>>());
        let verified = db.catalog.scoped(&Scope::of(tenant)).verify_audit(tenant, &[]).await.unwrap();
        assert!(matches!(verified, Verification::Intact { .. }), "{verified:?}");
    }
    assert_eq!(followed, seqs(db, HOME).await, "followed live, without gap or repeat");
}

pub(crate) async fn what_is_not_committed_leaves_no_trace(db: &Db) {
    let mut tx = db.begin(HOME).await;
    tx.put_setting("a", &json!(1), None).await.unwrap();
    tx.note("access.refused", Subject::Installation, "", json!({}));
    assert_eq!(tx.seq(), 1);
    drop(tx);
    let scoped = db.catalog.scoped(&home());
    assert_eq!(scoped.latest_seq(HOME).await.unwrap(), 0);
    assert!(scoped.setting(HOME, "a").await.unwrap().is_none());
    assert!(scoped.audit(HOME, &AuditFilter::default(), None, 10).await.unwrap().is_empty());
    let empty = db.begin(HOME).await;
    assert_eq!(empty.commit().await.unwrap(), 0);
}

pub(crate) async fn a_follower_misses_and_repeats_nothing(db: &Db) {
    let scoped = db.catalog.scoped(&home());
    db.upsert(&[state(HOME, 1, 1), state(HOME, 2, 1)]).await;
    let mut follower = scoped.follow(HOME, 1).unwrap();
    let Changes::Entries { entries, latest } = follower.next().await.unwrap() else { panic!("nothing was pruned") };
    assert_eq!((entries.len(), entries[0].seq, latest), (1, 2, 2));
    assert_eq!((entries[0].subject, entries[0].action), (Subject::Alert, Action::Created));
    let alert: guardian_catalog::Alert = serde_json::from_value(entries[0].payload.clone()).unwrap();
    assert_eq!(alert.id.to_string(), entries[0].id);
    assert_eq!(alert, scoped.alert(alert.id).await.unwrap().alert, "the payload is the alert as it is");

    // Waiting is cut short, as by a client that goes away for a moment.
    assert!(tokio::time::timeout(Duration::from_millis(30), follower.next()).await.is_err());
    db.upsert(&[state(HOME, 1, 2)]).await;
    let Changes::Entries { entries, .. } = follower.next().await.unwrap() else { panic!("nothing was pruned") };
    assert_eq!((entries.len(), entries[0].seq, entries[0].action), (1, 3, Action::Updated));
    assert_eq!(follower.position(), 3);

    let nudge = scoped.subscribe(HOME).unwrap();
    db.upsert(&[state(HOME, 1, 3)]).await;
    assert_eq!(*nudge.borrow(), 4);
}

pub(crate) async fn old_followers_are_told_to_resync(db: &Db) {
    let small = db.reopen(|config| config.change_log_entries_max = 20).await;
    for n in 0..100 {
        let mut tx = small.scoped(&home()).begin(HOME, ann()).await.unwrap();
        tx.put_setting("counter", &json!(n), None).await.unwrap();
        tx.commit().await.unwrap();
    }
    let scoped = small.scoped(&home());
    let Changes::ResyncNeeded { oldest, latest } = scoped.changes_since(HOME, 0, 10).await.unwrap() else {
        panic!("entry 1 cannot still be there")
    };
    assert_eq!(latest, 100);
    assert!((78..=80).contains(&oldest), "about 20 are kept: {oldest}");
    assert!(matches!(scoped.changes_since(HOME, oldest - 1, 10).await.unwrap(), Changes::ResyncNeeded { .. }));
    let Changes::Entries { entries, .. } = scoped.changes_since(HOME, oldest, 100).await.unwrap() else {
        panic!("what follows the oldest number is kept")
    };
    assert_eq!(entries.iter().map(|e| e.seq).collect::<Vec<_>>(), (oldest + 1..=100).collect::<Vec<_>>());
    let future = scoped.changes_since(HOME, 101, 10).await.unwrap();
    assert_eq!(future, Changes::ResyncNeeded { oldest, latest: 100 }, "a number from another database");
    let mut follower = scoped.follow(HOME, 3).unwrap();
    assert!(matches!(follower.next().await.unwrap(), Changes::ResyncNeeded { .. }));
    assert_eq!(follower.position(), 100);
}

pub(crate) async fn a_follower_hears_of_other_processes(db: &Db) {
    let mut follower = db.catalog.scoped(&home()).follow(HOME, 0).unwrap();
    let other_process = db.reopen(|_| {}).await;
    let waiting = tokio::spawn(async move { follower.next().await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    other_process.system().upsert_alerts(&[state(HOME, 1, 1)]).await.unwrap();
    let changes = tokio::time::timeout(Duration::from_secs(5), waiting).await.unwrap().unwrap().unwrap();
    assert!(matches!(changes, Changes::Entries { entries, .. } if entries.len() == 1));
}

pub(crate) async fn the_audit_chain_names_the_first_broken_entry(db: &Db) {
    for n in 0..8 {
        let mut tx = db.begin(HOME).await;
        tx.put_setting("colour", &json!(n), None).await.unwrap();
        tx.note("test.note", Subject::Installation, "x", json!({ "n": n }));
        tx.commit().await.unwrap();
        db.clock.advance(Micros::SECOND);
    }
    let scoped = db.catalog.scoped(&home());
    let intact = scoped.verify_audit(HOME, &[]).await.unwrap();
    assert!(matches!(&intact, Verification::Intact { entries: 16, head, .. } if head.len() == 64), "{intact:?}");
    // Each tampering is on top of the one before, and always earlier in the chain.
    for (sql, broken, told) in [
        ("DELETE FROM audit WHERE seq = 16", 16, "missing"),
        ("UPDATE audit SET after = '{\"n\":99}' WHERE seq = 14", 14, "content was changed"),
        ("UPDATE audit SET actor_name = 'bob' WHERE seq = 11", 11, "content was changed"),
        ("DELETE FROM audit WHERE seq = 9", 9, "missing"),
        ("UPDATE audit SET time = time + 1 WHERE seq = 6", 6, "content was changed"),
        ("UPDATE audit SET before = NULL WHERE seq = 5", 5, "content was changed"),
        ("UPDATE audit SET prev_hash = hash WHERE seq = 2", 2, "does not follow"),
        ("DELETE FROM audit", 1, "missing"),
    ] {
        db.tamper(sql).await;
        let verified = scoped.verify_audit(HOME, &[]).await.unwrap();
        let Verification::Broken { seq, problem } = &verified else { panic!("{sql}: {verified:?}") };
        assert!(*seq == broken && problem.contains(told), "{sql}: {verified:?}");
    }
}

pub(crate) async fn the_audit_trail_lists_what_is_asked_for(db: &Db) {
    for n in 0..5 {
        let actor = if n == 3 { Actor::local_operator("root") } else { ann() };
        let mut tx = db.catalog.scoped(&home()).begin(HOME, actor).await.unwrap();
        tx.put_setting(&format!("key{}", n % 2), &json!(n), None).await.unwrap();
        tx.commit().await.unwrap();
        db.clock.advance(Micros::SECOND);
    }
    let scoped = db.catalog.scoped(&home());
    let list = |filter: AuditFilter, before, limit| {
        let scoped = db.catalog.scoped(&home());
        async move {
            let entries = scoped.audit(HOME, &filter, before, limit).await.unwrap();
            entries.iter().map(|e| e.seq).collect::<Vec<_>>()
        }
    };
    assert_eq!(list(AuditFilter::default(), None, 2).await, [5, 4]);
    assert_eq!(list(AuditFilter::default(), Some(4), 2).await, [3, 2]);
    let key1 = AuditFilter { subject: Some(Subject::Setting), subject_id: Some("key1".into()), ..Default::default() };
    assert_eq!(list(key1, None, 10).await, [4, 2]);
    let from = crate::support::START + Micros::SECOND;
    let window = AuditFilter { from: Some(from), to: Some(from + 2 * Micros::SECOND), ..Default::default() };
    assert_eq!(list(window, None, 10).await, [3, 2]);
    let none = AuditFilter { action: Some("user.".into()), ..Default::default() };
    assert!(list(none, None, 10).await.is_empty());
    let entry = &scoped.audit(HOME, &AuditFilter::default(), Some(5), 1).await.unwrap()[0];
    assert_eq!((entry.actor.clone(), entry.action.as_str()), (Actor::local_operator("root"), "setting.put"));
    assert_eq!((&entry.before, &entry.after), (&json!(1), &json!(3)));
    let outside = db.catalog.scoped(&Scope::of_all([])).audit(HOME, &AuditFilter::default(), None, 1).await;
    assert!(matches!(outside, Err(CatalogError::NotFound("tenant"))));
}

pub(crate) async fn checkpoints_tell_of_a_trail_written_anew(db: &Db) {
    let other = db.tenant("other").await.id;
    for n in 0..4 {
        let mut tx = db.begin(HOME).await;
        tx.note("test.note", Subject::Installation, "x", json!({ "n": n }));
        tx.commit().await.unwrap();
    }
    let scoped = db.catalog.scoped(&home());
    let (seq, hash) = scoped.audit_head(HOME).await.unwrap();
    let checkpoint = Checkpoint {
        tenant: HOME,
        seq,
        hash,
        time: crate::support::START,
        key_id: "k".into(),
        signature: "00ff".into(),
    };
    let mut tx = db.begin(HOME).await;
    tx.put_checkpoint(&checkpoint).await.unwrap();
    let theirs = tx.put_checkpoint(&Checkpoint { tenant: other, ..checkpoint.clone() }).await;
    assert!(matches!(theirs, Err(CatalogError::NotFound(_))));
    let odd = tx.put_checkpoint(&Checkpoint { hash: "not hexadecimal".into(), ..checkpoint.clone() }).await;
    assert!(matches!(odd, Err(CatalogError::Invalid(_))));
    tx.commit().await.unwrap();
    let all = scoped.checkpoints(HOME, 10).await.unwrap();
    assert_eq!(all, std::slice::from_ref(&checkpoint));
    let intact = scoped.verify_audit(HOME, &all).await.unwrap();
    assert!(matches!(intact, Verification::Intact { entries: 6, checkpoints: 1, .. }), "{intact:?}");
    for (anchor, told) in [
        (Checkpoint { hash: "00".repeat(32), ..checkpoint.clone() }, "signed checkpoint"),
        (Checkpoint { seq: 99, ..checkpoint.clone() }, "missing"),
    ] {
        let verdict = scoped.verify_audit(HOME, &[anchor]).await.unwrap();
        assert!(matches!(&verdict, Verification::Broken { problem, .. } if problem.contains(told)), "{verdict:?}");
    }
    // Nobody passes an entry off as one of the older scheme.
    db.tamper("UPDATE audit SET scheme = 1 WHERE seq = 3").await;
    let broken = scoped.verify_audit(HOME, &[]).await.unwrap();
    assert!(matches!(broken, Verification::Broken { seq: 3, .. }), "{broken:?}");
}

/// The hash is what `docs/audit.md` says it is.
pub(crate) async fn anybody_can_compute_the_chain(db: &Db) {
    use sea_orm::ConnectionTrait as _;
    let mut tx = db.begin(HOME).await;
    tx.note("test.note", Subject::Installation, "x", json!({ "n": 1 }));
    tx.commit().await.unwrap();
    let raw = db.raw().await;
    let sql = "SELECT hash, after FROM audit WHERE seq = 1";
    let row =
        raw.query_one_raw(sea_orm::Statement::from_string(raw.get_database_backend(), sql)).await.unwrap().unwrap();
    let (hash, after): (Vec<u8>, String) = (row.try_get("", "hash").unwrap(), row.try_get("", "after").unwrap());
    let tenant = HOME.0.as_bytes();
    let genesis = Sha256::digest([b"guardian audit genesis v2\0".as_slice(), tenant].concat());
    let mut bytes = [b"guardian audit entry v2\0".as_slice(), genesis.as_slice(), tenant].concat();
    bytes.extend_from_slice(&1_i64.to_le_bytes());
    bytes.extend_from_slice(&crate::support::START.0.to_le_bytes());
    let texts = [
        Some("user"),
        None,
        Some("ann"),
        Some("192.0.2.7"),
        Some("r-1"),
        Some("test.note"),
        Some("installation"),
        Some("x"),
        None,
        Some(after.as_str()),
    ];
    for text in texts {
        bytes.extend_from_slice(&text.map_or(u64::MAX, |t| t.len() as u64).to_le_bytes());
        bytes.extend_from_slice(text.unwrap_or_default().as_bytes());
    }
    assert_eq!(hash, Sha256::digest(&bytes).as_slice());
}
