//! Why somebody was not let in, or an account could not be changed.

use std::time::Duration;

use guardian_catalog::CatalogError;
use thiserror::Error;

/// An error of identity. Texts are fit for the person at the other end.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// Wrong name or password, or an account that may not sign in; never say which.
    #[error("the name or the password is wrong")]
    BadCredentials,
    /// The session, key or operator key is unknown, ended, revoked or expired.
    #[error("sign in first")]
    NotSignedIn,
    /// Too many failures.
    #[error("too many failed attempts; try again in {} s", retry_after_secs(.retry_after))]
    Locked {
        /// For the `Retry-After` header, rounded up to seconds.
        retry_after: Duration,
    },
    /// More sign-ins at once than can be worked on; try again in a moment.
    #[error("too many sign-ins at once; try again in a moment")]
    Busy,
    /// The password does not do; the text says why.
    #[error("{0}")]
    WeakPassword(String),
    /// The password is known from break-ins elsewhere.
    #[error("this password is known from break-ins elsewhere and is among the first that are tried: choose another")]
    BreachedPassword,
    /// The set-up token is wrong, used or expired.
    #[error("the set-up token is not valid; the current one is in the server's terminal and data directory")]
    BadSetupToken,
    /// The request asks for something that cannot be given; the text says what.
    #[error("{0}")]
    Invalid(String),
    /// The caller may not do this to that account, or with that sort of credential; the text says why.
    #[error("{0}")]
    Forbidden(String),
    /// The caller has to prove who they are once more, because what they ask for is sensitive.
    #[error("prove who you are once more (POST /api/v1/session/proof), then try again")]
    StepUp,
    /// The password was right, and the second factor is still due.
    #[error("a code of your second factor is still due (POST /api/v1/session/factor)")]
    FactorRequired,
    /// The account has to have a second factor and has none yet.
    #[error("you have to add a second factor first (POST /api/v1/session/totp)")]
    EnrolmentRequired,
    /// What is asked for is good only on connections that show a client certificate of the account.
    #[error("this needs your client certificate: come on a connection that shows it")]
    CertificateRequired,
    /// No client certificate is shown, or it opens no account.
    #[error("this connection shows no certificate that opens an account here")]
    BadCertificate,
    /// A wrong, old or used code.
    #[error("the code is wrong, too old or was used already")]
    BadCode,
    /// A passkey that is unknown here, or whose answer is wrong.
    #[error("this passkey is not known here, or its answer is wrong")]
    BadPasskey,
    /// Another system vouches for somebody who has no account here, and none is made.
    #[error("you have no account here: ask an administrator")]
    NoAccount,
    /// Another system vouches for somebody whose groups give no role here.
    #[error("none of your groups gives you a role here: ask an administrator")]
    NoRole,
    /// The account was switched off.
    #[error("your account here is switched off: ask an administrator")]
    AccountDisabled,
    /// Another system could not be asked, or what it says does not hold; the text is for the log.
    #[error("signing in by way of the other system failed: {0}")]
    External(String),
    /// A key asks too often.
    #[error("this key asks too often; wait for {} s", retry_after_secs(.retry_after))]
    RateLimited {
        /// For the `Retry-After` header, rounded up to seconds.
        retry_after: Duration,
    },
    /// Without this account nobody could administer the tenant.
    #[error("this is the tenant's last administrator: make another one first")]
    LastAdmin,
    /// The link is unknown, used, taken back or expired.
    #[error("this link is not valid any more: ask for a new one")]
    BadLink,
    /// A file of the data directory could not be written or read.
    #[error("cannot use {path}: {source}")]
    File {
        /// Which file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The operating system gives no random numbers.
    #[error("no random numbers from the operating system: {0}")]
    Random(String),
    /// A password could not be hashed.
    #[error("hashing failed: {0}")]
    Hash(String),
    /// The catalog failed, or refused.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

impl IdentityError {
    /// Seconds for the `Retry-After` header, if trying again later helps.
    pub fn retry_after_secs(&self) -> Option<u64> {
        match self {
            Self::Locked { retry_after } | Self::RateLimited { retry_after } => Some(retry_after_secs(retry_after)),
            Self::Busy | Self::Catalog(CatalogError::Busy) => Some(1),
            _ => None,
        }
    }
}

fn retry_after_secs(wait: &Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}
