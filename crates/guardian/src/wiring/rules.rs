//! Rules: the shipped ones into the catalog, the catalog's into detection, and checks without a server.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use guardian_catalog::{Actor, Catalog, RuleDraft, RuleException, RuleOrigin};
use guardian_model::{AlertState, Batch, TenantId};
use guardian_pipeline::capture_file::{EXPORT_PORTS, Survey};
use guardian_pipeline::replay::{ReplayProgress, ReplayRequest, Speed};
use guardian_pipeline::{AlertSink, SpineDeps, TenantRules};
use guardian_rules::{Exception, IssueLevel, RuleSet};
use serde_json::{Value, json};

use crate::config::Config;

/// What a check found.
pub(crate) struct Checked {
    pub(crate) rules: usize,
    pub(crate) issues: Vec<CheckedIssue>,
}

/// One thing to mend.
pub(crate) struct CheckedIssue {
    pub(crate) line: usize,
    pub(crate) message: String,
    pub(crate) help: String,
    pub(crate) is_error: bool,
}

/// Checks rule text: syntax, fields, and whether each rule can fire at all.
pub(crate) fn check(text: &str) -> Checked {
    let parsed = guardian_rules::parse(text);
    let mut issues = parsed.issues;
    let (set, more) = RuleSet::compile(parsed.documents);
    issues.extend(more);
    let issues = issues.into_iter().map(|issue| CheckedIssue {
        line: issue.line,
        is_error: issue.level == IssueLevel::Error,
        message: issue.message,
        help: issue.help,
    });
    Checked { rules: set.rules().len(), issues: issues.collect() }
}

/// Puts the shipped rules into the catalog of every tenant; what somebody changed there stays.
pub(super) async fn sync_shipped(catalog: &Catalog) -> Result<()> {
    for tenant in catalog.system().tenants().await? {
        let mut tx = catalog.system().begin(tenant.id, Actor::system("rules")).await?;
        for shipped in guardian_detect::shipped::ALL {
            let Some(draft) = draft(shipped.text, RuleOrigin::Shipped) else {
                tracing::error!(rule = shipped.path, "a shipped rule does not parse");
                continue;
            };
            tx.put_rule(&draft).await?;
        }
        tx.commit().await?;
    }
    Ok(())
}

/// The catalog row of a rule text: named by the document that raises the alert, which is the last one.
pub(crate) fn draft(source: &str, origin: RuleOrigin) -> Option<RuleDraft> {
    let parsed = guardian_rules::parse(source);
    let main = parsed.documents.last()?;
    Some(RuleDraft {
        rule_id: main.id.clone(),
        title: main.title.clone(),
        level: main.level.to_string(),
        origin,
        source: source.to_owned(),
        hash: main.hash.clone(),
        comment: None,
        enabled: true,
    })
}

/// Compiles the enabled rules of every tenant.
pub(super) async fn load(catalog: &Catalog) -> Result<TenantRules> {
    let mut rules = TenantRules { by_tenant: hashbrown::HashMap::new(), shipped: shipped() };
    let everything = catalog.system().everything().await?;
    for tenant in everything.tenants() {
        let sources = catalog.scoped(&everything).rule_sources(*tenant).await?;
        let exceptions = catalog.scoped(&everything).rule_exceptions(*tenant, None).await?;
        let enabled = sources.iter().filter(|s| s.rule.enabled);
        let set = compile(enabled.map(|s| s.source.as_str()));
        rules.by_tenant.insert(*tenant, Arc::new(except(set, &exceptions)));
    }
    Ok(rules)
}

/// The rules with the exceptions that hold for one of them or for a detector.
fn except(set: RuleSet, exceptions: &[RuleException]) -> RuleSet {
    let detector = |id: &str| guardian_detect::detectors::ALL.iter().any(|d| d.id == id);
    let wanted: Vec<Exception> = exceptions
        .iter()
        .filter(|e| e.draft.enabled)
        .filter(|e| detector(&e.rule_id) || set.rules().iter().any(|r| r.document.id == e.rule_id))
        .filter_map(|e| match guardian_api::exception(e) {
            Ok(exception) => Some(exception),
            Err(problem) => {
                tracing::warn!(rule = e.rule_id, exception = %e.id, problem, "an exception cannot work as written");
                None
            }
        })
        .collect();
    let (set, wrong) = set.with_exceptions(wanted);
    for (id, problem) in wrong {
        tracing::warn!(exception = %uuid::Uuid::from_u128(id), problem, "an exception cannot work as written");
    }
    set
}

fn compile<'a>(texts: impl Iterator<Item = &'a str>) -> RuleSet {
    let mut documents = Vec::new();
    for text in texts {
        documents.extend(guardian_rules::parse(text).documents);
    }
    let (set, issues) = RuleSet::compile(documents);
    for issue in issues {
        tracing::warn!(rule = issue.rule, issue.message, issue.help, "a rule cannot work as written");
    }
    set
}

/// The shipped rules, compiled.
pub(super) fn shipped() -> Arc<RuleSet> {
    Arc::new(compile(guardian_detect::shipped::ALL.iter().map(|s| s.text)))
}

/// The shipped rules in the form of the API's list.
pub(crate) fn shipped_list() -> Value {
    let set = shipped();
    let items = set.rules().iter().filter(|r| r.alerts).map(|r| {
        json!({
            "id": r.document.id, "title": r.document.title, "severity": r.document.level.as_str(),
            "enabled": true, "origin": "shipped",
        })
    });
    json!({"items": items.collect::<Vec<_>>()})
}

/// Collects alerts in memory, for tests of rules.
#[derive(Default)]
struct Collected(parking_lot::Mutex<std::collections::BTreeMap<guardian_model::AlertKey, AlertState>>);

impl AlertSink for Collected {
    fn publish(&self, findings: Vec<guardian_model::Finding>, updates: Vec<AlertState>) {
        let mut alerts = self.0.lock();
        for state in findings.into_iter().map(|f| f.alert).chain(updates) {
            alerts.insert(state.key, state);
        }
    }
}

/// Numbers batches and forgets them, for tests of rules.
#[derive(Default)]
struct Forgetful(std::sync::atomic::AtomicU64);

impl guardian_pipeline::Store for Forgetful {
    fn append(&self, _: &Batch, _: Option<u64>) -> Result<u64, guardian_pipeline::StoreError> {
        Ok(self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
    }
    fn append_once(
        &self,
        batch: &Batch,
        _: &guardian_model::Origin,
    ) -> Result<(u64, bool), guardian_pipeline::StoreError> {
        self.append(batch, None).map(|id| (id, true))
    }

    fn wait_durable(&self, _: u64) -> Result<(), guardian_pipeline::StoreError> {
        Ok(())
    }
    fn replay_from(
        &self,
        _: u64,
    ) -> Box<dyn Iterator<Item = Result<(u64, Batch), guardian_pipeline::StoreError>> + '_> {
        Box::new(std::iter::empty())
    }
    fn last_mark(&self) -> Option<u64> {
        None
    }
    fn hold_from(&self, _: u64) {}
}

/// Runs rules over a capture, through the same pipeline as live traffic, and returns the alerts, worst first.
pub(crate) fn test(config: &Config, rules: Option<&[(PathBuf, String)]>, capture: &Path) -> Result<Vec<AlertState>> {
    let set = match rules {
        None => shipped(),
        Some(files) => Arc::new(compile(files.iter().map(|(_, text)| text.as_str()))),
    };
    let metrics = guardian_kit::metrics::Metrics::new();
    let (intel, _) = guardian_intel::Intel::open(&config.enrich, &metrics)?;
    let alerts = Arc::new(Collected::default());
    let clock: Arc<dyn guardian_kit::clock::Clock> = Arc::new(guardian_kit::clock::SystemClock::new());
    let state = tempfile_dir()?;
    let tenant_rules = TenantRules { by_tenant: hashbrown::HashMap::new(), shipped: set };
    let spine = guardian_pipeline::Spine::start(SpineDeps {
        store: Arc::new(Forgetful::default()),
        alerts: Arc::clone(&alerts) as Arc<dyn AlertSink>,
        rules: Arc::new(arc_swap::ArcSwap::from_pointee(tenant_rules)),
        clock: Arc::clone(&clock),
        metrics,
        state: guardian_pipeline::StateDir::open(state.as_path())?,
        detect: config.detect.clone(),
        owners: Arc::default(),
    })?;
    let replayer = guardian_pipeline::replay::Replayer {
        enrich: Arc::new(super::store::Enrichment(intel)),
        spine: spine.input(),
        clock,
        meter: config.collect.meter(),
    };
    let open = || std::fs::File::open(capture).with_context(|| format!("cannot open {}", capture.display()));
    let survey = Survey::of(std::io::BufReader::new(open()?), &EXPORT_PORTS)?;
    let name = capture.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    let mut request = ReplayRequest::new(&name, TenantId::DEFAULT, Speed::Max, &survey);
    request.original_time = true;
    let file = open()?;
    let summary = replayer.run(&request, std::io::BufReader::new(file), &ReplayProgress::default());
    spine.stop();
    std::fs::remove_dir_all(&state).ok();
    for issue in &summary.issues {
        crate::output::note(&format!("{}: {issue}", capture.display()));
    }
    let mut found: Vec<_> = alerts.0.lock().values().cloned().collect();
    found.sort_by(|a, b| (b.rule.severity, &a.rule.title).cmp(&(a.rule.severity, &b.rule.title)));
    Ok(found)
}

fn tempfile_dir() -> Result<PathBuf> {
    let dir = std::env::temp_dir().join(format!("guardian-rules-{}", uuid::Uuid::now_v7()));
    std::fs::create_dir(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    Ok(dir)
}
