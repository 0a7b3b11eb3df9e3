//! Which images run on which hosts, by what hosts tell of their containers. It is held in memory alone: after a start it is
//! read again.

use std::sync::Arc;

use guardian_catalog::ListMark;
use guardian_model::{Micros, TenantId};
use guardian_protocol::lists::List;
use guardian_vuln::scan::Reference;
use hashbrown::HashMap;
use serde_json::Value;
use uuid::Uuid;

use crate::room::{Findings, RoomError, blocking};
use crate::view::View;

/// The list of the inventory that is read.
const LIST: &str = "containers";
/// Images of one host.
const IMAGES_MAX: usize = 2_000;
/// Hosts that are read in one round; the others wait for the next.
const HOSTS_AT_ONCE: usize = 200;

/// What is remembered of lists that were read.
#[derive(Default)]
pub(crate) struct ContainersRead {
    since: Micros,
    known: HashMap<(TenantId, Uuid), (i64, i64)>,
    waiting: HashMap<(TenantId, Uuid), (i64, i64)>,
}

/// The name of an image as everybody writes it: with its registry and its tag or digest.
pub(crate) fn whole(name: &str) -> Option<String> {
    name.trim().parse::<Reference>().ok().map(|reference| reference.to_string())
}

/// The images of containers that run, each once.
fn images(list: &List) -> Arc<[String]> {
    let entries = list.iter().filter_map(|(_, entry)| serde_json::from_str::<Value>(entry).ok());
    let runs = entries.filter(|entry| entry["state"] != "stopped");
    let mut names: Vec<String> = runs.filter_map(|entry| whole(entry["image"].as_str()?)).take(IMAGES_MAX).collect();
    names.sort();
    names.dedup();
    names.into()
}

impl Findings {
    /// Looks at what hosts tell of their containers since the last time.
    pub(crate) async fn follow_containers(&self, read: &mut ContainersRead, overlap: i64) -> Result<(), RoomError> {
        let system = self.inner.deps.catalog.system();
        let marks = system.list_marks(&[LIST], read.since - overlap).await?;
        for ListMark { tenant, host, epoch, revision, received, .. } in marks {
            read.since = read.since.max(received);
            if read.known.get(&(tenant, host)) != Some(&(epoch, revision)) {
                read.waiting.insert((tenant, host), (epoch, revision));
            }
        }
        let some: Vec<_> = read.waiting.iter().take(HOSTS_AT_ONCE).map(|(place, mark)| (*place, *mark)).collect();
        for ((tenant, host), mark) in some {
            let list = system.host_list(host, LIST).await?;
            // A list that cannot be read says nothing of what runs.
            let names = blocking(move || list.and_then(|list| List::open(&list.document).ok()).as_ref().map(images));
            let names = names.await?.unwrap_or_default();
            self.board(tenant).write().running.insert(host, names);
            read.waiting.remove(&(tenant, host));
            read.known.insert((tenant, host), mark);
        }
        Ok(())
    }
}

impl View<'_> {
    /// The hosts on which images run, by the whole names of those, in the order of the hosts' names.
    pub fn running(&self) -> HashMap<&str, Vec<(Uuid, &str)>> {
        let mut all: HashMap<&str, Vec<(Uuid, &str)>> = HashMap::new();
        for (host, images) in &self.board.running {
            // Hosts that are gone are not named any more.
            let Some(labels) = self.board.labels.get(host) else { continue };
            for image in images.iter() {
                all.entry(image).or_default().push((*host, &labels.name));
            }
        }
        all.values_mut().for_each(|hosts| hosts.sort_by(|a, b| (a.1, a.0).cmp(&(b.1, b.0))));
        all
    }
}

/// The names under which an image may run: its own, and its digest in its repository.
pub fn running_names(name: &str, digest: &str) -> Vec<String> {
    let Ok(reference) = name.parse::<Reference>() else { return vec![name.to_owned()] };
    let mut names = vec![reference.to_string()];
    if !digest.is_empty() {
        names.push(format!("{}/{}@{digest}", reference.host, reference.repository));
    }
    names
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_runs_has_its_whole_name() {
        let mut list = List::default();
        let digest = format!("sha256:{}", "0a".repeat(32));
        for (key, image, state) in [
            ("a", "nginx", json!("running")),
            ("b", "registry.example/app:1", json!(null)),
            ("c", "registry.example/old:1", json!("stopped")),
            ("d", &format!("registry.example/app@{digest}"), json!("running")),
            ("e", "not a name", json!("running")),
        ] {
            assert!(list.put(key, &json!({ "image": image, "state": state })));
        }
        let names = images(&list);
        let by_digest = format!("registry.example/app@{digest}");
        assert_eq!(
            names.as_ref(),
            ["registry-1.docker.io/library/nginx:latest", "registry.example/app:1", by_digest.as_str()]
        );
        assert_eq!(running_names("registry.example/app:1", &digest), ["registry.example/app:1", by_digest.as_str()]);
        assert_eq!(running_names("docker.io/library/nginx:latest", ""), ["registry-1.docker.io/library/nginx:latest"]);
    }
}
