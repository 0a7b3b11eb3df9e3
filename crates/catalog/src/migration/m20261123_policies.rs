//! Groups of hosts, policies and their order, commands and what became of them, and where each host stands in it.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, boolean, integer, pk_uuid, text, text_null, uuid};

use super::build::{index, keyed, owned_by, table};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let standing = [
            integer("policy_version").default(0).take(),
            text("policy_hash").default("").take(),
            text("matched").default("[]").take(),
            big_integer_null("offline_told"),
        ];
        for column in standing {
            manager.alter_table(Table::alter().table("hosts").add_column(column).take()).await?;
        }
        // Whoever looks for hosts that went or came looks for them of all tenants.
        manager.create_index(index("hosts", &["online_until"], false)).await?;
        manager.create_index(index("hosts", &["offline_told"], false)).await?;
        groups_and_policies(manager).await?;
        commands(manager).await
    }
}

async fn groups_and_policies(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let groups = table(
        "host_groups",
        vec![
            pk_uuid("id"),
            uuid("tenant_id"),
            text("name"),
            text("description"),
            text_null("filter"),
            text("author"),
            big_integer("created"),
            big_integer("updated"),
            integer("version"),
        ],
    );
    manager.create_table(owned_by(groups, ("host_groups", "tenant_id"), "tenants")).await?;
    manager.create_index(index("host_groups", &["tenant_id", "name"], true)).await?;
    let policies = table(
        "policies",
        vec![
            pk_uuid("id"),
            uuid("tenant_id"),
            text("name"),
            text("description"),
            text("document"),
            text("author"),
            big_integer("created"),
            big_integer("updated"),
            integer("version"),
        ],
    );
    manager.create_table(owned_by(policies, ("policies", "tenant_id"), "tenants")).await?;
    manager.create_index(index("policies", &["tenant_id", "name"], true)).await?;
    let versions = table(
        "policy_versions",
        vec![
            uuid("policy_id"),
            integer("version"),
            text("document"),
            text("author"),
            text_null("comment"),
            big_integer("created"),
        ],
    );
    let versions = keyed(versions, &["policy_id", "version"]);
    manager.create_table(owned_by(versions, ("policy_versions", "policy_id"), "policies")).await?;
    let orders = table(
        "policy_orders",
        vec![uuid("tenant_id"), integer("version"), text("items"), text("author"), big_integer("updated")],
    );
    manager.create_table(owned_by(keyed(orders, &["tenant_id"]), ("policy_orders", "tenant_id"), "tenants")).await
}

async fn commands(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let commands = table(
        "commands",
        vec![
            pk_uuid("id"),
            uuid("tenant_id"),
            text("kind"),
            text("action"),
            boolean("dry_run"),
            text("reason"),
            text("author"),
            big_integer("created"),
            big_integer("expires"),
            big_integer("timeout_ms"),
            big_integer_null("cancelled"),
            integer("hosts"),
        ],
    );
    manager.create_table(owned_by(commands, ("commands", "tenant_id"), "tenants")).await?;
    manager.create_index(index("commands", &["tenant_id", "created"], false)).await?;
    let runs = table(
        "command_runs",
        vec![
            pk_uuid("id"),
            uuid("tenant_id"),
            uuid("command_id"),
            uuid("host_id"),
            text("host_name"),
            text("state"),
            big_integer_null("sent"),
            big_integer_null("begun"),
            big_integer_null("ended"),
            big_integer("expires"),
            big_integer("updated"),
            text("text"),
            text("output"),
            text_null("outcome"),
        ],
    );
    let runs = owned_by(runs, ("command_runs", "command_id"), "commands");
    manager.create_table(runs).await?;
    manager.create_index(index("command_runs", &["command_id", "state"], false)).await?;
    manager.create_index(index("command_runs", &["host_id", "state"], false)).await?;
    manager.create_index(index("command_runs", &["state", "expires"], false)).await
}
