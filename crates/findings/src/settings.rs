//! What a tenant sets about vulnerabilities: deadlines, what its hosts are worth, and who may approve exceptions.

use guardian_catalog::{CatalogError, HostLabels, Scoped};
use guardian_model::TenantId;
use guardian_vuln::cvss::Rating;
use guardian_vuln::risk::{Criticality, Exposure};
use serde::{Deserialize, Serialize};

/// The key under which the catalog keeps them.
pub const SETTINGS_KEY: &str = "vulnerabilities";

/// Names of tags and groups in one list.
const LABELS_MAX: usize = 200;
/// The longest deadline, in days.
const DAYS_MAX: u32 = 3_650;

/// The settings of one tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FindingSettings {
    /// Days until what is rated critical has to be fixed; 0 for no deadline.
    pub critical_days: u32,
    /// The same for high.
    pub high_days: u32,
    /// The same for medium.
    pub medium_days: u32,
    /// The same for low.
    pub low_days: u32,
    /// Days until what is known to be exploited has to be fixed, where that is sooner; 0 for no deadline.
    pub exploited_days: u32,
    /// Tags and groups of hosts on which others depend.
    pub critical_hosts: Vec<String>,
    /// Tags and groups of hosts that nobody would miss for a day.
    pub minor_hosts: Vec<String>,
    /// Tags and groups of hosts that are reached from the internet by a way that they do not see themselves.
    pub internet_hosts: Vec<String>,
    /// Whether somebody may approve an exception that they asked for themselves.
    pub own_approval: bool,
}

impl Default for FindingSettings {
    fn default() -> Self {
        Self {
            critical_days: 15,
            high_days: 30,
            medium_days: 90,
            low_days: 180,
            exploited_days: 14,
            critical_hosts: vec!["critical".to_owned()],
            minor_hosts: vec!["test".to_owned()],
            internet_hosts: vec!["internet".to_owned()],
            own_approval: false,
        }
    }
}

impl FindingSettings {
    /// What a tenant has set, with the version of that; the defaults are version 0.
    pub async fn load(scoped: &Scoped<'_>, tenant: TenantId) -> Result<(Self, i32), CatalogError> {
        match scoped.setting(tenant, SETTINGS_KEY).await? {
            None => Ok((Self::default(), 0)),
            Some(setting) => {
                let read = serde_json::from_value(setting.value);
                let settings = read.map_err(|e| CatalogError::Invalid(format!("settings of vulnerabilities: {e}")))?;
                Ok((settings, setting.version))
            }
        }
    }

    /// What is wrong with them, if anything is.
    pub fn problem(&self) -> Option<String> {
        let days = [self.critical_days, self.high_days, self.medium_days, self.low_days, self.exploited_days];
        if days.iter().any(|days| *days > DAYS_MAX) {
            return Some(format!("a deadline has at most {DAYS_MAX} days"));
        }
        let lists = [&self.critical_hosts, &self.minor_hosts, &self.internet_hosts];
        let odd = |label: &String| label.trim().is_empty() || label.chars().count() > 64;
        if lists.iter().any(|list| list.len() > LABELS_MAX || list.iter().any(odd)) {
            return Some(format!("at most {LABELS_MAX} tags and groups of at most 64 characters each"));
        }
        None
    }

    /// What a host is worth; what is named in both lists is critical.
    pub fn criticality(&self, labels: &HostLabels) -> Criticality {
        if any(&self.critical_hosts, labels) {
            Criticality::High
        } else if any(&self.minor_hosts, labels) {
            Criticality::Low
        } else {
            Criticality::Medium
        }
    }

    /// From where a host can be reached, with what people know of it.
    pub fn exposure(&self, labels: &HostLabels, seen: Exposure) -> Exposure {
        if any(&self.internet_hosts, labels) { Exposure::Internet } else { seen }
    }

    /// Seconds that there are to fix it, from the day on which it was found; none for no deadline.
    pub fn seconds_to_fix(&self, rating: Rating, exploited: bool) -> Option<i64> {
        let days = match rating {
            Rating::Critical => self.critical_days,
            Rating::High => self.high_days,
            // What nobody has rated yet waits no longer than what is in the middle.
            Rating::Medium | Rating::Unknown => self.medium_days,
            Rating::Low | Rating::None => self.low_days,
        };
        let exploited = exploited.then_some(self.exploited_days).filter(|days| *days > 0);
        let days = Some(days).filter(|days| *days > 0).into_iter().chain(exploited).min()?;
        Some(i64::from(days) * 86_400)
    }
}

fn any(list: &[String], labels: &HostLabels) -> bool {
    labels.tags.iter().chain(&labels.groups).any(|label| list.contains(label))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sooner_deadline_counts() {
        let settings = FindingSettings { low_days: 0, ..FindingSettings::default() };
        let days = |rating, exploited| settings.seconds_to_fix(rating, exploited).map(|s| s / 86_400);
        assert_eq!(days(Rating::Critical, false), Some(15));
        assert_eq!(days(Rating::Critical, true), Some(14));
        assert_eq!(days(Rating::Low, false), None);
        assert_eq!(days(Rating::Low, true), Some(14));
        assert!(FindingSettings { high_days: 9_999, ..settings.clone() }.problem().is_some());
        assert_eq!(settings.problem(), None);
    }
}
