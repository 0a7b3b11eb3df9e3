//! Dart's versions: semantic versioning, where a build is newer than none and builds have an order.

use std::cmp::Ordering;

use super::semver::{self, Version};

pub(super) fn compare(a: &[u8], b: &[u8]) -> Ordering {
    let (a, b) = (Version::new(a), Version::new(b));
    semver::numbers(a.numbers, b.numbers).then_with(|| semver::pre(a.pre, b.pre, Ord::cmp)).then_with(|| {
        match (a.build.is_empty(), b.build.is_empty()) {
            (false, false) => semver::identifiers(a.build, b.build, Ord::cmp),
            (a, b) => b.cmp(&a),
        }
    })
}
