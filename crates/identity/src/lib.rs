//! Who somebody is and what they may do: the permission table, passwords, sessions, keys and first-run set-up. Every
//! sign-in, failure and refusal is in the audit trail.
//!
//! A request becomes a [`Principal`] by [`Identity::session_from`] (cookie) or [`Identity::bearer`] (API key or operator
//! key); then [`Identity::authorise`] says whether the principal may do what one [`Permission`] allows in one tenant, and
//! [`Principal::scope_for`] gives the scope to read with.
//!
//! This crate must never keep a secret in the clear, read a clock of its own, or let an operation choose its roles: the
//! one table in [`Permission`] does.

mod accounts;
mod anchor;
mod breached;
mod certificate;
mod checkpoint;
mod config;
mod error;
mod external;
mod factor;
mod files;
mod jwt;
mod keys;
mod ldap;
mod limiter;
mod links;
mod master;
mod oidc;
mod passkey;
mod password;
mod pending;
mod permission;
mod policy;
mod principal;
mod profile;
mod rate;
mod roles;
mod secret;
mod service;
mod setup;
mod sign_in;
mod signing;
mod tokens;
mod totp;
mod vault;

pub use accounts::{AccountChange, NewAccount};
pub use anchor::{AnchorError, Anchors, AnchorsConfig};
pub use breached::{BreachedFormat, BreachedPasswords};
pub use certificate::{CertificateDemand, CertificateSettings, ClientName, ShownCertificate};
pub use checkpoint::AuditKey;
pub use config::IdentityConfig;
pub use error::IdentityError;
pub use external::GroupRole;
pub use factor::{BegunTotp, Factors};
pub use keys::{API_KEY_PREFIX, KeyChange, MadeApiKey, OPERATOR_KEY_PREFIX, OperatorKey};
pub use ldap::{LdapConfig, Nested};
pub use links::{Invitation, LINK_HOURS_MAX, LinkLook, MadeLink, Registration};
pub use master::{KeysConfig, MASTER_KEY_FILE};
pub use oidc::{FactorTrust, OidcArrival, OidcDeparture, OidcOutcome, OidcProvider, OidcReturn};
pub use passkey::{PasskeyQuestion, RelyingParty};
pub use password::{PASSWORD_BYTES_MAX, PASSWORD_CHARS_MIN, check_password, passphrase_key};
pub use permission::{Permission, PermissionSet, Role};
pub use policy::{POLICY_KEY, SecurityPolicy};
pub use principal::{Origin, Principal, PrincipalKind, Refusal, SessionState, authorise};
pub use roles::{RoleInfo, role_permissions};
pub use secret::{generated_password, random as random_bytes};
pub use service::Identity;
pub use setup::{SETUP_TOKEN_FILE, SetupToken};
pub use sign_in::{Mfa, SignedIn};
pub use tokens::{REFRESH_TOKEN_PREFIX, TokenPair};
pub use vault::{KeyInfo, KeyPurpose, KeyStatus, Rotated};
