//! The agents' own authority. It signs the certificates by which agents are known, and the one by which agents know the
//! server, so that neither depends on the certificate that browsers see. Its key is sealed in the catalog.

use std::sync::Arc;

use data_encoding::HEXLOWER;
use guardian_catalog::{AgentAuthority, Catalog, CatalogError, authority_secret};
use guardian_identity::{Identity, IdentityError, random_bytes};
use guardian_model::Micros;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData, SerialNumber, SignatureAlgorithm,
};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{NoServerSessionStorage, ServerConfig, WebPkiClientVerifier};
use sha2::Digest as _;
use uuid::Uuid;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer as _;

use crate::ENROL_ALPN;

/// The name that the server's certificate has for agents, wherever it is reached.
pub const AGENTS_NAME: &str = "agents.guardian.internal";

const AUTHORITY_DAYS: i64 = 7_300;
/// The server's own certificate is made anew at each start and after a third of this.
const SERVER_DAYS: i64 = 90;
/// Largest request for a certificate, in bytes.
pub(crate) const REQUEST_BYTES_MAX: usize = 4 << 10;

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// The request cannot be used.
    #[error("the certificate request {0}")]
    Request(&'static str),
    /// A certificate could not be made.
    #[error("a certificate could not be made: {0}")]
    Made(#[from] rcgen::Error),
    /// TLS cannot use it.
    #[error("the agents' certificates cannot be used: {0}")]
    Tls(String),
    /// The catalog failed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The secrets cannot be opened.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

/// The authority, ready to sign.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
    der: CertificateDer<'static>,
}

/// A certificate that was just signed.
#[derive(Clone, Debug)]
pub(crate) struct Signed {
    pub(crate) der: Vec<u8>,
    pub(crate) serial: String,
    pub(crate) not_after: Micros,
}

impl Authority {
    /// The authority that the catalog keeps; made at the first start.
    pub(crate) async fn open(catalog: &Catalog, identity: &Identity, now: Micros) -> Result<Self, CertificateError> {
        if catalog.system().agent_authority().await?.is_none() {
            let (id, pair) = (Uuid::now_v7(), KeyPair::generate()?);
            let certificate = params(now)?.self_signed(&pair)?.pem();
            let secret = identity.seal(&authority_secret(id), pair.serialize_pem().as_bytes()).await?;
            catalog.system().add_agent_authority(&AgentAuthority { id, certificate, secret, created: now }).await?;
        }
        // Of several nodes that start at once all take the oldest.
        let kept = catalog.system().agent_authority().await?.ok_or(CatalogError::NotFound("agents' authority"))?;
        let key = identity.unseal(&authority_secret(kept.id), &kept.secret).await?;
        let text = std::str::from_utf8(&key).map_err(|_| CertificateError::Tls("its key is no text".into()))?;
        Self::new(kept.certificate, &KeyPair::from_pem(text)?.serialize_pem(), now)
    }

    pub(crate) fn new(pem: String, key: &str, now: Micros) -> Result<Self, CertificateError> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|e| CertificateError::Tls(e.to_string()))?;
        Ok(Self { issuer: Issuer::new(params(now)?, KeyPair::from_pem(key)?), pem, der })
    }

    /// SHA-256 of the authority's certificate.
    pub(crate) fn fingerprint(&self) -> [u8; 32] {
        sha2::Sha256::digest(self.der.as_ref()).into()
    }

    /// Signs a certificate of a host for the key in a request (PKCS #10, DER), whose maker proves to have that key.
    /// Whatever name stands in the request, the certificate is for `host`.
    pub(crate) fn sign(
        &self,
        host: Uuid,
        request: &[u8],
        now: Micros,
        life_us: i64,
    ) -> Result<Signed, CertificateError> {
        let key = requested_key(request)?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, host.to_string());
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let not_after = valid(&mut params, now, life_us.max(Micros::DAY))?;
        let mut serial = *random_bytes::<16>()?;
        // Positive, and of one length.
        serial[0] = serial[0] & 0x3f | 0x40;
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        let der = params.signed_by(&key, &self.issuer)?.der().to_vec();
        Ok(Signed { der, serial: HEXLOWER.encode(&serial), not_after })
    }

    /// How connections of agents are accepted, and those that enrol: with a fresh certificate of this authority.
    pub(crate) fn tls(&self, now: Micros) -> Result<Tls, CertificateError> {
        let failed = |e: rustls::Error| CertificateError::Tls(e.to_string());
        let pair = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec![AGENTS_NAME.to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, "Guardian");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        valid(&mut params, now, SERVER_DAYS * Micros::DAY)?;
        let leaf = params.signed_by(&pair, &self.issuer)?.der().clone();
        // The authority goes along, so that a token's fingerprint is all that a new machine needs.
        let chain = vec![leaf, self.der.clone()];
        let key = || PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pair.serialize_der()));
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).map_err(failed)?;
        let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build();
        let verifier = verifier.map_err(|e| CertificateError::Tls(e.to_string()))?;
        let builder = || ServerConfig::builder_with_protocol_versions(&[&rustls::version::TLS13]);
        let agents = builder().with_client_cert_verifier(verifier).with_single_cert(chain.clone(), key());
        let enrolment = builder().with_no_client_auth().with_single_cert(chain, key());
        let (mut agents, mut enrolment) = (agents.map_err(failed)?, enrolment.map_err(failed)?);
        agents.alpn_protocols = vec![guardian_protocol::ALPN.to_vec()];
        enrolment.alpn_protocols = vec![ENROL_ALPN.to_vec()];
        for config in [&mut agents, &mut enrolment] {
            // What is resumed is not checked again.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Ok(Tls {
            agents: Arc::new(agents),
            enrolment: Arc::new(enrolment),
            renew_at: now + SERVER_DAYS / 3 * Micros::DAY,
        })
    }
}

/// How connections are accepted.
pub(crate) struct Tls {
    pub(crate) agents: Arc<ServerConfig>,
    pub(crate) enrolment: Arc<ServerConfig>,
    /// When the server's certificate is to be made anew.
    pub(crate) renew_at: Micros,
}

/// Whom a certificate of an agent is for, and its number. The handshake checked who signed it.
pub(crate) fn shown(certificate: &CertificateDer<'_>) -> Option<(Uuid, String)> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate.as_ref()).ok()?;
    let name = parsed.subject().iter_common_name().next()?.as_str().ok()?;
    Some((name.parse().ok()?, HEXLOWER.encode(parsed.raw_serial())))
}

fn params(now: Micros) -> Result<CertificateParams, CertificateError> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, "Guardian agents");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    valid(&mut params, now, AUTHORITY_DAYS * Micros::DAY)?;
    Ok(params)
}

/// Valid from a day ago, so that clocks may differ, until the end of the day on which the life is over. Returns that end.
fn valid(params: &mut CertificateParams, now: Micros, life_us: i64) -> Result<Micros, CertificateError> {
    let date = |t: Micros| {
        let stamp = jiff::Timestamp::from_microsecond(t.0).map_err(|e| CertificateError::Tls(e.to_string()))?;
        let day = stamp.to_zoned(jiff::tz::TimeZone::UTC).date();
        Ok::<_, CertificateError>(rcgen::date_time_ymd(i32::from(day.year()), day.month() as u8, day.day() as u8))
    };
    let end = now + life_us;
    params.not_before = date(now - Micros::DAY)?;
    params.not_after = date(end)?;
    Ok(Micros(end.0.div_euclid(Micros::DAY) * Micros::DAY))
}

/// A public key on P-256.
struct PublicKey(Vec<u8>);

impl PublicKeyData for PublicKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

/// The key of a request, once its signature proves that the sender has it.
fn requested_key(request: &[u8]) -> Result<PublicKey, CertificateError> {
    let refused = CertificateError::Request;
    if request.len() > REQUEST_BYTES_MAX {
        return Err(refused("is too long"));
    }
    let (rest, parsed) = X509CertificationRequest::from_der(request).map_err(|_| refused("is no PKCS #10"))?;
    if !rest.is_empty() {
        return Err(refused("has bytes behind it"));
    }
    let info = &parsed.certification_request_info;
    let key = info.subject_pki.subject_public_key.data.to_vec();
    if key.len() != 65 || key.first() != Some(&4) {
        return Err(refused("is not for a key on P-256"));
    }
    let public = ring::signature::UnparsedPublicKey::new(&ring::signature::ECDSA_P256_SHA256_ASN1, &key);
    let signed = public.verify(info.raw, &parsed.signature_value.data);
    signed.map_err(|_| refused("is not signed by the key it is for"))?;
    Ok(PublicKey(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authority(now: Micros) -> Authority {
        let pair = KeyPair::generate().unwrap();
        let pem = params(now).unwrap().self_signed(&pair).unwrap().pem();
        Authority::new(pem, &pair.serialize_pem(), now).unwrap()
    }

    fn request(pair: &KeyPair) -> Vec<u8> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "root of all");
        params.serialize_request(pair).unwrap().der().to_vec()
    }

    #[test]
    fn a_certificate_is_for_the_host_whatever_the_request_says() {
        let now = Micros::from_secs(1_767_225_600);
        let (authority, host) = (authority(now), Uuid::now_v7());
        let wanted = request(&KeyPair::generate().unwrap());
        let signed = authority.sign(host, &wanted, now, 90 * Micros::DAY).unwrap();
        assert_eq!(shown(&CertificateDer::from(signed.der.clone())), Some((host, signed.serial.clone())));
        assert_eq!(signed.not_after, now + 90 * Micros::DAY);
        let again = authority.sign(host, &wanted, now, 90 * Micros::DAY).unwrap();
        assert_ne!(signed.serial, again.serial);
        rustls::crypto::ring::default_provider().install_default().ok();
        assert!(authority.tls(now).is_ok());
    }

    #[test]
    fn odd_requests_are_refused() {
        let now = Micros::from_secs(1_767_225_600);
        let authority = authority(now);
        let good = request(&KeyPair::generate().unwrap());
        let other = request(&KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap());
        let mut forged = good.clone();
        let last = forged.len() - 1;
        forged[last] ^= 1;
        let longer = [good.clone(), vec![0]].concat();
        for (wrong, why) in
            [(forged, "not signed"), (other, "P-256"), (longer, "behind"), (vec![0; 9_000], "long"), (vec![], "PKCS")]
        {
            let error = authority.sign(Uuid::nil(), &wrong, now, Micros::DAY).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
