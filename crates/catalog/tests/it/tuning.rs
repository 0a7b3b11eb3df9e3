//! Tuning: exceptions to rules, and events taken out of grouped alerts.

use guardian_catalog::{
    AlertFilter, AlertStatus, CatalogError, Changes, ExceptionDraft, RuleException, Subject, UpsertOutcome,
};
use guardian_model::{EventRef, Micros};

use crate::support::{Db, HOME, START, home, state};

fn draft(filter: &str) -> ExceptionDraft {
    ExceptionDraft { filter: filter.into(), reason: "our scanner".into(), expires: Some(START), enabled: true }
}

pub(crate) async fn exceptions_are_versioned_and_counted(db: &Db) {
    let scoped = db.catalog.scoped(&home());
    let mut tx = db.begin(HOME).await;
    let one = tx.create_rule_exception("r1", &draft(" src_ip = 10.0.0.1 ")).await.unwrap();
    assert_eq!((one.version, one.draft.filter.as_str(), one.author.as_str()), (1, "src_ip = 10.0.0.1", "ann"));
    let two = tx.create_rule_exception("r2", &draft("dst_port = 1")).await.unwrap();
    for wrong in [draft(" "), draft(&"x".repeat(5_000)), ExceptionDraft { reason: " ".into(), ..draft("a") }] {
        assert!(matches!(tx.create_rule_exception("r1", &wrong).await, Err(CatalogError::Invalid(_))));
    }
    tx.commit().await.unwrap();
    let ids = |all: Vec<RuleException>| all.into_iter().map(|e| e.id).collect::<Vec<_>>();
    assert_eq!(ids(scoped.rule_exceptions(HOME, None).await.unwrap()), [two.id, one.id], "newest first");
    assert_eq!(ids(scoped.rule_exceptions(HOME, Some("r1")).await.unwrap()), [one.id]);

    let before = scoped.latest_seq(HOME).await.unwrap();
    db.clock.advance(Micros::MINUTE);
    db.catalog.system().count_exception_hits(HOME, &[(one.id, 5), (two.id, 1)]).await.unwrap();
    db.catalog.system().count_exception_hits(HOME, &[(one.id, 2)]).await.unwrap();
    let counted = scoped.rule_exception(HOME, one.id).await.unwrap();
    assert_eq!((counted.hits, counted.last_hit), (7, Some(START + Micros::MINUTE)));
    assert_eq!(scoped.latest_seq(HOME).await.unwrap(), before, "counters are told nowhere");

    let mut tx = db.begin(HOME).await;
    let changed = tx.update_rule_exception(one.id, 1, &ExceptionDraft { enabled: false, ..draft("a") }).await.unwrap();
    assert_eq!((changed.version, changed.hits, changed.rule_id.as_str()), (2, 7, "r1"));
    let stale = tx.update_rule_exception(one.id, 1, &draft("b")).await;
    assert!(matches!(stale, Err(CatalogError::VersionConflict { version: 2, .. })));
    tx.delete_rule_exception(two.id).await.unwrap();
    assert!(matches!(tx.delete_rule_exception(two.id).await, Err(CatalogError::NotFound(_))));
    tx.commit().await.unwrap();
    assert_eq!(scoped.rule_exceptions(HOME, None).await.unwrap(), [changed]);
    let told = scoped.changes_since(HOME, before, 9).await.unwrap();
    let Changes::Entries { entries: told, .. } = told else { panic!("{told:?}") };
    assert!(told.iter().all(|c| c.subject == Subject::RuleException) && told.len() == 2, "{told:?}");
}

pub(crate) async fn what_was_taken_out_of_an_alert_stays_out(db: &Db) {
    let id = db.upsert(&[state(HOME, 1, 5)]).await[0].id;
    let scoped = db.catalog.scoped(&home());
    let event = |row| EventRef { batch: 7, row };
    let mut tx = db.begin(HOME).await;
    for wrong in [vec![], vec![event(99)], vec![event(0), event(99)]] {
        assert!(matches!(tx.split_alert(id, &wrong, "").await, Err(CatalogError::Invalid(_))), "{wrong:?}");
    }
    let all: Vec<_> = (0..5).map(event).collect();
    assert!(matches!(tx.split_alert(id, &all, "").await, Err(CatalogError::Conflict(_))), "something must be left");
    let done = tx.split_alert(id, &[event(1), event(3)], "another story").await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!((done.left.count, done.taken.count, done.taken.split_from), (3, 2, Some(id)));
    assert_eq!((done.taken.status, done.taken.note.as_deref()), (AlertStatus::New, Some("another story")));
    let rows = async |id| scoped.alert(id).await.unwrap().evidence.into_iter().map(|(e, _)| e.row).collect::<Vec<_>>();
    assert_eq!((rows(id).await, rows(done.taken.id).await), (vec![0, 2, 4], vec![1, 3]));

    // Detection goes on telling of the whole group.
    assert_eq!(db.upsert(&[state(HOME, 1, 5)]).await[0].outcome, UpsertOutcome::Unchanged);
    db.upsert(&[state(HOME, 1, 8)]).await;
    assert_eq!(scoped.alert(id).await.unwrap().alert.count, 6);
    assert_eq!(rows(id).await, [0, 2, 4, 5, 6, 7]);

    let mut tx = db.begin(HOME).await;
    assert!(matches!(tx.join_back(id).await, Err(CatalogError::Conflict(_))), "it was not taken out of another");
    let again = tx.split_alert(done.taken.id, &[event(3)], "").await.unwrap();
    assert!(matches!(tx.join_back(done.taken.id).await, Err(CatalogError::Conflict(_))), "it has a split of its own");
    tx.join_back(again.taken.id).await.unwrap();
    let whole = tx.join_back(done.taken.id).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!((whole.id, whole.count), (id, 8));
    assert_eq!(rows(id).await, [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(scoped.alert_counts(&AlertFilter::default()).await.unwrap().total, 1);
    db.upsert(&[state(HOME, 1, 9)]).await;
    assert_eq!((scoped.alert(id).await.unwrap().alert.count, rows(id).await.len()), (9, 9));
}
