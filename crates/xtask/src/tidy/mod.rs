//! The house rules that a machine can check. Each check is one file with a `check` function; `ALL` is their order. A
//! check never changes a file, and every complaint says what to do.

mod adr;
mod captures;
mod dependencies;
mod forbidden;
mod generated;
mod links;
mod loss;
mod rules;
mod sizes;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use clap::Args;

use crate::{cargo, say};

/// One house rule.
pub(crate) struct Check {
    /// Short name, shown before each complaint.
    name: &'static str,
    /// What it keeps.
    keeps: &'static str,
    /// Looks at the tree.
    run: fn(&Tree, &mut Report) -> Result<()>,
}

/// Every check, in the order they run.
const ALL: &[Check] = &[
    Check { name: "sizes", keeps: "files under 800 lines, functions under 70", run: sizes::check },
    Check { name: "forbidden", keeps: "no unfinished marks, machine paths or stray output", run: forbidden::check },
    Check { name: "dependencies", keeps: "crates depend only upwards in the table", run: dependencies::check },
    Check { name: "rules", keeps: "every shipped rule has both fixtures and its documentation", run: rules::check },
    Check { name: "captures", keeps: "scenarios, files and the capture table agree", run: captures::check },
    Check { name: "loss", keeps: "every loss counter is explained", run: loss::check },
    Check { name: "links", keeps: "links in the documentation resolve", run: links::check },
    Check { name: "adr", keeps: "decision records are numbered without gaps", run: adr::check },
    Check { name: "generated", keeps: "generated references are there", run: generated::check },
];

/// A text file of the repository.
#[derive(Debug)]
pub(crate) struct Source {
    /// Path from the root.
    path: PathBuf,
    /// Contents.
    text: String,
}

impl Source {
    /// The path as text, with forward slashes.
    fn name(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }

    /// Whether its name ends so.
    fn is(&self, extension: &str) -> bool {
        self.path.extension().is_some_and(|found| found == extension)
    }
}

/// The files of the repository that are tracked or about to be.
#[derive(Debug)]
pub(crate) struct Tree {
    root: PathBuf,
    /// Every path.
    paths: Vec<PathBuf>,
    /// Those that are text.
    sources: Vec<Source>,
}

impl Tree {
    /// Lists what git knows or would add, so that build output and ignored files do not count.
    fn read(root: &Path) -> Result<Self> {
        let output = Command::new("git")
            .arg("-C")
            .arg(root)
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .output()
            .context("git does not start")?;
        ensure!(output.status.success(), "`git ls-files` failed: {}", String::from_utf8_lossy(&output.stderr));
        let mut paths: Vec<PathBuf> = String::from_utf8_lossy(&output.stdout)
            .split('\0')
            .filter(|name| !name.is_empty())
            .map(PathBuf::from)
            .filter(|path| root.join(path).is_file())
            .collect();
        paths.sort();
        let sources = paths
            .iter()
            .filter_map(|path| {
                Some(Source { path: path.clone(), text: std::fs::read_to_string(root.join(path)).ok()? })
            })
            .collect();
        Ok(Self { root: root.to_path_buf(), paths, sources })
    }

    /// Whether the repository has this file or a folder of this name.
    fn has(&self, path: &Path) -> bool {
        path.as_os_str().is_empty() || self.paths.iter().any(|known| known.starts_with(path))
    }
}

/// What the checks found.
#[derive(Debug, Default)]
pub(crate) struct Report {
    errors: Vec<String>,
    warnings: Vec<String>,
}

impl Report {
    /// Something that must be mended.
    fn error(&mut self, text: String) {
        self.errors.push(text);
    }

    /// Something to keep an eye on.
    fn warning(&mut self, text: String) {
        self.warnings.push(text);
    }
}

/// Options of `cargo xtask tidy`.
#[derive(Args)]
pub(crate) struct Options {
    /// Build the program and bring the generated references up to date first
    #[arg(long)]
    write: bool,
}

/// `cargo xtask tidy`.
pub(crate) fn command(options: &Options) -> Result<()> {
    if options.write {
        generated::write()?;
    }
    run()
}

/// Runs every check and prints what they found; fails when something must be mended.
pub(crate) fn run() -> Result<()> {
    let tree = Tree::read(&cargo::root())?;
    let mut errors = 0;
    let mut warnings = 0;
    for check in ALL {
        let mut report = Report::default();
        (check.run)(&tree, &mut report).with_context(|| format!("the check `{}` could not run", check.name))?;
        if !report.errors.is_empty() {
            say::note(&format!("{} ({}):", check.name, check.keeps));
        }
        for text in &report.errors {
            say::note(&format!("  {text}"));
        }
        for text in &report.warnings {
            say::note(&format!("  note: {text}"));
        }
        errors += report.errors.len();
        warnings += report.warnings.len();
    }
    say::note(&format!("{} files, {} rules, {errors} to mend, {warnings} to watch", tree.paths.len(), ALL.len()));
    ensure!(errors == 0, "the house rules are broken in {errors} places");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_keeps_its_rules() {
        let tree = Tree::read(&cargo::root()).unwrap();
        let mut report = Report::default();
        for check in ALL {
            (check.run)(&tree, &mut report).unwrap();
        }
        assert!(report.errors.is_empty(), "{}", report.errors.join("\n"));
    }

    #[test]
    fn every_file_of_this_folder_is_in_the_slice() {
        let folder = cargo::root().join("crates/xtask/src/tidy");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
            .filter(|name| name != "mod")
            .collect();
        files.sort();
        let mut slice: Vec<&str> = ALL.iter().map(|check| check.name).collect();
        slice.sort_unstable();
        assert_eq!(files, slice);
    }
}
