//! Images of containers: sent as a bill of materials, judged with the fleet, and shown with where they came from.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use guardian_catalog::{FindingsOf, Image, ImageDigest, ImageDraft, ImageLayer};
use guardian_findings::{Counts, Filter, View, chains, pack_bill, running_names};
use guardian_identity::Permission;
use guardian_model::{Micros, Scope, TenantId};
use guardian_vuln::cvss::Rating;
use guardian_vuln::risk::{Criticality, Exposure};
use guardian_vuln::sbom;
use guardian_vuln::scan::Scanned;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::image_findings::{ImageDetail, detail};
use super::vulnerabilities::{criticality_word, exposure_word, look};
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::{Json, Path, Query};
use crate::state::ApiState;

/// Largest bill of materials, in bytes.
const BODY_BYTES_MAX: usize = 32 << 20;
/// Most rows of a page.
const PAGE_MAX: usize = 1_000;
/// Longest text of a filter, in characters.
const TEXT_MAX: usize = 300;
/// Longest name of an image.
const NAME_MAX: usize = 512;
/// Hosts that are named on which an image runs; the others are counted.
const HOSTS_MAX: usize = 100;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(send))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .routes(routes!(list))
        .routes(routes!(show, remove))
}

/// A host on which an image runs.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ImageHost {
    /// Id of the host.
    pub(crate) id: String,
    /// Its name.
    pub(crate) name: String,
}

/// An image with what is wrong with it, in figures.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ImageView {
    /// Id.
    pub(crate) id: String,
    /// Its name: registry, repository and tag.
    pub(crate) name: String,
    /// The digest of its manifest; empty where nobody said.
    pub(crate) digest: String,
    /// Whose packages it has, such as `debian:12`; empty where nobody knows.
    pub(crate) distribution: String,
    /// Its architecture; empty where nobody said.
    pub(crate) architecture: String,
    /// The form in which its bill of materials came: cyclonedx or spdx.
    pub(crate) form: String,
    /// From where it is reached, as who sent it says: internet, network, local or unknown.
    pub(crate) exposure: String,
    /// What it is worth, as who sent it says: high, medium or low.
    pub(crate) criticality: String,
    /// How many layers it has; 0 where nobody said.
    pub(crate) layers: u32,
    /// How many packages are in it.
    pub(crate) packages: u32,
    /// How many components there are of which nothing can be said.
    pub(crate) unknown: u32,
    /// When it was looked at, RFC 3339.
    pub(crate) scanned: String,
    /// When it was first sent, RFC 3339.
    pub(crate) first_sent: String,
    /// When it was last sent, RFC 3339.
    pub(crate) sent: String,
    /// Who sent it last.
    pub(crate) sender: String,
    /// When it was last judged, RFC 3339; null before that, and where there are no advisories.
    pub(crate) judged: Option<String>,
    /// Open findings.
    pub(crate) open: u64,
    /// Open ones that are rated critical.
    pub(crate) critical: u64,
    /// Open ones that are rated high.
    pub(crate) high: u64,
    /// Open ones that are rated medium.
    pub(crate) medium: u64,
    /// Open ones that are rated low.
    pub(crate) low: u64,
    /// Open ones that are known to be exploited.
    pub(crate) exploited: u64,
    /// Open ones that have a fix.
    pub(crate) fixable: u64,
    /// Open ones that are beyond their deadline.
    pub(crate) overdue: u64,
    /// Those that are put up with.
    pub(crate) excepted: u64,
    /// The sum of the risks of what is open.
    pub(crate) risk: f64,
    /// Hosts on which it runs, by what their inventory says of containers; at most 100.
    pub(crate) hosts: Vec<ImageHost>,
    /// On how many it runs.
    pub(crate) hosts_total: u64,
}

impl ImageView {
    pub(super) fn new(image: Image, counts: &Counts, judged: Option<Micros>, hosts: &[(Uuid, &str)]) -> Self {
        let named = |(id, name): &(Uuid, &str)| ImageHost { id: id.to_string(), name: (*name).to_owned() };
        Self {
            id: image.id.to_string(),
            name: image.name,
            digest: image.digest,
            distribution: image.distribution,
            architecture: image.architecture,
            form: image.form,
            exposure: image.exposure,
            criticality: image.criticality,
            layers: image.layers,
            packages: image.packages,
            unknown: image.unknown,
            scanned: image.scanned.to_string(),
            first_sent: image.first_sent.to_string(),
            sent: image.sent.to_string(),
            sender: image.sender,
            judged: judged.map(|time| time.to_string()),
            open: counts.open(),
            critical: counts.rated(Rating::Critical),
            high: counts.rated(Rating::High),
            medium: counts.rated(Rating::Medium),
            low: counts.rated(Rating::Low),
            exploited: counts.exploited,
            fixable: counts.fixable,
            overdue: counts.overdue,
            excepted: counts.excepted,
            risk: counts.risk,
            hosts: hosts.iter().take(HOSTS_MAX).map(named).collect(),
            hosts_total: hosts.len() as u64,
        }
    }
}

/// Images with their figures, in the order in which they come.
pub(super) fn views(view: &View<'_>, images: Vec<Image>, filter: &Filter) -> Vec<ImageView> {
    let (counts, running, none) = (view.counts(filter), view.running(), Counts::default());
    let shown = |image: Image| {
        let names = running_names(&image.name, &image.digest);
        let mut hosts: Vec<(Uuid, &str)> =
            names.iter().filter_map(|name| running.get(name.as_str())).flatten().copied().collect();
        hosts.sort_by(|a, b| (a.1, a.0).cmp(&(b.1, b.0)));
        hosts.dedup();
        let (judged, counts) = (view.judged(image.id, image.revision), counts.get(&image.id).unwrap_or(&none));
        ImageView::new(image, counts, judged, &hosts)
    };
    images.into_iter().map(shown).collect()
}

/// Which images.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ImageQuery {
    /// Whose name or digest contains this text.
    pub(crate) search: Option<String>,
    /// Whose packages it has, such as `debian:12`.
    pub(crate) distribution: Option<String>,
    /// With anything open that is rated so: critical, high, medium or low.
    pub(crate) rating: Option<String>,
    /// With anything open that is known to be exploited, or without.
    pub(crate) exploited: Option<bool>,
    /// With anything open that has a fix, or without.
    pub(crate) fixable: Option<bool>,
    /// Running on any host, or on none.
    pub(crate) running: Option<bool>,
    /// risk (default), open, name, sent (the last first), hosts.
    pub(crate) sort: Option<String>,
    /// Most rows to answer with, at most 1,000.
    pub(crate) limit: Option<usize>,
    /// Where the last page ended: its `next_cursor`. Filter and order come from the cursor.
    pub(crate) cursor: Option<String>,
}

/// Where a page ended. Numbers that are compared exactly go as their bits.
#[derive(Clone, Serialize, Deserialize)]
struct Cursor {
    query: ImageQuery,
    rank: u64,
    name: String,
}

impl ImageQuery {
    /// Itself, where it makes sense.
    fn checked(self) -> ApiResult<Self> {
        for (name, value) in [("search", &self.search), ("distribution", &self.distribution)] {
            if value.as_ref().is_some_and(|text| text.chars().count() > TEXT_MAX) {
                return Err(ApiError::invalid(format!("`{name}` has at most {TEXT_MAX} characters")));
            }
        }
        let among = |name: &str, value: &Option<String>, all: &[&str]| match value {
            Some(word) if !all.contains(&word.as_str()) => {
                Err(ApiError::invalid(format!("`{name}`: `{word}` is none of {}", all.join(", "))))
            }
            _ => Ok(()),
        };
        among("rating", &self.rating, &["critical", "high", "medium", "low"])?;
        among("sort", &self.sort, &["risk", "open", "name", "sent", "hosts"])?;
        Ok(Self { cursor: None, limit: None, ..self })
    }

    fn fits(&self, image: &ImageView) -> bool {
        let contains = |text: &String| {
            let text = text.to_lowercase();
            image.name.to_lowercase().contains(&text) || image.digest.contains(&text)
        };
        let rated = |rating: &String| match rating.as_str() {
            "critical" => image.critical > 0,
            "high" => image.high > 0,
            "medium" => image.medium > 0,
            _ => image.low > 0,
        };
        self.search.as_ref().is_none_or(contains)
            && self.distribution.as_ref().is_none_or(|wanted| *wanted == image.distribution)
            && self.rating.as_ref().is_none_or(rated)
            && self.exploited.is_none_or(|wanted| wanted == (image.exploited > 0))
            && self.fixable.is_none_or(|wanted| wanted == (image.fixable > 0))
            && self.running.is_none_or(|wanted| wanted == (image.hosts_total > 0))
    }

    /// What it is ordered by, the largest first; what is alike stands in the order of names.
    fn rank(&self, image: &ImageView) -> f64 {
        match self.sort.as_deref() {
            Some("name") => 0.0,
            Some("open") => image.open as f64,
            Some("hosts") => image.hosts_total as f64,
            // Times of one form are ordered as their texts are; the microseconds are exact in double precision.
            Some("sent") => Micros::parse(&image.sent).map_or(0.0, |time| time.0 as f64),
            _ => image.risk,
        }
    }
}

/// One page of images.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ImageList {
    /// The images.
    pub(crate) items: Vec<ImageView>,
    /// How many match on all pages.
    pub(crate) total: u64,
    /// When the advisories were put together by which the images are judged, RFC 3339; null where there are none.
    pub(crate) advisories: Option<String>,
    /// Where the next page begins; null on the last one.
    pub(crate) next_cursor: Option<String>,
}

/// List images with what is wrong with each, in figures
#[utoipa::path(get, path = "/images", tag = "vulnerabilities", params(ImageQuery),
    extensions(("x-permission" = json!("vulnerabilities:read"))),
    responses((status = 200, body = ImageList), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem)))]
async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<ImageQuery>,
) -> ApiResult<Json<ImageList>> {
    let tenant = caller.tenant(Permission::VulnerabilitiesRead).await?;
    let limit = query.limit.unwrap_or(100).clamp(1, PAGE_MAX);
    let (query, after) = match &query.cursor {
        Some(text) => {
            let Cursor { query, rank, name } = state.cursors.open(text)?;
            (query, Some((f64::from_bits(rank), name)))
        }
        None => (query.checked()?, None),
    };
    let images = state.catalog.scoped(&Scope::of(tenant)).images(tenant).await?;
    let of = Filter { of: FindingsOf::Image, ..Filter::default() };
    let all = look(&state, tenant, move |view| views(view, images, &of)).await?;
    let mut ranked: Vec<(f64, ImageView)> =
        all.into_iter().filter(|image| query.fits(image)).map(|image| (query.rank(&image), image)).collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.name.cmp(&b.1.name)));
    let total = ranked.len() as u64;
    let behind = |(rank, image): &(f64, ImageView)| {
        after.as_ref().is_none_or(|(last, name)| last.total_cmp(rank).then_with(|| image.name.cmp(name)).is_gt())
    };
    let mut rest = ranked.into_iter().filter(behind);
    let page: Vec<(f64, ImageView)> = rest.by_ref().take(limit).collect();
    let next = rest.next().and(page.last());
    let next = next.map(|(rank, image)| Cursor { query, rank: rank.to_bits(), name: image.name.clone() });
    let next_cursor = next.map(|cursor| state.cursors.seal(&cursor)).transpose()?;
    let items = page.into_iter().map(|(_, image)| image).collect();
    Ok(Json(ImageList { items, total, advisories: super::vulnerabilities::advisories(&state), next_cursor }))
}

/// What is said of an image beside its bill of materials.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SendQuery {
    /// Its name, as `registry/repository:tag`; that of the bill's subject if absent. What stands behind `@` is its digest.
    pub(crate) name: Option<String>,
    /// The digest of its manifest; what the bill says if absent.
    pub(crate) digest: Option<String>,
    /// Its architecture; what the bill says if absent.
    pub(crate) architecture: Option<String>,
    /// From where it is reached: internet, network, local or unknown (default).
    pub(crate) exposure: Option<String>,
    /// What it is worth: low, medium (default) or high.
    pub(crate) criticality: Option<String>,
}

/// What a bill of materials is, in a word.
fn form(bytes: &[u8]) -> &'static str {
    let head = bytes.get(..bytes.len().min(4_096)).unwrap_or_default().to_ascii_lowercase();
    if head.windows(9).any(|window| window == b"cyclonedx") { "cyclonedx" } else { "spdx" }
}

/// The name and the digest of an image that is called so.
fn called(said: Option<&str>, scanned: &Scanned) -> ApiResult<(String, String)> {
    let name = said.unwrap_or(&scanned.subject).trim();
    let (name, digest) = name.split_once('@').unwrap_or((name, ""));
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:[]".contains(&byte);
    let plain = name.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '[') && name.bytes().all(fits);
    if !plain || name.len() > NAME_MAX {
        return Err(ApiError::invalid(format!(
            "`{}` is no name of an image: give `name`, such as registry.example/team/app:1.2",
            name.chars().take(80).collect::<String>()
        )));
    }
    Ok((name.to_owned(), digest.to_owned()))
}

fn digest_of(said: Option<String>, named: String, bill: &str) -> ApiResult<String> {
    let digest = said.filter(|digest| !digest.is_empty()).unwrap_or(named);
    let digest = if digest.is_empty() { bill.to_owned() } else { digest };
    let hex = digest.strip_prefix("sha256:").filter(|hex| hex.len() == 64).unwrap_or_default();
    if digest.is_empty() || (!hex.is_empty() && hex.bytes().all(|byte| byte.is_ascii_hexdigit())) {
        return Ok(digest.to_ascii_lowercase());
    }
    Err(ApiError::invalid("`digest` is sha256: and 64 hexadecimal digits"))
}

/// The image of a bill of materials.
fn draft(query: SendQuery, bytes: &[u8], now: Micros) -> ApiResult<ImageDraft> {
    let none = "the body is no bill of materials: CycloneDX 1.4 to 1.6 (JSON, XML) and SPDX 2.3 (JSON, tags with values) \
                are taken; `guardian sbom IMAGE` writes one, and `guardian images send IMAGE` does all at once";
    let read = sbom::read("", bytes).ok_or_else(|| ApiError::invalid(none))?;
    let scanned = read.map_err(|error| ApiError::invalid(format!("the bill of materials cannot be read: {error}")))?;
    let (name, named) = called(query.name.as_deref(), &scanned)?;
    let digest = digest_of(query.digest, named, &scanned.image.digest)?;
    let word = |name: &'static str| move |error: String| ApiError::invalid(format!("`{name}` is one of {error}"));
    let exposure: Exposure =
        query.exposure.map_or(Ok(Exposure::Unknown), |text| text.parse()).map_err(word("exposure"))?;
    let criticality: Criticality =
        query.criticality.map_or(Ok(Criticality::Medium), |text| text.parse()).map_err(word("criticality"))?;
    let scanned_at = scanned.image.made_s.filter(|made| *made > 0).map_or(now, Micros::from_secs);
    let bill =
        pack_bill(&scanned, scanned_at.0 / Micros::SECOND).map_err(|error| ApiError::invalid(error.to_string()))?;
    let distribution = match scanned.os.as_ref() {
        Some(os) => os.ecosystem().map_or_else(|| format!("{} {}", os.id, os.version), |of| of.to_string()),
        None => String::new(),
    };
    let layers = scanned.layers.iter();
    let layers = layers.map(|of| ImageLayer { digest: of.digest.clone(), made_by: of.made_by.clone() }).collect();
    let chain = chains(scanned.layers.iter().map(|layer| layer.digest.as_str()));
    Ok(ImageDraft {
        name,
        digest,
        distribution: distribution.trim().to_owned(),
        architecture: query.architecture.unwrap_or(scanned.image.architecture),
        form: form(bytes).to_owned(),
        exposure: exposure_word(exposure).to_owned(),
        criticality: criticality_word(criticality).to_owned(),
        chain: chain.last().filter(|_| chain.len() == scanned.layers.len()).cloned().unwrap_or_default(),
        layers,
        base_layers: scanned.image.base_layers,
        packages: u32::try_from(scanned.packages.len()).unwrap_or(u32::MAX),
        unknown: u32::try_from(scanned.unknown).unwrap_or(u32::MAX),
        scanned: scanned_at,
        bill,
    })
}

/// Send an image, or what is in it from now on
///
/// The body is its bill of materials: CycloneDX 1.4 to 1.6 (JSON, XML) or SPDX 2.3 (JSON, tags with values), at most
/// 32 MiB. What is sent under a name that is known replaces what was in it: findings that are not there any more are
/// fixed. It is judged within seconds.
#[utoipa::path(post, path = "/images", tag = "vulnerabilities", params(SendQuery),
    request_body(content((Object = "application/json"), (String = "text/plain"))),
    extensions(("x-permission" = json!("vulnerabilities:images"))),
    responses((status = 200, description = "It was known", body = ImageView), (status = 201, description = "It is new", body = ImageView),
        (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 413, body = Problem), (status = 422, body = Problem)))]
async fn send(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<SendQuery>,
    body: Result<Bytes, BytesRejection>,
) -> ApiResult<(StatusCode, Json<ImageView>)> {
    let tenant = caller.tenant(Permission::VulnerabilitiesImages).await?;
    let bytes = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            let text = "a bill of materials has at most 32 MiB: leave out what is no package, such as single files";
            ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", text)
        }
        status => ApiError::new(status, "invalid", rejection.body_text()),
    })?;
    let now = state.clock.now();
    let read = tokio::task::spawn_blocking(move || draft(query, &bytes, now)).await;
    let draft = read.map_err(ApiError::internal)??;
    let mut tx = state.catalog.scoped(&Scope::of(tenant)).begin(tenant, caller.actor()).await?;
    let (image, new) = tx.put_image(draft).await?;
    tx.commit().await?;
    let status = if new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(ImageView::new(image, &Counts::default(), None, &[]))))
}

/// An image by its id, where the tenant has it.
pub(super) async fn named(state: &ApiState, tenant: TenantId, id: &str) -> ApiResult<Image> {
    let id: Uuid = id.parse().map_err(|_| ApiError::not_found("image"))?;
    Ok(state.catalog.scoped(&Scope::of(tenant)).image(id).await?)
}

/// A digest that an image had.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ImageDigestView {
    /// The digest of the manifest; empty where nobody said.
    pub(crate) digest: String,
    /// When it was first sent with it, RFC 3339.
    pub(crate) first: String,
    /// When it was last sent with it, RFC 3339.
    pub(crate) last: String,
    /// Who sent it last.
    pub(crate) sender: String,
    /// How many packages were in it.
    pub(crate) packages: u32,
}

impl From<ImageDigest> for ImageDigestView {
    fn from(one: ImageDigest) -> Self {
        let ImageDigest { digest, first, last, sender, packages } = one;
        Self { digest, first: first.to_string(), last: last.to_string(), sender, packages }
    }
}

/// Show an image: its figures, its layers, the digests that it had, and what to fix first
#[utoipa::path(get, path = "/images/{id}", tag = "vulnerabilities",
    params(("id" = String, Path, description = "Image id")),
    extensions(("x-permission" = json!("vulnerabilities:read"))),
    responses((status = 200, body = ImageDetail), (status = 403, body = Problem), (status = 404, body = Problem)))]
async fn show(State(state): State<ApiState>, caller: Caller, Path(id): Path<String>) -> ApiResult<Json<ImageDetail>> {
    let tenant = caller.tenant(Permission::VulnerabilitiesRead).await?;
    let image = named(&state, tenant, &id).await?;
    detail(&state, tenant, image).await.map(Json)
}

/// Forget an image, and what is wrong with it
#[utoipa::path(delete, path = "/images/{id}", tag = "vulnerabilities",
    params(("id" = String, Path, description = "Image id")),
    extensions(("x-permission" = json!("vulnerabilities:images"))),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem)))]
async fn remove(State(state): State<ApiState>, caller: Caller, Path(id): Path<String>) -> ApiResult<StatusCode> {
    let tenant = caller.tenant(Permission::VulnerabilitiesImages).await?;
    let id: Uuid = id.parse().map_err(|_| ApiError::not_found("image"))?;
    let mut tx = state.catalog.scoped(&Scope::of(tenant)).begin(tenant, caller.actor()).await?;
    tx.delete_image(id).await?;
    tx.commit().await?;
    state.findings.forget_image(tenant, id);
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_digests_are_told_apart() {
        let scanned = |subject: &str| Scanned { subject: subject.to_owned(), ..Scanned::default() };
        let of = |said: Option<&str>, subject: &str| called(said, &scanned(subject)).ok();
        let whole = |name: &str, digest: &str| Some((name.to_owned(), digest.to_owned()));
        assert_eq!(of(None, "registry.example/app:1"), whole("registry.example/app:1", ""));
        assert_eq!(of(Some("r.example/app@sha256:aa"), ""), whole("r.example/app", "sha256:aa"));
        for wrong in ["", "/srv/image.tar", "./layout", "app 1", "a\u{e4}b"] {
            assert_eq!(of(None, wrong), None, "{wrong}");
        }
        let hex = "0A".repeat(32);
        let digest = format!("sha256:{hex}");
        assert_eq!(digest_of(None, String::new(), &digest).unwrap(), digest.to_ascii_lowercase());
        assert_eq!(digest_of(None, String::new(), "").unwrap(), "");
        assert!(digest_of(Some("sha256:0a".to_owned()), String::new(), "").is_err());
    }

    #[test]
    fn rubbish_says_what_is_taken() {
        let of = |text: &str| draft(SendQuery::default(), text.as_bytes(), Micros(0)).unwrap_err().detail().to_owned();
        assert!(of("rubbish").contains("guardian sbom"));
        assert!(of(r#"{"bomFormat": "CycloneDX", "components": []}"#).contains("no name of an image"));
        let named = r#"{"bomFormat": "CycloneDX", "metadata": {"component": {"name": "app:1"}}, "components": []}"#;
        assert!(of(named).contains("nothing could be judged"));
    }
}
