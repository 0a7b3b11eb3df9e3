//! The configuration of the program: one section a component, each declared in its own crate.

use std::path::PathBuf;

use guardian_catalog::CatalogConfig;
use guardian_detect::DetectConfig;
use guardian_findings::FindingsConfig;
use guardian_fleet::FleetConfig;
use guardian_identity::IdentityConfig;
use guardian_intel::IntelConfig;
use guardian_kit::config::{ConfigErrors, Loaded, Sources};
use guardian_kit::egress::EgressConfig;
use guardian_kit::logging::LogConfig;
use guardian_lake::LakeConfig;
use guardian_notify::NotifyConfig;
use guardian_pipeline::CollectConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::command::Global;
use crate::tls::TlsConfig;

/// Everything that can be configured in the file. What tenants edit (rules, users) is kept in the catalog instead.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Directory that holds everything Guardian keeps.
    pub(crate) data: PathBuf,
    /// Web console and API.
    pub(crate) server: ServerConfig,
    /// Where flows come from.
    pub(crate) collect: CollectConfig,
    /// Agents on hosts.
    pub(crate) fleet: FleetConfig,
    /// What is wrong with what hosts have.
    pub(crate) vulnerabilities: FindingsConfig,
    /// What is added to flows.
    pub(crate) enrich: IntelConfig,
    /// Where telemetry is stored.
    pub(crate) lake: LakeConfig,
    /// Users, alerts, rules, audit.
    pub(crate) catalog: CatalogConfig,
    /// What the detection engine holds, and the behavioural detectors.
    pub(crate) detect: DetectConfig,
    /// Sign-in, sessions and keys.
    pub(crate) identity: IdentityConfig,
    /// What people and programs are told, by mail and webhook.
    pub(crate) notify: NotifyConfig,
    /// Requests to other systems.
    pub(crate) egress: EgressConfig,
    /// Messages that the program writes.
    pub(crate) log: LogConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: PathBuf::from("data"),
            server: ServerConfig::default(),
            collect: CollectConfig::default(),
            fleet: FleetConfig::default(),
            vulnerabilities: FindingsConfig::default(),
            enrich: IntelConfig::default(),
            lake: LakeConfig::default(),
            catalog: CatalogConfig::default(),
            detect: DetectConfig::default(),
            identity: IdentityConfig::default(),
            notify: NotifyConfig::default(),
            egress: EgressConfig::default(),
            log: LogConfig::default(),
        }
    }
}

/// Web console and API.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ServerConfig {
    /// Address and port to serve HTTPS on; `[::]` takes IPv4 and IPv6.
    pub(crate) address: String,
    /// The address that people type, such as `https://guardian.example.com`: passkeys are made for its name, and links in
    /// messages and answers of other systems lead there. Empty takes the name that the browser asked for, if the server's
    /// certificate has it.
    pub(crate) public_url: String,
    /// Certificates.
    pub(crate) tls: TlsConfig,
    /// Answer `/metrics` without a key, for Prometheus servers in a trusted network.
    pub(crate) metrics_public: bool,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            address: "[::]:8443".to_owned(),
            public_url: String::new(),
            tls: TlsConfig::default(),
            metrics_public: false,
        }
    }
}

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the configuration cannot be used:\n{0}")]
pub(crate) struct ConfigError(pub(crate) ConfigErrors);

/// Variables with our prefix that are no configuration keys.
const NO_KEYS: &[&str] = &[
    "GUARDIAN_CONFIG",
    "GUARDIAN_SERVER",
    "GUARDIAN_TOKEN",
    "GUARDIAN_CA",
    "GUARDIAN_NVD_KEY",
    "GUARDIAN_REGISTRY_USER",
    "GUARDIAN_REGISTRY_PASSWORD",
];

/// Where the values come from: file, environment, flags.
pub(crate) fn sources(global: &Global) -> anyhow::Result<Sources> {
    let mut sources = Sources::from_env();
    sources.env_ignore = NO_KEYS.iter().map(|k| (*k).to_owned()).collect();
    sources.env_ignore.extend(sources.env.iter().map(|(k, _)| k.clone()).filter(|k| k.starts_with("GUARDIAN_TEST_")));
    let data = global.data.clone().unwrap_or_else(|| PathBuf::from("data"));
    let usual = data.join("guardian.yaml");
    sources.file = global.config.clone().or_else(|| usual.exists().then_some(usual));
    if let Some(data) = &global.data {
        sources.overrides.push(("data".to_owned(), data.display().to_string()));
    }
    for text in &global.overrides {
        let Some((key, value)) = text.split_once('=') else {
            anyhow::bail!("--set {text}: give it as KEY=VALUE, such as --set lake.keep=30d");
        };
        sources.overrides.push((key.trim().to_owned(), value.to_owned()));
    }
    Ok(sources)
}

/// Reads the configuration.
pub(crate) fn load(global: &Global) -> anyhow::Result<Loaded<Config>> {
    let mut loaded = guardian_kit::config::load::<Config>(&sources(global)?).map_err(ConfigError)?;
    let config = &mut loaded.value;
    if config.lake.dir == LakeConfig::default().dir {
        config.lake.dir = config.data.join("lake");
    }
    Ok(loaded)
}
