//! Walks all rule folders and all detectors and runs every fixture in both shapes of flow records. A positive fixture
//! must raise alerts of its own rules and of no other; a negative one must raise none of its own rules.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use guardian_detect::fixture::{self, Shape};
use guardian_detect::{DetectConfig, detectors, harness, shipped};
use guardian_model::{Severity, TenantId};
use guardian_rules::{CompiledRule, RuleSet, parse};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// (name, text) of the fixtures in a folder, sorted.
fn fixtures(folder: &Path) -> Vec<(String, String)> {
    let mut found: Vec<_> = std::fs::read_dir(folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(&path).unwrap()))
        .collect();
    found.sort();
    for kind in ["positive", "negative"] {
        assert!(found.iter().any(|(name, _)| name.starts_with(kind)), "{}: no {kind} fixture", folder.display());
    }
    found
}

fn rules() -> Arc<RuleSet> {
    let (rules, issues) = RuleSet::compile(shipped());
    assert!(issues.is_empty(), "{issues:?}");
    Arc::new(rules)
}

/// Runs the fixtures of one folder; `own` are the ids that belong to it. Returns which of them its positive fixtures raised.
fn check(folder: &Path, own: &BTreeSet<String>, rules: &Arc<RuleSet>, failures: &mut Vec<String>) -> BTreeSet<String> {
    let mut raised = BTreeSet::new();
    for (name, text) in fixtures(folder) {
        let fixture = fixture::parse(&text).unwrap_or_else(|e| panic!("{}/{name}: {e}", folder.display()));
        for shape in Shape::ALL {
            let batches = fixture.batches(TenantId::DEFAULT, shape, 500);
            let outcome = harness::run(DetectConfig::default(), Arc::clone(rules), batches);
            let fired: BTreeSet<String> = outcome.fired().into_iter().map(str::to_owned).collect();
            let wrong: Vec<_> = if name.starts_with("positive") {
                let missing = if fired.is_disjoint(own) { vec!["nothing of its own".to_owned()] } else { Vec::new() };
                raised.extend(fired.intersection(own).cloned());
                fired.difference(own).cloned().chain(missing).collect()
            } else {
                fired.intersection(own).cloned().collect()
            };
            if !wrong.is_empty() {
                let told: Vec<_> = outcome
                    .rules
                    .iter()
                    .flat_map(|r| &r.alerts)
                    .map(|a| format!("{}: {}", a.rule.title, a.summary))
                    .collect();
                failures.push(format!("{}/{name} as {shape:?}: {wrong:?} of {told:#?}", folder.display()));
            }
        }
    }
    raised
}

#[test]
fn every_rule_does_what_its_fixtures_say() {
    let rules = rules();
    let mut failures = Vec::new();
    for rule in shipped::ALL {
        let own = parse(rule.text).documents.iter().map(|d| d.id.clone()).collect();
        let raised = check(&repository().join("rules").join(rule.path).join("fixtures"), &own, &rules, &mut failures);
        let tells = |r: &&CompiledRule| {
            let d = &r.document;
            r.alerts && d.level > Severity::Informational && own.contains(&d.id) && !raised.contains(&d.id)
        };
        failures.extend(
            rules.rules().iter().filter(tells).map(|r| format!("{}: nothing raises {}", rule.path, r.document.title)),
        );
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_detector_does_what_its_fixtures_say() {
    let rules = rules();
    let mut failures = Vec::new();
    for detector in detectors::ALL {
        let name = detector.id.strip_prefix("guardian.").unwrap();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name);
        check(&folder, &BTreeSet::from([detector.id.to_owned()]), &rules, &mut failures);
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn the_list_of_shipped_rules_is_the_folder() {
    let root = repository().join("rules");
    let mut found = Vec::new();
    for group in std::fs::read_dir(&root).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir()) {
        for rule in std::fs::read_dir(&group).unwrap().map(|e| e.unwrap().path()) {
            assert!(rule.join("rule.yml").is_file(), "{}: no rule.yml", rule.display());
            found.push(rule.strip_prefix(&root).unwrap().to_string_lossy().into_owned());
        }
    }
    found.sort();
    let listed: Vec<_> = shipped::ALL.iter().map(|r| r.path).collect();
    assert_eq!(listed, found);
}

#[test]
fn every_shipped_rule_says_what_an_analyst_needs() {
    let mut ids = BTreeSet::new();
    for rule in shipped::ALL {
        let parsed = parse(rule.text);
        assert!(parsed.issues.is_empty(), "{}: {:?}", rule.path, parsed.issues);
        let (set, issues) = RuleSet::compile(parsed.documents);
        assert!(issues.is_empty(), "{}: {issues:?}", rule.path);
        for compiled in set.rules() {
            let d = &compiled.document;
            assert!(ids.insert(d.id.clone()), "{}: the id {} is taken", rule.path, d.id);
            assert!(!d.description.is_empty() && d.author == "Guardian", "{}: {}", rule.path, d.title);
            if compiled.alerts {
                // What only informs tells of no attack, as a test alert does: a technique would be untrue.
                let informs = d.level == Severity::Informational && d.tags.is_empty();
                let attack = d.level > Severity::Informational && d.tags.iter().any(|t| t.starts_with("attack.t"));
                let complete = (attack || informs || rule.path.starts_with("test/"))
                    && !d.references.is_empty()
                    && !d.falsepositives.is_empty()
                    && !d.extension.next_steps.is_empty()
                    && d.extension.summary.is_some()
                    && d.extension.entity.is_some();
                assert!(
                    complete,
                    "{}: {} lacks level, tags, references, false positives or guidance",
                    rule.path, d.title
                );
            }
        }
    }
    for detector in detectors::ALL {
        assert!(ids.insert(detector.id.to_owned()), "{}", detector.id);
        assert!(detector.tags.iter().any(|t| t.starts_with("attack.t")) && !detector.next_steps.is_empty());
    }
}
