//! The sets of one NetFlow v9 (RFC 3954) or IPFIX (RFC 7011) message: templates, options and data.
//!
//! Both have the same shape; what differs is in [`Dialect`]. A set that cannot be read ends the message, a record
//! that cannot be read ends its set; what came before stands.

use guardian_model::Micros;

use crate::builder::{FlowBuilder, Source};
use crate::limits::{Budget, Limits};
use crate::plan::{Plan, TemplateField};
use crate::report::{Counters, Reason};
use crate::rows::{Extent, Fixed, Rows, Varying, measure};
use crate::run::run;
use crate::sampling::{Sampler, Samplers, rate_of};
use crate::sequence::{BEHIND_DATAGRAMS, BEHIND_RECORDS, Records};
use crate::template::{Definition, Held, Session, TEMPLATE_ID_MIN, Template};
use crate::times::Header;

/// Bytes of a set's own header: id and length.
const SET_HEADER: usize = 4;

/// What tells the two protocols apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    V9,
    Ipfix,
}

impl Dialect {
    pub(crate) const fn source(self) -> Source {
        match self {
            Self::V9 => Source::NetFlow9,
            Self::Ipfix => Source::Ipfix,
        }
    }

    /// The id of sets that hold templates; those of options templates follow it.
    const fn template_set(self) -> u16 {
        match self {
            Self::V9 => 0,
            Self::Ipfix => 2,
        }
    }
}

/// Memory that messages reuse.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scratch {
    extents: Vec<Extent>,
    announced: Definition,
}

/// What data records are decoded with.
pub(crate) struct Data<'a> {
    pub(crate) dialect: Dialect,
    pub(crate) limits: &'a Limits,
    pub(crate) counters: &'a mut Counters,
    pub(crate) samplers: &'a mut Samplers,
    /// When the exporter's uptime was zero, in Unix milliseconds, as options told.
    pub(crate) uptime_base: &'a mut Option<u64>,
    /// Counts up when something that is worth keeping over a restart changes.
    pub(crate) revision: &'a mut u64,
    pub(crate) scratch: &'a mut Scratch,
    pub(crate) out: &'a mut FlowBuilder,
    /// Records that may still be taken.
    pub(crate) allowance: usize,
    pub(crate) error: Option<Reason>,
}

impl Data<'_> {
    pub(crate) fn fail(&mut self, reason: Reason) {
        self.counters.errors.count(reason);
        self.error = self.error.or(Some(reason));
    }

    /// Decodes the records of a data set. Returns how many there were.
    fn set(&mut self, template: &Template, bytes: &[u8], header: &Header) -> u32 {
        let plan = &template.plan;
        if !plan.is_variable() {
            let there = bytes.len() / plan.len;
            if there == 0 {
                self.fail(Reason::Record);
            } else if there > self.allowance {
                self.fail(Reason::Limit);
            }
            self.records(template, Fixed::new(bytes, plan.len, self.allowance), header);
            return there as u32;
        }
        let mut extents = std::mem::take(&mut self.scratch.extents);
        if !measure(bytes, &plan.lens, plan.len, self.allowance, &mut extents) {
            self.fail(Reason::Record);
        }
        let rows = Varying::new(bytes, &extents, plan.lens.len());
        self.records(template, rows, header);
        let there = rows.len() as u32;
        self.scratch.extents = extents;
        there
    }

    fn records<R: Rows>(&mut self, template: &Template, rows: R, header: &Header) {
        let plan = &template.plan;
        self.allowance -= rows.len();
        let mut header = *header;
        if self.dialect == Dialect::Ipfix {
            header.uptime = self.uptime_base.map(|base| header.uptime_since(base));
        }
        if template.definition.scopes.is_some() {
            self.counters.options_records += rows.len() as u64;
            self.options(plan, rows, header.origin.domain);
        } else if plan.is_flow {
            let sampling = self.samplers.view(self.dialect.source(), header.origin.domain, None);
            run(plan, rows, &header, &sampling, self.limits, self.counters, self.out);
        } else {
            self.counters.other_records += rows.len() as u64;
        }
    }

    /// Takes sampling rates and the exporter's start out of options records.
    fn options<R: Rows>(&mut self, plan: &Plan, rows: R, domain: u32) {
        for row in 0..rows.len() {
            if let Some(base) = plan.uptime_base.map(|place| rows.uint(place, row)).filter(|base| *base > 0) {
                *self.revision += u64::from(*self.uptime_base != Some(base));
                *self.uptime_base = Some(base);
            }
            let Some(rate) = rate_of(&plan.sampling, rows, row) else { continue };
            let id = plan.sampling.sampler.map(|place| rows.uint(place, row));
            let told = Sampler { source: self.dialect.source(), domain, id, rate };
            if !self.samplers.list.contains(&told) {
                *self.revision += 1;
                if !self.samplers.learn(told, self.limits.samplers_per_exporter_max) {
                    self.fail(Reason::Limit);
                }
            }
        }
    }
}

/// One message on its way through its sets.
pub(crate) struct Message<'a> {
    pub(crate) data: Data<'a>,
    pub(crate) session: &'a mut Session,
    pub(crate) budget: &'a mut Budget,
    pub(crate) header: Header,
    /// Data records decoded: what IPFIX sequence numbers count.
    pub(crate) records: Records,
    /// Templates and records of any kind: what the header of v9 counts.
    pub(crate) counted: u32,
    /// Sets put aside, or dropped for want of room.
    pub(crate) unknown_sets: u32,
    pub(crate) held_sets: u32,
}

impl Message<'_> {
    fn now(&self) -> Micros {
        self.header.origin.received
    }

    /// Reads all sets of the message.
    pub(crate) fn read(&mut self, mut bytes: &[u8]) {
        let (now, data) = (self.now(), &mut self.data);
        self.session.expire_held(now, data.limits, self.budget, data.counters);
        while let Some((head, _)) = bytes.split_first_chunk::<SET_HEADER>() {
            let [id, len] = [[head[0], head[1]], [head[2], head[3]]].map(u16::from_be_bytes);
            let len = usize::from(len);
            if len < SET_HEADER || len > bytes.len() {
                return self.data.fail(Reason::Set);
            }
            let (set, rest) = bytes.split_at(len);
            self.set(id, &set[SET_HEADER..]);
            bytes = rest;
        }
    }

    /// Accounts for the sequence number, after the sets were read. `count` is that of the header of v9.
    pub(crate) fn account(self, number: u32, count: u16, restarted: bool) {
        let now = self.now();
        let Self { data, session, records, .. } = self;
        let (mut number, mut units, behind) = match data.dialect {
            Dialect::V9 => (number, 1, BEHIND_DATAGRAMS),
            Dialect::Ipfix => (number, records.all, BEHIND_RECORDS),
        };
        if data.dialect == Dialect::Ipfix && self.unknown_sets == 0 {
            let changed;
            (number, units, changed) = session.counting.normalise(number, records);
            if changed {
                session.sequence.forget();
            }
        }
        let counters = &mut data.counters.sequence;
        let uncounted = session.sequence.accept(number, units, behind, restarted, now, counters);
        match data.dialect {
            Dialect::V9 if self.held_sets > 0 => session.held_records(u32::from(count).saturating_sub(self.counted)),
            Dialect::V9 => {}
            Dialect::Ipfix => {
                // The number told how many records were in the sets that the message before made wait.
                session.held_records(uncounted);
                if self.unknown_sets > 0 {
                    session.counting.interrupt();
                    session.sequence.leave_open();
                }
            }
        }
    }

    fn set(&mut self, id: u16, body: &[u8]) {
        let templates = self.data.dialect.template_set();
        if id >= TEMPLATE_ID_MIN {
            self.data_set(id, body);
        } else if id == templates {
            self.templates(body, false);
        } else if id == templates + 1 {
            self.templates(body, true);
        } else {
            self.data.fail(Reason::ReservedSet);
        }
    }

    fn data_set(&mut self, id: u16, body: &[u8]) {
        let now = self.now();
        if let Some(template) = self.session.find(id, now) {
            let records = self.data.set(template, body, &self.header);
            self.records.all += records;
            self.records.options += if template.definition.scopes.is_some() { records } else { 0 };
            self.counted += records;
            return;
        }
        self.unknown_sets += 1;
        let held = Held { set: id, header: self.header, bytes: body.into(), records: 0 };
        let data = &mut self.data;
        if self.session.hold(held, data.limits, self.budget, data.counters) {
            self.held_sets += 1;
        } else {
            data.fail(Reason::Limit);
        }
    }

    /// Reads a set of templates. What is left at its end is padding.
    fn templates(&mut self, body: &[u8], options: bool) {
        let mut reader = Reader(body);
        // A withdrawal of options templates is as short as any (RFC 7011 section 8.1).
        let least = if options && self.data.dialect == Dialect::V9 { 6 } else { 4 };
        while reader.0.len() >= least {
            let mut announced = std::mem::take(&mut self.data.scratch.announced);
            let read = match (self.data.dialect, options) {
                (Dialect::V9, true) => reader.v9_options_template(&mut announced, self.data.limits),
                (_, _) => reader.template(self.data.dialect, options, &mut announced, self.data.limits),
            };
            let read = match read {
                Ok(Read::Template) => self.learn(&announced),
                Ok(Read::Withdrawal { id }) => self.withdraw(id),
                Ok(Read::Padding) => Err(None),
                Err(reason) => Err(Some(reason)),
            };
            self.data.scratch.announced = announced;
            match read {
                Ok(()) => self.counted += 1,
                Err(None) => return,
                Err(Some(reason)) => self.data.fail(reason),
            }
        }
    }

    fn learn(&mut self, announced: &Definition) -> Result<(), Option<Reason>> {
        let (now, data) = (self.now(), &mut self.data);
        let source = data.dialect.source();
        let fresh = self.session.learn(announced, source, now, data.limits, self.budget, data.counters);
        if !fresh.map_err(Some)? {
            return Ok(());
        }
        *data.revision += 1;
        let released = self.session.release(announced.id, self.budget, data.counters);
        let Some(template) = self.session.find(announced.id, now) else { return Ok(()) };
        let allowance = data.allowance;
        for held in released {
            data.allowance = data.limits.records_per_datagram_max;
            data.set(template, &held.bytes, &held.header);
        }
        data.allowance = allowance;
        Ok(())
    }

    fn withdraw(&mut self, id: u16) -> Result<(), Option<Reason>> {
        let templates = self.data.dialect.template_set();
        let (budget, counters) = (&mut *self.budget, &mut *self.data.counters);
        if id >= TEMPLATE_ID_MIN {
            self.session.withdraw(id, budget, counters);
        } else if id == templates || id == templates + 1 {
            self.session.withdraw_all(id != templates, budget, counters);
        } else {
            return Err(Some(Reason::Template));
        }
        *self.data.revision += 1;
        Ok(())
    }
}

/// What a template set holds next.
enum Read {
    Template,
    Withdrawal { id: u16 },
    Padding,
}

/// Reads template records; every method moves on past what it read, to the end where it cannot.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn u16(&mut self) -> Result<u16, Reason> {
        let Some((head, rest)) = self.0.split_first_chunk::<2>() else {
            self.0 = &[];
            return Err(Reason::Template);
        };
        self.0 = rest;
        Ok(u16::from_be_bytes(*head))
    }

    /// RFC 7011 sections 3.4.1 and 3.4.2, and templates of RFC 3954 section 5.2.
    fn template(
        &mut self,
        dialect: Dialect,
        options: bool,
        announced: &mut Definition,
        limits: &Limits,
    ) -> Result<Read, Reason> {
        announced.id = self.u16()?;
        let count = self.u16()?;
        if count == 0 {
            return match (dialect, announced.id) {
                (_, 0) => Ok(Read::Padding),
                (Dialect::Ipfix, id) => Ok(Read::Withdrawal { id }),
                (Dialect::V9, _) => Err(Reason::Template),
            };
        }
        announced.scopes = if options { Some(self.u16()?) } else { None };
        self.fields(dialect, usize::from(count), &mut announced.fields, limits)?;
        // Section 3.4.2.1: the scope field count must not be zero.
        if announced.scopes == Some(0) { Err(Reason::Template) } else { Ok(Read::Template) }
    }

    /// RFC 3954 section 6.1: lengths in bytes instead of counts.
    fn v9_options_template(&mut self, announced: &mut Definition, limits: &Limits) -> Result<Read, Reason> {
        announced.id = self.u16()?;
        let (scope_bytes, option_bytes) = (self.u16()?, self.u16()?);
        if announced.id == 0 && scope_bytes == 0 && option_bytes == 0 {
            return Ok(Read::Padding);
        }
        announced.scopes = Some(scope_bytes / 4);
        let count = usize::from(scope_bytes / 4) + usize::from(option_bytes / 4);
        self.fields(Dialect::V9, count, &mut announced.fields, limits)?;
        Ok(Read::Template)
    }

    fn fields(
        &mut self,
        dialect: Dialect,
        count: usize,
        fields: &mut Vec<TemplateField>,
        limits: &Limits,
    ) -> Result<(), Reason> {
        fields.clear();
        for _ in 0..count {
            let (mut id, len) = (self.u16()?, self.u16()?);
            let mut pen = 0;
            if dialect == Dialect::Ipfix && id & 0x8000 != 0 {
                id &= 0x7fff;
                pen = (u32::from(self.u16()?) << 16) | u32::from(self.u16()?);
            }
            if dialect == Dialect::V9 && len == crate::plan::VARIABLE {
                self.0 = &[];
                return Err(Reason::Template);
            }
            // What is beyond the limit is read, so that the templates after it are found, and refused as a whole.
            if fields.len() <= limits.fields_per_template_max {
                fields.push(TemplateField { pen, id, len });
            }
        }
        Ok(())
    }
}
