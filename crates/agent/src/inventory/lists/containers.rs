//! Containers as their engines keep them on the disk (Docker's `config.v2.json`, Podman's `containers.json`): nothing is
//! asked of the engines, whose sockets are as good as root.

use guardian_protocol::lists::List;
use serde_json::{Value, json};

use super::entry;
use crate::files::Root;

/// What moves when a container comes or goes.
pub(super) const WATCHED: &[&str] = &["/var/lib/docker/containers", "/var/lib/containers/storage/overlay-containers"];

pub(super) fn containers(root: &mut Root, list: &mut List) {
    let folder = "/var/lib/docker/containers";
    for id in root.names(folder) {
        let Some(config) = read(root, &format!("{folder}/{id}/config.v2.json")) else { continue };
        let host = read(root, &format!("{folder}/{id}/hostconfig.json")).unwrap_or(Value::Null);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mounts = config["MountPoints"].as_object().into_iter().flatten();
        let mounts: Vec<String> = mounts.map(|(to, from)| format!("{}:{to}", text(&from["Source"]))).collect();
        let value = json!({
            "kind": "docker",
            "name": text(&config["Name"]).trim_start_matches('/'),
            "id": id,
            "image": text(&config["Config"]["Image"]),
            "image_id": text(&config["Image"]),
            "created": text(&config["Created"]),
            "state": if config["State"]["Running"] == json!(true) { "running" } else { "stopped" },
            "privileged": host["Privileged"] == json!(true),
            "network": text(&host["NetworkMode"]),
            "pid_mode": text(&host["PidMode"]),
            "capabilities": host["CapAdd"],
            "mounts": mounts,
        });
        list.put(&format!("docker/{id}"), &entry(value));
    }
    let file = "/var/lib/containers/storage/overlay-containers/containers.json";
    for one in read(root, file).as_ref().and_then(Value::as_array).into_iter().flatten() {
        let Some(id) = one["id"].as_str() else { continue };
        let about: Value = one["metadata"].as_str().and_then(|m| serde_json::from_str(m).ok()).unwrap_or_default();
        let value = json!({
            "kind": "podman",
            "name": one["names"].as_array().and_then(|names| names.first()).cloned(),
            "id": id,
            "image": about["image-name"],
            "image_id": one["image"],
            "created": one["created"],
        });
        list.put(&format!("podman/{id}"), &entry(value));
    }
}

fn read(root: &mut Root, path: &str) -> Option<Value> {
    serde_json::from_slice(&root.read(path)?).ok()
}
