//! A private PostgreSQL for the tests: its own cluster in a temporary directory, on a free port of the loopback
//! address, without durability, gone at the end.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{install, say};

/// Where Debian puts the server's programs.
const LIBRARY: &str = "/usr/lib/postgresql";
/// Whom the server runs as when we are root, as it refuses to be root: the account of its package, or, where the
/// package could not make it, one that every Unix has.
const ACCOUNTS: [&str; 2] = ["postgres", "nobody"];

/// A running cluster; dropping it stops it and removes its files.
#[derive(Debug)]
pub(crate) struct Cluster {
    directory: PathBuf,
    programs: PathBuf,
    port: u16,
    /// Whom the programs run as; ourselves when we are not root.
    account: Option<&'static str>,
}

impl Cluster {
    /// Installs the server if it is missing, makes the cluster and starts it.
    pub(crate) fn start() -> Result<Self> {
        let programs = if let Some(found) = programs() {
            found
        } else {
            install::apt(&["postgresql"], "the catalog's tests", || programs().is_some())?;
            programs().context("PostgreSQL was installed, yet initdb is not found")?
        };
        let directory = std::env::temp_dir().join(format!("guardian-postgres-{}", std::process::id()));
        std::fs::create_dir_all(&directory).context("no temporary directory for PostgreSQL")?;
        let account = install::is_root().then(account).transpose()?;
        if let Some(account) = account {
            let owned = Command::new("chown").arg(account).arg(&directory).status()?;
            ensure!(owned.success(), "cannot give {} to {account}", directory.display());
        }
        // The port is free now; nobody else on a test machine is likely to take it within the second.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let cluster = Self { directory, programs, port, account };
        cluster.init()?;
        Ok(cluster)
    }

    /// What the tests connect to: a superuser, so that each test can have a database of its own.
    pub(crate) fn url(&self) -> String {
        format!("postgres://guardian@127.0.0.1:{}/guardian_test", self.port)
    }

    fn init(&self) -> Result<()> {
        let data = self.directory.join("data");
        self.program(
            "initdb",
            &[
                "--auth=trust",
                "--username=guardian",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--no-sync",
                "-D",
                path(&data),
            ],
        )?;
        let options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories={} -c fsync=off -c full_page_writes=off \
             -c synchronous_commit=off -c max_connections=200 -c shared_buffers=32MB",
            self.port,
            path(&self.directory)
        );
        let log = self.directory.join("log");
        self.program("pg_ctl", &["-D", path(&data), "-l", path(&log), "-w", "-t", "60", "-o", &options, "start"])?;
        self.program("createdb", &["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", "guardian", "guardian_test"])
    }

    /// Runs one of the server's programs, as its account when we are root.
    fn program(&self, name: &str, arguments: &[&str]) -> Result<()> {
        let program = self.programs.join(name);
        let mut command = if let Some(account) = self.account {
            let mut command = Command::new("runuser");
            command.args(["-u", account, "--"]).arg(&program);
            command
        } else {
            Command::new(&program)
        };
        // pg_ctl leaves the server with our descriptors: with pipes, reading its output would never end.
        let log = self.directory.join(format!("{name}.out"));
        let file = std::fs::File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let status = command
            .args(arguments)
            .current_dir(&self.directory)
            .env_remove("PGHOST")
            .env_remove("PGPORT")
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .status()
            .with_context(|| format!("{name} does not start"))?;
        if !status.success() {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            let server = std::fs::read_to_string(self.directory.join("log")).unwrap_or_default();
            bail!("{name} failed:\n{}\n{}", said.trim(), server.trim());
        }
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let data = self.directory.join("data");
        if data.join("postmaster.pid").exists()
            && let Err(error) = self.program("pg_ctl", &["-D", path(&data), "-m", "immediate", "-w", "stop"])
        {
            say::failure(&error);
        }
        if let Err(error) = std::fs::remove_dir_all(&self.directory) {
            say::note(&format!("could not remove {}: {error}", self.directory.display()));
        }
    }
}

/// The first of the accounts that exists.
fn account() -> Result<&'static str> {
    let exists = |name: &&str| {
        let asked = Command::new("id").arg(name).stdout(Stdio::null()).stderr(Stdio::null()).status();
        asked.is_ok_and(|status| status.success())
    };
    ACCOUNTS.into_iter().find(exists).context("PostgreSQL refuses to run as root, and there is no account `nobody`")
}

/// Newest installed version's programs.
fn programs() -> Option<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir(LIBRARY)
        .ok()?
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, programs)| programs.join("initdb").is_file() && programs.join("postgres").is_file())
        .collect();
    versions.sort();
    versions.pop().map(|(_, programs)| programs)
}

/// Our own paths are UTF-8: they are made above.
fn path(path: &Path) -> &str {
    path.to_str().unwrap_or_default()
}
