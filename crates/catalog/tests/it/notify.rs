//! Notifications: the inbox, the outbox, channels, and assignments in the change log.

use guardian_catalog::{
    AlertChange, AlertFilter, Announcement, AuditFilter, CatalogError, Changes, ChannelDraft, ChannelFilter,
    ChannelKind, DeliveryFilter, DeliveryOutcome, DeliveryState, Language, NewDelivery, NewNotification, NewUser,
    NotifyEvent, Subject,
};
use guardian_model::{Micros, Scope, UserId};
use serde_json::json;
use uuid::Uuid;

use crate::support::{Db, HOME, START, home, state};

async fn person(db: &Db, name: &str) -> UserId {
    let mut tx = db.begin(HOME).await;
    let new = NewUser {
        name: name.into(),
        display_name: String::new(),
        email: None,
        password_hash: None,
        role: "operator".into(),
    };
    let user = tx.create_user(&new).await.unwrap();
    tx.commit().await.unwrap();
    user.id
}

fn told(user: UserId, key: &str) -> NewNotification {
    NewNotification {
        user,
        key: key.into(),
        event: NotifyEvent::Mention,
        time: START,
        title: "ann mentioned you".into(),
        text: String::new(),
        link: "/incidents/1".into(),
        subject: "incident".into(),
        subject_id: "1".into(),
        by: Some("ann".into()),
        test: false,
    }
}

fn message(key: &str, due: Micros) -> NewDelivery {
    NewDelivery {
        key: key.into(),
        channel: Some(Uuid::from_u128(7)),
        user: None,
        kind: ChannelKind::Webhook,
        target: "https://example.org/in".into(),
        event: NotifyEvent::Incident,
        title: "New incident".into(),
        subject: "incident".into(),
        subject_id: "1".into(),
        body: json!({"a": 1}),
        bundle: None,
        test: false,
        due,
    }
}

pub(crate) async fn what_is_planned_again_is_kept_once(db: &Db) {
    let (ann, bob) = (person(db, "ann").await, person(db, "bob").await);
    let system = db.catalog.system();
    let before = db.catalog.scoped(&home()).latest_seq(HOME).await.unwrap();
    let planned = Announcement {
        notifications: vec![told(ann, "k1"), told(bob, "k1"), told(bob, "k2")],
        deliveries: vec![message("d1", START), message("d2", START)],
        position: Some(("notify/x".into(), 42)),
    };
    assert_eq!(system.announce(HOME, &planned).await.unwrap(), (3, 2));
    assert_eq!(system.announce(HOME, &planned).await.unwrap(), (0, 0), "after a crash it is planned again");
    assert_eq!(system.state("notify/x").await.unwrap(), Some(b"42".to_vec()));

    let scope = home();
    let scoped = db.catalog.scoped(&scope);
    assert_eq!(scoped.unread_notifications(bob).await.unwrap(), 2);
    let (first, more) = scoped.notifications(bob, true, None, None, 1).await.unwrap();
    assert!(more);
    let (second, more) = scoped.notifications(bob, true, None, Some(first[0].id), 1).await.unwrap();
    assert!(!more && second[0].id < first[0].id);
    let mut tx = db.begin(HOME).await;
    assert_eq!(tx.read_notifications(bob, Some(&[first[0].id])).await.unwrap(), 1);
    assert_eq!(tx.read_notifications(ann, Some(&[second[0].id])).await.unwrap(), 0, "another's stay unread");
    tx.commit().await.unwrap();
    assert_eq!(scoped.unread_notifications(bob).await.unwrap(), 1);
    let Changes::Entries { entries, .. } = scoped.changes_since(HOME, before, 100).await.unwrap() else { panic!() };
    let about: Vec<_> = entries.iter().map(|e| (e.subject, e.payload.is_null())).collect();
    let of = |null| (Subject::Notification, null);
    assert_eq!(about, [of(false), of(false), of(false), of(true)], "its windows hear of it");

    let stranger = db.tenant("other").await;
    let other = Scope::of(stranger.id);
    assert_eq!(db.catalog.scoped(&other).unread_notifications(bob).await.unwrap(), 0);
    let (none, _) = db.catalog.scoped(&other).deliveries(&DeliveryFilter::default(), None, 10).await.unwrap();
    assert!(none.is_empty());
}

pub(crate) async fn messages_are_taken_by_one_and_come_back(db: &Db) {
    let system = db.catalog.system();
    let planned = Announcement {
        deliveries: vec![message("now", START), message("later", START + Micros::HOUR)],
        ..Announcement::default()
    };
    system.announce(HOME, &planned).await.unwrap();
    let due = system.due_deliveries(START, &[], 10).await.unwrap();
    assert_eq!(due.iter().map(|d| d.what.key.as_str()).collect::<Vec<_>>(), ["now"]);
    let lease = START + Micros::MINUTE;
    assert!(system.claim_delivery(&due[0], lease).await.unwrap());
    assert!(!system.claim_delivery(&due[0], lease).await.unwrap(), "another node is late");
    assert!(system.due_deliveries(START, &[], 10).await.unwrap().is_empty());
    assert!(system.due_deliveries(lease, &[Uuid::from_u128(7)], 10).await.unwrap().is_empty(), "it is left alone");
    let again = system.due_deliveries(lease, &[], 10).await.unwrap();
    assert_eq!((again[0].id, again[0].attempts), (due[0].id, 1), "who took it died");

    let id = due[0].id;
    system.finish_delivery(id, &DeliveryOutcome::Again(START + Micros::HOUR), "503 later").await.unwrap();
    let scope = home();
    let scoped = db.catalog.scoped(&scope);
    let waits = scoped.delivery(id).await.unwrap();
    assert_eq!((waits.state, waits.answer.as_deref()), (DeliveryState::Waiting, Some("503 later")));
    system.finish_delivery(id, &DeliveryOutcome::GivenUp, "no").await.unwrap();
    let mut tx = db.begin(HOME).await;
    tx.retry_delivery(id).await.unwrap();
    tx.commit().await.unwrap();
    let waits = scoped.delivery(id).await.unwrap();
    assert_eq!((waits.state, waits.next_attempt, waits.finished), (DeliveryState::Waiting, START, None));
    system.finish_delivery(id, &DeliveryOutcome::Delivered, "200").await.unwrap();
    let mut tx = db.begin(HOME).await;
    assert!(matches!(tx.retry_delivery(id).await, Err(CatalogError::Conflict(_))));
    drop(tx);
    let recent = scoped.recent_deliveries(Uuid::from_u128(7), START - 1).await.unwrap();
    assert_eq!((recent.delivered, recent.waiting, recent.failures), (Some(START), 1, 0));
    let done = DeliveryFilter { state: vec![DeliveryState::Delivered], ..DeliveryFilter::default() };
    assert_eq!(scoped.deliveries(&done, None, 10).await.unwrap().0.len(), 1);
    assert_eq!(system.drop_old_deliveries(START + 1).await.unwrap(), 1, "what waits is kept");
}

pub(crate) async fn channels_have_versions_and_keep_their_secret(db: &Db) {
    let draft = ChannelDraft {
        name: "bot".into(),
        kind: ChannelKind::Webhook,
        enabled: true,
        to: vec![],
        url: Some("https://example.org/in".into()),
        language: Language::En,
        events: vec![NotifyEvent::Incident],
        filter: ChannelFilter::default(),
        personal: false,
    };
    let mut tx = db.begin(HOME).await;
    let id = tx.channel_id();
    let made = tx.create_channel(id, &draft, Some("sealed".into())).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!((made.id, made.version), (id, 1));
    let mut tx = db.begin(HOME).await;
    let changed = ChannelDraft { name: "robot".into(), ..draft.clone() };
    let now = tx.update_channel(id, 1, &changed).await.unwrap();
    assert_eq!((now.version, now.secret.as_deref()), (2, Some("sealed")));
    let stale = tx.update_channel(id, 1, &draft).await;
    assert!(matches!(stale, Err(CatalogError::VersionConflict { version: 2, .. })));
    let mail = ChannelDraft { kind: ChannelKind::Mail, to: vec!["a@example.org".into()], ..draft };
    assert!(matches!(tx.update_channel(id, 2, &mail).await, Err(CatalogError::Invalid(_))), "it keeps its kind");
    tx.commit().await.unwrap();
    let entries = db.catalog.scoped(&home()).audit(HOME, &AuditFilter::default(), None, 10).await;
    let text = format!("{entries:?}");
    assert!(text.contains("notification.channel.update") && !text.contains("sealed"), "{text}");
    let mut tx = db.begin(HOME).await;
    tx.delete_channel(id).await.unwrap();
    tx.commit().await.unwrap();
    assert!(db.catalog.scoped(&home()).channels().await.unwrap().is_empty());
}

pub(crate) async fn assignments_are_told_in_the_change_log(db: &Db) {
    let ann = person(db, "ann").await;
    let ids: Vec<_> = db.upsert(&[1, 2, 3].map(|n| state(HOME, n, 1))).await.iter().map(|u| u.id).collect();
    let scope = home();
    let scoped = db.catalog.scoped(&scope);
    let before = scoped.latest_seq(HOME).await.unwrap();
    let mut tx = db.begin(HOME).await;
    tx.change_alert(ids[0], &AlertChange::Assign(Some(ann))).await.unwrap();
    tx.change_alert(ids[0], &AlertChange::Assign(Some(ann))).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = db.begin(HOME).await;
    let seen = tx.seq();
    tx.change_alerts(&AlertFilter::default(), seen, &AlertChange::Assign(Some(ann))).await.unwrap();
    tx.commit().await.unwrap();
    let Changes::Entries { entries, .. } = scoped.changes_since(HOME, before, 100).await.unwrap() else { panic!() };
    let given = entries.iter().filter(|e| e.subject == Subject::Assignment);
    let counts: Vec<_> = given.map(|e| (e.payload["count"].clone(), e.payload["by"].clone())).collect();
    assert_eq!(counts, [(json!(1), json!("ann")), (json!(2), json!("ann"))], "once, and once for the rest");
}
