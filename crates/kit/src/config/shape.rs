//! What the JSON schema says about a place in the configuration, with references and alternatives merged.

use serde_json::Value as Json;

/// References followed at one place before giving up; a schema that nests deeper is a recursive type.
const REFERENCES_MAX: usize = 16;

/// The schema of a whole configuration.
#[derive(Debug)]
pub(super) struct Schema {
    root: Json,
}

/// What may stand at one place.
#[derive(Clone, Debug, Default)]
pub(super) struct Shape<'a> {
    /// Keys of a struct, in the order of declaration.
    pub(super) properties: Vec<(&'a str, &'a Json)>,
    pub(super) required: Vec<&'a str>,
    /// Schema of the values of a free-form map.
    pub(super) values: Option<&'a Json>,
    /// Schema of the items of a list.
    pub(super) items: Option<&'a Json>,
    pub(super) types: Vec<&'a str>,
    /// The texts to choose from, with their meaning.
    pub(super) choices: Vec<(&'a str, &'a str)>,
    pub(super) format: Option<&'a str>,
    pub(super) minimum: Option<f64>,
    pub(super) maximum: Option<f64>,
    pub(super) doc: &'a str,
    pub(super) default: Option<&'a Json>,
}

impl Schema {
    pub(super) fn new(root: Json) -> Self {
        Self { root }
    }

    pub(super) fn root(&self) -> Shape<'_> {
        self.shape(&self.root)
    }

    pub(super) fn shape<'a>(&'a self, schema: &'a Json) -> Shape<'a> {
        let mut shape = Shape::default();
        self.merge(schema, &mut shape, 0);
        shape
    }

    fn merge<'a>(&'a self, schema: &'a Json, shape: &mut Shape<'a>, depth: usize) {
        let Some(object) = schema.as_object().filter(|_| depth < REFERENCES_MAX) else { return };
        // What stands beside a reference describes the use and goes before what describes the type.
        if shape.doc.is_empty() {
            shape.doc = object.get("description").and_then(Json::as_str).unwrap_or("");
        }
        shape.default = shape.default.or_else(|| object.get("default"));
        shape.format = shape.format.or_else(|| object.get("format").and_then(Json::as_str));
        shape.minimum = shape.minimum.or_else(|| object.get("minimum").and_then(Json::as_f64));
        shape.maximum = shape.maximum.or_else(|| object.get("maximum").and_then(Json::as_f64));
        shape.items = shape.items.or_else(|| object.get("items"));
        shape.values = shape.values.or_else(|| object.get("additionalProperties").filter(|v| v.is_object()));
        match object.get("type") {
            Some(Json::String(name)) => shape.types.push(name),
            Some(Json::Array(names)) => shape.types.extend(names.iter().filter_map(Json::as_str)),
            _ => {}
        }
        let doc = object.get("description").and_then(Json::as_str).unwrap_or("");
        shape.choices.extend(object.get("const").and_then(Json::as_str).map(|c| (c, doc)));
        let listed = object.get("enum").and_then(Json::as_array).into_iter().flatten();
        shape.choices.extend(listed.filter_map(Json::as_str).map(|c| (c, "")));
        if let Some(properties) = object.get("properties").and_then(Json::as_object) {
            for (key, value) in properties {
                if !shape.properties.iter().any(|(known, _)| known == key) {
                    shape.properties.push((key, value));
                }
            }
        }
        let required = object.get("required").and_then(Json::as_array).into_iter().flatten();
        shape.required.extend(required.filter_map(Json::as_str));
        if let Some(name) = object.get("$ref").and_then(Json::as_str)
            && let Some(target) = name.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer))
        {
            self.merge(target, shape, depth + 1);
        }
        for keyword in ["allOf", "oneOf", "anyOf"] {
            for part in object.get(keyword).and_then(Json::as_array).into_iter().flatten() {
                let own = std::mem::take(&mut shape.doc);
                self.merge(part, shape, depth + 1);
                // A branch of an enum must not lend its text to the whole, a lone reference may.
                if !own.is_empty() || keyword == "oneOf" {
                    shape.doc = own;
                }
            }
        }
    }
}

impl Shape<'_> {
    /// Whether it is a struct or a map, and nothing simpler.
    pub(super) fn is_section(&self) -> bool {
        (!self.properties.is_empty() || self.values.is_some())
            && !self.types.iter().any(|t| matches!(*t, "string" | "integer" | "number" | "boolean" | "array"))
            && self.choices.is_empty()
    }

    pub(super) fn is_secret(&self) -> bool {
        self.format == Some("secret")
    }

    pub(super) fn nullable(&self) -> bool {
        self.types.contains(&"null") || self.types.is_empty()
    }

    fn has(&self, name: &str) -> bool {
        self.types.contains(&name)
    }

    /// What is expected here, for messages: "an integer from 1 to 64".
    pub(super) fn expected(&self) -> String {
        if !self.choices.is_empty() && self.properties.is_empty() {
            let choices: Vec<&str> = self.choices.iter().map(|(c, _)| *c).collect();
            return if choices.len() == 1 { choices.join("") } else { format!("one of {}", choices.join(", ")) };
        }
        match self.format {
            Some("duration") => return "a duration such as 250ms, 5m or 90d".to_owned(),
            Some("size") => return "a size such as 10 GiB, 500MB or 65536".to_owned(),
            _ => {}
        }
        let range = match (self.minimum, self.maximum) {
            (Some(min), Some(max)) => format!(" from {min} to {max}"),
            (Some(min), None) => format!(" of at least {min}"),
            (None, Some(max)) => format!(" of at most {max}"),
            (None, None) => String::new(),
        };
        if self.has("integer") {
            format!("a whole number{range}")
        } else if self.has("number") {
            format!("a number{range}")
        } else if self.has("boolean") {
            "true or false".to_owned()
        } else if self.has("array") {
            "a list".to_owned()
        } else if self.has("string") {
            "text".to_owned()
        } else {
            "keys with values".to_owned()
        }
    }

    /// The type's name in the reference.
    pub(super) fn type_name(&self, schema: &Schema) -> String {
        if !self.choices.is_empty() && self.properties.is_empty() {
            return self.choices.iter().map(|(c, _)| format!("`{c}`")).collect::<Vec<_>>().join(", ");
        }
        match self.format {
            Some("duration") => return "duration".to_owned(),
            Some("size") => return "size".to_owned(),
            Some("secret") => return "secret".to_owned(),
            _ => {}
        }
        let (min, max) = (self.minimum, self.maximum.filter(|m| *m < 1e15));
        let range = match (min, max) {
            (Some(min), Some(max)) => format!(" {min}–{max}"),
            (Some(min), None) if min > 0.0 => format!(" ≥ {min}"),
            (None, Some(max)) => format!(" ≤ {max}"),
            _ => String::new(),
        };
        match self.types.iter().find(|t| **t != "null") {
            Some(&"integer") => format!("integer{range}"),
            Some(&"number") => format!("number{range}"),
            Some(&"array") => {
                let items = self.items.map(|items| schema.shape(items).type_name(schema));
                format!("list of {}", items.unwrap_or_else(|| "values".to_owned()))
            }
            Some(&"string") => "text".to_owned(),
            Some(&"object") => "keys".to_owned(),
            Some(other) => (*other).to_owned(),
            None => "value".to_owned(),
        }
    }
}
