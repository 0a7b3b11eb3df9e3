//! An image of a registry, over HTTP (OCI distribution specification; tokens as Docker's registries document them). What is
//! fetched is judged in crate `vuln`, which also checks every digest; nothing is kept here but the token.

mod login;

use std::io::{self, Read};
use std::time::Duration;

use anyhow::Result;
use axum::body::Bytes;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use guardian_vuln::scan::{self, Reference, Registry, Scanned};
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Client, Response, StatusCode};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::remote;

/// How long a connection may take, and how long a registry may be silent.
const CONNECT: Duration = Duration::from_secs(10);
const SILENCE: Duration = Duration::from_secs(60);
/// Bytes of the answer that has a token.
const TOKEN_BYTES_MAX: u64 = 1 << 20;
/// Forms of manifests and indices that are read.
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

/// How a registry is asked.
#[derive(Args, Debug)]
pub(super) struct RegistryOptions {
    /// User of the registry that an image is pulled from
    #[arg(long, env = "GUARDIAN_REGISTRY_USER", value_name = "NAME")]
    registry_user: Option<String>,
    /// Password or token of that user
    #[arg(long, env = "GUARDIAN_REGISTRY_PASSWORD", hide_env_values = true, value_name = "PASSWORD")]
    registry_password: Option<String>,
    /// Ask the registry without TLS, such as one on this machine
    #[arg(long)]
    plain_http: bool,
}

/// The image that the text names, where it can be nothing else: a registry, a repository and a tag or digest.
pub(super) fn named(text: &str) -> Option<Reference> {
    let (host, path) = text.split_once('/')?;
    let registry = host.starts_with(|c: char| c.is_ascii_alphanumeric()) && host.contains(['.', ':']);
    let versioned = path.contains('@') || path.rsplit('/').next().is_some_and(|last| last.contains(':'));
    ((registry || host == "localhost") && versioned).then(|| text.parse().ok()).flatten()
}

/// Looks for packages in an image of a registry.
pub(super) fn scan(reference: &Reference, architecture: &str, options: &RegistryOptions) -> Result<Scanned> {
    let mut http = Http::new(reference, options)?;
    Ok(scan::pull(&mut http, reference, architecture)?)
}

/// A repository of a registry.
struct Http {
    runtime: Runtime,
    client: Client,
    /// Of the repository, without a slash at its end.
    base: String,
    repository: String,
    host: String,
    user: Option<(String, String)>,
    authorization: Option<HeaderValue>,
}

impl Http {
    fn new(reference: &Reference, options: &RegistryOptions) -> Result<Self> {
        let scheme = if options.plain_http { "http" } else { "https" };
        Ok(Self {
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()?,
            client: remote::outward(!options.plain_http, CONNECT, SILENCE)?,
            base: format!("{scheme}://{}/v2/{}", reference.host, reference.repository),
            repository: reference.repository.clone(),
            host: reference.host.clone(),
            user: options.registry_user.clone().zip(options.registry_password.clone()),
            authorization: None,
        })
    }

    /// Asks, and once more with what the registry wants to see first (RFC 9110, section 11.6.1).
    fn get(&mut self, path: &str, accept: &'static str) -> io::Result<Body<'_>> {
        let mut first = true;
        let response = loop {
            let mut request = self.client.get(format!("{}/{path}", self.base)).header(ACCEPT, accept);
            if let Some(value) = &self.authorization {
                request = request.header(AUTHORIZATION, value);
            }
            let response = self.send(request)?;
            match response.status() {
                StatusCode::UNAUTHORIZED if first => {
                    if self.user.is_none() {
                        self.user = self.runtime.block_on(login::find(&self.host));
                    }
                    self.authorization = Some(self.authorize(response.headers())?);
                }
                status if status.is_success() => break response,
                status => return Err(io::Error::other(refusal(status, &self.repository, path))),
            }
            first = false;
        };
        Ok(Body { runtime: &self.runtime, response, rest: Bytes::new() })
    }

    fn send(&self, request: reqwest::RequestBuilder) -> io::Result<Response> {
        // A request begins its timers where it is sent, which must be within the runtime.
        let sent = self.runtime.block_on(async { request.send().await });
        sent.map_err(|error| io::Error::other(remote::innermost(&error)))
    }

    /// What the registry's challenge asks for.
    fn authorize(&self, headers: &HeaderMap) -> io::Result<HeaderValue> {
        let challenges: Vec<&str> = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|v| v.to_str().ok()).collect();
        let basic =
            |(user, password): &(String, String)| format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        let value = if let Some(bearer) = challenges.iter().find_map(|challenge| of_scheme(challenge, "bearer")) {
            let mut realm = reqwest::Url::parse(&parameter(bearer, "realm").unwrap_or_default())
                .map_err(|_| io::Error::other("the registry does not say where it gives tokens"))?;
            let scope = parameter(bearer, "scope").unwrap_or_else(|| format!("repository:{}:pull", self.repository));
            realm.query_pairs_mut().append_pair("scope", &scope);
            if let Some(service) = parameter(bearer, "service") {
                realm.query_pairs_mut().append_pair("service", &service);
            }
            let mut request = self.client.get(realm);
            if let Some(user) = &self.user {
                request = request.header(AUTHORIZATION, basic(user));
            }
            format!("Bearer {}", self.token(request)?)
        } else if challenges.iter().any(|challenge| of_scheme(challenge, "basic").is_some()) {
            let user = self.user.as_ref();
            basic(user.ok_or_else(|| {
                io::Error::other(
                    "the registry asks for a user: give --registry-user and --registry-password, or log in with Docker",
                )
            })?)
        } else {
            return Err(io::Error::other("the registry asks for something else than a user or a token"));
        };
        let mut value = HeaderValue::try_from(value).map_err(|_| io::Error::other("the registry's token is none"))?;
        value.set_sensitive(true);
        Ok(value)
    }

    fn token(&self, request: reqwest::RequestBuilder) -> io::Result<String> {
        let response = self.send(request)?;
        if !response.status().is_success() {
            let status = response.status();
            return Err(io::Error::other(format!("the registry gives no token for {}: {status}", self.repository)));
        }
        let mut bytes = Vec::new();
        Body { runtime: &self.runtime, response, rest: Bytes::new() }.take(TOKEN_BYTES_MAX).read_to_end(&mut bytes)?;
        let answer: Value = serde_json::from_slice(&bytes).map_err(|_| io::Error::other("the token is not JSON"))?;
        let token = ["token", "access_token"].iter().find_map(|key| answer.get(*key)?.as_str());
        token.map(ToOwned::to_owned).ok_or_else(|| io::Error::other("the registry's answer has no token"))
    }
}

fn refusal(status: StatusCode, repository: &str, path: &str) -> String {
    match status {
        StatusCode::NOT_FOUND => format!("the registry has no {path} of {repository}"),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            format!("the registry does not give {repository}: {status}")
        }
        StatusCode::TOO_MANY_REQUESTS => "the registry was asked too often: try again later".to_owned(),
        status => format!("the registry answers {status} for {path}"),
    }
}

/// The parameters of a challenge of the scheme.
fn of_scheme<'a>(challenge: &'a str, scheme: &str) -> Option<&'a str> {
    let (name, rest) = challenge.trim().split_once(' ').unwrap_or((challenge.trim(), ""));
    name.eq_ignore_ascii_case(scheme).then_some(rest)
}

/// A parameter of a challenge: `name="value"`, with commas between them and in them.
fn parameter(parameters: &str, wanted: &str) -> Option<String> {
    let mut rest = parameters;
    loop {
        let (name, after) = rest.split_once('=')?;
        let (value, tail) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_once(',').unwrap_or((after, "")),
        };
        if name.trim_matches([' ', ',']).eq_ignore_ascii_case(wanted) {
            return Some(value.trim().to_owned());
        }
        rest = tail;
    }
}

/// What a registry gives, as it comes.
struct Body<'a> {
    runtime: &'a Runtime,
    response: Response,
    rest: Bytes,
}

impl Read for Body<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.runtime.block_on(self.response.chunk()) {
                Ok(Some(chunk)) => self.rest = chunk,
                Ok(None) => return Ok(0),
                Err(error) => return Err(io::Error::other(remote::innermost(&error))),
            }
        }
        let bytes = into.len().min(self.rest.len());
        into[..bytes].copy_from_slice(&self.rest.split_to(bytes));
        Ok(bytes)
    }
}

impl Registry for Http {
    fn manifest(&mut self, version: &str) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(self.get(&format!("manifests/{version}"), MANIFESTS)?))
    }

    fn blob(&mut self, digest: &str) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(self.get(&format!("blobs/{digest}"), "*/*")?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_nothing_else_is_an_image_of_a_registry() {
        for text in ["registry.example/app:1", "127.0.0.1:5000/a/b:x", "localhost/app:1", "docker.io/library/alpine:3"]
        {
            assert!(named(text).is_some(), "{text}");
        }
        for text in ["app.d/file", "./app:1", "../x:1", "app:1", "image.tar", "/srv/app:1", "a.b/c:d/e"] {
            assert!(named(text).is_none(), "{text}");
        }
    }

    #[test]
    fn challenges_are_read() {
        let bearer = of_scheme(
            r#"Bearer realm="https://a.example/t?x=1",service=reg, scope="repository:a:pull,push""#,
            "bearer",
        );
        let of = |name| parameter(bearer.unwrap(), name);
        assert_eq!(of("realm").as_deref(), Some("https://a.example/t?x=1"));
        assert_eq!(of("service").as_deref(), Some("reg"));
        assert_eq!(of("scope").as_deref(), Some("repository:a:pull,push"));
        assert_eq!(of("error"), None);
        assert!(of_scheme("Basic realm=x", "bearer").is_none());
    }
}
