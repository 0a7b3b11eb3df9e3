//! Client certificates where connections are accepted: which authorities they come from, which were revoked, and what
//! a connection shows. Who somebody is by their certificate is not decided here.
//!
//! A certificate is checked whole at the handshake, and again while the connection lasts: once a minute, and as soon as
//! there is another list of revoked ones. Sessions of TLS are never resumed then, because resuming checks nothing.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use arc_swap::ArcSwap;
use guardian_api::ShowsCertificate;
use guardian_identity::ShownCertificate;
use guardian_kit::clock::Clock;
use guardian_kit::shutdown::Shutdown;
use guardian_model::Micros;
use parking_lot::Mutex;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::tls::TlsConfig;

/// How often the list of revoked certificates is looked at.
const RELOAD: Duration = Duration::from_secs(10);
/// How long a check of a certificate holds on an open connection, in microseconds.
const CHECK_EVERY: i64 = Micros::MINUTE;
/// Largest list of revoked certificates, in bytes.
const LIST_BYTES_MAX: u64 = 64 << 20;

/// The authorities that people's certificates come from, and what they revoked.
pub(crate) struct ClientAuthorities {
    roots: Arc<RootCertStore>,
    /// Told to clients, so that they offer the right certificate.
    hints: Vec<DistinguishedName>,
    revoked: Option<PathBuf>,
    current: ArcSwap<Current>,
    clock: Arc<dyn Clock>,
}

struct Current {
    verifier: Arc<dyn ClientCertVerifier>,
    /// The list that it was made with.
    list: Vec<u8>,
    generation: u64,
}

impl fmt::Debug for ClientAuthorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientAuthorities").field("revoked", &self.revoked).finish_non_exhaustive()
    }
}

impl ClientAuthorities {
    /// What the configuration names; none if it names no authority.
    pub(crate) fn open(config: &TlsConfig, clock: Arc<dyn Clock>) -> Result<Option<Arc<Self>>> {
        let named = |path: &Path| !path.as_os_str().is_empty();
        if !named(&config.client_ca) {
            if named(&config.client_crl) {
                bail!(
                    "server.tls.client_crl is set but server.tls.client_ca is not: name the authorities' certificates"
                );
            }
            return Ok(None);
        }
        let shown = config.client_ca.display();
        let found = CertificateDer::pem_file_iter(&config.client_ca)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|e| anyhow!("server.tls.client_ca: cannot read {shown}: {e}"))?;
        if found.is_empty() {
            bail!("server.tls.client_ca: {shown} holds no certificate");
        }
        let mut roots = RootCertStore::empty();
        for certificate in found {
            roots.add(certificate).with_context(|| format!("server.tls.client_ca: {shown}"))?;
        }
        let roots = Arc::new(roots);
        let revoked = named(&config.client_crl).then(|| config.client_crl.clone());
        let list = revoked.as_deref().map(read_list).transpose()?.unwrap_or_default();
        let current = Current { verifier: verifier(&roots, &list)?, list, generation: 0 };
        let hints = current.verifier.root_hint_subjects().to_vec();
        Ok(Some(Arc::new(Self { roots, hints, revoked, current: ArcSwap::from_pointee(current), clock })))
    }

    /// Takes the list of revoked certificates up as it is now. True if it is another one than before.
    fn reload(&self) -> Result<bool> {
        let Some(path) = &self.revoked else { return Ok(false) };
        let (list, held) = (read_list(path)?, self.current.load());
        if list == held.list {
            return Ok(false);
        }
        let verifier = verifier(&self.roots, &list)?;
        self.current.store(Arc::new(Current { verifier, list, generation: held.generation + 1 }));
        Ok(true)
    }

    /// Looks at the list of revoked certificates now and then. One that cannot be read leaves the last that could.
    pub(crate) fn follow(self: &Arc<Self>, shutdown: &Shutdown) {
        if self.revoked.is_none() {
            return;
        }
        let (authorities, shutdown) = (Arc::clone(self), shutdown.clone());
        // Reading a list and checking its signatures blocks.
        tokio::task::spawn_blocking(move || {
            while !shutdown.wait_timeout(RELOAD) {
                match authorities.reload() {
                    Ok(false) => {}
                    Ok(true) => tracing::info!("another list of revoked client certificates holds from now on"),
                    Err(error) => {
                        tracing::error!(%error, "the list of revoked client certificates stays the last one");
                    }
                }
            }
        });
    }

    fn holds(&self, chain: &[CertificateDer<'_>], current: &Current, now: Micros) -> bool {
        let Some((leaf, between)) = chain.split_first() else { return false };
        let now = UnixTime::since_unix_epoch(Duration::from_micros(now.0.max(0) as u64));
        current.verifier.verify_client_cert(leaf, between, now).is_ok()
    }
}

fn read_list(path: &Path) -> Result<Vec<u8>> {
    let shown = path.display();
    let length = std::fs::metadata(path).with_context(|| format!("server.tls.client_crl: {shown}"))?.len();
    if length > LIST_BYTES_MAX {
        bail!("server.tls.client_crl: {shown} is larger than {} MiB", LIST_BYTES_MAX >> 20);
    }
    std::fs::read(path).with_context(|| format!("server.tls.client_crl: {shown}"))
}

fn verifier(roots: &Arc<RootCertStore>, list: &[u8]) -> Result<Arc<dyn ClientCertVerifier>> {
    let lists = CertificateRevocationListDer::pem_slice_iter(list)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| anyhow!("server.tls.client_crl holds something that is no list of revoked certificates: {e}"))?;
    if !list.is_empty() && lists.is_empty() {
        bail!("server.tls.client_crl holds no list of revoked certificates (-----BEGIN X509 CRL-----)");
    }
    let builder = WebPkiClientVerifier::builder(Arc::clone(roots)).with_crls(lists).allow_unauthenticated();
    builder.build().context("server.tls.client_ca and server.tls.client_crl cannot be used")
}

impl ClientCertVerifier for ClientAuthorities {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let checked = self.current.load().verifier.verify_client_cert(leaf, between, now);
        checked.inspect_err(|error| tracing::info!(%error, "a client certificate was refused"))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.current.load().verifier.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.current.load().verifier.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.current.load().verifier.supported_verify_schemes()
    }
}

/// What one connection showed, and whether that still holds.
struct Shown {
    authorities: Arc<ClientAuthorities>,
    chain: Vec<CertificateDer<'static>>,
    certificate: Arc<ShownCertificate>,
    checked: Mutex<Checked>,
}

#[derive(Clone, Copy)]
struct Checked {
    at: Micros,
    generation: u64,
    holds: bool,
}

impl ShowsCertificate for Shown {
    fn certificate(&self) -> Option<Arc<ShownCertificate>> {
        let (current, now) = (self.authorities.current.load(), self.authorities.clock.now());
        let mut checked = self.checked.lock();
        if checked.generation != current.generation || now - checked.at >= CHECK_EVERY {
            let holds = self.authorities.holds(&self.chain, &current, now);
            *checked = Checked { at: now, generation: current.generation, holds };
        }
        checked.holds.then(|| Arc::clone(&self.certificate))
    }
}

/// What a connection shows, if it shows a certificate.
pub(crate) fn shown(
    authorities: Arc<ClientAuthorities>,
    stream: &TlsStream<TcpStream>,
) -> Option<impl ShowsCertificate + use<>> {
    let chain = stream.get_ref().1.peer_certificates()?;
    let certificate = Arc::new(ShownCertificate::read(chain.first()?)?);
    // The handshake checked it; so will the first request, because the list may have changed in between.
    let checked = Mutex::new(Checked { at: Micros(0), generation: 0, holds: false });
    Some(Shown { chain: chain.to_vec(), authorities, certificate, checked })
}
