//! Settings that a tenant sees or edits: every change is a new version, so that what held at any time can be told.

use guardian_model::{Micros, TenantId};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::entity::setting;
use crate::text::clean;
use crate::tx::{Audit, Change};
use crate::{Action, CatalogError, Scoped, Subject, Tx};

/// One version of a setting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Setting {
    /// Whose.
    pub tenant: TenantId,
    /// Which one, dotted: `networks.home`.
    pub key: String,
    /// Its version, from 1.
    pub version: i32,
    /// Its value.
    pub value: Value,
    /// Who set it.
    pub author: String,
    /// When.
    pub created: Micros,
}

impl TryFrom<setting::Model> for Setting {
    type Error = CatalogError;

    fn try_from(row: setting::Model) -> Result<Self, CatalogError> {
        Ok(Self {
            tenant: TenantId(row.tenant_id),
            key: row.key,
            version: row.version,
            value: serde_json::from_str(&row.value).map_err(CatalogError::json("settings.value"))?,
            author: row.author,
            created: Micros(row.created),
        })
    }
}

impl Scoped<'_> {
    /// The versions of a setting, newest first, at most `limit`.
    pub async fn setting_versions(
        &self,
        tenant: TenantId,
        key: &str,
        limit: u64,
    ) -> Result<Vec<Setting>, CatalogError> {
        self.require(tenant)?;
        let rows = self
            .select::<setting::Entity>()
            .filter(setting::Column::TenantId.eq(tenant.0))
            .filter(setting::Column::Key.eq(clean(key, 200)))
            .order_by_desc(setting::Column::Version)
            .limit(limit.clamp(1, 1_000))
            .all(self.conn())
            .await?;
        rows.into_iter().map(Setting::try_from).collect()
    }

    /// A setting as it holds now.
    pub async fn setting(&self, tenant: TenantId, key: &str) -> Result<Option<Setting>, CatalogError> {
        Ok(self.setting_versions(tenant, key, 1).await?.pop())
    }
}

impl Tx {
    /// Sets a setting. `expected` is the version that the caller saw, 0 for none; another one in between is a conflict.
    pub async fn put_setting(
        &mut self,
        key: &str,
        value: &Value,
        expected: Option<i32>,
    ) -> Result<Setting, CatalogError> {
        let key = clean(key, 200);
        let old = setting::Entity::find()
            .filter(setting::Column::TenantId.eq(self.tenant().0))
            .filter(setting::Column::Key.eq(&key))
            .order_by_desc(setting::Column::Version)
            .one(self.look())
            .await?
            .map(Setting::try_from)
            .transpose()?;
        let version = old.as_ref().map_or(0, |s| s.version);
        if expected.is_some_and(|expected| expected != version) {
            return Err(CatalogError::Conflict(format!(
                "the setting `{key}` was changed meanwhile; it is at version {version}"
            )));
        }
        if let Some(old) = old.as_ref().filter(|old| old.value == *value) {
            return Ok(old.clone());
        }
        let setting = Setting {
            tenant: self.tenant(),
            key,
            version: version + 1,
            value: value.clone(),
            author: self.actor().name.clone(),
            created: self.now(),
        };
        let (conn, _) = self.record(Change {
            subject: Subject::Setting,
            id: setting.key.clone(),
            action: if version == 0 { Action::Created } else { Action::Updated },
            payload: json!(setting),
            audit: Audit::Entry {
                action: "setting.put",
                before: old.map_or(Value::Null, |old| old.value),
                after: setting.value.clone(),
            },
        });
        let row = setting::ActiveModel {
            tenant_id: Set(setting.tenant.0),
            key: Set(setting.key.clone()),
            version: Set(setting.version),
            value: Set(setting.value.to_string()),
            author: Set(setting.author.clone()),
            created: Set(setting.created.0),
        };
        setting::Entity::insert(row).exec_without_returning(conn).await?;
        Ok(setting)
    }
}
