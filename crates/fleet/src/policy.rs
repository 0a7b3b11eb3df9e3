//! What holds for a host: the policies of its groups, merged in order, and where each value comes from. Pure: a book is made
//! of what the catalog holds, and asked host by host.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use guardian_catalog::{Assignment, Host, HostGroup, Policy};
use guardian_expr::RecordFilter;
use guardian_model::Micros;
use guardian_protocol::policy::Document;
use serde_json::Value;
use uuid::Uuid;

use crate::groups::{group_filter, host_facts};

/// Reads what somebody wrote as a policy. What is wrong is said all at once, each with its place.
pub fn read_document(document: &Value) -> Result<Document, Vec<String>> {
    // Lists would be taken for objects whose members are in order.
    let list = document.as_object().into_iter().flatten().find(|(_, part)| !part.is_object());
    match list {
        _ if !document.is_object() => return Err(vec!["a policy is a JSON object".to_owned()]),
        Some((name, _)) => return Err(vec![format!("{name}: an object was expected")]),
        None => {}
    }
    // Names are said with the place that serde has lost by the time it fails.
    let read: Document = serde_json::from_value(document.clone()).map_err(|error| vec![located(document, &error)])?;
    let problems = read.problems();
    if problems.is_empty() { Ok(read) } else { Err(problems) }
}

fn located(document: &Value, error: &serde_json::Error) -> String {
    let parts = document.as_object().into_iter().flatten();
    let wrong = parts.filter(|(name, part)| {
        let alone = Value::Object([((*name).clone(), (*part).clone())].into_iter().collect());
        serde_json::from_value::<Document>(alone).is_err()
    });
    match wrong.map(|(name, _)| name.as_str()).next() {
        Some(name) => format!("{name}: {error}"),
        None => error.to_string(),
    }
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueOrigin {
    /// The policy.
    pub policy: Uuid,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: i32,
    /// The group that it is assigned to; none for every host.
    pub group: Option<String>,
}

/// What holds for a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effective {
    /// All policies as one.
    pub document: Document,
    /// The document as it is sent.
    pub text: String,
    /// BLAKE3 of that, in hexadecimal digits.
    pub hash: String,
    /// Where its values come from, by their dotted names; what is not named is the default.
    pub origins: BTreeMap<String, ValueOrigin>,
    /// Groups whose expression the host fits.
    pub matched: Vec<String>,
}

struct Group {
    name: String,
    filter: Option<RecordFilter>,
}

struct Entry {
    document: Document,
    origin: ValueOrigin,
    group: Option<Uuid>,
}

/// A tenant's groups and policies, ready to be asked.
pub struct Book {
    groups: BTreeMap<Uuid, Group>,
    entries: Vec<Entry>,
}

impl Book {
    /// Of what the catalog holds. A group or policy that cannot be read any more holds for nobody, and is told in the log.
    pub fn new(groups: &[HostGroup], policies: &[Policy], order: &[Assignment], now: Micros) -> Self {
        let read = |group: &HostGroup| {
            let filter = match &group.filter {
                None => None,
                Some(text) => match group_filter(text, now) {
                    Ok(filter) => Some(filter),
                    Err(error) => {
                        tracing::warn!(group = group.name, %error, "the expression of a group cannot be read");
                        return None;
                    }
                },
            };
            Some((group.id, Group { name: group.name.clone(), filter }))
        };
        let groups: BTreeMap<Uuid, Group> = groups.iter().filter_map(read).collect();
        let entry = |item: &Assignment| {
            let policy = policies.iter().find(|policy| policy.id == item.policy)?;
            let document = match read_document(&policy.document) {
                Ok(document) => document,
                Err(problems) => {
                    tracing::warn!(policy = policy.name, ?problems, "a policy cannot be read");
                    return None;
                }
            };
            let group = match item.group {
                None => None,
                Some(id) => Some(groups.get(&id)?.name.clone()),
            };
            let origin = ValueOrigin { policy: policy.id, name: policy.name.clone(), version: policy.version, group };
            Some(Entry { document, origin, group: item.group })
        };
        let entries = order.iter().filter_map(entry).collect();
        Self { groups, entries }
    }

    /// What holds for a host.
    pub fn effective(&self, host: &Host, now: Micros) -> Effective {
        let facts = host_facts(host, now);
        let fits = |group: &Group| match (&group.filter, &facts) {
            (Some(filter), Some(facts)) => filter.passes(facts),
            (Some(_), None) => false,
            (None, _) => host.groups.contains(&group.name),
        };
        let fitting: Vec<(&Uuid, &Group)> = self.groups.iter().filter(|(_, group)| fits(group)).collect();
        let mut document = Document::default();
        let mut origins = BTreeMap::new();
        for entry in &self.entries {
            if entry.group.is_some_and(|id| !fitting.iter().any(|(fitted, _)| **fitted == id)) {
                continue;
            }
            document.add(&entry.document);
            origins.extend(entry.document.said().into_iter().map(|(name, _)| (name, entry.origin.clone())));
        }
        // A struct of plain values always becomes text.
        let text = serde_json::to_string(&document).unwrap_or_default();
        let hash = HEXLOWER.encode(blake3::hash(text.as_bytes()).as_bytes());
        let by_filter = fitting.iter().filter(|(_, group)| group.filter.is_some());
        let mut matched: Vec<String> = by_filter.map(|(_, group)| group.name.clone()).collect();
        matched.sort();
        Effective { document, text, hash, origins, matched }
    }
}

#[cfg(test)]
mod tests {
    use guardian_model::TenantId;
    use serde_json::json;

    use super::*;
    use crate::groups::tests::host;

    fn policy(id: u128, name: &str, document: Value) -> Policy {
        Policy {
            id: Uuid::from_u128(id),
            tenant: TenantId::DEFAULT,
            name: name.into(),
            description: String::new(),
            document,
            author: "ann".into(),
            created: Micros(0),
            updated: Micros(0),
            version: 3,
        }
    }

    fn group(id: u128, name: &str, filter: Option<&str>) -> HostGroup {
        HostGroup {
            id: Uuid::from_u128(id),
            tenant: TenantId::DEFAULT,
            name: name.into(),
            description: String::new(),
            filter: filter.map(str::to_owned),
            author: "ann".into(),
            created: Micros(0),
            updated: Micros(0),
            version: 1,
        }
    }

    #[test]
    fn later_policies_of_a_hosts_groups_win_and_every_value_knows_its_origin() {
        let groups =
            [group(11, "shop", None), group(12, "debian", Some("os like debian*")), group(13, "db", Some("tag = db"))];
        let policies = [
            policy(1, "base", json!({"intervals": {"health_s": 60, "heartbeat_s": 30}, "sources": {"logs": false}})),
            policy(2, "web", json!({"intervals": {"health_s": 10}, "files": {"sets": {"web": {"roots": ["/srv"]}}}})),
            policy(3, "never", json!({"intervals": {"health_s": 1}})),
        ];
        let assigned = |policy: u128, group: Option<u128>| Assignment {
            policy: Uuid::from_u128(policy),
            group: group.map(Uuid::from_u128),
        };
        let order = [assigned(1, None), assigned(2, Some(12)), assigned(3, Some(13))];
        let book = Book::new(&groups, &policies, &order, Micros(0));
        let effective = book.effective(&host(&["web"], &["shop"]), Micros(0));
        assert_eq!(effective.document.intervals.health_s, Some(10));
        assert_eq!(effective.document.sources.logs, Some(false));
        assert_eq!(effective.matched, ["debian"]);
        let told: Vec<(&str, &str)> =
            effective.origins.iter().map(|(name, origin)| (name.as_str(), origin.name.as_str())).collect();
        let expected = [
            ("files.sets.web", "web"),
            ("intervals.health_s", "web"),
            ("intervals.heartbeat_s", "base"),
            ("sources.logs", "base"),
        ];
        assert_eq!(told, expected);
        assert_eq!(effective.origins["intervals.health_s"].group.as_deref(), Some("debian"));
        let back: Document = serde_json::from_str(&effective.text).unwrap();
        assert_eq!((back, effective.hash.len()), (effective.document, 64));
        let turned = Book::new(&groups, &policies, &[order[1].clone(), order[0].clone()], Micros(0));
        assert_eq!(turned.effective(&host(&[], &[]), Micros(0)).document.intervals.health_s, Some(60));
    }

    #[test]
    fn what_is_wrong_with_a_policy_is_said_with_its_place() {
        for (document, expected) in [
            (json!({"files": {"scan": 1}}), "files: unknown field `scan`"),
            (json!({"fils": {}}), "fils: unknown field `fils`, expected one of `sources`"),
            (json!({"intervals": {"health_s": "often"}}), "intervals: invalid type: string \"often\", expected u32"),
            (json!({"intervals": {"health_s": 0}}), "intervals.health_s: 0 is not from 1 to 86400"),
            (json!([]), "a policy is a JSON object"),
            (json!({"sources": [true]}), "sources: an object was expected"),
        ] {
            let told = read_document(&document).unwrap_err().join("; ");
            assert!(told.contains(expected), "{told}");
        }
    }
}
