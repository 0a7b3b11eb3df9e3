//! Accounts, sessions, keys and the set-up token.

use guardian_catalog::{
    Actor, ApiKeyChange, AuditFilter, CatalogError, NewApiKey, NewUser, SESSIONS_PER_USER_MAX, UserChange, user_name,
};
use guardian_model::{Micros, UserId};

use crate::support::{Db, HOME, PASSWORD, START, home};

fn new_user(name: &str) -> NewUser {
    NewUser {
        name: name.into(),
        display_name: "Somebody".into(),
        email: Some("a@example.org".into()),
        password_hash: Some("hash".into()),
        role: "viewer".into(),
    }
}

async fn user(db: &Db, name: &str) -> UserId {
    let mut tx = db.begin(HOME).await;
    let id = tx.create_user(&new_user(name)).await.unwrap().id;
    tx.commit().await.unwrap();
    id
}

pub(crate) async fn accounts_come_and_go(db: &Db) {
    let system = db.catalog.system();
    assert!(!system.has_users().await.unwrap());
    let ann = user(db, " Ann.Keller ").await;
    assert!(system.has_users().await.unwrap());
    let found = system.credentials_by_name("ANN.keller").await.unwrap().unwrap();
    assert_eq!((found.user.id, found.user.name.as_str()), (ann, "ann.keller"));
    assert_eq!((found.password_hash.as_deref(), found.memberships[0].role.as_str()), (Some("hash"), "viewer"));
    for name in ["", "  ", "two words", "nul\0"] {
        assert!(matches!(user_name(name), Err(CatalogError::Invalid(_))), "{name:?}");
        assert!(system.credentials_by_name(name).await.unwrap().is_none());
    }
    let mut tx = db.begin(HOME).await;
    let taken = tx.create_user(&new_user("ANN.KELLER")).await;
    assert!(matches!(taken, Err(CatalogError::Conflict(text)) if text.contains("ann.keller")));
    assert!(!tx.set_membership(ann, Some("viewer")).await.unwrap(), "it has that role already");
    assert!(tx.set_membership(ann, Some("operator")).await.unwrap());
    tx.open_session(ann, vec![1; 32], START + Micros::HOUR, Some("curl"), PASSWORD).await.unwrap();
    tx.commit().await.unwrap();
    assert!(system.session(&[1; 32]).await.unwrap().is_some());
    let mut tx = db.begin(HOME).await;
    let off = UserChange { disabled: Some(true), ..UserChange::default() };
    let stale = tx.update_user(ann, 7, &off).await;
    assert!(matches!(stale, Err(CatalogError::VersionConflict { version: 1, .. })));
    assert_eq!(tx.update_user(ann, 1, &off).await.unwrap().version, 2);
    tx.commit().await.unwrap();
    assert!(system.session(&[1; 32]).await.unwrap().is_none(), "disabling ends sessions");
    let found = system.credentials(ann).await.unwrap().unwrap();
    assert!(found.user.disabled && found.memberships[0].role == "operator");
    let mut tx = db.begin(HOME).await;
    let renamed = UserChange {
        name: Some("Ann".into()),
        display_name: Some(" Ann K. ".into()),
        email: Some(None),
        disabled: None,
    };
    let renamed = tx.update_user(ann, 2, &renamed).await.unwrap();
    assert_eq!((renamed.name.as_str(), renamed.display_name.as_str(), renamed.email), ("ann", "Ann K.", None));
    assert_eq!(tx.update_user(ann, 3, &UserChange::default()).await.unwrap().version, 3, "nothing to change");
    tx.delete_user(ann).await.unwrap();
    tx.commit().await.unwrap();
    assert!(system.credentials(ann).await.unwrap().is_none());
    let scoped = db.catalog.scoped(&home());
    let trail = scoped.audit(HOME, &AuditFilter::default(), None, 50).await.unwrap();
    let actions: Vec<_> = trail.iter().rev().map(|e| e.action.as_str()).collect();
    assert_eq!(
        actions,
        [
            "user.create",
            "membership.set",
            "membership.set",
            "session.open",
            "user.disable",
            "user.update",
            "user.delete"
        ]
    );
    assert!(!serde_json::to_string(&trail).unwrap().contains("\"hash\":\"hash\""), "no hash leaks into the trail");
}

pub(crate) async fn sessions_end(db: &Db) {
    let ann = user(db, "ann").await;
    let system = db.catalog.system();
    for n in 0..SESSIONS_PER_USER_MAX as u8 + 3 {
        let mut tx = db.begin(HOME).await;
        tx.open_session(ann, vec![n; 32], START + 10 * Micros::HOUR, None, PASSWORD).await.unwrap();
        tx.commit().await.unwrap();
        db.clock.advance(Micros::SECOND);
    }
    let scoped = db.catalog.scoped(&home());
    let sessions = scoped.sessions(ann).await.unwrap();
    assert_eq!(sessions.len(), SESSIONS_PER_USER_MAX);
    assert!(system.session(&[2; 32]).await.unwrap().is_none(), "the one longest unused went");
    assert_eq!(sessions[0].ip, Some("192.0.2.7".parse().unwrap()));
    let mut tx = db.begin(HOME).await;
    tx.set_password(ann, "new".into(), None).await.unwrap();
    tx.open_session(ann, vec![100; 32], START + 10 * Micros::HOUR, None, PASSWORD).await.unwrap();
    tx.open_session(ann, vec![101; 32], START + 10 * Micros::HOUR, None, PASSWORD).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(scoped.sessions(ann).await.unwrap().len(), 2, "a new password ends the old sessions");
    db.clock.advance(Micros::HOUR);
    let kept = system.session(&[101; 32]).await.unwrap().unwrap();
    system.touch_session(kept.id).await.unwrap();
    assert_eq!(system.drop_ended_sessions(START + 30 * Micros::MINUTE).await.unwrap(), 1, "the idle one");
    db.clock.advance(9 * Micros::HOUR);
    assert_eq!(system.drop_ended_sessions(START).await.unwrap(), 1, "the one past its end");
}

pub(crate) async fn keys_are_revoked_for_good(db: &Db) {
    let ann = user(db, "ann").await;
    let new = NewApiKey {
        public_id: "abc".into(),
        secret_hash: vec![1, 2, 3],
        user: ann,
        name: "backup".into(),
        scopes: vec!["alerts:read".into()],
        expires: Some(START + Micros::DAY),
    };
    let mut tx = db.begin(HOME).await;
    let key = tx.create_api_key(&new).await.unwrap();
    tx.commit().await.unwrap();
    let system = db.catalog.system();
    system.touch_api_key(key.id).await.unwrap();
    let (found, hash) = system.api_key("abc").await.unwrap().unwrap();
    assert_eq!((found.last_used, found.scopes.as_slice(), hash), (Some(START), new.scopes.as_slice(), vec![1, 2, 3]));
    assert!(system.api_key("abd").await.unwrap().is_none());
    let mut tx = db.begin(HOME).await;
    let narrower = ApiKeyChange { scopes: Some(vec![]), ..ApiKeyChange::default() };
    assert!(matches!(tx.update_api_key(key.id, 9, &narrower).await, Err(CatalogError::VersionConflict { .. })));
    assert_eq!(tx.update_api_key(key.id, 1, &narrower).await.unwrap().scopes, Vec::<String>::new());
    assert_eq!(tx.revoke_api_key(key.id).await.unwrap().revoked, Some(START));
    db.clock.advance(1);
    assert_eq!(tx.revoke_api_key(key.id).await.unwrap().revoked, Some(START), "once");
    assert!(matches!(tx.create_api_key(&new).await, Err(CatalogError::Conflict(_))), "the public part is unique");
}

pub(crate) async fn the_setup_token_works_once(db: &Db) {
    let begin = || async { db.catalog.scoped(&home()).begin(HOME, Actor::system("set-up")).await.unwrap() };
    let mut tx = begin().await;
    tx.put_setup_token(vec![1; 32], START + Micros::MINUTE).await.unwrap();
    tx.put_setup_token(vec![2; 32], START + Micros::MINUTE).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = begin().await;
    assert!(matches!(tx.use_setup_token(&[1; 32]).await, Err(CatalogError::NotFound(_))), "replaced");
    assert_eq!(tx.setup_token_expiry(&[2; 32]).await.unwrap(), Some(START + Micros::MINUTE));
    drop(tx);
    db.clock.advance(Micros::MINUTE);
    let mut tx = begin().await;
    assert!(matches!(tx.use_setup_token(&[2; 32]).await, Err(CatalogError::NotFound(_))), "expired");
    tx.put_setup_token(vec![3; 32], START + 2 * Micros::MINUTE).await.unwrap();
    tx.use_setup_token(&[3; 32]).await.unwrap();
    assert!(matches!(tx.use_setup_token(&[3; 32]).await, Err(CatalogError::NotFound(_))), "used");
    tx.create_user(&new_user("first")).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = begin().await;
    let late = tx.put_setup_token(vec![4; 32], START + Micros::DAY).await;
    assert!(matches!(late, Err(CatalogError::Conflict(_))), "there is an account now");
}
