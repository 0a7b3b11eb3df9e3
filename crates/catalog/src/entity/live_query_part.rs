//! Rows that a host answered a question with, packed as they came.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "live_query_parts")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub query_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub number: i64,
    pub tenant_id: Uuid,
    pub run_id: Uuid,
    pub rows: i64,
    pub raw_bytes: i64,
    pub packed: Vec<u8>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
