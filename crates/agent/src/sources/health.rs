//! How the host and the agent are: processor, memory, disks, network, load, and what the agent itself takes.

mod measure;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use guardian_protocol::Cell;
use guardian_protocol::classes::{HEALTH, HealthColumn as C};
use guardian_sys::{disk, process};

pub use measure::{Counts, Processor, disks, filesystems, interfaces, load, memory, processor};

use crate::outbox::Outbox;
use crate::sources::batcher::{Batcher, WAIT_MAX, some_text};

/// Disks, file systems and interfaces that are measured, each.
const OBJECTS_MAX: usize = 64;

/// A measured value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measured {
    /// What.
    pub metric: &'static str,
    /// Of which one.
    pub object: Option<String>,
    /// The value.
    pub value: u64,
    /// Its unit.
    pub unit: &'static str,
}

/// How the agent's own parts are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// Memory of its children.
    pub children_bytes: u64,
    /// How often one of them, or all of it, had to be started anew.
    pub anew: u64,
    /// Changes of watched files that nobody has approved.
    pub files_open: u64,
}

type Count = Box<dyn Fn() -> Parts + Send>;

/// The source. One thread drives it.
pub struct Health {
    every: Duration,
    measured: Option<Instant>,
    processor: Option<Processor>,
    rates: HashMap<(&'static str, String), u64>,
    own: Option<Duration>,
    count: Option<Count>,
    batcher: Batcher,
}

impl Health {
    /// Measures each time after `every`.
    pub fn start(outbox: Outbox, every: Duration) -> Self {
        let batcher = Batcher::new(outbox, &HEALTH);
        Self { every, measured: None, processor: None, rates: HashMap::new(), own: None, count: None, batcher }
    }

    /// Tells of the agent's own parts too.
    pub fn count(&mut self, count: impl Fn() -> Parts + Send + 'static) {
        self.count = Some(Box::new(count));
    }

    /// Works until it is told to stop.
    pub fn run(&mut self, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            self.step();
            std::thread::sleep(self.every.min(WAIT_MAX));
        }
        self.batcher.flush();
    }

    /// Measures if it is time.
    pub fn step(&mut self) {
        if self.measured.is_none_or(|at| at.elapsed() >= self.every) {
            self.tell();
        }
        self.batcher.tick();
    }

    /// Measures now and adds the rows.
    pub fn tell(&mut self) {
        let at = crate::now();
        for measured in self.measure() {
            let mut cells = [Cell::Null; C::COUNT];
            cells[C::Time as usize] = Cell::Time(at);
            cells[C::Metric as usize] = Cell::Text(measured.metric);
            cells[C::Object as usize] = some_text(measured.object.as_deref());
            cells[C::Value as usize] = Cell::Number(measured.value);
            cells[C::Unit as usize] = Cell::Text(measured.unit);
            self.batcher.push(&cells);
        }
    }

    /// Measures now. What is a rate needs a measurement before.
    pub fn measure(&mut self) -> Vec<Measured> {
        let passed = self.measured.replace(Instant::now()).map(|at| at.elapsed());
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let mut all = Vec::new();
        let mut add = |metric, object: Option<&str>, value, unit| {
            all.push(Measured { metric, object: object.map(str::to_owned), value, unit });
        };
        let processor = processor(&read("/proc/stat"));
        if let Some((before, now)) = self.processor.zip(processor) {
            for (metric, value) in now.since(&before) {
                add(metric, None, value, "permille");
            }
        }
        self.processor = processor.or(self.processor);
        for (metric, value) in memory(&read("/proc/meminfo")) {
            add(metric, None, value, "bytes");
        }
        if let Some((one, five, fifteen)) = load(&read("/proc/loadavg")) {
            add("load_1m", None, one, "milli");
            add("load_5m", None, five, "milli");
            add("load_15m", None, fifteen, "milli");
        }
        for (_, point) in filesystems(&read("/proc/self/mounts")).into_iter().take(OBJECTS_MAX) {
            let Ok(space) = disk::space(Path::new(&point)) else { continue };
            add("filesystem_total", Some(&point), space.total_bytes, "bytes");
            add("filesystem_available", Some(&point), space.available_bytes, "bytes");
        }
        let mut rates = disks(&read("/proc/diskstats"));
        rates.extend(interfaces(&read("/proc/net/dev")));
        for (metric, value, unit) in self.rates(rates, passed) {
            add(metric.0, Some(&metric.1), value, unit);
        }
        let parts = self.count.as_ref().map(|count| count());
        if let Ok(resident) = process::resident_bytes() {
            add("agent_memory", None, resident + parts.map_or(0, |parts| parts.children_bytes), "bytes");
        }
        if let Some(parts) = parts {
            add("agent_restarts", None, parts.anew, "count");
            add("files_open", None, parts.files_open, "count");
        }
        if let Ok(used) = process::cpu_time() {
            if let Some((before, passed)) = self.own.zip(passed) {
                let share = used.saturating_sub(before).as_secs_f64() / passed.as_secs_f64().max(0.001);
                add("agent_cpu", None, (share * 1_000.0) as u64, "permille");
            }
            self.own = Some(used);
        }
        let uptime = read("/proc/uptime");
        if let Some(seconds) = uptime.split('.').next().and_then(|s| s.parse().ok()) {
            add("uptime", None, seconds, "s");
        }
        all
    }

    /// Counters as what they grew by in a second. One that went back has begun anew.
    fn rates(&mut self, counts: Counts, passed: Option<Duration>) -> Vec<((&'static str, String), u64, &'static str)> {
        let mut told = Vec::new();
        let mut kept: BTreeMap<&'static str, usize> = BTreeMap::new();
        for (metric, object, count, unit) in counts {
            let room = kept.entry(metric).or_default();
            if *room >= OBJECTS_MAX {
                continue;
            }
            *room += 1;
            let key = (metric, object);
            let before = self.rates.insert(key.clone(), count);
            if let Some((before, passed)) = before.zip(passed).filter(|(before, _)| *before <= count) {
                let a_second = (count - before) as f64 / passed.as_secs_f64().max(0.001);
                told.push((key, a_second as u64, unit));
            }
        }
        if self.rates.len() > 8 * OBJECTS_MAX {
            self.rates.clear();
        }
        told
    }
}
