//! Sequence accounting with a reorder window: what was lost, what only came late, and when an exporter began anew.
//!
//! The unit differs: NetFlow v5 and v7 count flows, v9 export packets (RFC 3954 section 5.1), IPFIX data records
//! (RFC 7011 section 3.1), sFlow datagrams. A gap counts as lost only when its datagrams have not come in time.

use guardian_model::Micros;
use serde::{Deserialize, Serialize};

/// How far back a late datagram may lie, in flows or records; a number further back is a restart.
pub(crate) const BEHIND_RECORDS: u32 = 4096;
/// The same, in datagrams.
pub(crate) const BEHIND_DATAGRAMS: u32 = 64;
/// Datagrams after which a gap counts as lost.
const REORDER_DATAGRAMS: u32 = 32;
/// Time after which a gap counts as lost, in microseconds.
const REORDER_MICROS: i64 = 5 * Micros::SECOND;
/// Gaps that are watched at a time; the oldest counts as lost when there are more.
const GAPS_MAX: usize = 16;
/// Units that the sequence may jump ahead and still be the same sequence.
const JUMP_MAX: i32 = 1 << 20;
/// Consecutive datagrams that must continue each other behind the sequence to be a new one.
const RESTART_DATAGRAMS: u32 = 3;

/// What the sequence numbers of one stream told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SequenceCounters {
    /// Units that never came.
    pub lost: u64,
    /// Datagrams that came late, but in time to close their gap.
    pub reordered: u64,
    /// Datagrams that came twice, or after their gap was given up.
    pub duplicate: u64,
    /// Times the exporter began anew.
    pub resets: u64,
}

#[derive(Clone, Copy, Debug)]
struct Gap {
    start: u32,
    len: u32,
    since: Micros,
    datagrams: u32,
}

/// How an IPFIX exporter counts records for its sequence number.
///
/// RFC 7011 section 3.1 counts all data records sent before the message. Some exporters (softflowd) count those of the
/// message too and leave out those of options, which would look like gaps and reordering. What fits the numbers is
/// found out from each pair of messages.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counting {
    mode: Mode,
    last: Option<(u32, Records)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Mode {
    /// The number counts the message's own records.
    inclusive: bool,
    /// Records of options do not count.
    flows_only: bool,
}

/// Data records of one message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Records {
    pub(crate) all: u32,
    pub(crate) options: u32,
}

impl Mode {
    const ALL: [Self; 4] = [
        Self { inclusive: false, flows_only: false },
        Self { inclusive: true, flows_only: false },
        Self { inclusive: false, flows_only: true },
        Self { inclusive: true, flows_only: true },
    ];

    fn units(self, records: Records) -> u32 {
        if self.flows_only { records.all.saturating_sub(records.options) } else { records.all }
    }

    fn fits(self, last: (u32, Records), number: u32, records: Records) -> bool {
        number == last.0.wrapping_add(self.units(if self.inclusive { records } else { last.1 }))
    }
}

impl Counting {
    /// The sequence number as RFC 7011 has it, the records that count, and whether this message showed that the
    /// exporter counts otherwise than was thought.
    pub(crate) fn normalise(&mut self, number: u32, records: Records) -> (u32, u32, bool) {
        let mut changed = false;
        if let Some(last) = self.last.replace((number, records))
            && !self.mode.fits(last, number, records)
            && let Some(mode) = Mode::ALL.into_iter().find(|mode| mode.fits(last, number, records))
        {
            (self.mode, changed) = (mode, true);
        }
        let units = self.mode.units(records);
        (if self.mode.inclusive { number.wrapping_sub(units) } else { number }, units, changed)
    }

    /// A message came of which not all records could be counted: the next one tells nothing.
    pub(crate) fn interrupt(&mut self) {
        self.last = None;
    }
}

/// The sequence of one stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sequence {
    expected: Option<u32>,
    /// Next number after a datagram of which not all units could be counted.
    open: Option<u32>,
    gaps: Vec<Gap>,
    behind_next: u32,
    behind_run: u32,
}

impl Sequence {
    /// Takes note of a datagram with this sequence number that holds `units`. `behind_max` is how far back a late
    /// datagram may plausibly lie, `restarted` that its header says the exporter restarted. Returns the units of the
    /// datagram before it that could not be counted then (see [`Self::leave_open`]).
    pub(crate) fn accept(
        &mut self,
        number: u32,
        units: u32,
        behind_max: u32,
        restarted: bool,
        now: Micros,
        counters: &mut SequenceCounters,
    ) -> u32 {
        let next = number.wrapping_add(units);
        let uncounted = match self.open.take() {
            Some(open) if number.wrapping_sub(open) as i32 >= 0 => number.wrapping_sub(open),
            _ => 0,
        };
        let Some(expected) = self.expected else {
            self.expected = Some(next);
            return uncounted;
        };
        let ahead = number.wrapping_sub(expected) as i32;
        if restarted || ahead > JUMP_MAX || ahead < -JUMP_MAX.max(behind_max as i32) {
            self.restart(next, counters);
        } else if ahead == 0 {
            self.expected = Some(next);
            self.behind_run = 0;
        } else if ahead > 0 {
            self.gap(Gap { start: expected, len: ahead as u32, since: now, datagrams: 0 }, counters);
            self.expected = Some(next);
            self.behind_run = 0;
        } else {
            self.behind(number, units, ahead.unsigned_abs() > behind_max, counters);
        }
        self.age(now, counters);
        uncounted
    }

    /// The last datagram held units that could not be counted: the next one sets the sequence.
    pub(crate) fn leave_open(&mut self) {
        self.open = self.expected.take();
    }

    /// Begins anew without counting anything: what was thought of the stream was wrong.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Units in gaps that may still be closed.
    pub(crate) fn missing(&self) -> u64 {
        self.gaps.iter().map(|gap| u64::from(gap.len)).sum()
    }

    fn behind(&mut self, number: u32, units: u32, far: bool, counters: &mut SequenceCounters) {
        let next = number.wrapping_add(units);
        let within = |gap: &Gap| number.wrapping_sub(gap.start) < gap.len;
        if let Some(i) = self.gaps.iter().position(within) {
            counters.reordered += 1;
            let gap = self.gaps[i];
            let before = number.wrapping_sub(gap.start);
            let after = (gap.len - before).saturating_sub(units);
            self.gaps.remove(i);
            for (start, len) in [(gap.start, before), (next, after)] {
                if len > 0 && self.gaps.len() < GAPS_MAX {
                    self.gaps.push(Gap { start, len, ..gap });
                }
            }
            return;
        }
        self.behind_run = if self.behind_run > 0 && number == self.behind_next { self.behind_run + 1 } else { 1 };
        self.behind_next = next;
        if far || self.behind_run >= RESTART_DATAGRAMS {
            self.restart(next, counters);
        } else {
            counters.duplicate += 1;
        }
    }

    fn restart(&mut self, next: u32, counters: &mut SequenceCounters) {
        counters.resets += 1;
        counters.lost += self.missing();
        *self = Self { expected: Some(next), gaps: std::mem::take(&mut self.gaps), ..Self::default() };
        self.gaps.clear();
    }

    fn gap(&mut self, gap: Gap, counters: &mut SequenceCounters) {
        if self.gaps.len() >= GAPS_MAX {
            counters.lost += u64::from(self.gaps.remove(0).len);
        }
        self.gaps.push(gap);
    }

    fn age(&mut self, now: Micros, counters: &mut SequenceCounters) {
        self.gaps.retain_mut(|gap| {
            gap.datagrams += 1;
            let open = gap.datagrams <= REORDER_DATAGRAMS && now - gap.since <= REORDER_MICROS;
            if !open {
                counters.lost += u64::from(gap.len);
            }
            open
        });
    }
}

#[cfg(test)]
mod tests {
    use guardian_model::Micros;

    use super::{Counting, Records, Sequence, SequenceCounters};

    /// Feeds (number, units), one a millisecond, then enough in-order datagrams to close every window.
    fn run(datagrams: &[(u32, u32)]) -> SequenceCounters {
        let (mut sequence, mut counters) = (Sequence::default(), SequenceCounters::default());
        let mut now = Micros(0);
        let mut feed = |number: u32, units: u32, counters: &mut SequenceCounters| {
            now = now + 1000;
            sequence.accept(number, units, 1000, false, now, counters);
        };
        let mut top = 0u32;
        for (number, units) in datagrams {
            feed(*number, *units, &mut counters);
            top = number.wrapping_add(*units);
        }
        for i in 0..40 {
            feed(top.wrapping_add(i), 1, &mut counters);
        }
        counters
    }

    #[test]
    fn table() {
        let none = SequenceCounters::default();
        let cases: &[(&str, &[(u32, u32)], SequenceCounters)] = &[
            ("in order", &[(10, 5), (15, 5), (20, 1)], none),
            ("across the wrap", &[(u32::MAX - 4, 5), (0, 5), (5, 5)], none),
            ("a gap", &[(0, 10), (30, 10), (40, 10)], SequenceCounters { lost: 20, ..none }),
            ("two swapped", &[(0, 10), (20, 10), (10, 10), (30, 10)], SequenceCounters { reordered: 1, ..none }),
            (
                "half of a gap comes late",
                &[(0, 10), (30, 10), (10, 10), (40, 10)],
                SequenceCounters { lost: 10, reordered: 1, ..none },
            ),
            ("one twice", &[(0, 10), (10, 10), (10, 10), (20, 10)], SequenceCounters { duplicate: 1, ..none }),
            ("a restart", &[(5_000_000, 10), (0, 10), (10, 10)], SequenceCounters { resets: 1, ..none }),
            ("a jump", &[(5, 10), (500_000_000, 10)], SequenceCounters { resets: 1, ..none }),
            (
                "a restart near by shows after three",
                &[(0, 10), (10, 10), (20, 10), (0, 10), (10, 10), (20, 10), (30, 10)],
                SequenceCounters { resets: 1, duplicate: 2, ..none },
            ),
        ];
        for (name, datagrams, expected) in cases {
            assert_eq!(run(datagrams), *expected, "{name}");
        }
    }

    #[test]
    fn uncounted_units_are_told_by_the_next_datagram() {
        let (mut sequence, mut counters) = (Sequence::default(), SequenceCounters::default());
        sequence.accept(100, 2, 1000, false, Micros(0), &mut counters);
        sequence.leave_open();
        assert_eq!(sequence.accept(109, 1, 1000, false, Micros(1), &mut counters), 7);
        assert_eq!(sequence.accept(110, 1, 1000, false, Micros(2), &mut counters), 0);
        assert_eq!(counters, SequenceCounters::default());
    }
    #[test]
    fn exporters_that_count_otherwise_lose_nothing() {
        // ((records, those of options), number as exported)
        let strict = [((5, 0), 0), ((7, 1), 5), ((7, 0), 12), ((2, 0), 19)];
        let inclusive = [((5, 0), 5), ((7, 1), 12), ((7, 0), 19), ((2, 0), 21)];
        let softflowd = [((21, 1), 20), ((28, 0), 48), ((28, 0), 76), ((21, 1), 96), ((28, 0), 124)];
        let normal = |stream: &[((u32, u32), u32)]| {
            let mut counting = Counting::default();
            let records = |(all, options)| Records { all, options };
            stream.iter().map(|(of, number)| counting.normalise(*number, records(*of))).collect::<Vec<_>>()
        };
        let kept = |(number, units)| (number, units, false);
        assert_eq!(normal(&strict), [(0, 5), (5, 7), (12, 7), (19, 2)].map(kept));
        assert_eq!(normal(&inclusive)[1..], [(5, 7, true), (12, 7, false), (19, 2, false)]);
        assert_eq!(normal(&softflowd)[3..], [(76, 20, true), (96, 28, false)]);
    }
}
