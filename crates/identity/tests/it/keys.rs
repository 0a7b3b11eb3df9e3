//! Envelope encryption: what is sealed opens after every rotation, and with the right master key alone.

use guardian_catalog::Actor;
use guardian_identity::{Identity, IdentityConfig, KeyPurpose, KeysConfig, MASTER_KEY_FILE, Role};

use crate::{HOME, House};

fn actor() -> Actor {
    Actor::local_operator("root")
}

#[tokio::test]
async fn secrets_outlive_every_rotation() {
    let house = House::new().await;
    let server = &house.identity;
    server.prepare_keys().await.unwrap();
    let ann = house.add("ann", Role::Viewer).await;
    let (about, seed) = (ann.id.to_string(), b"a seed of twenty bytes");
    let sealed = server.seal(&about, seed).await.unwrap();
    assert_ne!(sealed, server.seal(&about, seed).await.unwrap(), "never the same twice");
    assert!(server.unseal("somebody else", &sealed).await.is_err(), "rows cannot be swapped");
    let mut tx = server.catalog().system().begin(HOME, actor()).await.unwrap();
    tx.add_factor(ann.id, guardian_catalog::FactorKind::Totp, "phone", sealed.clone()).await.unwrap();
    tx.commit().await.unwrap();
    let masks = server.pseudonyms(HOME).await.unwrap();
    let known_as = masks.name("10.0.0.1").into_owned();

    let lake = server.lake_keys().await.unwrap();

    // Another process rotates while this one goes on with the keys it knows.
    let operator = house.restart();
    let done = operator.rotate_data_key(actor()).await.unwrap();
    assert_eq!(done.secrets, 1);
    server.refresh_keys().await.unwrap();
    let rotated = server.lake_keys().await.unwrap();
    assert_eq!((rotated.len(), &rotated[1]), (2, &lake[0]), "telemetry of before stays readable");
    let factor = || async { server.catalog().system().factors(ann.id).await.unwrap().remove(0).secret };
    assert_ne!(factor().await, sealed);
    assert_eq!(server.unseal(&about, &factor().await).await.unwrap().as_slice(), seed, "a key it had not heard of");
    let late = server.seal(&about, b"late").await.unwrap();
    assert_eq!(operator.unseal(&about, &late).await.unwrap().as_slice(), b"late");

    let before = std::fs::read_to_string(house.path(MASTER_KEY_FILE)).unwrap();
    operator.rotate_master_key(actor()).await.unwrap();
    let after = std::fs::read_to_string(house.path(MASTER_KEY_FILE)).unwrap();
    assert_ne!(before, after);
    let status = operator.key_status().await.unwrap();
    assert!(status.settled, "{status:?}");
    let fresh = house.restart();
    assert_eq!(fresh.unseal(&about, &factor().await).await.unwrap().as_slice(), seed);
    assert_eq!(fresh.unseal(&about, &late).await.unwrap().as_slice(), b"late");
    assert_eq!(fresh.pseudonyms(HOME).await.unwrap().name("10.0.0.1"), known_as, "people are still known by it");
    assert!(house.trail().await.iter().filter(|action| *action == "keys.rotate").count() == 2);

    // The key of before opens nothing any more.
    std::fs::write(house.path(MASTER_KEY_FILE), before).unwrap();
    let error = house.restart().unseal(&about, &factor().await).await.unwrap_err().to_string();
    assert!(error.contains("master key"), "{error}");
}

#[tokio::test]
async fn the_master_key_moves_out_of_the_data_directory() {
    let house = House::new().await;
    house.identity.prepare_keys().await.unwrap();
    let sealed = house.identity.seal("x", b"secret").await.unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let file = elsewhere.path().join("master");
    std::fs::write(&file, "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVoxMjM0NTY=\n").unwrap();
    let keys = KeysConfig { master_key_file: file, ..KeysConfig::default() };
    let config = IdentityConfig { keys, ..IdentityConfig::default() };
    let identity = || {
        let catalog = house.identity.catalog().clone();
        Identity::new(catalog, house.clock.clone(), config.clone(), &house.path(""))
    };
    let moving = identity();
    assert!(!moving.key_status().await.unwrap().settled);
    let done = moving.rotate_master_key(actor()).await.unwrap();
    assert!(done.note.unwrap().contains(MASTER_KEY_FILE));
    std::fs::remove_file(house.path(MASTER_KEY_FILE)).unwrap();
    let moved = identity();
    assert_eq!(moved.unseal("x", &sealed).await.unwrap().as_slice(), b"secret");
    assert!(moved.key_status().await.unwrap().settled);
    assert!(!house.path(MASTER_KEY_FILE).exists(), "and none is made in its place");
    let lake = moved.lake_keys().await.unwrap();
    assert_eq!(lake.len(), 1);
    assert_eq!(moved.key_status().await.unwrap().keys.iter().filter(|k| k.purpose == KeyPurpose::Lake).count(), 1);
}
