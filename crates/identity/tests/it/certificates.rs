//! Client certificates of people: whose they are, what they open, and who has to show one.

use std::sync::Arc;

use guardian_catalog::{CatalogError, RoleDraft, SignInMethod, UserChange};
use guardian_identity::{
    CertificateSettings, ClientName, IdentityError, Origin, Permission, Principal, Role, SecurityPolicy, SessionState,
    ShownCertificate, SignedIn,
};
use guardian_kit::clock::Clock as _;
use guardian_model::Micros;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, OtherNameValue,
    SanType,
};

use crate::{GOOD, HOME, House, from};

/// A person's certificate and its PEM.
struct Card {
    pem: String,
    shown: ShownCertificate,
}

fn card(name: &str, change: impl FnOnce(&mut CertificateParams)) -> Card {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.distinguished_name.push(DnType::CommonName, "Example authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = Issuer::new(authority, KeyPair::generate().unwrap());
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    change(&mut params);
    let made = params.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap();
    Card { pem: made.pem(), shown: ShownCertificate::read(made.der()).unwrap() }
}

/// A request on a connection that shows this certificate.
fn with(card: &Card) -> Origin {
    Origin { certificate: Some(Arc::new(card.shown.clone())), ..from("192.0.2.1") }
}

impl House {
    async fn taking(name: ClientName) -> Self {
        let house = Self::new().await;
        house.identity.accept_certificates(CertificateSettings { name, exempt_programs: false });
        house
    }

    async fn password(&self, name: &str, at: &Origin) -> SignedIn {
        self.identity.sign_in(name, GOOD, at).await.unwrap()
    }

    /// The state of a session on a connection.
    async fn state(&self, session: &SignedIn, at: &Origin) -> SessionState {
        self.identity.session_from(&session.token, at).await.unwrap().state
    }

    async fn require_of(&self, by: &Principal, roles: &[&str], at: &Origin) -> Result<i32, IdentityError> {
        let (version, policy) = self.identity.policy(HOME).await.unwrap();
        let certificate_roles = roles.iter().map(|role| (*role).to_owned()).collect();
        let policy = SecurityPolicy { certificate_roles, ..policy };
        self.identity.put_policy(by, HOME, version, &policy, at).await
    }
}

#[tokio::test]
async fn a_certificate_opens_the_account_that_it_was_added_to() {
    let house = House::taking(ClientName::None).await;
    let identity = &house.identity;
    house.add("ann", Role::Viewer).await;
    let bob = house.add("bob", Role::Viewer).await;
    let root = identity.local_operator("root").await.unwrap();
    let (anns, bobs) = (card("Ann Keller", |_| {}), card("bob", |_| {}));
    let (at_ann, at_bob) = (with(&anns), with(&bobs));
    let refused = identity.certificate_sign_in(&at_ann).await;
    assert!(matches!(refused, Err(IdentityError::BadCertificate)), "nobody's");

    let ann = house.password("ann", &at_ann).await.principal;
    let added = identity.add_own_certificate(&ann, "Smart card", &at_ann).await.unwrap();
    assert_eq!((added.name.as_str(), added.subject.as_str()), ("Smart card", "CN=Ann Keller"));
    let twice = identity.add_own_certificate(&ann, "", &at_ann).await;
    assert!(matches!(twice, Err(IdentityError::Catalog(CatalogError::Conflict(_)))));
    let none = identity.add_own_certificate(&ann, "", &from("192.0.2.1")).await;
    assert!(matches!(none, Err(IdentityError::Invalid(_))));
    identity.add_certificate(&root, HOME, bob.id, "", &bobs.pem, &Origin::default()).await.unwrap();

    let session = identity.certificate_sign_in(&at_ann).await.unwrap();
    assert_eq!((session.principal.name.as_str(), session.session.method), ("ann", SignInMethod::Certificate));
    assert_eq!(session.principal.state, SessionState::Active);
    assert!(session.principal.permissions(HOME).contains(Permission::AlertsRead));
    // Its token is worth nothing without the certificate, and a certificate is no proof for what is sensitive.
    for at in [&from("192.0.2.1"), &at_bob] {
        assert_eq!(house.state(&session, at).await, SessionState::CertificateRequired);
    }
    let elsewhere = identity.session(&session.token).await.unwrap();
    assert!(elsewhere.permissions(HOME).is_empty());
    assert!(matches!(identity.require_complete(&elsewhere), Err(IdentityError::CertificateRequired)));
    assert!(matches!(identity.require_recent(&session.principal), Err(IdentityError::StepUp)));
    let proved = identity.prove(&session.principal, GOOD, &at_ann).await.unwrap();
    identity.require_recent(&proved).unwrap();

    let held = identity.own_certificates(&proved).await.unwrap();
    assert_eq!(held[0].last_used, Some(house.clock.now()));
    let other = house.password("ann", &at_ann).await;
    identity.remove_own_certificate(&proved, held[0].id, &at_ann).await.unwrap();
    assert!(identity.session(&other.token).await.is_err(), "the other sessions ended");
    assert!(matches!(identity.certificate_sign_in(&at_ann).await, Err(IdentityError::BadCertificate)));

    let (version, off) = (bob.version, UserChange { disabled: Some(true), ..UserChange::default() });
    let change = guardian_identity::AccountChange { version, account: off, role: None };
    identity.change_user(&root, HOME, bob.id, &change, &Origin::default()).await.unwrap();
    assert!(matches!(identity.certificate_sign_in(&at_bob).await, Err(IdentityError::BadCertificate)), "disabled");
    let trail = house.trail().await;
    for action in ["certificate.add", "certificate.use", "certificate.remove", "session.failed"] {
        assert!(trail.iter().any(|a| a == action), "{action} is missing in {trail:?}");
    }
}

#[tokio::test]
async fn what_could_never_sign_in_is_not_added() {
    let house = House::taking(ClientName::None).await;
    let ann = house.add("ann", Role::Viewer).await;
    let root = house.identity.local_operator("root").await.unwrap();
    let authority = card("x", |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    let server = card("x", |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]);
    let old = card("x", |params| params.not_after = rcgen::date_time_ymd(2020, 1, 1));
    let key = KeyPair::generate().unwrap().serialize_pem();
    for (what, pem) in [
        ("nothing", ""),
        ("words", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"),
        ("a key", &key),
        ("an authority", &authority.pem),
        ("a server", &server.pem),
        ("an old one", &old.pem),
        ("something long", &"x".repeat(100_000)),
    ] {
        let added = house.identity.add_certificate(&root, HOME, ann.id, "", pem, &Origin::default()).await;
        assert!(matches!(added, Err(IdentityError::Invalid(_))), "{what}");
    }
}

#[tokio::test]
async fn names_in_certificates_find_one_account_of_the_main_tenant() {
    let upn = |params: &mut CertificateParams, name: &str| {
        let value = OtherNameValue::Utf8String(name.to_owned());
        params.subject_alt_names.push(SanType::OtherName((vec![1, 3, 6, 1, 4, 1, 311, 20, 2, 3], value)));
    };
    let mail = |params: &mut CertificateParams, name: &str| {
        params.subject_alt_names.push(SanType::Rfc822Name(name.try_into().unwrap()));
    };
    let cards = [
        ("common name", card("Ann", |_| {})),
        ("mail", card("x", |params| mail(params, "ANN@example.org"))),
        ("upn", card("x", |params| upn(params, "ann@example.org"))),
        (
            "two people",
            card("x", |params| {
                mail(params, "ann@example.org");
                mail(params, "bob@example.org");
            }),
        ),
        ("a part", card("ann keller", |params| mail(params, "ann@example.org.evil"))),
    ];
    for (name, opens) in [
        (ClientName::None, &[][..]),
        (ClientName::CommonName, &["common name"][..]),
        (ClientName::Email, &["mail"][..]),
        (ClientName::Upn, &["upn"][..]),
    ] {
        let house = House::taking(name).await;
        let root = house.identity.local_operator("root").await.unwrap();
        for who in ["ann", "bob"] {
            let user = house.add(who, Role::Viewer).await;
            let account = UserChange { email: Some(Some(format!("{who}@example.org"))), ..UserChange::default() };
            let change = guardian_identity::AccountChange { version: user.version, account, role: None };
            house.identity.change_user(&root, HOME, user.id, &change, &Origin::default()).await.unwrap();
        }
        for (what, card) in &cards {
            let done = house.identity.certificate_sign_in(&with(card)).await;
            let who = done.ok().map(|session| session.principal.name);
            assert_eq!(who.as_deref(), opens.contains(what).then_some("ann"), "{what} by {name:?}");
        }
        let ann = house.password("ann", &from("192.0.2.1")).await.principal;
        let version = house.identity.profile(&ann).await.unwrap().version;
        let own = Some(Some("bob@example.org".to_owned()));
        let changed = house.identity.change_profile(&ann, version, None, own, &from("192.0.2.1")).await;
        let fixed = matches!(name, ClientName::Email | ClientName::Upn);
        assert_eq!(changed.is_err(), fixed, "nobody chooses an address that opens accounts: {name:?}");
    }
}

#[tokio::test]
async fn a_certificate_that_ended_opens_nothing() {
    let house = House::taking(ClientName::None).await;
    let ann = house.add("ann", Role::Viewer).await;
    let root = house.identity.local_operator("root").await.unwrap();
    // The house's clock stands at the beginning of 2026.
    let card = card("ann", |params| params.not_after = rcgen::date_time_ymd(2026, 1, 2));
    house.identity.add_certificate(&root, HOME, ann.id, "", &card.pem, &Origin::default()).await.unwrap();
    let session = house.identity.certificate_sign_in(&with(&card)).await.unwrap();
    for _ in 0..3 {
        assert_eq!(house.state(&session, &with(&card)).await, SessionState::Active);
        house.secs(8 * 3_600);
    }
    assert_eq!(house.state(&session, &with(&card)).await, SessionState::CertificateRequired);
    assert!(house.identity.certificate_sign_in(&with(&card)).await.is_err());
}

#[tokio::test]
async fn a_role_may_ask_for_a_certificate() {
    let house = House::taking(ClientName::None).await;
    let identity = &house.identity;
    let (plain, local) = (from("192.0.2.1"), Origin::default());
    let ann = house.add("ann", Role::Admin).await;
    house.add("vera", Role::Viewer).await;
    let operator = identity.local_operator("root").await.unwrap();
    let (anns, others) = (card("ann", |_| {}), card("vera", |_| {}));
    let open = house.password("ann", &plain).await;
    let shut_out = house.require_of(&open.principal, &["admin"], &plain).await;
    assert!(matches!(shut_out, Err(IdentityError::Invalid(_))), "nobody shuts themselves out");
    identity.add_own_certificate(&open.principal, "", &with(&anns)).await.unwrap();
    assert!(house.require_of(&open.principal, &["admin"], &with(&others)).await.is_err(), "nor with another's");
    let expires = house.clock.now() + Micros::DAY;
    let allowed = [Permission::AlertsRead];
    let key = identity.create_api_key(&open.principal, HOME, "k", &allowed, expires, &plain).await.unwrap();
    let tokens = identity.issue_tokens("ann", GOOD, None, &plain).await.unwrap();

    house.require_of(&open.principal, &["admin"], &with(&anns)).await.unwrap();
    assert_eq!(house.state(&open, &plain).await, SessionState::CertificateRequired, "at once, for open sessions too");
    assert_eq!(house.state(&open, &with(&others)).await, SessionState::CertificateRequired);
    assert_eq!(house.state(&open, &with(&anns)).await, SessionState::Active);
    let closed = identity.session(&open.token).await.unwrap();
    assert!(closed.permissions(HOME).is_empty());
    let sneaked = identity.add_own_certificate(&closed, "", &with(&others)).await;
    assert!(matches!(sneaked, Err(IdentityError::CertificateRequired)), "nor is another one added there");
    assert!(matches!(identity.begin_totp(&closed, "", &plain).await, Err(IdentityError::CertificateRequired)));
    let vera = house.password("vera", &plain).await;
    assert_eq!(vera.principal.state, SessionState::Active, "other roles stay");

    // Programs as well.
    for token in [key.text.as_str(), tokens.access.as_str()] {
        assert!(matches!(identity.bearer(token, &plain).await, Err(IdentityError::CertificateRequired)));
        assert!(matches!(identity.bearer(token, &with(&others)).await, Err(IdentityError::CertificateRequired)));
        identity.bearer(token, &with(&anns)).await.unwrap();
    }
    let fresh = identity.issue_tokens("ann", GOOD, None, &plain).await;
    assert!(matches!(fresh, Err(IdentityError::CertificateRequired)));
    let again = identity.refresh_tokens(&tokens.refresh, &plain).await;
    assert!(matches!(again, Err(IdentityError::CertificateRequired)));
    identity.refresh_tokens(&tokens.refresh, &with(&anns)).await.unwrap();
    let exempt = house.restart();
    exempt.accept_certificates(CertificateSettings { name: ClientName::None, exempt_programs: true });
    exempt.bearer(&key.text, &plain).await.unwrap();
    assert_eq!(exempt.session(&open.token).await.unwrap().state, SessionState::CertificateRequired);

    // The certificate in hand stays; another administrator's word, or the command line, is the way back in.
    let inside = identity.session_from(&open.token, &with(&anns)).await.unwrap();
    let held = identity.own_certificates(&inside).await.unwrap();
    let gone = identity.remove_own_certificate(&inside, held[0].id, &with(&anns)).await;
    assert!(matches!(gone, Err(IdentityError::Catalog(CatalogError::Conflict(_)))));
    identity.remove_certificate(&operator, HOME, ann.id, held[0].id, &local).await.unwrap();
    let stuck = house.password("ann", &with(&anns)).await;
    assert_eq!(stuck.principal.state, SessionState::CertificateRequired);
    let draft = RoleDraft {
        name: "careful".into(),
        description: String::new(),
        permissions: vec!["alerts:read".into()],
        mfa_required: false,
        certificate_required: true,
    };
    identity.create_role(&operator, HOME, &draft, &local).await.unwrap();
    let found = identity.catalog().system().credentials_by_name("vera").await.unwrap().unwrap();
    identity.set_membership(&operator, HOME, found.user.id, Some("careful"), &local).await.unwrap();
    assert_eq!(house.state(&vera, &plain).await, SessionState::CertificateRequired, "a role of the tenant's own");
    let waived = identity.waive_certificates(&operator, HOME, &local).await.unwrap();
    assert_eq!(waived, ["admin", "careful"]);
    assert_eq!(house.state(&stuck, &plain).await, SessionState::Active);
    assert_eq!(house.state(&vera, &plain).await, SessionState::Active);
}

#[tokio::test]
async fn nobody_is_asked_for_what_nobody_can_show() {
    let house = House::new().await;
    let root = house.identity.local_operator("root").await.unwrap();
    let asked = house.require_of(&root, &["admin"], &Origin::default()).await;
    assert!(matches!(asked, Err(IdentityError::Invalid(text)) if text.contains("server.tls.client_ca")));
}

#[tokio::test]
async fn a_certificate_beside_a_password_is_a_second_factor() {
    let house = House::taking(ClientName::None).await;
    let (identity, plain) = (&house.identity, from("192.0.2.1"));
    house.add("ann", Role::Viewer).await;
    let root = house.add("root", Role::Admin).await;
    let anns = card("ann", |_| {});
    let first = house.password("ann", &plain).await.principal;
    identity.add_own_certificate(&first, "", &with(&anns)).await.unwrap();
    let policy = SecurityPolicy { mfa_required: true, ..SecurityPolicy::default() };
    let operator = identity.local_operator("root").await.unwrap();
    identity.put_policy(&operator, HOME, 0, &policy, &plain).await.unwrap();

    let both = house.password("ann", &with(&anns)).await;
    assert_eq!(both.principal.state, SessionState::Active);
    // A password alone must not add a weaker factor to an account that has a certificate.
    assert_eq!(house.state(&both, &plain).await, SessionState::CertificateRequired);
    let alone = identity.certificate_sign_in(&with(&anns)).await.unwrap();
    assert_eq!(alone.principal.state, SessionState::EnrolmentRequired, "a certificate alone is one factor");
    let enrolled = identity.begin_totp(&alone.principal, "", &with(&anns)).await;
    assert!(matches!(enrolled, Err(IdentityError::StepUp)), "and proves nothing");
    let rooted = house.password("root", &with(&anns)).await;
    assert_eq!(rooted.principal.state, SessionState::EnrolmentRequired, "somebody else's is no factor");
    assert_eq!(rooted.principal.user, Some(root.id));
}
