//! Live queries: a question to the tables of hosts, how far each host has come with it, and the rows that they answered
//! with. They are kept for days, not for good, and bounded all together.

use std::collections::BTreeMap;

use guardian_model::{Micros, TenantId};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel as _, PaginatorTrait as _, QueryFilter, QueryOrder,
    QuerySelect, sea_query::Expr,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::commands::COMMAND_PAGE_MAX;
use super::hosts::Host;
use super::runs::RunState;
use crate::entity::{live_query, live_query_host, live_query_part};
use crate::text::clean;
use crate::tx::{Audit, CHUNK, Change};
use crate::{Action, CatalogError, Scoped, Subject, Tx};

/// Hosts that one live query is for.
pub const LIVE_QUERY_HOSTS_MAX: u64 = 20_000;
/// Longest statement, in bytes.
const SQL_BYTES_MAX: usize = 64 << 10;
/// Bytes of rows, before compression, that one live query may bring from all hosts together.
pub const LIVE_QUERY_BYTES_MAX: i64 = 512 << 20;

/// A question to the tables of hosts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveQuery {
    /// Its id.
    pub id: Uuid,
    /// Whose.
    pub tenant: TenantId,
    /// The statement.
    pub sql: String,
    /// Why.
    pub reason: String,
    /// Who asks.
    pub author: String,
    /// When.
    pub created: Micros,
    /// Not begun later than this.
    pub expires: Micros,
    /// How long it may take on a host, in milliseconds.
    pub timeout_ms: u32,
    /// Rows that are wanted of a host at most.
    pub rows_max: u32,
    /// When it was called off.
    pub cancelled: Option<Micros>,
    /// How many hosts it is for.
    pub hosts: u32,
    /// Rows that came.
    pub rows: u64,
    /// Their bytes before compression.
    pub bytes: u64,
    /// How many hosts are in which state.
    pub states: BTreeMap<RunState, u64>,
}

impl LiveQuery {
    fn row(&self) -> live_query::Model {
        live_query::Model {
            id: self.id,
            tenant_id: self.tenant.0,
            sql: self.sql.clone(),
            reason: self.reason.clone(),
            author: self.author.clone(),
            created: self.created.0,
            expires: self.expires.0,
            timeout_ms: i64::from(self.timeout_ms),
            rows_max: i64::from(self.rows_max),
            cancelled: self.cancelled.map(|at| at.0),
            hosts: self.hosts.cast_signed(),
            parts: 0,
            rows: 0,
            bytes: 0,
        }
    }

    /// Whether no host has anything more to say.
    pub fn ended(&self) -> bool {
        !self.states.keys().any(|state| state.is_open())
    }
}

/// A live query to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLiveQuery {
    /// The statement.
    pub sql: String,
    /// Why.
    pub reason: String,
    /// Not begun later than this.
    pub expires: Micros,
    /// How long it may take on a host, in milliseconds.
    pub timeout_ms: u32,
    /// Rows that are wanted of a host at most.
    pub rows_max: u32,
}

/// How far one host has come with a live query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveQueryHost {
    /// By what the host knows it.
    pub id: Uuid,
    /// The query.
    pub query: Uuid,
    /// Whose.
    pub tenant: TenantId,
    /// The host.
    pub host: Uuid,
    /// Its name at that time.
    pub host_name: String,
    /// How far it has come.
    pub state: RunState,
    /// When it was told.
    pub sent: Option<Micros>,
    /// When it ended.
    pub ended: Option<Micros>,
    /// Not begun later than this.
    pub expires: Micros,
    /// Names of the columns, as soon as the first part has come.
    pub columns: Vec<String>,
    /// Parts that came.
    pub parts: u32,
    /// Rows that came.
    pub rows: u64,
    /// Their bytes before compression.
    pub bytes: u64,
    /// Whether there would have been more.
    pub more: bool,
    /// How long it took on the host, in milliseconds.
    pub took_ms: Option<u32>,
    /// Why it ended early.
    pub text: String,
}

impl TryFrom<live_query_host::Model> for LiveQueryHost {
    type Error = CatalogError;

    fn try_from(row: live_query_host::Model) -> Result<Self, CatalogError> {
        Ok(Self {
            id: row.id,
            query: row.query_id,
            tenant: TenantId(row.tenant_id),
            host: row.host_id,
            host_name: row.host_name,
            state: row.state.parse().map_err(CatalogError::Corrupt)?,
            sent: row.sent.map(Micros),
            ended: row.ended.map(Micros),
            expires: Micros(row.expires),
            columns: serde_json::from_str(&row.columns).map_err(CatalogError::json("live_query_hosts.columns"))?,
            parts: u32::try_from(row.parts).unwrap_or(u32::MAX),
            rows: row.rows.unsigned_abs(),
            bytes: row.bytes.unsigned_abs(),
            more: row.more,
            took_ms: row.took_ms.and_then(|ms| u32::try_from(ms).ok()),
            text: row.text,
        })
    }
}

impl LiveQueryHost {
    /// A host that has not heard of a query yet.
    fn queued(id: Uuid, query: &LiveQuery, host: &Host) -> Self {
        Self {
            id,
            query: query.id,
            tenant: query.tenant,
            host: host.id,
            host_name: host.name.clone(),
            state: RunState::Queued,
            sent: None,
            ended: None,
            expires: query.expires,
            columns: Vec::new(),
            parts: 0,
            rows: 0,
            bytes: 0,
            more: false,
            took_ms: None,
            text: String::new(),
        }
    }

    pub(super) fn row(&self) -> live_query_host::Model {
        live_query_host::Model {
            id: self.id,
            tenant_id: self.tenant.0,
            query_id: self.query,
            host_id: self.host,
            host_name: self.host_name.clone(),
            state: self.state.as_str().to_owned(),
            sent: self.sent.map(|t| t.0),
            ended: self.ended.map(|t| t.0),
            expires: self.expires.0,
            columns: json!(self.columns).to_string(),
            parts: i64::from(self.parts),
            rows: self.rows.cast_signed(),
            bytes: self.bytes.cast_signed(),
            more: self.more,
            took_ms: self.took_ms.map(i64::from),
            text: self.text.clone(),
        }
    }
}

/// Rows of one host, packed as they came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveQueryPart {
    /// Its place among the parts of the query, from 1: in the order in which they came.
    pub number: i64,
    /// Whose rows these are, by [`LiveQueryHost::id`].
    pub run: Uuid,
    /// How many.
    pub rows: u32,
    /// Their bytes before compression.
    pub raw_bytes: u32,
    /// The rows.
    pub packed: Vec<u8>,
}

pub(super) fn of_row(row: live_query::Model) -> LiveQuery {
    LiveQuery {
        id: row.id,
        tenant: TenantId(row.tenant_id),
        sql: row.sql,
        reason: row.reason,
        author: row.author,
        created: Micros(row.created),
        expires: Micros(row.expires),
        timeout_ms: u32::try_from(row.timeout_ms).unwrap_or(u32::MAX),
        rows_max: u32::try_from(row.rows_max).unwrap_or(u32::MAX),
        cancelled: row.cancelled.map(Micros),
        hosts: row.hosts.unsigned_abs(),
        rows: row.rows.unsigned_abs(),
        bytes: row.bytes.unsigned_abs(),
        states: BTreeMap::new(),
    }
}

/// Counts the states of each query's hosts.
async fn count(conn: &impl ConnectionTrait, queries: &mut [LiveQuery]) -> Result<(), CatalogError> {
    let rows: Vec<(Uuid, String, i64)> = live_query_host::Entity::find()
        .select_only()
        .column(live_query_host::Column::QueryId)
        .column(live_query_host::Column::State)
        .column_as(live_query_host::Column::Id.count(), "runs")
        .filter(live_query_host::Column::QueryId.is_in(queries.iter().map(|query| query.id)))
        .group_by(live_query_host::Column::QueryId)
        .group_by(live_query_host::Column::State)
        .into_tuple()
        .all(conn)
        .await?;
    for (id, state, runs) in rows {
        if let (Some(query), Ok(state)) = (queries.iter_mut().find(|query| query.id == id), state.parse()) {
            query.states.insert(state, runs.unsigned_abs());
        }
    }
    Ok(())
}

impl Scoped<'_> {
    /// Live queries, newest first, those before `before`, at most `limit`.
    pub async fn live_queries(&self, before: Option<Uuid>, limit: u64) -> Result<Vec<LiveQuery>, CatalogError> {
        let query = self.select::<live_query::Entity>().order_by_desc(live_query::Column::Id);
        let mut query = query.limit(limit.clamp(1, COMMAND_PAGE_MAX));
        if let Some(before) = before {
            query = query.filter(live_query::Column::Id.lt(before));
        }
        let mut found: Vec<LiveQuery> = query.all(self.conn()).await?.into_iter().map(of_row).collect();
        count(self.conn(), &mut found).await?;
        Ok(found)
    }

    /// One live query.
    pub async fn live_query(&self, id: Uuid) -> Result<LiveQuery, CatalogError> {
        let query = self.select::<live_query::Entity>().filter(live_query::Column::Id.eq(id));
        let mut found = [of_row(query.one(self.conn()).await?.ok_or(CatalogError::NotFound("live query"))?)];
        count(self.conn(), &mut found).await?;
        let [query] = found;
        Ok(query)
    }

    /// How far hosts have come with a live query, behind `after`, at most `limit`.
    pub async fn live_query_hosts(
        &self,
        query: Uuid,
        state: Option<RunState>,
        after: Option<Uuid>,
        limit: u64,
    ) -> Result<Vec<LiveQueryHost>, CatalogError> {
        let mut hosts = self
            .select::<live_query_host::Entity>()
            .filter(live_query_host::Column::QueryId.eq(query))
            .order_by_asc(live_query_host::Column::Id)
            .limit(limit.clamp(1, COMMAND_PAGE_MAX));
        if let Some(state) = state {
            hosts = hosts.filter(live_query_host::Column::State.eq(state.as_str()));
        }
        if let Some(after) = after {
            hosts = hosts.filter(live_query_host::Column::Id.gt(after));
        }
        hosts.all(self.conn()).await?.into_iter().map(LiveQueryHost::try_from).collect()
    }

    /// What these runs of a live query are.
    pub async fn live_query_runs(&self, query: Uuid, runs: &[Uuid]) -> Result<Vec<LiveQueryHost>, CatalogError> {
        let of_query = self.select::<live_query_host::Entity>().filter(live_query_host::Column::QueryId.eq(query));
        let rows = of_query.filter(live_query_host::Column::Id.is_in(runs.iter().copied())).all(self.conn()).await?;
        rows.into_iter().map(LiveQueryHost::try_from).collect()
    }

    /// Parts of the answer to a live query from the number `from` on, in order, at most `limit`.
    pub async fn live_query_parts(
        &self,
        query: Uuid,
        host: Option<Uuid>,
        from: i64,
        limit: u64,
    ) -> Result<Vec<LiveQueryPart>, CatalogError> {
        use live_query_part::Column as C;
        let mut parts = self
            .select::<live_query_part::Entity>()
            .filter(C::QueryId.eq(query))
            .filter(C::Number.gte(from))
            .order_by_asc(C::Number)
            .limit(limit.clamp(1, COMMAND_PAGE_MAX));
        if let Some(host) = host {
            let of_host = live_query_host::Column::HostId.eq(host);
            let runs = self.select::<live_query_host::Entity>().filter(live_query_host::Column::QueryId.eq(query));
            let runs = runs.filter(of_host).all(self.conn()).await?;
            parts = parts.filter(C::RunId.is_in(runs.into_iter().map(|run| run.id)));
        }
        let part = |row: live_query_part::Model| LiveQueryPart {
            number: row.number,
            run: row.run_id,
            rows: u32::try_from(row.rows).unwrap_or_default(),
            raw_bytes: u32::try_from(row.raw_bytes).unwrap_or_default(),
            packed: row.packed,
        };
        Ok(parts.all(self.conn()).await?.into_iter().map(part).collect())
    }
}

impl Tx {
    /// Asks hosts of this transaction's tenant.
    pub async fn create_live_query(&mut self, new: &NewLiveQuery, hosts: &[Host]) -> Result<LiveQuery, CatalogError> {
        if new.sql.trim().is_empty() || new.sql.len() > SQL_BYTES_MAX || new.sql.contains('\0') {
            return Err(CatalogError::Invalid(format!("a statement has 1 to {SQL_BYTES_MAX} bytes")));
        }
        if hosts.is_empty() || hosts.len() as u64 > LIVE_QUERY_HOSTS_MAX {
            return Err(CatalogError::Invalid(format!("a live query is for 1 to {LIVE_QUERY_HOSTS_MAX} hosts")));
        }
        let query = LiveQuery {
            id: self.new_id(),
            tenant: self.tenant(),
            sql: new.sql.clone(),
            reason: clean(new.reason.trim(), 500),
            author: self.actor().name.clone(),
            created: self.now(),
            expires: new.expires,
            timeout_ms: new.timeout_ms,
            rows_max: new.rows_max,
            cancelled: None,
            hosts: hosts.len() as u32,
            rows: 0,
            bytes: 0,
            states: [(RunState::Queued, hosts.len() as u64)].into(),
        };
        let names: Vec<&str> = hosts.iter().take(100).map(|host| host.name.as_str()).collect();
        let mut told = json!(query);
        told["host_names"] = json!(names);
        let (conn, _) = self.record(Change {
            subject: Subject::LiveQuery,
            id: query.id.to_string(),
            action: Action::Created,
            payload: json!(query),
            audit: Audit::Entry { action: "live_query.create", before: Value::Null, after: told },
        });
        live_query::Entity::insert(query.row().into_active_model()).exec_without_returning(conn).await?;
        for some in hosts.chunks(CHUNK / 10) {
            let mut rows = Vec::with_capacity(some.len());
            for host in some {
                let run = LiveQueryHost::queued(self.new_id(), &query, host);
                rows.push(run.row().into_active_model());
            }
            // The query's own entry tells of them all.
            live_query_host::Entity::insert_many(rows).exec_without_returning(self.look()).await?;
        }
        Ok(query)
    }

    /// Calls a live query off: hosts that have not heard of it never will, the others are told.
    pub async fn cancel_live_query(&mut self, id: Uuid) -> Result<(), CatalogError> {
        use live_query_host::Column as C;
        let mine = live_query::Entity::find_by_id(id).filter(live_query::Column::TenantId.eq(self.tenant().0));
        let before = of_row(mine.one(self.look()).await?.ok_or(CatalogError::NotFound("live query"))?);
        let open = live_query_host::Entity::find().filter(C::QueryId.eq(id));
        let open = open.filter(C::State.is_in(RunState::OPEN.map(RunState::as_str)));
        if before.cancelled.is_some() || open.count(self.look()).await? == 0 {
            return Ok(());
        }
        let now = self.now();
        let after = LiveQuery { cancelled: Some(now), ..before.clone() };
        let (conn, _) = self.record(Change {
            subject: Subject::LiveQuery,
            id: id.to_string(),
            action: Action::Updated,
            payload: json!(after),
            audit: Audit::Entry { action: "live_query.cancel", before: json!(before), after: json!(after) },
        });
        live_query::Entity::update_many()
            .col_expr(live_query::Column::Cancelled, Expr::value(now.0))
            .filter(live_query::Column::Id.eq(id))
            .exec(conn)
            .await?;
        live_query_host::Entity::update_many()
            .col_expr(C::State, Expr::value(RunState::Cancelled.as_str()))
            .col_expr(C::Ended, Expr::value(now.0))
            .col_expr(C::Text, Expr::value("called off before the host had heard of it"))
            .filter(C::QueryId.eq(id))
            .filter(C::State.eq(RunState::Queued.as_str()))
            .exec(self.look())
            .await?;
        Ok(())
    }

    /// How many hosts have not come to an end with live queries of this transaction's tenant.
    pub async fn open_live_query_hosts(&self) -> Result<u64, CatalogError> {
        let query = live_query_host::Entity::find()
            .filter(live_query_host::Column::TenantId.eq(self.tenant().0))
            .filter(live_query_host::Column::State.is_in(RunState::OPEN.map(RunState::as_str)));
        Ok(query.count(self.look()).await?)
    }
}
