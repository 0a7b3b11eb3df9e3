//! Tenants: customers, departments or site owners who never see each other.

use guardian_model::{Micros, TenantId};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::entity::{membership, tenant};
use crate::store::tenant_row;
use crate::text::clean;
use crate::tx::{Audit, Change};
use crate::{Action, CatalogError, Scoped, Subject, System, Tx};

/// Most tenants of an installation.
pub const TENANTS_MAX: u64 = 10_000;

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
    /// Whether nobody may work in it.
    pub disabled: bool,
    /// Grows by one with every change.
    pub version: i32,
}

/// What to change of a tenant; absent fields stay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TenantChange {
    /// A new short name.
    pub slug: Option<String>,
    /// A new name for people.
    pub name: Option<String>,
    /// Whether nobody may work in it.
    pub disabled: Option<bool>,
}

impl From<tenant::Model> for Tenant {
    fn from(row: tenant::Model) -> Self {
        Self {
            id: TenantId(row.id),
            slug: row.slug,
            name: row.name,
            created: Micros(row.created),
            disabled: row.disabled,
            version: row.version,
        }
    }
}

fn slug_checked(slug: &str) -> Result<&str, CatalogError> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if slug.is_empty() || slug.len() > 40 || !slug.chars().all(fits) {
        return Err(CatalogError::Invalid(
            "a tenant's short name is 1 to 40 lower-case letters, digits and dashes".into(),
        ));
    }
    Ok(slug)
}

fn name_checked(name: &str) -> Result<String, CatalogError> {
    let name = clean(name.trim(), 200);
    if name.is_empty() { Err(CatalogError::Invalid("a tenant needs a name".into())) } else { Ok(name) }
}

impl Scoped<'_> {
    /// The tenants of the scope.
    pub async fn tenant_list(&self) -> Result<Vec<Tenant>, CatalogError> {
        let query = tenant::Entity::find().filter(tenant::Column::Id.is_in(self.tenants()));
        let rows = query.order_by_asc(tenant::Column::Created).all(self.conn()).await?;
        Ok(rows.into_iter().map(Tenant::from).collect())
    }

    /// How many members each tenant of the scope has.
    pub async fn tenant_members(&self) -> Result<Vec<(TenantId, u64)>, CatalogError> {
        let rows: Vec<(uuid::Uuid, i64)> = self
            .select::<membership::Entity>()
            .select_only()
            .column(membership::Column::TenantId)
            .column_as(membership::Column::UserId.count(), "members")
            .group_by(membership::Column::TenantId)
            .into_tuple()
            .all(self.conn())
            .await?;
        Ok(rows.into_iter().map(|(id, n)| (TenantId(id), Ord::max(n, 0) as u64)).collect())
    }
}

impl System<'_> {
    /// The tenant with this short name.
    pub async fn tenant_by_slug(&self, slug: &str) -> Result<Option<Tenant>, CatalogError> {
        let query = tenant::Entity::find().filter(tenant::Column::Slug.eq(clean(slug, 40)));
        Ok(query.one(self.read()).await?.map(Tenant::from))
    }

    /// Makes a tenant. `slug` is its short name: 1 to 40 lower-case letters, digits and dashes.
    pub async fn create_tenant(&self, actor: crate::Actor, slug: &str, name: &str) -> Result<Tenant, CatalogError> {
        let mut tx = self.begin(TenantId::DEFAULT, actor).await?;
        let made = tx.create_tenant(slug, name).await?;
        tx.commit().await?;
        Ok(made)
    }
}

impl Tx {
    /// Makes a tenant; recorded in this transaction's tenant, which is the installation's own.
    pub async fn create_tenant(&mut self, slug: &str, name: &str) -> Result<Tenant, CatalogError> {
        let (slug, name) = (slug_checked(slug)?.to_owned(), name_checked(name)?);
        self.refuse_other_tenants()?;
        self.refuse_taken_slug(&slug).await?;
        if tenant::Entity::find().count(self.look()).await? >= TENANTS_MAX {
            return Err(CatalogError::Conflict(format!("an installation has at most {TENANTS_MAX} tenants")));
        }
        let made = Tenant { id: TenantId(self.new_id()), slug, name, created: self.now(), disabled: false, version: 1 };
        let row = tenant_row(made.id, &made.slug, &made.name, self.now());
        let conn = self.record_tenant(&made, Action::Created, "tenant.create", Value::Null);
        tenant::Entity::insert(row).exec_without_returning(conn).await?;
        Ok(made)
    }

    /// Changes a tenant; recorded in this transaction's tenant, which is the installation's own. That one cannot be
    /// disabled.
    pub async fn update_tenant(
        &mut self,
        id: TenantId,
        version: i32,
        change: &TenantChange,
    ) -> Result<Tenant, CatalogError> {
        self.refuse_other_tenants()?;
        let row = tenant::Entity::find_by_id(id.0).one(self.look()).await?;
        let before = Tenant::from(row.ok_or(CatalogError::NotFound("tenant"))?);
        CatalogError::unless_at("tenant", before.version, version)?;
        let mut after = Tenant { version: version + 1, ..before.clone() };
        if let Some(slug) = change.slug.as_deref().filter(|slug| *slug != before.slug) {
            slug_checked(slug)?.clone_into(&mut after.slug);
            self.refuse_taken_slug(slug).await?;
        }
        if let Some(name) = &change.name {
            after.name = name_checked(name)?;
        }
        after.disabled = change.disabled.unwrap_or(before.disabled);
        if after.disabled && id == TenantId::DEFAULT {
            return Err(CatalogError::Conflict("the installation's own tenant cannot be disabled".into()));
        }
        let row = tenant::ActiveModel {
            slug: Set(after.slug.clone()),
            name: Set(after.name.clone()),
            disabled: Set(after.disabled),
            version: Set(after.version),
            ..Default::default()
        };
        let conn = self.record_tenant(&after, Action::Updated, "tenant.update", json!(before));
        tenant::Entity::update_many().set(row).filter(tenant::Column::Id.eq(id.0)).exec(conn).await?;
        Ok(after)
    }

    /// Removes a disabled tenant with everything the catalog holds of it, the accounts at home there included. Its
    /// audit trail stays in the database.
    pub async fn delete_tenant(&mut self, id: TenantId) -> Result<(), CatalogError> {
        self.refuse_other_tenants()?;
        let row = tenant::Entity::find_by_id(id.0).one(self.look()).await?;
        let before = Tenant::from(row.ok_or(CatalogError::NotFound("tenant"))?);
        if !before.disabled {
            return Err(CatalogError::Conflict("only a disabled tenant can be deleted: disable it first".into()));
        }
        let (conn, _) = self.record(Change {
            subject: Subject::Tenant,
            id: id.to_string(),
            action: Action::Deleted,
            payload: Value::Null,
            audit: Audit::Entry { action: "tenant.delete", before: json!(before), after: Value::Null },
        });
        tenant::Entity::delete_by_id(id.0).exec(conn).await?;
        Ok(())
    }

    /// Tenants are the installation's business: only a transaction on its own tenant may change them.
    fn refuse_other_tenants(&self) -> Result<(), CatalogError> {
        if self.tenant() == TenantId::DEFAULT { Ok(()) } else { Err(CatalogError::NotFound("tenant")) }
    }

    async fn refuse_taken_slug(&self, slug: &str) -> Result<(), CatalogError> {
        let taken = tenant::Entity::find().filter(tenant::Column::Slug.eq(slug)).one(self.look()).await?.is_some();
        if taken {
            return Err(CatalogError::Conflict(format!("there is already a tenant `{slug}`")));
        }
        Ok(())
    }

    fn record_tenant(
        &mut self,
        tenant: &Tenant,
        action: Action,
        audit: &'static str,
        before: Value,
    ) -> &sea_orm::DatabaseTransaction {
        let change = Change {
            subject: Subject::Tenant,
            id: tenant.id.to_string(),
            action,
            payload: json!(tenant),
            audit: Audit::Entry { action: audit, before, after: json!(tenant) },
        };
        self.record(change).0
    }
}
