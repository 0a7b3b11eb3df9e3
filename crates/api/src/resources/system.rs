//! The system itself: figures, the telemetry store, probes for orchestrators, and Prometheus.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use guardian_identity::Permission;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::Json;
use crate::state::{ApiState, Kpis};

/// The routes of this resource below `/api/v1`.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(kpis)).routes(routes!(storage)).routes(routes!(tables))
}

/// Probes and metrics, at the root because orchestrators look there.
pub(crate) fn probes() -> Router<ApiState> {
    Router::new().route("/healthz", get(healthz)).route("/readyz", get(readyz)).route("/metrics", get(metrics))
}

/// Figures of the last second
#[utoipa::path(get, path = "/kpis", tag = "system", extensions(("x-permission" = json!("status:read"))), responses((status = 200, body = Kpis), (status = 403, body = Problem)))]
async fn kpis(State(state): State<ApiState>, caller: Caller) -> ApiResult<Json<Kpis>> {
    caller.scope(Permission::StatusRead).await?;
    Ok(Json(state.kpis.borrow().clone()))
}

/// State of the telemetry store: rows, bytes, files, lag, corruption
#[utoipa::path(get, path = "/storage", tag = "system", extensions(("x-permission" = json!("status:read"))),
    responses((status = 200, body = Object, content_type = "application/json"), (status = 403, body = Problem)))]
async fn storage(State(state): State<ApiState>, caller: Caller) -> ApiResult<Json<Value>> {
    caller.scope(Permission::StatusRead).await?;
    Ok(Json(serde_json::to_value(state.lake.stats()).map_err(ApiError::internal)?))
}

/// A table that SQL can ask.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TableView {
    /// Its name.
    pub(crate) name: &'static str,
    /// What a row is.
    pub(crate) doc: &'static str,
    /// Its columns.
    pub(crate) columns: Vec<TableColumn>,
}

/// A column of a table.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TableColumn {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its type.
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    /// Its unit, or empty.
    pub(crate) unit: &'static str,
    /// Whether a row may lack it.
    pub(crate) nullable: bool,
    /// Whether it is personal data.
    pub(crate) personal: bool,
    /// What it says.
    pub(crate) doc: &'static str,
}

/// Tables and columns that SQL and filters know
#[utoipa::path(get, path = "/tables", tag = "telemetry", extensions(("x-permission" = json!("flows:read"))), responses((status = 200, body = Vec<TableView>)))]
async fn tables(caller: Caller) -> ApiResult<Json<Vec<TableView>>> {
    caller.scope(Permission::FlowsRead).await?;
    let column = |f: &'static guardian_model::Field| TableColumn {
        name: f.name,
        kind: f.kind.name(),
        unit: f.unit,
        nullable: f.nullable,
        personal: f.personal,
        doc: f.doc,
    };
    let table = |class: &&'static guardian_model::Class| TableView {
        name: class.name,
        doc: class.doc,
        columns: class.fields.iter().map(column).collect(),
    };
    Ok(Json(guardian_model::ALL_CLASSES.iter().map(table).collect()))
}

async fn healthz(State(state): State<ApiState>) -> Response {
    probe(state.health.live())
}

async fn readyz(State(state): State<ApiState>) -> Response {
    probe(state.health.ready())
}

fn probe(report: guardian_kit::health::Snapshot) -> Response {
    let status = if report.ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(report)).into_response()
}

async fn metrics(State(state): State<ApiState>, caller: Option<Caller>) -> ApiResult<Response> {
    if !state.settings.metrics_public {
        let caller = caller.ok_or_else(|| {
            ApiError::unauthenticated(
                "metrics need an API key with the permission status:read, or server.metrics_public",
            )
        })?;
        caller.scope(Permission::StatusRead).await?;
    }
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], state.metrics.render()).into_response())
}
