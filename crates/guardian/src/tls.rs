//! TLS by a local certificate authority, made at the first start, so that the connection is encrypted and pinned from
//! the first minute; the operator's own certificate replaces it by configuration.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, bail};
use guardian_identity::{CertificateSettings, ClientName};
use guardian_kit::clock::Clock;
use guardian_model::Micros;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::Digest as _;

use crate::client_tls::ClientAuthorities;

/// With the day before today it makes a year: what Mozilla's guideline for servers allows, and less than the 398 days
/// beyond which browsers refuse.
const SERVER_DAYS: i64 = 364;
/// Age at which a start issues a new server certificate.
const RENEW_AFTER_DAYS: i64 = 300;
const CA_DAYS: i64 = 3_650;

/// Certificates of the web console and the API.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TlsConfig {
    /// PEM file with the server's certificate and its chain; empty uses the local authority.
    pub(crate) certificate: PathBuf,
    /// PEM file with the private key of `certificate`.
    pub(crate) key: PathBuf,
    /// Further names and addresses for the local authority's server certificate, beside localhost and the host name.
    pub(crate) names: Vec<String>,
    /// PEM file with the certificates of the authorities that people's certificates come from; with it browsers are asked
    /// for one, and come in without one as well. Empty asks nobody.
    pub(crate) client_ca: PathBuf,
    /// PEM file with the lists of what those authorities, and the ones below them, revoked; every one of them needs its
    /// list there. It is read again when it changes. Empty checks no revocation.
    pub(crate) client_crl: PathBuf,
    /// The name in a certificate by which its holder's account in the main tenant is found, beside the certificates that
    /// were added to accounts: the mail address (`email`), the user principal name of Active Directory (`upn`) or the
    /// common name (`common_name`), the same as the account's sign-in name or mail address.
    pub(crate) client_name: ClientName,
    /// Lets API keys and tokens in without the certificate that the role of their owner asks for.
    pub(crate) client_exempt_programs: bool,
}

impl TlsConfig {
    /// How client certificates are taken.
    pub(crate) fn certificates(&self) -> CertificateSettings {
        CertificateSettings { name: self.client_name, exempt_programs: self.client_exempt_programs }
    }
}

/// What the server needs, and what people should see of it.
pub(crate) struct ServerTls {
    pub(crate) config: Arc<rustls::ServerConfig>,
    /// PEM of the authority that clients pin; `None` with the operator's own certificate.
    pub(crate) ca_file: Option<PathBuf>,
    /// SHA-256 of the authority's certificate, colon-separated.
    pub(crate) fingerprint: Option<String>,
    /// The names that the certificate is for.
    pub(crate) names: Vec<String>,
    /// Where people's certificates come from, if they are taken.
    pub(crate) authorities: Option<Arc<ClientAuthorities>>,
}

/// Loads the operator's certificate, or makes and keeps local ones under `dir`.
pub(crate) fn server(config: &TlsConfig, dir: &Path, host: &str, clock: &Arc<dyn Clock>) -> Result<ServerTls> {
    let own = !config.certificate.as_os_str().is_empty();
    let (certificate, key, ca_file) = if own {
        if config.key.as_os_str().is_empty() {
            bail!("server.tls.certificate is set but server.tls.key is not: name the PEM file of its private key");
        }
        (config.certificate.clone(), config.key.clone(), None)
    } else {
        local(config, dir, host, clock.now())?
    };
    let chain = CertificateDer::pem_file_iter(&certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| anyhow!("cannot read the certificate {}: {e}", certificate.display()))?;
    let private =
        PrivateKeyDer::from_pem_file(&key).map_err(|e| anyhow!("cannot read the key {}: {e}", key.display()))?;
    let fingerprint = ca_file.as_deref().map(fingerprint).transpose()?;
    let names = chain.first().map(|leaf| names_of(leaf)).unwrap_or_default();
    let authorities = ClientAuthorities::open(config, Arc::clone(clock))?;
    let builder = rustls::ServerConfig::builder();
    let builder = match authorities.clone() {
        Some(authorities) => builder.with_client_cert_verifier(authorities),
        None => builder.with_no_client_auth(),
    };
    let mut tls = builder
        .with_single_cert(chain, private)
        .with_context(|| format!("{} and {} do not fit together", certificate.display(), key.display()))?;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    if authorities.is_some() {
        // A session that is resumed shows its certificate without being asked for it again.
        tls.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        tls.send_tls13_tickets = 0;
    }
    Ok(ServerTls { config: Arc::new(tls), ca_file, fingerprint, names, authorities })
}

/// The host names that a certificate is for; those with a wildcard say nothing of what this server is called.
fn names_of(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, parsed)) = x509_parser::parse_x509_certificate(certificate.as_ref()) else { return Vec::new() };
    let Ok(Some(alternatives)) = parsed.subject_alternative_name() else { return Vec::new() };
    let names = alternatives.value.general_names.iter().filter_map(|name| match name {
        x509_parser::extensions::GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    });
    names.filter(|name| !name.contains('*')).collect()
}

/// SHA-256 of a PEM certificate, as browsers show it.
pub(crate) fn fingerprint(pem: &Path) -> Result<String> {
    let der = CertificateDer::from_pem_file(pem).map_err(|e| anyhow!("cannot read {}: {e}", pem.display()))?;
    let hash = sha2::Sha256::digest(der.as_ref());
    Ok(hash.iter().map(|b| format!("{b:02X}")).collect::<Vec<_>>().join(":"))
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Issued {
    names: Vec<String>,
    at: Micros,
}

fn local(config: &TlsConfig, dir: &Path, host: &str, now: Micros) -> Result<(PathBuf, PathBuf, Option<PathBuf>)> {
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let [ca, ca_key, certificate, key, issued] =
        ["ca.pem", "ca.key", "server.pem", "server.key", "server.json"].map(|name| dir.join(name));
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    names.extend([host.to_owned()].into_iter().chain(config.names.iter().cloned()).filter(|n| !n.is_empty()));
    names.dedup();
    if !(ca.exists() && ca_key.exists()) {
        let pair = KeyPair::generate().context("cannot make a key")?;
        let certificate = ca_params(now)?.self_signed(&pair).context("cannot sign the local authority")?;
        write_private(&ca_key, &pair.serialize_pem())?;
        fs::write(&ca, certificate.pem()).with_context(|| format!("cannot write {}", ca.display()))?;
    }
    let known: Option<Issued> = fs::read_to_string(&issued).ok().and_then(|text| serde_json::from_str(&text).ok());
    let fresh = known.is_some_and(|k| k.names == names && now - k.at < RENEW_AFTER_DAYS * Micros::DAY);
    if !(fresh && certificate.exists() && key.exists()) {
        let ca_pem = fs::read_to_string(&ca_key).with_context(|| format!("cannot read {}", ca_key.display()))?;
        let ca_pair = KeyPair::from_pem(&ca_pem).with_context(|| format!("{} is not a key", ca_key.display()))?;
        let issuer = Issuer::new(ca_params(now)?, ca_pair);
        let pair = KeyPair::generate().context("cannot make a key")?;
        let signed = server_params(&names, now)?.signed_by(&pair, &issuer).context("cannot sign the certificate")?;
        write_private(&key, &pair.serialize_pem())?;
        fs::write(&certificate, signed.pem()).with_context(|| format!("cannot write {}", certificate.display()))?;
        fs::write(&issued, serde_json::to_string(&Issued { names, at: now })?)?;
    }
    Ok((certificate, key, Some(ca)))
}

fn ca_params(now: Micros) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, "Guardian local authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    valid(&mut params, now, CA_DAYS)?;
    Ok(params)
}

fn server_params(names: &[String], now: Micros) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(names.to_vec())
        .map_err(|e| anyhow!("server.tls.names holds something that is neither a host name nor an address: {e}"))?;
    params.distinguished_name.push(DnType::CommonName, "Guardian");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    valid(&mut params, now, SERVER_DAYS)?;
    Ok(params)
}

/// Valid from a day ago, so that clocks may differ, for this many days.
fn valid(params: &mut CertificateParams, now: Micros, days: i64) -> Result<()> {
    let date = |t: Micros| -> Result<_> {
        let day = jiff::Timestamp::from_microsecond(t.0)?.to_zoned(jiff::tz::TimeZone::UTC).date();
        Ok(rcgen::date_time_ymd(i32::from(day.year()), day.month() as u8, day.day() as u8))
    };
    params.not_before = date(now - Micros::DAY)?;
    params.not_after = date(now + days * Micros::DAY)?;
    Ok(())
}

/// Writes a file that only its owner may read.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<()> {
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use guardian_kit::clock::{Clock, SystemClock};

    use super::{TlsConfig, server};

    #[test]
    fn certificates_are_made_once_and_fit() {
        rustls::crypto::ring::default_provider().install_default().ok();
        let dir = tempfile::tempdir().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let first = server(&TlsConfig::default(), dir.path(), "host.example", &clock).unwrap();
        let served = std::fs::read(dir.path().join("server.pem")).unwrap();
        let again = server(&TlsConfig::default(), dir.path(), "host.example", &clock).unwrap();
        assert_eq!(first.fingerprint, again.fingerprint);
        assert_eq!(first.names, ["localhost", "host.example"], "names, not addresses");
        assert_eq!(served, std::fs::read(dir.path().join("server.pem")).unwrap());
        let named = TlsConfig { names: vec!["10.1.2.3".into()], ..Default::default() };
        server(&named, dir.path(), "host.example", &clock).unwrap();
        assert_ne!(served, std::fs::read(dir.path().join("server.pem")).unwrap(), "a new name needs a new certificate");
        let bad = TlsConfig { certificate: dir.path().join("none.pem"), ..Default::default() };
        assert!(server(&bad, dir.path(), "h", &clock).is_err());
    }
}
