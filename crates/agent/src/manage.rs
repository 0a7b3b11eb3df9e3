//! Installing the agent on a machine, and taking it off.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use guardian_agent::enrol;
use guardian_agent::home::Home;
use guardian_agent::install::{Machine, leave};
use guardian_agent::run::say;

use crate::{Enroll, operate, print};

#[derive(Args, Debug)]
pub(crate) struct Install {
    /// The server: https://host:port; not needed where the machine is enrolled
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// The enrolment token; not needed where the machine is enrolled
    #[arg(long, env = "GUARDIAN_ENROLL_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Name of the host on the server [default: the machine's name]
    #[arg(long)]
    name: Option<String>,
    /// Proxy on the way: http://[name:password@]host:port
    #[arg(long, env = "HTTPS_PROXY", hide_env_values = true, value_name = "URL")]
    proxy: Option<String>,
    /// Enrol again though this machine is enrolled
    #[arg(long)]
    force: bool,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Root of a file system that does not run, such as an image
    #[arg(long, value_name = "FOLDER", default_value = "/")]
    root: PathBuf,
    #[command(flatten)]
    pins: operate::PinArgs,
}

#[derive(Args, Debug)]
pub(crate) struct Uninstall {
    /// Leave what the agent kept, and do not tell the server: it may be installed again
    #[arg(long)]
    keep_data: bool,
    /// Though the machine is isolated, or addresses are blocked on it
    #[arg(long)]
    force: bool,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Root of a file system that does not run, such as an image
    #[arg(long, value_name = "FOLDER", default_value = "/")]
    root: PathBuf,
}

fn home_of(root: &Path, dir: &Path) -> PathBuf {
    root.join(dir.strip_prefix("/").unwrap_or(dir))
}

/// Puts the agent on the machine.
pub(crate) fn install(dir: &Path, wanted: Install) -> Result<ExitCode> {
    if wanted.root == Path::new("/") && !wanted.dry_run && !nix::unistd::geteuid().is_root() {
        bail!("installing needs root: the agent runs as root");
    }
    let home = home_of(&wanted.root, dir);
    let known = if home.exists() { Home::open(&home)?.identity()? } else { None };
    let mut said = Vec::new();
    match known.filter(|_| !wanted.force) {
        Some(before) if wanted.server.as_ref().is_none_or(|url| url.trim_end_matches('/') == before.server) => {
            said.push(format!("is enrolled with {} as {}", before.server, before.host));
            if !wanted.dry_run {
                wanted.pins.lay_down(&home)?;
            }
        }
        Some(before) => bail!("this machine is enrolled with {}; --force enrols it anew", before.server),
        None => {
            let server = wanted.server.clone().context("which server? Say --server")?;
            said.push(format!("enrol with {server}"));
            let token = match &wanted.token {
                Some(token) => token.clone(),
                None if wanted.dry_run => String::new(),
                None => bail!("which token? Say --token, or set GUARDIAN_ENROLL_TOKEN"),
            };
            if !wanted.dry_run {
                if enrol::pin_of(&token).is_none() {
                    bail!("this is no enrolment token: it looks like gde_….….…");
                }
                let (name, proxy, force) = (wanted.name, wanted.proxy, wanted.force);
                crate::enroll(&home, &Enroll { server, token, name, proxy, force, pins: wanted.pins })?;
            }
        }
    }
    let mut machine = Machine::new(&wanted.root, dir, wanted.dry_run);
    let own = std::env::current_exe()?.canonicalize()?;
    let done =
        machine.put_program(&own).and_then(|()| machine.put_scanner(&own)).and_then(|()| machine.put_service(""));
    said.iter().map(String::as_str).chain(machine.steps().iter().map(String::as_str)).for_each(print);
    done?;
    Ok(ExitCode::SUCCESS)
}

/// Takes the agent off the machine.
pub(crate) fn uninstall(dir: &Path, wanted: &Uninstall) -> Result<ExitCode> {
    let runs = wanted.root == Path::new("/");
    if runs && !wanted.dry_run && !nix::unistd::geteuid().is_root() {
        bail!("this needs root");
    }
    let home = home_of(&wanted.root, dir);
    let mut machine = Machine::new(&wanted.root, &home, wanted.dry_run);
    if !wanted.force && home.exists() {
        machine.stands()?;
    }
    let stopped = machine.stop_service();
    let identity = if home.exists() { Home::open(&home)?.identity()? } else { None };
    let mut code = ExitCode::SUCCESS;
    if let (Ok(()), Some(identity), false) = (&stopped, identity, wanted.keep_data) {
        print(&format!("tell {} that this host leaves", identity.server));
        if !wanted.dry_run {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            if let Err(why) = runtime.block_on(leave(&identity)) {
                say(&format!("{} does not know that this host leaves: {why}; revoke it there", identity.server));
                code = ExitCode::from(3);
            }
        }
    }
    let done = stopped.and_then(|()| machine.remove(!wanted.keep_data));
    machine.steps().iter().map(String::as_str).for_each(print);
    done?;
    Ok(code)
}
