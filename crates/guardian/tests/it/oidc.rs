//! Signing in by way of a provider of OpenID Connect: the npm package `oidc-provider`, run by the test.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

use crate::app::{App, text};
use crate::http::{block_on, builder};

const PASSWORD: &str = "correct horse battery";

/// The provider, and the file that says who is there.
struct Provider {
    child: Child,
    issuer: String,
    file: PathBuf,
    people: Value,
    _dir: tempfile::TempDir,
}

impl Provider {
    fn start() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oidc");
        assert!(
            folder.join("node_modules/oidc-provider").is_dir(),
            "the provider that this test signs in by is missing: `cargo xtask test` installs it, or \
             `npm ci --ignore-scripts` in crates/guardian/tests/oidc"
        );
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("people.json");
        let mut child = Command::new("node")
            .arg(folder.join("provider.mjs"))
            .arg(&file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("Node.js starts");
        let mut said = BufReader::new(child.stdout.as_mut().unwrap()).lines();
        let issuer = said.find_map(|line| line.unwrap().strip_prefix("issuer ").map(str::to_owned));
        let people = json!({"who": "ann", "deny": false, "amr": ["pwd"], "people": {
            "ann": {"preferred_username": "ann", "name": "Ann Keller", "email": "ann@example.com",
                "email_verified": true, "groups": ["soc-operators"]},
            "bob": {"preferred_username": "bob", "name": "Bob", "groups": ["kitchen"]},
            "dan": {"preferred_username": "dan", "name": "Dan", "groups": ["soc-operators"]},
        }});
        let provider = Self { child, issuer: issuer.expect("the provider starts"), file, people, _dir: dir };
        provider.write();
        provider
    }

    /// Tells it where the program under test is, and waits until it serves.
    fn serve(&mut self, app: &App) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{}", app.url()).unwrap();
        let mut said = BufReader::new(self.child.stdout.as_mut().unwrap()).lines();
        assert!(said.any(|line| line.unwrap() == "ready"), "the provider serves");
    }

    fn write(&self) {
        std::fs::write(&self.file, self.people.to_string()).unwrap();
    }

    fn set(&mut self, pointer: &str, value: Value) {
        *self.people.pointer_mut(pointer).unwrap() = value;
        self.write();
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A browser: keeps cookies by host, and goes where it is led.
struct Browser {
    http: Client,
    api: String,
    cookies: BTreeMap<(String, String), String>,
}

impl Browser {
    fn new(app: &App) -> Self {
        let http = builder(app).redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { http, api: format!("{}/api/v1", app.url()), cookies: BTreeMap::new() }
    }

    async fn send(&mut self, method: Method, url: &str, body: Option<Value>) -> reqwest::Response {
        let host = reqwest::Url::parse(url).unwrap().authority().to_owned();
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .filter(|((at, _), value)| *at == host && !value.is_empty())
            .map(|((_, name), value)| format!("{name}={value}"))
            .collect();
        let mut request = self.http.request(method.clone(), url).header("cookie", cookies.join("; "));
        if method != Method::GET {
            request = request.header("x-guardian-request", "1");
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        for set in response.headers().get_all("set-cookie") {
            let (name, value) = set.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.insert((host.clone(), name.to_owned()), value.to_owned());
        }
        response
    }

    /// Follows where it is led until the last address is in the program's console; answers that and the last but one.
    async fn follow(&mut self, url: &str) -> (String, String) {
        let (mut at, mut before) = (url.to_owned(), String::new());
        for _ in 0..10 {
            let response = self.send(Method::GET, &at, None).await;
            assert_eq!(response.status(), StatusCode::SEE_OTHER, "{at}: {}", response.text().await.unwrap());
            let next = response.headers()["location"].to_str().unwrap().to_owned();
            if next.starts_with('/') && at.starts_with(&self.api) {
                return (next, at);
            }
            let next = led(&at, &next);
            before = std::mem::replace(&mut at, next);
        }
        panic!("led about: {before} {at}");
    }

    async fn sign_in(&mut self, back: &str) -> String {
        self.cookies.clear();
        let start = format!("{}/sign-in/oidc/corp?return={back}", self.api);
        self.follow(&start).await.0
    }

    async fn call(&mut self, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
        let url = format!("{}{path}", self.api);
        let body = (!body.is_null()).then_some(body);
        let response = self.send(method, &url, body).await;
        let (status, bytes) = (response.status(), response.bytes().await.unwrap());
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    async fn session(&mut self) -> (StatusCode, Value) {
        self.call(Method::GET, "/session", Value::Null).await
    }
}

/// Where the page at `at` leads with the address `next`, which may be relative.
fn led(at: &str, next: &str) -> String {
    reqwest::Url::parse(at).unwrap().join(next).unwrap().to_string()
}

fn start(provider: &mut Provider, more: &Value) -> App {
    let mut corp = json!({"name": "corp", "label": "Example Corp", "issuer": provider.issuer, "client_id": "guardian",
        "client_secret": "a secret of the test", "scopes": ["profile", "email", "groups"],
        "roles": [{"group": "soc-admins", "role": "admin"}, {"group": "SOC-Operators", "role": "operator"}]});
    for (name, value) in more.as_object().unwrap() {
        corp[name] = value.clone();
    }
    let set = format!("identity.oidc={}", json!([corp]));
    let app = App::start_with(&["--set", &set, "--set", "egress.allow=[\"127.0.0.1\"]"]);
    provider.serve(&app);
    app
}

#[test]
fn accounts_come_follow_their_groups_and_go() {
    let mut provider = Provider::start();
    let app = start(&mut provider, &json!({"sign_out": true}));
    let mut browser = Browser::new(&app);
    block_on(async {
        let (_, offer) = browser.call(Method::GET, "/sign-in", Value::Null).await;
        let start = json!([{"name": "corp", "label": "Example Corp", "start": "/api/v1/sign-in/oidc/corp"}]);
        assert_eq!(offer["providers"], start);

        assert_eq!(browser.sign_in("/alerts?status=open").await, "/alerts?status=open");
        let (_, who) = browser.session().await;
        assert_eq!(
            (&who["name"], &who["display_name"], &who["role"]),
            (&json!("ann"), &json!("Ann Keller"), &json!("operator"))
        );
        assert_eq!((&who["session"]["method"], &who["session"]["provider"]), (&json!("oidc"), &json!("corp")));
        let (_, held) = browser.call(Method::GET, "/session/identities", Value::Null).await;
        assert_eq!((&held["items"][0]["label"], &held["items"][0]["managed"]), (&json!("Example Corp"), &json!(true)));
        let own = json!({"old": "", "new": "another good password"});
        assert_eq!(
            browser.call(Method::PUT, "/session/password", own).await.0,
            StatusCode::FORBIDDEN,
            "it is not ours"
        );

        provider.set("/people/ann/groups", json!(["soc-admins", "soc-operators"]));
        assert_eq!(browser.sign_in("/").await, "/");
        assert_eq!(browser.session().await.1["role"], "admin", "the first line that fits");
        let (_, list) = browser.call(Method::GET, "/users", Value::Null).await;
        assert_eq!(
            (&list["total"], &list["items"][0]["directory"]),
            (&json!(1), &json!("corp")),
            "one account, not two"
        );
        // The account may prove itself again there, because it has nothing else to prove itself with.
        let (_, departure) = browser.call(Method::POST, "/session/proof/oidc", json!({"return": "/profile"})).await;
        let url = departure["url"].as_str().unwrap().to_owned();
        assert!(url.contains("prompt=login") && url.contains("max_age=0"), "{url}");
        assert_eq!(browser.follow(&url).await.0, "/profile");
        let (status, out) = browser.call(Method::DELETE, "/session", Value::Null).await;
        assert_eq!(status, StatusCode::OK);
        assert!(out["continue"].as_str().unwrap().starts_with(&format!("{}/session/end?", provider.issuer)), "{out}");
        assert_eq!(browser.session().await.0, StatusCode::UNAUTHORIZED);

        // Another administrator, so that the loss of the group is not that of the last one.
        let added = app.cli_with(&["user", "add", "root", "--role", "admin"], &format!("{PASSWORD}\n"));
        assert!(added.status.success(), "{}", text(&added.stderr));
        browser.sign_in("/").await;
        let before = browser.cookies.clone();
        provider.set("/people/ann/groups", json!(["kitchen"]));
        assert_eq!(browser.sign_in("/").await, "/sign-in?error=oidc-no-role");
        browser.cookies = before;
        assert_eq!(browser.session().await.0, StatusCode::UNAUTHORIZED, "the loss of the groups ends sessions");
        provider.set("/people/ann/groups", json!(["soc-operators"]));
        assert_eq!(browser.sign_in("/").await, "/", "and they come back with the group");
        assert_eq!(browser.session().await.1["role"], "operator");
        provider.set("/who", json!("bob"));
        assert_eq!(browser.sign_in("/").await, "/sign-in?error=oidc-no-role", "a stranger without a group");
        provider.set("/deny", json!(true));
        assert_eq!(browser.sign_in("/").await, "/sign-in?error=oidc-denied");
    });
}

#[test]
fn only_the_browser_that_set_out_arrives_and_once() {
    let mut provider = Provider::start();
    let app = start(&mut provider, &json!({"second_factor": "amr"}));
    let mut browser = Browser::new(&app);
    block_on(async {
        let start = format!("{}/sign-in/oidc/corp?return=//evil.example", browser.api);
        let (back, callback) = browser.follow(&start).await;
        assert_eq!(back, "/", "nobody is led elsewhere");
        assert!(callback.contains("/sign-in/oidc/corp/callback?code="), "{callback}");
        assert_eq!(browser.follow(&callback).await.0, "/sign-in?error=oidc-expired", "a code works once");

        // Somebody else's link leads nowhere: they made the code, and want this browser to be in their account.
        let mut attacker = Browser::new(&app);
        let begun = attacker.send(Method::GET, &start, None).await;
        let mut at = begun.headers()["location"].to_str().unwrap().to_owned();
        while !at.contains("/callback?") {
            let next = attacker.send(Method::GET, &at, None).await.headers()["location"].to_str().unwrap().to_owned();
            at = led(&at, &next);
        }
        let mut victim = Browser::new(&app);
        assert_eq!(victim.follow(&at).await.0, "/sign-in?error=oidc-expired");
        assert_eq!(victim.session().await.0, StatusCode::UNAUTHORIZED);
        let forged = at.replace("iss=", "iss=x");
        assert_eq!(attacker.follow(&forged).await.0, "/sign-in?error=oidc-failed", "another provider's answer");
        let unknown = format!("{}/sign-in/oidc/other", browser.api);
        assert_eq!(browser.send(Method::GET, &unknown, None).await.status(), StatusCode::NOT_FOUND);

        // A tenant that asks for a second factor takes the provider's word where the operator does.
        let key = app.operator_key();
        let policy =
            json!({"version": 0, "self_registration": false, "registration_role": "viewer", "mfa_required": true});
        let put = browser.http.put(format!("{}/settings/security", browser.api)).bearer_auth(&key).json(&policy);
        assert_eq!(put.send().await.unwrap().status(), StatusCode::OK);
        browser.sign_in("/").await;
        assert_eq!(browser.session().await.1["state"], "enrolment_required", "a password alone, says the provider");
        provider.set("/amr", json!(["pwd", "otp", "mfa"]));
        browser.sign_in("/").await;
        assert_eq!(browser.session().await.1["state"], "active");
    });
}

#[test]
fn an_account_that_is_there_is_linked_and_never_taken_over() {
    let mut provider = Provider::start();
    let app = start(&mut provider, &json!({"create_accounts": false}));
    for (name, role) in [("ann", "viewer"), ("carl", "viewer")] {
        let added = app.cli_with(&["user", "add", name, "--role", role], &format!("{PASSWORD}\n"));
        assert!(added.status.success(), "{}", text(&added.stderr));
    }
    let mut browser = Browser::new(&app);
    block_on(async {
        assert_eq!(browser.sign_in("/").await, "/sign-in?error=oidc-no-account", "a name alone is no proof");
        let own = json!({"name": "ann", "password": PASSWORD});
        assert_eq!(browser.call(Method::POST, "/session", own).await.0, StatusCode::OK);
        let wish = json!({"provider": "corp", "return": "/profile?tab=links"});
        let (_, departure) = browser.call(Method::POST, "/session/identities", wish.clone()).await;
        assert_eq!(browser.follow(departure["url"].as_str().unwrap()).await.0, "/profile?tab=links");
        assert_eq!(browser.sign_in("/").await, "/");
        let (_, who) = browser.session().await;
        assert_eq!((&who["name"], &who["role"]), (&json!("ann"), &json!("viewer")), "a linked account keeps its role");

        let mut carl = Browser::new(&app);
        carl.call(Method::POST, "/session", json!({"name": "carl", "password": PASSWORD})).await;
        let (_, departure) = carl.call(Method::POST, "/session/identities", wish).await;
        let (back, _) = carl.follow(departure["url"].as_str().unwrap()).await;
        assert_eq!(back, "/profile?tab=links&error=oidc-taken");

        let (_, held) = browser.call(Method::GET, "/session/identities", Value::Null).await;
        let id = held["items"][0]["id"].as_str().unwrap().to_owned();
        let gone = browser.call(Method::DELETE, &format!("/session/identities/{id}"), Value::Null).await;
        assert_eq!(gone.0, StatusCode::NO_CONTENT);
        assert_eq!(browser.sign_in("/").await, "/sign-in?error=oidc-no-account");
    });
}
