//! Typed views of a flow batch: every column that detection needs is downcast once a batch, so that detectors read
//! plain slices. Knows what a row says about who asked and who answered; must never change or copy rows.

use arrow::array::{Array, AsArray, DictionaryArray, PrimitiveArray};
use arrow::datatypes::{ArrowPrimitiveType, Int32Type, TimestampMicrosecondType, UInt8Type, UInt16Type, UInt64Type};
use arrow::record_batch::RecordBatch;
use guardian_model::{Batch, FLOW, FlowField, Ip, Micros};

/// TCP flag bits as flow records carry them (RFC 9293 section 3.1).
pub mod tcp {
    /// No more data from the sender.
    pub const FIN: u16 = 0x01;
    /// Synchronise sequence numbers.
    pub const SYN: u16 = 0x02;
    /// Reset the connection.
    pub const RST: u16 = 0x04;
    /// The acknowledgement field is significant.
    pub const ACK: u16 = 0x10;
}

/// IANA protocol numbers that detection tells apart.
pub mod protocol {
    /// Transmission control.
    pub const TCP: u8 = 6;
    /// User datagrams.
    pub const UDP: u8 = 17;
}

/// Where a row runs, by the home networks (the enrichment's `direction` column).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// No home networks are configured.
    Unknown,
    /// From outside to a home network.
    Inbound,
    /// From a home network to the outside.
    Outbound,
    /// Between home networks.
    Internal,
    /// Between outside addresses.
    External,
}

impl Direction {
    fn parse(text: &str) -> Self {
        match text {
            "inbound" => Self::Inbound,
            "outbound" => Self::Outbound,
            "internal" => Self::Internal,
            "external" => Self::External,
            _ => Self::Unknown,
        }
    }
}

/// Whether the row's source is the side that asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The source opened the conversation.
    Initiator,
    /// The source answered: this is the way back of a one-way pair.
    Responder,
}

/// A label column read row by row as a small enumeration, decided once for each dictionary entry.
struct Labels<T> {
    column: DictionaryArray<Int32Type>,
    values: Vec<T>,
}

impl<T: Copy> Labels<T> {
    fn new(rows: &RecordBatch, field: FlowField, read: impl Fn(&str) -> T) -> Option<Self> {
        let column = rows.column(field.index()).as_dictionary_opt::<Int32Type>()?.clone();
        if column.null_count() == column.len() {
            return Some(Self { column, values: Vec::new() });
        }
        let names = column.values().as_string_opt::<i32>()?;
        let values = (0..names.len()).map(|i| read(if names.is_null(i) { "" } else { names.value(i) })).collect();
        Some(Self { column, values })
    }

    fn get(&self, row: usize) -> Option<T> {
        if self.values.is_empty() || self.column.is_null(row) {
            return None;
        }
        self.values.get(self.column.keys().value(row) as usize).copied()
    }
}

/// The columns of one flow batch. Values that a row lacks read as `None`.
pub struct FlowRows<'a> {
    /// Source addresses.
    pub src_ip: &'a [[u8; 16]],
    /// Destination addresses.
    pub dst_ip: &'a [[u8; 16]],
    /// Source ports.
    pub src_port: &'a [u16],
    /// Destination ports.
    pub dst_port: &'a [u16],
    /// Protocol numbers.
    pub protocol: &'a [u8],
    /// TCP flags from source to destination.
    pub tcp_flags: &'a [u16],
    /// Octets from source to destination, scaled.
    pub bytes: &'a [u64],
    /// Packets from source to destination, scaled.
    pub packets: &'a [u64],
    /// First packet, microseconds.
    pub start: &'a [i64],
    /// Last packet, microseconds.
    pub end: &'a [i64],
    /// When the row was received, microseconds.
    pub received: &'a [i64],
    rev_bytes: &'a PrimitiveArray<UInt64Type>,
    rev_packets: &'a PrimitiveArray<UInt64Type>,
    direction: Labels<Direction>,
}

fn primitive<T: ArrowPrimitiveType>(rows: &RecordBatch, field: FlowField) -> Option<&PrimitiveArray<T>> {
    rows.column(field.index()).as_primitive_opt::<T>()
}

fn addresses(rows: &RecordBatch, field: FlowField) -> Option<&[[u8; 16]]> {
    let column = rows.column(field.index()).as_fixed_size_binary_opt()?;
    let (chunks, rest) = column.value_data().as_chunks::<16>();
    (rest.is_empty() && chunks.len() == column.len()).then_some(chunks)
}

impl<'a> FlowRows<'a> {
    /// Views a batch; `None` when it is not of the flow class or its columns are not of the class's types.
    pub fn new(batch: &'a Batch) -> Option<Self> {
        let rows = &batch.rows;
        if !std::ptr::eq(batch.class, &raw const FLOW) || rows.num_columns() != FlowField::ALL.len() {
            return None;
        }
        let time = |f| primitive::<TimestampMicrosecondType>(rows, f).map(|c| &c.values()[..]);
        let port = |f| primitive::<UInt16Type>(rows, f).map(|c| &c.values()[..]);
        let long = |f| primitive::<UInt64Type>(rows, f);
        Some(Self {
            src_ip: addresses(rows, FlowField::SrcIp)?,
            dst_ip: addresses(rows, FlowField::DstIp)?,
            src_port: port(FlowField::SrcPort)?,
            dst_port: port(FlowField::DstPort)?,
            protocol: &primitive::<UInt8Type>(rows, FlowField::Protocol)?.values()[..],
            tcp_flags: port(FlowField::TcpFlags)?,
            bytes: &long(FlowField::Bytes)?.values()[..],
            packets: &long(FlowField::Packets)?.values()[..],
            start: time(FlowField::Start)?,
            end: time(FlowField::End)?,
            received: time(FlowField::Received)?,
            rev_bytes: long(FlowField::RevBytes)?,
            rev_packets: long(FlowField::RevPackets)?,
            direction: Labels::new(rows, FlowField::Direction, Direction::parse)?,
        })
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.start.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.start.is_empty()
    }

    /// Source address of a row.
    pub fn src(&self, row: usize) -> Ip {
        Ip(self.src_ip[row])
    }

    /// Destination address of a row.
    pub fn dst(&self, row: usize) -> Ip {
        Ip(self.dst_ip[row])
    }

    /// Time of the first packet.
    pub fn start(&self, row: usize) -> Micros {
        Micros(self.start[row])
    }

    /// Time of the last packet.
    pub fn end(&self, row: usize) -> Micros {
        Micros(self.end[row])
    }

    /// Octets back from the responder; `None` for a one-way row.
    pub fn rev_bytes(&self, row: usize) -> Option<u64> {
        self.rev_bytes.is_valid(row).then(|| self.rev_bytes.value(row))
    }

    /// Packets back from the responder; `None` for a one-way row.
    pub fn rev_packets(&self, row: usize) -> Option<u64> {
        self.rev_packets.is_valid(row).then(|| self.rev_packets.value(row))
    }

    /// Where the row runs.
    pub fn direction(&self, row: usize) -> Direction {
        self.direction.get(row).unwrap_or(Direction::Unknown)
    }

    /// Which side the source is. A biflow's source is the initiator by definition (RFC 5103 section 4). For a one-way
    /// TCP record a SYN without an ACK is proof; otherwise a source on a service port that talks to a client port is
    /// taken for the server. Two client ports prove nothing and read as initiator.
    pub fn role(&self, row: usize) -> Role {
        if self.rev_packets.is_valid(row) {
            return Role::Initiator;
        }
        let (src, dst) = (self.src_port[row], self.dst_port[row]);
        if self.protocol[row] == protocol::TCP && self.tcp_flags[row] & (tcp::SYN | tcp::ACK) == tcp::SYN {
            return Role::Initiator;
        }
        let answers = (src < SYSTEM_PORT_END && dst >= SYSTEM_PORT_END && src > 0)
            || (src < EPHEMERAL_PORT_MIN && dst >= EPHEMERAL_PORT_MIN && src > 0);
        if answers { Role::Responder } else { Role::Initiator }
    }
}

/// One above the system ports (RFC 6335 section 6), on which no ordinary client starts.
const SYSTEM_PORT_END: u16 = 1024;
/// The lowest port that common systems hand to clients (Linux `ip_local_port_range`; IANA's range is 49152 and up).
const EPHEMERAL_PORT_MIN: u16 = 32_768;
