//! Opening the database.

use guardian_catalog::{AlertFilter, AlertSort, Catalog, CatalogError};

use crate::support::{Db, HOME, home, state};

pub(crate) async fn opening_again_changes_nothing(db: &Db) {
    db.upsert(&[state(HOME, 1, 3)]).await;
    let again = db.reopen(|_| {}).await;
    let page = again.scoped(&home()).alerts(&AlertFilter::default(), AlertSort::Newest, None, 10).await.unwrap();
    assert_eq!(page.items.len(), 1);
    assert_eq!(again.system().tenants().await.unwrap().len(), 1, "the first tenant is made once");
    assert!(again.ping().await.is_ok());
}

pub(crate) async fn nodes_may_start_at_once(db: &Db) {
    let (a, b) = tokio::join!(db.reopen(|_| {}), db.reopen(|_| {}));
    a.ping().await.unwrap();
    b.ping().await.unwrap();
}

pub(crate) async fn a_newer_database_is_refused(db: &Db) {
    db.tamper("INSERT INTO seaql_migrations (version, applied_at) VALUES ('m29991231_from_the_future', 1)").await;
    let refused = Catalog::connect(&db.config, db.path(), db.clock.clone()).await.unwrap_err();
    assert!(matches!(&refused, CatalogError::DatabaseNewer { found, .. } if found == "m29991231_from_the_future"));
    assert!(refused.to_string().contains("newer Guardian"), "{refused}");
}

#[tokio::test]
async fn wrong_urls_say_so() {
    let dir = tempfile::tempdir().unwrap();
    let clock = std::sync::Arc::new(guardian_kit::clock::ManualClock::default());
    for (url, expected) in [
        ("mysql://root:secret@db/guardian", "neither a sqlite: nor a postgres:// URL"),
        ("sqlite::memory:", "name a file"),
        ("sqlite:/proc/no/such/place.sqlite", "cannot write /proc/no/such/place.sqlite"),
        (
            "postgres://guardian:secret@127.0.0.1:1/guardian",
            "cannot open the catalog at postgres://guardian@127.0.0.1:1",
        ),
    ] {
        let config = guardian_catalog::CatalogConfig {
            url: guardian_kit::config::Secret::new(url),
            busy_timeout: guardian_kit::config::Duration::millis(500),
            ..Default::default()
        };
        let text = Catalog::connect(&config, dir.path(), clock.clone()).await.unwrap_err().to_string();
        assert!(text.contains(expected) && !text.contains("secret"), "{url}: {text}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn the_file_is_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let db = Db::sqlite().await;
    db.upsert(&[state(HOME, 1, 1)]).await;
    for name in ["catalog.sqlite", "catalog.sqlite-wal"] {
        let mode = std::fs::metadata(db.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}
