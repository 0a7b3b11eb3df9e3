//! Numbers and states of a host in little room: sorted numbers as differences, seven bits a byte, and times by their place
//! in a list of those that occur. A host with two thousand vulnerabilities takes some eight thousand bytes.

/// How long what was closed is remembered, in seconds.
const REMEMBERED_S: i64 = 400 * 86_400;

const CLOSED: u8 = 1;
const WITHDRAWN: u8 = 2;
const TOLD: u8 = 4;
const REOPENED: u8 = 8;

/// What is known of one vulnerability in one package on one host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// The number of the vulnerability in the package.
    pub subject: u32,
    /// When it was first seen, in seconds since the epoch.
    pub first_s: i64,
    /// Since when it is open, or was when it was closed.
    pub since_s: i64,
    /// When it was closed; none while it is open.
    pub closed_s: Option<i64>,
    /// It was closed because the advisories say so now, and not because anything was updated.
    pub withdrawn: bool,
    /// It was told that it is known to be exploited.
    pub told: bool,
    /// How often it came back.
    pub reopened: u32,
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
            since_s = times.get(take(&mut packed)? as usize).copied().unwrap_or(0);
        }
        Some(Entry {
            subject,
            first_s,
            since_s,
            closed_s,
            withdrawn: flags & WITHDRAWN != 0,
            told: flags & TOLD != 0,
            reopened,
        })
    })
}

/// What becomes of entries when these are open now, in the order of their numbers.
pub(crate) fn follow(before: impl Iterator<Item = Entry>, open: &[u32], now_s: i64, cause: Cause) -> Vec<Entry> {
    let mut after = Vec::with_capacity(open.len());
    let mut open = open.iter().copied().peekable();
    let fresh = |subject| Entry { subject, first_s: now_s, since_s: now_s, ..Entry::default() };
    for mut entry in before {
        while let Some(subject) = open.next_if(|subject| *subject < entry.subject) {
            after.push(fresh(subject));
        }
        if open.next_if_eq(&entry.subject).is_some() {
            if entry.closed_s.take().is_some() {
                entry.since_s = now_s;
                entry.reopened = entry.reopened.saturating_add(1);
                (entry.withdrawn, entry.told) = (false, false);
            }
        } else if entry.closed_s.is_none() {
            entry.closed_s = Some(now_s);
            entry.withdrawn = cause == Cause::Advisories;
        }
        if entry.closed_s.is_none_or(|closed| now_s - closed < REMEMBERED_S) {
            after.push(entry);
        }
    }
    after.extend(open.map(fresh));
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
        let first = follow(std::iter::empty(), &[2, 5], day(0), Cause::Host);
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
}
