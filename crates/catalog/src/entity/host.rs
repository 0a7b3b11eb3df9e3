//! A machine with an agent.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "hosts")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub tenant_id: Uuid,
    pub token_id: Option<Uuid>,
    pub name: String,
    pub platform: String,
    pub system: String,
    pub kernel: String,
    pub architecture: String,
    pub program: String,
    pub address: Option<String>,
    pub tags: String,
    pub groups: String,
    pub serial: String,
    pub previous_serial: Option<String>,
    pub not_after: i64,
    pub enrolled: i64,
    pub revoked: Option<i64>,
    pub last_seen: i64,
    pub online_until: i64,
    pub health: String,
    pub version: i32,
    pub updated: i64,
    pub policy_version: i32,
    pub policy_hash: String,
    pub matched: String,
    pub offline_told: Option<i64>,
    pub agent: String,
    pub node_key: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
