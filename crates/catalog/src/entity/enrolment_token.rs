//! A token that lets hosts in.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "enrolment_tokens")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub tenant_id: Uuid,
    pub public_id: String,
    pub secret_hash: Vec<u8>,
    pub name: String,
    pub tags: String,
    pub groups: String,
    pub uses_max: Option<i32>,
    pub uses: i32,
    pub author: String,
    pub created: i64,
    pub expires: i64,
    pub last_used: Option<i64>,
    pub revoked: Option<i64>,
    pub version: i32,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
