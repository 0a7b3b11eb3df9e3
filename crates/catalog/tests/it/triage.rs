//! Triage: snoozing, suppressing, bulk changes that can be taken back, orders, facets and volume.

use guardian_catalog::{
    AlertChange, AlertFilter, AlertGrouping, AlertOrder, AlertSort, AlertStatus, CatalogError, Presence,
    SuppressionDraft, Verdict,
};
use guardian_model::{EntityKind, Micros, Severity};

use crate::support::{Db, HOME, START, home, state};

fn draft() -> SuppressionDraft {
    SuppressionDraft {
        name: "auditors".into(),
        rule_id: Some("rule-1".into()),
        entity_kind: Some(EntityKind::Ip),
        entity: Some("10.0.0.0/29".into()),
        group: None,
        verdict: Verdict::Benign,
        reason: "their scanner".into(),
        expires: None,
        enabled: true,
    }
}

pub(crate) async fn suppressed_alerts_are_closed_and_counted(db: &Db) {
    let old = db.upsert(&[state(HOME, 1, 3)]).await[0].id;
    let mut tx = db.begin(HOME).await;
    let made = tx.create_suppression(&draft()).await.unwrap();
    assert_eq!(tx.apply_suppression(made.id).await.unwrap(), 1, "what is open already is closed on request");
    tx.commit().await.unwrap();
    // 4 is of the rule and in the network, 10 is outside of the network, 5 is of another rule.
    let ids: Vec<_> = db.upsert(&[4, 10, 5].map(|n| state(HOME, n, 1))).await.iter().map(|u| u.id).collect();
    db.upsert(&[state(HOME, 4, 9)]).await;
    let scoped = db.catalog.scoped(&home());
    for (id, expected) in [(old, true), (ids[0], true), (ids[1], false), (ids[2], false)] {
        let alert = scoped.alert(id).await.unwrap().alert;
        assert_eq!(alert.suppressed_by, expected.then_some(made.id));
        assert_eq!(alert.status, if expected { AlertStatus::Closed } else { AlertStatus::New });
        assert_eq!(alert.verdict, expected.then_some(Verdict::Benign));
    }
    let now = scoped.suppression(made.id).await.unwrap();
    assert_eq!((now.hits, now.last_hit), (2, Some(START)));
    let without = AlertFilter { suppressed: Presence::Exclude, ..AlertFilter::default() };
    assert_eq!(scoped.alert_counts(&without).await.unwrap().total, 2);

    let mut tx = db.begin(HOME).await;
    let ended = SuppressionDraft { expires: Some(START + 1), ..draft() };
    let changed = tx.update_suppression(made.id, made.version, &ended).await.unwrap();
    let stale = tx.update_suppression(made.id, made.version, &ended).await;
    assert!(matches!(stale, Err(CatalogError::VersionConflict { version, .. }) if version == changed.version));
    let nothing = SuppressionDraft { rule_id: None, entity: Some("  ".into()), ..draft() };
    assert!(matches!(tx.create_suppression(&nothing).await, Err(CatalogError::Invalid(_))), "it would hide everything");
    tx.commit().await.unwrap();
    db.clock.advance(5);
    let late = db.upsert(&[state(HOME, 7, 1)]).await[0].id;
    assert_eq!(scoped.alert(late).await.unwrap().alert.suppressed_by, None, "it has ended");
    let mut tx = db.begin(HOME).await;
    tx.delete_suppression(made.id).await.unwrap();
    tx.commit().await.unwrap();
    assert!(scoped.suppressions().await.unwrap().is_empty());
    assert_eq!(scoped.alert(old).await.unwrap().alert.status, AlertStatus::Closed, "what was decided stays");
}

pub(crate) async fn snoozed_alerts_come_back(db: &Db) {
    let ids: Vec<_> = db.upsert(&[state(HOME, 1, 1), state(HOME, 2, 1)]).await.iter().map(|u| u.id).collect();
    let until = START + Micros::HOUR;
    let mut tx = db.begin(HOME).await;
    assert!(matches!(tx.change_alert(ids[0], &AlertChange::Snooze(Some(START))).await, Err(CatalogError::Invalid(_))));
    tx.change_alert(ids[0], &AlertChange::Snooze(Some(until))).await.unwrap();
    tx.commit().await.unwrap();
    let scoped = db.catalog.scoped(&home());
    let awake = |now: Micros| AlertFilter { snoozed: Presence::Exclude, now, ..AlertFilter::default() };
    assert_eq!(scoped.alert_counts(&awake(START)).await.unwrap().total, 1);
    assert_eq!(scoped.alert_counts(&awake(until)).await.unwrap().total, 2);
    let asleep = AlertFilter { snoozed: Presence::Only, now: START, ..AlertFilter::default() };
    assert_eq!(scoped.alert_counts(&asleep).await.unwrap().total, 1);
    let mut tx = db.begin(HOME).await;
    let close = AlertChange::Close { verdict: Verdict::Benign, reason: "fine".into() };
    assert_eq!(tx.change_alert(ids[0], &close).await.unwrap().snoozed_until, None);
    let refused = tx.change_alert(ids[0], &AlertChange::Snooze(Some(until))).await;
    assert!(matches!(refused, Err(CatalogError::Conflict(_))));
    tx.commit().await.unwrap();
}

pub(crate) async fn bulk_changes_are_taken_back_but_for_later_decisions(db: &Db) {
    let ids: Vec<_> =
        db.upsert(&(0..4).map(|n| state(HOME, n, 1)).collect::<Vec<_>>()).await.iter().map(|u| u.id).collect();
    let scoped = db.catalog.scoped(&home());
    let mut tx = db.begin(HOME).await;
    tx.change_alert(ids[1], &AlertChange::Note("mine".into())).await.unwrap();
    let close = AlertChange::Close { verdict: Verdict::FalsePositive, reason: "backup".into() };
    let some = AlertFilter { ids: ids[..3].to_vec(), ..AlertFilter::default() };
    let done = tx.change_alerts(&some, i64::MAX, &close).await.unwrap();
    assert_eq!((done.changed, done.more), (3, false));
    tx.commit().await.unwrap();
    // One grows, which decides nothing; one is decided about again.
    db.upsert(&[state(HOME, 0, 8)]).await;
    let mut tx = db.begin(HOME).await;
    tx.change_alert(ids[2], &AlertChange::Note("no, wait".into())).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = db.begin(HOME).await;
    let undone = tx.undo_alerts(done.undo.unwrap()).await.unwrap();
    assert_eq!((undone.changed, undone.kept), (2, 1));
    assert!(matches!(tx.undo_alerts(done.undo.unwrap()).await, Err(CatalogError::NotFound(_))), "once");
    tx.commit().await.unwrap();
    let status = async |n: usize| scoped.alert(ids[n]).await.unwrap().alert;
    assert_eq!((status(0).await.status, status(0).await.count), (AlertStatus::New, 8));
    assert_eq!((status(1).await.status, status(1).await.note), (AlertStatus::New, Some("mine".into())));
    assert_eq!(status(2).await.status, AlertStatus::Closed);

    let mut tx = db.begin(HOME).await;
    let again = tx.change_alerts(&some, i64::MAX, &AlertChange::Acknowledge).await.unwrap();
    tx.commit().await.unwrap();
    db.clock.advance(2 * Micros::HOUR);
    let mut tx = db.begin(HOME).await;
    assert!(matches!(tx.undo_alerts(again.undo.unwrap()).await, Err(CatalogError::NotFound(_))), "an hour at most");
}

pub(crate) async fn every_order_pages_in_both_directions(db: &Db) {
    for n in 0..17 {
        let id = db.upsert(&[state(HOME, n, u64::from(n % 4 + 1))]).await[0].id;
        if n % 5 == 0 {
            let mut tx = db.begin(HOME).await;
            tx.change_alert(id, &AlertChange::Acknowledge).await.unwrap();
            tx.commit().await.unwrap();
        }
        db.clock.advance(i64::from(n % 2));
    }
    let scoped = db.catalog.scoped(&home());
    let filter = AlertFilter::default();
    for by in AlertSort::ALL {
        for ascending in [false, true] {
            let order = AlertOrder { by: *by, ascending };
            let whole: Vec<_> = scoped.alerts(&filter, order, None, 100).await.unwrap().items;
            let (mut seen, mut cursor) = (Vec::new(), None);
            loop {
                let page = scoped.alerts(&filter, order, cursor.as_ref(), 3).await.unwrap();
                seen.extend(page.items);
                match page.next {
                    Some(next) => cursor = Some(serde_json::from_str(&serde_json::to_string(&next).unwrap()).unwrap()),
                    None => break,
                }
            }
            let ids = |alerts: &[guardian_catalog::Alert]| alerts.iter().map(|a| a.id).collect::<Vec<_>>();
            assert_eq!(ids(&seen), ids(&whole), "{by} {ascending}");
            assert_eq!(seen.len(), 17);
            let statuses: Vec<_> = seen.iter().map(|a| a.status).collect();
            assert!(*by != AlertSort::Status || ascending == statuses.is_sorted(), "{statuses:?}");
        }
    }
}

pub(crate) async fn facets_volume_and_groups_add_up(db: &Db) {
    let states: Vec<_> = (0..10).map(|n| state(HOME, n, 2)).collect();
    let id = db.upsert(&states).await[4].id;
    let mut tx = db.begin(HOME).await;
    tx.change_alert(id, &AlertChange::Close { verdict: Verdict::Benign, reason: "x".into() }).await.unwrap();
    tx.commit().await.unwrap();
    let scoped = db.catalog.scoped(&home());
    let filter = AlertFilter { severity: vec![Severity::High, Severity::Critical], ..AlertFilter::default() };
    let facets = scoped.alert_facets(&filter).await.unwrap();
    assert_eq!(facets.total, 4);
    assert_eq!(facets.severity.iter().map(|f| f.count).sum::<u64>(), 10, "its own filter does not narrow a facet");
    assert_eq!(facets.severity[0].value, "critical");
    assert_eq!(facets.rule.iter().map(|f| f.count).sum::<u64>(), 4);
    assert_eq!(
        facets.attack.iter().map(|f| (f.value.as_str(), f.count)).collect::<Vec<_>>(),
        [("discovery", 4), ("t1046", 4)]
    );
    assert_eq!(facets.assignee.iter().map(|f| (f.value.as_str(), f.count)).collect::<Vec<_>>(), [("", 4)]);

    let end = START + 12 * Micros::SECOND;
    let steps = scoped.alert_histogram(&AlertFilter::default(), START, end, 6).await.unwrap();
    assert_eq!(steps.len(), 6);
    assert_eq!(steps.iter().map(guardian_catalog::AlertBucket::total).collect::<Vec<_>>(), [0, 2, 2, 2, 2, 2]);
    assert_eq!(steps[1].start, START + 2 * Micros::SECOND);
    assert_eq!((steps[1].of(Severity::Informational), steps[1].of(Severity::Low)), (1, 1));

    let groups = scoped.alert_groups(&AlertFilter::default(), AlertGrouping::Rule).await.unwrap();
    assert_eq!(groups.iter().map(|g| g.count).sum::<i64>(), 10);
    assert_eq!(groups.iter().map(|g| g.open).sum::<i64>(), 9);
    assert!(groups.iter().all(|g| g.label.starts_with("Port scan")));
    let of_none = scoped.alert_groups(&AlertFilter::default(), AlertGrouping::Incident).await.unwrap();
    assert_eq!(of_none.iter().map(|g| (g.value.clone(), g.count)).collect::<Vec<_>>(), [(None, 10)]);
}
