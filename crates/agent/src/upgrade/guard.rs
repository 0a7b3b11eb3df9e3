//! The guard of a program on trial: the program before, in the process that was the agent, so that whoever started the agent
//! sees one process all the time. It starts the new program as its child, and puts the old one back unless the server has seen
//! the new one in time. It does not look at what the new one says.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tokio::process::{Child, Command as Children};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep_until, timeout};

use super::TRIAL;
use super::books::{Books, Program, Trial};
use super::place::Place;
use crate::run::say;

/// How often it is looked whether there is proof.
const LOOK: Duration = Duration::from_millis(100);
/// How long a program may take to end.
const LEAVE: Duration = Duration::from_secs(15);

/// How a trial ends.
enum End {
    Proved,
    Failed(String),
    /// Whoever started the agent wants it to end.
    Stopped,
}

/// Guards the trial that is noted in the folder of an agent, and goes on as the program that won. Returns where the agent is
/// to end, or nothing could be started any more.
pub fn guard(home: &Path, arguments: &[OsString]) -> io::Result<()> {
    let books = Books::of(home);
    let Some(trial) = books.read()?.trial else {
        // It was ended meanwhile: there is nothing to guard.
        return Err(go_on(&Program { path: "/proc/self/exe".into(), ..Program::default() }, arguments));
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let end = runtime.block_on(watch(&books, &trial, arguments));
    drop(runtime);
    let end = end.unwrap_or_else(|error| End::Failed(format!("it could not be guarded: {error}")));
    let (mut before, place) = (books.read()?, Place::of(&trial.to.path, home));
    let why = match end {
        End::Stopped => return Ok(()),
        End::Failed(why) => why,
        End::Proved => match place.switch(&trial.to.path) {
            Ok(()) => {
                let mut state = before.clone();
                state.keep(&trial, crate::now());
                books.write(&state)?;
                say(&format!("upgrade: {} stays", trial.to.version));
                if let Err(error) = place.prune(&[&trial.from.path, &trial.to.path]) {
                    say(&format!("upgrade: older versions stay: {error}"));
                }
                let error = go_on(&trial.to, arguments);
                // Whatever comes of it, the program before is started next.
                place.switch(&trial.from.path).ok();
                format!("it cannot be started again: {error}")
            }
            Err(error) => format!("it cannot be put in its place: {error}"),
        },
    };
    say(&format!("upgrade: {} goes back to {}: {why}", trial.to.version, trial.from.version));
    before.roll_back(&trial, &why);
    books.write(&before)?;
    let error = go_on(&trial.from, arguments);
    say(&format!("upgrade: {} cannot be started at its place: {error}", trial.from.version));
    // The program that guards is the one before.
    Err(go_on(&Program { path: "/proc/self/exe".into(), ..trial.from }, arguments))
}

/// Goes on as a program; returns only where it cannot be started.
fn go_on(program: &Program, arguments: &[OsString]) -> io::Error {
    Command::new(&program.path).args(arguments).env_remove(TRIAL).exec()
}

async fn watch(books: &Books, trial: &Trial, arguments: &[OsString]) -> io::Result<End> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut command = Children::new(&trial.to.path);
    command.args(arguments).env(TRIAL, "1").kill_on_drop(true);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return Ok(End::Failed(format!("it does not start: {error}"))),
    };
    let until = Instant::now() + Duration::from_secs(trial.prove_within_s.into());
    let mut look = tokio::time::interval(LOOK);
    let end = loop {
        tokio::select! {
            ended = child.wait() => return Ok(End::Failed(format!("it ended by itself with {}", ended?))),
            _ = look.tick() => if books.is_proved(&trial.offer) { break End::Proved },
            () = sleep_until(until) => {
                let seconds = trial.prove_within_s;
                break End::Failed(format!("the server had not seen it within {seconds} s"));
            }
            _ = interrupt.recv() => break End::Stopped,
            _ = terminate.recv() => break End::Stopped,
        }
    };
    leave(&mut child).await?;
    Ok(end)
}

/// Has the program end, by force where it does not by itself.
async fn leave(child: &mut Child) -> io::Result<()> {
    let id = child.id().and_then(|id| i32::try_from(id).ok());
    if let Some(id) = id {
        // One that has ended already is what was wanted.
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(id), nix::sys::signal::Signal::SIGTERM).ok();
    }
    if timeout(LEAVE, child.wait()).await.is_err() {
        child.kill().await?;
    }
    Ok(())
}
