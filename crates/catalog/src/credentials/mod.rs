//! What people and programs prove themselves with: sessions, API keys, second factors, client certificates, tokens and the
//! set-up token. Only
//! hashes and sealed secrets come here; making, comparing and unsealing them is the business of `identity`.

mod api_key;
mod certificate;
mod factor;
mod session;
mod setup;
mod token;

pub use api_key::{API_KEYS_PER_TENANT_MAX, ApiKey, ApiKeyChange, NewApiKey};
pub use certificate::{CERTIFICATES_PER_USER_MAX, ClientCertificate, NewCertificate};
pub use factor::{FACTORS_PER_USER_MAX, FactorKind, SecondFactor};
pub use session::{Opening, SESSIONS_PER_USER_MAX, Session, SignInMethod};
pub use token::{FAMILIES_PER_USER_MAX, Refresh, TokenFamily};
