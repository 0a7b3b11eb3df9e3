//! Rules as files: import of folders and archives with a result for each file, and export with the exceptions.

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Response};
use guardian_catalog::{ExceptionDraft, RuleDraft, RuleOrigin, RuleSource, Subject};
use guardian_identity::Permission;
use guardian_model::{Scope, TenantId};
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::alerts::parse_time;
use super::rule_exceptions::checked;
use super::rules::IssueView;
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::{Json, Query};
use crate::rule_pack::{self, PackException, PackFile, PackRule};
use crate::state::ApiState;

/// Largest pack, in bytes as it comes.
const BODY_BYTES_MAX: usize = 32 << 20;
/// Rules stored with one transaction: others must get their turn.
const CHUNK: usize = 100;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(import)).layer(DefaultBodyLimit::max(BODY_BYTES_MAX)).routes(routes!(export))
}

/// Files side by side.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ImportFiles {
    /// Sigma YAML files; others are left out.
    pub(crate) files: Vec<ImportFile>,
}

/// One file.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ImportFile {
    /// Its name, with folders.
    pub(crate) name: String,
    /// Its text.
    pub(crate) source: String,
}

/// How to import.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ImportQuery {
    /// Tell what would happen and store nothing.
    pub(crate) dry_run: bool,
    /// Whether rules that are new here run at once; true by default.
    pub(crate) enabled: bool,
}

impl Default for ImportQuery {
    fn default() -> Self {
        Self { dry_run: false, enabled: true }
    }
}

/// What became of one rule.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ImportedRule {
    /// Sigma id.
    pub(crate) id: String,
    /// Title.
    pub(crate) title: String,
    /// created, updated, unchanged or refused.
    pub(crate) result: &'static str,
}

/// What became of one file.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ImportedFile {
    /// Its name.
    pub(crate) name: String,
    /// stored, unchanged, refused (nothing of it can be stored), partly (some of it can), or exceptions.
    pub(crate) result: &'static str,
    /// Its rules.
    pub(crate) rules: Vec<ImportedRule>,
    /// What is wrong or odd.
    pub(crate) issues: Vec<IssueView>,
}

/// What became of an import.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct ImportAnswer {
    /// Whether nothing was stored.
    pub(crate) dry_run: bool,
    /// Rules that are new.
    pub(crate) created: usize,
    /// Rules with a new version.
    pub(crate) updated: usize,
    /// Rules that were here in the same form.
    pub(crate) unchanged: usize,
    /// Rules with errors.
    pub(crate) refused: usize,
    /// Exceptions that are new.
    pub(crate) exceptions: usize,
    /// The files, by name.
    pub(crate) files: Vec<ImportedFile>,
}

/// Import rules from files or an archive
///
/// The body is either JSON with files or a zip (`application/zip`) of at most 32 MiB. Files are checked together, so that a
/// correlation may refer to a rule in another file; what has errors is refused, the rest is stored. Rules of one file are
/// stored one by one, unless a correlation among them counts the others. `exceptions.yml` of an export is taken, too.
#[utoipa::path(post, path = "/rules/import", tag = "rules", extensions(("x-permission" = json!("rules:write"))), params(ImportQuery),
    request_body(content((ImportFiles = "application/json"), (Vec<u8> = "application/zip"))),
    responses((status = 200, body = ImportAnswer), (status = 403, body = Problem), (status = 413, body = Problem),
        (status = 422, body = Problem)))]
async fn import(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<ImportQuery>,
    headers: HeaderMap,
    body: Bytes,
) -> ApiResult<Json<ImportAnswer>> {
    let tenant = caller.tenant(Permission::RulesWrite).await?;
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let scope = Scope::of(tenant);
    let sources = state.catalog.scoped(&scope).rule_sources(tenant).await?;
    let present: Vec<(String, String)> = sources.iter().map(|s| (s.rule.rule_id.clone(), s.source.clone())).collect();
    // Thousands of rules take a while to read.
    let looking = tokio::task::spawn_blocking(move || {
        let files = read(&kind, &body)?;
        let checked = rule_pack::check(&files, &present);
        Ok::<_, ApiError>((files, checked))
    });
    let (files, pack) = looking.await.map_err(ApiError::internal)??;
    let mut answer = ImportAnswer { dry_run: query.dry_run, ..ImportAnswer::default() };
    let stored = put_rules(&state, &caller, tenant, &query, &sources, &pack.rules, &mut answer).await?;
    let mut shown: Vec<ImportedFile> = files
        .iter()
        .map(|f| ImportedFile { name: f.name.clone(), result: "refused", rules: Vec::new(), issues: Vec::new() })
        .collect();
    for (rule, result) in pack.rules.iter().zip(stored) {
        shown[rule.file].rules.push(ImportedRule { id: rule.id.clone(), title: rule.title.clone(), result });
    }
    for (file, issue) in pack.issues {
        shown[file].issues.push(issue.into());
    }
    for (file, view) in files.iter().zip(&mut shown) {
        view.result = if rule_pack::is_exceptions(&file.name) {
            put_exceptions(&state, &caller, tenant, query.dry_run, file, &mut answer, view).await?
        } else {
            of_rules(&view.rules)
        };
    }
    answer.files = shown;
    if !query.dry_run {
        let mut tx = state.catalog.scoped(&scope).begin(tenant, caller.actor()).await?;
        let counts = json!({
            "files": answer.files.len(), "created": answer.created, "updated": answer.updated,
            "unchanged": answer.unchanged, "refused": answer.refused, "exceptions": answer.exceptions,
        });
        tx.note("rule.import", Subject::Rule, "", counts);
        tx.commit().await?;
        state.rule_stats.reload().await;
    }
    Ok(Json(answer))
}

fn read(kind: &str, body: &[u8]) -> ApiResult<Vec<PackFile>> {
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let mut files = if matches!(kind, "application/zip" | "application/x-zip-compressed" | "application/octet-stream") {
        rule_pack::unzip(body).map_err(ApiError::invalid)?
    } else {
        let body: ImportFiles = serde_json::from_slice(body)
            .map_err(|e| ApiError::invalid(format!("send a zip as application/zip, or JSON with `files`: {e}")))?;
        let files = body.files.into_iter().filter(|f| rule_pack::is_rule_file(&f.name));
        files.map(|f| PackFile { name: f.name.chars().take(500).collect(), text: f.source }).collect()
    };
    if files.len() > rule_pack::FILES_MAX {
        return Err(ApiError::invalid(format!("at most {} files at once", rule_pack::FILES_MAX)));
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

fn of_rules(rules: &[ImportedRule]) -> &'static str {
    let all = |word: &str| rules.iter().all(|r| r.result == word);
    if rules.is_empty() || all("refused") {
        "refused"
    } else if rules.iter().any(|r| r.result == "refused") {
        "partly"
    } else if all("unchanged") {
        "unchanged"
    } else {
        "stored"
    }
}

/// Stores what is fine and new; tells what became of each rule.
async fn put_rules(
    state: &ApiState,
    caller: &Caller,
    tenant: TenantId,
    query: &ImportQuery,
    sources: &[RuleSource],
    rules: &[PackRule],
    answer: &mut ImportAnswer,
) -> ApiResult<Vec<&'static str>> {
    let known: HashMap<&str, &str> = sources.iter().map(|s| (s.rule.rule_id.as_str(), s.rule.hash.as_str())).collect();
    let result = |rule: &PackRule| match known.get(rule.id.as_str()) {
        _ if !rule.fine => "refused",
        None => "created",
        Some(hash) if *hash == rule.hash => "unchanged",
        Some(_) => "updated",
    };
    let results: Vec<_> = rules.iter().map(result).collect();
    for result in &results {
        match *result {
            "created" => answer.created += 1,
            "updated" => answer.updated += 1,
            "unchanged" => answer.unchanged += 1,
            _ => answer.refused += 1,
        }
    }
    if query.dry_run {
        return Ok(results);
    }
    let wanted: Vec<&PackRule> = rules
        .iter()
        .zip(&results)
        .filter(|(_, r)| matches!(**r, "created" | "updated"))
        .map(|(rule, _)| rule)
        .collect();
    let scope = Scope::of(tenant);
    for chunk in wanted.chunks(CHUNK) {
        let mut tx = state.catalog.scoped(&scope).begin(tenant, caller.actor()).await?;
        for rule in chunk {
            let draft = RuleDraft {
                rule_id: rule.id.clone(),
                title: rule.title.clone(),
                level: rule.level.clone(),
                origin: RuleOrigin::Custom,
                source: rule.source.clone(),
                hash: rule.hash.clone(),
                comment: Some("imported".into()),
                enabled: query.enabled,
            };
            tx.put_rule(&draft).await?;
        }
        tx.commit().await?;
    }
    Ok(results)
}

/// Stores the exceptions of a file that are not here yet.
async fn put_exceptions(
    state: &ApiState,
    caller: &Caller,
    tenant: TenantId,
    dry_run: bool,
    file: &PackFile,
    answer: &mut ImportAnswer,
    view: &mut ImportedFile,
) -> ApiResult<&'static str> {
    let issue = |message: String| IssueView { level: "error", line: 0, column: 0, message, help: String::new() };
    let found = match rule_pack::read_exceptions(&file.text) {
        Ok(found) => found,
        Err(problem) => {
            view.issues.push(issue(problem));
            return Ok("refused");
        }
    };
    let scope = Scope::of(tenant);
    let scoped = state.catalog.scoped(&scope);
    let here = scoped.rule_exceptions(tenant, None).await?;
    let mut rules: Vec<String> = scoped.rules().await?.into_iter().map(|r| r.rule_id).collect();
    rules.extend(guardian_detect::detectors::ALL.iter().map(|d| d.id.to_owned()));
    let mut wanted = Vec::new();
    for one in found {
        let known = here.iter().any(|e| e.rule_id == one.rule && e.draft.filter == one.filter);
        match draft(&one, state) {
            _ if known => {}
            // A dry run stored none of the rules that come along.
            _ if !dry_run && !rules.contains(&one.rule) => {
                view.issues.push(issue(format!("an exception to `{}`, which is not here", one.rule)));
            }
            Ok(draft) => wanted.push((one.rule, draft)),
            Err(problem) => view.issues.push(issue(format!("an exception to `{}`: {problem}", one.rule))),
        }
    }
    answer.exceptions += wanted.len();
    if !dry_run && !wanted.is_empty() {
        let mut tx = scoped.begin(tenant, caller.actor()).await?;
        for (rule, draft) in &wanted {
            tx.create_rule_exception(rule, draft).await?;
        }
        tx.commit().await?;
    }
    Ok("exceptions")
}

fn draft(one: &PackException, state: &ApiState) -> Result<ExceptionDraft, String> {
    checked(&one.filter, state.clock.now())?;
    let expires = one.expires.as_deref().map(|t| parse_time("expires", t)).transpose()?;
    Ok(ExceptionDraft { filter: one.filter.clone(), reason: one.reason.clone(), expires, enabled: one.enabled })
}

/// Which rules to export.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ExportQuery {
    /// `custom` (default), `shipped` or `all`.
    pub(crate) origin: Option<String>,
    /// Only these Sigma ids, separated by commas.
    pub(crate) ids: Option<String>,
}

/// Export rules and their exceptions as a zip of YAML files
#[utoipa::path(get, path = "/rules/export", tag = "rules", extensions(("x-permission" = json!("rules:read"))), params(ExportQuery),
    responses((status = 200, body = Vec<u8>, content_type = "application/zip"), (status = 403, body = Problem),
        (status = 422, body = Problem)))]
async fn export(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<ExportQuery>,
) -> ApiResult<Response> {
    let tenant = caller.tenant(Permission::RulesRead).await?;
    let ids: Option<Vec<&str>> = query.ids.as_deref().map(|ids| ids.split(',').map(str::trim).collect());
    // Whoever names rules wants them wherever they come from.
    let origin = match query.origin.as_deref().unwrap_or(if ids.is_some() { "all" } else { "custom" }) {
        "all" => None,
        word => Some(word.parse::<RuleOrigin>().map_err(|e| ApiError::invalid(format!("`origin`: {e}, all")))?),
    };
    let scope = Scope::of(tenant);
    let scoped = state.catalog.scoped(&scope);
    let chosen = |s: &RuleSource| {
        origin.is_none_or(|o| o == s.rule.origin)
            && ids.as_ref().is_none_or(|ids| ids.contains(&s.rule.rule_id.as_str()))
    };
    let sources: Vec<RuleSource> = scoped.rule_sources(tenant).await?.into_iter().filter(chosen).collect();
    let exceptions: Vec<PackException> = scoped
        .rule_exceptions(tenant, None)
        .await?
        .into_iter()
        .filter(|e| match &ids {
            Some(ids) => ids.contains(&e.rule_id.as_str()),
            // Without a choice of rules all tuning goes along, that of shipped rules and detectors too.
            None => true,
        })
        .map(|e| PackException {
            rule: e.rule_id,
            filter: e.draft.filter,
            reason: e.draft.reason,
            expires: e.draft.expires.map(|t| t.to_string()),
            enabled: e.draft.enabled,
        })
        .collect();
    let mut tx = scoped.begin(tenant, caller.actor()).await?;
    tx.note(
        "rule.export",
        Subject::Rule,
        "",
        json!({"rules": sources.len(), "exceptions": exceptions.len(), "origin": query.origin, "ids": query.ids}),
    );
    tx.commit().await?;
    let mut taken = HashMap::new();
    let mut files: Vec<PackFile> = sources
        .into_iter()
        .map(|s| PackFile { name: rule_pack::file_name(&s.rule.title, &mut taken), text: s.source })
        .collect();
    if !exceptions.is_empty() {
        files.push(rule_pack::exceptions_file(&exceptions));
    }
    let packing = tokio::task::spawn_blocking(move || rule_pack::zip(&files));
    let bytes = packing.await.map_err(ApiError::internal)?.map_err(ApiError::internal)?;
    let headers = [
        (header::CONTENT_TYPE, "application/zip"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"rules.zip\""),
    ];
    Ok((headers, bytes).into_response())
}
