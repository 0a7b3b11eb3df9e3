//! The outbox, and the log of what left it.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "deliveries")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub tenant_id: Uuid,
    pub key: String,
    pub channel_id: Option<Uuid>,
    pub user_id: Option<Uuid>,
    pub kind: String,
    pub target: String,
    pub event: String,
    pub title: String,
    pub subject: String,
    pub subject_id: String,
    pub body: String,
    pub bundle: Option<String>,
    pub test: bool,
    pub state: String,
    pub attempts: i32,
    pub created: i64,
    pub next_attempt: i64,
    pub finished: Option<i64>,
    pub answer: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
