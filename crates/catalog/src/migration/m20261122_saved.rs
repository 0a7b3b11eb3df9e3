//! Saved views and hunts.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, boolean, integer, pk_uuid, text, uuid, uuid_null};

use super::build::{index, owned_by, table};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let saved = table(
            "saved",
            vec![
                pk_uuid("id"),
                uuid("tenant_id"),
                text("kind"),
                integer("version"),
                uuid_null("owner"),
                text("author"),
                text("name"),
                text("page"),
                boolean("shared"),
                text("content"),
                big_integer("created"),
                big_integer("updated"),
            ],
        );
        manager.create_table(owned_by(saved, ("saved", "tenant_id"), "tenants")).await?;
        manager.create_index(index("saved", &["tenant_id", "kind", "owner"], false)).await
    }
}
