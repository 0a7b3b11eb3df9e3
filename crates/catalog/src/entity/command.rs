//! Something that hosts are to do.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "commands")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub tenant_id: Uuid,
    pub kind: String,
    pub action: String,
    pub dry_run: bool,
    pub reason: String,
    pub author: String,
    pub created: i64,
    pub expires: i64,
    pub timeout_ms: i64,
    pub cancelled: Option<i64>,
    pub hosts: i32,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
