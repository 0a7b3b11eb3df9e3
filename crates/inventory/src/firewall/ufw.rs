//! What ufw(8) wrote down: its rules in `user.rules` and `user6.rules`, each with a line that says what somebody asked for, and what
//! becomes of the rest in `/etc/default/ufw`.

use super::{Chain, Rule, Ruleset};
use crate::limits::LIST_MAX;
use crate::text::{clip, lines};

/// What is done with what no rule names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Defaults {
    /// What comes in: accept, drop or reject; empty where it is not said.
    pub input: String,
    /// What goes out.
    pub output: String,
    /// What is passed on.
    pub forward: String,
    /// Whether IPv6 is filtered too.
    pub ipv6: bool,
}

/// The defaults.
pub fn parse_defaults(file: &[u8]) -> Defaults {
    let mut defaults = Defaults::default();
    for (_, line) in lines(file) {
        let Some((name, value)) = line.trim().split_once('=') else { continue };
        let value = clip(value.trim_matches(['"', '\'', ' '])).to_lowercase();
        match name {
            "DEFAULT_INPUT_POLICY" => defaults.input = value,
            "DEFAULT_OUTPUT_POLICY" => defaults.output = value,
            "DEFAULT_FORWARD_POLICY" => defaults.forward = value,
            "IPV6" => defaults.ipv6 = value == "yes",
            _ => {}
        }
    }
    defaults
}

impl Defaults {
    /// What is risky about them, in words; empty if nothing is known to be. `ipv6` says whether the machine has addresses of it by
    /// which others reach it.
    pub fn risk(&self, ipv6: bool) -> String {
        let mut risks = Vec::new();
        if self.input == "accept" {
            risks.push("what no rule names is let in");
        }
        if self.forward == "accept" {
            risks.push("what no rule names is passed on between networks");
        }
        if ipv6 && !self.ipv6 {
            risks.push("IPv6 is not filtered, and this machine can be reached by it");
        }
        risks.join("; ")
    }
}

/// The rules of `user.rules` (family `ip`) or `user6.rules` (`ip6`), as they were asked for.
pub fn parse(file: &[u8], family: &str) -> Ruleset {
    let chain = |name: &str| Chain {
        family: family.to_owned(),
        table: "ufw".to_owned(),
        name: name.to_owned(),
        hook: name.to_owned(),
        policy: String::new(),
    };
    let mut ruleset = Ruleset { chains: ["input", "forward", "output"].map(chain).into(), ..Ruleset::default() };
    for (_, line) in lines(file) {
        if let Some(rule) = line.trim().strip_prefix("### tuple ### ").and_then(|tuple| rule(tuple, family)) {
            ruleset.push(rule);
        }
    }
    ruleset
}

/// `[route:]ACTION PROTOCOL PORT TO PORT FROM [APP APP] in|out|in_IF|out_IF|in_IF!out_IF [comment=HEX]`.
fn rule(tuple: &str, family: &str) -> Option<Rule> {
    let mut words: Vec<&str> = tuple.split_whitespace().take(LIST_MAX).collect();
    let comment = words.pop_if(|word| word.starts_with("comment=")).and_then(|word| text_of(word.get(8..)?));
    let direction = words.pop()?;
    let [action, protocol, ports, to, from_ports, from, apps @ ..] = words.as_slice() else { return None };
    let (routed, action) = action.strip_prefix("route:").map_or((false, *action), |action| (true, action));
    let action = action.split('_').next().unwrap_or_default();
    let any = |address: &str| matches!(address, "any" | "0.0.0.0/0" | "::/0");
    let list = |address: &str| if any(address) { Vec::new() } else { vec![clip(address)] };
    let ports_of = |ports: &str| -> Vec<String> {
        let ports = ports.split(',').filter(|port| *port != "any");
        ports.take(LIST_MAX).map(|port| clip(port).replace(':', "-")).collect()
    };
    let of = |word: &str| direction.split('!').find_map(|part| part.strip_prefix(word)).map(clip).unwrap_or_default();
    let chain = match (routed, direction.split(['_', '!']).next()) {
        (true, _) => "forward",
        (_, Some("out")) => "output",
        _ => "input",
    };
    let action = match action {
        // What is let in slowly is let in.
        "allow" | "limit" => "accept",
        "deny" => "drop",
        other => other,
    };
    let app = apps.iter().find(|app| **app != "-").map(|app| app.replace("%20", " "));
    let mut text = tuple.split(" comment=").next().unwrap_or_default().to_owned();
    text.extend(comment.iter().map(|comment| format!(" # {comment}")));
    text.extend(app.iter().map(|app| format!(" # {app}")));
    Some(Rule {
        family: family.to_owned(),
        table: "ufw".to_owned(),
        chain: chain.to_owned(),
        protocol: if *protocol == "any" { String::new() } else { clip(protocol) },
        from: list(from),
        to: list(to),
        ports: ports_of(ports),
        interface: of("in_"),
        states: Vec::new(),
        action: clip(action),
        // A source port narrows a rule; so does the way out.
        more: *from_ports != "any" || !of("out_").is_empty(),
        text: clip(&text),
    })
}

/// A comment, which is written in hexadecimal digits.
fn text_of(hex: &str) -> Option<String> {
    let digits = |at: usize| u8::from_str_radix(hex.get(2 * at..2 * at + 2)?, 16).ok();
    let bytes: Vec<u8> = (0..hex.len() / 2).map_while(digits).collect();
    let text = String::from_utf8_lossy(&bytes);
    Some(clip(text.trim())).filter(|text| !text.is_empty())
}
