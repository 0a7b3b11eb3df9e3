//! The folder of the agent: who it is, and what waits. Who it is stands in one file that its owner alone may read, written
//! at once and whole, so that key and certificate always fit.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Where the agent keeps everything unless told otherwise.
pub const USUAL: &str = "/var/lib/guardian-agent";

/// Who the agent is, and whom it speaks to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The server: `https://host:port`.
    pub server: String,
    /// The proxy on the way there: `http://[name:password@]host:port`.
    pub proxy: Option<String>,
    /// Id of the host on the server.
    pub host: String,
    /// The agents' authority, PEM.
    pub authority: String,
    /// The certificate, DER, base64.
    pub certificate: String,
    /// The key, PEM.
    pub key: String,
    /// Until when the certificate is valid, RFC 3339 or microseconds; for people.
    pub not_after: String,
}

/// The folder of an agent.
#[derive(Clone, Debug)]
pub struct Home(PathBuf);

impl Home {
    /// The folder at `path`; it is made, for its owner alone, when it is missing.
    pub fn open(path: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        Ok(Self(path.to_owned()))
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Where the spool is.
    pub fn spool(&self) -> PathBuf {
        self.0.join("spool")
    }

    /// Where the agent says how it is.
    pub fn status(&self) -> PathBuf {
        self.0.join("status.json")
    }

    /// Where the baseline of files is.
    pub fn files(&self) -> PathBuf {
        self.0.join("files")
    }

    /// Where the policy is that the server said last.
    pub fn policy(&self) -> PathBuf {
        self.0.join("policy.json")
    }

    /// Where it is kept what came of commands.
    pub fn commands(&self) -> PathBuf {
        self.0.join("commands.json")
    }

    /// Where the lists of the inventory are.
    pub fn inventory(&self) -> PathBuf {
        self.0.join("inventory")
    }

    /// Where it is kept how far logs are read.
    pub fn logs(&self) -> PathBuf {
        self.0.join("logs.json")
    }

    /// What scheduled queries answered last.
    pub fn queries(&self) -> PathBuf {
        self.0.join("queries")
    }

    fn identity_path(&self) -> PathBuf {
        self.0.join("identity.json")
    }

    /// Who the agent is; none before it is enrolled.
    pub fn identity(&self) -> io::Result<Option<Identity>> {
        match fs::read(self.identity_path()) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(io::Error::from),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Keeps who the agent is.
    pub fn keep(&self, identity: &Identity) -> io::Result<()> {
        self.write(&self.identity_path(), &serde_json::to_vec_pretty(identity)?, true)
    }

    /// Says how the agent is, for `guardian-agent status`.
    pub fn tell(&self, status: &impl Serialize) -> io::Result<()> {
        self.write(&self.status(), &serde_json::to_vec_pretty(status)?, false)
    }

    /// Takes the folder for one running agent; it is free again when the file is dropped.
    pub fn lock(&self) -> io::Result<fs::File> {
        let file = fs::File::options().create(true).truncate(false).write(true).open(self.0.join("lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(fs::TryLockError::WouldBlock) => {
                Err(io::Error::new(io::ErrorKind::AddrInUse, "another agent runs on this folder"))
            }
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }

    pub(crate) fn write(&self, path: &Path, bytes: &[u8], sync: bool) -> io::Result<()> {
        let fresh = path.with_extension("new");
        let mut file = fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        file.write_all(bytes)?;
        if sync {
            file.sync_all()?;
        }
        fs::rename(&fresh, path)?;
        if sync {
            fs::File::open(&self.0)?.sync_all()?;
        }
        Ok(())
    }
}
