//! Triage: alerts can be snoozed, suppressed and belong to an incident; bulk changes can be taken back.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, boolean, integer, pk_uuid, text, text_null, uuid, uuid_null,
};

use super::build::{index, owned_by, table};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // SQLite adds one column at a time.
        let columns = [
            big_integer_null("snoozed_until"),
            uuid_null("suppressed_by"),
            uuid_null("incident_id"),
            big_integer_null("decided"),
        ];
        for column in columns {
            manager.alter_table(Table::alter().table("alerts").add_column(column).take()).await?;
        }
        let suppressions = table(
            "suppressions",
            vec![
                pk_uuid("id"),
                uuid("tenant_id"),
                integer("version"),
                text("name"),
                text_null("rule_id"),
                text_null("entity_kind"),
                text_null("entity"),
                text_null("group_key"),
                text("verdict"),
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
        let undo = table(
            "undo_log",
            vec![
                pk_uuid("id"),
                uuid("tenant_id"),
                text("subject"),
                text("actor"),
                big_integer("created"),
                big_integer("expires"),
                text("rows"),
            ],
        );
        manager.create_table(owned_by(suppressions, ("suppressions", "tenant_id"), "tenants")).await?;
        manager.create_table(owned_by(undo, ("undo_log", "tenant_id"), "tenants")).await?;
        for index in [
            index("alerts", &["tenant_id", "incident_id"], false),
            index("alerts", &["tenant_id", "entity"], false),
            index("suppressions", &["tenant_id"], false),
            index("undo_log", &["tenant_id", "expires"], false),
        ] {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}
