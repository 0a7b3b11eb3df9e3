//! Talking to a running server: the one on this machine (found through its run directory) or one named by URL.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use rustls::pki_types::pem::PemObject as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_tungstenite::tungstenite::Message;

use crate::command::Global;

/// Largest JSON answer that a command reads.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// Why the server could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RemoteError {
    /// Nobody answers.
    #[error(
        "no server answers at {url}: {reason}\nIs it running? Start it with `guardian serve`, or name another with --server URL"
    )]
    Unreachable {
        /// Where it was looked for.
        url: String,
        /// What the connection said.
        reason: String,
    },
    /// The server refused.
    #[error("not allowed: {0}")]
    NotAllowed(String),
    /// The server answered with a problem document (RFC 9457).
    #[error("{0}")]
    Problem(String),
}

/// Where the server of a data directory listens; written at its start, removed at its end.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RunFile {
    /// Base URL.
    pub(crate) url: String,
    /// PEM file that its certificate is checked against; none with the operator's own certificate.
    pub(crate) ca: Option<PathBuf>,
    /// Process id.
    pub(crate) pid: u32,
    /// UDP addresses that take flows.
    pub(crate) flows: Vec<std::net::SocketAddr>,
    /// Where osquery's nodes are heard, if they are.
    #[serde(default)]
    pub(crate) osquery: Option<std::net::SocketAddr>,
}

impl RunFile {
    /// Its place under the data directory.
    pub(crate) fn path(data: &Path) -> PathBuf {
        data.join("run").join("server.json")
    }

    /// Reads it; `None` when no server runs on this data directory, as far as the file knows.
    pub(crate) fn read(data: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(Self::path(data)).ok()?;
        let run: Self = serde_json::from_str(&text).ok()?;
        Path::new("/proc").join(run.pid.to_string()).exists().then_some(run)
    }
}

/// A client of one server.
pub(crate) struct Remote {
    url: String,
    key: String,
    http: reqwest::Client,
    tls: std::sync::Arc<rustls::ClientConfig>,
}

impl Remote {
    /// Finds the server: `--server`, else the one that runs on the data directory; `None` when neither is there.
    pub(crate) fn find(global: &Global) -> Result<Option<Self>> {
        if let Some(url) = &global.server {
            let key = global.token.clone().context("--server needs an API key: give --token or set GUARDIAN_TOKEN")?;
            return Self::new(url, key, global.ca.as_deref()).map(Some);
        }
        let data = global.load()?.data;
        let Some(run) = RunFile::read(&data) else { return Ok(None) };
        let path = data.join("run").join("operator.key");
        let key = std::fs::read_to_string(&path).with_context(|| {
            format!(
                "a server runs on {} but {} cannot be read: run this as the same user, or give --server and --token",
                data.display(),
                path.display()
            )
        })?;
        Self::new(&run.url, key.trim().to_owned(), run.ca.as_deref()).map(Some)
    }

    /// Finds the server, or says how to have one.
    pub(crate) fn require(global: &Global) -> Result<Self> {
        Self::find(global)?.ok_or_else(|| {
            RemoteError::Unreachable {
                url: "this machine".to_owned(),
                reason: "no server runs on this data directory".to_owned(),
            }
            .into()
        })
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the server is named by the operator, and often at a private address"
    )]
    fn new(url: &str, key: String, ca: Option<&Path>) -> Result<Self> {
        let mut roots = rustls::RootCertStore::empty();
        let mut builder = reqwest::Client::builder().connect_timeout(std::time::Duration::from_secs(5));
        let file = ca.map(Path::to_path_buf).or_else(system_roots);
        if let Some(file) = file {
            let pem = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem)
                .with_context(|| format!("{} holds no certificates", file.display()))?;
            builder = builder.tls_certs_only(certificates);
            for der in rustls::pki_types::CertificateDer::pem_slice_iter(&pem).flatten() {
                // A bundle may hold certificates that rustls does not take; the others serve.
                roots.add(der).ok();
            }
        }
        let tls = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let http = builder.build().context("cannot make an HTTP client")?;
        Ok(Self { url: url.trim_end_matches('/').to_owned(), key, http, tls: std::sync::Arc::new(tls) })
    }

    /// Where the server is.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// A request to a path below `/api/v1`.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}/api/v1{path}", self.url)).bearer_auth(&self.key)
    }

    /// Sends a request; errors of the server become errors here.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Response> {
        let response = request
            .send()
            .await
            .map_err(|error| RemoteError::Unreachable { url: self.url.clone(), reason: innermost(&error) })?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let body = read_capped(response).await.unwrap_or_default();
        let problem: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let text = |key: &str| problem.get(key).and_then(Value::as_str).map(str::to_owned);
        let detail = text("detail").or_else(|| text("title")).unwrap_or_else(|| status.to_string());
        Err(match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => RemoteError::NotAllowed(detail),
            _ => RemoteError::Problem(detail),
        }
        .into())
    }

    /// Sends a request and reads its JSON answer.
    pub(crate) async fn json(&self, request: RequestBuilder) -> Result<Value> {
        let body = read_capped(self.send(request).await?).await?;
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body).context("the server's answer is not JSON")
    }

    /// Sends a request and reads its answer as it comes.
    pub(crate) async fn bytes(&self, request: RequestBuilder) -> Result<Vec<u8>> {
        read_capped(self.send(request).await?).await
    }

    /// Sends a request and reads its answer as text.
    pub(crate) async fn text(&self, request: RequestBuilder) -> Result<String> {
        let body = read_capped(self.send(request).await?).await?;
        String::from_utf8(body).context("the server's answer is not text")
    }

    /// Opens the live stream and calls `each` with every message until it answers false or the server ends it.
    pub(crate) async fn stream(&self, path: &str, mut each: impl FnMut(Value) -> Result<bool>) -> Result<()> {
        use futures::StreamExt as _;
        use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
        let url = format!("{}/api/v1{path}", self.url.replacen("http", "ws", 1));
        let mut request = url.into_client_request()?;
        let bearer = format!("Bearer {}", self.key).parse().map_err(|_| anyhow!("the API key holds odd characters"))?;
        request.headers_mut().insert("authorization", bearer);
        let (mut socket, _) = tokio_tungstenite::client_async(request, self.connect().await?)
            .await
            .map_err(|error| RemoteError::Unreachable { url: self.url.clone(), reason: error.to_string() })?;
        while let Some(message) = socket.next().await {
            if let Message::Text(text) = message? {
                let value = serde_json::from_str(&text).context("the server sent something that is not JSON")?;
                if !each(value)? {
                    break;
                }
            }
        }
        Ok(())
    }
}

impl Remote {
    /// A TLS connection to the server, for the live stream.
    async fn connect(&self) -> Result<tokio_rustls::client::TlsStream<tokio::net::TcpStream>> {
        let unreachable = |reason: String| RemoteError::Unreachable { url: self.url.clone(), reason };
        let url = reqwest::Url::parse(&self.url).map_err(|e| unreachable(e.to_string()))?;
        let host = url.host_str().unwrap_or("localhost").trim_matches(['[', ']']).to_owned();
        let port = url.port_or_known_default().unwrap_or(443);
        let tcp =
            tokio::net::TcpStream::connect((host.as_str(), port)).await.map_err(|e| unreachable(e.to_string()))?;
        let name = rustls::pki_types::ServerName::try_from(host).map_err(|e| unreachable(e.to_string()))?;
        let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::clone(&self.tls));
        Ok(connector.connect(name, tcp).await.map_err(|e| unreachable(e.to_string()))?)
    }
}

/// Reads a body, but no more than [`ANSWER_BYTES_MAX`].
async fn read_capped(mut response: Response) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(anyhow!("the answer is larger than {} MiB; ask for less", ANSWER_BYTES_MAX >> 20));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// What went wrong at the bottom of it.
pub(crate) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut at = error;
    while let Some(source) = at.source() {
        at = source;
    }
    at.to_string()
}

/// The system's own trust store, for servers with a certificate of a public authority.
pub(crate) fn system_roots() -> Option<PathBuf> {
    let env = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let usual = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"].map(PathBuf::from);
    env.into_iter().chain(usual).find(|p| p.exists())
}

/// A client for what lies outside and is named by whoever runs the program: it goes through the proxy of the environment,
/// trusts what the system trusts, and has no limit for the whole, which its user sets.
#[expect(
    clippy::disallowed_methods,
    reason = "what is asked is named by who runs the program, is often at a private address, and comes as a stream"
)]
pub(crate) fn outward(
    tls_only: bool,
    connect: std::time::Duration,
    silence: std::time::Duration,
) -> Result<reqwest::Client> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("guardian/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(connect)
        .read_timeout(silence)
        .https_only(tls_only);
    if let Some(file) = system_roots() {
        let pem = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let certificates = reqwest::Certificate::from_pem_bundle(&pem)
            .with_context(|| format!("{} holds no certificates", file.display()))?;
        builder = builder.tls_certs_only(certificates);
    }
    builder.build().context("cannot make an HTTP client")
}

/// A small runtime for commands that talk to a server.
pub(crate) fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}
