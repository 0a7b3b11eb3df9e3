//! What a person was told.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "notifications")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub tenant_id: Uuid,
    pub user_id: Uuid,
    pub key: String,
    pub event: String,
    pub time: i64,
    pub title: String,
    pub text: String,
    pub link: String,
    pub subject: String,
    pub subject_id: String,
    pub by_whom: Option<String>,
    pub test: bool,
    pub read: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
