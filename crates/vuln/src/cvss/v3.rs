//! CVSS versions 3.0 and 3.1 (specification document, section 7), which differ in one formula of the environmental score.

use super::{Group, Metric, NOT_DEFINED, Score, Vector, Version, metric};

const HLN: &[&str] = &["H", "L", "N"];
const REQUIREMENT: &[&str] = &["H", "M", "L"];

pub(super) const METRICS: &[Metric] = &[
    metric(Group::Base, "AV", &["N", "A", "L", "P"]),
    metric(Group::Base, "AC", &["L", "H"]),
    metric(Group::Base, "PR", &["N", "L", "H"]),
    metric(Group::Base, "UI", &["N", "R"]),
    metric(Group::Base, "S", &["U", "C"]),
    metric(Group::Base, "C", HLN),
    metric(Group::Base, "I", HLN),
    metric(Group::Base, "A", HLN),
    metric(Group::Threat, "E", &["H", "F", "P", "U"]),
    metric(Group::Threat, "RL", &["U", "W", "T", "O"]),
    metric(Group::Threat, "RC", &["C", "R", "U"]),
    metric(Group::Environmental, "CR", REQUIREMENT),
    metric(Group::Environmental, "IR", REQUIREMENT),
    metric(Group::Environmental, "AR", REQUIREMENT),
    metric(Group::Environmental, "MAV", &["N", "A", "L", "P"]),
    metric(Group::Environmental, "MAC", &["L", "H"]),
    metric(Group::Environmental, "MPR", &["N", "L", "H"]),
    metric(Group::Environmental, "MUI", &["N", "R"]),
    metric(Group::Environmental, "MS", &["U", "C"]),
    metric(Group::Environmental, "MC", HLN),
    metric(Group::Environmental, "MI", HLN),
    metric(Group::Environmental, "MA", HLN),
];

const SCOPE: usize = 4;
const IMPACTS: usize = 5;
const THREATS: usize = 8;
const REQUIREMENTS: usize = 11;
/// Where the modified metrics begin, in the order of those of the base.
const MODIFIED: usize = 14;

const VECTOR: [f64; 4] = [0.85, 0.62, 0.55, 0.2];
const COMPLEXITY: [f64; 2] = [0.77, 0.44];
const PRIVILEGES: [f64; 3] = [0.85, 0.62, 0.27];
const PRIVILEGES_CHANGED: [f64; 3] = [0.85, 0.68, 0.5];
const INTERACTION: [f64; 2] = [0.85, 0.62];
const IMPACT: [f64; 3] = [0.56, 0.22, 0.0];
const EXPLOIT: [f64; 4] = [1.0, 0.97, 0.94, 0.91];
const REMEDIATION: [f64; 4] = [1.0, 0.97, 0.96, 0.95];
const CONFIDENCE: [f64; 3] = [1.0, 0.96, 0.92];
const REQUIRED: [f64; 3] = [1.5, 1.0, 0.5];

/// The smallest number of tenths that is not below the score; what binary fractions have too much is taken off.
fn round_up(score: f64) -> f64 {
    (score * 10.0 - 1e-9).ceil()
}

/// Scores of the metrics that `value` gives, in tenths; `impact_of` makes the impact of what is lost when the scope
/// changes.
fn score(value: impl Fn(usize) -> usize, loss: f64, impact_of: impl Fn(f64) -> f64) -> f64 {
    let changed = value(SCOPE) == 1;
    let impact = if changed { impact_of(loss) } else { 6.42 * loss };
    if impact <= 0.0 {
        return 0.0;
    }
    let privileges = if changed { PRIVILEGES_CHANGED } else { PRIVILEGES };
    let exploitability = 8.22 * VECTOR[value(0)] * COMPLEXITY[value(1)] * privileges[value(2)] * INTERACTION[value(3)];
    let factor = if changed { 1.08 } else { 1.0 };
    round_up((factor * (impact + exploitability)).min(10.0))
}

fn changed_3_0(loss: f64) -> f64 {
    7.52 * (loss - 0.029) - 3.25 * (loss - 0.02).powi(15)
}

fn changed_3_1(loss: f64) -> f64 {
    7.52 * (loss - 0.029) - 3.25 * (loss * 0.9731 - 0.02).powi(13)
}

fn with_threat(vector: &Vector, tenths: f64) -> Score {
    let weight = |at: usize, weights: &[f64]| match vector.values[at] {
        NOT_DEFINED => 1.0,
        value => weights[usize::from(value)],
    };
    let factor = weight(THREATS, &EXPLOIT) * weight(THREATS + 1, &REMEDIATION) * weight(THREATS + 2, &CONFIDENCE);
    Score::of_tenths(round_up(tenths / 10.0 * factor))
}

pub(super) fn base(vector: &Vector) -> Score {
    let value = |at: usize| usize::from(vector.values[at]);
    let loss = 1.0 - (IMPACTS..THREATS).map(|at| 1.0 - IMPACT[value(at)]).product::<f64>();
    Score::of_tenths(score(value, loss, changed_3_0))
}

pub(super) fn temporal(vector: &Vector) -> Score {
    with_threat(vector, f64::from(base(vector).0))
}

pub(super) fn environmental(vector: &Vector) -> Score {
    // A metric that is not modified is as in the base.
    let value = |at: usize| match vector.values[MODIFIED + at] {
        NOT_DEFINED => usize::from(vector.values[at]),
        modified => usize::from(modified),
    };
    let required = |i: usize| match vector.values[REQUIREMENTS + i] {
        NOT_DEFINED => 1.0,
        value => REQUIRED[usize::from(value)],
    };
    let left: f64 = (0..3).map(|i| 1.0 - IMPACT[value(IMPACTS + i)] * required(i)).product();
    let changed = if vector.version == Version::V3_0 { changed_3_0 } else { changed_3_1 };
    with_threat(vector, score(value, (1.0 - left).min(0.915), changed))
}
