//! Which telemetry class a Sigma logsource means, and which rows of it. Adding one is one line in [`ALL`].

use guardian_model::{CHANGE, CONNECTION, Class, FILE, FLOW, HEALTH, LOG, LOGIN, PROCESS};

use crate::document::LogSource;

/// Rows whose label is one of some.
type Only = (&'static str, &'static [&'static str]);

/// What a logsource stands for.
#[derive(Clone, Copy)]
pub(crate) struct Source {
    pub(crate) class: &'static Class,
    /// The column and the values that a row must have, whatever the rule says.
    pub(crate) only: Option<Only>,
}

/// One mapping: every part of the rule's logsource must be among the parts that are given here, and the rule may name
/// nothing else.
struct Mapping {
    categories: &'static [&'static str],
    products: &'static [&'static str],
    services: &'static [&'static str],
    class: &'static Class,
    only: Option<Only>,
}

const fn category(categories: &'static [&'static str], class: &'static Class, only: Option<Only>) -> Mapping {
    Mapping { categories, products: HOSTS, services: &[], class, only }
}

const fn service(services: &'static [&'static str], class: &'static Class, only: Option<Only>) -> Mapping {
    Mapping { categories: &[], products: HOSTS, services, class, only }
}

/// What our agents stand for.
const HOSTS: &[&str] = &["linux", "guardian"];
/// Programs that decide who gets in.
const AUTH: &[&str] = &[
    "sshd",
    "sshd-session",
    "sshd-auth",
    "sudo",
    "su",
    "login",
    "systemd-logind",
    "passwd",
    "useradd",
    "userdel",
    "usermod",
    "groupadd",
    "gpasswd",
    "chage",
    "polkitd",
    "pkexec",
    "doas",
];

/// All mappings, first match wins.
const ALL: &[Mapping] = &[
    Mapping {
        categories: &["network_connection", "firewall", "netflow", "flow"],
        products: &["guardian"],
        services: &["flow"],
        class: &FLOW,
        only: None,
    },
    Mapping { categories: &["network_connection"], products: &["zeek"], services: &["conn"], class: &FLOW, only: None },
    category(&["network_connection"], &CONNECTION, Some(("activity", &["open"]))),
    category(&["process_creation"], &PROCESS, Some(("activity", &["exec"]))),
    category(&["process_termination"], &PROCESS, Some(("activity", &["exit"]))),
    category(&["process_access"], &PROCESS, Some(("activity", &["trace"]))),
    category(&["file_event"], &FILE, Some(("activity", &["create", "modify", "rename"]))),
    category(&["file_change"], &FILE, Some(("activity", &["modify"]))),
    category(&["file_delete"], &FILE, Some(("activity", &["delete"]))),
    category(&["file_rename"], &FILE, Some(("activity", &["rename"]))),
    category(&["authentication"], &LOGIN, None),
    service(&["process", "processes"], &PROCESS, None),
    service(&["file", "files"], &FILE, None),
    service(&["connection", "connections"], &CONNECTION, None),
    service(&["login", "logins"], &LOGIN, None),
    service(&["health"], &HEALTH, None),
    service(&["change", "changes", "inventory"], &CHANGE, None),
    service(&["syslog", "journal", "log", "logs"], &LOG, None),
    service(&["auditd", "audit"], &LOG, Some(("source", &["audit"]))),
    service(&["auth", "authpriv"], &LOG, Some(("program", AUTH))),
    service(&["sshd", "ssh"], &LOG, Some(("program", &["sshd", "sshd-session", "sshd-auth"]))),
    service(&["sudo"], &LOG, Some(("program", &["sudo"]))),
    service(&["su"], &LOG, Some(("program", &["su"]))),
    service(&["cron"], &LOG, Some(("program", &["cron", "CRON", "crond", "crontab", "anacron"]))),
    service(&["systemd"], &LOG, Some(("program", &["systemd"]))),
    service(&["kernel"], &LOG, Some(("program", &["kernel"]))),
    service(&["clamav"], &LOG, Some(("program", &["clamd", "freshclam", "clamav-daemon"]))),
    service(&["vsftpd"], &LOG, Some(("program", &["vsftpd"]))),
];

/// The class and rows, or an explanation of what is mapped.
pub(crate) fn find(source: &LogSource) -> Result<Source, String> {
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
        Some(mapping) if !empty && !product_alone => Ok(Source { class: mapping.class, only: mapping.only }),
        _ => {
            Err("flows are `category: network_connection` or `firewall`, or `product: guardian` with `service: flow`; \
                  hosts are `product: linux` with a category such as `process_creation`, `file_event`, \
                  `network_connection` or `authentication`, or a service such as `auth`, `sshd`, `auditd` or `syslog`"
                .to_owned())
        }
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
    use super::{ALL, find};
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
            (("network_connection", "", ""), "flows"),
            (("firewall", "", ""), "flows"),
            (("network_connection", "guardian", "flow"), "flows"),
            (("", "guardian", "flow"), "flows"),
            (("", "zeek", "conn"), "flows"),
            (("network_connection", "linux", ""), "connections"),
            (("process_creation", "linux", ""), "processes"),
            (("process_creation", "", ""), "processes"),
            (("file_event", "linux", ""), "files"),
            (("authentication", "", ""), "logins"),
            (("", "linux", "auth"), "logs"),
            (("", "linux", "sshd"), "logs"),
            (("", "linux", "auditd"), "logs"),
            (("", "linux", "syslog"), "logs"),
            (("", "guardian", "health"), "health"),
            (("network_connection", "windows", ""), ""),
            (("process_creation", "windows", ""), ""),
            (("process_creation", "linux", "auditd"), ""),
            (("", "guardian", ""), ""),
            (("", "linux", ""), ""),
            (("", "", ""), ""),
        ];
        for ((category, product, service), class) in cases {
            let found = find(&source(category, product, service)).map_or("", |source| source.class.name);
            assert_eq!(found, class, "{category}/{product}/{service}");
        }
    }

    #[test]
    fn columns_that_choose_rows_exist() {
        for mapping in ALL {
            if let Some((column, _)) = mapping.only {
                let at = mapping.class.index_of(column).unwrap();
                assert_eq!(mapping.class.fields[at].kind, guardian_model::Kind::Label, "{column}");
            }
        }
    }
}
