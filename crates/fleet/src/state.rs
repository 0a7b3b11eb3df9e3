//! The fleet as the rest of the server sees it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use guardian_catalog::Catalog;
use guardian_identity::Identity;
use guardian_kit::clock::Clock;
use guardian_kit::metrics::{Counter, Gauge, Metrics};
use guardian_kit::shutdown::Shutdown;
use guardian_model::Micros;
use hashbrown::HashMap;
use parking_lot::Mutex;
use rustls::ServerConfig;
use tokio::sync::{Notify, Semaphore, oneshot, watch};
use uuid::Uuid;

use crate::assign::{Assigned, Books};
use crate::authority::{Authority, CertificateError, Signed, Tls};
use crate::config::FleetConfig;
use crate::intake::Intake;
use crate::inventory::Transfers;
use crate::osquery::{Carves, Nodes};
use crate::presence::Presence;
use crate::releases::Releases;
use crate::upgrade::Watched;

/// Baselines of files that are received at once: each is read again as a whole when it has come.
const BASELINES_AT_ONCE: usize = 4;

/// What the fleet is made of.
pub struct FleetDeps {
    /// The system of record.
    pub catalog: Catalog,
    /// Opens and seals the authority's key.
    pub identity: Identity,
    /// Where what agents send goes.
    pub intake: Arc<dyn Intake>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The bytes of releases.
    pub releases: Releases,
    /// Settings.
    pub config: FleetConfig,
    /// Folder for packs of evidence.
    pub packs: PathBuf,
    /// Folder for baselines of files.
    pub baselines: PathBuf,
    /// Where counters are registered.
    pub metrics: Metrics,
    /// Tells when to end.
    pub shutdown: Shutdown,
}

/// The fleet. Clones share it.
#[derive(Clone)]
pub struct Fleet {
    inner: Arc<Inner>,
}

struct Inner {
    deps: FleetDeps,
    authority: Authority,
    tls: ArcSwap<Tls>,
    presence: Presence,
    books: Books,
    sessions: Mutex<Sessions>,
    transfers: Transfers,
    receiving: Arc<Semaphore>,
    rollouts: Watched,
    nodes: Nodes,
    carves: Carves,
    counters: Counters,
}

#[derive(Default)]
struct Sessions {
    next: u64,
    open: HashMap<Uuid, Open>,
}

struct Open {
    number: u64,
    end: oneshot::Sender<Ending>,
    policy: watch::Sender<Option<Arc<Assigned>>>,
    commands: Arc<Notify>,
}

/// What the server has to say to a session.
pub(crate) struct Orders {
    pub(crate) ended: oneshot::Receiver<Ending>,
    /// The policy that the host is to run, when it changes.
    pub(crate) policy: watch::Receiver<Option<Arc<Assigned>>>,
    /// There may be commands.
    pub(crate) commands: Arc<Notify>,
}

/// Why the server ends a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The host is shut out.
    Revoked,
    /// The same certificate connected again.
    Replaced,
}

/// Counters of what passes.
pub(crate) struct Counters {
    pub(crate) sessions: Gauge,
    pub(crate) batches: Counter,
    pub(crate) rows: Counter,
    pub(crate) repeated: Counter,
    pub(crate) missed: Counter,
    pub(crate) refused: Counter,
    pub(crate) node_requests: Counter,
    pub(crate) nodes_refused: Counter,
    pub(crate) node_lines_skipped: Counter,
    pub(crate) node_lines_repeated: Counter,
    pub(crate) carves: Counter,
    pub(crate) carves_lost: Counter,
    pub(crate) unknown_rows: Counter,
    pub(crate) agent_lost: Counter,
    pub(crate) lists: Counter,
    pub(crate) list_changes: Counter,
    pub(crate) packs: Counter,
    pub(crate) packs_failed: Counter,
    pub(crate) baselines: Counter,
    pub(crate) baselines_failed: Counter,
    pub(crate) baselines_replaced: Counter,
}

impl Counters {
    fn new(metrics: &Metrics) -> Self {
        Self {
            sessions: metrics.gauge("guardian_fleet_sessions", "Agents that are connected."),
            batches: metrics.counter("guardian_fleet_batches_total", "Batches of agents that were stored."),
            rows: metrics.counter("guardian_fleet_rows_total", "Rows of agents that were stored."),
            repeated: metrics.counter(
                "guardian_fleet_repeated_batches_total",
                "Batches that agents sent again and that were stored before.",
            ),
            missed: metrics.counter(
                "guardian_fleet_missed_batches_total",
                "Batches that agents dropped before they could send them.",
            ),
            refused: metrics.counter("guardian_fleet_refused_total", "Connections of agents that were refused."),
            node_requests: metrics
                .counter("guardian_osquery_requests_total", "Requests of osquery's nodes that were let in."),
            nodes_refused: metrics.counter(
                "guardian_osquery_refused_total",
                "Requests of osquery's nodes that were refused: no token, no key, not understood, or too many.",
            ),
            node_lines_skipped: metrics.counter(
                "guardian_osquery_skipped_rows_total",
                "Rows of osquery's logger that were not understood or too long; they are not kept.",
            ),
            node_lines_repeated: metrics.counter(
                "guardian_osquery_repeated_rows_total",
                "Rows of osquery's logger that came again after a lost answer; they are kept once.",
            ),
            carves: metrics.counter("guardian_osquery_carves_total", "Carves of osquery's nodes that came whole."),
            carves_lost: metrics.counter(
                "guardian_osquery_lost_carves_total",
                "Carves of osquery's nodes that were begun and did not come to their end.",
            ),
            unknown_rows: metrics.counter(
                "guardian_fleet_unknown_rows_total",
                "Rows of classes that only a newer server knows; they are not kept.",
            ),
            agent_lost: metrics.counter("guardian_fleet_lost_rows_total", "Rows that agents said they lost."),
            lists: metrics.counter("guardian_fleet_lists_total", "Lists of the inventory that were kept."),
            packs: metrics.counter("guardian_fleet_packs_total", "Packs of evidence that were fetched."),
            packs_failed: metrics.counter(
                "guardian_fleet_packs_failed_total",
                "Times that a pack of evidence could not be fetched; it is tried again.",
            ),
            baselines: metrics.counter("guardian_fleet_baselines_total", "Baselines of files that were kept."),
            baselines_failed: metrics.counter(
                "guardian_fleet_baselines_failed_total",
                "Times that a baseline of files could not be kept; the next one holds what it would have said.",
            ),
            baselines_replaced: metrics.counter(
                "guardian_fleet_baselines_replaced_total",
                "Baselines of files that did not follow the one before: the host's own had been removed or changed.",
            ),
            list_changes: metrics
                .counter("guardian_fleet_list_changes_total", "Changes of the inventory of which events were made."),
        }
    }
}

/// A place among the sessions; leaving it is dropping it.
pub(crate) struct Place {
    fleet: Fleet,
    host: Uuid,
    number: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut sessions = self.fleet.inner.sessions.lock();
        if sessions.open.get(&self.host).is_some_and(|open| open.number == self.number) {
            sessions.open.remove(&self.host);
        }
        self.fleet.inner.counters.sessions.set(sessions.open.len() as i64);
    }
}

impl Place {
    /// Whether another connection of the same host took over.
    pub(crate) fn is_replaced(&self) -> bool {
        let sessions = self.fleet.inner.sessions.lock();
        sessions.open.get(&self.host).is_some_and(|open| open.number != self.number)
    }
}

impl Fleet {
    /// Opens the fleet, and makes the agents' authority at the first start.
    pub async fn open(deps: FleetDeps) -> Result<Self, CertificateError> {
        let now = deps.clock.now();
        let authority = Authority::open(&deps.catalog, &deps.identity, now).await?;
        let tls = ArcSwap::from_pointee(authority.tls(now)?);
        let counters = Counters::new(&deps.metrics);
        let inner = Inner {
            deps,
            authority,
            tls,
            presence: Presence::default(),
            books: Books::default(),
            sessions: Mutex::default(),
            transfers: Transfers::default(),
            receiving: Arc::new(Semaphore::new(BASELINES_AT_ONCE)),
            rollouts: Watched::default(),
            nodes: Nodes::new(now),
            carves: Carves::default(),
            counters,
        };
        let fleet = Self { inner: Arc::new(inner) };
        let shutdown = &fleet.inner.deps.shutdown;
        fleet.follow_presence(shutdown);
        fleet.follow_policies(shutdown);
        fleet.follow_deadlines(shutdown);
        fleet.follow_live_queries(shutdown);
        fleet.follow_carves(shutdown);
        fleet.follow_silence(shutdown);
        fleet.follow_rollouts(shutdown);
        Ok(fleet)
    }

    /// SHA-256 of the authority's certificate: what a token pins.
    pub fn fingerprint(&self) -> [u8; 32] {
        self.inner.authority.fingerprint()
    }

    /// How connections of agents are accepted.
    pub fn agent_tls(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.tls().agents)
    }

    /// How connections that enrol are accepted.
    pub fn enrolment_tls(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.tls().enrolment)
    }

    fn tls(&self) -> Arc<Tls> {
        let current = self.inner.tls.load_full();
        let now = self.now();
        if now < current.renew_at {
            return current;
        }
        match self.inner.authority.tls(now) {
            Ok(fresh) => {
                self.inner.tls.store(Arc::new(fresh));
                self.inner.tls.load_full()
            }
            Err(error) => {
                tracing::error!(%error, "the certificate that agents see stays the last one");
                current
            }
        }
    }

    /// How often agents say that they are there, where no policy says otherwise.
    pub fn heartbeat(&self) -> std::time::Duration {
        self.config().heartbeat.get()
    }

    /// Ends the session of a host that is not let in any more, at once.
    pub fn end_session(&self, host: Uuid) {
        if let Some(open) = self.inner.sessions.lock().open.remove(&host) {
            // An error means that the session has just ended by itself.
            open.end.send(Ending::Revoked).ok();
        }
    }

    /// Agents that are connected.
    pub fn connected(&self) -> usize {
        self.inner.sessions.lock().open.len()
    }

    /// Whether an agent is connected to this node.
    pub fn is_connected(&self, host: Uuid) -> bool {
        self.inner.sessions.lock().open.contains_key(&host)
    }

    /// Hands a policy to the session of a host, if it is connected to this node.
    pub(crate) fn tell_policy(&self, host: Uuid, policy: Option<Arc<Assigned>>) {
        if let Some(open) = self.inner.sessions.lock().open.get(&host) {
            open.policy.send_if_modified(|now| {
                let changed = policy.is_some() && *now != policy;
                if changed {
                    *now = policy;
                }
                changed
            });
        }
    }

    /// Has the session of a host look for commands, if it is connected to this node.
    pub(crate) fn wake_commands(&self, host: Uuid) {
        if let Some(open) = self.inner.sessions.lock().open.get(&host) {
            open.commands.notify_one();
        }
    }

    /// Has every session of this node look whether there is something to tell.
    pub(crate) fn wake_all(&self) {
        self.inner.sessions.lock().open.values().for_each(|open| open.commands.notify_one());
    }

    /// Takes a place for a session; none while there are too many. Another session of the same host ends.
    pub(crate) fn enter(&self, host: Uuid) -> Option<(Place, Orders)> {
        let (end, ended) = oneshot::channel();
        let (policy, policies) = watch::channel(None);
        let commands = Arc::new(Notify::new());
        // What waited for the host.
        commands.notify_one();
        let orders = Orders { ended, policy: policies, commands: Arc::clone(&commands) };
        let mut sessions = self.inner.sessions.lock();
        if sessions.open.len() >= self.config().sessions_max && !sessions.open.contains_key(&host) {
            return None;
        }
        sessions.next += 1;
        let number = sessions.next;
        if let Some(before) = sessions.open.insert(host, Open { number, end, policy, commands }) {
            before.end.send(Ending::Replaced).ok();
        }
        self.inner.counters.sessions.set(sessions.open.len() as i64);
        Some((Place { fleet: self.clone(), host, number }, orders))
    }

    pub(crate) fn sign(&self, host: Uuid, request: &[u8]) -> Result<Signed, CertificateError> {
        self.inner.authority.sign(host, request, self.now(), self.config().certificate_life.as_micros())
    }

    pub(crate) fn authority_pem(&self) -> String {
        self.inner.authority.pem.clone()
    }

    pub(crate) fn catalog(&self) -> &Catalog {
        &self.inner.deps.catalog
    }

    pub(crate) fn intake(&self) -> &Arc<dyn Intake> {
        &self.inner.deps.intake
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.inner.deps.identity
    }

    /// Where baselines of files are kept.
    pub(crate) fn baselines_folder(&self) -> &Path {
        &self.inner.deps.baselines
    }

    /// How many baselines are received at once, on this node.
    pub(crate) fn receiving(&self) -> &Arc<Semaphore> {
        &self.inner.receiving
    }

    /// Where packs of evidence are kept.
    pub(crate) fn packs_folder(&self) -> &Path {
        &self.inner.deps.packs
    }

    pub(crate) fn config(&self) -> &FleetConfig {
        &self.inner.deps.config
    }

    pub(crate) fn shutdown(&self) -> &Shutdown {
        &self.inner.deps.shutdown
    }

    pub(crate) fn now(&self) -> Micros {
        self.inner.deps.clock.now()
    }

    pub(crate) fn transfers(&self) -> &Transfers {
        &self.inner.transfers
    }

    pub(crate) fn rollouts(&self) -> &Watched {
        &self.inner.rollouts
    }

    pub(crate) fn nodes(&self) -> &Nodes {
        &self.inner.nodes
    }

    pub(crate) fn carves(&self) -> &Carves {
        &self.inner.carves
    }

    /// The bytes of releases.
    pub fn releases(&self) -> &Releases {
        &self.inner.deps.releases
    }

    pub(crate) fn presence(&self) -> &Presence {
        &self.inner.presence
    }

    pub(crate) fn books(&self) -> &Books {
        &self.inner.books
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.inner.counters
    }
}
