//! Custom roles: named sets of permissions that a tenant makes beside the built-in ones. Permissions are words here;
//! which words there are, and which names are built in, is the business of `identity`.

use guardian_model::{Micros, TenantId};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, EntityTrait, IntoActiveModel as _, PaginatorTrait, QueryFilter, QueryOrder,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::entity::{access_link, membership, role};
use crate::text::clean;
use crate::tx::{Audit, Change};
use crate::{Action, CatalogError, Scoped, Subject, Tx};

/// Most custom roles a tenant may have.
pub const ROLES_PER_TENANT_MAX: u64 = 100;

/// A custom role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomRole {
    /// Its id.
    pub id: Uuid,
    /// Whose.
    pub tenant: TenantId,
    /// Its name, unique in the tenant: what memberships hold.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// The permissions it gives, by name.
    pub permissions: Vec<String>,
    /// Whether whoever has it needs a second factor.
    pub mfa_required: bool,
    /// Whether whoever has it has to show a client certificate of theirs.
    pub certificate_required: bool,
    /// Grows by one with every change.
    pub version: i32,
    /// Since when.
    pub created: Micros,
    /// When it last changed.
    pub updated: Micros,
}

/// What makes up a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleDraft {
    /// Its name: 2 to 40 lower-case letters, digits, dashes and underscores.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// The permissions it gives, by name.
    pub permissions: Vec<String>,
    /// Whether whoever has it needs a second factor.
    pub mfa_required: bool,
    /// Whether whoever has it has to show a client certificate of theirs.
    pub certificate_required: bool,
}

impl RoleDraft {
    fn check(&self) -> Result<(), CatalogError> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
        if !(2..=40).contains(&self.name.len()) || !self.name.chars().all(fits) {
            return Err(CatalogError::Invalid(
                "a role's name is 2 to 40 lower-case letters, digits, dashes and underscores".into(),
            ));
        }
        Ok(())
    }
}

impl TryFrom<role::Model> for CustomRole {
    type Error = CatalogError;

    fn try_from(row: role::Model) -> Result<Self, CatalogError> {
        Ok(Self {
            id: row.id,
            tenant: TenantId(row.tenant_id),
            name: row.name,
            description: row.description,
            permissions: serde_json::from_str(&row.permissions).map_err(CatalogError::json("roles.permissions"))?,
            mfa_required: row.mfa_required,
            certificate_required: row.certificate_required,
            version: row.version,
            created: Micros(row.created),
            updated: Micros(row.updated),
        })
    }
}

impl Scoped<'_> {
    /// The custom roles of the scope, by name.
    pub async fn roles(&self) -> Result<Vec<CustomRole>, CatalogError> {
        let query = self.select::<role::Entity>().order_by_asc(role::Column::Name);
        query.all(self.conn()).await?.into_iter().map(CustomRole::try_from).collect()
    }

    /// How many members each role of `tenant` has, built-in ones included.
    pub async fn role_members(&self, tenant: TenantId) -> Result<Vec<(String, u64)>, CatalogError> {
        use sea_orm::QuerySelect as _;
        self.require(tenant)?;
        let rows: Vec<(String, i64)> = self
            .select::<membership::Entity>()
            .filter(membership::Column::TenantId.eq(tenant.0))
            .select_only()
            .column(membership::Column::Role)
            .column_as(membership::Column::UserId.count(), "members")
            .group_by(membership::Column::Role)
            .into_tuple()
            .all(self.conn())
            .await?;
        Ok(rows.into_iter().map(|(role, n)| (role, Ord::max(n, 0) as u64)).collect())
    }
}

impl Tx {
    /// Makes a custom role.
    pub async fn create_role(&mut self, draft: &RoleDraft) -> Result<CustomRole, CatalogError> {
        draft.check()?;
        let of_tenant = || role::Entity::find().filter(role::Column::TenantId.eq(self.tenant().0));
        if of_tenant().filter(role::Column::Name.eq(&draft.name)).one(self.look()).await?.is_some() {
            return Err(CatalogError::Conflict(format!("there is already a role `{}`", draft.name)));
        }
        if of_tenant().count(self.look()).await? >= ROLES_PER_TENANT_MAX {
            return Err(CatalogError::Conflict(format!(
                "a tenant has at most {ROLES_PER_TENANT_MAX} roles of its own"
            )));
        }
        let row = role::Model {
            id: self.new_id(),
            tenant_id: self.tenant().0,
            name: draft.name.clone(),
            description: clean(draft.description.trim(), 500),
            permissions: json!(draft.permissions).to_string(),
            mfa_required: draft.mfa_required,
            certificate_required: draft.certificate_required,
            version: 1,
            created: self.now().0,
            updated: self.now().0,
        };
        let made = CustomRole::try_from(row.clone())?;
        let conn = self.record_role(&made, Action::Created, "role.create", Value::Null);
        role::Entity::insert(row.into_active_model()).exec_without_returning(conn).await?;
        Ok(made)
    }

    /// Changes a custom role; a new name is taken over by its members and by open invitations.
    pub async fn update_role(
        &mut self,
        name: &str,
        version: i32,
        draft: &RoleDraft,
    ) -> Result<CustomRole, CatalogError> {
        draft.check()?;
        let before = self.role(name).await?;
        CatalogError::unless_at("role", before.version, version)?;
        if draft.name != before.name && self.role(&draft.name).await.is_ok() {
            return Err(CatalogError::Conflict(format!("there is already a role `{}`", draft.name)));
        }
        let after = CustomRole {
            name: draft.name.clone(),
            description: clean(draft.description.trim(), 500),
            permissions: draft.permissions.clone(),
            mfa_required: draft.mfa_required,
            certificate_required: draft.certificate_required,
            version: version + 1,
            updated: self.now(),
            ..before.clone()
        };
        let tenant = self.tenant().0;
        let row = role::ActiveModel {
            name: Set(after.name.clone()),
            description: Set(after.description.clone()),
            permissions: Set(json!(after.permissions).to_string()),
            mfa_required: Set(after.mfa_required),
            certificate_required: Set(after.certificate_required),
            version: Set(after.version),
            updated: Set(after.updated.0),
            ..Default::default()
        };
        let conn = self.record_role(&after, Action::Updated, "role.update", json!(before));
        role::Entity::update_many().set(row).filter(role::Column::Id.eq(after.id)).exec(conn).await?;
        if after.name != before.name {
            let member = membership::ActiveModel { role: Set(after.name.clone()), ..Default::default() };
            membership::Entity::update_many()
                .set(member)
                .filter(membership::Column::TenantId.eq(tenant))
                .filter(membership::Column::Role.eq(&before.name))
                .exec(conn)
                .await?;
            let link = access_link::ActiveModel { role: Set(Some(after.name.clone())), ..Default::default() };
            access_link::Entity::update_many()
                .set(link)
                .filter(access_link::Column::TenantId.eq(tenant))
                .filter(access_link::Column::Role.eq(&before.name))
                .exec(conn)
                .await?;
        }
        Ok(after)
    }

    /// Removes a custom role that nobody has any more.
    pub async fn delete_role(&mut self, name: &str) -> Result<(), CatalogError> {
        let before = self.role(name).await?;
        let members = membership::Entity::find()
            .filter(membership::Column::TenantId.eq(self.tenant().0))
            .filter(membership::Column::Role.eq(name))
            .count(self.look())
            .await?;
        if members > 0 {
            return Err(CatalogError::Conflict(format!(
                "{members} members have the role `{name}`: give them another one first"
            )));
        }
        let tenant = self.tenant().0;
        let (conn, _) = self.record(Change {
            subject: Subject::Role,
            id: before.name.clone(),
            action: Action::Deleted,
            payload: Value::Null,
            audit: Audit::Entry { action: "role.delete", before: json!(before), after: Value::Null },
        });
        role::Entity::delete_by_id(before.id).exec(conn).await?;
        access_link::Entity::delete_many()
            .filter(access_link::Column::TenantId.eq(tenant))
            .filter(access_link::Column::Role.eq(name))
            .filter(access_link::Column::Used.is_null())
            .exec(conn)
            .await?;
        Ok(())
    }

    /// A custom role of this transaction's tenant.
    pub async fn role(&self, name: &str) -> Result<CustomRole, CatalogError> {
        let query = role::Entity::find()
            .filter(role::Column::TenantId.eq(self.tenant().0))
            .filter(role::Column::Name.eq(clean(name, 100)));
        query.one(self.look()).await?.ok_or(CatalogError::NotFound("role"))?.try_into()
    }

    fn record_role(
        &mut self,
        role: &CustomRole,
        action: Action,
        audit: &'static str,
        before: Value,
    ) -> &sea_orm::DatabaseTransaction {
        let change = Change {
            subject: Subject::Role,
            id: role.name.clone(),
            action,
            payload: json!(role),
            audit: Audit::Entry { action: audit, before, after: json!(role) },
        };
        self.record(change).0
    }
}
