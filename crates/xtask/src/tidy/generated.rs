//! References that the program prints about itself (command line, configuration, fields) are committed as documents;
//! this check compares them when the program is built, and says nothing when it is not.

use std::process::Command;

use anyhow::Result;

use super::{Report, Tree};
use crate::cargo;

/// Document and the arguments that print it.
const DOCUMENTS: &[(&str, &[&str])] = &[
    ("docs/reference/cli.md", &["docs", "cli"]),
    ("docs/reference/configuration.md", &["docs", "configuration"]),
    ("docs/reference/fields.md", &["docs", "fields"]),
];

/// Compares each document with what the program prints now.
pub(super) fn check(tree: &Tree, report: &mut Report) -> Result<()> {
    let program = cargo::guardian();
    if !program.is_file() {
        return Ok(());
    }
    for (document, arguments) in DOCUMENTS {
        let output = Command::new(&program).args(*arguments).env("COLUMNS", "100").env("NO_COLOR", "1").output()?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let committed =
            tree.sources.iter().find(|source| source.name() == *document).map(|source| source.text.as_str());
        if output.status.success() && committed != Some(printed.as_str()) {
            report.error(format!("{document} is out of date: `guardian {} >{document}`", arguments.join(" ")));
        }
    }
    Ok(())
}
