//! The load generator of the spine benchmark: NetFlow v9 datagrams over UDP at a steady rate, from several exporters on
//! loopback addresses. It runs as a process of its own, so that its CPU time can be told from the server's. It only
//! ever sends to a loopback address.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use guardian_testkit::random::Random;
use serde_json::{Value, json};

use super::spine::cpu_seconds;

/// Exporters, each with an address of its own.
const EXPORTERS: usize = 8;
/// Different datagrams; after them the flows repeat.
const DATAGRAMS: usize = 4_096;
/// Flows in a datagram: 1,412 bytes, what fits an Ethernet frame.
pub(crate) const FLOWS_PER_DATAGRAM: usize = 27;
/// Datagrams between two templates of an exporter.
const TEMPLATE_EVERY: u64 = 5_000;
/// Field type and length of the template: what routers commonly export.
const FIELDS: &[(u16, u16)] = &[
    (8, 4),  // source address
    (12, 4), // destination address
    (22, 4), // first packet, uptime
    (21, 4), // last packet, uptime
    (1, 4),  // bytes
    (2, 4),  // packets
    (10, 4), // input interface
    (14, 4), // output interface
    (7, 2),  // source port
    (11, 2), // destination port
    (15, 4), // next hop
    (16, 4), // source AS
    (17, 4), // destination AS
    (4, 1),  // protocol
    (6, 1),  // TCP flags
    (5, 1),  // type of service
    (61, 1), // direction
];
/// Uptime that every exporter claims at its first datagram, in milliseconds.
const UPTIME: u32 = 3_600_000;

/// Options of the hidden command.
#[derive(Args)]
pub(crate) struct Options {
    /// Where to send
    #[arg(long)]
    to: SocketAddr,
    /// Flows a second; 0 is as fast as possible
    #[arg(long)]
    rate: u64,
    /// How long
    #[arg(long)]
    seconds: u64,
}

/// Sends, then prints what it sent as JSON.
pub(crate) fn run(options: &Options) -> Result<()> {
    ensure!(options.to.ip().is_loopback(), "the load generator sends to loopback addresses only");
    let sockets = (0..EXPORTERS)
        .map(|n| UdpSocket::bind((format!("127.0.0.{}", n + 2), 0)).context("no loopback address to send from"))
        .collect::<Result<Vec<_>>>()?;
    let mut datagrams = datagrams();
    let mut exporters = [Exporter::default(); EXPORTERS];
    let start = Instant::now();
    let total = options.rate * options.seconds / FLOWS_PER_DATAGRAM as u64;
    let mut sent: u64 = 0;
    let mut last_template = [0u64; EXPORTERS];
    let length = Duration::from_secs(options.seconds);
    while start.elapsed() < length && (options.rate == 0 || sent < total) {
        // Catch up to where the clock says we should be, a few milliseconds' worth at a time.
        let due = if options.rate == 0 {
            sent + 64
        } else {
            ((start.elapsed().as_secs_f64() * options.rate as f64) as u64 / FLOWS_PER_DATAGRAM as u64).min(total)
        };
        if due <= sent {
            std::thread::sleep(Duration::from_micros(500));
            continue;
        }
        let now = SystemClock::read(start);
        while sent < due {
            let n = sent as usize % EXPORTERS;
            if sent < EXPORTERS as u64 || sent - last_template[n] > TEMPLATE_EVERY {
                sockets[n].send_to(&exporters[n].template(now, n), options.to)?;
                last_template[n] = sent;
            }
            let at = sent as usize % DATAGRAMS;
            exporters[n].header(now, n, &mut datagrams[at]);
            sockets[n].send_to(&datagrams[at], options.to)?;
            sent += 1;
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    let cpu = cpu_seconds(std::process::id())?;
    crate::say::line(
        &json!({"flows": sent * FLOWS_PER_DATAGRAM as u64, "seconds": seconds, "cpu_seconds": cpu}).to_string(),
    );
    Ok(())
}

/// What a load generator says that it sent.
pub(super) struct Sent {
    pub(super) flows: u64,
    pub(super) seconds: f64,
    pub(super) cpu_seconds: f64,
}

/// Reads what [`run`] printed.
pub(super) fn sent(output: &[u8]) -> Result<Sent> {
    let said: Value = serde_json::from_slice(output).context("the load generator said no JSON")?;
    let number = |name: &str| said[name].as_f64().with_context(|| format!("the load generator said no {name}"));
    let flows = said["flows"].as_u64().context("the load generator said no flows")?;
    Ok(Sent { flows, seconds: number("seconds")?, cpu_seconds: number("cpu_seconds")? })
}

/// The time that goes into headers.
#[derive(Clone, Copy)]
struct SystemClock {
    unix_seconds: u32,
    uptime: u32,
}

impl SystemClock {
    #[expect(clippy::disallowed_methods, reason = "a load generator stamps its datagrams with the true time")]
    fn read(start: Instant) -> Self {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { unix_seconds: unix.as_secs() as u32, uptime: UPTIME + start.elapsed().as_millis() as u32 }
    }
}

/// One exporter's sequence.
#[derive(Clone, Copy, Default)]
struct Exporter {
    sequence: u32,
}

impl Exporter {
    /// Writes the header of a prepared datagram (RFC 3954 section 5.1).
    fn header(&mut self, now: SystemClock, domain: usize, datagram: &mut [u8]) {
        datagram[0..2].copy_from_slice(&9u16.to_be_bytes());
        datagram[2..4].copy_from_slice(&(FLOWS_PER_DATAGRAM as u16).to_be_bytes());
        datagram[4..8].copy_from_slice(&now.uptime.to_be_bytes());
        datagram[8..12].copy_from_slice(&now.unix_seconds.to_be_bytes());
        datagram[12..16].copy_from_slice(&self.sequence.to_be_bytes());
        datagram[16..20].copy_from_slice(&(domain as u32).to_be_bytes());
        self.sequence = self.sequence.wrapping_add(1);
    }

    /// A datagram with the template alone.
    fn template(&mut self, now: SystemClock, domain: usize) -> Vec<u8> {
        let mut datagram = vec![0; 20];
        let length = 4 + 4 + FIELDS.len() * 4;
        for word in [0, length as u16, 256, FIELDS.len() as u16] {
            datagram.extend_from_slice(&word.to_be_bytes());
        }
        for (kind, length) in FIELDS {
            datagram.extend_from_slice(&kind.to_be_bytes());
            datagram.extend_from_slice(&length.to_be_bytes());
        }
        self.header(now, domain, &mut datagram);
        datagram[2..4].copy_from_slice(&1u16.to_be_bytes());
        datagram
    }
}

/// Datagrams of an office: inside clients, a few thousand servers outside, mostly HTTPS and DNS.
fn datagrams() -> Vec<Vec<u8>> {
    let record: usize = FIELDS.iter().map(|(_, length)| usize::from(*length)).sum();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    (0..DATAGRAMS)
        .map(|_| {
            let length = 4 + record * FLOWS_PER_DATAGRAM;
            let padding = (4 - length % 4) % 4;
            let mut datagram = vec![0; 20];
            datagram.extend_from_slice(&256u16.to_be_bytes());
            datagram.extend_from_slice(&((length + padding) as u16).to_be_bytes());
            for _ in 0..FLOWS_PER_DATAGRAM {
                flow(&mut random, &mut datagram);
            }
            datagram.resize(20 + length + padding, 0);
            datagram
        })
        .collect()
}

/// One record; half of them are answers, as routers export each direction.
fn flow(random: &mut Random, out: &mut Vec<u8>) {
    let client = [10, 20, random.below(16) as u8, 1 + random.below(250) as u8];
    // Popular servers are contacted far more often than others.
    let rank = random.below(64) * random.below(64);
    let server = [198, 18 + (rank >> 11) as u8 % 2, (rank >> 4) as u8, 1 + (rank & 15) as u8];
    let (port, protocol, flags) = match random.below(10) {
        0 | 1 => (53u16, 17u8, 0u8),
        2 => (80, 6, 0x1b),
        3 => (123, 17, 0),
        _ => (443, 6, 0x1b),
    };
    let ephemeral = 32_768 + random.below(28_000) as u16;
    let last = UPTIME - random.below(15_000) as u32;
    let first = last - random.below(20_000) as u32;
    let packets = if protocol == 17 { 1 } else { 8 + random.below(40) as u32 };
    let answer = random.below(2) == 1;
    let bytes = packets * if answer { 900 } else { 120 } + random.below(100) as u32;
    let (src, dst, src_port, dst_port) =
        if answer { (server, client, port, ephemeral) } else { (client, server, ephemeral, port) };
    out.extend_from_slice(&src);
    out.extend_from_slice(&dst);
    for value in [first, last, bytes, packets, 1, 2] {
        out.extend_from_slice(&value.to_be_bytes());
    }
    out.extend_from_slice(&src_port.to_be_bytes());
    out.extend_from_slice(&dst_port.to_be_bytes());
    out.extend_from_slice(&[10, 20, 0, 1]);
    for value in [64_500u32, 64_501] {
        out.extend_from_slice(&value.to_be_bytes());
    }
    out.extend_from_slice(&[protocol, flags, 0, u8::from(answer)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_is_full_and_claims_its_length() {
        let all = datagrams();
        assert_eq!(all.len(), DATAGRAMS);
        for datagram in &all {
            let claimed = usize::from(u16::from_be_bytes([datagram[22], datagram[23]]));
            assert_eq!(datagram.len(), 20 + claimed);
            assert!(datagram.len() <= 1_472, "must fit an Ethernet frame: {}", datagram.len());
        }
    }
}
