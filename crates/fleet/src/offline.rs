//! Hosts that fall silent: said as an event of the class `health`, so that a rule raises the alert, and said again when they
//! are back.

use std::sync::Arc;
use std::time::Duration;

use guardian_catalog::{Actor, AlertChange, AlertFilter, AlertStatus, CatalogError, Host, Verdict};
use guardian_kit::shutdown::Shutdown;
use guardian_model::{Micros, Origin};
use guardian_protocol::classes::{HEALTH, HealthColumn as C};
use guardian_protocol::{Cell, Rows};
use uuid::Uuid;

use crate::intake::{Gate, IntakeError};
use crate::rows::batch;
use crate::state::Fleet;

/// How often it is looked.
const ROUND: Duration = Duration::from_secs(2);
/// Hosts that are looked at in one round.
const HOSTS_AT_ONCE: u64 = 2_000;
/// Who sends these events: no host has this id.
const SENDER: Uuid = Uuid::from_u128(0x6775_6172_6469_616e_2d66_6c65_6574_0001);

/// The rule that raises the alert; it ships with Guardian.
const OFFLINE_RULE: &str = "1d6f0c1e-5a0b-4c57-9f0e-6b6a3a0f7d21";

/// The events' own origin, and since when this server listens.
pub(crate) struct Watch {
    epoch: u64,
    sequence: u64,
    since: Micros,
}

/// Why a round was not finished.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    #[error(transparent)]
    Intake(#[from] IntakeError),
}

impl Fleet {
    /// Looks for hosts that went and came, until the program ends.
    pub(crate) fn follow_silence(&self, shutdown: &Shutdown) {
        let (fleet, mut rounds) = (self.clone(), shutdown.rounds(ROUND));
        let now = self.now();
        // A start is an epoch: what was counted before says nothing about it.
        let mut watch = Watch { epoch: now.0.cast_unsigned(), sequence: 0, since: now };
        tokio::spawn(async move {
            while rounds.next().await {
                if let Err(error) = fleet.look_for_silence(&mut watch).await {
                    tracing::warn!(%error, "hosts that went or came could not be told; trying again");
                }
            }
        });
    }

    async fn look_for_silence(&self, watch: &mut Watch) -> Result<(), Failed> {
        for host in self.catalog().system().silent_hosts(HOSTS_AT_ONCE).await? {
            if self.is_connected(host.id) {
                // It was heard, which is written in a moment.
                continue;
            }
            let effective = self.standing_policy(&host).await?;
            let heartbeat = effective.document.intervals.heartbeat_s.map(i64::from);
            let beat = heartbeat.map_or(self.config().heartbeat.as_micros(), |s| s * Micros::SECOND);
            let delay = i64::from(effective.document.offline.delay_s.unwrap_or(0)) * Micros::SECOND;
            // While this server was away nobody could be heard.
            let heard = host.last_seen.map_or(0, |t| t.0).max(watch.since.0);
            let silent = host.silent_since().0.max(heard + 3 * beat);
            let now = self.now();
            if now.0 < silent.saturating_add(delay) {
                continue;
            }
            let wanted = effective.document.offline.alert.unwrap_or(true);
            let told = if wanted { now.0 } else { -now.0 };
            if self.catalog().system().tell_offline(&host, Some(told)).await? {
                tracing::info!(host = %host.id, name = host.name, "a host is offline");
                if wanted {
                    self.tell_silence(watch, &host, true).await?;
                }
            }
        }
        for host in self.catalog().system().returned_hosts(HOSTS_AT_ONCE).await? {
            let was_told = host.offline_told.is_some_and(|told| told > 0);
            if self.catalog().system().tell_offline(&host, None).await? && was_told {
                tracing::info!(host = %host.id, name = host.name, "a host is back");
                self.tell_silence(watch, &host, false).await?;
                self.close_alerts(&host).await?;
            }
        }
        Ok(())
    }

    /// Closes what was raised about a host that is back, where nobody has looked yet: whoever has decides themselves.
    async fn close_alerts(&self, host: &Host) -> Result<(), CatalogError> {
        let filter = AlertFilter {
            tenant: Some(host.tenant),
            status: vec![AlertStatus::New],
            rule_id: Some(OFFLINE_RULE.to_owned()),
            entity_is: Some(host.name.clone()),
            ..AlertFilter::default()
        };
        let change = AlertChange::Close { verdict: Verdict::Benign, reason: "the host is back".to_owned() };
        let mut tx = self.catalog().system().begin(host.tenant, Actor::system("fleet")).await?;
        let now = tx.seq();
        tx.change_alerts(&filter, now, &change).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn tell_silence(&self, watch: &mut Watch, host: &Host, offline: bool) -> Result<(), Failed> {
        let now = self.now();
        let mut cells = [Cell::Null; C::COUNT];
        cells[C::Time as usize] = Cell::Time(now.0);
        cells[C::Metric as usize] = Cell::Text(if offline { "host_offline" } else { "host_online" });
        let silent = (now.0 - host.last_seen.map_or(now.0, |t| t.0)).max(0) / Micros::SECOND;
        cells[C::Value as usize] = Cell::Number(silent.unsigned_abs());
        cells[C::Unit as usize] = Cell::Text("s");
        let mut rows: Rows = HEALTH.rows();
        rows.push(&cells);
        let id = host.id.to_string();
        let made = batch(&rows.finish(), host.tenant, (&host.name, &id), now);
        let made = made.map_err(|error| IntakeError(error.to_string()))?;
        watch.sequence += 1;
        let origin = Origin { sender: *SENDER.as_bytes(), epoch: watch.epoch, lane: 0, sequence: watch.sequence };
        let intake = Arc::clone(self.intake());
        Ok(intake.offer(vec![made], origin, Gate::default()).await?.await?)
    }
}
