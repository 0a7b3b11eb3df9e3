//! How the agent knows the server, and shows who it is: TLS 1.3 by the agents' authority, whose fingerprint the enrolment
//! token carries. Names and addresses of the server play no part.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, KeyPair};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use sha2::Digest as _;

use crate::home::Identity;

/// The name that the server's certificate has for agents.
const AGENTS_NAME: &str = "agents.guardian.internal";
/// The name of the protocol of a connection that enrols.
const ENROL_ALPN: &[u8] = b"guardian-enrol/1";

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// TLS says why.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    /// A key or request could not be made.
    #[error(transparent)]
    Key(#[from] rcgen::Error),
    /// What is kept cannot be used.
    #[error("identity.json: {0} cannot be used; enrol again")]
    Kept(&'static str),
}

/// The name to ask for.
pub fn server_name() -> ServerName<'static> {
    // It is a host name, as the tests prove.
    ServerName::try_from(AGENTS_NAME).unwrap_or_else(|_| ServerName::IpAddress(std::net::Ipv4Addr::UNSPECIFIED.into()))
}

/// A new key (PEM), and the request for its certificate (PKCS #10, DER).
pub fn new_key() -> Result<(String, Vec<u8>), TlsError> {
    let pair = KeyPair::generate()?;
    let request = CertificateParams::new(Vec::new())?.serialize_request(&pair)?;
    Ok((pair.serialize_pem(), request.der().to_vec()))
}

/// For enrolment: the server shows a certificate of the authority with this fingerprint.
pub fn enrolment(pin: [u8; 32]) -> ClientConfig {
    let schemes = rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes();
    let verifier = Arc::new(Pinned { pin, schemes });
    let builder = ClientConfig::builder_with_protocol_versions(&[&rustls::version::TLS13]);
    let mut config = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    config.alpn_protocols = vec![ENROL_ALPN.to_vec()];
    config
}

/// For everything afterwards.
pub fn session(identity: &Identity) -> Result<ClientConfig, TlsError> {
    let authority = CertificateDer::from_pem_slice(identity.authority.as_bytes());
    let mut roots = RootCertStore::empty();
    roots.add(authority.map_err(|_| TlsError::Kept("the authority"))?)?;
    let certificate = STANDARD.decode(&identity.certificate).map_err(|_| TlsError::Kept("the certificate"))?;
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).map_err(|_| TlsError::Kept("the key"))?;
    let builder = ClientConfig::builder_with_protocol_versions(&[&rustls::version::TLS13]);
    let mut config =
        builder.with_root_certificates(roots).with_client_auth_cert(vec![CertificateDer::from(certificate)], key)?;
    config.alpn_protocols = vec![guardian_protocol::ALPN.to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

/// Knows a server by the fingerprint of its authority.
#[derive(Debug)]
struct Pinned {
    pin: [u8; 32],
    schemes: Vec<SignatureScheme>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let pinned = between.iter().find(|c| <[u8; 32]>::from(sha2::Sha256::digest(c.as_ref())) == self.pin);
        let pinned = pinned.ok_or(CertificateError::UnknownIssuer)?;
        let mut roots = RootCertStore::empty();
        roots.add(pinned.clone().into_owned())?;
        let verifier = WebPkiServerVerifier::builder(Arc::new(roots)).build();
        let verifier = verifier.map_err(|e| rustls::Error::General(e.to_string()))?;
        verifier.verify_server_cert(leaf, &[], name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("agents speak TLS 1.3 alone".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = rustls::crypto::ring::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_one() {
        assert!(matches!(server_name(), ServerName::DnsName(_)));
        assert!(new_key().is_ok_and(|(key, request)| key.contains("PRIVATE KEY") && !request.is_empty()));
    }
}
