//! Mail: messages as multipart text and HTML, in threads, over a connection that is protected as the operator says.

use std::time::{Duration, SystemTime};

use guardian_catalog::Language;
use guardian_model::{Micros, Severity};
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use uuid::Uuid;

use crate::config::{Security, SmtpConfig};
use crate::message::Message;
use crate::text::{Frame, frame, severity_word};

/// Largest certificate file that is read.
const CA_BYTES_MAX: u64 = 1 << 20;

/// Why mail cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// The configuration cannot be used.
    #[error("notify.smtp: {0}")]
    Config(String),
    /// An address is none.
    #[error("`{0}` is no mail address")]
    Address(String),
    /// The message could not be put together.
    #[error("the message cannot be written: {0}")]
    Compose(String),
    /// The server refused it for good.
    #[error("{0}")]
    Refused(String),
    /// It did not work this time.
    #[error("{0}")]
    Failed(String),
}

/// One mail to write: a message, or several in a digest.
pub struct Letter<'a> {
    /// Identity, the same in every attempt.
    pub id: Uuid,
    /// To whom.
    pub to: &'a [String],
    /// What it says; at least one.
    pub messages: &'a [Message],
    /// Whether it is for a person, not for a channel.
    pub personal: bool,
    /// Whether it is a test.
    pub test: bool,
    /// The date to put on it.
    pub now: Micros,
}

impl Letter<'_> {
    /// Why it came, and why addresses in it look strange.
    fn foot(&self, words: &Frame, separator: &str) -> String {
        let why = if self.personal { words.why_person } else { words.why_channel };
        let masked = self.messages.iter().any(|message| message.masked).then_some(words.masked);
        std::iter::once(why).chain(masked).collect::<Vec<_>>().join(separator)
    }
}

/// Sends mail. Cheap to clone.
#[derive(Clone)]
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    public_url: String,
}

impl Mailer {
    /// For the configured server; none if there is none. `public_url` is where people reach the console.
    pub fn new(config: &SmtpConfig, public_url: &str) -> Result<Option<Self>, MailError> {
        if config.host.is_empty() {
            return Ok(None);
        }
        let bad = |error: &dyn std::fmt::Display| MailError::Config(error.to_string());
        let from: Mailbox = config.from.parse().map_err(|_| MailError::Address(config.from.clone()))?;
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&config.host)
            .port(config.port)
            .timeout(Some(config.timeout.get()));
        if config.security != Security::None {
            let mut tls = TlsParameters::builder(config.host.clone());
            if !config.ca.as_os_str().is_empty() {
                tls = tls.add_root_certificate(certificate(config)?);
            }
            let tls = tls.build_rustls().map_err(|e| bad(&e))?;
            transport = transport.tls(match config.security {
                Security::Tls => Tls::Wrapper(tls),
                _ => Tls::Required(tls),
            });
        }
        if !config.username.is_empty() {
            let password = config.password.expose().to_owned();
            transport = transport.credentials(Credentials::new(config.username.clone(), password));
        }
        let public_url = public_url.trim_end_matches('/').to_owned();
        Ok(Some(Self { transport: transport.build(), from, public_url }))
    }

    /// Sends a letter; answers what the server said.
    pub async fn send(&self, letter: &Letter<'_>) -> Result<String, MailError> {
        let mail = self.compose(letter)?;
        match self.transport.send(mail).await {
            Ok(answer) => {
                let words: Vec<&str> = answer.message().collect();
                Ok(format!("{} {}", answer.code(), words.join(" ")))
            }
            Err(error) if error.is_permanent() => Err(MailError::Refused(causes(&error))),
            Err(error) => Err(MailError::Failed(causes(&error))),
        }
    }

    fn compose(&self, letter: &Letter<'_>) -> Result<lettre::Message, MailError> {
        let Some(first) = letter.messages.first() else {
            return Err(MailError::Compose("there is nothing to say".to_owned()));
        };
        let words = frame(first.language);
        let label = if letter.test { words.test } else { "" };
        let subject = match letter.messages {
            [one] => format!("{label}[Guardian] {}", one.title),
            many => format!("{label}{}{}", words.digest, many.len()),
        };
        let domain = self.from.email.domain();
        let since = Duration::from_micros(u64::try_from(letter.now.0).unwrap_or_default());
        let mut builder = lettre::Message::builder()
            .from(self.from.clone())
            .date(SystemTime::UNIX_EPOCH + since)
            .message_id(Some(format!("<{}@{domain}>", letter.id)))
            .subject(subject)
            .raw_header(header("Auto-Submitted", "auto-generated"))
            .raw_header(header("X-Guardian-Id", &letter.id.to_string()));
        // All about one incident hangs below a message that was never sent, so that no mail has to be the first.
        if let (Some(thread), [_]) = (&first.thread, letter.messages) {
            let root = format!("<{thread}@{domain}>");
            builder = builder.in_reply_to(root.clone()).references(root);
        }
        for address in letter.to {
            builder = builder.to(address.parse().map_err(|_| MailError::Address(address.clone()))?);
        }
        let (plain, html) = (self.plain(letter, &words), self.html(letter, &words));
        builder
            .multipart(MultiPart::alternative_plain_html(plain, html))
            .map_err(|error| MailError::Compose(error.to_string()))
    }

    fn url(&self, message: &Message) -> String {
        format!("{}{}", self.public_url, message.link)
    }

    fn plain(&self, letter: &Letter<'_>, words: &Frame) -> String {
        let mut out = String::new();
        for message in letter.messages {
            out.push_str(&message.title);
            out.push('\n');
            out.push_str(&facts(message).join(" \u{b7} "));
            out.push_str("\n\n");
            if !message.text.is_empty() {
                out.push_str(&message.text);
                out.push_str("\n\n");
            }
            out.push_str(&format!("{}: {}\n\n", words.open, self.url(message)));
        }
        out.push_str("-- \n");
        out.push_str(&letter.foot(words, "\n"));
        out.push('\n');
        out
    }

    fn html(&self, letter: &Letter<'_>, words: &Frame) -> String {
        let mut parts = String::new();
        for message in letter.messages {
            let colour = colour(message.severity);
            let text = escape(&message.text).replace('\n', "<br>");
            parts.push_str(&format!(
                "<table role=\"presentation\" width=\"100%\" style=\"border-collapse:collapse;margin:0 0 20px\"><tr>\
                 <td style=\"border-left:4px solid {colour};padding:2px 0 2px 14px\">\
                 <p style=\"margin:0;font-size:17px;font-weight:600\">{}</p>\
                 <p style=\"margin:4px 0 10px;color:#5b6470;font-size:13px\">{}</p>\
                 <p style=\"margin:0 0 12px\">{text}</p>\
                 <p style=\"margin:0\"><a href=\"{}\" style=\"color:#0b5cad\">{}</a></p></td></tr></table>",
                escape(&message.title),
                escape(&facts(message).join(" \u{b7} ")),
                escape(&self.url(message)),
                words.open,
            ));
        }
        let foot = letter.foot(words, " ");
        format!(
            "<!doctype html><html><head><meta charset=\"utf-8\"></head>\
             <body style=\"margin:0;padding:24px;background:#ffffff;color:#1a1f27;\
             font-family:system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;font-size:15px;line-height:1.45\">\
             <div style=\"max-width:640px;margin:0 auto\">{parts}\
             <p style=\"border-top:1px solid #d9dee5;padding-top:10px;color:#5b6470;font-size:12px\">{}</p>\
             </div></body></html>",
            escape(&foot),
        )
    }
}

fn certificate(config: &SmtpConfig) -> Result<Certificate, MailError> {
    let bad = |error: &dyn std::fmt::Display| MailError::Config(format!("ca: {}: {error}", config.ca.display()));
    let mut file = std::fs::File::open(&config.ca).map_err(|e| bad(&e))?;
    let pem = guardian_kit::capped::read_capped(&mut file, CA_BYTES_MAX).map_err(|e| bad(&e))?;
    Certificate::from_pem(&pem).map_err(|e| bad(&e))
}

fn header(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

/// What is known about a message in a few words.
fn facts(message: &Message) -> Vec<String> {
    let mut facts = Vec::new();
    if let Some(severity) = message.severity {
        facts.push(severity_word(severity, message.language).to_owned());
    }
    facts.push(when(message.time));
    if !message.tenant.is_empty() {
        let word = if message.language == Language::De { "Mandant" } else { "tenant" };
        facts.push(format!("{word} {}", message.tenant));
    }
    facts
}

/// A time to the second, in UTC.
fn when(time: Micros) -> String {
    let text = Micros::from_secs(time.0.div_euclid(Micros::SECOND)).to_string();
    text.replace('T', " ").replace('Z', " UTC")
}

fn colour(severity: Option<Severity>) -> &'static str {
    match severity {
        Some(Severity::Critical) => "#b3123c",
        Some(Severity::High) => "#d1481f",
        Some(Severity::Medium) => "#b7791f",
        Some(Severity::Low) => "#2b6cb0",
        Some(Severity::Informational) | None => "#7a8594",
    }
}

/// Text that HTML shows as it is.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

/// An error with its causes, in a line.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn mailer() -> Mailer {
        let config = SmtpConfig {
            host: "mail.example.org".into(),
            security: Security::None,
            from: "Guardian <guardian@example.org>".into(),
            ..SmtpConfig::default()
        };
        Mailer::new(&config, "https://guardian.example.org/").unwrap().unwrap()
    }

    fn message(title: &str, text: &str) -> Message {
        Message {
            language: Language::En,
            title: title.into(),
            text: text.into(),
            link: "/incidents/1".into(),
            thread: Some("incident-1".into()),
            severity: Some(Severity::High),
            by: None,
            time: Micros::from_secs(1_767_225_600),
            tenant: "Main".into(),
            data: Value::Null,
            masked: false,
        }
    }

    fn written(to: &[String], messages: &[Message]) -> String {
        let id = Uuid::from_u128(7);
        let now = Micros::from_secs(1_767_225_600);
        let letter = Letter { id, to, messages, personal: true, test: false, now };
        String::from_utf8(mailer().compose(&letter).unwrap().formatted()).unwrap().replace("=\r\n", "")
    }

    #[test]
    fn hostile_text_stays_text() {
        let title = "x\r\nBcc: evil@example.org";
        let text = written(&["a@example.org".into()], &[message(title, "<script>alert(1)</script>\n\"&'")]);
        let head = text.split("\r\n\r\n").next().unwrap();
        assert!(!head.lines().any(|line| line.starts_with("Bcc")), "{head}");
        assert!(text.contains("&lt;script&gt;alert(1)&lt;/script&gt;<br>&quot;&amp;&#39;"), "{text}");
        assert!(text.contains("\r\nReferences: <incident-1@example.org>\r\n"), "{text}");
        assert!(text.contains("Message-ID: <00000000-0000-0000-0000-000000000007@example.org>"), "{text}");
        assert!(text.contains("https://guardian.example.org/incidents/1"), "{text}");
    }

    #[test]
    fn a_digest_names_all_and_hangs_in_no_thread() {
        let text = written(&["a@example.org".into()], &[message("First", ""), message("Second", "")]);
        assert!(text.contains("Subject: Guardian, what happened: 2\r\n"), "{text}");
        assert!(!text.contains("References:"), "{text}");
        assert!(text.contains("First") && text.contains("Second"));
    }

    #[test]
    fn addresses_and_configuration_are_judged() {
        let (id, now) = (Uuid::nil(), Micros(0));
        let messages = [message("a", "")];
        let to = ["no address".to_owned()];
        let letter = Letter { id, to: &to, messages: &messages, personal: false, test: false, now };
        assert!(matches!(mailer().compose(&letter), Err(MailError::Address(_))));
        assert!(Mailer::new(&SmtpConfig::default(), "").unwrap().is_none(), "no server, no mail");
        let bad = SmtpConfig { host: "a".into(), from: "nobody".into(), ..SmtpConfig::default() };
        assert!(Mailer::new(&bad, "").is_err());
    }
}
