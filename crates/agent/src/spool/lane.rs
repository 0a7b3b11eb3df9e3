//! One strictly ordered part of the spool.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;

use guardian_protocol::message::{Batch, Loss};
use guardian_protocol::{Frames, FromAgent, limits, open};

use super::marks::Marks;
use super::segment::{Record, Segment, read, record, text};
use super::{Drop, Mark, SpoolError, write_whole};

/// A segment is closed when it is this large.
const SEGMENT_BYTES: u64 = 4 << 20;
/// What a record takes beside its events, at most: heads, and what was lost.
const OVERHEAD_BYTES: u64 = 16 << 10;
/// Sequences that are reserved at once.
const RESERVE: u64 = 4_096;
/// Sorts of loss that are told apart.
const LOSSES_MAX: usize = 64;

/// A lane on the disk.
#[derive(Debug)]
pub struct Lane {
    dir: PathBuf,
    number: u32,
    bytes_max: u64,
    drop: Drop,
    /// Oldest first; the last is being written.
    segments: VecDeque<Segment>,
    file: File,
    next: u64,
    reserved: u64,
    /// Everything up to here is safe on the server.
    acknowledged: u64,
    /// Told with the next batch.
    untold: Vec<Loss>,
    /// Since the lane was opened.
    lost: Vec<Loss>,
    unsynced: bool,
    /// How far sources have read by what is written.
    marks: Marks,
}

/// A place in a lane.
#[derive(Debug, Default)]
pub struct Cursor {
    /// The record last taken.
    pub after: u64,
    open: Option<(u64, File, u64)>,
}

impl Cursor {
    /// Behind the record with this sequence.
    pub fn after(sequence: u64) -> Self {
        Self { after: sequence, open: None }
    }
}

/// A batch that waits.
#[derive(Debug)]
pub struct Waiting {
    /// Its place.
    pub sequence: u64,
    /// Its rows.
    pub rows: u32,
    /// The frame to send.
    pub frame: Vec<u8>,
}

impl Lane {
    pub(super) fn open(dir: PathBuf, number: u32, bytes_max: u64, drop: Drop) -> Result<Self, SpoolError> {
        let shown = dir.display().to_string();
        fs::create_dir_all(&dir).map_err(SpoolError::io(format!("making {shown}")))?;
        let found = Segment::list(&dir).map_err(SpoolError::io(format!("reading {shown}")))?;
        let reserved = text(&dir.join("reserved")).map_err(SpoolError::io(format!("reading {shown}")))?;
        let reserved: u64 = reserved.and_then(|text| text.trim().parse().ok()).unwrap_or(1);
        let last = found.last().map_or(0, |segment| segment.last);
        let next = reserved.max(last + 1);
        let mut marks = Marks::open(&dir, &found);
        // The segments of before are not written to any more.
        marks.save(last)?;
        let (mut kept, empty): (Vec<_>, Vec<_>) = found.into_iter().partition(|segment| segment.records > 0);
        for segment in empty {
            fs::remove_file(&segment.path).ok();
        }
        let first = kept.first().map_or(next, |segment| segment.first);
        let (segment, file) = fresh(&dir, next)?;
        kept.push(segment);
        let mut lane = Self {
            dir,
            number,
            bytes_max,
            drop,
            segments: kept.into(),
            file,
            next,
            reserved: next,
            acknowledged: first - 1,
            untold: Vec::new(),
            lost: Vec::new(),
            unsynced: false,
            marks,
        };
        lane.reserve()?;
        Ok(lane)
    }

    fn reserve(&mut self) -> Result<(), SpoolError> {
        let reserved = self.next + RESERVE;
        write_whole(&self.dir.join("reserved"), format!("{reserved}\n").as_bytes())?;
        self.reserved = reserved;
        Ok(())
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// Batches that wait, about: those that are safe and lie beside others that are not are among them.
    pub fn batches(&self) -> u64 {
        self.segments.iter().map(|segment| segment.records).sum()
    }

    /// The first sequence that is not known to be safe.
    pub const fn first(&self) -> u64 {
        self.acknowledged + 1
    }

    /// The last sequence that was given out.
    pub const fn last(&self) -> u64 {
        self.next - 1
    }

    pub(super) fn bound(&mut self, bytes_max: u64, drop: Drop) {
        (self.bytes_max, self.drop) = (bytes_max, drop);
    }

    pub(super) fn lost(&self) -> &[Loss] {
        &self.lost
    }

    pub(super) fn lose(&mut self, class: &str, rows: u64, place: &str) {
        for list in [&mut self.untold, &mut self.lost] {
            if let Some(known) = list.iter_mut().find(|l| l.class == class && l.place == place) {
                known.rows += rows;
            } else if list.len() < LOSSES_MAX {
                list.push(Loss { class: class.to_owned(), rows, place: place.to_owned() });
            }
        }
    }

    pub(super) fn mark(&self, source: &str) -> Option<Vec<u8>> {
        self.marks.get(source)
    }

    pub(super) fn keep_mark(&mut self, mark: Mark) -> Result<(), SpoolError> {
        if Marks::fits(&mark) {
            self.marks.put(mark);
        }
        // What it stands for must not be on the disk before the rows of before are.
        self.sync()?;
        self.marks.save(self.last())
    }

    pub(super) fn append(&mut self, mut batch: Batch, rows: u32, mark: Option<Mark>) -> Result<u64, SpoolError> {
        let mark = mark.filter(Marks::fits);
        while self.bytes() + batch.events.0.len() as u64 + OVERHEAD_BYTES > self.bytes_max {
            if self.drop == Drop::Newest || !self.drop_oldest()? {
                self.count_dropped(&batch, u64::from(rows), "spool");
                // They are counted, and not read again.
                mark.into_iter().for_each(|mark| self.marks.put(mark));
                return Ok(self.last());
            }
        }
        if self.next >= self.reserved {
            self.reserve()?;
        }
        (batch.lane, batch.sequence) = (self.number, self.next);
        batch.lost.append(&mut self.untold);
        let mut frame = Vec::new();
        let told = batch.lost.clone();
        FromAgent::Batch(batch).put(&mut frame)?;
        let bytes = record(self.next, rows, &frame, mark.as_ref());
        if let Err(error) = self.write(&bytes) {
            // What is told of must be told again.
            self.untold = told;
            return Err(error);
        }
        let sequence = self.next;
        self.next += 1;
        mark.into_iter().for_each(|mark| self.marks.put(mark));
        if let Some(segment) = self.segments.back_mut() {
            segment.last = sequence;
            segment.records += 1;
            segment.bytes += bytes.len() as u64;
        }
        self.unsynced = true;
        if self.segments.back().is_some_and(|segment| segment.bytes >= SEGMENT_BYTES) {
            // The batch is written, whatever comes of this: it must not be counted as lost. The next one tries again.
            self.roll().ok();
        }
        Ok(sequence)
    }

    /// Begins the next segment.
    fn roll(&mut self) -> Result<(), SpoolError> {
        self.sync()?;
        self.marks.save(self.last())?;
        let (segment, file) = fresh(&self.dir, self.next)?;
        self.segments.push_back(segment);
        self.file = file;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), SpoolError> {
        let end = self.segments.back().map_or(0, |segment| segment.bytes);
        self.file.write_all(bytes).map_err(|source| {
            // A part of a record must not stand before the next one.
            self.file.set_len(end).ok();
            SpoolError::Io { what: "writing to the spool".into(), source }
        })
    }

    pub(super) fn sync(&mut self) -> Result<(), SpoolError> {
        if self.unsynced {
            self.file.sync_data().map_err(SpoolError::io("syncing the spool"))?;
            self.unsynced = false;
        }
        Ok(())
    }

    /// Drops the oldest segment, and counts what was in it. False where only the one that is being written is left.
    fn drop_oldest(&mut self) -> Result<bool, SpoolError> {
        if self.segments.len() < 2 {
            return Ok(false);
        }
        let Some(oldest) = self.segments.pop_front() else { return Ok(false) };
        let mut at = 0;
        if let Ok(file) = File::open(&oldest.path) {
            while let Ok(Some(record)) = read(&file, at) {
                at = record.end;
                if record.sequence > self.acknowledged {
                    self.count_record(&record);
                }
            }
        }
        self.acknowledged = self.acknowledged.max(oldest.last);
        let what = format!("removing {}", oldest.path.display());
        fs::remove_file(&oldest.path).map_err(SpoolError::io(what))?;
        Ok(true)
    }

    fn count_record(&mut self, record: &Record) {
        let mut frames = Frames::new(limits::FRAME_BYTES_MAX);
        frames.push(&record.frame);
        let message = frames.next().ok().flatten().and_then(|frame| frame.from_agent().ok().flatten());
        match message {
            Some(FromAgent::Batch(batch)) => self.count_dropped(&batch, u64::from(record.rows), "spool"),
            _ => self.lose("", u64::from(record.rows), "spool"),
        }
    }

    fn count_dropped(&mut self, batch: &Batch, rows: u64, place: &str) {
        // What the batch itself had to tell is told by the next.
        for loss in &batch.lost {
            if let Some(known) = self.untold.iter_mut().find(|l| l.class == loss.class && l.place == loss.place) {
                known.rows += loss.rows;
            } else if self.untold.len() < LOSSES_MAX {
                self.untold.push(loss.clone());
            }
        }
        match open(batch) {
            Ok(all) => all.iter().for_each(|events| self.lose(&events.class, events.rows as u64, place)),
            Err(_) => self.lose("", rows, place),
        }
    }

    pub(super) fn next(&mut self, cursor: &mut Cursor) -> Result<Option<Waiting>, SpoolError> {
        loop {
            // The first segment that has something behind the cursor.
            let after = cursor.after;
            let Some(segment) = self.segments.iter().find(|s| s.records > 0 && s.last > after) else {
                return Ok(None);
            };
            if cursor.open.as_ref().is_none_or(|(first, _, _)| *first != segment.first) {
                let what = format!("reading {}", segment.path.display());
                let file = File::open(&segment.path).map_err(SpoolError::io(what))?;
                cursor.open = Some((segment.first, file, 0));
            }
            let Some((_, file, at)) = &mut cursor.open else { return Ok(None) };
            match read(file, *at).map_err(SpoolError::io("reading the spool"))? {
                Some(record) => {
                    *at = record.end;
                    if record.sequence > after {
                        cursor.after = record.sequence;
                        return Ok(Some(Waiting { sequence: record.sequence, rows: record.rows, frame: record.frame }));
                    }
                }
                None => {
                    // The disk gave back something else than was written: the rest of the segment is lost.
                    let (last, records) = (segment.last, segment.records);
                    cursor.after = last;
                    self.lose("", records, "disk");
                }
            }
        }
    }

    pub(super) fn acknowledge(&mut self, sequence: u64) {
        self.acknowledged = self.acknowledged.max(sequence.min(self.last()));
        while self.segments.len() > 1 && self.segments.front().is_some_and(|s| s.last <= self.acknowledged) {
            if let Some(done) = self.segments.pop_front() {
                // One that cannot be removed is acknowledged again after the next start.
                fs::remove_file(&done.path).ok();
            }
        }
        // All is safe: a new segment begins, so that nothing is sent again after a restart.
        let all_safe = self.acknowledged >= self.last();
        if all_safe
            && self.segments.back().is_some_and(|s| s.bytes >= SEGMENT_BYTES / 8)
            && self.marks.save(self.last()).is_ok()
            && let Ok((segment, file)) = fresh(&self.dir, self.next)
        {
            if let Some(done) = self.segments.pop_back() {
                fs::remove_file(&done.path).ok();
            }
            self.segments.push_back(segment);
            self.file = file;
            self.unsynced = false;
        }
    }

    pub(super) fn close(&mut self) -> Result<(), SpoolError> {
        self.unsynced = true;
        self.sync()?;
        self.marks.save(self.last())?;
        write_whole(&self.dir.join("reserved"), format!("{}\n", self.next).as_bytes())
    }
}

/// A new segment.
fn fresh(dir: &std::path::Path, first: u64) -> Result<(Segment, File), SpoolError> {
    let path = Segment::path_of(dir, first);
    let file = File::options().create(true).append(true).open(&path);
    let file = file.map_err(SpoolError::io(format!("making {}", path.display())))?;
    file.set_len(0).map_err(SpoolError::io(format!("emptying {}", path.display())))?;
    Ok((Segment { path, first, last: first - 1, records: 0, bytes: 0, marks: Vec::new() }, file))
}
