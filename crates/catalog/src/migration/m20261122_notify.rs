//! Notifications: the channels of a tenant, what each person wants to hear, what they were told, and the outbox.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, boolean, integer, pk_uuid, text, text_null, uuid, uuid_null,
};

use super::build::{index, owned_by, table};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [channels(), preferences(), notifications(), deliveries()] {
            manager.create_table(table).await?;
        }
        for index in [
            index("notification_channels", &["tenant_id"], false),
            index("notifications", &["tenant_id", "user_id", "key"], true),
            index("notifications", &["user_id", "tenant_id", "id"], false),
            index("deliveries", &["tenant_id", "key"], true),
            index("deliveries", &["tenant_id", "id"], false),
            index("deliveries", &["tenant_id", "subject_id"], false),
            index("deliveries", &["state", "next_attempt"], false),
        ] {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}

fn channels() -> TableCreateStatement {
    let it = table(
        "notification_channels",
        vec![
            pk_uuid("id"),
            uuid("tenant_id"),
            integer("version"),
            text("draft"),
            text_null("secret"),
            text("author"),
            big_integer("created"),
            big_integer("updated"),
        ],
    );
    owned_by(it, ("notification_channels", "tenant_id"), "tenants")
}

fn preferences() -> TableCreateStatement {
    let columns = vec![pk_uuid("user_id"), text("value"), integer("version"), big_integer("updated")];
    owned_by(table("notification_preferences", columns), ("notification_preferences", "user_id"), "users")
}

fn notifications() -> TableCreateStatement {
    let it = table(
        "notifications",
        vec![
            pk_uuid("id"),
            uuid("tenant_id"),
            uuid("user_id"),
            text("key"),
            text("event"),
            big_integer("time"),
            text("title"),
            text("text"),
            text("link"),
            text("subject"),
            text("subject_id"),
            text_null("by_whom"),
            boolean("test"),
            big_integer_null("read"),
        ],
    );
    let it = owned_by(it, ("notifications", "user_id"), "users");
    owned_by(it, ("notifications", "tenant_id"), "tenants")
}

fn deliveries() -> TableCreateStatement {
    let it = table(
        "deliveries",
        vec![
            pk_uuid("id"),
            uuid("tenant_id"),
            text("key"),
            uuid_null("channel_id"),
            uuid_null("user_id"),
            text("kind"),
            text("target"),
            text("event"),
            text("title"),
            text("subject"),
            text("subject_id"),
            text("body"),
            text_null("bundle"),
            boolean("test"),
            text("state"),
            integer("attempts"),
            big_integer("created"),
            big_integer("next_attempt"),
            big_integer_null("finished"),
            text_null("answer"),
        ],
    );
    owned_by(it, ("deliveries", "tenant_id"), "tenants")
}
