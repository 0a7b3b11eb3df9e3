//! Webhooks: a JSON document, signed as the Standard Webhooks specification (version 1) says, so that any of its
//! libraries can check it: HMAC-SHA-256 over `id.timestamp.body` with the secret's bytes, in base 64 after `v1,`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use guardian_catalog::Delivery;
use guardian_kit::egress::{Client, EgressError, Request};
use guardian_model::Micros;
use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode};
use ring::hmac;
use serde_json::{Value, json};

use crate::message::Message;

/// What a secret begins with when people see it.
pub const SECRET_PREFIX: &str = "whsec_";
/// Random bytes of a secret.
pub const SECRET_BYTES: usize = 32;
/// Characters of an answer that the log keeps.
const ANSWER_MAX: usize = 300;

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver took it.
    Delivered(String),
    /// It did not, and may the next time.
    Failed(String),
    /// It never will.
    Refused(String),
}

/// A secret as people see it.
pub fn shown(secret: &[u8]) -> String {
    format!("{SECRET_PREFIX}{}", STANDARD.encode(secret))
}

/// The signature of a body.
pub fn sign(secret: &[u8], id: &str, timestamp: i64, body: &[u8]) -> String {
    let mut signed = format!("{id}.{timestamp}.").into_bytes();
    signed.extend_from_slice(body);
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), &signed);
    format!("v1,{}", STANDARD.encode(tag.as_ref()))
}

/// What is posted.
pub fn body(delivery: &Delivery, message: &Message, public_url: &str) -> Value {
    json!({
        "id": delivery.id,
        "type": delivery.what.event,
        "timestamp": message.time.to_string(),
        "test": delivery.what.test,
        "tenant": { "id": delivery.tenant, "name": message.tenant },
        "title": message.title,
        "text": message.text,
        "severity": message.severity,
        "url": format!("{}{}", public_url.trim_end_matches('/'), message.link),
        "subject": { "type": delivery.what.subject, "id": delivery.what.subject_id },
        "masked": message.masked,
        "data": message.data,
    })
}

/// Posts a body, signed for this moment.
pub async fn post(client: &Client, url: &str, secret: &[u8], id: &str, now: Micros, body: &Value) -> Outcome {
    let seconds = now.0.div_euclid(Micros::SECOND);
    let body = body.to_string().into_bytes();
    let mut request = Request::new(Method::POST, url);
    let headers = [
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", seconds.to_string()),
        ("webhook-signature", sign(secret, id, seconds, &body)),
    ];
    request.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            request.headers.insert(HeaderName::from_static(name), value);
        }
    }
    request.body = body;
    match client.send(request).await {
        Ok(answer) => {
            let text = format!("{} {}", answer.status, excerpt(&answer.body));
            if answer.status.is_success() {
                Outcome::Delivered(text.trim().to_owned())
            } else if answer.status == StatusCode::GONE {
                Outcome::Refused(text.trim().to_owned())
            } else {
                Outcome::Failed(text.trim().to_owned())
            }
        }
        // Nobody lists the address of a private receiver within the hour; and the operator can let it be tried again.
        Err(error @ (EgressError::Refused { .. } | EgressError::Url(_) | EgressError::Allow(_))) => {
            Outcome::Refused(error.to_string())
        }
        Err(error @ (EgressError::TooLarge(_) | EgressError::Http(_))) => Outcome::Failed(error.to_string()),
    }
}

/// The beginning of an answer, as one line of text.
fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(ANSWER_MAX * 4)]);
    let line: String = text.chars().take(ANSWER_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's reference libraries.
    #[test]
    fn signatures_are_those_of_the_specification() {
        let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signed = sign(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b"{\"test\": 2432232314}");
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_eq!(shown(&secret), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    }

    #[test]
    fn answers_become_one_short_line() {
        assert_eq!(excerpt(b"no\r\n\x1b[2Jsuch   thing"), "no [2Jsuch thing");
        assert!(excerpt(&[b'a'; 100_000]).len() <= ANSWER_MAX);
        assert_eq!(excerpt(&[0xff, b'a']), "\u{fffd}a");
    }
}
