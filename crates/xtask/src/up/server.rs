//! The server that `up` starts: its configuration, its start, its life.

use std::io::Write as _;
use std::net::{TcpStream, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::child::{Interrupt, Service};
use crate::{cargo, say};

/// How long a start may take before we give up on it.
const READY_SECONDS_MAX: u64 = 30;
/// How much of what the server says at its start is shown.
const WELCOME_LINES_MAX: usize = 20;

/// A running `guardian serve`.
#[derive(Debug)]
pub(crate) struct Server {
    service: Service,
    log: PathBuf,
    /// Where it serves.
    pub(crate) url: String,
}

/// Writes `guardian.yaml` when the data directory has none; an existing one is the user's.
pub(crate) fn write_config(data: &Path, countries: Option<&Path>) -> Result<()> {
    let path = data.join("guardian.yaml");
    if path.exists() {
        say::note(&format!("using {}", path.display()));
        return Ok(());
    }
    let mut file = std::fs::File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    writeln!(
        file,
        "# Written by `cargo xtask up`; yours to edit. `guardian config show` prints every value in effect."
    )?;
    if let Some(countries) = countries {
        writeln!(file, "enrich:\n  geo: [{}]", countries.display())?;
    }
    say::note(&format!("wrote {}", path.display()));
    Ok(())
}

impl Server {
    /// Starts it and waits until it serves.
    pub(crate) fn start(data: &Path, arguments: &[String], interrupt: &Interrupt) -> Result<Self> {
        let log = data.join("serve.log");
        let file = std::fs::File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = Command::new(cargo::guardian());
        command.arg("--data").arg(data).arg("serve").args(arguments);
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let service = Service::start("guardian serve", &mut command)?;
        let mut server = Self { service, log, url: String::new() };
        let start = Instant::now();
        while server.url.is_empty() {
            server.must_live()?;
            if let Some(url) = serving(data, server.service.id()) {
                server.url = url;
            } else if start.elapsed().as_secs() > READY_SECONDS_MAX {
                bail!("the server is not ready after {READY_SECONDS_MAX} s:\n{}", server.said());
            } else if !interrupt.sleep(Duration::from_millis(10)) {
                bail!("stopped");
            }
        }
        Ok(server)
    }

    /// What it wrote so far, the last lines of it.
    fn said(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }

    /// Fails, with a hint, when the server has ended.
    pub(crate) fn must_live(&mut self) -> Result<()> {
        match self.service.ended()? {
            Some(_) => super::explain(&self.said()),
            None => Ok(()),
        }
    }

    /// Ends it and waits until its data is safe.
    pub(crate) fn stop(&mut self) -> Result<()> {
        if let Some(status) = self.service.stop()?
            && !status.success()
            && status.code().is_some()
        {
            bail!("the server ended with {status}:\n{}", self.said());
        }
        Ok(())
    }

    /// Where to go from here, and what the server said at its start: addresses, fingerprint, set-up token.
    pub(crate) fn introduce(&self, data: &Path) {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        for line in text.lines().take(WELCOME_LINES_MAX) {
            say::note(line);
        }
        let guardian = cargo::guardian();
        say::note("");
        say::note(&format!("API and its documentation: {}/api/docs (log: {})", self.url, self.log.display()));
        say::note(&format!("in another terminal:  alias guardian='{} --data {}'", guardian.display(), data.display()));
        say::note("  guardian alerts                     what was found");
        say::note("  guardian exporters                  who sends flows, and what was lost");
        say::note("  guardian query 'SELECT dst_port, count(*) FROM flows GROUP BY 1 ORDER BY 2 DESC LIMIT 5'");
        say::note("  guardian user add NAME --role admin the first account");
        say::note("  guardian demo clear                 remove what was replayed");
        say::note(
            "send it flows: NetFlow and IPFIX to UDP 2055 or 4739, sFlow to 6343 (docs/exporters.md). Ctrl-C stops.",
        );
    }
}

/// The URL in the run file, once that process listens on it.
fn serving(data: &Path, pid: u32) -> Option<String> {
    let text = std::fs::read_to_string(data.join("run").join("server.json")).ok()?;
    let run: Value = serde_json::from_str(&text).ok()?;
    if run.get("pid")?.as_u64()? != u64::from(pid) {
        return None;
    }
    let url = run.get("url")?.as_str()?.trim_end_matches('/').to_owned();
    let authority = url.split("://").nth(1)?.split('/').next()?;
    let address = authority.to_socket_addrs().ok()?.next()?;
    TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok()?;
    Some(url)
}
