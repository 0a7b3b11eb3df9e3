//! A question to the tables of hosts.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "live_queries")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub tenant_id: Uuid,
    pub sql: String,
    pub reason: String,
    pub author: String,
    pub created: i64,
    pub expires: i64,
    pub timeout_ms: i64,
    pub rows_max: i64,
    pub cancelled: Option<i64>,
    pub hosts: i32,
    pub parts: i64,
    pub rows: i64,
    pub bytes: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
