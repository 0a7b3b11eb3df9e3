//! Response: what the server, or root on the machine, has the agent do. Every action can be rehearsed, ends by its deadline,
//! is noted on the disk before it begins and when it has ended, and says what undoes it.
//!
//! Whatever is here runs as root, because only root may do it. So nothing is believed: arguments are checked again, paths are
//! opened without following links, processes are held by descriptors, and code runs only with the signature of a key that
//! is pinned on the machine. The agent itself, its ancestors and its way to the server are never hit.

mod books;
mod clam;
mod collect;
mod control_group;
mod doing;
mod firewall;
mod isolation;
mod pins;
mod processes;
mod program;
mod quarantine;
mod script;
mod users;
mod worker;
mod yara;

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use guardian_protocol::limits::TIMEOUT_MS_MAX;
use guardian_protocol::message::{Action, Command, Denied, Outcome, Progress};

use crate::home::{Home, Identity};
pub use books::{Block, Isolation, LockedUser, Standing};
use books::{Books, Known};
pub use clam::finding as clam_finding;
pub(crate) use control_group::root as control_group_root;
use doing::{Doing, Stop};
pub use pins::Pins;
pub use script::{script_public_key, sign};
pub use worker::{Worker, is_long};
pub(crate) use yara::NAME as SCANNER;

/// Where the agent keeps what belongs to actions, below its own folder.
pub const FOLDER: &str = "response";
/// Packs of evidence that nobody fetched are deleted after this long.
const PACK_AGE_MAX: Duration = Duration::from_secs(14 * 86_400);

/// What actions need to know of the agent.
#[derive(Clone, Debug)]
pub struct Options {
    /// The agent's own folder.
    pub home: PathBuf,
    /// Id of the host on the server.
    pub host: String,
    /// The server: `https://host:port`.
    pub server: String,
    /// The proxy on the way there.
    pub proxy: Option<String>,
}

impl Options {
    /// Those of an agent that is enrolled.
    pub fn of(home: &Home, identity: &Identity) -> Self {
        Self {
            home: home.path().to_owned(),
            host: identity.host.clone(),
            server: identity.server.clone(),
            proxy: identity.proxy.clone(),
        }
    }
}

/// Carries actions out.
pub struct Response {
    options: Options,
    books: Books,
    running: Mutex<HashMap<[u8; 16], Arc<AtomicBool>>>,
    /// How the agent's tables look when nobody has touched them.
    applied: Mutex<isolation::Applied>,
}

impl Response {
    /// Opens what is noted on the disk; nothing is done yet.
    pub fn open(options: Options) -> io::Result<Self> {
        let books = Books::open(&options.home.join(FOLDER))?;
        Ok(Self { options, books, running: Mutex::default(), applied: Mutex::default() })
    }

    /// What holds now: isolation, blocks, locked users, files that were taken.
    pub fn standing(&self) -> io::Result<Standing> {
        self.books.standing()
    }

    /// What can be done here and now, by name.
    pub fn abilities(&self) -> Vec<String> {
        let pins = self.pins().unwrap_or_default();
        let off = |name: &str| pins.off.iter().any(|off| off == name || off == "all");
        let can = |name: &&&str| match **name {
            "isolate" | "release" | "block" | "unblock" => program::find("nft").is_some(),
            "disable_user" | "enable_user" => program::find("usermod").is_some(),
            "script" => !pins.script_keys.is_empty(),
            "yara" => yara::find().is_some(),
            "scan" => program::find("clamscan").or_else(|| program::find("clamdscan")).is_some(),
            _ => true,
        };
        let names = Action::NAMES.iter().filter(|name| !off(name)).filter(can);
        names.map(|name| format!("response.{name}")).collect()
    }

    /// Does again what a reboot undid, and lets go what has expired meanwhile. To be called when the agent starts.
    pub fn reapply(&self) -> Vec<String> {
        let mut complaints = self.books.mend();
        self.finish_interrupted(&mut complaints);
        complaints.extend(self.tick());
        complaints
    }

    /// Looks after what stands: ends what has expired, and puts back what somebody else took away. To be called every few
    /// seconds.
    pub fn tick(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        let mut applied = self.applied.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(stop) = isolation::look_after(&self.options, &self.books, &mut applied, &mut complaints) {
            complaints.push(format!("response: {stop}"));
        }
        collect::forget_old(&self.books.evidence(), PACK_AGE_MAX);
        complaints
    }

    fn finish_interrupted(&self, complaints: &mut Vec<String>) {
        match quarantine::finish_interrupted(&self.books) {
            Ok(left) => complaints.extend(left),
            Err(error) => complaints.push(format!("response: files in quarantine cannot be looked at: {error}")),
        }
    }

    /// Stops a command that runs. Whether there is one.
    pub fn cancel(&self, id: &[u8; 16]) -> bool {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.get(id).is_some_and(|cancelled| {
            cancelled.store(true, Ordering::Release);
            true
        })
    }

    /// Stops all that runs.
    fn cancel_all(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.values().for_each(|cancelled| cancelled.store(true, Ordering::Release));
    }

    /// Carries a command out, and tells how far it is; the last outcome says how it ended. One that was carried out before
    /// is not again: it is answered with what came of it. `ahead` is how far this machine's clock is ahead of the server's,
    /// in microseconds.
    pub fn execute(&self, command: &Command, ahead: i64, tell: &mut dyn FnMut(Outcome)) {
        let cancelled = Arc::new(AtomicBool::new(false));
        {
            let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            if running.contains_key(&command.id) {
                drop(running);
                tell(Outcome { command: command.id, progress: Progress::Running, ..Outcome::default() });
                return;
            }
            running.insert(command.id, Arc::clone(&cancelled));
        }
        let outcome = self.answer(command, ahead, &cancelled, tell);
        self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&command.id);
        tell(outcome);
    }

    fn answer(&self, command: &Command, ahead: i64, cancelled: &AtomicBool, tell: &mut dyn FnMut(Outcome)) -> Outcome {
        match self.books.find(&command.id) {
            Ok(Some(Known::Ended(outcome))) => return *outcome,
            Ok(Some(Known::Begun)) => {
                let text = "the agent ended while this was being done: what of it holds must be looked at".to_owned();
                return Outcome { command: command.id, progress: Progress::Failed, text, ..Outcome::default() };
            }
            Ok(None) => {}
            // What was done before cannot be known: nothing is done.
            Err(error) => {
                let text = format!("the journal of actions cannot be read: {error}");
                return Outcome { command: command.id, progress: Progress::Failed, text, ..Outcome::default() };
            }
        }
        let begun = crate::now();
        let result = self.admit(command, ahead).and_then(|action| {
            if !command.dry_run {
                self.books.begin(command, action, begun)?;
            }
            let timeout = match command.timeout_ms {
                0 => action.usual_timeout_ms(),
                wanted => wanted.min(TIMEOUT_MS_MAX),
            };
            let deadline = Instant::now() + Duration::from_millis(u64::from(timeout));
            tell(Outcome { command: command.id, progress: Progress::Running, begun, ..Outcome::default() });
            Ok((action, deadline))
        });
        let mut outcome = match result {
            Ok((action, deadline)) => {
                let mut doing = Doing::new(command, deadline, cancelled);
                let result = self.carry_out(action, &mut doing);
                doing.outcome(result)
            }
            Err(stop) => stop.outcome(),
        };
        (outcome.command, outcome.dry_run) = (command.id, command.dry_run);
        (outcome.begun, outcome.ended) = (begun, crate::now());
        // One that was refused by name is refused again by the same reasons, and a rehearsal is worth nothing later.
        if !command.dry_run
            && outcome.progress != Progress::Refused
            && let Err(error) = self.books.end(&outcome)
        {
            outcome.text.push_str(&format!(" (and could not be noted: {error})"));
        }
        outcome
    }

    /// Whether a command may be carried out here at all.
    fn admit<'a>(&self, command: &'a Command, ahead: i64) -> Result<&'a Action, Stop> {
        let refuse = |denied, text: &str| Err(Stop::Denied(denied, text.to_owned()));
        let Some(action) = &command.action else {
            return refuse(Denied::Unknown, "this agent does not know the action");
        };
        if command.expires > 0 && crate::now().saturating_sub(ahead) > command.expires {
            return refuse(Denied::Expired, "the command came too late");
        }
        action.check().map_err(|invalid| Stop::Denied(Denied::Malformed, invalid.to_string()))?;
        self.permitted(action)?;
        Ok(action)
    }

    /// Whether the machine's owner lets it be done.
    fn permitted(&self, action: &Action) -> Result<(), Stop> {
        if self.pins()?.off.iter().any(|name| name == action.name() || name == "all") {
            return Err(Stop::Denied(Denied::SwitchedOff, "it is switched off on this machine".to_owned()));
        }
        Ok(())
    }

    fn pins(&self) -> Result<Pins, Stop> {
        Ok(Pins::read(&self.options.home)?)
    }

    fn carry_out(&self, action: &Action, doing: &mut Doing<'_>) -> Result<doing::Done, Stop> {
        let (options, books) = (&self.options, &self.books);
        let applied = || self.applied.lock().unwrap_or_else(PoisonError::into_inner);
        match action {
            Action::Isolate(wanted) => isolation::isolate(options, books, &mut applied(), wanted, doing),
            Action::Release(wanted) => isolation::release(books, &mut applied(), wanted, doing),
            Action::Block(wanted) => isolation::block(options, books, &mut applied(), wanted, doing),
            Action::Unblock(wanted) => isolation::unblock(books, &mut applied(), wanted, doing),
            Action::Kill(wanted) => processes::kill(wanted, doing),
            Action::Suspend(wanted) => processes::suspend(wanted, doing),
            Action::Resume(wanted) => processes::resume(wanted, doing),
            Action::Quarantine(wanted) => quarantine::take(options, books, wanted, doing),
            Action::Restore(wanted) => quarantine::restore(books, wanted, doing),
            Action::DisableUser(wanted) => users::disable(books, wanted, doing),
            Action::EnableUser(wanted) => users::enable(books, wanted, doing),
            Action::Script(wanted) => script::run(options, books, &self.pins()?, wanted, doing),
            Action::Collect(wanted) => collect::collect(options, books, &self.pins()?, wanted, doing),
            Action::Scan(wanted) => clam::scan(wanted, doing),
            Action::Yara(wanted) => yara::scan(wanted, &options.home, doing),
            Action::Undo(wanted) => {
                let undo = match self.books.find(&wanted.command)? {
                    Some(Known::Ended(outcome)) => outcome.undo,
                    _ => None,
                };
                let text = "nothing is noted that would undo that command";
                let undo = undo.ok_or_else(|| Stop::Denied(Denied::NotFound, text.to_owned()))?;
                // What undoes is never an undoing itself, so that this ends.
                if matches!(undo, Action::Undo(_)) {
                    return Err(Stop::Denied(Denied::NotFound, text.to_owned()));
                }
                undo.check().map_err(|invalid| Stop::Denied(Denied::Malformed, invalid.to_string()))?;
                self.permitted(&undo)?;
                self.carry_out(&undo, doing)
            }
            _ => Err(Stop::Denied(Denied::Unknown, "this agent does not know the action".to_owned())),
        }
    }

    /// A part of a pack of evidence that a command collected: at most `bytes_max` bytes from `offset` on, and the pack's
    /// length.
    pub fn pack_part(&self, command: &[u8; 16], offset: u64, bytes_max: usize) -> io::Result<(Vec<u8>, u64)> {
        let mut file = File::open(self.pack_path(command))?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::new();
        file.take(bytes_max as u64).read_to_end(&mut bytes)?;
        Ok((bytes, length))
    }

    /// The server has the whole pack: it is deleted here.
    pub fn pack_done(&self, command: &[u8; 16]) -> io::Result<()> {
        std::fs::remove_file(self.pack_path(command))
    }

    /// Where the pack of a command is.
    pub fn pack_path(&self, command: &[u8; 16]) -> PathBuf {
        collect::pack_path(&self.books.evidence(), command)
    }
}

/// Writes a file at once and whole, for its owner alone, and waits until it is on the disk.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let fresh = path.with_extension("new");
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&fresh, path)?;
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}
