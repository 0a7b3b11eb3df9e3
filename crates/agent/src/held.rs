//! The baseline of files as the server has it: what this machine has is told, and the server fetches what changed since the
//! one that it keeps, so that who breaks into the machine cannot rewrite what it was.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use guardian_protocol::message::{BaselinePart, BaselineState, FetchBaseline, KeptBaseline};
use guardian_protocol::{Blob, FromAgent, limits};
use tokio::sync::mpsc;

use crate::files::{Baseline, BaselineError, Index, write_changes};
use crate::integrity::{BASELINE, JUDGED, Wishes};
use crate::run::say;

/// Names in the folder: roots of the baselines since the one that the server has, the folders of that one, and what it
/// fetches.
const CHAIN: &str = "chain";
const HELD: &str = "held";
const CHANGES: &str = "changes";

/// Adds the root of a baseline that is about to take the place of `before`; without one, nothing is known of what was. Whoever
/// is killed between this and the exchange finds a root behind that of the baseline, and begins from the latter again.
pub(crate) fn follows(folder: &Path, wishes: &Wishes, before: Option<[u8; 32]>, root: [u8; 32]) -> io::Result<()> {
    let _one = wishes.chain.lock().unwrap_or_else(PoisonError::into_inner);
    let mut chain = before.map_or_else(Vec::new, |before| {
        let mut chain = roots(folder);
        match chain.iter().rev().take(2).position(|root| *root == before) {
            Some(behind) => chain.truncate(chain.len() - behind),
            // What lay on the disk was not what this agent made: the chain ends there, and the server sees it.
            None => chain.clear(),
        }
        chain
    });
    chain.push(root);
    let late = chain.len().saturating_sub(limits::BASELINE_CHAIN_MAX);
    chain.drain(1..=late);
    keep(folder, &chain)
}

/// The roots up to that of the baseline.
fn roots_up_to(folder: &Path, root: &[u8; 32]) -> Vec<[u8; 32]> {
    let mut chain = roots(folder);
    if let Some(at) = chain.iter().position(|one| one == root) {
        chain.truncate(at + 1);
    }
    chain
}

fn roots(folder: &Path) -> Vec<[u8; 32]> {
    let bytes = fs::read(folder.join(CHAIN)).unwrap_or_default();
    bytes.as_chunks().0.to_vec()
}

/// Puts the roots into their file, whole or not at all.
fn keep(folder: &Path, chain: &[[u8; 32]]) -> io::Result<()> {
    let fresh = folder.join("chain.new");
    fs::write(&fresh, chain.concat())?;
    fs::rename(fresh, folder.join(CHAIN))
}

/// What the conversation says of it.
pub(crate) struct Holding {
    folder: PathBuf,
    wishes: Arc<Wishes>,
    tell: mpsc::Sender<BaselinePart>,
    parts: mpsc::Receiver<BaselinePart>,
}

impl Holding {
    pub(crate) fn new(folder: PathBuf, wishes: Arc<Wishes>) -> Self {
        let (tell, parts) = mpsc::channel(4);
        Self { folder, wishes, tell, parts }
    }

    /// A connection begins.
    pub(crate) fn begin(&mut self) {
        while self.parts.try_recv().is_ok() {}
        self.wishes.made.notify_one();
    }

    /// What is to be said next; waits for it. Safe to cancel.
    pub(crate) async fn next(&mut self) -> FromAgent {
        loop {
            tokio::select! {
                Some(part) = self.parts.recv() => return FromAgent::BaselinePart(part),
                () = self.wishes.made.notified() => {
                    if let Some(state) = self.state() {
                        return FromAgent::BaselineState(state);
                    }
                }
            }
        }
    }

    fn state(&self) -> Option<BaselineState> {
        let path = self.folder.join(BASELINE);
        let made = fs::metadata(&path).and_then(|data| data.modified()).ok()?;
        let made = made.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64);
        let root = match Baseline::open(&path) {
            Ok(baseline) => *baseline.root(),
            Err(error) => {
                say(&format!("the server is not told of the baseline: {error}"));
                return None;
            }
        };
        let policy = fs::read(self.folder.join(JUDGED)).unwrap_or_default();
        let chain = roots_up_to(&self.folder, &root).iter().map(|root| Blob(root.to_vec())).collect();
        Some(BaselineState { root, chain, made, policy: Blob(blake3::hash(&policy).as_bytes().to_vec()) })
    }

    /// The server wants a part: it is read beside the conversation.
    pub(crate) fn fetch(&self, wanted: FetchBaseline) {
        let (folder, tell) = (self.folder.clone(), self.tell.clone());
        tokio::task::spawn_blocking(move || {
            let part = BaselinePart { root: wanted.root, offset: wanted.offset, ..BaselinePart::default() };
            let part = match read(&folder, &wanted) {
                Ok(read) => BaselinePart { base: read.base, bytes: read.bytes, content: Blob(read.content), ..part },
                Err(error) => BaselinePart { error: Some(error.to_string()), ..part },
            };
            // The connection may be over.
            tell.blocking_send(part).ok();
        });
    }

    /// The server has a baseline: what changes from now on is told against that one.
    pub(crate) fn kept(&self, kept: &KeptBaseline) {
        let done = || {
            let _one = self.wishes.chain.lock().unwrap_or_else(PoisonError::into_inner);
            let chain = roots(&self.folder);
            let at = chain.iter().position(|root| *root == kept.root);
            keep(&self.folder, &at.map_or_else(|| vec![kept.root], |at| chain[at..].to_vec()))?;
            fs::remove_file(self.folder.join(CHANGES)).ok();
            let baseline = Baseline::open(&self.folder.join(BASELINE))?;
            if *baseline.root() != kept.root {
                // A newer one is there, and told already; it will be fetched whole.
                return Ok(());
            }
            Ok::<_, BaselineError>(fs::write(self.folder.join(HELD), baseline.index()?.to_bytes()?)?)
        };
        if let Err(error) = done() {
            say(&format!("what the server has of the baseline cannot be noted: {error}"));
        }
    }
}

/// A part that was read.
struct Part {
    base: Option<Blob>,
    bytes: u64,
    content: Vec<u8>,
}

fn read(folder: &Path, wanted: &FetchBaseline) -> Result<Part, BaselineError> {
    let path = folder.join(CHANGES);
    if wanted.offset == 0 {
        let baseline = Baseline::open(&folder.join(BASELINE))?;
        if *baseline.root() != wanted.root {
            return Err(BaselineError::Missing);
        }
        let held = fs::read(folder.join(HELD)).ok().and_then(|bytes| Index::from_bytes(&bytes).ok());
        let same = |held: &Index| wanted.base.as_ref().is_some_and(|base| base.0 == held.root());
        write_changes(&baseline, held.filter(same).as_ref(), File::create(&path)?)?;
    }
    let file = File::open(&path)?;
    let changes = guardian_baseline::Changes::open(file.try_clone()?)?;
    if changes.root() != wanted.root {
        return Err(BaselineError::Missing);
    }
    let bytes = file.metadata()?.len();
    let most = (wanted.bytes_max as usize).min(limits::PACK_PART_BYTES_MAX) as u64;
    let length = bytes.saturating_sub(wanted.offset).min(most);
    let mut content = vec![0; length as usize];
    file.read_exact_at(&mut content, wanted.offset)?;
    Ok(Part { base: changes.base().map(|base| Blob(base.to_vec())), bytes, content })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_killed_before_the_exchange_goes_on_from_the_baseline_that_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let wishes = Wishes::default();
        let [first, second, third] = [[1; 32], [2; 32], [3; 32]];
        follows(folder.path(), &wishes, None, first).unwrap();
        // Killed before the second one took its place.
        follows(folder.path(), &wishes, Some(first), second).unwrap();
        assert_eq!(roots_up_to(folder.path(), &first), [first]);
        follows(folder.path(), &wishes, Some(first), third).unwrap();
        assert_eq!(roots_up_to(folder.path(), &third), [first, third]);
        // Somebody put another one there.
        follows(folder.path(), &wishes, Some([9; 32]), second).unwrap();
        assert_eq!(roots_up_to(folder.path(), &second), [second]);
    }
}
