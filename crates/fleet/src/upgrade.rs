//! Rollouts at work: who is looked after takes the next step, sessions are woken to offer the release, programs are handed out
//! piece by piece, and what hosts say of it is written down before they are told that it was heard.

use std::time::Duration;

use guardian_catalog::{
    CatalogError, PendingUpgrade, Rollout, RolloutChange, RolloutHostState, RolloutState, UpgradeHeard,
};
use guardian_kit::shutdown::Shutdown;
use guardian_model::{Scope, TenantId};
use guardian_protocol::limits::PROGRAM_PART_BYTES_MAX;
use guardian_protocol::message::{Fetch, Heard, Offer, Piece, Proof, UpgradeNews, UpgradeState, Withdraw};
use guardian_protocol::release::SignedManifest;
use guardian_protocol::{Blob, FromServer};
use hashbrown::HashMap;
use parking_lot::Mutex;
use uuid::Uuid;

use crate::rollout::{Step, decide};
use crate::state::Fleet;

/// How often rollouts are looked after.
const ROUND: Duration = Duration::from_secs(1);

/// What is known of rollouts between two looks.
#[derive(Default)]
pub(crate) struct Watched {
    /// Those in which something is to be done, and whether they run: of others hosts go back.
    open: Mutex<HashMap<Uuid, bool>>,
}

/// What one connection knows of the release that its host was offered.
#[derive(Debug, Default)]
pub(crate) struct Offered {
    /// The offer, the rollout and the release, and whether it goes back.
    now: Option<(Uuid, Uuid, Uuid, bool)>,
}

impl Fleet {
    /// Looks after rollouts until the program ends.
    pub(crate) fn follow_rollouts(&self, shutdown: &Shutdown) {
        let (fleet, mut rounds) = (self.clone(), shutdown.rounds(ROUND));
        tokio::spawn(async move {
            while rounds.next().await {
                if let Err(error) = fleet.look_after_rollouts().await {
                    tracing::warn!(%error, "rollouts wait; trying again");
                }
            }
        });
    }

    async fn look_after_rollouts(&self) -> Result<(), CatalogError> {
        let rollouts = self.catalog().system().open_rollouts().await?;
        let runs = |rollout: &Rollout| (rollout.id, rollout.state == RolloutState::Running);
        let now: HashMap<Uuid, bool> = rollouts.iter().map(runs).collect();
        let ended = {
            let mut open = self.rollouts().open.lock();
            let ended = open.iter().any(|(id, ran)| *ran && now.get(id) != Some(&true));
            *open = now;
            ended
        };
        if ended {
            // What is being fetched for one that does not run any more is called off.
            self.wake_all();
        }
        for rollout in rollouts {
            if let Some(change) = self.next_step(&rollout) {
                tracing::info!(rollout = %rollout.id, state = %change.state, stage = change.stage, reason = change.reason,
                    "a rollout goes on");
                self.catalog().system().step_rollout(&rollout, &change).await?;
                continue;
            }
            let at_it =
                rollout.states.iter().flatten().filter(|(state, _)| state.is_open()).map(|(_, n)| n).sum::<u64>();
            let room = usize::try_from(u64::from(rollout.plan.at_once).saturating_sub(at_it)).unwrap_or(usize::MAX);
            let hosts = self.catalog().system().hosts_to_offer(&rollout).await?;
            let there = hosts.into_iter().filter(|host| self.is_connected(*host));
            there.take(room.max(1)).for_each(|host| self.wake_commands(host));
        }
        Ok(())
    }

    fn next_step(&self, rollout: &Rollout) -> Option<RolloutChange> {
        let now = self.now();
        let change = RolloutChange {
            state: rollout.state,
            stage: rollout.stage,
            stage_since: rollout.stage_since,
            stage_passed: rollout.stage_passed,
            reason: String::new(),
            roll_back: false,
        };
        Some(match decide(rollout, now) {
            Step::Wait => return None,
            Step::Passed => RolloutChange { stage_passed: Some(now), ..change },
            Step::Next => RolloutChange { stage: rollout.stage + 1, stage_since: now, stage_passed: None, ..change },
            Step::Finish => RolloutChange { state: RolloutState::Done, ..change },
            Step::Fail(reason) => {
                RolloutChange { state: RolloutState::Failed, reason, roll_back: rollout.plan.roll_back, ..change }
            }
        })
    }

    /// What a host that is there has to be told about releases.
    pub(crate) async fn word_about_upgrade(
        &self,
        (tenant, host): (TenantId, Uuid),
        offered: &mut Offered,
    ) -> Result<Option<FromServer>, CatalogError> {
        {
            let open = self.rollouts().open.lock();
            let stands = offered
                .now
                .is_some_and(|(_, rollout, _, revert)| open.get(&rollout).is_some_and(|runs| *runs || revert));
            if stands || (open.is_empty() && offered.now.is_none()) {
                return Ok(None);
            }
        }
        // Most hosts have nothing to do with it: they cost no more than a look.
        let newest = self.catalog().scoped(&Scope::of(tenant)).rollout_of_host(host).await?;
        let concerned = newest.is_some_and(|of_host| {
            let waits = matches!(of_host.state, RolloutHostState::Waiting | RolloutHostState::GoingBack);
            waits || of_host.state.is_open()
        });
        let pending = match concerned {
            true => self.catalog().system().claim_upgrade(tenant, host).await?,
            false => None,
        };
        let before = offered.now.take();
        let Some(pending) = pending else {
            return Ok(before.map(|(offer, ..)| FromServer::Withdraw(Withdraw { offer: *offer.as_bytes() })));
        };
        let revert = pending.host.state == RolloutHostState::GoingBack;
        let now = (pending.host.id, pending.rollout.id, pending.host.release, revert);
        offered.now = Some(now);
        if before == Some(now) {
            return Ok(None);
        }
        Ok(offer(&pending, revert).map(FromServer::Offer))
    }

    /// A part of the program that a host was offered.
    pub(crate) async fn piece_of(&self, tenant: TenantId, offered: &Offered, fetch: &Fetch) -> FromServer {
        let mut piece = Piece { offer: fetch.offer, offset: fetch.offset, bytes: Blob::default() };
        let Some((_, rollout, release, _)) = offered.now.filter(|now| now.0.as_bytes() == &fetch.offer) else {
            return FromServer::Withdraw(Withdraw { offer: fetch.offer });
        };
        if self.rollouts().open.lock().get(&rollout) != Some(&true) {
            return FromServer::Withdraw(Withdraw { offer: fetch.offer });
        }
        let length = (fetch.length as usize).min(PROGRAM_PART_BYTES_MAX);
        match self.releases().read(tenant, release, fetch.offset, length).await {
            Ok(bytes) => piece.bytes = Blob(bytes),
            Err(error) => tracing::error!(%error, %release, "the program of a release cannot be read"),
        }
        FromServer::Piece(piece)
    }

    /// Writes down what a host says about a release, and answers it.
    pub(crate) async fn hear_upgrade(
        &self,
        (tenant, host): (TenantId, Uuid),
        news: &UpgradeNews,
    ) -> Result<Option<FromServer>, CatalogError> {
        let Some(state) = state_of(news) else { return Ok(None) };
        let heard =
            UpgradeHeard { id: Uuid::from_bytes(news.offer), state, fetched: news.fetched, text: news.text.clone() };
        self.catalog().system().observe_upgrade(tenant, host, &heard).await?;
        Ok(match news.state {
            UpgradeState::Connected => Some(FromServer::Proof(Proof { offer: news.offer })),
            UpgradeState::Fetching | UpgradeState::Trying => None,
            _ => Some(FromServer::Heard(Heard { offer: news.offer })),
        })
    }
}

fn offer(pending: &PendingUpgrade, revert: bool) -> Option<Offer> {
    let signed: Option<SignedManifest> = serde_json::from_str(&pending.signed).ok();
    let plan = &pending.rollout.plan;
    Some(Offer {
        id: *pending.host.id.as_bytes(),
        release: if revert { None } else { Some(signed?) },
        bytes_per_s: plan.bytes_per_s,
        prove_within_s: plan.prove_within_s,
        revert,
        again: plan.again,
    })
}

/// How far a host is, by what it says.
fn state_of(news: &UpgradeNews) -> Option<RolloutHostState> {
    use RolloutHostState as S;
    Some(match (news.state, news.revert) {
        (UpgradeState::Fetching, _) => S::Fetching,
        (UpgradeState::Trying, false) => S::Trying,
        (UpgradeState::Connected, false) => S::Connected,
        (UpgradeState::Trying | UpgradeState::Connected, true) => S::GoingBack,
        (UpgradeState::Kept, false) => S::Done,
        (UpgradeState::Kept, true) => S::Reverted,
        // It stays with what it has, and the text says why.
        (UpgradeState::RolledBack | UpgradeState::Refused | UpgradeState::Failed, true) => S::Failed,
        (UpgradeState::RolledBack, false) => S::RolledBack,
        (UpgradeState::Refused, false) => S::Refused,
        (UpgradeState::Failed, false) => S::Failed,
        (UpgradeState::Interrupted, false) => S::Waiting,
        (UpgradeState::Interrupted, true) => S::GoingBack,
        _ => return None,
    })
}
