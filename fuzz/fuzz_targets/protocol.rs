//! Streams of frames from either side: nothing panics, what is read says the same when it is said again, and columns have
//! as many values as rows. Lists of the inventory are read as lines. Batches are opened, both as they came and as if their payload had been packed by a peer.
#![no_main]

use guardian_protocol::lists::List;
use guardian_protocol::message::Batch;
use guardian_protocol::{Blob, Frames, FromAgent, limits, open};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut frames = Frames::new(limits::FRAME_BYTES_MAX);
    for piece in input.chunks(97) {
        frames.push(piece);
        while let Ok(Some(frame)) = frames.next() {
            let (kind, body) = (frame.kind, frame.body.to_vec());
            if let Ok(Some(message)) = frame.from_agent() {
                let mut again = Vec::new();
                message.put(&mut again).expect("what came in a frame fits a frame");
                let mut second = Frames::new(limits::FRAME_BYTES_MAX);
                second.push(&again);
                let second = second.next().expect("sound").expect("whole").from_agent();
                assert_eq!(second, Ok(Some(message.clone())));
                if let FromAgent::Batch(batch) = message {
                    check(&batch);
                }
            }
            if let Ok(Some(message)) = frames_of(kind, &body).from_server() {
                let mut again = Vec::new();
                message.put(&mut again).expect("what came in a frame fits a frame");
            }
        }
    }
    // Lines of a list are read or refused; what was read says the same when it is said again.
    let mut list = List::default();
    if list.take(input).is_ok() {
        let mut again = List::default();
        again.take(&list.lines()).expect("lines of our own");
        assert_eq!(again.hash(), list.hash());
    }
    // Compression hides the columns from a fuzzer: the input is taken as what was packed.
    check(&Batch { raw_bytes: input.len() as u32, events: Blob(stored(input)), ..Batch::default() });
});

fn frames_of(kind: u8, body: &[u8]) -> guardian_protocol::Frame<'_> {
    guardian_protocol::Frame { kind, body }
}

fn check(batch: &Batch) {
    if let Ok(all) = open(batch) {
        for events in &all {
            assert!(events.rows <= limits::ROWS_MAX);
            assert!(events.columns.iter().all(|column| column.values.len() == events.rows));
            assert!(events.columns.iter().all(|c| c.valid.as_ref().is_none_or(|valid| valid.len() == events.rows)));
        }
    }
}

/// A frame of zstd with one block that is stored as it is (RFC 8878 section 3.1.1): packing would be most of the work.
fn stored(input: &[u8]) -> Vec<u8> {
    let length = input.len() as u32;
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0xa0];
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(&(length << 3 | 1).to_le_bytes()[..3]);
    frame.extend_from_slice(input);
    frame
}
