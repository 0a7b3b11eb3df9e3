//! What happens before a scope is known, or beside all scopes: looking up who signs in, detection and reception storing
//! what they saw, state handed over a restart. Not for request handlers.

use guardian_model::{Scope, TenantId};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, DatabaseConnection, EntityTrait, QueryOrder};

use crate::entity::{state_blob, tenant};
use crate::text::clean;
use crate::{Actor, Catalog, CatalogError, Scoped, Tenant, Tx};

/// The catalog without a scope.
pub struct System<'a> {
    catalog: &'a Catalog,
}

impl<'a> System<'a> {
    pub(crate) fn new(catalog: &'a Catalog) -> Self {
        Self { catalog }
    }

    pub(crate) fn scoped(&self, scope: &Scope) -> Scoped<'a> {
        self.catalog.scoped(scope)
    }

    pub(crate) fn catalog(&self) -> &'a Catalog {
        self.catalog
    }

    pub(crate) fn read(&self) -> &'a DatabaseConnection {
        &self.catalog.inner.read
    }

    /// For rows that belong to no tenant or that no person decides about: session times, counters, state. What people
    /// decide goes through [`Tx`].
    pub(crate) fn write(&self) -> &'a DatabaseConnection {
        &self.catalog.inner.write
    }

    /// Every tenant there is.
    pub async fn tenants(&self) -> Result<Vec<Tenant>, CatalogError> {
        let rows = tenant::Entity::find().order_by_asc(tenant::Column::Created).all(self.read()).await?;
        Ok(rows.into_iter().map(Tenant::from).collect())
    }

    /// A scope of every tenant there is now.
    pub async fn everything(&self) -> Result<Scope, CatalogError> {
        Ok(Scope::of_all(self.tenants().await?.into_iter().map(|t| t.id)))
    }

    /// Begins a change of one tenant's data on behalf of Guardian itself or of the local operator, who may touch every
    /// tenant's accounts.
    pub async fn begin(&self, tenant: TenantId, actor: Actor) -> Result<Tx, CatalogError> {
        Tx::begin(self.catalog, self.everything().await?, tenant, actor).await
    }

    /// Keeps `data` under `name`, replacing what was there.
    pub async fn put_state(&self, name: &str, data: Vec<u8>) -> Result<(), CatalogError> {
        let row = state_blob::ActiveModel {
            name: Set(clean(name, 200)),
            data: Set(data),
            updated: Set(self.catalog.now().0),
        };
        let mut replace = OnConflict::column(state_blob::Column::Name);
        replace.update_columns([state_blob::Column::Data, state_blob::Column::Updated]);
        state_blob::Entity::insert(row).on_conflict(replace).exec_without_returning(self.write()).await?;
        Ok(())
    }

    /// What was last kept under `name`.
    pub async fn state(&self, name: &str) -> Result<Option<Vec<u8>>, CatalogError> {
        let row = state_blob::Entity::find_by_id(clean(name, 200)).one(self.read()).await?;
        Ok(row.map(|row| row.data))
    }
}
