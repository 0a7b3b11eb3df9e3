//! Exceptions: rows that a rule must not look at, whatever its text says.

use guardian_expr::Expr;
use guardian_model::Micros;
use guardian_rules::{Correlator, CorrelatorLimits, Exception, RuleSet};

use crate::flows::{Flow, T0, batch};
use crate::rules;
use crate::timeline::BASE;

fn exception(id: u128, rule: &str, filter: &str, expires: Option<Micros>) -> Exception {
    let filter = Expr::parse(filter).unwrap();
    Exception { id, rule_id: rule.into(), filter, made: Micros(T0), expires }
}

fn with(rules: RuleSet, exceptions: Vec<Exception>) -> RuleSet {
    let (rules, wrong) = rules.with_exceptions(exceptions);
    assert!(wrong.is_empty(), "{wrong:?}");
    rules
}

fn plain() -> RuleSet {
    let rule = |id: &str, port: u16| {
        format!(
            "title: {id}\nid: {id}\nlogsource: {{category: firewall}}\ndetection: {{s: {{dst_port: {port}}}, condition: s}}\n"
        )
    };
    rules(&format!("{}---\n{}", rule("ssh", 22), rule("web", 443)))
}

#[test]
fn rows_are_taken_from_the_one_rule_and_counted() {
    let flows = [("10.0.0.1", 22), ("10.0.0.2", 22), ("10.0.0.1", 443), ("10.0.0.3", 22)];
    let flows: Vec<_> = flows.into_iter().map(|(src, dport)| Flow { src, dport, ..Flow::default() }).collect();
    let exceptions = vec![
        exception(7, "ssh", "src_ip = 10.0.0.1", None),
        exception(8, "ssh", "src_ip in (10.0.0.1, 10.0.0.3)", None),
        exception(9, "nobody", "dst_port = 443", None),
    ];
    let rules = with(plain(), exceptions);
    assert_eq!(rules.exceptions().map(|(id, _)| id).collect::<Vec<_>>(), [7, 8, 9]);
    let matches = rules.evaluate(&batch(&flows));
    let rows = |rule: usize| matches.rows(rule).map(|r| r.set_indices().collect::<Vec<_>>()).unwrap_or_default();
    assert_eq!((rows(0), rows(1)), (vec![1], vec![2]), "the other rule still sees the row");
    assert_eq!(matches.excepted(), [1, 2, 1]);
    let outside = matches.excepted_rows(&rules, "nobody").unwrap();
    assert_eq!(outside.set_indices().collect::<Vec<_>>(), [2]);
    assert!(matches.excepted_rows(&rules, "somebody").is_none());
    let all = with(plain(), vec![exception(1, "ssh", "dst_port = 22", None)]);
    assert!(all.evaluate(&batch(&flows)).rows(0).is_none(), "nothing is left");
}

#[test]
fn they_end_when_they_say() {
    let flows = [Flow { dport: 22, ..Flow::default() }];
    let batch = batch(&flows);
    for (expires, seen) in [(batch.received, 1), (Micros(batch.received.0 + 1), 0)] {
        let rules = with(plain(), vec![exception(1, "ssh", "src_ip = 10.0.0.1", Some(expires))]);
        let matched = rules.evaluate(&batch).rows(0).map_or(0, |r| r.count_set_bits());
        assert_eq!(matched, seen, "{expires}");
    }
}

#[test]
fn correlations_do_not_count_them_and_go_on_over_a_change() {
    let body = "type: event_count, rules: [base], group-by: [src_ip], timespan: 60s, condition: {gte: 4}";
    let other = "title: d\nid: d1\ncorrelation: {type: event_count, rules: [base], group-by: [src_ip], timespan: 60s, condition: {gte: 4}}";
    let fresh = || rules(&format!("{BASE}title: c\nid: c1\ncorrelation: {{{body}}}\n---\n{other}\n"));
    let flow = |at: i64, dport| Flow { time: T0 + at * 1_000_000, dport, ..Flow::default() };
    let fired = |rules: &RuleSet, state: &mut Correlator, id, flows: &[Flow]| {
        let batch = batch(flows);
        let matches = rules.evaluate(&batch);
        let fired = state.step(rules, id, &batch, &matches);
        let ids: Vec<_> = fired.iter().map(|f| rules.rules()[f.rule].document.id.clone()).collect();
        (ids, matches.excepted().to_vec())
    };
    let mut state = Correlator::new(CorrelatorLimits::default());
    let rules = with(fresh(), vec![exception(1, "c1", "dst_port = 8080", None)]);
    let (ids, excepted) = fired(&rules, &mut state, 1, &[flow(0, 443), flow(1, 8080), flow(2, 443), flow(3, 8080)]);
    assert_eq!((ids, excepted), (vec!["d1".to_owned()], vec![2]), "the other correlation counts all four");
    // Another exception comes: what was counted stays counted.
    let rules =
        with(fresh(), vec![exception(1, "c1", "dst_port = 8080", None), exception(2, "d1", "dst_port = 1", None)]);
    let (ids, _) = fired(&rules, &mut state, 2, &[flow(4, 443)]);
    assert_eq!(ids, ["d1"]);
    let (ids, _) = fired(&rules, &mut state, 3, &[flow(5, 443)]);
    assert_eq!(ids, ["c1", "d1"], "four that count");
}
