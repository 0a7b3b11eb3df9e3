//! What firewalld was told: zones (firewalld.zone(5)) with their rich rules (firewalld.richlanguage(5)), and the services that are
//! named in them (firewalld.service(5)).

use serde::Serialize;

use super::{Rule, Ruleset};
use crate::limits::LIST_MAX;
use crate::text::{clip, lines};
use crate::xml::{Element, parse as parse_xml};

/// A zone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Zone {
    /// What becomes of what nothing names: default, ACCEPT, DROP or REJECT.
    pub target: String,
    /// Services that are let in, by name.
    pub services: Vec<String>,
    /// Ports that are let in.
    pub ports: Vec<String>,
    /// Ports of others that are let in, wherever they lead.
    pub source_ports: Vec<String>,
    /// Protocols that are let in.
    pub protocols: Vec<String>,
    /// Its interfaces.
    pub interfaces: Vec<String>,
    /// Its networks.
    pub sources: Vec<String>,
    /// Where ports lead elsewhere.
    pub forward_ports: Vec<String>,
    /// Kinds of ICMP that are kept out.
    pub icmp_blocks: Vec<String>,
    /// Whether addresses are translated on the way out.
    pub masquerade: bool,
    /// Whether packets are passed on between its interfaces.
    pub forward: bool,
    /// Its rich rules.
    pub rich: Vec<Rich>,
}

/// A rich rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rich {
    /// As the language says it.
    pub text: String,
    /// accept, drop, reject, mark, or what it does instead of these: masquerade, forward-port; empty where it only logs.
    pub action: String,
    /// ipv4 or ipv6; empty for both.
    pub family: String,
    /// The network it is about; empty for all.
    pub source: String,
    /// Whether it is about all but that network, or has conditions that are not here.
    pub more: bool,
    /// The service it is about; empty for none.
    pub service: String,
    /// The port it is about, and its protocol; empty for none.
    pub port: String,
}

fn port_of(element: &Element) -> String {
    format!("{}/{}", clip(element.attribute("port")), clip(element.attribute("protocol")))
}

/// The zone of one file.
pub fn parse(file: &[u8]) -> Zone {
    let Ok(root) = parse_xml(file) else { return Zone::default() };
    let mut zone = Zone { target: clip(root.attribute("target")), ..Zone::default() };
    for element in &root.children {
        let name = || clip(element.attribute("name"));
        let (list, value) = match element.name.as_str() {
            "service" => (&mut zone.services, name()),
            "port" => (&mut zone.ports, port_of(element)),
            "source-port" => (&mut zone.source_ports, port_of(element)),
            "protocol" => (&mut zone.protocols, clip(element.attribute("value"))),
            "interface" => (&mut zone.interfaces, name()),
            "source" => (&mut zone.sources, source(element)),
            "forward-port" => (&mut zone.forward_ports, forward_port(element)),
            "icmp-block" => (&mut zone.icmp_blocks, name()),
            "masquerade" => {
                zone.masquerade = true;
                continue;
            }
            "forward" => {
                zone.forward = true;
                continue;
            }
            "rule" => {
                if zone.rich.len() < LIST_MAX {
                    zone.rich.push(rich(element));
                }
                continue;
            }
            _ => continue,
        };
        if list.len() < LIST_MAX && !value.is_empty() {
            list.push(value);
        }
    }
    zone
}

fn source(element: &Element) -> String {
    let of = |name| Some(element.attribute(name)).filter(|value| !value.is_empty()).map(clip);
    let set = of("ipset").map(|name| format!("ipset:{name}"));
    of("address").or(set).or_else(|| of("mac")).unwrap_or_default()
}

fn forward_port(element: &Element) -> String {
    let to = [element.attribute("to-addr"), element.attribute("to-port")];
    format!("{} to {}", port_of(element), clip(to.join(":").trim_matches(':')))
}

fn rich(rule: &Element) -> Rich {
    let mut rich = Rich { family: clip(rule.attribute("family")), ..Rich::default() };
    let mut words = vec!["rule".to_owned()];
    words.extend(said(&rule.attributes));
    for element in rule.children.iter().take(LIST_MAX) {
        words.push(clip(&element.name));
        words.extend(said(&element.attributes));
        for inner in element.children.iter().take(LIST_MAX) {
            words.push(clip(&inner.name));
            words.extend(said(&inner.attributes));
        }
        match element.name.as_str() {
            "source" => {
                rich.source = source(element);
                rich.more |= element.attribute("invert").eq_ignore_ascii_case("true")
                    || element.attribute("invert").eq_ignore_ascii_case("yes");
            }
            "service" => rich.service = clip(element.attribute("name")),
            "port" => rich.port = port_of(element),
            "accept" | "drop" | "reject" | "mark" | "masquerade" | "forward-port" => {
                rich.action.clone_from(&element.name)
            }
            "log" | "audit" | "nflog" => {}
            _ => rich.more = true,
        }
    }
    rich.text = clip(&words.join(" "));
    rich
}

fn said(attributes: &[(String, String)]) -> Vec<String> {
    attributes.iter().take(LIST_MAX).map(|(name, value)| format!("{}=\"{}\"", clip(name), clip(value))).collect()
}

/// A service: its ports, and other services that belong to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// Ports with their protocols.
    pub ports: Vec<String>,
    /// Names of services.
    pub includes: Vec<String>,
}

/// The service of one file.
pub fn parse_service(file: &[u8]) -> Service {
    let Ok(root) = parse_xml(file) else { return Service::default() };
    Service {
        ports: root.all("port").take(LIST_MAX).map(port_of).collect(),
        includes: root.all("include").take(LIST_MAX).map(|e| clip(e.attribute("service"))).collect(),
    }
}

/// The zone of what is in no other: from `firewalld.conf`.
pub fn default_zone(file: &[u8]) -> String {
    let zone = lines(file).find_map(|(_, line)| line.trim().strip_prefix("DefaultZone=").map(|zone| clip(zone.trim())));
    zone.filter(|zone| !zone.is_empty()).unwrap_or_else(|| "public".to_owned())
}

impl Zone {
    /// What the zone lets in, as rules of its own table: `ports_of` says which ports a service has.
    pub fn rules(&self, name: &str, mut ports_of: impl FnMut(&str) -> Vec<String>) -> Ruleset {
        let mut ruleset = Ruleset::default();
        let base = |from: Vec<String>, action: &str, text: &str| Rule {
            table: "firewalld".to_owned(),
            chain: name.to_owned(),
            from,
            action: action.to_owned(),
            text: clip(text),
            ..Rule::default()
        };
        let here = || self.sources.clone();
        if self.target == "ACCEPT" {
            let interface = self.interfaces.join(",");
            ruleset.push(Rule { interface, ..base(here(), "accept", "target ACCEPT") });
        }
        for service in &self.services {
            for (protocol, ports) in by_protocol(&ports_of(service)) {
                let rule = base(here(), "accept", &format!("service {service}"));
                ruleset.push(Rule { protocol, ports, ..rule });
            }
        }
        for (protocol, ports) in by_protocol(&self.ports) {
            ruleset.push(Rule { protocol, ports, ..base(here(), "accept", "ports") });
        }
        for protocol in &self.protocols {
            let rule = base(here(), "accept", &format!("protocol {protocol}"));
            ruleset.push(Rule { protocol: protocol.clone(), ..rule });
        }
        for rich in &self.rich {
            let from = if rich.source.is_empty() { here() } else { vec![rich.source.clone()] };
            let mut ports = if rich.service.is_empty() { Vec::new() } else { ports_of(&rich.service) };
            ports.extend(Some(rich.port.clone()).filter(|port| !port.is_empty()));
            let family = match rich.family.as_str() {
                "ipv4" => "ip",
                "ipv6" => "ip6",
                _ => "",
            };
            let rule = Rule { family: family.to_owned(), more: rich.more, ..base(from, &rich.action, &rich.text) };
            if ports.is_empty() {
                ruleset.push(rule);
            } else {
                let all = by_protocol(&ports);
                all.into_iter().for_each(|(protocol, ports)| ruleset.push(Rule { protocol, ports, ..rule.clone() }));
            }
        }
        ruleset
    }
}

/// `80/tcp` and the like, by their protocols.
fn by_protocol(ports: &[String]) -> Vec<(String, Vec<String>)> {
    let mut all: Vec<(String, Vec<String>)> = Vec::new();
    for (port, protocol) in ports.iter().filter_map(|port| port.split_once('/')) {
        match all.iter_mut().find(|(known, _)| known == protocol) {
            Some((_, list)) => list.push(port.to_owned()),
            None => all.push((protocol.to_owned(), vec![port.to_owned()])),
        }
    }
    all
}
