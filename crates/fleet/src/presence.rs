//! Who is there: what is heard of agents, collected and written every few seconds for all of them at once.

use std::time::Duration;

use guardian_catalog::{HostFacts, HostHealth, HostSeen};
use guardian_kit::shutdown::Shutdown;
use guardian_model::{Micros, TenantId};
use hashbrown::HashMap;
use parking_lot::Mutex;
use uuid::Uuid;

use crate::state::Fleet;

/// How often it is written.
const FLUSH: Duration = Duration::from_secs(2);
/// Hosts written in one transaction, so that others come in between.
const HOSTS_AT_ONCE: usize = 500;

/// What was heard and is not written yet; bounded by the number of sessions.
#[derive(Default)]
pub(crate) struct Presence {
    heard: Mutex<HashMap<Uuid, (TenantId, HostSeen)>>,
}

impl Presence {
    pub(crate) fn note(
        &self,
        (tenant, id): (TenantId, Uuid),
        (now, until): (Micros, Micros),
        change: impl FnOnce(&mut HostSeen),
    ) {
        let mut heard = self.heard.lock();
        let (_, seen) = heard.entry(id).or_insert_with(|| {
            (tenant, HostSeen { id, last_seen: now, online_until: until, came: None, went: false, health: None })
        });
        (seen.last_seen, seen.online_until) = (now, until);
        change(seen);
    }

    fn take(&self) -> HashMap<TenantId, Vec<HostSeen>> {
        let mut by_tenant: HashMap<TenantId, Vec<HostSeen>> = HashMap::new();
        for (tenant, seen) in std::mem::take(&mut *self.heard.lock()).into_values() {
            by_tenant.entry(tenant).or_default().push(seen);
        }
        by_tenant
    }
}

impl Fleet {
    pub(crate) fn note_came(&self, (tenant, id): (TenantId, Uuid), heartbeat: Duration, facts: HostFacts) {
        self.presence().note((tenant, id), self.until(Some(heartbeat)), |seen| {
            (seen.came, seen.went) = (Some(facts), false);
        });
    }

    pub(crate) fn note_beat(&self, (tenant, id): (TenantId, Uuid), heartbeat: Duration, health: HostHealth) {
        self.presence().note((tenant, id), self.until(Some(heartbeat)), |seen| seen.health = Some(health));
    }

    pub(crate) fn note_went(&self, tenant: TenantId, id: Uuid) {
        self.presence().note((tenant, id), self.until(None), |seen| seen.went = true);
    }

    fn until(&self, heartbeat: Option<Duration>) -> (Micros, Micros) {
        let now = self.now();
        (now, now + heartbeat.map_or(0, |h| 3 * h.as_micros() as i64))
    }

    /// Writes what was heard now and then, and once more at the end.
    pub(crate) fn follow_presence(&self, shutdown: &Shutdown) {
        let (fleet, mut rounds) = (self.clone(), shutdown.rounds(FLUSH));
        tokio::spawn(async move {
            while rounds.next().await {
                fleet.write_presence().await;
            }
            fleet.write_presence().await;
        });
    }

    async fn write_presence(&self) {
        for (tenant, seen) in self.presence().take() {
            for some in seen.chunks(HOSTS_AT_ONCE) {
                match self.catalog().system().observe_hosts(tenant, some).await {
                    Ok(gone) => gone.into_iter().for_each(|id| self.end_session(id)),
                    Err(error) => {
                        tracing::warn!(%error, hosts = some.len(), "what was heard of hosts could not be written");
                    }
                }
            }
        }
    }
}
