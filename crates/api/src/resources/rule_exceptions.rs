//! Exceptions to rules: what a rule is not to look at here. They stand beside the rule's text, so that a new version of
//! it, shipped or written here, leaves them as they are.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use guardian_catalog::{AlertDetail, ExceptionDraft, RuleException};
use guardian_expr::Expr;
use guardian_identity::Permission;
use guardian_model::{ALL_CLASSES, FLOW, Kind, Micros, Scope, TenantId};
use guardian_rules::Exception;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::alerts::{alert_id, parse_time};
use super::suppressions::yes;
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::{Json, Path};
use crate::state::ApiState;

/// Values of one field that a proposal names.
const VALUES_MAX: usize = 10;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(all))
        .routes(routes!(of_rule, create))
        .routes(routes!(get, update, delete))
        .routes(routes!(propose))
}

/// An exception to a rule.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ExceptionView {
    /// Identity.
    pub(crate) id: String,
    /// Sigma id of the rule, or id of the detector.
    pub(crate) rule_id: String,
    /// Grows with each change.
    pub(crate) version: i32,
    /// Rows that the rule does not look at.
    pub(crate) filter: String,
    /// Why.
    pub(crate) reason: String,
    /// It ends then, RFC 3339.
    pub(crate) expires: Option<String>,
    /// Whether it is over.
    pub(crate) expired: bool,
    /// Whether it holds, unless it is over.
    pub(crate) enabled: bool,
    /// Rows that it kept from the rule.
    pub(crate) hits: u64,
    /// When it last did, RFC 3339.
    pub(crate) last_hit: Option<String>,
    /// Who made it.
    pub(crate) author: String,
    /// When, RFC 3339.
    pub(crate) created: String,
    /// When it last changed, RFC 3339.
    pub(crate) updated: String,
    /// What keeps it from working, such as a field that flows no longer have.
    pub(crate) issue: Option<String>,
}

impl ExceptionView {
    pub(crate) fn new(exception: RuleException, now: Micros) -> Self {
        Self {
            issue: checked(&exception.draft.filter, exception.created).err(),
            id: exception.id.to_string(),
            rule_id: exception.rule_id,
            version: exception.version,
            filter: exception.draft.filter,
            reason: exception.draft.reason,
            expires: exception.draft.expires.map(|t| t.to_string()),
            expired: exception.draft.expires.is_some_and(|end| end <= now),
            enabled: exception.draft.enabled,
            hits: exception.hits,
            last_hit: exception.last_hit.map(|t| t.to_string()),
            author: exception.author,
            created: exception.created.to_string(),
            updated: exception.updated.to_string(),
        }
    }
}

/// Exceptions.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExceptionList {
    /// Newest first.
    pub(crate) items: Vec<ExceptionView>,
}

/// One field and the values that the rule is not to look at.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FieldValues {
    /// Column of a flow, or another name of it.
    pub(crate) field: String,
    /// Any of these.
    pub(crate) values: Vec<String>,
}

/// What an exception says. Either a filter or fields with values, all of which must fit.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExceptionBody {
    /// The version that the caller saw; only for changes.
    #[serde(default)]
    pub(crate) version: Option<i32>,
    /// Rows that the rule is not to look at, such as `src_ip = 10.0.0.7 and dst_port = 443`.
    #[serde(default)]
    pub(crate) filter: Option<String>,
    /// Instead of a filter.
    #[serde(default)]
    pub(crate) fields: Vec<FieldValues>,
    /// Why.
    pub(crate) reason: String,
    /// It ends then, RFC 3339; never without it.
    #[serde(default)]
    pub(crate) expires: Option<String>,
    /// Whether it holds; true by default.
    #[serde(default = "yes")]
    pub(crate) enabled: bool,
}

impl ExceptionBody {
    fn draft(self, now: Micros) -> ApiResult<ExceptionDraft> {
        let named = self.filter.filter(|f| !f.trim().is_empty());
        let filter = match (named, self.fields.as_slice()) {
            (Some(filter), []) => filter,
            (None, fields) if !fields.is_empty() => {
                fields.iter().map(one_of).collect::<ApiResult<Vec<_>>>()?.join(" and ")
            }
            _ => return Err(ApiError::invalid("an exception has either a `filter` or `fields`")),
        };
        checked(&filter, now).map_err(ApiError::invalid)?;
        Ok(ExceptionDraft {
            filter,
            reason: self.reason,
            expires: self.expires.as_deref().map(|t| parse_time("expires", t)).transpose()?,
            enabled: self.enabled,
        })
    }
}

/// `field in ("a", "b")`.
fn one_of(fields: &FieldValues) -> ApiResult<String> {
    let column =
        ALL_CLASSES.iter().find_map(|c| c.sigma_index_of(&fields.field).map(|i| &c.fields[i])).ok_or_else(|| {
            ApiError::invalid(format!("`field`: there is no column `{}`; the field reference lists them", fields.field))
        })?;
    let values: Vec<String> = fields.values.iter().map(|v| literal(column.kind, v)).collect();
    match values.as_slice() {
        [] => Err(ApiError::invalid(format!("`{}` has no values", fields.field))),
        [one] => Ok(format!("{} = {one}", column.name)),
        more => Ok(format!("{} in ({})", column.name, more.join(", "))),
    }
}

/// A value as the filter language writes it: bare where it is made of harmless signs.
fn literal(kind: Kind, value: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || ".:/-".contains(c);
    if !matches!(kind, Kind::Label | Kind::Text) && !value.is_empty() && value.chars().all(bare) {
        return value.to_owned();
    }
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The filter of an exception, or what is wrong with it: it has to fit the columns of one class. Whether that is the class
/// of the rule is seen when both are put together.
pub(crate) fn checked(filter: &str, made: Micros) -> Result<Expr, String> {
    let parsed = Expr::parse(filter).map_err(|e| e.render(filter))?;
    match parsed.check(&FLOW, made) {
        Err(error) if !ALL_CLASSES.iter().any(|class| parsed.check(class, made).is_ok()) => Err(error.render(filter)),
        _ => Ok(parsed),
    }
}

/// An exception as detection takes it, or what keeps it from working.
pub fn exception(exception: &RuleException) -> Result<Exception, String> {
    Ok(Exception {
        id: exception.id.as_u128(),
        rule_id: exception.rule_id.clone(),
        filter: checked(&exception.draft.filter, exception.created)?,
        made: exception.created,
        expires: exception.draft.expires,
    })
}

/// Refuses what is neither a rule of the tenant nor a detector.
async fn require_rule(state: &ApiState, tenant: TenantId, id: &str) -> ApiResult<()> {
    if guardian_detect::detectors::ALL.iter().any(|d| d.id == id) {
        return Ok(());
    }
    state.catalog.scoped(&Scope::of(tenant)).rule(tenant, id).await?;
    Ok(())
}

fn parse_id(text: &str) -> ApiResult<Uuid> {
    text.parse().map_err(|_| ApiError::not_found("exception"))
}

/// List the exceptions to all rules with what each did
#[utoipa::path(get, path = "/rules/exceptions", tag = "rules", extensions(("x-permission" = json!("rules:read"))),
    responses((status = 200, body = ExceptionList), (status = 403, body = Problem)))]
async fn all(State(state): State<ApiState>, caller: Caller) -> ApiResult<Json<ExceptionList>> {
    let tenant = caller.tenant(Permission::RulesRead).await?;
    let found = state.catalog.scoped(&Scope::of(tenant)).rule_exceptions(tenant, None).await?;
    let now = state.clock.now();
    Ok(Json(ExceptionList { items: found.into_iter().map(|e| ExceptionView::new(e, now)).collect() }))
}

/// List the exceptions to a rule or detector
#[utoipa::path(get, path = "/rules/{id}/exceptions", tag = "rules", extensions(("x-permission" = json!("rules:read"))),
    params(("id" = String, Path, description = "Sigma id, or id of a detector")),
    responses((status = 200, body = ExceptionList), (status = 404, body = Problem)))]
async fn of_rule(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<ExceptionList>> {
    let tenant = caller.tenant(Permission::RulesRead).await?;
    require_rule(&state, tenant, &id).await?;
    let found = state.catalog.scoped(&Scope::of(tenant)).rule_exceptions(tenant, Some(&id)).await?;
    let now = state.clock.now();
    Ok(Json(ExceptionList { items: found.into_iter().map(|e| ExceptionView::new(e, now)).collect() }))
}

/// Make an exception to a rule or detector; it holds for what comes from now on
#[utoipa::path(post, path = "/rules/{id}/exceptions", tag = "rules", extensions(("x-permission" = json!("rules:write"))),
    params(("id" = String, Path, description = "Sigma id, or id of a detector")), request_body = ExceptionBody,
    responses((status = 201, body = ExceptionView), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn create(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<ExceptionBody>,
) -> ApiResult<(StatusCode, Json<ExceptionView>)> {
    let tenant = caller.tenant(Permission::RulesWrite).await?;
    require_rule(&state, tenant, &id).await?;
    let now = state.clock.now();
    let draft = body.draft(now)?;
    let mut tx = state.catalog.scoped(&Scope::of(tenant)).begin(tenant, caller.actor()).await?;
    let made = tx.create_rule_exception(&id, &draft).await?;
    tx.commit().await?;
    state.rule_stats.reload().await;
    Ok((StatusCode::CREATED, Json(ExceptionView::new(made, now))))
}

/// Show one exception
#[utoipa::path(get, path = "/rules/exceptions/{exception}", tag = "rules", extensions(("x-permission" = json!("rules:read"))),
    params(("exception" = String, Path, description = "Exception id")),
    responses((status = 200, body = ExceptionView), (status = 404, body = Problem)))]
async fn get(State(state): State<ApiState>, caller: Caller, Path(id): Path<String>) -> ApiResult<Json<ExceptionView>> {
    let tenant = caller.tenant(Permission::RulesRead).await?;
    let found = state.catalog.scoped(&Scope::of(tenant)).rule_exception(tenant, parse_id(&id)?).await?;
    Ok(Json(ExceptionView::new(found, state.clock.now())))
}

/// Change an exception
#[utoipa::path(patch, path = "/rules/exceptions/{exception}", tag = "rules", extensions(("x-permission" = json!("rules:write"))),
    params(("exception" = String, Path, description = "Exception id")), request_body = ExceptionBody,
    responses((status = 200, body = ExceptionView), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn update(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<ExceptionBody>,
) -> ApiResult<Json<ExceptionView>> {
    let tenant = caller.tenant(Permission::RulesWrite).await?;
    let id = parse_id(&id)?;
    let (scope, now) = (Scope::of(tenant), state.clock.now());
    let scoped = state.catalog.scoped(&scope);
    let current = scoped.rule_exception(tenant, id).await?;
    let version = body.version.ok_or_else(|| ApiError::invalid("`version`: give the version that you saw"))?;
    let draft = body.draft(now)?;
    let mut tx = scoped.begin(tenant, caller.actor()).await?;
    let changed = tx
        .update_rule_exception(id, version, &draft)
        .await
        .map_err(|error| ApiError::from(error).with_current(&ExceptionView::new(current, now)))?;
    tx.commit().await?;
    state.rule_stats.reload().await;
    Ok(Json(ExceptionView::new(changed, now)))
}

/// End an exception
#[utoipa::path(delete, path = "/rules/exceptions/{exception}", tag = "rules", extensions(("x-permission" = json!("rules:write"))),
    params(("exception" = String, Path, description = "Exception id")),
    responses((status = 204), (status = 404, body = Problem)))]
async fn delete(State(state): State<ApiState>, caller: Caller, Path(id): Path<String>) -> ApiResult<StatusCode> {
    let tenant = caller.tenant(Permission::RulesWrite).await?;
    let mut tx = state.catalog.scoped(&Scope::of(tenant)).begin(tenant, caller.actor()).await?;
    tx.delete_rule_exception(parse_id(&id)?).await?;
    tx.commit().await?;
    state.rule_stats.reload().await;
    Ok(StatusCode::NO_CONTENT)
}

/// An exception that would have kept an alert away, or part of it.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ProposalView {
    /// The filter to make it with.
    pub(crate) filter: String,
    /// The columns that it names.
    pub(crate) fields: Vec<String>,
    /// Rows of the alert's evidence that it covers.
    pub(crate) rows: usize,
}

/// Exceptions that fit an alert.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProposalList {
    /// The rule or detector that raised it.
    pub(crate) rule_id: String,
    /// Rows of evidence in all.
    pub(crate) rows: usize,
    /// The narrowest first.
    pub(crate) items: Vec<ProposalView>,
}

/// Propose exceptions from what an alert's evidence has in common
#[utoipa::path(get, path = "/alerts/{id}/exceptions", tag = "alerts", extensions(("x-permission" = json!("alerts:read"))),
    params(("id" = String, Path, description = "Alert id")),
    responses((status = 200, body = ProposalList), (status = 404, body = Problem)))]
async fn propose(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<ProposalList>> {
    let scope = caller.scope(Permission::AlertsRead).await?;
    let found = state.catalog.scoped(&scope).alert(alert_id(&id)?).await?;
    let items = proposals(&found);
    Ok(Json(ProposalList { rule_id: found.alert.rule.id, rows: found.evidence.len(), items }))
}

/// Fields that say who talked to whom; the narrower combinations first.
const COMBINATIONS: &[&[&str]] = &[
    &["src_ip", "dst_ip", "dst_port", "protocol"],
    &["src_ip", "dst_ip"],
    &["src_ip", "dst_port", "protocol"],
    &["dst_ip", "dst_port", "protocol"],
    &["src_ip"],
    &["dst_ip"],
    &["dst_as_org"],
    &["src_as_org"],
];

/// A combination is proposed if its fields have few values in the evidence, and no narrower one says the same.
fn proposals(alert: &AlertDetail) -> Vec<ProposalView> {
    let mut values: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for name in COMBINATIONS.iter().copied().flatten().copied() {
        let mut found: Vec<String> = alert
            .evidence
            .iter()
            .filter_map(|(_, row)| row.get(name))
            .map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned))
            .collect();
        found.sort_unstable();
        found.dedup();
        if !found.is_empty() && found.len() <= VALUES_MAX {
            values.insert(name, found);
        }
    }
    let mut proposals: Vec<ProposalView> = Vec::new();
    for fields in COMBINATIONS {
        let parts = fields.iter().map(|field| Some((*field, values.get(field)?))).collect::<Option<Vec<_>>>();
        let Some(parts) = parts else { continue };
        let test = |(field, values): &(&str, &Vec<String>)| {
            one_of(&FieldValues { field: (*field).to_owned(), values: (*values).clone() }).ok()
        };
        let Some(tests) = parts.iter().map(test).collect::<Option<Vec<_>>>() else { continue };
        let covers = |row: &Value| {
            parts.iter().all(|(field, values)| {
                row.get(*field).is_some_and(|v| {
                    let text = v.as_str().map_or_else(|| v.to_string(), str::to_owned);
                    values.contains(&text)
                })
            })
        };
        let rows = alert.evidence.iter().filter(|(_, row)| covers(row)).count();
        proposals.push(ProposalView {
            filter: tests.join(" and "),
            fields: fields.iter().map(|f| (*f).to_owned()).collect(),
            rows,
        });
    }
    proposals
}

#[cfg(test)]
mod tests {
    use guardian_model::Micros;

    use super::{ExceptionBody, FieldValues, checked};

    fn body(filter: Option<&str>, fields: &[(&str, &[&str])]) -> ExceptionBody {
        ExceptionBody {
            version: None,
            filter: filter.map(str::to_owned),
            fields: fields
                .iter()
                .map(|(field, values)| FieldValues {
                    field: (*field).into(),
                    values: values.iter().map(|v| (*v).into()).collect(),
                })
                .collect(),
            reason: "r".into(),
            expires: None,
            enabled: true,
        }
    }

    #[test]
    fn fields_become_a_filter() {
        let draft = body(None, &[("src_ip", &["10.0.0.7"]), ("dst_port", &["22", "443"])]).draft(Micros(0)).unwrap();
        assert_eq!(draft.filter, "src_ip = 10.0.0.7 and dst_port in (22, 443)");
        let odd = body(None, &[("dst_as_org", &["A \"B\" \\ or 1=1"])]).draft(Micros(0)).unwrap();
        assert_eq!(odd.filter, r#"dst_as_org = "A \"B\" \\ or 1=1""#);
        assert!(checked(&odd.filter, Micros(0)).is_ok());
        for wrong in [
            body(None, &[]),
            body(Some(" "), &[]),
            body(Some("src_ip = 10.0.0.1"), &[("dst_port", &["1"])]),
            body(None, &[("nothing", &["1"])]),
            body(None, &[("dst_port", &[])]),
            body(None, &[("src_ip", &["10.0.0.1 or 1"])]),
            body(Some("scr_ip = 10.0.0.1"), &[]),
        ] {
            assert!(wrong.clone().draft(Micros(0)).is_err(), "{wrong:?}");
        }
    }
}
