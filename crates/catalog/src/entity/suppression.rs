//! A rule of people about alerts that need nobody: what matches is stored closed.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "suppressions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub tenant_id: Uuid,
    pub version: i32,
    pub name: String,
    pub rule_id: Option<String>,
    pub entity_kind: Option<String>,
    pub entity: Option<String>,
    pub group_key: Option<String>,
    pub verdict: String,
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
