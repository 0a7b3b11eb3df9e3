//! Fetching advisories: every file that the sources name, into one folder that keeps them, and a store built of what is there.
//!
//! A file is only fetched where its publisher says that it changed, goes on where it was cut off, and takes the place of the
//! one before only when it is whole and is what it should be. One that cannot be had leaves the others alone.

mod build;
mod fetch;
mod pages;
mod place;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures::StreamExt as _;
use guardian_kit::clock::Clock;
use guardian_vuln::sources::Source;
use guardian_vuln::sources::download::{Download, Origin};
use reqwest::Client;
use serde::{Deserialize, Serialize};

pub(crate) use self::build::{Built, Keep, build, load};
use self::place::Place;
use crate::remote;

/// Files that are fetched at the same time.
const AT_ONCE: usize = 4;
/// What the folder keeps of the last time; hidden, so that no build reads it.
const LAST: &str = ".last.json";
/// Held while somebody fetches.
const LOCK: &str = ".lock";
/// Bytes of what is kept of the last time.
const LAST_BYTES_MAX: u64 = 4 << 20;

/// How patient a fetch is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// How long a connection may take.
    pub(crate) connect: Duration,
    /// How long a publisher may be silent.
    pub(crate) silence: Duration,
    /// How long one file may take, with all that goes wrong.
    pub(crate) whole: Duration,
    /// Failures in a row, without anything that came between them, after which it is given up.
    pub(crate) failures: u32,
    /// How long the first failure is waited for; each further one four times as long.
    pub(crate) back_off: Duration,
    /// Between two pages, for somebody without a key and with one (NVD asks for both).
    pub(crate) pages: [Duration; 2],
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            silence: Duration::from_secs(60),
            whole: Duration::from_secs(3 * 3600),
            failures: 5,
            back_off: Duration::from_secs(1),
            pages: [Duration::from_secs(6), Duration::from_millis(700)],
        }
    }
}

/// What became of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// It came, or what is new of it; bytes that were sent.
    Fetched(u64),
    /// It is as it was.
    Unchanged,
    /// The publisher does not have it, which was to be expected.
    Absent,
    /// Why it could not be had.
    Failed(String),
}

/// A file that was asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Had {
    /// The source.
    pub(crate) source: String,
    /// The file.
    pub(crate) file: String,
    /// What became of it.
    pub(crate) outcome: Outcome,
    /// When the one that is kept came, in seconds since the epoch; 0 where there is none.
    pub(crate) kept_s: i64,
}

/// The last time that somebody fetched.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Last {
    /// When it ended, in seconds since the epoch.
    pub(crate) ended_s: i64,
    /// Every file that was ever asked for, as it was when it was last asked for.
    pub(crate) files: Vec<Had>,
}

impl Last {
    /// What the folder keeps; none where nothing was fetched into it.
    pub(crate) fn read(folder: &Path) -> Option<Self> {
        place::read_json(&folder.join(LAST), LAST_BYTES_MAX)
    }

    /// Files that could not be had.
    pub(crate) fn failed(&self) -> impl Iterator<Item = (&Had, &str)> {
        self.files.iter().filter_map(|had| match &had.outcome {
            Outcome::Failed(why) => Some((had, why.as_str())),
            _ => None,
        })
    }
}

/// Whoever shows how far it is.
pub(crate) trait Watcher: Send + Sync {
    /// So many bytes of the file are there, of as many as there will be.
    fn at(&self, file: &str, bytes: u64, of: Option<u64>);
    /// It is done with.
    fn done(&self, had: &Had);
}

/// Fetches what sources name.
pub(crate) struct Updates {
    /// The folder that keeps what was fetched.
    pub(crate) folder: PathBuf,
    /// From where everything is taken, in place of the publishers.
    pub(crate) mirror: Option<String>,
    /// Key for NVD's interface.
    pub(crate) nvd_key: Option<String>,
    /// How patient it is.
    pub(crate) patience: Patience,
    /// The time.
    pub(crate) clock: Arc<dyn Clock>,
    /// Whoever shows how far it is.
    pub(crate) watcher: Arc<dyn Watcher>,
}

impl Updates {
    /// Fetches the files of these sources; gives what became of each.
    pub(crate) async fn fetch(&self, sources: &[&'static dyn Source]) -> Result<Vec<Had>> {
        std::fs::create_dir_all(&self.folder).with_context(|| format!("cannot make {}", self.folder.display()))?;
        let lock = std::fs::File::create(self.folder.join(LOCK))
            .with_context(|| format!("cannot write into {}", self.folder.display()))?;
        if lock.try_lock().is_err() {
            bail!("somebody else fetches into {} now", self.folder.display());
        }
        if let Some(mirror) = &self.mirror
            && reqwest::Url::parse(mirror).map_or(true, |url| !matches!(url.scheme(), "http" | "https"))
        {
            bail!("`{mirror}` is no address of a mirror, such as https://mirror.example/advisories");
        }
        let client = remote::outward(self.mirror.is_none(), self.patience.connect, self.patience.silence)?;
        let wanted =
            sources.iter().flat_map(|source| source.downloads().iter().map(move |download| (*source, download)));
        let had = futures::stream::iter(wanted).map(|(source, download)| self.one(&client, source, download));
        let had: Vec<Had> = had.buffer_unordered(AT_ONCE).collect().await;
        self.remember(&had)?;
        Ok(had)
    }

    async fn one(&self, client: &Client, source: &'static dyn Source, download: &'static Download) -> Had {
        let place = Place::new(&self.folder, source.name(), download.file);
        let fetched = tokio::time::timeout(self.patience.whole, self.outcome(client, source, download, &place)).await;
        let outcome = fetched.unwrap_or_else(|_| Outcome::Failed("it took too long".to_owned()));
        let kept_s = if matches!(download.origin, Origin::Pages(_)) { self.pages_s(source) } else { place.kept_s() };
        let had = Had { source: source.name().to_owned(), file: download.file.to_owned(), outcome, kept_s };
        self.watcher.done(&had);
        had
    }

    async fn outcome(
        &self,
        client: &Client,
        source: &'static dyn Source,
        download: &'static Download,
        place: &Place,
    ) -> Outcome {
        if let Err(error) = place.prepare() {
            return Outcome::Failed(error.to_string());
        }
        let job = fetch::Job { updates: self, client, source, download: *download };
        let outcome = match (&self.mirror, download.origin) {
            (Some(mirror), Origin::Pages(_)) => job.mirrored_pages(mirror, place).await,
            (Some(mirror), _) => job.file(&below(mirror, source.name(), download.file), place).await,
            (None, Origin::Pages(url)) => job.pages(url).await,
            (None, origin) => match job.resolve(origin).await {
                Ok(Some(url)) => job.file(&url, place).await,
                Ok(None) => Ok(Outcome::Absent),
                Err(why) => Err(why),
            },
        };
        outcome.unwrap_or_else(Outcome::Failed)
    }

    /// When the pages of the source were last brought up to date.
    fn pages_s(&self, source: &dyn Source) -> i64 {
        pages::Pages::read(&self.folder.join(source.name())).map_or(0, |pages| pages.kept_s())
    }

    fn now_s(&self) -> i64 {
        self.clock.now().0.div_euclid(1_000_000)
    }

    /// Keeps what became of these files, beside what is known of others.
    fn remember(&self, had: &[Had]) -> Result<()> {
        let mut last = Last::read(&self.folder).unwrap_or_default();
        last.files.retain(|old| !had.iter().any(|new| (&new.source, &new.file) == (&old.source, &old.file)));
        last.files.extend_from_slice(had);
        last.files.sort_by(|a, b| (&a.source, &a.file).cmp(&(&b.source, &b.file)));
        last.ended_s = self.now_s();
        let path = self.folder.join(LAST);
        place::write_json(&path, &last).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// The address of a file of a mirror.
fn below(mirror: &str, source: &str, file: &str) -> String {
    format!("{}/{source}/{file}", mirror.trim_end_matches('/'))
}
