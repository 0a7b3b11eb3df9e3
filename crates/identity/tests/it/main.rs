//! Identity over a real catalog: sign-in, sessions, keys, set-up and the trail they leave.
#![expect(clippy::unwrap_used, reason = "tests")]

mod anchor;
mod breached;
mod certificates;
mod directory;
mod factors;
mod keys;
mod passkeys;
mod people;
mod trail;

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use guardian_catalog::{Actor, AuditFilter, Catalog, CatalogConfig, User, UserChange};
use guardian_identity::{
    Identity, IdentityConfig, IdentityError, NewAccount, OperatorKey, Origin, Permission, Principal, PrincipalKind,
    Refusal, Role, SETUP_TOKEN_FILE,
};
use guardian_kit::clock::{Clock as _, ManualClock};
use guardian_model::{Micros, Scope, TenantId};
use tempfile::TempDir;

pub(crate) const HOME: TenantId = TenantId::DEFAULT;
pub(crate) const GOOD: &str = "correct horse battery";

pub(crate) struct House {
    pub(crate) identity: Identity,
    pub(crate) clock: Arc<ManualClock>,
    dir: TempDir,
}

impl House {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(Micros(1_767_225_600_000_000)));
        let catalog = Catalog::connect(&CatalogConfig::default(), dir.path(), clock.clone()).await.unwrap();
        let identity = Identity::new(catalog, clock.clone(), IdentityConfig::default(), dir.path());
        Self { identity, clock, dir }
    }

    /// The server, started again on the same data.
    fn restart(&self) -> Identity {
        let catalog = self.identity.catalog().clone();
        Identity::new(catalog, self.clock.clone(), IdentityConfig::default(), self.dir.path())
    }

    pub(crate) async fn add(&self, name: &str, role: Role) -> User {
        let new = NewAccount {
            name: name.into(),
            display_name: String::new(),
            email: None,
            password: Some(GOOD.into()),
            role: role.to_string(),
        };
        let root = self.identity.local_operator("root").await.unwrap();
        self.identity.add_user(&root, HOME, &new, &Origin::default()).await.unwrap()
    }

    /// The audit trail's actions, oldest first.
    pub(crate) async fn trail(&self) -> Vec<String> {
        let scope = Scope::of(HOME);
        let entries = self.identity.catalog().scoped(&scope);
        let entries = entries.audit(HOME, &AuditFilter::default(), None, 500).await.unwrap();
        entries.into_iter().rev().map(|e| e.action).collect()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn secs(&self, n: i64) {
        self.clock.advance(n * Micros::SECOND);
    }
}

pub(crate) fn from(ip: &str) -> Origin {
    Origin { ip: Some(ip.parse().unwrap()), user_agent: Some("test".into()), ..Origin::default() }
}

fn locked(answer: Result<guardian_identity::SignedIn, IdentityError>) -> u64 {
    match answer {
        Err(error @ IdentityError::Locked { .. }) => error.retry_after_secs().unwrap(),
        Err(other) => panic!("not locked: {other}"),
        Ok(_) => panic!("let in"),
    }
}

#[tokio::test]
async fn signing_in_and_out() {
    let house = House::new().await;
    let ann = house.add("Ann", Role::Operator).await;
    let at = from("192.0.2.1");
    let signed_in = house.identity.sign_in(" ANN ", GOOD, &at).await.unwrap();
    let principal = house.identity.session(&signed_in.token).await.unwrap();
    assert_eq!((principal.user, principal.name.as_str()), (Some(ann.id), "ann"));
    assert_eq!(principal.scope(), Scope::of(HOME));
    for wrong in ["", "x", &signed_in.token[1..], &signed_in.session.id.to_string()] {
        assert!(matches!(house.identity.session(wrong).await, Err(IdentityError::NotSignedIn)), "{wrong}");
    }
    house.identity.sign_out(&principal, &at).await.unwrap();
    assert!(matches!(house.identity.session(&signed_in.token).await, Err(IdentityError::NotSignedIn)));
    let text = format!("{:?}", house.identity.sign_in("ann", "wrong", &at).await.err().unwrap());
    assert_eq!(text, format!("{:?}", house.identity.sign_in("nobody", "wrong", &at).await.err().unwrap()));
    let expected =
        ["user.create", "membership.set", "session.open", "session.close", "session.failed", "session.failed"];
    assert_eq!(house.trail().await, expected);
}

#[tokio::test]
async fn unknown_names_are_not_written_down() {
    let house = House::new().await;
    let at = from("192.0.2.1");
    assert!(house.identity.sign_in("my-secret-password", "x", &at).await.is_err());
    let entries = house.identity.catalog().scoped(&Scope::of(HOME));
    let entries = entries.audit(HOME, &AuditFilter::default(), None, 9).await.unwrap();
    let text = serde_json::to_string(&entries).unwrap();
    assert!(text.contains("session.failed") && text.contains("192.0.2.1"), "{text}");
    assert!(!text.contains("my-secret"), "{text}");
}

#[tokio::test]
async fn sessions_end_when_idle_and_at_last() {
    let house = House::new().await;
    house.add("ann", Role::Viewer).await;
    let at = from("192.0.2.1");
    let hour = 3_600;
    let idle = house.identity.sign_in("ann", GOOD, &at).await.unwrap().token;
    let used = house.identity.sign_in("ann", GOOD, &at).await.unwrap().token;
    house.secs(12 * hour - 1);
    house.identity.session(&used).await.unwrap();
    house.secs(1);
    assert!(matches!(house.identity.session(&idle).await, Err(IdentityError::NotSignedIn)), "idle for 12 hours");
    assert_eq!(house.identity.sweep().await.unwrap(), 1);
    // Used all the time, it still ends after seven days.
    let mut hours = 12;
    while hours < 7 * 24 {
        house.identity.session(&used).await.unwrap();
        house.secs(6 * hour);
        hours += 6;
    }
    assert!(matches!(house.identity.session(&used).await, Err(IdentityError::NotSignedIn)), "seven days");
    assert_eq!(house.identity.sweep().await.unwrap(), 1);
}

#[tokio::test]
async fn guessing_is_slowed_down() {
    let house = House::new().await;
    house.add("ann", Role::Viewer).await;
    house.add("bob", Role::Viewer).await;
    let (here, there) = (from("192.0.2.1"), from("192.0.2.2"));
    for _ in 0..5 {
        let wrong = house.identity.sign_in("ann", "wrong", &here).await;
        assert!(matches!(wrong, Err(IdentityError::BadCredentials)));
    }
    assert_eq!(locked(house.identity.sign_in("ann", GOOD, &here).await), 30, "even with the right password");
    house.identity.sign_in("ann", GOOD, &there).await.unwrap();
    house.identity.sign_in("bob", GOOD, &here).await.unwrap();
    house.secs(29);
    assert_eq!(locked(house.identity.sign_in("ann", GOOD, &here).await), 1);
    house.secs(1);
    assert!(matches!(house.identity.sign_in("ann", "wrong", &here).await, Err(IdentityError::BadCredentials)));
    assert_eq!(locked(house.identity.sign_in("ann", GOOD, &here).await), 60, "twice as long");
    house.secs(60);
    house.identity.sign_in("ann", GOOD, &here).await.unwrap();
    for _ in 0..4 {
        assert!(house.identity.sign_in("ann", "wrong", &here).await.is_err());
    }
    house.identity.sign_in("ann", GOOD, &here).await.unwrap();
    let locks = house.trail().await.iter().filter(|a| *a == "session.locked").count();
    assert_eq!(locks, 3, "refused attempts are told");
}

#[tokio::test]
async fn spraying_over_accounts_locks_the_address() {
    let house = House::new().await;
    let v6 = |n: u16| from(&format!("2001:db8:0:1::{n:x}"));
    for n in 0..30 {
        let wrong = house.identity.sign_in(&format!("user{n}"), "wrong", &v6(n)).await;
        assert!(matches!(wrong, Err(IdentityError::BadCredentials)), "{n}");
    }
    assert_eq!(locked(house.identity.sign_in("fresh", "x", &v6(99)).await), 60, "the whole /64");
    let elsewhere = house.identity.sign_in("fresh", "x", &from("2001:db8:0:2::1")).await;
    assert!(matches!(elsewhere, Err(IdentityError::BadCredentials)));
}

#[tokio::test]
async fn a_company_behind_one_address_signs_in_at_once() {
    let house = House::new().await;
    let names: Vec<String> = (0..50).map(|n| format!("user{n}")).collect();
    for name in &names {
        house.add(name, Role::Viewer).await;
    }
    let sign_in = |name: String, password: &'static str| {
        let identity = house.identity.clone();
        async move { identity.sign_in(&name, password, &from("192.0.2.1")).await.map(drop) }
    };
    for round in 0..2 {
        let all: tokio::task::JoinSet<_> = names.iter().map(|name| sign_in(name.clone(), GOOD)).collect();
        for answer in all.join_all().await {
            assert!(answer.is_ok(), "round {round}: {answer:?}");
        }
    }
    // Guessing one password for all of them at once locks the address, and nobody but that address.
    let all: tokio::task::JoinSet<_> = names.iter().map(|name| sign_in(name.clone(), "Winter 2026!!")).collect();
    assert!(all.join_all().await.iter().all(Result::is_err));
    assert!(locked(house.identity.sign_in("user0", GOOD, &from("192.0.2.1")).await) > 60);
    house.identity.sign_in("user0", GOOD, &from("192.0.2.2")).await.unwrap();
}

#[tokio::test]
async fn passwords_change_and_end_sessions() {
    let house = House::new().await;
    let ann = house.add("ann", Role::Viewer).await;
    let at = from("192.0.2.1");
    let token = house.identity.sign_in("ann", GOOD, &at).await.unwrap().token;
    let other = house.identity.sign_in("ann", GOOD, &at).await.unwrap().token;
    let principal = house.identity.session(&token).await.unwrap();
    let new = "a new and better one";
    let change = |old: &'static str, new: &'static str| {
        let (identity, principal, at) = (house.identity.clone(), principal.clone(), at.clone());
        async move { identity.change_password(&principal, old, new, &at).await }
    };
    assert!(matches!(change("wrong", new).await, Err(IdentityError::BadCredentials)));
    assert!(matches!(change(GOOD, "short").await, Err(IdentityError::WeakPassword(_))));
    change(GOOD, new).await.unwrap();
    house.identity.session(&token).await.unwrap();
    assert!(matches!(house.identity.session(&other).await, Err(IdentityError::NotSignedIn)), "the others end");
    assert!(house.identity.sign_in("ann", GOOD, &at).await.is_err());
    house.identity.sign_in("ann", new, &at).await.unwrap();

    let root = house.identity.local_operator("root").await.unwrap();
    house.identity.reset_password(&root, "Ann", GOOD, &at).await.unwrap();
    assert!(matches!(house.identity.session(&token).await, Err(IdentityError::NotSignedIn)));
    let nobody = house.identity.reset_password(&root, "zoe", GOOD, &at).await;
    assert!(matches!(nobody, Err(IdentityError::Invalid(_))));
    let weak = house.identity.set_password(&root, HOME, ann.id, "ann", &at).await;
    assert!(matches!(weak, Err(IdentityError::WeakPassword(_))));
    house.identity.sign_in("ann", GOOD, &at).await.unwrap();
}

#[tokio::test]
async fn disabled_accounts_stay_out() {
    let house = House::new().await;
    let ann = house.add("ann", Role::Admin).await;
    let at = from("192.0.2.1");
    let token = house.identity.sign_in("ann", GOOD, &at).await.unwrap().token;
    let key = api_key(&house, "ann", &[Permission::AlertsRead], 60).await;
    let scope = Scope::of(HOME);
    let mut tx = house.identity.catalog().scoped(&scope).begin(HOME, Actor::system("test")).await.unwrap();
    let off = UserChange { disabled: Some(true), ..UserChange::default() };
    tx.update_user(ann.id, ann.version, &off).await.unwrap();
    tx.commit().await.unwrap();
    assert!(matches!(house.identity.session(&token).await, Err(IdentityError::NotSignedIn)));
    assert!(matches!(house.identity.bearer(&key, &at).await, Err(IdentityError::NotSignedIn)));
    assert!(matches!(house.identity.sign_in("ann", GOOD, &at).await, Err(IdentityError::BadCredentials)));
}

async fn api_key(house: &House, maker: &str, allowed: &[Permission], secs: i64) -> String {
    let at = from("192.0.2.1");
    let maker = house.identity.sign_in(maker, GOOD, &at).await.unwrap().principal;
    let expires = house.clock.now() + secs * Micros::SECOND;
    let made = house.identity.create_api_key(&maker, HOME, "backup", allowed, expires, &at).await.unwrap();
    made.text.to_string()
}

#[tokio::test]
async fn api_keys_are_limited_and_end() {
    let house = House::new().await;
    let ann = house.add("ann", Role::Operator).await;
    let at = from("192.0.2.1");
    let key = api_key(&house, "ann", &[Permission::AlertsRead, Permission::FlowsSql], 3_600).await;
    assert!(key.starts_with("gdn_") && key.len() == 4 + 16 + 1 + 43, "{key}");
    let principal = house.identity.bearer(&key, &at).await.unwrap();
    assert_eq!(principal.permissions(HOME).iter().collect::<Vec<_>>(), [Permission::AlertsRead, Permission::FlowsSql]);
    assert!(matches!(principal.kind, PrincipalKind::ApiKey { .. }));

    // The maker loses a permission, and the key with them.
    let scope = Scope::of(HOME);
    let scoped = house.identity.catalog().scoped(&scope);
    let mut tx = scoped.begin(HOME, Actor::system("test")).await.unwrap();
    tx.set_membership(ann.id, Some("viewer")).await.unwrap();
    tx.commit().await.unwrap();
    let principal = house.identity.bearer(&key, &at).await.unwrap();
    assert_eq!(principal.permissions(HOME).iter().collect::<Vec<_>>(), [Permission::AlertsRead]);

    for wrong in ["gdn_", "gdn_abc", &key[..key.len() - 1], &key.replace("gdn_", "gdx_"), "gdo_", ""] {
        assert!(matches!(house.identity.bearer(wrong, &at).await, Err(IdentityError::NotSignedIn)), "{wrong}");
    }
    house.secs(3_600);
    assert!(matches!(house.identity.bearer(&key, &at).await, Err(IdentityError::NotSignedIn)), "expired");
    assert!(house.trail().await.contains(&"key.refused".to_owned()));

    let maker = house.identity.sign_in("ann", GOOD, &at).await.unwrap().principal;
    let now = house.clock.now();
    let (soon, never) = (now + Micros::HOUR, now + 500 * Micros::DAY);
    for (what, name, allowed, expires) in [
        ("no name", " ", vec![Permission::AlertsRead], soon),
        ("no permission", "k", vec![], soon),
        ("more than the maker", "k", vec![Permission::UsersManage], soon),
        ("past", "k", vec![Permission::AlertsRead], now),
        ("too long", "k", vec![Permission::AlertsRead], never),
    ] {
        let made = house.identity.create_api_key(&maker, HOME, name, &allowed, expires, &at).await;
        assert!(matches!(made, Err(IdentityError::Invalid(_))), "{what}");
    }
    let made = house.identity.create_api_key(&maker, HOME, "k", &[Permission::AlertsRead], soon, &at).await.unwrap();
    house.identity.bearer(&made.text, &at).await.unwrap();
    house.identity.revoke_api_key(&maker, HOME, made.key.id, &at).await.unwrap();
    assert!(matches!(house.identity.bearer(&made.text, &at).await, Err(IdentityError::NotSignedIn)), "revoked");
}

#[tokio::test]
async fn the_local_operator_is_let_in_by_a_private_file() {
    let house = House::new().await;
    let at = from("127.0.0.1");
    let path = house.path("run").join("operator.key");
    house.identity.accept_operator(OperatorKey::create(&path).unwrap());
    for (path, mode) in [(path.clone(), 0o600), (house.path("run"), 0o700)] {
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode, "{}", path.display());
    }
    let first = OperatorKey::read(&path).unwrap();
    let principal = house.identity.bearer(&first, &at).await.unwrap();
    assert_eq!((principal.kind, principal.user), (PrincipalKind::LocalOperator, None));
    assert!(principal.permissions(HOME).contains(Permission::UsersManage));
    assert_eq!(principal.actor(&at).kind.as_str(), "local_operator");

    // A new start makes a new key, and the old one is worth nothing.
    house.identity.accept_operator(OperatorKey::create(&path).unwrap());
    assert!(matches!(house.identity.bearer(&first, &at).await, Err(IdentityError::NotSignedIn)));
    let second = OperatorKey::read(&path).unwrap();
    house.identity.bearer(&second, &at).await.unwrap();
    drop(OperatorKey::create(&path).unwrap());
    assert!(!path.exists(), "the file goes with the key");
}

#[tokio::test]
async fn set_up_makes_one_administrator_once() {
    let house = House::new().await;
    let at = from("127.0.0.1");
    let token = house.identity.prepare_setup().await.unwrap().unwrap();
    let file = house.path(SETUP_TOKEN_FILE);
    assert_eq!(std::fs::read_to_string(&file).unwrap().trim(), token.token.as_str());
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(token.expires, house.clock.now() + 30 * Micros::MINUTE);
    let kept = house.restart().prepare_setup().await.unwrap().unwrap();
    assert_eq!(*kept.token, *token.token, "a restart within the half hour keeps it");

    let redeem = |identity: Identity, token: String, password: &'static str| {
        let at = at.clone();
        async move { identity.redeem_setup(&token, "Ann", "Ann Keller", password, &at).await }
    };
    let wrong = redeem(house.identity.clone(), "guess".into(), GOOD).await;
    assert!(matches!(wrong, Err(IdentityError::BadSetupToken)));
    let weak = redeem(house.identity.clone(), token.token.to_string(), "short").await;
    assert!(matches!(weak, Err(IdentityError::WeakPassword(_))), "and the token is not used up by it");
    // Two people at the same moment: one of them wins.
    let (a, b) = tokio::join!(
        redeem(house.identity.clone(), token.token.to_string(), GOOD),
        redeem(house.identity.clone(), token.token.to_string(), GOOD),
    );
    let (winner, loser) = if a.is_ok() { (a, b) } else { (b, a) };
    let winner = winner.unwrap();
    assert!(matches!(loser, Err(IdentityError::BadSetupToken)));
    assert_eq!(winner.principal.permissions(HOME), Role::Admin.permissions());
    house.identity.session(&winner.token).await.unwrap();
    assert!(!file.exists());
    let again = redeem(house.identity.clone(), token.token.to_string(), GOOD).await;
    assert!(matches!(again, Err(IdentityError::BadSetupToken)));
    assert!(house.restart().prepare_setup().await.unwrap().is_none());
    assert!(!house.identity.needs_setup().await.unwrap());
}

#[tokio::test]
async fn the_setup_token_expires_and_is_replaced() {
    let house = House::new().await;
    let at = from("127.0.0.1");
    let old = house.identity.prepare_setup().await.unwrap().unwrap();
    house.secs(30 * 60);
    let late = house.identity.redeem_setup(&old.token, "ann", "", GOOD, &at).await;
    assert!(matches!(late, Err(IdentityError::BadSetupToken)));
    let new = house.restart().prepare_setup().await.unwrap().unwrap();
    assert_ne!(*new.token, *old.token);
    std::fs::remove_file(&new.path).unwrap();
    let newer = house.restart().prepare_setup().await.unwrap().unwrap();
    let lost = house.identity.redeem_setup(&new.token, "ann", "", GOOD, &at).await;
    assert!(matches!(lost, Err(IdentityError::BadSetupToken)), "a lost token is replaced");
    // An account made at the command line closes set-up too.
    house.add("root", Role::Admin).await;
    assert!(!newer.path.exists());
    let closed = house.identity.redeem_setup(&newer.token, "ann", "", GOOD, &at).await;
    assert!(matches!(closed, Err(IdentityError::BadSetupToken)));
}

#[tokio::test]
async fn refusals_are_audited_and_bounded() {
    let house = House::new().await;
    house.add("vera", Role::Viewer).await;
    let at = from("192.0.2.1");
    let vera: Principal = house.identity.sign_in("vera", GOOD, &at).await.unwrap().principal;
    house.identity.authorise(&vera, Permission::AlertsRead, HOME, &at).await.unwrap();
    for _ in 0..100 {
        let refused = house.identity.authorise(&vera, Permission::AlertsTriage, HOME, &at).await;
        assert_eq!(refused, Err(Refusal::Missing(Permission::AlertsTriage)));
    }
    let strange = TenantId(uuid::Uuid::nil());
    let refused = house.identity.authorise(&vera, Permission::AlertsRead, strange, &at).await;
    assert_eq!(refused, Err(Refusal::NoSuchTenant));
    let told = house.trail().await.iter().filter(|a| *a == "access.refused").count();
    assert_eq!(told, 60, "one client cannot fill the trail");
}
