//! A copy of the catalog, put back into an empty one.

use guardian_catalog::{Actor, AlertFilter, AlertSort, AuditFilter, Catalog, Verification};
use guardian_model::Scope;

use crate::support::{Db, HOME, home, state};

pub(crate) async fn everything_comes_back(db: &Db) {
    let other = db.tenant("other").await.id;
    db.upsert(&[state(HOME, 1, 3), state(HOME, 2, 150), state(other, 3, 1)]).await;
    let mut tx = db.begin(HOME).await;
    tx.put_setting("key", &serde_json::json!({"text": "ä \u{1f512} '\" \\"}), None).await.unwrap();
    tx.commit().await.unwrap();
    db.catalog.system().put_state("bytes", (0..=255).collect()).await.unwrap();

    let copy = tempfile::tempdir().unwrap();
    let files = db.catalog.dump(copy.path()).await.unwrap();
    assert!(!files.is_empty() && files.iter().all(|file| copy.path().join(file).exists()), "{files:?}");
    // What comes later is not in it.
    db.upsert(&[state(HOME, 9, 1)]).await;

    let postgres = db.catalog.backend() == "postgres";
    let empty = if postgres { Db::postgres().await } else { None };
    let directory = tempfile::tempdir().unwrap();
    let config = empty.as_ref().map_or_else(|| db.config.clone(), |empty| empty.config.clone());
    let restore = || Catalog::restore(&config, directory.path(), copy.path(), db.clock.clone());
    restore().await.unwrap();
    let again = restore().await.unwrap_err().to_string();
    assert!(again.contains("already") || again.contains("in use"), "{again}");

    let restored = Catalog::connect(&config, directory.path(), db.clock.clone()).await.unwrap();
    for tenant in [HOME, other] {
        let scope = Scope::of(tenant);
        let (then, now) = (db.catalog.scoped(&scope), restored.scoped(&scope));
        let old = then.audit(tenant, &AuditFilter::default(), None, 100).await.unwrap();
        assert_eq!(now.audit(tenant, &AuditFilter::default(), None, 100).await.unwrap(), old);
        let verdict = now.verify_audit(tenant, &[]).await.unwrap();
        assert!(matches!(verdict, Verification::Intact { .. }), "{verdict:?}");
    }
    let list = |catalog: Catalog| async move {
        let page = catalog.scoped(&home()).alerts(&AlertFilter::default(), AlertSort::Newest, None, 100).await.unwrap();
        page.items.into_iter().map(|alert| (alert.id, alert.count)).collect::<Vec<_>>()
    };
    let (then, now) = (list(db.catalog.clone()).await, list(restored.clone()).await);
    assert_eq!((then.len(), now.len()), (3, 2));
    assert!(now.iter().all(|alert| then.contains(alert)));
    let first = restored.scoped(&home()).alert(now[0].0).await.unwrap();
    assert_eq!(first.evidence.len(), db.catalog.scoped(&home()).alert(now[0].0).await.unwrap().evidence.len());
    assert_eq!(restored.system().state("bytes").await.unwrap(), Some((0..=255).collect()));
    // Life goes on in it: the chain has its head, the ids their order.
    let mut tx = restored.scoped(&home()).begin(HOME, Actor::system("test")).await.unwrap();
    tx.put_setting("key", &serde_json::json!(2), None).await.unwrap();
    tx.commit().await.unwrap();
    let verdict = restored.scoped(&home()).verify_audit(HOME, &[]).await.unwrap();
    assert!(matches!(verdict, Verification::Intact { .. }), "{verdict:?}");
    restored.close().await.unwrap();
    if let Some(empty) = empty {
        empty.drop_schema().await;
    }
}

pub(crate) async fn states_are_swapped_by_one_alone(db: &Db) {
    let system = db.catalog.system();
    assert!(!system.swap_state("ring", Some(b"x"), b"y".to_vec()).await.unwrap(), "there is none");
    assert!(system.swap_state("ring", None, b"a".to_vec()).await.unwrap());
    assert!(!system.swap_state("ring", None, b"b".to_vec()).await.unwrap(), "it is there already");
    assert!(system.swap_state("ring", Some(b"a"), b"b".to_vec()).await.unwrap());
    assert!(!system.swap_state("ring", Some(b"a"), b"c".to_vec()).await.unwrap());
    assert_eq!(system.state("ring").await.unwrap(), Some(b"b".to_vec()));
}
