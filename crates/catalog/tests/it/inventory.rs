//! Lists of hosts change only from what they were, and software is counted over hosts.

use guardian_catalog::{CatalogError, NewHostList, SoftwareFilter, SoftwareItem};
use guardian_model::Micros;
use uuid::Uuid;

use crate::fleet::{enrolled, token};
use crate::support::{Db, HOME, home};

fn software(name: &str, version: &str) -> SoftwareItem {
    let text = |t: &str| t.to_owned();
    SoftwareItem { kind: text("dpkg"), name: text(name), version: text(version), ..SoftwareItem::default() }
}

fn list(host: Uuid, base: Option<u8>, hash: u8, software: Vec<SoftwareItem>) -> NewHostList {
    NewHostList {
        host,
        list: "packages".into(),
        hash: vec![hash; 32],
        base: base.map(|b| vec![b; 32]),
        entries: software.len() as u32,
        read: Micros(5),
        document: vec![hash; 100],
        pending: base.map(|_| vec![1, 2, 3]),
        software: Some(software),
    }
}

async fn hosts(db: &Db, count: u128) -> Vec<Uuid> {
    let mut tx = db.begin(HOME).await;
    let many = tx.create_enrolment_token(&token("many", None)).await.unwrap();
    tx.commit().await.unwrap();
    let mut ids = Vec::new();
    for n in 1..=count {
        ids.push(enrolled(db, many.id, n).await.unwrap().id);
    }
    ids
}

pub(crate) async fn lists_change_from_what_they_were(db: &Db) {
    let host = hosts(db, 1).await[0];
    let system = db.catalog.system();
    assert!(system.host_lists(host).await.unwrap().is_empty());
    let first = system.keep_host_list(HOME, list(host, None, 1, vec![software("bash", "1")])).await.unwrap();
    assert_eq!((first.revision, first.entries), (1, 1));
    for wrong in [list(host, None, 2, vec![]), list(host, Some(9), 2, vec![])] {
        assert!(matches!(system.keep_host_list(HOME, wrong).await, Err(CatalogError::Conflict(_))));
    }
    let second = system.keep_host_list(HOME, list(host, Some(1), 2, vec![software("bash", "2")])).await.unwrap();
    assert_eq!((second.revision, second.epoch), (2, first.epoch));
    let next = list(host, Some(2), 3, vec![]);
    let early = system.keep_host_list(HOME, next.clone()).await;
    assert!(matches!(early, Err(CatalogError::Conflict(_))), "what changed before is still to be told");
    let pending = system.pending_host_lists(host).await.unwrap();
    assert_eq!((pending.len(), pending[0].pending.as_deref()), (1, Some([1, 2, 3].as_slice())));
    system.settle_host_list(host, "packages", 1).await.unwrap();
    assert_eq!(system.pending_host_lists(host).await.unwrap().len(), 1, "another revision");
    system.settle_host_list(host, "packages", 2).await.unwrap();
    assert!(system.pending_host_lists(host).await.unwrap().is_empty());
    system.keep_host_list(HOME, next).await.unwrap();
    let scoped = db.catalog.scoped(&home());
    assert_eq!(scoped.host_lists(host).await.unwrap()[0].hash, vec![3; 32]);
    assert_eq!(scoped.host_list(host, "packages").await.unwrap().document, vec![3; 100]);
    assert!(matches!(scoped.host_list(host, "users").await, Err(CatalogError::NotFound(_))));
    let nobody = system.keep_host_list(HOME, list(Uuid::nil(), None, 1, vec![])).await;
    assert!(matches!(nobody, Err(CatalogError::NotFound(_))));
    let mut tx = db.begin(HOME).await;
    tx.delete_host(host).await.unwrap();
    tx.commit().await.unwrap();
    assert!(system.host_lists(host).await.unwrap().is_empty(), "they go with their host");
}

pub(crate) async fn software_is_counted_over_hosts(db: &Db) {
    let hosts = hosts(db, 4).await;
    let system = db.catalog.system();
    let many: Vec<_> = (0..1_200).map(|n| software(&format!("lib{n}"), "1")).collect();
    for (at, host) in hosts.iter().enumerate() {
        let mut all = many.clone();
        all.push(software("openssl", if at == 0 { "3.0.1" } else { "3.0.2" }));
        system.keep_host_list(HOME, list(*host, None, 1, all)).await.unwrap();
    }
    let scoped = db.catalog.scoped(&home());
    let all = scoped.fleet_software(&SoftwareFilter::default()).await.unwrap();
    assert_eq!(all.len(), 1_201);
    assert!(all.iter().all(|s| s.hosts == 4));
    let search = SoftwareFilter { search: Some("OPENs".into()), ..SoftwareFilter::default() };
    let found = scoped.fleet_software(&search).await.unwrap();
    let versions: Vec<_> = found[0].versions.iter().map(|v| (v.version.as_str(), v.hosts)).collect();
    assert_eq!(versions, [("3.0.2", 3), ("3.0.1", 1)]);
    let old =
        SoftwareFilter { name: Some("openssl".into()), version: Some("3.0.1".into()), ..SoftwareFilter::default() };
    let with = scoped.hosts_with_software(&old).await.unwrap();
    assert_eq!((with.len(), with[0].0, with[0].1.len()), (1, hosts[0], 1));
    // Upgraded, and one shut out.
    system.keep_host_list(HOME, list(hosts[0], Some(1), 2, vec![software("openssl", "3.0.2")])).await.unwrap();
    let mut tx = db.begin(HOME).await;
    tx.revoke_host(hosts[3]).await.unwrap();
    tx.commit().await.unwrap();
    assert!(scoped.hosts_with_software(&old).await.unwrap().is_empty());
    let found = scoped.fleet_software(&search).await.unwrap();
    assert_eq!((found[0].hosts, found[0].versions.len()), (3, 1));
}

/// What a large fleet costs: `GUARDIAN_HOSTS=10000 cargo test --release -p guardian-catalog --test it whole_fleet --
/// --nocapture` tells it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_software_of_a_whole_fleet_is_counted() {
    const PACKAGES: usize = 2_000;
    let count: u128 = std::env::var("GUARDIAN_HOSTS").ok().and_then(|n| n.parse().ok()).unwrap_or(30);
    let db = Db::sqlite().await;
    let hosts = hosts(&db, count).await;
    let system = db.catalog.system();
    let begun = std::time::Instant::now();
    for (at, host) in hosts.iter().enumerate() {
        // Nine in ten packages are the same everywhere; the rest come in a hundred mixtures.
        let items = (0..PACKAGES).map(|n| {
            let version = if n % 10 == 0 { format!("1.{}", (at * 31 + n) % 100) } else { "1.0".to_owned() };
            software(&format!("package-{n}"), &version)
        });
        let mut list = list(*host, None, 1, items.collect());
        list.document = vec![7; 60 << 10];
        system.keep_host_list(HOME, list).await.unwrap();
    }
    let kept = begun.elapsed();
    let scoped = db.catalog.scoped(&home());
    let mut asked = Vec::new();
    for _ in 0..5 {
        let begun = std::time::Instant::now();
        let all = scoped.fleet_software(&SoftwareFilter::default()).await.unwrap();
        assert_eq!((all.len(), all[0].hosts), (PACKAGES, count as u64));
        asked.push(begun.elapsed().as_millis());
    }
    let one =
        SoftwareFilter { name: Some("package-10".into()), version: Some("1.41".into()), ..SoftwareFilter::default() };
    let begun = std::time::Instant::now();
    let with = scoped.hosts_with_software(&one).await.unwrap();
    let found = begun.elapsed().as_millis();
    let expected = (0..hosts.len()).filter(|at| (at * 31 + 10) % 100 == 41).count();
    assert_eq!(with.len(), expected);
    let bytes = std::fs::metadata(db.path().join("catalog.sqlite")).unwrap().len();
    let each = kept.as_micros() as f64 / count as f64 / 1e3;
    println!(
        "{count} hosts with {PACKAGES} packages: kept in {each:.1} ms each, {} MiB; all counted in {asked:?} ms; {} \
         hosts with one version found in {found} ms",
        bytes >> 20,
        with.len()
    );
}
