//! Passkeys beside codes, and how each session was opened.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{boolean, text, text_null};

use super::build::index;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (table, column) in [
            // What a passkey is found by; other factors have none, and nulls do not collide.
            ("second_factors", text_null("handle")),
            // Sessions that are open were opened with a password, or with a link or the set-up token and one.
            ("sessions", text("method").default("password").take()),
            ("sessions", text_null("provider")),
            ("sessions", boolean("external_factor").default(false).take()),
        ] {
            manager.alter_table(Table::alter().table(table).add_column(column).take()).await?;
        }
        manager.create_index(index("second_factors", &["handle"], true)).await
    }
}
