//! Questions to the tables of hosts, how far each host has come with one, and the rows that they answered with.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, blob, boolean, integer, pk_uuid, text, uuid};

use super::build::{index, keyed, owned_by, table};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let queries = table(
            "live_queries",
            vec![
                pk_uuid("id"),
                uuid("tenant_id"),
                text("sql"),
                text("reason"),
                text("author"),
                big_integer("created"),
                big_integer("expires"),
                big_integer("timeout_ms"),
                big_integer("rows_max"),
                big_integer_null("cancelled"),
                integer("hosts"),
                big_integer("parts"),
                big_integer("rows"),
                big_integer("bytes"),
            ],
        );
        manager.create_table(owned_by(queries, ("live_queries", "tenant_id"), "tenants")).await?;
        manager.create_index(index("live_queries", &["tenant_id", "created"], false)).await?;
        let hosts = table(
            "live_query_hosts",
            vec![
                pk_uuid("id"),
                uuid("tenant_id"),
                uuid("query_id"),
                uuid("host_id"),
                text("host_name"),
                text("state"),
                big_integer_null("sent"),
                big_integer_null("ended"),
                big_integer("expires"),
                text("columns"),
                big_integer("parts"),
                big_integer("rows"),
                big_integer("bytes"),
                boolean("more"),
                big_integer_null("took_ms"),
                text("text"),
            ],
        );
        manager.create_table(owned_by(hosts, ("live_query_hosts", "query_id"), "live_queries")).await?;
        manager.create_index(index("live_query_hosts", &["query_id", "state"], false)).await?;
        manager.create_index(index("live_query_hosts", &["host_id", "state"], false)).await?;
        manager.create_index(index("live_query_hosts", &["state", "expires"], false)).await?;
        let parts = table(
            "live_query_parts",
            vec![
                uuid("query_id"),
                big_integer("number"),
                uuid("tenant_id"),
                uuid("run_id"),
                big_integer("rows"),
                big_integer("raw_bytes"),
                blob("packed"),
            ],
        );
        let parts = keyed(parts, &["query_id", "number"]);
        manager.create_table(owned_by(parts, ("live_query_parts", "query_id"), "live_queries")).await?;
        manager.create_index(index("live_query_parts", &["run_id"], false)).await
    }
}
