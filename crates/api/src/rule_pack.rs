//! Packs of rules: many YAML texts in a zip or side by side, and what can be stored of them. Everything is looked at
//! together, because a correlation may refer to a rule in another file. Pure but for the memory it needs, which is
//! bounded.

use std::io::{Cursor, Write as _};
use std::path::Path;

use guardian_kit::capped::read_capped;
use guardian_rules::{Document, Issue, IssueLevel, RuleSet};
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

/// Files of a pack.
pub(crate) const FILES_MAX: usize = 10_000;
/// Bytes of all files of a pack together, unpacked.
const BYTES_MAX: u64 = 64 << 20;
/// The file of a pack that holds exceptions.
const EXCEPTIONS: &str = "exceptions.yml";

/// A file of a pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PackFile {
    pub(crate) name: String,
    pub(crate) text: String,
}

/// An exception as packs carry it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PackException {
    /// Sigma id of the rule, or id of the detector.
    pub(crate) rule: String,
    pub(crate) filter: String,
    pub(crate) reason: String,
    #[serde(default)]
    pub(crate) expires: Option<String>,
    #[serde(default = "enabled")]
    pub(crate) enabled: bool,
}

fn enabled() -> bool {
    true
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExceptionFile {
    exceptions: Vec<PackException>,
}

/// Whether a file of a pack is to be looked at: YAML, and no fixture, which lies beside rules and is none.
pub(crate) fn is_rule_file(name: &str) -> bool {
    let path = Path::new(name);
    let yaml = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("yml") || e.eq_ignore_ascii_case("yaml"));
    let hidden =
        |part: &str| part == "fixtures" || part == "__MACOSX" || (part.starts_with('.') && part != "." && part != "..");
    yaml && !path.components().any(|c| c.as_os_str().to_str().is_none_or(hidden))
}

/// Whether the file holds exceptions.
pub(crate) fn is_exceptions(name: &str) -> bool {
    Path::new(name).file_name().is_some_and(|n| n == EXCEPTIONS)
}

/// The rule files of a zip.
pub(crate) fn unzip(bytes: &[u8]) -> Result<Vec<PackFile>, String> {
    let wrong = |e: &dyn std::fmt::Display| format!("the archive cannot be read: {e}");
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|e| wrong(&e))?;
    if archive.len() > FILES_MAX {
        return Err(format!("an archive has at most {FILES_MAX} files"));
    }
    let (mut files, mut left) = (Vec::new(), BYTES_MAX);
    for at in 0..archive.len() {
        let mut entry = archive.by_index(at).map_err(|e| wrong(&e))?;
        let name = entry.name().map_err(|e| wrong(&e))?.into_owned();
        if entry.is_dir() || !is_rule_file(&name) {
            continue;
        }
        let text = read_capped(&mut entry, left).map_err(|e| format!("`{name}`: {e}"))?;
        left -= text.len() as u64;
        files.push(PackFile { name, text: String::from_utf8_lossy(&text).into_owned() });
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

/// A zip of files. The same files make the same bytes.
pub(crate) fn zip(files: &[PackFile]) -> Result<Vec<u8>, String> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for file in files {
        writer.start_file(&file.name, SimpleFileOptions::default()).map_err(|e| e.to_string())?;
        writer.write_all(file.text.as_bytes()).map_err(|e| e.to_string())?;
    }
    writer.finish().map(Cursor::into_inner).map_err(|e| e.to_string())
}

/// The file that holds these exceptions; YAML, in which JSON's quoted text is at home.
pub(crate) fn exceptions_file(exceptions: &[PackException]) -> PackFile {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let mut lines = vec!["exceptions:".to_owned()];
    for e in exceptions {
        lines.push(format!("  - rule: {}", quoted(&e.rule)));
        lines.push(format!("    filter: {}", quoted(&e.filter)));
        lines.push(format!("    reason: {}", quoted(&e.reason)));
        lines.extend(e.expires.as_ref().map(|end| format!("    expires: {}", quoted(end))));
        lines.push(format!("    enabled: {}", e.enabled));
    }
    PackFile { name: EXCEPTIONS.into(), text: lines.join("\n") + "\n" }
}

/// The exceptions of such a file.
pub(crate) fn read_exceptions(text: &str) -> Result<Vec<PackException>, String> {
    serde_saphyr::from_str::<ExceptionFile>(text).map(|f| f.exceptions).map_err(|e| e.to_string())
}

/// A rule that a pack holds.
#[derive(Clone, Debug)]
pub(crate) struct PackRule {
    /// Position of its file.
    pub(crate) file: usize,
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) level: String,
    pub(crate) hash: String,
    pub(crate) source: String,
    /// Whether it can be stored: it has no errors.
    pub(crate) fine: bool,
}

/// What a pack holds and what is wrong with it.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    pub(crate) rules: Vec<PackRule>,
    /// With the position of the file.
    pub(crate) issues: Vec<(usize, Issue)>,
}

/// Checks the files together with the rules that are there already and stay as they are.
pub(crate) fn check(files: &[PackFile], present: &[(String, String)]) -> Checked {
    let mut out = Checked::default();
    let mut documents = Vec::new();
    // The documents that make each rule, by id.
    let mut made_of: Vec<Vec<String>> = Vec::new();
    let mut owners: HashMap<String, usize> = HashMap::new();
    for (at, file) in files.iter().enumerate().filter(|(_, f)| !is_exceptions(&f.name)) {
        let parsed = guardian_rules::parse(&file.text);
        let broken = parsed.issues.iter().any(|i| i.level == IssueLevel::Error);
        out.issues.extend(parsed.issues.into_iter().map(|issue| (at, issue)));
        if parsed.documents.is_empty() {
            continue;
        }
        for document in &parsed.documents {
            owners.entry(document.id.clone()).or_insert(at);
        }
        let together = parsed.documents.iter().any(|d| d.correlation().is_some());
        let mut put = |main: &Document, source: &str, parts: Vec<String>| {
            made_of.push(parts);
            out.rules.push(PackRule {
                file: at,
                id: main.id.clone(),
                title: main.title.clone(),
                level: main.level.to_string(),
                hash: main.hash.clone(),
                source: source.to_owned(),
                fine: !broken,
            });
        };
        if let Some(last) = parsed.documents.last().filter(|_| together || parsed.documents.len() == 1) {
            put(last, &file.text, parsed.documents.iter().map(|d| d.id.clone()).collect());
        } else {
            for document in &parsed.documents {
                put(document, &document.source, vec![document.id.clone()]);
            }
        }
        documents.extend(parsed.documents);
    }
    let replaced = |id: &str| out.rules.iter().any(|rule| rule.id == id);
    let mut all = Vec::new();
    for (_, source) in present.iter().filter(|(id, _)| !replaced(id)) {
        all.extend(guardian_rules::parse(source).documents);
    }
    all.extend(documents);
    let (_, issues) = RuleSet::compile(all);
    for issue in issues {
        let Some(id) = issue.rule.clone() else { continue };
        if let Some(at) = owners.get(&id) {
            if issue.level == IssueLevel::Error {
                for (rule, _) in out.rules.iter_mut().zip(&made_of).filter(|(_, parts)| parts.contains(&id)) {
                    rule.fine = false;
                }
            }
            out.issues.push((*at, issue));
        }
    }
    out
}

/// A name for a rule's file: its title in letters and digits.
pub(crate) fn file_name(title: &str, taken: &mut HashMap<String, usize>) -> String {
    let mut slug = String::new();
    for c in title.chars().take(80) {
        if c.is_ascii_alphanumeric() {
            slug.push(c.to_ascii_lowercase());
        } else if !slug.ends_with('-') && !slug.is_empty() {
            slug.push('-');
        }
    }
    let slug = slug.trim_end_matches('-');
    let slug = if slug.is_empty() { "rule" } else { slug };
    let count = taken.entry(slug.to_owned()).or_default();
    *count += 1;
    if *count == 1 { format!("rules/{slug}.yml") } else { format!("rules/{slug}--{count}.yml") }
}

#[cfg(test)]
mod tests {
    use hashbrown::HashMap;

    use super::{
        PackException, PackFile, check, exceptions_file, file_name, is_rule_file, read_exceptions, unzip, zip,
    };

    const PLAIN: &str = "title: Plain\nid: p1\nlogsource: {category: firewall}\n\
                         detection: {s: {dst_port: 22}, condition: s}\n";

    fn file(name: &str, text: &str) -> PackFile {
        PackFile { name: name.into(), text: text.into() }
    }

    #[test]
    fn what_goes_in_comes_out() {
        let files =
            [file("a.yml", PLAIN), file("b/c.yaml", "x"), file("notes.txt", "no"), file("b/fixtures/p.yml", "no")];
        let packed = zip(&files).unwrap();
        assert_eq!(packed, zip(&files).unwrap(), "the same bytes each time");
        assert_eq!(unzip(&packed).unwrap(), files[..2]);
        assert!(unzip(b"PK no zip").unwrap_err().contains("cannot be read"));
        assert!(
            !is_rule_file("__MACOSX/a.yml")
                && !is_rule_file(".git/a.yml")
                && is_rule_file("A.YML")
                && is_rule_file("./../a.yml")
        );
    }

    #[test]
    fn exceptions_survive_the_journey() {
        let one = PackException {
            rule: "r".into(),
            filter: "dst_as_org = \"A: #b\" and src_ip = 10.0.0.1".into(),
            reason: "it's \"fine\"\nsaid\tAnn \u{1f642}".into(),
            expires: Some("2030-01-01T00:00:00Z".into()),
            enabled: false,
        };
        let two = PackException { expires: None, enabled: true, ..one.clone() };
        let text = exceptions_file(&[one.clone(), two.clone()]).text;
        assert_eq!(read_exceptions(&text).unwrap(), [one, two], "{text}");
        assert!(read_exceptions("exceptions: [{rule: r}]").is_err());
    }

    #[test]
    fn files_are_checked_together() {
        let correlation = "title: Many\nid: c1\ncorrelation: {type: event_count, rules: [p1], group-by: [src_ip], \
                           timespan: 1m, condition: {gte: 9}}\n";
        let both = [file("a.yml", correlation), file("b.yml", PLAIN)];
        let checked = check(&both, &[]);
        assert!(checked.rules.iter().all(|r| r.fine) && checked.issues.is_empty(), "{checked:?}");
        let alone = check(&both[..1], &[]);
        assert!(!alone.rules[0].fine && alone.issues[0].1.message.contains("p1"));
        assert!(check(&both[..1], &[("p1".into(), PLAIN.into())]).rules[0].fine, "what is here already counts");
    }

    #[test]
    fn rules_of_one_file_are_kept_apart_unless_one_counts_the_others() {
        let two = format!("{PLAIN}---\n{}", PLAIN.replace("p1", "p2"));
        let checked = check(&[file("a.yml", &two)], &[]);
        assert_eq!(checked.rules.iter().map(|r| r.id.as_str()).collect::<Vec<_>>(), ["p1", "p2"]);
        assert!(!checked.rules[0].source.contains("p2"));
        let wrong = format!("{two}---\n{}", PLAIN.replace("p1", "p3").replace("dst_port", "nothing"));
        let checked = check(&[file("a.yml", &wrong)], &[]);
        assert_eq!(checked.rules.iter().map(|r| r.fine).collect::<Vec<_>>(), [true, true, false]);
        assert!(checked.issues.iter().any(|(_, i)| i.message.contains("nothing")), "{checked:?}");
    }

    #[test]
    fn names_are_plain_and_differ() {
        let mut taken = HashMap::new();
        let names = ["SSH: brute force!", "../../etc/passwd", "\u{e4}\u{f6}", "SSH brute force"];
        let names: Vec<_> = names.iter().map(|n| file_name(n, &mut taken)).collect();
        assert_eq!(
            names,
            ["rules/ssh-brute-force.yml", "rules/etc-passwd.yml", "rules/rule.yml", "rules/ssh-brute-force--2.yml"]
        );
    }
}
