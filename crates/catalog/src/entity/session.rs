//! A browser session; only the hash of its token is kept.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sessions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub token_hash: Vec<u8>,
    pub user_id: Uuid,
    pub created: i64,
    pub last_seen: i64,
    pub expires: i64,
    pub user_agent: Option<String>,
    pub ip: Option<String>,
    pub proved: i64,
    pub factor_at: Option<i64>,
    pub method: String,
    pub provider: Option<String>,
    pub external_factor: bool,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
