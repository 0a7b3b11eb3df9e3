//! The listener for osquery's own programs: a port of its own, off unless it is asked for, that speaks HTTP/1.1 over TLS 1.2
//! or 1.3 with ECDHE and AEAD alone, and nothing but the few requests of osquery's TLS plugins.
//!
//! It bounds what comes before anything reads it: connections, bodies, what bodies unpack to, and how many are read at
//! once. What requests mean is the fleet's business.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use axum::body::Bytes;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Extension, Json, Router};
use axum_server::Handle;
use axum_server::accept::Accept;
use axum_server::tls_rustls::RustlsConfig;
use flate2::read::GzDecoder;
use guardian_fleet::{CarveRefusal, Fleet, OsqueryConfig, OsqueryError};
use guardian_kit::capped::read_capped;
use guardian_kit::shutdown::Shutdown;
use guardian_model::Ip;
use guardian_osquery::limits;
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Longest handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Longest wait for the head of a request, the first one or the next.
const HEAD: Duration = Duration::from_secs(30);
/// Longest wait for a body, once its head is there.
const BODY: Duration = Duration::from_secs(20);
/// Bytes of bodies that are on their way at once; whoever comes beyond that tries again.
const COMING_BYTES_MAX: usize = 128 << 20;
/// Bytes of bodies that are read at once, unpacked: what is read takes many times the room.
const READING_BYTES_MAX: usize = 32 << 20;

/// The certificate that the console shows, whichever it is now.
#[derive(Debug)]
struct Same(RustlsConfig);

impl ResolvesServerCert for Same {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.get_inner().cert_resolver.resolve(hello)
    }
}

/// Listens, if the settings name an address. Answers where.
pub(crate) fn start(
    config: &OsqueryConfig,
    console: &RustlsConfig,
    fleet: &Fleet,
    shutdown: &Shutdown,
) -> Result<Option<SocketAddr>> {
    if config.address.is_empty() {
        return Ok(None);
    }
    let address: SocketAddr = config.address.parse().map_err(|_| {
        anyhow!("fleet.osquery.address: `{}` is no address and port, such as [::]:8444", config.address)
    })?;
    let listener = std::net::TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
    listener.set_nonblocking(true)?;
    let bound = listener.local_addr()?;
    let mut tls = ServerConfig::builder().with_no_client_auth().with_cert_resolver(Arc::new(Same(console.clone())));
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    let acceptor = Nodes {
        tls: TlsAcceptor::from(Arc::new(tls)),
        places: Arc::new(Semaphore::new(config.connections_max.clamp(1, Semaphore::MAX_PERMITS))),
    };
    let desk = Desk {
        fleet: fleet.clone(),
        coming: Arc::new(Semaphore::new(COMING_BYTES_MAX)),
        reading: Arc::new(Semaphore::new(READING_BYTES_MAX)),
    };
    let handle = Handle::new();
    let mut server = axum_server::from_tcp(listener)?.acceptor(acceptor).handle(handle.clone());
    server.http_builder().http1().timer(hyper_util::rt::TokioTimer::new()).header_read_timeout(HEAD);
    let app = router(desk);
    tokio::spawn(async move {
        if let Err(error) = server.serve(app.into_make_service()).await {
            tracing::error!(%error, "osquery's nodes are not heard any more");
        }
    });
    let token = shutdown.token();
    tokio::spawn(async move {
        token.cancelled().await;
        handle.shutdown();
    });
    tracing::info!(address = %bound, "listening for nodes of osquery");
    Ok(Some(bound))
}

/// Accepts connections, and holds a place for each while it lasts.
#[derive(Clone)]
struct Nodes {
    tls: TlsAcceptor,
    places: Arc<Semaphore>,
}

impl Accept<TcpStream, Router> for Nodes {
    type Stream = TlsStream<TcpStream>;
    type Service = Router;
    type Future = Pin<Box<dyn Future<Output = io::Result<(Self::Stream, Self::Service)>> + Send>>;

    fn accept(&self, stream: TcpStream, app: Router) -> Self::Future {
        let (tls, place) = (self.tls.clone(), Arc::clone(&self.places).try_acquire_owned());
        Box::pin(async move {
            let place: OwnedSemaphorePermit = place.map_err(|_| io::Error::other("too many connections"))?;
            let peer = stream.peer_addr()?;
            stream.set_nodelay(true)?;
            let shaken = tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await;
            let stream = shaken.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
            // The place is free again when the connection ends, and what serves it with it.
            let told = Router::new().fallback_service(app).layer(Extension(ConnectInfo(peer)));
            Ok((stream, told.layer(Extension(Arc::new(place)))))
        })
    }
}

/// What requests need.
#[derive(Clone)]
struct Desk {
    fleet: Fleet,
    coming: Arc<Semaphore>,
    reading: Arc<Semaphore>,
}

/// What a request is about.
#[derive(Clone, Copy)]
enum About {
    Enrol,
    Config,
    Log,
    Read,
    Write,
    Carve,
    CarveBlock,
}

impl About {
    fn bytes_max(self) -> usize {
        match self {
            Self::Log | Self::Write | Self::CarveBlock => limits::ROWS_BYTES_MAX,
            Self::Enrol | Self::Config | Self::Read | Self::Carve => limits::BODY_BYTES_MAX,
        }
    }
}

fn router(desk: Desk) -> Router {
    let at = |about: About| {
        post(
            move |State(desk): State<Desk>, Extension(peer): Extension<ConnectInfo<SocketAddr>>, request: Request| async move {
                desk.answer(about, peer.0, request).await.unwrap_or_else(|refusal| refusal)
            },
        )
    };
    let carves = desk.fleet.takes_carves();
    let app = Router::new()
        .route("/osquery/enroll", at(About::Enrol))
        .route("/osquery/config", at(About::Config))
        .route("/osquery/log", at(About::Log))
        .route("/osquery/distributed/read", at(About::Read))
        .route("/osquery/distributed/write", at(About::Write));
    let app = if carves {
        app.route("/osquery/carve/start", at(About::Carve)).route("/osquery/carve/block", at(About::CarveBlock))
    } else {
        app
    };
    app.with_state(desk)
}

impl Desk {
    /// The answer, or the refusal. osquery takes everything but 200 for a failure, and tries again.
    async fn answer(&self, about: About, peer: SocketAddr, request: Request) -> Result<Response, Response> {
        let (body, _reading) = self.body(about, request).await?;
        let address = Some(Ip::from(peer.ip()));
        let fleet = &self.fleet;
        let answered = match about {
            About::Enrol => fleet.osquery_enrol(&body, address).await,
            About::Config => fleet.osquery_config(&body, address).await,
            About::Log => fleet.osquery_log(&body, address).await,
            About::Read => fleet.osquery_read(&body, address).await,
            About::Write => fleet.osquery_write(&body, address).await,
            About::Carve => fleet.osquery_carve(&body, address).await,
            About::CarveBlock => fleet.osquery_carve_block(&body).await,
        };
        answered.map(|answer: Value| Json(answer).into_response()).map_err(|error| {
            let status = match &error {
                OsqueryError::Malformed(_) => StatusCode::BAD_REQUEST,
                OsqueryError::TooMany => StatusCode::TOO_MANY_REQUESTS,
                OsqueryError::Carve(refusal) => refused(*refusal),
                _ => StatusCode::SERVICE_UNAVAILABLE,
            };
            if status == StatusCode::SERVICE_UNAVAILABLE {
                tracing::warn!(%peer, %error, "a node of osquery could not be served");
            }
            status.into_response()
        })
    }

    /// The body of a request, unpacked, and the room that it takes while it is read.
    async fn body(&self, about: About, request: Request) -> Result<(Vec<u8>, OwnedSemaphorePermit), Response> {
        let refuse = |status: StatusCode| status.into_response();
        let headers = request.headers();
        let length = number(headers, header::CONTENT_LENGTH).ok_or_else(|| refuse(StatusCode::LENGTH_REQUIRED))?;
        if length > about.bytes_max() {
            return Err(refuse(StatusCode::PAYLOAD_TOO_LARGE));
        }
        let packed = match headers.get(header::CONTENT_ENCODING).map(|encoding| encoding.as_bytes()) {
            None | Some(b"identity") => false,
            Some(b"gzip") => true,
            Some(_) => return Err(refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE)),
        };
        let room = Arc::clone(&self.coming).try_acquire_many_owned(length as u32);
        let _room = room.map_err(|_| refuse(StatusCode::SERVICE_UNAVAILABLE))?;
        let coming = tokio::time::timeout(BODY, axum::body::to_bytes(request.into_body(), length)).await;
        let body: Bytes =
            coming.map_err(|_| refuse(StatusCode::REQUEST_TIMEOUT))?.map_err(|_| refuse(StatusCode::BAD_REQUEST))?;
        let unpacked_max = if packed { about.bytes_max() } else { body.len() };
        let reading = Arc::clone(&self.reading).acquire_many_owned(unpacked_max as u32).await;
        let reading = reading.map_err(|_| refuse(StatusCode::SERVICE_UNAVAILABLE))?;
        if !packed {
            return Ok((body.to_vec(), reading));
        }
        let most = about.bytes_max() as u64;
        let unpacked = tokio::task::spawn_blocking(move || read_capped(&mut GzDecoder::new(body.as_ref()), most)).await;
        let unpacked = unpacked.map_err(|_| refuse(StatusCode::INTERNAL_SERVER_ERROR))?;
        let unpacked = unpacked.map_err(|error| match error.kind() {
            io::ErrorKind::FileTooLarge => refuse(StatusCode::PAYLOAD_TOO_LARGE),
            _ => refuse(StatusCode::BAD_REQUEST),
        })?;
        Ok((unpacked, reading))
    }
}

fn refused(refusal: CarveRefusal) -> StatusCode {
    match refusal {
        CarveRefusal::NotAsked => StatusCode::FORBIDDEN,
        CarveRefusal::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
        CarveRefusal::Unknown => StatusCode::NOT_FOUND,
        CarveRefusal::Odd => StatusCode::BAD_REQUEST,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn number(headers: &HeaderMap, name: header::HeaderName) -> Option<usize> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}
