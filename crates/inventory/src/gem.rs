//! Installed Ruby gems: `specifications/NAME-VERSION.gemspec`, as RubyGems writes it. It is a Ruby program, but a generated
//! one with a fixed form; it is read, never run.

use crate::text::{clip, lines, list, quoted};
use crate::{Malformed, Manager, Package};

/// The gem of one specification.
pub fn parse(gemspec: &[u8]) -> Result<Package, Malformed> {
    let mut package = Package::new(Manager::Gem, "", "");
    for (_, line) in lines(gemspec) {
        // `# stub: name version platform requires`
        if let Some(stub) = line.strip_prefix("# stub: ") {
            let mut words = stub.split(' ');
            for place in [&mut package.name, &mut package.version, &mut package.arch] {
                *place = words.next().map(clip).unwrap_or_default();
            }
            continue;
        }
        let Some((field, value)) = line.trim_start().strip_prefix("s.").and_then(|l| l.split_once('=')) else {
            continue;
        };
        let texts = quoted(value);
        let first = texts.first().copied().unwrap_or_default();
        match field.trim() {
            "name" => package.name = clip(first),
            "version" => package.version = clip(first),
            "licenses" | "license" => package.licences = list(texts),
            "authors" | "author" => package.vendor = clip(&texts.join(", ")),
            "homepage" => package.url = clip(first),
            _ => {}
        }
    }
    if package.name.is_empty() || package.version.is_empty() {
        return Err(Malformed { format: "a gem's specification", what: "it has no name or no version" });
    }
    Ok(package)
}
