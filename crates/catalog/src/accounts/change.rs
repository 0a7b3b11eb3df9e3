//! Changing accounts and their roles, inside a transaction.

use guardian_model::{TenantId, UserId};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, EntityTrait, IntoActiveModel as _, PaginatorTrait, QueryFilter,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{NewUser, User, user_name};
use crate::entity::{membership, session, token_family, user};
use crate::text::clean;
use crate::tx::{Audit, Change};
use crate::{Action, CatalogError, Subject, Tx};

/// Most accounts that may wait for approval in one tenant, so that strangers cannot fill the catalog.
const PENDING_MAX: u64 = 100;

/// What to change of an account; absent fields stay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserChange {
    /// A new name to sign in with.
    pub name: Option<String>,
    /// A new name for people.
    pub display_name: Option<String>,
    /// A new address, or none.
    pub email: Option<Option<String>>,
    /// Whether it may not sign in; disabling ends its sessions and tokens.
    pub disabled: Option<bool>,
}

impl Tx {
    /// Makes an account whose home is this transaction's tenant, with a role there. A name that is taken is a
    /// conflict, whoever has it.
    pub async fn create_user(&mut self, new: &NewUser) -> Result<User, CatalogError> {
        let made = self.insert_user(new, false).await?;
        self.set_membership(made.id, Some(&new.role)).await?;
        Ok(made)
    }

    /// Makes an account at home in this transaction's tenant that waits for approval: without a role, unable to sign
    /// in. Only so many may wait.
    pub async fn register_user(&mut self, new: &NewUser) -> Result<User, CatalogError> {
        let waiting = user::Entity::find()
            .filter(user::Column::HomeTenant.eq(self.tenant().0))
            .filter(user::Column::Pending.eq(true));
        if waiting.count(self.look()).await? >= PENDING_MAX {
            return Err(CatalogError::Busy);
        }
        self.insert_user(new, true).await
    }

    async fn insert_user(&mut self, new: &NewUser, pending: bool) -> Result<User, CatalogError> {
        let name = user_name(&new.name)?;
        self.refuse_taken_name(&name).await?;
        let shown = if new.display_name.trim().is_empty() { &name } else { new.display_name.trim() };
        let row = user::Model {
            id: self.new_id(),
            home_tenant: self.tenant().0,
            display_name: clean(shown, 200),
            name,
            email: new.email.as_deref().and_then(address),
            password_hash: new.password_hash.clone(),
            disabled: false,
            created: self.now().0,
            updated: self.now().0,
            password_changed: new.password_hash.as_ref().map(|_| self.now().0),
            last_sign_in: None,
            version: 1,
            pending,
        };
        let made = User::from(row.clone());
        let action = if pending { "user.register" } else { "user.create" };
        let conn = self.record_user(&made, Action::Created, action, Value::Null);
        user::Entity::insert(row.into_active_model()).exec_without_returning(conn).await?;
        Ok(made)
    }

    /// Lets an account that registered itself in, with a role in this transaction's tenant.
    pub async fn approve_user(&mut self, id: UserId, role: &str) -> Result<User, CatalogError> {
        let row = self.home_user(id).await?;
        if !row.pending {
            return Err(CatalogError::Conflict("this account does not wait for approval".into()));
        }
        let before = json!(User::from(row.clone()));
        let user = User { pending: false, updated: self.now(), version: row.version + 1, ..row.into() };
        self.write_user(&user, "user.approve", before).await?;
        self.set_membership(id, Some(role)).await?;
        Ok(user)
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

    /// The role of an account in this transaction's tenant.
    pub async fn member_role(&self, id: UserId) -> Result<Option<String>, CatalogError> {
        let row = membership::Entity::find_by_id((id.0, self.tenant().0)).one(self.look()).await?;
        Ok(row.map(|row| row.role))
    }

    /// How many accounts that may sign in have `role` in this transaction's tenant.
    pub async fn members_with(&self, role: &str) -> Result<u64, CatalogError> {
        let members = membership::Entity::find()
            .filter(membership::Column::TenantId.eq(self.tenant().0))
            .filter(membership::Column::Role.eq(role))
            .all(self.look())
            .await?;
        let active = user::Entity::find()
            .filter(user::Column::Id.is_in(members.into_iter().map(|m| m.user_id)))
            .filter(user::Column::Disabled.eq(false))
            .filter(user::Column::Pending.eq(false));
        Ok(active.count(self.look()).await?)
    }

    /// Sets the password of an account at home in this tenant and ends its sessions and tokens, all but `keep`.
    pub async fn set_password(
        &mut self,
        id: UserId,
        password_hash: String,
        keep: Option<Uuid>,
    ) -> Result<User, CatalogError> {
        let row = self.home_user(id).await?;
        let now = self.now();
        let change = user::ActiveModel {
            password_hash: Set(Some(password_hash)),
            password_changed: Set(Some(now.0)),
            updated: Set(now.0),
            version: Set(row.version + 1),
            ..Default::default()
        };
        let user = User { password_changed: Some(now), updated: now, version: row.version + 1, ..row.into() };
        let conn = self.record_user(&user, Action::Updated, "user.password", Value::Null);
        user::Entity::update_many().set(change).filter(user::Column::Id.eq(id.0)).exec(conn).await?;
        self.end_access(id, keep).await?;
        Ok(user)
    }

    /// Changes an account at home in this tenant. `version` is the one the caller saw.
    pub async fn update_user(&mut self, id: UserId, version: i32, change: &UserChange) -> Result<User, CatalogError> {
        let row = self.home_user(id).await?;
        let before = User::from(row);
        CatalogError::unless_at("account", before.version, version)?;
        let mut after = User { updated: self.now(), version: version + 1, ..before.clone() };
        if let Some(name) = &change.name {
            after.name = user_name(name)?;
            if after.name != before.name {
                self.refuse_taken_name(&after.name).await?;
            }
        }
        if let Some(shown) = &change.display_name {
            after.display_name = clean(shown.trim(), 200);
            if after.display_name.is_empty() {
                after.display_name.clone_from(&after.name);
            }
        }
        if let Some(email) = &change.email {
            after.email = email.as_deref().and_then(address);
        }
        after.disabled = change.disabled.unwrap_or(before.disabled);
        if (User { updated: before.updated, version, ..after.clone() }) == before {
            return Ok(before);
        }
        let action = match (before.disabled, after.disabled) {
            (false, true) => "user.disable",
            (true, false) => "user.enable",
            _ => "user.update",
        };
        self.write_user(&after, action, json!(before)).await?;
        if after.disabled {
            self.end_access(id, None).await?;
        }
        Ok(after)
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

    /// Ends the sessions and tokens of an account, all but one session. Always beside a change that is recorded.
    pub(crate) async fn end_access(&mut self, id: UserId, keep: Option<Uuid>) -> Result<u64, CatalogError> {
        let mut which = Condition::all().add(session::Column::UserId.eq(id.0));
        if let Some(keep) = keep {
            which = which.add(session::Column::Id.ne(keep));
        }
        let ended = session::Entity::delete_many().filter(which).exec(self.look()).await?.rows_affected;
        token_family::Entity::delete_many().filter(token_family::Column::UserId.eq(id.0)).exec(self.look()).await?;
        Ok(ended)
    }

    async fn write_user(&mut self, user: &User, action: &'static str, before: Value) -> Result<(), CatalogError> {
        let change = user::ActiveModel {
            name: Set(user.name.clone()),
            display_name: Set(user.display_name.clone()),
            email: Set(user.email.clone()),
            disabled: Set(user.disabled),
            pending: Set(user.pending),
            updated: Set(user.updated.0),
            version: Set(user.version),
            ..Default::default()
        };
        let conn = self.record_user(user, Action::Updated, action, before);
        user::Entity::update_many().set(change).filter(user::Column::Id.eq(user.id.0)).exec(conn).await?;
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

    /// Records a change of the ways into an account (a factor, a certificate, an identity at another system), which the
    /// account itself does not show.
    pub(crate) fn record_access(
        &mut self,
        user: UserId,
        action: &'static str,
        before: Value,
        after: Value,
    ) -> &sea_orm::DatabaseTransaction {
        let change = Change {
            subject: Subject::User,
            id: user.to_string(),
            action: Action::Updated,
            payload: Value::Null,
            audit: Audit::Entry { action, before, after },
        };
        self.record(change).0
    }

    async fn refuse_taken_name(&self, name: &str) -> Result<(), CatalogError> {
        if user::Entity::find().filter(user::Column::Name.eq(name)).one(self.look()).await?.is_some() {
            return Err(CatalogError::Conflict(format!("there is already a user `{name}`")));
        }
        Ok(())
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

/// An address as it is kept; blank is none.
fn address(text: &str) -> Option<String> {
    Some(clean(text.trim(), 320)).filter(|text| !text.is_empty())
}
