//! What `iptables-save` and `ip6tables-save` write (iptables-save(8), iptables-extensions(8)).

use super::{Chain, Rule, Ruleset};
use crate::limits::LIST_MAX;
use crate::text::{clip, lines};

/// The chains and rules; `family` is `ip` or `ip6`.
pub fn parse(saved: &[u8], family: &str) -> Ruleset {
    let mut ruleset = Ruleset::default();
    let mut table = String::new();
    for (_, line) in lines(saved) {
        let line = line.trim();
        if let Some(name) = line.strip_prefix('*') {
            table = clip(name);
        } else if let Some(chain) = line.strip_prefix(':') {
            let mut words = chain.split_whitespace();
            let name = words.next().unwrap_or_default();
            let policy = match words.next() {
                Some("ACCEPT") => "accept",
                Some("DROP") => "drop",
                _ => "",
            };
            if ruleset.chains.len() < super::RULES_MAX {
                ruleset.chains.push(Chain {
                    family: family.to_owned(),
                    table: table.clone(),
                    name: clip(name),
                    // Only the chains of the kernel have a policy.
                    hook: if policy.is_empty() { String::new() } else { name.to_lowercase() },
                    policy: policy.to_owned(),
                });
            }
        } else if let Some(given) = line.strip_prefix("-A ") {
            ruleset.push(rule(given, family, &table));
        }
    }
    ruleset
}

/// The words of a line; quotes hold words together.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            c if c.is_whitespace() && !quoted => {
                if !word.is_empty() && words.len() < LIST_MAX {
                    words.push(std::mem::take(&mut word));
                }
            }
            c => word.push(c),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

fn rule(given: &str, family: &str, table: &str) -> Rule {
    let words = words(given);
    let mut words = words.iter().map(String::as_str).peekable();
    let mut rule = Rule {
        family: family.to_owned(),
        table: table.to_owned(),
        chain: clip(words.next().unwrap_or_default()),
        ..Rule::default()
    };
    let mut not = false;
    while let Some(word) = words.next() {
        let mut value = || words.next().map(clip).unwrap_or_default();
        if not && word.starts_with('-') && word != "-j" {
            (rule.more, not) = (true, false);
            value();
            continue;
        }
        match word {
            "!" => not = true,
            "-p" => rule.protocol = value(),
            "-s" => rule.from.push(value()),
            "-d" => rule.to.push(value()),
            "-i" => rule.interface = value(),
            "--dport" | "--dports" | "--destination-port" => {
                rule.ports.extend(value().split(',').map(|p| p.replace(':', "-")))
            }
            "--state" | "--ctstate" => rule.states.extend(value().split(',').map(str::to_lowercase)),
            "-j" | "-g" => {
                let target = value();
                rule.action = match target.as_str() {
                    "ACCEPT" | "DROP" | "REJECT" | "RETURN" | "MASQUERADE" | "DNAT" | "SNAT" | "REDIRECT" => {
                        target.to_lowercase()
                    }
                    "LOG" | "NFLOG" | "MARK" | "CONNMARK" => String::new(),
                    chain => format!("jump {chain}"),
                };
            }
            // A module by itself asks nothing; what it asks follows.
            "-m" | "--comment" | "--reject-with" | "--log-prefix" | "--log-level" => drop(value()),
            word if word.starts_with('-') => {
                rule.more = true;
                if words.peek().is_some_and(|next| !next.starts_with('-') && *next != "!") {
                    words.next();
                }
            }
            _ => {}
        }
    }
    let text = given.split_once(' ').map_or("", |(_, rest)| rest);
    rule.text = clip(text);
    rule
}
