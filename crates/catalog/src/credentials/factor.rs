//! Second factors and the recovery codes for the day they are lost. Secrets arrive sealed and leave sealed.

use guardian_model::{Micros, UserId};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, EntityTrait, InsertMany, IntoActiveModel as _, PaginatorTrait, QueryFilter,
    QueryOrder,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::entity::{recovery_code, second_factor};
use crate::text::clean;
use crate::{CatalogError, Subject, System, Tx, text_enum};

/// Most second factors an account may have.
pub const FACTORS_PER_USER_MAX: usize = 10;

text_enum! {
    /// What sort of factor it is.
    FactorKind {
        /// A code that changes every half minute (RFC 6238).
        Totp = "totp",
        /// A key that a device or a password manager holds (WebAuthn).
        Passkey = "passkey",
    }
}

/// A second factor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecondFactor {
    /// Its id.
    pub id: Uuid,
    /// Whose.
    pub user: UserId,
    /// What sort it is.
    pub kind: FactorKind,
    /// What its owner calls it.
    pub name: String,
    /// Its secret, sealed. Never in a list, a log or the trail.
    #[serde(skip)]
    pub secret: String,
    /// The last time step that was used, so that no code works twice.
    #[serde(skip)]
    pub counter: i64,
    /// Whether its owner has shown that it works.
    pub confirmed: bool,
    /// Since when.
    pub created: Micros,
    /// When it was last used.
    pub last_used: Option<Micros>,
}

impl TryFrom<second_factor::Model> for SecondFactor {
    type Error = CatalogError;

    fn try_from(row: second_factor::Model) -> Result<Self, CatalogError> {
        Ok(Self {
            id: row.id,
            user: UserId(row.user_id),
            kind: row.kind.parse().map_err(CatalogError::Corrupt)?,
            name: row.name,
            secret: row.secret,
            counter: row.counter,
            confirmed: row.confirmed,
            created: Micros(row.created),
            last_used: row.last_used.map(Micros),
        })
    }
}

impl System<'_> {
    /// The second factors of an account, oldest first, unconfirmed ones included.
    pub async fn factors(&self, user: UserId) -> Result<Vec<SecondFactor>, CatalogError> {
        let query = second_factor::Entity::find().filter(second_factor::Column::UserId.eq(user.0));
        let rows = query.order_by_asc(second_factor::Column::Created).all(self.read()).await?;
        rows.into_iter().map(SecondFactor::try_from).collect()
    }

    /// The passkey that is found by `handle`, whoever's it is.
    pub async fn passkey(&self, handle: &str) -> Result<Option<SecondFactor>, CatalogError> {
        let query = second_factor::Entity::find()
            .filter(second_factor::Column::Handle.eq(handle))
            .filter(second_factor::Column::Confirmed.eq(true));
        query.one(self.read()).await?.map(SecondFactor::try_from).transpose()
    }

    /// How many recovery codes of an account are unused.
    pub async fn recovery_codes_left(&self, user: UserId) -> Result<u64, CatalogError> {
        let query = recovery_code::Entity::find()
            .filter(recovery_code::Column::UserId.eq(user.0))
            .filter(recovery_code::Column::Used.is_null());
        Ok(query.count(self.read()).await?)
    }
}

impl Tx {
    /// Adds a second factor to an account at home in this transaction's tenant. It counts once it is confirmed; an
    /// earlier one that never was is replaced.
    pub async fn add_factor(
        &mut self,
        user: UserId,
        kind: FactorKind,
        name: &str,
        secret: String,
    ) -> Result<SecondFactor, CatalogError> {
        self.home_user(user).await?;
        self.refuse_too_many_factors(user).await?;
        let row = second_factor::Model {
            id: self.new_id(),
            user_id: user.0,
            kind: kind.as_str().to_owned(),
            name: clean(name.trim(), 100),
            secret,
            handle: None,
            counter: 0,
            confirmed: false,
            created: self.now().0,
            last_used: None,
        };
        let factor = SecondFactor::try_from(row.clone())?;
        let conn = self.record_quietly("factor.begin", Subject::User, user.to_string(), json!(factor));
        second_factor::Entity::delete_many()
            .filter(second_factor::Column::UserId.eq(user.0))
            .filter(second_factor::Column::Confirmed.eq(false))
            .exec(conn)
            .await?;
        second_factor::Entity::insert(row.into_active_model()).exec_without_returning(conn).await?;
        Ok(factor)
    }

    /// Adds a passkey to an account at home in this transaction's tenant. `handle` is what it is found by; one that any
    /// account has already is a conflict.
    pub async fn add_passkey(
        &mut self,
        user: UserId,
        name: &str,
        handle: String,
        secret: String,
    ) -> Result<SecondFactor, CatalogError> {
        self.home_user(user).await?;
        self.refuse_too_many_factors(user).await?;
        let taken = second_factor::Entity::find().filter(second_factor::Column::Handle.eq(&handle));
        if taken.one(self.look()).await?.is_some() {
            return Err(CatalogError::Conflict("this passkey is registered already".into()));
        }
        let row = second_factor::Model {
            id: self.new_id(),
            user_id: user.0,
            kind: FactorKind::Passkey.as_str().to_owned(),
            name: clean(name.trim(), 100),
            secret,
            handle: Some(handle),
            counter: 0,
            confirmed: true,
            created: self.now().0,
            last_used: None,
        };
        let factor = SecondFactor::try_from(row.clone())?;
        let conn = self.record_access(user, "factor.add", Value::Null, json!(factor));
        second_factor::Entity::insert(row.into_active_model()).exec_without_returning(conn).await?;
        Ok(factor)
    }

    /// Notes that a passkey was used; `secret` is what is to be kept of it from now on.
    pub async fn use_passkey(&mut self, user: UserId, id: Uuid, secret: String) -> Result<(), CatalogError> {
        self.factor(user, id).await?;
        let row = second_factor::ActiveModel {
            secret: Set(secret),
            last_used: Set(Some(self.now().0)),
            ..Default::default()
        };
        let conn = self.record_quietly("factor.use", Subject::User, user.to_string(), json!({ "factor": id }));
        second_factor::Entity::update_many().set(row).filter(second_factor::Column::Id.eq(id)).exec(conn).await?;
        Ok(())
    }

    /// Gives a confirmed factor another name.
    pub async fn rename_factor(&mut self, user: UserId, id: Uuid, name: &str) -> Result<SecondFactor, CatalogError> {
        self.home_user(user).await?;
        let before = self.factor(user, id).await?;
        let name = clean(name.trim(), 100);
        if name.is_empty() || !before.confirmed {
            return Err(CatalogError::Invalid("a second factor needs a name".into()));
        }
        let after = SecondFactor { name: name.clone(), ..before.clone() };
        let row = second_factor::ActiveModel { name: Set(name), ..Default::default() };
        let conn = self.record_access(user, "factor.rename", json!(before), json!(after));
        second_factor::Entity::update_many().set(row).filter(second_factor::Column::Id.eq(id)).exec(conn).await?;
        Ok(after)
    }

    async fn refuse_too_many_factors(&self, user: UserId) -> Result<(), CatalogError> {
        if self.factors_of(user).await?.iter().filter(|f| f.confirmed).count() >= FACTORS_PER_USER_MAX {
            return Err(CatalogError::Conflict(format!(
                "an account has at most {FACTORS_PER_USER_MAX} second factors"
            )));
        }
        Ok(())
    }

    /// Makes a factor count, after its first code.
    pub async fn confirm_factor(&mut self, user: UserId, id: Uuid, counter: i64) -> Result<SecondFactor, CatalogError> {
        self.home_user(user).await?;
        let before = self.factor(user, id).await?;
        let after = SecondFactor { confirmed: true, counter, last_used: Some(self.now()), ..before };
        let row = second_factor::ActiveModel {
            confirmed: Set(true),
            counter: Set(counter),
            last_used: Set(Some(self.now().0)),
            ..Default::default()
        };
        let conn = self.record_access(user, "factor.add", Value::Null, json!(after));
        second_factor::Entity::update_many().set(row).filter(second_factor::Column::Id.eq(id)).exec(conn).await?;
        Ok(after)
    }

    /// Uses a factor's code up: later codes alone count. Refused if this one or a later one was used already, by
    /// whoever was faster.
    pub async fn use_factor(&mut self, user: UserId, id: Uuid, counter: i64) -> Result<(), CatalogError> {
        let factor = self.factor(user, id).await?;
        if !factor.confirmed || counter <= factor.counter {
            return Err(CatalogError::NotFound("factor"));
        }
        let row = second_factor::ActiveModel {
            counter: Set(counter),
            last_used: Set(Some(self.now().0)),
            ..Default::default()
        };
        let conn = self.record_quietly("factor.use", Subject::User, user.to_string(), json!({ "factor": id }));
        second_factor::Entity::update_many().set(row).filter(second_factor::Column::Id.eq(id)).exec(conn).await?;
        Ok(())
    }

    /// Takes a factor away; with the last one the recovery codes go.
    pub async fn remove_factor(&mut self, user: UserId, id: Uuid) -> Result<(), CatalogError> {
        self.home_user(user).await?;
        let before = self.factor(user, id).await?;
        let others = self.factors_of(user).await?.iter().filter(|f| f.confirmed && f.id != id).count();
        let conn = self.record_access(user, "factor.remove", json!(before), Value::Null);
        second_factor::Entity::delete_by_id(id).exec(conn).await?;
        if others == 0 {
            recovery_code::Entity::delete_many().filter(recovery_code::Column::UserId.eq(user.0)).exec(conn).await?;
        }
        Ok(())
    }

    /// Takes every factor and recovery code of an account at home here away and ends its sessions: for somebody whose
    /// telephone is gone.
    pub async fn reset_factors(&mut self, user: UserId) -> Result<(), CatalogError> {
        self.home_user(user).await?;
        let before = json!(self.factors_of(user).await?);
        let conn = self.record_access(user, "factor.reset", before, Value::Null);
        second_factor::Entity::delete_many().filter(second_factor::Column::UserId.eq(user.0)).exec(conn).await?;
        recovery_code::Entity::delete_many().filter(recovery_code::Column::UserId.eq(user.0)).exec(conn).await?;
        self.end_access(user, None).await?;
        Ok(())
    }

    /// Replaces the recovery codes of an account at home in this transaction's tenant.
    pub async fn put_recovery_codes(&mut self, user: UserId, hashes: Vec<Vec<u8>>) -> Result<(), CatalogError> {
        self.home_user(user).await?;
        let rows: Vec<recovery_code::ActiveModel> = hashes
            .into_iter()
            .map(|hash| recovery_code::ActiveModel {
                id: Set(self.new_id()),
                user_id: Set(user.0),
                code_hash: Set(hash),
                used: Set(None),
            })
            .collect();
        let detail = json!({ "codes": rows.len() });
        let conn = self.record_quietly("recovery_codes.make", Subject::User, user.to_string(), detail);
        recovery_code::Entity::delete_many().filter(recovery_code::Column::UserId.eq(user.0)).exec(conn).await?;
        InsertMany::<recovery_code::ActiveModel>::many(rows).exec_without_returning(conn).await?;
        Ok(())
    }

    /// Uses a recovery code up. Not found if there is none with this hash or it was used.
    pub async fn use_recovery_code(&mut self, user: UserId, hash: &[u8]) -> Result<(), CatalogError> {
        let query = recovery_code::Entity::find()
            .filter(recovery_code::Column::UserId.eq(user.0))
            .filter(recovery_code::Column::CodeHash.eq(hash.to_vec()))
            .filter(recovery_code::Column::Used.is_null());
        let row = query.one(self.look()).await?.ok_or(CatalogError::NotFound("recovery code"))?;
        let used = recovery_code::ActiveModel { used: Set(Some(self.now().0)), ..Default::default() };
        let conn = self.record_quietly("recovery_code.use", Subject::User, user.to_string(), json!({}));
        recovery_code::Entity::update_many().set(used).filter(recovery_code::Column::Id.eq(row.id)).exec(conn).await?;
        Ok(())
    }

    /// The second factors of an account, as this transaction sees them.
    pub async fn factors_of(&self, user: UserId) -> Result<Vec<SecondFactor>, CatalogError> {
        let query = second_factor::Entity::find().filter(second_factor::Column::UserId.eq(user.0));
        query.all(self.look()).await?.into_iter().map(SecondFactor::try_from).collect()
    }

    async fn factor(&self, user: UserId, id: Uuid) -> Result<SecondFactor, CatalogError> {
        let query = second_factor::Entity::find_by_id(id).filter(second_factor::Column::UserId.eq(user.0));
        query.one(self.look()).await?.ok_or(CatalogError::NotFound("factor"))?.try_into()
    }
}
