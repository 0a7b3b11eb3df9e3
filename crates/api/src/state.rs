//! What the handlers share, and the small traits behind which the rest of the program stands.

use std::sync::Arc;

use async_trait::async_trait;
use guardian_catalog::Catalog;
use guardian_findings::Findings;
use guardian_fleet::Fleet;
use guardian_identity::{Identity, ShownCertificate};
use guardian_kit::clock::Clock;
use guardian_kit::health::Health;
use guardian_kit::metrics::Metrics;
use guardian_lake::Lake;
use guardian_model::TenantId;
use guardian_notify::Notifier;
use guardian_respond::EvidenceStore;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use utoipa::ToSchema;

use crate::cursor::Cursors;
use crate::resources::TrafficCache;

/// Shared by all handlers; cheap to clone.
#[derive(Clone)]
pub struct ApiState {
    /// The system of record.
    pub catalog: Catalog,
    /// Users, sessions, keys.
    pub identity: Identity,
    /// The telemetry store.
    pub lake: Lake,
    /// The agents.
    pub fleet: Fleet,
    /// What is wrong with what hosts have.
    pub findings: Findings,
    /// The bytes of incidents' evidence.
    pub evidence: EvidenceStore,
    /// Figures of the dashboard that are kept for a while.
    pub traffic: TrafficCache,
    /// Tells people and programs what happens.
    pub notifier: Notifier,
    /// What each rule did so far.
    pub rule_stats: Arc<dyn RuleActivity>,
    /// Replays.
    pub replays: Arc<dyn Replays>,
    /// Figures of the last second.
    pub kpis: watch::Receiver<Kpis>,
    /// Readiness.
    pub health: Health,
    /// Counters.
    pub metrics: Metrics,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Signs cursors.
    pub cursors: Cursors,
    /// Settings of the API.
    pub settings: Arc<ApiSettings>,
}

/// Settings of the API.
#[derive(Clone, Debug, Default)]
pub struct ApiSettings {
    /// Whether `/metrics` answers without a key.
    pub metrics_public: bool,
    /// Whether browsers are told to insist on HTTPS from now on: only with the operator's own certificate, because with
    /// the local authority's they would lock people out who do not trust it yet.
    pub hsts: bool,
    /// Ids of the detectors that the configuration switches off.
    pub disabled_detectors: Vec<String>,
    /// The address that people use, `https://` and a name, if the operator named it.
    pub public_url: Option<String>,
    /// The names that the server's certificate is for.
    pub names: Vec<String>,
    /// Whether people can show client certificates.
    pub client_certificates: bool,
}

impl ApiSettings {
    /// The address of this server for a browser that asked for `host`: the configured one, or else the one asked for, if
    /// it is the server's own name or a loopback address.
    pub(crate) fn base_url(&self, host: &str) -> Option<String> {
        if let Some(url) = &self.public_url {
            return Some(url.clone());
        }
        let authority: axum::http::uri::Authority = host.parse().ok()?;
        let name = authority.host();
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        let loopback = bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
        let own = loopback || self.names.iter().any(|n| n.eq_ignore_ascii_case(name));
        (own && !host.contains('@')).then(|| format!("https://{host}"))
    }
}

/// Figures of the last second, for headers and live views.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Kpis {
    /// When they were taken, RFC 3339.
    pub time: String,
    /// Flow rows stored per second.
    pub flows_per_second: f64,
    /// Octets of traffic told by those flows per second.
    pub bytes_per_second: f64,
    /// Flow rows stored since the start.
    pub flows_total: u64,
    /// Datagrams received since the start.
    pub datagrams_total: u64,
    /// Datagrams and rows lost on our side since the start: kernel, queues, storage.
    pub lost_total: u64,
    /// Flow units that exporters sent and that never arrived, by their sequence numbers.
    pub missing_total: u64,
    /// Exporters heard in the last five minutes.
    pub exporters: u64,
    /// Exporters that wait for a template.
    pub exporters_waiting: u64,
    /// Findings since the start.
    pub findings_total: u64,
    /// Resident memory, bytes.
    pub resident_bytes: u64,
}

/// What one rule did so far.
#[derive(Clone, Debug, Default)]
pub struct RuleWork {
    /// Sigma id.
    pub rule_id: String,
    /// Rows that matched; of a correlation, rows that it counts.
    pub matched: u64,
    /// Times it fired.
    pub fired: u64,
}

/// Knows the client certificate that a connection shows.
pub trait ShowsCertificate: Send + Sync {
    /// The certificate, if it is one that this server takes at this moment.
    fn certificate(&self) -> Option<Arc<ShownCertificate>>;
}

/// The connection that a request came by, put into its extensions by whoever accepts connections and takes client
/// certificates.
#[derive(Clone)]
pub struct Connection(Arc<dyn ShowsCertificate>);

impl Connection {
    /// A connection whose certificate `shows` knows.
    pub fn new(shows: impl ShowsCertificate + 'static) -> Self {
        Self(Arc::new(shows))
    }

    pub(crate) fn certificate(&self) -> Option<Arc<ShownCertificate>> {
        self.0.certificate()
    }
}

/// Tells what rules did.
#[async_trait]
pub trait RuleActivity: Send + Sync {
    /// Every rule of the tenant that ran.
    fn activity(&self, tenant: TenantId) -> Vec<RuleWork>;
    /// Takes changed rules and exceptions up; called after a change was committed. When it returns they hold from the next
    /// batch on.
    async fn reload(&self);
}

/// A replay to start.
#[derive(Clone, Debug)]
pub struct ReplayStart {
    /// Whose data it becomes.
    pub tenant: TenantId,
    /// Tag of all that comes of it.
    pub name: String,
    /// A factor or `max`.
    pub speed: String,
    /// Keep the recorded times.
    pub original_time: bool,
    /// The capture file; removed when the replay ends.
    pub file: std::path::PathBuf,
}

/// A replay as it stands.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct ReplayView {
    /// Identity.
    pub id: String,
    /// Tag of all that comes of it.
    pub name: String,
    /// Part that is done, 0 to 1.
    pub fraction: f64,
    /// Packets read.
    pub packets: u64,
    /// Export datagrams decoded.
    pub exports: u64,
    /// Flow rows made.
    pub flows: u64,
    /// What came of it, once it has ended.
    #[schema(value_type = Option<Object>)]
    pub summary: Option<serde_json::Value>,
}

/// Runs replays. The program wires the pipeline in here.
#[async_trait]
pub trait Replays: Send + Sync {
    /// Where uploads are put.
    fn spool(&self) -> &std::path::Path;
    /// Starts one; an error says what is wrong with the request.
    async fn start(&self, start: ReplayStart) -> Result<ReplayView, String>;
    /// Sends a flow that makes a test alert through storage and detection, tagged as the replay `name`; returns after
    /// detection has seen it.
    async fn test_alert(&self, tenant: TenantId, name: &str) -> Result<(), String>;
    /// Those of the tenants, newest first.
    fn list(&self, tenants: &[TenantId]) -> Vec<ReplayView>;
    /// One of them.
    fn get(&self, tenants: &[TenantId], id: &str) -> Option<ReplayView>;
    /// Lets detection forget a replay whose data is being removed.
    fn forget(&self, tenant: TenantId, name: &str);
    /// Ends one early; false when there is none.
    fn cancel(&self, tenants: &[TenantId], id: &str) -> bool;
}
