//! A release of the agent's program.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "agent_releases")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub tenant_id: Uuid,
    pub version: String,
    pub platform: String,
    pub architecture: String,
    pub size: i64,
    pub sha256: String,
    pub signed: String,
    pub key: String,
    pub notes: String,
    pub author: String,
    pub added: i64,
    pub withdrawn: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
