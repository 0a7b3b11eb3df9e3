//! Fetching, from a small web server on this machine that is as unreliable as it is told to be.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use guardian_kit::clock::ManualClock;
use guardian_model::Micros;
use guardian_vuln::sources;
use guardian_vuln::store::folder;
use serde_json::{Value, json};

use super::*;

/// A request: its path, and its headers in lower case.
#[derive(Clone, Debug)]
struct Asked {
    path: String,
    headers: Vec<String>,
}

impl Asked {
    fn header(&self, name: &str) -> Option<&str> {
        let value = self.headers.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.map(str::trim)
    }
}

/// An answer: head without length, what is sent, and the length that is promised.
type Answer = (String, Vec<u8>, usize);

fn whole(status: &str, headers: &str, body: &[u8]) -> Answer {
    (format!("{status}\r\n{headers}"), body.to_vec(), body.len())
}

/// A web server that gives its next answer to whoever asks, or works one out.
struct Web {
    address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Web {
    fn start(mut answer: impl FnMut(&Asked) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let Some(request) = read(&stream) else { continue };
                log.lock().unwrap().push(request.clone());
                let (head, body, length) = answer(&request);
                let head = format!("HTTP/1.1 {head}Connection: close\r\nContent-Length: {length}\r\n\r\n");
                (&stream).write_all(&[head.as_bytes(), &body].concat()).ok();
            }
        });
        Self { address, asked }
    }

    /// These answers, one after the other.
    fn scripted(answers: impl IntoIterator<Item = Answer>) -> Self {
        let mut answers: VecDeque<Answer> = answers.into_iter().collect();
        Self::start(move |_| answers.pop_front().unwrap_or_else(|| whole("500 no more answers", "", b"")))
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn read(stream: &TcpStream) -> Option<Asked> {
    let mut lines = BufReader::new(stream.take(64 << 10)).lines().map_while(Result::ok);
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let headers = lines.take_while(|line| !line.is_empty()).map(|line| {
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        format!("{}:{value}", name.to_ascii_lowercase())
    });
    Some(Asked { path, headers: headers.collect() })
}

struct Nobody;

impl Watcher for Nobody {
    fn at(&self, _: &str, _: u64, _: Option<u64>) {}
    fn done(&self, _: &Had) {}
}

/// A day in 2030.
const NOW_S: i64 = 1_900_000_000;

fn updates(folder: &Path, mirror: Option<&str>) -> Updates {
    // Only the first call of a process has an effect.
    rustls::crypto::ring::default_provider().install_default().ok();
    let patience = Patience {
        silence: Duration::from_secs(20),
        back_off: Duration::ZERO,
        failures: 3,
        pages: [Duration::ZERO; 2],
        ..Patience::default()
    };
    let clock = Arc::new(ManualClock::new(Micros(NOW_S * 1_000_000)));
    let mirror = mirror.map(ToOwned::to_owned);
    Updates { folder: folder.join("downloads"), mirror, nvd_key: None, patience, clock, watcher: Arc::new(Nobody) }
}

fn fetch(updates: &Updates, names: &[&str]) -> Vec<Had> {
    let wanted: Vec<_> = names.iter().map(|name| sources::named(name).unwrap()).collect();
    remote::block_on(updates.fetch(&wanted)).unwrap()
}

/// What became of the one file of `kev`.
fn kev(updates: &Updates) -> Outcome {
    let mut had = fetch(updates, &["kev"]);
    assert_eq!(had.len(), 1);
    had.remove(0).outcome
}

fn catalogue(entries: usize) -> Vec<u8> {
    let entries: Vec<Value> =
        (0..entries).map(|n| json!({ "cveID": format!("CVE-2030-{n:04}"), "dateAdded": "2030-01-01" })).collect();
    json!({ "catalogVersion": "1", "vulnerabilities": entries }).to_string().into_bytes()
}

fn kept(updates: &Updates) -> Vec<u8> {
    std::fs::read(updates.folder.join("kev/kev.json")).unwrap()
}

#[test]
fn what_did_not_change_is_not_sent_and_not_built_again() {
    let home = tempfile::tempdir().unwrap();
    let web = Web::scripted([
        whole("200 OK", "ETag: \"1\"\r\n", &catalogue(2)),
        whole("304 Not Modified", "", b""),
        whole("200 OK", "ETag: \"2\"\r\n", &catalogue(3)),
    ]);
    let updates = updates(home.path(), Some(&format!("{}/m/", web.address)));
    let stores = home.path().join("advisories");
    let build = |now_s| build(&updates.folder, &stores, Keep::Count(7), now_s).unwrap();
    assert_eq!(kev(&updates), Outcome::Fetched(catalogue(2).len() as u64));
    assert_eq!(build(1), Built::Anew);
    assert_eq!(kev(&updates), Outcome::Unchanged);
    assert_eq!(build(2), Built::Same);
    assert!(matches!(kev(&updates), Outcome::Fetched(_)));
    assert_eq!(build(3), Built::Anew);
    assert_eq!(folder::open(&stores, None).unwrap().counts()[3], 3);
    let asked = web.asked();
    assert!(asked.iter().all(|one| one.path == "/m/kev/kev.json"));
    let conditions: Vec<_> = asked.iter().map(|one| one.header("if-none-match")).collect();
    assert_eq!(conditions, [None, Some("\"1\""), Some("\"1\"")]);
    // The same again where somebody took the store away.
    std::fs::remove_dir_all(&stores).unwrap();
    assert_eq!(build(4), Built::Anew);
}

#[test]
fn a_day_serves_where_there_is_no_version() {
    let home = tempfile::tempdir().unwrap();
    let day = "Tue, 01 Jan 2030 00:00:00 GMT";
    let web = Web::scripted([
        whole("200 OK", &format!("Last-Modified: {day}\r\n"), &catalogue(1)),
        whole("304 Not Modified", "", b""),
    ]);
    let updates = updates(home.path(), Some(&web.address));
    assert!(matches!(kev(&updates), Outcome::Fetched(_)));
    assert_eq!(kev(&updates), Outcome::Unchanged);
    assert_eq!(web.asked()[1].header("if-modified-since"), Some(day));
}

#[test]
fn what_was_cut_off_goes_on_where_it_ended() {
    let home = tempfile::tempdir().unwrap();
    let body = catalogue(50);
    let (first, rest) = body.split_at(1_000);
    let range = format!("ETag: \"1\"\r\nContent-Range: bytes 1000-{}/{}\r\n", body.len() - 1, body.len());
    let web = Web::scripted([
        ("200 OK\r\nETag: \"1\"\r\n".to_owned(), first.to_vec(), body.len()),
        whole("206 Partial Content", &range, rest),
    ]);
    let updates = updates(home.path(), Some(&web.address));
    assert_eq!(kev(&updates), Outcome::Fetched(rest.len() as u64));
    assert_eq!(kept(&updates), body);
    let asked = web.asked();
    assert_eq!(asked[1].header("range"), Some("bytes=1000-"));
    assert_eq!(asked[1].header("if-range"), Some("\"1\""));
}

#[test]
fn another_process_goes_on_too() {
    let home = tempfile::tempdir().unwrap();
    let body = catalogue(50);
    let cut = ("200 OK\r\nETag: \"1\"\r\n".to_owned(), body[..700].to_vec(), body.len());
    let unavailable = || whole("503 busy", "Retry-After: 0\r\n", b"");
    let range = format!("Content-Range: bytes 700-{}/{}\r\n", body.len() - 1, body.len());
    let web = Web::scripted([cut, unavailable(), unavailable(), whole("206 Partial Content", &range, &body[700..])]);
    assert!(matches!(kev(&updates(home.path(), Some(&web.address))), Outcome::Failed(_)));
    let second = updates(home.path(), Some(&web.address));
    assert!(matches!(kev(&second), Outcome::Fetched(_)));
    assert_eq!(kept(&second), body);
}

#[test]
fn a_file_that_changed_meanwhile_begins_again() {
    let home = tempfile::tempdir().unwrap();
    let (old, new) = (catalogue(50), catalogue(60));
    let cut = ("200 OK\r\nETag: \"1\"\r\n".to_owned(), old[..700].to_vec(), old.len());
    // Whoever asks for the rest of what is no longer there gets all of what is.
    let web = Web::scripted([cut, whole("200 OK", "ETag: \"2\"\r\n", &new)]);
    let updates = updates(home.path(), Some(&web.address));
    assert_eq!(kev(&updates), Outcome::Fetched(new.len() as u64));
    assert_eq!(kept(&updates), new);
}

#[test]
fn a_rest_that_begins_elsewhere_is_not_taken() {
    let home = tempfile::tempdir().unwrap();
    let body = catalogue(50);
    let cut = |etag: &str| (format!("200 OK\r\n{etag}"), body[..700].to_vec(), body.len());
    let wrong = whole("206 Partial Content", "Content-Range: bytes 0-699/700\r\n", &body[..700]);
    let web = Web::scripted([cut("ETag: \"1\"\r\n"), wrong, whole("200 OK", "", &body)]);
    let first = updates(home.path(), Some(&web.address));
    assert!(matches!(kev(&first), Outcome::Fetched(_)));
    assert_eq!(kept(&first), body);
    // Without a strong version nobody knows whether a rest belongs to it: it is fetched from the beginning.
    let home = tempfile::tempdir().unwrap();
    let web = Web::scripted([cut("ETag: W/\"1\"\r\n"), whole("200 OK", "", &body)]);
    let second = updates(home.path(), Some(&web.address));
    assert!(matches!(kev(&second), Outcome::Fetched(_)));
    assert_eq!(web.asked()[1].header("range"), None);
    assert_eq!(kept(&second), body);
}

#[test]
fn one_that_fails_does_not_lose_the_others_nor_what_was_there() {
    let home = tempfile::tempdir().unwrap();
    let table = b"cve,epss,percentile\nCVE-2030-0001,0.1,0.2\n";
    let mut works = true;
    let web = Web::start(move |asked| match asked.path.as_str() {
        "/kev/kev.json" if std::mem::take(&mut works) => whole("200 OK", "", &catalogue(2)),
        "/kev/kev.json" => whole("500 broken", "", b""),
        "/epss/current.csv.gz" => whole("200 OK", "", table),
        _ => whole("404 no", "", b""),
    });
    let updates = updates(home.path(), Some(&web.address));
    assert!(matches!(kev(&updates), Outcome::Fetched(_)));
    let had = fetch(&updates, &["kev", "epss", "arch"]);
    let of = |name: &str| had.iter().find(|had| had.source == name).unwrap();
    assert!(matches!(&of("kev").outcome, Outcome::Failed(why) if why.contains("500")), "{had:?}");
    assert_eq!(of("kev").kept_s, NOW_S);
    assert!(matches!(of("epss").outcome, Outcome::Fetched(_)));
    assert!(matches!(&of("arch").outcome, Outcome::Failed(why) if why.contains("404")));
    // A refusal is not asked for again; a server that is broken is, but not for ever.
    let times = |path: &str| web.asked().iter().filter(|asked| asked.path == path).count();
    assert_eq!((times("/arch/all.json"), times("/kev/kev.json")), (1, 1 + 3));
    let stores = home.path().join("advisories");
    assert_eq!(build(&updates.folder, &stores, Keep::Count(7), 1).unwrap(), Built::Anew);
    let given = folder::open(&stores, None).unwrap().given();
    assert_eq!(given.iter().map(|given| given.signals).sum::<u32>(), 3);
    let last = Last::read(&updates.folder).unwrap();
    assert_eq!((last.ended_s, last.failed().count()), (NOW_S, 2));
}

#[test]
fn rubbish_and_what_is_too_long_never_take_the_place_of_what_was_there() {
    let home = tempfile::tempdir().unwrap();
    let page = b"<!DOCTYPE html><title>Sign in</title>";
    let promised = ("200 OK\r\n".to_owned(), Vec::new(), usize::MAX / 4);
    let web = Web::scripted([whole("200 OK", "", &catalogue(2)), whole("200 OK", "ETag: \"9\"\r\n", page), promised]);
    let updates = updates(home.path(), Some(&web.address));
    assert!(matches!(kev(&updates), Outcome::Fetched(_)));
    assert!(matches!(kev(&updates), Outcome::Failed(why) if why.contains("no file of `kev`")));
    assert!(matches!(kev(&updates), Outcome::Failed(why) if why.contains("too much")));
    assert_eq!(kept(&updates), catalogue(2));
    assert_eq!(web.asked().len(), 3, "neither is asked for again");
    // Nothing of either is left to go on with.
    assert!(!updates.folder.join("kev/.kev.json.part").exists());
}

#[test]
fn releases_that_are_not_out_are_no_failure() {
    let home = tempfile::tempdir().unwrap();
    let database = json!({ "distroversion": "v3.20", "apkurl": "x", "packages": [{ "pkg":
        { "name": "a", "secfixes": { "1.0-r0": ["CVE-2030-0001"] } } }] });
    let web = Web::start(move |asked| {
        let optional = sources::named("secdb").unwrap().downloads().iter().filter(|one| one.may_be_absent);
        if optional.map(|one| format!("/secdb/{}", one.file)).any(|path| path == asked.path) {
            return whole("404 no", "", b"");
        }
        whole("200 OK", "", database.to_string().as_bytes())
    });
    let had = fetch(&updates(home.path(), Some(&web.address)), &["secdb"]);
    assert!(had.iter().any(|had| had.outcome == Outcome::Absent) && had.len() > 20);
    assert!(!had.iter().any(|had| matches!(had.outcome, Outcome::Failed(_))), "{had:?}");
}

/// What a record has at first, and what it has since it changed.
const OLD: &str = "CVSS:3.1/AV:L/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N";
const NEW: &str = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H";

/// NVD with as many records, two a page, of which the seventh was modified since. It refuses the page that begins at
/// `fail_at` once.
fn nvd(records: usize, fail_at: usize) -> Web {
    let mut fails = true;
    Web::start(move |asked| {
        let query = asked.path.split_once('?').map_or("", |(_, query)| query);
        let of = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        let start: usize = of("startIndex").unwrap().parse().unwrap();
        if start == fail_at && std::mem::take(&mut fails) {
            return whole("403 slower", "", b"");
        }
        let record = |n: usize, vector: &str| {
            json!({ "cve": { "id": format!("CVE-2030-{n:05}"), "sourceIdentifier": "x", "vulnStatus": "Analyzed",
                "descriptions": [{ "lang": "en", "value": "long" }],
                "metrics": { "cvssMetricV31": [{ "cvssData": { "vectorString": vector } }] } } })
        };
        let (total, page): (usize, Vec<Value>) = match of("lastModStartDate") {
            Some(since) => {
                assert!(since.starts_with("2030-03-17T") && of("lastModEndDate").is_some(), "{query}");
                (1, vec![record(7, NEW)])
            }
            None => (records, (start..records.min(start + 2)).map(|n| record(n, OLD)).collect()),
        };
        let answer = json!({ "resultsPerPage": page.len(), "startIndex": start, "totalResults": total,
            "format": "NVD_CVE", "vulnerabilities": page });
        whole("200 OK", "", answer.to_string().as_bytes())
    })
}

/// Asks this server as if it were NVD.
fn pages(updates: &Updates, url: &str) -> Result<Outcome, String> {
    let source = sources::named("nvd").unwrap();
    let client = remote::outward(false, updates.patience.connect, updates.patience.silence).unwrap();
    std::fs::create_dir_all(updates.folder.join("nvd")).unwrap();
    let job = fetch::Job { updates, client: &client, source, download: source.downloads()[0] };
    remote::block_on(async { Ok(job.pages(url).await) }).unwrap()
}

#[test]
fn pages_go_on_where_they_ended_and_then_only_what_changed_is_asked_for() {
    let home = tempfile::tempdir().unwrap();
    let (web, updates) = (nvd(9, 4), updates(home.path(), None));
    let url = format!("{}/rest/json/cves/2.0", web.address);
    assert!(pages(&updates, &url).unwrap_err().contains("403"));
    assert!(matches!(pages(&updates, &url).unwrap(), Outcome::Fetched(_)));
    let starts = |web: &Web| -> Vec<String> {
        let paths = web.asked().into_iter().map(|asked| asked.path);
        paths.map(|path| path.rsplit_once("startIndex=").unwrap().1.to_owned()).collect()
    };
    assert_eq!(starts(&web), ["0", "2", "4", "4", "6", "8"]);
    assert!(matches!(pages(&updates, &url).unwrap(), Outcome::Fetched(_)));
    assert_eq!(web.asked().len(), 7);
    let stores = home.path().join("advisories");
    build(&updates.folder, &stores, Keep::Count(7), 1).unwrap();
    let store = folder::open(&stores, None).unwrap();
    assert_eq!(store.counts()[3], 9);
    // What changed counts before what was there.
    assert!(store.cve("CVE-2030-00007").unwrap().vector().contains("AV:N"));
    assert!(store.cve("CVE-2030-00006").unwrap().vector().contains("AV:L"));

    // The folder is a mirror for others as it is.
    let folder = updates.folder.clone();
    let mirror = Web::start(move |asked| match std::fs::read(folder.join(asked.path.trim_start_matches('/'))) {
        Ok(bytes) => whole("200 OK", "", &bytes),
        Err(_) => whole("404 no", "", b""),
    });
    let other = tempfile::tempdir().unwrap();
    let second = self::updates(other.path(), Some(&mirror.address));
    let had = fetch(&second, &["nvd"]);
    assert!(matches!(had[0].outcome, Outcome::Fetched(_)), "{had:?}");
    assert_eq!(had[0].kept_s, NOW_S);
    let stores = other.path().join("advisories");
    build(&second.folder, &stores, Keep::Count(7), 1).unwrap();
    assert_eq!(folder::open(&stores, None).unwrap().counts()[3], 9);
}

#[test]
fn what_lies_elsewhere_is_found() {
    let home = tempfile::tempdir().unwrap();
    let web = Web::start(|asked| match asked.path.as_str() {
        "/vex/archive_latest.txt" => whole("200 OK", "", b"vex-2030.tar.zst\n"),
        "/mirror.list" => {
            let host = asked.header("host").unwrap();
            whole("200 OK", "", format!("http://{host}/repo/\n").as_bytes())
        }
        "/repo/repodata/repomd.xml" => whole(
            "200 OK",
            "",
            br#"<repomd><data type="updateinfo"><location href="repodata/u.xml.gz"/></data></repomd>"#,
        ),
        _ => whole("404 no", "", b""),
    });
    let updates = updates(home.path(), None);
    let client = remote::outward(false, updates.patience.connect, updates.patience.silence).unwrap();
    let source = sources::named("updateinfo").unwrap();
    let job = fetch::Job { updates: &updates, client: &client, source, download: source.downloads()[0] };
    let resolve = |origin| remote::block_on(async { Ok(job.resolve(origin).await) }).unwrap();
    let leaked = |path: &str| -> &'static str { format!("{}{path}", web.address).leak() };
    let named = resolve(Origin::Named(leaked("/vex/archive_latest.txt"))).unwrap();
    assert_eq!(named, Some(format!("{}/vex/vex-2030.tar.zst", web.address)));
    let place = Some(format!("{}/repo/repodata/u.xml.gz", web.address));
    assert_eq!(resolve(Origin::Mirrors(leaked("/mirror.list"))).unwrap(), place);
    assert_eq!(resolve(Origin::Repository(leaked("/repo"))).unwrap(), place);
    assert!(resolve(Origin::Repository(leaked("/none"))).is_err());
}

#[test]
fn two_do_not_fetch_into_one_folder() {
    let home = tempfile::tempdir().unwrap();
    let updates = updates(home.path(), Some("http://127.0.0.1:9"));
    std::fs::create_dir_all(&updates.folder).unwrap();
    let held = std::fs::File::create(updates.folder.join(LOCK)).unwrap();
    held.try_lock().unwrap();
    let error = remote::block_on(updates.fetch(&[])).unwrap_err();
    assert!(error.to_string().contains("somebody else"), "{error}");
    drop(held);
    remote::block_on(updates.fetch(&[])).unwrap();
}
