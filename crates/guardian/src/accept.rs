//! Accepting connections: browsers and programs, agents, and machines that enrol, all on one port. Which of them it is, the
//! client says in its first message (ALPN), before the server shows a certificate.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::{Extension, Router};
use axum_server::accept::Accept;
use axum_server::tls_rustls::RustlsConfig;
use guardian_api::Connection;
use guardian_fleet::{AGENT_ALPN, ENROL_ALPN, Fleet};
use rustls::server::Acceptor as Hello;
use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use crate::client_tls::{ClientAuthorities, shown};

/// Longest handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Accepts connections, and tells the requests that come by them who is at the other end: the address, and the certificate
/// where one is shown. Agents go to the fleet.
#[derive(Clone)]
pub(crate) struct Acceptor {
    tls: RustlsConfig,
    authorities: Option<Arc<ClientAuthorities>>,
    fleet: Fleet,
}

impl Acceptor {
    /// Accepts with `tls`, takes certificates of `authorities`, and hands agents to `fleet`.
    pub(crate) fn new(tls: RustlsConfig, authorities: Option<Arc<ClientAuthorities>>, fleet: Fleet) -> Self {
        Self { tls, authorities, fleet }
    }

    async fn handshake(self, stream: TcpStream, peer: SocketAddr) -> io::Result<Accepted> {
        let start = LazyConfigAcceptor::new(Hello::default(), stream).await?;
        let offered = |wanted: &[u8]| start.client_hello().alpn().is_some_and(|mut all| all.any(|name| name == wanted));
        if offered(AGENT_ALPN) {
            let stream = start.into_stream(self.fleet.agent_tls()).await?;
            return Ok(Accepted::Agent(Box::new(stream), peer));
        }
        let enrols = offered(ENROL_ALPN);
        let config = if enrols { self.fleet.enrolment_tls() } else { self.tls.get_inner() };
        Ok(Accepted::Request(Box::new(start.into_stream(config).await?)))
    }
}

/// What came.
enum Accepted {
    Agent(Box<TlsStream<TcpStream>>, SocketAddr),
    Request(Box<TlsStream<TcpStream>>),
}

type Accepting<T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send>>;

impl Accept<TcpStream, Router> for Acceptor {
    type Stream = TlsStream<TcpStream>;
    type Service = Router;
    type Future = Accepting<(Self::Stream, Self::Service)>;

    fn accept(&self, stream: TcpStream, app: Router) -> Self::Future {
        let (acceptor, peer) = (self.clone(), stream.peer_addr());
        // An answer is written whole: waiting for more to send along delays it by 40 ms.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection does not send at once");
        }
        Box::pin(async move {
            let peer = peer?;
            let (authorities, fleet) = (acceptor.authorities.clone(), acceptor.fleet.clone());
            let accepted = tokio::time::timeout(HANDSHAKE, acceptor.handshake(stream, peer)).await;
            let stream = match accepted.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?? {
                Accepted::Request(stream) => *stream,
                Accepted::Agent(stream, peer) => {
                    tokio::spawn(async move { fleet.serve(*stream, peer).await });
                    // The web server has nothing to do with it.
                    return Err(io::Error::new(io::ErrorKind::Other, "an agent"));
                }
            };
            let told = Router::new().fallback_service(app).layer(Extension(ConnectInfo(peer)));
            let shown = authorities.and_then(|authorities| shown(authorities, &stream));
            let told = match shown {
                Some(shown) => told.layer(Extension(Connection::new(shown))),
                None => told,
            };
            Ok((stream, told))
        })
    }
}
