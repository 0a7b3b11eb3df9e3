//! Accounts and their roles in tenants. An account belongs to its home tenant, which alone may change it; a membership
//! gives it a role in a tenant. What a role may do is the business of `identity`.

mod change;
mod external;
mod list;

use guardian_model::{Micros, TenantId, UserId};
use sea_orm::{ColumnTrait, DatabaseConnection, EntityTrait, PaginatorTrait, QueryFilter};
use serde::{Deserialize, Serialize};

pub use self::change::UserChange;
pub use self::external::{ExternalIdentity, IDENTITIES_PER_USER_MAX};
pub use self::list::{USER_PAGE_MAX, UserCursor, UserFilter, UserPage, UserRow, UserSort, UserStatus};
use crate::entity::{membership, role, second_factor, tenant, user};
use crate::{CatalogError, CustomRole, System};

/// An account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// The tenant whose administrators may change it.
    pub home_tenant: TenantId,
    /// The name it signs in with, lower-case, unique in the installation.
    pub name: String,
    /// Its name for people.
    pub display_name: String,
    /// Where to write to.
    pub email: Option<String>,
    /// Whether it may not sign in.
    pub disabled: bool,
    /// Whether it registered itself and waits for an administrator; it may not sign in either.
    pub pending: bool,
    /// Grows by one with every change of what is above.
    pub version: i32,
    /// Since when.
    pub created: Micros,
    /// When it last changed.
    pub updated: Micros,
    /// When its password was last set; none if it has none.
    pub password_changed: Option<Micros>,
    /// When it last signed in.
    pub last_sign_in: Option<Micros>,
}

/// A role of an account in a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// Whose role.
    pub user: UserId,
    /// Where.
    pub tenant: TenantId,
    /// Which role, as `identity` names it.
    pub role: String,
    /// Since when.
    pub created: Micros,
}

/// An account with what authentication needs. Never serialised.
#[derive(Clone)]
pub struct Credentials {
    /// The account.
    pub user: User,
    /// The password's hash in PHC form; none if the account cannot sign in with a password.
    pub password_hash: Option<String>,
    /// Its roles, in tenants that are not disabled.
    pub memberships: Vec<Membership>,
    /// The custom roles of those tenants, whoever has them.
    pub roles: Vec<CustomRole>,
    /// How many second factors it has confirmed.
    pub factors: u64,
}

/// An account to make.
#[derive(Clone)]
pub struct NewUser {
    /// The name to sign in with, see [`user_name`].
    pub name: String,
    /// Its name for people; empty takes the sign-in name.
    pub display_name: String,
    /// Where to write to.
    pub email: Option<String>,
    /// The password's hash in PHC form.
    pub password_hash: Option<String>,
    /// Its role in the tenant of the transaction.
    pub role: String,
}

/// The canonical form of a sign-in name: trimmed and lower-case, 1 to 100 characters without blanks or control
/// characters.
pub fn user_name(text: &str) -> Result<String, CatalogError> {
    let name = text.trim().to_lowercase();
    let fits = |c: char| !c.is_whitespace() && !c.is_control();
    if name.is_empty() || name.chars().count() > 100 || !name.chars().all(fits) {
        return Err(CatalogError::Invalid("a user name is 1 to 100 characters without blanks".into()));
    }
    Ok(name)
}

impl From<user::Model> for User {
    fn from(row: user::Model) -> Self {
        Self {
            id: UserId(row.id),
            home_tenant: TenantId(row.home_tenant),
            name: row.name,
            display_name: row.display_name,
            email: row.email,
            disabled: row.disabled,
            pending: row.pending,
            version: row.version,
            created: Micros(row.created),
            updated: Micros(row.updated),
            password_changed: row.password_changed.map(Micros),
            last_sign_in: row.last_sign_in.map(Micros),
        }
    }
}

impl From<membership::Model> for Membership {
    fn from(row: membership::Model) -> Self {
        Self {
            user: UserId(row.user_id),
            tenant: TenantId(row.tenant_id),
            role: row.role,
            created: Micros(row.created),
        }
    }
}

impl System<'_> {
    /// Whether there is any account; if not, first-run set-up is open.
    pub async fn has_users(&self) -> Result<bool, CatalogError> {
        Ok(user::Entity::find().count(self.write()).await? > 0)
    }

    /// The account that signs in with `name`.
    pub async fn credentials_by_name(&self, name: &str) -> Result<Option<Credentials>, CatalogError> {
        let Ok(name) = user_name(name) else { return Ok(None) };
        let row = user::Entity::find().filter(user::Column::Name.eq(name)).one(self.read()).await?;
        match row {
            Some(row) => credentials(self.read(), row).await.map(Some),
            None => Ok(None),
        }
    }

    /// The account with this id.
    pub async fn credentials(&self, id: UserId) -> Result<Option<Credentials>, CatalogError> {
        match user::Entity::find_by_id(id.0).one(self.read()).await? {
            Some(row) => credentials(self.read(), row).await.map(Some),
            None => Ok(None),
        }
    }
}

async fn credentials(db: &DatabaseConnection, row: user::Model) -> Result<Credentials, CatalogError> {
    let memberships = membership::Entity::find()
        .find_also_related(tenant::Entity)
        .filter(membership::Column::UserId.eq(row.id))
        .all(db)
        .await?;
    let memberships: Vec<Membership> = memberships
        .into_iter()
        .filter(|(_, tenant)| tenant.as_ref().is_some_and(|t| !t.disabled))
        .map(|(membership, _)| membership.into())
        .collect();
    let roles = role::Entity::find()
        .filter(role::Column::TenantId.is_in(memberships.iter().map(|m| m.tenant.0)))
        .all(db)
        .await?
        .into_iter()
        .map(CustomRole::try_from)
        .collect::<Result<_, _>>()?;
    let factors = second_factor::Entity::find()
        .filter(second_factor::Column::UserId.eq(row.id))
        .filter(second_factor::Column::Confirmed.eq(true))
        .count(db)
        .await?;
    let password_hash = row.password_hash.clone();
    Ok(Credentials { user: row.into(), password_hash, memberships, roles, factors })
}
