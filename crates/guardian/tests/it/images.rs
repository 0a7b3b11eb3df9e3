//! Images of containers: made as builders make them, looked into and sent by the real program, judged by the server, sent
//! again with something else in them, put up with, handed on, and seen by nobody else.

use std::path::{Path, PathBuf};

use reqwest::{Body, Method};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::app::{App, text};
use crate::http::{block_on, client};
use crate::vulnerabilities::{BAD, build, soon};

const NAME: &str = "registry.example/team/app:1";
const RELEASE: &str = "ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian 12\"\n";

fn advisory(name: &str, ecosystem: &str, package: &str, fixed: &str) -> Value {
    json!({
        "schema_version": "1.6.0", "id": name, "modified": "2026-01-01T00:00:00Z", "published": "2026-01-01T00:00:00Z",
        "summary": format!("{package} is wrong, says {name}"), "severity": [{ "type": "CVSS_V3", "score": BAD }],
        "affected": [{ "package": { "ecosystem": ecosystem, "name": package },
            "ranges": [{ "type": "ECOSYSTEM", "events": [{ "introduced": "0" }, { "fixed": fixed }] }] }]
    })
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold("sha256:".to_owned(), |hex, byte| format!("{hex}{byte:02x}"))
}

fn tar(files: &[(&str, String)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, path, content.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

/// The lowest layer: a distribution with one package in this version.
fn rootfs(version: &str) -> Vec<u8> {
    let status = format!(
        "Package: guardian-test\nStatus: install ok installed\nArchitecture: amd64\nVersion: {version}\n\n\
         Package: quiet\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.0-1\n\n"
    );
    tar(&[("etc/os-release", RELEASE.to_owned()), ("var/lib/dpkg/status", status)])
}

/// What an application brings: packages of npm.
fn application(packages: &[&str]) -> Vec<u8> {
    let all: serde_json::Map<String, Value> = packages
        .iter()
        .map(|name| (format!("node_modules/{name}"), json!({ "version": "1.0.0", "integrity": "sha512-x" })))
        .collect();
    let lock = json!({ "name": "app", "lockfileVersion": 3, "packages": all }).to_string();
    tar(&[("srv/package-lock.json", lock)])
}

/// An image with these layers, as OCI lays it out in a folder.
fn layout(folder: &Path, layers: &[Vec<u8>]) -> PathBuf {
    let blobs = folder.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    let keep = |bytes: &[u8]| {
        let digest = digest(bytes);
        std::fs::write(blobs.join(digest.strip_prefix("sha256:").unwrap()), bytes).unwrap();
        json!({ "digest": digest, "size": bytes.len() })
    };
    let kept: Vec<Value> = layers.iter().map(|layer| keep(layer)).collect();
    let ids: Vec<Value> = kept.iter().map(|layer| layer["digest"].clone()).collect();
    let history = json!([{ "created_by": "ADD rootfs.tar / # buildkit" },
        { "created_by": "CMD [\"sh\"]", "empty_layer": true }, { "created_by": "COPY package-lock.json /srv/" },
        { "created_by": "CMD [\"node\"]", "empty_layer": true }]);
    let config = json!({ "architecture": "amd64", "os": "linux", "history": history,
        "rootfs": { "type": "layers", "diff_ids": ids } });
    let config = keep(config.to_string().as_bytes());
    let manifest = json!({ "schemaVersion": 2, "config": config, "layers": kept }).to_string();
    let index = json!({ "schemaVersion": 2, "manifests": [keep(manifest.as_bytes())] }).to_string();
    std::fs::write(folder.join("index.json"), index).unwrap();
    std::fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion": "1.0.0"}"#).unwrap();
    folder.to_owned()
}

fn send(app: &App, layout: &Path, more: &[&str]) -> Value {
    let path = layout.to_str().unwrap();
    app.json(&[&["images", "send", path, "--name", NAME], more].concat())[0].clone()
}

/// What is known of one vulnerability in the image, in any state.
fn finding(app: &App, name: &str) -> Option<Value> {
    let all = app.json(&["images", "show", NAME, "--state", "open,excepted,fixed,withdrawn"]);
    all.as_array().unwrap().iter().find(|row| row["vulnerability"] == name).cloned()
}

fn wait_for(app: &App, name: &str, state: &str) -> Value {
    app.wait(&format!("{name} is {state}"), |app| finding(app, name).filter(|row| row["state"] == state))
}

fn api(app: &App, method: Method, path: &str, tenant: Option<&str>, body: Option<Body>) -> (u16, Value) {
    block_on(async {
        let mut request = client(app).request(method, format!("{}/api/v1{path}", app.url()));
        request = request.bearer_auth(app.operator_key()).header("content-type", "application/json");
        if let Some(tenant) = tenant {
            request = request.header("x-guardian-tenant", tenant);
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap_or_default())
    })
}

/// What is none, and what is too much, is refused in words that help.
fn refused(app: &App, dir: &Path) {
    let post = |path: &str, body: &str| api(app, Method::POST, path, None, Some(body.to_owned().into()));
    let bill = r#"{"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [
        {"type": "library", "name": "x", "purl": "pkg:npm/x@1.0.0"}]}"#;
    let empty = r#"{"bomFormat": "CycloneDX", "specVersion": "1.6", "components": []}"#;
    for (path, body, why) in [
        ("/images?name=a:1", "rubbish", "guardian sbom IMAGE"),
        ("/images?name=a:1", r#"{"spdxVersion": "SPDX-3.0"}"#, "not of SPDX 2"),
        ("/images?name=a:1", empty, "nothing could be judged"),
        ("/images", bill, "registry.example/team/app:1.2"),
        ("/images?name=/etc/passwd", bill, "no name of an image"),
        ("/images?name=a:1&digest=sha256:12", bill, "64 hexadecimal digits"),
        ("/images?name=a:1&criticality=none", bill, "low, medium or high"),
    ] {
        let (status, problem) = post(path, body);
        assert_eq!(status, 422, "{path}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(why), "{path}: {problem}");
    }
    let (status, problem) = post("/images?name=a:1", &"x".repeat(33 << 20));
    assert_eq!(status, 413, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("32 MiB"), "{problem}");
    for (arguments, why) in [
        (&["images", "send", dir.to_str().unwrap()][..], "no image and no bill of materials"),
        (&["images", "show", NAME], "images send"),
        (&["images", "delete", NAME], "images list"),
        (&["scan", dir.to_str().unwrap(), "--name", "a:1"], "add --send"),
    ] {
        let output = app.cli(arguments);
        assert!(!output.status.success(), "{arguments:?}");
        assert!(text(&output.stderr).contains(why), "{arguments:?}: {}", text(&output.stderr));
    }
    assert!(app.json(&["images", "list"]).as_array().unwrap().is_empty(), "nothing of it is kept");
}

/// Put up with in this image alone, by its name.
fn excepted(app: &App) {
    let request = ["vulnerabilities", "exceptions", "request", "CVE-2026-1001", "--reason", "It is never called"];
    let unknown = app.cli(&[&request[..], &["--until", &soon(), "--image", "registry.example/none:1"]].concat());
    assert!(text(&unknown.stderr).contains("no such image"), "{}", text(&unknown.stderr));
    let asked = app.json(&[&request[..], &["--until", &soon(), "--image", NAME]].concat());
    let id = asked[0]["id"].as_str().unwrap().to_owned();
    assert!(app.cli(&["vulnerabilities", "settings", "set", "--own-approval", "true"]).status.success());
    assert!(app.cli(&["vulnerabilities", "exceptions", "approve", &id]).status.success());
    assert_eq!(finding(app, "CVE-2026-1001").unwrap()["state"], "excepted");
    let sarif: Value =
        serde_json::from_slice(&app.cli(&["images", "export", NAME, "--format", "sarif"]).stdout).unwrap();
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    let ours = results.iter().find(|result| result["ruleId"] == "CVE-2026-1001").unwrap();
    assert!(ours["suppressions"].as_array().is_some_and(|all| !all.is_empty()), "{ours}");
    assert!(app.cli(&["vulnerabilities", "exceptions", "end", &id]).status.success());
    assert_eq!(finding(app, "CVE-2026-1001").unwrap()["state"], "open");
}

/// The ways out, and that they are remembered.
fn exported(app: &App) {
    let export = |format: &str| text(&app.cli(&["images", "export", NAME, "--format", format]).stdout);
    let csv = export("csv");
    let line = csv.lines().find(|line| line.contains("CVE-2026-1001")).unwrap();
    assert!(line.starts_with(NAME) && line.contains("ADD rootfs.tar"), "{csv}");
    let rows: Value = serde_json::from_str(&export("json")).unwrap();
    assert_eq!(rows.as_array().unwrap().len(), 2, "{rows}");
    let bill: Value = serde_json::from_str(&export("cyclonedx")).unwrap();
    assert_eq!(bill["metadata"]["component"]["type"], "container");
    assert!(bill["vulnerabilities"].as_array().unwrap().iter().any(|one| one["id"] == "CVE-2026-1002"), "{bill}");
    assert!(!app.cli(&["images", "export", NAME, "--format", "toml"]).status.success());
    for language in ["en", "de"] {
        let paper = app.cli(&["images", "export", NAME, "--format", "pdf", "--language", language]);
        assert!(paper.stdout.starts_with(b"%PDF-"), "{}", text(&paper.stderr));
    }
    assert!(!app.cli(&["images", "export", NAME, "--format", "pdf", "--state", "fixed"]).status.success());
    let audit = app.json(&["audit", "list", "--action", "vulnerability.export"]);
    assert!(audit.as_array().unwrap().len() >= 5, "{audit}");
    assert!(!app.json(&["audit", "list", "--action", "image.send"]).as_array().unwrap().is_empty());
}

/// Nobody else sees it, and hosts are not counted with it.
fn apart(app: &App, id: &str) {
    let acme = json!({ "slug": "acme", "name": "Acme" }).to_string();
    let (_, acme) = api(app, Method::POST, "/tenants", None, Some(acme.into()));
    let acme = acme["id"].as_str().unwrap();
    let (status, theirs) = api(app, Method::GET, "/images", Some(acme), None);
    assert_eq!((status, &theirs["total"]), (200, &0.into()), "{theirs}");
    for (method, path) in [
        (Method::GET, format!("/images/{id}")),
        (Method::GET, format!("/images/{id}/vulnerabilities")),
        (Method::GET, format!("/images/{id}/vulnerabilities/export")),
        (Method::DELETE, format!("/images/{id}")),
    ] {
        assert_eq!(api(app, method, &path, Some(acme), None).0, 404, "{path}");
    }
    let summary = app.json(&["vulnerabilities", "summary"]);
    assert_eq!((&summary["hosts"], &summary["open"]), (&0.into(), &0.into()), "an image is no host");
    assert!(app.json(&["vulnerabilities", "list"]).as_array().unwrap().is_empty());
    let (_, known) = api(app, Method::GET, "/vulnerabilities/advisories/CVE-2026-1001", None, None);
    assert_eq!((&known["images"][0]["name"], &known["packages"]), (&NAME.into(), &json!([])));
}

/// Lists with what is asked of them, page by page.
fn listed(app: &App) {
    let names = |more: &[&str]| -> Vec<String> {
        let all = app.json(&[&["images", "list"], more].concat());
        all.as_array().unwrap().iter().map(|image| image["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&[]), [NAME, "registry.example/base:1"], "the one with the most risk first");
    assert_eq!(names(&["--sort", "name"]), ["registry.example/base:1", NAME]);
    assert_eq!(names(&["--search", "team/"]), [NAME]);
    assert_eq!(names(&["--distribution", "debian:12"]).len(), 2);
    assert!(names(&["--exploited"]).is_empty() && names(&["--running"]).is_empty());
    assert!(!app.cli(&["images", "list", "--rating", "terrible"]).status.success());
    let (_, first) = api(app, Method::GET, "/images?limit=1", None, None);
    let cursor = first["next_cursor"].as_str().unwrap();
    let (_, second) = api(app, Method::GET, &format!("/images?limit=1&cursor={cursor}"), None, None);
    assert_eq!(
        (&second["items"][0]["name"], &second["next_cursor"]),
        (&"registry.example/base:1".into(), &Value::Null)
    );
    let (_, findings) =
        api(app, Method::GET, &format!("/images/{}/vulnerabilities?limit=1", id_of(&first)), None, None);
    let cursor = findings["next_cursor"].as_str().unwrap();
    let path = format!("/images/{}/vulnerabilities?limit=1&cursor={cursor}", id_of(&first));
    let (_, rest) = api(app, Method::GET, &path, None, None);
    assert_ne!(rest["items"][0]["vulnerability"], findings["items"][0]["vulnerability"]);
    assert_eq!((rest["items"].as_array().unwrap().len(), &rest["next_cursor"]), (1, &Value::Null));
}

fn id_of(list: &Value) -> &str {
    list["items"][0]["id"].as_str().unwrap()
}

/// What another push under the same name does to findings, and one with what was there before.
fn pushed_again(app: &App, (old, new): (&Path, &Path), (sent, base): (&Value, &Value)) {
    // Another push fixes one and brings another.
    assert_ne!(send(app, new, &[])["digest"], sent["digest"]);
    let fixed = wait_for(app, "CVE-2026-1001", "fixed");
    assert_eq!(fixed["first_seen"], base["first_seen"]);
    assert_eq!(wait_for(app, "CVE-2026-1003", "open")["reopened"], 0);
    let history = app.json(&["images", "show", NAME, "--history"]);
    assert_eq!((history.as_array().unwrap().len(), &history[1]["digest"]), (2, &sent["digest"]));
    // And the one before comes back with what it had.
    send(app, old, &[]);
    let again = wait_for(app, "CVE-2026-1001", "open");
    assert_eq!((&again["reopened"], &again["first_seen"]), (&1.into(), &base["first_seen"]));
    wait_for(app, "CVE-2026-1003", "fixed");
}

#[test]
fn what_is_wrong_with_an_image_is_known_fixed_and_comes_back() {
    let app = App::start();
    let dir = tempfile::tempdir().unwrap();
    let folder = |name: &str| dir.path().join(name);
    let old = layout(&folder("old"), &[rootfs("1.0-1"), application(&["lodash"])]);
    let new = layout(&folder("new"), &[rootfs("2.0-1"), application(&["lodash", "minimist"])]);
    refused(&app, dir.path());

    let sent = send(&app, &old, &["--criticality", "high"]);
    let id = sent["id"].as_str().unwrap().to_owned();
    let manifest: Value = serde_json::from_slice(&std::fs::read(old.join("index.json")).unwrap()).unwrap();
    assert_eq!(sent["digest"], manifest["manifests"][0]["digest"]);
    assert_eq!((&sent["distribution"], &sent["architecture"]), (&"debian:12".into(), &"amd64".into()));
    assert_eq!((&sent["layers"], &sent["packages"], &sent["criticality"]), (&2.into(), &3.into(), &"high".into()));
    assert!(app.json(&["images", "show", NAME]).as_array().unwrap().is_empty(), "nobody knows anything yet");

    let one = ("one.json", advisory("CVE-2026-1001", "Debian:12", "guardian-test", "2.0-1"));
    let three = ("three.json", advisory("CVE-2026-1003", "npm", "minimist", "2.0.0"));
    let two = ("two.json", advisory("CVE-2026-1002", "npm", "lodash", "2.0.0"));
    build(&app, dir.path(), &[one.clone(), two, three.clone()]);
    let base = wait_for(&app, "CVE-2026-1001", "open");
    assert_eq!(
        (&base["layer"], &base["base"], &base["made_by"]),
        (&0.into(), &true.into(), &"ADD rootfs.tar / # buildkit".into())
    );
    assert_eq!((&base["installed"][0]["fixed_in"], &base["package"]), (&json!(["2.0-1"]), &"guardian-test".into()));
    let own = wait_for(&app, "CVE-2026-1002", "open");
    assert_eq!((&own["layer"], &own["base"]), (&1.into(), &false.into()));
    assert_eq!(own["installed"][0]["places"], json!(["/srv/package-lock.json"]));
    assert_eq!(app.json(&["images", "show", NAME, "--own"]).as_array().unwrap().len(), 1);
    excepted(&app);
    exported(&app);
    apart(&app, &id);

    // What is built upon another image that is known says upon which.
    let small = layout(&folder("base"), &[rootfs("1.0-1")]);
    let scan = app.cli(&["scan", small.to_str().unwrap(), "--send", "--name", "registry.example/base:1"]);
    assert!(scan.status.success(), "{}", text(&scan.stderr));
    let (_, detail) = api(&app, Method::GET, &format!("/images/{id}"), None, None);
    assert_eq!((&detail["base"]["name"], &detail["base"]["layers"]), (&"registry.example/base:1".into(), &1.into()));
    assert_eq!(
        (&detail["base_open"], &detail["own_open"], &detail["image"]["open"]),
        (&1.into(), &1.into(), &2.into())
    );
    assert_eq!((&detail["layers"][0]["packages"], &detail["layers"][1]["open"]), (&2.into(), &1.into()));
    assert_eq!(detail["fixes"].as_array().unwrap().len(), 2, "{detail}");
    listed(&app);

    pushed_again(&app, (&old, &new), (&sent, &base));

    // Other advisories judge images as they do hosts.
    let four = ("two.json", advisory("CVE-2026-1004", "npm", "lodash", "3.0.0"));
    build(&app, dir.path(), &[one, four, three]);
    wait_for(&app, "CVE-2026-1004", "open");
    wait_for(&app, "CVE-2026-1002", "withdrawn");

    assert!(app.cli(&["images", "delete", NAME]).status.success());
    assert!(!app.cli(&["images", "show", NAME]).status.success());
    let (status, known) = api(&app, Method::GET, "/vulnerabilities/advisories/CVE-2026-1004", None, None);
    assert_eq!((status, &known["images"]), (200, &json!([])), "what is deleted is gone at once");
}
