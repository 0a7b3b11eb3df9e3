//! Tenants never see or change each other's data, whichever function is asked.

use guardian_catalog::{
    Actor, AlertChange, AlertFilter, AlertSort, ApiKeyChange, AuditFilter, CatalogError, EntryKind, ExceptionDraft,
    ExporterSeen, ExporterState, FactorKind, IncidentFilter, IncidentKind, IncidentOrder, IncidentOrigin,
    IncidentPatch, IncidentSort, Joining, LinkKind, NewApiKey, NewEntry, NewIncident, NewLink, NewTask, NewUser,
    RoleDraft, RuleDraft, RuleOrigin, SlaDue, SuppressionDraft, TenantChange, User, UserChange, Verdict,
};
use guardian_model::{AlertId, IncidentId, Scope, TenantId};
use serde_json::json;
use uuid::Uuid;

use crate::support::{Db, PASSWORD, START, ann, state};

struct Full {
    tenant: TenantId,
    user: User,
    alert: AlertId,
    key: Uuid,
    session: Uuid,
    link: Uuid,
    suppression: Uuid,
    exception: Uuid,
    incident: IncidentId,
}

/// A tenant with one of everything.
async fn fill(db: &Db, slug: &str) -> Full {
    let tenant = db.tenant(slug).await.id;
    let alert = db.upsert(&[state(tenant, 1, 2)]).await[0].id;
    let seen = ExporterSeen {
        address: "192.0.2.1".parse().unwrap(),
        domain: 1,
        protocol: "ipfix".into(),
        last_seen: START,
        state: ExporterState::Receiving,
        counters: json!({}),
    };
    db.catalog.system().observe_exporters(tenant, &[seen]).await.unwrap();
    let mut replayed = state(tenant, 2, 1);
    replayed.replay = Some("demo".into());
    db.upsert(&[replayed]).await;
    let mut tx = db.begin(tenant).await;
    let user = tx.create_user(&new_user(&format!("user-{slug}"))).await.unwrap();
    tx.put_rule(&draft("r1")).await.unwrap();
    tx.put_setting("k", &json!(1), None).await.unwrap();
    let key = NewApiKey {
        public_id: format!("pub{slug}"),
        secret_hash: vec![1],
        user: user.id,
        name: "k".into(),
        scopes: vec![],
        expires: None,
    };
    let key = tx.create_api_key(&key).await.unwrap().id;
    let session = tx.open_session(user.id, slug.into(), START + 9, None, PASSWORD).await.unwrap().id;
    tx.create_role(&role()).await.unwrap();
    let link = NewLink {
        kind: LinkKind::Invitation,
        token_hash: slug.into(),
        user: None,
        role: Some("helpdesk".into()),
        name: None,
        email: None,
        expires: START + 9,
    };
    let link = tx.create_link(&link).await.unwrap().id;
    let suppression = tx.create_suppression(&suppression()).await.unwrap().id;
    let exception = tx.create_rule_exception("r1", &exception()).await.unwrap().id;
    let incident = tx.create_incident(&incident(alert)).await.unwrap().id;
    tx.commit().await.unwrap();
    Full { tenant, user, alert, key, session, link, suppression, exception, incident }
}

fn new_user(name: &str) -> NewUser {
    NewUser {
        name: name.into(),
        display_name: String::new(),
        email: None,
        password_hash: Some("$argon2id$x".into()),
        role: "admin".into(),
    }
}

fn role() -> RoleDraft {
    RoleDraft {
        name: "helpdesk".into(),
        description: String::new(),
        permissions: vec!["users:read".into()],
        mfa_required: false,
        certificate_required: false,
    }
}

fn incident(alert: AlertId) -> NewIncident {
    NewIncident {
        title: "i".into(),
        summary: String::new(),
        kind: IncidentKind::General,
        severity: guardian_model::Severity::Low,
        owner: None,
        tags: vec![],
        origin: IncidentOrigin::Manual,
        due: SlaDue::default(),
        alerts: vec![Joining::by_person(alert, "")],
    }
}

fn exception() -> ExceptionDraft {
    ExceptionDraft { filter: "dst_port = 1".into(), reason: "r".into(), expires: None, enabled: true }
}

fn suppression() -> SuppressionDraft {
    SuppressionDraft {
        name: "s".into(),
        rule_id: Some("none".into()),
        entity_kind: None,
        entity: None,
        group: None,
        verdict: Verdict::Benign,
        reason: "r".into(),
        expires: None,
        enabled: true,
    }
}

fn draft(id: &str) -> RuleDraft {
    RuleDraft {
        rule_id: id.into(),
        title: "t".into(),
        level: "high".into(),
        origin: RuleOrigin::Custom,
        source: "title: t".into(),
        hash: "h".into(),
        comment: None,
        enabled: true,
    }
}

const NEWEST: IncidentOrder = IncidentOrder { by: IncidentSort::Newest, ascending: false };

fn refused<T>(what: &str, answer: Result<T, CatalogError>) {
    assert!(matches!(answer, Err(CatalogError::NotFound(_))), "{what} was not refused");
}

/// How much of everything a scope shows: every function that lists.
async fn visible(db: &Db, scope: &Scope) -> Vec<(&'static str, usize)> {
    let s = db.catalog.scoped(scope);
    let all = AlertFilter::default();
    vec![
        ("alerts", s.alerts(&all, AlertSort::Newest, None, 100).await.unwrap().items.len()),
        ("counts", s.alert_counts(&all).await.unwrap().total as usize),
        ("replays", s.replays().await.unwrap().len()),
        ("rules", s.rules().await.unwrap().len()),
        ("exporters", s.exporters().await.unwrap().len()),
        ("users", s.users().await.unwrap().len()),
        ("keys", s.api_keys().await.unwrap().len()),
        ("roles", s.roles().await.unwrap().len()),
        ("links", s.links().await.unwrap().len()),
        ("tenants", s.tenant_list().await.unwrap().len()),
        ("suppressions", s.suppressions().await.unwrap().len()),
        ("incidents", s.incidents(&IncidentFilter::default(), NEWEST, None, 100).await.unwrap().items.len()),
        ("incident facets", s.incident_facets(&IncidentFilter::default()).await.unwrap().total as usize),
    ]
}

pub(crate) async fn nothing_of_another_tenant_is_read(db: &Db) {
    let (ours, theirs) = (fill(db, "ours").await, fill(db, "theirs").await);
    let one = [2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1];
    for (scope, times) in [
        (Scope::of(ours.tenant), 1),
        (Scope::of(theirs.tenant), 1),
        (Scope::of_all([ours.tenant, theirs.tenant]), 2),
        (Scope::of_all([]), 0),
        (Scope::of(TenantId(Uuid::nil())), 0),
    ] {
        for ((what, found), one) in visible(db, &scope).await.into_iter().zip(one) {
            // Replays are listed by name, and both tenants replayed the same.
            let expected = if what == "replays" { one.min(times) } else { one * times };
            assert_eq!(found, expected, "{what} of {} tenants", scope.tenants().len());
        }
    }
    let s = db.catalog.scoped(&Scope::of(ours.tenant));
    let (them, key) = (theirs.tenant, state(theirs.tenant, 1, 2).key);
    refused("alert", s.alert(theirs.alert).await);
    refused("alert_by_key", s.alert_by_key(key).await);
    let named = s.alerts(&AlertFilter::of(them), AlertSort::Newest, None, 10).await.unwrap();
    assert!(named.items.is_empty(), "naming the tenant in the filter does not open it");
    assert_eq!(s.alert_counts(&AlertFilter::of(them)).await.unwrap().total, 0);
    refused("rule", s.rule(them, "r1").await);
    refused("rule_sources", s.rule_sources(them).await);
    refused("rule_versions", s.rule_versions(them, "r1").await);
    refused("rule_exceptions", s.rule_exceptions(them, None).await);
    refused("rule_exception", s.rule_exception(ours.tenant, theirs.exception).await);
    assert_eq!(s.rule_exceptions(ours.tenant, None).await.unwrap().len(), 1);
    refused("setting", s.setting(them, "k").await);
    refused("setting_versions", s.setting_versions(them, "k", 9).await);
    refused("user", s.user(theirs.user.id).await);
    refused("sessions", s.sessions(theirs.user.id).await);
    refused("api_key", s.api_key(theirs.key).await);
    refused("user_named", s.user_named("user-theirs").await);
    refused("role_members", s.role_members(them).await);
    refused("suppression", s.suppression(theirs.suppression).await);
    refused("incident", s.incident(theirs.incident).await);
    refused("incident_by_number", s.incident_by_number(them, 1).await);
    refused("open_incidents", s.open_incidents(them, START, 9).await);
    refused("incidents_due", s.incidents_due(them, START, 9).await);
    assert!(s.incident_alerts(theirs.incident).await.unwrap().is_empty());
    assert!(s.incident_entities(theirs.incident).await.unwrap().is_empty());
    assert!(s.incident_tasks(theirs.incident).await.unwrap().is_empty());
    assert!(s.incident_evidence(theirs.incident).await.unwrap().is_empty());
    assert!(s.incident_merges(theirs.incident).await.unwrap().is_empty());
    assert!(s.incident_entries(theirs.incident, &[], true, None, 9).await.unwrap().0.is_empty());
    let about = s.incidents_about(&["10.0.0.1".to_owned()], None).await.unwrap();
    assert_eq!(about.into_keys().collect::<Vec<_>>(), [ours.incident.0]);
    refused("audit", s.audit(them, &AuditFilter::default(), None, 9).await);
    refused("verify_audit", s.verify_audit(them, &[]).await);
    refused("audit_count", s.audit_count(them, &AuditFilter::default()).await);
    refused("audit_head", s.audit_head(them).await);
    refused("checkpoints", s.checkpoints(them, 9).await);
    refused("changes_since", s.changes_since(them, 0, 9).await);
    refused("latest_seq", s.latest_seq(them).await);
    refused("follow", s.follow(them, 0));
    refused("subscribe", s.subscribe(them));
    // And what is ours is there, so that the refusals above mean something.
    s.alert(ours.alert).await.unwrap();
    s.rule(ours.tenant, "r1").await.unwrap();
    s.setting(ours.tenant, "k").await.unwrap().unwrap();
    assert_eq!(s.sessions(ours.user.id).await.unwrap().len(), 1);
    assert!(!s.audit(ours.tenant, &AuditFilter::default(), None, 9).await.unwrap().is_empty());
}

pub(crate) async fn nothing_of_another_tenant_is_changed(db: &Db) {
    let (ours, theirs) = (fill(db, "ours").await, fill(db, "theirs").await);
    let scoped = db.catalog.scoped(&Scope::of(ours.tenant));
    refused("begin", scoped.begin(theirs.tenant, ann()).await);
    let before = db.catalog.scoped(&Scope::of(theirs.tenant)).latest_seq(theirs.tenant).await.unwrap();
    let mut tx = scoped.begin(ours.tenant, ann()).await.unwrap();
    refused("change_alert", tx.change_alert(theirs.alert, &AlertChange::Acknowledge).await);
    let all = AlertFilter::of(theirs.tenant);
    assert_eq!(tx.change_alerts(&all, i64::MAX, &AlertChange::Acknowledge).await.unwrap().changed, 0);
    refused("assign", tx.change_alert(ours.alert, &AlertChange::Assign(Some(theirs.user.id))).await);
    refused("set_membership", tx.set_membership(theirs.user.id, Some("viewer")).await);
    refused("set_password", tx.set_password(theirs.user.id, "x".into(), None).await);
    refused("update_user", tx.update_user(theirs.user.id, 1, &UserChange::default()).await);
    refused("approve_user", tx.approve_user(theirs.user.id, "viewer").await);
    refused("close_sessions", tx.close_sessions(theirs.user.id, None).await);
    refused("prove_session", tx.prove_session(theirs.user.id, theirs.session, true, None).await);
    refused("update_api_key", tx.update_api_key(theirs.key, 1, &ApiKeyChange::default()).await);
    tx.delete_role("helpdesk").await.unwrap();
    refused("revoke_link", tx.revoke_link(theirs.link).await);
    refused("use_link", tx.use_link(theirs.link).await);
    refused("put_preferences", tx.put_preferences(theirs.user.id, 0, json!({})).await);
    refused("add_factor", tx.add_factor(theirs.user.id, FactorKind::Totp, "t", "s".into()).await);
    refused("add_passkey", tx.add_passkey(theirs.user.id, "k", "h".into(), "s".into()).await);
    refused("link_identity", tx.link_identity(theirs.user.id, "ldap", "s", true).await);
    refused("reset_factors", tx.reset_factors(theirs.user.id).await);
    refused("begin_family", tx.begin_family(theirs.user.id, vec![7], START, false, None).await);
    refused("create_tenant", tx.create_tenant("third", "Third").await);
    refused("update_tenant", tx.update_tenant(theirs.tenant, 1, &TenantChange::default()).await);
    refused("delete_tenant", tx.delete_tenant(theirs.tenant).await);
    refused("delete_user", tx.delete_user(theirs.user.id).await);
    refused("open_session", tx.open_session(theirs.user.id, vec![9], START, None, PASSWORD).await);
    refused("close_session", tx.close_session(theirs.user.id, theirs.session).await);
    refused("close_session", tx.close_session(ours.user.id, theirs.session).await);
    refused("revoke_api_key", tx.revoke_api_key(theirs.key).await);
    refused("delete_suppression", tx.delete_suppression(theirs.suppression).await);
    refused("delete_rule_exception", tx.delete_rule_exception(theirs.exception).await);
    refused("update_rule_exception", tx.update_rule_exception(theirs.exception, 1, &exception()).await);
    refused("split_alert", tx.split_alert(theirs.alert, &[], "").await);
    refused("join_back", tx.join_back(theirs.alert).await);
    refused("apply_suppression", tx.apply_suppression(theirs.suppression).await);
    refused("update_incident", tx.update_incident(theirs.incident, 1, &IncidentPatch::default()).await);
    refused("join_alerts", tx.join_alerts(theirs.incident, &[Joining::by_person(ours.alert, "")]).await);
    refused("join_alerts", tx.join_alerts(ours.incident, &[Joining::by_person(theirs.alert, "")]).await);
    refused("merge_incidents", tx.merge_incidents(ours.incident, 1, &[theirs.incident]).await);
    refused("watch_incident", tx.watch_incident(ours.incident, theirs.user.id, true).await);
    let text = NewEntry { kind: EntryKind::Note, text: "x".into(), event_time: None, mentions: vec![] };
    refused("add_entry", tx.add_entry(theirs.incident, &text).await);
    let task = NewTask { title: "x".into(), ..NewTask::default() };
    refused("add_tasks", tx.add_tasks(theirs.incident, &[task]).await);
    assert_eq!(tx.clear_replay(None).await.unwrap(), 1, "ours only");
    tx.enable_rule("r1", false).await.unwrap();
    tx.delete_rule("r1").await.unwrap();
    tx.commit().await.unwrap();
    let s = db.catalog.scoped(&Scope::of(theirs.tenant));
    assert_eq!(s.latest_seq(theirs.tenant).await.unwrap(), before, "nothing happened there");
    assert_eq!(s.alert_counts(&AlertFilter::default()).await.unwrap().total, 2);
    assert!(s.rule(theirs.tenant, "r1").await.unwrap().rule.enabled);
    assert_eq!(s.roles().await.unwrap().len(), 1, "their role of the same name stays");
    assert_eq!(s.links().await.unwrap().len(), 1);

    // A provider, whose scope holds both, lends an account; the home tenant stays its owner.
    let both = Scope::of_all([ours.tenant, theirs.tenant]);
    let mut tx = db.catalog.scoped(&both).begin(theirs.tenant, Actor::system("test")).await.unwrap();
    assert!(tx.set_membership(ours.user.id, Some("viewer")).await.unwrap());
    refused("set_password", tx.set_password(ours.user.id, "x".into(), None).await);
    tx.commit().await.unwrap();
    assert_eq!(s.users().await.unwrap().len(), 2);
    let (_, roles) = s.user(ours.user.id).await.unwrap();
    assert_eq!(roles.len(), 1, "only the role here is shown");
}
