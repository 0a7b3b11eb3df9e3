//! The hosts' side of live queries: what each has to be told, what it answered, and the end of those that fell silent or
//! grew old.

use std::collections::BTreeMap;

use guardian_model::{Micros, Scope, TenantId};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait, EntityTrait, IntoActiveModel as _, QueryFilter, QueryOrder, QuerySelect,
    sea_query::Expr,
};
use serde_json::json;
use uuid::Uuid;

use super::live_queries::{LIVE_QUERY_BYTES_MAX, LiveQuery, LiveQueryHost, of_row};
use super::runs::RunState;
use crate::entity::{live_query, live_query_host, live_query_part};
use crate::text::clean;
use crate::tx::{Audit, Change};
use crate::{Action, Actor, CatalogError, Subject, System, Tx};

/// Bytes that all live queries of a tenant may keep, before compression.
const TENANT_BYTES_MAX: i64 = 4 << 30;

/// A live query that a host has to hear of, or that it has to stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingLiveQuery {
    /// The host's part of it.
    pub run: LiveQueryHost,
    /// The query.
    pub query: LiveQuery,
}

/// Part of what a host answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveAnswer {
    /// The host's part of the query, by its id.
    pub run: Uuid,
    /// Its place, from 0.
    pub part: u32,
    /// Names of the columns, in part 0.
    pub columns: Vec<String>,
    /// How many rows.
    pub rows: u32,
    /// Their bytes before compression.
    pub raw_bytes: u32,
    /// The rows, packed.
    pub packed: Vec<u8>,
    /// Whether it is the last one.
    pub last: bool,
    /// Whether there would have been more.
    pub more: bool,
    /// How long it took, in milliseconds.
    pub took_ms: u32,
    /// Why it ended early.
    pub error: Option<String>,
}

impl System<'_> {
    /// What a host has to hear of: what waits for it, and what it was told of and is to stop.
    pub async fn pending_live_queries(&self, host: Uuid, limit: u64) -> Result<Vec<PendingLiveQuery>, CatalogError> {
        use live_query_host::Column as C;
        let rows = live_query_host::Entity::find()
            .filter(C::HostId.eq(host))
            .filter(C::State.is_in(RunState::OPEN.map(RunState::as_str)))
            .order_by_asc(C::Id)
            .limit(limit)
            .all(self.read())
            .await?;
        let mut pending = Vec::new();
        for row in rows {
            let run = LiveQueryHost::try_from(row)?;
            let query = live_query::Entity::find_by_id(run.query).one(self.read()).await?.map(of_row);
            let Some(query) = query else { continue };
            if run.state == RunState::Queued || query.cancelled.is_some() {
                pending.push(PendingLiveQuery { run, query });
            }
        }
        Ok(pending)
    }

    /// The columns of the answer of a host so far, where it is at a live query.
    pub async fn live_query_run(&self, host: Uuid, run: Uuid) -> Result<Option<LiveQueryHost>, CatalogError> {
        let row = live_query_host::Entity::find_by_id(run).one(self.read()).await?;
        Ok(row.filter(|row| row.host_id == host).map(LiveQueryHost::try_from).transpose()?)
    }

    /// The live queries that a host was told of since `since` and that were not called off, newest first.
    pub async fn told_live_queries(
        &self,
        host: Uuid,
        since: Micros,
        limit: u64,
    ) -> Result<Vec<PendingLiveQuery>, CatalogError> {
        use live_query_host::Column as C;
        let rows = live_query_host::Entity::find()
            .filter(C::HostId.eq(host))
            .filter(C::Sent.gte(since.0))
            .order_by_desc(C::Id)
            .limit(limit)
            .all(self.read())
            .await?;
        let mut told = Vec::new();
        for row in rows {
            let run = LiveQueryHost::try_from(row)?;
            let query = live_query::Entity::find_by_id(run.query).one(self.read()).await?.map(of_row);
            if let Some(query) = query.filter(|query| query.cancelled.is_none()) {
                told.push(PendingLiveQuery { run, query });
            }
        }
        Ok(told)
    }

    /// The hosts that have not come to an end with a live query.
    pub async fn open_live_query_hosts(&self, query: Uuid) -> Result<Vec<Uuid>, CatalogError> {
        let open = live_query_host::Entity::find()
            .select_only()
            .column(live_query_host::Column::HostId)
            .filter(live_query_host::Column::QueryId.eq(query))
            .filter(live_query_host::Column::State.is_in(RunState::OPEN.map(RunState::as_str)));
        Ok(open.into_tuple().all(self.read()).await?)
    }

    /// Keeps that a host is being told of live queries. Answers those that still want to be told.
    pub async fn mark_live_queries_sent(&self, tenant: TenantId, runs: &[Uuid]) -> Result<Vec<Uuid>, CatalogError> {
        let mut tx = self.scoped(&Scope::of(tenant)).begin(tenant, Actor::system("fleet")).await?;
        let mut open = Vec::new();
        for id in runs {
            let run = tx.live_run(*id).await?;
            if run.state == RunState::Queued {
                let sent = Some(tx.now());
                tx.store_live_run(&LiveQueryHost { state: RunState::Sent, sent, ..run }).await?;
                open.push(*id);
            }
        }
        tx.commit().await?;
        Ok(open)
    }

    /// Keeps a part of a host's answer. Answers whether the host is to go on: it is not where the query has come to an end,
    /// a part before is missing, or all hosts together have said too much.
    pub async fn keep_live_answer(
        &self,
        tenant: TenantId,
        host: Uuid,
        answer: LiveAnswer,
    ) -> Result<bool, CatalogError> {
        let mut tx = self.scoped(&Scope::of(tenant)).begin(tenant, Actor::system("fleet")).await?;
        let run = match tx.live_run(answer.run).await {
            Ok(run) if run.host == host && run.state.is_open() && run.sent.is_some() => run,
            Ok(_) | Err(CatalogError::NotFound(_)) => return Ok(false),
            Err(error) => return Err(error),
        };
        let goes_on = tx.keep_live_part(run, answer).await?;
        tx.commit().await?;
        Ok(goes_on)
    }

    /// Ends what was not answered in time: what hosts never heard of when its time was over, and what they say nothing more
    /// about when it should have ended `grace` ago. Answers how many.
    pub async fn expire_live_queries(&self, grace: i64, limit: u64) -> Result<usize, CatalogError> {
        use live_query_host::Column as C;
        let now = self.catalog().now();
        let due = live_query_host::Entity::find()
            .filter(C::State.is_in(RunState::OPEN.map(RunState::as_str)))
            .filter(C::Expires.lte(now.0))
            .order_by_asc(C::Expires)
            .limit(limit)
            .all(self.read())
            .await?;
        let mut by_tenant = BTreeMap::<TenantId, Vec<Uuid>>::new();
        due.iter().for_each(|row| by_tenant.entry(TenantId(row.tenant_id)).or_default().push(row.id));
        let mut ended = 0;
        for (tenant, ids) in by_tenant {
            let mut tx = self.scoped(&Scope::of(tenant)).begin(tenant, Actor::system("fleet")).await?;
            for id in ids {
                let run = tx.live_run(id).await?;
                let of = live_query::Entity::find_by_id(run.query).one(tx.look()).await?;
                let length = of.as_ref().map_or(0, |of| of.timeout_ms.saturating_mul(1_000)).saturating_add(grace);
                let last = run.sent.unwrap_or(run.expires).max(run.expires).0.saturating_add(length);
                let (state, text) = match run.state {
                    RunState::Queued => (RunState::Expired, "the host was not there in time"),
                    RunState::Sent | RunState::Running if last <= now.0 => match of.and_then(|of| of.cancelled) {
                        Some(_) => (RunState::Cancelled, "called off"),
                        None => (RunState::Expired, "the host did not answer to the end"),
                    },
                    _ => continue,
                };
                let text = text.to_owned();
                tx.store_live_run(&LiveQueryHost { state, ended: Some(now), text, ..run }).await?;
                ended += 1;
            }
            tx.commit().await?;
        }
        Ok(ended)
    }

    /// Forgets live queries that were asked before `before`, and the oldest of a tenant that keeps too much. Answers how
    /// many.
    pub async fn sweep_live_queries(&self, before: Micros, limit: u64) -> Result<usize, CatalogError> {
        use live_query::Column as C;
        let old = live_query::Entity::find().filter(C::Created.lt(before.0)).order_by_asc(C::Created).limit(limit);
        let mut gone: Vec<(Uuid, Uuid)> =
            old.select_only().column(C::TenantId).column(C::Id).into_tuple().all(self.read()).await?;
        let kept: Vec<(Uuid, Uuid, i64)> = live_query::Entity::find()
            .filter(C::Created.gte(before.0))
            .filter(C::Bytes.gt(0))
            .order_by_desc(C::Created)
            .select_only()
            .column(C::TenantId)
            .column(C::Id)
            .column(C::Bytes)
            .into_tuple()
            .all(self.read())
            .await?;
        let mut sums = BTreeMap::<Uuid, i64>::new();
        for (tenant, id, bytes) in kept {
            let sum = sums.entry(tenant).or_default();
            *sum = sum.saturating_add(bytes);
            if *sum > TENANT_BYTES_MAX {
                gone.push((tenant, id));
            }
        }
        let count = gone.len();
        let mut by_tenant = BTreeMap::<Uuid, Vec<Uuid>>::new();
        gone.into_iter().for_each(|(tenant, id)| by_tenant.entry(tenant).or_default().push(id));
        for (tenant, ids) in by_tenant {
            let tenant = TenantId(tenant);
            let mut tx = self.scoped(&Scope::of(tenant)).begin(tenant, Actor::system("fleet")).await?;
            for id in ids {
                let (conn, _) = tx.record(Change {
                    subject: Subject::LiveQuery,
                    id: id.to_string(),
                    action: Action::Deleted,
                    payload: json!(null),
                    audit: Audit::NotNeeded,
                });
                // Hosts and parts go with it.
                live_query::Entity::delete_by_id(id).exec(conn).await?;
            }
            tx.commit().await?;
        }
        Ok(count)
    }
}

impl Tx {
    async fn live_run(&self, id: Uuid) -> Result<LiveQueryHost, CatalogError> {
        let mine = live_query_host::Entity::find_by_id(id);
        let mine = mine.filter(live_query_host::Column::TenantId.eq(self.tenant().0));
        mine.one(self.look()).await?.ok_or(CatalogError::NotFound("live query"))?.try_into()
    }

    async fn store_live_run(&mut self, run: &LiveQueryHost) -> Result<(), CatalogError> {
        let (conn, _) = self.record(Change {
            subject: Subject::LiveQueryHost,
            id: run.id.to_string(),
            action: Action::Updated,
            payload: json!({"query": run.query, "host": run.host, "state": run.state, "rows": run.rows}),
            // Who asked whom what is in the trail; looking changes nothing on a host.
            audit: Audit::NotNeeded,
        });
        let all = run.row().into_active_model().reset_all();
        live_query_host::Entity::update_many()
            .set(all)
            .filter(live_query_host::Column::Id.eq(run.id))
            .exec(conn)
            .await?;
        Ok(())
    }

    async fn keep_live_part(&mut self, mut run: LiveQueryHost, answer: LiveAnswer) -> Result<bool, CatalogError> {
        use live_query::Column as C;
        let query = live_query::Entity::find_by_id(run.query).one(self.look()).await?;
        let query = query.ok_or(CatalogError::NotFound("live query"))?;
        let now = self.now();
        let room = query.bytes.saturating_add(i64::from(answer.raw_bytes)) <= LIVE_QUERY_BYTES_MAX;
        let in_order = answer.part == run.parts;
        let too_many = run.rows.saturating_add(u64::from(answer.rows)) > query.rows_max.unsigned_abs();
        if !in_order || !room || too_many {
            let text = match (in_order, room) {
                (false, _) => "a part of the answer was lost on the way",
                (true, false) => "all hosts together answered more than is kept",
                (true, true) => "the host answered more than was wanted",
            };
            let text = text.to_owned();
            self.store_live_run(&LiveQueryHost { state: RunState::Failed, ended: Some(now), text, ..run }).await?;
            return Ok(false);
        }
        if answer.part == 0 {
            run.columns = answer.columns;
        }
        (run.parts, run.rows) = (run.parts + 1, run.rows + u64::from(answer.rows));
        run.bytes += u64::from(answer.raw_bytes);
        run.state = RunState::Running;
        if answer.last {
            run.ended = Some(now);
            (run.more, run.took_ms) = (answer.more, Some(answer.took_ms));
            run.text = clean(answer.error.as_deref().unwrap_or_default(), 2_000);
            run.state = match &answer.error {
                None => RunState::Done,
                Some(_) if query.cancelled.is_some() => RunState::Cancelled,
                Some(error) if error.starts_with("refused") => RunState::Refused,
                Some(_) => RunState::Failed,
            };
        }
        self.store_live_run(&run).await?;
        if answer.rows > 0 {
            // The tenant's row is locked, so that numbers are given in the order in which they are seen.
            let part = live_query_part::Model {
                query_id: run.query,
                number: query.parts + 1,
                tenant_id: self.tenant().0,
                run_id: run.id,
                rows: i64::from(answer.rows),
                raw_bytes: i64::from(answer.raw_bytes),
                packed: answer.packed,
            };
            live_query_part::Entity::insert(part.into_active_model()).exec_without_returning(self.look()).await?;
            live_query::Entity::update_many()
                .col_expr(C::Parts, Expr::value(query.parts + 1))
                .col_expr(C::Rows, Expr::value(query.rows + i64::from(answer.rows)))
                .col_expr(C::Bytes, Expr::value(query.bytes + i64::from(answer.raw_bytes)))
                .filter(C::Id.eq(run.query))
                .exec(self.look())
                .await?;
        }
        Ok(!answer.last)
    }
}
