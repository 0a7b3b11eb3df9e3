//! Replay: a capture file goes through the same decoding, enrichment, storage and detection as live traffic. Export
//! datagrams are fed as from their original exporters, other packets are metered. Every row is tagged.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use guardian_flow::{Decoder, FlowBuilder, FlowRow, Limits, Meter, MeterConfig, Origin, Peer, Source};
use guardian_kit::clock::Clock;
use guardian_model::{Batch, FLOW, Ip, Micros, TenantId};
use serde::{Deserialize, Serialize};

use crate::capture_file::{CaptureReader, EXPORT_PORTS, Packet, Survey, looks_like_export};
use crate::columns::retime;
use crate::enrich::{Enrich, Enrichers};
use crate::spine::SpineInput;

/// Rows handed on at once.
const BATCH_ROWS: usize = 8_192;
/// Longest sleep before looking whether the replay was cancelled.
const NAP: Duration = Duration::from_millis(100);
/// Rows wait no longer than this in a paced replay.
const LINGER: Duration = Duration::from_millis(100);
/// Longest name of a replay.
pub const NAME_CHARS_MAX: usize = 64;

/// How fast a capture is replayed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Speed {
    /// As fast as the machine can.
    Max,
    /// This many times the recorded speed; 1 is as recorded.
    Times(f64),
}

impl std::str::FromStr for Speed {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse::<f64>() {
            _ if text == "max" => Ok(Self::Max),
            Ok(times) if times.is_finite() && (0.001..=1e6).contains(&times) => Ok(Self::Times(times)),
            _ => Err(format!("`{text}` is no speed: give a factor such as 1, 0.5 or 20, or `max`")),
        }
    }
}

/// What to replay, and as what.
#[derive(Clone, Debug)]
pub struct ReplayRequest {
    /// Tag of every row, finding and alert that comes of it.
    pub name: String,
    /// Whose data it becomes.
    pub tenant: TenantId,
    /// Pace.
    pub speed: Speed,
    /// Keep the recorded times instead of moving them to now.
    pub original_time: bool,
    /// Times of the first and the last packet, when known; they make the replay end now instead of start now.
    pub span: Option<(Micros, Micros)>,
    /// Whether the capture is a recording of flow exports, which are decoded, rather than of traffic, which is metered.
    pub flow_exports: bool,
}

impl ReplayRequest {
    /// A request for a file that was looked through, at this speed.
    pub fn new(name: &str, tenant: TenantId, speed: Speed, survey: &Survey) -> Self {
        let flow_exports = survey.is_flow_export();
        Self { name: name.to_owned(), tenant, speed, original_time: false, span: survey.span, flow_exports }
    }
}

/// How far a replay is; shared with whoever shows it.
#[derive(Debug, Default)]
pub struct ReplayProgress {
    /// Packets read.
    pub packets: AtomicU64,
    /// Of these, export datagrams that were decoded.
    pub exports: AtomicU64,
    /// Flow rows made.
    pub flows: AtomicU64,
    /// Recorded time of the last packet, in microseconds.
    pub at: AtomicI64,
    /// Set it to end the replay early.
    pub cancel: AtomicBool,
}

/// What came of a replay.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ReplaySummary {
    /// Packets read.
    pub packets: u64,
    /// Of these, export datagrams that were decoded.
    pub exports: u64,
    /// Flow rows made.
    pub flows: u64,
    /// Export datagrams that could not be decoded, wholly or in part.
    pub decode_errors: u64,
    /// Why reading the file ended early or skipped something; empty when all was well.
    pub issues: Vec<String>,
    /// Seconds of recorded traffic.
    pub recorded_seconds: f64,
    /// Whether it was cancelled.
    pub cancelled: bool,
}

/// What a replay needs of the running program.
#[derive(Clone)]
pub struct Replayer {
    /// Enrichment, as for live traffic.
    pub enrich: Arc<dyn Enrichers>,
    /// Storage and detection, as for live traffic.
    pub spine: SpineInput,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Metering parameters.
    pub meter: MeterConfig,
}

impl Replayer {
    /// Replays a capture until its end or cancellation; returns after everything was stored and detected on.
    pub fn run(&self, request: &ReplayRequest, file: impl Read, progress: &ReplayProgress) -> ReplaySummary {
        let mut run = Run::new(self, request, progress);
        let mut reader = match CaptureReader::new(file) {
            Ok(reader) => reader,
            Err(error) => {
                return ReplaySummary { issues: vec![error.to_string()], ..ReplaySummary::default() };
            }
        };
        loop {
            match reader.next_packet() {
                Ok(Some(packet)) => {
                    if !run.packet(&packet) {
                        run.summary.cancelled = true;
                        break;
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    run.summary.issues.push(error.to_string());
                    break;
                }
            }
        }
        run.summary.issues.extend(reader.stats().issues());
        run.finish()
    }

    /// Sends the one flow that the shipped rule for test alerts finds, between addresses that are reserved for
    /// documentation; returns after it was stored and detected on.
    pub fn test_alert(&self, tenant: TenantId, name: &str) {
        let now = self.clock.now();
        let (src, dst) = (Ip::v4([192, 0, 2, 77]), Ip::v4([198, 51, 100, 77]));
        let mut flows = FlowBuilder::new();
        flows.set_replay(Some(name));
        let origin = Origin { received: now, source: Source::Capture, exporter: src, domain: 0 };
        let row = FlowRow {
            start: now,
            end: now,
            src_ip: src,
            dst_ip: dst,
            src_port: 40_009,
            dst_port: 9,
            protocol: 17,
            raw_bytes: 60,
            raw_packets: 1,
            ..FlowRow::default()
        };
        flows.row(&origin, 1, &row);
        let rows = self.enrich.enricher().enrich(&flows.finish(now));
        self.spine.send(Batch { tenant, class: &FLOW, received: now, rows });
        self.spine.drain();
    }
}

struct Run<'a> {
    deps: &'a Replayer,
    enrich: Box<dyn Enrich>,
    request: &'a ReplayRequest,
    progress: &'a ReplayProgress,
    decoder: Decoder,
    meter: Meter,
    builder: FlowBuilder,
    started: (Micros, Duration),
    first: Option<Micros>,
    last: Micros,
    emitted: Duration,
    summary: ReplaySummary,
}

impl<'a> Run<'a> {
    fn new(deps: &'a Replayer, request: &'a ReplayRequest, progress: &'a ReplayProgress) -> Self {
        let mut builder = FlowBuilder::new();
        builder.set_replay(Some(&request.name));
        Self {
            deps,
            enrich: deps.enrich.enricher(),
            request,
            progress,
            decoder: Decoder::new(Limits::default()),
            meter: Meter::new(deps.meter),
            builder,
            started: (deps.clock.now(), deps.clock.monotonic()),
            first: None,
            last: Micros(0),
            emitted: deps.clock.monotonic(),
            summary: ReplaySummary::default(),
        }
    }

    /// Takes one packet at its time; false when the replay was cancelled.
    fn packet(&mut self, packet: &Packet<'_>) -> bool {
        let first = *self.first.get_or_insert(packet.time);
        self.last = self.last.max(packet.time);
        if !self.wait(packet.time - first) {
            return false;
        }
        self.summary.packets += 1;
        if self.request.flow_exports {
            self.export(packet);
        } else {
            self.meter.packet(packet.time, packet.link, packet.data, packet.wire_len, &mut self.builder);
            while !self.meter.expire(packet.time, &mut self.builder) {
                self.emit();
            }
        }
        self.progress.packets.store(self.summary.packets, Ordering::Relaxed);
        self.progress.exports.store(self.summary.exports, Ordering::Relaxed);
        self.progress.at.store(packet.time.0, Ordering::Relaxed);
        if self.builder.len() >= BATCH_ROWS || self.deps.clock.monotonic().saturating_sub(self.emitted) >= LINGER {
            self.emit();
        }
        !self.progress.cancel.load(Ordering::Relaxed)
    }

    /// Decodes an export datagram, as from the exporter that sent it; anything else in the file is passed over.
    fn export(&mut self, packet: &Packet<'_>) {
        let datagram = packet.udp_payload().filter(|udp| EXPORT_PORTS.contains(&udp.dst_port));
        let Some(udp) = datagram.filter(|udp| looks_like_export(udp.payload)) else { return };
        let peer = Peer { ip: udp.src_ip, port: udp.src_port };
        let report = self.decoder.decode(peer, packet.time, udp.payload, &mut self.builder);
        self.summary.exports += 1;
        self.summary.decode_errors += u64::from(report.error.is_some());
    }

    /// Waits until `offset` of recorded time is due.
    fn wait(&mut self, offset: i64) -> bool {
        let Speed::Times(times) = self.request.speed else { return true };
        let due = self.started.1 + Duration::from_secs_f64((offset.max(0) as f64 / 1e6 / times).min(1e9));
        loop {
            let now = self.deps.clock.monotonic();
            if now >= due {
                return true;
            }
            if self.progress.cancel.load(Ordering::Relaxed) {
                return false;
            }
            if now.saturating_sub(self.emitted) >= LINGER {
                self.emit();
            }
            std::thread::sleep(due.saturating_sub(now).min(NAP));
        }
    }

    /// Microseconds to add to recorded times.
    fn shift(&self) -> i64 {
        if self.request.original_time {
            return 0;
        }
        match (self.request.span, self.request.speed) {
            (Some((_, last)), Speed::Max) => self.started.0 - last,
            (Some((first, last)), Speed::Times(times)) => {
                let lasts = ((last - first) as f64 / times) as i64;
                (self.started.0 + lasts) - last
            }
            (None, _) => self.started.0 - self.first.unwrap_or_default(),
        }
    }

    fn emit(&mut self) {
        self.emitted = self.deps.clock.monotonic();
        if self.builder.is_empty() {
            return;
        }
        self.summary.flows += self.builder.len() as u64;
        self.progress.flows.store(self.summary.flows, Ordering::Relaxed);
        let received = self.deps.clock.now();
        let rows = retime(&self.builder.finish(received), self.shift(), received);
        let rows = self.enrich.enrich(&rows);
        self.deps.spine.send(Batch { tenant: self.request.tenant, class: &FLOW, received, rows });
    }

    fn finish(mut self) -> ReplaySummary {
        while !self.meter.flush(&mut self.builder) {
            self.emit();
        }
        self.emit();
        self.deps.spine.drain();
        self.summary.recorded_seconds = self.first.map_or(0.0, |first| (self.last - first) as f64 / 1e6);
        self.summary
    }
}
