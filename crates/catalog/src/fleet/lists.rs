//! What hosts have: one packed document for each list of a host, as it is now. What changed is noted in the same
//! transaction, until whoever makes events of it says that it has.

use guardian_model::{Micros, Scope, TenantId};
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, IntoActiveModel as _, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::software::SoftwareItem;
use crate::entity::{host, host_list};
use crate::text::clean;
use crate::{Actor, CatalogError, Scoped, System, Tx};

/// A list of a host, without what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostList {
    /// Whose.
    pub host: Uuid,
    /// Which: packages, services and so on.
    pub list: String,
    /// Its hash.
    pub hash: Vec<u8>,
    /// Number of entries.
    pub entries: u32,
    /// When the host was read, by its clock.
    pub read: Micros,
    /// When the list came.
    pub received: Micros,
    /// Random number of this row: the events of its changes are counted under it.
    pub epoch: u64,
    /// Counts its changes, from 1.
    pub revision: u64,
}

/// A list of a host with what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostListDocument {
    /// Which it is.
    pub list: HostList,
    /// The entries, packed.
    pub document: Vec<u8>,
    /// Changes that no events were made of yet.
    pub pending: Option<Vec<u8>>,
}

/// A list of a host as it is from now on.
#[derive(Clone, Debug)]
pub struct NewHostList {
    /// Whose.
    pub host: Uuid,
    /// Which.
    pub list: String,
    /// Its hash.
    pub hash: Vec<u8>,
    /// The hash of the one before, which must be the present one; none where there must be none.
    pub base: Option<Vec<u8>>,
    /// Number of entries.
    pub entries: u32,
    /// When the host was read, by its clock.
    pub read: Micros,
    /// The entries, packed.
    pub document: Vec<u8>,
    /// What changed, if events are to be made of it.
    pub pending: Option<Vec<u8>>,
    /// The software in it, where that is what is in it.
    pub software: Option<Vec<SoftwareItem>>,
}

impl From<host_list::Model> for HostListDocument {
    fn from(row: host_list::Model) -> Self {
        let list = HostList {
            host: row.host_id,
            list: row.list,
            hash: row.hash,
            entries: row.entries.unsigned_abs(),
            read: Micros(row.read_at),
            received: Micros(row.received),
            epoch: row.epoch.unsigned_abs(),
            revision: row.revision.unsigned_abs(),
        };
        Self { list, document: row.document, pending: row.pending }
    }
}

type Row = (Uuid, String, Vec<u8>, i32, i64, i64, i64, i64);

fn summary((host, list, hash, entries, read, received, epoch, revision): Row) -> HostList {
    HostList {
        host,
        list,
        hash,
        entries: entries.unsigned_abs(),
        read: Micros(read),
        received: Micros(received),
        epoch: epoch.unsigned_abs(),
        revision: revision.unsigned_abs(),
    }
}

/// Everything but the documents, which are long.
const SHORT: [host_list::Column; 8] = [
    host_list::Column::HostId,
    host_list::Column::List,
    host_list::Column::Hash,
    host_list::Column::Entries,
    host_list::Column::ReadAt,
    host_list::Column::Received,
    host_list::Column::Epoch,
    host_list::Column::Revision,
];

impl Scoped<'_> {
    /// The lists of a host, by name.
    pub async fn host_lists(&self, host: Uuid) -> Result<Vec<HostList>, CatalogError> {
        let query = self.select::<host_list::Entity>().filter(host_list::Column::HostId.eq(host));
        let rows: Vec<Row> = query
            .order_by_asc(host_list::Column::List)
            .select_only()
            .columns(SHORT)
            .into_tuple()
            .all(self.conn())
            .await?;
        Ok(rows.into_iter().map(summary).collect())
    }

    /// One list of a host, with what is in it.
    pub async fn host_list(&self, host: Uuid, list: &str) -> Result<HostListDocument, CatalogError> {
        let query = self.select::<host_list::Entity>().filter(host_list::Column::HostId.eq(host));
        let row = query.filter(host_list::Column::List.eq(clean(list, 64))).one(self.conn()).await?;
        row.map(HostListDocument::from).ok_or(CatalogError::NotFound("list of the inventory"))
    }
}

impl System<'_> {
    /// The lists of a host, whoever's it is: for the connection that shows its certificate.
    pub async fn host_lists(&self, host: Uuid) -> Result<Vec<HostList>, CatalogError> {
        let query = host_list::Entity::find().filter(host_list::Column::HostId.eq(host));
        let rows: Vec<Row> = query.select_only().columns(SHORT).into_tuple().all(self.read()).await?;
        Ok(rows.into_iter().map(summary).collect())
    }

    /// Lists of a host whose changes no events were made of yet.
    pub async fn pending_host_lists(&self, host: Uuid) -> Result<Vec<HostListDocument>, CatalogError> {
        let query = host_list::Entity::find().filter(host_list::Column::HostId.eq(host));
        let rows = query.filter(host_list::Column::Pending.is_not_null()).all(self.read()).await?;
        Ok(rows.into_iter().map(HostListDocument::from).collect())
    }

    /// One list of a host.
    pub async fn host_list(&self, host: Uuid, list: &str) -> Result<Option<HostListDocument>, CatalogError> {
        let row = host_list::Entity::find_by_id((host, list.to_owned())).one(self.read()).await?;
        Ok(row.map(HostListDocument::from))
    }

    /// Keeps what a host has from now on, and what changed. It is refused where the present list is not the one that the
    /// change began with, or its changes are still to be told.
    pub async fn keep_host_list(&self, tenant: TenantId, new: NewHostList) -> Result<HostList, CatalogError> {
        let mut tx = self.scoped(&Scope::of(tenant)).begin(tenant, Actor::system("fleet")).await?;
        let kept = tx.keep_host_list(new).await?;
        tx.commit_unlogged().await?;
        Ok(kept)
    }

    /// The changes of this revision were told.
    pub async fn settle_host_list(&self, host: Uuid, list: &str, revision: u64) -> Result<(), CatalogError> {
        use host_list::Column as C;
        let update = host_list::Entity::update_many().col_expr(C::Pending, Expr::value(Option::<Vec<u8>>::None));
        let mine = update.filter(C::HostId.eq(host)).filter(C::List.eq(list));
        mine.filter(C::Revision.eq(revision.cast_signed())).exec(self.write()).await?;
        Ok(())
    }
}

impl Tx {
    async fn keep_host_list(&mut self, new: NewHostList) -> Result<HostList, CatalogError> {
        use host_list::Column as C;
        let theirs = host::Entity::find_by_id(new.host).filter(host::Column::TenantId.eq(self.tenant().0));
        theirs.one(self.look()).await?.ok_or(CatalogError::NotFound("host"))?;
        let before = host_list::Entity::find_by_id((new.host, new.list.clone())).one(self.look()).await?;
        if before.as_ref().map(|row| &row.hash) != new.base.as_ref() {
            return Err(CatalogError::Conflict("the list is not the one that changed".into()));
        }
        if before.as_ref().is_some_and(|row| row.pending.is_some()) {
            return Err(CatalogError::Conflict("the changes before are still to be told".into()));
        }
        let fresh = || ((self.new_id().as_u128() & u128::from(u64::MAX >> 1)) as u64).cast_signed();
        let row = host_list::Model {
            host_id: new.host,
            list: new.list,
            tenant_id: self.tenant().0,
            hash: new.hash,
            entries: i32::try_from(new.entries).unwrap_or(i32::MAX),
            read_at: new.read.0,
            received: self.now().0,
            epoch: before.as_ref().map_or_else(fresh, |row| row.epoch),
            revision: before.as_ref().map_or(1, |row| row.revision + 1),
            document: new.document,
            pending: new.pending,
        };
        if let Some(software) = &new.software {
            self.keep_host_software(new.host, &row.list, software).await?;
        }
        let kept = HostListDocument::from(row.clone()).list;
        match before {
            None => {
                let insert = host_list::Entity::insert(row.into_active_model());
                let nobody_else = OnConflict::columns([C::HostId, C::List]).do_nothing().to_owned();
                insert.on_conflict(nobody_else).exec_without_returning(self.look()).await?;
            }
            Some(_) => {
                let update = host_list::ActiveModel {
                    hash: Set(row.hash),
                    entries: Set(row.entries),
                    read_at: Set(row.read_at),
                    received: Set(row.received),
                    revision: Set(row.revision),
                    document: Set(row.document),
                    pending: Set(row.pending),
                    ..Default::default()
                };
                let mine = host_list::Entity::update_many().set(update).filter(C::HostId.eq(kept.host));
                mine.filter(C::List.eq(kept.list.as_str())).exec(self.look()).await?;
            }
        }
        Ok(kept)
    }
}
