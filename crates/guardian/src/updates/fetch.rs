//! One file over HTTP (RFC 9110): asked for only where it changed, gone on with where it was cut off, tried again where that
//! may help, and never longer than it may be.

use std::io::{BufWriter, Write as _};
use std::time::Duration;

use guardian_vuln::sources::Source;
use guardian_vuln::sources::download::{self, Download, Origin};
use reqwest::header::{CONTENT_RANGE, HeaderMap, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, RANGE, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, Response, StatusCode};

use super::place::{Mark, Place};
use super::{Outcome, Updates};
use crate::remote::innermost;

/// Bytes of a text that only names another file.
const POINTER_BYTES_MAX: u64 = 4 << 20;
/// The longest that a publisher may have us wait.
const WAIT_MAX: Duration = Duration::from_secs(300);

/// What is fetched, and with what.
#[derive(Clone, Copy)]
pub(super) struct Job<'a> {
    pub(super) updates: &'a Updates,
    pub(super) client: &'a Client,
    pub(super) source: &'static dyn Source,
    pub(super) download: Download,
}

/// Why an attempt came to nothing.
#[derive(Debug)]
pub(super) enum Wrong {
    /// It may go well the next time, which should not be before so long.
    Again(String, Option<Duration>),
    /// It would be the same the next time.
    Final(String),
}

impl From<reqwest::Error> for Wrong {
    fn from(error: reqwest::Error) -> Self {
        // What the builder or the rules of redirects refuse stays refused.
        let why = innermost(&error);
        if error.is_builder() || error.is_redirect() { Self::Final(why) } else { Self::Again(why, None) }
    }
}

impl From<std::io::Error> for Wrong {
    fn from(error: std::io::Error) -> Self {
        Self::Final(error.to_string())
    }
}

impl Job<'_> {
    /// Fetches the file to its place.
    pub(super) async fn file(&self, url: &str, place: &Place) -> Result<Outcome, String> {
        let mut failures = 0;
        loop {
            let before = place.begun(url).map_or(0, |(bytes, _)| bytes);
            let (why, wait) = match self.attempt(url, place).await {
                Ok(outcome) => return Ok(outcome),
                Err(Wrong::Final(why)) => return Err(why),
                Err(Wrong::Again(why, wait)) => (why, wait),
            };
            // Whoever sends something each time is not failing; the whole still has its time.
            let further = place.begun(url).is_some_and(|(bytes, _)| bytes > before);
            failures = if further { 1 } else { failures + 1 };
            self.rest(failures, why, wait).await?;
        }
    }

    /// Waits before the next attempt, or says that there is none.
    pub(super) async fn rest(&self, failures: u32, why: String, wait: Option<Duration>) -> Result<(), String> {
        let patience = &self.updates.patience;
        if failures >= patience.failures {
            return Err(why);
        }
        let back_off = patience.back_off * 4_u32.saturating_pow(failures.saturating_sub(1).min(8));
        tokio::time::sleep(wait.unwrap_or(back_off).min(WAIT_MAX)).await;
        Ok(())
    }

    async fn attempt(&self, url: &str, place: &Place) -> Result<Outcome, Wrong> {
        let begun = place.begun(url);
        let mut request = self.client.get(url);
        if let Some((bytes, mark)) = &begun {
            let validator = mark.validator().unwrap_or_default();
            request = request.header(RANGE, format!("bytes={bytes}-")).header(IF_RANGE, validator);
        } else if let Some(mark) = place.mark(url) {
            request = unless_changed(request, &mark);
        }
        let response = request.send().await?;
        match (response.status(), begun) {
            (StatusCode::NOT_MODIFIED, _) => Ok(Outcome::Unchanged),
            (StatusCode::PARTIAL_CONTENT, Some((bytes, mark))) if goes_on(response.headers(), bytes) => {
                self.receive(response, place, mark, bytes).await
            }
            (StatusCode::OK, _) => {
                let mark = Mark::of(url, response.headers());
                self.receive(response, place, mark, 0).await
            }
            // What is there is all of it or more, or is not what was asked for.
            (StatusCode::RANGE_NOT_SATISFIABLE | StatusCode::PARTIAL_CONTENT, _) => {
                place.forget();
                Err(Wrong::Again(format!("{url} does not go on where it was cut off"), Some(Duration::ZERO)))
            }
            (StatusCode::NOT_FOUND | StatusCode::GONE, _) if self.download.may_be_absent => Ok(Outcome::Absent),
            (status, _) => Err(refused(url, status, response.headers())),
        }
    }

    /// Takes the body, behind what is there, and puts the whole in its place.
    async fn receive(&self, mut response: Response, place: &Place, mut mark: Mark, at: u64) -> Result<Outcome, Wrong> {
        let expected = response.content_length().map(|rest| at.saturating_add(rest));
        let too_long = |bytes: u64| {
            place.forget();
            Wrong::Final(format!("it has {bytes} bytes or more, which is too much"))
        };
        if expected.is_some_and(|bytes| bytes > self.download.bytes_max) {
            return Err(too_long(expected.unwrap_or_default()));
        }
        let file = if at == 0 { place.begin(&mark)? } else { place.go_on()? };
        let mut file = BufWriter::with_capacity(1 << 20, file);
        let mut bytes = at;
        // What came before a connection broke is kept: dropping the writer writes it.
        while let Some(chunk) = response.chunk().await? {
            bytes += chunk.len() as u64;
            if bytes > self.download.bytes_max {
                return Err(too_long(bytes));
            }
            file.write_all(&chunk)?;
            self.updates.watcher.at(&self.shown(), bytes, expected);
        }
        file.flush()?;
        drop(file);
        if expected.is_some_and(|expected| expected != bytes) {
            return Err(Wrong::Again("the connection was cut".to_owned(), None));
        }
        if !download::fits(self.source, self.download.file, &place.head()?) {
            place.forget();
            return Err(Wrong::Final(format!("what {} gives is no file of `{}`", mark.url, self.source.name())));
        }
        (mark.bytes, mark.fetched_s) = (bytes, self.updates.now_s());
        place.finish(&mark)?;
        Ok(Outcome::Fetched(bytes - at))
    }

    /// The address at which the file lies now; none where the publisher does not have it, which may be so.
    pub(super) async fn resolve(&self, origin: Origin) -> Result<Option<String>, String> {
        let missing = |url: &str| format!("{url} does not say where the file is");
        let pointer = match origin {
            Origin::At(url) | Origin::Pages(url) => return Ok(Some(url.to_owned())),
            Origin::Named(url) | Origin::Mirrors(url) => url.to_owned(),
            Origin::Repository(url) => format!("{url}/repodata/repomd.xml"),
        };
        let Some(bytes) = self.text(&pointer).await? else { return Ok(None) };
        let text = String::from_utf8_lossy(&bytes);
        let repository = match origin {
            Origin::Named(url) => {
                let name = download::name_in(&text).ok_or_else(|| missing(url))?;
                return Ok(url.rsplit_once('/').map(|(folder, _)| format!("{folder}/{name}")));
            }
            Origin::Mirrors(url) => download::mirror_in(&text).ok_or_else(|| missing(url))?.trim_end_matches('/'),
            _ => origin.address(),
        };
        let repomd = match origin {
            Origin::Mirrors(_) => self.text(&format!("{repository}/repodata/repomd.xml")).await?,
            _ => Some(bytes.clone()),
        };
        let place = repomd.and_then(|repomd| download::updates_in(&repomd)).ok_or_else(|| missing(repository))?;
        Ok(Some(format!("{repository}/{place}")))
    }

    async fn text(&self, url: &str) -> Result<Option<Vec<u8>>, String> {
        match self.short(|| self.client.get(url), POINTER_BYTES_MAX).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(Wrong::Final(_)) if self.download.may_be_absent => Ok(None),
            Err(Wrong::Again(why, _) | Wrong::Final(why)) => Err(why),
        }
    }

    /// Asks for what is held in memory, and again where that may help.
    pub(super) async fn short(&self, request: impl Fn() -> RequestBuilder, bytes_max: u64) -> Result<Vec<u8>, Wrong> {
        let mut failures = 0;
        loop {
            match read(request(), bytes_max).await {
                Err(Wrong::Again(why, wait)) => {
                    failures += 1;
                    self.rest(failures, why, wait).await.map_err(Wrong::Final)?;
                }
                done => return done,
            }
        }
    }

    /// Its name for people.
    pub(super) fn shown(&self) -> String {
        format!("{}/{}", self.source.name(), self.download.file)
    }
}

/// Asks for a file only where it is another one.
fn unless_changed(request: RequestBuilder, mark: &Mark) -> RequestBuilder {
    match (&mark.etag, &mark.modified) {
        (Some(etag), _) => request.header(IF_NONE_MATCH, etag),
        (None, Some(modified)) => request.header(IF_MODIFIED_SINCE, modified),
        (None, None) => request,
    }
}

async fn read(request: RequestBuilder, bytes_max: u64) -> Result<Vec<u8>, Wrong> {
    let mut response = request.send().await?;
    if !response.status().is_success() {
        return Err(refused(response.url().as_str(), response.status(), response.headers()));
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if (bytes.len() + chunk.len()) as u64 > bytes_max {
            return Err(Wrong::Final(format!("{} is longer than it may be", response.url())));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn refused(url: &str, status: StatusCode, headers: &HeaderMap) -> Wrong {
    let why = format!("{url} answers {status}");
    let busy = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
    if !busy && !status.is_server_error() {
        return Wrong::Final(why);
    }
    let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    Wrong::Again(why, seconds.map(Duration::from_secs))
}

/// Whether the answer begins where what is there ends: `bytes 100-199/200`.
fn goes_on(headers: &HeaderMap, at: u64) -> bool {
    let range = headers.get(CONTENT_RANGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let first = range.trim().strip_prefix("bytes ").and_then(|range| range.split('-').next()?.trim().parse().ok());
    first == Some(at)
}
