//! What is put side by side: lists of the inventory as hosts told them, and what the server knows of hosts as if it were
//! lists.

use guardian_catalog::{CatalogError, Host};
use guardian_findings::{Filter, HostFinding, Order};
use guardian_fleet::lists::compare::{Column, Entry};
use guardian_fleet::lists::{self, List, Sort};
use guardian_model::{Micros, Pseudonyms, Scope, TenantId};
use serde_json::{Value, json};

use super::super::host_policy::{self, HostPolicyState};
use super::super::vulnerabilities::{HostVulnerability, held, look};
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult};
use crate::state::ApiState;

/// Bytes of lists, before compression, that are laid side by side at once.
const BYTES_MAX: usize = 96 << 20;
/// Bytes of lists, before compression, that are looked through for what most hosts of a group have.
const GROUP_BYTES_MAX: usize = 512 << 20;
/// Vulnerabilities of one host that are compared.
const FINDINGS_MAX: usize = 50_000;

/// Lists of hosts, packed or made.
enum Lists {
    Packed(Vec<Option<Vec<u8>>>),
    Made(Vec<Option<Column>>),
}

/// What a list has of some hosts, and of a group.
pub(super) struct Asked<'a> {
    pub(super) state: &'a ApiState,
    pub(super) caller: &'a Caller,
    pub(super) tenant: TenantId,
    /// The hosts, in the order of the columns.
    pub(super) hosts: &'a [Host],
    /// Hosts of which one column says what most have.
    pub(super) group: Option<&'a [Host]>,
}

impl Asked<'_> {
    /// The columns of a list; none for hosts of which it is not known.
    pub(super) async fn columns(&self, sort: Sort, list: &str) -> ApiResult<Vec<Option<Column>>> {
        let own = self.lists(sort, list, self.hosts).await?;
        let group = match self.group {
            Some(hosts) => Some(self.lists(sort, list, hosts).await?),
            None => None,
        };
        let masks = self.caller.masks().cloned();
        let laid = tokio::task::spawn_blocking(move || {
            let mut columns = open(&sort, own, masks.as_deref())?;
            if let Some(group) = group {
                columns.push(most(&sort, group, masks.as_deref()));
            }
            Ok::<_, ApiError>(columns)
        });
        laid.await.map_err(ApiError::internal)?
    }

    async fn lists(&self, sort: Sort, list: &str, hosts: &[Host]) -> ApiResult<Lists> {
        Ok(match list {
            "facts" => {
                let now = self.state.clock.now();
                Lists::Made(hosts.iter().map(|host| Some(named(&sort, facts(host, now)))).collect())
            }
            "policy" => {
                let mut made = Vec::with_capacity(hosts.len());
                for host in hosts {
                    let (_, values) = host_policy::of_host(self.state, host).await?;
                    made.push(Some(named(&sort, values.into_iter().map(|one| (one.name, one.value)))));
                }
                Lists::Made(made)
            }
            "findings" => Lists::Made(self.findings(sort, hosts).await?),
            _ => {
                let scope = Scope::of(self.tenant);
                let catalog = self.state.catalog.scoped(&scope);
                let mut packed = Vec::with_capacity(hosts.len());
                for host in hosts {
                    packed.push(match catalog.host_list(host.id, list).await {
                        Ok(found) => Some(found.document),
                        Err(CatalogError::NotFound(_)) => None,
                        Err(error) => return Err(error.into()),
                    });
                }
                Lists::Packed(packed)
            }
        })
    }

    async fn findings(&self, sort: Sort, hosts: &[Host]) -> ApiResult<Vec<Option<Column>>> {
        let ids: Vec<_> = hosts.iter().map(|host| host.id).collect();
        let looked = look(self.state, self.tenant, move |view| {
            let of = |host| {
                let filter = Filter { host: Some(host), ..Filter::default() };
                let mut column = Column::default();
                let mut rows = held(view, &filter, Order::default(), FINDINGS_MAX)?;
                view.name_packages(&mut rows);
                rows.into_iter().for_each(|row| column.put(&sort, "", finding(row)));
                Ok::<_, CatalogError>(Some(column))
            };
            ids.into_iter().map(of).collect::<Result<Vec<_>, _>>()
        });
        Ok(looked.await??)
    }
}

fn finding(row: HostFinding) -> Entry {
    let row = HostVulnerability::from(row);
    let installed: Vec<Value> = row.installed.iter().map(|one| json!(one)).collect();
    let entry = json!({
        "vulnerability": row.vulnerability, "ecosystem": row.ecosystem, "package": row.package, "state": row.state,
        "risk": row.risk, "installed": installed, "first_seen": row.first_seen, "due": row.due,
    });
    object(entry)
}

fn object(value: Value) -> Entry {
    match value {
        Value::Object(entry) => entry,
        _ => Entry::new(),
    }
}

/// Values under their names.
fn named(sort: &Sort, all: impl IntoIterator<Item = (String, Value)>) -> Column {
    let mut column = Column::default();
    for (name, value) in all {
        column.put(sort, &name, object(json!({ "name": name, "value": value })));
    }
    column
}

/// What is known of a host beside its lists, but for what no two hosts have alike.
fn facts(host: &Host, now: Micros) -> Vec<(String, Value)> {
    let lost: u64 = host.health.lost.iter().map(|lost| lost.rows).fold(0, u64::saturating_add);
    let all = [
        ("status", json!(host.status(now).to_string())),
        ("platform", json!(host.platform)),
        ("os", json!(host.system)),
        ("kernel", json!(host.kernel)),
        ("architecture", json!(host.architecture)),
        ("agent", json!(host.agent.to_string())),
        ("agent_version", json!(host.program)),
        ("tags", json!(host.tags)),
        ("groups", json!(host.groups)),
        ("matched_groups", json!(host.matched)),
        ("policy_state", json!(HostPolicyState::new(host).state)),
        ("complaints", json!(host.health.complaints)),
        ("lost_rows", json!(lost)),
    ];
    all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Length of a packed list before compression, as it says.
fn length(packed: &[u8]) -> usize {
    packed.first_chunk::<4>().map_or(0, |length| u32::from_le_bytes(*length) as usize)
}

fn unpacked(sort: &Sort, packed: &[u8], masks: Option<&Pseudonyms>) -> ApiResult<Column> {
    let mut column = Column::default();
    for (key, entry) in List::open(packed).map_err(ApiError::internal)?.iter() {
        let mut entry: Value = serde_json::from_str(entry).map_err(ApiError::internal)?;
        // Names are compared as the caller sees them, so that nothing can be tried out.
        if let Some(masks) = masks {
            masks.value(&mut entry);
        }
        column.put(sort, key, object(entry));
    }
    Ok(column)
}

fn open(sort: &Sort, lists: Lists, masks: Option<&Pseudonyms>) -> ApiResult<Vec<Option<Column>>> {
    match lists {
        Lists::Made(columns) => Ok(columns),
        Lists::Packed(all) => {
            let bytes: usize = all.iter().flatten().map(|packed| length(packed)).sum();
            if bytes > BYTES_MAX {
                return Err(ApiError::invalid("these lists are too long to be put side by side: name fewer hosts"));
            }
            all.iter().map(|one| one.as_deref().map(|packed| unpacked(sort, packed, masks)).transpose()).collect()
        }
    }
}

/// What most hosts of a group have: one after the other, because they may be many. None where nobody has the list.
fn most(sort: &Sort, lists: Lists, masks: Option<&Pseudonyms>) -> Option<Column> {
    match lists {
        Lists::Made(columns) if columns.is_empty() => None,
        Lists::Made(columns) => Some(Column::of_most(sort, columns.into_iter().flatten())),
        Lists::Packed(all) => {
            let mut room = GROUP_BYTES_MAX;
            let fits = |packed: &&Vec<u8>| {
                let left = room.checked_sub(length(packed));
                room = left.unwrap_or(room);
                left.is_some()
            };
            let mut known = all.iter().flatten().filter(fits).peekable();
            known.peek()?;
            Some(Column::of_most(sort, known.filter_map(|packed| unpacked(sort, packed, masks).ok())))
        }
    }
}

/// The lists that any of the hosts has, in the order in which people want to see them.
pub(super) async fn names(asked: &Asked<'_>, findings: bool) -> ApiResult<Vec<String>> {
    let scope = Scope::of(asked.tenant);
    let catalog = asked.state.catalog.scoped(&scope);
    let mut told: Vec<String> = Vec::new();
    for host in asked.hosts {
        for list in catalog.host_lists(host.id).await? {
            if !told.contains(&list.list) {
                told.push(list.list);
            }
        }
    }
    let made = |name: &str| matches!(name, "facts" | "policy") || (name == "findings" && findings);
    let known = lists::SORTS.iter().map(|sort| sort.name);
    let mut names: Vec<String> =
        known.filter(|name| made(name) || told.iter().any(|list| list == name)).map(str::to_owned).collect();
    told.retain(|list| !names.contains(list));
    names.extend(told);
    Ok(names)
}
