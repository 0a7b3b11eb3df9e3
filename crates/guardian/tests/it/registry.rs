//! Images of registries, from a small registry that gives nothing without a token: what is pulled is read, what is not as it
//! should be is refused, and a password is shown to nobody who does not ask for it.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Output;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::app::{guardian, text};

/// A registry on this machine.
struct Registry {
    address: String,
    /// Requests: path and authorization.
    asked: Arc<Mutex<Vec<(String, String)>>>,
}

/// An answer: status, headers, body.
type Answer = (u16, Vec<String>, Vec<u8>);

impl Registry {
    /// Gives these things, by their path behind the repository.
    fn start(things: BTreeMap<String, Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, host) = (Arc::clone(&asked), address.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                serve(stream, |path, authorization| {
                    log.lock().unwrap().push((path.to_owned(), authorization.to_owned()));
                    answer(&things, &host, path, authorization)
                });
            }
        });
        Self { address, asked }
    }

    fn sbom(&self, image: &str, password: &str) -> Output {
        let data = tempfile::tempdir().unwrap();
        let mut command = guardian(data.path());
        command.env("GUARDIAN_REGISTRY_USER", "reader").env("GUARDIAN_REGISTRY_PASSWORD", password);
        command.env("DOCKER_CONFIG", data.path());
        let image = format!("{}/{image}", self.address);
        command.args(["sbom", &image, "--plain-http", "--architecture", "amd64"]).output().unwrap()
    }
}

/// One request a connection.
fn serve(stream: TcpStream, answer: impl Fn(&str, &str) -> Answer) {
    let mut reader = BufReader::new(&stream);
    let (mut path, mut authorization) = (String::new(), String::new());
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) <= 2 {
            break;
        }
        if let Some(rest) = line.strip_prefix("GET ") {
            path = rest.split(' ').next().unwrap().to_owned();
        } else if line.to_ascii_lowercase().starts_with("authorization:") {
            authorization = line.split_once(':').unwrap().1.trim().to_owned();
        }
    }
    // What is no request, such as the beginning of TLS, gets no answer.
    if path.is_empty() {
        return;
    }
    let (status, headers, body) = answer(&path, &authorization);
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let length = body.len();
    let head = format!("HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n");
    (&stream).write_all(&[head.as_bytes(), &body].concat()).ok();
}

/// Tokens for whoever knows the password ("reader:right" in base64); blobs by way of another path, as of a store behind it.
fn answer(things: &BTreeMap<String, Vec<u8>>, host: &str, path: &str, authorization: &str) -> Answer {
    if path.starts_with("/token?") {
        return match authorization {
            "Basic cmVhZGVyOnJpZ2h0" => (200, vec![], json!({ "token": "opensesame" }).to_string().into_bytes()),
            _ => (401, vec![], Vec::new()),
        };
    }
    if let Some(path) = path.strip_prefix("/store/") {
        return things.get(path).map_or((404, vec![], Vec::new()), |thing| (200, vec![], thing.clone()));
    }
    if authorization != "Bearer opensesame" {
        let challenge = format!(
            r#"WWW-Authenticate: Bearer realm="http://{host}/token",service="test",scope="repository:team/app:pull""#
        );
        return (401, vec![challenge], Vec::new());
    }
    match path.strip_prefix("/v2/team/app/") {
        Some(blob) if blob.starts_with("blobs/") => (307, vec![format!("Location: /store/{blob}")], Vec::new()),
        Some(path) => things.get(path).map_or((404, vec![], Vec::new()), |thing| (200, vec![], thing.clone())),
        None => (404, vec![], Vec::new()),
    }
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

/// An image of one layer; gives its digest too.
fn image() -> (BTreeMap<String, Vec<u8>>, String) {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in [
        ("etc/os-release", "ID=debian\nVERSION_ID=12\n"),
        ("var/lib/dpkg/status", "Package: base\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.0-1\n\n"),
        ("srv/node_modules/lodash/package.json", r#"{"name": "lodash", "version": "4.17.20"}"#),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, path, content.as_bytes()).unwrap();
    }
    let layer = builder.into_inner().unwrap();
    let config =
        json!({ "rootfs": { "diff_ids": [digest(&layer)] }, "history": [{ "created_by": "ADD" }] }).to_string();
    let manifest = json!({ "schemaVersion": 2, "config": { "digest": digest(config.as_bytes()) },
        "layers": [{ "digest": digest(&layer) }] })
    .to_string();
    let whole = digest(manifest.as_bytes());
    let things = [
        (format!("blobs/{}", digest(&layer)), layer),
        (format!("blobs/{}", digest(config.as_bytes())), config.into_bytes()),
        (format!("manifests/{whole}"), manifest.clone().into_bytes()),
        ("manifests/1".to_owned(), manifest.into_bytes()),
    ];
    (things.into(), whole)
}

#[test]
fn an_image_is_pulled_with_a_token() {
    let (things, digest) = image();
    let registry = Registry::start(things);
    for name in ["team/app:1".to_owned(), format!("team/app@{digest}")] {
        let output = registry.sbom(&name, "right");
        assert!(output.status.success(), "{}", text(&output.stderr));
        let bill: Value = serde_json::from_slice(&output.stdout).unwrap();
        let mut names: Vec<&str> =
            bill["components"].as_array().unwrap().iter().filter_map(|one| one["name"].as_str()).collect();
        names.sort_unstable();
        assert!(names.contains(&"base") && names.contains(&"lodash"), "{names:?}");
    }
    let asked = registry.asked.lock().unwrap();
    assert!(
        asked.iter().all(|(path, authorization)| path.starts_with("/token?") == authorization.starts_with("Basic"))
    );
    assert!(asked.iter().any(|(path, _)| path.contains("scope=repository%3Ateam%2Fapp%3Apull")), "{asked:?}");
}

#[test]
fn what_is_not_given_or_not_whole_is_refused() {
    let (mut things, _) = image();
    let registry = Registry::start(things.clone());
    for (image, password, says) in [
        ("team/app:1", "wrong", "gives no token"),
        ("team/app:2", "right", "has no manifests/2"),
        ("team/other:1", "right", "has no manifests/1"),
    ] {
        let output = registry.sbom(image, password);
        assert!(!output.status.success());
        assert!(text(&output.stderr).contains(says), "{}", text(&output.stderr));
    }
    let layer = things.iter_mut().find(|(_, thing)| thing.len() > 1_500).unwrap().1;
    layer.push(0);
    let output = Registry::start(things).sbom("team/app:1", "right");
    assert!(!output.status.success() && text(&output.stderr).contains("another digest"), "{}", text(&output.stderr));
    // Without leave to do without, nobody is asked over a connection that others can read.
    let data = tempfile::tempdir().unwrap();
    let image = format!("{}/team/app:1", registry.address);
    let before = registry.asked.lock().unwrap().len();
    assert!(!guardian(data.path()).args(["sbom", &image]).output().unwrap().status.success());
    assert_eq!(registry.asked.lock().unwrap().len(), before);
}

#[test]
fn what_docker_keeps_is_used_where_nothing_is_given() {
    let (things, _) = image();
    let registry = Registry::start(things);
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("config.json");
    let run = || {
        let mut command = guardian(home.path());
        command.env_remove("GUARDIAN_REGISTRY_USER").env_remove("GUARDIAN_REGISTRY_PASSWORD");
        let path = std::env::join_paths(
            std::iter::once(home.path().to_path_buf()).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
        );
        command.env("DOCKER_CONFIG", home.path()).env("PATH", path.unwrap());
        let image = format!("{}/team/app:1", registry.address);
        command.args(["sbom", &image, "--plain-http", "--architecture", "amd64"]).output().unwrap()
    };
    assert!(!run().status.success());
    // "reader:right"
    let auths = json!({ "auths": { registry.address.as_str(): { "auth": "cmVhZGVyOnJpZ2h0" } } });
    std::fs::write(&file, auths.to_string()).unwrap();
    assert!(run().status.success());
    std::fs::write(&file, json!({ "credHelpers": { registry.address.as_str(): "example" } }).to_string()).unwrap();
    let helper = home.path().join("docker-credential-example");
    let script = format!(
        "#!/bin/sh\nread -r server\n[ \"$1 $server\" = 'get {}' ] || exit 1\n\
         echo '{{\"ServerURL\": \"x\", \"Username\": \"reader\", \"Secret\": \"right\"}}'\n",
        registry.address
    );
    guardian_testkit::program::write(&helper, script);
    let output = run();
    assert!(output.status.success(), "{}", text(&output.stderr));
}
