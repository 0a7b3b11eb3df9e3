//! Named threads whose end is always noticed: an error or a panic is logged, counted and ends the program in order.
//!
//! A component is started with everything it needs and ends when its queue closes or the shutdown token is triggered.

use std::fmt::Display;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;

use crate::metrics::Metrics;
use crate::shutdown::Shutdown;

/// What a component's function may return: nothing, or a result whose error ends the program.
pub trait Outcome {
    /// The error's text, if it was one.
    fn error(self) -> Option<String>;
}

impl Outcome for () {
    fn error(self) -> Option<String> {
        None
    }
}

impl<E: Display> Outcome for Result<(), E> {
    fn error(self) -> Option<String> {
        // The alternate form prints the causes of an `anyhow::Error` too.
        self.err().map(|e| format!("{e:#}"))
    }
}

/// A running component.
#[derive(Debug)]
#[must_use = "join it, so that the program does not end before it"]
pub struct Component {
    name: String,
    thread: JoinHandle<Option<String>>,
}

impl Component {
    /// The name it was started with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether its function has returned.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for its end; the error is what it failed with.
    pub fn join(self) -> Result<(), String> {
        match self.thread.join() {
            Ok(None) => Ok(()),
            Ok(Some(error)) => Err(error),
            Err(panic) => Err(panic_text(&*panic)),
        }
    }
}

/// Starts `f` on a thread of this name. If it panics or returns an error, this is logged, counted in
/// `guardian_component_failures_total` and [`Shutdown::fail`] is called. The only error is that the machine has no
/// thread left.
pub fn spawn<F, R>(name: &str, metrics: &Metrics, shutdown: &Shutdown, f: F) -> io::Result<Component>
where
    F: FnOnce() -> R + Send + 'static,
    R: Outcome,
{
    let failures = metrics.counter_with(
        "guardian_component_failures_total",
        "Components that ended with an error or a panic",
        &["component"],
    );
    let running = metrics.gauge_with("guardian_component_running", "Components that run", &["component"]);
    let (failures, running) = (failures.with(&[name]), running.with(&[name]));
    let (shutdown, own_name) = (shutdown.clone(), name.to_owned());
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        running.add(1);
        let result = catch_unwind(AssertUnwindSafe(f));
        running.add(-1);
        let error = match result {
            Ok(outcome) => outcome.error(),
            Err(panic) => Some(format!("panic: {}", panic_text(&*panic))),
        };
        if let Some(error) = &error {
            failures.inc(1);
            tracing::error!(component = own_name, error, "component failed; shutting down");
            shutdown.fail(format!("{own_name}: {error}"));
        }
        error
    })?;
    Ok(Component { name: name.to_owned(), thread })
}

/// The message of a panic, as far as it is text.
pub fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "unknown panic".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_told_apart() {
        type Job = Box<dyn FnOnce() -> Result<(), String> + Send>;
        let cases: [(&str, Job, Option<&str>); 3] = [
            ("fine", Box::new(|| Ok(())), None),
            ("error", Box::new(|| Err("no socket".to_owned())), Some("error: no socket")),
            ("panic", Box::new(|| panic!("broken {}", 1)), Some("panic: panic: broken 1")),
        ];
        for (name, job, failure) in cases {
            let (metrics, shutdown) = (Metrics::new(), Shutdown::new());
            let Ok(component) = spawn(name, &metrics, &shutdown, job) else { panic!("no thread") };
            assert_eq!(component.join().is_err(), failure.is_some());
            assert_eq!(shutdown.failure().as_deref(), failure);
            assert_eq!(shutdown.is_triggered(), failure.is_some());
            let snapshot = metrics.snapshot();
            let failed = snapshot[&format!("guardian_component_failures_total{{component=\"{name}\"}}")];
            assert_eq!(failed > 0.0, failure.is_some());
        }
    }
}
