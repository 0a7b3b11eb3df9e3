//! Compiles a template once into a plan: which bytes of a record go to which column, and how.
//!
//! Everything that can be decided from the template is decided here, so that running a plan (see `run`) only moves
//! bytes. It must never look at data.

use guardian_model::{FLOW, FlowField, Kind};
use serde::{Deserialize, Serialize};

use crate::elements::{self, Becomes, Clock, Edge, IcmpPart, SamplingPart};

/// Length by which IPFIX marks a field of variable length (RFC 7011 section 7).
pub(crate) const VARIABLE: u16 = u16::MAX;

/// A field as a template lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateField {
    /// Private enterprise number; 0 for IANA's elements and all of NetFlow v9.
    pub pen: u32,
    /// Element id or v9 field type.
    pub id: u16,
    /// Length in bytes; 65,535 is variable.
    pub len: u16,
}

/// Where a field lies in a record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// From the start of the record; meaningless in records of variable length.
    pub(crate) offset: u32,
    /// Position among the fields of the template.
    pub(crate) slot: u16,
    /// Bytes, or [`VARIABLE`].
    pub(crate) width: u16,
}

/// One element into one column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) field: FlowField,
    pub(crate) place: Place,
    /// Only where the value written before is zero.
    pub(crate) fallback: bool,
}

/// An element without a column, with the head of its entry in `extra`: enterprise number and element id.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extra {
    pub(crate) place: Place,
    pub(crate) head: [u8; 6],
}

/// Places of ICMP elements of one address family.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct IcmpPlaces {
    pub(crate) both: Option<Place>,
    pub(crate) kind: Option<Place>,
    pub(crate) code: Option<Place>,
}

impl IcmpPlaces {
    pub(crate) fn is_empty(&self) -> bool {
        self.both.is_none() && self.kind.is_none()
    }
}

/// Places of what tells a sampling rate.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SamplingPlaces {
    pub(crate) sampler: Option<Place>,
    pub(crate) interval: Option<Place>,
    pub(crate) taken: Option<Place>,
    pub(crate) skipped: Option<Place>,
    pub(crate) size: Option<Place>,
    pub(crate) population: Option<Place>,
    pub(crate) probability: Option<Place>,
}

impl SamplingPlaces {
    /// Whether records carry something that decides their own rate.
    pub(crate) fn per_record(&self) -> bool {
        self.sampler.is_some() || self.tells_rate()
    }

    /// Whether records tell a rate.
    pub(crate) fn tells_rate(&self) -> bool {
        self.interval.is_some() || self.taken.is_some() || self.population.is_some() || self.probability.is_some()
    }
}

/// What to do with the records of a template.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    /// Bytes of a record; with fields of variable length, the least there can be.
    pub(crate) len: usize,
    /// Lengths of all fields where one is variable; empty otherwise.
    pub(crate) lens: Box<[u16]>,
    pub(crate) steps: Vec<Step>,
    pub(crate) start: Option<(Place, Clock)>,
    pub(crate) end: Option<(Place, Clock)>,
    pub(crate) event: Option<(Place, Clock)>,
    /// With microseconds a unit.
    pub(crate) duration: Option<(Place, u16)>,
    pub(crate) uptime_base: Option<Place>,
    pub(crate) icmp_v4: IcmpPlaces,
    pub(crate) icmp_v6: IcmpPlaces,
    pub(crate) sampling: SamplingPlaces,
    pub(crate) extras: Vec<Extra>,
    /// Whether the records describe flows: they have an address, a port, a protocol or a counter.
    pub(crate) is_flow: bool,
    /// Whether the records have a protocol.
    pub(crate) has_protocol: bool,
}

impl Plan {
    /// Compiles a template. `ignored` leading fields (scopes of NetFlow v9, which are numbered apart) are only
    /// skipped.
    pub(crate) fn compile(fields: &[TemplateField], ignored: usize) -> Self {
        let mut plan = Self::default();
        let mut known: Vec<(usize, Place, TemplateField)> = Vec::new();
        let mut offset = 0usize;
        for (slot, field) in fields.iter().enumerate() {
            let place = Place { offset: offset as u32, slot: slot as u16, width: field.len };
            // A variable field has at least its length byte.
            offset += if field.len == VARIABLE { 1 } else { usize::from(field.len) };
            if slot < ignored || field.len == 0 {
                continue;
            }
            match elements::find(field.pen, field.id) {
                Some(element) if fits(elements::elements()[element].becomes, field.len) => {
                    known.push((element, place, *field));
                }
                _ => plan.keep(place, *field),
            }
        }
        plan.len = offset;
        if fields.iter().any(|f| f.len == VARIABLE) {
            plan.lens = fields.iter().map(|f| f.len).collect();
        }
        known.sort_by_key(|(element, ..)| *element);
        for (element, place, field) in known {
            plan.add(elements::elements()[element].becomes, place, field);
        }
        plan
    }

    /// Whether the records are of variable length.
    pub(crate) fn is_variable(&self) -> bool {
        !self.lens.is_empty()
    }

    /// Bytes that the plan takes in memory, roughly.
    pub(crate) fn weight(&self) -> usize {
        size_of::<Self>()
            + self.lens.len() * size_of::<u16>()
            + self.steps.len() * size_of::<Step>()
            + self.extras.len() * size_of::<Extra>()
    }

    fn keep(&mut self, place: Place, field: TemplateField) {
        let (pen, id) = (field.pen.to_be_bytes(), field.id.to_be_bytes());
        self.extras.push(Extra { place, head: [pen[0], pen[1], pen[2], pen[3], id[0], id[1]] });
    }

    fn add(&mut self, becomes: Becomes, place: Place, field: TemplateField) {
        match becomes {
            Becomes::Nothing => {}
            Becomes::Column(column) => self.add_column(column, place, field),
            Becomes::Time(edge, clock) => {
                let slot = match edge {
                    Edge::Start => &mut self.start,
                    Edge::End => &mut self.end,
                    Edge::Event => &mut self.event,
                };
                if slot.is_some() {
                    self.keep(place, field);
                } else {
                    *slot = Some((place, clock));
                }
            }
            Becomes::Duration(unit) => self.duration = self.duration.or(Some((place, unit))),
            Becomes::Icmp { v6, part } => {
                let places = if v6 { &mut self.icmp_v6 } else { &mut self.icmp_v4 };
                let slot = match part {
                    IcmpPart::Both => &mut places.both,
                    IcmpPart::Type => &mut places.kind,
                    IcmpPart::Code => &mut places.code,
                };
                *slot = slot.or(Some(place));
            }
            Becomes::UptimeBase => self.uptime_base = Some(place),
            Becomes::Sampler => self.sampling.sampler = self.sampling.sampler.or(Some(place)),
            Becomes::Sampling(part) => {
                let sampling = &mut self.sampling;
                let slot = match part {
                    SamplingPart::Interval => &mut sampling.interval,
                    SamplingPart::Taken => &mut sampling.taken,
                    SamplingPart::Skipped => &mut sampling.skipped,
                    SamplingPart::Size => &mut sampling.size,
                    SamplingPart::Population => &mut sampling.population,
                    SamplingPart::Probability => &mut sampling.probability,
                };
                *slot = slot.or(Some(place));
            }
        }
    }

    fn add_column(&mut self, column: FlowField, place: Place, field: TemplateField) {
        use FlowField as F;
        let fallback = self.steps.iter().any(|step| step.field == column);
        self.steps.push(Step { field: column, place, fallback });
        // The other address family is zero where the first is not; everything else that comes second is kept too.
        let family = matches!(column, F::SrcIp | F::DstIp | F::SrcMask | F::DstMask | F::NatSrcIp | F::NatDstIp);
        if fallback && !family {
            self.keep(place, field);
        }
        self.has_protocol |= column == F::Protocol;
        self.is_flow |= matches!(
            column,
            F::SrcIp
                | F::DstIp
                | F::SrcPort
                | F::DstPort
                | F::Protocol
                | F::Bytes
                | F::Packets
                | F::RevBytes
                | F::RevPackets
                | F::NatSrcIp
                | F::NatDstIp
                | F::SrcMac
                | F::DstMac
        );
    }
}

/// Whether a field of this length can hold the value: unsigned integers may be reduced in size (RFC 7011 section
/// 6.2), addresses and times may not.
fn fits(becomes: Becomes, len: u16) -> bool {
    let unsigned = (1..=8).contains(&len);
    match becomes {
        Becomes::Nothing => true,
        Becomes::Column(column) => match FLOW.fields[column.index()].kind {
            Kind::Ip => matches!(len, 4 | 16),
            Kind::Mac => len == 6,
            _ => unsigned || len == VARIABLE,
        },
        Becomes::Time(_, Clock::Uptime | Clock::Seconds | Clock::BeforeExport) => len == 4,
        Becomes::Time(_, Clock::Millis | Clock::Ntp) | Becomes::UptimeBase => len == 8,
        Becomes::Sampling(SamplingPart::Probability) => matches!(len, 4 | 8),
        Becomes::Duration(_) | Becomes::Icmp { .. } | Becomes::Sampler | Becomes::Sampling(_) => unsigned,
    }
}

#[cfg(test)]
mod tests {
    use guardian_model::FlowField as F;

    use super::{Plan, TemplateField, VARIABLE};

    fn field(id: u16, len: u16) -> TemplateField {
        TemplateField { pen: 0, id, len }
    }

    #[test]
    fn a_dual_stack_template_prefers_ipv6_and_falls_back() {
        let plan = Plan::compile(&[field(8, 4), field(27, 16), field(1, 4), field(23, 8)], 0);
        let steps: Vec<_> = plan.steps.iter().map(|s| (s.field, s.place.offset, s.fallback)).collect();
        assert_eq!(steps, [(F::SrcIp, 4, false), (F::SrcIp, 0, true), (F::Bytes, 20, false), (F::Bytes, 24, true)]);
        assert_eq!(plan.extras.len(), 1, "the displaced counter is kept, the other address family is not");
        assert_eq!((plan.len, plan.is_variable(), plan.is_flow), (32, false, true));
    }

    #[test]
    fn what_does_not_fit_is_kept_as_bytes() {
        for (field, kept) in [
            (field(8, 5), true),
            (field(1, 9), true),
            (field(152, 4), true),
            (field(291, VARIABLE), true),
            (field(1, 3), false),
            (field(210, 40), false),
        ] {
            let plan = Plan::compile(&[field], 0);
            assert_eq!(plan.extras.len(), usize::from(kept), "{field:?}");
        }
    }
}
