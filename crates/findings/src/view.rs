//! Looking at findings: one pass over the hosts, or images, that fit, over what is and was wrong with each.
//!
//! What a finding is worth follows from its host, and what is put up with from the exceptions, so that neither is kept with
//! it: whoever changes a tag, a setting or an exception sees it at once.

use std::sync::Arc;

use guardian_catalog::{FindingException, FindingReach, FindingsOf, HostLabels};
use guardian_model::Micros;
use guardian_vuln::cvss::Rating;
use guardian_vuln::risk::{Criticality, Exposure};
use hashbrown::{HashMap, HashSet};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::board::{Board, Detail, HostBoard, Subject};
use crate::exposure::{Reason, ReasonKind};
use crate::packed::{self, Entry};
use crate::settings::FindingSettings;

/// How a finding stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is there.
    #[default]
    Open,
    /// It is in kernels alone that are installed and do not run.
    NotRunning,
    /// It is there and put up with for a while.
    Excepted,
    /// It was there: an update took it away.
    Fixed,
    /// It was there: the advisories say so no more.
    Withdrawn,
}

impl State {
    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::NotRunning => "not_running",
            Self::Excepted => "excepted",
            Self::Fixed => "fixed",
            Self::Withdrawn => "withdrawn",
        }
    }
}

impl std::str::FromStr for State {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::Open, Self::NotRunning, Self::Excepted, Self::Fixed, Self::Withdrawn];
        let known = all.into_iter().find(|state| state.as_str() == text);
        known.ok_or_else(|| format!("`{text}` is none of open, not_running, excepted, fixed, withdrawn"))
    }
}

/// What findings are ordered by, the most pressing first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Risk.
    #[default]
    Risk,
    /// How many hosts have it.
    Hosts,
    /// Rating, then score.
    Rating,
    /// Probability of use.
    Epss,
    /// When it was first seen, the newest first.
    FirstSeen,
    /// When it was first seen, the oldest first.
    Oldest,
}

impl std::str::FromStr for Order {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "risk" => Self::Risk,
            "hosts" => Self::Hosts,
            "rating" => Self::Rating,
            "epss" => Self::Epss,
            "first_seen" => Self::FirstSeen,
            "oldest" => Self::Oldest,
            _ => return Err(format!("`{text}` is none of risk, hosts, rating, epss, first_seen, oldest")),
        })
    }
}

/// Which findings; empty fields do not restrict.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Filter {
    /// Of hosts, or of images.
    pub of: FindingsOf,
    /// How it stands: any of these; none for open ones.
    pub states: Vec<State>,
    /// Rated as one of these.
    pub ratings: Vec<Rating>,
    /// With a risk of so much and more.
    pub risk_min: Option<f64>,
    /// On this host, or in this image.
    pub host: Option<Uuid>,
    /// On hosts of this group.
    pub group: Option<String>,
    /// On hosts with this tag.
    pub tag: Option<String>,
    /// In this package.
    pub package: Option<String>,
    /// The vulnerability of this name.
    pub vulnerability: Option<String>,
    /// Whose name, package or summary contains this text.
    pub search: Option<String>,
    /// Known to be exploited, or not.
    pub exploited: Option<bool>,
    /// There is a version with a fix, or none.
    pub fixable: Option<bool>,
    /// Beyond its deadline, or not.
    pub overdue: Option<bool>,
    /// Taken away by a restart, or not.
    pub restart: Option<bool>,
}

/// A vulnerability in a package, over all hosts that have it.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its number.
    pub number: u32,
    /// Which it is.
    pub subject: Arc<Subject>,
    /// What the advisories say; none where they say nothing any more.
    pub detail: Option<Arc<Detail>>,
    /// How many hosts fit.
    pub hosts: u32,
    /// How many of them are beyond the deadline.
    pub overdue: u32,
    /// The highest risk on any of them.
    pub risk: f64,
    /// When it was first seen on any of them, in seconds since the epoch.
    pub first_s: i64,
}

/// An installed package that has a vulnerability.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The versions with the fix.
    pub fixed_in: Arc<[String]>,
    /// Whether the kernel that it belongs to runs; none for what belongs to none.
    pub running: Option<bool>,
}

/// A host of a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowHost {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// From where it can be reached.
    pub exposure: Exposure,
    /// What it is worth.
    pub criticality: Criticality,
}

/// A vulnerability in a package on one host.
#[derive(Clone, Debug, PartialEq)]
pub struct HostFinding {
    /// The host.
    pub host: Arc<RowHost>,
    /// Which it is.
    pub subject: Arc<Subject>,
    /// What the advisories say; none where they say nothing any more.
    pub detail: Option<Arc<Detail>>,
    /// Since when it is there, and what became of it.
    pub entry: Entry,
    /// How it stands.
    pub state: State,
    /// When it was last seen, in seconds since the epoch.
    pub last_s: i64,
    /// Its risk there.
    pub risk: f64,
    /// When it has to be fixed, in seconds since the epoch; none for no deadline.
    pub due_s: Option<i64>,
    /// Whether it is beyond that.
    pub overdue: bool,
    /// The packages on the host that have it; filled for what is shown.
    pub packages: Vec<Package>,
}

/// From where a host can be reached, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostExposure {
    /// From where.
    pub exposure: Exposure,
    /// What it is worth.
    pub criticality: Criticality,
    /// Why it is thought to be reached from there, each with where it comes from.
    pub reasons: Vec<Reason>,
    /// The kernel that runs, with its version after a space where it says so; empty where nobody knows.
    pub kernel: String,
}

/// A host, its entry and what follows from both.
pub(crate) struct Seen<'a> {
    pub(crate) board: &'a HostBoard,
    pub(crate) labels: &'a HostLabels,
    pub(crate) exposure: Exposure,
    pub(crate) criticality: Criticality,
    pub(crate) entry: Entry,
    /// The place of the subject among those that fit, from 0.
    pub(crate) at: usize,
    pub(crate) subject: &'a Arc<Subject>,
    pub(crate) detail: Option<&'a Arc<Detail>>,
    pub(crate) state: State,
    pub(crate) risk: f64,
    pub(crate) due_s: Option<i64>,
    pub(crate) overdue: bool,
}

/// A board as it is looked at: with what a tenant has set, what it puts up with, and the time.
pub struct View<'a> {
    pub(crate) board: &'a Board,
    pub(crate) settings: &'a FindingSettings,
    exceptions: Vec<&'a FindingException>,
    pub(crate) now_s: i64,
}

/// What a filter says of a subject, which is the same on every host.
struct Known<'a> {
    subject: &'a Arc<Subject>,
    detail: Option<&'a Arc<Detail>>,
    rating: Rating,
    exploited: bool,
    exceptions: Vec<usize>,
}

/// What was asked of subjects, by their numbers: a pass asks for each many thousand times.
#[derive(Default)]
struct Asked<'a> {
    /// 0 where nobody asked, 1 where it does not fit, else two more than its place.
    places: Vec<u32>,
    known: Vec<Known<'a>>,
}

impl<'a> Asked<'a> {
    /// The place of a subject that fits.
    fn place(&mut self, number: u32, ask: impl FnOnce() -> Option<Known<'a>>) -> Option<usize> {
        let at = number as usize;
        if at >= self.places.len() {
            self.places.resize(at + 1, 0);
        }
        let place = self.places.get_mut(at)?;
        if *place == 0 {
            *place = match ask() {
                None => 1,
                Some(known) => {
                    self.known.push(known);
                    self.known.len() as u32 + 1
                }
            };
        }
        (*place as usize).checked_sub(2)
    }
}

impl<'a> View<'a> {
    /// Of a board. Exceptions that do not hold are passed over.
    pub fn new(
        board: &'a Board,
        settings: &'a FindingSettings,
        exceptions: &'a [FindingException],
        now: Micros,
    ) -> Self {
        let exceptions = exceptions.iter().filter(|exception| exception.holds(now)).collect();
        Self { board, settings, exceptions, now_s: now.0 / Micros::SECOND }
    }

    /// The exceptions that hold.
    pub fn exceptions(&self) -> impl Iterator<Item = &FindingException> {
        self.exceptions.iter().copied()
    }

    /// Exceptions that are for a host or image, and hold.
    pub fn exceptions_for(&self, id: Uuid) -> impl Iterator<Item = &FindingException> {
        let known = self.board.hosts.get(&id).map(|board| board.row.of).zip(self.board.labels.get(&id));
        self.exceptions()
            .filter(move |exception| known.is_some_and(|(of, labels)| Self::reaches(exception, of, labels)))
    }

    /// The name of a host.
    pub fn host_name(&self, host: Uuid) -> Option<&str> {
        self.board.labels.get(&host).map(|labels| labels.name.as_str())
    }

    /// What a host or image is worth.
    pub(crate) fn criticality_of(&self, host: &HostBoard, labels: &HostLabels) -> Criticality {
        host.criticality.unwrap_or_else(|| self.settings.criticality(labels))
    }

    /// When an image was judged as it is now, of the revision that was sent; none before that.
    pub fn judged(&self, id: Uuid, revision: i64) -> Option<Micros> {
        let row = &self.board.hosts.get(&id)?.row;
        (row.lists == revision && row.advisories > 0).then_some(row.judged)
    }

    pub(crate) fn exposure_of(&self, host: &HostBoard, labels: &HostLabels) -> Exposure {
        self.settings.exposure(labels, self.board.exposure(host, self.now_s))
    }

    /// From where a host can be reached and why, and what it runs; none where nothing is known of it.
    pub fn exposure(&self, host: Uuid) -> Option<HostExposure> {
        let (host, labels) = (self.board.hosts.get(&host)?, self.board.labels.get(&host)?);
        let mut reasons = host.reasons.clone();
        reasons.extend(self.board.came(host, self.now_s));
        if let Some(label) = self.settings.internet_label(labels) {
            reasons.push(Reason { detail: label.to_owned(), ..Reason::new(ReasonKind::Label) });
        }
        Some(HostExposure {
            exposure: self.exposure_of(host, labels),
            criticality: self.criticality_of(host, labels),
            reasons,
            kernel: host.row.kernel.clone(),
        })
    }

    /// A subject that the filter keeps.
    fn known(&self, number: u32, filter: &Filter) -> Option<Known<'a>> {
        let subject = self.board.shared_subject(number)?;
        let detail = self.board.shared_detail(number);
        if !fits(filter, subject, detail.map(Arc::as_ref)) {
            return None;
        }
        let exploited = detail.is_some_and(|detail| detail.is_exploited());
        let rating = detail.map_or(Rating::Unknown, |detail| detail.rating);
        let is = |exception: &&FindingException| {
            exception.draft.vulnerability == subject.vulnerability
                && (exception.draft.package.is_empty() || exception.draft.package == subject.package)
        };
        let exceptions = self.exceptions.iter().enumerate().filter(|(_, e)| is(e)).map(|(at, _)| at).collect();
        Some(Known { subject, detail, rating, exploited, exceptions })
    }

    /// Whether an exception is for a host or image.
    pub(crate) fn reaches(exception: &FindingException, of: FindingsOf, labels: &HostLabels) -> bool {
        let name = &exception.draft.reach_name;
        match exception.draft.reach {
            FindingReach::All => true,
            FindingReach::Image => of == FindingsOf::Image && *name == labels.name,
            FindingReach::Host => *name == labels.host.to_string(),
            FindingReach::Group => labels.groups.contains(name),
            FindingReach::Tag => labels.tags.contains(name),
        }
    }

    /// The hosts, or images, that a filter keeps.
    pub(crate) fn hosts(&self, filter: &Filter) -> impl Iterator<Item = (&'a HostBoard, &'a HostLabels)> {
        let (of, only, group, tag) = (filter.of, filter.host, filter.group.clone(), filter.tag.clone());
        let board = self.board;
        let all = board.hosts.values().filter(move |host| host.row.of == of);
        let all = all.filter_map(|host| Some((host, board.labels.get(&host.row.host)?)));
        all.filter(move |(host, labels)| {
            only.is_none_or(|only| only == host.row.host)
                && group.as_ref().is_none_or(|group| labels.groups.contains(group))
                && tag.as_ref().is_none_or(|tag| labels.tags.contains(tag))
        })
    }

    /// Passes over everything that fits.
    pub(crate) fn walk(&self, filter: &Filter, mut visit: impl FnMut(Seen<'a>)) {
        let mut asked = Asked::default();
        for (board, labels) in self.hosts(filter) {
            let exposure = self.exposure_of(board, labels);
            let criticality = self.criticality_of(board, labels);
            let terms = self.settings.terms(labels);
            let reached: Vec<bool> = self.exceptions.iter().map(|e| Self::reaches(e, filter.of, labels)).collect();
            for entry in packed::entries(&board.row.entries) {
                let Some(at) = asked.place(entry.subject, || self.known(entry.subject, filter)) else { continue };
                let Some(of) = asked.known.get(at) else { continue };
                let excepted = of.exceptions.iter().any(|at| reached.get(*at).copied().unwrap_or(false));
                let state = standing(&entry, excepted);
                let wanted =
                    if filter.states.is_empty() { state == State::Open } else { filter.states.contains(&state) };
                if !wanted {
                    continue;
                }
                // What does not run is no danger as long as it does not.
                let detail = of.detail.filter(|_| state != State::NotRunning);
                let risk = detail.map_or(0.0, |detail| detail.risk(exposure, criticality));
                let seconds = terms.seconds_to_fix(of.rating, of.exploited);
                let due_s = seconds.map(|seconds| entry.since_s + seconds);
                let overdue = state == State::Open && due_s.is_some_and(|due| due < self.now_s);
                let fits = filter.risk_min.is_none_or(|min| risk >= min)
                    && filter.overdue.is_none_or(|wanted| wanted == overdue)
                    && filter.restart.is_none_or(|wanted| wanted == entry.restart);
                if fits {
                    let (subject, detail) = (of.subject, of.detail);
                    visit(Seen {
                        board,
                        labels,
                        exposure,
                        criticality,
                        entry,
                        at,
                        subject,
                        detail,
                        state,
                        risk,
                        due_s,
                        overdue,
                    });
                }
            }
        }
    }

    /// What fits, each vulnerability in each package once, in an order.
    pub fn rows(&self, filter: &Filter, order: Order) -> Vec<Row> {
        let mut rows: Vec<Option<Row>> = Vec::new();
        self.walk(filter, |seen| {
            if seen.at >= rows.len() {
                rows.resize(seen.at + 1, None);
            }
            let Some(row) = rows.get_mut(seen.at) else { return };
            let row = row.get_or_insert_with(|| Row {
                number: seen.entry.subject,
                subject: Arc::clone(seen.subject),
                detail: seen.detail.cloned(),
                hosts: 0,
                overdue: 0,
                risk: 0.0,
                first_s: i64::MAX,
            });
            row.hosts += 1;
            row.overdue += u32::from(seen.overdue);
            row.risk = row.risk.max(seen.risk);
            row.first_s = row.first_s.min(seen.entry.first_s);
        });
        let mut rows: Vec<Row> = rows.into_iter().flatten().collect();
        rows.sort_by(|a, b| place(order, b).partial_cmp(&place(order, a)).unwrap_or(std::cmp::Ordering::Equal));
        rows
    }

    /// What fits, once for each host, in an order. Without the packages.
    pub fn host_rows(&self, filter: &Filter, order: Order) -> Vec<HostFinding> {
        let mut rows: Vec<HostFinding> = Vec::new();
        let mut last: Option<Arc<RowHost>> = None;
        self.walk(filter, |seen| {
            let host = match &last {
                Some(host) if host.id == seen.labels.host => Arc::clone(host),
                _ => Arc::new(RowHost {
                    id: seen.labels.host,
                    name: seen.labels.name.clone(),
                    exposure: seen.exposure,
                    criticality: seen.criticality,
                }),
            };
            last = Some(Arc::clone(&host));
            rows.push(HostFinding {
                host,
                subject: Arc::clone(seen.subject),
                detail: seen.detail.cloned(),
                last_s: last_s(&seen.entry, seen.board),
                entry: seen.entry,
                state: seen.state,
                risk: seen.risk,
                due_s: seen.due_s,
                overdue: seen.overdue,
                packages: Vec::new(),
            });
        });
        rows.sort_by(|a, b| {
            host_place(order, b).partial_cmp(&host_place(order, a)).unwrap_or(std::cmp::Ordering::Equal)
        });
        rows
    }

    /// How many fit, once for each host: whoever asks for all of them asks this first.
    pub fn count(&self, filter: &Filter) -> usize {
        let mut count = 0;
        self.walk(filter, |_| count += 1);
        count
    }

    /// Says which packages of the hosts have what is to be shown.
    pub fn name_packages(&self, rows: &mut [HostFinding]) {
        let wanted: HashSet<u32> = rows.iter().map(|row| row.entry.subject).collect();
        let mut places: HashMap<(Uuid, u32), usize> = HashMap::new();
        for (at, row) in rows.iter().enumerate() {
            places.insert((row.host.id, row.entry.subject), at);
        }
        let hosts: HashSet<Uuid> = rows.iter().map(|row| row.host.id).collect();
        for host in hosts.iter().filter_map(|host| self.board.hosts.get(host)) {
            let kernels = self.board.kernels(&host.row);
            for number in packed::numbers(&host.row.components) {
                for judged in self.board.judged(number).iter().filter(|judged| wanted.contains(&judged.subject)) {
                    let at = places.get(&(host.row.host, judged.subject));
                    let (Some(row), Some(component)) =
                        (at.and_then(|at| rows.get_mut(*at)), self.board.component(number))
                    else {
                        continue;
                    };
                    row.packages.push(Package {
                        name: component.name.clone(),
                        version: component.version.clone(),
                        fixed_in: Arc::clone(&judged.fixed_in),
                        running: kernels.is_running(number),
                    });
                }
            }
        }
    }
}

fn standing(entry: &Entry, excepted: bool) -> State {
    match (entry.closed_s, entry.withdrawn) {
        _ if entry.asleep => State::NotRunning,
        (Some(_), true) => State::Withdrawn,
        (Some(_), false) => State::Fixed,
        (None, _) if excepted => State::Excepted,
        (None, _) => State::Open,
    }
}

/// When it was last seen: what sleeps is there still.
fn last_s(entry: &Entry, host: &HostBoard) -> i64 {
    entry.closed_s.filter(|_| !entry.asleep).unwrap_or(host.row.judged.0 / Micros::SECOND)
}

fn fits(filter: &Filter, subject: &Subject, detail: Option<&Detail>) -> bool {
    let same = |wanted: &Option<String>, is: &str| wanted.as_ref().is_none_or(|wanted| wanted == is);
    let rating = detail.map_or(Rating::Unknown, |detail| detail.rating);
    let contains = |text: &String| {
        let text = text.to_lowercase();
        let summary = detail.map_or("", |detail| detail.summary.as_str());
        [subject.vulnerability.as_str(), &subject.package, summary].iter().any(|of| of.to_lowercase().contains(&text))
    };
    same(&filter.vulnerability, &subject.vulnerability)
        && same(&filter.package, &subject.package)
        && (filter.ratings.is_empty() || filter.ratings.contains(&rating))
        && filter.exploited.is_none_or(|wanted| wanted == detail.is_some_and(Detail::is_exploited))
        && filter.fixable.is_none_or(|wanted| wanted == detail.is_some_and(|detail| !detail.fixed_in.is_empty()))
        && filter.search.as_ref().is_none_or(contains)
}

fn rank(order: Order, detail: Option<&Detail>, risk: f64, first_s: i64, hosts: u32) -> (f64, f64) {
    match order {
        Order::Risk => (risk, detail.and_then(|detail| detail.score).unwrap_or(0.0)),
        Order::Hosts => (f64::from(hosts), risk),
        Order::Rating => {
            let rating = detail.map_or(Rating::Unknown, |detail| detail.rating);
            (f64::from(rating as u8), detail.and_then(|detail| detail.score).unwrap_or(0.0))
        }
        Order::Epss => (f64::from(detail.and_then(|detail| detail.epss).unwrap_or(0.0)), risk),
        Order::FirstSeen => (first_s as f64, risk),
        Order::Oldest => (-first_s as f64, risk),
    }
}

/// Where a row stands among the others; no two are at the same place, so that a page knows where the one before ended.
pub(crate) fn place(order: Order, row: &Row) -> ((f64, f64), u32) {
    (rank(order, row.detail.as_deref(), row.risk, row.first_s, row.hosts), u32::MAX - row.number)
}

pub(crate) fn host_place(order: Order, row: &HostFinding) -> ((f64, f64), u32, Uuid) {
    (rank(order, row.detail.as_deref(), row.risk, row.entry.first_s, 1), u32::MAX - row.entry.subject, row.host.id)
}

impl Row {
    /// Where it stands in an order.
    pub fn place(&self, order: Order) -> ((f64, f64), u32) {
        place(order, self)
    }
}

impl HostFinding {
    /// Where it stands in an order.
    pub fn place(&self, order: Order) -> ((f64, f64), u32, Uuid) {
        host_place(order, self)
    }
}
