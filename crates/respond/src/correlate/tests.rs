use guardian_catalog::{IncidentCounts, IncidentOrigin, IncidentStatus, SlaDue};
use guardian_model::{AlertId, AlertKey, Entity, EntityKind, RuleRef, TenantId};
use uuid::Uuid;

use super::*;

const MINUTE: i64 = Micros::MINUTE;
const START: Micros = Micros(1_767_225_600_000_000);

/// An alert of `source` against `target`, `minutes` after the start.
fn alert(n: u128, rule: &str, attack: &[&str], source: &str, target: &str, minutes: i64) -> Alert {
    let at = START + minutes * MINUTE;
    Alert {
        id: AlertId(Uuid::from_u128(n)),
        tenant: TenantId::DEFAULT,
        key: AlertKey([n as u8; 16]),
        rule: RuleRef {
            id: rule.into(),
            hash: "h".into(),
            title: format!("Rule {rule}"),
            attack: attack.iter().map(|t| (*t).to_owned()).collect(),
            severity: Severity::Medium,
            next_steps: vec![],
        },
        entity: Entity { site: String::new(), kind: EntityKind::Ip, value: source.into() },
        group_key: format!("src_ip={source}, dst_ip={target}"),
        window_start: at,
        first_seen: at,
        last_seen: at + MINUTE,
        count: 5,
        summary: "something".into(),
        measures: vec![],
        replay: None,
        retro: false,
        status: AlertStatus::New,
        verdict: None,
        reason: None,
        assignee: None,
        note: None,
        snoozed_until: None,
        suppressed_by: None,
        split_from: None,
        incident: None,
        created: at,
        updated: at,
        seq: 1,
    }
}

/// An incident made at `created`.
pub(crate) fn incident(n: u128, created: Micros) -> Incident {
    Incident {
        id: IncidentId(Uuid::from_u128(n)),
        tenant: TenantId::DEFAULT,
        number: n as i64,
        version: 1,
        title: "One".into(),
        summary: String::new(),
        kind: IncidentKind::General,
        severity: Severity::Medium,
        status: IncidentStatus::New,
        owner: None,
        watchers: vec![],
        tags: vec![],
        origin: IncidentOrigin::Manual,
        replay: None,
        verdict: None,
        resolution: None,
        attack: vec![],
        first_seen: created,
        last_seen: created,
        created,
        created_by: "ann".into(),
        updated: created,
        triaged_at: None,
        contained_at: None,
        resolved_at: None,
        closed_at: None,
        merged_into: None,
        due: SlaDue::default(),
        warned: vec![],
        breached: vec![],
        counts: IncidentCounts::default(),
        seq: 1,
    }
}

/// An open incident made of some alerts.
fn candidate(n: u128, alerts: &[Alert]) -> Candidate {
    let first = alerts.iter().map(|a| a.first_seen).min().unwrap();
    let mut one = incident(n, first);
    one.last_seen = alerts.iter().map(|a| a.last_seen).max().unwrap();
    one.attack = alerts.iter().flat_map(|a| a.rule.attack.clone()).collect();
    one.replay = alerts[0].replay.clone();
    let entity = |(kind, value, role): (ObservableKind, String, &str)| IncidentEntity {
        id: Uuid::nil(),
        tenant: TenantId::DEFAULT,
        incident: one.id,
        version: 1,
        site: String::new(),
        kind,
        value,
        role: role.into(),
        note: String::new(),
        indicator: false,
        automatic: true,
        alerts: 1,
        first_seen: None,
        last_seen: None,
    };
    Candidate {
        entities: alerts.iter().flat_map(alert_entities).map(entity).collect(),
        rules: alerts.iter().map(|a| a.rule.id.clone()).collect(),
        incident: one,
    }
}

fn decide_default(alert: &Alert, open: &[Candidate], free: &[Alert]) -> Decision {
    decide(alert, open, free, &CorrelationPolicy::default())
}

#[test]
fn a_later_stage_from_the_same_source_joins_and_says_why() {
    let scan = alert(1, "scan", &["t1046"], "10.0.0.5", "10.0.0.9", 0);
    let spread = alert(2, "ssh", &["t1021.004"], "10.0.0.5", "10.0.0.9", 30);
    let open = [candidate(7, std::slice::from_ref(&scan))];
    let Decision::Join { incident, joining } = decide_default(&spread, &open, &[]) else { panic!("it joins") };
    assert_eq!(incident, open[0].incident.id);
    let told: Vec<_> = joining.why.iter().map(|w| (w.factor.as_str(), w.text.as_str(), w.score)).collect();
    assert_eq!(
        told,
        [
            ("entity", "the same ip 10.0.0.5", 40),
            ("entity", "the same target 10.0.0.9", 4),
            ("time", "29 min apart", 21),
            ("stage", "a later stage: Lateral Movement after Discovery", 20),
        ]
    );
}

#[test]
fn what_was_attacked_and_attacks_now_is_the_same_story() {
    let guess = alert(1, "ssh", &["t1110"], "10.0.0.5", "10.0.0.9", 0);
    let beacon = alert(2, "beacon", &["t1071"], "10.0.0.9", "203.0.113.4", 60);
    let open = [candidate(7, &[guess])];
    let Decision::Join { joining, .. } = decide_default(&beacon, &open, &[]) else { panic!("it joins") };
    assert_eq!(joining.why[0].text, "ip 10.0.0.9, a target before, is active now");
}

#[test]
fn what_has_little_in_common_stays_apart() {
    let scan = alert(1, "scan", &["t1046"], "198.51.100.1", "10.0.0.9", 0);
    let open = [candidate(7, std::slice::from_ref(&scan))];
    for (name, other) in [
        ("another scanner of the same public service", alert(2, "scan", &["t1046"], "198.51.100.2", "10.0.0.9", 0)),
        ("nothing shared", alert(3, "scan", &["t1046"], "198.51.100.3", "10.0.0.8", 0)),
        ("too late", alert(4, "scan", &["t1046"], "198.51.100.1", "10.0.0.9", 60 * 24)),
    ] {
        assert_eq!(decide_default(&other, &open, &[]), Decision::Nothing, "{name}");
    }
    let mut replayed = alert(5, "scan", &["t1046"], "198.51.100.1", "10.0.0.9", 1);
    replayed.replay = Some("demo".into());
    assert_eq!(decide_default(&replayed, &open, &[]), Decision::Nothing, "replays and live traffic never mix");
    let mut elsewhere = alert(6, "scan", &["t1046"], "198.51.100.1", "10.0.0.9", 1);
    elsewhere.entity.site = "branch".into();
    assert_eq!(decide_default(&elsewhere, &open, &[]), Decision::Nothing, "private addresses repeat between sites");
}

#[test]
fn a_grave_alert_makes_an_incident_and_takes_company_along() {
    let mut flood = alert(1, "flood", &["t1498.001"], "10.0.0.5", "10.0.0.9", 10);
    flood.rule.severity = Severity::High;
    let scan = alert(2, "scan", &["t1046"], "10.0.0.5", "10.0.0.9", 0);
    let far = alert(3, "scan", &["t1046"], "10.9.9.9", "10.0.0.77", 0);
    let Decision::Create { title, kind, severity, alerts } = decide_default(&flood, &[], &[scan, far]) else {
        panic!("it makes one")
    };
    assert_eq!(title, "Discovery to Impact: 10.0.0.5");
    assert_eq!((kind, severity), (IncidentKind::DenialOfService, Severity::High));
    assert_eq!(alerts.iter().map(|j| j.alert.0.as_u128()).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(alerts[0].why[0].text, "severity high makes an incident by itself");
}

#[test]
fn mild_alerts_need_two_rules_and_two_stages() {
    let scan = alert(1, "scan", &["t1046"], "10.0.0.5", "10.0.0.9", 0);
    let again = alert(2, "scan", &["t1046"], "10.0.0.5", "10.0.0.8", 5);
    let guess = alert(3, "ssh", &["t1110"], "10.0.0.5", "10.0.0.9", 10);
    assert_eq!(decide_default(&again, &[], std::slice::from_ref(&scan)), Decision::Nothing);
    let made = decide_default(&guess, &[], &[scan, again]);
    assert!(matches!(&made, Decision::Create { alerts, kind: IncidentKind::BruteForce, .. } if alerts.len() == 3));
}

#[test]
fn closed_and_placed_alerts_are_left_alone() {
    let policy = CorrelationPolicy::default();
    let mut one = alert(1, "flood", &["t1498"], "10.0.0.5", "10.0.0.9", 0);
    one.rule.severity = Severity::Critical;
    assert!(matches!(decide(&one, &[], &[], &policy), Decision::Create { .. }));
    assert_eq!(decide(&one, &[], &[], &CorrelationPolicy { enabled: false, ..policy.clone() }), Decision::Nothing);
    one.replay = Some("demo".into());
    let live_only = CorrelationPolicy { include_replays: false, ..policy.clone() };
    assert_eq!(decide(&one, &[], &[], &live_only), Decision::Nothing);
    one.status = AlertStatus::Closed;
    assert_eq!(decide(&one, &[], &[], &policy), Decision::Nothing);
    one.status = AlertStatus::New;
    one.incident = Some(IncidentId(Uuid::nil()));
    assert_eq!(decide(&one, &[], &[], &policy), Decision::Nothing);
}
