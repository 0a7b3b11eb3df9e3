//! Vulnerabilities of hosts: words that are kept once and named by number, one packed row a host, and exceptions.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, binary, blob, integer, pk_uuid, text, text_null, uuid};

use super::build::{index, keyed, owned_by, table};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut number = ColumnDef::new("id");
        number.integer().not_null().auto_increment().primary_key();
        let terms =
            table("finding_terms", vec![number, uuid("tenant_id"), text("kind"), binary("digest"), text("words")]);
        manager.create_table(owned_by(terms, ("finding_terms", "tenant_id"), "tenants")).await?;
        manager.create_index(index("finding_terms", &["tenant_id", "kind", "digest"], true)).await?;
        let hosts = table(
            "host_findings",
            vec![
                uuid("host_id"),
                uuid("tenant_id"),
                big_integer("lists"),
                text("ecosystem"),
                text("exposure"),
                text("ground"),
                big_integer("advisories"),
                big_integer("judged"),
                blob("components"),
                blob("entries"),
            ],
        );
        let hosts = owned_by(keyed(hosts, &["host_id"]), ("host_findings", "host_id"), "hosts");
        manager.create_table(hosts).await?;
        manager.create_index(index("host_findings", &["tenant_id"], false)).await?;
        let exceptions = table(
            "finding_exceptions",
            vec![
                pk_uuid("id"),
                uuid("tenant_id"),
                text("vulnerability"),
                text("package"),
                text("reach"),
                text("reach_name"),
                text("reason"),
                text("state"),
                big_integer("expires"),
                text("author"),
                text("author_id"),
                big_integer("created"),
                text_null("decided_by"),
                big_integer_null("decided"),
                integer("version"),
            ],
        );
        manager.create_table(owned_by(exceptions, ("finding_exceptions", "tenant_id"), "tenants")).await?;
        manager.create_index(index("finding_exceptions", &["tenant_id"], false)).await?;
        // Whoever follows what hosts have asks for what came lately.
        manager.create_index(index("host_lists", &["received"], false)).await
    }
}
