//! Notifications from the change to the receiver: a real mail server, a real receiver of webhooks, and the console's
//! list.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use guardian_notify::webhook;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::app::{App, text};
use crate::http::{Live, block_on, client};
use crate::receivers::{Hook, MailServer, Receiver};
use crate::triage::Api;

const PASSWORD: &str = "correct horse battery";
/// Receivers of tests are on this machine, which the guard against forged requests refuses unless it is listed.
const EGRESS: &str = "egress.allow=[\"127.0.0.1\"]";
const SOON: &str = "notify.retry_first=50ms";

fn mail_settings(server: &MailServer) -> Vec<String> {
    vec![
        "notify.smtp.host=127.0.0.1".into(),
        format!("notify.smtp.port={}", server.port),
        "notify.smtp.security=none".into(),
        "notify.smtp.from=Guardian <guardian@example.org>".into(),
        "server.public_url=https://guardian.example.org".into(),
        EGRESS.into(),
        SOON.into(),
    ]
}

fn start(settings: &[String]) -> App {
    let arguments: Vec<&str> = settings.iter().flat_map(|s| ["--set", s.as_str()]).collect();
    App::start_with(&arguments)
}

/// Signs in and calls the API in the session.
struct Desk {
    http: reqwest::Client,
    base: String,
    cookie: String,
}

impl Desk {
    async fn new(app: &App, api: &Api, name: &str) -> (Self, String) {
        let user = json!({"name": name, "role": "admin", "password": PASSWORD, "email": format!("{name}@example.org")});
        let made = api.post("/users", user).await;
        (Self::sign_in(app, name).await, made["id"].as_str().unwrap().to_owned())
    }

    async fn sign_in(app: &App, name: &str) -> Self {
        let (http, base) = (client(app), format!("{}/api/v1", app.url()));
        let body = json!({"name": name, "password": PASSWORD});
        let signed = http.post(format!("{base}/session")).json(&body).send().await.unwrap();
        assert_eq!(signed.status(), StatusCode::OK);
        let cookie = signed.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
        Self { http, base, cookie }
    }

    async fn call(&self, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
        let request = self.http.request(method, format!("{}{path}", self.base)).header("cookie", &self.cookie);
        let request = request.header("x-guardian-request", "1");
        let request = if body.is_null() { request } else { request.json(&body) };
        let response = request.send().await.unwrap();
        (response.status(), response.json().await.unwrap_or(Value::Null))
    }

    async fn told(&self, event: &str) -> Value {
        for _ in 0..600 {
            let (status, list) = self.call(Method::GET, &format!("/notifications?event={event}"), Value::Null).await;
            assert_eq!(status, StatusCode::OK, "{list}");
            if let Some(first) = list["items"].as_array().unwrap().first() {
                return first.clone();
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        panic!("waited in vain for {event}");
    }
}

/// Checks a signature as a receiver does.
fn assert_signed(hook: &Hook, secret: &str) {
    let header = |name: &str| hook.headers[name].to_str().unwrap();
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let timestamp: i64 = header("webhook-timestamp").parse().unwrap();
    let expected = webhook::sign(&key, header("webhook-id"), timestamp, &hook.bytes);
    assert_eq!(header("webhook-signature"), expected);
    assert_eq!(hook.body["id"], header("webhook-id"));
    let other = webhook::sign(&key, header("webhook-id"), timestamp + 1, &hook.bytes);
    assert_ne!(header("webhook-signature"), other, "the time is signed, too");
}

#[test]
fn a_test_alert_comes_through_everything() {
    let (mail, receiver) = (MailServer::start(&[]), Receiver::start(&[]));
    let app = start(&mail_settings(&mail));
    let api = Api::of(&app);
    block_on(async {
        let (ann, _) = Desk::new(&app, &api, "ann").await;
        let hook = json!({"name": "bot", "kind": "webhook", "url": receiver.url(), "events": ["alert"],
            "filter": {"severity_min": "critical"}});
        let made = api.post("/notifications/channels", hook).await;
        let secret = made["secret"].as_str().unwrap().to_owned();
        let desk = json!({"name": "desk", "kind": "mail", "to": ["soc@example.org"], "language": "de",
            "events": ["alert"]});
        let desk = api.post("/notifications/channels", desk).await;
        assert_eq!(desk["secret"], Value::Null);
        let mut live = Live::open(&app, "alerts", None).await;

        let (status, tested) = ann.call(Method::POST, "/notifications/test-alert", Value::Null).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{tested}");
        let id = tested["alert"].as_str().expect("it became an alert");
        assert!(tested["steps"].as_array().unwrap().iter().all(|step| step["at"].is_string()), "{tested}");

        let told = loop {
            let message = live.next().await;
            if message["type"] == "alert" {
                break message;
            }
        };
        assert_eq!((&told["alert"]["id"], &told["alert"]["title"]), (&json!(id), &json!("Test alert")));
        let got = receiver.hooks.wait("the webhook", |hook| hook.body["subject"]["id"] == id);
        assert_signed(&got, &secret);
        assert_eq!((&got.body["type"], &got.body["test"]), (&json!("alert"), &json!(true)), "{}", got.body);
        assert_eq!(got.body["url"], format!("https://guardian.example.org/alerts/{id}"));
        let to = |address: &'static str| move |mail: &Value| mail["to"] == json!([address]);
        let german = mail.mails.wait("the mail of the channel", to("soc@example.org"));
        let text = german["text"].as_str().unwrap();
        assert!(text.contains("[Test] [Guardian] Alarm (Hinweis)") || text.contains("=?utf-8?"), "{text}");
        assert!(text.contains("multipart/alternative") && text.contains("text/html"), "{text}");
        mail.mails.wait("the mail of whoever tests", to("ann@example.org"));
        let mine = ann.told("alert").await;
        assert_eq!((&mine["test"], &mine["subject_id"]), (&json!(true), &json!(id)));

        let log = api.get(&format!("/notifications/deliveries?about={id}")).await;
        assert_eq!(log["items"].as_array().unwrap().len(), 3, "{log}");
        let replay = format!("/replays?name={}", tested["name"].as_str().unwrap());
        assert!(api.call(Method::DELETE, &replay, Value::Null).await.0.is_success());
        assert_eq!(api.call(Method::GET, &format!("/alerts/{id}"), Value::Null).await.0, StatusCode::NOT_FOUND);
    });
}

fn hook(receiver: &Receiver, name: &str, personal: Value) -> Value {
    json!({"name": name, "kind": "webhook", "url": receiver.url(), "events": ["alert"], "personal": personal})
}

#[test]
fn nobody_learns_through_a_channel_what_they_may_not_see() {
    let receiver = Receiver::start(&[]);
    let app = start(&[EGRESS.to_owned()]);
    let api = Api::of(&app);
    block_on(async {
        let role = json!({"name": "postmaster", "permissions": ["notifications:manage", "status:read"]});
        api.post("/roles", role).await;
        let pia = json!({"name": "pia", "role": "postmaster", "password": PASSWORD});
        api.post("/users", pia).await;
        let pia = Desk::sign_in(&app, "pia").await;
        let (status, made) =
            pia.call(Method::POST, "/notifications/channels", hook(&receiver, "own", Value::Null)).await;
        assert_eq!(status, StatusCode::CREATED, "{made}");
        let path = format!("/notifications/channels/{}", made["channel"]["id"].as_str().unwrap());
        let picks = json!({"entity": "10.0.0.5"});
        for (name, value) in [("personal", json!(true)), ("filter", picks)] {
            let mut body = hook(&receiver, "own", Value::Null);
            body[name] = value;
            let (status, answer) = pia.call(Method::POST, "/notifications/channels", body.clone()).await;
            assert_eq!(status, StatusCode::FORBIDDEN, "{name}: {answer}");
            body["version"] = made["channel"]["version"].clone();
            let (status, answer) = pia.call(Method::PATCH, &path, body.clone()).await;
            assert_eq!(status, StatusCode::FORBIDDEN, "{name}: {answer}");
        }
        assert_eq!(pia.call(Method::DELETE, &path, Value::Null).await.0, StatusCode::NO_CONTENT);
    });
}

#[test]
fn mails_and_webhooks_tell_pseudonyms_to_whoever_may_not_know_more() {
    let (mail, receiver) = (MailServer::start(&[]), Receiver::start(&[]));
    let app = start(&mail_settings(&mail));
    let api = Api::of(&app);
    // As the mail server got it, without the line breaks of its encoding.
    let written = |mail: &Value| mail["text"].as_str().unwrap().replace("=\r\n", "").replace("=\n", "");
    block_on(async {
        let (ann, _) = Desk::new(&app, &api, "ann").await;
        for (name, role) in [("olga", "operator"), ("vera", "viewer")] {
            let email = format!("{name}@example.org");
            let user = json!({"name": name, "role": role, "password": PASSWORD, "email": email});
            api.post("/users", user).await;
        }
        let closed = api.post("/notifications/channels", hook(&receiver, "closed", Value::Null)).await;
        api.post("/notifications/channels", hook(&receiver, "open", json!(true))).await;
        let desk = json!({"name": "desk", "kind": "mail", "to": ["soc@example.org"], "events": ["alert"]});
        let desk = api.post("/notifications/channels", desk).await;
        assert_eq!((&closed["channel"]["personal"], &desk["channel"]["personal"]), (&json!(false), &json!(false)));

        let (_, tested) = ann.call(Method::POST, "/notifications/test-alert", Value::Null).await;
        let id = tested["alert"].as_str().expect("it became an alert");
        let alert = api.get(&format!("/alerts/{id}")).await;
        let known = alert["entity"].as_str().unwrap().to_owned();
        let hooks = || receiver.hooks.all().into_iter().filter(|hook| hook.body["subject"]["id"] == id);
        receiver.hooks.wait("the open webhook", |hook| hook.body["masked"] == false);
        receiver.hooks.wait("the masked webhook", |hook| hook.body["masked"] == true);
        let seen: Vec<(bool, bool)> =
            hooks().map(|hook| (hook.body["masked"] == true, hook.body.to_string().contains(&known))).collect();
        assert_eq!(seen.len(), 2);
        assert!(seen.iter().all(|(masked, known)| masked != known), "{seen:?}");
        let to = |address: &'static str| move |mail: &Value| mail["to"] == json!([address]);
        let ours = mail.mails.wait("the mail of the channel", to("soc@example.org"));
        let own = mail.mails.wait("the mail of whoever tests", to("ann@example.org"));
        assert!(!written(&ours).contains(&known) && written(&ours).contains("pseudonyms"), "{}", written(&ours));
        assert!(written(&own).contains(&known) && !written(&own).contains("pseudonyms"), "{}", written(&own));

        // People are told by what their role may see.
        let incident = api.post("/incidents", json!({"title": "About 203.0.113.77", "severity": "high"})).await;
        let comment = json!({"text": "@olga @vera please look at 203.0.113.77"});
        api.post(&format!("/incidents/{}/comments", incident["id"].as_str().unwrap()), comment).await;
        let mention = |address: &'static str| {
            move |mail: &Value| mail["to"] == json!([address]) && mail["text"].as_str().unwrap().contains("mentioned")
        };
        let operators = written(&mail.mails.wait("the mail of the operator", mention("olga@example.org")));
        let viewers = written(&mail.mails.wait("the mail of the viewer", mention("vera@example.org")));
        assert!(operators.contains("About 203.0.113.77") && operators.contains("look at 203.0.113.77"), "{operators}");
        assert!(!viewers.contains("203.0.113.77") && viewers.contains("please look at"), "{viewers}");
        assert!(viewers.contains("pseudonyms"), "{viewers}");
    });
}

#[test]
fn channels_and_the_delivery_log_are_managed_on_the_command_line() {
    let receiver = Receiver::start(&[500]);
    // What failed is not tried again by itself while the test looks.
    let app = App::start_with(&["--set", EGRESS, "--set", "notify.retry_first=10m"]);
    let run = |args: &[&str]| {
        let output = app.cli(&[&["notifications"], args].concat());
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let json = |args: &[&str]| app.json(&[&["notifications"], args].concat());
    let (code, _, said) = run(&["create", "bot", "--event", "alert"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("--to") && said.contains("--url"), "it says what is missing: {said}");
    let url = receiver.url();
    let made = json(&["create", "bot", "--url", &url, "--event", "alert", "--event", "health", "--severity", "high"]);
    let secret = made["secret"].as_str().unwrap().to_owned();
    let id = made["channel"]["id"].as_str().unwrap();
    let (code, listed, _) = run(&["list"]);
    assert_eq!(code, Some(0));
    assert!(listed.contains("bot") && listed.contains(&url) && listed.contains("alert, health"), "{listed}");

    // The first test meets a receiver that fails; the log says so, and the next attempt arrives.
    let (code, told, _) = run(&["test", "bot"]);
    assert_eq!(code, Some(3), "{told}");
    assert!(told.contains("waiting") && told.contains("500"), "{told}");
    let log = json(&["deliveries", "--channel", "bot", "--event", "test"]);
    let delivery = log[0]["id"].as_str().unwrap();
    let again = json(&["retry", delivery]);
    assert_eq!((&again[0]["state"], &again[0]["attempts"]), (&json!("delivered"), &json!(2)), "{again}");
    assert_eq!(json(&["delivery", delivery])["state"], "delivered");
    let hook = receiver.hooks.wait("the second attempt", |hook| hook.headers["webhook-id"] == delivery);
    assert_signed(&hook, &secret);
    assert_eq!(json(&["retry", "--failed", "--channel", "bot"]), json!([]), "nothing has failed for good");

    // Changes keep what they do not name.
    let changed = json(&["set", "bot", "--severity", "any", "--personal", "--name", "robot"]);
    assert_eq!((&changed["name"], &changed["personal"]), (&json!("robot"), &json!(true)), "{changed}");
    assert_eq!((&changed["filter"]["severity_min"], &changed["url"]), (&Value::Null, &json!(url)), "{changed}");
    assert_eq!(changed["events"], json!(["alert", "health"]));
    assert_eq!(json(&["set", id, "--enabled", "false"])["enabled"], false);
    assert_eq!(json(&["set", "robot", "--enabled"])["enabled"], true);
    assert_ne!(json(&["secret", "robot"])["secret"], secret);

    let tested = json(&["test-alert"]);
    let alert = tested["alert"].as_str().expect("it became an alert");
    receiver.hooks.wait("the webhook of the test alert", |hook| hook.body["subject"]["id"] == alert);
    app.wait("the log", |_| (json(&["deliveries", "--about", alert])[0]["state"] == "delivered").then_some(()));
    assert_eq!(run(&["remove", "robot"]).0, Some(0));
    let (code, _, said) = run(&["show", "robot"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("no channel"), "{said}");
}

#[test]
fn a_message_survives_a_power_failure_and_comes_with_one_id() {
    // A port that nobody listens on, yet.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address: SocketAddr = free.local_addr().unwrap();
    drop(free);
    let settings = [EGRESS.to_owned(), SOON.to_owned()];
    let mut app = start(&settings);
    let path = "/notifications/deliveries?event=incident";
    let id = block_on(async {
        let api = Api::of(&app);
        let hook = json!({"name": "bot", "kind": "webhook", "url": format!("http://{address}/in"),
            "events": ["incident"]});
        api.post("/notifications/channels", hook).await;
        api.post("/incidents", json!({"title": "Phishing wave", "severity": "high"})).await;
        loop {
            let log = api.get(path).await;
            if let Some(one) = log["items"].as_array().unwrap().iter().find(|d| d["attempts"].as_u64() >= Some(1)) {
                assert_eq!(one["state"], "waiting", "{one}");
                break one["id"].as_str().unwrap().to_owned();
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    });
    app.kill();
    let receiver = Receiver::at(address, &[500, 503]);
    let arguments: Vec<&str> = settings.iter().flat_map(|s| ["--set", s.as_str()]).collect();
    app.spawn_with(&arguments);
    let api = Api::of(&app);
    block_on(async {
        // What was on its way when the power failed comes again when its lease has run out; nobody has to wait for it.
        api.post(&format!("/notifications/deliveries/{id}/retry"), Value::Null).await;
    });
    let done = app.wait("the delivery", |_| {
        let one = block_on(api.get(&format!("/notifications/deliveries/{id}")));
        (one["state"] == "delivered").then_some(one)
    });
    assert!(done["answer"].as_str().unwrap().starts_with("200"), "{done}");
    let hooks = receiver.hooks.all();
    assert!(hooks.len() >= 3, "two refusals, then taken");
    assert!(hooks.iter().all(|hook| hook.headers["webhook-id"] == id.as_str()), "the same in every attempt");
    assert_eq!(hooks[0].body["title"], "New incident 1 (high): Phishing wave");
    assert_eq!(block_on(api.get(path))["items"].as_array().unwrap().len(), 1, "planned once");
}

#[test]
fn people_hear_of_mentions_assignments_and_what_they_watch() {
    // The first mail is put off by the server, and comes all the same.
    let mail = MailServer::start(&["--refuse", "1"]);
    let app = start(&mail_settings(&mail));
    let api = Api::of(&app);
    block_on(async {
        let (ann, _) = Desk::new(&app, &api, "ann").await;
        let (bob, bob_id) = Desk::new(&app, &api, "bob").await;
        let incident = json!({"title": "Phishing wave", "severity": "high"});
        let (_, incident) = ann.call(Method::POST, "/incidents", incident).await;
        let path = format!("/incidents/{}", incident["id"].as_str().unwrap());
        let comment = json!({"text": "@bob <b>look</b> at the proxy"});
        let (status, answer) = ann.call(Method::POST, &format!("{path}/comments"), comment).await;
        assert!(status.is_success(), "{answer}");

        let told = bob.told("mention").await;
        assert_eq!(told["title"], "ann mentioned you in incident 1: Phishing wave");
        assert_eq!((&told["link"], &told["by"]), (&json!(path), &json!("ann")));
        let got = mail.mails.wait("the mail", |mail| mail["text"].as_str().unwrap().contains("mentioned you"));
        let text = got["text"].as_str().unwrap();
        assert!(text.contains("References: <incident-") && text.contains("&lt;b&gt;look&lt;/b&gt;"), "{text}");
        let (_, list) = ann.call(Method::GET, "/notifications?event=mention", Value::Null).await;
        assert_eq!(list["items"], json!([]), "who wrote it knows it");

        let (_, shown) = ann.call(Method::GET, &path, Value::Null).await;
        let patch = json!({"version": shown["version"], "owner": bob_id});
        let (status, answer) = ann.call(Method::PATCH, &path, patch).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        let given = bob.told("assignment").await;
        assert_eq!(given["title"], "ann made you the owner of incident 1: Phishing wave");

        let (_, count) = bob.call(Method::GET, "/notifications/unread", Value::Null).await;
        assert!(count["unread"].as_u64().unwrap() >= 2, "{count}");
        let one = json!({"ids": [given["id"]]});
        let (_, left) = bob.call(Method::POST, "/notifications/read", one).await;
        assert_eq!(left["unread"].as_u64().unwrap() + 1, count["unread"].as_u64().unwrap());
        let (_, left) = bob.call(Method::POST, "/notifications/read", json!({"all": true})).await;
        assert_eq!(left["unread"], 0);

        let (_, wants) = bob.call(Method::GET, "/notifications/preferences", Value::Null).await;
        assert_eq!((&wants["version"], &wants["mail_ready"]), (&json!(0), &json!(true)));
        let german = json!({"version": 0, "language": "de", "zone": "Europe/Berlin",
            "events": {"mention": {"app": true, "mail": "none"}}});
        let (status, now) = bob.call(Method::PUT, "/notifications/preferences", german.clone()).await;
        assert_eq!((status, &now["language"]), (StatusCode::OK, &json!("de")), "{now}");
        let (status, stale) = bob.call(Method::PUT, "/notifications/preferences", german).await;
        assert_eq!((status, &stale["current"]["version"]), (StatusCode::CONFLICT, &json!(1)));
        let bad = json!({"version": 1, "zone": "Mars/Olympus"});
        assert_eq!(bob.call(Method::PUT, "/notifications/preferences", bad).await.0, StatusCode::UNPROCESSABLE_ENTITY);
        let (status, answer) = ann.call(Method::POST, &format!("{path}/comments"), json!({"text": "@bob again"})).await;
        assert!(status.is_success(), "{answer}");
        let title = json!("ann hat dich in Vorfall 1 erwähnt: Phishing wave");
        let again = loop {
            let newest = bob.told("mention").await;
            if newest["title"] == title {
                break newest;
            }
        };
        assert_eq!(again["text"], "@bob again");
    });
}

#[test]
fn receivers_inside_are_refused_and_mail_is_protected() {
    let dir = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let mail = MailServer::start(&["--starttls", cert.to_str().unwrap(), key.to_str().unwrap()]);
    let receiver = Receiver::start(&[]);
    let base = [
        "notify.smtp.host=127.0.0.1".to_owned(),
        format!("notify.smtp.port={}", mail.port),
        "notify.smtp.security=starttls".to_owned(),
    ];
    let tested = |app: &App, body: Value| {
        let api = Api::of(app);
        block_on(async {
            let made = api.post("/notifications/channels", body).await;
            let id = made["channel"]["id"].as_str().unwrap().to_owned();
            api.post(&format!("/notifications/channels/{id}/test"), Value::Null).await
        })
    };
    let by_mail = || json!({"name": "desk", "kind": "mail", "to": ["soc@example.org"], "events": ["health"]});

    // Nobody has said that the certificate is to be trusted, and nobody has listed the address of the receiver.
    let app = start(&base);
    let sent = tested(&app, by_mail());
    assert_eq!(sent["state"], "waiting", "{sent}");
    assert!(sent["answer"].as_str().unwrap().to_lowercase().contains("certificate"), "{sent}");
    let hook = json!({"name": "bot", "kind": "webhook", "url": receiver.url(), "events": ["health"]});
    let sent = tested(&app, hook);
    assert_eq!(sent["state"], "failed", "{sent}");
    assert!(sent["answer"].as_str().unwrap().contains("loopback"), "{sent}");
    assert!(receiver.hooks.all().is_empty());
    drop(app);

    let trusting = [&base[..], &[format!("notify.smtp.ca={}", cert.display())]].concat();
    let app = start(&trusting);
    let sent = tested(&app, by_mail());
    assert_eq!((&sent["state"], &sent["test"]), (&json!("delivered"), &json!(true)), "{sent}");
    let got = mail.mails.wait("the protected mail", |_| true);
    assert_eq!(got["tls"], true);
}
