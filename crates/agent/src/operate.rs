//! What an operator does by hand: on the machine, actions without the server; at a desk without a network, signing scripts and
//! opening evidence.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use data_encoding::HEXLOWER;
use guardian_agent::home::Home;
use guardian_agent::response::{Options, Pins, Response, script_public_key, sign};
use guardian_agent::run::say;
use guardian_evidence::{SecretKey, Unlock};
use guardian_protocol::Blob;
use guardian_protocol::message::{Action, Command, Outcome, Progress, Script};

use crate::print;

/// Bytes of an action that is read.
const ACTION_BYTES_MAX: u64 = 4 << 20;
/// Bytes before compression of a pack that is opened.
const PACK_BYTES_MAX: u64 = 8 << 30;

#[derive(Args, Debug)]
pub(crate) struct PinArgs {
    /// Public key of scripts: only what it signed ever runs here; may be given several times [default: no script runs]
    #[arg(long, value_name = "KEY")]
    script_key: Vec<String>,
    /// Public key of evidence: what is collected here is sealed for it, whatever the server asks for
    #[arg(long, value_name = "KEY")]
    evidence_key: Option<String>,
    /// Public key of releases: only what it signed ever takes the agent's place; may be given several times [default: the
    /// agent is never upgraded from afar]
    #[arg(long, value_name = "KEY")]
    release_key: Vec<String>,
    /// An action that is never carried out here, by name, `upgrade`, or `all`; may be given several times
    #[arg(long, value_name = "ACTION")]
    no_response: Vec<String>,
}

impl PinArgs {
    /// Lays down what was said; what was not stays as it is.
    pub(crate) fn lay_down(&self, dir: &Path) -> Result<()> {
        let mut pins = Pins::read(dir).context("what is laid down for responses cannot be read")?;
        if let Some(name) = self
            .no_response
            .iter()
            .find(|name| *name != "all" && *name != "upgrade" && !Action::NAMES.contains(&name.as_str()))
        {
            bail!("`{name}` is no action; there are {}", Action::NAMES.join(", "));
        }
        if !self.script_key.is_empty() {
            pins.script_keys.clone_from(&self.script_key);
        }
        if self.evidence_key.is_some() {
            pins.evidence_key.clone_from(&self.evidence_key);
        }
        if !self.release_key.is_empty() {
            pins.release_keys.clone_from(&self.release_key);
        }
        if !self.no_response.is_empty() {
            pins.off.clone_from(&self.no_response);
        }
        pins.write(dir).context("what is laid down for responses cannot be written")
    }
}

#[derive(Args, Debug)]
pub(crate) struct Respond {
    /// The action as JSON, such as '{"kind":"release"}', or @FILE
    action: String,
    /// Say what would be done and do nothing
    #[arg(long)]
    dry_run: bool,
    /// How long it may take, in seconds [default: as the action needs]
    #[arg(long, value_name = "SECONDS", default_value_t = 0, hide_default_value = true)]
    timeout: u32,
}

#[derive(Args, Debug)]
pub(crate) struct NewKey {
    /// File for the secret key, which must not be there yet
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct SignScript {
    /// File with the secret key
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Program that reads the script
    #[arg(long, default_value = "/bin/sh", value_name = "PATH")]
    interpreter: String,
    /// Id of a host that it is for; may be given several times [default: any that has the key pinned]
    #[arg(long, value_name = "ID")]
    host: Vec<String>,
    /// How long it may be begun, in hours
    #[arg(long, default_value_t = 24, value_name = "HOURS")]
    hours: u32,
    /// What it is for
    #[arg(long, default_value = "")]
    purpose: String,
    /// Each machine runs it once only
    #[arg(long)]
    once: bool,
    /// The script
    script: PathBuf,
    /// Its arguments
    #[arg(last = true)]
    arguments: Vec<String>,
}

#[derive(Args, Debug)]
pub(crate) struct OpenEvidence {
    /// The pack
    pack: PathBuf,
    /// File with the secret key
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Folder for what is in it, which must not be there yet [default: only compare with the manifest]
    #[arg(long, value_name = "FOLDER")]
    to: Option<PathBuf>,
}

fn options(dir: &Path) -> Result<Options> {
    let home = Home::open(dir).with_context(|| format!("cannot use {}", dir.display()))?;
    Ok(match home.identity()? {
        Some(identity) => Options::of(&home, &identity),
        // Before it is enrolled there is no way to the server that isolation could leave open.
        None => Options { home: dir.to_owned(), host: String::new(), server: String::new(), proxy: None },
    })
}

/// Carries one action out.
pub(crate) fn respond(dir: &Path, wanted: &Respond) -> Result<ExitCode> {
    let text = match wanted.action.strip_prefix('@') {
        Some(file) => {
            let mut text = String::new();
            let open = File::open(file).with_context(|| format!("cannot read {file}"))?;
            open.take(ACTION_BYTES_MAX).read_to_string(&mut text)?;
            text
        }
        None => wanted.action.clone(),
    };
    let action: Action = serde_json::from_str(&text).context("this is no action")?;
    let response = Response::open(options(dir)?)?;
    let command = Command {
        id: rand::random(),
        issued: guardian_agent::now(),
        timeout_ms: wanted.timeout.saturating_mul(1_000),
        dry_run: wanted.dry_run,
        by: format!("user {} on the machine", nix::unistd::getuid()),
        action: Some(action),
        ..Command::default()
    };
    let mut last = Outcome::default();
    response.execute(&command, 0, &mut |outcome| last = outcome);
    print(&serde_json::to_string_pretty(&last)?);
    Ok(if last.progress == Progress::Done { ExitCode::SUCCESS } else { ExitCode::from(2) })
}

/// Does again what stands.
pub(crate) fn reapply(dir: &Path) -> Result<ExitCode> {
    let complaints = Response::open(options(dir)?)?.reapply();
    complaints.iter().for_each(|complaint| say(complaint));
    Ok(if complaints.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn keep_key(path: &Path, seed: [u8; 32]) -> Result<()> {
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot make {}", path.display()))?;
    writeln!(file, "{}", STANDARD.encode(seed))?;
    Ok(file.sync_all()?)
}

pub(crate) fn read_key(path: &Path) -> Result<[u8; 32]> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let seed = STANDARD.decode(text.trim()).ok().and_then(|bytes| bytes.try_into().ok());
    seed.with_context(|| format!("{} has no key in it", path.display()))
}

/// Makes a key for scripts, and answers the public one.
pub(crate) fn script_key(wanted: &NewKey) -> Result<String> {
    let seed = rand::random();
    keep_key(&wanted.out, seed)?;
    Ok(script_public_key(&seed)?)
}

/// Makes a key for evidence, and answers the public one.
pub(crate) fn evidence_key(wanted: &NewKey) -> Result<String> {
    let seed = rand::random();
    keep_key(&wanted.out, seed)?;
    Ok(STANDARD.encode(SecretKey::new(seed).public().0))
}

/// Signs a script, and answers the action as JSON.
pub(crate) fn sign_script(wanted: SignScript) -> Result<String> {
    let seed = read_key(&wanted.key)?;
    let text =
        fs::read_to_string(&wanted.script).with_context(|| format!("cannot read {}", wanted.script.display()))?;
    ensure!(wanted.hours > 0 && wanted.hours <= 366 * 24, "a script is good for an hour up to a year");
    let script = Script {
        interpreter: wanted.interpreter,
        text,
        signature: Blob::default(),
        arguments: wanted.arguments,
        hosts: wanted.host,
        expires: guardian_agent::now() + i64::from(wanted.hours) * 3_600_000_000,
        purpose: wanted.purpose,
        once: wanted.once,
    };
    let action = Action::Script(sign(script, &seed)?);
    action.check()?;
    Ok(serde_json::to_string_pretty(&action)?)
}

/// Opens a pack, and says whether it is what its manifest says.
pub(crate) fn open_evidence(wanted: &OpenEvidence) -> Result<ExitCode> {
    let unlock = Unlock::Secret(SecretKey::new(read_key(&wanted.key)?));
    let pack = File::open(&wanted.pack).with_context(|| format!("cannot read {}", wanted.pack.display()))?;
    if let Some(to) = &wanted.to {
        fs::create_dir(to).with_context(|| format!("cannot make {}", to.display()))?;
    }
    let opened = guardian_evidence::open(io::BufReader::new(pack), &unlock, PACK_BYTES_MAX, |name, entry| {
        let Some(to) = &wanted.to else { return Ok(()) };
        // Names were checked: none leaves the folder.
        let path = to.join(name);
        fs::create_dir_all(path.parent().unwrap_or(to))?;
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
        io::copy(entry, &mut file).map(drop)
    })?;
    if let Some(to) = &wanted.to {
        fs::write(to.join(guardian_evidence::MANIFEST_NAME), serde_json::to_vec_pretty(&opened.manifest)?)?;
    }
    opened.problems.iter().for_each(|problem| say(problem));
    let manifest = HEXLOWER.encode(&opened.digest);
    let summary = serde_json::json!({
        "host": opened.manifest.host,
        "command": opened.manifest.command,
        "begun": opened.manifest.begun,
        "ended": opened.manifest.ended,
        "entries": opened.manifest.entries.len(),
        "left_out": opened.manifest.left_out,
        "manifest_blake3": manifest,
        "sound": opened.problems.is_empty(),
    });
    print(&serde_json::to_string_pretty(&summary)?);
    Ok(if opened.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(2) })
}
