//! Certificates of services and people, where programs keep them. Authorities that everybody trusts come with packages and
//! are left out, unless somebody added one.

use guardian_inventory::certificate;
use guardian_protocol::lists::List;
use serde_json::json;

use super::entry;
use crate::files::{Root, Sort};

/// What moves when a certificate is added.
pub(super) const WATCHED: &[&str] =
    &["/etc/ssl", "/etc/ssl/certs", "/etc/letsencrypt/live", "/usr/local/share/ca-certificates", "/etc/pki/tls/certs"];
/// Where programs keep them.
pub(crate) const ROOTS: [&str; 17] = [
    "/etc/ssl",
    "/etc/pki",
    "/etc/letsencrypt/live",
    "/etc/nginx",
    "/etc/apache2",
    "/etc/httpd",
    "/etc/haproxy",
    "/etc/postfix",
    "/etc/dovecot",
    "/etc/openvpn",
    "/etc/ipsec.d",
    "/etc/swanctl",
    "/etc/kubernetes",
    "/etc/docker",
    "/etc/caddy",
    "/usr/local/share/ca-certificates",
    "/var/lib/caddy",
];
/// Bundles of authorities that packages bring.
const BUNDLES: [&str; 4] = ["/etc/ssl/certs", "/etc/pki/ca-trust", "/etc/pki/tls/cert.pem", "/etc/pki/tls/certs/ca-"];
const ENDINGS: [&str; 5] = ["pem", "crt", "cer", "cert", "der"];
const FILES_MAX: usize = 20_000;
const FILE_BYTES_MAX: u64 = 4 << 20;
const DEPTH_MAX: usize = 6;

pub(super) fn certificates(root: &mut Root, list: &mut List) {
    let mut files = Vec::new();
    for place in ROOTS {
        walk(root, place, 0, &mut files);
    }
    for shown in files {
        let bundled = BUNDLES.iter().any(|bundle| shown.starts_with(bundle));
        if !root.open(&shown).is_ok_and(|(_, length)| length <= FILE_BYTES_MAX) {
            continue;
        }
        let Some(file) = root.read(&shown) else { continue };
        for found in certificate::parse(&file).entries {
            if bundled && found.authority {
                continue;
            }
            let value = json!({
                "kind": if found.authority { "authority" } else { "certificate" },
                "name": found.names.first().cloned().unwrap_or_else(|| found.subject.clone()),
                "subject": found.subject,
                "issuer": found.issuer,
                "serial": found.serial,
                "names": found.names,
                "from_s": found.from_s,
                "until_s": found.until_s,
                "key": found.key,
                "key_bits": found.key_bits,
                "sha256": found.sha256,
                "path": shown,
            });
            list.put(&format!("{shown}/{}", found.sha256), &entry(value));
        }
    }
}

fn walk(root: &Root, folder: &str, depth: usize, files: &mut Vec<String>) {
    for (name, sort) in root.entries(folder) {
        if files.len() >= FILES_MAX || depth > DEPTH_MAX {
            return;
        }
        let path = format!("{folder}/{name}");
        // Links to the authorities that packages bring are as many as those.
        if sort == Sort::Folder {
            walk(root, &path, depth + 1, files);
        } else if is_one(&name) && (sort == Sort::File || depth < 3 && sort == Sort::Link) {
            files.push(path);
        }
    }
}

/// Whether a file is called as certificates are.
pub(crate) fn is_one(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, end)| ENDINGS.contains(&end))
}
