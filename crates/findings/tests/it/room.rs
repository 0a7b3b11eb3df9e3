//! What is judged when, what becomes of it, and what is told.

use guardian_findings::{Contact, Contacts, Filter, FindingSettings, Order, Place, ReasonKind, State, View};
use guardian_model::Micros;
use guardian_vuln::risk::Exposure;
use serde_json::{Value, json};

use crate::support::{HOME, START, World, kev, osv};

const OPENSSL: &[(&str, &str, &str)] = &[("libssl3", "3.0.9-1", "openssl"), ("openssl", "3.0.9-1", "")];

#[tokio::test]
async fn a_host_is_judged_when_it_changes_and_the_fleet_when_the_advisories_do() {
    let mut world = World::new().await;
    let (one, two) = (world.host(1).await, world.host(2).await);
    world.has(one, OPENSSL).await;
    world.has(two, &[("zlib1g", "1:1.2.13-1", "zlib")]).await;
    world.look().await;
    assert!(world.shown().is_empty(), "nobody knows anything yet");

    world.advise(1_000, &[osv("CVE-2029-0001", "openssl", Some("3.0.11-1"))]);
    world.look().await;
    assert_eq!(world.shown(), ["host-1 CVE-2029-0001 openssl open"], "two packages of one source are one finding");

    // A day later another vulnerability is known; the first one is as old as it was.
    world.clock.set(START + Micros::DAY);
    let both = [osv("CVE-2029-0001", "openssl", Some("3.0.11-1")), osv("CVE-2029-0002", "zlib", None)];
    world.advise(2_000, &both);
    world.look().await;
    assert_eq!(world.shown(), ["host-1 CVE-2029-0001 openssl open", "host-2 CVE-2029-0002 zlib open"]);

    // Half of it is updated, then all.
    world.has(one, &[("libssl3", "3.0.11-1", "openssl"), ("openssl", "3.0.9-1", "")]).await;
    world.look().await;
    assert_eq!(world.shown()[0], "host-1 CVE-2029-0001 openssl open", "the other half still has it");
    world.clock.set(START + 3 * Micros::DAY);
    world.has(one, &[("libssl3", "3.0.11-1", "openssl"), ("openssl", "3.0.11-1", "")]).await;
    world.look().await;
    assert_eq!(world.shown()[0], "host-1 CVE-2029-0001 openssl fixed");
    let figures = world.view(|view| view.figures(&Filter::default(), 5));
    assert_eq!((figures.hosts, figures.open, figures.vulnerable_hosts), (2, 1, 1));
    let critical = &figures.ratings[0];
    assert_eq!((critical.fixed, critical.mean_seconds_to_fix), (1, Some(3.0 * 86_400.0)));
    let open: Vec<i64> = figures.trend.iter().map(|day| day.open).collect();
    assert_eq!(open, [0, 1, 2, 2, 1]);

    // It comes back, and is there after a start; what the advisories take back was never fixed.
    world.has(one, OPENSSL).await;
    world.look().await;
    world.restart();
    world.look().await;
    assert_eq!(world.shown(), ["host-1 CVE-2029-0001 openssl open", "host-2 CVE-2029-0002 zlib open"]);
    assert_eq!(world.view(|view| view.figures(&Filter::default(), 1).reopened), 1);
    world.advise(3_000, &both[..1]);
    world.look().await;
    assert_eq!(world.shown()[1], "host-2 CVE-2029-0002 zlib withdrawn");
    assert_eq!(world.view(|view| view.figures(&Filter::default(), 1).ratings[0].fixed), 0, "the one came back");
}

#[tokio::test]
async fn what_does_not_change_is_not_written() {
    let mut world = World::new().await;
    for n in 1..=3 {
        let host = world.host(n).await;
        world.has(host, if n == 3 { &[("zlib1g", "1:1.2.13-1", "zlib")] } else { OPENSSL }).await;
    }
    let openssl = osv("CVE-2029-0001", "openssl", Some("3.0.11-1"));
    world.advise(1_000, std::slice::from_ref(&openssl));
    world.look().await;
    let before = world.catalog.system().host_findings(HOME).await.unwrap();
    world.clock.set(START + Micros::DAY);
    world.advise(2_000, &[openssl, osv("CVE-2029-0002", "zlib", None)]);
    world.look().await;
    let after = world.catalog.system().host_findings(HOME).await.unwrap();
    let written: Vec<_> = after.iter().filter(|row| !before.contains(row)).map(|row| row.host.as_u128()).collect();
    assert_eq!(written, [3]);
}

#[tokio::test]
async fn exploited_ones_on_exposed_hosts_are_told_once() {
    let mut world = World::new().await;
    let (one, hidden) = (world.host(1).await, world.host(2).await);
    world.has(one, OPENSSL).await;
    world.has(hidden, OPENSSL).await;
    world.says(hidden, "ports", &[]).await;
    let openssl = osv("CVE-2029-0001", "openssl", Some("3.0.11-1"));
    world.advise(1_000, std::slice::from_ref(&openssl));
    world.look().await;
    assert!(world.told.news.lock().is_empty(), "nobody is known to use it");

    *world.told.mute.lock() = true;
    world.advise(2_000, &[openssl.clone(), kev(&["CVE-2029-0001"])]);
    let mut failed = false;
    for _ in 0..6 {
        failed |= world.findings.round(&mut world.follower).await.is_err();
    }
    assert!(failed);
    *world.told.mute.lock() = false;
    world.look().await;
    let told = world.told.news.lock().clone();
    let told: Vec<_> = told.iter().map(|n| (n.host, n.vulnerability.as_str(), n.package.as_str())).collect();
    assert_eq!(
        told,
        [(one, "CVE-2029-0001", "openssl")],
        "what could not be told is told later, of who is reached alone"
    );

    world.restart();
    world.look().await;
    world.advise(3_000, &[openssl, kev(&["CVE-2029-0001"]), osv("CVE-2029-0009", "zlib", None)]);
    world.look().await;
    assert_eq!(world.told.news.lock().len(), 1, "once");
    world.says(hidden, "ports", &[("a".into(), serde_json::json!({"name": "tcp/443", "address": "::"}))]).await;
    world.look().await;
    assert_eq!(world.told.news.lock().len(), 2, "it listens now");
}

#[tokio::test]
async fn what_to_fix_first_takes_the_most_risk_away() {
    let mut world = World::new().await;
    for n in 1..=4 {
        let host = world.host(n).await;
        let mut packages = vec![("zlib1g", "1:1.2.13-1", "zlib")];
        if n == 1 {
            packages.extend(OPENSSL);
        }
        world.has(host, &packages).await;
    }
    world.advise(
        1_000,
        &[
            osv("CVE-2029-0001", "openssl", Some("3.0.11-1")),
            osv("CVE-2029-0002", "openssl", Some("3.0.13-1")),
            osv("CVE-2029-0003", "zlib", Some("1:1.2.14-1")),
            osv("CVE-2029-0004", "zlib", None),
        ],
    );
    world.look().await;
    let fixes = world.view(|view| view.fixes(&Filter::default()));
    let shown: Vec<_> = fixes.iter().map(|f| (f.package.as_str(), f.version.as_str(), f.hosts, f.findings)).collect();
    assert_eq!(shown, [("zlib", "1:1.2.14-1", 4, 4), ("openssl", "3.0.13-1", 1, 2)]);
    assert!((fixes[0].risk - 2.0 * fixes[1].risk).abs() < 1e-3, "four findings against two of the same risk");
    let groups = world.view(|view| view.groups(&Filter::default()));
    assert_eq!((groups.len(), groups[0].name.as_str(), groups[0].hosts, groups[0].open), (1, "shop", 4, 10));
    let hosts = world.view(|view| view.host_figures(&Filter::default()));
    assert_eq!((hosts[0].name.as_str(), hosts[0].open, hosts.len()), ("host-1", 4, 4));

    // A deadline passes, and a tag makes a host worth more.
    world.clock.set(START + 16 * Micros::DAY);
    assert_eq!(world.view(|view| view.figures(&Filter::default(), 1).overdue), 10);
    let settings = FindingSettings { critical_hosts: vec!["shop".into()], ..FindingSettings::default() };
    let board = world.findings.board(HOME);
    let board = board.read();
    let view = View::new(&board, &settings, &[], world.clock_now());
    let worth = view.figures(&Filter::default(), 1).risk;
    drop(board);
    assert!(worth > world.view(|view| view.figures(&Filter::default(), 1).risk));
    let one = Filter { vulnerability: Some("CVE-2029-0004".into()), states: vec![State::Open], ..Filter::default() };
    let mut rows = world.view(|view| view.host_rows(&one, Order::Risk));
    world.view(|view| view.name_packages(&mut rows));
    assert_eq!(rows.len(), 4);
    assert!(rows.iter().all(|row| row.packages[0].name == "zlib1g" && row.packages[0].fixed_in.is_empty()));
}

fn runs(version: &str) -> (String, Value) {
    let said = format!("#1 SMP PREEMPT_DYNAMIC Debian {version} (2029-01-01)");
    ("kernel".into(), json!({"kind": "kernel", "version": "6.1.0-30-amd64", "description": said}))
}

#[tokio::test]
async fn kernels_that_do_not_run_are_no_danger_and_a_restart_mends() {
    let mut world = World::new().await;
    let host = world.host(1).await;
    let image = |abi: &str| format!("linux-image-6.1.0-{abi}-amd64");
    let (old, new) = (image("29"), image("30"));
    world.has(host, &[(&old, "6.1.123-1", "linux-signed-amd64"), (&new, "6.1.128-1", "linux-signed-amd64")]).await;
    let os = ("os".to_owned(), json!({"name": "debian", "version": "12"}));
    world.says(host, "system", &[os.clone(), runs("6.1.124-1")]).await;
    let advisories = [
        osv("CVE-2029-0001", "linux", Some("6.1.124-1")),
        osv("CVE-2029-0002", "linux", Some("6.1.126-1")),
        osv("CVE-2029-0003", "linux", None),
        kev(&["CVE-2029-0001", "CVE-2029-0002"]),
    ];
    world.advise(1_000, &advisories);
    world.look().await;
    let lines = |states: [&str; 3]| -> Vec<String> {
        let line = |(at, state)| format!("host-1 CVE-2029-000{} linux {state}", at + 1);
        states.iter().enumerate().map(line).collect()
    };
    let expected = lines(["not_running", "open", "open"]);
    assert_eq!(world.shown(), expected, "what runs is 6.1.124-1, although it is replaced on the disk");
    let told: Vec<String> = world.told.news.lock().iter().map(|news| news.vulnerability.clone()).collect();
    assert_eq!(told, ["CVE-2029-0002"], "what does not run is no news");
    let restart = Filter { restart: Some(true), ..Filter::default() };
    let mut rows = world.view(|view| view.host_rows(&restart, Order::Risk));
    world.view(|view| view.name_packages(&mut rows));
    let mut shown: Vec<_> = rows[0].packages.iter().map(|p| (p.version.as_str(), p.running)).collect();
    shown.sort_unstable();
    assert_eq!((rows.len(), rows[0].subject.vulnerability.as_str()), (1, "CVE-2029-0002"));
    assert_eq!(shown, [("6.1.123-1", Some(false)), ("6.1.124-1", Some(true))]);
    let figures = world.view(|view| view.figures(&Filter::default(), 1));
    assert_eq!((figures.open, figures.not_running, figures.restart), (2, 1, 1));
    let fixes = world.view(|view| view.fixes(&Filter::default()));
    assert_eq!((fixes[0].findings, fixes[0].restart), (1, 1));

    // It starts with the new one: nothing was updated, and one is gone.
    world.clock.set(START + 2 * Micros::DAY);
    world.says(host, "system", &[os.clone(), runs("6.1.128-1")]).await;
    world.look().await;
    let expected = lines(["not_running", "not_running", "open"]);
    assert_eq!(world.shown(), expected);
    world.restart();
    world.look().await;
    assert_eq!(world.shown(), expected, "it is known after a start");

    // The old one is removed; how long the danger lasted is until the restart, and what never ran took no time to fix.
    world.clock.set(START + 9 * Micros::DAY);
    world.has(host, &[(&new, "6.1.128-1", "linux-signed-amd64")]).await;
    world.look().await;
    let expected = lines(["fixed", "fixed", "open"]);
    assert_eq!(world.shown(), expected);
    let critical = world.view(|view| view.figures(&Filter::default(), 1).ratings[0].clone());
    assert_eq!((critical.fixed, critical.mean_seconds_to_fix), (1, Some(2.0 * 86_400.0)));
}

#[tokio::test]
async fn who_came_to_a_host_counts() {
    let mut world = World::new().await;
    let host = world.host(1).await;
    world.has(host, OPENSSL).await;
    let hidden = world.host(2).await;
    world.has(hidden, OPENSSL).await;
    // The filter of the second one lets nobody in, as far as one reads it.
    let chain = json!({"kind": "chain", "family": "inet", "table": "filter", "name": "input", "hook": "input",
        "policy": "drop"});
    world.says(hidden, "firewall", &[("chain".into(), chain)]).await;
    world.advise(1_000, &[osv("CVE-2029-0001", "openssl", None), kev(&["CVE-2029-0001"])]);
    world.look().await;
    let told = |world: &World| world.told.news.lock().iter().map(|news| news.host).collect::<Vec<_>>();
    assert_eq!(told(&world), [host]);
    let exposure = |world: &World| world.view(|view| view.exposure(host).unwrap());
    assert_eq!(exposure(&world).exposure, Exposure::Network);
    let before = world.view(|view| view.figures(&Filter::default(), 1).risk);
    let contact =
        |port, internet| Contact { host: Place::Name("host-1".into()), protocol: "tcp", port, internet, last: START };
    *world.told.contacts.lock() =
        Contacts { came: vec![contact(8080, true), contact(22, false)], watched: vec![host, host] };
    world.findings.take_visits(HOME, START, START).await.unwrap();
    assert_eq!(exposure(&world).exposure, Exposure::Network, "nothing listens on 8080");
    world.told.contacts.lock().came.push(contact(22, true));
    world.told.contacts.lock().came.push(Contact { host: Place::Id(hidden), ..contact(22, true) });
    world.findings.take_visits(HOME, START, START).await.unwrap();
    let known = exposure(&world);
    let kinds: Vec<_> = known.reasons.iter().map(|reason| reason.kind).collect();
    assert_eq!(known.exposure, Exposure::Internet);
    assert_eq!(kinds, [ReasonKind::Listens, ReasonKind::CameFromInternet, ReasonKind::CameFromNetwork]);
    let after = world.view(|view| view.figures(&Filter::default(), 1).risk);
    assert!(after > before, "{after} {before}");
    world.look().await;
    assert_eq!(told(&world), [host, hidden], "it could be reached all the same");
    world.clock.set(START + 8 * Micros::DAY);
    assert_eq!(exposure(&world).exposure, Exposure::Network, "it is long ago");
}
