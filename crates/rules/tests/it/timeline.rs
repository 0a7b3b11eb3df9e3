//! Correlations over time.

use guardian_rules::{Correlator, CorrelatorLimits, Fired, RuleSet};

use crate::flows::{Flow, T0, batch};
use crate::rules;

const SECOND: i64 = 1_000_000;

pub(crate) const BASE: &str =
    "title: base\nname: base\nlogsource: {category: firewall}\ndetection: {s: {protocol: tcp}, condition: s}\n---\n";

pub(crate) fn correlation(body: &str) -> RuleSet {
    rules(&format!("{BASE}title: c\nid: c1\ncorrelation: {{{body}}}\n"))
}

fn limits() -> CorrelatorLimits {
    CorrelatorLimits::default()
}

/// One step over all flows.
fn step(rules: &RuleSet, state: &mut Correlator, id: u64, flows: &[Flow]) -> Vec<Fired> {
    let batch = batch(flows);
    let matches = rules.evaluate(&batch);
    state.step(rules, id, &batch, &matches)
}

fn once(rules: &RuleSet, flows: &[Flow]) -> Vec<Fired> {
    step(rules, &mut Correlator::new(limits()), 1, flows)
}

/// Flows of one pair at these seconds.
fn at(seconds: &[i64]) -> Vec<Flow> {
    seconds.iter().map(|s| Flow { time: T0 + s * SECOND, ..Flow::default() }).collect()
}

#[test]
fn events_are_counted_in_sliding_windows() {
    let rules = correlation("type: event_count, rules: [base], group-by: [src_ip], timespan: 60s, condition: {gte: 3}");
    let cases: &[(&[i64], &[u32])] = &[
        (&[0, 30, 60], &[2]),
        (&[0, 30, 61], &[]),
        (&[0, 30, 60, 61, 200], &[2, 3]),
        (&[0, 50, 100, 105], &[3]),
        // Late rows count where they belong.
        (&[0, 50, 30], &[2]),
        (&[0, 100, 50, 60], &[3]),
        (&[0, 100, 50, 150], &[]),
        // One that is more than three timespans late does not.
        (&[0, 1000, 1, 2], &[]),
    ];
    for (seconds, rows) in cases {
        let fired = once(&rules, &at(seconds));
        assert_eq!(fired.iter().flat_map(|f| f.rows.clone()).collect::<Vec<_>>(), *rows, "{seconds:?}");
    }
}

#[test]
fn a_firing_says_who_what_and_when() {
    let rules = correlation(
        "type: event_count, rules: [base], group-by: [src_ip, dst_port], timespan: 1m, condition: {gte: 3}",
    );
    let mut flows = at(&[0, 1, 2, 3]);
    flows.push(Flow { src: "10.0.0.2", time: T0, ..Flow::default() });
    let fired = once(&rules, &flows);
    assert_eq!(fired.len(), 1);
    let fired = &fired[0];
    assert_eq!(serde_json::to_string(&fired.group).unwrap(), r#"[["src_ip","10.0.0.1"],["dst_port",443]]"#);
    assert_eq!((fired.site.as_ref(), fired.replay.as_ref()), (None, None));
    assert_eq!(fired.rows, [2, 3]);
    assert_eq!((fired.measure, fired.measure_max, fired.estimated), (4.0, 4.0, false));
    assert_eq!((fired.first_seen.0, fired.last_seen.0), (T0, T0 + 3 * SECOND));
    assert_eq!(fired.evidence.iter().map(|e| (e.batch, e.row)).collect::<Vec<_>>(), [(1, 0), (1, 1), (1, 2), (1, 3)]);
    let rule = &rules.rules()[fired.rule];
    assert_eq!(rule.measure_name(), "events within 1m");
    assert_eq!(rule.class.fields[rule.entity.unwrap()].name, "src_ip");
    assert!(!rules.rules()[0].alerts, "what a correlation refers to is silent");
}

#[test]
fn sites_replays_and_live_rows_never_mix() {
    let rules = correlation("type: event_count, rules: [base], group-by: [src_ip], timespan: 1m, condition: {gte: 2}");
    let realms = [(None, None), (Some("b"), None), (None, Some("demo")), (Some("b"), Some("demo"))];
    let flows: Vec<_> =
        realms.iter().map(|(site, replay)| Flow { site: *site, replay: *replay, ..Flow::default() }).collect();
    assert!(once(&rules, &flows).is_empty());
    let twice: Vec<_> = flows.iter().chain(&flows).cloned().collect();
    let fired = once(&rules, &twice);
    assert_eq!(fired.len(), 4);
    let told: Vec<_> = fired.iter().map(|f| (f.site.as_deref(), f.replay.as_deref())).collect();
    assert_eq!(told, realms);
}

#[test]
fn large_groups_slide_in_sixteenths() {
    let rules =
        correlation("type: event_count, rules: [base], group-by: [src_ip], timespan: 160s, condition: {gte: 100}");
    // One a second: 100 within 160 s from the hundredth on.
    let steady: Vec<i64> = (0..400).collect();
    let fired = once(&rules, &at(&steady));
    assert_eq!(fired[0].rows.first(), Some(&99));
    assert_eq!(fired[0].rows.len(), 301);
    // Windows cover 150 to 160 s.
    assert!((150.0..=160.0).contains(&fired[0].measure), "{}", fired[0].measure);
    // One every two seconds: never 100 within 160 s.
    let slow: Vec<i64> = (0..400).map(|i| 2 * i).collect();
    assert!(once(&rules, &at(&slow)).is_empty());
}

#[test]
fn distinct_values_are_counted_in_sliding_windows() {
    let rules = correlation(
        "type: value_count, rules: [base], group-by: [src_ip], timespan: 60s, condition: {field: dst_port, gte: 100}",
    );
    let scan = |ports: std::ops::Range<u16>, step: i64| -> Vec<Flow> {
        ports.map(|p| Flow { dport: p, time: T0 + i64::from(p) * step, ..Flow::default() }).collect()
    };
    let fired = once(&rules, &scan(0..150, SECOND / 10));
    assert_eq!(fired[0].rows.len(), 51);
    assert_eq!(fired[0].measure, 150.0);
    // The same port again and again is one value.
    let again: Vec<_> = (0..500).map(|i| Flow { time: T0 + i * 1000, ..Flow::default() }).collect();
    assert!(once(&rules, &again).is_empty());
    // Slowly, so that never 100 ports fall into a minute.
    assert!(once(&rules, &scan(0..1000, SECOND)).is_empty());
}

#[test]
fn very_many_values_are_estimated() {
    let rules = correlation(
        "type: value_count, rules: [base], group-by: [src_ip], timespan: 60s, condition: {field: dst_port, gte: 100}",
    );
    let scan: Vec<_> =
        (0..=u16::MAX).map(|p| Flow { dport: p, time: T0 + i64::from(p) * 100, ..Flow::default() }).collect();
    let mut state = Correlator::new(limits());
    let fired = step(&rules, &mut state, 1, &scan);
    assert_eq!(fired[0].rows.len(), 65_536 - 99);
    assert!(fired[0].estimated);
    assert!((fired[0].measure / 65_536.0 - 1.0).abs() < 0.05, "{}", fired[0].measure);
    assert!(state.stats().values <= 8192);
    assert_eq!(fired[0].evidence.len(), guardian_rules::EVIDENCE_FIRST_MAX + guardian_rules::EVIDENCE_LAST_MAX);
}

#[test]
fn sums_and_averages() {
    let flows: Vec<_> = [10, 20, 60].iter().map(|b| Flow { bytes: *b, ..Flow::default() }).collect();
    let sum = correlation(
        "type: value_sum, rules: [base], group-by: [src_ip], timespan: 1h, condition: {field: bytes, gt: 80}",
    );
    let fired = once(&sum, &flows);
    assert_eq!((fired[0].rows.as_slice(), fired[0].measure), ([2].as_slice(), 90.0));
    let average = correlation(
        "type: value_avg, rules: [base], group-by: [src_ip], timespan: 1h, condition: {field: bytes, gte: 15}",
    );
    let fired = once(&average, &flows);
    assert_eq!((fired[0].rows.as_slice(), fired[0].measure), ([1, 2].as_slice(), 30.0));
    let many: Vec<_> = (0..1000).map(|i| Flow { bytes: 7, time: T0 + i, ..Flow::default() }).collect();
    assert_eq!(once(&sum, &many)[0].measure, 7000.0);
    // A row without the value adds nothing.
    let reverse = correlation(
        "type: value_sum, rules: [base], group-by: [src_ip], timespan: 1h, condition: {field: rev_bytes, gte: 0}",
    );
    assert!(once(&reverse, &flows).is_empty());
}

type Case<'a> = (&'a [(i64, u16)], &'a [u32], &'a [u32]);

const STEPS: &str = "title: a\nname: a\nlogsource: {category: firewall}\ndetection: {s: {dst_port: 1}, condition: s}\n---\ntitle: b\nname: b\nlogsource: {category: firewall}\ndetection: {s: {dst_port: 2}, condition: s}\n---\ntitle: c\nname: c\nlogsource: {category: firewall}\ndetection: {s: {dst_port: 3}, condition: s}\n---\n";

/// Flows of rules a (1), b (2), c (3) at these seconds.
fn steps(steps: &[(i64, u16)]) -> Vec<Flow> {
    steps.iter().map(|(s, p)| Flow { dport: *p, time: T0 + s * SECOND, ..Flow::default() }).collect()
}

#[test]
fn temporal_correlations_want_all_rules() {
    let body = "correlation: {type: KIND, rules: [a, b, c], group-by: [src_ip], timespan: 60s}";
    let of = |kind: &str| rules(&format!("{STEPS}title: t\n{}\n", body.replace("KIND", kind)));
    let (any, ordered) = (of("temporal"), of("temporal_ordered"));
    let cases: &[Case<'_>] = &[
        (&[(0, 1), (10, 2), (20, 3)], &[2], &[2]),
        (&[(0, 3), (10, 2), (20, 1)], &[2], &[]),
        (&[(0, 1), (10, 2), (61, 3)], &[], &[]),
        (&[(0, 1), (10, 2), (60, 3)], &[2], &[2]),
        // The row that completes the order came late.
        (&[(0, 1), (20, 3), (10, 2)], &[2], &[2]),
        // An early first step does not hide a later one.
        (&[(0, 1), (50, 1), (70, 2), (80, 3)], &[3], &[3]),
        (&[(0, 2), (5, 1), (10, 2), (20, 3)], &[3], &[3]),
    ];
    for (flows, any_rows, ordered_rows) in cases {
        for (rules, rows) in [(&any, any_rows), (&ordered, ordered_rows)] {
            let fired = once(rules, &steps(flows));
            assert_eq!(fired.iter().flat_map(|f| f.rows.clone()).collect::<Vec<_>>(), **rows, "{flows:?}");
        }
    }
    // Different groups do not complete each other.
    let mut apart = steps(&[(0, 1), (10, 2), (20, 3)]);
    apart[1].src = "10.0.0.9";
    assert!(once(&any, &apart).is_empty());
}

#[test]
fn a_flood_of_one_step_does_not_hide_the_other() {
    let rules = rules(&format!(
        "{STEPS}title: t\ncorrelation: {{type: temporal_ordered, rules: [a, b], group-by: [src_ip], timespan: 60s}}\n"
    ));
    let mut flows: Vec<_> = (0..5000).map(|i| Flow { dport: 1, time: T0 + i * 10_000, ..Flow::default() }).collect();
    flows.push(Flow { dport: 2, time: T0 + 51 * SECOND, ..Flow::default() });
    let fired = once(&rules, &flows);
    assert_eq!(fired[0].rows, [5000]);
    assert!(fired[0].evidence.iter().any(|e| e.row == 5000));
    assert!(fired[0].evidence.len() <= 20);
}

#[test]
fn an_event_that_matches_several_rules_counts_once() {
    let rules = rules(&format!(
        "{STEPS}title: d\nname: d\nlogsource: {{category: firewall}}\ndetection: {{s: {{protocol: tcp}}, condition: s}}\n---\ntitle: t\ncorrelation: {{type: value_sum, rules: [a, d], timespan: 60s, condition: {{field: bytes, gte: 0}}}}\n"
    ));
    assert_eq!(once(&rules, &steps(&[(0, 1), (1, 2)]))[0].measure, 2000.0);
}

#[test]
fn aliases_name_different_fields() {
    let rules = rules(&format!(
        "{STEPS}title: t\ncorrelation:\n  type: temporal_ordered\n  rules: [a, b]\n  group-by: [host]\n  timespan: 60s\n  aliases: {{host: {{a: dst_ip, b: src_ip}}}}\n"
    ));
    let flows = [
        Flow { dport: 1, dst: "10.9.9.9".to_owned(), ..Flow::default() },
        Flow { dport: 2, src: "10.9.9.9", time: T0 + SECOND, ..Flow::default() },
    ];
    let fired = once(&rules, &flows);
    assert_eq!(fired[0].rows, [1]);
    assert_eq!(serde_json::to_string(&fired[0].group).unwrap(), r#"[["host","10.9.9.9"]]"#);
}

#[test]
fn correlations_build_on_correlations() {
    let rules = rules(&format!(
        "{STEPS}title: last\ncorrelation: {{type: temporal_ordered, rules: [scan, c], group-by: [src_ip], timespan: 5m}}\n---\ntitle: scan\nname: scan\ncorrelation: {{type: event_count, rules: [a], group-by: [src_ip], timespan: 60s, condition: {{gte: 3}}}}\n"
    ));
    let told = |flows: &[(i64, u16)]| {
        let fired = once(&rules, &steps(flows));
        fired.into_iter().map(|f| (rules.rules()[f.rule].document.title.clone(), f.rows)).collect::<Vec<_>>()
    };
    assert_eq!(told(&[(0, 1), (1, 1), (2, 1), (100, 3)]), [("last".to_owned(), vec![3])]);
    assert!(told(&[(0, 1), (1, 1), (100, 3)]).is_empty());
}

#[test]
fn rows_without_a_grouping_value_do_not_correlate() {
    let rules =
        correlation("type: event_count, rules: [base], group-by: [dst_country], timespan: 1m, condition: {gte: 2}");
    assert!(once(&rules, &at(&[0, 1, 2])).is_empty());
    let flows: Vec<_> = at(&[0, 1]).into_iter().map(|f| Flow { country: Some("NZ"), ..f }).collect();
    assert_eq!(once(&rules, &flows).len(), 1);
}

#[test]
fn state_is_bounded_and_says_so() {
    let rules = correlation("type: event_count, rules: [base], group-by: [dst_ip], timespan: 1h, condition: {gte: 2}");
    let mut state = Correlator::new(CorrelatorLimits { groups: 200, ..limits() });
    let flows: Vec<_> = (0..1000_u32)
        .map(|i| Flow { dst: format!("10.1.{}.{}", i / 256, i % 256), time: T0 + i64::from(i), ..Flow::default() })
        .collect();
    step(&rules, &mut state, 1, &flows);
    let stats = state.stats();
    assert!(stats.groups <= 200, "{stats:?}");
    assert_eq!(stats.groups as u64 + stats.evicted_groups, 1000);
    // The latest are still there.
    let fired = step(&rules, &mut state, 2, &flows[999..]);
    assert_eq!(fired.len(), 1);
}

#[test]
fn quiet_groups_are_forgotten_and_late_rows_counted() {
    let rules =
        correlation("type: event_count, rules: [base], group-by: [dst_port], timespan: 1s, condition: {gte: 5}");
    let mut state = Correlator::new(limits());
    let early: Vec<_> = (0..100).map(|p| Flow { dport: p, ..Flow::default() }).collect();
    step(&rules, &mut state, 1, &early);
    assert_eq!(state.stats().groups, 100);
    step(&rules, &mut state, 2, &at(&[3600]));
    assert_eq!(state.stats().groups, 1);
    step(&rules, &mut state, 3, &at(&[3000]));
    assert_eq!(state.stats().late_rows, 1);
}

#[test]
fn a_forged_time_in_the_future_counts_as_received() {
    let rules = correlation("type: event_count, rules: [base], group-by: [src_ip], timespan: 60s, condition: {gte: 3}");
    let mut batch = batch(&at(&[0, 1, 86_400]));
    // Received with the first rows.
    let received = arrow::array::TimestampMicrosecondArray::from(vec![T0 + SECOND; 3]).with_timezone("+00:00");
    let mut columns = batch.rows.columns().to_vec();
    columns[guardian_model::FlowField::Received.index()] = std::sync::Arc::new(received);
    batch.rows = arrow::record_batch::RecordBatch::try_new(batch.rows.schema(), columns).unwrap();
    let matches = rules.evaluate(&batch);
    let fired = Correlator::new(limits()).step(&rules, 1, &batch, &matches);
    assert_eq!(fired[0].rows, [2]);
    assert_eq!(fired[0].last_seen.0, T0 + SECOND);
}

#[test]
fn a_new_rule_set_keeps_the_state_of_what_stayed() {
    let body = "type: event_count, rules: [base], group-by: [src_ip], timespan: 60s, condition: {gte: 3}";
    let (before, after) = (correlation(body), correlation(body));
    let changed = correlation(&body.replace("gte: 3", "gte: 2"));
    let mut state = Correlator::new(limits());
    step(&before, &mut state, 1, &at(&[0, 1]));
    let mut kept = state.clone();
    kept.retain(&after);
    assert_eq!(step(&after, &mut kept, 2, &at(&[2])).len(), 1);
    state.retain(&changed);
    assert_eq!(state.stats().groups, 0);
}
