//! The whole path, measured from outside: the built program in a fresh data directory, datagrams on its socket, answers
//! from its command line. What is found here is what an operator would find.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::generator::{Sent, sent};
use crate::attacks::guardian;
use crate::child::Service;
use crate::{cargo, say};

/// Flows a second that must be sustained without loss.
const RATE_FLOOR: u64 = 300_000;
/// How long the load lasts, in seconds; compaction has to keep up for that long.
const LOAD_SECONDS: u64 = 30;
/// Rates that are tried, the floor first; the highest without loss is reported.
const RATES: &[u64] = &[RATE_FLOOR, 500_000, 750_000, 1_000_000];
/// Scans that are timed for the latency of alerts.
const SCANS: usize = 100;
/// Ports of one scan; the rule asks for 40.
const SCAN_PORTS: u16 = 60;
/// Ceilings: latency, memory when idle, time to be ready.
const LATENCY_MS_MAX: f64 = 1_000.0;
const IDLE_BYTES_MAX: f64 = 100e6;
const READY_MS_MAX: f64 = 1_000.0;
/// Every flow that came over the network.
const STORED: &str = "SELECT count(*) AS n FROM flows WHERE replay IS NULL";
/// Addresses on the indicator list that the load is held against.
const INDICATORS: u32 = 100_000;

/// Runs all parts and returns their results.
pub(crate) fn run() -> Result<Vec<Value>> {
    let mut results = Vec::new();
    let bench = Bench::start("spine")?;
    results.push(ceiling("spine/ready", bench.ready.as_secs_f64() * 1e3, "ms", READY_MS_MAX));
    std::thread::sleep(Duration::from_secs(3));
    results.push(ceiling("spine/idle_memory", bench.resident_bytes()?, "bytes", IDLE_BYTES_MAX));
    let latencies = bench.latencies()?;
    results.push(json!({"bench": "spine/alert_latency_p50", "value": percentile(&latencies, 0.5), "unit": "ms"}));
    results.push(ceiling("spine/alert_latency_p99", percentile(&latencies, 0.99), "ms", LATENCY_MS_MAX));
    drop(bench);
    for rate in RATES {
        let bench = Bench::start("load")?;
        let (load, lossless) = bench.load(*rate)?;
        results.extend(load);
        if !lossless {
            break;
        }
    }
    Ok(results)
}

/// A result with the value that it must stay under.
pub(super) fn ceiling(bench: &str, value: f64, unit: &str, max: f64) -> Value {
    json!({"bench": bench, "value": value, "unit": unit, "floor": max, "pass": value < max})
}

/// A server of our own in a directory that goes away with it.
pub(super) struct Bench {
    pub(super) server: Service,
    pub(super) data: PathBuf,
    ready: Duration,
    /// Where it takes flows.
    pub(super) flows: SocketAddr,
    /// Where it answers.
    pub(super) url: String,
}

impl Drop for Bench {
    fn drop(&mut self) {
        if let Err(error) = self.server.stop() {
            say::failure(&error);
        }
        if let Err(error) = std::fs::remove_dir_all(&self.data) {
            say::note(&format!("could not remove {}: {error}", self.data.display()));
        }
    }
}

impl Bench {
    pub(super) fn start(name: &str) -> Result<Self> {
        let data = cargo::target_dir().join("bench").join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir_all(&data).with_context(|| format!("cannot make {}", data.display()))?;
        write_config(&data)?;
        let log = std::fs::File::create(data.join("serve.log"))?;
        let mut command = guardian(&data);
        command.arg("serve").stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let begun = Instant::now();
        let mut server = Service::start("guardian serve", &mut command)?;
        let run = loop {
            if server.ended()?.is_some() {
                let said = std::fs::read_to_string(data.join("serve.log")).unwrap_or_default();
                anyhow::bail!("the server ended:\n{said}");
            }
            ensure!(begun.elapsed().as_secs() < 30, "the server does not become ready");
            let text = std::fs::read_to_string(data.join("run").join("server.json")).unwrap_or_default();
            if let Ok(run) = serde_json::from_str::<Value>(&text) {
                break run;
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let ready = begun.elapsed();
        let flows = run["flows"][0].as_str().context("the run file names no flow listener")?.parse()?;
        let url = run["url"].as_str().context("the run file names no address")?.to_owned();
        Ok(Self { server, data, ready, flows, url })
    }

    /// Resident memory of the server.
    pub(super) fn resident_bytes(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.server.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kib: f64 = line.split_whitespace().next().context("no VmRSS")?.parse()?;
        Ok(kib * 1024.0)
    }

    /// A number that a query answers.
    fn number(&self, sql: &str) -> Result<u64> {
        let rows = self.json(&["query", sql])?;
        rows[0]["n"].as_u64().with_context(|| format!("{sql}: {rows}"))
    }

    /// What the command line answers as JSON.
    pub(super) fn json(&self, args: &[&str]) -> Result<Value> {
        let output = guardian(&self.data).args(["--output", "json"]).args(args).output()?;
        ensure!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// Alerts as they come on the stream, with the moment.
    pub(super) fn follow(&self) -> Result<(Service, Receiver<(Instant, Value)>)> {
        let mut command = guardian(&self.data);
        command.args(["--output", "json", "alerts", "--follow"]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut follower = Service::start("guardian alerts", command.stderr(Stdio::null()))?;
        let output = follower.child().stdout.take().context("no output")?;
        let (send, alerts) = sync_channel(1_000);
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let seen = Instant::now();
                if let Ok(alert) = serde_json::from_str::<Value>(&line)
                    && send.send((seen, alert)).is_err()
                {
                    break;
                }
            }
        });
        Ok((follower, alerts))
    }

    /// Milliseconds from the datagram that completes a scan to its alert on the stream, sorted.
    fn latencies(&self) -> Result<Vec<f64>> {
        let (_follower, alerts) = self.follow()?;
        std::thread::sleep(Duration::from_millis(700));
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        let mut latencies = Vec::new();
        for scan in 0..SCANS {
            let source = [198, 51, 100, 1 + scan as u8];
            for ports in (1..=SCAN_PORTS).collect::<Vec<_>>().chunks(30) {
                socket.send_to(&scan_datagram(source, ports, scan as u32), self.flows)?;
            }
            let sent = Instant::now();
            let wanted = format!("198.51.100.{}", 1 + scan);
            let seen = loop {
                let (seen, alert) = alerts
                    .recv_timeout(Duration::from_secs(10))
                    .with_context(|| format!("no alert for the scan by {wanted}"))?;
                if alert["entity"].as_str().is_some_and(|entity| entity.contains(&wanted)) {
                    break seen;
                }
            };
            latencies.push(seen.saturating_duration_since(sent).as_secs_f64() * 1e3);
            // Not in step with any timer of the server.
            std::thread::sleep(Duration::from_millis(30 + (scan as u64 * 37) % 90));
        }
        latencies.sort_by(f64::total_cmp);
        Ok(latencies)
    }

    /// Says where flows went missing, by the exporters' own counters.
    fn explain_loss(&self) -> Result<()> {
        let output = guardian(&self.data).args(["--output", "json", "exporters", "--all"]).output()?;
        let rows: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        for name in ["packets", "flows", "lost", "queue_drops", "errors", "held_records", "dropped_sets", "reordered"] {
            let sum: u64 = rows.as_array().into_iter().flatten().filter_map(|row| row[name].as_u64()).sum();
            say::note(&format!("  {name:<14} {sum:>12} over all exporters"));
        }
        Ok(())
    }

    /// The command that sends a steady load.
    pub(super) fn generator(&self, rate: u64, seconds: u64) -> Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["generate-load", "--to", &self.flows.to_string(), "--rate", &rate.to_string()]);
        command.args(["--seconds", &seconds.to_string()]).stdin(Stdio::null());
        Ok(command)
    }

    /// How many flows can be queried once all of `flows` are there or nothing more comes, and how long after `begun` the
    /// last of them came.
    pub(super) fn stored(&self, flows: u64, begun: Instant) -> Result<(u64, Duration)> {
        let mut stored = self.number(STORED)?;
        let mut complete = begun.elapsed();
        // What is missing is either on its way or lost: wait until nothing more comes.
        let mut quiet = 0;
        while stored < flows && quiet < 5 {
            std::thread::sleep(Duration::from_millis(300));
            let now = self.number(STORED)?;
            if now > stored {
                (stored, complete, quiet) = (now, begun.elapsed(), 0);
            } else {
                quiet += 1;
            }
        }
        Ok((stored, complete))
    }

    /// A steady load; its results, and whether everything that was sent can be queried.
    fn load(&self, rate: u64) -> Result<(Vec<Value>, bool)> {
        let cpu_before = cpu_seconds(self.server.id())?;
        let begun = Instant::now();
        let output = self.generator(rate, LOAD_SECONDS)?.output()?;
        ensure!(output.status.success(), "the load generator failed: {}", String::from_utf8_lossy(&output.stderr));
        let Sent { flows, seconds, cpu_seconds: generator_cpu } = sent(&output.stdout)?;
        let (stored, complete) = self.stored(flows, begun)?;
        let achieved = flows as f64 / seconds;
        let lost = flows.saturating_sub(stored);
        let server_cores = (cpu_seconds(self.server.id())? - cpu_before) / complete.as_secs_f64();
        let generator_cores = generator_cpu / seconds;
        let lossless = lost == 0 && achieved > rate as f64 * 0.97;
        if lost > 0 {
            self.explain_loss()?;
        }
        let name = format!("spine/flows_at_{}k", rate / 1000);
        let mut first = json!({"bench": name, "value": stored as f64 / complete.as_secs_f64(), "unit": "flows/s"});
        if rate == RATE_FLOOR {
            // The end is when the last flow could be queried, a moment after it was sent.
            first["floor"] = json!(RATE_FLOOR);
            first["pass"] = json!(lossless && stored as f64 / complete.as_secs_f64() > RATE_FLOOR as f64 * 0.95);
        }
        let results = vec![
            first,
            json!({"bench": format!("{name}/lost"), "value": lost, "unit": "flows"}),
            json!({"bench": format!("{name}/generator_cpu"), "value": generator_cores, "unit": "cores"}),
            json!({"bench": format!("{name}/server_cpu"), "value": server_cores, "unit": "cores"}),
            json!({"bench": format!("{name}/memory"), "value": self.resident_bytes()?, "unit": "bytes"}),
        ];
        Ok((results, lossless))
    }
}

/// Free ports, the country database if `up` fetched it, and a list of indicators (multicast addresses, each another) that
/// nothing matches.
fn write_config(data: &Path) -> Result<()> {
    let mut list = std::io::BufWriter::new(std::fs::File::create(data.join("indicators.txt"))?);
    for n in 0..INDICATORS {
        let address = std::net::Ipv4Addr::from(0xe000_0000 | (n.wrapping_mul(2_654_435_761) >> 4));
        writeln!(list, "{address}")?;
    }
    list.flush()?;
    let countries = cargo::target_dir()
        .join("country-database/node_modules/@ip-location-db/geo-whois-asn-country-mmdb/geo-whois-asn-country.mmdb");
    let geo = if countries.exists() { countries.display().to_string() } else { String::new() };
    let list = data.join("indicators.txt");
    let text = format!(
        "server: {{address: '127.0.0.1:0'}}\ncollect:\n  listeners: [{{address: '127.0.0.1:0'}}]\n\
         enrich:\n  geo: [{geo}]\n  indicators: [{{name: bench, path: {}}}]\n",
        list.display()
    );
    std::fs::write(data.join("guardian.yaml"), text).context("cannot write the configuration")
}

/// A NetFlow v5 datagram with one SYN to each port.
#[expect(clippy::disallowed_methods, reason = "a load generator stamps its datagrams with the true time")]
fn scan_datagram(source: [u8; 4], ports: &[u16], engine: u32) -> Vec<u8> {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let uptime = 600_000u32;
    let mut out = Vec::with_capacity(24 + 48 * ports.len());
    out.extend_from_slice(&5u16.to_be_bytes());
    out.extend_from_slice(&(ports.len() as u16).to_be_bytes());
    for word in [uptime, unix.as_secs() as u32, unix.subsec_nanos(), 0] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    out.extend_from_slice(&[0, engine as u8, 0, 0]);
    for port in ports {
        out.extend_from_slice(&source);
        out.extend_from_slice(&[10, 20, 0, 10]);
        out.extend_from_slice(&[0; 8]);
        for word in [1, 44, uptime - 50, uptime - 50] {
            out.extend_from_slice(&u32::to_be_bytes(word));
        }
        out.extend_from_slice(&54_321u16.to_be_bytes());
        out.extend_from_slice(&port.to_be_bytes());
        out.extend_from_slice(&[0, 0x02, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    }
    out
}

/// CPU time of a process, user and system.
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("no process {pid}"))?;
    // The name may contain blanks; what follows the last parenthesis does not.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok()).unwrap_or_default();
    // Fields 14 and 15 of proc(5), in ticks of which Linux has 100 a second.
    Ok((ticks(11) + ticks(12)) / 100.0)
}

/// The value under which this share of the sorted values lies.
pub(super) fn percentile(sorted: &[f64], share: f64) -> f64 {
    let at = ((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len().max(1)) - 1;
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        for (share, wanted) in [(0.5, 50.0), (0.99, 99.0), (1.0, 100.0)] {
            assert!((percentile(&values, share) - wanted).abs() < 1e-9);
        }
    }

    #[test]
    fn a_scan_fills_its_datagram() {
        assert_eq!(scan_datagram([1, 2, 3, 4], &[1, 2, 3], 0).len(), 24 + 3 * 48);
    }
}
