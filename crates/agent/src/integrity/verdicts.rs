//! What is told of a verdict about a change: the package and its versions, whether it is expected, and a word for why.

use crate::files::{By, Differs, Property, Verdict};
use crate::sources::files::Around;

/// The word for what was not as its package brought it before anybody watched.
pub(super) const FOUND: &str = "found";

/// The package that a verdict is about, and whether its transaction is the reason for the change.
pub(super) fn told_of(verdict: &Verdict) -> Around<'_> {
    let (word, by, expected) = match verdict {
        Verdict::Explained(by) => ("explained", Some(by), Some(true)),
        Verdict::Partly(by, _) => ("partly", Some(by), Some(true)),
        Verdict::Restored(by) => ("restored", Some(by), Some(false)),
        Verdict::Rewritten(by) => ("rewritten", Some(by), Some(false)),
        Verdict::Contradicted(by, _) => ("contradicted", Some(by), Some(false)),
        Verdict::Deviates(by, _) => ("deviates", Some(by), Some(false)),
        Verdict::LeadsTo(by) => ("linked", Some(by), None),
        Verdict::Moved => ("moved", None, None),
        Verdict::Unowned => ("unowned", None, Some(false)),
    };
    Around {
        package: by.map(|by| by.package.name.as_str()),
        package_version: by.and_then(|by| by.package.new.as_deref()),
        old_package_version: by.and_then(before),
        verdict: word,
        expected,
        ..Around::default()
    }
}

/// The version before, where the package is another now or was put there again.
fn before(by: &By) -> Option<&str> {
    let old = by.package.old.as_deref().filter(|_| by.package.old != by.package.new);
    let logged = || by.logged.as_ref().map(|logged| logged.old.as_str()).filter(|old| !old.is_empty());
    old.or_else(logged)
}

/// The property that is meant by what differs from a package.
pub(super) const fn property(differs: Differs) -> Option<Property> {
    Some(match differs {
        Differs::Kind => Property::Kind,
        Differs::Size | Differs::Digest => Property::Content,
        Differs::Mode => Property::Mode,
        Differs::Device => Property::Device,
        Differs::Target => Property::Target,
        Differs::User | Differs::Group => Property::Owner,
        Differs::Modified => Property::Modified,
        Differs::Capabilities => Property::Attributes,
        Differs::Missing | Differs::Unreadable => return None,
    })
}
