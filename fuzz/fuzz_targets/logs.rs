//! What daemons, the journal and the kernel's audit write, much of it in words of whoever knocks: nothing panics, and what is
//! understood of it is a part of what was written.
#![no_main]

use guardian_agent::sources::logs::{Auth, Entry, Form, Piece, Pieces, Understood, parse_journal, parse_syslog};
use guardian_agent::sources::processes::{Assembler, Executed};
use libfuzzer_sys::fuzz_target;

const NOW: i64 = 1_795_385_300_000_000;
/// Bounds of what is put together from audit records.
const EVENTS_MAX: usize = 1_024;
const ARGUMENTS_BYTES_MAX: usize = 16 << 10;

/// Lines as audit records of one event or another: programs come out of them, each once and within bounds.
fn programs(text: &str) {
    let (mut assembler, mut done): (Assembler, Vec<Executed>) = (Assembler::default(), Vec::new());
    let mut count = 0;
    for (at, line) in text.lines().enumerate() {
        let Some((kind, record)) = line.split_once(" msg=") else { continue };
        count += usize::from(assembler.take(kind.trim_start_matches("type="), record, at as u64, &mut done));
        assert!(assembler.waiting() <= EVENTS_MAX);
    }
    assembler.tick(u64::MAX, &mut done);
    assert_eq!(assembler.waiting(), 0);
    assert!(done.len() as u64 + assembler.broken <= count as u64);
    for executed in done {
        assert!(executed.pid > 0 && executed.arguments.len() <= ARGUMENTS_BYTES_MAX);
    }
}

fn read(auth: &mut Auth, entry: &Entry) {
    for program in [entry.program.as_str(), "sshd", "sudo", "su", "login", "pkexec", "polkitd"] {
        if let Some(login) = auth.read(program, entry.pid, &entry.message) {
            assert!(login.count >= 1 || entry.message.contains("message repeated"));
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let mut auth = Auth::default();
    let text = String::from_utf8_lossy(input);
    programs(&text);
    let mut pieces = vec![Piece::Journal(input.to_vec())];
    for line in text.lines() {
        let found = parse_syslog(line, NOW, 3_600);
        assert!(found.message.len() <= line.len() && found.program.len() <= line.len());
        let entry = Entry {
            program: found.program.to_owned(),
            pid: found.pid,
            message: found.message.to_owned(),
            ..Entry::default()
        };
        read(&mut auth, &entry);
        pieces.push(Piece::Line(Form::Syslog, line.to_owned()));
        pieces.push(Piece::Line(Form::Audit, line.to_owned()));
    }
    if let Some(entry) = parse_journal(input) {
        read(&mut auth, &entry);
    }
    // What a child says of them is taken, and what anybody else says does no harm.
    let count = pieces.len();
    let all = Pieces { now: NOW, offset_s: 3_600, auth: Auth::default(), pieces };
    assert!(all.understood().can_be_of(count));
    if let Ok(said) = postcard::from_bytes::<Understood>(input) {
        said.can_be_of(said.meanings.len());
    }
});
