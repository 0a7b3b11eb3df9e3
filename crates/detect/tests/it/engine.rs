//! The promises of the engine: the same alerts, counts and findings however rows are cut, over a restart in the middle
//! and over a swap of rules; replayed and live rows never meet; what is told is what a person reads.

use std::sync::Arc;

use guardian_detect::fixture::{self, Shape};
use guardian_detect::{DetectConfig, Engine, RuleKind, SnapshotError, harness, shipped};
use guardian_expr::Expr;
use guardian_model::{Batch, Finding, Micros, TenantId};
use guardian_rules::{Exception, RuleSet};
use proptest::prelude::*;

/// A scan, a beacon, a tunnel, an upload and logins, one after the other and among each other.
const MIXED: &str = r"
- {src: 198.51.100.66, sport: 45678, dst: 10.20.0.10, dport: 1..600, every: 0.3, flags: S, bytes: 44, rev_flags: RA, rev_bytes: 40, rev_packets: 1}
- {src: 10.20.0.57, dst: 203.0.113.99, dport: 443, repeat: 50, every: 6, jitter: 0.2, flags: SAPF, bytes: 1150..1190, packets: 11, duration: 0.4, rev_flags: SAPF, rev_bytes: 2900, rev_packets: 9}
- {src: 10.20.0.57, dst: 10.20.0.53, dport: 53, repeat: 400, every: 0.5, proto: udp, bytes: 190..240, rev_bytes: 120, rev_packets: 1}
- {src: 10.20.0.52, dst: 198.51.100.200, dport: 8443, repeat: 80, every: 2, flags: SAPF, bytes: 1000000, packets: 720, duration: 4, rev_flags: SAPF, rev_bytes: 20000, rev_packets: 400}
- {src: 198.51.100.67, dst: 10.20.0.11, dport: 22, repeat: 90, every: 3, flags: SAPF, bytes: 2091, packets: 14, duration: 1, rev_flags: SAPF, rev_bytes: 2685, rev_packets: 13}
- {src: 10.20.0.51, dst: 10.20.0.10, dport: 23, repeat: 15, every: 9, flags: SAPF, bytes: 1140, packets: 18, rev_flags: SAPF, rev_bytes: 945, rev_packets: 15}
- {src: 10.20.0.1..40, dst: 203.0.113.10..29, dport: 443, repeat: 900, every: 0.3, flags: SAPF, bytes: 2500, packets: 14, rev_flags: SAPF, rev_bytes: 60000, rev_packets: 50}
";

fn rules() -> Arc<RuleSet> {
    Arc::new(RuleSet::compile(shipped()).0)
}

fn batches(text: &str, rows_max: usize) -> Vec<Batch> {
    fixture::parse(text).unwrap().batches(TenantId::DEFAULT, Shape::OneWay, rows_max)
}

/// What must not depend on cuts: key, rule, count, time, first and last of every finding, sorted.
fn told(findings: &[Finding]) -> Vec<(String, String, u64, Micros, Micros)> {
    let mut told: Vec<_> = findings
        .iter()
        .map(|f| (f.alert.key.to_string(), f.alert.rule.title.clone(), f.alert.count, f.time, f.alert.first_seen))
        .collect();
    told.sort();
    told
}

fn counts(outcome: &harness::Outcome) -> Vec<(String, u64, Micros, Micros, usize)> {
    let alerts = outcome.rules.iter().flat_map(|r| &r.alerts);
    alerts.map(|a| (a.key.to_string(), a.count, a.window_start, a.last_seen, a.evidence.len())).collect()
}

#[test]
fn cuts_do_not_matter() {
    let whole = harness::run(DetectConfig::default(), rules(), batches(MIXED, 1_000_000));
    let titles: Vec<_> = whole.rules.iter().filter(|r| !r.alerts.is_empty()).map(|r| r.title.as_str()).collect();
    assert_eq!(titles.len(), 6, "{titles:?}");
    assert!(whole.findings.iter().any(|f| f.alert.count == 100), "counts reach the third step");
    for rows_max in [1, 3, 64, 1000] {
        let cut = harness::run(DetectConfig::default(), rules(), batches(MIXED, rows_max));
        assert_eq!(told(&cut.findings), told(&whole.findings), "in batches of {rows_max}");
        assert_eq!(counts(&cut), counts(&whole), "in batches of {rows_max}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn arbitrary_cuts_do_not_matter(sizes in prop::collection::vec(1_usize..700, 1..40)) {
        let whole = batches(MIXED, 1_000_000).remove(0);
        let (mut cut, mut at) = (Vec::new(), 0);
        for size in sizes.iter().copied().chain([whole.rows.num_rows()]) {
            let rows = whole.rows.slice(at, size.min(whole.rows.num_rows() - at));
            at += rows.num_rows();
            cut.push(Batch { rows, ..whole.clone() });
        }
        let expected = harness::run(DetectConfig::default(), rules(), [whole]);
        let outcome = harness::run(DetectConfig::default(), rules(), cut);
        prop_assert_eq!(told(&outcome.findings), told(&expected.findings));
        prop_assert_eq!(counts(&outcome), counts(&expected));
    }
}

#[test]
fn a_restart_forgets_nothing() {
    let batches = batches(MIXED, 50);
    let whole = harness::run(DetectConfig::default(), rules(), batches.clone());
    for stop in [1, batches.len() / 3, batches.len() - 1] {
        let mut engine = Engine::new(DetectConfig::default(), rules());
        let mut findings = Vec::new();
        for (id, batch) in (1..).zip(&batches[..stop]) {
            findings.extend(engine.process(id, batch).findings);
        }
        let snapshot = engine.snapshot().unwrap();
        let mut engine = Engine::new(DetectConfig::default(), rules());
        let restored = engine.restore(&snapshot).unwrap();
        assert_eq!(restored.dropped_rules, 0);
        for (id, batch) in (stop as u64 + 1..).zip(&batches[stop..]) {
            findings.extend(engine.process(id, batch).findings);
        }
        assert_eq!(told(&findings), told(&whole.findings), "stopped after {stop} batches");
        let stats = engine.stats();
        assert_eq!((stats.rows, stats.open_alerts), (whole.rows, counts(&whole).len() as u64));
    }
}

#[test]
fn bad_snapshots_are_refused_and_leave_the_engine_empty() {
    let mut engine = Engine::new(DetectConfig::default(), rules());
    for (id, batch) in (1..).zip(batches(MIXED, 500)) {
        engine.process(id, &batch);
    }
    let good = engine.snapshot().unwrap();
    let change = |at: usize, to: u8| {
        let mut bytes = good.clone();
        bytes[at] ^= to;
        bytes
    };
    let cases: [(Vec<u8>, fn(&SnapshotError) -> bool); 5] = [
        (Vec::new(), |e| matches!(e, SnapshotError::NotASnapshot)),
        (change(0, 1), |e| matches!(e, SnapshotError::NotASnapshot)),
        (change(3, 4), |e| matches!(e, SnapshotError::Version(_))),
        (change(good.len() / 2, 1), |e| matches!(e, SnapshotError::Damaged)),
        (good[..good.len() - 9].to_vec(), |e| matches!(e, SnapshotError::Damaged)),
    ];
    for (bytes, expected) in cases {
        let error = engine.restore(&bytes).unwrap_err();
        assert!(expected(&error), "{error}");
        assert_eq!(engine.stats().open_alerts, 0);
    }
    assert!(engine.restore(&good).unwrap().open_alerts > 0);
}

#[test]
fn a_swap_keeps_the_state_of_unchanged_rules() {
    let batches = batches(MIXED, 100);
    let half = batches.len() / 2;
    let whole = harness::run(DetectConfig::default(), rules(), batches.clone());
    let mut engine = Engine::new(DetectConfig::default(), rules());
    let mut findings = Vec::new();
    let mut updates = Vec::new();
    for (id, batch) in (1..).zip(&batches[..half]) {
        findings.extend(engine.process(id, batch).findings);
    }
    // The SSH rule changes by one word, a rule goes, another comes.
    let documents = shipped().into_iter().filter(|d| !d.title.contains("Ping"));
    let text: Vec<String> = documents.map(|d| d.source.replace("within minutes, each", "in minutes, each")).collect();
    let (changed, issues) = harness::compile(text.iter().map(String::as_str));
    assert!(issues.is_empty(), "{issues:?}");
    updates.extend(engine.swap_rules(Arc::new(changed)).updates);
    for (id, batch) in (half as u64 + 1..).zip(&batches[half..]) {
        findings.extend(engine.process(id, batch).findings);
    }
    let but_ssh = |f: &[Finding]| told(f).into_iter().filter(|t| !t.1.contains("SSH")).collect::<Vec<_>>();
    assert_eq!(but_ssh(&findings), but_ssh(&whole.findings));
    // The changed rule began anew: a second alert, and the first one's last state was told.
    let ssh: Vec<_> = findings.iter().filter(|f| f.alert.rule.title.contains("SSH")).collect();
    let mut keys: Vec<_> = ssh.iter().map(|f| f.alert.key).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 2);
    assert!(updates.iter().all(|u| u.rule.title.contains("SSH")));
}

#[test]
fn sites_replays_and_tenants_never_meet() {
    // Twenty probes of each: forty together would be a scan.
    let text = "
- {src: 198.51.100.66, dst: 10.20.0.10, dport: 1..20, flags: S}
- {src: 198.51.100.66, dst: 10.20.0.10, dport: 21..40, flags: S, replay: demo}
- {src: 198.51.100.66, dst: 10.20.0.10, dport: 41..60, flags: S, site: north}
";
    assert!(harness::run(DetectConfig::default(), rules(), batches(text, 100)).findings.is_empty());
    let scan = "
- {src: 198.51.100.66, dst: 10.20.0.10, dport: 1..60, flags: S, replay: demo, site: north}
- {src: 10.20.0.52, dst: 198.51.100.200, dport: 8443, flags: SA, bytes: 80000000, packets: 60000, replay: demo}
";
    let outcome = harness::run(DetectConfig::default(), rules(), batches(scan, 100));
    let mut alerts: Vec<_> = outcome.rules.iter().flat_map(|r| &r.alerts).collect();
    alerts.sort_by_key(|a| a.rule.title.clone());
    assert_eq!(alerts.len(), 2);
    assert!(alerts.iter().all(|a| a.replay.as_deref() == Some("demo")));
    assert_eq!(alerts[0].group_key, "replay=demo, src_ip=10.20.0.52, dst_ip=198.51.100.200");
    assert_eq!(alerts[1].group_key, "site=north, replay=demo, src_ip=198.51.100.66, dst_ip=10.20.0.10");
    assert_eq!((alerts[1].entity.site.as_str(), alerts[1].entity.value.as_str()), ("north", "198.51.100.66"));

    let mut engine = Engine::new(DetectConfig::default(), rules());
    let other = TenantId("00000000-0000-7000-8000-000000000002".parse().unwrap());
    for (id, (tenant, ports)) in
        (1..).zip([(TenantId::DEFAULT, "1..20"), (other, "21..40"), (TenantId::DEFAULT, "41..50")])
    {
        let text = format!("- {{src: 198.51.100.66, dst: 10.20.0.10, dport: {ports}, flags: S}}");
        let batch = fixture::parse(&text).unwrap().batch(tenant);
        assert!(engine.process(id, &batch).findings.is_empty());
    }
}

#[test]
fn a_forgotten_replay_starts_anew() {
    let scan = "- {src: 198.51.100.66, dst: 10.20.0.10, dport: 1..60, flags: S, replay: demo}";
    let mut engine = Engine::new(DetectConfig::default(), rules());
    let batch = fixture::parse(scan).unwrap().batch(TenantId::DEFAULT);
    assert_eq!(engine.process(1, &batch).findings.len(), 2);
    engine.forget_replay(TenantId::DEFAULT, "demo");
    assert_eq!((engine.stats().open_alerts, engine.stats().realms), (0, 0));
    assert!(engine.flush().updates.is_empty());
}

#[test]
fn windows_close_when_quiet_and_after_a_day() {
    // The rule keeps alerts open for 12 quiet hours: sessions at 0 h, 10 h, 20 h, 30 h (a day after the first), 50 h.
    let at = |hour: u32| {
        format!(
            "- {{at: {}, src: 10.0.0.5, dst: 10.0.0.9, dport: 23, flags: SAPF, packets: 20, bytes: 900}}\n",
            hour * 3600
        )
    };
    let text: String = [0, 10, 20, 30, 50].into_iter().map(at).collect();
    let outcome = harness::run(DetectConfig::default(), rules(), batches(&text, 2));
    let counts: Vec<_> = outcome.rules.iter().flat_map(|r| &r.alerts).map(|a| a.count).collect();
    assert_eq!(counts, [3, 1, 1]);
}

#[test]
fn an_alert_reads_well_and_carries_what_led_to_it() {
    let text = "- {src: 198.51.100.66, dst: 10.20.0.10, dport: 22, repeat: 40, every: 5, flags: SAPF, bytes: 2091, packets: 14}";
    let outcome = harness::run(DetectConfig::default(), rules(), batches(text, 1));
    let alert = outcome.rules.iter().flat_map(|r| &r.alerts).next().unwrap();
    assert_eq!(alert.summary, "198.51.100.66 made 40 short SSH logins to 10.20.0.10 within 5 minutes");
    assert_eq!(
        (alert.entity.value.as_str(), alert.group_key.as_str()),
        ("198.51.100.66", "src_ip=198.51.100.66, dst_ip=10.20.0.10")
    );
    // Ten attempts from before the condition held, that one, and those after it.
    assert_eq!((alert.count, alert.evidence.len()), (29, 39));
    assert_eq!(alert.evidence[0].1["dst_port"], 22);
    assert!(alert.evidence.windows(2).all(|w| w[0].0 < w[1].0));
    let steps: Vec<_> = outcome.findings.iter().map(|f| f.alert.count).collect();
    assert_eq!(steps, [1, 10]);
}

#[test]
fn a_correlation_tells_how_many_rows_it_counted() {
    let outcome = harness::run(DetectConfig::default(), rules(), batches(MIXED, 100));
    let correlations = outcome.rules.iter().filter(|r| r.kind == RuleKind::Correlation && r.firings > 0);
    let counted: Vec<_> = correlations.map(|r| (r.title.as_str(), r.matched, r.firings)).collect();
    assert!(!counted.is_empty());
    for (title, matched, firings) in counted {
        assert!(matched >= firings && matched <= outcome.rows, "{title}: {matched} rows, {firings} firings");
    }
}

#[test]
fn updates_are_coalesced() {
    let text =
        "- {src: 10.0.0.5, dst: 10.0.0.9, dport: 23, repeat: 95, every: 1, flags: SAPF, packets: 20, bytes: 900}";
    let mut engine = Engine::new(DetectConfig::default(), rules());
    let (mut findings, mut updates, mut last) = (0, 0, 0);
    for (id, batch) in (1..).zip(batches(text, 1)) {
        let out = engine.process(id, &batch);
        findings += out.findings.len();
        updates += out.updates.len();
        last = out.updates.last().map_or(last, |u| u.count);
    }
    // A session a second: told at 1 and 10, and about every ten seconds.
    assert_eq!(findings, 2);
    assert!((6..=9).contains(&updates), "{updates}");
    let quiet = engine.tick(fixture::BEGINNING + Micros::HOUR).updates;
    assert_eq!(quiet.iter().map(|u| u.count).collect::<Vec<_>>(), [95]);
    assert!(last < 95 && engine.flush().updates.is_empty());
}

#[test]
fn limits_hold_and_are_counted() {
    let config =
        DetectConfig { open_alerts_max: 10, realms_max: 2, evidence_bytes_max: 2_000, ..DetectConfig::default() };
    let text =
        "- {src: 10.0.0.1..200, dst: 10.0.1.1, dport: 23, repeat: 600, every: 1, flags: SAPF, packets: 20, bytes: 900}
- {at: 620, src: 10.0.0.1, dst: 10.0.1.1, dport: 23, repeat: 50, every: 1, flags: SAPF, packets: 20, bytes: 900}
- {at: 700, src: 10.0.0.1, dst: 10.0.1.1, dport: 53, proto: udp, site: a}
- {at: 701, src: 10.0.0.1, dst: 10.0.1.1, dport: 53, proto: udp, site: b}
";
    let mut engine = Engine::new(config, rules());
    for (id, batch) in (1..).zip(batches(text, 100)) {
        engine.process(id, &batch);
    }
    let stats = engine.stats();
    assert_eq!((stats.open_alerts, stats.realms, stats.evicted_realms), (10, 2, 1));
    assert!(stats.evicted_alerts >= 190 && stats.evidence_skipped > 0, "{stats:?}");
    let telnet = stats.rules.iter().find(|r| r.title.contains("Clear-text administration protocol")).unwrap();
    assert_eq!((telnet.firings, telnet.open_alerts), (650, 10));
    assert!(stats.state_bytes > 0 && telnet.last_match.is_some());
}

#[test]
fn exceptions_hold_for_rules_correlations_and_detectors() {
    let quiet = |rule: &str, filter: &str, id: u128| {
        let filter = Expr::parse(filter).unwrap();
        Exception { id, rule_id: rule.to_owned(), filter, made: Micros(0), expires: None }
    };
    let plain = harness::run(DetectConfig::default(), rules(), batches(MIXED, 64));
    let of =
        |outcome: &harness::Outcome, id: &str| outcome.rules.iter().find(|r| r.id == id).map_or(0, |r| r.alerts.len());
    let loud: Vec<_> = plain.rules.iter().filter(|r| !r.alerts.is_empty()).map(|r| r.id.clone()).collect();
    assert!(loud.iter().any(|id| id == "guardian.beaconing"), "{loud:?}");
    for (number, id) in loud.iter().enumerate() {
        // Everything that the one rule looks at is excepted; the others must not notice.
        let exceptions = vec![quiet(id, "src_port >= 0", number as u128)];
        let (set, wrong) = RuleSet::compile(shipped()).0.with_exceptions(exceptions);
        assert!(wrong.is_empty(), "{wrong:?}");
        let mut engine = Engine::new(DetectConfig::default(), Arc::new(set));
        let outcome = harness::run_with(&mut engine, (1..).zip(batches(MIXED, 64)));
        assert_eq!(of(&outcome, id), 0, "{id} is quiet");
        for other in loud.iter().filter(|other| *other != id) {
            assert_eq!(of(&outcome, other), of(&plain, other), "{other} beside an exception to {id}");
        }
        let hits = engine.take_excepted();
        assert!(matches!(hits.as_slice(), [(at, rows)] if *at == number as u128 && *rows > 0), "{hits:?}");
        assert!(engine.take_excepted().is_empty(), "told once");
    }
}
