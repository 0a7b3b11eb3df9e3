//! Passwords that are known from break-ins elsewhere: found in a list that the operator keeps, which is searched where
//! it lies, or by asking a service that learns five digits of a hash and nothing else (k-anonymity, as "Have I Been
//! Pwned" serves it). Guardian ships neither.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use guardian_kit::egress;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{Identity, IdentityError, check_password};

/// Longest line of a list, in bytes; longer ones end the search with an error.
const LINE_BYTES_MAX: u64 = 4_096;
/// Hexadecimal digits of a SHA-1.
const DIGITS: usize = 40;
/// Digits that a service learns.
const PREFIX: usize = 5;
/// Lines at the beginning of a sorted list that are looked at when the program starts.
const SAMPLE_LINES: usize = 1_000;

/// Passwords that are known from break-ins elsewhere and refused. Nothing is asked unless one of these is set.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BreachedPasswords {
    /// A list on this machine; it is searched where it lies and never loaded whole.
    pub list: PathBuf,
    /// What stands in the list.
    pub format: BreachedFormat,
    /// A service that answers by the first five digits of the SHA-1, which are added to this address, such as
    /// `https://api.pwnedpasswords.com/range/`.
    pub range_url: String,
    /// Whether a password is refused when the list or the service cannot be asked; otherwise it is taken, and the log
    /// says so.
    pub required: bool,
}

/// What stands in a list of breached passwords.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BreachedFormat {
    /// One SHA-1 in hexadecimal digits a line, sorted, with or without `:` and a number behind it: the list of "Have I
    /// Been Pwned" ordered by hash. Found in some forty steps, however long it is.
    #[default]
    Sha1,
    /// One password a line, in any order: read to its end each time, which suits lists of some hundred megabytes.
    Plain,
}

impl BreachedPasswords {
    /// What is wrong with it, if anything.
    pub(crate) fn problem(&self) -> Option<String> {
        let of = |text: String| Some(format!("identity.breached_passwords: {text}"));
        if !self.range_url.is_empty() && !self.range_url.starts_with("https://") {
            let local = ["http://127.0.0.1", "http://[::1]", "http://localhost"];
            if !local.iter().any(|own| self.range_url.starts_with(own)) {
                return of("`range_url` is an https:// address".into());
            }
        }
        if self.list.as_os_str().is_empty() {
            return None;
        }
        match sample(&self.list, self.format) {
            Ok(None) => None,
            Ok(Some(problem)) => of(format!("{}: {problem}", self.list.display())),
            Err(error) => of(format!("cannot read {}: {error}", self.list.display())),
        }
    }
}

impl Identity {
    /// Says what is wrong with a password that somebody wants, if anything: the house's rules, and whether it is known
    /// from break-ins elsewhere.
    pub(crate) async fn check_new_password(&self, password: &str, user_name: &str) -> Result<(), IdentityError> {
        check_password(password, user_name)?;
        let config = &self.inner.config.breached_passwords;
        let hash = hash(password);
        let mut asked = Ok(false);
        if !config.list.as_os_str().is_empty() {
            let (path, format) = (config.list.clone(), config.format);
            let (hash, password) = (hash.clone(), Zeroizing::new(password.to_owned()));
            let searched = tokio::task::spawn_blocking(move || match format {
                BreachedFormat::Sha1 => in_sorted(&path, &hash),
                BreachedFormat::Plain => in_plain(&path, &password),
            });
            asked = searched.await.map_err(|e| IdentityError::Hash(e.to_string()))?.map_err(|e| e.to_string());
        }
        if !config.range_url.is_empty() && !matches!(asked, Ok(true)) {
            let by_service = self.in_range(&config.range_url, &hash).await;
            asked = match (asked, by_service) {
                (_, Ok(true)) => Ok(true),
                (Err(error), _) | (_, Err(error)) => Err(error),
                _ => Ok(false),
            };
        }
        match asked {
            Ok(false) => Ok(()),
            Ok(true) => Err(IdentityError::BreachedPassword),
            Err(error) => {
                tracing::warn!(error, "it could not be found out whether a password is known from break-ins");
                if config.required { Err(IdentityError::External(error)) } else { Ok(()) }
            }
        }
    }

    async fn in_range(&self, url: &str, hash: &str) -> Result<bool, String> {
        let egress = self.inner.egress.get().ok_or("this program reaches no other systems")?;
        let (prefix, rest) = hash.split_at(PREFIX);
        let mut request = egress::Request::get(format!("{url}{prefix}"));
        // The answer's length would tell something about the prefix.
        if let Ok(yes) = "true".parse() {
            request.headers.insert("add-padding", yes);
        }
        let answer = egress.send(request).await.map_err(|e| e.to_string())?;
        if !answer.status.is_success() {
            return Err(format!("the service answered {}", answer.status));
        }
        Ok(listed(&String::from_utf8_lossy(&answer.body), rest))
    }
}

/// Whether the answer of a service has this rest of a hash; lines that count nothing are padding.
fn listed(answer: &str, rest: &str) -> bool {
    let lines = answer.lines().filter_map(|line| line.trim().split_once(':'));
    let mut real = lines.filter(|(_, count)| count.trim() != "0");
    real.any(|(suffix, _)| suffix.eq_ignore_ascii_case(rest))
}

/// SHA-1 in upper-case digits.
fn hash(password: &str) -> String {
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes());
    hash.as_ref().iter().fold(String::with_capacity(DIGITS), |text, byte| format!("{text}{byte:02X}"))
}

/// The digits at the beginning of a line, if they are those of a SHA-1.
fn digits(line: &[u8]) -> Option<&[u8]> {
    line.get(..DIGITS).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))
}

fn compare(line: &[u8], wanted: &str) -> io::Result<std::cmp::Ordering> {
    let digits = digits(line).ok_or_else(|| io::Error::other("a line does not begin with a SHA-1"))?;
    Ok(digits.iter().map(u8::to_ascii_uppercase).cmp(wanted.bytes()))
}

/// One line from where the reader is, without its end.
fn line(reader: &mut BufReader<File>) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    let read = reader.take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
    if read as u64 == LINE_BYTES_MAX {
        return Err(io::Error::other("a line is too long"));
    }
    while line.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
        line.pop();
    }
    Ok(line)
}

/// Whether a sorted list has this hash. Halves the range of bytes in which its line could begin.
fn in_sorted(path: &Path, wanted: &str) -> io::Result<bool> {
    let file = File::open(path)?;
    let (mut low, mut high) = (0, file.metadata()?.len());
    let mut reader = BufReader::new(file);
    // The line looked for, if there is one, begins at `low` or later and before `high`.
    while low < high {
        let middle = low + (high - low) / 2;
        let start = line_start(&mut reader, middle)?;
        if start >= high {
            high = middle;
            continue;
        }
        reader.seek(SeekFrom::Start(start))?;
        let found = line(&mut reader)?;
        if found.is_empty() {
            high = middle;
            continue;
        }
        match compare(&found, wanted)? {
            std::cmp::Ordering::Equal => return Ok(true),
            std::cmp::Ordering::Less => low = reader.stream_position()?,
            std::cmp::Ordering::Greater => high = middle,
        }
    }
    Ok(false)
}

/// Where the first line begins that begins at `at` or later.
fn line_start(reader: &mut BufReader<File>, at: u64) -> io::Result<u64> {
    if at == 0 {
        return Ok(0);
    }
    reader.seek(SeekFrom::Start(at - 1))?;
    let mut rest = Vec::new();
    reader.take(LINE_BYTES_MAX).read_until(b'\n', &mut rest)?;
    if rest.last() != Some(&b'\n') && rest.len() as u64 == LINE_BYTES_MAX {
        return Err(io::Error::other("a line is too long"));
    }
    Ok(at - 1 + rest.len() as u64)
}

/// Whether a list of passwords has this one.
fn in_plain(path: &Path, wanted: &str) -> io::Result<bool> {
    let mut reader = BufReader::with_capacity(1 << 16, File::open(path)?);
    loop {
        let mut held = Vec::new();
        if (&mut reader).take(LINE_BYTES_MAX).read_until(b'\n', &mut held)? == 0 {
            return Ok(false);
        }
        let end = held.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r')).map_or(0, |last| last + 1);
        if &held[..end] == wanted.as_bytes() {
            return Ok(true);
        }
    }
}

/// What is wrong with the beginning of a list, if anything.
fn sample(path: &Path, format: BreachedFormat) -> io::Result<Option<String>> {
    let mut reader = BufReader::new(File::open(path)?);
    if format == BreachedFormat::Plain {
        return Ok(None);
    }
    let mut before: Option<Vec<u8>> = None;
    for number in 1..=SAMPLE_LINES {
        let held = line(&mut reader)?;
        if held.is_empty() {
            break;
        }
        let Some(digits) = digits(&held).map(<[u8]>::to_ascii_uppercase) else {
            return Ok(Some(format!("line {number} does not begin with a SHA-1; is its `format` plain?")));
        };
        if before.is_some_and(|before| before > digits) {
            return Ok(Some(format!("line {number} is out of order; the list has to be sorted by hash")));
        }
        before = Some(digits);
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io::Write as _;

    use super::*;

    fn list(lines: impl IntoIterator<Item = String>) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        for line in lines {
            file.write_all(line.as_bytes()).unwrap();
        }
        file
    }

    #[test]
    fn sorted_lists_are_searched_where_they_lie() {
        assert_eq!(hash("password"), "5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8");
        for count in [0_usize, 1, 2, 3, 50, 1_000] {
            let hashes: BTreeSet<String> = (0..count).map(|n| hash(&format!("known {n}"))).collect();
            // Lines of different lengths and ends, the last without any.
            let all = hashes.iter().enumerate().map(|(n, hash)| match n % 3 {
                0 => format!("{hash}:{n}\r\n"),
                1 => format!("{}\n", hash.to_lowercase()),
                _ if n + 1 == count => format!("{hash}:123456"),
                _ => format!("{hash}:123456\n"),
            });
            let file = list(all);
            for n in 0..count {
                assert!(in_sorted(file.path(), &hash(&format!("known {n}"))).unwrap(), "{n} of {count}");
            }
            for n in 0..200 {
                assert!(!in_sorted(file.path(), &hash(&format!("unknown {n}"))).unwrap(), "{n} of {count}");
            }
            assert_eq!(sample(file.path(), BreachedFormat::Sha1).unwrap(), None);
        }
    }

    #[test]
    fn plain_lists_are_read_to_their_end() {
        let file = list(["correct horse\r\n".into(), "battery staple\n".into(), "last one".into()]);
        for (password, known) in
            [("correct horse", true), ("battery staple", true), ("last one", true), ("battery", false), ("", false)]
        {
            assert_eq!(in_plain(file.path(), password).unwrap(), known, "{password}");
        }
    }

    #[test]
    fn lists_that_cannot_be_searched_are_told_at_the_start() {
        let config = |file: &tempfile::NamedTempFile, format| BreachedPasswords {
            list: file.path().to_owned(),
            format,
            ..BreachedPasswords::default()
        };
        let unsorted = list([format!("{}\n", "F".repeat(40)), format!("{}\n", "0".repeat(40))]);
        let problem = config(&unsorted, BreachedFormat::Sha1).problem().unwrap();
        assert!(problem.contains("line 2 is out of order"), "{problem}");
        let words = list(["letmein\n".into()]);
        assert!(config(&words, BreachedFormat::Sha1).problem().unwrap().contains("plain"));
        assert_eq!(config(&words, BreachedFormat::Plain).problem(), None);
        let gone = BreachedPasswords { list: "/no/such/list".into(), ..BreachedPasswords::default() };
        assert!(gone.problem().unwrap().contains("/no/such/list"));
        let open = BreachedPasswords { range_url: "http://example.com/".into(), ..BreachedPasswords::default() };
        assert!(open.problem().unwrap().contains("https"));
        assert_eq!(BreachedPasswords::default().problem(), None);
    }

    #[test]
    fn padding_is_no_answer() {
        let answer = "0018A45C4D1DEF81644B54AB7F969B88D65:3\r\n00D4F6E8FA6EECAD2A3AA415EEC418D38EC:0\r\n";
        assert!(listed(answer, "0018A45C4D1DEF81644B54AB7F969B88D65"));
        assert!(!listed(answer, "00D4F6E8FA6EECAD2A3AA415EEC418D38EC"), "padding");
        assert!(!listed(answer, "0000000000000000000000000000000000A"));
        assert!(!listed("", "X"));
    }
}
