//! What a large fleet costs: hosts with packages tell their lists to a catalog, are judged, and are judged anew when the
//! advisories change. `cargo run --release -p guardian-findings --example fleet -- 10000 1500`
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "figures for people")]

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use guardian_catalog::{Actor, Catalog, CatalogConfig, NewEnrolmentToken, NewHost, NewHostList};
use guardian_findings::{
    Contacts, Filter, FindingSettings, Findings, FindingsDeps, Follower, News, Order, Teller, View, Watcher,
};
use guardian_kit::clock::{Clock as _, SystemClock};
use guardian_kit::shutdown::Shutdown;
use guardian_model::{Micros, TenantId};
use guardian_protocol::lists::{self, List};
use guardian_vuln::load::Loader;
use guardian_vuln::sources::Document;
use guardian_vuln::store::folder;
use serde_json::{Value, json};
use uuid::Uuid;

const HOME: TenantId = TenantId::DEFAULT;
/// Releases of a distribution that hosts have, as they say it and as OSV names it.
const RELEASES: [(&str, &str, &str); 6] = [
    ("debian", "11", "Debian:11"),
    ("debian", "12", "Debian:12"),
    ("debian", "13", "Debian:13"),
    ("ubuntu", "20.04", "Ubuntu:20.04:LTS"),
    ("ubuntu", "22.04", "Ubuntu:22.04:LTS"),
    ("ubuntu", "24.04", "Ubuntu:24.04:LTS"),
];
/// Packages that there are in a release.
const PACKAGES: usize = 4_000;
/// How far hosts are behind with updates: so many steps.
const STEPS: usize = 40;

struct Nobody;

#[async_trait]
impl Teller for Nobody {
    async fn tell(&self, _: &[News]) -> Result<(), String> {
        Ok(())
    }
}

#[async_trait]
impl Watcher for Nobody {
    async fn contacts(&self, _: TenantId, _: Micros, _: Micros) -> Result<Contacts, String> {
        Ok(Contacts::default())
    }
}

/// Numbers that look like chance and are the same each time.
fn mixed(n: usize) -> usize {
    (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 17) ^ n
}

/// The version of a package on a host that is so many steps behind: packages are updated every few steps.
fn version(package: usize, step: usize) -> String {
    let pace = 6 + mixed(package) % 30;
    format!("1.{}-1", (step + mixed(package) % pace) / pace)
}

/// Advisories: some packages have many, most few, a third of them without a fix. `more` adds some that came lately.
fn documents(more: bool) -> Vec<String> {
    let mut all = Vec::new();
    let mut number = 0;
    for package in 0..PACKAGES {
        let count = if package % 200 == 0 { 300 } else { mixed(package) % 3 };
        let late = usize::from(more && package % 50 == 0);
        for n in 0..count + late {
            number += 1;
            let open = json!([{"introduced": "0"}]);
            let fixed = json!([{"introduced": "0"}, {"fixed": format!("1.{}-1", 1 + n % 4)}]);
            let affected: Vec<Value> = RELEASES
                .iter()
                .map(|(_, _, system)| {
                    json!({"package": {"ecosystem": system, "name": format!("package-{package}")},
                        "ranges": [{"type": "ECOSYSTEM", "events": if n % 3 == 0 { &open } else { &fixed }}]})
                })
                .collect();
            let advisory = json!({"schema_version": "1.6.0", "id": format!("CVE-2029-{number:06}"),
                "modified": "2029-01-01T00:00:00Z", "summary": "Something is wrong with it", "affected": affected,
                "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}]});
            all.push(advisory.to_string());
        }
    }
    all
}

fn publish(folder: &std::path::Path, built_s: i64, more: bool) {
    let mut loader = Loader::default();
    for (at, text) in documents(more).iter().enumerate() {
        loader.document(&Document { name: &format!("{at}.json"), bytes: text.as_bytes() });
    }
    folder::publish(folder, loader.finish(), built_s, 3).unwrap();
    let store = folder::open(folder, None).unwrap();
    let [advisories, statements, packages, _] = store.counts();
    println!("store: {advisories} advisories, {statements} statements of {packages} packages");
}

fn packages(host: usize, count: usize) -> (usize, Vec<u8>, Vec<u8>, u32) {
    let (release, step) = (host % RELEASES.len(), mixed(host) % STEPS);
    let mut list = List::default();
    let mut at = mixed(host) % PACKAGES;
    while list.len() < count.min(PACKAGES) {
        // Most of what is installed is installed everywhere.
        let package = if list.len() * 4 < count * 3 { list.len() } else { at % PACKAGES };
        at += 7;
        let entry = json!({"kind": "dpkg", "name": format!("package-{package}"), "version": version(package, step),
            "architecture": "amd64", "licences": ["MIT"]});
        list.put(&format!("dpkg/package-{package}"), &entry);
    }
    (release, list.hash().to_vec(), lists::pack(&list.lines()).unwrap(), list.len() as u32)
}

async fn enrol(catalog: &Catalog, hosts: usize) -> Vec<Uuid> {
    let mut tx = catalog.system().begin(HOME, Actor::system("bench")).await.unwrap();
    let token = NewEnrolmentToken {
        public_id: "public".into(),
        secret_hash: vec![7; 32],
        name: "many".into(),
        tags: vec![],
        groups: vec!["all".into()],
        uses_max: None,
        expires: tx.now() + Micros::DAY,
    };
    let token = tx.create_enrolment_token(&token).await.unwrap().id;
    let mut ids = Vec::new();
    for n in 1..=hosts {
        let new = NewHost {
            id: Uuid::from_u128(n as u128),
            name: format!("host-{n}"),
            platform: "linux".into(),
            architecture: "x86_64".into(),
            program: "0.1.0".into(),
            address: None,
            serial: format!("{n:x}"),
            not_after: tx.now() + Micros::DAY,
            node_key: None,
        };
        ids.push(tx.enrol_host(token, &new).await.unwrap().unwrap().id);
    }
    tx.commit().await.unwrap();
    ids
}

async fn say(catalog: &Catalog, host: Uuid, name: &str, (hash, document, entries): (Vec<u8>, Vec<u8>, u32)) {
    let before = catalog.system().host_list(host, name).await.unwrap();
    let new = NewHostList {
        host,
        list: name.into(),
        hash,
        base: before.map(|list| list.list.hash),
        entries,
        read: Micros(0),
        document,
        pending: None,
        software: None,
    };
    catalog.system().keep_host_list(HOME, new).await.unwrap();
}

fn ask(findings: &Findings, what: &str, look: impl Fn(&View<'_>) -> String) {
    let board = findings.board(HOME);
    let (board, settings) = (board.read(), FindingSettings::default());
    let begun = Instant::now();
    let answer = look(&View::new(&board, &settings, &[], SystemClock::new().now()));
    println!("{what}: {answer} in {:.2} s", begun.elapsed().as_secs_f64());
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let number = |at: usize, usual: usize| std::env::args().nth(at).and_then(|n| n.parse().ok()).unwrap_or(usual);
    let (hosts, count) = (number(1, 10_000), number(2, 1_500));
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("advisories");
    let clock = Arc::new(SystemClock::new());
    let catalog = Catalog::connect(&CatalogConfig::default(), dir.path(), clock.clone()).await.unwrap();
    let ids = enrol(&catalog, hosts).await;
    let begun = Instant::now();
    for (at, host) in ids.iter().enumerate() {
        let (release, hash, document, entries) = packages(at, count);
        let (id, version, _) = RELEASES[release];
        let mut system = List::default();
        system.put("os", &json!({"name": id, "version": version}));
        let own = (system.hash().to_vec(), lists::pack(&system.lines()).unwrap(), 1);
        say(&catalog, *host, "system", own).await;
        say(&catalog, *host, "packages", (hash, document, entries)).await;
    }
    println!("{hosts} hosts said what they have ({count} packages each) in {:.1} s", begun.elapsed().as_secs_f64());
    publish(&store, 1_000, false);
    let findings = Findings::new(FindingsDeps {
        catalog: catalog.clone(),
        clock,
        store: store.clone(),
        teller: Arc::new(Nobody),
        watcher: Arc::new(Nobody),
        shutdown: Shutdown::new(),
    });
    let mut follower = Follower::default();
    let begun = Instant::now();
    for _ in 0..hosts.div_ceil(500) + 5 {
        findings.round(&mut follower).await.unwrap();
    }
    println!("every host read and judged for the first time in {:.1} s", begun.elapsed().as_secs_f64());
    let board = findings.board(HOME);
    println!("{} versions of packages", board.read().versions());

    publish(&store, 2_000, true);
    let begun = Instant::now();
    for _ in 0..5 {
        findings.round(&mut follower).await.unwrap();
    }
    println!("all hosts judged anew by other advisories, and kept, in {:.1} s", begun.elapsed().as_secs_f64());

    let (release, hash, document, entries) = packages(hosts + 17, count);
    assert!(release < RELEASES.len());
    say(&catalog, ids[0], "packages", (hash, document, entries)).await;
    let begun = Instant::now();
    findings.round(&mut follower).await.unwrap();
    println!("one host judged after its packages changed, in {:.2} s", begun.elapsed().as_secs_f64());
    ask(&findings, "the list", |view| format!("{} rows", view.rows(&Filter::default(), Order::Risk).len()));
    ask(&findings, "figures", |view| format!("{} open", view.figures(&Filter::default(), 60).open));
    ask(&findings, "what to fix first", |view| format!("{} updates", view.fixes(&Filter::default()).len()));
    let file = std::fs::metadata(dir.path().join("catalog.sqlite")).unwrap().len();
    let rows = catalog.system().host_findings(HOME).await.unwrap();
    let bytes: usize = rows.iter().map(|row| row.components.len() + row.entries.len()).sum();
    println!("rows of hosts: {} MiB; the catalog: {} MiB", bytes >> 20, file >> 20);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    println!("memory: {peak}");
}
