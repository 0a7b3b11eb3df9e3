//! Figures: how much there is, how it went day by day, how long it takes to fix, and how groups of hosts compare.

use guardian_catalog::HostLabels;
use guardian_vuln::cvss::Rating;
use hashbrown::HashMap;
use uuid::Uuid;

use crate::board::Detail;
use crate::view::{Filter, State, View};

/// Seconds of a day.
const DAY_S: i64 = 86_400;
/// Over how many days what was fixed is averaged.
const FIXED_DAYS: i64 = 90;

/// What there is of one rating.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RatingFigures {
    /// The rating.
    pub rating: Rating,
    /// Open findings, each host counted.
    pub open: u64,
    /// Vulnerabilities in packages, each once.
    pub distinct: u64,
    /// Open ones that are beyond their deadline.
    pub overdue: u64,
    /// How many were fixed in the last 90 days.
    pub fixed: u64,
    /// Mean seconds from when they came to when they were fixed; none where none was.
    pub mean_seconds_to_fix: Option<f64>,
}

/// One day, in UTC.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrendDay {
    /// Days since the epoch.
    pub day: i64,
    /// Open at its end.
    pub open: i64,
    /// Came on it.
    pub opened: i64,
    /// Were fixed, or withdrawn, on it.
    pub closed: i64,
}

/// What there is on the hosts of a group, or on one host.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupFigures {
    /// Its name.
    pub name: String,
    /// The host; none for a group.
    pub host: Option<Uuid>,
    /// How many hosts are in it.
    pub hosts: u64,
    /// Open findings.
    pub open: u64,
    /// Open ones that are rated critical.
    pub critical: u64,
    /// Open ones that are known to be exploited.
    pub exploited: u64,
    /// Open ones that are beyond their deadline.
    pub overdue: u64,
    /// The sum of their risks.
    pub risk: f64,
}

/// What is open on one host, or in one image.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counts {
    /// By rating, in the order of [`RATINGS`].
    pub ratings: [u64; 6],
    /// Known to be exploited.
    pub exploited: u64,
    /// With a fix.
    pub fixable: u64,
    /// Beyond their deadline.
    pub overdue: u64,
    /// Put up with.
    pub excepted: u64,
    /// The sum of the risks of what is open.
    pub risk: f64,
}

impl Counts {
    /// How many are open.
    pub fn open(&self) -> u64 {
        self.ratings.iter().sum()
    }

    /// How many are open that are rated so.
    pub fn rated(&self, rating: Rating) -> u64 {
        let place = RATINGS.iter().position(|known| *known == rating);
        place.and_then(|at| self.ratings.get(at)).copied().unwrap_or_default()
    }
}

/// All figures.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// Hosts that were looked at.
    pub hosts: u64,
    /// Those of them with anything open.
    pub vulnerable_hosts: u64,
    /// Hosts of a distribution, or none, of which no advisory speaks.
    pub unknown_hosts: u64,
    /// Open findings, each host counted.
    pub open: u64,
    /// Open ones that are known to be exploited.
    pub exploited: u64,
    /// Open ones that have a fix.
    pub fixable: u64,
    /// Open ones that are beyond their deadline.
    pub overdue: u64,
    /// Open ones that a restart takes away: a kernel without them is installed.
    pub restart: u64,
    /// Those in kernels that are installed and do not run; none of them is open.
    pub not_running: u64,
    /// Those that are put up with.
    pub excepted: u64,
    /// Those that came back after they were fixed.
    pub reopened: u64,
    /// The sum of the risks of what is open.
    pub risk: f64,
    /// By rating, the worst first.
    pub ratings: Vec<RatingFigures>,
    /// Day by day, the oldest first.
    pub trend: Vec<TrendDay>,
}

const RATINGS: [Rating; 6] =
    [Rating::Critical, Rating::High, Rating::Medium, Rating::Low, Rating::None, Rating::Unknown];

impl View<'_> {
    /// The figures of what fits, whatever its state, with so many days.
    pub fn figures(&self, filter: &Filter, days: u32) -> Figures {
        let states = vec![State::Open, State::NotRunning, State::Excepted, State::Fixed, State::Withdrawn];
        let filter = Filter { states, ..filter.clone() };
        let mut figures = Figures::default();
        let mut ratings: HashMap<Rating, RatingFigures> = HashMap::new();
        let mut distinct: Vec<bool> = Vec::new();
        let mut last: Option<Uuid> = None;
        let mut trend = Trend::new(self.now_s, days);
        for (host, _) in self.hosts(&filter) {
            figures.hosts += 1;
            figures.unknown_hosts += u64::from(host.row.ecosystem.is_empty());
        }
        self.walk(&filter, |seen| {
            if seen.entry.was_open() {
                trend.add(seen.entry.first_s, seen.entry.closed_s);
            }
            let rating = seen.detail.map_or(Rating::Unknown, |detail| detail.rating);
            let of = ratings.entry(rating).or_default();
            match seen.state {
                State::Open => {
                    figures.open += 1;
                    figures.risk += seen.risk;
                    figures.exploited += u64::from(seen.detail.is_some_and(|detail| detail.is_exploited()));
                    figures.fixable += u64::from(seen.detail.is_some_and(|detail| !detail.fixed_in.is_empty()));
                    figures.overdue += u64::from(seen.overdue);
                    figures.restart += u64::from(seen.entry.restart);
                    figures.reopened += u64::from(seen.entry.reopened > 0);
                    of.open += 1;
                    of.overdue += u64::from(seen.overdue);
                    if seen.at >= distinct.len() {
                        distinct.resize(seen.at + 1, false);
                    }
                    let seen_before = distinct.get_mut(seen.at).is_none_or(|known| std::mem::replace(known, true));
                    of.distinct += u64::from(!seen_before);
                    // Hosts come one after the other.
                    let host = seen.labels.host;
                    figures.vulnerable_hosts += u64::from(last.replace(host) != Some(host));
                }
                State::NotRunning => figures.not_running += 1,
                State::Excepted => figures.excepted += 1,
                State::Fixed if !seen.entry.was_open() => {}
                State::Fixed => {
                    let closed = seen.entry.closed_s.unwrap_or(self.now_s);
                    if self.now_s - closed < FIXED_DAYS * DAY_S {
                        let sum = of.mean_seconds_to_fix.unwrap_or(0.0) * of.fixed as f64;
                        of.fixed += 1;
                        of.mean_seconds_to_fix = Some((sum + (closed - seen.entry.since_s) as f64) / of.fixed as f64);
                    }
                }
                State::Withdrawn => {}
            }
        });
        figures.ratings = RATINGS
            .into_iter()
            .map(|rating| RatingFigures { rating, ..ratings.remove(&rating).unwrap_or_default() })
            .collect();
        figures.trend = trend.finish();
        figures
    }

    /// What is open on each host, or in each image, by its id; those with nothing are left out.
    pub fn counts(&self, filter: &Filter) -> HashMap<Uuid, Counts> {
        let filter = Filter { states: vec![State::Open, State::Excepted], ..filter.clone() };
        let mut all: HashMap<Uuid, Counts> = HashMap::new();
        self.walk(&filter, |seen| {
            let counts = all.entry(seen.labels.host).or_default();
            if seen.state == State::Excepted {
                counts.excepted += 1;
                return;
            }
            let rating = seen.detail.map_or(Rating::Unknown, |detail| detail.rating);
            if let Some(open) =
                RATINGS.iter().position(|known| *known == rating).and_then(|at| counts.ratings.get_mut(at))
            {
                *open += 1;
            }
            counts.exploited += u64::from(seen.detail.is_some_and(|detail| detail.is_exploited()));
            counts.fixable += u64::from(seen.detail.is_some_and(|detail| !detail.fixed_in.is_empty()));
            counts.overdue += u64::from(seen.overdue);
            counts.risk += seen.risk;
        });
        all
    }

    /// How the groups that any host is in compare, the one with the most risk first.
    pub fn groups(&self, filter: &Filter) -> Vec<GroupFigures> {
        let mut groups: HashMap<&str, GroupFigures> = HashMap::new();
        for host in self.host_figures(filter) {
            let labels = host.host.and_then(|id| self.board.labels.get(&id));
            for group in labels.into_iter().flat_map(|labels| &labels.groups) {
                let sum = groups
                    .entry(group)
                    .or_insert_with(|| GroupFigures { name: group.clone(), ..GroupFigures::default() });
                sum.hosts += 1;
                sum.open += host.open;
                sum.critical += host.critical;
                sum.exploited += host.exploited;
                sum.overdue += host.overdue;
                sum.risk += host.risk;
            }
        }
        sorted(groups.into_values())
    }

    /// How hosts compare, the one with the most risk first.
    pub fn host_figures(&self, filter: &Filter) -> Vec<GroupFigures> {
        let figures = |labels: &HostLabels| GroupFigures {
            name: labels.name.clone(),
            host: Some(labels.host),
            hosts: 1,
            ..GroupFigures::default()
        };
        let mut hosts: Vec<GroupFigures> = self.hosts(filter).map(|(_, labels)| figures(labels)).collect();
        let places: HashMap<Uuid, usize> =
            hosts.iter().enumerate().filter_map(|(at, host)| Some((host.host?, at))).collect();
        let mut last: Option<(Uuid, usize)> = None;
        self.walk(filter, |seen| {
            let host = seen.labels.host;
            let at = match last {
                Some((known, at)) if known == host => Some(at),
                _ => places.get(&host).copied(),
            };
            let Some(at) = at else { return };
            last = Some((host, at));
            if let Some(figures) = hosts.get_mut(at) {
                figures.add(seen.detail.map(AsRef::as_ref), seen.overdue, seen.risk);
            }
        });
        sorted(hosts.into_iter())
    }
}

fn sorted(all: impl Iterator<Item = GroupFigures>) -> Vec<GroupFigures> {
    let mut all: Vec<GroupFigures> = all.collect();
    all.sort_by(|a, b| b.risk.total_cmp(&a.risk).then_with(|| (&a.name, a.host).cmp(&(&b.name, b.host))));
    all
}

impl GroupFigures {
    fn add(&mut self, detail: Option<&Detail>, overdue: bool, risk: f64) {
        self.open += 1;
        self.critical += u64::from(detail.is_some_and(|detail| detail.rating == Rating::Critical));
        self.exploited += u64::from(detail.is_some_and(Detail::is_exploited));
        self.overdue += u64::from(overdue);
        self.risk += risk;
    }
}

/// Counts by day. What came back counts as if it had never been away.
struct Trend {
    first: i64,
    before: i64,
    days: Vec<(i64, i64)>,
}

impl Trend {
    fn new(now_s: i64, days: u32) -> Self {
        let last = now_s.div_euclid(DAY_S);
        Self { first: last - i64::from(days.max(1)) + 1, before: 0, days: vec![(0, 0); days.max(1) as usize] }
    }

    fn add(&mut self, first_s: i64, closed_s: Option<i64>) {
        let at = |seconds: i64| seconds.div_euclid(DAY_S) - self.first;
        let (opened, closed) = (at(first_s), closed_s.map(at));
        if opened < 0 {
            self.before += i64::from(closed.is_none_or(|closed| closed >= 0));
        } else if let Some(day) = self.days.get_mut(opened as usize) {
            day.0 += 1;
        }
        if let Some(day) = closed.and_then(|at| usize::try_from(at).ok()).and_then(|at| self.days.get_mut(at)) {
            day.1 += 1;
        }
    }

    fn finish(self) -> Vec<TrendDay> {
        let mut open = self.before;
        let day = |(at, (opened, closed)): (usize, (i64, i64))| {
            open += opened - closed;
            TrendDay { day: self.first + at as i64, open, opened, closed }
        };
        self.days.into_iter().enumerate().map(day).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_count_what_was_open_at_their_end() {
        let mut trend = Trend::new(1_000 * DAY_S + 5, 3);
        let at = |day: i64| day * DAY_S + 100;
        trend.add(at(900), None);
        trend.add(at(900), Some(at(950)));
        trend.add(at(900), Some(at(999)));
        trend.add(at(999), None);
        trend.add(at(1_000), Some(at(1_000)));
        let shown: Vec<_> = trend.finish().iter().map(|d| (d.day, d.open, d.opened, d.closed)).collect();
        assert_eq!(shown, [(998, 2, 0, 0), (999, 2, 1, 1), (1_000, 2, 1, 1)]);
    }
}
