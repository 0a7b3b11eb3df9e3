//! Roles, links, lists of people, tenants, preferences, factors and tokens.

use guardian_catalog::{
    CERTIFICATES_PER_USER_MAX, CatalogError, FactorKind, LinkKind, NewCertificate, NewLink, NewUser, Opening, Refresh,
    RoleDraft, SignInMethod, TenantChange, UserChange, UserFilter, UserSort, UserStatus,
};
use guardian_model::{Micros, Scope, TenantId, UserId};
use serde_json::json;

use crate::support::{Db, HOME, PASSWORD, START, home};

fn person(name: &str, role: &str) -> NewUser {
    NewUser {
        name: name.into(),
        display_name: format!("The {name}"),
        email: Some(format!("{name}@example.org")),
        password_hash: Some("hash".into()),
        role: role.into(),
    }
}

async fn add(db: &Db, name: &str, role: &str) -> UserId {
    let mut tx = db.begin(HOME).await;
    let id = tx.create_user(&person(name, role)).await.unwrap().id;
    tx.commit().await.unwrap();
    id
}

fn role(name: &str) -> RoleDraft {
    RoleDraft {
        name: name.into(),
        description: "d".into(),
        permissions: vec!["users:read".into()],
        mfa_required: false,
        certificate_required: false,
    }
}

pub(crate) async fn roles_are_renamed_with_their_members(db: &Db) {
    let mut tx = db.begin(HOME).await;
    for wrong in ["", "a", "Two", "with blank", &"x".repeat(41)] {
        assert!(matches!(tx.create_role(&role(wrong)).await, Err(CatalogError::Invalid(_))), "{wrong:?}");
    }
    tx.create_role(&role("helpdesk")).await.unwrap();
    assert!(matches!(tx.create_role(&role("helpdesk")).await, Err(CatalogError::Conflict(_))));
    tx.commit().await.unwrap();
    let ann = add(db, "ann", "helpdesk").await;
    let mut tx = db.begin(HOME).await;
    assert!(matches!(tx.delete_role("helpdesk").await, Err(CatalogError::Conflict(_))), "somebody has it");
    let stale = tx.update_role("helpdesk", 2, &role("desk")).await;
    assert!(matches!(stale, Err(CatalogError::VersionConflict { what: "role", version: 1 })));
    let renamed = tx.update_role("helpdesk", 1, &RoleDraft { mfa_required: true, ..role("desk") }).await.unwrap();
    assert_eq!((renamed.version, renamed.mfa_required), (2, true));
    tx.commit().await.unwrap();
    let credentials = db.catalog.system().credentials(ann).await.unwrap().unwrap();
    assert_eq!((credentials.memberships[0].role.as_str(), credentials.roles[0].name.as_str()), ("desk", "desk"));
    let scoped = db.catalog.scoped(&home());
    assert_eq!(scoped.role_members(HOME).await.unwrap(), [("desk".to_owned(), 1)]);
    let mut tx = db.begin(HOME).await;
    tx.set_membership(ann, Some("viewer")).await.unwrap();
    tx.delete_role("desk").await.unwrap();
    tx.commit().await.unwrap();
    assert!(scoped.roles().await.unwrap().is_empty());
}

pub(crate) async fn links_work_once(db: &Db) {
    let ann = add(db, "ann", "viewer").await;
    let link = |kind, user, hash: u8| NewLink {
        kind,
        token_hash: vec![hash; 32],
        user,
        role: Some("viewer".into()),
        name: None,
        email: Some(" bob@example.org ".into()),
        expires: START + Micros::HOUR,
    };
    let mut tx = db.begin(HOME).await;
    let invitation = tx.create_link(&link(LinkKind::Invitation, None, 1)).await.unwrap();
    tx.create_link(&link(LinkKind::PasswordReset, Some(ann), 2)).await.unwrap();
    let reset = tx.create_link(&link(LinkKind::PasswordReset, Some(ann), 3)).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!((invitation.email.as_deref(), reset.name.as_deref()), (Some("bob@example.org"), Some("ann")));
    let (system, scoped) = (db.catalog.system(), db.catalog.scoped(&home()));
    assert!(system.link(&[2; 32]).await.unwrap().is_none(), "a newer one replaced it");
    assert_eq!(scoped.links().await.unwrap().len(), 2);
    let mut tx = db.begin(HOME).await;
    tx.use_link(invitation.id).await.unwrap();
    assert!(matches!(tx.use_link(invitation.id).await, Err(CatalogError::NotFound(_))), "once");
    tx.commit().await.unwrap();
    assert!(system.link(&[1; 32]).await.unwrap().is_none());
    db.clock.advance(Micros::HOUR);
    assert!(system.link(&[3; 32]).await.unwrap().is_none(), "expired");
    assert!(scoped.links().await.unwrap().is_empty());
    let mut tx = db.begin(HOME).await;
    assert!(matches!(tx.use_link(reset.id).await, Err(CatalogError::NotFound(_))));
    tx.revoke_link(reset.id).await.unwrap();
}

pub(crate) async fn lists_of_people_page_and_search(db: &Db) {
    for n in 0..7 {
        add(db, &format!("user{n}"), if n % 2 == 0 { "viewer" } else { "operator" }).await;
        db.clock.advance(Micros::SECOND);
    }
    let mut tx = db.begin(HOME).await;
    let waiting = tx.register_user(&person("zoe", "")).await.unwrap();
    tx.commit().await.unwrap();
    let scoped = db.catalog.scoped(&home());
    let all = UserFilter::default();
    for (sort, descending) in UserSort::ALL.iter().flat_map(|s| [(*s, false), (*s, true)]) {
        let (mut names, mut cursor) = (Vec::new(), None);
        loop {
            let page = scoped.user_page(&all, sort, descending, cursor.as_ref(), 3).await.unwrap();
            assert_eq!(page.total, 8);
            names.extend(page.items.into_iter().map(|row| row.user.name));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        let mut distinct = names.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!((names.len(), distinct.len()), (8, 8), "{sort}: nobody twice, nobody missing");
        if sort == UserSort::Role {
            distinct = ["zoe", "user1", "user3", "user5", "user0", "user2", "user4", "user6"].map(String::from).into();
        }
        if sort != UserSort::LastSignIn {
            let expected: Vec<_> = if descending { distinct.into_iter().rev().collect() } else { distinct };
            assert_eq!(names, expected, "{sort}");
        }
    }
    for (filter, expected) in [
        (UserFilter { search: Some("USER3".into()), ..all.clone() }, 1),
        (UserFilter { search: Some("@example".into()), ..all.clone() }, 8),
        (UserFilter { search: Some("%".into()), ..all.clone() }, 0),
        (UserFilter { role: Some("operator".into()), ..all.clone() }, 3),
        (UserFilter { status: Some(UserStatus::Pending), ..all.clone() }, 1),
        (UserFilter { status: Some(UserStatus::Active), ..all.clone() }, 7),
        (UserFilter { status: Some(UserStatus::Disabled), ..all.clone() }, 0),
    ] {
        let page = scoped.user_page(&filter, UserSort::Name, false, None, 50).await.unwrap();
        assert_eq!(page.total, expected, "{filter:?}");
    }
    let elsewhere = db.catalog.scoped(&Scope::of(db.tenant("other").await.id));
    assert_eq!(elsewhere.user_page(&all, UserSort::Name, false, None, 50).await.unwrap().total, 0);
    let mut tx = db.begin(HOME).await;
    assert_eq!(tx.members_with("operator").await.unwrap(), 3);
    tx.approve_user(waiting.id, "operator").await.unwrap();
    assert_eq!(tx.members_with("operator").await.unwrap(), 4);
    assert!(matches!(tx.approve_user(waiting.id, "operator").await, Err(CatalogError::Conflict(_))), "once");
    tx.commit().await.unwrap();
}

pub(crate) async fn tenants_come_and_go(db: &Db) {
    let mut tx = db.begin(HOME).await;
    for wrong in ["", "Upper", "with blank", &"x".repeat(41)] {
        assert!(matches!(tx.create_tenant(wrong, "n").await, Err(CatalogError::Invalid(_))), "{wrong:?}");
    }
    assert!(matches!(tx.create_tenant("good", "  ").await, Err(CatalogError::Invalid(_))));
    assert!(matches!(tx.create_tenant("main", "n").await, Err(CatalogError::Conflict(_))));
    let acme = tx.create_tenant("acme", "Acme").await.unwrap();
    tx.commit().await.unwrap();
    let ann = add(db, "ann", "viewer").await;
    let scope = Scope::of_all([HOME, acme.id]);
    let mut tx = db.catalog.scoped(&scope).begin(acme.id, crate::support::ann()).await.unwrap();
    tx.set_membership(ann, Some("operator")).await.unwrap();
    tx.commit().await.unwrap();
    let system = db.catalog.system();
    assert_eq!(system.credentials(ann).await.unwrap().unwrap().memberships.len(), 2);
    let mut tx = db.begin(HOME).await;
    let off = TenantChange { disabled: Some(true), ..TenantChange::default() };
    let main = system.tenant_by_slug("main").await.unwrap().unwrap();
    let refused = tx.update_tenant(TenantId::DEFAULT, main.version, &off).await;
    assert!(matches!(refused, Err(CatalogError::Conflict(_))), "the installation's own stays");
    assert!(matches!(tx.delete_tenant(acme.id).await, Err(CatalogError::Conflict(_))), "not while it is in use");
    let renamed = TenantChange { name: Some("Acme Ltd".into()), slug: Some("acme-ltd".into()), disabled: Some(true) };
    let stale = tx.update_tenant(acme.id, 5, &renamed).await;
    assert!(matches!(stale, Err(CatalogError::VersionConflict { .. })));
    tx.update_tenant(acme.id, 1, &renamed).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(system.credentials(ann).await.unwrap().unwrap().memberships.len(), 1, "nobody works in a disabled one");
    let mut tx = db.begin(HOME).await;
    tx.delete_tenant(acme.id).await.unwrap();
    tx.commit().await.unwrap();
    assert!(system.tenant_by_slug("acme-ltd").await.unwrap().is_none());
    assert!(system.credentials(ann).await.unwrap().is_some());
}

pub(crate) async fn preferences_and_factors_have_versions(db: &Db) {
    let ann = add(db, "ann", "viewer").await;
    let system = db.catalog.system();
    let mut tx = db.begin(HOME).await;
    assert_eq!(tx.put_preferences(ann, 0, json!({"theme": "dark"})).await.unwrap().version, 1);
    let stale = tx.put_preferences(ann, 0, json!({})).await;
    assert!(matches!(stale, Err(CatalogError::VersionConflict { version: 1, .. })));
    assert!(matches!(tx.put_preferences(ann, 1, json!([1])).await, Err(CatalogError::Invalid(_))));
    let large = json!({"a": "x".repeat(40_000)});
    assert!(matches!(tx.put_preferences(ann, 1, large).await, Err(CatalogError::Invalid(_))));
    let first = tx.add_factor(ann, FactorKind::Totp, "phone", "sealed".into()).await.unwrap();
    let second = tx.add_factor(ann, FactorKind::Totp, "phone", "sealed".into()).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(system.preferences(ann).await.unwrap().value, json!({"theme": "dark"}));
    assert_eq!(system.credentials(ann).await.unwrap().unwrap().factors, 0, "none is confirmed");
    let mut tx = db.begin(HOME).await;
    assert!(tx.confirm_factor(ann, first.id, 1).await.is_err(), "the later one replaced it");
    tx.confirm_factor(ann, second.id, 10).await.unwrap();
    assert!(tx.use_factor(ann, second.id, 10).await.is_err(), "no code works twice");
    tx.use_factor(ann, second.id, 11).await.unwrap();
    tx.put_recovery_codes(ann, vec![vec![1], vec![2]]).await.unwrap();
    tx.use_recovery_code(ann, &[1]).await.unwrap();
    assert!(tx.use_recovery_code(ann, &[1]).await.is_err(), "once");
    assert!(tx.use_recovery_code(ann, &[3]).await.is_err());
    tx.open_session(ann, vec![5], START + Micros::HOUR, None, PASSWORD).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(system.credentials(ann).await.unwrap().unwrap().factors, 1);
    assert_eq!(system.recovery_codes_left(ann).await.unwrap(), 1);
    let mut tx = db.begin(HOME).await;
    tx.remove_factor(ann, second.id).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(system.recovery_codes_left(ann).await.unwrap(), 0, "they go with the last factor");
    let mut tx = db.begin(HOME).await;
    tx.reset_factors(ann).await.unwrap();
    tx.update_user(ann, 1, &UserChange::default()).await.unwrap();
    tx.commit().await.unwrap();
    assert!(system.sessions_of(ann).await.unwrap().is_empty(), "a reset ends sessions");
}

pub(crate) async fn passkeys_belong_to_one_account(db: &Db) {
    let (ann, bob) = (add(db, "ann", "viewer").await, add(db, "bob", "viewer").await);
    let system = db.catalog.system();
    let mut tx = db.begin(HOME).await;
    let key = tx.add_passkey(ann, " laptop ", "handle".into(), "sealed".into()).await.unwrap();
    let taken = tx.add_passkey(bob, "laptop", "handle".into(), "sealed".into()).await;
    assert!(matches!(taken, Err(CatalogError::Conflict(_))), "a passkey says whose it is: it has one owner");
    let code = tx.add_factor(ann, FactorKind::Totp, "phone", "sealed".into()).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(system.passkey("handle").await.unwrap().unwrap().user, ann);
    assert!(system.passkey("another").await.unwrap().is_none());
    let held = system.factors(ann).await.unwrap();
    assert_eq!(held.len(), 2, "an authenticator app that is being added leaves passkeys alone");
    assert_eq!(system.credentials(ann).await.unwrap().unwrap().factors, 1, "a passkey counts at once");
    let mut tx = db.begin(HOME).await;
    assert!(tx.rename_factor(bob, key.id, "mine").await.is_err(), "not theirs");
    assert!(tx.rename_factor(ann, key.id, "  ").await.is_err(), "no name");
    assert!(tx.rename_factor(ann, code.id, "x").await.is_err(), "it does not count yet");
    assert_eq!(tx.rename_factor(ann, key.id, "desk").await.unwrap().name, "desk");
    assert!(tx.use_passkey(bob, key.id, "x".into()).await.is_err());
    tx.use_passkey(ann, key.id, "resealed".into()).await.unwrap();
    let opening = Opening { method: SignInMethod::Passkey, provider: None, factor: true, external_factor: false };
    let session = tx.open_session(ann, vec![5], START + Micros::HOUR, None, opening).await.unwrap();
    assert_eq!((session.method, session.factor_at), (SignInMethod::Passkey, Some(START)));
    tx.commit().await.unwrap();
    let kept = system.passkey("handle").await.unwrap().unwrap();
    assert_eq!((kept.secret.as_str(), kept.last_used), ("resealed", Some(START)));
    let mut tx = db.begin(HOME).await;
    tx.remove_factor(ann, key.id).await.unwrap();
    tx.add_passkey(bob, "laptop", "handle".into(), "sealed".into()).await.unwrap();
    tx.commit().await.unwrap();
}

pub(crate) async fn another_system_knows_one_account(db: &Db) {
    let (ann, bob) = (add(db, "ann", "viewer").await, add(db, "bob", "viewer").await);
    let system = db.catalog.system();
    let mut tx = db.begin(HOME).await;
    let link = tx.link_identity(ann, "oidc:corp", "s-1", true).await.unwrap();
    for (user, subject, why) in [(bob, "s-1", "taken"), (ann, "s-2", "one a system"), (bob, "", "no name")] {
        assert!(tx.link_identity(user, "oidc:corp", subject, false).await.is_err(), "{why}");
    }
    tx.link_identity(bob, "ldap", "s-1", false).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(system.external_identity("oidc:corp", "s-1").await.unwrap().unwrap().user, ann);
    assert_eq!(system.external_identity("ldap", "s-1").await.unwrap().unwrap().user, bob);
    assert!(system.external_identity("ldap", "s-2").await.unwrap().is_none());
    assert_eq!(system.managed_by("oidc:corp").await.unwrap().len(), 1);
    assert!(system.managed_by("ldap").await.unwrap().is_empty(), "bob is linked, not managed");
    system.touch_external_identity(link.id).await.unwrap();
    let home = home();
    let rows = db.catalog.scoped(&home);
    assert_eq!(rows.user_row(ann).await.unwrap().directory.as_deref(), Some("oidc:corp"));
    assert_eq!(rows.user_row(bob).await.unwrap().directory, None);
    let mut tx = db.begin(HOME).await;
    assert!(tx.unlink_identity(bob, link.id).await.is_err(), "not theirs");
    tx.suspend_identity(ann, link.id, true).await.unwrap();
    tx.commit().await.unwrap();
    let held = system.external_identities_of(ann).await.unwrap();
    assert_eq!((held[0].suspended, held[0].last_used), (true, Some(START)));
    let mut tx = db.begin(HOME).await;
    tx.unlink_identity(ann, link.id).await.unwrap();
    tx.link_identity(bob, "oidc:corp", "s-1", false).await.unwrap();
    tx.commit().await.unwrap();
}

pub(crate) async fn certificates_open_one_account(db: &Db) {
    let (ann, bob) = (add(db, "ann", "viewer").await, add(db, "bob", "viewer").await);
    let system = db.catalog.system();
    let new = |fingerprint: &str| NewCertificate {
        name: " Smart card ".into(),
        fingerprint: fingerprint.into(),
        subject: "CN=Ann\0Keller".into(),
        issuer: "CN=Example".into(),
        serial: "0a:0b".into(),
        not_after: START + Micros::DAY,
    };
    let mut tx = db.begin(HOME).await;
    let card = tx.add_certificate(ann, &new("aa")).await.unwrap();
    assert_eq!((card.name.as_str(), card.last_used), ("Smart card", None));
    for user in [ann, bob] {
        assert!(matches!(tx.add_certificate(user, &new("aa")).await, Err(CatalogError::Conflict(_))));
    }
    for n in 1..CERTIFICATES_PER_USER_MAX {
        tx.add_certificate(ann, &new(&format!("{n}"))).await.unwrap();
    }
    assert!(matches!(tx.add_certificate(ann, &new("more")).await, Err(CatalogError::Conflict(_))));
    let opening = Opening::with(SignInMethod::Certificate);
    let opened = tx.open_session(ann, vec![7], START + Micros::DAY, None, opening).await.unwrap();
    assert_eq!(opened.proved, Micros(0), "a certificate shows itself");
    tx.commit().await.unwrap();
    assert_eq!(system.certificate("aa").await.unwrap().map(|c| c.user), Some(ann));
    assert!(system.certificate("bb").await.unwrap().is_none());
    system.touch_certificate(card.id).await.unwrap();
    assert_eq!(db.catalog.scoped(&home()).certificates(ann).await.unwrap()[0].last_used, Some(START));
    let mut tx = db.begin(HOME).await;
    assert!(tx.remove_certificate(bob, card.id, None).await.is_err(), "not theirs");
    tx.remove_certificate(ann, card.id, None).await.unwrap();
    tx.add_certificate(bob, &new("aa")).await.unwrap();
    tx.commit().await.unwrap();
    assert!(system.sessions_of(ann).await.unwrap().is_empty(), "its sessions ended");

    for (text, who) in
        [("ann", Some(ann)), (" ANN@example.ORG", Some(ann)), ("ann@example", None), ("", None), ("%", None)]
    {
        assert_eq!(system.user_called(HOME, text).await.unwrap(), who, "{text}");
    }
    let same = NewUser { email: Some("Ann@example.org".into()), ..person("carl", "viewer") };
    let mut tx = db.begin(HOME).await;
    tx.create_user(&same).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(system.user_called(HOME, "ann@example.org").await.unwrap(), None, "two people's address is nobody's");
}

pub(crate) async fn a_reused_refresh_token_ends_its_family(db: &Db) {
    let ann = add(db, "ann", "viewer").await;
    let mut tx = db.begin(HOME).await;
    let family = tx.begin_family(ann, vec![1], START + Micros::DAY, false, Some("backup")).await.unwrap();
    tx.commit().await.unwrap();
    let rotate = |old: u8, new: u8| async move {
        let mut tx = db.begin(HOME).await;
        let done = tx.rotate_token(&[old], vec![new]).await.unwrap();
        tx.commit().await.unwrap();
        done
    };
    assert!(matches!(rotate(1, 2).await, Refresh::Renewed(f) if f.id == family.id));
    assert!(matches!(rotate(2, 3).await, Refresh::Renewed(_)));
    assert_eq!(rotate(9, 4).await, Refresh::Unknown);
    assert!(matches!(rotate(1, 4).await, Refresh::Reused(_)), "somebody has a copy");
    assert_eq!(rotate(3, 4).await, Refresh::Unknown, "the newest one ended with it");
    let system = db.catalog.system();
    assert!(system.token_family(family.id).await.unwrap().unwrap().revoked.is_some());
    assert_eq!(system.drop_ended_families(START + Micros::SECOND).await.unwrap(), 1);
}
