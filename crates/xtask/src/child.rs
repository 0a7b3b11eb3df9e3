//! Child processes that never outlive xtask: asked to end, waited for, and only then killed. Ctrl-C and SIGTERM become
//! a flag that the waiting loops look at.

use std::process::{Child, Command, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;

/// How long a child may take to end after SIGTERM.
const END_SECONDS_MAX: u64 = 20;

/// Set once Ctrl-C or SIGTERM arrived.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Takes the signals over. Call it before any thread is started; children get a clean signal mask from the
    /// standard library, so that a Ctrl-C on the terminal reaches them too.
    pub(crate) fn install() -> Result<Self> {
        let mut signals = SigSet::empty();
        signals.add(Signal::SIGINT);
        signals.add(Signal::SIGTERM);
        signals.add(Signal::SIGHUP);
        signals.thread_block().context("cannot take over Ctrl-C")?;
        let flag = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&flag);
        std::thread::spawn(move || {
            while signals.wait().is_ok() {
                if seen.swap(true, Ordering::SeqCst) {
                    // Asked a second time: do not be polite.
                    std::process::exit(130);
                }
            }
        });
        Ok(Self(flag))
    }

    /// Whether it is time to stop.
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// Sleeps, but not past an interrupt. Returns whether to go on.
    pub(crate) fn sleep(&self, duration: Duration) -> bool {
        let until = Instant::now() + duration;
        while !self.is_set() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(20).min(duration));
        }
        !self.is_set()
    }
}

/// A child that is ended when dropped.
#[derive(Debug)]
pub(crate) struct Service {
    name: String,
    child: Child,
}

impl Service {
    /// Starts it.
    pub(crate) fn start(name: &str, command: &mut Command) -> Result<Self> {
        let child = command.spawn().with_context(|| format!("{name} does not start"))?;
        Ok(Self { name: name.to_owned(), child })
    }

    /// The child itself, for its pipes.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its exit status, if it has ended.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("cannot ask after {}", self.name))
    }

    /// Asks it to end, waits, and kills it when it does not.
    pub(crate) fn stop(&mut self) -> Result<Option<ExitStatus>> {
        if let Some(status) = self.ended()? {
            return Ok(Some(status));
        }
        let pid = Pid::from_raw(self.child.id() as i32);
        // It may have ended between the question and the signal; the wait below tells.
        let _gone = kill(pid, Signal::SIGTERM).is_err();
        let until = Instant::now() + Duration::from_secs(END_SECONDS_MAX);
        while Instant::now() < until {
            if let Some(status) = self.ended()? {
                return Ok(Some(status));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.child.kill().with_context(|| format!("{} cannot be killed", self.name))?;
        self.child.wait().map(Some).with_context(|| format!("{} cannot be waited for", self.name))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            crate::say::failure(&error);
        }
    }
}
