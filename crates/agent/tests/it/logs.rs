//! Logs as they are written, for real where the programs are there.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use guardian_agent::apart::Apart;
use guardian_agent::files::{Change, Kind, What, Who};
use guardian_agent::outbox::Outbox;
use guardian_agent::sources::files::{Around, Files};
use guardian_agent::sources::health::Health;
use guardian_agent::sources::logs::{Form, Logs, Options};
use guardian_protocol::classes::{FileColumn as F, HealthColumn as H, LogColumn as L, LoginColumn as I};

use crate::rows::{Row, take, take_marked, until};

fn apart() -> Arc<Apart> {
    Arc::new(Apart::new(env!("CARGO_BIN_EXE_guardian-agent").into()))
}

fn append(path: &Path, text: &str) {
    File::options().create(true).append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

fn class<'a>(rows: &'a [Row], name: &str) -> Vec<&'a Row> {
    rows.iter().filter(|r| r.class.name == name).collect()
}

/// Rows of so many recorded messages: sixteen of them are logins too.
const fn rows_of(messages: usize) -> usize {
    messages + 16
}

#[test]
fn files_become_messages_and_logins_and_are_read_once() {
    let folder = tempfile::tempdir().unwrap();
    let (auth, audit) = (folder.path().join("auth.log"), folder.path().join("audit.log"));
    append(&auth, "");
    append(&audit, "");
    let options = |place| Options {
        journal: false,
        files: vec![(auth.clone(), Form::Syslog), (audit.clone(), Form::Audit)],
        place,
        offset_s: Some(0),
    };
    let (outbox, inbox) = Outbox::new();
    let mut logs = Logs::start(&outbox, apart(), options(None));
    let (rows, mark) = take_marked(&inbox);
    let begun = mark.expect("where a file ends that was never read is told before anything is");
    assert!(rows.is_empty());
    let recorded = fs::read_to_string("fixtures/logs/auth.log").unwrap();
    let records = fs::read_to_string("fixtures/logs/audit.log").unwrap();
    append(&auth, &recorded);
    append(&audit, &records);
    let wanted = recorded.lines().count() + records.lines().count();
    let all = |rows: &[Row]| class(rows, "logs").len() >= wanted && class(rows, "logins").len() >= 16;
    let rows = until(&inbox, 20, || logs.step(Duration::from_millis(20)).unwrap(), all);
    assert_eq!((class(&rows, "logs").len(), class(&rows, "logins").len()), (wanted, 16));
    let failed = class(&rows, "logins")[0];
    assert_eq!(
        (failed.get(I::SrcIp as usize), failed.get(I::User as usize), failed.get(I::Success as usize)),
        ("127.0.0.1", "tester", "false")
    );
    assert_eq!(failed.get(I::Time as usize), "1795385155407255");
    let call = class(&rows, "logs")
        .into_iter()
        .find(|r| r.get(L::Key as usize) == "memfd" && r.get(L::Type as usize) == "SYSCALL");
    assert_eq!(call.unwrap().get(L::Syscall as usize), "memfd_create");
    // Whoever comes after an agent that ended before anything was safe reads all of it again.
    drop(logs);
    let mut logs = Logs::start(&outbox, apart(), options(Some(begun.place)));
    assert_eq!(until(&inbox, 20, || logs.step(Duration::from_millis(20)).unwrap(), all).len(), rows_of(wanted));
    // It ends when what was read is safe: somebody has to say so meanwhile.
    let keeper = std::thread::spawn(move || {
        let stop = std::sync::atomic::AtomicBool::new(true);
        logs.run(&stop).unwrap();
    });
    let mut mark = None;
    while !keeper.is_finished() {
        mark = take_marked(&inbox).1.or(mark);
    }
    keeper.join().unwrap();
    let mark = take_marked(&inbox).1.or(mark).unwrap();
    append(&auth, "2026-11-22T23:00:00Z vm sshd[1]: Failed password for root from 203.0.113.9 port 4711 ssh2\n");
    let mut logs = Logs::start(&outbox, apart(), options(Some(mark.place)));
    let rows =
        until(&inbox, 20, || logs.step(Duration::from_millis(20)).unwrap(), |rows| !class(rows, "logins").is_empty());
    assert_eq!((class(&rows, "logs").len(), class(&rows, "logins").len()), (1, 1), "the rest was read before");
}

#[test]
fn lines_that_nobody_can_cope_with_are_told_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let (auth, program) = (folder.path().join("auth.log"), folder.path().join("program"));
    append(&auth, "");
    let options =
        || Options { journal: false, files: vec![(auth.clone(), Form::Syslog)], place: None, offset_s: Some(0) };
    let failed = "2026-11-22T23:00:00Z vm sshd[1]: Failed password for root from 203.0.113.9 port 4711 ssh2";
    // Without anybody who could, nothing is told and nothing is lost.
    let apart = Arc::new(Apart::new(program.clone()));
    let (outbox, inbox) = Outbox::new();
    let mut logs = Logs::start(&outbox, Arc::clone(&apart), options());
    append(&auth, &format!("{failed}\n").repeat(3));
    let begun = std::time::Instant::now();
    while begun.elapsed() < Duration::from_secs(1) {
        logs.step(Duration::from_millis(20)).unwrap();
    }
    assert!(take(&inbox).is_empty());
    assert!(apart.complaint().is_some_and(|complaint| complaint.contains("no process could be started")));
    // Whoever ends over each of them has them told by themselves.
    guardian_testkit::program::write(&program, "#!/bin/sh\nexit 1\n");
    let rows = until(&inbox, 20, || logs.step(Duration::from_millis(20)).unwrap(), |rows| rows.len() >= 3);
    assert_eq!((class(&rows, "logs").len(), class(&rows, "logins").len()), (3, 0));
    assert!(rows.iter().all(|row| row.get(L::Message as usize) == failed && row.get(L::Program as usize).is_empty()));
    assert_eq!(logs.counters().odd.load(std::sync::atomic::Ordering::Relaxed), 3);
    assert!(apart.counts().failed >= 5, "all of them, then each part: {:?}", apart.counts());
}

/// A journal of its own, in namespaces of its own, with its own daemon: needs root and systemd's programs.
#[test]
fn the_journal_is_followed() {
    const DAEMON: &str = "/lib/systemd/systemd-journald";
    if std::env::var_os("GUARDIAN_TEST_IN_JOURNAL").is_none() {
        let root = fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0);
        if !(root && Path::new(DAEMON).exists() && Path::new("/usr/bin/journalctl").exists()) {
            return eprintln!("skipped: no root, or no journal");
        }
        // The same test again, inside.
        let script = format!(
            "mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal /run/log/journal && \
             echo 0123456789abcdef0123456789abcdef > /run/machine-id && {{ [ -e /etc/machine-id ] || exit 77; }} && \
             mount --bind /run/machine-id /etc/machine-id && {{ {DAEMON} & }} && daemon=$! && \
             for i in $(seq 100); do [ -S /run/systemd/journal/dev-log ] && break; sleep 0.1; done && \
             \"$0\" the_journal_is_followed --nocapture; code=$?; kill $daemon; exit $code"
        );
        let program = std::env::current_exe().unwrap();
        let mut inside = Command::new("unshare");
        inside
            .args(["--mount", "--propagation", guardian_testkit::machine::propagation(), "sh", "-c", &script])
            .arg(program)
            .env("GUARDIAN_TEST_IN_JOURNAL", "1");
        let status = inside.status().unwrap();
        assert!(status.success() || status.code() == Some(77), "{status}");
        return;
    }
    let options = Options { journal: true, files: Vec::new(), place: None, offset_s: Some(0) };
    let (outbox, inbox) = Outbox::new();
    let mut logs = Logs::start(&outbox, apart(), options);
    let mut number = 0;
    let mut step = || {
        number += 1;
        if number % 20 == 5 {
            let forged = "Failed password for root from 203.0.113.9 port 4711 ssh2";
            // Somebody who is not root: root's word for a process that is gone already is taken.
            let mut logger = Command::new("setpriv");
            logger.args([
                "--reuid=65534",
                "--clear-groups",
                "logger",
                "--socket",
                "/run/systemd/journal/dev-log",
                "-t",
                "sshd",
                "-p",
                "auth.info",
                forged,
            ]);
            // The daemon may not be there yet; then the next one comes through.
            let _ = logger.status().unwrap().success();
        }
        logs.step(Duration::from_millis(50)).unwrap();
    };
    let rows = until(&inbox, 20, &mut step, |rows| rows.iter().any(|r| r.get(L::Program as usize) == "sshd"));
    let message = rows.iter().find(|r| r.get(L::Program as usize) == "sshd").unwrap();
    assert_eq!((message.get(L::Source as usize), message.get(L::Severity as usize)), ("journal", "6"));
    assert_eq!(message.get(L::Boot as usize).len(), 36);
    assert!(class(&rows, "logins").is_empty(), "logger is not sshd, whatever it says");
}

#[test]
fn the_host_is_measured() {
    let (outbox, inbox) = Outbox::new();
    let mut health = Health::start(outbox, Duration::from_millis(300));
    let measured = |rows: &[Row]| rows.iter().any(|r| r.get(H::Metric as usize) == "cpu_busy");
    let step = || {
        health.step();
        std::thread::sleep(Duration::from_millis(20));
    };
    let rows = until(&inbox, 20, step, measured);
    let value = |metric: &str| {
        let row = rows.iter().find(|r| r.get(H::Metric as usize) == metric).unwrap_or_else(|| panic!("{metric}"));
        row.get(H::Value as usize).parse::<u64>().unwrap()
    };
    assert!(value("memory_available") < value("memory_total") && value("cpu_busy") <= 1_000);
    assert!(value("agent_memory") > 1 << 20 && value("uptime") > 0 && value("load_1m") < 1_000_000);
    let space = rows.iter().find(|r| r.get(H::Metric as usize) == "filesystem_total").unwrap();
    assert!(space.get(H::Object as usize).starts_with('/') && space.get(H::Unit as usize) == "bytes");
}

#[test]
fn changes_of_files_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tool");
    let policy = guardian_agent::files::Policy { roots: vec![folder.path().to_owned()], ..Default::default() };
    let record = |mode: u32| {
        fs::write(&path, "x").unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        guardian_agent::files::look(&policy, &path).unwrap().unwrap()
    };
    let (before, after) = (record(0o755), record(0o4755));
    assert_eq!(after.kind, Kind::Regular);
    let properties = vec![guardian_agent::files::Property::Mode];
    let what = What::Changed { before: Box::new(before), after: Box::new(after), properties };
    let (outbox, inbox) = Outbox::new();
    let mut files = Files::new(outbox);
    let who = Who::of(std::process::id());
    let around = Around { who: Some(&who), policy: "programs", source: "fanotify", ..Around::default() };
    files.tell(&Change { path: path.clone(), what }, 5, around);
    files.flush();
    let rows = take(&inbox);
    let row = &rows[0];
    assert_eq!((row.get(F::Activity as usize), row.get(F::Changed as usize)), ("modify", "mode"));
    assert_eq!((row.get(F::Setid as usize), row.get(F::OldMode as usize)), ("true", (0o755).to_string().as_str()));
    assert_eq!(row.get(F::OldSha256 as usize), "", "the content is the same");
    assert_eq!(row.get(F::Pid as usize), std::process::id().to_string());
}
