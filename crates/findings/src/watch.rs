//! Who came to which host: the last seconds again and again, and beside that the days before, slice by slice backwards, so
//! that a start costs no long question.
//!
//! It says what was seen, never that nobody could come.

use std::time::Duration;

use async_trait::async_trait;
use guardian_model::{Micros, TenantId};
use guardian_vuln::risk::Exposure;
use hashbrown::HashMap;
use uuid::Uuid;

use crate::board::Board;
use crate::exposure::{SEEN_S, reach};
use crate::room::{Findings, RoomError};

/// How often one looks.
const ROUND: Duration = Duration::from_secs(15);
/// How long before the end of the last look the next one begins: what was received then may not have been seen.
const OVERLAP: i64 = 30 * Micros::SECOND;
/// How much of the past is looked at in one round.
const SLICE: i64 = 6 * Micros::HOUR;
/// Hosts of one tenant of which it is remembered.
const HOSTS_MAX: usize = 200_000;

/// Which host somebody came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// By its id.
    Id(Uuid),
    /// By its name, where no other one has it.
    Name(String),
}

/// That somebody came to a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// The host.
    pub host: Place,
    /// `tcp` or `udp`.
    pub protocol: &'static str,
    /// The port.
    pub port: u16,
    /// Whether they came from the internet, and not from a network of one's own.
    pub internet: bool,
    /// When last.
    pub last: Micros,
}

/// What was seen in a while.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contacts {
    /// Who came.
    pub came: Vec<Contact>,
    /// Hosts of which any connection was seen.
    pub watched: Vec<Uuid>,
}

/// Whoever knows who came to which host.
#[async_trait]
pub trait Watcher: Send + Sync {
    /// Who came to hosts of a tenant from a time to another.
    async fn contacts(&self, tenant: TenantId, from: Micros, to: Micros) -> Result<Contacts, String>;
}

/// How far one has looked at a tenant: from, and to.
type Looked = HashMap<TenantId, (Micros, Micros)>;

impl Findings {
    /// Follows who comes, until the program ends.
    pub(crate) fn watch(&self) {
        let (room, mut rounds) = (self.clone(), self.inner.deps.shutdown.rounds(ROUND));
        tokio::spawn(async move {
            let mut looked = Looked::new();
            while rounds.next().await {
                if let Err(error) = room.look_for_visits(&mut looked).await {
                    tracing::warn!(%error, "who came to hosts could not be looked up; trying again");
                }
            }
        });
    }

    async fn look_for_visits(&self, looked: &mut Looked) -> Result<(), RoomError> {
        let now = self.now();
        for tenant in self.inner.deps.catalog.system().tenants().await? {
            // Before anything is known of hosts nobody can have come to one.
            if self.board(tenant.id).read().hosts.is_empty() {
                continue;
            }
            let (first, last) = looked.get(&tenant.id).copied().unwrap_or((now, now));
            self.take_visits(tenant.id, Micros(last.0 - OVERLAP), now).await?;
            let oldest = Micros(now.0 - SEEN_S * Micros::SECOND);
            let from = Micros(first.0 - SLICE).max(oldest);
            if from < first {
                self.take_visits(tenant.id, from, first).await?;
            }
            looked.insert(tenant.id, (from.min(first), now));
        }
        Ok(())
    }

    /// Takes what was seen in a while.
    pub async fn take_visits(&self, tenant: TenantId, from: Micros, to: Micros) -> Result<(), RoomError> {
        let contacts = self.inner.deps.watcher.contacts(tenant, from, to).await.map_err(RoomError::Task)?;
        let board = self.board(tenant);
        let further = board.write().visit(&contacts, to.0 / Micros::SECOND);
        // Something exploited that was hidden until now is news.
        self.inner.exposed.lock().extend(further.into_iter().map(|host| (tenant, host)));
        Ok(())
    }
}

impl Board {
    /// Remembers who came, and says which hosts are reached from further away than one knew. Names that several hosts have
    /// say nothing.
    pub(crate) fn visit(&mut self, contacts: &Contacts, now_s: i64) -> Vec<Uuid> {
        let mut before: HashMap<Uuid, Exposure> = HashMap::new();
        let mut names: HashMap<&str, Option<Uuid>> = HashMap::new();
        if contacts.came.iter().any(|contact| matches!(contact.host, Place::Name(_))) {
            for labels in self.labels.values() {
                names.entry(&labels.name).and_modify(|known| *known = None).or_insert(Some(labels.host));
            }
        }
        for contact in &contacts.came {
            let host = match &contact.host {
                Place::Id(id) => Some(*id).filter(|id| self.labels.contains_key(id)),
                Place::Name(name) => names.get(name.as_str()).copied().flatten(),
            };
            let Some(host) = host.filter(|host| self.visits.len() < HOSTS_MAX || self.visits.contains_key(host)) else {
                continue;
            };
            let known = self.hosts.get(&host).map(|known| self.exposure(known, now_s));
            before.entry(host).or_insert(known.unwrap_or_default());
            let visits = self.visits.entry(host).or_default();
            let visit = if contact.internet { &mut visits.internet } else { &mut visits.network };
            visit.get_or_insert_default().add(contact.protocol, contact.port, contact.last.0 / Micros::SECOND);
        }
        for host in contacts.watched.iter().filter(|host| self.labels.contains_key(*host)) {
            if self.visits.len() < HOSTS_MAX || self.visits.contains_key(host) {
                let visits = self.visits.entry(*host).or_default();
                visits.watched_s = visits.watched_s.max(now_s);
            }
        }
        let labels = &self.labels;
        self.visits.retain(|host, visits| {
            for visit in [&mut visits.internet, &mut visits.network].into_iter().flatten() {
                visit.ports.retain(|_, last_s| now_s - *last_s < SEEN_S || *last_s > now_s);
            }
            labels.contains_key(host)
        });
        let further = |host: &Uuid, before: Exposure| {
            let now = self.hosts.get(host).map(|known| self.exposure(known, now_s)).unwrap_or_default();
            reach(now) > reach(before)
        };
        before.into_iter().filter(|(host, before)| further(host, *before)).map(|(host, _)| host).collect()
    }
}
