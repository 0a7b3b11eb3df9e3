//! What a machine needs before it has an agent: a script, and the program by its hash. Whoever pastes the command has the hashes
//! of both from this API, so that nothing depends on whether the machine trusts the certificate that browsers see.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use guardian_fleet::release::Version;
use guardian_identity::Permission;
use guardian_model::Scope;
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio_util::io::ReaderStream;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::{Json, Path};
use crate::state::ApiState;

/// The script, the same for everybody.
const SCRIPT: &str = include_str!("agent_install.sh");
/// Programs that are handed out at once to machines that nobody knows yet.
static HANDED_OUT: Semaphore = Semaphore::const_new(16);

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(kit)).routes(routes!(script)).routes(routes!(program))
}

/// A program that machines are enrolled with.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InstallProgram {
    /// Operating system.
    pub(crate) platform: String,
    /// Processor architecture.
    pub(crate) architecture: String,
    /// Its version; null for the program that came with the server.
    pub(crate) version: Option<String>,
    /// SHA-256, by which it is fetched and checked.
    pub(crate) sha256: String,
    /// Bytes.
    pub(crate) size: u64,
}

/// What it takes to install the agent.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InstallKit {
    /// One command for a terminal on the machine, with `{server}` and `{token}` where the address of this server and the
    /// enrolment token belong.
    pub(crate) command: String,
    /// SHA-256 of the script that it fetches.
    pub(crate) script_sha256: String,
    /// The programs, one for each platform and architecture.
    pub(crate) programs: Vec<InstallProgram>,
    /// Keys that signed releases here: the command pins them.
    pub(crate) release_keys: Vec<String>,
}

fn command(script_sha256: &str, programs: &[InstallProgram], keys: &[String]) -> String {
    let mut arguments = String::new();
    for program in programs {
        arguments.push_str(&format!(" --program {}:{}", program.architecture, program.sha256));
    }
    for key in keys {
        arguments.push_str(&format!(" --release-key {key}"));
    }
    // The certificate is not what is believed: the hash in this line is. The token goes by the standard input, because what
    // stands behind a command is seen by everybody on the machine.
    format!(
        "f=$(mktemp) && curl -fsSk -o \"$f\" {{server}}/api/v1/agents/install.sh && \
         echo \"{script_sha256}  $f\" | sha256sum -c --quiet && \
         printf %s '{{token}}' | sudo sh \"$f\" --server {{server}}{arguments}"
    )
}

/// Show what it takes to install the agent on a machine
///
/// The newest release for each platform that was not withdrawn, or the program that came with the server.
#[utoipa::path(get, path = "/agents/install-kit", tag = "hosts", extensions(("x-permission" = json!("hosts:enroll"))),
    responses((status = 200, body = InstallKit), (status = 403, body = Problem)))]
async fn kit(State(state): State<ApiState>, caller: Caller) -> ApiResult<Json<InstallKit>> {
    let tenant = caller.tenant(Permission::HostsEnroll).await?;
    let mut releases = state.catalog.scoped(&Scope::of(tenant)).agent_releases(tenant).await?;
    releases.retain(|release| release.withdrawn.is_none());
    releases.sort_by_key(|release| std::cmp::Reverse(Version::parse(&release.version)));
    let keys: BTreeSet<String> = releases.iter().map(|release| release.key.clone()).collect();
    let mut programs: Vec<InstallProgram> = Vec::new();
    let beside = state.fleet.releases().beside().await.iter().map(|program| InstallProgram {
        platform: program.platform.clone(),
        architecture: program.architecture.clone(),
        version: None,
        sha256: program.sha256.clone(),
        size: program.size,
    });
    let released = releases.into_iter().map(|release| InstallProgram {
        platform: release.platform,
        architecture: release.architecture,
        version: Some(release.version),
        sha256: release.sha256,
        size: release.size,
    });
    for program in released.chain(beside) {
        let known = |p: &InstallProgram| (&p.platform, &p.architecture) == (&program.platform, &program.architecture);
        if !programs.iter().any(known) {
            programs.push(program);
        }
    }
    let script_sha256 = guardian_fleet::sha256(SCRIPT.as_bytes());
    let release_keys: Vec<String> = keys.into_iter().collect();
    let command = command(&script_sha256, &programs, &release_keys);
    Ok(Json(InstallKit { command, script_sha256, programs, release_keys }))
}

/// Fetch the script that installs the agent
#[utoipa::path(get, path = "/agents/install.sh", tag = "hosts", security(()),
    extensions(("x-permission" = json!("public"))),
    responses((status = 200, body = String, content_type = "text/plain")))]
async fn script() -> Response {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], SCRIPT).into_response()
}

/// Fetch a program of the agent by its SHA-256
///
/// Whoever knows the hash may have it: there is no secret in it.
#[utoipa::path(get, path = "/agents/programs/{sha256}", tag = "hosts", security(()),
    extensions(("x-permission" = json!("public"))), params(("sha256" = String, Path, description = "SHA-256")),
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream"), (status = 404, body = Problem),
        (status = 503, body = Problem)))]
async fn program(State(state): State<ApiState>, Path(sha256): Path<String>) -> ApiResult<Response> {
    let place = HANDED_OUT.try_acquire().map_err(|_| {
        let text = "too many machines fetch the program at once";
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "busy", text).retry_after(5)
    })?;
    let releases = state.fleet.releases();
    let file = match releases.whole_beside(&sha256).await {
        Some(file) => file,
        None => {
            let found = state.catalog.system().release_with(&sha256).await?;
            let release = found.ok_or_else(|| ApiError::not_found("program"))?;
            releases.whole(release.tenant, release.id).await
        }
    };
    let file = file.map_err(ApiError::internal)?;
    let length = file.metadata().await.map_err(ApiError::internal)?.len();
    let stream = ReaderStream::with_capacity(file, 64 << 10);
    let stream = futures::StreamExt::map(stream, move |piece| {
        // The place is free again when the last piece is on its way.
        let _held = &place;
        piece
    });
    let mut response = Body::from_stream(stream).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_pins_what_it_fetches() {
        let program = InstallProgram {
            platform: "linux".into(),
            architecture: "x86_64".into(),
            version: None,
            sha256: "ab".repeat(32),
            size: 1,
        };
        let command = command("cd", &[program], &["a2V5".into()]);
        for part in
            ["echo \"cd  $f\" | sha256sum -c", &format!("--program x86_64:{}", "ab".repeat(32)), "--release-key a2V5"]
        {
            assert!(command.contains(part), "{command}");
        }
        assert_eq!(command.matches("{token}").count(), 1);
    }
}
