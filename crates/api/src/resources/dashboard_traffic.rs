//! The dashboard's figures from the telemetry store, kept for a while: one question at a time for each span, whoever
//! asks, and the answer for everybody who asks meanwhile.

use std::sync::Arc;
use std::time::Duration;

use guardian_model::{Micros, Scope, TenantId};
use hashbrown::HashMap;
use serde_json::Value;

use super::dashboard::{ArcView, Span, TalkerView};
use super::query::{objects, run};
use crate::error::ApiResult;
use crate::state::ApiState;

/// Answers kept at once; beyond that all are forgotten, which costs a query each.
const KEPT_MAX: usize = 256;
/// Talkers named.
const TALKERS: usize = 10;
/// Pairs of countries named.
const ARCS: usize = 100;
/// Rows of one answer.
const ROWS_MAX: usize = 100_000;
/// Longest question, in seconds.
const SECONDS: u64 = 60;
/// Beyond this span, sums by hour are fine enough.
const HOURLY: i64 = 2 * Micros::DAY;

/// Figures of one span.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    /// When they were taken.
    pub(crate) taken: Micros,
    /// Flows in each step.
    pub(crate) flows: Vec<f64>,
    /// Octets in each step, both directions.
    pub(crate) bytes: Vec<f64>,
    /// Flows in the span before.
    pub(crate) flows_before: f64,
    /// Octets in the span before.
    pub(crate) bytes_before: f64,
    /// Sources with most traffic.
    pub(crate) talkers: Vec<TalkerView>,
    /// Traffic between countries.
    pub(crate) countries: Vec<ArcView>,
}

/// Tenants, length of the span, end of the span where it is not now, and whether replays count.
type Key = (Vec<TenantId>, i64, Option<Micros>, bool);
type Slot = Arc<tokio::sync::Mutex<Option<(Duration, Arc<Traffic>)>>>;

/// Keeps figures for a while. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct TrafficCache {
    kept: Arc<parking_lot::Mutex<HashMap<Key, Slot>>>,
}

impl TrafficCache {
    fn slot(&self, key: Key) -> Slot {
        let mut kept = self.kept.lock();
        if kept.len() >= KEPT_MAX && !kept.contains_key(&key) {
            kept.clear();
        }
        Arc::clone(kept.entry(key).or_default())
    }
}

/// How long figures of a span are good enough: a hundredth of it, from 5 seconds to 5 minutes.
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
) -> ApiResult<Arc<Traffic>> {
    // A span that ends now is the same question every minute.
    let live = state.clock.now() - span.to < 2 * Micros::MINUTE;
    let slot = state.traffic.slot((scope.tenants().to_vec(), span.micros(), (!live).then_some(span.to), replays));
    let mut kept = slot.lock().await;
    let now = state.clock.monotonic();
    if let Some((taken, figures)) = kept.as_ref()
        && now.saturating_sub(*taken) < good_for(span)
    {
        return Ok(Arc::clone(figures));
    }
    let figures = Arc::new(measure(state, scope, span, replays, steps).await?);
    *kept = Some((now, Arc::clone(&figures)));
    Ok(figures)
}

async fn ask(state: &ApiState, scope: &Scope, sql: &str) -> ApiResult<Vec<Value>> {
    Ok(objects(run(state, scope, sql, ROWS_MAX, SECONDS).await?))
}

async fn measure(state: &ApiState, scope: &Scope, span: Span, replays: bool, steps: i64) -> ApiResult<Traffic> {
    let live = if replays { "" } else { " AND replay IS NULL" };
    let within =
        |from: Micros, to: Micros| format!("received >= TIMESTAMP '{from}' AND received < TIMESTAMP '{to}'{live}");
    let unit = if span.micros() > HOURLY { "hour" } else { "minute" };
    // Sums by whole minutes of columns that roll-ups keep: answered without reading the flows.
    let volume = format!(
        "SELECT date_trunc('{unit}', received) AS at, sum(bytes) AS b, sum(rev_bytes) AS rb, count(*) AS n FROM flows \
         WHERE {} GROUP BY 1",
        within(span.from - span.micros(), span.to)
    );
    let now = within(span.from, span.to);
    let talkers = format!(
        "SELECT src_ip, sum(bytes + coalesce(rev_bytes, CAST(0 AS BIGINT UNSIGNED))) AS b, sum(packets + coalesce(rev_packets, CAST(0 AS BIGINT UNSIGNED))) AS p, \
         count(*) AS n FROM flows WHERE {now} GROUP BY src_ip ORDER BY b DESC LIMIT {TALKERS}"
    );
    let arcs = format!(
        "SELECT src_country, dst_country, sum(bytes + coalesce(rev_bytes, CAST(0 AS BIGINT UNSIGNED))) AS b, count(*) AS n FROM flows \
         WHERE {now} AND src_country IS NOT NULL AND dst_country IS NOT NULL AND src_country <> dst_country \
         GROUP BY src_country, dst_country ORDER BY b DESC LIMIT {ARCS}"
    );
    let (volume, talkers, arcs) =
        tokio::try_join!(ask(state, scope, &volume), ask(state, scope, &talkers), ask(state, scope, &arcs))?;
    let number = |row: &Value, key: &str| row.get(key).and_then(Value::as_f64).unwrap_or_default();
    let whole = |row: &Value, key: &str| row.get(key).and_then(Value::as_u64).unwrap_or_default();
    let text = |row: &Value, key: &str| row.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut figures = Traffic {
        taken: state.clock.now(),
        flows: vec![0.0; steps as usize],
        bytes: vec![0.0; steps as usize],
        ..Traffic::default()
    };
    for row in &volume {
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
    let talker = |row: &Value| TalkerView {
        entity: text(row, "src_ip"),
        bytes: whole(row, "b"),
        packets: whole(row, "p"),
        flows: whole(row, "n"),
    };
    figures.talkers = talkers.iter().map(talker).collect();
    let arc = |row: &Value| ArcView {
        from: text(row, "src_country"),
        to: text(row, "dst_country"),
        bytes: whole(row, "b"),
        flows: whole(row, "n"),
    };
    figures.countries = arcs.iter().map(arc).collect();
    Ok(figures)
}
