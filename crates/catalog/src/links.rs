//! Invitations and links to set a password. The token is in the link alone; only its hash comes here.

use guardian_model::{Micros, TenantId, UserId};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, EntityTrait, IntoActiveModel as _, PaginatorTrait, QueryFilter, QueryOrder,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::entity::access_link;
use crate::text::clean;
use crate::tx::{Audit, Change};
use crate::{Action, CatalogError, Scoped, Subject, System, Tx, text_enum};

/// Most unused links a tenant may have at once.
pub const LINKS_PER_TENANT_MAX: u64 = 1_000;

text_enum! {
    /// What a link is for.
    LinkKind {
        /// Whoever opens it makes an account.
        Invitation = "invitation",
        /// Whoever opens it sets the password of an account that is there.
        PasswordReset = "password_reset",
    }
}

/// A link, without its token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessLink {
    /// Its id, which is no secret.
    pub id: Uuid,
    /// Whose.
    pub tenant: TenantId,
    /// What it is for.
    pub kind: LinkKind,
    /// Whose password it sets.
    pub user: Option<UserId>,
    /// The role that the invited get.
    pub role: Option<String>,
    /// The sign-in name that the invited get, or that of the account.
    pub name: Option<String>,
    /// Where the link was sent to.
    pub email: Option<String>,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created: Micros,
    /// Until when it works.
    pub expires: Micros,
    /// When it was used.
    pub used: Option<Micros>,
}

/// A link to make.
#[derive(Clone)]
pub struct NewLink {
    /// What it is for.
    pub kind: LinkKind,
    /// Hash of its token.
    pub token_hash: Vec<u8>,
    /// Whose password it sets; an account at home in the transaction's tenant.
    pub user: Option<UserId>,
    /// The role that the invited get.
    pub role: Option<String>,
    /// The sign-in name that the invited get.
    pub name: Option<String>,
    /// Where the link is sent to.
    pub email: Option<String>,
    /// Until when it works.
    pub expires: Micros,
}

impl TryFrom<access_link::Model> for AccessLink {
    type Error = CatalogError;

    fn try_from(row: access_link::Model) -> Result<Self, CatalogError> {
        Ok(Self {
            id: row.id,
            tenant: TenantId(row.tenant_id),
            kind: row.kind.parse().map_err(CatalogError::Corrupt)?,
            user: row.user_id.map(UserId),
            role: row.role,
            name: row.name,
            email: row.email,
            created_by: row.created_by,
            created: Micros(row.created),
            expires: Micros(row.expires),
            used: row.used.map(Micros),
        })
    }
}

impl Scoped<'_> {
    /// The links of the scope that still work, newest first.
    pub async fn links(&self) -> Result<Vec<AccessLink>, CatalogError> {
        let query = self
            .select::<access_link::Entity>()
            .filter(access_link::Column::Used.is_null())
            .filter(access_link::Column::Expires.gt(self.catalog().now().0))
            .order_by_desc(access_link::Column::Created);
        query.all(self.conn()).await?.into_iter().map(AccessLink::try_from).collect()
    }
}

impl System<'_> {
    /// The link whose token has this hash, if it still works.
    pub async fn link(&self, token_hash: &[u8]) -> Result<Option<AccessLink>, CatalogError> {
        let query = access_link::Entity::find()
            .filter(access_link::Column::TokenHash.eq(token_hash.to_vec()))
            .filter(access_link::Column::Used.is_null())
            .filter(access_link::Column::Expires.gt(self.catalog().now().0));
        query.one(self.read()).await?.map(AccessLink::try_from).transpose()
    }
}

impl Tx {
    /// Makes a link. A new link to set a password replaces the account's earlier ones.
    pub async fn create_link(&mut self, new: &NewLink) -> Result<AccessLink, CatalogError> {
        let name = match new.user {
            Some(user) => Some(self.home_user(user).await?.name),
            None => new.name.as_deref().map(crate::user_name).transpose()?,
        };
        let open = access_link::Entity::find()
            .filter(access_link::Column::TenantId.eq(self.tenant().0))
            .filter(access_link::Column::Used.is_null())
            .filter(access_link::Column::Expires.gt(self.now().0));
        if open.count(self.look()).await? >= LINKS_PER_TENANT_MAX {
            return Err(CatalogError::Conflict(format!("a tenant has at most {LINKS_PER_TENANT_MAX} open links")));
        }
        let row = access_link::Model {
            id: self.new_id(),
            tenant_id: self.tenant().0,
            kind: new.kind.as_str().to_owned(),
            token_hash: new.token_hash.clone(),
            user_id: new.user.map(|u| u.0),
            role: new.role.as_deref().map(|r| clean(r, 100)),
            name,
            email: new.email.as_deref().map(|e| clean(e.trim(), 320)).filter(|e| !e.is_empty()),
            created_by: self.actor().name.clone(),
            created: self.now().0,
            expires: new.expires.0,
            used: None,
        };
        let made = AccessLink::try_from(row.clone())?;
        let audit = match new.kind {
            LinkKind::Invitation => "invitation.create",
            LinkKind::PasswordReset => "password_reset.create",
        };
        let conn = self.record_link(&made, Action::Created, audit, Value::Null);
        if let Some(user) = new.user {
            access_link::Entity::delete_many()
                .filter(access_link::Column::UserId.eq(user.0))
                .filter(access_link::Column::Used.is_null())
                .exec(conn)
                .await?;
        }
        access_link::Entity::insert(row.into_active_model()).exec_without_returning(conn).await?;
        Ok(made)
    }

    /// Uses a link up; not found if somebody was faster.
    pub async fn use_link(&mut self, id: Uuid) -> Result<AccessLink, CatalogError> {
        let before = self.open_link(id).await?;
        if before.expires <= self.now() {
            return Err(CatalogError::NotFound("link"));
        }
        let after = AccessLink { used: Some(self.now()), ..before.clone() };
        let used = access_link::ActiveModel { used: Set(Some(self.now().0)), ..Default::default() };
        let audit = match before.kind {
            LinkKind::Invitation => "invitation.redeem",
            LinkKind::PasswordReset => "password_reset.redeem",
        };
        let conn = self.record_link(&after, Action::Updated, audit, Value::Null);
        access_link::Entity::update_many().set(used).filter(access_link::Column::Id.eq(id)).exec(conn).await?;
        Ok(after)
    }

    /// Takes a link back.
    pub async fn revoke_link(&mut self, id: Uuid) -> Result<(), CatalogError> {
        let before = self.open_link(id).await?;
        let (conn, _) = self.record(Change {
            subject: Subject::Invitation,
            id: id.to_string(),
            action: Action::Deleted,
            payload: Value::Null,
            audit: Audit::Entry { action: "invitation.revoke", before: json!(before), after: Value::Null },
        });
        access_link::Entity::delete_by_id(id).exec(conn).await?;
        Ok(())
    }

    async fn open_link(&self, id: Uuid) -> Result<AccessLink, CatalogError> {
        let query = access_link::Entity::find_by_id(id)
            .filter(access_link::Column::TenantId.eq(self.tenant().0))
            .filter(access_link::Column::Used.is_null());
        query.one(self.look()).await?.ok_or(CatalogError::NotFound("link"))?.try_into()
    }

    fn record_link(
        &mut self,
        link: &AccessLink,
        action: Action,
        audit: &'static str,
        before: Value,
    ) -> &sea_orm::DatabaseTransaction {
        let change = Change {
            subject: Subject::Invitation,
            id: link.id.to_string(),
            action,
            payload: json!(link),
            audit: Audit::Entry { action: audit, before, after: json!(link) },
        };
        self.record(change).0
    }
}
