//! Go's versions: semantic versioning with a `v` in front, pseudo-versions included, and the toolchain's own (`go1.21rc2`
//! is the pre-release `rc2` of 1.21).

use std::cmp::Ordering;

use super::semver;

pub(super) fn compare(a: &[u8], b: &[u8]) -> Ordering {
    let bare = |version: &'_ [u8]| version.len() - version.strip_prefix(b"go").unwrap_or(version).len();
    semver::compare(&a[bare(a)..], &b[bare(b)..])
}
