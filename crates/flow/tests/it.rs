//! The decoders from outside: datagrams in, rows and counters out.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "it/captures.rs"]
mod captures;
#[path = "support/encode.rs"]
mod encode;
#[path = "it/hostile.rs"]
mod hostile;
#[path = "it/ipfix.rs"]
mod ipfix;
#[path = "it/netflow5.rs"]
mod netflow5;
#[path = "it/netflow9.rs"]
mod netflow9;
#[path = "it/properties.rs"]
mod properties;
#[path = "it/state.rs"]
mod state;
#[path = "it/steady.rs"]
mod steady;

use guardian_flow::{Decoder, ExporterStats, FlowBuilder, Limits, Peer, Report, TemplateStore};
use guardian_model::{Ip, Micros, row_json};
use serde_json::{Map, Value};

/// 2026-01-01T00:00:00Z.
const SECS: u32 = 1_767_225_600;

/// A decoder with its builder, at a fixed time.
struct Rig {
    decoder: Decoder,
    out: FlowBuilder,
    now: Micros,
}

impl Rig {
    fn new() -> Self {
        Self::with(Limits::default())
    }

    fn with(limits: Limits) -> Self {
        Self { decoder: Decoder::new(limits), out: FlowBuilder::new(), now: Micros::from_secs(i64::from(SECS)) }
    }

    fn restored(store: &TemplateStore) -> (Self, usize) {
        let mut rig = Self::new();
        let taken = rig.decoder.import_templates(store);
        (rig, taken)
    }

    fn send(&mut self, datagram: Vec<u8>) -> Report {
        self.send_from(1, 2055, datagram)
    }

    fn send_from(&mut self, host: u8, port: u16, datagram: Vec<u8>) -> Report {
        let peer = Peer { ip: Ip::v4([192, 0, 2, host]), port };
        self.decoder.decode(peer, self.now, &datagram, &mut self.out)
    }

    /// The rows since the last call.
    fn rows(&mut self) -> Vec<Map<String, Value>> {
        let batch = self.out.finish(self.now);
        (0..batch.num_rows()).map(|row| row_json(&batch, row)).collect()
    }

    /// The only exporter's statistics.
    fn stats(&self) -> ExporterStats {
        let mut all: Vec<_> = self.decoder.exporters().collect();
        assert_eq!(all.len(), 1, "one exporter with one domain");
        all.pop().unwrap()
    }
}

/// The cells of a row by name; absent ones are null.
fn cells(row: &Map<String, Value>, names: &[&str]) -> Value {
    names.iter().map(|name| row.get(*name).cloned().unwrap_or(Value::Null)).collect()
}
