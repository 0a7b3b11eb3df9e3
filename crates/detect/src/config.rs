//! Configuration of detection. Every parameter and every limit of this crate is here, with its unit in the name.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::detectors::{BeaconingConfig, DnsTunnelConfig, LargeUploadConfig};

/// Detection: limits and the parameters of the behavioural detectors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DetectConfig {
    /// Most alerts open at the same time. When there are more, the least active one is closed early, and counted.
    pub open_alerts_max: usize,
    /// Most memory for evidence rows of open alerts, in bytes. Beyond it new rows are counted, not copied.
    pub evidence_bytes_max: usize,
    /// Least time between two updates of one alert, in seconds.
    pub update_interval_secs: u64,
    /// Most combinations of tenant, site and replay with detector state of their own.
    pub realms_max: usize,
    /// Most groups of all correlations together.
    pub correlation_groups_max: usize,
    /// Most external destinations per tenant and site whose rarity is remembered.
    pub destinations_max: usize,
    /// Ids of behavioural detectors that are off.
    pub disabled_detectors: Vec<String>,
    /// Parameters of the beaconing detector.
    pub beaconing: BeaconingConfig,
    /// Parameters of the detector of large uploads to rare destinations.
    pub large_upload: LargeUploadConfig,
    /// Parameters of the detector of DNS tunnels.
    pub dns_tunnel: DnsTunnelConfig,
}

impl Default for DetectConfig {
    fn default() -> Self {
        Self {
            open_alerts_max: 20_000,
            evidence_bytes_max: 64 << 20,
            update_interval_secs: 10,
            realms_max: 1_024,
            correlation_groups_max: 200_000,
            destinations_max: 100_000,
            disabled_detectors: Vec::new(),
            beaconing: BeaconingConfig::default(),
            large_upload: LargeUploadConfig::default(),
            dns_tunnel: DnsTunnelConfig::default(),
        }
    }
}
