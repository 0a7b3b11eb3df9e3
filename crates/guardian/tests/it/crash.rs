//! SIGKILL at random instants under load: what was durable is there, once, and alerts are not doubled.

use std::time::Duration;

use crate::app::App;

/// Records in one datagram.
const RECORDS: usize = 30;

/// A NetFlow v5 datagram whose records carry their own numbers as source addresses and sizes.
fn netflow5(sequence: u32) -> Vec<u8> {
    let mut datagram = Vec::with_capacity(24 + RECORDS * 48);
    let now = jiff::Timestamp::now().as_second() as u32;
    datagram.extend_from_slice(&5_u16.to_be_bytes());
    datagram.extend_from_slice(&(RECORDS as u16).to_be_bytes());
    datagram.extend_from_slice(&60_000_u32.to_be_bytes());
    datagram.extend_from_slice(&now.to_be_bytes());
    datagram.extend_from_slice(&0_u32.to_be_bytes());
    datagram.extend_from_slice(&(sequence * RECORDS as u32).to_be_bytes());
    datagram.extend_from_slice(&[0; 4]);
    for record in 0..RECORDS as u32 {
        let number = sequence * RECORDS as u32 + record;
        let mut bytes = [0; 48];
        bytes[..4].copy_from_slice(&(0x0a00_0000 | (number & 0x00ff_ffff)).to_be_bytes());
        bytes[4..8].copy_from_slice(&[192, 0, 2, 1]);
        bytes[16..20].copy_from_slice(&1_u32.to_be_bytes());
        bytes[20..24].copy_from_slice(&(number + 1).to_be_bytes());
        bytes[24..28].copy_from_slice(&59_000_u32.to_be_bytes());
        bytes[28..32].copy_from_slice(&59_500_u32.to_be_bytes());
        bytes[32..34].copy_from_slice(&40_000_u16.to_be_bytes());
        bytes[34..36].copy_from_slice(&443_u16.to_be_bytes());
        bytes[37] = 0x1b;
        bytes[38] = 6;
        datagram.extend_from_slice(&bytes);
    }
    datagram
}

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
