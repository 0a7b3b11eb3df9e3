//! Accounts and memberships. An account belongs to its home tenant, which alone may change it; a membership gives it a
//! role in a tenant. What a role may do is the business of `identity`.

use guardian_model::{Micros, TenantId, UserId};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, DatabaseConnection, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::entity::{membership, session, user};
use crate::text::clean;
use crate::tx::{Audit, Change};
use crate::{Action, CatalogError, Scoped, Subject, System, Tx};

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
    /// Its roles.
    pub memberships: Vec<Membership>,
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

impl Scoped<'_> {
    /// The accounts that have a role in a tenant of the scope, by name, each with its roles there.
    pub async fn users(&self) -> Result<Vec<(User, Vec<Membership>)>, CatalogError> {
        let memberships = self.select::<membership::Entity>().all(self.conn()).await?;
        let members = self.select::<membership::Entity>().select_only().column(membership::Column::UserId);
        let query = user::Entity::find()
            .filter(user::Column::Id.in_subquery(sea_orm::QueryTrait::into_query(members)))
            .order_by_asc(user::Column::Name);
        let users = query.all(self.conn()).await?;
        let mut by_user = std::collections::HashMap::<_, Vec<Membership>>::new();
        for row in memberships {
            by_user.entry(row.user_id).or_default().push(row.into());
        }
        Ok(users
            .into_iter()
            .map(|row| {
                let roles = by_user.remove(&row.id).unwrap_or_default();
                (User::from(row), roles)
            })
            .collect())
    }

    /// One account that has a role in a tenant of the scope, with its roles there.
    pub async fn user(&self, id: UserId) -> Result<(User, Vec<Membership>), CatalogError> {
        let query = self.select::<membership::Entity>().filter(membership::Column::UserId.eq(id.0));
        let memberships: Vec<Membership> = query.all(self.conn()).await?.into_iter().map(Membership::from).collect();
        if memberships.is_empty() {
            return Err(CatalogError::NotFound("user"));
        }
        let row = user::Entity::find_by_id(id.0).one(self.conn()).await?.ok_or(CatalogError::NotFound("user"))?;
        Ok((row.into(), memberships))
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
    let memberships = membership::Entity::find().filter(membership::Column::UserId.eq(row.id)).all(db).await?;
    let password_hash = row.password_hash.clone();
    Ok(Credentials { user: row.into(), password_hash, memberships: memberships.into_iter().map(Into::into).collect() })
}

impl Tx {
    /// Makes an account whose home is this transaction's tenant, with a role there. A name that is taken is a
    /// conflict, whoever has it.
    pub async fn create_user(&mut self, new: &NewUser) -> Result<User, CatalogError> {
        let name = user_name(&new.name)?;
        if user::Entity::find().filter(user::Column::Name.eq(&name)).one(self.look()).await?.is_some() {
            return Err(CatalogError::Conflict(format!("there is already a user `{name}`")));
        }
        let shown = if new.display_name.trim().is_empty() { &name } else { new.display_name.trim() };
        let row = user::Model {
            id: self.new_id(),
            home_tenant: self.tenant().0,
            display_name: clean(shown, 200),
            name,
            email: new.email.as_deref().map(|e| clean(e, 320)),
            password_hash: new.password_hash.clone(),
            disabled: false,
            created: self.now().0,
            updated: self.now().0,
            password_changed: new.password_hash.as_ref().map(|_| self.now().0),
            last_sign_in: None,
        };
        let made = User::from(row.clone());
        let conn = self.record_user(&made, Action::Created, "user.create", Value::Null);
        user::Entity::insert(sea_orm::IntoActiveModel::into_active_model(row)).exec_without_returning(conn).await?;
        self.set_membership(made.id, Some(&new.role)).await?;
        Ok(made)
    }

    /// Gives an account a role in this transaction's tenant, or takes it away. The account must already be known in a
    /// tenant that the caller may see. Answers whether anything changed.
    pub async fn set_membership(&mut self, id: UserId, role: Option<&str>) -> Result<bool, CatalogError> {
        let row = self.visible_user(id).await?;
        let key = (row.id, self.tenant().0);
        let old = membership::Entity::find_by_id(key).one(self.look()).await?;
        if old.as_ref().map(|m| m.role.as_str()) == role {
            return Ok(false);
        }
        let told = |role: Option<&str>| role.map_or(Value::Null, |role| json!({ "user": row.name, "role": role }));
        let created = self.now().0;
        let (before, after) = (told(old.as_ref().map(|m| m.role.as_str())), told(role));
        let action = match (&old, role) {
            (None, _) => Action::Created,
            (Some(_), Some(_)) => Action::Updated,
            (Some(_), None) => Action::Deleted,
        };
        let (conn, _) = self.record(Change {
            subject: Subject::Membership,
            id: row.id.to_string(),
            action,
            payload: after.clone(),
            audit: Audit::Entry { action: "membership.set", before, after },
        });
        membership::Entity::delete_by_id(key).exec(conn).await?;
        if let Some(role) = role {
            let membership = membership::ActiveModel {
                user_id: Set(key.0),
                tenant_id: Set(key.1),
                role: Set(clean(role, 100)),
                created: Set(created),
            };
            membership::Entity::insert(membership).exec_without_returning(conn).await?;
        }
        Ok(true)
    }

    /// Sets the password of an account at home in this tenant and ends its sessions.
    pub async fn set_password(&mut self, id: UserId, password_hash: String) -> Result<User, CatalogError> {
        let row = self.home_user(id).await?;
        let now = self.now();
        let change = user::ActiveModel {
            password_hash: Set(Some(password_hash)),
            password_changed: Set(Some(now.0)),
            updated: Set(now.0),
            ..Default::default()
        };
        let user = User { password_changed: Some(now), updated: now, ..row.into() };
        let conn = self.record_user(&user, Action::Updated, "user.password", Value::Null);
        user::Entity::update_many().set(change).filter(user::Column::Id.eq(id.0)).exec(conn).await?;
        session::Entity::delete_many().filter(session::Column::UserId.eq(id.0)).exec(conn).await?;
        Ok(user)
    }

    /// Lets an account at home in this tenant sign in, or not; disabling ends its sessions.
    pub async fn disable_user(&mut self, id: UserId, disabled: bool) -> Result<User, CatalogError> {
        let row = self.home_user(id).await?;
        if row.disabled == disabled {
            return Ok(row.into());
        }
        let before = json!(User::from(row.clone()));
        let user = User { disabled, updated: self.now(), ..row.into() };
        let change = user::ActiveModel { disabled: Set(disabled), updated: Set(self.now().0), ..Default::default() };
        let action = if disabled { "user.disable" } else { "user.enable" };
        let conn = self.record_user(&user, Action::Updated, action, before);
        user::Entity::update_many().set(change).filter(user::Column::Id.eq(id.0)).exec(conn).await?;
        if disabled {
            session::Entity::delete_many().filter(session::Column::UserId.eq(id.0)).exec(conn).await?;
        }
        Ok(user)
    }

    /// Changes how an account at home in this tenant is shown and reached.
    pub async fn rename_user(
        &mut self,
        id: UserId,
        display_name: &str,
        email: Option<&str>,
    ) -> Result<User, CatalogError> {
        let row = self.home_user(id).await?;
        let (display_name, email) = (clean(display_name.trim(), 200), email.map(|e| clean(e, 320)));
        let before = json!(User::from(row.clone()));
        let change = user::ActiveModel {
            display_name: Set(display_name.clone()),
            email: Set(email.clone()),
            updated: Set(self.now().0),
            ..Default::default()
        };
        let user = User { display_name, email, updated: self.now(), ..row.into() };
        let conn = self.record_user(&user, Action::Updated, "user.rename", before);
        user::Entity::update_many().set(change).filter(user::Column::Id.eq(id.0)).exec(conn).await?;
        Ok(user)
    }

    /// Removes an account at home in this tenant, with its sessions, keys and memberships everywhere.
    pub async fn delete_user(&mut self, id: UserId) -> Result<(), CatalogError> {
        let before = json!(User::from(self.home_user(id).await?));
        let (conn, _) = self.record(Change {
            subject: Subject::User,
            id: id.to_string(),
            action: Action::Deleted,
            payload: Value::Null,
            audit: Audit::Entry { action: "user.delete", before, after: Value::Null },
        });
        user::Entity::delete_by_id(id.0).exec(conn).await?;
        Ok(())
    }

    fn record_user(
        &mut self,
        user: &User,
        action: Action,
        audit: &'static str,
        before: Value,
    ) -> &sea_orm::DatabaseTransaction {
        let change = Change {
            subject: Subject::User,
            id: user.id.to_string(),
            action,
            payload: json!(user),
            audit: Audit::Entry { action: audit, before, after: json!(user) },
        };
        self.record(change).0
    }

    /// An account at home in this transaction's tenant.
    pub(crate) async fn home_user(&self, id: UserId) -> Result<user::Model, CatalogError> {
        let query = user::Entity::find_by_id(id.0).filter(user::Column::HomeTenant.eq(self.tenant().0));
        query.one(self.look()).await?.ok_or(CatalogError::NotFound("user"))
    }

    /// An account at home in, or a member of, a tenant that the caller may see.
    async fn visible_user(&self, id: UserId) -> Result<user::Model, CatalogError> {
        let row = user::Entity::find_by_id(id.0).one(self.look()).await?.ok_or(CatalogError::NotFound("user"))?;
        if self.scope().contains(TenantId(row.home_tenant)) {
            return Ok(row);
        }
        let memberships = membership::Entity::find()
            .filter(membership::Column::UserId.eq(id.0))
            .filter(membership::Column::TenantId.is_in(self.scope().tenants().iter().map(|t| t.0)))
            .count(self.look())
            .await?;
        if memberships > 0 { Ok(row) } else { Err(CatalogError::NotFound("user")) }
    }
}
