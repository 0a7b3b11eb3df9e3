//! What lines mean, which is found out by a process that is locked up (see [`crate::apart`]): whoever knocks at a machine writes
//! in its logs. Pure.

use serde::{Deserialize, Serialize};

use super::audit::{self, Record};
use super::auth::{Auth, Login};
use super::journal::{self, Entry, MESSAGE_BYTES_MAX};
use super::{Form, syslog};

/// Bytes of one text but the message (a line of which every byte had to be replaced), and of all texts of one line.
const TEXT_BYTES_MAX: usize = 3 * MESSAGE_BYTES_MAX;
const TEXTS_BYTES_MAX: usize = 128 << 10;
/// Bytes of a cursor of the journal.
const CURSOR_BYTES_MAX: usize = 512;

/// A line as it was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Piece {
    /// Of a file.
    Line(Form, String),
    /// Of the journal's reader.
    Journal(Vec<u8>),
}

impl Piece {
    /// How long it is.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Line(_, text) => text.len(),
            Self::Journal(bytes) => bytes.len(),
        }
    }

    /// Its text, whatever it means.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Line(_, text) => journal::clip(text.clone()),
            Self::Journal(bytes) => journal::clip(String::from_utf8_lossy(bytes).into_owned()),
        }
    }
}

/// Lines in their order, and what has to be known to understand them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pieces {
    /// When they were read, in microseconds since 1970.
    pub now: i64,
    /// How far the files' local time is ahead of UTC.
    pub offset_s: i64,
    /// What lines before them have told.
    pub auth: Auth,
    /// The lines.
    pub pieces: Vec<Piece>,
}

/// What a line means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Meaning {
    /// It is in no form that is known.
    Odd,
    /// A message, and the login that it tells of.
    Message(Box<(Entry, Option<Login>)>),
    /// A record of the audit log.
    Record(Record<'static>),
}

/// What lines mean, each in its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Understood {
    /// What has to be known for the lines behind them.
    pub auth: Auth,
    /// What each means.
    pub meanings: Vec<Meaning>,
}

impl Pieces {
    /// Finds out what they mean.
    pub fn understood(mut self) -> Understood {
        let mut meanings = Vec::with_capacity(self.pieces.len());
        for piece in std::mem::take(&mut self.pieces) {
            meanings.push(self.meaning(&piece));
        }
        Understood { auth: self.auth, meanings }
    }

    fn meaning(&mut self, piece: &Piece) -> Meaning {
        let entry = match piece {
            Piece::Line(Form::Audit, text) => {
                return audit::parse(text).map_or(Meaning::Odd, |record| Meaning::Record(record.owned()));
            }
            Piece::Journal(bytes) => match journal::parse(bytes) {
                Some(entry) => Entry {
                    program: journal::clip(entry.program),
                    boot: entry.boot.map(journal::clip),
                    unit: entry.unit.map(journal::clip),
                    cursor: Some(entry.cursor).filter(|cursor| is_cursor(cursor)).unwrap_or_default(),
                    ..entry
                },
                None => return Meaning::Odd,
            },
            Piece::Line(Form::Syslog, text) => {
                let line = syslog::parse(text, self.now, self.offset_s);
                Entry {
                    at: line.at.unwrap_or(self.now),
                    program: journal::clip(line.program.to_owned()),
                    pid: line.pid,
                    message: journal::clip(line.message.to_owned()),
                    // Only the syslog daemon writes the file; it takes anybody's word for the name, as it always has.
                    genuine: true,
                    ..Entry::default()
                }
            }
        };
        let login = entry.genuine.then(|| self.auth.read(&entry.program, entry.pid, &entry.message)).flatten();
        Meaning::Message(Box::new((entry, login)))
    }
}

impl Understood {
    /// Whether this can be what so many lines mean: what says so may have been taken over.
    pub fn can_be_of(&self, lines: usize) -> bool {
        self.meanings.len() == lines && self.auth.is_bounded() && self.meanings.iter().all(Meaning::is_bounded)
    }
}

impl Meaning {
    fn is_bounded(&self) -> bool {
        match self {
            Self::Odd => true,
            Self::Message(both) => {
                let (entry, login) = &**both;
                let own = [Some(&entry.program), entry.boot.as_ref(), entry.unit.as_ref()];
                entry.message.len() <= MESSAGE_BYTES_MAX
                    && are_bounded(own.into_iter().flatten().map(String::as_str))
                    && is_cursor(&entry.cursor)
                    && login.as_ref().is_none_or(|login| are_bounded(texts(login).into_iter()))
            }
            Self::Record(record) => {
                let fields = record.fields.iter().flat_map(|(key, value)| [&**key, value.as_str()]);
                record.fields.len() <= audit::FIELDS_MAX && are_bounded(fields.chain([&*record.kind]))
            }
        }
    }
}

/// It becomes an argument of the journal's reader.
fn is_cursor(text: &str) -> bool {
    let usual = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'=' | b';' | b'-' | b'_');
    text.len() <= CURSOR_BYTES_MAX && text.bytes().all(usual)
}

fn texts(login: &Login) -> Vec<&str> {
    let Login { activity, service, user, target_user, host, method, reason, terminal, command, key, .. } = login;
    let others = [target_user, host, method, terminal, command, key];
    let others = others.into_iter().filter_map(Option::as_deref);
    [&**activity, service.as_str(), user.as_str()].into_iter().chain(others).chain(reason.as_deref()).collect()
}

fn are_bounded<'a>(texts: impl Iterator<Item = &'a str>) -> bool {
    let mut all = 0;
    for text in texts {
        all += text.len();
        if text.len() > TEXT_BYTES_MAX || all > TEXTS_BYTES_MAX {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded() -> Pieces {
        let lines = include_str!("../../../fixtures/logs/auth.log").lines();
        let records = include_str!("../../../fixtures/logs/audit.log").lines();
        let entries = include_bytes!("../../../fixtures/logs/journal.json").split_inclusive(|b| *b == b'\n');
        let pieces = lines
            .map(|line| Piece::Line(Form::Syslog, line.to_owned()))
            .chain(records.map(|line| Piece::Line(Form::Audit, line.to_owned())))
            .chain(entries.map(|entry| Piece::Journal(entry.to_vec())));
        Pieces { now: 1_795_385_300_000_000, offset_s: 0, auth: Auth::default(), pieces: pieces.collect() }
    }

    #[test]
    fn what_is_said_over_the_channel_is_what_was_meant() {
        let pieces = recorded();
        let sent = postcard::to_allocvec(&pieces).unwrap();
        let understood = postcard::from_bytes::<Pieces>(&sent).unwrap().understood();
        let answer = postcard::to_allocvec(&understood).unwrap();
        let came: Understood = postcard::from_bytes(&answer).unwrap();
        assert_eq!(came, understood);
        assert!(came.can_be_of(pieces.pieces.len()) && !came.can_be_of(1));
        let logins = came.meanings.iter().filter(|m| matches!(m, Meaning::Message(both) if both.1.is_some())).count();
        assert_eq!(logins, 16);
        let records = came.meanings.iter().filter(|m| matches!(m, Meaning::Record(_))).count();
        assert_eq!(records, include_str!("../../../fixtures/logs/audit.log").lines().count());
    }

    #[test]
    fn what_no_line_can_mean_is_not_taken() {
        let message = |entry: Entry| Understood {
            auth: Auth::default(),
            meanings: vec![Meaning::Message(Box::new((entry, None)))],
        };
        assert!(message(Entry { cursor: "s=0a;i=1;b=2".into(), ..Entry::default() }).can_be_of(1));
        let odd = br#"{"__CURSOR": "s<1;i=1", "__REALTIME_TIMESTAMP": "1795385155407255", "MESSAGE": "x"}"#;
        let pieces = Pieces { now: 0, offset_s: 0, auth: Auth::default(), pieces: vec![Piece::Journal(odd.to_vec())] };
        let understood = pieces.understood();
        assert!(understood.can_be_of(1));
        assert!(matches!(&understood.meanings[0], Meaning::Message(both) if both.0.cursor.is_empty()));
        for odd in [
            Entry { cursor: "s=0 --file=/etc/shadow".into(), ..Entry::default() },
            Entry { cursor: "a".repeat(CURSOR_BYTES_MAX + 1), ..Entry::default() },
            Entry { message: "a".repeat(MESSAGE_BYTES_MAX + 1), ..Entry::default() },
            Entry { program: "a".repeat(TEXT_BYTES_MAX + 1), ..Entry::default() },
        ] {
            assert!(!message(odd).can_be_of(1));
        }
    }
}
