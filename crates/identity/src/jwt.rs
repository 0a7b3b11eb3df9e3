//! Access tokens as JSON Web Tokens (RFC 7519, profile RFC 9068), signed with Ed25519 (RFC 8037). One header, one
//! algorithm: whatever says otherwise is refused, so that there is nothing to confuse. Pure: key and time come in.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The only header there is: `{"alg":"EdDSA","typ":"at+jwt"}`.
const HEADER: &str = "eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCJ9";
const ISSUER: &str = "guardian";
/// Longest token that is looked at, in bytes.
const BYTES_MAX: usize = 2_048;

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    iss: String,
    /// The account.
    pub(crate) sub: Uuid,
    /// The family that it was made for, which can be revoked.
    pub(crate) sid: Uuid,
    /// Seconds since 1970 at which it was made.
    pub(crate) iat: i64,
    /// Seconds since 1970 from which on it is worth nothing.
    pub(crate) exp: i64,
}

impl Claims {
    /// Of an account and a family, from now on.
    pub(crate) fn new(sub: Uuid, sid: Uuid, now_secs: i64, life_secs: i64) -> Self {
        Self { iss: ISSUER.to_owned(), sub, sid, iat: now_secs, exp: now_secs + life_secs }
    }
}

/// Signs what a token says.
pub(crate) fn sign(claims: &Claims, key: &Ed25519KeyPair) -> Result<String, serde_json::Error> {
    let body = format!("{HEADER}.{}", URL_SAFE_NO_PAD.encode(serde_json::to_vec(claims)?));
    let signature = URL_SAFE_NO_PAD.encode(key.sign(body.as_bytes()).as_ref());
    Ok(format!("{body}.{signature}"))
}

/// What a token says, if `key` signed it and it has not expired.
pub(crate) fn verify(token: &str, key: &Ed25519KeyPair, now_secs: i64) -> Option<Claims> {
    if token.len() > BYTES_MAX {
        return None;
    }
    let (body, signature) = token.rsplit_once('.')?;
    let (header, claims) = body.split_once('.')?;
    if header != HEADER {
        return None;
    }
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    let public = UnparsedPublicKey::new(&ED25519, key.public_key().as_ref());
    public.verify(body.as_bytes(), &signature).ok()?;
    let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
    (claims.iss == ISSUER && now_secs < claims.exp).then_some(claims)
}

/// Whether a bearer token looks like one of ours.
pub(crate) fn is_token(text: &str) -> bool {
    text.starts_with(HEADER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signing::Fresh;

    #[test]
    fn only_our_own_fresh_tokens_are_taken() {
        let (ours, theirs) = (Fresh::make().unwrap(), Fresh::make().unwrap());
        assert_eq!(URL_SAFE_NO_PAD.decode(HEADER).unwrap(), br#"{"alg":"EdDSA","typ":"at+jwt"}"#);
        let claims = Claims::new(Uuid::from_u128(1), Uuid::from_u128(2), 1_000, 600);
        let token = sign(&claims, ours.pair()).unwrap();
        assert_eq!(verify(&token, ours.pair(), 1_599), Some(claims.clone()));
        assert_eq!(verify(&token, ours.pair(), 1_600), None, "expired");
        assert_eq!(verify(&token, theirs.pair(), 1_000), None, "another key");
        let none = format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#), token.split('.').nth(1).unwrap());
        assert_eq!(verify(&none, ours.pair(), 1_000), None, "no algorithm but ours");
        for n in 0..token.len() {
            let mut other = token.clone().into_bytes();
            other[n] = if other[n] == b'A' { b'B' } else { b'A' };
            let other = String::from_utf8(other).unwrap();
            // The last character of the signature has bits that mean nothing, and is refused for having them set.
            assert!(other == token || verify(&other, ours.pair(), 1_000).is_none(), "changed at {n}");
        }
        for odd in ["", ".", "..", "a.b.c", &"x".repeat(5_000)] {
            assert_eq!(verify(odd, ours.pair(), 1_000), None);
        }
    }
}
