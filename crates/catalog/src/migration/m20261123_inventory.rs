//! What hosts have: one packed document a list, and which software is on which host.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, binary, blob, blob_null, integer, text, uuid};

use super::build::{index, keyed, owned_by, table};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let lists = table(
            "host_lists",
            vec![
                uuid("host_id"),
                text("list"),
                uuid("tenant_id"),
                binary("hash"),
                integer("entries"),
                big_integer("read_at"),
                big_integer("received"),
                big_integer("epoch"),
                big_integer("revision"),
                blob("document"),
                blob_null("pending"),
            ],
        );
        let lists = owned_by(keyed(lists, &["host_id", "list"]), ("host_lists", "host_id"), "hosts");
        manager.create_table(lists).await?;
        manager.create_index(index("host_lists", &["tenant_id"], false)).await?;
        let mut number = ColumnDef::new("id");
        number.integer().not_null().auto_increment().primary_key();
        let software = table(
            "software",
            vec![
                number,
                uuid("tenant_id"),
                binary("digest"),
                text("kind"),
                text("name"),
                text("version"),
                text("architecture"),
                text("source"),
                text("source_version"),
                text("vendor"),
                text("licences"),
            ],
        );
        manager.create_table(owned_by(software, ("software", "tenant_id"), "tenants")).await?;
        manager.create_index(index("software", &["tenant_id", "digest"], true)).await?;
        manager.create_index(index("software", &["tenant_id", "name"], false)).await?;
        let on_hosts = table("host_software", vec![uuid("host_id"), text("list"), uuid("tenant_id"), blob("numbers")]);
        let on_hosts = owned_by(keyed(on_hosts, &["host_id", "list"]), ("host_software", "host_id"), "hosts");
        manager.create_table(on_hosts).await?;
        manager.create_index(index("host_software", &["tenant_id"], false)).await
    }
}
