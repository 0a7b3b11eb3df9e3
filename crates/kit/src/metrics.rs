//! Counters, gauges and histograms of the whole program, exposed as OpenMetrics text.
//!
//! Names follow `guardian_<area>_<what>_<unit>_total`. Handles are atomics: get them once, keep them, and never look a
//! name up on a hot path. Labels that come from outside (an exporter's address) are bounded per family; what exceeds
//! the bound is counted under `other`, so that forged sources cannot exhaust memory or the scraper.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, counter, gauge};
use prometheus_client::registry::Registry;

/// Content type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Label sets that a family keeps before the rest goes to [`OVERFLOW_LABEL`].
pub const LABEL_SETS_MAX: usize = 1024;

/// Value of every label of the set that takes what exceeds [`LABEL_SETS_MAX`].
pub const OVERFLOW_LABEL: &str = "other";

/// Bucket bounds in seconds that suit most latencies: 100 µs to 30 s.
pub const LATENCY_BUCKETS_SECONDS: &[f64] =
    &[0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// A number that only grows.
#[derive(Clone, Debug, Default)]
pub struct Counter(counter::Counter);

impl Counter {
    /// Adds `n`.
    pub fn inc(&self, n: u64) {
        self.0.inc_by(n);
    }

    /// The value now.
    pub fn get(&self) -> u64 {
        self.0.get()
    }
}

/// A whole number that goes up and down.
#[derive(Clone, Debug, Default)]
pub struct Gauge(gauge::Gauge);

impl Gauge {
    /// Sets the value.
    pub fn set(&self, value: i64) {
        self.0.set(value);
    }

    /// Adds `n`, which may be negative.
    pub fn add(&self, n: i64) {
        self.0.inc_by(n);
    }

    /// The value now.
    pub fn get(&self) -> i64 {
        self.0.get()
    }
}

/// A real number that goes up and down.
#[derive(Clone, Debug, Default)]
pub struct GaugeF64(gauge::Gauge<f64, AtomicU64>);

impl GaugeF64 {
    /// Sets the value.
    pub fn set(&self, value: f64) {
        self.0.set(value);
    }

    /// The value now.
    pub fn get(&self) -> f64 {
        self.0.get()
    }
}

/// A distribution over fixed buckets. Observing takes no lock.
#[derive(Clone, Debug)]
pub struct Histogram(Arc<Distribution>);

#[derive(Debug)]
struct Distribution {
    bounds: &'static [f64],
    /// One more than there are bounds; the last takes what is above all of them.
    counts: Vec<AtomicU64>,
    sum_bits: AtomicU64,
}

impl Histogram {
    fn new(bounds: &'static [f64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self(Arc::new(Distribution { bounds, counts, sum_bits: AtomicU64::new(0f64.to_bits()) }))
    }

    /// Counts one observation; what is not a number is ignored.
    pub fn observe(&self, value: f64) {
        if value.is_nan() {
            return;
        }
        let at = self.0.bounds.iter().position(|bound| value <= *bound).unwrap_or(self.0.bounds.len());
        self.0.counts[at].fetch_add(1, Ordering::Relaxed);
        let add = |bits| Some((f64::from_bits(bits) + value).to_bits());
        self.0.sum_bits.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).ok();
    }

    /// Counts one observation, in seconds.
    pub fn observe_duration(&self, value: Duration) {
        self.observe(value.as_secs_f64());
    }

    /// How many observations there were.
    pub fn count(&self) -> u64 {
        self.0.counts.iter().map(|c| c.load(Ordering::Relaxed)).sum()
    }

    /// Their sum.
    pub fn sum(&self) -> f64 {
        f64::from_bits(self.0.sum_bits.load(Ordering::Relaxed))
    }

    /// The bound of the bucket in which the `q`-quantile (0 to 1) lies, infinite above the last bound; `None` without
    /// observations.
    pub fn quantile_bound(&self, q: f64) -> Option<f64> {
        let counts: Vec<u64> = self.0.counts.iter().map(|c| c.load(Ordering::Relaxed)).collect();
        let total: u64 = counts.iter().sum();
        let rank = ((total as f64 * q).ceil() as u64).max(1);
        let mut seen = 0;
        let at = counts.iter().position(|n| {
            seen += n;
            seen >= rank
        })?;
        Some(self.0.bounds.get(at).copied().unwrap_or(f64::INFINITY))
    }
}

impl EncodeMetric for Histogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let counts = self.0.counts.iter().map(|c| c.load(Ordering::Relaxed));
        let bounds = self.0.bounds.iter().copied().chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        let count = buckets.iter().map(|(_, n)| n).sum();
        encoder.encode_histogram::<NoLabelSet>(self.sum(), count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

/// What a family can hold. Implemented by [`Counter`], [`Gauge`], [`GaugeF64`] and [`Histogram`].
pub trait Instrument: EncodeMetric + Clone + Send + Sync + fmt::Debug + 'static {
    /// The type word of the exposition format.
    const TYPE: MetricType;
    /// A new instrument at zero; `buckets` are upper bounds, for histograms only.
    fn create(buckets: &'static [f64]) -> Self;
    /// The values a snapshot shows: a suffix of the name and the number.
    fn values(&self) -> Vec<(&'static str, f64)>;
    #[doc(hidden)]
    fn entry(family: &Family<Self>) -> Entry;
    #[doc(hidden)]
    fn from_entry(entry: &Entry) -> Option<Family<Self>>;
}

macro_rules! encode_inner {
    ($($type:ident),*) => {$(
        impl EncodeMetric for $type {
            fn encode(&self, encoder: MetricEncoder<'_>) -> fmt::Result {
                EncodeMetric::encode(&self.0, encoder)
            }

            fn metric_type(&self) -> MetricType {
                <Self as Instrument>::TYPE
            }
        }
    )*};
}

encode_inner!(Counter, Gauge, GaugeF64);

macro_rules! instrument {
    ($type:ident, $word:ident, |$buckets:ident| $create:expr, |$v:ident| $values:expr) => {
        impl Instrument for $type {
            const TYPE: MetricType = MetricType::$word;

            fn create($buckets: &'static [f64]) -> Self {
                $create
            }

            fn values(&self) -> Vec<(&'static str, f64)> {
                let $v = self;
                $values
            }

            fn entry(family: &Family<Self>) -> Entry {
                Entry::$type(family.clone())
            }

            fn from_entry(entry: &Entry) -> Option<Family<Self>> {
                if let Entry::$type(family) = entry { Some(family.clone()) } else { None }
            }
        }
    };
}

instrument!(Counter, Counter, |_buckets| Self::default(), |v| vec![("", v.get() as f64)]);
instrument!(Gauge, Gauge, |_buckets| Self::default(), |v| vec![("", v.get() as f64)]);
instrument!(GaugeF64, Gauge, |_buckets| Self::default(), |v| vec![("", v.get())]);
instrument!(Histogram, Histogram, |buckets| Self::new(buckets), |v| vec![
    ("_count", v.count() as f64),
    ("_sum", v.sum())
]);

/// Instruments of one name that differ by their labels. Cheap to clone.
#[derive(Debug)]
pub struct Family<M>(Arc<FamilyInner<M>>);

impl<M> Clone for Family<M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

#[derive(Debug)]
struct FamilyInner<M> {
    labels: &'static [&'static str],
    buckets: &'static [f64],
    sets: RwLock<HashMap<Vec<String>, M>>,
    overflows: Counter,
}

/// Counters told apart by labels.
pub type CounterFamily = Family<Counter>;
/// Whole-number gauges told apart by labels.
pub type GaugeFamily = Family<Gauge>;
/// Histograms told apart by labels.
pub type HistogramFamily = Family<Histogram>;

impl<M: Instrument> Family<M> {
    fn new(labels: &'static [&'static str], buckets: &'static [f64], overflows: Counter) -> Self {
        Self(Arc::new(FamilyInner { labels, buckets, sets: RwLock::default(), overflows }))
    }

    /// The instrument for these label values, in the order of the label names. Keep the handle where it is used often.
    /// Beyond [`LABEL_SETS_MAX`] sets, all values are [`OVERFLOW_LABEL`]. Missing values are empty, surplus ones are
    /// ignored.
    pub fn with(&self, values: &[&str]) -> M {
        let inner = &*self.0;
        let key: Vec<String> = (0..inner.labels.len()).map(|i| (*values.get(i).unwrap_or(&"")).to_owned()).collect();
        if let Some(found) = inner.sets.read().get(&key) {
            return found.clone();
        }
        let mut sets = inner.sets.write();
        let key = if sets.len() >= LABEL_SETS_MAX && !sets.contains_key(&key) {
            inner.overflows.inc(1);
            vec![OVERFLOW_LABEL.to_owned(); inner.labels.len()]
        } else {
            key
        };
        sets.entry(key).or_insert_with(|| M::create(inner.buckets)).clone()
    }

    /// Forgets a label set, for things that are gone. Handles that are still held count on, unseen.
    pub fn remove(&self, values: &[&str]) {
        self.0.sets.write().retain(|key, _| key.iter().map(String::as_str).ne(values.iter().copied()));
    }

    /// How many label sets there are.
    pub fn len(&self) -> usize {
        self.0.sets.read().len()
    }

    /// Whether no label set was used yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn sorted(&self) -> Vec<(Vec<(&'static str, String)>, M)> {
        let sets = self.0.sets.read();
        let mut all: Vec<_> = sets.iter().map(|(key, m)| (key.clone(), m.clone())).collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all.into_iter().map(|(key, m)| (self.0.labels.iter().copied().zip(key).collect(), m)).collect()
    }
}

impl<M: Instrument> EncodeMetric for Family<M> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (labels, metric) in self.sorted() {
            if labels.is_empty() {
                return metric.encode(encoder);
            }
            metric.encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        M::TYPE
    }

    fn is_empty(&self) -> bool {
        Self::is_empty(self)
    }
}

#[doc(hidden)]
#[derive(Debug)]
pub enum Entry {
    Counter(Family<Counter>),
    Gauge(Family<Gauge>),
    GaugeF64(Family<GaugeF64>),
    Histogram(Family<Histogram>),
}

/// The registry. Cheap to clone; all clones are the same registry.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    overflows: Counter,
}

#[derive(Debug, Default)]
struct State {
    registry: Registry,
    entries: BTreeMap<&'static str, Entry>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// A registry that holds only its own overflow counter.
    pub fn new() -> Self {
        let metrics = Self(Arc::new(Inner { state: Mutex::default(), overflows: Counter::default() }));
        let own = metrics.family::<Counter>(
            "guardian_metrics_label_overflows_total",
            "Uses of a label set beyond the limit of its family, counted under the label value other",
            &[],
            &[],
        );
        own.0.sets.write().insert(Vec::new(), metrics.0.overflows.clone());
        metrics
    }

    /// The counter of this name, made at first use. `help` is one sentence without the full stop.
    pub fn counter(&self, name: &'static str, help: &'static str) -> Counter {
        self.family::<Counter>(name, help, &[], &[]).with(&[])
    }

    /// Counters of this name told apart by labels.
    pub fn counter_with(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
    ) -> CounterFamily {
        self.family(name, help, labels, &[])
    }

    /// The whole-number gauge of this name, made at first use.
    pub fn gauge(&self, name: &'static str, help: &'static str) -> Gauge {
        self.family::<Gauge>(name, help, &[], &[]).with(&[])
    }

    /// The real-number gauge of this name, made at first use.
    pub fn gauge_f64(&self, name: &'static str, help: &'static str) -> GaugeF64 {
        self.family::<GaugeF64>(name, help, &[], &[]).with(&[])
    }

    /// Whole-number gauges of this name told apart by labels.
    pub fn gauge_with(&self, name: &'static str, help: &'static str, labels: &'static [&'static str]) -> GaugeFamily {
        self.family(name, help, labels, &[])
    }

    /// The histogram of this name, made at first use; `buckets` are ascending upper bounds.
    pub fn histogram(&self, name: &'static str, help: &'static str, buckets: &'static [f64]) -> Histogram {
        self.family::<Histogram>(name, help, &[], buckets).with(&[])
    }

    /// Histograms of this name told apart by labels.
    pub fn histogram_with(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
        buckets: &'static [f64],
    ) -> HistogramFamily {
        self.family(name, help, labels, buckets)
    }

    fn family<M: Instrument>(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
        buckets: &'static [f64],
    ) -> Family<M> {
        let mut state = self.0.state.lock();
        if let Some(entry) = state.entries.get(name) {
            if let Some(family) = M::from_entry(entry).filter(|f| f.0.labels == labels) {
                return family;
            }
            // Two owners of one name is a mistake in the code, but no reason to stop collecting telemetry.
            debug_assert!(false, "metric {name} was registered before with another type or other labels");
            tracing::error!(metric = name, "registered twice with different types or labels; the second is not shown");
            return Family::new(labels, buckets, self.0.overflows.clone());
        }
        let family = Family::<M>::new(labels, buckets, self.0.overflows.clone());
        // The exposition format appends `_total` to counters by itself, and a full stop to the help.
        let exposed = name.strip_suffix("_total").unwrap_or(name);
        state.registry.register(exposed, help.strip_suffix('.').unwrap_or(help), family.clone());
        state.entries.insert(name, M::entry(&family));
        family
    }

    /// All metrics as OpenMetrics text, see [`CONTENT_TYPE`].
    pub fn render(&self) -> String {
        let mut text = String::new();
        let state = self.0.state.lock();
        if prometheus_client::encoding::text::encode(&mut text, &state.registry).is_err() {
            tracing::error!("the metrics could not be written as text");
        }
        text
    }

    /// The values now, by `name` or `name{label="value",…}`. Histograms appear as `name_count` and `name_sum`.
    pub fn snapshot(&self) -> BTreeMap<String, f64> {
        fn add<M: Instrument>(out: &mut BTreeMap<String, f64>, name: &str, family: &Family<M>) {
            for (labels, metric) in family.sorted() {
                let labels: Vec<String> = labels.iter().map(|(k, v)| format!("{k}={v:?}")).collect();
                let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
                out.extend(metric.values().into_iter().map(|(suffix, v)| (format!("{name}{suffix}{labels}"), v)));
            }
        }
        let mut out = BTreeMap::new();
        for (name, entry) in &self.0.state.lock().entries {
            match entry {
                Entry::Counter(f) => add(&mut out, name, f),
                Entry::Gauge(f) => add(&mut out, name, f),
                Entry::GaugeF64(f) => add(&mut out, name, f),
                Entry::Histogram(f) => add(&mut out, name, f),
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders_every_kind_once() {
        let m = Metrics::new();
        m.counter("guardian_a_packets_total", "Packets.").inc(3);
        m.counter("guardian_a_packets_total", "Packets.").inc(4);
        m.gauge("guardian_a_depth", "Depth").set(-2);
        m.gauge_f64("guardian_a_ratio", "Ratio").set(0.5);
        m.histogram("guardian_a_wait_seconds", "Wait", &[0.1, 1.0]).observe_duration(Duration::from_millis(500));
        let drops = m.counter_with("guardian_a_drops_total", "Drops", &["exporter", "reason"]);
        drops.with(&["10.0.0.1", "queue \"full\""]).inc(9);

        let text = m.render();
        for line in [
            "# HELP guardian_a_packets Packets.",
            "# TYPE guardian_a_packets counter",
            "guardian_a_packets_total 7",
            "guardian_a_depth -2",
            "guardian_a_ratio 0.5",
            "guardian_a_wait_seconds_bucket{le=\"0.1\"} 0",
            "guardian_a_wait_seconds_bucket{le=\"1.0\"} 1",
            "guardian_a_drops_total{exporter=\"10.0.0.1\",reason=\"queue \\\"full\\\"\"} 9",
            "# EOF",
        ] {
            assert_eq!(text.lines().filter(|l| *l == line).count(), 1, "{line}\nin\n{text}");
        }
        let snapshot = m.snapshot();
        assert_eq!(snapshot["guardian_a_packets_total"].to_string(), "7");
        assert_eq!(snapshot["guardian_a_wait_seconds_count"].to_string(), "1");
        assert!(snapshot.contains_key(r#"guardian_a_drops_total{exporter="10.0.0.1",reason="queue \"full\""}"#));
    }

    #[test]
    fn label_sets_are_bounded_and_the_rest_is_counted() {
        let m = Metrics::new();
        let family = m.counter_with("guardian_b_total", "B", &["exporter"]);
        for i in 0..LABEL_SETS_MAX + 10 {
            family.with(&[&i.to_string()]).inc(1);
        }
        assert_eq!(family.len(), LABEL_SETS_MAX + 1);
        assert_eq!(family.with(&[OVERFLOW_LABEL]).get(), 10);
        assert_eq!(m.counter("guardian_metrics_label_overflows_total", "").get(), 10);
        family.remove(&["3"]);
        assert_eq!(family.len(), LABEL_SETS_MAX);
    }

    #[test]
    fn clones_share_and_registries_do_not() {
        let (a, b) = (Metrics::new(), Metrics::new());
        a.clone().gauge("guardian_c", "C").add(5);
        assert_eq!(a.gauge("guardian_c", "C").get(), 5);
        assert_eq!(b.gauge("guardian_c", "C").get(), 0);
    }
}
