//! The fleet: who may enrol, and which hosts are there. What an agent proves, and what a token is made of, is the
//! business of the crate `fleet`.

mod baselines;
mod bulk;
mod commands;
mod figures;
mod groups;
mod hosts;
mod list;
mod lists;
mod live_answers;
mod live_queries;
mod packs;
mod policies;
mod releases;
mod rollout_hosts;
mod rollouts;
mod runs;
mod seen;
mod software;
mod standing;
mod tokens;

use guardian_model::Micros;
use sea_orm::{EntityTrait, IntoActiveModel as _, QueryOrder, TryInsertResult};
use serde_json::json;
use uuid::Uuid;

pub use self::baselines::{BASELINE_PAGE_MAX, HostBaseline};
pub use self::bulk::{HOSTS_AT_ONCE_MAX, LabelChange};
pub use self::commands::{COMMAND_HOSTS_MAX, COMMAND_PAGE_MAX, Command, CommandFilter, NewCommand};
pub use self::figures::HostFigures;
pub use self::groups::{GROUP_FILTER_BYTES_MAX, GROUPS_PER_TENANT_MAX, GroupDraft, HostGroup};
pub use self::hosts::{EnrolledHost, HOSTS_MAX, Host, HostAgent, HostChange, NewHost};
pub use self::list::{
    HOST_PAGE_MAX, HostCursor, HostFilter, HostOrder, HostPage, HostSelection, HostSort, HostStatus, HostTrouble,
};
pub use self::lists::{HostList, HostListDocument, NewHostList};
pub use self::live_answers::{LiveAnswer, PendingLiveQuery};
pub use self::live_queries::{
    LIVE_QUERY_BYTES_MAX, LIVE_QUERY_HOSTS_MAX, LiveQuery, LiveQueryHost, LiveQueryPart, NewLiveQuery,
};
pub use self::packs::{EvidenceKey, EvidencePack, PackState};
pub use self::policies::{
    ASSIGNMENTS_MAX, Assignment, POLICIES_PER_TENANT_MAX, POLICY_BYTES_MAX, Policy, PolicyDraft, PolicyOrder,
    PolicyVersion,
};
pub use self::releases::{AgentRelease, NewRelease, RELEASES_PER_TENANT_MAX};
pub use self::rollout_hosts::{PendingUpgrade, RolloutHost, RolloutHostState, UpgradeHeard};
pub use self::rollouts::{
    ROLLOUT_PAGE_MAX, ROLLOUT_STAGES_MAX, Rollout, RolloutChange, RolloutPlan, RolloutStage, RolloutState,
};
pub use self::runs::{CommandRun, PendingRun, RUN_OUTPUT_MAX, RunNews, RunState};
pub use self::seen::{HostFacts, HostHealth, HostLoss, HostSeen};
pub use self::software::{FleetSoftware, SOFTWARE_PAGE_MAX, SoftwareFilter, SoftwareItem, SoftwareVersion};
pub use self::standing::HostStanding;
pub use self::tokens::{EnrolmentToken, NewEnrolmentToken, TOKENS_PER_TENANT_MAX, TokenRefusal, TokenStatus};
use crate::entity::agent_authority;
use crate::text::clean;
use crate::{CatalogError, System};

/// Most tags, and most groups, of one host or token.
pub const LABELS_MAX: usize = 32;
/// Longest tag or group, in characters.
const LABEL_CHARS_MAX: usize = 64;

/// The authority that signs the agents' certificates.
#[derive(Clone)]
pub struct AgentAuthority {
    /// Its id.
    pub id: Uuid,
    /// Its own certificate, PEM.
    pub certificate: String,
    /// Its key, sealed.
    pub secret: String,
    /// Since when.
    pub created: Micros,
}

impl System<'_> {
    /// The authority that signs now: the oldest, so that nodes that start at once agree.
    pub async fn agent_authority(&self) -> Result<Option<AgentAuthority>, CatalogError> {
        let query = agent_authority::Entity::find()
            .order_by_asc(agent_authority::Column::Created)
            .order_by_asc(agent_authority::Column::Id);
        let row = query.one(self.read()).await?;
        Ok(row.map(|row| AgentAuthority {
            id: row.id,
            certificate: row.certificate,
            secret: row.secret,
            created: Micros(row.created),
        }))
    }

    /// Keeps an authority.
    pub async fn add_agent_authority(&self, authority: &AgentAuthority) -> Result<(), CatalogError> {
        let row = agent_authority::Model {
            id: authority.id,
            certificate: authority.certificate.clone(),
            secret: authority.secret.clone(),
            created: authority.created.0,
        };
        let insert = agent_authority::Entity::insert(row.into_active_model()).on_conflict_do_nothing();
        match insert.exec_without_returning(self.write()).await? {
            TryInsertResult::Inserted(_) => Ok(()),
            _ => Err(CatalogError::Conflict("this authority is kept already".into())),
        }
    }
}

/// Labels as they are kept: trimmed, sorted, each once.
fn labels(what: &str, given: &[String]) -> Result<Vec<String>, CatalogError> {
    let mut labels: Vec<String> = given.iter().map(|l| l.trim().to_owned()).filter(|l| !l.is_empty()).collect();
    labels.sort();
    labels.dedup();
    let odd =
        |l: &String| l.chars().count() > LABEL_CHARS_MAX || l.chars().any(|c| c.is_control() || c == '"' || c == '\\');
    if labels.len() > LABELS_MAX || labels.iter().any(odd) {
        return Err(CatalogError::Invalid(format!(
            "{what}: at most {LABELS_MAX} of at most {LABEL_CHARS_MAX} characters each, without quotes and backslashes"
        )));
    }
    Ok(labels)
}

fn labels_text(labels: &[String]) -> String {
    json!(labels).to_string()
}

fn labels_of(column: &'static str, text: &str) -> Result<Vec<String>, CatalogError> {
    serde_json::from_str(text).map_err(CatalogError::json(column))
}

fn named(what: &str, name: &str) -> Result<String, CatalogError> {
    let name = clean(name.trim(), 200);
    if name.is_empty() { Err(CatalogError::Invalid(format!("{what} needs a name"))) } else { Ok(name) }
}
