//! Events that people took out of a grouped alert into one of their own.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{text_null, uuid_null};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // SQLite adds one column a statement.
        for column in [text_null("taken"), uuid_null("split_from")] {
            manager.alter_table(Table::alter().table("alerts").add_column(column).take()).await?;
        }
        Ok(())
    }
}
