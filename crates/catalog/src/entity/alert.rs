//! An alert: what the detector said, and what people said about it.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "alerts")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub tenant_id: Uuid,
    pub key: Vec<u8>,
    pub rule_id: String,
    pub rule_hash: String,
    pub rule_title: String,
    pub attack: String,
    pub severity: i32,
    pub next_steps: String,
    pub site: String,
    pub entity_kind: String,
    pub entity: String,
    pub group_key: String,
    pub window_start: i64,
    pub first_seen: i64,
    pub last_seen: i64,
    pub count: i64,
    pub summary: String,
    pub measures: String,
    pub evidence_hash: Vec<u8>,
    pub replay: Option<String>,
    pub retro: bool,
    pub status: String,
    pub verdict: Option<String>,
    pub reason: Option<String>,
    pub assignee: Option<Uuid>,
    pub note: Option<String>,
    pub snoozed_until: Option<i64>,
    pub suppressed_by: Option<Uuid>,
    pub incident_id: Option<Uuid>,
    pub decided: Option<i64>,
    pub created: i64,
    pub updated: i64,
    pub seq: i64,
    pub taken: Option<String>,
    pub split_from: Option<Uuid>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
