//! The fleet: the agents' authority, enrolment tokens, and hosts with their agents.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, binary, integer, integer_null, pk_uuid, text, text_null, uuid, uuid_null,
};

use super::build::{index, owned_by, table};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let authorities = table(
            "agent_authorities",
            vec![pk_uuid("id"), text("certificate"), text("secret"), big_integer("created")],
        );
        manager.create_table(authorities).await?;
        let tokens = table(
            "enrolment_tokens",
            vec![
                pk_uuid("id"),
                uuid("tenant_id"),
                text("public_id"),
                binary("secret_hash"),
                text("name"),
                text("tags"),
                text("groups"),
                integer_null("uses_max"),
                integer("uses"),
                text("author"),
                big_integer("created"),
                big_integer("expires"),
                big_integer_null("last_used"),
                big_integer_null("revoked"),
                integer("version"),
            ],
        );
        manager.create_table(owned_by(tokens, ("enrolment_tokens", "tenant_id"), "tenants")).await?;
        manager.create_index(index("enrolment_tokens", &["public_id"], true)).await?;
        manager.create_index(index("enrolment_tokens", &["tenant_id"], false)).await?;
        manager.create_table(owned_by(hosts(), ("hosts", "tenant_id"), "tenants")).await?;
        manager.create_index(index("hosts", &["tenant_id", "name"], false)).await?;
        manager.create_index(index("hosts", &["tenant_id", "last_seen"], false)).await
    }
}

fn hosts() -> TableCreateStatement {
    table(
        "hosts",
        vec![
            pk_uuid("id"),
            uuid("tenant_id"),
            uuid_null("token_id"),
            text("name"),
            text("platform"),
            text("system"),
            text("kernel"),
            text("architecture"),
            text("program"),
            text_null("address"),
            text("tags"),
            text("groups"),
            text("serial"),
            text_null("previous_serial"),
            big_integer("not_after"),
            big_integer("enrolled"),
            big_integer_null("revoked"),
            big_integer("last_seen"),
            big_integer("online_until"),
            text("health"),
            integer("version"),
            big_integer("updated"),
        ],
    )
}
