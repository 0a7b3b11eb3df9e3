//! An image of containers, without what is in it.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "images")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub tenant_id: Uuid,
    pub name: String,
    pub digest: String,
    pub distribution: String,
    pub architecture: String,
    pub form: String,
    pub exposure: String,
    pub criticality: String,
    pub chain: String,
    pub layers: i32,
    pub packages: i32,
    pub unknown: i32,
    pub scanned: i64,
    pub first_sent: i64,
    pub sent: i64,
    pub sender: String,
    pub revision: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
