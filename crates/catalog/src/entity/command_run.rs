//! A command on one host.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "command_runs")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub tenant_id: Uuid,
    pub command_id: Uuid,
    pub host_id: Uuid,
    pub host_name: String,
    pub state: String,
    pub sent: Option<i64>,
    pub begun: Option<i64>,
    pub ended: Option<i64>,
    pub expires: i64,
    pub updated: i64,
    pub text: String,
    pub output: String,
    pub outcome: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
