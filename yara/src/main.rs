//! The scanner beside the agent: rules of YARA-X over files that it is handed. It is a program of its own because its engine
//! is larger than all of the agent, makes machine code, and reads whatever lies on a machine.
//!
//! It locks itself up before anything else: no user, no capability, no path, no network, no program. It makes code of the
//! rules, and gives up the right to make code before the first file comes. Files come as descriptors: it opens none.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _};
use std::process::ExitCode;

use guardian_protocol::limits::{RULES_BYTES_MAX, SCANNED_BYTES_MAX};
use guardian_protocol::scanner::{ABOUT_MAX, MATCHES_MAX, Match, Order, PLACES_MAX, WORD_BYTES_MAX, Word};
use guardian_sys::channel::Channel;
use guardian_sys::confine::{Calls, Room, confine, no_more_code};
use yara_x::{Compiler, MetaValue, Rules, ScanResults, Scanner};

/// A number that no system gives to anybody (systemd.io/UIDS-GIDS), beside the one of those that read apart.
const USER: u32 = 1_900_000_002;
/// The engine, its rules, and twice the largest file.
const MEMORY_BYTES_MAX: u64 = 2 << 30;
/// Processor time of one order of the server's, which may take six hours.
const CPU_S_MAX: u64 = 6 * 3_600;
/// Open files: the channel, the three of every process, the file that is looked through.
const FILES_MAX: u64 = 16;
/// Errors in rules that are told.
const ERRORS_MAX: usize = 5;
/// Bytes of an error.
const ERROR_BYTES_MAX: usize = 2_000;
/// Places of one pattern that are looked for.
const MATCHES_OF_PATTERN_MAX: usize = 1_000;

const USAGE: &str = "\
The scanner of guardian-agent: it looks through files with rules of YARA-X (https://virustotal.github.io/yara-x).

The agent starts it, and hands it rules and files; it has nothing to offer to people. Let it lie beside the agent's
program, belong to root, and be writable by nobody else. What asks for it:

  guardian commands yara --rules FILE PATH… --host ID";

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("--version" | "-V") => {
            println!("guardian-yara {}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        Some("--help" | "-h") => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Some(other) => {
            eprintln!("guardian-yara: `{other}` is not expected\n\n{USAGE}");
            return ExitCode::from(2);
        }
        None => {}
    }
    if io::stdin().is_terminal() {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    }
    match work() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("guardian-yara: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Locks itself up, takes rules, and looks through files until the other end is closed.
fn work() -> io::Result<()> {
    let mut talk = Talk(Channel::of_standard_input()?);
    let held = confine(&Room {
        user: Some(USER),
        keeps: &[],
        closed: true,
        readable: Vec::new(),
        writable: Vec::new(),
        calls: Calls::Compile,
        memory_bytes: MEMORY_BYTES_MAX,
        cpu_s: CPU_S_MAX,
        files: FILES_MAX,
        file_bytes: 0,
        ends_with_parent: false,
    })?;
    talk.say(&Word::Ready { missing: held.missing().into_iter().map(str::to_owned).collect() })?;
    let Some(text) = talk.rules()? else { return Ok(()) };
    let rules = match compiled(&text) {
        Ok(rules) => rules,
        Err(errors) => return talk.say(&Word::Refused(errors)),
    };
    let mut scanner = Scanner::new(&rules);
    scanner.max_matches_per_pattern(MATCHES_OF_PATTERN_MAX);
    // The first scan makes what is left to be made.
    scanner.scan(b"").map_err(io::Error::other)?;
    no_more_code()?;
    talk.say(&Word::Compiled { rules: u32::try_from(rules.iter().len()).unwrap_or(u32::MAX) })?;
    let mut content = Vec::new();
    while let Some((order, file)) = talk.hear()? {
        let (Order::Scan { length }, Some(file)) = (order, file) else { return Err(unexpected()) };
        let word = match read(file, length, &mut content) {
            Ok(()) => scanner.scan(&content).map_or_else(|error| Word::Unread(error.to_string()), |found| told(&found)),
            Err(error) => Word::Unread(error.to_string()),
        };
        talk.say(&word)?;
    }
    Ok(())
}

fn unexpected() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "an order that was not expected")
}

fn compiled(text: &str) -> Result<Rules, String> {
    let mut compiler = Compiler::new();
    // What other files hold is out of reach.
    compiler.enable_includes(false);
    if let Err(error) = compiler.add_source(text) {
        let errors = compiler.errors();
        let lines: Vec<String> = errors.iter().take(ERRORS_MAX).map(ToString::to_string).collect();
        let all = if lines.is_empty() { error.to_string() } else { lines.join("\n") };
        return Err(shortened(&all, ERROR_BYTES_MAX));
    }
    Ok(compiler.build())
}

/// The content of a file that may change while it is read: it is never mapped.
fn read(mut file: File, length: u64, content: &mut Vec<u8>) -> io::Result<()> {
    content.clear();
    (&mut file).take(length.min(SCANNED_BYTES_MAX)).read_to_end(content).map(drop)
}

fn told(found: &ScanResults<'_, '_>) -> Word {
    let matching = found.matching_rules();
    let more = u32::try_from(matching.len().saturating_sub(MATCHES_MAX)).unwrap_or(u32::MAX);
    let matches = matching.take(MATCHES_MAX).map(|rule| {
        let about = rule.metadata().filter_map(|(name, value)| {
            let value = match value {
                MetaValue::Integer(number) => number.to_string(),
                MetaValue::Float(number) => number.to_string(),
                MetaValue::Bool(is) => is.to_string(),
                MetaValue::String(text) => text.to_owned(),
                MetaValue::Bytes(_) => return None,
            };
            Some(shortened(&format!("{name} = {value}"), WORD_BYTES_MAX))
        });
        let places = rule.patterns().flat_map(|pattern| {
            let name = shortened(pattern.identifier(), WORD_BYTES_MAX);
            let at: Vec<_> = pattern.matches().take(PLACES_MAX).map(|one| one.range().start as u64).collect();
            at.into_iter().map(move |at| (name.clone(), at))
        });
        Match {
            rule: shortened(rule.identifier(), WORD_BYTES_MAX),
            tags: rule.tags().take(ABOUT_MAX).map(|tag| shortened(tag.identifier(), WORD_BYTES_MAX)).collect(),
            about: about.take(ABOUT_MAX).collect(),
            places: places.take(PLACES_MAX).collect(),
        }
    });
    Word::Found { matches: fitting(matches), more }
}

/// As many as fit in one message.
fn fitting(matches: impl Iterator<Item = Match>) -> Vec<Match> {
    const ROOM: usize = guardian_sys::channel::MESSAGE_BYTES_MAX - 1_024;
    let mut left = ROOM;
    matches
        .map_while(|one| {
            left = left.checked_sub(postcard::to_allocvec(&one).map_or(usize::MAX, |bytes| bytes.len()))?;
            Some(one)
        })
        .collect()
}

fn shortened(text: &str, bytes_max: usize) -> String {
    text[..text.floor_char_boundary(bytes_max)].to_owned()
}

/// The way to the agent.
struct Talk(Channel);

impl Talk {
    fn say(&self, word: &Word) -> io::Result<()> {
        let bytes = postcard::to_allocvec(word).map_err(io::Error::other)?;
        self.0.send(&bytes, None, None)
    }

    fn hear(&mut self) -> io::Result<Option<(Order, Option<File>)>> {
        let Some(came) = self.0.receive(None)? else { return Ok(None) };
        let order = postcard::from_bytes(came.bytes).map_err(|_| unexpected())?;
        Ok(Some((order, came.file)))
    }

    fn rules(&mut self) -> io::Result<Option<String>> {
        let mut text = Vec::new();
        while let Some((order, _)) = self.hear()? {
            let Order::Rules { part, last } = order else { return Err(unexpected()) };
            text.extend(part);
            if text.len() > RULES_BYTES_MAX {
                return Err(unexpected());
            }
            if last {
                return String::from_utf8(text).map(Some).map_err(|_| unexpected());
            }
        }
        Ok(None)
    }
}
