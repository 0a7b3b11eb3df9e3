//! Which software is on which host. Each name, version and architecture has a number, and each list of a host is the
//! sorted numbers of its software as differences, about a byte and a half each: ten thousand hosts with two thousand
//! packages are thirty megabytes, and reading all of them answers any question in less time than an index would take to
//! keep.

use guardian_model::TenantId;
use hashbrown::HashMap;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QuerySelect};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::entity::{host, host_software, software};
use crate::text::{any_contains, clean};
use crate::tx::CHUNK;
use crate::{CatalogError, Scoped, Tx};

/// Most rows of software that one question looks at.
const LOOKED_AT_MAX: u64 = 500_000;
/// Most rows of a page.
pub const SOFTWARE_PAGE_MAX: u64 = 1_000;

/// Something installed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SoftwareItem {
    /// What manages it: dpkg, rpm, npm and so on.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its architecture.
    pub architecture: String,
    /// The source package it was built from.
    pub source: String,
    /// The version of that, where it differs.
    pub source_version: String,
    /// Who maintains or sells it.
    pub vendor: String,
    /// Its licences, separated by commas.
    pub licences: String,
}

impl SoftwareItem {
    fn digest(&self, tenant: TenantId) -> Vec<u8> {
        let mut hasher = blake3::Hasher::new();
        hasher.update(tenant.0.as_bytes());
        for part in [&self.kind, &self.name, &self.version, &self.architecture, &self.source, &self.source_version] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        hasher.finalize().as_bytes()[..16].to_vec()
    }
}

impl From<software::Model> for SoftwareItem {
    fn from(row: software::Model) -> Self {
        Self {
            kind: row.kind,
            name: row.name,
            version: row.version,
            architecture: row.architecture,
            source: row.source,
            source_version: row.source_version,
            vendor: row.vendor,
            licences: row.licences,
        }
    }
}

/// Which software.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SoftwareFilter {
    /// Whose name or source package contains this.
    pub search: Option<String>,
    /// What manages it.
    pub kind: Option<String>,
    /// Its whole name.
    pub name: Option<String>,
    /// Its whole version.
    pub version: Option<String>,
}

/// One version of a software, and how many hosts have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SoftwareVersion {
    /// The version.
    pub version: String,
    /// The architecture.
    pub architecture: String,
    /// How many hosts have it.
    pub hosts: u64,
}

/// One software of the fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetSoftware {
    /// What manages it.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Who maintains or sells it.
    pub vendor: String,
    /// Its licences.
    pub licences: String,
    /// How many hosts have any version of it.
    pub hosts: u64,
    /// Its versions, those that most hosts have first.
    pub versions: Vec<SoftwareVersion>,
}

/// The numbers as they are kept: sorted, each as its difference to the one before, seven bits a byte.
fn pack(mut numbers: Vec<u32>) -> Vec<u8> {
    numbers.sort_unstable();
    numbers.dedup();
    let (mut out, mut before) = (Vec::with_capacity(numbers.len() * 2), 0);
    for number in numbers {
        let mut n = number - before;
        before = number;
        while n >= 0x80 {
            out.push(n as u8 | 0x80);
            n >>= 7;
        }
        out.push(n as u8);
    }
    out
}

fn each(packed: &[u8], mut take: impl FnMut(u32)) {
    let (mut number, mut n, mut shift) = (0_u32, 0_u32, 0);
    for byte in packed {
        n |= u32::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            number = number.wrapping_add(n);
            take(number);
            (n, shift) = (0, 0);
        } else {
            shift = (shift + 7).min(28);
        }
    }
}

impl Tx {
    /// Keeps which software a list of a host names.
    pub(super) async fn keep_host_software(
        &mut self,
        host: Uuid,
        list: &str,
        items: &[SoftwareItem],
    ) -> Result<(), CatalogError> {
        use host_software::Column as C;
        let numbers = self.software_numbers(items).await?;
        let row = host_software::ActiveModel {
            host_id: Set(host),
            list: Set(list.to_owned()),
            tenant_id: Set(self.tenant().0),
            numbers: Set(pack(numbers)),
        };
        let replace = OnConflict::columns([C::HostId, C::List]).update_column(C::Numbers).to_owned();
        host_software::Entity::insert(row).on_conflict(replace).exec_without_returning(self.look()).await?;
        Ok(())
    }

    /// The number of each; those that are new get one.
    async fn software_numbers(&mut self, items: &[SoftwareItem]) -> Result<Vec<u32>, CatalogError> {
        let tenant = self.tenant();
        let mut by_digest: HashMap<Vec<u8>, &SoftwareItem> = items.iter().map(|i| (i.digest(tenant), i)).collect();
        let digests: Vec<Vec<u8>> = by_digest.keys().cloned().collect();
        let mut numbers = Vec::with_capacity(digests.len());
        for (digest, number) in self.known_software(&digests).await? {
            by_digest.remove(&digest);
            numbers.push(number);
        }
        let new: Vec<(Vec<u8>, &SoftwareItem)> = by_digest.into_iter().collect();
        for chunk in new.chunks(CHUNK) {
            let rows = chunk.iter().map(|(digest, item)| software::ActiveModel {
                tenant_id: Set(tenant.0),
                digest: Set(digest.clone()),
                kind: Set(clean(&item.kind, 32)),
                name: Set(clean(&item.name, 300)),
                version: Set(clean(&item.version, 200)),
                architecture: Set(clean(&item.architecture, 64)),
                source: Set(clean(&item.source, 300)),
                source_version: Set(clean(&item.source_version, 200)),
                vendor: Set(clean(&item.vendor, 300)),
                licences: Set(clean(&item.licences, 1_000)),
                ..Default::default()
            });
            software::Entity::insert_many(rows).exec_without_returning(self.look()).await?;
        }
        let digests: Vec<Vec<u8>> = new.into_iter().map(|(digest, _)| digest).collect();
        numbers.extend(self.known_software(&digests).await?.into_iter().map(|(_, number)| number));
        Ok(numbers)
    }

    async fn known_software(&self, digests: &[Vec<u8>]) -> Result<Vec<(Vec<u8>, u32)>, CatalogError> {
        use software::Column as C;
        let mut known = Vec::with_capacity(digests.len());
        for chunk in digests.chunks(CHUNK) {
            let query = software::Entity::find().filter(C::TenantId.eq(self.tenant().0));
            let rows: Vec<(Vec<u8>, i32)> = query
                .filter(C::Digest.is_in(chunk.iter().cloned()))
                .select_only()
                .columns([C::Digest, C::Id])
                .into_tuple()
                .all(self.look())
                .await?;
            known.extend(rows.into_iter().map(|(digest, number)| (digest, number.unsigned_abs())));
        }
        Ok(known)
    }
}

impl Scoped<'_> {
    async fn looked_for(&self, filter: &SoftwareFilter) -> Result<HashMap<u32, SoftwareItem>, CatalogError> {
        use software::Column as C;
        let mut query = self.select::<software::Entity>();
        if let Some(kind) = &filter.kind {
            query = query.filter(C::Kind.eq(clean(kind, 32)));
        }
        if let Some(name) = &filter.name {
            query = query.filter(C::Name.eq(clean(name, 300)));
        }
        if let Some(version) = &filter.version {
            query = query.filter(C::Version.eq(clean(version, 200)));
        }
        if let Some(search) = filter.search.as_deref().map(str::trim).filter(|s| !s.is_empty()) {
            query = query.filter(any_contains([C::Name, C::Source], search));
        }
        let rows = query.limit(LOOKED_AT_MAX).all(self.conn()).await?;
        Ok(rows.into_iter().map(|row| (row.id.unsigned_abs(), row.into())).collect())
    }

    /// The numbers of all hosts that are not shut out.
    async fn on_hosts(&self) -> Result<Vec<(Uuid, Vec<u8>)>, CatalogError> {
        let query = self.select::<host::Entity>().filter(host::Column::Revoked.is_null());
        let hosts: Vec<Uuid> = query.select_only().column(host::Column::Id).into_tuple().all(self.conn()).await?;
        let hosts: hashbrown::HashSet<Uuid> = hosts.into_iter().collect();
        let query = self.select::<host_software::Entity>().select_only();
        let columns = query.columns([host_software::Column::HostId, host_software::Column::Numbers]);
        let rows: Vec<(Uuid, Vec<u8>)> = columns.into_tuple().all(self.conn()).await?;
        Ok(rows.into_iter().filter(|(host, _)| hosts.contains(host)).collect())
    }

    /// The software of the fleet that some host has, by name, with how many hosts have it.
    pub async fn fleet_software(&self, filter: &SoftwareFilter) -> Result<Vec<FleetSoftware>, CatalogError> {
        let (known, hosts) = (self.looked_for(filter).await?, self.on_hosts().await?);
        let counted = tokio::task::spawn_blocking(move || count(known, hosts)).await;
        counted.map_err(|error| CatalogError::Config(format!("counting software failed: {error}")))
    }

    /// Hosts with software that fits, with what of it they have.
    pub async fn hosts_with_software(
        &self,
        filter: &SoftwareFilter,
    ) -> Result<Vec<(Uuid, Vec<SoftwareItem>)>, CatalogError> {
        let (known, hosts) = (self.looked_for(filter).await?, self.on_hosts().await?);
        let found = tokio::task::spawn_blocking(move || {
            let mut found: HashMap<Uuid, Vec<SoftwareItem>> = HashMap::new();
            for (host, packed) in hosts {
                each(&packed, |number| {
                    if let Some(item) = known.get(&number) {
                        found.entry(host).or_default().push(item.clone());
                    }
                });
            }
            found.into_iter().collect()
        });
        found.await.map_err(|error| CatalogError::Config(format!("looking for software failed: {error}")))
    }
}

/// Counts hosts by version, and hosts with any version.
fn count(known: HashMap<u32, SoftwareItem>, mut hosts: Vec<(Uuid, Vec<u8>)>) -> Vec<FleetSoftware> {
    let top = known.keys().max().map_or(0, |n| *n as usize + 1);
    let mut names: HashMap<(&str, &str), u32> = HashMap::new();
    // By number: which name it is of, from 1.
    let mut name_of = vec![0_u32; top];
    for (number, item) in &known {
        let next = names.len() as u32 + 1;
        name_of[*number as usize] = *names.entry((&item.kind, &item.name)).or_insert(next);
    }
    let (mut of_number, mut of_name) = (vec![0_u64; top], vec![0_u64; names.len() + 1]);
    let mut last = vec![u32::MAX; names.len() + 1];
    hosts.sort_unstable_by_key(|(host, _)| *host);
    let mut before = None;
    let mut at = 0_u32;
    for (host, packed) in &hosts {
        if before.replace(*host).is_some_and(|before| before != *host) {
            at += 1;
        }
        each(packed, |number| {
            let Some(&name) = name_of.get(number as usize).filter(|name| **name > 0) else { return };
            of_number[number as usize] += 1;
            if last[name as usize] != at {
                last[name as usize] = at;
                of_name[name as usize] += 1;
            }
        });
    }
    let mut found: HashMap<u32, FleetSoftware> = HashMap::new();
    for (number, item) in &known {
        let hosts = of_number[*number as usize];
        if hosts == 0 {
            continue;
        }
        let name = name_of[*number as usize];
        let software = found.entry(name).or_insert_with(|| FleetSoftware {
            kind: item.kind.clone(),
            name: item.name.clone(),
            vendor: item.vendor.clone(),
            licences: item.licences.clone(),
            hosts: of_name[name as usize],
            versions: Vec::new(),
        });
        software.versions.push(SoftwareVersion {
            version: item.version.clone(),
            architecture: item.architecture.clone(),
            hosts,
        });
    }
    let mut all: Vec<FleetSoftware> = found.into_values().collect();
    for software in &mut all {
        software.versions.sort_by(|a, b| (b.hosts, &b.version).cmp(&(a.hosts, &a.version)));
    }
    all.sort_by(|a, b| (&a.name, &a.kind).cmp(&(&b.name, &b.kind)));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_in_little_room() {
        let numbers: Vec<u32> = (0..2_000).map(|n| n * 40 + n % 7).chain([7, 7, u32::MAX / 2]).collect();
        let packed = pack(numbers.clone());
        assert!(packed.len() < 2_100, "{}", packed.len());
        let mut back = Vec::new();
        each(&packed, |n| back.push(n));
        let mut sorted = numbers;
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(back, sorted);
        each(&[0xff; 40], |_| {});
    }

    #[test]
    fn a_host_with_two_versions_counts_once() {
        let item = |version: &str| SoftwareItem {
            kind: "rpm".into(),
            name: "kernel".into(),
            version: version.into(),
            ..Default::default()
        };
        let known = HashMap::from_iter([(3, item("1")), (5, item("2")), (9, item("3"))]);
        let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let found = count(known, vec![(a, pack(vec![3, 5])), (b, pack(vec![5, 8])), (a, pack(vec![1]))]);
        assert_eq!((found.len(), found[0].hosts), (1, 2));
        let versions: Vec<_> = found[0].versions.iter().map(|v| (v.version.as_str(), v.hosts)).collect();
        assert_eq!(versions, [("2", 2), ("1", 1)]);
    }
}
