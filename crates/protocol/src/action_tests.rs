//! Actions are read as they were said, in both forms, and within bounds alone.

use super::*;

fn script() -> Script {
    Script {
        interpreter: "/bin/sh".into(),
        text: "id".into(),
        signature: Blob(vec![9; 64]),
        arguments: vec!["a b".into(), String::new()],
        hosts: vec!["7d3b5a0e".into()],
        expires: 1_767_225_600_000_000,
        purpose: "who am I".into(),
        once: true,
    }
}

fn every() -> Vec<Action> {
    let (pid, start_ticks, boot) = (4_711, 99, String::new());
    vec![
        Action::Isolate(Isolate { seconds: 60, keep: vec!["192.0.2.0/24".into()], no_dns: true }),
        Action::Release(Release { reason: "clean".into() }),
        Action::Block(Block { address: "2001:db8::/32".into(), seconds: 0 }),
        Action::Kill(Kill { pid, start_ticks, tree: true, gently: true, boot: boot.clone() }),
        Action::Quarantine(Quarantine { path: "/tmp/x".into(), hash: Blob(vec![1; 32]), force: false }),
        Action::DisableUser(DisableUser { name: "eve".into(), sessions: true }),
        Action::Script(script()),
        Action::Collect(Collect { parts: vec!["maps".into()], recipient: [3; 32], ..Collect::default() }),
        Action::Undo(Undo { command: [7; 16] }),
        Action::Unblock(Unblock { address: "192.0.2.1".into() }),
        Action::Suspend(Suspend { pid, start_ticks, tree: true, boot: boot.clone() }),
        Action::Resume(Resume { pid, start_ticks, tree: true, boot }),
        Action::Restore(Restore { command: [7; 16], path: String::new(), force: true }),
        Action::EnableUser(EnableUser { name: "eve".into() }),
        Action::Scan(Scan { paths: vec!["/srv".into()] }),
        Action::Recheck(Recheck { reason: "was it touched?".into() }),
        Action::Report(Report { inventory: true }),
        Action::Yara(Yara { rules: "rule r { condition: true }".into(), paths: vec!["/srv".into()], bytes_max: 1 }),
        Action::Approve(Approve { path: "/etc".into(), until: 1, reason: "CHG-17".into() }),
    ]
}

#[test]
fn every_action_has_a_name_and_comes_back_from_bytes_and_from_json() {
    let every = every();
    assert_eq!(every.iter().map(Action::kind).collect::<Vec<_>>(), Action::KINDS);
    assert_eq!(every.iter().map(Action::name).collect::<Vec<_>>(), Action::NAMES);
    for action in every {
        assert_eq!(action.check(), Ok(()), "{action:?}");
        assert_eq!(Action::from_bytes(&action.to_bytes()), Ok(action.clone()));
        let json = serde_json::to_value(&action).unwrap();
        assert_eq!(json["kind"], action.name());
        assert_eq!(serde_json::from_value::<Action>(json).unwrap(), action);
    }
}

#[test]
fn json_is_what_people_write() {
    let read = |text: &str| serde_json::from_str::<Action>(text).map_err(|e| e.to_string());
    let kill = Action::Kill(Kill { pid: 7, start_ticks: 8, ..Kill::default() });
    assert_eq!(read(r#"{"kind":"kill","pid":7,"start_ticks":8}"#), Ok(kill));
    let undo = read(r#"{"kind":"undo","command":"01020304-0506-0708-090a-0b0c0d0e0f10"}"#).unwrap();
    assert_eq!(undo, Action::Undo(Undo { command: std::array::from_fn(|i| i as u8 + 1) }));
    for wrong in [
        r#"{"kind":"kill","pid":7,"signal":9}"#,
        r#"{"kind":"format"}"#,
        r#"{"pid":7}"#,
        r#"{"kind":"undo","command":"0102"}"#,
        r#"{"kind":"quarantine","path":"/a","hash":"xyz"}"#,
    ] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn what_is_out_of_bounds_is_refused_by_its_name() {
    let block = |address: &str| Action::Block(Block { address: address.into(), seconds: 1 });
    let file = |path: &str| Action::Quarantine(Quarantine { path: path.into(), ..Quarantine::default() });
    let user = |name: &str| Action::DisableUser(DisableUser { name: name.into(), sessions: false });
    let kill = |pid, start_ticks| Action::Kill(Kill { pid, start_ticks, ..Kill::default() });
    let cases = [
        (block("192.0.2.1/24"), "address"),
        (block("0.0.0.0/0"), "address"),
        (block("::/0"), "address"),
        (block("192.0.2.0/33"), "address"),
        (block("192.0.2.0/+8"), "address"),
        (block("example.com"), "address"),
        (block("192.0.2.1; flush ruleset"), "address"),
        (Action::Isolate(Isolate { seconds: u64::MAX, ..Isolate::default() }), "seconds"),
        (Action::Isolate(Isolate { keep: vec![String::new()], ..Isolate::default() }), "keep"),
        (Action::Isolate(Isolate { keep: vec!["::1".into(); 65], ..Isolate::default() }), "keep"),
        (file("tmp/x"), "path"),
        (file("/tmp/../etc/shadow"), "path"),
        (file("/tmp//x"), "path"),
        (file("/tmp/"), "path"),
        (file("/tmp/\0"), "path"),
        (Action::Quarantine(Quarantine { path: "/x".into(), hash: Blob(vec![1]), force: false }), "hash"),
        (user(""), "name"),
        (user("-root"), "name"),
        (user("a:b"), "name"),
        (user("a\nb"), "name"),
        (kill(1, 1), "pid"),
        (kill(0, 1), "pid"),
        (kill(u32::MAX, 1), "pid"),
        (kill(7, 0), "start_ticks"),
        (Action::Undo(Undo::default()), "command"),
        (Action::Restore(Restore::default()), "command"),
        (Action::Script(Script { signature: Blob::default(), ..script() }), "signature"),
        (Action::Script(Script { interpreter: "sh".into(), ..script() }), "interpreter"),
        (Action::Script(Script { expires: 0, ..script() }), "expires"),
        (Action::Script(Script { arguments: vec!["\0".into()], ..script() }), "arguments"),
        (Action::Collect(Collect { parts: vec!["passwords".into()], ..Collect::default() }), "parts"),
        (Action::Collect(Collect { bytes_max: u64::MAX, ..Collect::default() }), "bytes_max"),
        (Action::Scan(Scan::default()), "paths"),
        (Action::Approve(Approve { path: "etc".into(), ..Approve::default() }), "path"),
        (Action::Approve(Approve { until: -1, ..Approve::default() }), "until"),
        (Action::Yara(Yara { paths: vec!["/srv".into()], ..Yara::default() }), "rules"),
        (Action::Yara(Yara { rules: "rule r { condition: true }".into(), ..Yara::default() }), "paths"),
    ];
    for (action, field) in cases {
        assert_eq!(action.check().map_err(|invalid| invalid.field), Err(field), "{action:?}");
    }
}

#[test]
fn everything_but_the_signature_is_in_the_statement() {
    let signed = script();
    let other = Script { signature: Blob(vec![1; 64]), ..script() };
    assert_eq!(signed.statement(), other.statement());
    let changed = [
        Script { interpreter: "/bin/bash".into(), ..script() },
        Script { text: "id -u".into(), ..script() },
        Script { arguments: vec!["a".into(), "b".into()], ..script() },
        Script { arguments: vec!["a b".into()], ..script() },
        Script { hosts: Vec::new(), ..script() },
        Script { expires: 1, ..script() },
        Script { purpose: String::new(), ..script() },
        Script { once: false, ..script() },
    ];
    for other in changed {
        assert_ne!(signed.statement(), other.statement(), "{other:?}");
    }
    assert!(signed.statement().starts_with(SCRIPT_CONTEXT));
}

#[test]
fn prefixes_are_exact() {
    assert_eq!(prefix("192.0.2.1"), Some(("192.0.2.1".parse().unwrap(), 32)));
    assert_eq!(prefix("10.0.0.0/8"), Some(("10.0.0.0".parse().unwrap(), 8)));
    assert_eq!(prefix("2001:db8::/32"), Some(("2001:db8::".parse().unwrap(), 32)));
    assert_eq!(prefix("0.0.0.0/0"), Some(("0.0.0.0".parse().unwrap(), 0)));
    for wrong in ["", "10.0.0.1/8", "10.0.0.0/", "10.0.0.0/-1", "fe80::1%eth0", "1.2.3", "::/129"] {
        assert_eq!(prefix(wrong), None, "{wrong}");
    }
}
