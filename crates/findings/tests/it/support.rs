//! A catalog with hosts, a folder of stores, and somebody who is told.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use guardian_catalog::{Actor, Catalog, CatalogConfig, NewEnrolmentToken, NewHost, NewHostList};
use guardian_findings::{
    Contacts, Filter, FindingSettings, Findings, FindingsDeps, Follower, HostFinding, News, Order, State, Teller, View,
    Watcher,
};
use guardian_kit::clock::{Clock as _, ManualClock};
use guardian_kit::shutdown::Shutdown;
use guardian_model::{Micros, TenantId};
use guardian_protocol::lists::{self, List};
use guardian_vuln::load::Loader;
use guardian_vuln::sources::Document;
use guardian_vuln::store::folder;
use parking_lot::Mutex;
use serde_json::{Value, json};
use uuid::Uuid;

pub(crate) const START: Micros = Micros(1_893_456_000_000_000);

#[derive(Default)]
pub(crate) struct Told {
    pub(crate) news: Mutex<Vec<News>>,
    /// Whether nothing can be told now.
    pub(crate) mute: Mutex<bool>,
    /// Who came.
    pub(crate) contacts: Mutex<Contacts>,
}

#[async_trait]
impl Teller for Told {
    async fn tell(&self, news: &[News]) -> Result<(), String> {
        if *self.mute.lock() {
            return Err("the store is full".to_owned());
        }
        self.news.lock().extend_from_slice(news);
        Ok(())
    }
}

#[async_trait]
impl Watcher for Told {
    async fn contacts(&self, _: TenantId, _: Micros, _: Micros) -> Result<Contacts, String> {
        Ok(self.contacts.lock().clone())
    }
}

pub(crate) struct World {
    pub(crate) catalog: Catalog,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) told: Arc<Told>,
    pub(crate) findings: Findings,
    pub(crate) follower: Follower,
    token: Uuid,
    dir: tempfile::TempDir,
}

pub(crate) const HOME: TenantId = TenantId::DEFAULT;

impl World {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(START));
        let catalog = Catalog::connect(&CatalogConfig::default(), dir.path(), clock.clone()).await.unwrap();
        let mut tx = catalog.system().begin(HOME, Actor::system("test")).await.unwrap();
        let token = NewEnrolmentToken {
            public_id: "public".into(),
            secret_hash: vec![7; 32],
            name: "many".into(),
            tags: vec![],
            groups: vec!["shop".into()],
            uses_max: None,
            expires: START + Micros::DAY,
        };
        let token = tx.create_enrolment_token(&token).await.unwrap().id;
        tx.commit().await.unwrap();
        let told = Arc::new(Told::default());
        let findings = Self::room(&catalog, &clock, &told, dir.path().join("advisories"));
        Self { catalog, clock, told, findings, follower: Follower::default(), token, dir }
    }

    fn room(catalog: &Catalog, clock: &Arc<ManualClock>, told: &Arc<Told>, store: PathBuf) -> Findings {
        Findings::new(FindingsDeps {
            catalog: catalog.clone(),
            clock: clock.clone(),
            store,
            teller: told.clone(),
            watcher: told.clone(),
            shutdown: Shutdown::new(),
        })
    }

    /// The same after a start.
    pub(crate) fn restart(&mut self) {
        self.findings = Self::room(&self.catalog, &self.clock, &self.told, self.dir.path().join("advisories"));
        self.follower = Follower::default();
    }

    pub(crate) async fn host(&self, n: u128) -> Uuid {
        let mut tx = self.catalog.system().begin(HOME, Actor::system("test")).await.unwrap();
        let new = NewHost {
            id: Uuid::from_u128(n),
            name: format!("host-{n}"),
            platform: "linux".into(),
            architecture: "x86_64".into(),
            program: "0.1.0".into(),
            address: None,
            serial: format!("{n:x}"),
            not_after: START + Micros::DAY,
            node_key: None,
        };
        let host = tx.enrol_host(self.token, &new).await.unwrap().unwrap();
        tx.commit().await.unwrap();
        host.id
    }

    /// What a host says that it has in one list.
    pub(crate) async fn says(&self, host: Uuid, name: &str, entries: &[(String, Value)]) {
        let mut list = List::default();
        entries.iter().for_each(|(key, entry)| assert!(list.put(key, entry)));
        let before = self.catalog.system().host_list(host, name).await.unwrap();
        let new = NewHostList {
            host,
            list: name.into(),
            hash: list.hash().to_vec(),
            base: before.map(|list| list.list.hash),
            entries: list.len() as u32,
            read: self.clock.now(),
            document: lists::pack(&list.lines()).unwrap(),
            pending: None,
            software: None,
        };
        self.catalog.system().keep_host_list(HOME, new).await.unwrap();
    }

    /// That it is Debian 12, listens, and has these packages: name, version, source.
    pub(crate) async fn has(&self, host: Uuid, packages: &[(&str, &str, &str)]) {
        if self.catalog.system().host_list(host, "system").await.unwrap().is_none() {
            self.says(host, "system", &[("os".into(), json!({"name": "debian", "version": "12"}))]).await;
            self.says(host, "ports", &[("a".into(), json!({"name": "tcp/22", "address": "0.0.0.0"}))]).await;
        }
        let entry = |(name, version, source): &(&str, &str, &str)| {
            let entry = json!({"kind": "dpkg", "name": name, "version": version, "source": source});
            (format!("dpkg/{name}"), entry)
        };
        self.says(host, "packages", &packages.iter().map(entry).collect::<Vec<_>>()).await;
    }

    /// Puts a store in force.
    pub(crate) fn advise(&self, built_s: i64, documents: &[Value]) {
        let mut loader = Loader::default();
        for (at, document) in documents.iter().enumerate() {
            let (name, text) = (format!("{at}.json"), document.to_string());
            loader.document(&Document { name: &name, bytes: text.as_bytes() });
        }
        assert!(loader.issues.is_empty(), "{:?}", loader.issues);
        folder::publish(&self.dir.path().join("advisories"), loader.finish(), built_s, 9).unwrap();
    }

    /// Looks as often as it takes to look at everything once.
    pub(crate) async fn look(&mut self) {
        for _ in 0..6 {
            self.findings.round(&mut self.follower).await.unwrap();
        }
    }

    pub(crate) fn clock_now(&self) -> Micros {
        self.clock.now()
    }

    pub(crate) fn view<T>(&self, look: impl FnOnce(&View<'_>) -> T) -> T {
        let board = self.findings.board(HOME);
        let board = board.read();
        look(&View::new(&board, &FindingSettings::default(), &[], self.clock.now()))
    }

    /// What there is on hosts in any state: host, vulnerability, package and state, in this order.
    pub(crate) fn shown(&self) -> Vec<String> {
        let states = vec![State::Open, State::NotRunning, State::Excepted, State::Fixed, State::Withdrawn];
        let rows = self.view(|view| view.host_rows(&Filter { states, ..Filter::default() }, Order::Risk));
        let line = |row: &HostFinding| {
            format!("{} {} {} {}", row.host.name, row.subject.vulnerability, row.subject.package, row.state.as_str())
        };
        let mut all: Vec<String> = rows.iter().map(line).collect();
        all.sort();
        all
    }
}

/// An advisory in the OSV format, on source packages of Debian 12.
pub(crate) fn osv(name: &str, package: &str, fixed: Option<&str>) -> Value {
    let mut events = vec![json!({"introduced": "0"})];
    events.extend(fixed.map(|fixed| json!({"fixed": fixed})));
    json!({
        "schema_version": "1.6.0", "id": name, "modified": "2029-01-01T00:00:00Z", "summary": format!("About {package}"),
        "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],
        "affected": [{"package": {"ecosystem": "Debian:12", "name": package},
            "ranges": [{"type": "ECOSYSTEM", "events": events}]}]
    })
}

/// A catalogue of what is exploited.
pub(crate) fn kev(names: &[&str]) -> Value {
    let entry = |name: &&str| {
        json!({"cveID": name, "dateAdded": "2029-06-01", "dueDate": "2029-07-01",
            "knownRansomwareCampaignUse": "Unknown"})
    };
    json!({"catalogVersion": "1", "dateReleased": "2029-06-01T00:00:00Z",
        "vulnerabilities": names.iter().map(entry).collect::<Vec<_>>()})
}
