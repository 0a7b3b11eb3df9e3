//! One search over everything that the caller may see.

use axum::extract::State;
use guardian_catalog::{
    AlertFilter, AlertSort, HostFilter, HostOrder, HostSort, IncidentFilter, IncidentOrder, IncidentSort, Presence,
};
use guardian_identity::Permission;
use guardian_model::{Ip, Scope};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::{Json, Query};
use crate::state::ApiState;

/// Things of one kind that are named.
const EACH_MAX: u64 = 10;
/// Longest text that is searched for, in characters.
const TEXT_MAX: usize = 200;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(search))
}

/// What to search for.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct SearchQuery {
    /// Text; 1 to 200 characters.
    pub(crate) q: String,
    /// Most things to answer with, at most 100; 30 by default.
    #[serde(default)]
    pub(crate) limit: Option<usize>,
}

/// Something that was found.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FoundView {
    /// entity, incident, alert, rule, exporter, host or user.
    pub(crate) kind: &'static str,
    /// Its id: of an entity, its kind and value.
    pub(crate) id: String,
    /// What to show.
    pub(crate) title: String,
    /// More about it.
    pub(crate) detail: String,
    /// How well it fits: larger is better.
    pub(crate) score: u32,
}

/// What was found.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FoundList {
    /// What fits best first.
    pub(crate) items: Vec<FoundView>,
}

/// How well a text fits: whole, from its beginning, or somewhere.
fn fit(text: &str, wanted: &str) -> u32 {
    let text = text.to_lowercase();
    if text == wanted {
        100
    } else if text.starts_with(wanted) {
        60
    } else if text.contains(wanted) {
        40
    } else {
        20
    }
}

/// Search everything that one may see
#[utoipa::path(get, path = "/search", tag = "system", extensions(("x-permission" = json!("alerts:read"))), params(SearchQuery),
    responses((status = 200, body = FoundList), (status = 403, body = Problem), (status = 422, body = Problem)))]
async fn search(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<SearchQuery>,
) -> ApiResult<Json<FoundList>> {
    let tenant = caller.tenant(Permission::AlertsRead).await?;
    let text = query.q.trim();
    if text.is_empty() || text.chars().count() > TEXT_MAX {
        return Err(ApiError::invalid(format!("`q` has 1 to {TEXT_MAX} characters")));
    }
    let held = caller.principal().permissions(tenant);
    let text = caller.searched(text);
    let text = text.as_str();
    let wanted = text.to_lowercase();
    let scope = Scope::of(tenant);
    let mut items = Vec::new();
    if let Ok(ip) = text.parse::<Ip>() {
        items.push(FoundView {
            kind: "entity",
            id: format!("ip/{ip}"),
            title: ip.to_string(),
            detail: "address".into(),
            score: 110,
        });
    }
    work(&state, &scope, text, &wanted, held.contains(Permission::IncidentsRead), &mut items).await?;
    let scoped = state.catalog.scoped(&scope);
    let take = EACH_MAX as usize;
    if held.contains(Permission::RulesRead) {
        let rules = scoped.rules().await?.into_iter();
        let found = rules.filter(|r| r.title.to_lowercase().contains(&wanted) || r.rule_id.contains(&wanted));
        items.extend(found.take(take).map(|r| FoundView {
            kind: "rule",
            score: fit(&r.title, &wanted),
            id: r.rule_id,
            title: r.title,
            detail: r.level,
        }));
    }
    if held.contains(Permission::ExportersRead) {
        let exporters = scoped.exporters().await?.into_iter().map(|e| (e.address.to_string(), e));
        let found = exporters.filter(|(address, _)| address.contains(&wanted));
        items.extend(found.take(take).map(|(address, e)| FoundView {
            kind: "exporter",
            score: fit(&address, &wanted),
            id: address.clone(),
            title: address,
            detail: format!("{}, {}", e.protocol, e.state),
        }));
    }
    if held.contains(Permission::HostsRead) {
        items.extend(hosts(&state, &scope, text, &wanted).await?);
    }
    if held.contains(Permission::UsersRead) {
        let users = scoped.users().await?.into_iter().map(|(user, _)| user);
        let found = users.filter(|u| u.name.contains(&wanted) || u.display_name.to_lowercase().contains(&wanted));
        items.extend(found.take(take).map(|u| FoundView {
            kind: "user",
            score: fit(&u.name, &wanted),
            id: u.id.to_string(),
            title: u.display_name,
            detail: u.name,
        }));
    }
    items.sort_by_key(|item| std::cmp::Reverse(item.score));
    items.truncate(query.limit.unwrap_or(30).clamp(1, 100));
    Ok(Json(FoundList { items }))
}

/// Machines with an agent.
async fn hosts(state: &ApiState, scope: &Scope, text: &str, wanted: &str) -> ApiResult<Vec<FoundView>> {
    let filter = HostFilter { search: Some(text.to_owned()), ..HostFilter::default() };
    let order = HostOrder { by: HostSort::Name, descending: false };
    let hosts = state.catalog.scoped(scope).hosts(&filter, order, None, EACH_MAX).await?.items.into_iter();
    let found = hosts.map(|h| FoundView {
        kind: "host",
        score: fit(&h.name, wanted) + 4,
        id: h.id.to_string(),
        title: h.name,
        detail: h.system,
    });
    Ok(found.collect())
}

/// Incidents and alerts, and the entities that the alerts are about.
async fn work(
    state: &ApiState,
    scope: &Scope,
    text: &str,
    wanted: &str,
    incidents: bool,
    items: &mut Vec<FoundView>,
) -> ApiResult<()> {
    let scoped = state.catalog.scoped(scope);
    if incidents {
        let filter = IncidentFilter { search: Some(text.to_owned()), merged: true, ..IncidentFilter::default() };
        let order = IncidentOrder { by: IncidentSort::Updated, ascending: false };
        for one in scoped.incidents(&filter, order, None, EACH_MAX).await?.items {
            let number = text.trim_start_matches('#').parse() == Ok(one.number);
            items.push(FoundView {
                kind: "incident",
                id: one.id.to_string(),
                score: if number { 105 } else { fit(&one.title, wanted) + 5 },
                detail: format!("#{}, {}, {}", one.number, one.severity, one.status),
                title: one.title,
            });
        }
    }
    let filter = AlertFilter { search: Some(text.to_owned()), suppressed: Presence::Include, ..AlertFilter::default() };
    for alert in scoped.alerts(&filter, AlertSort::Activity, None, EACH_MAX * 5).await?.items {
        let entity = format!("{}/{}", alert.entity.kind.as_str(), alert.entity.value);
        let fits = alert.entity.value.to_lowercase().contains(wanted);
        if fits && !items.iter().any(|item| item.kind == "entity" && item.id == entity) {
            items.push(FoundView {
                kind: "entity",
                id: entity,
                title: alert.entity.value.clone(),
                detail: alert.entity.kind.as_str().to_owned(),
                score: fit(&alert.entity.value, wanted) + 8,
            });
        }
        if items.iter().filter(|item| item.kind == "alert").count() < EACH_MAX as usize {
            items.push(FoundView {
                kind: "alert",
                id: alert.id.to_string(),
                score: fit(&alert.rule.title, wanted),
                title: alert.rule.title,
                detail: alert.summary,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::fit;

    #[test]
    fn whole_words_fit_best() {
        let scores: Vec<u32> = ["scan", "Scan of ports", "Port scan", "other"].iter().map(|t| fit(t, "scan")).collect();
        assert_eq!(scores, [100, 60, 40, 20]);
    }
}
