//! The logins that Docker keeps (`~/.docker/config.json`): user and password in the file itself, or in one of the programs that
//! keep them (`docker-credential-NAME get`, as docker-credential-helpers documents it). What cannot be read is passed over:
//! the registry says what it wants.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

/// Bytes of the file, and of what a program answers.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// How long a program that keeps passwords may take; it may ask somebody.
const HELPER: Duration = Duration::from_secs(30);
/// Docker's own registry, by the names that it has, and the one under which its login is kept.
const DOCKER: &[&str] = &["docker.io", "index.docker.io", "registry-1.docker.io"];
const DOCKER_KEPT: &str = "https://index.docker.io/v1/";

/// User and password.
pub(super) type Login = (String, String);

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Kept {
    auths: BTreeMap<String, Entry>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: String,
    username: String,
    password: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// The login for a registry, if Docker keeps one.
pub(super) async fn find(host: &str) -> Option<Login> {
    let folder = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from);
    let folder = folder.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".docker")))?;
    of(&folder.join("config.json"), host).await
}

async fn of(file: &Path, host: &str) -> Option<Login> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    std::fs::File::open(file).ok()?.take(FILE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    let kept: Kept = serde_json::from_slice(&bytes).ok()?;
    let helper = kept.cred_helpers.iter().find(|(name, _)| same(name, host)).map(|(_, helper)| helper);
    let named = kept.auths.iter().find(|(name, _)| same(name, host));
    // As Docker does: the program for this registry, else the one for all, else the file.
    if let Some(helper) = helper.or(Some(&kept.creds_store).filter(|store| !store.is_empty())) {
        let server = named.map_or_else(|| kept_as(host), |(name, _)| name.as_str());
        if let Some(login) = tokio::time::timeout(HELPER, ask(helper, server)).await.ok().flatten() {
            return Some(login);
        }
    }
    named.and_then(|(_, entry)| entry.login())
}

impl Entry {
    fn login(&self) -> Option<Login> {
        if self.auth.is_empty() {
            let given = !self.username.is_empty() && !self.password.is_empty();
            return given.then(|| (self.username.clone(), self.password.clone()));
        }
        let text = String::from_utf8(STANDARD.decode(self.auth.trim()).ok()?).ok()?;
        let (user, password) = text.split_once(':')?;
        Some((user.to_owned(), password.trim_end_matches('\0').to_owned()))
    }
}

/// Whether a name in the file is that of the registry: with or without a scheme and a path.
fn same(name: &str, host: &str) -> bool {
    let name = name.strip_prefix("https://").or_else(|| name.strip_prefix("http://")).unwrap_or(name);
    let name = name.split('/').next().unwrap_or(name);
    name.eq_ignore_ascii_case(host) || DOCKER.contains(&name) && DOCKER.contains(&host)
}

fn kept_as(host: &str) -> &str {
    if DOCKER.contains(&host) { DOCKER_KEPT } else { host }
}

/// Asks a program that keeps passwords. It is killed when it takes too long.
async fn ask(helper: &str, server: &str) -> Option<Login> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !helper.chars().all(plain) || helper.contains("..") {
        return None;
    }
    let mut command = Command::new(format!("docker-credential-{helper}"));
    command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn().ok()?;
    let mut input = child.stdin.take()?;
    input.write_all(server.as_bytes()).await.ok()?;
    drop(input);
    let mut answer = Vec::new();
    child.stdout.take()?.take(FILE_BYTES_MAX).read_to_end(&mut answer).await.ok()?;
    if !child.wait().await.ok()?.success() {
        return None;
    }
    let answer: Answer = serde_json::from_slice(&answer).ok()?;
    // `<token>` stands for a token of another kind, which is no password.
    (answer.username != "<token>").then_some((answer.username, answer.secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_found_by_its_registry() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("config.json");
        let login = |host: &str| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(of(&file, host))
        };
        assert_eq!(login("a.example"), None);
        let (one, hub, bad) = (STANDARD.encode("one:p:w"), STANDARD.encode("hub:x"), STANDARD.encode("nothing"));
        let text = format!(
            r#"{{"auths": {{"https://a.example/v1/": {{"auth": "{one}"}}, "{DOCKER_KEPT}": {{"auth": "{hub}"}},
            "bad.example": {{"auth": "{bad}"}}, "empty.example": {{}}, "c.example": {{"username": "u", "password": "p"}}}},
            "credHelpers": {{"a.example": "../../bin/sh", "none.example": "is-not-there"}}, "other": 1}}"#
        );
        std::fs::write(&file, text).unwrap();
        let of = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        assert_eq!(login("a.example"), of("one", "p:w"));
        assert_eq!(login("A.example"), of("one", "p:w"));
        assert_eq!(login("registry-1.docker.io"), of("hub", "x"));
        assert_eq!(login("c.example"), of("u", "p"));
        for host in ["bad.example", "empty.example", "none.example", "example", "b.a.example"] {
            assert_eq!(login(host), None, "{host}");
        }
        std::fs::write(&file, "not JSON").unwrap();
        assert_eq!(login("a.example"), None);
    }
}
