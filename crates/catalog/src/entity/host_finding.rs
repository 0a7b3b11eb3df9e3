//! What a host has, and what is wrong with it, both by number and packed.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "host_findings")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub host_id: Uuid,
    pub tenant_id: Uuid,
    pub lists: i64,
    pub ecosystem: String,
    pub exposure: String,
    pub ground: String,
    pub reasons: String,
    pub kernel: String,
    pub advisories: i64,
    pub judged: i64,
    pub components: Vec<u8>,
    pub entries: Vec<u8>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
