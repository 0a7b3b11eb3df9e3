//! Enrolment: the key is made here and never leaves the machine; a token and a request go to the server, a certificate
//! comes back.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsConnector;

use crate::connect::{Place, connect};
use crate::facts::Facts;
use crate::home::Identity;
use crate::tls::{self, TlsError};

/// Largest answer.
const ANSWER_BYTES_MAX: u64 = 64 << 10;
/// Longest wait for it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why the machine is not enrolled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnrolError {
    /// The token is none.
    #[error("this is no enrolment token: it looks like gde_….….…")]
    Token,
    /// The server cannot be reached, or is not the one that made the token.
    #[error("{server} cannot be reached as the server that made this token: {source}")]
    Unreachable {
        /// Where.
        server: String,
        /// Why.
        source: io::Error,
    },
    /// The server says why.
    #[error("the server refuses: {0}")]
    Refused(String),
    /// Its answer is none.
    #[error("the server's answer cannot be understood")]
    Answer,
    /// A key could not be made.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// The fingerprint of the agents' authority in a token.
pub fn pin_of(token: &str) -> Option<[u8; 32]> {
    let pin = token.trim().strip_prefix("gde_")?.split('.').nth(2)?;
    URL_SAFE_NO_PAD.decode(pin).ok()?.try_into().ok()
}

#[derive(Deserialize)]
struct Answer {
    id: String,
    certificate: String,
    authority: String,
    not_after: String,
}

/// Enrols this machine, or one that is called `name`.
pub async fn enrol(server: &str, proxy: Option<&str>, token: &str, name: Option<&str>) -> Result<Identity, EnrolError> {
    let pin = pin_of(token).ok_or(EnrolError::Token)?;
    let (key, request) = tls::new_key()?;
    let facts = Facts::read();
    let body = serde_json::to_string(&json!({
        "token": token.trim(),
        "request": STANDARD.encode(request),
        "name": name.unwrap_or(&facts.name),
        "platform": Facts::platform_name(),
        "architecture": facts.architecture,
        "version": crate::upgrade::version(),
    }));
    let body = body.map_err(|_| EnrolError::Answer)?;
    let asking = post(server, proxy, pin, "/api/v1/agents/enroll", &body);
    let asked = tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let (status, answer) = asked.map_err(|source| EnrolError::Unreachable { server: server.to_owned(), source })?;
    Ok(Identity { proxy: proxy.map(str::to_owned), ..identity(server, key, status, &answer)? })
}

/// What the machine is from now on by a server's answer: its status, and its body.
pub fn identity(server: &str, key: String, status: u16, answer: &[u8]) -> Result<Identity, EnrolError> {
    if status != 201 {
        let problem: Value = serde_json::from_slice(answer).unwrap_or_default();
        let detail = problem["detail"].as_str().or(problem["title"].as_str());
        return Err(EnrolError::Refused(detail.map_or_else(|| format!("status {status}"), str::to_owned)));
    }
    let answer: Answer = serde_json::from_slice(answer).map_err(|_| EnrolError::Answer)?;
    let identity = Identity {
        server: server.trim().trim_end_matches('/').to_owned(),
        proxy: None,
        host: answer.id,
        authority: answer.authority,
        certificate: answer.certificate,
        key,
        not_after: answer.not_after,
    };
    // What cannot be used is found now, not at the first start.
    tls::session(&identity)?;
    Ok(identity)
}

/// One request of HTTP/1.1 over a connection of its own: status and body of the answer.
async fn post(server: &str, proxy: Option<&str>, pin: [u8; 32], path: &str, body: &str) -> io::Result<(u16, Vec<u8>)> {
    let place = Place::of(server, "https://", 443).map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
    let stream = connect(server, proxy).await?;
    let mut stream = TlsConnector::from(Arc::new(tls::enrolment(pin))).connect(tls::server_name(), stream).await?;
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         User-Agent: guardian-agent/{}\r\nConnection: close\r\n\r\n",
        place.authority(),
        body.len(),
        crate::upgrade::version()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.flush().await?;
    let mut answer = Vec::new();
    match stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await {
        // The end without TLS's own farewell is one as well: the length is checked below.
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(error),
        _ => {}
    }
    parse(&answer).ok_or_else(|| io::Error::other("the answer is no HTTP"))
}

/// Status and body of an answer of HTTP/1.1 that says its length, or ends with the connection.
pub fn parse(answer: &[u8]) -> Option<(u16, Vec<u8>)> {
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let body = &answer[end + 4..];
    let body = match length {
        Some(length) => body.get(..length)?,
        None => body,
    };
    Some((status, body.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_whole_or_not_at_all() {
        let whole = b"HTTP/1.1 201 Created\r\nContent-length: 2\r\nx: y\r\n\r\n{}";
        assert_eq!(parse(whole), Some((201, b"{}".to_vec())));
        assert_eq!(parse(&whole[..whole.len() - 1]), None);
        assert_eq!(parse(b"HTTP/1.1 403 Forbidden\r\n\r\n"), Some((403, Vec::new())));
        assert_eq!(parse(b"SSH-2.0"), None);
    }

    #[test]
    fn a_token_carries_a_fingerprint() {
        let text = format!("gde_{}.{}.{}", "a".repeat(16), "s".repeat(43), URL_SAFE_NO_PAD.encode([7; 32]));
        assert_eq!(pin_of(&text), Some([7; 32]));
        for wrong in ["", "gde_", "gde_a.b.c", &text[..text.len() - 1], "gdn_a.b.AAAA"] {
            assert_eq!(pin_of(wrong), None, "{wrong}");
        }
    }
}
