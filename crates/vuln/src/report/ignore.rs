//! What is put off: a file in which people write what is not to be told for now, why, and until when.
//!
//! ```yaml
//! ignore:
//!   - vulnerability: CVE-2030-0600
//!     package: lodash               # or a package URL; without it every package
//!     path: srv/app                 # below this folder; without it everywhere
//!     reason: The function is never called; the update comes with the next release.
//!     expires: 2030-06-30
//!     by: Jane Doe
//! ```

use jiff::civil::Date;
use serde::Deserialize;

use super::Entry;
use crate::limits::COMPONENTS_MAX;
use crate::purl::Purl;

/// One that is put off.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ignored {
    /// Any name of the vulnerability.
    pub vulnerability: String,
    /// Name or package URL of the package; empty for every one.
    #[serde(default)]
    pub package: String,
    /// Folder below which it lies; empty for everywhere.
    #[serde(default)]
    pub path: String,
    /// Why.
    pub reason: String,
    /// The last day on which it counts.
    pub expires: Date,
    /// Who has decided so.
    #[serde(default)]
    pub by: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    ignore: Vec<Ignored>,
}

impl Ignored {
    /// The entries of a file. One without a reason or an end is an error: what is put off for ever is forgotten.
    pub fn read(yaml: &str) -> Result<Vec<Self>, String> {
        let file: File = serde_saphyr::from_str(yaml).map_err(|error| error.to_string())?;
        match file.ignore.iter().find(|one| one.reason.trim().is_empty() || one.vulnerability.trim().is_empty()) {
            Some(one) => Err(format!("{}: it needs a vulnerability and a reason", one.vulnerability)),
            None => Ok(file.ignore.into_iter().take(COMPONENTS_MAX).collect()),
        }
    }

    fn is_over(&self, day: i32) -> bool {
        crate::sources::days(self.expires) < day
    }

    /// Whether the finding, which has these names, is put off on that day.
    pub(super) fn is_of(&self, names: &[&str], entry: &Entry, day: i32) -> bool {
        let package = match Purl::new(&self.package) {
            Some(meant) => Purl::new(&entry.purl).is_some_and(|purl| {
                let version = meant.version.is_empty() || meant.version == purl.version;
                (&purl.kind, purl.full_name(), version) == (&meant.kind, meant.full_name(), true)
            }),
            None => self.package.is_empty() || self.package == entry.package,
        };
        let folder = self.path.trim_matches('/');
        // Where it lies elsewhere too, it is still to be told.
        let below = |place: &String| {
            let rest = place.trim_start_matches('/').strip_prefix(folder);
            rest.is_some_and(|rest| folder.is_empty() || rest.is_empty() || rest.starts_with('/'))
        };
        !self.is_over(day) && names.contains(&self.vulnerability.as_str()) && package && entry.places.iter().all(below)
    }

    /// What is to be said of the entry itself.
    pub(super) fn remark(&self, used: bool, day: i32) -> Option<String> {
        let name = &self.vulnerability;
        match (self.is_over(day), used) {
            (true, _) => Some(format!("what was said of {name} counted until {}: it is told again", self.expires)),
            (false, false) => Some(format!("{name} is put off and is not there: the entry can go")),
            (false, true) => None,
        }
    }
}
