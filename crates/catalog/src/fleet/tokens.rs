//! Enrolment tokens: who lets hosts in, how many, and until when.

use guardian_model::{Micros, TenantId};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, EntityTrait, IntoActiveModel as _, PaginatorTrait, QueryFilter, QueryOrder,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{labels, labels_of, labels_text, named};
use crate::entity::enrolment_token;
use crate::text::clean;
use crate::tx::{Audit, Change};
use crate::{Action, CatalogError, Scoped, Subject, System, Tx, text_enum};

/// Most enrolment tokens that a tenant may have, used and revoked ones included.
pub const TOKENS_PER_TENANT_MAX: u64 = 1_000;

text_enum! {
    /// What an enrolment token is good for.
    TokenStatus {
        /// It lets hosts in.
        Active = "active",
        /// Its time is over.
        Expired = "expired",
        /// As many hosts came in by it as may.
        UsedUp = "used_up",
        /// Somebody took it back.
        Revoked = "revoked",
    }
}

/// An enrolment token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolmentToken {
    /// Its id.
    pub id: Uuid,
    /// Whose hosts it lets in.
    pub tenant: TenantId,
    /// The part of the token that is no secret.
    pub public_id: String,
    /// What it is for.
    pub name: String,
    /// Tags that its hosts get.
    pub tags: Vec<String>,
    /// Groups that its hosts get.
    pub groups: Vec<String>,
    /// How many hosts may come in by it; any number if absent.
    pub uses_max: Option<u32>,
    /// How many did.
    pub uses: u32,
    /// Who made it.
    pub author: String,
    /// Since when.
    pub created: Micros,
    /// Until when.
    pub expires: Micros,
    /// When a host last came in by it.
    pub last_used: Option<Micros>,
    /// When it was revoked.
    pub revoked: Option<Micros>,
    /// Grows by one with every change.
    pub version: i32,
}

impl EnrolmentToken {
    /// What it is good for at a time.
    pub fn status(&self, now: Micros) -> TokenStatus {
        if self.revoked.is_some() {
            TokenStatus::Revoked
        } else if self.uses_max.is_some_and(|max| self.uses >= max) {
            TokenStatus::UsedUp
        } else if self.expires <= now {
            TokenStatus::Expired
        } else {
            TokenStatus::Active
        }
    }
}

/// Why a token lets nobody in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefusal {
    /// There is none like it.
    #[error("there is no such enrolment token")]
    Unknown,
    /// Its time is over.
    #[error("this enrolment token has expired: make another")]
    Expired,
    /// As many hosts came in by it as may.
    #[error("this enrolment token is used up: make another")]
    UsedUp,
    /// Somebody took it back.
    #[error("this enrolment token was revoked")]
    Revoked,
}

/// An enrolment token to make.
#[derive(Clone, Debug)]
pub struct NewEnrolmentToken {
    /// The part that is no secret.
    pub public_id: String,
    /// Hash of the secret.
    pub secret_hash: Vec<u8>,
    /// What it is for.
    pub name: String,
    /// Tags that its hosts get.
    pub tags: Vec<String>,
    /// Groups that its hosts get.
    pub groups: Vec<String>,
    /// How many hosts may come in by it.
    pub uses_max: Option<u32>,
    /// Until when.
    pub expires: Micros,
}

impl TryFrom<enrolment_token::Model> for EnrolmentToken {
    type Error = CatalogError;

    fn try_from(row: enrolment_token::Model) -> Result<Self, CatalogError> {
        Ok(Self {
            id: row.id,
            tenant: TenantId(row.tenant_id),
            public_id: row.public_id,
            name: row.name,
            tags: labels_of("enrolment_tokens.tags", &row.tags)?,
            groups: labels_of("enrolment_tokens.groups", &row.groups)?,
            uses_max: row.uses_max.map(|n| n.max(0) as u32),
            uses: row.uses.max(0) as u32,
            author: row.author,
            created: Micros(row.created),
            expires: Micros(row.expires),
            last_used: row.last_used.map(Micros),
            revoked: row.revoked.map(Micros),
            version: row.version,
        })
    }
}

impl Scoped<'_> {
    /// The enrolment tokens of the scope, newest first.
    pub async fn enrolment_tokens(&self) -> Result<Vec<EnrolmentToken>, CatalogError> {
        let query = self
            .select::<enrolment_token::Entity>()
            .order_by_desc(enrolment_token::Column::Created)
            .order_by_desc(enrolment_token::Column::Id);
        query.all(self.conn()).await?.into_iter().map(EnrolmentToken::try_from).collect()
    }
}

impl System<'_> {
    /// The token with this public part, and the hash of its secret.
    pub async fn enrolment_token(&self, public_id: &str) -> Result<Option<(EnrolmentToken, Vec<u8>)>, CatalogError> {
        let query = enrolment_token::Entity::find().filter(enrolment_token::Column::PublicId.eq(clean(public_id, 100)));
        let Some(row) = query.one(self.read()).await? else { return Ok(None) };
        let hash = row.secret_hash.clone();
        Ok(Some((EnrolmentToken::try_from(row)?, hash)))
    }
}

impl Tx {
    /// Makes an enrolment token for this transaction's tenant.
    pub async fn create_enrolment_token(&mut self, new: &NewEnrolmentToken) -> Result<EnrolmentToken, CatalogError> {
        let (name, tags, groups) =
            (named("an enrolment token", &new.name)?, labels("tags", &new.tags)?, labels("groups", &new.groups)?);
        if new.uses_max == Some(0) || new.expires <= self.now() {
            return Err(CatalogError::Invalid("a token is good for at least one host, and for some time".into()));
        }
        let here = enrolment_token::Entity::find().filter(enrolment_token::Column::TenantId.eq(self.tenant().0));
        if here.count(self.look()).await? >= TOKENS_PER_TENANT_MAX {
            return Err(CatalogError::Conflict(format!(
                "a tenant has at most {TOKENS_PER_TENANT_MAX} enrolment tokens"
            )));
        }
        let row = enrolment_token::Model {
            id: self.new_id(),
            tenant_id: self.tenant().0,
            public_id: clean(&new.public_id, 100),
            secret_hash: new.secret_hash.clone(),
            name,
            tags: labels_text(&tags),
            groups: labels_text(&groups),
            uses_max: new.uses_max.map(|n| i32::try_from(n).unwrap_or(i32::MAX)),
            uses: 0,
            author: self.actor().name.clone(),
            created: self.now().0,
            expires: new.expires.0,
            last_used: None,
            revoked: None,
            version: 1,
        };
        let token = EnrolmentToken::try_from(row.clone())?;
        let conn = self.record_token(&token, Action::Created, "enrolment_token.create", Value::Null);
        enrolment_token::Entity::insert(row.into_active_model()).exec_without_returning(conn).await?;
        Ok(token)
    }

    /// Revokes an enrolment token of this transaction's tenant. Hosts that came in by it stay.
    pub async fn revoke_enrolment_token(&mut self, id: Uuid) -> Result<EnrolmentToken, CatalogError> {
        let before = self.enrolment_token_row(id).await?;
        if before.revoked.is_some() {
            return Ok(before);
        }
        let after = EnrolmentToken { revoked: Some(self.now()), version: before.version + 1, ..before.clone() };
        let row = enrolment_token::ActiveModel {
            revoked: Set(after.revoked.map(|t| t.0)),
            version: Set(after.version),
            ..Default::default()
        };
        let conn = self.record_token(&after, Action::Updated, "enrolment_token.revoke", json!(before));
        enrolment_token::Entity::update_many().set(row).filter(enrolment_token::Column::Id.eq(id)).exec(conn).await?;
        Ok(after)
    }

    /// Counts one more host that comes in by a token, if it still lets one in.
    pub(super) async fn use_enrolment_token(
        &mut self,
        id: Uuid,
    ) -> Result<Result<EnrolmentToken, TokenRefusal>, CatalogError> {
        let before = match self.enrolment_token_row(id).await {
            Err(CatalogError::NotFound(_)) => return Ok(Err(TokenRefusal::Unknown)),
            found => found?,
        };
        match before.status(self.now()) {
            TokenStatus::Active => {}
            TokenStatus::Expired => return Ok(Err(TokenRefusal::Expired)),
            TokenStatus::UsedUp => return Ok(Err(TokenRefusal::UsedUp)),
            TokenStatus::Revoked => return Ok(Err(TokenRefusal::Revoked)),
        }
        let after = EnrolmentToken {
            uses: before.uses + 1,
            last_used: Some(self.now()),
            version: before.version + 1,
            ..before
        };
        let row = enrolment_token::ActiveModel {
            uses: Set(i32::try_from(after.uses).unwrap_or(i32::MAX)),
            last_used: Set(after.last_used.map(|t| t.0)),
            version: Set(after.version),
            ..Default::default()
        };
        let (conn, _) = self.record(Change {
            subject: Subject::EnrolmentToken,
            id: id.to_string(),
            action: Action::Updated,
            payload: json!(after),
            // The entry about the host tells of it.
            audit: Audit::NotNeeded,
        });
        enrolment_token::Entity::update_many().set(row).filter(enrolment_token::Column::Id.eq(id)).exec(conn).await?;
        Ok(Ok(after))
    }

    async fn enrolment_token_row(&self, id: Uuid) -> Result<EnrolmentToken, CatalogError> {
        let query =
            enrolment_token::Entity::find_by_id(id).filter(enrolment_token::Column::TenantId.eq(self.tenant().0));
        query.one(self.look()).await?.ok_or(CatalogError::NotFound("enrolment token"))?.try_into()
    }

    fn record_token(
        &mut self,
        token: &EnrolmentToken,
        action: Action,
        audit: &'static str,
        before: Value,
    ) -> &sea_orm::DatabaseTransaction {
        let change = Change {
            subject: Subject::EnrolmentToken,
            id: token.id.to_string(),
            action,
            payload: json!(token),
            audit: Audit::Entry { action: audit, before, after: json!(token) },
        };
        self.record(change).0
    }
}
