//! REST, WebSocket and OpenAPI: the HTTP edge. Every operation authenticates, names its permission, works in the
//! caller's scope, and audits what it changes.
//!
//! This crate must never reach data without a [`auth::Caller`], and never know the pipeline: what it needs of it stands
//! behind the small traits of [`state`](ApiState).

#![expect(unused_qualifications, reason = "the macros of utoipa write full paths")]

pub mod auth;
mod console;
mod cursor;
mod diff;
mod error;
mod extract;
mod mask;
mod operations;
mod resources;
mod rule_pack;
mod state;
mod strict;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, HeaderValue, Request, StatusCode, header};
use axum::response::IntoResponse as _;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::request_id::{MakeRequestId, PropagateRequestIdLayer, RequestId, SetRequestIdLayer};
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;

pub use cursor::Cursors;
pub use error::{ApiError, ApiResult, Problem};
pub use resources::query::{QueryAnswer, answer};
pub use resources::{TrafficCache, exception};
pub use state::{
    ApiSettings, ApiState, Connection, Kpis, ReplayStart, ReplayView, Replays, RuleActivity, RuleWork, ShowsCertificate,
};

/// Largest JSON body; uploads of captures have their own limit.
const BODY_BYTES_MAX: usize = 1 << 20;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Guardian API",
        description = "Everything Guardian can do. Errors are problem documents (RFC 9457). Lists have opaque, signed \
                       cursors. Times are RFC 3339 in UTC. `/api/v1` grows and never breaks.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    security(("api_key" = []), ("session" = []))
)]
struct Document;

/// The OpenAPI 3.1 document.
pub fn openapi() -> utoipa::openapi::OpenApi {
    operations::finished(versioned().split_for_parts().1)
}

/// The document as text, always the same for the same program.
pub fn openapi_text() -> Result<String, serde_json::Error> {
    let mut document = serde_json::to_value(openapi())?;
    operations::order_extensions(&mut document);
    serde_json::to_string_pretty(&document)
}

fn versioned() -> OpenApiRouter<ApiState> {
    let mut document = Document::openapi();
    let schemes = document.components.get_or_insert_default();
    schemes.add_security_scheme("api_key", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    let cookie = SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new(auth::SESSION_COOKIE)));
    schemes.add_security_scheme("session", cookie);
    let all = resources::ALL.iter().fold(OpenApiRouter::new(), |router, routes| router.merge(routes()));
    OpenApiRouter::with_openapi(document).nest("/api/v1", all)
}

#[derive(Clone, Copy)]
struct RequestIds;

impl MakeRequestId for RequestIds {
    fn make_request_id<B>(&mut self, _: &Request<B>) -> Option<RequestId> {
        HeaderValue::from_str(&uuid::Uuid::now_v7().to_string()).ok().map(RequestId::new)
    }
}

/// What pages may load: the program's own files, and nothing written into the page itself. Styles that scripts set on
/// elements through the object model stay possible, `<style>` and `style=""` do not.
const CONTENT_SECURITY: &str = "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                                connect-src 'self' wss:; object-src 'none'; base-uri 'none'; form-action 'self'; \
                                frame-ancestors 'none'";
/// The page of the API's documentation is not ours and writes styles into itself.
const DOCUMENTATION_SECURITY: &str = "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
                                      img-src 'self' data:; object-src 'none'; base-uri 'none'; \
                                      frame-ancestors 'none'";
/// Two years, as the preload lists want it.
const INSIST_ON_HTTPS: &str = "max-age=63072000; includeSubDomains";

/// Answers a method that a path does not have; the header `Allow` says which it has.
async fn other_method() -> ApiError {
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "there is no such operation on this path")
}

/// Everything that is served.
pub fn router(state: ApiState) -> Router {
    let (api, document) = versioned().split_for_parts();
    let docs: Router<ApiState> = utoipa_swagger_ui::SwaggerUi::new("/api/docs")
        .url("/api/v1/openapi.json", operations::finished(document))
        .into();
    let id = HeaderName::from_static("x-request-id");
    let fixed = |name: HeaderName, value: &'static str| {
        SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
    };
    let content = header::CONTENT_SECURITY_POLICY;
    let hsts = state.settings.hsts.then(|| HeaderValue::from_static(INSIST_ON_HTTPS));
    api.method_not_allowed_fallback(other_method)
        .layer(axum::middleware::from_fn(mask::layer))
        .merge(resources::probes())
        .merge(docs.layer(fixed(content.clone(), DOCUMENTATION_SECURITY)))
        .fallback(console::serve)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(CompressionLayer::new())
        .layer(CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| {
            ApiError::internal("a handler panicked").into_response()
        }))
        .layer(fixed(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(fixed(header::REFERRER_POLICY, "no-referrer"))
        .layer(fixed(header::X_FRAME_OPTIONS, "DENY"))
        .layer(fixed(content, CONTENT_SECURITY))
        .layer(fixed(HeaderName::from_static("cross-origin-opener-policy"), "same-origin"))
        .layer(fixed(HeaderName::from_static("cross-origin-resource-policy"), "same-origin"))
        .layer(fixed(HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"))
        .layer(SetResponseHeaderLayer::overriding(header::STRICT_TRANSPORT_SECURITY, hsts))
        .layer(fixed(header::CACHE_CONTROL, "no-store"))
        .layer(PropagateRequestIdLayer::new(id.clone()))
        .layer(SetRequestIdLayer::new(id, RequestIds))
        .with_state(state)
}
