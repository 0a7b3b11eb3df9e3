//! Enrolment tokens: `gde_`, a name that is no secret, 256 random bits, and the fingerprint of the agents' authority, by
//! which a new machine knows the server. Shown once, kept as a hash.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use guardian_catalog::{Actor, EnrolmentToken, NewEnrolmentToken};
use guardian_identity::random_bytes;
use guardian_model::{Micros, Scope, TenantId};
use zeroize::Zeroizing;

use crate::enrol::EnrolError;
use crate::state::Fleet;

/// What every enrolment token begins with.
pub const ENROLMENT_TOKEN_PREFIX: &str = "gde_";

/// An enrolment token to make.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// What it is for.
    pub name: String,
    /// Tags that its hosts get.
    pub tags: Vec<String>,
    /// Groups that its hosts get.
    pub groups: Vec<String>,
    /// How many hosts may come in by it; any number if absent.
    pub uses_max: Option<u32>,
    /// Until when.
    pub expires: Micros,
}

/// An enrolment token that was just made.
pub struct MadeEnrolmentToken {
    /// What is kept of it.
    pub token: EnrolmentToken,
    /// The whole token: shown once, kept nowhere.
    pub text: Zeroizing<String>,
}

/// The parts of a token's text.
pub(crate) struct Parts<'a> {
    pub(crate) public_id: &'a str,
    secret: &'a str,
}

impl<'a> Parts<'a> {
    pub(crate) fn of(text: &'a str) -> Option<Self> {
        let mut parts = text.trim().strip_prefix(ENROLMENT_TOKEN_PREFIX)?.split('.');
        let (public_id, secret) = (parts.next()?, parts.next()?);
        (public_id.len() == 16 && secret.len() == 43).then_some(Self { public_id, secret })
    }

    /// Whether the secret is the one that was hashed; takes as long whatever differs.
    pub(crate) fn fits(&self, kept: &[u8]) -> bool {
        let hash = blake3::Hash::from_bytes(hash(self.secret));
        kept.try_into().is_ok_and(|kept| hash == blake3::Hash::from_bytes(kept))
    }
}

fn hash(secret: &str) -> [u8; 32] {
    blake3::derive_key("guardian secret v1 enrolment token", secret.as_bytes())
}

impl Fleet {
    /// Makes an enrolment token. The caller has authorised `actor`.
    pub async fn create_token(
        &self,
        tenant: TenantId,
        actor: Actor,
        new: NewToken,
    ) -> Result<MadeEnrolmentToken, EnrolError> {
        const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
        let public_id: String = random_bytes::<16>()?.iter().map(|b| LETTERS[usize::from(b % 32)] as char).collect();
        let secret = Zeroizing::new(URL_SAFE_NO_PAD.encode(random_bytes::<32>()?.as_slice()));
        let pin = URL_SAFE_NO_PAD.encode(self.fingerprint());
        let text = Zeroizing::new(format!("{ENROLMENT_TOKEN_PREFIX}{public_id}.{}.{pin}", secret.as_str()));
        let mut tx = self.catalog().scoped(&Scope::of(tenant)).begin(tenant, actor).await?;
        let token = tx
            .create_enrolment_token(&NewEnrolmentToken {
                public_id,
                secret_hash: hash(&secret).to_vec(),
                name: new.name,
                tags: new.tags,
                groups: new.groups,
                uses_max: new.uses_max,
                expires: new.expires,
            })
            .await?;
        tx.commit().await?;
        Ok(MadeEnrolmentToken { token, text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_tokens_have_parts() {
        let secret = "s".repeat(43);
        let text = format!("gde_{}.{secret}.pin\n", "a".repeat(16));
        let parts = Parts::of(&text).unwrap();
        assert!(parts.fits(&hash(&secret)) && !parts.fits(&hash("other")) && !parts.fits(&[]));
        for wrong in ["", "gde_", "gde_a.b.c", "gdn_aaaaaaaaaaaaaaaa.b", "gde_aaaaaaaaaaaaaaaa"] {
            assert!(Parts::of(wrong).is_none(), "{wrong}");
        }
    }
}
