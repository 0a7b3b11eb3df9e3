//! A vulnerability that is put up with for a while.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "finding_exceptions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub tenant_id: Uuid,
    pub vulnerability: String,
    pub package: String,
    pub reach: String,
    pub reach_name: String,
    pub reason: String,
    pub state: String,
    pub expires: i64,
    pub author: String,
    pub author_id: String,
    pub created: i64,
    pub decided_by: Option<String>,
    pub decided: Option<i64>,
    pub version: i32,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
