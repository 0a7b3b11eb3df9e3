//! Numbers and states of a host in little room: sorted numbers as differences, seven bits a byte, and times by their place
//! in a list of those that occur. A host with two thousand vulnerabilities takes some eight thousand bytes.

/// How long what was closed is remembered, in seconds.
const REMEMBERED_S: i64 = 400 * 86_400;

const CLOSED: u8 = 1;
const WITHDRAWN: u8 = 2;
const TOLD: u8 = 4;
const REOPENED: u8 = 8;
const ASLEEP: u8 = 16;
const RESTART: u8 = 32;
/// It is open since another time than that at which it was first seen, though it never came back.
const SINCE: u8 = 64;

/// What is known of one vulnerability in one package on one host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// The number of the vulnerability in the package.
    pub subject: u32,
    /// When it was first seen, in seconds since the epoch.
    pub first_s: i64,
    /// Since when it is open, or was when it was closed.
    pub since_s: i64,
    /// When it was closed, or fell asleep; none while it is open.
    pub closed_s: Option<i64>,
    /// It was closed because the advisories say so now, and not because anything was updated.
    pub withdrawn: bool,
    /// It was told that it is known to be exploited.
    pub told: bool,
    /// It is in kernels alone that are installed and do not run.
    pub asleep: bool,
    /// A kernel that is installed does not have it: a restart takes it away.
    pub restart: bool,
    /// How often it came back.
    pub reopened: u32,
}

/// What is there now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Present {
    pub(crate) subject: u32,
    pub(crate) asleep: bool,
    pub(crate) restart: bool,
}

/// Why a host is judged anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It has something else than before.
    Host,
    /// The advisories are others than before.
    Advisories,
}

fn put(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// The next number; none at the end and where the bytes are damaged.
fn take(bytes: &mut &[u8]) -> Option<u64> {
    let (mut n, mut shift) = (0, 0);
    loop {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        n |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(n);
        }
        shift += 7;
        if shift > 56 {
            return None;
        }
    }
}

/// Packs numbers, each once.
pub(crate) fn pack_numbers(mut numbers: Vec<u32>) -> Vec<u8> {
    numbers.sort_unstable();
    numbers.dedup();
    let (mut out, mut before) = (Vec::with_capacity(numbers.len() * 2), 0);
    for number in numbers {
        put(&mut out, u64::from(number - before));
        before = number;
    }
    out
}

/// The numbers, in their order.
pub(crate) fn numbers(mut packed: &[u8]) -> impl Iterator<Item = u32> {
    let mut number = 0_u32;
    std::iter::from_fn(move || {
        let difference = take(&mut packed)?;
        number = number.wrapping_add(difference as u32);
        Some(number)
    })
}

/// Packs entries, which stand in the order of their subjects.
pub(crate) fn pack(entries: &[Entry]) -> Vec<u8> {
    let mut times: Vec<i64> =
        entries.iter().flat_map(|e| [Some(e.first_s), Some(e.since_s), e.closed_s]).flatten().collect();
    times.sort_unstable();
    times.dedup();
    let mut out = Vec::with_capacity(entries.len() * 4 + times.len() * 3 + 8);
    put(&mut out, times.len() as u64);
    let mut before = 0;
    for time in &times {
        put(&mut out, time.max(&0).abs_diff(before));
        before = (*time).max(0);
    }
    let place = |time: i64| times.binary_search(&time).unwrap_or(0) as u64;
    let mut before = 0;
    for entry in entries {
        put(&mut out, u64::from(entry.subject - before));
        before = entry.subject;
        let mut flags = 0;
        for (flag, set) in [
            (CLOSED, entry.closed_s.is_some()),
            (WITHDRAWN, entry.withdrawn),
            (TOLD, entry.told),
            (REOPENED, entry.reopened > 0),
            (ASLEEP, entry.asleep),
            (RESTART, entry.restart),
            (SINCE, entry.reopened == 0 && entry.since_s != entry.first_s),
        ] {
            flags |= if set { flag } else { 0 };
        }
        out.push(flags);
        put(&mut out, place(entry.first_s));
        if let Some(closed) = entry.closed_s {
            put(&mut out, place(closed));
        }
        if entry.reopened > 0 {
            put(&mut out, u64::from(entry.reopened));
        }
        if flags & (REOPENED | SINCE) != 0 {
            put(&mut out, place(entry.since_s));
        }
    }
    out
}

/// Unpacks entries; what is damaged ends them.
pub(crate) fn entries(mut packed: &[u8]) -> impl Iterator<Item = Entry> {
    let count = take(&mut packed).unwrap_or(0).min(packed.len() as u64);
    let mut times = Vec::with_capacity(count as usize);
    let mut time = 0_i64;
    for _ in 0..count {
        time = time.saturating_add_unsigned(take(&mut packed).unwrap_or(0));
        times.push(time);
    }
    let mut subject = 0_u32;
    std::iter::from_fn(move || {
        subject = subject.wrapping_add(take(&mut packed)? as u32);
        let (flags, rest) = packed.split_first()?;
        packed = rest;
        let mut at = || Some(times.get(take(&mut packed)? as usize).copied().unwrap_or(0));
        let first_s = at()?;
        let closed_s = if flags & CLOSED != 0 { Some(at()?) } else { None };
        let (mut reopened, mut since_s) = (0, first_s);
        if flags & REOPENED != 0 {
            reopened = take(&mut packed)? as u32;
        }
        if flags & (REOPENED | SINCE) != 0 {
            since_s = times.get(take(&mut packed)? as usize).copied().unwrap_or(0);
        }
        Some(Entry {
            subject,
            first_s,
            since_s,
            closed_s,
            withdrawn: flags & WITHDRAWN != 0,
            told: flags & TOLD != 0,
            asleep: flags & ASLEEP != 0,
            restart: flags & RESTART != 0,
            reopened,
        })
    })
}

impl Entry {
    /// It is seen for the first time. What sleeps is not open, and never was.
    fn fresh(present: Present, now_s: i64) -> Self {
        let Present { subject, asleep, restart } = present;
        let closed_s = asleep.then_some(now_s);
        Self { subject, first_s: now_s, since_s: now_s, closed_s, asleep, restart, ..Self::default() }
    }

    /// It is there now; what was closed, or slept, is open again.
    fn stays(&mut self, present: Present, now_s: i64) {
        self.restart = present.restart;
        if present.asleep {
            self.asleep = true;
            self.closed_s.get_or_insert(now_s);
            self.withdrawn = false;
        } else if self.closed_s.is_some() {
            // What only slept until now was never open, and comes for the first time.
            self.reopened = self.reopened.saturating_add(u32::from(self.was_open()));
            (self.closed_s, self.since_s) = (None, now_s);
            (self.withdrawn, self.told, self.asleep) = (false, false, false);
        }
    }

    /// It is there no more.
    fn goes(&mut self, now_s: i64, cause: Cause) {
        if self.closed_s.is_none() || self.asleep {
            // What slept was no danger since it fell asleep.
            self.closed_s.get_or_insert(now_s);
            self.withdrawn = cause == Cause::Advisories;
        }
        (self.asleep, self.restart) = (false, false);
    }

    /// Whether it was ever open: a kernel that never ran was no danger.
    pub fn was_open(&self) -> bool {
        self.closed_s != Some(self.since_s) || self.reopened > 0
    }
}

/// What becomes of entries when these are there now, in the order of their numbers.
pub(crate) fn follow(before: impl Iterator<Item = Entry>, present: &[Present], now_s: i64, cause: Cause) -> Vec<Entry> {
    let mut after = Vec::with_capacity(present.len());
    let mut present = present.iter().copied().peekable();
    for mut entry in before {
        while let Some(new) = present.next_if(|new| new.subject < entry.subject) {
            after.push(Entry::fresh(new, now_s));
        }
        match present.next_if(|now| now.subject == entry.subject) {
            Some(now) => entry.stays(now, now_s),
            None => entry.goes(now_s, cause),
        }
        if entry.asleep || entry.closed_s.is_none_or(|closed| now_s - closed < REMEMBERED_S) {
            after.push(entry);
        }
    }
    after.extend(present.map(|new| Entry::fresh(new, now_s)));
    after
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_come_back_in_little_room() {
        let all: Vec<Entry> = (0..2_000_u32)
            .map(|n| Entry {
                subject: n * 3 + n % 2,
                first_s: 1_764_000_000 + i64::from(n % 20) * 86_400,
                since_s: 1_764_000_000 + i64::from(n % 20) * 86_400 + if n % 50 == 0 { 77 } else { 0 },
                closed_s: (n % 10 == 0).then_some(1_790_000_000),
                withdrawn: n % 20 == 0,
                told: n % 7 == 0,
                asleep: n % 30 == 0,
                restart: n % 11 == 0,
                reopened: u32::from(n % 50 == 0),
            })
            .collect();
        let packed = pack(&all);
        assert!(packed.len() < 8_000, "{}", packed.len());
        assert_eq!(entries(&packed).collect::<Vec<_>>(), all);
        for end in 0..packed.len().min(400) {
            assert!(entries(&packed[..end]).count() <= all.len());
        }
        assert_eq!(entries(&[0xff; 64]).count(), 0);
        assert_eq!(numbers(&pack_numbers(vec![9, 3, 3, u32::MAX])).collect::<Vec<_>>(), [3, 9, u32::MAX]);
    }

    #[test]
    fn what_is_fixed_and_comes_back_keeps_its_past() {
        let day = |n: i64| 1_764_000_000 + n * 86_400;
        let follow = |before: std::vec::IntoIter<Entry>, open: &[u32], now_s, cause| {
            let open: Vec<Present> =
                open.iter().map(|subject| Present { subject: *subject, ..Present::default() }).collect();
            follow(before, &open, now_s, cause)
        };
        let first = follow(Vec::new().into_iter(), &[2, 5], day(0), Cause::Host);
        assert!(first.iter().all(|e| e.first_s == day(0) && e.closed_s.is_none()));
        let second = follow(first.into_iter(), &[1, 5], day(3), Cause::Host);
        assert_eq!(
            second.iter().map(|e| (e.subject, e.first_s, e.closed_s)).collect::<Vec<_>>(),
            [(1, day(3), None), (2, day(0), Some(day(3))), (5, day(0), None)]
        );
        let third = follow(second.into_iter(), &[2], day(9), Cause::Advisories);
        let shown: Vec<_> = third.iter().map(|e| (e.subject, e.closed_s.is_some(), e.withdrawn, e.reopened)).collect();
        assert_eq!(shown, [(1, true, true, 0), (2, false, false, 1), (5, true, true, 0)]);
        assert_eq!((third[1].first_s, third[1].since_s), (day(0), day(9)));
        let last = follow(third.into_iter(), &[2], day(9) + REMEMBERED_S, Cause::Host);
        assert_eq!(last.len(), 1, "what is long past is forgotten");
    }

    #[test]
    fn what_sleeps_is_not_open_and_wakes() {
        let day = |n: i64| 1_764_000_000 + n * 86_400;
        let at = |asleep| [Present { subject: 7, asleep, restart: false }];
        let first = follow(std::iter::empty(), &at(true), day(0), Cause::Host);
        assert!(first[0].asleep && first[0].closed_s == Some(day(0)) && !first[0].was_open());
        let awake = follow(first.into_iter(), &at(false), day(2), Cause::Host);
        let Entry { closed_s, since_s, reopened, first_s, .. } = awake[0];
        assert_eq!((closed_s, since_s, reopened, first_s), (None, day(2), 0, day(0)), "it comes for the first time");
        assert_eq!(entries(&pack(&awake)).collect::<Vec<_>>(), awake, "since when is kept");
        let asleep = follow(awake.into_iter(), &at(true), day(5), Cause::Host);
        assert_eq!((asleep[0].asleep, asleep[0].closed_s, asleep[0].was_open()), (true, Some(day(5)), true));
        let kept = follow(asleep.clone().into_iter(), &at(true), day(5) + 2 * REMEMBERED_S, Cause::Advisories);
        assert_eq!(kept, asleep, "it is there as long as the kernel is");
        let gone = follow(asleep.clone().into_iter(), &[], day(9), Cause::Host);
        assert_eq!((gone[0].asleep, gone[0].closed_s), (false, Some(day(5))), "it was fixed when it fell asleep");
        let back = follow(asleep.into_iter(), &at(false), day(9), Cause::Host);
        assert_eq!((back[0].reopened, back[0].since_s), (1, day(9)));
    }
}
