//! What is known of one tenant's hosts and images, in memory: packages and vulnerabilities by number, every package judged once, and
//! a packed row a host.
//!
//! Pure: a store, rows and the time in, rows out.

use std::sync::Arc;

use guardian_catalog::{FindingsOf, HostFindings, HostLabels};
use guardian_model::Micros;
use guardian_vuln::advisory::Status;
use guardian_vuln::cvss::Rating;
use guardian_vuln::ecosystem::Ecosystem;
use guardian_vuln::matching::{self, Component, Finding};
use guardian_vuln::risk::{self, Asset, Criticality, Decision, Exposure};
use guardian_vuln::store::Store;
use hashbrown::HashMap;
use serde_json::json;
use uuid::Uuid;

use crate::exposure::{self, Reason, Visits};
use crate::host::Facts;
use crate::kernel::{Kernels, Kin};
use crate::packed::{self, Cause};

/// Versions with a fix that are kept of one vulnerability in one package.
const FIXES_MAX: usize = 16;
/// Threads that judge at once, at most.
const THREADS_MAX: usize = 8;

/// A vulnerability in what one update brings: all packages of one source.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    /// Whose package.
    pub ecosystem: String,
    /// The source package, or the package where it is its own source.
    pub package: String,
    /// Name of the vulnerability.
    pub vulnerability: String,
}

impl Subject {
    pub(crate) fn words(&self) -> String {
        json!([self.ecosystem, self.package, self.vulnerability]).to_string()
    }

    fn read(words: &str) -> Option<Self> {
        let [ecosystem, package, vulnerability] = serde_json::from_str(words).ok()?;
        Some(Self { ecosystem, package, vulnerability })
    }
}

/// What the advisories say of a vulnerability in a package.
#[derive(Clone, Debug, PartialEq)]
pub struct Detail {
    /// One line.
    pub summary: String,
    /// How bad.
    pub rating: Rating,
    /// Its base score.
    pub score: Option<f64>,
    /// Probability that it is used within 30 days.
    pub epss: Option<f32>,
    /// Day since the epoch on which it came into a catalogue of those that are used.
    pub known_exploited_day: Option<i32>,
    /// Known to be used for ransom.
    pub ransomware: bool,
    /// What the keeper says.
    pub status: Status,
    /// When it came out, in seconds since the epoch; 0 where nobody says.
    pub published_s: i64,
    /// CISA's decision, for a host in the middle.
    pub decision: Decision,
    /// Versions with the fix, the lowest first.
    pub fixed_in: Vec<String>,
    /// The risk by exposure and criticality.
    risks: [[f32; 3]; 4],
}

const EXPOSURES: [Exposure; 4] = [Exposure::Unknown, Exposure::Local, Exposure::Network, Exposure::Internet];
const CRITICALITIES: [Criticality; 3] = [Criticality::Low, Criticality::Medium, Criticality::High];

impl Detail {
    fn new(finding: &Finding) -> Self {
        let asset = |exposure, criticality| Asset { exposure, criticality, ..Asset::default() };
        let risk = |exposure, criticality| risk::of(finding, &asset(exposure, criticality));
        Self {
            summary: finding.summary.clone(),
            rating: finding.rating,
            score: finding.score,
            epss: finding.epss.map(|(probability, _)| probability),
            known_exploited_day: finding.known_exploited_day,
            ransomware: finding.ransomware,
            status: finding.status,
            published_s: finding.published_s,
            decision: risk(Exposure::Network, Criticality::Medium).decision,
            fixed_in: Vec::new(),
            risks: EXPOSURES.map(|exposure| CRITICALITIES.map(|criticality| risk(exposure, criticality).score as f32)),
        }
    }

    /// The risk on a host, 0 to 100.
    pub fn risk(&self, exposure: Exposure, criticality: Criticality) -> f64 {
        let row = match exposure {
            Exposure::Unknown => 0,
            Exposure::Local => 1,
            Exposure::Network => 2,
            Exposure::Internet => 3,
        };
        let at = match criticality {
            Criticality::Low => 0,
            Criticality::Medium => 1,
            Criticality::High => 2,
        };
        // To the hundredth: more is no knowledge, and single precision has more digits than that.
        (f64::from(self.risks[row][at]) * 100.0).round() / 100.0
    }

    /// Whether it is known to be exploited.
    pub fn is_exploited(&self) -> bool {
        self.known_exploited_day.is_some()
    }

    fn add_fixes(&mut self, scheme: guardian_inventory::version::Scheme, fixes: &[String]) {
        for fix in fixes {
            if self.fixed_in.len() < FIXES_MAX && !self.fixed_in.contains(fix) {
                self.fixed_in.push(fix.clone());
                self.fixed_in.sort_by(|a, b| scheme.compare(a, b));
            }
        }
    }
}

/// A vulnerability that a component has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Judged {
    pub(crate) subject: u32,
    /// The versions with the fix.
    pub(crate) fixed_in: Arc<[String]>,
}

/// What judging some components gave: subjects by their place in the first list.
#[derive(Default)]
pub(crate) struct Verdicts {
    pub(crate) subjects: Vec<(Subject, Detail)>,
    components: Vec<(u32, Vec<(usize, Vec<String>)>)>,
}

/// A host, or an image.
#[derive(Clone, Debug)]
pub struct HostBoard {
    /// What is kept of it.
    pub row: HostFindings,
    /// What it is worth, where that was said of it alone.
    pub criticality: Option<Criticality>,
    /// From where it can be reached, as far as it sees itself.
    pub exposure: Exposure,
    /// Why one thinks so.
    pub reasons: Vec<Reason>,
}

impl HostBoard {
    pub(crate) fn new(row: HostFindings) -> Self {
        let exposure = row.exposure.parse().unwrap_or_default();
        let criticality = row.criticality.parse().ok();
        let reasons = serde_json::from_str(&row.reasons).unwrap_or_default();
        Self { row, criticality, exposure, reasons }
    }
}

/// What came of judging a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What is to be kept of it.
    pub row: HostFindings,
    /// Subjects that are known to be exploited and open on it, and of which nobody was told yet.
    pub news: Vec<u32>,
    /// Whether anything is other than before but the time.
    pub changed: bool,
}

/// What is known of one tenant's hosts, and of its images, which are judged alike and never counted among hosts.
#[derive(Default)]
pub struct Board {
    components: HashMap<u32, Component>,
    component_numbers: HashMap<Component, u32>,
    /// Those that may belong to a kernel.
    kin: HashMap<u32, Kin>,
    subjects: HashMap<u32, Arc<Subject>>,
    subject_numbers: HashMap<Arc<Subject>, u32>,
    judged: HashMap<u32, Arc<[Judged]>>,
    details: HashMap<u32, Arc<Detail>>,
    pub(crate) hosts: HashMap<Uuid, HostBoard>,
    pub(crate) labels: HashMap<Uuid, HostLabels>,
    /// Who came to hosts lately. It is not kept: after a start it is read again.
    pub(crate) visits: HashMap<Uuid, Visits>,
    /// Which images run on a host, by their whole names. It is not kept either.
    pub(crate) running: HashMap<Uuid, Arc<[String]>>,
    /// When the advisories were put together by which it is judged, in seconds since the epoch; 0 for none.
    pub(crate) advisories_s: i64,
}

/// A component as words, to be kept.
pub(crate) fn component_words(component: &Component) -> String {
    let Component { ecosystem, name, version, source, source_version, module } = component;
    json!([ecosystem.as_str(), name, version, source, source_version, module]).to_string()
}

fn read_component(words: &str) -> Option<Component> {
    let [ecosystem, name, version, source, source_version, module]: [String; 6] = serde_json::from_str(words).ok()?;
    let (family, release) = ecosystem.split_once(':').unwrap_or((&ecosystem, ""));
    Some(Component { ecosystem: Ecosystem::new(family, release)?, name, version, source, source_version, module })
}

/// The package that an update of the component is an update of.
pub(crate) fn unit(component: &Component) -> &str {
    if component.source.is_empty() { &component.name } else { &component.source }
}

/// Judges components, on as many threads as there are cores.
pub(crate) fn judge(store: &Store, components: &[(u32, Component)]) -> Verdicts {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(THREADS_MAX);
    if components.len() < 64 || cores == 1 {
        return judge_some(store, components.iter());
    }
    let mut all = Verdicts::default();
    let parts: Vec<Verdicts> = std::thread::scope(|scope| {
        // Neighbours have the same source and cost the same: each thread takes every so many.
        let start = |first| scope.spawn(move || judge_some(store, components.iter().skip(first).step_by(cores)));
        let threads: Vec<_> = (0..cores).map(start).collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
    });
    for part in parts {
        let from = all.subjects.len();
        all.subjects.extend(part.subjects);
        let moved = part
            .components
            .into_iter()
            .map(|(number, found)| (number, found.into_iter().map(|(at, fixes)| (at + from, fixes)).collect()));
        all.components.extend(moved);
    }
    all
}

fn judge_some<'a>(store: &Store, components: impl Iterator<Item = &'a (u32, Component)>) -> Verdicts {
    let mut verdicts = Verdicts::default();
    let mut places: HashMap<Subject, usize> = HashMap::new();
    for (number, component) in components {
        let scheme = component.ecosystem.scheme();
        let mut found = Vec::new();
        for finding in matching::findings(store, component) {
            let subject = Subject {
                ecosystem: component.ecosystem.to_string(),
                package: unit(component).to_owned(),
                vulnerability: finding.vulnerability.clone(),
            };
            let at = match places.get(&subject) {
                Some(at) => *at,
                None => {
                    verdicts.subjects.push((subject.clone(), Detail::new(&finding)));
                    places.insert(subject, verdicts.subjects.len() - 1);
                    verdicts.subjects.len() - 1
                }
            };
            if let Some((_, detail)) = verdicts.subjects.get_mut(at) {
                detail.add_fixes(scheme, &finding.fixed_in);
            }
            found.push((at, finding.fixed_in));
        }
        verdicts.components.push((*number, found));
    }
    verdicts
}

impl Board {
    /// Takes what is kept.
    pub(crate) fn load(components: Vec<(u32, String)>, subjects: Vec<(u32, String)>, hosts: Vec<HostFindings>) -> Self {
        let mut board = Self::default();
        for (number, words) in components {
            if let Some(component) = read_component(&words) {
                board.add_component(number, component);
            }
        }
        for (number, words) in subjects {
            if let Some(subject) = Subject::read(&words) {
                board.add_subject(number, subject);
            }
        }
        board.hosts = hosts.into_iter().map(|row| (row.host, HostBoard::new(row))).collect();
        board
    }

    pub(crate) fn add_component(&mut self, number: u32, component: Component) {
        self.component_numbers.insert(component.clone(), number);
        if let Some(kin) = Kin::of(&component) {
            self.kin.insert(number, kin);
        }
        self.components.insert(number, component);
    }

    pub(crate) fn add_subject(&mut self, number: u32, subject: Subject) {
        let subject = Arc::new(subject);
        self.subject_numbers.insert(Arc::clone(&subject), number);
        self.subjects.insert(number, subject);
    }

    pub(crate) fn component_number(&self, component: &Component) -> Option<u32> {
        self.component_numbers.get(component).copied()
    }

    pub(crate) fn component(&self, number: u32) -> Option<&Component> {
        self.components.get(&number)
    }

    pub(crate) fn subject_number(&self, subject: &Subject) -> Option<u32> {
        self.subject_numbers.get(subject).copied()
    }

    /// A vulnerability in a package, by its number.
    pub fn subject(&self, number: u32) -> Option<&Subject> {
        self.shared_subject(number).map(Arc::as_ref)
    }

    pub(crate) fn shared_subject(&self, number: u32) -> Option<&Arc<Subject>> {
        self.subjects.get(&number)
    }

    /// What the advisories say of it now; none where they say nothing any more.
    pub fn detail(&self, number: u32) -> Option<&Detail> {
        self.shared_detail(number).map(Arc::as_ref)
    }

    pub(crate) fn shared_detail(&self, number: u32) -> Option<&Arc<Detail>> {
        self.details.get(&number)
    }

    /// How many versions of packages are known.
    pub fn versions(&self) -> usize {
        self.components.len()
    }

    pub(crate) fn judged(&self, component: u32) -> &[Judged] {
        self.judged.get(&component).map_or(&[], |judged| judged)
    }

    /// What visits say of a host.
    pub(crate) fn came(&self, host: &HostBoard, now_s: i64) -> Vec<Reason> {
        let visits = self.visits.get(&host.row.host);
        visits.map(|visits| exposure::of_visits(&host.reasons, visits, now_s)).unwrap_or_default()
    }

    /// From where a host can be reached: what it sees itself, and who came.
    pub(crate) fn exposure(&self, host: &HostBoard, now_s: i64) -> Exposure {
        if self.visits.is_empty() {
            return host.exposure;
        }
        exposure::with_visits(host.exposure, &self.came(host, now_s))
    }

    /// The kernels of a host.
    pub(crate) fn kernels(&self, row: &HostFindings) -> Kernels<'_> {
        if row.kernel.is_empty() {
            return Kernels::default();
        }
        let kin = packed::numbers(&row.components).filter_map(|number| Some((number, self.kin.get(&number)?)));
        Kernels::new(kin.collect(), &row.kernel)
    }

    /// When the advisories were put together by which the hosts are judged, in seconds since the epoch; 0 for none.
    pub fn advisories_s(&self) -> i64 {
        self.advisories_s
    }

    /// Other advisories hold: nothing is judged yet.
    pub(crate) fn forget(&mut self, advisories_s: i64) {
        self.judged.clear();
        self.details.clear();
        self.advisories_s = advisories_s;
    }

    /// The hosts are to be judged again, though the advisories are the same.
    pub(crate) fn unsettle(&mut self) {
        self.advisories_s = 0;
    }

    /// Those of these components that are not judged yet.
    pub(crate) fn unjudged(&self, numbers: impl Iterator<Item = u32>) -> Vec<(u32, Component)> {
        let mut wanted: Vec<u32> = numbers.filter(|number| !self.judged.contains_key(number)).collect();
        wanted.sort_unstable();
        wanted.dedup();
        wanted.into_iter().filter_map(|number| Some((number, self.components.get(&number)?.clone()))).collect()
    }

    /// The components of every host.
    pub(crate) fn in_use(&self) -> Vec<u32> {
        let mut all: hashbrown::HashSet<u32> = hashbrown::HashSet::new();
        for host in self.hosts.values() {
            all.extend(packed::numbers(&host.row.components));
        }
        all.into_iter().collect()
    }

    /// Takes verdicts; every subject in them has a number by now.
    pub(crate) fn take(&mut self, verdicts: Verdicts) {
        let numbers: Vec<Option<u32>> =
            verdicts.subjects.iter().map(|(subject, _)| self.subject_number(subject)).collect();
        for ((subject, detail), number) in verdicts.subjects.into_iter().zip(&numbers) {
            let Some(number) = number else { continue };
            let (family, release) = subject.ecosystem.split_once(':').unwrap_or((&subject.ecosystem, ""));
            let scheme = Ecosystem::new(family, release).map(|ecosystem| ecosystem.scheme());
            match self.details.get_mut(number) {
                Some(known) => {
                    Arc::make_mut(known)
                        .add_fixes(scheme.unwrap_or(guardian_inventory::version::Scheme::Generic), &detail.fixed_in);
                }
                None => drop(self.details.insert(*number, Arc::new(detail))),
            }
        }
        // Most packages of one update are fixed by the same version.
        let mut shared: HashMap<Vec<String>, Arc<[String]>> = HashMap::new();
        for (component, found) in verdicts.components {
            let mut judged: Vec<Judged> = Vec::with_capacity(found.len());
            for (at, fixes) in found {
                let Some(Some(subject)) = numbers.get(at) else { continue };
                let fixed_in = shared.entry(fixes).or_insert_with_key(|fixes| fixes.as_slice().into());
                judged.push(Judged { subject: *subject, fixed_in: Arc::clone(fixed_in) });
            }
            self.judged.insert(component, judged.into());
        }
    }

    /// Judges a host that has these components, all of which are judged themselves.
    pub(crate) fn host(&self, before: &HostFindings, cause: Cause, exposure: Exposure, now: Micros) -> Outcome {
        let now_s = now.0 / Micros::SECOND;
        let components = packed::numbers(&before.components);
        let present = self.kernels(before).present(components, |number| self.judged(number));
        let mut entries = packed::follow(packed::entries(&before.entries), &present, now_s, cause);
        let mut news = Vec::new();
        // An image reaches nobody: the hosts on which it runs do.
        if before.of == FindingsOf::Host && matches!(exposure, Exposure::Internet | Exposure::Network) {
            for entry in entries.iter_mut().filter(|entry| entry.closed_s.is_none() && !entry.told) {
                if self.details.get(&entry.subject).is_some_and(|detail| detail.is_exploited()) {
                    entry.told = true;
                    news.push(entry.subject);
                }
            }
        }
        let entries = packed::pack(&entries);
        let changed = entries != before.entries;
        let row = HostFindings { entries, judged: now, advisories: self.advisories_s, ..before.clone() };
        Outcome { row, news, changed }
    }

    /// Judges every host by the advisories that hold now.
    pub(crate) fn all_hosts(&self, exposure: impl Fn(&HostBoard) -> Exposure, now: Micros) -> Vec<Outcome> {
        self.hosts.values().map(|host| self.host(&host.row, Cause::Advisories, exposure(host), now)).collect()
    }

    pub(crate) fn keep(&mut self, row: HostFindings) {
        self.hosts.insert(row.host, HostBoard::new(row));
    }

    /// The row of a host as it is before it is judged: with what it has now.
    pub(crate) fn row_with(&self, host: Uuid, lists: i64, facts: &Facts) -> HostFindings {
        let numbers = facts.components.iter().filter_map(|component| self.component_number(component)).collect();
        let before = self.hosts.get(&host).map(|host| &host.row);
        HostFindings {
            of: facts.of,
            host,
            lists,
            ecosystem: facts.ecosystem.as_ref().map(ToString::to_string).unwrap_or_default(),
            exposure: exposure_word(facts.exposure).to_owned(),
            ground: exposure::sentence(&facts.reasons),
            reasons: serde_json::to_string(&facts.reasons).unwrap_or_default(),
            kernel: facts.kernel.clone(),
            criticality: facts.criticality.clone(),
            advisories: before.map_or(0, |row| row.advisories),
            judged: before.map_or(Micros(0), |row| row.judged),
            components: packed::pack_numbers(numbers),
            entries: before.map(|row| row.entries.clone()).unwrap_or_default(),
        }
    }
}

/// The word for an exposure.
pub(crate) const fn exposure_word(exposure: Exposure) -> &'static str {
    match exposure {
        Exposure::Internet => "internet",
        Exposure::Network => "network",
        Exposure::Local => "local",
        Exposure::Unknown => "unknown",
    }
}
