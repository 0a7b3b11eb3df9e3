//! Roles, invitations, registration, and who may change whom.

use guardian_catalog::{CatalogError, RoleDraft, UserChange};
use guardian_identity::{
    AccountChange, IdentityError, Invitation, NewAccount, Origin, Permission, Principal, Registration, Role,
    SecurityPolicy,
};
use guardian_kit::clock::Clock as _;
use guardian_model::{Micros, Scope, TenantId, UserId};

use crate::{GOOD, HOME, House, from};

fn role(name: &str, permissions: &[Permission]) -> RoleDraft {
    RoleDraft {
        name: name.into(),
        description: String::new(),
        permissions: permissions.iter().map(|p| p.name().to_owned()).collect(),
        mfa_required: false,
        certificate_required: false,
    }
}

async fn join(house: &House, tenant: TenantId, name: &str, role: &str) -> UserId {
    let root = house.identity.local_operator("root").await.unwrap();
    let new = NewAccount {
        name: name.into(),
        display_name: String::new(),
        email: None,
        password: Some(GOOD.into()),
        role: role.into(),
    };
    house.identity.add_user(&root, tenant, &new, &Origin::default()).await.unwrap().id
}

async fn sign_in(house: &House, name: &str) -> Principal {
    house.identity.sign_in(name, GOOD, &from("192.0.2.1")).await.unwrap().principal
}

fn forbidden<T>(what: &str, answer: Result<T, IdentityError>) {
    assert!(matches!(answer, Err(IdentityError::Forbidden(_))), "{what} was not refused");
}

#[tokio::test]
async fn custom_roles_give_what_they_say_and_no_more() {
    let house = House::new().await;
    let at = from("192.0.2.1");
    house.add("root", Role::Admin).await;
    let root = sign_in(&house, "root").await;
    let desk = role("helpdesk", &[Permission::UsersManage, Permission::UsersRead, Permission::RolesManage]);
    house.identity.create_role(&root, HOME, &desk, &at).await.unwrap();
    join(&house, HOME, "dora", "helpdesk").await;
    let dora = sign_in(&house, "dora").await;
    assert_eq!(
        dora.permissions(HOME).iter().collect::<Vec<_>>(),
        [Permission::UsersRead, Permission::UsersManage, Permission::RolesManage]
    );
    assert_eq!(dora.role(HOME), Some("helpdesk"));
    for (what, draft, refused) in [
        ("what she holds", role("lesser", &[Permission::UsersRead]), false),
        ("what she does not hold", role("greater", &[Permission::AuditRead]), true),
    ] {
        let made = house.identity.create_role(&dora, HOME, &draft, &at).await;
        assert_eq!(matches!(made, Err(IdentityError::Forbidden(_))), refused, "{what}");
    }
    for name in ["admin", "viewer"] {
        let made = house.identity.create_role(&root, HOME, &role(name, &[]), &at).await;
        assert!(matches!(made, Err(IdentityError::Invalid(_))), "{name} is built in");
    }
    let unknown = RoleDraft { permissions: vec!["everything:do".into()], ..role("odd", &[]) };
    assert!(matches!(house.identity.create_role(&root, HOME, &unknown, &at).await, Err(IdentityError::Invalid(_))));
    // Taking a permission out of the role takes it from whoever has it, at once.
    let less = role("helpdesk", &[Permission::UsersRead]);
    house.identity.update_role(&root, HOME, "helpdesk", 1, &less, &at).await.unwrap();
    let dora = sign_in(&house, "dora").await;
    assert_eq!(dora.permissions(HOME).iter().collect::<Vec<_>>(), [Permission::UsersRead]);
}

#[tokio::test]
async fn nobody_takes_over_an_account_that_may_do_more() {
    let house = House::new().await;
    let at = from("192.0.2.1");
    let boss = house.add("boss", Role::Admin).await;
    let vera = house.add("vera", Role::Viewer).await;
    let root = sign_in(&house, "boss").await;
    let desk = role("helpdesk", &[Permission::UsersManage, Permission::UsersRead, Permission::AlertsRead]);
    house.identity.create_role(&root, HOME, &desk, &at).await.unwrap();
    join(&house, HOME, "dora", "helpdesk").await;
    let dora = sign_in(&house, "dora").await;
    let identity = &house.identity;
    let off = AccountChange {
        version: boss.version,
        account: UserChange { disabled: Some(true), ..UserChange::default() },
        role: None,
    };
    let demote = AccountChange { version: boss.version, role: Some("helpdesk".into()), ..AccountChange::default() };
    forbidden("set_password", identity.set_password(&dora, HOME, boss.id, "a new and better one", &at).await);
    forbidden("reset_link", identity.reset_link(&dora, HOME, boss.id, 1, &at).await);
    forbidden("disable", identity.change_user(&dora, HOME, boss.id, &off, &at).await);
    forbidden("demote", identity.change_user(&dora, HOME, boss.id, &demote, &at).await);
    forbidden("remove", identity.remove_user(&dora, HOME, boss.id, &at).await);
    forbidden("end_sessions", identity.end_sessions_of(&dora, HOME, boss.id, None, &at).await);
    let promote = AccountChange { version: vera.version, role: Some("admin".into()), ..AccountChange::default() };
    forbidden("promote", identity.change_user(&dora, HOME, vera.id, &promote, &at).await);
    let invitation = Invitation { role: "admin".into(), name: None, email: None, hours: 1 };
    forbidden("invite", identity.invite(&dora, HOME, &invitation, &at).await);
    // What she may: somebody who may do no more than she does not have to be a viewer.
    join(&house, HOME, "emil", "helpdesk").await;
    forbidden("a viewer sees more", identity.set_password(&dora, HOME, vera.id, "a new and better one", &at).await);
    let emil = identity.catalog().scoped(&Scope::of(HOME)).user_named("emil").await.unwrap().user;
    identity.set_password(&dora, HOME, emil.id, "a new and better one", &at).await.unwrap();
    // Nobody disables or deletes themselves, and the last administrator stays.
    let me = AccountChange { version: boss.version + 1, ..off.clone() };
    forbidden("disable oneself", identity.change_user(&root, HOME, boss.id, &me, &at).await);
    forbidden("delete oneself", identity.remove_user(&root, HOME, boss.id, &at).await);
    let local = identity.local_operator("root").await.unwrap();
    for (what, done) in [
        ("demote", identity.change_user(&local, HOME, boss.id, &demote, &at).await),
        ("disable", identity.change_user(&local, HOME, boss.id, &off, &at).await),
        ("remove", identity.remove_user(&local, HOME, boss.id, &at).await),
        ("membership", identity.set_membership(&local, HOME, boss.id, None, &at).await),
    ] {
        assert!(matches!(done, Err(IdentityError::LastAdmin)), "{what}");
    }
}

#[tokio::test]
async fn a_providers_people_work_in_several_tenants() {
    let house = House::new().await;
    let at = from("192.0.2.1");
    let identity = &house.identity;
    let ann = house.add("ann", Role::Admin).await;
    let acme = identity.catalog().system();
    let acme = acme.create_tenant(guardian_catalog::Actor::system("test"), "acme", "Acme").await.unwrap().id;
    join(&house, acme, "carl", "admin").await;
    let local = identity.local_operator("root").await.unwrap();
    identity.set_membership(&local, acme, ann.id, Some("viewer"), &at).await.unwrap();
    let (ann_now, carl) = (sign_in(&house, "ann").await, sign_in(&house, "carl").await);
    assert_eq!(ann_now.scope().tenants().len(), 2);
    assert_eq!((ann_now.role(HOME), ann_now.role(acme)), (Some("admin"), Some("viewer")));
    assert_eq!(ann_now.scope_for(Permission::AlertsTriage).tenants(), [HOME]);
    assert_eq!(carl.scope().tenants(), [acme]);
    // The customer's administrator changes the role of the provider's account there, and nothing else of it.
    forbidden("set_password", identity.set_password(&carl, acme, ann.id, "a new and better one", &at).await);
    let promote = AccountChange { version: ann.version, role: Some("operator".into()), ..AccountChange::default() };
    identity.change_user(&carl, acme, ann.id, &promote, &at).await.unwrap();
    identity.remove_user(&carl, acme, ann.id, &at).await.unwrap();
    assert_eq!(sign_in(&house, "ann").await.scope().tenants(), [HOME], "the account itself is still there");
    let strange =
        identity.set_membership(&carl, acme, house.add("zoe", Role::Viewer).await.id, Some("viewer"), &at).await;
    assert!(matches!(strange, Err(IdentityError::Catalog(CatalogError::NotFound(_)))), "he does not know her");
}

#[tokio::test]
async fn invitations_and_reset_links_work_once() {
    let house = House::new().await;
    let at = from("192.0.2.1");
    let identity = &house.identity;
    let vera = house.add("vera", Role::Viewer).await;
    let local = identity.local_operator("root").await.unwrap();
    let invitation = Invitation { role: "operator".into(), name: None, email: Some("o@example.org".into()), hours: 2 };
    let made = identity.invite(&local, HOME, &invitation, &at).await.unwrap();
    assert_eq!(identity.look_at_link(&made.token, &at).await.unwrap().tenant_name, "Main");
    let weak = identity.redeem_link(&made.token, "olga", "", "short", &at).await;
    assert!(matches!(weak, Err(IdentityError::WeakPassword(_))), "and the link is not used up by it");
    let taken = identity.redeem_link(&made.token, "vera", "", GOOD, &at).await;
    assert!(matches!(taken, Err(IdentityError::Catalog(CatalogError::Conflict(_)))));
    let olga = identity.redeem_link(&made.token, "olga", "Olga O.", GOOD, &at).await.unwrap();
    assert_eq!(olga.principal.role(HOME), Some("operator"));
    identity.session(&olga.token).await.unwrap();
    let again = identity.redeem_link(&made.token, "eve", "", GOOD, &at).await;
    assert!(matches!(again, Err(IdentityError::BadLink)));

    let session = identity.sign_in("vera", GOOD, &at).await.unwrap().token;
    let link = identity.reset_link(&local, HOME, vera.id, 1, &at).await.unwrap();
    identity.redeem_link(&link.token, "", "", "a new and better one", &at).await.unwrap();
    assert!(matches!(identity.session(&session).await, Err(IdentityError::NotSignedIn)), "old sessions end");
    identity.sign_in("vera", "a new and better one", &at).await.unwrap();
    let late = identity.reset_link(&local, HOME, vera.id, 1, &at).await.unwrap();
    house.secs(3_600);
    assert!(matches!(identity.look_at_link(&late.token, &at).await, Err(IdentityError::BadLink)), "expired");
    for hours in [0, 10_000] {
        let link = identity.reset_link(&local, HOME, vera.id, hours, &at).await;
        assert!(matches!(link, Err(IdentityError::Invalid(_))), "{hours} hours");
    }
    let mut last = Ok(());
    for n in 0..40 {
        last = identity.look_at_link(&format!("guess{n}"), &at).await.map(drop);
    }
    assert!(matches!(last, Err(IdentityError::Locked { .. })), "guessing is slowed down");
    let trail = house.trail().await;
    for action in ["invitation.create", "invitation.redeem", "password_reset.create", "password_reset.redeem"] {
        assert!(trail.iter().any(|a| a == action), "{action}: {trail:?}");
    }
}

#[tokio::test]
async fn registration_is_closed_until_opened_and_waits_for_approval() {
    let house = House::new().await;
    let at = from("192.0.2.1");
    let identity = &house.identity;
    house.add("root", Role::Admin).await;
    let root = sign_in(&house, "root").await;
    let me = |name: &str| Registration {
        tenant: None,
        name: name.into(),
        display_name: String::new(),
        email: None,
        password: GOOD.into(),
    };
    forbidden("closed", identity.register(&me("zoe"), &at).await);
    let open = SecurityPolicy { self_registration: true, ..SecurityPolicy::default() };
    assert_eq!(identity.put_policy(&root, HOME, 0, &open, &at).await.unwrap(), 1);
    let stale = identity.put_policy(&root, HOME, 0, &open, &at).await;
    assert!(matches!(stale, Err(IdentityError::Catalog(CatalogError::VersionConflict { .. }))));
    identity.register(&me("zoe"), &at).await.unwrap();
    identity.register(&me("zoe"), &at).await.unwrap();
    identity.register(&me("root"), &at).await.unwrap();
    let wait = identity.sign_in("zoe", GOOD, &at).await;
    assert!(matches!(wait, Err(IdentityError::BadCredentials)), "she waits");
    let zoe = identity.catalog().scoped(&Scope::of(HOME)).user_named("zoe").await.unwrap().user;
    assert!(zoe.pending);
    identity.approve_user(&root, HOME, zoe.id, "viewer", &at).await.unwrap();
    assert_eq!(sign_in(&house, "zoe").await.role(HOME), Some("viewer"));
}

#[tokio::test]
async fn what_is_sensitive_wants_a_fresh_proof() {
    let house = House::new().await;
    let at = from("192.0.2.1");
    let identity = &house.identity;
    house.add("ann", Role::Admin).await;
    let signed_in = identity.sign_in("ann", GOOD, &at).await.unwrap();
    identity.require_recent(&signed_in.principal).unwrap();
    house.secs(10 * 60);
    let ann = identity.session(&signed_in.token).await.unwrap();
    assert!(matches!(identity.require_recent(&ann), Err(IdentityError::StepUp)));
    assert!(matches!(identity.prove(&ann, "wrong", &at).await, Err(IdentityError::BadCredentials)));
    identity.require_recent(&identity.prove(&ann, GOOD, &at).await.unwrap()).unwrap();
    identity.require_recent(&identity.session(&signed_in.token).await.unwrap()).unwrap();
    identity.require_recent(&identity.local_operator("root").await.unwrap()).unwrap();
    // One's own sessions, preferences and profile.
    let other = identity.sign_in("ann", GOOD, &at).await.unwrap();
    assert_eq!(identity.own_sessions(&ann).await.unwrap().len(), 2);
    assert_eq!(identity.end_other_sessions(&ann, &at).await.unwrap(), 1);
    assert!(matches!(identity.session(&other.token).await, Err(IdentityError::NotSignedIn)));
    let profile = identity.profile(&ann).await.unwrap();
    let named = identity.change_profile(&ann, profile.version, Some("Ann K.".into()), None, &at).await.unwrap();
    assert_eq!((named.display_name.as_str(), named.version), ("Ann K.", profile.version + 1));
    let held = identity.put_preferences(&ann, 0, serde_json::json!({"theme": "dark"}), &at).await.unwrap();
    assert_eq!(held.version, 1);
    // A key acts for itself: it has no profile of its maker's to change.
    let expires = house.clock.now() + Micros::HOUR;
    let allowed = [Permission::AlertsRead];
    let key = identity.create_api_key(&ann, HOME, "k", &allowed, expires, &at).await.unwrap();
    let key = identity.bearer(&key.text, &at).await.unwrap();
    forbidden("profile of a key", identity.profile(&key).await);
    forbidden("preferences of a key", identity.put_preferences(&key, 1, serde_json::json!({}), &at).await);
}
