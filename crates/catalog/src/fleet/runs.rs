//! A command on one host: queued, sent, running, and how it ended. Hosts say things twice, late, and after their server was
//! away: what is final stays, except that a host's own word replaces what was only assumed of its silence.

use guardian_model::{Micros, Scope, TenantId};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait, EntityTrait, IntoActiveModel as _, QueryFilter, QueryOrder, QuerySelect,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::commands::Command;
use super::hosts::Host;
use super::packs::EvidencePack;
use crate::entity::{command, command_run};
use crate::text::clean;
use crate::tx::{Audit, Change};
use crate::{Action, Actor, CatalogError, Subject, System, Tx, text_enum};

/// Longest output that is kept of one host, in characters.
pub const RUN_OUTPUT_MAX: usize = 256 << 10;
/// Longest outcome, in bytes; a longer one loses its details.
const OUTCOME_BYTES_MAX: usize = 256 << 10;
/// How long a host that was told of a command is asked what became of it.
const ASKED_FOR: i64 = 30 * Micros::DAY;

text_enum! {
    /// How far a host has come with a command.
    RunState {
        /// It waits for the host.
        Queued = "queued",
        /// The host was told.
        Sent = "sent",
        /// It is being done.
        Running = "running",
        /// It is done.
        Done = "done",
        /// It could not be done.
        Failed = "failed",
        /// The host did not do it: not permitted there, not signed, not known.
        Refused = "refused",
        /// Nobody did it in time, as far as is known.
        Expired = "expired",
        /// It was called off.
        Cancelled = "cancelled",
    }
}

impl RunState {
    /// Those that are not the end.
    pub const OPEN: [Self; 3] = [Self::Queued, Self::Sent, Self::Running];

    /// Whether it is not the end.
    pub fn is_open(self) -> bool {
        Self::OPEN.contains(&self)
    }
}

/// A command on one host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandRun {
    /// Its id, by which the host remembers it.
    pub id: Uuid,
    /// The command.
    pub command: Uuid,
    /// Whose.
    pub tenant: TenantId,
    /// The host.
    pub host: Uuid,
    /// Its name at that time.
    pub host_name: String,
    /// How far it has come.
    pub state: RunState,
    /// When the host was told.
    pub sent: Option<Micros>,
    /// When it began.
    pub begun: Option<Micros>,
    /// When it ended.
    pub ended: Option<Micros>,
    /// Not begun later than this.
    pub expires: Micros,
    /// When something last changed.
    pub updated: Micros,
    /// For people.
    pub text: String,
    /// What it printed.
    pub output: String,
    /// What the host said at the end, as the protocol has it.
    pub outcome: Option<Value>,
}

/// What a host said about a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunNews {
    /// The run.
    pub id: Uuid,
    /// How far it has come.
    pub state: RunState,
    /// For people.
    pub text: String,
    /// What it printed since the last word.
    pub output: String,
    /// What the host said, where it is the end.
    pub outcome: Option<Value>,
}

impl CommandRun {
    pub(super) fn queued(id: Uuid, command: &Command, host: &Host, now: Micros) -> Self {
        Self {
            id,
            command: command.id,
            tenant: command.tenant,
            host: host.id,
            host_name: host.name.clone(),
            state: RunState::Queued,
            sent: None,
            begun: None,
            ended: None,
            expires: command.expires,
            updated: now,
            text: String::new(),
            output: String::new(),
            outcome: None,
        }
    }

    pub(super) fn row(&self) -> command_run::Model {
        command_run::Model {
            id: self.id,
            tenant_id: self.tenant.0,
            command_id: self.command,
            host_id: self.host,
            host_name: self.host_name.clone(),
            state: self.state.as_str().to_owned(),
            sent: self.sent.map(|t| t.0),
            begun: self.begun.map(|t| t.0),
            ended: self.ended.map(|t| t.0),
            expires: self.expires.0,
            updated: self.updated.0,
            text: self.text.clone(),
            output: self.output.clone(),
            outcome: self.outcome.as_ref().map(Value::to_string),
        }
    }

    /// What follows from what a host said; none where it changes nothing.
    fn after(&self, news: &RunNews, cancelled: bool, now: Micros) -> Option<Self> {
        // Silence was only assumed to be the end; whoever called something off may learn that it was too late.
        let assumed = matches!(self.state, RunState::Expired | RunState::Cancelled) && self.outcome.is_none();
        let late = assumed && self.sent.is_some() && !news.state.is_open();
        let refused = late && matches!(news.state, RunState::Refused | RunState::Expired);
        if !(self.state.is_open() || late) || (news.state.is_open() && news.state < self.state) {
            return None;
        }
        let mut after = self.clone();
        let stopped = cancelled && matches!(news.state, RunState::Failed | RunState::Refused | RunState::Expired);
        after.state = match news.state {
            _ if refused => self.state,
            _ if stopped => RunState::Cancelled,
            state => state,
        };
        after.updated = now;
        if news.state == RunState::Running {
            after.begun.get_or_insert(now);
        }
        if !news.text.is_empty() {
            after.text = clean(&news.text, 2_000);
        }
        let room = RUN_OUTPUT_MAX.saturating_sub(after.output.chars().count());
        after.output.push_str(&clean(&news.output, room));
        if !news.state.is_open() {
            after.ended = Some(now);
            after.outcome = news.outcome.clone().map(|outcome| {
                if outcome.to_string().len() <= OUTCOME_BYTES_MAX { outcome } else { json!({"too_long": true}) }
            });
        }
        (after != *self).then_some(after)
    }
}

impl TryFrom<command_run::Model> for CommandRun {
    type Error = CatalogError;

    fn try_from(row: command_run::Model) -> Result<Self, CatalogError> {
        let outcome = row.outcome.as_deref().map(serde_json::from_str).transpose();
        Ok(Self {
            id: row.id,
            command: row.command_id,
            tenant: TenantId(row.tenant_id),
            host: row.host_id,
            host_name: row.host_name,
            state: row.state.parse().map_err(CatalogError::Corrupt)?,
            sent: row.sent.map(Micros),
            begun: row.begun.map(Micros),
            ended: row.ended.map(Micros),
            expires: Micros(row.expires),
            updated: Micros(row.updated),
            text: row.text,
            output: row.output,
            outcome: outcome.map_err(CatalogError::json("command_runs.outcome"))?,
        })
    }
}

/// A command that a host has to hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingRun {
    /// The run.
    pub run: CommandRun,
    /// The action with its arguments.
    pub action: Value,
    /// Whether to do nothing.
    pub dry_run: bool,
    /// Who decided.
    pub author: String,
    /// When.
    pub created: Micros,
    /// How long it may take, in milliseconds.
    pub timeout_ms: u32,
    /// Whether it was called off.
    pub cancelled: bool,
}

impl System<'_> {
    /// What a host has to hear of: what waits for it, and what it was told of and said nothing final about.
    pub async fn pending_runs(&self, host: Uuid, limit: u64) -> Result<Vec<PendingRun>, CatalogError> {
        let since = self.catalog().now().0 - ASKED_FOR;
        let asked = [RunState::Queued, RunState::Sent, RunState::Running, RunState::Expired, RunState::Cancelled];
        let rows = command_run::Entity::find()
            .filter(command_run::Column::HostId.eq(host))
            .filter(command_run::Column::State.is_in(asked.map(RunState::as_str)))
            .filter(command_run::Column::Outcome.is_null())
            .filter(command_run::Column::Expires.gt(since))
            .order_by_asc(command_run::Column::Id)
            .limit(limit)
            .all(self.read())
            .await?;
        let mut pending = Vec::new();
        for row in rows {
            let run = CommandRun::try_from(row)?;
            if run.state != RunState::Queued && run.sent.is_none() {
                // It ended before the host had heard of it, and never will.
                continue;
            }
            let Some(of) = command::Entity::find_by_id(run.command).one(self.read()).await? else { continue };
            pending.push(PendingRun {
                run,
                action: serde_json::from_str(&of.action).map_err(CatalogError::json("commands.action"))?,
                dry_run: of.dry_run,
                author: of.author,
                created: Micros(of.created),
                timeout_ms: u32::try_from(of.timeout_ms).unwrap_or(u32::MAX),
                cancelled: of.cancelled.is_some(),
            });
        }
        Ok(pending)
    }

    /// The part of a command that is one host's.
    pub async fn run_on(&self, command: Uuid, host: Uuid) -> Result<Option<Uuid>, CatalogError> {
        let query = command_run::Entity::find()
            .filter(command_run::Column::CommandId.eq(command))
            .filter(command_run::Column::HostId.eq(host));
        Ok(query.one(self.read()).await?.map(|run| run.id))
    }

    /// The hosts that have not come to an end with a command.
    pub async fn open_hosts(&self, command: Uuid) -> Result<Vec<Uuid>, CatalogError> {
        let query = command_run::Entity::find()
            .select_only()
            .column(command_run::Column::HostId)
            .filter(command_run::Column::CommandId.eq(command))
            .filter(command_run::Column::State.is_in(RunState::OPEN.map(RunState::as_str)));
        Ok(query.into_tuple().all(self.read()).await?)
    }

    /// Keeps that a host is being told of commands. It is done before they are sent: a host may do what the server then
    /// forgot, but never the other way round. Answers those that still want to be told.
    pub async fn mark_sent(&self, tenant: TenantId, runs: &[Uuid]) -> Result<Vec<Uuid>, CatalogError> {
        let mut tx = self.scoped(&Scope::of(tenant)).begin(tenant, Actor::system("fleet")).await?;
        let mut open = Vec::new();
        for id in runs {
            let run = tx.run_row(*id).await?;
            if run.state == RunState::Queued {
                let now = tx.now();
                let after = CommandRun { state: RunState::Sent, sent: Some(now), updated: now, ..run };
                tx.store_run(&after).await?;
            } else if !run.state.is_open() && run.sent.is_none() {
                continue;
            }
            open.push(*id);
        }
        tx.commit().await?;
        Ok(open)
    }

    /// Stores what a host said about its commands. What is not its own is passed over.
    pub async fn observe_runs(&self, tenant: TenantId, host: Uuid, news: &[RunNews]) -> Result<(), CatalogError> {
        let mut tx = self.scoped(&Scope::of(tenant)).begin(tenant, Actor::system("fleet")).await?;
        for one in news {
            let run = match tx.run_row(one.id).await {
                Ok(run) if run.host == host => run,
                Ok(_) | Err(CatalogError::NotFound(_)) => continue,
                Err(error) => return Err(error),
            };
            let of = command::Entity::find_by_id(run.command).one(tx.look()).await?;
            let cancelled = of.is_some_and(|of| of.cancelled.is_some());
            if let Some(after) = run.after(one, cancelled, tx.now()) {
                tx.store_run(&after).await?;
                if let Some(pack) = EvidencePack::told(&after, tx.now()) {
                    tx.add_pack(&pack).await?;
                }
            }
        }
        tx.commit().await?;
        Ok(())
    }

    /// Ends what was not done in time: what hosts never heard of when its time was over, and what they say nothing more
    /// about when it should have ended `grace` ago. Answers how many.
    pub async fn expire_runs(&self, grace: i64, limit: u64) -> Result<usize, CatalogError> {
        let now = self.catalog().now();
        let due = command_run::Entity::find()
            .filter(command_run::Column::State.is_in(RunState::OPEN.map(RunState::as_str)))
            .filter(command_run::Column::Expires.lte(now.0))
            .order_by_asc(command_run::Column::Expires)
            .limit(limit)
            .all(self.read())
            .await?;
        let mut ended = 0;
        let mut by_tenant = std::collections::BTreeMap::<TenantId, Vec<Uuid>>::new();
        due.iter().for_each(|row| by_tenant.entry(TenantId(row.tenant_id)).or_default().push(row.id));
        for (tenant, ids) in by_tenant {
            let mut tx = self.scoped(&Scope::of(tenant)).begin(tenant, Actor::system("fleet")).await?;
            for id in ids {
                let run = tx.run_row(id).await?;
                let of = command::Entity::find_by_id(run.command).one(tx.look()).await?;
                let length = of.map_or(0, |of| of.timeout_ms.saturating_mul(1_000)).saturating_add(grace);
                let last = run.begun.unwrap_or(run.expires).max(run.expires).0.saturating_add(length);
                let text = match run.state {
                    RunState::Queued => "the host was not there in time",
                    RunState::Sent | RunState::Running if last <= now.0 => {
                        "the host did not say what became of it; if it does, it is shown here"
                    }
                    _ => continue,
                };
                let text = text.to_owned();
                let after = CommandRun { state: RunState::Expired, ended: Some(now), updated: now, text, ..run };
                tx.store_run(&after).await?;
                ended += 1;
            }
            tx.commit().await?;
        }
        Ok(ended)
    }
}

impl Tx {
    async fn run_row(&self, id: Uuid) -> Result<CommandRun, CatalogError> {
        let query = command_run::Entity::find_by_id(id).filter(command_run::Column::TenantId.eq(self.tenant().0));
        query.one(self.look()).await?.ok_or(CatalogError::NotFound("command"))?.try_into()
    }

    async fn store_run(&mut self, run: &CommandRun) -> Result<(), CatalogError> {
        let audit = if run.state.is_open() {
            Audit::NotNeeded
        } else {
            // What was done to a machine is as much a matter of the trail as who wanted it.
            let after = json!({"command": run.command, "host": run.host, "host_name": run.host_name,
                "state": run.state, "text": run.text});
            Audit::Entry { action: "command.ended", before: Value::Null, after }
        };
        let (conn, _) = self.record(Change {
            subject: Subject::CommandRun,
            id: run.id.to_string(),
            action: Action::Updated,
            payload: json!({"command": run.command, "host": run.host, "host_name": run.host_name,
                "state": run.state, "text": run.text}),
            audit,
        });
        let all = run.row().into_active_model().reset_all();
        command_run::Entity::update_many().set(all).filter(command_run::Column::Id.eq(run.id)).exec(conn).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(state: RunState, sent: bool) -> CommandRun {
        CommandRun {
            id: Uuid::nil(),
            command: Uuid::nil(),
            tenant: TenantId::DEFAULT,
            host: Uuid::nil(),
            host_name: "web-1".into(),
            state,
            sent: sent.then_some(Micros(1)),
            begun: None,
            ended: None,
            expires: Micros(10),
            updated: Micros(1),
            text: String::new(),
            output: String::new(),
            outcome: None,
        }
    }

    #[test]
    fn hosts_have_the_last_word_and_nobody_goes_back() {
        use RunState as S;
        for (now, sent, said, cancelled, expected) in [
            (S::Sent, true, S::Running, false, Some(S::Running)),
            (S::Running, true, S::Sent, false, None),
            (S::Sent, true, S::Done, false, Some(S::Done)),
            (S::Done, true, S::Failed, false, None),
            (S::Done, true, S::Running, false, None),
            (S::Expired, true, S::Done, false, Some(S::Done)),
            (S::Expired, true, S::Refused, false, Some(S::Expired)),
            (S::Expired, false, S::Done, false, None),
            (S::Running, true, S::Failed, true, Some(S::Cancelled)),
            (S::Running, true, S::Done, true, Some(S::Done)),
        ] {
            let news = RunNews { id: Uuid::nil(), state: said, text: "x".into(), output: String::new(), outcome: None };
            let after = run(now, sent).after(&news, cancelled, Micros(5)).map(|run| run.state);
            assert_eq!(after, expected, "{now} then {said}");
        }
        let mut first = run(S::Sent, true);
        for _ in 0..3 {
            let output = "é".repeat(RUN_OUTPUT_MAX / 2);
            let news = RunNews { id: Uuid::nil(), state: S::Running, text: "x".into(), output, outcome: None };
            first = first.after(&news, false, Micros(6)).unwrap_or(first);
        }
        assert_eq!(first.output.chars().count(), RUN_OUTPUT_MAX, "output has a bound");
        assert_eq!(first.begun, Some(Micros(6)));
    }
}
