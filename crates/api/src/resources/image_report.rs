//! The report of one image on paper.

use axum::extract::State;
use axum::response::Response;
use guardian_catalog::{FindingsOf, Image, ImageContent, Language, Subject};
use guardian_findings::{Filter, View};
use guardian_identity::Permission;
use guardian_model::Scope;
use guardian_respond::pdf::{self, Figure, Pressing, Vulnerabilities};
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::image_findings::{ImageBase, ImageDetail, ImageVulnerability, inside, told};
use super::images::named;
use super::reports::{Press, language};
use super::vulnerabilities::look;
use super::vulnerability_report::{DAYS, DAYS_MAX, WORST_MAX, grouped, judged_by, paper, tenth, tiles};
use crate::auth::Caller;
use crate::error::{ApiResult, Problem};
use crate::extract::{Path, Query};
use crate::state::ApiState;

/// Layers, and hosts on which it runs, that are told.
const LAYERS_MAX: usize = 200;
const HOSTS_MAX: usize = 50;
/// Figures of hosts, which an image has none of.
const OF_HOSTS: [&str; 2] = ["hosts affected", "taken away by a restart"];

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(report))
}

/// How the report is made.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ImageReportQuery {
    /// For the trend: how many days, at most 400; 60 if absent.
    pub(crate) days: Option<u32>,
    /// The language of the report: en (default) or de.
    pub(crate) language: Option<String>,
}

/// The report of an image
///
/// A PDF with figures, the trend, the layers, what to fix first, what is most pressing with the layer that brought it, and
/// what is put up with. What is on paper cannot be masked: besides `personal:read` it asks for `vulnerabilities:read`. It
/// is an entry of the audit trail.
#[utoipa::path(get, path = "/reports/images/{id}", tag = "reports",
    params(("id" = String, Path, description = "Image id"), ImageReportQuery),
    extensions(("x-permission" = json!("personal:read"))),
    responses((status = 200, body = Vec<u8>, content_type = "application/pdf"), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
async fn report(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<ImageReportQuery>,
) -> ApiResult<Response> {
    caller.tenant(Permission::PersonalRead).await?;
    let tenant = caller.tenant(Permission::VulnerabilitiesRead).await?;
    let language = language(query.language.as_deref())?;
    let days = query.days.unwrap_or(DAYS).clamp(2, DAYS_MAX);
    let image = named(&state, tenant, &id).await?;
    let press = Press::new(&state, &caller, tenant, language).await?;
    let mut marks = judged_by(&state);
    let kept = inside(&state, tenant, &image).await?;
    let note = json!({ "format": "pdf", "image": image.name });
    let made = look(&state, tenant, move |view| of_image(view, image, kept, days, language)).await??;
    let mut tx = state.catalog.scoped(&Scope::of(tenant)).begin(tenant, caller.actor()).await?;
    tx.note("vulnerability.export", Subject::Image, &id, note);
    tx.commit().await?;
    marks.extend(made.marks);
    let made = Vulnerabilities { marks, ..made };
    press.print("image.pdf", move |sheet| pdf::vulnerabilities(&made, sheet)).await
}

/// Everything that the report tells.
fn of_image(
    view: &View<'_>,
    image: Image,
    kept: (ImageContent, Option<ImageBase>),
    days: u32,
    language: Language,
) -> ApiResult<Vulnerabilities> {
    let filter = Filter { of: FindingsOf::Image, host: Some(image.id), ..Filter::default() };
    let mut marks = vec![("Sent".to_owned(), pdf::time(image.sent))];
    if !image.digest.is_empty() {
        marks.push(("Digest".to_owned(), image.digest.clone()));
    }
    let (subject, packages) = (image.name.clone(), image.packages);
    let (detail, found) = told(view, image, kept, None)?;
    let worst = found.iter().take(WORST_MAX).map(|row| pressing(row, language)).collect();
    let layers = detail.layers.iter().enumerate().take(LAYERS_MAX).map(|(at, layer)| {
        [at.to_string(), layer.made_by.clone(), grouped(layer.packages, language), grouped(layer.open, language)]
    });
    Ok(Vulnerabilities {
        subject,
        image: true,
        marks,
        figures: figures(view, &filter, &detail, u64::from(packages), days, language),
        layers: layers.collect(),
        runs_on: detail.image.hosts.iter().take(HOSTS_MAX).map(|host| host.name.clone()).collect(),
        worst,
        hosts: Vec::new(),
        ..paper(view, &filter, days, language)
    })
}

/// The figures of a fleet that an image has too, and its own.
fn figures(
    view: &View<'_>,
    filter: &Filter,
    detail: &ImageDetail,
    packages: u64,
    days: u32,
    language: Language,
) -> Vec<Figure> {
    let mut all = tiles(&view.figures(filter, days), language);
    all.retain(|figure| !OF_HOSTS.contains(&figure.name.as_str()));
    let own = [
        ("packages", packages),
        ("of its own layers", detail.own_open),
        ("of what it was built upon", detail.base_open),
    ];
    // Of an image that says nothing of what it was built upon nothing is told apart.
    let told = own.into_iter().filter(|(name, _)| *name == "packages" || detail.base.is_some());
    all.extend(told.map(|(name, n)| Figure { name: name.to_owned(), value: grouped(n, language), loud: false }));
    all
}

fn pressing(row: &ImageVulnerability, language: Language) -> Pressing {
    let detail = row.detail.as_ref();
    let fixed = detail.map(|detail| detail.fixed_in.iter().take(3).cloned().collect::<Vec<_>>().join(", "));
    Pressing {
        name: row.vulnerability.clone(),
        exploited: detail.is_some_and(|detail| detail.exploited),
        rating: detail.map_or("unknown", |detail| detail.rating.as_str()).to_owned(),
        risk: tenth(row.risk, language),
        package: row.package.clone(),
        fixed: fixed.unwrap_or_default(),
        hosts: String::new(),
        layer: row.layer.map_or_else(|| "\u{2013}".to_owned(), |layer| layer.to_string()),
    }
}
