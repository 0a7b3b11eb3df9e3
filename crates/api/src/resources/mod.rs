//! The resources of the API: one file each, and the one list of them.

mod agent_install;
mod agent_releases;
mod agents;
mod alert_bulk;
mod alert_figures;
mod alert_split;
mod alerts;
mod api_keys;
mod audit;
mod certificates;
mod command_evidence;
mod commands;
mod dashboard;
mod dashboard_traffic;
mod deliveries;
mod enrollment_tokens;
mod entities;
mod entity_traffic;
mod exporters;
mod factors;
mod flows;
mod host_baselines;
mod host_bulk;
mod host_comparison;
mod host_events;
mod host_evidence;
mod host_figures;
mod host_groups;
mod host_policy;
mod host_removal;
mod hosts;
mod image_findings;
mod image_report;
mod images;
mod incident_alerts;
mod incident_evidence;
mod incident_merges;
mod incident_parts;
mod incident_templates;
mod incident_timeline;
mod incident_view;
mod incidents;
mod inventory;
mod invitations;
mod kept;
mod live_queries;
mod notification_channels;
mod notifications;
mod oidc;
mod passkeys;
mod people;
mod policies;
mod profile;
pub(crate) mod query;
mod replays;
mod reports;
mod roles;
mod rollouts;
mod rule_coverage;
mod rule_exceptions;
mod rule_files;
mod rule_test;
mod rule_versions;
mod rules;
mod saved;
mod search;
mod security;
mod session;
mod software;
mod stream;
mod suppressions;
mod system;
mod tenants;
mod tokens;
mod users;
mod vulnerabilities;
mod vulnerability_advisories;
mod vulnerability_exceptions;
mod vulnerability_exposure;
mod vulnerability_figures;
mod vulnerability_report;

use utoipa_axum::router::OpenApiRouter;

use crate::state::ApiState;

/// The routes of every resource below `/api/v1`, in the order of the documentation.
pub(crate) const ALL: &[fn() -> OpenApiRouter<ApiState>] = &[
    session::routes,
    factors::routes,
    passkeys::routes,
    certificates::routes,
    oidc::routes,
    profile::routes,
    users::routes,
    invitations::routes,
    roles::routes,
    tenants::routes,
    security::routes,
    api_keys::routes,
    people::routes,
    tokens::routes,
    audit::routes,
    alerts::routes,
    alert_figures::routes,
    alert_bulk::routes,
    alert_split::routes,
    suppressions::routes,
    incidents::routes,
    incident_alerts::routes,
    incident_timeline::routes,
    incident_parts::routes,
    incident_evidence::routes,
    incident_merges::routes,
    incident_templates::routes,
    entities::routes,
    saved::routes,
    dashboard::routes,
    search::routes,
    notifications::routes,
    notification_channels::routes,
    deliveries::routes,
    reports::routes,
    flows::routes,
    query::routes,
    rules::routes,
    rule_versions::routes,
    rule_exceptions::routes,
    rule_files::routes,
    rule_coverage::routes,
    rule_test::routes,
    exporters::routes,
    hosts::routes,
    host_figures::routes,
    host_bulk::routes,
    host_comparison::routes,
    host_removal::routes,
    host_events::routes,
    host_groups::routes,
    host_policy::routes,
    policies::routes,
    command_evidence::routes,
    host_baselines::routes,
    host_evidence::routes,
    commands::routes,
    live_queries::routes,
    inventory::routes,
    software::routes,
    vulnerabilities::routes,
    vulnerability_figures::routes,
    vulnerability_advisories::routes,
    vulnerability_exceptions::routes,
    vulnerability_exposure::routes,
    vulnerability_report::routes,
    images::routes,
    image_findings::routes,
    image_report::routes,
    enrollment_tokens::routes,
    agents::routes,
    agent_install::routes,
    agent_releases::routes,
    rollouts::routes,
    replays::routes,
    stream::routes,
    system::routes,
];

pub use dashboard_traffic::TrafficCache;
pub use rule_exceptions::exception;
pub(crate) use system::probes;
