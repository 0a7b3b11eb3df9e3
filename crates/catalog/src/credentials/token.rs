//! Refresh tokens of programs. Every sign-in begins a family; each use of a refresh token replaces it, and the use of one
//! that was replaced tells of a thief, so that the whole family ends.

use guardian_model::{Ip, Micros, UserId};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, IntoActiveModel as _, QueryFilter, QueryOrder};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use crate::entity::{refresh_token, token_family};
use crate::text::clean;
use crate::{CatalogError, Subject, System, Tx};

/// Most families an account may have; one more ends the one longest unused.
pub const FAMILIES_PER_USER_MAX: usize = 50;

/// A family of refresh tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenFamily {
    /// Its id, which access tokens carry.
    pub id: Uuid,
    /// Whose.
    pub user: UserId,
    /// Whether a second factor was proved when it began.
    pub factor: bool,
    /// Since when.
    pub created: Micros,
    /// When it was last refreshed.
    pub last_used: Micros,
    /// When it ends at the latest.
    pub expires: Micros,
    /// When it was revoked.
    pub revoked: Option<Micros>,
    /// What the program called itself.
    pub user_agent: Option<String>,
    /// Where it signed in from.
    pub ip: Option<Ip>,
}

/// What became of a refresh token that was handed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refresh {
    /// It was replaced.
    Renewed(TokenFamily),
    /// It had been replaced before: somebody has a copy, and the family is revoked.
    Reused(TokenFamily),
    /// It is unknown, ended or revoked.
    Unknown,
}

impl From<token_family::Model> for TokenFamily {
    fn from(row: token_family::Model) -> Self {
        Self {
            id: row.id,
            user: UserId(row.user_id),
            factor: row.factor,
            created: Micros(row.created),
            last_used: Micros(row.last_used),
            expires: Micros(row.expires),
            revoked: row.revoked.map(Micros),
            user_agent: row.user_agent,
            ip: row.ip.and_then(|ip| ip.parse().ok()),
        }
    }
}

impl System<'_> {
    /// One family.
    pub async fn token_family(&self, id: Uuid) -> Result<Option<TokenFamily>, CatalogError> {
        Ok(token_family::Entity::find_by_id(id).one(self.read()).await?.map(TokenFamily::from))
    }

    /// The families of an account, last used first, for that account.
    pub async fn token_families(&self, user: UserId) -> Result<Vec<TokenFamily>, CatalogError> {
        let query = token_family::Entity::find().filter(token_family::Column::UserId.eq(user.0));
        let rows = query.order_by_desc(token_family::Column::LastUsed).all(self.read()).await?;
        Ok(rows.into_iter().map(TokenFamily::from).collect())
    }

    /// The family that a refresh token belongs to, to find its tenant.
    pub async fn family_of_token(&self, token_hash: &[u8]) -> Result<Option<TokenFamily>, CatalogError> {
        let Some(token) = refresh_token::Entity::find_by_id(token_hash.to_vec()).one(self.read()).await? else {
            return Ok(None);
        };
        self.token_family(token.family_id).await
    }

    /// Removes families that ended or were revoked before `before`. Returns how many.
    pub async fn drop_ended_families(&self, before: Micros) -> Result<u64, CatalogError> {
        let ended = sea_orm::Condition::any()
            .add(token_family::Column::Expires.lte(before.0))
            .add(token_family::Column::Revoked.lte(before.0));
        Ok(token_family::Entity::delete_many().filter(ended).exec(self.write()).await?.rows_affected)
    }
}

impl Tx {
    /// Begins a family for an account at home in this transaction's tenant. Audited as `token.issue`.
    pub async fn begin_family(
        &mut self,
        user: UserId,
        token_hash: Vec<u8>,
        expires: Micros,
        factor: bool,
        user_agent: Option<&str>,
    ) -> Result<TokenFamily, CatalogError> {
        self.home_user(user).await?;
        let of_user = token_family::Entity::find().filter(token_family::Column::UserId.eq(user.0));
        let open = of_user.order_by_desc(token_family::Column::LastUsed).all(self.look()).await?;
        let surplus: Vec<Uuid> = open.iter().skip(FAMILIES_PER_USER_MAX - 1).map(|f| f.id).collect();
        let row = token_family::Model {
            id: self.new_id(),
            user_id: user.0,
            factor,
            created: self.now().0,
            last_used: self.now().0,
            expires: expires.0,
            revoked: None,
            user_agent: user_agent.map(|a| clean(a, 300)),
            ip: self.actor().ip.map(|ip| ip.to_string()),
        };
        let family = TokenFamily::from(row.clone());
        let token = fresh(token_hash, family.id, self.now());
        let detail = json!({ "user": user, "factor": factor });
        let conn = self.record_quietly("token.issue", Subject::Session, family.id.to_string(), detail);
        token_family::Entity::delete_many().filter(token_family::Column::Id.is_in(surplus)).exec(conn).await?;
        token_family::Entity::insert(row.into_active_model()).exec_without_returning(conn).await?;
        refresh_token::Entity::insert(token).exec_without_returning(conn).await?;
        Ok(family)
    }

    /// Replaces a refresh token by the one with `new_hash`; see [`Refresh`] for what may come of it. The transaction is
    /// to be committed whatever the answer is.
    pub async fn rotate_token(&mut self, old_hash: &[u8], new_hash: Vec<u8>) -> Result<Refresh, CatalogError> {
        let Some(old) = refresh_token::Entity::find_by_id(old_hash.to_vec()).one(self.look()).await? else {
            return Ok(Refresh::Unknown);
        };
        let Some(row) = token_family::Entity::find_by_id(old.family_id).one(self.look()).await? else {
            return Ok(Refresh::Unknown);
        };
        let family = TokenFamily::from(row);
        self.home_user(family.user).await?;
        if family.revoked.is_some() || family.expires <= self.now() {
            return Ok(Refresh::Unknown);
        }
        if old.used.is_some() {
            self.end_family(&family, "token.reuse").await?;
            return Ok(Refresh::Reused(family));
        }
        let now = self.now();
        let used = refresh_token::ActiveModel { used: Set(Some(now.0)), ..Default::default() };
        let seen = token_family::ActiveModel { last_used: Set(now.0), ..Default::default() };
        let detail = json!({ "user": family.user });
        let conn = self.record_quietly("token.refresh", Subject::Session, family.id.to_string(), detail);
        refresh_token::Entity::update_many()
            .set(used)
            .filter(refresh_token::Column::TokenHash.eq(old_hash.to_vec()))
            .exec(conn)
            .await?;
        refresh_token::Entity::insert(fresh(new_hash, family.id, now)).exec_without_returning(conn).await?;
        token_family::Entity::update_many().set(seen).filter(token_family::Column::Id.eq(family.id)).exec(conn).await?;
        Ok(Refresh::Renewed(TokenFamily { last_used: now, ..family }))
    }

    /// Revokes a family of an account at home in this transaction's tenant. Audited as `token.revoke`.
    pub async fn revoke_family(&mut self, user: UserId, id: Uuid) -> Result<(), CatalogError> {
        self.home_user(user).await?;
        let query = token_family::Entity::find_by_id(id).filter(token_family::Column::UserId.eq(user.0));
        let row = query.one(self.look()).await?.ok_or(CatalogError::NotFound("token"))?;
        self.end_family(&row.into(), "token.revoke").await
    }

    async fn end_family(&mut self, family: &TokenFamily, action: &'static str) -> Result<(), CatalogError> {
        let revoked = token_family::ActiveModel { revoked: Set(Some(self.now().0)), ..Default::default() };
        let detail = json!({ "user": family.user });
        let conn = self.record_quietly(action, Subject::Session, family.id.to_string(), detail);
        token_family::Entity::update_many()
            .set(revoked)
            .filter(token_family::Column::Id.eq(family.id))
            .exec(conn)
            .await?;
        Ok(())
    }
}

fn fresh(token_hash: Vec<u8>, family: Uuid, now: Micros) -> refresh_token::ActiveModel {
    refresh_token::ActiveModel {
        token_hash: Set(token_hash),
        family_id: Set(family),
        created: Set(now.0),
        used: Set(None),
    }
}
