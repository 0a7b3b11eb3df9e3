//! The process in which a statement runs, seen from both sides. It gets one question by its standard input and gives the
//! parts of the answer by its standard output, as the frames that travel to the server. Whoever asks kills it when its time
//! is over: a table that reads from a dead disk notices nothing else.

use std::io::{self, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use guardian_protocol::message::{Answer, Query};
use guardian_protocol::{Frames, FromAgent, FromServer, limits};
use guardian_sys::child::{self, Limits};

use super::{Needs, engine};
use crate::apart::confine_looker;

/// The subcommand that the process is started with.
pub const SUBCOMMAND: &str = "query-worker";
/// Address space of the process.
const MEMORY_BYTES_MAX: u64 = 1 << 30;
/// Descriptors of the process.
const FILES_MAX: u64 = 256;
/// Processor time beyond the time that the query has.
const CPU_MORE_S: u64 = 5;
/// How long the process may take beyond the time of the query, before it is killed.
const GRACE: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(50);
/// Bytes that are read at once, and how many such pieces may wait.
const PIECE: usize = 64 << 10;
const PIECES_MAX: usize = 4;
/// How far behind others it stands.
const NICE: i32 = 10;

/// Answers the one question that waits on the standard input.
pub fn serve() -> io::Result<()> {
    let mut bytes = Vec::new();
    io::stdin().lock().take(limits::FRAME_BYTES_MAX as u64).read_to_end(&mut bytes)?;
    let query = question(&bytes)?;
    let needs = Needs(&query.sql);
    needs.ask_programs();
    // What the kernel lacks for it, the agent tells of its other children.
    confine_looker(needs.processes(), MEMORY_BYTES_MAX, cpu_s(&query), FILES_MAX)?;
    let mut out = io::stdout().lock();
    engine::run(&query, &mut |part| {
        let mut frame = Vec::new();
        FromAgent::Answer(part).put(&mut frame).map_err(io::Error::other)?;
        out.write_all(&frame)?;
        out.flush()
    })
}

fn question(bytes: &[u8]) -> io::Result<Query> {
    let mut frames = Frames::new(limits::FRAME_BYTES_MAX);
    frames.push(bytes);
    match frames.next().map_err(io::Error::other)?.map(|frame| frame.from_server()) {
        Some(Ok(Some(FromServer::Query(query)))) => Ok(query),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Why an answer was broken off from outside.
enum Broken {
    Late,
    Cancelled,
    Died,
    Malformed,
}

impl Broken {
    const fn text(&self) -> &'static str {
        match self {
            Self::Late => "stopped: its time was over",
            Self::Cancelled => "called off",
            Self::Died => "stopped: it wanted too much memory or processor time",
            Self::Malformed => "stopped: what it answered cannot be read",
        }
    }
}

/// Runs a query in a process of its own, and hands the parts of its answer on; the last of them always comes. Once `tell`
/// says that nobody wants more, or `cancelled` is set, the process is killed.
pub fn ask(query: &Query, cancelled: &AtomicBool, tell: &mut dyn FnMut(Answer) -> bool) {
    let mut next = 0;
    let broken = match start(query) {
        Ok(mut child) => {
            let broken = follow(query, &mut child, cancelled, &mut next, tell);
            end(&mut child);
            broken.map(|broken| broken.text().to_owned())
        }
        Err(error) => Some(format!("the process for it cannot be started: {error}")),
    };
    if let Some(error) = broken {
        // Nobody may want it any more.
        tell(Answer { query: query.id, part: next, last: true, error: Some(error), ..Answer::default() });
    }
}

fn cpu_s(query: &Query) -> u64 {
    u64::from(query.timeout_ms.min(limits::QUERY_MS_MAX)) / 1_000 + CPU_MORE_S
}

fn start(query: &Query) -> io::Result<Child> {
    let mut command = Command::new("/proc/self/exe");
    command.arg(SUBCOMMAND).env_clear().current_dir("/");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    // A byte: it has no business with any file but to read it.
    let limits =
        Limits { cpu_s: cpu_s(query), memory_bytes: MEMORY_BYTES_MAX, file_bytes: 1, files: FILES_MAX, nice: NICE };
    child::limit(&mut command, limits, None);
    let mut child = command.spawn()?;
    let mut frame = Vec::new();
    let written = FromServer::Query(query.clone()).put(&mut frame).map_err(io::Error::other);
    let written = written.and_then(|()| child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(&frame)));
    if written.is_err() {
        end(&mut child);
    }
    written.map(|()| child)
}

/// Ends the process and what it started, whether it has ended already or not.
fn end(child: &mut Child) {
    let session = nix::unistd::Pid::from_raw(child.id().cast_signed());
    // None there is no error.
    nix::sys::signal::killpg(session, nix::sys::signal::Signal::SIGKILL).ok();
    child.kill().ok();
    child.wait().ok();
}

fn pieces(mut from: impl Read + Send + 'static) -> io::Result<Receiver<Vec<u8>>> {
    let (give, take) = sync_channel(PIECES_MAX);
    thread::Builder::new().name("query".into()).spawn(move || {
        let mut buffer = vec![0; PIECE];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            if give.send(buffer[..count].to_vec()).is_err() {
                break;
            }
        }
    })?;
    Ok(take)
}

fn follow(
    query: &Query,
    child: &mut Child,
    cancelled: &AtomicBool,
    next: &mut u32,
    tell: &mut dyn FnMut(Answer) -> bool,
) -> Option<Broken> {
    let time = Duration::from_millis(u64::from(query.timeout_ms.clamp(1, limits::QUERY_MS_MAX)));
    let until = Instant::now() + time + GRACE;
    let Some(Ok(pieces)) = child.stdout.take().map(pieces) else { return Some(Broken::Died) };
    let mut frames = Frames::new(limits::FRAME_BYTES_MAX);
    loop {
        match pieces.recv_timeout(LOOK) {
            Ok(piece) => frames.push(&piece),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Some(Broken::Died),
        }
        loop {
            match frames.next().map(|frame| frame.map(|frame| frame.from_agent())) {
                Ok(None) => break,
                Ok(Some(Ok(Some(FromAgent::Answer(part))))) if part.query == query.id && part.part == *next => {
                    *next += 1;
                    let last = part.last;
                    if !tell(part) || last {
                        return (!last).then_some(Broken::Cancelled);
                    }
                }
                _ => return Some(Broken::Malformed),
            }
        }
        if cancelled.load(Ordering::Acquire) {
            return Some(Broken::Cancelled);
        }
        if Instant::now() >= until {
            return Some(Broken::Late);
        }
    }
}
