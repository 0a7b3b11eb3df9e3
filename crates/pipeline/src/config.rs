//! Configuration of collection and of the spine: listeners, threads, batches, limits.

use std::net::SocketAddr;

use guardian_kit::config::{ByteSize, Duration};
use guardian_model::TenantId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where flows come from and how much of the machine receiving them may take.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CollectConfig {
    /// UDP listeners. Any of them takes NetFlow v5, v7, v9, IPFIX and sFlow v5, told apart by the header.
    pub listeners: Vec<ListenerConfig>,
    /// Addresses or networks that may export to us; an empty list accepts everybody. What others send is counted.
    pub allowed_exporters: Vec<String>,
    /// Threads that decode and enrich. An exporter always stays on one of them.
    pub decode_threads: usize,
    /// Rows after which a batch is handed on.
    pub batch_rows: usize,
    /// Time after which an incomplete batch is handed on.
    pub batch_delay: Duration,
    /// Memory that received but not yet decoded datagrams may take, over all queues.
    pub queue_memory: ByteSize,
    /// Receive buffer asked of the kernel for each socket (the kernel may grant less; see `net.core.rmem_max`).
    pub receive_buffer: ByteSize,
    /// Exporters remembered at once, over all listeners.
    pub exporters_max: usize,
    /// Templates remembered for one exporter.
    pub templates_per_exporter_max: usize,
    /// Active timeout of flows metered from packets: a longer flow is told in pieces.
    pub active_timeout: Duration,
    /// Idle timeout of flows metered from packets.
    pub idle_timeout: Duration,
    /// Flows metered at once; beyond that the longest idle are told early, and counted.
    pub metered_flows_max: usize,
}

impl Default for CollectConfig {
    fn default() -> Self {
        let listen = |port| ListenerConfig { address: SocketAddr::from(([0u16; 8], port)), ..Default::default() };
        Self {
            listeners: vec![listen(2055), listen(4739), listen(6343)],
            allowed_exporters: Vec::new(),
            decode_threads: 1,
            batch_rows: 16_384,
            batch_delay: Duration::millis(50),
            queue_memory: ByteSize::mib(64),
            receive_buffer: ByteSize::mib(16),
            exporters_max: 4_096,
            templates_per_exporter_max: 1_024,
            active_timeout: Duration::secs(60),
            idle_timeout: Duration::secs(15),
            metered_flows_max: 262_144,
        }
    }
}

/// One UDP address to listen on, and whose the telemetry is that arrives there.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ListenerConfig {
    /// Address and port; `[::]` takes IPv4 and IPv6.
    #[schemars(with = "String")]
    pub address: SocketAddr,
    /// Sockets (each with its own thread) that share the port.
    pub sockets: usize,
    /// Tenant that owns what arrives here. It comes from the listener, because source addresses can be forged.
    #[schemars(with = "String")]
    pub tenant: TenantId,
    /// Site of the exporters; private addresses of different sites are different entities.
    pub site: String,
}

impl Default for ListenerConfig {
    fn default() -> Self {
        Self {
            address: SocketAddr::from(([0u16; 8], 2055)),
            sockets: 1,
            tenant: TenantId::DEFAULT,
            site: String::new(),
        }
    }
}
