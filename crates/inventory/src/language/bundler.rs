//! `Gemfile.lock` (Bundler): the gems under `GEM`, four spaces in; six spaces in are what those need.

use crate::text::lines;
use crate::{Found, Malformed, Manager, Package};

/// The gems of the lock file.
pub(super) fn parse(gemfile_lock: &[u8]) -> Result<Found<Package>, Malformed> {
    let mut found = Found::default();
    let (mut section, mut known) = (String::new(), false);
    for (_, line) in lines(gemfile_lock) {
        if !line.starts_with(' ') {
            line.trim_end().clone_into(&mut section);
            known |= matches!(section.as_str(), "GEM" | "PATH" | "GIT" | "DEPENDENCIES");
        } else if let Some(gem) = line.strip_prefix("    ").filter(|gem| section == "GEM" && !gem.starts_with(' '))
            && let Some((name, version)) = gem.trim_end().split_once(" (")
        {
            // A platform stands behind a hyphen, which no version has.
            let version = version.trim_end_matches(')');
            let (version, platform) = version.split_once('-').unwrap_or((version, ""));
            let mut package = Package::new(Manager::Gem, name, version);
            package.arch = crate::text::clip(platform);
            found.push(package);
        }
    }
    match known {
        true => Ok(found),
        false => Err(Malformed { format: "a lock file of Bundler", what: "it has no section that is known" }),
    }
}
