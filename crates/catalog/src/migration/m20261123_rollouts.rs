//! Releases of the agent's program, rollouts of them, and how far each host has come.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, integer, pk_uuid, text, uuid};

use super::build::{index, owned_by, table};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let releases = table(
            "agent_releases",
            vec![
                pk_uuid("id"),
                uuid("tenant_id"),
                text("version"),
                text("platform"),
                text("architecture"),
                big_integer("size"),
                text("sha256"),
                text("signed"),
                text("key"),
                text("notes"),
                text("author"),
                big_integer("added"),
                big_integer_null("withdrawn"),
            ],
        );
        manager.create_table(owned_by(releases, ("agent_releases", "tenant_id"), "tenants")).await?;
        manager.create_index(index("agent_releases", &["tenant_id", "version"], false)).await?;
        manager.create_index(index("agent_releases", &["sha256"], false)).await?;
        let rollouts = table(
            "rollouts",
            vec![
                pk_uuid("id"),
                uuid("tenant_id"),
                text("release_version"),
                text("plan"),
                text("state"),
                integer("stage"),
                big_integer("stage_since"),
                big_integer_null("stage_passed"),
                text("reason"),
                text("author"),
                big_integer("created"),
                big_integer("updated"),
                integer("version"),
                integer("hosts"),
            ],
        );
        manager.create_table(owned_by(rollouts, ("rollouts", "tenant_id"), "tenants")).await?;
        manager.create_index(index("rollouts", &["tenant_id", "created"], false)).await?;
        manager.create_index(index("rollouts", &["state"], false)).await?;
        let hosts = table(
            "rollout_hosts",
            vec![
                pk_uuid("id"),
                uuid("tenant_id"),
                uuid("rollout_id"),
                uuid("host_id"),
                text("host_name"),
                uuid("release_id"),
                integer("stage"),
                text("state"),
                text("from_version"),
                big_integer("fetched"),
                text("text"),
                big_integer_null("offered"),
                big_integer_null("ended"),
                big_integer("updated"),
            ],
        );
        manager.create_table(owned_by(hosts, ("rollout_hosts", "rollout_id"), "rollouts")).await?;
        manager.create_index(index("rollout_hosts", &["rollout_id", "stage", "state"], false)).await?;
        manager.create_index(index("rollout_hosts", &["state"], false)).await?;
        manager.create_index(index("rollout_hosts", &["host_id", "state"], false)).await
    }
}
