//! Rules of YARA-X over files, by the scanner that lies beside the agent. This side finds and opens the files, and follows no
//! links; the scanner gets open files alone, and what it answers is bounded and shortened here.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use guardian_protocol::message::{Denied, Yara};
use guardian_protocol::scanner::{ABOUT_MAX, MATCHES_MAX, Match, Order, PLACES_MAX, RULES_PART_BYTES, Word};
use guardian_sys::channel::Channel;
use guardian_sys::child::{self, Limits};

use super::doing::{Doing, Done, Stop, denied, failed};
use super::program;
use crate::apart::shortened;

/// Name of the scanner's program.
pub(crate) const NAME: &str = "guardian-yara";
/// It shall not be felt.
const LIMITS: Limits = Limits { cpu_s: 0, memory_bytes: 0, file_bytes: 0, files: 0, nice: 15 };
/// Larger files are left out unless somebody says otherwise.
const USUAL_BYTES_MAX: u64 = 64 << 20;
/// How long rules may take to be understood, and one file to be looked through.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// Files with matches that are told.
const TOLD_MAX: usize = 10_000;
/// Folders that wait to be looked into.
const FOLDERS_MAX: usize = 1_000_000;
/// How often a long scan says how far it is.
const REST_EVERY: u64 = 64;
/// What is no disk.
const NEVER: [&str; 2] = ["/proc", "/sys"];

/// The scanner, where it lies beside the agent's program or in the folder that this was installed to, and nobody but its owner,
/// who is root or whoever runs the agent, can change it.
pub(crate) fn find() -> Option<PathBuf> {
    let own = fs::read_link("/proc/self/exe").ok()?;
    let folders = own.ancestors().skip(1).take(3);
    folders.map(|folder| folder.join(NAME)).find(|path| is_ours(path))
}

fn is_ours(path: &Path) -> bool {
    let us = nix::unistd::geteuid().as_raw();
    let fits = |meta: fs::Metadata| (meta.uid() == 0 || meta.uid() == us) && meta.mode() & 0o022 == 0;
    let folder = path.parent().and_then(|folder| fs::metadata(folder).ok());
    let program = fs::symlink_metadata(path).ok().filter(|meta| meta.is_file() && meta.mode() & 0o111 != 0);
    program.is_some_and(fits) && folder.is_some_and(fits)
}

/// What came of it so far.
#[derive(Debug, Default)]
struct Tally {
    files: u64,
    bytes: u64,
    found: usize,
    larger: u64,
    unread: u64,
}

impl Tally {
    fn text(&self) -> String {
        let mut text = match self.found {
            0 => "nothing was found".to_owned(),
            1 => "rules match one file".to_owned(),
            count => format!("rules match {count} files"),
        };
        text.push_str(&format!(", of {} ({} MiB)", self.files, self.bytes >> 20));
        for (count, what) in [(self.larger, "are larger than the limit"), (self.unread, "could not be read")] {
            if count > 0 {
                text.push_str(&format!("; {count} {what}"));
            }
        }
        text
    }
}

/// Lets rules look through files.
pub(crate) fn scan(wanted: &Yara, home: &Path, doing: &mut Doing<'_>) -> Result<Done, Stop> {
    let Some(program) = find() else {
        return denied(Denied::Unsupported, format!("`{NAME}` does not lie beside the agent on this machine"));
    };
    let (mut scanner, rules) = Scanner::start(&program, &wanted.rules, doing)?;
    for path in &wanted.paths {
        doing.step("scan", path, format!("{rules} rules"));
    }
    if doing.dry {
        return Ok(Done::new(format!("{rules} rules would look through {} paths", wanted.paths.len())));
    }
    let bytes_max = if wanted.bytes_max == 0 { USUAL_BYTES_MAX } else { wanted.bytes_max };
    let mut tally = Tally::default();
    let again = |scanner: &mut Scanner, doing: &Doing<'_>| -> Result<(), Stop> {
        *scanner = Scanner::start(&program, &wanted.rules, doing)?.0;
        Ok(())
    };
    each_file(&wanted.paths, home, doing, &mut |path, file, bytes, doing| {
        if bytes > bytes_max {
            tally.larger += 1;
            return Ok(());
        }
        match scanner.look(&file, bytes) {
            Ok(matches) => {
                tally.files += 1;
                tally.bytes += bytes;
                if !matches.is_empty() {
                    tally.found += 1;
                    tell(&path, &matches, tally.found, doing);
                }
            }
            Err(Lost::File(why)) => {
                tally.unread += 1;
                doing.step("skip", path.display().to_string(), shortened(&why));
            }
            Err(Lost::Scanner(why)) => {
                // A file on which it ends is no reason to leave out the others.
                tally.unread += 1;
                doing.step("fail", path.display().to_string(), why);
                again(&mut scanner, doing)?;
            }
        }
        Ok(())
    })?;
    Ok(Done { status: Some(i64::from(tally.found > 0)), ..Done::new(tally.text()) })
}

fn tell(path: &Path, matches: &[Match], found: usize, doing: &mut Doing<'_>) {
    if found > TOLD_MAX {
        return;
    }
    for one in matches {
        let places = one.places.iter().map(|(name, at)| format!("{name} at {at:#x}"));
        let words: Vec<String> = one.about.iter().cloned().chain(places).collect();
        let tags = if one.tags.is_empty() { String::new() } else { format!(" [{}]", one.tags.join(", ")) };
        doing.step("found", path.display().to_string(), format!("{}{tags}: {}", one.rule, words.join("; ")));
    }
}

/// Calls `each` with every file of these paths, and of what is below on the same disk. Links are not followed, and what is
/// no file is not opened.
fn each_file(
    paths: &[String],
    home: &Path,
    doing: &mut Doing<'_>,
    each: &mut dyn FnMut(PathBuf, File, u64, &mut Doing<'_>) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let mut count: u64 = 0;
    for path in paths {
        let start = fs::symlink_metadata(path).map_err(failed(path))?;
        let disk = start.dev();
        let mut waiting = vec![PathBuf::from(path)];
        while let Some(path) = waiting.pop() {
            count += 1;
            if count.is_multiple_of(REST_EVERY) {
                doing.go_on()?;
            }
            let Ok(meta) = fs::symlink_metadata(&path) else { continue };
            if meta.is_dir() {
                let other =
                    meta.dev() != disk || path.starts_with(home) || NEVER.iter().any(|never| path.starts_with(never));
                let inside = if other { None } else { fs::read_dir(&path).ok() };
                let room = FOLDERS_MAX.saturating_sub(waiting.len());
                waiting.extend(inside.into_iter().flatten().flatten().take(room).map(|entry| entry.path()));
            } else if meta.is_file() {
                let Some((file, bytes)) = open(&path) else { continue };
                each(path, file, bytes, doing)?;
            }
        }
    }
    doing.go_on()
}

/// A file for reading, if it still is one, without a trace in its times where that is permitted.
fn open(path: &Path) -> Option<(File, u64)> {
    let quiet = libc_flags(true);
    let file = File::options().read(true).custom_flags(quiet).open(path);
    let file = file.or_else(|_| File::options().read(true).custom_flags(libc_flags(false)).open(path)).ok()?;
    let meta = file.metadata().ok().filter(fs::Metadata::is_file)?;
    Some((file, meta.len()))
}

fn libc_flags(quiet: bool) -> i32 {
    use nix::fcntl::OFlag;
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    (if quiet { flags | OFlag::O_NOATIME } else { flags }).bits()
}

/// Why a file was not looked through.
enum Lost {
    /// It could not be read.
    File(String),
    /// The scanner is gone with it.
    Scanner(String),
}

/// A scanner at work.
struct Scanner {
    child: Child,
    channel: Channel,
}

impl Drop for Scanner {
    fn drop(&mut self) {
        // One that has ended by itself is what was wanted.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Scanner {
    /// One that has understood the rules, and how many there are.
    fn start(program: &Path, rules: &str, doing: &Doing<'_>) -> Result<(Self, u32), Stop> {
        doing.go_on()?;
        let (channel, theirs) = Channel::pair()?;
        let mut command = program::bare(Command::new(program));
        command.stdin(Stdio::from(theirs)).stdout(Stdio::null()).stderr(Stdio::null());
        child::limit(&mut command, LIMITS, None);
        let child = command.spawn().map_err(failed(format!("`{NAME}` cannot be started")))?;
        drop(command);
        let mut scanner = Self { child, channel };
        let Word::Ready { .. } = scanner.hear(doing)? else { return Err(odd()) };
        let mut parts = rules.as_bytes().chunks(RULES_PART_BYTES).peekable();
        while let Some(part) = parts.next() {
            scanner.say(&Order::Rules { part: part.to_vec(), last: parts.peek().is_none() }, None)?;
        }
        match scanner.hear(doing)? {
            Word::Compiled { rules } => Ok((scanner, rules)),
            Word::Refused(why) => denied(Denied::Malformed, format!("the rules cannot be read: {}", shortened(&why))),
            _ => Err(odd()),
        }
    }

    fn say(&self, order: &Order, file: Option<&File>) -> io::Result<()> {
        let bytes = postcard::to_allocvec(order).map_err(io::Error::other)?;
        self.channel.send(&bytes, file.map(|file| file.as_fd()), Some(Instant::now() + SILENCE_MAX))
    }

    fn hear(&mut self, doing: &Doing<'_>) -> Result<Word, Stop> {
        let until = Instant::now() + doing.time(SILENCE_MAX);
        match self.channel.receive(Some(until)).map_err(failed(format!("`{NAME}` does not answer")))? {
            Some(came) => postcard::from_bytes(came.bytes).map_err(|_| odd()),
            None => Err(Stop::Failed(format!("`{NAME}` ended before it had read the rules"))),
        }
    }

    fn look(&mut self, file: &File, length: u64) -> Result<Vec<Match>, Lost> {
        let lost = |text: &str| Lost::Scanner(format!("the scanner {text}"));
        self.say(&Order::Scan { length }, Some(file)).map_err(|_| lost("takes no more files"))?;
        let came = self.channel.receive(Some(Instant::now() + SILENCE_MAX));
        let bytes = match &came {
            Ok(Some(came)) => came.bytes,
            Ok(None) => return Err(lost("ended on it")),
            Err(_) => return Err(lost("took too long and was ended")),
        };
        match postcard::from_bytes(bytes) {
            Ok(Word::Found { matches, .. }) => Ok(matches.into_iter().take(MATCHES_MAX).map(bounded).collect()),
            Ok(Word::Unread(why)) => Err(Lost::File(why)),
            _ => Err(lost("said what none of ours says")),
        }
    }
}

fn odd() -> Stop {
    Stop::Failed(format!("`{NAME}` said what none of ours says"))
}

fn bounded(mut one: Match) -> Match {
    one.rule = shortened(&one.rule);
    one.tags.truncate(ABOUT_MAX);
    one.about.truncate(ABOUT_MAX);
    one.places.truncate(PLACES_MAX);
    one.tags.iter_mut().chain(&mut one.about).for_each(|text| *text = shortened(text));
    one.places.iter_mut().for_each(|(name, _)| *name = shortened(name));
    one
}
