//! Enrolment: a token and a request in, a certificate out.

use guardian_catalog::{Actor, CatalogError, EnrolmentToken, Host, NewHost, Subject, TokenRefusal};
use guardian_identity::IdentityError;
use guardian_model::Ip;
use serde_json::json;
use uuid::Uuid;

use crate::authority::CertificateError;
use crate::state::Fleet;
use crate::token::Parts;

/// Why a host does not come in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnrolError {
    /// The token lets nobody in.
    #[error(transparent)]
    Token(#[from] TokenRefusal),
    /// There is no certificate.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The catalog failed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// Random numbers or secrets failed.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

/// What a new machine says.
#[derive(Clone, Debug)]
pub struct EnrolRequest {
    /// The token.
    pub token: String,
    /// PKCS #10, DER.
    pub request: Vec<u8>,
    /// Name of the machine.
    pub name: String,
    /// Operating system.
    pub platform: String,
    /// Processor architecture.
    pub architecture: String,
    /// Version of the agent's program.
    pub program: String,
    /// Where it comes from.
    pub address: Option<Ip>,
}

/// What it gets.
#[derive(Clone, Debug)]
pub struct Enrolled {
    /// The host as it is kept.
    pub host: Host,
    /// Its certificate, DER.
    pub certificate: Vec<u8>,
    /// The agents' authority, PEM.
    pub authority: String,
}

impl Fleet {
    /// Lets a machine in.
    pub async fn enrol(&self, wanted: EnrolRequest) -> Result<Enrolled, EnrolError> {
        let token = self.shown_token(&wanted.token).await?;
        let id = Uuid::now_v7();
        // Signed before the use is counted: what cannot be signed uses nothing up.
        let signed = self.sign(id, &wanted.request)?;
        let new = NewHost {
            id,
            name: wanted.name,
            platform: wanted.platform,
            architecture: wanted.architecture,
            program: wanted.program,
            address: wanted.address.map(|ip| ip.to_string()),
            serial: signed.serial,
            not_after: signed.not_after,
            node_key: None,
        };
        let host = self.let_in(&token, &new, wanted.address).await?;
        Ok(Enrolled { host, certificate: signed.der, authority: self.authority_pem() })
    }

    /// The token that somebody shows, whatever it is good for.
    pub(crate) async fn shown_token(&self, text: &str) -> Result<EnrolmentToken, EnrolError> {
        let parts = Parts::of(text).ok_or(TokenRefusal::Unknown)?;
        let found = self.catalog().system().enrolment_token(parts.public_id).await?;
        let (token, _) = found.filter(|(_, kept)| parts.fits(kept)).ok_or(TokenRefusal::Unknown)?;
        Ok(token)
    }

    /// Lets a host in by a token, or says in the trail that it was refused.
    pub(crate) async fn let_in(
        &self,
        token: &EnrolmentToken,
        new: &NewHost,
        address: Option<Ip>,
    ) -> Result<Host, EnrolError> {
        let mut actor = Actor::system("enrolment");
        actor.ip = address;
        let mut tx = self.catalog().system().begin(token.tenant, actor).await?;
        match tx.enrol_host(token.id, new).await? {
            Ok(host) => {
                tx.commit().await?;
                tracing::info!(host = %host.id, name = host.name, token = token.name, "a host enrolled");
                Ok(host)
            }
            Err(refusal) => {
                let why = token.status(self.now());
                let detail = json!({ "token": token.name, "status": why, "name": new.name });
                tx.note("host.refused", Subject::EnrolmentToken, &token.id.to_string(), detail);
                tx.commit().await?;
                Err(refusal.into())
            }
        }
    }
}
