//! Telemetry encrypted on the disk: whoever has the disk reads nothing, and users notice nothing.

use std::path::{Path, PathBuf};

use crate::app::{App, capture, guardian, text};

/// 198.51.100.66, who scans, as the log and as Parquet files hold it, and the name of a column.
const MARKERS: [&[u8]; 3] =
    [&[198, 51, 100, 66], &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 198, 51, 100, 66], b"src_ip"];
const FLOWS: &str = "SELECT count(*) FROM flows";
const SCANNER: &str = "SELECT count(*) FROM flows WHERE src_ip = '198.51.100.66'";

fn configured(encryption: bool) -> App {
    let app = App::elsewhere();
    std::fs::create_dir_all(&app.data).unwrap();
    let config = format!("lake:\n  encryption: {encryption}\n  flush_after: 100ms\n");
    std::fs::write(app.data.join("guardian.yaml"), config).unwrap();
    app
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.flat_map(|e| if e.path().is_dir() { files_below(&e.path()) } else { vec![e.path()] }).collect()
}

/// How many files of the lake hold each marker.
fn found(app: &App) -> [usize; 3] {
    let files = files_below(&app.data.join("lake"));
    let bytes: Vec<_> = files.iter().map(|path| std::fs::read(path).unwrap_or_default()).collect();
    MARKERS.map(|marker| bytes.iter().filter(|b| b.windows(marker.len()).any(|w| w == marker)).count())
}

fn replay(app: &App, name: &str) {
    app.json(&["replay", &capture(name), "--speed", "max"]);
}

fn wait_for_files(app: &App, count: usize) {
    let ready = |app: &App| (files_below(&app.data.join("lake/tables")).len() >= count).then_some(());
    app.wait("Parquet files", ready);
}

/// Refuses to start, and says why.
fn refuses_to_start(data: &Path) -> String {
    let arguments = ["--set", "server.address=127.0.0.1:0", "--set", "collect.listeners=[]", "serve"];
    let output = guardian(data).args(arguments).output().unwrap();
    assert!(!output.status.success());
    text(&output.stderr)
}

#[test]
fn without_encryption_the_disk_tells() {
    let mut app = configured(false);
    app.spawn();
    replay(&app, "scan-vertical.pcap");
    wait_for_files(&app, 1);
    app.kill();
    let found = found(&app);
    assert!(found.iter().all(|n| *n > 0), "else the other test proves nothing: {found:?}");
}

#[test]
fn encrypted_telemetry_survives_kills_rotation_and_restores_and_tells_nothing() {
    let mut app = configured(true);
    app.spawn();
    replay(&app, "scan-vertical.pcap");
    app.wait("the alert", |app| (!app.alerts().is_empty()).then_some(()));
    wait_for_files(&app, 1);
    let (all, scanner) = (app.number(FLOWS), app.number(SCANNER));
    assert!(scanner > 1_000, "{scanner}");
    assert_eq!(found(&app), [0; 3]);

    assert!(app.stop());
    assert_eq!((app.number(FLOWS), app.number(SCANNER)), (all, scanner), "without a server");
    app.spawn();
    assert_eq!((app.number(FLOWS), app.number(SCANNER)), (all, scanner), "after a restart");

    // A new key, while the server runs; then rows that are in the log alone when it is killed.
    app.json(&["keys", "rotate"]);
    let keys = app.json(&["keys", "status"]);
    assert_eq!(keys.to_string().matches("\"lake\"").count(), 2, "{keys}");
    replay(&app, "scan-udp.pcap");
    let more = app.number(FLOWS);
    assert!(more > all);
    app.kill();
    assert_eq!(found(&app), [0; 3]);
    app.spawn();
    assert_eq!((app.number(FLOWS), app.number(SCANNER) > scanner), (more, true), "after a kill");
    wait_for_files(&app, 2);
    assert_eq!(found(&app), [0; 3], "files of the new key");

    // A backup is as encrypted as the disk, and opens with the master key alone.
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("lake.tar");
    let made = app.cli(&["backup", "create", file.to_str().unwrap()]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let mut other = App::elsewhere();
    let restored = guardian(&other.data).args(["backup", "restore", file.to_str().unwrap()]).output().unwrap();
    assert!(restored.status.success(), "{}", text(&restored.stderr));
    assert_eq!(found(&other), [0; 3]);
    assert!(refuses_to_start(&other.data).contains("master key"));
    std::fs::copy(app.data.join("secrets.key"), other.data.join("secrets.key")).unwrap();
    other.spawn();
    assert_eq!(other.number(FLOWS), more);
    replay(&other, "scan-connect.pcap");
    other.kill();

    // Another installation has other keys: it says what it needs, and leaves everything as it is.
    let stranger = configured(true);
    std::fs::rename(other.data.join("lake"), stranger.data.join("lake")).unwrap();
    let before = files_below(&stranger.data.join("lake")).len();
    let said = refuses_to_start(&stranger.data);
    assert!(said.contains("is encrypted with the lake key") && said.contains("guardian keys status"), "{said}");
    assert_eq!(files_below(&stranger.data.join("lake")).len(), before);
}
