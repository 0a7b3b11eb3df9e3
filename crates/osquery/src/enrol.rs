//! Enrolment: the secret that everybody has who may come in, and what the machine says of itself.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{Malformed, limits, name, read, text_of};

/// A machine that wants to come in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Enrol {
    /// What it was given to show.
    pub secret: String,
    /// What it is called: its host name, or else the identifier that it chose.
    pub name: String,
    /// linux, windows or other.
    pub platform: String,
    /// Distribution and release.
    pub system: String,
    /// Processor architecture.
    pub architecture: String,
    /// Version of osquery.
    pub version: String,
}

#[derive(Deserialize)]
struct Request {
    #[serde(default)]
    enroll_secret: String,
    #[serde(default)]
    host_identifier: String,
    #[serde(default)]
    host_details: Map<String, Value>,
}

/// Reads a request to come in.
pub fn enrol(body: &[u8]) -> Result<Enrol, Malformed> {
    if body.len() > limits::BODY_BYTES_MAX {
        return Err(Malformed::Limit("the request"));
    }
    let request: Request = read(body)?;
    let detail =
        |table: &str, column: &str| name(&text_of(request.host_details.get(table).and_then(|table| table.get(column))));
    let first = |all: [String; 3]| all.into_iter().find(|text| !text.is_empty()).unwrap_or_default();
    let system = format!("{} {}", detail("os_version", "name"), detail("os_version", "version"));
    let kind = detail("os_version", "platform").to_lowercase();
    let like = detail("os_version", "platform_like").to_lowercase();
    let platform = match (kind.as_str(), like.as_str()) {
        ("windows", _) => "windows",
        ("darwin" | "freebsd", _) | ("", "") => "other",
        _ => "linux",
    };
    Ok(Enrol {
        name: first([detail("system_info", "hostname"), name(&request.host_identifier), "osquery".to_owned()]),
        platform: platform.to_owned(),
        system: system.trim().to_owned(),
        architecture: first([detail("os_version", "arch"), detail("system_info", "cpu_type"), String::new()]),
        version: detail("osquery_info", "version"),
        secret: request.enroll_secret,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_machine_says_of_itself_is_read() {
        let body = json!({
            "enroll_secret": "s", "host_identifier": "4C4C4544",
            "host_details": {
                "os_version": {"name": "Debian GNU/Linux", "version": "12 (bookworm)", "platform": "debian", "arch": "x86_64"},
                "osquery_info": {"version": "5.12.1", "pid": 7}, "system_info": {"hostname": "web-1\n"},
                "platform_info": {},
            },
        });
        let found = enrol(body.to_string().as_bytes()).unwrap();
        let expected = Enrol {
            secret: "s".into(),
            name: "web-1".into(),
            platform: "linux".into(),
            system: "Debian GNU/Linux 12 (bookworm)".into(),
            architecture: "x86_64".into(),
            version: "5.12.1".into(),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn what_it_does_not_say_is_not_made_up() {
        let bare = enrol(br#"{"enroll_secret": "s", "host_identifier": "id"}"#).unwrap();
        assert_eq!((bare.name.as_str(), bare.platform.as_str(), bare.system.as_str()), ("id", "other", ""));
        assert_eq!(enrol(b"{}").unwrap().name, "osquery");
        let mac = enrol(br#"{"host_details": {"os_version": {"platform": "darwin", "platform_like": "darwin"}}}"#);
        assert_eq!(mac.unwrap().platform, "other");
        let odd = enrol(br#"{"host_details": {"os_version": [], "system_info": {"hostname": {"a": 1}}}}"#).unwrap();
        assert_eq!(odd.name, "osquery");
        let long = json!({"host_identifier": "x".repeat(10_000)}).to_string();
        assert_eq!(enrol(long.as_bytes()).unwrap().name.len(), limits::NAME_CHARS_MAX);
        assert!(enrol(br#"{"host_details": []}"#).is_err());
        assert!(enrol(&vec![b' '; limits::BODY_BYTES_MAX + 1]).is_err());
    }
}
