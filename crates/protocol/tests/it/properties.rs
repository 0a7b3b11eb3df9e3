//! Whatever is said comes back; whatever comes in harms nobody.

use guardian_protocol::message::{
    Action, Answer, Batch, Block, Collect, Command, Denied, Hello, Inventory, Kill, Lane, Loss, Outcome, PolicyState,
    Progress, Query, Refusal, Refuse, Restore, Script, Step, Undo,
};
use guardian_protocol::{Blob, Column, Events, Frame, Frames, FromAgent, FromServer, Values, limits, open, seal};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn blob() -> impl Strategy<Value = Blob> {
    vec(any::<u8>(), 0..40).prop_map(Blob)
}

fn losses() -> impl Strategy<Value = Vec<Loss>> {
    vec((".{0,9}", any::<u64>(), ".{0,9}").prop_map(|(class, rows, place)| Loss { class, rows, place }), 0..4)
}

fn policy() -> impl Strategy<Value = PolicyState> {
    (any::<u64>(), blob(), vec(".{0,20}", 0..3)).prop_map(|(version, hash, complaints)| PolicyState {
        overrides: Vec::new(),
        version,
        hash,
        complaints,
    })
}

fn from_agent() -> impl Strategy<Value = FromAgent> {
    let lane = (any::<u32>(), any::<u64>(), any::<u64>(), any::<u64>());
    let lane = lane.prop_map(|(lane, first, batches, bytes)| Lane { lane, first, batches, bytes });
    let hello = (any::<[u32; 2]>(), ".{0,20}", any::<[u8; 16]>(), any::<i64>(), vec(lane, 0..4), option::of(policy()));
    let hello = hello.prop_map(|([version_min, version_max], hostname, boot, time, lanes, policy)| Hello {
        version_min,
        version_max,
        hostname,
        boot,
        time,
        lanes,
        policy,
        ..Hello::default()
    });
    let batch = (any::<u32>(), any::<u64>(), any::<u32>(), blob(), losses());
    let batch =
        batch.prop_map(|(lane, sequence, raw_bytes, events, lost)| Batch { lane, sequence, raw_bytes, events, lost });
    let progress = proptest::sample::select(Progress::ALL);
    let steps = vec((".{0,9}", ".{0,9}").prop_map(|(verb, target)| Step { verb, target, ..Step::default() }), 0..4);
    let denied = proptest::sample::select(Denied::ALL);
    let outcome = (any::<[u8; 16]>(), progress, blob(), option::of(action()), option::of(any::<i64>()), steps, denied);
    let outcome = outcome.prop_map(|(command, progress, output, undo, status, steps, denied)| Outcome {
        command,
        progress,
        output,
        undo,
        status,
        steps,
        denied,
        ..Outcome::default()
    });
    let answer = (any::<[u8; 16]>(), vec(".{0,9}", 0..5), blob(), any::<bool>(), option::of(".{0,9}"));
    let answer = answer.prop_map(|(query, columns, rows, last, error)| Answer {
        query,
        columns,
        rows,
        last,
        error,
        ..Answer::default()
    });
    let inventory = (".{0,9}", option::of(blob()), blob(), blob());
    let inventory = inventory.prop_map(|(list, base, hash, entries)| Inventory {
        list,
        base,
        hash,
        entries,
        ..Inventory::default()
    });
    prop_oneof![
        hello.prop_map(FromAgent::Hello),
        batch.prop_map(FromAgent::Batch),
        outcome.prop_map(FromAgent::Outcome),
        answer.prop_map(FromAgent::Answer),
        inventory.prop_map(FromAgent::Inventory),
    ]
}

fn action() -> impl Strategy<Value = Action> {
    let block = (".{0,20}", any::<u64>()).prop_map(|(address, seconds)| Action::Block(Block { address, seconds }));
    let script = (".{0,9}", ".{0,40}", blob(), vec(".{0,9}", 0..4), any::<i64>(), any::<bool>());
    let script = script.prop_map(|(interpreter, text, signature, arguments, expires, once)| {
        Action::Script(Script { interpreter, text, signature, arguments, expires, once, ..Script::default() })
    });
    let collect = (vec(".{0,9}", 0..4), vec(".{0,9}", 0..4), any::<u64>(), any::<[u8; 32]>());
    let collect = collect.prop_map(|(parts, files, bytes_max, recipient)| {
        Action::Collect(Collect { parts, files, bytes_max, recipient, ..Collect::default() })
    });
    let kill = (any::<u32>(), any::<u64>(), any::<[bool; 2]>(), ".{0,9}");
    let kill = kill.prop_map(|(pid, start_ticks, [tree, gently], boot)| {
        Action::Kill(Kill { pid, start_ticks, tree, gently, boot })
    });
    let restore = (any::<[u8; 16]>(), ".{0,20}", any::<bool>());
    let restore = restore.prop_map(|(command, path, force)| Action::Restore(Restore { command, path, force }));
    let undo = any::<[u8; 16]>().prop_map(|command| Action::Undo(Undo { command }));
    prop_oneof![block, script, collect, kill, restore, undo]
}

fn from_server() -> impl Strategy<Value = FromServer> {
    let command = (any::<[u8; 16]>(), any::<[i64; 2]>(), any::<bool>(), ".{0,9}", option::of(action()));
    let command = command.prop_map(|(id, [issued, expires], dry_run, by, action)| Command {
        id,
        issued,
        expires,
        dry_run,
        by,
        action,
        ..Command::default()
    });
    let query = (any::<[u8; 16]>(), ".{0,90}", any::<[u32; 2]>(), any::<u64>());
    let query = query.prop_map(|(id, sql, [timeout_ms, rows_max], bytes_max)| Query {
        id,
        sql,
        timeout_ms,
        rows_max,
        bytes_max,
    });
    let refuse = (proptest::sample::select(Refusal::ALL), ".{0,9}", any::<u32>());
    let refuse = refuse.prop_map(|(reason, text, retry_ms)| Refuse { reason, text, retry_ms });
    prop_oneof![
        command.prop_map(FromServer::Command),
        query.prop_map(FromServer::Query),
        refuse.prop_map(FromServer::Refuse)
    ]
}

proptest! {
    /// An action says the same in JSON, and what is signed of a script survives both ways.
    #[test]
    fn actions_in_json(action in action()) {
        let json = serde_json::to_string(&action).unwrap();
        let read: Action = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(&read, &action);
        if let (Action::Script(read), Action::Script(said)) = (&read, &action) {
            prop_assert_eq!(read.statement(), said.statement());
        }
        // Whatever it says, looking at it harms nobody.
        action.check().ok();
    }
}

fn values(rows: usize) -> impl Strategy<Value = Values> {
    let labels = (vec(".{0,9}", 1..=rows.max(1)), vec(any::<u32>(), rows)).prop_map(move |(mut names, keys)| {
        names.truncate(rows);
        let count = names.len().max(1) as u32;
        Values::Label { names, keys: keys.iter().map(|k| k % count).collect() }
    });
    let fixed = (1..=64usize).prop_flat_map(move |width| {
        vec(any::<u8>(), width * rows).prop_map(move |bytes| Values::Fixed { width, bytes })
    });
    prop_oneof![
        vec(any::<bool>(), rows).prop_map(Values::Bool),
        vec(any::<u64>(), rows).prop_map(Values::Number),
        vec(any::<i64>(), rows).prop_map(Values::Time),
        vec(".{0,9}", rows).prop_map(Values::Text),
        vec(vec(any::<u8>(), 0..9), rows).prop_map(Values::Bytes),
        labels,
        fixed,
    ]
}

fn events() -> impl Strategy<Value = Events> {
    (".{0,16}", 0..20usize).prop_flat_map(|(class, rows)| {
        let column = (option::of(vec(any::<bool>(), rows)), values(rows));
        vec(column, 0..5).prop_map(move |columns| {
            let columns = columns.into_iter().enumerate();
            let columns = columns.map(|(i, (valid, values))| Column { id: 3 * i as u16, valid, values });
            Events { class: class.clone(), rows, columns: columns.collect() }
        })
    })
}

proptest! {
    #[test]
    fn agents_are_understood(message in from_agent()) {
        let mut bytes = Vec::new();
        message.put(&mut bytes).unwrap();
        let mut frames = Frames::new(limits::FRAME_BYTES_MAX);
        frames.push(&bytes);
        prop_assert_eq!(frames.next().unwrap().unwrap().from_agent(), Ok(Some(message)));
        prop_assert_eq!(frames.next(), Ok(None));
    }

    #[test]
    fn the_server_is_understood(message in from_server()) {
        let mut bytes = Vec::new();
        message.put(&mut bytes).unwrap();
        let mut frames = Frames::new(limits::FRAME_BYTES_MAX);
        frames.push(&bytes);
        prop_assert_eq!(frames.next().unwrap().unwrap().from_server(), Ok(Some(message)));
    }

    #[test]
    fn events_come_back(batches in vec(events(), 0..4)) {
        prop_assert_eq!(open(&seal(&batches).unwrap()).unwrap(), batches);
    }

    #[test]
    fn noise_is_refused_or_means_something(kind in 0u8..12, body in vec(any::<u8>(), 0..300)) {
        let frame = Frame { kind, body: &body };
        if let Ok(Some(message)) = frame.from_agent() {
            let mut bytes = Vec::new();
            message.put(&mut bytes).unwrap();
            prop_assert_eq!(Frame { kind, body: &bytes[5..] }.from_agent(), Ok(Some(message)));
        }
        drop(frame.from_server());
    }

    #[test]
    fn a_damaged_message_is_refused_or_read(message in from_agent(), at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let mut bytes = Vec::new();
        message.put(&mut bytes).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = to;
        let mut frames = Frames::new(limits::FRAME_BYTES_MAX);
        frames.push(&bytes);
        if let Ok(Some(frame)) = frames.next() {
            drop(frame.from_agent());
        }
    }

    #[test]
    fn damaged_columns_are_refused_or_read(batch in vec(events(), 1..3), at in any::<prop::sample::Index>(), to in any::<u8>()) {
        // Damage below the compression, where a peer that was taken over would put it.
        let sealed = seal(&batch).unwrap();
        let mut raw = zstd::bulk::decompress(&sealed.events.0, sealed.raw_bytes as usize).unwrap();
        let at = at.index(raw.len());
        raw[at] = to;
        let events = Blob(zstd::bulk::compress(&raw, 1).unwrap());
        if let Ok(read) = open(&Batch { raw_bytes: raw.len() as u32, events, ..Batch::default() }) {
            for events in read {
                prop_assert!(events.columns.iter().all(|c| c.values.len() == events.rows));
            }
        }
    }
}
