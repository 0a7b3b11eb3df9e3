//! The running agent's part: it takes offers, fetches the program piece by piece and not faster than it may, checks it, and
//! tells what came of it. A program on trial asks for its proof here.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use guardian_protocol::FromAgent;
use guardian_protocol::limits::PROGRAM_PART_BYTES_MAX;
use guardian_protocol::message::{Fetch, Heard, Offer, Piece, Proof, UpgradeNews, UpgradeState, Withdraw};
use guardian_protocol::release::Manifest;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep_until};

use super::books::{Books, Program, State, Trial};
use super::place::{Place, digest};
use super::{TRIAL, own_path, sign, version};
use crate::home::Home;
use crate::response::Pins;
use crate::run::say;

/// A piece that does not come within this time is asked for again.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longest time that a program may take to say its version.
const START_PATIENCE: Duration = Duration::from_secs(20);
/// How long it may be gone back to the version before.
const REVERT_WITHIN: i64 = 30 * 86_400 * 1_000_000;
/// How long a program whose guard is gone waits for its proof beyond its time.
const GRACE: Duration = Duration::from_secs(30);
/// What must stay free on the disk.
const SPARE_BYTES: u64 = 64 << 20;
/// Shortest and longest trial.
const TRIAL_S: std::ops::RangeInclusive<u32> = 2..=3_600;

/// What became of a program that was looked at.
type Checked = Result<Program, (UpgradeState, String)>;

enum Work {
    Idle,
    Fetching(Box<Fetching>),
    Checking(Box<(Offer, Manifest)>),
    /// The next program is to be tried: this one ends.
    Leaving,
}

struct Fetching {
    offer: Offer,
    manifest: Manifest,
    file: File,
    part: PathBuf,
    at: u64,
    due: Instant,
    told: u64,
}

/// What is done about other versions of this program.
pub(crate) struct Upgrader {
    home: PathBuf,
    books: Books,
    /// This program is on trial.
    trial: Option<Trial>,
    guard: u32,
    work: Work,
    outbox: VecDeque<FromAgent>,
    looked: (mpsc::Sender<Checked>, mpsc::Receiver<Checked>),
    leave: Arc<Notify>,
}

impl Upgrader {
    /// Reads what is noted. `leave` is told when this program is to make room for the next.
    pub(crate) fn open(home: &Home, leave: Arc<Notify>) -> Self {
        let books = Books::of(home.path());
        let on_trial = std::env::var_os(TRIAL).is_some();
        let trial = match books.read() {
            Ok(mut state) => match state.trial.clone() {
                Some(trial) if on_trial => Some(trial),
                Some(trial) => {
                    state.cut_short(&trial);
                    noted(books.write(&state));
                    None
                }
                None => None,
            },
            Err(error) => {
                say(&format!("what is noted of upgrades cannot be read: {error}"));
                None
            }
        };
        let guard = std::os::unix::process::parent_id();
        if let Some(trial) = &trial {
            without_guard(books.clone(), trial.clone(), guard);
        }
        Self {
            home: home.path().to_owned(),
            books,
            trial,
            guard,
            work: Work::Idle,
            outbox: VecDeque::new(),
            looked: mpsc::channel(1),
            leave,
        }
    }

    /// A connection was opened: says how it stands, and asks anew for what did not come.
    pub(crate) fn begin(&mut self) {
        self.outbox.clear();
        if let Some(trial) = &self.trial {
            let (offer, revert) = (trial.offer, trial.revert);
            self.news((offer, revert), UpgradeState::Connected, 0, String::new());
        } else if let Ok(State { untold: Some(untold), .. }) = self.books.read() {
            self.news((untold.offer, untold.revert), untold.state, 0, untold.text);
        }
        if let Work::Fetching(fetching) = &mut self.work {
            fetching.due = Instant::now();
        }
    }

    /// The next thing to say; waits for it. Safe to cancel.
    pub(crate) async fn next(&mut self) -> FromAgent {
        loop {
            if let Some(message) = self.outbox.pop_front() {
                return message;
            }
            match &mut self.work {
                Work::Fetching(fetching) => {
                    sleep_until(fetching.due).await;
                    fetching.due = Instant::now() + PATIENCE;
                    let left = fetching.manifest.size - fetching.at;
                    let length = left.min(PROGRAM_PART_BYTES_MAX as u64) as u32;
                    return FromAgent::Fetch(Fetch { offer: fetching.offer.id, offset: fetching.at, length });
                }
                Work::Checking(_) => {
                    // The sender is ours as well: there is always one.
                    if let Some(checked) = self.looked.1.recv().await {
                        self.checked(checked);
                    }
                }
                Work::Leaving => {
                    self.leave.notify_one();
                    return std::future::pending().await;
                }
                Work::Idle => return std::future::pending().await,
            }
        }
    }

    fn news(&mut self, (offer, revert): ([u8; 16], bool), state: UpgradeState, fetched: u64, text: String) {
        let version = version().to_owned();
        self.outbox.push_back(FromAgent::UpgradeNews(UpgradeNews { offer, state, version, fetched, text, revert }));
    }

    /// Ends with an offer: what came of it is noted, and told until it is heard.
    fn end(&mut self, offer: ([u8; 16], bool), state: UpgradeState, text: String, spoilt: Option<&str>) {
        say(&format!("upgrade: {text}"));
        self.work = Work::Idle;
        let noting = self.books.read().and_then(|mut noted| {
            if let Some(sha256) = spoilt {
                noted.spoil(sha256);
            }
            noted.tell(offer.0, offer.1, state, text.clone());
            self.books.write(&noted)
        });
        noted(noting);
        self.news(offer, state, 0, text);
    }

    /// Takes an offer.
    pub(crate) fn offered(&mut self, offer: Offer) {
        let same = match &self.work {
            Work::Fetching(fetching) => fetching.offer.id == offer.id,
            Work::Checking(now) => now.0.id == offer.id,
            Work::Leaving => true,
            Work::Idle => false,
        };
        if same || self.trial.is_some() {
            return;
        }
        let about = (offer.id, offer.revert);
        let noted = match self.books.read() {
            Ok(noted) => noted,
            Err(error) => return self.end(about, UpgradeState::Failed, format!("the notes: {error}"), None),
        };
        // What became of it was told before, and not heard.
        if let Some(untold) = noted.untold.as_ref().filter(|untold| (untold.offer, untold.revert) == about)
            && untold.state != UpgradeState::Interrupted
        {
            return self.news(about, untold.state, 0, untold.text.clone());
        }
        let taken = if offer.revert { self.revert(&offer, &noted) } else { self.take(offer, &noted) };
        if let Err((state, text)) = taken {
            self.end(about, state, text, None);
        }
    }

    fn take(&mut self, offer: Offer, noted: &State) -> Result<(), (UpgradeState, String)> {
        let refused = |text: String| (UpgradeState::Refused, text);
        let failed = |what: &str| {
            let what = what.to_owned();
            move |error: io::Error| (UpgradeState::Failed, format!("{what}: {error}"))
        };
        let pins =
            Pins::read(&self.home).map_err(|e| refused(format!("what is laid down here cannot be read: {e}")))?;
        let signed = offer.release.as_ref().ok_or_else(|| refused("there is no release in it".into()))?;
        let manifest = sign::admit(&pins, signed, version()).map_err(refused)?;
        let own = own_path().map_err(failed("this program's own place"))?;
        let sha256 = digest(&own).map_err(failed("this program's own file"))?;
        if manifest.sha256 == sha256 {
            return Err((UpgradeState::Kept, format!("{} runs already", manifest.version)));
        }
        if manifest.version == version() {
            return Err(refused(format!("{} runs already, and is another program", manifest.version)));
        }
        if !offer.again && noted.spoilt.contains(&manifest.sha256) {
            return Err(refused(format!("{} was rolled back here before", manifest.version)));
        }
        let place = Place::of(&own, &self.home);
        place.make().map_err(failed("the folder for programs"))?;
        let part = place.part(&manifest.sha256);
        let mut file =
            File::options().create(true).append(true).open(&part).map_err(failed("the file for the program"))?;
        let mut at = file.metadata().map_err(failed("the file for the program"))?.len();
        if at > manifest.size {
            file.set_len(0).map_err(failed("the file for the program"))?;
            at = 0;
        }
        let space = guardian_sys::disk::space(part.parent().unwrap_or(&self.home)).map_err(failed("the disk"))?;
        if space.available_bytes < manifest.size - at + SPARE_BYTES {
            return Err((UpgradeState::Failed, "the disk has no room for another program".into()));
        }
        file.flush().map_err(failed("the file for the program"))?;
        let told = at;
        say(&format!("upgrade: fetching {}", manifest.version));
        let fetching = Fetching { offer, manifest, file, part, at, due: Instant::now(), told };
        self.news((fetching.offer.id, false), UpgradeState::Fetching, at, String::new());
        if at == fetching.manifest.size {
            self.check(fetching);
        } else {
            self.work = Work::Fetching(Box::new(fetching));
        }
        Ok(())
    }

    /// Takes a piece of the program.
    pub(crate) fn piece(&mut self, piece: &Piece) {
        let Work::Fetching(fetching) = &mut self.work else { return };
        let about = (fetching.offer.id, false);
        if piece.offer != about.0 || piece.offset != fetching.at {
            return;
        }
        let (size, bytes) = (fetching.manifest.size, &piece.bytes.0);
        if bytes.is_empty() || bytes.len() as u64 > size - fetching.at {
            let text = format!("the server has other than the {size} bytes that were signed");
            return self.end(about, UpgradeState::Failed, text, None);
        }
        if let Err(error) = fetching.file.write_all(bytes) {
            return self.end(about, UpgradeState::Failed, format!("the program cannot be written: {error}"), None);
        }
        fetching.at += bytes.len() as u64;
        let rate = fetching.offer.bytes_per_s;
        let pause = if rate == 0 { 0.0 } else { bytes.len() as f64 / rate as f64 };
        fetching.due = Instant::now() + Duration::from_secs_f64(pause.min(60.0));
        let at = fetching.at;
        // Told each tenth, for whoever watches.
        if at - fetching.told >= size / 10 || at == size {
            fetching.told = at;
            self.news(about, UpgradeState::Fetching, at, String::new());
        }
        if at == size
            && let Work::Fetching(fetching) = std::mem::replace(&mut self.work, Work::Idle)
        {
            self.check(*fetching);
        }
    }

    /// Looks at the program on a thread of its own: it is read whole, and started once.
    fn check(&mut self, fetching: Fetching) {
        let Fetching { offer, manifest, part, file, .. } = fetching;
        drop(file);
        let (tell, home, wanted) = (self.looked.0.clone(), self.home.clone(), manifest.clone());
        self.work = Work::Checking(Box::new((offer, manifest)));
        std::thread::spawn(move || {
            let checked = look(&home, &part, &wanted);
            if checked.is_err() {
                // What is not sound is of no use; the next time it is fetched anew.
                std::fs::remove_file(&part).ok();
            }
            // Nobody is there to hear it where the agent has ended.
            tell.blocking_send(checked).ok();
        });
    }

    fn checked(&mut self, checked: Checked) {
        let Work::Checking(now) = std::mem::replace(&mut self.work, Work::Idle) else { return };
        let (offer, manifest) = *now;
        let about = (offer.id, false);
        match checked {
            Ok(program) => {
                if let Err(error) = self.try_next(&offer, program) {
                    self.end(about, UpgradeState::Failed, format!("the trial cannot begin: {error}"), None);
                }
            }
            Err((state, text)) => self.end(about, state, text, Some(&manifest.sha256)),
        }
    }

    fn revert(&mut self, offer: &Offer, noted: &State) -> Result<(), (UpgradeState, String)> {
        let nothing = |text: &str| (UpgradeState::Refused, text.to_owned());
        let kept = noted.kept.as_ref().filter(|kept| kept.offer == offer.id);
        let kept = kept.ok_or_else(|| nothing("this version did not come by that release"))?;
        if kept.program.version != version() {
            return Err(nothing("another version runs by now"));
        }
        if crate::now().saturating_sub(kept.since) > REVERT_WITHIN {
            return Err(nothing("it is too long ago to go back"));
        }
        if digest(&kept.before.path).ok().as_ref() != Some(&kept.before.sha256) {
            return Err(nothing("the program before is not there any more"));
        }
        let failed = |error: io::Error| (UpgradeState::Failed, format!("the trial cannot begin: {error}"));
        self.try_next(offer, kept.before.clone()).map_err(failed)
    }

    /// Notes the trial; the program ends, and becomes its guard.
    fn try_next(&mut self, offer: &Offer, to: Program) -> io::Result<()> {
        let path = own_path()?;
        let from = Program { version: version().to_owned(), sha256: digest(&path)?, path };
        let prove_within_s = offer.prove_within_s.clamp(*TRIAL_S.start(), *TRIAL_S.end());
        let mut state = self.books.read()?;
        self.books.unprove()?;
        let text = format!("{} is tried", to.version);
        state.untold = None;
        state.trial = Some(Trial { offer: offer.id, revert: offer.revert, from, to, prove_within_s });
        self.books.write(&state)?;
        say(&format!("upgrade: {text}"));
        self.news((offer.id, offer.revert), UpgradeState::Trying, 0, text);
        self.work = Work::Leaving;
        Ok(())
    }

    /// The server has seen this program connected.
    pub(crate) fn proved(&mut self, proof: &Proof) {
        let Some(trial) = self.trial.clone().filter(|trial| trial.offer == proof.offer) else { return };
        noted(self.books.prove(&trial.offer));
        if std::os::unix::process::parent_id() == self.guard {
            // Its guard does the rest, and starts this program once more.
            return;
        }
        let kept = self.books.read().and_then(|mut state| {
            Place::of(&trial.to.path, &self.home).switch(&trial.to.path)?;
            state.keep(&trial, crate::now());
            self.books.write(&state)
        });
        noted(kept);
        self.trial = None;
        self.news((trial.offer, trial.revert), UpgradeState::Kept, 0, "it was kept without its guard".into());
    }

    /// The server has written down what came of an offer.
    pub(crate) fn heard(&self, heard: &Heard) {
        let noting = self.books.read().and_then(|mut state| match &state.untold {
            Some(untold) if untold.offer == heard.offer => {
                state.untold = None;
                self.books.write(&state)
            }
            _ => Ok(()),
        });
        noted(noting);
    }

    /// An offer does not stand any more. What was fetched stays, should it come again.
    pub(crate) fn withdrawn(&mut self, withdrawn: &Withdraw) {
        if matches!(&self.work, Work::Fetching(fetching) if fetching.offer.id == withdrawn.offer) {
            self.work = Work::Idle;
            say("upgrade: the release was withdrawn");
        }
    }
}

/// Ends this program, which is on trial, where its guard is gone and nobody has heard of it in time: whoever starts the agent next
/// starts the one before.
fn without_guard(books: Books, trial: Trial, guard: u32) {
    let time = Duration::from_secs(trial.prove_within_s.into()) + GRACE;
    std::thread::spawn(move || {
        std::thread::sleep(time);
        if !books.is_proved(&trial.offer) && std::os::unix::process::parent_id() != guard {
            say("upgrade: nobody has heard of the trial, and its guard is gone");
            std::process::exit(1);
        }
    });
}

fn noted(done: io::Result<()>) {
    if let Err(error) = done {
        say(&format!("what became of an upgrade cannot be noted: {error}"));
    }
}

/// Whether the file is what was signed, and starts here.
fn look(home: &Path, part: &Path, wanted: &Manifest) -> Checked {
    let failed = |what: &str, error: &io::Error| (UpgradeState::Failed, format!("{what}: {error}"));
    let found = digest(part).map_err(|error| failed("the program cannot be read", &error))?;
    if found != wanted.sha256 {
        return Err((UpgradeState::Refused, format!("the program is not what was signed: its SHA-256 is {found}")));
    }
    let own = own_path().map_err(|error| failed("this program's own place", &error))?;
    let place = Place::of(&own, home);
    let program = place.put(part, &wanted.version, &wanted.sha256);
    let program = program.map_err(|error| failed("the program cannot be put in its place", &error))?;
    let said = says_of_itself(&program.path).map_err(|error| failed("the program does not start here", &error))?;
    if said != format!("guardian-agent {}", wanted.version) {
        let said: String = said.chars().take(60).collect();
        return Err((UpgradeState::Refused, format!("the program says that it is `{said}`")));
    }
    Ok(program)
}

/// What a program says to `--version`.
fn says_of_itself(path: &Path) -> io::Result<String> {
    let mut command = Command::new(path);
    command.arg("--version").env_clear().current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut tries = 0;
    let mut child = loop {
        match command.spawn() {
            // A child that is just being started elsewhere may hold the file open for another moment.
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy && tries < 20 => {
                tries += 1;
                std::thread::sleep(Duration::from_millis(50));
            }
            child => break child?,
        }
    };
    let process = guardian_sys::pidfd::Process::open(child.id())?;
    if !process.ended_within(START_PATIENCE)? {
        child.kill()?;
        child.wait()?;
        return Err(io::Error::new(io::ErrorKind::TimedOut, "it says nothing of itself"));
    }
    let mut said = String::new();
    if let Some(output) = child.stdout.take() {
        io::Read::read_to_string(&mut io::Read::take(output, 4_096), &mut said)?;
    }
    let status = child.wait()?;
    if status.success() { Ok(said.trim().to_owned()) } else { Err(io::Error::other(format!("it ends with {status}"))) }
}
