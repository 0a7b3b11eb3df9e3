//! Second factors, recovery codes, tokens for programs, and limits per key.

use guardian_catalog::RoleDraft;
use guardian_identity::{
    Identity, IdentityConfig, IdentityError, Permission, Principal, PrincipalKind, Role, SecurityPolicy, SessionState,
    SignedIn,
};
use guardian_kit::clock::Clock as _;
use guardian_model::Micros;
use ring::hmac;

use crate::{GOOD, HOME, House, from};

/// What an authenticator app shows: RFC 6238 written once more, from the secret as people type it in.
fn app(secret: &str, now: Micros) -> String {
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let (mut bytes, mut held, mut bits) = (Vec::new(), 0_u32, 0);
    for c in secret.bytes() {
        held = held << 5 | letters.iter().position(|l| *l == c).unwrap() as u32;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits) as u8);
        }
    }
    let step = now.0 / Micros::SECOND / 30;
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &bytes), &step.to_be_bytes());
    let at = usize::from(tag.as_ref()[19] & 15);
    let word = u32::from_be_bytes(tag.as_ref()[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", word % 1_000_000)
}

impl House {
    fn code(&self, secret: &str) -> String {
        app(secret, self.clock.now())
    }

    /// Adds an app to an account and answers its secret and recovery codes.
    async fn enrol(&self, who: &Principal) -> (String, Vec<String>) {
        let at = from("192.0.2.1");
        let begun = self.identity.begin_totp(who, "", &at).await.unwrap();
        let code = self.code(&begun.secret);
        let codes = self.identity.confirm_totp(who, begun.factor.id, &code, &at).await.unwrap();
        (begun.secret.to_string(), codes.iter().map(|c| c.to_string()).collect())
    }

    async fn signed_in(&self, name: &str) -> SignedIn {
        self.identity.sign_in(name, GOOD, &from("192.0.2.1")).await.unwrap()
    }
}

#[tokio::test]
async fn a_password_alone_opens_nothing_where_there_is_a_second_factor() {
    let house = House::new().await;
    let (identity, at) = (&house.identity, from("192.0.2.1"));
    house.add("ann", Role::Admin).await;
    let other = house.signed_in("ann").await;
    let first = house.signed_in("ann").await;
    let begun = identity.begin_totp(&first.principal, "Phone", &at).await.unwrap();
    assert!(begun.uri.starts_with("otpauth://totp/Guardian:ann?secret="), "{}", *begun.uri);
    let wrong = identity.confirm_totp(&first.principal, begun.factor.id, "000000", &at).await;
    assert!(matches!(wrong, Err(IdentityError::BadCode)));
    let code = house.code(&begun.secret);
    let codes = identity.confirm_totp(&first.principal, begun.factor.id, &code, &at).await.unwrap();
    assert_eq!(codes.len(), 10);
    identity.session(&first.token).await.unwrap();
    assert!(matches!(identity.session(&other.token).await, Err(IdentityError::NotSignedIn)), "opened with less");

    let half = house.signed_in("ann").await;
    assert_eq!(half.principal.state, SessionState::FactorRequired);
    assert!(half.principal.permissions(HOME).is_empty() && half.principal.scope().tenants().is_empty());
    assert!(matches!(identity.require_complete(&half.principal), Err(IdentityError::FactorRequired)));
    for refused in [
        identity.change_password(&half.principal, GOOD, "a new and better one", &at).await.err(),
        identity.begin_totp(&half.principal, "mine", &at).await.err(),
        identity.remove_factor(&half.principal, begun.factor.id, &at).await.err(),
        identity.new_recovery_codes(&half.principal, &at).await.err(),
        identity.put_preferences(&half.principal, 0, serde_json::json!({}), &at).await.err(),
    ] {
        assert!(matches!(refused, Some(IdentityError::FactorRequired)), "{refused:?}");
    }
    let used = identity.prove_factor(&half.principal, &code, &at).await;
    assert!(matches!(used, Err(IdentityError::BadCode)), "no code works twice");
    house.secs(30);
    let whole = identity.prove_factor(&half.principal, &house.code(&begun.secret), &at).await.unwrap();
    assert_eq!(whole.principal.state, SessionState::Active);
    assert!(whole.principal.permissions(HOME).contains(Permission::UsersManage));
    assert!(matches!(identity.session(&half.token).await, Err(IdentityError::NotSignedIn)), "the token changed");

    // A recovery code does as well, once.
    let half = house.signed_in("ann").await;
    let typed = codes[0].to_uppercase();
    identity.prove_factor(&half.principal, &typed, &at).await.unwrap();
    let again = house.signed_in("ann").await;
    assert!(matches!(identity.prove_factor(&again.principal, &codes[0], &at).await, Err(IdentityError::BadCode)));
    assert_eq!(identity.factors(&whole.principal).await.unwrap().recovery_codes_left, 9);

    // Proving oneself takes a code now, not the password.
    house.secs(600);
    let old = identity.session(&whole.token).await.unwrap();
    assert!(matches!(identity.require_recent(&old), Err(IdentityError::StepUp)));
    assert!(matches!(identity.prove(&old, GOOD, &at).await, Err(IdentityError::Invalid(_))));
    let proved = identity.prove_factor(&old, &house.code(&begun.secret), &at).await.unwrap();
    identity.require_recent(&proved.principal).unwrap();
    identity.remove_factor(&proved.principal, begun.factor.id, &at).await.unwrap();
    assert_eq!(house.signed_in("ann").await.principal.state, SessionState::Active);
    let trail = house.trail().await;
    for action in ["factor.add", "session.failed", "session.proved", "recovery_code.use", "factor.remove"] {
        assert!(trail.iter().any(|a| a == action), "{action}: {trail:?}");
    }
}

#[tokio::test]
async fn codes_cannot_be_guessed() {
    let house = House::new().await;
    let (identity, at) = (&house.identity, from("192.0.2.1"));
    house.add("ann", Role::Viewer).await;
    let ann = house.signed_in("ann").await.principal;
    let (secret, _) = house.enrol(&ann).await;
    let half = house.signed_in("ann").await.principal;
    house.secs(60);
    for n in 0..5 {
        let wrong = identity.prove_factor(&half, &format!("{n:06}"), &at).await;
        assert!(matches!(wrong, Err(IdentityError::BadCode)), "{n}");
    }
    let locked = identity.prove_factor(&half, &house.code(&secret), &at).await;
    assert!(matches!(locked, Err(IdentityError::Locked { .. })), "even the right one");
    house.secs(60);
    identity.prove_factor(&half, &house.code(&secret), &at).await.unwrap();
}

#[tokio::test]
async fn a_tenant_or_a_role_may_ask_for_a_second_factor() {
    let house = House::new().await;
    let (identity, at) = (&house.identity, from("192.0.2.1"));
    house.add("root", Role::Admin).await;
    house.add("vera", Role::Viewer).await;
    let root = house.signed_in("root").await;
    let vera = house.signed_in("vera").await;
    let strict = SecurityPolicy { mfa_roles: vec!["viewer".into()], ..SecurityPolicy::default() };
    identity.put_policy(&root.principal, HOME, 0, &strict, &at).await.unwrap();
    let now = identity.session(&vera.token).await.unwrap();
    assert_eq!(now.state, SessionState::EnrolmentRequired, "it holds for open sessions at once");
    assert!(now.permissions(HOME).is_empty());
    assert_eq!(identity.session(&root.token).await.unwrap().state, SessionState::Active);
    house.enrol(&now).await;
    assert_eq!(identity.session(&vera.token).await.unwrap().state, SessionState::Active);
    assert!(identity.mfa(&now).await.unwrap().required);

    let draft = RoleDraft {
        name: "careful".into(),
        description: String::new(),
        permissions: vec!["alerts:read".into()],
        mfa_required: true,
        certificate_required: false,
    };
    identity.create_role(&root.principal, HOME, &draft, &at).await.unwrap();
    let cara = house.add("cara", Role::Operator).await;
    identity.set_membership(&root.principal, HOME, cara.id, Some("careful"), &at).await.unwrap();
    assert_eq!(house.signed_in("cara").await.principal.state, SessionState::EnrolmentRequired);
    let tokens = identity.issue_tokens("cara", GOOD, None, &at).await;
    assert!(matches!(tokens, Err(IdentityError::EnrolmentRequired)), "no way round it for programs");

    // A lost telephone: an administrator takes the factors away, and the next sign-in asks for a new one.
    let found = identity.catalog().system().credentials_by_name("vera").await.unwrap().unwrap();
    identity.reset_factors(&root.principal, HOME, found.user.id, &at).await.unwrap();
    assert!(matches!(identity.session(&vera.token).await, Err(IdentityError::NotSignedIn)));
    assert_eq!(house.signed_in("vera").await.principal.state, SessionState::EnrolmentRequired);
}

#[tokio::test]
async fn programs_refresh_their_tokens_and_copies_are_noticed() {
    let house = House::new().await;
    let (identity, at) = (&house.identity, from("192.0.2.1"));
    house.add("ann", Role::Operator).await;
    let wrong = identity.issue_tokens("ann", "wrong", None, &at).await;
    assert!(matches!(wrong, Err(IdentityError::BadCredentials)));
    let first = identity.issue_tokens("ann", GOOD, None, &at).await.unwrap();
    assert_eq!(first.expires_secs, 600);
    let program = identity.bearer(&first.access, &at).await.unwrap();
    assert_eq!(program.kind, PrincipalKind::Token { family: first.family.id });
    assert_eq!(program.permissions(HOME), Role::Operator.permissions());
    house.secs(600);
    assert!(matches!(identity.bearer(&first.access, &at).await, Err(IdentityError::NotSignedIn)), "ten minutes");
    let second = identity.refresh_tokens(&first.refresh, &at).await.unwrap();
    identity.bearer(&second.access, &at).await.unwrap();
    for odd in ["", "gdr_", "gdr_nonsense", &second.refresh[1..]] {
        assert!(matches!(identity.refresh_tokens(odd, &at).await, Err(IdentityError::NotSignedIn)), "{odd}");
    }
    // Somebody kept the first one.
    assert!(matches!(identity.refresh_tokens(&first.refresh, &at).await, Err(IdentityError::NotSignedIn)));
    assert!(matches!(identity.refresh_tokens(&second.refresh, &at).await, Err(IdentityError::NotSignedIn)));
    assert!(matches!(identity.bearer(&second.access, &at).await, Err(IdentityError::NotSignedIn)), "at once");
    assert!(house.trail().await.contains(&"token.reuse".to_owned()));

    let ann = house.signed_in("ann").await;
    let third = identity.issue_tokens("ann", GOOD, None, &at).await.unwrap();
    assert_eq!(identity.own_families(&ann.principal).await.unwrap().len(), 1, "revoked ones are not listed");
    identity.revoke_own_family(&ann.principal, third.family.id, &at).await.unwrap();
    assert!(matches!(identity.bearer(&third.access, &at).await, Err(IdentityError::NotSignedIn)));
    // A new password ends tokens, and a second factor that is added later is due for programs as well.
    let fourth = identity.issue_tokens("ann", GOOD, None, &at).await.unwrap();
    identity.change_password(&ann.principal, GOOD, "a new and better one", &at).await.unwrap();
    assert!(matches!(identity.bearer(&fourth.access, &at).await, Err(IdentityError::NotSignedIn)));
    let (secret, _) = house.enrol(&identity.session(&ann.token).await.unwrap()).await;
    house.secs(30);
    let without = identity.issue_tokens("ann", "a new and better one", None, &at).await;
    assert!(matches!(without, Err(IdentityError::FactorRequired)));
    let code = house.code(&secret);
    identity.issue_tokens("ann", "a new and better one", Some(&code), &at).await.unwrap();
}

#[tokio::test]
async fn a_key_may_only_ask_so_often() {
    let house = House::new().await;
    let config = IdentityConfig { key_requests_per_minute: 3, ..IdentityConfig::default() };
    let catalog = house.identity.catalog().clone();
    let identity = Identity::new(catalog, house.clock.clone(), config, &house.path(""));
    let at = from("192.0.2.1");
    house.add("ann", Role::Operator).await;
    let pair = identity.issue_tokens("ann", GOOD, None, &at).await.unwrap();
    let program = identity.bearer(&pair.access, &at).await.unwrap();
    for n in 0..3 {
        assert!(identity.count_request(&program).is_ok(), "{n}");
    }
    let Err(limited @ IdentityError::RateLimited { .. }) = identity.count_request(&program) else {
        panic!("it was not stopped")
    };
    assert_eq!(limited.retry_after_secs(), Some(20));
    house.secs(20);
    assert!(identity.count_request(&program).is_ok());
    let ann = house.signed_in("ann").await.principal;
    for _ in 0..10 {
        assert!(identity.count_request(&ann).is_ok(), "people are not counted");
    }
}
