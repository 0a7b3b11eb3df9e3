//! Talking to the API as a program does.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use reqwest::{Client, StatusCode};
use rustls::pki_types::pem::PemObject as _;
use serde_json::Value;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::app::{App, PATIENCE};

/// A client that trusts the authority of `app`.
pub(crate) fn client(app: &App) -> Client {
    builder(app).build().unwrap()
}

/// What [`client`] is made of.
pub(crate) fn builder(app: &App) -> reqwest::ClientBuilder {
    rustls::crypto::ring::default_provider().install_default().ok();
    let pem = std::fs::read(app.data.join("tls/ca.pem")).unwrap();
    let authority = reqwest::Certificate::from_pem(&pem).unwrap();
    Client::builder().tls_certs_only([authority]).timeout(Duration::from_secs(30))
}

/// As [`client`], speaking HTTP/1.1 only: WebSockets begin there.
pub(crate) fn client_http1(app: &App) -> Client {
    builder(app).http1_only().build().unwrap()
}

/// Runs a future to its end.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Status and body of an answer that must be a problem document.
pub(crate) async fn problem(response: reqwest::Response) -> (StatusCode, Value) {
    let status = response.status();
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    (status, response.json().await.unwrap())
}

/// A live stream that is open.
pub(crate) struct Live(tokio_tungstenite::WebSocketStream<tokio_rustls::client::TlsStream<tokio::net::TcpStream>>);

impl Live {
    /// Opens the stream, from the change numbered `since` on or from now on.
    pub(crate) async fn open(app: &App, topics: &str, since: Option<i64>) -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        let mut roots = rustls::RootCertStore::empty();
        let ca = rustls::pki_types::CertificateDer::from_pem_file(app.data.join("tls/ca.pem")).unwrap();
        roots.add(ca).unwrap();
        let tls = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let authority = app.url().strip_prefix("https://").unwrap().to_owned();
        let tcp = tokio::net::TcpStream::connect(&authority).await.unwrap();
        let name = authority.rsplit_once(':').unwrap().0.to_owned().try_into().unwrap();
        let stream = tokio_rustls::TlsConnector::from(Arc::new(tls)).connect(name, tcp).await.unwrap();
        let since = since.map(|s| format!("&since={s}")).unwrap_or_default();
        let mut request =
            format!("wss://{authority}/api/v1/stream?topics={topics}{since}").into_client_request().unwrap();
        let bearer = format!("Bearer {}", app.operator_key()).parse().unwrap();
        request.headers_mut().insert("authorization", bearer);
        Self(tokio_tungstenite::client_async(request, stream).await.unwrap().0)
    }

    /// The next message.
    pub(crate) async fn next(&mut self) -> Value {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.0.next()).await.expect("the stream is silent");
            if let Message::Text(text) = message.expect("the stream ended").unwrap() {
                return serde_json::from_str(&text).unwrap();
            }
        }
    }
}
