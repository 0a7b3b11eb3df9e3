//! The JSON of `nft -j list ruleset` (libnftables-json(5)).

use serde_json::Value;

use super::{Chain, Rule, Ruleset};
use crate::Malformed;
use crate::limits::LIST_MAX;
use crate::text::clip;

/// How deep values are followed.
const DEPTH_MAX: usize = 8;

/// The chains and rules of a ruleset.
pub fn parse(json: &[u8]) -> Result<Ruleset, Malformed> {
    let malformed = |what| Malformed { format: "the ruleset of nft", what };
    let document: Value = serde_json::from_slice(json).map_err(|_| malformed("it is no JSON"))?;
    let objects = document.get("nftables").and_then(Value::as_array).ok_or(malformed("it has no objects"))?;
    let mut ruleset = Ruleset::default();
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
            ruleset.push(rule(given));
        }
    }
    Ok(ruleset)
}

fn text(object: &Value, name: &str) -> String {
    clip(object.get(name).and_then(Value::as_str).unwrap_or_default())
}

fn rule(given: &Value) -> Rule {
    let mut rule = Rule {
        family: text(given, "family"),
        table: text(given, "table"),
        chain: text(given, "chain"),
        ..Rule::default()
    };
    let mut words: Vec<String> = Vec::new();
    for part in given.get("expr").and_then(Value::as_array).into_iter().flatten().take(LIST_MAX) {
        let Some((kind, value)) = part.as_object().and_then(|part| part.iter().next()) else { continue };
        match kind.as_str() {
            "match" => words.push(condition(&mut rule, value)),
            // Counts move by themselves, and say nothing about what is let in.
            "counter" | "log" | "quota" => {}
            "accept" | "drop" | "reject" | "return" | "masquerade" | "queue" | "continue" => {
                rule.action.clone_from(kind);
                words.push(kind.clone());
            }
            "jump" | "goto" => {
                rule.action = format!("{kind} {}", text(value, "target"));
                words.push(rule.action.clone());
            }
            "dnat" | "snat" | "redirect" => {
                rule.action.clone_from(kind);
                words.push(format!("{kind} {}", shown(value, DEPTH_MAX)));
            }
            _ => {
                rule.more |= !matches!(kind.as_str(), "mangle" | "notrack" | "flow" | "vmap");
                words.push(format!("{kind} {}", shown(value, DEPTH_MAX)));
            }
        }
    }
    let comment = text(given, "comment");
    if !comment.is_empty() {
        words.push(format!("# {comment}"));
    }
    rule.text = clip(&words.join(" "));
    rule
}

/// Takes what is asked of a packet into the rule, and says it in words.
fn condition(rule: &mut Rule, value: &Value) -> String {
    let (left, right) = (&value["left"], &value["right"]);
    let operator = value["op"].as_str().unwrap_or("==");
    let all = values(right, DEPTH_MAX);
    let name = named(left);
    let plain = matches!(operator, "==" | "in");
    match (name.as_str(), plain) {
        ("ip saddr" | "ip6 saddr", true) => rule.from.extend(all.iter().cloned()),
        ("ip daddr" | "ip6 daddr", true) => rule.to.extend(all.iter().cloned()),
        ("tcp dport" | "udp dport" | "th dport" | "sctp dport", true) => {
            if let Some((protocol, _)) = name.split_once(' ').filter(|(protocol, _)| *protocol != "th") {
                protocol.clone_into(&mut rule.protocol);
            }
            rule.ports.extend(all.iter().cloned());
        }
        ("ip protocol" | "meta l4proto" | "ip6 nexthdr", true) if all.len() == 1 => rule.protocol.clone_from(&all[0]),
        ("meta iifname" | "meta iif", true) => rule.interface = all.join(","),
        ("ct state", true) => rule.states.extend(all.iter().cloned()),
        ("icmp type" | "icmpv6 type", true) => "icmp".clone_into(&mut rule.protocol),
        _ => rule.more = true,
    }
    let operator = if plain { String::new() } else { format!(" {operator}") };
    let right = if all.len() == 1 { all[0].clone() } else { format!("{{ {} }}", all.join(", ")) };
    clip(&format!("{name}{operator} {right}"))
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
