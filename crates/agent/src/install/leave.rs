//! Telling the server that the agent is taken off its machine, so that its certificate is worth nothing from then on.

use std::time::Duration;

use guardian_protocol::message::{Hello, Leaving, Refusal};
use guardian_protocol::{FromAgent, VERSION_MAX, VERSION_MIN};

use crate::facts::Facts;
use crate::home::Identity;
use crate::talk::{Ended, Link};
use crate::upgrade::version;

/// Longest time that it may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Tells the server. An error says why it does not know.
pub async fn leave(identity: &Identity) -> Result<(), String> {
    let telling = async {
        let mut link = Link::open(identity).await?;
        let facts = Facts::read();
        let hello = Hello {
            version_min: VERSION_MIN,
            version_max: VERSION_MAX,
            program: version().into(),
            platform: Facts::platform(),
            system: facts.system,
            kernel: facts.kernel,
            architecture: facts.architecture,
            hostname: facts.name,
            boot: facts.boot,
            epoch: rand::random(),
            time: crate::now(),
            ..Hello::default()
        };
        link.greet(hello).await?;
        link.send(&FromAgent::Leaving(Leaving { text: "taken off the machine".into() })).await?;
        // The answer is that this host is shut out.
        loop {
            link.next().await?;
        }
    };
    let ended: Result<std::convert::Infallible, Ended> = match tokio::time::timeout(PATIENCE, telling).await {
        Ok(ended) => ended,
        Err(_) => return Err("it does not answer".into()),
    };
    match ended {
        Err(Ended::Refused(refuse)) if refuse.reason == Refusal::Revoked => Ok(()),
        Err(ended) => Err(ended.to_string()),
    }
}
