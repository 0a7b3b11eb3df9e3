//! The files behind enrichment and what is made of them: opened once, looked at again when told to, swapped as a whole.
//! A file that became unreadable leaves what was read before in place.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use guardian_kit::capped::read_file_capped;
use guardian_kit::metrics::Metrics;
use guardian_model::{Ip, Severity};
use parking_lot::Mutex;
use serde::Serialize;

use crate::config::{IndicatorList, IntelConfig};
use crate::geo::{Database, DatabaseInfo, Place, decode};
use crate::indicators::{IndicatorSet, LISTS_MAX, ListId};
use crate::list::{LIST_BYTES_MAX, ListProblem, ParsedList, parse_list};
use crate::prefix::{Prefix, Reach, reach};

/// MMDB files that are opened at most.
const DATABASES_MAX: usize = 16;

/// Something an operator should know about the intelligence that is in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Notice {
    /// Whether it is a fault and not only a hint.
    pub warning: bool,
    /// What is the case.
    pub text: String,
    /// What to do about it.
    pub remedy: String,
}

/// The configuration contradicts itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IntelError {
    /// Two lists have one name.
    #[error("enrich.indicators: two lists are named `{0}`")]
    DuplicateList(String),
    /// A list has no name.
    #[error("enrich.indicators: the list {0} has an empty name")]
    Unnamed(PathBuf),
    /// More lists than a set can hold.
    #[error("enrich.indicators: {0} lists are more than the limit of {LISTS_MAX}")]
    TooManyLists(usize),
}

/// What a reload did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reload {
    /// Whether something is different now.
    pub changed: bool,
    /// What went wrong on the way.
    pub notices: Vec<Notice>,
}

/// An indicator list in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListInfo {
    /// Its name.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
    /// How bad a match is.
    pub severity: Severity,
    /// Entries that are in use.
    pub entries: usize,
    /// Lines that were not understood.
    pub malformed: u64,
    /// Why the file could not be read the last time, if so.
    pub error: Option<String>,
}

/// What is in use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The databases, in the order in which they are asked.
    pub databases: Vec<DatabaseInfo>,
    /// The lists, the one that wins first.
    pub lists: Vec<ListInfo>,
    /// Entries of all lists.
    pub indicators: usize,
    /// Memory of databases, lists and the set, in bytes.
    pub memory_bytes: u64,
    /// Grows by one with each change.
    pub generation: u64,
}

/// One consistent state; replaced, never changed.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    pub(crate) databases: Vec<Arc<Database>>,
    pub(crate) set: Arc<IndicatorSet>,
    /// Names by [`ListId`].
    pub(crate) names: Vec<String>,
    pub(crate) home: Vec<Prefix>,
    pub(crate) status: Status,
}

impl Snapshot {
    pub(crate) fn is_home(&self, ip: Ip) -> bool {
        self.home.iter().any(|net| net.contains(ip))
    }

    pub(crate) fn name(&self, list: ListId) -> &str {
        self.names.get(usize::from(list.0)).map_or("", String::as_str)
    }
}

/// The intelligence of the program. Cheap to clone; all clones are the same.
#[derive(Clone, Debug)]
pub struct Intel(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    geo: Vec<PathBuf>,
    home: Vec<Prefix>,
    files: Mutex<Files>,
    current: ArcSwap<Snapshot>,
    pub(crate) metrics: Metrics,
}

#[derive(Debug, Default)]
struct Files {
    databases: Vec<DatabaseFile>,
    lists: Vec<ListFile>,
    generation: u64,
}

/// What tells one state of a file from another.
type Stamp = Option<(SystemTime, u64)>;

#[derive(Debug)]
struct DatabaseFile {
    path: PathBuf,
    stamp: Stamp,
    database: Option<Arc<Database>>,
}

#[derive(Debug)]
struct ListFile {
    config: IndicatorList,
    stamp: Stamp,
    parsed: Arc<ParsedList>,
    error: Option<String>,
}

impl Intel {
    /// Reads all files. What cannot be read is a notice, not an error: the columns it would have filled stay empty.
    pub fn open(config: &IntelConfig, metrics: &Metrics) -> Result<(Self, Vec<Notice>), IntelError> {
        let lists = checked_lists(&config.indicators)?;
        let files = Files { lists, ..Files::default() };
        let intel = Self(Arc::new(Shared {
            geo: config.geo.clone(),
            home: config.home_networks.clone(),
            files: Mutex::new(files),
            current: ArcSwap::default(),
            metrics: metrics.clone(),
        }));
        let mut notices = intel.refresh(true).notices;
        notices.extend(intel.missing_knowledge());
        Ok((intel, notices))
    }

    /// Looks whether files changed, reads those that did and swaps the result in. Takes as long as reading them; call
    /// it from a thread that may wait.
    pub fn reload_if_changed(&self) -> Reload {
        self.refresh(false)
    }

    /// What is in use.
    pub fn status(&self) -> Status {
        self.0.current.load().status.clone()
    }

    /// The indicators in use, with the names of their lists.
    pub fn indicators(&self) -> (Arc<IndicatorSet>, Vec<String>) {
        let snapshot = self.0.current.load();
        (Arc::clone(&snapshot.set), snapshot.names.clone())
    }

    /// Where an address is and whose it is.
    pub fn place(&self, ip: Ip) -> Place {
        let snapshot = self.snapshot();
        let mut place = Place::default();
        if reach(ip) != Reach::Global {
            return place;
        }
        for database in &snapshot.databases {
            let Some((_, found)) = database.find(ip) else { continue };
            let answer = decode(&found);
            place.country = place.country.or(answer.country.map(str::to_owned));
            place.city = place.city.or(answer.city.map(str::to_owned));
            if place.asn.is_none() {
                (place.asn, place.as_org) = (answer.asn, answer.as_org.map(str::to_owned));
            }
        }
        place
    }

    /// The list that an address is on.
    pub fn indicator(&self, ip: Ip) -> Option<String> {
        let snapshot = self.snapshot();
        snapshot.set.find(ip).map(|list| snapshot.name(list).to_owned())
    }

    /// Whether an address is in a home network.
    pub fn is_home(&self, ip: Ip) -> bool {
        self.snapshot().is_home(ip)
    }

    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.0.current.load_full()
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    fn refresh(&self, first: bool) -> Reload {
        let mut files = self.0.files.lock();
        let mut notices = Vec::new();
        let databases_changed = files.refresh_databases(&self.0.geo, &mut notices);
        let lists_changed = files.refresh_lists(&mut notices);
        let changed = databases_changed || lists_changed || first;
        let results =
            self.0.metrics.counter_with("guardian_intel_reloads_total", "Reloads of intelligence", &["result"]);
        if !notices.is_empty() {
            results.with(&["failed"]).inc(1);
        }
        if changed {
            results.with(&["ok"]).inc(1);
            files.generation += 1;
            let set = (!lists_changed && !first).then(|| Arc::clone(&self.0.current.load().set));
            let snapshot = files.snapshot(set, self.0.home.clone());
            self.show(&snapshot.status);
            self.0.current.store(Arc::new(snapshot));
        }
        Reload { changed, notices }
    }

    fn show(&self, status: &Status) {
        let metrics = &self.0.metrics;
        let entries = metrics.gauge_with("guardian_intel_indicators", "Indicators in use", &["list"]);
        let malformed =
            metrics.gauge_with("guardian_intel_malformed_lines", "Lines of a list not understood", &["list"]);
        for list in &status.lists {
            entries.with(&[&list.name]).set(list.entries as i64);
            malformed.with(&[&list.name]).set(list.malformed as i64);
        }
        metrics.gauge("guardian_intel_databases", "Geographic databases in use").set(status.databases.len() as i64);
        metrics
            .gauge("guardian_intel_memory_bytes", "Memory of databases and indicators")
            .set(status.memory_bytes as i64);
    }

    /// What no configured file can tell.
    fn missing_knowledge(&self) -> Vec<Notice> {
        let status = self.status();
        let missing = |what: &str| Notice {
            warning: false,
            text: format!("no database tells the {what} of addresses; the columns stay empty"),
            remedy: "set enrich.geo to MMDB files: country and AS from the npm package \
                     @ip-location-db/geo-whois-asn-country-mmdb (CC0), or GeoLite2 or DB-IP Lite with cities"
                .to_owned(),
        };
        let mut notices = Vec::new();
        if status.databases.is_empty() {
            notices.push(missing("country, city and autonomous system"));
        } else {
            let any = |has: fn(&DatabaseInfo) -> bool| status.databases.iter().any(has);
            notices.extend((!any(|d| d.countries)).then(|| missing("country")));
            notices.extend((!any(|d| d.cities)).then(|| missing("city")));
            notices.extend((!any(|d| d.systems)).then(|| missing("autonomous system")));
        }
        if self.0.home.is_empty() {
            notices.push(Notice {
                warning: false,
                text: "no home networks are configured; the direction of flows stays empty".to_owned(),
                remedy: "list your own networks under enrich.home_networks".to_owned(),
            });
        }
        notices
    }
}

/// The lists in order of precedence: most severe first, then as configured.
fn checked_lists(configured: &[IndicatorList]) -> Result<Vec<ListFile>, IntelError> {
    if configured.len() > LISTS_MAX {
        return Err(IntelError::TooManyLists(configured.len()));
    }
    let mut names = HashSet::new();
    for list in configured {
        if list.name.trim().is_empty() {
            return Err(IntelError::Unnamed(list.path.clone()));
        }
        if !names.insert(&list.name) {
            return Err(IntelError::DuplicateList(list.name.clone()));
        }
    }
    let mut lists = configured.to_vec();
    lists.sort_by_key(|list| std::cmp::Reverse(list.severity));
    let file = |config| ListFile { config, stamp: None, parsed: Arc::default(), error: None };
    Ok(lists.into_iter().map(file).collect())
}

impl Files {
    fn refresh_databases(&mut self, configured: &[PathBuf], notices: &mut Vec<Notice>) -> bool {
        let (paths, mut problems) = expand(configured);
        let mut changed = false;
        let mut kept: Vec<DatabaseFile> = Vec::new();
        for path in paths {
            let known = self.databases.iter().position(|file| file.path == path);
            let mut file = known.map_or_else(
                || DatabaseFile { path: path.clone(), stamp: None, database: None },
                |at| self.databases.swap_remove(at),
            );
            let stamp = stamp(&path);
            if stamp != file.stamp || (stamp.is_none() && file.database.is_none()) {
                match Database::open(&path) {
                    Ok(database) => {
                        file.database = Some(Arc::new(database));
                        changed = true;
                    }
                    Err(e) if stamp != file.stamp || known.is_none() => {
                        problems.push(format!("{}: {e}", path.display()));
                    }
                    Err(_) => {}
                }
                file.stamp = stamp;
            }
            kept.push(file);
        }
        // What is left was taken out of a directory.
        changed |= self.databases.iter().any(|file| file.database.is_some());
        self.databases = kept;
        notices.extend(problems.into_iter().map(|problem| Notice {
            warning: true,
            text: format!("enrich.geo: {problem}"),
            remedy: "check the path and the file; until then its answers are missing".to_owned(),
        }));
        changed
    }

    fn refresh_lists(&mut self, notices: &mut Vec<Notice>) -> bool {
        let mut changed = false;
        for file in &mut self.lists {
            let stamp = stamp(&file.config.path);
            if stamp == file.stamp && (stamp.is_some() || file.error.is_some()) {
                continue;
            }
            file.stamp = stamp;
            let (name, path) = (&file.config.name, file.config.path.display());
            match read_file_capped(&file.config.path, LIST_BYTES_MAX) {
                Ok(bytes) => {
                    file.parsed = Arc::new(parse_list(&file.config, &bytes));
                    file.error = None;
                    changed = true;
                    notices.extend(quality(name, &file.parsed));
                }
                Err(e) => {
                    file.error = Some(e.to_string());
                    let kept = file.parsed.len();
                    notices.push(Notice {
                        warning: true,
                        text: format!("indicator list `{name}`: cannot read {path}: {e}"),
                        remedy: format!("check the path; until then {kept} entries of before are in use"),
                    });
                }
            }
        }
        changed
    }

    fn snapshot(&self, set: Option<Arc<IndicatorSet>>, home: Vec<Prefix>) -> Snapshot {
        let set = set.unwrap_or_else(|| Arc::new(IndicatorSet::build(self.lists.iter().map(|l| l.parsed.prefixes()))));
        let databases: Vec<Arc<Database>> = self.databases.iter().filter_map(|file| file.database.clone()).collect();
        let lists: Vec<ListInfo> = self.lists.iter().map(ListFile::info).collect();
        let list_bytes: usize = self.lists.iter().map(|l| l.parsed.memory_bytes()).sum();
        let database_bytes: u64 = databases.iter().map(|d| d.info.memory_bytes).sum();
        let status = Status {
            databases: databases.iter().map(|d| d.info.clone()).collect(),
            indicators: set.len(),
            memory_bytes: database_bytes + (list_bytes + set.memory_bytes()) as u64,
            generation: self.generation,
            lists,
        };
        let names = self.lists.iter().map(|l| l.config.name.clone()).collect();
        Snapshot { databases, set, names, home, status }
    }
}

impl ListFile {
    fn info(&self) -> ListInfo {
        ListInfo {
            name: self.config.name.clone(),
            path: self.config.path.clone(),
            severity: self.config.severity,
            entries: self.parsed.len(),
            malformed: self.parsed.malformed,
            error: self.error.clone(),
        }
    }
}

/// What to tell about a list that was read but is not clean.
fn quality(name: &str, list: &ParsedList) -> Option<Notice> {
    let mut faults = Vec::new();
    if list.malformed > 0 {
        let shown: Vec<String> =
            list.problems.iter().map(|ListProblem { line, message }| format!("line {line}: {message}")).collect();
        faults.push(format!("{} lines were not understood ({})", list.malformed, shown.join("; ")));
    }
    if list.over_limit > 0 {
        faults.push(format!("{} entries beyond the limit were left out", list.over_limit));
    }
    if list.is_empty() {
        faults.push("it holds no indicator".to_owned());
    }
    (!faults.is_empty()).then(|| Notice {
        warning: true,
        text: format!("indicator list `{name}`: {}", faults.join(", ")),
        remedy: "check its format and column under enrich.indicators; what was understood is in use".to_owned(),
    })
}

/// Directories become the MMDB files in them, by name.
fn expand(configured: &[PathBuf]) -> (Vec<PathBuf>, Vec<String>) {
    let (mut paths, mut problems) = (Vec::new(), Vec::new());
    for path in configured {
        if !path.is_dir() {
            paths.push(path.clone());
            continue;
        }
        match std::fs::read_dir(path) {
            Ok(entries) => {
                let entries = entries.filter_map(Result::ok).map(|entry| entry.path());
                let mut found: Vec<PathBuf> = entries.filter(|p| p.extension().is_some_and(|e| e == "mmdb")).collect();
                found.sort();
                paths.extend(found);
            }
            Err(e) => problems.push(format!("{}: {e}", path.display())),
        }
    }
    if paths.len() > DATABASES_MAX {
        problems
            .push(format!("{} files are more than the limit of {DATABASES_MAX}; the rest is not used", paths.len()));
        paths.truncate(DATABASES_MAX);
    }
    (paths, problems)
}

fn stamp(path: &Path) -> Stamp {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}
