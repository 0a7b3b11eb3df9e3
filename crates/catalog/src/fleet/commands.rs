//! Commands: what somebody has hosts do, and how far each host has come with it. What an action means is the business of
//! the crate `fleet`: here it is JSON.

use std::collections::BTreeMap;

use guardian_model::{Micros, TenantId};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel as _, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait as _, sea_query::Expr,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::hosts::Host;
use super::runs::{CommandRun, RunState};
use crate::entity::{command, command_run};
use crate::text::clean;
use crate::tx::{Audit, CHUNK, Change};
use crate::{Action, CatalogError, Scoped, Subject, Tx};

/// Hosts that one command is for.
pub const COMMAND_HOSTS_MAX: u64 = 20_000;
/// Most commands, and most hosts of one, on a page.
pub const COMMAND_PAGE_MAX: u64 = 500;
/// Longest action, in bytes.
const ACTION_BYTES_MAX: usize = 1 << 20;

/// Something that hosts are to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Its id.
    pub id: Uuid,
    /// Whose.
    pub tenant: TenantId,
    /// Name of the action.
    pub kind: String,
    /// The action with its arguments.
    pub action: Value,
    /// Whether hosts say what they would do, and do nothing.
    pub dry_run: bool,
    /// Why.
    pub reason: String,
    /// Who decided.
    pub author: String,
    /// When.
    pub created: Micros,
    /// Not begun later than this.
    pub expires: Micros,
    /// How long it may take on a host, in milliseconds.
    pub timeout_ms: u32,
    /// When it was called off.
    pub cancelled: Option<Micros>,
    /// How many hosts it is for.
    pub hosts: u32,
    /// How many of them are in which state.
    pub states: BTreeMap<RunState, u64>,
}

/// A command to give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCommand {
    /// Name of the action.
    pub kind: String,
    /// The action with its arguments.
    pub action: Value,
    /// Whether hosts say what they would do, and do nothing.
    pub dry_run: bool,
    /// Why.
    pub reason: String,
    /// Not begun later than this.
    pub expires: Micros,
    /// How long it may take on a host, in milliseconds.
    pub timeout_ms: u32,
}

/// Which commands; empty fields do not restrict.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CommandFilter {
    /// Those for this host.
    pub host: Option<Uuid>,
    /// Those with this action.
    pub kind: Option<String>,
    /// Those before this one.
    pub before: Option<Uuid>,
}

fn of_row(row: command::Model) -> Result<Command, CatalogError> {
    Ok(Command {
        id: row.id,
        tenant: TenantId(row.tenant_id),
        kind: row.kind,
        action: serde_json::from_str(&row.action).map_err(CatalogError::json("commands.action"))?,
        dry_run: row.dry_run,
        reason: row.reason,
        author: row.author,
        created: Micros(row.created),
        expires: Micros(row.expires),
        timeout_ms: u32::try_from(row.timeout_ms).unwrap_or(u32::MAX),
        cancelled: row.cancelled.map(Micros),
        hosts: u32::try_from(row.hosts).unwrap_or_default(),
        states: BTreeMap::new(),
    })
}

/// Counts the states of each command's hosts.
async fn count(conn: &impl ConnectionTrait, commands: &mut [Command]) -> Result<(), CatalogError> {
    let rows: Vec<(Uuid, String, i64)> = command_run::Entity::find()
        .select_only()
        .column(command_run::Column::CommandId)
        .column(command_run::Column::State)
        .column_as(command_run::Column::Id.count(), "runs")
        .filter(command_run::Column::CommandId.is_in(commands.iter().map(|c| c.id)))
        .group_by(command_run::Column::CommandId)
        .group_by(command_run::Column::State)
        .into_tuple()
        .all(conn)
        .await?;
    for (id, state, runs) in rows {
        if let (Some(command), Ok(state)) = (commands.iter_mut().find(|c| c.id == id), state.parse()) {
            command.states.insert(state, u64::try_from(runs).unwrap_or_default());
        }
    }
    Ok(())
}

impl Scoped<'_> {
    /// Commands, newest first, at most `limit`.
    pub async fn commands(&self, filter: &CommandFilter, limit: u64) -> Result<Vec<Command>, CatalogError> {
        let mut query =
            self.select::<command::Entity>().order_by_desc(command::Column::Id).limit(limit.clamp(1, COMMAND_PAGE_MAX));
        if let Some(host) = filter.host {
            let of_host = command_run::Entity::find()
                .select_only()
                .column(command_run::Column::CommandId)
                .filter(command_run::Column::HostId.eq(host))
                .into_query();
            query = query.filter(command::Column::Id.in_subquery(of_host));
        }
        if let Some(kind) = &filter.kind {
            query = query.filter(command::Column::Kind.eq(clean(kind, 40)));
        }
        if let Some(before) = filter.before {
            query = query.filter(command::Column::Id.lt(before));
        }
        let rows = query.all(self.conn()).await?;
        let mut commands = rows.into_iter().map(of_row).collect::<Result<Vec<_>, _>>()?;
        count(self.conn(), &mut commands).await?;
        Ok(commands)
    }

    /// One command.
    pub async fn command(&self, id: Uuid) -> Result<Command, CatalogError> {
        let query = self.select::<command::Entity>().filter(command::Column::Id.eq(id));
        let mut found = [of_row(query.one(self.conn()).await?.ok_or(CatalogError::NotFound("command"))?)?];
        count(self.conn(), &mut found).await?;
        let [command] = found;
        Ok(command)
    }

    /// How far hosts have come with a command, by the id of the run, behind `after`, at most `limit`.
    pub async fn command_runs(
        &self,
        command: Uuid,
        state: Option<RunState>,
        after: Option<Uuid>,
        limit: u64,
    ) -> Result<Vec<CommandRun>, CatalogError> {
        let mut query = self
            .select::<command_run::Entity>()
            .filter(command_run::Column::CommandId.eq(command))
            .order_by_asc(command_run::Column::Id)
            .limit(limit.clamp(1, COMMAND_PAGE_MAX));
        if let Some(state) = state {
            query = query.filter(command_run::Column::State.eq(state.as_str()));
        }
        if let Some(after) = after {
            query = query.filter(command_run::Column::Id.gt(after));
        }
        query.all(self.conn()).await?.into_iter().map(CommandRun::try_from).collect()
    }

    /// How far one host has come with a command; the newest where it is in several.
    pub async fn command_run(&self, command: Uuid, host: Uuid) -> Result<CommandRun, CatalogError> {
        let query = self
            .select::<command_run::Entity>()
            .filter(command_run::Column::CommandId.eq(command))
            .filter(command_run::Column::HostId.eq(host));
        query.one(self.conn()).await?.ok_or(CatalogError::NotFound("command of this host"))?.try_into()
    }
}

impl Tx {
    /// Gives hosts of this transaction's tenant a command.
    pub async fn create_command(&mut self, new: &NewCommand, hosts: &[Host]) -> Result<Command, CatalogError> {
        let action = new.action.to_string();
        if action.len() > ACTION_BYTES_MAX {
            return Err(CatalogError::Invalid("the action is too long".into()));
        }
        if hosts.is_empty() || hosts.len() as u64 > COMMAND_HOSTS_MAX {
            return Err(CatalogError::Invalid(format!("a command is for 1 to {COMMAND_HOSTS_MAX} hosts")));
        }
        let command = Command {
            id: self.new_id(),
            tenant: self.tenant(),
            kind: clean(&new.kind, 40),
            action: new.action.clone(),
            dry_run: new.dry_run,
            reason: clean(new.reason.trim(), 500),
            author: self.actor().name.clone(),
            created: self.now(),
            expires: new.expires,
            timeout_ms: new.timeout_ms,
            cancelled: None,
            hosts: hosts.len() as u32,
            states: [(RunState::Queued, hosts.len() as u64)].into(),
        };
        let row = command::Model {
            id: command.id,
            tenant_id: command.tenant.0,
            kind: command.kind.clone(),
            action,
            dry_run: command.dry_run,
            reason: command.reason.clone(),
            author: command.author.clone(),
            created: command.created.0,
            expires: command.expires.0,
            timeout_ms: i64::from(command.timeout_ms),
            cancelled: None,
            hosts: command.hosts.cast_signed(),
        };
        let names: Vec<&str> = hosts.iter().take(100).map(|host| host.name.as_str()).collect();
        let mut told = json!(command);
        told["host_names"] = json!(names);
        let (conn, _) = self.record(Change {
            subject: Subject::Command,
            id: command.id.to_string(),
            action: Action::Created,
            payload: json!(command),
            audit: Audit::Entry { action: "command.create", before: Value::Null, after: told },
        });
        command::Entity::insert(row.into_active_model()).exec_without_returning(conn).await?;
        for some in hosts.chunks(CHUNK / 10) {
            let mut rows = Vec::with_capacity(some.len());
            for host in some {
                let run = CommandRun::queued(self.new_id(), &command, host, self.now());
                rows.push(run.row().into_active_model());
            }
            // The command's own entry tells of them all.
            command_run::Entity::insert_many(rows).exec_without_returning(self.look()).await?;
        }
        Ok(command)
    }

    /// Calls a command off: hosts that have not heard of it never will. Answers the hosts that have to be told.
    pub async fn cancel_command(&mut self, id: Uuid) -> Result<Vec<CommandRun>, CatalogError> {
        let query = command::Entity::find_by_id(id).filter(command::Column::TenantId.eq(self.tenant().0));
        let before = of_row(query.one(self.look()).await?.ok_or(CatalogError::NotFound("command"))?)?;
        let open = command_run::Entity::find()
            .filter(command_run::Column::CommandId.eq(id))
            .filter(command_run::Column::State.is_in(RunState::OPEN.map(RunState::as_str)));
        let open = open.all(self.look()).await?.into_iter().map(CommandRun::try_from).collect::<Result<Vec<_>, _>>()?;
        if before.cancelled.is_some() || open.is_empty() {
            return Ok(open);
        }
        let now = self.now();
        let after = Command { cancelled: Some(now), ..before.clone() };
        let (conn, _) = self.record(Change {
            subject: Subject::Command,
            id: id.to_string(),
            action: Action::Updated,
            payload: json!(after),
            audit: Audit::Entry { action: "command.cancel", before: json!(before), after: json!(after) },
        });
        command::Entity::update_many()
            .col_expr(command::Column::Cancelled, Expr::value(now.0))
            .filter(command::Column::Id.eq(id))
            .exec(conn)
            .await?;
        command_run::Entity::update_many()
            .col_expr(command_run::Column::State, Expr::value(RunState::Cancelled.as_str()))
            .col_expr(command_run::Column::Ended, Expr::value(now.0))
            .col_expr(command_run::Column::Updated, Expr::value(now.0))
            .col_expr(command_run::Column::Text, Expr::value("called off before the host had heard of it"))
            .filter(command_run::Column::CommandId.eq(id))
            .filter(command_run::Column::State.eq(RunState::Queued.as_str()))
            .exec(self.look())
            .await?;
        Ok(open.into_iter().filter(|run| run.state != RunState::Queued).collect())
    }

    /// How many hosts have not come to an end with commands of this transaction's tenant.
    pub async fn open_runs(&self) -> Result<u64, CatalogError> {
        let query = command_run::Entity::find()
            .filter(command_run::Column::TenantId.eq(self.tenant().0))
            .filter(command_run::Column::State.is_in(RunState::OPEN.map(RunState::as_str)));
        Ok(query.count(self.look()).await?)
    }
}
