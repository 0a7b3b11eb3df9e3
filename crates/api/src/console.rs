//! The console: the built files of `web/`, inside the program. Whatever is not the API, a probe or a file is the
//! console's one page, which reads the path itself. Nothing here reads the disk or knows who is asking.

use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::error::ApiError;

/// The output of `vite build`, empty where the program was built without it. Files that compress well are there a
/// second time as `NAME.br`.
#[derive(RustEmbed)]
#[folder = "../../web/dist"]
#[allow_missing = true]
struct Files;

const PAGE: &str = "index.html";
/// Files with a hash of their content in their name lie here.
const HASHED: &str = "assets/";
const FOR_EVER: &str = "public, max-age=31536000, immutable";
/// The page and other files of fixed name may be kept, but are asked for again.
const ASK_AGAIN: &str = "no-cache";

/// Answers everything that no other route did.
pub(crate) async fn serve(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path().trim_start_matches('/');
    if path == "api" || path.starts_with("api/") {
        return ApiError::not_found("operation; the documentation is at /api/docs").into_response();
    }
    if method != Method::GET && method != Method::HEAD {
        return ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "pages are only read")
            .into_response();
    }
    let brotli = accepts_brotli(&headers);
    if let Some(response) = file(path, brotli) {
        return response;
    }
    if path.starts_with(HASHED) {
        return ApiError::not_found("file").into_response();
    }
    file(PAGE, brotli).unwrap_or_else(|| {
        ApiError::not_found(
            "page: this program was built without the console (`cargo xtask up` builds it); the API is below /api/v1",
        )
        .into_response()
    })
}

fn accepts_brotli(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT_ENCODING).into_iter().filter_map(|value| value.to_str().ok());
    let mut codings = accepted.flat_map(|value| value.split(','));
    codings.any(|coding| coding.split(';').next().is_some_and(|name| name.trim() == "br"))
}

fn file(path: &str, brotli: bool) -> Option<Response> {
    let plain = Files::get(path)?;
    let kind = content_type(path);
    let keep = if path.starts_with(HASHED) { FOR_EVER } else { ASK_AGAIN };
    let compressed = Files::get(&format!("{path}.br")).filter(|_| brotli);
    let encoding = compressed.is_some().then_some("br");
    let EmbeddedFile { data, .. } = compressed.unwrap_or(plain);
    let mut response = ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, keep)], data).into_response();
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Some(encoding) = encoding {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    Some(response)
}

/// The media type of a file of the console; there are no others.
fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("woff2") => "font/woff2",
        Some("webmanifest") => "application/manifest+json",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};

    use super::{accepts_brotli, serve};

    #[test]
    fn brotli_is_asked_for_by_name() {
        let mut headers = HeaderMap::new();
        assert!(!accepts_brotli(&headers));
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip, deflate, br;q=0.9"));
        assert!(accepts_brotli(&headers));
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip, brother"));
        assert!(!accepts_brotli(&headers));
    }

    #[tokio::test]
    async fn unknown_operations_and_assets_are_no_pages() {
        for path in ["/api/v1/nonsense", "/api", "/assets/gone-12345678.js"] {
            let answer = serve(Method::GET, path.parse().unwrap(), HeaderMap::new()).await;
            assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
        }
        let answer = serve(Method::POST, "/alerts".parse().unwrap(), HeaderMap::new()).await;
        assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
    }
}
