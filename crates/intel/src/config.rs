//! What an operator can set about intelligence.

use std::path::PathBuf;

use guardian_kit::config::Duration;
use guardian_model::Severity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::prefix::Prefix;

/// What is known about addresses: geography, networks of your own, lists of bad addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct IntelConfig {
    /// MMDB files, or directories with such files, that tell country, city and autonomous system (GeoLite2, DB-IP,
    /// IPinfo and ip-location-db are understood). What a file can tell is found out by itself; the first file that
    /// knows an answer wins.
    pub geo: Vec<PathBuf>,
    /// Your own networks. They decide what is inbound, outbound, internal or external; without any, the direction
    /// stays empty.
    pub home_networks: Vec<Prefix>,
    /// Lists of indicators: addresses and networks that flows are held against.
    pub indicators: Vec<IndicatorList>,
    /// How often changed files are looked for and read again.
    pub reload_interval: Duration,
}

impl Default for IntelConfig {
    fn default() -> Self {
        Self {
            geo: Vec::new(),
            home_networks: home_networks(),
            indicators: Vec::new(),
            reload_interval: Duration::secs(60),
        }
    }
}

/// RFC 1918, RFC 4193, link-local and loopback.
fn home_networks() -> Vec<Prefix> {
    let nets = [
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "127.0.0.0/8",
        "fc00::/7",
        "fe80::/10",
        "::1",
    ];
    nets.iter().filter_map(|net| net.parse().ok()).collect()
}

/// A file with indicators.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IndicatorList {
    /// The name that flows on the list carry in the column `indicator`.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// How the file is written.
    #[serde(default)]
    pub format: ListFormat,
    /// The CSV column with the address: its name in the header line, or its number counted from 1 where there is no
    /// header.
    #[serde(default = "first_column")]
    pub column: String,
    /// How bad it is to meet one of these. Where an address is on several lists, the most severe one is named, and
    /// among equals the one listed first.
    #[serde(default = "medium")]
    #[schemars(with = "SeverityName")]
    pub severity: Severity,
}

fn first_column() -> String {
    "1".to_owned()
}

fn medium() -> Severity {
    Severity::Medium
}

/// How a list is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ListFormat {
    /// One address, network or range a line; what follows a blank, `#` or `;` is a comment.
    #[default]
    Plain,
    /// Comma-separated values; lines that begin with `#` are comments.
    Csv,
}

/// The names of [`Severity`], for the schema.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(dead_code, reason = "only its schema is used")]
enum SeverityName {
    Informational,
    Low,
    Medium,
    High,
    Critical,
}

#[cfg(test)]
mod tests {
    use guardian_kit::config::{Sources, load};

    use super::*;

    #[test]
    fn reads_what_the_manual_shows() {
        let yaml = "
geo: [/var/lib/GeoLite2-City.mmdb]
home_networks: [10.0.0.0/8, 203.0.113.0/24]
indicators:
  - {name: drop, path: /etc/drop.txt, severity: high}
  - {name: feodo, path: /etc/feodo.csv, format: csv, column: dst_ip}
";
        let sources = Sources { text: Some(("t".to_owned(), yaml.to_owned())), ..Sources::default() };
        let config = load::<IntelConfig>(&sources).unwrap().value;
        assert_eq!(config.home_networks[1].to_string(), "203.0.113.0/24");
        assert_eq!(config.indicators[0].severity, Severity::High);
        assert_eq!((config.indicators[1].format, &*config.indicators[1].column), (ListFormat::Csv, "dst_ip"));
        assert_eq!(IntelConfig::default().home_networks.len(), 8);
    }
}
