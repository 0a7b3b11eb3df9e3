//! What is worth keeping over a restart: templates, samplers and the exporters' starts.

use guardian_model::{Ip, Micros};
use serde::{Deserialize, Serialize};

use crate::builder::Source;
use crate::decoder::Decoder;
use crate::exporter::Exporter;
use crate::limits::Limits;
use crate::report::{Counters, Totals};
use crate::sampling::Sampler;
use crate::template::Definition;

/// Templates and samplers of all exporters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateStore {
    /// One entry an exporter. Stores of several decoders are merged by chaining these.
    pub exporters: Vec<ExporterTemplates>,
}

/// Templates and samplers of one exporter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExporterTemplates {
    /// Its address.
    pub exporter: Ip,
    /// When it was last heard.
    pub last_seen: Micros,
    /// Whether it had proven itself.
    pub proven: bool,
    /// Its samplers.
    pub samplers: Vec<Sampler>,
    /// Its sessions.
    pub sessions: Vec<SessionTemplates>,
}

/// Templates of one session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionTemplates {
    /// The protocol.
    pub source: Source,
    /// Observation domain or source id.
    pub domain: u32,
    /// Source port; 0 where the protocol has no transport sessions.
    pub port: u16,
    /// When the exporter's uptime was zero, in Unix milliseconds.
    pub uptime_base: Option<u64>,
    /// The templates.
    pub templates: Vec<Definition>,
}

impl Decoder {
    /// Templates and samplers of all exporters that have some.
    pub fn export_templates(&self) -> TemplateStore {
        let exporters = self.exporters.iter().map(|exporter| ExporterTemplates {
            exporter: exporter.ip,
            last_seen: exporter.last_seen,
            proven: exporter.proven,
            samplers: exporter.samplers.list.clone(),
            sessions: exporter
                .domains
                .iter()
                .flat_map(|domain| domain.sessions.iter().map(move |session| (domain, session)))
                .filter(|(_, session)| !session.templates().is_empty())
                .map(|(domain, session)| SessionTemplates {
                    source: domain.source,
                    domain: domain.id,
                    port: session.port,
                    uptime_base: domain.uptime_base,
                    templates: session.templates().iter().map(|t| t.definition.clone()).collect(),
                })
                .collect(),
        });
        let worth_keeping = |e: &ExporterTemplates| !e.sessions.is_empty() || !e.samplers.is_empty();
        TemplateStore { exporters: exporters.filter(worth_keeping).collect() }
    }

    /// Learns what [`Self::export_templates`] gave, within the limits. Meant for a new decoder. Returns how many
    /// templates it took.
    pub fn import_templates(&mut self, store: &TemplateStore) -> usize {
        let revision = self.revision;
        let taken = store.exporters.iter().map(|exporter| self.import(exporter)).sum();
        self.revision = revision;
        taken
    }

    fn import(&mut self, store: &ExporterTemplates) -> usize {
        let limits = *self.limits();
        let Some(at) = self.exporter(store.exporter, store.last_seen) else { return 0 };
        let before = self.exporters[at].budget.used;
        let mut totals = *self.totals();
        let exporter = &mut self.exporters[at];
        (exporter.last_seen, exporter.proven) = (store.last_seen, store.proven);
        for sampler in &store.samplers {
            exporter.samplers.learn(*sampler, limits.samplers_per_exporter_max);
        }
        let taken = store.sessions.iter().map(|s| import(exporter, s, store.last_seen, &limits, &mut totals)).sum();
        let grown = exporter.budget.used.saturating_sub(before);
        self.grown(grown);
        *self.totals_mut() = totals;
        taken
    }
}

fn import(
    exporter: &mut Exporter,
    store: &SessionTemplates,
    last_seen: Micros,
    limits: &Limits,
    totals: &mut Totals,
) -> usize {
    let Some((at, _)) = exporter.domain(store.source, store.domain, last_seen, limits, totals) else { return 0 };
    let (domain, budget) = (&mut exporter.domains[at], &mut exporter.budget);
    domain.uptime_base = store.uptime_base;
    let Some(session) = domain.session(store.port, last_seen, limits, budget) else { return 0 };
    let session = &mut domain.sessions[session];
    let mut counters = Counters::default();
    for definition in &store.templates {
        // What no longer makes sense within the limits is left out, as it would be when it came from the exporter.
        session.learn(definition, store.source, last_seen, limits, budget, &mut counters).ok();
    }
    counters.templates_learned as usize
}
