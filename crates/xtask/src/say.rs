//! What xtask prints: numbered steps with the time since the start, and failures with their hint. The one place that
//! writes to the terminal, so that everything looks alike and colours appear only on one.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this module is the output of a command line program")]

use std::io::IsTerminal as _;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// When the command started; the first use decides.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Time since the command started.
pub(crate) fn elapsed() -> Duration {
    START.elapsed()
}

/// `1.4 s`, `2 min 05 s`.
pub(crate) fn span(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 60.0 {
        format!("{seconds:.1} s")
    } else {
        format!("{} min {:02} s", duration.as_secs() / 60, duration.as_secs() % 60)
    }
}

/// Wraps in an ANSI style on a terminal.
fn styled(code: &str, text: &str) -> String {
    if std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        format!("\x1b[{code}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}

/// A step begins.
pub(crate) fn step(text: &str) {
    println!("{} {}", styled("36", &format!("[{:>8}]", span(elapsed()))), styled("1", text));
}

/// A detail of the current step.
pub(crate) fn note(text: &str) {
    println!("           {text}");
}

/// Something the reader should do or know.
pub(crate) fn hint(text: &str) {
    println!("           {} {text}", styled("33", "hint:"));
}

/// A blank line, or a line as it is.
pub(crate) fn line(text: &str) {
    println!("{text}");
}

/// The end of a failing command.
pub(crate) fn failure(error: &anyhow::Error) {
    eprintln!("{} {error:#}", styled("31", "failed:"));
}
