//! The policy on the machine: what the server said, checked, kept for a start without it, and put together with what the
//! command line decides here.

mod keep;
mod settings;

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, PoisonError};

use guardian_protocol::Blob;
use guardian_protocol::message::{Policy, PolicyState};
use guardian_protocol::policy::Document;
use tokio::sync::Notify;

pub use self::keep::{Kept, read};
pub use self::settings::{Local, Settings, Watched};
use crate::home::Home;
use crate::run::say;

/// Settings that may wait to be applied: with more, the newest is asked for again by the server's next word.
const WAITING_MAX: usize = 4;
/// Complaints that are told.
const COMPLAINTS_MAX: usize = 32;

/// What is run, as the heartbeat tells it.
#[derive(Debug, Default)]
struct State {
    version: u64,
    hash: Vec<u8>,
    /// What of the document cannot be run.
    complaints: Vec<String>,
    /// What sources say, by their name.
    sources: BTreeMap<&'static str, String>,
    /// What others than sources say, by their name.
    others: BTreeMap<&'static str, String>,
    /// By what sources see, by their name.
    ways: BTreeMap<&'static str, &'static str>,
}

/// The policy as the conversation, the sources and the heartbeat share it.
#[derive(Debug)]
pub(crate) struct Policies {
    local: Local,
    home: Home,
    state: Mutex<State>,
    orders: SyncSender<Settings>,
    /// Something was applied: the server wants to know.
    pub(crate) applied: Notify,
}

impl Policies {
    /// What was kept, and the settings that follow; whoever watches takes new ones from the receiver.
    pub(crate) fn open(home: &Home, local: Local) -> (Self, Settings, Receiver<Settings>) {
        let (orders, waiting) = sync_channel(WAITING_MAX);
        let mut state = State::default();
        let document = match Kept::load(home) {
            Ok(Some(kept)) => {
                let (document, complaints) = read(kept.document.as_bytes());
                (state.version, state.hash, state.complaints) = (kept.version, kept.hash(), complaints);
                document
            }
            Ok(None) => Document::default(),
            Err(error) => {
                say(&format!("the policy that was kept cannot be read, and the defaults are run: {error}"));
                Document::default()
            }
        };
        let settings = local.settings(&document);
        let policies = Self { local, home: home.clone(), state: Mutex::new(state), orders, applied: Notify::new() };
        (policies, settings, waiting)
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes a policy that the server sent: checks it, keeps it, and has it run. Answers how often the server is to hear of
    /// the agent from now on, where the policy says.
    pub(crate) fn take(&self, sent: &Policy) -> Option<Settings> {
        let bytes = &sent.document.0;
        if blake3::hash(bytes).as_bytes() != sent.hash.0.as_slice() {
            say("a policy came damaged and is not run");
            return None;
        }
        let (document, complaints) = read(bytes);
        for complaint in &complaints {
            say(&format!("policy {}: {complaint}", sent.version));
        }
        if let Err(error) = Kept::of(sent).store(&self.home) {
            say(&format!("policy {} is run but could not be kept: {error}", sent.version));
        }
        let settings = self.local.settings(&document);
        match self.orders.try_send(settings.clone()) {
            Ok(()) => {}
            // It is not said to be run, so that the server sends it again at the next connection.
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => return None,
        }
        self.with(|state| {
            (state.version, state.hash, state.complaints) = (sent.version, sent.hash.0.clone(), complaints);
        });
        say(&format!("policy {} is run", sent.version));
        Some(settings)
    }

    /// A source says what keeps it from work, or that nothing does.
    pub(crate) fn tell(&self, source: &'static str, complaint: Option<String>) {
        self.with(|state| match complaint {
            Some(text) => drop(state.sources.insert(source, text)),
            None => drop(state.sources.remove(source)),
        });
        self.applied.notify_one();
    }

    /// Somebody else than a source says what is wrong, or that nothing is: it is no matter of the policy.
    pub(crate) fn complain(&self, who: &'static str, complaint: Option<String>) {
        self.with(|state| match complaint {
            Some(text) => drop(state.others.insert(who, text)),
            None => drop(state.others.remove(who)),
        });
    }

    /// A source says by what it sees.
    pub(crate) fn see(&self, source: &'static str, way: &'static str) {
        self.with(|state| state.ways.insert(source, way));
    }

    /// By what a source sees; none where it did not say.
    pub(crate) fn way(&self, source: &str) -> Option<&'static str> {
        self.with(|state| state.ways.get(source).copied())
    }

    /// What is wrong beside the policy.
    pub(crate) fn complaints(&self) -> Vec<String> {
        self.with(|state| state.others.values().cloned().collect())
    }

    /// For the server.
    pub(crate) fn state(&self) -> PolicyState {
        self.with(|state| PolicyState {
            version: state.version,
            hash: Blob(state.hash.clone()),
            complaints: state.complaints.iter().chain(state.sources.values()).take(COMPLAINTS_MAX).cloned().collect(),
            overrides: self.local.overrides(),
        })
    }
}
