//! What an incident is about: an address, a machine, an account, an indicator.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "incident_entities")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub tenant_id: Uuid,
    pub incident_id: Uuid,
    pub version: i32,
    pub site: String,
    pub kind: String,
    pub value: String,
    pub role: String,
    pub note: String,
    pub indicator: bool,
    pub automatic: bool,
    pub alerts: i32,
    pub first_seen: Option<i64>,
    pub last_seen: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
