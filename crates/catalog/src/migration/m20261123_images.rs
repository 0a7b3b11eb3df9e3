//! Images of containers: what each is, what is in it, and what is wrong with it by number.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, blob, integer, pk_uuid, text, uuid};

use super::build::{index, keyed, owned_by, table};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let images = table(
            "images",
            vec![
                pk_uuid("id"),
                uuid("tenant_id"),
                text("name"),
                text("digest"),
                text("distribution"),
                text("architecture"),
                text("form"),
                text("exposure"),
                text("criticality"),
                text("chain"),
                integer("layers"),
                integer("packages"),
                integer("unknown"),
                big_integer("scanned"),
                big_integer("first_sent"),
                big_integer("sent"),
                text("sender"),
                big_integer("revision"),
            ],
        );
        manager.create_table(owned_by(images, ("images", "tenant_id"), "tenants")).await?;
        manager.create_index(index("images", &["tenant_id", "name"], true)).await?;
        // Whoever judges images asks for what came lately.
        manager.create_index(index("images", &["sent"], false)).await?;
        let contents = table(
            "image_contents",
            vec![
                uuid("image_id"),
                uuid("tenant_id"),
                integer("base_layers"),
                text("layers"),
                text("history"),
                blob("bill"),
            ],
        );
        let contents = owned_by(keyed(contents, &["image_id"]), ("image_contents", "image_id"), "images");
        manager.create_table(contents).await?;
        let findings = table(
            "image_findings",
            vec![
                uuid("image_id"),
                uuid("tenant_id"),
                big_integer("revision"),
                text("ecosystem"),
                text("exposure"),
                text("criticality"),
                big_integer("advisories"),
                big_integer("judged"),
                blob("components"),
                blob("entries"),
            ],
        );
        let findings = owned_by(keyed(findings, &["image_id"]), ("image_findings", "image_id"), "images");
        manager.create_table(findings).await?;
        manager.create_index(index("image_findings", &["tenant_id"], false)).await
    }
}
