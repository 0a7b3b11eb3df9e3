//! Which kernel a host runs, and from where it can be reached, reason by reason.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::text;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in [text("reasons").default("[]").take(), text("kernel").default("").take()] {
            manager.alter_table(Table::alter().table("host_findings").add_column(column).take()).await?;
        }
        Ok(())
    }
}
