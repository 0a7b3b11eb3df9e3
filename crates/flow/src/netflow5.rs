//! NetFlow versions 5 and 7: fixed records of 48 and 52 bytes, the first 46 of which agree.
//!
//! Field offsets are those of Cisco's "NetFlow Export Datagram Format", tables B-3, B-4 and B-6.

use crate::builder::{Columns, FlowBuilder};
use crate::columns::Column;
use crate::limits::Limits;
use crate::run::{legacy_icmp, mapped};
use crate::times::{self, Header, of_uptime};

/// Bytes of the header of both versions.
pub(crate) const HEADER: usize = 24;
/// Bytes of a version 5 record.
pub(crate) const RECORD_V5: usize = 48;
/// Bytes of a version 7 record.
pub(crate) const RECORD_V7: usize = 52;

const ICMP: u8 = 1;

/// The big-endian array of `W` bytes at a fixed place of each record.
#[inline]
fn at<const W: usize, const LEN: usize>(record: &[u8; LEN], offset: usize) -> [u8; W] {
    record[offset..].first_chunk().copied().unwrap_or([0; W])
}

/// Adds the records (whole ones; `LEN` is [`RECORD_V5`] or [`RECORD_V7`]) as rows. Returns how many, and how many event
/// times were not believed; `None` where the batch has no room.
pub(crate) fn records<const LEN: usize>(
    bytes: &[u8],
    header: &Header,
    sampling_rate: u32,
    limits: &Limits,
    out: &mut FlowBuilder,
) -> Option<(usize, u64)> {
    let (records, _) = bytes.as_chunks::<LEN>();
    let n = records.len();
    let base = out.block(n)?;
    let c = &mut out.columns;
    addresses(&mut c.src_ip, base, records, 0);
    addresses(&mut c.dst_ip, base, records, 4);
    addresses(&mut c.next_hop, base, records, 8);
    c.input_if.extend(base, n, records.iter().map(|r| u16::from_be_bytes(at(r, 12)).into()));
    c.output_if.extend(base, n, records.iter().map(|r| u16::from_be_bytes(at(r, 14)).into()));
    c.packets.extend(base, n, records.iter().map(|r| u32::from_be_bytes(at(r, 16)).into()));
    c.bytes.extend(base, n, records.iter().map(|r| u32::from_be_bytes(at(r, 20)).into()));
    let (export, now) = (header.export, header.uptime.unwrap_or(0));
    c.start.extend(base, n, records.iter().map(|r| of_uptime(export, now, u32::from_be_bytes(at(r, 24)))));
    c.end.extend(base, n, records.iter().map(|r| of_uptime(export, now, u32::from_be_bytes(at(r, 28)))));
    c.src_port.extend(base, n, records.iter().map(|r| u16::from_be_bytes(at(r, 32))));
    c.dst_port.extend(base, n, records.iter().map(|r| u16::from_be_bytes(at(r, 34))));
    c.tcp_flags.extend(base, n, records.iter().map(|r| r[37].into()));
    c.protocol.extend(base, n, records.iter().map(|r| r[38]));
    c.tos.extend(base, n, records.iter().map(|r| r[39]));
    c.src_as.extend(base, n, records.iter().map(|r| u16::from_be_bytes(at(r, 40)).into()));
    c.dst_as.extend(base, n, records.iter().map(|r| u16::from_be_bytes(at(r, 42)).into()));
    c.src_mask.extend(base, n, records.iter().map(|r| r[44]));
    c.dst_mask.extend(base, n, records.iter().map(|r| r[45]));
    icmp(c, base);
    let clamped = times::clamp(c, base, header.origin.received, limits);
    out.commit(&header.origin, n, sampling_rate);
    Some((n, clamped))
}

#[inline]
fn addresses<const LEN: usize>(column: &mut Column<[u8; 16]>, base: usize, records: &[[u8; LEN]], offset: usize) {
    column.extend(base, records.len(), records.iter().map(|r| mapped(at(r, offset))));
}

/// Type and code of ICMP records stand in their destination port.
fn icmp(c: &mut Columns, base: usize) {
    if !c.protocol.block(base).contains(&ICMP) {
        return;
    }
    for row in 0..c.protocol.block(base).len() {
        if c.protocol.block(base)[row] == ICMP {
            let (kind, code) = legacy_icmp(c, base, row, (0, 0));
            c.icmp_type.push(base + row, kind);
            c.icmp_code.push(base + row, code);
        }
    }
}
