//! Writes configuration down: the reference for the manual, a sample file, and the effective values of a running
//! program. All of it derives from the schema and the defaults, so it cannot disagree with the code.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value as Json;

use super::problem::Origin;
use super::shape::{Schema, Shape};
use super::tree::push_key;

/// Columns at which comments in the sample are broken.
const COMMENT_COLUMNS: usize = 100;

/// The reference of a configuration as Markdown: one section per struct, one row per key.
pub fn reference<T: JsonSchema + Default + Serialize>() -> String {
    let schema = super::schema::<T>();
    let mut out = String::new();
    let written = section(&mut out, "", &schema.root(), Some(&super::defaults::<T>()), &schema);
    written.map_or_else(|_| String::new(), |()| out)
}

fn section(out: &mut String, path: &str, shape: &Shape<'_>, defaults: Option<&Json>, schema: &Schema) -> fmt::Result {
    let mut rows = String::new();
    let mut below = Vec::new();
    for (name, property) in &shape.properties {
        let child = schema.shape(property);
        let default = defaults.and_then(|d| d.get(name));
        let mut key = path.to_owned();
        push_key(&mut key, name);
        let items = child.items.map(|items| schema.shape(items)).filter(|items| !items.properties.is_empty());
        let values = child.values.map(|values| schema.shape(values)).filter(|v| !v.properties.is_empty());
        if child.is_section() && !child.properties.is_empty() {
            below.push((key, child, default));
            continue;
        }
        row(&mut rows, &key, &child, default.or(child.default), shape.required.contains(name), schema)?;
        below.extend(items.map(|items| (format!("{key}[]"), items, None)));
        below.extend(values.map(|values| (format!("{key}.<name>"), values, None)));
    }
    if !path.is_empty() {
        write!(out, "## `{path}`\n\n")?;
    }
    if !shape.doc.is_empty() {
        write!(out, "{}\n\n", shape.doc.trim())?;
    }
    if !rows.is_empty() {
        write!(out, "| Key | Type | Default | Meaning |\n|---|---|---|---|\n{rows}\n")?;
    }
    for (key, child, default) in below {
        section(out, &key, &child, default, schema)?;
    }
    Ok(())
}

fn row(
    out: &mut String,
    key: &str,
    shape: &Shape<'_>,
    default: Option<&Json>,
    required: bool,
    schema: &Schema,
) -> fmt::Result {
    let default = match default {
        _ if required => "required".to_owned(),
        None | Some(Json::Null) => "none".to_owned(),
        Some(Json::String(text)) if text.is_empty() => "empty".to_owned(),
        Some(Json::Array(items)) if items.is_empty() => "empty".to_owned(),
        Some(value) => format!("`{}`", scalar(value)),
    };
    let mut meaning = one_line(shape.doc);
    let explained: Vec<String> = shape
        .choices
        .iter()
        .filter(|(_, doc)| !doc.is_empty())
        .map(|(choice, doc)| format!("`{choice}`: {}", one_line(doc)))
        .collect();
    if !explained.is_empty() {
        meaning = format!("{meaning} {}", explained.join(" "));
    }
    let cells = [format!("`{key}`"), shape.type_name(schema), default, meaning];
    let cells: Vec<String> = cells.iter().map(|cell| cell.trim().replace('|', "\\|")).collect();
    writeln!(out, "| {} |", cells.join(" | "))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A YAML file with every key, its meaning and its default. The keys are commented out, so that defaults can improve
/// with the program; those in `set` are written with the value given.
pub fn sample<T: JsonSchema + Default + Serialize>(set: &[(&str, Json)]) -> String {
    let schema = super::schema::<T>();
    let mut out = String::new();
    let defaults = super::defaults::<T>();
    let written = sample_section(&mut out, &mut String::new(), 0, &schema.root(), &defaults, &schema, set);
    written.map_or_else(|_| String::new(), |()| out)
}

fn sample_section(
    out: &mut String,
    path: &mut String,
    indent: usize,
    shape: &Shape<'_>,
    defaults: &Json,
    schema: &Schema,
    set: &[(&str, Json)],
) -> fmt::Result {
    let pad = "  ".repeat(indent);
    for (name, property) in &shape.properties {
        let child = schema.shape(property);
        let default = defaults.get(name).unwrap_or(&Json::Null);
        let length = path.len();
        push_key(path, name);
        if !out.is_empty() && !out.ends_with("\n\n") && (indent == 0 || !child.doc.is_empty()) {
            out.push('\n');
        }
        comment(out, &pad, child.doc)?;
        if child.is_section() && !child.properties.is_empty() {
            writeln!(out, "{pad}{name}:")?;
            sample_section(out, path, indent + 1, &child, default, schema, set)?;
        } else {
            if !child.choices.is_empty() {
                let choices: Vec<&str> = child.choices.iter().map(|(c, _)| *c).collect();
                comment(out, &pad, &format!("One of {}.", choices.join(", ")))?;
            }
            if let Some(items) = child.items.map(|items| schema.shape(items)).filter(|i| !i.properties.is_empty()) {
                let keys: Vec<&str> = items.properties.iter().map(|(name, _)| *name).collect();
                comment(out, &pad, &format!("Each item has the keys {}.", keys.join(", ")))?;
            }
            match set.iter().find(|(key, _)| *key == path.as_str()) {
                Some((_, value)) => writeln!(out, "{pad}{name}: {}", scalar(value)),
                None => writeln!(out, "{pad}# {name}: {}", scalar(default)),
            }?;
        }
        path.truncate(length);
    }
    Ok(())
}

fn comment(out: &mut String, pad: &str, text: &str) -> fmt::Result {
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && line.len() + word.len() >= COMMENT_COLUMNS {
            writeln!(out, "{pad}#{line}")?;
            line.clear();
        }
        line.push(' ');
        line.push_str(word);
    }
    if !line.is_empty() {
        writeln!(out, "{pad}#{line}")?;
    }
    Ok(())
}

/// The effective configuration, each key with where it was set.
pub(super) fn show(value: &Json, sources: &BTreeMap<String, Origin>) -> String {
    let mut out = String::new();
    let written = show_level(&mut out, value, &mut String::new(), 0, sources);
    written.map_or_else(|_| String::new(), |()| out)
}

fn show_level(
    out: &mut String,
    value: &Json,
    path: &mut String,
    indent: usize,
    sources: &BTreeMap<String, Origin>,
) -> fmt::Result {
    let Json::Object(entries) = value else { return Ok(()) };
    let pad = "  ".repeat(indent);
    for (key, child) in entries {
        let length = path.len();
        push_key(path, key);
        if child.as_object().is_some_and(|o| !o.is_empty()) {
            writeln!(out, "{pad}{key}:")?;
            show_level(out, child, path, indent + 1, sources)?;
        } else {
            let origin = sources.get(path.as_str()).map_or_else(|| "default".to_owned(), ToString::to_string);
            writeln!(out, "{pad}{key}: {}  # {origin}", scalar(child))?;
        }
        path.truncate(length);
    }
    Ok(())
}

/// A value on one line of YAML. Text that could be taken for something else is quoted as in JSON, which YAML reads.
fn scalar(value: &Json) -> String {
    match value {
        Json::String(text) if is_plain(text) => text.clone(),
        Json::Array(items) if items.iter().all(|i| !i.is_object() && !i.is_array()) => {
            let items: Vec<String> = items
                .iter()
                .map(|i| if i.as_str().is_some_and(|s| s.contains(',')) { i.to_string() } else { scalar(i) })
                .collect();
            format!("[{}]", items.join(", "))
        }
        other => other.to_string(),
    }
}

fn is_plain(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ' ' | '+');
    let starts = text.chars().next().is_some_and(|c| c.is_ascii_alphanumeric() || c == '/' || c == '.');
    let reserved = ["null", "true", "false", "yes", "no", "on", "off"];
    let number_like = text.parse::<f64>().is_ok() || text.starts_with("0x") || text.starts_with("0o");
    starts
        && text.chars().all(word)
        && !text.ends_with(' ')
        && !number_like
        && !reserved.contains(&&*text.to_lowercase())
}
