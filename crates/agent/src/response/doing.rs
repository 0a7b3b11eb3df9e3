//! One command while it is carried out: whether it is a rehearsal, how much time is left, what was done.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use guardian_protocol::Blob;
use guardian_protocol::limits::STEPS_BYTES_MAX;
use guardian_protocol::message::{Action, Command, Denied, Outcome, Pack, Progress, Step};

/// Why an action ended before it was done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Stop {
    /// It is not done, and why.
    #[error("{1}")]
    Denied(Denied, String),
    /// It could not be done.
    #[error("{0}")]
    Failed(String),
    /// Its time is over.
    #[error("it took too long")]
    TimedOut,
    /// Somebody stopped it.
    #[error("it was stopped")]
    Cancelled,
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// An error with what was being done.
pub(crate) fn failed(what: impl std::fmt::Display) -> impl FnOnce(io::Error) -> Stop {
    move |error| Stop::Failed(format!("{what}: {error}"))
}

pub(crate) fn denied<T>(why: Denied, text: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Denied(why, text.into()))
}

impl Stop {
    /// The last word about the command.
    pub(crate) fn outcome(self) -> Outcome {
        let text = self.to_string();
        let (progress, denied) = match self {
            Self::Denied(denied, _) => (Progress::Refused, denied),
            Self::TimedOut => (Progress::TimedOut, Denied::Other),
            Self::Failed(_) | Self::Cancelled => (Progress::Failed, Denied::Other),
        };
        Outcome { text, progress, denied, ..Outcome::default() }
    }
}

/// What an action that was done says.
#[derive(Debug, Default)]
pub(crate) struct Done {
    /// For people.
    pub(crate) text: String,
    /// What undoes it.
    pub(crate) undo: Option<Action>,
    /// Exit status of a program.
    pub(crate) status: Option<i64>,
    /// Evidence.
    pub(crate) pack: Option<Pack>,
}

impl Done {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    pub(crate) fn undone_by(self, action: Action) -> Self {
        Self { undo: Some(action), ..self }
    }
}

/// One command while it is carried out.
pub(crate) struct Doing<'a> {
    /// Say what would be done and do nothing.
    pub(crate) dry: bool,
    /// The command.
    pub(crate) id: [u8; 16],
    /// Who decided it.
    pub(crate) by: &'a str,
    /// When it must have ended.
    pub(crate) deadline: Instant,
    cancelled: &'a AtomicBool,
    steps: Vec<Step>,
    step_bytes: usize,
    steps_left_out: usize,
    output: Vec<u8>,
    output_lost: u64,
}

impl<'a> Doing<'a> {
    pub(crate) fn new(command: &'a Command, deadline: Instant, cancelled: &'a AtomicBool) -> Self {
        Self {
            dry: command.dry_run,
            id: command.id,
            by: &command.by,
            deadline,
            cancelled,
            steps: Vec::new(),
            step_bytes: 0,
            steps_left_out: 0,
            output: Vec::new(),
            output_lost: 0,
        }
    }

    /// Notes something that is done now, or would be.
    pub(crate) fn step(&mut self, verb: &str, target: impl Into<String>, note: impl Into<String>) {
        let step = Step { verb: verb.to_owned(), target: target.into(), note: note.into() };
        let bytes = step.verb.len() + step.target.len() + step.note.len() + 16;
        if self.step_bytes + bytes > STEPS_BYTES_MAX {
            self.steps_left_out += 1;
            return;
        }
        self.step_bytes += bytes;
        self.steps.push(step);
    }

    /// What a program said.
    pub(crate) fn output(&mut self, bytes: Vec<u8>, lost: u64) {
        self.output = bytes;
        self.output_lost = lost;
    }

    /// Whether there is time left and nobody stopped it.
    pub(crate) fn go_on(&self) -> Result<(), Stop> {
        if self.cancelled.load(Ordering::Acquire) {
            return Err(Stop::Cancelled);
        }
        if Instant::now() >= self.deadline { Err(Stop::TimedOut) } else { Ok(()) }
    }

    /// How much time is left, at most `most`.
    pub(crate) fn time(&self, most: Duration) -> Duration {
        self.deadline.saturating_duration_since(Instant::now()).min(most)
    }

    /// The last word about the command.
    pub(crate) fn outcome(mut self, result: Result<Done, Stop>) -> Outcome {
        if self.steps_left_out > 0 {
            let target = self.steps_left_out.to_string();
            self.steps.push(Step { verb: "more".into(), target, note: "steps are not listed".into() });
        }
        let outcome = match result {
            Ok(done) => Outcome {
                progress: Progress::Done,
                text: done.text,
                undo: done.undo.filter(|_| !self.dry),
                status: done.status,
                pack: done.pack,
                ..Outcome::default()
            },
            Err(stop) => stop.outcome(),
        };
        Outcome { steps: self.steps, output: Blob(self.output), output_lost: self.output_lost, ..outcome }
    }
}
