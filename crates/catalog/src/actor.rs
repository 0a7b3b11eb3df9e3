//! Who is doing something, as the audit trail tells it.

use guardian_model::Ip;
use serde::{Deserialize, Serialize};

use crate::text_enum;

text_enum! {
    /// What sort of actor it is.
    ActorKind {
        /// A person in a session.
        User = "user",
        /// A program with an API key.
        ApiKey = "api_key",
        /// Somebody at the command line of the server's machine.
        LocalOperator = "local_operator",
        /// Guardian itself.
        System = "system",
        /// Somebody who has not signed in.
        Anonymous = "anonymous",
    }
}

/// Who is behind a change, and from where. Every audit entry carries it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// What sort of actor.
    pub kind: ActorKind,
    /// Id of the user or key, if there is one.
    pub id: Option<String>,
    /// Name for people, at most 200 characters.
    pub name: String,
    /// The address the request came from.
    pub ip: Option<Ip>,
    /// Id of the request, to find its log lines.
    pub request_id: Option<String>,
}

impl Actor {
    /// Guardian itself, naming the component.
    pub fn system(component: &str) -> Self {
        Self { kind: ActorKind::System, id: None, name: component.to_owned(), ip: None, request_id: None }
    }

    /// Somebody at the command line of this machine; `name` is the operating-system user.
    pub fn local_operator(name: &str) -> Self {
        Self { kind: ActorKind::LocalOperator, id: None, name: name.to_owned(), ip: None, request_id: None }
    }

    /// Somebody who has not signed in.
    pub fn anonymous(ip: Option<Ip>, request_id: Option<String>) -> Self {
        Self { kind: ActorKind::Anonymous, id: None, name: String::new(), ip, request_id }
    }
}
