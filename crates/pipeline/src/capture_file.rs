//! Capture files: pcap and pcapng, read as a stream of packets, with the flow exports among them told apart.
//!
//! Memory is bounded whatever the file claims. A damaged file gives what is before the damage and then one clear
//! error. This module must never meter, decode or change a time.

use std::io::{self, Cursor, Read};
use std::sync::Arc;

use guardian_flow::LinkType;
use guardian_flow::packet::{self, Fragment};
use guardian_model::{Ip, Micros};
use parking_lot::Mutex;
use pcap_parser::traits::{PcapNGPacketBlock, PcapReaderIterator};
use pcap_parser::{Block, LegacyPcapReader, PcapBlockOwned, PcapError, PcapNGReader};

/// UDP ports on which flow exports usually arrive: NetFlow, IPFIX, sFlow and two more that exporters default to.
pub const EXPORT_PORTS: [u16; 5] = [2055, 4739, 6343, 9995, 9996];

/// Room for one block of a file at first; it grows to [`BLOCK_BYTES_MAX`] where a file has larger ones.
const BUFFER_BYTES: usize = 1 << 18;
/// No block of a file may be larger than this.
const BLOCK_BYTES_MAX: usize = 16 << 20;
/// Interfaces of one section that are remembered.
const INTERFACES_MAX: usize = 4096;
/// Bytes looked at to tell the kind of file.
const HEAD_BYTES: usize = 1 << 16;
/// The first block type of pcapng, the same in both byte orders.
const PCAPNG_MAGIC: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

/// Why a capture file could not be read, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum CaptureFileError {
    /// It is something else.
    #[error("this is no capture file: it begins neither as pcap nor as pcapng")]
    NotACapture,
    /// It is empty.
    #[error("the file is empty")]
    Empty,
    /// It ends within a packet.
    #[error("the file is cut off in the middle of a packet; the {packets} packets before that were read")]
    CutOff {
        /// Packets read before.
        packets: u64,
    },
    /// It is damaged.
    #[error("the file is damaged at byte {offset}: {what}; the {packets} packets before that were read")]
    Damaged {
        /// Where the block begins that makes no sense.
        offset: u64,
        /// What is wrong with it.
        what: &'static str,
        /// Packets read before.
        packets: u64,
    },
    /// The system failed to read it.
    #[error("reading the file failed after {packets} packets: {source}")]
    Read {
        /// Packets read before.
        packets: u64,
        /// What the system said.
        source: io::Error,
    },
}

/// A packet of a capture file.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// When it was captured.
    pub time: Micros,
    /// What `data` begins with.
    pub link: LinkType,
    /// Its bytes, as far as they were captured.
    pub data: &'a [u8],
    /// Its length on the wire.
    pub wire_len: u32,
}

/// A UDP datagram within a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpDatagram<'a> {
    /// Who sent it.
    pub src_ip: Ip,
    /// From which port.
    pub src_port: u16,
    /// To which port.
    pub dst_port: u16,
    /// Its payload, as far as it was captured.
    pub payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// The UDP datagram in it; none where it is something else, or a fragment.
    pub fn udp_payload(&self) -> Option<UdpDatagram<'a>> {
        let packet = packet::parse(self.link, self.data, self.wire_len).ok()?;
        let payload = packet::udp_payload(&packet, self.data)?;
        Some(UdpDatagram { src_ip: packet.src_ip, src_port: packet.src_port, dst_port: packet.dst_port, payload })
    }
}

/// What reading has skipped or found so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CaptureFileStats {
    /// Packets handed out.
    pub packets: u64,
    /// Packets of link types that are not understood.
    pub other_link_packets: u64,
    /// The first such link type, by its number in the registry at tcpdump.org.
    pub other_link: Option<u32>,
    /// Packets that name an interface that the file does not describe.
    pub orphan_packets: u64,
    /// Bytes of the file that have been dealt with.
    pub bytes: u64,
}

impl CaptureFileStats {
    /// What a person should know, as sentences; empty when all was well.
    pub fn issues(&self) -> Vec<String> {
        let mut issues = Vec::new();
        if let Some(link) = self.other_link {
            issues.push(format!(
                "{} packets were skipped: their link type ({link}) is none that Guardian reads",
                self.other_link_packets
            ));
        }
        if self.orphan_packets > 0 {
            issues.push(format!(
                "{} packets were skipped: the file does not describe their interface",
                self.orphan_packets
            ));
        }
        issues
    }
}

/// How the packets of an interface are to be read.
#[derive(Clone, Copy, Debug)]
struct Interface {
    link: u32,
    /// Units of a second, and seconds to add.
    resolution: u64,
    offset: i64,
}

/// Reads a capture file packet by packet.
pub struct CaptureReader<R: Read> {
    file: File<R>,
    interfaces: Vec<Interface>,
    data: Vec<u8>,
    last_time: Micros,
    failure: Arc<Mutex<Option<io::Error>>>,
    stats: CaptureFileStats,
    done: bool,
}

enum File<R: Read> {
    Pcap(LegacyPcapReader<Source<R>>),
    PcapNg(PcapNGReader<Source<R>>),
}

impl<R: Read> std::fmt::Debug for CaptureReader<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CaptureReader")
            .field("interfaces", &self.interfaces)
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}

/// The file with its head put back in front, which keeps the error that the parser swallows.
struct Source<R> {
    head: Cursor<Vec<u8>>,
    rest: R,
    failure: Arc<Mutex<Option<io::Error>>>,
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let from_head = self.head.read(buffer)?;
        if from_head > 0 || buffer.is_empty() {
            return Ok(from_head);
        }
        loop {
            match self.rest.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let kind = error.kind();
                    *self.failure.lock() = Some(error);
                    return Err(kind.into());
                }
                read => return read,
            }
        }
    }
}

/// What a block brought.
enum Step {
    /// A packet, whose bytes are in the reader's buffer.
    Packet { time: Micros, link: LinkType, wire_len: u32 },
    /// Nothing to hand out.
    Nothing,
    /// The next block needs more bytes in the buffer.
    More,
    /// The end of the file.
    End,
}

impl<R: Read> CaptureReader<R> {
    /// Looks at the begin of the file and tells its kind.
    pub fn new(mut file: R) -> Result<Self, CaptureFileError> {
        let failed = |source| CaptureFileError::Read { packets: 0, source };
        let mut head = Vec::with_capacity(HEAD_BYTES);
        file.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut head).map_err(failed)?;
        if head.is_empty() {
            return Err(CaptureFileError::Empty);
        }
        let pcapng = head.starts_with(&PCAPNG_MAGIC);
        let failure = Arc::new(Mutex::new(None));
        let source = Source { head: Cursor::new(head), rest: file, failure: Arc::clone(&failure) };
        let not_one = |_| CaptureFileError::NotACapture;
        let file = if pcapng {
            File::PcapNg(PcapNGReader::new(BUFFER_BYTES, source).map_err(not_one)?)
        } else {
            File::Pcap(LegacyPcapReader::new(BUFFER_BYTES, source).map_err(not_one)?)
        };
        Ok(Self {
            file,
            interfaces: Vec::new(),
            data: Vec::new(),
            last_time: Micros(0),
            failure,
            stats: CaptureFileStats::default(),
            done: false,
        })
    }

    /// The next packet, or none at the end. After an error there are no more.
    pub fn next_packet(&mut self) -> Result<Option<Packet<'_>>, CaptureFileError> {
        while !self.done {
            match self.step() {
                Ok(Step::Packet { time, link, wire_len }) => {
                    self.stats.packets += 1;
                    self.last_time = time;
                    return Ok(Some(Packet { time, link, data: &self.data, wire_len }));
                }
                Ok(Step::Nothing) => {}
                Ok(Step::More) => {
                    if let Err(error) = self.more() {
                        self.done = true;
                        return Err(error);
                    }
                }
                Ok(Step::End) => self.done = true,
                Err(error) => {
                    self.done = true;
                    return Err(error);
                }
            }
        }
        Ok(None)
    }

    /// What has been read and skipped so far.
    pub fn stats(&self) -> CaptureFileStats {
        self.stats
    }

    /// Reads one block.
    fn step(&mut self) -> Result<Step, CaptureFileError> {
        let Self { file, interfaces, data, last_time, stats, .. } = self;
        let reader: &mut dyn PcapReaderIterator = match file {
            File::Pcap(reader) => reader,
            File::PcapNg(reader) => reader,
        };
        let damaged = |what| CaptureFileError::Damaged { offset: stats.bytes, what, packets: stats.packets };
        let (used, step) = match reader.next() {
            Ok((used, block)) => (used, take(&block, interfaces, data, *last_time, stats)),
            Err(PcapError::Eof) => return Ok(Step::End),
            Err(PcapError::Incomplete(_) | PcapError::BufferTooSmall) => return Ok(Step::More),
            Err(PcapError::UnexpectedEof) => return Err(CaptureFileError::CutOff { packets: stats.packets }),
            Err(PcapError::ReadError) => return Err(self.read_failed()),
            Err(PcapError::HeaderNotRecognized) => return Err(damaged("a block header makes no sense")),
            Err(PcapError::NomError(..) | PcapError::OwnedNomError(..)) => {
                return Err(damaged("a block contradicts itself"));
            }
        };
        reader.consume(used);
        stats.bytes += used as u64;
        Ok(step)
    }

    /// Gets more of the file into the buffer, which grows when it is full.
    fn more(&mut self) -> Result<(), CaptureFileError> {
        let reader: &mut dyn PcapReaderIterator = match &mut self.file {
            File::Pcap(reader) => reader,
            File::PcapNg(reader) => reader,
        };
        let held = reader.data().len();
        let wanted = (held * 2).max(BUFFER_BYTES);
        if held * 2 > BUFFER_BYTES && wanted <= BLOCK_BYTES_MAX * 2 {
            reader.grow(wanted);
        }
        if reader.refill().is_err() {
            return Err(self.read_failed());
        }
        let grown = reader.data().len() > held;
        let CaptureFileStats { packets, bytes, .. } = self.stats;
        if held >= BLOCK_BYTES_MAX {
            let what = "a block claims to be larger than any should be";
            return Err(CaptureFileError::Damaged { offset: bytes, what, packets });
        }
        if !grown && reader.reader_exhausted() {
            return if held == 0 { Ok(()) } else { Err(CaptureFileError::CutOff { packets }) };
        }
        Ok(())
    }

    fn read_failed(&self) -> CaptureFileError {
        let source = self.failure.lock().take().unwrap_or_else(|| io::ErrorKind::Other.into());
        CaptureFileError::Read { packets: self.stats.packets, source }
    }
}

/// Takes a block in: learns an interface, or copies a packet to `data`.
fn take(
    block: &PcapBlockOwned<'_>,
    interfaces: &mut Vec<Interface>,
    data: &mut Vec<u8>,
    last_time: Micros,
    stats: &mut CaptureFileStats,
) -> Step {
    let (interface, ticks, bytes, wire_len) = match block {
        PcapBlockOwned::LegacyHeader(header) => {
            let resolution = if header.is_nanosecond_precision() { 1_000_000_000 } else { 1_000_000 };
            // The upper bits may tell of a frame check sequence.
            let link = header.network.0 as u32 & 0x03ff_ffff;
            interfaces.push(Interface { link, resolution, offset: 0 });
            return Step::Nothing;
        }
        PcapBlockOwned::Legacy(packet) => {
            let unit = interfaces.first().map_or(1_000_000, |interface| interface.resolution);
            let ticks = u128::from(packet.ts_sec) * u128::from(unit) + u128::from(packet.ts_usec);
            (0, Some(ticks), packet.data, packet.origlen)
        }
        PcapBlockOwned::NG(Block::SectionHeader(_)) => {
            interfaces.clear();
            return Step::Nothing;
        }
        PcapBlockOwned::NG(Block::InterfaceDescription(interface)) => {
            if interfaces.len() < INTERFACES_MAX {
                interfaces.push(Interface {
                    link: interface.linktype.0 as u32,
                    resolution: interface.ts_resolution().unwrap_or(1_000_000).max(1),
                    offset: interface.ts_offset(),
                });
            }
            return Step::Nothing;
        }
        PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => {
            let ticks = u128::from(packet.ts_high) << 32 | u128::from(packet.ts_low);
            (packet.if_id as usize, Some(ticks), packet.packet_data(), packet.origlen)
        }
        // It has no time: that of the packet before it is the closest.
        PcapBlockOwned::NG(Block::SimplePacket(packet)) => (0, None, packet.packet_data(), packet.origlen),
        PcapBlockOwned::NG(_) => return Step::Nothing,
    };
    let Some(interface) = interfaces.get(interface) else {
        stats.orphan_packets += 1;
        return Step::Nothing;
    };
    let Some(link) = LinkType::from_pcap(interface.link) else {
        stats.other_link_packets += 1;
        stats.other_link.get_or_insert(interface.link);
        return Step::Nothing;
    };
    data.clear();
    data.extend_from_slice(bytes);
    let micros = ticks.map(|ticks| (ticks * 1_000_000 / u128::from(interface.resolution)).min(i64::MAX as u128) as i64);
    let time = micros.map_or(last_time, |micros| Micros(micros) + interface.offset.saturating_mul(Micros::SECOND));
    Step::Packet { time, link, wire_len: wire_len.max(bytes.len() as u32) }
}

/// Whether a UDP payload begins as a flow export that its length bears out: NetFlow v5, v7, v9, IPFIX or sFlow v5.
pub fn looks_like_export(payload: &[u8]) -> bool {
    let u16_at = |at: usize| payload.get(at..).and_then(|rest| rest.first_chunk()).map(|b| u16::from_be_bytes(*b));
    let length = payload.len();
    match (u16_at(0), u16_at(2)) {
        (Some(5), Some(count)) => (1..=64).contains(&count) && length >= 24 + 48 * usize::from(count),
        (Some(7), Some(count)) => (1..=64).contains(&count) && length >= 24 + 52 * usize::from(count),
        (Some(9), Some(_)) => {
            length >= 24 && u16_at(22).is_some_and(|set| (4..=length - 20).contains(&usize::from(set)))
        }
        (Some(10), Some(claimed)) => (16..=length).contains(&usize::from(claimed)),
        (Some(0), Some(5)) => length >= 28 && matches!(payload[4..8], [0, 0, 0, 1 | 2]),
        _ => false,
    }
}

/// What a capture file holds, after one reading.
#[derive(Debug, Default)]
pub struct Survey {
    /// Packets.
    pub packets: u64,
    /// Of these, such with IP.
    pub ip_packets: u64,
    /// Of these, such that look like flow exports to one of the given ports.
    pub exports: u64,
    /// Later fragments of datagrams, which flow exports cannot be read from.
    pub fragments: u64,
    /// Times of the earliest and the latest packet.
    pub span: Option<(Micros, Micros)>,
    /// Why it could not be read to its end.
    pub error: Option<CaptureFileError>,
}

impl Survey {
    /// Reads a file once.
    pub fn of(file: impl Read, export_ports: &[u16]) -> Result<Self, CaptureFileError> {
        let mut reader = CaptureReader::new(file)?;
        let mut survey = Self::default();
        loop {
            match reader.next_packet() {
                Ok(Some(packet)) => survey.packet(&packet, export_ports),
                Ok(None) => return Ok(survey),
                Err(error) => {
                    survey.error = Some(error);
                    return Ok(survey);
                }
            }
        }
    }

    fn packet(&mut self, frame: &Packet<'_>, export_ports: &[u16]) {
        self.packets += 1;
        let (first, last) = self.span.unwrap_or((frame.time, frame.time));
        self.span = Some((first.min(frame.time), last.max(frame.time)));
        let Ok(packet) = packet::parse(frame.link, frame.data, frame.wire_len) else { return };
        self.ip_packets += 1;
        self.fragments += u64::from(matches!(packet.fragment, Fragment::Later(_)));
        let to_port = export_ports.contains(&packet.dst_port);
        let payload = if to_port { packet::udp_payload(&packet, frame.data) } else { None };
        self.exports += u64::from(payload.is_some_and(looks_like_export));
    }

    /// Whether it is a recording of flow exports rather than of traffic: at least a quarter of its IP packets are such
    /// (a collector that was not there answers each with an ICMP message, which is recorded too).
    pub fn is_flow_export(&self) -> bool {
        self.exports > 0 && self.exports * 4 >= self.ip_packets
    }
}

#[cfg(test)]
#[path = "capture_file_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "capture_file_recorded_tests.rs"]
mod recorded_tests;
