//! Baselines of files that hosts had.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "host_baselines")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub host_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub number: i64,
    pub tenant_id: Uuid,
    pub root: String,
    pub previous: String,
    pub policy: String,
    pub made: i64,
    pub received: i64,
    pub folders: i64,
    pub changed: i64,
    pub gone: i64,
    pub files: i64,
    pub bytes: i64,
    pub replaced: bool,
    pub public_key: String,
    pub signature: String,
    pub told: bool,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
