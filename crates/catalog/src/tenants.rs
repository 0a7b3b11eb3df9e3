//! Tenants: customers, departments or site owners who never see each other.

use guardian_model::{Micros, TenantId};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use serde::{Deserialize, Serialize};

use crate::entity::tenant;
use crate::{CatalogError, Scoped};

/// A tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// Its short name in commands and URLs.
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// Since when.
    pub created: Micros,
}

impl From<tenant::Model> for Tenant {
    fn from(row: tenant::Model) -> Self {
        Self { id: TenantId(row.id), slug: row.slug, name: row.name, created: Micros(row.created) }
    }
}

impl Scoped<'_> {
    /// The tenants of the scope.
    pub async fn tenant_list(&self) -> Result<Vec<Tenant>, CatalogError> {
        let query = tenant::Entity::find().filter(tenant::Column::Id.is_in(self.tenants()));
        let rows = query.order_by_asc(tenant::Column::Created).all(self.conn()).await?;
        Ok(rows.into_iter().map(Tenant::from).collect())
    }
}
