//! `guardian trust`: lets this machine's programs and browsers trust the local certificate authority.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use clap::Args;
use serde_json::json;

use super::Global;
use crate::output::{self, Format, Table};
use crate::remote::RunFile;
use crate::tls;

const EXAMPLES: &str = "\
  guardian trust --show                  where the authority is, its fingerprint, where it would go
  sudo guardian trust --data data        trust it on this machine, for all programs that use the system's store
  guardian trust --browsers              also for Chromium and Firefox of this account (needs certutil)
  sudo guardian trust --remove           trust it no longer";

/// Where a system keeps the authorities that its administrator adds, and what takes them up.
struct Store {
    directory: &'static str,
    refresh: &'static [&'static str],
}

/// The first whose directory exists is the system's.
const STORES: &[Store] = &[
    // Fedora, RHEL and their relatives.
    Store { directory: "etc/pki/ca-trust/source/anchors", refresh: &["update-ca-trust"] },
    // SUSE.
    Store { directory: "etc/pki/trust/anchors", refresh: &["update-ca-certificates"] },
    // Arch.
    Store { directory: "etc/ca-certificates/trust-source/anchors", refresh: &["trust", "extract-compat"] },
    // Debian, Ubuntu, Alpine, Gentoo.
    Store { directory: "usr/local/share/ca-certificates", refresh: &["update-ca-certificates"] },
];

/// Trust the certificate authority that `guardian serve` made at its first start.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Trust {
    /// Only show the authority and where it would be installed
    #[arg(long, conflicts_with_all = ["remove", "browsers"])]
    show: bool,
    /// Take it out again
    #[arg(long)]
    remove: bool,
    /// Also (or, without root, only) in the certificate databases of this account's browsers
    #[arg(long)]
    browsers: bool,
}

impl Trust {
    pub(crate) fn run(self, global: &Global) -> Result<ExitCode> {
        let data = global.load()?.data;
        let authority = RunFile::read(&data).and_then(|run| run.ca).unwrap_or_else(|| data.join("tls").join("ca.pem"));
        ensure!(
            authority.exists(),
            "there is no local authority at {}: `guardian serve` makes it at its first start; with your own certificate \
             (server.tls.certificate) there is none",
            authority.display()
        );
        let fingerprint = tls::fingerprint(&authority)?;
        let root = Path::new("/");
        let place = place(root, &fingerprint);
        if self.show {
            let mut table = Table::new(["authority", "sha256", "store", "trusted"]);
            let store = place.as_ref().map(|(file, _)| file.display().to_string());
            let trusted = place.as_ref().is_some_and(|(file, _)| file.exists());
            table.push(vec![json!(authority), json!(fingerprint), json!(store), json!(trusted)]);
            output::print(&table, global.output)?;
            return Ok(ExitCode::SUCCESS);
        }
        let say = |text: String| {
            if global.output == Format::Table {
                output::note(&text);
            }
        };
        if self.browsers {
            for database in browser_databases() {
                browser(&database, &authority, &fingerprint, self.remove)?;
                say(format!("{} {}", if self.remove { "removed from" } else { "trusted in" }, database.display()));
            }
            if !nix::unistd::geteuid().is_root() {
                return Ok(ExitCode::SUCCESS);
            }
        }
        let (file, store) = place.ok_or_else(|| {
            anyhow!("this system's store of authorities is not one we know; import {} by hand", authority.display())
        })?;
        if self.remove {
            if file.exists() {
                std::fs::remove_file(&file).map_err(|e| unwritable(&e, &file))?;
                refresh(store)?;
            }
            say(format!("{} is no longer trusted", file.display()));
        } else {
            std::fs::copy(&authority, &file).map_err(|e| unwritable(&e, &file))?;
            refresh(store)?;
            say(format!("trusted: {}\n  SHA-256 {fingerprint}", file.display()));
            say("programs that run already may have to be restarted; browsers with a store of their own need --browsers".into());
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The file that the authority has in the system's store. Its name carries the fingerprint, so that several Guardians
/// can be trusted side by side.
fn place(root: &Path, fingerprint: &str) -> Option<(PathBuf, &'static Store)> {
    let name: String = fingerprint.replace(':', "").to_lowercase().chars().take(16).collect();
    let store = STORES.iter().find(|s| root.join(s.directory).is_dir())?;
    Some((root.join(store.directory).join(format!("guardian-{name}.crt")), store))
}

fn refresh(store: &Store) -> Result<()> {
    let (program, arguments) = store.refresh.split_first().context("a store names its program")?;
    let output = Command::new(program)
        .args(arguments)
        .output()
        .with_context(|| format!("`{program}` does not start; install the package ca-certificates"))?;
    ensure!(output.status.success(), "`{program}` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

fn unwritable(error: &std::io::Error, file: &Path) -> anyhow::Error {
    match error.kind() {
        std::io::ErrorKind::PermissionDenied => {
            anyhow!("{} needs root: run it with sudo, or use --browsers for this account's browsers", file.display())
        }
        _ => anyhow!("cannot change {}: {error}", file.display()),
    }
}

/// NSS databases of this account: the shared one, which Chromium reads, and those of Firefox profiles.
fn browser_databases() -> Vec<PathBuf> {
    let Some(home) = std::env::var_os("HOME").map(PathBuf::from) else { return Vec::new() };
    let mut found = vec![home.join(".pki/nssdb")];
    let profiles = std::fs::read_dir(home.join(".mozilla/firefox")).into_iter().flatten().flatten();
    found.extend(profiles.map(|p| p.path()).filter(|p| p.join("cert9.db").exists()));
    found
}

fn browser(database: &Path, authority: &Path, fingerprint: &str, remove: bool) -> Result<()> {
    let nickname = format!("Guardian {}", fingerprint.get(..23).unwrap_or(fingerprint));
    let certutil = |arguments: &[&str]| -> Result<bool> {
        let output = Command::new("certutil")
            .args(["-d", &format!("sql:{}", database.display())])
            .args(arguments)
            .output()
            .context("`certutil` does not start; install it (Debian: libnss3-tools, Fedora: nss-tools)")?;
        Ok(output.status.success())
    };
    if !database.join("cert9.db").exists() {
        if remove {
            return Ok(());
        }
        std::fs::create_dir_all(database).with_context(|| format!("cannot make {}", database.display()))?;
        if !certutil(&["-N", "--empty-password"])? {
            bail!("cannot make a certificate database in {}", database.display());
        }
    }
    let known = certutil(&["-L", "-n", &nickname])?;
    let file = authority.to_str().context("the path of the authority is not UTF-8")?;
    let done = match (remove, known) {
        (true, true) => certutil(&["-D", "-n", &nickname])?,
        (false, false) => certutil(&["-A", "-n", &nickname, "-t", "C,,", "-i", file])?,
        _ => true,
    };
    ensure!(done, "certutil could not change {}", database.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn the_store_is_the_systems_own() {
        let root = tempfile::tempdir().unwrap();
        let fingerprint = "AB:CD:EF:01:23:45:67:89:AB";
        assert!(place(root.path(), fingerprint).is_none());
        for (directory, program) in [
            ("usr/local/share/ca-certificates", "update-ca-certificates"),
            ("etc/ca-certificates/trust-source/anchors", "trust"),
            ("etc/pki/ca-trust/source/anchors", "update-ca-trust"),
        ] {
            std::fs::create_dir_all(root.path().join(directory)).unwrap();
            let (file, store) = place(root.path(), fingerprint).unwrap();
            assert_eq!(file, root.path().join(directory).join("guardian-abcdef0123456789.crt"));
            assert_eq!(store.refresh[0], program);
        }
    }
}
