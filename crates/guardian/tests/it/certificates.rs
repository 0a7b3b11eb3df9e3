//! Client certificates of people against the real server: certificates are made by an authority of the test, and shown
//! over HTTP/1.1 and HTTP/2.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevocationReason, RevokedCertParams, SanType, SerialNumber,
    date_time_ymd,
};
use reqwest::{Client, Method, StatusCode, Version};
use serde_json::{Value, json};

use crate::app::{App, PATIENCE, guardian, text};
use crate::http::{block_on, builder};

const PASSWORD: &str = "correct horse battery";

/// An authority, and the directory in which its files are.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    dir: tempfile::TempDir,
}

/// Somebody's certificate.
struct Card {
    /// The certificate.
    file: PathBuf,
    /// The certificate and its key.
    both: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let own = params.self_signed(&key).unwrap();
        std::fs::write(dir.path().join("ca.pem"), own.pem()).unwrap();
        let authority = Self { issuer: Issuer::new(params, key), dir };
        authority.revoke(&[]);
        authority
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Certifies a person; the serial number is theirs.
    fn certify(&self, name: &str, serial: u64, change: impl FnOnce(&mut CertificateParams)) -> Card {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.serial_number = Some(SerialNumber::from(serial));
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        let file = self.path(&format!("{serial}.pem"));
        std::fs::write(&file, &pem).unwrap();
        Card { file, both: format!("{pem}{}", key.serialize_pem()) }
    }

    /// Writes the list of what it revoked.
    fn revoke(&self, serials: &[u64]) {
        let revoked = serials.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: Some(RevocationReason::KeyCompromise),
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(2049, 1, 1),
            crl_number: SerialNumber::from(serials.len() as u64),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let pem = list.signed_by(&self.issuer).unwrap().pem().unwrap();
        // As tools write such files: whole or not at all.
        std::fs::write(self.path("crl.new"), pem).unwrap();
        std::fs::rename(self.path("crl.new"), self.path("crl.pem")).unwrap();
    }

    fn start(&self, more: &[&str]) -> App {
        let set = |key: &str, path: &Path| format!("server.tls.{key}={}", path.display());
        let (ca, crl) = (set("client_ca", &self.path("ca.pem")), set("client_crl", &self.path("crl.pem")));
        App::start_with(&[&["--set", ca.as_str(), "--set", crl.as_str()][..], more].concat())
    }
}

/// A browser: it speaks one version of HTTP, shows one certificate or none, and keeps one cookie.
struct Browser {
    http: Client,
    api: String,
    cookie: String,
}

impl Browser {
    fn new(app: &App, card: Option<&Card>, version: Version) -> Self {
        let mut client = builder(app);
        if version == Version::HTTP_11 {
            client = client.http1_only();
        }
        if let Some(card) = card {
            client = client.identity(reqwest::Identity::from_pem(card.both.as_bytes()).unwrap());
        }
        Self { http: client.build().unwrap(), api: format!("{}/api/v1", app.url()), cookie: String::new() }
    }

    /// The same session in another browser.
    fn taken_to(&self, mut other: Self) -> Self {
        other.cookie.clone_from(&self.cookie);
        other
    }

    async fn send(&mut self, method: Method, path: &str, body: Value) -> reqwest::Result<reqwest::Response> {
        let mut request = self.http.request(method, format!("{}{path}", self.api)).header("x-guardian-request", "1");
        if !self.cookie.is_empty() {
            request = request.header("cookie", &self.cookie);
        }
        if !body.is_null() {
            request = request.json(&body);
        }
        let response = request.send().await?;
        if let Some(set) = response.headers().get("set-cookie") {
            set.to_str().unwrap().split(';').next().unwrap().clone_into(&mut self.cookie);
        }
        Ok(response)
    }

    async fn call(&mut self, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
        let response = self.send(method, path, body).await.unwrap();
        (response.status(), response.json().await.unwrap_or(Value::Null))
    }

    async fn get(&mut self, path: &str) -> (StatusCode, Value) {
        self.call(Method::GET, path, Value::Null).await
    }

    async fn sign_in(&mut self, name: &str) -> Value {
        let (status, who) = self.call(Method::POST, "/session", json!({"name": name, "password": PASSWORD})).await;
        assert_eq!(status, StatusCode::OK, "{who}");
        who
    }

    async fn by_certificate(&mut self) -> (StatusCode, Value) {
        self.call(Method::POST, "/session/certificate", Value::Null).await
    }

    /// What the session is worth: its state, and whether it sees alerts.
    async fn state(&mut self) -> (String, StatusCode, String) {
        let (_, who) = self.get("/session").await;
        let (status, problem) = self.get("/alerts").await;
        let kind = problem["type"].as_str().unwrap_or_default().rsplit('#').next().unwrap_or_default().to_owned();
        (who["state"].as_str().unwrap_or_default().to_owned(), status, kind)
    }
}

fn add(app: &App, name: &str, role: &str) {
    let added = app.cli_with(&["user", "add", name, "--role", role], &format!("{PASSWORD}\n"));
    assert!(added.status.success(), "{}", text(&added.stderr));
}

fn open() -> (String, StatusCode, String) {
    ("active".into(), StatusCode::OK, String::new())
}

fn closed() -> (String, StatusCode, String) {
    ("certificate_required".into(), StatusCode::FORBIDDEN, "certificate-required".into())
}

async fn ann_comes_in(app: &App, ann: &Card, bob: &Card, version: Version) {
    let mut browser = Browser::new(app, Some(ann), version);
    let offer = browser.send(Method::GET, "/sign-in", Value::Null).await.unwrap();
    assert_eq!(offer.version(), version);
    let offer: Value = offer.json().await.unwrap();
    assert!(offer["methods"].as_array().unwrap().contains(&json!("certificate")), "{offer}");
    let (status, who) = browser.by_certificate().await;
    assert_eq!(status, StatusCode::OK, "{who}");
    assert_eq!((&who["name"], &who["state"]), (&json!("ann"), &json!("active")));
    assert_eq!(who["session"]["method"], "certificate");
    assert_eq!(who["certificate"], json!({"required": false, "presented": true}));
    assert_eq!(browser.state().await, open());

    // Its cookie is worth nothing elsewhere: not without the certificate, not with another person's.
    let mut plain = browser.taken_to(Browser::new(app, None, version));
    assert_eq!(plain.state().await, closed(), "{version:?}");
    let mut other = browser.taken_to(Browser::new(app, Some(bob), version));
    assert_eq!(other.state().await, closed(), "{version:?}");
    // And what is sensitive asks for more than a certificate.
    let (status, problem) = browser.call(Method::POST, "/session/certificates", json!({})).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(problem["type"].as_str().unwrap().ends_with("#step-up-required"), "{problem}");

    let mut nobody = Browser::new(app, None, version);
    let (_, offer) = nobody.get("/sign-in").await;
    assert!(!offer["methods"].as_array().unwrap().contains(&json!("certificate")), "{offer}");
    assert_eq!(nobody.by_certificate().await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(nobody.sign_in("ann").await["state"], "active", "whoever has none comes in as ever");
}

#[test]
fn people_sign_in_by_their_certificate_and_by_no_other() {
    let (ours, theirs) = (Authority::new("Ours"), Authority::new("Theirs"));
    let (ann, bob) = (ours.certify("Ann", 1, |_| {}), ours.certify("Bob", 2, |_| {}));
    let wrong = [
        ("expired", ours.certify("Ann", 3, |params| params.not_after = date_time_ymd(2024, 1, 1))),
        ("not yet valid", ours.certify("Ann", 4, |params| params.not_before = date_time_ymd(2120, 1, 1))),
        ("revoked", ours.certify("Ann", 5, |_| {})),
        (
            "a server's",
            ours.certify("Ann", 6, |params| {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            }),
        ),
        ("of another authority", theirs.certify("Ann", 1, |_| {})),
    ];
    ours.revoke(&[5]);
    let app = ours.start(&[]);
    add(&app, "ann", "operator");
    add(&app, "bob", "viewer");
    let file = ann.file.to_str().unwrap();
    let added = app.cli(&["user", "certificate", "add", "ann", file, "--label", "Smart card"]);
    assert!(added.status.success(), "{}", text(&added.stderr));
    block_on(async {
        for version in [Version::HTTP_11, Version::HTTP_2] {
            ann_comes_in(&app, &ann, &bob, version).await;
            for (what, card) in &wrong {
                let refused = Browser::new(&app, Some(card), version).send(Method::GET, "/sign-in", Value::Null).await;
                assert!(refused.is_err(), "{what} over {version:?}");
            }
        }

        // A genuine one that nobody has yet opens nothing, until its holder adds it.
        let mut browser = Browser::new(&app, Some(&bob), Version::HTTP_2);
        assert_eq!(browser.by_certificate().await.0, StatusCode::UNAUTHORIZED);
        browser.sign_in("bob").await;
        let (_, held) = browser.get("/session/certificates").await;
        assert_eq!((&held["items"], &held["presented"]["registered"]), (&json!([]), &json!(false)));
        let (status, added) = browser.call(Method::POST, "/session/certificates", json!({"name": "Laptop"})).await;
        assert_eq!((status, &added["subject"]), (StatusCode::CREATED, &json!("CN=Bob")));
        let (_, held) = browser.get("/session/certificates").await;
        assert_eq!(held["presented"]["registered"], true);
        assert_eq!(held["presented"]["fingerprint"], held["items"][0]["fingerprint"]);
        assert_eq!(browser.by_certificate().await.1["name"], "bob");
    });
    let listed = app.json(&["user", "certificate", "list", "ann"]);
    assert_eq!((&listed[0]["name"], &listed[0]["subject"]), (&json!("Smart card"), &json!("CN=Ann")));
    assert!(listed[0]["last_used"].is_string(), "{listed}");
    let fingerprint = listed[0]["fingerprint"].as_str().unwrap();
    let removed = app.cli(&["user", "certificate", "remove", "ann", fingerprint]);
    assert!(removed.status.success(), "{}", text(&removed.stderr));
    block_on(async {
        let mut browser = Browser::new(&app, Some(&ann), Version::HTTP_2);
        assert_eq!(browser.by_certificate().await.0, StatusCode::UNAUTHORIZED);
    });
}

/// Asks certificates of viewers; answers the session that Vera opened before, in a browser that shows none.
async fn viewers_are_asked(app: &App) -> Browser {
    let mut ann = Browser::new(app, None, Version::HTTP_2);
    ann.sign_in("ann").await;
    let (_, user) = ann.get("/users/vera").await;
    let email = json!({"version": user["version"], "email": "Vera@example.org"});
    assert_eq!(ann.call(Method::PATCH, "/users/vera", email).await.0, StatusCode::OK);
    let (_, mut policy) = ann.get("/settings/security").await;
    policy["certificate_roles"] = json!(["admin"]);
    let (status, problem) = ann.call(Method::PUT, "/settings/security", policy.clone()).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "nobody shuts themselves out: {problem}");
    let mut earlier = Browser::new(app, None, Version::HTTP_2);
    earlier.sign_in("vera").await;
    assert_eq!(earlier.state().await, open());
    policy["certificate_roles"] = json!(["viewer"]);
    let (status, set) = ann.call(Method::PUT, "/settings/security", policy.clone()).await;
    assert_eq!((status, &set["certificate_roles"]), (StatusCode::OK, &json!(["viewer"])));
    assert_eq!(ann.state().await, open(), "other roles stay");
    earlier
}

/// A certificate that is revoked ends what goes on, and lets nobody in again.
async fn revoking_ends(app: &App, ours: &Authority, vera: &Card, mut inside: Browser) {
    assert_eq!(inside.state().await, open());
    ours.revoke(&[1]);
    let begun = Instant::now();
    while inside.get("/session").await.1["state"] == "active" {
        assert!(begun.elapsed() < PATIENCE, "the new list is not taken up");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(inside.state().await, closed(), "on the connection that was open already");
    let again = Browser::new(app, Some(vera), Version::HTTP_2).send(Method::GET, "/sign-in", Value::Null).await;
    assert!(again.is_err(), "no new connection");
}

#[test]
fn a_role_that_asks_for_a_certificate_is_closed_without_one() {
    let ours = Authority::new("Ours");
    let mail = |params: &mut CertificateParams, text: &str| {
        params.subject_alt_names.push(SanType::Rfc822Name(text.try_into().unwrap()));
    };
    let vera = ours.certify("Vera", 1, |params| mail(params, "vera@example.org"));
    let other = ours.certify("Other", 2, |params| mail(params, "other@example.org"));
    let app = ours.start(&["--set", "server.tls.client_name=email"]);
    add(&app, "ann", "admin");
    add(&app, "vera", "viewer");
    block_on(async {
        let mut earlier = viewers_are_asked(&app).await;
        assert_eq!(earlier.state().await, closed(), "at once, for open sessions too");
        let own = json!({"display_name": "x", "version": 1});
        assert_eq!(earlier.call(Method::PATCH, "/profile", own).await.0, StatusCode::FORBIDDEN);
        for version in [Version::HTTP_11, Version::HTTP_2] {
            assert_eq!(earlier.taken_to(Browser::new(&app, Some(&other), version)).state().await, closed());
            let mut right = earlier.taken_to(Browser::new(&app, Some(&vera), version));
            assert_eq!(right.state().await, open());
            assert_eq!(right.get("/session").await.1["certificate"], json!({"required": true, "presented": true}));
            // The address in the certificate is the account's: no certificate was added to it.
            assert_eq!(right.by_certificate().await.1["name"], "vera");
        }
        let program = json!({"name": "vera", "password": PASSWORD});
        let mut without = Browser::new(&app, None, Version::HTTP_2);
        let (status, _) = without.call(Method::POST, "/tokens", program.clone()).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "no way round it for programs");
        let mut with = Browser::new(&app, Some(&vera), Version::HTTP_2);
        assert_eq!(with.call(Method::POST, "/tokens", program).await.0, StatusCode::CREATED);
        revoking_ends(&app, &ours, &vera, earlier.taken_to(with)).await;
    });
}

#[test]
fn the_command_line_is_the_way_back_in() {
    let ours = Authority::new("Ours");
    let other = ours.certify("Other", 2, |_| {});
    let mut app = ours.start(&[]);
    add(&app, "ann", "admin");
    add(&app, "vera", "viewer");
    block_on(async {
        let mut earlier = viewers_are_asked(&app).await;
        assert_eq!(earlier.state().await, closed());
    });
    let waived = app.cli(&["user", "certificate", "waive"]);
    assert!(waived.status.success(), "{}", text(&waived.stderr));
    assert!(text(&waived.stdout).contains("viewer"), "{}", text(&waived.stdout));
    block_on(async {
        let mut vera = Browser::new(&app, None, Version::HTTP_2);
        assert_eq!(vera.sign_in("vera").await["state"], "active");
        let mut ann = Browser::new(&app, None, Version::HTTP_2);
        ann.sign_in("ann").await;
        let role = json!({"name": "careful", "permissions": ["alerts:read"], "certificate_required": true});
        let (status, made) = ann.call(Method::POST, "/roles", role).await;
        assert_eq!((status, &made["certificate_required"]), (StatusCode::CREATED, &json!(true)));
        let (_, user) = ann.get("/users/vera").await;
        let change = json!({"version": user["version"], "role": "careful"});
        assert_eq!(ann.call(Method::PATCH, "/users/vera", change).await.0, StatusCode::OK);
        assert_eq!(vera.state().await, closed());
    });
    assert!(app.stop());
    let file = other.file.to_str().unwrap();
    for command in [&["add", "vera", file][..], &["list", "vera"], &["waive"]] {
        let done = app.cli(&[&["user", "certificate"][..], command].concat());
        assert!(done.status.success(), "{command:?}: {}", text(&done.stderr));
    }
    // Without authorities no certificate is asked for, and no role can ask for one.
    app.spawn();
    block_on(async {
        let mut vera = Browser::new(&app, Some(&other), Version::HTTP_2);
        let (_, offer) = vera.get("/sign-in").await;
        assert!(!offer["methods"].as_array().unwrap().contains(&json!("certificate")), "{offer}");
        assert_eq!(vera.sign_in("vera").await["state"], "active");
        let mut ann = Browser::new(&app, None, Version::HTTP_2);
        ann.sign_in("ann").await;
        let (_, role) = ann.get("/roles/careful").await;
        let change = json!({"version": role["version"], "certificate_required": true});
        assert_eq!(ann.call(Method::PATCH, "/roles/careful", change).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    });
}

#[test]
fn the_local_certificate_is_renewed_while_the_server_runs() {
    let app = App::start();
    let served = || {
        // A client of its own each time: a new connection.
        let http = builder(&app).tls_info(true).build().unwrap();
        let url = format!("{}/api/v1/session", app.url());
        let answer = block_on(async { http.get(url).send().await }).unwrap();
        let info = answer.extensions().get::<reqwest::tls::TlsInfo>().unwrap();
        info.peer_certificate().unwrap().to_vec()
    };
    let (first, file) = (served(), app.data.join("tls/server.json"));
    assert_eq!(first, served());
    // It was issued long ago, as far as anybody knows.
    let mut issued: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    issued["at"] = json!(0);
    std::fs::write(&file, issued.to_string()).unwrap();
    let renewed = app.wait("the new certificate", |_| Some(served()).filter(|now| *now != first));
    assert_eq!(renewed, served());
    assert!(app.cli(&["alerts"]).status.success(), "commands on this machine go on");
}

#[test]
fn what_is_no_authority_and_no_list_is_said_at_the_start() {
    let ours = Authority::new("Ours");
    let (ca, crl) = (ours.path("ca.pem"), ours.path("crl.pem"));
    std::fs::write(ours.path("empty.pem"), "").unwrap();
    for (more, said) in [
        (vec![("client_ca", ours.path("none.pem"))], "server.tls.client_ca: cannot read"),
        (vec![("client_ca", ours.path("empty.pem"))], "holds no certificate"),
        (vec![("client_ca", ca.clone()), ("client_crl", ours.path("none.pem"))], "server.tls.client_crl: "),
        (vec![("client_ca", ca.clone()), ("client_crl", ca)], "holds no list of revoked certificates"),
        (vec![("client_crl", crl)], "server.tls.client_ca is not"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let mut command = guardian(&dir.path().join("data"));
        command.args(["--set", "server.address=127.0.0.1:0", "--set", "collect.listeners=[]"]);
        for (key, path) in &more {
            command.arg("--set").arg(format!("server.tls.{key}={}", path.display()));
        }
        let done = command.arg("serve").output().unwrap();
        assert!(!done.status.success() && text(&done.stderr).contains(said), "{more:?}: {}", text(&done.stderr));
    }
}
