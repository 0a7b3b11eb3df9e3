//! Commands on their way: what a session has to tell its agent, and what the agent says became of it. The catalog is what
//! remembers; a session forgets everything with its connection, and the agent does nothing twice.

use std::time::Duration;

use guardian_catalog::{CatalogError, PendingRun, RunNews, RunState};
use guardian_kit::shutdown::Shutdown;
use guardian_model::Micros;
use guardian_protocol::FromServer;
use guardian_protocol::message::{Action, Cancel, Command, Denied, Outcome, Progress};
use hashbrown::HashSet;
use uuid::Uuid;

use crate::packs::PackError;
use crate::state::Fleet;

/// Commands that are looked up at once for one host; the others follow when these are done.
const AT_ONCE: u64 = 64;
/// How often it is looked for commands whose time is over.
const ROUND: Duration = Duration::from_secs(2);
/// How long after its time a command that a host was told of counts as running.
const GRACE: i64 = Micros::SECOND * 60;
/// Commands that are ended in one round.
const ENDED_AT_ONCE: u64 = 500;

/// What one connection has told its agent.
#[derive(Debug, Default)]
pub(crate) struct Told {
    commands: HashSet<Uuid>,
    cancels: HashSet<Uuid>,
    /// There are more than were looked up.
    pub(crate) more: bool,
}

impl Fleet {
    /// What an agent has to be told now. What is new to it is marked first: then at worst the server believes that it was
    /// told, and asks again at the next connection.
    pub(crate) async fn words_about_commands(
        &self,
        (tenant, host): (guardian_model::TenantId, Uuid),
        told: &mut Told,
    ) -> Result<Vec<FromServer>, PackError> {
        let pending = self.catalog().system().pending_runs(host, AT_ONCE).await?;
        told.more = pending.len() as u64 >= AT_ONCE;
        let fresh: Vec<Uuid> = pending.iter().map(|p| p.run.id).filter(|id| !told.commands.contains(id)).collect();
        let open: HashSet<Uuid> = if fresh.is_empty() {
            HashSet::new()
        } else {
            self.catalog().system().mark_sent(tenant, &fresh).await?.into_iter().collect()
        };
        let mut words = Vec::new();
        for one in &pending {
            let id = one.run.id;
            if open.contains(&id) && told.commands.insert(id) {
                match message(one) {
                    Some(mut command) => {
                        self.point_at_run(&mut command, host).await?;
                        self.name_recipient(tenant, &mut command).await?;
                        words.push(FromServer::Command(command));
                    }
                    None => self.unreadable(one).await?,
                }
            }
            if one.cancelled && told.commands.contains(&id) && told.cancels.insert(id) {
                words.push(FromServer::Cancel(Cancel { id: *id.as_bytes() }));
            }
        }
        Ok(words)
    }

    /// What undoes a command of many hosts names it as people know it; a host knows its own part of it.
    async fn point_at_run(&self, command: &mut Command, host: Uuid) -> Result<(), CatalogError> {
        let meant = match &mut command.action {
            Some(Action::Undo(undo)) => &mut undo.command,
            Some(Action::Restore(restore)) => &mut restore.command,
            _ => return Ok(()),
        };
        if let Some(run) = self.catalog().system().run_on(Uuid::from_bytes(*meant), host).await? {
            *meant = *run.as_bytes();
        }
        Ok(())
    }

    /// An action that an other version of the server wrote.
    async fn unreadable(&self, one: &PendingRun) -> Result<(), CatalogError> {
        let text = "this server cannot read the action any more".to_owned();
        let news = RunNews { id: one.run.id, state: RunState::Failed, text, output: String::new(), outcome: None };
        self.catalog().system().observe_runs(one.run.tenant, one.run.host, &[news]).await
    }

    /// Keeps what an agent says about a command.
    pub(crate) async fn hear_outcome(
        &self,
        (tenant, host): (guardian_model::TenantId, Uuid),
        outcome: Outcome,
    ) -> Result<(), CatalogError> {
        self.catalog().system().observe_runs(tenant, host, &[news(outcome)]).await
    }

    /// Wakes the sessions of the hosts that a command is for.
    pub(crate) async fn tell_of_command(&self, command: Uuid) -> Result<(), CatalogError> {
        let hosts = self.catalog().system().open_hosts(command).await?;
        hosts.into_iter().for_each(|host| self.wake_commands(host));
        Ok(())
    }

    /// Ends commands whose time is over, until the program ends.
    pub(crate) fn follow_deadlines(&self, shutdown: &Shutdown) {
        let (fleet, mut rounds) = (self.clone(), shutdown.rounds(ROUND));
        tokio::spawn(async move {
            while rounds.next().await {
                if let Err(error) = fleet.catalog().system().expire_runs(GRACE, ENDED_AT_ONCE).await {
                    tracing::warn!(%error, "commands whose time is over could not be ended");
                }
            }
        });
    }
}

fn message(one: &PendingRun) -> Option<Command> {
    let action: Action = serde_json::from_value(one.action.clone()).ok()?;
    Some(Command {
        id: *one.run.id.as_bytes(),
        issued: one.created.0,
        // What was called off is asked after and never begun.
        expires: if one.cancelled { 1 } else { one.run.expires.0 },
        timeout_ms: one.timeout_ms,
        dry_run: one.dry_run,
        by: one.author.clone(),
        action: Some(action),
    })
}

fn news(mut outcome: Outcome) -> RunNews {
    let state = match outcome.progress {
        Progress::Running => RunState::Running,
        Progress::Done => RunState::Done,
        Progress::Failed | Progress::TimedOut => RunState::Failed,
        Progress::Refused if outcome.denied == Denied::Expired => RunState::Expired,
        Progress::Refused => RunState::Refused,
        // Read, or something that only a newer agent says.
        _ => RunState::Sent,
    };
    let output = String::from_utf8_lossy(&std::mem::take(&mut outcome.output.0)).into_owned();
    let text = std::mem::take(&mut outcome.text);
    let id = Uuid::from_bytes(outcome.command);
    let ended = !state.is_open();
    RunNews { id, state, text, output, outcome: ended.then(|| serde_json::to_value(&outcome).ok()).flatten() }
}
