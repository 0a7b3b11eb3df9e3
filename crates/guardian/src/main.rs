//! The program: a command line, a `match`, and wiring. Everything it can do lives in the crates below.

mod accept;
mod backup;
mod client_tls;
mod command;
mod config;
mod osquery;
mod output;
mod remote;
mod tls;
mod updates;
mod wiring;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // A second provider cannot be installed before this line, so the result needs no look.
    rustls::crypto::ring::default_provider().install_default().ok();
    let cli = command::Cli::read();
    match cli.run() {
        Ok(code) => code,
        Err(error) => {
            output::note(&format!("guardian: {error:#}"));
            command::exit_code(&error)
        }
    }
}
