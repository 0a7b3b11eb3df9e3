//! CVSS version 4.0 (specification document, section 8): the vector falls into one of 270 sets of alike vectors, each with
//! a score that experts gave to its worst one; the distance from that one interpolates towards the next sets below.

use super::{Group, Metric, NOT_DEFINED, Score, Vector, metric};

const HLN: &[&str] = &["H", "L", "N"];
const SHLN: &[&str] = &["S", "H", "L", "N"];
const REQUIREMENT: &[&str] = &["H", "M", "L"];

pub(super) const METRICS: &[Metric] = &[
    metric(Group::Base, "AV", &["N", "A", "L", "P"]),
    metric(Group::Base, "AC", &["L", "H"]),
    metric(Group::Base, "AT", &["N", "P"]),
    metric(Group::Base, "PR", &["N", "L", "H"]),
    metric(Group::Base, "UI", &["N", "P", "A"]),
    metric(Group::Base, "VC", HLN),
    metric(Group::Base, "VI", HLN),
    metric(Group::Base, "VA", HLN),
    metric(Group::Base, "SC", HLN),
    metric(Group::Base, "SI", HLN),
    metric(Group::Base, "SA", HLN),
    metric(Group::Threat, "E", &["A", "P", "U"]),
    metric(Group::Environmental, "CR", REQUIREMENT),
    metric(Group::Environmental, "IR", REQUIREMENT),
    metric(Group::Environmental, "AR", REQUIREMENT),
    metric(Group::Environmental, "MAV", &["N", "A", "L", "P"]),
    metric(Group::Environmental, "MAC", &["L", "H"]),
    metric(Group::Environmental, "MAT", &["N", "P"]),
    metric(Group::Environmental, "MPR", &["N", "L", "H"]),
    metric(Group::Environmental, "MUI", &["N", "P", "A"]),
    metric(Group::Environmental, "MVC", HLN),
    metric(Group::Environmental, "MVI", HLN),
    metric(Group::Environmental, "MVA", HLN),
    metric(Group::Environmental, "MSC", HLN),
    metric(Group::Environmental, "MSI", SHLN),
    metric(Group::Environmental, "MSA", SHLN),
    metric(Group::Supplemental, "S", &["N", "P"]),
    metric(Group::Supplemental, "AU", &["N", "Y"]),
    metric(Group::Supplemental, "R", &["A", "U", "I"]),
    metric(Group::Supplemental, "V", &["D", "C"]),
    metric(Group::Supplemental, "RE", &["L", "M", "H"]),
    metric(Group::Supplemental, "U", &["Clear", "Green", "Amber", "Red"]),
];

const THREAT: usize = 11;
/// Where the modified metrics begin, in the order of those of the base.
const MODIFIED: usize = 15;

/// The metrics that have weight, each as its distance from the worst value.
const AV: usize = 0;
const AC: usize = 1;
const AT: usize = 2;
const PR: usize = 3;
const UI: usize = 4;
const VC: usize = 5;
const VI: usize = 6;
const VA: usize = 7;
const SC: usize = 8;
const SI: usize = 9;
const SA: usize = 10;
const CR: usize = 11;
const IR: usize = 12;
const AR: usize = 13;
type Levels = [i8; 14];

/// What the vector says with all it leaves out: modified metrics as in the base, requirements high.
fn levels(vector: &Vector) -> Levels {
    let mut levels = [0; 14];
    for (at, level) in levels.iter_mut().enumerate() {
        // A subsequent system can lose more than `H`, but only where it is modified.
        let shift = i8::from(matches!(at, SC | SI | SA));
        *level = match (at, vector.values[at + usize::from(at > SA)]) {
            (CR.., NOT_DEFINED) => 0,
            (CR.., value) => value as i8,
            (_, value) => match vector.values[MODIFIED + at] {
                NOT_DEFINED => value as i8 + shift,
                modified if at == SC => modified as i8 + shift,
                modified => modified as i8,
            },
        };
    }
    levels
}

/// Scores in tenths: of attack (EQ1), requirements of the attack (EQ2), loss with what is required (EQ3 and EQ6), loss of
/// other systems (EQ4) and threat (EQ5).
const SCORES: [[[[u8; 9]; 5]; 2]; 3] = [
    [
        [
            [100, 98, 95, 100, 93, 91, 93, 89, 81],
            [99, 95, 92, 96, 87, 81, 90, 80, 68],
            [98, 95, 90, 93, 89, 81, 88, 78, 69],
            [95, 92, 84, 92, 81, 65, 80, 70, 48],
            [92, 82, 72, 79, 69, 50, 69, 55, 27],
        ],
        [
            [99, 95, 92, 95, 90, 84, 92, 82, 72],
            [97, 92, 85, 91, 83, 71, 81, 71, 53],
            [95, 92, 85, 92, 80, 70, 84, 71, 50],
            [93, 85, 73, 82, 72, 59, 70, 52, 30],
            [86, 75, 52, 71, 52, 29, 63, 29, 17],
        ],
    ],
    [
        [
            [98, 94, 91, 94, 86, 77, 87, 74, 63],
            [95, 87, 81, 89, 74, 64, 75, 63, 49],
            [94, 88, 76, 86, 74, 59, 72, 57, 52],
            [89, 77, 67, 76, 58, 50, 57, 52, 25],
            [83, 70, 54, 65, 58, 26, 53, 21, 13],
        ],
        [
            [95, 88, 76, 90, 75, 61, 77, 68, 52],
            [90, 76, 70, 77, 62, 53, 66, 59, 30],
            [89, 76, 62, 74, 57, 47, 61, 57, 24],
            [78, 67, 58, 59, 57, 23, 52, 29, 16],
            [71, 59, 30, 58, 26, 15, 23, 13, 6],
        ],
    ],
    [
        [
            [93, 86, 75, 86, 74, 56, 70, 52, 40],
            [87, 72, 58, 74, 61, 34, 54, 40, 22],
            [85, 74, 62, 72, 55, 46, 53, 34, 19],
            [75, 55, 51, 57, 41, 19, 36, 19, 8],
            [64, 51, 20, 47, 21, 11, 24, 9, 4],
        ],
        [
            [88, 73, 60, 73, 59, 41, 54, 45, 20],
            [75, 53, 50, 55, 40, 20, 43, 22, 11],
            [75, 58, 40, 61, 48, 20, 46, 17, 8],
            [55, 45, 21, 51, 18, 9, 18, 7, 2],
            [53, 24, 14, 24, 12, 5, 10, 3, 1],
        ],
    ],
];

/// A set of alike vectors.
#[derive(Clone, Copy)]
struct Set {
    eq1: usize,
    eq2: usize,
    eq3: usize,
    eq4: usize,
    eq5: usize,
    eq6: usize,
}

impl Set {
    fn of(levels: &Levels, threat: u8) -> Self {
        let worst = |at: usize| levels[at] == 0;
        let any = |all: &[usize]| all.iter().any(|at| worst(*at));
        let eq1 = match (worst(AV) && worst(PR) && worst(UI), any(&[AV, PR, UI]) && levels[AV] != 3) {
            (true, _) => 0,
            (_, true) => 1,
            _ => 2,
        };
        let eq3 = match (worst(VC) && worst(VI), any(&[VC, VI, VA])) {
            (true, _) => 0,
            (_, true) => 1,
            _ => 2,
        };
        let eq4 = match (any(&[SI, SA]), [SC, SI, SA].iter().any(|at| levels[*at] == 1)) {
            (true, _) => 0,
            (_, true) => 1,
            _ => 2,
        };
        let required = [(CR, VC), (IR, VI), (AR, VA)].iter().any(|(required, loss)| worst(*required) && worst(*loss));
        Self {
            eq1,
            eq2: usize::from(!(worst(AC) && worst(AT))),
            eq3,
            eq4,
            eq5: if threat == NOT_DEFINED { 0 } else { usize::from(threat) },
            eq6: usize::from(!required),
        }
    }

    /// Its score in tenths; there is no set where nothing is lost that is required.
    fn score(self) -> Option<f64> {
        let loss = match (self.eq3, self.eq6) {
            (0, six) => six,
            (1, six) => 2 + six,
            (2, 1) => 4,
            _ => return None,
        };
        if self.eq4 > 2 || self.eq5 > 2 {
            return None;
        }
        SCORES.get(self.eq1)?.get(self.eq2)?.get(loss)?.get(self.eq4 * 3 + self.eq5).map(|score| f64::from(*score))
    }

    /// The worst vectors of the set, each metric group as its levels.
    fn worst(self) -> Worst {
        Worst {
            attack: match self.eq1 {
                0 => &[[0, 0, 0]],
                1 => &[[1, 0, 0], [0, 1, 0], [0, 0, 1]],
                _ => &[[3, 0, 0], [1, 1, 1]],
            },
            conditions: if self.eq2 == 0 { &[[0, 0]] } else { &[[1, 0], [0, 1]] },
            loss: match (self.eq3, self.eq6) {
                (0, 0) => &[[0, 0, 0, 0, 0, 0]],
                (0, _) => &[[0, 0, 1, 1, 1, 0], [0, 0, 0, 1, 1, 1]],
                (1, 0) => &[[1, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0]],
                (1, _) => &[
                    [1, 0, 1, 0, 1, 0],
                    [1, 0, 0, 0, 1, 1],
                    [0, 1, 0, 1, 0, 1],
                    [0, 1, 1, 1, 0, 0],
                    [1, 1, 0, 0, 0, 1],
                ],
                _ => &[[1, 1, 1, 0, 0, 0]],
            },
            other: match self.eq4 {
                0 => [1, 0, 0],
                1 => [1, 1, 1],
                _ => [2, 2, 2],
            },
        }
    }
}

struct Worst {
    attack: &'static [[i8; 3]],
    conditions: &'static [[i8; 2]],
    loss: &'static [[i8; 6]],
    other: [i8; 3],
}

/// How far the metrics are from the first of the worst that none of them is worse than.
fn distance<const N: usize>(levels: &Levels, metrics: [usize; N], worst: &[[i8; N]]) -> f64 {
    let fits = |worst: &&[i8; N]| metrics.iter().zip(*worst).all(|(at, worst)| levels[*at] >= *worst);
    let sum = |worst: &[i8; N]| metrics.iter().zip(worst).map(|(at, worst)| levels[*at] - worst).sum::<i8>();
    f64::from(worst.iter().find(fits).map_or(0, sum))
}

pub(super) fn score(vector: &Vector) -> Score {
    let levels = levels(vector);
    let nothing = |at: usize| levels[at] == if at >= SC { 3 } else { 2 };
    if (VC..=SA).all(nothing) {
        return Score(0);
    }
    let set = Set::of(&levels, vector.values[THREAT]);
    let Some(score) = set.score() else { return Score(0) };
    let worst = set.worst();
    let next_loss = match (set.eq3, set.eq6) {
        (0, 0) => {
            let (six, three) = (Set { eq6: 1, ..set }.score(), Set { eq3: 1, ..set }.score());
            six.into_iter().chain(three).reduce(f64::max)
        }
        (1, 0) => Set { eq6: 1, ..set }.score(),
        (eq3, _) => Set { eq3: eq3 + 1, ..set }.score(),
    };
    // The score of the next set below, how far the vector is from the worst of its own, and how deep that set is.
    let towards = [
        (
            Set { eq1: set.eq1 + 1, ..set }.score(),
            distance(&levels, [AV, PR, UI], worst.attack),
            [1.0, 4.0, 5.0][set.eq1],
        ),
        (Set { eq2: set.eq2 + 1, ..set }.score(), distance(&levels, [AC, AT], worst.conditions), [1.0, 2.0][set.eq2]),
        (
            next_loss,
            distance(&levels, [VC, VI, VA, CR, IR, AR], worst.loss),
            [[7.0, 6.0], [8.0, 8.0], [10.0, 10.0]][set.eq3][set.eq6],
        ),
        (
            Set { eq4: set.eq4 + 1, ..set }.score(),
            distance(&levels, [SC, SI, SA], &[worst.other]),
            [6.0, 5.0, 4.0][set.eq4],
        ),
        (Set { eq5: set.eq5 + 1, ..set }.score(), 0.0, 1.0),
    ];
    let (mut sum, mut count) = (0.0, 0.0);
    for (next, distance, depth) in towards {
        if let Some(next) = next.filter(|next| *next <= score) {
            sum += (score - next) * distance / depth;
            count += 1.0;
        }
    }
    let mean = if count > 0.0 { sum / count } else { 0.0 };
    Score::of_tenths((score - mean + 1e-5).round())
}
