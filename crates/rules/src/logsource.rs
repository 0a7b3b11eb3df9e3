//! Which telemetry class a Sigma logsource means. Adding a class is one line in [`ALL`].

use guardian_model::{Class, FLOW};

use crate::document::LogSource;

/// One mapping: every part that is given must be among the parts of the rule's logsource, and the rule may name
/// nothing else.
struct Mapping {
    categories: &'static [&'static str],
    products: &'static [&'static str],
    services: &'static [&'static str],
    class: &'static Class,
}

/// All mappings, first match wins.
const ALL: &[Mapping] = &[
    Mapping {
        categories: &["network_connection", "firewall", "netflow", "flow"],
        products: &["guardian"],
        services: &["flow"],
        class: &FLOW,
    },
    Mapping { categories: &["network_connection"], products: &["zeek"], services: &["conn"], class: &FLOW },
];

/// The class, or an explanation of what is mapped.
pub(crate) fn class_of(source: &LogSource) -> Result<&'static Class, String> {
    let fits = |part: &Option<String>, known: &[&str]| {
        part.as_ref().is_none_or(|p| known.iter().any(|k| k.eq_ignore_ascii_case(p)))
    };
    let empty = source.category.is_none() && source.product.is_none() && source.service.is_none();
    let found = ALL.iter().find(|m| {
        fits(&source.category, m.categories) && fits(&source.product, m.products) && fits(&source.service, m.services)
    });
    // A product alone says nothing about the kind of event.
    let product_alone = source.category.is_none() && source.service.is_none();
    match found {
        Some(mapping) if !empty && !product_alone => Ok(mapping.class),
        _ => Err("flows are `category: network_connection` or `firewall`, or `product: guardian` with `service: flow`"
            .to_owned()),
    }
}

/// The logsource in words.
pub(crate) fn words(source: &LogSource) -> String {
    let parts = [("category", &source.category), ("product", &source.product), ("service", &source.service)];
    let given: Vec<_> = parts.iter().filter_map(|(k, v)| v.as_ref().map(|v| format!("{k}: {v}"))).collect();
    if given.is_empty() { "an empty logsource".to_owned() } else { format!("`{}`", given.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::class_of;
    use crate::document::LogSource;

    #[test]
    fn mapped_and_unmapped() {
        let source = |category: &str, product: &str, service: &str| {
            let part = |t: &str| (!t.is_empty()).then(|| t.to_owned());
            LogSource {
                category: part(category),
                product: part(product),
                service: part(service),
                ..LogSource::default()
            }
        };
        let cases = [
            (("network_connection", "", ""), true),
            (("firewall", "", ""), true),
            (("network_connection", "guardian", "flow"), true),
            (("", "guardian", "flow"), true),
            (("", "zeek", "conn"), true),
            (("network_connection", "windows", ""), false),
            (("process_creation", "windows", ""), false),
            (("", "guardian", ""), false),
            (("", "", ""), false),
        ];
        for ((category, product, service), mapped) in cases {
            assert_eq!(class_of(&source(category, product, service)).is_ok(), mapped, "{category}/{product}/{service}");
        }
    }
}
