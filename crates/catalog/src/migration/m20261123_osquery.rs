//! Hosts for which osquery speaks: what kind of agent a host has, and by which key its node is known.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{text, text_null};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in [text("agent").default("guardian").take(), text_null("node_key")] {
            manager.alter_table(Table::alter().table("hosts").add_column(column).take()).await?;
        }
        Ok(())
    }
}
