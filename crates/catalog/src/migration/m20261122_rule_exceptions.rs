//! Exceptions to rules.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, boolean, integer, pk_uuid, text, uuid};

use super::build::{index, owned_by, table};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let exceptions = table(
            "rule_exceptions",
            vec![
                pk_uuid("id"),
                uuid("tenant_id"),
                text("rule_id"),
                integer("version"),
                text("filter"),
                text("reason"),
                big_integer_null("expires"),
                boolean("enabled"),
                big_integer("hits"),
                big_integer_null("last_hit"),
                text("author"),
                big_integer("created"),
                big_integer("updated"),
            ],
        );
        manager.create_table(owned_by(exceptions, ("rule_exceptions", "tenant_id"), "tenants")).await?;
        manager.create_index(index("rule_exceptions", &["tenant_id", "rule_id"], false)).await
    }
}
