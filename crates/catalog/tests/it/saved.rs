//! Saved views and hunts: one's own, and what is shared.

use guardian_catalog::{Actor, ActorKind, CatalogError, NewUser, SavedDraft, SavedKind, User};
use serde_json::json;

use crate::support::{Db, HOME, home};

fn draft(name: &str, shared: bool) -> SavedDraft {
    SavedDraft {
        name: name.into(),
        page: "alerts".into(),
        shared,
        content: json!({ "sort": "severity", "nul": "a\0" }),
    }
}

async fn person(db: &Db, name: &str) -> (User, Actor) {
    let mut tx = db.begin(HOME).await;
    let new = NewUser {
        name: name.into(),
        display_name: String::new(),
        email: None,
        password_hash: None,
        role: "operator".into(),
    };
    let user = tx.create_user(&new).await.unwrap();
    tx.commit().await.unwrap();
    let actor =
        Actor { kind: ActorKind::User, id: Some(user.id.to_string()), name: name.into(), ip: None, request_id: None };
    (user, actor)
}

pub(crate) async fn what_is_kept_is_ones_own_until_it_is_shared(db: &Db) {
    let ((ann, as_ann), (bob, as_bob)) = (person(db, "ann").await, person(db, "bob").await);
    let scoped = db.catalog.scoped(&home());
    let mut tx = scoped.begin(HOME, as_ann.clone()).await.unwrap();
    let own = tx.create_saved(SavedKind::View, &draft("mine", false)).await.unwrap();
    let shared = tx.create_saved(SavedKind::View, &draft("ours", true)).await.unwrap();
    tx.create_saved(SavedKind::Hunt, &draft("hunt", true)).await.unwrap();
    assert!(matches!(tx.create_saved(SavedKind::View, &draft(" ", true)).await, Err(CatalogError::Invalid(_))));
    let large = SavedDraft { content: json!("x".repeat(20_000)), ..draft("large", false) };
    assert!(matches!(tx.create_saved(SavedKind::View, &large).await, Err(CatalogError::Invalid(_))));
    tx.commit().await.unwrap();
    let names = async |viewer, page| {
        let found = scoped.saved(SavedKind::View, viewer, page).await.unwrap();
        found.into_iter().map(|s| s.draft.name).collect::<Vec<_>>()
    };
    assert_eq!(names(Some(ann.id), None).await, ["mine", "ours"]);
    assert_eq!(names(Some(bob.id), None).await, ["ours"]);
    assert_eq!(names(Some(ann.id), Some("incidents")).await, Vec::<String>::new());
    let hidden = scoped.saved_one(SavedKind::View, Some(bob.id), own.id).await;
    assert!(matches!(hidden, Err(CatalogError::NotFound(_))));

    let mut tx = scoped.begin(HOME, as_bob).await.unwrap();
    let theirs = tx.update_saved(SavedKind::View, own.id, 1, &draft("x", false), true).await;
    assert!(matches!(theirs, Err(CatalogError::NotFound(_))), "what is not shared does not exist for others");
    let refused = tx.update_saved(SavedKind::View, shared.id, 1, &draft("x", true), false).await;
    assert!(matches!(refused, Err(CatalogError::Conflict(_))));
    let changed = tx.update_saved(SavedKind::View, shared.id, 1, &draft("team", true), true).await.unwrap();
    assert_eq!((changed.version, changed.owner, changed.author.as_str()), (2, Some(ann.id), "ann"));
    tx.commit().await.unwrap();
    let mut tx = scoped.begin(HOME, as_ann).await.unwrap();
    let stale = tx.update_saved(SavedKind::View, shared.id, 1, &draft("x", true), false).await;
    assert!(matches!(stale, Err(CatalogError::VersionConflict { version: 2, .. })));
    assert!(matches!(tx.delete_saved(SavedKind::Hunt, shared.id, true).await, Err(CatalogError::NotFound(_))));
    tx.delete_saved(SavedKind::View, shared.id, false).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(names(Some(ann.id), None).await, ["mine"]);
}
