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

/// Deadlines of the hosts with one tag or group, which hold in place of the others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Deadlines {
    /// The tag or group.
    pub label: String,
    /// Days until what is rated critical has to be fixed; 0 for no deadline, none for that of all hosts.
    pub critical_days: Option<u32>,
    /// The same for high.
    pub high_days: Option<u32>,
    /// The same for medium.
    pub medium_days: Option<u32>,
    /// The same for low.
    pub low_days: Option<u32>,
    /// The same for what is known to be exploited.
    pub exploited_days: Option<u32>,
}

impl Deadlines {
    const fn days(&self) -> [Option<u32>; 5] {
        [self.critical_days, self.high_days, self.medium_days, self.low_days, self.exploited_days]
    }
}

/// The deadlines of one host, in days; 0 for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms([u32; 5]);

impl Terms {
    /// Seconds that there are to fix it, from the day on which it was found; none for no deadline.
    pub(crate) fn seconds_to_fix(self, rating: Rating, exploited: bool) -> Option<i64> {
        let Self([critical, high, medium, low, used]) = self;
        let days = match rating {
            Rating::Critical => critical,
            Rating::High => high,
            // What nobody has rated yet waits no longer than what is in the middle.
            Rating::Medium | Rating::Unknown => medium,
            Rating::Low | Rating::None => low,
        };
        let exploited = exploited.then_some(used).filter(|days| *days > 0);
        let days = Some(days).filter(|days| *days > 0).into_iter().chain(exploited).min()?;
        Some(i64::from(days) * 86_400)
    }
}

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
    /// Deadlines of their own of hosts with a tag or group.
    pub deadlines: Vec<Deadlines>,
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
            deadlines: Vec::new(),
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
        let own = self.deadlines.iter().flat_map(Deadlines::days).flatten();
        if days.into_iter().chain(own).any(|days| days > DAYS_MAX) {
            return Some(format!("a deadline has at most {DAYS_MAX} days"));
        }
        let lists = [&self.critical_hosts, &self.minor_hosts, &self.internet_hosts];
        let odd = |label: &String| label.trim().is_empty() || label.chars().count() > 64;
        if lists.iter().any(|list| list.len() > LABELS_MAX || list.iter().any(odd)) {
            return Some(format!("at most {LABELS_MAX} tags and groups of at most 64 characters each"));
        }
        let mut named: Vec<&String> = self.deadlines.iter().map(|own| &own.label).collect();
        named.sort();
        if named.len() > LABELS_MAX || named.iter().any(|label| odd(label)) {
            return Some(format!("deadlines of at most {LABELS_MAX} tags and groups of at most 64 characters each"));
        }
        if let Some([label, _]) = named.windows(2).find(|two| two[0] == two[1]).and_then(|two| two.first_chunk::<2>()) {
            return Some(format!("`{label}` has deadlines twice"));
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
        if self.internet_label(labels).is_some() { Exposure::Internet } else { seen }
    }

    /// The tag or group by which people say that a host is reached from the internet.
    pub(crate) fn internet_label<'a>(&self, labels: &'a HostLabels) -> Option<&'a str> {
        let mut all = labels.tags.iter().chain(&labels.groups);
        all.find(|label| self.internet_hosts.contains(label)).map(String::as_str)
    }

    /// The deadlines of a host: those of its tags and groups where they have any, of several the soonest.
    pub(crate) fn terms(&self, labels: &HostLabels) -> Terms {
        let all = [self.critical_days, self.high_days, self.medium_days, self.low_days, self.exploited_days];
        let own: Vec<[Option<u32>; 5]> = self
            .deadlines
            .iter()
            .filter(|own| any(std::slice::from_ref(&own.label), labels))
            .map(Deadlines::days)
            .collect();
        let mut terms = all;
        for (at, days) in terms.iter_mut().enumerate() {
            // None is later than any day.
            let soonest =
                own.iter().filter_map(|own| own[at]).min_by_key(|days| if *days == 0 { u32::MAX } else { *days });
            *days = soonest.unwrap_or(*days);
        }
        Terms(terms)
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
        let host = |groups: &[&str]| HostLabels {
            host: uuid::Uuid::nil(),
            name: "one".into(),
            tags: vec![],
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        };
        let plain = settings.terms(&host(&[]));
        let days = |rating, exploited| plain.seconds_to_fix(rating, exploited).map(|s| s / 86_400);
        assert_eq!(days(Rating::Critical, false), Some(15));
        assert_eq!(days(Rating::Critical, true), Some(14));
        assert_eq!(days(Rating::Low, false), None);
        assert_eq!(days(Rating::Low, true), Some(14));
        assert!(FindingSettings { high_days: 9_999, ..settings.clone() }.problem().is_some());
        assert_eq!(settings.problem(), None);
        let own = |label: &str, critical_days, high_days| Deadlines {
            label: label.into(),
            critical_days,
            high_days,
            ..Deadlines::default()
        };
        let all = vec![own("web", Some(3), Some(0)), own("shop", Some(7), None)];
        let settings = FindingSettings { deadlines: all, ..settings };
        assert_eq!(settings.problem(), None);
        let days =
            |groups: &[&str], rating| settings.terms(&host(groups)).seconds_to_fix(rating, false).map(|s| s / 86_400);
        assert_eq!(days(&["web", "shop"], Rating::Critical), Some(3), "the soonest of its groups");
        assert_eq!(days(&["shop"], Rating::High), Some(30), "what a group does not say is as for all");
        assert_eq!(days(&["web"], Rating::High), None);
        assert_eq!(days(&["other"], Rating::Critical), Some(15));
        let twice = vec![own("web", None, None), own("web", Some(1), None)];
        assert!(FindingSettings { deadlines: twice, ..settings.clone() }.problem().is_some());
        assert!(FindingSettings { deadlines: vec![own("web", Some(9_999), None)], ..settings }.problem().is_some());
    }
}
