//! The dashboard's figures from the telemetry store. What minute roll-ups answer is asked for each time a figure is no
//! longer good; rankings read every flow of the span, so that they are kept for a while, asked for once however many
//! people look, and shown as they were while they are counted afresh: nobody waits long for them.

use std::sync::Arc;
use std::time::Duration;

use guardian_model::{Micros, Scope, TenantId};
use serde_json::Value;

use super::dashboard::{ArcView, Span, TalkerView};
use super::entity_traffic::AddressSlots;
use super::flows::Histograms;
use super::kept::{Keep, Slots};
use super::query::{objects, run, run_small};
use crate::error::ApiResult;
use crate::state::ApiState;

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

/// Keeps figures for a while. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct TrafficCache {
    volumes: Arc<Slots<Key, Volume>>,
    rankings: Arc<Slots<Key, Rankings>>,
    /// One ranking at a time: each takes all the cores there are.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// Traffic of single addresses.
    pub(super) addresses: Arc<AddressSlots>,
    pub(super) address_turn: Arc<tokio::sync::Mutex<()>>,
    /// Histograms of filtered flows.
    pub(super) histograms: Arc<Histograms>,
}

/// How long rankings of a span are good enough: a hundredth of it, from 5 seconds to 5 minutes; old ones are shown up to
/// twelve times as long while they are counted afresh.
fn keep(span: Span) -> Keep {
    let good = Duration::from_micros((span.micros() / 100).clamp(5 * Micros::SECOND, 5 * Micros::MINUTE) as u64);
    Keep { good, shown: good * 12, patience: PATIENCE, cheap: Duration::ZERO }
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
    let keep = keep(span);
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
    let good = keep.good.min(Duration::from_secs(15));
    let fresh = Keep { good, shown: good * 12, patience: Duration::from_secs(SECONDS), ..keep };
    let volumes = state.traffic.volumes.slot(key.clone());
    let volume = volumes.get(state, fresh, volume).await?;
    let rankings = state.traffic.rankings.slot(key).get(state, keep, rankings).await?;
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
         GROUP BY src_ip ORDER BY b DESC, src_ip LIMIT {TALKERS}"
    );
    // Addresses of one's own network belong to no country, and most flows have one of them at an end.
    let arcs = format!(
        "SELECT src_country, dst_country, {BOTH} AS b, count(*) AS n FROM flows \
         WHERE {now} AND (src_country <> dst_country OR (src_country IS NULL) <> (dst_country IS NULL)) \
         GROUP BY src_country, dst_country ORDER BY b DESC, src_country, dst_country LIMIT {ARCS}"
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
