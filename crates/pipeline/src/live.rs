//! Live capture: packets of an interface, metered into flows.

use std::sync::Arc;
use std::time::Duration;

use guardian_flow::{FlowBuilder, LinkType, Meter, MeterConfig};
use guardian_kit::clock::Clock;
use guardian_kit::metrics::Metrics;
use guardian_kit::shutdown::Shutdown;
use guardian_model::{Batch, FLOW, Micros, TenantId};
use guardian_sys::capture::{Capture, Framing};

use crate::enrich::Enrich;
use crate::owners::Owners;
use crate::spine::SpineInput;

/// How often timeouts are looked for and rows handed on.
const SWEEP: Duration = Duration::from_millis(500);
/// Longest wait for packets.
const WAKE: Duration = Duration::from_millis(100);

/// One capturing thread's parts.
pub(crate) struct LiveCapture {
    pub(crate) capture: Capture,
    pub(crate) tenant: TenantId,
    pub(crate) meter: MeterConfig,
    pub(crate) batch_rows: usize,
    pub(crate) enrich: Box<dyn Enrich>,
    pub(crate) owners: Arc<Owners>,
    pub(crate) spine: SpineInput,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) shutdown: Shutdown,
}

impl LiveCapture {
    /// Captures until shutdown, then tells the flows that are still open.
    pub(crate) fn run(mut self, metrics: &Metrics) {
        let interface = self.capture.interface().to_owned();
        let of = |name, help| metrics.counter_with(name, help, &["interface"]).with(&[&interface]);
        let packets = of("guardian_capture_packets_total", "Packets captured.");
        let drops =
            of("guardian_capture_kernel_drops_total", "Packets that the kernel dropped because the ring was full.");
        let mut counted = 0;
        let mut meter = Meter::new(self.meter);
        let mut builder = FlowBuilder::new();
        let mut swept = self.clock.monotonic();
        while !self.shutdown.is_triggered() {
            let batch = self.capture.recv_batch(WAKE, |packet| {
                let link = match packet.framing {
                    Framing::Ethernet => LinkType::Ethernet,
                    Framing::Network { ethertype } => LinkType::Network(ethertype),
                };
                meter.packet(Micros(packet.time_micros), link, packet.data, packet.wire_bytes, &mut builder);
            });
            match batch {
                Ok(n) => packets.inc(n as u64),
                Err(error) => {
                    tracing::warn!(interface, %error, "capturing failed; trying again");
                    std::thread::sleep(WAKE);
                }
            }
            let now = self.clock.monotonic();
            if now.saturating_sub(swept) >= SWEEP {
                swept = now;
                while !meter.expire(self.clock.now(), &mut builder) {
                    self.emit(&mut builder);
                }
                if let Ok(stats) = self.capture.stats() {
                    drops.inc(stats.drops - counted);
                    counted = stats.drops;
                }
                self.emit(&mut builder);
            } else if builder.len() >= self.batch_rows {
                self.emit(&mut builder);
            }
        }
        while !meter.flush(&mut builder) {
            self.emit(&mut builder);
        }
        self.emit(&mut builder);
    }

    fn emit(&mut self, builder: &mut FlowBuilder) {
        if builder.is_empty() {
            return;
        }
        let received = self.clock.now();
        let rows = self.owners.fill(self.tenant, "", self.enrich.enrich(&builder.finish(received)));
        if !self.spine.send(Batch { tenant: self.tenant, class: &FLOW, received, rows }) {
            tracing::error!("a batch was lost because storage has stopped");
        }
    }
}
