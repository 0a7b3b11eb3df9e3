//! Something to do about an incident.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "incident_tasks")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub tenant_id: Uuid,
    pub incident_id: Uuid,
    pub version: i32,
    pub position: i32,
    pub phase: String,
    pub title: String,
    pub description: String,
    pub status: String,
    pub assignee: Option<Uuid>,
    pub due: Option<i64>,
    pub created: i64,
    pub completed: Option<i64>,
    pub completed_by: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
