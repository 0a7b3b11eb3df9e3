//! Baselines of files that hosts had, signed. What is in them is beside the catalog.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, boolean, text, uuid};

use super::build::{index, keyed, owned_by, table};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let baselines = table(
            "host_baselines",
            vec![
                uuid("host_id"),
                big_integer("number"),
                uuid("tenant_id"),
                text("root"),
                text("previous"),
                text("policy"),
                big_integer("made"),
                big_integer("received"),
                big_integer("folders"),
                big_integer("changed"),
                big_integer("gone"),
                big_integer("files"),
                big_integer("bytes"),
                boolean("replaced"),
                text("public_key"),
                text("signature"),
                boolean("told"),
            ],
        );
        let baselines = keyed(baselines, &["host_id", "number"]);
        manager.create_table(owned_by(baselines, ("host_baselines", "host_id"), "hosts")).await?;
        manager.create_index(index("host_baselines", &["tenant_id"], false)).await
    }
}
