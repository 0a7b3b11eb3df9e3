//! What decoding tells about itself: the outcome of a datagram, and counters for each exporter.

use guardian_model::{Ip, Micros};
use serde::{Deserialize, Serialize};

use crate::builder::Source;
use crate::sequence::SequenceCounters;

/// Where a datagram came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Peer {
    /// Source address, which is the exporter's identity.
    pub ip: Ip,
    /// Source port, which tells IPFIX transport sessions apart.
    pub port: u16,
}

macro_rules! reasons {
    ($( $(#[doc = $doc:literal])+ $variant:ident = $name:literal; )*) => {
        /// Why (a part of) a datagram could not be decoded.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(usize)]
        pub enum Reason { $( $(#[doc = $doc])+ $variant, )* }

        impl Reason {
            /// All reasons.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The value of the `reason` label of metrics.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// One sentence for people.
            pub const fn doc(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim_ascii(),)* }
            }
        }
    };
}

reasons! {
    /// The datagram is shorter than its header.
    Truncated = "truncated";
    /// It starts with no version of NetFlow, IPFIX or sFlow that is understood.
    Version = "version";
    /// Its header claims more records or bytes than there are; what is there was decoded.
    Length = "length";
    /// A set is shorter than its header or longer than the datagram; the rest of the datagram was dropped.
    Set = "set";
    /// A set has a reserved id; it was skipped.
    ReservedSet = "reserved_set";
    /// A template is cut off, has no fields, a reserved id, or records of no length.
    Template = "template";
    /// A record of variable length runs over the end of its set; the rest of the set was dropped.
    Record = "record";
    /// A limit on state was hit; what did not fit was dropped.
    Limit = "limit";
    /// The table of exporters is full of exporters that have proven themselves.
    ExporterRefused = "exporter_refused";
    /// An sFlow structure is cut off or contradicts itself.
    Sflow = "sflow";
}

/// Number of [`Reason`]s.
pub const REASONS: usize = Reason::ALL.len();

/// Errors by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Errors([u64; REASONS]);

impl Errors {
    pub(crate) fn count(&mut self, reason: Reason) {
        self.0[reason as usize] += 1;
    }

    /// How often this happened.
    pub fn get(&self, reason: Reason) -> u64 {
        self.0[reason as usize]
    }

    /// All together.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Those that happened.
    pub fn iter(&self) -> impl Iterator<Item = (Reason, u64)> + '_ {
        Reason::ALL.iter().map(|reason| (*reason, self.get(*reason))).filter(|(_, n)| *n > 0)
    }
}

/// What became of one datagram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The protocol, if it was recognised.
    pub source: Option<Source>,
    /// Rows added, those of released data included.
    pub flows: u32,
    /// Data sets put aside until their template comes.
    pub held_sets: u32,
    /// The first thing that was wrong with it.
    pub error: Option<Reason>,
    /// Whether this exporter and domain was not known before.
    pub first_seen: bool,
}

/// Counters of one exporter, domain and protocol since its state was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Datagrams received.
    pub datagrams: u64,
    /// Their bytes, without UDP and IP headers.
    pub bytes: u64,
    /// Rows made of them.
    pub flows: u64,
    /// Records of options templates.
    pub options_records: u64,
    /// Data records that describe no flow: no address, port, protocol or counter.
    pub other_records: u64,
    /// sFlow counter samples, which are read and counted only.
    pub counter_samples: u64,
    /// sFlow samples and records in formats that are skipped.
    pub unknown_samples: u64,
    /// Packets that sFlow agents chose but could not send samples of, for lack of resources.
    pub sampler_drops: u64,
    /// Event times that were not believed.
    pub clamped_times: u64,
    /// Datagrams whose export time was not believed: the exporter's clock is absurd.
    pub skewed_clocks: u64,
    /// Event times that could only be estimated, because the exporter's start is not known.
    pub estimated_times: u64,
    /// Templates learned.
    pub templates_learned: u64,
    /// Templates that replaced one with other fields.
    pub templates_changed: u64,
    /// Templates withdrawn (RFC 7011 section 8.1).
    pub templates_withdrawn: u64,
    /// Data sets that came before their template.
    pub held_sets: u64,
    /// Data sets decoded when their template came.
    pub released_sets: u64,
    /// Data sets given up: too many, too old.
    pub dropped_sets: u64,
    /// Sequence numbers.
    pub sequence: SequenceCounters,
    /// Errors by reason.
    pub errors: Errors,
}

/// Data that waits for its template.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Data sets held.
    pub sets: u32,
    /// Their bytes.
    pub bytes: u64,
    /// Records in them, as far as headers and sequence numbers told.
    pub records: u64,
}

/// What is known of one exporter, domain and protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExporterStats {
    /// Source address of its datagrams.
    pub exporter: Ip,
    /// Observation domain, source id, engine or sub-agent.
    pub domain: u32,
    /// The protocol.
    pub source: Source,
    /// Source port of its last datagram.
    pub port: u16,
    /// When it was first seen.
    pub first_seen: Micros,
    /// When it was last seen.
    pub last_seen: Micros,
    /// Templates known, those of options included.
    pub templates: usize,
    /// The sampling rate that applies to records that name no sampler; `None` when it never told one (1 is assumed).
    pub sampling_rate: Option<u32>,
    /// Samplers it has told of.
    pub samplers: usize,
    /// What waits for its template.
    pub waiting: Waiting,
    /// Units in sequence gaps that may still be closed.
    pub missing: u64,
    /// Counters.
    pub counters: Counters,
}

impl ExporterStats {
    /// What `counters.sequence.lost` counts.
    pub const fn sequence_unit(&self) -> &'static str {
        match self.source {
            Source::NetFlow5 | Source::NetFlow7 => "flows",
            Source::Ipfix => "records",
            Source::NetFlow9 | Source::Sflow | Source::Capture => "datagrams",
        }
    }

    /// For people: "waiting for its template, 12 records held"; `None` when nothing waits.
    pub fn waiting_text(&self) -> Option<String> {
        let Waiting { sets, bytes, records } = self.waiting;
        match (sets, records) {
            (0, _) => None,
            (_, 0) => Some(format!("waiting for its template, {sets} data sets ({bytes} bytes) held")),
            (_, 1) => Some("waiting for its template, 1 record held".to_owned()),
            (_, _) => Some(format!("waiting for its template, {records} records held")),
        }
    }
}

/// Counters of what belongs to no exporter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Datagrams given to the decoder.
    pub datagrams: u64,
    /// Datagrams of unknown version, too short to tell, or of refused exporters, by reason.
    pub errors: Errors,
    /// Exporters forgotten to make room.
    pub evicted_exporters: u64,
    /// Domains or sessions forgotten to make room.
    pub evicted_domains: u64,
}
