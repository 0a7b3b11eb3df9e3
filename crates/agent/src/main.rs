//! `guardian-agent`: the command line.

mod ask;
mod baselines;
mod manage;
mod operate;
mod release;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::{Args, Parser, Subcommand, ValueEnum};
use guardian_agent::enrol;
use guardian_agent::home::{Home, USUAL};
use guardian_agent::policy::Local;
use guardian_agent::run::{Ended, run, say};
use guardian_agent::simulate::{self, Simulation};
use guardian_agent::status::Status;
use guardian_agent::upgrade;
use guardian_protocol::policy::{Document, DropOrder, PathSet, SYSTEM_SET};

/// The agent of Guardian: eyes and hands on this machine.
#[derive(Debug, Parser)]
#[command(name = "guardian-agent", version = guardian_agent::upgrade::version(), about, max_term_width = 120)]
struct Cli {
    /// Folder that holds everything the agent keeps
    #[arg(long, short, global = true, env = "GUARDIAN_AGENT_DIR", default_value = USUAL, value_name = "DIR")]
    dir: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Put the agent on this machine: enrol it, install the program, and start it as a service
    Install(manage::Install),
    /// Take the agent off this machine, and tell the server
    Uninstall(manage::Uninstall),
    /// Make a key, and have the server sign a certificate for it
    Enroll(Enroll),
    /// Watch this machine and tell the server, until a signal ends it
    Run(Run),
    /// Tell how the running agent is
    Status,
    /// Carry an action out on this machine, as root and without the server
    Respond(operate::Respond),
    /// Do again what stands (isolation, blocks), for the time before the agent starts
    Reapply,
    /// Make a key that signs scripts, where no server can reach it
    ScriptKey(operate::NewKey),
    /// Sign a script, so that machines which have the key pinned run it
    SignScript(operate::SignScript),
    /// Make a key that opens packs of evidence
    EvidenceKey(operate::NewKey),
    /// Open a pack of evidence and compare it with its manifest
    OpenEvidence(operate::OpenEvidence),
    /// Make a key that signs releases of the agent
    ReleaseKey(operate::NewKey),
    /// Sign a program of the agent, so that machines which have the key pinned take it
    SignRelease(release::SignRelease),
    /// Ask the tables of this machine by SQL, as root
    Query(ask::Ask),
    /// Take the databases of AIDE and Tripwire over, compare with them, and write the baseline for AIDE
    Baseline(baselines::Baselines),
    /// Answer one query that comes by the standard input
    #[command(hide = true)]
    QueryWorker,
    /// Guard a version that is on trial
    #[command(hide = true)]
    UpgradeGuard {
        /// What the agent was started with
        #[arg(last = true)]
        arguments: Vec<std::ffi::OsString>,
    },
    /// Read what strangers wrote, confined, for the agent that started it
    #[command(hide = true)]
    ReadApart,
    /// Play many agents at once, to put load on a server
    Simulate(Simulate),
}

#[derive(Args, Debug)]
struct Enroll {
    /// The server: https://host:port
    #[arg(long, value_name = "URL")]
    server: String,
    /// The enrolment token
    #[arg(long, env = "GUARDIAN_ENROLL_TOKEN", hide_env_values = true)]
    token: String,
    /// Name of the host on the server [default: the machine's name]
    #[arg(long)]
    name: Option<String>,
    /// Proxy on the way: http://[name:password@]host:port
    #[arg(long, env = "HTTPS_PROXY", hide_env_values = true, value_name = "URL")]
    proxy: Option<String>,
    /// Enrol again though this machine is enrolled
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    pins: operate::PinArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum DropPolicy {
    Oldest,
    Newest,
}

/// What is said here holds whatever the policy of the server says.
#[derive(Args, Debug)]
struct Run {
    /// How often the machine's health is measured, in seconds [default: as the policy says, else 15]
    #[arg(long, value_name = "SECONDS")]
    health_every: Option<f64>,
    /// Watch the files below this folder instead of programs, libraries and configuration; may be given several times
    #[arg(long, value_name = "FOLDER", conflicts_with = "no_files")]
    files: Vec<String>,
    /// Watch no files
    #[arg(long)]
    no_files: bool,
    /// Where BPF is refused, add rules to the kernel's audit that have it tell of each program, and take them away at the end
    #[arg(long)]
    audit_rules: bool,
    /// Take no inventory
    #[arg(long)]
    no_inventory: bool,
    /// Most MiB a second that a scan of all files reads; 0 for no limit [default: as the policy says, else 32]
    #[arg(long, value_name = "MIB")]
    scan_rate: Option<u32>,
    /// Most MiB that may wait on the disk for the server [default: as the policy says, else 512]
    #[arg(long, value_name = "MIB")]
    spool_max: Option<u32>,
    /// What goes when there is more [default: as the policy says, else oldest]
    #[arg(long, value_enum)]
    spool_drop: Option<DropPolicy>,
}

impl Run {
    fn local(&self) -> Local {
        let mut document = Document::default();
        if !self.files.is_empty() {
            let system = PathSet { roots: self.files.clone(), texts: Some(true), ..PathSet::default() };
            document.files.sets.insert(SYSTEM_SET.to_owned(), system);
        }
        document.sources.files = self.no_files.then_some(false);
        document.sources.inventory = self.no_inventory.then_some(false);
        document.files.scan_mib_per_s = self.scan_rate.map(|rate| rate.min(1 << 20));
        document.spool.mib_max = self.spool_max.map(|max| max.clamp(8, 1 << 20));
        document.spool.drop = self.spool_drop.map(|order| match order {
            DropPolicy::Oldest => DropOrder::Oldest,
            DropPolicy::Newest => DropOrder::Newest,
        });
        let health_every = self.health_every.map(|every| Duration::from_secs_f64(every.clamp(0.01, 86_400.0)));
        Local { document, health_every, audit_rules: self.audit_rules }
    }
}

#[derive(Args, Debug)]
struct Simulate {
    /// The server: https://host:port
    #[arg(long, value_name = "URL")]
    server: String,
    /// A token that lets all of them in
    #[arg(long, env = "GUARDIAN_ENROLL_TOKEN", hide_env_values = true)]
    token: String,
    /// How many
    #[arg(long, default_value_t = 100)]
    agents: usize,
    /// Events a second of all of them together
    #[arg(long, default_value_t = 200.0)]
    events: f64,
    /// How long, in seconds
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// After half the time all of them lose their connection at once
    #[arg(long)]
    storm: bool,
}

fn main() -> ExitCode {
    guardian_sys::process::share_memory_pools();
    let cli = Cli::parse();
    // Nobody else installs one.
    rustls::crypto::ring::default_provider().install_default().ok();
    match dispatch(cli) {
        Ok(code) => code,
        Err(error) => {
            say(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn dispatch(cli: Cli) -> Result<ExitCode> {
    match cli.command {
        Command::Install(wanted) => return manage::install(&cli.dir, wanted),
        Command::Uninstall(wanted) => return manage::uninstall(&cli.dir, &wanted),
        Command::Enroll(wanted) => enroll(&cli.dir, &wanted)?,
        Command::Run(wanted) => {
            upgrade::go_on_as_kept(&cli.dir).context("the version that was kept last cannot be started")?;
            if run(&cli.dir, wanted.local())? == Ended::MakesRoom {
                return Err(upgrade::become_guard(&cli.dir)).context("another version cannot be tried");
            }
        }
        Command::UpgradeGuard { arguments } => upgrade::guard(&cli.dir, &arguments)?,
        Command::ReadApart => guardian_agent::apart::work()?,
        Command::Status => return status(&cli.dir),
        Command::Query(wanted) => return ask::ask(&wanted),
        Command::Baseline(wanted) => return baselines::work(&cli.dir, &wanted),
        Command::QueryWorker => return ask::serve(),
        Command::Respond(wanted) => return operate::respond(&cli.dir, &wanted),
        Command::Reapply => return operate::reapply(&cli.dir),
        Command::ScriptKey(wanted) => print(&operate::script_key(&wanted)?),
        Command::SignScript(wanted) => print(&operate::sign_script(wanted)?),
        Command::ReleaseKey(wanted) => print(&operate::script_key(&wanted)?),
        Command::SignRelease(wanted) => print(&release::sign(&wanted)?),
        Command::EvidenceKey(wanted) => print(&operate::evidence_key(&wanted)?),
        Command::OpenEvidence(wanted) => return operate::open_evidence(&wanted),
        Command::Simulate(wanted) => {
            let done = simulate::run(Simulation {
                server: wanted.server,
                token: wanted.token,
                agents: wanted.agents.clamp(1, 100_000),
                events_per_second: wanted.events.max(0.0),
                length: Duration::from_secs(wanted.seconds.max(1)),
                storm: wanted.storm,
            })?;
            print(&serde_json::to_string_pretty(&done)?);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn enroll(dir: &std::path::Path, wanted: &Enroll) -> Result<()> {
    let home = Home::open(dir).with_context(|| format!("cannot use {}", dir.display()))?;
    if let Some(before) = home.identity()?.filter(|_| !wanted.force) {
        anyhow::bail!("this machine is enrolled with {} as {}; --force enrols it anew", before.server, before.host);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let proxy = wanted.proxy.as_deref().filter(|p| !p.is_empty());
    let identity = runtime.block_on(enrol::enrol(&wanted.server, proxy, &wanted.token, wanted.name.as_deref()))?;
    wanted.pins.lay_down(dir)?;
    home.keep(&identity)?;
    say(&format!("enrolled with {} as {}", identity.server, identity.host));
    Ok(())
}

fn status(dir: &std::path::Path) -> Result<ExitCode> {
    let home = Home::open(dir)?;
    let Some(identity) = home.identity()? else {
        say("this machine is not enrolled");
        return Ok(ExitCode::from(3));
    };
    let told: Option<Status> = std::fs::read(home.status()).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    // Whoever holds the lock runs.
    let runs = home.lock().is_err();
    let mut status = told.unwrap_or_default();
    (status.host, status.server) = (identity.host, identity.server);
    if !runs {
        "not running".clone_into(&mut status.state);
    }
    print(&serde_json::to_string_pretty(&status)?);
    Ok(if runs && status.state == "connected" { ExitCode::SUCCESS } else { ExitCode::from(3) })
}

#[expect(clippy::print_stdout, reason = "the command line's one place that answers")]
pub(crate) fn print(text: &str) {
    println!("{text}");
}
