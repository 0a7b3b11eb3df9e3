//! The report of vulnerabilities: how much there is, how it goes, and what to do first.

use serde::Serialize;
use serde_json::json;

use super::{Bar, PdfError, Sheet, dressed, words, world};

pub(super) const TEMPLATE: &str = include_str!("vulnerabilities.typ");

/// What the report tells. Lists are as long as they are shown.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Vulnerabilities {
    /// What it is of: all hosts, a group, a tag, a host or an image; nothing for all hosts.
    pub subject: String,
    /// Whether it is of an image: then nothing is counted by hosts, and what is wrong comes with a layer.
    pub image: bool,
    /// Names and values that stand below the title.
    pub marks: Vec<(String, String)>,
    /// Key figures, four to a row.
    pub figures: Vec<Figure>,
    /// What is open, by rating, the worst first.
    pub ratings: Vec<Bar>,
    /// What was open, day by day.
    pub trend: Vec<Day>,
    /// The most of the days, in words.
    pub most: String,
    /// Updates, the one that takes the most risk away first.
    pub fixes: Vec<Update>,
    /// Vulnerabilities, the most pressing first.
    pub worst: Vec<Pressing>,
    /// Hosts: name, open, critical, exploited, overdue, risk.
    pub hosts: Vec<[String; 6]>,
    /// Layers of an image, the lowest first: number, the step that made it, packages, open.
    pub layers: Vec<[String; 4]>,
    /// Hosts on which an image runs.
    pub runs_on: Vec<String>,
    /// Exceptions that hold: vulnerability, for whom, until when, why.
    pub exceptions: Vec<[String; 4]>,
}

/// A key figure.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Figure {
    /// What it is.
    pub name: String,
    /// How much.
    pub value: String,
    /// Whether it is alarming.
    pub loud: bool,
}

/// What was open at the end of a day.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Day {
    /// The day, in words.
    pub label: String,
    /// How many.
    pub open: i64,
}

/// An update.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Update {
    /// The package.
    pub package: String,
    /// Whose it is.
    pub ecosystem: String,
    /// To which version.
    pub version: String,
    /// Whether it is installed everywhere and waits for a restart.
    pub restart: bool,
    /// The worst of what it mends.
    pub rating: String,
    /// How many hosts need it.
    pub hosts: String,
    /// How many findings it takes away.
    pub findings: String,
    /// The part of all risk that it takes away, 0 to 1.
    pub share: f64,
    /// The same in words.
    pub percent: String,
}

/// A vulnerability in a package.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Pressing {
    /// Its name.
    pub name: String,
    /// Whether it is known to be exploited.
    pub exploited: bool,
    /// How bad.
    pub rating: String,
    /// Its highest risk.
    pub risk: String,
    /// The package that has it.
    pub package: String,
    /// Versions with the fix; empty for none.
    pub fixed: String,
    /// How many hosts have it.
    pub hosts: String,
    /// Of an image, the layer that brought it.
    pub layer: String,
}

/// The report of vulnerabilities.
pub fn vulnerabilities(report: &Vulnerabilities, sheet: &Sheet<'_>) -> Result<Vec<u8>, PdfError> {
    let title = words::say(sheet.language, if report.image { "Image report" } else { "Vulnerability report" });
    let mut report = report.clone();
    if report.subject.is_empty() {
        words::say(sheet.language, "All hosts").clone_into(&mut report.subject);
    }
    for bar in &mut report.ratings {
        words::say(sheet.language, &bar.id).clone_into(&mut bar.name);
    }
    let data = json!({ "title": title, "short": title, "report": report });
    world::render(TEMPLATE, &dressed(data, sheet))
}

#[cfg(test)]
mod tests {
    use guardian_catalog::Language;
    use guardian_model::Micros;

    use super::*;

    #[test]
    fn empty_full_and_hostile_reports_are_made() {
        let hostile = "#panic(\"evaluated\") *b* `c` $x^2$ [x] \\ // = h";
        let sheet = Sheet { language: Language::En, tenant: "Main", author: "ann", now: Micros(1_767_225_600_000_000) };
        let empty = vulnerabilities(&Vulnerabilities::default(), &sheet).unwrap();
        let text = || hostile.to_owned();
        let full = Vulnerabilities {
            subject: text(),
            marks: vec![("Judged by advisories of".into(), text())],
            figures: vec![Figure { name: text(), value: text(), loud: true }; 8],
            ratings: vec![Bar { id: "critical".into(), name: String::new(), count: 9 }],
            trend: (0..60).map(|at| Day { label: at.to_string(), open: at * at % 37 }).collect(),
            most: "37".into(),
            fixes: vec![Update { package: text(), share: 7.0, rating: "none".into(), ..Update::default() }; 40],
            worst: vec![Pressing { name: text(), exploited: true, ..Pressing::default() }; 90],
            hosts: vec![[(); 6].map(|()| text()); 30],
            layers: vec![[(); 4].map(|()| text()); 30],
            runs_on: vec![text(); 30],
            exceptions: vec![[(); 4].map(|()| "a".repeat(900))],
            ..Vulnerabilities::default()
        };
        for language in Language::ALL {
            for image in [false, true] {
                let report = Vulnerabilities { image, ..full.clone() };
                let made = vulnerabilities(&report, &Sheet { language: *language, ..sheet }).unwrap();
                assert!(made.starts_with(b"%PDF-") && made.len() > empty.len());
            }
        }
    }
}
