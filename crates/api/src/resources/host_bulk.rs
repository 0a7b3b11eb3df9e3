//! One change of many hosts.

use axum::extract::State;
use guardian_catalog::HostLabels;
use guardian_identity::Permission;
use guardian_model::Scope;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::Json;
use crate::state::ApiState;

/// Hosts that one request may name.
const IDS_MAX: usize = 500;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(bulk))
}

/// Which hosts, and what to do with them.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BulkHosts {
    /// Their ids, at most 500.
    pub(crate) ids: Vec<Uuid>,
    /// What to do.
    pub(crate) change: BulkHostChange,
}

/// One change.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum BulkHostChange {
    /// Give or take tags and groups.
    Labels(BulkHostLabels),
    /// Shut them out, at once and for good.
    Revoke {},
    /// Take them off the list; their events stay.
    Delete {},
}

/// Tags and groups to give and to take.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct BulkHostLabels {
    /// Tags to give.
    pub(crate) add_tags: Vec<String>,
    /// Tags to take.
    pub(crate) remove_tags: Vec<String>,
    /// Groups to put them into.
    pub(crate) add_groups: Vec<String>,
    /// Groups to take them out of.
    pub(crate) remove_groups: Vec<String>,
}

impl From<BulkHostLabels> for HostLabels {
    fn from(labels: BulkHostLabels) -> Self {
        let BulkHostLabels { add_tags, remove_tags, add_groups, remove_groups } = labels;
        Self { add_tags, remove_tags, add_groups, remove_groups }
    }
}

/// What a bulk change did.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BulkHostsAnswer {
    /// The hosts that it changed; the others were like that already, or are gone. The opposite change of these takes labels
    /// back.
    pub(crate) changed: Vec<Uuid>,
}

/// Change many hosts at once
#[utoipa::path(post, path = "/hosts/bulk", tag = "hosts", extensions(("x-permission" = json!("hosts:manage"))), request_body = BulkHosts,
    responses((status = 200, body = BulkHostsAnswer), (status = 403, body = Problem), (status = 422, body = Problem)))]
async fn bulk(
    State(state): State<ApiState>,
    caller: Caller,
    Json(body): Json<BulkHosts>,
) -> ApiResult<Json<BulkHostsAnswer>> {
    let tenant = match body.change {
        BulkHostChange::Labels(_) => caller.tenant(Permission::HostsManage).await?,
        BulkHostChange::Revoke {} | BulkHostChange::Delete {} => caller.sensitive(Permission::HostsManage).await?,
    };
    if body.ids.is_empty() || body.ids.len() > IDS_MAX {
        return Err(ApiError::invalid(format!("`ids`: 1 to {IDS_MAX} hosts")));
    }
    let scope = Scope::of(tenant);
    let mut tx = state.catalog.scoped(&scope).begin(tenant, caller.actor()).await?;
    let (ends, gone) = match body.change {
        BulkHostChange::Labels(_) => (false, false),
        BulkHostChange::Revoke {} => (true, false),
        BulkHostChange::Delete {} => (true, true),
    };
    let changed = match body.change {
        BulkHostChange::Labels(labels) => tx.label_hosts(&body.ids, &labels.into()).await?,
        BulkHostChange::Revoke {} => tx.revoke_hosts(&body.ids).await?,
        BulkHostChange::Delete {} => tx.delete_hosts(&body.ids).await?,
    };
    tx.commit().await?;
    for id in &changed {
        if ends {
            state.fleet.end_session(*id);
        }
        if gone {
            state.lake.forget_origin(id.as_bytes());
        }
    }
    Ok(Json(BulkHostsAnswer { changed }))
}
