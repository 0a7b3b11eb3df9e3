//! Templates of one transport session: learning, replacing, withdrawing, and holding data that came too early.

use std::collections::VecDeque;

use guardian_model::Micros;
use serde::{Deserialize, Serialize};

use crate::builder::Source;
use crate::limits::{Budget, Limits};
use crate::plan::{Plan, TemplateField, VARIABLE};
use crate::report::{Counters, Reason, Waiting};
use crate::sequence::{Counting, Sequence};
use crate::times::Header;

/// The least id of a template; smaller ones are sets with a meaning of their own.
pub(crate) const TEMPLATE_ID_MIN: u16 = 256;

/// A template as it was announced.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// Template id, from 256 on.
    pub id: u16,
    /// Number of leading scope fields of an options template; `None` for a template of data.
    pub scopes: Option<u16>,
    /// The fields in order.
    pub fields: Vec<TemplateField>,
}

/// A template and what it was compiled to.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    pub(crate) definition: Definition,
    pub(crate) plan: Plan,
    last_used: Micros,
}

impl Template {
    fn weight(&self) -> usize {
        size_of::<Self>() + self.definition.fields.len() * size_of::<TemplateField>() + self.plan.weight()
    }
}

/// A data set that waits for its template.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) set: u16,
    pub(crate) header: Header,
    pub(crate) bytes: Box<[u8]>,
    /// Records in it, as far as is known.
    pub(crate) records: u32,
}

impl Held {
    fn weight(&self) -> usize {
        size_of::<Self>() + self.bytes.len()
    }
}

/// One transport session: for IPFIX a source port (RFC 7011 section 8), for everything else the whole domain.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) port: u16,
    pub(crate) last_seen: Micros,
    pub(crate) sequence: Sequence,
    pub(crate) counting: Counting,
    /// Sorted by id.
    templates: Vec<Template>,
    held: VecDeque<Held>,
    held_bytes: usize,
}

impl Session {
    /// What an empty session weighs.
    pub(crate) const WEIGHT: usize = size_of::<Self>();

    pub(crate) fn new(port: u16, now: Micros) -> Self {
        Self {
            port,
            last_seen: now,
            sequence: Sequence::default(),
            counting: Counting::default(),
            templates: Vec::new(),
            held: VecDeque::new(),
            held_bytes: 0,
        }
    }

    pub(crate) fn templates(&self) -> &[Template] {
        &self.templates
    }

    pub(crate) fn waiting(&self) -> Waiting {
        Waiting {
            sets: self.held.len() as u32,
            bytes: self.held.iter().map(|held| held.bytes.len() as u64).sum(),
            records: self.held.iter().map(|held| u64::from(held.records)).sum(),
        }
    }

    /// Everything the session weighs.
    pub(crate) fn weight(&self) -> usize {
        Self::WEIGHT + self.held_bytes + self.templates.iter().map(Template::weight).sum::<usize>()
    }

    fn position(&self, id: u16) -> Result<usize, usize> {
        self.templates.binary_search_by_key(&id, |template| template.definition.id)
    }

    /// The template of a data set.
    #[inline]
    pub(crate) fn find(&mut self, id: u16, now: Micros) -> Option<&Template> {
        let position = self.position(id).ok()?;
        let template = &mut self.templates[position];
        template.last_used = now;
        Some(template)
    }

    /// Learns a template. Returns whether it is new or changed, so that data may have waited for it.
    pub(crate) fn learn(
        &mut self,
        announced: &Definition,
        source: Source,
        now: Micros,
        limits: &Limits,
        budget: &mut Budget,
        counters: &mut Counters,
    ) -> Result<bool, Reason> {
        check(announced, limits)?;
        if let Ok(at) = self.position(announced.id) {
            let known = &mut self.templates[at];
            known.last_used = now;
            if known.definition == *announced {
                return Ok(false);
            }
            budget.give(self.templates.remove(at).weight());
            counters.templates_changed += 1;
        }
        // Scopes of NetFlow v9 have numbers of their own (RFC 3954 section 6.1), those of IPFIX are elements.
        let ignored = if source == Source::NetFlow9 { announced.scopes.unwrap_or(0) } else { 0 };
        let plan = Plan::compile(&announced.fields, ignored.into());
        let template = Template { definition: announced.clone(), plan, last_used: now };
        if self.templates.len() >= limits.templates_per_session_max {
            self.forget_oldest(budget);
        }
        if !budget.take(template.weight()) {
            return Err(Reason::Limit);
        }
        counters.templates_learned += 1;
        let at = self.position(announced.id).unwrap_or_else(|at| at);
        self.templates.insert(at, template);
        Ok(true)
    }

    fn forget_oldest(&mut self, budget: &mut Budget) {
        let oldest = self.templates.iter().enumerate().min_by_key(|(_, template)| template.last_used);
        if let Some((at, _)) = oldest {
            budget.give(self.templates.remove(at).weight());
        }
    }

    /// Withdraws one template (RFC 7011 section 8.1).
    pub(crate) fn withdraw(&mut self, id: u16, budget: &mut Budget, counters: &mut Counters) {
        if let Ok(at) = self.position(id) {
            budget.give(self.templates.remove(at).weight());
            counters.templates_withdrawn += 1;
        }
    }

    /// Withdraws all templates of data, or all of options.
    pub(crate) fn withdraw_all(&mut self, options: bool, budget: &mut Budget, counters: &mut Counters) {
        self.templates.retain(|template| {
            let keep = template.definition.scopes.is_some() != options;
            if !keep {
                budget.give(template.weight());
                counters.templates_withdrawn += 1;
            }
            keep
        });
    }

    /// Puts a data set aside until its template comes. Older ones make room for it.
    pub(crate) fn hold(&mut self, held: Held, limits: &Limits, budget: &mut Budget, counters: &mut Counters) -> bool {
        let weight = held.weight();
        while self.held.len() >= limits.held_sets_per_session_max
            || (self.held_bytes + weight > limits.held_bytes_per_session_max && !self.held.is_empty())
        {
            self.drop_first(budget, counters);
        }
        if weight > limits.held_bytes_per_session_max || !budget.take(weight) {
            counters.dropped_sets += 1;
            return false;
        }
        self.held_bytes += weight;
        self.held.push_back(held);
        counters.held_sets += 1;
        true
    }

    /// Drops what has waited too long.
    pub(crate) fn expire_held(&mut self, now: Micros, limits: &Limits, budget: &mut Budget, counters: &mut Counters) {
        while self.held.front().is_some_and(|held| now - held.header.origin.received > limits.held_age_max) {
            self.drop_first(budget, counters);
        }
    }

    fn drop_first(&mut self, budget: &mut Budget, counters: &mut Counters) {
        if let Some(held) = self.held.pop_front() {
            self.held_bytes -= held.weight();
            budget.give(held.weight());
            counters.dropped_sets += 1;
        }
    }

    /// Takes out what waited for a template, in order of arrival.
    pub(crate) fn release(&mut self, id: u16, budget: &mut Budget, counters: &mut Counters) -> Vec<Held> {
        let (released, held) = std::mem::take(&mut self.held).into_iter().partition::<Vec<_>, _>(|h| h.set == id);
        self.held = held.into();
        let weight = released.iter().map(Held::weight).sum::<usize>();
        self.held_bytes -= weight;
        budget.give(weight);
        counters.released_sets += released.len() as u64;
        released
    }

    /// The last message told that `records` more were in the sets it made wait.
    pub(crate) fn held_records(&mut self, records: u32) {
        if let Some(last) = self.held.back_mut() {
            // A record has at least one byte: more than that were lost, not held.
            last.records = last.records.saturating_add(records).min(last.bytes.len() as u32);
        }
    }
}

/// Whether a template makes sense.
fn check(announced: &Definition, limits: &Limits) -> Result<(), Reason> {
    let Definition { id, scopes, fields } = announced;
    if fields.len() > limits.fields_per_template_max {
        return Err(Reason::Limit);
    }
    let len: usize = fields.iter().map(|f| if f.len == VARIABLE { 1 } else { usize::from(f.len) }).sum();
    let scopes_fit = scopes.is_none_or(|scopes| usize::from(scopes) <= fields.len());
    let sound = *id >= TEMPLATE_ID_MIN && (1..=usize::from(u16::MAX)).contains(&len) && scopes_fit;
    if sound { Ok(()) } else { Err(Reason::Template) }
}
