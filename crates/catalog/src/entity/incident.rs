//! An incident: alerts that tell one story, and what people do about it.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "incidents")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub tenant_id: Uuid,
    pub number: i64,
    pub version: i32,
    pub title: String,
    pub summary: String,
    pub kind: String,
    pub severity: i32,
    pub status: String,
    pub owner: Option<Uuid>,
    pub watchers: String,
    pub tags: String,
    pub origin: String,
    pub replay: Option<String>,
    pub verdict: Option<String>,
    pub resolution: Option<String>,
    pub attack: String,
    pub first_seen: i64,
    pub last_seen: i64,
    pub created: i64,
    pub created_by: String,
    pub updated: i64,
    pub triaged_at: Option<i64>,
    pub contained_at: Option<i64>,
    pub resolved_at: Option<i64>,
    pub closed_at: Option<i64>,
    pub merged_into: Option<Uuid>,
    pub acknowledge_due: Option<i64>,
    pub contain_due: Option<i64>,
    pub resolve_due: Option<i64>,
    pub next_due: i64,
    pub sla_warned: i32,
    pub sla_breached: i32,
    pub alerts: i32,
    pub entities: i32,
    pub tasks: i32,
    pub tasks_done: i32,
    pub comments: i32,
    pub evidence: i32,
    pub seq: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
