//! CycloneDX 1.4 to 1.6 (ECMA-424). The fields that are read are the same in all three; 1.6 is written.

use std::collections::BTreeMap;

use guardian_inventory::xml::Element;
use serde_json::{Value, json};

use super::{Part, Taking, purl_of};
use crate::limits::IMAGE_LAYERS_MAX;
use crate::report::About;
use crate::scan::{ImageFacts, Layer, Os, Placed, Scanned};
use crate::vex::{self, list, text};

const VERSION: &str = "1.6";
/// Properties in which a component's file is named, ours first, then those of other tools.
const PLACES: &[&str] = &["guardian:place", "aquasecurity:trivy:FilePath", "syft:location:0:path"];
const SOURCES: &[&str] = &["aquasecurity:trivy:SrcName", "syft:metadata:source"];
const SOURCE_VERSIONS: &[&str] = &["guardian:source_version", "syft:metadata:sourceVersion"];

/// Properties in which an image is described: its architecture, how many of its layers it was built upon, and a layer each,
/// as its digest and the step that made it.
const ARCHITECTURE: &str = "guardian:image:architecture";
const BASE_LAYERS: &str = "guardian:image:base-layers";
const LAYER: &str = "guardian:image:layer";

/// Where a component lies, which layer brought it, and whose it is: once for every place.
#[derive(Clone, Copy, Default)]
struct Spot<'a> {
    place: &'a str,
    layer: Option<u32>,
    owner: &'a str,
}

/// The spots of a component by its properties: what stands behind a place of ours belongs to that.
fn spots<'a>(properties: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> Vec<Spot<'a>> {
    let mut spots: Vec<Spot<'a>> = Vec::new();
    for (name, value) in properties.clone() {
        match (name, spots.last_mut()) {
            ("guardian:place", _) => spots.push(Spot { place: value, ..Spot::default() }),
            ("guardian:layer", Some(spot)) => spot.layer = value.parse().ok(),
            ("guardian:owner", Some(spot)) => spot.owner = value,
            _ => {}
        }
    }
    if spots.is_empty() {
        spots.push(Spot { place: named(properties, PLACES), ..Spot::default() });
    }
    spots
}

/// The value of the first of these properties that there is.
fn named<'a>(properties: impl Iterator<Item = (&'a str, &'a str)> + Clone, names: &[&str]) -> &'a str {
    let of = |wanted: &&str| properties.clone().find(|(name, _)| name == wanted).map(|(_, value)| value);
    names.iter().find_map(of).unwrap_or_default()
}

fn properties(component: &Value) -> impl Iterator<Item = (&str, &str)> + Clone {
    let all = component.get("properties").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    all.iter().map(|property| (text(property, "name"), text(property, "value")))
}

/// What a bill says of the image that it is of.
fn describe<'a>(
    scanned: &mut Scanned,
    version: &str,
    made: &str,
    properties: impl Iterator<Item = (&'a str, &'a str)> + Clone,
) {
    scanned.image = ImageFacts {
        digest: if version.starts_with("sha256:") { crate::advisory::clip(version) } else { String::new() },
        architecture: crate::advisory::clip(named(properties.clone(), &[ARCHITECTURE])),
        base_layers: named(properties.clone(), &[BASE_LAYERS]).parse().unwrap_or_default(),
        made_s: seconds(made),
    };
    let layers = properties.filter(|(name, _)| *name == LAYER).take(IMAGE_LAYERS_MAX).map(|(_, value)| {
        let (digest, made_by) = value.split_once(' ').unwrap_or((value, ""));
        Layer { digest: crate::advisory::clip(digest), made_by: crate::advisory::clip(made_by) }
    });
    scanned.layers = layers.collect();
}

/// A time as seconds since the epoch.
pub(super) fn seconds(time: &str) -> Option<i64> {
    time.trim().parse::<jiff::Timestamp>().ok().map(|time| time.as_second())
}

/// The components of a document in JSON, those in others too.
pub(super) fn read(place: &str, bom: &Value) -> Result<Scanned, String> {
    let subject = bom.pointer("/metadata/component").unwrap_or(&Value::Null);
    let mut open: Vec<&Value> = list(bom, "components").collect();
    let os = open.iter().find(|component| text(component, "type") == "operating-system");
    let os = os.map(|component| os_of(text(component, "name"), text(component, "version")));
    let mut taking = Taking::new(place, text(subject, "name"), os);
    while let Some(component) = open.pop() {
        open.extend(list(component, "components"));
        if text(component, "type") == "operating-system" {
            continue;
        }
        let licences = list(component, "licenses").filter_map(|licence| {
            let one = licence.get("license").unwrap_or(licence);
            ["id", "name", "expression"].iter().map(|key| text(one, key)).find(|text| !text.is_empty())
        });
        let licences: Vec<String> = licences.map(crate::advisory::clip).collect();
        for Spot { place, layer, owner } in spots(properties(component)) {
            taking.take(Part {
                purl: text(component, "purl"),
                name: text(component, "name"),
                licences: licences.clone(),
                place,
                source: named(properties(component), SOURCES),
                source_version: named(properties(component), SOURCE_VERSIONS),
                layer,
                owner,
            });
        }
    }
    let mut scanned = taking.done();
    let made = bom.pointer("/metadata/timestamp").and_then(Value::as_str).unwrap_or_default();
    describe(&mut scanned, text(subject, "version"), made, properties(subject));
    scanned.said = vex::cyclonedx::read(bom);
    Ok(scanned)
}

fn os_of(name: &str, version: &str) -> Os {
    Os { id: name.to_owned(), version: version.to_owned(), name: format!("{name} {version}"), ..Os::default() }
}

fn xml_properties(component: &Element) -> impl Iterator<Item = (&str, &str)> + Clone {
    let all = component.child("properties").map(|list| list.children.as_slice()).unwrap_or_default();
    all.iter().map(|property| (property.attribute("name"), property.text.trim()))
}

/// The components of a document in XML.
pub(super) fn read_xml(place: &str, bom: &Element) -> Result<Scanned, String> {
    if bom.name != "bom" {
        return Err("its element is not a bom".to_owned());
    }
    fn all(element: &Element) -> impl Iterator<Item = &Element> {
        element.child("components").into_iter().flat_map(|list| list.all("component"))
    }
    let mut open: Vec<&Element> = all(bom).collect();
    let os = open.iter().find(|component| component.attribute("type") == "operating-system");
    let os = os.map(|component| os_of(component.text_at(&["name"]), component.text_at(&["version"])));
    let mut taking = Taking::new(place, bom.text_at(&["metadata", "component", "name"]), os);
    while let Some(component) = open.pop() {
        open.extend(all(component));
        if component.attribute("type") == "operating-system" {
            continue;
        }
        let licences = component.child("licenses").into_iter().flat_map(|list| &list.children).map(|licence| {
            let named = ["id", "name"].iter().map(|key| licence.text_at(&[key])).find(|text| !text.is_empty());
            crate::advisory::clip(named.unwrap_or(licence.text.trim()))
        });
        let licences: Vec<String> = licences.collect();
        for Spot { place, layer, owner } in spots(xml_properties(component)) {
            taking.take(Part {
                purl: component.text_at(&["purl"]),
                name: component.text_at(&["name"]),
                licences: licences.clone(),
                place,
                source: named(xml_properties(component), SOURCES),
                source_version: named(xml_properties(component), SOURCE_VERSIONS),
                layer,
                owner,
            });
        }
    }
    let mut scanned = taking.done();
    if let Some(subject) = bom.child("metadata").and_then(|metadata| metadata.child("component")) {
        let made = bom.text_at(&["metadata", "timestamp"]);
        describe(&mut scanned, subject.text_at(&["version"]), made, xml_properties(subject));
    }
    scanned.said = vex::cyclonedx::of_xml(bom);
    Ok(scanned)
}

/// What was found as a document in JSON.
pub(crate) fn document(scanned: &Scanned, about: &About<'_>) -> Value {
    let mut components: Vec<Value> = Vec::new();
    if let Some(os) = &scanned.os {
        components.push(json!({
            "type": "operating-system", "bom-ref": "os", "name": os.id, "version": os.version, "description": os.name,
        }));
    }
    // A package is one component however many files name it.
    let mut by_purl: BTreeMap<String, Vec<&Placed>> = BTreeMap::new();
    for placed in &scanned.packages {
        by_purl.entry(purl_of(placed)).or_default().push(placed);
    }
    components.extend(by_purl.iter().filter_map(|(purl, places)| component(purl, places)));
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": VERSION,
        "serialNumber": format!("urn:uuid:{}", about.uuid(&scanned.subject)),
        "version": 1,
        "metadata": {
            "timestamp": about.time(),
            "tools": { "components": [{ "type": "application", "name": "guardian", "version": about.version }] },
            "component": subject(scanned),
        },
        "components": components,
    })
}

/// What the document is of; of an image with what it says of itself.
fn subject(scanned: &Scanned) -> Value {
    let ImageFacts { digest, architecture, base_layers, .. } = &scanned.image;
    let is_image = !scanned.layers.is_empty() || !digest.is_empty();
    let kind = if is_image { "container" } else { "application" };
    let mut value = json!({ "type": kind, "bom-ref": "subject", "name": scanned.subject });
    if !digest.is_empty() {
        value["version"] = json!(digest);
    }
    let mut properties = Vec::new();
    let mut add = |name: &str, text: String| properties.push(json!({ "name": name, "value": text }));
    if !architecture.is_empty() {
        add(ARCHITECTURE, architecture.clone());
    }
    if *base_layers > 0 {
        add(BASE_LAYERS, base_layers.to_string());
    }
    for layer in &scanned.layers {
        add(LAYER, format!("{} {}", layer.digest, layer.made_by).trim_end().to_owned());
    }
    if !properties.is_empty() {
        value["properties"] = json!(properties);
    }
    value
}

fn component(purl: &str, places: &[&Placed]) -> Option<Value> {
    let placed = places.first()?;
    let component = &placed.component;
    let (group, name) = match component.ecosystem.family() {
        "maven" => component.name.split_once(':').unwrap_or(("", &component.name)),
        "npm" | "composer" => component.name.rsplit_once('/').unwrap_or(("", &component.name)),
        _ => ("", component.name.as_str()),
    };
    let mut value = json!({
        "type": "library", "bom-ref": purl, "name": name, "version": component.version, "purl": purl,
    });
    if !group.is_empty() {
        value["group"] = json!(group);
    }
    if !placed.licences.is_empty() {
        value["licenses"] = placed.licences.iter().map(|name| json!({ "license": { "name": name } })).collect();
    }
    let mut properties = Vec::new();
    for placed in places {
        properties.push(json!({ "name": "guardian:place", "value": placed.place }));
        if let Some(layer) = placed.layer {
            properties.push(json!({ "name": "guardian:layer", "value": layer.to_string() }));
        }
        if let Some(owner) = &placed.owner {
            properties.push(json!({ "name": "guardian:owner", "value": owner }));
        }
    }
    value["properties"] = json!(properties);
    Some(value)
}

/// A document as XML: the same content, in the order that the schema wants.
pub(super) fn write_xml(bom: &Value) -> String {
    let mut out = Xml(String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"));
    let head = format!("<bom xmlns=\"http://cyclonedx.org/schema/bom/{VERSION}\" serialNumber=\"");
    out.0.push_str(&head);
    out.escaped(text(bom, "serialNumber"));
    out.0.push_str("\" version=\"1\">\n<metadata>\n");
    out.element("timestamp", bom.pointer("/metadata/timestamp"));
    out.0.push_str("<tools>\n<components>\n");
    let tools = bom.pointer("/metadata/tools/components").and_then(Value::as_array);
    tools.into_iter().flatten().for_each(|tool| out.component(tool));
    out.0.push_str("</components>\n</tools>\n");
    bom.pointer("/metadata/component").into_iter().for_each(|subject| out.component(subject));
    out.0.push_str("</metadata>\n<components>\n");
    list(bom, "components").for_each(|component| out.component(component));
    out.0.push_str("</components>\n</bom>\n");
    out.0
}

struct Xml(String);

impl Xml {
    fn escaped(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                // XML 1.0 has no place for other control characters.
                c if c.is_control() && !matches!(c, '\n' | '\t') => self.0.push('\u{fffd}'),
                c => self.0.push(c),
            }
        }
    }

    fn element(&mut self, name: &str, value: Option<&Value>) {
        if let Some(text) = value.and_then(Value::as_str).filter(|text| !text.is_empty()) {
            self.0.push_str(&format!("<{name}>"));
            self.escaped(text);
            self.0.push_str(&format!("</{name}>\n"));
        }
    }

    fn component(&mut self, component: &Value) {
        self.0.push_str(&format!("<component type=\"{}\"", text(component, "type")));
        if component.get("bom-ref").is_some() {
            self.0.push_str(" bom-ref=\"");
            self.escaped(text(component, "bom-ref"));
            self.0.push('"');
        }
        self.0.push_str(">\n");
        for name in ["group", "name", "version", "description"] {
            self.element(name, component.get(name));
        }
        if component.get("licenses").is_some() {
            self.0.push_str("<licenses>");
            for licence in list(component, "licenses") {
                self.0.push_str("<license>");
                self.element("name", licence.pointer("/license/name"));
                self.0.push_str("</license>");
            }
            self.0.push_str("</licenses>\n");
        }
        self.element("purl", component.get("purl"));
        if component.get("properties").is_some() {
            self.0.push_str("<properties>\n");
            for property in list(component, "properties") {
                self.0.push_str("<property name=\"");
                self.escaped(text(property, "name"));
                self.0.push_str("\">");
                self.escaped(text(property, "value"));
                self.0.push_str("</property>\n");
            }
            self.0.push_str("</properties>\n");
        }
        self.0.push_str("</component>\n");
    }
}
