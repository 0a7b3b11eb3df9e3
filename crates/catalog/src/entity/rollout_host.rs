//! A rollout on one host.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "rollout_hosts")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub tenant_id: Uuid,
    pub rollout_id: Uuid,
    pub host_id: Uuid,
    pub host_name: String,
    pub release_id: Uuid,
    pub stage: i32,
    pub state: String,
    pub from_version: String,
    pub fetched: i64,
    pub text: String,
    pub offered: Option<i64>,
    pub ended: Option<i64>,
    pub updated: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
