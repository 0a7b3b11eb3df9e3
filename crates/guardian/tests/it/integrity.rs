//! Changes of files that nobody has approved, with the real programs: they stay open until they are approved or undone, and
//! over restarts.

use std::fs;

use serde_json::{Value, json};

use crate::app::App;
use crate::policy::connected;

#[test]
fn changes_are_open_until_somebody_approves_them() {
    let app = App::start();
    let place = tempfile::tempdir().unwrap();
    let root = place.path().to_str().unwrap();
    for folder in ["etc", "opt"] {
        fs::create_dir(place.path().join(folder)).unwrap();
        fs::write(place.path().join(folder).join("file"), "before\n").unwrap();
    }
    let run = ["--files", root, "--no-inventory", "--health-every", "0.5"];
    let (mut agent, id, _way) = connected(&app, &[], &run);
    app.wait("there is a baseline", |_| agent.home().join("files/policy.json").exists().then_some(()));
    let give = |app: &App, action: &Value, more: &[&str]| -> Value {
        let action = action.to_string();
        let done = app.json(&[&["commands", "give", &action, "--host", &id, "--follow"], more].concat());
        assert_eq!(done["states"]["done"], 1, "{done}");
        done["runs"][0].clone()
    };
    let open = |app: &App, expected: u64| {
        app.wait("so many are open", |app| {
            let report = give(app, &json!({"kind": "report"}), &[]);
            let status: Value = serde_json::from_str(report["output"].as_str().unwrap()).unwrap();
            (status["files_open"] == expected).then_some(())
        });
    };
    open(&app, 0);
    for folder in ["etc", "opt"] {
        fs::write(place.path().join(folder).join("file"), "after\n").unwrap();
    }
    open(&app, 2);
    app.wait("its health says so", |app| {
        let metric = "metric = 'files_open' AND value = 2";
        (app.number(&format!("SELECT count(*) FROM health WHERE host_id = '{id}' AND {metric}")) > 0).then_some(())
    });
    let told = format!("FROM files WHERE host_id = '{id}' AND verdict = 'unowned' AND expected = false");
    assert_eq!(app.number(&format!("SELECT count(*) {told}")), 2);

    // What is below a folder, rehearsed and done; what came by itself before is what was there.
    let below = json!({"kind": "approve", "path": format!("{root}/etc"), "reason": "CHG-17"});
    let rehearsed = give(&app, &below, &["--dry-run"]);
    assert_eq!(rehearsed["outcome"]["steps"][0]["target"], format!("{root}/etc/file"), "{rehearsed}");
    open(&app, 2);
    let approved = give(&app, &below, &[]);
    assert!(approved["text"].as_str().unwrap().starts_with("1 changes are approved, 1 stay open"), "{approved}");
    open(&app, 1);
    // A restart compares anew: what was approved stays so, and what is open too.
    agent.stop();
    agent.run_with(&run);
    open(&app, 1);
    // Undone it is open no more; changed again after the approval it is.
    fs::write(place.path().join("opt/file"), "before\n").unwrap();
    open(&app, 0);
    fs::write(place.path().join("etc/file"), "later\n").unwrap();
    open(&app, 1);
    give(&app, &json!({"kind": "approve"}), &[]);
    open(&app, 0);
    agent.stop();
}
