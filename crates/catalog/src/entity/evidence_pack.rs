//! Packs of evidence that hosts collected.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "evidence_packs")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub tenant_id: Uuid,
    pub command_id: Uuid,
    pub host_id: Uuid,
    pub host_name: String,
    pub state: String,
    pub bytes: i64,
    pub hash: String,
    pub entries: i64,
    pub raw_bytes: i64,
    pub left_out: i64,
    pub text: String,
    pub told: i64,
    pub updated: i64,
    pub carve: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
