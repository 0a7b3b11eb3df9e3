//! Certificates of services and people, where programs keep them. Authorities that everybody trusts come with packages and
//! are left out, unless somebody added one.

use std::fs;
use std::path::{Path, PathBuf};

use guardian_inventory::certificate;
use guardian_protocol::lists::List;
use serde_json::json;

use super::entry;
use crate::files::Root;

/// What moves when a certificate is added.
pub(super) const WATCHED: &[&str] =
    &["/etc/ssl", "/etc/ssl/certs", "/etc/letsencrypt/live", "/usr/local/share/ca-certificates", "/etc/pki/tls/certs"];
/// Where programs keep them.
const ROOTS: [&str; 17] = [
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
        walk(root, Path::new(place), 0, &mut files);
    }
    for path in files {
        let Some(shown) = path.to_str().map(str::to_owned) else { continue };
        let bundled = BUNDLES.iter().any(|bundle| shown.starts_with(bundle));
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

fn walk(root: &Root, folder: &Path, depth: usize, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(root.outside(folder)) else { return };
    for found in entries.flatten() {
        if files.len() >= FILES_MAX || depth > DEPTH_MAX {
            return;
        }
        let path = folder.join(found.file_name());
        let Ok(kind) = found.file_type() else { continue };
        // Links to the authorities that packages bring are as many as those.
        if kind.is_dir() {
            walk(root, &path, depth + 1, files);
            continue;
        }
        let ends = path.extension().and_then(|e| e.to_str()).is_some_and(|e| ENDINGS.contains(&e));
        let small = || fs::metadata(root.outside(&path)).is_ok_and(|m| m.is_file() && m.len() <= FILE_BYTES_MAX);
        if ends && (kind.is_file() || depth < 3 && kind.is_symlink()) && small() {
            files.push(path);
        }
    }
}
