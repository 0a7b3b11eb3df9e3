//! Sampling rates: what options told, found by exporter and domain, whichever port it came from.

use serde::{Deserialize, Serialize};

use crate::builder::Source;
use crate::plan::{Place, SamplingPlaces};
use crate::rows::Rows;

/// A sampling rate that an exporter told in options data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sampler {
    /// Protocol in which it was told.
    pub source: Source,
    /// Observation domain or source id.
    pub domain: u32,
    /// Sampler (IE 48) or selector (IE 302); `None` applies to records that name none.
    pub id: Option<u64>,
    /// One packet in this many.
    pub rate: u32,
}

/// All samplers of one exporter.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samplers {
    pub(crate) list: Vec<Sampler>,
}

impl Samplers {
    /// Takes note of a rate; false when there is no room for another sampler.
    pub(crate) fn learn(&mut self, told: Sampler, max: usize) -> bool {
        let same = |s: &&mut Sampler| (s.source, s.domain, s.id) == (told.source, told.domain, told.id);
        if let Some(known) = self.list.iter_mut().find(same) {
            known.rate = told.rate;
            return true;
        }
        let room = self.list.len() < max;
        if room {
            self.list.push(told);
        }
        room
    }

    /// What applies to one domain. `header` is the rate its message header tells.
    pub(crate) fn view(&self, source: Source, domain: u32, header: Option<u32>) -> Sampling<'_> {
        let default = header.or_else(|| self.default_of(source, domain));
        Sampling { list: &self.list, source, domain, default }
    }

    /// The rate of records that name no sampler: what was told without one; the only sampler, where there is one; or
    /// what domain 0, in which some exporters tell it for the whole device, told without one.
    pub(crate) fn default_of(&self, source: Source, domain: u32) -> Option<u32> {
        let of_domain = || self.list.iter().filter(|s| s.source == source && s.domain == domain);
        let unnamed = of_domain().find(|s| s.id.is_none());
        let only = || of_domain().next().filter(|_| of_domain().count() == 1);
        let device = || self.list.iter().find(|s| s.source == source && s.domain == 0 && s.id.is_none());
        unnamed.or_else(only).or_else(device).map(|s| s.rate)
    }

    /// Samplers of one domain.
    pub(crate) fn count(&self, source: Source, domain: u32) -> usize {
        self.list.iter().filter(|s| s.source == source && s.domain == domain).count()
    }
}

/// The rates that apply to the records of one message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sampling<'a> {
    list: &'a [Sampler],
    source: Source,
    domain: u32,
    default: Option<u32>,
}

impl Sampling<'_> {
    /// Of records that name no sampler.
    pub(crate) fn default(&self) -> u32 {
        self.default.unwrap_or(1)
    }

    /// Of records that name this sampler.
    pub(crate) fn of(&self, id: u64) -> u32 {
        let named =
            |domain: u32| self.list.iter().find(|s| s.source == self.source && s.domain == domain && s.id == Some(id));
        named(self.domain).or_else(|| named(0)).map_or_else(|| self.default(), |s| s.rate)
    }
}

/// The sampling rate that a record tells, if it tells one.
pub(crate) fn rate_of<R: Rows>(places: &SamplingPlaces, rows: R, row: usize) -> Option<u32> {
    let value = |place: Option<Place>| place.map(|place| rows.uint(place, row)).filter(|v| *v > 0);
    let ratio = |of: u64, taken: u64| of.checked_div(taken).map(|rate| rate.clamp(1, u64::from(u32::MAX)) as u32);
    if let Some(taken) = value(places.taken) {
        return ratio(taken.saturating_add(value(places.skipped).unwrap_or(0)), taken);
    }
    if let (Some(size), Some(population)) = (value(places.size), value(places.population)) {
        return ratio(population, size);
    }
    if let Some(probability) = places.probability.and_then(|place| float(rows.bytes(place, row))) {
        return Some((1.0 / probability).round().clamp(1.0, f64::from(u32::MAX)) as u32);
    }
    value(places.interval).and_then(|interval| ratio(interval, 1))
}

fn float(bytes: &[u8]) -> Option<f64> {
    let value = match bytes.len() {
        4 => f64::from(f32::from_be_bytes(bytes.try_into().ok()?)),
        _ => f64::from_be_bytes(bytes.try_into().ok()?),
    };
    (value > 0.0 && value <= 1.0).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::{Sampler, Samplers};
    use crate::builder::Source::{Ipfix, NetFlow9};

    #[test]
    fn rates_are_found_from_the_most_to_the_least_exact() {
        let mut samplers = Samplers::default();
        assert_eq!(samplers.view(NetFlow9, 7, None).default(), 1);
        let told = |domain, id, rate| Sampler { source: NetFlow9, domain, id, rate };
        assert!(samplers.learn(told(0, None, 10), 5));
        assert_eq!(samplers.view(NetFlow9, 7, None).default(), 10, "told for the device");
        assert!(samplers.learn(told(7, Some(1), 100), 5));
        assert_eq!(samplers.view(NetFlow9, 7, None).default(), 100, "the only sampler");
        assert!(samplers.learn(told(7, Some(2), 200), 5));
        let view = samplers.view(NetFlow9, 7, None);
        assert_eq!((view.of(1), view.of(2), view.of(3), view.default()), (100, 200, 10, 10));
        assert!(samplers.learn(told(7, None, 50), 5));
        assert!(samplers.learn(told(7, Some(2), 300), 5));
        let view = samplers.view(NetFlow9, 7, None);
        assert_eq!((view.of(2), view.of(3), view.default()), (300, 50, 50));
        assert_eq!(samplers.view(Ipfix, 7, None).of(1), 1, "another protocol is another process");
        assert_eq!(samplers.view(NetFlow9, 7, Some(4)).default(), 4, "the header decides");
        assert!(samplers.learn(told(8, None, 1), 5));
        assert!(!samplers.learn(told(9, None, 1), 5), "bounded");
    }
}
