//! Incidents: workflow, alerts, timeline, tasks, evidence, merging.

use guardian_catalog::{
    AlertFilter, AlertGrouping, CatalogError, CustodyAction, EntityPatch, EntryKind, EntryPatch, EntryWhat, Incident,
    IncidentChange, IncidentEntry, IncidentFilter, IncidentKind, IncidentOrder, IncidentOrigin, IncidentPatch,
    IncidentSort, IncidentStatus, Joining, NewEntry, NewEvidence, NewIncident, NewObservable, NewTask, NewUser,
    ObservableKind, SlaClock, SlaDue, SlaFilter, SlaMark, Subject, TaskPatch, TaskStatus, TemplateDraft, TemplateTask,
    User, Verdict, Why,
};
use guardian_model::{AlertId, IncidentId, Micros, Severity};
use uuid::Uuid;

use crate::support::{Db, HOME, START, home, state};

fn new(title: &str, alerts: &[AlertId]) -> NewIncident {
    NewIncident {
        title: title.into(),
        summary: String::new(),
        kind: IncidentKind::Reconnaissance,
        severity: Severity::Medium,
        owner: None,
        tags: vec![],
        origin: IncidentOrigin::Manual,
        due: SlaDue::default(),
        alerts: alerts.iter().map(|id| Joining::by_person(*id, "")).collect(),
    }
}

async fn make(db: &Db, new: &NewIncident) -> Incident {
    let mut tx = db.begin(HOME).await;
    let made = tx.create_incident(new).await.unwrap();
    tx.commit().await.unwrap();
    made
}

async fn alerts(db: &Db, numbers: std::ops::Range<u32>) -> Vec<AlertId> {
    let states: Vec<_> = numbers.map(|n| state(HOME, n, 2)).collect();
    db.upsert(&states).await.iter().map(|u| u.id).collect()
}

async fn person(db: &Db, name: &str) -> User {
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
    user
}

async fn now(db: &Db, id: IncidentId) -> Incident {
    db.catalog.scoped(&home()).incident(id).await.unwrap()
}

const NEWEST: IncidentOrder = IncidentOrder { by: IncidentSort::Newest, ascending: false };

pub(crate) async fn the_workflow_is_kept_and_edits_never_overwrite(db: &Db) {
    let made = make(db, &new("  A scan ", &[])).await;
    assert_eq!((made.number, made.version, made.status, made.title.as_str()), (1, 1, IncidentStatus::New, "A scan"));
    assert_eq!(make(db, &new("Another", &[])).await.number, 2);
    let to = |status| IncidentPatch { status: Some(status), ..IncidentPatch::default() };
    let mut tx = db.begin(HOME).await;
    let unsaid = tx.update_incident(made.id, 1, &to(IncidentStatus::Resolved)).await;
    assert!(matches!(unsaid, Err(CatalogError::Invalid(_))), "resolving needs a verdict and a resolution");
    let wrong = tx.update_incident(made.id, 1, &to(IncidentStatus::Reopened)).await;
    assert!(matches!(wrong, Err(CatalogError::Conflict(_))), "what is open cannot be reopened");
    db.clock.advance(Micros::MINUTE);
    drop(tx);
    let mut tx = db.begin(HOME).await;
    let triaged = tx.update_incident(made.id, 1, &to(IncidentStatus::Triaged)).await.unwrap();
    assert_eq!((triaged.version, triaged.triaged_at), (2, Some(START + Micros::MINUTE)));
    let stale = tx.update_incident(made.id, 1, &IncidentPatch { title: Some("x".into()), ..Default::default() }).await;
    assert!(matches!(stale, Err(CatalogError::VersionConflict { version: 2, .. })));
    let end = IncidentPatch {
        status: Some(IncidentStatus::Closed),
        verdict: Some(Verdict::Benign),
        resolution: Some("our scanner".into()),
        tags: Some(vec![" Scanner ".into(), "scanner".into(), "a,b".into()]),
        ..IncidentPatch::default()
    };
    let closed = tx.update_incident(made.id, 2, &end).await.unwrap();
    assert_eq!((closed.closed_at, closed.resolved_at), (Some(tx.now()), Some(tx.now())));
    assert_eq!(closed.tags, ["scanner", "a b"]);
    let again = tx.update_incident(made.id, 3, &to(IncidentStatus::Reopened)).await.unwrap();
    assert_eq!((again.closed_at, again.verdict, again.triaged_at), (None, None, triaged.triaged_at));
    tx.commit().await.unwrap();
    let scoped = db.catalog.scoped(&home());
    let kinds = [EntryKind::Status];
    let (told, _) = scoped.incident_entries(made.id, &kinds, true, None, 10).await.unwrap();
    let whats: Vec<_> = told.iter().filter_map(IncidentEntry::what).collect();
    assert_eq!(whats, [&[EntryWhat::Opened][..], &[EntryWhat::StatusChanged; 3]].concat());
    assert_eq!((&told[1].data["from"], &told[1].data["to"]), (&"new".into(), &"triaged".into()));
    let told: Vec<_> = told.iter().map(|e| e.text.as_str()).collect();
    assert_eq!(told, ["opened", "new \u{2192} triaged", "triaged \u{2192} closed", "closed \u{2192} reopened"]);
    assert_eq!(scoped.incident_by_number(HOME, 1).await.unwrap().id, made.id);
    assert_eq!(scoped.acknowledge_seconds(START, START + Micros::HOUR).await.unwrap(), Some(60.0));
    assert_eq!(scoped.acknowledge_seconds(START - Micros::HOUR, START).await.unwrap(), None);
}

pub(crate) async fn alerts_join_once_leave_and_split(db: &Db) {
    let ids = alerts(db, 0..6).await;
    let made = make(db, &new("Scan", &ids[..4])).await;
    assert_eq!((made.counts.alerts, made.counts.entities), (4, 4));
    assert_eq!(made.attack, ["discovery", "t1046"]);
    assert_eq!((made.first_seen, made.last_seen), (START, START + 5 * Micros::SECOND));
    let scoped = db.catalog.scoped(&home());
    assert_eq!(scoped.alert(ids[0]).await.unwrap().alert.incident, Some(made.id));
    let mut tx = db.begin(HOME).await;
    let why = vec![Why { factor: "entity".into(), text: "the same ip".into(), score: 40 }];
    let joining = Joining { alert: ids[4], why: why.clone() };
    tx.join_alerts(made.id, &[joining.clone(), joining]).await.unwrap();
    tx.commit().await.unwrap();
    let listed = scoped.incident_alerts(made.id).await.unwrap();
    assert_eq!(listed.len(), 5);
    assert_eq!((listed[4].why.clone(), listed[4].score), (why, 40));
    let other = make(db, &new("Other", &[])).await;
    let mut tx = db.begin(HOME).await;
    let taken = tx.join_alerts(other.id, &[Joining::by_person(ids[0], "")]).await;
    assert!(matches!(taken, Err(CatalogError::Conflict(_))), "an alert belongs to one incident");
    drop(tx);
    let mut tx = db.begin(HOME).await;
    let left = tx.leave_incident(made.id, ids[4]).await.unwrap();
    assert_eq!((left.counts.alerts, left.counts.entities), (4, 4));
    tx.commit().await.unwrap();
    let mut tx = db.begin(HOME).await;
    let all = tx.split_incident(made.id, &ids[..4], "All", SlaDue::default()).await;
    assert!(matches!(all, Err(CatalogError::Conflict(_))), "something stays");
    drop(tx);
    let mut tx = db.begin(HOME).await;
    let split = tx.split_incident(made.id, &ids[2..4], "Part", SlaDue::default()).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!((split.counts.alerts, split.severity), (2, Severity::High));
    assert_eq!(now(db, made.id).await.counts.alerts, 2);
    let of_split = AlertFilter { incident: Some(split.id), ..AlertFilter::default() };
    assert_eq!(scoped.alert_counts(&of_split).await.unwrap().total, 2);
    let groups = scoped.alert_groups(&AlertFilter::default(), AlertGrouping::Incident).await.unwrap();
    assert_eq!(groups.iter().map(|g| g.count).sum::<i64>(), 6);
}

pub(crate) async fn timelines_are_written_corrected_and_paged(db: &Db) {
    let bob = person(db, "bob").await;
    let made = make(db, &new("Scan", &alerts(db, 0..2).await)).await;
    let mut tx = db.begin(HOME).await;
    let stranger = guardian_model::UserId(Uuid::nil());
    let comment = NewEntry {
        kind: EntryKind::Comment,
        text: "@bob look".into(),
        event_time: None,
        mentions: vec![bob.id, stranger, bob.id],
    };
    let comment = tx.add_entry(made.id, &comment).await.unwrap();
    assert_eq!(comment.mentions, [bob.id]);
    let note = NewEntry {
        kind: EntryKind::Note,
        text: "it began earlier".into(),
        event_time: Some(START - Micros::HOUR),
        mentions: vec![],
    };
    let note = tx.add_entry(made.id, &note).await.unwrap();
    let forged = NewEntry { kind: EntryKind::Status, text: "closed".into(), event_time: None, mentions: vec![] };
    assert!(matches!(tx.add_entry(made.id, &forged).await, Err(CatalogError::Invalid(_))));
    tx.commit().await.unwrap();
    let incident = now(db, made.id).await;
    assert_eq!((incident.watchers, incident.counts.comments), (vec![bob.id], 1));
    let scoped = db.catalog.scoped(&home());
    let (mut seen, mut place) = (Vec::new(), None);
    loop {
        let (page, next) = scoped.incident_entries(made.id, &[], true, place.as_ref(), 2).await.unwrap();
        seen.extend(page);
        place = next;
        if place.is_none() {
            break;
        }
    }
    assert_eq!(seen.len(), 5, "opened, two alerts, a comment, a note");
    assert_eq!(seen[0].id, note.id, "by when it happened");
    assert!(seen.is_sorted_by_key(|e| e.event_time));

    let mut tx = db.begin(HOME).await;
    let edit = |text: &str| EntryPatch { text: Some(text.into()), ..EntryPatch::default() };
    let changed = tx.update_entry(made.id, comment.id, 1, &edit("never mind"), false).await.unwrap();
    assert_eq!((changed.version, changed.mentions.len(), changed.edited), (2, 0, Some(START)));
    let stale = tx.update_entry(made.id, comment.id, 1, &edit("x"), false).await;
    assert!(matches!(stale, Err(CatalogError::VersionConflict { version: 2, .. })));
    let automatic = seen.iter().find(|e| e.kind == EntryKind::Alert).unwrap();
    let rewritten = tx.update_entry(made.id, automatic.id, 1, &edit("lies"), true).await;
    assert!(matches!(rewritten, Err(CatalogError::Conflict(_))), "what Guardian saw is not rewritten");
    let moved = EntryPatch { event_time: Some(START + 1), ..EntryPatch::default() };
    tx.update_entry(made.id, automatic.id, 1, &moved, false).await.unwrap();
    assert!(matches!(tx.delete_entry(made.id, automatic.id, true).await, Err(CatalogError::Conflict(_))));
    tx.delete_entry(made.id, comment.id, false).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(now(db, made.id).await.counts.comments, 0);
    let colleague =
        guardian_catalog::Actor { id: Some(bob.id.to_string()), name: "bob".into(), ..crate::support::ann() };
    let mut tx = scoped.begin(HOME, colleague).await.unwrap();
    let theirs = tx.update_entry(made.id, note.id, 1, &edit("no"), false).await;
    assert!(matches!(theirs, Err(CatalogError::Conflict(_))), "what somebody wrote is theirs");
}

pub(crate) async fn entities_tasks_templates_and_evidence_belong_to_it(db: &Db) {
    let ids = alerts(db, 0..2).await;
    let made = make(db, &new("Scan", &ids)).await;
    let scoped = db.catalog.scoped(&home());
    let mut tx = db.begin(HOME).await;
    let hash = NewObservable {
        site: String::new(),
        kind: ObservableKind::Hash,
        value: " abc ".into(),
        role: "dropper".into(),
        note: String::new(),
        indicator: true,
    };
    let hash = tx.add_entity(made.id, &hash).await.unwrap();
    let own = scoped.incident_entities(made.id).await.unwrap();
    assert_eq!(own.len(), 2, "not committed yet");
    let patch = EntityPatch { note: Some("a printer".into()), ..EntityPatch::default() };
    tx.update_entity(made.id, own[0].id, own[0].version, &patch).await.unwrap();
    assert!(matches!(tx.delete_entity(made.id, own[1].id).await, Err(CatalogError::Conflict(_))));
    let about: AlertId = ids[usize::from(own[0].value != "10.0.0.0")];
    tx.leave_incident(made.id, about).await.unwrap();
    let task = NewTask { title: "Ask the owner".into(), phase: "find out".into(), ..NewTask::default() };
    let tasks = tx.add_tasks(made.id, &[task.clone(), task]).await.unwrap();
    let done = TaskPatch { status: Some(TaskStatus::Done), ..TaskPatch::default() };
    let done = tx.update_task(made.id, tasks[0].id, 1, &done).await.unwrap();
    assert_eq!((done.completed, done.completed_by.as_deref()), (Some(START), Some("ann")));
    let evidence = NewEvidence {
        id: Uuid::from_u128(7),
        name: "memory.img".into(),
        description: String::new(),
        media_type: "application/octet-stream".into(),
        size: 3,
        sha256: "aa".into(),
    };
    let file = tx.add_evidence(made.id, &evidence).await.unwrap();
    tx.note_custody(made.id, file.id, CustodyAction::Downloaded, "aa", "").await.unwrap();
    assert!(matches!(tx.remove_evidence(made.id, file.id, " ").await, Err(CatalogError::Invalid(_))));
    tx.commit().await.unwrap();
    let left = scoped.incident_entities(made.id).await.unwrap();
    assert_eq!(left.len(), 3, "what people said about a thing stays: {left:?}");
    assert_eq!(scoped.incidents_about(&["abc".into()], None).await.unwrap()[&made.id.0], ["abc"]);
    let counts = now(db, made.id).await.counts;
    assert_eq!((counts.tasks, counts.tasks_done, counts.evidence), (2, 1, 1));
    let mut tx = db.begin(HOME).await;
    tx.remove_evidence(made.id, file.id, "personal data").await.unwrap();
    tx.delete_entity(made.id, hash.id).await.unwrap();
    tx.delete_task(made.id, tasks[1].id).await.unwrap();
    tx.commit().await.unwrap();
    let detail = scoped.evidence(made.id, file.id).await.unwrap();
    let actions: Vec<_> = detail.custody.iter().map(|c| c.action).collect();
    assert_eq!(actions, [CustodyAction::Received, CustodyAction::Downloaded, CustodyAction::Removed]);
    assert_eq!(now(db, made.id).await.counts.evidence, 0);
}

pub(crate) async fn templates_are_versioned(db: &Db) {
    let scoped = db.catalog.scoped(&home());
    let draft = TemplateDraft {
        name: "Ours".into(),
        kind: IncidentKind::Policy,
        tasks: vec![TemplateTask { title: "Talk".into(), ..TemplateTask::default() }],
    };
    let mut tx = db.begin(HOME).await;
    let id = Uuid::from_u128(3);
    let first = tx.put_template(Some(id), 0, &draft).await.unwrap();
    assert_eq!((first.id, first.version), (id, 1));
    assert!(matches!(
        tx.put_template(Some(id), 0, &draft).await,
        Err(CatalogError::VersionConflict { version: 1, .. })
    ));
    assert_eq!(tx.put_template(Some(id), 1, &draft).await.unwrap().version, 2);
    tx.commit().await.unwrap();
    assert_eq!(scoped.incident_templates().await.unwrap().len(), 1);
    let mut tx = db.begin(HOME).await;
    tx.delete_template(id).await.unwrap();
    tx.commit().await.unwrap();
    assert!(scoped.incident_templates().await.unwrap().is_empty());
}

/// Everything that an incident holds, to compare before and after.
async fn holdings(db: &Db, id: IncidentId) -> (u32, usize, usize, usize, Vec<String>) {
    let scoped = db.catalog.scoped(&home());
    let (entries, _) =
        scoped.incident_entries(id, &[EntryKind::Comment, EntryKind::Alert], true, None, 500).await.unwrap();
    let entities = scoped.incident_entities(id).await.unwrap();
    let mut values: Vec<_> = entities.into_iter().map(|e| format!("{} {}", e.value, e.note)).collect();
    values.sort();
    (
        now(db, id).await.counts.alerts,
        entries.len(),
        scoped.incident_tasks(id).await.unwrap().len(),
        scoped.incident_evidence(id).await.unwrap().len(),
        values,
    )
}

pub(crate) async fn a_merge_loses_nothing_and_can_be_undone(db: &Db) {
    let ids = alerts(db, 0..5).await;
    let a = make(db, &new("A", &ids[..2])).await;
    let b =
        make(db, &NewIncident { severity: Severity::Critical, tags: vec!["b".into()], ..new("B", &ids[2..]) }).await;
    for (incident, name) in [(a.id, "a"), (b.id, "b")] {
        let mut tx = db.begin(HOME).await;
        let text = NewEntry { kind: EntryKind::Comment, text: name.into(), event_time: None, mentions: vec![] };
        tx.add_entry(incident, &text).await.unwrap();
        tx.add_tasks(incident, &[NewTask { title: name.into(), ..NewTask::default() }]).await.unwrap();
        let shared = |note: &str, value: &str| NewObservable {
            site: String::new(),
            kind: ObservableKind::Domain,
            value: value.into(),
            role: String::new(),
            note: note.into(),
            indicator: false,
        };
        tx.add_entity(incident, &shared(name, "both.example")).await.unwrap();
        tx.add_entity(incident, &shared(name, &format!("{name}.example"))).await.unwrap();
        tx.commit().await.unwrap();
    }
    let before = (holdings(db, a.id).await, holdings(db, b.id).await);
    let mut tx = db.begin(HOME).await;
    let itself = tx.merge_incidents(a.id, 1, &[a.id]).await;
    assert!(matches!(itself, Err(CatalogError::Invalid(_))));
    drop(tx);
    let mut tx = db.begin(HOME).await;
    let merged = tx.merge_incidents(a.id, 1, &[b.id]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!((merged.counts.alerts, merged.counts.tasks, merged.counts.comments), (5, 2, 2));
    assert_eq!((merged.severity, merged.tags.clone()), (Severity::Critical, vec!["b".to_owned()]));
    let source = now(db, b.id).await;
    assert_eq!((source.merged_into, source.status, source.counts.alerts), (Some(a.id), IncidentStatus::Closed, 0));
    let scoped = db.catalog.scoped(&home());
    let listed = scoped.incidents(&IncidentFilter::default(), NEWEST, None, 10).await.unwrap().items;
    assert_eq!(listed.iter().map(|i| i.id).collect::<Vec<_>>(), [a.id], "what became part of another is not listed");
    let mut tx = db.begin(HOME).await;
    let rename = IncidentPatch { title: Some("x".into()), ..IncidentPatch::default() };
    let edit = tx.update_incident(b.id, source.version, &rename);
    assert!(matches!(edit.await, Err(CatalogError::Conflict(_))));
    drop(tx);
    let merge = scoped.incident_merges(a.id).await.unwrap().remove(0);
    assert_eq!(merge.moved.alerts.len(), 3);
    let mut tx = db.begin(HOME).await;
    let back = tx.undo_merge(a.id, merge.id).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!((back.severity, back.tags), (Severity::Medium, vec![]));
    let restored = now(db, b.id).await;
    assert_eq!((restored.status, restored.merged_into, restored.verdict), (IncidentStatus::New, None, None));
    assert_eq!((holdings(db, a.id).await, holdings(db, b.id).await), before);
    let both =
        [(a.id, [EntryWhat::Merged, EntryWhat::MergeUndone]), (b.id, [EntryWhat::MergedInto, EntryWhat::Separated])];
    for (id, expected) in both {
        let (told, _) = scoped.incident_entries(id, &[EntryKind::Merge], true, None, 9).await.unwrap();
        assert_eq!(told.iter().filter_map(IncidentEntry::what).collect::<Vec<_>>(), expected);
        assert!(told.iter().all(|e| e.data["number"].is_number()), "{told:?}");
    }
    let mut tx = db.begin(HOME).await;
    assert!(matches!(tx.undo_merge(a.id, merge.id).await, Err(CatalogError::Conflict(_))), "once");
}

pub(crate) async fn deadlines_are_marked_once(db: &Db) {
    let due = SlaDue { acknowledge: Some(START + Micros::HOUR), contain: None, resolve: Some(START + Micros::DAY) };
    let made = make(db, &NewIncident { due, ..new("A", &[]) }).await;
    let scoped = db.catalog.scoped(&home());
    assert_eq!(made.next_due(), due.acknowledge);
    assert!(scoped.incidents_due(HOME, START, 9).await.unwrap().is_empty());
    assert_eq!(scoped.incidents_due(HOME, START + Micros::HOUR, 9).await.unwrap().len(), 1);
    let mut tx = db.begin(HOME).await;
    assert!(tx.mark_sla(made.id, SlaClock::Acknowledge, SlaMark::Breached).await.unwrap().is_some());
    assert!(tx.mark_sla(made.id, SlaClock::Acknowledge, SlaMark::Breached).await.unwrap().is_none());
    let triage = IncidentPatch { status: Some(IncidentStatus::Triaged), ..IncidentPatch::default() };
    let triaged = tx.update_incident(made.id, 1, &triage).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!((triaged.breached.clone(), triaged.next_due()), (vec![SlaClock::Acknowledge], due.resolve));
    let breached = IncidentFilter { sla: Some(SlaFilter::Breached), ..IncidentFilter::default() };
    assert_eq!(scoped.incidents(&breached, NEWEST, None, 9).await.unwrap().items.len(), 1);
    let sooner = SlaDue { acknowledge: Some(START + Micros::MINUTE), ..due };
    let mut tx = db.begin(HOME).await;
    let again = IncidentPatch { due: Some(sooner), ..IncidentPatch::default() };
    assert_eq!(tx.update_incident(made.id, 2, &again).await.unwrap().breached, [], "a new deadline begins afresh");
}

/// Nine incidents of one alert each, every other one bob's, of all severities and some kinds and tags.
async fn nine_cases(db: &Db) -> (User, Vec<Incident>) {
    let bob = person(db, "bob").await;
    let ids = alerts(db, 0..9).await;
    let mut made = Vec::new();
    for n in 0..9_usize {
        let one = NewIncident {
            severity: Severity::ALL[n % 5],
            kind: IncidentKind::ALL[n % 3],
            owner: (n % 2 == 0).then_some(bob.id),
            tags: if n < 3 { vec!["red".into(), format!("t{n}")] } else { vec![] },
            due: SlaDue { acknowledge: Some(START + n as i64 * Micros::HOUR), ..SlaDue::default() },
            ..new(&format!("Case {n}"), &ids[n..=n])
        };
        made.push(make(db, &one).await);
        db.clock.advance(1);
    }
    (bob, made)
}

pub(crate) async fn incidents_are_found_and_ordered(db: &Db) {
    let (bob, made) = nine_cases(db).await;
    let mut tx = db.begin(HOME).await;
    tx.watch_incident(made[4].id, bob.id, true).await.unwrap();
    tx.commit().await.unwrap();
    let scoped = db.catalog.scoped(&home());
    let base = IncidentFilter::default;
    for (name, filter, expected) in [
        ("severity", IncidentFilter { severity: vec![Severity::Critical], ..base() }, vec![4]),
        ("at least", IncidentFilter { severity_min: Some(Severity::High), ..base() }, vec![3, 4, 8]),
        ("kind", IncidentFilter { kind: vec![IncidentKind::ALL[2]], ..base() }, vec![2, 5, 8]),
        ("owner", IncidentFilter { owner: Some(bob.id), ..base() }, vec![0, 2, 4, 6, 8]),
        ("nobody's", IncidentFilter { unowned: true, ..base() }, vec![1, 3, 5, 7]),
        ("watched", IncidentFilter { watcher: Some(bob.id), ..base() }, vec![4]),
        ("tag", IncidentFilter { tag: Some("RED".into()), ..base() }, vec![0, 1, 2]),
        ("part of a tag", IncidentFilter { tag: Some("re".into()), ..base() }, vec![]),
        ("entity", IncidentFilter { entity: Some("10.0.0.7".into()), ..base() }, vec![7]),
        ("search", IncidentFilter { search: Some("case 3".into()), ..base() }, vec![3]),
        ("number", IncidentFilter { search: Some("#6".into()), ..base() }, vec![5]),
        ("status", IncidentFilter { status: vec![IncidentStatus::Closed], ..base() }, vec![]),
        ("attack", IncidentFilter { attack: Some("T1046".into()), ..base() }, (0..9).collect()),
    ] {
        let page = scoped.incidents(&filter, NEWEST, None, 100).await.unwrap();
        let mut found: Vec<usize> =
            page.items.iter().map(|i| made.iter().position(|m| m.id == i.id).unwrap()).collect();
        found.sort_unstable();
        assert_eq!(found, expected, "{name}");
        assert_eq!(scoped.incident_facets(&filter).await.unwrap().total, expected.len() as u64, "{name}");
    }
    for by in IncidentSort::ALL {
        for ascending in [false, true] {
            let order = IncidentOrder { by: *by, ascending };
            let whole = scoped.incidents(&base(), order, None, 100).await.unwrap().items;
            let (mut seen, mut cursor) = (Vec::new(), None);
            loop {
                let page = scoped.incidents(&base(), order, cursor.as_ref(), 2).await.unwrap();
                seen.extend(page.items);
                cursor = page.next;
                if cursor.is_none() {
                    break;
                }
            }
            assert_eq!(seen, whole, "{by} {ascending}");
        }
    }
    let soonest = scoped.incidents(&base(), IncidentOrder { by: IncidentSort::Sla, ascending: true }, None, 1).await;
    assert_eq!(soonest.unwrap().items[0].id, made[0].id);
    let facets = scoped.incident_facets(&base()).await.unwrap();
    assert_eq!(facets.tag.iter().find(|t| t.value == "red").unwrap().count, 3);
    assert_eq!(facets.owner.iter().map(|f| f.count).sum::<u64>(), 9);
}

pub(crate) async fn incidents_change_in_bulk_and_back(db: &Db) {
    let (bob, made) = nine_cases(db).await;
    let base = IncidentFilter::default;
    let mut tx = db.begin(HOME).await;
    let mine = IncidentFilter { owner: Some(bob.id), ..base() };
    let free = IncidentChange::Patch(IncidentPatch { owner: Some(None), ..IncidentPatch::default() });
    let done = tx.change_incidents(&mine, i64::MAX, &free).await.unwrap();
    assert_eq!(done.changed, 5);
    let tag = IncidentChange::Tag { add: vec!["bulk".into()], remove: vec!["red".into()] };
    let some = IncidentFilter { ids: vec![made[0].id], ..base() };
    assert_eq!(tx.change_incidents(&some, i64::MAX, &tag).await.unwrap().changed, 1);
    tx.commit().await.unwrap();
    assert_eq!(now(db, made[0].id).await.tags, ["t0", "bulk"]);
    let mut tx = db.begin(HOME).await;
    let undone = tx.undo_incidents(done.undo.unwrap()).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!((undone.changed, undone.kept), (4, 1), "one was edited since");
}

pub(crate) async fn followers_and_auditors_hear_of_it(db: &Db) {
    let scoped = db.catalog.scoped(&home());
    let ids = alerts(db, 0..1).await;
    let since = scoped.latest_seq(HOME).await.unwrap();
    let made = make(db, &new("A", &ids)).await;
    let guardian_catalog::Changes::Entries { entries, latest } = scoped.changes_since(HOME, since, 100).await.unwrap()
    else {
        panic!("nothing was pruned")
    };
    let told: Vec<_> = entries.iter().map(|e| (e.subject, e.payload["item"].as_str().unwrap_or_default())).collect();
    assert!(told.contains(&(Subject::Incident, "")));
    assert!(told.contains(&(Subject::IncidentItem, "entry")));
    assert!(told.contains(&(Subject::IncidentItem, "entity")));
    assert!(told.contains(&(Subject::IncidentItem, "alert")));
    assert!(told.iter().any(|(subject, _)| *subject == Subject::Alert), "the alert knows its incident");
    let last = entries.iter().rev().find(|e| e.subject == Subject::Incident).unwrap();
    let shown: Incident = serde_json::from_value(last.payload.clone()).unwrap();
    assert_eq!((shown.id, shown.counts.alerts, shown.seq), (made.id, 1, last.seq));
    assert_eq!(latest, made.seq);
    let filter = guardian_catalog::AuditFilter { action: Some("incident.".into()), ..Default::default() };
    let trail = scoped.audit(HOME, &filter, None, 100).await.unwrap();
    assert!(trail.iter().all(|e| e.subject_id == made.id.to_string() && e.actor.name == "ann"), "{trail:?}");
    let mut replayed = state(HOME, 50, 1);
    replayed.replay = Some("demo".into());
    let id = db.upsert(&[replayed]).await[0].id;
    let of_replay = make(db, &new("Demo", &[id])).await;
    assert_eq!(of_replay.replay.as_deref(), Some("demo"));
    let mut tx = db.begin(HOME).await;
    tx.clear_replay(Some("demo")).await.unwrap();
    tx.commit().await.unwrap();
    assert!(matches!(scoped.incident(of_replay.id).await, Err(CatalogError::NotFound(_))), "it goes with its replay");
    scoped.incident(made.id).await.unwrap();
}
