//! Runs a plan over the records of a set, column after column.
//!
//! Nothing here may fail, allocate per record or look at a template: what can be decided beforehand is in the plan.

use guardian_model::FlowField;

use crate::builder::{Columns, EXTRA_BYTES_MAX, FlowBuilder, Origin};
use crate::columns::Column;
use crate::limits::Limits;
use crate::plan::{IcmpPlaces, Place, Plan, Step};
use crate::report::{Counters, Reason};
use crate::rows::Rows;
use crate::sampling::{Sampling, rate_of};
use crate::times::{self, Header};

/// Adds the records as rows. Returns how many.
pub(crate) fn run<R: Rows>(
    plan: &Plan,
    rows: R,
    header: &Header,
    sampling: &Sampling<'_>,
    limits: &Limits,
    counters: &mut Counters,
    out: &mut FlowBuilder,
) -> usize {
    let n = rows.len();
    if n == 0 {
        return 0;
    }
    let Some(base) = out.block(n) else {
        counters.errors.count(Reason::Limit);
        return 0;
    };
    for step in &plan.steps {
        column(step, rows, base, &mut out.columns);
    }
    times::write(plan, rows, header, base, &mut out.columns, counters);
    icmp(plan, rows, base, &mut out.columns);
    extras(plan, rows, base, &mut out.columns);
    counters.clamped_times += times::clamp(&mut out.columns, base, header.origin.received, limits);
    commit(plan, rows, &header.origin, sampling, out);
    counters.flows += n as u64;
    n
}

fn column<R: Rows>(step: &Step, rows: R, base: usize, c: &mut Columns) {
    use FlowField as F;
    match step.field {
        F::SrcIp => address(&mut c.src_ip, step, rows, base),
        F::DstIp => address(&mut c.dst_ip, step, rows, base),
        F::NextHop => address(&mut c.next_hop, step, rows, base),
        F::NatSrcIp => address(&mut c.nat_src_ip, step, rows, base),
        F::NatDstIp => address(&mut c.nat_dst_ip, step, rows, base),
        F::SrcMac => put(&mut c.src_mac, step, base, rows.len(), rows.arrays::<6>(step.place)),
        F::DstMac => put(&mut c.dst_mac, step, base, rows.len(), rows.arrays::<6>(step.place)),
        F::Bytes => unsigned(&mut c.bytes, step, rows, base),
        F::Packets => unsigned(&mut c.packets, step, rows, base),
        F::RevBytes => unsigned(&mut c.rev_bytes, step, rows, base),
        F::RevPackets => unsigned(&mut c.rev_packets, step, rows, base),
        F::SrcPort => unsigned(&mut c.src_port, step, rows, base),
        F::DstPort => unsigned(&mut c.dst_port, step, rows, base),
        F::TcpFlags => unsigned(&mut c.tcp_flags, step, rows, base),
        F::RevTcpFlags => unsigned(&mut c.rev_tcp_flags, step, rows, base),
        F::Vlan => unsigned(&mut c.vlan, step, rows, base),
        F::NatSrcPort => unsigned(&mut c.nat_src_port, step, rows, base),
        F::NatDstPort => unsigned(&mut c.nat_dst_port, step, rows, base),
        F::InputIf => unsigned(&mut c.input_if, step, rows, base),
        F::OutputIf => unsigned(&mut c.output_if, step, rows, base),
        F::SrcAs => unsigned(&mut c.src_as, step, rows, base),
        F::DstAs => unsigned(&mut c.dst_as, step, rows, base),
        F::Protocol => unsigned(&mut c.protocol, step, rows, base),
        F::Tos => unsigned(&mut c.tos, step, rows, base),
        F::SrcMask => unsigned(&mut c.src_mask, step, rows, base),
        F::DstMask => unsigned(&mut c.dst_mask, step, rows, base),
        F::FlowDirection => unsigned(&mut c.flow_direction, step, rows, base),
        F::EndReason => unsigned(&mut c.end_reason, step, rows, base),
        F::Event => unsigned(&mut c.event, step, rows, base),
        other => debug_assert!(false, "no element may become {other:?} directly"),
    }
}

/// Appends a field, or fills in the rows of the block that are zero.
#[inline]
fn put<T: Copy + Default + PartialEq>(
    column: &mut Column<T>,
    step: &Step,
    base: usize,
    n: usize,
    values: impl Iterator<Item = T>,
) {
    if step.fallback {
        for (old, new) in column.block(base).iter_mut().zip(values) {
            if *old == T::default() {
                *old = new;
            }
        }
    } else {
        column.extend(base, n, values);
    }
}

fn address<R: Rows>(column: &mut Column<[u8; 16]>, step: &Step, rows: R, base: usize) {
    let n = rows.len();
    if step.place.width == 4 {
        put(column, step, base, n, rows.arrays::<4>(step.place).map(mapped));
    } else {
        put(column, step, base, n, rows.arrays::<16>(step.place));
    }
}

/// An IPv4 address as this product writes it (RFC 4291 section 2.5.5.2).
#[inline]
pub(crate) fn mapped(b: [u8; 4]) -> [u8; 16] {
    // As one number, so that it is written with two stores instead of four.
    ((u128::from(u32::from_le_bytes(b)) << 96) | (0xffff << 80)).to_le_bytes()
}

/// An unsigned integer that takes the largest value it has where a wider one does not fit.
pub(crate) trait Narrow: Copy + Default + PartialEq {
    /// From 64 bits.
    fn narrow(value: u64) -> Self;
}

macro_rules! narrow {
    ($($t:ty),*) => {$(
        impl Narrow for $t {
            #[inline]
            fn narrow(value: u64) -> Self {
                Self::try_from(value).unwrap_or(Self::MAX)
            }
        }
    )*};
}
narrow!(u8, u16, u32, u64);

fn unsigned<R: Rows, T: Narrow>(column: &mut Column<T>, step: &Step, rows: R, base: usize) {
    let (n, place) = (rows.len(), step.place);
    match place.width {
        1 => put(column, step, base, n, rows.arrays::<1>(place).map(|b| T::narrow(u64::from(b[0])))),
        2 => put(column, step, base, n, rows.arrays::<2>(place).map(|b| T::narrow(u16::from_be_bytes(b).into()))),
        4 => put(column, step, base, n, rows.arrays::<4>(place).map(|b| T::narrow(u32::from_be_bytes(b).into()))),
        8 => put(column, step, base, n, rows.arrays::<8>(place).map(|b| T::narrow(u64::from_be_bytes(b)))),
        _ => put(column, step, base, n, (0..n).map(|row| T::narrow(rows.uint(place, row)))),
    }
}

const ICMP: u8 = 1;
const ICMP_V6: u8 = 58;

/// Type and code of the ICMP records of the block: from their elements, or out of the destination port, where NetFlow
/// v5 and v9 exporters put them. Such records have no ports.
fn icmp<R: Rows>(plan: &Plan, rows: R, base: usize, c: &mut Columns) {
    let only_v4 = !plan.has_protocol && !plan.icmp_v4.is_empty();
    let only_v6 = !plan.has_protocol && !only_v4 && !plan.icmp_v6.is_empty();
    if !only_v4 && !only_v6 && !c.protocol.block(base).iter().any(|p| matches!(*p, ICMP | ICMP_V6)) {
        return;
    }
    for row in 0..rows.len() {
        let protocol = c.protocol.block(base).get(row).copied();
        let places = match protocol {
            Some(ICMP) => &plan.icmp_v4,
            Some(ICMP_V6) => &plan.icmp_v6,
            _ if only_v4 => &plan.icmp_v4,
            _ if only_v6 => &plan.icmp_v6,
            _ => continue,
        };
        if places.is_empty() && c.dst_port.block(base).is_empty() {
            continue;
        }
        let told = icmp_of(places, rows, row);
        let (kind, code) = legacy_icmp(c, base, row, told);
        c.icmp_type.push(base + row, kind);
        c.icmp_code.push(base + row, code);
    }
}

fn icmp_of<R: Rows>(places: &IcmpPlaces, rows: R, row: usize) -> (u8, u8) {
    let byte = |place: Option<Place>| place.map_or(0, |place| u8::narrow(rows.uint(place, row)));
    match places.both {
        Some(place) => {
            let both = u16::narrow(rows.uint(place, row));
            ((both >> 8) as u8, both as u8)
        }
        None => (byte(places.kind), byte(places.code)),
    }
}

/// Type and code of an ICMP record whose elements (if it has any) say `told`: where they say nothing, the destination
/// port holds type × 256 + code. Takes the ports of the row away.
pub(crate) fn legacy_icmp(c: &mut Columns, base: usize, row: usize, told: (u8, u8)) -> (u8, u8) {
    let src = c.src_port.block(base).get_mut(row).map(std::mem::take).unwrap_or_default();
    let dst = c.dst_port.block(base).get_mut(row).map(std::mem::take).unwrap_or_default();
    if told == (0, 0) && src == 0 { ((dst >> 8) as u8, dst as u8) } else { told }
}

fn extras<R: Rows>(plan: &Plan, rows: R, base: usize, c: &mut Columns) {
    if plan.extras.is_empty() || c.extra.byte_len() > EXTRA_BYTES_MAX {
        return;
    }
    for row in 0..rows.len() {
        let bytes = c.extra.open(base + row);
        for extra in &plan.extras {
            let value = rows.bytes(extra.place, row);
            bytes.extend_from_slice(&extra.head);
            bytes.extend_from_slice(&(value.len() as u16).to_be_bytes());
            bytes.extend_from_slice(value);
        }
        c.extra.close();
    }
}

fn commit<R: Rows>(plan: &Plan, rows: R, origin: &Origin, sampling: &Sampling<'_>, out: &mut FlowBuilder) {
    let n = rows.len();
    let places = &plan.sampling;
    if !places.per_record() {
        return out.commit(origin, n, sampling.default());
    }
    let rates = (0..n).map(|row| {
        let told = if places.tells_rate() { rate_of(places, rows, row) } else { None };
        let by_sampler = || places.sampler.map(|place| sampling.of(rows.uint(place, row)));
        told.or_else(by_sampler).unwrap_or_else(|| sampling.default())
    });
    out.commit_rates(origin, rates);
}
