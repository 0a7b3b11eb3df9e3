//! Settings of the fleet. The doc comments become the configuration reference.

use guardian_kit::config::{ByteSize, Duration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Agents: how they are heard, and how many.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FleetConfig {
    /// How often agents say that they are there. A host counts as offline after three times this without a word.
    pub heartbeat: Duration,
    /// How long a certificate of an agent is valid; it is renewed when a third of that is left.
    pub certificate_life: Duration,
    /// Most bytes of evidence that is kept of the hosts of one tenant; what would be more is refused.
    pub evidence_bytes_max: ByteSize,
    /// Baselines of files that are kept of hosts.
    pub baselines: BaselineConfig,
    /// Most agents that may be connected at once.
    pub sessions_max: usize,
    /// Hosts that run osquery instead of the agent.
    pub osquery: OsqueryConfig,
}

/// Baselines of files: what each host's files were at which time, signed, so that who breaks into a host cannot rewrite that.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BaselineConfig {
    /// Baselines of one host whose files can be told; of older ones only their signed roots are kept. 0 fetches none.
    pub kept: usize,
    /// Most bytes that the baselines of one host may take; the oldest are given up for it.
    pub host_bytes_max: ByteSize,
}

impl Default for BaselineConfig {
    fn default() -> Self {
        Self { kept: 100, host_bytes_max: ByteSize::mib(256) }
    }
}

/// A listener for osquery's own programs, which know no other protocol. It is off unless an address is given.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OsqueryConfig {
    /// Address and port to listen on, such as `[::]:8444`; empty listens nowhere. The certificate is that of the console.
    pub address: String,
    /// How often nodes ask for questions, and bring what they logged.
    pub poll: Duration,
    /// Most connections at once; whoever comes beyond that is turned away.
    pub connections_max: usize,
    /// Which archives of files nodes may bring as evidence.
    pub carves: CarveRule,
    /// Longest archive that a node may bring; 4 GiB at most.
    pub carve_bytes_max: ByteSize,
}

/// Which archives of files nodes of osquery may bring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CarveRule {
    /// None: the listener does not know the requests.
    #[default]
    Off,
    /// Those that a live query of this server asked for, within the last day.
    Asked,
    /// Any, also what a schedule of the node or somebody on the machine asked for.
    Any,
}

impl Default for OsqueryConfig {
    fn default() -> Self {
        Self {
            address: String::new(),
            poll: Duration::secs(10),
            connections_max: 4_096,
            carves: CarveRule::Off,
            carve_bytes_max: ByteSize::gib(1),
        }
    }
}

impl Default for FleetConfig {
    fn default() -> Self {
        Self {
            heartbeat: Duration::secs(30),
            certificate_life: Duration::days(90),
            evidence_bytes_max: ByteSize::gib(64),
            baselines: BaselineConfig::default(),
            sessions_max: 20_000,
            osquery: OsqueryConfig::default(),
        }
    }
}
