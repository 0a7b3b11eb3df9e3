//! Zones of firewalld (firewalld.zone(5)): small files whose elements have their meaning in their attributes.

use serde::Serialize;

use crate::limits::LIST_MAX;
use crate::text::{clip, lossy};

/// A zone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Zone {
    /// What becomes of what nothing names: default, ACCEPT, DROP or REJECT.
    pub target: String,
    /// Services that are let in, by name.
    pub services: Vec<String>,
    /// Ports that are let in.
    pub ports: Vec<String>,
    /// Its interfaces.
    pub interfaces: Vec<String>,
    /// Its networks.
    pub sources: Vec<String>,
    /// Whether addresses are translated on the way out.
    pub masquerade: bool,
}

/// The zone of one file.
pub fn parse(file: &[u8]) -> Zone {
    let text = lossy(file);
    let mut zone = Zone::default();
    let mut rich = false;
    for element in text.split('<').skip(1) {
        let element = element.split('>').next().unwrap_or_default();
        let name = element.split([' ', '\t', '\n', '/']).next().unwrap_or_default();
        let of = |attribute: &str| {
            let (_, rest) = element.split_once(&format!("{attribute}=\""))?;
            rest.split('"').next().map(clip)
        };
        let add = |list: &mut Vec<String>, value: Option<String>| {
            if list.len() < LIST_MAX {
                list.extend(value);
            }
        };
        match name {
            "zone" => zone.target = of("target").unwrap_or_default(),
            // What stands within a rule is its condition.
            "rule" => rich = true,
            "service" if !rich => add(&mut zone.services, of("name")),
            "port" if !rich => {
                let port = of("port").map(|port| format!("{port}/{}", of("protocol").unwrap_or_default()));
                add(&mut zone.ports, port);
            }
            "interface" => add(&mut zone.interfaces, of("name")),
            "source" if !rich => add(&mut zone.sources, of("address").or_else(|| of("ipset"))),
            "masquerade" if !rich => zone.masquerade = true,
            _ if element.starts_with("/rule") => rich = false,
            _ => {}
        }
    }
    zone
}
