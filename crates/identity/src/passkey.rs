//! Passkeys (Web Authentication Level 3): keys that a device or a password manager holds for one web site. A passkey
//! always proves its holder, too (user verification), so that it is both factors at once: it signs in alone, completes a
//! sign-in with a password, and opens what is sensitive.

use guardian_catalog::{CatalogError, FactorKind, Opening, SecondFactor, SignInMethod};
use guardian_model::UserId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;
use webauthn_rs::prelude::{
    DiscoverableAuthentication, Passkey, PasskeyAuthentication, PasskeyRegistration, PublicKeyCredential,
    RegisterPublicKeyCredential, Url, Webauthn, WebauthnBuilder, WebauthnError,
};
use zeroize::Zeroizing;

use crate::factor::{enrolling_session, put_recovery_codes};
use crate::service::address;
use crate::sign_in::{may_sign_in, own_session};
use crate::{Identity, IdentityError, Origin, Principal, SignedIn, secret};

/// Longest answer of a browser that is looked at, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1_024;

/// The web site that passkeys are made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelyingParty {
    id: String,
    origin: Url,
}

impl RelyingParty {
    /// The site of a request for `host` (name and perhaps port). With a configured `public_url` only that is one;
    /// otherwise the names that the server's certificate is for, so that nobody gets a passkey made for a name that only
    /// the request claims. Browsers make none for bare addresses.
    pub fn of(public_url: Option<&str>, names: &[String], host: &str) -> Option<Self> {
        let asked = Url::parse(&format!("https://{host}")).ok()?;
        let name = asked.domain()?.to_owned();
        let origin = match public_url {
            Some(url) => {
                Url::parse(url).ok().filter(|url| url.domain() == Some(name.as_str()) && url.port() == asked.port())?
            }
            None if names.iter().any(|n| n.eq_ignore_ascii_case(&name)) => asked,
            None => return None,
        };
        Some(Self { id: name, origin })
    }

    fn webauthn(&self) -> Result<Webauthn, IdentityError> {
        let built = WebauthnBuilder::new(&self.id, &self.origin).map(|b| b.rp_name("Guardian"));
        built.and_then(WebauthnBuilder::build).map_err(|error| IdentityError::Hash(error.to_string()))
    }
}

/// What a browser is asked, and the name under which its answer is awaited.
#[derive(Debug)]
pub struct PasskeyQuestion {
    /// The name.
    pub ceremony: String,
    /// `{"publicKey": …}` in WebAuthn's JSON form.
    pub options: Value,
}

/// A question whose answer is awaited.
#[derive(Debug)]
pub(crate) enum Ceremony {
    Register { user: UserId, name: String, site: RelyingParty, state: Box<PasskeyRegistration> },
    SignIn { site: RelyingParty, state: Box<DiscoverableAuthentication> },
    Prove { user: UserId, site: RelyingParty, state: Box<PasskeyAuthentication> },
}

/// What is kept of a passkey, sealed.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// The site that it was made for.
    site: String,
    key: Passkey,
}

impl Identity {
    /// Begins to add a passkey to the principal's own account.
    pub async fn begin_passkey(
        &self,
        principal: &Principal,
        name: &str,
        site: RelyingParty,
        origin: &Origin,
    ) -> Result<PasskeyQuestion, IdentityError> {
        let (user, _) = enrolling_session(principal)?;
        self.require_recent(principal)?;
        let shown = self.profile(principal).await?.display_name;
        let known = self.passkeys(user, None).await?.into_iter().map(|(_, kept)| kept.key.cred_id().clone()).collect();
        let (question, state) = site
            .webauthn()?
            .start_passkey_registration(user.0, &principal.name, &shown, Some(known))
            .map_err(|error| IdentityError::Hash(error.to_string()))?;
        let mut options = json!(question);
        // A key that is kept on the device is found without a name; a device that keeps none still is a second factor.
        if let Some(selection) = options.pointer_mut("/publicKey/authenticatorSelection") {
            selection["residentKey"] = json!("preferred");
        }
        let name = if name.trim().is_empty() { "Passkey".to_owned() } else { name.to_owned() };
        self.ask(Ceremony::Register { user, name, site, state: Box::new(state) }, options, origin)
    }

    /// Adds the passkey that a browser made. With the first factor of an account come its recovery codes, and its other
    /// sessions end, because they were opened with less.
    pub async fn confirm_passkey(
        &self,
        principal: &Principal,
        ceremony: &str,
        answer: Value,
        origin: &Origin,
    ) -> Result<(SecondFactor, Vec<Zeroizing<String>>), IdentityError> {
        let (user, session) = enrolling_session(principal)?;
        self.require_recent(principal)?;
        let Ceremony::Register { user: asked, name, site, state } = self.answered(ceremony)? else {
            return Err(CatalogError::NotFound("ceremony").into());
        };
        if asked != user {
            return Err(CatalogError::NotFound("ceremony").into());
        }
        let answer: RegisterPublicKeyCredential = parsed(answer)?;
        let key = site.webauthn()?.finish_passkey_registration(&answer, &state).map_err(|e| refused(&e))?;
        let handle = handle(key.cred_id().as_ref());
        let sealed = self.seal_passkey(user, &Kept { site: site.id, key }).await?;
        let mut tx = self.begin(principal.home, principal.actor(origin)).await?;
        let first = !tx.factors_of(user).await?.iter().any(|f| f.confirmed);
        let factor = tx.add_passkey(user, &name, handle, sealed).await?;
        let codes = if first { put_recovery_codes(&mut tx, user).await? } else { Vec::new() };
        tx.prove_session(user, session, true, None).await?;
        if first {
            tx.close_sessions(user, Some(session)).await?;
        }
        tx.commit().await?;
        Ok((factor, codes))
    }

    /// Asks for one of the principal's own passkeys, to complete a sign-in or to prove oneself once more.
    pub async fn ask_passkey(
        &self,
        principal: &Principal,
        site: RelyingParty,
        origin: &Origin,
    ) -> Result<PasskeyQuestion, IdentityError> {
        let (user, _) = own_session(principal)?;
        let keys: Vec<Passkey> =
            self.passkeys(user, Some(&site)).await?.into_iter().map(|(_, kept)| kept.key).collect();
        if keys.is_empty() {
            return Err(IdentityError::Invalid("this account has no passkey for this address".into()));
        }
        let (question, state) = site
            .webauthn()?
            .start_passkey_authentication(&keys)
            .map_err(|error| IdentityError::Hash(error.to_string()))?;
        self.ask(Ceremony::Prove { user, site, state: Box::new(state) }, json!(question), origin)
    }

    /// Completes a sign-in, or proves oneself once more, with a passkey. The session gets a new token.
    pub async fn prove_passkey(
        &self,
        principal: &Principal,
        ceremony: &str,
        answer: Value,
        origin: &Origin,
    ) -> Result<SignedIn, IdentityError> {
        let (user, session) = own_session(principal)?;
        let Ceremony::Prove { user: asked, site, state } = self.answered(ceremony)? else {
            return Err(CatalogError::NotFound("ceremony").into());
        };
        if asked != user {
            return Err(CatalogError::NotFound("ceremony").into());
        }
        let answer: PublicKeyCredential = parsed(answer)?;
        let verified = site.webauthn()?.finish_passkey_authentication(&answer, &state);
        let held = self.passkeys(user, Some(&site)).await?;
        let used = verified.ok().and_then(|done| {
            let (factor, mut kept) = held.into_iter().find(|(_, kept)| kept.key.cred_id() == done.cred_id())?;
            kept.key.update_credential(&done);
            Some((factor, kept))
        });
        let Some((factor, kept)) = used else {
            self.note_bad_code(principal, origin).await?;
            return Err(IdentityError::BadPasskey);
        };
        let (token, sealed) = (secret::token()?, self.seal_passkey(user, &kept).await?);
        let mut tx = self.begin(principal.home, principal.actor(origin)).await?;
        tx.use_passkey(user, factor.id, sealed).await?;
        let session = tx.prove_session(user, session, true, Some(secret::hash("session", &token))).await?;
        tx.commit().await?;
        let principal = self.session_from(&token, origin).await?;
        Ok(SignedIn { token, session, principal })
    }

    /// Asks whoever is there for any passkey of this site: it says whose it is.
    pub fn begin_passkey_sign_in(&self, site: RelyingParty, origin: &Origin) -> Result<PasskeyQuestion, IdentityError> {
        let (question, state) = site
            .webauthn()?
            .start_discoverable_authentication()
            .map_err(|error| IdentityError::Hash(error.to_string()))?;
        // Whether the browser asks at once or offers it beside the name is the page's choice.
        let options = json!({ "publicKey": question.public_key });
        self.ask(Ceremony::SignIn { site, state: Box::new(state) }, options, origin)
    }

    /// Signs somebody in with a passkey alone. It is both factors, so that nothing more is asked.
    pub async fn passkey_sign_in(
        &self,
        ceremony: &str,
        answer: Value,
        origin: &Origin,
    ) -> Result<SignedIn, IdentityError> {
        let Ceremony::SignIn { site, state } = self.answered(ceremony)? else {
            return Err(CatalogError::NotFound("ceremony").into());
        };
        let answer: PublicKeyCredential = parsed(answer)?;
        let system = self.inner.catalog.system();
        let Some(factor) = system.passkey(&handle(answer.get_credential_id())).await? else {
            return self.refuse_passkey("", origin).await;
        };
        let known = system.credentials(factor.user).await?.ok_or(IdentityError::BadPasskey)?;
        let mut kept = self.open_passkey(&factor).await?;
        let webauthn = site.webauthn()?;
        let owner = webauthn.identify_discoverable_authentication(&answer).is_ok_and(|(id, _)| id == factor.user.0);
        let verified = webauthn.finish_discoverable_authentication_v2(&answer, *state, &kept.key);
        let (Ok(done), true, true) = (verified, owner && kept.site == site.id, may_sign_in(&known)) else {
            return self.refuse_passkey(&known.user.name, origin).await;
        };
        kept.key.update_credential(&done);
        let sealed = self.seal_passkey(factor.user, &kept).await?;
        let mut tx = self.begin(known.user.home_tenant, crate::sign_in::user_actor(&known, origin)).await?;
        tx.use_passkey(factor.user, factor.id, sealed).await?;
        tx.commit().await?;
        let opening = Opening { factor: true, ..Opening::with(SignInMethod::Passkey) };
        self.open_session(known, opening, origin).await
    }

    /// Gives one of the principal's own factors another name.
    pub async fn rename_factor(
        &self,
        principal: &Principal,
        id: Uuid,
        name: &str,
        origin: &Origin,
    ) -> Result<SecondFactor, IdentityError> {
        let (user, _) = crate::sign_in::active_session(principal)?;
        let mut tx = self.begin(principal.home, principal.actor(origin)).await?;
        let factor = tx.rename_factor(user, id, name).await?;
        tx.commit().await?;
        Ok(factor)
    }

    fn ask(&self, ceremony: Ceremony, options: Value, origin: &Origin) -> Result<PasskeyQuestion, IdentityError> {
        let now = self.inner.clock.monotonic();
        let ceremony = self.inner.ceremonies.put(ceremony, address(origin.ip), now)?;
        Ok(PasskeyQuestion { ceremony, options })
    }

    fn answered(&self, ceremony: &str) -> Result<Ceremony, IdentityError> {
        let found = self.inner.ceremonies.take(ceremony, self.inner.clock.monotonic());
        found.ok_or_else(|| CatalogError::NotFound("ceremony").into())
    }

    async fn refuse_passkey(&self, account: &str, origin: &Origin) -> Result<SignedIn, IdentityError> {
        if self.may_note(origin) {
            self.note_failure("session.failed", account, origin).await?;
        }
        Err(IdentityError::BadPasskey)
    }

    /// The passkeys of an account, of one site or all.
    async fn passkeys(
        &self,
        user: UserId,
        site: Option<&RelyingParty>,
    ) -> Result<Vec<(SecondFactor, Kept)>, IdentityError> {
        let mut found = Vec::new();
        for factor in self.inner.catalog.system().factors(user).await? {
            if factor.kind == FactorKind::Passkey && factor.confirmed {
                let kept = self.open_passkey(&factor).await?;
                if site.is_none_or(|site| site.id == kept.site) {
                    found.push((factor, kept));
                }
            }
        }
        Ok(found)
    }

    async fn open_passkey(&self, factor: &SecondFactor) -> Result<Kept, IdentityError> {
        let bytes = self.unseal(&factor.user.to_string(), &factor.secret).await?;
        serde_json::from_slice(&bytes).map_err(|error| IdentityError::Hash(format!("a kept passkey: {error}")))
    }

    async fn seal_passkey(&self, user: UserId, kept: &Kept) -> Result<String, IdentityError> {
        let bytes = serde_json::to_vec(kept).map_err(|error| IdentityError::Hash(error.to_string()))?;
        self.seal(&user.to_string(), &bytes).await
    }
}

/// What a passkey is found by: a hash, because its own name has up to a kilobyte.
fn handle(credential: &[u8]) -> String {
    blake3::Hasher::new_derive_key("guardian passkey handle v1").update(credential).finalize().to_hex().to_string()
}

fn parsed<T: serde::de::DeserializeOwned>(answer: Value) -> Result<T, IdentityError> {
    if answer.to_string().len() > ANSWER_BYTES_MAX {
        return Err(IdentityError::Invalid("the passkey's answer is too long".into()));
    }
    serde_json::from_value(answer)
        .map_err(|error| IdentityError::Invalid(format!("`credential` is no answer of a browser: {error}")))
}

fn refused(error: &WebauthnError) -> IdentityError {
    tracing::debug!(%error, "a passkey was refused");
    IdentityError::BadPasskey
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passkeys_are_made_for_names_that_are_ours() {
        let names = ["localhost".to_owned(), "guardian.example".to_owned(), "192.0.2.1".to_owned()];
        for (public, host, expected) in [
            (None, "localhost:8443", Some(("localhost", "https://localhost:8443/"))),
            (None, "Guardian.Example", Some(("guardian.example", "https://guardian.example/"))),
            (None, "evil.example", None),
            (None, "192.0.2.1:8443", None),
            (None, "[::1]:8443", None),
            (None, "", None),
            (None, "a b", None),
            (Some("https://g.example"), "g.example", Some(("g.example", "https://g.example/"))),
            (Some("https://g.example/"), "g.example:443", Some(("g.example", "https://g.example/"))),
            (Some("https://g.example"), "g.example:8443", None),
            (Some("https://g.example"), "localhost:8443", None),
        ] {
            let found = RelyingParty::of(public, &names, host);
            let shown = found.as_ref().map(|site| (site.id.as_str(), site.origin.as_str()));
            assert_eq!(shown, expected, "{public:?} {host}");
            assert!(found.is_none_or(|site| site.webauthn().is_ok()));
        }
    }
}
