//! Exporters that wait for templates, and templates that outlive the program.

use std::net::UdpSocket;

use serde_json::Value;

use crate::app::{App, text};
use crate::wire::{netflow9_data, netflow9_template};

fn state(app: &App) -> Option<Value> {
    app.json(&["exporters"]).as_array()?.first().map(|e| e["state"].clone())
}

#[test]
fn what_comes_before_its_template_is_held_told_and_then_read() {
    let app = App::start();
    let exporter = UdpSocket::bind("127.0.0.1:0").unwrap();
    app.send_from(&exporter, [netflow9_data(1), netflow9_data(2)]);
    let waiting = app.wait("the exporter that waits", |app| {
        state(app).filter(|s| s.as_str().is_some_and(|s| s.contains("waiting for its template")))
    });
    assert!(waiting.as_str().unwrap().ends_with("records held"), "{waiting}");
    assert!(text(&app.cli(&["exporters"]).stdout).contains("waiting for its template"));
    app.send_from(&exporter, [netflow9_template(3), netflow9_data(4)]);
    app.wait("the held records", |app| (app.number("SELECT count(*) FROM flows") == 9).then_some(()));
    app.wait("the exporter that is well", |app| state(app).filter(|s| s == "receiving"));
}

#[test]
fn templates_outlive_a_restart() {
    let mut app = App::start();
    let exporter = UdpSocket::bind("127.0.0.1:0").unwrap();
    app.send_from(&exporter, [netflow9_template(1), netflow9_data(2)]);
    app.wait("the first records", |app| (app.number("SELECT count(*) FROM flows") == 3).then_some(()));
    assert!(app.stop());
    app.spawn();
    app.send_from(&exporter, [netflow9_data(3)]);
    app.wait("records without their template", |app| (app.number("SELECT count(*) FROM flows") == 6).then_some(()));
}
