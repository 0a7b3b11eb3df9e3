//! The single-use token of first-run set-up.

use guardian_model::Micros;
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::{Value, json};

use crate::entity::{setup_token, user};
use crate::{CatalogError, Subject, Tx};

impl Tx {
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
