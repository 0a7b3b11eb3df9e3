//! API keys of programs.

use guardian_model::{Micros, TenantId, UserId};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, EntityTrait, IntoActiveModel as _, PaginatorTrait, QueryFilter, QueryOrder,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::entity::{api_key, membership};
use crate::text::clean;
use crate::tx::{Audit, Change};
use crate::{Action, CatalogError, Scoped, Subject, System, Tx};

/// Most API keys a tenant may have, revoked ones included.
pub const API_KEYS_PER_TENANT_MAX: u64 = 1_000;

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
    /// Grows by one with every change.
    pub version: i32,
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

/// What to change of an API key; absent fields stay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiKeyChange {
    /// What it is for.
    pub name: Option<String>,
    /// The permissions it is limited to, by name.
    pub scopes: Option<Vec<String>>,
    /// Until when.
    pub expires: Option<Micros>,
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
            version: row.version,
        })
    }
}

impl Scoped<'_> {
    /// The API keys of the scope, newest first.
    pub async fn api_keys(&self) -> Result<Vec<ApiKey>, CatalogError> {
        let query = self.select::<api_key::Entity>().order_by_desc(api_key::Column::Created);
        query.all(self.conn()).await?.into_iter().map(ApiKey::try_from).collect()
    }

    /// One API key of the scope.
    pub async fn api_key(&self, id: Uuid) -> Result<ApiKey, CatalogError> {
        let query = self.select::<api_key::Entity>().filter(api_key::Column::Id.eq(id));
        query.one(self.conn()).await?.ok_or(CatalogError::NotFound("API key"))?.try_into()
    }
}

impl System<'_> {
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
            version: 1,
        };
        let key = ApiKey::try_from(row.clone())?;
        let conn = self.record_key(&key, Action::Created, "api_key.create", Value::Null);
        api_key::Entity::insert(row.into_active_model()).exec_without_returning(conn).await?;
        Ok(key)
    }

    /// Changes an API key of this transaction's tenant. `version` is the one the caller saw.
    pub async fn update_api_key(
        &mut self,
        id: Uuid,
        version: i32,
        change: &ApiKeyChange,
    ) -> Result<ApiKey, CatalogError> {
        let before = self.key(id).await?;
        CatalogError::unless_at("API key", before.version, version)?;
        if before.revoked.is_some() {
            return Err(CatalogError::Conflict("the key is revoked for good".into()));
        }
        let mut after = ApiKey { version: version + 1, ..before.clone() };
        if let Some(name) = &change.name {
            after.name = clean(name.trim(), 200);
        }
        if let Some(scopes) = &change.scopes {
            after.scopes.clone_from(scopes);
        }
        after.expires = change.expires.or(before.expires);
        let row = api_key::ActiveModel {
            name: Set(after.name.clone()),
            scopes: Set(json!(after.scopes).to_string()),
            expires: Set(after.expires.map(|t| t.0)),
            version: Set(after.version),
            ..Default::default()
        };
        let conn = self.record_key(&after, Action::Updated, "api_key.update", json!(before));
        api_key::Entity::update_many().set(row).filter(api_key::Column::Id.eq(id)).exec(conn).await?;
        Ok(after)
    }

    /// Revokes an API key of this transaction's tenant, for good.
    pub async fn revoke_api_key(&mut self, id: Uuid) -> Result<ApiKey, CatalogError> {
        let before = self.key(id).await?;
        if before.revoked.is_some() {
            return Ok(before);
        }
        let after = ApiKey { revoked: Some(self.now()), version: before.version + 1, ..before.clone() };
        let row = api_key::ActiveModel {
            revoked: Set(Some(self.now().0)),
            version: Set(after.version),
            ..Default::default()
        };
        let conn = self.record_key(&after, Action::Updated, "api_key.revoke", json!(before));
        api_key::Entity::update_many().set(row).filter(api_key::Column::Id.eq(id)).exec(conn).await?;
        Ok(after)
    }

    async fn key(&self, id: Uuid) -> Result<ApiKey, CatalogError> {
        let query = api_key::Entity::find_by_id(id).filter(api_key::Column::TenantId.eq(self.tenant().0));
        query.one(self.look()).await?.ok_or(CatalogError::NotFound("API key"))?.try_into()
    }

    fn record_key(
        &mut self,
        key: &ApiKey,
        action: Action,
        audit: &'static str,
        before: Value,
    ) -> &sea_orm::DatabaseTransaction {
        let change = Change {
            subject: Subject::ApiKey,
            id: key.id.to_string(),
            action,
            payload: json!(key),
            audit: Audit::Entry { action: audit, before, after: json!(key) },
        };
        self.record(change).0
    }
}
