//! Many agents in one process, to put load on a server: they enrol, connect, say that they are there and send events as
//! real ones do. What they have not been told to be safe they keep in memory and send again.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use guardian_protocol::classes::HEALTH;
use guardian_protocol::message::{Batch, Heartbeat, Hello, Lane};
use guardian_protocol::{Cell, FromAgent, FromServer, VERSION_MAX, VERSION_MIN, seal};
use rand::RngExt as _;
use serde::Serialize;
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, sleep_until};

use crate::enrol::enrol;
use crate::facts::Facts;
use crate::home::Identity;
use crate::talk::{Ended, Link, stopped};

/// Machines that enrol, or shake hands, at the same time.
const AT_ONCE: usize = 64;
/// Rows that one agent sends at once.
const ROWS: f64 = 5.0;

/// What to play.
#[derive(Clone, Debug)]
pub struct Simulation {
    /// The server.
    pub server: String,
    /// A token that lets all of them in.
    pub token: String,
    /// How many.
    pub agents: usize,
    /// Events of all of them together.
    pub events_per_second: f64,
    /// How long.
    pub length: Duration,
    /// Whether all lose their connection at half time.
    pub storm: bool,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Played {
    /// Agents.
    pub agents: usize,
    /// Seconds until all were enrolled.
    pub enrolled_s: f64,
    /// Seconds until all were connected.
    pub connected_s: f64,
    /// Seconds from the moment that all lost their connection until all had one again.
    pub storm_s: Option<f64>,
    /// Rows that are safe.
    pub rows: u64,
    /// Batches that are safe.
    pub batches: u64,
    /// Heartbeats that were answered.
    pub beats: u64,
    /// Connections that broke or were refused.
    pub broken: u64,
    /// Milliseconds from sending a batch to its acknowledgement: the middle, the 95th and the 99th of 100, the longest.
    pub ack_ms: [f64; 4],
}

struct Play {
    simulation: Simulation,
    connected: AtomicUsize,
    rows: AtomicU64,
    batches: AtomicU64,
    beats: AtomicU64,
    broken: AtomicU64,
    took_us: Mutex<Vec<u32>>,
    shaking: Semaphore,
    facts: Facts,
    stop: watch::Receiver<bool>,
    /// Grows when all are to lose their connection.
    storms: watch::Receiver<u32>,
}

/// Plays it.
pub fn run(simulation: Simulation) -> anyhow::Result<Played> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(play(simulation))
}

async fn play(simulation: Simulation) -> anyhow::Result<Played> {
    let (stop, stopping) = watch::channel(false);
    let (storm, storms) = watch::channel(0);
    let play = Arc::new(Play {
        connected: AtomicUsize::new(0),
        rows: AtomicU64::new(0),
        batches: AtomicU64::new(0),
        beats: AtomicU64::new(0),
        broken: AtomicU64::new(0),
        took_us: Mutex::default(),
        shaking: Semaphore::new(AT_ONCE),
        facts: Facts::read(),
        stop: stopping,
        storms,
        simulation: simulation.clone(),
    });
    let begun = Instant::now();
    let mut enrolling = tokio::task::JoinSet::new();
    for number in 0..simulation.agents {
        let play = Arc::clone(&play);
        enrolling.spawn(async move {
            let _turn = play.shaking.acquire().await;
            let wanted = &play.simulation;
            enrol(&wanted.server, None, &wanted.token, Some(&format!("sim-{number:05}"))).await
        });
    }
    let mut identities = Vec::new();
    while let Some(done) = enrolling.join_next().await {
        identities.push(done??);
    }
    let mut played =
        Played { agents: simulation.agents, enrolled_s: begun.elapsed().as_secs_f64(), ..Played::default() };
    let begun = Instant::now();
    let agents: Vec<_> =
        identities.into_iter().map(|identity| tokio::spawn(agent(Arc::clone(&play), identity))).collect();
    played.connected_s = all_connected(&play, begun).await;
    play.took_us.lock().unwrap_or_else(PoisonError::into_inner).clear();
    if simulation.storm {
        sleep(simulation.length / 2).await;
        let begun = Instant::now();
        storm.send_modify(|count| *count += 1);
        while play.connected.load(Ordering::Acquire) > simulation.agents / 2 && begun.elapsed() < Duration::from_secs(5)
        {
            sleep(Duration::from_millis(5)).await;
        }
        played.storm_s = Some(all_connected(&play, begun).await);
        sleep(simulation.length / 2).await;
    } else {
        sleep(simulation.length).await;
    }
    stop.send_replace(true);
    for agent in agents {
        agent.await?;
    }
    played.rows = play.rows.load(Ordering::Relaxed);
    played.batches = play.batches.load(Ordering::Relaxed);
    played.beats = play.beats.load(Ordering::Relaxed);
    played.broken = play.broken.load(Ordering::Relaxed);
    let mut took = std::mem::take(&mut *play.took_us.lock().unwrap_or_else(PoisonError::into_inner));
    took.sort_unstable();
    let at = |part: f64| took.get(((took.len() as f64 * part) as usize).min(took.len().saturating_sub(1)));
    played.ack_ms = [0.5, 0.95, 0.99, 1.0].map(|part| at(part).map_or(0.0, |us| f64::from(*us) / 1e3));
    Ok(played)
}

async fn all_connected(play: &Play, begun: Instant) -> f64 {
    while play.connected.load(Ordering::Acquire) < play.simulation.agents && begun.elapsed() < Duration::from_secs(300)
    {
        sleep(Duration::from_millis(20)).await;
    }
    begun.elapsed().as_secs_f64()
}

/// One agent, over all its connections.
struct Agent {
    epoch: u64,
    next: u64,
    /// What is not known to be safe, with when it was sent.
    waiting: VecDeque<(u64, u64, Vec<u8>, Instant)>,
}

async fn agent(play: Arc<Play>, identity: Identity) {
    let mut agent = Agent { epoch: rand::random(), next: 1, waiting: VecDeque::new() };
    let mut pause = 0.2;
    while !*play.stop.borrow() {
        let mut storms = play.storms.clone();
        storms.mark_unchanged();
        let ended = tokio::select! {
            ended = agent.converse(&play, &identity) => ended,
            _ = storms.changed() => Ok(()),
        };
        if ended.is_err() {
            play.broken.fetch_add(1, Ordering::Relaxed);
            pause = f64::min(pause * 2.0, 10.0);
        }
        if *play.stop.borrow() {
            break;
        }
        sleep(Duration::from_secs_f64(pause * part())).await;
    }
}

/// A random part of a whole.
fn part() -> f64 {
    rand::rng().random_range(0.1..1.0)
}

/// Counts a connection for as long as it stands.
struct Connected<'a>(&'a Play);

impl Drop for Connected<'_> {
    fn drop(&mut self) {
        self.0.connected.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Agent {
    async fn converse(&mut self, play: &Play, identity: &Identity) -> Result<(), Ended> {
        let (mut link, welcome) = {
            let _turn = play.shaking.acquire().await;
            let mut link = Link::open(identity).await?;
            let first = self.waiting.front().map_or(self.next, |(sequence, ..)| *sequence);
            let hello = Hello {
                version_min: VERSION_MIN,
                version_max: VERSION_MAX,
                program: crate::upgrade::version().into(),
                platform: Facts::platform(),
                system: play.facts.system.clone(),
                kernel: play.facts.kernel.clone(),
                architecture: play.facts.architecture.clone(),
                hostname: identity.host.clone(),
                epoch: self.epoch,
                lanes: vec![Lane { lane: 0, first, batches: self.waiting.len() as u64, bytes: 0 }],
                time: crate::now(),
                ..Hello::default()
            };
            let welcome = link.greet(hello).await?;
            (link, welcome)
        };
        play.connected.fetch_add(1, Ordering::AcqRel);
        let _counted = Connected(play);
        let mark = welcome.marks.iter().find(|ack| ack.lane == 0).map_or(0, |ack| ack.sequence);
        self.safe(play, mark, false);
        for (_, _, frame, _) in &self.waiting {
            link.send_frame(frame).await?;
        }
        let simulation = &play.simulation;
        let every = Duration::from_secs_f64(ROWS * simulation.agents as f64 / simulation.events_per_second.max(1e-6));
        let beats = Duration::from_millis(u64::from(welcome.heartbeat_ms.max(100)));
        // Everybody begins at another instant.
        let within = |span: Duration| tokio::time::Instant::now() + span.mul_f64(part());
        let (mut batch_at, mut beat_at, mut beat) = (within(every), within(beats), 0);
        let mut stop = play.stop.clone();
        loop {
            tokio::select! {
                biased;
                message = link.next() => match message? {
                    FromServer::Ack(ack) if ack.lane == 0 => self.safe(play, ack.sequence, true),
                    FromServer::Beat(_) => { play.beats.fetch_add(1, Ordering::Relaxed); }
                    _ => {}
                },
                () = sleep_until(batch_at) => {
                    batch_at += every;
                    if self.waiting.len() < welcome.window.max(1) as usize {
                        let frame = self.batch()?;
                        link.send_frame(&frame).await?;
                    }
                }
                () = sleep_until(beat_at) => {
                    beat_at += beats;
                    beat += 1;
                    link.send(&FromAgent::Heartbeat(Heartbeat { beat, time: crate::now(), ..Heartbeat::default() })).await?;
                }
                () = stopped(&mut stop) => return Ok(()),
            }
        }
    }

    fn safe(&mut self, play: &Play, sequence: u64, measured: bool) {
        while self.waiting.front().is_some_and(|(first, ..)| *first <= sequence) {
            let Some((_, rows, _, sent)) = self.waiting.pop_front() else { break };
            play.rows.fetch_add(rows, Ordering::Relaxed);
            play.batches.fetch_add(1, Ordering::Relaxed);
            if measured {
                let took = u32::try_from(sent.elapsed().as_micros()).unwrap_or(u32::MAX);
                play.took_us.lock().unwrap_or_else(PoisonError::into_inner).push(took);
            }
        }
    }

    fn batch(&mut self) -> Result<Vec<u8>, Ended> {
        let mut rows = HEALTH.rows();
        let time = crate::now();
        for row in 0..ROWS as u64 {
            let metric = ["cpu_busy", "memory_available", "load", "disk_available", "agent_memory"][row as usize % 5];
            let value = self.next * 10 + row;
            rows.push(&[Cell::Time(time), Cell::Text(metric), Cell::Null, Cell::Number(value), Cell::Text("bytes")]);
        }
        let batch = Batch { sequence: self.next, ..seal(&[rows.finish()])? };
        let mut frame = Vec::new();
        FromAgent::Batch(batch).put(&mut frame)?;
        self.waiting.push_back((self.next, ROWS as u64, frame.clone(), Instant::now()));
        self.next += 1;
        Ok(frame)
    }
}
