//! A scan of all files on a thread of its own: it reads everything, compares it with the baseline if there is one and with what
//! packages say, and writes a new baseline beside it.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::{Plan, number_of};
use crate::files::{
    Baseline, Change, Comparison, Digests, Found, Ledger, Options, Texts, What, Writer, found, scan_beside,
};

/// Changes that one scan tells.
const FOUND_MAX: usize = 100_000;
/// Scans that this process began.
static SCANS: AtomicU64 = AtomicU64::new(0);
/// Threads of a scan that is held to a rate. One that is not has as many as suit the disk.
const SCAN_THREADS: usize = 2;
/// How far they stand behind others.
const SCAN_NICE: i32 = 10;

/// What a scan found.
pub(super) struct Scanned {
    pub(super) begun: Instant,
    /// The same by the clock, in UTC microseconds.
    pub(super) begun_us: i64,
    /// The new baseline.
    pub(super) fresh: PathBuf,
    pub(super) changes: Vec<Change>,
    /// Changes beyond those.
    pub(super) more: u64,
    pub(super) ledger: Ledger,
    /// What package managers had written down, by numbers that stand for it.
    pub(super) logged: HashSet<u64>,
    /// Files that are not as their packages brought them, and how many more; none where the databases were not read to their end.
    pub(super) deviations: Option<(Vec<Found>, u64)>,
}

/// Reads everything, compares it with the baseline if there is one, and writes a new one beside it.
pub(super) fn start_scan(
    plan: &Plan,
    texts: &Texts,
    stop: &Arc<AtomicBool>,
) -> io::Result<Receiver<io::Result<Scanned>>> {
    let (send, receive) = sync_channel(1);
    let (plan, texts, stop) = (plan.clone(), texts.clone(), Arc::clone(stop));
    std::thread::Builder::new().name("scan".into()).spawn(move || {
        // Nobody listens any more where the agent is stopping.
        send.send(scan_all(&plan, &texts, &stop)).ok();
    })?;
    Ok(receive)
}

fn scan_all(plan: &Plan, texts: &Texts, stop: &AtomicBool) -> io::Result<Scanned> {
    let (begun, begun_us) = (Instant::now(), crate::now());
    // Nobody waits for it, so that others come first; but it goes on on a machine that is always busy.
    guardian_sys::process::background_thread().ok();
    guardian_sys::process::nice_thread(SCAN_NICE).ok();
    let (mut root, mut digests) = (plan.root(), Digests::new(Path::new("/")));
    let ledger = plan.ledger_now(&mut root, &mut |owned| digests.add(owned));
    let logged = root.transactions().iter().map(number_of).collect();
    digests.seal();
    let old = plan.baseline().exists().then(|| Baseline::open(&plan.baseline()).ok()).flatten();
    // Of its own, because the scan of a source that was stopped may not be over.
    let fresh = plan.folder.join(format!("baseline.new-{}", SCANS.fetch_add(1, Ordering::Relaxed)));
    let sink = Mutex::new(Sink {
        writer: Writer::new(File::create(&fresh)?)?,
        comparison: old.as_ref().map(|old| Comparison::new(old, plan.policy())),
        changes: Vec::new(),
        more: 0,
        error: None,
    });
    let rate = plan.watched.scan_bytes_per_second;
    let threads = if rate == 0 { Options::default().threads } else { SCAN_THREADS };
    let options = Options { threads, bytes_per_second: rate, fill_cache: false };
    let (_, suspects) = scan_beside(stop, plan.policy(), options, Some(&digests), &|folder| {
        let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
        let compared = sink.comparison.as_mut().map_or(Ok(Vec::new()), |comparison| comparison.folder(&folder));
        let done = compared.map_err(io::Error::other).and_then(|changes| {
            sink.keep(changes);
            sink.writer.add(&folder)
        });
        if let Err(error) = done {
            sink.error.get_or_insert(error);
        }
    });
    drop(digests);
    if stop.load(Ordering::Relaxed) {
        fs::remove_file(&fresh)?;
        return Err(io::Error::from(io::ErrorKind::Interrupted));
    }
    let mut sink = sink.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(comparison) = sink.comparison.take() {
        let gone = comparison.finish().map_err(io::Error::other)?;
        sink.keep(gone);
    }
    if let Some(error) = sink.error {
        return Err(error);
    }
    sink.writer.finish()?;
    let baseline = Baseline::open(&fresh).map_err(io::Error::other)?;
    // What is new is told with its text, and kept then.
    let new: HashSet<&Path> = match &old {
        Some(_) => sink.changes.iter().filter(|c| matches!(c.what, What::Added(_))).map(|c| &*c.path).collect(),
        None => HashSet::new(),
    };
    texts.fill(&baseline, |path| !new.contains(path) && plan.watched.shows_text(path), stop)?;
    let suspects = suspects.into_iter().collect();
    let deviations = found(&mut root, plan.policy(), &suspects, begun_us.div_euclid(1_000_000));
    let deviations = Some(deviations).filter(|_| !root.incomplete);
    Ok(Scanned { begun, begun_us, fresh, changes: sink.changes, more: sink.more, ledger, logged, deviations })
}

/// Where the folders of a scan go.
struct Sink<'a> {
    writer: Writer,
    comparison: Option<Comparison<'a>>,
    changes: Vec<Change>,
    more: u64,
    error: Option<io::Error>,
}

impl Sink<'_> {
    fn keep(&mut self, changes: Vec<Change>) {
        let room = FOUND_MAX - self.changes.len();
        self.more += changes.len().saturating_sub(room) as u64;
        self.changes.extend(changes.into_iter().take(room));
    }
}
