//! Configuration: one documented struct per component, read from a YAML file (JSON is YAML too), the environment and
//! flags, each stronger than the one before and all of them stronger than the defaults.
//!
//! The JSON schema of the struct is the single source: unknown keys, suggestions, the reference and the sample derive
//! from it. All problems are reported together. This module must never know what a key means.

mod check;
mod document;
mod problem;
mod shape;
mod tree;
mod types;

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

pub use document::{reference, sample};
pub use problem::{ConfigErrors, Origin, Problem};
pub use types::{ByteSize, Duration, Malformed, Secret};

use shape::Schema;
use tree::Node;

/// Largest configuration text, in bytes.
pub const TEXT_BYTES_MAX: u64 = 1 << 20;

/// What [`load`] reads, from weakest to strongest.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// A YAML file that must exist.
    pub file: Option<PathBuf>,
    /// YAML text with a name for messages, instead of a file.
    pub text: Option<(String, String)>,
    /// Environment variables. Those that begin with `env_prefix` are keys in capitals, with `__` between the levels:
    /// `GUARDIAN_LAKE__DIR` is `lake.dir`.
    pub env: Vec<(String, String)>,
    /// What makes a variable ours, such as `GUARDIAN_`; empty reads none.
    pub env_prefix: String,
    /// Variables with the prefix that are no keys.
    pub env_ignore: Vec<String>,
    /// Dotted keys and values from the command line.
    pub overrides: Vec<(String, String)>,
}

impl Sources {
    /// The environment of this process, with the prefix `GUARDIAN_`.
    pub fn from_env() -> Self {
        let env = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
        Self { env: env.collect(), env_prefix: "GUARDIAN_".to_owned(), ..Self::default() }
    }
}

/// A configuration and where it came from.
#[derive(Clone, Debug)]
pub struct Loaded<T> {
    /// The configuration.
    pub value: T,
    /// Where each key that is not at its default was set.
    pub sources: BTreeMap<String, Origin>,
}

impl<T: Serialize> Loaded<T> {
    /// The effective configuration as YAML, each key with its source, secrets redacted.
    pub fn show(&self) -> String {
        document::show(&serde_json::to_value(&self.value).unwrap_or_default(), &self.sources)
    }
}

/// Reads a configuration. Every struct in `T` should be `#[serde(deny_unknown_fields, default)]` and documented.
pub fn load<T>(sources: &Sources) -> Result<Loaded<T>, ConfigErrors>
where
    T: DeserializeOwned + JsonSchema,
{
    let schema = schema::<T>();
    let mut problems = Vec::new();
    let mut root = gather(sources, &mut problems);
    check::check(&mut root, &schema, &mut problems);
    let value = check::deserialize::<T>(&mut root, &schema, &mut problems);
    match value {
        Some(value) if problems.is_empty() => Ok(Loaded { value, sources: root.origins() }),
        _ => Err(ConfigErrors::new(problems)),
    }
}

fn gather(sources: &Sources, problems: &mut Vec<Problem>) -> Node {
    let mut root = Node::empty();
    let named = match (&sources.file, &sources.text) {
        (Some(path), _) => match crate::capped::read_text_capped(path, TEXT_BYTES_MAX) {
            Ok(text) => Some((path.display().to_string(), text)),
            Err(e) => {
                problems.push(Problem::general(format!("cannot read the configuration {}: {e}", path.display())));
                None
            }
        },
        (None, text) => text.clone(),
    };
    if let Some((name, text)) = named {
        match tree::parse_yaml(&name, &text) {
            Ok(node) => root = node,
            Err(problem) => problems.push(problem),
        }
    }
    for (name, value) in &sources.env {
        let Some(key) = name.strip_prefix(&sources.env_prefix) else { continue };
        if sources.env_prefix.is_empty() || key.is_empty() || sources.env_ignore.contains(name) {
            continue;
        }
        root.set(key.to_lowercase().split("__"), value, Origin::Env(name.clone()));
    }
    for (key, value) in &sources.overrides {
        root.set(key.split('.'), value, Origin::Flag);
    }
    root
}

fn schema<T: JsonSchema>() -> Schema {
    Schema::new(SchemaGenerator::default().into_root_schema_for::<T>().into())
}

fn defaults<T: Default + Serialize>() -> Json {
    serde_json::to_value(T::default()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
