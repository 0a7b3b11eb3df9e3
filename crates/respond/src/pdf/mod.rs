//! Reports as PDF, made with typst. The templates are ours and fixed; what a report tells comes to them as data in a file
//! of JSON, and is shown and never evaluated, so that no text from outside can become markup.
//!
//! Making one takes a processor for a while: callers do it beside the asynchronous threads, few at a time. Nothing is
//! read from the disk or the network; the fonts are inside the program.

mod vulnerabilities;
mod words;
mod world;

use guardian_catalog::{Alert, Language};
use guardian_model::{Micros, Severity};
use serde::Serialize;
use serde_json::{Value, json};

pub use self::vulnerabilities::{Day, Figure, Pressing, Update, Vulnerabilities, vulnerabilities};
use crate::report::Report;

/// Alerts of one list.
pub const ALERTS_MAX: usize = 1_000;
/// Rows of one table of an incident's report.
const ROWS_MAX: usize = 1_500;
/// Characters of one text.
const TEXT_MAX: usize = 6_000;
/// Characters without a place to break that fit everywhere.
const UNBROKEN_MAX: usize = 22;

const INCIDENT: &str = include_str!("incident.typ");
const SUMMARY: &str = include_str!("summary.typ");
const ALERTS: &str = include_str!("alerts.typ");

/// A report could not be made.
#[derive(Debug, thiserror::Error)]
#[error("the PDF could not be made: {0}")]
pub struct PdfError(pub(crate) String);

/// What stands on every page.
#[derive(Clone, Copy, Debug)]
pub struct Sheet<'a> {
    /// The language of its words.
    pub language: Language,
    /// Name of the tenant.
    pub tenant: &'a str,
    /// Who makes it.
    pub author: &'a str,
    /// When.
    pub now: Micros,
}

/// A period in figures.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    /// Its beginning, in words.
    pub from: String,
    /// Its end.
    pub to: String,
    /// Names and values of the key figures.
    pub figures: Vec<(String, String)>,
    /// Alerts by severity, worst first.
    pub severities: Vec<Bar>,
    /// Alerts over time.
    pub days: Vec<Span>,
    /// Rules that found most: title, severity, alerts.
    pub rules: Vec<[String; 3]>,
    /// Entities that most alerts are about.
    pub entities: Vec<Bar>,
    /// Incidents: number, title, severity, status, since when.
    pub incidents: Vec<[String; 5]>,
}

/// A bar of a chart.
#[derive(Clone, Debug, Serialize)]
pub struct Bar {
    /// What colours it.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// How long it is.
    pub count: u64,
}

/// A piece of time.
#[derive(Clone, Debug, Serialize)]
pub struct Span {
    /// Its beginning, in words.
    pub label: String,
    /// Alerts by severity, mildest first.
    pub counts: [u64; 5],
}

/// The post-incident report.
pub fn incident(report: &Report, severity: Severity, status: &str, sheet: &Sheet<'_>) -> Result<Vec<u8>, PdfError> {
    let mut value = json!(report);
    for name in ["timeline", "alerts", "entities", "tasks", "evidence"] {
        if let Some(rows) = value.get_mut(name).and_then(Value::as_array_mut) {
            rows.truncate(ROWS_MAX);
        }
    }
    let count = |severity: Severity| report.alerts.iter().filter(|a| a[1] == severity.as_str()).count() as u64;
    let title = format!("{} {}", words::say(sheet.language, "Incident"), report.number);
    let data = json!({
        "title": format!("{title}: {}", report.title),
        "short": title,
        "severity": severity,
        "status": status,
        "severities": bars(count, sheet.language),
        "report": value,
    });
    world::render(INCIDENT, &dressed(data, sheet))
}

/// The summary of a period.
pub fn summary(summary: &Summary, sheet: &Sheet<'_>) -> Result<Vec<u8>, PdfError> {
    let title = words::say(sheet.language, "Security summary");
    let data = json!({ "title": title, "short": title, "summary": summary });
    world::render(SUMMARY, &dressed(data, sheet))
}

/// A list of alerts, at most [`ALERTS_MAX`]. `filter` says in words which.
pub fn alerts(list: &[Alert], filter: &str, more: bool, sheet: &Sheet<'_>) -> Result<Vec<u8>, PdfError> {
    let kept = &list[..list.len().min(ALERTS_MAX)];
    let rows: Vec<[String; 6]> = kept
        .iter()
        .map(|a| {
            let rule = &a.rule;
            let severity = rule.severity.to_string();
            let (seen, entity) = (time(a.last_seen), a.entity.to_string());
            [seen, severity, rule.title.clone(), entity, a.count.to_string(), a.status.to_string()]
        })
        .collect();
    let count = |severity: Severity| kept.iter().filter(|a| a.rule.severity == severity).count() as u64;
    let title = format!("{} {}", kept.len(), words::say(sheet.language, "alerts"));
    let data = json!({
        "title": title,
        "short": title,
        "filter": filter,
        "severities": bars(count, sheet.language),
        "rows": rows,
        "more": more || list.len() > kept.len(),
    });
    world::render(ALERTS, &dressed(data, sheet))
}

/// A time as reports show it: to the second, in UTC.
pub fn time(time: Micros) -> String {
    let text = Micros::from_secs(time.0.div_euclid(Micros::SECOND)).to_string();
    text.replace('T', " ").replace('Z', " UTC")
}

/// Bars of the severities that occur, worst first.
pub fn bars(count: impl Fn(Severity) -> u64, language: Language) -> Vec<Bar> {
    let all = Severity::ALL.iter().rev().map(|severity| Bar {
        id: severity.to_string(),
        name: words::say(language, severity.as_str()).to_owned(),
        count: count(*severity),
    });
    all.filter(|bar| bar.count > 0).collect()
}

/// Adds what every page needs, and makes every text fit for a page.
fn dressed(mut data: Value, sheet: &Sheet<'_>) -> Value {
    fit(&mut data);
    let short = |text: &str| breakable(text);
    data["words"] = words::all(sheet.language);
    data["language"] = json!(sheet.language);
    data["tenant"] = json!(short(sheet.tenant));
    data["author"] = json!(short(sheet.author));
    data["made"] = json!(time(sheet.now));
    data
}

fn fit(value: &mut Value) {
    match value {
        Value::String(text) => *text = breakable(text),
        Value::Array(items) => items.iter_mut().for_each(fit),
        Value::Object(members) => members.values_mut().for_each(fit),
        _ => {}
    }
}

/// Text that fits a narrow column: invisible places to break in what has none, no control characters, not too long.
/// RFC 3339 times lose their fraction.
fn breakable(text: &str) -> String {
    let text = instant(text).unwrap_or_else(|| text.to_owned());
    let mut fit = String::with_capacity(text.len() + 8);
    let mut unbroken = 0;
    for c in text.chars().take(TEXT_MAX) {
        let c = if c.is_control() && c != '\n' { ' ' } else { c };
        unbroken = if c.is_whitespace() { 0 } else { unbroken + 1 };
        if unbroken > UNBROKEN_MAX {
            fit.push('\u{200b}');
            unbroken = 1;
        }
        fit.push(c);
    }
    if text.chars().count() > TEXT_MAX {
        fit.push('\u{2026}');
    }
    fit
}

/// A time in RFC 3339, as reports show it.
fn instant(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let shape = (20..=27).contains(&bytes.len())
        && bytes.ends_with(b"Z")
        && bytes[10] == b'T'
        && [4, 7].iter().all(|at| bytes[*at] == b'-')
        && [13, 16].iter().all(|at| bytes[*at] == b':')
        && text.is_ascii();
    shape.then(|| format!("{} {} UTC", &text[..10], &text[11..19]))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::correlate::tests::incident as sample;
    use crate::report::{Sources, report};
    use crate::sla::SlaPolicy;

    const SHEET: Sheet<'static> =
        Sheet { language: Language::En, tenant: "Main", author: "ann", now: Micros(1_767_225_600_000_000) };

    /// What typst would do with it, if it read it as its own.
    const HOSTILE: &str = "#panic(\"evaluated\") #read(\"/etc/passwd\") $x^2$ *b* _i_ `c` @ref <label> [x] \\ // /* = h\n= head\n#import \"a\"";

    fn hostile_report() -> Report {
        let start = Micros::from_secs(1_767_225_600);
        let mut one = sample(7, start);
        one.title = HOSTILE.into();
        one.summary = HOSTILE.into();
        one.tags = vec![HOSTILE.into()];
        let names = BTreeMap::new();
        let mut made = report(&Sources {
            incident: &one,
            alerts: &[],
            timeline: &[],
            entities: &[],
            tasks: &[],
            evidence: &[],
            names: &names,
            policy: &SlaPolicy::default(),
            now: start,
            author: HOSTILE,
        });
        made.timeline = vec![["2026-01-01T00:00:00.123456Z".into(), "note".into(), HOSTILE.into(), HOSTILE.into()]; 90];
        made.alerts = vec![["t".into(), "high".into(), HOSTILE.into(), "a".repeat(900), HOSTILE.into()]];
        made.entities = vec![["ip".into(), HOSTILE.into(), "source".into(), "\0\u{1b}[2J".into()]];
        made
    }

    #[test]
    fn hostile_text_is_shown_and_not_evaluated() {
        let sheet = Sheet { tenant: HOSTILE, author: HOSTILE, ..SHEET };
        for language in Language::ALL {
            let sheet = Sheet { language: *language, ..sheet };
            let pdf = incident(&hostile_report(), Severity::High, "new", &sheet).unwrap();
            assert!(pdf.starts_with(b"%PDF-"), "{language}");
        }
        // Were it evaluated, it would fail: so it fails as a template.
        assert!(world::render(HOSTILE, &json!({})).is_err());
    }

    #[test]
    fn marks_of_markdown_are_understood() {
        let mut plain = hostile_report();
        (plain.timeline, plain.alerts, plain.entities) = (Vec::new(), Vec::new(), Vec::new());
        plain.summary = "one two".into();
        let mut marked = plain.clone();
        marked.summary = "# What\n- **one** and `two`\n- [there](https://example.org)\n\n7. seven\n> said\n```\nlet a = 1;\n```\n                          9999999999999. much"
            .into();
        let size = |report: &Report| incident(report, Severity::Low, "new", &SHEET).unwrap().len();
        assert!(size(&marked) > size(&plain), "bold and monospaced letters are in it");
    }

    #[test]
    fn long_and_empty_reports_are_made() {
        let long = incident(&hostile_report(), Severity::High, "new", &SHEET).unwrap();
        let empty = summary(&Summary::default(), &SHEET).unwrap();
        assert!(long.len() > empty.len(), "{} and {}", long.len(), empty.len());
        assert!(alerts(&[], "all", false, &SHEET).unwrap().starts_with(b"%PDF-"));
        let full = Summary {
            from: "a".into(),
            to: "b".into(),
            figures: vec![("alerts".into(), "7".into()); 4],
            severities: bars(|severity| u64::from(severity.id()), Language::De),
            days: (0..30).map(|day| Span { label: day.to_string(), counts: [day, 1, 0, 2, day % 3] }).collect(),
            rules: vec![["Scan".into(), "high".into(), "7".into()]],
            entities: vec![Bar { id: String::new(), name: HOSTILE.into(), count: 0 }],
            incidents: vec![["1".into(), HOSTILE.into(), "low".into(), "new".into(), "now".into()]],
        };
        assert!(summary(&full, &SHEET).unwrap().len() > empty.len());
    }

    #[test]
    fn texts_are_made_to_fit() {
        assert_eq!(breakable("2026-01-01T00:00:00.123456Z"), "2026-01-01 00:00:00 UTC");
        assert_eq!(breakable("2026-01-01X00:00:00Z").replace('\u{200b}', ""), "2026-01-01X00:00:00Z");
        assert_eq!(breakable(&"a".repeat(45)).matches('\u{200b}').count(), 2);
        assert_eq!(breakable("a\0b\tc\nd"), "a b c\nd");
        assert!(breakable(&"a ".repeat(TEXT_MAX)).ends_with('\u{2026}'));
    }
}
