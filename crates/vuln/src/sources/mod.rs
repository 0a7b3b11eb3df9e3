//! Who publishes advisories, and how they are read. One file a source, behind one small trait, in the order of [`ALL`].
//!
//! A source is a function from one document to what it says: it opens no file and knows no clock. A record that it cannot
//! read is complained of and left out; the others are read.

mod arch;
mod csaf;
mod cve;
mod debian;
pub mod download;
mod epss;
mod glsa;
mod kev;
mod nixpkgs;
mod nvd;
mod openvex;
mod osv;
mod oval;
mod rustsec;
mod secdb;
mod updateinfo;

use self::download::Download;
use crate::advisory::{Advisory, Signal};
use crate::limits::HEAD_BYTES;

/// A document: a file, or one out of an archive.
#[derive(Clone, Copy, Debug)]
pub struct Document<'a> {
    /// Its path or name, for complaints and for what the content does not say.
    pub name: &'a str,
    /// Its content.
    pub bytes: &'a [u8],
}

impl Document<'_> {
    /// The beginning, in which a source looks for its marks.
    fn head(&self) -> &[u8] {
        &self.bytes[..self.bytes.len().min(HEAD_BYTES)]
    }

    fn has(&self, mark: &str) -> bool {
        self.head().windows(mark.len()).any(|window| window == mark.as_bytes())
    }

    /// Whether it begins as an object of JSON does.
    fn is_json(&self) -> bool {
        self.bytes.iter().find(|b| !b.is_ascii_whitespace()).is_some_and(|b| matches!(b, b'{' | b'['))
    }

    fn is_yaml(&self) -> bool {
        self.name.ends_with(".yaml") || self.name.ends_with(".yml")
    }
}

/// Takes what a source reads.
pub trait Sink {
    /// An advisory.
    fn advisory(&mut self, advisory: Advisory);
    /// What is known of a vulnerability by its CVE name.
    fn signal(&mut self, cve: &str, signal: Signal);
    /// A record that could not be read, by its name or place, and why.
    fn malformed(&mut self, record: &str, why: &str);
    /// A record that has nothing for this store, such as a reserved name.
    fn empty(&mut self);
}

/// A source of advisories.
pub trait Source: Sync {
    /// Its name, as in the documentation and on the command line.
    fn name(&self) -> &'static str;
    /// Whether the document is one of its own.
    fn recognises(&self, document: &Document<'_>) -> bool;
    /// Reads the document; what is wrong with all of it is the error.
    fn read(&self, document: &Document<'_>, sink: &mut dyn Sink) -> Result<(), String>;
    /// Where its publishers give it. Nothing where the address is different for everybody.
    fn downloads(&self) -> &'static [Download] {
        &[]
    }
}

/// Every source, in the order in which they are asked whether a document is theirs.
pub const ALL: &[&dyn Source] = &[
    &csaf::Csaf,
    &openvex::OpenVex,
    &cve::Cve,
    &nvd::Nvd,
    &kev::Kev,
    &osv::Osv,
    &arch::Arch,
    &secdb::SecDb,
    &debian::Debian,
    &epss::Epss,
    &oval::Oval,
    &updateinfo::UpdateInfo,
    &glsa::Glsa,
    &rustsec::RustSec,
    &nixpkgs::Nixpkgs,
];

/// The source of this name.
pub fn named(name: &str) -> Option<&'static dyn Source> {
    ALL.iter().copied().find(|source| source.name() == name)
}

/// The source whose document it is.
pub fn of(document: &Document<'_>) -> Option<&'static dyn Source> {
    ALL.iter().copied().find(|source| source.recognises(document))
}

/// Seconds since the epoch of a time as RFC 3339 writes it, or of a day; 0 where it is none.
fn seconds(time: &str) -> i64 {
    let time = time.trim();
    if let Ok(time) = time.parse::<jiff::Timestamp>() {
        return time.as_second().max(0);
    }
    time.get(..10).and_then(|day| day.parse::<jiff::civil::Date>().ok()).map_or(0, |day| i64::from(days(day)) * 86_400)
}

/// Days since the epoch.
pub(crate) fn days(date: jiff::civil::Date) -> i32 {
    date.since(jiff::civil::date(1970, 1, 1)).map_or(0, |span| span.get_days())
}

/// A day of a text, since the epoch; 0 where it is none.
fn day(text: &str) -> i32 {
    (seconds(text) / 86_400) as i32
}
