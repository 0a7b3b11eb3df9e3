//! EPSS (FIRST): a table of CVE names with the probability that each is used within 30 days.

use super::download::Download;
use super::{Document, Sink, Source};
use crate::advisory::Signal;

/// Where its publishers give it.
const DOWNLOADS: &[Download] =
    &[Download::at("current.csv.gz", "https://epss.empiricalsecurity.com/epss_scores-current.csv.gz")
        .at_most(256 << 20)];

/// The source.
pub(super) struct Epss;

impl Source for Epss {
    fn name(&self) -> &'static str {
        "epss"
    }

    fn downloads(&self) -> &'static [Download] {
        DOWNLOADS
    }

    fn recognises(&self, document: &Document<'_>) -> bool {
        let head = &document.bytes[..document.bytes.len().min(512)];
        head.windows(19).any(|window| window == b"cve,epss,percentile")
    }

    fn read(&self, document: &Document<'_>, sink: &mut dyn Sink) -> Result<(), String> {
        for line in document.bytes.split(|b| *b == b'\n') {
            let Ok(line) = std::str::from_utf8(line) else {
                sink.malformed("a row", "it is no text");
                continue;
            };
            let line = line.trim_end();
            if line.is_empty() || line.starts_with('#') || line.starts_with("cve,") {
                continue;
            }
            match row(line) {
                Some((cve, signal)) => sink.signal(cve, signal),
                None => sink.malformed(line.get(..60).unwrap_or(line), "not a name and two parts of one"),
            }
        }
        Ok(())
    }
}

fn row(line: &str) -> Option<(&str, Signal)> {
    let mut columns = line.split(',');
    let (cve, probability, percentile) = (columns.next()?, columns.next()?, columns.next()?);
    let part = |text: &str| text.parse::<f32>().ok().filter(|part| (0.0..=1.0).contains(part));
    let signal = Signal::Epss { probability: part(probability)?, percentile: part(percentile)? };
    cve.starts_with("CVE-").then_some((cve, signal))
}
