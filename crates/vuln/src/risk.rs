//! What to fix first: the probability that a vulnerability is used, what then happens, whether it can be reached, and what
//! the machine is worth, multiplied. Every factor is shown with its ground, and CISA's decision (SSVC) stands beside.
//!
//! No factor is learned here. The prior for what has no EPSS follows from the entries of CISA's catalogue before October
//! 2024 (how much more often what can be automated, and what gives the attacker everything, was entered), on EPSS's scale;
//! `examples/risk.rs` judges it by later entries, and docs/vulnerabilities.md says with what result.

use serde::Serialize;

use crate::advisory::Exploitation;
use crate::cvss::{Rating, Vector};
use crate::matching::Finding;

/// From where a machine can be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Exposure {
    /// From everywhere.
    Internet,
    /// From its own network.
    Network,
    /// Only by those who are on it.
    Local,
    /// Nobody has said.
    #[default]
    Unknown,
}

/// What a machine, or what is built of a project, is worth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Criticality {
    /// Nobody would miss it for a day.
    Low,
    /// As most.
    #[default]
    Medium,
    /// Others depend on it.
    High,
}

impl std::str::FromStr for Exposure {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "internet" => Ok(Self::Internet),
            "network" => Ok(Self::Network),
            "local" => Ok(Self::Local),
            "unknown" => Ok(Self::Unknown),
            _ => Err("internet, network, local or unknown".to_owned()),
        }
    }
}

impl std::str::FromStr for Criticality {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "low" => Ok(Self::Low),
            "medium" => Ok(Self::Medium),
            "high" => Ok(Self::High),
            _ => Err("low, medium or high".to_owned()),
        }
    }
}

/// What is known of what the package is on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Asset {
    /// From where it can be reached.
    pub exposure: Exposure,
    /// What it is worth.
    pub criticality: Criticality,
    /// Requirements of confidentiality, integrity and availability (CVSS: `CR`, `IR`, `AR`).
    pub requirements: [Criticality; 3],
}

/// One factor: its value, 0 to 1, and its ground.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Factor {
    /// 0 to 1.
    pub value: f64,
    /// Where it comes from.
    pub ground: String,
}

/// CISA's decision (SSVC, "CISA Coordinator" 2.0.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Fix it when everything else is.
    Track,
    /// The same, but watch it.
    TrackClosely,
    /// Fix it sooner.
    Attend,
    /// Fix it now.
    Act,
}

impl Decision {
    /// As CISA writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Track => "Track",
            Self::TrackClosely => "Track*",
            Self::Attend => "Attend",
            Self::Act => "Act",
        }
    }
}

/// The risk of a finding.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Risk {
    /// 0 to 100: the product of the factors.
    pub score: f64,
    /// That it is used.
    pub probability: Factor,
    /// What then happens.
    pub impact: Factor,
    /// Whether it can be reached.
    pub exposure: Factor,
    /// What the machine is worth.
    pub criticality: Factor,
    /// The decision beside.
    pub decision: Decision,
}

impl Default for Risk {
    fn default() -> Self {
        let factor = || Factor { value: 0.0, ground: String::new() };
        Self {
            score: 0.0,
            probability: factor(),
            impact: factor(),
            exposure: factor(),
            criticality: factor(),
            decision: Decision::Track,
        }
    }
}

/// The risk of a vulnerability in something on the asset.
pub fn of(finding: &Finding, asset: &Asset) -> Risk {
    let vector: Option<Vector> = finding.vector.as_deref().and_then(|vector| vector.parse().ok());
    let probability = probability(finding, vector.as_ref());
    let impact = impact(finding, vector.as_ref(), asset);
    let exposure = exposure(vector.as_ref(), asset.exposure);
    let criticality = criticality(asset.criticality);
    let score = 100.0 * probability.value * impact.value * exposure.value * criticality.value;
    let (automatable, total) = (is_automatable(finding, vector.as_ref()), is_total(finding, vector.as_ref()));
    let known = finding.known_exploited_day.is_some();
    let state = if known { Exploitation::Active } else { finding.exploitation };
    let decision = decide(state, automatable.unwrap_or(true), total.unwrap_or(true), asset.criticality);
    Risk { score, probability, impact, exposure, criticality, decision }
}

fn factor(value: f64, ground: impl Into<String>) -> Factor {
    Factor { value: value.clamp(0.0, 1.0), ground: ground.into() }
}

/// What is in a catalogue of those that are used is used; then EPSS; then a prior.
fn probability(finding: &Finding, vector: Option<&Vector>) -> Factor {
    if finding.known_exploited_day.is_some() {
        return factor(0.95, "known to be used (KEV)");
    }
    if let Some((epss, _)) = finding.epss {
        return factor(f64::from(epss), "EPSS");
    }
    if finding.exploitation == Exploitation::Active {
        return factor(0.5, "prior: used (SSVC)");
    }
    let (automatable, total) = (is_automatable(finding, vector), is_total(finding, vector));
    let plain = prior(automatable, total);
    // That a proof of concept is public says less than one would think.
    let poc = finding.exploitation == Exploitation::Poc;
    let word = |known: Option<bool>, yes: &str, no: &str| match known {
        Some(true) => yes.to_owned(),
        Some(false) => no.to_owned(),
        None => format!("perhaps {yes}"),
    };
    let ground = format!(
        "prior: {}, {}{}",
        word(automatable, "automatable", "not automatable"),
        word(total, "total impact", "partial impact"),
        if poc { ", proof of concept" } else { "" }
    );
    factor(if poc { 2.0 * plain } else { plain }, ground)
}

/// By how often such were entered in the catalogue, with half of the way between where a side is not known.
fn prior(automatable: Option<bool>, total: Option<bool>) -> f64 {
    let of = |automatable: bool, total: bool| match (automatable, total) {
        (false, false) => 0.002,
        (true, false) => 0.011,
        (false, true) => 0.02,
        (true, true) => 0.048,
    };
    let sides = |known: Option<bool>| known.map_or([false, true], |known| [known, known]);
    let all = sides(automatable).map(|automatable| sides(total).map(|total| of(automatable, total)));
    all.iter().flatten().sum::<f64>() / 4.0
}

/// The coordinator's word, else what the vector says: over the network, with no rights and nobody's help.
fn is_automatable(finding: &Finding, vector: Option<&Vector>) -> Option<bool> {
    finding.automatable.or_else(|| {
        let vector = vector?;
        let is = |metric: &str, value: &str| vector.get(metric) == Some(value);
        Some(is("AV", "N") && (is("PR", "N") || is("Au", "N")) && (is("UI", "N") || vector.get("UI").is_none()))
    })
}

/// The coordinator's word, else what the vector says: everything can be read and written.
fn is_total(finding: &Finding, vector: Option<&Vector>) -> Option<bool> {
    finding.total_impact.or_else(|| {
        let vector = vector?;
        let high = |metrics: [&str; 2]| metrics.iter().any(|metric| matches!(vector.get(metric), Some("H" | "C")));
        Some(high(["C", "VC"]) && high(["I", "VI"]))
    })
}

/// The environmental score with the asset's requirements; without a vector what the rating's word stands for.
fn impact(finding: &Finding, vector: Option<&Vector>, asset: &Asset) -> Factor {
    let Some(vector) = vector else {
        let middle = match finding.rating {
            Rating::Critical => 9.5,
            Rating::High => 8.0,
            Rating::Medium => 5.5,
            Rating::Low => 2.0,
            Rating::None => 0.0,
            // Nobody says: behind what somebody has looked at.
            Rating::Unknown => 5.0,
        };
        return factor(middle / 10.0, format!("rated {}", finding.rating.name()));
    };
    let mut own = *vector;
    for (metric, requirement) in ["CR", "IR", "AR"].into_iter().zip(asset.requirements) {
        let value = match requirement {
            Criticality::Low => "L",
            Criticality::Medium => "M",
            Criticality::High => "H",
        };
        own = own.with(metric, value).unwrap_or(own);
    }
    let score = own.environmental().value();
    factor(score / 10.0, format!("CVSS environmental {score:.1}"))
}

/// What only those on the machine can use is reached the same from everywhere.
fn exposure(vector: Option<&Vector>, exposure: Exposure) -> Factor {
    let way = vector.and_then(|vector| vector.get("MAV").filter(|way| *way != "X").or(vector.get("AV")));
    match (way, exposure) {
        (Some("L" | "P"), _) => factor(0.4, "only by those who are on it (CVSS)"),
        (Some("A"), Exposure::Internet | Exposure::Network) => factor(0.7, "from its own network (CVSS)"),
        (_, Exposure::Internet) => factor(1.0, "reached from everywhere"),
        (_, Exposure::Network) => factor(0.7, "reached from its own network"),
        (_, Exposure::Local) => factor(0.2, "reached by nobody over the network"),
        (_, Exposure::Unknown) => factor(0.8, "nobody says from where it is reached"),
    }
}

fn criticality(criticality: Criticality) -> Factor {
    match criticality {
        Criticality::Low => factor(0.5, "low"),
        Criticality::Medium => factor(0.75, "medium"),
        Criticality::High => factor(1.0, "high"),
    }
}

/// The decision by CISA's tree; the asset's criticality stands for mission and well-being.
pub fn decide(exploitation: Exploitation, automatable: bool, total: bool, mission: Criticality) -> Decision {
    use Criticality::{High, Low, Medium};
    use Decision::{Act, Attend, Track, TrackClosely};
    let poc = exploitation == Exploitation::Poc;
    if exploitation != Exploitation::Active {
        return match (automatable, total, mission) {
            (_, _, Low) => Track,
            (_, true, Medium) if poc => TrackClosely,
            (_, _, Medium) => Track,
            (true, _, High) => Attend,
            (false, true, High) if poc => Attend,
            (false, true, High) => TrackClosely,
            (false, false, High) if poc => TrackClosely,
            (false, false, High) => Track,
        };
    }
    match (automatable, total, mission) {
        (true, _, Low) => Attend,
        (false, _, Low) => Track,
        (true, true, Medium) => Act,
        (true, false, Medium) | (false, true, Medium) => Attend,
        (false, false, Medium) => Track,
        (false, false, High) => Attend,
        (_, _, High) => Act,
    }
}
