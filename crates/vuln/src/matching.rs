//! Which vulnerabilities an installed package has, and why one thinks so.
//!
//! For a package of a distribution, the distribution's word decides: what it has fixed by a backport is fixed, what it says
//! it never had it does not have, and no other database is asked. For a package of a language everything is asked that
//! speaks of its registry, and one affirmation is enough; where a file belongs to a distribution's package, that one is
//! judged instead. Nothing is guessed from product names (CPE).
//!
//! Pure: a store and a package in, findings out.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use guardian_inventory::version::Scheme;
use serde::Serialize;

use crate::advisory::{End, Exploitation, Of, Statement, Status};
use crate::cvss::{Rating, Vector};
use crate::ecosystem::Ecosystem;
use crate::store::{AdvisoryRef, CveRef, EndRef, StatementRef, Store};

/// A package as it is installed, or as a lock file names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Component {
    /// Whose package.
    pub ecosystem: Ecosystem,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The source package it was built from; empty where it is of the same name.
    pub source: String,
    /// The version of that; empty where it is the same.
    pub source_version: String,
    /// The module it belongs to, such as `nodejs:18`; empty outside of one or where nobody knows.
    pub module: String,
}

impl Component {
    /// A package that is its own source.
    pub fn new(ecosystem: Ecosystem, name: &str, version: &str) -> Self {
        Self {
            name: ecosystem.name_of(name),
            ecosystem,
            version: version.to_owned(),
            source: String::new(),
            source_version: String::new(),
            module: String::new(),
        }
    }

    /// Name and version of its source.
    fn source(&self) -> (&str, String) {
        let name = if self.source.is_empty() { &self.name } else { &self.source };
        if self.source_version.is_empty() {
            return (name, self.version.clone());
        }
        // rpm's source has no epoch in its name: it is that of what is built from it.
        match (self.ecosystem.scheme(), self.version.split_once(':')) {
            (Scheme::Rpm, Some((epoch, _))) if !self.source_version.contains(':') => {
                (name, format!("{epoch}:{}", self.source_version))
            }
            _ => (name, self.source_version.clone()),
        }
    }
}

/// What one statement says of one version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "verdict")]
pub enum Verdict {
    /// The version has it.
    Affected {
        /// The first version with the fix, where there is one.
        fixed_in: Option<String>,
        /// The range it is in, in words.
        range: String,
    },
    /// The version has the fix.
    Fixed {
        /// Since this one.
        fixed_in: String,
    },
    /// The version is in no range.
    Outside,
    /// The package does not have it.
    NotAffected,
    /// It is said of a module that this package is not of.
    OtherModule,
}

/// A statement and what follows from it: one line of the explanation of a finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// The advisory.
    pub advisory: String,
    /// Its source.
    pub source: String,
    /// Whose package it speaks of.
    pub ecosystem: String,
    /// The package it speaks of, and whether that is a source package.
    pub package: String,
    /// Whether that is a source package.
    pub of_source: bool,
    /// The version that was compared.
    pub version: String,
    /// What the keeper says.
    pub status: Status,
    /// Why, in the keeper's words.
    pub words: String,
    /// What follows.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// Why a package has, or has not, a vulnerability.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// The distribution says that this version has it.
    DistributionAffected,
    /// The distribution says that this version, or a former one, has the fix.
    DistributionFixed,
    /// The distribution says that the package does not have it.
    DistributionNotAffected,
    /// An advisory of the registry says that this version has it.
    RegistryAffected,
    /// No advisory of the registry says so of this version.
    RegistryOutside,
    /// Another scanner says so.
    Imported,
}

/// What is known of one vulnerability in one package.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// Its CVE name, or that of the advisory where it has none.
    pub vulnerability: String,
    /// Its other names.
    pub aliases: Vec<String>,
    /// Whether the package has it.
    pub affected: bool,
    /// What the keeper says.
    pub status: Status,
    /// The rule that decided.
    pub rule: Rule,
    /// Versions with the fix, the lowest first.
    pub fixed_in: Vec<String>,
    /// One line.
    pub summary: String,
    /// How bad.
    pub rating: Rating,
    /// The vector behind it, where there is one.
    pub vector: Option<String>,
    /// Its base score.
    pub score: Option<f64>,
    /// Probability that it is used within 30 days, and percentile (EPSS).
    pub epss: Option<(f32, f32)>,
    /// Day since the epoch on which it came into a catalogue of those that are used.
    pub known_exploited_day: Option<i32>,
    /// Known to be used for ransom.
    pub ransomware: bool,
    /// How far an exploit is (SSVC).
    pub exploitation: Exploitation,
    /// Whether an attack can be automated (SSVC), where anybody says.
    pub automatable: Option<bool>,
    /// Whether the attacker gets all of the software (SSVC), where anybody says.
    pub total_impact: Option<bool>,
    /// When it came out, in seconds since the epoch; 0 where nobody says.
    pub published_s: i64,
    /// Where to read on.
    pub references: Vec<String>,
    /// Every statement that was weighed.
    pub reasons: Vec<Reason>,
}

/// Whether, of two statements of one package in one advisory, the first says more than the second: a fix more than that it
/// has it, the first version with the fix more than a later one.
pub(crate) fn says_more(new: &Statement, old: &Statement) -> bool {
    let fix = |statement: &Statement| match statement.ranges.first().map(|range| &range.end) {
        Some(End::Fixed(version)) => Some(version.clone()),
        _ => None,
    };
    match (fix(new), fix(old)) {
        (Some(new_fix), Some(old_fix)) => new.ecosystem.scheme().compare(&new_fix, &old_fix).is_lt(),
        (new_fix, old_fix) => new_fix.is_some() && old_fix.is_none(),
    }
}

/// What the statement says of the version.
fn verdict(scheme: Scheme, statement: &StatementRef<'_>, version: &str, component: &Component) -> Verdict {
    if !of_module(statement, version, component) {
        return Verdict::OtherModule;
    }
    let not_below = |from: &str| from.is_empty() || scheme.compare(version, from).is_ge();
    let mut ranges = statement.ranges().peekable();
    let has_ranges = ranges.peek().is_some();
    let mut fixed: Option<&str> = None;
    for (from, end) in ranges {
        if !not_below(from) {
            continue;
        }
        let (inside, end_text) = match end {
            EndRef::Open => (true, String::new()),
            EndRef::Fixed(end) => (scheme.compare(version, end).is_lt(), format!(" before {end}")),
            EndRef::LastAffected(end) => (scheme.compare(version, end).is_le(), format!(" up to {end}")),
        };
        if inside {
            let from = if from.is_empty() { "every version".to_owned() } else { format!("from {from}") };
            let fixed_in = match end {
                EndRef::Fixed(end) => Some(end.to_owned()),
                _ => None,
            };
            return match statement.status() {
                Status::NotAffected => Verdict::NotAffected,
                _ => Verdict::Affected { fixed_in, range: format!("{from}{end_text}") },
            };
        }
        if let EndRef::Fixed(end) = end
            && fixed.is_none_or(|known| scheme.compare(end, known).is_gt())
        {
            fixed = Some(end);
        }
    }
    if let Some(fixed) = fixed {
        return Verdict::Fixed { fixed_in: fixed.to_owned() };
    }
    let mut versions = statement.versions().peekable();
    match (statement.status(), has_ranges || versions.peek().is_some()) {
        (Status::NotAffected, false) => Verdict::NotAffected,
        _ if versions.any(|known| scheme.compare(known, version) == Ordering::Equal) => match statement.status() {
            Status::NotAffected => Verdict::NotAffected,
            _ => Verdict::Affected { fixed_in: None, range: format!("the version {version} itself") },
        },
        _ => Verdict::Outside,
    }
}

/// Whether what is said of a module concerns the package. Where the package does not say its module, its version does
/// (`…module+el8…`), and the fix of the same upstream version is of the same stream.
fn of_module(statement: &StatementRef<'_>, version: &str, component: &Component) -> bool {
    let (module, modular) = (statement.module(), version.contains(".module"));
    match (module, component.module.as_str()) {
        ("", "") => true,
        // AlmaLinux and Rocky say nothing of modules but in the version of the fix: one of a module's build concerns packages of
        // modules alone, and of those the same upstream version is of the same stream. What else is said outside of modules
        // does not concern a package of one.
        ("", own) => modular && named_stream(statement, own, component) && same_stream(statement, version, true),
        (_, "") => modular && same_stream(statement, version, false),
        (said, own) => said == own,
    }
}

/// Whether a fix may be of the stream that the package names: the package that a module is called after has the stream's
/// version (`httpd:2.4`); of the others in it the name says nothing.
fn named_stream(statement: &StatementRef<'_>, own: &str, component: &Component) -> bool {
    let Some((module, stream)) = own.split_once(':') else { return true };
    if module != component.name || !stream.starts_with(|c: char| c.is_ascii_digit()) {
        return true;
    }
    let of_stream = |fix: &str| {
        let fix = fix.split_once(':').map_or(fix, |(_, rest)| rest);
        fix.strip_prefix(stream).is_some_and(|rest| rest.starts_with(['.', '-']))
    };
    statement.ranges().any(|(_, end)| matches!(end, EndRef::Fixed(fix) if of_stream(fix)))
}

/// Whether a fix is of the stream of the version, as far as the first part of both says it.
fn same_stream(statement: &StatementRef<'_>, version: &str, built_as_module: bool) -> bool {
    let upstream = |version: &str| {
        let version = version.split_once(':').map_or(version, |(_, rest)| rest);
        version.split('.').next().map(ToOwned::to_owned)
    };
    let of_module = |fix: &str| !built_as_module || fix.contains(".module");
    let same = |fix: &str| of_module(fix) && upstream(fix) == upstream(version);
    statement.ranges().any(|(_, end)| matches!(end, EndRef::Fixed(fix) if same(fix)))
}

/// Every vulnerability that anything is said of for the package, those that it does not have too.
pub fn weigh(store: &Store, component: &Component) -> Vec<Finding> {
    let scheme = component.ecosystem.scheme();
    let (source, source_version) = component.source();
    let mut by_name: BTreeMap<String, Vec<(AdvisoryRef<'_>, Reason)>> = BTreeMap::new();
    for ecosystem in ecosystems(component) {
        let binary = store.statements(ecosystem.as_str(), &component.name);
        let of_source = store.statements(ecosystem.as_str(), source);
        let distribution = component.ecosystem.is_distribution();
        let all = binary
            .filter(|statement| !distribution || statement.of() == Of::Binary)
            .map(|statement| (statement, component.name.as_str(), component.version.as_str()))
            .chain(
                of_source
                    .filter(|statement| distribution && statement.of() == Of::Source)
                    .map(|statement| (statement, source, source_version.as_str())),
            );
        for (statement, package, version) in all {
            let advisory = statement.advisory();
            if advisory.withdrawn() {
                continue;
            }
            let reason = Reason {
                advisory: advisory.id().to_owned(),
                source: advisory.source().to_owned(),
                ecosystem: ecosystem.to_string(),
                package: package.to_owned(),
                of_source: distribution && statement.of() == Of::Source,
                version: version.to_owned(),
                status: statement.status(),
                words: statement.reason().to_owned(),
                verdict: verdict(scheme, &statement, version, component),
            };
            for name in names(&advisory) {
                by_name.entry(name.to_owned()).or_default().push((advisory, reason.clone()));
            }
        }
    }
    by_name.into_iter().filter_map(|(name, said)| finding(store, component, name, &said)).collect()
}

/// The vulnerabilities that the package has.
pub fn findings(store: &Store, component: &Component) -> Vec<Finding> {
    let mut findings = weigh(store, component);
    findings.retain(|finding| finding.affected);
    findings
}

/// The release, and the one with support that is paid for where the package comes from there.
fn ecosystems(component: &Component) -> Vec<Ecosystem> {
    let mut all = vec![component.ecosystem.clone()];
    if component.ecosystem.family() == "ubuntu" && component.version.contains("esm") {
        all.push(component.ecosystem.paid());
    }
    all
}

/// The names under which a vulnerability is joined with what others say: its CVE names, or its own.
fn names<'a>(advisory: &AdvisoryRef<'a>) -> Vec<&'a str> {
    let all = || std::iter::once(advisory.id()).chain(advisory.aliases());
    let mut names: Vec<&str> = all().filter(|name| name.starts_with("CVE-")).collect();
    if names.is_empty() {
        names.extend(all().find(|name| name.starts_with("GHSA-")).or(Some(advisory.id())));
    }
    names.sort_unstable();
    names.dedup();
    names
}

/// Whose word decides, and whether anybody says that the version has it.
fn rule(component: &Component, said: &[&(AdvisoryRef<'_>, Reason)]) -> (Rule, bool) {
    let any = |is: fn(&Verdict) -> bool| said.iter().any(|(_, reason)| is(&reason.verdict));
    let has = any(|verdict| matches!(verdict, Verdict::Affected { .. }));
    let rule = match component.ecosystem.is_distribution() {
        // Whoever keeps the package has fixed it or knows better, whatever else is said.
        true if any(|verdict| matches!(verdict, Verdict::NotAffected)) => Rule::DistributionNotAffected,
        // That a version is not among those which do not have it says nothing.
        true if said.iter().any(|(_, reason)| {
            reason.status != Status::NotAffected && matches!(reason.verdict, Verdict::Fixed { .. } | Verdict::Outside)
        }) =>
        {
            Rule::DistributionFixed
        }
        true => Rule::DistributionAffected,
        false if has => Rule::RegistryAffected,
        false => Rule::RegistryOutside,
    };
    (rule, has)
}

fn finding(
    store: &Store,
    component: &Component,
    vulnerability: String,
    said: &[(AdvisoryRef<'_>, Reason)],
) -> Option<Finding> {
    let said: Vec<_> = said.iter().filter(|(_, reason)| reason.verdict != Verdict::OtherModule).collect();
    if said.is_empty() {
        return None;
    }
    let (rule, has) = rule(component, &said);
    let affected = matches!(rule, Rule::DistributionAffected | Rule::RegistryAffected) && has;
    let scheme = component.ecosystem.scheme();
    let mut fixed_in: Vec<String> = said
        .iter()
        .filter_map(|(_, reason)| match &reason.verdict {
            Verdict::Affected { fixed_in, .. } => fixed_in.clone(),
            _ => None,
        })
        .collect();
    fixed_in.sort_by(|a, b| scheme.compare(a, b));
    fixed_in.dedup();
    let mut aliases: Vec<String> = said
        .iter()
        .flat_map(|(advisory, _)| std::iter::once(advisory.id()).chain(advisory.aliases()))
        .filter(|name| *name != vulnerability)
        .map(ToOwned::to_owned)
        .collect();
    aliases.sort();
    aliases.dedup();
    let known = store.cve(&vulnerability);
    let vector = vector(&said, known.map_or("", |known| known.vector()));
    let first = |text: fn(&AdvisoryRef<'_>) -> String| {
        said.iter().map(|(advisory, _)| text(advisory)).find(|text| !text.is_empty()).unwrap_or_default()
    };
    let mut references: Vec<String> =
        said.iter().flat_map(|(advisory, _)| advisory.references()).map(ToOwned::to_owned).collect();
    references.extend(known.iter().flat_map(CveRef::exploits).map(ToOwned::to_owned));
    references.sort();
    references.dedup();
    Some(Finding {
        affected,
        status: status(&said, rule),
        rule,
        fixed_in,
        summary: first(|advisory| advisory.summary().to_owned()),
        rating: rating(&said, vector.as_ref()),
        score: vector.map(|vector| vector.base().value()),
        vector: vector.map(|vector| vector.to_string()),
        epss: known.and_then(|known| known.epss()),
        known_exploited_day: known.and_then(|known| known.known_since_day()),
        ransomware: known.is_some_and(|known| known.ransomware()),
        exploitation: known.map_or(Exploitation::Unknown, |known| known.exploitation()),
        automatable: known.and_then(|known| known.automatable()),
        total_impact: known.and_then(|known| known.total_impact()),
        published_s: said.iter().map(|(a, _)| a.published_s()).filter(|s| *s > 0).min().unwrap_or(0),
        references,
        reasons: said.iter().map(|(_, reason)| reason.clone()).collect(),
        aliases,
        vulnerability,
    })
}

/// What the keeper says: a decision says more than that it has it.
fn status(said: &[&(AdvisoryRef<'_>, Reason)], rule: Rule) -> Status {
    if matches!(rule, Rule::DistributionNotAffected) {
        return Status::NotAffected;
    }
    let affected = said.iter().filter(|(_, reason)| matches!(reason.verdict, Verdict::Affected { .. }));
    let fix = |reason: &Reason| matches!(&reason.verdict, Verdict::Affected { fixed_in: Some(_), .. });
    if affected.clone().any(|(_, reason)| fix(reason)) {
        return Status::Affected;
    }
    affected.map(|(_, reason)| reason.status).max().unwrap_or_default()
}

/// The vector of the newest version of CVSS that anybody gives; the keeper's own before a stranger's.
fn vector(said: &[&(AdvisoryRef<'_>, Reason)], known: &str) -> Option<Vector> {
    let own = said.iter().flat_map(|(advisory, _)| advisory.vectors());
    let own = own.filter_map(|text| text.parse::<Vector>().ok()).max_by_key(Vector::version);
    own.or_else(|| known.parse().ok())
}

/// The keeper's word where there is one, else the score's.
fn rating(said: &[&(AdvisoryRef<'_>, Reason)], vector: Option<&Vector>) -> Rating {
    let words = said.iter().map(|(advisory, _)| advisory.rating()).max().unwrap_or_default();
    match (words, vector) {
        (Rating::Unknown, Some(vector)) => vector.rating(vector.base()),
        (words, _) => words,
    }
}
