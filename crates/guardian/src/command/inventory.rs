//! `guardian hosts inventory` and `guardian hosts changes`: what hosts have, and how it came to be so.

use std::process::ExitCode;

use anyhow::Result;
use reqwest::Method;
use serde_json::Value;

use super::Global;
use crate::output::{self, Format, Table};
use crate::remote::{Remote, block_on};

/// Entries asked for at once.
const PAGE: &str = "5000";
/// Columns that a table shows of a list, as far as there are such members, in this order.
const FIRST: [&str; 31] = [
    "kind",
    "name",
    "user",
    "version",
    "architecture",
    "protocol",
    "address",
    "port",
    "when",
    "command_line",
    "process",
    "uid",
    "shell",
    "state",
    "addresses",
    "mac",
    "gateway",
    "interface",
    "device",
    "filesystem",
    "size_bytes",
    "image",
    "remote",
    "action",
    "risk",
    "value",
    "subject",
    "fingerprint",
    "enabled",
    "path",
    "licences",
];
/// Columns of a table; more do not fit on a screen.
const COLUMNS_MAX: usize = 8;

/// One list, or which there are.
pub(super) fn show(
    remote: &Remote,
    id: &str,
    list: Option<&str>,
    search: Option<&str>,
    global: &Global,
) -> Result<ExitCode> {
    let Some(list) = list else {
        let answer = block_on(remote.json(remote.request(Method::GET, &format!("/hosts/{id}/inventory"))))?;
        let items = answer["items"].as_array().cloned().unwrap_or_default();
        print(&items, &["list", "entries", "revision", "read", "received"], global)?;
        if items.is_empty() && global.output == Format::Table {
            output::note("nothing is known of this host yet; its agent tells within minutes of its start");
        }
        return Ok(ExitCode::SUCCESS);
    };
    let path = format!("/hosts/{id}/inventory/{list}");
    let (mut items, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let mut query = vec![("limit", PAGE)];
        match (&cursor, search) {
            (Some(cursor), _) => query.push(("cursor", cursor)),
            (None, Some(search)) => query.push(("search", search)),
            (None, None) => {}
        }
        let answer = block_on(remote.json(remote.request(Method::GET, &path).query(&query)))?;
        items.extend(answer["items"].as_array().cloned().unwrap_or_default());
        cursor = answer["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    if global.output != Format::Table {
        // Every member, not only those that fit on a screen.
        let mut names: Vec<String> = Vec::new();
        for name in items.iter().filter_map(Value::as_object).flat_map(serde_json::Map::keys) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        print(&items, &names.iter().map(String::as_str).collect::<Vec<_>>(), global)?;
        return Ok(ExitCode::SUCCESS);
    }
    let has = |name: &&&str| items.iter().any(|item| !item[**name].is_null());
    let columns: Vec<&str> = FIRST.iter().filter(has).copied().take(COLUMNS_MAX).collect();
    print(&items, &columns, global)?;
    Ok(ExitCode::SUCCESS)
}

/// What changed, newest first.
pub(super) fn changes(
    remote: &Remote,
    id: &str,
    list: Option<&str>,
    limit: usize,
    global: &Global,
) -> Result<ExitCode> {
    let limit = limit.to_string();
    let mut query = vec![("limit", limit.as_str())];
    query.extend(list.map(|list| ("list", list)));
    let request = remote.request(Method::GET, &format!("/hosts/{id}/changes")).query(&query);
    let answer = block_on(remote.json(request))?;
    let items = answer["items"].as_array().cloned().unwrap_or_default();
    let columns = ["time", "activity", "list", "kind", "name", "user", "version", "old_version", "path", "changed"];
    print(&items, &columns, global)?;
    Ok(ExitCode::SUCCESS)
}

fn print(items: &[Value], columns: &[&str], global: &Global) -> Result<()> {
    let mut table = Table::new(columns.iter().map(|c| (*c).to_owned()));
    for item in items {
        let cell = |column: &&str| match &item[*column] {
            Value::Array(all) if global.output == Format::Table => all
                .iter()
                .map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned))
                .collect::<Vec<_>>()
                .join(", ")
                .into(),
            other => other.clone(),
        };
        table.push(columns.iter().map(cell).collect());
    }
    Ok(output::print(&table, global.output)?)
}
