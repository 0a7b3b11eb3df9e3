//! SIGKILL at random instants under load: what was durable is there, once, and alerts are not doubled.

use std::time::Duration;

use crate::app::App;
use crate::wire::{RECORDS, netflow5};

#[test]
fn what_was_durable_is_there_once_after_kills() {
    let mut app = App::start();
    let mut sent = 0;
    let mut proven = 0;
    // Instants spread over the life of a batch: receiving, committing, flushing.
    for pause_ms in [3, 17, 40, 90, 160, 260] {
        for _ in 0..40 {
            app.send((0..10).map(|i| netflow5(sent + i)));
            sent += 10;
            std::thread::sleep(Duration::from_millis(2));
        }
        // What a query shows after the commit interval is durable.
        let before = app.number("SELECT count(*) FROM flows");
        std::thread::sleep(Duration::from_millis(100));
        app.send((0..10).map(|i| netflow5(sent + i)));
        sent += 10;
        std::thread::sleep(Duration::from_millis(pause_ms));
        app.kill();
        app.spawn();
        let after = app.number("SELECT count(*) FROM flows");
        let distinct = app.number("SELECT count(DISTINCT raw_bytes) FROM flows");
        assert_eq!(after, distinct, "no row is there twice");
        assert!(after >= before, "{before} rows were durable, {after} are there");
        assert!(after <= u64::from(sent) * RECORDS as u64);
        proven = after;
    }
    assert!(proven > 0);
    let alerts = app.json(&["alerts", "-n", "500"]);
    let keys: Vec<_> = alerts.as_array().unwrap().iter().map(|a| (a["title"].clone(), a["entity"].clone())).collect();
    for key in &keys {
        assert_eq!(keys.iter().filter(|k| *k == key).count(), 1, "{key:?} is there twice");
    }
}
