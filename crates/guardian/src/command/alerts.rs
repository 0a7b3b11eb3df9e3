//! `guardian alerts`: the list, and `--follow`, which tells each alert as it comes.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use guardian_model::Severity;
use reqwest::Method;
use serde_json::{Value, json};

use super::Global;
use crate::output::{self, Format, Table, visible};
use crate::remote::{Remote, block_on};

const EXAMPLES: &str = "\
  guardian alerts                              newest first
  guardian alerts --severity high --open       what needs somebody now
  guardian alerts --follow                     tell each alert as it comes
  guardian alerts --show 0192f0c1-…            everything about one
  guardian alerts --acknowledge 0192f0c1-… --note 'looking into it'
  guardian alerts --close 0192f0c1-… --verdict false_positive --note 'our scanner'";

/// List alerts, follow them live, or decide on one.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Alerts {
    /// Keep running and tell each new alert: what happened, why we think so, what to do next
    #[arg(long, short, conflicts_with_all = ["show", "acknowledge", "close"])]
    follow: bool,
    /// Only alerts at least this bad: informational, low, medium, high, critical
    #[arg(long, value_name = "LEVEL")]
    severity: Option<Severity>,
    /// Only alerts that nobody closed
    #[arg(long)]
    open: bool,
    /// Only alerts about this entity, such as an address
    #[arg(long)]
    entity: Option<String>,
    /// Only alerts of this rule
    #[arg(long, value_name = "ID")]
    rule: Option<String>,
    /// Most alerts to list
    #[arg(long, short = 'n', default_value_t = 50)]
    limit: u32,
    /// Show one alert with its evidence
    #[arg(long, value_name = "ID", conflicts_with_all = ["acknowledge", "close"])]
    show: Option<String>,
    /// Acknowledge an alert: somebody is looking
    #[arg(long, value_name = "ID", conflicts_with = "close")]
    acknowledge: Option<String>,
    /// Close an alert
    #[arg(long, value_name = "ID", requires = "verdict")]
    close: Option<String>,
    /// Why it is closed
    #[arg(long, value_parser = ["true_positive", "false_positive", "benign"])]
    verdict: Option<String>,
    /// A remark for acknowledging or closing
    #[arg(long, default_value = "")]
    note: String,
}

impl Alerts {
    pub(crate) fn run(self, global: &Global) -> Result<ExitCode> {
        let remote = Remote::require(global)?;
        block_on(async {
            if self.follow {
                return self.follow(&remote, global.output).await;
            }
            if let Some(id) = &self.show {
                let alert = remote.json(remote.request(Method::GET, &format!("/alerts/{id}"))).await?;
                return show(&alert, global.output);
            }
            if let Some(id) = self.acknowledge.as_ref().or(self.close.as_ref()) {
                let (action, body) = match &self.verdict {
                    Some(verdict) if self.close.is_some() => {
                        ("close", json!({"verdict": verdict, "reason": self.note}))
                    }
                    _ => ("acknowledge", json!({"note": self.note})),
                };
                let request = remote.request(Method::POST, &format!("/alerts/{id}/{action}")).json(&body);
                return show(&remote.json(request).await?, global.output);
            }
            self.list(&remote, global.output).await
        })?;
        Ok(ExitCode::SUCCESS)
    }

    async fn list(&self, remote: &Remote, format: Format) -> Result<()> {
        let mut query = vec![("limit", self.limit.to_string())];
        query.extend(self.severity.map(|s| ("severity_min", s.to_string())));
        query.extend(self.entity.clone().map(|e| ("entity", e)));
        query.extend(self.rule.clone().map(|r| ("rule", r)));
        query.extend(self.open.then(|| ("status", "open".to_owned())));
        let answer = remote.json(remote.request(Method::GET, "/alerts").query(&query)).await?;
        let columns = ["last_seen", "severity", "title", "entity", "count", "status", "id"];
        let mut table = Table::new(columns);
        for alert in answer.get("items").and_then(Value::as_array).into_iter().flatten() {
            table.push(columns.iter().map(|c| cell(alert, c)).collect());
        }
        output::print(&table, format)?;
        if format == Format::Table && table.rows.is_empty() {
            output::note("no alerts; `guardian exporters` shows whether telemetry arrives");
        }
        Ok(())
    }

    async fn follow(&self, remote: &Remote, format: Format) -> Result<()> {
        output::note("following alerts; Ctrl-C ends");
        remote
            .stream("/stream?topics=alerts", |message| {
                let alert = match message.get("type").and_then(Value::as_str) {
                    Some("alert") => message.get("alert").cloned().unwrap_or_default(),
                    Some("resync") => {
                        output::note("some changes were too old to be told; `guardian alerts` lists them all");
                        return Ok(true);
                    }
                    _ => return Ok(true),
                };
                let least = self.severity.unwrap_or(Severity::Informational);
                let severity = alert.get("severity").and_then(Value::as_str).and_then(|s| s.parse::<Severity>().ok());
                let news = message.get("news") != Some(&Value::Bool(false));
                if news && severity.is_none_or(|s| s >= least) && self.wants(&alert) {
                    if format == Format::Table {
                        output::line(&narrate(&alert, output::colours()))?;
                    } else {
                        output::line(&alert.to_string())?;
                    }
                }
                Ok(true)
            })
            .await
    }

    fn wants(&self, alert: &Value) -> bool {
        let is = |key: &str, wanted: &Option<String>| {
            wanted.as_ref().is_none_or(|w| alert.get(key).and_then(Value::as_str) == Some(w))
        };
        is("entity", &self.entity) && is("rule_id", &self.rule)
    }
}

fn cell(alert: &Value, key: &str) -> Value {
    alert.get(key).cloned().unwrap_or(Value::Null)
}

fn show(alert: &Value, format: Format) -> Result<()> {
    if format != Format::Table {
        return Ok(output::line(&serde_json::to_string_pretty(alert)?)?);
    }
    output::line(&narrate(alert, output::colours()))?;
    output::line("")?;
    let evidence = alert.get("evidence").and_then(Value::as_array).cloned().unwrap_or_default();
    let columns = ["start", "src_ip", "src_port", "dst_ip", "dst_port", "protocol", "packets", "bytes", "rev_bytes"];
    let mut table = Table::new(columns);
    for row in &evidence {
        let row = row.get("event").unwrap_or(row);
        table.push(columns.iter().map(|c| cell(row, c)).collect());
    }
    if !table.rows.is_empty() {
        output::print(&table, format)?;
    }
    Ok(())
}

/// One alert for a person: what happened, why we think so, what to do next.
pub(crate) fn narrate(alert: &Value, colours: bool) -> String {
    let text = |key: &str| visible(alert.get(key).and_then(Value::as_str).unwrap_or_default());
    let severity = text("severity");
    let (on, off) = match (colours, severity.as_str()) {
        (false, _) => ("", ""),
        (true, "critical" | "high") => ("\u{1b}[1;31m", "\u{1b}[0m"),
        (true, "medium") => ("\u{1b}[1;33m", "\u{1b}[0m"),
        (true, _) => ("\u{1b}[1;36m", "\u{1b}[0m"),
    };
    let attack = alert
        .get("attack")
        .and_then(Value::as_array)
        .map(|tags| tags.iter().filter_map(Value::as_str).map(visible).collect::<Vec<_>>().join(", "));
    let mut lines = vec![format!("{on}{:8}{off} {}  {}", severity.to_uppercase(), text("last_seen"), text("title"))];
    lines.push(format!("         what  {}", text("summary")));
    if let Some(measures) = alert.get("measures").and_then(Value::as_object).filter(|m| !m.is_empty()) {
        let shown: Vec<_> = measures.iter().map(|(k, v)| format!("{} {}", visible(k), short(v))).collect();
        lines.push(format!("         why   {}", shown.join(" · ")));
    }
    for (i, step) in alert.get("next_steps").and_then(Value::as_array).into_iter().flatten().enumerate() {
        let label = if i == 0 { "next" } else { "    " };
        lines.push(format!("         {label}  {}", visible(step.as_str().unwrap_or_default())));
    }
    let replay = match text("replay") {
        name if name.is_empty() => String::new(),
        name => format!(" · replay {name}"),
    };
    let count = alert.get("count").and_then(Value::as_u64).unwrap_or(1);
    let attack = attack.filter(|a| !a.is_empty()).map(|a| format!("ATT&CK {a} · ")).unwrap_or_default();
    lines.push(format!("         {attack}{count} events · alert {}{replay}", text("id")));
    lines.join("\n")
}

/// A measured value, with no more digits than anybody reads.
fn short(value: &Value) -> String {
    match value {
        Value::Number(n) if n.is_f64() => {
            let text = format!("{:.3}", n.as_f64().unwrap_or_default());
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        Value::String(text) => visible(text),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::narrate;

    #[test]
    fn an_alert_reads_as_a_story() {
        let alert = json!({
            "id": "0192", "severity": "high", "title": "Vertical port scan", "last_seen": "2026-01-01T00:00:00Z",
            "summary": "10.0.0.5 tried 812 ports on 10.0.0.9\u{1b}[2J", "count": 812, "attack": ["t1046"],
            "measures": {"distinct dst_port": 812, "score": 0.93333}, "next_steps": ["Ask its owner.", "Isolate it."],
        });
        insta::assert_snapshot!(narrate(&alert, false), @r"
        HIGH     2026-01-01T00:00:00Z  Vertical port scan
                 what  10.0.0.5 tried 812 ports on 10.0.0.9�[2J
                 why   distinct dst_port 812 · score 0.933
                 next  Ask its owner.
                       Isolate it.
                 ATT&CK t1046 · 812 events · alert 0192
        ");
    }
}
