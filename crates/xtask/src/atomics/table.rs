//! What came of the tests, for the terminal and as a table.

use std::fmt::Write as _;

/// What came of a test.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// These rules held.
    Detected(Vec<String>),
    /// It did what it does, and no rule held.
    Missed,
    /// It ended with this status and these last words, and no rule held.
    Failed(i32, String),
    /// What it needs is not in the machine.
    Lacks,
    /// No shell runs it.
    ByHand,
}

/// A test and what came of it.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) technique: String,
    pub(crate) guid: String,
    pub(crate) name: String,
    pub(crate) outcome: Outcome,
}

impl Row {
    fn verdict(&self) -> (&'static str, String) {
        match &self.outcome {
            Outcome::Detected(rules) => ("detected", rules.join(", ")),
            Outcome::Missed => ("not", String::new()),
            Outcome::Failed(124 | 137, _) => ("not", "ran until it was ended".to_owned()),
            Outcome::Failed(code, _) => ("failed", format!("ended with {code} here")),
            Outcome::Lacks => ("not run", "needs what the machine lacks".to_owned()),
            Outcome::ByHand => ("not run", "by hand, or not by a shell".to_owned()),
        }
    }

    /// For the terminal.
    pub(crate) fn line(&self) -> String {
        let (verdict, why) = self.verdict();
        let last = if let Outcome::Failed(_, last) = &self.outcome { format!(": {last}") } else { String::new() };
        let guid = self.guid.get(..8).unwrap_or(&self.guid);
        format!("{verdict:<9} {:<10} {guid} {}: {why}{last}", self.technique, self.name)
    }
}

/// The counts.
pub(crate) fn summary(rows: &[Row]) -> String {
    let count = |word: &str| rows.iter().filter(|row| row.verdict().0 == word).count();
    let (detected, missed, failed) = (count("detected"), count("not"), count("failed"));
    let worked = detected + missed;
    format!(
        "{} tests: {worked} did what they do, {detected} of them detected ({} %); {failed} failed here, {} not run",
        rows.len(),
        if worked == 0 { 0 } else { detected * 100 / worked },
        count("not run"),
    )
}

/// The table. Tests stand in it by id: their names and texts are their authors'.
pub(crate) fn markdown(rows: &[Row]) -> String {
    let mut text =
        format!("{}.\n\n| Technique | Test | Result | Rules, or why not |\n|---|---|---|---|\n", summary(rows));
    for row in rows {
        let (verdict, why) = row.verdict();
        let guid = row.guid.get(..8).unwrap_or(&row.guid);
        writeln!(text, "| {} | `{guid}` | {verdict} | {why} |", row.technique).ok();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Outcome, Row, markdown, summary};

    fn row(outcome: Outcome) -> Row {
        Row { technique: "T1".to_owned(), guid: "0123456789".to_owned(), name: "n".to_owned(), outcome }
    }

    #[test]
    fn only_what_did_its_work_counts() {
        let rows = [
            row(Outcome::Detected(vec!["a".to_owned(), "b".to_owned()])),
            row(Outcome::Missed),
            row(Outcome::Failed(124, String::new())),
            row(Outcome::Failed(1, "no such file".to_owned())),
            row(Outcome::Lacks),
            row(Outcome::ByHand),
        ];
        let all = "6 tests: 3 did what they do, 1 of them detected (33 %); 1 failed here, 2 not run";
        assert_eq!(summary(&rows), all);
        let table = markdown(&rows);
        assert!(table.contains("| T1 | `01234567` | detected | a, b |"), "{table}");
        assert!(table.contains("ended with 1 here") && !table.contains("no such file"), "{table}");
    }
}
