//! CVSS version 2.0 ("A Complete Guide to the Common Vulnerability Scoring System Version 2.0", section 3.2).

use super::{Group, Metric, NOT_DEFINED, Score, Vector, metric};

const REQUIREMENT: &[&str] = &["L", "M", "H"];

pub(super) const METRICS: &[Metric] = &[
    metric(Group::Base, "AV", &["L", "A", "N"]),
    metric(Group::Base, "AC", &["H", "M", "L"]),
    metric(Group::Base, "Au", &["M", "S", "N"]),
    metric(Group::Base, "C", &["N", "P", "C"]),
    metric(Group::Base, "I", &["N", "P", "C"]),
    metric(Group::Base, "A", &["N", "P", "C"]),
    metric(Group::Threat, "E", &["U", "POC", "F", "H"]),
    metric(Group::Threat, "RL", &["OF", "TF", "W", "U"]),
    metric(Group::Threat, "RC", &["UC", "UR", "C"]),
    metric(Group::Environmental, "CDP", &["N", "L", "LM", "MH", "H"]),
    metric(Group::Environmental, "TD", &["N", "L", "M", "H"]),
    metric(Group::Environmental, "CR", REQUIREMENT),
    metric(Group::Environmental, "IR", REQUIREMENT),
    metric(Group::Environmental, "AR", REQUIREMENT),
];

const AV: usize = 0;
const C: usize = 3;
const E: usize = 6;
const CDP: usize = 9;
const TD: usize = 10;
const CR: usize = 11;

const VECTOR: [f64; 3] = [0.395, 0.646, 1.0];
const COMPLEXITY: [f64; 3] = [0.35, 0.61, 0.71];
const AUTHENTICATION: [f64; 3] = [0.45, 0.56, 0.704];
const IMPACT: [f64; 3] = [0.0, 0.275, 0.660];
const EXPLOIT: [f64; 4] = [0.85, 0.9, 0.95, 1.0];
const REMEDIATION: [f64; 4] = [0.87, 0.90, 0.95, 1.0];
const CONFIDENCE: [f64; 3] = [0.9, 0.95, 1.0];
const DAMAGE: [f64; 5] = [0.0, 0.1, 0.3, 0.4, 0.5];
const TARGETS: [f64; 4] = [0.0, 0.25, 0.75, 1.0];
const REQUIRED: [f64; 3] = [0.5, 1.0, 1.51];

fn weight(vector: &Vector, at: usize, weights: &[f64], not_defined: f64) -> f64 {
    match vector.values[at] {
        NOT_DEFINED => not_defined,
        value => weights[usize::from(value)],
    }
}

/// Rounded to tenths, half away from zero; what binary fractions lack is given back.
fn tenths(score: f64) -> f64 {
    (score * 10.0 + score.signum() * 1e-9).round()
}

/// The base score in tenths, with the impact as given.
fn base_of(vector: &Vector, impact: f64) -> f64 {
    let exploitability = 20.0
        * weight(vector, AV, &VECTOR, 0.0)
        * weight(vector, AV + 1, &COMPLEXITY, 0.0)
        * weight(vector, AV + 2, &AUTHENTICATION, 0.0);
    let has_impact = if impact == 0.0 { 0.0 } else { 1.176 };
    tenths((0.6 * impact + 0.4 * exploitability - 1.5) * has_impact)
}

fn impact(vector: &Vector) -> f64 {
    let left: f64 = (C..C + 3).map(|at| 1.0 - weight(vector, at, &IMPACT, 0.0)).product();
    10.41 * (1.0 - left)
}

fn adjusted_impact(vector: &Vector) -> f64 {
    let part = |i: usize| 1.0 - weight(vector, C + i, &IMPACT, 0.0) * weight(vector, CR + i, &REQUIRED, 1.0);
    (10.41 * (1.0 - (0..3).map(part).product::<f64>())).min(10.0)
}

fn temporal_of(vector: &Vector, base_tenths: f64) -> f64 {
    let factor = weight(vector, E, &EXPLOIT, 1.0)
        * weight(vector, E + 1, &REMEDIATION, 1.0)
        * weight(vector, E + 2, &CONFIDENCE, 1.0);
    tenths(base_tenths / 10.0 * factor)
}

pub(super) fn base(vector: &Vector) -> Score {
    Score::of_tenths(base_of(vector, impact(vector)))
}

pub(super) fn temporal(vector: &Vector) -> Score {
    Score::of_tenths(temporal_of(vector, f64::from(base(vector).0)))
}

pub(super) fn environmental(vector: &Vector) -> Score {
    if !vector.says(Group::Environmental) {
        return temporal(vector);
    }
    let adjusted = temporal_of(vector, base_of(vector, adjusted_impact(vector))) / 10.0;
    let damage = adjusted + (10.0 - adjusted) * weight(vector, CDP, &DAMAGE, 0.0);
    Score::of_tenths(tenths(damage * weight(vector, TD, &TARGETS, 1.0)))
}
