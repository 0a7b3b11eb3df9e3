//! Who was given what to do. The state of a thing tells who has it, not since when: this says so in the change log.

use guardian_model::UserId;
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use crate::tx::{Audit, Change};
use crate::{Action, ActorKind, Subject, Tx};

/// Something that a person was given to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assigned {
    /// To whom.
    pub user: UserId,
    /// `alert` or `task`.
    pub what: String,
    /// Which one; the first, if there are several.
    pub id: Uuid,
    /// The incident that a task belongs to.
    pub incident: Option<Uuid>,
    /// What it is called.
    pub title: String,
    /// How many there are.
    pub count: u64,
    /// The replay that it comes of.
    pub replay: Option<String>,
    /// Who gave it.
    pub by: String,
}

impl Tx {
    /// Tells of an assignment. Whoever takes something knows it.
    pub(crate) fn assigned(&mut self, to: Uuid, mut what: Assigned) {
        let by = self.actor();
        if by.kind == ActorKind::User && by.id.as_deref() == Some(to.to_string().as_str()) {
            return;
        }
        what.user = UserId(to);
        by.name.clone_into(&mut what.by);
        self.record(Change {
            subject: Subject::Assignment,
            id: what.id.to_string(),
            action: Action::Created,
            payload: json!(what),
            // The change itself is audited.
            audit: Audit::NotNeeded,
        });
    }
}
