//! `guardian rules` with a server: import, export, versions, exceptions, coverage, tests over history.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::{EXIT_WANTING, Global};
use crate::output::{self, Format, Table};
use crate::remote::{Remote, block_on};

#[derive(Debug, Subcommand)]
pub(crate) enum Served {
    /// Store rule files in the running server, with a result for each; exports go in again with their exceptions
    Import {
        /// Sigma files or directories of them, or one zip
        #[arg(required = true)]
        paths: Vec<PathBuf>,
        /// Tell what would happen and store nothing
        #[arg(long)]
        dry_run: bool,
        /// Rules that are new do not run until somebody enables them
        #[arg(long)]
        disabled: bool,
    },
    /// Write the rules and their exceptions into a zip of YAML files
    Export {
        /// The file to write
        #[arg(long, short, default_value = "rules.zip")]
        file: PathBuf,
        /// custom, shipped or all
        #[arg(long, default_value = "custom")]
        origin: String,
    },
    /// Let a rule run
    Enable {
        /// Sigma id
        id: String,
    },
    /// Stop a rule; it keeps its versions and alerts
    Disable {
        /// Sigma id
        id: String,
    },
    /// Show the versions of a rule, or what changed between two
    Versions {
        /// Sigma id
        id: String,
        /// Show what changed since this version
        #[arg(long, value_name = "VERSION")]
        diff: Option<i32>,
    },
    /// List the exceptions to rules with what each did, or make or end one
    Exceptions(Exceptions),
    /// Show which ATT&CK techniques the rules and detectors look for
    Coverage,
    /// Run a rule file over the stored history: what would it have found?
    Backtest {
        /// Sigma file
        file: PathBuf,
        /// From this time on, RFC 3339
        #[arg(long)]
        from: String,
        /// Before this time, RFC 3339
        #[arg(long)]
        to: String,
        /// Try a filter out as one more exception
        #[arg(long, value_name = "FILTER")]
        except: Option<String>,
    },
}

/// Exceptions to rules.
#[derive(Args, Debug)]
pub(crate) struct Exceptions {
    /// Sigma id of a rule, or id of a detector
    rule: Option<String>,
    /// Make an exception: rows that the rule is not to look at, such as `src_ip = 10.0.0.7`
    #[arg(long, requires = "rule", requires = "reason", value_name = "FILTER")]
    add: Option<String>,
    /// Why
    #[arg(long)]
    reason: Option<String>,
    /// It ends then, RFC 3339
    #[arg(long, requires = "add")]
    expires: Option<String>,
    /// End the exception with this id
    #[arg(long, value_name = "ID", conflicts_with = "add")]
    remove: Option<String>,
}

impl Served {
    pub(crate) fn run(self, global: &Global) -> Result<ExitCode> {
        let remote = Remote::require(global)?;
        let format = global.output;
        match self {
            Self::Import { paths, dry_run, disabled } => import(&remote, &paths, dry_run, disabled, format),
            Self::Export { file, origin } => export(&remote, &file, &origin),
            Self::Enable { id } => switch(&remote, &id, "enable"),
            Self::Disable { id } => switch(&remote, &id, "disable"),
            Self::Versions { id, diff } => versions(&remote, &id, diff, format),
            Self::Exceptions(args) => exceptions(&remote, args, format),
            Self::Coverage => coverage(&remote, format),
            Self::Backtest { file, from, to, except } => backtest(&remote, &file, &from, &to, except, format),
        }
    }
}

fn list<'a>(answer: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    answer.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn pick(item: &Value, columns: &[&str]) -> Vec<Value> {
    columns.iter().map(|c| item.get(c).cloned().unwrap_or(Value::Null)).collect()
}

/// A path segment: ids may be anything that a rule file says.
fn segment(id: &str) -> String {
    id.bytes()
        .map(|b| {
            if b.is_ascii_alphanumeric() || b"-._~".contains(&b) {
                char::from(b).to_string()
            } else {
                format!("%{b:02X}")
            }
        })
        .collect()
}

/// A file as it lies below what was named: where that is itself says nothing about the file.
fn named(paths: &[PathBuf], file: &Path) -> String {
    let below = paths.iter().find_map(|path| file.strip_prefix(path).ok()).filter(|rest| !rest.as_os_str().is_empty());
    let name = below.or_else(|| file.file_name().map(Path::new)).unwrap_or(file);
    name.display().to_string()
}

fn import(remote: &Remote, paths: &[PathBuf], dry_run: bool, disabled: bool, format: Format) -> Result<ExitCode> {
    let request = remote.request(Method::POST, "/rules/import").query(&[("dry_run", dry_run), ("enabled", !disabled)]);
    let zip = |path: &Path| path.extension().is_some_and(|e| e.eq_ignore_ascii_case("zip"));
    let mut sent = 0;
    let request = match paths {
        [one] if zip(one) => {
            let bytes = std::fs::read(one).with_context(|| format!("cannot read {}", one.display()))?;
            request.header("content-type", "application/zip").body(bytes)
        }
        paths => {
            let files = super::rules::read(paths)?.into_iter();
            let files = files.map(|(file, text)| json!({"name": named(paths, &file), "source": text}));
            let files: Vec<Value> = files.collect();
            sent = files.len();
            request.json(&json!({"files": files}))
        }
    };
    let answer = block_on(remote.json(request))?;
    let passed_over = sent.saturating_sub(list(&answer, "files").count());
    if passed_over > 0 {
        output::note(&format!("{passed_over} files were passed over: rules are in files that end in .yml or .yaml"));
    }
    let mut table = Table::new(["file", "result", "rule", "line", "message"]);
    for file in list(&answer, "files") {
        for rule in list(file, "rules") {
            let row = [file.get("name"), rule.get("result"), rule.get("title"), None, None];
            table.push(row.into_iter().map(|v| v.cloned().unwrap_or(Value::Null)).collect());
        }
        for issue in list(file, "issues") {
            let row = [file.get("name"), issue.get("level"), None, issue.get("line"), issue.get("message")];
            table.push(row.into_iter().map(|v| v.cloned().unwrap_or(Value::Null)).collect());
        }
    }
    output::print(&table, format)?;
    let count = |key: &str| answer.get(key).and_then(Value::as_u64).unwrap_or_default();
    output::note(&format!(
        "{}{} new, {} updated, {} unchanged, {} refused, {} exceptions",
        if dry_run { "nothing was stored: " } else { "" },
        count("created"),
        count("updated"),
        count("unchanged"),
        count("refused"),
        count("exceptions"),
    ));
    Ok(if count("refused") > 0 { ExitCode::from(EXIT_WANTING) } else { ExitCode::SUCCESS })
}

fn export(remote: &Remote, file: &Path, origin: &str) -> Result<ExitCode> {
    let request = remote.request(Method::GET, "/rules/export").query(&[("origin", origin)]);
    let bytes = block_on(remote.bytes(request))?;
    std::fs::write(file, bytes).with_context(|| format!("cannot write {}", file.display()))?;
    output::note(&format!("wrote {}", file.display()));
    Ok(ExitCode::SUCCESS)
}

fn switch(remote: &Remote, id: &str, word: &str) -> Result<ExitCode> {
    let path = format!("/rules/{}/{word}", segment(id));
    let rule = block_on(remote.json(remote.request(Method::POST, &path)))?;
    output::note(&format!("{word}d: {}", rule.get("title").and_then(Value::as_str).unwrap_or(id)));
    Ok(ExitCode::SUCCESS)
}

fn versions(remote: &Remote, id: &str, since: Option<i32>, format: Format) -> Result<ExitCode> {
    if let Some(from) = since {
        let request = remote.request(Method::GET, &format!("/rules/{}/diff", segment(id))).query(&[("from", from)]);
        let answer = block_on(remote.json(request))?;
        for line in list(&answer, "lines") {
            let text = |key: &str| line.get(key).and_then(Value::as_str).unwrap_or_default();
            let mark = match text("kind") {
                "added" => '+',
                "removed" => '-',
                _ => ' ',
            };
            output::line(&format!("{mark}{}", text("text")))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let answer = block_on(remote.json(remote.request(Method::GET, &format!("/rules/{}/versions", segment(id)))))?;
    let columns = ["version", "current", "author", "created", "comment", "hash"];
    let mut table = Table::new(columns);
    for item in list(&answer, "items") {
        table.push(pick(item, &columns));
    }
    output::print(&table, format)?;
    Ok(ExitCode::SUCCESS)
}

fn exceptions(remote: &Remote, args: Exceptions, format: Format) -> Result<ExitCode> {
    if let Some(id) = &args.remove {
        block_on(remote.json(remote.request(Method::DELETE, &format!("/rules/exceptions/{}", segment(id)))))?;
        output::note("ended; the rule looks at such rows again");
        return Ok(ExitCode::SUCCESS);
    }
    let of_rule = args.rule.as_deref().map(|rule| format!("/rules/{}/exceptions", segment(rule)));
    let path = of_rule.as_deref().unwrap_or("/rules/exceptions");
    let answer = match &args.add {
        Some(filter) => {
            let body = json!({"filter": filter, "reason": args.reason, "expires": args.expires});
            json!({"items": [block_on(remote.json(remote.request(Method::POST, path).json(&body)))?]})
        }
        None => block_on(remote.json(remote.request(Method::GET, path)))?,
    };
    let columns = ["id", "rule_id", "filter", "reason", "enabled", "expires", "hits", "last_hit", "author"];
    let mut table = Table::new(columns);
    for item in list(&answer, "items") {
        table.push(pick(item, &columns));
    }
    output::print(&table, format)?;
    Ok(ExitCode::SUCCESS)
}

fn coverage(remote: &Remote, format: Format) -> Result<ExitCode> {
    let answer = block_on(remote.json(remote.request(Method::GET, "/rules/coverage")))?;
    let mut table = Table::new(["technique", "tactics", "rules", "enabled", "alerts"]);
    for item in list(&answer, "techniques") {
        let tactics: Vec<_> = list(item, "tactics").filter_map(Value::as_str).collect();
        let rules: Vec<_> = list(item, "rules").filter_map(|r| r.get("title")?.as_str()).collect();
        let [technique, enabled, alerts] =
            ["technique", "enabled", "alerts"].map(|key| item.get(key).cloned().unwrap_or_default());
        table.push(vec![technique, json!(tactics.join(" ")), json!(rules.join("; ")), enabled, alerts]);
    }
    output::print(&table, format)?;
    Ok(ExitCode::SUCCESS)
}

fn backtest(
    remote: &Remote,
    file: &Path,
    from: &str,
    to: &str,
    except: Option<String>,
    format: Format,
) -> Result<ExitCode> {
    let source = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let body = json!({"source": source, "from": from, "to": to, "except": except});
    let answer = block_on(remote.json(remote.request(Method::POST, "/rules/test").json(&body)))?;
    let columns = ["severity", "title", "entity", "count", "first_seen", "last_seen", "summary"];
    let mut table = Table::new(columns);
    for alert in list(&answer, "alerts") {
        table.push(pick(alert, &columns));
    }
    output::print(&table, format)?;
    let count = |key: &str| answer.get(key).and_then(Value::as_u64).unwrap_or_default();
    output::note(&format!(
        "{} alerts, {} of {} rows matched, exceptions took {} away{}",
        count("alerts_total"),
        count("matched"),
        count("rows"),
        count("excepted"),
        if answer.get("truncated") == Some(&json!(true)) { "; a limit cut it short" } else { "" },
    ));
    Ok(if table.rows.is_empty() { ExitCode::from(EXIT_WANTING) } else { ExitCode::SUCCESS })
}

#[cfg(test)]
mod tests {
    #[test]
    fn ids_are_one_segment() {
        assert_eq!(super::segment("guardian.dns-tunnel"), "guardian.dns-tunnel");
        assert_eq!(super::segment("a/b ?c"), "a%2Fb%20%3Fc");
    }
}
