//! Programs as the kernel's audit tells of them: recorded, out of a log, and for real where this kernel and our rights allow.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use guardian_agent::outbox::{Inbox, Outbox};
use guardian_agent::sources::processes::{AuditControl, AuditOptions, Options, Processes, Ways};
use guardian_protocol::classes::ProcessColumn as C;

use crate::rows::{Row, take, until};

const RECORDED: &str = include_str!("../../fixtures/logs/exec.log");

fn append(path: &Path, text: &str) {
    File::options().create(true).append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

fn execs(rows: &[Row]) -> usize {
    rows.iter().filter(|r| r.get(C::Activity as usize) == "exec").count()
}

/// As auditd writes it down: without the ends of events, and with names behind its own fields.
fn of_auditd(records: &str) -> String {
    let line = |line: &str| format!("{line}\u{1d}ARCH=x86_64 AUID=\"somebody\" UID=\"nobody\"\n");
    records.lines().filter(|l| !l.contains("type=EOE")).map(line).collect()
}

#[test]
fn records_of_the_log_become_rows() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("audit.log");
    append(&log, &of_auditd(RECORDED));
    let audit = AuditOptions { add_rules: false, group: false, log: log.clone() };
    let options = Options { connector: false, audit, ..Options::default() };
    let (outbox, inbox) = Outbox::new();
    let mut processes = Processes::start(outbox, options).unwrap();
    let lacking = processes.lacking().expect("audit alone does not see everything");
    assert!(lacking.contains("the proc connector: it is not wanted"), "{lacking}");
    // What was there before is not told; what comes is, also from behind a rotation.
    let (first, second) = RECORDED.split_at(RECORDED.find("type=SYSCALL msg=audit(1795472360.936:223)").unwrap());
    append(&log, &of_auditd(first));
    let step = || processes.step(Duration::from_millis(20)).unwrap();
    let rows = until(&inbox, 20, step, |rows| execs(rows) >= 5);
    fs::rename(&log, folder.path().join("audit.log.1")).unwrap();
    append(&log, &of_auditd(second));
    let step = || processes.step(Duration::from_millis(20)).unwrap();
    let more = until(&inbox, 20, step, |rows| execs(rows) >= 10);
    let rows = [rows, more].concat();
    assert_eq!((rows.len(), processes.ways()), (15, Ways::Audit));
    let echo = rows.iter().find(|r| r.get(C::CommandLine as usize) == "/bin/true 'a b' 1 2 3 ü").unwrap();
    let get = |column: C| echo.get(column as usize);
    assert_eq!((get(C::Source), get(C::Activity), get(C::Complete)), ("audit", "exec", "false"));
    assert_eq!((get(C::Image), get(C::Cwd), get(C::Name)), ("/usr/bin/true", "/tmp", "true"));
    assert_eq!((get(C::Uid), get(C::Euid), get(C::LoginUid), get(C::Session)), ("65534", "65534", "1000", "1"));
    assert_eq!((get(C::Pid), get(C::ParentPid), get(C::Terminal)), ("1633", "1631", "pts/0"));
    assert_eq!(get(C::Time), "1795472360916000");
    assert!(get(C::ParentCommandLine).starts_with("/bin/sh -c "), "a process that audit told of is a parent");
    assert!(rows.iter().all(|r| !r.get(C::CommandLine as usize).starts_with("/tmp/guardian-refused")));
}

/// Audit, if we may change its rules; the test says why not.
fn control() -> Option<AuditControl> {
    match AuditControl::open() {
        Ok(control) => Some(control),
        Err(error) => {
            eprintln!("skipped: the kernel's audit may not be asked: {error}");
            None
        }
    }
}

/// Short commands, as many at once as there are shells, and what was told of them: rows, and those with their arguments.
fn storm(processes: &mut Processes, inbox: &Inbox, word: &str, each: usize) -> (usize, usize, f64) {
    let script = format!("i=0; while [ $i -lt {each} ]; do /bin/true {word}; i=$((i+1)); done");
    let begun = Instant::now();
    let mut shells: Vec<_> = (0..2).map(|_| Command::new("/bin/sh").args(["-c", &script]).spawn().unwrap()).collect();
    let parents: Vec<_> = shells.iter().map(|s| s.id().to_string()).collect();
    let (mut seen, mut whole, mut took) = (0, 0, None);
    let mut quiet = Instant::now();
    while took.is_none() || quiet.elapsed() < Duration::from_secs(1) {
        processes.step(Duration::from_millis(50)).unwrap();
        for row in take(inbox) {
            let child = parents.iter().any(|p| p == row.get(C::ParentPid as usize));
            if row.get(C::Activity as usize) == "exec" && child {
                seen += 1;
                whole += usize::from(row.get(C::CommandLine as usize) == format!("/bin/true {word}"));
                quiet = Instant::now();
            }
        }
        if took.is_none() && shells.iter_mut().all(|s| s.try_wait().unwrap().is_some()) {
            (took, quiet) = (Some(begun.elapsed()), Instant::now());
        }
    }
    (seen, whole, 2.0 * each as f64 / took.unwrap().as_secs_f64())
}

/// The kernel's own records, with rules of ours, by audit alone and beside the connector; then all is as it was.
#[test]
fn the_kernel_tells_of_each_program_by_audit() {
    const EACH: usize = 500;
    let Some(mut control) = control() else { return };
    let (before, rules) = (control.status().unwrap(), control.rules().unwrap());
    if before.enabled == 2 || rules.ours || rules.silenced {
        return eprintln!("skipped: audit's rules are not to be changed here: {before:?} {rules:?}");
    }
    for (connector, ways) in [(false, Ways::Audit), (true, Ways::ConnectorAndAudit)] {
        let audit = AuditOptions { add_rules: true, log: "/nonexistent".into(), ..AuditOptions::default() };
        let options = Options { connector, probe: false, exits: false, audit, ..Options::default() };
        let (outbox, inbox) = Outbox::new();
        let mut processes = match Processes::start(outbox, options) {
            Ok(processes) => processes,
            Err(error) => return eprintln!("skipped: the kernel's audit may not be listened to: {error}"),
        };
        if connector && processes.ways() == Ways::Audit {
            return eprintln!("skipped: the process connector is not permitted");
        }
        assert_eq!(processes.ways(), ways, "{:?}", processes.lacking());
        let now = control.rules().unwrap();
        assert!(now.ours && now.all && control.status().unwrap().enabled != 0, "{now:?}");
        let (seen, whole, rate) = storm(&mut processes, &inbox, "guardian-audit", EACH);
        let counters = processes.counters();
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let (lost, told) = (count(&counters.lost) + count(&counters.audit_lost), inbox.take_lost());
        let (ways, gone) = (ways.as_str(), count(&counters.vanished));
        println!(
            "{ways}: {EACH} commands twice at {rate:.0}/s: {seen} rows, {whole} with arguments, {lost} lost, {gone} gone"
        );
        assert_eq!(told.values().sum::<u64>(), lost, "what is counted is told");
        assert!(seen <= 2 * EACH, "none is told twice: {seen}");
        assert!(lost > 0 || (seen, whole) == (2 * EACH, 2 * EACH), "{seen} rows, {whole} with their arguments");
    }
    let after = (control.status().unwrap().enabled, control.rules().unwrap());
    assert_eq!(after, (before.enabled, rules), "audit is as it was");
}
