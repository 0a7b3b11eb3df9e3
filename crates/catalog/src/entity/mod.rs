//! The tables as SeaORM sees them. They never leave this crate: what the public functions return are the types of the
//! modules beside this one, so that a column can change without a change of the API.
#![expect(unreachable_pub, reason = "the entity derive needs `pub`")]

use sea_orm::EntityTrait;

pub(crate) mod access_link;
pub(crate) mod agent_authority;
pub(crate) mod agent_release;
pub(crate) mod alert;
pub(crate) mod alert_evidence;
pub(crate) mod api_key;
pub(crate) mod audit;
pub(crate) mod audit_checkpoint;
pub(crate) mod change_log;
pub(crate) mod client_certificate;
pub(crate) mod command;
pub(crate) mod command_run;
pub(crate) mod delivery;
pub(crate) mod enrolment_token;
pub(crate) mod evidence_custody;
pub(crate) mod evidence_key;
pub(crate) mod evidence_pack;
pub(crate) mod exporter;
pub(crate) mod external_identity;
pub(crate) mod finding_exception;
pub(crate) mod finding_term;
pub(crate) mod host;
pub(crate) mod host_baseline;
pub(crate) mod host_finding;
pub(crate) mod host_group;
pub(crate) mod host_list;
pub(crate) mod host_software;
pub(crate) mod image;
pub(crate) mod image_content;
pub(crate) mod image_finding;
pub(crate) mod incident;
pub(crate) mod incident_alert;
pub(crate) mod incident_entity;
pub(crate) mod incident_entry;
pub(crate) mod incident_evidence;
pub(crate) mod incident_merge;
pub(crate) mod incident_task;
pub(crate) mod incident_template;
pub(crate) mod live_query;
pub(crate) mod live_query_host;
pub(crate) mod live_query_part;
pub(crate) mod membership;
pub(crate) mod notification;
pub(crate) mod notification_channel;
pub(crate) mod notification_preference;
pub(crate) mod policy;
pub(crate) mod policy_order;
pub(crate) mod policy_version;
pub(crate) mod preference;
pub(crate) mod recovery_code;
pub(crate) mod refresh_token;
pub(crate) mod role;
pub(crate) mod rollout;
pub(crate) mod rollout_host;
pub(crate) mod rule;
pub(crate) mod rule_exception;
pub(crate) mod rule_version;
pub(crate) mod saved;
pub(crate) mod second_factor;
pub(crate) mod session;
pub(crate) mod setting;
pub(crate) mod setup_token;
pub(crate) mod software;
pub(crate) mod state_blob;
pub(crate) mod suppression;
pub(crate) mod tenant;
pub(crate) mod token_family;
pub(crate) mod undo;
pub(crate) mod user;

/// A table whose rows belong to a tenant. [`crate::Scoped`] reads through this alone, so that the tenant filter cannot
/// be forgotten.
pub(crate) trait TenantOwned: EntityTrait {
    /// The column that says whose the row is.
    fn tenant_column() -> Self::Column;
}

macro_rules! tenant_owned {
    ($($table:ident),*) => {$(
        impl TenantOwned for $table::Entity {
            fn tenant_column() -> Self::Column {
                $table::Column::TenantId
            }
        }
    )*};
}

tenant_owned!(
    access_link,
    agent_release,
    alert,
    api_key,
    audit,
    audit_checkpoint,
    change_log,
    command,
    command_run,
    evidence_pack,
    delivery,
    enrolment_token,
    exporter,
    finding_exception,
    finding_term,
    host,
    host_baseline,
    host_finding,
    host_group,
    host_list,
    host_software,
    image,
    image_content,
    image_finding,
    incident,
    incident_alert,
    incident_entity,
    incident_entry,
    incident_evidence,
    incident_merge,
    incident_task,
    incident_template,
    live_query,
    live_query_host,
    live_query_part,
    membership,
    notification,
    notification_channel,
    policy,
    policy_order,
    role,
    rollout,
    rollout_host,
    rule,
    rule_exception,
    saved,
    setting,
    software,
    suppression,
    undo
);
