//! Decision records are numbered from 1 without gaps, and each says its status.
#![expect(clippy::unnecessary_wraps, reason = "every check has the same signature")]

use std::path::Path;

use anyhow::Result;

use super::{Report, Tree};

/// Checks docs/adr.
pub(super) fn check(tree: &Tree, report: &mut Report) -> Result<()> {
    let mut numbers = Vec::new();
    for source in tree.sources.iter().filter(|source| source.path.starts_with(Path::new("docs/adr")) && source.is("md"))
    {
        let name = source.name();
        let number = source.path.file_name().and_then(|file| file.to_str()?.get(..4)?.parse::<usize>().ok());
        let Some(number) = number else {
            report.error(format!("{name}: a record's name starts with four digits"));
            continue;
        };
        numbers.push(number);
        if !source.text.starts_with(&format!("# {number}. ")) {
            report.error(format!("{name}: must start with `# {number}. Title`"));
        }
        if !source.text.lines().any(|line| line.starts_with("Status: ")) {
            report.error(format!("{name}: has no `Status:` line"));
        }
    }
    numbers.sort_unstable();
    for (at, number) in numbers.iter().enumerate() {
        if *number != at + 1 {
            report.error(format!("docs/adr: number {} is missing or {number} is there twice", at + 1));
            break;
        }
    }
    Ok(())
}
