//! What the agent notes of actions, on the disk: what stands, and a journal of what was done. Both are read anew whenever
//! they are needed, under a lock, so that root may act on the machine while the agent runs; nothing is kept in memory.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use data_encoding::HEXLOWER;
use guardian_protocol::message::{Action, Command, Outcome};
use serde::{Deserialize, Serialize};

use super::doing::{Stop, failed};
use super::write_whole;

/// Bytes of the journal before its older half goes.
const JOURNAL_BYTES_MAX: u64 = 32 << 20;
/// Bytes of the file of what stands.
const STANDING_BYTES_MAX: u64 = 8 << 20;

/// An instant that holds over a reboot, and within one boot whatever somebody does to the clock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Until {
    /// UTC microseconds.
    pub(crate) wall: i64,
    /// The boot in which it was set.
    boot: String,
    /// Milliseconds since that boot.
    uptime_ms: u64,
}

/// The time as far as expiry needs it.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    now: i64,
    boot: String,
    uptime_ms: u64,
}

impl Clock {
    pub(crate) fn read() -> Self {
        let boot = boot_id();
        let uptime = fs::read_to_string("/proc/uptime").unwrap_or_default();
        let seconds = uptime.split(' ').next().and_then(|word| word.parse::<f64>().ok()).unwrap_or(0.0);
        Self { now: crate::now(), boot, uptime_ms: (seconds * 1_000.0) as u64 }
    }
}

/// The identifier of this boot.
pub(crate) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

impl Until {
    /// So many seconds from now on; none for 0, which is no end.
    pub(crate) fn after(seconds: u64, clock: &Clock) -> Option<Self> {
        let us = i64::try_from(seconds.saturating_mul(1_000_000)).unwrap_or(i64::MAX);
        (seconds > 0).then(|| Self {
            wall: clock.now.saturating_add(us),
            boot: clock.boot.clone(),
            uptime_ms: clock.uptime_ms.saturating_add(seconds.saturating_mul(1_000)),
        })
    }

    /// How long it is until then; zero when it is over.
    pub(crate) fn left(&self, clock: &Clock) -> Duration {
        if self.boot == clock.boot && !self.boot.is_empty() {
            return Duration::from_millis(self.uptime_ms.saturating_sub(clock.uptime_ms));
        }
        Duration::from_micros(u64::try_from(self.wall.saturating_sub(clock.now)).unwrap_or(0))
    }
}

/// An isolation that holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Isolation {
    /// The command.
    pub command: String,
    /// Who decided it.
    pub by: String,
    /// Since when, in UTC microseconds.
    pub since: i64,
    /// Until when; none for no end.
    pub(crate) until: Option<Until>,
    /// Addresses and networks that stay reachable.
    pub keep: Vec<String>,
    /// Whether name servers are closed off too.
    pub no_dns: bool,
    /// Where the server, or the proxy on the way to it, was found.
    pub channel: Vec<(IpAddr, u16)>,
}

impl Isolation {
    /// Until when it holds, in UTC microseconds; 0 for no end.
    pub fn until(&self) -> i64 {
        self.until.as_ref().map_or(0, |until| until.wall)
    }
}

/// An address or network that is blocked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// The address or prefix.
    pub address: String,
    /// The command.
    pub command: String,
    /// Until when; none for no end.
    pub(crate) until: Option<Until>,
}

impl Block {
    /// Until when it holds, in UTC microseconds; 0 for no end.
    pub fn until(&self) -> i64 {
        self.until.as_ref().map_or(0, |until| until.wall)
    }
}

/// A user that was locked, and how it was before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockedUser {
    /// The command.
    pub command: String,
    /// Whether its password was locked already.
    pub was_locked: bool,
    /// Whether it had an empty password.
    pub was_empty: bool,
    /// Day on which the account was to expire, as it stood in `/etc/shadow`.
    pub expires: String,
}

/// What holds on this machine until something ends it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Standing {
    /// The isolation.
    pub isolation: Option<Isolation>,
    /// The blocks.
    pub blocks: Vec<Block>,
    /// Users that were locked.
    pub users: BTreeMap<String, LockedUser>,
    /// Scripts that were to run once and did: hashes of their statements, and when they expire.
    pub(crate) scripts: BTreeMap<String, i64>,
}

/// What is known of a command.
pub(crate) enum Known {
    /// It was begun, and did not end.
    Begun,
    /// It ended so.
    Ended(Box<Outcome>),
}

#[derive(Serialize)]
struct Begun<'a> {
    time: i64,
    by: &'a str,
    action: &'a Action,
}

/// The notes.
pub(crate) struct Books {
    folder: PathBuf,
}

impl Books {
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        for part in ["", "quarantine", "evidence", "scripts"] {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder.join(part))?;
        }
        Ok(Self { folder: folder.to_owned() })
    }

    /// Where files are that were taken.
    pub(crate) fn quarantine(&self) -> PathBuf {
        self.folder.join("quarantine")
    }

    /// Where packs of evidence wait.
    pub(crate) fn evidence(&self) -> PathBuf {
        self.folder.join("evidence")
    }

    /// Where scripts are while they run.
    pub(crate) fn scripts(&self) -> PathBuf {
        self.folder.join("scripts")
    }

    fn lock(&self) -> io::Result<File> {
        let file = File::options().create(true).truncate(false).write(true).open(self.folder.join("lock"))?;
        file.lock()?;
        Ok(file)
    }

    fn standing_path(&self) -> PathBuf {
        self.folder.join("standing.json")
    }

    /// What stands.
    pub(crate) fn standing(&self) -> io::Result<Standing> {
        let file = match File::open(self.standing_path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Standing::default()),
            file => file?,
        };
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut io::Read::take(file, STANDING_BYTES_MAX), &mut bytes)?;
        Ok(serde_json::from_slice(&bytes)?)
    }

    /// Puts aside what cannot be read, so that a damaged file does not stop everything for good.
    pub(crate) fn mend(&self) -> Vec<String> {
        match self.standing() {
            Ok(_) => Vec::new(),
            Err(error) => {
                let aside = self.folder.join("standing.broken");
                let moved = fs::rename(self.standing_path(), &aside);
                let what = moved.map_or_else(|e| format!("and stays: {e}"), |()| "and was put aside".to_owned());
                vec![format!("response: what stood cannot be read ({error}) {what}")]
            }
        }
    }

    /// Changes what stands. It is written before `apply` does it; where that fails, what was written is taken back.
    pub(crate) fn change<T>(
        &self,
        edit: impl FnOnce(&mut Standing) -> Result<(), Stop>,
        apply: impl FnOnce(&Standing) -> Result<T, Stop>,
    ) -> Result<T, Stop> {
        let _lock = self.lock().map_err(failed("the notes cannot be locked"))?;
        let before = self.standing().map_err(failed("what stands cannot be read"))?;
        let mut after = before.clone();
        edit(&mut after)?;
        let write = |standing: &Standing| {
            let bytes = serde_json::to_vec_pretty(standing).map_err(io::Error::from)?;
            write_whole(&self.standing_path(), &bytes)
        };
        if after != before {
            write(&after).map_err(failed("what stands cannot be written"))?;
        }
        let applied = apply(&after);
        if applied.is_err() && after != before {
            write(&before).map_err(failed("what stands cannot be written"))?;
        }
        applied
    }

    fn journal_path(&self) -> PathBuf {
        self.folder.join("journal")
    }

    /// Notes that a command begins. It is on the disk when this returns.
    pub(crate) fn begin(&self, command: &Command, action: &Action, time: i64) -> io::Result<()> {
        let begun = serde_json::to_string(&Begun { time, by: &command.by, action })?;
        self.append(&format!("B {} {begun}\n", HEXLOWER.encode(&command.id)))
    }

    /// Notes how it ended.
    pub(crate) fn end(&self, outcome: &Outcome) -> io::Result<()> {
        let ended = serde_json::to_string(outcome)?;
        self.append(&format!("E {} {ended}\n", HEXLOWER.encode(&outcome.command)))
    }

    fn append(&self, line: &str) -> io::Result<()> {
        let _lock = self.lock()?;
        self.shorten()?;
        let mut file = File::options().create(true).append(true).mode(0o600).open(self.journal_path())?;
        // A line that a power failure cut off must not swallow this one.
        file.write_all(b"\n")?;
        file.write_all(line.as_bytes())?;
        file.sync_data()
    }

    /// Leaves the younger half of a journal that has grown too long.
    fn shorten(&self) -> io::Result<()> {
        let path = self.journal_path();
        let length = fs::metadata(&path).map_or(0, |meta| meta.len());
        if length <= JOURNAL_BYTES_MAX {
            return Ok(());
        }
        let bytes = fs::read(&path)?;
        let half = bytes.len() / 2;
        let from = bytes[half..].iter().position(|b| *b == b'\n').map_or(bytes.len(), |at| half + at + 1);
        write_whole(&path, &bytes[from..])
    }

    /// What is known of a command.
    pub(crate) fn find(&self, id: &[u8; 16]) -> io::Result<Option<Known>> {
        let _lock = self.lock()?;
        let file = match File::open(self.journal_path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let (begun, ended) = (format!("B {} ", HEXLOWER.encode(id)), format!("E {} ", HEXLOWER.encode(id)));
        let mut known = None;
        for line in BufReader::new(file).split(b'\n') {
            let line = line?;
            if line.starts_with(begun.as_bytes()) && known.is_none() {
                known = Some(Known::Begun);
            } else if let Some(outcome) = line.strip_prefix(ended.as_bytes())
                && let Ok(outcome) = serde_json::from_slice(outcome)
            {
                known = Some(Known::Ended(Box::new(outcome)));
            }
        }
        Ok(known)
    }
}

#[cfg(test)]
mod tests {
    use guardian_protocol::message::{Progress, Release};

    use super::*;

    #[test]
    fn an_end_is_the_same_whatever_the_clock_does_and_holds_over_a_reboot() {
        let clock = |now, boot: &str, uptime_ms| Clock { now, boot: boot.into(), uptime_ms };
        let until = Until::after(60, &clock(1_000_000_000, "a", 5_000)).unwrap();
        assert_eq!(until.left(&clock(1_000_000_000, "a", 5_000)), Duration::from_secs(60));
        assert_eq!(until.left(&clock(0, "a", 25_000)), Duration::from_secs(40), "the clock was put back");
        assert_eq!(until.left(&clock(i64::MAX, "a", 64_000)), Duration::from_secs(1));
        assert_eq!(until.left(&clock(1_030_000_000, "b", 1_000)), Duration::from_secs(30));
        assert_eq!(until.left(&clock(2_000_000_000, "b", 1_000)), Duration::ZERO);
        assert_eq!(Until::after(0, &clock(1, "a", 1)), None);
    }

    #[test]
    fn the_journal_survives_a_line_that_was_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let books = Books::open(folder.path()).unwrap();
        let action = Action::Release(Release::default());
        let command = |id| Command { id: [id; 16], ..Command::default() };
        let outcome = |id, text: &str| Outcome {
            command: [id; 16],
            progress: Progress::Done,
            text: text.into(),
            ..Outcome::default()
        };
        books.begin(&command(1), &action, 1).unwrap();
        books.end(&outcome(1, "a\nb")).unwrap();
        books.begin(&command(2), &action, 2).unwrap();
        let path = folder.path().join("journal");
        let mut bytes = fs::read(&path).unwrap();
        bytes.extend_from_slice(b"E 0202020202020202");
        fs::write(&path, bytes).unwrap();
        books.begin(&command(3), &action, 3).unwrap();
        let Some(Known::Ended(found)) = books.find(&[1; 16]).unwrap() else { panic!("it ended") };
        assert_eq!(*found, outcome(1, "a\nb"));
        assert!(matches!(books.find(&[2; 16]).unwrap(), Some(Known::Begun)));
        assert!(matches!(books.find(&[3; 16]).unwrap(), Some(Known::Begun)));
        assert!(books.find(&[4; 16]).unwrap().is_none());
    }

    #[test]
    fn what_cannot_be_applied_does_not_stand() {
        let folder = tempfile::tempdir().unwrap();
        let books = Books::open(folder.path()).unwrap();
        let edit = |standing: &mut Standing| {
            standing.isolation = Some(Isolation::default());
            Ok(())
        };
        let failed: Result<(), Stop> = books.change(edit, |standing| {
            assert!(standing.isolation.is_some() && books.standing().unwrap().isolation.is_some());
            Err(Stop::Failed("no nft".into()))
        });
        assert!(failed.is_err() && books.standing().unwrap() == Standing::default());
        books.change(edit, |_| Ok(())).unwrap();
        assert!(books.standing().unwrap().isolation.is_some());
        fs::write(folder.path().join("standing.json"), "{").unwrap();
        assert_eq!(books.mend().len(), 1);
        assert_eq!(books.standing().unwrap(), Standing::default());
    }
}
