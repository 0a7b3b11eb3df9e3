//! Client certificates of people, and roles that ask for one.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, boolean, pk_uuid, text, uuid};

use super::build::{index, owned_by, table};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let certificates = table(
            "client_certificates",
            vec![
                pk_uuid("id"),
                uuid("user_id"),
                text("name"),
                text("fingerprint"),
                text("subject"),
                text("issuer"),
                text("serial"),
                big_integer("not_after"),
                big_integer("created"),
                big_integer_null("last_used"),
            ],
        );
        manager.create_table(owned_by(certificates, ("client_certificates", "user_id"), "users")).await?;
        manager.create_index(index("client_certificates", &["fingerprint"], true)).await?;
        manager.create_index(index("client_certificates", &["user_id"], false)).await?;
        let required = boolean("certificate_required").default(false).take();
        manager.alter_table(Table::alter().table("roles").add_column(required).take()).await
    }
}
