//! JUnit's XML, as servers of continuous integration read it: a suite of every package with findings, a failed case a finding.

use std::collections::BTreeMap;

use super::{Entry, Report};

/// The report as JUnit's XML.
pub fn junit(report: &Report) -> String {
    let mut suites: BTreeMap<(&str, &str, &str), Vec<&Entry>> = BTreeMap::new();
    for entry in &report.findings {
        suites.entry((&entry.ecosystem, &entry.package, &entry.installed)).or_default().push(entry);
    }
    let (found, left_out) = (report.findings.len(), report.suppressed.len());
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"guardian scan\" tests=\"{}\" failures=\"{found}\" \
         skipped=\"{left_out}\">\n",
        found + left_out
    );
    for ((ecosystem, package, version), entries) in suites {
        let name = escaped(&format!("{ecosystem} {package} {version}"));
        let count = entries.len();
        out.push_str(&format!("<testsuite name=\"{name}\" tests=\"{count}\" failures=\"{count}\">\n"));
        for entry in entries {
            let finding = &entry.finding;
            out.push_str(&format!(
                "<testcase classname=\"{name}\" name=\"{}\"><failure type=\"{}\" message=\"{}\">{}</failure></testcase>\n",
                escaped(&finding.vulnerability),
                finding.rating.name(),
                escaped(&format!("{}: {}", finding.rating.name(), finding.summary)),
                escaped(&format!("Fix: {}\nWhere: {}", entry.remedy(), entry.places.join(", ")))
            ));
        }
        out.push_str("</testsuite>\n");
    }
    if left_out > 0 {
        out.push_str(&format!("<testsuite name=\"left out\" tests=\"{left_out}\" skipped=\"{left_out}\">\n"));
        for suppressed in &report.suppressed {
            let entry = &suppressed.entry;
            out.push_str(&format!(
                "<testcase classname=\"{}\" name=\"{}\"><skipped message=\"{}\"/></testcase>\n",
                escaped(&format!("{} {} {}", entry.ecosystem, entry.package, entry.installed)),
                escaped(&entry.finding.vulnerability),
                escaped(&suppressed.reason)
            ));
        }
        out.push_str("</testsuite>\n");
    }
    out.push_str("</testsuites>");
    out
}

fn escaped(text: &str) -> String {
    // XML 1.0 has no place for other control characters.
    let plain: String = text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect();
    quick_xml::escape::escape(plain.as_str()).into_owned()
}
