//! `guardian notifications`: the channels by which a tenant is told, what was sent by them, and whether it arrives.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{EXIT_WANTING, Global};
use crate::output::{self, Format, Table, visible};
use crate::remote::{Remote, block_on};

const EXAMPLES: &str = "\
  guardian notifications                                      the channels, and how well they work
  guardian notifications create desk --to soc@example.org --event incident --event sla_breach
  guardian notifications create bot --url https://example.org/in --event alert --severity high
  guardian notifications test bot                             one message, and what the receiver said
  guardian notifications set bot --severity medium --personal
  guardian notifications set bot --enabled false
  guardian notifications deliveries --state failed
  guardian notifications retry --failed --channel bot
  guardian notifications test-alert                           a harmless alert through everything

Events: alert, incident, sla_warning, sla_breach, exporter_silent, health. Channels tell pseudonyms in the place of
addresses and names of people until `--personal` says otherwise. Mail needs notify.smtp.host in the configuration, and
receivers at private addresses need egress.allow.";

const DELIVERIES: [&str; 9] = ["created", "state", "event", "title", "kind", "target", "attempts", "answer", "id"];
/// Most deliveries that one request asks for.
const PAGE_MAX: usize = 500;

/// Manage notification channels, and see what was sent and what came of it.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Notifications {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the channels and how well they work
    List,
    /// Show everything about one channel
    Show {
        /// Name or id
        channel: String,
    },
    /// Make a channel: with `--to` it sends mail, with `--url` webhooks, whose secret is shown this once
    Create {
        /// Name for people
        name: String,
        #[command(flatten)]
        fields: Fields,
    },
    /// Change a channel; what is not named stays, and lists are replaced
    Set {
        /// Name or id
        channel: String,
        /// Another name
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        fields: Fields,
    },
    /// Remove a channel; what waits for it is given up
    Remove {
        /// Name or id
        channel: String,
    },
    /// Give a webhook a new secret, shown this once; the old one ends at once
    Secret {
        /// Name or id
        channel: String,
    },
    /// Send a labelled message by one channel and tell what the receiver said
    Test {
        /// Name or id
        channel: String,
    },
    /// List what was sent and what waits, newest first
    Deliveries(Deliveries),
    /// Show one message and what came of it
    Delivery {
        /// Id
        id: String,
    },
    /// Send messages again that failed or wait, at once
    Retry {
        /// Ids
        #[arg(required_unless_present = "failed")]
        ids: Vec<String>,
        /// All that failed
        #[arg(long, conflicts_with = "ids")]
        failed: bool,
        /// Only those of this channel, by name or id
        #[arg(long, requires = "failed", value_name = "CHANNEL")]
        channel: Option<String>,
    },
    /// Send a harmless, labelled test alert through storage, detection, alerting and every enabled channel
    TestAlert,
}

/// What a channel is.
#[derive(Args, Debug, Default)]
struct Fields {
    /// Mail address; may be repeated
    #[arg(long, value_name = "ADDRESS", conflicts_with = "url")]
    to: Vec<String>,
    /// Receiver of webhooks
    #[arg(long)]
    url: Option<String>,
    /// What it takes; may be repeated
    #[arg(long = "event", value_name = "EVENT")]
    events: Vec<String>,
    /// Alerts, incidents and deadlines at least this bad: informational, low, medium, high, critical; `any` for all
    #[arg(long, value_name = "LEVEL")]
    severity: Option<String>,
    /// Only alerts of this rule, by its id; may be repeated, and `any` takes all
    #[arg(long = "rule", value_name = "ID")]
    rules: Vec<String>,
    /// Only alerts whose entity contains this text; empty for all
    #[arg(long, value_name = "TEXT")]
    entity: Option<String>,
    /// Only alerts with this ATT&CK technique or tactic; empty for all
    #[arg(long, value_name = "TECHNIQUE")]
    attack: Option<String>,
    /// Language of its messages: en or de
    #[arg(long)]
    language: Option<String>,
    /// Whether its messages show personal data rather than pseudonyms; needs personal:read
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    personal: Option<bool>,
    /// Whether it is used
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    enabled: Option<bool>,
}

#[derive(Args, Debug)]
struct Deliveries {
    /// Of this channel, by name or id
    #[arg(long)]
    channel: Option<String>,
    /// To this person, by id
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    /// waiting, delivered or failed; separated by commas
    #[arg(long)]
    state: Option<String>,
    /// Of this event, such as alert or test
    #[arg(long)]
    event: Option<String>,
    /// About the alert, incident or exporter with this id
    #[arg(long, value_name = "ID")]
    about: Option<String>,
    /// Most messages to list
    #[arg(long, short = 'n', default_value_t = 50)]
    limit: usize,
}

impl Fields {
    /// Puts what was said into what is known of a channel.
    fn apply(&self, body: &mut Map<String, Value>) {
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                body.insert(name.to_owned(), value);
            }
        };
        put("to", (!self.to.is_empty()).then(|| json!(self.to)));
        put("url", self.url.as_ref().map(|url| json!(url)));
        put("events", (!self.events.is_empty()).then(|| json!(self.events)));
        put("language", self.language.as_ref().map(|language| json!(language)));
        put("personal", self.personal.map(Value::from));
        put("enabled", self.enabled.map(Value::from));
        let filter = body.entry("filter").or_insert_with(|| json!({}));
        let Some(filter) = filter.as_object_mut() else { return };
        let any = |text: &String| if text == "any" { Value::Null } else { json!(text) };
        if let Some(severity) = &self.severity {
            filter.insert("severity_min".into(), any(severity));
        }
        if !self.rules.is_empty() {
            let named: Vec<&String> = self.rules.iter().filter(|rule| *rule != "any").collect();
            filter.insert("rules".into(), json!(named));
        }
        for (name, said) in [("entity", &self.entity), ("attack", &self.attack)] {
            if let Some(text) = said {
                filter.insert(name.into(), if text.is_empty() { Value::Null } else { json!(text) });
            }
        }
    }
}

impl Notifications {
    pub(crate) fn run(self, global: &Global) -> Result<ExitCode> {
        let desk = Desk { remote: Remote::require(global)?, format: global.output };
        block_on(async {
            match self.action.unwrap_or(Action::List) {
                Action::List => desk.list().await,
                Action::Show { channel } => desk.tell(&desk.find(&channel).await?),
                Action::Create { name, fields } => desk.create(&name, &fields).await,
                Action::Set { channel, name, fields } => desk.set(&channel, name, &fields).await,
                Action::Remove { channel } => {
                    let path = desk.path(&channel, "").await?;
                    desk.ask(Method::DELETE, &path).await?;
                    output::note("removed");
                    Ok(ExitCode::SUCCESS)
                }
                Action::Secret { channel } => {
                    let path = desk.path(&channel, "/secret").await?;
                    desk.secret(&desk.ask(Method::POST, &path).await?)
                }
                Action::Test { channel } => {
                    let path = desk.path(&channel, "/test").await?;
                    desk.sent(&[desk.ask(Method::POST, &path).await?])
                }
                Action::Deliveries(which) => desk.deliveries(&which).await,
                Action::Delivery { id } => {
                    let found = desk.ask(Method::GET, &format!("/notifications/deliveries/{id}")).await?;
                    desk.tell(&found)
                }
                Action::Retry { ids, failed, channel } => desk.retry(ids, failed, channel).await,
                Action::TestAlert => desk.test_alert().await,
            }
        })
    }
}

fn items(answer: &Value) -> &[Value] {
    answer.get("items").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn word<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The server, and the form in which people want its answers.
struct Desk {
    remote: Remote,
    format: Format,
}

impl Desk {
    async fn ask(&self, method: Method, path: &str) -> Result<Value> {
        self.remote.json(self.remote.request(method, path)).await
    }

    async fn channels(&self) -> Result<Value> {
        self.ask(Method::GET, "/notifications/channels").await
    }

    /// The channel with this id or name.
    async fn find(&self, channel: &str) -> Result<Value> {
        let all = self.channels().await?;
        let by = |key: &str| items(&all).iter().filter(|one| word(one, key) == channel).collect::<Vec<_>>();
        match (by("id").first(), by("name").as_slice()) {
            (Some(one), _) => Ok((*one).clone()),
            (None, [one]) => Ok((*one).clone()),
            (None, []) => bail!("there is no channel `{channel}`; `guardian notifications` lists them"),
            (None, _) => bail!("several channels are called `{channel}`: name one by its id"),
        }
    }

    async fn path(&self, channel: &str, rest: &str) -> Result<String> {
        Ok(format!("/notifications/channels/{}{rest}", word(&self.find(channel).await?, "id")))
    }

    async fn list(&self) -> Result<ExitCode> {
        let answer = self.channels().await?;
        let mut table = Table::new([
            "name",
            "kind",
            "enabled",
            "target",
            "events",
            "severity",
            "personal",
            "delivered",
            "failed_24h",
            "waiting",
            "id",
        ]);
        for one in items(&answer) {
            let get = |pointer: &str| one.pointer(pointer).cloned().unwrap_or(Value::Null);
            let words = |key: &str| {
                let words = one.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
                words.collect::<Vec<_>>().join(", ")
            };
            let target = if word(one, "kind") == "mail" { words("to") } else { word(one, "url").to_owned() };
            table.push(vec![
                get("/name"),
                get("/kind"),
                get("/enabled"),
                json!(target),
                json!(words("events")),
                get("/filter/severity_min"),
                get("/personal"),
                get("/health/last_delivered"),
                get("/health/failed_24h"),
                get("/health/waiting"),
                get("/id"),
            ]);
        }
        output::print(&table, self.format)?;
        if self.format == Format::Table {
            if table.rows.is_empty() {
                output::note("no channels; `guardian notifications create --help` shows how to make one");
            }
            if answer.get("mail_ready") == Some(&json!(false)) {
                output::note("no mail leaves: this installation has no mail server (notify.smtp.host)");
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn create(&self, name: &str, fields: &Fields) -> Result<ExitCode> {
        let kind = match (&fields.url, fields.to.is_empty()) {
            (Some(_), _) => "webhook",
            (None, false) => "mail",
            (None, true) => bail!("where to? Give --to with a mail address, or --url with a receiver of webhooks"),
        };
        if fields.events.is_empty() {
            bail!("what is it to tell? Give --event at least once: alert, incident, sla_breach, …");
        }
        let mut body = Map::from_iter([("name".to_owned(), json!(name)), ("kind".to_owned(), json!(kind))]);
        fields.apply(&mut body);
        let request = self.remote.request(Method::POST, "/notifications/channels").json(&body);
        let made = self.remote.json(request).await?;
        if self.format != Format::Table {
            output::line(&serde_json::to_string_pretty(&made)?)?;
            return Ok(ExitCode::SUCCESS);
        }
        output::note(&format!("made {}", word(made.get("channel").unwrap_or(&Value::Null), "id")));
        if made.get("secret").is_some_and(Value::is_string) {
            return self.secret(&made);
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn set(&self, channel: &str, name: Option<String>, fields: &Fields) -> Result<ExitCode> {
        let known = self.find(channel).await?;
        let members = ["version", "name", "kind", "enabled", "to", "url", "language", "events", "filter", "personal"];
        let kept = members.iter().filter_map(|key| Some(((*key).to_owned(), known.get(key)?.clone())));
        let mut body: Map<String, Value> = kept.collect();
        if let Some(name) = name {
            body.insert("name".into(), json!(name));
        }
        fields.apply(&mut body);
        let path = format!("/notifications/channels/{}", word(&known, "id"));
        let changed = self.remote.json(self.remote.request(Method::PATCH, &path).json(&body)).await?;
        self.tell(&changed)
    }

    /// One thing with all that is known of it.
    fn tell(&self, one: &Value) -> Result<ExitCode> {
        if self.format != Format::Table {
            output::line(&serde_json::to_string_pretty(one)?)?;
            return Ok(ExitCode::SUCCESS);
        }
        for (key, value) in one.as_object().into_iter().flatten() {
            let text = match value {
                Value::Null => continue,
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            output::line(&format!("{key:<13} {}", visible(&text)))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn secret(&self, answer: &Value) -> Result<ExitCode> {
        if self.format == Format::Table {
            output::note("the secret that its webhooks are signed with, shown this once:");
            output::line(word(answer, "secret"))?;
        } else {
            output::line(&serde_json::to_string_pretty(answer)?)?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// What came of messages; the exit code says whether all arrived.
    fn sent(&self, deliveries: &[Value]) -> Result<ExitCode> {
        self.print(deliveries)?;
        let arrived = deliveries.iter().all(|one| word(one, "state") == "delivered");
        Ok(if arrived { ExitCode::SUCCESS } else { ExitCode::from(EXIT_WANTING) })
    }

    fn print(&self, deliveries: &[Value]) -> Result<()> {
        let mut table = Table::new(DELIVERIES);
        for one in deliveries {
            table.push(DELIVERIES.iter().map(|key| one.get(key).cloned().unwrap_or(Value::Null)).collect());
        }
        Ok(output::print(&table, self.format)?)
    }

    async fn deliveries(&self, which: &Deliveries) -> Result<ExitCode> {
        let channel = match &which.channel {
            Some(channel) => Some(word(&self.find(channel).await?, "id").to_owned()),
            None => None,
        };
        let named = [
            ("channel", channel),
            ("user", which.user.clone()),
            ("state", which.state.clone()),
            ("event", which.event.clone()),
            ("about", which.about.clone()),
        ];
        let filter: Vec<_> = named.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        let found = self.pages(&filter, which.limit).await?;
        self.print(&found)?;
        if found.is_empty() && self.format == Format::Table {
            output::note("nothing; `guardian notifications test-alert` sends something by every channel");
        }
        Ok(ExitCode::SUCCESS)
    }

    /// At most `limit` deliveries, newest first, page by page.
    async fn pages(&self, filter: &[(&str, String)], limit: usize) -> Result<Vec<Value>> {
        let (mut found, mut cursor) = (Vec::new(), None);
        while found.len() < limit {
            let page = (limit - found.len()).min(PAGE_MAX);
            let request = self.remote.request(Method::GET, "/notifications/deliveries");
            let request = request.query(filter).query(&[("limit", page)]);
            let request = match cursor.take() {
                Some(cursor) => request.query(&[("cursor", cursor)]),
                None => request,
            };
            let answer = self.remote.json(request).await?;
            found.extend_from_slice(items(&answer));
            match answer.get("next_cursor").and_then(Value::as_str) {
                Some(next) => cursor = Some(next.to_owned()),
                None => break,
            }
        }
        Ok(found)
    }

    async fn retry(&self, ids: Vec<String>, failed: bool, channel: Option<String>) -> Result<ExitCode> {
        let ids = if failed {
            let mut filter = vec![("state", "failed".to_owned())];
            if let Some(channel) = channel {
                filter.push(("channel", word(&self.find(&channel).await?, "id").to_owned()));
            }
            let found = self.pages(&filter, usize::MAX).await?;
            found.iter().map(|one| word(one, "id").to_owned()).collect()
        } else {
            ids
        };
        let mut tried = Vec::with_capacity(ids.len());
        for id in ids {
            tried.push(self.ask(Method::POST, &format!("/notifications/deliveries/{id}/retry")).await?);
        }
        self.sent(&tried)
    }

    async fn test_alert(&self) -> Result<ExitCode> {
        let answer = self.ask(Method::POST, "/notifications/test-alert").await?;
        let steps = answer.get("steps").and_then(Value::as_array).cloned().unwrap_or_default();
        let reached = |step: &Value| step.get("at").is_some_and(Value::is_string);
        if self.format == Format::Table {
            let mut table = Table::new(["step", "at"]);
            for step in &steps {
                table.push(vec![json!(word(step, "step")), json!(word(step, "at"))]);
            }
            output::print(&table, self.format)?;
            let count = answer.get("deliveries").and_then(Value::as_u64).unwrap_or_default();
            let (alert, name) = (word(&answer, "alert"), word(&answer, "name"));
            output::note(&format!(
                "{count} messages; what came of them: guardian notifications deliveries --about {alert}\n\
                 remove what it left: guardian demo clear {name}"
            ));
        } else {
            output::line(&serde_json::to_string_pretty(&answer)?)?;
        }
        // Nobody is told where there is no channel; that is no failure.
        let arrived = steps.iter().filter(|step| word(step, "step") != "notified").all(reached);
        Ok(if arrived { ExitCode::SUCCESS } else { ExitCode::from(EXIT_WANTING) })
    }
}
