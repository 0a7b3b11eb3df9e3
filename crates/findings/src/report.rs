//! One host or image as a whole report, in the forms that `guardian scan` writes: judged anew by the advisories that hold, with what
//! is put up with left out and said.

use guardian_catalog::FindingException;
use guardian_model::Micros;
use guardian_vuln::report::{self, About, Ignored, Report, Words};
use guardian_vuln::risk::Asset;
use guardian_vuln::scan::{Placed, Scanned};
use guardian_vuln::store::Store;
use jiff::tz::TimeZone;
use serde_json::Value;
use uuid::Uuid;

use crate::packed;
use crate::view::View;

/// A host's report.
pub struct HostReport {
    scanned: Scanned,
    report: Report,
}

impl View<'_> {
    /// The report of a host; none where nothing is known of it.
    pub fn report(&self, store: &Store, host: Uuid) -> Option<HostReport> {
        let (board, labels) = (self.board.hosts.get(&host)?, self.board.labels.get(&host)?);
        let components = packed::numbers(&board.row.components).filter_map(|number| self.board.component(number));
        let placed = components.map(|component| Placed {
            component: component.clone(),
            place: labels.name.clone(),
            owner: None,
            arch: String::new(),
            licences: Vec::new(),
            layer: None,
        });
        let kernel = board.row.kernel.split(' ').next().unwrap_or_default().to_owned();
        let scanned =
            Scanned { packages: placed.collect(), subject: labels.name.clone(), kernel, ..Scanned::default() };
        self.report_of(store, host, scanned)
    }

    /// The report of an image with this in it, or of a host; none where nothing is known of it.
    pub fn report_of(&self, store: &Store, id: Uuid, scanned: Scanned) -> Option<HostReport> {
        let (board, labels) = (self.board.hosts.get(&id)?, self.board.labels.get(&id)?);
        let mut ignored = Vec::new();
        for exception in self.exceptions().filter(|exception| Self::reaches(exception, board.row.of, labels)) {
            for package in self.named(&board.row.components, exception) {
                ignored.push(Ignored {
                    vulnerability: exception.draft.vulnerability.clone(),
                    package,
                    path: String::new(),
                    reason: exception.draft.reason.clone(),
                    expires: date(exception.draft.expires - 1)?,
                    by: exception.decided_by.clone().unwrap_or_default(),
                });
            }
        }
        let exposure = self.exposure_of(board, labels);
        let words = Words {
            ignored,
            asset: Asset { exposure, criticality: self.criticality_of(board, labels), ..Asset::default() },
            day: i32::try_from(self.now_s.div_euclid(86_400)).unwrap_or(i32::MAX),
            ..Words::default()
        };
        let report = report::of(store, scanned.clone(), &words);
        Some(HostReport { scanned, report })
    }

    /// The packages with these numbers that an exception is about: one of a source is about all that is built from it.
    fn named(&self, components: &[u8], exception: &FindingException) -> Vec<String> {
        let draft = &exception.draft;
        if draft.package.is_empty() {
            return vec![String::new()];
        }
        let has = |number: u32| {
            let mut subjects = self.board.judged(number).iter().filter_map(|judged| self.board.subject(judged.subject));
            subjects.any(|subject| subject.vulnerability == draft.vulnerability && subject.package == draft.package)
        };
        let having = packed::numbers(components).filter(|number| has(*number));
        let mut names: Vec<String> =
            having.filter_map(|number| Some(self.board.component(number)?.name.clone())).collect();
        names.sort();
        names.dedup();
        names
    }
}

fn date(time: Micros) -> Option<jiff::civil::Date> {
    let timestamp = jiff::Timestamp::from_microsecond(time.0).ok()?;
    Some(timestamp.to_zoned(TimeZone::UTC).date())
}

impl HostReport {
    /// SARIF 2.1.0.
    pub fn sarif(&self, version: &str) -> Value {
        report::sarif(&self.report, version)
    }

    /// CycloneDX 1.6, with everything that the host has.
    pub fn cyclonedx(&self, version: &str, now: Micros) -> Value {
        let about = About { version, author: "guardian", time_s: now.0 / Micros::SECOND };
        report::cyclonedx(&self.scanned, &self.report, &about)
    }
}
