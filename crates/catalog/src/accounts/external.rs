//! Accounts that other systems vouch for: a provider of OpenID Connect, a directory. One account may be known to
//! several; what one of them calls it belongs to one account.

use guardian_model::{Micros, UserId};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, IntoActiveModel as _, QueryFilter, QueryOrder};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::entity::external_identity;
use crate::{CatalogError, System, Tx};

/// Most systems that one account may be known to.
pub const IDENTITIES_PER_USER_MAX: usize = 10;
/// Longest name that another system may have for somebody, in bytes (OpenID Connect Core allows 255 characters).
const SUBJECT_BYTES_MAX: usize = 1_024;

/// What another system calls an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExternalIdentity {
    /// Its id.
    pub id: Uuid,
    /// Whose.
    pub user: UserId,
    /// Which system, by the name that the configuration gives it.
    pub provider: String,
    /// What that system calls the account; it never changes there.
    pub subject: String,
    /// Whether that system decides about the account's roles, and made it.
    pub managed: bool,
    /// Whether the account was disabled because that system gives it no role any more, rather than by an administrator.
    pub suspended: bool,
    /// Since when.
    pub created: Micros,
    /// When it was last used to sign in.
    pub last_used: Option<Micros>,
}

impl From<external_identity::Model> for ExternalIdentity {
    fn from(row: external_identity::Model) -> Self {
        Self {
            id: row.id,
            user: UserId(row.user_id),
            provider: row.provider,
            subject: row.subject,
            managed: row.managed,
            suspended: row.suspended,
            created: Micros(row.created),
            last_used: row.last_used.map(Micros),
        }
    }
}

impl System<'_> {
    /// What a system calls `subject`.
    pub async fn external_identity(
        &self,
        provider: &str,
        subject: &str,
    ) -> Result<Option<ExternalIdentity>, CatalogError> {
        let query = external_identity::Entity::find()
            .filter(external_identity::Column::Provider.eq(provider))
            .filter(external_identity::Column::Subject.eq(subject));
        Ok(query.one(self.read()).await?.map(ExternalIdentity::from))
    }

    /// The systems that an account is known to, oldest first.
    pub async fn external_identities_of(&self, user: UserId) -> Result<Vec<ExternalIdentity>, CatalogError> {
        let query = external_identity::Entity::find().filter(external_identity::Column::UserId.eq(user.0));
        let rows = query.order_by_asc(external_identity::Column::Created).all(self.read()).await?;
        Ok(rows.into_iter().map(ExternalIdentity::from).collect())
    }

    /// The accounts that a system manages, oldest first.
    pub async fn managed_by(&self, provider: &str) -> Result<Vec<ExternalIdentity>, CatalogError> {
        let query = external_identity::Entity::find()
            .filter(external_identity::Column::Provider.eq(provider))
            .filter(external_identity::Column::Managed.eq(true));
        let rows = query.order_by_asc(external_identity::Column::Created).all(self.read()).await?;
        Ok(rows.into_iter().map(ExternalIdentity::from).collect())
    }

    /// Notes that an identity was used now.
    pub async fn touch_external_identity(&self, id: Uuid) -> Result<(), CatalogError> {
        let used =
            external_identity::ActiveModel { last_used: Set(Some(self.catalog().now().0)), ..Default::default() };
        let one = external_identity::Entity::update_many().set(used).filter(external_identity::Column::Id.eq(id));
        one.exec(self.write()).await?;
        Ok(())
    }
}

impl Tx {
    /// Writes down what a system calls an account at home in this transaction's tenant. A conflict if it is somebody
    /// else's, or if the system already has another name for the account.
    pub async fn link_identity(
        &mut self,
        user: UserId,
        provider: &str,
        subject: &str,
        managed: bool,
    ) -> Result<ExternalIdentity, CatalogError> {
        self.home_user(user).await?;
        if subject.is_empty() || subject.len() > SUBJECT_BYTES_MAX || subject.contains('\0') {
            return Err(CatalogError::Invalid(format!("`{provider}` has a name for this account that cannot be kept")));
        }
        let held = self.identities_of(user).await?;
        if held.len() >= IDENTITIES_PER_USER_MAX || held.iter().any(|i| i.provider == provider) {
            return Err(CatalogError::Conflict(format!("this account is linked with `{provider}` already")));
        }
        let taken = external_identity::Entity::find()
            .filter(external_identity::Column::Provider.eq(provider))
            .filter(external_identity::Column::Subject.eq(subject));
        if taken.one(self.look()).await?.is_some() {
            return Err(CatalogError::Conflict(format!("another account is linked with this account of `{provider}`")));
        }
        let row = external_identity::Model {
            id: self.new_id(),
            user_id: user.0,
            provider: provider.to_owned(),
            subject: subject.to_owned(),
            managed,
            suspended: false,
            created: self.now().0,
            last_used: None,
        };
        let identity = ExternalIdentity::from(row.clone());
        let conn = self.record_access(user, "identity.link", Value::Null, json!(identity));
        external_identity::Entity::insert(row.into_active_model()).exec_without_returning(conn).await?;
        Ok(identity)
    }

    /// Forgets what a system calls an account at home in this transaction's tenant.
    pub async fn unlink_identity(&mut self, user: UserId, id: Uuid) -> Result<(), CatalogError> {
        self.home_user(user).await?;
        let held = self.identities_of(user).await?;
        let before = held.into_iter().find(|i| i.id == id).ok_or(CatalogError::NotFound("identity"))?;
        let conn = self.record_access(user, "identity.unlink", json!(before), Value::Null);
        external_identity::Entity::delete_by_id(id).exec(conn).await?;
        Ok(())
    }

    /// Notes that a system took an account's roles away, or gave them back; disabling goes beside it.
    pub async fn suspend_identity(&mut self, user: UserId, id: Uuid, suspended: bool) -> Result<(), CatalogError> {
        self.home_user(user).await?;
        let held = self.identities_of(user).await?;
        let before = held.into_iter().find(|i| i.id == id).ok_or(CatalogError::NotFound("identity"))?;
        let after = ExternalIdentity { suspended, ..before.clone() };
        let action = if suspended { "identity.suspend" } else { "identity.resume" };
        let conn = self.record_access(user, action, json!(before), json!(after));
        let row = external_identity::ActiveModel { suspended: Set(suspended), ..Default::default() };
        let one = external_identity::Entity::update_many().set(row).filter(external_identity::Column::Id.eq(id));
        one.exec(conn).await?;
        Ok(())
    }

    async fn identities_of(&self, user: UserId) -> Result<Vec<ExternalIdentity>, CatalogError> {
        let query = external_identity::Entity::find().filter(external_identity::Column::UserId.eq(user.0));
        Ok(query.all(self.look()).await?.into_iter().map(ExternalIdentity::from).collect())
    }
}
