//! Sets up the program's log: for people on a terminal, JSON lines elsewhere, always to standard error, so that
//! standard output belongs to what a command prints.

use std::fmt;
use std::io::{self, IsTerminal};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

/// What the program writes about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// Least level that is written: error, warn, info, debug or trace; more finely `info,guardian_flow=debug`.
    pub level: String,
    /// Form of the lines.
    pub format: LogFormat,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Auto }
    }
}

/// Form of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Human on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// Lines for people.
    Human,
    /// One JSON object a line.
    Json,
}

/// The log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The level is not understood.
    #[error("log.level: `{level}` is not understood: {reason}")]
    Level {
        /// As configured.
        level: String,
        /// Why.
        reason: String,
    },
    /// Somebody set it up before.
    #[error("the log was set up before")]
    Twice,
}

/// Sets up the log of this process and sends panics there too.
pub fn init(config: &LogConfig) -> Result<(), LogError> {
    let filter = filter(&config.level)?;
    let terminal = io::stderr().is_terminal();
    let human = match config.format {
        LogFormat::Auto => terminal,
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_span_events(FmtSpan::NONE);
    let done = if human {
        builder.with_ansi(terminal && std::env::var_os("NO_COLOR").is_none()).with_target(false).try_init()
    } else {
        builder.json().flatten_event(true).with_thread_names(true).try_init()
    };
    done.map_err(|_| LogError::Twice)?;
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let location = info.location().map(ToString::to_string).unwrap_or_default();
        let message = crate::component::panic_text(info.payload());
        let thread = std::thread::current().name().unwrap_or("unnamed").to_owned();
        tracing::error!(location, thread, message, "panic");
        if tracing::enabled!(tracing::Level::DEBUG) {
            before(info);
        }
    }));
    Ok(())
}

fn filter(level: &str) -> Result<EnvFilter, LogError> {
    // Storage and HTTP libraries are quiet unless asked for by name.
    let quiet = ["datafusion=warn", "hyper=warn", "h2=warn", "rustls=warn", "sqlx=warn", "sea_orm=warn", "tower=warn"];
    let fail = |e: &dyn fmt::Display| LogError::Level { level: level.to_owned(), reason: e.to_string() };
    if level.trim().is_empty() {
        return Err(fail(&"it is empty"));
    }
    let mut filter = EnvFilter::builder().parse(level).map_err(|e| fail(&e))?;
    for directive in quiet {
        let target = directive.split('=').next().unwrap_or_default();
        if !level.contains(target) {
            filter = filter.add_directive(directive.parse().map_err(|e| fail(&e))?);
        }
    }
    Ok(filter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels() {
        for (level, part) in [
            ("info", Some("sqlx=warn")),
            ("debug,sqlx=trace", Some("sqlx=trace")),
            ("warn,guardian_flow=debug", Some("guardian_flow=debug")),
            ("", None),
            ("a=b=c", None),
        ] {
            match (filter(level), part) {
                (Ok(filter), Some(part)) => assert!(filter.to_string().contains(part), "{filter}"),
                (Err(e), None) => assert!(e.to_string().contains("log.level"), "{e}"),
                (other, _) => panic!("{level}: {other:?}"),
            }
        }
    }
}
