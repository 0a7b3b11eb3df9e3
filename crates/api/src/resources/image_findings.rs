//! What is wrong with one image: which layer brought it, the step that made that, and what fixes it.

use axum::extract::State;
use axum::response::Response;
use guardian_catalog::{CatalogError, FindingsOf, Image, ImageContent, ImageLayer, Subject};
use guardian_findings::{Filter, HostFinding, Order, State as Standing, View, chains, open_bill};
use guardian_identity::Permission;
use guardian_model::{Scope, TenantId};
use guardian_vuln::scan::Scanned;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::images::{ImageDigestView, ImageView, named, views};
use super::inventory::harmless;
use super::vulnerabilities::{VulnerabilityDetail, VulnerabilityQuery, look, time};
use super::vulnerability_advisories::file;
use super::vulnerability_figures::{FixView, RatingView, TrendDayView};
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::{Json, Path, Query};
use crate::state::ApiState;

/// Most rows of a page.
const PAGE_MAX: usize = 1_000;
/// Files of one package that are named.
const PLACES_MAX: usize = 20;
/// Updates that are told of an image.
const FIXES_MAX: usize = 100;
/// Days of an image's trend.
const DAYS: u32 = 60;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(export))
}

/// Upon what an image was built.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ImageBase {
    /// How many of its layers, the lowest first, belong to it.
    pub(crate) layers: u32,
    /// Id of the image that has just these layers; null where none is known, and the image's own history says how many.
    pub(crate) id: Option<String>,
    /// Name of that image.
    pub(crate) name: Option<String>,
}

/// The largest image that is known whose layers are the lowest of this one, else what its history says.
fn base(images: &[Image], image: &Image, content: &ImageContent) -> Option<ImageBase> {
    let chains = chains(content.layers.iter().map(|layer| layer.digest.as_str()));
    let below = chains.iter().enumerate().rev().filter(|(at, _)| at + 1 < content.layers.len());
    for (at, chain) in below {
        if let Some(known) = images.iter().find(|known| known.id != image.id && known.chain == *chain) {
            let (id, name) = (Some(known.id.to_string()), Some(known.name.clone()));
            return Some(ImageBase { layers: at as u32 + 1, id, name });
        }
    }
    (content.base_layers > 0).then(|| ImageBase { layers: content.base_layers, id: None, name: None })
}

/// Where packages lie: by ecosystem, name and version, the files and layers.
struct Inside {
    spots: HashMap<(String, String, String), Vec<(String, Option<u32>)>>,
    layers: Vec<ImageLayer>,
    base: Option<ImageBase>,
}

impl Inside {
    fn new(scanned: &Scanned, layers: Vec<ImageLayer>, base: Option<ImageBase>) -> Self {
        let mut spots: HashMap<_, Vec<(String, Option<u32>)>> = HashMap::new();
        for placed in scanned.packages.iter().filter(|placed| placed.owner.is_none()) {
            let of = &placed.component;
            let key = (of.ecosystem.to_string(), of.name.clone(), of.version.clone());
            spots.entry(key).or_default().push((placed.place.clone(), placed.layer));
        }
        Self { spots, layers, base }
    }
}

/// A package of an image that has a vulnerability.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ImagePackage {
    /// Its name.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: String,
    /// The versions with the fix.
    pub(crate) fixed_in: Vec<String>,
    /// The files that say that it is there; at most 20.
    pub(crate) places: Vec<String>,
    /// The number of the lowest layer that brought it, from 0; null where nobody knows.
    pub(crate) layer: Option<u32>,
}

/// A vulnerability in a package of an image.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ImageVulnerability {
    /// Its CVE name, or that of the advisory where it has none.
    pub(crate) vulnerability: String,
    /// Whose package, such as `debian:12` or `npm`.
    pub(crate) ecosystem: String,
    /// The source package, or the package where it is its own source.
    pub(crate) package: String,
    /// What is in the image of it.
    pub(crate) installed: Vec<ImagePackage>,
    /// The number of the lowest layer that brought any of it, from 0; null where nobody knows.
    pub(crate) layer: Option<u32>,
    /// The digest of what that layer holds.
    pub(crate) layer_digest: Option<String>,
    /// The step that made that layer.
    pub(crate) made_by: Option<String>,
    /// Whether that layer belongs to what the image was built upon; null where nobody knows.
    pub(crate) base: Option<bool>,
    /// What the advisories say; null where they say nothing any more.
    pub(crate) detail: Option<VulnerabilityDetail>,
    /// open, excepted, fixed or withdrawn.
    pub(crate) state: String,
    /// Its risk there, 0 to 100.
    pub(crate) risk: f64,
    /// When it was first seen, RFC 3339.
    pub(crate) first_seen: String,
    /// When it was last seen, RFC 3339.
    pub(crate) last_seen: String,
    /// When it was fixed or withdrawn, RFC 3339.
    pub(crate) closed: Option<String>,
    /// How often it came back.
    pub(crate) reopened: u32,
    /// When it has to be fixed, RFC 3339; null for no deadline.
    pub(crate) due: Option<String>,
    /// Whether it is beyond that.
    pub(crate) overdue: bool,
}

impl Inside {
    fn finding(&self, row: HostFinding) -> ImageVulnerability {
        let ecosystem = row.subject.ecosystem.clone();
        let package = |package: guardian_findings::Package| {
            let spots = self.spots.get(&(ecosystem.clone(), package.name.clone(), package.version.clone()));
            let spots = spots.map(Vec::as_slice).unwrap_or_default();
            ImagePackage {
                name: package.name,
                version: package.version,
                fixed_in: package.fixed_in.to_vec(),
                places: spots.iter().take(PLACES_MAX).map(|(place, _)| place.clone()).collect(),
                layer: spots.iter().filter_map(|(_, layer)| *layer).min(),
            }
        };
        let installed: Vec<ImagePackage> = row.packages.into_iter().map(package).collect();
        let layer = installed.iter().filter_map(|package| package.layer).min();
        let known = layer.and_then(|at| self.layers.get(at as usize));
        ImageVulnerability {
            vulnerability: row.subject.vulnerability.clone(),
            package: row.subject.package.clone(),
            layer,
            layer_digest: known.map(|layer| layer.digest.clone()),
            made_by: known.map(|layer| layer.made_by.clone()),
            base: layer.zip(self.base.as_ref()).map(|(layer, base)| layer < base.layers),
            detail: row.detail.as_deref().map(VulnerabilityDetail::from),
            state: row.state.as_str().to_owned(),
            risk: row.risk,
            first_seen: time(row.entry.first_s),
            last_seen: time(row.last_s),
            closed: row.entry.closed_s.map(time),
            reopened: row.entry.reopened,
            due: row.due_s.filter(|_| row.state == Standing::Open).map(time),
            overdue: row.overdue,
            installed,
            ecosystem,
        }
    }

    /// What fits, with the place of each in the order.
    fn findings(&self, view: &View<'_>, filter: &Filter, order: Order) -> Vec<(Place, ImageVulnerability)> {
        let mut rows = view.host_rows(filter, order);
        view.name_packages(&mut rows);
        rows.into_iter().map(|row| (Place::of(&row, order), self.finding(row))).collect()
    }
}

/// Where a finding stands among the others. Numbers that are compared exactly go as their bits.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Place {
    rank: (u64, u64),
    number: u32,
}

impl Place {
    fn of(row: &HostFinding, order: Order) -> Self {
        let ((first, second), number, _) = row.place(order);
        Self { rank: (first.to_bits(), second.to_bits()), number }
    }

    fn is_before(self, other: Self) -> bool {
        let whole = |place: Self| (f64::from_bits(place.rank.0), f64::from_bits(place.rank.1), place.number);
        whole(self) > whole(other)
    }
}

/// What is in an image, and what it was built upon.
pub(super) async fn inside(
    state: &ApiState,
    tenant: TenantId,
    image: &Image,
) -> ApiResult<(ImageContent, Option<ImageBase>)> {
    let scope = Scope::of(tenant);
    let catalog = state.catalog.scoped(&scope);
    let content = catalog.image_content(image.id).await?;
    let base = base(&catalog.images(tenant).await?, image, &content);
    Ok((content, base))
}

/// A layer of an image.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ImageLayerView {
    /// The digest of what it holds, decompressed.
    pub(crate) digest: String,
    /// The step that made it, as the image says.
    pub(crate) made_by: String,
    /// Whether it belongs to what the image was built upon; null where nobody knows.
    pub(crate) base: Option<bool>,
    /// How many packages it brought.
    pub(crate) packages: u64,
    /// How many open findings it brought.
    pub(crate) open: u64,
}

/// An image with everything that is known of it but its findings.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ImageDetail {
    /// The image and its figures.
    pub(crate) image: ImageView,
    /// When the advisories were put together by which it is judged, RFC 3339; null where there are none.
    pub(crate) advisories: Option<String>,
    /// Upon what it was built; null where nobody knows.
    pub(crate) base: Option<ImageBase>,
    /// Open findings of layers that it was built upon.
    pub(crate) base_open: u64,
    /// Open findings of its own layers.
    pub(crate) own_open: u64,
    /// Its layers, the lowest first.
    pub(crate) layers: Vec<ImageLayerView>,
    /// The digests that it had, the newest first; at most 50.
    pub(crate) history: Vec<ImageDigestView>,
    /// What to fix first: the updates that take the most risk away; at most 100.
    pub(crate) fixes: Vec<FixView>,
    /// By rating, the worst first.
    pub(crate) ratings: Vec<RatingView>,
    /// Day by day, the oldest first.
    pub(crate) trend: Vec<TrendDayView>,
}

/// Everything that is known of an image but its findings.
pub(super) async fn detail(state: &ApiState, tenant: TenantId, image: Image) -> ApiResult<ImageDetail> {
    let (content, base) = inside(state, tenant, &image).await?;
    let advisories = super::vulnerabilities::advisories(state);
    let looked = look(state, tenant, move |view| told(view, image, (content, base), advisories));
    Ok(looked.await??.0)
}

/// Everything that is known of an image, and what is open in it, the most pressing first.
pub(super) fn told(
    view: &View<'_>,
    image: Image,
    (content, base): (ImageContent, Option<ImageBase>),
    advisories: Option<String>,
) -> ApiResult<(ImageDetail, Vec<ImageVulnerability>)> {
    let scanned = open_bill(&content.bill).map_err(ApiError::internal)?;
    let filter = Filter { of: FindingsOf::Image, host: Some(image.id), ..Filter::default() };
    let inside = Inside::new(&scanned, content.layers, base);
    let found: Vec<ImageVulnerability> =
        inside.findings(view, &filter, Order::Risk).into_iter().map(|(_, row)| row).collect();
    let layer = |(at, layer): (usize, &ImageLayer)| {
        let at = at as u32;
        ImageLayerView {
            digest: layer.digest.clone(),
            made_by: layer.made_by.clone(),
            base: inside.base.as_ref().map(|base| at < base.layers),
            packages: scanned.packages.iter().filter(|placed| placed.layer == Some(at)).count() as u64,
            open: found.iter().filter(|row| row.layer == Some(at)).count() as u64,
        }
    };
    let sided = |side: bool| found.iter().filter(|row| row.base == Some(side)).count() as u64;
    let figures = view.figures(&filter, DAYS);
    let fixes = view.fixes(&filter).into_iter().take(FIXES_MAX);
    let detail = ImageDetail {
        advisories,
        base_open: sided(true),
        own_open: sided(false),
        layers: inside.layers.iter().enumerate().map(layer).collect(),
        history: content.history.into_iter().map(ImageDigestView::from).collect(),
        fixes: fixes.map(|fix| FixView::new(fix, figures.risk)).collect(),
        ratings: figures.ratings.into_iter().map(RatingView::from).collect(),
        trend: figures.trend.into_iter().map(TrendDayView::from).collect(),
        image: views(view, vec![image], &filter).pop().ok_or_else(|| ApiError::not_found("image"))?,
        base: inside.base,
    };
    Ok((detail, found))
}

/// Which findings of an image.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ImageFindingQuery {
    /// open (default), excepted, fixed, withdrawn; several with commas between them.
    pub(crate) state: Option<String>,
    /// critical, high, medium, low, none, unknown; several with commas between them.
    pub(crate) rating: Option<String>,
    /// In this package: the source package, where it has one.
    pub(crate) package: Option<String>,
    /// The vulnerability of this name, such as a CVE name.
    pub(crate) vulnerability: Option<String>,
    /// Whose name, package or summary contains this text.
    pub(crate) search: Option<String>,
    /// Known to be exploited, or not.
    pub(crate) exploited: Option<bool>,
    /// With a version that has the fix, or without.
    pub(crate) fixable: Option<bool>,
    /// Beyond the deadline, or not.
    pub(crate) overdue: Option<bool>,
    /// Of layers that the image was built upon, or of its own; both if absent.
    pub(crate) base: Option<bool>,
    /// risk (default), rating, epss, first_seen (newest first), oldest.
    pub(crate) sort: Option<String>,
    /// Most rows to answer with, at most 1,000.
    pub(crate) limit: Option<usize>,
    /// Where the last page ended: its `next_cursor`. Filter and order come from the cursor.
    pub(crate) cursor: Option<String>,
}

impl ImageFindingQuery {
    fn read(self, image: &Image) -> ApiResult<(Filter, Order)> {
        let asked = VulnerabilityQuery {
            state: self.state,
            rating: self.rating,
            package: self.package,
            vulnerability: self.vulnerability,
            search: self.search,
            exploited: self.exploited,
            fixable: self.fixable,
            overdue: self.overdue,
            sort: self.sort,
            ..VulnerabilityQuery::default()
        };
        let (filter, order) = asked.read()?;
        Ok((Filter { of: FindingsOf::Image, host: Some(image.id), ..filter }, order))
    }
}

/// One page of findings of an image.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ImageVulnerabilities {
    /// The findings.
    pub(crate) items: Vec<ImageVulnerability>,
    /// How many match on all pages.
    pub(crate) total: u64,
    /// When the advisories were put together by which it is judged, RFC 3339; null where there are none.
    pub(crate) advisories: Option<String>,
    /// Where the next page begins; null on the last one.
    pub(crate) next_cursor: Option<String>,
}

/// Where a page ended.
#[derive(Clone, Serialize, Deserialize)]
struct Cursor {
    filter: Filter,
    order: Order,
    base: Option<bool>,
    last: Place,
}

/// List what is wrong with an image, with the layer that brought each and the step that made it
#[utoipa::path(get, path = "/images/{id}/vulnerabilities", tag = "vulnerabilities",
    params(("id" = String, Path, description = "Image id"), ImageFindingQuery),
    extensions(("x-permission" = json!("vulnerabilities:read"))),
    responses((status = 200, body = ImageVulnerabilities), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<ImageFindingQuery>,
) -> ApiResult<Json<ImageVulnerabilities>> {
    let tenant = caller.tenant(Permission::VulnerabilitiesRead).await?;
    let image = named(&state, tenant, &id).await?;
    let limit = query.limit.unwrap_or(100).clamp(1, PAGE_MAX);
    let (filter, order, of_base, after) = match &query.cursor {
        Some(text) => {
            let Cursor { filter, order, base, last } = state.cursors.open(text)?;
            // A cursor of another image is none of this one.
            (Filter { of: FindingsOf::Image, host: Some(image.id), ..filter }, order, base, Some(last))
        }
        None => {
            let of_base = query.base;
            let (filter, order) = query.read(&image)?;
            (filter, order, of_base, None)
        }
    };
    let (content, base) = inside(&state, tenant, &image).await?;
    let wanted = filter.clone();
    let looked = look(&state, tenant, move |view| {
        let scanned = open_bill(&content.bill).map_err(ApiError::internal)?;
        let mut rows = Inside::new(&scanned, content.layers, base).findings(view, &wanted, order);
        rows.retain(|(_, row)| of_base.is_none_or(|wanted| row.base == Some(wanted)));
        Ok::<_, ApiError>(rows)
    });
    let rows = looked.await??;
    let total = rows.len() as u64;
    let mut rest = rows.into_iter().filter(|(place, _)| after.is_none_or(|after| after.is_before(*place)));
    let page: Vec<(Place, ImageVulnerability)> = rest.by_ref().take(limit).collect();
    let next = rest.next().and(page.last()).map(|(last, _)| Cursor { filter, order, base: of_base, last: *last });
    let next_cursor = next.map(|cursor| state.cursors.seal(&cursor)).transpose()?;
    let items = page.into_iter().map(|(_, row)| row).collect();
    let advisories = super::vulnerabilities::advisories(&state);
    Ok(Json(ImageVulnerabilities { items, total, advisories, next_cursor }))
}

/// How to export.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ImageExportQuery {
    /// csv (default), json, sarif or cyclonedx.
    pub(crate) format: Option<String>,
    /// For csv and json: open (default), excepted, fixed, withdrawn; several with commas between them.
    pub(crate) state: Option<String>,
}

const COLUMNS: [&str; 17] = [
    "image",
    "digest",
    "vulnerability",
    "rating",
    "score",
    "epss",
    "exploited",
    "risk",
    "ecosystem",
    "package",
    "installed",
    "fixed_in",
    "layer",
    "made_by",
    "state",
    "first_seen",
    "due",
];

fn cell(image: &Image, row: &Value, column: &str) -> String {
    let joined = |values: Vec<String>| harmless(&values.join("; "));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let value = match column {
        "image" => return harmless(&image.name),
        "digest" => return harmless(&image.digest),
        "rating" | "score" | "epss" | "exploited" => &row["detail"][column],
        "installed" => {
            let all = row["installed"].as_array().into_iter().flatten();
            return joined(all.map(|p| format!("{} {}", text(&p["name"]), text(&p["version"]))).collect());
        }
        "fixed_in" => return joined(row["detail"]["fixed_in"].as_array().into_iter().flatten().map(text).collect()),
        other => &row[other],
    };
    match value {
        Value::Null => String::new(),
        Value::String(text) => harmless(text),
        other => other.to_string(),
    }
}

fn table(image: &Image, rows: &[Value]) -> Result<Vec<u8>, csv::Error> {
    let mut out = csv::Writer::from_writer(Vec::new());
    out.write_record(COLUMNS)?;
    for row in rows {
        out.write_record(COLUMNS.map(|column| cell(image, row, column)))?;
    }
    out.into_inner().map_err(|error| error.into_error().into())
}

/// Export what is wrong with an image as CSV, JSON, SARIF or CycloneDX
///
/// As SARIF and CycloneDX it is judged anew by the advisories that hold. The export is an entry of the audit trail.
#[utoipa::path(get, path = "/images/{id}/vulnerabilities/export", tag = "vulnerabilities",
    params(("id" = String, Path, description = "Image id"), ImageExportQuery),
    extensions(("x-permission" = json!("vulnerabilities:read"))),
    responses((status = 200, content_type = "text/csv", body = String), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn export(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<ImageExportQuery>,
) -> ApiResult<Response> {
    let tenant = caller.tenant(Permission::VulnerabilitiesRead).await?;
    let image = named(&state, tenant, &id).await?;
    let format = query.format.as_deref().unwrap_or("csv").to_owned();
    let body = match format.as_str() {
        "csv" | "json" => {
            let asked = ImageFindingQuery { state: query.state, ..ImageFindingQuery::default() };
            let rows = rows(&state, &caller, tenant, &image, asked.read(&image)?).await?;
            if format == "csv" {
                table(&image, &rows).map_err(ApiError::internal)?
            } else {
                serde_json::to_vec(&rows).map_err(ApiError::internal)?
            }
        }
        "sarif" | "cyclonedx" => {
            let mut document = document(&state, tenant, &image, format == "sarif").await?;
            if let Some(masks) = caller.masks() {
                masks.value(&mut document);
            }
            serde_json::to_vec(&document).map_err(ApiError::internal)?
        }
        other => return Err(ApiError::invalid(format!("`format`: `{other}` is not csv, json, sarif or cyclonedx"))),
    };
    let mut tx = state.catalog.scoped(&Scope::of(tenant)).begin(tenant, caller.actor()).await?;
    let note = json!({ "format": format, "image": image.name });
    tx.note("vulnerability.export", Subject::Image, &image.id.to_string(), note);
    tx.commit().await?;
    Ok(match format.as_str() {
        "csv" => file("vulnerabilities.csv", "text/csv; charset=utf-8", body),
        "json" => file("vulnerabilities.json", "application/json", body),
        format => file(&format!("vulnerabilities.{format}.json"), "application/json", body),
    })
}

/// All findings that fit, as values that are masked where they have to be.
async fn rows(
    state: &ApiState,
    caller: &Caller,
    tenant: TenantId,
    image: &Image,
    (filter, order): (Filter, Order),
) -> ApiResult<Vec<Value>> {
    let (content, base) = inside(state, tenant, image).await?;
    let looked = look(state, tenant, move |view| {
        let scanned = open_bill(&content.bill).map_err(ApiError::internal)?;
        Ok::<_, ApiError>(Inside::new(&scanned, content.layers, base).findings(view, &filter, order))
    });
    let mut rows = Vec::new();
    for (_, row) in looked.await?? {
        let mut row = serde_json::to_value(row).map_err(ApiError::internal)?;
        if let Some(masks) = caller.masks() {
            masks.value(&mut row);
        }
        rows.push(row);
    }
    Ok(rows)
}

/// The image as a whole report.
async fn document(state: &ApiState, tenant: TenantId, image: &Image, sarif: bool) -> ApiResult<Value> {
    let missing =
        || CatalogError::Conflict("there are no advisories yet: `guardian vulndb build` makes a store".into());
    let store = state.findings.advisories().ok_or_else(missing)?;
    let content = state.catalog.scoped(&Scope::of(tenant)).image_content(image.id).await?;
    let (id, name, now) = (image.id, image.name.clone(), state.clock.now());
    let made = look(state, tenant, move |view| {
        let scanned = open_bill(&content.bill).map_err(ApiError::internal)?;
        let report = view.report_of(&store, id, Scanned { subject: name, ..scanned });
        let version = env!("CARGO_PKG_VERSION");
        Ok::<_, ApiError>(report.map(|of| if sarif { of.sarif(version) } else { of.cyclonedx(version, now) }))
    });
    let unjudged = || CatalogError::Conflict("the image is not judged yet: try again in some seconds".into());
    Ok(made.await??.ok_or_else(unjudged)?)
}

#[cfg(test)]
mod tests {
    use guardian_model::Micros;
    use uuid::Uuid;

    use super::*;

    fn image(id: u128, digests: &[&str]) -> (Image, ImageContent) {
        let image = Image {
            id: Uuid::from_u128(id),
            tenant: TenantId::DEFAULT,
            name: format!("app:{id}"),
            digest: String::new(),
            distribution: String::new(),
            architecture: String::new(),
            form: String::new(),
            exposure: String::new(),
            criticality: String::new(),
            chain: chains(digests.iter().copied()).pop().unwrap_or_default(),
            layers: digests.len() as u32,
            packages: 0,
            unknown: 0,
            scanned: Micros(0),
            first_sent: Micros(0),
            sent: Micros(0),
            sender: String::new(),
            revision: 1,
        };
        let layers = digests.iter().map(|d| ImageLayer { digest: (*d).to_owned(), made_by: String::new() });
        (image, ImageContent { layers: layers.collect(), base_layers: 1, history: Vec::new(), bill: Vec::new() })
    }

    #[test]
    fn an_image_is_built_upon_the_largest_that_is_known() {
        let (small, _) = image(1, &["a"]);
        let (middle, _) = image(2, &["a", "b"]);
        let (whole, content) = image(3, &["a", "b", "c"]);
        let (twin, _) = image(4, &["a", "b", "c"]);
        let found = base(&[small.clone(), middle, whole.clone(), twin.clone()], &whole, &content).unwrap();
        assert_eq!((found.layers, found.name.as_deref()), (2, Some("app:2")), "one with the same layers is no base");
        let guess = base(&[twin], &whole, &content).unwrap();
        assert_eq!(guess, ImageBase { layers: 1, id: None, name: None }, "else its history says");
        let (other, content) = image(5, &["x", "b"]);
        assert_eq!(base(&[small], &other, &ImageContent { base_layers: 0, ..content }), None);
    }

    #[test]
    fn a_table_names_the_layer_and_runs_nothing() {
        let row = json!({ "vulnerability": "CVE-1", "layer": 2, "made_by": "=RUN x", "risk": 1.5, "package": "openssl",
            "installed": [{ "name": "libssl3", "version": "3" }], "detail": { "rating": "high", "fixed_in": ["4"] } });
        let text = String::from_utf8(table(&image(1, &[]).0, &[row]).unwrap()).unwrap();
        assert_eq!(text.lines().nth(1).unwrap(), "app:1,,CVE-1,high,,,,1.5,,openssl,libssl3 3,4,2,'=RUN x,,,");
    }
}
