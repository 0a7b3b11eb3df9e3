//! NuGet's versions: semantic versioning with a fourth number, and words without case.

use std::cmp::Ordering;

use super::parts;
use super::semver::{self, Version};

pub(super) fn compare(a: &[u8], b: &[u8]) -> Ordering {
    let (a, b) = (Version::new(a), Version::new(b));
    semver::numbers(a.numbers, b.numbers).then_with(|| semver::pre(a.pre, b.pre, parts::ignoring_case))
}
