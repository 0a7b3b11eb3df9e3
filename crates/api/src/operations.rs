//! What all operations of the OpenAPI document have in common: names and answers. Handlers are named for their file
//! (`list`, `detail`), which repeats; OpenAPI wants each operation's id once, and generated clients depend on it.

use serde_json::Value;
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{ArrayItems, KnownFormat, Schema, SchemaFormat, Type};
use utoipa::openapi::{
    Content, ContentBuilder, ObjectBuilder, OpenApi, PathItem, Ref, RefOr, Required, Response, ResponseBuilder,
};

/// The extension that says which permission an operation asks for: its name, `session` for anybody who signed in, or
/// `public`.
const PERMISSION: &str = "x-permission";

/// What all paths begin with.
const PREFIX: &str = "/api/v1/";

/// The document as it is served.
pub(crate) fn finished(document: OpenApi) -> OpenApi {
    answered(named(document))
}

/// Documents what every operation may answer beside its own: that nobody is signed in, and that something is wrong.
fn answered(mut document: OpenApi) -> OpenApi {
    let problem = |text: &str| {
        let schema = Ref::from_schema_name("Problem");
        let content = ContentBuilder::new().schema(Some(schema)).build();
        RefOr::T(ResponseBuilder::new().description(text).content("application/problem+json", content).build())
    };
    for item in document.paths.paths.values_mut() {
        for operation in operations(item).into_iter().filter_map(|(_, operation)| operation.as_mut()) {
            let answers = &mut operation.responses.responses;
            answers.iter_mut().for_each(|(status, answer)| describe(status, answer));
            if let Some(RefOr::T(body)) = &mut operation.request_body {
                // An empty file is a file.
                if body.content.keys().all(|kind| kind == "application/octet-stream") {
                    body.required = Some(Required::False);
                }
                body.content.iter_mut().for_each(|(kind, content)| describe_bytes(kind, content));
            }
            let parameters = operation.parameters.iter_mut().flatten();
            for parameter in parameters {
                if let RefOr::T(parameter) = parameter
                    && let Some(schema) = &mut parameter.schema
                {
                    unbound(schema);
                }
            }
            let named = operation.extensions.as_ref().and_then(|all| all.get(PERMISSION));
            if named.is_none_or(|name| name != "public") {
                answers.entry("401".to_owned()).or_insert_with(|| problem("Nobody is signed in"));
            }
            answers.entry("default".to_owned()).or_insert_with(|| problem("Something is wrong; the type says what"));
        }
    }
    if let Some(components) = &mut document.components {
        components.schemas.values_mut().for_each(unbound);
    }
    document
}

/// What handlers say by the type of a body alone: that a problem is one (RFC 9457), and that bytes are not a list of
/// numbers.
fn describe(status: &str, answer: &mut RefOr<Response>) {
    let RefOr::T(answer) = answer else { return };
    if status.starts_with(['4', '5'])
        && let Some(content) = answer.content.shift_remove("application/json")
    {
        answer.content.insert("application/problem+json".to_owned(), content);
    }
    answer.content.iter_mut().for_each(|(kind, content)| describe_bytes(kind, content));
}

/// Gives a body that is no text the schema of one.
fn describe_bytes(kind: &str, content: &mut RefOr<Content>) {
    if let RefOr::T(content) = content
        && !kind.ends_with("json")
        && !kind.starts_with("text/")
    {
        let bytes =
            ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)));
        content.schema = Some(bytes.into());
    }
}

/// Takes the bounds off whole numbers that have none: what the handlers call unsigned goes beyond what `int64` says.
fn unbound(schema: &mut RefOr<Schema>) {
    let RefOr::T(schema) = schema else { return };
    match schema {
        Schema::Object(object) => {
            let long = matches!(object.format, Some(SchemaFormat::KnownFormat(KnownFormat::Int64)));
            if long && object.minimum.is_some() {
                object.format = None;
            }
            object.properties.values_mut().for_each(unbound);
        }
        Schema::Array(array) => {
            if let ArrayItems::RefOrSchema(items) = &mut array.items {
                unbound(items);
            }
        }
        Schema::OneOf(one) => one.items.iter_mut().for_each(unbound),
        Schema::AllOf(all) => all.items.iter_mut().for_each(unbound),
        Schema::AnyOf(any) => any.items.iter_mut().for_each(unbound),
        _ => {}
    }
}

/// Gives every operation the id that its method and path make: `post_alerts_id_close`.
fn named(mut document: OpenApi) -> OpenApi {
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            if let Some(operation) = operation {
                operation.operation_id = Some(id(method, path));
            }
        }
    }
    document
}

fn operations(item: &mut PathItem) -> [(&'static str, &mut Option<Operation>); 5] {
    [
        ("get", &mut item.get),
        ("put", &mut item.put),
        ("post", &mut item.post),
        ("patch", &mut item.patch),
        ("delete", &mut item.delete),
    ]
}

fn id(method: &str, path: &str) -> String {
    let words = path.strip_prefix(PREFIX).unwrap_or(path).split(|c: char| !c.is_ascii_alphanumeric());
    [method].into_iter().chain(words.filter(|word| !word.is_empty())).collect::<Vec<_>>().join("_")
}

/// Puts the extensions of each object in the order of their names: utoipa keeps them in a hash map, and the same program
/// must always print the same document.
pub(crate) fn order_extensions(value: &mut Value) {
    match value {
        Value::Object(map) => {
            let members = std::mem::take(map).into_iter();
            let (mut extensions, others): (Vec<_>, Vec<_>) = members.partition(|(name, _)| name.starts_with("x-"));
            extensions.sort_by(|a, b| a.0.cmp(&b.0));
            map.extend(others.into_iter().chain(extensions));
            map.values_mut().for_each(order_extensions);
        }
        Value::Array(items) => items.iter_mut().for_each(order_extensions),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    /// Two resources that call different shapes by one name would overwrite each other in the document, silently.
    #[test]
    fn a_name_stands_for_one_shape() {
        let mut seen = BTreeMap::new();
        for routes in crate::resources::ALL {
            let (_, document) = routes().split_for_parts();
            for (name, schema) in document.components.unwrap_or_default().schemas {
                let shape = serde_json::to_string(&schema).unwrap();
                let first = seen.entry(name.clone()).or_insert_with(|| shape.clone());
                assert_eq!(*first, shape, "two shapes are called {name}");
            }
        }
        assert!(seen.contains_key("Problem"), "{:?}", seen.keys());
    }

    #[test]
    fn every_operation_has_an_id_of_its_own() {
        let mut document = crate::openapi();
        let mut seen = BTreeSet::new();
        for item in document.paths.paths.values_mut() {
            for (_, operation) in super::operations(item) {
                if let Some(id) = operation.as_ref().and_then(|o| o.operation_id.clone()) {
                    assert!(seen.insert(id.clone()), "{id} twice");
                }
            }
        }
        assert!(seen.contains("post_alerts_id_close"), "{seen:?}");
    }
}
