//! AIDE's report (`report_format=plain`): which files it says were added, removed or changed, and in what.

use crate::text::{clip, lines};
use crate::{Found, Malformed};

/// What a report lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Path.
    pub path: String,
    /// What happened to it: `added`, `removed` or `changed`.
    pub what: &'static str,
    /// AIDE's letters of what it is and what differs, such as `f >....amc..H.. . `.
    pub letters: String,
    /// What differs: name, before, after, as the report writes them; empty where it has no details.
    pub details: Vec<(String, String, String)>,
}

/// A report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// When AIDE was started, as the report writes it.
    pub started: String,
    /// AIDE's version.
    pub version: String,
    /// What it lists.
    pub listed: Found<Listed>,
}

/// Length of AIDE's column of letters, with the mark of the type in front.
const LETTERS_MAX: usize = 24;
/// Details of one file that are kept.
const DETAILS_MAX: usize = 64;

/// Reads a report.
pub fn report(text: &[u8]) -> Result<Report, Malformed> {
    let mut report = Report::default();
    let mut section = "";
    // The file whose details come, and whether the last of them goes on.
    let mut detailed: Option<usize> = None;
    for (number, line) in lines(text) {
        if let Some(rest) = line.strip_prefix("Start timestamp: ") {
            let (at, version) = rest.split_once(" (").unwrap_or((rest, ""));
            (report.started, report.version) =
                (clip(at), clip(version.trim_end_matches(')').trim_start_matches("AIDE ")));
            continue;
        }
        match line.as_ref() {
            "Added entries:" => section = "added",
            "Removed entries:" => section = "removed",
            "Changed entries:" => section = "changed",
            "Detailed information about changes:" => section = "details",
            "The attributes of the (uncompressed) database(s):" => section = "",
            "" => {}
            line if line.starts_with("-----") => {}
            line if section == "details" => details(&mut report, &mut detailed, line),
            line if !section.is_empty() => match line
                .split_once(": ")
                .filter(|(letters, path)| letters.len() <= LETTERS_MAX && path.starts_with('/'))
            {
                Some((letters, path)) => report.listed.push(Listed {
                    path: clip(path),
                    what: section,
                    letters: clip(letters),
                    details: Vec::new(),
                }),
                None => report.listed.issue(number, "neither letters nor a path"),
            },
            _ => {}
        }
    }
    if report.version.is_empty() {
        return Err(Malformed { format: "an AIDE report", what: "it does not say which AIDE wrote it" });
    }
    Ok(report)
}

fn details(report: &mut Report, detailed: &mut Option<usize>, line: &str) {
    let listed = &mut report.listed.entries;
    if !line.starts_with(' ') {
        let path = line.split_once(": ").map_or("", |(_, path)| path);
        // They come in the order in which the changed files are listed.
        let from = detailed.map_or(0, |at| at + 1);
        let after = |at: &usize| listed.get(*at).is_some_and(|one| one.path == path);
        *detailed = (from..listed.len()).find(after).or_else(|| (0..from.min(listed.len())).find(after)).or(*detailed);
        return;
    }
    let Some(one) = detailed.and_then(|at| listed.get_mut(at)) else { return };
    let (left, after) = line.split_once('|').unwrap_or((line, ""));
    if let Some((name, before)) = left.split_once(" : ")
        && !left.starts_with("  ")
    {
        if one.details.len() < DETAILS_MAX {
            one.details.push((clip(name.trim()), clip(before.trim()), clip(after.trim())));
        }
    } else if let Some((_, before, now)) = one.details.last_mut() {
        // Long digests go on in the next line.
        if before.len() + now.len() < crate::limits::TEXT_BYTES_MAX {
            before.push_str(&clip(left.trim()));
            now.push_str(&clip(after.trim()));
        }
    }
}
