//! The one error of the HTTP edge: RFC 9457 problem details.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use guardian_catalog::CatalogError;
use guardian_lake::LakeError;
use serde::Serialize;
use utoipa::ToSchema;

/// A problem document (RFC 9457), `application/problem+json`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Problem {
    /// Kind of the problem: `about:blank#` and a short name that stays the same.
    #[serde(rename = "type")]
    pub kind: String,
    /// The HTTP status in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong and what to do about it.
    pub detail: String,
    /// Seconds after which trying again makes sense.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// The single issues, where there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub issues: Vec<serde_json::Value>,
    /// The thing as it is now, where somebody else changed it meanwhile.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub current: Option<serde_json::Value>,
}

/// An error on its way to the client.
#[derive(Clone, Debug)]
pub struct ApiError(Box<Problem>);

/// What handlers return.
pub type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    /// A problem with a stable short name.
    pub fn new(status: StatusCode, name: &str, detail: impl Into<String>) -> Self {
        Self(Box::new(Problem {
            kind: format!("about:blank#{name}"),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            retry_after: None,
            issues: Vec::new(),
            current: None,
        }))
    }

    /// The request makes no sense.
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail)
    }

    /// There is no such thing, or not for this caller.
    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", format!("no such {what}"))
    }

    /// Nobody is signed in.
    pub fn unauthenticated(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail)
    }

    /// The caller may not do this.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    /// Something of ours broke; the cause goes to the log, not to the client.
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        tracing::error!(%cause, "a request failed");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "something went wrong here; the server's log says what",
        )
    }

    /// What is wrong and what to do about it.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// Says when to try again.
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.0.retry_after = Some(seconds.max(1));
        self
    }

    /// Somebody else changed the thing since the caller looked; `current` is what it is now.
    pub fn version_conflict(current: &impl Serialize) -> Self {
        Self::changed_meanwhile().with_current(current)
    }

    /// The same where the present state is not at hand.
    fn changed_meanwhile() -> Self {
        Self::new(StatusCode::CONFLICT, "version-conflict", "somebody changed it meanwhile; load it again")
    }

    /// Adds the present state to a conflict of versions; other errors stay as they are.
    pub fn with_current(mut self, current: &impl Serialize) -> Self {
        if self.0.kind.ends_with("#version-conflict") {
            "somebody changed it meanwhile; `current` is what it is now".clone_into(&mut self.0.detail);
            self.0.current = serde_json::to_value(current).ok();
        }
        self
    }

    /// Adds the single issues.
    pub fn with_issues(mut self, issues: Vec<serde_json::Value>) -> Self {
        self.0.issues = issues;
        self
    }
}

impl From<CatalogError> for ApiError {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::NotFound(what) => Self::not_found(what),
            CatalogError::Conflict(detail) => Self::new(StatusCode::CONFLICT, "conflict", detail),
            CatalogError::VersionConflict { .. } => Self::changed_meanwhile(),
            CatalogError::Invalid(detail) => Self::invalid(detail),
            CatalogError::Busy => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "the catalog is busy; try again").retry_after(1)
            }
            other => Self::internal(other),
        }
    }
}

impl From<LakeError> for ApiError {
    fn from(error: LakeError) -> Self {
        match error {
            LakeError::Sql(_) | LakeError::Limit(_) => Self::invalid(error.to_string()),
            LakeError::ReadOnly(_) | LakeError::Closed => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "storage", error.to_string()).retry_after(5)
            }
            // Waiting does not help: somebody has to bring the key.
            LakeError::Key { .. } => Self::new(StatusCode::SERVICE_UNAVAILABLE, "storage", error.to_string()),
            other => Self::internal(other),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after = self.0.retry_after;
        let mut response = (status, Json(self.0)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
