//! TLS by a local certificate authority, made at the first start, so that the connection is encrypted and pinned from
//! the first minute; the operator's own certificate replaces it by configuration. Either may change while the server
//! runs.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use axum_server::tls_rustls::RustlsConfig;
use guardian_identity::{CertificateSettings, ClientName};
use guardian_kit::capped::read_file_capped;
use guardian_kit::clock::Clock;
use guardian_kit::shutdown::Shutdown;
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
/// Age at which a new server certificate is issued.
const RENEW_AFTER_DAYS: i64 = 300;
const CA_DAYS: i64 = 3_650;
/// How often it is looked whether there is, or has to be, another certificate.
const LOOK: Duration = Duration::from_secs(10);
/// Largest certificate or key file.
const PEM_BYTES_MAX: u64 = 4 << 20;

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
    /// What it serves, now and later.
    pub(crate) certificates: Certificates,
    /// What it serves at the start.
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
    let authorities = ClientAuthorities::open(config, Arc::clone(clock))?;
    let mut certificates = Certificates {
        config: config.clone(),
        dir: dir.to_owned(),
        host: host.to_owned(),
        clock: Arc::clone(clock),
        authorities: authorities.clone(),
        last: None,
    };
    let served = certificates.look()?.ok_or_else(|| anyhow!("there is no certificate"))?;
    let ca_file = certificates.is_local().then(|| dir.join("ca.pem"));
    let fingerprint = ca_file.as_deref().map(fingerprint).transpose()?;
    let names = certificates.last.as_ref().map(|pems| names_of(&pems.certificate)).unwrap_or_default();
    Ok(ServerTls { certificates, config: served, ca_file, fingerprint, names, authorities })
}

/// A certificate with its chain, and its key, as the files hold them.
#[derive(PartialEq)]
struct Pems {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// Where the server's certificate comes from. A local one is renewed in time, and one that the operator replaced is taken
/// up, while the server runs.
pub(crate) struct Certificates {
    config: TlsConfig,
    dir: PathBuf,
    host: String,
    clock: Arc<dyn Clock>,
    authorities: Option<Arc<ClientAuthorities>>,
    /// What was last tried.
    last: Option<Pems>,
}

impl Certificates {
    fn is_local(&self) -> bool {
        self.config.certificate.as_os_str().is_empty()
    }

    /// What to serve from now on; none while nothing changed. What does not work is told once.
    fn look(&mut self) -> Result<Option<Arc<rustls::ServerConfig>>> {
        let (certificate, key) = if self.is_local() {
            local(&self.config, &self.dir, &self.host, self.clock.now())?
        } else if self.config.key.as_os_str().is_empty() {
            bail!("server.tls.certificate is set but server.tls.key is not: name the PEM file of its private key");
        } else {
            (self.config.certificate.clone(), self.config.key.clone())
        };
        let read = |what: &str, path: &Path| {
            read_file_capped(path, PEM_BYTES_MAX).map_err(|e| anyhow!("cannot read the {what} {}: {e}", path.display()))
        };
        let pems = Pems { certificate: read("certificate", &certificate)?, key: read("key", &key)? };
        if self.last.as_ref() == Some(&pems) {
            return Ok(None);
        }
        let pems = self.last.insert(pems);
        let chain = CertificateDer::pem_slice_iter(&pems.certificate)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| anyhow!("cannot read the certificate {}: {e}", certificate.display()))?;
        let private = PrivateKeyDer::from_pem_slice(&pems.key)
            .map_err(|e| anyhow!("cannot read the key {}: {e}", key.display()))?;
        let built = build(chain, private, self.authorities.clone());
        let built =
            built.with_context(|| format!("{} and {} do not fit together", certificate.display(), key.display()))?;
        Ok(Some(Arc::new(built)))
    }

    /// Looks now and then, and lets `serving` serve what is new to whoever connects from then on.
    pub(crate) fn follow(mut self, serving: RustlsConfig, shutdown: &Shutdown) {
        let shutdown = shutdown.clone();
        // Reading files and making keys blocks.
        tokio::task::spawn_blocking(move || {
            let mut told = None;
            while !shutdown.wait_timeout(LOOK) {
                match self.look() {
                    Ok(None) => told = None,
                    Ok(Some(config)) => {
                        told = None;
                        serving.reload_from_config(config);
                        tracing::info!("another server certificate is served from now on");
                    }
                    Err(error) => {
                        let error = format!("{error:#}");
                        if told.as_ref() != Some(&error) {
                            tracing::error!(error, "the server certificate stays the last one");
                            told = Some(error);
                        }
                    }
                }
            }
        });
    }
}

fn build(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    authorities: Option<Arc<ClientAuthorities>>,
) -> Result<rustls::ServerConfig, rustls::Error> {
    let builder = rustls::ServerConfig::builder();
    let asks = authorities.is_some();
    let builder = match authorities {
        Some(authorities) => builder.with_client_cert_verifier(authorities),
        None => builder.with_no_client_auth(),
    };
    let mut tls = builder.with_single_cert(chain, key)?;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    if asks {
        // A session that is resumed shows its certificate without being asked for it again.
        tls.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        tls.send_tls13_tickets = 0;
    }
    Ok(tls)
}

/// The host names that a certificate is for; those with a wildcard say nothing of what this server is called.
fn names_of(pem: &[u8]) -> Vec<String> {
    let Ok(certificate) = CertificateDer::from_pem_slice(pem) else { return Vec::new() };
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

/// The files of the local certificate and its key, made where they are missing, for other names, or too old.
fn local(config: &TlsConfig, dir: &Path, host: &str, now: Micros) -> Result<(PathBuf, PathBuf)> {
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
    Ok((certificate, key))
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

    use guardian_kit::clock::{Clock, ManualClock, SystemClock};
    use guardian_model::Micros;

    use super::{RENEW_AFTER_DAYS, SERVER_DAYS, TlsConfig, server};

    #[test]
    fn a_server_that_runs_for_years_never_serves_an_old_certificate() {
        rustls::crypto::ring::default_provider().install_default().ok();
        let dir = tempfile::tempdir().unwrap();
        let time = Arc::new(ManualClock::new(Micros::from_secs(1_767_225_600)));
        let clock: Arc<dyn Clock> = time.clone();
        let mut certificates = server(&TlsConfig::default(), dir.path(), "host", &clock).unwrap().certificates;
        let ca = std::fs::read(dir.path().join("ca.pem")).unwrap();
        let expiry = |pem: &[u8]| {
            let (_, pem) = x509_parser::pem::parse_x509_pem(pem).unwrap();
            Micros::from_secs(pem.parse_x509().unwrap().validity().not_after.timestamp())
        };
        let mut renewed = 0;
        for day in 1..=3 * 365 {
            time.advance(Micros::DAY);
            renewed += i64::from(certificates.look().unwrap().is_some());
            let served = expiry(&certificates.last.as_ref().unwrap().certificate);
            let left = (served - clock.now()) / Micros::DAY;
            assert!(left >= SERVER_DAYS - RENEW_AFTER_DAYS - 1, "{left} days left on day {day}");
        }
        assert_eq!(renewed, 3 * 365 / RENEW_AFTER_DAYS);
        assert_eq!(ca, std::fs::read(dir.path().join("ca.pem")).unwrap(), "what people trust stays");
    }

    #[test]
    fn a_replaced_certificate_is_taken_up_and_a_broken_one_is_not() {
        rustls::crypto::ring::default_provider().install_default().ok();
        let dir = tempfile::tempdir().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let own = TlsConfig {
            certificate: dir.path().join("own.pem"),
            key: dir.path().join("own.key"),
            ..TlsConfig::default()
        };
        let put = |name: &str| {
            let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
            std::fs::write(&own.certificate, made.cert.pem()).unwrap();
            std::fs::write(&own.key, made.signing_key.serialize_pem()).unwrap();
        };
        put("first.example");
        let tls = server(&own, dir.path(), "host", &clock).unwrap();
        assert_eq!((tls.names, tls.ca_file), (vec!["first.example".to_owned()], None));
        let mut certificates = tls.certificates;
        assert!(certificates.look().unwrap().is_none(), "nothing changed");
        put("second.example");
        let key = std::fs::read(&own.key).unwrap();
        std::fs::write(&own.key, "half a key").unwrap();
        assert!(certificates.look().is_err());
        assert!(certificates.look().unwrap().is_none(), "told once");
        std::fs::write(&own.key, key).unwrap();
        assert!(certificates.look().unwrap().is_some());
    }

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
