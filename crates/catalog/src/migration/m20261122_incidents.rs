//! Incidents: what belongs together, who works on it, and everything that is known and done about it.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, boolean, integer, pk_uuid, text, text_null, uuid, uuid_null,
};

use super::build::{index, keyed, owned_by, table};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let tables = [
            incidents(),
            incident_alerts(),
            incident_entries(),
            incident_entities(),
            incident_tasks(),
            incident_templates(),
            incident_evidence(),
            evidence_custody(),
            incident_merges(),
        ];
        for table in tables {
            manager.create_table(table).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}

fn indexes() -> Vec<IndexCreateStatement> {
    vec![
        index("incidents", &["tenant_id", "number"], true),
        index("incidents", &["tenant_id", "status", "severity"], false),
        index("incidents", &["tenant_id", "created", "id"], false),
        index("incidents", &["tenant_id", "updated", "id"], false),
        index("incidents", &["tenant_id", "last_seen"], false),
        index("incidents", &["tenant_id", "next_due"], false),
        index("incident_alerts", &["incident_id"], false),
        index("incident_entries", &["incident_id", "event_time", "id"], false),
        index("incident_entities", &["incident_id", "site", "kind", "value"], true),
        index("incident_entities", &["tenant_id", "value"], false),
        index("incident_tasks", &["incident_id", "position"], false),
        index("incident_evidence", &["incident_id"], false),
        index("incident_merges", &["target_id"], false),
    ]
}

fn incidents() -> TableCreateStatement {
    let it = table(
        "incidents",
        vec![
            pk_uuid("id"),
            uuid("tenant_id"),
            big_integer("number"),
            integer("version"),
            text("title"),
            text("summary"),
            text("kind"),
            integer("severity"),
            text("status"),
            uuid_null("owner"),
            text("watchers"),
            text("tags"),
            text("origin"),
            text_null("replay"),
            text_null("verdict"),
            text_null("resolution"),
            text("attack"),
            big_integer("first_seen"),
            big_integer("last_seen"),
            big_integer("created"),
            text("created_by"),
            big_integer("updated"),
            big_integer_null("triaged_at"),
            big_integer_null("contained_at"),
            big_integer_null("resolved_at"),
            big_integer_null("closed_at"),
            uuid_null("merged_into"),
            big_integer_null("acknowledge_due"),
            big_integer_null("contain_due"),
            big_integer_null("resolve_due"),
            big_integer("next_due"),
            integer("sla_warned"),
            integer("sla_breached"),
            integer("alerts"),
            integer("entities"),
            integer("tasks"),
            integer("tasks_done"),
            integer("comments"),
            integer("evidence"),
            big_integer("seq"),
        ],
    );
    owned_by(it, ("incidents", "tenant_id"), "tenants")
}

fn incident_alerts() -> TableCreateStatement {
    let it = table(
        "incident_alerts",
        vec![
            pk_uuid("alert_id"),
            uuid("tenant_id"),
            uuid("incident_id"),
            big_integer("joined"),
            text("joined_by"),
            integer("score"),
            text("why"),
        ],
    );
    owned_by(owned_by(it, ("incident_alerts", "alert_id"), "alerts"), ("incident_alerts", "incident_id"), "incidents")
}

fn incident_entries() -> TableCreateStatement {
    let it = table(
        "incident_entries",
        vec![
            pk_uuid("id"),
            uuid("tenant_id"),
            uuid("incident_id"),
            integer("version"),
            text("kind"),
            big_integer("event_time"),
            big_integer("created"),
            text("author"),
            text_null("author_id"),
            text("text"),
            text("mentions"),
            text("data"),
            big_integer_null("edited"),
            boolean("automatic"),
        ],
    );
    owned_by(it, ("incident_entries", "incident_id"), "incidents")
}

fn incident_entities() -> TableCreateStatement {
    let it = table(
        "incident_entities",
        vec![
            pk_uuid("id"),
            uuid("tenant_id"),
            uuid("incident_id"),
            integer("version"),
            text("site"),
            text("kind"),
            text("value"),
            text("role"),
            text("note"),
            boolean("indicator"),
            boolean("automatic"),
            integer("alerts"),
            big_integer_null("first_seen"),
            big_integer_null("last_seen"),
        ],
    );
    owned_by(it, ("incident_entities", "incident_id"), "incidents")
}

fn incident_tasks() -> TableCreateStatement {
    let it = table(
        "incident_tasks",
        vec![
            pk_uuid("id"),
            uuid("tenant_id"),
            uuid("incident_id"),
            integer("version"),
            integer("position"),
            text("phase"),
            text("title"),
            text("description"),
            text("status"),
            uuid_null("assignee"),
            big_integer_null("due"),
            big_integer("created"),
            big_integer_null("completed"),
            text_null("completed_by"),
        ],
    );
    owned_by(it, ("incident_tasks", "incident_id"), "incidents")
}

fn incident_templates() -> TableCreateStatement {
    let it = table(
        "incident_templates",
        vec![
            uuid("tenant_id"),
            uuid("id"),
            integer("version"),
            text("name"),
            text("kind"),
            text("tasks"),
            text("author"),
            big_integer("created"),
            big_integer("updated"),
        ],
    );
    owned_by(keyed(it, &["tenant_id", "id"]), ("incident_templates", "tenant_id"), "tenants")
}

fn incident_evidence() -> TableCreateStatement {
    let it = table(
        "incident_evidence",
        vec![
            pk_uuid("id"),
            uuid("tenant_id"),
            uuid("incident_id"),
            text("name"),
            text("description"),
            text("media_type"),
            big_integer("size"),
            text("sha256"),
            big_integer("added"),
            text("added_by"),
            big_integer_null("removed"),
            text_null("removed_reason"),
        ],
    );
    owned_by(it, ("incident_evidence", "incident_id"), "incidents")
}

fn evidence_custody() -> TableCreateStatement {
    let it = table(
        "evidence_custody",
        vec![
            uuid("evidence_id"),
            integer("seq"),
            big_integer("time"),
            text("actor"),
            text_null("actor_id"),
            text_null("ip"),
            text("action"),
            text("sha256"),
            text("detail"),
        ],
    );
    owned_by(keyed(it, &["evidence_id", "seq"]), ("evidence_custody", "evidence_id"), "incident_evidence")
}

fn incident_merges() -> TableCreateStatement {
    let it = table(
        "incident_merges",
        vec![
            pk_uuid("id"),
            uuid("tenant_id"),
            uuid("target_id"),
            uuid("source_id"),
            big_integer("time"),
            text("actor"),
            text("moved"),
            big_integer_null("undone"),
            text_null("undone_by"),
        ],
    );
    owned_by(owned_by(it, ("incident_merges", "target_id"), "incidents"), ("incident_merges", "source_id"), "incidents")
}
