//! Fetching advisories now and then, where the configuration asks for it. It is `guardian vulndb update` in a process of its
//! own, so that what a build needs of memory is given back, and what goes wrong in it stops nothing here.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};
use guardian_kit::metrics::{CounterFamily, Gauge};
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

use super::Ground;
use crate::command::EXIT_WANTING;
use crate::config::Config;
use crate::updates::Last;

/// How often it is looked whether it is time.
const LOOK: Duration = Duration::from_secs(60);
/// Nobody is asked more often than this.
const INTERVAL_MIN: Duration = Duration::from_secs(15 * 60);
/// How long one round may take.
const WHOLE: Duration = Duration::from_secs(6 * 3600);
/// Bytes of what it says that are passed on.
const SAID_BYTES_MAX: u64 = 64 << 10;

struct Updating {
    data: PathBuf,
    stores: PathBuf,
    downloads: PathBuf,
    mirror: String,
    keep_days: u32,
    rounds: CounterFamily,
    failed: Gauge,
    updated: Gauge,
}

/// Begins, if the configuration says how often.
pub(super) fn start(ground: &Ground, config: &Config) {
    let set = &config.vulnerabilities;
    let interval = set.update_interval.get();
    if interval.is_zero() {
        return;
    }
    let below = |named: &PathBuf, usual: &str| {
        if named.as_os_str().is_empty() { config.data.join(usual) } else { named.clone() }
    };
    let metrics = &ground.metrics;
    let updating = Updating {
        data: config.data.clone(),
        stores: below(&set.store, "advisories"),
        downloads: below(&set.downloads, "downloads"),
        mirror: set.update_mirror.clone(),
        keep_days: set.keep_days,
        rounds: metrics.counter_with(
            "guardian_advisories_updates_total",
            "Rounds in which advisories were fetched",
            &["result"],
        ),
        failed: metrics.gauge("guardian_advisories_files_missing", "Files of advisories that could not be fetched"),
        updated: metrics
            .gauge("guardian_advisories_updated_seconds", "When advisories were last fetched, since the epoch"),
    };
    let (clock, mut rounds) = (ground.clock.clone(), ground.shutdown.rounds(LOOK));
    let (interval_s, token) = (interval.max(INTERVAL_MIN).as_secs(), ground.shutdown.token());
    let mut tried_s = i64::MIN / 2;
    tokio::spawn(async move {
        while rounds.next().await {
            let now_s = clock.now().0.div_euclid(1_000_000);
            let ended_s = Last::read(&updating.downloads).map_or(tried_s, |last| last.ended_s.max(tried_s));
            // A clock that was set back is no reason to wait.
            if ended_s <= now_s && now_s.saturating_sub(ended_s).unsigned_abs() < interval_s {
                continue;
            }
            tried_s = now_s;
            tokio::select! {
                () = updating.round() => {}
                () = token.cancelled() => return,
            }
        }
    });
}

impl Updating {
    async fn round(&self) {
        tracing::info!(mirror = self.mirror, "fetching advisories");
        let result = match tokio::time::timeout(WHOLE, self.run()).await {
            Ok(Ok((code, _))) if code == Some(0) => "ok",
            Ok(Ok((code, said))) if code == Some(i32::from(EXIT_WANTING)) => {
                tracing::warn!(said, "some advisories could not be fetched; those that were there hold");
                "partly"
            }
            Ok(Ok((code, said))) => {
                tracing::error!(?code, said, "advisories could not be fetched; the store stays as it is");
                "failed"
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "advisories could not be fetched; the store stays as it is");
                "failed"
            }
            Err(_) => {
                tracing::error!("fetching advisories took too long; the store stays as it is");
                "failed"
            }
        };
        self.rounds.with(&[result]).inc(1);
        if let Some(last) = Last::read(&self.downloads) {
            self.failed.set(i64::try_from(last.failed().count()).unwrap_or(i64::MAX));
            self.updated.set(last.ended_s);
            tracing::info!(result, files = last.files.len(), "advisories were asked for");
        }
    }

    /// Runs the program; gives its exit code and the end of what it said. It is killed when this is given up.
    async fn run(&self) -> Result<(Option<i32>, String)> {
        let program = std::env::current_exe().context("the program does not know where it is")?;
        let mut command = Command::new(program);
        command.arg("--data").arg(&self.data).args(["vulndb", "update", "--keep-days"]).arg(self.keep_days.to_string());
        command.arg("--store").arg(&self.stores).arg("--downloads").arg(&self.downloads);
        if !self.mirror.is_empty() {
            command.arg("--mirror").arg(&self.mirror);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().context("the program cannot be started again")?;
        let mut said = Vec::new();
        if let Some(mut errors) = child.stderr.take() {
            (&mut errors).take(SAID_BYTES_MAX).read_to_end(&mut said).await?;
            // What is more than that is read, so that it need not wait, and forgotten.
            tokio::io::copy(&mut errors, &mut tokio::io::sink()).await?;
        }
        let status = child.wait().await?;
        Ok((status.code(), String::from_utf8_lossy(&said).trim().replace('\n', "; ")))
    }
}
