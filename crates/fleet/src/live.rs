//! Live queries on their way: what a session has to ask its agent, and what the agent answers. A query is asked once: what
//! was under way when a connection broke goes on at the agent, and its answer comes over the next one.

use std::time::Duration;

use guardian_catalog::{CatalogError, LiveAnswer, PendingLiveQuery};
use guardian_kit::shutdown::Shutdown;
use guardian_model::{Micros, TenantId};
use guardian_protocol::message::{Answer, Cancel, Query};
use guardian_protocol::{FromServer, WireError, answer, limits};
use hashbrown::HashSet;
use serde_json::Value;
use uuid::Uuid;

use crate::state::Fleet;

/// Queries that are looked up at once for one host; the others follow.
const AT_ONCE: u64 = 32;
/// How often it is looked for queries whose time is over.
const ROUND: Duration = Duration::from_secs(5);
/// How long after its time a query that a host was told of counts as under way.
const GRACE: i64 = Micros::SECOND * 30;
/// Queries that are ended, and forgotten, in one round.
const ENDED_AT_ONCE: u64 = 500;
/// How long answers are kept.
const KEPT: i64 = 7 * Micros::DAY;
/// Bytes that one host answers one query with, before compression.
const HOST_BYTES_MAX: u64 = 32 << 20;

/// The tables that agents have, with their columns: what they say about themselves, written down.
static TABLES: &str = include_str!("live_tables.json");

/// The tables that agents have: name, what is in it, and its columns.
pub fn live_tables() -> Result<Value, serde_json::Error> {
    serde_json::from_str(TABLES)
}

/// The rows of a part as it was kept. `columns` is how many values each has.
pub fn live_rows(raw_bytes: u32, packed: Vec<u8>, columns: usize) -> Result<Vec<Vec<Value>>, WireError> {
    answer::rows(&answer::lines(raw_bytes, &guardian_protocol::Blob(packed))?, columns)
}

/// What one connection has told its agent.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    cancels: HashSet<Uuid>,
}

/// What became of a part of an answer.
pub(crate) enum Heard {
    /// It is kept, or of no interest any more and the last.
    Kept,
    /// The host shall stop.
    Stop(FromServer),
}

/// Why a part could not be kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HearError {
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

impl Fleet {
    /// What an agent has to be asked now, or told to stop.
    pub(crate) async fn words_about_queries(
        &self,
        (tenant, host): (TenantId, Uuid),
        asked: &mut Asked,
    ) -> Result<Vec<FromServer>, CatalogError> {
        let pending = self.catalog().system().pending_live_queries(host, AT_ONCE).await?;
        let fresh = |one: &&PendingLiveQuery| one.run.sent.is_none() && one.query.cancelled.is_none();
        let fresh: Vec<Uuid> = pending.iter().filter(fresh).map(|one| one.run.id).collect();
        let open = if fresh.is_empty() {
            Vec::new()
        } else {
            self.catalog().system().mark_live_queries_sent(tenant, &fresh).await?
        };
        let mut words = Vec::new();
        for one in &pending {
            let id = one.run.id;
            if open.contains(&id) {
                words.push(FromServer::Query(message(one)));
            } else if one.query.cancelled.is_some() && one.run.sent.is_some() && asked.cancels.insert(id) {
                words.push(FromServer::Cancel(Cancel { id: *id.as_bytes() }));
            }
        }
        Ok(words)
    }

    /// Keeps a part of an answer. What cannot be read is an offence against the protocol.
    pub(crate) async fn hear_answer(&self, (tenant, host): (TenantId, Uuid), part: Answer) -> Result<Heard, HearError> {
        let run = Uuid::from_bytes(part.query);
        let stop = |last: bool| {
            let cancel = FromServer::Cancel(Cancel { id: *run.as_bytes() });
            if last { Heard::Kept } else { Heard::Stop(cancel) }
        };
        let Some(known) = self.catalog().system().live_query_run(host, run).await? else { return Ok(stop(part.last)) };
        let width = if part.part == 0 { part.columns.len() } else { known.columns.len() };
        // A part behind one that was lost cannot be compared with its columns, and is not kept either.
        let lost = part.part != known.parts;
        let rows = if lost { Vec::new() } else { answer::check(&part, width)? };
        let last = part.last;
        let kept = LiveAnswer {
            run,
            part: part.part,
            columns: part.columns,
            rows: rows.len() as u32,
            raw_bytes: part.raw_bytes,
            packed: part.rows.0,
            last,
            more: part.more,
            took_ms: part.took_ms,
            error: part.error,
        };
        let goes_on = self.catalog().system().keep_live_answer(tenant, host, kept).await?;
        Ok(if goes_on { Heard::Kept } else { stop(last) })
    }

    /// Wakes the sessions of the hosts that a live query is for.
    pub(crate) async fn tell_of_live_query(&self, query: Uuid) -> Result<(), CatalogError> {
        let hosts = self.catalog().system().open_live_query_hosts(query).await?;
        hosts.into_iter().for_each(|host| self.wake_commands(host));
        Ok(())
    }

    /// Ends live queries whose time is over and forgets old ones, until the program ends.
    pub(crate) fn follow_live_queries(&self, shutdown: &Shutdown) {
        let (fleet, mut rounds) = (self.clone(), shutdown.rounds(ROUND));
        tokio::spawn(async move {
            while rounds.next().await {
                let system = fleet.catalog().system();
                if let Err(error) = system.expire_live_queries(GRACE, ENDED_AT_ONCE).await {
                    tracing::warn!(%error, "live queries whose time is over could not be ended");
                }
                let before = Micros(fleet.now().0 - KEPT);
                if let Err(error) = system.sweep_live_queries(before, ENDED_AT_ONCE).await {
                    tracing::warn!(%error, "old live queries could not be forgotten");
                }
            }
        });
    }
}

fn message(one: &PendingLiveQuery) -> Query {
    Query {
        id: *one.run.id.as_bytes(),
        sql: one.query.sql.clone(),
        timeout_ms: one.query.timeout_ms.clamp(1, limits::QUERY_MS_MAX),
        rows_max: one.query.rows_max.clamp(1, limits::ANSWER_ROWS_MAX),
        bytes_max: HOST_BYTES_MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::live_tables;

    #[test]
    fn the_tables_of_agents_can_be_read() {
        let tables = live_tables().unwrap();
        let tables = tables.as_array().unwrap();
        assert!(tables.len() >= 40, "{}", tables.len());
        let processes = tables.iter().find(|table| table["name"] == "processes").unwrap();
        assert!(processes["columns"].as_array().unwrap().iter().any(|column| column["name"] == "cmdline"));
    }
}
