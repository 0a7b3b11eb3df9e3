//! Links between documents lead somewhere: the file exists, and so does the heading.
#![expect(clippy::unnecessary_wraps, reason = "every check has the same signature")]

use std::path::{Component, Path, PathBuf};

use anyhow::Result;

use super::{Report, Tree};

/// Checks every relative link of every Markdown file.
pub(super) fn check(tree: &Tree, report: &mut Report) -> Result<()> {
    for source in tree.sources.iter().filter(|source| source.is("md")) {
        let folder = source.path.parent().unwrap_or_else(|| Path::new(""));
        for (number, target) in links(&source.text) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let path = if file.is_empty() { source.path.clone() } else { normal(&folder.join(file)) };
            if !tree.has(&path) {
                report.error(format!("{}:{number}: `{target}` leads nowhere", source.name()));
            } else if !anchor.is_empty()
                && let Some(document) = tree.sources.iter().find(|document| document.path == path)
                && !headings(&document.text).any(|heading| heading == anchor)
            {
                report.error(format!("{}:{number}: {} has no heading `#{anchor}`", source.name(), path.display()));
            }
        }
    }
    Ok(())
}

/// Line and target of `[text](target)`, outside of code.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        let mut rest = line;
        while let Some(at) = rest.find("](") {
            rest = &rest[at + 2..];
            if let Some(end) = rest.find(')') {
                found.push((number + 1, rest[..end].to_owned()));
            }
        }
    }
    found
}

/// Anchors as they are made from headings: lower case, spaces to hyphens, other marks dropped.
fn headings(text: &str) -> impl Iterator<Item = String> {
    text.lines().filter(|line| line.starts_with('#')).map(|line| {
        line.trim_start_matches('#')
            .trim()
            .to_lowercase()
            .chars()
            .filter_map(|c| match c {
                ' ' => Some('-'),
                c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
                _ => None,
            })
            .collect()
    })
}

/// Resolves `..` without asking the file system.
fn normal(path: &Path) -> PathBuf {
    let mut result = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                result.pop();
            }
            Component::CurDir => {}
            part => result.push(part),
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_anchors_are_read_as_renderers_do() {
        assert_eq!(links("a [b](c.md#d) e\n```\n[x](y)\n```\n[f](g)"), [(1, "c.md#d".to_owned()), (5, "g".to_owned())]);
        assert_eq!(headings("# A taken port, or two\ntext").collect::<Vec<_>>(), ["a-taken-port-or-two"]);
        assert_eq!(normal(Path::new("docs/adr/../x.md")), Path::new("docs/x.md"));
    }
}
