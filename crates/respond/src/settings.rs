//! What a tenant can set about incidents; kept as a versioned setting.

use guardian_catalog::{CatalogError, Scoped};
use guardian_model::TenantId;
use serde::{Deserialize, Serialize};

use crate::correlate::CorrelationPolicy;
use crate::sla::SlaPolicy;

/// The setting's key.
pub const SETTINGS_KEY: &str = "incidents";

/// What a tenant can set about incidents.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IncidentSettings {
    /// Deadlines by severity.
    pub sla: SlaPolicy,
    /// Which alerts belong together.
    pub correlation: CorrelationPolicy,
}

impl IncidentSettings {
    /// The settings of a tenant and their version, 0 while they were never set.
    pub async fn load(scoped: &Scoped<'_>, tenant: TenantId) -> Result<(Self, i32), CatalogError> {
        match scoped.setting(tenant, SETTINGS_KEY).await? {
            // What an older version wrote and this one does not know falls back to the defaults.
            Some(setting) => Ok((serde_json::from_value(setting.value).unwrap_or_default(), setting.version)),
            None => Ok((Self::default(), 0)),
        }
    }

    /// What is wrong with them, if anything.
    pub fn problem(&self) -> Option<String> {
        self.sla.problem().or_else(|| self.correlation.problem())
    }
}
