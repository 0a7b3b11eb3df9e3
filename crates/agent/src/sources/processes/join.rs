//! Brings what the connector says and what audit says of the same exec together: the connector says it at once and in time, audit
//! with the arguments of who is gone, a moment later. A row of who is gone waits for that, for a bounded time, and what the
//! connector says of the same process waits behind it. Pure; bounded in number and time, and no row is told twice.
//!
//! Both tell of each process in the order in which things happened, so that the first message fits the first record. Where
//! either lost something that does not hold any more: then nothing that waited is joined.

use std::collections::{HashMap, VecDeque};

use super::audit::Executed;
use super::row::Row;

/// How long a row waits for its record, in milliseconds.
pub(crate) const WAIT_MS: u64 = 400;
/// How long a record waits for its message, in milliseconds.
const RECORD_MS: u64 = 2_000;
/// Execs that wait for records, and records that wait for messages.
const WAITING_MAX: usize = 4_096;
/// Of one process.
const WAITING_EACH_MAX: usize = 16;
/// By how much a record may seem to be later than its message, in microseconds: audit's clock ticks, and both are rounded.
const JITTER_US: i64 = 10_000;

/// An exec of which no record came yet.
#[derive(Debug)]
struct Expected {
    number: u64,
    at: i64,
    /// What waits: the exec itself and what followed. Empty where it was told already.
    rows: Vec<Row>,
}

/// What waits on either side.
#[derive(Debug, Default)]
pub(crate) struct Join {
    number: u64,
    expected: HashMap<u32, VecDeque<Expected>>,
    /// When which exec was told, oldest first.
    order: VecDeque<(u64, u32, u64)>,
    records: HashMap<u32, VecDeque<(u64, Executed)>>,
    records_order: VecDeque<(u64, u32)>,
    /// When processes last executed something whose record was not waited for any longer: it is not that of what they do next.
    late: HashMap<u32, i64>,
}

impl Join {
    /// The connector says that a process became another program. Where it was `seen` its row is told, else the row waits. A record
    /// that is there already is given back.
    pub(crate) fn executed(&mut self, row: Row, seen: bool, now_ms: u64, out: &mut Vec<Row>) -> Option<Executed> {
        let (pid, at) = (row.pid, row.at);
        if let Some(record) = self.record_of(pid, at) {
            // Nothing of before is waited for behind a record.
            out.extend(self.expected.remove(&pid).into_iter().flatten().flat_map(|before| before.rows));
            out.push(if seen { row } else { row.with(&record) });
            return Some(record);
        }
        let rows = if seen { self.behind_any(pid, row, out) } else { vec![row] };
        self.number += 1;
        let number = self.number;
        let own = self.expected.entry(pid).or_default();
        if own.len() >= WAITING_EACH_MAX {
            out.extend(own.pop_front().into_iter().flat_map(|oldest| oldest.rows));
        }
        own.push_back(Expected { number, at, rows });
        self.order.push_back((now_ms, pid, number));
        while self.order.len() > WAITING_MAX {
            self.release_oldest(out);
        }
        None
    }

    /// What was seen waits only where something of the same process does.
    fn behind_any(&self, pid: u32, row: Row, out: &mut Vec<Row>) -> Vec<Row> {
        if self.waits(pid) {
            return vec![row];
        }
        out.push(row);
        Vec::new()
    }

    fn waits(&self, pid: u32) -> bool {
        self.expected.get(&pid).is_some_and(|own| own.iter().any(|expected| !expected.rows.is_empty()))
    }

    /// Another row of a process: it is given back unless it has to wait behind one that waits.
    pub(crate) fn behind(&mut self, pid: u32, row: Row) -> Option<Row> {
        if self.waits(pid)
            && let Some(last) = self.expected.get_mut(&pid).and_then(VecDeque::back_mut)
        {
            last.rows.push(row);
            return None;
        }
        Some(row)
    }

    /// Audit says that a process became another program; whether the message of it is there. What waited for it is added to `out`.
    pub(crate) fn recorded(&mut self, record: &Executed, now_ms: u64, out: &mut Vec<Row>) -> bool {
        while let Some(own) = self.expected.get_mut(&record.pid) {
            let Some(first) = own.pop_front() else { break };
            // None is left empty: then there is none.
            if own.is_empty() {
                self.expected.remove(&record.pid);
            }
            // The call began after that exec was over: the record of that one was lost.
            let past = first.at.saturating_add(JITTER_US) < record.at;
            if !past {
                out.extend(first.rows.into_iter().map(|row| row.with(record)));
                return true;
            }
            out.extend(first.rows);
        }
        if self.late.get(&record.pid).is_some_and(|at| record.at <= *at) {
            return true;
        }
        let own = self.records.entry(record.pid).or_default();
        if own.len() >= WAITING_EACH_MAX {
            own.pop_front();
        }
        own.push_back((now_ms, record.clone()));
        self.records_order.push_back((now_ms, record.pid));
        while self.records_order.len() > WAITING_MAX {
            self.forget_oldest();
        }
        false
    }

    /// Gives back what has waited long enough.
    pub(crate) fn tick(&mut self, now_ms: u64, out: &mut Vec<Row>) {
        while self.order.front().is_some_and(|(since, ..)| now_ms.saturating_sub(*since) >= WAIT_MS) {
            self.release_oldest(out);
        }
        while self.records_order.front().is_some_and(|(since, _)| now_ms.saturating_sub(*since) >= RECORD_MS) {
            self.forget_oldest();
        }
    }

    /// Something was lost: what waits on either side may not fit together any more. All rows are given back as they are.
    pub(crate) fn clear(&mut self, out: &mut Vec<Row>) {
        while !self.order.is_empty() {
            self.release_oldest(out);
        }
        self.records.clear();
        self.records_order.clear();
    }

    fn release_oldest(&mut self, out: &mut Vec<Row>) {
        let Some((_, pid, number)) = self.order.pop_front() else { return };
        let Some(own) = self.expected.get_mut(&pid) else { return };
        // Those of this process that are older were joined or released before.
        while let Some(first) = own.pop_front_if(|first| first.number <= number) {
            if self.late.len() >= WAITING_MAX {
                self.late.clear();
            }
            self.late.insert(pid, first.at);
            out.extend(first.rows);
        }
        if own.is_empty() {
            self.expected.remove(&pid);
        }
    }

    fn forget_oldest(&mut self) {
        let Some((since, pid)) = self.records_order.pop_front() else { return };
        let Some(own) = self.records.get_mut(&pid) else { return };
        if own.front().is_some_and(|(at, _)| *at <= since) {
            own.pop_front();
        }
        if own.is_empty() {
            self.records.remove(&pid);
        }
    }

    /// The first record of a process that is not of a later exec.
    fn record_of(&mut self, pid: u32, at: i64) -> Option<Executed> {
        let own = self.records.get_mut(&pid)?;
        let fits = own.front().is_some_and(|(_, record)| record.at <= at.saturating_add(JITTER_US));
        let found = if fits { own.pop_front() } else { None };
        if own.is_empty() {
            self.records.remove(&pid);
        }
        found.map(|(_, record)| record)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::row::Extra;
    use super::super::table::Table;
    use super::*;

    fn record(pid: u32, at: i64, word: &str) -> Executed {
        Executed { pid, at, arguments: format!("{word}\0").into_bytes(), ..Executed::default() }
    }

    fn row(pid: u32, activity: &'static str, at: i64) -> Row {
        Row::of(&Table::default(), activity, pid, at, Extra::default())
    }

    fn told(out: &mut Vec<Row>) -> Vec<(&'static str, u32, i64, String)> {
        let command = |row: &Row| row.known().and_then(|known| known.command.clone()).unwrap_or_default();
        out.drain(..).map(|row| (row.activity, row.pid, row.at, command(&row))).collect()
    }

    #[test]
    fn records_fill_rows_whichever_comes_first_and_order_stays() {
        let (mut join, mut out) = (Join::default(), Vec::new());
        assert_eq!(join.executed(row(5, "exec", 1_000), false, 0, &mut out), None);
        assert!(join.behind(5, row(5, "exit", 1_500)).is_none() && join.behind(6, row(6, "exit", 2)).is_some());
        assert!(out.is_empty());
        assert!(join.recorded(&record(5, 900, "a"), 3, &mut out));
        assert_eq!(told(&mut out), [("exec", 5, 1_000, "a".into()), ("exit", 5, 1_500, "a".into())]);
        // The record is there before the message.
        assert!(!join.recorded(&record(7, 900, "b"), 3, &mut out));
        assert!(join.executed(row(7, "exec", 1_000), false, 4, &mut out).is_some());
        assert_eq!(told(&mut out), [("exec", 7, 1_000, "b".into())]);
        assert!(join.behind(7, row(7, "exit", 3)).is_some());
    }

    #[test]
    fn a_process_that_becomes_one_program_after_another_keeps_them_apart() {
        let (mut join, mut out) = (Join::default(), Vec::new());
        // The first was seen and told, the second was gone.
        join.executed(row(5, "exec", 1_000), true, 0, &mut out);
        join.executed(row(5, "exec", 2_000), false, 0, &mut out);
        assert_eq!(told(&mut out), [("exec", 5, 1_000, String::new())]);
        assert!(join.recorded(&record(5, 900, "first"), 1, &mut out) && out.is_empty());
        assert!(join.recorded(&record(5, 1_900, "second"), 1, &mut out));
        assert_eq!(told(&mut out), [("exec", 5, 2_000, "second".into())]);
        // The record of the first was lost: what came much later is not taken for it.
        join.executed(row(5, "exec", 3_000), false, 2, &mut out);
        join.executed(row(5, "exec", 900_000), false, 2, &mut out);
        assert!(join.recorded(&record(5, 890_000, "later"), 3, &mut out));
        assert_eq!(told(&mut out), [("exec", 5, 3_000, String::new()), ("exec", 5, 900_000, "later".into())]);
    }

    #[test]
    fn nothing_waits_for_ever() {
        let (mut join, mut out) = (Join::default(), Vec::new());
        join.executed(row(5, "exec", 1_000), false, 0, &mut out);
        join.recorded(&record(6, 1_000, "x"), 0, &mut out);
        join.tick(WAIT_MS - 1, &mut out);
        assert!(out.is_empty());
        join.tick(WAIT_MS, &mut out);
        assert_eq!(told(&mut out).len(), 1);
        assert!(join.recorded(&record(5, 900, "late"), WAIT_MS, &mut out), "it was told already");
        join.executed(row(5, "exec", 1_100), false, WAIT_MS, &mut out);
        assert!(out.is_empty(), "what came too late is not that of the next one");
        assert!(join.recorded(&record(5, 1_050, "next"), WAIT_MS, &mut out));
        assert_eq!(told(&mut out), [("exec", 5, 1_100, "next".into())]);
        join.tick(3 * RECORD_MS, &mut out);
        assert!(join.records.is_empty() && join.expected.is_empty() && join.order.is_empty() && out.is_empty());
        for pid in 0..3 * WAITING_MAX as u32 {
            join.executed(row(pid, "exec", 0), false, 0, &mut out);
            join.recorded(&record(pid + 1_000_000, 0, "x"), 0, &mut out);
        }
        assert_eq!((join.expected.len(), join.order.len(), out.len()), (WAITING_MAX, WAITING_MAX, 2 * WAITING_MAX));
        assert_eq!((join.records.len(), join.records_order.len()), (WAITING_MAX, WAITING_MAX));
        join.clear(&mut out);
        assert_eq!((out.len(), join.expected.len(), join.records.len()), (3 * WAITING_MAX, 0, 0));
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Message(u32, bool),
        Record(u32),
        Behind(u32),
        Time(u64),
        Lost,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0u32..4, any::<bool>()).prop_map(|(pid, seen)| Step::Message(pid, seen)),
            (0u32..4).prop_map(Step::Record),
            (0u32..4).prop_map(Step::Behind),
            (0u64..300).prop_map(Step::Time),
            Just(Step::Lost),
        ]
    }

    proptest! {
        /// Whatever comes in whatever order: each row is told once, and those of a process in their order.
        #[test]
        fn each_row_is_told_once_and_in_order(steps in proptest::collection::vec(step(), 0..200)) {
            let (mut join, mut out, mut given, mut now) = (Join::default(), Vec::new(), 0i64, 0);
            for step in steps {
                match step {
                    Step::Message(pid, seen) => {
                        given += 1;
                        join.executed(row(pid, "exec", given), seen, now, &mut out);
                    }
                    Step::Behind(pid) => {
                        given += 1;
                        out.extend(join.behind(pid, row(pid, "exit", given)));
                    }
                    Step::Record(pid) => drop(join.recorded(&record(pid, given, "x"), now, &mut out)),
                    Step::Time(more) => { now += more; join.tick(now, &mut out); }
                    Step::Lost => join.clear(&mut out),
                }
            }
            join.clear(&mut out);
            prop_assert_eq!(out.len() as i64, given);
            for pid in 0..4 {
                let own: Vec<i64> = out.iter().filter(|row| row.pid == pid).map(|row| row.at).collect();
                prop_assert!(own.is_sorted_by(|a, b| a < b), "{:?}", own);
            }
        }
    }
}
