//! Passwords that are known from break-ins elsewhere, by a list and by a service.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::mpsc;

use guardian_catalog::{Catalog, CatalogConfig};
use guardian_identity::{
    BreachedFormat, BreachedPasswords, Identity, IdentityConfig, IdentityError, NewAccount, Origin,
};
use guardian_kit::clock::ManualClock;
use guardian_kit::egress::{Client, EgressConfig};
use guardian_kit::metrics::Metrics;
use guardian_model::Micros;
use tempfile::TempDir;

use crate::{GOOD, HOME};

async fn site(breached_passwords: BreachedPasswords) -> (Identity, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let clock = std::sync::Arc::new(ManualClock::new(Micros(1_767_225_600_000_000)));
    let catalog = Catalog::connect(&CatalogConfig::default(), dir.path(), clock.clone()).await.unwrap();
    let config = IdentityConfig { breached_passwords, ..IdentityConfig::default() };
    assert_eq!(config.problem(), None);
    let identity = Identity::new(catalog, clock, config, dir.path());
    let egress = EgressConfig { allow: vec!["127.0.0.1".into()], ..EgressConfig::default() };
    identity.reach(Client::new(&egress, &Metrics::new()).unwrap());
    (identity, dir)
}

async fn add(identity: &Identity, name: &str, password: &str) -> Result<(), IdentityError> {
    let new = NewAccount {
        name: name.into(),
        display_name: String::new(),
        email: None,
        password: Some(password.into()),
        role: "viewer".into(),
    };
    let root = identity.local_operator("root").await.unwrap();
    identity.add_user(&root, HOME, &new, &Origin::default()).await.map(drop)
}

/// Answers every request with `answer`, and tells what was asked for.
fn service(answer: &'static str) -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/range/", listener.local_addr().unwrap());
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let asked = lines.next().unwrap().unwrap();
            let padded = lines.map_while(Result::ok).take_while(|line| !line.is_empty());
            let padded = padded.filter(|line| line.to_lowercase() == "add-padding: true").count();
            if tell.send(format!("{asked} {padded}")).is_err() {
                return;
            }
            write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{answer}", answer.len())
                .unwrap();
        }
    });
    (url, told)
}

#[tokio::test]
async fn a_list_is_asked_wherever_a_password_is_set() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{GOOD}\nanother known one\n")).unwrap();
    let config = BreachedPasswords {
        list: file.path().to_owned(),
        format: BreachedFormat::Plain,
        ..BreachedPasswords::default()
    };
    let (identity, _dir) = site(config).await;
    assert!(matches!(add(&identity, "ann", GOOD).await, Err(IdentityError::BreachedPassword)));
    add(&identity, "ann", "nobody knows this one").await.unwrap();
    let root = identity.local_operator("root").await.unwrap();
    let reset = identity.reset_password(&root, "ann", "another known one", &Origin::default()).await;
    assert!(matches!(reset, Err(IdentityError::BreachedPassword)));
    let signed_in = identity.sign_in("ann", "nobody knows this one", &Origin::default()).await.unwrap();
    let own = identity.change_password(&signed_in.principal, "nobody knows this one", GOOD, &Origin::default()).await;
    assert!(matches!(own, Err(IdentityError::BreachedPassword)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_learns_five_digits() {
    let hash = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, GOOD.as_bytes());
    let hex = hash.as_ref().iter().fold(String::new(), |text, byte| format!("{text}{byte:02X}"));
    let answer: &'static str = format!("{}:7\r\n{}:0\r\n", &hex[5..], "0".repeat(35)).leak();
    let (url, asked) = service(answer);
    let (identity, _dir) = site(BreachedPasswords { range_url: url, ..BreachedPasswords::default() }).await;
    assert!(matches!(add(&identity, "ann", GOOD).await, Err(IdentityError::BreachedPassword)));
    assert_eq!(asked.recv().unwrap(), format!("GET /range/{} HTTP/1.1 1", &hex[..5]), "and the answer is padded");
    add(&identity, "ann", "nobody knows this one").await.unwrap();
    asked.recv().unwrap();
    assert!(add(&identity, "bob", "short").await.is_err());
    assert!(asked.try_recv().is_err(), "what is refused anyway is not asked about");
}

#[tokio::test]
async fn what_cannot_be_asked_refuses_only_where_the_operator_wants_that() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = BreachedPasswords { range_url: format!("http://{gone}/"), ..BreachedPasswords::default() };
    let (identity, _dir) = site(config.clone()).await;
    add(&identity, "ann", GOOD).await.unwrap();
    let (identity, _dir) = site(BreachedPasswords { required: true, ..config }).await;
    assert!(matches!(add(&identity, "ann", GOOD).await, Err(IdentityError::External(_))));
}
