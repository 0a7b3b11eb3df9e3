//! Evidence that a host collects comes to the server, whole and for the right eyes alone.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::app::{App, text};
use crate::policy::connected;

/// Bytes that no compression makes shorter.
fn noise(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"noise");
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}

fn collect(app: &App, host: &str, file: &Path) -> Value {
    let action = json!({"kind": "collect", "parts": ["sockets"], "files": [file.to_str().unwrap()]}).to_string();
    app.json(&["commands", "give", &action, "--host", host, "--follow"])
}

fn pack(app: &App, command: &str, state: &str) -> Value {
    app.wait("the evidence is here", |app| {
        let found = app.json(&["commands", "evidence", command]);
        let pack = found.as_array()?.first()?.clone();
        (pack["state"] == state).then_some(pack)
    })
}

fn id(command: &Value) -> String {
    command["id"].as_str().unwrap().to_owned()
}

fn sealed_files(app: &App) -> Vec<PathBuf> {
    let folder = app.data.join("evidence/packs");
    let tenants = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    tenants.flat_map(|tenant| std::fs::read_dir(tenant).unwrap()).map(|entry| entry.unwrap().path()).collect()
}

fn take(app: &App, command: &str, host: &str, to: &Path, more: &[&str]) -> Result<Vec<u8>, String> {
    let args = [&["commands", "evidence", command, "--host", host, "--to", to.to_str().unwrap()], more].concat();
    let output = app.cli(&args);
    if output.status.success() { Ok(std::fs::read(to).unwrap()) } else { Err(text(&output.stderr)) }
}

fn unpacked(bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut archive = tar::Archive::new(zstd::Decoder::new(bytes).unwrap());
    let entry = |entry: std::io::Result<tar::Entry<'_, _>>| {
        let mut entry = entry.unwrap();
        let (name, mut content) = (entry.path().unwrap().to_str().unwrap().to_owned(), Vec::new());
        entry.read_to_end(&mut content).unwrap();
        (name, content)
    };
    archive.entries().unwrap().map(entry).collect()
}

#[test]
fn evidence_comes_to_the_server_over_its_end_and_is_opened_there() {
    let mut app = App::start();
    let (mut agent, host, way) = connected(&app, &[], &["--no-files"]);
    let folder = tempfile::tempdir().unwrap();
    let (small, large) = (folder.path().join("note.txt"), folder.path().join("large.bin"));
    std::fs::write(&small, "the safe is behind the picture").unwrap();
    std::fs::write(&large, noise(96 << 20)).unwrap();

    let done = collect(&app, &host, &small);
    assert_eq!(done["states"]["done"], 1, "{done}");
    let command = id(&done);
    let kept = pack(&app, &command, "kept");
    assert_eq!(kept["hash"], done["runs"][0]["outcome"]["pack"]["hash"]);
    app.wait("the machine has it no more", |_| {
        (std::fs::read_dir(agent.home().join("response/evidence")).unwrap().count() == 0).then_some(())
    });
    // Nothing of it lies open on the server; whoever may, gets it opened.
    let sealed = sealed_files(&app);
    let bytes = std::fs::read(&sealed[0]).unwrap();
    assert_eq!((sealed.len(), blake3::hash(&bytes).to_hex().to_string()), (1, kept["hash"].as_str().unwrap().into()));
    let to = |name: &str| folder.path().join(name);
    let opened = unpacked(&take(&app, &command, &host, &to("opened"), &[]).unwrap());
    assert!(opened.values().any(|content| content == b"the safe is behind the picture"), "{:?}", opened.keys());
    assert!(opened.contains_key("manifest.json"), "{:?}", opened.keys());
    assert_eq!(take(&app, &command, &host, &to("sealed"), &["--sealed"]).unwrap(), bytes);

    // The server dies while a long one is on its way, and goes on with it when it is back.
    let action = json!({"kind": "collect", "parts": ["sockets"], "files": [large.to_str().unwrap()]}).to_string();
    let second = id(&app.json(&["commands", "give", &action, "--host", &host]));
    app.wait("a part of it is here", |app| {
        let part = sealed_files(app).into_iter().find(|path| path.extension().is_some_and(|e| e == "part"))?;
        (std::fs::metadata(part).ok()?.len() > 1 << 20).then_some(())
    });
    app.kill();
    app.spawn();
    way.lead(crate::fleet::address(&app));
    assert_eq!(
        pack(&app, &second, "kept")["entries"],
        json!(unpacked(&take(&app, &second, &host, &to("second"), &[]).unwrap()).len() - 1)
    );

    // What was changed on the disk is not given out as if it were whole.
    let mut changed = bytes;
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    std::fs::write(&sealed[0], changed).unwrap();
    assert!(take(&app, &command, &host, &to("changed"), &[]).is_err());
    assert!(!to("changed").exists());
    let audit = text(&app.cli(&["audit", "list", "--output", "json", "-n", "200"]).stdout);
    for action in ["evidence.received", "evidence.taken"] {
        assert!(audit.contains(action), "{action} is not in the audit trail");
    }
    agent.stop();
}
