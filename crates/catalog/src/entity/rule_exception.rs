//! An exception to a rule: rows that it is not to look at.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "rule_exceptions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub tenant_id: Uuid,
    pub rule_id: String,
    pub version: i32,
    pub filter: String,
    pub reason: String,
    pub expires: Option<i64>,
    pub enabled: bool,
    pub hits: i64,
    pub last_hit: Option<i64>,
    pub author: String,
    pub created: i64,
    pub updated: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
