//! Times of flows: every clock that exporters use, into UTC microseconds, and the bounds of what is believed.

use guardian_model::Micros;

use crate::builder::{Columns, Origin};
use crate::columns::Column;
use crate::elements::Clock;
use crate::limits::Limits;
use crate::plan::{Place, Plan};
use crate::report::Counters;
use crate::rows::Rows;

/// Seconds from the NTP epoch (1900) to the Unix epoch.
const NTP_TO_UNIX: u64 = 2_208_988_800;
/// Seconds of one NTP era.
const NTP_ERA: u64 = 1 << 32;

/// What a message's header says about time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub(crate) origin: Origin,
    /// When it was exported, in Unix microseconds.
    pub(crate) export: i64,
    /// The same by the exporter's clock.
    told: i64,
    /// The exporter's uptime then, in milliseconds; wraps every 49.7 days.
    pub(crate) uptime: Option<u32>,
}

impl Header {
    /// `told` is the export time by the exporter's clock. Where that clock is absurd (many devices start in 1970 or 1993
    /// until somebody sets it), times that are relative to it are taken relative to the receipt; the flag says so.
    pub(crate) fn new(origin: Origin, told: i64, uptime: Option<u32>, limits: &Limits) -> (Self, bool) {
        let received = origin.received;
        let believed = (received - limits.event_past_max).0..=(received + limits.event_future_max).0;
        let skewed = !believed.contains(&told);
        (Self { origin, export: if skewed { received.0 } else { told }, told, uptime }, skewed)
    }

    /// Milliseconds of the exporter's clock.
    pub(crate) fn told_millis(&self) -> i64 {
        self.told.div_euclid(1000)
    }

    /// The uptime at export that follows from when uptime was zero, in Unix milliseconds.
    pub(crate) fn uptime_since(&self, base_millis: u64) -> u32 {
        (self.told_millis() as u64).wrapping_sub(base_millis) as u32
    }
}

/// Unix microseconds of an uptime, given the uptime at export. The difference of 32-bit uptimes is right across the
/// wrap for flows of up to 24.8 days; an uptime slightly after the export is taken as such.
#[inline]
pub(crate) fn of_uptime(export: i64, uptime_now: u32, uptime: u32) -> i64 {
    // Export times are near the time of receipt, and a step back is at most 24.8 days: nothing can overflow that is not
    // clamped afterwards.
    export.wrapping_sub(i64::from(uptime_now.wrapping_sub(uptime) as i32) * 1000)
}

/// Unix microseconds of an NTP timestamp; seconds that lie before 1970 are of the era that begins in 2036.
#[inline]
fn of_ntp(bytes: [u8; 8]) -> i64 {
    let value = u64::from_be_bytes(bytes);
    let seconds = value >> 32;
    let seconds = if seconds < NTP_TO_UNIX { seconds + NTP_ERA } else { seconds } - NTP_TO_UNIX;
    // Rounded, so that microseconds survive the way through fractions of 2^-32.
    let micros = ((value & 0xffff_ffff) * 1_000_000 + (1 << 31)) >> 32;
    (seconds * 1_000_000 + micros) as i64
}

/// Writes `start` and `end` of the block.
pub(crate) fn write<R: Rows>(
    plan: &Plan,
    rows: R,
    header: &Header,
    base: usize,
    c: &mut Columns,
    counters: &mut Counters,
) {
    let n = rows.len();
    let uptime = Uptime::of(plan, rows, header, counters);
    let read = |column: &mut Column<i64>, (place, clock): (Place, Clock)| {
        read_clock(column, rows, place, clock, header, &uptime, base);
    };
    let (start, end) = (&mut c.start, &mut c.end);
    match (plan.start, plan.end) {
        (Some(first), Some(last)) => {
            read(start, first);
            read(end, last);
        }
        (Some(first), None) => {
            read(start, first);
            match (plan.duration, plan.event) {
                (None, Some(event)) => read(end, event),
                _ => end.extend(base, n, start.block(base).iter().copied()),
            }
            shift(plan, rows, end.block(base), 1);
        }
        (None, last) => {
            match last.or(plan.event) {
                Some(last) => read(end, last),
                None => end.fill(base, n, header.export),
            }
            start.extend(base, n, end.block(base).iter().copied());
            shift(plan, rows, start.block(base), -1);
        }
    }
}

/// Moves times by the duration of their flows.
fn shift<R: Rows>(plan: &Plan, rows: R, times: &mut [i64], sign: i64) {
    if let Some((place, unit)) = plan.duration {
        for (row, time) in times.iter_mut().enumerate() {
            let duration = rows.uint(place, row).min(u64::from(u32::MAX)) as i64 * i64::from(unit);
            *time = time.saturating_add(sign * duration);
        }
    }
}

/// How uptimes of a block become times.
enum Uptime {
    /// The uptime at export.
    Now(u32),
    /// Each record says when uptime was zero.
    PerRecord(Place),
}

impl Uptime {
    fn of<R: Rows>(plan: &Plan, rows: R, header: &Header, counters: &mut Counters) -> Self {
        if let Some(place) = plan.uptime_base {
            return Self::PerRecord(place);
        }
        if let Some(now) = header.uptime {
            return Self::Now(now);
        }
        let needs = |time: Option<(Place, Clock)>| time.filter(|(_, clock)| *clock == Clock::Uptime);
        let Some((place, _)) = needs(plan.end).or(needs(plan.start)) else {
            return Self::Now(0);
        };
        // Nothing tells when the exporter started. Flows are exported soon after they end, so that the latest end is
        // near the time of export; durations and distances are right in any case.
        counters.estimated_times += rows.len() as u64;
        let uptimes = rows.arrays::<4>(place).map(u32::from_be_bytes);
        let latest = uptimes.reduce(|a, b| if b.wrapping_sub(a) as i32 > 0 { b } else { a });
        Self::Now(latest.unwrap_or(0))
    }
}

fn read_clock<R: Rows>(
    column: &mut Column<i64>,
    rows: R,
    place: Place,
    clock: Clock,
    header: &Header,
    uptime: &Uptime,
    base: usize,
) {
    let (n, export) = (rows.len(), header.export);
    match clock {
        Clock::Millis => {
            let micros = |b| u64::from_be_bytes(b).min(i64::MAX as u64 / 1000) as i64 * 1000;
            column.extend(base, n, rows.arrays::<8>(place).map(micros));
        }
        Clock::Seconds => {
            column.extend(base, n, rows.arrays::<4>(place).map(|b| i64::from(u32::from_be_bytes(b)) * 1_000_000));
        }
        Clock::Ntp => column.extend(base, n, rows.arrays::<8>(place).map(of_ntp)),
        Clock::BeforeExport => {
            column.extend(base, n, rows.arrays::<4>(place).map(|b| export - i64::from(u32::from_be_bytes(b))));
        }
        Clock::Uptime => match *uptime {
            Uptime::Now(now) => {
                let time = |b| of_uptime(export, now, u32::from_be_bytes(b));
                column.extend(base, n, rows.arrays::<4>(place).map(time));
            }
            Uptime::PerRecord(zero) => {
                let now = rows.arrays::<8>(zero).map(|b| header.uptime_since(u64::from_be_bytes(b)));
                let times = rows.arrays::<4>(place).zip(now);
                column.extend(base, n, times.map(|(b, now)| of_uptime(export, now, u32::from_be_bytes(b))));
            }
        },
    }
}

/// Replaces event times of the block that are not believed (further from the time of receipt than
/// [`Limits::event_past_max`] or [`Limits::event_future_max`], or ending before they start). Returns how many.
pub(crate) fn clamp(c: &mut Columns, base: usize, received: Micros, limits: &Limits) -> u64 {
    let (low, high) = ((received - limits.event_past_max).0, (received + limits.event_future_max).0);
    let (starts, ends) = (c.start.block(base), c.end.block(base));
    // Without branches, so that it runs over several rows at a time: nearly all times are sound.
    let unsound = |s: i64, e: i64| u8::from(s < low) | u8::from(e < s) | u8::from(e > high);
    if starts.iter().zip(ends.iter()).fold(0, |any, (s, e)| any | unsound(*s, *e)) == 0 {
        return 0;
    }
    let mut clamped = 0;
    for (start, end) in starts.iter_mut().zip(ends) {
        let believed = low..=high;
        let count = u64::from(!believed.contains(start)) + u64::from(!believed.contains(end));
        match (believed.contains(start), believed.contains(end)) {
            (true, true) if *end < *start => {
                *end = *start;
                clamped += 1;
            }
            (true, true) => {}
            (true, false) => *end = received.0.max(*start),
            (false, true) => *start = received.0.min(*end),
            (false, false) => (*start, *end) = (received.0, received.0),
        }
        clamped += count;
    }
    clamped
}

#[cfg(test)]
mod tests {
    use guardian_model::Micros;

    use super::{clamp, of_ntp, of_uptime};
    use crate::builder::Columns;
    use crate::limits::Limits;

    #[test]
    fn uptime_wraps() {
        let export = 1_000_000_000_000_000;
        for (now, then, ago_millis) in [
            (10_000, 4_000, 6_000),
            (1_000, u32::MAX - 999, 2_000),
            (u32::MAX, u32::MAX, 0),
            (5_000, 5_200, -200),
            (u32::MAX, 100, -101),
        ] {
            assert_eq!(of_uptime(export, now, then), export - ago_millis * 1000, "{now} {then}");
        }
    }

    #[test]
    fn ntp_eras_and_fractions() {
        let ntp =
            |seconds: u32, fraction: u32| of_ntp(((u64::from(seconds) << 32) | u64::from(fraction)).to_be_bytes());
        assert_eq!(ntp(2_208_988_800, 0), 0);
        assert_eq!(ntp(2_208_988_801, 1 << 31), 1_500_000);
        let fraction = ((123_456u64 << 32) / 1_000_000) as u32;
        assert_eq!(ntp(3_976_214_400, fraction), 1_767_225_600_123_456);
        assert_eq!(ntp(0, 0), 2_085_978_496_000_000, "2036-02-07T06:28:16Z");
    }

    #[test]
    fn absurd_times_are_clamped() {
        let limits = Limits::default();
        let now = Micros(1_767_225_600_000_000);
        let t = now.0;
        let cases = [
            ((t - 5, t - 1), (t - 5, t - 1), 0),
            ((t - 1, t - 5), (t - 1, t - 1), 1),
            ((0, t - 5), (t - 5, t - 5), 1),
            ((t - 5, i64::MAX), (t - 5, t), 1),
            ((0, 0), (t, t), 2),
            (
                (t - limits.event_past_max, t + limits.event_future_max),
                (t - limits.event_past_max, t + limits.event_future_max),
                0,
            ),
        ];
        for ((start, end), expected, count) in cases {
            let mut c = Columns::default();
            c.start.push(0, start);
            c.end.push(0, end);
            assert_eq!(clamp(&mut c, 0, now, &limits), count, "{start} {end}");
            assert_eq!((c.start.block(0)[0], c.end.block(0)[0]), expected);
        }
    }
}
