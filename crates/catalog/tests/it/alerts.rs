//! Alerts: storing, finding, deciding.

use guardian_catalog::{
    ActorKind, AlertChange, AlertCursor, AlertFilter, AlertSort, AlertStatus, AuditFilter, CatalogError, NewUser,
    ReplayFilter, UpsertOutcome, Verdict,
};
use guardian_model::{AlertId, Micros, Severity};

use crate::support::{Db, HOME, START, ann, home, state};

pub(crate) async fn storing_twice_changes_nothing(db: &Db) {
    let one = state(HOME, 1, 5);
    let first = db.upsert(std::slice::from_ref(&one)).await[0];
    assert_eq!((first.outcome, first.key), (UpsertOutcome::Created, one.key));
    db.clock.advance(Micros::MINUTE);
    let again = db.upsert(std::slice::from_ref(&one)).await[0];
    assert_eq!((again.outcome, again.id, again.seq), (UpsertOutcome::Unchanged, first.id, first.seq));
    let scoped = db.catalog.scoped(&home());
    assert_eq!(scoped.latest_seq(HOME).await.unwrap(), first.seq, "nothing to tell");
    let detail = scoped.alert(first.id).await.unwrap();
    assert_eq!(detail.alert.updated, START);
    assert_eq!(detail.alert.rule, *one.rule);
    assert_eq!(detail.alert.measures, one.measures, "in their order");
    assert_eq!(detail.evidence, one.evidence);
    assert_eq!(scoped.alert_by_key(one.key).await.unwrap(), detail);
}

pub(crate) async fn late_and_early_states_end_in_the_same_row(db: &Db) {
    // Every order of the same absolute states ends alike.
    let orders = [[1, 2, 3], [1, 3, 2], [2, 1, 3], [2, 3, 1], [3, 1, 2], [3, 2, 1]];
    for (n, order) in orders.iter().enumerate() {
        let mut id = AlertId(uuid::Uuid::nil());
        for step in order {
            let mut one = state(HOME, n as u32, step * 50);
            one.first_seen = one.first_seen - (*step as i64);
            id = db.upsert(&[one]).await[0].id;
        }
        let detail = db.catalog.scoped(&home()).alert(id).await.unwrap();
        let last = state(HOME, n as u32, 150);
        assert_eq!(detail.alert.count, 150, "{order:?}");
        assert_eq!(detail.alert.first_seen, last.first_seen - 3, "{order:?}");
        assert_eq!(detail.alert.last_seen, last.last_seen, "{order:?}");
        assert_eq!(detail.alert.summary, last.summary, "{order:?}");
        assert_eq!(detail.evidence, last.evidence[..100], "at most 100, of the fullest state, {order:?}");
    }
}

pub(crate) async fn what_people_decided_stays(db: &Db) {
    let id = db.upsert(&[state(HOME, 1, 5)]).await[0].id;
    let mut tx = db.begin(HOME).await;
    let reason = "the scanner of the auditors".to_owned();
    tx.change_alert(id, &AlertChange::Close { verdict: Verdict::Benign, reason: reason.clone() }).await.unwrap();
    tx.change_alert(id, &AlertChange::Note("asked them".into())).await.unwrap();
    tx.commit().await.unwrap();
    let grown = db.upsert(&[state(HOME, 1, 9)]).await[0];
    assert_eq!(grown.outcome, UpsertOutcome::Updated);
    let alert = db.catalog.scoped(&home()).alert(id).await.unwrap().alert;
    assert_eq!((alert.count, alert.status, alert.verdict), (9, AlertStatus::Closed, Some(Verdict::Benign)));
    assert_eq!((alert.reason, alert.note), (Some(reason), Some("asked them".into())));
    assert_eq!(alert.seq, grown.seq);
}

pub(crate) async fn a_batch_may_be_large_and_repeat_itself(db: &Db) {
    let mut states: Vec<_> = (0..1_200).map(|n| state(HOME, n, 1)).collect();
    states.push(state(HOME, 7, 4));
    states.insert(0, state(HOME, 7, 2));
    let done = db.upsert(&states).await;
    assert_eq!(done.len(), states.len());
    assert!(done.iter().zip(&states).all(|(d, s)| d.key == s.key), "in the order of the states");
    let scoped = db.catalog.scoped(&home());
    assert_eq!(scoped.alert_counts(&AlertFilter::default()).await.unwrap().total, 1_200);
    assert_eq!(scoped.alert_by_key(states[0].key).await.unwrap().alert.count, 4);
    assert!(scoped.latest_seq(HOME).await.unwrap() <= 1_201);
}

pub(crate) async fn live_alerts_survive_the_clearing_of_replays(db: &Db) {
    let replayed = |n, name: &str| {
        let mut one = state(HOME, n, 3);
        one.replay = Some(name.to_owned());
        one
    };
    db.upsert(&[replayed(1, "scan"), replayed(2, "scan"), replayed(3, "beacon"), state(HOME, 4, 3)]).await;
    db.upsert(&[state(HOME, 2, 1)]).await; // also seen live: no longer only a replay
    let scoped = db.catalog.scoped(&home());
    assert_eq!(scoped.replays().await.unwrap(), [("beacon".to_owned(), 1), ("scan".to_owned(), 1)]);
    let mut tx = db.begin(HOME).await;
    assert_eq!(tx.clear_replay(Some("scan")).await.unwrap(), 1);
    tx.commit().await.unwrap();
    assert!(matches!(scoped.alert_by_key(state(HOME, 1, 3).key).await, Err(CatalogError::NotFound("alert"))));
    let mut tx = db.begin(HOME).await;
    assert_eq!(tx.clear_replay(None).await.unwrap(), 1);
    tx.commit().await.unwrap();
    assert_eq!(scoped.alert_counts(&AlertFilter::default()).await.unwrap().total, 2);
    let filter = AlertFilter { replay: ReplayFilter::Only, ..AlertFilter::default() };
    assert_eq!(scoped.alert_counts(&filter).await.unwrap().total, 0);
    let audit = scoped.audit(HOME, &AuditFilter::default(), None, 10).await.unwrap();
    let told: Vec<_> = audit.iter().map(|e| (e.action.as_str(), e.subject_id.as_str(), &e.after["alerts"])).collect();
    let one = serde_json::json!(1);
    assert_eq!(told, [("replay.clear", "*", &one), ("replay.clear", "scan", &one)]);
}

pub(crate) async fn odd_text_is_kept(db: &Db) {
    let mut one = state(HOME, 1, 3);
    one.count = u64::MAX;
    one.entity.value = "nul\0 and ' \" \\ 🦀".into();
    one.summary = "x".repeat(10_000);
    one.evidence = vec![(guardian_model::EventRef { batch: u64::MAX, row: 0 }, serde_json::json!({ "host": "a\0b" }))];
    one.last_seen = Micros(i64::MAX);
    let id = db.upsert(&[one.clone()]).await[0].id;
    let detail = db.catalog.scoped(&home()).alert(id).await.unwrap();
    assert_eq!(detail.alert.entity.value, "nul\u{fffd} and ' \" \\ 🦀");
    assert_eq!((detail.alert.summary.len(), detail.alert.count), (4_000, i64::MAX as u64));
    assert_eq!(detail.evidence, one.evidence);
}

pub(crate) async fn filters_find_what_they_say(db: &Db) {
    let mut states: Vec<_> = (0..10).map(|n| state(HOME, n, 2)).collect();
    states[4].replay = Some("demo".into());
    states[5].summary = "100%_sure exfiltration to Example.ORG".into();
    states[6].entity.value = "MAIL.example.org".into();
    let ids: Vec<_> = db.upsert(&states).await.iter().map(|u| u.id).collect();
    let mut tx = db.begin(HOME).await;
    tx.change_alert(ids[9], &AlertChange::Acknowledge).await.unwrap();
    tx.commit().await.unwrap();
    let base = AlertFilter::default;
    let text = |s: &str| Some(s.to_owned());
    let cases: Vec<(&str, AlertFilter, Vec<u32>)> = vec![
        ("everything", base(), (0..10).collect()),
        ("severity", AlertFilter { severity_min: Some(Severity::High), ..base() }, vec![3, 4, 8, 9]),
        ("status", AlertFilter { status: vec![AlertStatus::Acknowledged], ..base() }, vec![9]),
        ("statuses", AlertFilter { status: AlertStatus::ALL.to_vec(), ..base() }, (0..10).collect()),
        ("rule", AlertFilter { rule_id: text("rule-2"), ..base() }, vec![2, 5, 8]),
        ("entity", AlertFilter { entity: text("mail.EXAMPLE"), ..base() }, vec![6]),
        ("attack", AlertFilter { attack: text("T1046"), ..base() }, (0..10).collect()),
        ("from", AlertFilter { from: Some(START + 11 * Micros::SECOND), ..base() }, vec![9]),
        ("to", AlertFilter { to: Some(START + 2 * Micros::SECOND), ..base() }, vec![0, 1]),
        ("live", AlertFilter { replay: ReplayFilter::Exclude, ..base() }, vec![0, 1, 2, 3, 5, 6, 7, 8, 9]),
        ("replayed", AlertFilter { replay: ReplayFilter::Only, ..base() }, vec![4]),
        ("named", AlertFilter { replay: ReplayFilter::Named("demo".into()), ..base() }, vec![4]),
        ("other name", AlertFilter { replay: ReplayFilter::Named("x".into()), ..base() }, vec![]),
        ("search title", AlertFilter { search: text(" port SCAN 3 "), ..base() }, vec![3]),
        ("search wildcards", AlertFilter { search: text("100%_s"), ..base() }, vec![5]),
        ("wildcards are letters", AlertFilter { search: text("1_0"), ..base() }, vec![]),
        ("search group", AlertFilter { search: text("src_ip=10.0.0.7"), ..base() }, vec![7]),
        ("quotes", AlertFilter { search: text("'; DROP TABLE alerts; --"), ..base() }, vec![]),
        ("tenant", AlertFilter::of(HOME), (0..10).collect()),
    ];
    let scoped = db.catalog.scoped(&home());
    for (name, filter, expected) in cases {
        let page = scoped.alerts(&filter, AlertSort::Activity, None, 100).await.unwrap();
        let mut found: Vec<u32> =
            page.items.iter().map(|a| ids.iter().position(|id| *id == a.id).unwrap() as u32).collect();
        found.sort_unstable();
        assert_eq!(found, expected, "{name}");
        assert_eq!(scoped.alert_counts(&filter).await.unwrap().total, expected.len() as u64, "{name}");
    }
    let counts = scoped.alert_counts(&base()).await.unwrap();
    assert_eq!(counts.by_severity, Severity::ALL.map(|s| (s, 2)));
    assert_eq!(counts.by_status, [(AlertStatus::New, 9), (AlertStatus::Acknowledged, 1), (AlertStatus::Closed, 0)]);
}

pub(crate) async fn pages_stay_put_while_alerts_arrive(db: &Db) {
    for n in 0..25 {
        db.upsert(&[state(HOME, n, 1)]).await;
        if n % 2 == 0 {
            db.clock.advance(1); // some share their microsecond
        }
    }
    for sort in [AlertSort::Newest, AlertSort::Severity] {
        let scoped = db.catalog.scoped(&home());
        let filter = AlertFilter { to: Some(START + 25 * Micros::SECOND), ..AlertFilter::default() };
        let mut expected = scoped.alerts(&filter, sort, None, 100).await.unwrap().items;
        let (mut seen, mut cursor, mut late) = (Vec::new(), None::<AlertCursor>, 100);
        loop {
            let page = scoped.alerts(&filter, sort, cursor.as_ref(), 4).await.unwrap();
            seen.extend(page.items);
            // Between the pages new alerts come, of every severity, and old ones grow.
            db.clock.advance(1);
            let mut newcomers: Vec<_> = (late..late + 5).map(|n| state(HOME, n, 1)).collect();
            for newcomer in &mut newcomers {
                newcomer.first_seen = START;
            }
            newcomers.push(state(HOME, late % 25, u64::from(late)));
            db.upsert(&newcomers).await;
            late += 5;
            match page.next {
                // A cursor travels as JSON through the API.
                Some(next) => {
                    cursor = Some(serde_json::from_value(serde_json::to_value(next).unwrap()).unwrap());
                }
                None => break,
            }
        }
        let ids = |alerts: &[guardian_catalog::Alert]| alerts.iter().map(|a| a.id).collect::<Vec<_>>();
        assert_eq!(ids(&seen), ids(&expected), "{sort}: each once, none new, in order");
        match sort {
            AlertSort::Severity => expected.sort_by_key(|a| std::cmp::Reverse((a.rule.severity, a.id))),
            _ => expected.sort_by_key(|a| std::cmp::Reverse((a.created, a.id))),
        }
        assert_eq!(ids(&seen), ids(&expected), "{sort}: in the order it promises");
        let wrong = scoped.alerts(&filter, AlertSort::Activity, cursor.as_ref(), 4).await;
        assert!(matches!(wrong, Err(CatalogError::Invalid(_))), "a cursor belongs to its order");
    }
}

pub(crate) async fn triage_is_audited(db: &Db) {
    let id = db.upsert(&[state(HOME, 1, 5)]).await[0].id;
    let mut tx = db.begin(HOME).await;
    let new = NewUser {
        name: "bob".into(),
        display_name: String::new(),
        email: None,
        password_hash: None,
        role: "operator".into(),
    };
    let bob = tx.create_user(&new).await.unwrap();
    tx.commit().await.unwrap();
    let scoped = db.catalog.scoped(&home());
    let actor = guardian_catalog::Actor { id: Some(bob.id.to_string()), ..ann() };
    let close = |reason: &str| AlertChange::Close { verdict: Verdict::FalsePositive, reason: reason.into() };

    let mut tx = scoped.begin(HOME, actor.clone()).await.unwrap();
    let alert = tx.change_alert(id, &AlertChange::Acknowledge).await.unwrap();
    assert_eq!((alert.status, alert.assignee), (AlertStatus::Acknowledged, Some(bob.id)), "whoever takes it has it");
    let before = tx.seq();
    tx.change_alert(id, &AlertChange::Acknowledge).await.unwrap();
    assert_eq!(tx.seq(), before, "nothing changed, nothing is told");
    assert!(matches!(tx.change_alert(id, &close("  ")).await, Err(CatalogError::Invalid(_))));
    tx.change_alert(id, &close("a backup job")).await.unwrap();
    let refused = tx.change_alert(id, &AlertChange::Acknowledge).await;
    assert!(matches!(refused, Err(CatalogError::Conflict(_))));
    let alert = tx.change_alert(id, &AlertChange::Reopen).await.unwrap();
    assert_eq!((alert.status, alert.verdict), (AlertStatus::Acknowledged, None));
    tx.change_alert(id, &AlertChange::Assign(None)).await.unwrap();
    let stranger = guardian_model::UserId(uuid::Uuid::nil());
    assert!(matches!(tx.change_alert(id, &AlertChange::Assign(Some(stranger))).await, Err(CatalogError::NotFound(_))));
    tx.commit().await.unwrap();

    let filter = AuditFilter { action: Some("alert.".into()), ..AuditFilter::default() };
    let trail = scoped.audit(HOME, &filter, None, 100).await.unwrap();
    let actions: Vec<_> = trail.iter().rev().map(|e| e.action.as_str()).collect();
    assert_eq!(actions, ["alert.acknowledge", "alert.close", "alert.reopen", "alert.assign"]);
    let closing = &trail[2];
    assert_eq!(closing.actor, actor);
    assert_eq!(closing.actor.kind, ActorKind::User);
    assert_eq!(closing.subject_id, id.to_string());
    assert_eq!((&closing.before["status"], &closing.after["status"]), (&"acknowledged".into(), &"closed".into()));
    assert_eq!(closing.after["reason"], "a backup job");
}

pub(crate) async fn bulk_triage_spares_what_changed_since(db: &Db) {
    db.upsert(&(0..6).map(|n| state(HOME, n, 1)).collect::<Vec<_>>()).await;
    let scoped = db.catalog.scoped(&home());
    let as_of = scoped.latest_seq(HOME).await.unwrap();
    db.upsert(&[state(HOME, 2, 50), state(HOME, 9, 1)]).await; // grew, and new
    let mut tx = db.begin(HOME).await;
    let close = AlertChange::Close { verdict: Verdict::Duplicate, reason: "one campaign".into() };
    assert_eq!(tx.change_alerts(&AlertFilter::default(), as_of, &close).await.unwrap().changed, 5);
    let done = tx.change_alerts(&AlertFilter::default(), i64::MAX, &AlertChange::Acknowledge).await.unwrap();
    assert_eq!(done.changed, 2);
    tx.commit().await.unwrap();
    let counts = scoped.alert_counts(&AlertFilter::default()).await.unwrap();
    assert_eq!(counts.by_status, [(AlertStatus::New, 0), (AlertStatus::Acknowledged, 2), (AlertStatus::Closed, 5)]);
}
