//! What is wrong with an image, by number and packed as that of a host.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "image_findings")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub image_id: Uuid,
    pub tenant_id: Uuid,
    pub revision: i64,
    pub ecosystem: String,
    pub exposure: String,
    pub criticality: String,
    pub advisories: i64,
    pub judged: i64,
    pub components: Vec<u8>,
    pub entries: Vec<u8>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
