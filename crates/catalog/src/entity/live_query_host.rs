//! A question to the tables of one host.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "live_query_hosts")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub tenant_id: Uuid,
    pub query_id: Uuid,
    pub host_id: Uuid,
    pub host_name: String,
    pub state: String,
    pub sent: Option<i64>,
    pub ended: Option<i64>,
    pub expires: i64,
    pub columns: String,
    pub parts: i64,
    pub rows: i64,
    pub bytes: i64,
    pub more: bool,
    pub took_ms: Option<i64>,
    pub text: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
