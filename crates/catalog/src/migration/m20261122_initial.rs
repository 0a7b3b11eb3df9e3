//! The first schema. JSON is kept as text, because the audit chain hashes exact bytes and measures keep their order;
//! times are microseconds since 1970 in UTC; addresses are text as people write them.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, binary, blob, boolean, integer, pk_uuid, text, text_null, uuid, uuid_null,
};

use super::build::{index, keyed, owned_by, table};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in accounts().into_iter().chain(credentials()).chain(detection()).chain(records()) {
            manager.create_table(table).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}

fn accounts() -> Vec<TableCreateStatement> {
    let tenants = table(
        "tenants",
        vec![
            pk_uuid("id"),
            text("slug"),
            text("name"),
            big_integer("created"),
            big_integer("last_seq"),
            big_integer("log_floor"),
            big_integer("audit_seq"),
            binary("audit_head"),
        ],
    );
    let users = table(
        "users",
        vec![
            pk_uuid("id"),
            uuid("home_tenant"),
            text("name"),
            text("display_name"),
            text_null("email"),
            text_null("password_hash"),
            boolean("disabled"),
            big_integer("created"),
            big_integer("updated"),
            big_integer_null("password_changed"),
            big_integer_null("last_sign_in"),
        ],
    );
    let memberships =
        table("memberships", vec![uuid("user_id"), uuid("tenant_id"), text("role"), big_integer("created")]);
    let memberships = keyed(memberships, &["user_id", "tenant_id"]);
    vec![
        tenants,
        owned_by(users, ("users", "home_tenant"), "tenants"),
        owned_by(owned_by(memberships, ("memberships", "user_id"), "users"), ("memberships", "tenant_id"), "tenants"),
    ]
}

/// What people and programs sign in with.
fn credentials() -> Vec<TableCreateStatement> {
    let sessions = table(
        "sessions",
        vec![
            pk_uuid("id"),
            binary("token_hash"),
            uuid("user_id"),
            big_integer("created"),
            big_integer("last_seen"),
            big_integer("expires"),
            text_null("user_agent"),
            text_null("ip"),
        ],
    );
    let api_keys = table(
        "api_keys",
        vec![
            pk_uuid("id"),
            text("public_id"),
            uuid("tenant_id"),
            uuid("user_id"),
            text("name"),
            binary("secret_hash"),
            text("scopes"),
            big_integer("created"),
            big_integer_null("expires"),
            big_integer_null("last_used"),
            big_integer_null("revoked"),
        ],
    );
    let setup_tokens = table(
        "setup_tokens",
        vec![
            pk_uuid("id"),
            binary("token_hash"),
            big_integer("created"),
            big_integer("expires"),
            big_integer_null("used"),
        ],
    );
    vec![
        owned_by(sessions, ("sessions", "user_id"), "users"),
        owned_by(owned_by(api_keys, ("api_keys", "user_id"), "users"), ("api_keys", "tenant_id"), "tenants"),
        setup_tokens,
    ]
}

fn alerts() -> TableCreateStatement {
    table(
        "alerts",
        vec![
            pk_uuid("id"),
            uuid("tenant_id"),
            binary("key"),
            text("rule_id"),
            text("rule_hash"),
            text("rule_title"),
            text("attack"),
            integer("severity"),
            text("next_steps"),
            text("site"),
            text("entity_kind"),
            text("entity"),
            text("group_key"),
            big_integer("window_start"),
            big_integer("first_seen"),
            big_integer("last_seen"),
            big_integer("count"),
            text("summary"),
            text("measures"),
            binary("evidence_hash"),
            text_null("replay"),
            boolean("retro"),
            text("status"),
            text_null("verdict"),
            text_null("reason"),
            uuid_null("assignee"),
            text_null("note"),
            big_integer("created"),
            big_integer("updated"),
            big_integer("seq"),
        ],
    )
}

fn detection() -> Vec<TableCreateStatement> {
    let evidence = table("alert_evidence", vec![pk_uuid("alert_id"), text("rows")]);
    let rules = table(
        "rules",
        vec![
            pk_uuid("id"),
            uuid("tenant_id"),
            text("rule_id"),
            text("title"),
            text("level"),
            text("origin"),
            boolean("enabled"),
            integer("version"),
            text("hash"),
            big_integer("created"),
            big_integer("updated"),
        ],
    );
    let versions = table(
        "rule_versions",
        vec![
            uuid("rule"),
            integer("version"),
            text("source"),
            text("hash"),
            text("author"),
            text_null("comment"),
            big_integer("created"),
        ],
    );
    let exporters = table(
        "exporters",
        vec![
            pk_uuid("id"),
            uuid("tenant_id"),
            text("address"),
            big_integer("domain"),
            text("protocol"),
            big_integer("first_seen"),
            big_integer("last_seen"),
            text("state"),
            big_integer("held"),
            text("counters"),
        ],
    );
    vec![
        owned_by(alerts(), ("alerts", "tenant_id"), "tenants"),
        owned_by(evidence, ("alert_evidence", "alert_id"), "alerts"),
        owned_by(rules, ("rules", "tenant_id"), "tenants"),
        owned_by(keyed(versions, &["rule", "version"]), ("rule_versions", "rule"), "rules"),
        owned_by(exporters, ("exporters", "tenant_id"), "tenants"),
    ]
}

fn records() -> Vec<TableCreateStatement> {
    let audit = table(
        "audit",
        vec![
            uuid("tenant_id"),
            big_integer("seq"),
            binary("prev_hash"),
            binary("hash"),
            big_integer("time"),
            text("actor_kind"),
            text_null("actor_id"),
            text("actor_name"),
            text_null("ip"),
            text_null("request_id"),
            text("action"),
            text("subject"),
            text("subject_id"),
            text_null("before"),
            text_null("after"),
        ],
    );
    let change_log = table(
        "change_log",
        vec![
            uuid("tenant_id"),
            big_integer("seq"),
            big_integer("time"),
            text("subject"),
            text("subject_id"),
            text("action"),
            text("payload"),
        ],
    );
    let settings = table(
        "settings",
        vec![uuid("tenant_id"), text("key"), integer("version"), text("value"), text("author"), big_integer("created")],
    );
    let mut blob_name = ColumnDef::new("name");
    blob_name.text().not_null().primary_key();
    vec![
        keyed(audit, &["tenant_id", "seq"]),
        keyed(change_log, &["tenant_id", "seq"]),
        keyed(settings, &["tenant_id", "key", "version"]),
        table("state_blobs", vec![blob_name, blob("data"), big_integer("updated")]),
    ]
}

fn indexes() -> Vec<IndexCreateStatement> {
    vec![
        index("tenants", &["slug"], true),
        index("users", &["name"], true),
        index("memberships", &["tenant_id"], false),
        index("sessions", &["token_hash"], true),
        index("sessions", &["user_id"], false),
        index("api_keys", &["public_id"], true),
        index("api_keys", &["tenant_id"], false),
        index("setup_tokens", &["token_hash"], true),
        index("alerts", &["tenant_id", "key"], true),
        index("alerts", &["tenant_id", "created", "id"], false),
        index("alerts", &["tenant_id", "severity", "id"], false),
        index("alerts", &["tenant_id", "last_seen", "id"], false),
        index("alerts", &["tenant_id", "status", "severity"], false),
        index("alerts", &["tenant_id", "replay"], false),
        index("rules", &["tenant_id", "rule_id"], true),
        index("exporters", &["tenant_id", "address", "domain", "protocol"], true),
    ]
}
