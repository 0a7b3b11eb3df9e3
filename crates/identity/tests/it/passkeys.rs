//! Passkeys, signed by an authenticator of the test's own (WebAuthn Level 3, sections 6 and 7).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use guardian_identity::{
    IdentityError, Origin, PasskeyQuestion, Principal, RelyingParty, Role, SessionState, SignedIn,
};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};
use sha2::Digest as _;

use crate::{GOOD, HOME, House, from};

/// Present, verified, and (with a credential) attested data included: the flags of authenticator data.
const PRESENT_VERIFIED: u8 = 0b0000_0101;
const WITH_CREDENTIAL: u8 = 0b0100_0000;

/// A device that holds one key.
struct Device {
    key: EcdsaKeyPair,
    id: Vec<u8>,
    user: Vec<u8>,
    counter: u32,
    origin: &'static str,
    flags: u8,
}

fn bytes(value: &Value) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(value.as_str().unwrap()).unwrap()
}

fn text(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A CBOR byte string (RFC 8949, major type 2) of less than 65,536 bytes.
fn cbor_bytes(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0x59];
    out.extend((bytes.len() as u16).to_be_bytes());
    out.extend(bytes);
    out
}

impl Device {
    fn new(id: &[u8]) -> Self {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, document.as_ref(), &random).unwrap();
        let origin = "https://localhost:8443";
        Self { key, id: id.to_vec(), user: Vec::new(), counter: 0, origin, flags: PRESENT_VERIFIED }
    }

    fn client_data(&self, kind: &str, options: &Value) -> Vec<u8> {
        let data = json!({"type": kind, "challenge": options["publicKey"]["challenge"], "origin": self.origin});
        data.to_string().into_bytes()
    }

    /// Authenticator data (section 6.1): hash of the site, flags, counter.
    fn data(&mut self, site: &str, flags: u8) -> Vec<u8> {
        self.counter += 1;
        let mut data = sha2::Sha256::digest(site.as_bytes()).to_vec();
        data.push(flags);
        data.extend(self.counter.to_be_bytes());
        data
    }

    /// Answers `navigator.credentials.create()`.
    fn create(&mut self, options: &Value) -> Value {
        let public = &options["publicKey"];
        self.user = bytes(&public["user"]["id"]);
        let client = self.client_data("webauthn.create", options);
        let mut data = self.data(public["rp"]["id"].as_str().unwrap(), self.flags | WITH_CREDENTIAL);
        data.extend([0; 16]);
        data.extend((self.id.len() as u16).to_be_bytes());
        data.extend(&self.id);
        // A COSE key (RFC 9053, section 7.1): EC2, ES256, P-256, x, y.
        let point = self.key.public_key().as_ref();
        data.extend([0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21]);
        data.extend(cbor_bytes(&point[1..33]));
        data.push(0x22);
        data.extend(cbor_bytes(&point[33..]));
        let mut attestation = vec![0xa3, 0x63];
        attestation.extend(b"fmt");
        attestation.push(0x64);
        attestation.extend(b"none");
        attestation.push(0x67);
        attestation.extend(b"attStmt");
        attestation.extend([0xa0, 0x68]);
        attestation.extend(b"authData");
        attestation.extend(cbor_bytes(&data));
        json!({"id": text(&self.id), "rawId": text(&self.id), "type": "public-key", "clientExtensionResults": {},
            "response": {"attestationObject": text(&attestation), "clientDataJSON": text(&client)}})
    }

    /// Answers `navigator.credentials.get()`.
    fn get(&mut self, options: &Value) -> Value {
        let site = options["publicKey"]["rpId"].as_str().unwrap().to_owned();
        let client = self.client_data("webauthn.get", options);
        let data = self.data(&site, self.flags);
        let mut signed = data.clone();
        signed.extend(sha2::Sha256::digest(&client));
        let signature = self.key.sign(&SystemRandom::new(), &signed).unwrap();
        json!({"id": text(&self.id), "rawId": text(&self.id), "type": "public-key", "clientExtensionResults": {},
            "response": {"authenticatorData": text(&data), "clientDataJSON": text(&client),
                "signature": text(signature.as_ref()), "userHandle": text(&self.user)}})
    }
}

fn here() -> RelyingParty {
    RelyingParty::of(None, &["localhost".into()], "localhost:8443").unwrap()
}

struct Desk {
    house: House,
    at: Origin,
}

impl Desk {
    async fn new() -> Self {
        let house = House::new().await;
        house.add("ann", Role::Operator).await;
        Self { house, at: from("192.0.2.1") }
    }

    async fn password(&self) -> Principal {
        let signed_in = self.house.identity.sign_in("ann", GOOD, &self.at).await.unwrap();
        self.house.identity.session(&signed_in.token).await.unwrap()
    }

    async fn add(&self, principal: &Principal, device: &mut Device) -> Vec<String> {
        let asked = self.house.identity.begin_passkey(principal, "laptop", here(), &self.at).await.unwrap();
        let answer = device.create(&asked.options);
        let done = self.house.identity.confirm_passkey(principal, &asked.ceremony, answer, &self.at).await.unwrap();
        assert_eq!((done.0.name.as_str(), done.0.confirmed), ("laptop", true));
        done.1.iter().map(|code| code.to_string()).collect()
    }

    fn ask(&self) -> PasskeyQuestion {
        self.house.identity.begin_passkey_sign_in(here(), &self.at).unwrap()
    }

    async fn alone(&self, device: &mut Device) -> Result<SignedIn, IdentityError> {
        let asked = self.ask();
        let answer = device.get(&asked.options);
        self.house.identity.passkey_sign_in(&asked.ceremony, answer, &self.at).await
    }
}

#[tokio::test]
async fn a_passkey_signs_in_alone_and_completes_a_password() {
    let desk = Desk::new().await;
    let identity = &desk.house.identity;
    let principal = desk.password().await;
    let mut device = Device::new(b"a credential of this device");
    let asked = identity.begin_passkey(&principal, "laptop", here(), &desk.at).await.unwrap();
    let public = &asked.options["publicKey"];
    assert_eq!(public["rp"]["id"], "localhost");
    assert_eq!(public["authenticatorSelection"]["residentKey"], "preferred", "found without a name");
    assert_eq!(public["authenticatorSelection"]["userVerification"], "required");
    let codes = desk.add(&principal, &mut device).await;
    assert_eq!(codes.len(), 10, "recovery codes come with the first factor");

    let signed_in = desk.alone(&mut device).await.unwrap();
    assert_eq!(signed_in.principal.name, "ann");
    assert_eq!(signed_in.principal.state, SessionState::Active, "both factors at once");
    assert!(identity.require_recent(&signed_in.principal).is_ok());

    let principal = desk.password().await;
    assert_eq!(principal.state, SessionState::FactorRequired, "a password alone opens nothing any more");
    let mfa = identity.mfa(&principal).await.unwrap();
    assert_eq!(mfa.methods, ["passkey", "recovery_code"]);
    let asked = identity.ask_passkey(&principal, here(), &desk.at).await.unwrap();
    assert_eq!(bytes(&asked.options["publicKey"]["allowCredentials"][0]["id"]), device.id);
    let answer = device.get(&asked.options);
    let done = identity.prove_passkey(&principal, &asked.ceremony, answer.clone(), &desk.at).await.unwrap();
    assert_eq!(done.principal.state, SessionState::Active);
    let again = identity.prove_passkey(&done.principal, &asked.ceremony, answer, &desk.at).await;
    assert!(matches!(again, Err(IdentityError::Catalog(_))), "a question is answered once");
    let coded = desk.password().await;
    identity.prove_factor(&coded, &codes[0], &desk.at).await.unwrap();

    // Step-up: after a while the passkey opens what is sensitive again.
    desk.house.secs(11 * 60);
    let late = identity.session(&done.token).await.unwrap();
    assert!(matches!(identity.require_recent(&late), Err(IdentityError::StepUp)));
    let asked = identity.ask_passkey(&late, here(), &desk.at).await.unwrap();
    let answer = device.get(&asked.options);
    let proved = identity.prove_passkey(&late, &asked.ceremony, answer, &desk.at).await.unwrap();
    assert!(identity.require_recent(&proved.principal).is_ok());
    assert!(identity.session(&done.token).await.is_err(), "the token was replaced");

    let id = identity.factors(&proved.principal).await.unwrap().factors[0].id;
    assert_eq!(identity.rename_factor(&proved.principal, id, "desk", &desk.at).await.unwrap().name, "desk");
    identity.remove_factor(&proved.principal, id, &desk.at).await.unwrap();
    assert!(matches!(desk.alone(&mut device).await, Err(IdentityError::BadPasskey)), "it is forgotten");
    let trail = desk.house.trail().await;
    for action in ["factor.add", "factor.use", "session.proved", "factor.rename", "factor.remove", "session.failed"] {
        assert!(trail.iter().any(|a| a == action), "{action} in {trail:?}");
    }
}

#[tokio::test]
async fn what_is_not_quite_right_is_refused() {
    let desk = Desk::new().await;
    let identity = &desk.house.identity;
    let principal = desk.password().await;
    let mut device = Device::new(b"one");
    desk.add(&principal, &mut device).await;
    let refused = |answer: Result<SignedIn, IdentityError>, why: &str| {
        assert!(matches!(answer, Err(IdentityError::BadPasskey)), "{why}: {:?}", answer.err());
    };

    device.origin = "https://localhost.evil.example";
    refused(desk.alone(&mut device).await, "asked by another site");
    device.origin = "https://localhost:8443";
    device.flags = 1;
    refused(desk.alone(&mut device).await, "the holder did not prove themselves to the device");
    device.flags = PRESENT_VERIFIED;
    let (first, second) = (desk.ask(), desk.ask());
    let answer = device.get(&first.options);
    refused(identity.passkey_sign_in(&second.ceremony, answer, &desk.at).await, "another question's answer");
    let asked = desk.ask();
    let mut answer = device.get(&asked.options);
    answer["response"]["userHandle"] = json!(text(&[7; 16]));
    refused(identity.passkey_sign_in(&asked.ceremony, answer, &desk.at).await, "it says it is somebody else's");
    let mut stranger = Device::new(b"two");
    refused(desk.alone(&mut stranger).await, "unknown here");
    let mut forged = Device::new(b"one");
    forged.user.clone_from(&device.user);
    forged.counter = 100;
    refused(desk.alone(&mut forged).await, "the right name, another key");
    desk.alone(&mut device).await.unwrap();
    device.counter -= 1;
    refused(desk.alone(&mut device).await, "a counter that stands still means a copy");
    let asked = desk.ask();
    let nonsense = identity.passkey_sign_in(&asked.ceremony, json!({"id": 1}), &desk.at).await;
    assert!(matches!(nonsense, Err(IdentityError::Invalid(_))));
    let asked = desk.ask();
    desk.house.secs(5 * 60);
    let answer = device.get(&asked.options);
    let late = identity.passkey_sign_in(&asked.ceremony, answer, &desk.at).await;
    assert!(matches!(late, Err(IdentityError::Catalog(_))), "five minutes are over");

    // Somebody else can neither use nor take over what was asked of ann.
    let bob = desk.house.add("bob", Role::Viewer).await;
    let theirs = identity.sign_in("bob", GOOD, &desk.at).await.unwrap().principal;
    let mine = desk.alone(&mut device).await.unwrap().principal;
    let asked = identity.begin_passkey(&mine, "", here(), &desk.at).await.unwrap();
    let answer = Device::new(b"three").create(&asked.options);
    assert!(identity.confirm_passkey(&theirs, &asked.ceremony, answer, &desk.at).await.is_err());
    let asked = identity.begin_passkey(&theirs, "", here(), &desk.at).await.unwrap();
    let taken = device.create(&asked.options);
    let taken = identity.confirm_passkey(&theirs, &asked.ceremony, taken, &desk.at).await;
    assert!(matches!(taken, Err(IdentityError::Catalog(_))), "a passkey has one owner");
    assert!(identity.ask_passkey(&theirs, here(), &desk.at).await.is_err(), "bob has none");

    // A disabled account's passkey opens nothing.
    let mut own = Device::new(b"of bob");
    desk.add(&theirs, &mut own).await;
    desk.alone(&mut own).await.unwrap();
    let root = identity.local_operator("root").await.unwrap();
    let account = guardian_catalog::UserChange { disabled: Some(true), ..Default::default() };
    let change = guardian_identity::AccountChange { version: bob.version, account, role: None };
    identity.change_user(&root, HOME, bob.id, &change, &desk.at).await.unwrap();
    refused(desk.alone(&mut own).await, "disabled");
}

#[tokio::test]
async fn a_passkey_satisfies_those_who_ask_for_a_second_factor() {
    let desk = Desk::new().await;
    let identity = &desk.house.identity;
    let root = identity.local_operator("root").await.unwrap();
    let policy = guardian_identity::SecurityPolicy { mfa_required: true, ..Default::default() };
    identity.put_policy(&root, HOME, 0, &policy, &desk.at).await.unwrap();
    let principal = desk.password().await;
    assert_eq!(principal.state, SessionState::EnrolmentRequired);
    let mut device = Device::new(b"first of all");
    desk.add(&principal, &mut device).await;
    let signed_in = desk.alone(&mut device).await.unwrap();
    assert_eq!(signed_in.principal.state, SessionState::Active);
    let id = identity.factors(&signed_in.principal).await.unwrap().factors[0].id;
    identity.remove_factor(&signed_in.principal, id, &desk.at).await.unwrap();
    let left = identity.session(&signed_in.token).await.unwrap();
    assert_eq!(left.state, SessionState::EnrolmentRequired, "without one, adding one is all that is allowed");
}
