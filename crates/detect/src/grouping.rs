//! Alert grouping: firings of one rule for one group become one alert while they keep coming.
//!
//! A window opens at the event time of a firing and stays open until it was quiet for the rule's alert window (event
//! time), and at most [`WINDOW_MAX`]; the next firing opens a new one. An alert counts the rows after which its
//! condition held. It is told as a finding when it opens and when its count reaches 10, 100, 1000 and so on; what
//! changes in between leaves as coalesced absolute states. Must never depend on how rows were cut into batches:
//! everything is decided row by row, from columns of the row.

use std::sync::Arc;

use guardian_model::{AlertKey, AlertState, Entity, Finding, Micros, RuleRef, TenantId};
use guardian_rules::Template;
use serde::{Deserialize, Serialize};

use crate::Output;
use crate::bounded::BoundedMap;
use crate::detectors::Measure;
use crate::evidence::{Copied, Evidence};
use crate::work::Work;

/// Longest that one alert stays open, whatever comes.
pub const WINDOW_MAX: i64 = 24 * Micros::HOUR;
/// Processing time beyond its window after which a quiet alert is closed, in microseconds.
const GRACE: i64 = Micros::HOUR;

/// What grouping must know of a rule or detector.
#[derive(Clone, Debug)]
pub(crate) struct RuleInfo {
    pub(crate) reference: Arc<RuleRef>,
    pub(crate) alert_window: i64,
    pub(crate) summary: Option<Template>,
}

/// Identity of a group's current alert.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Key {
    tenant: TenantId,
    /// Number of the rule in the engine's register.
    pub(crate) rule: u32,
    group: Arc<str>,
}

/// What a new alert says about itself, made only when it opens.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct About {
    pub(crate) entity: Entity,
    pub(crate) replay: Option<String>,
    /// Values for the summary's placeholders: the group's fields, then others of the row that opened it.
    pub(crate) fields: Vec<(String, String)>,
    /// Rows that led to the first firing.
    pub(crate) prior: Vec<Copied>,
}

/// Rows after which a condition held in one group, in order.
pub(crate) struct Firings<'a> {
    /// Number of the rule in the register.
    pub(crate) rule: u32,
    /// Canonical `name=value` pairs, with site and replay first where there are any.
    pub(crate) group: &'a str,
    pub(crate) rows: &'a [u32],
    /// Earliest event that counts; rows may be earlier still.
    pub(crate) first_seen: Micros,
    /// The measures after the last of the rows.
    pub(crate) measures: Vec<(String, Measure)>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Alert {
    about: About,
    window_start: i64,
    first_seen: i64,
    last_seen: i64,
    /// When the last row that counted was received.
    last_received: i64,
    count: u64,
    /// Count at which it is told next.
    next_step: u64,
    measures: Vec<(String, Measure)>,
    evidence: Evidence,
    /// Changed since it was last told.
    dirty: bool,
    /// Processing time at which it was last told.
    told: i64,
}

/// All open alerts.
#[derive(Debug)]
pub(crate) struct Grouping {
    alerts: BoundedMap<Key, Alert>,
    dirty: Vec<Key>,
    touched: Vec<Key>,
    evidence_bytes: usize,
    evidence_bytes_max: usize,
    /// Rows that were counted but not copied, because the memory for evidence was used up.
    pub(crate) evidence_skipped: u64,
    update_interval: i64,
    next_look: i64,
    next_sweep: i64,
}

impl Grouping {
    pub(crate) fn new(alerts_max: usize, evidence_bytes_max: usize, update_interval: i64) -> Self {
        Self {
            alerts: BoundedMap::new(alerts_max),
            dirty: Vec::new(),
            touched: Vec::new(),
            evidence_bytes: 0,
            evidence_bytes_max,
            evidence_skipped: 0,
            update_interval,
            next_look: i64::MIN,
            next_sweep: i64::MIN,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.alerts.len()
    }

    pub(crate) fn evicted(&self) -> u64 {
        self.alerts.evicted()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.alerts.bytes() + self.evidence_bytes + self.alerts.len() * 300
    }

    /// Open alerts of each rule number, up to `rules`.
    pub(crate) fn open_by_rule(&self, rules: usize) -> Vec<u64> {
        let mut open = vec![0; rules];
        for (key, _) in self.alerts.iter() {
            if let Some(count) = open.get_mut(key.rule as usize) {
                *count += 1;
            }
        }
        open
    }

    /// Counts rows after which a rule's condition held.
    pub(crate) fn fire(
        &mut self,
        work: &Work<'_>,
        firings: Firings<'_>,
        about: impl Fn(u32) -> About,
        out: &mut Output,
    ) {
        let Firings { rule, group, rows, first_seen, measures } = firings;
        let tenant = work.batch.tenant;
        let window = work.rules[rule as usize].alert_window;
        let query = (tenant, rule, group);
        let mut place = self.alerts.find(&query, |k| k.rule == rule && k.tenant == tenant && &*k.group == group);
        let mut described = false;
        for &row in rows {
            let (time, received) = (work.times[row as usize], work.received[row as usize]);
            let at = match place {
                Some(at) if self.alerts.at(at).1.takes(window, time, received) => at,
                _ => {
                    described = false;
                    let key = Key { tenant, rule, group: Arc::from(group) };
                    let first_seen = if place.is_none() { first_seen.0.min(time) } else { time };
                    self.open(work, key, place, Alert::new(about(row), first_seen, time), out)
                }
            };
            place = Some(at);
            if !std::mem::replace(&mut described, true) {
                self.alerts.at(at).1.measure(&measures);
            }
            self.count(work, at, row, out);
        }
    }

    /// Puts a new alert in, in place of the group's old one where there is one, and returns its place.
    fn open(&mut self, work: &Work<'_>, key: Key, place: Option<usize>, alert: Alert, out: &mut Output) -> usize {
        self.evidence_bytes += alert.evidence.bytes();
        let (at, gone) = match place {
            Some(at) => (at, Some((key, std::mem::replace(self.alerts.at(at).1, alert)))),
            None => self.alerts.insert(key, alert),
        };
        if let Some((key, mut gone)) = gone {
            self.evidence_bytes += gone.evidence.settle(work.id, work.batch.class, &work.batch.rows);
            self.part(work.rules, &key, &gone, out);
        }
        at
    }

    /// Says the last word on an alert that leaves.
    fn part(&mut self, rules: &[RuleInfo], key: &Key, alert: &Alert, out: &mut Output) {
        self.evidence_bytes = self.evidence_bytes.saturating_sub(alert.evidence.bytes());
        if let Some(info) = rules.get(key.rule as usize).filter(|_| alert.dirty) {
            out.updates.push(alert.state(key, info));
        }
    }

    /// Counts one row into the alert at a place.
    fn count(&mut self, work: &Work<'_>, at: usize, row: u32, out: &mut Output) {
        let full = self.evidence_bytes >= self.evidence_bytes_max;
        let (key, alert) = self.alerts.at(at);
        let (time, received) = (work.times[row as usize], work.received[row as usize]);
        alert.count += 1;
        alert.first_seen = alert.first_seen.min(time);
        alert.last_seen = alert.last_seen.max(time);
        alert.last_received = alert.last_received.max(received);
        if full && alert.count > 1 {
            self.evidence_skipped += 1;
        } else {
            if alert.evidence.is_settled() {
                self.touched.push(key.clone());
            }
            alert.evidence.note(row);
        }
        if alert.count < alert.next_step {
            if !std::mem::replace(&mut alert.dirty, true) {
                self.dirty.push(key.clone());
            }
            return;
        }
        alert.next_step = alert.next_step.saturating_mul(10);
        self.evidence_bytes += alert.evidence.settle(work.id, work.batch.class, &work.batch.rows);
        (alert.dirty, alert.told) = (false, work.batch.received.0);
        out.findings.push(Finding {
            alert: alert.state(key, &work.rules[key.rule as usize]),
            time: Micros(time),
            received: Micros(received),
            trigger: Some(work.event(row)),
        });
    }

    /// Ends a batch: copies the evidence noted in it.
    pub(crate) fn settle(&mut self, work: &Work<'_>) {
        for key in std::mem::take(&mut self.touched) {
            if let Some(alert) = self.alerts.get_mut(&key) {
                self.evidence_bytes += alert.evidence.settle(work.id, work.batch.class, &work.batch.rows);
            }
        }
    }

    /// Tells what changed and is due, and closes what was quiet for long. `now` is processing time.
    pub(crate) fn tick(&mut self, rules: &[RuleInfo], now: Micros, out: &mut Output) {
        if now.0 < self.next_look {
            return;
        }
        self.next_look = now.0.saturating_add(self.update_interval.min(Micros::SECOND));
        let interval = self.update_interval;
        let alerts = &mut self.alerts;
        self.dirty.retain(|key| {
            let Some(alert) = alerts.get_mut(key).filter(|a| a.dirty) else { return false };
            if now.0.saturating_sub(alert.told) < interval {
                return true;
            }
            (alert.dirty, alert.told) = (false, now.0);
            if let Some(info) = rules.get(key.rule as usize) {
                out.updates.push(alert.state(key, info));
            }
            false
        });
        if now.0 >= self.next_sweep {
            self.next_sweep = now.0.saturating_add(Micros::MINUTE);
            let window = |rule: u32| rules.get(rule as usize).map_or(0, |info| info.alert_window);
            self.remove(rules, out, |key, alert| !alert.is_over(window(key.rule), now.0));
        }
    }

    /// Tells everything that changed, due or not.
    pub(crate) fn flush(&mut self, rules: &[RuleInfo], out: &mut Output) {
        for key in std::mem::take(&mut self.dirty) {
            let Some(alert) = self.alerts.get_mut(&key).filter(|a| a.dirty) else { continue };
            alert.dirty = false;
            if let Some(info) = rules.get(key.rule as usize) {
                out.updates.push(alert.state(&key, info));
            }
        }
    }

    /// Closes every alert that `keep` refuses.
    pub(crate) fn remove(&mut self, rules: &[RuleInfo], out: &mut Output, keep: impl Fn(&Key, &Alert) -> bool) {
        let mut gone = Vec::new();
        self.alerts.retain(|k, a| keep(k, a), |k, a| gone.push((k, a)));
        for (key, alert) in gone {
            self.part(rules, &key, &alert, out);
        }
    }

    /// Closes the alerts of a replay.
    pub(crate) fn forget_replay(&mut self, tenant: TenantId, replay: &str) {
        let keep = |k: &Key, a: &mut Alert| k.tenant != tenant || a.about.replay.as_deref() != Some(replay);
        let mut freed = 0;
        self.alerts.retain(keep, |_, a| freed += a.evidence.bytes());
        self.evidence_bytes = self.evidence_bytes.saturating_sub(freed);
    }

    /// The open alerts as snapshot bytes.
    pub(crate) fn save(&self) -> Result<Vec<u8>, postcard::Error> {
        postcard::to_stdvec(&(self.alerts.save()?, self.evidence_skipped))
    }

    /// Takes over open alerts from snapshot bytes; `renumber` gives a rule's number now, or `None` when it is gone.
    pub(crate) fn load(&mut self, bytes: &[u8], renumber: impl Fn(u32) -> Option<u32>) -> Result<(), postcard::Error> {
        let (alerts, skipped): (Vec<u8>, u64) = postcard::from_bytes(bytes)?;
        self.alerts = BoundedMap::load_mapped(self.alerts.limit(), &alerts, |key: Key| {
            Some(Key { rule: renumber(key.rule)?, ..key })
        })?;
        self.evidence_skipped = skipped;
        self.evidence_bytes = self.alerts.iter().map(|(_, a)| a.evidence.bytes()).sum();
        self.dirty = self.alerts.iter().filter(|(_, a)| a.dirty).map(|(k, _)| k.clone()).collect();
        Ok(())
    }
}

impl Alert {
    fn new(mut about: About, first_seen: i64, time: i64) -> Self {
        let mut evidence = Evidence::default();
        for copied in std::mem::take(&mut about.prior) {
            evidence.push(copied);
        }
        Self {
            about,
            window_start: time,
            first_seen,
            last_seen: time,
            last_received: i64::MIN,
            count: 0,
            next_step: 1,
            measures: Vec::new(),
            evidence,
            dirty: false,
            told: i64::MIN,
        }
    }

    /// Takes over new measures. `measure`, that of a correlation's sliding window, stays at its highest.
    fn measure(&mut self, measures: &[(String, Measure)]) {
        let highest = |list: &[(String, Measure)]| list.iter().find(|(n, _)| n == "measure").map(|(_, m)| m.clone());
        let before = highest(&self.measures);
        self.measures.clear();
        self.measures.extend_from_slice(measures);
        if let (Some(before), Some((_, now))) = (before, self.measures.iter_mut().find(|(n, _)| n == "measure"))
            && before.to_f64() > now.to_f64()
        {
            *now = before;
        }
    }

    /// Whether a firing at `time` belongs to this alert. Late ones do.
    fn takes(&self, window: i64, time: i64, received: i64) -> bool {
        time.saturating_sub(self.last_seen) <= window
            && time.saturating_sub(self.window_start) < WINDOW_MAX
            && !self.is_over(window, received)
    }

    /// Whether nothing came for so long, in processing time, that the alert may be forgotten.
    fn is_over(&self, window: i64, received: i64) -> bool {
        received.saturating_sub(self.last_received) > window.saturating_add(GRACE)
    }

    fn state(&self, key: &Key, info: &RuleInfo) -> AlertState {
        let rule = &info.reference;
        AlertState {
            key: AlertKey::new(key.tenant, &rule.id, &rule.hash, &key.group, Micros(self.window_start)),
            tenant: key.tenant,
            rule: Arc::clone(rule),
            entity: self.about.entity.clone(),
            group_key: key.group.to_string(),
            window_start: Micros(self.window_start),
            first_seen: Micros(self.first_seen),
            last_seen: Micros(self.last_seen),
            count: self.count,
            summary: self.summary(key, info),
            measures: self.measures.iter().map(|(n, m)| (n.clone(), m.to_json())).collect(),
            evidence: self.evidence.to_json(),
            replay: self.about.replay.clone(),
            retro: false,
        }
    }

    fn summary(&self, key: &Key, info: &RuleInfo) -> String {
        let Some(template) = &info.summary else {
            return format!("{} ({})", info.reference.title, key.group);
        };
        template.render(|name| {
            let measure = self.measures.iter().find(|(n, _)| n == name).map(|(_, m)| m.to_text());
            let field = || self.about.fields.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
            measure.or_else(field).or_else(|| match name {
                "count" => Some(self.count.to_string()),
                "title" => Some(info.reference.title.clone()),
                "entity" => Some(self.about.entity.value.clone()),
                "site" => Some(self.about.entity.site.clone()),
                "group" => Some(key.group.to_string()),
                "timespan" => Some(span_text(self.last_seen - self.first_seen)),
                _ => None,
            })
        })
    }
}

/// A span as people say it.
pub(crate) fn span_text(micros: i64) -> String {
    let seconds = micros.max(0) / Micros::SECOND;
    let (number, unit) = match seconds {
        0 => return "less than a second".to_owned(),
        s if s < 120 && s != 60 => (s, "second"),
        s if s < 7200 && s != 3600 => (s / 60, "minute"),
        s if s < 172_800 && s != 86_400 => (s / 3600, "hour"),
        s => (s / 86_400, "day"),
    };
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::span_text;

    #[test]
    fn spans_read_well() {
        for (secs, text) in [
            (0, "less than a second"),
            (1, "1 second"),
            (60, "1 minute"),
            (90, "90 seconds"),
            (300, "5 minutes"),
            (3600, "1 hour"),
            (86_400, "1 day"),
            (900_000, "10 days"),
        ] {
            assert_eq!(span_text(secs * 1_000_000), text);
        }
    }
}
