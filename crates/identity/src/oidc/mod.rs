//! Signing in by way of a provider of OpenID Connect: authorization code with PKCE, a nonce, and a state that only the
//! browser that set out has. One way serves three purposes: signing in, linking an account that is there, and proving
//! oneself once more.

mod config;
mod provider;

use std::time::Duration;

use guardian_catalog::{CatalogError, Opening, SignInMethod, Subject};
use guardian_model::{Micros, TenantId, UserId};
use serde_json::json;
use uuid::Uuid;

pub use self::config::{FactorTrust, OidcProvider};
pub(crate) use self::provider::Known;
use self::provider::{Protocol, Said};
use crate::service::address;
use crate::sign_in::own_session;
use crate::{Identity, IdentityError, Origin, Principal, SignedIn, secret};

/// How long ago somebody may have proved themselves at the provider to count as just now; clocks differ.
const JUST_NOW: i64 = Micros::MINUTE;
/// Longest address to come back to, in bytes.
const BACK_BYTES_MAX: usize = 500;

/// Somebody on the way to a provider.
#[derive(Debug)]
pub(crate) struct Journey {
    provider: String,
    purpose: Purpose,
    redirect: String,
    back: String,
    nonce: String,
    /// Set once the provider's address is known.
    verifier: String,
    began: Micros,
}

#[derive(Clone, Copy, Debug)]
enum Purpose {
    SignIn,
    Link { user: UserId, home: TenantId },
    Prove { user: UserId, home: TenantId, session: Uuid },
}

/// A journey that begins.
pub struct OidcDeparture {
    /// The address at the provider.
    pub url: String,
    /// What the browser keeps until it comes back, in a cookie: nobody else can end the journey.
    pub state: String,
}

/// What a browser brings back.
#[derive(Clone, Debug, Default)]
pub struct OidcArrival {
    /// The state in the address.
    pub state: String,
    /// The state in the browser's cookie.
    pub kept: String,
    /// The provider's code.
    pub code: Option<String>,
    /// The provider's refusal.
    pub error: Option<String>,
    /// The issuer that the provider says it is (RFC 9207).
    pub issuer: Option<String>,
}

/// What became of a journey.
pub enum OidcOutcome {
    /// Signed in.
    SignedIn(Box<SignedIn>),
    /// Linked, or proved once more.
    Done,
    /// Not let in; the word says why.
    Failed(&'static str),
}

/// The end of a journey.
pub struct OidcReturn {
    /// Where to go in the console.
    pub back: String,
    /// What became of it.
    pub outcome: OidcOutcome,
}

impl Identity {
    /// The providers, in the order of the configuration.
    pub fn oidc_providers(&self) -> &[OidcProvider] {
        &self.inner.config.oidc
    }

    /// Sets out to sign in. `base` is the address of this server, `back` a path of the console.
    pub async fn depart_to_sign_in(
        &self,
        provider: &str,
        base: &str,
        back: &str,
        origin: &Origin,
    ) -> Result<OidcDeparture, IdentityError> {
        self.depart(provider, Purpose::SignIn, base, back, origin).await
    }

    /// Sets out to link the principal's own account with one at a provider.
    pub async fn depart_to_link(
        &self,
        principal: &Principal,
        provider: &str,
        base: &str,
        back: &str,
        origin: &Origin,
    ) -> Result<OidcDeparture, IdentityError> {
        let (user, _) = crate::sign_in::active_session(principal)?;
        self.require_recent(principal)?;
        self.depart(provider, Purpose::Link { user, home: principal.home }, base, back, origin).await
    }

    /// Sets out to prove oneself once more at the provider that one signed in with.
    pub async fn depart_to_prove(
        &self,
        principal: &Principal,
        base: &str,
        back: &str,
        origin: &Origin,
    ) -> Result<OidcDeparture, IdentityError> {
        let (user, session) = own_session(principal)?;
        let system = self.inner.catalog.system();
        let known = system.credentials(user).await?.ok_or(IdentityError::NotSignedIn)?;
        if known.factors > 0 {
            return Err(IdentityError::Invalid("this account has a second factor: prove yourself with that".into()));
        }
        let own = system.sessions_of(user).await?.into_iter().find(|s| s.id == session);
        let provider = own.filter(|s| s.method == SignInMethod::Oidc).and_then(|s| s.provider);
        let provider =
            provider.ok_or_else(|| IdentityError::Invalid("this session was not opened by a provider".into()))?;
        self.depart(&provider, Purpose::Prove { user, home: principal.home, session }, base, back, origin).await
    }

    async fn depart(
        &self,
        provider: &str,
        purpose: Purpose,
        base: &str,
        back: &str,
        origin: &Origin,
    ) -> Result<OidcDeparture, IdentityError> {
        let config = self.oidc_provider(provider)?;
        let redirect = format!("{base}/api/v1/sign-in/oidc/{provider}/callback");
        let (state, nonce) = (secret::token()?.to_string(), secret::token()?.to_string());
        let again = matches!(purpose, Purpose::Prove { .. });
        let departure = self.protocol(config)?.depart(&redirect, state.clone(), nonce.clone(), again).await?;
        let journey = Journey {
            provider: provider.to_owned(),
            purpose,
            redirect,
            back: inside(back),
            nonce,
            verifier: departure.verifier,
            began: self.inner.clock.now(),
        };
        self.inner.journeys.put_as(state.clone(), journey, address(origin.ip), self.inner.clock.monotonic())?;
        Ok(OidcDeparture { url: departure.url, state })
    }

    /// Ends a journey. What fails is told to the browser in a word, and to the log and the audit trail in full.
    pub async fn arrive_from_oidc(
        &self,
        provider: &str,
        arrival: &OidcArrival,
        origin: &Origin,
    ) -> Result<OidcReturn, IdentityError> {
        let config = self.oidc_provider(provider)?;
        let same = !arrival.state.is_empty() && secret::same(arrival.state.as_bytes(), arrival.kept.as_bytes());
        let journey = if same { self.inner.journeys.take(&arrival.state, self.inner.clock.monotonic()) } else { None };
        let Some(journey) = journey.filter(|journey| journey.provider == provider) else {
            return Ok(OidcReturn { back: "/sign-in".to_owned(), outcome: OidcOutcome::Failed("oidc-expired") });
        };
        let signing_in = matches!(journey.purpose, Purpose::SignIn);
        let back = journey.back.clone();
        let outcome = match self.end(config, journey, arrival, origin).await {
            Ok(outcome) => outcome,
            Err(error) => OidcOutcome::Failed(self.told(config, error, origin).await?),
        };
        let failed = matches!(outcome, OidcOutcome::Failed(_));
        Ok(OidcReturn { back: if failed && signing_in { "/sign-in".to_owned() } else { back }, outcome })
    }

    async fn end(
        &self,
        config: &OidcProvider,
        journey: Journey,
        arrival: &OidcArrival,
        origin: &Origin,
    ) -> Result<OidcOutcome, IdentityError> {
        if let Some(error) = &arrival.error {
            tracing::info!(provider = config.name, error, "the provider let somebody not in");
            return Ok(OidcOutcome::Failed("oidc-denied"));
        }
        if arrival.issuer.as_ref().is_some_and(|issuer| *issuer != config.issuer) {
            return Err(IdentityError::External("the answer is another provider's".into()));
        }
        let code = arrival.code.as_deref().ok_or_else(|| IdentityError::External("there is no code".into()))?;
        let protocol = self.protocol(config)?;
        let said = protocol.arrive(&journey.redirect, code, journey.verifier, &journey.nonce).await?;
        match journey.purpose {
            Purpose::SignIn => self.enter(config, &said, origin).await,
            Purpose::Link { user, home } => self.link(config, &said, user, home, origin).await,
            Purpose::Prove { user, home, session } => {
                let known = self.inner.catalog.system().external_identity(&config.key(), &said.vouched.subject).await?;
                if known.is_none_or(|known| known.user != user) {
                    return Err(IdentityError::External("somebody else proved themselves".into()));
                }
                if said.at.is_none_or(|at| at < journey.began - JUST_NOW) {
                    return Err(IdentityError::External("the provider did not ask again".into()));
                }
                let mut tx = self.begin(home, self.actor_of(user, origin).await?).await?;
                tx.prove_session(user, session, false, None).await?;
                tx.commit().await?;
                Ok(OidcOutcome::Done)
            }
        }
    }

    async fn enter(&self, config: &OidcProvider, said: &Said, origin: &Origin) -> Result<OidcOutcome, IdentityError> {
        let key = config.key();
        let credentials = self.admit(&config.admission(&key), &said.vouched).await?;
        let external_factor = match config.second_factor {
            FactorTrust::Ask => false,
            FactorTrust::Amr => said.several_factors,
            FactorTrust::Trusted => true,
        };
        let opening =
            Opening { method: SignInMethod::Oidc, provider: Some(&config.name), factor: false, external_factor };
        let signed_in = self.open_session(credentials, opening, origin).await?;
        Ok(OidcOutcome::SignedIn(Box::new(signed_in)))
    }

    async fn link(
        &self,
        config: &OidcProvider,
        said: &Said,
        user: UserId,
        home: TenantId,
        origin: &Origin,
    ) -> Result<OidcOutcome, IdentityError> {
        let mut tx = self.begin(home, self.actor_of(user, origin).await?).await?;
        tx.link_identity(user, &config.key(), &said.vouched.subject, false).await?;
        tx.commit().await?;
        Ok(OidcOutcome::Done)
    }

    /// The address at the provider that ends its session, if this session came from there and the operator wants that.
    pub async fn oidc_sign_out(&self, principal: &Principal, base: &str) -> Result<Option<String>, IdentityError> {
        let (user, session) = own_session(principal)?;
        let own = self.inner.catalog.system().sessions_of(user).await?.into_iter().find(|s| s.id == session);
        let Some(provider) = own.and_then(|s| s.provider) else { return Ok(None) };
        let Some(config) = self.oidc_providers().iter().find(|p| p.name == provider && p.sign_out) else {
            return Ok(None);
        };
        self.protocol(config)?.leave(&format!("{base}/sign-in")).await
    }

    fn oidc_provider(&self, name: &str) -> Result<&OidcProvider, IdentityError> {
        let found = self.oidc_providers().iter().find(|provider| provider.name == name);
        found.ok_or_else(|| CatalogError::NotFound("provider").into())
    }

    fn protocol<'a>(&'a self, config: &'a OidcProvider) -> Result<Protocol<'a>, IdentityError> {
        let egress = self.inner.egress.get();
        let egress = egress.ok_or_else(|| IdentityError::External("this program reaches no other systems".into()))?;
        let now: Duration = self.inner.clock.monotonic();
        Ok(Protocol { known: &self.inner.oidc, egress, config, now })
    }

    async fn actor_of(&self, user: UserId, origin: &Origin) -> Result<guardian_catalog::Actor, IdentityError> {
        let known = self.inner.catalog.system().credentials(user).await?.ok_or(IdentityError::NotSignedIn)?;
        Ok(crate::sign_in::user_actor(&known, origin))
    }

    /// The word for a failure that is the visitor's or the provider's; others stay errors.
    async fn told(
        &self,
        config: &OidcProvider,
        error: IdentityError,
        origin: &Origin,
    ) -> Result<&'static str, IdentityError> {
        let word = match &error {
            IdentityError::NoAccount => "oidc-no-account",
            IdentityError::NoRole => "oidc-no-role",
            IdentityError::AccountDisabled => "oidc-disabled",
            IdentityError::Catalog(CatalogError::Conflict(_)) => "oidc-taken",
            IdentityError::External(_) => "oidc-failed",
            _ => return Err(error),
        };
        tracing::warn!(provider = config.name, %error, "a sign-in by way of a provider failed");
        if self.may_note(origin) {
            let actor = guardian_catalog::Actor::anonymous(origin.ip, origin.request_id.clone());
            let mut tx = self.begin(TenantId::DEFAULT, actor).await?;
            tx.note("session.failed", Subject::User, "", json!({ "provider": config.name, "why": word }));
            tx.commit().await?;
        }
        Ok(word)
    }
}

/// A path of the console to come back to; anything that could lead elsewhere leads to its first page.
fn inside(back: &str) -> String {
    let fits = back.starts_with('/')
        && !back.starts_with("//")
        && back.len() <= BACK_BYTES_MAX
        && !back.contains(|c: char| c == '\\' || c.is_control());
    if fits { back.to_owned() } else { "/".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::inside;

    #[test]
    fn nobody_is_led_elsewhere() {
        for (back, expected) in [
            ("/alerts?status=open#x", "/alerts?status=open#x"),
            ("", "/"),
            ("https://evil.example", "/"),
            ("//evil.example", "/"),
            ("/\\evil.example", "/"),
            ("/a\r\nset-cookie: x", "/"),
            ("javascript:alert(1)", "/"),
        ] {
            assert_eq!(inside(back), expected, "{back}");
        }
    }
}
