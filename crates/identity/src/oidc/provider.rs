//! The protocol with one provider (OpenID Connect Core 1.0, Discovery 1.0, RP-Initiated Logout 1.0; PKCE, RFC 7636).
//! Everything that is asked of it goes through the one egress client.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use guardian_kit::egress;
use guardian_model::Micros;
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreErrorResponseType, CoreGenderClaim, CoreJsonWebKey,
    CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm, CoreResponseType, CoreRevocableToken,
    CoreRevocationErrorResponse, CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::{
    AdditionalClaims, AuthenticationFlow, AuthorizationCode, Client, ClientId, ClientSecret, CsrfToken,
    EmptyExtraTokenFields, EndpointMaybeSet, EndpointNotSet, EndpointSet, HttpRequest, HttpResponse, IdTokenClaims,
    IdTokenFields, IssuerUrl, LogoutRequest, Nonce, OAuth2TokenResponse as _, PkceCodeChallenge, PkceCodeVerifier,
    PostLogoutRedirectUrl, ProviderMetadataWithLogout, RedirectUrl, Scope, StandardErrorResponse,
    StandardTokenResponse, TokenResponse as _, UserInfoClaims,
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::config::OidcProvider;
use crate::IdentityError;
use crate::external::Vouched;

/// How long what a provider says of itself is believed.
const BELIEVED_FOR: Duration = Duration::from_hours(1);

/// The claims that the standard does not name, such as groups.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Claims {
    #[serde(flatten)]
    all: Map<String, Value>,
}

impl AdditionalClaims for Claims {}

type Fields = IdTokenFields<
    Claims,
    EmptyExtraTokenFields,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;
type Tokens = StandardTokenResponse<Fields, CoreTokenType>;
type Relying = Client<
    Claims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    Tokens,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// What providers said of themselves lately.
#[derive(Debug, Default)]
pub(crate) struct Known {
    providers: Mutex<HashMap<String, (Duration, Arc<ProviderMetadataWithLogout>)>>,
}

/// Where to send the browser, and what has to be remembered until it comes back.
pub(crate) struct Departure {
    pub(crate) url: String,
    pub(crate) verifier: String,
}

/// What the provider said of whoever came back.
pub(crate) struct Said {
    pub(crate) vouched: Vouched,
    /// It says that they proved more than one factor.
    pub(crate) several_factors: bool,
    /// When they proved themselves there.
    pub(crate) at: Option<Micros>,
}

/// One provider, for one request.
pub(crate) struct Protocol<'a> {
    pub(crate) known: &'a Known,
    pub(crate) egress: &'a egress::Client,
    pub(crate) config: &'a OidcProvider,
    /// Monotonic.
    pub(crate) now: Duration,
}

fn failed(what: &str, error: impl std::fmt::Display) -> IdentityError {
    IdentityError::External(format!("{what}: {error}"))
}

impl Protocol<'_> {
    /// The address at the provider that signs somebody in. With `again` they have to prove themselves there although
    /// they did already.
    pub(crate) async fn depart(
        &self,
        redirect: &str,
        state: String,
        nonce: String,
        again: bool,
    ) -> Result<Departure, IdentityError> {
        let client = self.client(redirect, &*self.metadata().await?)?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let flow = AuthenticationFlow::<CoreResponseType>::AuthorizationCode;
        let mut request = client.authorize_url(flow, move || CsrfToken::new(state), move || Nonce::new(nonce));
        request = request.set_pkce_challenge(challenge);
        for scope in &self.config.scopes {
            request = request.add_scope(Scope::new(scope.clone()));
        }
        if again {
            request = request.add_prompt(CoreAuthPrompt::Login).set_max_age(Duration::ZERO);
        }
        let (url, _, _) = request.url();
        Ok(Departure { url: url.to_string(), verifier: verifier.into_secret() })
    }

    /// Trades the code for what the provider says of whoever came back.
    pub(crate) async fn arrive(
        &self,
        redirect: &str,
        code: &str,
        verifier: String,
        nonce: &str,
    ) -> Result<Said, IdentityError> {
        let metadata = self.metadata().await?;
        let client = self.client(redirect, &metadata)?;
        let http = self.http();
        let request = client
            .exchange_code(AuthorizationCode::new(code.to_owned()))
            .map_err(|e| failed("the provider names no token endpoint", e))?
            .set_pkce_verifier(PkceCodeVerifier::new(verifier));
        let tokens = request.request_async(&http).await.map_err(|e| failed("the code was not taken", full(&e)))?;
        let nonce = Nonce::new(nonce.to_owned());
        let claims = match verified(&client, &tokens, &nonce) {
            Ok(claims) => claims,
            // The provider may have changed its keys since it was asked.
            Err(_) => {
                self.known.providers.lock().remove(&self.config.name);
                let client = self.client(redirect, &*self.metadata().await?)?;
                verified(&client, &tokens, &nonce)?
            }
        };
        let mut all = serde_json::to_value(&claims).map_err(|e| failed("the ID token", e))?;
        if metadata.userinfo_endpoint().is_some() {
            let subject = Some(claims.subject().clone());
            let request = client
                .user_info(tokens.access_token().clone(), subject)
                .map_err(|e| failed("the provider's user info", e))?;
            let more: UserInfoClaims<Claims, CoreGenderClaim> =
                request.request_async(&http).await.map_err(|e| failed("the provider's user info", full(&e)))?;
            add(&mut all, serde_json::to_value(&more).map_err(|e| failed("the provider's user info", e))?);
        }
        let amr = claims.auth_method_refs().into_iter().flatten().any(|method| method.as_str() == "mfa");
        Ok(Said {
            vouched: vouched(self.config, claims.subject().as_str(), &all),
            several_factors: amr,
            at: claims.auth_time().map(|at| Micros(at.timestamp_micros())),
        })
    }

    /// The address that ends the session at the provider, if it has one.
    pub(crate) async fn leave(&self, back: &str) -> Result<Option<String>, IdentityError> {
        let metadata = self.metadata().await?;
        let Some(end) = metadata.additional_metadata().end_session_endpoint.clone() else { return Ok(None) };
        let back = PostLogoutRedirectUrl::new(back.to_owned()).map_err(|e| failed("the address of this server", e))?;
        let request = LogoutRequest::from(end)
            .set_client_id(ClientId::new(self.config.client_id.clone()))
            .set_post_logout_redirect_uri(back);
        Ok(Some(request.http_get_url().to_string()))
    }

    async fn metadata(&self) -> Result<Arc<ProviderMetadataWithLogout>, IdentityError> {
        let held = self.known.providers.lock().get(&self.config.name).cloned();
        if let Some((at, metadata)) = held
            && self.now.saturating_sub(at) < BELIEVED_FOR
        {
            return Ok(metadata);
        }
        let issuer = IssuerUrl::new(self.config.issuer.clone()).map_err(|e| failed("its issuer", e))?;
        let http = self.http();
        let found = ProviderMetadataWithLogout::discover_async(issuer, &http).await;
        let metadata = Arc::new(found.map_err(|e| failed("the provider cannot be asked about itself", full(&e)))?);
        self.known.providers.lock().insert(self.config.name.clone(), (self.now, Arc::clone(&metadata)));
        Ok(metadata)
    }

    fn client(&self, redirect: &str, metadata: &ProviderMetadataWithLogout) -> Result<Relying, IdentityError> {
        let secret = self.config.client_secret.expose();
        let secret = (!secret.is_empty()).then(|| ClientSecret::new(secret.to_owned()));
        let client = ClientId::new(self.config.client_id.clone());
        let redirect = RedirectUrl::new(redirect.to_owned()).map_err(|e| failed("the address of this server", e))?;
        Ok(Relying::from_provider_metadata(metadata.clone(), client, secret).set_redirect_uri(redirect))
    }

    fn http(
        &self,
    ) -> impl Fn(
        HttpRequest,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<HttpResponse, egress::EgressError>> + Send>>
    + Send
    + Sync
    + use<> {
        let egress = self.egress.clone();
        move |request: HttpRequest| {
            let egress = egress.clone();
            Box::pin(async move {
                let (parts, body) = request.into_parts();
                let url = parts.uri.to_string();
                let request = egress::Request { method: parts.method, url, headers: parts.headers, body };
                let answer = egress.send(request).await?;
                let mut response = HttpResponse::new(answer.body);
                *response.status_mut() = answer.status;
                *response.headers_mut() = answer.headers;
                Ok(response)
            })
        }
    }
}

fn verified(
    client: &Relying,
    tokens: &Tokens,
    nonce: &Nonce,
) -> Result<IdTokenClaims<Claims, CoreGenderClaim>, IdentityError> {
    let token = tokens.id_token().ok_or_else(|| failed("the answer", "it has no ID token"))?;
    let claims = token.claims(&client.id_token_verifier(), nonce).map_err(|e| failed("the ID token", full(&e)))?;
    Ok(claims.clone())
}

/// An error with its causes in one line.
fn full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

/// Adds what the ID token did not say; what it said is signed and stays.
fn add(all: &mut Value, more: Value) {
    if let (Some(all), Value::Object(more)) = (all.as_object_mut(), more) {
        for (name, value) in more {
            all.entry(name).or_insert(value);
        }
    }
}

fn vouched(config: &OidcProvider, subject: &str, claims: &Value) -> Vouched {
    let text = |name: &str| claims.get(name).and_then(Value::as_str).map(str::to_owned);
    let email = text("email").filter(|_| claims.get("email_verified") != Some(&Value::Bool(false)));
    let name = inner(claims, &config.name_claim).and_then(Value::as_str).map(str::to_owned);
    let groups = match inner(claims, &config.groups_claim) {
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Some(Value::String(one)) => vec![one.clone()],
        _ => Vec::new(),
    };
    Vouched {
        subject: subject.to_owned(),
        name: name.or_else(|| email.clone()).unwrap_or_else(|| subject.to_owned()),
        display_name: text("name"),
        email,
        groups,
    }
}

/// The claim of this name, or the one that the dots of the name lead to.
fn inner<'a>(claims: &'a Value, path: &str) -> Option<&'a Value> {
    claims.get(path).or_else(|| path.split('.').try_fold(claims, |at, step| at.get(step)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn claims_say_who_it_is() {
        let config = OidcProvider { groups_claim: "realm_access.roles".into(), ..OidcProvider::default() };
        let mut claims = json!({"email": "ann@example.com", "realm_access": {"roles": ["soc", 7, "ops"]}});
        add(&mut claims, json!({"email": "eve@example.com", "name": "Ann Keller"}));
        let said = vouched(&config, "s-1", &claims);
        assert_eq!(said.groups, ["soc", "ops"]);
        assert_eq!(said.name, "ann@example.com", "no name of its own");
        assert_eq!(said.email.as_deref(), Some("ann@example.com"), "what is signed goes first");
        assert_eq!(said.display_name.as_deref(), Some("Ann Keller"));
        let unverified = json!({"email": "ann@example.com", "email_verified": false, "https://x/groups": "soc"});
        let config = OidcProvider { groups_claim: "https://x/groups".into(), ..OidcProvider::default() };
        let said = vouched(&config, "s-1", &unverified);
        assert_eq!((said.email, said.name.as_str()), (None, "s-1"), "an address that nobody verified names nobody");
        assert_eq!(said.groups, ["soc"], "a name with dots of its own");
    }
}
