//! The bytes of version 1, one frame a file: what was once said must be understood for good, and said the same way. The
//! files are also what fuzzing starts from. `GUARDIAN_WRITE_FRAMES=1` writes those that are missing.

use std::path::PathBuf;

use guardian_protocol::message::{
    Ack, Action, Answer, Approve, BaselinePart, BaselineState, Batch, Beat, Block, Cancel, Certificate, Collect,
    Command, Denied, DisableUser, EnableUser, Fetch, FetchBaseline, FetchPack, Goodbye, Heard, Heartbeat, Hello,
    Inventory, Isolate, Kept, KeptBaseline, Kill, Lane, Leaving, Loss, Offer, Outcome, Pack, PackPart, Piece, Platform,
    Policy, PolicyState, Progress, Proof, Quarantine, Query, Recheck, Refusal, Refuse, Release, Renew, Report, Resend,
    Restore, Resume, Scan, Script, Step, Suspend, Unblock, Undo, UpgradeNews, UpgradeState, Welcome, Withdraw,
};
use guardian_protocol::release::SignedManifest;
use guardian_protocol::{Blob, Cell, Coding, Frames, FromAgent, FromServer, Rows, limits, seal};

fn loss() -> Loss {
    Loss { class: "processes".into(), rows: 12, place: "spool".into() }
}

fn policy() -> PolicyState {
    PolicyState {
        version: 7,
        hash: Blob(vec![0xab; 32]),
        complaints: vec!["fanotify: not permitted".into()],
        ..PolicyState::default()
    }
}

fn batch() -> Batch {
    let columns = [
        (4, Coding::Time),
        (5, Coding::Number),
        (6, Coding::Label),
        (7, Coding::Text),
        (8, Coding::Fixed(16)),
        (9, Coding::Bool),
        (10, Coding::Bytes),
    ];
    let mut rows = Rows::new("processes", &columns);
    for i in 0..5u8 {
        let line = format!("sh -c 'sleep {i}'");
        let text = if i == 3 { Cell::Null } else { Cell::Text(&line) };
        rows.push(&[
            Cell::Time(1_767_225_600_000_000 + i64::from(i) * 1_000),
            Cell::Number(4_000 + u64::from(i)),
            Cell::Text(["sh", "bash"][usize::from(i) % 2]),
            text,
            Cell::Bytes(&[i; 16]),
            Cell::Bool(i % 2 == 0),
            Cell::Bytes(&[1, i]),
        ]);
    }
    Batch { lane: 1, sequence: 42, lost: vec![loss()], ..seal(&[rows.finish()]).unwrap() }
}

fn from_agent() -> Vec<(&'static str, FromAgent)> {
    let id = [0x11; 16];
    let hello = Hello {
        version_min: 1,
        version_max: 1,
        program: "0.1.0".into(),
        platform: Platform::Linux,
        system: "Debian GNU/Linux 12".into(),
        kernel: "6.1.0-18-amd64".into(),
        architecture: "x86_64".into(),
        hostname: "web-1".into(),
        boot: [0x22; 16],
        epoch: 0x0123_4567_89ab_cdef,
        lanes: vec![Lane { lane: 1, first: 42, batches: 3, bytes: 9_000 }],
        time: 1_767_225_600_000_000,
        abilities: vec!["files.fanotify".into(), "processes.ebpf".into()],
        policy: Some(policy()),
    };
    let answer = Answer {
        query: id,
        part: 0,
        columns: vec!["pid".into(), "name".into()],
        raw_bytes: 3,
        rows: Blob(vec![1, 2, 3]),
        last: true,
        error: Some("stopped after 10 s".into()),
        ..Answer::default()
    };
    vec![
        ("agent-hello", FromAgent::Hello(hello)),
        ("agent-batch", FromAgent::Batch(batch())),
        ("agent-heartbeat", FromAgent::Heartbeat(heartbeat())),
        ("agent-outcome", FromAgent::Outcome(outcome(id))),
        ("agent-answer", FromAgent::Answer(answer)),
        ("agent-inventory", FromAgent::Inventory(inventory())),
        ("agent-goodbye", FromAgent::Goodbye(Goodbye { text: "upgrade".into() })),
        ("agent-renew", FromAgent::Renew(Renew { request: Blob(vec![0x30; 5]) })),
        ("agent-pack-part", FromAgent::PackPart(pack_part())),
        ("agent-baseline-part", FromAgent::BaselinePart(baseline_part())),
        ("agent-baseline-state", FromAgent::BaselineState(baseline_state())),
        ("agent-upgrade-news", FromAgent::UpgradeNews(upgrade_news())),
        ("agent-fetch", FromAgent::Fetch(Fetch { offer: [0x33; 16], offset: 4_096, length: 65_536 })),
        ("agent-leaving", FromAgent::Leaving(Leaving { text: "taken off the machine".into() })),
    ]
}

fn upgrade_news() -> UpgradeNews {
    UpgradeNews {
        offer: [0x33; 16],
        state: UpgradeState::RolledBack,
        version: "0.1.0".into(),
        fetched: 9_000_000,
        text: "the server was not reached within 120 s".into(),
        revert: false,
    }
}

fn heartbeat() -> Heartbeat {
    Heartbeat {
        beat: 3,
        time: 1_767_225_630_000_000,
        spool_bytes: 9_000,
        cpu_us: 120_000,
        resident_bytes: 21 << 20,
        lost: vec![loss()],
        complaints: vec!["the clock went back by 3 s".into()],
        policy: Some(policy()),
        round_us: 900,
    }
}

fn outcome(id: [u8; 16]) -> Outcome {
    Outcome {
        command: id,
        part: 1,
        progress: Progress::Done,
        text: "killed 3 processes".into(),
        output: Blob(b"4711\n".to_vec()),
        status: Some(-9),
        undo: Some(Action::Unblock(Unblock { address: "192.0.2.1".into() })),
        steps: vec![Step { verb: "kill".into(), target: "4711 sleep".into(), note: "gone".into() }],
        denied: Denied::Changed,
        pack: Some(Pack { bytes: 9, hash: Blob(vec![2; 32]), entries: 3, raw_bytes: 27, left_out: 1 }),
        output_lost: 5,
        dry_run: true,
        begun: 1_767_225_600_000_000,
        ended: 1_767_225_601_000_000,
    }
}

fn inventory() -> Inventory {
    Inventory {
        list: "packages".into(),
        base: Some(Blob(vec![3; 32])),
        hash: Blob(vec![4; 32]),
        part: 2,
        last: true,
        raw_bytes: 5,
        entries: Blob(vec![5; 9]),
        time: 1_767_225_600_000_000,
    }
}

fn actions() -> Vec<(&'static str, Action)> {
    let isolate = Isolate { seconds: 3_600, keep: vec!["192.0.2.0/24".into()], no_dns: false };
    let script =
        Script { interpreter: "/bin/sh".into(), text: "id".into(), signature: Blob(vec![9; 64]), ..Script::default() };
    let signed = Script {
        arguments: vec!["-u".into()],
        hosts: vec!["7d3b".into()],
        expires: 1_767_225_600_000_000,
        purpose: "who am I".into(),
        once: true,
        ..script.clone()
    };
    let collect =
        Collect { parts: vec!["maps".into()], files: vec!["/etc/*".into()], bytes_max: 1 << 30, ..Collect::default() };
    let timeline = Collect { recipient: [4; 32], folders: vec!["/srv".into()], days: 3, ..Collect::default() };
    let kill = Kill { pid: 4_711, start_ticks: 99_000, tree: true, ..Kill::default() };
    let (pid, start_ticks, tree) = (4_711, 99_000, true);
    let boot = "5f0c6a35-8f8e-4b1a-9a3e-3a1f7c2d9b10".to_owned();
    let gently = Kill { gently: true, boot: boot.clone(), ..kill.clone() };
    let quarantine = Quarantine { path: "/tmp/x".into(), hash: Blob(vec![8; 32]), force: false };
    vec![
        ("server-isolate", Action::Isolate(isolate)),
        ("server-release", Action::Release(Release { reason: "clean".into() })),
        ("server-block", Action::Block(Block { address: "2001:db8::/32".into(), seconds: 60 })),
        ("server-kill", Action::Kill(kill)),
        ("server-quarantine", Action::Quarantine(quarantine)),
        ("server-disable-user", Action::DisableUser(DisableUser { name: "eve".into(), sessions: true })),
        ("server-script", Action::Script(script)),
        ("server-collect", Action::Collect(collect)),
        ("server-undo", Action::Undo(Undo { command: [7; 16] })),
        ("server-unblock", Action::Unblock(Unblock { address: "192.0.2.1".into() })),
        ("server-suspend", Action::Suspend(Suspend { pid, start_ticks, tree, boot: boot.clone() })),
        ("server-resume", Action::Resume(Resume { pid, start_ticks, tree, boot })),
        ("server-restore", Action::Restore(Restore { command: [7; 16], path: "/tmp/y".into(), force: true })),
        ("server-enable-user", Action::EnableUser(EnableUser { name: "eve".into() })),
        ("server-scan", Action::Scan(Scan { paths: vec!["/srv".into()] })),
        ("server-recheck", Action::Recheck(Recheck { reason: "was it touched?".into() })),
        ("server-report", Action::Report(Report { inventory: true })),
        (
            "server-approve",
            Action::Approve(Approve { path: "/etc".into(), until: 1_767_225_600_000_000, reason: "CHG-17".into() }),
        ),
        ("server-kill-gently", Action::Kill(gently)),
        ("server-script-signed", Action::Script(signed)),
        ("server-collect-timeline", Action::Collect(timeline)),
    ]
}

fn from_server() -> Vec<(&'static str, FromServer)> {
    let welcome = Welcome {
        version: 1,
        program: "0.1.0".into(),
        time: 1_767_225_600_000_500,
        marks: vec![Ack { lane: 1, sequence: 41 }],
        heartbeat_ms: 30_000,
        window: 16,
        renewal_wanted: true,
    };
    let policy = Policy { version: 8, hash: Blob(vec![6; 32]), document: Blob(b"{}".to_vec()) };
    let certificate = Certificate { certificate: Blob(vec![0x30; 5]), not_after: 1_769_817_600_000_000 };
    let sql = "SELECT pid, name FROM processes".into();
    let query = Query { id: [1; 16], sql, timeout_ms: 10_000, rows_max: 1_000, ..Query::default() };
    let mut all = vec![
        ("server-welcome", FromServer::Welcome(welcome)),
        ("server-ack", FromServer::Ack(Ack { lane: 1, sequence: 42 })),
        ("server-beat", FromServer::Beat(Beat { beat: 3, time: 1_767_225_630_000_400 })),
        ("server-policy", FromServer::Policy(policy)),
        ("server-cancel", FromServer::Cancel(Cancel { id: [1; 16] })),
        ("server-query", FromServer::Query(query)),
        ("server-resend", FromServer::Resend(Resend { list: "packages".into() })),
        ("server-kept", FromServer::Kept(Kept { list: "packages".into(), hash: Blob(vec![4; 32]) })),
        ("server-fetch-pack", FromServer::FetchPack(fetch_pack())),
        ("server-fetch-baseline", FromServer::FetchBaseline(fetch_baseline())),
        ("server-kept-baseline", FromServer::KeptBaseline(KeptBaseline { root: [7; 32], number: 3 })),
        ("server-refuse", FromServer::Refuse(Refuse { reason: Refusal::Busy, text: "later".into(), retry_ms: 5_000 })),
        ("server-certificate", FromServer::Certificate(certificate)),
    ];
    all.extend(upgrade());
    all.extend(actions().into_iter().map(|(name, action)| {
        let command = Command {
            id: [5; 16],
            issued: 1_767_225_600_000_000,
            expires: 1_767_225_660_000_000,
            timeout_ms: 30_000,
            dry_run: name == "server-kill",
            by: "anna".into(),
            action: Some(action),
        };
        (name, FromServer::Command(command))
    }));
    all
}

fn pack_part() -> PackPart {
    PackPart { command: [5; 16], offset: 524_288, bytes: 524_293, content: Blob(vec![9; 5]), error: None }
}

fn baseline_part() -> BaselinePart {
    let base = Some(Blob(vec![6; 32]));
    BaselinePart { root: [7; 32], base, offset: 524_288, bytes: 524_293, content: Blob(vec![9; 5]), error: None }
}

fn baseline_state() -> BaselineState {
    let chain = vec![Blob(vec![6; 32]), Blob(vec![7; 32])];
    BaselineState { root: [7; 32], chain, made: 1_767_225_600_000_000, policy: Blob(vec![0xab; 32]) }
}

fn fetch_baseline() -> FetchBaseline {
    FetchBaseline { root: [7; 32], base: Some(Blob(vec![6; 32])), offset: 524_288, bytes_max: 524_288 }
}

fn fetch_pack() -> FetchPack {
    FetchPack { command: [5; 16], offset: 524_288, bytes_max: 524_288, kept: false }
}

fn upgrade() -> Vec<(&'static str, FromServer)> {
    let offer = [0x33; 16];
    let release = SignedManifest {
        manifest: r#"{"version": "1.2.0", "platform": "linux"}"#.into(),
        key: Blob(vec![1; 32]),
        signature: Blob(vec![2; 64]),
    };
    let offered = Offer {
        id: offer,
        release: Some(release),
        bytes_per_s: 2 << 20,
        prove_within_s: 120,
        revert: false,
        again: true,
    };
    let back = Offer { id: offer, prove_within_s: 60, revert: true, ..Offer::default() };
    vec![
        ("server-offer", FromServer::Offer(offered)),
        ("server-offer-back", FromServer::Offer(back)),
        ("server-piece", FromServer::Piece(Piece { offer, offset: 4_096, bytes: Blob(vec![7; 5]) })),
        ("server-proof", FromServer::Proof(Proof { offer })),
        ("server-heard", FromServer::Heard(Heard { offer })),
        ("server-withdraw", FromServer::Withdraw(Withdraw { offer })),
    ]
}

/// What is in the file; with the variable set, a missing one is written first.
fn fixture(name: &str, now: &[u8]) -> Vec<u8> {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(format!("{name}.frame"));
    if std::env::var_os("GUARDIAN_WRITE_FRAMES").is_some() && !file.exists() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, now).unwrap();
    }
    std::fs::read(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

#[test]
fn every_message_of_an_agent_is_as_it_was() {
    let all = from_agent();
    assert_eq!(all.iter().map(|(_, m)| m.kind()).collect::<Vec<_>>(), FromAgent::KINDS);
    for (name, message) in all {
        let mut now = Vec::new();
        message.put(&mut now).unwrap();
        let then = fixture(name, &now);
        let mut frames = Frames::new(limits::FRAME_BYTES_MAX);
        frames.push(&then);
        let read = frames.next().unwrap().unwrap().from_agent().unwrap().unwrap();
        if let (FromAgent::Batch(read), FromAgent::Batch(message)) = (&read, &message) {
            // Another version of the compressor may pack differently.
            assert_eq!(guardian_protocol::open(read), guardian_protocol::open(message));
            continue;
        }
        assert_eq!((&then, &read), (&now, &message), "{name}");
    }
}

/// Fields that were added later: the frames above, which lack them, still are what they were.
#[test]
fn fields_that_came_later_are_as_they_were() {
    let answer =
        Answer { query: [9; 16], part: 3, last: true, count: 2, more: true, took_ms: 10_003, ..Answer::default() };
    let query = Query { id: [1; 16], sql: "SELECT 1".into(), timeout_ms: 10_000, rows_max: 1_000, bytes_max: 65_536 };
    let (mut now, mut frames) = (Vec::new(), Frames::new(limits::FRAME_BYTES_MAX));
    FromAgent::Answer(answer.clone()).put(&mut now).unwrap();
    assert_eq!(fixture("agent-answer-later", &now), now);
    frames.push(&now);
    assert_eq!(frames.next().unwrap().unwrap().from_agent(), Ok(Some(FromAgent::Answer(answer))));
    now.clear();
    FromServer::Query(query.clone()).put(&mut now).unwrap();
    assert_eq!(fixture("server-query-later", &now), now);
    frames.push(&now);
    assert_eq!(frames.next().unwrap().unwrap().from_server(), Ok(Some(FromServer::Query(query))));
}

#[test]
fn every_message_of_the_server_is_as_it_was() {
    let all = from_server();
    assert!(FromServer::KINDS.iter().all(|kind| all.iter().any(|(_, m)| m.kind() == *kind)));
    for (name, message) in all {
        let mut now = Vec::new();
        message.put(&mut now).unwrap();
        let then = fixture(name, &now);
        assert_eq!(then, now, "{name}");
        let mut frames = Frames::new(limits::FRAME_BYTES_MAX);
        frames.push(&then);
        assert_eq!(frames.next().unwrap().unwrap().from_server(), Ok(Some(message)));
    }
}
