//! Programs of the system that actions need: found in the system's folders alone, run with a bare environment, a deadline, and
//! a bound on what is kept of what they say.

use std::io::{self, Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use guardian_protocol::message::Denied;
use guardian_sys::child::{self, Limits};
use guardian_sys::pidfd::{Process, Signal};

use super::doing::{Doing, Stop, denied, failed};

const FOLDERS: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];
/// The only path that programs get.
pub(crate) const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";
/// How long what a program left behind may keep its output open.
const LINGER: Duration = Duration::from_secs(1);

/// Where a program is.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    FOLDERS.iter().map(|folder| PathBuf::from(folder).join(name)).find(|path| path.is_file())
}

/// A command for a program of the system, with a bare environment.
pub(crate) fn of(name: &str) -> Result<Command, Stop> {
    match find(name) {
        None => denied(Denied::Unsupported, format!("this machine has no `{name}`")),
        Some(path) => Ok(bare(Command::new(path))),
    }
}

pub(crate) fn bare(mut command: Command) -> Command {
    command.env_clear().env("PATH", PATH).env("LC_ALL", "C").current_dir("/");
    command
}

/// What a program did.
pub(crate) struct Ran {
    /// How it ended.
    pub(crate) status: ExitStatus,
    /// What it said, on both ways.
    pub(crate) output: Vec<u8>,
    /// Bytes of it that were thrown away.
    pub(crate) lost: u64,
    /// Why it was killed.
    pub(crate) stopped: Option<Stop>,
}

impl Ran {
    /// The exit status, or less than 0 for the signal that ended it.
    pub(crate) fn code(&self) -> i64 {
        let signal = || self.status.signal().map_or(-1, |signal| -i64::from(signal));
        self.status.code().map_or_else(signal, i64::from)
    }

    /// What it said, in a line.
    pub(crate) fn said(&self) -> String {
        let text = String::from_utf8_lossy(&self.output);
        let line: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).take(5).collect();
        line.join("; ").chars().take(500).collect()
    }
}

#[derive(Default)]
struct Kept {
    bytes: Vec<u8>,
    lost: u64,
    ended: bool,
}

/// Runs a command to its end, or kills it when the time is over.
pub(crate) fn run(
    mut command: Command,
    input: &[u8],
    limits: Limits,
    group: Option<std::fs::File>,
    output_max: usize,
    doing: &Doing<'_>,
) -> Result<Ran, Stop> {
    doing.go_on()?;
    let name = command.get_program().to_string_lossy().into_owned();
    let (mut reader, writer) = io::pipe()?;
    command.stdin(Stdio::piped()).stdout(writer.try_clone()?).stderr(writer);
    child::limit(&mut command, limits, group);
    let mut running = command.spawn().map_err(failed(format!("`{name}` cannot be started")))?;
    // Our end of the pipe would keep it open.
    drop(command);
    let process = Process::open(running.id()).map_err(failed("a child cannot be held"))?;
    let kept = Arc::new(Mutex::new(Kept::default()));
    let keeping = Arc::clone(&kept);
    std::thread::spawn(move || {
        let mut buffer = [0; 16 << 10];
        while let Ok(count @ 1..) = reader.read(&mut buffer) {
            let mut kept = keeping.lock().unwrap_or_else(PoisonError::into_inner);
            let room = output_max.saturating_sub(kept.bytes.len()).min(count);
            kept.bytes.extend_from_slice(&buffer[..room]);
            kept.lost += (count - room) as u64;
        }
        keeping.lock().unwrap_or_else(PoisonError::into_inner).ended = true;
    });
    let stdin = running.stdin.take();
    let feeding = stdin.map(|mut stdin| {
        let input = input.to_vec();
        // One that does not read its input must not hold us up. That it ended before is no error of ours.
        std::thread::spawn(move || stdin.write_all(&input).ok())
    });
    let mut stopped = None;
    while !process.ended_within(Duration::from_millis(50))? {
        if let Err(stop) = doing.go_on() {
            stopped = Some(stop);
            break;
        }
    }
    if stopped.is_some() {
        process.signal(Signal::Kill).ok();
    }
    // What it left behind in its session goes with it; none there is no error.
    let session = nix::unistd::Pid::from_raw(running.id().cast_signed());
    nix::sys::signal::killpg(session, nix::sys::signal::Signal::SIGKILL).ok();
    let status = running.wait()?;
    drop(feeding);
    let since = Instant::now();
    while !kept.lock().unwrap_or_else(PoisonError::into_inner).ended && since.elapsed() < LINGER {
        std::thread::sleep(Duration::from_millis(5));
    }
    let kept = std::mem::take(&mut *kept.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Ran { status, output: kept.bytes, lost: kept.lost, stopped })
}

/// Runs a small helper to its end, and fails where it does.
pub(crate) fn done(command: Command, input: &[u8], doing: &Doing<'_>) -> Result<Ran, Stop> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut ran = run(command, input, Limits::default(), None, 4 << 20, doing)?;
    if let Some(stop) = ran.stopped.take() {
        return Err(stop);
    }
    if ran.status.success() {
        return Ok(ran);
    }
    Err(Stop::Failed(format!("`{name}` ends with {}: {}", ran.code(), ran.said())))
}
