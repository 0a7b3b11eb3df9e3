//! What people set for themselves. Nobody else reads it, so that nothing of it is audited; the change log tells the
//! person's other windows that there is something new.

use guardian_model::UserId;
use sea_orm::{ActiveValue::Set, EntityTrait, sea_query::OnConflict};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::entity::preference;
use crate::tx::{Audit, Change};
use crate::{Action, CatalogError, Subject, System, Tx};

/// Largest preferences of one person, in bytes of JSON.
pub const PREFERENCES_BYTES_MAX: usize = 32 * 1_024;

/// A person's preferences.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Preferences {
    /// Grows by one with every change; 0 while nothing was ever set.
    pub version: i32,
    /// A JSON object that the console understands.
    pub value: Value,
}

impl System<'_> {
    /// The preferences of an account, for that account.
    pub async fn preferences(&self, user: UserId) -> Result<Preferences, CatalogError> {
        read(preference::Entity::find_by_id(user.0).one(self.read()).await?)
    }
}

impl Tx {
    /// Sets the preferences of an account at home in this transaction's tenant. `version` is the one the caller saw.
    pub async fn put_preferences(
        &mut self,
        user: UserId,
        version: i32,
        value: Value,
    ) -> Result<Preferences, CatalogError> {
        self.home_user(user).await?;
        let text = value.to_string();
        if !value.is_object() || text.len() > PREFERENCES_BYTES_MAX {
            return Err(CatalogError::Invalid(format!(
                "preferences are a JSON object of at most {PREFERENCES_BYTES_MAX} bytes"
            )));
        }
        let old = read(preference::Entity::find_by_id(user.0).one(self.look()).await?)?;
        CatalogError::unless_at("preferences", old.version, version)?;
        let row = preference::ActiveModel {
            user_id: Set(user.0),
            value: Set(text),
            version: Set(version + 1),
            updated: Set(self.now().0),
        };
        let mut replace = OnConflict::column(preference::Column::UserId);
        replace.update_columns([preference::Column::Value, preference::Column::Version, preference::Column::Updated]);
        let (conn, _) = self.record(Change {
            subject: Subject::User,
            id: user.to_string(),
            action: Action::Updated,
            payload: Value::Null,
            audit: Audit::NotNeeded,
        });
        preference::Entity::insert(row).on_conflict(replace).exec_without_returning(conn).await?;
        Ok(Preferences { version: version + 1, value })
    }
}

fn read(row: Option<preference::Model>) -> Result<Preferences, CatalogError> {
    let Some(row) = row else { return Ok(Preferences { version: 0, value: json!({}) }) };
    let value = serde_json::from_str(&row.value).map_err(CatalogError::json("preferences.value"))?;
    Ok(Preferences { version: row.version, value })
}
