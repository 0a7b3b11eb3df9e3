//! One entry of an incident's timeline.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "incident_entries")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub tenant_id: Uuid,
    pub incident_id: Uuid,
    pub version: i32,
    pub kind: String,
    pub event_time: i64,
    pub created: i64,
    pub author: String,
    pub author_id: Option<String>,
    pub text: String,
    pub mentions: String,
    pub data: String,
    pub edited: Option<i64>,
    pub automatic: bool,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
