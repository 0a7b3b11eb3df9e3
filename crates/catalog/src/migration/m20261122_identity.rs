//! Identity beyond the first account: custom roles, invitations and reset links, second factors, tokens for programs,
//! preferences, versions for optimistic concurrency, and the checkpoints of the audit trail.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, binary, boolean, integer, pk_uuid, text, text_null, uuid, uuid_null,
};

use super::build::{index, keyed, owned_by, table};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // SQLite adds one column a statement.
        for (table, column) in columns() {
            manager.alter_table(Table::alter().table(table).add_column(column).take()).await?;
        }
        for table in access().into_iter().chain(factors()).chain(records()) {
            manager.create_table(table).await?;
        }
        for index in [
            index("users", &["home_tenant"], false),
            index("roles", &["tenant_id", "name"], true),
            index("access_links", &["token_hash"], true),
            index("access_links", &["tenant_id", "created"], false),
            index("second_factors", &["user_id"], false),
            index("recovery_codes", &["user_id"], false),
            index("token_families", &["user_id"], false),
            index("refresh_tokens", &["family_id"], false),
            index("audit", &["tenant_id", "time"], false),
        ] {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}

/// What older rows take for granted: first version, not disabled, hashed by the first scheme, proved at no time.
fn columns() -> Vec<(&'static str, ColumnDef)> {
    let number = |name: &'static str, default: i32| integer(name).default(default).take();
    let switch = |name: &'static str| boolean(name).default(false).take();
    vec![
        ("tenants", switch("disabled")),
        ("tenants", number("version", 1)),
        ("users", number("version", 1)),
        ("users", switch("pending")),
        ("sessions", big_integer("proved").default(0).take()),
        ("sessions", big_integer_null("factor_at")),
        ("api_keys", number("version", 1)),
        ("audit", number("scheme", 1)),
    ]
}

fn access() -> Vec<TableCreateStatement> {
    let roles = table(
        "roles",
        vec![
            pk_uuid("id"),
            uuid("tenant_id"),
            text("name"),
            text("description"),
            text("permissions"),
            boolean("mfa_required"),
            integer("version"),
            big_integer("created"),
            big_integer("updated"),
        ],
    );
    let links = table(
        "access_links",
        vec![
            pk_uuid("id"),
            uuid("tenant_id"),
            text("kind"),
            binary("token_hash"),
            uuid_null("user_id"),
            text_null("role"),
            text_null("name"),
            text_null("email"),
            text("created_by"),
            big_integer("created"),
            big_integer("expires"),
            big_integer_null("used"),
        ],
    );
    let preferences =
        table("preferences", vec![pk_uuid("user_id"), text("value"), integer("version"), big_integer("updated")]);
    vec![
        owned_by(roles, ("roles", "tenant_id"), "tenants"),
        owned_by(owned_by(links, ("access_links", "user_id"), "users"), ("access_links", "tenant_id"), "tenants"),
        owned_by(preferences, ("preferences", "user_id"), "users"),
    ]
}

fn factors() -> Vec<TableCreateStatement> {
    let factors = table(
        "second_factors",
        vec![
            pk_uuid("id"),
            uuid("user_id"),
            text("kind"),
            text("name"),
            text("secret"),
            big_integer("counter"),
            boolean("confirmed"),
            big_integer("created"),
            big_integer_null("last_used"),
        ],
    );
    let codes =
        table("recovery_codes", vec![pk_uuid("id"), uuid("user_id"), binary("code_hash"), big_integer_null("used")]);
    let families = table(
        "token_families",
        vec![
            pk_uuid("id"),
            uuid("user_id"),
            boolean("factor"),
            big_integer("created"),
            big_integer("last_used"),
            big_integer("expires"),
            big_integer_null("revoked"),
            text_null("user_agent"),
            text_null("ip"),
        ],
    );
    let mut hash = ColumnDef::new("token_hash");
    hash.binary().not_null().primary_key();
    let refresh =
        table("refresh_tokens", vec![hash, uuid("family_id"), big_integer("created"), big_integer_null("used")]);
    vec![
        owned_by(factors, ("second_factors", "user_id"), "users"),
        owned_by(codes, ("recovery_codes", "user_id"), "users"),
        owned_by(families, ("token_families", "user_id"), "users"),
        owned_by(refresh, ("refresh_tokens", "family_id"), "token_families"),
    ]
}

/// No reference to the tenant: like the trail itself, checkpoints outlive it.
fn records() -> Vec<TableCreateStatement> {
    let checkpoints = table(
        "audit_checkpoints",
        vec![
            uuid("tenant_id"),
            big_integer("seq"),
            binary("hash"),
            big_integer("time"),
            text("key_id"),
            binary("signature"),
        ],
    );
    vec![keyed(checkpoints, &["tenant_id", "seq"])]
}
