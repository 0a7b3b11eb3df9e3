//! People at work, seen from their side: each is signed in, keeps a live stream open and clicks from page to page, each
//! page asking what the console asks. Given the address of a running server, it says how long the answers took.
//!
//! `cargo xtask bench people` starts the server and sends it flows meanwhile. This program only reads, apart from the
//! accounts that it makes.
#![expect(clippy::unwrap_used, reason = "a benchmark may end with a panic")]
#![expect(clippy::print_stdout, reason = "the result is what a benchmark prints")]
#![expect(clippy::disallowed_methods, reason = "it is a browser's part: its clock and its requests are its own")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use futures::StreamExt as _;
use futures::future::join_all;
use guardian_testkit::random::Random;
use reqwest::header::{CONTENT_TYPE, COOKIE, HeaderMap, HeaderValue};
use reqwest::{Client, Method, StatusCode};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

const PASSWORD: &str = "a password for measuring";
/// Printed when everybody is signed in and the load may begin; `crates/xtask/src/bench/people.rs` waits for it.
const SIGNED_IN: &str = "everybody is signed in";
/// What people look at when they look at the dashboard.
const RANGES: &[&str] = &["1h", "24h", "24h", "7d"];
/// What analysts hunt for.
const FILTERS: &[&str] = &["dst_port = 53", "src_ip = 10.20.3.7", "dst_port = 443 and bytes > 40000", "protocol = 17"];
/// The ceiling of the 95th percentile over all reads.
const P95_MS_MAX: f64 = 100.0;
/// Nobody thinks longer than so many times the mean, as in TPC-W.
const THINK_MAX_FACTOR: f64 = 10.0;
/// How soon the page of an address asks again for flows that were not read yet, as the console does.
const AGAIN: Duration = Duration::from_millis(250);
/// What is not one read but how long the page of an address took until it was complete.
const COMPLETE: &str = "entity complete";
/// What is asked again of the page of an address until it is complete.
const MORE: &str = "entity (again)";
/// The ceiling of the dashboard's answer.
const DASHBOARD_MS_MAX: f64 = 1_500.0;

#[derive(Parser)]
struct Options {
    /// Base URL of the server
    #[arg(long)]
    server: String,
    /// PEM file of its authority
    #[arg(long)]
    ca: PathBuf,
    /// Key of the local operator, who makes the accounts
    #[arg(long)]
    key: String,
    /// How many people
    #[arg(long, default_value_t = 50)]
    people: usize,
    /// Mean of the seconds between two clicks of a person, exponentially distributed (TPC-W, clause 5.3.2.1)
    #[arg(long, default_value_t = 7.0)]
    think: f64,
    /// How long they are measured
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// How long they click before that
    #[arg(long, default_value_t = 10)]
    warm_up: u64,
    /// Only ask for the dashboard, so many times in each way
    #[arg(long)]
    dashboard: Option<usize>,
    /// What `cargo bench` passes
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let options = Options::parse();
    rustls::crypto::ring::default_provider().install_default().ok();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        match options.dashboard {
            Some(times) => dashboard(&options, times).await,
            None => people(Arc::new(options)).await,
        }
    });
}

/// A client that trusts the server's authority and sends `headers` with everything.
fn client(options: &Options, headers: HeaderMap) -> Client {
    let authority = reqwest::Certificate::from_pem(&std::fs::read(&options.ca).unwrap()).unwrap();
    let builder = Client::builder().tls_certs_only([authority]).default_headers(headers);
    builder.timeout(Duration::from_secs(30)).build().unwrap()
}

fn operator(options: &Options) -> Client {
    let bearer = HeaderValue::from_str(&format!("Bearer {}", options.key)).unwrap();
    client(options, HeaderMap::from_iter([(reqwest::header::AUTHORIZATION, bearer)]))
}

/// How long the dashboard takes: the first time that a span is asked for, with its rankings, and kept.
async fn dashboard(options: &Options, times: usize) {
    let http = operator(options);
    let (mut first, mut ranked, mut kept) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..times {
        // Each time another span that nobody asked for before: a day and some minutes.
        let to = jiff::Timestamp::now();
        let from = to - jiff::SignedDuration::from_mins(24 * 60 + 3 * n as i64);
        let url = format!("{}/api/v1/dashboard?from={from}&to={to}", options.server);
        let begun = Instant::now();
        let mut answer: Value = http.get(&url).send().await.unwrap().json().await.unwrap();
        first.push(millis(begun));
        while answer["generated"].is_null() {
            tokio::time::sleep(Duration::from_millis(20)).await;
            answer = http.get(&url).send().await.unwrap().json().await.unwrap();
        }
        ranked.push(millis(begun));
        for _ in 0..5 {
            let begun = Instant::now();
            http.get(&url).send().await.unwrap().bytes().await.unwrap();
            kept.push(millis(begun));
        }
    }
    for (name, mut times) in [("first", first), ("first_with_rankings", ranked), ("kept", kept)] {
        times.sort_by(f64::total_cmp);
        let (median, worst) = (percentile(&times, 0.5), percentile(&times, 1.0));
        println!("{}", json!({"bench": format!("dashboard/{name}_median"), "value": median, "unit": "ms"}));
        let pass = worst < DASHBOARD_MS_MAX;
        let mut line = json!({"bench": format!("dashboard/{name}_worst"), "value": worst, "unit": "ms"});
        if name != "first_with_rankings" {
            line["floor"] = json!(DASHBOARD_MS_MAX);
            line["pass"] = json!(pass);
        }
        println!("{line}");
    }
}

/// Somebody who clicks.
struct Person {
    http: Client,
    url: String,
    random: Random,
    /// Mean of the seconds between clicks.
    think: f64,
}

/// What came of one read.
struct Read {
    operation: &'static str,
    millis: f64,
    status: Option<StatusCode>,
}

/// Lets everybody click and prints how long they waited.
async fn people(options: Arc<Options>) {
    let operator = operator(&options);
    let mut made = Vec::new();
    for n in 0..options.people {
        // One after the other: the server slows down whoever tries many passwords at once from one address.
        made.push(sign_in(&options, &operator, n).await);
    }
    println!("{SIGNED_IN}");
    let begin = Instant::now() + Duration::from_secs(options.warm_up);
    let end = begin + Duration::from_secs(options.seconds);
    let streams = join_all(made.iter().map(|(_, cookie)| listen(Arc::clone(&options), cookie.clone(), end))).await;
    let clicking = made.into_iter().map(|(person, _)| tokio::spawn(person.click(begin, end)));
    let reads: Vec<Read> = join_all(clicking).await.into_iter().flat_map(Result::unwrap).collect();
    let mut heard = Vec::new();
    for stream in streams {
        heard.push(stream.await.unwrap());
    }
    report(&reads, options.seconds);
    let least = heard.iter().min().copied().unwrap_or_default();
    println!("{}", json!({"bench": "people/streams", "value": heard.len(), "unit": "connections"}));
    println!("{}", json!({"bench": "people/stream_messages_least", "value": least, "unit": "messages"}));
}

fn report(reads: &[Read], seconds: u64) {
    let mut times = BTreeMap::<&str, Vec<f64>>::new();
    let mut failed = BTreeMap::<String, usize>::new();
    for read in reads {
        times.entry(read.operation).or_default().push(read.millis);
        // Asking again is quick and must not make up for what is slow.
        if ![COMPLETE, MORE].contains(&read.operation) {
            times.entry("all").or_default().push(read.millis);
        }
        if read.status != Some(StatusCode::OK) {
            *failed.entry(format!("{} {:?}", read.operation, read.status)).or_default() += 1;
        }
    }
    println!("{:<22} {:>7} {:>9} {:>9} {:>9} {:>9}", "read", "times", "p50 ms", "p95 ms", "p99 ms", "max ms");
    for (operation, times) in &mut times {
        times.sort_by(f64::total_cmp);
        let [p50, p95, p99, max] = [0.5, 0.95, 0.99, 1.0].map(|share| percentile(times, share));
        println!("{operation:<22} {:>7} {p50:>9.1} {p95:>9.1} {p99:>9.1} {max:>9.1}", times.len());
    }
    for (what, count) in &failed {
        println!("failed: {what}: {count}");
    }
    let all = times.get("all").map(Vec::as_slice).unwrap_or_default();
    let rate = all.len() as f64 / seconds as f64;
    println!("{}", json!({"bench": "people/reads", "value": rate, "unit": "reads/s"}));
    for (name, share) in [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)] {
        let value = percentile(all, share);
        let mut line = json!({"bench": format!("people/{name}"), "value": value, "unit": "ms"});
        if name == "p95" {
            line["floor"] = json!(P95_MS_MAX);
            line["pass"] = json!(value < P95_MS_MAX);
        }
        println!("{line}");
    }
    let complete = times.get(COMPLETE).map(Vec::as_slice).unwrap_or_default();
    for (name, share) in [("p50", 0.5), ("p95", 0.95)] {
        let value = percentile(complete, share);
        println!("{}", json!({"bench": format!("people/entity_complete_{name}"), "value": value, "unit": "ms"}));
    }
    let failures: usize = failed.values().sum();
    let none = failures == 0;
    println!("{}", json!({"bench": "people/failed", "value": failures, "unit": "reads", "floor": 0, "pass": none}));
}

/// Makes an account, signs in, and says how to be that person.
async fn sign_in(options: &Options, operator: &Client, n: usize) -> (Person, String) {
    let role = ["viewer", "operator", "operator", "admin"][n % 4];
    let name = format!("person-{n}");
    let url = format!("{}/api/v1", options.server);
    let account = json!({"name": name, "role": role, "password": PASSWORD});
    let made = operator.post(format!("{url}/users")).json(&account).send().await.unwrap();
    // The accounts of an earlier run serve.
    assert!(made.status().is_success() || made.status() == StatusCode::CONFLICT, "{:?}", made.text().await);
    let words = json!({"name": name, "password": PASSWORD});
    let answer = client(options, HeaderMap::new()).post(format!("{url}/session")).json(&words).send().await.unwrap();
    assert!(answer.status().is_success(), "{name} cannot sign in: {}", answer.status());
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let json = HeaderValue::from_static("application/json");
    let headers = HeaderMap::from_iter([(COOKIE, cookie.parse().unwrap()), (CONTENT_TYPE, json)]);
    (Person { http: client(options, headers), url, random: Random(n as u64 + 1), think: options.think }, cookie)
}

/// Opens a live stream and counts what comes until the end.
async fn listen(options: Arc<Options>, cookie: String, end: Instant) -> tokio::task::JoinHandle<usize> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&options.ca).unwrap()).unwrap();
    let tls = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let authority = options.server.strip_prefix("https://").unwrap().to_owned();
    let tcp = tokio::net::TcpStream::connect(&authority).await.unwrap();
    let name = authority.rsplit_once(':').unwrap().0.to_owned().try_into().unwrap();
    let stream = tokio_rustls::TlsConnector::from(Arc::new(tls)).connect(name, tcp).await.unwrap();
    let mut request = format!("wss://{authority}/api/v1/stream").into_client_request().unwrap();
    request.headers_mut().insert("cookie", cookie.parse().unwrap());
    request.headers_mut().insert("origin", options.server.parse().unwrap());
    let (mut stream, _) = tokio_tungstenite::client_async(request, stream).await.unwrap();
    tokio::spawn(async move {
        let mut heard = 0;
        while let Ok(message) = tokio::time::timeout_at(end.into(), stream.next()).await {
            if let Message::Text(_) = message.expect("the stream stays open").unwrap() {
                heard += 1;
            }
        }
        heard
    })
}

impl Person {
    /// Clicks from page to page; answers what was read between `begin` and `end`.
    async fn click(mut self, begin: Instant, end: Instant) -> Vec<Read> {
        let mut reads = Vec::new();
        // Nobody begins at the same moment as somebody else.
        tokio::time::sleep(self.thinking()).await;
        while Instant::now() < end {
            let page = self.page().await;
            let begun = Instant::now();
            let answers = join_all(page.into_iter().map(|(operation, path)| self.look(operation, path))).await;
            if begun >= begin {
                reads.extend(answers.into_iter().flatten());
            }
            let thinking = self.thinking();
            tokio::time::sleep(thinking.min(end.saturating_duration_since(Instant::now()))).await;
        }
        reads
    }

    /// How long somebody looks at a page before the next click.
    fn thinking(&mut self) -> Duration {
        let chance = (self.random.below(1_000_000) as f64 + 1.0) / 1_000_000.0;
        Duration::from_secs_f64((-chance.ln() * self.think).min(THINK_MAX_FACTOR * self.think))
    }

    /// Reads what a page asks for; that of an address again until its flows are there.
    async fn look(&self, operation: &'static str, path: String) -> Vec<Read> {
        let begun = Instant::now();
        let (first, mut answer) = self.read(operation, &path).await;
        let mut reads = vec![first];
        if !operation.starts_with("entity") {
            return reads;
        }
        let unread = |answer: &[u8]| {
            serde_json::from_slice::<Value>(answer).is_ok_and(|page| page.get("flows_read").is_some_and(Value::is_null))
        };
        while unread(&answer) {
            tokio::time::sleep(AGAIN).await;
            let (again, more) = self.read(MORE, &path).await;
            reads.push(again);
            answer = more;
        }
        let status = reads.last().and_then(|read| read.status);
        reads.push(Read { operation: COMPLETE, millis: millis(begun), status });
        reads
    }

    async fn read(&self, operation: &'static str, path: &str) -> (Read, Vec<u8>) {
        let begun = Instant::now();
        let answer = self.http.request(Method::GET, format!("{}{path}", self.url)).send().await;
        let (status, body) = match answer {
            Ok(answer) => {
                let status = answer.status();
                match answer.bytes().await {
                    Ok(body) => (Some(status), body.to_vec()),
                    Err(_) => (None, Vec::new()),
                }
            }
            Err(_) => (None, Vec::new()),
        };
        (Read { operation, millis: millis(begun), status }, body)
    }

    /// What the next page asks for, as the console does.
    async fn page(&mut self) -> Vec<(&'static str, String)> {
        let alerts = "?sort=activity&limit=200&status=open";
        match self.random.below(12) {
            0 | 1 => vec![
                ("alerts", format!("/alerts{alerts}")),
                ("alerts/counts", "/alerts/counts?status=open".to_owned()),
                ("alerts/histogram", format!("/alerts/histogram?status=open&buckets=84&{}", stretch())),
            ],
            2 | 3 => match self.some("/alerts?limit=50").await {
                Some(id) => vec![
                    ("alert", format!("/alerts/{id}")),
                    ("alert/findings", format!("/alerts/{id}/findings")),
                    ("alert/similar", format!("/alerts/{id}/similar")),
                ],
                None => Vec::new(),
            },
            4 => vec![
                ("incidents", "/incidents?sort=updated&limit=100".to_owned()),
                ("incidents/facets", "/incidents/facets".to_owned()),
            ],
            5 | 6 => match self.some("/incidents?limit=50").await {
                Some(id) => vec![
                    ("incident", format!("/incidents/{id}")),
                    ("incident/timeline", format!("/incidents/{id}/timeline")),
                    ("incident/entities", format!("/incidents/{id}/entities")),
                    ("incident/alerts", format!("/incidents/{id}/alerts")),
                ],
                None => Vec::new(),
            },
            7 | 8 => vec![
                ("dashboard", format!("/dashboard?range={}", self.random.one(RANGES))),
                ("dashboard/feed", "/alerts?sort=newest&limit=12".to_owned()),
                ("dashboard/storage", "/storage".to_owned()),
            ],
            9 => {
                let filter = self.random.one(FILTERS).replace(' ', "%20").replace('>', "%3E").replace('=', "%3D");
                let which = format!("filter={filter}&{}", stretch());
                vec![
                    ("flows", format!("/flows?limit=500&{which}")),
                    ("flows/histogram", format!("/flows/histogram?buckets=90&{which}")),
                ]
            }
            10 => vec![("rules", "/rules".to_owned()), ("exporters", "/exporters".to_owned())],
            _ => {
                // Whoever may not see personal data knows hosts by their pseudonyms.
                let Some(address) = self.one_of("/flows?limit=100", "src_ip").await else { return Vec::new() };
                let operation = match address.split('.').next() {
                    Some("10") => "entity (inside)",
                    Some("198") => "entity (outside)",
                    _ => "entity (pseudonym)",
                };
                vec![
                    (operation, format!("/entities/ip/{address}?wait=0&{}", stretch())),
                    ("search", format!("/search?q={address}")),
                ]
            }
        }
    }

    /// The id of something on a list.
    async fn some(&mut self, list: &str) -> Option<String> {
        self.one_of(list, "id").await
    }

    /// A member of something on a list.
    async fn one_of(&mut self, list: &str, member: &str) -> Option<String> {
        let answer = self.http.get(format!("{}{list}", self.url)).send().await.ok()?;
        let page: Value = answer.json().await.ok()?;
        let items = page["items"].as_array()?;
        let at = self.random.below(items.len().max(1) as u64) as usize;
        items.get(at)?[member].as_str().map(str::to_owned)
    }
}

/// The last hour.
fn stretch() -> String {
    let to = jiff::Timestamp::now();
    format!("from={}&to={to}", to - jiff::SignedDuration::from_hours(1))
}

fn millis(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1e3
}

/// The value under which this share of the sorted values lies.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let at = ((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len().max(1)) - 1;
    sorted.get(at).copied().unwrap_or(f64::NAN)
}
