//! `guardian hosts compare`: hosts side by side.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use reqwest::Method;
use serde_json::Value;

use super::Global;
use crate::output::{self, Format, Table};
use crate::remote::{Remote, block_on};

/// Rows asked for at once.
const PAGE: &str = "2000";

#[derive(Args, Debug)]
pub(super) struct Compare {
    /// Ids of the hosts: two to eight, or one with --group
    #[arg(required = true, value_name = "ID")]
    hosts: Vec<String>,
    /// The list: packages, services, users and so on, facts, policy, findings; without it the numbers of all lists
    #[arg(long)]
    list: Option<String>,
    /// Put what most hosts of this group have beside them
    #[arg(long)]
    group: Option<String>,
    /// What is same, different, missing (on some) or only (on one); several with commas between them, or all
    /// [default: all but same]
    #[arg(long)]
    show: Option<String>,
    /// Only rows in which this text stands
    #[arg(long)]
    search: Option<String>,
}

impl Compare {
    pub(super) fn run(&self, remote: &Remote, global: &Global) -> Result<ExitCode> {
        let hosts = self.hosts.join(",");
        let mut query = vec![("hosts", hosts.as_str()), ("limit", PAGE)];
        let more = [("list", &self.list), ("group", &self.group), ("show", &self.show), ("search", &self.search)];
        query.extend(more.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))));
        let ask =
            |query: &[(&str, &str)]| block_on(remote.json(remote.request(Method::GET, "/hosts/compare").query(query)));
        let mut answer = ask(&query)?;
        let columns = names(&answer["hosts"]);
        if self.list.is_none() {
            return numbers(&answer["lists"], &columns, global);
        }
        let list = answer["lists"][0].clone();
        let mut rows = Vec::new();
        loop {
            rows.extend(answer["items"].as_array().cloned().unwrap_or_default());
            let Some(cursor) = answer["next_cursor"].as_str().map(str::to_owned) else { break };
            let next: Vec<(&str, &str)> = query.iter().copied().chain([("cursor", cursor.as_str())]).collect();
            answer = ask(&next)?;
        }
        print(&rows, &columns, global)?;
        if global.output == Format::Table {
            output::note(&format!(
                "{} same, {} different, {} missing on some, {} on one only",
                list["same"], list["different"], list["missing"], list["only"]
            ));
            unknown(&list, &columns);
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Names of the columns; two hosts of one name are told apart by their places.
fn names(hosts: &Value) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for host in hosts.as_array().into_iter().flatten() {
        let name = host["name"].as_str().unwrap_or_default();
        let name = match host["of"].as_u64() {
            Some(of) => format!("most of {of} in {name}"),
            None => name.to_owned(),
        };
        let place = names.len() + 1;
        names.push(if names.contains(&name) { format!("{name} ({place})") } else { name });
    }
    names
}

/// Says of whom a list is not known.
fn unknown(list: &Value, columns: &[String]) {
    let places = list["unknown"].as_array().into_iter().flatten().filter_map(Value::as_u64);
    let whose: Vec<&str> = places.filter_map(|at| columns.get(at as usize)).map(String::as_str).collect();
    if !whose.is_empty() {
        output::note(&format!("not known of {}", whose.join(", ")));
    }
}

fn numbers(lists: &Value, columns: &[String], global: &Global) -> Result<ExitCode> {
    let shown = ["list", "different", "missing", "only", "same"];
    let mut table = Table::new(shown.into_iter().chain(["unknown"]));
    for list in lists.as_array().into_iter().flatten() {
        let places = list["unknown"].as_array().into_iter().flatten().filter_map(Value::as_u64);
        let whose: Vec<&str> = places.filter_map(|at| columns.get(at as usize)).map(String::as_str).collect();
        table.push(shown.iter().map(|name| list[*name].clone()).chain([whose.join(", ").into()]).collect());
    }
    output::print(&table, global.output)?;
    Ok(ExitCode::SUCCESS)
}

fn print(rows: &[Value], columns: &[String], global: &Global) -> Result<()> {
    let heads = ["what", "standing", "differs"].into_iter().map(str::to_owned);
    let mut table = Table::new(heads.chain(columns.iter().cloned()));
    for row in rows {
        let differs: Vec<&str> = row["differs"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let cells = row["cells"].as_array().into_iter().flatten().map(|cell| match cell["text"].as_str() {
            None => Value::Null,
            Some("") => "yes".into(),
            Some(text) => text.into(),
        });
        let first = [row["name"].clone(), row["standing"].clone(), differs.join(", ").into()];
        table.push(first.into_iter().chain(cells).collect());
    }
    Ok(output::print(&table, global.output)?)
}
