//! Conversations: greeting, batches, resending, what later versions add.

use guardian_protocol::message::{Ack, Action, Batch, Command, Heartbeat, Hello, Kill, Lane, Platform, Welcome};
use guardian_protocol::{
    Cell, Coding, Events, Frames, FromAgent, FromServer, Mark, OPTIONAL_KIND_MIN, Offer, Rows, Values, WireError,
    limits, negotiate, open, put_frame, seal,
};

fn sample(rows: u64) -> Events {
    let columns =
        [(4, Coding::Time), (5, Coding::Number), (7, Coding::Label), (9, Coding::Fixed(16)), (12, Coding::Text)];
    let mut builder = Rows::new("processes", &columns);
    for i in 0..rows {
        let (name, line) = (["bash", "curl", "sshd"][i as usize % 3], format!("curl http://192.0.2.{i}/x"));
        let text = if i % 4 == 0 { Cell::Null } else { Cell::Text(&line) };
        let taken = builder.push(&[
            Cell::Time(1_767_225_600_000_000 + i as i64),
            Cell::Number(i * 7),
            Cell::Text(name),
            Cell::Bytes(&[i as u8; 16]),
            text,
        ]);
        assert!(taken);
    }
    builder.finish()
}

#[test]
fn a_conversation_in_single_bytes() {
    let hello = FromAgent::Hello(Hello {
        version_min: 1,
        version_max: 4,
        platform: Platform::Linux,
        hostname: "web-1".into(),
        boot: [7; 16],
        epoch: u64::MAX,
        lanes: vec![Lane { lane: 0, first: 10, batches: 3, bytes: 4_000 }],
        time: -5,
        ..Hello::default()
    });
    let batch = seal(&[sample(100)]).unwrap();
    let batch = FromAgent::Batch(Batch { lane: 1, sequence: 10, ..batch });
    let beat = FromAgent::Heartbeat(Heartbeat { beat: 1, ..Heartbeat::default() });
    let said = [hello, batch, beat];
    let mut bytes = Vec::new();
    said.iter().for_each(|message| message.put(&mut bytes).unwrap());

    let (mut frames, mut heard) = (Frames::new(limits::FRAME_BYTES_MAX), Vec::new());
    for byte in bytes {
        frames.push(&[byte]);
        while let Some(frame) = frames.next().unwrap() {
            heard.push(frame.from_agent().unwrap().unwrap());
        }
    }
    assert_eq!(frames.held_bytes(), 0);
    assert_eq!(heard, said);
    let FromAgent::Hello(hello) = &heard[0] else { panic!("the greeting comes first") };
    assert_eq!(negotiate((1, 1), (hello.version_min, hello.version_max)), Some(1));
    let FromAgent::Batch(batch) = &heard[1] else { panic!("then the batch") };
    assert_eq!(open(batch).unwrap(), [sample(100)]);
}

#[test]
fn what_the_server_says() {
    let kill = Action::Kill(Kill { pid: 4_711, start_ticks: 99, tree: true, ..Kill::default() });
    let said = [
        FromServer::Welcome(Welcome { version: 1, marks: vec![Ack { lane: 0, sequence: 9 }], ..Welcome::default() }),
        FromServer::Command(Command { id: [1; 16], action: Some(kill), ..Command::default() }),
    ];
    let mut bytes = Vec::new();
    said.iter().for_each(|message| message.put(&mut bytes).unwrap());
    let mut frames = Frames::new(limits::FRAME_BYTES_MAX);
    frames.push(&bytes);
    for message in said {
        assert_eq!(frames.next().unwrap().unwrap().from_server(), Ok(Some(message)));
    }
}

#[test]
fn columns_keep_what_rows_said() {
    let events = sample(9);
    assert_eq!(events.rows, 9);
    let text = events.column(12).unwrap();
    assert_eq!(text.valid.as_ref().unwrap().iter().filter(|v| **v).count(), 6);
    let Values::Label { names, keys } = &events.column(7).unwrap().values else { panic!("a label") };
    assert_eq!((names.len(), &keys[..4]), (3, &[0, 1, 2, 0][..]));
    assert!(events.column(5).unwrap().valid.is_none());

    let mut builder = Rows::new("x", &[(1, Coding::Number), (2, Coding::Text), (3, Coding::Fixed(4))]);
    builder.push(&[Cell::Number(1), Cell::Number(2), Cell::Bytes(b"abc")]);
    let events = builder.finish();
    assert_eq!(events.columns.len(), 1, "cells of the wrong kind are none, and columns without any are left out");
    assert!(builder.is_empty());
    assert_eq!(open(&seal(std::slice::from_ref(&events)).unwrap()).unwrap(), [events]);
}

#[test]
fn a_resent_batch_is_known_and_a_jump_is_counted() {
    let mut mark = Mark::default();
    let mut applied = Vec::new();
    for sequence in [1, 2, 2, 1, 3, 6, 5, 7] {
        if let Offer::Apply { mark: next, missed } = mark.offer(sequence) {
            applied.push((sequence, missed));
            mark = next;
        }
    }
    assert_eq!(applied, [(1, 0), (2, 0), (3, 0), (6, 2), (7, 0)]);
}

#[test]
fn later_versions_may_add_but_not_change() {
    let mut frames = Frames::new(1_000);
    let mut bytes = Vec::new();
    put_frame(&mut bytes, OPTIONAL_KIND_MIN, b"whatever this is").unwrap();
    put_frame(&mut bytes, 100, b"").unwrap();
    frames.push(&bytes);
    assert_eq!(frames.next().unwrap().unwrap().from_agent(), Ok(None));
    assert_eq!(frames.next().unwrap().unwrap().from_agent(), Err(WireError::UnknownKind(100)));
}

#[test]
fn limits_hold_before_memory_is_taken() {
    let mut frames = Frames::new(limits::GREETING_BYTES_MAX);
    frames.push(&[1, 0xff, 0xff, 0xff, 0xff]);
    assert_eq!(frames.next(), Err(WireError::Limit("the length of a frame")));
    let too_long = vec![0; limits::FRAME_BYTES_MAX + 1];
    assert!(put_frame(&mut Vec::new(), 1, &too_long).is_err());
    // A batch that claims less or more than comes out.
    let batch = seal(&[sample(50)]).unwrap();
    for claimed in [0, batch.raw_bytes - 1, batch.raw_bytes + 1, u32::MAX] {
        assert!(open(&Batch { raw_bytes: claimed, ..batch.clone() }).is_err(), "{claimed}");
    }
}

#[test]
fn random_text_that_does_not_compress_still_fits_a_frame() {
    let mut builder = Rows::new("logs", &[(1, Coding::Bytes)]);
    let mut state = 1u64;
    while builder.bytes() < limits::BATCH_RAW_BYTES_MAX - 2_000 {
        let noise: Vec<u8> = (0..1_000)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 56) as u8
            })
            .collect();
        builder.push(&[Cell::Bytes(&noise)]);
    }
    let batch = seal(&[builder.finish()]).unwrap();
    let mut out = Vec::new();
    FromAgent::Batch(Batch { lane: 7, sequence: u64::MAX, ..batch }).put(&mut out).unwrap();
}
