//! One list of what a host has.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "host_lists")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub host_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub list: String,
    pub tenant_id: Uuid,
    pub hash: Vec<u8>,
    pub entries: i32,
    pub read_at: i64,
    pub received: i64,
    pub epoch: i64,
    pub revision: i64,
    pub document: Vec<u8>,
    pub pending: Option<Vec<u8>>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
