//! Reading what a scope owns. Every query of this handle starts from [`Scoped::select`], which carries the tenant
//! filter; there is no way to a row of another tenant.

use guardian_model::{Scope, TenantId};
use sea_orm::{ColumnTrait, DatabaseConnection, QueryFilter, Select};
use uuid::Uuid;

use crate::entity::TenantOwned;
use crate::{Actor, Catalog, CatalogError, Tx};

/// What the tenants of one scope own.
pub struct Scoped<'a> {
    catalog: &'a Catalog,
    scope: Scope,
}

impl<'a> Scoped<'a> {
    pub(crate) fn new(catalog: &'a Catalog, scope: Scope) -> Self {
        Self { catalog, scope }
    }

    /// The scope this handle was made for.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Begins a change of one tenant's data. The caller has authorised `actor`; a tenant outside the scope does not
    /// exist here.
    pub async fn begin(&self, tenant: TenantId, actor: Actor) -> Result<Tx, CatalogError> {
        Tx::begin(self.catalog, self.scope.clone(), tenant, actor).await
    }

    pub(crate) fn catalog(&self) -> &'a Catalog {
        self.catalog
    }

    pub(crate) fn conn(&self) -> &'a DatabaseConnection {
        &self.catalog.inner.read
    }

    /// The tenants as the columns hold them.
    pub(crate) fn tenants(&self) -> impl Iterator<Item = Uuid> + '_ {
        self.scope.tenants().iter().map(|t| t.0)
    }

    /// A query for rows of the scope's tenants.
    pub(crate) fn select<E: TenantOwned>(&self) -> Select<E> {
        E::find().filter(E::tenant_column().is_in(self.tenants()))
    }

    /// Refuses a tenant that is not in the scope.
    pub(crate) fn require(&self, tenant: TenantId) -> Result<(), CatalogError> {
        if self.scope.contains(tenant) { Ok(()) } else { Err(CatalogError::NotFound("tenant")) }
    }
}
