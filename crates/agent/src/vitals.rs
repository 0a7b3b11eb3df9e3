//! How the machine and the agent are: processor, memory, root file system, load, and what the agent itself uses.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use guardian_protocol::classes::HEALTH;
use guardian_protocol::{Cell, Events};

use crate::outbox::Outbox;
use crate::spooler::Shared;

/// Longest sleep, so that a stop is seen.
const LOOK: Duration = Duration::from_millis(50);

/// Starts the thread that measures every `every`.
pub(crate) fn start(outbox: Outbox, every: Duration, shared: Arc<Shared>) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("vitals".into()).spawn(move || {
        let mut before = None;
        let mut due = Instant::now();
        while !shared.stop.load(Ordering::Acquire) {
            if Instant::now() >= due {
                due = Instant::now() + every;
                outbox.send(measure(&mut before));
            }
            std::thread::sleep(LOOK.min(every));
        }
    })
}

/// Busy and whole time of all processors, in ticks.
type Ticks = (u64, u64);

fn measure(before: &mut Option<Ticks>) -> Events {
    let mut rows = HEALTH.rows();
    let time = Cell::Time(crate::now());
    let mut push = |metric: &str, object: Option<&str>, value: u64, unit: &str| {
        let object = object.map_or(Cell::Null, Cell::Text);
        rows.push(&[time, Cell::Text(metric), object, Cell::Number(value), Cell::Text(unit)]);
    };
    if let Some(now) = ticks(&read("/proc/stat")) {
        if let Some((busy, whole)) = before.replace(now) {
            let (busy, whole) = (now.0.saturating_sub(busy), now.1.saturating_sub(whole).max(1));
            push("cpu_busy", None, busy * 100 / whole, "percent");
        }
    }
    let memory = read("/proc/meminfo");
    for (metric, name) in [("memory_total", "MemTotal:"), ("memory_available", "MemAvailable:")] {
        if let Some(kib) = field(&memory, name) {
            push(metric, None, kib << 10, "bytes");
        }
    }
    if let Some(load) = read("/proc/loadavg").split(' ').next().and_then(|n| n.parse::<f64>().ok()) {
        push("load_1m_hundredths", None, (load * 100.0) as u64, "");
    }
    if let Ok(disk) = nix::sys::statvfs::statvfs("/") {
        let block = disk.fragment_size() as u64;
        push("disk_total", Some("/"), disk.blocks() as u64 * block, "bytes");
        push("disk_available", Some("/"), disk.blocks_available() as u64 * block, "bytes");
    }
    if let Ok(bytes) = guardian_sys::process::resident_bytes() {
        push("agent_memory", None, bytes, "bytes");
    }
    if let Ok(cpu) = guardian_sys::process::cpu_time() {
        push("agent_cpu", None, cpu.as_micros() as u64, "us");
    }
    rows.finish()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// The number behind a name in `/proc/meminfo`, in KiB.
fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

/// The first line of `/proc/stat`.
fn ticks(text: &str) -> Option<Ticks> {
    let numbers: Vec<u64> =
        text.lines().next()?.strip_prefix("cpu ")?.split_whitespace().map_while(|n| n.parse().ok()).collect();
    let idle = numbers.get(3)? + numbers.get(4).copied().unwrap_or(0);
    // Guests are among the users already.
    let whole: u64 = numbers.iter().take(8).sum();
    Some((whole - idle, whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_kernel_are_read() {
        assert_eq!(ticks("cpu  10 0 5 80 5 0 0 0 3 0\ncpu0 1"), Some((15, 100)));
        assert_eq!(ticks(""), None);
        assert_eq!(field("MemTotal:  24 kB\nMemAvailable: 7 kB\n", "MemAvailable:"), Some(7));
        let mut before = None;
        let (first, second) = (measure(&mut before), measure(&mut before));
        assert!(first.rows >= 6 && second.rows == first.rows + 1, "the processor is measured between two looks");
    }
}
