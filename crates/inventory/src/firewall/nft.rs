//! The JSON of `nft -j list ruleset` (libnftables-json(5)).

use std::collections::HashMap;

use serde_json::Value;

use super::{Chain, Rule, Ruleset, Set};
use crate::Malformed;
use crate::limits::LIST_MAX;
use crate::text::clip;

/// How deep values are followed.
const DEPTH_MAX: usize = 8;

/// The chains, sets and rules of a ruleset.
pub fn parse(json: &[u8]) -> Result<Ruleset, Malformed> {
    let malformed = |what| Malformed { format: "the ruleset of nft", what };
    let document: Value = serde_json::from_slice(json).map_err(|_| malformed("it is no JSON"))?;
    let objects = document.get("nftables").and_then(Value::as_array).ok_or(malformed("it has no objects"))?;
    let mut ruleset = Ruleset { sets: sets(objects), ..Ruleset::default() };
    let maps = Maps::of(objects);
    for object in objects {
        if let Some(chain) = object.get("chain") {
            if ruleset.chains.len() < super::RULES_MAX {
                ruleset.chains.push(Chain {
                    family: text(chain, "family"),
                    table: text(chain, "table"),
                    name: text(chain, "name"),
                    hook: text(chain, "hook"),
                    policy: text(chain, "policy"),
                });
            }
        } else if let Some(given) = object.get("rule") {
            for rule in rules(given, &ruleset.sets, &maps) {
                ruleset.push(rule);
            }
        }
    }
    Ok(ruleset)
}

fn text(object: &Value, name: &str) -> String {
    clip(object.get(name).and_then(Value::as_str).unwrap_or_default())
}

/// Sets that have a name. What packets put into a set, or what leaves it by itself, moves all the time and is left out.
fn sets(objects: &[Value]) -> Vec<Set> {
    let set = |object: &Value| {
        let set = object.get("set")?;
        let flags = values(&set["flags"], DEPTH_MAX);
        let moves =
            flags.iter().any(|flag| matches!(flag.as_str(), "dynamic" | "timeout")) || set.get("timeout").is_some();
        let elements = set.get("elem").filter(|_| !moves);
        Some(Set {
            family: text(set, "family"),
            table: text(set, "table"),
            name: text(set, "name"),
            kind: shown(&set["type"], DEPTH_MAX),
            moves,
            elements: elements.map(|all| values(all, DEPTH_MAX)).unwrap_or_default(),
        })
    };
    objects.iter().filter_map(set).take(super::RULES_MAX).collect()
}

/// What a map has: what is compared, and what becomes of it.
type Pairs<'a> = Vec<(&'a Value, &'a Value)>;

fn pairs(all: &Value) -> Pairs<'_> {
    let all = all.as_array().into_iter().flatten().take(LIST_MAX);
    all.filter_map(|one| one.as_array()?.first_chunk::<2>()).map(|[value, verdict]| (value, verdict)).collect()
}

/// Maps from what a packet has to what becomes of it, by family, table and name.
struct Maps<'a>(HashMap<(&'a str, &'a str, &'a str), Pairs<'a>>);

impl<'a> Maps<'a> {
    fn of(objects: &'a [Value]) -> Self {
        let map = |object: &'a Value| {
            let map = object.get("map").filter(|map| map["map"] == "verdict")?;
            let of = |name: &str| map.get(name).and_then(Value::as_str);
            Some(((of("family")?, of("table")?, of("name")?), pairs(map.get("elem")?)))
        };
        Self(objects.iter().filter_map(map).take(super::RULES_MAX).collect())
    }

    /// What a verdict map of a rule has, whether it has a name or stands in the rule.
    fn pairs<'b>(&'b self, rule: &Rule, data: &'b Value) -> Pairs<'b> {
        match data.as_str().and_then(|name| name.strip_prefix('@')) {
            Some(name) => self.0.get(&(&*rule.family, &*rule.table, name)).cloned().unwrap_or_default(),
            None => pairs(data.get("set").unwrap_or(data)),
        }
    }
}

/// A rule, or several where a map says what becomes of each.
fn rules(given: &Value, sets: &[Set], maps: &Maps<'_>) -> Vec<Rule> {
    let mut rule = Rule {
        family: text(given, "family"),
        table: text(given, "table"),
        chain: text(given, "chain"),
        ..Rule::default()
    };
    let (mut words, mut map) = (Vec::new(), None);
    for part in given.get("expr").and_then(Value::as_array).into_iter().flatten().take(LIST_MAX) {
        let Some((kind, value)) = part.as_object().and_then(|part| part.iter().next()) else { continue };
        match kind.as_str() {
            "match" => words.push(condition(&mut rule, value, sets)),
            "vmap" => map = Some(value),
            kind => decision(&mut rule, &mut words, kind, value),
        }
    }
    let comment = Some(text(given, "comment")).filter(|comment| !comment.is_empty());
    let done = |rule: Rule, words: &[String]| {
        let comment = comment.as_ref().map(|comment| format!("# {comment}"));
        let words: Vec<&str> = words.iter().chain(comment.as_ref()).map(String::as_str).collect();
        Rule { text: clip(&words.join(" ")), ..rule }
    };
    let Some(map) = map else { return vec![done(rule, &words)] };
    let pairs = maps.pairs(&rule, &map["data"]);
    if pairs.is_empty() {
        words.push(format!("vmap {}", shown(map, DEPTH_MAX)));
        return vec![done(rule, &words)];
    }
    let one = |(value, verdict): (&Value, &Value)| {
        let (mut rule, mut words) = (rule.clone(), words.clone());
        words.push(matched(&mut rule, &map["key"], "==", values(value, DEPTH_MAX)));
        if let Some((kind, value)) = verdict.as_object().and_then(|verdict| verdict.iter().next()) {
            decision(&mut rule, &mut words, kind, value);
        }
        done(rule, &words)
    };
    pairs.into_iter().map(one).collect()
}

/// Takes what becomes of a packet into the rule, and says it in words.
fn decision(rule: &mut Rule, words: &mut Vec<String>, kind: &str, value: &Value) {
    match kind {
        // Counts move by themselves, and say nothing about what is let in.
        "counter" | "log" | "quota" => {}
        "accept" | "drop" | "reject" | "return" | "masquerade" | "queue" | "continue" => {
            kind.clone_into(&mut rule.action);
            words.push(kind.to_owned());
        }
        "jump" | "goto" => {
            rule.action = format!("{kind} {}", text(value, "target"));
            words.push(rule.action.clone());
        }
        "dnat" | "snat" | "redirect" => {
            kind.clone_into(&mut rule.action);
            words.push(format!("{kind} {}", shown(value, DEPTH_MAX)));
        }
        _ => {
            rule.more |= !matches!(kind, "mangle" | "notrack" | "flow");
            words.push(format!("{kind} {}", shown(value, DEPTH_MAX)));
        }
    }
}

/// Takes what is asked of a packet into the rule, and says it in words. A set that has a name is said by it, and what it has is what
/// is asked for.
fn condition(rule: &mut Rule, value: &Value, sets: &[Set]) -> String {
    let operator = value["op"].as_str().unwrap_or("==");
    let right = &value["right"];
    let named_set = right.as_str().and_then(|text| text.strip_prefix('@')).map(|name| {
        let own = |set: &&Set| (&set.family, &set.table, &*set.name) == (&rule.family, &rule.table, name);
        sets.iter().find(own).map(|set| set.elements.clone()).unwrap_or_default()
    });
    let Some(elements) = named_set else { return matched(rule, &value["left"], operator, values(right, DEPTH_MAX)) };
    let said = vec![shown(right, DEPTH_MAX)];
    if elements.is_empty() {
        // Nobody, or nobody knows who: not anybody.
        return matched(rule, &value["left"], operator, said);
    }
    matched(rule, &value["left"], operator, elements);
    matched(&mut Rule::default(), &value["left"], operator, said)
}

fn matched(rule: &mut Rule, left: &Value, operator: &str, all: Vec<String>) -> String {
    let name = named(left);
    let plain = matches!(operator, "==" | "in");
    let text = {
        let operator = if plain { String::new() } else { format!(" {operator}") };
        let right = if all.len() == 1 { all[0].clone() } else { format!("{{ {} }}", all.join(", ")) };
        clip(&format!("{name}{operator} {right}"))
    };
    match (name.as_str(), plain) {
        ("ip saddr" | "ip6 saddr", true) => rule.from.extend(all),
        ("ip daddr" | "ip6 daddr", true) => rule.to.extend(all),
        ("tcp dport" | "udp dport" | "th dport" | "sctp dport", true) => {
            if let Some((protocol, _)) = name.split_once(' ').filter(|(protocol, _)| *protocol != "th") {
                protocol.clone_into(&mut rule.protocol);
            }
            rule.ports.extend(all);
        }
        ("ip protocol" | "meta l4proto" | "ip6 nexthdr", true) if all.len() == 1 => rule.protocol.clone_from(&all[0]),
        ("meta iifname" | "meta iif", true) => rule.interface = all.join(","),
        ("ct state", true) => rule.states.extend(all),
        ("icmp type" | "icmpv6 type", true) => "icmp".clone_into(&mut rule.protocol),
        _ => rule.more = true,
    }
    text
}

/// What is compared: `tcp dport`, `meta iifname`, `ct state`.
fn named(left: &Value) -> String {
    let of = |kind: &str, key: &str| Some(format!("{kind} {}", left.get(kind)?.get(key)?.as_str()?));
    let payload = || {
        let payload = left.get("payload")?;
        Some(format!("{} {}", payload.get("protocol")?.as_str()?, payload.get("field")?.as_str()?))
    };
    payload().or_else(|| of("meta", "key")).or_else(|| of("ct", "key")).unwrap_or_else(|| shown(left, DEPTH_MAX))
}

/// The values of a right side: one, a set, a range, a network.
fn values(value: &Value, depth: usize) -> Vec<String> {
    let inside = value.get("set").unwrap_or(value);
    match inside {
        Value::Array(all) if depth > 0 => {
            all.iter().take(LIST_MAX).flat_map(|one| values(one, depth - 1)).take(LIST_MAX).collect()
        }
        one => vec![shown(one, depth)],
    }
}

fn shown(value: &Value, depth: usize) -> String {
    if depth == 0 {
        return "…".to_owned();
    }
    match value {
        Value::Null => String::new(),
        Value::String(text) => clip(text),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(all) => {
            let all: Vec<String> = all.iter().take(LIST_MAX).map(|one| shown(one, depth - 1)).collect();
            clip(&all.join(", "))
        }
        Value::Object(members) => {
            if let Some(prefix) = members.get("prefix") {
                return format!("{}/{}", shown(&prefix["addr"], depth - 1), shown(&prefix["len"], depth - 1));
            }
            if let Some([from, to]) = members.get("range").and_then(Value::as_array).map(Vec::as_slice) {
                return format!("{}-{}", shown(from, depth - 1), shown(to, depth - 1));
            }
            if let Some(element) = members.get("elem") {
                return shown(element.get("val").unwrap_or(element), depth - 1);
            }
            let all: Vec<String> = members
                .iter()
                .take(LIST_MAX)
                .map(|(name, value)| format!("{name} {}", shown(value, depth - 1)))
                .collect();
            clip(&all.join(" "))
        }
    }
}
