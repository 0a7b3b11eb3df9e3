//! Sessions, API keys and the set-up token. Only hashes come here; making and comparing secrets is the business of
//! `identity`.

use guardian_model::{Ip, Micros, TenantId, UserId};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::entity::{api_key, membership, session, setup_token, user};
use crate::text::clean;
use crate::tx::{Audit, Change};
use crate::{Action, CatalogError, Scoped, Subject, System, Tx};

/// Most sessions an account may have; signing in once more ends the one longest unused.
pub const SESSIONS_PER_USER_MAX: usize = 50;

/// Most API keys a tenant may have, revoked ones included.
pub const API_KEYS_PER_TENANT_MAX: u64 = 1_000;

/// A session, without its token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its id, which is no secret.
    pub id: Uuid,
    /// Whose.
    pub user: UserId,
    /// Since when.
    pub created: Micros,
    /// When it was last used, to the minute.
    pub last_seen: Micros,
    /// When it ends at the latest.
    pub expires: Micros,
    /// What the browser called itself.
    pub user_agent: Option<String>,
    /// Where it was made from.
    pub ip: Option<Ip>,
}

/// An API key, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Its id.
    pub id: Uuid,
    /// The part of the key that is no secret and names it.
    pub public_id: String,
    /// The tenant it works in.
    pub tenant: TenantId,
    /// Who made it; a key never may more than its maker.
    pub user: UserId,
    /// What it is for.
    pub name: String,
    /// The permissions it is limited to, by name.
    pub scopes: Vec<String>,
    /// Since when.
    pub created: Micros,
    /// Until when.
    pub expires: Option<Micros>,
    /// When it was last used, to the minute.
    pub last_used: Option<Micros>,
    /// When it was revoked.
    pub revoked: Option<Micros>,
}

/// An API key to make.
#[derive(Clone, Debug)]
pub struct NewApiKey {
    /// The part that is no secret.
    pub public_id: String,
    /// Hash of the secret.
    pub secret_hash: Vec<u8>,
    /// Who makes it; a member of the transaction's tenant.
    pub user: UserId,
    /// What it is for.
    pub name: String,
    /// The permissions it is limited to, by name.
    pub scopes: Vec<String>,
    /// Until when.
    pub expires: Option<Micros>,
}

impl From<session::Model> for Session {
    fn from(row: session::Model) -> Self {
        Self {
            id: row.id,
            user: UserId(row.user_id),
            created: Micros(row.created),
            last_seen: Micros(row.last_seen),
            expires: Micros(row.expires),
            user_agent: row.user_agent,
            ip: row.ip.and_then(|ip| ip.parse().ok()),
        }
    }
}

impl TryFrom<api_key::Model> for ApiKey {
    type Error = CatalogError;

    fn try_from(row: api_key::Model) -> Result<Self, CatalogError> {
        Ok(Self {
            id: row.id,
            public_id: row.public_id,
            tenant: TenantId(row.tenant_id),
            user: UserId(row.user_id),
            name: row.name,
            scopes: serde_json::from_str(&row.scopes).map_err(CatalogError::json("api_keys.scopes"))?,
            created: Micros(row.created),
            expires: row.expires.map(Micros),
            last_used: row.last_used.map(Micros),
            revoked: row.revoked.map(Micros),
        })
    }
}

impl Scoped<'_> {
    /// The API keys of the scope, newest first.
    pub async fn api_keys(&self) -> Result<Vec<ApiKey>, CatalogError> {
        let query = self.select::<api_key::Entity>().order_by_desc(api_key::Column::Created);
        query.all(self.conn()).await?.into_iter().map(ApiKey::try_from).collect()
    }

    /// The sessions of an account that has a role in a tenant of the scope, last used first.
    pub async fn sessions(&self, user: UserId) -> Result<Vec<Session>, CatalogError> {
        self.user(user).await?;
        let query = session::Entity::find().filter(session::Column::UserId.eq(user.0));
        let rows = query.order_by_desc(session::Column::LastSeen).all(self.conn()).await?;
        Ok(rows.into_iter().map(Session::from).collect())
    }
}

impl System<'_> {
    /// The session whose token has this hash.
    pub async fn session(&self, token_hash: &[u8]) -> Result<Option<Session>, CatalogError> {
        let query = session::Entity::find().filter(session::Column::TokenHash.eq(token_hash.to_vec()));
        Ok(query.one(self.read()).await?.map(Session::from))
    }

    /// Notes that a session was used now. Call it once a minute, not for every request.
    pub async fn touch_session(&self, id: Uuid) -> Result<(), CatalogError> {
        let seen = session::ActiveModel { last_seen: Set(self.catalog().now().0), ..Default::default() };
        session::Entity::update_many().set(seen).filter(session::Column::Id.eq(id)).exec(self.write()).await?;
        Ok(())
    }

    /// Removes sessions that ended by themselves: past their end, or not used after `idle_since`. Returns how many.
    pub async fn drop_ended_sessions(&self, idle_since: Micros) -> Result<u64, CatalogError> {
        let ended = sea_orm::Condition::any()
            .add(session::Column::Expires.lte(self.catalog().now().0))
            .add(session::Column::LastSeen.lte(idle_since.0));
        Ok(session::Entity::delete_many().filter(ended).exec(self.write()).await?.rows_affected)
    }

    /// The API key with this public part, and the hash of its secret.
    pub async fn api_key(&self, public_id: &str) -> Result<Option<(ApiKey, Vec<u8>)>, CatalogError> {
        let query = api_key::Entity::find().filter(api_key::Column::PublicId.eq(clean(public_id, 100)));
        let Some(row) = query.one(self.read()).await? else { return Ok(None) };
        let hash = row.secret_hash.clone();
        Ok(Some((ApiKey::try_from(row)?, hash)))
    }

    /// Notes that an API key was used now. Call it once a minute, not for every request.
    pub async fn touch_api_key(&self, id: Uuid) -> Result<(), CatalogError> {
        let used = api_key::ActiveModel { last_used: Set(Some(self.catalog().now().0)), ..Default::default() };
        api_key::Entity::update_many().set(used).filter(api_key::Column::Id.eq(id)).exec(self.write()).await?;
        Ok(())
    }
}

impl Tx {
    /// Opens a session for an account at home in this transaction's tenant. Audited as `session.open`.
    pub async fn open_session(
        &mut self,
        user: UserId,
        token_hash: Vec<u8>,
        expires: Micros,
        user_agent: Option<&str>,
    ) -> Result<Session, CatalogError> {
        self.home_user(user).await?;
        let of_user = || session::Entity::find().filter(session::Column::UserId.eq(user.0));
        let open = of_user().order_by_desc(session::Column::LastSeen).all(self.look()).await?;
        let surplus: Vec<Uuid> = open.iter().skip(SESSIONS_PER_USER_MAX - 1).map(|s| s.id).collect();
        let row = session::Model {
            id: self.new_id(),
            token_hash,
            user_id: user.0,
            created: self.now().0,
            last_seen: self.now().0,
            expires: expires.0,
            user_agent: user_agent.map(|a| clean(a, 300)),
            ip: self.actor().ip.map(|ip| ip.to_string()),
        };
        let session = Session::from(row.clone());
        let signed_in = user::ActiveModel { last_sign_in: Set(Some(self.now().0)), ..Default::default() };
        let conn =
            self.record_quietly("session.open", Subject::Session, session.id.to_string(), json!({ "user": user }));
        session::Entity::insert(sea_orm::IntoActiveModel::into_active_model(row)).exec_without_returning(conn).await?;
        session::Entity::delete_many().filter(session::Column::Id.is_in(surplus)).exec(conn).await?;
        user::Entity::update_many().set(signed_in).filter(user::Column::Id.eq(user.0)).exec(conn).await?;
        Ok(session)
    }

    /// Ends a session of an account at home in this transaction's tenant. Audited as `session.close`.
    pub async fn close_session(&mut self, user: UserId, id: Uuid) -> Result<(), CatalogError> {
        self.home_user(user).await?;
        let query = session::Entity::find_by_id(id).filter(session::Column::UserId.eq(user.0));
        query.one(self.look()).await?.ok_or(CatalogError::NotFound("session"))?;
        let conn = self.record_quietly("session.close", Subject::Session, id.to_string(), json!({ "user": user }));
        session::Entity::delete_by_id(id).exec(conn).await?;
        Ok(())
    }

    /// Makes an API key for this transaction's tenant.
    pub async fn create_api_key(&mut self, new: &NewApiKey) -> Result<ApiKey, CatalogError> {
        let member = membership::Entity::find_by_id((new.user.0, self.tenant().0)).one(self.look()).await?;
        member.ok_or(CatalogError::NotFound("user"))?;
        let of_tenant = api_key::Entity::find().filter(api_key::Column::TenantId.eq(self.tenant().0));
        if of_tenant.count(self.look()).await? >= API_KEYS_PER_TENANT_MAX {
            return Err(CatalogError::Conflict(format!("a tenant has at most {API_KEYS_PER_TENANT_MAX} API keys")));
        }
        let row = api_key::Model {
            id: self.new_id(),
            public_id: clean(&new.public_id, 100),
            tenant_id: self.tenant().0,
            user_id: new.user.0,
            name: clean(new.name.trim(), 200),
            secret_hash: new.secret_hash.clone(),
            scopes: json!(new.scopes).to_string(),
            created: self.now().0,
            expires: new.expires.map(|t| t.0),
            last_used: None,
            revoked: None,
        };
        let key = ApiKey::try_from(row.clone())?;
        let (conn, _) = self.record(Change {
            subject: Subject::ApiKey,
            id: key.id.to_string(),
            action: Action::Created,
            payload: json!(key),
            audit: Audit::Entry { action: "api_key.create", before: Value::Null, after: json!(key) },
        });
        api_key::Entity::insert(sea_orm::IntoActiveModel::into_active_model(row)).exec_without_returning(conn).await?;
        Ok(key)
    }

    /// Revokes an API key of this transaction's tenant, for good.
    pub async fn revoke_api_key(&mut self, id: Uuid) -> Result<ApiKey, CatalogError> {
        let query = api_key::Entity::find_by_id(id).filter(api_key::Column::TenantId.eq(self.tenant().0));
        let row = query.one(self.look()).await?.ok_or(CatalogError::NotFound("API key"))?;
        let before = ApiKey::try_from(row)?;
        if before.revoked.is_some() {
            return Ok(before);
        }
        let after = ApiKey { revoked: Some(self.now()), ..before.clone() };
        let revoked = api_key::ActiveModel { revoked: Set(Some(self.now().0)), ..Default::default() };
        let (conn, _) = self.record(Change {
            subject: Subject::ApiKey,
            id: id.to_string(),
            action: Action::Updated,
            payload: json!(after),
            audit: Audit::Entry { action: "api_key.revoke", before: json!(before), after: json!(after) },
        });
        api_key::Entity::update_many().set(revoked).filter(api_key::Column::Id.eq(id)).exec(conn).await?;
        Ok(after)
    }

    /// Replaces every set-up token by one with this hash. Refused once there is an account.
    pub async fn put_setup_token(&mut self, token_hash: Vec<u8>, expires: Micros) -> Result<(), CatalogError> {
        self.refuse_if_set_up().await?;
        let row = setup_token::ActiveModel {
            id: Set(self.new_id()),
            token_hash: Set(token_hash),
            created: Set(self.now().0),
            expires: Set(expires.0),
            used: Set(None),
        };
        let detail = json!({ "expires": expires });
        let conn = self.record_quietly("setup.token", Subject::Installation, String::new(), detail);
        setup_token::Entity::delete_many().filter(setup_token::Column::Used.is_null()).exec(conn).await?;
        setup_token::Entity::insert(row).exec_without_returning(conn).await?;
        Ok(())
    }

    /// When the unused set-up token with this hash expires.
    pub async fn setup_token_expiry(&self, token_hash: &[u8]) -> Result<Option<Micros>, CatalogError> {
        let query = setup_token::Entity::find()
            .filter(setup_token::Column::TokenHash.eq(token_hash.to_vec()))
            .filter(setup_token::Column::Used.is_null());
        Ok(query.one(self.look()).await?.map(|row| Micros(row.expires)))
    }

    /// Uses up the set-up token with this hash. Not found if it is unknown, used or expired; refused once there is an
    /// account. The caller makes the first account in the same transaction.
    pub async fn use_setup_token(&mut self, token_hash: &[u8]) -> Result<(), CatalogError> {
        self.refuse_if_set_up().await?;
        let now = self.now().0;
        let row = setup_token::Entity::find()
            .filter(setup_token::Column::TokenHash.eq(token_hash.to_vec()))
            .filter(setup_token::Column::Used.is_null())
            .filter(setup_token::Column::Expires.gt(now))
            .one(self.look())
            .await?
            .ok_or(CatalogError::NotFound("set-up token"))?;
        let used = setup_token::ActiveModel { used: Set(Some(now)), ..Default::default() };
        let conn = self.record_quietly("setup.redeem", Subject::Installation, String::new(), Value::Null);
        setup_token::Entity::update_many().set(used).filter(setup_token::Column::Id.eq(row.id)).exec(conn).await?;
        Ok(())
    }

    async fn refuse_if_set_up(&self) -> Result<(), CatalogError> {
        if user::Entity::find().count(self.look()).await? > 0 {
            return Err(CatalogError::Conflict("Guardian is set up already".into()));
        }
        Ok(())
    }
}
