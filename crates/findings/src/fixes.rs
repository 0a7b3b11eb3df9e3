//! What to fix first: of all updates that there are, the one that takes the most risk away.

use guardian_vuln::cvss::Rating;
use guardian_vuln::ecosystem::Ecosystem;
use hashbrown::HashMap;
use uuid::Uuid;

use crate::board::{Detail, Subject};
use crate::view::{Filter, Seen, View};

/// An update of a package.
#[derive(Clone, Debug, PartialEq)]
pub struct Fix {
    /// Whose package.
    pub ecosystem: String,
    /// The source package, or the package where it is its own source.
    pub package: String,
    /// The version that has every fix; a later one has them too.
    pub version: String,
    /// How many hosts need it.
    pub hosts: usize,
    /// How many findings it takes away, each host counted.
    pub findings: usize,
    /// How many vulnerabilities.
    pub vulnerabilities: usize,
    /// How many of them are known to be exploited.
    pub exploited: usize,
    /// How many findings are beyond their deadline.
    pub overdue: usize,
    /// How many of the findings a restart takes away: the update is installed.
    pub restart: usize,
    /// On how many hosts a restart takes any of it away.
    pub restart_hosts: usize,
    /// The worst rating among them.
    pub worst: Rating,
    /// The risk that it takes away: the sum of the risks of its findings.
    pub risk: f64,
}

#[derive(Default)]
struct Sum<'a> {
    unit: (&'a str, &'a str),
    last: Option<Uuid>,
    hosts: usize,
    vulnerabilities: usize,
    exploited: usize,
    findings: usize,
    overdue: usize,
    restart: usize,
    restart_hosts: usize,
    last_restart: Option<Uuid>,
    worst: Rating,
    risk: f64,
    version: String,
}

/// The updates, and which one each subject waits for, by its place.
#[derive(Default)]
struct Sums<'a> {
    by_unit: HashMap<(&'a str, &'a str), usize>,
    all: Vec<Sum<'a>>,
    of_subject: Vec<Option<usize>>,
}

impl<'a> Sums<'a> {
    /// The update that takes this away. What is said of a subject counts when it is first seen.
    fn of(&mut self, seen: &Seen<'a>, detail: &Detail) -> Option<&mut Sum<'a>> {
        if seen.at >= self.of_subject.len() {
            self.of_subject.resize(seen.at + 1, None);
        }
        let subject: &'a Subject = seen.subject;
        let place = self.of_subject.get_mut(seen.at)?;
        if let Some(at) = *place {
            return self.all.get_mut(at);
        }
        let unit = (subject.ecosystem.as_str(), subject.package.as_str());
        let next = self.all.len();
        let at = *self.by_unit.entry(unit).or_insert(next);
        if at == next {
            self.all.push(Sum { unit, ..Sum::default() });
        }
        *place = Some(at);
        let sum = self.all.get_mut(at)?;
        // The lowest version with the fix of each, and of those the highest.
        if let Some(fix) = detail.fixed_in.first() {
            sum.version = later(&subject.ecosystem, std::mem::take(&mut sum.version), fix);
        }
        sum.worst = sum.worst.max(detail.rating);
        sum.vulnerabilities += 1;
        sum.exploited += usize::from(detail.is_exploited());
        Some(sum)
    }
}

impl<'a> View<'a> {
    /// The updates that take something away of what fits, the one that takes the most risk first.
    pub fn fixes(&self, filter: &Filter) -> Vec<Fix> {
        let filter = Filter { fixable: Some(true), ..filter.clone() };
        let mut sums: Sums<'a> = Sums::default();
        self.walk(&filter, |seen| {
            let Some(detail) = seen.detail else { return };
            let Some(sum) = sums.of(&seen, detail) else { return };
            // Hosts come one after the other.
            sum.hosts += usize::from(sum.last.replace(seen.labels.host) != Some(seen.labels.host));
            sum.findings += 1;
            sum.overdue += usize::from(seen.overdue);
            if seen.entry.restart {
                sum.restart += 1;
                let host = seen.labels.host;
                sum.restart_hosts += usize::from(sum.last_restart.replace(host) != Some(host));
            }
            sum.risk += seen.risk;
        });
        let fix = |sum: Sum<'_>| Fix {
            ecosystem: sum.unit.0.to_owned(),
            package: sum.unit.1.to_owned(),
            version: sum.version,
            hosts: sum.hosts,
            findings: sum.findings,
            vulnerabilities: sum.vulnerabilities,
            exploited: sum.exploited,
            overdue: sum.overdue,
            restart: sum.restart,
            restart_hosts: sum.restart_hosts,
            worst: sum.worst,
            risk: sum.risk,
        };
        let mut fixes: Vec<Fix> = sums.all.into_iter().map(fix).collect();
        fixes.sort_by(|a, b| {
            b.risk.total_cmp(&a.risk).then_with(|| (&a.package, &a.ecosystem).cmp(&(&b.package, &b.ecosystem)))
        });
        fixes
    }
}

/// The later of two versions in the order of their ecosystem.
fn later(ecosystem: &str, known: String, other: &str) -> String {
    let (family, release) = ecosystem.split_once(':').unwrap_or((ecosystem, ""));
    let scheme = Ecosystem::new(family, release).map(|ecosystem| ecosystem.scheme());
    let is_later = known.is_empty() || scheme.is_some_and(|scheme| scheme.compare(other, &known).is_gt());
    if is_later { other.to_owned() } else { known }
}
