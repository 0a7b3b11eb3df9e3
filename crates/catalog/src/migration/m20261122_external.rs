//! Accounts that other systems vouch for.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, boolean, pk_uuid, text, uuid};

use super::build::{index, owned_by, table};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let identities = table(
            "external_identities",
            vec![
                pk_uuid("id"),
                uuid("user_id"),
                text("provider"),
                text("subject"),
                boolean("managed"),
                boolean("suspended"),
                big_integer("created"),
                big_integer_null("last_used"),
            ],
        );
        manager.create_table(owned_by(identities, ("external_identities", "user_id"), "users")).await?;
        manager.create_index(index("external_identities", &["provider", "subject"], true)).await?;
        manager.create_index(index("external_identities", &["user_id"], false)).await
    }
}
