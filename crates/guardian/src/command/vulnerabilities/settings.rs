//! `guardian vulnerabilities settings`: deadlines, what hosts are worth, and who may approve exceptions.

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::get;
use crate::command::Global;
use crate::output::{self, Format, Table};
use crate::remote::{Remote, block_on};

const PATH: &str = "/vulnerability-settings";

#[derive(Debug, Subcommand)]
pub(super) enum Setting {
    /// Set some of them; what is not named stays
    Set(Change),
}

/// What is to be another.
#[derive(Args, Debug, Default)]
pub(super) struct Change {
    /// Days until what is rated critical has to be fixed; 0 for no deadline
    #[arg(long, value_name = "DAYS")]
    critical_days: Option<u32>,
    /// The same for high
    #[arg(long, value_name = "DAYS")]
    high_days: Option<u32>,
    /// The same for medium, and for what nobody has rated
    #[arg(long, value_name = "DAYS")]
    medium_days: Option<u32>,
    /// The same for low
    #[arg(long, value_name = "DAYS")]
    low_days: Option<u32>,
    /// Days until what is known to be exploited has to be fixed, where that is sooner; 0 for no deadline
    #[arg(long, value_name = "DAYS")]
    exploited_days: Option<u32>,
    /// Tags and groups of hosts on which others depend, with commas between them; empty for none
    #[arg(long, value_name = "LABELS")]
    critical_hosts: Option<String>,
    /// Tags and groups of hosts that nobody would miss for a day
    #[arg(long, value_name = "LABELS")]
    minor_hosts: Option<String>,
    /// Tags and groups of hosts that are reached from the internet by a way that they do not see themselves
    #[arg(long, value_name = "LABELS")]
    internet_hosts: Option<String>,
    /// Deadlines of a tag or group of its own, such as `web:critical=3,high=7`; may be repeated. `web:` takes them away
    #[arg(long, value_name = "LABEL:RATING=DAYS", value_parser = deadline)]
    group_days: Vec<(String, Value)>,
    /// Whether somebody may approve an exception that they asked for themselves
    #[arg(long, value_name = "BOOL")]
    own_approval: Option<bool>,
}

/// Reads `web:critical=3,high=7`.
fn deadline(text: &str) -> Result<(String, Value), String> {
    let (label, days) = text.rsplit_once(':').ok_or("it has the form LABEL:RATING=DAYS")?;
    let mut read = json!({});
    for part in days.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (rating, days) = part.split_once('=').ok_or_else(|| format!("`{part}` is not of the form RATING=DAYS"))?;
        if !["critical", "high", "medium", "low", "exploited"].contains(&rating) {
            return Err(format!("`{rating}` is none of critical, high, medium, low, exploited"));
        }
        let days: u32 = days.parse().map_err(|_| format!("`{days}` is no number of days"))?;
        read[format!("{rating}_days")] = json!(days);
    }
    Ok((label.trim().to_owned(), read))
}

fn labels(text: &str) -> Value {
    json!(text.split(',').map(str::trim).filter(|label| !label.is_empty()).collect::<Vec<_>>())
}

impl Change {
    /// Puts what is named into the settings; whether anything is.
    fn put(&self, settings: &mut Value) -> bool {
        let days = [
            ("critical_days", self.critical_days),
            ("high_days", self.high_days),
            ("medium_days", self.medium_days),
            ("low_days", self.low_days),
            ("exploited_days", self.exploited_days),
        ];
        let hosts = [
            ("critical_hosts", &self.critical_hosts),
            ("minor_hosts", &self.minor_hosts),
            ("internet_hosts", &self.internet_hosts),
        ];
        let days = days.into_iter().filter_map(|(name, days)| Some((name, json!(days?))));
        let hosts = hosts.into_iter().filter_map(|(name, text)| Some((name, labels(text.as_deref()?))));
        let own = self.own_approval.map(|own| ("own_approval", json!(own)));
        let all: Vec<(&str, Value)> = days.chain(hosts).chain(own).collect();
        let any = !all.is_empty() || !self.group_days.is_empty();
        for (name, value) in all {
            settings[name] = value;
        }
        for (label, days) in &self.group_days {
            let mut kept = settings["deadlines"].as_array().cloned().unwrap_or_default();
            kept.retain(|known| known["label"] != label.as_str());
            if days.as_object().is_some_and(|days| !days.is_empty()) {
                let mut own = days.clone();
                own["label"] = json!(label);
                kept.push(own);
            }
            settings["deadlines"] = json!(kept);
        }
        any
    }
}

/// Shows them, or sets some.
pub(super) fn run(remote: &Remote, action: Option<Setting>, global: &Global) -> Result<()> {
    let mut settings = get(remote, PATH, &[])?;
    if let Some(Setting::Set(change)) = action {
        if !change.put(&mut settings) {
            bail!("say what to set, such as --critical-days 7");
        }
        settings = block_on(remote.json(remote.request(Method::PUT, PATH).json(&settings)))?;
    }
    if global.output == Format::Json {
        output::line(&serde_json::to_string_pretty(&settings)?)?;
        return Ok(());
    }
    let mut table = Table::new(["setting", "value"]);
    for (name, value) in settings.as_object().into_iter().flatten() {
        if name == "deadlines" {
            continue;
        }
        let shown = match value.as_array() {
            Some(all) => json!(all.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")),
            None => value.clone(),
        };
        table.push(vec![json!(name), shown]);
    }
    for own in settings["deadlines"].as_array().into_iter().flatten() {
        let days = own.as_object().into_iter().flatten().filter(|(name, days)| *name != "label" && !days.is_null());
        let shown: Vec<String> =
            days.map(|(name, days)| format!("{} {days}", name.trim_end_matches("_days"))).collect();
        table.push(vec![
            json!(format!("days of {}", own["label"].as_str().unwrap_or_default())),
            json!(shown.join(", ")),
        ]);
    }
    Ok(output::print(&table, global.output)?)
}
