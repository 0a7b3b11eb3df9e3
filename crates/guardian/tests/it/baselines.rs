//! Baselines of files on the server, with the real programs: what files were can be told later, is signed, and somebody who
//! exchanges the host's own is found out.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::app::App;
use crate::policy::{connected, ok};

fn baselines(app: &App, id: &str, count: usize) -> Vec<Value> {
    app.wait("the server has so many baselines", |app| {
        let items = app.json(&["hosts", "baselines", id]).as_array().unwrap().clone();
        (items.len() == count).then_some(items)
    })
}

fn write(place: &Path, name: &str, text: &str) {
    let path = place.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn what_files_were_stays_on_the_server_whatever_becomes_of_the_host() {
    let app = App::start();
    let place = tempfile::tempdir().unwrap();
    let root = place.path().to_str().unwrap();
    write(place.path(), "etc/hosts", "127.0.0.1 localhost\n");
    write(place.path(), "bin/tool", "#!/bin/sh\necho good\n");
    let run = ["--files", root, "--no-inventory"];
    let (mut agent, id, _way) = connected(&app, &[], &run);
    let first = baselines(&app, &id, 1).remove(0);
    assert_eq!((&first["number"], &first["replaced"], &first["kept"]), (&1.into(), &false.into(), &true.into()));
    let tool = format!("{root}/bin/tool");
    let was = app.json(&["hosts", "baselines", &id, "1", "--path", &tool])[0].clone();
    assert_eq!((was["path"].as_str(), was["sha256"].as_str().map(str::len)), (Some(&*tool), Some(64)), "{was}");

    // What somebody changes is told, and stands in the next one.
    write(place.path(), "etc/hosts", "127.0.0.1 localhost db\n");
    app.wait("the change is told", |app| {
        let told = format!("SELECT count(*) FROM files WHERE host_id = '{id}' AND path = '{root}/etc/hosts'");
        (app.number(&told) > 0).then_some(())
    });
    ok(&app, &["commands", "give", "recheck", "--host", &id, "--follow"]);
    let second = baselines(&app, &id, 2).remove(0);
    assert_eq!((&second["replaced"], &second["folders_changed"]), (&false.into(), &1.into()), "{second}");
    let changes = app.json(&["hosts", "baselines", &id, "2", "--changes"]);
    assert_eq!(changes.as_array().unwrap().len(), 1, "{changes}");
    assert_eq!((&changes[0]["change"], &changes[0]["differs"]), (&"changed".into(), &"content".into()));
    ok(&app, &["hosts", "baselines", &id, "2", "--verify"]);
    assert!(app.alerts().iter().all(|alert| !alert["title"].as_str().unwrap().starts_with("Baseline of files")));

    // Somebody stops the agent, changes a program, and removes what it would be compared with.
    agent.stop();
    write(place.path(), "bin/tool", "#!/bin/sh\necho evil\n");
    fs::remove_file(agent.home().join("files/baseline")).unwrap();
    agent.run_with(&run);
    let third = baselines(&app, &id, 3).remove(0);
    assert_eq!(third["replaced"], true, "{third}");
    let concealed = format!("FROM files WHERE host_id = '{id}' AND source = 'server' AND verdict = 'concealed'");
    app.wait("what was concealed is told", |app| {
        (app.number(&format!("SELECT count(*) {concealed} AND path = '{tool}'")) == 1).then_some(())
    });
    app.wait("it raises an alert", |app| {
        app.alerts().into_iter().find(|alert| alert["title"].as_str().unwrap().starts_with("Baseline of files"))
    });
    assert_eq!(app.json(&["hosts", "baselines", &id, "2", "--path", &tool])[0]["sha256"], was["sha256"]);
    assert_ne!(app.json(&["hosts", "baselines", &id, "3", "--path", &tool])[0]["sha256"], was["sha256"]);

    // The same baseline after a restart is the same, and no further one.
    agent.stop();
    agent.run_with(&run);
    app.wait("it is online again", |app| {
        let host = app.json(&["hosts", "show", &id]);
        (host["status"] == "online").then_some(())
    });
    assert_eq!(baselines(&app, &id, 3).len(), 3);
    agent.stop();

    // Somebody changes what the server keeps.
    let kept = app.data.join("evidence/baselines");
    let tenant = fs::read_dir(kept).unwrap().next().unwrap().unwrap().path();
    let file = tenant.join(&id).join("0000000001.changes");
    let mut bytes = fs::read(&file).unwrap();
    let at = bytes.len() - 10;
    bytes[at] ^= 0xff;
    fs::write(file, bytes).unwrap();
    assert_eq!(app.cli(&["hosts", "baselines", &id, "1", "--verify"]).status.code(), Some(3));
    assert!(!app.cli(&["hosts", "baselines", &id, "9", "--path", "/"]).status.success());
}
