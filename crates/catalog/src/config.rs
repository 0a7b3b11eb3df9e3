//! Where the catalog is kept, and its limits.

use std::path::Path;

use guardian_kit::config::{Duration, Secret};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// System of record: users, alerts, rules, exporters, the audit trail.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CatalogConfig {
    /// Database URL: `postgres://user:password@host/database`, or `sqlite:/path/to/file`. Empty means the file
    /// `catalog.sqlite` in the data directory.
    pub url: Secret,
    /// Connections for reading; writers have their own.
    pub read_connections: u32,
    /// Connections for writing to PostgreSQL. SQLite always writes through one.
    pub write_connections: u32,
    /// How long to wait for a free connection or a locked database before giving up.
    pub busy_timeout: Duration,
    /// How many entries of each tenant's change log are kept for clients that reconnect; older clients load afresh.
    pub change_log_entries_max: u64,
    /// How many exporters a tenant may have; further ones are counted but not listed.
    pub exporters_max: u64,
}

impl Default for CatalogConfig {
    fn default() -> Self {
        Self {
            url: Secret::default(),
            read_connections: 4,
            write_connections: 4,
            busy_timeout: Duration::secs(10),
            change_log_entries_max: 100_000,
            exporters_max: 10_000,
        }
    }
}

impl CatalogConfig {
    /// The URL to use, given the data directory.
    pub(crate) fn resolved_url(&self, data: &Path) -> String {
        let url = self.url.expose();
        if url.is_empty() { format!("sqlite:{}", data.join("catalog.sqlite").display()) } else { url.to_owned() }
    }
}

/// The URL with its password and parameters taken out, fit for messages.
pub(crate) fn redact(url: &str) -> String {
    let url = url.split('?').next().unwrap_or_default();
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if scheme + 3 <= at => {
            let user = url[scheme + 3..at].split(':').next().unwrap_or_default();
            format!("{}{user}{}", &url[..scheme + 3], &url[at..])
        }
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::redact;

    #[test]
    fn passwords_stay_out_of_messages() {
        for (url, shown) in [
            ("postgres://guardian:p@ss:word@db:5432/guardian?sslmode=require", "postgres://guardian@db:5432/guardian"),
            ("postgres://db/guardian?password=secret", "postgres://db/guardian"),
            ("sqlite:/var/lib/guardian/catalog.sqlite", "sqlite:/var/lib/guardian/catalog.sqlite"),
        ] {
            assert_eq!(redact(url), shown);
        }
    }
}
