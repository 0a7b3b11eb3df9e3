//! What is only given by pages: NVD 2.0. All pages once, each as a file of its own so that an end in the middle costs nothing,
//! and from then on what was modified since, in one file that is read before the pages. Of each record only what is read of it
//! is kept.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use flate2::Compression;
use guardian_vuln::sources::download;
use reqwest::RequestBuilder;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::fetch::{Job, Wrong};
use super::place::{self, Place};
use super::{Outcome, below};

/// How far it is; hidden, so that no build reads it.
const STATE: &str = ".pages.json";
/// What was modified since the pages were fetched. By its name it is read before them, and the first vector counts.
const CHANGED: &str = "changed.json.gz";
/// Records that are asked for at once; the most that NVD gives.
const RECORDS: usize = 2_000;
/// Bytes of one answer; and of one file of ours, decompressed.
const PAGE_BYTES_MAX: u64 = 256 << 20;
/// Pages at most: ten times as many as there are.
const PAGES_MAX: usize = 2_000;
/// Changed records that are kept beside the pages; beyond that all pages are fetched anew.
const CHANGED_MAX: usize = 60_000;
/// NVD answers for at most 120 days of changes.
const SINCE_MAX_S: i64 = 110 * 86_400;

/// How far the pages are.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Pages {
    /// When the first page was asked for, in seconds since the epoch.
    begun_s: i64,
    /// Records that were fetched.
    next: usize,
    /// Pages that were fetched.
    pages: usize,
    /// Up to when what is there is up to date; 0 while pages are missing.
    since_s: i64,
    /// When they were taken from a mirror; 0 where they were not.
    #[serde(default)]
    mirrored_s: i64,
}

/// A record, as far as it is read.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    cve: Cve,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cve {
    id: String,
    #[serde(default)]
    source_identifier: String,
    #[serde(default)]
    vuln_status: String,
    #[serde(default)]
    metrics: Value,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    total_results: usize,
    vulnerabilities: Vec<Record>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    format: String,
    vulnerabilities: Vec<Record>,
}

impl Pages {
    pub(super) fn read(folder: &Path) -> Option<Self> {
        place::read_json(&folder.join(STATE), 64 << 10)
    }

    /// Up to when what is there is up to date.
    pub(super) fn kept_s(&self) -> i64 {
        self.since_s.max(self.mirrored_s)
    }

    fn write(&self, folder: &Path) -> io::Result<()> {
        place::write_json(&folder.join(STATE), self)
    }
}

impl Job<'_> {
    /// Fetches what is missing of the pages, or what was modified since.
    pub(super) async fn pages(&self, url: &str) -> Result<Outcome, String> {
        let done = self.follow(url).await;
        done.map_err(|wrong| match wrong {
            Wrong::Again(why, _) | Wrong::Final(why) => why,
        })
    }

    async fn follow(&self, url: &str) -> Result<Outcome, Wrong> {
        let (folder, now_s) = (self.updates.folder.join(self.source.name()), self.updates.now_s());
        let mut state = Pages::read(&folder).unwrap_or_default();
        if state.since_s > 0 && now_s - state.since_s < SINCE_MAX_S {
            let changed = self.changed(url, &folder, &state, now_s).await?;
            if changed.1 <= CHANGED_MAX {
                state.since_s = now_s;
                state.write(&folder)?;
                return Ok(if changed.0 == 0 { Outcome::Unchanged } else { Outcome::Fetched(changed.0) });
            }
        }
        // What was begun long ago has missed too much.
        if state.since_s > 0 || state.begun_s == 0 || now_s - state.begun_s > SINCE_MAX_S {
            state = Pages { begun_s: now_s, ..Pages::default() };
        }
        self.all(url, &folder, state).await
    }

    /// Page after page, from where it is.
    async fn all(&self, url: &str, folder: &Path, mut state: Pages) -> Result<Outcome, Wrong> {
        let (mut sent, mut total) = (0, usize::MAX);
        while state.next < total {
            if state.pages == PAGES_MAX {
                return Err(Wrong::Final(format!("{url} has too many pages")));
            }
            let (bytes, answer) = self.page(url, &[("startIndex", state.next.to_string())]).await?;
            (sent, total) = (sent + bytes, answer.total_results);
            if answer.vulnerabilities.is_empty() && state.next < total {
                return Err(Wrong::Final(format!("{url} gives a page without records")));
            }
            state.next += answer.vulnerabilities.len();
            keep(&folder.join(page_name(self.download.file, state.pages)), answer.vulnerabilities)?;
            state.pages += 1;
            self.updates.watcher.at(&self.shown(), state.next as u64, Some(total as u64));
            state.write(folder)?;
        }
        // What is left is of pages before: what changed since is in these.
        std::fs::remove_file(folder.join(CHANGED)).ok();
        self.cut(state.pages);
        state.since_s = state.begun_s;
        state.write(folder)?;
        Ok(Outcome::Fetched(sent))
    }

    /// Adds what was modified since to what is known to be; gives the bytes that were sent where anything was, and how many
    /// records are known to be modified.
    async fn changed(&self, url: &str, folder: &Path, state: &Pages, now_s: i64) -> Result<(u64, usize), Wrong> {
        let time = |seconds: i64| {
            let time = jiff::Timestamp::from_second(seconds).map_err(|error| Wrong::Final(error.to_string()))?;
            Ok::<_, Wrong>(time.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string())
        };
        let span = [("lastModStartDate", time(state.since_s)?), ("lastModEndDate", time(now_s)?)];
        let path = folder.join(CHANGED);
        let kept = read_kept(&path).unwrap_or_default();
        let mut records: BTreeMap<String, Record> = kept.into_iter().map(|r| (r.cve.id.clone(), r)).collect();
        let (mut sent, mut next, mut total) = (0, 0, usize::MAX);
        while next < total && records.len() <= CHANGED_MAX {
            let query = [&span[..], &[("startIndex", next.to_string())]].concat();
            let (bytes, answer) = self.page(url, &query).await?;
            total = answer.total_results;
            if answer.vulnerabilities.is_empty() && next < total {
                return Err(Wrong::Final(format!("{url} gives a page without records")));
            }
            next += answer.vulnerabilities.len();
            sent += if answer.vulnerabilities.is_empty() { 0 } else { bytes };
            records.extend(answer.vulnerabilities.into_iter().map(|record| (record.cve.id.clone(), record)));
        }
        let count = records.len();
        if sent > 0 && count <= CHANGED_MAX {
            keep(&path, records.into_values().collect())?;
        }
        Ok((sent, count))
    }

    /// Removes pages that there are no longer, from this one on.
    fn cut(&self, first: usize) {
        for number in first..PAGES_MAX {
            let name = page_name(self.download.file, number);
            if Place::new(&self.updates.folder, self.source.name(), &name).remove().is_err() {
                return;
            }
        }
    }

    async fn page(&self, url: &str, query: &[(&str, String)]) -> Result<(u64, Answer), Wrong> {
        let key = self.updates.nvd_key.as_deref();
        tokio::time::sleep(self.updates.patience.pages[usize::from(key.is_some())]).await;
        let request = || -> RequestBuilder {
            let request = self.client.get(url).query(&[("resultsPerPage", RECORDS)]).query(query);
            match key {
                Some(key) => request.header("apiKey", key),
                None => request,
            }
        };
        let bytes = self.short(request, PAGE_BYTES_MAX).await?;
        let answer = serde_json::from_slice(&bytes);
        let answer = answer.map_err(|_| Wrong::Final(format!("what {url} gives is no page of records")))?;
        Ok((bytes.len() as u64, answer))
    }

    /// The pages that a mirror has: what changed, and one after the other until there is none.
    pub(super) async fn mirrored_pages(&self, mirror: &str, first: &Place) -> Result<Outcome, String> {
        first.prepare().map_err(|error| error.to_string())?;
        let folder = &self.updates.folder;
        let (mut sent, mut any) = (0, false);
        let names = (0..PAGES_MAX).map(|number| page_name(self.download.file, number));
        for (number, name) in std::iter::once(CHANGED.to_owned()).chain(names).enumerate() {
            let place = Place::new(folder, self.source.name(), &name);
            // Where pages end nobody says; the first one is needed.
            let job = Job { download: download::Download { may_be_absent: number != 1, ..self.download }, ..*self };
            match job.file(&below(mirror, self.source.name(), &name), &place).await? {
                Outcome::Fetched(bytes) => (sent, any) = (sent + bytes, true),
                Outcome::Absent => {
                    any |= place.remove().is_ok();
                    if number > 1 {
                        self.cut(number);
                        break;
                    }
                }
                Outcome::Unchanged | Outcome::Failed(_) => {}
            }
        }
        let now_s = self.updates.now_s();
        // How old a mirror's pages are nobody knows: whoever asks NVD itself later begins anew.
        let state = Pages { mirrored_s: now_s, ..Pages::default() };
        state.write(&folder.join(self.source.name())).map_err(|error| error.to_string())?;
        Ok(if any { Outcome::Fetched(sent) } else { Outcome::Unchanged })
    }
}

fn page_name(front: &str, number: usize) -> String {
    format!("{front}-{number:04}.json.gz")
}

/// Writes records as a page of NVD, compressed, at once.
fn keep(path: &Path, vulnerabilities: Vec<Record>) -> io::Result<()> {
    let kept = Kept { format: "NVD_CVE".to_owned(), vulnerabilities };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let fresh = path.with_file_name(format!(".{name}.new"));
    let mut encoder = flate2::write::GzEncoder::new(std::fs::File::create(&fresh)?, Compression::fast());
    encoder.write_all(&serde_json::to_vec(&kept)?)?;
    encoder.finish()?.sync_all()?;
    std::fs::rename(&fresh, path)
}

fn read_kept(path: &Path) -> Option<Vec<Record>> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).ok()?;
    flate2::read::GzDecoder::new(file).take(PAGE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    serde_json::from_slice::<Kept>(&bytes).ok().map(|kept| kept.vulnerabilities)
}
