//! Anchors: signed checkpoints of the audit trail are carried to places outside this machine, where whoever takes it over
//! cannot take them back. A file on another machine's disk, a syslog server, or a URL; as many as the operator names.
//!
//! How far each place has come is in the catalog, so that a restart or an outage leaves none out. A place may get one
//! twice, never miss one.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use guardian_catalog::Checkpoint;
use guardian_kit::config::Secret;
use guardian_kit::egress::{self, EgressError};
use guardian_model::{Micros, Scope, TenantId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use thiserror::Error;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpStream, UdpSocket};

use crate::{Identity, IdentityError};

/// Checkpoints that are carried at once.
const CARRY_MAX: u64 = 100;
/// How long a syslog server may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Facility 13 (log audit), severity 5 (notice): RFC 5424 section 6.2.1.
const PRIORITY: u8 = 13 * 8 + 5;

/// Where signed checkpoints of the audit trail are kept outside this machine.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AnchorsConfig {
    /// File that checkpoints are appended to, one JSON object a line: on a mounted disk of another machine, best one that
    /// allows appending only. Empty: none.
    pub file: PathBuf,
    /// Syslog server (RFC 5424): `tcp://host:port` (with octet counting, RFC 6587) or `udp://host:port`. Empty: none.
    pub syslog: String,
    /// URL that each checkpoint is posted to as JSON; addresses that are not public have to be in `egress.allow`. Empty:
    /// none.
    pub http: String,
    /// Sent as `Authorization: Bearer` with it. Empty: nothing.
    pub http_token: Secret,
}

/// Why a checkpoint could not be carried.
#[derive(Debug, Error)]
pub enum AnchorError {
    /// The configuration does not name a place.
    #[error("identity.anchors.syslog: `{0}` is not tcp://host:port or udp://host:port")]
    Syslog(String),
    /// Writing failed.
    #[error("{place}: {source}")]
    Io {
        /// Where.
        place: String,
        /// Why.
        source: std::io::Error,
    },
    /// The request failed.
    #[error("the anchor's URL: {0}")]
    Http(#[from] EgressError),
    /// The server refused it.
    #[error("the anchor's URL answered {0}")]
    Refused(u16),
    /// The trail could not be read.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

impl From<guardian_catalog::CatalogError> for AnchorError {
    fn from(error: guardian_catalog::CatalogError) -> Self {
        Self::Identity(error.into())
    }
}

/// A place.
#[derive(Clone, Debug)]
enum Place {
    File(PathBuf),
    Tcp(String),
    Udp(String),
    Http(String),
}

impl Place {
    /// What its progress is kept under: another place begins from the start.
    fn state(&self, tenant: TenantId) -> String {
        let name = match self {
            Self::File(path) => format!("file {}", path.display()),
            Self::Tcp(to) => format!("tcp {to}"),
            Self::Udp(to) => format!("udp {to}"),
            Self::Http(url) => format!("http {url}"),
        };
        format!("anchor {tenant} {}", &blake3::hash(name.as_bytes()).to_hex()[..16])
    }
}

/// Carries checkpoints to their places.
pub struct Anchors {
    identity: Identity,
    client: egress::Client,
    places: Vec<Place>,
}

impl Anchors {
    /// To the places of the configuration, by this client where it is HTTP.
    pub fn new(identity: Identity, client: egress::Client) -> Result<Self, AnchorError> {
        let config = &identity.inner.config.anchors;
        let mut places = Vec::new();
        if !config.file.as_os_str().is_empty() {
            places.push(Place::File(config.file.clone()));
        }
        if !config.syslog.is_empty() {
            let wrong = || AnchorError::Syslog(config.syslog.clone());
            let (scheme, to) = config.syslog.split_once("://").ok_or_else(wrong)?;
            let port = to.rsplit_once(':').and_then(|(host, port)| (!host.is_empty()).then_some(port));
            port.and_then(|port| port.parse::<u16>().ok()).ok_or_else(wrong)?;
            places.push(match scheme {
                "tcp" => Place::Tcp(to.to_owned()),
                "udp" => Place::Udp(to.to_owned()),
                _ => return Err(wrong()),
            });
        }
        if !config.http.is_empty() {
            places.push(Place::Http(config.http.clone()));
        }
        Ok(Self { identity, client, places })
    }

    /// Whether there is no place.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Carries what is due, of every tenant to every place. One that fails does not hold the others up; its error comes
    /// back, and it is tried again next time. Returns how many were carried.
    pub async fn carry(&self) -> Result<usize, AnchorError> {
        let (mut carried, mut failure) = (0, None);
        for tenant in self.identity.inner.catalog.system().tenants().await? {
            for place in &self.places {
                match self.carry_to(place, tenant.id).await {
                    Ok(count) => carried += count,
                    Err(error) => failure = Some(error),
                }
            }
        }
        match failure {
            Some(error) => Err(error),
            None => Ok(carried),
        }
    }

    async fn carry_to(&self, place: &Place, tenant: TenantId) -> Result<usize, AnchorError> {
        let system = self.identity.inner.catalog.system();
        let name = place.state(tenant);
        let known = system.state(&name).await?.and_then(|bytes| Some(i64::from_le_bytes(bytes.try_into().ok()?)));
        let scope = Scope::of(tenant);
        let scoped = self.identity.inner.catalog.scoped(&scope);
        let due = scoped.checkpoints_after(tenant, known.unwrap_or(0), CARRY_MAX).await?;
        for checkpoint in &due {
            self.put(place, checkpoint).await?;
            system.put_state(&name, checkpoint.seq.to_le_bytes().to_vec()).await?;
        }
        Ok(due.len())
    }

    async fn put(&self, place: &Place, checkpoint: &Checkpoint) -> Result<(), AnchorError> {
        let line = json!(checkpoint).to_string();
        let failed = |to: &str| {
            let place = to.to_owned();
            move |source| AnchorError::Io { place, source }
        };
        match place {
            Place::File(path) => {
                let (to, path) = (path.display().to_string(), path.clone());
                let write = tokio::task::spawn_blocking(move || append(&path, &line)).await;
                write.map_err(std::io::Error::other).and_then(|done| done).map_err(failed(&to))
            }
            Place::Tcp(to) => within(send_tcp(to, &syslog(checkpoint.time, &line))).await.map_err(failed(to)),
            Place::Udp(to) => within(send_udp(to, &syslog(checkpoint.time, &line))).await.map_err(failed(to)),
            Place::Http(url) => {
                let mut request = egress::Request::new(reqwest::Method::POST, url.as_str());
                request.body = line.into_bytes();
                let json = reqwest::header::HeaderValue::from_static("application/json");
                request.headers.insert(reqwest::header::CONTENT_TYPE, json);
                let token = self.identity.inner.config.anchors.http_token.expose();
                if !token.is_empty() {
                    let mut value = reqwest::header::HeaderValue::from_str(&format!("Bearer {token}"))
                        .map_err(|_| IdentityError::Invalid("identity.anchors.http_token has odd characters".into()))?;
                    value.set_sensitive(true);
                    request.headers.insert(reqwest::header::AUTHORIZATION, value);
                }
                let status = self.client.send(request).await?.status;
                if status.is_success() { Ok(()) } else { Err(AnchorError::Refused(status.as_u16())) }
            }
        }
    }
}

async fn within(work: impl Future<Output = std::io::Result<()>>) -> std::io::Result<()> {
    tokio::time::timeout(PATIENCE, work).await.map_err(std::io::Error::from).and_then(|done| done)
}

/// Appends one line, and is done when it is on the disk.
fn append(path: &Path, line: &str) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path)?;
    file.write_all(format!("{line}\n").as_bytes())?;
    file.sync_all()
}

/// The message, without structured data: RFC 5424 section 6.
fn syslog(time: Micros, text: &str) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = match host.trim() {
        "" => "-",
        name => name,
    };
    format!("<{PRIORITY}>1 {time} {host} guardian {} audit-checkpoint - {text}", std::process::id())
}

/// One message with its length before it: RFC 6587 section 3.4.1. The server does not say that it has it; that the
/// connection was closed in order is all there is to know.
async fn send_tcp(to: &str, message: &str) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(to).await?;
    stream.write_all(format!("{} {message}", message.len()).as_bytes()).await?;
    stream.shutdown().await
}

async fn send_udp(to: &str, message: &str) -> std::io::Result<()> {
    let mut addresses = tokio::net::lookup_host(to).await?;
    let address = addresses.next().ok_or_else(|| std::io::Error::other("it has no address"))?;
    let socket = UdpSocket::bind(if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }).await?;
    socket.send_to(message.as_bytes(), address).await.map(drop)
}
