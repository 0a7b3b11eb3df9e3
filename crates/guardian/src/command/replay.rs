//! `guardian replay FILE`: recorded traffic through the running server.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use guardian_pipeline::replay::Speed;
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::Method;
use serde_json::{Value, json};

use super::Global;
use crate::output::{self, Format, Table};
use crate::remote::{Remote, block_on};

const EXAMPLES: &str = "\
A capture of export datagrams (NetFlow, IPFIX, sFlow) is fed as from its original exporters; other packets are metered
into flows. Everything that comes of it is tagged, never triggers a response, and goes away with `guardian demo clear`.

  guardian replay office.pcap                  at recorded speed, times moved to now
  guardian replay captures/*.pcap --speed 20   twenty times as fast
  guardian replay old.pcapng --speed max --original-time";

/// Feed captures (pcap, pcapng) to the running server.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Replay {
    /// Capture files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Times the recorded speed, or `max`
    #[arg(long, default_value = "1", value_name = "N")]
    speed: Speed,
    /// Keep the recorded times instead of moving them to now
    #[arg(long)]
    original_time: bool,
    /// Tag of the replay [default: the file's name]
    #[arg(long)]
    name: Option<String>,
}

impl Replay {
    pub(crate) fn run(self, global: &Global) -> Result<ExitCode> {
        for file in &self.files {
            if !file.is_file() {
                bail!("{} is not a file", file.display());
            }
        }
        let remote = Remote::require(global)?;
        block_on(async {
            let columns = ["file", "packets", "exports", "flows", "decode_errors", "recorded_seconds", "issues"];
            let mut table = Table::new(columns);
            for file in &self.files {
                let done = self.one(&remote, file).await.with_context(|| format!("replay of {}", file.display()))?;
                let cell = |key: &str| match done.get(key) {
                    Some(Value::Array(issues)) => {
                        json!(issues.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("; "))
                    }
                    Some(value) => value.clone(),
                    None => Value::Null,
                };
                let mut row: Vec<Value> = columns.iter().map(|c| cell(c)).collect();
                row[0] = json!(file.display().to_string());
                table.push(row);
            }
            output::print(&table, global.output)?;
            if global.output == Format::Table {
                output::note("`guardian alerts` shows what was found; `guardian demo clear` removes all of it");
            }
            Ok(ExitCode::SUCCESS)
        })
    }

    async fn one(&self, remote: &Remote, file: &Path) -> Result<Value> {
        let stem = file.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        let name = self.name.clone().unwrap_or(stem);
        let speed = match self.speed {
            Speed::Max => "max".to_owned(),
            Speed::Times(times) => times.to_string(),
        };
        let query = [("name", name.clone()), ("speed", speed), ("original_time", self.original_time.to_string())];
        let body = tokio::fs::read(file).await.with_context(|| format!("cannot read {}", file.display()))?;
        let request = remote
            .request(Method::POST, "/replays")
            .query(&query)
            .header("content-type", "application/vnd.tcpdump.pcap")
            .body(body);
        let created = remote.json(request).await?;
        let id = created.get("id").and_then(Value::as_str).context("the server named no replay")?.to_owned();
        let path = format!("/replays/{id}");
        let bar = ProgressBar::new(1_000);
        let style = ProgressStyle::with_template("{prefix:24} {bar:40} {percent:>3} %  {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_prefix(name);
        loop {
            let state = tokio::select! {
                state = remote.json(remote.request(Method::GET, &path)) => state?,
                _ = tokio::signal::ctrl_c() => {
                    remote.send(remote.request(Method::DELETE, &path)).await?;
                    bar.abandon_with_message("cancelled");
                    bail!("cancelled; what was fed so far goes away with `guardian demo clear`");
                }
            };
            let number = |key: &str| state.get(key).and_then(Value::as_u64).unwrap_or_default();
            bar.set_position((state.get("fraction").and_then(Value::as_f64).unwrap_or_default() * 1_000.0) as u64);
            bar.set_message(format!("{} packets, {} flows", number("packets"), number("flows")));
            if let Some(summary) = state.get("summary").filter(|s| !s.is_null()) {
                bar.finish();
                return Ok(summary.clone());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}
