//! Hosts that run osquery instead of the agent: what their requests mean for the fleet. They are let in by the same tokens
//! and stand among the same hosts; scheduled queries of their policies, and live queries, reach them by osquery's own ways.
//!
//! Who speaks is known from the key of the node alone, which was made here and of which a hash is kept; what a request says
//! about its host or its name decides nothing. A key that is not known, or whose host is shut out, is answered as osquery
//! expects it, and nothing else happens.

mod again;
mod answers;
mod archive;
mod carves;
mod nodes;
mod rows;

use guardian_catalog::{CatalogError, HostAgent, HostFacts, HostHealth, NewHost};
use guardian_model::{Ip, Micros};
use guardian_osquery::reply::{self, Scheduled};
use guardian_osquery::{Malformed, enrol, logs, node_key};
use guardian_protocol::policy::QueryAnswer;
use serde_json::Value;
use uuid::Uuid;

pub use self::carves::CarveRefusal;
pub(crate) use self::carves::Carves;
pub use self::nodes::NODE_KEY_PREFIX;
pub(crate) use self::nodes::Nodes;
use self::nodes::{Key, Node};
use crate::enrol::EnrolError;
use crate::state::Fleet;

/// A host whose node was not heard for three times this is offline; nodes that poll more seldom than that get longer.
const HEARD_EVERY: std::time::Duration = std::time::Duration::from_secs(30);
/// Questions that a node gets at once.
const QUESTIONS_MAX: u64 = 16;

/// Why a request of a node is not answered as it wishes. What is wrong with its key is no error: it is told to enrol.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OsqueryError {
    /// It cannot be understood.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// It asks more often than it may.
    #[error("too many requests")]
    TooMany,
    /// A carve, or a block of one, is not taken.
    #[error(transparent)]
    Carve(#[from] CarveRefusal),
    /// What it brings cannot be stored now.
    #[error("{0}")]
    Busy(String),
    /// Enrolment failed, for a reason that is not its token.
    #[error(transparent)]
    Enrol(EnrolError),
    /// The catalog failed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

impl Fleet {
    /// Lets a node in that shows an enrolment token.
    pub async fn osquery_enrol(&self, body: &[u8], address: Option<Ip>) -> Result<Value, OsqueryError> {
        self.nodes().allow_enrolment(address, self.now())?;
        let wanted = enrol(body).inspect_err(|_| self.counters().nodes_refused.inc(1))?;
        let token = match self.shown_token(&wanted.secret).await {
            Ok(token) => token,
            Err(error) => return self.not_let_in(error, address),
        };
        let id = Uuid::now_v7();
        let key = Key::make(id).map_err(|error| OsqueryError::Enrol(error.into()))?;
        let facts = HostFacts {
            platform: wanted.platform,
            system: wanted.system,
            kernel: String::new(),
            architecture: wanted.architecture,
            program: wanted.version,
            address: address.map(|ip| ip.to_string()),
        };
        let new = NewHost {
            id,
            name: wanted.name,
            platform: facts.platform.clone(),
            architecture: facts.architecture.clone(),
            program: facts.program.clone(),
            address: facts.address.clone(),
            serial: String::new(),
            not_after: Micros(0),
            node_key: Some(key.hash()),
        };
        match self.let_in(&token, &new, address).await {
            Ok(host) => {
                self.note_came((host.tenant, host.id), self.heard_every(), facts);
                self.nodes().heard(host.id, self.now());
                Ok(reply::enrolled(key.text()))
            }
            Err(error) => self.not_let_in(error, address),
        }
    }

    fn not_let_in(&self, error: EnrolError, address: Option<Ip>) -> Result<Value, OsqueryError> {
        self.counters().nodes_refused.inc(1);
        match error {
            EnrolError::Token(refusal) => {
                tracing::info!(?address, %refusal, "a node of osquery was not let in");
                Ok(reply::invalid())
            }
            other => Err(OsqueryError::Enrol(other)),
        }
    }

    /// The configuration of a node: the scheduled queries of its host's policy.
    pub async fn osquery_config(&self, body: &[u8], address: Option<Ip>) -> Result<Value, OsqueryError> {
        let Some(node) = self.node(&node_key(body)?, address).await? else { return Ok(reply::invalid()) };
        let assigned = self.assigned(&node.host).await?;
        let queries = self.standing_policy(&node.host).await?.document.queries;
        let asked = queries.into_iter().filter(|(_, query)| query.enabled != Some(false));
        let scheduled: Vec<Scheduled> = asked
            .map(|(name, query)| Scheduled {
                name,
                sql: query.sql,
                every_s: query.every_s,
                snapshot: query.answer == QueryAnswer::Snapshot,
            })
            .collect();
        let health = HostHealth {
            policy_version: assigned.as_ref().map(|assigned| assigned.version),
            policy_hash: assigned.as_ref().map(|assigned| assigned.hash.clone()),
            ..HostHealth::default()
        };
        self.note_beat((node.host.tenant, node.host.id), self.heard_every(), health);
        Ok(reply::config(&scheduled, self.config().osquery.poll.get().as_secs().max(1)))
    }

    /// Keeps what the logger of a node brings. It is durable when this returns.
    pub async fn osquery_log(&self, body: &[u8], address: Option<Ip>) -> Result<Value, OsqueryError> {
        let logs = logs(body)?;
        let Some(node) = self.node(&logs.node_key, address).await? else { return Ok(reply::invalid()) };
        self.counters().node_lines_skipped.inc(logs.skipped);
        if logs.lines.is_empty() {
            return Ok(reply::nothing());
        }
        let (id, brought) = (node.host.id, &self.nodes().brought);
        let _alone = brought.lane(id).await;
        let numbers = brought.numbers(&logs.lines);
        let mut lines = logs.lines;
        self.counters().node_lines_repeated.inc(brought.leave_out(id, logs.status, &mut lines));
        if !lines.is_empty() {
            self.store_lines(&node.host, &rows::of(&lines, self.now())).await?;
        }
        brought.remember(id, logs.status, &numbers, self.now());
        Ok(reply::nothing())
    }

    /// The questions that wait for a node.
    pub async fn osquery_read(&self, body: &[u8], address: Option<Ip>) -> Result<Value, OsqueryError> {
        let Some(node) = self.node(&node_key(body)?, address).await? else { return Ok(reply::invalid()) };
        let pending = self.catalog().system().pending_live_queries(node.host.id, QUESTIONS_MAX).await?;
        let fresh = pending.iter().filter(|one| one.run.sent.is_none() && one.query.cancelled.is_none());
        let fresh: Vec<Uuid> = fresh.map(|one| one.run.id).collect();
        if fresh.is_empty() {
            return Ok(reply::questions([]));
        }
        let open = self.catalog().system().mark_live_queries_sent(node.host.tenant, &fresh).await?;
        let asked = pending.into_iter().filter(|one| open.contains(&one.run.id));
        Ok(reply::questions(asked.map(|one| (one.run.id.to_string(), one.query.sql))))
    }

    /// The host of a node that shows its key; none where the key is good for nothing.
    async fn node(&self, shown: &str, address: Option<Ip>) -> Result<Option<Node>, OsqueryError> {
        let refused = || self.counters().nodes_refused.inc(1);
        let Some(key) = Key::of(shown) else {
            refused();
            return Ok(None);
        };
        let host = self.catalog().system().host(key.host()).await?;
        let known = host.filter(|host| {
            let fits = host.node_key.as_deref().is_some_and(|kept| key.fits(kept));
            host.agent == HostAgent::Osquery && host.revoked.is_none() && fits
        });
        let Some(host) = known else {
            refused();
            return Ok(None);
        };
        let now = self.now();
        // Counted behind the key, so that nobody else uses up what a node may ask.
        self.nodes().allow(host.id, now).inspect_err(|_| refused())?;
        self.counters().node_requests.inc(1);
        let whose = (host.tenant, host.id);
        if self.nodes().heard(host.id, now) {
            let facts = HostFacts {
                platform: host.platform.clone(),
                system: host.system.clone(),
                kernel: host.kernel.clone(),
                architecture: host.architecture.clone(),
                program: host.program.clone(),
                address: address.map(|ip| ip.to_string()),
            };
            self.note_came(whose, self.heard_every(), facts);
        } else {
            self.note_heard(whose, self.heard_every());
        }
        Ok(Some(Node { host }))
    }

    fn heard_every(&self) -> std::time::Duration {
        self.config().osquery.poll.get().max(HEARD_EVERY)
    }
}
