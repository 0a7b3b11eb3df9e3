//! A release on its way to hosts.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "rollouts")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub tenant_id: Uuid,
    pub release_version: String,
    pub plan: String,
    pub state: String,
    pub stage: i32,
    pub stage_since: i64,
    pub stage_passed: Option<i64>,
    pub reason: String,
    pub author: String,
    pub created: i64,
    pub updated: i64,
    pub version: i32,
    pub hosts: i32,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
