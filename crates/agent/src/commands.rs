//! Commands of the server: what changes the machine goes to [`Response`], what the agent does by itself anyway is done here.
//! Whatever it is, it is done once: what came of it is noted on the disk, and said again when the command comes again.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use data_encoding::HEXLOWER;
use guardian_protocol::message::{Action, Approve, Command, Denied, FetchPack, Outcome, PackPart, Progress, Step};
use guardian_protocol::{Blob, limits};
use tokio::sync::mpsc;

use crate::home::{Home, Identity};
use crate::imported;
use crate::integrity::Wishes;
use crate::policy::Policies;
use crate::response::{Options, Response, Worker};
use crate::run::say;
use crate::status::Status;

/// Outcomes that are remembered, the oldest go.
const REMEMBERED_MAX: usize = 256;

/// Approved paths that an outcome names.
const STEPS_MAX: usize = 200;

/// Whether an action is about the agent itself, and not about the machine.
const fn is_of_the_agent(action: &Action) -> bool {
    matches!(action, Action::Recheck(_) | Action::Report(_) | Action::Approve(_))
}

/// Who carries commands out.
pub(crate) struct Commands {
    home: Home,
    wishes: Arc<Wishes>,
    /// What came of the commands that were carried out here, the oldest first.
    remembered: VecDeque<Outcome>,
    worker: Option<Arc<Worker>>,
    outcomes: Option<mpsc::Receiver<Outcome>>,
}

impl Commands {
    /// Reads what is remembered, and begins to look after what stands on this machine.
    pub(crate) fn open(home: &Home, identity: &Identity, wishes: Arc<Wishes>, policies: &Arc<Policies>) -> Self {
        let remembered = fs::read(home.commands()).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let complained = Arc::clone(policies);
        let complain = move |complaints: Vec<String>| {
            complaints.iter().for_each(|text| say(text));
            complained.complain("response", (!complaints.is_empty()).then(|| complaints.join("; ")));
        };
        let started = Response::open(Options::of(home, identity))
            .and_then(|response| Worker::start(Arc::new(response), complain));
        let (worker, outcomes) = match started {
            Ok((worker, outcomes)) => (Some(Arc::new(worker)), Some(outcomes)),
            Err(error) => {
                let text = format!("actions cannot be carried out: {error}");
                say(&text);
                policies.complain("response", Some(text));
                (None, None)
            }
        };
        Self { home: home.clone(), wishes, remembered: remembered.unwrap_or_default(), worker, outcomes }
    }

    /// What somebody else carried out; waits for it. Safe to cancel.
    pub(crate) async fn next(&mut self) -> Outcome {
        if let Some(outcomes) = &mut self.outcomes
            && let Some(outcome) = outcomes.recv().await
        {
            return outcome;
        }
        self.outcomes = None;
        std::future::pending().await
    }

    /// Takes a command. Answers what came of it, where that is known at once. `ahead` is how far this machine's clock is
    /// ahead of the server's, in microseconds.
    pub(crate) fn take(&mut self, command: Command, ahead: i64, status: &Status) -> Option<Outcome> {
        if !command.action.as_ref().is_some_and(is_of_the_agent) {
            let refused = |text: &str| Outcome {
                command: command.id,
                progress: Progress::Refused,
                denied: Denied::Unsupported,
                text: text.to_owned(),
                ..Outcome::default()
            };
            let Some(worker) = &self.worker else { return Some(refused("actions cannot be carried out here")) };
            worker.submit(command, ahead);
            return None;
        }
        if let Some(known) = self.remembered.iter().find(|outcome| outcome.command == command.id) {
            return Some(known.clone());
        }
        let begun = crate::now();
        let mut outcome = Outcome { command: command.id, dry_run: command.dry_run, begun, ..Outcome::default() };
        if command.expires > 0 && begun.saturating_sub(ahead) > command.expires {
            (outcome.progress, outcome.denied) = (Progress::Refused, Denied::Expired);
            "the command came too late".clone_into(&mut outcome.text);
        } else {
            outcome.progress = Progress::Done;
            self.routine(&command, ahead, status, &mut outcome);
        }
        outcome.ended = crate::now();
        self.remember(&outcome);
        Some(outcome)
    }

    /// A part of what a command collected; nothing where the server only says that it has it all.
    pub(crate) fn pack(&self, wanted: &FetchPack) -> Option<PackPart> {
        let response = self.worker.as_ref().map(|worker| worker.response());
        if wanted.kept {
            // It goes with the old ones if it cannot be deleted now.
            response.map(|response| response.pack_done(&wanted.command).ok());
            return None;
        }
        let most = (wanted.bytes_max as usize).min(limits::PACK_PART_BYTES_MAX);
        let read = response.map_or_else(
            || Err(io::Error::from(io::ErrorKind::Unsupported)),
            |response| response.pack_part(&wanted.command, wanted.offset, most),
        );
        let part = PackPart { command: wanted.command, offset: wanted.offset, ..PackPart::default() };
        Some(match read {
            Ok((content, bytes)) => PackPart { bytes, content: Blob(content), ..part },
            Err(error) => PackPart { error: Some(error.to_string()), ..part },
        })
    }

    fn routine(&self, command: &Command, ahead: i64, status: &Status, outcome: &mut Outcome) {
        match &command.action {
            Some(Action::Recheck(_) | Action::Approve(_)) if !self.wishes.watched.load(Ordering::Acquire) => {
                outcome.progress = Progress::Failed;
                "no files are watched on this machine".clone_into(&mut outcome.text);
            }
            Some(Action::Recheck(_)) => {
                if !command.dry_run {
                    self.wishes.scan_now.store(true, Ordering::Release);
                }
                "all watched files are read, and what changed is told".clone_into(&mut outcome.text);
            }
            Some(Action::Approve(wanted)) => self.approve(command, wanted, ahead, outcome),
            Some(Action::Report(_)) => {
                "how the agent is".clone_into(&mut outcome.text);
                let mut status = status.clone();
                (status.files_open, status.files_open_since) = self.open_changes();
                outcome.output = Blob(serde_json::to_vec_pretty(&status).unwrap_or_default());
            }
            _ => {}
        }
    }

    /// Approves changes of files. What is approved is what was told until the command was given, or until the moment that it
    /// names: whoever gave it has not seen more.
    fn approve(&self, command: &Command, wanted: &Approve, ahead: i64, outcome: &mut Outcome) {
        if let Err(invalid) = Action::Approve(wanted.clone()).check() {
            (outcome.progress, outcome.denied) = (Progress::Refused, Denied::Malformed);
            outcome.text = invalid.to_string();
            return;
        }
        let until = if wanted.until == 0 { command.issued } else { wanted.until }.saturating_add(ahead);
        let below = Some(Path::new(&wanted.path)).filter(|_| !wanted.path.is_empty());
        let mut open = self.wishes.open();
        let approved = if command.dry_run {
            open.would_approve(below, until)
        } else {
            let approved = open.approve(below, until, crate::now());
            if let Err(error) = open.save() {
                outcome.progress = Progress::Failed;
                outcome.text =
                    format!("what was approved could not be kept, and is open again after a restart: {error}");
                return;
            }
            approved
        };
        drop(open);
        let step = |path: &PathBuf| Step {
            verb: "approve".to_owned(),
            target: path.to_string_lossy().into_owned(),
            note: String::new(),
        };
        outcome.steps = approved.paths.iter().take(STEPS_MAX).map(step).collect();
        let count = approved.paths.len() as u64 + approved.more;
        let verb = if command.dry_run { "would be" } else { "are" };
        outcome.text = format!("{count} changes {verb} approved, {} stay open", approved.left);
        let root = imported::baseline(&self.home).map(|baseline| HEXLOWER.encode(baseline.root())).ok();
        let said = serde_json::json!({
            "approved": count, "open": approved.left, "until": until, "baseline": root, "by": command.by,
            "reason": wanted.reason,
        });
        outcome.output = Blob(said.to_string().into_bytes());
        if !command.dry_run {
            say(&format!("{} approved {count} changes of files: {}", command.by, wanted.reason));
        }
    }

    /// How many changes of files nobody has approved, and since when the oldest of them is open (0 for none).
    pub(crate) fn open_changes(&self) -> (u64, i64) {
        let open = self.wishes.open();
        (open.count(), open.oldest().unwrap_or_default())
    }

    fn remember(&mut self, outcome: &Outcome) {
        // How the agent was is worth nothing later; that it was asked is.
        self.remembered.push_back(Outcome { output: Blob::default(), ..outcome.clone() });
        while self.remembered.len() > REMEMBERED_MAX {
            self.remembered.pop_front();
        }
        let written = serde_json::to_vec(&self.remembered).map_err(io::Error::from);
        if let Err(error) = written.and_then(|bytes| self.home.write(&self.home.commands(), &bytes, true)) {
            say(&format!("what came of a command cannot be kept: {error}"));
        }
    }

    /// Stops a command that runs.
    pub(crate) fn cancel(&self, id: &[u8; 16]) {
        if let Some(worker) = &self.worker {
            worker.cancel(id);
        }
    }

    /// Whoever carries actions out, for whoever has to end it.
    pub(crate) fn worker(&self) -> Option<Arc<Worker>> {
        self.worker.clone()
    }

    /// What can be done here and now, by name.
    pub(crate) fn abilities(&self) -> Vec<String> {
        let routine = ["recheck", "report", "approve"].map(|name| format!("response.{name}"));
        let mut all = self.worker.as_ref().map(|worker| worker.response().abilities()).unwrap_or_default();
        all.retain(|name| !routine.contains(name));
        all.into_iter().chain(routine).collect()
    }
}
