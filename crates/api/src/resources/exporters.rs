//! Exporters: who sends us flows, and what was lost on the way.

use axum::extract::State;
use guardian_identity::Permission;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::Caller;
use crate::error::{ApiResult, Problem};
use crate::extract::Json;
use crate::state::ApiState;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list))
}

/// An exporter, observation domain and protocol.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExporterView {
    /// Tenant.
    pub(crate) tenant: String,
    /// Address.
    pub(crate) exporter: String,
    /// Observation domain, source id, engine or sub-agent.
    pub(crate) domain: u32,
    /// netflow5, netflow7, netflow9, ipfix or sflow.
    pub(crate) protocol: String,
    /// `receiving`, `waiting for its template, 12 records held` or `silent`.
    pub(crate) state: String,
    /// First datagram, RFC 3339.
    pub(crate) first_seen: String,
    /// Last datagram, RFC 3339.
    pub(crate) last_seen: String,
    /// Counters by name, loss included; the manual's page on loss explains each.
    #[schema(value_type = Object)]
    pub(crate) counters: Value,
}

/// All exporters of the caller's tenants.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExporterList {
    /// By address.
    pub(crate) items: Vec<ExporterView>,
}

/// List exporters with their state and loss counters
#[utoipa::path(get, path = "/exporters", tag = "exporters", extensions(("x-permission" = json!("exporters:read"))),
    responses((status = 200, body = ExporterList), (status = 401, body = Problem), (status = 403, body = Problem)))]
async fn list(State(state): State<ApiState>, caller: Caller) -> ApiResult<Json<ExporterList>> {
    let scope = caller.scope(Permission::ExportersRead).await?;
    let exporters = state.catalog.scoped(&scope).exporters().await?;
    let items = exporters.into_iter().map(|e| ExporterView {
        tenant: e.tenant.to_string(),
        exporter: e.address.to_string(),
        domain: e.domain,
        protocol: e.protocol,
        state: e.state.to_string(),
        first_seen: e.first_seen.to_string(),
        last_seen: e.last_seen.to_string(),
        counters: e.counters,
    });
    Ok(Json(ExporterList { items: items.collect() }))
}
