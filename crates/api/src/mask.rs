//! Masks what goes out to whoever may not see personal data. It stands around every operation, so that none can forget
//! it: answers in JSON are masked member by member, texts line by line, and a file that cannot be masked is refused.
//!
//! Filters over telemetry are masked within the scan of the lake; those over the catalog ask
//! [`Caller::named`](crate::auth::Caller::named).

use std::sync::{Arc, OnceLock};

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures::{Stream, StreamExt as _};
use guardian_model::Pseudonyms;
use serde_json::Value;

use crate::error::ApiError;

/// Largest answer that is masked as one document.
const DOCUMENT_BYTES_MAX: usize = 256 << 20;
/// Longest line of a text that is masked line by line.
const LINE_BYTES_MAX: usize = 4 << 20;

/// What is about accounts, colleagues and the installation itself, and holds no telemetry.
const PLAIN: &[&str] = &[
    "api-keys",
    "enrollment-tokens",
    "exporters",
    "incident-settings",
    "incident-templates",
    "invitations",
    "kpis",
    "links",
    "openapi.json",
    "people",
    "permissions",
    "preferences",
    "profile",
    "registrations",
    "roles",
    "session",
    "settings",
    "setup",
    "sign-in",
    "storage",
    // Masks by itself, message by message.
    "stream",
    "tables",
    "tenants",
    "tokens",
    "users",
];

/// Whether the answers below this path are the same for everybody. Rules are, and a network in one is nobody's; what
/// they found and whom they except is not.
fn is_plain(path: &str) -> bool {
    let mut parts = path.strip_prefix("/api/v1/").unwrap_or_default().split('/');
    match parts.next() {
        Some("rules") => !parts.any(|part| matches!(part, "exceptions" | "backtest" | "test" | "backtests")),
        Some(resource) => PLAIN.contains(&resource),
        None => false,
    }
}

/// Where the authentication of a request leaves what its answer has to be masked with.
#[derive(Clone, Default)]
pub(crate) struct MaskSlot(Arc<OnceLock<Option<Arc<Pseudonyms>>>>);

impl MaskSlot {
    /// Leaves it; whoever comes second finds the same.
    pub(crate) fn fill(&self, masks: Option<Arc<Pseudonyms>>) {
        self.0.get_or_init(|| masks);
    }
}

/// Masks the answer of a request.
pub(crate) async fn layer(mut request: Request, next: Next) -> Response {
    if is_plain(request.uri().path()) {
        return next.run(request).await;
    }
    let slot = MaskSlot::default();
    request.extensions_mut().insert(slot.clone());
    let response = next.run(request).await;
    match slot.0.get().cloned().flatten() {
        Some(masks) => masked(response, masks).await,
        None => response,
    }
}

/// How a body can be masked.
enum Form {
    Document,
    /// Lines of text; each a JSON document of its own or not.
    Lines {
        json: bool,
    },
    Opaque,
}

fn form(headers: &HeaderMap) -> Option<Form> {
    let kind = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let kind = kind.split(';').next().unwrap_or_default().trim();
    Some(match kind {
        "application/json" => Form::Document,
        kind if kind.ends_with("+json") => Form::Document,
        "application/jsonl" | "application/x-ndjson" => Form::Lines { json: true },
        "application/yaml" => Form::Lines { json: false },
        kind if kind.starts_with("text/") => Form::Lines { json: false },
        _ => Form::Opaque,
    })
}

async fn masked(response: Response, masks: Arc<Pseudonyms>) -> Response {
    let (mut parts, body) = response.into_parts();
    // An answer without a type has no body.
    let Some(form) = form(&parts.headers) else { return Response::from_parts(parts, body) };
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.remove(header::ETAG);
    match form {
        Form::Document => {
            let bytes = match axum::body::to_bytes(body, DOCUMENT_BYTES_MAX).await {
                Ok(bytes) => bytes,
                Err(error) => return ApiError::internal(error).into_response(),
            };
            match document(&bytes, &masks) {
                Ok(bytes) => Response::from_parts(parts, Body::from(bytes)),
                Err(error) => ApiError::internal(error).into_response(),
            }
        }
        Form::Lines { json } => {
            let lines = lines(body.into_data_stream(), masks, json);
            Response::from_parts(parts, Body::from_stream(lines))
        }
        Form::Opaque if !parts.status.is_success() => Response::from_parts(parts, body),
        Form::Opaque => unmaskable().into_response(),
    }
}

/// What is answered in the place of a file in which nothing can be replaced.
pub(crate) fn unmaskable() -> ApiError {
    ApiError::forbidden("personal data in this file cannot be masked: it needs personal:read")
}

fn document(bytes: &[u8], masks: &Pseudonyms) -> serde_json::Result<Vec<u8>> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let mut value: Value = serde_json::from_slice(bytes)?;
    masks.value(&mut value);
    serde_json::to_vec(&value)
}

/// What is not yet masked of a text.
struct Rest<S> {
    body: Option<S>,
    pending: Vec<u8>,
}

fn lines<S>(body: S, masks: Arc<Pseudonyms>, json: bool) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send
where
    S: Stream<Item = Result<Bytes, axum::Error>> + Send + Unpin,
{
    let rest = Rest { body: Some(body), pending: Vec::new() };
    futures::stream::try_unfold(rest, move |mut rest| {
        let masks = Arc::clone(&masks);
        async move {
            let Some(body) = rest.body.as_mut() else { return Ok(None) };
            loop {
                let Some(chunk) = body.next().await else {
                    rest.body = None;
                    let last = std::mem::take(&mut rest.pending);
                    return Ok((!last.is_empty()).then(|| (line(&last, &masks, json).into(), rest)));
                };
                rest.pending.extend_from_slice(&chunk.map_err(std::io::Error::other)?);
                let Some(end) = rest.pending.iter().rposition(|byte| *byte == b'\n') else {
                    if rest.pending.len() > LINE_BYTES_MAX {
                        return Err(std::io::Error::other("a line is too long to be masked"));
                    }
                    continue;
                };
                let tail = rest.pending.split_off(end + 1);
                let whole = std::mem::replace(&mut rest.pending, tail);
                let mut out = Vec::with_capacity(whole.len() * 2);
                for one in whole.split_inclusive(|byte| *byte == b'\n') {
                    out.extend_from_slice(&line(one, &masks, json));
                }
                return Ok(Some((Bytes::from(out), rest)));
            }
        }
    })
}

fn line(bytes: &[u8], masks: &Pseudonyms, json: bool) -> Vec<u8> {
    if json && let Ok(mut value) = serde_json::from_slice::<Value>(bytes) {
        masks.value(&mut value);
        let mut text = value.to_string().into_bytes();
        text.push(b'\n');
        return text;
    }
    masks.text(&String::from_utf8_lossy(bytes)).into_owned().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn addresses_are_masked_wherever_a_text_was_cut() {
        let masks = Arc::new(Pseudonyms::new([7; 32]));
        let masked = masks.name("10.0.0.5").into_owned();
        let whole = "a 10.0.0.5 b\nc 10.0.0.5";
        for at in 0..whole.len() {
            let (head, tail) = whole.split_at(at);
            let parts = [head, tail].map(|part| Ok::<_, axum::Error>(Bytes::copy_from_slice(part.as_bytes())));
            let out: Vec<_> = lines(futures::stream::iter(parts), Arc::clone(&masks), false).collect().await;
            let text: Vec<u8> = out.into_iter().flat_map(|part| part.unwrap().to_vec()).collect();
            assert_eq!(String::from_utf8(text).unwrap(), format!("a {masked} b\nc {masked}"), "cut at {at}");
        }
    }
}
