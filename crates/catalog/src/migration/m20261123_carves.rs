//! Archives of files that nodes of osquery bring stand among the packs of evidence, by what osquery calls them.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::text;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = text("carve").default("").take();
        manager.alter_table(Table::alter().table("evidence_packs").add_column(column).take()).await
    }
}
