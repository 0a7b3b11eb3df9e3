//! The engine: rules, correlations and detectors over batches, and the alerts that come of them. It owns all state and
//! decides nothing itself: what matches is `guardian-rules`' business, what is odd the detectors', what belongs
//! together grouping's.

use std::sync::Arc;

use guardian_model::{Batch, Class, Entity, EntityKind, Micros, TenantId, cell_text};
use guardian_rules::{
    CompiledRule, Correlator, CorrelatorLimits, EVIDENCE_FIRST_MAX, Fired, Matches, RuleSet, event_times,
};
use hashbrown::HashMap;

use crate::Output;
use crate::config::DetectConfig;
use crate::detectors::{self, Descriptor, Firing, Measure, Size};
use crate::evidence::Recent;
use crate::grouping::{About, Firings, Grouping, span_text};
use crate::realm::{Partition, Realm, RealmName};
use crate::register::{Register, RuleKind};
use crate::rows::FlowRows;
use crate::stats::{RuleStats, Stats};
use crate::work::Work;

/// Detection with its state. One thread drives it.
pub struct Engine {
    pub(crate) config: DetectConfig,
    pub(crate) rules: Arc<RuleSet>,
    pub(crate) register: Register,
    /// Number in the register of each rule of the set.
    pub(crate) numbers: Vec<u32>,
    /// Which rules of the set correlations refer to.
    referred: Vec<bool>,
    pub(crate) detectors: Vec<(&'static Descriptor, u32)>,
    pub(crate) correlator: Correlator,
    pub(crate) recent: HashMap<u32, Recent>,
    pub(crate) realms: BoundedRealms,
    pub(crate) grouping: Grouping,
    pub(crate) rows: u64,
    pub(crate) odd_batches: u64,
    /// Rows that exceptions kept from rules since somebody last asked.
    excepted: HashMap<u128, u64>,
}

/// Realms with their limit. When it is reached, the realm that was quiet longest goes.
pub(crate) struct BoundedRealms {
    pub(crate) all: Vec<(RealmName, Realm)>,
    limit: usize,
    pub(crate) evicted: u64,
}

impl BoundedRealms {
    fn place(&mut self, name: &RealmName, make: impl FnOnce() -> Realm) -> usize {
        if let Some(at) = self.all.iter().position(|(n, _)| n == name) {
            return at;
        }
        if self.all.len() >= self.limit {
            let quiet = self.all.iter().enumerate().min_by_key(|(_, (_, realm))| realm.last_received);
            if let Some((at, _)) = quiet {
                self.all.swap_remove(at);
                self.evicted += 1;
            }
        }
        self.all.push((name.clone(), make()));
        self.all.len() - 1
    }
}

impl Engine {
    /// An engine without state.
    pub fn new(config: DetectConfig, rules: Arc<RuleSet>) -> Self {
        let mut register = Register::default();
        let on = |d: &&&'static Descriptor| !config.disabled_detectors.iter().any(|id| id == d.id);
        let detectors: Vec<_> =
            detectors::ALL.iter().filter(on).map(|&d| (d, register.enter_detector(d, &config))).collect();
        let interval = i64::try_from(config.update_interval_secs).unwrap_or(i64::MAX).saturating_mul(Micros::SECOND);
        let limits = CorrelatorLimits { groups: config.correlation_groups_max, ..CorrelatorLimits::default() };
        let mut engine = Self {
            register,
            numbers: Vec::new(),
            referred: Vec::new(),
            detectors,
            correlator: Correlator::new(limits),
            recent: HashMap::new(),
            realms: BoundedRealms { all: Vec::new(), limit: config.realms_max.max(1), evicted: 0 },
            grouping: Grouping::new(config.open_alerts_max, config.evidence_bytes_max, interval),
            rows: 0,
            odd_batches: 0,
            excepted: HashMap::new(),
            rules: Arc::new(RuleSet::empty()),
            config,
        };
        engine.take_rules(rules);
        engine
    }

    /// The rules in use.
    pub fn rules(&self) -> &Arc<RuleSet> {
        &self.rules
    }

    /// Replaces the rules. State and open alerts of rules whose content is the same are kept; alerts of the others are
    /// closed, and what they had not told yet is in the output.
    pub fn swap_rules(&mut self, rules: Arc<RuleSet>) -> Output {
        let mut out = Output::default();
        let before = self.numbers.clone();
        let infos = self.register.infos.clone();
        let hashes: Vec<_> = rules.rules().iter().map(|r| (&r.rule_ref.id, &r.rule_ref.hash)).collect();
        let stays = |number: u32| {
            let reference = &infos[number as usize].reference;
            !before.contains(&number) || hashes.contains(&(&reference.id, &reference.hash))
        };
        self.grouping.remove(&infos, &mut out, |key, _| stays(key.rule));
        self.recent.retain(|number, _| stays(*number));
        self.take_rules(rules);
        out
    }

    fn take_rules(&mut self, rules: Arc<RuleSet>) {
        self.numbers = self.register.enter_rules(&rules);
        self.referred = vec![false; rules.rules().len()];
        for rule in rules.rules() {
            for base in rule.referred_rules() {
                self.referred[base] = true;
            }
        }
        self.correlator.retain(&rules);
        self.rules = rules;
    }

    /// Takes a batch. Ids must grow from batch to batch; they name the rows in evidence.
    pub fn process(&mut self, batch_id: u64, batch: &Batch) -> Output {
        let mut out = Output::default();
        let times = event_times(batch);
        let rows = FlowRows::new(batch);
        if batch.rows.num_columns() != batch.class.fields.len() {
            self.odd_batches += 1;
            return out;
        }
        self.rows += times.len() as u64;
        let received: Vec<i64> = match &rows {
            Some(rows) => rows.received.to_vec(),
            None => received_times(batch),
        };
        let matches = self.rules.evaluate(batch);
        let infos = std::mem::take(&mut self.register.infos);
        let work = Work { id: batch_id, batch, times: &times, received: &received, rules: &infos };
        let partition = Partition::new(batch);
        self.note_matches(&work, &matches);
        self.note_exceptions(&matches);
        self.plain_rules(&work, &partition, &matches, &mut out);
        let fired = self.correlator.step(&self.rules, batch_id, batch, &matches);
        for fired in fired {
            self.correlation(&work, fired, &mut out);
        }
        if let Some(rows) = &rows {
            self.run_detectors(&work, &partition, rows, &matches, &mut out);
        }
        self.grouping.settle(&work);
        self.grouping.tick(work.rules, batch.received, &mut out);
        out.findings.sort_by_key(|f| (f.time, f.alert.key, f.alert.count));
        self.register.infos = infos;
        out
    }

    /// Lets processing time pass: tells alerts that changed and are due.
    pub fn tick(&mut self, now: Micros) -> Output {
        let mut out = Output::default();
        self.grouping.tick(&self.register.infos, now, &mut out);
        out
    }

    /// Tells every alert that changed since it was last told, due or not: before a shutdown or at the end of a test.
    pub fn flush(&mut self) -> Output {
        let mut out = Output::default();
        self.grouping.flush(&self.register.infos, &mut out);
        out
    }

    /// Forgets the detector state and the open alerts of a replay whose rows were removed.
    pub fn forget_replay(&mut self, tenant: TenantId, replay: &str) {
        self.grouping.forget_replay(tenant, replay);
        self.realms.all.retain(|(name, _)| name.tenant != tenant || name.replay.as_deref() != Some(replay));
    }

    /// Counts the matches of every rule and copies rows that correlations may point to.
    fn note_matches(&mut self, work: &Work<'_>, matches: &Matches) {
        for (at, &number) in self.numbers.iter().enumerate() {
            let Some(mask) = self.rules.matched_rows(at, matches) else { continue };
            let rows: Vec<u32> = mask.set_indices_u32().collect();
            let last = rows.iter().map(|&r| work.times[r as usize]).max().unwrap_or(i64::MIN);
            self.register.matched(number, rows.len(), last);
            if self.referred[at] {
                let recent = self.recent.entry(number).or_default();
                recent.extend(work.id, work.batch.class, &work.batch.rows, &rows);
            }
        }
    }

    fn note_exceptions(&mut self, matches: &Matches) {
        for ((id, _), rows) in self.rules.exceptions().zip(matches.excepted()) {
            if *rows > 0 {
                *self.excepted.entry(id).or_default() += rows;
            }
        }
    }

    /// Rows that each exception kept from its rule since this was last asked.
    pub fn take_excepted(&mut self) -> Vec<(u128, u64)> {
        self.excepted.drain().collect()
    }

    /// Rules over single rows: their matches are grouped by entity.
    fn plain_rules(&mut self, work: &Work<'_>, partition: &Partition, matches: &Matches, out: &mut Output) {
        let rules = Arc::clone(&self.rules);
        for (at, mask) in matches.alerting(&rules) {
            let (rule, number) = (&rules.rules()[at], self.numbers[at]);
            let mut groups: Vec<(String, Vec<u32>)> = Vec::new();
            let mut places: HashMap<(usize, EntityValue), usize> = HashMap::new();
            for row in mask.set_indices_u32() {
                let realm = partition.of(row as usize);
                let value = EntityValue::read(work, rule.entity, row);
                let place = *places.entry((realm, value)).or_insert_with_key(|(realm, value)| {
                    groups.push((group_text(&partition.names[*realm], rule, value), Vec::new()));
                    groups.len() - 1
                });
                groups[place].1.push(row);
            }
            self.register.fired(number, groups.iter().map(|g| g.1.len()).sum());
            for (group, rows) in groups {
                let first_seen = Micros(work.times[rows[0] as usize]);
                let firings = Firings { rule: number, group: &group, rows: &rows, first_seen, measures: Vec::new() };
                let about = |row: u32| {
                    let realm = &partition.names[partition.of(row as usize)];
                    let value = EntityValue::read(work, rule.entity, row).to_text();
                    About {
                        entity: entity(realm.site.as_deref(), rule.class, rule.entity, value),
                        replay: realm.replay.clone(),
                        fields: template_fields(work, rule, row),
                        prior: Vec::new(),
                    }
                };
                self.grouping.fire(work, firings, about, out);
            }
        }
    }

    /// One group of a correlation whose condition held.
    fn correlation(&mut self, work: &Work<'_>, fired: Fired, out: &mut Output) {
        let rules = Arc::clone(&self.rules);
        let (rule, number) = (&rules.rules()[fired.rule], self.numbers[fired.rule]);
        let realm = RealmName { tenant: work.batch.tenant, site: fired.site.clone(), replay: fired.replay.clone() };
        let text = |v: &serde_json::Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
        let pairs: Vec<(String, String)> = fired.group.iter().map(|(n, v)| (n.clone(), text(v))).collect();
        let group = realm.prefix() + &pairs_text(pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())));
        self.register.matched(number, 0, fired.last_seen.0);
        self.register.fired(number, fired.rows.len());
        let firings = Firings {
            rule: number,
            group: &group,
            rows: &fired.rows,
            first_seen: fired.first_seen,
            measures: correlation_measures(rule, &fired),
        };
        let recent = &self.recent;
        let about = |row: u32| {
            let column = rule.entity.map(|c| rule.class.fields[c].name);
            let named = pairs.iter().find(|(n, _)| Some(n.as_str()) == column).map(|(_, v)| v.clone());
            let value = named.unwrap_or_else(|| EntityValue::read(work, rule.entity, row).to_text());
            // The first rows of the window are the same however the batches were cut; the last ones are not.
            let before = fired.evidence.iter().filter(|e| **e < work.event(row)).take(EVIDENCE_FIRST_MAX);
            let copied = before.filter_map(|e| recent.values().find_map(|r| r.get(*e)).cloned());
            let mut fields = pairs.clone();
            fields.extend(template_fields(work, rule, row));
            About {
                entity: entity(realm.site.as_deref(), rule.class, rule.entity, value),
                replay: realm.replay.clone(),
                fields,
                prior: copied.collect(),
            }
        };
        self.grouping.fire(work, firings, about, out);
    }

    fn run_detectors(
        &mut self,
        work: &Work<'_>,
        partition: &Partition,
        rows: &FlowRows<'_>,
        matches: &Matches,
        out: &mut Output,
    ) {
        let (config, seats) = (&self.config, &self.detectors);
        let hidden: Vec<_> = seats.iter().map(|(d, _)| matches.excepted_rows(&self.rules, d.id)).collect();
        let mut fired = Vec::new();
        if let [only] = &partition.names[..] {
            let at = self.realms.place(only, || Realm::new(config, seats));
            let realm = &mut self.realms.all[at].1;
            for row in 0..rows.len() {
                realm.row(rows, row, work.times[row], &hidden, &mut fired);
            }
        } else {
            for row in 0..rows.len() {
                let at = self.realms.place(&partition.names[partition.of(row)], || Realm::new(config, seats));
                self.realms.all[at].1.row(rows, row, work.times[row], &hidden, &mut fired);
            }
        }
        for (number, row, firing) in fired {
            let realm = &partition.names[partition.of(row as usize)];
            self.detector(work, realm, number, row, firing, out);
        }
    }

    fn detector(&mut self, work: &Work<'_>, realm: &RealmName, number: u32, row: u32, f: Firing, out: &mut Output) {
        let group = realm.prefix() + &pairs_text(f.group.iter().map(|(n, v)| (*n, v.as_str())));
        self.register.matched(number, 1, work.times[row as usize]);
        self.register.fired(number, 1);
        let measures = f.measures.into_iter().map(|(n, m)| (n.to_owned(), m)).collect();
        let firings = Firings { rule: number, group: &group, rows: &[row], first_seen: f.first_seen, measures };
        let about = |_| About {
            entity: Entity {
                site: realm.site.clone().unwrap_or_default(),
                kind: EntityKind::Ip,
                value: f.entity.to_string(),
            },
            replay: realm.replay.clone(),
            fields: f.group.iter().map(|(n, v)| ((*n).to_owned(), v.clone())).collect(),
            prior: Vec::new(),
        };
        self.grouping.fire(work, firings, about, out);
    }

    /// What is counted, per rule and in all.
    pub fn stats(&self) -> Stats {
        let correlator = self.correlator.stats();
        let open = self.grouping.open_by_rule(self.register.entries.len());
        let size_of = |number: u32| {
            let seats = self.realms.all.iter().flat_map(|(_, r)| &r.seats).filter(|s| s.rule == number);
            seats.map(|s| s.detector.size()).fold(Size::default(), Size::plus)
        };
        let live = self.register.entries.iter().zip(&self.register.infos).enumerate().filter(|(_, (e, _))| e.live);
        let rules: Vec<RuleStats> = live
            .map(|(number, (entry, info))| {
                let number = number as u32;
                let size = if entry.kind == RuleKind::Detector { size_of(number) } else { Size::default() };
                let recent = self.recent.get(&number).map_or(0, Recent::bytes) as u64;
                RuleStats {
                    id: info.reference.id.clone(),
                    hash: info.reference.hash.clone(),
                    title: info.reference.title.clone(),
                    kind: entry.kind,
                    matched: entry.counters.matched,
                    firings: entry.counters.firings,
                    last_match: entry.counters.last_match,
                    open_alerts: open[number as usize],
                    groups: size.groups,
                    evicted: size.evicted,
                    late: size.late,
                    state_bytes: size.bytes + recent,
                }
            })
            .collect();
        let prevalence: usize = self.realms.all.iter().map(|(_, r)| r.prevalence.bytes()).sum();
        let of_rules: u64 = rules.iter().map(|r| r.state_bytes).sum();
        Stats {
            rows: self.rows,
            odd_batches: self.odd_batches,
            open_alerts: self.grouping.len() as u64,
            evicted_alerts: self.grouping.evicted(),
            evidence_skipped: self.grouping.evidence_skipped,
            realms: self.realms.all.len() as u64,
            evicted_realms: self.realms.evicted,
            correlation_groups: correlator.groups as u64,
            correlation_evicted: correlator.evicted_groups,
            correlation_late: correlator.late_rows,
            state_bytes: of_rules + (prevalence + self.grouping.bytes()) as u64 + correlator.bytes as u64,
            rules,
        }
    }
}

/// The value of the entity column: addresses stay bytes until an alert opens.
#[derive(PartialEq, Eq, Hash)]
enum EntityValue {
    Ip(guardian_model::Ip),
    Text(String),
}

impl EntityValue {
    fn read(work: &Work<'_>, column: Option<usize>, row: u32) -> Self {
        use arrow::array::{Array, AsArray};
        let Some(column) = column.and_then(|c| work.batch.rows.columns().get(c)) else {
            return Self::Text(String::new());
        };
        let ip = column.as_fixed_size_binary_opt().filter(|c| c.is_valid(row as usize));
        match ip.and_then(|c| c.value(row as usize).try_into().ok()) {
            Some(ip) => Self::Ip(guardian_model::Ip(ip)),
            None => Self::Text(cell_text(column.as_ref(), row as usize)),
        }
    }

    fn to_text(&self) -> String {
        match self {
            Self::Ip(ip) => ip.to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}

/// When each row of a batch was received: what its column says, else when the batch was.
fn received_times(batch: &Batch) -> Vec<i64> {
    use arrow::array::AsArray;
    let column = batch.class.index_of("received").and_then(|i| batch.rows.columns().get(i));
    match column.and_then(|c| c.as_primitive_opt::<arrow::datatypes::TimestampMicrosecondType>()) {
        Some(column) => column.values().to_vec(),
        None => vec![batch.received.0; batch.rows.num_rows()],
    }
}

/// `name=value` pairs, separated by `, `.
fn pairs_text<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    pairs.map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join(", ")
}

fn group_text(realm: &RealmName, rule: &CompiledRule, value: &EntityValue) -> String {
    let name = rule.entity.map(|c| rule.class.fields[c].name);
    realm.prefix() + &pairs_text(name.map(|n| (n, value.to_text())).iter().map(|(n, v)| (*n, v.as_str())))
}

fn entity(site: Option<&str>, class: &Class, column: Option<usize>, value: String) -> Entity {
    use guardian_model::Kind;
    let kind = match column.map(|c| (class.fields[c].kind, class.fields[c].name)) {
        Some((Kind::Ip, _)) => EntityKind::Ip,
        Some((Kind::Label | Kind::Text, "host")) => EntityKind::Host,
        Some((Kind::Label | Kind::Text, "user" | "target_user" | "login_user")) => EntityKind::User,
        _ => EntityKind::Other,
    };
    Entity { site: site.unwrap_or_default().to_owned(), kind, value }
}

/// Values of the fields that a rule's summary names, from one row.
fn template_fields(work: &Work<'_>, rule: &CompiledRule, row: u32) -> Vec<(String, String)> {
    let Some((template, _)) = &rule.document.extension.summary else { return Vec::new() };
    let fields = template.placeholders().filter_map(|name| {
        let column = work.batch.class.sigma_index_of(name)?;
        let text = cell_text(work.batch.rows.columns().get(column)?.as_ref(), row as usize);
        (!text.is_empty()).then(|| (name.to_owned(), text))
    });
    fields.collect()
}

fn correlation_measures(rule: &CompiledRule, fired: &Fired) -> Vec<(String, Measure)> {
    let number = |x: f64| if x.fract() == 0.0 && x >= 0.0 { Measure::Count(x as u64) } else { Measure::Number(x) };
    let mut measures = vec![
        ("measure".to_owned(), number(fired.measure_max)),
        ("measured".to_owned(), Measure::Text(rule.measure_name())),
        ("timespan".to_owned(), Measure::Text(span_text(rule.timespan().unwrap_or_default()))),
    ];
    if fired.estimated {
        measures.push(("estimated".to_owned(), Measure::Text("yes".to_owned())));
    }
    measures
}
