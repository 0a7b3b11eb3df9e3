//! The same rows give the same firings, however they are cut into batches, over snapshots, and in shards.

use guardian_model::TenantId;
use guardian_rules::{Correlator, CorrelatorLimits, RuleSet};
use proptest::prelude::*;

use crate::flows::{Flow, T0, batch};
use crate::timeline::correlation;

const KINDS: &[&str] = &[
    "type: event_count, rules: [base], group-by: [src_ip], timespan: 16s, condition: {gte: 20}",
    "type: event_count, rules: [base], timespan: 16s, condition: {gte: 5, lte: 30}",
    "type: value_count, rules: [base], group-by: [src_ip], timespan: 16s, condition: {field: dst_port, gte: 12}",
    "type: value_sum, rules: [base], group-by: [src_ip], timespan: 16s, condition: {field: bytes, gt: 900}",
    "type: value_avg, rules: [base], group-by: [src_ip], timespan: 16s, condition: {field: bytes, gt: 60}",
];

fn flow() -> impl Strategy<Value = Flow> {
    (0..3_usize, 0..40_u16, 0..100_u64, -20_i64..20, prop::bool::weighted(0.9)).prop_map(
        |(src, dport, bytes, jitter, tcp)| Flow {
            src: ["10.0.0.1", "10.0.0.2", "10.0.0.3"][src],
            dport,
            bytes,
            protocol: if tcp { 6 } else { 17 },
            time: jitter * 1_000_000,
            ..Flow::default()
        },
    )
}

/// Flows that go on in time, some of them late.
fn flows() -> impl Strategy<Value = Vec<Flow>> {
    prop::collection::vec(flow(), 1..400).prop_map(|mut flows| {
        for (i, flow) in flows.iter_mut().enumerate() {
            flow.time += T0 + i as i64 * 200_000;
        }
        flows
    })
}

/// Rows of the whole after which the condition held, by group, with the last measure and whether it was estimated.
type Told = Vec<(String, Vec<usize>, f64, bool)>;

fn run(rules: &RuleSet, limits: &CorrelatorLimits, flows: &[Flow], cuts: &[usize], snapshot: bool) -> Told {
    let mut state = Correlator::new(limits.clone());
    let mut told: Told = Vec::new();
    let mut start = 0;
    for end in cuts.iter().copied().chain([flows.len()]) {
        let batch = batch(&flows[start..end]);
        let matches = rules.evaluate(&batch);
        for fired in state.step(rules, start as u64, &batch, &matches) {
            let group = serde_json::to_string(&fired.group).unwrap();
            let rows = fired.rows.iter().map(|r| start + *r as usize);
            match told.iter_mut().find(|t| t.0 == group) {
                Some(known) => {
                    known.1.extend(rows);
                    (known.2, known.3) = (fired.measure, known.3 | fired.estimated);
                }
                None => told.push((group, rows.collect(), fired.measure, fired.estimated)),
            }
        }
        if snapshot {
            state = serde_json::from_str(&serde_json::to_string(&state).unwrap()).unwrap();
        }
        start = end;
    }
    told.sort_by(|a, b| a.0.cmp(&b.0));
    told
}

/// What the specification says, over the rows before and including each one, without any cleverness.
fn naive_distinct(flows: &[Flow], row: usize, timespan: i64) -> usize {
    let this = &flows[row];
    let ends = flows[..=row].iter().filter(|f| f.src == this.src && f.protocol == 6).map(|f| f.time);
    ends.filter(|end| (this.time..=this.time + timespan).contains(end))
        .map(|end| {
            let inside = |f: &&Flow| f.src == this.src && f.protocol == 6 && (end - timespan..=end).contains(&f.time);
            flows[..=row].iter().filter(inside).map(|f| f.dport).collect::<std::collections::HashSet<_>>().len()
        })
        .max()
        .unwrap_or(0)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn cuts_and_snapshots_change_nothing(
        flows in flows(),
        cuts in prop::collection::vec(0..400_usize, 0..8),
        values in prop_oneof![Just(16_usize), Just(8192)],
        groups in prop_oneof![Just(32_usize), Just(100_000)],
    ) {
        let limits = CorrelatorLimits { groups, values_per_group: values, values_per_rule: 100_000 };
        let mut cuts: Vec<_> = cuts.into_iter().map(|c| c % flows.len()).collect();
        cuts.sort_unstable();
        for kind in KINDS {
            let rules = correlation(kind);
            let whole = run(&rules, &limits, &flows, &[], false);
            prop_assert_eq!(&whole, &run(&rules, &limits, &flows, &cuts, false), "{}", kind);
            prop_assert_eq!(&whole, &run(&rules, &limits, &flows, &cuts, true), "{}", kind);
        }
    }

    #[test]
    fn windows_lie_between_the_timespan_and_a_sixteenth_less(flows in flows()) {
        let (timespan, threshold) = (16_000_000, 12);
        let rules = correlation(KINDS[2]);
        let held: std::collections::HashSet<usize> =
            run(&rules, &CorrelatorLimits::default(), &flows, &[], false).into_iter().flat_map(|t| t.1).collect();
        for row in (0..flows.len()).filter(|r| flows[*r].protocol == 6) {
            if held.contains(&row) {
                prop_assert!(naive_distinct(&flows, row, timespan) >= threshold, "row {} should not hold", row);
            } else {
                prop_assert!(naive_distinct(&flows, row, timespan - timespan / 16) < threshold, "row {} should hold", row);
            }
        }
    }

    #[test]
    fn shards_add_up(flows in flows(), shards in prop::collection::vec(0..3_usize, 400)) {
        let limits = CorrelatorLimits::default();
        for kind in KINDS {
            let rules = correlation(kind);
            let feed = |state: &mut Correlator, flows: &[Flow]| {
                let batch = batch(flows);
                state.step(&rules, 1, &batch, &rules.evaluate(&batch))
            };
            let mut merged = Correlator::new(limits.clone());
            for shard in 0..3 {
                let part: Vec<_> = flows.iter().zip(&shards).filter(|(_, s)| **s == shard).map(|(f, _)| f.clone()).collect();
                let mut state = Correlator::new(limits.clone());
                feed(&mut state, &part);
                merged.merge(&rules, state);
            }
            let mut whole = Correlator::new(limits.clone());
            feed(&mut whole, &flows);
            // One more row shows what both know.
            let end = flows.iter().map(|f| f.time).max().unwrap();
            let probes: Vec<_> = ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map(|src| Flow { src, time: end, bytes: 1, ..Flow::default() }).to_vec();
            let told = |state: &mut Correlator| {
                let fired = feed(state, &probes);
                fired.into_iter().map(|f| (serde_json::to_string(&f.group).unwrap(), f.measure)).collect::<Vec<_>>()
            };
            let (mut a, mut b) = (told(&mut merged), told(&mut whole));
            a.sort_by(|x, y| x.0.cmp(&y.0));
            b.sort_by(|x, y| x.0.cmp(&y.0));
            // A group may be exact in one and in buckets in the other only when no shard saw many rows; measures of
            // buckets never exceed exact ones.
            prop_assert_eq!(a, b, "{}", kind);
        }
    }
}

#[test]
fn tenants_never_mix() {
    let rules = correlation("type: event_count, rules: [base], timespan: 60s, condition: {gte: 2}");
    let mut state = Correlator::new(CorrelatorLimits::default());
    for (i, id) in [1_u128, 2].into_iter().enumerate() {
        let mut batch = batch(&[Flow::default()]);
        batch.tenant = TenantId(format!("00000000-0000-0000-0000-{id:012}").parse::<TenantId>().unwrap().0);
        assert!(state.step(&rules, i as u64, &batch, &rules.evaluate(&batch)).is_empty());
    }
    assert_eq!(state.stats().tables, 2);
}
