//! The dashboard's figures from the telemetry store. What minute roll-ups answer is asked for each time a figure is no
//! longer good; rankings read every flow of the span, so that they are kept for a while, asked for once however many
//! people look, and shown as they were while they are counted afresh: nobody waits long for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use guardian_model::{Micros, Scope, TenantId};
use hashbrown::HashMap;
use serde_json::Value;
use tokio::sync::Notify;

use super::dashboard::{ArcView, Span, TalkerView};
use super::query::{objects, run, run_small};
use crate::error::{ApiError, ApiResult};
use crate::state::ApiState;

/// Answers kept at once; beyond that all are forgotten, which costs a query each.
const KEPT_MAX: usize = 256;
/// Talkers named.
const TALKERS: usize = 10;
/// Stands for the end of a flow that belongs to no country.
const NO_COUNTRY: &str = "local";
/// Pairs of countries named.
const ARCS: usize = 100;
/// Rows of one answer.
const ROWS_MAX: usize = 100_000;
/// Longest question, in seconds.
const SECONDS: u64 = 60;
/// Beyond this span, sums by hour are fine enough.
const HOURLY: i64 = 2 * Micros::DAY;
/// How long somebody waits for figures that are not there yet.
const PATIENCE: Duration = Duration::from_millis(700);
/// Figures are shown while they are counted afresh, unless they are older than so many times what they are good for.
const STALE_MAX: u32 = 12;

/// Octets of both directions. A signed zero would turn the sum into a decimal, which JSON carries as text.
const BOTH: &str = "sum(bytes + coalesce(rev_bytes, CAST(0 AS BIGINT UNSIGNED)))";
/// Packets of both directions.
const PACKETS: &str = "sum(packets + coalesce(rev_packets, CAST(0 AS BIGINT UNSIGNED)))";

/// Sums of one span.
#[derive(Clone, Debug, Default)]
pub(crate) struct Volume {
    /// Flows in each step.
    pub(crate) flows: Vec<f64>,
    /// Octets in each step, both directions.
    pub(crate) bytes: Vec<f64>,
    /// Flows in the span before.
    pub(crate) flows_before: f64,
    /// Octets in the span before.
    pub(crate) bytes_before: f64,
}

/// Rankings of one span.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rankings {
    /// Sources with most traffic.
    pub(crate) talkers: Vec<TalkerView>,
    /// Traffic between countries.
    pub(crate) countries: Vec<ArcView>,
}

/// Figures of one span.
#[derive(Clone, Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) volume: Arc<Volume>,
    pub(crate) rankings: Arc<Rankings>,
    /// When the rankings were taken; none when they are still being counted for the first time.
    pub(crate) ranked: Option<Micros>,
}

/// Tenants, length of the span, end of the span where it is not now, and whether replays count.
type Key = (Vec<TenantId>, i64, Option<Micros>, bool);

/// Figures of one kind and span, and whether somebody counts them right now.
#[derive(Debug)]
struct Slot<T> {
    kept: parking_lot::Mutex<Option<Kept<T>>>,
    failed: parking_lot::Mutex<Option<ApiError>>,
    counting: AtomicBool,
    done: Notify,
}

#[derive(Debug)]
struct Kept<T> {
    /// On the monotonic clock.
    taken: Duration,
    time: Micros,
    figures: Arc<T>,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self {
            kept: parking_lot::Mutex::new(None),
            failed: parking_lot::Mutex::new(None),
            counting: AtomicBool::new(false),
            done: Notify::new(),
        }
    }
}

impl<T> Clone for Kept<T> {
    fn clone(&self) -> Self {
        Self { taken: self.taken, time: self.time, figures: Arc::clone(&self.figures) }
    }
}

/// Ends the counting even if it panics, so that the next caller may begin anew.
struct Counting<T>(Arc<Slot<T>>);

impl<T> Drop for Counting<T> {
    fn drop(&mut self) {
        self.0.counting.store(false, Ordering::Release);
        self.0.done.notify_waiters();
    }
}

/// Keeps figures for a while. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct TrafficCache {
    volumes: Arc<Slots<Volume>>,
    rankings: Arc<Slots<Rankings>>,
    /// One ranking at a time: each takes all the cores there are.
    turn: Arc<tokio::sync::Mutex<()>>,
}

type Slots<T> = parking_lot::Mutex<HashMap<Key, Arc<Slot<T>>>>;

fn slot<T>(slots: &Slots<T>, key: Key) -> Arc<Slot<T>> {
    let mut kept = slots.lock();
    if kept.len() >= KEPT_MAX && !kept.contains_key(&key) {
        kept.clear();
    }
    Arc::clone(kept.entry(key).or_default())
}

impl<T: Default + Send + Sync + 'static> Slot<T> {
    /// The figures, which `count` counts if they are not good enough any more; those of before when it takes longer than
    /// `patience`, and none if there were none.
    async fn get(
        self: Arc<Self>,
        state: &ApiState,
        good_for: Duration,
        patience: Duration,
        count: impl Future<Output = ApiResult<T>> + Send + 'static,
    ) -> ApiResult<Option<Kept<T>>> {
        let now = state.clock.monotonic();
        let age = |kept: &Kept<T>| now.saturating_sub(kept.taken);
        let kept = self.kept.lock().clone();
        if let Some(kept) = kept.as_ref().filter(|kept| age(kept) < good_for) {
            return Ok(Some(kept.clone()));
        }
        let done = self.done.notified();
        tokio::pin!(done);
        done.as_mut().enable();
        if !self.counting.swap(true, Ordering::AcqRel) {
            let (counting, clock) = (Counting(Arc::clone(&self)), Arc::clone(&state.clock));
            tokio::spawn(async move {
                let slot = &counting.0;
                match count.await {
                    Ok(figures) => {
                        let kept = Kept { taken: clock.monotonic(), time: clock.now(), figures: Arc::new(figures) };
                        *slot.kept.lock() = Some(kept);
                        *slot.failed.lock() = None;
                    }
                    Err(error) => *slot.failed.lock() = Some(error),
                }
            });
        }
        if let Some(kept) = kept.filter(|kept| age(kept) < good_for * STALE_MAX) {
            return Ok(Some(kept));
        }
        let in_time = tokio::time::timeout(patience, done).await.is_ok();
        let kept = self.kept.lock().clone();
        match (kept, self.failed.lock().clone()) {
            (None, Some(error)) if in_time => Err(error),
            // What is too old to be shown as the present is still better than nothing.
            (kept, _) => Ok(kept),
        }
    }
}

/// How long rankings of a span are good enough: a hundredth of it, from 5 seconds to 5 minutes.
fn good_for(span: Span) -> Duration {
    Duration::from_micros((span.micros() / 100).clamp(5 * Micros::SECOND, 5 * Micros::MINUTE) as u64)
}

/// The figures of a span in `steps` steps.
pub(crate) async fn traffic(
    state: &ApiState,
    scope: &Scope,
    span: Span,
    replays: bool,
    steps: i64,
) -> ApiResult<Traffic> {
    // A span that ends now is the same question every minute.
    let live = state.clock.now() - span.to < 2 * Micros::MINUTE;
    let key = (scope.tenants().to_vec(), span.micros(), (!live).then_some(span.to), replays);
    let good_for = good_for(span);
    let volume = {
        let (state, scope) = (state.clone(), scope.clone());
        async move { volume(&state, &scope, span, replays, steps).await }
    };
    let rankings = {
        let (state, scope) = (state.clone(), scope.clone());
        async move {
            let _turn = state.traffic.turn.lock().await;
            rankings(&state, &scope, span, replays).await
        }
    };
    // Roll-ups answer in milliseconds: these are waited for, and not made to share the cores with the rankings.
    let fresh = good_for.min(Duration::from_secs(15));
    let volumes = slot(&state.traffic.volumes, key.clone());
    let volume = volumes.get(state, fresh, Duration::from_secs(SECONDS), volume).await?;
    let rankings = slot(&state.traffic.rankings, key).get(state, good_for, PATIENCE, rankings).await?;
    let empty = || Volume { flows: vec![0.0; steps as usize], bytes: vec![0.0; steps as usize], ..Volume::default() };
    Ok(Traffic {
        volume: volume.map_or_else(|| Arc::new(empty()), |kept| kept.figures),
        ranked: rankings.as_ref().map(|kept| kept.time),
        rankings: rankings.map(|kept| kept.figures).unwrap_or_default(),
    })
}

async fn ask(state: &ApiState, scope: &Scope, sql: &str) -> ApiResult<Vec<Value>> {
    Ok(objects(run(state, scope, sql, ROWS_MAX, SECONDS).await?))
}

fn within(from: Micros, to: Micros, replays: bool) -> String {
    let live = if replays { "" } else { " AND replay IS NULL" };
    format!("received >= TIMESTAMP '{from}' AND received < TIMESTAMP '{to}'{live}")
}

/// Sums by whole minutes of columns that roll-ups keep: answered without reading the flows.
async fn volume(state: &ApiState, scope: &Scope, span: Span, replays: bool, steps: i64) -> ApiResult<Volume> {
    let unit = if span.micros() > HOURLY { "hour" } else { "minute" };
    let sql = format!(
        "SELECT date_trunc('{unit}', received) AS at, sum(bytes) AS b, sum(rev_bytes) AS rb, count(*) AS n FROM flows \
         WHERE {} GROUP BY 1",
        within(span.from - span.micros(), span.to, replays)
    );
    let number = |row: &Value, key: &str| row.get(key).and_then(Value::as_f64).unwrap_or_default();
    let mut figures =
        Volume { flows: vec![0.0; steps as usize], bytes: vec![0.0; steps as usize], ..Volume::default() };
    for row in &objects(run_small(state, scope, &sql, ROWS_MAX, SECONDS).await?) {
        let Some(at) = row.get("at").and_then(Value::as_str).and_then(Micros::parse) else { continue };
        let (flows, bytes) = (number(row, "n"), number(row, "b") + number(row, "rb"));
        if at < span.from {
            figures.flows_before += flows;
            figures.bytes_before += bytes;
            continue;
        }
        let step = span.step(at, steps);
        if let (Some(f), Some(b)) = (figures.flows.get_mut(step), figures.bytes.get_mut(step)) {
            *f += flows;
            *b += bytes;
        }
    }
    Ok(figures)
}

/// Who sends most, and from where to where.
async fn rankings(state: &ApiState, scope: &Scope, span: Span, replays: bool) -> ApiResult<Rankings> {
    let now = within(span.from, span.to, replays);
    let talkers = format!(
        "SELECT src_ip, {BOTH} AS b, {PACKETS} AS p, count(*) AS n FROM flows WHERE {now} \
         GROUP BY src_ip ORDER BY b DESC LIMIT {TALKERS}"
    );
    // Addresses of one's own network belong to no country, and most flows have one of them at an end.
    let arcs = format!(
        "SELECT src_country, dst_country, {BOTH} AS b, count(*) AS n FROM flows \
         WHERE {now} AND (src_country <> dst_country OR (src_country IS NULL) <> (dst_country IS NULL)) \
         GROUP BY src_country, dst_country ORDER BY b DESC LIMIT {ARCS}"
    );
    // One after the other: each takes all the cores there are.
    let talkers = ask(state, scope, &talkers).await?;
    let arcs = ask(state, scope, &arcs).await?;
    let whole = |row: &Value, key: &str| row.get(key).and_then(Value::as_u64).unwrap_or_default();
    let text = |row: &Value, key: &str| row.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let talker = |row: &Value| TalkerView {
        entity: text(row, "src_ip"),
        bytes: whole(row, "b"),
        packets: whole(row, "p"),
        flows: whole(row, "n"),
    };
    let country = |row: &Value, key: &str| row.get(key).and_then(Value::as_str).unwrap_or(NO_COUNTRY).to_owned();
    let arc = |row: &Value| ArcView {
        from: country(row, "src_country"),
        to: country(row, "dst_country"),
        bytes: whole(row, "b"),
        flows: whole(row, "n"),
    };
    Ok(Rankings { talkers: talkers.iter().map(talker).collect(), countries: arcs.iter().map(arc).collect() })
}
