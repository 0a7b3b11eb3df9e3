//! Packs of evidence that hosts collected, and the keys that they are sealed for.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, text, uuid};

use super::build::{index, keyed, owned_by, table};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let keys =
            table("evidence_keys", vec![uuid("tenant_id"), text("public"), text("secret"), big_integer("created")]);
        let keys = owned_by(keyed(keys, &["tenant_id"]), ("evidence_keys", "tenant_id"), "tenants");
        manager.create_table(keys).await?;
        let packs = table(
            "evidence_packs",
            vec![
                uuid("id"),
                uuid("tenant_id"),
                uuid("command_id"),
                uuid("host_id"),
                text("host_name"),
                text("state"),
                big_integer("bytes"),
                text("hash"),
                big_integer("entries"),
                big_integer("raw_bytes"),
                big_integer("left_out"),
                text("text"),
                big_integer("told"),
                big_integer("updated"),
            ],
        );
        let packs = owned_by(keyed(packs, &["id"]), ("evidence_packs", "tenant_id"), "tenants");
        manager.create_table(packs).await?;
        manager.create_index(index("evidence_packs", &["command_id", "host_id"], false)).await?;
        manager.create_index(index("evidence_packs", &["host_id", "state"], false)).await
    }
}
